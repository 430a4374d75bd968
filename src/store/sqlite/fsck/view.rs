//! One consistent view of both databases, for reading only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::authz::PayloadClass;
use crate::ids::SubjectId;
use crate::keys::{CollectionKey, DataKey, KeyRing, LogSigner, Place, Purpose, RootKey};
use crate::secret::SecretBytes;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;

use super::super::collection_key::{collection_place, collection_row};
use super::super::day_key;
use super::super::keystore::{LOG_KEY, named_place, payload_place, payload_row, seed_name, subject_place};
use super::super::{
    BUSY_TIMEOUT, STATEMENT_CACHE, database, files, key_check, key_schema, newest_migration, ring_keys,
    schema, shown,
};
use super::disposals::Disposals;
use super::report::{FaultPlace, FsckReport};

/// What is checked: both databases as they stood at one moment, and the keys that open them.
pub(super) struct View {
    /// The database, inside a transaction that only reads.
    pub(super) sql: Connection,
    /// The key store, likewise.
    pub(super) keys_sql: Connection,
    /// The keys under the root.
    pub(super) ring: KeyRing,
    /// The keys of payloads.
    pub(super) payload: PayloadKeys,
    /// Those of the keys of collections that open.
    pub(super) collection_keys: BTreeMap<CollectionGeneration, CollectionKey>,
    /// What was disposed of.
    pub(super) disposals: Disposals,
    /// The log's public key; nothing when it does not open.
    pub(super) log_key: Option<[u8; 32]>,
}

/// The keys of payloads by class and day.
#[derive(Default)]
pub(super) struct PayloadKeys {
    keys: HashMap<(u8, i64), Arc<DataKey>>,
    /// Those that are there and don't open.
    broken: BTreeSet<(u8, i64)>,
}

impl PayloadKeys {
    /// The key of a class and a day.
    pub(super) fn find(&self, class: u8, day: i64) -> Option<&DataKey> {
        self.keys.get(&(class, day)).map(Arc::as_ref)
    }

    /// Whether the key is there but does not open, which was told already.
    pub(super) fn is_broken(&self, class: u8, day: i64) -> bool {
        self.broken.contains(&(class, day))
    }

    fn read(sql: &Connection, ring: &KeyRing, into: &mut Self) -> Result<(), StoreError> {
        let mut statement =
            database("reading payload keys", sql.prepare("SELECT class, day, wrapped FROM payload_keys"))?;
        let mut rows = database("reading payload keys", statement.query([]))?;
        while let Some(row) = database("reading payload keys", rows.next())? {
            let (class, day): (i64, i64) =
                database("reading payload keys", row.get(0).and_then(|class| Ok((class, row.get(1)?))))?;
            let wrapped: Vec<u8> = database("reading payload keys", row.get(2))?;
            // A class that no byte holds is nobody's; the key is of no use and told as broken.
            let class = u8::try_from(class).unwrap_or(u8::MAX);
            let place_row = payload_row(class, day);
            match DataKey::unwrap(ring.sealing(Purpose::PayloadKeys), payload_place(&place_row), &wrapped) {
                Ok(key) => drop(into.keys.insert((class, day), Arc::new(key))),
                Err(_) => drop(into.broken.insert((class, day))),
            }
        }
        Ok(())
    }
}

/// What a value comes to that is sealed under the payload key of a class and a day.
pub(super) enum Sealed {
    /// It opened, under the key of this day.
    Opened(i64, SecretBytes),
    /// Its key is gone by a disposal under way that will take it too, or is broken, which was told already.
    Going,
    /// It does not open, and why.
    Closed(String),
}

impl View {
    /// Opens a value that is sealed under the payload key of a class, and of the day in front of it.
    pub(super) fn open_sealed(&self, class: PayloadClass, place: Place<'_>, stored: &[u8]) -> Sealed {
        let class = class.number();
        let Some((day, value)) = day_key::split(stored) else {
            return Sealed::Closed("it is too short to be sealed".to_owned());
        };
        let (covered, done) = (self.disposals.covers_day(class, day), self.disposals.is_done(class, day));
        match self.payload.find(class, day) {
            Some(_) if done => Sealed::Closed("it was disposed of, and it and its key are there".to_owned()),
            Some(key) => match key.sealing().open(place, value) {
                Ok(plain) => Sealed::Opened(day, plain),
                Err(error) => Sealed::Closed(format!("it does not open in its place: {error}")),
            },
            None if self.payload.is_broken(class, day) || (covered && !done) => Sealed::Going,
            None => Sealed::Closed(format!("the key of class {class}, day {day} is not in the key store")),
        }
    }

    /// Opens both databases for reading. What is wrong with keys is told to the report.
    pub(super) fn open(folder: &Path, root: RootKey, report: &mut FsckReport) -> Result<Self, StoreError> {
        let [data, keys] = files(folder);
        // Keys are read before and after the view of the data is taken, so that none which a disposal destroys
        // meanwhile is missed, and none which a new day brought.
        let mut payload = PayloadKeys::default();
        let before = connect(&keys)?;
        check_form(&before, &key_schema::migrations::runner())?;
        let ring = ring_keys::ring(ring_keys::load(&before, &root)?)?;
        drop(root);
        PayloadKeys::read(&before, &ring, &mut payload)?;
        let mut collection_keys = BTreeMap::new();
        collection_keys_read(&before, &ring, &mut collection_keys)?;
        drop(before);
        let sql = connect(&data)?;
        check_form(&sql, &schema::migrations::runner())?;
        begin(&sql)?;
        check_root_key(&sql, &ring)?;
        let keys_sql = connect(&keys)?;
        begin(&keys_sql)?;
        PayloadKeys::read(&keys_sql, &ring, &mut payload)?;
        collection_keys_read(&keys_sql, &ring, &mut collection_keys)?;
        for (class, day) in &payload.broken {
            let place = FaultPlace::Key(format!("payloads of class {class}, day {day}"));
            report.fault(place, "it does not open; restore the key store from its backup");
        }
        let log_key = log_key(&sql, &keys_sql, &ring)?;
        if log_key.is_none() {
            let what = "it is not there or does not open; no checkpoint can be verified without it";
            report.fault(FaultPlace::Key(LOG_KEY.to_owned()), what);
        }
        let disposals = Disposals::read(&sql)?;
        Ok(Self { sql, keys_sql, ring, payload, collection_keys, disposals, log_key })
    }

    /// Whether the payload key of a class and a day is there at this moment, not at that of the view.
    pub(super) fn payload_key_is_there_now(&self, folder: &Path, class: u8, day: i64) -> bool {
        let [_, keys] = files(folder);
        let found = connect(&keys).ok().and_then(|sql| {
            let asked = "SELECT 1 FROM payload_keys WHERE class = ?1 AND day = ?2";
            sql.query_row(asked, params![class, day], |_| Ok(())).optional().ok().flatten()
        });
        found.is_some()
    }

    /// The data key of a subject; `None` when it is not there or does not open.
    pub(super) fn subject_key(&self, subject: &SubjectId) -> Result<Option<DataKey>, StoreError> {
        let wrapped = self
            .keys_sql
            .prepare_cached("SELECT wrapped FROM subject_keys WHERE subject = ?1")
            .and_then(|mut statement| {
                statement.query_row(params![subject.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
            });
        let wrapped = database("reading a subject key", wrapped)?;
        Ok(wrapped.and_then(|wrapped| {
            let kek = self.ring.sealing(Purpose::SubjectKeys);
            DataKey::unwrap(kek, subject_place(subject), &wrapped).ok()
        }))
    }
}

fn collection_keys_read(
    sql: &Connection,
    ring: &KeyRing,
    into: &mut BTreeMap<CollectionGeneration, CollectionKey>,
) -> Result<(), StoreError> {
    let read = "SELECT collection, generation, wrapped FROM collection_keys";
    let rows = sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Vec<u8>>(2)?))
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    for (collection, number, wrapped) in database("reading keys of collections", rows)? {
        let Ok(collection) = collection.parse() else { continue };
        let of = CollectionGeneration { collection, number };
        let (row, kek) = (collection_row(&of), ring.sealing(Purpose::CollectionKeys));
        if let Ok(key) = CollectionKey::unwrap(kek, collection_place(&row), &wrapped) {
            into.insert(of, key);
        }
    }
    Ok(())
}

/// A connection that can't write, whatever happens.
pub(in crate::store::sqlite) fn connect(path: &Path) -> Result<Connection, StoreError> {
    if let Err(source) = std::fs::metadata(path) {
        return Err(StoreError::File { path: shown(path), source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = database("opening the database to read", Connection::open_with_flags(path, flags))?;
    let settings = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;
                    PRAGMA cell_size_check = ON;";
    database("setting up the database", sql.execute_batch(settings))?;
    database("setting up the database", sql.busy_timeout(BUSY_TIMEOUT))?;
    sql.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(sql)
}

/// Takes the view: what is committed from here on is not seen.
fn begin(sql: &Connection) -> Result<(), StoreError> {
    database("beginning to read", sql.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;"))
}

pub(in crate::store::sqlite) fn check_form(
    sql: &Connection,
    runner: &refinery::Runner,
) -> Result<(), StoreError> {
    let known = runner.get_migrations().iter().map(|one| i64::from(one.version())).max().unwrap_or(0);
    let found = newest_migration(sql)?;
    if found > known { Err(StoreError::TooNew { found, known }) } else { Ok(()) }
}

fn check_root_key(sql: &Connection, ring: &KeyRing) -> Result<(), StoreError> {
    match key_check(sql)? {
        Some(kept) if kept == ring.key_check() => Ok(()),
        _ => Err(StoreError::WrongRootKey),
    }
}

/// The public half of the key that signs: the newest one that the database names, or the first.
fn log_key(sql: &Connection, keys: &Connection, ring: &KeyRing) -> Result<Option<[u8; 32]>, StoreError> {
    let newest = sql.query_row("SELECT public_key FROM log_keys ORDER BY number DESC LIMIT 1", [], |row| {
        row.get::<_, Vec<u8>>(0)
    });
    let newest = database("looking for the log's key", newest.optional())?;
    let newest = newest.map(|key| <[u8; 32]>::try_from(key).unwrap_or_default());
    let name = newest.as_ref().map_or_else(|| LOG_KEY.to_owned(), seed_name);
    let wrapped = keys
        .query_row("SELECT wrapped FROM named_keys WHERE name = ?1", params![name], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional();
    let wrapped = database("reading the log key", wrapped)?;
    let named = ring.sealing(Purpose::NamedKeys);
    let seed = wrapped.and_then(|wrapped| named.open_fixed(named_place(&name), &wrapped).ok());
    Ok(seed.map(|seed| LogSigner::from_seed(&seed).public_key()))
}
