//! The steps of a call: how long each took, as a span and an event for whoever follows calls, and as a metric.

use std::future::Future;
use std::time::Instant;

use tracing::Instrument as _;

use super::STEP_SECONDS;

/// A step that every question takes, whoever it is about and whatever comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The rules are asked.
    Permit,
    /// The store is asked for repetitions and volumes.
    LookUp,
    /// The samples are checked and transformed.
    Protect,
    /// The collection is searched.
    Search,
    /// The answer is entered in the log, durably.
    Record,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 5] = [Self::Permit, Self::LookUp, Self::Protect, Self::Search, Self::Record];

    /// The word for it in metrics and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::LookUp => "look-up",
            Self::Protect => "protect",
            Self::Search => "search",
            Self::Record => "record",
        }
    }

    /// Does the work of this step.
    pub async fn of<T>(self, work: impl Future<Output = T>) -> T {
        let (step, begun) = (self.as_str(), Instant::now());
        let span = tracing::debug_span!("step", step);
        async {
            let done = work.await;
            let took = begun.elapsed();
            metrics::histogram!(STEP_SECONDS, "step" => step).record(took.as_secs_f64());
            tracing::debug!(micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "step done");
            done
        }
        .instrument(span)
        .await
    }
}
