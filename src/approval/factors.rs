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
    /// From how many units at least; people without a unit count for none. One asks for no unit at all.
    pub units: NonZeroU8,
    /// Whether each of them names the reference of a comparison that was made outside.
    pub comparison: bool,
}

impl Factor {
    /// So many people in this role, of any units, without a comparison.
    #[must_use]
    pub const fn of(role: DeciderRole, number: NonZeroU8) -> Self {
        Self { role, number, units: NonZeroU8::MIN, comparison: false }
    }

    fn to_text(self) -> String {
        let units =
            if self.units > NonZeroU8::MIN { format!(" units={}", self.units) } else { String::new() };
        let comparison = if self.comparison { " comparison" } else { "" };
        format!("{}={}{units}{comparison}", self.role, self.number)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (role, number) = words.next()?.split_once('=')?;
        let mut factor = Self::of(role.parse().ok()?, number.parse().ok()?);
        for word in words {
            match word.split_once('=') {
                Some(("units", units)) => factor.units = units.parse().ok()?,
                None if word == "comparison" => factor.comparison = true,
                _ => return None,
            }
        }
        (factor.to_text() == line).then_some(factor)
    }
}

/// All that an approval takes: every factor, by distinct people. At least one, each role once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factors(Vec<Factor>);

impl Factors {
    /// Takes the factors of an agreement, in any order.
    ///
    /// # Errors
    /// [`FormError::NoFactor`], [`FormError::FactorTwice`] and [`FormError::Units`].
    pub fn new(factors: impl IntoIterator<Item = Factor>) -> Result<Self, FormError> {
        let mut factors: Vec<Factor> = factors.into_iter().collect();
        factors.sort_by_key(|factor| factor.role);
        if factors.is_empty() {
            return Err(FormError::NoFactor);
        }
        match factors.iter().zip(factors.iter().skip(1)).find(|(one, next)| one.role == next.role) {
            Some((twice, _)) => Err(FormError::FactorTwice(twice.role)),
            None => match factors.iter().find(|factor| factor.units > factor.number) {
                Some(few) => Err(FormError::Units(few.role)),
                None => Ok(Self(factors)),
            },
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

    /// Whether an approval in this role names the reference of a comparison.
    #[must_use]
    pub fn ask_for_comparison(&self, role: DeciderRole) -> bool {
        self.iter().any(|factor| factor.role == role && factor.comparison)
    }

    /// One line a factor: `role=number`, then ` units=number` if more than one, then ` comparison` if it takes one.
    pub(super) fn to_text(&self) -> String {
        let lines: Vec<String> = self.iter().map(Factor::to_text).collect();
        lines.join("\n")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::new(text.split('\n').map(Factor::parse).collect::<Option<Vec<_>>>()?).ok()
    }
}

const ROLE_SHOWN_CHARS: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_name_each_role_once_and_at_least_one() {
        assert_eq!(Factors::new([]), Err(FormError::NoFactor));
        let one = Factor::of(DeciderRole::Examiner, NonZeroU8::MIN);
        assert_eq!(Factors::new([one, one]), Err(FormError::FactorTwice(DeciderRole::Examiner)));
        assert!("administrator".parse::<DeciderRole>().is_err());
        let units = NonZeroU8::new(2).unwrap();
        assert_eq!(Factors::new([Factor { units, ..one }]), Err(FormError::Units(DeciderRole::Examiner)));
    }

    #[test]
    fn a_factor_has_one_text() {
        let two = NonZeroU8::new(2).unwrap();
        let whole = Factor { units: two, comparison: true, ..Factor::of(DeciderRole::Examiner, two) };
        let factors = Factors::new([whole, Factor::of(DeciderRole::ApprovingOfficer, two)]).unwrap();
        let text = "approving-officer=2\nexaminer=2 units=2 comparison";
        assert_eq!((factors.to_text().as_str(), Factors::parse(text)), (text, Some(factors.clone())));
        for other in ["examiner=02", "examiner=2 units=1", "examiner=2 comparison units=2", "examiner=2 more"]
        {
            assert_eq!(Factors::parse(other), None, "`{other}` is another text of the same, or of nothing");
        }
    }
}
