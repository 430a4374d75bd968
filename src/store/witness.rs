//! What witnesses of the holder's journal saw of it, and what that covers.

use crate::audit::cosignature::{Cosignature, WitnessKey};
use crate::audit::tree::Hash;

/// Whose cosignatures count, and how many are needed.
#[derive(Debug, Clone)]
pub struct Quorum {
    /// The keys of the witnesses.
    pub witnesses: Vec<WitnessKey>,
    /// How many of them.
    pub needed: usize,
}

/// The newest checkpoint of the holder's journal, to be handed to witnesses.
#[derive(Debug, Clone)]
pub struct Unwitnessed {
    /// Its size.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// For each witness asked about, the size that it cosigned last, as far as is known here; zero when it is not.
    pub cosigned: Vec<u64>,
}

/// What a witness gave.
#[derive(Debug, Clone)]
pub struct Given {
    /// The witness.
    pub witness: WitnessKey,
    /// Its cosignature, verified.
    pub cosignature: Cosignature,
}

/// The newest checkpoint of the holder's journal that a quorum cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Its size.
    pub size: u64,
    /// The signed note with the lines of the witnesses.
    pub note: String,
}

/// Whether a release stands in what a quorum of witnesses saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseSeen {
    /// There is no release.
    NoRelease,
    /// Not yet.
    NotYet,
    /// A checkpoint that a quorum cosigned covers a head of the partner's journal that covers its entry.
    Seen,
}

/// The newest head of a partner's journal that a quorum of witnesses saw in the holder's journal.
pub struct WitnessedHead {
    /// The number of entries of the partner's journal at that head.
    pub size: u64,
    /// The receipt (C2SP tlog-proof) of the head's entry in the holder's journal, opened on the holder's side, under
    /// the checkpoint with the lines of the witnesses.
    pub receipt: String,
    /// The consistency proof between that head and the size that was asked for, the smaller one first; `None` when
    /// the partner's journal has not so many entries.
    pub proof: Option<Vec<Hash>>,
    /// The key that verifies the holder's journal.
    pub verifier_key: String,
}
