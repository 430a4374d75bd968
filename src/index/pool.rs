//! The threads that search.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{IndexError, native};

/// The threads that search, shared by all galleries of the process.
#[derive(Clone)]
pub struct Pool(Arc<ThreadPool>);

/// Starts so many search threads; one for each core serves best, since a scan is bound by memory. They start
/// no threads of their own below them.
///
/// # Errors
/// [`IndexError::Pool`] when the system gives no more threads.
pub fn pool(threads: NonZeroUsize) -> Result<Pool, IndexError> {
    native::stay_within_our_threads();
    ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|number| format!("search-{number}"))
        .start_handler(|_| native::stay_on_this_thread())
        .build()
        .map(|threads| Pool(Arc::new(threads)))
        .map_err(IndexError::Pool)
}

impl Pool {
    /// Runs `work` on the pool and waits for it.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}
