//! How a journal changes its key: an entry that names both keys, under a checkpoint that both signed.
//!
//! A hand-over is the receipt of that entry. Whoever holds one of the journal's keys learns the others from it;
//! `docs/audit-log.md` says when that is not to be trusted.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::entry::Entry;
use super::event::{Event, Fact, Kind};
use super::note::VerifierKey;
use super::receipt::{Receipt, ReceiptError, Verified};
use super::tree::Hash;

/// A hand-over that proves nothing, or hand-overs that lead nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// The receipt around it.
    #[error("the hand-over is no receipt that holds under both of its keys")]
    Receipt(#[from] ReceiptError),
    /// A receipt that is checked with the key of its time.
    #[error("the receipt does not hold under the log's key of its time")]
    Proof(#[source] ReceiptError),
    /// The entry does not say that the key changed, or not the key of this journal.
    #[error(
        "the entry of the hand-over does not name an old and a new key of `{0}`; ask the holder for the right one"
    )]
    Entry(String),
    /// One hand-over does not follow on the other.
    #[error("hand-over {0} does not follow on the one before it; ask the holder for all of them")]
    Order(usize),
    /// None of the keys is the one that the verifier trusts.
    #[error(
        "none of the hand-overs is of the key that you gave; ask the holder, on another way, which key is right"
    )]
    Stranger,
    /// A checkpoint that none of the keys signed.
    #[error("the checkpoint was refused")]
    Checkpoint(#[source] CheckpointError),
    /// A checkpoint that a key signed when it was not the journal's.
    #[error(
        "the checkpoint over {size} entries is signed by a key that was not the journal's at that size; keep it, and \
         report it: the key may have been stolen"
    )]
    OutOfTime {
        /// Entries in the checkpoint.
        size: u64,
    },
}

/// A change of key that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    /// The index of the entry that says so.
    pub index: u64,
    /// That entry.
    pub entry: Entry,
    /// Entries in the checkpoint that both keys signed.
    pub size: u64,
    /// The root in it.
    pub root: Hash,
    /// The key until then.
    pub old: VerifierKey,
    /// The key from then on.
    pub new: VerifierKey,
}

impl HandOver {
    /// Reads a hand-over in the journal of this origin. Both keys are its own word: trust begins with a key that
    /// the verifier has, see [`KeyChain`].
    ///
    /// # Errors
    /// [`HandOverError`] when it does not hold under both.
    pub fn parse(text: &str, origin: &str) -> Result<Self, HandOverError> {
        let receipt = Receipt::parse(text)?;
        let event = receipt.opening.as_ref().map(|opening| receipt.entry.opens(opening)).transpose();
        let event = event.map_err(ReceiptError::from)?;
        let keys = event.as_ref().and_then(|event| keys_of(event, origin));
        let (old, new) = keys.ok_or_else(|| HandOverError::Entry(origin.to_owned()))?;
        let by_old = receipt.verify(&old)?;
        receipt.verify(&new)?;
        let root = Checkpoint::open(&receipt.checkpoint, &old).map_err(ReceiptError::from)?.root;
        Ok(Self { index: by_old.index, entry: receipt.entry, size: by_old.size, root, old, new })
    }
}

fn keys_of(event: &Event, origin: &str) -> Option<(VerifierKey, VerifierKey)> {
    let is_change = event.kind == Kind::LogKeyChanged && event.text_of(Fact::Origin) == Some(origin);
    let key = |fact| VerifierKey::new(origin, event.fact(fact)?.try_into().ok()?).ok();
    let (old, new) = (key(Fact::OldPublicKey)?, key(Fact::NewPublicKey)?);
    (is_change && old != new).then_some((old, new))
}

/// The keys of a journal, from the first on, with the one that the verifier trusts among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChain {
    keys: Vec<VerifierKey>,
    newest: VerifierKey,
    changes: Vec<HandOver>,
    given: usize,
}

impl KeyChain {
    /// The keys that hand-overs, in their order, lead to from the key that is trusted.
    ///
    /// # Errors
    /// [`HandOverError`] when one does not follow on the other, or none is of that key.
    pub fn new(trusted: &VerifierKey, changes: Vec<HandOver>) -> Result<Self, HandOverError> {
        let mut keys = Vec::with_capacity(changes.len().saturating_add(1));
        keys.push(changes.first().map_or_else(|| trusted.clone(), |first| first.old.clone()));
        let mut size = 0;
        for (change, number) in changes.iter().zip(0_usize..) {
            if keys.last() != Some(&change.old) || change.index < size {
                return Err(HandOverError::Order(number));
            }
            size = change.size;
            keys.push(change.new.clone());
        }
        let given = keys.iter().position(|key| key == trusted).ok_or(HandOverError::Stranger)?;
        let newest = changes.last().map_or_else(|| trusted.clone(), |last| last.new.clone());
        Ok(Self { keys, newest, changes, given })
    }

    /// All changes of the key.
    #[must_use]
    pub fn changes(&self) -> &[HandOver] {
        &self.changes
    }

    /// The changes since the key that the verifier trusts: what is trusted on their word.
    #[must_use]
    pub fn followed(&self) -> &[HandOver] {
        self.changes.get(self.given..).unwrap_or_default()
    }

    /// The key that signs now.
    #[must_use]
    pub fn newest(&self) -> &VerifierKey {
        &self.newest
    }

    /// Opens a checkpoint that was signed by the key of its time.
    ///
    /// # Errors
    /// [`HandOverError::Checkpoint`] when none of the keys signed it, [`HandOverError::OutOfTime`] when one did
    /// that was not the journal's then.
    pub fn open(&self, note: &str) -> Result<Checkpoint, HandOverError> {
        let mut refused = None;
        for (number, key) in self.keys.iter().enumerate() {
            match Checkpoint::open(note, key) {
                Ok(signed) if self.is_in_time(number, signed.size) => return Ok(signed),
                Ok(signed) => {
                    refused = Some(HandOverError::OutOfTime { size: signed.size });
                }
                Err(error) if number == self.given => {
                    refused.get_or_insert(HandOverError::Checkpoint(error));
                }
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or(HandOverError::Stranger))
    }

    /// Checks a receipt with the key of its time.
    ///
    /// # Errors
    /// As [`KeyChain::open`], and [`HandOverError::Proof`] when the receipt proves nothing.
    pub fn verify(&self, receipt: &Receipt) -> Result<Verified, HandOverError> {
        self.open(&receipt.checkpoint)?;
        let by_any = self.keys.iter().find_map(|key| receipt.verify(key).ok());
        by_any.map_or_else(|| receipt.verify(&self.newest).map_err(HandOverError::Proof), Ok)
    }

    /// A key signs from the checkpoint over its own hand-over to the one over the next.
    fn is_in_time(&self, number: usize, size: u64) -> bool {
        let from = number.checked_sub(1).and_then(|before| self.changes.get(before));
        let to = self.changes.get(number);
        from.is_none_or(|change| size >= change.size) && to.is_none_or(|change| size <= change.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Draft;
    use crate::audit::note::{Ed25519Signer, NoteError, NoteSigner};
    use crate::audit::tree::Edge;
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::SystemEntropy;

    const ORIGIN: &str = "immigration.example/onebit/au-border";

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn key(seed: u8) -> VerifierKey {
        VerifierKey::new(ORIGIN, signer(seed).public_key()).unwrap()
    }

    fn event(old: u8, new: u8) -> Event {
        stating(Kind::LogKeyChanged, old, new)
    }

    fn stating(kind: Kind, old: u8, new: u8) -> Event {
        Event::new(kind, Timestamp::from_millis(0), "onebit", Digest::sha256(b"policy"))
            .with(Fact::OldPublicKey, &signer(old).public_key())
            .with(Fact::NewPublicKey, &signer(new).public_key())
            .text(Fact::Origin, ORIGIN)
    }

    /// A hand-over as entry `index`, under a checkpoint over it that these keys signed.
    fn handover(index: u64, event: &Event, by: [u8; 2]) -> String {
        let draft = Draft::blind(event, event, &SystemEntropy::new()).unwrap();
        let mut edge = Edge::new();
        (0..index).for_each(|other| edge.append(Hash([u8::try_from(other).unwrap(); 32])));
        edge.append(draft.entry.leaf_hash());
        let head = Checkpoint { origin: ORIGIN.to_owned(), size: edge.size(), root: edge.root() };
        let checkpoint = head.sign_both(&signer(by[0]), &signer(by[1]));
        let proof = edge.prove(index).unwrap();
        Receipt { entry: draft.entry, opening: Some(draft.partner), index, proof, checkpoint }.to_text()
    }

    fn chain(trusted: u8, texts: &[String]) -> Result<KeyChain, HandOverError> {
        let changes = texts.iter().map(|text| HandOver::parse(text, ORIGIN)).collect::<Result<_, _>>()?;
        KeyChain::new(&key(trusted), changes)
    }

    #[test]
    fn whoever_holds_one_key_learns_the_others() {
        let texts = [handover(2, &event(1, 2), [1, 2]), handover(5, &event(2, 3), [2, 3])];
        for (trusted, followed) in [(1, 2), (2, 1), (3, 0)] {
            let chain = chain(trusted, &texts).unwrap();
            assert_eq!((chain.newest(), chain.followed().len()), (&key(3), followed));
            assert_eq!(chain.changes().iter().map(|change| change.index).collect::<Vec<_>>(), [2, 5]);
        }
        assert_eq!(chain(4, &texts), Err(HandOverError::Stranger));
        let [first, second] = &texts;
        assert_eq!(chain(2, &[second.clone(), first.clone()]), Err(HandOverError::Order(1)));
        assert_eq!(chain(1, &[]).unwrap().newest(), &key(1));
    }

    #[test]
    fn a_forged_hand_over_is_refused() {
        let unsigned = |found: Result<HandOver, HandOverError>| {
            matches!(
                found,
                Err(HandOverError::Receipt(ReceiptError::Checkpoint(CheckpointError::Note(
                    NoteError::OtherKey { .. }
                ))))
            )
        };
        let parse = |text: &str| HandOver::parse(text, ORIGIN);
        assert!(parse(&handover(2, &event(1, 2), [1, 2])).is_ok());
        assert!(unsigned(parse(&handover(2, &event(1, 2), [2, 3]))), "the old key did not sign it");
        assert!(unsigned(parse(&handover(2, &event(1, 2), [1, 3]))), "the new key did not sign it");
        let elsewhere = event(1, 2).text(Fact::Origin, "immigration.example/onebit/ca-border");
        let no_change = event(1, 1);
        let other_kind = stating(Kind::KeyOperation, 1, 2);
        for forged in [elsewhere, no_change, other_kind] {
            assert_eq!(parse(&handover(2, &forged, [1, 2])), Err(HandOverError::Entry(ORIGIN.to_owned())));
        }
        let moved = handover(2, &event(1, 2), [1, 2]).replacen("index 2", "index 1", 1);
        assert!(matches!(parse(&moved), Err(HandOverError::Receipt(ReceiptError::Proof(_)))));
        // Somebody who has the old key alone makes a key of his own the next: whole in itself, and of another journal.
        assert!(parse(&handover(2, &event(1, 9), [1, 9])).is_ok());
    }

    #[test]
    fn a_key_signs_only_in_its_time() {
        let chain = chain(1, &[handover(2, &event(1, 2), [1, 2])]).unwrap();
        let note = |size, seed| {
            let head = Checkpoint { origin: ORIGIN.to_owned(), size, root: Hash([1; 32]) };
            head.sign(&signer(seed))
        };
        for (size, seed) in [(1, 1), (3, 1), (3, 2), (4, 2)] {
            assert_eq!(chain.open(&note(size, seed)).map(|signed| signed.size), Ok(size), "{size} by {seed}");
        }
        for (size, seed) in [(4, 1), (2, 2)] {
            assert_eq!(chain.open(&note(size, seed)), Err(HandOverError::OutOfTime { size }));
        }
        assert!(matches!(chain.open(&note(1, 3)), Err(HandOverError::Checkpoint(_))));
    }
}
