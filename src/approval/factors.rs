//! Who it takes: roles in which people decide, and how many of each.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use super::FormError;

/// A role in which people decide about disclosures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeciderRole {
    /// Decides whether the fields may leave.
    ApprovingOfficer,
    /// Decides whether the hit is that person.
    Examiner,
    /// Decides whether the law is kept.
    PrivacyOfficer,
}

impl DeciderRole {
    /// The role as it stands in `policy/`, in records and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApprovingOfficer => "approving-officer",
            Self::Examiner => "examiner",
            Self::PrivacyOfficer => "privacy-officer",
        }
    }
}

impl fmt::Display for DeciderRole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for DeciderRole {
    type Err = FormError;
    fn from_str(text: &str) -> Result<Self, FormError> {
        [Self::ApprovingOfficer, Self::Examiner, Self::PrivacyOfficer]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| FormError::Role(text.chars().take(ROLE_SHOWN_CHARS).collect()))
    }
}

/// So many people in this role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// The role they decide in.
    pub role: DeciderRole,
    /// How many of them it takes.
    pub number: NonZeroU8,
}

/// All that an approval takes: every factor, by distinct people. At least one, each role once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factors(Vec<Factor>);

impl Factors {
    /// Takes the factors of an agreement, in any order.
    ///
    /// # Errors
    /// [`FormError::NoFactor`] and [`FormError::FactorTwice`].
    pub fn new(factors: impl IntoIterator<Item = Factor>) -> Result<Self, FormError> {
        let mut factors: Vec<Factor> = factors.into_iter().collect();
        factors.sort_by_key(|factor| factor.role);
        if factors.is_empty() {
            return Err(FormError::NoFactor);
        }
        match factors.iter().zip(factors.iter().skip(1)).find(|(one, next)| one.role == next.role) {
            Some((twice, _)) => Err(FormError::FactorTwice(twice.role)),
            None => Ok(Self(factors)),
        }
    }

    /// The factors, ordered by role.
    pub fn iter(&self) -> impl Iterator<Item = Factor> + '_ {
        self.0.iter().copied()
    }

    /// Whether any factor asks for this role.
    #[must_use]
    pub fn ask_for(&self, role: DeciderRole) -> bool {
        self.iter().any(|factor| factor.role == role)
    }

    /// `role=number` in lines.
    pub(super) fn to_text(&self) -> String {
        let lines: Vec<String> =
            self.iter().map(|factor| format!("{}={}", factor.role, factor.number)).collect();
        lines.join("\n")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let factor = |line: &str| {
            let (role, number) = line.split_once('=')?;
            Some(Factor { role: role.parse().ok()?, number: number.parse().ok()? })
        };
        Self::new(text.split('\n').map(factor).collect::<Option<Vec<_>>>()?).ok()
    }
}

const ROLE_SHOWN_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_name_each_role_once_and_at_least_one() {
        assert_eq!(Factors::new([]), Err(FormError::NoFactor));
        let one = Factor { role: DeciderRole::Examiner, number: NonZeroU8::MIN };
        assert_eq!(Factors::new([one, one]), Err(FormError::FactorTwice(DeciderRole::Examiner)));
        assert!("administrator".parse::<DeciderRole>().is_err());
    }
}
