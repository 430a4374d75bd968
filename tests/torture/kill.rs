//! Kills: the driver is killed at a random moment, again and again on the same store, and everything that it had
//! acknowledged must be there at the next start. Says nothing about power: the kernel goes on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::audit::{Depth, audit};
use crate::disk::mix;
use crate::driver::{Ack, Work};
use crate::holder::PATIENCE;
use crate::recording::{Founded, acks_file, newest_commit_cut_off, runtime};
use crate::row::{Control, Form, Row};

/// Kills drivers.
pub(crate) fn run(form: Form) -> Row {
    let (founded, runtime) = (Founded::new(), runtime());
    let mut row = Row::default();
    let mut control = Control { what: "the newest commits cut off the log", tried: 0, noticed: 0 };
    let kills = form.pick(40, 1_000);
    let mut killed = 0;
    while killed < kills {
        let folder = founded.copy();
        for _ in 0..KILLS_A_STORE.min(kills - killed) {
            let seed = mix(form.seed(), "kill", killed);
            kill_one(&folder, seed);
            killed += 1;
            // Before anything else opens the store, which would empty the log.
            let copy = (killed % 5 == 0).then(|| cut_copy(&folder)).flatten();
            let acks = Ack::read(&folder);
            let depth = if killed % 10 == 0 { Depth::Whole } else { Depth::Entries };
            if let Err(wrong) = audit(&runtime, &folder, &acks, depth) {
                row.note(format!("kill {killed}, seed {seed}: {wrong}"));
            }
            if let Some(copy) = copy {
                control.tried += 1;
                control.noticed += u64::from(audit(&runtime, &copy, &acks, Depth::Entries).is_err());
                std::fs::remove_dir_all(copy).unwrap();
            }
        }
        row.count(u64::try_from(Ack::read(&folder).len()).unwrap(), "acknowledgements");
        std::fs::remove_dir_all(folder).unwrap();
    }
    row.count(killed, "kills");
    row.controls.push(control);
    row
}

/// A copy of a store without its newest commits.
pub(crate) fn cut_copy(folder: &Path) -> Option<std::path::PathBuf> {
    let copy = folder.with_extension("cut");
    crate::recording::copy_folder(folder, &copy);
    if newest_commit_cut_off(&copy) {
        return Some(copy);
    }
    std::fs::remove_dir_all(copy).unwrap();
    None
}

/// Lets a driver work until it has acknowledged a random number of entries, or opened its store for a random
/// while, and kills it.
fn kill_one(folder: &Path, seed: u64) {
    let tasks = u32::try_from(1 + seed % 8).unwrap();
    let work = Work { folder: folder.to_owned(), sessions: 1, tasks, entries: u32::MAX };
    let mut driver = spawn(&work);
    let wanted = seed / 8 % 60;
    if wanted == 0 {
        // No condition to wait for: some kills are to fall into the start itself.
        std::thread::sleep(Duration::from_micros(seed / 512 % 60_000));
    } else {
        let before = size(folder);
        let until = Instant::now() + PATIENCE;
        while size(folder) < before + wanted * LINE_BYTES && driver.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the driver acknowledges nothing");
            std::thread::sleep(Duration::from_micros(100 + seed / 1_024 % 400));
        }
    }
    driver.kill().unwrap();
    let status = driver.wait().unwrap();
    assert!(status.code().is_none(), "the driver ended by itself, with {status}");
}

fn size(folder: &Path) -> u64 {
    std::fs::metadata(acks_file(folder)).map_or(0, |file| file.len())
}

fn spawn(work: &Work) -> Child {
    let mut driver = Command::new(std::env::current_exe().expect("this executable"));
    driver.args(work.args()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a driver")
}

/// A store grows with each kill, and looking at it takes longer.
const KILLS_A_STORE: u64 = 20;
/// About what an acknowledgement takes.
const LINE_BYTES: u64 = 80;
