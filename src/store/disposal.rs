//! Disposal of the log's payloads at the end of their retention: keys and bytes go, commitments and totals stay.

/// What is kept of a class of payloads, and how much of it is from before a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFacts {
    /// The oldest day (from 1970-01-01) that is kept; `None` when nothing is.
    pub oldest: Option<i64>,
    /// Days from before the date that have a key.
    pub days: u64,
    /// Entries from before the date that can be opened.
    pub entries: u64,
    /// What still needs something from before the date; `None` when nothing does.
    pub needed: Option<String>,
    /// Whether a disposal that is in effect has yet to be finished on the disk.
    pub unfinished: Unfinished,
}

/// Whether something is left of a disposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// Keys or bytes may still be there; a job and the next start try again.
    Yes,
    /// Nothing is.
    No,
}
