//! A disk that is full: a small file system in memory, in a namespace of this test's own, filled until the store
//! refuses, then made larger.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::audit::{Depth, audit};
use crate::driver::{ACKS, Ack, DRIVE, HEADS, REFUSED, STORE, Work, policy_put};
use crate::kill::cut_copy;
use crate::recording::{copy_folder, runtime, scratch};
use crate::row::{Control, Form, Row};

/// What makes this executable the one inside the namespace, as its first argument.
pub(crate) const INSIDE: &str = "full-inside";

/// Fills small disks.
pub(crate) fn run(form: Form) -> Row {
    let Some(unshare) = namespaces() else {
        return Row::left_out("no mount namespace can be made here (`unshare -m`, `unshare -rm`)".to_owned());
    };
    let mut row = Row::default();
    let mut control = Control { what: "the newest commits cut off the log", tried: 0, noticed: 0 };
    for number in 0..form.pick(2, 20_u64) {
        let scratch = scratch();
        let mut command = Command::new(unshare[0]);
        command.args(&unshare[1..]).arg(std::env::current_exe().expect("this executable"));
        command.args([INSIDE, scratch.path().to_str().unwrap(), &number.to_string()]).stdin(Stdio::null());
        let output = command.output().expect("unshare runs");
        let said = String::from_utf8_lossy(&output.stdout);
        for line in said.lines() {
            let number = |text: &str| text.parse::<u64>().expect("a number");
            match line.split_once(' ') {
                Some(("filled", how_many)) => {
                    row.count(1, "disks filled");
                    row.count(number(how_many), "acknowledgements");
                }
                Some(("resumed", how_many)) => {
                    row.count(number(how_many), "acknowledgements after it was enlarged");
                }
                Some(("noticed", how_many)) => {
                    control.tried += 1;
                    control.noticed += number(how_many);
                }
                _ => row.note(format!("disk {number}: {line}", number = row.tried.len())),
            }
        }
        if !output.status.success() {
            row.note(format!("disk {number}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    row.controls.push(control);
    row
}

fn namespaces() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-rm"]];
    ways.into_iter().find(|way| {
        let mut tried = Command::new(way[0]);
        tried.args(&way[1..]).args(["sh", "-c", "mount -t tmpfs tmpfs /mnt"]);
        tried.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

/// Inside the namespace: one disk, filled and enlarged. Says what came of it line by line.
pub(crate) fn inside(args: &[String]) -> ExitCode {
    let [scratch, number] = args else { panic!("told a folder and a number") };
    let (scratch, number): (&Path, u64) = (Path::new(scratch), number.parse().expect("a number"));
    let (founded, folder, runtime) = (scratch.join("founded"), scratch.join("holder"), runtime());
    policy_put(&founded);
    runtime.block_on(crate::driver::found(&founded)).expect("a founding");
    // The disk of the database in the one case, that of the heads in the other.
    let (small, enough) = if number % 2 == 0 { (STORE, "4m") } else { (HEADS, "3m") };
    for part in [STORE, HEADS] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let target = folder.join(small);
    mount(&["-t", "tmpfs", "-o", &format!("size={enough}"), "tmpfs", target.to_str().unwrap()]);
    copy_folder(&founded, &folder);
    // Each disk is full at another place.
    std::fs::write(target.join("ballast"), vec![1; usize::try_from(number * 1_777).unwrap()]).unwrap();
    let tasks = u32::try_from(1 + number % 7).unwrap();
    let work = Work { folder: folder.clone(), sessions: 1, tasks, entries: u32::MAX };
    let (exit, said) = drive(&work);
    if exit != Some(i32::from(REFUSED)) {
        println!("on a full disk the driver ended with {exit:?}: {said}");
    }
    if said.contains("answers") {
        println!("on a full disk it goes on answering: {said}");
    }
    let acks = Ack::read(&folder);
    println!("filled {}", acks.len());
    if let Some(copy) = cut_copy(&folder) {
        println!("noticed {}", u64::from(audit(&runtime, &copy, &acks, Depth::Entries).is_err()));
    }
    mount(&["-o", "remount,size=64m", target.to_str().unwrap()]);
    if let Err(wrong) = audit(&runtime, &folder, &acks, Depth::Whole) {
        println!("{wrong}");
    }
    let (exit, said) = drive(&Work { entries: 20, ..work });
    if exit != Some(0) {
        println!("after it was enlarged the driver ended with {exit:?}: {said}");
    }
    let all = Ack::read(&folder);
    println!("resumed {}", all.len() - acks.len());
    if let Err(wrong) = audit(&runtime, &folder, &all, Depth::Whole) {
        println!("{wrong}");
    }
    ExitCode::SUCCESS
}

/// Runs the driver, and gives what it said besides acknowledgements since then.
fn drive(work: &Work) -> (Option<i32>, String) {
    let executable = std::env::current_exe().expect("this executable");
    let status =
        Command::new(executable).args(work.args()).stdin(Stdio::null()).stderr(Stdio::null()).status();
    let said = std::fs::read_to_string(work.folder.join(ACKS)).unwrap_or_default();
    let other = said.lines().filter(|line| !line.starts_with("ack") && !line.starts_with("size"));
    (status.expect(DRIVE).code(), other.collect::<Vec<_>>().join("; "))
}

fn mount(args: &[&str]) {
    let status = Command::new("mount").args(args).status().expect("mount runs");
    assert!(status.success(), "`mount {}` failed", args.join(" "));
}
