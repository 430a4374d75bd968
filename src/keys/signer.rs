//! The log's signing key.

use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::secret::{Entropy, EntropyError, Secret};

/// The private signature key of the log: Ed25519 (RFC 8032), one for all journals of a holder.
///
/// Its seed is kept wrapped under [`super::Purpose::NamedKeys`]. Whoever has it can sign another history; the
/// witnesses, and the partners who keep checkpoints, are what notices.
pub struct LogSigner(Ed25519KeyPair);

impl LogSigner {
    /// The signer with this seed.
    #[must_use]
    pub fn from_seed(seed: &Secret<SEED_BYTES>) -> Self {
        #[expect(clippy::expect_used, reason = "only another length is refused, and the type fixes it")]
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("Ed25519 takes 32 bytes");
        Self(pair)
    }

    /// Draws a new seed; gives the signer and the seed, to be wrapped and stored.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn generate(entropy: &dyn Entropy) -> Result<(Self, Secret<SEED_BYTES>), EntropyError> {
        let seed = Secret::random(entropy)?;
        Ok((Self::from_seed(&seed), seed))
    }

    /// Signs a message, such as the text of a checkpoint.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        copied(self.0.sign(message).as_ref())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_BYTES] {
        copied(self.0.public_key().as_ref())
    }
}

/// Copies what ring gives as a slice; its lengths are fixed by RFC 8032.
fn copied<const N: usize>(bytes: &[u8]) -> [u8; N] {
    debug_assert_eq!(bytes.len(), N, "look at what ring gives for Ed25519");
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

const SEED_BYTES: usize = 32;
const PUBLIC_KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::secret::SystemEntropy;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 8032, section 7.1, test 2.
        let seed =
            HEXLOWER.decode(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let signer = LogSigner::from_seed(&Secret::take(&mut seed.try_into().unwrap()));
        assert_eq!(
            HEXLOWER.encode(&signer.public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            HEXLOWER.encode(&signer.sign(&[0x72])),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    #[test]
    fn a_stored_seed_gives_the_same_signer() {
        let (signer, seed) = LogSigner::generate(&SystemEntropy::new()).unwrap();
        let again = LogSigner::from_seed(&seed);
        assert_eq!(again.public_key(), signer.public_key());
        let signature = again.sign(b"checkpoint");
        UnparsedPublicKey::new(&ED25519, signer.public_key()).verify(b"checkpoint", &signature).unwrap();
    }
}
