//! Where a disclosure stands, why it was denied, and who may decide about it at this moment.

use std::fmt;
use std::str::FromStr;

use super::FormError;
use super::decision::Decision;
use super::factors::DeciderRole;
use crate::ids::{ActorName, UnitName};

/// Where a disclosure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nobody has decided.
    Pending,
    /// An officer asked the partner for information; approvals so far no longer count.
    NeedsInformation,
    /// Somebody has granted, and more is needed.
    PartiallyApproved,
    /// Every factor has granted; nothing has left.
    Approved,
    /// One ciphertext was made; the partner may fetch it.
    Released,
    /// The partner has it, and it is deleted here. Final.
    Acknowledged,
    /// People said no, or nothing can leave. Final.
    Denied,
    /// The partner took it back. Final.
    Withdrawn,
    /// Not decided in time. Final.
    Expired,
    /// Approved and released, and not acknowledged in time. Final.
    Lapsed,
    /// The holder took the release back before it was acknowledged. Final.
    Revoked,
    /// A person of the holder ended it, and nothing is added any more, not even a note; what was released before may be
    /// corrected all the same. Final.
    Locked,
}

impl State {
    /// Every state, in the order of a disclosure's life.
    pub const ALL: [Self; 12] = [
        Self::Pending,
        Self::NeedsInformation,
        Self::PartiallyApproved,
        Self::Approved,
        Self::Released,
        Self::Acknowledged,
        Self::Denied,
        Self::Withdrawn,
        Self::Expired,
        Self::Lapsed,
        Self::Revoked,
        Self::Locked,
    ];

    /// The state as it is stored and shown; these words never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::NeedsInformation => "needs-information",
            Self::PartiallyApproved => "partially-approved",
            Self::Approved => "approved",
            Self::Released => "released",
            Self::Acknowledged => "acknowledged",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
            Self::Locked => "locked",
        }
    }

    /// Whether nothing leaves this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending
            | Self::NeedsInformation
            | Self::PartiallyApproved
            | Self::Approved
            | Self::Released => false,
            Self::Acknowledged
            | Self::Denied
            | Self::Withdrawn
            | Self::Expired
            | Self::Lapsed
            | Self::Revoked
            | Self::Locked => true,
        }
    }

    /// Whether it is before release and end: officers ask and step back, and the partner withdraws.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::NeedsInformation | Self::PartiallyApproved | Self::Approved)
    }

    /// Whether people may decide: not while the partner is being asked.
    #[must_use]
    pub const fn is_decidable(self) -> bool {
        matches!(self, Self::Pending | Self::PartiallyApproved | Self::Approved)
    }
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = FormError;
    fn from_str(text: &str) -> Result<Self, FormError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| FormError::State(text.chars().take(STATE_SHOWN_CHARS).collect()))
    }
}

/// Why a disclosure ended as denied. For the holder's side only: a partner sees one word for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// An officer said no.
    ByDecision,
    /// The officers granted fields, but none in common. Each approval means these fields and no more; a union
    /// would let one person release what the others withheld, so what is left is the intersection, and when that
    /// is empty no further approval can make it larger.
    NothingInCommon,
    /// The subject was hidden or erased after the hit; it ends as a refusal by people does.
    Withheld,
    /// An officer found that the hit is not that person.
    HitErroneous,
}

/// Whether a person may decide in a role at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeciderStanding {
    /// Holds the role, and nothing stands against it.
    Active,
    /// Suspended, or the role was taken away.
    Inactive,
    /// Enrolled the subject, and so may not decide about it.
    Enroller,
}

/// What the registry says of one person in one seat, at this moment: their own, or one that somebody delegated to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eligible {
    /// The person.
    pub officer: ActorName,
    /// The role.
    pub role: DeciderRole,
    /// Whether that person may decide in it.
    pub standing: DeciderStanding,
    /// The unit that the seat belongs to, if the registry names one.
    pub unit: Option<UnitName>,
    /// Whose seat it is, where it is delegated; none for the person's own.
    pub on_behalf: Option<ActorName>,
}

/// A person, in a role, in their own seat or in one that was delegated to them.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) officer: &'a ActorName,
    pub(super) role: DeciderRole,
    pub(super) on_behalf: Option<&'a ActorName>,
}

impl<'a> Seat<'a> {
    /// The seat that a decision fills.
    pub(super) fn of(decision: &'a Decision) -> Self {
        Self { officer: decision.officer(), role: decision.role(), on_behalf: decision.on_behalf() }
    }

    fn found(self, eligible: &[Eligible]) -> impl Iterator<Item = &Eligible> {
        eligible.iter().filter(move |one| {
            (&one.officer, one.role, one.on_behalf.as_ref()) == (self.officer, self.role, self.on_behalf)
        })
    }

    /// Who stands twice in a role, once active and once not, may not decide: no means no.
    pub(super) fn may_decide(self, eligible: &[Eligible]) -> bool {
        let mut standings = self.found(eligible).peekable();
        standings.peek().is_some() && standings.all(|one| one.standing == DeciderStanding::Active)
    }

    /// The unit that it counts for; none when entries name different ones.
    pub(super) fn unit(self, eligible: &[Eligible]) -> Option<UnitName> {
        let mut found = self.found(eligible);
        let first = found.next()?.unit.clone()?;
        found.all(|one| one.unit.as_ref() == Some(&first)).then_some(first)
    }
}

const STATE_SHOWN_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_their_words() {
        for state in State::ALL {
            assert_eq!(
                state.as_str().parse(),
                Ok(state),
                "`State::as_str` and `State::ALL` must name every state"
            );
        }
        assert!("open".parse::<State>().is_err());
    }
}
