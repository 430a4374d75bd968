//! Rules, registry and galleries as they are decided by: loaded at the start and after every change.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authz::{PolicyFault, Rules};
use crate::ids::{CollectionName, Digest};
use crate::index::{Compartment, Gallery, IndexError, Slot};
use crate::matching::{Collection, Thresholds};
use crate::store::enrolment::{CollectionNew, Loaded, RestrictionSet};
use crate::store::{GalleryChange, Store, StoreError};
use crate::template::{Scheme, Transform};

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
    let mut collections = BTreeMap::new();
    let mut new = Vec::new();
    for file in rules.collections() {
        let Some(scheme) = rules.scheme(&file.scheme) else { continue };
        let scheme = scheme.scheme.clone();
        if let Some(kept) = before.and_then(|live| live.collections.get(&file.name)) {
            collections.insert(file.name.clone(), kept_under(&file.name, kept, scheme)?);
            continue;
        }
        let dimension = u16::try_from(scheme.dimension.len()).unwrap_or(u16::MAX);
        new.push(CollectionNew { name: file.name.clone(), scheme: scheme.name.clone(), dimension });
        let secret = parts.keys.transform_secret(&file.name, FIRST_GENERATION);
        let transform = Arc::new(Transform::derive(&secret, scheme.dimension));
        let gallery = Arc::new(Gallery::new(scheme.dimension, parts.pool.clone()));
        let thresholds = Arc::new(Thresholds::new(file.name.clone()));
        collections
            .insert(file.name.clone(), Arc::new(Collection { scheme, transform, gallery, thresholds }));
    }
    let fresh: Vec<CollectionName> = new.iter().map(|one| one.name.clone()).collect();
    store.collections_sync(new).await?;
    for name in fresh {
        if let Some(collection) = collections.get(&name) {
            fill(store, &name, collection).await?;
        }
    }
    let sets = sets(store).await?;
    Ok(Live { holder, rules: Arc::new(rules), registry: Arc::new(registry), collections, sets })
}

/// A gallery under rules that changed: the same templates, another calibration perhaps.
fn kept_under(
    name: &CollectionName,
    kept: &Arc<Collection>,
    scheme: Scheme,
) -> Result<Arc<Collection>, OpenError> {
    if kept.scheme == scheme {
        return Ok(Arc::clone(kept));
    }
    if kept.scheme.name != scheme.name || kept.scheme.dimension != scheme.dimension {
        return Err(OpenError::OtherScheme(name.clone()));
    }
    let (transform, gallery) = (Arc::clone(&kept.transform), Arc::clone(&kept.gallery));
    let thresholds = Arc::clone(&kept.thresholds);
    Ok(Arc::new(Collection { scheme, transform, gallery, thresholds }))
}

async fn fill(store: &dyn Store, name: &CollectionName, collection: &Collection) -> Result<(), OpenError> {
    let mut after = 0;
    loop {
        let page = store.gallery_load(name.clone(), after, LOAD_TEMPLATES).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.slot;
        collection.gallery.insert(page.into_iter().map(placed).collect()).map_err(OpenError::Index)?;
    }
}

fn placed(loaded: Loaded) -> (Slot, Compartment, crate::template::Protected) {
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
    for (name, slot, set) in change.relabelled {
        if let Some(collection) = live.collections.get(&name) {
            collection.gallery.relabel(Slot(slot), Compartment(set))?;
        }
    }
    // What is new is there before what is old goes, so that no query misses somebody who is enrolled again.
    let mut added: BTreeMap<CollectionName, Vec<_>> = BTreeMap::new();
    for loaded in change.added {
        added.entry(loaded.collection.clone()).or_default().push(placed(loaded));
    }
    for (name, templates) in added {
        if let Some(collection) = live.collections.get(&name) {
            collection.gallery.insert(templates)?;
        }
    }
    let mut removed: BTreeMap<CollectionName, Vec<Slot>> = BTreeMap::new();
    for (name, slot) in change.removed {
        removed.entry(name).or_default().push(Slot(slot));
    }
    for (name, slots) in removed {
        if let Some(collection) = live.collections.get(&name) {
            collection.gallery.remove(&slots);
        }
    }
    Ok(())
}

/// Templates that are opened and inserted at a time: some 20 MB at 512 components.
const LOAD_TEMPLATES: u32 = 8_192;
/// Renewal of a transform will count on from here.
const FIRST_GENERATION: u32 = 1;
