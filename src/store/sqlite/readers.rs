//! Readers: connections that never wait for the writer, used on threads that may block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::store::StoreError;

use super::settled::Settled;

/// A pool of read-only connections.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
    settled: Settled,
    glances: Arc<Glances>,
}

impl Readers {
    /// Opens `size` connections, and one for glances.
    pub(super) fn open(path: &Path, size: usize, settled: Settled) -> Result<Self, StoreError> {
        let connections = (0..size).map(|_| connect(path)).collect::<Result<Vec<_>, StoreError>>()?;
        let (idle, free) = (Arc::new(Mutex::new(connections)), Arc::new(Semaphore::new(size)));
        Ok(Self { idle, free, settled, glances: Arc::new(Glances::new(connect(path)?)) })
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

    /// The same for what takes microseconds and comes in great numbers. It keeps no thread while it waits: what comes while
    /// others are read goes with the next, in one view, which is of after it came.
    pub(super) async fn glance_before_entry<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let glance: Glance = Box::new(move |view| {
            // Whoever asked may have gone.
            let _ = reply.send(view.and_then(work));
        });
        if let Some(turn) = self.glances.ask(glance) {
            drop(tokio::task::spawn_blocking(move || turn.run()));
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits until all that was read by now is durable in both places.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        self.settled.wait().await
    }
}

/// A short read. It is told why when there is nothing to read from.
type Glance = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

/// Short reads, which go together.
struct Glances {
    sql: Mutex<Connection>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    glances: Vec<Glance>,
    /// Somebody has the turn to read.
    is_read: bool,
}

/// The turn to read for all who wait; only one is given at a time. Dropped, it lets those who wait go with nothing.
struct Turn {
    glances: Arc<Glances>,
    /// Somebody else may have the next one.
    is_over: bool,
}

impl Glances {
    fn new(sql: Connection) -> Self {
        let waiting = Waiting { glances: Vec::new(), is_read: false };
        Self { sql: Mutex::new(sql), waiting: Mutex::new(waiting) }
    }

    fn ask(self: &Arc<Self>, glance: Glance) -> Option<Turn> {
        let mut waiting = lock(&self.waiting);
        waiting.glances.push(glance);
        let turn =
            if waiting.is_read { None } else { Some(Turn { glances: Arc::clone(self), is_over: false }) };
        waiting.is_read = true;
        turn
    }
}

impl Turn {
    /// Reads on this thread until nobody waits.
    fn run(mut self) {
        loop {
            let due = {
                let mut waiting = lock(&self.glances.waiting);
                // INVARIANT: under the same lock, so that whoever comes from here on gets the turn.
                self.is_over = waiting.glances.is_empty();
                waiting.is_read = !self.is_over;
                std::mem::take(&mut waiting.glances)
            };
            if self.is_over {
                return;
            }
            // INVARIANT: the view begins after they came, so that each sees what was committed before it was asked.
            let mut sql = lock(&self.glances.sql);
            let mut due = due.into_iter();
            match super::database("beginning to read", sql.transaction()) {
                Ok(view) => due.for_each(|glance| {
                    // A panic is one for whoever asked.
                    let _ = catch_unwind(AssertUnwindSafe(|| glance(Ok(&view))));
                }),
                // The others are let go.
                Err(error) => {
                    if let Some(first) = due.next() {
                        first(Err(error));
                    }
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut waiting = lock(&self.glances.waiting);
        waiting.is_read = false;
        let left = std::mem::take(&mut waiting.glances);
        drop(waiting);
        drop(left);
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let sql = super::connect(path)?;
    super::database("setting up a reader", sql.pragma_update(None, "query_only", true))?;
    Ok(sql)
}

fn in_one_view<T>(
    sql: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let view = super::database("beginning to read", sql.transaction())?;
    work(&view)
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(readers.glance_before_entry(one).await.unwrap(), 1);
        settled.end(number);
        assert_eq!(read().await.unwrap(), 1);
        settled.stop();
        assert!(matches!(read().await, Err(StoreError::Stopped)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn glances_see_what_was_committed_before_and_one_that_fails_is_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let readers = Arc::new(Readers::open(&path, 1, Settled::new()).unwrap());
        let writer = super::super::connect(&path).unwrap();
        writer.execute_batch("CREATE TABLE counts (count INTEGER)").unwrap();
        let count = |sql: &Connection| {
            let counted = sql.query_row("SELECT count(*) FROM counts", [], |row| row.get::<_, u64>(0));
            super::super::database("counting", counted)
        };
        for committed in 1..=50_u64 {
            writer.execute_batch("INSERT INTO counts VALUES (1)").unwrap();
            let others: Vec<_> = (0..20_u64)
                .map(|nth| {
                    let readers = Arc::clone(&readers);
                    tokio::spawn(async move {
                        let glance = move |sql: &Connection| {
                            assert_ne!(nth, 7, "this glance fails on purpose");
                            if nth == 8 { Err(StoreError::Overloaded) } else { count(sql) }
                        };
                        readers.glance_before_entry(glance).await
                    })
                })
                .collect();
            for (nth, other) in others.into_iter().enumerate() {
                match (nth, other.await.unwrap()) {
                    (7, seen) => assert!(matches!(seen, Err(StoreError::Closed))),
                    (8, seen) => assert!(matches!(seen, Err(StoreError::Overloaded))),
                    (_, seen) => assert_eq!(seen.unwrap(), committed),
                }
            }
        }
    }

    #[tokio::test]
    async fn glances_whose_turn_is_dropped_are_let_go_and_the_next_has_another() {
        let folder = tempfile::tempdir().unwrap();
        let readers = Readers::open(&folder.path().join("a.sqlite"), 1, Settled::new()).unwrap();
        let (reply, answer) = oneshot::channel::<()>();
        drop(readers.glances.ask(Box::new(move |_| drop(reply))).unwrap());
        answer.await.unwrap_err();
        assert_eq!(readers.glance_before_entry(one).await.unwrap(), 1);
    }

    fn one(sql: &Connection) -> Result<i64, StoreError> {
        super::super::database("reading", sql.query_row("SELECT 1", [], |row| row.get(0)))
    }
}
