//! Recordings of the driver at work, and the folders that they are made and replayed in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::audit::{database_names, heads_name};
use crate::disk::Disk;
use crate::driver::{ACKS, Ack, HEADS, STORE, Work, policy_put};
use crate::trace::{Event, Fault, Strings, read, record};

/// What the driver did to a disk.
pub(crate) struct Recording {
    /// The disk before.
    pub(crate) before: Disk,
    /// The files of the database before, none in an empty folder.
    pub(crate) database: BTreeMap<String, Vec<u8>>,
    /// What was acknowledged before.
    pub(crate) acks: Vec<Ack>,
    pub(crate) events: Vec<Event>,
}

/// A folder that goes away: in memory where there is such a place, because a replay needs speed and no disk.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("onebit-torture-").to_owned();
    if memory.is_dir() { builder().tempdir_in(memory).unwrap() } else { builder().tempdir().unwrap() }
}

/// A founded store, closed, with what was acknowledged of it.
pub(crate) struct Founded {
    scratch: TempDir,
    next: std::cell::Cell<u32>,
}

impl Founded {
    /// Founds one.
    pub(crate) fn new() -> Self {
        let scratch = scratch();
        let founded = scratch.path().join("founded");
        policy_put(&founded);
        let runtime = runtime();
        runtime.block_on(crate::driver::found(&founded)).expect("a founding");
        Self { scratch, next: 0.into() }
    }

    /// A copy in a folder of its own.
    pub(crate) fn copy(&self) -> PathBuf {
        let number = self.next.get();
        self.next.set(number + 1);
        let to = self.scratch.path().join(format!("copy-{number}"));
        copy_folder(&self.scratch.path().join("founded"), &to);
        to
    }

    /// Records the driver at work on a copy, each time with another fault or none.
    pub(crate) fn record(&self, work: &Work, faults: &[Option<Fault>]) -> Recording {
        let folder = self.copy();
        let work = Work { folder: folder.clone(), ..work.clone() };
        let before = disk_of(&folder);
        let files = contents(&folder);
        let is_database = |(name, _): &(&String, &Vec<u8>)| database_names().contains(name);
        let database = files.iter().filter(is_database).map(|(name, bytes)| (name.clone(), bytes.clone()));
        let (database, acks) = (database.collect(), Ack::read(&folder));
        let mut events = Vec::new();
        for (run, fault) in faults.iter().enumerate() {
            let text = record(&work, fault.as_ref(), Strings::Whole).text;
            events.extend(read(&text, &folder, Strings::Whole).into_iter().map(|event| numbered(event, run)));
        }
        fs::remove_dir_all(&folder).unwrap();
        Recording { before, database, acks, events }
    }
}

/// Records the founding in an empty folder.
pub(crate) fn record_founding() -> Recording {
    let scratch = scratch();
    let folder = scratch.path().join("holder");
    policy_put(&folder);
    let work = Work { folder: folder.clone(), sessions: 0, tasks: 0, entries: 0 };
    let before = disk_of(&folder);
    let text = record(&work, None, Strings::Whole).text;
    Recording {
        before,
        database: BTreeMap::new(),
        acks: Vec::new(),
        events: read(&text, &folder, Strings::Whole),
    }
}

/// Synchronisations of several runs must not be taken for one another.
fn numbered(event: Event, run: usize) -> Event {
    let number = |number: usize| number + run * 1_000_000_000;
    match event {
        Event::SyncBegun(name, at) => Event::SyncBegun(name, number(at)),
        Event::SyncEnded(name, at, end) => Event::SyncEnded(name, number(at), end),
        other => other,
    }
}

fn disk_of(folder: &Path) -> Disk {
    let folders: Vec<&str> = [STORE, HEADS].into_iter().filter(|name| folder.join(name).is_dir()).collect();
    Disk::with(&folders, contents(folder))
}

/// The files of a driver's folder but for the acknowledgements, by their names below it.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in database_names().into_iter().chain([heads_name()]) {
        if let Ok(bytes) = fs::read(folder.join(&name)) {
            files.insert(name, bytes);
        }
    }
    files
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Leaves in a folder what a power cut left, and nothing else.
pub(crate) fn put_back(folder: &Path, left: &BTreeMap<String, Option<Vec<u8>>>) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    for (name, contents) in left {
        let path = folder.join(name);
        match contents {
            None => fs::create_dir(path).unwrap(),
            Some(bytes) => write_sparse(&path, bytes),
        }
    }
}

/// Leaves pages of zeros out: most of the file of heads is nothing else.
fn write_sparse(path: &Path, bytes: &[u8]) {
    let file = fs::File::create(path).unwrap();
    file.set_len(u64::try_from(bytes.len()).unwrap()).unwrap();
    for (page, chunk) in (0_u64..).zip(bytes.chunks(PAGE)) {
        if *chunk != ZEROS[..chunk.len()] {
            file.write_all_at(chunk, page * u64::try_from(PAGE).unwrap()).unwrap();
        }
    }
}

/// Puts the database back to what it was.
pub(crate) fn put_database_back(folder: &Path, database: &BTreeMap<String, Vec<u8>>) {
    for name in database_names() {
        for name in [name.clone(), name.replace("-wal", "-shm")] {
            let path = folder.join(name);
            if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
    }
    for (name, bytes) in database {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Takes the two newest commits away, as a control: the check that follows must notice.
pub(crate) fn newest_commit_cut_off(folder: &Path) -> bool {
    let log = folder.join(&database_names()[1]);
    let Ok(bytes) = fs::read(&log) else { return false };
    let Some(commit) = commits(&bytes).into_iter().rev().nth(2) else { return false };
    fs::write(&log, &bytes[..commit]).unwrap();
    true
}

/// Where the commits of a write-ahead log end (<https://www.sqlite.org/fileformat2.html#walformat>).
fn commits(log: &[u8]) -> Vec<usize> {
    let number = |at: usize| log.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().unwrap()));
    let Some(page) = number(8).and_then(|page| usize::try_from(page).ok()).filter(|page| *page > 0) else {
        return Vec::new();
    };
    let salts = log.get(16..24);
    let frames = (HEADER..log.len()).step_by(FRAME_HEADER + page);
    let is_current = |at: &usize| log.get(at + 8..at + 16) == salts && at + FRAME_HEADER + page <= log.len();
    let is_commit = |at: &usize| number(at + 4).is_some_and(|pages| pages > 0);
    frames.take_while(is_current).filter(is_commit).map(|at| at + FRAME_HEADER + page).collect()
}

/// A runtime for calls of the store.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Where the acknowledgements of a folder stand.
pub(crate) fn acks_file(folder: &Path) -> PathBuf {
    folder.join(ACKS)
}

const PAGE: usize = 1 << 16;
static ZEROS: [u8; PAGE] = [0; PAGE];
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
