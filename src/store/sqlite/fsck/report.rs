//! What a check found: faults by name and place, and how much was looked at.

use std::fmt;

use crate::audit::tree::Hash;
use crate::ids::{ChangeId, DisclosureId, QueryId};
use crate::store::StoreError;

/// What a check of a store came to.
#[derive(Debug, Clone, Default)]
pub struct FsckReport {
    /// Each journal, as it follows from its entries.
    pub journals: Vec<JournalFound>,
    /// How much was looked at.
    pub counts: FsckCounts,
    /// The first faults, at most a thousand.
    pub faults: Vec<Fault>,
    /// All faults.
    pub faults_total: u64,
    /// What could not be checked and is no fault by itself, such as the signature of a key that is not kept any
    /// more.
    pub unchecked: Vec<Fault>,
}

impl FsckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.faults_total == 0
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, place: FaultPlace, what: impl Into<String>) {
        self.faults_total = self.faults_total.saturating_add(1);
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(Fault { place, what: what.into() });
        }
    }

    /// Notes what could not be checked.
    pub(super) fn unchecked(&mut self, place: FaultPlace, what: impl Into<String>) {
        if self.unchecked.len() < FAULTS_KEPT {
            self.unchecked.push(Fault { place, what: what.into() });
        }
    }

    /// Notes a part of the check that could not go on, so that the others do.
    pub(super) fn part(&mut self, place: FaultPlace, done: Result<(), StoreError>) {
        if let Err(error) = done {
            self.fault(place, format!("what stands here can't be read: {}", chain(&error)));
        }
    }
}

/// A journal as it follows from its entries.
#[derive(Debug, Clone)]
pub struct JournalFound {
    /// Its name.
    pub name: String,
    /// Its entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Its checkpoints.
    pub checkpoints: u64,
    /// Entries of which both sides were opened.
    pub opened: u64,
    /// Entries whose openings were disposed of.
    pub disposed: u64,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FsckCounts {
    /// Queries that were compared with their entries.
    pub queries: u64,
    /// Receipts that were made as they would be handed out, and verified.
    pub receipts: u64,
    /// Disclosures that were replayed.
    pub disclosures: u64,
    /// Changes of the rules or the people.
    pub changes: u64,
    /// Signatures of people and systems that were verified.
    pub signatures: u64,
    /// Heads of partners' journals in the holder's.
    pub heads: u64,
    /// Tags of entries.
    pub tags: u64,
    /// Templates that were opened.
    pub templates: u64,
    /// Fields of records that were opened.
    pub fields: u64,
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: FaultPlace,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// Where something is wrong. People stand here by the number of their row, never by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPlace {
    /// One of the two databases.
    Database(&'static str),
    /// A table, and the row in it by its key or its number.
    Row {
        /// The table.
        table: &'static str,
        /// The row.
        row: String,
    },
    /// A journal.
    Journal(String),
    /// An entry of a journal.
    Entry {
        /// The journal.
        journal: String,
        /// The index.
        index: u64,
    },
    /// A tile of a journal.
    Tile {
        /// The journal.
        journal: String,
        /// Its path in C2SP tlog-tiles.
        path: String,
    },
    /// A checkpoint of a journal.
    Checkpoint {
        /// The journal.
        journal: String,
        /// The number of entries that it is over.
        size: u64,
    },
    /// A query.
    Query(QueryId),
    /// A disclosure.
    Disclosure(DisclosureId),
    /// A change.
    Change(ChangeId),
    /// The counter of a day's queries.
    Usage {
        /// The partner.
        partner: String,
        /// The agreement.
        agreement: String,
        /// Days since 1970-01-01.
        day: i64,
    },
    /// A key of the key store.
    Key(String),
}

impl fmt::Display for FaultPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(file) => write!(out, "{file}"),
            Self::Row { table, row } => write!(out, "{table}, {row}"),
            Self::Journal(journal) => write!(out, "journal {journal}"),
            Self::Entry { journal, index } => write!(out, "journal {journal}, entry {index}"),
            Self::Tile { journal, path } => write!(out, "journal {journal}, {path}"),
            Self::Checkpoint { journal, size } => write!(out, "journal {journal}, checkpoint {size}"),
            Self::Query(id) => write!(out, "{}", id.resource()),
            Self::Disclosure(id) => write!(out, "{}", id.resource()),
            Self::Change(id) => write!(out, "{}", id.resource()),
            Self::Usage { partner, agreement, day } => {
                write!(out, "usage of {agreement} by {partner} on day {day}")
            }
            Self::Key(key) => write!(out, "key of {key}"),
        }
    }
}

/// An error with its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Enough to see what happened; a damaged disk has millions.
pub(super) const FAULTS_KEPT: usize = 1_000;
