//! Wrapped keys in a database of their own: see `key_migrations/`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::audit::backup::BackupId;
use crate::clock::Timestamp;
use crate::ids::SubjectId;
use crate::keys::{
    CollectionKey, DataKey, KeyRing, LogSigner, NoticeSigner, Place, Purpose, RootKey, SealingKey,
};
use crate::secret::Entropy;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;

use super::key_copy::KeyCopy;
use super::ring_keys::{self, Founded};
use super::{database, opened, sealed};

/// Everything that opens something.
pub(super) struct KeyStore {
    /// The keys under the root.
    pub(super) ring: Arc<KeyRing>,
    pub(super) sql: Mutex<Connection>,
    payload_keys: Mutex<PayloadKeys>,
    /// Those of collections are few, and used for every template.
    pub(super) collection_keys: Mutex<BTreeMap<CollectionGeneration, Arc<CollectionKey>>>,
    /// Beside the backups, where there are any.
    copy: Option<KeyCopy>,
}

impl KeyStore {
    /// Opens the key store, bringing it to this version's form, and its copy. A store that is not founded yet gets its ring.
    pub(super) fn open(
        (path, copy): (&Path, Option<&Path>),
        root: &RootKey,
        founded: Founded,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, StoreError> {
        let mut sql = super::connect(path)?;
        super::rewrite::log_rewrite(&sql, path)?;
        super::migrate(&mut sql, &super::key_schema::migrations::runner().set_grouped(true))?;
        let ring = ring_keys::open(&mut sql, root, founded, now, entropy)?;
        let copy = copy.map(|copy| KeyCopy::open(copy, path)).transpose()?;
        let (payload_keys, collection_keys) = (Mutex::default(), Mutex::default());
        Ok(Self { ring: Arc::new(ring), sql: Mutex::new(sql), payload_keys, collection_keys, copy })
    }

    /// The copy beside the backups.
    pub(super) const fn copy(&self) -> Option<&KeyCopy> {
        self.copy.as_ref()
    }

    /// Changes wrapped keys that are destroyed here and, after that, in the copy.
    pub(super) fn destroyed(
        &self,
        sql: &Connection,
        doing: &'static str,
        statement: &str,
        values: &[&dyn ToSql],
    ) -> Result<usize, StoreError> {
        let changed = database(doing, sql.execute(statement, values))?;
        self.copy.as_ref().map_or(Ok(()), |copy| copy.follow(statement, values))?;
        Ok(changed)
    }

    /// The key of a payload class and a day, made at its first use; durable before it is used.
    pub(super) fn payload_key(
        &self,
        class: u8,
        day: i64,
        entropy: &dyn Entropy,
    ) -> Result<PayloadKey, StoreError> {
        if let Some(key) = self.payload_key_find(class, day)? {
            return Ok(key);
        }
        let key = DataKey::random(entropy)?;
        let row = payload_row(class, day);
        let wrapped = key.wrap(self.ring.sealing(Purpose::PayloadKeys), payload_place(&row), entropy);
        let wrapped = sealed("wrapping a payload key", wrapped)?;
        let inserted = lock(&self.sql).execute(
            "INSERT INTO payload_keys (class, day, wrapped) VALUES (?1, ?2, ?3)",
            params![class, day, wrapped],
        );
        database("writing a payload key", inserted)?;
        let key = Arc::new(key);
        lock(&self.payload_keys).keep(class, day, &key);
        Ok(PayloadKey(key))
    }

    /// The key of a payload class and a day; `None` when it was never made or is shredded.
    pub(super) fn payload_key_find(&self, class: u8, day: i64) -> Result<Option<PayloadKey>, StoreError> {
        if let Some(key) = lock(&self.payload_keys).kept.get(&(class, day)) {
            return Ok(Some(PayloadKey(Arc::clone(key))));
        }
        let wrapped = lock(&self.sql)
            .query_row(
                "SELECT wrapped FROM payload_keys WHERE class = ?1 AND day = ?2",
                params![class, day],
                |row| row.get::<_, Vec<u8>>(0),
            )
            .optional();
        let Some(wrapped) = database("reading a payload key", wrapped)? else { return Ok(None) };
        let row = payload_row(class, day);
        let key = DataKey::unwrap(self.ring.sealing(Purpose::PayloadKeys), payload_place(&row), &wrapped);
        let key = Arc::new(opened("unwrapping a payload key", key)?);
        lock(&self.payload_keys).keep(class, day, &key);
        Ok(Some(PayloadKey(key)))
    }

    /// Whether this process has destroyed the key of a payload class and a day.
    pub(super) fn payload_key_is_destroyed(&self, class: u8, day: i64) -> bool {
        lock(&self.payload_keys).destroyed_before.get(&class).is_some_and(|before| day < *before)
    }

    /// The oldest day of a payload class that has a key, and how many days from before `before` have one.
    pub(super) fn payload_days(&self, class: u8, before: i64) -> Result<(Option<i64>, u64), StoreError> {
        let days = lock(&self.sql).query_row(
            "SELECT min(day), count(CASE WHEN day < ?2 THEN 1 END) FROM payload_keys WHERE class = ?1",
            params![class, before],
            |row| Ok((row.get(0)?, row.get(1)?)),
        );
        database("counting payload keys", days)
    }

    /// Destroys the keys of a payload class from before a day: their pages are overwritten, the write-ahead log is
    /// emptied, and none is kept in memory.
    pub(super) fn payload_keys_destroy(&self, class: u8, before: i64) -> Result<(), StoreError> {
        let sql = lock(&self.sql);
        // Zeros first: they are written where the bytes lie, before the page is put in order anew.
        for statement in [
            "UPDATE payload_keys SET wrapped = zeroblob(length(wrapped)) WHERE class = ?1 AND day < ?2",
            "DELETE FROM payload_keys WHERE class = ?1 AND day < ?2",
        ] {
            self.destroyed(&sql, "destroying payload keys", statement, params![class, before])?;
        }
        lock(&self.payload_keys).drop_before(class, before);
        super::truncate_log(&sql)
    }

    /// Draws a data key for a subject; it is to be kept, wrapped as it is here, before anything under it is written.
    pub(super) fn subject_key_make(
        &self,
        subject: &SubjectId,
        entropy: &dyn Entropy,
    ) -> Result<(DataKey, Vec<u8>), StoreError> {
        let key = DataKey::random(entropy)?;
        let wrapped = key.wrap(self.ring.sealing(Purpose::SubjectKeys), subject_place(subject), entropy);
        Ok((key, sealed("wrapping a subject key", wrapped)?))
    }

    /// Keeps wrapped data keys of subjects; durable when it returns. A key whose subject is then never written opens
    /// nothing and harms nobody.
    pub(super) fn subject_keys_keep(&self, wrapped: &[(SubjectId, Vec<u8>)]) -> Result<(), StoreError> {
        if wrapped.is_empty() {
            return Ok(());
        }
        let mut sql = lock(&self.sql);
        let step = database("writing subject keys", sql.transaction())?;
        for (subject, wrapped) in wrapped {
            let inserted = step
                .prepare_cached("INSERT INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")
                .and_then(|mut statement| statement.execute(params![subject.as_bytes(), wrapped]));
            database("writing a subject key", inserted)?;
        }
        database("writing subject keys", step.commit())
    }

    /// The data key of a subject; `None` when it is destroyed.
    pub(super) fn subject_key(&self, subject: &SubjectId) -> Result<Option<DataKey>, StoreError> {
        let sql = lock(&self.sql);
        let wrapped = sql.prepare_cached("SELECT wrapped FROM subject_keys WHERE subject = ?1").and_then(
            |mut statement| {
                statement.query_row(params![subject.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
            },
        );
        database("reading a subject key", wrapped)?
            .map(|wrapped| {
                let place = subject_place(subject);
                let key = DataKey::unwrap(self.ring.sealing(Purpose::SubjectKeys), place, &wrapped);
                opened("unwrapping a subject key", key)
            })
            .transpose()
    }

    /// Destroys the data key of a subject: its page is overwritten and the write-ahead log emptied.
    pub(super) fn subject_key_destroy(&self, subject: &SubjectId) -> Result<(), StoreError> {
        let sql = lock(&self.sql);
        let statement = "DELETE FROM subject_keys WHERE subject = ?1";
        self.destroyed(&sql, "destroying a subject key", statement, params![subject.as_bytes()])?;
        super::truncate_log(&sql)
    }

    /// Makes the key of a search snapshot; durable before anything is sealed under it.
    pub(super) fn snapshot_key_make(
        &self,
        id: &SnapshotId,
        entropy: &dyn Entropy,
    ) -> Result<DataKey, StoreError> {
        let key = DataKey::random(entropy)?;
        let wrapped = key.wrap(self.ring.sealing(Purpose::SnapshotKeys), snapshot_place(id), entropy);
        let wrapped = sealed("wrapping the key of a snapshot", wrapped)?;
        let inserted = lock(&self.sql)
            .execute("INSERT INTO snapshot_keys (id, wrapped) VALUES (?1, ?2)", params![id, wrapped]);
        database("writing the key of a snapshot", inserted)?;
        Ok(key)
    }

    /// The key of a search snapshot; `None` when it is destroyed, or another store's.
    pub(super) fn snapshot_key(&self, id: &SnapshotId) -> Result<Option<DataKey>, StoreError> {
        let wrapped = lock(&self.sql)
            .query_row("SELECT wrapped FROM snapshot_keys WHERE id = ?1", params![id], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional();
        database("reading the key of a snapshot", wrapped)?
            .map(|wrapped| {
                let key =
                    DataKey::unwrap(self.ring.sealing(Purpose::SnapshotKeys), snapshot_place(id), &wrapped);
                opened("unwrapping the key of a snapshot", key)
            })
            .transpose()
    }

    /// Destroys the keys of these search snapshots: their pages are overwritten and the write-ahead log emptied.
    pub(super) fn snapshot_keys_destroy(&self, ids: &[SnapshotId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut sql = lock(&self.sql);
        for statement in [
            "UPDATE snapshot_keys SET wrapped = zeroblob(length(wrapped)) WHERE id = ?1",
            "DELETE FROM snapshot_keys WHERE id = ?1",
        ] {
            let step = database("destroying keys of snapshots", sql.transaction())?;
            for id in ids {
                let done = step.execute(statement, params![id]);
                database("destroying keys of snapshots", done)?;
            }
            database("destroying keys of snapshots", step.commit())?;
        }
        super::truncate_log(&sql)
    }

    /// The search snapshots that have a key.
    pub(super) fn snapshot_ids(&self) -> Result<Vec<SnapshotId>, StoreError> {
        let sql = lock(&self.sql);
        let ids = sql.prepare("SELECT id FROM snapshot_keys").and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, SnapshotId>(0))?.collect::<Result<Vec<_>, _>>()
        });
        database("listing keys of snapshots", ids)
    }

    /// Makes the key of a backup; durable before anything is sealed under it.
    pub(super) fn backup_key_make(
        &self,
        id: &BackupId,
        entropy: &dyn Entropy,
    ) -> Result<DataKey, StoreError> {
        let key = DataKey::random(entropy)?;
        let wrapped = key.wrap(self.ring.sealing(Purpose::BackupKeys), backup_place(id), entropy);
        let wrapped = sealed("wrapping the key of a backup", wrapped)?;
        let inserted = lock(&self.sql)
            .execute("INSERT INTO backup_keys (id, wrapped) VALUES (?1, ?2)", params![id, wrapped]);
        database("writing the key of a backup", inserted)?;
        Ok(key)
    }

    /// The key of a backup; `None` when it is destroyed, or another store's.
    pub(super) fn backup_key(&self, id: &BackupId) -> Result<Option<DataKey>, StoreError> {
        let wrapped = lock(&self.sql)
            .query_row("SELECT wrapped FROM backup_keys WHERE id = ?1", params![id], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional();
        database("reading the key of a backup", wrapped)?
            .map(|wrapped| {
                let key = DataKey::unwrap(self.ring.sealing(Purpose::BackupKeys), backup_place(id), &wrapped);
                opened("unwrapping the key of a backup", key)
            })
            .transpose()
    }

    /// Destroys the key of a backup, so that no copy of it opens any more.
    pub(super) fn backup_key_destroy(&self, id: &BackupId) -> Result<(), StoreError> {
        let sql = lock(&self.sql);
        for statement in [
            "UPDATE backup_keys SET wrapped = zeroblob(length(wrapped)) WHERE id = ?1",
            "DELETE FROM backup_keys WHERE id = ?1",
        ] {
            self.destroyed(&sql, "destroying the key of a backup", statement, params![id])?;
        }
        super::truncate_log(&sql)
    }

    /// The key that signs checkpoints, made at the founding.
    pub(super) fn log_signer(&self, now: Timestamp, entropy: &dyn Entropy) -> Result<LogSigner, StoreError> {
        let sql = lock(&self.sql);
        let wrapped = sql
            .query_row("SELECT wrapped FROM named_keys WHERE name = ?1", params![LOG_KEY], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional();
        let named = self.ring.sealing(Purpose::NamedKeys);
        if let Some(wrapped) = database("reading the log key", wrapped)? {
            let seed = opened("opening the log key", named.open_fixed(named_place(LOG_KEY), &wrapped))?;
            return Ok(LogSigner::from_seed(&seed));
        }
        let (signer, seed) = LogSigner::generate(entropy)?;
        self.seed_keep(&sql, LOG_KEY, &seed, now, entropy)?;
        Ok(signer)
    }

    /// The key that signs webhooks, made when it is asked for first.
    pub(super) fn notice_signer(
        &self,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<NoticeSigner, StoreError> {
        let sql = lock(&self.sql);
        if let Some(signer) = notice_signer(&sql, &self.ring)? {
            return Ok(signer);
        }
        let (signer, seed) = NoticeSigner::generate(entropy)?;
        self.seed_keep(&sql, NOTICE_KEY, &seed, now, entropy)?;
        Ok(signer)
    }

    /// Makes another key that signs checkpoints; durable before it is used.
    pub(super) fn log_seed_make(
        &self,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<LogSigner, StoreError> {
        let (signer, seed) = LogSigner::generate(entropy)?;
        self.seed_keep(&lock(&self.sql), &seed_name(&signer.public_key()), &seed, now, entropy)?;
        Ok(signer)
    }

    /// The key that signs checkpoints after a change, by its public half.
    pub(super) fn log_seed(&self, public_key: &[u8; 32]) -> Result<LogSigner, StoreError> {
        let name = seed_name(public_key);
        let wrapped = lock(&self.sql)
            .query_row("SELECT wrapped FROM named_keys WHERE name = ?1", params![name], |row| {
                row.get::<_, Vec<u8>>(0)
            })
            .optional();
        let missing = StoreError::Damaged {
            what: "the log's signing key is not in `keys.sqlite`; restore its newest backup",
        };
        let wrapped = database("reading the log key", wrapped)?.ok_or(missing)?;
        let named = self.ring.sealing(Purpose::NamedKeys);
        let seed = opened("opening the log key", named.open_fixed(named_place(&name), &wrapped))?;
        Ok(LogSigner::from_seed(&seed))
    }

    /// Destroys every key of the log but the one of this public half, or but the first.
    pub(super) fn log_seeds_forget(&self, but: Option<&[u8; 32]>) -> Result<(), StoreError> {
        let kept = but.map_or_else(|| LOG_KEY.to_owned(), seed_name);
        let sql = lock(&self.sql);
        let mut forgotten = 0;
        for statement in [
            "UPDATE named_keys SET wrapped = zeroblob(length(wrapped)) WHERE name LIKE 'log-signing%' AND name != ?1",
            "DELETE FROM named_keys WHERE name LIKE 'log-signing%' AND name != ?1",
        ] {
            forgotten = self.destroyed(&sql, "destroying a key of the log", statement, params![kept])?;
        }
        if forgotten > 0 { super::truncate_log(&sql) } else { Ok(()) }
    }

    fn seed_keep(
        &self,
        sql: &Connection,
        name: &str,
        seed: &crate::secret::Secret<32>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), StoreError> {
        let named = self.ring.sealing(Purpose::NamedKeys);
        let wrapped = sealed("sealing the log key", named.seal(named_place(name), seed.expose(), entropy))?;
        let inserted = sql
            .prepare_cached("INSERT INTO named_keys (name, since_ms, wrapped) VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![name, now.as_millis(), wrapped]));
        database("writing the log key", inserted).map(super::count)
    }
}

/// The key that signs webhooks, if it was made.
pub(super) fn notice_signer(sql: &Connection, ring: &KeyRing) -> Result<Option<NoticeSigner>, StoreError> {
    let wrapped = sql
        .query_row("SELECT wrapped FROM named_keys WHERE name = ?1", params![NOTICE_KEY], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional();
    let Some(wrapped) = database("reading the notices' key", wrapped)? else { return Ok(None) };
    let named = ring.sealing(Purpose::NamedKeys);
    let seed = opened("opening the notices' key", named.open_fixed(named_place(NOTICE_KEY), &wrapped))?;
    Ok(Some(NoticeSigner::from_seed(&seed)))
}

/// The random name of a search snapshot's file in the key store.
pub(super) type SnapshotId = [u8; 16];

pub(super) const fn backup_place(id: &BackupId) -> Place<'_> {
    Place { table: "backup_keys", row: id, column: "wrapped", version: 1 }
}

/// Payload keys in memory.
#[derive(Default)]
struct PayloadKeys {
    kept: HashMap<(u8, i64), Arc<DataKey>>,
    /// By class: no key of an earlier day is kept, though somebody may be about to read one.
    destroyed_before: HashMap<u8, i64>,
}

impl PayloadKeys {
    fn keep(&mut self, class: u8, day: i64, key: &Arc<DataKey>) {
        if self.destroyed_before.get(&class).is_none_or(|before| day >= *before) {
            self.kept.insert((class, day), Arc::clone(key));
        }
    }

    fn drop_before(&mut self, class: u8, before: i64) {
        self.kept.retain(|(kept, day), _| *kept != class || *day >= before);
        let known = self.destroyed_before.entry(class).or_insert(before);
        *known = before.max(*known);
    }
}

/// The key of a payload class and a day.
#[derive(Clone)]
pub(super) struct PayloadKey(Arc<DataKey>);

impl PayloadKey {
    /// What seals and opens under it.
    pub(super) fn sealing(&self) -> &SealingKey {
        self.0.sealing()
    }
}

pub(super) fn payload_row(class: u8, day: i64) -> [u8; 9] {
    let mut row = [class; 9];
    if let Some((_, rest)) = row.split_first_mut() {
        rest.copy_from_slice(&day.to_be_bytes());
    }
    row
}

pub(super) const fn payload_place(row: &[u8]) -> Place<'_> {
    Place { table: "payload_keys", row, column: "wrapped", version: 1 }
}

pub(super) const fn subject_place(subject: &SubjectId) -> Place<'_> {
    Place { table: "subject_keys", row: subject.as_bytes(), column: "wrapped", version: 1 }
}

pub(super) const fn snapshot_place(id: &SnapshotId) -> Place<'_> {
    Place { table: "snapshot_keys", row: id, column: "wrapped", version: 1 }
}

pub(super) const fn named_place(name: &str) -> Place<'_> {
    Place { table: "named_keys", row: name.as_bytes(), column: "wrapped", version: 1 }
}

/// Keys after the first are named after their public halves.
pub(super) fn seed_name(public_key: &[u8; 32]) -> String {
    format!("{LOG_KEY}:{}", data_encoding::HEXLOWER.encode(public_key))
}

/// A thread that panicked while it held the lock left the database as SQLite keeps it: consistent.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) const LOG_KEY: &str = "log-signing";
pub(super) const NOTICE_KEY: &str = "notice-signing";
