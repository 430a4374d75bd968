//! What a partner kept of its journal: receipts and a checkpoint, and whether the journal still says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::audit::entry::Entry;
use crate::audit::handover::KeyChain;
use crate::audit::receipt::{HEADER, Receipt};
use crate::audit::tree::Hash;
use crate::cli::fault::CliError;
use crate::cli::files;

/// What the holder signed earlier and cannot take back: heads of the journal, and entries at their places.
#[derive(Default)]
pub(super) struct Kept {
    heads: BTreeMap<u64, (Hash, String)>,
    entries: BTreeMap<u64, (Entry, String)>,
    /// Whether receipts were given, so that an answer without one is none that was asked for.
    has_receipts: bool,
}

impl Kept {
    /// Reads receipts and checks each of them with the key of its time: of a file, or of every file in a folder and those below.
    ///
    /// # Errors
    /// [`CliError`] when a file has none, one does not hold, or two contradict one another.
    pub(super) fn receipts(&mut self, path: &Path, keys: &KeyChain) -> Result<(), CliError> {
        self.has_receipts = true;
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(inside(&path)?);
            } else {
                self.file(&path, keys)?;
            }
        }
        Ok(())
    }

    /// Keeps a checkpoint that was opened: the journal has to begin with what it was signed over.
    ///
    /// # Errors
    /// [`CliError`] when another one of the same size has another root.
    pub(super) fn head(&mut self, size: u64, root: Hash, from: &str) -> Result<(), CliError> {
        let (known, earlier) = self.heads.entry(size).or_insert_with(|| (root, from.to_owned()));
        if *known == root {
            return Ok(());
        }
        Err(CliError::Found(format!(
            "REFUSED: the holder signed two journals of {size} entries, one in {earlier} and one in {from}; keep both \
             and report it"
        )))
    }

    /// Compares the journal, as far as it was read, with the head that was kept of it at this size.
    pub(super) fn compare_head(&self, size: u64, root: impl FnOnce() -> Hash) -> Result<(), CliError> {
        match self.heads.get(&size) {
            Some((kept, from)) if root() != *kept => Err(CliError::Found(format!(
                "REFUSED: the journal was rewritten: its first {size} entries are not those of the checkpoint in \
                 {from}; keep it and report it"
            ))),
            _ => Ok(()),
        }
    }

    /// Compares an entry with the receipt that was kept of it, and says whether there is one.
    pub(super) fn compare_entry(&self, index: u64, entry: &Entry) -> Result<bool, CliError> {
        match self.entries.get(&index) {
            Some((kept, from)) if kept != entry => Err(CliError::Found(format!(
                "REFUSED: entry {index} is not the one that the receipt in {from} proves; keep it and report it"
            ))),
            kept => Ok(kept.is_some()),
        }
    }

    /// Checks that the journal did not become shorter than what was kept of it.
    pub(super) fn compare_size(&self, size: u64) -> Result<(), CliError> {
        match self.heads.last_key_value() {
            Some((kept, (_, from))) if *kept > size => Err(CliError::Found(format!(
                "REFUSED: the journal had {kept} entries at the checkpoint in {from}, and has {size} now; keep it and \
                 report it"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether receipts were given: whoever gives some gives all.
    pub(super) const fn has_all_receipts(&self) -> bool {
        self.has_receipts
    }

    /// How many entries receipts were kept of.
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    fn file(&mut self, path: &Path, keys: &KeyChain) -> Result<(), CliError> {
        let (text, from) = (files::read_text(path)?, format!("`{}`", path.display()));
        if text.starts_with(HEADER) {
            return self.receipt(&text, &from, keys);
        }
        let mut answers = 0_u64;
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let none = |error| {
                CliError::because(
                    format!("{from} is neither a receipt nor what `--output json` prints; take it away"),
                    error,
                )
            };
            // What was refused has no receipt.
            let value = value.map_err(none)?;
            answers = answers.saturating_add(1);
            if let Some(receipt) = value.get("receipt").and_then(Value::as_str) {
                self.receipt(receipt, &format!("{from}, answer {answers}"), keys)?;
            }
        }
        Ok(())
    }

    fn receipt(&mut self, text: &str, from: &str, keys: &KeyChain) -> Result<(), CliError> {
        let refused = || format!("REFUSED: the receipt in {from} does not hold");
        let receipt = Receipt::parse(text).map_err(|error| CliError::because(refused(), error))?;
        let verified = keys.verify(&receipt).map_err(|error| CliError::because(refused(), error))?;
        self.head(verified.size, verified.root, from)?;
        let (entry, earlier) =
            self.entries.entry(receipt.index).or_insert_with(|| (receipt.entry, from.to_owned()));
        if *entry == receipt.entry {
            return Ok(());
        }
        Err(CliError::Found(format!(
            "REFUSED: the holder signed two entries {}, one in {earlier} and one in {from}; keep both and report it",
            receipt.index
        )))
    }
}

fn inside(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |source| CliError::read(folder, source);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::entry::Draft;
    use crate::audit::event::{Event, Kind};
    use crate::audit::note::{Ed25519Signer, NoteSigner, VerifierKey};
    use crate::audit::tree::Edge;
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::SystemEntropy;

    const ORIGIN: &str = "immigration.example/onebit/au-border";

    fn keys() -> KeyChain {
        let key = VerifierKey::new(ORIGIN, Ed25519Signer::from_seed(&[7; 32]).public_key()).unwrap();
        KeyChain::new(&key, Vec::new()).unwrap()
    }

    fn journal(size: usize) -> Vec<Entry> {
        let event = Event::new(Kind::QueryAnswered, Timestamp::from_millis(0), "au", Digest::sha256(b"p"));
        let draft = |_| Draft::blind(&event, &event, &SystemEntropy::new()).unwrap().entry;
        (0..size).map(draft).collect()
    }

    /// The receipt of the newest of these entries.
    fn receipt(entries: &[Entry]) -> String {
        let mut tree = Edge::new();
        entries.iter().for_each(|entry| tree.append(entry.leaf_hash()));
        let (size, root) = (tree.size(), tree.root());
        let head = Checkpoint { origin: ORIGIN.to_owned(), size, root };
        let receipt = Receipt {
            entry: *entries.last().unwrap(),
            opening: None,
            index: size - 1,
            proof: tree.prove(size - 1).unwrap(),
            checkpoint: head.sign(&Ed25519Signer::from_seed(&[7; 32])),
        };
        receipt.to_text()
    }

    #[test]
    fn receipts_are_read_from_files_of_every_form_in_every_folder() {
        let (folder, journal) = (tempfile::tempdir().unwrap(), journal(4));
        let below = folder.path().join("2026/11");
        fs::create_dir_all(&below).unwrap();
        fs::write(folder.path().join("0.receipt"), receipt(&journal[..1])).unwrap();
        let answers = [1, 2].map(|index| serde_json::json!({ "receipt": receipt(&journal[..=index]) }));
        let lines = format!("{}\n{{\"refused\": {{}}}}\n{}\n", answers[0], answers[1]);
        fs::write(below.join("answers.jsonl"), lines).unwrap();
        let mut kept = Kept::default();
        kept.receipts(folder.path(), &keys()).unwrap();
        assert_eq!(kept.entries(), 3);
        assert!(kept.compare_entry(2, &journal[2]).unwrap());
        assert!(!kept.compare_entry(3, &journal[3]).unwrap());
        let other = kept.compare_entry(2, &journal[1]).unwrap_err().to_string();
        assert!(other.contains("entry 2 is not the one") && other.contains("answer 3"), "{other}");
        assert!(kept.compare_size(2).unwrap_err().to_string().contains("had 3 entries"));
        fs::write(below.join("notes.txt"), "to do").unwrap();
        let stray = Kept::default().receipts(folder.path(), &keys()).unwrap_err().to_string();
        assert!(stray.contains("notes.txt") && stray.contains("neither a receipt"), "{stray}");
    }

    #[test]
    fn receipts_that_contradict_one_another_are_told_as_such() {
        let (folder, one, other) = (tempfile::tempdir().unwrap(), journal(5), journal(3));
        fs::write(folder.path().join("one"), receipt(&one[..3])).unwrap();
        fs::write(folder.path().join("other"), receipt(&other)).unwrap();
        let told = Kept::default().receipts(folder.path(), &keys()).unwrap_err().to_string();
        assert!(told.contains("signed two journals of 3 entries"), "{told}");
        fs::write(folder.path().join("other"), receipt(&one).replace("index 4", "index 3")).unwrap();
        let told = Kept::default().receipts(folder.path(), &keys()).unwrap_err().to_string();
        assert!(told.contains("does not hold"), "{told}");
    }
}
