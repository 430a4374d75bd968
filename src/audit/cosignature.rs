//! Cosignatures: what a witness adds to a checkpoint, as C2SP tlog-cosignature specifies for Ed25519
//! (<https://c2sp.org/tlog-cosignature>).
//!
//! A cosignature says: at this time, the largest consistent tree of this log that I have seen is the one of
//! this checkpoint. It stands in the note as one more signature line, of a key of type 4.

use std::fmt;
use std::str::FromStr;

use ring::signature::{ED25519, UnparsedPublicKey};

use super::note::{
    KEY_ID_BYTES, NoteError, NoteSigner, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, check_key_name, key_id, key_text,
    parse_key, parts, signature_line,
};

/// The public half of a witness, with the name that it cosigns under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; KEY_ID_BYTES],
    public_key: [u8; PUBLIC_KEY_BYTES],
}

impl WitnessKey {
    /// The verifier of Ed25519 cosignatures that are made under `name`.
    ///
    /// # Errors
    /// [`NoteError::Name`] when `name` is empty or holds spaces, control characters or `+`.
    pub fn new(name: &str, public_key: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, NoteError> {
        check_key_name(name)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, ALGORITHM_COSIGNATURE, &public_key), public_key })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, line feed, algorithm and key.
    #[must_use]
    pub const fn id(&self) -> [u8; KEY_ID_BYTES] {
        self.id
    }

    /// The Ed25519 public key. What is signed does not name the witness, so two witnesses with one key are one.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public_key
    }

    /// The line that `signer`, whose public half this is, adds at `seconds` (POSIX time) to a note of `text`.
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64, signer: &dyn NoteSigner) -> String {
        let signature = signer.sign(message(text, seconds).as_bytes());
        signature_line(&self.name, self.id, &[seconds.to_be_bytes().as_slice(), &signature].concat())
    }

    /// The line of a cosignature under this key, as it stands in a note.
    #[must_use]
    pub fn line(&self, cosignature: &Cosignature) -> String {
        let signature = [cosignature.seconds.to_be_bytes().as_slice(), &cosignature.signature].concat();
        signature_line(&self.name, self.id, &signature)
    }

    /// The newest cosignature of this witness on a note; `None` when there is none. Nothing is said about the
    /// log's own signature.
    ///
    /// # Errors
    /// [`NoteError`] when the note is not in its form, or a cosignature by this name and id does not hold.
    pub fn on(&self, note: &str) -> Result<Option<Cosignature>, NoteError> {
        let (text, lines) = parts(note)?;
        let mut newest: Option<Cosignature> = None;
        for line in lines.iter().filter(|line| line.name == self.name && line.id == self.id) {
            let cosignature = self.verified(text, &line.signature);
            let cosignature = cosignature.ok_or_else(|| NoteError::Signature(self.name.clone()))?;
            if newest.as_ref().is_none_or(|known| known.seconds < cosignature.seconds) {
                newest = Some(cosignature);
            }
        }
        Ok(newest)
    }

    fn verified(&self, text: &str, bytes: &[u8]) -> Option<Cosignature> {
        let (seconds, signature) = bytes.split_first_chunk()?;
        let (seconds, signature) = (u64::from_be_bytes(*seconds), signature.try_into().ok()?);
        let cosignature = Cosignature { seconds, signature };
        let key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        let holds = key.verify(message(text, seconds).as_bytes(), &cosignature.signature).is_ok();
        (holds && seconds <= SECONDS_MAX).then_some(cosignature)
    }
}

impl FromStr for WitnessKey {
    type Err = NoteError;

    /// Parses `name+id+key`: eight hexadecimal digits, then base64 of a byte 4 and the key.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, public_key) = parse_key(text, ALGORITHM_COSIGNATURE)?;
        Self::new(name, public_key)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&key_text(&self.name, ALGORITHM_COSIGNATURE, &self.public_key))
    }
}

/// A cosignature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made, in seconds of POSIX time.
    pub seconds: u64,
    /// The Ed25519 signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

/// Which of these witnesses cosigned a note: their names, in the order given. One key counts once, under
/// whatever names it is given; cosignatures of others are passed over.
///
/// # Errors
/// [`NoteError`] when the note is not in its form, or a cosignature of one of the witnesses does not hold.
pub fn cosigners<'a>(note: &str, witnesses: &'a [WitnessKey]) -> Result<Vec<&'a str>, NoteError> {
    let mut counted = Vec::new();
    let mut names = Vec::new();
    for witness in witnesses {
        if witness.on(note)?.is_some() && !counted.contains(&witness.public_key) {
            counted.push(witness.public_key);
            names.push(witness.name.as_str());
        }
    }
    Ok(names)
}

/// What is signed.
fn message(text: &str, seconds: u64) -> String {
    format!("{HEADER}\ntime {seconds}\n{text}")
}

/// The signature type of C2SP tlog-cosignature for Ed25519.
const ALGORITHM_COSIGNATURE: u8 = 4;
const HEADER: &str = "cosignature/v1";
/// As the specification says.
const SECONDS_MAX: u64 = u64::MAX / 2;

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};
    use proptest::prelude::*;

    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::note::{Ed25519Signer, VerifierKey, open_note};
    use crate::audit::tree::Hash;
    use crate::ids::Digest;

    const ORIGIN: &str = "immigration.example/onebit/holder";

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn witness(name: &str, seed: u8) -> WitnessKey {
        WitnessKey::new(name, signer(seed).public_key()).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: ORIGIN.to_owned(), size: 9, root: Hash([3; 32]) }
    }

    fn cosigned(lines: &[String]) -> String {
        checkpoint().sign(&signer(1)) + &lines.concat()
    }

    #[test]
    fn what_is_signed_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        assert_eq!(message(text, 1_679_315_147), format!("cosignature/v1\ntime 1679315147\n{text}"));
        let key = witness("witness.example.com/w1", 4);
        let hashed = [b"witness.example.com/w1\n\x04".as_slice(), key.public_key()].concat();
        let id: String = Digest::sha256(&hashed).to_string().chars().take(8).collect();
        assert_eq!(key.to_string().split('+').nth(1), Some(id.as_str()));
        let line = key.cosign(text, 1_679_315_147, &signer(4));
        let encoded = line.trim_end().rsplit_once(' ').unwrap().1;
        let bytes = BASE64.decode(encoded.as_bytes()).unwrap();
        assert_eq!((bytes.len(), HEXLOWER.encode(&bytes[..4])), (4 + 8 + 64, id));
        assert_eq!(bytes[4..12], 1_679_315_147_u64.to_be_bytes());
        assert_eq!(bytes[12..], signer(4).sign(message(text, 1_679_315_147).as_bytes()));
    }

    #[test]
    fn keys_of_logs_and_witnesses_are_told_apart() {
        let log = VerifierKey::new("w", signer(1).public_key()).unwrap();
        let key = witness("w", 1);
        assert_eq!(key.to_string().parse(), Ok(key.clone()));
        assert_eq!(log.to_string().parse::<WitnessKey>(), Err(NoteError::KeyType { found: 1, wanted: 4 }));
        assert_eq!(key.to_string().parse::<VerifierKey>(), Err(NoteError::KeyType { found: 4, wanted: 1 }));
        let renamed = key.to_string().replacen('w', "v", 1);
        assert_eq!(renamed.parse::<WitnessKey>(), Err(NoteError::KeyId("v".to_owned())));
        assert!(matches!(WitnessKey::new("a b", [0; 32]), Err(NoteError::Name(_))));
    }

    #[test]
    fn known_witnesses_are_counted_once_each_and_others_passed_over() {
        let body = checkpoint().body();
        let (a, b, c) = (witness("a", 2), witness("b", 3), witness("c", 4));
        let note = cosigned(&[
            a.cosign(&body, 5, &signer(2)),
            a.cosign(&body, 7, &signer(2)),
            b.cosign(&body, 6, &signer(3)),
        ]);
        let known = [a.clone(), c.clone(), b.clone()];
        assert_eq!(cosigners(&note, &known), Ok(vec!["a", "b"]));
        assert_eq!(a.on(&note).unwrap().map(|it| it.seconds), Some(7), "the newest counts");
        assert_eq!(c.on(&note), Ok(None));
        let log = VerifierKey::new(ORIGIN, signer(1).public_key()).unwrap();
        assert_eq!(open_note(&note, &log), Ok(body.as_str()), "the log's signature stands beside them");
        let alias = witness("z", 2);
        let both = cosigned(&[a.cosign(&body, 5, &signer(2)), alias.cosign(&body, 5, &signer(2))]);
        assert_eq!(cosigners(&both, &[a, alias]), Ok(vec!["a"]), "one key is one witness");
    }

    #[test]
    fn a_wrong_cosignature_of_a_known_witness_spoils_the_note() {
        let body = checkpoint().body();
        let key = witness("a", 2);
        let wrong = Err(NoteError::Signature("a".to_owned()));
        assert_eq!(key.on(&cosigned(&[key.cosign("other\n", 5, &signer(2))])), wrong);
        assert_eq!(key.on(&cosigned(&[key.cosign(&body, 5, &signer(3))])), wrong);
        assert_eq!(key.on(&cosigned(&[signature_line("a", key.id, &[0; 71])])), wrong);
        assert_eq!(key.on(&cosigned(&[signature_line("a", key.id, &[0; 3])])), wrong);
        assert_eq!(
            key.on(&cosigned(&[key.cosign(&body, SECONDS_MAX + 1, &signer(2))])),
            wrong,
            "a time past 2^63 - 1"
        );
        assert!(key.on(&cosigned(&[key.cosign(&body, SECONDS_MAX, &signer(2))])).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_cosigned_is_found_again(
            text in "([^\\x00-\\x1f]{0,20}\n){1,5}", seed in any::<u8>(), seconds in 0..=SECONDS_MAX
        ) {
            let key = witness("witness.example/w1", seed);
            let line = key.cosign(&text, seconds, &signer(seed));
            let found = key.on(&format!("{text}\n{line}")).unwrap().unwrap();
            prop_assert_eq!(found.seconds, seconds);
            prop_assert_eq!(key.line(&found), line);
        }

        #[test]
        fn a_changed_cosignature_counts_for_nobody(at in any::<prop::sample::Index>(), flip in 1..0x80u8) {
            let key = witness("witness.example/w1", 2);
            let honest = cosigned(&[key.cosign(&checkpoint().body(), 5, &signer(2))]);
            let log_line = checkpoint().sign(&signer(1)).lines().last().unwrap().to_owned();
            let mut bytes = honest.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let log_at = honest.find(&log_line).unwrap();
            prop_assume!(!(log_at..log_at + log_line.len() + 1).contains(&at));
            if let Ok(note) = String::from_utf8(bytes) {
                let counted = cosigners(&note, &[key]).map(|names| names.len());
                prop_assert!(counted != Ok(1), "byte {} changed and it still counts:\n{}", at, note);
            }
        }
    }
}
