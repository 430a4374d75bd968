//! Faults: a system call of the driver fails, or kills it. It must say so to whoever asked, answer nothing after a
//! commit that failed, synchronise nothing again that failed, and lose nothing that it acknowledged.

use std::collections::BTreeSet;
use std::path::Path;

use crate::audit::{Depth, audit, database_names, heads_name};
use crate::driver::{ACKS, Ack, REFUSED, Work};
use crate::kill::cut_copy;
use crate::recording::{Founded, runtime};
use crate::row::{Control, Form, Row};
use crate::trace::{Event, Fault, Strings, Synced, Traced, cannot_trace, read, record};

/// Puts faults into every call that changes a disk.
pub(crate) fn run(form: Form) -> Row {
    if let Some(why) = cannot_trace() {
        return Row::left_out(why);
    }
    let founded = Founded::new();
    let mut row = Row::default();
    let mut control = Control { what: "the newest commits cut off the log", tried: 0, noticed: 0 };
    let runtime = runtime();
    let mut kills = 0_u32;
    for fault in faults(form) {
        let work = Work { folder: founded.copy(), sessions: 2, tasks: 3, entries: form.pick(8, 24) };
        let traced = record(&work, Some(&fault), Strings::Short);
        let was_hit = traced.text.contains("(INJECTED)") || traced.text.contains("+++ killed by SIGKILL +++");
        if was_hit {
            row.count(1, if fault.is_kill() { "kills" } else { "failed calls" });
            kills += u32::from(fault.is_kill());
            let copy = cut_copy(&work.folder);
            for wrong in looked_at(&work.folder, &fault, &traced) {
                row.note(format!("{fault:?}: {wrong}"));
            }
            let acks = Ack::read(&work.folder);
            row.count(u64::try_from(acks.len()).unwrap(), "acknowledgements");
            if let Err(wrong) = audit(&runtime, &work.folder, &acks, Depth::Whole) {
                row.note(format!("{fault:?}: {wrong}"));
            }
            if let Some(copy) = copy {
                control.tried += 1;
                control.noticed += u64::from(audit(&runtime, &copy, &acks, Depth::Entries).is_err());
                std::fs::remove_dir_all(copy).unwrap();
            }
        }
        std::fs::remove_dir_all(&work.folder).unwrap();
    }
    if kills == 0 {
        row.note("no call was hit by a kill; does `strace` still deliver signals?".to_owned());
    }
    row.controls.push(control);
    row
}

/// Every n-th call of each thread. A thread that makes fewer is not hit, and not counted.
fn faults(form: Form) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (call, most) in CALLS {
        for what in ["error=EIO", "error=ENOSPC", "signal=KILL"] {
            let step = form.pick(most.div_ceil(2), 1);
            faults.extend((1..=most).step_by(step).map(|when| Fault {
                call,
                what,
                when: u32::try_from(when).unwrap(),
            }));
        }
    }
    faults
}

/// What a driver did wrong, after a fault, by its own words and by its trace.
fn looked_at(folder: &Path, fault: &Fault, traced: &Traced) -> Vec<String> {
    let (text, exit) = (&traced.text, traced.exit);
    let mut wrong = Vec::new();
    let said = std::fs::read_to_string(folder.join(ACKS)).unwrap_or_default();
    let has_refused = exit == Some(i32::from(REFUSED));
    if has_refused && !said.contains("refused") {
        wrong.push("it ended without telling its callers why".to_owned());
    }
    // A fault outside the store (the acknowledgements themselves, the policy, a library) may end the driver by words
    // of its own.
    let is_other =
        ["acknowledgements", "policy", "shared libraries"].iter().any(|word| traced.said.contains(word));
    if !fault.is_kill() && !is_other && !has_refused && exit != Some(0) {
        wrong.push(format!("it ended with {exit:?}: {}", traced.said));
    }
    let has_stopped = said.contains("refused writing: the log could not be written");
    for still in ["writing", "reading"] {
        if has_stopped && said.contains(&format!("then {still}: answers")) {
            wrong.push(format!("after a failed commit it goes on {still}"));
        }
    }
    let events = read(text, folder, Strings::Short);
    if a_commit_failed(&events) && !has_refused {
        wrong.push("a commit whose fsync failed was taken for one that did not".to_owned());
    }
    wrong.extend(synchronised_again(&events));
    wrong
}

/// Whether an `fsync` failed that was to make a commit or its heads durable. One that had nothing new to write,
/// such as SQLite makes when it closes a database, fails nobody.
fn a_commit_failed(events: &[Event]) -> bool {
    let is_commit = |name: &str| name == database_names()[1] || name == heads_name();
    let mut written: BTreeSet<&str> = BTreeSet::new();
    for event in events {
        match event {
            Event::Write(name, ..) => {
                written.insert(name);
            }
            Event::SyncEnded(name, _, Synced::Failed)
                if is_commit(name) && written.contains(name.as_str()) =>
            {
                return true;
            }
            Event::SyncEnded(name, _, Synced::Durable) => {
                written.remove(name.as_str());
            }
            _ => {}
        }
    }
    false
}

/// Files that were synchronised again after it failed, with nothing written anew in between: that would be taken
/// for durable and is not.
fn synchronised_again(events: &[Event]) -> Vec<String> {
    let mut failed: BTreeSet<&str> = BTreeSet::new();
    let mut wrong = Vec::new();
    for event in events {
        match event {
            // A folder's names are the file system's own; what is asked here is about bytes.
            Event::SyncEnded(name, _, Synced::Failed) if name.contains('/') => {
                failed.insert(name);
            }
            Event::SyncEnded(name, _, Synced::Durable) if failed.contains(name.as_str()) => {
                wrong.push(format!("`{name}` was synchronised again after it had failed"));
            }
            Event::Write(name, ..) => {
                failed.remove(name.as_str());
            }
            _ => {}
        }
    }
    wrong
}

/// The calls, and how many of them a thread makes at most in the work above.
const CALLS: [(&str, usize); 8] = [
    ("pwrite64", 480),
    ("fdatasync", 54),
    ("fsync", 40),
    ("write", 2),
    ("openat", 76),
    ("ftruncate", 4),
    ("unlink", 4),
    ("rename", 2),
];
