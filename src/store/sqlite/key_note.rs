//! From the key store into the log: each operation on roots and ring leaves a note in its own transaction, and the
//! note becomes an entry, once, before anything else is served.
//!
//! INVARIANT: the note goes only after its entry is durable; the entry's transaction remembers the note's id, so that a
//! crash in between, or an older `keys.sqlite`, makes no second entry.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::audit::event::{Fact, Kind};
use crate::clock::Timestamp;
use crate::keys::{KeyRing, Place, Purpose};
use crate::secret::{Entropy, random_bytes};
use crate::store::StoreError;

use super::keystore::{KeyStore, lock};
use super::tx::Tx;
use super::{SqliteStore, count, database, holder, opened, sealed};

/// What was done to a key, as its entry will say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// `rotated` or `retired`.
    pub(super) operation: String,
    /// The key, as people are shown it.
    pub(super) key: String,
    /// The key that takes its place.
    pub(super) new_key: Option<String>,
    /// Why.
    pub(super) reason: String,
    /// When.
    pub(super) at_ms: i64,
}

type NoteId = [u8; 16];

/// Leaves a note, in the transaction of what it tells of.
pub(super) fn leave(
    sql: &Connection,
    ring: &KeyRing,
    note: &Note,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let id: NoteId = random_bytes(entropy)?;
    let text = serde_json::to_vec(note).map_err(|_| StoreError::Damaged { what: "a note" })?;
    let note = ring.sealing(Purpose::NamedKeys).seal(place(&id), &text, entropy);
    let note = sealed("sealing a note", note)?;
    let left = sql.execute("INSERT INTO key_notes (id, note) VALUES (?1, ?2)", params![id, note]);
    database("leaving a note", left).map(count)
}

/// The notes that have no entry yet.
pub(super) fn waiting(sql: &Connection, ring: &KeyRing) -> Result<Vec<(NoteId, Note)>, StoreError> {
    let rows = sql.prepare("SELECT id, note FROM key_notes").and_then(|mut statement| {
        statement
            .query_map([], |row| Ok((row.get::<_, NoteId>(0)?, row.get::<_, Vec<u8>>(1)?)))?
            .collect::<Result<Vec<_>, _>>()
    });
    let mut notes = Vec::new();
    for (id, note) in database("reading notes", rows)? {
        let text = opened("opening a note", ring.sealing(Purpose::NamedKeys).open(place(&id), &note))?;
        let note: Note = serde_json::from_slice(text.expose())
            .map_err(|_| StoreError::Damaged { what: "a note of the key store" })?;
        notes.push((id, note));
    }
    notes.sort_by_key(|(_, note)| note.at_ms);
    Ok(notes)
}

impl KeyStore {
    fn notes_waiting(&self) -> Result<Vec<(NoteId, Note)>, StoreError> {
        waiting(&lock(&self.sql), &self.ring)
    }

    fn note_forget(&self, id: &NoteId) -> Result<(), StoreError> {
        let gone = lock(&self.sql).execute("DELETE FROM key_notes WHERE id = ?1", params![id]);
        database("taking a note away", gone).map(count)
    }
}

impl SqliteStore {
    /// Makes an entry of every note that has none yet; gives how many there were.
    pub(super) async fn key_notes_enter(&self) -> Result<usize, StoreError> {
        let notes = self.context.keys.notes_waiting()?;
        let count = notes.len();
        for (id, note) in notes {
            self.writer.unlogged(move |tx| enter(tx, &id, &note)).await?;
            self.context.keys.note_forget(&id)?;
        }
        Ok(count)
    }
}

fn enter(tx: &mut Tx<'_>, id: &NoteId, note: &Note) -> Result<(), StoreError> {
    let known =
        tx.sql.query_row("SELECT 1 FROM key_notes_entered WHERE id = ?1", params![id], |_| Ok(())).optional();
    if database("looking for a note", known)?.is_some() {
        return Ok(());
    }
    let kept = tx.sql.execute("INSERT INTO key_notes_entered (id) VALUES (?1)", params![id]);
    database("keeping a note's id", kept)?;
    let policy = holder::policy_active(tx.sql)?;
    let mut event = tx
        .system_event(Kind::KeyOperation, policy)
        .text(Fact::Operation, &note.operation)
        .text(Fact::Key, &note.key)
        .text(Fact::Reason, &note.reason)
        .text(Fact::Detail, &format!("done at {}", Timestamp::from_millis(note.at_ms)));
    if let Some(new) = &note.new_key {
        event = event.text(Fact::NewKey, new);
    }
    tx.enter_private(&event, &[]).map(|_| ())
}

const fn place(id: &NoteId) -> Place<'_> {
    Place { table: "key_notes", row: id, column: "note", version: 1 }
}
