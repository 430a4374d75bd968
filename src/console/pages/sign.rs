//! Check answers, sign with the passkey, and what came of it.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::case::{address, changed, id_of, is_compared, told};
use super::decide::{decisions_of, dossier_to_decide, errors, reason_text};
use super::frame::Frame;
use super::kept::{Done, Draft, FieldChoice};
use super::words;
use crate::console::{
    Console, DecisionAsked, DecisionSigned, Fault, PasskeyData, PasskeyPage, SignedForm, SignedIn,
    decision_ask, decision_sign, led_to, page,
};
use crate::gate::{DecisionDraft, Dossier, GateError};
use crate::ids::{DisclosureId, FieldName};

/// What the officer chose, once more, and the challenge for the passkey.
pub(super) async fn check(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    check_shown(&console, &who, id, None).await
}

/// Takes the passkey's answer to the gate.
pub(super) async fn signed(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    form: SignedForm,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    let who = &form.who;
    match decision_sign(&console, &form).await {
        Ok(DecisionSigned::Decided(_, entry)) => {
            let officer = &who.caller().actor().name;
            console.kept().done_keep(officer, id, Done { entry }, console.gate().present());
            Ok(led_to(&format!("{}/done", address(id))))
        }
        Ok(DecisionSigned::AskAgain) => {
            let words = "This page was open in another place, or for too long, so nothing was decided. Check it and sign \
                         again.";
            check_shown(&console, who, id, Some(words.to_owned())).await
        }
        Err(Fault::Gate(GateError::NotNow(words))) => {
            // What stands behind the semicolon is advice for whoever asks.
            let what = words.split(';').next().unwrap_or(&words);
            let words = format!("Your decision was not recorded, because the case has changed: {what}.");
            Ok(changed(&console, who, id, words).await)
        }
        Err(Fault::Gate(error @ (GateError::Passkey(_) | GateError::ClockSkew { .. }))) => {
            check_shown(&console, who, id, Some(format!("Nothing was decided: {error}."))).await
        }
        Err(Fault::Form(words)) => {
            check_shown(&console, who, id, Some(format!("Nothing was decided: {words}."))).await
        }
        Err(fault) => Err(fault.into_response()),
    }
}

/// What was decided, and where it stands in the log.
pub(super) async fn done(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    let dossier = console.gate().case_dossier(who.caller(), id).await.map_err(told)?;
    let Some(done) = console.kept().done(&who.caller().actor().name, id) else {
        return Ok(led_to(&address(id)));
    };
    let disclosure = &dossier.detail.case.disclosure;
    let (state, _) = words::of_state(disclosure.state());
    let next = match disclosure.state().as_str() {
        "partially-approved" => "Another officer has to decide before anything is released.",
        "approved" => {
            "Everybody who is needed has approved. The fields are released as soon as the partner can take them."
        }
        "released" => "The approved fields were sealed to the partner's key, and it can fetch them now.",
        "denied" => "Nothing is released. The partner is told that the request was denied, and not why.",
        _ => "",
    };
    Ok(page(&DonePage {
        frame: Frame::of(&who, "Decision recorded"),
        address: address(id),
        entry: done.entry,
        journal: disclosure.request().partner().to_string(),
        state,
        next,
    }))
}

async fn check_shown(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
    problem: Option<String>,
) -> Result<Response, Response> {
    let dossier = match dossier_to_decide(console, who, id).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let officer = &who.caller().actor().name;
    let is_compared = is_compared(who, &dossier);
    let kept = console.kept().draft(officer, id);
    let Some(draft) = kept.filter(|draft| errors(draft, &dossier, who, console).is_empty()) else {
        return Ok(led_to(&format!("{}/decide", address(id))));
    };
    let chosen = decision_draft(&dossier, &draft, is_compared);
    let (reason, is_denial) = (chosen.reason.clone(), chosen.granted.is_none());
    let asked = match decision_ask(console, who, chosen).await {
        Ok(asked) => asked,
        Err(Fault::Gate(GateError::NotNow(words))) => {
            return Ok(changed(console, who, id, format!("You can't sign: {words}.")).await);
        }
        Err(fault) => return Err(fault.into_response()),
    };
    let status = if problem.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let mut reply = page(&CheckPage::new(who, &dossier, &draft, asked, problem, reason, is_denial));
    *reply.status_mut() = status;
    reply.extensions_mut().insert(PasskeyPage);
    Ok(reply)
}

/// A decision about no field is a denial.
fn decision_draft(dossier: &Dossier, draft: &Draft, is_compared: bool) -> DecisionDraft {
    let disclosure = &dossier.detail.case.disclosure;
    let released: Vec<FieldName> = draft
        .fields
        .iter()
        .filter(|field| field.choice == Some(FieldChoice::Release))
        .filter_map(|field| field.name.parse().ok())
        .collect();
    DecisionDraft {
        disclosure: disclosure.request().disclosure(),
        request: disclosure.digest(),
        granted: (!released.is_empty()).then_some(released),
        reason: reason_text(draft),
        comparison: is_compared.then(|| draft.comparison.clone()),
        // INVARIANT: `errors` has found it among the seats that are delegated.
        on_behalf: draft.seat.parse().ok(),
    }
}

struct FieldChecked {
    name: String,
    words: String,
    choice: &'static str,
}

#[derive(Template)]
#[template(path = "console/check.html")]
struct CheckPage {
    frame: Frame,
    notice: Option<String>,
    problem: Option<String>,
    address: String,
    partner: String,
    purpose: String,
    fields: Vec<FieldChecked>,
    reason: String,
    comparison: Option<String>,
    /// Whose seat, where it is not the officer's own.
    seat: String,
    is_denial: bool,
    digest: String,
    passkey: PasskeyData,
}

impl CheckPage {
    fn new(
        who: &SignedIn,
        dossier: &Dossier,
        draft: &Draft,
        asked: DecisionAsked,
        problem: Option<String>,
        reason: String,
        is_denial: bool,
    ) -> Self {
        let request = dossier.detail.case.disclosure.request();
        let checked = |field: &super::kept::FieldDraft| FieldChecked {
            name: field.name.clone(),
            words: words::of_name(&field.name),
            choice: if field.choice == Some(FieldChoice::Release) { "Release" } else { "Withhold" },
        };
        let seen = draft.decisions_seen == decisions_of(dossier);
        let title = if problem.is_some() { "Error: Check your decision" } else { "Check your decision" };
        Self {
            frame: Frame::of(who, title),
            notice: (!seen).then(|| {
                "Another officer has decided since you began. Read their decision on the page of the case before you sign."
                    .to_owned()
            }),
            problem,
            address: address(request.disclosure()),
            partner: dossier.partner_title.clone(),
            purpose: words::of_name(request.ask().purpose().as_str()),
            fields: draft.fields.iter().map(checked).collect(),
            reason,
            comparison: Some(draft.comparison.clone()).filter(|reference| !reference.is_empty()),
            seat: draft.seat.clone(),
            is_denial,
            digest: asked.digest,
            passkey: asked.passkey,
        }
    }
}

#[derive(Template)]
#[template(path = "console/done.html")]
struct DonePage {
    frame: Frame,
    address: String,
    entry: u64,
    journal: String,
    state: String,
    next: &'static str,
}
