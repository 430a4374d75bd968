//! The server's own watch: detectors follow the log as it is written, and privacy officers list what they found.
//!
//! Nothing of it is kept. A start follows the log from its first entry again, beside everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::authz::{About, Action};
use crate::clock::Timestamp;
use crate::ids::{AgreementName, Digest, PartnerName, SubjectId};
use crate::oversight::{Alert, Judgement, Seen, Watch};
use crate::store::Journal;
use crate::store::log::{Proofs, Read};
use crate::store::search::{Followed, FoundEntry};
use crate::telemetry;

use super::log::REASON_MAX_CHARS;
use super::{Caller, Gate, GateError, text};

/// What the watch has to show.
pub struct Watched {
    /// Alerts, the newest first, each with the judgement that counts.
    pub alerts: Vec<(Alert, Option<Judgement>)>,
    /// How many entries were looked at.
    pub looked_at: u64,
    /// Whether everything that was written was looked at; false for a while after a start.
    pub is_current: bool,
}

/// How far the watch has come.
pub(super) struct Watching {
    state: Mutex<State>,
    /// One run follows the log at a time.
    turn: tokio::sync::Mutex<()>,
    /// Told when there is more to follow than a run takes.
    due: Arc<Notify>,
}

struct State {
    watch: Watch,
    judged: BTreeMap<Digest, Judgement>,
    after: u64,
    looked_at: u64,
    is_current: bool,
}

impl Watching {
    /// From the first entry on.
    pub(super) fn new(canaries: BTreeSet<SubjectId>) -> Self {
        let state = State {
            watch: Watch::new(canaries),
            judged: BTreeMap::new(),
            after: 0,
            looked_at: 0,
            is_current: false,
        };
        Self { state: Mutex::new(state), turn: tokio::sync::Mutex::default(), due: Arc::default() }
    }

    fn take(&self, followed: &Followed) {
        let mut state = self.lock();
        for entry in &followed.entries {
            state.looked_at = state.looked_at.saturating_add(1);
            state.take(entry);
        }
        state.after = followed.last.unwrap_or(state.after);
    }

    /// Looks at the days that are over; gives the number of alerts that nobody judged.
    fn turn(&self, now: Timestamp) -> usize {
        let mut state = self.lock();
        if !state.is_current {
            tracing::info!(count = state.looked_at, "detectors have caught up with the log");
        }
        // Whatever began before midnight is written by then.
        state.watch.turn(now.before(LATE_ENTRIES));
        state.is_current = true;
        state.watch.alerts().iter().filter(|alert| !state.judged.contains_key(&alert.id())).count()
    }

    /// Nothing here is left half changed by whoever panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, entry: &FoundEntry) {
        if let Some(seen) = Seen::of(entry.journal.name(), entry.index, &entry.event) {
            self.watch.take(&seen);
        }
        if entry.journal == Journal::Holder {
            self.judged.extend(Judgement::of(&entry.event));
        }
    }
}

impl Gate {
    /// Follows the log, to its end or as far as one run goes, and tells operators how many alerts wait to be judged; gives the
    /// number of entries that were looked at. It rests as long as it works while there is much to follow.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn alerts_tend(&self) -> Result<u32, GateError> {
        let _turn = self.watching.turn.lock().await;
        let mut count = 0_u32;
        while count < ENTRIES_IN_A_RUN {
            let (begun, after) = (Instant::now(), self.watching.lock().after);
            let followed = self.parts.store.log_follow(after, ENTRIES_AT_ONCE).await?;
            self.watching.take(&followed);
            if followed.last.is_none() {
                let open = u32::try_from(self.watching.turn(self.now())).unwrap_or(u32::MAX);
                metrics::gauge!(telemetry::ALERTS_OPEN).set(f64::from(open));
                return Ok(count);
            }
            let taken = u32::try_from(followed.entries.len()).unwrap_or(u32::MAX);
            count = count.saturating_add(taken);
            if taken >= ENTRIES_AT_ONCE {
                sleep(begun.elapsed()).await;
            }
        }
        // So that a server that is told to stop need not wait until a long log was followed.
        self.watching.due.notify_one();
        Ok(count)
    }

    /// Told when the log is to be followed on at once.
    #[must_use]
    pub fn alerts_due(&self) -> Arc<Notify> {
        Arc::clone(&self.watching.due)
    }

    /// What the detectors found by now. Whoever reads it reads the log: it is an entry with a reason.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn alert_list(&self, caller: &Caller, why: String) -> Result<Watched, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::ListAlerts, About::Service, content).await?;
        let read = Read { journal: Journal::Holder, from: 0, limit: 0, proofs: Proofs::Without, why };
        let (_entries, _receipt) = self.parts.store.log_read(permit, read).await?.open()?;
        let state = self.watching.lock();
        let judged = |alert: &Alert| (alert.clone(), state.judged.get(&alert.id()).cloned());
        let mut alerts: Vec<_> = state.watch.alerts().iter().map(judged).collect();
        alerts.sort_by_key(|(alert, _)| std::cmp::Reverse((alert.until, alert.detector)));
        Ok(Watched { alerts, looked_at: state.looked_at, is_current: state.is_current })
    }

    /// The agreements that a partner has, by name.
    #[must_use]
    pub fn agreements_with(&self, partner: &PartnerName) -> Vec<AgreementName> {
        self.live.load().rules.agreements_of(partner).map(|agreement| agreement.name.clone()).collect()
    }
}

/// Some tens of milliseconds of work.
const ENTRIES_AT_ONCE: u32 = 1_000;
/// A second or two.
const ENTRIES_IN_A_RUN: u32 = 50_000;
/// Longer than anything that is written takes.
const LATE_ENTRIES: Duration = Duration::from_secs(10 * 60);
