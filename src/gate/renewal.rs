//! Renewing collections: their templates move to new keys and another transform while questions are answered.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::ids::CollectionName;
use crate::index::Gallery;
use crate::matching::Collection;
use crate::store::renewal::{Renewal, RenewalStep};
use crate::telemetry;
use crate::template::Turn;

use super::{Gate, GateError, Live};

impl Gate {
    /// Told whenever a collection may be to be renewed, and when some work of a renewal is done and more is left.
    #[must_use]
    pub fn renewal_due(&self) -> Arc<Notify> {
        Arc::clone(&self.renewal_due)
    }

    /// Goes on with the collections that are being renewed, for some steps; gives their number. Between two steps it rests
    /// as long as the last one took, so that questions and enrolment find the machine free half of the time.
    ///
    /// # Errors
    /// [`GateError`] when a step could not be made; it is made the next time.
    pub async fn renewals_tend(self: &Arc<Self>) -> Result<u32, GateError> {
        let mut steps = 0_u32;
        while let Some((name, collection)) = self.renewal_next() {
            if steps >= RUN_STEPS || !self.others_have_left().await {
                self.renewal_due.notify_one();
                return Ok(steps);
            }
            let begun = Instant::now();
            match self.renewal_step(&collection).await? {
                RenewalStepped::Moved { renewed, left } => {
                    telemetry::renewal_share(name.as_str(), renewed, left);
                    tracing::debug!(
                        collection = name.as_str(),
                        count = left,
                        "templates are left to be renewed"
                    );
                }
                RenewalStepped::Stale => {}
                RenewalStepped::NothingLeft => {
                    self.renewal_end(name.clone()).await?;
                    tracing::info!(collection = name.as_str(), "a collection is renewed");
                }
            }
            steps = steps.saturating_add(1);
            sleep(begun.elapsed()).await;
        }
        if self.parts.store.renewals_finish().await? > 0 {
            tracing::info!("the keys of what was renewed are destroyed");
        }
        Ok(steps)
    }

    /// Notes the collections that somebody may still use as they were.
    pub(super) fn leaving_note(&self, before: &Live, after: &Live) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|collection| collection.strong_count() > 0);
        for (name, collection) in &before.collections {
            if after.collections.get(name).is_none_or(|now| !Arc::ptr_eq(now, collection)) {
                leaving.push(Arc::downgrade(collection));
            }
        }
    }

    /// Refuses a renewal that could be confirmed but never begin.
    pub(super) fn check_renewal(&self, collection: &CollectionName) -> Result<(), GateError> {
        let what = match self.live.load().collections.get(collection) {
            None => format!("the active rules have no collection `{collection}`"),
            Some(collection) if collection.generations().len() > 1 => {
                "the collection is being renewed; wait until that has ended".to_owned()
            }
            Some(_) => return Ok(()),
        };
        Err(GateError::Invalid { field: "change.renew_collection.collection", what })
    }

    fn renewal_next(&self) -> Option<(CollectionName, Arc<Collection>)> {
        let live = self.live.load();
        let mut collections = live.collections.iter();
        let found = collections.find(|(_, collection)| collection.generations().len() > 1)?;
        Some((found.0.clone(), Arc::clone(found.1)))
    }

    /// Waits, for some seconds, until nobody uses a collection as it was before it changed.
    ///
    /// INVARIANT: before any template moves. A question that was protected for the older generation alone would miss
    /// whoever has moved, and a chunk would put people into a generation that is left for good.
    async fn others_have_left(&self) -> bool {
        for _ in 0..LEAVING_LOOKS {
            {
                let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
                leaving.retain(|collection: &Weak<Collection>| collection.strong_count() > 0);
                if leaving.is_empty() {
                    return true;
                }
            }
            sleep(LEAVING_PAUSE).await;
        }
        false
    }

    async fn renewal_step(
        self: &Arc<Self>,
        collection: &Arc<Collection>,
    ) -> Result<RenewalStepped, GateError> {
        let [from, to] = collection.generations() else { return Ok(RenewalStepped::Stale) };
        let turn = Turn::new(Arc::clone(&from.transform), Arc::clone(&to.transform));
        let turn = turn.map_err(|_| GateError::Internal { doing: "renewing a collection" })?;
        let galleries = (Arc::clone(&from.gallery), Arc::clone(&to.gallery));
        let (from, to) = (from.of.clone(), to.of.clone());
        let step = Renewal { from, to, turn, templates: STEP_TEMPLATES };
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let change = match gate.parts.store.renewal_step(step).await? {
                RenewalStep::Moved(change) => change,
                RenewalStep::Stale => return Ok(RenewalStepped::Stale),
                RenewalStep::NothingLeft => return Ok(RenewalStepped::NothingLeft),
            };
            let gone = change.removed.clone();
            gate.gallery_apply(change).await?;
            gate.parts.store.snapshots_forget(gone).await?;
            let count = |gallery: &Gallery| u64::try_from(gallery.len()).unwrap_or(u64::MAX);
            Ok(RenewalStepped::Moved { left: count(&galleries.0), renewed: count(&galleries.1) })
        })
        .await
    }

    /// Ends a renewal: a backup of what is there now, the entry, and the old generation out of every question.
    async fn renewal_end(self: &Arc<Self>, collection: CollectionName) -> Result<(), GateError> {
        // INVARIANT: before the old keys go, so that there is a backup which gives everything back.
        if let Some(begun) = self.parts.store.backup_begin(None, format!("{collection} is renewed")).await? {
            self.backup_make(begun).await?;
        }
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            if gate.parts.store.renewal_end(collection).await? {
                gate.reload_in_order().await?;
            }
            Ok(())
        })
        .await
    }
}

/// What came of a step.
enum RenewalStepped {
    /// Some moved; so many are renewed now, and so many left.
    Moved { renewed: u64, left: u64 },
    /// Somebody was enrolled in between.
    Stale,
    /// All have moved.
    NothingLeft,
}

/// Some seconds of work, so that a server that is told to stop need not wait for more.
const RUN_STEPS: u32 = 32;
/// Whoever enrols, restricts or erases waits for one step, some hundredths of a second.
const STEP_TEMPLATES: u32 = 512;
/// Questions and chunks are over after some seconds; if they are not, the job looks again later.
const LEAVING_LOOKS: u32 = 500;
const LEAVING_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::clock::{Clock, ManualClock, Timestamp};
    use crate::gate::GateParts;
    use crate::index::{FirstStage, pool};
    use crate::keys::{ReleaseSecretKey, RootKey};
    use crate::secret::{Secret, SystemEntropy};
    use crate::store::Store;
    use crate::store::change::Change;
    use crate::store::conformance::Bench;
    use crate::store::sqlite::SqliteStore;
    use crate::template::synthetic;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_moves_while_somebody_uses_the_collection_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
        let (entropy, root) = (Arc::new(SystemEntropy::new()), RootKey::new(Secret::take(&mut [1; 32])));
        let heads = folder.path().join("heads");
        let shown: Arc<dyn Clock> = clock.clone();
        let store = SqliteStore::open(folder.path(), &heads, root, shown.clone(), entropy.clone()).unwrap();
        let release_key = ReleaseSecretKey::random(&SystemEntropy::new()).unwrap();
        let _receipt = store.holder_found(Bench::founding(&release_key)).await.unwrap();
        let (keys, store) = (store.keys(), Arc::new(store));
        let (pool, first_stage) = (pool(NonZeroUsize::MIN).unwrap(), FirstStage::OneBit);
        let parts = GateParts {
            store: store.clone(),
            keys: keys.clone(),
            clock: shown,
            entropy,
            pool,
            first_stage,
            canaries: std::collections::BTreeSet::new(),
        };
        let gate = Arc::new(Gate::open(parts).await.unwrap());
        let bench = Bench { store, keys, clock, rules: Bench::rules(), release_key };
        let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;

        let name: CollectionName = "watch-face".parse().unwrap();
        let asked_before = gate.live.load().collections.get(&name).cloned().unwrap();
        bench.confirmed(Change::RenewCollection(name.clone())).await;
        gate.to_its_end({
            let gate = Arc::clone(&gate);
            async move { gate.reload_in_order().await }
        })
        .await
        .unwrap();
        let renewing = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                while gate.renewal_next().is_some() {
                    gate.renewals_tend().await.unwrap();
                }
            }
        });
        let generations = || {
            let live = gate.live.load();
            live.collections
                .get(&name)
                .unwrap()
                .generations()
                .iter()
                .map(|one| one.of.number)
                .collect::<Vec<_>>()
        };
        sleep(Duration::from_millis(200)).await;
        assert_eq!(generations(), [1, 2], "templates moved under a question");
        assert_eq!(bench.store.slot_subject(vec![1, 2]).await.unwrap(), [Some(subject), None]);
        drop(asked_before);
        renewing.await.unwrap();
        assert_eq!(generations(), [2]);
        assert_eq!(bench.store.slot_subject(vec![1, 2]).await.unwrap(), [None, Some(subject)]);
    }
}
