//! Exports kept in memory, whole and spoilt.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::audit::entry::{Draft, EntryError, Opening};
use crate::audit::event::{Fact, Kind};
use crate::audit::note::{Ed25519Signer, NoteSigner};
use crate::audit::tiles::{encode_bundle, encode_tile};
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::secret::{Entropy, EntropyError};

pub(super) type Files = BTreeMap<String, Vec<u8>>;
type TestFault = Fault<Infallible>;

impl ExportFiles for Files {
    type Error = Infallible;
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.get(path).cloned())
    }
    fn paths(&self, visit: &mut dyn FnMut(&str)) -> Result<(), Infallible> {
        self.keys().for_each(|path| visit(path));
        Ok(())
    }
}

/// Salts that differ, and are the same in every run.
#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let drawn = Digest::sha256(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes.iter_mut().zip(drawn.as_bytes()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

const ORIGIN: &str = "immigration.example/onebit/au-border";

pub(super) fn signer() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[7; 32])
}

fn key() -> VerifierKey {
    VerifierKey::new(ORIGIN, signer().public_key()).unwrap()
}

pub(super) fn drafts(size: u64) -> Vec<Draft> {
    let entropy = Counted::default();
    let event = |number: u64| {
        let at = Timestamp::from_millis(1_767_225_600_000 + i64::try_from(number).unwrap());
        Event::new(Kind::QueryAnswered, at, "au-border", Digest::sha256(b"policy")).text(Fact::Case, "C-1")
    };
    let holder = |number| event(number).number(Fact::Samples, 1);
    (0..size).map(|number| Draft::blind(&event(number), &holder(number), &entropy).unwrap()).collect()
}

fn export(drafts: &[Draft], origin: &str) -> Files {
    export_of(drafts, origin, &signer())
}

/// An export whose checkpoint this key signed.
pub(super) fn export_of(drafts: &[Draft], origin: &str, signer: &Ed25519Signer) -> Files {
    let mut files = Files::new();
    let mut edge = Edge::new();
    drafts.iter().for_each(|draft| edge.append(draft.entry.leaf_hash()));
    for tile in edge.changed() {
        let id = tile_of(tile.level, tile.index, edge.size()).unwrap();
        files.insert(id.path(), encode_tile(&tile.hashes));
    }
    for (bundle, drafts) in bundles_of(edge.size()).zip(drafts.chunks(256)) {
        let entries: Vec<_> = drafts.iter().map(|draft| draft.entry.encode()).collect();
        files.insert(bundle.path(), encode_bundle(entries.iter().map(<[u8; 65]>::as_slice)).unwrap());
        // Not every entry is opened to every reader.
        let openings = |(number, draft): (usize, &Draft)| match number % 3 {
            0 => vec![draft.partner.clone(), draft.holder.clone()],
            1 => vec![draft.partner.clone()],
            _ => Vec::new(),
        };
        let openings: Vec<_> = drafts.iter().enumerate().map(openings).collect();
        files.insert(bundle.openings_path(), encode_openings(&openings));
    }
    let checkpoint = Checkpoint { origin: origin.to_owned(), size: edge.size(), root: edge.root() };
    files.insert(CHECKPOINT_PATH.to_owned(), checkpoint.sign(signer).into_bytes());
    let key = VerifierKey::new(ORIGIN, signer.public_key()).unwrap();
    files.insert(KEY_PATH.to_owned(), format!("{key}\n").into_bytes());
    files
}

fn verify(files: &Files) -> Result<Report, TestFault> {
    verify_export(files, &key(), &mut |_, _| {}, &mut |_, _, _| {})
}

/// The verdict in words, which is how a reader gets it.
fn verdict(files: &Files) -> String {
    verify(files).map_or_else(|fault| fault.to_string(), |report| format!("{} entries", report.size))
}

#[test]
fn a_whole_export_is_verified() {
    for size in [0, 1, 2, 255, 256, 257, 600] {
        let files = export(&drafts(size), ORIGIN);
        let (mut steps, mut events) = (Vec::new(), 0);
        let report = verify_export(
            &files,
            &key(),
            &mut |done, total| steps.push((done, total)),
            &mut |_, _, event| events += u64::from(event.kind == Kind::QueryAnswered),
        );
        let report = report.unwrap_or_else(|fault| panic!("{size} entries: {fault}"));
        let opened = (0..size).filter(|index| index % 256 % 3 < 2).count();
        let both = (0..size).filter(|index| index % 256 % 3 == 0).count();
        assert_eq!((report.size, report.origin.as_str()), (size, ORIGIN));
        assert_eq!(report.opened, u64::try_from(opened).unwrap());
        assert_eq!(events, u64::try_from(opened + both).unwrap());
        assert_eq!(steps.last().copied(), (size > 0).then_some((size, size)));
    }
}

#[test]
fn whatever_is_changed_is_named() {
    let whole = export(&drafts(600), ORIGIN);
    let changed = |path: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = whole.clone();
        change(files.get_mut(path).unwrap());
        verdict(&files)
    };
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 1;
    // An entry has two bytes of length, one of version and two commitments.
    assert_eq!(
        changed("tile/entries/000", &flip(67 * 17 + 3)),
        "entry 17: not what the checkpoint was signed over"
    );
    assert_eq!(changed("tile/entries/000", &flip(67 * 17 + 2)), "entry 17: its bytes are none of an entry");
    assert_eq!(changed("tile/entries/000", &flip(67 * 17)), "`tile/entries/000` can't be taken apart");
    let last = changed("tile/entries/002.p/88", &flip(67 * 87 + 40));
    assert_eq!(last, "entry 599: not what the checkpoint was signed over");
    assert!(changed("tile/0/001", &flip(32)).starts_with("`tile/0/001`: hash 1 does not follow"));
    assert!(changed("tile/0/002.p/88", &flip(0)).starts_with("`tile/0/002.p/88`: hash 0 does not"));
    assert!(changed("tile/1/000.p/2", &flip(33)).starts_with("`tile/1/000.p/2`: hash 1 does not"));
    assert_eq!(changed("tile/0/000", &|bytes| bytes.truncate(32)), "`tile/0/000` is no tile");
    assert_eq!(
        changed("openings/000", &flip(5)),
        "`openings/000` can't be taken apart",
        "the side of entry 0"
    );
    let salt = changed("openings/000", &flip(6));
    assert_eq!(salt, "entry 0: the opening of its partner's side was refused");
    assert_eq!(changed("openings/001", &|bytes| bytes.push(0)), "`openings/001` can't be taken apart");
    assert_eq!(changed("checkpoint", &flip(0)), "`checkpoint` was refused");
    assert!(changed("key", &flip(0)).starts_with("`key` is not the verifier key that you gave"));
    assert!(
        changed("key", &|bytes| bytes.clear()).starts_with("`key` is not the verifier key that you gave")
    );
}

#[test]
fn a_missing_file_is_named() {
    let whole = export(&drafts(600), ORIGIN);
    for path in whole.keys().filter(|path| *path != KEY_PATH) {
        let mut files = whole.clone();
        files.remove(path);
        assert_eq!(verdict(&files), format!("`{path}` is missing; ask for the export again"));
    }
    // Only the number of opened entries tells when all openings are left out.
    let mut blind = whole;
    blind.retain(|path, _| !path.starts_with("openings/"));
    assert_eq!(verify(&blind).unwrap().opened, 0);
}

#[test]
fn a_file_too_many_is_named() {
    let whole = export(&drafts(300), ORIGIN);
    for path in
        ["tile/0/002", "tile/entries/000.p/7", "openings/001", "notes.txt", "tile/0/0", "tile/2/000.p/1"]
    {
        let mut files = whole.clone();
        files.insert(path.to_owned(), b"x".to_vec());
        assert!(
            verdict(&files).starts_with(&format!("`{path}` does not belong to a journal of 300 entries"))
        );
    }
}

#[test]
fn a_rebuilt_tree_does_not_fit_the_signed_checkpoint() {
    let mut forged_drafts = drafts(600);
    forged_drafts.swap(3, 4);
    let signed = export(&drafts(600), ORIGIN);
    let mut forged = export(&forged_drafts, ORIGIN);
    forged.insert(CHECKPOINT_PATH.to_owned(), signed[CHECKPOINT_PATH].clone());
    assert!(matches!(verify(&forged), Err(Fault::Root { .. })), "{}", verdict(&forged));
    // One level short of a whole forgery.
    forged.insert("tile/1/000.p/2".to_owned(), signed["tile/1/000.p/2"].clone());
    assert_eq!(verdict(&forged), "entries 0 to 255: not what the checkpoint was signed over");
    // Entries and the tile above are forged, each in its own way.
    forged.insert("tile/0/000".to_owned(), vec![0; 8_192]);
    assert!(verdict(&forged).starts_with("entry 0 and hash 0 of `tile/0/000` contradict each other"));
}

#[test]
fn an_export_of_another_journal_or_key_is_refused() {
    let other = export(&drafts(3), "immigration.example/onebit/nz-police");
    assert_eq!(verdict(&other), "`checkpoint` was refused");
    let stranger = VerifierKey::new(ORIGIN, Ed25519Signer::from_seed(&[8; 32]).public_key()).unwrap();
    let mut files = export(&drafts(3), ORIGIN);
    files.insert(KEY_PATH.to_owned(), format!("{stranger}\n").into_bytes());
    let with_its_own = verify_export(&files, &stranger, &mut |_, _| {}, &mut |_, _, _| {});
    assert!(matches!(with_its_own, Err(Fault::Checkpoint(_))), "a key in the export must not be trusted");
    assert!(matches!(verify(&files), Err(Fault::Key)));
}

#[test]
fn a_journal_that_was_rewritten_is_found_by_an_older_checkpoint() {
    let older = |drafts: &[Draft]| {
        let files = export(drafts, ORIGIN);
        Checkpoint::open(std::str::from_utf8(&files[CHECKPOINT_PATH]).unwrap(), &key()).unwrap()
    };
    let drafts = drafts(600);
    let files = export(&drafts, ORIGIN);
    let report = verify(&files).unwrap();
    for size in [0, 1, 255, 256, 257, 511, 600] {
        let kept = older(&drafts[..size]);
        assert!(verify_growth(&files, &report, &kept).is_ok(), "{size} entries are the beginning of 600");
    }
    let mut swapped = drafts.clone();
    swapped.swap(0, 1);
    let rewritten = verify_growth(&files, &report, &older(&swapped[..300]));
    assert!(matches!(rewritten, Err(Fault::Rewritten { size: 300, .. })));
    let newer = Checkpoint { size: 601, ..older(&drafts) };
    assert!(matches!(verify_growth(&files, &report, &newer), Err(Fault::NotOlder { size: 601, .. })));
    let other = Checkpoint { origin: "else.example".to_owned(), ..older(&drafts) };
    assert!(matches!(verify_growth(&files, &report, &other), Err(Fault::NotOlder { .. })));
}

#[test]
fn openings_have_one_form() {
    let draft = drafts(1).remove(0);
    let bundle = BundleId::new(2, 1).unwrap();
    let both = vec![vec![draft.holder.clone(), draft.partner.clone()]];
    let bytes = encode_openings(&both);
    let sides: Vec<Side> = parse_openings(&bytes, bundle).unwrap()[0].iter().map(Opening::side).collect();
    assert_eq!(sides, [Side::Partner, Side::Holder]);
    let one = [529_u32.to_be_bytes().as_slice(), &draft.partner.encode()].concat();
    assert_eq!(bytes[1..one.len() + 1], one, "a prefix of four bytes and the opening");
    let refused = |bytes: &[u8]| parse_openings(bytes, bundle).map(|openings| openings.len()).unwrap_err();
    assert_eq!(refused(&[]), OpeningsError::Form(512));
    assert_eq!(refused(&[0, 0]), OpeningsError::Trailing);
    assert_eq!(refused(&[1, 0, 0, 0]), OpeningsError::Form(512));
    assert_eq!(refused(&[1, 0, 0, 0, 1]), OpeningsError::Form(512));
    assert_eq!(refused(&[[2].as_slice(), &one, &one].concat()), OpeningsError::Form(512));
    let empty = OpeningsError::Opening { index: 512, source: EntryError::Opening };
    assert_eq!(refused(&[1, 0, 0, 0, 0]), empty);
}

#[test]
fn every_byte_of_an_export_counts() {
    let whole = export(&drafts(3), ORIGIN);
    for (path, bytes) in &whole {
        for at in 0..bytes.len() {
            let mut files = whole.clone();
            files.get_mut(path).unwrap()[at] ^= 0x20;
            assert!(verify(&files).is_err(), "a flip at byte {at} of `{path}` was not found");
        }
    }
}

/// Whether the fault names the file, or the entry that the file says something about.
fn names(fault: &TestFault, path: &str) -> bool {
    let resource = Resource::parse(path).ok();
    let (first, last) = match fault {
        Fault::Key => return path == KEY_PATH,
        Fault::Checkpoint(_) => return path == CHECKPOINT_PATH,
        Fault::Altered { first, last } => (*first, *last),
        Fault::Entry { index, .. } | Fault::Opening { index, .. } => (*index, *index),
        other => return other.to_string().contains(&format!("`{path}`")),
    };
    match resource {
        Some(Resource::Bundle(bundle) | Resource::Openings(bundle)) => {
            let indices = bundle.first_entry()..bundle.first_entry() + u64::from(bundle.width());
            indices.contains(&first) && indices.contains(&last)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_change_is_found_and_named(which in any::<Index>(), a in any::<Index>(), b in any::<Index>(), flip in 1..=u8::MAX, how in 0..6) {
        let whole = export(&drafts(300), ORIGIN);
        let path = which.get(&whole.keys().cloned().collect::<Vec<_>>()).clone();
        let mut bytes = whole[&path].clone();
        let (at, to) = (a.index(bytes.len()), b.index(bytes.len()));
        match how {
            0 => bytes[at] ^= flip,
            1 => { bytes.remove(at); }
            2 => bytes.truncate(at),
            3 => bytes.insert(at, flip),
            4 => bytes.swap(at, to),
            _ => bytes.push(flip),
        }
        let same = bytes == whole[&path];
        let mut files = whole;
        files.insert(path.clone(), bytes);
        match verify(&files) {
            Ok(_) => prop_assert!(same, "a change of `{}` was not found", path),
            Err(fault) => prop_assert!(!same && names(&fault, &path), "a change of `{}` was called: {}", path, fault),
        }
    }

    #[test]
    fn files_that_changed_places_are_found(a in any::<Index>(), b in any::<Index>()) {
        let whole = export(&drafts(600), ORIGIN);
        let paths: Vec<String> = whole.keys().cloned().collect();
        let (one, other) = (a.get(&paths), b.get(&paths));
        let mut files = whole.clone();
        files.insert(one.clone(), whole[other].clone());
        files.insert(other.clone(), whole[one].clone());
        match verify(&files) {
            Ok(_) => prop_assert_eq!(one, other),
            Err(fault) => prop_assert!(names(&fault, one) || names(&fault, other), "called: {}", fault),
        }
    }
}
