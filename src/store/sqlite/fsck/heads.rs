//! Heads of partners' journals, and what witnesses said of the holder's: the rows against the entries.

use rusqlite::{OptionalExtension, params};

use crate::audit::cosignature::WitnessKey;
use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::store::StoreError;

use super::super::database;
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::View;
use super::{JournalRow, owner};

/// Holds the rows that say where heads stand against the entries that state them.
pub(super) fn compare(
    view: &View,
    journals: &[JournalRow],
    history: &History,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let read = "SELECT journal, size, idx FROM journal_heads ORDER BY journal, size";
    let mut statement = database("reading heads", view.sql.prepare(read))?;
    let mut rows = database("reading heads", statement.query([]))?;
    let mut stated = history.stated.clone();
    let mut first = None;
    while let Some(row) = database("reading heads", rows.next())? {
        let read =
            || -> Result<(i64, i64, i64), rusqlite::Error> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (journal, size, index) = database("reading heads", read())?;
        let name = journals.iter().find(|known| known.id == journal).map(|known| owner(&known.name));
        let key = name.zip(u64::try_from(size).ok()).zip(u64::try_from(index).ok());
        let found = key.and_then(|((name, size), index)| stated.remove(&(name.to_owned(), size, index)));
        match found {
            Some(at) => first = Some(first.map_or(at, |first| at.min(first))),
            // What its entry states was disposed of.
            None if name.is_some() && is_disposed(view, journals, index)? => {}
            None => {
                let row = format!("journal {}, {size} entries", name.unwrap_or("that is not there"));
                let what = "the entry that it names states no such head";
                report.fault(FaultPlace::Row { table: "journal_heads", row }, what);
            }
        }
    }
    // Earlier ones were entered before these rows were kept.
    for ((name, size, _), at) in stated {
        if first.is_some_and(|first| first <= at) {
            let row = format!("journal {name}, {size} entries");
            let what = "it is missing, and an entry states this head";
            report.fault(FaultPlace::Row { table: "journal_heads", row }, what);
        }
    }
    Ok(())
}

/// Whether the holder's entry of an index is one of those that were disposed of.
fn is_disposed(view: &View, journals: &[JournalRow], index: i64) -> Result<bool, StoreError> {
    for tree in journals.iter().filter(|known| owner(&known.name) == super::HOLDER) {
        let read = "SELECT at_ms FROM entries WHERE journal = ?1 AND idx = ?2";
        let at = view.sql.prepare_cached(read).and_then(|mut statement| {
            statement.query_row(params![tree.id, index], |row| row.get::<_, i64>(0)).optional()
        });
        let at = database("reading an entry", at)?.map(Timestamp::from_millis);
        if at.is_some_and(|at| view.disposals.covers(PayloadClass::Access, at)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Verifies every cosignature over its checkpoint.
pub(super) fn cosignatures(
    view: &View,
    journals: &[JournalRow],
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let read = "SELECT journal, size, witness, line FROM cosignatures ORDER BY journal, size, witness";
    let mut statement = database("reading cosignatures", view.sql.prepare(read))?;
    let mut rows = database("reading cosignatures", statement.query([]))?;
    while let Some(row) = database("reading cosignatures", rows.next())? {
        let read = || -> Result<(i64, i64, String, String), rusqlite::Error> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (journal, size, witness, line) = database("reading cosignatures", read())?;
        let name = journals.iter().find(|known| known.id == journal).map(|known| known.name.as_str());
        let row = format!("journal {}, checkpoint {size}", name.unwrap_or("that is not there"));
        let place = FaultPlace::Row { table: "cosignatures", row };
        if name.map(owner) != Some(super::HOLDER) {
            report.fault(place.clone(), "only the holder's journal is cosigned");
        }
        let Some(note) = note(view, journal, size)? else {
            report.fault(place, "there is no checkpoint of that size");
            continue;
        };
        let Ok(key) = witness.parse::<WitnessKey>() else {
            report.fault(place, "its witness is no verifier key of one");
            continue;
        };
        let made = key.on(&format!("{note}{line}")).ok().flatten();
        if made.is_none_or(|made| key.line(&made) != line) || key.to_string() != witness {
            report.fault(place, "it does not hold over the checkpoint of that size");
        }
    }
    Ok(())
}

/// The checkpoint of a size as it stands in its row.
pub(super) fn note(view: &View, journal: i64, size: i64) -> Result<Option<String>, StoreError> {
    let read = "SELECT note FROM checkpoints WHERE journal = ?1 AND size = ?2";
    let note = view.sql.prepare_cached(read).and_then(|mut statement| {
        statement.query_row(params![journal, size], |row| row.get::<_, String>(0)).optional()
    });
    database("reading a checkpoint", note)
}
