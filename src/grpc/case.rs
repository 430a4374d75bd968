//! Cases that officers see and decide.

use tonic::Request;

use super::call::{Desk, Reply};
use super::change_form::{FormFault, partner_resource, person_resource};
use super::page::{self, PageSizes};
use super::parse::{self, AGREEMENTS};
use super::pb::officer as pb;
use super::pb::officer::case_service_server::CaseService;
use super::pb::officer::decide_case_request::Signature;
use super::timestamp::timestamp_to_pb;
use crate::approval::{Choice, DeciderRole, SignedDecision, State};
use crate::authz::Action;
use crate::gate::{CaseAsk, CaseDetail, DecideAsk, DecisionProof};
use crate::ids::DisclosureId;
use crate::store::{Case, FieldFacts};

/// Shows cases to officers and takes their decisions.
#[derive(Clone)]
pub(super) struct Cases {
    pub(super) desk: Desk,
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
                partner: None,
                after: page::last_id(&sent.page_token)?.map(DisclosureId::from_bytes),
                limit: page::with_one_to_spare(size),
            };
            let mut cases = self.desk.gate().case_list(&caller, ask).await?;
            let next_page_token = page::cut(&mut cases, size, id_bytes);
            Ok(pb::ListCasesResponse { cases: cases.iter().map(summary).collect(), next_page_token })
        })
        .await
    }

    async fn get_case(&self, request: Request<pb::GetCaseRequest>) -> Reply<pb::GetCaseResponse> {
        let call = self.desk.call(Action::GetCase, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("disclosure", &request.get_ref().disclosure)?;
            Ok(detail(self.desk.gate().case_get(&caller, id).await?))
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
            Ok(pb::ViewFieldResponse { value: std::mem::take(&mut *value.0) })
        })
        .await
    }

    async fn decide_case(&self, request: Request<pb::DecideCaseRequest>) -> Reply<pb::DecideCaseResponse> {
        let call = self.desk.call(Action::DecideCase, &request);
        call.reply(async {
            let caller = call.caller()?;
            let (case, entry_index) =
                self.desk.gate().case_decide(&caller, ask(request.into_inner())?).await?;
            Ok(pb::DecideCaseResponse { summary: Some(summary(&case)), entry_index })
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
    })
}

enum Chosen {
    Grant,
    Deny,
}

fn summary(case: &Case) -> pb::CaseSummary {
    let request = case.disclosure.request();
    pb::CaseSummary {
        disclosure: request.disclosure().resource(),
        partner: partner_resource(request.partner()),
        purpose: request.ask().purpose().to_string(),
        state: state(case.disclosure.state()).into(),
        create_time: Some(timestamp_to_pb(request.received())),
        decide_by: Some(timestamp_to_pb(request.decide_by())),
    }
}

fn detail(detail: CaseDetail) -> pb::GetCaseResponse {
    let disclosure = &detail.case.disclosure;
    let request = disclosure.request();
    pb::GetCaseResponse {
        summary: Some(summary(&detail.case)),
        justification: request.ask().justification().to_owned(),
        legal_basis: request.ask().legal_basis().to_owned(),
        official: request.ask().official().to_owned(),
        agreement: format!("{AGREEMENTS}{}", request.agreement()),
        decisions: disclosure.decisions().iter().map(decision).collect(),
        missing: detail.missing.iter().map(|missing| role(*missing).into()).collect(),
        request_digest: disclosure.digest().as_bytes().to_vec(),
        fields: detail.fields.into_iter().map(field).collect(),
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
    }
}

const fn role(role: DeciderRole) -> pb::DecidingRole {
    match role {
        DeciderRole::ApprovingOfficer => pb::DecidingRole::ApprovingOfficer,
        DeciderRole::Examiner => pb::DecidingRole::Examiner,
        // No agreement names this role as a factor yet, and the schema has no value for it.
        DeciderRole::PrivacyOfficer => pb::DecidingRole::Unspecified,
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
    }
}

fn id_bytes(case: &Case) -> [u8; 16] {
    *case.disclosure.request().disclosure().as_bytes()
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
        let all = (1..=8).map(|number| pb::CaseState::try_from(number).unwrap());
        for sent in all {
            assert_eq!(state_asked(sent).map(state), Some(sent));
        }
    }
}
