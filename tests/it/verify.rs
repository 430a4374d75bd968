//! The offline verifier as people run it: the executable, folders and files, words and exit codes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't be set up has to stop")]

use std::fs;
use std::path::Path;
use std::process::Command;

use onebit::audit::checkpoint::Checkpoint;
use onebit::audit::entry::Draft;
use onebit::audit::event::{Event, Fact, Kind};
use onebit::audit::journal::encode_openings;
use onebit::audit::note::{Ed25519Signer, NoteSigner, VerifierKey};
use onebit::audit::receipt::Receipt;
use onebit::audit::tiles::{bundles_of, encode_bundle, encode_tile, tile_of};
use onebit::audit::tree::Edge;
use onebit::clock::Timestamp;
use onebit::ids::Digest;
use onebit::secret::SystemEntropy;
use tempfile::TempDir;

const ORIGIN: &str = "immigration.example/onebit/au-border";

#[test]
fn a_whole_journal_is_called_whole() {
    let journal = Journal::of(1_300);
    let folder = journal.export(1_300);
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key()]);
    assert_eq!(code, 0, "{words}");
    let root = journal.checkpoint(1_300).root;
    assert!(words.starts_with(&format!("the journal is whole: 1,300 entries, root {root}\n")), "{words}");
    assert!(words.contains("1,300 of its entries were opened"), "{words}");
    assert!(!words.contains("query.answered"), "events are shown on request only: {words}");
}

#[test]
fn opened_entries_are_shown_on_request() {
    let journal = Journal::of(2);
    let folder = journal.export(2);
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key(), "--show"]);
    assert_eq!(code, 0, "{words}");
    for shown in ["entry 1, partner's side", "query.answered", "2026-01-01T00:00:00.001Z", "C-1"] {
        assert!(words.contains(shown), "`{shown}` is not in: {words}");
    }
}

#[test]
fn a_flipped_byte_is_refused_by_its_place() {
    let journal = Journal::of(300);
    for (file, byte, place) in [
        ("tile/entries/000", 67 * 17 + 40, "entry 17: "),
        ("tile/0/001.p/44", 0, "`tile/0/001.p/44`: hash 0 "),
        ("openings/000", 10, "entry 0: the opening of its partner's side "),
        ("checkpoint", 0, "`checkpoint` was refused"),
    ] {
        let folder = journal.export(300);
        let path = folder.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[byte] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key()]);
        assert_eq!(code, 1, "{words}");
        assert!(words.starts_with(&format!("REFUSED: {place}")), "a flip in `{file}` was called: {words}");
    }
}

#[test]
fn files_too_few_and_too_many_are_refused_by_name() {
    let journal = Journal::of(300);
    let folder = journal.export(300);
    fs::remove_file(folder.path().join("tile/1/000.p/1")).unwrap();
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key()]);
    assert_eq!((code, words.starts_with("REFUSED: `tile/1/000.p/1` is missing")), (1, true), "{words}");
    let folder = journal.export(300);
    fs::write(folder.path().join("tile/no\u{1b}te"), "x").unwrap();
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key()]);
    assert_eq!(code, 1, "{words}");
    assert!(words.starts_with("REFUSED: `tile/no\\u{1b}te` does not belong"), "{words}");
}

#[test]
fn an_older_checkpoint_shows_whether_the_journal_was_rewritten() {
    let journal = Journal::of(300);
    let folder = journal.export(300);
    let kept = TempDir::new().unwrap();
    let since = at(&kept, "kept");
    fs::write(&since, journal.checkpoint(100).sign(&signer())).unwrap();
    let args = ["journal", &at(&folder, ""), "--key", &journal.key(), "--since", &since];
    let (code, words) = verify(&args);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("its first 100 entries are those of the older checkpoint"), "{words}");
    fs::write(&since, Journal::of(100).checkpoint(100).sign(&signer())).unwrap();
    let (code, words) = verify(&args);
    assert_eq!(code, 1, "{words}");
    assert!(words.starts_with("REFUSED: the journal was rewritten: its first 100 entries"), "{words}");
}

#[test]
fn the_key_may_be_a_file_and_the_export_may_not_choose_it() {
    let journal = Journal::of(3);
    let folder = journal.export(3);
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &at(&folder, "key")]);
    assert_eq!(code, 0, "{words}");
    let stranger = VerifierKey::new(ORIGIN, Ed25519Signer::from_seed(&[8; 32]).public_key()).unwrap();
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &stranger.to_string()]);
    assert_eq!((code, words.starts_with("REFUSED: `checkpoint` was refused")), (1, true), "{words}");
}

#[test]
fn a_receipt_is_verified_alone() {
    let journal = Journal::of(300);
    let folder = TempDir::new().unwrap();
    let file = at(&folder, "receipt");
    let text = journal.receipt(17);
    fs::write(&file, &text).unwrap();
    let (code, words) = verify(&["receipt", &file, "--key", &journal.key(), "--show"]);
    assert_eq!(code, 0, "{words}");
    assert!(words.starts_with(&format!("the receipt holds: entry 17 of 300 in `{ORIGIN}`\n")), "{words}");
    assert!(words.contains("query.answered") && words.contains("C-17"), "{words}");
    fs::write(&file, text.replace("index 17", "index 18")).unwrap();
    let (code, words) = verify(&["receipt", &file, "--key", &journal.key()]);
    assert_eq!((code, words.starts_with("REFUSED: ")), (1, true), "{words}");
}

#[test]
fn wrong_arguments_and_unreadable_files_are_told_from_refusals() {
    let journal = Journal::of(1);
    let folder = journal.export(1);
    let nowhere = at(&folder, "nowhere");
    for args in [
        &["journal"][..],
        &["verify", &nowhere, "--key", &journal.key()],
        &["journal", &nowhere, "--key", &journal.key()],
        &["receipt", &nowhere, "--key", &journal.key()],
        &["journal", &at(&folder, ""), "--key", &nowhere],
        &["journal", &at(&folder, ""), "--key", &at(&folder, "checkpoint")],
    ] {
        let (code, words) = verify(args);
        assert_eq!(
            (code, words.as_str()),
            (2, ""),
            "{args:?} must end with 2 and say nothing on standard output"
        );
    }
    let (code, words) = verify(&["--help"]);
    assert!(code == 0 && words.contains("usage: onebit-verify journal"), "{words}");
    let (code, words) = verify(&["--version"]);
    assert_eq!((code, words.trim()), (0, concat!("onebit-verify ", env!("CARGO_PKG_VERSION"))));
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out_of_the_export() {
    let journal = Journal::of(3);
    let folder = journal.export(3);
    let outside = TempDir::new().unwrap();
    let bundle = folder.path().join("tile/entries/000.p/3");
    fs::rename(&bundle, outside.path().join("bundle")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("bundle"), &bundle).unwrap();
    let (code, words) = verify(&["journal", &at(&folder, ""), "--key", &journal.key()]);
    assert_eq!((code, words.as_str()), (2, ""), "the link was followed");
}

/// A journal with all that opens it.
struct Journal(Vec<Draft>);

impl Journal {
    fn of(size: i64) -> Self {
        let entropy = SystemEntropy::new();
        let event = |number: i64| {
            let at = Timestamp::from_millis(1_767_225_600_000 + number);
            Event::new(Kind::QueryAnswered, at, "au-border", Digest::sha256(b"policy"))
                .text(Fact::Case, &format!("C-{number}"))
        };
        let drafts = (0..size).map(|number| Draft::blind(&event(number), &event(number), &entropy).unwrap());
        Self(drafts.collect())
    }

    fn key(&self) -> String {
        VerifierKey::new(ORIGIN, signer().public_key()).unwrap().to_string()
    }

    fn edge(&self, size: usize) -> Edge {
        let mut edge = Edge::new();
        self.0[..size].iter().for_each(|draft| edge.append(draft.entry.leaf_hash()));
        edge
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let edge = self.edge(size);
        Checkpoint { origin: ORIGIN.to_owned(), size: edge.size(), root: edge.root() }
    }

    /// A folder with the export of the first `size` entries, the partner's sides opened.
    fn export(&self, size: usize) -> TempDir {
        let folder = TempDir::new().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        };
        let edge = self.edge(size);
        for tile in edge.changed() {
            let id = tile_of(tile.level, tile.index, edge.size()).unwrap();
            write(&id.path(), &encode_tile(&tile.hashes));
        }
        for (bundle, drafts) in bundles_of(edge.size()).zip(self.0[..size].chunks(256)) {
            let entries: Vec<_> = drafts.iter().map(|draft| draft.entry.encode()).collect();
            write(&bundle.path(), &encode_bundle(entries.iter().map(<[u8; 65]>::as_slice)).unwrap());
            let openings: Vec<_> = drafts.iter().map(|draft| vec![draft.partner.clone()]).collect();
            write(&bundle.openings_path(), &encode_openings(&openings));
        }
        write("checkpoint", self.checkpoint(size).sign(&signer()).as_bytes());
        write("key", format!("{}\n", self.key()).as_bytes());
        folder
    }

    fn receipt(&self, index: usize) -> String {
        let place = u64::try_from(index).unwrap();
        let draft = &self.0[index];
        let receipt = Receipt {
            entry: draft.entry,
            opening: Some(draft.partner.clone()),
            index: place,
            proof: self.edge(self.0.len()).prove(place).unwrap(),
            checkpoint: self.checkpoint(self.0.len()).sign(&signer()),
        };
        receipt.to_text()
    }
}

fn signer() -> Ed25519Signer {
    Ed25519Signer::from_seed(&[7; 32])
}

fn at(folder: &TempDir, file: &str) -> String {
    Path::new(folder.path()).join(file).to_str().unwrap().to_owned()
}

/// Exit code and standard output of the verifier.
fn verify(args: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_onebit-verify")).args(args).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
}
