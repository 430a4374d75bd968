//! The review that an urgent release owes.

use super::deed::Deed;
use crate::clock::Timestamp;

/// What an urgent release owes: somebody who decided nothing in the case says afterwards whether it was justified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub(super) due: Timestamp,
    pub(super) late: bool,
    pub(super) closed: Option<(Deed, Timestamp)>,
}

impl Review {
    /// Until when it is to be closed.
    #[must_use]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// Whether it was noted that it was not closed in time.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Who closed it with which finding and words, and when.
    #[must_use]
    pub const fn closed(&self) -> Option<&(Deed, Timestamp)> {
        self.closed.as_ref()
    }

    /// Whether it is still to be closed.
    #[must_use]
    pub const fn is_owed(&self) -> bool {
        self.closed.is_none()
    }
}
