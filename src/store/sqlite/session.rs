//! Sessions in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest};
use crate::store::StoreError;
use crate::store::session::Session;

use super::tx::Tx;
use super::{count, database, name};

/// The session with this keyed hash.
pub(super) fn get(sql: &Connection, id: Digest) -> Result<Option<Session>, StoreError> {
    let row = sql.prepare_cached("SELECT person, started_ms, seen_ms FROM sessions WHERE id = ?1").and_then(
        |mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
            statement.query_row(params![id.as_bytes()], read).optional()
        },
    );
    let Some((person, started, seen)) = database("reading a session", row)? else { return Ok(None) };
    Ok(Some(Session {
        id,
        person: name(&person)?,
        started: Timestamp::from_millis(started),
        seen: Timestamp::from_millis(seen),
    }))
}

/// Notes that a session was used.
pub(super) fn seen(tx: &Tx<'_>, id: Digest, seen: Timestamp) -> Result<(), StoreError> {
    let noted = tx.sql.execute(
        "UPDATE sessions SET seen_ms = max(seen_ms, ?2) WHERE id = ?1",
        params![id.as_bytes(), seen.as_millis()],
    );
    database("noting a session", noted).map(count)
}

/// Ends a session.
pub(super) fn end(tx: &Tx<'_>, id: Digest) -> Result<(), StoreError> {
    let ended = tx.sql.execute("DELETE FROM sessions WHERE id = ?1", params![id.as_bytes()]);
    database("ending a session", ended).map(count)
}

/// Ends every session of a person.
pub(super) fn end_all_of(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let ended = tx.sql.execute("DELETE FROM sessions WHERE person = ?1", params![person.as_str()]);
    database("ending sessions", ended).map(count)
}
