//! The folder of search snapshots: one file for each collection and range of slots, each under a key of its own.
//!
//! A file is written under another name, made durable and renamed, so that a crash leaves the old one, the new one or
//! none. Its key is durable before it, and the key of the one before is destroyed after it. What a crash left of
//! that, and whatever is not fit, goes at the next start. Destroying always begins with the key: from then on no copy
//! of the file opens.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use crate::ids::{CollectionName, Digest};
use crate::secret::random_bytes;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;
use crate::store::snapshot::{SNAPSHOT_SLOTS, SnapshotBegun, SnapshotNew};
use crate::telemetry;
use crate::template::{Compact, Dimension};

use file::{Head, Opened, Position, Unfit};

use super::keystore::{KeyStore, SnapshotId};
use super::{Context, database, private_folder, shown};

/// A collection in one generation and a range of slots: what one file is of.
pub(super) type SnapshotPlace = (CollectionGeneration, u64);

/// All snapshots of a store.
pub(super) struct SnapshotFolder {
    folder: PathBuf,
    state: Mutex<State>,
    /// Told when the one that is being written is over.
    over: Condvar,
}

#[derive(Default)]
struct State {
    kept: BTreeMap<SnapshotPlace, Kept>,
    begun: Option<Begun>,
}

#[derive(Clone, Copy)]
struct Kept {
    id: SnapshotId,
    count: u64,
}

struct Begun {
    place: SnapshotPlace,
    /// A template of it was erased since.
    is_spoiled: bool,
}

impl SnapshotFolder {
    /// Finds the snapshots in a folder, made if it is not there, and destroys what is not fit to be read.
    pub(super) fn open(folder: PathBuf, keys: &KeyStore) -> Result<Self, StoreError> {
        private_folder(&folder)?;
        let failed = |source| StoreError::File { path: shown(&folder), source };
        let mut kept: BTreeMap<SnapshotPlace, Kept> = BTreeMap::new();
        let mut removed = false;
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name.ends_with(SEALED_SUFFIX) {
                match Opened::open(&path, keys).and_then(|opened| placed(opened, name)) {
                    Ok((place, found)) => {
                        kept.insert(place, found);
                        continue;
                    }
                    Err(unfit) => told(None, &unfit),
                }
            } else if !name.ends_with(NEW_SUFFIX) {
                continue;
            }
            removed = true;
            unlink(&path)?;
        }
        if removed {
            synchronised(&folder)?;
        }
        let used: BTreeSet<SnapshotId> = kept.values().map(|kept| kept.id).collect();
        let unused: Vec<_> = keys.snapshot_ids()?.into_iter().filter(|id| !used.contains(id)).collect();
        keys.snapshot_keys_destroy(&unused)?;
        Ok(Self { folder, state: Mutex::new(State { kept, begun: None }), over: Condvar::new() })
    }

    /// How many templates each snapshot of a generation holds, by its range.
    pub(super) fn counts(&self, generation: &CollectionGeneration) -> BTreeMap<u64, u64> {
        let state = self.state();
        let own = state.kept.iter().filter(|((of, _), _)| of == generation);
        own.map(|((_, range), kept)| (*range, kept.count)).collect()
    }

    /// The templates of a snapshot; `None` where there is none. The store must have been where it was written.
    pub(super) fn read(
        &self,
        context: &Context,
        sql: &Connection,
        place: &SnapshotPlace,
        dimension: Dimension,
    ) -> Result<Option<Vec<(u64, Compact)>>, Unfit> {
        if !self.state().kept.contains_key(place) {
            return Ok(None);
        }
        let opened = Opened::open(&self.path(place), &context.keys)?;
        let Head { generation, dimension: found, range, .. } = &opened.head;
        if (generation, *range) != (&place.0, place.1) || *found != dimension {
            return Err(Unfit::Moved);
        }
        if !was_at(sql, &opened.head.position).map_err(|error| Unfit::Keys(Box::new(error)))? {
            return Err(Unfit::Ahead);
        }
        opened.templates().map(Some)
    }

    /// The leave to write a snapshot; `None` while another is being written.
    pub(super) fn begin(self: &Arc<Self>, place: SnapshotPlace) -> Option<SnapshotBegun> {
        let mut state = self.state();
        if state.begun.is_some() {
            return None;
        }
        let (generation, range) = place.clone();
        state.begun = Some(Begun { place, is_spoiled: false });
        Some(SnapshotBegun { generation, range, _mark: Box::new(Mark(Arc::clone(self))) })
    }

    /// Seals and writes a snapshot in place of the one before.
    pub(super) fn write(
        &self,
        context: &Context,
        new: SnapshotNew,
        dimension: Dimension,
        position: Position,
    ) -> Result<(), StoreError> {
        let SnapshotNew { templates, begun } = new;
        let place = (begun.generation.clone(), begun.range);
        let count = u64::try_from(templates.len()).unwrap_or(u64::MAX);
        if templates.is_empty() {
            return Ok(());
        }
        let (generation, range) = place.clone();
        let head = Head { generation, dimension, range, count, position };
        let entropy = context.entropy.as_ref();
        let id: SnapshotId = random_bytes(entropy)?;
        let key = context.keys.snapshot_key_make(&id, entropy)?;
        let unfinished = self.path(&place).with_extension(NEW_EXTENSION);
        let written = unlink(&unfinished)
            .and_then(|()| file::write(&unfinished, (&id, &key), &head, &templates, entropy))
            .and_then(|()| self.put_in_place(&place, &unfinished, Kept { id, count }));
        // The copies are wiped before anybody who waits for it goes on.
        drop(templates);
        let unused = match &written {
            Ok(Placed::New(before)) => *before,
            Ok(Placed::Spoiled) | Err(_) => Some(id),
        };
        let unused: Vec<SnapshotId> = unused.into_iter().collect();
        let destroyed = context.keys.snapshot_keys_destroy(&unused);
        if !matches!(written, Ok(Placed::New(_))) {
            unlink(&unfinished)?;
        }
        drop(begun);
        written.and(destroyed)
    }

    /// Gives a file its name, unless a template of it was erased since.
    fn put_in_place(
        &self,
        place: &SnapshotPlace,
        unfinished: &Path,
        new: Kept,
    ) -> Result<Placed, StoreError> {
        let mut state = self.state();
        if state.begun.as_ref().is_some_and(|begun| begun.is_spoiled) {
            return Ok(Placed::Spoiled);
        }
        let path = self.path(place);
        let renamed = std::fs::rename(unfinished, &path);
        renamed.map_err(|source| StoreError::File { path: shown(&path), source })?;
        synchronised(&self.folder)?;
        let before = state.kept.insert(place.clone(), new);
        Ok(Placed::New(before.map(|kept| kept.id)))
    }

    /// Destroys the snapshots that hold, or held, these slots, and lets none be finished that may hold them. Waits
    /// for one that is being written.
    pub(super) fn slots_gone(
        &self,
        context: &Context,
        slots: &[(CollectionGeneration, u64)],
    ) -> Result<(), StoreError> {
        let places = slots.iter().map(|(of, slot)| (of.clone(), range_of(*slot)));
        self.destroy(context, &places.collect())
    }

    /// Destroys the snapshots of other generations than these.
    pub(super) fn keep_only(
        &self,
        context: &Context,
        generations: &[CollectionGeneration],
    ) -> Result<(), StoreError> {
        let others = self.state().kept.keys().filter(|(of, _)| !generations.contains(of)).cloned().collect();
        self.destroy(context, &others)
    }

    /// Destroys snapshots: first their keys, then the files.
    pub(super) fn destroy(
        &self,
        context: &Context,
        places: &BTreeSet<SnapshotPlace>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let concerned = |begun: &Begun| places.contains(&begun.place);
        if let Some(begun) = state.begun.as_mut().filter(|begun| concerned(begun)) {
            begun.is_spoiled = true;
            let wait = |state: &mut State| state.begun.as_ref().is_some_and(concerned);
            state = self.over.wait_while(state, wait).unwrap_or_else(PoisonError::into_inner);
        }
        let found: Vec<_> =
            places.iter().filter_map(|place| Some((place, state.kept.get(place)?.id))).collect();
        if found.is_empty() {
            return Ok(());
        }
        let ids: Vec<SnapshotId> = found.iter().map(|(_, id)| *id).collect();
        // INVARIANT: what fails from here on leaves the files known, so that they are destroyed the next time.
        context.keys.snapshot_keys_destroy(&ids)?;
        let paths = found.iter().map(|(place, _)| self.path(place));
        paths.into_iter().try_for_each(|path| unlink(&path))?;
        synchronised(&self.folder)?;
        state.kept.retain(|_, kept| !ids.contains(&kept.id));
        Ok(())
    }

    fn path(&self, (generation, range): &SnapshotPlace) -> PathBuf {
        self.folder.join(file_name(generation, *range))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is changed before what could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a written file.
enum Placed {
    /// It has its name; the id of the one before, if there was one.
    New(Option<SnapshotId>),
    /// A template of it was erased meanwhile.
    Spoiled,
}

/// Ends the leave to write when it is dropped.
struct Mark(Arc<SnapshotFolder>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.state().begun = None;
        self.0.over.notify_all();
    }
}

/// Says that a snapshot is not used, to the log and in the metrics.
pub(super) fn told(collection: Option<&CollectionName>, unfit: &Unfit) {
    let (reason, error) = (unfit.word(), telemetry::chain(unfit));
    tracing::warn!(
        collection = collection.map(CollectionName::as_str),
        reason,
        %error,
        "a search snapshot is not used; its templates are read from the store and it is written again"
    );
    telemetry::snapshot_unfit(reason);
}

/// The number of the range that a slot is in.
pub(super) const fn range_of(slot: u64) -> u64 {
    slot.wrapping_div(SNAPSHOT_SLOTS.get())
}

/// The dimension of a collection; `None` when the store does not know it.
pub(super) fn dimension(
    sql: &Connection,
    collection: &CollectionName,
) -> Result<Option<Dimension>, StoreError> {
    let read = "SELECT dimension FROM collections WHERE name = ?1";
    let found = sql.query_row(read, params![collection.as_str()], |row| row.get(0)).optional();
    let Some(found) = database("reading a collection", found)? else { return Ok(None) };
    let dimension = Dimension::new(found);
    dimension.map(Some).map_err(|_| StoreError::Damaged { what: "the dimension of a collection" })
}

/// Where the store stands.
pub(super) fn position(sql: &Connection) -> Result<Position, StoreError> {
    let newest = sql.query_row(
        "SELECT origin, size, note FROM checkpoints JOIN journals ON journals.id = checkpoints.journal
         WHERE name = 'holder' AND retired = 0 ORDER BY size DESC LIMIT 1",
        [],
        |row| {
            let note: String = row.get(2)?;
            Ok(Position { origin: row.get(0)?, size: row.get(1)?, note: Digest::sha256(note.as_bytes()) })
        },
    );
    database("reading where the log stands", newest)
}

/// Whether the store has stood there: its journal has this very checkpoint.
fn was_at(sql: &Connection, position: &Position) -> Result<bool, StoreError> {
    let note = sql
        .prepare_cached(
            "SELECT note FROM checkpoints JOIN journals ON journals.id = checkpoints.journal
             WHERE origin = ?1 AND size = ?2",
        )
        .and_then(|mut statement| {
            let found = statement.query_row(params![position.origin, position.size], |row| row.get(0));
            found.optional()
        });
    let note: Option<String> = database("looking for a checkpoint", note)?;
    Ok(note.is_some_and(|note| Digest::sha256(note.as_bytes()) == position.note))
}

fn placed(opened: Opened, name: &str) -> Result<(SnapshotPlace, Kept), Unfit> {
    let Head { generation, range, count, .. } = opened.head;
    if file_name(&generation, range) != name {
        return Err(Unfit::Moved);
    }
    Ok(((generation, range), Kept { id: opened.id, count }))
}

fn file_name(of: &CollectionGeneration, range: u64) -> String {
    format!("{}.{}.{range:08}{SEALED_SUFFIX}", of.collection, of.number)
}

/// Removes a file, if it is there.
fn unlink(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::File { path: shown(path), source })
        }
        _ => Ok(()),
    }
}

/// Makes names of files survive a power cut, and what was removed stay away.
fn synchronised(folder: &Path) -> Result<(), StoreError> {
    let done = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    done.map_err(|source| StoreError::File { path: shown(folder), source })
}

/// The folder of snapshots in the store's.
pub(super) const SNAPSHOTS_FOLDER: &str = "snapshots";
const SEALED_SUFFIX: &str = ".sealed";
const NEW_SUFFIX: &str = ".new";
const NEW_EXTENSION: &str = "new";
