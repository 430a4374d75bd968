//! The threads that search.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

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
    /// Does `work` for each number below `count`: on this thread, and on those of the pool that come in time.
    /// Gives what came of each, in order.
    ///
    /// Nobody waits for a thread that has not begun: where the machine is busy, waking it takes longer than the
    /// work. Whatever `work` owns is let go of before this returns.
    ///
    /// # Errors
    /// [`IndexError::Search`] when a thread of the pool panicked; a panic of this thread goes on.
    pub(super) fn each<T: Send + 'static>(
        &self,
        count: usize,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>, IndexError> {
        if count <= 1 {
            return Ok((0..count).map(work).collect());
        }
        let next = AtomicUsize::new(0);
        let share = move || {
            let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
            numbers
                .take_while(|&number| number < count)
                .map(|number| (number, work(number)))
                .collect::<Vec<_>>()
        };
        let mut done: Vec<(usize, T)> = self.shared(share)?.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(number, _)| *number);
        let results: Vec<T> = done.into_iter().map(|(_, result)| result).collect();
        if results.len() == count { Ok(results) } else { Err(IndexError::Search) }
    }

    /// Runs `work` once on this thread and on each one of the pool that comes before it ends here.
    ///
    /// # Errors
    /// [`IndexError::Search`] when a thread of the pool panicked; a panic of this thread goes on.
    pub(super) fn shared<T: Send + 'static>(
        &self,
        work: impl Fn() -> T + Send + Sync + 'static,
    ) -> Result<Vec<T>, IndexError> {
        let work: Arc<Work<T>> = Arc::new(work);
        let crew = Crew { work: Some(Arc::clone(&work)), running: 0, results: Vec::new(), has_failed: false };
        let crew = Arc::new((Mutex::new(crew), Condvar::new()));
        for _ in 1..self.0.current_num_threads() {
            let crew = Arc::clone(&crew);
            self.0.spawn(move || help(&crew));
        }
        // Closes the crew however this thread's own part ends.
        let closing = Closing(&crew);
        let own = work();
        drop(work);
        drop(closing);
        let mut crew = lock(&crew.0);
        if crew.has_failed {
            return Err(IndexError::Search);
        }
        let mut results = std::mem::take(&mut crew.results);
        results.push(own);
        Ok(results)
    }
}

type Work<T> = dyn Fn() -> T + Send + Sync;

/// Those who work on one thing.
struct Crew<T> {
    /// `None` once it is too late to begin.
    work: Option<Arc<Work<T>>>,
    running: usize,
    results: Vec<T>,
    has_failed: bool,
}

fn help<T>((crew, ended): &(Mutex<Crew<T>>, Condvar)) {
    let work = {
        let mut crew = lock(crew);
        let Some(work) = crew.work.clone() else { return };
        crew.running = crew.running.saturating_add(1);
        work
    };
    let result = catch_unwind(AssertUnwindSafe(|| work()));
    drop(work);
    let mut crew = lock(crew);
    match result {
        Ok(result) => crew.results.push(result),
        Err(_) => crew.has_failed = true,
    }
    crew.running = crew.running.saturating_sub(1);
    ended.notify_all();
}

/// Lets nobody begin any more and waits for those who have.
struct Closing<'a, T>(&'a (Mutex<Crew<T>>, Condvar));

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        let (crew, ended) = self.0;
        let mut crew = lock(crew);
        crew.work = None;
        while crew.running > 0 {
            crew = ended.wait(crew).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(crew: &Mutex<Crew<T>>) -> MutexGuard<'_, Crew<T>> {
    // Nothing that is done under the lock can panic half-way.
    crew.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn four() -> Pool {
        pool(NonZeroUsize::new(4).unwrap()).unwrap()
    }

    #[test]
    fn each_number_is_done_once_and_given_in_order() {
        let results = four().each(1_000, |number| number * 2).unwrap();
        assert_eq!(results, (0..1_000).map(|number| number * 2).collect::<Vec<_>>());
        assert_eq!(four().each(0, |number| number).unwrap(), [0; 0]);
    }

    #[test]
    fn work_is_done_alone_when_no_thread_of_the_pool_is_free() {
        let pool = four();
        let (busy, go) = (Arc::new(Barrier::new(5)), Arc::new(Barrier::new(5)));
        for _ in 0..4 {
            let (busy, go) = (Arc::clone(&busy), Arc::clone(&go));
            pool.0.spawn(move || {
                busy.wait();
                go.wait();
            });
        }
        busy.wait();
        let caller = thread::current().id();
        let threads = pool.each(100, move |_| thread::current().id()).unwrap();
        assert!(threads.iter().all(|thread| *thread == caller), "nobody else was free");
        go.wait();
    }

    #[test]
    fn a_panic_on_another_thread_is_an_error_and_what_work_owns_is_let_go_of() {
        let pool = four();
        let caller = thread::current().id();
        let (owned, helped) = (Arc::new(()), Arc::new(Barrier::new(2)));
        let (own, both) = (Arc::clone(&owned), Arc::clone(&helped));
        let first = AtomicUsize::new(0);
        let failed = pool.shared(move || {
            let _owned = &own;
            if thread::current().id() == caller {
                both.wait();
            } else if first.fetch_add(1, Ordering::Relaxed) == 0 {
                both.wait();
                panic!("a helper that fails");
            }
        });
        assert!(matches!(failed, Err(IndexError::Search)));
        assert_eq!(Arc::strong_count(&owned), 1, "nothing of a search may outlive it");
        assert_eq!(pool.each(3, |number| number).unwrap(), [0, 1, 2], "the pool goes on");
    }
}
