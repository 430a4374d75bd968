//! The key ring: the keys that stand directly under the root.
//!
//! Each is drawn at random and kept wrapped under the root ([`RingKey`]), so that another root means wrapping a
//! handful of keys once more, and nothing beneath them changes.

use std::collections::BTreeMap;
use std::fmt;

use ring::hkdf;
use zeroize::Zeroizing;

use super::generation::Generations;
use super::root::RootKey;
use super::seal::{Place, SealError, Sealed, SealingKey};
use super::tag::{PseudonymKey, TagKey};
use crate::secret::{Entropy, EntropyError, Secret};

/// What a sealing key is for. One key serves one purpose (NIST SP 800-57 part 1, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Wraps the data keys of subjects, which seal their templates and records.
    SubjectKeys,
    /// Wraps the keys of payloads, one for each retention class and day.
    PayloadKeys,
    /// Wraps keys that have a name, such as the seed of the log's signing key.
    NamedKeys,
    /// Seals contacts of people and partners.
    Registry,
    /// Wraps the keys of search snapshots, one for each file.
    SnapshotKeys,
    /// Wraps the keys of backups, one for each.
    BackupKeys,
    /// Wraps the keys of collections, one for each generation.
    CollectionKeys,
}

impl Purpose {
    /// Every purpose, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::SubjectKeys,
        Self::PayloadKeys,
        Self::NamedKeys,
        Self::Registry,
        Self::SnapshotKeys,
        Self::BackupKeys,
        Self::CollectionKeys,
    ];

    /// The name of its keys, in the key store and for people. Never change one: nothing sealed would open any more.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SubjectKeys => "subject-keys",
            Self::PayloadKeys => "payload-keys",
            Self::NamedKeys => "named-keys",
            Self::Registry => "registry",
            Self::SnapshotKeys => "snapshot-keys",
            Self::BackupKeys => "backup-keys",
            Self::CollectionKeys => "collection-keys",
        }
    }
}

/// A class of keys of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RingClass {
    /// Keys that seal or wrap, in generations.
    Sealing(Purpose),
    /// The key of the searchable tags.
    Tags,
    /// The key of the pseudonyms of source ids.
    Pseudonyms,
    /// What the store is known by.
    Store,
}

impl RingClass {
    /// Every class, in the order in which people are shown them.
    pub const ALL: [Self; 10] = [
        Self::Sealing(Purpose::SubjectKeys),
        Self::Sealing(Purpose::PayloadKeys),
        Self::Sealing(Purpose::NamedKeys),
        Self::Sealing(Purpose::Registry),
        Self::Sealing(Purpose::SnapshotKeys),
        Self::Sealing(Purpose::BackupKeys),
        Self::Sealing(Purpose::CollectionKeys),
        Self::Tags,
        Self::Pseudonyms,
        Self::Store,
    ];

    /// The name, in the key store and for people. Never change one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sealing(purpose) => purpose.name(),
            Self::Tags => "tags",
            Self::Pseudonyms => "pseudonyms",
            Self::Store => "store",
        }
    }

    /// The class with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl fmt::Display for RingClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A key of the ring, as it is drawn and wrapped.
pub struct RingKey {
    /// What it is for.
    pub class: RingClass,
    /// Which one of its class, counted from one.
    pub generation: u32,
    secret: Secret<32>,
}

impl RingKey {
    /// Draws a key.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn draw(class: RingClass, generation: u32, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self { class, generation, secret: Secret::random(entropy)? })
    }

    /// Wraps the key under a root, bound to the root's name, its class and its generation.
    ///
    /// # Errors
    /// Those of [`SealingKey::seal`].
    pub fn wrap(&self, root: &RootKey, entropy: &dyn Entropy) -> Result<Sealed, SealError> {
        let row = row(root, self.class, self.generation);
        wrapping(root).seal(place(&row), self.secret.expose(), entropy)
    }

    /// Unwraps what [`RingKey::wrap`] made under the same root.
    ///
    /// # Errors
    /// Those of [`SealingKey::open_fixed`].
    pub fn unwrap(
        class: RingClass,
        generation: u32,
        root: &RootKey,
        wrapped: &[u8],
    ) -> Result<Self, SealError> {
        let row = row(root, class, generation);
        let secret = wrapping(root).open_fixed(place(&row), wrapped)?;
        Ok(Self { class, generation, secret })
    }
}

/// The one key that is derived from a root: it wraps the ring.
fn wrapping(root: &RootKey) -> SealingKey {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(root.secret().expose());
    SealingKey::new(&derive(&extracted, &[INFO_PREFIX, b"ring-keys"]))
}

fn row(root: &RootKey, class: RingClass, generation: u32) -> Vec<u8> {
    [root.id().as_bytes(), generation.to_be_bytes().as_slice(), class.name().as_bytes()].concat()
}

fn place(row: &[u8]) -> Place<'_> {
    Place { table: "ring_keys", row, column: "wrapped", version: 1 }
}

/// A class without a key: the ring is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ring has no key of the class `{0}`; restore the newest `keys.sqlite`")]
pub struct RingError(pub RingClass);

/// The keys of one store. Nothing in a ring can be printed.
pub struct KeyRing {
    sealing: [Generations; 7],
    tags: TagKey,
    pseudonyms: PseudonymKey,
    key_check: [u8; KEY_CHECK_BYTES],
}

impl KeyRing {
    /// The ring of these keys, which are wiped.
    ///
    /// # Errors
    /// [`RingError`] when a class has no key.
    pub fn new(keys: Vec<RingKey>) -> Result<Self, RingError> {
        let mut sealing: [BTreeMap<u32, SealingKey>; 7] = Default::default();
        let mut single: BTreeMap<RingClass, Secret<32>> = BTreeMap::new();
        for key in keys {
            match key.class {
                RingClass::Sealing(purpose) => {
                    let mine = Purpose::ALL.into_iter().zip(&mut sealing).find(|(of, _)| *of == purpose);
                    if let Some((_, generations)) = mine {
                        generations.insert(key.generation, SealingKey::new(&key.secret));
                    }
                }
                class => drop(single.insert(class, key.secret)),
            }
        }
        let generations = |purpose: Purpose, keys: &mut BTreeMap<u32, SealingKey>| {
            Generations::new(std::mem::take(keys)).ok_or(RingError(RingClass::Sealing(purpose)))
        };
        let [subjects, payloads, named, registry, snapshots, backups, collections] = &mut sealing;
        let sealing = [
            generations(Purpose::SubjectKeys, subjects)?,
            generations(Purpose::PayloadKeys, payloads)?,
            generations(Purpose::NamedKeys, named)?,
            generations(Purpose::Registry, registry)?,
            generations(Purpose::SnapshotKeys, snapshots)?,
            generations(Purpose::BackupKeys, backups)?,
            generations(Purpose::CollectionKeys, collections)?,
        ];
        let mut take = |class: RingClass| single.remove(&class).ok_or(RingError(class));
        let store = take(RingClass::Store)?;
        let store = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, store.expose());
        Ok(Self {
            sealing,
            tags: TagKey::new(take(RingClass::Tags)?),
            pseudonyms: PseudonymKey::new(take(RingClass::Pseudonyms)?),
            key_check: *derive(&store, &[INFO_PREFIX, b"key-check"]).expose(),
        })
    }

    /// The sealing keys for a purpose.
    #[must_use]
    pub const fn sealing(&self, purpose: Purpose) -> &Generations {
        let [subjects, payloads, named, registry, snapshots, backups, collections] = &self.sealing;
        match purpose {
            Purpose::SubjectKeys => subjects,
            Purpose::PayloadKeys => payloads,
            Purpose::NamedKeys => named,
            Purpose::Registry => registry,
            Purpose::SnapshotKeys => snapshots,
            Purpose::BackupKeys => backups,
            Purpose::CollectionKeys => collections,
        }
    }

    /// The key of the searchable tags.
    #[must_use]
    pub const fn tags(&self) -> &TagKey {
        &self.tags
    }

    /// The key of the pseudonyms of source ids.
    #[must_use]
    pub const fn pseudonyms(&self) -> &PseudonymKey {
        &self.pseudonyms
    }

    /// A public value that stands in the database, so that a start with the keys of another store is refused
    /// before anything is sealed under them. It tells nothing about them, and no rotation changes it.
    #[must_use]
    pub const fn key_check(&self) -> [u8; KEY_CHECK_BYTES] {
        self.key_check
    }
}

/// HKDF-Expand (RFC 5869, section 2.3) to `N` bytes.
pub(super) fn derive<const N: usize>(key: &hkdf::Prk, info: &[&[u8]]) -> Secret<N> {
    let mut bytes = Zeroizing::new([0; N]);
    #[expect(
        clippy::expect_used,
        reason = "only more than 255 hashes are refused; here are 32 bytes at most"
    )]
    key.expand(info, Length(N)).and_then(|okm| okm.fill(bytes.as_mut_slice())).expect("HKDF gives 32 bytes");
    Secret::take(&mut bytes)
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

pub(super) const INFO_PREFIX: &[u8] = b"onebit/v1/";
const KEY_CHECK_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};

    use super::*;
    use crate::keys::Domain;
    use crate::secret::SystemEntropy;

    fn root(byte: u8) -> RootKey {
        RootKey::new(Secret::take(&mut [byte; 32]))
    }

    fn key(class: RingClass, generation: u32, byte: u8) -> RingKey {
        RingKey { class, generation, secret: Secret::take(&mut [byte; 32]) }
    }

    /// A ring whose keys are made of bytes that count up from this one.
    fn ring(first: u8) -> KeyRing {
        let keys = RingClass::ALL.into_iter().zip(first..).map(|(class, byte)| key(class, 1, byte));
        KeyRing::new(keys.collect()).unwrap()
    }

    const PLACE: Place<'static> = Place { table: "t", row: b"r", column: "c", version: 1 };

    #[test]
    fn each_purpose_has_its_own_key_and_each_store_its_own_ring() {
        let (this, again, other) = (ring(1), ring(1), ring(100));
        for sealer in Purpose::ALL {
            let sealed = this.sealing(sealer).seal(PLACE, b"x", &SystemEntropy::new()).unwrap();
            for opener in Purpose::ALL {
                let opened = again.sealing(opener).open(PLACE, sealed.as_bytes()).is_ok();
                assert_eq!(opened, sealer == opener, "sealed for {sealer:?}, opened for {opener:?}");
                assert!(
                    other.sealing(opener).open(PLACE, sealed.as_bytes()).is_err(),
                    "opened with another ring"
                );
            }
        }
    }

    #[test]
    fn another_store_is_noticed() {
        assert_eq!(ring(1).key_check(), ring(1).key_check());
        assert_ne!(ring(1).key_check(), ring(100).key_check());
    }

    #[test]
    fn a_ring_key_unwraps_under_its_root_as_what_it_is_and_not_otherwise() {
        let entropy = SystemEntropy::new();
        let class = RingClass::Sealing(Purpose::SubjectKeys);
        let wrapped = key(class, 2, 7).wrap(&root(1), &entropy).unwrap();
        let opened = RingKey::unwrap(class, 2, &root(1), wrapped.as_bytes()).unwrap();
        assert!(opened.secret.expose() == &[7; 32], "another key came back");
        for (class, generation, root) in
            [(class, 1, root(1)), (RingClass::Tags, 2, root(1)), (class, 2, root(2))]
        {
            let refused = RingKey::unwrap(class, generation, &root, wrapped.as_bytes()).err();
            assert_eq!(refused, Some(SealError::Closed), "{class}:{generation}");
        }
    }

    #[test]
    fn a_ring_that_lacks_a_class_is_none() {
        for missing in RingClass::ALL {
            let keys = RingClass::ALL.into_iter().filter(|class| *class != missing);
            let refused = KeyRing::new(keys.map(|class| key(class, 1, 1)).collect()).err();
            assert_eq!(refused, Some(RingError(missing)));
            assert_eq!(RingClass::from_name(missing.name()), Some(missing));
        }
    }

    #[test]
    fn what_was_made_with_a_ring_is_the_same_after_an_upgrade() {
        let byte = |class: RingClass| match class {
            RingClass::Sealing(_) => 9,
            RingClass::Tags => 14,
            RingClass::Pseudonyms => 15,
            RingClass::Store => 17,
        };
        let ring = KeyRing::new(RingClass::ALL.map(|class| key(class, 1, byte(class))).into()).unwrap();
        let found = [
            HEXLOWER.encode(&ring.key_check()),
            ring.tags().tag(Domain::Case, b"x").to_string(),
            HEXLOWER.encode(ring.pseudonyms().pseudonym("registry", b"x").as_bytes()),
            HEXLOWER.encode(
                RingKey::unwrap(RingClass::Tags, 1, &root(0), &BASE64.decode(WRAPPED.as_bytes()).unwrap())
                    .unwrap()
                    .secret
                    .expose(),
            ),
        ];
        assert_eq!(found, GOLDEN, "a changed derivation makes every database unreadable");
    }

    /// A key of zeros, wrapped as the first key of tags under a root of zeros with the Python package `cryptography`.
    const WRAPPED: &str =
        "AQABAgMEBQYHCAkKC2sNOiv/rhXun3oR4OSY0g8awT3BurEOdSHaGRFgg20NcKUvUI+oN0JiS6LDb6L45g==";
    /// The first was computed with HMAC-SHA256 of the Python library as well.
    const GOLDEN: [&str; 4] = [
        "9bee4eec374caecf72222598d67186ad",
        "b21e78ce0a534426eea3745e50f0d39e",
        "d6526a2d162a7ef93b60d371d16e58933a24d686b996e8d16a0b2db564659de2",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ];
}
