//! The key of a witness, in the form that other witnesses use for theirs as well (golang.org/x/mod/sumdb/note).

use data_encoding::{BASE64, HEXLOWER};
use zeroize::Zeroizing;

use crate::audit::cosignature::WitnessKey;
use crate::audit::note::{Ed25519Signer, NoteError, NoteSigner, SEED_BYTES};
use crate::secret::{Entropy, EntropyError, Secret};

/// A key that can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Text that is no key of a witness.
    #[error("this is not the private key of a witness; put back the file that `onebit witness new` made")]
    Form,
    /// A name that no witness can have.
    #[error("the witness can't have this name")]
    Name(#[source] NoteError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// The private key of a witness with its name.
pub struct SigningKey {
    seed: Secret<SEED_BYTES>,
    signer: Ed25519Signer,
    public: WitnessKey,
}

impl SigningKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`KeyError::Name`], or [`KeyError::Entropy`].
    pub fn new(name: &str, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        Self::of(name, Secret::random(entropy)?)
    }

    fn of(name: &str, seed: Secret<SEED_BYTES>) -> Result<Self, KeyError> {
        let signer = Ed25519Signer::from_seed(seed.expose());
        let public = WitnessKey::new(name, signer.public_key()).map_err(KeyError::Name)?;
        Ok(Self { seed, signer, public })
    }

    /// The verifier key, to be handed to whoever trusts this witness.
    #[must_use]
    pub const fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// The line that the witness adds at `seconds` (POSIX time) to a note of `text`.
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64) -> String {
        self.public.cosign(text, seconds, &self.signer)
    }

    /// The key as its file holds it: `PRIVATE+KEY+name+id+` and base64 of a byte 4 and the seed.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new([[ALGORITHM].as_slice(), self.seed.expose()].concat());
        let encoded = Zeroizing::new(BASE64.encode(&key));
        let (name, id) = (self.public.name(), HEXLOWER.encode(&self.public.id()));
        Zeroizing::new(format!("{PREFIX}{name}+{id}+{}\n", encoded.as_str()))
    }

    /// Reads what [`SigningKey::to_text`] wrote.
    ///
    /// # Errors
    /// [`KeyError::Form`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(KeyError::Form)?;
        let (name, rest) = rest.split_once('+').ok_or(KeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
        let key = Zeroizing::new(BASE64.decode(key.as_bytes()).map_err(|_| KeyError::Form)?);
        let Some(([ALGORITHM], seed)) = key.split_first_chunk() else { return Err(KeyError::Form) };
        let mut seed: [u8; SEED_BYTES] = seed.try_into().map_err(|_| KeyError::Form)?;
        let key = Self::of(name, Secret::take(&mut seed))?;
        if HEXLOWER.encode(&key.public.id()) == id { Ok(key) } else { Err(KeyError::Form) }
    }
}

const PREFIX: &str = "PRIVATE+KEY+";
/// Ed25519, for cosignatures.
const ALGORITHM: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    #[test]
    fn keys_go_there_and_back_and_nothing_else_is_one() {
        let key = SigningKey::new("witness.example/w1", &SystemEntropy::new()).unwrap();
        let text = key.to_text();
        let again = SigningKey::parse(&text).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(again.cosign("a\n", 1), key.cosign("a\n", 1));
        assert!(text.starts_with("PRIVATE+KEY+witness.example/w1+"));
        let form = |text: &str| matches!(SigningKey::parse(text), Err(KeyError::Form));
        assert!(form("") && form(&key.public().to_string()));
        assert!(form(&text.replacen("w1", "w2", 1)), "the id is that of name and key");
        assert!(form(text.trim_end().trim_end_matches(|_: char| true)));
        assert!(matches!(SigningKey::new("a b", &SystemEntropy::new()), Err(KeyError::Name(_))));
    }
}
