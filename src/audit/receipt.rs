//! Receipts: an entry, its place in a journal and the signed head, in one text that can be checked offline.
//!
//! The text is a C2SP tlog-proof (<https://c2sp.org/tlog-proof>). Its `extra` line carries the 65 bytes of
//! the entry and, where there is one, an opening; both are checked against the proof, never believed.

use data_encoding::BASE64;

use super::checkpoint::{Checkpoint, CheckpointError, decimal};
use super::entry::{ENTRY_BYTES, Entry, EntryError, Opening};
use super::event::Event;
use super::note::{NOTE_MAX_BYTES, VerifierKey};
use super::proof::{ProofError, verify_inclusion};
use super::tree::Hash;

/// A receipt that can't be read, or that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// More bytes than a receipt may have.
    #[error("the receipt has {0} bytes and {RECEIPT_MAX_BYTES} are allowed; check that it is a receipt")]
    TooLong(usize),
    /// A text that is no receipt.
    #[error(
        "line {0} of the receipt is not what stands there in one; check that the whole receipt was given, unchanged"
    )]
    Line(usize),
    /// The entry or the opening in the receipt.
    #[error("the entry in the receipt, or what opens it, was refused")]
    Entry(#[from] EntryError),
    /// The checkpoint in the receipt.
    #[error("the checkpoint in the receipt was refused")]
    Checkpoint(#[from] CheckpointError),
    /// The inclusion proof.
    #[error("the receipt does not prove that its entry is in the journal; keep it and ask the log's holder")]
    Proof(#[from] ProofError),
}

/// An entry with the proof that it stands in a journal.
#[derive(Clone)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// What opens one side of it.
    pub opening: Option<Opening>,
    /// The index in the journal, from zero.
    pub index: u64,
    /// The inclusion proof (RFC 6962, section 2.1.1), from the leaf's sibling up.
    pub proof: Vec<Hash>,
    /// The checkpoint that the proof leads to, a signed note.
    pub checkpoint: String,
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The index in the journal, from zero.
    pub index: u64,
    /// The number of entries of the journal at the receipt's checkpoint.
    pub size: u64,
    /// The root that the receipt's checkpoint was signed over.
    pub root: Hash,
    /// What the entry states, where the receipt opens a side of it.
    pub event: Option<Event>,
}

impl Receipt {
    /// The receipt as a C2SP tlog-proof.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut extra = self.entry.encode().to_vec();
        if let Some(opening) = &self.opening {
            extra.extend_from_slice(&opening.encode());
        }
        let proof: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!(
            "{HEADER}\n{EXTRA}{}\n{INDEX}{}\n{proof}\n{}",
            BASE64.encode(&extra),
            self.index,
            self.checkpoint
        )
    }

    /// Reads a receipt. Nothing is proven yet: see [`Receipt::verify`].
    ///
    /// # Errors
    /// [`ReceiptError`] when the text is not one that [`Receipt::to_text`] gives.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_MAX_BYTES {
            return Err(ReceiptError::TooLong(text.len()));
        }
        let (head, checkpoint) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.split('\n');
        lines.next().filter(|line| *line == HEADER).ok_or(ReceiptError::Line(1))?;
        let extra = lines.next().and_then(|line| line.strip_prefix(EXTRA)).ok_or(ReceiptError::Line(2))?;
        let extra = BASE64.decode(extra.as_bytes()).map_err(|_| ReceiptError::Line(2))?;
        let (entry, opening) = extra.split_at_checked(ENTRY_BYTES).ok_or(ReceiptError::Line(2))?;
        let index = lines.next().and_then(|line| line.strip_prefix(INDEX)).ok_or(ReceiptError::Line(3))?;
        let index = decimal(index).ok_or(ReceiptError::Line(3))?;
        Ok(Self {
            entry: Entry::decode(entry)?,
            opening: if opening.is_empty() { None } else { Some(Opening::decode(opening)?) },
            index,
            proof: hashes(lines)?,
            checkpoint: checkpoint.to_owned(),
        })
    }

    /// Checks the receipt: `key` signed the checkpoint, the entry stands at the index in the tree of that
    /// checkpoint, and the opening is the entry's.
    ///
    /// # Errors
    /// [`ReceiptError`] with what does not hold.
    pub fn verify(&self, key: &VerifierKey) -> Result<Verified, ReceiptError> {
        let Checkpoint { size, root, .. } = Checkpoint::open(&self.checkpoint, key)?;
        verify_inclusion(&self.entry.leaf_hash(), self.index, size, &self.proof, &root)?;
        let event = self.opening.as_ref().map(|opening| self.entry.opens(opening)).transpose()?;
        Ok(Verified { index: self.index, size, root, event })
    }
}

fn hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, ReceiptError> {
    let mut hashes = Vec::new();
    for (line, number) in lines.zip(FIRST_PROOF_LINE..) {
        let hash = Hash::parse(line).ok().filter(|_| hashes.len() < PROOF_MAX_HASHES);
        hashes.push(hash.ok_or(ReceiptError::Line(number))?);
    }
    Ok(hashes)
}

/// The most bytes that a receipt may have: a checkpoint of full size, and as much again for the rest, whose
/// largest part is an opening of 64 KiB in base64.
pub const RECEIPT_MAX_BYTES: usize = 2 * NOTE_MAX_BYTES;
/// A path in a tree of at most 2^64 - 1 leaves.
const PROOF_MAX_HASHES: usize = 64;
const FIRST_PROOF_LINE: usize = 4;
/// The first line of a receipt.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";
const EXTRA: &str = "extra ";
const INDEX: &str = "index ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::entry::Draft;
    use crate::audit::event::{Fact, Kind};
    use crate::audit::note::{Ed25519Signer, NoteSigner};
    use crate::audit::tree::{leaf_hash, node_hash};
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::{Entropy, EntropyError};

    const ORIGIN: &str = "immigration.example/onebit/au-border";

    struct Fives;

    impl Entropy for Fives {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            bytes.fill(5);
            Ok(())
        }
    }

    fn signer() -> Ed25519Signer {
        Ed25519Signer::from_seed(&[7; 32])
    }

    fn key() -> VerifierKey {
        VerifierKey::new(ORIGIN, signer().public_key()).unwrap()
    }

    fn event() -> Event {
        Event::new(
            Kind::QueryAnswered,
            Timestamp::from_millis(1_767_225_600_000),
            "au-border",
            Digest::sha256(b"p"),
        )
        .text(Fact::Case, "C-1")
        .with(Fact::Outcome, &[1])
    }

    fn draft() -> Draft {
        Draft::blind(&event(), &event().with(Fact::Subject, &[9; 16]), &Fives).unwrap()
    }

    /// RFC 6962, section 2.1, word for word.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&root(left), &root(right))
            }
        }
    }

    /// RFC 6962, section 2.1.1, word for word.
    fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = match index.checked_sub(left.len()) {
            None => (path(index, left), root(right)),
            Some(index) => (path(index, right), root(left)),
        };
        path.push(sibling);
        path
    }

    /// The receipt of a draft at `index` among `size` entries, the others being `other-0`, `other-1` …
    fn receipt(index: usize, size: usize) -> Receipt {
        let draft = draft();
        let leaf = |at| {
            if at == index { draft.entry.leaf_hash() } else { leaf_hash(format!("other-{at}").as_bytes()) }
        };
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        let head =
            Checkpoint { origin: ORIGIN.to_owned(), size: size.try_into().unwrap(), root: root(&leaves) };
        Receipt {
            entry: draft.entry,
            opening: Some(draft.partner.clone()),
            index: index.try_into().unwrap(),
            proof: path(index, &leaves),
            checkpoint: head.sign(&signer()),
        }
    }

    #[test]
    fn a_receipt_proves_what_its_entry_states() {
        let verified = |receipt: Receipt| Receipt::parse(&receipt.to_text()).unwrap().verify(&key()).unwrap();
        let Verified { index, size, event: stated, .. } = verified(receipt(1, 3));
        assert_eq!((index, size, stated), (1, 3, Some(event())));
        let closed = Receipt { opening: None, ..receipt(0, 1) };
        let root = closed.entry.leaf_hash();
        assert_eq!(verified(closed), Verified { index: 0, size: 1, root, event: None });
    }

    #[test]
    fn a_receipt_is_that_of_another_implementation() {
        assert_eq!(
            Digest::sha256(receipt(1, 3).to_text().as_bytes()).to_string(),
            INDEPENDENT,
            "receipts are kept for decades: this text was made by a program of its own, so change it back"
        );
    }

    /// SHA-256 of the receipt as a Python program makes it that shares nothing with this one.
    const INDEPENDENT: &str = "e8973c33f529ba799126f9adb762dff7d2d63167c5acf0046b21edd1995a55ff";

    #[test]
    fn a_receipt_of_something_else_proves_nothing() {
        let refused = |change: &dyn Fn(&mut Receipt)| {
            let mut receipt = receipt(2, 5);
            change(&mut receipt);
            receipt.verify(&key()).unwrap_err()
        };
        let holder = draft().holder;
        assert!(matches!(refused(&|receipt| receipt.index = 3), ReceiptError::Proof(_)));
        assert!(matches!(refused(&|receipt| receipt.index = 5), ReceiptError::Proof(_)));
        assert!(matches!(refused(&|receipt| receipt.proof[0].0[0] ^= 1), ReceiptError::Proof(_)));
        assert!(matches!(refused(&|receipt| receipt.proof.truncate(1)), ReceiptError::Proof(_)));
        assert!(matches!(refused(&|receipt| receipt.proof.push(Hash([0; 32]))), ReceiptError::Proof(_)));
        let head = receipt(0, 4).checkpoint;
        assert!(matches!(refused(&|receipt| receipt.checkpoint.clone_from(&head)), ReceiptError::Proof(_)));
        assert!(matches!(refused(&|receipt| receipt.checkpoint.clear()), ReceiptError::Checkpoint(_)));
        let other = Draft::blind(&event(), &event(), &Fives).unwrap();
        assert!(matches!(refused(&|receipt| receipt.entry = other.entry), ReceiptError::Proof(_)));
        let mut bytes = draft().partner.encode();
        bytes[1] ^= 1;
        let wrong = Opening::decode(&bytes).unwrap();
        assert_eq!(
            refused(&|receipt| receipt.opening = Some(wrong.clone())),
            ReceiptError::Entry(EntryError::Commitment)
        );
        let mut of_holder = receipt(2, 5);
        of_holder.opening = Some(holder);
        assert!(of_holder.verify(&key()).is_ok(), "either side can be opened");
        let stranger = VerifierKey::new(ORIGIN, Ed25519Signer::from_seed(&[8; 32]).public_key()).unwrap();
        assert!(matches!(receipt(2, 5).verify(&stranger), Err(ReceiptError::Checkpoint(_))));
    }

    #[test]
    fn texts_out_of_form_are_no_receipts() {
        let text = receipt(1, 3).to_text();
        let refused = |text: &str| Receipt::parse(text).err();
        for (line, from, to) in [
            (1, "@v1", "@v2"),
            (1, HEADER, "x"),
            (2, "extra ", "extra"),
            (2, "extra ", "Extra "),
            (2, "extra A", "extra "),
            (3, "index 1", "index 01"),
            (3, "index 1", "index -1"),
            (3, "index 1", "index"),
            (3, "index 1\n", ""),
            (4, "index 1\n", "index 1\nAAAA\n"),
            (4, "index 1\n", "index 1\n \n"),
        ] {
            assert_eq!(
                refused(&text.replacen(from, to, 1)),
                Some(ReceiptError::Line(line)),
                "{from} to {to}"
            );
        }
        assert_eq!(refused(&text.replace('\n', "\r\n")), Some(ReceiptError::Line(1)));
        assert_eq!(refused(""), Some(ReceiptError::Line(1)));
        let with_extra = |extra: &[u8]| {
            let line = text.lines().nth(1).unwrap();
            text.replacen(line, &format!("extra {}", BASE64.encode(extra)), 1)
        };
        let entry = draft().entry.encode();
        assert_eq!(refused(&with_extra(&entry)), None);
        assert_eq!(refused(&with_extra(&entry[..64])), Some(ReceiptError::Line(2)));
        let cut = [entry.as_slice(), &[1]].concat();
        assert_eq!(refused(&with_extra(&cut)), Some(ReceiptError::Entry(EntryError::Opening)));
        let deep = Receipt { proof: vec![Hash([0; 32]); 65], ..receipt(1, 3) }.to_text();
        assert_eq!(refused(&deep), Some(ReceiptError::Line(68)));
        let long = Receipt { checkpoint: "x".repeat(RECEIPT_MAX_BYTES), ..receipt(1, 3) }.to_text();
        assert_eq!(refused(&long), Some(ReceiptError::TooLong(long.len())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn receipts_go_there_and_back((size, index) in (1..40usize).prop_flat_map(|size| (Just(size), 0..size))) {
            let text = receipt(index, size).to_text();
            let read = Receipt::parse(&text).unwrap();
            prop_assert_eq!(read.to_text(), text);
            prop_assert!(read.verify(&key()).is_ok());
        }
    }

    proptest! {
        #[test]
        fn a_changed_receipt_proves_nothing_else(at in any::<prop::sample::Index>(), flip in 1..0x80u8) {
            let honest = receipt(3, 7);
            let mut bytes = honest.to_text().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Some(read) = String::from_utf8(bytes).ok().and_then(|text| Receipt::parse(&text).ok()) {
                prop_assert!(read.verify(&key()).is_err(), "byte {} changed and the receipt still verifies", at);
            }
        }
    }
}
