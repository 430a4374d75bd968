//! Disclosures: requests for named fields, their decisions and their one release.

use crate::approval::{
    Confirmation, ConfirmationWord, Disclosure, Eligible, Request, SALT_BYTES, SignedDecision, State,
};
use crate::clock::Timestamp;
use crate::ids::{Digest, DisclosureId, FieldName, PartnerName, PurposeName, RequestId, RestrictionName};
use crate::template::Quality;

use super::Withheld;

/// A request as it is to be kept, if its query hit.
pub struct DisclosureNew {
    /// The request.
    pub request: Request,
    /// The caller's id of the request.
    pub request_id: RequestId,
    /// Keyed hash of the whole request: tells a repetition from a reuse.
    pub content: Digest,
    /// The partner's signature over its own request, with the digest it is over.
    pub signature: AskSignature,
    /// From when on a repeated request id gets its first answer again.
    pub window_start: Timestamp,
    /// What a fresh sample said, where one came.
    pub confirmation: Option<ConfirmationNew>,
}

/// What a fresh sample said: it becomes part of the request with the entry about it.
pub struct ConfirmationNew {
    /// The word, withheld like the hit that it is about.
    pub word: Withheld<ConfirmationWord>,
    /// The quality of the sample.
    pub quality: Quality,
    /// Random bytes that keep the request's digest from telling the word.
    pub salt: [u8; SALT_BYTES],
}

impl ConfirmationNew {
    /// It as it is kept, for the transaction that keeps it.
    pub(super) const fn inside(&self) -> Confirmation {
        Confirmation { word: *self.word.inside(), quality: self.quality, salt: self.salt }
    }
}

/// A decision as it is to be kept.
pub struct DecisionNew {
    /// The decision.
    pub signed: SignedDecision,
    /// Who may decide at this moment.
    pub eligible: Vec<Eligible>,
    /// The restrictions that the agreement lets the partner see: whoever is hidden by another is not disclosed.
    pub visible: Vec<RestrictionName>,
}

/// The partner's signature over its request.
pub struct AskSignature {
    /// The digest it is over.
    pub digest: Digest,
    /// The signature.
    pub bytes: Vec<u8>,
}

/// What came of a request.
#[expect(clippy::large_enum_variant, reason = "made once a call and taken apart at once")]
pub enum Requested {
    /// It is kept.
    Kept(Case),
    /// The query is not a hit of the caller's own: refused at once, whoever is enrolled.
    NoHit,
    /// The request id came twice at once; the first one counts, and is to be looked up again.
    Seen,
}

/// What is known of a request id.
pub enum DisclosureSeen {
    /// It is new.
    New,
    /// The same request was kept, with the receipt of its entry.
    Kept(Box<Case>, String),
    /// Another request was made with it.
    OtherContent,
    /// It was used, too long ago to be answered again.
    WindowOver,
}

/// A disclosure with what the store knows around it.
pub struct Case {
    /// The disclosure.
    pub disclosure: Disclosure,
    /// When it ends if nobody does anything.
    pub ends: Timestamp,
    /// Who enrolled the person, under this identity or another that is the same person's: never decides about them.
    pub enrolled_by: Vec<crate::ids::ActorName>,
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// Only of this partner.
    pub partner: Option<PartnerName>,
    /// Only in these states; none means any.
    pub states: Vec<State>,
    /// Only those that owe a review.
    pub reviews: Option<ReviewsOwed>,
    /// Only for this purpose.
    pub purpose: Option<PurposeName>,
    /// Only on this legal basis, in the partner's own words.
    pub legal_basis: Option<String>,
    /// Only those asked for at this time or later.
    pub asked_since: Option<Timestamp>,
    /// Only those asked for at this time or before.
    pub asked_before: Option<Timestamp>,
    /// Only those that ended before this.
    pub ended_before: Option<Timestamp>,
    /// The order.
    pub order: CaseOrder,
    /// The last case of the page before.
    pub after: Option<DisclosureId>,
    /// When that one ended as its page showed it: the next page begins there also when it has moved since.
    pub after_ends: Option<Timestamp>,
    /// How many at most.
    pub limit: u32,
}

/// The order of a list of cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CaseOrder {
    /// Newest first, as partners see them.
    #[default]
    Newest,
    /// Urgent ones first, then those that end soonest, as officers see them.
    Queue,
    /// Oldest first.
    Oldest,
}

/// Which reviews are owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewsOwed {
    /// Any.
    All,
    /// Those that were due at this time, and are not noted as late.
    DueAt(Timestamp),
}

/// How many cases a filter lets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CaseCount {
    /// As many as were counted.
    pub cases: u32,
    /// Whether there are more than were to be counted.
    pub is_more: bool,
}

/// What else was asked, newest first.
#[derive(Default)]
pub struct CasesRelated {
    /// About the same person, whoever asked.
    pub person: Vec<Case>,
    /// By the same official of the same partner.
    pub official: Vec<Case>,
}

/// What is known of a field that is asked for, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFacts {
    /// Which.
    pub field: FieldName,
    /// Its classification; empty where the record has no such field.
    pub classification: String,
    /// Where it came from.
    pub source: String,
    /// What it may be used for.
    pub permitted_uses: Vec<String>,
}

/// The value of a field that an officer asked to see.
pub struct FieldValue {
    /// The value.
    pub value: zeroize::Zeroizing<String>,
    /// What the person says of it, the oldest first: it is read with the value.
    pub statements: Vec<String>,
}

/// What came of a decision.
pub enum Decided {
    /// It is kept; the case after it.
    Kept(Box<Case>),
    /// It was refused by the state machine.
    Refused(crate::approval::Refused),
    /// There is no such case.
    NoCase,
    /// The passkey that signed it does not stand for the officer any more, or its count has gone on.
    NotSigned,
}

/// The terms of a release.
pub struct ReleaseTerms {
    /// The partner that it is for.
    pub partner: PartnerName,
    /// The purpose that it is for.
    pub purpose: PurposeName,
    /// The restrictions that the agreement lets the partner see.
    pub visible: Vec<RestrictionName>,
    /// When it can no longer be fetched.
    pub ends: Timestamp,
    /// When the review is due that an urgent release owes.
    pub review_by: Option<Timestamp>,
    /// The digest of the rules that it happens under.
    pub policy: Digest,
}

/// What came of an approval.
pub enum Released {
    /// The ciphertext is kept.
    Sealed(Box<Case>),
    /// The person was hidden or erased since the hit: it ends as a refusal by people does.
    Denied(Box<Case>),
    /// The partner has no confirmed release key; the approval stays.
    NoReleaseKey,
    /// The case is not approved any more.
    NotApproved,
}

/// A release as a partner fetches it.
pub struct Release {
    /// Encapsulated key, then ciphertext.
    pub ciphertext: Vec<u8>,
    /// The `info` of the sealing.
    pub info: Vec<u8>,
    /// The receipt of the release's entry (C2SP tlog-proof).
    pub receipt: String,
}

/// What came of a step that a partner takes.
pub enum Stepped {
    /// The case after it.
    Done(Box<Case>),
    /// The state machine does not allow it now.
    Refused(crate::approval::Refused),
    /// The digest is not that of the ciphertext.
    OtherCiphertext,
    /// There is no such case of this partner.
    NoCase,
}
