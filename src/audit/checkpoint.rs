//! The signed head of a journal, as C2SP tlog-checkpoint specifies (<https://c2sp.org/tlog-checkpoint>).
//!
//! Narrower than the specification in two places, since these are checkpoints of our own logs: the name of
//! the key must be the origin, and extension lines, which no monitor could check, are refused.

use super::note::{NoteError, NoteSigner, VerifierKey, open_note, sign_note, signed_line};
use super::tree::Hash;

/// A checkpoint that can't be trusted or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around the checkpoint.
    #[error("the checkpoint's signed note was refused")]
    Note(#[from] NoteError),
    /// A checkpoint of another log than that of its key.
    #[error("the checkpoint is of `{found}` and not of `{wanted}`; check that it belongs to this journal")]
    Origin {
        /// The origin that the key is named after.
        wanted: String,
        /// The origin in the checkpoint.
        found: String,
    },
    /// A text that is not origin, size and root.
    #[error(
        "the checkpoint is not an origin, a size and a root, a line each; ask the log's holder why it was signed"
    )]
    Form,
    /// A size that is not a plain decimal.
    #[error(
        "the size in the checkpoint is not a plain decimal number; ask the log's holder why it was signed"
    )]
    Size,
    /// A root that is not a hash.
    #[error("the root in the checkpoint is not base64 of 32 bytes; ask the log's holder why it was signed")]
    Root,
}

/// How large a journal is, and the hash of all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the journal, unique in the world, and of the key that signs its checkpoints.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree of so many entries (RFC 6962, section 2.1).
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The signed note, under the origin's name.
    ///
    /// INVARIANT: who signs never signs two checkpoints of one origin that contradict each other. That is
    /// the journal's to hold; nothing here remembers.
    #[must_use]
    pub fn sign(&self, signer: &dyn NoteSigner) -> String {
        sign_note(&self.origin, &self.body(), signer)
    }

    /// The signed note of a hand-over: signed by the old key and by the new one.
    #[must_use]
    pub fn sign_both(&self, old: &dyn NoteSigner, new: &dyn NoteSigner) -> String {
        let second = signed_line(&self.origin, &self.body(), new);
        self.sign(old) + &second
    }

    /// Opens a signed note that holds a checkpoint of the log that `key` is named after.
    ///
    /// # Errors
    /// [`CheckpointError`] when the note was refused, is of another log, or is no checkpoint.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(open_note(note, key)?)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            let found = checkpoint.origin.chars().take(ORIGIN_SHOWN_CHARS).collect();
            Err(CheckpointError::Origin { wanted: key.name().to_owned(), found })
        }
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        if text.lines().nth(LINES).is_some() {
            return Err(CheckpointError::Form);
        }
        Self::parse_any(text)
    }

    /// Reads the text of a checkpoint of anybody's log, in which extension lines may follow, as a witness does:
    /// they are part of what is signed, and nothing is said about them.
    ///
    /// # Errors
    /// [`CheckpointError`] when it is no checkpoint.
    pub fn parse_any(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?;
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Form);
        };
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Form);
        }
        if origin.is_empty() {
            return Err(CheckpointError::Form);
        }
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = Hash::parse(root).map_err(|_| CheckpointError::Root)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// A number in ASCII digits without leading zeros, as C2SP writes sizes and indices.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

const ORIGIN_SHOWN_CHARS: usize = 128;
/// Origin, size and root.
const LINES: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::note::Ed25519Signer;

    const ORIGIN: &str = "immigration.example/onebit/au-border";

    fn signer() -> Ed25519Signer {
        Ed25519Signer::from_seed(&[7; 32])
    }

    fn key() -> VerifierKey {
        VerifierKey::new(ORIGIN, signer().public_key()).unwrap()
    }

    fn opened(text: &str) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(&sign_note(ORIGIN, text, &signer()), &key())
    }

    /// The example of C2SP tlog-checkpoint.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_text_is_that_of_the_specification() {
        let checkpoint = Checkpoint::parse(EXAMPLE).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.root.to_string(), "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
        assert_eq!(checkpoint.body(), EXAMPLE);
    }

    #[test]
    fn a_checkpoint_of_another_log_is_refused() {
        let found = "example.com/behind-the-sofa".to_owned();
        assert_eq!(opened(EXAMPLE), Err(CheckpointError::Origin { wanted: ORIGIN.to_owned(), found }));
        let other = Checkpoint::parse(EXAMPLE).unwrap().sign(&signer());
        assert_eq!(
            Checkpoint::open(&other, &key()),
            Err(CheckpointError::Note(NoteError::Unsigned(ORIGIN.to_owned())))
        );
    }

    #[test]
    fn only_plain_texts_are_checkpoints() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        assert!(opened(&format!("{ORIGIN}\n0\n{root}\n")).is_ok());
        for size in ["", "00", "01", "+1", "-1", " 1", "1 ", "0x1", "1_0", "१", "18446744073709551616"] {
            assert_eq!(
                opened(&format!("{ORIGIN}\n{size}\n{root}\n")),
                Err(CheckpointError::Size),
                "`{size}`"
            );
        }
        for root in
            ["", "AAAA", root.trim_end_matches('='), &root.replace('2', " "), &root.replace("I=", "J=")]
        {
            assert_eq!(opened(&format!("{ORIGIN}\n1\n{root}\n")), Err(CheckpointError::Root), "`{root}`");
        }
        for text in [
            format!("{ORIGIN}\n1\n"),
            format!("{ORIGIN}\n1\n{root}\nextension\n"),
            format!("{ORIGIN}\n1\n{root}\n\n"),
            format!("\n1\n{root}\n"),
        ] {
            assert_eq!(opened(&text), Err(CheckpointError::Form), "{text}");
        }
    }

    #[test]
    fn anybodys_checkpoint_may_have_extension_lines() {
        let read = |text: &str| Checkpoint::parse_any(text).map(|checkpoint| checkpoint.size);
        assert_eq!(read(EXAMPLE), Ok(20_852_163));
        assert_eq!(read(&format!("{EXAMPLE}extension\nanother\n")), Ok(20_852_163));
        for bad in
            [format!("{EXAMPLE}\n"), format!("{EXAMPLE}a\n\nb\n"), format!("{EXAMPLE}a"), String::new()]
        {
            assert_eq!(read(&bad), Err(CheckpointError::Form), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_opened(size in any::<u64>(), root in any::<[u8; 32]>()) {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: Hash(root) };
            prop_assert_eq!(Checkpoint::open(&checkpoint.sign(&signer()), &key()), Ok(checkpoint));
        }

        #[test]
        fn a_changed_checkpoint_is_refused(at in any::<prop::sample::Index>(), flip in 1..0x80u8) {
            let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 1_234_567, root: Hash([9; 32]) };
            let mut bytes = checkpoint.sign(&signer()).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(note) = String::from_utf8(bytes) {
                prop_assert!(Checkpoint::open(&note, &key()).is_err(), "opened:\n{}", note);
            }
        }
    }
}
