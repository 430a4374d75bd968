//! Where a disclosure stands, why it was denied, and who may decide about it at this moment.

use std::fmt;
use std::str::FromStr;

use super::FormError;
use super::factors::DeciderRole;
use crate::ids::ActorName;

/// Where a disclosure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nobody has decided.
    Pending,
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
    /// Its time ran out. Final.
    Expired,
}

impl State {
    /// The state as it is stored and shown; these words never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::PartiallyApproved => "partially-approved",
            Self::Approved => "approved",
            Self::Released => "released",
            Self::Acknowledged => "acknowledged",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// Whether nothing leaves this state.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::PartiallyApproved | Self::Approved | Self::Released => false,
            Self::Acknowledged | Self::Denied | Self::Withdrawn | Self::Expired => true,
        }
    }

    /// Whether people may still decide, and the partner withdraw.
    #[must_use]
    pub const fn is_open(self) -> bool {
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
        STATES
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| FormError::State(text.chars().take(STATE_SHOWN_CHARS).collect()))
    }
}

/// Why a disclosure ended as denied. For the holder's side only: a partner sees one word for all three.
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

/// What the registry says of one person in one role, at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eligible {
    /// The person.
    pub officer: ActorName,
    /// The role.
    pub role: DeciderRole,
    /// Whether that person may decide in it.
    pub standing: DeciderStanding,
}

/// Who stands twice in a role, once active and once not, may not decide: no means no.
pub(super) fn may_decide(officer: &ActorName, role: DeciderRole, eligible: &[Eligible]) -> bool {
    let mut standings = eligible.iter().filter(|one| one.officer == *officer && one.role == role).peekable();
    standings.peek().is_some() && standings.all(|one| one.standing == DeciderStanding::Active)
}

const STATES: [State; 8] = [
    State::Pending,
    State::PartiallyApproved,
    State::Approved,
    State::Released,
    State::Acknowledged,
    State::Denied,
    State::Withdrawn,
    State::Expired,
];
const STATE_SHOWN_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_keep_their_words() {
        for state in STATES {
            assert_eq!(
                state.as_str().parse(),
                Ok(state),
                "`State::as_str` and `STATES` must name every state"
            );
        }
        assert!("open".parse::<State>().is_err());
    }
}
