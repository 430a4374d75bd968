//! The key that signs checkpoints: who signs now, the change to another key, and which key signed what.
//!
//! A change is one batch: an entry in every journal, and checkpoints over them that both keys sign. The new seed is
//! durable in `keys.sqlite` before that commit; the old one is destroyed after it, or at the next start.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::backup::BackupNote;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::note::{NoteSigner, VerifierKey};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::keys::{Domain, LogSigner};
use crate::secret::Entropy;
use crate::store::change::ChangeRecord;
use crate::store::log::LogKey;
use crate::store::{Journal, StoreError};

use super::disposal::Taken;
use super::keystore::KeyStore;
use super::tx::{SYSTEM_ACTOR, Tx};
use super::{Context, SqliteStore, count, database, log};

/// Who signs checkpoints.
pub(super) struct Signers {
    current: ArcSwap<LogSigner>,
    /// Made for a change that is not committed yet.
    next: ArcSwapOption<LogSigner>,
}

impl Signers {
    /// Loads the key that signed last, or makes the first.
    pub(super) fn open(
        keys: &KeyStore,
        sql: &Connection,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, StoreError> {
        let current = match newest(sql)? {
            Some((_, public_key)) => keys.log_seed(&public_key)?,
            None => keys.log_signer(now, entropy)?,
        };
        Ok(Self { current: ArcSwap::from_pointee(current), next: ArcSwapOption::empty() })
    }

    /// The public half of the key that signs.
    pub(super) fn public_key(&self) -> [u8; 32] {
        self.current.load().public_key()
    }

    /// Signs a checkpoint of the batch that is written: in a batch that changes the key, with both.
    pub(super) fn sign(&self, sql: &Connection, checkpoint: &Checkpoint) -> Result<String, StoreError> {
        let current = self.current.load();
        let next = self.next.load();
        let Some(next) = next.as_ref() else { return Ok(checkpoint.sign(&Signer(&current))) };
        // The row tells whether the change is part of this batch: a step that was undone left none.
        match newest(sql)? {
            Some((_, public_key)) if public_key == next.public_key() => {
                Ok(checkpoint.sign_both(&Signer(&current), &Signer(next)))
            }
            _ => Ok(checkpoint.sign(&Signer(&current))),
        }
    }

    /// Signs what a backup says of itself.
    pub(super) fn sign_backup(&self, note: &BackupNote) -> String {
        note.sign(&Signer(&self.current.load()))
    }

    /// After the commit: the new key signs alone from here on.
    pub(super) fn committed(&self, sql: &Connection) -> Result<(), StoreError> {
        if self.next.load().is_none() {
            return Ok(());
        }
        let newest = newest(sql)?;
        if let Some(next) = self.next.swap(None)
            && newest.is_some_and(|(_, public_key)| public_key == next.public_key())
        {
            self.current.store(next);
        }
        Ok(())
    }
}

/// Destroys the keys that were replaced, or made for a change that never was committed. Only where the journals' heads
/// hold under the key that is kept: beside an older database it would be the wrong one.
pub(super) fn forget_replaced(context: &Context, sql: &Connection) -> Result<(), StoreError> {
    let newest = newest(sql)?.map(|(_, public_key)| public_key);
    context.keys.log_seeds_forget(newest.as_ref())
}

/// The log's key, as the note format wants it.
struct Signer<'a>(&'a LogSigner);

impl NoteSigner for Signer<'_> {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// Number and public half of the newest key; `None` as long as there was no change.
fn newest(sql: &Connection) -> Result<Option<(u64, [u8; 32])>, StoreError> {
    let row = sql
        .prepare_cached("SELECT number, public_key FROM log_keys ORDER BY number DESC LIMIT 1")
        .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional());
    database("looking for the log's key", row)
}

/// Changes the key: a new one, and an entry in every journal, the holder's last.
pub(super) fn take(tx: &mut Tx<'_>, permit: &Permit, record: &ChangeRecord) -> Result<Taken, StoreError> {
    let signers = &tx.context.signers;
    let old = signers.public_key();
    let number = match newest(tx.sql)? {
        // Another change of the same batch; one checkpoint carries two keys, and no more.
        Some((_, public_key)) if public_key != old => return Ok(Taken::Nothing),
        Some((number, _)) => number.saturating_add(1),
        None => {
            key_put(tx.sql, FIRST, &old)?;
            FIRST.saturating_add(1)
        }
    };
    let next = tx.context.keys.log_seed_make(tx.now, tx.context.entropy.as_ref())?;
    let new = next.public_key();
    key_put(tx.sql, number, &new)?;
    signers.next.store(Some(Arc::new(next)));
    let mut journals = log::journal_list(tx.sql)?;
    journals.sort_by_key(|head| head.journal == Journal::Holder);
    for head in journals {
        let index = enter(tx, permit, record, &head.journal, &head.origin, [&old, &new])?;
        let (row, _) =
            log::journal_find(tx.sql, &head.journal)?.ok_or(StoreError::Damaged { what: "a journal" })?;
        let kept = tx.sql.execute(
            "INSERT INTO log_key_changes (journal, number, idx) VALUES (?1, ?2, ?3)",
            params![row, number, index],
        );
        database("keeping a change of the log's key", kept)?;
    }
    Ok(Taken::Something)
}

/// Both sides say the same of the keys; who changed them is the holder's to know.
fn enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    record: &ChangeRecord,
    journal: &Journal,
    origin: &str,
    [old, new]: [&[u8; 32]; 2],
) -> Result<u64, StoreError> {
    let stating = |event: Event| {
        event.with(Fact::OldPublicKey, old).with(Fact::NewPublicKey, new).text(Fact::Origin, origin)
    };
    let shared = stating(Event::new(Kind::LogKeyChanged, tx.now, SYSTEM_ACTOR, permit.policy()));
    let holder = stating(tx.event(Kind::LogKeyChanged, permit))
        .text(Fact::Reason, &record.reason)
        .with(Fact::Change, record.id.as_bytes());
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    tx.enter(journal.clone(), &shared, &holder, &[tag])
}

fn key_put(sql: &Connection, number: u64, public_key: &[u8; 32]) -> Result<(), StoreError> {
    let put =
        sql.execute("INSERT INTO log_keys (number, public_key) VALUES (?1, ?2)", params![number, public_key]);
    database("keeping a key of the log", put).map(count)
}

/// The keys of a journal, in their order, with the size from which each signs and the hand-over that made it the key.
pub(super) fn of_journal(
    context: &Context,
    sql: &Connection,
    journal: &Journal,
) -> Result<Vec<LogKey>, StoreError> {
    let Some((row, origin)) = log::journal_find(sql, journal)? else { return Ok(Vec::new()) };
    let verifier = |public_key| {
        VerifierKey::new(&origin, public_key).map_err(|_| StoreError::Damaged { what: "a journal's origin" })
    };
    let changes = changes(sql, row)?;
    let first = match changes.first() {
        Some((number, _, _)) => key_get(sql, number.saturating_sub(1))?,
        None => newest(sql)?.map_or_else(|| context.signers.public_key(), |(_, public_key)| public_key),
    };
    let mut keys = vec![LogKey { key: verifier(first)?, from_size: 0, handover: None }];
    for (_, public_key, index) in changes {
        let (from_size, handover) = log::handover(context, sql, journal, index)?;
        keys.push(LogKey { key: verifier(public_key)?, from_size, handover: Some((index, handover)) });
    }
    Ok(keys)
}

/// Every key that ever signed, for a journal's origin.
pub(super) fn verifiers(
    context: &Context,
    sql: &Connection,
    origin: &str,
) -> Result<Vec<VerifierKey>, StoreError> {
    let rows =
        sql.prepare_cached("SELECT public_key FROM log_keys ORDER BY number").and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, [u8; 32]>(0))?.collect::<Result<Vec<_>, _>>()
        });
    let mut keys = database("reading the log's keys", rows)?;
    if keys.is_empty() {
        keys.push(context.signers.public_key());
    }
    let verifier = |key| VerifierKey::new(origin, key);
    keys.into_iter()
        .map(verifier)
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::Damaged { what: "a journal's origin" })
}

/// The key that signed a journal's checkpoint of a size; of two, the newer.
pub(super) fn at_size(
    context: &Context,
    sql: &Connection,
    journal: &Journal,
    size: u64,
) -> Result<VerifierKey, StoreError> {
    let keys = of_journal(context, sql, journal)?;
    let key = keys.into_iter().rfind(|key| key.from_size <= size);
    key.map(|key| key.key).ok_or(StoreError::Damaged { what: "a journal without a key" })
}

/// Number, key and entry of each change of a journal's key.
type Changes = Vec<(u64, [u8; 32], u64)>;

fn changes(sql: &Connection, row: i64) -> Result<Changes, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT number, public_key, idx FROM log_key_changes JOIN log_keys USING (number)
             WHERE journal = ?1 ORDER BY number",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading the log's keys", rows)
}

fn key_get(sql: &Connection, number: u64) -> Result<[u8; 32], StoreError> {
    let key = sql
        .prepare_cached("SELECT public_key FROM log_keys WHERE number = ?1")
        .and_then(|mut statement| statement.query_row(params![number], |row| row.get(0)));
    database("reading the log's keys", key)
}

impl SqliteStore {
    /// Destroys the private halves of keys that no longer sign.
    pub(super) async fn log_keys_forget(&self) -> Result<(), StoreError> {
        let context = Arc::clone(&self.context);
        let forget = move || context.keys.log_seeds_forget(Some(&context.signers.public_key()));
        tokio::task::spawn_blocking(forget).await.map_err(|_| StoreError::Closed)?
    }
}

const FIRST: u64 = 0;

#[cfg(test)]
mod tests;
