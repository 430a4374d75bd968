//! Searches that are asked for at the same time go together.
//!
//! Whoever finds no scan running gets the turn to scan, and starts at once with everything that waits; what comes
//! meanwhile goes with the next scan, on the same thread. There is no timer: one search alone waits for nobody. Those who
//! wait are woken when their answers are there, and keep no thread.
//!
//! A scan has ends at which its threads wait for one another. When so many wait that they fill a scan, a second one runs
//! beside the first and works meanwhile.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::IndexError;

/// Questions that are answered in batches.
pub(super) struct Together<Q, A> {
    state: Mutex<State<Q, A>>,
}

struct State<Q, A> {
    /// Turns that are given and not over.
    turns: usize,
    waiting: VecDeque<Asker<Q, A>>,
    /// The questions of those who wait.
    questions: usize,
}

struct Asker<Q, A> {
    questions: Vec<Q>,
    place: Arc<Place<A>>,
}

/// Where the answers to an asker's questions come to.
struct Place<A>(Mutex<Held<A>>);

enum Held<A> {
    Nothing(Option<Waker>),
    Answers(Vec<A>),
    /// No answers, and none will come: the scan failed, or they were taken.
    Failed,
}

/// Answers that are on their way, in the order of the questions. Whoever drops it gives up its questions.
///
/// It fails with [`IndexError::Search`] for everyone in a scan that failed, panicked or gave another number of answers.
pub(super) struct Answers<A>(Arc<Place<A>>);

/// The turn to scan. Without one those who wait are never answered, and dropping it tells
/// them that.
#[must_use = "whoever waits is answered by `Turn::run` alone"]
pub(super) struct Turn<Q, A> {
    together: Arc<Together<Q, A>>,
    /// Somebody else may have the next one.
    is_over: bool,
}

impl<Q, A> Together<Q, A> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { turns: 0, waiting: VecDeque::new(), questions: 0 }) }
    }

    /// Asks these questions; with a turn to scan, unless those that are given are enough.
    pub(super) fn ask(self: &Arc<Self>, questions: Vec<Q>) -> (Answers<A>, Option<Turn<Q, A>>) {
        let place = Arc::new(Place(Mutex::new(Held::Nothing(None))));
        let mut state = self.state();
        state.questions = state.questions.saturating_add(questions.len());
        state.waiting.push_back(Asker { questions, place: Arc::clone(&place) });
        let turn =
            (state.turns < state.turns_due()).then(|| Turn { together: Arc::clone(self), is_over: false });
        state.turns = state.turns.saturating_add(usize::from(turn.is_some()));
        (Answers(place), turn)
    }

    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        // Nothing that is done under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Turn<Q, A> {
    /// Scans on this thread until nobody waits.
    pub(super) fn run(mut self, scan: impl Fn(Vec<Q>) -> Result<Vec<A>, IndexError>) {
        loop {
            let batch = {
                let mut state = self.together.state();
                let batch = if state.turns > state.turns_due() { Vec::new() } else { state.batch() };
                if batch.is_empty() {
                    // INVARIANT: under the same lock, so that whoever comes from here on gets the turn.
                    state.turns = state.turns.saturating_sub(1);
                    self.is_over = true;
                    return;
                }
                batch
            };
            scanned(batch, &scan);
        }
    }
}

fn scanned<Q, A>(batch: Vec<Asker<Q, A>>, scan: impl Fn(Vec<Q>) -> Result<Vec<A>, IndexError>) {
    let mut shares = Vec::with_capacity(batch.len());
    let mut questions = Vec::new();
    for Asker { questions: mut own, place } in batch {
        shares.push((own.len(), place));
        questions.append(&mut own);
    }
    let asked = questions.len();
    // A panic is one for those in this scan, and the others are scanned for all the same.
    let answers = catch_unwind(AssertUnwindSafe(|| scan(questions)));
    let answers = answers.ok().and_then(Result::ok).filter(|answers| answers.len() == asked);
    let mut answers = answers.map(Vec::into_iter);
    for (share, place) in shares {
        match &mut answers {
            Some(answers) => place.put(Held::Answers(answers.by_ref().take(share).collect())),
            None => place.put(Held::Failed),
        }
    }
}

impl<Q, A> Drop for Turn<Q, A> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // It was never run, or not to its end.
        let mut state = self.together.state();
        state.turns = state.turns.saturating_sub(1);
        if state.turns > 0 {
            return;
        }
        state.questions = 0;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        left.iter().for_each(|asker| asker.place.put(Held::Failed));
    }
}

impl<Q, A> State<Q, A> {
    /// As many turns as there is work for: one for whoever waits, or nobody; two when a whole scan waits.
    const fn turns_due(&self) -> usize {
        if self.questions < SCAN_PROBES { 1 } else { 2 }
    }

    /// What has waited longest: as many askers as make [`SCAN_PROBES`], and one at least if anybody waits. Those who have
    /// gone are left out.
    fn batch(&mut self) -> Vec<Asker<Q, A>> {
        let (mut batch, mut questions) = (Vec::new(), 0_usize);
        while let Some(next) = self.waiting.front() {
            let is_waited_for = Arc::strong_count(&next.place) > 1;
            let with_it = questions.saturating_add(next.questions.len());
            if is_waited_for && !batch.is_empty() && with_it > SCAN_PROBES {
                break;
            }
            self.questions = self.questions.saturating_sub(next.questions.len());
            let next = self.waiting.pop_front();
            if is_waited_for {
                questions = with_it;
                batch.extend(next);
            }
        }
        batch
    }
}

impl<A> Place<A> {
    fn put(&self, held: Held<A>) {
        let before = std::mem::replace(&mut *self.held(), held);
        if let Held::Nothing(Some(waker)) = before {
            waker.wake();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Future for Answers<A> {
    type Output = Result<Vec<A>, IndexError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut held = self.0.held();
        if matches!(*held, Held::Nothing(_)) {
            *held = Held::Nothing(Some(context.waker().clone()));
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut *held, Held::Failed) {
            Held::Answers(answers) => Ok(answers),
            Held::Failed | Held::Nothing(_) => Err(IndexError::Search),
        })
    }
}

/// Probes in one scan: enough to be bound by arithmetic and not by memory, few enough that none waits long for the
/// others.
pub(super) const SCAN_PROBES: usize = 64;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;

    use super::*;

    fn doubled(questions: Vec<u64>) -> Result<Vec<u64>, IndexError> {
        Ok(questions.into_iter().map(|question| question * 2).collect())
    }

    /// The answers, if they are there.
    fn ready(answers: Answers<u64>) -> Option<Result<Vec<u64>, IndexError>> {
        match pin!(answers).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answers) => Some(answers),
            Poll::Pending => None,
        }
    }

    fn together() -> Arc<Together<u64, u64>> {
        Arc::new(Together::new())
    }

    #[test]
    fn one_alone_gets_the_turn_and_is_answered_by_it() {
        let together = together();
        for _ in 0..2 {
            let (answers, turn) = together.ask(vec![1, 2]);
            turn.unwrap().run(doubled);
            assert_eq!(ready(answers).unwrap().unwrap(), [2, 4]);
            let (answers, turn) = together.ask(vec![]);
            turn.unwrap().run(doubled);
            assert!(ready(answers).unwrap().unwrap().is_empty());
        }
    }

    #[test]
    fn who_comes_during_a_scan_goes_with_the_next_and_gets_its_own_answers() {
        let together = together();
        let (first, turn) = together.ask(vec![100]);
        let (others, sizes) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        turn.unwrap().run(|questions| {
            sizes.borrow_mut().push(questions.len());
            if others.borrow().is_empty() {
                let ask = |number: u64| {
                    let (answers, turn) = together.ask(vec![number, number + 1_000]);
                    assert!(turn.is_none(), "somebody has the turn");
                    (number, answers)
                };
                others.borrow_mut().extend((0..20).map(ask));
            }
            doubled(questions)
        });
        assert_eq!(ready(first).unwrap().unwrap(), [200]);
        for (number, answers) in others.into_inner() {
            assert_eq!(ready(answers).unwrap().unwrap(), [number * 2, number * 2 + 2_000]);
        }
        assert_eq!(*sizes.borrow(), [1, 40], "all that waited should have gone together");
    }

    #[test]
    fn who_waits_is_woken_and_an_answer_is_there_then() {
        struct Woken(Mutex<u32>);
        impl std::task::Wake for Woken {
            fn wake(self: Arc<Self>) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let together = together();
        let (answers, turn) = together.ask(vec![3]);
        let mut answers = pin!(answers);
        let woken = Arc::new(Woken(Mutex::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(answers.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(*woken.0.lock().unwrap(), 0);
        std::thread::scope(|scope| scope.spawn(|| turn.unwrap().run(doubled)).join().unwrap());
        assert_eq!(*woken.0.lock().unwrap(), 1);
        assert!(matches!(answers.poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(six)) if six == [6]));
    }

    #[test]
    fn no_scan_takes_more_than_its_number_but_for_one_asker_who_has_more() {
        let together = together();
        let (first, turn) = together.ask(vec![0; 40]);
        let others: Vec<_> =
            [24_usize, 1, 200, 3].map(|many| together.ask(vec![0; many]).0).into_iter().collect();
        let sizes = RefCell::new(Vec::new());
        turn.unwrap().run(|questions| {
            sizes.borrow_mut().push(questions.len());
            doubled(questions)
        });
        assert_eq!(*sizes.borrow(), [64, 1, 200, 3]);
        assert!(ready(first).is_some() && others.into_iter().all(|one| ready(one).is_some()));
    }

    #[test]
    fn a_second_turn_is_given_while_a_whole_scan_waits_and_is_over_before_less_does() {
        let together = together();
        let (first, turn) = together.ask(vec![1]);
        let (beside, rest) = (RefCell::new(None), RefCell::new(Vec::new()));
        turn.unwrap().run(|questions| {
            if beside.borrow().is_none() {
                let (half, none) = together.ask(vec![2; 60]);
                assert!(none.is_none(), "it goes with the next scan");
                let (whole, second) = together.ask(vec![3; 60]);
                let sizes = RefCell::new(Vec::new());
                second.expect("a scan waits whole").run(|questions| {
                    sizes.borrow_mut().push(questions.len());
                    doubled(questions)
                });
                assert_eq!(*sizes.borrow(), [60], "what is less than a scan is left to the first");
                assert!(together.ask(vec![4]).1.is_none());
                *beside.borrow_mut() = Some(half);
                rest.borrow_mut().push(whole);
            }
            doubled(questions)
        });
        assert!(ready(first).is_some() && ready(beside.take().unwrap()).is_some());
        assert!(rest.take().into_iter().all(|one| ready(one).is_some()));
    }

    #[test]
    fn questions_of_those_who_went_away_are_not_scanned() {
        let together = together();
        let (gone, turn) = together.ask(vec![1; 64]);
        let (stays, _) = together.ask(vec![7]);
        drop(gone);
        turn.unwrap().run(|questions| {
            assert_eq!(questions, [7], "nobody waits for the others");
            doubled(questions)
        });
        assert_eq!(ready(stays).unwrap().unwrap(), [14]);
    }

    #[test]
    fn an_error_and_a_panic_reach_everyone_in_the_scan_and_nobody_else() {
        for panics in [false, true] {
            let together = together();
            let (full, turn) = together.ask(vec![1; 64]);
            let (next, _) = together.ask(vec![7; 30]);
            let (beside, _) = together.ask(vec![8; 30]);
            let (last, _) = together.ask(vec![2; 60]);
            turn.unwrap().run(|questions| match questions.first() {
                Some(7) => {
                    assert!(!panics, "a scan that panics");
                    Err(IndexError::Search)
                }
                _ => doubled(questions),
            });
            for answered in [full, last] {
                assert!(ready(answered).unwrap().is_ok(), "another scan is not concerned");
            }
            for failed in [next, beside] {
                assert!(matches!(ready(failed), Some(Err(IndexError::Search))), "a failed scan answered");
            }
            let (after, turn) = together.ask(vec![4]);
            turn.unwrap().run(doubled);
            assert_eq!(ready(after).unwrap().unwrap(), [8], "the next scan should run");
        }
    }

    #[test]
    fn a_turn_that_is_never_run_fails_those_who_wait_and_the_next_has_another() {
        let together = together();
        let (first, turn) = together.ask(vec![1]);
        let (second, _) = together.ask(vec![2]);
        assert!(ready(together.ask(vec![3]).0).is_none());
        drop(turn);
        assert!(matches!((ready(first), ready(second)), (Some(Err(_)), Some(Err(_)))));
        let (answers, turn) = together.ask(vec![4]);
        turn.unwrap().run(doubled);
        assert_eq!(ready(answers).unwrap().unwrap(), [8]);
    }

    #[test]
    fn a_wrong_number_of_answers_is_an_error() {
        let together = together();
        let (answers, turn) = together.ask(vec![1, 2]);
        turn.unwrap().run(|_| Ok(vec![1]));
        assert!(matches!(ready(answers), Some(Err(IndexError::Search))));
    }
}
