//! What an `fsync` that failed leaves behind: bytes that every process reads and that no later `fsync` writes.
//!
//! Linux takes pages for clean once their write-back has failed. A start after such a failure, without a reboot,
//! finds a write-ahead log in memory that is longer than the one on the disk; whatever is appended to it would be
//! lost in a power cut, acknowledged or not. Written once more, the same bytes count as new.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::store::StoreError;

use super::{database, shown};

/// Writes the write-ahead log of a database once more, byte for byte, and synchronises it.
pub(super) fn log_rewrite(sql: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    // INVARIANT: nobody else may write to the log meanwhile, and whoever does holds this lock. Closing a file
    // gives up this process's locks on it; SQLite keeps none on this one.
    database("locking the write-ahead log", sql.execute_batch("BEGIN IMMEDIATE"))?;
    let written = write_again(&log);
    database("unlocking the write-ahead log", sql.execute_batch("ROLLBACK"))?;
    written.map_err(|source| StoreError::File { path: shown(&log), source })
}

fn write_again(log: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut bytes = vec![0; CHUNK_BYTES];
    let mut place = 0;
    loop {
        let length = file.read_at(&mut bytes, place)?;
        let Some(chunk) = bytes.get(..length).filter(|chunk| !chunk.is_empty()) else { break };
        file.write_all_at(chunk, place)?;
        place += u64::try_from(length).unwrap_or(u64::MAX);
    }
    if place > 0 { file.sync_all() } else { Ok(()) }
}

/// A log has a few megabytes; it need not be in memory at once.
const CHUNK_BYTES: usize = 1 << 20;
