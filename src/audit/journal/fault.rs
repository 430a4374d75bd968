//! What can be wrong with an export.

use std::error::Error;

use super::openings::OpeningsError;
use crate::audit::checkpoint::CheckpointError;
use crate::audit::entry::{EntryError, Side};
use crate::audit::handover::HandOverError;
use crate::audit::tiles::TileError;
use crate::audit::tree::Hash;

/// What is wrong with an export, and where.
#[derive(Debug, thiserror::Error)]
pub enum Fault<E: Error + 'static> {
    /// A file could not be read, or the files not listed.
    #[error("read `{path}`")]
    Unreadable {
        /// The file, or `.` for the list of files.
        path: String,
        /// What the reader says.
        source: E,
    },
    /// A file that a journal of this size has is not there.
    #[error("`{path}` is missing; ask for the export again")]
    Missing {
        /// The file.
        path: String,
    },
    /// A file that a journal of this size doesn't have.
    #[error(
        "`{path}` does not belong to a journal of {size} entries; keep it elsewhere, or ask for the export again"
    )]
    Stranger {
        /// The file.
        path: String,
        /// Entries in the journal.
        size: u64,
    },
    /// The export brings another key than the one it is verified with.
    #[error(
        "`key` is not the verifier key that you gave; ask the holder, on another way, which one is right"
    )]
    Key,
    /// The checkpoint is not one that the key signed.
    #[error("`checkpoint` was refused")]
    Checkpoint(#[source] CheckpointError),
    /// A hand-over from one key to the next that doesn't hold.
    #[error("`{path}` was refused")]
    HandOver {
        /// The hand-over.
        path: String,
        /// What is wrong with it.
        source: HandOverError,
    },
    /// A hand-over that is whole in itself, and not of these entries.
    #[error(
        "entry {index}: its hand-over to another key was signed over another journal; don't trust that key, keep both, \
         and report it"
    )]
    HandOverElsewhere {
        /// Index of the entry that the hand-over is of.
        index: u64,
    },
    /// An entry says that the key changed, and there is no hand-over.
    #[error(
        "entry {index} says that the log's key changed, and its hand-over is missing; ask for the export again"
    )]
    HandOverMissing {
        /// Index of the entry.
        index: u64,
    },
    /// Bytes that are no entry bundle.
    #[error("`{path}` can't be taken apart")]
    Bundle {
        /// The bundle.
        path: String,
        /// What is wrong with it.
        source: TileError,
    },
    /// Bytes of a bundle that are no entry.
    #[error("entry {index}: its bytes are none of an entry")]
    Entry {
        /// Index of the entry.
        index: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Entries that are not those which the checkpoint was signed over.
    #[error("{}: not what the checkpoint was signed over", entries(.first, .last))]
    Altered {
        /// Index of the first entry that may be concerned.
        first: u64,
        /// Index of the last one.
        last: u64,
    },
    /// A tile of another length than its name says.
    #[error("`{path}` is no tile")]
    TileForm {
        /// The tile.
        path: String,
        /// What is wrong with it.
        source: TileError,
    },
    /// A tile that doesn't follow from the entries, which themselves are those that were signed.
    #[error(
        "`{path}`: hash {hash} does not follow from the entries, which are as signed; ask for this tile again"
    )]
    Tile {
        /// The tile.
        path: String,
        /// Index of the first wrong hash within the tile.
        hash: usize,
    },
    /// Tile and entries contradict each other, and neither leads to the signed root.
    #[error(
        "{} and hash {hash} of `{path}` contradict each other, and neither leads to the checkpoint; ask for the export again",
        entries(.first, .last)
    )]
    Contradiction {
        /// Index of the first entry that may be concerned.
        first: u64,
        /// Index of the last one.
        last: u64,
        /// The tile.
        path: String,
        /// Index of the first differing hash within the tile.
        hash: usize,
    },
    /// Entries and tiles agree with each other, and not with the checkpoint.
    #[error(
        "the entries lead to root {derived}, and the checkpoint was signed over {signed}; keep both and report it"
    )]
    Root {
        /// The root that follows from the entries.
        derived: Hash,
        /// The root in the checkpoint.
        signed: Hash,
    },
    /// Bytes that are no openings of a bundle.
    #[error("`{path}` can't be taken apart")]
    Openings {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: OpeningsError,
    },
    /// An opening that is not the entry's.
    #[error("entry {index}: the opening of its {} side was refused", name(*.side))]
    Opening {
        /// Index of the entry.
        index: u64,
        /// The side that it should open.
        side: Side,
        /// What is wrong with it.
        source: EntryError,
    },
    /// The journal doesn't begin with what an older checkpoint was signed over.
    #[error(
        "the journal was rewritten: its first {size} entries have root {found}, and {signed} was signed; keep both and report it"
    )]
    Rewritten {
        /// Entries in the older checkpoint.
        size: u64,
        /// The root of so many entries in this journal.
        found: Hash,
        /// The root in the older checkpoint.
        signed: Hash,
    },
    /// The older checkpoint is of more entries than the journal has, or of another journal.
    #[error("the checkpoint of `{origin}` with {size} entries is not an older one of this journal")]
    NotOlder {
        /// The journal in the checkpoint.
        origin: String,
        /// Entries in the checkpoint.
        size: u64,
    },
}

fn entries(first: &u64, last: &u64) -> String {
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

const fn name(side: Side) -> &'static str {
    match side {
        Side::Partner => "partner's",
        Side::Holder => "holder's",
    }
}
