//! One case on one page.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use zeroize::Zeroizing;

use super::corrections::CorrectionsShown;
use super::deed::DeedsShown;
use super::frame::Frame;
use super::life::{LifeShown, OthersShown};
use super::samples::SamplesShown;
use super::urgent::UrgentShown;
use super::{QUEUE, words};
use crate::approval::{Choice, DeciderRole, Disclosure, SignedDecision, State};
use crate::authz::Role;
use crate::console::{Console, Fault, SignedForm, SignedIn, page};
use crate::gate::Dossier;
use crate::ids::{ActorName, DisclosureId, FieldName};
use crate::store::FieldFacts;
use crate::store::disclosure::FieldValue;

/// The page.
pub(super) async fn case(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    shown(&console, &who, id, None).await
}

/// The page with the value of one field, once the entry that it was seen is made.
pub(super) async fn value(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    form: SignedForm,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    let field = form.fields.required("field").map_err(IntoResponse::into_response)?;
    let field: FieldName =
        field.parse().map_err(|_| Fault::Form("the field has no name of one").into_response())?;
    let gate = console.gate();
    let value = gate.field_view(form.who.caller(), id, field.clone()).await.map_err(told)?;
    shown(&console, &form.who, id, Some((field, value))).await
}

/// The case in the address.
pub(super) fn id_of(text: &str) -> Result<DisclosureId, Response> {
    id_read(text).ok_or_else(|| Fault::NotFound.into_response())
}

/// The id in an address or a field.
pub(super) fn id_read(text: &str) -> Option<DisclosureId> {
    text.parse().ok()
}

/// The id as addresses have it.
pub(super) fn id_text(id: DisclosureId) -> String {
    id.to_string()
}

/// The address of a case.
pub(super) fn address(id: DisclosureId) -> String {
    format!("{QUEUE}/{}", id_text(id))
}

/// The gate's refusal as a page.
pub(super) fn told(error: crate::gate::GateError) -> Response {
    Fault::Gate(error).into_response()
}

async fn shown(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
    value: Option<(FieldName, FieldValue)>,
) -> Result<Response, Response> {
    let gate = console.gate();
    let dossier = gate.case_dossier(who.caller(), id).await.map_err(told)?;
    let mut case = CasePage::new(console, who, &dossier, value);
    case.notice = console.kept().told_take(&who.caller().actor().name, id).map(str::to_owned);
    Ok(page(&case))
}

/// The page again, with words about what came in between.
pub(super) async fn changed(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
    told_words: String,
) -> Response {
    let gate = console.gate();
    match gate.case_dossier(who.caller(), id).await {
        Ok(dossier) => {
            let mut case = CasePage::new(console, who, &dossier, None);
            case.notice = Some(told_words);
            let mut reply = page(&case);
            *reply.status_mut() = StatusCode::CONFLICT;
            reply
        }
        Err(error) => told(error),
    }
}

/// A field with what is known of it, and its value where somebody asked to see it.
struct FieldShown {
    name: String,
    words: String,
    classification: String,
    source: String,
    permitted_uses: Vec<String>,
    agreement: &'static str,
    value: Option<Zeroizing<String>>,
    /// What the person says of the value.
    statements: Vec<String>,
}

impl FieldShown {
    fn new(facts: &FieldFacts, dossier: &Dossier) -> Self {
        let ask = dossier.detail.case.disclosure.request().ask();
        let purpose = dossier.agreement.as_ref().map(|agreement| agreement.purposes.get(ask.purpose()));
        let agreement = match purpose {
            None => "It is not among the active rules, so nothing can be released",
            Some(Some(purpose)) if purpose.discloses.contains(&facts.field) => "Yes, if officers approve it",
            Some(_) => "No; it can't be released",
        };
        Self {
            name: facts.field.to_string(),
            words: words::of_name(facts.field.as_str()),
            classification: facts.classification.clone(),
            source: facts.source.clone(),
            permitted_uses: facts.permitted_uses.clone(),
            agreement,
            value: None,
            statements: Vec::new(),
        }
    }
}

/// A decision.
pub(super) struct DecisionShown {
    pub(super) officer: String,
    pub(super) role: String,
    /// Whose delegated seat; empty for the officer's own.
    seat: String,
    pub(super) choice: String,
    pub(super) reason: String,
    pub(super) comparison: String,
    pub(super) at: String,
}

impl DecisionShown {
    pub(super) fn new(signed: &SignedDecision) -> Self {
        let decision = &signed.decision;
        let choice = match decision.choice() {
            Choice::Deny => "Denied".to_owned(),
            Choice::Grant(fields) => {
                let names: Vec<String> = fields.iter().map(|field| words::of_name(field.as_str())).collect();
                format!("Approved: {}", names.join(", "))
            }
        };
        Self {
            officer: decision.officer().to_string(),
            role: words::of_name(decision.role().as_str()),
            seat: decision.on_behalf().map(ToString::to_string).unwrap_or_default(),
            choice,
            reason: decision.reason().to_owned(),
            comparison: decision.comparison().unwrap_or_default().to_owned(),
            at: words::of_time(decision.at()),
        }
    }
}

struct AgreementShown {
    title: String,
    reference: String,
    article: String,
    basis: String,
    gravity: String,
    onward_transfer: String,
    rule_11: String,
    rule_12: String,
}

#[derive(Template)]
#[template(path = "console/case.html")]
#[expect(clippy::struct_excessive_bools, reason = "what the template asks of a case is yes or no")]
struct CasePage {
    frame: Frame,
    notice: Option<String>,
    address: String,
    name: String,
    state: String,
    colour: &'static str,
    partner: String,
    official: String,
    purpose: String,
    legal_basis: String,
    justification: String,
    asked: String,
    decide_by: String,
    clock: String,
    factors: Vec<String>,
    agreement_name: String,
    agreement: Option<AgreementShown>,
    fields: Vec<FieldShown>,
    decisions: Vec<DecisionShown>,
    urgent: Option<UrgentShown>,
    samples: SamplesShown,
    corrections: CorrectionsShown,
    life: LifeShown,
    others: OthersShown,
    deeds: DeedsShown,
    digest: String,
    has_decided: bool,
    can_decide: bool,
    /// Everybody who is needed has approved, and nothing has left yet.
    is_approved: bool,
    /// Whether values are for whoever looks; the rules are asked in any case.
    may_view: bool,
}

impl CasePage {
    fn new(
        console: &Console,
        who: &SignedIn,
        dossier: &Dossier,
        value: Option<(FieldName, FieldValue)>,
    ) -> Self {
        let now = console.gate().present();
        let case = &dossier.detail.case;
        let disclosure = &case.disclosure;
        let request = disclosure.request();
        let ask = request.ask();
        let (state, colour) = words::of_state(disclosure.state());
        let mut fields: Vec<FieldShown> =
            dossier.detail.fields.iter().map(|facts| FieldShown::new(facts, dossier)).collect();
        if let Some((field, value)) = value
            && let Some(shown) = fields.iter_mut().find(|shown| shown.name == field.as_str())
        {
            shown.value = Some(value.value);
            shown.statements = value.statements;
        }
        let has_decided = decided_by(disclosure, &who.caller().actor().name);
        Self {
            frame: Frame::of(who, &format!("Request from {}", dossier.partner_title)),
            notice: None,
            address: address(request.disclosure()),
            name: id_text(request.disclosure()),
            state,
            colour,
            partner: dossier.partner_title.clone(),
            official: ask.official().to_owned(),
            purpose: words::of_name(ask.purpose().as_str()),
            legal_basis: ask.legal_basis().to_owned(),
            justification: ask.justification().to_owned(),
            asked: words::of_time(request.received()),
            decide_by: words::of_time(request.decide_by()),
            clock: if disclosure.state().is_open() { words::of_clock(now, case.ends) } else { String::new() },
            factors: request
                .factors()
                .iter()
                .map(|factor| format!("{} × {}", factor.number, words::of_name(factor.role.as_str())))
                .collect(),
            agreement_name: request.agreement().to_string(),
            agreement: agreement_shown(dossier),
            fields,
            decisions: disclosure.decisions().map(DecisionShown::new).collect(),
            urgent: UrgentShown::of(disclosure),
            samples: SamplesShown::of(request),
            corrections: CorrectionsShown::of(disclosure),
            life: LifeShown::new(disclosure),
            others: OthersShown::new(&dossier.detail.related),
            deeds: DeedsShown::new(&console.gate().case_deeds(who.caller(), case)),
            digest: disclosure.digest().to_string(),
            has_decided,
            can_decide: is_asked(who, dossier)
                && is_decidable(dossier)
                && !has_decided
                && !has_stepped_back(disclosure, &who.caller().actor().name),
            is_approved: disclosure.state() == State::Approved,
            may_view: who.caller().actor().role == Role::ApprovingOfficer,
        }
    }
}

/// Whether the request takes decisions in the role of whoever looks.
pub(super) fn is_asked(who: &SignedIn, dossier: &Dossier) -> bool {
    let role = who.caller().actor().role.as_str().parse::<DeciderRole>();
    role.is_ok_and(|role| dossier.detail.case.disclosure.request().factors().ask_for(role))
}

/// Whether a decision in the role of whoever looks has to name the comparison outside that it rests on.
pub(super) fn is_compared(who: &SignedIn, dossier: &Dossier) -> bool {
    let role = who.caller().actor().role.as_str();
    let factors = dossier.detail.case.disclosure.request().factors();
    factors.iter().any(|factor| factor.role.as_str() == role && factor.comparison)
}

/// Whether a decision is waited for. The gate asks the rules again when somebody decides. An approved case waits for
/// none: it is released by itself, and whoever has to stop it finds the hit erroneous, or locks it.
pub(super) fn is_decidable(dossier: &Dossier) -> bool {
    matches!(dossier.detail.case.disclosure.state(), State::Pending | State::PartiallyApproved)
}

/// Whether an officer has stepped back.
pub(super) fn has_stepped_back(disclosure: &Disclosure, officer: &ActorName) -> bool {
    disclosure.recused().contains(officer)
}

/// Whether an officer is among those who decided.
pub(super) fn decided_by(disclosure: &Disclosure, officer: &ActorName) -> bool {
    disclosure.decisions().any(|signed| signed.decision.officer() == officer)
}

fn agreement_shown(dossier: &Dossier) -> Option<AgreementShown> {
    let agreement = dossier.agreement.as_ref()?;
    let purpose = agreement.purposes.get(dossier.detail.case.disclosure.request().ask().purpose());
    Some(AgreementShown {
        title: agreement.instrument.title.clone(),
        reference: agreement.instrument.reference.clone(),
        article: agreement.instrument.article.clone(),
        basis: purpose.map(|purpose| purpose.basis.clone()).unwrap_or_default(),
        gravity: purpose.map(|purpose| purpose.gravity.clone()).unwrap_or_default(),
        onward_transfer: agreement.onward_transfer.clone(),
        rule_11: format!("{}: {}", agreement.privacy.rule_11_exception, agreement.privacy.rule_11_reason),
        rule_12: format!("{}: {}", agreement.privacy.rule_12_gateway, agreement.privacy.rule_12_reason),
    })
}
