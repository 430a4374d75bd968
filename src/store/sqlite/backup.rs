//! Backups of the database while it is served, and the way back.
//!
//! A backup is a folder of two files: the sealed database, and a note about it that the log's key signed. It is
//! written under another name, made durable and renamed, so that whatever has a backup's name is whole. Its key lies in
//! the key store. The key store is never in a backup: beside all of them lies one copy of it, which follows every
//! destruction, so that old data opens with today's keys alone.

mod restore;
mod sealed;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_encoding::HEXLOWER;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::audit::backup::{BackupHead, BackupId, BackupNote};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::secret::random_bytes;
use crate::store::backup::{BackupBegun, BackupMade, BackupPlace};
use crate::store::{Journal, StoreError};

pub use restore::{BackupRestored, Behind, backup_check, backup_restore};

use super::tx::Tx;
use super::{Context, SqliteStore, connect, database, durable_name, holder, log, private_folder, shown};

/// The place of backups of a store that is served.
pub(super) struct Backups {
    place: BackupPlace,
    /// One after the other.
    making: tokio::sync::Mutex<()>,
    /// Whoever reads the whole database holds it, and whoever empties the write-ahead log: no reader lets it be emptied.
    reading: tokio::sync::Mutex<()>,
    /// How many wait to empty it.
    waiting: AtomicUsize,
}

impl Backups {
    /// Finds the place, made if it is not there, and clears away what a crash left.
    pub(super) fn open(place: BackupPlace, store: &Path) -> Result<Self, StoreError> {
        private_folder(&place.folder)?;
        for name in listed(&place.folder)? {
            if name.ends_with(UNFINISHED) {
                remove(&place.folder.join(name))?;
            }
        }
        remove(&store.join(COPY_FILE))?;
        let (making, reading) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { place, making, reading, waiting: AtomicUsize::new(0) })
    }

    /// When the newest backup was made.
    pub(super) fn newest(&self) -> Result<Option<Timestamp>, StoreError> {
        let Some(name) = names(&self.place.folder)?.pop() else { return Ok(None) };
        let path = self.place.folder.join(name).join(NOTE_FILE);
        let note = std::fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
        // One that can't be read is no reason to go without: another is due.
        Ok(BackupNote::claimed(&note).ok().map(|note| note.made))
    }

    /// Waits until nobody reads the whole database.
    pub(super) async fn nobody_reads(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let _waiting = Waiting::new(&self.waiting);
        self.reading.lock().await
    }
}

/// The copy of the key store beside the backups.
pub(super) fn key_copy(place: &BackupPlace) -> PathBuf {
    place.folder.join(super::KEY_STORE_FILE)
}

/// Enters that a backup is made; gives its name.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    permit: Option<&Permit>,
    why: &str,
) -> Result<(String, BackupId), StoreError> {
    let id: BackupId = random_bytes(tx.context.entropy.as_ref())?;
    let name = name(tx.now, &id);
    let event = match permit {
        Some(permit) => tx.event(Kind::BackupMade, permit),
        None => tx.system_event(Kind::BackupMade, holder::policy_active(tx.sql)?),
    };
    tx.enter_private(&event.text(Fact::Reason, why).text(Fact::Detail, &name), &[])?;
    Ok((name, id))
}

/// A name that sorts by time, and that no two backups share.
fn name(at: Timestamp, id: &BackupId) -> String {
    let instant: String = at.to_string().chars().filter(|c| *c != ':').take(INSTANT_CHARS).collect();
    let [a, b, c, d, ..] = id;
    format!("{instant}Z-{}", HEXLOWER.encode(&[*a, *b, *c, *d]))
}

impl SqliteStore {
    /// Makes the backup that was begun.
    pub(super) async fn backup(&self, begun: BackupBegun) -> Result<BackupMade, StoreError> {
        let backups = self.backups.as_ref().ok_or(StoreError::Closed)?;
        let _one_after_the_other = backups.making.lock().await;
        let copy = self.folder.join(COPY_FILE);
        let stood = self.database_copy(backups, &copy).await?;
        let (context, place) = (Arc::clone(&self.context), backups.place.clone());
        let made = tokio::task::spawn_blocking(move || {
            let made = put(&context, &place, &begun, &copy, stood);
            remove(&copy)?;
            made
        });
        made.await.map_err(|_| StoreError::Closed)?
    }

    /// Copies the database as it stands at one moment; gives where its journals stood. Whoever empties the write-ahead
    /// log meanwhile goes first, a few times: the copy then begins anew.
    async fn database_copy(&self, backups: &Arc<Backups>, to: &Path) -> Result<Stood, StoreError> {
        let mut turns = 0..YIELDS;
        loop {
            let yields = turns.next().is_some();
            let _reading = backups.reading.lock().await;
            let (backups, from, to) = (Arc::clone(backups), self.path.clone(), to.to_owned());
            let copied = tokio::task::spawn_blocking(move || {
                remove(&to)?;
                let stop = || yields && backups.waiting.load(Ordering::SeqCst) > 0;
                copy(&mut connect(&from)?, &to, stop, stood)
            });
            if let Some(stood) = copied.await.map_err(|_| StoreError::Closed)?? {
                return Ok(stood);
            }
        }
    }
}

/// Copies a database as it stands at one moment, and reads something in the same view; `None` when told to stop.
fn copy<T>(
    from: &mut Connection,
    to: &Path,
    stop: impl Fn() -> bool,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let doing = "copying the database";
    let view = database(doing, from.transaction())?;
    let found = read(&view)?;
    let mut target = database(doing, Connection::open(to))?;
    // Nobody reads it after a power cut.
    database(doing, target.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;"))?;
    let backup = database(doing, Backup::new(&view, &mut target))?;
    loop {
        match database(doing, backup.step(PAGES_AT_ONCE))? {
            StepResult::Done => return Ok(Some(found)),
            _ if stop() => return Ok(None),
            _ => {}
        }
    }
}

/// Where the journals stood.
struct Stood {
    /// The origin of the holder's.
    origin: String,
    heads: Vec<BackupHead>,
}

fn stood(sql: &Connection) -> Result<Stood, StoreError> {
    let rows = sql
        .prepare(
            "SELECT origin, max(size), note FROM checkpoints JOIN journals ON journals.id = checkpoints.journal
             WHERE retired = 0 GROUP BY journals.id ORDER BY origin",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    let heads = database("reading the newest checkpoints", rows)?
        .into_iter()
        .map(|(origin, size, note)| {
            let signed = note.split("\n\n").next().map(|text| format!("{text}\n")).unwrap_or_default();
            let root = Checkpoint::parse_any(&signed).map(|checkpoint| checkpoint.root);
            let root = root.map_err(|_| StoreError::Damaged { what: "a checkpoint" })?;
            Ok(BackupHead { origin, size, root })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Stood { origin: log::origin(sql, &Journal::Holder)?, heads })
}

/// Seals a copy of the database into its place, whole or not at all.
fn put(
    context: &Context,
    place: &BackupPlace,
    begun: &BackupBegun,
    copy: &Path,
    stood: Stood,
) -> Result<BackupMade, StoreError> {
    let unfinished = place.folder.join(format!("{}{UNFINISHED}", begun.name));
    let note = match write(context, &unfinished, begun, copy, stood) {
        Ok(note) => note,
        Err(error) => {
            remove(&unfinished)?;
            context.keys.backup_key_destroy(&begun.id)?;
            return Err(error);
        }
    };
    // INVARIANT: before the backup has its name. Every key that it needs is in the copy by then.
    keys_copy(context)?;
    let path = place.folder.join(&begun.name);
    std::fs::rename(&unfinished, &path)
        .and_then(|()| durable_name(&path))
        .map_err(|source| failed(&path, source))?;
    let destroyed = destroy_older(context, place)?;
    Ok(BackupMade { name: begun.name.clone(), note, destroyed })
}

fn write(
    context: &Context,
    folder: &Path,
    begun: &BackupBegun,
    copy: &Path,
    Stood { origin, heads }: Stood,
) -> Result<BackupNote, StoreError> {
    private_folder(folder)?;
    let key = context.keys.backup_key_make(&begun.id, context.entropy.as_ref())?;
    let sealed = folder.join(SEALED_FILE);
    let (bytes, digest) = sealed::seal_file(copy, &sealed, (&begun.id, &key), context.entropy.as_ref())?;
    let note = BackupNote { origin, id: begun.id, made: context.clock.now(), bytes, digest, heads };
    let path = folder.join(NOTE_FILE);
    let signed = context.signers.sign_backup(&note);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(signed.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| durable_name(&path))
        .map_err(|source| failed(&path, source))?;
    Ok(note)
}

/// Destroys all but the newest backups, each beginning with its key.
fn destroy_older(context: &Context, place: &BackupPlace) -> Result<Vec<String>, StoreError> {
    let mut names = names(&place.folder)?;
    names.truncate(names.len().saturating_sub(place.keep));
    for name in &names {
        let path = place.folder.join(name);
        if let Ok(note) = std::fs::read_to_string(path.join(NOTE_FILE))
            && let Ok(note) = BackupNote::claimed(&note)
        {
            context.keys.backup_key_destroy(&note.id)?;
        }
        remove(&path)?;
    }
    Ok(names)
}

/// Brings the copy of the key store up to date.
pub(super) fn keys_copy(context: &Context) -> Result<(), StoreError> {
    context.keys.copy().map_or(Ok(()), super::key_copy::KeyCopy::bring_up_to_date)
}

/// The backups in a place, oldest first.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = listed(folder)?;
    names.retain(|name| !name.ends_with(UNFINISHED) && folder.join(name).join(NOTE_FILE).is_file());
    names.sort_unstable();
    Ok(names)
}

fn listed(folder: &Path) -> Result<Vec<String>, StoreError> {
    let names = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
        .map_err(|source| failed(folder, source))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed(path, source)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::File { path: shown(path), source }
}

/// One more waits, as long as this lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The copy that is sealed, in the store's folder: it is what the database is.
const COPY_FILE: &str = "backup.copy";
/// The sealed database in the folder of a backup.
const SEALED_FILE: &str = "sealed";
/// The note in the folder of a backup.
const NOTE_FILE: &str = "note";
/// What a folder's name ends with before it is whole.
const UNFINISHED: &str = ".unfinished";
/// `2026-11-22T193000.123`.
const INSTANT_CHARS: usize = 21;
/// 16 MiB: some milliseconds, after which whoever waits goes first.
const PAGES_AT_ONCE: std::ffi::c_int = 4_096;
/// So often a copy begins anew for somebody who waits; then it is finished.
const YIELDS: u32 = 8;
