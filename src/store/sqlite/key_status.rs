//! What keys a store has, since when, and how much lies under each: read beside a running server, without the root.

use std::path::Path;

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::keys::{KeyId, Purpose, RingClass};
use crate::store::StoreError;

use super::fsck::{check_form, connect};
use super::key_life::{class_name, due, lying_under, root_name};
use super::keystore::{LOG_KEY, seed_name};
use super::{database, files, key_schema, ring_keys, schema};

/// The keys of a store, by their names; nothing of the keys themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysStatus {
    /// The roots that open the store.
    pub roots: Vec<(KeyId, Standing)>,
    /// Everything else: the ring, the log's key, the partners' release keys.
    pub keys: Vec<Standing>,
    /// How many operations have no entry in the log yet; the next start makes it.
    pub unlogged: u64,
}

/// One key, or a class of which there is only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name, which tells nothing of it.
    pub key: String,
    /// What it is for.
    pub purpose: String,
    /// Since when it is there, where that is known.
    pub since: Option<Timestamp>,
    /// How many values lie under it, where they can be counted.
    pub beneath: Option<u64>,
    /// Its place among the keys of its class.
    pub rank: Rank,
    /// When it should be rotated, where it can be.
    pub due: Option<Timestamp>,
}

/// The place of a key among those of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// It seals, or signs.
    InUse,
    /// It only opens what an older time sealed, until it is retired.
    Older,
}

/// Reads the standing of every key of the store in `folder`.
///
/// # Errors
/// [`StoreError`] when the databases can't be read.
pub fn keys_status(folder: &Path) -> Result<KeysStatus, StoreError> {
    let [data, keys] = files(folder);
    let (data, keys) = (connect(&data)?, connect(&keys)?);
    check_form(&data, &schema::migrations::runner())?;
    check_form(&keys, &key_schema::migrations::runner())?;
    for sql in [&data, &keys] {
        database("beginning to read", sql.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;"))?;
    }
    let roots = roots(&keys)?;
    let mut all = ring(&data, &keys, &roots)?;
    all.extend(collections(&data, &keys)?);
    all.push(log_key(&data, &keys)?);
    all.extend(release_keys(&data)?);
    let unlogged = keys.query_row("SELECT count(*) FROM key_notes", [], |row| row.get(0));
    Ok(KeysStatus { roots, keys: all, unlogged: database("counting notes", unlogged)? })
}

fn roots(keys: &Connection) -> Result<Vec<(KeyId, Standing)>, StoreError> {
    let roots = ring_keys::roots(keys)?;
    let newest = roots.last().map(|(id, _)| *id);
    roots
        .into_iter()
        .map(|(id, since)| {
            let beneath = ring_keys::since(keys, &id)?.len();
            let standing = Standing {
                key: root_name(&id),
                purpose: "wraps the keys below".to_owned(),
                since: Some(since),
                beneath: u64::try_from(beneath).ok(),
                rank: if newest == Some(id) { Rank::InUse } else { Rank::Older },
                due: Some(due(since)),
            };
            Ok((id, standing))
        })
        .collect()
}

fn ring(
    data: &Connection,
    keys: &Connection,
    roots: &[(KeyId, Standing)],
) -> Result<Vec<Standing>, StoreError> {
    // The newest root opens every key.
    let Some((root, _)) = roots.last() else { return Ok(Vec::new()) };
    let known = ring_keys::since(keys, root)?;
    let mut all = Vec::new();
    for class in RingClass::ALL {
        let mine: Vec<_> = known.iter().filter(|(of, _, _)| *of == class).collect();
        let newest = mine.iter().map(|(_, generation, _)| *generation).max();
        let beneath = match class {
            RingClass::Sealing(purpose) => Some(lying_under(keys, data, purpose)?),
            _ => None,
        };
        for (_, generation, since) in mine {
            let in_use = newest == Some(*generation);
            all.push(Standing {
                key: class_name(class, *generation),
                purpose: purpose_of(class).to_owned(),
                since: Some(*since),
                beneath: beneath.as_ref().map(|counts| counts.get(generation).copied().unwrap_or(0)),
                rank: if in_use { Rank::InUse } else { Rank::Older },
                due: (in_use && beneath.is_some()).then(|| due(*since)),
            });
        }
    }
    Ok(all)
}

const fn purpose_of(class: RingClass) -> &'static str {
    match class {
        RingClass::Sealing(Purpose::SubjectKeys) => {
            "wraps the keys of people, which seal templates and records"
        }
        RingClass::Sealing(Purpose::PayloadKeys) => "wraps the keys of the log's payloads, by class and day",
        RingClass::Sealing(Purpose::NamedKeys) => "seals the seeds of the log's key and of the notices' key",
        RingClass::Sealing(Purpose::Registry) => "seals contacts",
        RingClass::Sealing(Purpose::SnapshotKeys) => "wraps the keys of search snapshots",
        RingClass::Sealing(Purpose::BackupKeys) => "wraps the keys of backups",
        RingClass::Sealing(Purpose::CollectionKeys) => {
            "wraps the keys of collections, which protect templates and seal them"
        }
        RingClass::Tags => "makes searchable tags",
        RingClass::Pseudonyms => "makes pseudonyms of source ids",
        RingClass::Store => "ties the two databases together",
    }
}

/// The keys of collections. While one is renewed there are two, and what lies under the older one is left to be done.
fn collections(data: &Connection, keys: &Connection) -> Result<Vec<Standing>, StoreError> {
    let read = "SELECT collection, generation, since_ms FROM collection_keys ORDER BY collection, generation";
    let rows = keys.prepare(read).and_then(|mut statement| {
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get(2)?));
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    let standing = |(collection, generation, since): (String, u32, i64)| {
        let counted = "SELECT (SELECT count(*) FROM templates WHERE collection = ?1 AND generation = ?2),
                       coalesce((SELECT generation FROM collections WHERE name = ?1), ?2)";
        let counted =
            data.query_row(counted, params![collection, generation], |row| Ok((row.get(0)?, row.get(1)?)));
        let (beneath, newest): (u64, u32) = database("counting templates", counted)?;
        let (since, in_use) = (Timestamp::from_millis(since), newest == generation);
        Ok(Standing {
            key: format!("collection:{collection}:{generation}"),
            purpose: format!("protects and seals the templates of {collection}"),
            since: Some(since),
            beneath: Some(beneath),
            rank: if in_use { Rank::InUse } else { Rank::Older },
            due: in_use.then(|| due(since)),
        })
    };
    database("reading keys of collections", rows)?.into_iter().map(standing).collect()
}

/// The key that signs checkpoints, by the first bytes of its public half's digest, and how often it changed.
fn log_key(data: &Connection, keys: &Connection) -> Result<Standing, StoreError> {
    let newest = data
        .query_row("SELECT public_key FROM log_keys ORDER BY number DESC LIMIT 1", [], |row| {
            row.get::<_, [u8; 32]>(0)
        })
        .optional();
    let newest = database("looking for the log's key", newest)?;
    let name = newest.as_ref().map_or_else(|| LOG_KEY.to_owned(), seed_name);
    let since = keys
        .query_row("SELECT since_ms FROM named_keys WHERE name = ?1", params![name], |row| row.get(0))
        .optional();
    let since = database("looking for the log's key", since)?.map(Timestamp::from_millis);
    let key = newest.map_or_else(|| "log:first".to_owned(), |key| format!("log:{}", short(&key)));
    let journals = data.query_row("SELECT count(*) FROM journals WHERE retired = 0", [], |row| row.get(0));
    Ok(Standing {
        key,
        purpose: "signs the checkpoints of every journal".to_owned(),
        since,
        beneath: Some(database("counting journals", journals)?),
        rank: Rank::InUse,
        due: since.map(due),
    })
}

/// Partners' keys: theirs to change, shown so that somebody asks when one is old.
fn release_keys(data: &Connection) -> Result<Vec<Standing>, StoreError> {
    let read = "SELECT name, release_key, (SELECT count(*) FROM releases JOIN disclosures ON disclosures.id = disclosure
                WHERE disclosures.partner = partners.name)
                FROM partners WHERE release_key IS NOT NULL ORDER BY name";
    let rows = data.prepare(read).and_then(|mut statement| {
        statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?)))?
            .collect::<Result<Vec<_>, _>>()
    });
    let standing = |(partner, key, releases): (String, Vec<u8>, u64)| Standing {
        key: format!("release:{}", short(&key)),
        purpose: format!("releases to {partner}, whose key it is"),
        since: None,
        beneath: Some(releases),
        rank: Rank::InUse,
        due: None,
    };
    Ok(database("reading release keys", rows)?.into_iter().map(standing).collect())
}

fn short(public_key: &[u8]) -> String {
    let digest = Digest::sha256(public_key);
    digest.as_bytes().first_chunk::<8>().map(|first| HEXLOWER.encode(first)).unwrap_or_default()
}
