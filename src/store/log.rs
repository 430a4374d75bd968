//! The log as it is read, proven and exported.

use crate::audit::entry::{Entry, Opening};
use crate::audit::event::Event;
use crate::audit::note::VerifierKey;
use crate::audit::tree::Hash;
use crate::clock::Timestamp;

use super::Journal;

/// A journal and its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalHead {
    /// Which.
    pub journal: Journal,
    /// The origin in its checkpoints.
    pub origin: String,
    /// The number of its entries.
    pub size: u64,
}

/// A checkpoint with the key that verifies it.
pub struct Bundled {
    /// The signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
    /// The verifier key (C2SP signed-note).
    pub verifier_key: String,
    /// All keys of the journal, from the first on.
    pub keys: Vec<LogKey>,
}

/// A key of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The verifier key.
    pub key: VerifierKey,
    /// The size of the first checkpoint that it signs.
    pub from_size: u64,
    /// The entry that made it the key and the hand-over (a C2SP tlog-proof); `None` for the first.
    pub handover: Option<(u64, String)>,
}

/// An entry with what opens the reader's side.
pub struct LoggedEntry {
    /// The index in the journal, from zero.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// What opens the reader's side; `None` when it was disposed of at the end of its retention.
    pub opening: Option<Opening>,
}

/// A read of the log by a privacy officer.
pub struct Read {
    /// The journal.
    pub journal: Journal,
    /// The first index.
    pub from: u64,
    /// How many entries at most.
    pub limit: u32,
    /// Whether a proof is wanted for each.
    pub proofs: Proofs,
    /// Why.
    pub why: String,
}

/// Whether proofs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proofs {
    /// For each entry.
    Each,
    /// For none.
    Without,
}

/// An entry as far as it can be opened, and its proof where it was wanted.
pub struct ProvenEntry {
    /// The index in the journal, from zero.
    pub index: u64,
    /// When it was entered.
    pub at: Timestamp,
    /// What the holder's side says; `None` when it was disposed of at the end of its retention.
    pub event: Option<Event>,
    /// The proof (C2SP tlog-proof).
    pub proof: Option<String>,
}

/// What an export will hold: a journal as it stood.
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// The journal.
    pub journal: Journal,
    /// Its size.
    pub size: u64,
    /// The files, in the order they are best written.
    pub files: Vec<ExportFile>,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// The path in the export.
    pub path: String,
    /// What it holds.
    pub part: ExportPart,
}

/// What a file of an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportPart {
    /// The checkpoint of the export's size.
    Checkpoint,
    /// The verifier key.
    VerifierKey,
    /// The hand-over from one key to the next that this entry made.
    HandOver {
        /// Its index.
        index: u64,
    },
    /// A tile of hashes.
    Tile {
        /// The level of the tile.
        level: u8,
        /// The index of the tile in its level.
        index: u64,
        /// The number of hashes in it.
        width: u16,
    },
    /// A bundle of entries.
    Entries {
        /// The index of the bundle.
        index: u64,
        /// The number of entries in it.
        width: u16,
    },
    /// What opens the entries of a bundle.
    Openings {
        /// The index of the bundle.
        index: u64,
        /// The number of entries in it.
        width: u16,
    },
}

/// The proof that a journal only grew.
pub struct Consistency {
    /// The hashes (RFC 6962, section 2.1.2).
    pub hashes: Vec<Hash>,
    /// The larger size.
    pub to: u64,
}
