//! The secret of a collection in one generation, and what is derived from it.

use ring::hkdf;

use super::generation::Generations;
use super::ring::{INFO_PREFIX, derive};
use super::seal::{DataKey, Place, SealError, Sealed, SealingKey};
use crate::secret::{Entropy, EntropyError, Secret};

/// The secret of a collection in one generation (renewability, ISO/IEC 24745): drawn at random, and destroyed when the
/// collection is renewed. Its templates' transform is derived from it, and a part of the keys that seal them, so that
/// without it no copy of a template opens, and no two generations or collections can be linked.
pub struct CollectionKey {
    secret: Secret<KEY_BYTES>,
    transform: hkdf::Prk,
    sealing: hkdf::Salt,
}

impl CollectionKey {
    /// Draws a new one.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Secret::random(entropy).map(Self::new)
    }

    /// Wraps the secret under the newest generation of a key-wrapping key.
    ///
    /// # Errors
    /// Those of [`Generations::seal`].
    pub fn wrap(
        &self,
        kek: &Generations,
        place: Place<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        kek.seal(place, self.secret.expose(), entropy)
    }

    /// Unwraps what [`CollectionKey::wrap`] made for the same place.
    ///
    /// # Errors
    /// Those of [`Generations::open_fixed`].
    pub fn unwrap(kek: &Generations, place: Place<'_>, wrapped: &[u8]) -> Result<Self, SealError> {
        kek.open_fixed(place, wrapped).map(Self::new)
    }

    /// The secret of the transform of the collection's templates. The transform is not encryption: sealing is.
    #[must_use]
    pub fn transform_secret(&self) -> Secret<KEY_BYTES> {
        derive(&self.transform, &[INFO_PREFIX, b"transform"])
    }

    /// What seals the templates of the subject with this data key: HKDF-SHA256 (RFC 5869) of both, so that they open no
    /// more when either is destroyed.
    #[must_use]
    pub fn template_key(&self, subject: &DataKey) -> SealingKey {
        let extracted = self.sealing.extract(subject.secret().expose());
        SealingKey::new(&derive(&extracted, &[INFO_PREFIX, b"template"]))
    }

    fn new(secret: Secret<KEY_BYTES>) -> Self {
        let transform = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret.expose());
        let sealing = hkdf::Salt::new(hkdf::HKDF_SHA256, secret.expose());
        Self { secret, transform, sealing }
    }
}

const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use data_encoding::HEXLOWER;

    use super::*;
    use crate::secret::SystemEntropy;

    const PLACE: Place<'static> = Place { table: "t", row: b"r", column: "c", version: 1 };

    fn key(byte: u8) -> CollectionKey {
        CollectionKey::new(Secret::take(&mut [byte; 32]))
    }

    fn subject(byte: u8) -> DataKey {
        let entropy = SystemEntropy::new();
        let kek = BTreeMap::from([(1, SealingKey::new(&Secret::take(&mut [9; 32])))]);
        let kek = Generations::new(kek).unwrap();
        let wrapped = kek.seal(PLACE, &[byte; 32], &entropy).unwrap();
        DataKey::unwrap(&kek, PLACE, wrapped.as_bytes()).unwrap()
    }

    #[test]
    fn a_template_opens_with_its_subjects_key_and_its_collections_and_not_with_others() {
        let sealed = key(1).template_key(&subject(2)).seal(PLACE, b"x", &SystemEntropy::new()).unwrap();
        let opens = |collection: u8, person: u8| {
            key(collection).template_key(&subject(person)).open(PLACE, sealed.as_bytes()).is_ok()
        };
        assert!(opens(1, 2));
        assert!(!opens(2, 2) && !opens(1, 1) && !opens(2, 1));
        assert!(
            subject(2).sealing().open(PLACE, sealed.as_bytes()).is_err(),
            "the subject's key alone opens it"
        );
    }

    #[test]
    fn what_is_derived_is_the_same_after_an_upgrade() {
        let transform = HEXLOWER.encode(key(16).transform_secret().expose());
        assert_eq!(transform, TRANSFORM, "a changed derivation makes every template unreadable");
        // Sealed under the key that is derived, by the Python package `cryptography`.
        let sealed = HEXLOWER.decode(SEALED.as_bytes()).unwrap();
        let opened = key(16).template_key(&subject(17)).open(PLACE, &sealed);
        assert!(opened.is_ok_and(|plain| plain.expose() == b"template"));
    }

    /// Computed with HMAC-SHA256 of the Python library.
    const TRANSFORM: &str = "bc32c2a67746765724c6803c2ecb58db0294ccbad2b5ebe62b94c9c38d338517";
    const SEALED: &str = "01000102030405060708090a0b1e1da57dc38cd3da1acbabb565f5a507700aa576e57b2a58";
}
