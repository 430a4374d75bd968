//! What readers may show: only what is durable in both places.
//!
//! A commit is visible to readers as soon as the database has it, and its heads are durable in the second place a
//! moment later. Whoever read in between waits for that, so that nothing is shown which a start would refuse to have
//! happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

use crate::store::StoreError;

/// How far the writer has come, for those who read beside it.
#[derive(Clone)]
pub(super) struct Settled(Arc<State>);

struct State {
    /// Batches whose commit was begun.
    begun: AtomicU64,
    /// Batches that are durable in both places.
    done: watch::Sender<u64>,
    stopped: AtomicBool,
}

impl Settled {
    /// Nothing was written yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            begun: AtomicU64::new(0),
            done: watch::Sender::new(0),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Whether the log could not be written; it stays so.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// A batch is about to be committed; gives its number.
    pub(super) fn begin(&self) -> u64 {
        // INVARIANT: before the database shows the batch to anybody.
        self.0.begun.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// The batch of this number and all before it are durable in both places.
    pub(super) fn end(&self, number: u64) {
        // INVARIANT: it never falls back, so that nobody waits after a stop.
        self.0.done.send_modify(|done| *done = number.max(*done));
    }

    /// The disk failed: nothing is shown, answered or written any more. Says why, once.
    pub(super) fn fail(&self, error: &StoreError) {
        if !self.is_stopped() {
            tracing::error!(reason = %Chain(error), "the log could not be written; the store has stopped");
        }
        self.stop();
    }

    /// Nobody knows what the disk holds: nothing is shown any more.
    pub(super) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.done.send_replace(u64::MAX);
    }

    /// Waits until all that a reader may have seen by now is durable in both places.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when it never will be.
    pub(super) async fn wait(&self) -> Result<(), StoreError> {
        let seen = self.0.begun.load(Ordering::SeqCst);
        let waited = self.0.done.subscribe().wait_for(|done| *done >= seen).await.map(|_| ());
        if waited.is_err() || self.is_stopped() { Err(StoreError::Stopped) } else { Ok(()) }
    }
}

/// An error with its sources, for the one place that logs it.
struct Chain<'a>(&'a StoreError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.0)?;
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(out, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn polled(future: std::pin::Pin<&mut impl Future<Output = Result<(), StoreError>>>) -> Poll<bool> {
        future.poll(&mut Context::from_waker(Waker::noop())).map(|waited| waited.is_ok())
    }

    #[test]
    fn what_was_read_during_a_commit_waits_for_the_second_place() {
        let settled = Settled::new();
        assert_eq!(polled(pin!(settled.wait())), Poll::Ready(true), "nothing is on its way");
        let (first, second) = (settled.begin(), settled.begin());
        let mut reader = pin!(settled.wait());
        assert_eq!(polled(reader.as_mut()), Poll::Pending, "no head of it may be durable yet");
        settled.end(first);
        assert_eq!(polled(reader.as_mut()), Poll::Pending, "a head of the second may not be durable yet");
        settled.end(second);
        assert_eq!(polled(reader.as_mut()), Poll::Ready(true));
    }

    #[test]
    fn a_writer_that_stops_lets_nobody_wait_and_shows_nothing() {
        let settled = Settled::new();
        let _ = settled.begin();
        let mut reader = pin!(settled.wait());
        assert_eq!(polled(reader.as_mut()), Poll::Pending);
        settled.stop();
        assert_eq!(polled(reader.as_mut()), Poll::Ready(false));
        let late = settled.begin();
        settled.end(late.saturating_sub(1));
        assert_eq!(
            polled(pin!(settled.wait())),
            Poll::Ready(false),
            "the batch before may end after the stop"
        );
    }
}
