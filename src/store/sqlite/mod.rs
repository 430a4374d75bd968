//! The store on SQLite: write-ahead log, full synchronisation, one writer thread, a pool of readers.
//!
//! Two databases stand in one folder: `onebit.sqlite` holds everything, sealed; `keys.sqlite` holds the wrapped
//! keys and is backed up only as its present state. The root key lies in neither folder.

mod account;
mod backup;
mod breach;
mod case;
mod change;
mod changed;
mod chunks;
mod collection_key;
mod correction;
mod day_key;
mod delegation;
mod disclosure;
mod disclosure_list;
mod disclosure_row;
mod disposal;
mod duplicates;
mod enrolment;
mod export;
mod fork;
mod fsck;
mod gallery;
mod heads;
mod holder;
mod journals;
mod key_copy;
mod key_life;
mod key_note;
mod key_status;
mod keystore;
mod log;
mod log_key;
mod notice;
mod one_person;
mod pages;
mod passkey;
mod query;
mod readers;
mod record;
mod recovery;
mod refusal;
mod release;
mod renewal;
mod review;
mod rewrite;
mod ring_keys;
mod search;
mod service;
mod session;
mod settled;
mod snapshot;
mod sources;
mod statement;
mod subject;
mod subject_request;
mod tag_index;
mod tags;
#[cfg(test)]
mod tests;
mod totals;
mod tx;
mod witness;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::authz::Permit;
use crate::clock::{Clock, Timestamp};
use crate::ids::SubjectId;
use crate::keys::{RootKey, SealError, Sealed};
use crate::secret::{Entropy, EntropyAhead};

use super::backup::BackupPlace;
use super::enrolment::CollectionGeneration;
use super::{Chunk, Store, StoreError, StoreKeys};
use backup::Backups;
pub use backup::{BackupRestored, Behind, backup_check, backup_restore};
use chunks::{Ahead, Foreseen, Planned};
pub use fsck::{Fault, FaultPlace, FsckCounts, FsckReport, JournalFound, fsck};
use journals::Journals;
pub use key_life::{
    ClassRotated, GenerationMade, Operation, class_retire, class_rotate, root_retire, root_rotate,
};
pub use key_status::{KeysStatus, Rank, Standing, keys_status};
use keystore::KeyStore;
pub use notice::{NoticesStatus, ReceiverStatus, notice_signer, notices_status};
use readers::Readers;
pub use recovery::{JournalContinued, journals_behind, journals_continue};
use ring_keys::Founded;
use snapshot::SnapshotFolder;
use writer::Writer;

/// The store on SQLite.
pub struct SqliteStore {
    context: Arc<Context>,
    readers: Readers,
    writer: Writer,
    snapshots: Arc<SnapshotFolder>,
    /// Chunks are planned one after the other, and written in that order.
    enrolling: tokio::sync::Mutex<()>,
    backups: Option<Arc<Backups>>,
    folder: PathBuf,
    /// Those that are planned and not written yet.
    ahead: Ahead,
    path: PathBuf,
}

/// What every transaction needs besides the database.
struct Context {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keys: KeyStore,
    signers: log_key::Signers,
    changed: changed::Changed,
}

impl SqliteStore {
    /// Opens the store in `folder`, made if it is not there, and brings it to this version's form. The newest
    /// signed checkpoints are kept in the folder `heads`, and must not be newer than the store.
    ///
    /// # Errors
    /// [`StoreError::WrongRootKey`], [`StoreError::TooNew`], [`StoreError::NoHeads`], [`StoreError::Behind`],
    /// [`StoreError::Forked`], [`StoreError::File`], or the database's own.
    pub fn open(
        folder: &Path,
        heads: &Path,
        root: RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        Self::open_with_backups(folder, heads, None, root, clock, entropy)
    }

    /// Opens the store with a place for its backups, in which a copy of the key store follows every destruction.
    ///
    /// # Errors
    /// Those of [`SqliteStore::open`].
    pub fn open_with_backups(
        folder: &Path,
        heads: &Path,
        place: Option<&BackupPlace>,
        root: RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        let backups = place.map(|place| Backups::open(place.clone(), folder).map(Arc::new)).transpose()?;
        let copy = place.map(backup::key_copy);
        let Parts { context, sql, journals, path } =
            Parts::open(folder, root, copy.as_deref(), clock, entropy)?;
        let heads = fork::heads_compared(&context, &sql, heads)?;
        log_key::forget_replaced(&context, &sql)?;
        let snapshots = SnapshotFolder::open(folder.join(snapshot::SNAPSHOTS_FOLDER), &context.keys)?;
        let writer = Writer::start(Arc::clone(&context), (sql, &path), journals, heads)?;
        let readers = Readers::open(&path, READERS, writer.settled())?;
        let (snapshots, enrolling) = (Arc::new(snapshots), tokio::sync::Mutex::new(()));
        let (folder, ahead) = (folder.to_owned(), Ahead::default());
        Ok(Self { context, readers, writer, snapshots, enrolling, backups, folder, ahead, path })
    }

    async fn chunks_plan(
        &self,
        chunks: Vec<(Permit, Chunk)>,
        foreseen: Foreseen,
    ) -> Result<Planned, StoreError> {
        let context = Arc::clone(&self.context);
        self.readers.read_before_entry(move |sql| Planned::make(&context, sql, chunks, &foreseen)).await
    }

    /// Destroys what the erasure of a subject has left: its key, its snapshots, and its pages in the write-ahead log.
    async fn erasure_finish(
        &self,
        subject: SubjectId,
        slots: Vec<(CollectionGeneration, u64)>,
    ) -> Result<(), StoreError> {
        self.context.keys.subject_key_destroy(&subject)?;
        self.snapshots_forget(slots).await?;
        self.log_truncate().await?;
        self.writer.unlogged(move |tx| enrolment::erasure_done(tx, subject)).await
    }

    /// Empties the write-ahead log of the database, on a connection of its own.
    async fn log_truncate(&self) -> Result<(), StoreError> {
        let _nobody_reads = match &self.backups {
            Some(backups) => Some(backups.nobody_reads().await),
            None => None,
        };
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || truncate_log(&connect(&path)?));
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Works on the folder of snapshots, on a thread that may block.
    async fn with_snapshots<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Context, &SnapshotFolder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (context, snapshots) = (Arc::clone(&self.context), Arc::clone(&self.snapshots));
        let done = tokio::task::spawn_blocking(move || work(&context, &snapshots));
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// What derives and opens under this store's root: transforms, pseudonyms, keyed hashes.
    #[must_use]
    pub fn keys(&self) -> StoreKeys {
        StoreKeys::new(Arc::clone(&self.context.keys.ring))
    }
}

/// A store that nobody serves yet.
struct Parts {
    context: Arc<Context>,
    sql: Connection,
    journals: Journals,
    path: PathBuf,
}

impl Parts {
    fn open(
        folder: &Path,
        root: RootKey,
        copy: Option<&Path>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        private_folder(folder)?;
        let entropy: Arc<dyn Entropy> = Arc::new(EntropyAhead::new(entropy));
        let path = folder.join(DATABASE_FILE);
        let mut sql = connect(&path)?;
        database("setting up the database", sql.pragma_update(None, "cache_size", -WRITER_CACHE_KIB))?;
        let checkpoints = sql.pragma_update(None, "wal_autocheckpoint", WRITER_LOG_PAGES);
        database("setting up the database", checkpoints)?;
        rewrite::log_rewrite(&sql, &path)?;
        migrate(&mut sql, &schema::migrations::runner().set_grouped(true))?;
        let keys = key_store((folder, copy), &sql, &root, clock.now(), entropy.as_ref())?;
        drop(root);
        let signers = log_key::Signers::open(&keys, &sql, clock.now(), entropy.as_ref())?;
        let context =
            Arc::new(Context { clock, entropy, keys, signers, changed: changed::Changed::default() });
        finish_erasures(&context, &sql)?;
        disposal::finish(&context, &sql)?;
        let journals = Journals::restore(&context, &sql)?;
        // SQLite does this too when it has made a log, and goes on when it fails.
        durable_name(&path).map_err(|source| StoreError::File { path: shown(&path), source })?;
        Ok(Self { context, sql, journals, path })
    }
}

mod schema {
    refinery::embed_migrations!("src/store/sqlite/migrations");
}

mod key_schema {
    refinery::embed_migrations!("src/store/sqlite/key_migrations");
}

/// Opens a database with the settings that the promises rest on.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let sql = database("opening the database", Connection::open(path))?;
    // INVARIANT: FULL makes every commit durable before it returns, the write-ahead log's included; promise 2
    // rests on it. secure_delete overwrites what is deleted; promise 14 rests on that.
    let settings = "PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA foreign_keys = ON;
                    PRAGMA secure_delete = ON;
                    PRAGMA trusted_schema = OFF;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cell_size_check = ON;";
    database("setting up the database", sql.execute_batch(settings))?;
    database("setting up the database", sql.busy_timeout(BUSY_TIMEOUT))?;
    sql.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(sql)
}

// INVARIANT: runners are grouped, which runs all that is due in one transaction. By themselves they note a migration
// only after it is committed, and a power cut in between would leave a database that no version opens.
fn migrate(sql: &mut Connection, runner: &refinery::Runner) -> Result<(), StoreError> {
    let known = runner.get_migrations().iter().map(|one| i64::from(one.version())).max().unwrap_or(0);
    let found = newest_migration(sql)?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    runner.run(sql).map(|_| ()).map_err(|source| StoreError::Migration(Box::new(source)))
}

fn newest_migration(sql: &Connection) -> Result<i64, StoreError> {
    let table = "SELECT count(*) FROM sqlite_master WHERE name = 'refinery_schema_history'";
    let there: i64 = database("reading the form", sql.query_row(table, [], |row| row.get(0)))?;
    if there == 0 {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    database("reading the form", sql.query_row(newest, [], |row| row.get(0)))
}

/// Opens the key store of this database, and no other's. What is new gets its keys first and notes them then.
fn key_store(
    (folder, copy): (&Path, Option<&Path>),
    sql: &Connection,
    root: &RootKey,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<KeyStore, StoreError> {
    let path = folder.join(KEY_STORE_FILE);
    let kept = key_check(sql)?;
    let founded = if kept.is_some() { Founded::Before } else { Founded::Now };
    let keys = KeyStore::open((&path, copy), root, founded, now, entropy)?;
    match kept {
        Some(kept) if kept == keys.ring.key_check() => Ok(keys),
        Some(_) => Err(StoreError::WrongRootKey),
        None => {
            durable_name(&path).map_err(|source| StoreError::File { path: shown(&path), source })?;
            let noted = "INSERT INTO holder (name, value) VALUES ('key-check', ?1)";
            let written = sql.execute(noted, params![keys.ring.key_check()]).map(count);
            database("noting the keys", written)?;
            Ok(keys)
        }
    }
}

/// What the keys of this database are known by; `None` before they are made.
fn key_check(sql: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    let kept = sql
        .query_row("SELECT value FROM holder WHERE name = 'key-check'", [], |row| row.get::<_, Vec<u8>>(0))
        .optional();
    database("checking the root key", kept)
}

/// Finishes erasures that were committed but whose data keys a crash kept alive.
fn finish_erasures(context: &Context, sql: &Connection) -> Result<(), StoreError> {
    let due = sql.prepare("SELECT subject FROM erasures_due").and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
    });
    for subject in database("looking for erasures", due)? {
        context.keys.subject_key_destroy(&SubjectId::from_bytes(subject))?;
        truncate_log(sql)?;
        let done = sql.execute("DELETE FROM erasures_due WHERE subject = ?1", params![subject]);
        database("finishing an erasure", done)?;
    }
    Ok(())
}

/// Empties the write-ahead log, so that what was deleted is not kept there. Waits for whoever reads or writes.
fn truncate_log(sql: &Connection) -> Result<(), StoreError> {
    let doing = "emptying the write-ahead log";
    for _ in 0..TRUNCATE_TRIES {
        // It waits as long as any statement does, and then says that it was busy, which is no error.
        let is_busy = sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        if !database(doing, is_busy)? {
            return Ok(());
        }
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    database(doing, Err(rusqlite::Error::SqliteFailure(busy, None)))
}

fn private_folder(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.and_then(|()| missing.iter().try_for_each(|folder| durable_name(folder)))
        .map_err(|source| StoreError::File { path: shown(folder), source })
}

/// Makes the name of a new folder or file survive a power cut: what is synchronised inside would be lost with it.
fn durable_name(made: &Path) -> std::io::Result<()> {
    match made.parent() {
        Some(parent) if parent.as_os_str().is_empty() => std::fs::File::open(".")?.sync_all(),
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Starts a thread with a name.
fn spawned(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|source| StoreError::File { path: "a thread".to_owned(), source })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Names what was being done when the database fails.
fn database<T>(doing: &'static str, result: Result<T, rusqlite::Error>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Database { doing, source })
}

fn sealed(doing: &'static str, result: Result<Sealed, SealError>) -> Result<Vec<u8>, StoreError> {
    result.map(Sealed::into_bytes).map_err(|source| StoreError::Sealed { doing, source })
}

fn opened<T>(doing: &'static str, result: Result<T, SealError>) -> Result<T, StoreError> {
    result.map_err(|source| StoreError::Sealed { doing, source })
}

/// A name that the store wrote itself.
fn name<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Damaged { what: "a name" })
}

/// The number of changed rows is of no interest: a broken constraint is an error by itself.
const fn count(_rows: usize) {}

/// Where the databases of a store lie.
#[must_use]
pub fn files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(DATABASE_FILE), folder.join(KEY_STORE_FILE)]
}

/// The file of the newest signed checkpoints in their folder.
#[must_use]
pub fn heads_file(folder: &Path) -> PathBuf {
    folder.join(heads::HEADS_FILE)
}

/// Each waits for [`BUSY_TIMEOUT`]: half a minute outlasts every reader but one that hangs.
const TRUNCATE_TRIES: usize = 6;
const DATABASE_FILE: &str = "onebit.sqlite";
const KEY_STORE_FILE: &str = "keys.sqlite";
/// One for each of the pages and lists that people look at while queries run; readers never wait for the writer.
const READERS: usize = 4;
/// The writer keeps the right edges of all tables and the tags it wrote last: with SQLite's 2 MiB it read pages back
/// for every entry and wrote some out before the commit.
const WRITER_CACHE_KIB: i64 = 64 * 1_024;
/// Pages in the write-ahead log (256 MiB) after which the writer itself moves what is left to be moved, and begins the
/// log anew: while others write all the time, the thread that moves pages never finds an end.
const WRITER_LOG_PAGES: u32 = 65_536;
/// Only a backup or a person with a shell ever holds the lock; five seconds outlast both.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Every statement of this module is prepared once a connection.
const STATEMENT_CACHE: usize = 128;
