//! Exports of journals that changed their key: whole, and with hand-overs that are none.

use super::tests::{Files, drafts, export_of, signer};
use super::*;
use crate::audit::entry::Draft;
use crate::audit::event::{Fact, Kind};
use crate::audit::handover::HandOver;
use crate::audit::note::{Ed25519Signer, NoteSigner};
use crate::audit::proof::inclusion_proof;
use crate::audit::receipt::Receipt;
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::secret::SystemEntropy;

const ORIGIN: &str = "immigration.example/onebit/au-border";
/// Where the key changes, and under a checkpoint over how many entries.
const AT: u64 = 299;
const UNDER: u64 = 301;
const SIZE: u64 = 600;

fn other() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[8; 32])
}

fn key(signer: &Ed25519Signer) -> VerifierKey {
    VerifierKey::new(ORIGIN, signer.public_key()).unwrap()
}

fn change(old: &Ed25519Signer, new: &Ed25519Signer) -> Draft {
    let policy = Digest::sha256(b"policy");
    let event = Event::new(Kind::LogKeyChanged, Timestamp::from_millis(0), "onebit", policy)
        .with(Fact::OldPublicKey, &old.public_key())
        .with(Fact::NewPublicKey, &new.public_key())
        .text(Fact::Origin, ORIGIN);
    Draft::blind(&event, &event, &SystemEntropy::new()).unwrap()
}

/// A journal whose entry `AT` changes its key, as entries.
fn journal(change: &Draft) -> Vec<Draft> {
    let mut drafts = drafts(SIZE);
    drafts[usize::try_from(AT).unwrap()] = change.clone();
    drafts
}

/// The hand-over of that entry, made of the tiles of an export.
fn handover(files: &Files, change: &Draft, old: &Ed25519Signer, new: &Ed25519Signer) -> Vec<u8> {
    let tiles = ExportTiles::new(files, SIZE);
    let head = Checkpoint { origin: ORIGIN.to_owned(), size: UNDER, root: root(&tiles, UNDER).unwrap() };
    let receipt = Receipt {
        entry: change.entry,
        opening: Some(change.partner.clone()),
        index: AT,
        proof: inclusion_proof(&tiles, AT, UNDER).unwrap(),
        checkpoint: head.sign_both(old, new),
    };
    receipt.to_text().into_bytes()
}

/// An export that changed its key from that of [`signer`] to that of [`other`].
fn changed() -> Files {
    let change = change(&signer(), &other());
    let mut files = export_of(&journal(&change), ORIGIN, &other());
    let handover = handover(&files, &change, &signer(), &other());
    files.insert(handover_path(0), handover);
    files
}

fn verify(files: &Files, key: &VerifierKey) -> Result<Report, String> {
    let seen = &mut |_, _, _: &Event| {};
    verify_export(files, key, &mut |_, _| {}, seen).map_err(|fault| {
        let source = fault.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("{fault}{source}")
    })
}

#[test]
fn the_old_key_leads_to_the_new_one_and_the_new_one_needs_nothing() {
    let files = changed();
    let old = verify(&files, &key(&signer())).unwrap();
    assert_eq!((old.size, old.keys.newest(), old.keys.followed().len()), (SIZE, &key(&other()), 1));
    assert_eq!((old.keys.followed()[0].index, old.keys.followed()[0].size), (AT, UNDER));
    let new = verify(&files, &key(&other())).unwrap();
    assert_eq!((new.root, new.keys.followed().len(), new.keys.changes().len()), (old.root, 0, 1));
    let stranger = Ed25519Signer::from_seed(&[9; 32]);
    assert!(verify(&files, &key(&stranger)).unwrap_err().contains("none of the hand-overs"));
    let kept = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 17,
        root: root(&ExportTiles::new(&files, SIZE), 17).unwrap(),
    };
    let kept = old.keys.open(&kept.sign(&signer())).unwrap();
    verify_growth(&files, &old, &kept).unwrap();
}

#[test]
fn without_its_hand_over_an_export_is_refused_under_either_key() {
    let mut files = changed();
    files.remove(&handover_path(0));
    let old = verify(&files, &key(&signer())).unwrap_err();
    assert!(old.contains("`checkpoint` was refused"), "{old}");
    let new = verify(&files, &key(&other())).unwrap_err();
    assert_eq!(
        new,
        "entry 299 says that the log's key changed, and its hand-over is missing; ask for the export again"
    );
}

#[test]
fn a_forged_hand_over_is_refused() {
    // Of a thief who has the old key: whole in itself, over a journal of his own.
    let thief = Ed25519Signer::from_seed(&[9; 32]);
    let stolen = change(&signer(), &thief);
    let own = export_of(&journal(&stolen), ORIGIN, &thief);
    let forged = handover(&own, &stolen, &signer(), &thief);
    assert!(HandOver::parse(std::str::from_utf8(&forged).unwrap(), ORIGIN).is_ok());
    // Put into the honest export, signed anew by him.
    let mut files = export_of(&journal(&change(&signer(), &other())), ORIGIN, &thief);
    files.insert(handover_path(0), forged);
    let refused = verify(&files, &key(&signer())).unwrap_err();
    assert!(
        refused.starts_with("entry 299: its hand-over to another key was signed over another journal"),
        "{refused}"
    );
    // Without the old key, he can't even make one.
    let by_himself = handover(&own, &stolen, &thief, &thief);
    let mut files = changed();
    files.insert(handover_path(0), by_himself);
    assert!(verify(&files, &key(&signer())).unwrap_err().starts_with("`handover/0` was refused"));
}

#[test]
fn hand_overs_are_all_that_there_may_be_and_of_this_journal() {
    let mut files = changed();
    let text = files[&handover_path(0)].clone();
    files.insert(handover_path(2), text.clone());
    assert!(verify(&files, &key(&signer())).unwrap_err().contains("`handover/2` does not belong"));
    files.remove(&handover_path(2));
    files.insert(handover_path(1), text);
    assert!(verify(&files, &key(&signer())).unwrap_err().contains("hand-over 1 does not follow"));
    let mut files = changed();
    files.insert(handover_path(0), b"no receipt".to_vec());
    assert!(verify(&files, &key(&signer())).unwrap_err().starts_with("`handover/0` was refused"));
    // A root of its own under the entry of the journal.
    let change = change(&signer(), &other());
    let mut files = export_of(&journal(&change), ORIGIN, &other());
    let mut elsewhere = journal(&change);
    elsewhere.swap(1, 2);
    let own = export_of(&elsewhere, ORIGIN, &other());
    files.insert(handover_path(0), handover(&own, &change, &signer(), &other()));
    assert!(verify(&files, &key(&other())).unwrap_err().contains("was signed over another journal"));
}
