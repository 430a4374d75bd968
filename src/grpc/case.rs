//! Cases that officers see and decide.

use tonic::Request;

use super::call::{Desk, Reply};
use super::change_form::{FormFault, partner_name, partner_resource, person_name, person_resource};
use super::page::{self, PageSizes};
use super::parse::{self, AGREEMENTS};
use super::pb::officer as pb;
use super::pb::officer::case_service_server::CaseService;
use super::pb::officer::decide_case_request::Signature;
use super::timestamp::timestamp_to_pb;
use crate::approval::{
    Choice, Confirmation, ConfirmationWord, Correction, CorrectionAsked, DeciderRole, Deed, DeedKind, Factor,
    Question, Review, SignedDecision, State,
};
use crate::authz::Action;
use crate::clock::Timestamp;
use crate::gate::{CaseAsk, CaseDetail, DecideAsk, DecisionProof, Gate};
use crate::ids::{ActorName, DisclosureId};
use crate::store::{Case, FieldFacts};
use crate::template::Quality;

/// Shows cases to officers and takes their decisions.
#[derive(Clone)]
pub(super) struct Cases {
    pub(super) desk: Desk,
    /// Where browsers find the console, if there is one.
    pub(super) console: Option<String>,
}

#[tonic::async_trait]
impl CaseService for Cases {
    async fn list_cases(&self, request: Request<pb::ListCasesRequest>) -> Reply<pb::ListCasesResponse> {
        let call = self.desk.call(Action::ListCases, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.get_ref();
            let size = page::size(sent.page_size, PAGE)?;
            let ask = CaseAsk {
                // Here the unspecified state has a meaning: those that can be decided.
                state: parse::choice("state", sent.state, |state| Some(state_asked(state)))?,
                partner: parse::left_out(&sent.partner, |partner| partner_name("partner", partner))?,
                purpose: parse::left_out(&sent.purpose, |purpose| parse::name("purpose", purpose))?,
                legal_basis: Some(sent.legal_basis.clone()).filter(|basis| !basis.is_empty()),
                asked_since: moment("asked_since", sent.asked_since.as_ref())?,
                asked_before: moment("asked_before", sent.asked_before.as_ref())?,
                reviews_owed: sent.reviews_owed,
                after: page::last_id(&sent.page_token)?.map(last_case),
                limit: page::with_one_to_spare(size),
            };
            let mut cases = self.desk.gate().case_list(&caller, ask).await?;
            let next_page_token = page::cut(&mut cases, size, case_bytes);
            Ok(pb::ListCasesResponse {
                cases: cases.iter().map(|case| summary(self.desk.gate(), case)).collect(),
                next_page_token,
            })
        })
        .await
    }

    async fn get_case(&self, request: Request<pb::GetCaseRequest>) -> Reply<pb::GetCaseResponse> {
        let call = self.desk.call(Action::GetCase, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("disclosure", &request.get_ref().disclosure)?;
            let gate = self.desk.gate();
            let found = gate.case_get(&caller, id).await?;
            let console = self.console.as_ref();
            let decide_at = console.map(|origin| format!("{origin}/cases/{id}/decide")).unwrap_or_default();
            let passkey_only = gate.case_wants_passkey(&found.case);
            Ok(pb::GetCaseResponse { decide_at, passkey_only, ..detail(gate, found) })
        })
        .await
    }

    async fn view_field(&self, request: Request<pb::ViewFieldRequest>) -> Reply<pb::ViewFieldResponse> {
        let call = self.desk.call(Action::ViewField, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("disclosure", &request.get_ref().disclosure)?;
            let field = parse::name("field", &request.get_ref().field)?;
            let mut value = self.desk.gate().field_view(&caller, id, field).await?;
            Ok(pb::ViewFieldResponse {
                value: std::mem::take(&mut *value.value),
                statements: value.statements,
            })
        })
        .await
    }

    async fn decide_case(&self, request: Request<pb::DecideCaseRequest>) -> Reply<pb::DecideCaseResponse> {
        let call = self.desk.call(Action::DecideCase, &request);
        call.reply(async {
            let caller = call.caller()?;
            let (case, entry_index) =
                self.desk.gate().case_decide(&caller, ask(request.into_inner())?).await?;
            Ok(pb::DecideCaseResponse { summary: Some(summary(self.desk.gate(), &case)), entry_index })
        })
        .await
    }

    async fn ask_information(
        &self,
        request: Request<pb::AskInformationRequest>,
    ) -> Reply<pb::AskInformationResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Question, sent.disclosure.as_str(), sent.question.as_str());
        let reply = self.tend(&request, Action::AskInformation, what).await?;
        Ok(reply.map(|summary| pb::AskInformationResponse { summary }))
    }

    async fn claim_case(&self, request: Request<pb::ClaimCaseRequest>) -> Reply<pb::ClaimCaseResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Claim, sent.disclosure.as_str(), "");
        let reply = self.tend(&request, Action::ClaimCase, what).await?;
        Ok(reply.map(|summary| pb::ClaimCaseResponse { summary }))
    }

    async fn put_back_case(
        &self,
        request: Request<pb::PutBackCaseRequest>,
    ) -> Reply<pb::PutBackCaseResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::PutBack, sent.disclosure.as_str(), "");
        let reply = self.tend(&request, Action::PutBackCase, what).await?;
        Ok(reply.map(|summary| pb::PutBackCaseResponse { summary }))
    }

    async fn recuse_from_case(
        &self,
        request: Request<pb::RecuseFromCaseRequest>,
    ) -> Reply<pb::RecuseFromCaseResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Recuse, sent.disclosure.as_str(), sent.reason.as_str());
        let reply = self.tend(&request, Action::RecuseFromCase, what).await?;
        Ok(reply.map(|summary| pb::RecuseFromCaseResponse { summary }))
    }

    async fn add_note(&self, request: Request<pb::AddNoteRequest>) -> Reply<pb::AddNoteResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Note, sent.disclosure.as_str(), sent.note.as_str());
        let reply = self.tend(&request, Action::AddNote, what).await?;
        Ok(reply.map(|summary| pb::AddNoteResponse { summary }))
    }

    async fn mark_hit_erroneous(
        &self,
        request: Request<pb::MarkHitErroneousRequest>,
    ) -> Reply<pb::MarkHitErroneousResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::HitErroneous, sent.disclosure.as_str(), sent.reason.as_str());
        let reply = self.tend(&request, Action::MarkHitErroneous, what).await?;
        Ok(reply.map(|summary| pb::MarkHitErroneousResponse { summary }))
    }

    async fn revoke_release(
        &self,
        request: Request<pb::RevokeReleaseRequest>,
    ) -> Reply<pb::RevokeReleaseResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Revoke, sent.disclosure.as_str(), sent.reason.as_str());
        let reply = self.tend(&request, Action::RevokeRelease, what).await?;
        Ok(reply.map(|summary| pb::RevokeReleaseResponse { summary }))
    }

    async fn answer_correction(
        &self,
        request: Request<pb::AnswerCorrectionRequest>,
    ) -> Reply<pb::AnswerCorrectionResponse> {
        let sent = request.get_ref();
        let kind = if sent.accept { DeedKind::AcceptCorrection } else { DeedKind::RefuseCorrection };
        let what = (kind, sent.disclosure.as_str(), sent.answer.as_str());
        let reply = self.tend(&request, Action::AnswerCorrection, what).await?;
        Ok(reply.map(|summary| pb::AnswerCorrectionResponse { summary }))
    }

    async fn state_correction(
        &self,
        request: Request<pb::StateCorrectionRequest>,
    ) -> Reply<pb::StateCorrectionResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::StateCorrection, sent.disclosure.as_str(), sent.statement.as_str());
        let reply = self.tend(&request, Action::StateCorrection, what).await?;
        Ok(reply.map(|summary| pb::StateCorrectionResponse { summary }))
    }

    async fn list_open_corrections(
        &self,
        request: Request<pb::ListOpenCorrectionsRequest>,
    ) -> Reply<pb::ListOpenCorrectionsResponse> {
        let call = self.desk.call(Action::ListOpenCorrections, &request);
        call.reply(async {
            let caller = call.caller()?;
            let size = page::size(request.get_ref().page_size, PAGE)?;
            let after = page::last_id(&request.get_ref().page_token)?.map(DisclosureId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let mut cases = self.desk.gate().correction_list_open(&caller, after, limit).await?;
            let next_page_token =
                page::cut(&mut cases, size, |case| *case.disclosure.request().disclosure().as_bytes());
            let cases = cases.iter().map(|case| pb::CorrectedCase {
                summary: Some(summary(self.desk.gate(), case)),
                corrections: open_corrections(case),
            });
            Ok(pb::ListOpenCorrectionsResponse { cases: cases.collect(), next_page_token })
        })
        .await
    }

    async fn lock_case(&self, request: Request<pb::LockCaseRequest>) -> Reply<pb::LockCaseResponse> {
        let sent = request.get_ref();
        let what = (DeedKind::Lock, sent.disclosure.as_str(), sent.reason.as_str());
        let reply = self.tend(&request, Action::LockCase, what).await?;
        Ok(reply.map(|summary| pb::LockCaseResponse { summary }))
    }

    async fn review_release(
        &self,
        request: Request<pb::ReviewReleaseRequest>,
    ) -> Reply<pb::ReviewReleaseResponse> {
        let call = self.desk.call(Action::ReviewRelease, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.get_ref();
            let id = parse::disclosure("disclosure", &sent.disclosure)?;
            let kind = parse::choice("finding", sent.finding, finding_asked)?;
            let case = self.desk.gate().case_tend(&caller, id, kind, sent.words.clone()).await?;
            Ok(pb::ReviewReleaseResponse { summary: Some(summary(self.desk.gate(), &case)) })
        })
        .await
    }
}

impl Cases {
    /// Does what a call asks for beside deciding, and shows the case afterwards.
    async fn tend<T>(
        &self,
        request: &Request<T>,
        action: Action,
        (kind, disclosure, words): (DeedKind, &str, &str),
    ) -> Reply<Option<pb::CaseSummary>> {
        let call = self.desk.call(action, request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("disclosure", disclosure)?;
            let case = self.desk.gate().case_tend(&caller, id, kind, words.to_owned()).await?;
            Ok(Some(summary(self.desk.gate(), &case)))
        })
        .await
    }
}

fn ask(sent: pb::DecideCaseRequest) -> Result<DecideAsk, FormFault> {
    let Signature::CertificateSignature(signature) = parse::held(SIGNATURE, sent.signature)?;
    let fields = parse::names("fields", &sent.fields)?;
    let granted = match (parse::choice("choice", sent.choice, choice_asked)?, fields.is_empty()) {
        (Chosen::Grant, false) => Some(fields),
        (Chosen::Grant, true) => {
            return Err(FormFault::new("fields", "are missing; name those that are granted"));
        }
        (Chosen::Deny, true) => None,
        (Chosen::Deny, false) => {
            return Err(FormFault::new("fields", "belong to a grant; a denial has none"));
        }
    };
    Ok(DecideAsk {
        disclosure: parse::disclosure("disclosure", &sent.disclosure)?,
        request: parse::digest("request_digest", &sent.request_digest)?,
        role: parse::choice("role", sent.role, role_asked)?,
        at: parse::moment("decide_time", sent.decide_time.as_ref())?,
        proof: DecisionProof::Certificate(parse::signature(SIGNATURE, signature)?),
        granted,
        reason: sent.reason,
        comparison: Some(sent.comparison).filter(|reference| !reference.is_empty()),
        on_behalf: parse::left_out(&sent.on_behalf_of, |seat| person_name("on_behalf_of", seat))?,
    })
}

enum Chosen {
    Grant,
    Deny,
}

fn summary(gate: &Gate, case: &Case) -> pb::CaseSummary {
    let request = case.disclosure.request();
    pb::CaseSummary {
        disclosure: request.disclosure().resource(),
        partner: partner_resource(request.partner()),
        purpose: request.ask().purpose().to_string(),
        state: state(case.disclosure.state()).into(),
        create_time: Some(timestamp_to_pb(request.received())),
        decide_by: Some(timestamp_to_pb(request.decide_by())),
        escalate_time: gate.case_escalates(case).map(timestamp_to_pb),
        urgent: request.ask().urgent().is_some(),
        review: case.disclosure.review().map(review),
        claimed_by: case.disclosure.claims().iter().map(|(officer, _)| person_resource(officer)).collect(),
    }
}

fn detail(gate: &Gate, detail: CaseDetail) -> pb::GetCaseResponse {
    let disclosure = &detail.case.disclosure;
    let request = disclosure.request();
    pb::GetCaseResponse {
        summary: Some(summary(gate, &detail.case)),
        justification: request.ask().justification().to_owned(),
        legal_basis: request.ask().legal_basis().to_owned(),
        official: request.ask().official().to_owned(),
        agreement: format!("{AGREEMENTS}{}", request.agreement()),
        decisions: disclosure.decisions().map(decision).collect(),
        missing: disclosure.missing().into_iter().map(|missing| role(missing).into()).collect(),
        request_digest: disclosure.digest().as_bytes().to_vec(),
        factors: request.factors().iter().map(factor).collect(),
        questions: disclosure.questions().iter().map(question).collect(),
        set_aside: disclosure.set_aside().map(decision).collect(),
        claims: disclosure.claims().iter().map(claim).collect(),
        recused: disclosure.recused().iter().map(person_resource).collect(),
        notes: disclosure.notes().iter().map(note).collect(),
        ending: disclosure.ended_by().map(ending),
        urgent_reason: request.ask().urgent().unwrap_or_default().to_owned(),
        corrections: disclosure.corrections().iter().map(correction).collect(),
        correction_requests: disclosure.corrections_asked().iter().map(correction_request).collect(),
        same_person: detail.related.person.iter().map(|case| summary(gate, case)).collect(),
        same_official: detail.related.official.iter().map(|case| summary(gate, case)).collect(),
        fields: detail.fields.into_iter().map(field).collect(),
        qualities: request.qualities().iter().map(|one| quality(*one)).collect(),
        confirmation: request.confirmation().map(confirmation),
        // What stands around the case is put in by whoever knows it.
        ..pb::GetCaseResponse::default()
    }
}

fn quality(quality: Quality) -> pb::SampleQuality {
    let score = match quality {
        Quality::Unknown => None,
        Quality::Score(score) => Some(score.get().into()),
    };
    pb::SampleQuality { score }
}

fn confirmation(confirmation: &Confirmation) -> pb::HitConfirmation {
    let word = match confirmation.word {
        ConfirmationWord::Confirms => pb::ConfirmationWord::Confirms,
        ConfirmationWord::Inconclusive => pb::ConfirmationWord::Inconclusive,
        ConfirmationWord::Contradicts => pb::ConfirmationWord::Contradicts,
    };
    pb::HitConfirmation { word: word.into(), quality: Some(quality(confirmation.quality)) }
}

fn factor(factor: Factor) -> pb::Factor {
    pb::Factor {
        role: role(factor.role).into(),
        number: factor.number.get().into(),
        units: factor.units.get().into(),
        comparison: factor.comparison,
    }
}

fn question(question: &Question) -> pb::Question {
    let answer = question.answer.as_ref().map(|signed| &signed.answer);
    pb::Question {
        officer: person_resource(&question.officer),
        role: role(question.role).into(),
        text: question.text.clone(),
        ask_time: Some(timestamp_to_pb(question.at)),
        answer: answer.map(|answer| answer.text().to_owned()).unwrap_or_default(),
        answer_official: answer.map(|answer| answer.official().to_owned()).unwrap_or_default(),
        answer_time: question.answered.map(timestamp_to_pb),
    }
}

fn claim((officer, since): &(ActorName, Timestamp)) -> pb::Claim {
    pb::Claim { officer: person_resource(officer), claim_time: Some(timestamp_to_pb(*since)) }
}

fn note((deed, at): &(Deed, Timestamp)) -> pb::Note {
    pb::Note {
        officer: person_resource(deed.officer()),
        role: role(deed.role()).into(),
        text: deed.words().to_owned(),
        note_time: Some(timestamp_to_pb(*at)),
        recusal: deed.kind() == DeedKind::Recuse,
    }
}

fn open_corrections(case: &Case) -> Vec<pb::CaseCorrection> {
    let open = |one: &&Correction| one.told.as_ref().is_some_and(|told| told.acknowledged.is_none());
    case.disclosure.corrections().iter().filter(open).map(correction).collect()
}

fn correction(one: &Correction) -> pb::CaseCorrection {
    let told = one.told.as_ref();
    pb::CaseCorrection {
        number: told.map(|told| told.number).unwrap_or_default(),
        kind: one.new.kind.to_string(),
        fields: one.new.fields.iter().map(ToString::to_string).collect(),
        statement: one.new.statement.clone(),
        made_by: one.new.by.to_string(),
        make_time: Some(timestamp_to_pb(one.made)),
        tell_time: told.map(|told| timestamp_to_pb(told.at)),
        acknowledge_by: told.map(|told| timestamp_to_pb(told.acknowledge_by)),
        acknowledge_time: told.and_then(|told| told.acknowledged).map(timestamp_to_pb),
        overdue: told.is_some_and(|told| told.is_overdue),
    }
}

fn correction_request(asked: &CorrectionAsked) -> pb::CaseCorrectionRequest {
    let (ask, answer) = (&asked.signed.ask, asked.answer.as_ref());
    let outcome = answer.map(|answer| if answer.accepted { "accepted" } else { "refused" });
    pb::CaseCorrectionRequest {
        field: ask.field().map(ToString::to_string).unwrap_or_default(),
        text: ask.text().to_owned(),
        official: ask.official().to_owned(),
        ask_time: Some(timestamp_to_pb(asked.at)),
        outcome: outcome.unwrap_or_default().to_owned(),
        answer: answer.map(|answer| answer.text.clone()).unwrap_or_default(),
        answered_by: answer.map(|answer| person_resource(&answer.officer)).unwrap_or_default(),
        answer_time: answer.map(|answer| timestamp_to_pb(answer.at)),
    }
}

fn ending(deed: &Deed) -> pb::Ending {
    pb::Ending {
        officer: person_resource(deed.officer()),
        role: role(deed.role()).into(),
        deed: deed.kind().to_string(),
        reason: deed.words().to_owned(),
    }
}

fn review(review: &Review) -> pb::Review {
    let closed = review.closed();
    pb::Review {
        due_time: Some(timestamp_to_pb(review.due())),
        late: review.is_late(),
        finding: closed.map_or(pb::Finding::Unspecified, |(deed, _)| finding(deed)).into(),
        officer: closed.map(|(deed, _)| person_resource(deed.officer())).unwrap_or_default(),
        words: closed.map(|(deed, _)| deed.words().to_owned()).unwrap_or_default(),
        close_time: closed.map(|(_, at)| timestamp_to_pb(*at)),
    }
}

fn finding(deed: &Deed) -> pb::Finding {
    match deed.kind() {
        DeedKind::FindJustified => pb::Finding::Justified,
        DeedKind::FindNotJustified => pb::Finding::NotJustified,
        _ => pb::Finding::Unspecified,
    }
}

const fn finding_asked(sent: pb::Finding) -> Option<DeedKind> {
    match sent {
        pb::Finding::Unspecified => None,
        pb::Finding::Justified => Some(DeedKind::FindJustified),
        pb::Finding::NotJustified => Some(DeedKind::FindNotJustified),
    }
}

fn field(facts: FieldFacts) -> pb::RequestedField {
    pb::RequestedField {
        field: facts.field.to_string(),
        classification: facts.classification,
        source: facts.source,
        permitted_uses: facts.permitted_uses,
    }
}

fn decision(signed: &SignedDecision) -> pb::Decision {
    let decision = &signed.decision;
    let (choice, fields) = match decision.choice() {
        Choice::Grant(fields) => (pb::Choice::Grant, fields.iter().map(ToString::to_string).collect()),
        Choice::Deny => (pb::Choice::Deny, Vec::new()),
    };
    pb::Decision {
        officer: person_resource(decision.officer()),
        role: role(decision.role()).into(),
        choice: choice.into(),
        fields,
        reason: decision.reason().to_owned(),
        decide_time: Some(timestamp_to_pb(decision.at())),
        comparison: decision.comparison().unwrap_or_default().to_owned(),
        on_behalf_of: decision.on_behalf().map(person_resource).unwrap_or_default(),
    }
}

const fn choice_asked(sent: pb::Choice) -> Option<Chosen> {
    match sent {
        pb::Choice::Unspecified => None,
        pb::Choice::Grant => Some(Chosen::Grant),
        pb::Choice::Deny => Some(Chosen::Deny),
    }
}

const fn role_asked(sent: pb::DecidingRole) -> Option<DeciderRole> {
    match sent {
        pb::DecidingRole::Unspecified => None,
        pb::DecidingRole::ApprovingOfficer => Some(DeciderRole::ApprovingOfficer),
        pb::DecidingRole::Examiner => Some(DeciderRole::Examiner),
        pb::DecidingRole::PrivacyOfficer => Some(DeciderRole::PrivacyOfficer),
    }
}

const fn role(role: DeciderRole) -> pb::DecidingRole {
    match role {
        DeciderRole::ApprovingOfficer => pb::DecidingRole::ApprovingOfficer,
        DeciderRole::Examiner => pb::DecidingRole::Examiner,
        DeciderRole::PrivacyOfficer => pb::DecidingRole::PrivacyOfficer,
    }
}

const fn state_asked(sent: pb::CaseState) -> Option<State> {
    match sent {
        pb::CaseState::Unspecified => None,
        pb::CaseState::Pending => Some(State::Pending),
        pb::CaseState::PartiallyApproved => Some(State::PartiallyApproved),
        pb::CaseState::Approved => Some(State::Approved),
        pb::CaseState::Released => Some(State::Released),
        pb::CaseState::Acknowledged => Some(State::Acknowledged),
        pb::CaseState::Denied => Some(State::Denied),
        pb::CaseState::Withdrawn => Some(State::Withdrawn),
        pb::CaseState::Expired => Some(State::Expired),
        pb::CaseState::NeedsInformation => Some(State::NeedsInformation),
        pb::CaseState::Lapsed => Some(State::Lapsed),
        pb::CaseState::Revoked => Some(State::Revoked),
        pb::CaseState::Locked => Some(State::Locked),
    }
}

const fn state(state: State) -> pb::CaseState {
    match state {
        State::Pending => pb::CaseState::Pending,
        State::PartiallyApproved => pb::CaseState::PartiallyApproved,
        State::Approved => pb::CaseState::Approved,
        State::Released => pb::CaseState::Released,
        State::Acknowledged => pb::CaseState::Acknowledged,
        State::Denied => pb::CaseState::Denied,
        State::Withdrawn => pb::CaseState::Withdrawn,
        State::Expired => pb::CaseState::Expired,
        State::NeedsInformation => pb::CaseState::NeedsInformation,
        State::Lapsed => pb::CaseState::Lapsed,
        State::Revoked => pb::CaseState::Revoked,
        State::Locked => pb::CaseState::Locked,
    }
}

fn moment(
    field: &'static str,
    sent: Option<&prost_types::Timestamp>,
) -> Result<Option<Timestamp>, FormFault> {
    sent.map(|sent| parse::moment(field, Some(sent))).transpose()
}

/// A case in a page token: its id, and when it ends as the page shows it (8 bytes, big-endian).
fn case_bytes(case: &Case) -> [u8; 24] {
    let mut bytes = [0; 24];
    let (id, ends) = bytes.split_at_mut(16);
    id.copy_from_slice(case.disclosure.request().disclosure().as_bytes());
    ends.copy_from_slice(&case.ends.as_millis().to_be_bytes());
    bytes
}

fn last_case(bytes: [u8; 24]) -> (DisclosureId, Timestamp) {
    let (mut id, mut ends) = ([0; 16], [0; 8]);
    let (first, last) = bytes.split_at(16);
    id.copy_from_slice(first);
    ends.copy_from_slice(last);
    (DisclosureId::from_bytes(id), Timestamp::from_millis(i64::from_be_bytes(ends)))
}

const SIGNATURE: &str = "certificate_signature";
/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 50, most: 200 };

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(choice: pb::Choice, fields: &[&str]) -> pb::DecideCaseRequest {
        pb::DecideCaseRequest {
            disclosure: "disclosures/0b7c8a526e1f4b0e9a440a1c2d3e4f50".to_owned(),
            request_digest: vec![1; 32],
            role: pb::DecidingRole::Examiner.into(),
            choice: choice.into(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            reason: "because".to_owned(),
            decide_time: Some(prost_types::Timestamp::default()),
            signature: Some(Signature::CertificateSignature(vec![1; 64])),
            comparison: String::new(),
            on_behalf_of: String::new(),
        }
    }

    #[test]
    fn a_grant_names_fields_and_a_denial_none() {
        let granted = |sent| ask(sent).map(|ask| ask.granted.map(|fields| fields.len()));
        assert_eq!(granted(decide(pb::Choice::Grant, &["family-name"])), Ok(Some(1)));
        assert_eq!(granted(decide(pb::Choice::Deny, &[])), Ok(None));
        for bad in [decide(pb::Choice::Grant, &[]), decide(pb::Choice::Deny, &["family-name"])] {
            assert_eq!(granted(bad).unwrap_err().field, "fields");
        }
        assert_eq!(granted(decide(pb::Choice::Unspecified, &[])).unwrap_err().field, "choice");
    }

    #[test]
    fn states_go_there_and_back() {
        let all = (1..=12).map(|number| pb::CaseState::try_from(number).unwrap());
        for sent in all {
            assert_eq!(state_asked(sent).map(state), Some(sent));
        }
    }
}
