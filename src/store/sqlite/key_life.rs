//! The life of roots and ring, for a store that nobody serves: another root, another generation of a class, and the
//! end of old ones.
//!
//! INVARIANT: at every moment a root that people have opens the store. Another root is added beside the old one in one
//! transaction, and an old one goes only when every key of the ring lies under the root that is open. A value is
//! sealed anew under a generation that is durable already, and a generation goes only when nothing lies under it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::clock::{Clock, Timestamp};
use crate::ids::SubjectId;
use crate::keys::{Generations, KeyId, KeyRing, Place, Purpose, RingClass, RingKey, RootKey};
use crate::secret::Entropy;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;

use super::collection_key::{collection_place, collection_row};
use super::key_note::{self, Note};
use super::keystore::{backup_place, named_place, payload_place, payload_row, snapshot_place, subject_place};
use super::{SqliteStore, connect, count, database, files, ring_keys, sealed, truncate_log};

/// What every operation needs.
pub struct Operation<'a> {
    /// The folder of the store. Its lock is the caller's to hold.
    pub folder: &'a Path,
    /// The folder of the newest signed checkpoints.
    pub heads: &'a Path,
    /// Why; it stands in the log.
    pub reason: &'a str,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where keys come from.
    pub entropy: Arc<dyn Entropy>,
}

/// A class that was given another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRotated {
    /// The generation that seals from here on.
    pub newest: u32,
    /// How many values were sealed anew.
    pub resealed: u64,
    /// Whether the generation was made now, or by a rotation that was cut short.
    pub generation: GenerationMade,
}

/// Where the newest generation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationMade {
    /// It was made now.
    Now,
    /// It was there, and values still lay under older ones.
    Before,
}

/// Lets another root open the store besides the one that does. Done again with the same two it changes nothing.
///
/// # Errors
/// [`StoreError::KeysRefused`] when a third root opens it already; [`StoreError`] of the store. Then the old root
/// opens it as before.
pub async fn root_rotate(of: &Operation<'_>, old: &RootKey, new: &RootKey) -> Result<(), StoreError> {
    of.entered(old).await?;
    let mut sql = of.keys()?;
    let step = begin(&mut sql)?;
    let roots = ring_keys::roots(&step)?;
    if !roots.iter().any(|(id, _)| *id == new.id()) {
        if let Some((other, _)) = roots.iter().find(|(id, _)| *id != old.id()) {
            return refused(format!(
                "root `{other}` opens this store as well; retire it first with `onebit keys retire root:{other}`"
            ));
        }
        let now = of.clock.now();
        let since = ring_keys::since(&step, &old.id())?;
        let keys = ring_keys::load(&step, old)?;
        ring_keys::root_put(&step, &new.id(), now)?;
        for key in &keys {
            let known = since
                .iter()
                .find(|(class, generation, _)| (*class, *generation) == (key.class, key.generation));
            let since = known.map_or(now, |(_, _, since)| *since);
            ring_keys::put(&step, new, key, since, of.entropy.as_ref())?;
        }
        // Nothing is kept that was not tried.
        let ring = ring_keys::ring(ring_keys::load(&step, new)?)?;
        let note = of.note("rotated", root_name(&old.id()), Some(root_name(&new.id())));
        key_note::leave(&step, &ring, &note, of.entropy.as_ref())?;
    }
    database("adding a root", step.commit())?;
    drop(sql);
    of.entered(new).await
}

/// Takes from a root what it opens of the store.
///
/// # Errors
/// [`StoreError::KeysRefused`] when it is the root that is open, is none of this store's, or still opens keys that
/// the open one does not.
pub async fn root_retire(of: &Operation<'_>, open: &RootKey, id: KeyId) -> Result<(), StoreError> {
    of.entered(open).await?;
    if id == open.id() {
        return refused(format!(
            "root `{id}` is the one that opens this store here; rotate it first with `onebit keys rotate root`, and name the new one in the configuration"
        ));
    }
    let mut sql = of.keys()?;
    let step = begin(&mut sql)?;
    if !ring_keys::roots(&step)?.iter().any(|(known, _)| *known == id) {
        return refused(format!("no root `{id}` opens this store; `onebit keys status` lists those that do"));
    }
    let keys = ring_keys::load(&step, open)?;
    let kept: BTreeSet<(RingClass, u32)> = keys.iter().map(|key| (key.class, key.generation)).collect();
    let lost = ring_keys::since(&step, &id)?;
    let lost = lost.iter().filter(|(class, generation, _)| !kept.contains(&(*class, *generation))).count();
    if lost > 0 {
        return refused(format!(
            "{lost} keys lie under root `{id}` and not under `{}`; rotate the root once more",
            open.id()
        ));
    }
    for statement in [
        "UPDATE ring_keys SET wrapped = zeroblob(length(wrapped)) WHERE root = ?1",
        "DELETE FROM ring_keys WHERE root = ?1",
        "DELETE FROM roots WHERE id = ?1",
    ] {
        database("retiring a root", step.execute(statement, params![id.as_bytes()]))?;
    }
    let ring = ring_keys::ring(keys)?;
    let note = of.note("retired", root_name(&id), None);
    key_note::leave(&step, &ring, &note, of.entropy.as_ref())?;
    database("retiring a root", step.commit())?;
    truncate_log(&sql)?;
    drop(sql);
    of.entered(open).await
}

/// Makes another generation of a class and seals everything anew under it. Where an earlier rotation was cut short it
/// is finished, and no generation is made. `progress` is told how many values were sealed so far.
///
/// # Errors
/// [`StoreError::KeysRefused`] while two roots open the store; [`StoreError`] of the store. What was sealed anew stays,
/// and everything opens as before.
pub async fn class_rotate(
    of: &Operation<'_>,
    open: &RootKey,
    purpose: Purpose,
    progress: &mut dyn FnMut(u64),
) -> Result<ClassRotated, StoreError> {
    of.entered(open).await?;
    let mut sql = of.keys()?;
    let mut data = connect(&files(of.folder)[0])?;
    let class = RingClass::Sealing(purpose);
    let mut made = GenerationMade::Before;
    {
        let step = begin(&mut sql)?;
        if let Some((other, _)) = ring_keys::roots(&step)?.iter().find(|(id, _)| *id != open.id()) {
            return refused(format!(
                "root `{other}` opens this store as well, and would not open the new key; retire it first with `onebit keys retire root:{other}`"
            ));
        }
        let ring = ring_keys::ring(ring_keys::load(&step, open)?)?;
        let newest = ring.sealing(purpose).newest();
        let older: u64 = lying_under(&step, &data, purpose)?.range(..newest).map(|(_, count)| count).sum();
        if older == 0 {
            made = GenerationMade::Now;
            let next = newest.checked_add(1).ok_or(StoreError::Damaged { what: "a generation" })?;
            let key = RingKey::draw(class, next, of.entropy.as_ref())?;
            ring_keys::put(&step, open, &key, of.clock.now(), of.entropy.as_ref())?;
            let note = of.note("rotated", class_name(class, newest), Some(class_name(class, next)));
            key_note::leave(&step, &ring, &note, of.entropy.as_ref())?;
        }
        database("adding a generation", step.commit())?;
    }
    let ring = ring_keys::ring(ring_keys::load(&sql, open)?)?;
    let resealed = reseal(of, &mut sql, &mut data, &ring, purpose, progress)?;
    let newest = ring.sealing(purpose).newest();
    drop((sql, data));
    of.entered(open).await?;
    Ok(ClassRotated { newest, resealed, generation: made })
}

/// Destroys a generation of a class, under every root.
///
/// # Errors
/// [`StoreError::KeysRefused`] when it is the newest, is not there, or values lie under it, with their number.
pub async fn class_retire(
    of: &Operation<'_>,
    open: &RootKey,
    purpose: Purpose,
    generation: u32,
) -> Result<(), StoreError> {
    of.entered(open).await?;
    let class = RingClass::Sealing(purpose);
    let name = class_name(class, generation);
    let mut sql = of.keys()?;
    let data = connect(&files(of.folder)[0])?;
    let step = begin(&mut sql)?;
    let keys = ring_keys::load(&step, open)?;
    let of_class = |key: &&RingKey| key.class == class;
    let newest = keys.iter().filter(of_class).map(|key| key.generation).max();
    if newest == Some(generation) {
        return refused(format!(
            "`{name}` is the key that seals; rotate it first with `onebit keys rotate {class}`"
        ));
    }
    if !keys.iter().filter(of_class).any(|key| key.generation == generation) {
        return refused(format!("there is no key `{name}`; `onebit keys status` lists those that there are"));
    }
    let beneath = lying_under(&step, &data, purpose)?.get(&generation).copied().unwrap_or(0);
    if beneath > 0 {
        return refused(format!(
            "{beneath} values lie under `{name}` and would never open again; seal them anew with `onebit keys rotate {class}`"
        ));
    }
    for statement in [
        "UPDATE ring_keys SET wrapped = zeroblob(length(wrapped)) WHERE class = ?1 AND generation = ?2",
        "DELETE FROM ring_keys WHERE class = ?1 AND generation = ?2",
    ] {
        database("retiring a generation", step.execute(statement, params![class.name(), generation]))?;
    }
    let ring = ring_keys::ring(keys)?;
    key_note::leave(&step, &ring, &of.note("retired", name, None), of.entropy.as_ref())?;
    database("retiring a generation", step.commit())?;
    truncate_log(&sql)?;
    drop((sql, data));
    of.entered(open).await
}

impl Operation<'_> {
    /// Opens the store as the server does, with all that it checks, and enters what has no entry yet.
    async fn entered(&self, root: &RootKey) -> Result<(), StoreError> {
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let store = SqliteStore::open(self.folder, self.heads, root.duplicate(), clock, entropy)?;
        store.key_notes_enter().await.map(|_| ())
    }

    fn keys(&self) -> Result<Connection, StoreError> {
        connect(&files(self.folder)[1])
    }

    fn note(&self, operation: &str, key: String, new_key: Option<String>) -> Note {
        let (reason, at_ms) = (self.reason.to_owned(), self.clock.now().as_millis());
        Note { operation: operation.to_owned(), key, new_key, reason, at_ms }
    }
}

fn begin(sql: &mut Connection) -> Result<rusqlite::Transaction<'_>, StoreError> {
    database("beginning to write", sql.transaction_with_behavior(TransactionBehavior::Immediate))
}

fn refused<T>(why: String) -> Result<T, StoreError> {
    Err(StoreError::KeysRefused(why))
}

/// How people are shown a root.
pub(super) fn root_name(id: &KeyId) -> String {
    format!("root:{id}")
}

/// How people are shown a key of the ring.
pub(super) fn class_name(class: RingClass, generation: u32) -> String {
    format!("{class}:{generation}")
}

/// How many values lie under each generation of a class.
pub(super) fn lying_under(
    keys: &Connection,
    data: &Connection,
    purpose: Purpose,
) -> Result<BTreeMap<u32, u64>, StoreError> {
    let mut found = BTreeMap::new();
    for (sql, table, column) in match purpose {
        Purpose::SubjectKeys => vec![(keys, "subject_keys", "wrapped")],
        Purpose::PayloadKeys => vec![(keys, "payload_keys", "wrapped")],
        Purpose::NamedKeys => vec![(keys, "named_keys", "wrapped"), (keys, "key_notes", "note")],
        Purpose::Registry => vec![(data, "people", "contact"), (data, "partners", "contact")],
        Purpose::SnapshotKeys => vec![(keys, "snapshot_keys", "wrapped")],
        Purpose::BackupKeys => vec![(keys, "backup_keys", "wrapped")],
        Purpose::CollectionKeys => vec![(keys, "collection_keys", "wrapped")],
    } {
        let counted = format!(
            "SELECT substr({column}, 1, 4), count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
        );
        let rows = sql.prepare(&counted).and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, u64>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
        for (mark, count) in database("counting what lies under a key", rows)? {
            // What is too short to name a key lies under none.
            *found.entry(Generations::of_value(&mark).unwrap_or(0)).or_default() += count;
        }
    }
    Ok(found)
}

/// Seals everything of a class anew that lies under an older generation.
fn reseal(
    of: &Operation<'_>,
    keys: &mut Connection,
    data: &mut Connection,
    ring: &KeyRing,
    purpose: Purpose,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, StoreError> {
    let work = Reseal { kek: ring.sealing(purpose), entropy: of.entropy.as_ref() };
    match purpose {
        Purpose::SubjectKeys => work.subjects(keys, progress),
        Purpose::PayloadKeys => work.all(
            keys,
            "SELECT class, day, wrapped FROM payload_keys",
            "UPDATE payload_keys SET wrapped = ?3 WHERE class = ?1 AND day = ?2",
            |class: u8, day: i64, seal| seal(payload_place(&payload_row(class, day))),
        ),
        Purpose::NamedKeys => work.all(
            keys,
            "SELECT name, 0, wrapped FROM named_keys",
            "UPDATE named_keys SET wrapped = ?3 WHERE name = ?1 AND ?2 = 0",
            |name: String, _: i64, seal| seal(named_place(&name)),
        ),
        Purpose::SnapshotKeys => work.all(
            keys,
            "SELECT id, 0, wrapped FROM snapshot_keys",
            "UPDATE snapshot_keys SET wrapped = ?3 WHERE id = ?1 AND ?2 = 0",
            |id: [u8; 16], _: i64, seal| seal(snapshot_place(&id)),
        ),
        Purpose::BackupKeys => work.all(
            keys,
            "SELECT id, 0, wrapped FROM backup_keys",
            "UPDATE backup_keys SET wrapped = ?3 WHERE id = ?1 AND ?2 = 0",
            |id: [u8; 16], _: i64, seal| seal(backup_place(&id)),
        ),
        Purpose::CollectionKeys => work.all(
            keys,
            "SELECT collection, generation, wrapped FROM collection_keys",
            "UPDATE collection_keys SET wrapped = ?3 WHERE collection = ?1 AND generation = ?2",
            |collection: String, number: u32, seal| {
                let of = CollectionGeneration { collection: super::name(&collection)?, number };
                seal(collection_place(&collection_row(&of)))
            },
        ),
        Purpose::Registry => {
            let people = work.all(
                data,
                "SELECT name, 0, contact FROM people WHERE contact IS NOT NULL",
                "UPDATE people SET contact = ?3 WHERE name = ?1 AND ?2 = 0",
                |name: String, _: i64, seal| seal(super::holder::contact_place("people", &name)),
            )?;
            let partners = work.all(
                data,
                "SELECT name, 0, contact FROM partners WHERE contact IS NOT NULL",
                "UPDATE partners SET contact = ?3 WHERE name = ?1 AND ?2 = 0",
                |name: String, _: i64, seal| seal(super::holder::contact_place("partners", &name)),
            )?;
            Ok(people.saturating_add(partners))
        }
    }
}

struct Reseal<'a> {
    kek: &'a Generations,
    entropy: &'a dyn Entropy,
}

/// Seals a value anew for its place; `None` when it lies under the newest generation already.
type Again<'a> = &'a dyn Fn(Place<'_>) -> Result<Option<Vec<u8>>, StoreError>;

impl Reseal<'_> {
    fn again(&self, place: Place<'_>, stored: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.kek.seal_again(place, stored, self.entropy) {
            Ok(None) => Ok(None),
            Ok(Some(value)) => sealed("sealing a key anew", Ok(value)).map(Some),
            Err(error) => sealed("sealing a key anew", Err(error)).map(Some),
        }
    }

    /// A table of few rows, in one transaction.
    fn all<A, B>(
        &self,
        sql: &mut Connection,
        select: &str,
        update: &str,
        again: impl Fn(A, B, Again<'_>) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<u64, StoreError>
    where
        A: rusqlite::types::FromSql + rusqlite::ToSql + Clone,
        B: rusqlite::types::FromSql + rusqlite::ToSql + Clone,
    {
        let step = begin(sql)?;
        let rows = step.prepare(select).and_then(|mut statement| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
            statement.query_map([], row)?.collect::<Result<Vec<(A, B, Vec<u8>)>, _>>()
        });
        let mut done = 0_u64;
        for (a, b, stored) in database("reading keys", rows)? {
            let sealed = again(a.clone(), b.clone(), &|place| self.again(place, &stored))?;
            if let Some(sealed) = sealed {
                database("sealing keys anew", step.execute(update, params![a, b, sealed]))?;
                done = done.saturating_add(1);
            }
        }
        database("sealing keys anew", step.commit())?;
        Ok(done)
    }

    /// The keys of subjects, of which there may be a million: in steps, each durable.
    fn subjects(&self, sql: &mut Connection, progress: &mut dyn FnMut(u64)) -> Result<u64, StoreError> {
        let mut done = 0_u64;
        let mut after: Option<[u8; 16]> = None;
        loop {
            let step = begin(sql)?;
            let rows = step
                .prepare_cached(
                    "SELECT subject, wrapped FROM subject_keys WHERE (?1 IS NULL OR subject > ?1)
                     ORDER BY subject LIMIT ?2",
                )
                .and_then(|mut statement| {
                    let row =
                        |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?));
                    statement.query_map(params![after, STEP_ROWS], row)?.collect::<Result<Vec<_>, _>>()
                });
            let rows = database("reading keys of subjects", rows)?;
            let Some((last, _)) = rows.last() else { return Ok(done) };
            after = Some(*last);
            for (subject, stored) in &rows {
                let Some(sealed) = self.again(subject_place(&SubjectId::from_bytes(*subject)), stored)?
                else {
                    continue;
                };
                let kept = step
                    .prepare_cached("UPDATE subject_keys SET wrapped = ?2 WHERE subject = ?1")
                    .and_then(|mut update| update.execute(params![subject, sealed]));
                database("sealing keys of subjects anew", kept).map(count)?;
                done = done.saturating_add(1);
            }
            database("sealing keys of subjects anew", step.commit())?;
            progress(done);
        }
    }
}

/// When a key that stands since then is to be rotated.
pub(super) fn due(since: Timestamp) -> Timestamp {
    Timestamp::from_millis(since.as_millis().saturating_add(ROTATE_AFTER_MS))
}

/// Two years: the longest use that NIST SP 800-57 part 1 revision 5, table 1, recommends for keys that wrap.
const ROTATE_AFTER_MS: i64 = 2 * 365 * 24 * 3_600 * 1_000;
/// About a megabyte of the write-ahead log.
const STEP_ROWS: u32 = 8_192;

#[cfg(test)]
mod tests;
