//! Readers: connections that never wait for the writer, used on threads that may block.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::StoreError;

use super::settled::Settled;

/// A pool of read-only connections.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    settled: Settled,
}

impl Readers {
    /// Opens `size` connections.
    pub(super) fn open(path: &Path, size: usize, settled: Settled) -> Result<Self, StoreError> {
        let connections = (0..size)
            .map(|_| {
                let sql = super::connect(path)?;
                super::database("setting up a reader", sql.pragma_update(None, "query_only", true))?;
                Ok(sql)
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self { idle: Arc::new(Mutex::new(connections)), free: Arc::new(Semaphore::new(size)), settled })
    }

    /// Reads in one consistent view of the database.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let outcome = self.read_before_entry(work).await;
        // INVARIANT: last. What is durable in one place only is not shown, nor what a batch that failed half-way left.
        self.settled().await?;
        outcome
    }

    /// The same, for what is shown to nobody before an entry about it is durable: all that was seen here is so by
    /// then, or there is no entry. It waits for nothing.
    pub(super) async fn read_before_entry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let done = tokio::task::spawn_blocking(move || {
            let mut sql = lock(&idle).pop().ok_or(StoreError::Closed)?;
            let outcome = in_one_view(&mut sql, work);
            lock(&idle).push(sql);
            drop(permit);
            outcome
        });
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits until all that was read by now is durable in both places.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        self.settled.wait().await
    }
}

fn in_one_view<T>(
    sql: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let view = super::database("beginning to read", sql.transaction())?;
    work(&view)
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn nothing_is_shown_before_it_is_durable_in_both_places() {
        let folder = tempfile::tempdir().unwrap();
        let settled = Settled::new();
        let readers = Readers::open(&folder.path().join("a.sqlite"), 1, settled.clone()).unwrap();
        let read = || readers.read(one);
        assert_eq!(read().await.unwrap(), 1);
        let number = settled.begin();
        let reading = tokio::time::timeout(Duration::from_millis(200), read()).await;
        assert!(reading.is_err(), "a batch is on its way, and what was read may be of it");
        assert_eq!(readers.read_before_entry(one).await.unwrap(), 1);
        settled.end(number);
        assert_eq!(read().await.unwrap(), 1);
        settled.stop();
        assert!(matches!(read().await, Err(StoreError::Stopped)));
    }

    fn one(sql: &Connection) -> Result<i64, StoreError> {
        super::super::database("reading", sql.query_row("SELECT 1", [], |row| row.get(0)))
    }
}
