//! What is asked: the partner's own words ([`PartnerAsk`]), and the [`Request`] that the holder makes of them and
//! that every decision carries the digest of.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::FormError;
use super::canonical::{Reader, Writer};
use super::confirmation::{Confirmation, qualities_bytes, qualities_of};
use super::factors::Factors;
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, AgreementName, Digest, DisclosureId, FieldName, PartnerName, PurposeName, QueryId, RequestId,
};
use crate::template::Quality;

/// Names of fields: sorted, distinct, at least one and at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(BTreeSet<FieldName>);

impl Fields {
    /// Takes the names in any order.
    ///
    /// # Errors
    /// [`FormError::FieldCount`] and [`FormError::FieldTwice`].
    pub fn new(names: impl IntoIterator<Item = FieldName>) -> Result<Self, FormError> {
        let mut fields = BTreeSet::new();
        for name in names {
            if let Some(twice) = fields.replace(name) {
                return Err(FormError::FieldTwice(twice));
            }
        }
        Self::of(fields)
    }

    /// The names in their order.
    pub fn iter(&self) -> impl Iterator<Item = &FieldName> {
        self.0.iter()
    }

    /// Whether the field is among them.
    #[must_use]
    pub fn contains(&self, name: &FieldName) -> bool {
        self.0.contains(name)
    }

    /// The names in both, if any.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        Self::of(self.0.intersection(&other.0).cloned().collect()).ok()
    }

    /// The names joined with line feeds.
    pub(super) fn to_text(&self) -> String {
        let names: Vec<&str> = self.iter().map(FieldName::as_str).collect();
        names.join("\n")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::new(text.split('\n').map(FieldName::parse).collect::<Result<Vec<_>, _>>().ok()?).ok()
    }

    fn of(fields: BTreeSet<FieldName>) -> Result<Self, FormError> {
        if (1..=FIELDS_MAX).contains(&fields.len()) {
            Ok(Self(fields))
        } else {
            Err(FormError::FieldCount { given: fields.len(), max: FIELDS_MAX })
        }
    }
}

/// The parts of a [`PartnerAsk`] before they are checked.
pub struct AskParts {
    /// The caller's own name for its request.
    pub request_id: RequestId,
    /// The query whose HIT this follows.
    pub query: QueryId,
    /// What the fields are for.
    pub purpose: PurposeName,
    /// The fields asked for.
    pub fields: Fields,
    /// Why they are needed, 20 to 4,000 characters.
    pub justification: String,
    /// The provision it rests on, 1 to 512 characters.
    pub legal_basis: String,
    /// The partner's pseudonymous person behind it, 1 to 128 characters.
    pub official: String,
    /// Why it can't wait, 20 to 2,000 characters, where the urgent path is asked for.
    pub urgent: Option<String>,
    /// The digest of the fresh sample that comes with it ([`super::sample_digest`]), where the agreement wants one.
    pub sample: Option<Digest>,
}

/// What a partner asks and signs, in its own words.
///
/// # The bytes that a partner signs
///
/// The canonical record has the domain `onebit/disclosure-ask/v1`, a zero byte, then these fields, each as
/// tag (1 byte), length (4 bytes, big-endian), value:
///
/// | tag | value |
/// | --- | --- |
/// | 1 | `request_id`, the 16 bytes of the UUID |
/// | 2 | the query's identifier, 16 bytes (the 32 hexadecimal digits after `queries/`) |
/// | 3 | purpose, ASCII |
/// | 4 | names of the fields, sorted by their bytes, joined with `\n` |
/// | 5 | justification, UTF-8 |
/// | 6 | legal basis, UTF-8 |
/// | 7 | official, UTF-8 |
/// | 25 | why it can't wait, UTF-8; only where the urgent path is asked for |
/// | 26 | digest of the fresh sample ([`super::sample_digest`]), 32 bytes; only where one is sent |
///
/// The digest is SHA-256 of that record; the signature is over the domain, a zero byte and the 32 bytes of the
/// digest. In Python:
///
/// ```python
/// def record(domain, fields):
///     return domain + b"\0" + b"".join(
///         bytes([tag]) + len(value).to_bytes(4, "big") + value for tag, value in sorted(fields.items()))
///
/// DOMAIN = b"onebit/disclosure-ask/v1"
/// digest = hashlib.sha256(record(DOMAIN, {
///     1: uuid.UUID(request_id).bytes, 2: bytes.fromhex(query), 3: purpose.encode(),
///     4: "\n".join(sorted(fields)).encode(), 5: justification.encode(), 6: legal_basis.encode(),
///     7: official.encode()})).digest()
/// signature = key.sign(DOMAIN + b"\0" + digest, ec.ECDSA(hashes.SHA256()))
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PartnerAsk {
    request_id: RequestId,
    query: QueryId,
    purpose: PurposeName,
    fields: Fields,
    justification: String,
    legal_basis: String,
    official: String,
    urgent: Option<String>,
    sample: Option<Digest>,
}

impl PartnerAsk {
    /// Checks the texts.
    ///
    /// # Errors
    /// [`FormError::Text`] with the text that is not in its form.
    pub fn new(parts: AskParts) -> Result<Self, FormError> {
        Ok(Self {
            request_id: parts.request_id,
            query: parts.query,
            purpose: parts.purpose,
            fields: parts.fields,
            justification: checked_text("justification", parts.justification, JUSTIFICATION_CHARS)?,
            legal_basis: checked_text("legal basis", parts.legal_basis, LEGAL_BASIS_CHARS)?,
            official: checked_text("official", parts.official, OFFICIAL_CHARS)?,
            urgent: parts
                .urgent
                .map(|why| checked_text("reason why it is urgent", why, URGENT_CHARS))
                .transpose()?,
            sample: parts.sample,
        })
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
            .field(1, self.request_id.as_bytes())
            .field(2, self.query.as_bytes())
            .field(3, self.purpose.as_str().as_bytes())
            .field(4, self.fields.to_text().as_bytes())
            .field(5, self.justification.as_bytes())
            .field(6, self.legal_basis.as_bytes())
            .field(7, self.official.as_bytes());
        let record = match &self.urgent {
            Some(why) => record.field(25, why.as_bytes()),
            None => record,
        };
        match &self.sample {
            Some(digest) => record.field(26, digest.as_bytes()),
            None => record,
        }
        .bytes()
    }

    /// Reads the canonical record above; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Self::new`] refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(ASK_DOMAIN, "what a partner asks", bytes)?;
        let refused = record.refused();
        let parts = AskParts {
            request_id: RequestId::from_bytes(record.array(1)?),
            query: QueryId::from_bytes(record.array(2)?),
            purpose: record.parsed(3)?,
            fields: Fields::parse(record.text(4)?).ok_or_else(|| record.refused())?,
            justification: record.text(5)?.to_owned(),
            legal_basis: record.text(6)?.to_owned(),
            official: record.text(7)?.to_owned(),
            urgent: record.maybe_text(25)?.map(str::to_owned),
            sample: record.maybe_array(26)?.map(Digest::from_bytes),
        };
        record.end()?;
        let ask = Self::new(parts)?;
        if ask.to_bytes() == bytes { Ok(ask) } else { Err(refused) }
    }

    /// The caller's own name for its request.
    #[must_use]
    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The query whose HIT this follows.
    #[must_use]
    pub const fn query(&self) -> QueryId {
        self.query
    }

    /// What the fields are for.
    #[must_use]
    pub const fn purpose(&self) -> &PurposeName {
        &self.purpose
    }

    /// The fields asked for.
    #[must_use]
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Why they are needed.
    #[must_use]
    pub fn justification(&self) -> &str {
        &self.justification
    }

    /// The provision it rests on.
    #[must_use]
    pub fn legal_basis(&self) -> &str {
        &self.legal_basis
    }

    /// The partner's pseudonymous person behind it.
    #[must_use]
    pub fn official(&self) -> &str {
        &self.official
    }

    /// Why it can't wait; none where the ordinary path is asked for.
    #[must_use]
    pub fn urgent(&self) -> Option<&str> {
        self.urgent.as_deref()
    }

    /// The digest of the fresh sample that came with it.
    #[must_use]
    pub const fn sample(&self) -> Option<Digest> {
        self.sample
    }
}

/// The parts of a [`Request`] before they are checked.
pub struct RequestParts {
    /// The disclosure that this request begins.
    pub disclosure: DisclosureId,
    /// Who asks, from its certificate.
    pub partner: PartnerName,
    /// The partner's system whose credential the call came with.
    pub requester: ActorName,
    /// The agreement in force when it was received.
    pub agreement: AgreementName,
    /// What the partner asked and signed.
    pub ask: PartnerAsk,
    /// What an approval takes, from the agreement.
    pub factors: Factors,
    /// When it was received.
    pub received: Timestamp,
    /// When it expires unless it was released.
    pub decide_by: Timestamp,
}

/// A request for named fields as the holder received it. It never changes: decisions are over its digest.
///
/// # The bytes that the digest is over
///
/// Domain `onebit/disclosure-request/v1`, a zero byte, then tag (1 byte), length (4 bytes, big-endian), value:
///
/// | tag | value |
/// | --- | --- |
/// | 1 | the disclosure's identifier, 16 bytes |
/// | 2 | partner, ASCII |
/// | 3 | requester, ASCII |
/// | 4 | agreement, ASCII |
/// | 5 | the whole record of [`PartnerAsk`] |
/// | 6 | factors as `role=number`, ` units=number` if more than one, ` comparison` if it takes one, in the order of [`super::DeciderRole`], joined with `\n` |
/// | 7 | received: milliseconds since 1970, 8 bytes, big-endian, signed |
/// | 8 | decide by: the same |
/// | 9 | what a fresh sample said, as a word; this and the next two only where one came |
/// | 10 | its quality, 1 byte, 255 for unknown |
/// | 11 | 16 random bytes |
/// | 12 | the qualities of the query's samples, a byte each, 255 for unknown; absent where they are not known any more |
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    disclosure: DisclosureId,
    partner: PartnerName,
    requester: ActorName,
    agreement: AgreementName,
    ask: PartnerAsk,
    factors: Factors,
    received: Timestamp,
    decide_by: Timestamp,
    confirmation: Option<Confirmation>,
    /// Of the query's samples.
    qualities: Vec<Quality>,
}

impl Request {
    /// Checks that there is time to decide.
    ///
    /// # Errors
    /// [`FormError::DecideBy`].
    pub fn new(parts: RequestParts) -> Result<Self, FormError> {
        let RequestParts { disclosure, partner, requester, agreement, ask, factors, received, decide_by } =
            parts;
        if decide_by <= received {
            return Err(FormError::DecideBy);
        }
        let (confirmation, qualities) = (None, Vec::new());
        Ok(Self {
            disclosure,
            partner,
            requester,
            agreement,
            ask,
            factors,
            received,
            decide_by,
            confirmation,
            qualities,
        })
    }

    /// The same with what is known of the samples: the qualities of the query's, and what the fresh one said. It becomes
    /// part of what is decided about.
    #[must_use]
    pub fn with_samples(self, qualities: Vec<Quality>, confirmation: Option<Confirmation>) -> Self {
        Self { qualities, confirmation, ..self }
    }

    /// SHA-256 of the canonical record above.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.to_bytes())
    }

    /// The canonical record above.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = Writer::new(REQUEST_DOMAIN)
            .field(1, self.disclosure.as_bytes())
            .field(2, self.partner.as_str().as_bytes())
            .field(3, self.requester.as_str().as_bytes())
            .field(4, self.agreement.as_str().as_bytes())
            .field(5, &self.ask.to_bytes())
            .field(6, self.factors.to_text().as_bytes())
            .time(7, self.received)
            .time(8, self.decide_by);
        let record = match &self.confirmation {
            Some(confirmation) => confirmation.write(record),
            None => record,
        };
        match self.qualities.as_slice() {
            [] => record,
            qualities => record.field(12, &qualities_bytes(qualities)),
        }
        .bytes()
    }

    /// Reads the canonical record above; nothing but its one form is accepted.
    ///
    /// # Errors
    /// [`FormError::Record`], or what [`Self::new`] and [`PartnerAsk::new`] refuse.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut record = Reader::open(REQUEST_DOMAIN, "a disclosure request", bytes)?;
        let refused = record.refused();
        let parts = RequestParts {
            disclosure: DisclosureId::from_bytes(record.array(1)?),
            partner: record.parsed(2)?,
            requester: record.parsed(3)?,
            agreement: record.parsed(4)?,
            ask: PartnerAsk::from_bytes(record.field(5)?)?,
            factors: Factors::parse(record.text(6)?).ok_or_else(|| record.refused())?,
            received: record.time(7)?,
            decide_by: record.time(8)?,
        };
        let confirmation = Confirmation::read(&mut record)?;
        let qualities = record.maybe(12)?.map(|bytes| qualities_of(bytes, &record)).transpose()?;
        record.end()?;
        let request = Self::new(parts)?.with_samples(qualities.unwrap_or_default(), confirmation);
        if request.to_bytes() == bytes { Ok(request) } else { Err(refused) }
    }

    /// The disclosure that this request begins.
    #[must_use]
    pub const fn disclosure(&self) -> DisclosureId {
        self.disclosure
    }

    /// Who asks.
    #[must_use]
    pub const fn partner(&self) -> &PartnerName {
        &self.partner
    }

    /// The partner's system whose credential the call came with.
    #[must_use]
    pub const fn requester(&self) -> &ActorName {
        &self.requester
    }

    /// The agreement in force when it was received.
    #[must_use]
    pub const fn agreement(&self) -> &AgreementName {
        &self.agreement
    }

    /// What the partner asked and signed.
    #[must_use]
    pub const fn ask(&self) -> &PartnerAsk {
        &self.ask
    }

    /// What an approval takes.
    #[must_use]
    pub const fn factors(&self) -> &Factors {
        &self.factors
    }

    /// When it was received.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// When it expires unless it was released.
    #[must_use]
    pub const fn decide_by(&self) -> Timestamp {
        self.decide_by
    }

    /// What a fresh sample said about the hit, where one came.
    #[must_use]
    pub const fn confirmation(&self) -> Option<&Confirmation> {
        self.confirmation.as_ref()
    }

    /// The qualities of the query's samples, in their order; none where they were not kept, or not any more.
    #[must_use]
    pub fn qualities(&self) -> &[Quality] {
        &self.qualities
    }
}

/// A domain, a zero byte and a digest: what signatures are over.
pub(super) fn signed_bytes(domain: &str, digest: Digest) -> Vec<u8> {
    [domain.as_bytes(), &[0], digest.as_bytes()].concat()
}

/// Text that people wrote: not blank, not endless, nothing that moves a cursor or hides what follows.
pub(super) fn checked_text(
    what: &'static str,
    text: String,
    chars: RangeInclusive<usize>,
) -> Result<String, FormError> {
    let (min, max) = chars.into_inner();
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.trim().chars().count() < min || text.chars().count() > max || text.contains(control) {
        Err(FormError::Text { what, min, max })
    } else {
        Ok(text)
    }
}

const ASK_DOMAIN: &str = "onebit/disclosure-ask/v1";
const REQUEST_DOMAIN: &str = "onebit/disclosure-request/v1";
/// More than any record has; keeps the longest list of names (64 × 64 bytes) within 4 KiB.
const FIELDS_MAX: usize = 64;
/// From a sentence to two pages of text; 16,000 bytes at most, a quarter of the largest message (64 KiB).
const JUSTIFICATION_CHARS: RangeInclusive<usize> = 20..=4_000;
/// An Act, a section and what it says in a sentence.
const LEGAL_BASIS_CHARS: RangeInclusive<usize> = 1..=512;
/// From a sentence to a page.
const URGENT_CHARS: RangeInclusive<usize> = 20..=2_000;
/// A pseudonym, with room for a partner's own scheme of them.
const OFFICIAL_CHARS: RangeInclusive<usize> = 1..=128;

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU8;

    use super::super::confirmation::{ConfirmationWord, SALT_BYTES, sample_digest};
    use super::super::factors::{DeciderRole, Factor};
    use super::*;
    use crate::template::Sample;
    use proptest::prelude::*;

    pub(in crate::approval) fn fields(names: &[&str]) -> Fields {
        Fields::new(names.iter().map(|name| name.parse().unwrap())).unwrap()
    }

    pub(in crate::approval) fn ask() -> PartnerAsk {
        ask_of(None)
    }

    /// The same, by the urgent path.
    pub(in crate::approval) fn ask_urgent() -> PartnerAsk {
        ask_of(Some("The flight leaves within the hour.".to_owned()))
    }

    fn ask_of(urgent: Option<String>) -> PartnerAsk {
        PartnerAsk::new(AskParts {
            request_id: RequestId::parse_uuid("0b7c8a52-6e1f-4b0e-9a44-0a1c2d3e4f50").unwrap(),
            query: QueryId::from_bytes([0x11; 16]),
            purpose: "border-security".parse().unwrap(),
            fields: fields(&["date-of-birth", "case-number", "family-name"]),
            justification: "Whānau reunification; identity in doubt.".to_owned(),
            legal_basis: "Immigration Act 2009, s 305".to_owned(),
            official: "officer-7f3a".to_owned(),
            urgent,
            sample: None,
        })
        .unwrap()
    }

    pub(in crate::approval) fn request(factors: &[(DeciderRole, u8)]) -> Request {
        let factor = |(role, number): &(DeciderRole, u8)| Factor::of(*role, NonZeroU8::new(*number).unwrap());
        request_of(Factors::new(factors.iter().map(factor)).unwrap())
    }

    pub(in crate::approval) fn request_of(factors: Factors) -> Request {
        Request::new(RequestParts {
            disclosure: DisclosureId::from_bytes([0x22; 16]),
            partner: "au-border".parse().unwrap(),
            requester: "au-border-gateway".parse().unwrap(),
            agreement: "nz-au-2026".parse().unwrap(),
            ask: ask(),
            factors,
            received: Timestamp::from_millis(1_767_225_600_000),
            decide_by: Timestamp::from_millis(1_767_484_800_000),
        })
        .unwrap()
    }

    /// The values were computed with the Python of the doc comments and hashlib.
    #[test]
    fn digests_are_those_of_an_independent_computation() {
        let again =
            "if the layout was changed on purpose, raise the domain's version and say so in CHANGELOG.md";
        assert_eq!(ask().digest().to_string(), ASK_GOLDEN, "{again}");
        let request = request(&[(DeciderRole::PrivacyOfficer, 1), (DeciderRole::ApprovingOfficer, 2)]);
        assert_eq!(request.digest().to_string(), REQUEST_GOLDEN, "{again}");
        assert_eq!(ask().signed_bytes().len(), ASK_DOMAIN.len() + 1 + 32);
    }

    #[test]
    fn order_of_fields_and_factors_does_not_change_a_digest() {
        let one = request(&[(DeciderRole::PrivacyOfficer, 1), (DeciderRole::ApprovingOfficer, 2)]);
        let other = request(&[(DeciderRole::ApprovingOfficer, 2), (DeciderRole::PrivacyOfficer, 1)]);
        assert_eq!(one.digest(), other.digest());
        assert_eq!(fields(&["ab", "cd"]), fields(&["cd", "ab"]));
    }

    #[test]
    fn empty_doubled_and_endless_parts_are_refused() {
        assert!(matches!(Fields::new([]), Err(FormError::FieldCount { given: 0, .. })));
        let name: FieldName = "case-number".parse().unwrap();
        assert_eq!(Fields::new([name.clone(), name.clone()]), Err(FormError::FieldTwice(name)));
        for bad in ["", " \n", "a\u{7}", &"a".repeat(129)] {
            assert!(checked_text("official", bad.to_owned(), OFFICIAL_CHARS).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn why_it_is_urgent_is_part_of_what_is_signed() {
        let urgent = ask_urgent();
        assert!(PartnerAsk::from_bytes(&urgent.to_bytes()).unwrap() == urgent);
        assert_ne!(urgent.digest(), ask().digest());
        let parts = |why: &str| AskParts {
            request_id: urgent.request_id(),
            query: urgent.query(),
            purpose: urgent.purpose().clone(),
            fields: urgent.fields().clone(),
            justification: urgent.justification().to_owned(),
            legal_basis: urgent.legal_basis().to_owned(),
            official: urgent.official().to_owned(),
            urgent: Some(why.to_owned()),
            sample: None,
        };
        assert!(PartnerAsk::new(parts("now")).is_err(), "a word is no reason");
    }

    #[test]
    fn records_go_there_and_back() {
        let request = request(&[(DeciderRole::ApprovingOfficer, 2), (DeciderRole::Examiner, 1)]);
        assert!(Request::from_bytes(&request.to_bytes()).unwrap() == request);
        for word in ConfirmationWord::ALL {
            let confirmed = confirmed(&request, word, [3; SALT_BYTES]);
            assert!(Request::from_bytes(&confirmed.to_bytes()).unwrap() == confirmed, "{word}");
            assert_ne!(
                confirmed.digest(),
                request.digest(),
                "what a sample said is part of what is decided about"
            );
        }
    }

    /// A partner knows all of its request but the word and the random bytes beside it.
    #[test]
    fn the_digest_of_a_request_does_not_tell_the_word() {
        let request = request(&[(DeciderRole::ApprovingOfficer, 2)]);
        let told = confirmed(&request, ConfirmationWord::Contradicts, [3; SALT_BYTES]).digest();
        let tried = ConfirmationWord::ALL.map(|word| confirmed(&request, word, [0; SALT_BYTES]).digest());
        assert!(!tried.contains(&told));
    }

    #[test]
    fn a_fresh_sample_is_part_of_what_a_partner_signs() {
        let digest = |seed: f32, request: u8| {
            let sample = Sample::embedding(vec![seed, 0.5], Quality::Unknown);
            sample_digest(RequestId::from_bytes([request; 16]), &sample)
        };
        let different = [digest(0.1, 1), digest(0.2, 1), digest(0.1, 2)];
        assert!(different[0] != different[1] && different[0] != different[2]);
        assert_eq!(different[0], digest(0.1, 1));
        let with = PartnerAsk { sample: Some(different[0]), ..ask() };
        assert!(PartnerAsk::from_bytes(&with.to_bytes()).unwrap() == with);
        assert_ne!(with.digest(), ask().digest());
    }

    fn confirmed(request: &Request, word: ConfirmationWord, salt: [u8; SALT_BYTES]) -> Request {
        let confirmation = Confirmation { word, quality: Quality::Unknown, salt };
        let best = Quality::from_byte(100).unwrap();
        request.clone().with_samples(vec![best, Quality::Unknown], Some(confirmation))
    }

    proptest! {
        /// Whatever is accepted has one form: no two records mean the same request.
        #[test]
        fn a_changed_record_is_refused_or_means_something_else(at in 0_usize..600, change in 1_u8..=255) {
            let request = request(&[(DeciderRole::ApprovingOfficer, 2)]);
            let request = confirmed(&request, ConfirmationWord::Confirms, [3; SALT_BYTES]);
            let mut bytes = request.to_bytes();
            let at = at % bytes.len();
            bytes[at] ^= change;
            if let Ok(other) = Request::from_bytes(&bytes) {
                prop_assert!(other != request && other.to_bytes() == bytes);
            }
        }
    }

    const ASK_GOLDEN: &str = "5111346589b3eedd52ba4f8e04725c0f5441a37ae99a71dd339d96a633e70906";
    const REQUEST_GOLDEN: &str = "39278a676c92aecbc78974d5670d50b7e1af2c96699325fce8a1fd6f2003265f";
}
