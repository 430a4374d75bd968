//! What every store must do with cosignatures.

use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::cosignature::{WitnessKey, cosigners};
use crate::audit::event::{Fact, Kind};
use crate::audit::note::{Ed25519Signer, NoteSigner};
use crate::audit::proof::verify_consistency;
use crate::audit::tree::Hash;

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32])
}

fn witness(seed: u8) -> WitnessKey {
    WitnessKey::new(&format!("witness.example/w{seed}"), signer(seed).public_key()).unwrap()
}

fn quorum(needed: usize) -> Quorum {
    Quorum { witnesses: vec![witness(1), witness(2), witness(3)], needed }
}

/// What a witness gives for a checkpoint.
fn given(note: &str, seed: u8) -> Given {
    let (text, _) = note.split_once("\n\n").unwrap();
    let line = witness(seed).cosign(&format!("{text}\n"), 1_790_000_000, &signer(seed));
    let cosignature = witness(seed).on(&format!("{note}{line}")).unwrap().unwrap();
    Given { witness: witness(seed), cosignature }
}

impl Bench {
    /// Has these witnesses cosign the newest checkpoint of the holder's journal.
    async fn cosigned(&self, seeds: &[u8]) -> (u64, Option<u64>) {
        let newest = self.store.checkpoint_unwitnessed(quorum(2).witnesses).await.unwrap();
        let given = seeds.iter().map(|seed| given(&newest.note, *seed)).collect();
        (newest.size, self.store.cosignatures_keep(newest.size, given, quorum(2)).await.unwrap())
    }

    async fn released(&self) -> Case {
        let subject = self.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
        let (query, ..) =
            self.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
        let Requested::Kept(case) = self.disclosure(query).await else { panic!("a hit is kept") };
        let Decided::Kept(half) = self.decide(&case, "sione", true).await else { panic!("one decides") };
        let Decided::Kept(whole) = self.decide(&half, "grace", true).await else { panic!("two decide") };
        let Released::Sealed(released) = self.release(&whole).await else { panic!("it is released") };
        *released
    }

    async fn journal_checkpoint(&self, journal: Journal) -> Checkpoint {
        let bundled = self.store.checkpoint_get(journal).await.unwrap().unwrap();
        Checkpoint::open(&bundled.checkpoint, &bundled.verifier_key.parse().unwrap()).unwrap()
    }
}

pub(crate) async fn a_quorum_is_of_one_checkpoint_and_each_witness_counts_once(bench: Bench) {
    let (first, newest) = bench.cosigned(&[1, 1]).await;
    assert_eq!(newest, None, "one witness twice is one");
    let _receipt = bench.store.server_started("1").await.unwrap();
    let (second, newest) = bench.cosigned(&[2]).await;
    assert!(second > first, "an entry makes another checkpoint");
    assert_eq!(newest, None, "two witnesses of two checkpoints are no quorum");
    assert_eq!(bench.store.checkpoint_witnessed(quorum(2)).await.unwrap(), None);
    let known = bench.store.checkpoint_unwitnessed(quorum(2).witnesses).await.unwrap();
    assert_eq!(known.cosigned, [first, second, 0]);
    let (_, newest) = bench.cosigned(&[1]).await;
    assert_eq!(newest, Some(second));
    let witnessed = bench.store.checkpoint_witnessed(quorum(2)).await.unwrap().unwrap();
    let known = quorum(2).witnesses;
    assert_eq!(cosigners(&witnessed.note, &known).unwrap().len(), 2);
    assert_eq!(bench.store.checkpoint_witnessed(quorum(3)).await.unwrap(), None);
    let strangers = Quorum { witnesses: vec![witness(1), witness(8)], needed: 2 };
    assert_eq!(bench.store.checkpoint_witnessed(strangers).await.unwrap(), None, "only known keys count");
    let _receipt = bench.store.server_started("2").await.unwrap();
    let (_, newest) = bench.cosigned(&[3]).await;
    assert_eq!(newest, Some(second), "an older quorum stands until there is a newer one");
}

pub(crate) async fn a_release_is_seen_when_witnesses_saw_a_head_over_its_entry(bench: Bench) {
    let partner: PartnerName = "au-border".parse().unwrap();
    let released = bench.released().await;
    let id = released.disclosure.request().disclosure();
    let seen = || async {
        let (store, partner) = (&bench.store, partner.clone());
        store.release_seen(partner, id, quorum(2)).await.unwrap()
    };
    assert_eq!(seen().await, ReleaseSeen::NotYet);
    let _receipt = bench.store.server_started("1").await.unwrap();
    let (_, newest) = bench.cosigned(&[1, 2]).await;
    assert!(newest.is_some());
    assert_eq!(seen().await, ReleaseSeen::NotYet, "the holder's journal has no head of this one yet");
    assert_eq!(bench.store.heads_record().await.unwrap(), 1);
    assert_eq!(bench.store.heads_record().await.unwrap(), 0, "a journal that did not grow has its head");
    assert_eq!(seen().await, ReleaseSeen::NotYet, "the head is not cosigned yet");
    let (_, newest) = bench.cosigned(&[2]).await;
    assert!(newest.is_some(), "the older quorum stands");
    assert_eq!(seen().await, ReleaseSeen::NotYet, "one witness is no quorum");
    let _quorum = bench.cosigned(&[1]).await;
    assert_eq!(seen().await, ReleaseSeen::Seen);
    let none = DisclosureId::from_bytes([9; 16]);
    let seen = bench.store.release_seen(partner, none, quorum(2)).await.unwrap();
    assert_eq!(seen, ReleaseSeen::NoRelease);
}

pub(crate) async fn a_witnessed_head_proves_itself_to_its_partner(bench: Bench) {
    let partner: PartnerName = "au-border".parse().unwrap();
    let own = Journal::Partner(partner.clone());
    let head = |from| bench.store.head_witnessed(partner.clone(), quorum(2), from);
    let (_, _, _) = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    let early = bench.journal_checkpoint(own.clone()).await;
    let (_, _, _) = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    let at_head = bench.journal_checkpoint(own.clone()).await;
    assert!(head(0).await.unwrap().is_none(), "nothing is witnessed yet");
    let before = bench.journal_checkpoint(Journal::Holder).await.size;
    assert_eq!(bench.store.heads_record().await.unwrap(), 1);
    let (cosigned, newest) = bench.cosigned(&[1, 3]).await;
    assert_eq!(newest, Some(cosigned));
    let after = bench.journal_checkpoint(Journal::Holder).await.size;
    assert_eq!(after, before + 2, "the head and the entry that it was witnessed");
    let (_, newest) = bench.cosigned(&[1, 3]).await;
    assert_eq!(newest, Some(after));
    assert_eq!(bench.journal_checkpoint(Journal::Holder).await.size, after, "which is not witnessed in turn");
    let (_, _, _) = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    let late = bench.journal_checkpoint(own).await;

    let found = head(early.size).await.unwrap().unwrap();
    let receipt = Receipt::parse(&found.receipt).unwrap();
    let verified = receipt.verify(&found.verifier_key.parse().unwrap()).unwrap();
    assert_eq!(cosigners(&receipt.checkpoint, &quorum(2).witnesses).unwrap().len(), 2);
    let event = verified.event.unwrap();
    assert_eq!((event.kind, event.fact(Fact::Journal)), (Kind::JournalHead, Some(b"au-border".as_slice())));
    assert_eq!(event.fact(Fact::TreeSize), Some(at_head.size.to_be_bytes().as_slice()));
    let root = Hash::from_slice(event.fact(Fact::Root).unwrap()).unwrap();
    assert_eq!((root, found.size), (at_head.root, at_head.size));
    let proof = found.proof.unwrap();
    verify_consistency(early.size, found.size, &proof, &early.root, &root).unwrap();
    let proof = head(late.size).await.unwrap().unwrap().proof.unwrap();
    verify_consistency(found.size, late.size, &proof, &root, &late.root).unwrap();
    assert!(head(late.size + 1).await.unwrap().unwrap().proof.is_none(), "the journal is not so large");
    let other = bench.store.head_witnessed("ca-border".parse().unwrap(), quorum(2), 0).await.unwrap();
    assert!(other.is_none(), "an empty journal has no head");
}
