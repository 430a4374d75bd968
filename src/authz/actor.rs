//! Who asks: a person or a system, in one role, with its standing.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ActorName, PartnerName};

/// What a person or a system may be at the holder; everybody has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A system of a partner, which asks.
    PartnerSystem,
    /// A system of the holder, which enrols.
    EnrolmentSystem,
    /// A system of a third agency that keeps and signs what it sees of the holder's journal.
    Witness,
    /// A person who decides about disclosures.
    ApprovingOfficer,
    /// A person who compares and advises.
    Examiner,
    /// A person who watches over the log and confirms changes.
    PrivacyOfficer,
    /// A person who looks after people, partners and rules.
    Administrator,
}

impl Role {
    /// Every role, in the order of the documents.
    pub const ALL: [Self; 7] = [
        Self::PartnerSystem,
        Self::EnrolmentSystem,
        Self::Witness,
        Self::ApprovingOfficer,
        Self::Examiner,
        Self::PrivacyOfficer,
        Self::Administrator,
    ];

    /// The role as it stands in certificates, rules and agreements.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PartnerSystem => "partner-system",
            Self::EnrolmentSystem => "enrolment-system",
            Self::Witness => "witness",
            Self::ApprovingOfficer => "approving-officer",
            Self::Examiner => "examiner",
            Self::PrivacyOfficer => "privacy-officer",
            Self::Administrator => "administrator",
        }
    }
}

impl Role {
    /// Whether systems have it, and not people.
    #[must_use]
    pub const fn is_of_systems(self) -> bool {
        matches!(self, Self::PartnerSystem | Self::EnrolmentSystem | Self::Witness)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ActorError;
    fn from_str(text: &str) -> Result<Self, ActorError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| ActorError::Role(shortened(text)))
    }
}

/// Whether a person, a system or a partner may act at all.
///
/// The order is from good to bad, so that the worse of two is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// May act as its role allows.
    Active,
    /// May do nothing.
    Suspended,
}

impl Standing {
    /// The standing as it stands in rules and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// The worse of two standings: a system is suspended when it or its partner is.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for Standing {
    type Err = ActorError;
    fn from_str(text: &str) -> Result<Self, ActorError> {
        [Self::Active, Self::Suspended]
            .into_iter()
            .find(|standing| standing.as_str() == text)
            .ok_or_else(|| ActorError::Standing(shortened(text)))
    }
}

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The person or system, as registered.
    pub name: ActorName,
    /// Its only role.
    pub role: Role,
    /// The partner whose system it is; `None` for everybody at the holder.
    pub partner: Option<PartnerName>,
    /// Its standing; for a partner's system the worse of its own and its partner's.
    pub standing: Standing,
}

/// A role or a standing that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// No such role.
    #[error(
        "`{0}` is not a role; use `partner-system`, `enrolment-system`, `witness`, `approving-officer`, `examiner`, `privacy-officer` or `administrator`"
    )]
    Role(String),
    /// No such standing.
    #[error("`{0}` is not a standing; use `active` or `suspended`")]
    Standing(String),
}

/// What an error may repeat of its input.
fn shortened(text: &str) -> String {
    text.chars().take(QUOTED_MAX_CHARS).collect()
}

/// As long as the longest name.
const QUOTED_MAX_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_standings_go_there_and_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for standing in [Standing::Active, Standing::Suspended] {
            assert_eq!(standing.as_str().parse(), Ok(standing));
        }
        assert!("".parse::<Role>().is_err(), "an unset role must not be one");
        assert!("Administrator".parse::<Role>().is_err(), "a role has one spelling");
    }

    #[test]
    fn worse_standing_wins() {
        assert_eq!(Standing::Active.worse(Standing::Suspended), Standing::Suspended);
        assert_eq!(Standing::Suspended.worse(Standing::Active), Standing::Suspended);
        assert_eq!(Standing::Active.worse(Standing::Active), Standing::Active);
    }
}
