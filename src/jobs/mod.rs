//! What the server does by the clock, as an actor of its own: heads of partners' journals into the holder's, the
//! holder's to its witnesses, cases whose time has come, corrections to their recipients, requests of people that
//! are late, breaches of which the Commissioner was not told in time, detectors that follow the log, a look at the payloads
//! whose retention is over, renewals of collections, search snapshots for the next start, the index of tags, backups, and
//! notices.
//!
//! Each job runs once at the start and then after each pause. A run that fails is logged and counted, and the
//! next one tries again: nothing here ends the server. A job that is told to stop finishes the run it is in.

mod notice;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::gate::{Gate, GateError};
use crate::telemetry;

/// How long each job rests between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Between two records of the heads of partners' journals.
    pub heads: Duration,
    /// Between two times at which witnesses are asked; they are also asked whenever heads were written.
    pub witnesses: Duration,
    /// Between two looks at the cases whose time has come, and at what was written into the log.
    pub tending: Duration,
    /// Between two looks at the payloads whose retention is over.
    pub retention: Duration,
    /// Between two looks at the search snapshots that are due.
    pub snapshots: Duration,
    /// Between two looks at the collections that are being renewed; a renewal that has begun goes on at once.
    pub renewals: Duration,
    /// Between two looks at what is to be told to people and systems.
    pub notices: Duration,
    /// Between two looks at the entries whose tags are to be indexed.
    pub tags: Duration,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            heads: HEADS_EVERY,
            witnesses: WITNESSES_EVERY,
            tending: TENDING_EVERY,
            retention: RETENTION_EVERY,
            snapshots: SNAPSHOTS_EVERY,
            renewals: RENEWALS_EVERY,
            notices: NOTICES_EVERY,
            tags: TAGS_EVERY,
        }
    }
}

/// Jobs that run.
pub struct Jobs {
    /// Dropping it tells them to stop.
    running: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Jobs {
    /// Starts every job; needs a tokio runtime.
    #[must_use]
    pub fn start(gate: &Arc<Gate>, cadence: Cadence) -> Self {
        let (running, _) = watch::channel(());
        let mut jobs = Self { running, tasks: JoinSet::new() };
        let heads = Arc::clone(gate);
        let written = Arc::new(Notify::new());
        let ask = Arc::clone(&written);
        jobs.spawn("heads", cadence.heads, Arc::default(), move || {
            let (gate, ask) = (Arc::clone(&heads), Arc::clone(&ask));
            async move {
                let count = gate.heads_record().await?;
                if count > 0 {
                    ask.notify_one();
                }
                Ok(count)
            }
        });
        let witnesses = Arc::clone(gate);
        jobs.spawn("witnesses", cadence.witnesses, written, move || {
            let gate = Arc::clone(&witnesses);
            async move { gate.witnesses_ask().await }
        });
        let tending = Arc::clone(gate);
        jobs.spawn("tending", cadence.tending, Arc::default(), move || {
            let gate = Arc::clone(&tending);
            async move { gate.cases_tend().await }
        });
        let corrections = Arc::clone(gate);
        jobs.spawn("corrections", cadence.tending, gate.corrections_due(), move || {
            let gate = Arc::clone(&corrections);
            async move { gate.corrections_tend().await }
        });
        let people = Arc::clone(gate);
        jobs.spawn("subject-requests", cadence.tending, Arc::default(), move || {
            let gate = Arc::clone(&people);
            async move { gate.subject_requests_tend().await }
        });
        let breaches = Arc::clone(gate);
        jobs.spawn("breaches", cadence.tending, Arc::default(), move || {
            let gate = Arc::clone(&breaches);
            async move { gate.breaches_tend().await }
        });
        let alerts = Arc::clone(gate);
        jobs.spawn("alerts", cadence.tending, gate.alerts_due(), move || {
            let gate = Arc::clone(&alerts);
            async move { gate.alerts_tend().await }
        });
        let retention = Arc::clone(gate);
        jobs.spawn("retention", cadence.retention, Arc::default(), move || {
            let gate = Arc::clone(&retention);
            async move { gate.retention_watch().await }
        });
        let renewals = Arc::clone(gate);
        jobs.spawn("renewals", cadence.renewals, gate.renewal_due(), move || {
            let gate = Arc::clone(&renewals);
            async move { gate.renewals_tend().await }
        });
        let snapshots = Arc::clone(gate);
        jobs.spawn("snapshots", cadence.snapshots, Arc::default(), move || {
            let gate = Arc::clone(&snapshots);
            async move { gate.snapshots_write().await }
        });
        let tags = Arc::clone(gate);
        jobs.spawn("tags", cadence.tags, Arc::default(), move || {
            let gate = Arc::clone(&tags);
            async move { gate.tags_index().await }
        });
        jobs
    }

    /// Starts the job that makes backups, and keeps the copy of the key store up to date between them.
    pub fn start_backups(&mut self, gate: &Arc<Gate>, every: Option<Duration>) {
        let backups = Arc::clone(gate);
        self.spawn("backups", BACKUPS_EVERY, Arc::default(), move || {
            let gate = Arc::clone(&backups);
            async move { gate.backups_tend(every).await }
        });
    }

    /// Tells the jobs to stop and waits until they have finished the run they are in, or `longest` is over.
    pub async fn stop(self, longest: Duration) {
        let Self { running, mut tasks } = self;
        drop(running);
        let ended = timeout(longest, async { while tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!("a background job did not end in time and is given up");
        }
    }

    /// Spawns a job that runs at once, after each pause, and whenever it is woken.
    fn spawn<F, W>(&mut self, job: &'static str, every: Duration, woken: Arc<Notify>, work: F)
    where
        F: Fn() -> W + Send + 'static,
        W: Future<Output = Result<u32, GateError>> + Send + 'static,
    {
        let mut told = self.running.subscribe();
        self.tasks.spawn(async move {
            loop {
                run_once(job, work()).await;
                tokio::select! {
                    // Nothing is ever sent: it ends with an error, when the sender is gone.
                    _sender_is_gone = told.changed() => return,
                    () = sleep(every) => {}
                    () = woken.notified() => {}
                }
            }
        });
    }
}

async fn run_once(job: &'static str, work: impl Future<Output = Result<u32, GateError>>) {
    let reason = match work.await {
        Ok(count) => {
            tracing::debug!(job, count, "background job done");
            "done"
        }
        Err(error) => {
            tracing::error!(job, error = %telemetry::chain(&error), "background job failed; it will be tried again");
            "failed"
        }
    };
    metrics::counter!(telemetry::JOBS, "job" => job, "reason" => reason).increment(1);
}

/// A partner's journal is in the holder's, and so before witnesses, within this time.
const HEADS_EVERY: Duration = Duration::from_secs(60);
/// What else the holder's journal says is before witnesses within this time.
const WITNESSES_EVERY: Duration = Duration::from_secs(60);
/// Agreements count clocks in hours; half a minute late is not late.
const TENDING_EVERY: Duration = Duration::from_secs(30);
/// Retention counts days; an hour after midnight is soon enough, and a disposal that a busy reader held up is
/// finished within it.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// People look at their mail every few minutes.
const NOTICES_EVERY: Duration = Duration::from_secs(5);
/// Backups are made by the hour; five minutes late is not late.
const BACKUPS_EVERY: Duration = Duration::from_secs(5 * 60);
/// What failed, a backup for want of room perhaps, is tried again within a minute.
const RENEWALS_EVERY: Duration = Duration::from_secs(60);
/// What came in the last half minute is opened row by row at a start, which takes no longer for it.
const SNAPSHOTS_EVERY: Duration = Duration::from_secs(30);

/// At 1,500 entries a second a run is full every eleven seconds; those that are newer are looked through.
const TAGS_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    fn jobs() -> Jobs {
        Jobs { running: watch::channel(()).0, tasks: JoinSet::new() }
    }

    #[tokio::test]
    async fn a_job_runs_at_once_and_goes_on_after_a_failure() {
        let mut jobs = jobs();
        let (ran, mut runs) = mpsc::unbounded_channel();
        let number = Arc::new(AtomicU32::new(0));
        jobs.spawn("heads", Duration::from_millis(1), Arc::default(), move || {
            let (ran, number) = (ran.clone(), number.fetch_add(1, Ordering::SeqCst));
            async move {
                ran.send(number).unwrap();
                if number == 0 { Err(GateError::Unknown) } else { Ok(number) }
            }
        });
        for expected in 0..3 {
            assert_eq!(runs.recv().await, Some(expected), "the job should have gone on");
        }
        jobs.stop(Duration::from_secs(10)).await;
        while runs.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn a_job_that_rests_is_woken() {
        let mut jobs = jobs();
        let (ran, mut runs) = mpsc::unbounded_channel();
        let woken = Arc::new(Notify::new());
        jobs.spawn("witnesses", Duration::from_secs(3_600), Arc::clone(&woken), move || {
            let ran = ran.clone();
            async move {
                ran.send(()).unwrap();
                Ok(0)
            }
        });
        for _ in 0..3 {
            assert_eq!(runs.recv().await, Some(()), "the job should have run");
            woken.notify_one();
        }
        jobs.stop(Duration::from_secs(10)).await;
    }

    #[tokio::test]
    async fn a_job_that_rests_is_stopped_at_once_and_one_that_runs_is_waited_for() {
        let mut jobs = jobs();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (finish, finished) = watch::channel(());
        let ended = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&ended);
        jobs.spawn("tending", Duration::from_secs(3_600), Arc::default(), move || {
            let (begun, mut finished, count) = (begun.clone(), finished.clone(), Arc::clone(&count));
            async move {
                begun.send(()).unwrap();
                let _sender_is_gone = finished.changed().await;
                Ok(count.fetch_add(1, Ordering::SeqCst))
            }
        });
        begins.recv().await.unwrap();
        let stopping = tokio::spawn(jobs.stop(Duration::from_secs(60)));
        finish.send(()).unwrap();
        stopping.await.unwrap();
        assert_eq!(
            ended.load(Ordering::SeqCst),
            1,
            "the run under way should have been finished, and no other begun"
        );
    }
}
