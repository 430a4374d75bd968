//! What happened to a disclosure, one step at a time: what is recorded, and what [`super::Disclosure::replay`]
//! rebuilds it from (promise 10).

use super::FormError;
use super::canonical::{Reader, Writer};
use super::correction::{CorrectionAsk, CorrectionNew, SignedCorrectionAsk};
use super::decision::{Decision, DecisionSignature, SignedDecision};
use super::deed::{Answer, Deed, DeedKind, DeedParts, SignedAnswer};
use super::request::Fields;
use crate::clock::Timestamp;
use crate::ids::{ActorName, FieldName, UnitName};

/// One thing that happened to a disclosure.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    /// When, by the holder's clock.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// An officer decided.
    Decided(Decided),
    /// An officer did something else with it.
    Done(Deed),
    /// The partner answered the open question.
    Answered(SignedAnswer),
    /// The partner took its request back.
    Withdrawn,
    /// Nothing can leave any more, since the subject was hidden or erased after the hit.
    Withheld,
    /// Its time ran out.
    Expired,
    /// The one ciphertext was made.
    Released {
        /// When the ciphertext is deleted unless it was acknowledged before.
        fetch_by: Timestamp,
        /// When the review is due that an urgent release owes.
        review_by: Option<Timestamp>,
    },
    /// The review that it owes was not closed in time.
    ReviewLate,
    /// The partner said that it opened the release.
    Acknowledged,
    /// The holder corrected something that was released.
    CorrectionMade(CorrectionNew),
    /// The partner was told of a correction.
    CorrectionTold {
        /// Its place among those that were made, from 0 on.
        place: u32,
        /// By when the partner is to acknowledge it.
        acknowledge_by: Timestamp,
    },
    /// The partner acknowledged a correction.
    CorrectionAcknowledged {
        /// Its number among those that the partner was told.
        number: u32,
        /// The partner's system that said so.
        by: ActorName,
    },
    /// A correction was not acknowledged in time.
    CorrectionOverdue {
        /// Its number among those that the partner was told.
        number: u32,
    },
    /// The partner asked that something released is corrected, or withdrew its need.
    CorrectionAsked(SignedCorrectionAsk),
}

/// A decision as it was counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Decided {
    /// The decision.
    pub signed: SignedDecision,
    /// The officer's unit at that moment.
    pub unit: Option<UnitName>,
}

impl Step {
    /// The canonical record of the step: domain `onebit/disclosure-step/v1`, a zero byte, then 1: kind,
    /// 2: time, and by kind 3: the record of the decision, 4: how it is signed, 5: signature, 6: fetch by, 7: unit,
    /// 8: officer, 9: role, 10: words, 11: the record of the answer or of what is asked after the release, 12: its
    /// signature, 13: the system that sent it, 25: when a review is due, 30: kind of a correction, 31: its fields, 32: its
    /// statement, 33: its place or number, 34: acknowledge by.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = Writer::new(STEP_DOMAIN).field(1, self.event.kind()).time(2, self.at);
        match &self.event {
            Event::Decided(Decided { signed, unit }) => {
                let record = record
                    .field(3, &signed.decision.to_bytes())
                    .field(4, signed.signature.kind())
                    .field(5, &signed.signature.to_bytes());
                match unit {
                    Some(unit) => record.field(7, unit.as_str().as_bytes()),
                    None => record,
                }
            }
            Event::Done(deed) => record
                .field(8, deed.officer().as_str().as_bytes())
                .field(9, deed.role().as_str().as_bytes())
                .field(10, deed.words().as_bytes()),
            Event::Answered(SignedAnswer { answer, signature, by }) => {
                record.field(11, &answer.to_bytes()).field(12, signature).field(13, by.as_str().as_bytes())
            }
            Event::Released { fetch_by, review_by } => {
                let record = record.time(6, *fetch_by);
                match review_by {
                    Some(due) => record.time(25, *due),
                    None => record,
                }
            }
            Event::CorrectionAsked(SignedCorrectionAsk { ask, signature, by }) => {
                record.field(11, &ask.to_bytes()).field(12, signature).field(13, by.as_str().as_bytes())
            }
            Event::CorrectionMade(new) => {
                let fields: Vec<&str> = new.fields.iter().map(FieldName::as_str).collect();
                record
                    .field(13, new.by.as_str().as_bytes())
                    .field(30, new.kind.as_str().as_bytes())
                    .field(31, fields.join("\n").as_bytes())
                    .field(32, new.statement.as_bytes())
            }
            Event::CorrectionTold { place, acknowledge_by } => {
                record.field(33, &place.to_be_bytes()).time(34, *acknowledge_by)
            }
            Event::CorrectionAcknowledged { number, by } => {
                record.field(13, by.as_str().as_bytes()).field(33, &number.to_be_bytes())
            }
            Event::CorrectionOverdue { number } => record.field(33, &number.to_be_bytes()),
            Event::Withdrawn | Event::Withheld | Event::Expired | Event::Acknowledged | Event::ReviewLate => {
                record
            }
        }
        .bytes()
    }

    /// Reads the canonical record of a step; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Decision::from_bytes`] and [`Deed::new`] refuse.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(STEP_DOMAIN, "a step of a disclosure", bytes)?;
        let kind = record.field(1)?;
        let at = record.time(2)?;
        let event = match kind {
            DECIDED => decided(&mut record)?,
            ANSWERED => Event::Answered(SignedAnswer {
                answer: Answer::from_bytes(record.field(11)?)?,
                signature: record.field(12)?.to_vec(),
                by: record.parsed(13)?,
            }),
            WITHDRAWN => Event::Withdrawn,
            WITHHELD => Event::Withheld,
            EXPIRED => Event::Expired,
            RELEASED => Event::Released { fetch_by: record.time(6)?, review_by: record.maybe_time(25)? },
            REVIEW_LATE => Event::ReviewLate,
            ACKNOWLEDGED => Event::Acknowledged,
            CORRECTION_MADE => correction_made(&mut record)?,
            CORRECTION_TOLD => Event::CorrectionTold {
                place: u32::from_be_bytes(record.array(33)?),
                acknowledge_by: record.time(34)?,
            },
            CORRECTION_ACKNOWLEDGED => Event::CorrectionAcknowledged {
                by: record.parsed(13)?,
                number: u32::from_be_bytes(record.array(33)?),
            },
            CORRECTION_OVERDUE => Event::CorrectionOverdue { number: u32::from_be_bytes(record.array(33)?) },
            CORRECTION_ASKED => Event::CorrectionAsked(SignedCorrectionAsk {
                ask: CorrectionAsk::from_bytes(record.field(11)?)?,
                signature: record.field(12)?.to_vec(),
                by: record.parsed(13)?,
            }),
            other => done(other, &mut record)?,
        };
        record.end()?;
        Ok(Self { at, event })
    }
}

fn correction_made(record: &mut Reader<'_>) -> Result<Event, FormError> {
    let (by, kind) = (record.parsed(13)?, record.parsed(30)?);
    let fields = record.text(31)?.split('\n').map(str::parse).collect::<Result<Vec<FieldName>, _>>();
    let fields = Fields::new(fields.map_err(|_| record.refused())?)?;
    let statement = record.text(32)?.to_owned();
    Ok(Event::CorrectionMade(CorrectionNew { kind, fields, statement, by }))
}

fn decided(record: &mut Reader<'_>) -> Result<Event, FormError> {
    let decision = Decision::from_bytes(record.field(3)?)?;
    let (kind, bytes) = (record.field(4)?, record.field(5)?);
    let signature = DecisionSignature::read(kind, bytes).ok_or_else(|| record.refused())?;
    let unit = record.maybe_text(7)?.map(str::parse).transpose().map_err(|_| record.refused())?;
    Ok(Event::Decided(Decided { signed: SignedDecision { decision, signature }, unit }))
}

fn done(kind: &[u8], record: &mut Reader<'_>) -> Result<Event, FormError> {
    let kind: DeedKind = std::str::from_utf8(kind).map_err(|_| record.refused())?.parse()?;
    let (officer, role) = (record.parsed(8)?, record.parsed(9)?);
    let words = record.text(10)?.to_owned();
    Ok(Event::Done(Deed::new(DeedParts { kind, officer, role, words })?))
}

impl Event {
    const fn kind(&self) -> &'static [u8] {
        match self {
            Self::Decided(_) => DECIDED,
            Self::Done(deed) => deed.kind().as_str().as_bytes(),
            Self::Answered(_) => ANSWERED,
            Self::Withdrawn => WITHDRAWN,
            Self::Withheld => WITHHELD,
            Self::Expired => EXPIRED,
            Self::Released { .. } => RELEASED,
            Self::Acknowledged => ACKNOWLEDGED,
            Self::ReviewLate => REVIEW_LATE,
            Self::CorrectionMade(_) => CORRECTION_MADE,
            Self::CorrectionTold { .. } => CORRECTION_TOLD,
            Self::CorrectionAcknowledged { .. } => CORRECTION_ACKNOWLEDGED,
            Self::CorrectionOverdue { .. } => CORRECTION_OVERDUE,
            Self::CorrectionAsked(_) => CORRECTION_ASKED,
        }
    }
}

const STEP_DOMAIN: &str = "onebit/disclosure-step/v1";
const DECIDED: &[u8] = b"decided";
const ANSWERED: &[u8] = b"answered";
const WITHDRAWN: &[u8] = b"withdrawn";
const WITHHELD: &[u8] = b"withheld";
const EXPIRED: &[u8] = b"expired";
const RELEASED: &[u8] = b"released";
const ACKNOWLEDGED: &[u8] = b"acknowledged";
const REVIEW_LATE: &[u8] = b"review-late";
const CORRECTION_MADE: &[u8] = b"correction-made";
const CORRECTION_TOLD: &[u8] = b"correction-told";
const CORRECTION_ACKNOWLEDGED: &[u8] = b"correction-acknowledged";
const CORRECTION_OVERDUE: &[u8] = b"correction-overdue";
const CORRECTION_ASKED: &[u8] = b"correction-asked";

#[cfg(test)]
mod tests {
    use super::super::factors::DeciderRole;
    use super::*;

    #[test]
    fn a_step_of_an_unknown_kind_or_with_more_behind_it_is_refused() {
        let at = Timestamp::from_millis(5);
        let fetch_by = Timestamp::from_millis(9);
        let step = Step { at, event: Event::Released { fetch_by, review_by: None } };
        let bytes = step.to_bytes();
        assert!(Step::from_bytes(&bytes).unwrap() == step);
        assert!(Step::from_bytes(&[bytes.as_slice(), &[7, 0, 0, 0, 0]].concat()).is_err());
        let unknown = Writer::new(STEP_DOMAIN).field(1, b"forgotten").time(2, at).bytes();
        assert!(Step::from_bytes(&unknown).is_err());
    }

    #[test]
    fn deeds_go_there_and_back() {
        for kind in DeedKind::ALL {
            let words = if kind.has_words() { "two lines\nof it" } else { "" };
            let (officer, words) = ("mere".parse().unwrap(), words.to_owned());
            let deed =
                Deed::new(DeedParts { kind, officer, role: DeciderRole::PrivacyOfficer, words }).unwrap();
            let step = Step { at: Timestamp::from_millis(5), event: Event::Done(deed) };
            assert!(Step::from_bytes(&step.to_bytes()).unwrap() == step, "{kind}");
        }
    }
}
