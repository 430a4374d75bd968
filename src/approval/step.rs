//! What happened to a disclosure, one step at a time: what is recorded, and what [`super::Disclosure::replay`]
//! rebuilds it from (promise 10).

use super::FormError;
use super::canonical::{Reader, Writer};
use super::decision::{Decision, DecisionSignature, SignedDecision};
use crate::clock::Timestamp;

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
    Decided(SignedDecision),
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
    },
    /// The partner said that it opened the release.
    Acknowledged,
}

impl Step {
    /// The canonical record of the step: domain `onebit/disclosure-step/v1`, a zero byte, then 1: kind,
    /// 2: time, and by kind 3: the record of the decision, 4: how it is signed, 5: signature, 6: fetch by.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = Writer::new(STEP_DOMAIN).field(1, self.event.kind()).time(2, self.at);
        match &self.event {
            Event::Decided(SignedDecision { decision, signature }) => record
                .field(3, &decision.to_bytes())
                .field(4, signature.kind())
                .field(5, &signature.to_bytes()),
            Event::Released { fetch_by } => record.time(6, *fetch_by),
            Event::Withdrawn | Event::Withheld | Event::Expired | Event::Acknowledged => record,
        }
        .bytes()
    }

    /// Reads the canonical record of a step; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Decision::from_bytes`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(STEP_DOMAIN, "a step of a disclosure", bytes)?;
        let kind = record.field(1)?;
        let at = record.time(2)?;
        let event = match kind {
            DECIDED => {
                let decision = Decision::from_bytes(record.field(3)?)?;
                let (kind, bytes) = (record.field(4)?, record.field(5)?);
                let signature = DecisionSignature::read(kind, bytes).ok_or_else(|| record.refused())?;
                Event::Decided(SignedDecision { decision, signature })
            }
            WITHDRAWN => Event::Withdrawn,
            WITHHELD => Event::Withheld,
            EXPIRED => Event::Expired,
            RELEASED => Event::Released { fetch_by: record.time(6)? },
            ACKNOWLEDGED => Event::Acknowledged,
            _ => return Err(record.refused()),
        };
        record.end()?;
        Ok(Self { at, event })
    }
}

impl Event {
    const fn kind(&self) -> &'static [u8] {
        match self {
            Self::Decided(_) => DECIDED,
            Self::Withdrawn => WITHDRAWN,
            Self::Withheld => WITHHELD,
            Self::Expired => EXPIRED,
            Self::Released { .. } => RELEASED,
            Self::Acknowledged => ACKNOWLEDGED,
        }
    }
}

const STEP_DOMAIN: &str = "onebit/disclosure-step/v1";
const DECIDED: &[u8] = b"decided";
const WITHDRAWN: &[u8] = b"withdrawn";
const WITHHELD: &[u8] = b"withheld";
const EXPIRED: &[u8] = b"expired";
const RELEASED: &[u8] = b"released";
const ACKNOWLEDGED: &[u8] = b"acknowledged";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_an_unknown_kind_or_with_more_behind_it_is_refused() {
        let at = Timestamp::from_millis(5);
        let step = Step { at, event: Event::Released { fetch_by: Timestamp::from_millis(9) } };
        let bytes = step.to_bytes();
        assert!(Step::from_bytes(&bytes).unwrap() == step);
        assert!(Step::from_bytes(&[bytes.as_slice(), &[7, 0, 0, 0, 0]].concat()).is_err());
        let unknown = Writer::new(STEP_DOMAIN).field(1, b"forgotten").time(2, at).bytes();
        assert!(Step::from_bytes(&unknown).is_err());
    }
}
