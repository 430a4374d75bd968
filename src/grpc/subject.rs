//! People who ask what is held of them, or that it is corrected; for privacy officers.

use std::str::FromStr;

use jiff::civil::Date;
use tonic::Request;
use zeroize::Zeroizing;

use super::call::{Desk, Reply};
use super::change_form::FormFault;
use super::page::{self, PageSizes};
use super::parse::{self, AGREEMENTS, COLLECTIONS, SCHEMES};
use super::pb::oversight as pb;
use super::pb::oversight::report_subject_request::Who;
use super::pb::oversight::subject_service_server::SubjectService;
use super::pb::partner::Sample as SentSample;
use super::pb::partner::sample::Form;
use super::timestamp::timestamp_to_pb;
use crate::approval::Correction;
use crate::authz::{Action, PayloadClass};
use crate::clock::date_of;
use crate::gate::{ReportAsk, ReportMade, ReportWho, SubjectRequestAsk, SubjectRequestDeed};
use crate::ids::{DisclosureId, FieldName, QueryId, SubjectId, SubjectRequestId};
use crate::store::subject::{
    DisclosureTold, Extension, FieldHeld, QueryTold, ReportItem, RestrictionHeld, StatementHeld,
    SubjectRequest, TemplateHeld, Withholding, WordError,
};
use crate::template::Sample;

/// Answers for people who ask.
#[derive(Clone)]
pub(super) struct Subjects {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl SubjectService for Subjects {
    async fn report_subject(
        &self,
        request: Request<pb::ReportSubjectRequest>,
    ) -> Reply<pb::ReportSubjectResponse> {
        let call = self.desk.call(Action::ReportSubject, &request);
        call.reply(async {
            // Read first: the samples are in buffers that wipe themselves from here on, whatever comes of the call.
            let ask = report_ask(request.into_inner());
            let caller = call.caller()?;
            Ok(report(&self.desk.gate().subject_report(&caller, ask?).await?))
        })
        .await
    }

    async fn find_duplicates(
        &self,
        request: Request<pb::FindDuplicatesRequest>,
    ) -> Reply<pb::FindDuplicatesResponse> {
        let call = self.desk.call(Action::FindDuplicates, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let collection = parse::collection("collection", &sent.collection)?;
            let after = parse::left_out(&sent.page_token, |token| {
                token
                    .parse()
                    .map_err(|_| FormFault::new("page_token", "is none that an answer had; begin again"))
            })?;
            let found = self
                .desk
                .gate()
                .duplicates_find(&caller, collection, after.unwrap_or(0), sent.reason)
                .await?;
            let pair = |[one, other]: [SubjectId; 2]| pb::SuspectedPair {
                subject: one.resource(),
                other: other.resource(),
            };
            Ok(pb::FindDuplicatesResponse {
                pairs: found.pairs.into_iter().map(pair).collect(),
                compared: found.compared,
                strangers_expected: found.strangers_expected,
                next_page_token: found.next.map(|slot: u64| slot.to_string()).unwrap_or_default(),
                receipt: found.receipt,
            })
        })
        .await
    }

    async fn open_request(&self, request: Request<pb::OpenRequestRequest>) -> Reply<pb::OpenRequestResponse> {
        let call = self.desk.call(Action::OpenSubjectRequest, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let source_id = parse::left_out(&sent.source_id, |sent| {
                parse::source_id("source_id", sent).map(str::to_owned)
            })?;
            let ask = SubjectRequestAsk {
                kind: word("kind", &sent.kind)?,
                source_id,
                received: date("received_date", &sent.received_date)?,
                is_disputed: sent.disputed,
                reference: sent.reference,
            };
            let (opened, receipt) = self.desk.gate().subject_request_open(&caller, ask).await?;
            Ok(pb::OpenRequestResponse { request: Some(subject_request(&opened)), receipt })
        })
        .await
    }

    async fn extend_request(
        &self,
        request: Request<pb::ExtendRequestRequest>,
    ) -> Reply<pb::ExtendRequestResponse> {
        let call = self.desk.call(Action::ExtendSubjectRequest, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let deed = SubjectRequestDeed::Extend(date("until_date", &sent.until_date)?);
            let gate = self.desk.gate();
            let after = gate.subject_request_step(&caller, name(&sent.name)?, deed, sent.reason).await?;
            Ok(pb::ExtendRequestResponse { request: Some(subject_request(&after)) })
        })
        .await
    }

    async fn close_request(
        &self,
        request: Request<pb::CloseRequestRequest>,
    ) -> Reply<pb::CloseRequestResponse> {
        let call = self.desk.call(Action::CloseSubjectRequest, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let grounds = sent.grounds.iter().map(|ground| word("grounds", ground));
            let grounds = grounds.collect::<Result<Vec<_>, _>>()?;
            let deed = SubjectRequestDeed::Close(word("outcome", &sent.outcome)?, grounds);
            let gate = self.desk.gate();
            let after = gate.subject_request_step(&caller, name(&sent.name)?, deed, sent.reason).await?;
            Ok(pb::CloseRequestResponse { request: Some(subject_request(&after)) })
        })
        .await
    }

    async fn get_request(&self, request: Request<pb::GetRequestRequest>) -> Reply<pb::GetRequestResponse> {
        let call = self.desk.call(Action::GetSubjectRequest, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = name(&request.get_ref().name)?;
            let found = self.desk.gate().subject_request_get(&caller, id).await?;
            Ok(pb::GetRequestResponse { request: Some(subject_request(&found)) })
        })
        .await
    }

    async fn list_requests(
        &self,
        request: Request<pb::ListRequestsRequest>,
    ) -> Reply<pb::ListRequestsResponse> {
        let call = self.desk.call(Action::ListSubjectRequests, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.get_ref();
            let size = page::size(sent.page_size, PAGE)?;
            let after = page::last_id(&sent.page_token)?.map(SubjectRequestId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let found = self.desk.gate().subject_request_list(&caller, sent.closed, after, limit).await?;
            let mut found = found;
            let next_page_token = page::cut(&mut found, size, |one| *one.id.as_bytes());
            Ok(pb::ListRequestsResponse {
                requests: found.iter().map(subject_request).collect(),
                next_page_token,
            })
        })
        .await
    }

    async fn attach_statement(
        &self,
        request: Request<pb::AttachStatementRequest>,
    ) -> Reply<pb::AttachStatementResponse> {
        let call = self.desk.call(Action::AttachStatement, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let source_id = parse::source_id("source_id", &sent.source_id)?;
            let field: FieldName = parse::name("field", &sent.field)?;
            let of = parse::left_out(&sent.request, |sent| request_name("request", sent))?;
            let gate = self.desk.gate();
            let receipt = gate.statement_attach(&caller, source_id, field, sent.statement, of).await?;
            Ok(pb::AttachStatementResponse { receipt })
        })
        .await
    }
}

fn report_ask(sent: pb::ReportSubjectRequest) -> Result<ReportAsk, FormFault> {
    // The samples first: a refusal for something else leaves none behind.
    let who = match parse::held("who", sent.who)? {
        Who::SourceId(source_id) => ReportWho::Source(parse::source_id("source_id", &source_id)?.to_owned()),
        Who::Subject(sent) => ReportWho::Subject(
            SubjectId::parse_resource(&sent).map_err(|error| FormFault::new("subject", error.to_string()))?,
        ),
        Who::Samples(sent) => {
            let samples = samples(sent.samples)?;
            ReportWho::Samples(parse::collection("samples.collection", &sent.collection)?, samples)
        }
    };
    let withheld = sent.withheld.into_iter().map(withholding).collect::<Result<_, _>>()?;
    let request = parse::left_out(&sent.request, |sent| request_name("request", sent))?;
    Ok(ReportAsk { who, withheld, request, why: sent.reason })
}

/// Takes the components out of every sample before it looks at any.
fn samples(sent: Vec<SentSample>) -> Result<Vec<Sample>, FormFault> {
    let taken = sent.into_iter().map(|sample| {
        (sample.form.map(|Form::Embedding(embedding)| Zeroizing::new(embedding.values)), sample.quality)
    });
    let taken: Vec<_> = taken.collect();
    taken
        .into_iter()
        .enumerate()
        .map(|(place, (values, quality))| {
            let values = parse::held(&format!("samples.samples[{place}].form"), values)?;
            parse::sample(&format!("samples.samples[{place}].quality"), values, quality)
        })
        .collect()
}

fn withholding(sent: pb::Withholding) -> Result<Withholding, FormFault> {
    let item = parse::left_out(&sent.item, |item| {
        let query = QueryId::parse_resource(item).map(ReportItem::Query);
        let item = query.or_else(|_| DisclosureId::parse_resource(item).map(ReportItem::Disclosure));
        item.map_err(|error| FormFault::new("withheld.item", error.to_string()))
    })?;
    Ok(Withholding {
        part: word("withheld.part", &sent.part)?,
        item,
        ground: word("withheld.ground", &sent.ground)?,
        reason: sent.reason,
    })
}

fn word<T: FromStr<Err = WordError>>(field: &str, sent: &str) -> Result<T, FormFault> {
    sent.parse().map_err(|error: WordError| FormFault::new(field, error.to_string()))
}

fn date(field: &str, sent: &str) -> Result<Date, FormFault> {
    sent.parse().map_err(|_| FormFault::new(field, "is no date; send one such as 2026-11-20"))
}

fn name(sent: &str) -> Result<SubjectRequestId, FormFault> {
    request_name("name", sent)
}

fn request_name(field: &str, sent: &str) -> Result<SubjectRequestId, FormFault> {
    SubjectRequestId::parse_resource(sent).map_err(|error| FormFault::new(field, error.to_string()))
}

fn report(made: &ReportMade) -> pb::ReportSubjectResponse {
    let of = &made.report;
    let disposed = |day: Option<i64>| day.map(|day| date_of(day).to_string()).unwrap_or_default();
    let [queries, disclosures, enrolment] = of.disposed_before.map(disposed);
    pb::ReportSubjectResponse {
        known: of.is_known,
        report_time: Some(timestamp_to_pb(of.at)),
        holder: made.holder.clone(),
        templates: of.templates.iter().map(template).collect(),
        fields: of.fields.iter().map(field).collect(),
        statements: of.statements.iter().map(statement).collect(),
        restrictions: of.restrictions.iter().map(restriction).collect(),
        queries: of.queries.iter().map(|one| query(made, one)).collect(),
        hidden_queries: of.hidden_queries.iter().map(|one| query(made, one)).collect(),
        disclosures: of.disclosures.iter().map(|one| disclosure(made, one)).collect(),
        withheld: made.withheld.iter().map(withheld).collect(),
        queries_disposed_before: queries,
        disclosures_disposed_before: disclosures,
        enrolment_disposed_before: enrolment,
        receipt: made.receipt.clone(),
    }
}

fn template(held: &TemplateHeld) -> pb::HeldTemplate {
    pb::HeldTemplate {
        collection: format!("{COLLECTIONS}{}", held.collection),
        scheme: format!("{SCHEMES}{}", held.scheme),
        enrol_time: Some(timestamp_to_pb(held.enrolled)),
        enrolled_by: held.enrolled_by.to_string(),
    }
}

fn field(held: &FieldHeld) -> pb::HeldField {
    pb::HeldField {
        field: held.field.to_string(),
        value: held.value.to_string(),
        classification: held.classification.clone(),
        source: held.source.clone(),
        permitted_uses: held.permitted_uses.clone(),
    }
}

fn statement(held: &StatementHeld) -> pb::HeldStatement {
    pb::HeldStatement {
        field: held.field.to_string(),
        statement: held.text.clone(),
        attach_time: Some(timestamp_to_pb(held.at)),
    }
}

fn restriction(held: &RestrictionHeld) -> pb::HeldRestriction {
    let (at, reason) = held.given.clone().unzip();
    pb::HeldRestriction {
        restriction: held.name.to_string(),
        restrict_time: at.map(timestamp_to_pb),
        reason: reason.unwrap_or_default(),
    }
}

fn query(made: &ReportMade, told: &QueryTold) -> pb::ToldQuery {
    pb::ToldQuery {
        query: told.query.resource(),
        partner: told.partner.to_string(),
        agreement: format!("{AGREEMENTS}{}", told.agreement),
        purpose: told.purpose.to_string(),
        legal_basis: told.legal_basis.clone(),
        collection: format!("{COLLECTIONS}{}", told.collection),
        ask_time: Some(timestamp_to_pb(told.at)),
        kept_until: made.kept_until(PayloadClass::Query, told.at.day()),
    }
}

fn disclosure(made: &ReportMade, told: &DisclosureTold) -> pb::ToldDisclosure {
    let names = |fields: &[FieldName]| fields.iter().map(ToString::to_string).collect();
    let (released, fields) = told.released.clone().unzip();
    pb::ToldDisclosure {
        disclosure: told.disclosure.resource(),
        partner: told.partner.to_string(),
        agreement: format!("{AGREEMENTS}{}", told.agreement),
        rule: told.rule.clone(),
        purpose: told.purpose.to_string(),
        legal_basis: told.legal_basis.clone(),
        fields_asked: names(&told.asked),
        ask_time: Some(timestamp_to_pb(told.at)),
        state: told.state.to_string(),
        fields_released: names(&fields.unwrap_or_default()),
        release_time: released.map(timestamp_to_pb),
        fetch_time: told.fetched.map(timestamp_to_pb),
        acknowledge_time: told.acknowledged.map(timestamp_to_pb),
        corrections: told.corrections.iter().map(correction).collect(),
        kept_until: made.kept_until(PayloadClass::Disclosure, told.last_day()),
    }
}

fn correction(one: &Correction) -> pb::ToldCorrection {
    let told = one.told.as_ref();
    pb::ToldCorrection {
        kind: one.new.kind.to_string(),
        fields: one.new.fields.iter().map(ToString::to_string).collect(),
        statement: one.new.statement.clone(),
        make_time: Some(timestamp_to_pb(one.made)),
        tell_time: told.map(|told| timestamp_to_pb(told.at)),
        acknowledge_time: told.and_then(|told| told.acknowledged).map(timestamp_to_pb),
        overdue: told.is_some_and(|told| told.is_overdue),
    }
}

fn withheld(one: &Withholding) -> pb::Withholding {
    let item = match one.item {
        None => String::new(),
        Some(ReportItem::Query(id)) => id.resource(),
        Some(ReportItem::Disclosure(id)) => id.resource(),
    };
    pb::Withholding {
        part: one.part.to_string(),
        item,
        ground: one.ground.to_string(),
        reason: one.reason.clone(),
    }
}

fn subject_request(one: &SubjectRequest) -> pb::SubjectRequest {
    let closed = one.closed.as_ref();
    pb::SubjectRequest {
        name: one.id.resource(),
        kind: one.kind.to_string(),
        reference: one.reference.clone(),
        received_date: one.received.clone(),
        open_time: Some(timestamp_to_pb(one.opened.0)),
        opened_by: one.opened.1.to_string(),
        due_time: Some(timestamp_to_pb(one.due)),
        extensions: one.extensions.iter().map(extension).collect(),
        late_time: one.late.map(timestamp_to_pb),
        close_time: closed.map(|closed| timestamp_to_pb(closed.at)),
        closed_by: closed.map(|closed| closed.by.to_string()).unwrap_or_default(),
        outcome: closed.map(|closed| closed.outcome.to_string()).unwrap_or_default(),
        grounds: closed.into_iter().flat_map(|it| &it.grounds).map(ToString::to_string).collect(),
        reason: closed.map(|closed| closed.why.clone()).unwrap_or_default(),
        known: one.subject.is_some(),
    }
}

fn extension(one: &Extension) -> pb::SubjectRequestExtension {
    pb::SubjectRequestExtension {
        extend_time: Some(timestamp_to_pb(one.at)),
        extended_by: one.by.to_string(),
        due_time: Some(timestamp_to_pb(one.due)),
        reason: one.why.clone(),
    }
}

/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 50, most: 200 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withholdings_name_a_part_a_section_and_perhaps_one_thing() {
        let sent = |part: &str, item: &str, ground: &str| pb::Withholding {
            part: part.to_owned(),
            item: item.to_owned(),
            ground: ground.to_owned(),
            reason: "a test".to_owned(),
        };
        let id = QueryId::from_bytes([7; 16]);
        let one = withholding(sent("queries", &id.resource(), "53(c)")).unwrap();
        assert_eq!(one.item, Some(ReportItem::Query(id)));
        assert_eq!(one.line(), format!("queries {} 53(c): a test", id.resource()));
        for (wrong, field) in [
            (sent("names", "", "49"), "withheld.part"),
            (sent("queries", "", "48"), "withheld.ground"),
            (sent("queries", "cases/7", "49"), "withheld.item"),
        ] {
            assert_eq!(withholding(wrong).unwrap_err().field, field);
        }
    }

    #[test]
    fn dates_are_days() {
        assert!(date("d", "2026-11-20").is_ok());
        for bad in ["", "2026-13-01", "20.11.2026"] {
            assert!(date("d", bad).is_err(), "`{bad}`");
        }
    }
}
