//! What comes after a release: the holder's corrections of what it released, and what a partner asks to be corrected.

use std::fmt;
use std::str::FromStr;

use super::FormError;
use super::canonical::{Reader, Writer};
use super::request::{Fields, checked_text, signed_bytes};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName};

/// What a correction says of the fields that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CorrectionKind {
    /// The holder's record says something else now.
    Changed,
    /// The holder does not stand behind them any more: the hit was erroneous.
    Withdrawn,
    /// A statement of correction stands beside them.
    Statement,
}

impl CorrectionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Changed, Self::Withdrawn, Self::Statement];

    /// The word in records and in the log; these words never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Withdrawn => "withdrawn",
            Self::Statement => "statement",
        }
    }

    /// Whether it tells of the record, and so of somebody who is there: it waits while the partner may not see them.
    /// What people say of a hit tells of the hit.
    #[must_use]
    pub const fn is_of_record(self) -> bool {
        matches!(self, Self::Changed | Self::Statement)
    }
}

impl fmt::Display for CorrectionKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for CorrectionKind {
    type Err = FormError;
    fn from_str(text: &str) -> Result<Self, FormError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(FormError::Record("a correction"))
    }
}

/// A correction as it is made. It never holds a value: a value leaves by a release that people approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionNew {
    /// What it says.
    pub kind: CorrectionKind,
    /// Of which released fields.
    pub fields: Fields,
    /// The statement; empty where there is none.
    pub statement: String,
    /// Who made the change, or found the hit erroneous.
    pub by: ActorName,
}

/// A correction of what was released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// What is corrected, and by whom; by whom is for the holder's side only.
    pub new: CorrectionNew,
    /// When it was made; for the holder's side only.
    pub made: Timestamp,
    /// When the partner was told; none as long as it was not.
    pub told: Option<Told>,
}

/// How the partner was told of a correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number among those that this partner was told of this disclosure, from 1 on. INVARIANT: it counts what was
    /// told, not what was made, so that nothing shows of what waits.
    pub number: u32,
    /// When.
    pub at: Timestamp,
    /// By when the partner is to acknowledge it.
    pub acknowledge_by: Timestamp,
    /// When it did.
    pub acknowledged: Option<Timestamp>,
    /// Whether the holder was told that it did not in time.
    pub is_overdue: bool,
}

/// What a partner asks for after a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorrectionAskKind {
    /// That the holder corrects a field.
    Correct,
    /// That the holder takes note that the partner's need is over, and takes back what it can.
    Withdraw,
}

impl CorrectionAskKind {
    /// The word in records; these words never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Withdraw => "withdraw",
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        [Self::Correct, Self::Withdraw].into_iter().find(|kind| kind.as_str().as_bytes() == bytes)
    }
}

/// What a partner asks for after a release, and signs.
///
/// # The bytes that a partner signs
///
/// The canonical record has the domain `onebit/disclosure-correction/v1`, a zero byte, then these fields, each as tag
/// (1 byte), length (4 bytes, big-endian), value:
///
/// | tag | value |
/// | --- | --- |
/// | 1 | the disclosure's identifier, 16 bytes |
/// | 2 | `correct` or `withdraw` |
/// | 3 | the field that is wrong; left out with `withdraw` |
/// | 4 | what is wrong, or why, UTF-8 |
/// | 5 | official, UTF-8 |
///
/// The digest is SHA-256 of that record; the signature is over the domain, a zero byte and the 32 bytes of the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionAsk {
    disclosure: DisclosureId,
    /// The field that is to be corrected; none when the need is withdrawn.
    field: Option<FieldName>,
    text: String,
    official: String,
}

impl CorrectionAsk {
    /// Checks the texts. With a field it asks to correct it; without, it withdraws the need.
    ///
    /// # Errors
    /// [`FormError::Text`].
    pub fn new(
        disclosure: DisclosureId,
        field: Option<FieldName>,
        text: String,
        official: String,
    ) -> Result<Self, FormError> {
        let text = checked_text("text", text, ASK_CHARS)?;
        Ok(Self { disclosure, field, text, official: checked_text("official", official, OFFICIAL_CHARS)? })
    }

    /// SHA-256 of the canonical record above.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.to_bytes())
    }

    /// The bytes that the partner's signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(ASK_DOMAIN, self.digest())
    }

    /// The canonical record above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = Writer::new(ASK_DOMAIN)
            .field(1, self.disclosure.as_bytes())
            .field(2, self.kind().as_str().as_bytes());
        let record = match &self.field {
            Some(field) => record.field(3, field.as_str().as_bytes()),
            None => record,
        };
        record.field(4, self.text.as_bytes()).field(5, self.official.as_bytes()).bytes()
    }

    /// Reads the canonical record above; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`CorrectionAsk::new`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(ASK_DOMAIN, "a request for a correction", bytes)?;
        let disclosure = DisclosureId::from_bytes(record.array(1)?);
        let kind = CorrectionAskKind::read(record.field(2)?).ok_or_else(|| record.refused())?;
        let field = match kind {
            CorrectionAskKind::Correct => Some(record.parsed(3)?),
            CorrectionAskKind::Withdraw => None,
        };
        let (text, official) = (record.text(4)?.to_owned(), record.text(5)?.to_owned());
        record.end()?;
        Self::new(disclosure, field, text, official)
    }

    /// What is asked for.
    #[must_use]
    pub const fn kind(&self) -> CorrectionAskKind {
        if self.field.is_some() { CorrectionAskKind::Correct } else { CorrectionAskKind::Withdraw }
    }

    /// The disclosure.
    #[must_use]
    pub const fn disclosure(&self) -> DisclosureId {
        self.disclosure
    }

    /// The field that is to be corrected.
    #[must_use]
    pub const fn field(&self) -> Option<&FieldName> {
        self.field.as_ref()
    }

    /// What is wrong, or why.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The partner's pseudonym of the official who asks.
    #[must_use]
    pub fn official(&self) -> &str {
        &self.official
    }
}

/// What a partner asked for after a release, with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCorrectionAsk {
    /// What is asked for.
    pub ask: CorrectionAsk,
    /// The signature.
    pub signature: Vec<u8>,
    /// The partner's system that sent it.
    pub by: ActorName,
}

/// What a partner asked for after a release, and what officers answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionAsked {
    /// What was asked for.
    pub signed: SignedCorrectionAsk,
    /// When.
    pub at: Timestamp,
    /// The answer.
    pub answer: Option<CorrectionAnswer>,
}

/// What officers answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionAnswer {
    /// Whether they took it up.
    pub accepted: bool,
    /// Their words, which the partner sees.
    pub text: String,
    /// Who answered; for the holder's side only.
    pub officer: ActorName,
    /// When.
    pub at: Timestamp,
}

const ASK_DOMAIN: &str = "onebit/disclosure-correction/v1";
const ASK_CHARS: std::ops::RangeInclusive<usize> = 1..=4_000;
const OFFICIAL_CHARS: std::ops::RangeInclusive<usize> = 1..=128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_goes_there_and_back_in_its_one_form() {
        let id = DisclosureId::from_bytes([7; 16]);
        for field in [Some("family-name".parse().unwrap()), None] {
            let ask = CorrectionAsk::new(id, field, "it is spelt with one l".to_owned(), "o-1".to_owned());
            let ask = ask.unwrap();
            let bytes = ask.to_bytes();
            assert_eq!(CorrectionAsk::from_bytes(&bytes), Ok(ask));
            for cut in 0..bytes.len() {
                assert!(CorrectionAsk::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
            }
        }
        assert!(CorrectionAsk::new(id, None, String::new(), "o-1".to_owned()).is_err());
    }
}
