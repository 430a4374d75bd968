//! A holder's store as its own root key opens it, for tests that must know what lies there sealed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use onebit::authz::Rules;
use onebit::clock::SystemClock;
use onebit::ids::CollectionName;
use onebit::keys::RootFile;
use onebit::secret::{SecretBytes, SystemEntropy};
use onebit::store::Store;
use onebit::store::enrolment::CollectionNew;
use onebit::store::sqlite::SqliteStore;
use onebit::template::{Scheme, Transform};

use crate::holder::Holder;

/// The store of a holder whose server is stopped.
pub(crate) fn open_store(holder: &Holder) -> SqliteStore {
    let config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    let file = |key: &str| -> PathBuf { holder.path(config["root_key"][key].as_str().unwrap()) };
    let passphrase = SecretBytes::new(fs::read(file("passphrase_file")).unwrap());
    let root = RootFile::open(&fs::read_to_string(file("file")).unwrap(), &passphrase).unwrap();
    SqliteStore::open(
        &holder.store_folder(),
        &holder.heads_folder(),
        root,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy::new()),
    )
    .unwrap()
}

/// The scheme of a collection, and the transform that protects its templates.
pub(crate) async fn protection(store: &SqliteStore, collection: &CollectionName) -> (Scheme, Transform) {
    let facts = store.holder_get().await.unwrap().unwrap();
    let rules = Rules::load(store.policy_get(facts.policy).await.unwrap().unwrap()).unwrap();
    let scheme = rules.scheme(&rules.collection(collection).unwrap().scheme).unwrap().scheme.clone();
    let dimension = u16::try_from(scheme.dimension.len()).unwrap();
    let asked = CollectionNew { name: collection.clone(), scheme: scheme.name.clone(), dimension };
    let mut found = store.collections_sync(vec![asked]).await.unwrap();
    let (_, secret) = found.remove(0).generations.pop().unwrap();
    let transform = Transform::derive(&secret, scheme.dimension);
    (scheme, transform)
}
