//! Requests of people: opened, extended, decided, and told when they are late.

use std::sync::Arc;

use jiff::civil::Date;

use crate::authz::{About, Action};
use crate::clock::{Timestamp, Within, day_of};
use crate::ids::{IdError, RestrictionName, SubjectRequestId};
use crate::secret::random_bytes;
use crate::store::subject::{
    Ground, SubjectOutcome, SubjectRequest, SubjectRequestFilter, SubjectRequestKind, SubjectRequestNew,
    SubjectRequestStep, SubjectRequestStepped,
};
use crate::telemetry;

use super::{Caller, Gate, GateError, text};

/// A request as it is opened, in its form.
pub struct SubjectRequestAsk {
    /// What for.
    pub kind: SubjectRequestKind,
    /// The source system's id of the person, where it is known.
    pub source_id: Option<String>,
    /// The holder's own reference of it.
    pub reference: String,
    /// The date on which it came.
    pub received: Date,
    /// Whether the person disputes what is held, and is hidden at once.
    pub is_disputed: bool,
}

/// What happens to a request that is open, in its form.
pub enum SubjectRequestDeed {
    /// It takes longer, until the end of this day in New Zealand.
    Extend(Date),
    /// It is decided.
    Close(SubjectOutcome, Vec<Ground>),
}

impl Gate {
    /// Opens a person's request. It is due 20 working days after the day on which it came.
    ///
    /// # Errors
    /// [`GateError::Invalid`].
    pub async fn subject_request_open(
        self: &Arc<Self>,
        caller: &Caller,
        ask: SubjectRequestAsk,
    ) -> Result<(SubjectRequest, String), GateError> {
        let reference = text("reference", ask.reference, 1, REFERENCE_MAX_CHARS)?;
        let content = self.content(reference.as_bytes());
        let permit = self.permit(&caller.actor, Action::OpenSubjectRequest, About::Service, content).await?;
        // Noon or 1 pm of that date in New Zealand.
        let received = Timestamp::at_day(day_of(ask.received));
        let now = self.now();
        if received > now.after(HALF_A_DAY) {
            let what = "it lies ahead; name the date on which the request came".to_owned();
            return Err(GateError::Invalid { field: "received", what });
        }
        let disputed = match (ask.is_disputed, ask.kind, &ask.source_id) {
            (false, ..) => None,
            (true, SubjectRequestKind::Correction, Some(_)) => Some(disputed()?),
            (true, ..) => {
                let what = "a request for a correction by somebody whom you name can dispute; name the person, or leave it out";
                return Err(GateError::Invalid { field: "disputed", what: what.to_owned() });
            }
        };
        let new = SubjectRequestNew {
            id: SubjectRequestId::from_bytes(random_bytes(self.parts.entropy.as_ref())?),
            kind: ask.kind,
            source: ask.source_id.map(|source| self.parts.keys.pseudonym(&source)),
            reference,
            received,
            due: Within::WorkingDays(WORKING_DAYS).after(received),
            disputed,
        };
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let ((request, change), receipt) =
                gate.parts.store.subject_request_open(permit, new).await?.open()?;
            gate.gallery_apply(change).await?;
            Ok((request, receipt.to_text()))
        })
        .await
    }

    /// Extends or closes a person's request.
    ///
    /// # Errors
    /// [`GateError::NotNow`] with what stands against it, [`GateError::NotFound`].
    pub async fn subject_request_step(
        &self,
        caller: &Caller,
        id: SubjectRequestId,
        deed: SubjectRequestDeed,
        why: String,
    ) -> Result<SubjectRequest, GateError> {
        let why = text("reason", why, 1, WHY_MAX_CHARS)?;
        let (action, step) = match deed {
            SubjectRequestDeed::Extend(until) => {
                // The end of that day.
                let due = Within::WorkingDays(0).after(Timestamp::at_day(day_of(until)));
                (Action::ExtendSubjectRequest, SubjectRequestStep::Extend { due, why })
            }
            SubjectRequestDeed::Close(outcome, grounds) => {
                (Action::CloseSubjectRequest, SubjectRequestStep::Close { outcome, grounds, why })
            }
        };
        let permit = self.permit(&caller.actor, action, About::Service, self.content(id.as_bytes())).await?;
        let (stepped, _receipt) = self.parts.store.subject_request_step(permit, id, step).await?.open()?;
        match stepped {
            SubjectRequestStepped::Done(request) => Ok(*request),
            SubjectRequestStepped::Refused(refused) => Err(GateError::NotNow(refused.to_string())),
            SubjectRequestStepped::NoRequest => Err(GateError::NotFound("request")),
        }
    }

    /// A person's request.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn subject_request_get(
        &self,
        caller: &Caller,
        id: SubjectRequestId,
    ) -> Result<SubjectRequest, GateError> {
        let content = self.content(id.as_bytes());
        let _permit = self.permit(&caller.actor, Action::GetSubjectRequest, About::Service, content).await?;
        self.parts.store.subject_request_get(id).await?.ok_or(GateError::NotFound("request"))
    }

    /// Persons' requests: open ones, those that are due soonest first; or those that have ended, the newest first.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn subject_request_list(
        &self,
        caller: &Caller,
        closed: bool,
        after: Option<SubjectRequestId>,
        limit: u32,
    ) -> Result<Vec<SubjectRequest>, GateError> {
        let content = self.content(b"");
        let _permit =
            self.permit(&caller.actor, Action::ListSubjectRequests, About::Service, content).await?;
        let filter = SubjectRequestFilter { closed, due_at: None, after, limit };
        Ok(self.parts.store.subject_request_list(filter).await?)
    }

    /// Notes persons' requests that were not decided in time, once each; gives how many.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn subject_requests_tend(&self) -> Result<u32, GateError> {
        let mut noted: u32 = 0;
        loop {
            let due_at = Some(self.now());
            let filter = SubjectRequestFilter { due_at, limit: TEND_REQUESTS, ..Default::default() };
            let mut moved = false;
            for request in self.parts.store.subject_request_list(filter).await? {
                if self.parts.store.subject_request_late(request.id).await? {
                    tracing::warn!("a person's request is late; see `onebit subject request list`");
                    metrics::counter!(telemetry::SUBJECT_REQUESTS_LATE).increment(1);
                    (noted, moved) = (noted.saturating_add(1), true);
                }
            }
            if !moved {
                return Ok(noted);
            }
        }
    }
}

/// The restriction under which somebody stands who disputes what is held of them.
fn disputed() -> Result<RestrictionName, GateError> {
    DISPUTED.parse().map_err(|_: IdError| GateError::Internal { doing: "naming a restriction" })
}

const DISPUTED: &str = "disputed";
/// Privacy Act 2020, sections 44, 63 and 64.
const WORKING_DAYS: u16 = 20;
/// New Zealand's date is ahead of Greenwich's by up to 13 hours.
const HALF_A_DAY: std::time::Duration = std::time::Duration::from_secs(14 * 60 * 60);
const REFERENCE_MAX_CHARS: usize = 128;
const WHY_MAX_CHARS: usize = 2_000;
const TEND_REQUESTS: u32 = 64;
