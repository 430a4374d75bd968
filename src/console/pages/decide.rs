//! What an officer decides about each field, and why; nothing is sent to the gate yet.

use askama::Template;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::case::{
    address, changed, decided_by, has_stepped_back, id_of, is_asked, is_compared, is_decidable, told,
};
use super::frame::Frame;
use super::kept::{Draft, FieldChoice, FieldDraft};
use super::words;
use crate::console::form::{TOKEN_FIELD, fields as form_fields};
use crate::console::{Console, Fault, Fields, SignedIn, led_to, page};
use crate::gate::Dossier;
use crate::ids::{ActorName, DisclosureId};

/// The form, with what was typed before.
pub(super) async fn decide(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    let dossier = match dossier_to_decide(&console, &who, id).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let officer = &who.caller().actor().name;
    let mut draft = console.kept().draft(officer, id).unwrap_or_default();
    let notice = draft.is_rescued.then(|| {
        "Your session ended before this page reached us. What you typed is here again, and nothing was decided."
            .to_owned()
    });
    // From here on the officer has seen what there is.
    draft.decisions_seen = decisions_of(&dossier);
    Ok(page(&DecidePage::new(&console, &who, &dossier, &draft, Vec::new(), notice)))
}

/// Takes the form: keeps what was typed, and leads on when it is whole. Where the session has ended, what was typed waits
/// for the officer to sign in again.
pub(super) async fn decided(
    Shared(console): Shared<Console>,
    Path(case): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let id = id_of(&case)?;
    let (mut parts, body) = request.into_parts();
    let signed_in = SignedIn::find(&mut parts, &console).await;
    let sent =
        form_fields(Request::from_parts(parts, body), &console).await.map_err(IntoResponse::into_response)?;
    let who = match signed_in {
        Ok(who) => who,
        Err(reply) => return Ok(rescued(&console, id, &sent).unwrap_or(reply)),
    };
    if !who.token().is(sent.get(TOKEN_FIELD).unwrap_or_default()) {
        return Err(Fault::Token.into_response());
    }
    let dossier = match dossier_to_decide(&console, &who, id).await {
        Ok(dossier) => dossier,
        Err(reply) => return Ok(reply),
    };
    let draft = draft(&sent);
    let officer = &who.caller().actor().name;
    console.kept().draft_keep(officer, id, draft.clone(), console.gate().present());
    let errors = errors(&draft, &dossier, &who, &console);
    if errors.is_empty() {
        return Ok(led_to(&format!("{}/check", address(id))));
    }
    let mut reply = page(&DecidePage::new(&console, &who, &dossier, &draft, errors, None));
    *reply.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(reply)
}

/// The case, if this officer may still decide it; otherwise its page, which says why not.
pub(super) async fn dossier_to_decide(
    console: &Console,
    who: &SignedIn,
    id: DisclosureId,
) -> Result<Dossier, Response> {
    let dossier = console.gate().case_dossier(who.caller(), id).await.map_err(told)?;
    let officer = &who.caller().actor().name;
    if decided_by(&dossier.detail.case.disclosure, officer) {
        let words = "You have decided this case already. A decision can't be changed.".to_owned();
        return Err(changed(console, who, id, words).await);
    }
    if has_stepped_back(&dossier.detail.case.disclosure, officer) {
        let words =
            "You have stepped back from this case for good. Another officer has to decide.".to_owned();
        return Err(changed(console, who, id, words).await);
    }
    if !is_asked(who, &dossier) {
        let words = "The agreement of this case asks for nobody in your role.".to_owned();
        return Err(changed(console, who, id, words).await);
    }
    if !is_decidable(&dossier) {
        let (state, _) = words::of_state(dossier.detail.case.disclosure.state());
        let words =
            format!("This case can't be decided any more: it is now “{state}”. Nothing of yours was sent.");
        return Err(changed(console, who, id, words).await);
    }
    Ok(dossier)
}

/// How many decisions there are.
pub(super) fn decisions_of(dossier: &Dossier) -> String {
    dossier.detail.case.disclosure.decisions().len().to_string()
}

/// Keeps what an officer typed whose session has ended, if it comes from a page of theirs about this case.
fn rescued(console: &Console, id: DisclosureId, sent: &Fields) -> Option<Response> {
    let officer = officer_of(console, id, sent)?;
    let draft = Draft { is_rescued: true, ..draft(sent) };
    console.kept().draft_keep(&officer, id, draft, console.gate().present());
    Some(sign_in_for(&format!("{}/decide", address(id))))
}

/// The officer whose page about this case a form comes from, also when their session has ended.
pub(super) fn officer_of(console: &Console, id: DisclosureId, sent: &Fields) -> Option<ActorName> {
    let officer: ActorName = sent.get(OFFICER_FIELD)?.parse().ok()?;
    let mark = console.gate().draft_mark(&officer, id).to_string();
    (mark == sent.get(MARK_FIELD)?).then_some(officer)
}

/// To the sign-in, and back to this page of ours afterwards.
pub(super) fn sign_in_for(page: &str) -> Response {
    led_to(&format!("{}?next={}", crate::console::session::SIGN_IN, page.replace('/', "%2F")))
}

fn draft(sent: &Fields) -> Draft {
    let choice = |name: &str| match sent.get(&format!("choice.{name}")) {
        Some("release") => Some(FieldChoice::Release),
        Some("withhold") => Some(FieldChoice::Withhold),
        _ => None,
    };
    let text = |name: &str| sent.get(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
    Draft {
        fields: sent
            .all("field")
            .map(|name| FieldDraft {
                name: name.to_owned(),
                choice: choice(name),
                why: text(&format!("why.{name}")),
            })
            .collect(),
        reason: text("reason"),
        comparison: text("comparison"),
        seat: text("seat"),
        decisions_seen: text("decisions-seen"),
        is_rescued: false,
    }
}

/// Something that has to be put right, and where.
pub(super) struct FormError {
    anchor: String,
    words: String,
}

/// What keeps a draft from being signed.
pub(super) fn errors(draft: &Draft, dossier: &Dossier, who: &SignedIn, console: &Console) -> Vec<FormError> {
    let mut errors = Vec::new();
    if !draft.seat.is_empty() && !seats(console, who).iter().any(|seat| seat.name == draft.seat) {
        errors.push(FormError {
            anchor: "seat".to_owned(),
            words: "Select another seat: this one is not delegated to you any more".to_owned(),
        });
    }
    for facts in &dossier.detail.fields {
        let name = facts.field.as_str();
        let of_field = draft.fields.iter().find(|field| field.name == name);
        let shown = words::of_name(name).to_lowercase();
        let told = match of_field.and_then(|field| field.choice.map(|choice| (choice, field.why.is_empty())))
        {
            None => Some((format!("choice-{name}"), format!("Select whether {shown} may be released"))),
            Some((FieldChoice::Withhold, true)) => {
                Some((format!("why-{name}"), format!("Enter why {shown} is withheld")))
            }
            Some(_) => None,
        };
        errors.extend(told.map(|(anchor, words)| FormError { anchor, words }));
    }
    if is_compared(who, dossier) && draft.comparison.is_empty() {
        errors.push(FormError {
            anchor: "comparison".to_owned(),
            words: "Enter the reference of the comparison".to_owned(),
        });
    }
    let length = reason_text(draft).chars().count();
    if draft.reason.is_empty() {
        errors.push(FormError {
            anchor: "reason".to_owned(),
            words: "Enter the reason for your decision".to_owned(),
        });
    } else if length > REASON_MAX_CHARS {
        let words = format!(
            "The reasons have {length} characters together; shorten them to {REASON_MAX_CHARS} or fewer"
        );
        errors.push(FormError { anchor: "reason".to_owned(), words });
    }
    errors
}

/// The reason as it is signed: the officer's own, then a line for each field that is withheld.
pub(super) fn reason_text(draft: &Draft) -> String {
    let withheld = draft.fields.iter().filter(|field| field.choice == Some(FieldChoice::Withhold));
    let lines = withheld.map(|field| format!("{} is withheld: {}", words::of_name(&field.name), field.why));
    std::iter::once(draft.reason.clone()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// A seat that is delegated to the officer at this moment.
pub(super) struct SeatShown {
    name: String,
    unit: String,
    until: String,
    is_chosen: bool,
}

fn seats(console: &Console, who: &SignedIn) -> Vec<SeatShown> {
    let shown = |seat: crate::gate::SeatHeld| SeatShown {
        name: seat.delegator.to_string(),
        unit: seat.unit.map(|unit| words::of_name(unit.as_str())).unwrap_or_default(),
        until: words::of_time(seat.until),
        is_chosen: false,
    };
    console.gate().seats_held(who.caller()).into_iter().map(shown).collect()
}

struct FieldAsked {
    name: String,
    words: String,
    is_released: bool,
    is_withheld: bool,
    why: String,
    choice_error: Option<String>,
    why_error: Option<String>,
}

#[derive(Template)]
#[template(path = "console/decide.html")]
struct DecidePage {
    frame: Frame,
    notice: Option<String>,
    errors: Vec<FormError>,
    address: String,
    partner: String,
    fields: Vec<FieldAsked>,
    reason: String,
    reason_error: Option<String>,
    is_compared: bool,
    comparison: String,
    comparison_error: Option<String>,
    /// The seats that are delegated to the officer; none: no choice is shown.
    seats: Vec<SeatShown>,
    /// Whether one of them is chosen.
    is_delegated: bool,
    seat_error: Option<String>,
    decisions_seen: String,
    officer: String,
    mark: String,
}

impl DecidePage {
    fn new(
        console: &Console,
        who: &SignedIn,
        dossier: &Dossier,
        draft: &Draft,
        errors: Vec<FormError>,
        notice: Option<String>,
    ) -> Self {
        let id = dossier.detail.case.disclosure.request().disclosure();
        let officer = &who.caller().actor().name;
        let error = |anchor: &str| {
            errors.iter().find(|error| error.anchor == anchor).map(|error| error.words.clone())
        };
        let asked = |facts: &crate::store::FieldFacts| {
            let name = facts.field.to_string();
            let drafted = draft.fields.iter().find(|field| field.name == name).cloned().unwrap_or_default();
            FieldAsked {
                words: words::of_name(&name),
                is_released: drafted.choice == Some(FieldChoice::Release),
                is_withheld: drafted.choice == Some(FieldChoice::Withhold),
                why: drafted.why,
                choice_error: error(&format!("choice-{name}")),
                why_error: error(&format!("why-{name}")),
                name,
            }
        };
        let title = if errors.is_empty() { "Decide" } else { "Error: Decide" };
        Self {
            frame: Frame::of(who, title),
            notice,
            address: address(id),
            partner: dossier.partner_title.clone(),
            fields: dossier.detail.fields.iter().map(asked).collect(),
            reason_error: error("reason"),
            is_compared: is_compared(who, dossier),
            comparison_error: error("comparison"),
            comparison: draft.comparison.clone(),
            reason: draft.reason.clone(),
            seats: { seats(console, who) }
                .into_iter()
                .map(|seat| SeatShown { is_chosen: seat.name == draft.seat, ..seat })
                .collect(),
            is_delegated: !draft.seat.is_empty(),
            seat_error: error("seat"),
            decisions_seen: draft.decisions_seen.clone(),
            officer: officer.to_string(),
            mark: console.gate().draft_mark(officer, id).to_string(),
            errors,
        }
    }
}

const OFFICER_FIELD: &str = "officer";
const MARK_FIELD: &str = "mark";
/// As a decision's record has it (`approval::Decision`).
const REASON_MAX_CHARS: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_withheld_fields_are_part_of_what_is_signed() {
        let sent = Fields::parse(
            "field=family-name&field=date-of-birth&choice.family-name=release&choice.date-of-birth=withhold\
             &why.date-of-birth=not+needed&reason=Two+names%0D%0Aone+face",
        );
        assert_eq!(reason_text(&draft(&sent)), "Two names\none face\nDate of birth is withheld: not needed");
    }
}
