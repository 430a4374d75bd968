//! Rules, registry and galleries as they are decided by: loaded at the start and after every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::authz::{PolicyFault, Rules};
use crate::ids::{CollectionName, Digest};
use crate::index::{Compartment, Gallery, IndexError, Slot};
use crate::matching::{Collection, Generation, Thresholds};
use crate::store::enrolment::{CollectionGeneration, CollectionNew, Loaded, RestrictionSet};
use crate::store::snapshot::{GalleryRead, Served, Snapshots};
use crate::store::{GalleryChange, Store, StoreError};
use crate::telemetry;
use crate::template::{Compact, Dimension, Protected, Scheme, Transform};

use super::{Gate, GateError, GateParts, Live};

/// Why the gate can't open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody has held the ceremony.
    #[error("the store is not founded; hold the first-start ceremony with `onebit init`")]
    NotFounded,
    /// The active rules are not in the store.
    #[error("the active policy folder {0} is not in the store; restore the store from its backup")]
    NoRules(Digest),
    /// The active rules do not hold.
    #[error("the active policy folder does not hold: {}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Rules(Vec<PolicyFault>),
    /// A collection changed what its templates are.
    #[error(
        "the collection `{0}` has templates of another scheme; give templates of a new scheme a new collection"
    )]
    OtherScheme(CollectionName),
    /// The store failed.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// A gallery is not what the store counts, not even without snapshots.
    #[error(
        "the gallery of the collection `{0}` has other templates than the store counts; check the store with \
         `onebit audit fsck`"
    )]
    Count(CollectionName),
    /// A gallery can't be made as it is configured.
    #[error("no gallery can be made for the collection `{0}`")]
    Gallery(CollectionName, #[source] IndexError),
    /// A gallery could not be filled.
    #[error("the gallery of a collection could not be filled")]
    Index(#[source] IndexError),
}

/// Loads everything; galleries that `before` holds already are kept as they are.
pub(super) async fn load(parts: &GateParts, before: Option<&Live>) -> Result<Live, OpenError> {
    let store = parts.store.as_ref();
    let holder = store.holder_get().await?.ok_or(OpenError::NotFounded)?;
    let bundle = store.policy_get(holder.policy).await?.ok_or(OpenError::NoRules(holder.policy))?;
    let rules = Rules::load(bundle).map_err(OpenError::Rules)?;
    let registry = store.registry_load().await?;
    let (mut wanted, mut schemes) = (Vec::new(), Vec::new());
    for file in rules.collections() {
        let Some(scheme) = rules.scheme(&file.scheme) else { continue };
        let scheme = scheme.scheme.clone();
        let dimension = u16::try_from(scheme.dimension.len()).unwrap_or(u16::MAX);
        wanted.push(CollectionNew { name: file.name.clone(), scheme: scheme.name.clone(), dimension });
        schemes.push((file.name.clone(), scheme));
    }
    let found = store.collections_sync(wanted).await?;
    let (mut collections, mut fresh) = (BTreeMap::new(), Vec::new());
    for ((name, scheme), found) in schemes.into_iter().zip(found) {
        let kept = before.and_then(|live| live.collections.get(&name));
        let mut generations = Vec::with_capacity(found.generations.len());
        for (of, secret) in found.generations {
            let known = kept.and_then(|kept| kept.generations().iter().find(|known| known.of == of));
            generations.push(match known {
                Some(known) => known.clone(),
                None => {
                    let transform = Arc::new(Transform::derive(&secret, scheme.dimension));
                    let gallery = gallery_new(parts, &name, scheme.dimension).await?;
                    let new = Generation { of, transform, gallery };
                    fresh.push(new.clone());
                    new
                }
            });
        }
        let collection = match kept {
            Some(kept) => kept_under(&name, kept, scheme, generations)?,
            None => {
                let thresholds = Arc::new(Thresholds::new(name.clone()));
                let none =
                    OpenError::Store(StoreError::Damaged { what: "a collection without a generation" });
                Arc::new(Collection::new(scheme, generations, thresholds).ok_or(none)?)
            }
        };
        collections.insert(name, collection);
    }
    if before.is_none() {
        store.snapshots_keep(fresh.iter().map(|generation| generation.of.clone()).collect()).await?;
    }
    galleries_fill(store, &fresh).await?;
    let sets = sets(store).await?;
    Ok(Live { holder, rules: Arc::new(rules), registry: Arc::new(registry), collections, sets })
}

/// An empty gallery; training its first stage can take seconds.
async fn gallery_new(
    parts: &GateParts,
    name: &CollectionName,
    dimension: Dimension,
) -> Result<Arc<Gallery>, OpenError> {
    let (pool, first) = (parts.pool.clone(), parts.first_stage.clone());
    let made = tokio::task::spawn_blocking(move || Gallery::staged(dimension, pool, &first));
    let made = made.await.map_err(|_| OpenError::Store(StoreError::Closed))?;
    made.map(Arc::new).map_err(|error| OpenError::Gallery(name.clone(), error))
}

async fn galleries_fill(store: &dyn Store, fresh: &[Generation]) -> Result<(), OpenError> {
    let (mut from_snapshots, mut from_rows) = (0_u64, 0_u64);
    for generation in fresh {
        let read = fill(store, generation).await?;
        for (kind, count) in [("snapshot", read.from_snapshots), ("row", read.from_rows)] {
            let collection = generation.of.collection.as_str();
            tracing::info!(collection, kind, count, "templates read into a gallery");
        }
        from_snapshots = from_snapshots.saturating_add(read.from_snapshots);
        from_rows = from_rows.saturating_add(read.from_rows);
    }
    if !fresh.is_empty() {
        telemetry::snapshots_share(from_snapshots, from_rows);
    }
    Ok(())
}

/// A collection under rules that changed, perhaps: the same templates, another calibration; or in other generations.
fn kept_under(
    name: &CollectionName,
    kept: &Arc<Collection>,
    scheme: Scheme,
    generations: Vec<Generation>,
) -> Result<Arc<Collection>, OpenError> {
    let same = generations.iter().map(|one| &one.of).eq(kept.generations().iter().map(|one| &one.of));
    if same && kept.scheme == scheme {
        return Ok(Arc::clone(kept));
    }
    if kept.scheme.name != scheme.name || kept.scheme.dimension != scheme.dimension {
        return Err(OpenError::OtherScheme(name.clone()));
    }
    let collection = Collection::new(scheme, generations, Arc::clone(&kept.thresholds));
    let none = StoreError::Damaged { what: "a collection without a generation" };
    collection.map(Arc::new).ok_or(OpenError::Store(none))
}

/// Fills an empty gallery and compares it with what the store counts; gives where its templates came from.
async fn fill(store: &dyn Store, generation: &Generation) -> Result<GalleryRead, OpenError> {
    let Generation { of, gallery, .. } = generation;
    for snapshots in [Snapshots::Used, Snapshots::Destroyed] {
        let read = fill_by(store, of, gallery, snapshots).await?;
        let found = gallery.census();
        if read.totals.iter().map(|(set, count)| (Compartment(*set), *count)).eq(found) {
            return Ok(read);
        }
        tracing::error!(
            collection = of.collection.as_str(),
            "a gallery is not what the store counts; it is filled again"
        );
        gallery.clear();
    }
    Err(OpenError::Count(of.collection.clone()))
}

async fn fill_by(
    store: &dyn Store,
    of: &CollectionGeneration,
    gallery: &Arc<Gallery>,
    snapshots: Snapshots,
) -> Result<GalleryRead, OpenError> {
    // One page is built while the next one is read.
    let (pages, mut read) = mpsc::channel(1);
    let reading = store.gallery_read(of.clone(), snapshots, pages);
    let building = async {
        while let Some(page) = read.recv().await {
            let gallery = Arc::clone(gallery);
            let built = tokio::task::spawn_blocking(move || {
                gallery.insert_rounded(page.into_iter().map(served).collect())
            });
            built.await.map_err(|_| OpenError::Store(StoreError::Closed))?.map_err(OpenError::Index)?;
        }
        drop(read);
        Ok::<(), OpenError>(())
    };
    let (read, built) = tokio::join!(reading, building);
    built?;
    Ok(read?)
}

fn served(served: Served) -> (Slot, Compartment, Compact) {
    (Slot(served.slot), Compartment(served.restriction_set), served.template)
}

fn placed(loaded: Loaded) -> (Slot, Compartment, Protected) {
    (Slot(loaded.slot), Compartment(loaded.restriction_set), loaded.template)
}

async fn sets(store: &dyn Store) -> Result<BTreeMap<u64, RestrictionSet>, StoreError> {
    Ok(store.restriction_sets().await?.into_iter().map(|set| (set.id, set)).collect())
}

impl Gate {
    /// Brings the live galleries to what was committed. The caller holds the order of publishing.
    pub(super) async fn gallery_apply(&self, change: GalleryChange) -> Result<(), GateError> {
        let live = self.live.load_full();
        let known = |set: u64| live.sets.contains_key(&set);
        let new_set = change.added.iter().any(|added| !known(added.restriction_set))
            || change.relabelled.iter().any(|(_, _, set)| !known(*set));
        if new_set {
            // INVARIANT: the names of a set are known before a template of it can be found, so that nothing of it
            // is taken for visible; an unknown set is hidden anyway.
            let sets = sets(self.parts.store.as_ref()).await?;
            self.live.rcu(|live| {
                Arc::new(Live {
                    holder: live.holder.clone(),
                    rules: Arc::clone(&live.rules),
                    registry: Arc::clone(&live.registry),
                    collections: live.collections.clone(),
                    sets: sets.clone(),
                })
            });
        }
        let applied = tokio::task::spawn_blocking(move || apply(&live, change));
        let failed = GateError::Internal { doing: "publishing to a gallery" };
        applied
            .await
            .map_err(|_| GateError::Internal { doing: "publishing to a gallery" })?
            .map_err(|_| failed)
    }
}

fn apply(live: &Live, change: GalleryChange) -> Result<(), IndexError> {
    let gallery = |of: &CollectionGeneration| {
        let collection = live.collections.get(&of.collection)?;
        collection.generations().iter().find(|generation| generation.of == *of).map(|found| &found.gallery)
    };
    for (of, slot, set) in change.relabelled {
        if let Some(gallery) = gallery(&of) {
            gallery.relabel(Slot(slot), Compartment(set))?;
        }
    }
    // What is new is there before what is old goes, so that no query misses somebody who is enrolled again, or moves to
    // another generation.
    let mut added: BTreeMap<CollectionGeneration, Vec<_>> = BTreeMap::new();
    for loaded in change.added {
        added.entry(loaded.generation.clone()).or_default().push(placed(loaded));
    }
    for (of, templates) in added {
        if let Some(gallery) = gallery(&of) {
            gallery.insert(templates)?;
        }
    }
    let mut removed: BTreeMap<CollectionGeneration, Vec<Slot>> = BTreeMap::new();
    for (of, slot) in change.removed {
        removed.entry(of).or_default().push(Slot(slot));
    }
    for (of, slots) in removed {
        if let Some(gallery) = gallery(&of) {
            gallery.remove(&slots);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::gate::Gate;
    use crate::index::{FirstStage, pool};
    use crate::keys::{ReleaseSecretKey, RootKey};
    use crate::secret::{Secret, SystemEntropy};
    use crate::store::conformance::Bench;
    use crate::store::sqlite::SqliteStore;
    use crate::template::synthetic;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gallery_that_is_not_what_the_store_counts_is_filled_again() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
        let (entropy, root) = (Arc::new(SystemEntropy::new()), RootKey::new(Secret::take(&mut [1; 32])));
        let heads = folder.path().join("heads");
        let store = SqliteStore::open(folder.path(), &heads, root, clock.clone(), entropy.clone()).unwrap();
        let release_key = ReleaseSecretKey::random(&SystemEntropy::new()).unwrap();
        let _receipt = store.holder_found(Bench::founding(&release_key)).await.unwrap();
        let (keys, store) = (store.keys(), Arc::new(store));
        let pool = pool(NonZeroUsize::MIN).unwrap();
        let first_stage = FirstStage::OneBit;
        let parts = GateParts {
            store: store.clone(),
            keys,
            clock,
            entropy,
            pool,
            first_stage,
            canaries: std::collections::BTreeSet::new(),
        };
        let gate = Gate::open(parts).await.unwrap();
        let collection = gate.live.load().collections.values().next().cloned().unwrap();
        // Somebody whom no row names.
        let values = synthetic::unit(&mut synthetic::rng(1), collection.scheme.dimension.get());
        let newest = collection.newest();
        let stranger = synthetic::protected(&values, &newest.transform);
        newest.gallery.insert(vec![(Slot(9), Compartment(0), stranger)]).unwrap();
        let read = fill(store.as_ref(), newest).await.unwrap();
        assert!(read.totals.is_empty() && collection.is_empty(), "somebody is searched without a row");
    }
}
