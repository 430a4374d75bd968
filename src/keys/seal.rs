//! Sealing: authenticated encryption of one value for one place in the store.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize, Zeroizing};

use super::generation::Generations;
use crate::secret::{Entropy, EntropyError, Secret, SecretBytes};

/// A value that was not sealed or did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Fewer bytes than an empty sealed value has.
    #[error(
        "a sealed value has at least {SEAL_OVERHEAD_BYTES} bytes, this one has {0}; restore the row from a backup"
    )]
    Short(usize),
    /// Sealed by a version of the format that this one does not know.
    #[error(
        "sealed values of version {0} are not known; open them with the release of Onebit that wrote them"
    )]
    Version(u8),
    /// Another key, another place, or changed bytes; which of them cannot be told.
    #[error("the value does not open: it was changed, moved from another place, or sealed under another key")]
    Closed,
    /// It opened, but holds another number of bytes than what stands in this place.
    #[error("the value opened but holds {actual} bytes where {expected} stand; check what was sealed there")]
    Size {
        /// Bytes that the place holds.
        expected: usize,
        /// Bytes that were found.
        actual: usize,
    },
    /// Sealed under a generation of its key that is not here.
    #[error(
        "the value lies under generation {0} of its key, which is not here; restore the newest `keys.sqlite`"
    )]
    Generation(u32),
    /// More bytes than one AES-GCM message or one part of a place may have.
    #[error("the value or its place is too long to be sealed in one piece; split it")]
    Long,
    /// No randomness for the nonce.
    #[error("no nonce could be drawn")]
    Entropy(#[from] EntropyError),
}

/// Where a sealed value stands. It opens nowhere else: the place is AES-GCM's associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table, or whatever else holds the rows.
    pub table: &'static str,
    /// The row's primary key, in the bytes that the table uses.
    pub row: &'a [u8],
    /// The column.
    pub column: &'static str,
    /// The version of what is sealed there: an older value is not taken for a newer one.
    pub version: u32,
}

impl Place<'_> {
    /// Canonical bytes: domain, 0x00, then table, row, column, each as u32 big-endian length and bytes, then
    /// the version as u32 big-endian. Two places are equal exactly when these are.
    fn to_bytes(self) -> Result<Vec<u8>, SealError> {
        let parts = [self.table.as_bytes(), self.row, self.column.as_bytes()];
        let mut out = Vec::with_capacity(PLACE_CAPACITY_BYTES + self.row.len());
        out.extend_from_slice(PLACE_DOMAIN);
        for part in parts {
            let length = u32::try_from(part.len()).map_err(|_| SealError::Long)?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.version.to_be_bytes());
        Ok(out)
    }
}

/// A sealed value as it is stored: version byte 0x01, 12-byte nonce, ciphertext, 16-byte tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The stored bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The stored bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// With the generation of its key in front.
    pub(super) fn under_generation(self, generation: u32) -> Self {
        Self([generation.to_be_bytes().as_slice(), &self.0].concat())
    }
}

/// A data-encryption or key-wrapping key: AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces.
///
/// Limit: 2^32 seals under one key (SP 800-38D, section 8.3), where two nonces are equal with a chance of
/// about 2^-33. Not counted here: what is sealed for every query belongs under a [`DataKey`] of its day, where
/// 2^32 would be 49,000 queries a second; keys of the ring itself wrap such keys and seal contacts.
pub struct SealingKey(LessSafeKey);

impl SealingKey {
    /// The sealing key with these bytes.
    #[must_use]
    pub fn new(bytes: &Secret<KEY_BYTES>) -> Self {
        #[expect(clippy::expect_used, reason = "only another length is refused, and the type fixes it")]
        let key = UnboundKey::new(&AES_256_GCM, bytes.expose()).expect("AES-256 takes 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plain` for `place`; the result is [`SEAL_OVERHEAD_BYTES`] longer.
    ///
    /// # Errors
    /// [`SealError::Entropy`] without a nonce, [`SealError::Long`] for more than AES-GCM takes (64 GiB).
    pub fn seal(&self, place: Place<'_>, plain: &[u8], entropy: &dyn Entropy) -> Result<Sealed, SealError> {
        let place = place.to_bytes()?;
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        let mut out = Vec::with_capacity(SEAL_OVERHEAD_BYTES + plain.len());
        out.push(SEAL_VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let (_, body) = out.split_at_mut_checked(HEADER_BYTES).ok_or(SealError::Closed)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        match self.0.seal_in_place_separate_tag(nonce, Aad::from(place.as_slice()), body) {
            Ok(tag) => out.extend_from_slice(tag.as_ref()),
            Err(_) => {
                out.zeroize();
                return Err(SealError::Long);
            }
        }
        Ok(Sealed(out))
    }

    /// Opens what was sealed for `place` under this key.
    ///
    /// # Errors
    /// [`SealError::Short`] and [`SealError::Version`] for another form, [`SealError::Closed`] for another key,
    /// another place or changed bytes, [`SealError::Long`] for a place that cannot be.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretBytes, SealError> {
        if sealed.len() < SEAL_OVERHEAD_BYTES {
            return Err(SealError::Short(sealed.len()));
        }
        let place = place.to_bytes()?;
        let (header, body) =
            sealed.split_first_chunk::<HEADER_BYTES>().ok_or(SealError::Short(sealed.len()))?;
        let [version, nonce @ ..] = *header;
        if version != SEAL_VERSION {
            return Err(SealError::Version(version));
        }
        let mut buffer = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(place.as_slice()), &mut buffer);
        let length = opened.map_err(|_| SealError::Closed)?.len();
        buffer.truncate(length);
        Ok(SecretBytes::new(std::mem::take(&mut *buffer)))
    }

    /// Opens a value of exactly `N` bytes, such as a key or a seed.
    ///
    /// # Errors
    /// Those of [`SealingKey::open`], and [`SealError::Size`] when it holds another number of bytes.
    pub fn open_fixed<const N: usize>(
        &self,
        place: Place<'_>,
        sealed: &[u8],
    ) -> Result<Secret<N>, SealError> {
        let opened = self.open(place, sealed)?;
        let wrong = SealError::Size { expected: N, actual: opened.expose().len() };
        let mut bytes = Zeroizing::new(<[u8; N]>::try_from(opened.expose()).map_err(|_| wrong)?);
        Ok(Secret::take(&mut bytes))
    }
}

/// A data-encryption key of its own for a subject, a segment or a day, drawn at random and stored wrapped.
///
/// Whoever wipes the wrapped form erases all that is sealed under the key, in backups too.
pub struct DataKey {
    bytes: Secret<KEY_BYTES>,
    sealing: SealingKey,
}

impl DataKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Secret::random(entropy).map(Self::from_secret)
    }

    /// The key itself, to seal and to open with.
    #[must_use]
    pub const fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    /// Wraps the key under the newest generation of a key-wrapping key.
    ///
    /// # Errors
    /// Those of [`Generations::seal`].
    pub fn wrap(
        &self,
        kek: &Generations,
        place: Place<'_>,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        kek.seal(place, self.bytes.expose(), entropy)
    }

    /// Unwraps what [`DataKey::wrap`] made for the same place.
    ///
    /// # Errors
    /// Those of [`Generations::open_fixed`].
    pub fn unwrap(kek: &Generations, place: Place<'_>, wrapped: &[u8]) -> Result<Self, SealError> {
        kek.open_fixed(place, wrapped).map(Self::from_secret)
    }

    /// The bytes, to derive from.
    pub(super) const fn secret(&self) -> &Secret<KEY_BYTES> {
        &self.bytes
    }

    fn from_secret(bytes: Secret<KEY_BYTES>) -> Self {
        let sealing = SealingKey::new(&bytes);
        Self { bytes, sealing }
    }
}

/// Bytes that sealing adds: 1 version, 12 nonce, 16 tag.
pub const SEAL_OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

const SEAL_VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + NONCE_BYTES;
const PLACE_DOMAIN: &[u8] = b"onebit/place/v1\0";
/// Room for the domain, three lengths, the version and the usual names, so that one allocation is enough.
const PLACE_CAPACITY_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SystemEntropy;

    struct NoEntropy;

    impl Entropy for NoEntropy {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    const PLACE: Place<'static> =
        Place { table: "records", row: b"row 1", column: "family_name", version: 3 };

    fn key() -> SealingKey {
        SealingKey::new(&Secret::take(&mut [7; 32]))
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        key().seal(PLACE, plain, &SystemEntropy::new()).unwrap().into_bytes()
    }

    fn refusal<T>(result: Result<T, SealError>) -> SealError {
        result.map(drop).expect_err("this was accepted; look at what seal.rs binds")
    }

    #[test]
    fn sealed_values_open_in_their_place() {
        for plain in [&b""[..], b"D", b"Doe", &[0; 5000]] {
            let sealed = sealed(plain);
            assert_eq!(sealed.len(), plain.len() + SEAL_OVERHEAD_BYTES);
            assert_eq!(key().open(PLACE, &sealed).unwrap().expose(), plain);
        }
    }

    #[test]
    fn sealing_twice_shows_nothing_in_common() {
        let (one, two) = (sealed(b"same"), sealed(b"same"));
        assert_ne!(one.get(1..13), two.get(1..13), "nonces must be drawn afresh for each value");
        assert_ne!(one.get(13..), two.get(13..));
    }

    #[test]
    fn moved_values_stay_closed() {
        let sealed = sealed(b"Doe");
        let moved = [
            Place { table: "cases", ..PLACE },
            Place { row: b"row 2", ..PLACE },
            Place { row: b"", ..PLACE },
            Place { column: "given_name", ..PLACE },
            Place { version: 4, ..PLACE },
            // The same letters, divided otherwise.
            Place { table: "recordsr", row: b"ow 1", ..PLACE },
        ];
        for place in moved {
            assert_eq!(refusal(key().open(place, &sealed)), SealError::Closed, "opened at {place:?}");
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let other = SealingKey::new(&Secret::take(&mut [8; 32]));
        assert_eq!(refusal(other.open(PLACE, &sealed(b"Doe"))), SealError::Closed);
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = sealed(b"Doe");
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let expected = if index == 0 { SealError::Version(bad[0]) } else { SealError::Closed };
                assert_eq!(refusal(key().open(PLACE, &bad)), expected, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_and_addition_is_refused() {
        let good = sealed(b"Doe");
        for length in 0..good.len() {
            let expected =
                if length < SEAL_OVERHEAD_BYTES { SealError::Short(length) } else { SealError::Closed };
            assert_eq!(refusal(key().open(PLACE, &good[..length])), expected);
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(refusal(key().open(PLACE, &longer)), SealError::Closed);
    }

    #[test]
    fn nothing_is_sealed_without_a_nonce() {
        assert_eq!(refusal(key().seal(PLACE, b"Doe", &NoEntropy)), SealError::Entropy(EntropyError));
    }

    #[test]
    fn data_keys_come_back_from_their_place_only() {
        let entropy = SystemEntropy::new();
        let kek = Generations::new([(1, key())].into()).unwrap();
        let place = Place { table: "subject_keys", row: &[1; 16], column: "wrapped", version: 1 };
        let data = DataKey::random(&entropy).unwrap();
        let wrapped = data.wrap(&kek, place, &entropy).unwrap();

        let value = data.sealing().seal(PLACE, b"Doe", &entropy).unwrap();
        let again = DataKey::unwrap(&kek, place, wrapped.as_bytes()).unwrap();
        assert_eq!(again.sealing().open(PLACE, value.as_bytes()).unwrap().expose(), b"Doe");

        let other_row = Place { row: &[2; 16], ..place };
        assert_eq!(refusal(DataKey::unwrap(&kek, other_row, wrapped.as_bytes())), SealError::Closed);
        let seventeen = kek.seal(place, &[0; 17], &entropy).unwrap();
        let expected = SealError::Size { expected: 32, actual: 17 };
        assert_eq!(refusal(DataKey::unwrap(&kek, place, seventeen.as_bytes())), expected);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(key().open(PLACE, &bytes).is_err());
        }

        #[test]
        fn places_differ_when_any_part_does(
            one in (0..4usize, proptest::collection::vec(any::<u8>(), 0..6), 0..4usize, 0..3u32),
            two in (0..4usize, proptest::collection::vec(any::<u8>(), 0..6), 0..4usize, 0..3u32),
        ) {
            const NAMES: [&str; 4] = ["", "a", "ab", "b"];
            let place = |(table, row, column, version): &(usize, Vec<u8>, usize, u32)| {
                Place { table: NAMES[*table], row, column: NAMES[*column], version: *version }.to_bytes().unwrap()
            };
            prop_assert_eq!(one == two, place(&one) == place(&two));
        }
    }
}
