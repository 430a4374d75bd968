//! The keys of the log: which of them signed which checkpoints, and the entries that say when one followed another.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::audit::event::{Event, Fact};
use crate::audit::note::VerifierKey;
use crate::store::StoreError;

use super::super::database;
use super::JournalRow;
use super::report::{FaultPlace, FsckReport};
use super::view::View;

/// The keys of one journal in their order, each with the entry that made it the key.
pub(super) struct Keys {
    name: String,
    origin: String,
    keys: Vec<(Option<u64>, VerifierKey)>,
    /// By entry, the public halves that it must state: the one before and the one after.
    due: BTreeMap<u64, Option<[[u8; 32]; 2]>>,
}

impl Keys {
    /// Reads the keys of a journal.
    pub(super) fn read(view: &View, journal: &JournalRow) -> Result<Self, StoreError> {
        let known = known(view)?;
        let read = "SELECT number, idx FROM log_key_changes WHERE journal = ?1 ORDER BY number";
        let rows = view.sql.prepare_cached(read).and_then(|mut statement| {
            statement
                .query_map(params![journal.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
        let changes = database("reading the log's keys", rows)?;
        let verifier = |key: &[u8; 32]| VerifierKey::new(&journal.origin, *key).ok();
        let mut keys = Vec::new();
        let first = match changes.first() {
            Some((number, _)) => known.get(&number.saturating_sub(1)).copied(),
            None if journal.retired => left_under(view, journal, &known)?,
            None => known.last_key_value().map(|(_, key)| *key),
        };
        keys.extend(first.as_ref().and_then(verifier).map(|key| (None, key)));
        let mut due = BTreeMap::new();
        for (number, index) in changes {
            let index = u64::try_from(index).unwrap_or(u64::MAX);
            let both = known.get(&number.saturating_sub(1)).zip(known.get(&number));
            due.insert(index, both.map(|(old, new)| [*old, *new]));
            keys.extend(known.get(&number).and_then(verifier).map(|key| (Some(index), key)));
        }
        Ok(Self { name: journal.name.clone(), origin: journal.origin.clone(), keys, due })
    }

    /// Whether none is at hand, which is told once for all journals.
    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that must have signed the checkpoint of a size, with the size of the one before it: two at the
    /// hand-over from one to the other.
    pub(super) fn at(&self, before: u64, size: u64) -> &[(Option<u64>, VerifierKey)] {
        let end = self.keys.partition_point(|(index, _)| index.is_none_or(|index| index < size));
        let handed = end.checked_sub(1).and_then(|at| self.keys.get(at)).and_then(|(index, _)| *index);
        let both = handed.is_some_and(|index| index >= before);
        self.keys.get(end.saturating_sub(if both { 2 } else { 1 })..end).unwrap_or_default()
    }

    /// An entry that says that the key was changed.
    pub(super) fn take(&mut self, index: u64, event: &Event, report: &mut FsckReport) {
        let place = FaultPlace::Entry { journal: self.name.clone(), index };
        let Some(due) = self.due.remove(&index) else {
            return report.fault(place, "it says that the log's key was changed, and no row tells of it");
        };
        let [old, new] = [Fact::OldPublicKey, Fact::NewPublicKey].map(|fact| event.fact(fact));
        let same = due.is_some_and(|[was, is]| old == Some(&was) && new == Some(&is));
        if !same || event.text_of(Fact::Origin) != Some(&self.origin) {
            report.fault(self.row(index), "the keys or the origin are not those that its entry states");
        }
    }

    /// The journal was read: changes that no entry states.
    pub(super) fn end(&self, report: &mut FsckReport) {
        for index in self.due.keys() {
            report.fault(self.row(*index), "the entry that it names does not say that the key was changed");
        }
    }

    fn row(&self, index: u64) -> FaultPlace {
        let row = format!("journal {}, entry {index}", self.name);
        FaultPlace::Row { table: "log_key_changes", row }
    }
}

/// Holds the keys against their order, and the newest against the one that signs.
pub(super) fn compare(view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
    let known = known(view)?;
    let place = |number: i64| FaultPlace::Row { table: "log_keys", row: format!("key {number}") };
    for (number, due) in known.keys().zip(0_i64..) {
        if *number != due {
            report.fault(place(*number), format!("key {due} is due"));
        }
    }
    let changes = "SELECT coalesce(max(number), 0) FROM log_key_changes";
    let newest = database("reading the log's keys", view.sql.query_row(changes, [], |row| row.get(0)))?;
    if known.keys().next_back().copied().unwrap_or_default() != newest {
        report.fault(place(newest), "the journals changed to another key last");
    }
    Ok(())
}

/// All keys by number; the one that signs where none was replaced yet.
fn known(view: &View) -> Result<BTreeMap<i64, [u8; 32]>, StoreError> {
    let rows =
        view.sql.prepare_cached("SELECT number, public_key FROM log_keys").and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    let rows = database("reading the log's keys", rows)?;
    let mut known: BTreeMap<i64, [u8; 32]> =
        rows.into_iter().map(|(number, key)| (number, key.try_into().unwrap_or_default())).collect();
    if known.is_empty() {
        known.extend(view.log_key.map(|key| (0, key)));
    }
    Ok(known)
}

/// The key of a tree that was left behind before any change of it: no row tells which it was.
fn left_under(
    view: &View,
    journal: &JournalRow,
    known: &BTreeMap<i64, [u8; 32]>,
) -> Result<Option<[u8; 32]>, StoreError> {
    use rusqlite::OptionalExtension;
    let read = "SELECT note FROM checkpoints WHERE journal = ?1 ORDER BY size DESC LIMIT 1";
    let note = view.sql.query_row(read, params![journal.id], |row| row.get::<_, String>(0)).optional();
    let Some(note) = database("reading a checkpoint", note)? else { return Ok(None) };
    let signed = |key: &[u8; 32]| {
        let key = VerifierKey::new(&journal.origin, *key);
        key.is_ok_and(|key| crate::audit::checkpoint::Checkpoint::open(&note, &key).is_ok())
    };
    let newest = known.values().next_back();
    Ok(known.values().copied().find(signed).or_else(|| newest.copied()))
}
