//! The people of a collection as its templates give them back: whoever holds the keys of a store can turn them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::fault::CliError;
use super::super::keys::Stopped;
use super::super::synth::People;
use super::ReportArgs;
use super::input::{Input, MATE_COSINE, Origin};
use crate::authz::Rules;
use crate::clock::SystemClock;
use crate::ids::{CollectionName, SubjectId};
use crate::secret::SystemEntropy;
use crate::store::enrolment::{CollectionGeneration, CollectionNew};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use crate::template::protection::Population;
use crate::template::{Scheme, Transform};

/// Enters that the collection is measured, and reads the first people of it.
pub(super) fn read(args: &ReportArgs, name: &str) -> Result<Input, CliError> {
    let collection: CollectionName =
        name.parse().map_err(|error| CliError::because("--collection", error))?;
    let config = args.config.as_deref().ok_or_else(|| CliError::Usage("give --config".to_owned()))?;
    let because = args.because.as_deref().map(str::trim).filter(|because| !because.is_empty());
    let because =
        because.ok_or_else(|| CliError::Usage("give the reason in words: `--because \"…\"`".to_owned()))?;
    let stopped = Stopped::open(config)?;
    let (folder, heads) = (&stopped.config.store_folder, &stopped.config.heads_folder);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let failed = |error: StoreError| CliError::because("the collection can't be read", error);
    let store = SqliteStore::open(folder, heads, stopped.root.duplicate(), clock, entropy).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let runtime = runtime.map_err(|error| CliError::because("no thread can be started", error))?;
    let (scheme, population) = runtime.block_on(people(&store, collection, args.people, because))?;
    drop(runtime);
    let mut input = Input {
        population,
        origin: Origin::Collection {
            name: name.to_owned(),
            scheme: scheme.name.as_str().to_owned(),
            made_up_mates: false,
        },
    };
    if let Origin::Collection { made_up_mates, .. } = &mut input.origin
        && !input.population.has_mates()
    {
        *made_up_mates = true;
        let directions = People::new(args.seed, scheme.dimension.len());
        input
            .population
            .add_mates(MATE_COSINE, |person| directions.embedding(u64::try_from(person).unwrap_or(u64::MAX)));
    }
    Ok(input)
}

async fn people(
    store: &SqliteStore,
    collection: CollectionName,
    most: u64,
    because: &str,
) -> Result<(Scheme, Population), CliError> {
    let failed = |error: StoreError| CliError::because("the collection can't be read", error);
    let holder = store.holder_get().await.map_err(failed)?;
    let holder = holder.ok_or_else(|| CliError::Found("the store is not founded".to_owned()))?;
    let bundle = store.policy_get(holder.policy).await.map_err(failed)?;
    let rules = bundle.and_then(|bundle| Rules::load(bundle).ok());
    let rules = rules.ok_or_else(|| CliError::Found("the active rules do not hold".to_owned()))?;
    let scheme = rules.collection(&collection).and_then(|file| rules.scheme(&file.scheme));
    let scheme = scheme.map(|file| file.scheme.clone());
    let scheme = scheme.ok_or_else(|| {
        CliError::Usage(format!("--collection: the active rules have no collection `{collection}`"))
    })?;
    store.collection_measured(&collection, because).await.map_err(failed)?;
    let transforms = transforms(store, &collection, &scheme).await.map_err(failed)?;
    let mut population = Population::new(scheme.dimension);
    let mut numbers: BTreeMap<SubjectId, usize> = BTreeMap::new();
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut after = 0;
    loop {
        let page = store.gallery_load(collection.clone(), after, PAGE_TEMPLATES).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        after = last.slot;
        let slots = page.iter().map(|loaded| loaded.slot).collect();
        let subjects = store.slot_subject(slots).await.map_err(failed)?;
        for (loaded, subject) in page.iter().zip(subjects) {
            let (Some(subject), Some(transform)) = (subject, transforms.get(&loaded.generation)) else {
                continue;
            };
            let next = numbers.len();
            if next >= most && !numbers.contains_key(&subject) {
                continue;
            }
            let person = *numbers.entry(subject).or_insert(next);
            let added = population.add_protected(person, &loaded.template, transform);
            added.map_err(|error| CliError::because("a template can't be turned back", error))?;
        }
    }
    Ok((scheme, population))
}

async fn transforms(
    store: &SqliteStore,
    collection: &CollectionName,
    scheme: &Scheme,
) -> Result<BTreeMap<CollectionGeneration, Transform>, StoreError> {
    let dimension = u16::try_from(scheme.dimension.len()).unwrap_or(u16::MAX);
    let known = CollectionNew { name: collection.clone(), scheme: scheme.name.clone(), dimension };
    let found = store.collections_sync(vec![known]).await?.into_iter().flat_map(|found| found.generations);
    Ok(found.map(|(of, secret)| (of, Transform::derive(&secret, scheme.dimension))).collect())
}

/// Some megabytes.
const PAGE_TEMPLATES: u32 = 4_096;
