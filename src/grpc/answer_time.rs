//! When answers leave: a fixed time after the question arrived, whatever they say.
//!
//! Work that took longer than that leaves at the next multiple, so that its time tells only how many steps it
//! took. Not hidden: that the holder was busy, which every partner sees alike.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::door::limits::RPC_DEADLINE;

/// How long after its question an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerTime {
    /// As soon as it is ready. For tests and measurements: the time then depends on the work.
    #[default]
    AtOnce,
    /// At multiples of this step.
    Step(Step),
}

/// The step of answer times: above zero, and short enough that an answer leaves before its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(Duration);

/// A time that answers can't leave after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("answers can't leave after {} ms; use 1 to {} ms, or 0 to answer at once", .0.as_millis(), STEP_MAX.as_millis())]
pub struct AnswerTimeError(Duration);

impl AnswerTime {
    /// Answers leave this long after their questions; zero means at once.
    ///
    /// # Errors
    /// [`AnswerTimeError`] when it is longer than half of what a call may take.
    pub fn after(step: Duration) -> Result<Self, AnswerTimeError> {
        if step.is_zero() {
            Ok(Self::AtOnce)
        } else if step <= STEP_MAX {
            Ok(Self::Step(Step(step)))
        } else {
            Err(AnswerTimeError(step))
        }
    }

    /// Waits until an answer to a question of this arrival may leave.
    pub(super) async fn wait(self, arrival: Instant) {
        let Self::Step(Step(step)) = self else { return };
        let (leaves, steps) = leaves(arrival, Instant::now(), step);
        if steps > 1 {
            metrics::counter!(ANSWERS_LATE).increment(1);
        }
        sleep_until(leaves).await;
    }
}

/// The first multiple of `step` after `arrival` that lies after `now`, and which one it is.
fn leaves(arrival: Instant, now: Instant, step: Duration) -> (Instant, u32) {
    let past = now.saturating_duration_since(arrival).as_nanos().checked_div(step.as_nanos()).unwrap_or(0);
    let steps = u32::try_from(past).unwrap_or(u32::MAX - 1).saturating_add(1);
    (arrival.checked_add(step.saturating_mul(steps)).unwrap_or(now), steps)
}

/// Answers that were not ready at their first time to leave.
pub const ANSWERS_LATE: &str = "onebit_answers_late_total";
/// Half of a call's deadline: an answer that missed its first time still leaves at its second.
const STEP_MAX: Duration = Duration::from_millis(5_000);
const _: () = assert!(STEP_MAX.as_millis() * 2 <= RPC_DEADLINE.as_millis());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_means_at_once_and_a_deadline_is_too_long() {
        assert_eq!(AnswerTime::after(Duration::ZERO), Ok(AnswerTime::AtOnce));
        assert!(AnswerTime::after(STEP_MAX).is_ok());
        let error = AnswerTime::after(RPC_DEADLINE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "answers can't leave after 10000 ms; use 1 to 5000 ms, or 0 to answer at once"
        );
    }

    #[test]
    fn an_answer_that_is_ready_exactly_in_time_takes_the_next_step() {
        let (arrival, step) = (Instant::now(), Duration::from_millis(100));
        assert_eq!(leaves(arrival, arrival, step), (arrival + step, 1));
        assert_eq!(leaves(arrival, arrival + step, step), (arrival + step * 2, 2));
        assert_eq!(leaves(arrival, arrival + Duration::from_nanos(99_999_999), step).1, 1);
    }

    #[tokio::test]
    async fn answers_wait_for_their_time() {
        let (arrival, step) = (Instant::now(), Duration::from_millis(30));
        AnswerTime::after(step).unwrap().wait(arrival).await;
        assert!(arrival.elapsed() >= step, "the answer left {:?} after its question", arrival.elapsed());
    }

    proptest! {
        #[test]
        fn the_time_is_the_first_multiple_in_the_future(worked_us in 0_u64..10_000_000, step_us in 1_u64..5_000_000) {
            let (arrival, step) = (Instant::now(), Duration::from_micros(step_us));
            let now = arrival + Duration::from_micros(worked_us);
            let (leaves, steps) = leaves(arrival, now, step);
            prop_assert_eq!(leaves, arrival + step * steps);
            prop_assert!(leaves > now && leaves <= now + step);
        }
    }
}
