//! The keys of the journal in an export: the hand-overs that lead to the one which signed its checkpoint.

use super::super::checkpoint::Checkpoint;
use super::super::entry::Entry;
use super::super::event::{Event, Kind};
use super::super::handover::{HandOver, KeyChain};
use super::super::note::{NoteError, VerifierKey};
use super::super::proof::root;
use super::{CHECKPOINT_PATH, ExportFiles, ExportTiles, Fault, KEY_PATH, read};

/// The path of the hand-over of this number, from zero.
#[must_use]
pub fn handover_path(number: usize) -> String {
    format!("{HANDOVER_PREFIX}{number}")
}

/// Reads the hand-overs until there is none more.
pub(super) fn read_chain<F: ExportFiles>(files: &F, key: &VerifierKey) -> Result<KeyChain, Fault<F::Error>> {
    let mut changes = Vec::new();
    loop {
        let path = handover_path(changes.len());
        let text = files.read(&path).map_err(|source| Fault::Unreadable { path: path.clone(), source })?;
        let Some(text) = text else { break };
        let text = String::from_utf8(text).map_err(|_| Fault::Missing { path: path.clone() })?;
        let change = HandOver::parse(&text, key.name());
        changes.push(change.map_err(|source| Fault::HandOver { path, source })?);
    }
    let path = handover_path(changes.len().saturating_sub(1));
    KeyChain::new(key, changes).map_err(|source| Fault::HandOver { path, source })
}

/// Opens the checkpoint with the newest of the keys, and compares the key that the export brings with it.
pub(super) fn read_checkpoint<F: ExportFiles>(
    files: &F,
    chain: &KeyChain,
) -> Result<Checkpoint, Fault<F::Error>> {
    let key = chain.newest();
    let note = read(files, CHECKPOINT_PATH)?;
    let malformed = |_| Fault::Checkpoint(NoteError::Malformed.into());
    let checkpoint =
        Checkpoint::open(&String::from_utf8(note).map_err(malformed)?, key).map_err(Fault::Checkpoint)?;
    let brought = files.read(KEY_PATH);
    let brought = brought.map_err(|source| Fault::Unreadable { path: KEY_PATH.to_owned(), source })?;
    match brought {
        Some(text) if text != format!("{key}\n").as_bytes() => Err(Fault::Key),
        _ => Ok(checkpoint),
    }
}

/// Whether a path is that of one of so many hand-overs.
pub(super) fn is_handover(path: &str, chain: &KeyChain) -> bool {
    (0..chain.changes().len()).any(|number| path == handover_path(number))
}

/// An entry that a hand-over is about is the hand-over's own.
pub(super) fn check_entry<F: ExportFiles>(
    chain: &KeyChain,
    index: u64,
    entry: &Entry,
) -> Result<(), Fault<F::Error>> {
    match chain.changes().iter().find(|change| change.index == index) {
        Some(change) if change.entry.encode() != entry.encode() => Err(Fault::HandOverElsewhere { index }),
        _ => Ok(()),
    }
}

/// An entry that says that the key changed has its hand-over.
pub(super) fn check_event<F: ExportFiles>(
    chain: &KeyChain,
    index: u64,
    event: &Event,
) -> Result<(), Fault<F::Error>> {
    let told = chain.changes().iter().any(|change| change.index == index);
    if event.kind == Kind::LogKeyChanged && !told { Err(Fault::HandOverMissing { index }) } else { Ok(()) }
}

/// Each hand-over's checkpoint is over the first entries of this very journal.
pub(super) fn check_roots<F: ExportFiles>(
    tiles: &ExportTiles<'_, F>,
    chain: &KeyChain,
    size: u64,
) -> Result<(), Fault<F::Error>> {
    for change in chain.changes() {
        let found = if change.size <= size { root(tiles, change.size).ok() } else { None };
        if found != Some(change.root) {
            return Err(Fault::HandOverElsewhere { index: change.index });
        }
    }
    Ok(())
}

const HANDOVER_PREFIX: &str = "handover/";
