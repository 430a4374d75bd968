//! The key that signs webhooks.

use data_encoding::BASE64;

use super::LogSigner;
use crate::secret::{Entropy, EntropyError, Secret};

/// The private signature key of notices to systems: Ed25519, by the asymmetric scheme of Standard Webhooks (`v1a`).
///
/// A key of its own, so that nothing which is signed for a webhook could be taken for a checkpoint. Receivers need its
/// public half alone, so that no secret is handed to anybody.
pub struct NoticeSigner(LogSigner);

impl NoticeSigner {
    /// The signer with this seed.
    #[must_use]
    pub fn from_seed(seed: &Secret<32>) -> Self {
        Self(LogSigner::from_seed(seed))
    }

    /// Draws a new seed; gives the signer and the seed, to be wrapped and stored.
    ///
    /// # Errors
    /// [`EntropyError`] when the system gives no randomness.
    pub fn generate(entropy: &dyn Entropy) -> Result<(Self, Secret<32>), EntropyError> {
        LogSigner::generate(entropy).map(|(signer, seed)| (Self(signer), seed))
    }

    /// The header `webhook-signature` over a message's id, its time in seconds and its body.
    #[must_use]
    pub fn header(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        format!("v1a,{}", BASE64.encode(&self.0.sign(&signed)))
    }

    /// The public half as receivers keep it.
    #[must_use]
    pub fn public_text(&self) -> String {
        format!("whpk_{}", BASE64.encode(&self.0.public_key()))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::secret::SystemEntropy;

    #[test]
    fn a_header_holds_over_id_time_and_body_alone() {
        let (signer, _) = NoticeSigner::generate(&SystemEntropy::new()).unwrap();
        let public = BASE64.decode(signer.public_text().strip_prefix("whpk_").unwrap().as_bytes()).unwrap();
        let header = signer.header("msg_1", 7, b"{}");
        let signature = BASE64.decode(header.strip_prefix("v1a,").unwrap().as_bytes()).unwrap();
        let holds =
            |signed: &[u8]| UnparsedPublicKey::new(&ED25519, &public).verify(signed, &signature).is_ok();
        assert!(holds(b"msg_1.7.{}"));
        for other in [&b"msg_1.8.{}"[..], b"msg_2.7.{}", b"msg_1.7.[]"] {
            assert!(!holds(other));
        }
    }
}
