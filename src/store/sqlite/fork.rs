//! No fork: what the database says is compared with what was signed before, and nothing is signed where they differ.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::proof;
use crate::store::StoreError;

use super::heads::{Head, Heads};
use super::log::{SqlTiles, committed_size};
use super::{Context, database, log_key, shown};

/// The heads of the second place, which this database is not behind of.
///
/// A database without any checkpoint is new, and so are its heads.
pub(super) fn heads_compared(
    context: &Context,
    sql: &Connection,
    folder: &Path,
) -> Result<Heads, StoreError> {
    let signed = sql.query_row("SELECT EXISTS (SELECT 1 FROM checkpoints)", [], |row| row.get::<_, bool>(0));
    let is_new = !database("looking for checkpoints", signed)?;
    match (Heads::open(folder)?, is_new) {
        (None, true) => Heads::create(folder),
        (None, false) => Err(StoreError::NoHeads { path: shown(folder) }),
        (Some(mut heads), _) => {
            for (origin, head) in heads.newest() {
                compare(context, sql, origin, head)?;
            }
            nothing_unknown(sql, &heads)?;
            adopt(sql, &mut heads)?;
            Ok(heads)
        }
    }
}

/// The journal of this origin has all that was signed, and more at most.
pub(super) fn compare(
    context: &Context,
    sql: &Connection,
    origin: &str,
    head: &Head,
) -> Result<(), StoreError> {
    let keys = log_key::verifiers(context, sql, origin)?;
    let signed = keys.iter().find_map(|key| Checkpoint::open(&head.note, key).ok());
    let row = sql
        .query_row("SELECT id, retired FROM journals WHERE origin = ?1", params![origin], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        })
        .optional();
    let row = match database("looking for a journal", row)? {
        // It is never signed again, so nothing can come to contradict what was.
        Some((_, true)) => return Ok(()),
        found => found.map(|(row, _)| row),
    };
    let stored = row.map_or(Ok(0), |row| committed_size(sql, row))?;
    if stored < head.size {
        return Err(StoreError::Behind { origin: origin.to_owned(), stored, signed: head.size });
    }
    let Some(row) = row else { return Ok(()) };
    // Signed by a key that this database never heard of.
    let Some(signed) = signed else {
        return Err(StoreError::Forked { origin: origin.to_owned(), size: head.size });
    };
    let root = proof::root(&SqlTiles { sql, row }, signed.size);
    match root.map_err(|_| StoreError::Tree { doing: "comparing heads" })? {
        root if root == signed.root => Ok(()),
        _ => Err(StoreError::Forked { origin: origin.to_owned(), size: signed.size }),
    }
}

/// Keeps the heads of a last batch whose end never came: they are shown to others from now on.
fn adopt(sql: &Connection, heads: &mut Heads) -> Result<(), StoreError> {
    // Of a group with `max`, SQLite takes the other columns from the row that has it.
    let rows = sql
        .prepare(
            "SELECT origin, max(size), note FROM checkpoints JOIN journals ON journals.id = checkpoints.journal
             WHERE retired = 0 GROUP BY journals.id",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, Head { size: row.get(1)?, note: row.get(2)? })))?
                .collect::<Result<Vec<(String, Head)>, _>>()
        });
    let mut newer = database("reading the newest checkpoints", rows)?;
    newer.retain(|(origin, head)| {
        !heads.newest().any(|(known, kept)| known == origin && kept.size >= head.size)
    });
    if newer.is_empty() { Ok(()) } else { heads.put(newer) }
}

/// A journal that the second place does not know can only be one whose first batch was cut short.
fn nothing_unknown(sql: &Connection, heads: &Heads) -> Result<(), StoreError> {
    let rows = sql
        .prepare(
            "SELECT origin, (SELECT count(*) FROM checkpoints WHERE journal = id) FROM journals WHERE retired = 0",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    for (origin, batches) in database("reading the journals", rows)? {
        let is_known = heads.newest().any(|(known, _)| known == origin);
        if !is_known && batches > 1 {
            return Err(StoreError::Forked { origin, size: 0 });
        }
    }
    Ok(())
}
