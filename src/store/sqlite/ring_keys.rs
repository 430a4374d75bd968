//! The rows of the ring: every key that stands directly under a root, wrapped under each root that opens the store.

use rusqlite::{Connection, params};

use crate::clock::Timestamp;
use crate::keys::{KeyId, KeyRing, RingClass, RingError, RingKey, RootKey};
use crate::secret::Entropy;
use crate::store::StoreError;

use super::{count, database, opened, sealed};

/// Whether the database that the keys belong to has any yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Founded {
    /// It has: missing keys are lost keys.
    Before,
    /// It has not: the ring is drawn.
    Now,
}

/// Opens the ring under a root; draws it where nothing is founded yet.
pub(super) fn open(
    sql: &mut Connection,
    root: &RootKey,
    founded: Founded,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<KeyRing, StoreError> {
    let roots = roots(sql)?;
    let keys = match (roots.is_empty(), founded) {
        (true, Founded::Before) => {
            let what = "the keys of this store are not in `keys.sqlite`; restore its newest backup";
            return Err(StoreError::Damaged { what });
        }
        (true, Founded::Now) => draw(sql, root, now, entropy)?,
        (false, _) => load(sql, root)?,
    };
    ring(keys)
}

/// The ring of these keys.
pub(super) fn ring(keys: Vec<RingKey>) -> Result<KeyRing, StoreError> {
    let incomplete =
        |error: RingError| StoreError::Key { doing: "opening the ring", source: Box::new(error) };
    KeyRing::new(keys).map_err(incomplete)
}

/// The roots that open the store, with the time since when they do.
pub(super) fn roots(sql: &Connection) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
    let rows =
        sql.prepare("SELECT id, since_ms FROM roots ORDER BY since_ms, id").and_then(|mut statement| {
            let row = |row: &rusqlite::Row<'_>| {
                Ok((KeyId::from_bytes(row.get(0)?), Timestamp::from_millis(row.get(1)?)))
            };
            statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
        });
    database("reading the roots", rows)
}

/// Every key that is wrapped under this root, unwrapped.
pub(super) fn load(sql: &Connection, root: &RootKey) -> Result<Vec<RingKey>, StoreError> {
    let read = "SELECT class, generation, wrapped FROM ring_keys WHERE root = ?1 ORDER BY class, generation";
    let rows = sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Vec<u8>>(2)?))
        };
        statement.query_map(params![root.id().as_bytes()], row)?.collect::<Result<Vec<_>, _>>()
    });
    let rows = database("reading the ring", rows)?;
    if rows.is_empty() {
        return Err(StoreError::WrongRootKey);
    }
    rows.into_iter()
        .map(|(class, generation, wrapped)| {
            let class = RingClass::from_name(&class)
                .ok_or(StoreError::Damaged { what: "a class of keys that this version does not know" })?;
            opened("opening the ring", RingKey::unwrap(class, generation, root, &wrapped))
        })
        .collect()
}

fn draw(
    sql: &mut Connection,
    root: &RootKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Vec<RingKey>, StoreError> {
    let keys = RingClass::ALL.map(|class| RingKey::draw(class, FIRST, entropy));
    let keys = keys.into_iter().collect::<Result<Vec<_>, _>>()?;
    let step = database("writing the ring", sql.transaction())?;
    root_put(&step, &root.id(), now)?;
    for key in &keys {
        put(&step, root, key, now, entropy)?;
    }
    database("writing the ring", step.commit())?;
    Ok(keys)
}

/// Notes a root.
pub(super) fn root_put(sql: &Connection, id: &KeyId, now: Timestamp) -> Result<(), StoreError> {
    let put = sql
        .execute("INSERT INTO roots (id, since_ms) VALUES (?1, ?2)", params![id.as_bytes(), now.as_millis()]);
    database("writing a root", put).map(count)
}

/// Keeps a key of the ring, wrapped under a root.
pub(super) fn put(
    sql: &Connection,
    root: &RootKey,
    key: &RingKey,
    since: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let wrapped = sealed("wrapping a key of the ring", key.wrap(root, entropy))?;
    let put = sql.execute(
        "INSERT INTO ring_keys (root, class, generation, since_ms, wrapped) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![root.id().as_bytes(), key.class.name(), key.generation, since.as_millis(), wrapped],
    );
    database("writing a key of the ring", put).map(count)
}

/// Since when each key of the ring is there, by class and generation; the same under every root.
pub(super) fn since(sql: &Connection, root: &KeyId) -> Result<Vec<(RingClass, u32, Timestamp)>, StoreError> {
    let read = "SELECT class, generation, since_ms FROM ring_keys WHERE root = ?1 ORDER BY class, generation";
    let rows = sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, Timestamp::from_millis(row.get(2)?)))
        };
        statement.query_map(params![root.as_bytes()], row)?.collect::<Result<Vec<_>, _>>()
    });
    let known = |(class, generation, since): (String, u32, Timestamp)| {
        let class = RingClass::from_name(&class)
            .ok_or(StoreError::Damaged { what: "a class of keys that this version does not know" })?;
        Ok((class, generation, since))
    };
    database("reading the ring", rows)?.into_iter().map(known).collect()
}

const FIRST: u32 = 1;
