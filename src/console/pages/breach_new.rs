//! Opening a case about a breach, from an alert or from something that came to the holder in another way.

use askama::Template;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::breaches::BREACHES;
use super::frame::Frame;
use super::problem::Problem;
use super::{log, words};
use crate::authz::Role;
use crate::clock::Timestamp;
use crate::console::{Console, Fault, Fields, SignedForm, SignedIn, led_to, page};
use crate::gate::{BreachAsk, GateError};
use crate::store::breach::BreachKind;

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/breaches/new", get(form).post(sent))
}

/// The form.
async fn form(who: SignedIn, uri: Uri) -> Result<Response, Fault> {
    if who.caller().actor().role != Role::PrivacyOfficer {
        return Err(Fault::NotFound);
    }
    let asked = Fields::parse(uri.query().unwrap_or_default());
    let typed = Typed { alert: asked.get("alert").unwrap_or_default().to_owned(), ..Typed::default() };
    Ok(shown(&who, typed, Vec::new()))
}

/// Opens the case, and leads to it.
async fn sent(Shared(console): Shared<Console>, form: SignedForm) -> Result<Response, Response> {
    let typed = Typed::read(&form.fields);
    let (kind, aware) = match typed.checked(console.gate().present()) {
        Ok(checked) => checked,
        Err(problems) => return Ok(shown(&form.who, typed, problems)),
    };
    let mut found_by = match typed.alert.as_str() {
        "" => Vec::new(),
        alert => log::found_at(&console, &form.who, alert).await?,
    };
    found_by.truncate(FOUND_BY_MAX);
    let ask = BreachAsk { kind, what: typed.what.clone(), aware, found_by };
    match console.gate().breach_open(form.who.caller(), ask).await {
        Ok((breach, _receipt)) => Ok(led_to(&format!("{BREACHES}/{}", breach.id))),
        // What a person can type wrongly is told where they typed it.
        Err(GateError::Invalid { field: "description", what }) => {
            Ok(shown(&form.who, typed, vec![Problem { anchor: "what", words: what }]))
        }
        Err(error) => Err(Fault::Gate(error).into_response()),
    }
}

fn shown(who: &SignedIn, typed: Typed, errors: Vec<Problem>) -> Response {
    let title = "Open a breach";
    let titled = if errors.is_empty() { title.to_owned() } else { format!("Error: {title}") };
    page(&NewPage { frame: Frame::of(who, &titled), kinds: BreachKind::ALL, typed, errors })
}

/// What was typed.
#[derive(Default)]
struct Typed {
    alert: String,
    kind: String,
    what: String,
    aware: String,
}

impl Typed {
    fn read(fields: &Fields) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
        Self { alert: field("alert"), kind: field("kind"), what: field("what"), aware: field("aware") }
    }

    /// The kind and the moment from which the clock runs, or everything that is wrong.
    fn checked(&self, now: Timestamp) -> Result<(BreachKind, Timestamp), Vec<Problem>> {
        let mut problems = Vec::new();
        let kind = self.kind.parse::<BreachKind>();
        let kind =
            kind.map_err(|_| problems.push(Problem::new("kind", "Choose what kind of breach it is"))).ok();
        if self.what.is_empty() {
            problems.push(Problem::new("what", "Say what happened"));
        }
        let aware = match self.aware.as_str() {
            "" => Some(now),
            text => words::moment_of(text),
        };
        match aware {
            None => problems.push(Problem::new("aware", "Write day and time, such as 2026-07-01 14:30")),
            Some(aware) if aware > now => problems.push(Problem::new("aware", "That lies ahead of now")),
            Some(_) => {}
        }
        match (kind, aware) {
            (Some(kind), Some(aware)) if problems.is_empty() => Ok((kind, aware)),
            _ => Err(problems),
        }
    }
}

#[derive(Template)]
#[template(path = "console/breach_new.html")]
struct NewPage {
    frame: Frame,
    kinds: &'static [BreachKind],
    typed: Typed,
    errors: Vec<Problem>,
}

impl NewPage {
    /// What is wrong with a field; empty when nothing is.
    fn problem(&self, field: &str) -> &str {
        Problem::of(&self.errors, field)
    }
}

/// What the gate takes: the alert and its first entries.
const FOUND_BY_MAX: usize = 16;
