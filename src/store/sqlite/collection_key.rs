//! The keys of collections: one for each generation, in the key store.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use crate::clock::Timestamp;
use crate::ids::CollectionName;
use crate::keys::{CollectionKey, Place, Purpose};
use crate::secret::Entropy;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;

use super::keystore::{KeyStore, lock};
use super::{database, opened, sealed};

impl KeyStore {
    /// The key of a collection in a generation, made where there is none; durable before it is used. One that was made
    /// for what then never came opens nothing, and serves the next time.
    pub(super) fn collection_key_make(
        &self,
        of: &CollectionGeneration,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Arc<CollectionKey>, StoreError> {
        if let Some(key) = self.collection_key(of)? {
            return Ok(key);
        }
        let (key, row) = (CollectionKey::random(entropy)?, collection_row(of));
        let wrapped = key.wrap(self.ring.sealing(Purpose::CollectionKeys), collection_place(&row), entropy);
        let wrapped = sealed("wrapping the key of a collection", wrapped)?;
        let inserted = lock(&self.sql).execute(
            "INSERT INTO collection_keys (collection, generation, since_ms, wrapped) VALUES (?1, ?2, ?3, ?4)",
            params![of.collection.as_str(), of.number, now.as_millis(), wrapped],
        );
        database("writing the key of a collection", inserted)?;
        Ok(self.collection_key_keep(of, key))
    }

    /// The key of a collection in a generation; `None` when it was never made or is destroyed.
    pub(super) fn collection_key(
        &self,
        of: &CollectionGeneration,
    ) -> Result<Option<Arc<CollectionKey>>, StoreError> {
        if let Some(key) = lock(&self.collection_keys).get(of) {
            return Ok(Some(Arc::clone(key)));
        }
        let wrapped = lock(&self.sql)
            .query_row(
                "SELECT wrapped FROM collection_keys WHERE collection = ?1 AND generation = ?2",
                params![of.collection.as_str(), of.number],
                |row| row.get::<_, Vec<u8>>(0),
            )
            .optional();
        let Some(wrapped) = database("reading the key of a collection", wrapped)? else { return Ok(None) };
        let row = collection_row(of);
        let kek = self.ring.sealing(Purpose::CollectionKeys);
        let key = CollectionKey::unwrap(kek, collection_place(&row), &wrapped);
        Ok(Some(self.collection_key_keep(of, opened("unwrapping the key of a collection", key)?)))
    }

    /// The same where templates lie under it.
    pub(super) fn collection_key_of(
        &self,
        of: &CollectionGeneration,
    ) -> Result<Arc<CollectionKey>, StoreError> {
        let missing = StoreError::Damaged { what: "a template whose collection's key is missing" };
        self.collection_key(of)?.ok_or(missing)
    }

    /// Destroys the keys of a collection from before a generation: their pages are overwritten, the write-ahead log is
    /// emptied, and none is kept in memory. Gives how many there were.
    pub(super) fn collection_keys_destroy(
        &self,
        collection: &CollectionName,
        before: u32,
    ) -> Result<usize, StoreError> {
        let sql = lock(&self.sql);
        let mut destroyed = 0;
        for statement in [
            "UPDATE collection_keys SET wrapped = zeroblob(length(wrapped))
             WHERE collection = ?1 AND generation < ?2",
            "DELETE FROM collection_keys WHERE collection = ?1 AND generation < ?2",
        ] {
            let doing = "destroying keys of a collection";
            destroyed = self.destroyed(&sql, doing, statement, params![collection.as_str(), before])?;
        }
        lock(&self.collection_keys).retain(|of, _| of.collection != *collection || of.number >= before);
        if destroyed > 0 {
            super::truncate_log(&sql)?;
        }
        Ok(destroyed)
    }

    fn collection_key_keep(&self, of: &CollectionGeneration, key: CollectionKey) -> Arc<CollectionKey> {
        let key = Arc::new(key);
        lock(&self.collection_keys).insert(of.clone(), Arc::clone(&key));
        key
    }
}

/// The row of a collection's key, as it is bound to it.
pub(super) fn collection_row(of: &CollectionGeneration) -> Vec<u8> {
    [of.number.to_be_bytes().as_slice(), of.collection.as_str().as_bytes()].concat()
}

pub(super) const fn collection_place(row: &[u8]) -> Place<'_> {
    Place { table: "collection_keys", row, column: "wrapped", version: 1 }
}
