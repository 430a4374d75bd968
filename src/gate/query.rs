//! Asking: from a question to one bit with its receipt.

use std::sync::Arc;

use crate::audit::codec::RecordWriter;
use crate::authz::{About, Action, Permit, Reason, Usage};
use crate::clock::Timestamp;
use crate::ids::{AgreementName, CollectionName, Digest, PurposeName, QueryId, RequestId};
use crate::matching::{self, Collection, Probe, Question};
use crate::secret::random_bytes;
use crate::store::{Answer, QueryNew, QueryRecorded, QuerySeen, StoredAnswer, Verdict};
use crate::telemetry::Step;
use crate::template::Sample;

use super::{Caller, Gate, GateError, text};

/// A question as it arrived, in its form.
pub struct QuestionAsk {
    /// The caller's id of the request.
    pub request: RequestId,
    /// The collection to search.
    pub collection: CollectionName,
    /// The agreement, where the caller names one.
    pub agreement: Option<AgreementName>,
    /// The purpose.
    pub purpose: PurposeName,
    /// The caller's case reference.
    pub case: String,
    /// The caller's pseudonym of the official.
    pub official: String,
    /// The legal basis on the caller's side.
    pub legal_basis: String,
    /// `routine` or `urgent`.
    pub urgency: &'static str,
    /// The samples of the one person.
    pub samples: Vec<Sample>,
    /// When the caller sent it.
    pub sent: Timestamp,
}

/// An answer with its receipt.
pub struct Answered {
    /// The query that was made of the question.
    pub query: QueryId,
    /// The one bit.
    pub answer: Answer,
    /// The receipt (C2SP tlog-proof).
    pub receipt: String,
}

impl Gate {
    /// Asks one question about one person.
    ///
    /// # Errors
    /// [`GateError`]; every failure is the caller's own or nobody's.
    pub async fn query_ask(&self, caller: &Caller, ask: QuestionAsk) -> Result<Answered, GateError> {
        let ask = checked(ask)?;
        self.check_sent(ask.sent)?;
        let content = self.content(&content_bytes(&ask));
        let samples = u32::try_from(ask.samples.len()).unwrap_or(u32::MAX);
        let live = self.live.load_full();
        let standings = self.standings(&live, caller.actor.partner.as_ref(), &ask.official);
        let about = |usage| About::Query {
            agreement: ask.agreement.as_ref(),
            collection: &ask.collection,
            purpose: &ask.purpose,
            samples,
            usage,
            standings,
        };
        // Standing and agreement first; a repetition of what was answered costs nothing (promise 12).
        let permit = |usage| self.permit(&caller.actor, Action::AskQuery, about(usage), content);
        let repeated = Step::Permit.of(permit(Usage::Repeated)).await?;
        let since = self.window_start(&repeated)?;
        let partner = self.partner_of(caller, Action::AskQuery).await?;
        let store = self.parts.store.as_ref();
        let name = repeated.agreement().map(|agreement| agreement.name.clone());
        let name = name.ok_or(GateError::Refused(Reason::AgreementUnknown))?;
        let look_up = store.query_look_up(partner, name, ask.request, content, (since, self.now()));
        let (seen, used) = Step::LookUp.of(look_up).await?;
        if let Some(answered) = answered_before(seen)? {
            return Ok(answered);
        }
        let counted = Usage::Counted {
            today: u32::try_from(used.today).unwrap_or(u32::MAX),
            this_year: u32::try_from(used.this_year).unwrap_or(u32::MAX),
        };
        let permit = Step::Permit.of(permit(counted)).await?;
        self.query_run(caller, permit, ask, content, since).await
    }

    /// Opens a stream of questions; each of them is asked by itself.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn query_stream_open(&self, caller: &Caller) -> Result<(), GateError> {
        self.permit(&caller.actor, Action::AskQueries, About::Service, self.content(b"")).await.map(drop)
    }

    async fn query_run(
        &self,
        caller: &Caller,
        permit: Permit,
        ask: QuestionAsk,
        content: Digest,
        window_start: Timestamp,
    ) -> Result<Answered, GateError> {
        let live = self.live.load_full();
        let collection = live.collections.get(&ask.collection).cloned();
        let collection =
            collection.ok_or(GateError::Internal { doing: "finding a collection of the rules" })?;
        let qualities = ask.samples.iter().map(Sample::quality).collect();
        let probes = Step::Protect.of(async { protect(&collection, ask.samples) }).await?;
        let question = Question { collection, probes, sets: &live.sets, changing: &self.publish };
        let store = self.parts.store.as_ref();
        let verdict = Step::Search.of(matching::decide(store, &permit, question)).await;
        let verdict = verdict.map_err(GateError::Matching)?;
        let new = QueryNew {
            id: QueryId::from_bytes(random_bytes(self.parts.entropy.as_ref())?),
            request: ask.request,
            content,
            collection: ask.collection,
            purpose: ask.purpose,
            case: ask.case,
            official: ask.official,
            legal_basis: ask.legal_basis,
            urgency: ask.urgency,
            qualities,
            received: self.now(),
            window_start,
        };
        match Step::Record.of(store.query_record(permit, new, verdict)).await? {
            QueryRecorded::New(query, receipt, verdict) => {
                let Verdict { answer, .. } = verdict.open(&receipt)?;
                Ok(Answered { query, answer, receipt: receipt.to_text() })
            }
            QueryRecorded::Seen(seen) => {
                answered_before(seen)?.ok_or(GateError::Internal { doing: "finding the first answer" })
            }
            QueryRecorded::DayExhausted => self.exhausted(caller, Reason::VolumeDayExhausted).await,
            QueryRecorded::YearExhausted => self.exhausted(caller, Reason::VolumeYearExhausted).await,
        }
    }

    async fn exhausted(&self, caller: &Caller, reason: Reason) -> Result<Answered, GateError> {
        let actor = caller.actor.clone();
        let rule = RULE_OF_COUNTERS.to_owned();
        let _receipt = self.parts.store.refusal_record(actor, Action::AskQuery, reason, rule).await?;
        Err(GateError::Refused(reason))
    }

    /// From when on a repeated request id gets its first answer again.
    pub(super) fn window_start(&self, permit: &Permit) -> Result<Timestamp, GateError> {
        let agreement = permit.agreement().ok_or(GateError::Refused(Reason::AgreementUnknown))?;
        Ok(self.now().before(agreement.clocks.request_id_window))
    }
}

fn answered_before(seen: QuerySeen) -> Result<Option<Answered>, GateError> {
    match seen {
        QuerySeen::New => Ok(None),
        QuerySeen::Answered(StoredAnswer { query, answer, receipt }) => {
            Ok(Some(Answered { query, answer, receipt }))
        }
        QuerySeen::OtherContent => Err(GateError::RequestIdUsed),
        QuerySeen::WindowOver => Err(GateError::RequestIdOver),
    }
}

fn protect(collection: &Arc<Collection>, samples: Vec<Sample>) -> Result<Vec<Probe>, GateError> {
    samples
        .into_iter()
        .map(|sample| {
            collection
                .probe(sample)
                .map_err(|error| GateError::Invalid { field: "question.samples", what: error.to_string() })
        })
        .collect()
}

fn checked(ask: QuestionAsk) -> Result<QuestionAsk, GateError> {
    if ask.samples.is_empty() || ask.samples.len() > SAMPLES_MAX {
        let what =
            format!("{} samples were sent; send 1 to {SAMPLES_MAX} of the one person", ask.samples.len());
        return Err(GateError::Invalid { field: "question.samples", what });
    }
    Ok(QuestionAsk {
        case: text("question.case_reference", ask.case, 1, CASE_MAX_CHARS)?,
        official: text("question.official", ask.official, 1, OFFICIAL_MAX_CHARS)?,
        legal_basis: text("question.legal_basis", ask.legal_basis, 1, LEGAL_BASIS_MAX_CHARS)?,
        ..ask
    })
}

/// All that makes a question this question; the time of sending is not part of it, so that it can be sent again.
fn content_bytes(ask: &QuestionAsk) -> zeroize::Zeroizing<Vec<u8>> {
    let samples: zeroize::Zeroizing<Vec<u8>> =
        zeroize::Zeroizing::new(ask.samples.iter().flat_map(|sample| sample.content().to_vec()).collect());
    let record = RecordWriter::new("onebit/question/v1")
        .bytes(1, ask.request.as_bytes())
        .text(2, ask.collection.as_str())
        .text(3, ask.agreement.as_ref().map_or("", AgreementName::as_str))
        .text(4, ask.purpose.as_str())
        .text(5, &ask.case)
        .text(6, &ask.official)
        .text(7, &ask.legal_basis)
        .text(8, ask.urgency)
        .bytes(9, &samples)
        .finish();
    // INVARIANT: the tags above ascend, so the record is always well formed.
    zeroize::Zeroizing::new(record.unwrap_or_default())
}

/// More samples of one person add little and dilute the rate that each may have.
const SAMPLES_MAX: usize = 4;
const CASE_MAX_CHARS: usize = 128;
const OFFICIAL_MAX_CHARS: usize = 128;
const LEGAL_BASIS_MAX_CHARS: usize = 512;
/// The rule of the counters themselves, which decide between two questions that came at once.
const RULE_OF_COUNTERS: &str = "volume-counters";
