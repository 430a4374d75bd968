//! Sealing keys of one purpose, by generation: new values are sealed under the newest, old ones open under theirs.
//!
//! A stored value begins with its generation (u32 big-endian), so that whoever holds the rows can count what lies
//! under which key without opening anything.

use std::collections::BTreeMap;

use super::seal::{Place, SEAL_OVERHEAD_BYTES, SealError, Sealed, SealingKey};
use crate::secret::{Entropy, Secret, SecretBytes};

/// The sealing keys of one purpose.
pub struct Generations {
    newest: u32,
    keys: BTreeMap<u32, SealingKey>,
}

impl Generations {
    /// The generations of a purpose; `None` without one.
    pub(super) fn new(keys: BTreeMap<u32, SealingKey>) -> Option<Self> {
        let newest = *keys.keys().next_back()?;
        Some(Self { newest, keys })
    }

    /// The generation that seals.
    #[must_use]
    pub const fn newest(&self) -> u32 {
        self.newest
    }

    /// The generation that a stored value lies under; `None` when it is too short to say.
    #[must_use]
    pub fn of_value(stored: &[u8]) -> Option<u32> {
        stored.split_first_chunk().map(|(generation, _)| u32::from_be_bytes(*generation))
    }

    /// Seals a value under the newest generation; the result is four bytes longer than [`SealingKey::seal`]'s.
    ///
    /// # Errors
    /// Those of [`SealingKey::seal`].
    pub fn seal(&self, place: Place<'_>, plain: &[u8], entropy: &dyn Entropy) -> Result<Sealed, SealError> {
        let sealed = self.key(self.newest)?.seal(place, plain, entropy)?;
        Ok(sealed.under_generation(self.newest))
    }

    /// Opens a value under the generation that it names.
    ///
    /// # Errors
    /// [`SealError::Generation`] when that one is not here, or was destroyed; those of [`SealingKey::open`].
    pub fn open(&self, place: Place<'_>, stored: &[u8]) -> Result<SecretBytes, SealError> {
        let (key, sealed) = self.split(stored)?;
        key.open(place, sealed)
    }

    /// Opens a value of exactly `N` bytes.
    ///
    /// # Errors
    /// Those of [`Generations::open`] and [`SealingKey::open_fixed`].
    pub fn open_fixed<const N: usize>(
        &self,
        place: Place<'_>,
        stored: &[u8],
    ) -> Result<Secret<N>, SealError> {
        let (key, sealed) = self.split(stored)?;
        key.open_fixed(place, sealed)
    }

    /// Seals a value anew under the newest generation; `None` when it lies under that already.
    ///
    /// # Errors
    /// Those of [`Generations::open`] and [`Generations::seal`].
    pub fn seal_again(
        &self,
        place: Place<'_>,
        stored: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Option<Sealed>, SealError> {
        if Self::of_value(stored) == Some(self.newest) {
            return Ok(None);
        }
        let plain = self.open(place, stored)?;
        self.seal(place, plain.expose(), entropy).map(Some)
    }

    fn split<'s>(&self, stored: &'s [u8]) -> Result<(&SealingKey, &'s [u8]), SealError> {
        let (generation, sealed) = stored.split_first_chunk().ok_or(SealError::Short(stored.len()))?;
        if sealed.len() < SEAL_OVERHEAD_BYTES {
            return Err(SealError::Short(sealed.len()));
        }
        Ok((self.key(u32::from_be_bytes(*generation))?, sealed))
    }

    fn key(&self, generation: u32) -> Result<&SealingKey, SealError> {
        self.keys.get(&generation).ok_or(SealError::Generation(generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    const PLACE: Place<'static> = Place { table: "t", row: b"r", column: "c", version: 1 };

    fn generations(of: &[u32]) -> Generations {
        let key = |number: &u32| {
            let byte = u8::try_from(*number).unwrap();
            (*number, SealingKey::new(&Secret::take(&mut [byte; 32])))
        };
        Generations::new(of.iter().map(key).collect()).unwrap()
    }

    #[test]
    fn old_values_open_under_their_generation_until_it_is_gone() {
        let entropy = SystemEntropy::new();
        let old = generations(&[1]).seal(PLACE, b"x", &entropy).unwrap();
        assert_eq!(Generations::of_value(old.as_bytes()), Some(1));
        let both = generations(&[1, 2]);
        assert_eq!(both.open(PLACE, old.as_bytes()).unwrap().expose(), b"x");
        let new = both.seal_again(PLACE, old.as_bytes(), &entropy).unwrap().expect("it lay under the first");
        assert_eq!(Generations::of_value(new.as_bytes()), Some(2));
        assert!(both.seal_again(PLACE, new.as_bytes(), &entropy).unwrap().is_none());
        let one = generations(&[2]);
        assert_eq!(one.open(PLACE, new.as_bytes()).unwrap().expose(), b"x");
        assert_eq!(one.open(PLACE, old.as_bytes()).err(), Some(SealError::Generation(1)));
    }

    #[test]
    fn a_value_does_not_open_under_another_generation() {
        let mut stored = generations(&[1, 2]).seal(PLACE, b"x", &SystemEntropy::new()).unwrap().into_bytes();
        stored[3] = 1;
        assert_eq!(generations(&[1, 2]).open(PLACE, &stored).err(), Some(SealError::Closed));
        for short in [&stored[..3], &stored[..32]] {
            assert!(matches!(generations(&[1, 2]).open(PLACE, short).err(), Some(SealError::Short(_))));
        }
    }

    #[test]
    fn a_purpose_without_a_key_is_none() {
        assert!(Generations::new(BTreeMap::new()).is_none());
    }
}
