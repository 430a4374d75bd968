//! What must be true of a store after it was hurt: it opens, and everything acknowledged stands where it was said to.

use std::collections::BTreeMap;
use std::path::Path;

use onebit::audit::tree::leaf_hash;
use onebit::store::sqlite::{SqliteStore, files, fsck};
use onebit::store::{LoggedEntry, Store, StoreError};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::driver::{Ack, HEADS, STORE, root_key, store_open};

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// So many acknowledged entries are missing or changed; the first of them.
    Lost(u64, String),
    /// It does not open.
    NoStart(String),
    /// It opens, but is not whole.
    Damaged(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(how_many, first) => write!(out, "{how_many} acknowledged entries lost, {first} first"),
            Self::NoStart(why) => write!(out, "the store does not open: {why}"),
            Self::Damaged(why) => write!(out, "the store is not whole: {why}"),
        }
    }
}

/// How much is looked at besides the acknowledged entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What every state is asked.
    Entries,
    /// Also whether the store goes on, and a check of all that is in it.
    Whole,
}

/// Looks at the store of a folder.
pub(crate) fn audit(runtime: &Runtime, folder: &Path, acks: &[Ack], depth: Depth) -> Result<(), Wrong> {
    let store = store_open(folder).map_err(|error| Wrong::NoStart(chain(&error)))?;
    entries(folder, acks)?;
    openings(runtime, &store, acks)?;
    if depth == Depth::Whole && goes_on(runtime, &store)? == Founding::Held {
        whole(folder)?;
    }
    Ok(())
}

/// Each acknowledged entry is at its index, with its hash.
fn entries(folder: &Path, acks: &[Ack]) -> Result<(), Wrong> {
    let [database, _] = files(&folder.join(STORE));
    let sql = Connection::open(database).map_err(|error| damaged(&error))?;
    let mut stored: BTreeMap<String, BTreeMap<u64, [u8; 32]>> = BTreeMap::new();
    let mut statement = sql
        .prepare("SELECT name, idx, entry FROM entries JOIN journals ON journals.id = entries.journal")
        .map_err(|error| damaged(&error))?;
    let mut rows = statement.query([]).map_err(|error| damaged(&error))?;
    while let Some(row) = rows.next().map_err(|error| damaged(&error))? {
        let entry: Vec<u8> = row.get(2).map_err(|error| damaged(&error))?;
        let leaf = *leaf_hash(&entry).as_bytes();
        let journal = row.get(0).map_err(|error| damaged(&error))?;
        stored.entry(journal).or_default().insert(row.get(1).map_err(|error| damaged(&error))?, leaf);
    }
    let is_there = |ack: &&Ack| {
        let leaf = stored.get(&ack.journal).and_then(|journal| journal.get(&ack.index));
        leaf.is_some_and(|leaf| {
            ack.leaf.as_ref().is_none_or(|told| *told == data_encoding::HEXLOWER.encode(leaf))
        })
    };
    let lost: Vec<&Ack> = acks.iter().filter(|ack| !is_there(ack)).collect();
    match lost.first() {
        None => Ok(()),
        Some(first) => {
            let how_many = u64::try_from(lost.len()).unwrap_or(u64::MAX);
            Err(Wrong::Lost(how_many, format!("{}/{}", first.journal, first.index)))
        }
    }
}

/// What opens the newest acknowledged entry of each partner is there too, and so are the keys that it is under.
fn openings(runtime: &Runtime, store: &SqliteStore, acks: &[Ack]) -> Result<(), Wrong> {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for ack in acks.iter().filter(|ack| ack.journal != "holder") {
        let known = newest.entry(&ack.journal).or_default();
        *known = ack.index.max(*known);
    }
    for (journal, index) in newest {
        let partner = journal.parse().expect("a partner's journal has a partner's name");
        let read = runtime.block_on(store.journal_read(partner, index, 1)).map_err(|error| {
            Wrong::Damaged(format!("the opening of {journal}/{index} can't be read: {}", chain(&error)))
        })?;
        let is_open = |read: &LoggedEntry| {
            read.opening.as_ref().is_some_and(|opening| read.entry.opens(opening).is_ok())
        };
        let opens = read.first().is_some_and(is_open);
        if !opens {
            return Err(Wrong::Damaged(format!("nothing opens {journal}/{index}")));
        }
    }
    Ok(())
}

/// Everything that follows from the entries is what the store holds, and SQLite finds nothing either.
fn whole(folder: &Path) -> Result<(), Wrong> {
    let report = fsck(&folder.join(STORE), root_key(), &mut |_, _, _| ());
    let report = report.map_err(|error| Wrong::Damaged(format!("it can't be checked: {}", chain(&error))))?;
    match report.faults.first() {
        Some(fault) if !report.is_whole() => Err(Wrong::Damaged(format!("{fault:?}"))),
        _ => Ok(()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Founding {
    Held,
    /// The power was cut before it; it can be held now.
    NotYet,
}

/// The next entry is taken.
fn goes_on(runtime: &Runtime, store: &SqliteStore) -> Result<Founding, Wrong> {
    let founded = runtime.block_on(store.holder_get()).map_err(|error| Wrong::Damaged(chain(&error)))?;
    if founded.is_none() {
        return Ok(Founding::NotYet);
    }
    let started = runtime.block_on(store.server_started("torture"));
    started
        .map(|_receipt| Founding::Held)
        .map_err(|error| Wrong::Damaged(format!("it takes no entry: {}", chain(&error))))
}

/// Whether a store whose database was put back to what it was before is told from the newest one.
pub(crate) fn rollback_is_seen(folder: &Path) -> bool {
    matches!(store_open(folder), Err(StoreError::Behind { .. }))
}

/// The files of a store's folder that SQLite or the store make, as they lie below the folder of a driver.
pub(crate) fn database_names() -> [String; 4] {
    ["onebit.sqlite", "onebit.sqlite-wal", "keys.sqlite", "keys.sqlite-wal"]
        .map(|name| format!("{STORE}/{name}"))
}

/// The file of heads below the folder of a driver.
pub(crate) fn heads_name() -> String {
    format!("{HEADS}/heads")
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn damaged(error: &rusqlite::Error) -> Wrong {
    Wrong::Damaged(error.to_string())
}
