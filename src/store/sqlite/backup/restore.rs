//! The way back: a backup is checked without the root key, and put in place with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::backup::BackupNote;
use crate::audit::note::VerifierKey;
use crate::clock::Clock;
use crate::keys::RootKey;
use crate::secret::Entropy;
use crate::store::{BackupError, StoreError};

use super::super::heads::Heads;
use super::super::keystore::KeyStore;
use super::super::recovery::{self, JournalContinued};
use super::super::renewal;
use super::super::ring_keys::Founded;
use super::super::{
    DATABASE_FILE, KEY_STORE_FILE, Parts, connect, durable_name, files, private_folder, shown,
};
use super::{NOTE_FILE, SEALED_FILE, copy, failed, remove, sealed};

/// What to do with a backup that is older than what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Nothing is put in place.
    Refused,
    /// It is put in place; the server then signs nothing before the journals went on under new origins.
    Accepted,
}

/// What came of it.
#[derive(Debug)]
pub struct BackupRestored {
    /// What the backup says of itself.
    pub note: BackupNote,
    /// Journals in it that are older than what was signed.
    pub behind: Vec<JournalContinued>,
    /// Origins that were signed and that it does not know.
    pub unknown: Vec<String>,
    /// Whether it was put in place.
    pub in_place: bool,
}

/// Checks that a backup is whole and the one that the holder of this key made, without the root key.
///
/// # Errors
/// [`BackupError`].
pub fn backup_check(folder: &Path, key: &VerifierKey) -> Result<BackupNote, BackupError> {
    let note = BackupNote::open(&note_read(folder)?, key)?;
    let path = folder.join(SEALED_FILE);
    let found = sealed::hash_file(&path);
    let found = found.map_err(|source| BackupError::Read { path: shown(&path), source })?;
    if found == (note.bytes, note.digest) { Ok(note) } else { Err(BackupError::Damaged) }
}

/// Opens a backup with the copy of the key store at `keys`, compares its journals with what was signed last, and puts
/// both in place of a store that is not there.
///
/// # Errors
/// [`BackupError`]; nothing is in place then.
pub fn backup_restore(
    (folder, keys): (&Path, &Path),
    (store, heads): (&Path, &Path),
    behind: Behind,
    root: RootKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<BackupRestored, BackupError> {
    if files(store).iter().any(|file| file.exists()) {
        return Err(BackupError::Occupied(shown(store)));
    }
    let note = BackupNote::claimed(&note_read(folder)?)?;
    let staging = beside(store);
    remove(&staging)?;
    let opened = unpack(folder, keys, &staging, &note, root, clock, entropy)
        .and_then(|parts| Ok(compared(&parts, heads)?))
        .and_then(|(journals, unknown)| {
            let in_place = behind == Behind::Accepted || (journals.is_empty() && unknown.is_empty());
            if in_place {
                put_in_place(&staging, store)?;
            }
            Ok(BackupRestored { note, behind: journals, unknown, in_place })
        });
    remove(&staging)?;
    opened
}

/// Puts database and key store into a folder, and opens them.
fn unpack(
    folder: &Path,
    keys: &Path,
    staging: &Path,
    note: &BackupNote,
    root: RootKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Parts, BackupError> {
    private_folder(staging)?;
    if !keys.is_file() {
        return Err(BackupError::NoKeyStore(shown(keys)));
    }
    let key_store = staging.join(KEY_STORE_FILE);
    // Through the database: a copy that was made of it while it was used may have its newest rows in a log beside it.
    let copied = copy(&mut connect(keys)?, &key_store, || false, |_| Ok(()))?;
    debug_assert!(copied.is_some(), "nobody told it to stop");
    let now = clock.now();
    let key_store = KeyStore::open((&key_store, None), &root, Founded::Before, now, entropy.as_ref())?;
    let key = key_store.backup_key(&note.id)?.ok_or(BackupError::NoKey)?;
    drop(key_store);
    let sealed = folder.join(SEALED_FILE);
    sealed::open_file(&sealed, &staging.join(DATABASE_FILE), (&note.id, &key), note.bytes)?;
    let parts = Parts::open(staging, root, None, clock, entropy)?;
    // Its templates lie under keys that were destroyed when the collection was renewed.
    match renewal::keyless(&parts.context, &parts.sql)? {
        Some(of) => Err(BackupError::Renewed(of.collection)),
        None => Ok(parts),
    }
}

/// The journals that are behind what was signed, and origins that are not known.
fn compared(parts: &Parts, heads: &Path) -> Result<(Vec<JournalContinued>, Vec<String>), StoreError> {
    let heads = Heads::open(heads)?;
    let unknown = heads.as_ref().map(|heads| recovery::strangers(parts, heads)).unwrap_or_default();
    Ok((recovery::behind(parts, heads.as_ref())?, unknown))
}

fn put_in_place(staging: &Path, store: &Path) -> Result<(), StoreError> {
    private_folder(store)?;
    // The database last: without it a folder is no store.
    for name in [KEY_STORE_FILE, DATABASE_FILE] {
        let path = store.join(name);
        let moved = fs::rename(staging.join(name), &path).and_then(|()| durable_name(&path));
        moved.map_err(|source| failed(&path, source))?;
    }
    Ok(())
}

/// A folder on the same disk as the store.
fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".restoring");
    PathBuf::from(name)
}

fn note_read(folder: &Path) -> Result<String, BackupError> {
    let path = folder.join(NOTE_FILE);
    fs::read_to_string(&path).map_err(|source| BackupError::Read { path: shown(&path), source })
}
