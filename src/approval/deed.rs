//! What officers do with a case beside deciding it, and what a partner answers when it is asked.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::FormError;
use super::canonical::{Reader, Writer};
use super::factors::DeciderRole;
use super::request::{checked_text, signed_bytes};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId};

/// What an officer can do with a case beside deciding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeedKind {
    /// Asks the partner for information. Approvals so far no longer count: what is decided about changes.
    Question,
    /// Says that they work on it. It binds nobody, and others see it.
    Claim,
    /// Takes the claim back.
    PutBack,
    /// Steps back for good: from then on they do nothing with it, and what they granted no longer counts.
    Recuse,
    /// Leaves a note for the holder's own people.
    Note,
    /// Finds that the hit is not that person: nothing can leave.
    HitErroneous,
    /// Takes a release back before it was acknowledged.
    Revoke,
    /// Ends it for good, with nothing more to be added.
    Lock,
    /// Closes the review of an urgent release: it was rightly asked for and decided.
    FindJustified,
    /// Closes the review of an urgent release: it was not.
    FindNotJustified,
    /// Takes up what the partner asked for after the release.
    AcceptCorrection,
    /// Refuses it.
    RefuseCorrection,
    /// Puts a statement of correction beside what was released.
    StateCorrection,
}

impl DeedKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Question,
        Self::Claim,
        Self::PutBack,
        Self::Recuse,
        Self::Note,
        Self::HitErroneous,
        Self::Revoke,
        Self::Lock,
        Self::FindJustified,
        Self::FindNotJustified,
        Self::AcceptCorrection,
        Self::RefuseCorrection,
        Self::StateCorrection,
    ];

    /// The word in records and in the log; these words never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Claim => "claim",
            Self::PutBack => "put-back",
            Self::Recuse => "recuse",
            Self::Note => "note",
            Self::HitErroneous => "hit-erroneous",
            Self::Revoke => "revoke",
            Self::Lock => "lock",
            Self::FindJustified => "find-justified",
            Self::FindNotJustified => "find-not-justified",
            Self::AcceptCorrection => "accept-correction",
            Self::RefuseCorrection => "refuse-correction",
            Self::StateCorrection => "state-correction",
        }
    }

    /// Whether only somebody may do it who may decide about the case at this moment: not who enrolled the person.
    #[must_use]
    pub const fn is_for_deciders(self) -> bool {
        matches!(self, Self::Question | Self::Claim | Self::HitErroneous)
    }

    /// What it finds, where it closes a review.
    #[must_use]
    pub const fn finding(self) -> Option<&'static str> {
        match self {
            Self::FindJustified => Some("justified"),
            Self::FindNotJustified => Some("not-justified"),
            _ => None,
        }
    }

    /// Whether it says something; the others are without words.
    #[must_use]
    pub const fn has_words(self) -> bool {
        !matches!(self, Self::Claim | Self::PutBack)
    }
}

impl fmt::Display for DeedKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for DeedKind {
    type Err = FormError;
    fn from_str(text: &str) -> Result<Self, FormError> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(FormError::Record("a step of a disclosure"))
    }
}

/// The parts of a [`Deed`] before they are checked.
pub struct DeedParts {
    /// What it is.
    pub kind: DeedKind,
    /// Who does it.
    pub officer: ActorName,
    /// In which role.
    pub role: DeciderRole,
    /// The question, the note or the reason, 1 to 2,000 characters; empty for those without words.
    pub words: String,
}

/// Something that an officer does with a case beside deciding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    kind: DeedKind,
    officer: ActorName,
    role: DeciderRole,
    words: String,
}

impl Deed {
    /// Checks the words.
    ///
    /// # Errors
    /// [`FormError::Text`] when they are missing, too long or hold control characters; [`FormError::Words`] when there
    /// are some where none belong.
    pub fn new(parts: DeedParts) -> Result<Self, FormError> {
        let DeedParts { kind, officer, role, words } = parts;
        let words = match kind.has_words() {
            true => checked_text(kind.as_str(), words, WORDS_CHARS)?,
            false if words.is_empty() => words,
            false => return Err(FormError::Words(kind)),
        };
        Ok(Self { kind, officer, role, words })
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> DeedKind {
        self.kind
    }

    /// Who did it.
    #[must_use]
    pub const fn officer(&self) -> &ActorName {
        &self.officer
    }

    /// In which role.
    #[must_use]
    pub const fn role(&self) -> DeciderRole {
        self.role
    }

    /// The question, the note or the reason.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }
}

/// What the partner is asked, as it sees it: not by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who asked; for the holder's side only.
    pub officer: ActorName,
    /// In which role; for the holder's side only.
    pub role: DeciderRole,
    /// The question.
    pub text: String,
    /// When it was asked.
    pub at: Timestamp,
    /// What an answer names: SHA-256 of the record below.
    pub digest: Digest,
    /// What the partner answered.
    pub answer: Option<SignedAnswer>,
    /// When it answered.
    pub answered: Option<Timestamp>,
}

/// The digest that an answer names. Domain `onebit/disclosure-question/v1`, then 1: the digest of what was decided
/// about so far, 2: the question, 3: when it was asked.
pub(super) fn question_digest(matter: Digest, text: &str, at: Timestamp) -> Digest {
    let record =
        Writer::new(QUESTION_DOMAIN).field(1, matter.as_bytes()).field(2, text.as_bytes()).time(3, at);
    Digest::sha256(&record.bytes())
}

/// The digest of what is decided about after an answer. Domain `onebit/disclosure-matter/v1`, then 1: the digest of
/// what was decided about before, 2: that of the question, 3: that of the answer.
pub(super) fn matter_after(matter: Digest, question: Digest, answer: Digest) -> Digest {
    let record = Writer::new(MATTER_DOMAIN)
        .field(1, matter.as_bytes())
        .field(2, question.as_bytes())
        .field(3, answer.as_bytes());
    Digest::sha256(&record.bytes())
}

/// What a partner answers and signs.
///
/// # The bytes that a partner signs
///
/// The canonical record has the domain `onebit/disclosure-answer/v1`, a zero byte, then these fields, each as tag
/// (1 byte), length (4 bytes, big-endian), value:
///
/// | tag | value |
/// | --- | --- |
/// | 1 | the disclosure's identifier, 16 bytes |
/// | 2 | digest of the question, 32 bytes |
/// | 3 | the answer, UTF-8 |
/// | 4 | official, UTF-8 |
///
/// The digest is SHA-256 of that record; the signature is over the domain, a zero byte and the 32 bytes of the
/// digest. In Python, with `record` of [`super::PartnerAsk`]:
///
/// ```python
/// DOMAIN = b"onebit/disclosure-answer/v1"
/// digest = hashlib.sha256(record(DOMAIN, {
///     1: bytes.fromhex(disclosure), 2: question_digest, 3: answer.encode(), 4: official.encode()})).digest()
/// signature = key.sign(DOMAIN + b"\0" + digest, ec.ECDSA(hashes.SHA256()))
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    disclosure: DisclosureId,
    question: Digest,
    text: String,
    official: String,
}

impl Answer {
    /// Checks the texts.
    ///
    /// # Errors
    /// [`FormError::Text`].
    pub fn new(
        disclosure: DisclosureId,
        question: Digest,
        text: String,
        official: String,
    ) -> Result<Self, FormError> {
        let text = checked_text("answer", text, ANSWER_CHARS)?;
        Ok(Self { disclosure, question, text, official: checked_text("official", official, OFFICIAL_CHARS)? })
    }

    /// SHA-256 of the canonical record above.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.to_bytes())
    }

    /// The bytes that the partner's signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(ANSWER_DOMAIN, self.digest())
    }

    /// The canonical record above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::new(ANSWER_DOMAIN)
            .field(1, self.disclosure.as_bytes())
            .field(2, self.question.as_bytes())
            .field(3, self.text.as_bytes())
            .field(4, self.official.as_bytes())
            .bytes()
    }

    /// Reads the canonical record above; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Self::new`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(ANSWER_DOMAIN, "an answer", bytes)?;
        let (disclosure, question) = (record.array(1)?, record.array(2)?);
        let (text, official) = (record.text(3)?.to_owned(), record.text(4)?.to_owned());
        record.end()?;
        Self::new(DisclosureId::from_bytes(disclosure), Digest::from_bytes(question), text, official)
    }

    /// The disclosure.
    #[must_use]
    pub const fn disclosure(&self) -> DisclosureId {
        self.disclosure
    }

    /// The digest of the question.
    #[must_use]
    pub const fn question(&self) -> Digest {
        self.question
    }

    /// The answer.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The partner's pseudonymous person behind it.
    #[must_use]
    pub fn official(&self) -> &str {
        &self.official
    }
}

/// An answer with the partner's signature. INVARIANT: the caller has verified the signature before it hands this in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAnswer {
    /// What was answered.
    pub answer: Answer,
    /// By the key of the partner system's certificate, over [`Answer::signed_bytes`].
    pub signature: Vec<u8>,
    /// The system that answered.
    pub by: ActorName,
}

const QUESTION_DOMAIN: &str = "onebit/disclosure-question/v1";
const MATTER_DOMAIN: &str = "onebit/disclosure-matter/v1";
const ANSWER_DOMAIN: &str = "onebit/disclosure-answer/v1";
/// A page of text, as a decision's reason.
const WORDS_CHARS: RangeInclusive<usize> = 1..=2_000;
/// As long as a justification may be.
const ANSWER_CHARS: RangeInclusive<usize> = 1..=4_000;
const OFFICIAL_CHARS: RangeInclusive<usize> = 1..=128;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Answer, FormError> {
        let (disclosure, question) = (DisclosureId::from_bytes([0x22; 16]), Digest::from_bytes([0x33; 32]));
        Answer::new(disclosure, question, text.to_owned(), "officer-7f3a".to_owned())
    }

    /// The value was computed with the Python of the doc comments and hashlib.
    #[test]
    fn an_answers_digest_is_that_of_an_independent_computation() {
        let answer = answer("Born in Ōtaki; see the birth record.").unwrap();
        assert_eq!(answer.digest().to_string(), ANSWER_GOLDEN, "partners sign this layout");
        assert!(Answer::from_bytes(&answer.to_bytes()).unwrap() == answer);
        assert!(Answer::from_bytes(&[answer.to_bytes(), vec![5, 0, 0, 0, 0]].concat()).is_err());
    }

    #[test]
    fn words_are_where_they_belong_and_nowhere_else() {
        for kind in DeedKind::ALL {
            let deed = |words: &str| {
                let (officer, words) = ("mere".parse().unwrap(), words.to_owned());
                Deed::new(DeedParts { kind, officer, role: DeciderRole::ApprovingOfficer, words })
            };
            assert_eq!(deed("why").is_ok(), kind.has_words(), "{kind}");
            assert_eq!(deed("").is_ok(), !kind.has_words(), "{kind}");
            assert_eq!(kind.as_str().parse::<DeedKind>().unwrap(), kind);
        }
        assert!(answer(" ").is_err() && answer(&"ā".repeat(4_001)).is_err());
    }

    const ANSWER_GOLDEN: &str = "c83245838050caf0b1daa407d283b0c3c74921c003b7abd913729ad93868d16f";
}
