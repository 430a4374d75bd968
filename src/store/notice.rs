//! Notices: that something happened to a disclosure, for whoever is to be told.

use std::fmt;
use std::str::FromStr;

use crate::approval::State;
use crate::clock::Timestamp;
use crate::ids::DisclosureId;

/// What a notice tells. The words go to receivers and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKind {
    /// A partner asked for fields.
    New,
    /// It is open, and late or near its end.
    Expiring,
    /// Officers asked the partner for information.
    NeedsInformation,
    /// The partner answered.
    Answered,
    /// It was released or denied.
    Decided,
    /// The partner has opened the release.
    Collected,
    /// Its time, or that of its release, ran out.
    Lapsed,
    /// The partner took its request back.
    Withdrawn,
    /// The holder took the release back.
    Revoked,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::New,
        Self::Expiring,
        Self::NeedsInformation,
        Self::Answered,
        Self::Decided,
        Self::Collected,
        Self::Lapsed,
        Self::Withdrawn,
        Self::Revoked,
    ];

    /// What a partner is told of its own disclosures: what it could ask for, and did not do itself.
    pub const OF_PARTNERS: [Self; 4] = [Self::NeedsInformation, Self::Decided, Self::Lapsed, Self::Revoked];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expiring => "expiring",
            Self::NeedsInformation => "needs-information",
            Self::Answered => "answered",
            Self::Decided => "decided",
            Self::Collected => "collected",
            Self::Lapsed => "lapsed",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }

    /// What is told of a step from one state to another, by what the partner could read: a lock is told as the end that
    /// it looks like, and why nothing leaves is told in no case.
    #[must_use]
    pub fn of_step(from: State, to: State) -> Option<Self> {
        if from == to {
            return None;
        }
        match (from, to) {
            (_, State::NeedsInformation) => Some(Self::NeedsInformation),
            (State::NeedsInformation, State::Pending) => Some(Self::Answered),
            (State::Released, State::Locked) | (_, State::Revoked) => Some(Self::Revoked),
            (_, State::Released | State::Denied | State::Locked) => Some(Self::Decided),
            (_, State::Acknowledged) => Some(Self::Collected),
            (_, State::Expired | State::Lapsed) => Some(Self::Lapsed),
            (_, State::Withdrawn) => Some(Self::Withdrawn),
            (_, State::Pending | State::PartiallyApproved | State::Approved) => None,
        }
    }

    /// Whether a disclosure that is in this state now can have come by it.
    #[must_use]
    pub const fn fits(self, now: State) -> bool {
        match self {
            Self::New | Self::Expiring | Self::NeedsInformation | Self::Answered => true,
            Self::Decided => matches!(
                now,
                State::Released
                    | State::Denied
                    | State::Locked
                    | State::Acknowledged
                    | State::Lapsed
                    | State::Revoked
            ),
            Self::Collected => matches!(now, State::Acknowledged),
            Self::Lapsed => matches!(now, State::Expired | State::Lapsed),
            Self::Withdrawn => matches!(now, State::Withdrawn),
            Self::Revoked => matches!(now, State::Revoked | State::Locked),
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for NoticeKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let known: Vec<String> = Self::ALL.iter().map(|kind| format!("`{kind}`")).collect();
            format!("`{text}` is no kind of notice; those that there are: {}", known.join(", "))
        })
    }
}

/// A notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Its number here.
    pub sequence: i64,
    /// Its id, random: receivers drop by it what comes twice.
    pub id: [u8; 16],
    /// What it tells.
    pub kind: NoticeKind,
    /// Of which disclosure.
    pub disclosure: DisclosureId,
    /// When it happened.
    pub at: Timestamp,
}

/// To whom a notice goes.
pub struct Addressed {
    /// The notice.
    pub sequence: i64,
    /// Receivers by name, each with the time from when on it is told.
    pub receivers: Vec<(String, Timestamp)>,
    /// When officers are to be reminded of its disclosure.
    pub remind: Option<(DisclosureId, Timestamp)>,
}

/// A notice on its way to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The notice.
    pub notice: Notice,
    /// When it should have been delivered at first.
    pub begun: Timestamp,
    /// How often it was tried.
    pub tries: u32,
}

/// What came of trying a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// The receiver has it.
    Done,
    /// It is tried again at this time; a fixed word says why.
    Again(Timestamp, &'static str),
    /// It is not tried any more; a fixed word says why.
    GivenUp(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for kind in NoticeKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert!("approved".parse::<NoticeKind>().unwrap_err().contains("`needs-information`"));
    }

    #[test]
    fn a_partner_is_told_nothing_that_its_own_state_does_not_show() {
        // Between asking and release there is one state for it.
        let open = [State::Pending, State::PartiallyApproved, State::Approved];
        for from in open {
            for to in open {
                assert_eq!(NoticeKind::of_step(from, to), None, "{from:?} to {to:?}");
            }
            let ends = [State::Denied, State::Locked, State::Released];
            for to in ends {
                assert_eq!(
                    NoticeKind::of_step(from, to),
                    Some(NoticeKind::Decided),
                    "how it ended is not told"
                );
            }
        }
        let taken_back = [State::Revoked, State::Locked].map(|to| NoticeKind::of_step(State::Released, to));
        assert_eq!(
            taken_back,
            [Some(NoticeKind::Revoked); 2],
            "a lock looks like a release that was taken back"
        );
        let kinds = [NoticeKind::New, NoticeKind::Expiring, NoticeKind::Answered];
        assert!(kinds.iter().all(|kind| !NoticeKind::OF_PARTNERS.contains(kind)));
    }

    #[test]
    fn what_a_step_is_told_by_fits_the_state_that_it_comes_to() {
        let all = [
            State::Pending,
            State::NeedsInformation,
            State::PartiallyApproved,
            State::Approved,
            State::Released,
            State::Acknowledged,
            State::Denied,
            State::Withdrawn,
            State::Expired,
            State::Lapsed,
            State::Revoked,
            State::Locked,
        ];
        for from in all {
            for to in all {
                if let Some(kind) = NoticeKind::of_step(from, to) {
                    assert!(kind.fits(to), "{from:?} to {to:?} is told as {kind}");
                }
            }
        }
    }
}
