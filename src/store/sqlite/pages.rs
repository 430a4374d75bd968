//! Moves what is committed from the write-ahead log into the database, beside the writer and not in its way: done by
//! the writer itself, every few thousand entries waited for the disk many times as long as for their commit.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::store::StoreError;

use super::database;
use super::settled::Settled;
use super::spawned;

/// The way to the thread that moves pages.
pub(super) struct Pages {
    wake: SyncSender<()>,
    /// Rows written since the thread was last woken.
    since: u64,
}

impl Pages {
    /// Starts the thread on a connection of its own.
    pub(super) fn start(path: &Path, settled: Settled) -> Result<(Self, JoinHandle<()>), StoreError> {
        let sql = super::connect(path)?;
        let (wake, woken) = sync_channel(1);
        let thread = spawned("onebit-pages", move || run(&sql, &woken, &settled))?;
        Ok((Self { wake, since: 0 }, thread))
    }

    /// So many rows were committed.
    pub(super) fn committed(&mut self, rows: u64) {
        self.since = self.since.saturating_add(rows);
        // A thread that is still at work is woken the next time.
        if self.since >= WAKE_ROWS && self.wake.try_send(()).is_ok() {
            self.since = 0;
        }
    }
}

fn run(sql: &Connection, woken: &Receiver<()>, settled: &Settled) {
    for () in woken {
        if settled.is_stopped() {
            return;
        }
        // A page that was not made durable stays in the log, and everything would be there after a start; but what
        // the disk holds is not known any more, and nothing is synchronised a second time.
        if let Err(error) = pages_move(sql) {
            settled.fail(&error);
        }
    }
}

/// Moves what no reader needs in the log any more. Never waits for anybody.
fn pages_move(sql: &Connection) -> Result<(), StoreError> {
    let moved = sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    database("moving pages from the write-ahead log", moved)
}

/// Some megabytes of log.
const WAKE_ROWS: u64 = 8_192;
