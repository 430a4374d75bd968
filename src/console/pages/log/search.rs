//! Searching the log. What is searched for is posted and kept in the entry about the search; the address of what was found
//! has the number of that entry.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::found::FoundRow;
use super::reason::{checked, reason};
use crate::authz::Role;
use crate::clock::Timestamp;
use crate::console::pages::frame::Frame;
use crate::console::pages::problem::Problem;
use crate::console::pages::words;
use crate::console::{Console, Fault, Fields, SignedForm, SignedIn, led_to, page};
use crate::gate::{GateError, SearchAsk};
use crate::store::search::{Attribute, Sought, SoughtError};

/// The form.
pub(super) async fn form(Shared(console): Shared<Console>, who: SignedIn) -> Result<Response, Fault> {
    if who.caller().actor().role != Role::PrivacyOfficer {
        return Err(Fault::NotFound);
    }
    let reason = console.reasons().of(who.token()).unwrap_or_default();
    Ok(shown(
        &who,
        Typed { reason, attribute: Attribute::Case.name().to_owned(), ..Typed::default() },
        Vec::new(),
    ))
}

/// Keeps the search as an entry, and leads to what it finds.
pub(super) async fn searched(
    Shared(console): Shared<Console>,
    form: SignedForm,
) -> Result<Response, Response> {
    let typed = Typed::read(&form.fields);
    let (sought, why) = match typed.sought() {
        Ok(asked) => asked,
        Err(problems) => return Ok(shown(&form.who, typed, problems)),
    };
    let ask = SearchAsk { sought, before: None, limit: 0, why: why.clone() };
    let kept = console.gate().entry_search(form.who.caller(), ask).await.map_err(told)?;
    console.reasons().keep(form.who.token(), &why);
    Ok(led_to(&address(kept.entry)))
}

/// What a search finds, a page at a time.
pub(super) async fn results(
    Shared(console): Shared<Console>,
    Path(search): Path<String>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| Fault::NotFound.into_response());
    let search = number(&search)?;
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let before = fields.get("before").map(number).transpose()?;
    let why = reason(&console, &who, &uri)?;
    let asked = console.gate().entry_search_again(who.caller(), search, (before, PAGE), why.clone());
    let (sought, searched) = asked.await.map_err(told)?;
    let is_full = u32::try_from(searched.found.len()).is_ok_and(|length| length >= PAGE);
    let last = searched.found.last().filter(|_| is_full).map(|last| last.place);
    let address = address(search);
    Ok(page(&ResultsPage {
        frame: Frame::of(&who, "What was found"),
        attribute: attribute_words(sought.attribute()),
        value: sought.value().to_owned(),
        range: range_words(&sought),
        rows: searched.found.iter().map(FoundRow::new).collect(),
        newest: before.map(|_| address.clone()),
        older: last.map(|last| format!("{address}?before={last}")),
        here: before.map_or_else(|| address.clone(), |before| format!("{address}?before={before}")),
        address: format!("{}{address}", console.settings().origin),
        reason: why,
    }))
}

fn told(error: GateError) -> Response {
    Fault::Gate(error).into_response()
}

fn address(entry: u64) -> String {
    format!("/log/searches/{entry}")
}

fn shown(who: &SignedIn, typed: Typed, problems: Vec<Problem>) -> Response {
    let title = "Search the log";
    let titled = if problems.is_empty() { title.to_owned() } else { format!("Error: {title}") };
    let attributes = Attribute::ALL.iter().map(|attribute| Choice {
        value: attribute.name(),
        words: attribute_words(*attribute),
        is_chosen: attribute.name() == typed.attribute,
    });
    page(&SearchPage {
        frame: Frame::of(who, &titled),
        attributes: attributes.collect(),
        typed,
        errors: problems,
    })
}

/// What was typed.
#[derive(Default)]
struct Typed {
    attribute: String,
    value: String,
    since: String,
    until: String,
    reason: String,
}

impl Typed {
    fn read(fields: &Fields) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        Self {
            attribute: field("attribute"),
            value: field("value"),
            since: field("since"),
            until: field("until"),
            reason: field("reason"),
        }
    }

    /// What is searched for and why, or everything that is wrong with it.
    fn sought(&self) -> Result<(Sought, String), Vec<Problem>> {
        let mut problems = Vec::new();
        let since = day(&self.since, "since", 0).map_err(|problem| problems.push(problem));
        // The last day is meant as a whole.
        let until = day(&self.until, "until", 1).map_err(|problem| problems.push(problem));
        let attribute = Attribute::from_name(&self.attribute);
        let sought = match (attribute, since, until) {
            (None, ..) => {
                problems.push(Problem::new("attribute", "Choose what to search by"));
                None
            }
            (Some(attribute), Ok(since), Ok(until)) => Sought::new(attribute, &self.value, since, until)
                .map_err(|error| problems.push(problem(&error)))
                .ok(),
            _ => None,
        };
        let why = checked(&self.reason).map_err(|words| problems.push(Problem::new("reason", words))).ok();
        match (sought, why) {
            (Some(sought), Some(why)) => Ok((sought, why)),
            _ => Err(problems),
        }
    }
}

/// The beginning of a day in New Zealand, so many days later.
fn day(text: &str, field: &'static str, later: i8) -> Result<Option<Timestamp>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let begun = text.parse().ok().and_then(|date| words::day_begun(date, later));
    begun
        .map(Some)
        .ok_or_else(|| Problem::new(field, "Write the day as year, month and day, such as 2026-07-01"))
}

fn problem(error: &SoughtError) -> Problem {
    match error {
        SoughtError::Range => Problem::new("until", "The last day is before the first"),
        SoughtError::Length(0) => Problem::new("value", "Write the value to search for"),
        error => Problem { anchor: "value", words: crate::console::sign_in::sentence(&error.to_string()) },
    }
}

fn attribute_words(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Case => "Case reference of a partner",
        Attribute::Official => "Official of a partner",
        Attribute::Officer => "Person or system that acted, or was acted upon",
        Attribute::Partner => "Partner",
        Attribute::Agreement => "Agreement",
        Attribute::Purpose => "Purpose",
        Attribute::Query => "Query",
        Attribute::Disclosure => "Disclosure",
        Attribute::Request => "Partner's own name for a request",
        Attribute::Kind => "Kind of entry",
        Attribute::Index => "Journal and index of an entry",
    }
}

fn range_words(sought: &Sought) -> String {
    match (sought.since().map(words::of_time), sought.until().map(words::of_time)) {
        (None, None) => "The whole log".to_owned(),
        (Some(since), None) => format!("From {since}"),
        (None, Some(until)) => format!("Before {until}"),
        (Some(since), Some(until)) => format!("From {since}, before {until}"),
    }
}

struct Choice {
    value: &'static str,
    words: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "console/log/search.html")]
struct SearchPage {
    frame: Frame,
    attributes: Vec<Choice>,
    typed: Typed,
    errors: Vec<Problem>,
}

impl SearchPage {
    /// What is wrong with a field; empty when nothing is.
    fn problem(&self, field: &str) -> &str {
        Problem::of(&self.errors, field)
    }
}

#[derive(Template)]
#[template(path = "console/log/results.html")]
struct ResultsPage {
    frame: Frame,
    attribute: &'static str,
    value: String,
    range: String,
    rows: Vec<FoundRow>,
    newest: Option<String>,
    older: Option<String>,
    here: String,
    address: String,
    reason: String,
}

/// As many as are read at a glance.
const PAGE: u32 = 25;
