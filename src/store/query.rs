//! Queries: one question about one person, its outcome, and the answer that follows from both.

use crate::clock::Timestamp;
use crate::ids::{AgreementName, CollectionName, Digest, PurposeName, QueryId, RequestId, SubjectId};
use crate::template::{Protected, Quality};

use super::enrolment::CollectionGeneration;
use super::{AuditReceipt, Withheld};

/// The one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A person whom the agreement lets the partner see matches.
    Hit,
    /// No such person does.
    NoHit,
}

/// What a search came to. It is sealed in the store as it is; a partner learns the answer alone.
pub struct Verdict {
    /// The one bit.
    pub answer: Answer,
    /// The best subject that the partner may see, when it passes.
    pub subject: Option<SubjectId>,
    /// The best subject that is hidden from the partner, when it passes.
    pub hidden: Option<SubjectId>,
}

/// A query as it is to be recorded.
pub struct QueryNew {
    /// The query's own random id.
    pub id: QueryId,
    /// The caller's id of the request.
    pub request: RequestId,
    /// Keyed hash of the whole question: tells a repetition from a reuse.
    pub content: Digest,
    /// The collection that was searched.
    pub collection: CollectionName,
    /// The purpose, as the agreement names it.
    pub purpose: PurposeName,
    /// The caller's case reference.
    pub case: String,
    /// The caller's pseudonym of the official.
    pub official: String,
    /// The legal basis on the caller's side.
    pub legal_basis: String,
    /// `routine` or `urgent`.
    pub urgency: &'static str,
    /// The quality of each sample of the person that was sent.
    pub qualities: Vec<Quality>,
    /// When the question arrived.
    pub received: Timestamp,
    /// From when on a repeated request id gets its first answer again.
    pub window_start: Timestamp,
}

/// An answer with all that leaves beside it; a pure function of outcome, entry and checkpoint.
pub struct StoredAnswer {
    /// The query.
    pub query: QueryId,
    /// The one bit.
    pub answer: Answer,
    /// The receipt (C2SP tlog-proof).
    pub receipt: String,
}

/// What is known of a request id.
pub enum QuerySeen {
    /// It is new.
    New,
    /// The same question was answered.
    Answered(StoredAnswer),
    /// Another question was asked with it.
    OtherContent,
    /// It was used, too long ago to be answered again.
    WindowOver,
}

/// What came of recording a query.
#[expect(clippy::large_enum_variant, reason = "made once a call and taken apart at once")]
pub enum QueryRecorded {
    /// It is durable: the verdict opens against the receipt.
    New(QueryId, AuditReceipt, Withheld<Verdict>),
    /// The request id came twice at once; the first one counts.
    Seen(QuerySeen),
    /// The agreement's volume was used up meanwhile.
    DayExhausted,
    /// The agreement's volume was used up meanwhile.
    YearExhausted,
}

/// What a partner used of an agreement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Queries on this day (UTC).
    pub today: u64,
    /// Queries in this year (UTC).
    pub this_year: u64,
}

/// What a query was asked under.
pub struct AskedUnder {
    /// The agreement.
    pub agreement: AgreementName,
    /// The collection.
    pub collection: CollectionName,
}

/// A template of whoever a query matched, in the generation of its collection.
pub type HitTemplate = (CollectionGeneration, Protected);
