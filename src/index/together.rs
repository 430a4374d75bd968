//! Searches that are asked for at the same time go together.
//!
//! Whoever finds no scan running starts one at once, with everything that waits; who finds one running waits for
//! its end and goes with the next. There is no timer: one search alone waits for nobody.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::IndexError;

/// Questions that are answered in batches.
pub(super) struct Together<Q, A> {
    state: Mutex<State<Q, A>>,
    /// A scan has ended.
    ended: Condvar,
}

struct State<Q, A> {
    is_running: bool,
    next: u64,
    waiting: VecDeque<(u64, Vec<Q>)>,
    /// `None` for what a scan left without an answer.
    answers: HashMap<u64, Option<Vec<A>>>,
}

impl<Q, A> Together<Q, A> {
    pub(super) fn new() -> Self {
        let state = State { is_running: false, next: 0, waiting: VecDeque::new(), answers: HashMap::new() };
        Self { state: Mutex::new(state), ended: Condvar::new() }
    }

    /// Answers these questions by `scan`, perhaps together with those of others, perhaps on another's thread.
    ///
    /// # Errors
    /// [`IndexError::Search`] for everyone in a scan that failed, panicked or gave another number of answers.
    pub(super) fn ask(
        &self,
        questions: Vec<Q>,
        scan: impl Fn(Vec<Q>) -> Result<Vec<A>, IndexError>,
    ) -> Result<Vec<A>, IndexError> {
        let mut state = self.state();
        let mine = state.next;
        state.next = mine.wrapping_add(1);
        state.waiting.push_back((mine, questions));
        loop {
            if let Some(answer) = state.answers.remove(&mine) {
                return answer.ok_or(IndexError::Search);
            }
            if state.is_running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let batch = state.batch();
            state.is_running = true;
            drop(state);
            self.run(batch, &scan);
            state = self.state();
        }
    }

    fn run(&self, batch: Vec<(u64, Vec<Q>)>, scan: impl Fn(Vec<Q>) -> Result<Vec<A>, IndexError>) {
        let mut shares = Vec::with_capacity(batch.len());
        let mut questions = Vec::new();
        for (number, mut own) in batch {
            shares.push((number, own.len()));
            questions.append(&mut own);
        }
        // Whatever happens in the scan, a panic as well, when this goes everyone has an answer.
        let mut ending = Ending { together: self, answers: Vec::new(), left: shares };
        let asked = questions.len();
        let Ok(answers) = scan(questions) else { return };
        if answers.len() != asked {
            return;
        }
        let mut answers = answers.into_iter();
        for (number, share) in std::mem::take(&mut ending.left) {
            ending.answers.push((number, answers.by_ref().take(share).collect()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        // Nothing that is done under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> State<Q, A> {
    /// What has waited longest: as many askers as make [`SCAN_PROBES`], and one at least.
    fn batch(&mut self) -> Vec<(u64, Vec<Q>)> {
        let mut questions = 0_usize;
        let fitting = self.waiting.iter().take_while(|(_, own)| {
            questions = questions.saturating_add(own.len());
            questions <= SCAN_PROBES
        });
        let fitting = fitting.count().max(1).min(self.waiting.len());
        self.waiting.drain(..fitting).collect()
    }
}

/// The end of a scan.
struct Ending<'a, Q, A> {
    together: &'a Together<Q, A>,
    answers: Vec<(u64, Vec<A>)>,
    left: Vec<(u64, usize)>,
}

impl<Q, A> Drop for Ending<'_, Q, A> {
    fn drop(&mut self) {
        let mut state = self.together.state();
        state.answers.extend(self.answers.drain(..).map(|(number, answers)| (number, Some(answers))));
        state.answers.extend(self.left.drain(..).map(|(number, _)| (number, None)));
        state.is_running = false;
        self.together.ended.notify_all();
    }
}

/// Probes in one scan: enough to be bound by arithmetic and not by memory, few enough that none waits long for the
/// others.
pub(super) const SCAN_PROBES: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn doubled(questions: Vec<u64>) -> Result<Vec<u64>, IndexError> {
        Ok(questions.into_iter().map(|question| question * 2).collect())
    }

    /// Waits until so many askers wait for the next scan.
    fn until_waiting(together: &Together<u64, u64>, askers: usize) {
        while together.state().waiting.len() < askers {
            thread::yield_now();
        }
    }

    #[test]
    fn one_alone_is_answered_at_once_on_its_own_thread() {
        let together = Together::new();
        let caller = thread::current().id();
        let answer = together.ask(vec![1, 2], |questions| {
            assert_eq!(thread::current().id(), caller);
            doubled(questions)
        });
        assert_eq!(answer.unwrap(), [2, 4]);
        assert!(together.ask(vec![], doubled).unwrap().is_empty());
    }

    #[test]
    fn who_comes_during_a_scan_goes_with_the_next_and_gets_its_own_answers() {
        let together = Together::new();
        let (started, go) = (Barrier::new(2), Barrier::new(2));
        let sizes = Mutex::new(Vec::new());
        let scan = |questions: Vec<u64>| {
            sizes.lock().unwrap().push(questions.len());
            doubled(questions)
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                together.ask(vec![100], |questions| {
                    started.wait();
                    go.wait();
                    doubled(questions)
                })
            });
            started.wait();
            let (together, scan) = (&together, &scan);
            let others: Vec<_> = (0..20_u64)
                .map(|number| (number, scope.spawn(move || together.ask(vec![number, number + 1_000], scan))))
                .collect();
            until_waiting(together, 20);
            go.wait();
            assert_eq!(first.join().unwrap().unwrap(), [200]);
            for (number, other) in others {
                assert_eq!(other.join().unwrap().unwrap(), [number * 2, number * 2 + 2_000]);
            }
        });
        assert_eq!(*sizes.lock().unwrap(), [40], "all that waited should have gone together");
    }

    #[test]
    fn no_scan_takes_more_than_its_number_but_for_one_asker_who_has_more() {
        let together: Together<u64, u64> = Together::new();
        let mut state = together.state();
        for (number, questions) in (0..).zip([40_usize, 24, 1, 200, 3]) {
            state.waiting.push_back((number, vec![0; questions]));
        }
        let sizes: Vec<usize> =
            (0..4).map(|_| state.batch().iter().map(|(_, own)| own.len()).sum()).collect();
        assert_eq!(sizes, [64, 1, 200, 3]);
    }

    #[test]
    fn an_error_and_a_panic_reach_everyone_in_the_scan_and_nobody_else() {
        for panics in [false, true] {
            let together = Together::new();
            let (started, go) = (Barrier::new(2), Barrier::new(2));
            let failed = AtomicUsize::new(0);
            let scan = |_: Vec<u64>| {
                failed.fetch_add(1, Ordering::Relaxed);
                assert!(!panics, "a scan that panics");
                Err(IndexError::Search)
            };
            thread::scope(|scope| {
                let first = scope.spawn(|| {
                    together.ask(vec![1], |questions| {
                        started.wait();
                        go.wait();
                        doubled(questions)
                    })
                });
                started.wait();
                let others: Vec<_> = (0..5).map(|_| scope.spawn(|| together.ask(vec![7], scan))).collect();
                until_waiting(&together, 5);
                go.wait();
                assert_eq!(first.join().unwrap().unwrap(), [2], "who went before is not concerned");
                for other in others {
                    // Who runs the scan panics with it; the others are told that it failed.
                    assert!(!matches!(other.join(), Ok(Ok(_))), "a failed scan answered");
                }
            });
            assert_eq!(failed.load(Ordering::Relaxed), 1, "all five should have been in one scan");
            assert_eq!(together.ask(vec![4], doubled).unwrap(), [8], "the next scan should run");
        }
    }

    #[test]
    fn a_wrong_number_of_answers_is_an_error() {
        let together: Together<u64, u64> = Together::new();
        assert!(matches!(together.ask(vec![1, 2], |_| Ok(vec![1])), Err(IndexError::Search)));
    }
}
