//! The threads that search.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::IndexError;

/// The threads that search, shared by all galleries of the process.
#[derive(Clone)]
pub struct Pool(Arc<ThreadPool>);

/// Starts so many search threads; one for each core serves best.
///
/// # Errors
/// [`IndexError::Pool`] when the system gives no more threads.
pub fn pool(threads: NonZeroUsize) -> Result<Pool, IndexError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|number| format!("search-{number}"))
        .build()
        .map(|threads| Pool(Arc::new(threads)))
        .map_err(IndexError::Pool)
}

impl Pool {
    /// Runs `work` on the pool and waits for it.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }

    /// Runs `work` once on every thread of the pool and waits for all.
    pub(super) fn broadcast<T: Send>(&self, work: impl Fn() -> T + Sync) -> Vec<T> {
        self.0.broadcast(|_| work())
    }
}
