//! What a backup says of itself, as a signed note (C2SP signed-note) under the key of the holder's journal: whoever
//! has the log's public key can tell a whole backup from a damaged or foreign one, without the root key.
//!
//! ```text
//! onebit-backup/v1
//! <origin of the holder's journal>
//! backup <id, hexadecimal>
//! made <RFC 3339>
//! sealed <bytes> <SHA-256, hexadecimal>
//! journal <origin> <size> <root, base64>      a line for each journal, as it stood
//! ```
//!
//! No checkpoint can be taken for such a note, nor the other way round: an origin has two slashes at least, and the
//! first line of a note has one.

use std::str::FromStr;

use data_encoding::HEXLOWER;

use super::checkpoint::decimal;
use super::note::{NoteError, NoteSigner, VerifierKey, open_note, sign_note};
use super::tree::Hash;
use crate::clock::Timestamp;
use crate::ids::Digest;

/// A note that is no backup's, or not the one of these bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupNoteError {
    /// The signature around it.
    #[error("the backup's note was refused")]
    Note(#[from] NoteError),
    /// A text that no version of Onebit writes.
    #[error("line {line} of the backup's note is not {wanted}; take another backup")]
    Line {
        /// Counted from one.
        line: usize,
        /// What should stand there.
        wanted: &'static str,
    },
    /// Signed, and of another holder.
    #[error("the backup is of `{0}`, and not of the journal whose key you gave")]
    Origin(String),
}

/// The name of a backup: random, and that of its key in the key store.
pub type BackupId = [u8; 16];

/// Where a journal stood in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHead {
    /// Its origin.
    pub origin: String,
    /// The number of its entries.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupNote {
    /// The origin of the holder's journal.
    pub origin: String,
    /// The name of the backup.
    pub id: BackupId,
    /// When it was made.
    pub made: Timestamp,
    /// The bytes of its sealed file.
    pub bytes: u64,
    /// SHA-256 of its sealed file.
    pub digest: Digest,
    /// Where every journal stood.
    pub heads: Vec<BackupHead>,
}

impl BackupNote {
    /// The signed note, under the origin of the holder's journal.
    #[must_use]
    pub fn sign(&self, signer: &dyn NoteSigner) -> String {
        sign_note(&self.origin, &self.body(), signer)
    }

    /// Opens a note that the log's key signed.
    ///
    /// # Errors
    /// [`BackupNoteError`] when the signature, the form or the origin is not the one wanted.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, BackupNoteError> {
        let note = Self::parse(open_note(note, key)?)?;
        if note.origin == key.name() { Ok(note) } else { Err(BackupNoteError::Origin(note.origin)) }
    }

    /// Reads a note without looking at its signature. Only for whoever then opens what it says with a key of the
    /// store's own.
    ///
    /// # Errors
    /// [`BackupNoteError::Line`].
    pub fn claimed(note: &str) -> Result<Self, BackupNoteError> {
        let text = note.split_inclusive("\n\n").next().and_then(|text| text.strip_suffix('\n'));
        Self::parse(text.unwrap_or_default())
    }

    fn body(&self) -> String {
        let Self { origin, id, made, bytes, digest, heads } = self;
        let mut body = format!(
            "{FORM}\n{origin}\nbackup {}\nmade {made}\nsealed {bytes} {digest}\n",
            HEXLOWER.encode(id)
        );
        for BackupHead { origin, size, root } in heads {
            body.push_str(&format!("journal {origin} {size} {root}\n"));
        }
        body
    }

    fn parse(text: &str) -> Result<Self, BackupNoteError> {
        let mut lines = (1..).zip(text.lines());
        let mut line = |wanted| match lines.next() {
            Some((number, line)) => Ok((BackupNoteError::Line { line: number, wanted }, line)),
            None => Err(BackupNoteError::Line { line: text.lines().count().saturating_add(1), wanted }),
        };
        let (fault, form) = line("`onebit-backup/v1`")?;
        if form != FORM {
            return Err(fault);
        }
        let (_, origin) = line("an origin")?;
        let (fault, id) = line("`backup` and its id")?;
        let id = id.strip_prefix("backup ").and_then(id_parse).ok_or(fault)?;
        let (fault, made) = line("`made` and a time")?;
        let made = made.strip_prefix("made ").and_then(time_parse).ok_or(fault)?;
        let (fault, sealed) = line("`sealed`, a number of bytes and their SHA-256")?;
        let (bytes, digest) = sealed.strip_prefix("sealed ").and_then(sealed_parse).ok_or(fault)?;
        let heads = lines
            .map(|(number, line)| {
                let wanted = "`journal`, its origin, size and root";
                let head = line.strip_prefix("journal ").and_then(head_parse);
                head.ok_or(BackupNoteError::Line { line: number, wanted })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { origin: origin.to_owned(), id, made, bytes, digest, heads })
    }
}

fn id_parse(text: &str) -> Option<BackupId> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn time_parse(text: &str) -> Option<Timestamp> {
    let instant = jiff::Timestamp::from_str(text).ok()?;
    let time = Timestamp::from_millis(instant.as_millisecond());
    // One time has one text, so that one note has one text.
    (time.to_string() == text).then_some(time)
}

fn sealed_parse(text: &str) -> Option<(u64, Digest)> {
    let (bytes, digest) = text.split_once(' ')?;
    Some((decimal(bytes)?, digest.parse().ok()?))
}

fn head_parse(text: &str) -> Option<BackupHead> {
    let mut parts = text.split(' ');
    let (origin, size, root) = (parts.next()?, parts.next()?, parts.next()?);
    let head = BackupHead { origin: origin.to_owned(), size: decimal(size)?, root: Hash::parse(root).ok()? };
    (parts.next().is_none() && !origin.is_empty()).then_some(head)
}

const FORM: &str = "onebit-backup/v1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::note::Ed25519Signer;

    const ORIGIN: &str = "immigration.example/onebit/holder";

    fn signer() -> Ed25519Signer {
        Ed25519Signer::from_seed(&[7; 32])
    }

    fn key(name: &str) -> VerifierKey {
        VerifierKey::new(name, signer().public_key()).unwrap()
    }

    fn note() -> BackupNote {
        let heads = ["immigration.example/onebit/au-border", ORIGIN];
        let heads = heads.map(|origin| BackupHead {
            origin: origin.to_owned(),
            size: 7,
            root: Hash(*Digest::sha256(origin.as_bytes()).as_bytes()),
        });
        BackupNote {
            origin: ORIGIN.to_owned(),
            id: [0xa5; 16],
            made: Timestamp::from_millis(1_790_000_000_123),
            bytes: 1_048_576,
            digest: Digest::sha256(b"sealed"),
            heads: heads.to_vec(),
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_signed() {
        let signed = note().sign(&signer());
        assert_eq!(BackupNote::open(&signed, &key(ORIGIN)), Ok(note()));
        assert_eq!(BackupNote::claimed(&signed), Ok(note()));
        let other = BackupNote { origin: "other.example/onebit/holder".to_owned(), ..note() };
        let foreign = sign_note(ORIGIN, &other.body(), &signer());
        assert_eq!(
            BackupNote::open(&foreign, &key(ORIGIN)),
            Err(BackupNoteError::Origin(other.origin.clone())),
            "a note of another journal under this one's name"
        );
    }

    #[test]
    fn a_note_is_no_checkpoint_and_a_checkpoint_no_note() {
        let signed = note().sign(&signer());
        assert!(Checkpoint::open(&signed, &key(ORIGIN)).is_err());
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 7, root: Hash([1; 32]) };
        assert!(BackupNote::open(&checkpoint.sign(&signer()), &key(ORIGIN)).is_err());
    }

    #[test]
    fn whatever_is_changed_is_refused_with_its_line() {
        for (from, to, line) in [
            ("onebit-backup/v1", "onebit-backup/v2", 1),
            ("backup a5", "backup ax", 3),
            ("made 2026", "made 26", 4),
            (".123Z", ".1230Z", 4),
            ("sealed 1048576", "sealed 01048576", 5),
            (
                "journal immigration.example/onebit/holder 7",
                "journal immigration.example/onebit/holder -7",
                7,
            ),
            (
                "journal immigration.example/onebit/au-border",
                "journal  immigration.example/onebit/au-border",
                6,
            ),
        ] {
            let body = note().body();
            assert!(body.contains(from), "`{from}` stands nowhere in the note");
            let refused = BackupNote::parse(&body.replacen(from, to, 1)).unwrap_err();
            assert!(
                matches!(refused, BackupNoteError::Line { line: found, .. } if found == line),
                "`{to}` was refused with {refused}"
            );
        }
        for lines in 0..5 {
            let short: String = note().body().lines().take(lines).map(|line| format!("{line}\n")).collect();
            assert!(BackupNote::parse(&short).is_err(), "{lines} lines are no note");
        }
    }

    proptest! {
        #[test]
        fn whatever_text_there_is_is_refused_in_order(text: String) {
            let _refused = BackupNote::parse(&text);
            let _refused = BackupNote::claimed(&text);
        }

        #[test]
        fn a_signed_note_whose_bytes_changed_is_refused(at in 0_usize..400, to: u8) {
            let signed = note().sign(&signer());
            let mut bytes = signed.clone().into_bytes();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert!(BackupNote::open(&changed, &key(ORIGIN)).is_err());
            }
        }
    }
}
