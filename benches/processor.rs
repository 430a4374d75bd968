//! Processor time of a process, by what its threads are called (proc(5)).

#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "a bench that can't go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a process has taken, in the system's ticks of 10 ms.
pub(crate) struct Processor {
    all: u64,
    threads: BTreeMap<String, u64>,
}

impl Processor {
    /// Reads it of a process. Threads that end take theirs with them, but for the sum.
    pub(crate) fn read(process: u32) -> Self {
        let folder = Path::new("/proc").join(process.to_string());
        let mut threads = BTreeMap::new();
        for thread in fs::read_dir(folder.join("task")).unwrap() {
            let thread = thread.unwrap().path();
            let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            // A thread may have ended since it was listed.
            *threads.entry(name.trim().to_owned()).or_default() += ticks(&thread).unwrap_or(0);
        }
        Self { all: ticks(&folder).unwrap(), threads }
    }

    /// What came since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let was = |name: &String| before.threads.get(name).copied().unwrap_or(0);
        let threads = self.threads.iter().map(|(name, now)| (name.clone(), now.saturating_sub(was(name))));
        Self { all: self.all - before.all, threads: threads.collect() }
    }

    /// Microseconds of all of it.
    pub(crate) fn micros(&self) -> f64 {
        self.all as f64 * TICK_MICROS
    }

    /// Microseconds of the threads of these names.
    pub(crate) fn micros_of(&self, names: &[&str]) -> f64 {
        let of = |name: &&str| self.threads.get(*name).copied().unwrap_or(0) as f64;
        names.iter().map(of).sum::<f64>() * TICK_MICROS
    }
}

/// User and system time (fields 14 and 15); nothing of a thread that is gone.
fn ticks(folder: &Path) -> Option<u64> {
    let line = fs::read_to_string(folder.join("stat")).ok()?;
    // A name may hold spaces and brackets; two fields come before it.
    let (_, fields) = line.rsplit_once(')')?;
    Some(fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum())
}

/// USER_HZ is 100 on every Linux that the server runs on.
const TICK_MICROS: f64 = 10_000.0;
/// The threads that write the log, answer, and move pages into the database.
pub(crate) const LOG_THREADS: [&str; 3] = ["onebit-writer", "onebit-answers", "onebit-pages"];
