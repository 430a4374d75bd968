//! The log: what an entry says, how it is hidden, and how anyone checks it. No I/O, no clock, no store.
//!
//! An [`event::Event`] states what happened. Partner and holder each get their own event of one happening;
//! an [`entry::Entry`] commits to both without showing either, and an [`entry::Opening`] opens one side.
//! Entries are the leaves of a [`tree`] (RFC 6962) per journal, whose head is signed as a
//! [`checkpoint::Checkpoint`]; a [`receipt::Receipt`] ties an entry to one, so that it can be checked
//! offline. Witnesses add a [`cosignature`] to a checkpoint that is handed to them as a
//! [`submission::Submission`]. Formats are those of C2SP: signed-note, tlog-checkpoint, tlog-tiles, tlog-proof,
//! tlog-cosignature and tlog-witness.
//!
//! The offline verifier is built from this room alone.

pub mod backup;
pub mod checkpoint;
pub mod codec;
pub mod cosignature;
pub mod entry;
pub mod event;
mod fact;
pub mod handover;
pub mod journal;
pub mod note;
pub mod proof;
pub mod receipt;
pub mod submission;
pub mod tiles;
pub mod tree;
