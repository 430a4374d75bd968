//! What is held of a person, for the privacy officer who answers the person's request. What the person is given is put together and
//! signed at the command line.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::frame::Frame;
use super::problem::Problem;
use super::{requests, words};
use crate::approval::Correction;
use crate::authz::PayloadClass;
use crate::clock::date_of;
use crate::console::{Console, Fault, Fields, SignedForm, SignedIn, page};
use crate::gate::{GateError, ReportAsk, ReportMade, ReportWho};
use crate::ids::{FieldName, SOURCE_ID_MAX_CHARS, SubjectId, SubjectRequestId};
use crate::store::subject::{DisclosureTold, QueryTold};

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/requests/{request}/held", get(form).post(shown))
}

/// The form: of whom, and why.
async fn form(
    Shared(console): Shared<Console>,
    Path(request): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let request = asked_by(&console, &who, &request).await?;
    Ok(page(&FormPage::new(&who, request, Typed::default(), Vec::new())))
}

/// What is held. Each look is an entry with its reason.
async fn shown(
    Shared(console): Shared<Console>,
    Path(request): Path<String>,
    form: SignedForm,
) -> Result<Response, Response> {
    let who = &form.who;
    let request = asked_by(&console, who, &request).await?;
    let typed = Typed::read(&form.fields);
    let of = match typed.checked() {
        Ok(of) => of,
        Err(problems) => return Ok(page(&FormPage::new(who, request, typed, problems))),
    };
    let ask = ReportAsk { who: of, withheld: Vec::new(), request: Some(request), why: typed.why.clone() };
    match console.gate().subject_report(who.caller(), ask).await {
        Ok(made) => Ok(page(&HeldPage::new(who, request, typed.person, &made))),
        // What a person can type wrongly is told where they typed it.
        Err(GateError::Invalid { field: "reason", what }) => {
            let problems = vec![Problem { anchor: "why", words: what }];
            Ok(page(&FormPage::new(who, request, typed, problems)))
        }
        Err(error) => Err(Fault::Gate(error).into_response()),
    }
}

/// The request, if it is there and whoever asks may see it.
async fn asked_by(console: &Console, who: &SignedIn, request: &str) -> Result<SubjectRequestId, Response> {
    let id: SubjectRequestId = request.parse().map_err(|_| Fault::NotFound.into_response())?;
    let found = console.gate().subject_request_get(who.caller(), id).await;
    found.map(|request| request.id).map_err(|error| Fault::Gate(error).into_response())
}

/// What was typed.
#[derive(Default)]
struct Typed {
    person: String,
    why: String,
}

impl Typed {
    fn read(fields: &Fields) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
        Self { person: field("person"), why: field("why") }
    }

    /// Of whom, or everything that is wrong.
    fn checked(&self) -> Result<ReportWho, Vec<Problem>> {
        let mut problems = Vec::new();
        let of = match self.person.strip_prefix(SUBJECTS) {
            Some(id) => id.parse::<SubjectId>().map(ReportWho::Subject).ok(),
            None => Some(ReportWho::Source(self.person.clone()))
                .filter(|_| !self.person.is_empty() && self.person.chars().count() <= SOURCE_ID_MAX_CHARS),
        };
        if of.is_none() {
            problems.push(Problem::new("person", "Write the person’s id, in 256 characters or fewer"));
        }
        if self.why.is_empty() {
            problems.push(Problem::new("why", "Say why you look"));
        }
        of.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

#[derive(Template)]
#[template(path = "console/held_form.html")]
struct FormPage {
    frame: Frame,
    address: String,
    typed: Typed,
    errors: Vec<Problem>,
}

impl FormPage {
    fn new(who: &SignedIn, request: SubjectRequestId, typed: Typed, errors: Vec<Problem>) -> Self {
        let titled = if errors.is_empty() { TITLE.to_owned() } else { format!("Error: {TITLE}") };
        Self { frame: Frame::of(who, &titled), address: requests::address(request), typed, errors }
    }

    /// What is wrong with a field; empty when nothing is.
    fn problem(&self, field: &str) -> &str {
        Problem::of(&self.errors, field)
    }
}

#[derive(Template)]
#[template(path = "console/held.html")]
struct HeldPage {
    frame: Frame,
    address: String,
    request: String,
    person: String,
    is_known: bool,
    at: String,
    sections: Vec<Section>,
    disposed: Vec<String>,
}

impl HeldPage {
    fn new(who: &SignedIn, request: SubjectRequestId, person: String, made: &ReportMade) -> Self {
        Self {
            frame: Frame::of(who, TITLE),
            address: requests::address(request),
            request: request.resource(),
            person,
            is_known: made.report.is_known,
            at: words::of_time(made.report.at),
            sections: sections(made),
            disposed: disposed(made),
        }
    }
}

/// A table, or that there is nothing in it.
struct Section {
    title: &'static str,
    heads: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

fn sections(made: &ReportMade) -> Vec<Section> {
    let of = &made.report;
    let templates = of.templates.iter().map(|it| {
        let by = it.enrolled_by.to_string();
        vec![it.collection.to_string(), it.scheme.to_string(), words::of_time(it.enrolled), by]
    });
    let record = of.fields.iter().map(|it| {
        let uses = it.permitted_uses.join(", ");
        let field = words::of_name(it.field.as_str());
        vec![field, it.value.to_string(), it.classification.clone(), it.source.clone(), uses]
    });
    let statements = of
        .statements
        .iter()
        .map(|it| vec![words::of_name(it.field.as_str()), it.text.clone(), words::of_time(it.at)]);
    let restrictions = of.restrictions.iter().map(|it| {
        let (at, why) = it.given.clone().unzip();
        let since = at.map_or_else(|| "With enrolment".to_owned(), words::of_time);
        vec![words::of_name(it.name.as_str()), since, why.unwrap_or_default()]
    });
    let query = |it: &QueryTold| query(made, it);
    let corrections = of
        .disclosures
        .iter()
        .flat_map(|it| it.corrections.iter().map(|one| correction(&it.partner.to_string(), one)));
    vec![
        Section {
            title: "Templates",
            heads: &["Collection", "How it was made", "Enrolled", "By the system"],
            rows: templates.collect(),
        },
        Section {
            title: "Record",
            heads: &["Field", "Value", "Classification", "Where it came from", "What it may be used for"],
            rows: record.collect(),
        },
        Section {
            title: "Statements of correction",
            heads: &["Field", "Statement", "Attached"],
            rows: statements.collect(),
        },
        Section {
            title: "Restrictions",
            heads: &["Restriction", "Since", "Why"],
            rows: restrictions.collect(),
        },
        Section {
            title: "Questions that matched",
            heads: QUERY_HEADS,
            rows: of.queries.iter().map(query).collect(),
        },
        Section {
            title: "Questions from which the person was hidden",
            heads: QUERY_HEADS,
            rows: of.hidden_queries.iter().map(query).collect(),
        },
        Section {
            title: "Requests and disclosures",
            heads: &[
                "Asked",
                "Who",
                "Purpose",
                "Fields asked for",
                "Where it stands",
                "Released",
                "Kept until",
            ],
            rows: of.disclosures.iter().map(|it| disclosure(made, it)).collect(),
        },
        Section {
            title: "Corrections to recipients",
            heads: &["Recipient", "What", "Fields", "Made", "Told", "Acknowledged"],
            rows: corrections.collect(),
        },
    ]
}

fn query(made: &ReportMade, it: &QueryTold) -> Vec<String> {
    vec![
        words::of_time(it.at),
        it.partner.to_string(),
        it.agreement.to_string(),
        words::of_name(it.purpose.as_str()),
        it.legal_basis.clone(),
        words::of_day(&made.kept_until(PayloadClass::Query, it.at.day())),
    ]
}

fn disclosure(made: &ReportMade, it: &DisclosureTold) -> Vec<String> {
    let released = it.released.as_ref().map_or_else(
        || "Nothing".to_owned(),
        |(at, fields)| {
            let fetched = it
                .fetched
                .map_or_else(|| "not fetched".to_owned(), |at| format!("fetched {}", words::of_time(at)));
            format!("{}: {}; {fetched}", words::of_time(*at), named(fields))
        },
    );
    vec![
        words::of_time(it.at),
        it.partner.to_string(),
        words::of_name(it.purpose.as_str()),
        named(&it.asked),
        words::of_state(it.state).0,
        released,
        words::of_day(&made.kept_until(PayloadClass::Disclosure, it.last_day())),
    ]
}

fn correction(recipient: &str, it: &Correction) -> Vec<String> {
    let told = it.told.as_ref();
    let acknowledged = match told.map(|told| (told.acknowledged, told.is_overdue)) {
        Some((Some(at), _)) => words::of_time(at),
        Some((None, true)) => "Not in time".to_owned(),
        Some((None, false)) | None => "Not yet".to_owned(),
    };
    vec![
        recipient.to_owned(),
        words::of_name(it.new.kind.as_str()),
        it.new.fields.iter().map(|one| words::of_name(one.as_str())).collect::<Vec<_>>().join(", "),
        words::of_time(it.made),
        told.map_or_else(|| "Not yet".to_owned(), |told| words::of_time(told.at)),
        acknowledged,
    ]
}

fn named(fields: &[FieldName]) -> String {
    fields.iter().map(|one| words::of_name(one.as_str())).collect::<Vec<_>>().join(", ")
}

/// What was disposed of, and is not told.
fn disposed(made: &ReportMade) -> Vec<String> {
    let what = ["Questions", "Requests and disclosures", "Enrolment and restrictions"];
    let gone = what.into_iter().zip(made.report.disposed_before);
    gone.filter_map(|(what, before)| {
        let before = words::of_day(&date_of(before?).to_string());
        Some(format!("{what} from before {before} were disposed of and are not told here."))
    })
    .collect()
}

const TITLE: &str = "What is held of a person";
const QUERY_HEADS: &[&str] = &["When", "Who asked", "Agreement", "Purpose", "Legal basis", "Kept until"];
const SUBJECTS: &str = "subjects/";
