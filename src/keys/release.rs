//! Sealed releases: approved fields that only the partner's key opens, and only as what they are.
//!
//! HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002,
//! one message, empty associated data. Everything that binds a release stands in HPKE's `info`, since some
//! libraries offer no associated data. The wire form is the 32-byte encapsulated key, then ciphertext and tag.
//!
//! `info` is the ASCII domain `onebit/release/v1`, 0x00, then for each part its length as u32 big-endian and its
//! bytes. In Python, with the package `cryptography`:
//!
//! ```python
//! def info(journal, approval_entry, partner, disclosure, request):
//!     parts = [journal.encode(), approval_entry.to_bytes(8, "big"), partner.encode(), disclosure, request]
//!     return b"onebit/release/v1\0" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
//!
//! suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
//! fields = suite.decrypt(wire, secret_key, info(journal, approval_entry, partner, disclosure, request))
//! ```

use std::convert::Infallible;

use data_encoding::BASE64;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::{Zeroize, Zeroizing};

use crate::ids::{Digest, DisclosureId, PartnerName};
use crate::secret::{Entropy, EntropyError, Secret, SecretBytes};

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// A release or a release key that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Bytes that are no X25519 public key, or one that any secret would fit.
    #[error("this is not a usable X25519 public key; send the 32 bytes of a key pair's public half")]
    PublicKey,
    /// Text that is no release secret key.
    #[error("this is not a release secret key; give the file that the key was written to when it was made")]
    SecretKey,
    /// A journal's name so long that the release would not be bound by it.
    #[error(
        "a journal's name has at most {JOURNAL_MAX_BYTES} bytes; use the origin that its checkpoints show"
    )]
    Journal,
    /// Fewer bytes than an empty release has.
    #[error("a sealed release has at least {RELEASE_OVERHEAD_BYTES} bytes, this one has {0}; fetch it again")]
    Short(usize),
    /// Another key, another `info`, or changed bytes; which of them cannot be told.
    #[error(
        "the release does not open: it was changed, sealed to another key, or belongs to another disclosure"
    )]
    Closed,
    /// HPKE refused to seal.
    #[error("the release could not be sealed; split it if it is larger than 64 GiB")]
    Seal,
    /// No randomness for the encapsulated key.
    #[error("no key could be drawn")]
    Entropy(#[from] EntropyError),
}

/// A partner's public key that releases are sealed to (X25519, RFC 7748).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReleasePublicKey([u8; KEY_BYTES]);

impl ReleasePublicKey {
    /// Takes the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`ReleaseError::PublicKey`] for the few points of low order (RFC 7748, section 6.1), to which nothing
    /// secret can be sealed.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Result<Self, ReleaseError> {
        let key = Self(bytes);
        // HPKE checks the shared secret, so a trial shows the order. A fixed secret is enough: clamped scalars
        // send points of low order, and no others, to zero.
        match hpke_seal(&key, &[], &[], &FixedEntropy) {
            Ok(_) => Ok(key),
            Err(_) => Err(ReleaseError::PublicKey),
        }
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// SHA-256 of the key: what a partner signs when it names the key, and what an agreement can list.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.0)
    }
}

/// A partner's secret key that opens releases. Onebit's service never holds one; the partner's tools do.
pub struct ReleaseSecretKey(Secret<KEY_BYTES>);

impl ReleaseSecretKey {
    /// Draws a new secret key.
    ///
    /// # Errors
    /// [`ReleaseError::Entropy`] when the system gives no randomness.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, ReleaseError> {
        Ok(Self(Secret::random(entropy)?))
    }

    /// The secret key with these 32 bytes.
    #[must_use]
    pub const fn new(bytes: Secret<KEY_BYTES>) -> Self {
        Self(bytes)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> ReleasePublicKey {
        ReleasePublicKey(X25519HkdfSha256::sk_to_pk(&self.private_key()).to_bytes().into())
    }

    /// The secret key as text for a file, three lines like PEM.
    #[must_use]
    pub fn to_text(&self) -> SecretBytes {
        let mut line = BASE64.encode(self.0.expose());
        let text = [TEXT_BEGIN, line.as_str(), TEXT_END, ""].join("\n");
        line.zeroize();
        SecretBytes::new(text.into_bytes())
    }

    /// Reads what [`ReleaseSecretKey::to_text`] wrote; space around lines does not count.
    ///
    /// # Errors
    /// [`ReleaseError::SecretKey`] for other texts.
    pub fn from_text(text: &str) -> Result<Self, ReleaseError> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (begin, line, end, rest) = (lines.next(), lines.next(), lines.next(), lines.next());
        if (begin, end, rest) != (Some(TEXT_BEGIN), Some(TEXT_END), None) {
            return Err(ReleaseError::SecretKey);
        }
        let decoded =
            BASE64.decode(line.unwrap_or_default().as_bytes()).map_err(|_| ReleaseError::SecretKey)?;
        let decoded = Zeroizing::new(decoded);
        let bytes = <[u8; KEY_BYTES]>::try_from(decoded.as_slice()).map_err(|_| ReleaseError::SecretKey)?;
        let mut bytes = Zeroizing::new(bytes);
        Ok(Self(Secret::take(&mut bytes)))
    }

    fn private_key(&self) -> PrivateKey {
        #[expect(clippy::expect_used, reason = "only another length is refused, and the type fixes it")]
        let key = PrivateKey::from_bytes(self.0.expose()).expect("X25519 takes 32 bytes");
        key
    }
}

/// What a release is bound to: it opens only for somebody who names all of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseInfo<'a> {
    /// The origin of the partner's journal, which names the holder too; at most 324 bytes.
    pub journal: &'a str,
    /// The index of the approval's entry in that journal.
    pub approval_entry: u64,
    /// The partner that asked.
    pub partner: &'a PartnerName,
    /// The disclosure.
    pub disclosure: DisclosureId,
    /// The digest of the request that was approved.
    pub request: Digest,
}

impl ReleaseInfo<'_> {
    /// The bytes that HPKE takes as `info`: domain, 0x00, then journal, approval entry (u64 big-endian), partner,
    /// disclosure (16 bytes) and request digest (32 bytes), each after its length as u32 big-endian.
    ///
    /// # Errors
    /// [`ReleaseError::Journal`] when the journal's name is too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        if self.journal.len() > JOURNAL_MAX_BYTES {
            return Err(ReleaseError::Journal);
        }
        let approval_entry = self.approval_entry.to_be_bytes();
        let parts: [&[u8]; 5] = [
            self.journal.as_bytes(),
            &approval_entry,
            self.partner.as_str().as_bytes(),
            self.disclosure.as_bytes(),
            self.request.as_bytes(),
        ];
        info_bytes(RELEASE_DOMAIN, &parts)
    }
}

/// Seals approved fields to a partner's key. The result is [`RELEASE_OVERHEAD_BYTES`] longer than `plain` and
/// different each time, so the caller stores it and hands out the stored bytes.
///
/// # Errors
/// [`ReleaseError::Entropy`] without randomness, [`ReleaseError::Journal`] for an info that cannot be.
pub fn seal_release(
    public: &ReleasePublicKey,
    info: &ReleaseInfo<'_>,
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, ReleaseError> {
    hpke_seal(public, &info.to_bytes()?, plain, entropy)
}

/// Opens a sealed release with the partner's secret key.
///
/// # Errors
/// [`ReleaseError::Short`] for a form that cannot be, [`ReleaseError::Closed`] for another key, another info or
/// changed bytes.
pub fn open_release(
    secret: &ReleaseSecretKey,
    info: &ReleaseInfo<'_>,
    wire: &[u8],
) -> Result<SecretBytes, ReleaseError> {
    hpke_open(secret, &info.to_bytes()?, wire)
}

/// Opens a sealed release with the partner's secret key and `info` as it came with the release, for whoever can't
/// make it again. What the release is bound to then stands in `info`, and only its domain is checked here.
///
/// # Errors
/// Those of [`open_release`]; [`ReleaseError::Closed`] also for an `info` of another domain.
pub fn open_release_with_info(
    secret: &ReleaseSecretKey,
    info: &[u8],
    wire: &[u8],
) -> Result<SecretBytes, ReleaseError> {
    match info.strip_prefix(RELEASE_DOMAIN) {
        Some([0, ..]) => hpke_open(secret, info, wire),
        _ => Err(ReleaseError::Closed),
    }
}

/// Seals a challenge to a key that a partner names as its own: who can answer with the challenge has the
/// secret key. `info` is `onebit/release-key-challenge/v1`, 0x00, then the partner and the key with their lengths.
///
/// # Errors
/// [`ReleaseError::Entropy`] without randomness.
pub fn seal_challenge(
    public: &ReleasePublicKey,
    partner: &PartnerName,
    challenge: &Secret<CHALLENGE_BYTES>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, ReleaseError> {
    hpke_seal(public, &challenge_info(public, partner)?, challenge.expose(), entropy)
}

/// Opens a challenge that was sealed to the key.
///
/// # Errors
/// Those of [`open_release`].
pub fn open_challenge(
    secret: &ReleaseSecretKey,
    partner: &PartnerName,
    wire: &[u8],
) -> Result<Secret<CHALLENGE_BYTES>, ReleaseError> {
    let opened = hpke_open(secret, &challenge_info(&secret.public_key(), partner)?, wire)?;
    let bytes = <[u8; CHALLENGE_BYTES]>::try_from(opened.expose()).map_err(|_| ReleaseError::Closed)?;
    Ok(Secret::take(&mut Zeroizing::new(bytes)))
}

fn challenge_info(public: &ReleasePublicKey, partner: &PartnerName) -> Result<Vec<u8>, ReleaseError> {
    info_bytes(CHALLENGE_DOMAIN, &[partner.as_str().as_bytes(), public.as_bytes()])
}

fn info_bytes(domain: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, ReleaseError> {
    let mut out = domain.to_vec();
    out.push(0);
    for part in parts {
        let length = u32::try_from(part.len()).map_err(|_| ReleaseError::Journal)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    Ok(out)
}

fn hpke_seal(
    public: &ReleasePublicKey,
    info: &[u8],
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, ReleaseError> {
    let public =
        <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public.0).map_err(|_| ReleaseError::PublicKey)?;
    let mut random = EntropyRng { entropy, failure: None };
    let sealed = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        info,
        plain,
        &[],
        &mut random,
    );
    if let Some(failure) = random.failure {
        return Err(failure.into());
    }
    let (encapsulated, ciphertext) = sealed.map_err(|_| ReleaseError::Seal)?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

fn hpke_open(secret: &ReleaseSecretKey, info: &[u8], wire: &[u8]) -> Result<SecretBytes, ReleaseError> {
    if wire.len() < RELEASE_OVERHEAD_BYTES {
        return Err(ReleaseError::Short(wire.len()));
    }
    let (encapsulated, ciphertext) =
        wire.split_at_checked(KEY_BYTES).ok_or(ReleaseError::Short(wire.len()))?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| ReleaseError::Closed)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret.private_key(),
        &encapsulated,
        info,
        ciphertext,
        &[],
    )
    .map(SecretBytes::new)
    .map_err(|_| ReleaseError::Closed)
}

/// Our entropy as the generator that hpke asks for, which may not fail. A failure is kept instead, and whatever
/// was made meanwhile is thrown away.
struct EntropyRng<'a> {
    entropy: &'a dyn Entropy,
    failure: Option<EntropyError>,
}

impl TryRng for EntropyRng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        if let Err(failure) = self.entropy.fill(bytes) {
            self.failure = Some(failure);
        }
        Ok(())
    }
}

impl TryCryptoRng for EntropyRng<'_> {}

/// For the trial of a public key only; nothing that is made with it leaves this file.
struct FixedEntropy;

impl Entropy for FixedEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(1);
        Ok(())
    }
}

/// Bytes that sealing adds: 32 encapsulated key, 16 tag.
pub const RELEASE_OVERHEAD_BYTES: usize = KEY_BYTES + TAG_BYTES;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const CHALLENGE_BYTES: usize = 32;
/// A host name of 253 characters (RFC 1035, section 2.3.4), `/onebit/`, a partner's name of 63. There must be some
/// limit: hpke panics at 2^16 bytes of info.
const JOURNAL_MAX_BYTES: usize = 253 + 8 + 63;
const RELEASE_DOMAIN: &[u8] = b"onebit/release/v1";
const CHALLENGE_DOMAIN: &[u8] = b"onebit/release-key-challenge/v1";
const TEXT_BEGIN: &str = "-----BEGIN ONEBIT RELEASE SECRET KEY-----";
const TEXT_END: &str = "-----END ONEBIT RELEASE SECRET KEY-----";

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;
    use crate::secret::SystemEntropy;

    struct NoEntropy;

    impl Entropy for NoEntropy {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    fn secret() -> ReleaseSecretKey {
        let mut bytes = [0; 32];
        for (number, byte) in (1..).zip(&mut bytes) {
            *byte = number;
        }
        ReleaseSecretKey::new(Secret::take(&mut bytes))
    }

    fn partner() -> PartnerName {
        PartnerName::parse("au-border").unwrap()
    }

    fn info(partner: &PartnerName) -> ReleaseInfo<'_> {
        ReleaseInfo {
            journal: "immigration.example/onebit/au-border",
            approval_entry: 42,
            partner,
            disclosure: DisclosureId::from_bytes([0xd1; 16]),
            request: Digest::from_bytes([0x5e; 32]),
        }
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        seal_release(&secret().public_key(), &info(&partner()), plain, &SystemEntropy::new()).unwrap()
    }

    fn refusal<T>(result: Result<T, ReleaseError>) -> ReleaseError {
        result.map(drop).expect_err("this was accepted; look at what release.rs binds")
    }

    #[test]
    fn releases_of_another_implementation_open() {
        // Made with the Python package `cryptography` 48 (OpenSSL) as the module's text shows.
        let public = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
        let wire = "3a67b50097e735fa185abd9815b520495a0de8dd46f6a992af8a68e358bdad107b024bf85863152c6a1d\
                    a0d1aec331d0ebe93718d019fd1e76375c7c1e2b6c";
        let wire = HEXLOWER.decode(wire.as_bytes()).unwrap();
        assert_eq!(HEXLOWER.encode(secret().public_key().as_bytes()), public);
        let opened = open_release(&secret(), &info(&partner()), &wire).map_err(|e| e.to_string()).unwrap();
        assert_eq!(opened.expose(), b"family_name=Doe");
    }

    #[test]
    fn releases_open_with_their_key_and_info() {
        for plain in [&b""[..], b"family_name=Doe", &[1; 4000]] {
            let wire = sealed(plain);
            assert_eq!(wire.len(), plain.len() + RELEASE_OVERHEAD_BYTES);
            assert_eq!(open_release(&secret(), &info(&partner()), &wire).unwrap().expose(), plain);
        }
        assert_ne!(sealed(b"same"), sealed(b"same"), "each release needs a fresh encapsulated key");
        let other = ReleaseSecretKey::random(&SystemEntropy::new()).unwrap();
        assert_eq!(refusal(open_release(&other, &info(&partner()), &sealed(b"x"))), ReleaseError::Closed);
    }

    #[test]
    fn every_part_of_the_info_binds() {
        let (this, other) = (partner(), PartnerName::parse("nz-police").unwrap());
        let good = info(&this);
        let changed = [
            ReleaseInfo { journal: "immigration.example/onebit/nz-police", ..good },
            ReleaseInfo { approval_entry: 43, ..good },
            ReleaseInfo { partner: &other, ..good },
            ReleaseInfo { disclosure: DisclosureId::from_bytes([0xd2; 16]), ..good },
            ReleaseInfo { request: Digest::from_bytes([0x5f; 32]), ..good },
        ];
        let wire = sealed(b"family_name=Doe");
        for info in changed {
            assert_eq!(refusal(open_release(&secret(), &info, &wire)), ReleaseError::Closed, "{info:?}");
        }
        let long = "j".repeat(JOURNAL_MAX_BYTES + 1);
        assert_eq!(refusal(ReleaseInfo { journal: &long, ..good }.to_bytes()), ReleaseError::Journal);
    }

    #[test]
    fn releases_open_with_the_info_that_came_with_them() {
        let (secret, info) = (secret(), info(&partner()).to_bytes().unwrap());
        let wire = sealed(b"family_name=Doe");
        assert_eq!(open_release_with_info(&secret, &info, &wire).unwrap().expose(), b"family_name=Doe");
        let challenge = Secret::random(&SystemEntropy::new()).unwrap();
        let public = secret.public_key();
        let wire = seal_challenge(&public, &partner(), &challenge, &SystemEntropy::new()).unwrap();
        let other = challenge_info(&public, &partner()).unwrap();
        let refused = refusal(open_release_with_info(&secret, &other, &wire));
        assert_eq!(refused, ReleaseError::Closed, "a challenge must not open as a release");
    }

    #[test]
    fn every_truncation_is_refused() {
        let wire = sealed(b"Doe");
        for length in 0..wire.len() {
            let expected = if length < RELEASE_OVERHEAD_BYTES {
                ReleaseError::Short(length)
            } else {
                ReleaseError::Closed
            };
            assert_eq!(refusal(open_release(&secret(), &info(&partner()), &wire[..length])), expected);
        }
    }

    #[test]
    fn nothing_is_sealed_without_randomness_or_to_a_key_that_everybody_has() {
        let public = secret().public_key();
        let failed = seal_release(&public, &info(&partner()), b"x", &NoEntropy);
        assert_eq!(refusal(failed), ReleaseError::Entropy(EntropyError));
        // RFC 7748, section 6.1: points of low order, among them 0, 1 and one of order eight.
        let eight = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
        let eight = HEXLOWER.decode(eight.as_bytes()).unwrap().try_into().unwrap();
        let mut one = [0; 32];
        one[0] = 1;
        for low in [[0; 32], one, eight] {
            assert_eq!(refusal(ReleasePublicKey::from_bytes(low)), ReleaseError::PublicKey);
        }
        assert_eq!(ReleasePublicKey::from_bytes(*public.as_bytes()), Ok(public));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        // X25519 ignores the highest bit of a point, but HPKE binds the bytes as they were sent.
        let good = sealed(b"Doe");
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let refused = refusal(open_release(&secret(), &info(&partner()), &bad));
                assert_eq!(refused, ReleaseError::Closed, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn secret_keys_go_to_text_and_back() {
        let text = String::from_utf8(secret().to_text().expose().to_vec()).unwrap();
        let again = ReleaseSecretKey::from_text(&text.replace('\n', "\r\n")).unwrap();
        assert_eq!(again.public_key(), secret().public_key());
        let line = text.lines().nth(1).unwrap();
        for bad in ["", line, &text.replace(line, ""), &text.replace(line, "AAAA"), &format!("{text}{text}")]
        {
            assert_eq!(refusal(ReleaseSecretKey::from_text(bad)), ReleaseError::SecretKey, "{bad}");
        }
    }

    #[test]
    fn challenges_are_answered_by_the_key_they_were_sealed_to() {
        let entropy = SystemEntropy::new();
        let public = secret().public_key();
        let wire = seal_challenge(&public, &partner(), &Secret::take(&mut [9; 32]), &entropy).unwrap();
        assert_eq!(open_challenge(&secret(), &partner(), &wire).unwrap().expose(), &[9; 32]);
        let other = PartnerName::parse("nz-police").unwrap();
        assert_eq!(refusal(open_challenge(&secret(), &other, &wire)), ReleaseError::Closed);
        assert_eq!(refusal(open_release(&secret(), &info(&partner()), &wire)), ReleaseError::Closed);
    }

    proptest! {
        #[test]
        fn flipped_bytes_are_refused(
            plain in proptest::collection::vec(any::<u8>(), 0..40),
            index in any::<prop::sample::Index>(),
            flip in 1..=255u8,
        ) {
            let mut wire = sealed(&plain);
            let index = index.index(wire.len());
            wire[index] ^= flip;
            prop_assert_eq!(refusal(open_release(&secret(), &info(&partner()), &wire)), ReleaseError::Closed);
        }

        #[test]
        fn arbitrary_bytes_never_open(wire in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open_release(&secret(), &info(&partner()), &wire).is_err());
        }
    }
}
