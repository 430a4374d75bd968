//! One officer's decision about one request, signed.

use std::ops::RangeInclusive;

use super::FormError;
use super::canonical::{Reader, Writer};
use super::factors::DeciderRole;
use super::request::{Fields, checked_text, signed_bytes};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId};

/// What an officer chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These fields may leave; they are some or all of those asked for.
    Grant(Fields),
    /// Nothing leaves.
    Deny,
}

/// The parts of a [`Decision`] before they are checked.
pub struct DecisionParts {
    /// The disclosure that is decided about.
    pub disclosure: DisclosureId,
    /// The digest of exactly the request that the officer saw.
    pub request: Digest,
    /// Who decides.
    pub officer: ActorName,
    /// In which role.
    pub role: DeciderRole,
    /// What was chosen.
    pub choice: Choice,
    /// Why, 1 to 2,000 characters.
    pub reason: String,
    /// When, by the officer's own clock.
    pub at: Timestamp,
    /// The reference of the comparison outside that it rests on, 1 to 128 characters, if it does on one.
    pub comparison: Option<String>,
    /// In whose seat, where another officer delegated it; not the officer's own name.
    pub on_behalf: Option<ActorName>,
}

/// One officer's decision about one request.
///
/// # The bytes that an officer signs
///
/// The canonical record has the domain `onebit/decision/v1`, a zero byte, then these fields, each as tag
/// (1 byte), length (4 bytes, big-endian), value:
///
/// | tag | value |
/// | --- | --- |
/// | 1 | the disclosure's identifier, 16 bytes |
/// | 2 | digest of what is decided about, 32 bytes: of the request, and after an answer of that too |
/// | 3 | the officer's name, ASCII |
/// | 4 | `approving-officer`, `examiner` or `privacy-officer` |
/// | 5 | `grant` or `deny` |
/// | 6 | with `grant`: names of the granted fields, sorted by their bytes, joined with `\n`; with `deny`: absent |
/// | 7 | reason, UTF-8 |
/// | 8 | time of the decision: milliseconds since 1970, 8 bytes, big-endian, signed |
/// | 9 | reference of the comparison outside that it rests on, UTF-8; absent without one |
/// | 10 | name of the officer whose delegated seat it fills, ASCII; absent for one's own |
///
/// The digest is SHA-256 of that record; the signature is over the domain, a zero byte and the 32 bytes of the
/// digest ([`Self::signed_bytes`]). The officer's client makes both, so that nothing is signed that it did not
/// show.
#[derive(Clone, PartialEq, Eq)]
pub struct Decision {
    disclosure: DisclosureId,
    request: Digest,
    officer: ActorName,
    role: DeciderRole,
    choice: Choice,
    reason: String,
    at: Timestamp,
    comparison: Option<String>,
    on_behalf: Option<ActorName>,
}

impl Decision {
    /// Checks the reason.
    ///
    /// # Errors
    /// [`FormError::Text`] when it is empty, too long or holds control characters, [`FormError::OwnSeat`].
    pub fn new(parts: DecisionParts) -> Result<Self, FormError> {
        let DecisionParts { disclosure, request, officer, role, choice, reason, at, comparison, on_behalf } =
            parts;
        if on_behalf.as_ref() == Some(&officer) {
            return Err(FormError::OwnSeat);
        }
        let reason = checked_text("reason", reason, REASON_CHARS)?;
        let reference = |text| checked_text("reference of the comparison", text, COMPARISON_CHARS);
        let comparison = comparison.map(reference).transpose()?;
        Ok(Self { disclosure, request, officer, role, choice, reason, at, comparison, on_behalf })
    }

    /// SHA-256 of the canonical record above.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.to_bytes())
    }

    /// The bytes that the officer's signature is over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(DECISION_DOMAIN, self.digest())
    }

    /// The canonical record above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = Writer::new(DECISION_DOMAIN)
            .field(1, self.disclosure.as_bytes())
            .field(2, self.request.as_bytes())
            .field(3, self.officer.as_str().as_bytes())
            .field(4, self.role.as_str().as_bytes());
        let record = match &self.choice {
            Choice::Grant(fields) => record.field(5, GRANT).field(6, fields.to_text().as_bytes()),
            Choice::Deny => record.field(5, DENY),
        };
        let record = record.field(7, self.reason.as_bytes()).time(8, self.at);
        let record = match &self.comparison {
            Some(reference) => record.field(9, reference.as_bytes()),
            None => record,
        };
        match &self.on_behalf {
            Some(seat) => record.field(10, seat.as_str().as_bytes()).bytes(),
            None => record.bytes(),
        }
    }

    /// Reads the canonical record above; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Self::new`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(DECISION_DOMAIN, "a decision", bytes)?;
        let refused = record.refused();
        let decision = Self::new(DecisionParts {
            disclosure: DisclosureId::from_bytes(record.array(1)?),
            request: Digest::from_bytes(record.array(2)?),
            officer: record.parsed(3)?,
            role: record.parsed(4)?,
            choice: match record.field(5)? {
                GRANT => Choice::Grant(Fields::parse(record.text(6)?).ok_or_else(|| record.refused())?),
                DENY => Choice::Deny,
                _ => return Err(refused),
            },
            reason: record.text(7)?.to_owned(),
            at: record.time(8)?,
            comparison: record.maybe_text(9)?.map(str::to_owned),
            on_behalf: record.maybe_text(10)?.map(str::parse).transpose().map_err(|_| record.refused())?,
        })?;
        record.end()?;
        if decision.to_bytes() == bytes { Ok(decision) } else { Err(refused) }
    }

    /// The disclosure that is decided about.
    #[must_use]
    pub const fn disclosure(&self) -> DisclosureId {
        self.disclosure
    }

    /// The digest of the request that the officer saw.
    #[must_use]
    pub const fn request(&self) -> Digest {
        self.request
    }

    /// Who decides.
    #[must_use]
    pub const fn officer(&self) -> &ActorName {
        &self.officer
    }

    /// In which role.
    #[must_use]
    pub const fn role(&self) -> DeciderRole {
        self.role
    }

    /// What was chosen.
    #[must_use]
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When, by the officer's own clock.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The reference of the comparison outside that it rests on.
    #[must_use]
    pub fn comparison(&self) -> Option<&str> {
        self.comparison.as_deref()
    }

    /// The officer whose delegated seat it fills; none for the officer's own.
    #[must_use]
    pub const fn on_behalf(&self) -> Option<&ActorName> {
        self.on_behalf.as_ref()
    }

    /// Whose seat it fills.
    #[must_use]
    pub fn seat(&self) -> &ActorName {
        self.on_behalf.as_ref().unwrap_or(&self.officer)
    }
}

/// How a decision is signed.
#[derive(Clone, PartialEq, Eq)]
pub enum DecisionSignature {
    /// By the key of the officer's certificate, over [`Decision::signed_bytes`].
    Certificate(Vec<u8>),
    /// By a passkey of the officer.
    Passkey(Box<PasskeySignature>),
}

/// What a passkey said to the challenge of a decision: SHA-256 of `onebit/passkey-decision/v1`, a zero byte, the decision's
/// digest and the nonce (Web Authentication Level 2, section 7.2).
///
/// The canonical record has the domain `onebit/passkey-signature/v1` and, in the form of [`Decision`]'s, 1: the passkey's
/// id, 2: the nonce, 32 bytes, 3: `clientDataJSON`, 4: `authenticatorData`, 5: the signature. With the officer's public key
/// anybody can verify it again.
#[derive(Clone, PartialEq, Eq)]
pub struct PasskeySignature {
    /// The authenticator's name for the passkey.
    pub credential: Vec<u8>,
    /// The random part of the challenge.
    pub nonce: [u8; 32],
    /// The bytes of `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// The bytes of `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl PasskeySignature {
    /// The canonical record above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::new(PASSKEY_DOMAIN)
            .field(1, &self.credential)
            .field(2, &self.nonce)
            .field(3, &self.client_data)
            .field(4, &self.authenticator_data)
            .field(5, &self.signature)
            .bytes()
    }

    /// Reads the canonical record above.
    ///
    /// # Errors
    /// [`FormError::Record`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(PASSKEY_DOMAIN, "a passkey's signature", bytes)?;
        let signature = Self {
            credential: record.field(1)?.to_vec(),
            nonce: record.array(2)?,
            client_data: record.field(3)?.to_vec(),
            authenticator_data: record.field(4)?.to_vec(),
            signature: record.field(5)?.to_vec(),
        };
        record.end()?;
        Ok(signature)
    }
}

impl DecisionSignature {
    /// How it is signed, as a step's record says it.
    pub(super) const fn kind(&self) -> &'static [u8] {
        match self {
            Self::Certificate(_) => CERTIFICATE,
            Self::Passkey(_) => PASSKEY,
        }
    }

    /// The signature as a step and the log keep it: of a certificate as it is, of a passkey its canonical record.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Certificate(signature) => signature.clone(),
            Self::Passkey(signature) => signature.to_bytes(),
        }
    }

    /// Reads what [`Self::kind`] and [`Self::to_bytes`] gave.
    pub(super) fn read(kind: &[u8], bytes: &[u8]) -> Option<Self> {
        match kind {
            CERTIFICATE => Some(Self::Certificate(bytes.to_vec())),
            PASSKEY => {
                PasskeySignature::from_bytes(bytes).ok().map(|signature| Self::Passkey(Box::new(signature)))
            }
            _ => None,
        }
    }
}

/// A decision with the officer's signature. INVARIANT: the caller has verified the signature before it hands
/// this in; this room holds no keys.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedDecision {
    /// What was decided.
    pub decision: Decision,
    /// The officer's signature over it.
    pub signature: DecisionSignature,
}

const DECISION_DOMAIN: &str = "onebit/decision/v1";
const PASSKEY_DOMAIN: &str = "onebit/passkey-signature/v1";
const CERTIFICATE: &[u8] = b"certificate";
const PASSKEY: &[u8] = b"passkey";
const GRANT: &[u8] = b"grant";
const DENY: &[u8] = b"deny";
/// A page of text; 8,000 bytes at most, an eighth of the largest message (64 KiB).
const REASON_CHARS: RangeInclusive<usize> = 1..=2_000;
/// A number in somebody else's register, with room for its prefix.
const COMPARISON_CHARS: RangeInclusive<usize> = 1..=128;

#[cfg(test)]
mod tests {
    use super::super::request::tests::{fields, request};
    use super::*;

    fn decision(choice: Choice) -> Decision {
        let request = request(&[(DeciderRole::PrivacyOfficer, 1), (DeciderRole::ApprovingOfficer, 2)]);
        Decision::new(DecisionParts {
            disclosure: request.disclosure(),
            request: request.digest(),
            officer: "mere-t".parse().unwrap(),
            role: DeciderRole::ApprovingOfficer,
            choice,
            reason: "Needed for the case.".to_owned(),
            at: Timestamp::from_millis(1_767_225_660_000),
            comparison: None,
            on_behalf: None,
        })
        .unwrap()
    }

    /// The value was computed with the layout of the doc comment and Python's hashlib.
    #[test]
    fn digest_is_that_of_an_independent_computation() {
        let decision = decision(Choice::Grant(fields(&["family-name", "case-number"])));
        assert_eq!(
            decision.digest().to_string(),
            "ae62e36e987c54a0b0d38aedebccf6917711dce6dd2321f80f54f40870246294",
            "officers' clients sign this layout; if it was changed on purpose, raise the domain's version"
        );
        let signed = decision.signed_bytes();
        assert!(
            signed.starts_with(b"onebit/decision/v1\0") && signed.ends_with(decision.digest().as_bytes())
        );
    }

    #[test]
    fn records_go_there_and_back_and_a_denial_has_no_fields() {
        for choice in [Choice::Deny, Choice::Grant(fields(&["case-number"]))] {
            let decision = decision(choice);
            assert!(Decision::from_bytes(&decision.to_bytes()).unwrap() == decision);
        }
        let compared = Decision { comparison: Some("FR-2026/113".to_owned()), ..decision(Choice::Deny) };
        let read = Decision::from_bytes(&compared.to_bytes()).unwrap();
        assert!(read == compared && read.digest() != decision(Choice::Deny).digest());
        let seat = Decision { on_behalf: Some("hana".parse().unwrap()), ..decision(Choice::Deny) };
        let read = Decision::from_bytes(&seat.to_bytes()).unwrap();
        assert!(read == seat && read.digest() != decision(Choice::Deny).digest());
        let own = Decision { on_behalf: Some("mere-t".parse().unwrap()), ..decision(Choice::Deny) };
        assert_eq!(Decision::from_bytes(&own.to_bytes()).err(), Some(FormError::OwnSeat));
        let bytes = decision(Choice::Grant(fields(&["case-number"]))).to_bytes();
        let at = bytes.windows(GRANT.len()).position(|part| part == GRANT).unwrap();
        let mut denial = bytes[..at - 4].to_vec();
        denial.extend([0, 0, 0, 4]);
        denial.extend(DENY);
        denial.extend(&bytes[at + GRANT.len()..]);
        assert!(Decision::from_bytes(&denial).is_err(), "a denial that carries fields must be refused");
    }

    #[test]
    fn signatures_go_there_and_back_and_are_never_taken_for_another_kind() {
        let passkey = DecisionSignature::Passkey(Box::new(PasskeySignature {
            credential: vec![1; 16],
            nonce: [2; 32],
            client_data: b"{}".to_vec(),
            authenticator_data: vec![3; 37],
            signature: vec![4; 70],
        }));
        for signature in [passkey, DecisionSignature::Certificate(vec![5; 70])] {
            let bytes = signature.to_bytes();
            assert!(DecisionSignature::read(signature.kind(), &bytes).unwrap() == signature);
            assert!(DecisionSignature::read(b"word", &bytes).is_none());
        }
        assert!(DecisionSignature::read(PASSKEY, &[5; 70]).is_none());
    }

    #[test]
    fn a_decision_without_a_reason_is_refused() {
        let made = |reason: &str| {
            let other = decision(Choice::Deny);
            Decision::new(DecisionParts {
                disclosure: other.disclosure,
                request: other.request,
                officer: other.officer,
                role: other.role,
                choice: Choice::Deny,
                reason: reason.to_owned(),
                at: other.at,
                comparison: None,
                on_behalf: None,
            })
        };
        assert!(made(" ").is_err() && made(&"ā".repeat(2_001)).is_err());
        assert!(made(&"ā".repeat(2_000)).is_ok());
    }
}
