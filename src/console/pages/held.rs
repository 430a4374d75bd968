//! What is held of a person, for the privacy officer who answers the person's request. What the person is given is put together and
//! signed at the command line.

use std::io::Cursor;

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
use crate::console::{Console, Fault, Fields, SignedIn, SignedUpload, page};
use crate::gate::{GateError, ReportAsk, ReportMade, ReportWho};
use crate::ids::{CollectionName, FieldName, SOURCE_ID_MAX_CHARS, SubjectId, SubjectRequestId};
use crate::store::subject::{DisclosureTold, QueryTold};
use crate::template::{Quality, QualityScore, Sample, array_embedding};

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
    Ok(page(&FormPage::new(&console, &who, request, Typed::default(), Vec::new())))
}

/// What is held. Each look is an entry with its reason.
async fn shown(
    Shared(console): Shared<Console>,
    Path(request): Path<String>,
    SignedUpload { who, fields, file }: SignedUpload,
) -> Result<Response, Response> {
    let request = asked_by(&console, &who, &request).await?;
    let typed = Typed::read(&fields, !file.is_empty());
    let (of, found_by) = match typed.checked(&file) {
        Ok(checked) => checked,
        Err(problems) => return Ok(told(&console, &who, request, typed, problems)),
    };
    let is_by_sample = matches!(of, ReportWho::Samples(..));
    let ask = ReportAsk { who: of, withheld: Vec::new(), request: Some(request), why: typed.why.clone() };
    let problem = match console.gate().subject_report(who.caller(), ask).await {
        Ok(made) => return Ok(page(&HeldPage::new(&who, request, found_by, &made))),
        // What a person can give wrongly is told where they gave it.
        Err(GateError::Invalid { field: "reason", what }) => Problem { anchor: "why", words: what },
        Err(GateError::Invalid { field: "samples", what }) => Problem { anchor: "sample", words: what },
        Err(GateError::NotNow(what)) if is_by_sample => Problem { anchor: "collection", words: what },
        Err(error) => return Err(Fault::Gate(error).into_response()),
    };
    Ok(told(&console, &who, request, typed, vec![problem]))
}

/// The form again, with what is wrong.
fn told(
    console: &Console,
    who: &SignedIn,
    request: SubjectRequestId,
    typed: Typed,
    mut problems: Vec<Problem>,
) -> Response {
    // A browser does not keep a file for the next page, and nor do we.
    if typed.has_sample && typed.person.is_empty() && Problem::of(&problems, "sample").is_empty() {
        problems.push(Problem::new("sample", "Choose the file again"));
    }
    page(&FormPage::new(console, who, request, typed, problems))
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
    collection: String,
    quality: String,
    why: String,
    /// Whether a file was chosen.
    has_sample: bool,
}

impl Typed {
    fn read(fields: &Fields, has_sample: bool) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
        Self {
            person: field("person"),
            collection: field("collection"),
            quality: field("quality"),
            why: field("why"),
            has_sample,
        }
    }

    /// Of whom, and how that is called on the page; or everything that is wrong. The sample is as it came, in an array.
    fn checked(&self, sample: &[u8]) -> Result<(ReportWho, FoundBy), Vec<Problem>> {
        let mut problems = Vec::new();
        let of = match (self.person.is_empty(), sample.is_empty()) {
            (true, true) => {
                Err(vec![Problem::new("person", "Write the person’s id, or choose a file with a sample")])
            }
            (false, false) => Err(vec![Problem::new("person", "Give the person’s id or a sample, not both")]),
            (false, true) => self.by_id(),
            (true, false) => self.by_sample(sample),
        };
        let of = of.map_err(|wrong| problems.extend(wrong));
        if self.why.is_empty() {
            problems.push(Problem::new("why", "Say why you look"));
        }
        of.ok().filter(|_| problems.is_empty()).ok_or(problems)
    }

    fn by_id(&self) -> Result<(ReportWho, FoundBy), Vec<Problem>> {
        let of = match self.person.strip_prefix(SUBJECTS) {
            Some(id) => id.parse::<SubjectId>().map(ReportWho::Subject).ok(),
            None => Some(ReportWho::Source(self.person.clone()))
                .filter(|_| self.person.chars().count() <= SOURCE_ID_MAX_CHARS),
        };
        let of = of.map(|of| (of, FoundBy::Id(self.person.clone())));
        of.ok_or_else(|| vec![Problem::new("person", "Write the person’s id, in 256 characters or fewer")])
    }

    fn by_sample(&self, sample: &[u8]) -> Result<(ReportWho, FoundBy), Vec<Problem>> {
        let mut problems = Vec::new();
        let collection = CollectionName::parse(&self.collection).ok();
        if collection.is_none() {
            problems
                .push(Problem::new("collection", "Choose the collection in which the sample is looked for"));
        }
        let values = array_embedding(Cursor::new(sample), 0)
            .map_err(|error| problems.push(Problem { anchor: "sample", words: format!("The file {error}") }));
        let quality = match self.quality.as_str() {
            "" => Some(Quality::Unknown),
            score => score.parse().ok().and_then(|score| QualityScore::new(score).ok()).map(Quality::Score),
        };
        if quality.is_none() {
            problems.push(Problem::new(
                "quality",
                "Write the quality as a whole number from 0 to 100, or nothing",
            ));
        }
        match (collection, quality, values) {
            (Some(collection), Some(quality), Ok(values)) => {
                let of = ReportWho::Samples(collection.clone(), vec![Sample::embedding(values, quality)]);
                Ok((of, FoundBy::Sample(collection)))
            }
            _ => Err(problems),
        }
    }
}

/// How a person was looked for.
enum FoundBy {
    /// By this id.
    Id(String),
    /// By a sample, in this collection.
    Sample(CollectionName),
}

#[derive(Template)]
#[template(path = "console/held_form.html")]
struct FormPage {
    frame: Frame,
    address: String,
    collections: Vec<String>,
    typed: Typed,
    errors: Vec<Problem>,
}

impl FormPage {
    fn new(
        console: &Console,
        who: &SignedIn,
        request: SubjectRequestId,
        typed: Typed,
        errors: Vec<Problem>,
    ) -> Self {
        let titled = if errors.is_empty() { TITLE.to_owned() } else { format!("Error: {TITLE}") };
        let collections =
            console.gate().gallery_sizes().into_iter().map(|(name, _)| name.to_string()).collect();
        Self {
            frame: Frame::of(who, &titled),
            address: requests::address(request),
            collections,
            typed,
            errors,
        }
    }

    /// What is wrong with a field; empty when nothing is.
    fn problem(&self, field: &str) -> &str {
        Problem::of(&self.errors, field)
    }

    /// Whether a sample was given, or something about one.
    fn is_by_sample(&self) -> bool {
        let is_about = |field: &&str| !self.problem(field).is_empty();
        !self.typed.collection.is_empty() || ["collection", "sample", "quality"].iter().any(is_about)
    }
}

#[derive(Template)]
#[template(path = "console/held.html")]
struct HeldPage {
    frame: Frame,
    address: String,
    request: String,
    found_by: FoundBy,
    is_known: bool,
    at: String,
    sections: Vec<Section>,
    disposed: Vec<String>,
}

impl HeldPage {
    fn new(who: &SignedIn, request: SubjectRequestId, found_by: FoundBy, made: &ReportMade) -> Self {
        Self {
            frame: Frame::of(who, TITLE),
            address: requests::address(request),
            request: request.resource(),
            found_by,
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
