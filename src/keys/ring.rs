//! The key ring: every key that is derived from the root.

use ring::hkdf;
use zeroize::Zeroizing;

use super::root::RootKey;
use super::seal::SealingKey;
use super::tag::{PseudonymKey, TagKey};
use crate::ids::CollectionName;
use crate::secret::Secret;

/// What a sealing key is for. One key serves one purpose (NIST SP 800-57 part 1, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
}

impl Purpose {
    /// Every purpose, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::SubjectKeys,
        Self::PayloadKeys,
        Self::NamedKeys,
        Self::Registry,
        Self::SnapshotKeys,
        Self::BackupKeys,
    ];

    /// The name that the key is derived with. Never change one: nothing sealed would open any more.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SubjectKeys => "subject-keys",
            Self::PayloadKeys => "payload-keys",
            Self::NamedKeys => "named-keys",
            Self::Registry => "registry",
            Self::SnapshotKeys => "snapshot-keys",
            Self::BackupKeys => "backup-keys",
        }
    }
}

/// The keys derived from one root: HKDF-SHA256 (RFC 5869) without salt, `info` = `onebit/v1/<purpose>`.
///
/// The root itself is wiped once the ring is made. Nothing in a ring can be printed.
pub struct KeyRing {
    subject_keys: SealingKey,
    payload_keys: SealingKey,
    named_keys: SealingKey,
    registry: SealingKey,
    snapshot_keys: SealingKey,
    backup_keys: SealingKey,
    tags: TagKey,
    pseudonyms: PseudonymKey,
    transforms: Secret<32>,
    key_check: [u8; KEY_CHECK_BYTES],
}

impl KeyRing {
    /// Derives the ring and wipes the root.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "the root is wiped here, so nobody may keep it")]
    pub fn new(root: RootKey) -> Self {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(root.secret().expose());
        let derived = |name: &str| derive(&extracted, &[INFO_PREFIX, name.as_bytes()]);
        let sealing = |purpose: Purpose| SealingKey::new(&derived(purpose.name()));
        Self {
            subject_keys: sealing(Purpose::SubjectKeys),
            payload_keys: sealing(Purpose::PayloadKeys),
            named_keys: sealing(Purpose::NamedKeys),
            registry: sealing(Purpose::Registry),
            snapshot_keys: sealing(Purpose::SnapshotKeys),
            backup_keys: sealing(Purpose::BackupKeys),
            tags: TagKey::new(derived("tags")),
            pseudonyms: PseudonymKey::new(derived("pseudonyms")),
            transforms: derived("transforms"),
            key_check: *derive(&extracted, &[INFO_PREFIX, b"key-check"]).expose(),
        }
    }

    /// The sealing key for a purpose.
    #[must_use]
    pub const fn sealing(&self, purpose: Purpose) -> &SealingKey {
        match purpose {
            Purpose::SubjectKeys => &self.subject_keys,
            Purpose::PayloadKeys => &self.payload_keys,
            Purpose::NamedKeys => &self.named_keys,
            Purpose::Registry => &self.registry,
            Purpose::SnapshotKeys => &self.snapshot_keys,
            Purpose::BackupKeys => &self.backup_keys,
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

    /// The secret of a collection's protecting transform in one of its generations. Raising the generation
    /// renews every template of the collection (renewability, ISO/IEC 24745); templates of two collections
    /// cannot be linked (unlinkability). The transform is not encryption: sealing is.
    #[must_use]
    pub fn transform_secret(&self, collection: &CollectionName, generation: u32) -> Secret<32> {
        // A name holds no `/` and the number is the last part, so that no two pairs read alike.
        let tail = format!("transform/{collection}/{generation}");
        let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.transforms.expose());
        derive(&key, &[INFO_PREFIX, tail.as_bytes()])
    }

    /// A public value that stands in the database, so that a start with another root is refused before
    /// anything is sealed under it. It tells nothing about the root.
    #[must_use]
    pub const fn key_check(&self) -> [u8; KEY_CHECK_BYTES] {
        self.key_check
    }
}

/// HKDF-Expand (RFC 5869, section 2.3) to `N` bytes.
fn derive<const N: usize>(key: &hkdf::Prk, info: &[&[u8]]) -> Secret<N> {
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

const INFO_PREFIX: &[u8] = b"onebit/v1/";
const KEY_CHECK_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use data_encoding::HEXLOWER;

    use super::*;
    use crate::keys::{Domain, Place};
    use crate::secret::SystemEntropy;

    fn ring(byte: u8) -> KeyRing {
        KeyRing::new(RootKey::new(Secret::take(&mut [byte; 32])))
    }

    const PLACE: Place<'static> = Place { table: "t", row: b"r", column: "c", version: 1 };

    #[test]
    fn each_purpose_has_its_own_key_and_each_root_its_own_ring() {
        let (this, again, other) = (ring(1), ring(1), ring(2));
        for sealer in Purpose::ALL {
            let sealed = this.sealing(sealer).seal(PLACE, b"x", &SystemEntropy::new()).unwrap();
            for opener in Purpose::ALL {
                let opened = again.sealing(opener).open(PLACE, sealed.as_bytes()).is_ok();
                assert_eq!(opened, sealer == opener, "sealed for {sealer:?}, opened for {opener:?}");
                assert!(
                    other.sealing(opener).open(PLACE, sealed.as_bytes()).is_err(),
                    "opened with another root"
                );
            }
        }
    }

    #[test]
    fn another_root_is_noticed() {
        assert_eq!(ring(1).key_check(), ring(1).key_check());
        assert_ne!(ring(1).key_check(), ring(2).key_check());
    }

    #[test]
    fn transforms_differ_by_collection_generation_and_root() {
        let mut seen = HashSet::new();
        for root in [1, 2] {
            for name in ["faces", "faces1", "voices"] {
                for generation in [1, 2, 11, 12] {
                    let name = CollectionName::parse(name).unwrap();
                    seen.insert(*ring(root).transform_secret(&name, generation).expose());
                }
            }
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn derived_keys_are_the_same_after_an_upgrade() {
        let ring = ring(9);
        let faces = CollectionName::parse("faces").unwrap();
        let found = [
            HEXLOWER.encode(&ring.key_check()),
            HEXLOWER.encode(ring.transform_secret(&faces, 1).expose()),
            ring.tags().tag(Domain::Case, b"x").to_string(),
            HEXLOWER.encode(ring.pseudonyms().pseudonym("registry", b"x").as_bytes()),
        ];
        assert_eq!(found, GOLDEN, "a changed derivation makes every database unreadable");
    }

    /// The first two were computed with HMAC-SHA256 of the Python library as well.
    const GOLDEN: [&str; 4] = [
        "bfca1009188d6400e5d01969cd41d78b",
        "d8f57de2b7386deeca23f8b97b444591d89e5c1fb2cdd83905e7ab7d8e6b0938",
        "4fada85d09895c956aa01188db0db3f6",
        "710cf612b1c91f331b8c192369a0e57d5fc3077b5ae57ade12e1bc26439f9167",
    ];
}
