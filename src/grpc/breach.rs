//! Breaches of privacy; for privacy officers, and for administrators who open a case or confirm a finding.

use std::str::FromStr;

use tonic::Request;

use super::call::{Desk, Reply};
use super::change_form::FormFault;
use super::page::{self, PageSizes};
use super::parse;
use super::pb::oversight as pb;
use super::pb::oversight::breach_service_server::BreachService;
use super::timestamp::timestamp_to_pb;
use crate::authz::Action;
use crate::gate::{BreachAsk, BreachDeed, TraceAsk};
use crate::ids::{BreachId, SubjectId};
use crate::store::breach::{AffectedOne, Assessed, Breach, Notified, Said, Traced};
use crate::store::search::Attribute;
use crate::store::subject::WordError;

/// Answers about breaches.
#[derive(Clone)]
pub(super) struct Breaches {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl BreachService for Breaches {
    async fn open_breach(&self, request: Request<pb::OpenBreachRequest>) -> Reply<pb::OpenBreachResponse> {
        let call = self.desk.call(Action::OpenBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let ask = BreachAsk {
                kind: word("kind", &sent.kind)?,
                aware: parse::moment("aware_time", sent.aware_time.as_ref())?,
                what: sent.description,
                found_by: sent.found_by,
            };
            let (opened, receipt) = self.desk.gate().breach_open(&caller, ask).await?;
            Ok(pb::OpenBreachResponse { breach: Some(breach(&opened)), receipt })
        })
        .await
    }

    async fn contain_breach(
        &self,
        request: Request<pb::ContainBreachRequest>,
    ) -> Reply<pb::ContainBreachResponse> {
        let call = self.desk.call(Action::ContainBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let (id, deed) = (name(&sent.name)?, BreachDeed::Contain);
            let after = self.desk.gate().breach_step(&caller, id, deed, sent.description).await?;
            Ok(pb::ContainBreachResponse { breach: Some(breach(&after)) })
        })
        .await
    }

    async fn trace_breach(&self, request: Request<pb::TraceBreachRequest>) -> Reply<pb::TraceBreachResponse> {
        let call = self.desk.call(Action::TraceBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let id = name(&sent.name)?;
            let ask = trace_ask(sent)?;
            let (after, affected, receipt) = self.desk.gate().breach_trace(&caller, id, ask).await?;
            let people = affected.people.iter().take(PEOPLE_MAX).map(|(id, one)| person(id, one)).collect();
            Ok(pb::TraceBreachResponse { breach: Some(breach(&after)), people, receipt })
        })
        .await
    }

    async fn assess_breach(
        &self,
        request: Request<pb::AssessBreachRequest>,
    ) -> Reply<pb::AssessBreachResponse> {
        let call = self.desk.call(Action::AssessBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let factor = |one: pb::BreachFactor| Ok((word("factors.factor", &one.factor)?, one.words));
            let factors = sent.factors.into_iter().map(factor).collect::<Result<Vec<_>, FormFault>>()?;
            let deed = BreachDeed::Assess(factors, word("finding", &sent.finding)?);
            let after = self.desk.gate().breach_step(&caller, name(&sent.name)?, deed, sent.reason).await?;
            Ok(pb::AssessBreachResponse { breach: Some(breach(&after)) })
        })
        .await
    }

    async fn confirm_breach(
        &self,
        request: Request<pb::ConfirmBreachRequest>,
    ) -> Reply<pb::ConfirmBreachResponse> {
        let call = self.desk.call(Action::ConfirmBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let (id, deed) = (name(&sent.name)?, BreachDeed::Confirm);
            let after = self.desk.gate().breach_step(&caller, id, deed, sent.reason).await?;
            Ok(pb::ConfirmBreachResponse { breach: Some(breach(&after)) })
        })
        .await
    }

    async fn notify_breach(
        &self,
        request: Request<pb::NotifyBreachRequest>,
    ) -> Reply<pb::NotifyBreachResponse> {
        let call = self.desk.call(Action::NotifyBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let at = parse::moment("tell_time", sent.tell_time.as_ref())?;
            let deed = BreachDeed::Notify(word("told", &sent.told)?, at, sent.detail);
            let after = self.desk.gate().breach_step(&caller, name(&sent.name)?, deed, sent.reason).await?;
            Ok(pb::NotifyBreachResponse { breach: Some(breach(&after)) })
        })
        .await
    }

    async fn close_breach(&self, request: Request<pb::CloseBreachRequest>) -> Reply<pb::CloseBreachResponse> {
        let call = self.desk.call(Action::CloseBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let (id, deed) = (name(&sent.name)?, BreachDeed::Close);
            let after = self.desk.gate().breach_step(&caller, id, deed, sent.reason).await?;
            Ok(pb::CloseBreachResponse { breach: Some(breach(&after)) })
        })
        .await
    }

    async fn get_breach(&self, request: Request<pb::GetBreachRequest>) -> Reply<pb::GetBreachResponse> {
        let call = self.desk.call(Action::GetBreach, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = name(&request.get_ref().name)?;
            let (found, holder) = self.desk.gate().breach_get(&caller, id).await?;
            Ok(pb::GetBreachResponse { breach: Some(breach(&found)), holder })
        })
        .await
    }

    async fn list_breaches(
        &self,
        request: Request<pb::ListBreachesRequest>,
    ) -> Reply<pb::ListBreachesResponse> {
        let call = self.desk.call(Action::ListBreaches, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.get_ref();
            let size = page::size(sent.page_size, PAGE)?;
            let after = page::last_id(&sent.page_token)?.map(BreachId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let mut found = self.desk.gate().breach_list(&caller, sent.closed, after, limit).await?;
            let next_page_token = page::cut(&mut found, size, |one| *one.id.as_bytes());
            Ok(pb::ListBreachesResponse { breaches: found.iter().map(breach).collect(), next_page_token })
        })
        .await
    }
}

fn trace_ask(sent: pb::TraceBreachRequest) -> Result<TraceAsk, FormFault> {
    let moment = |field, sent: Option<&_>| match sent {
        Some(sent) => parse::moment(field, Some(sent)).map(Some),
        None => Ok(None),
    };
    let (since, until) =
        (moment("since_time", sent.since_time.as_ref())?, moment("until_time", sent.until_time.as_ref())?);
    let names = [
        (Attribute::Partner, sent.partner),
        (Attribute::Official, sent.official),
        (Attribute::Officer, sent.officer),
    ];
    let of = names.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Ok(TraceAsk { entries: sent.entries, of, since, until, why: sent.reason })
}

fn word<T: FromStr<Err = WordError>>(field: &str, sent: &str) -> Result<T, FormFault> {
    sent.parse().map_err(|error: WordError| FormFault::new(field, error.to_string()))
}

fn name(sent: &str) -> Result<BreachId, FormFault> {
    BreachId::parse_resource(sent).map_err(|error| FormFault::new("name", error.to_string()))
}

fn breach(one: &Breach) -> pb::Breach {
    pb::Breach {
        name: one.id.resource(),
        kind: one.kind.to_string(),
        description: one.what.clone(),
        aware_time: Some(timestamp_to_pb(one.aware)),
        found_by: one.found_by.clone(),
        open_time: Some(timestamp_to_pb(one.opened.0)),
        opened_by: one.opened.1.to_string(),
        due_time: Some(timestamp_to_pb(one.due)),
        running: one.is_running(),
        contained: one.contained.iter().map(note).collect(),
        traces: one.traced.iter().map(trace).collect(),
        assessment: one.assessed.as_ref().map(assessment),
        notifications: one.notified.iter().map(notification).collect(),
        late_time: one.late.map(timestamp_to_pb),
        closed: one.closed.as_ref().map(note),
    }
}

fn note(said: &Said) -> pb::BreachNote {
    let time = Some(timestamp_to_pb(said.at));
    pb::BreachNote { time, by: said.by.to_string(), words: said.words.clone() }
}

fn trace(one: &Traced) -> pb::BreachTrace {
    pb::BreachTrace {
        note: Some(note(&one.said)),
        scope: one.scope.clone(),
        people: number(one.people),
        fields: one.fields.clone(),
        recipients: one.recipients.clone(),
        digest: one.digest.to_string(),
    }
}

fn assessment(one: &Assessed) -> pb::BreachAssessment {
    let factor = |(factor, words): &(crate::store::breach::Factor, String)| pb::BreachFactor {
        factor: factor.to_string(),
        words: words.clone(),
    };
    pb::BreachAssessment {
        note: Some(note(&one.said)),
        role: one.role.as_str().to_owned(),
        factors: one.factors.iter().map(factor).collect(),
        finding: one.finding.to_string(),
        confirmation: one.confirmed.as_ref().map(note),
    }
}

fn notification(one: &Notified) -> pb::BreachNotification {
    pb::BreachNotification {
        note: Some(note(&one.said)),
        told: one.told.to_string(),
        tell_time: Some(timestamp_to_pb(one.at)),
        detail: one.detail.clone(),
    }
}

fn person(id: &SubjectId, one: &AffectedOne) -> pb::AffectedPerson {
    pb::AffectedPerson {
        subject: id.resource(),
        hits: number(one.hits),
        views: number(one.views),
        disclosures: number(one.disclosures),
        changes: number(one.changes),
        viewed_fields: one.viewed.iter().cloned().collect(),
        disclosed_fields: one.disclosed.iter().cloned().collect(),
        recipients: one.recipients.iter().cloned().collect(),
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const PAGE: PageSizes = PageSizes { usual: 50, most: 200 };
/// Of some 200 bytes each, below what clients take in one answer.
const PEOPLE_MAX: usize = 10_000;
