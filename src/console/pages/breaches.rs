//! Breaches of privacy: the privacy officers' list with its clocks, and one case. What is done with a case is done at the command
//! line.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::frame::Frame;
use super::words;
use crate::clock::Timestamp;
use crate::console::{Console, Fault, Fields, SignedIn, page};
use crate::ids::BreachId;
use crate::store::breach::{Breach, BreachFinding, BreachTold, Factor, Said};

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(BREACHES, get(list)).route("/breaches/{breach}", get(one))
}

/// The list: open ones, those that are due soonest first; or closed ones, the newest first.
async fn list(Shared(console): Shared<Console>, who: SignedIn, uri: Uri) -> Result<Response, Response> {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let is_closed = fields.get("closed").is_some();
    let after = fields.get("after").map(str::parse::<BreachId>).transpose();
    let after = after.map_err(|_| Fault::NotFound.into_response())?;
    let gate = console.gate();
    let now = gate.present();
    let found = gate.breach_list(who.caller(), is_closed, after, PAGE_BREACHES.saturating_add(1)).await;
    let mut found = found.map_err(|error| Fault::Gate(error).into_response())?;
    let size = usize::try_from(PAGE_BREACHES).unwrap_or(usize::MAX);
    let has_more = found.len() > size;
    found.truncate(size);
    let which = if is_closed { "closed=1&" } else { "" };
    let next = found.last().filter(|_| has_more).map(|last| format!("{BREACHES}?{which}after={}", last.id));
    Ok(page(&ListPage {
        frame: Frame::of(&who, "Breaches"),
        rows: found.iter().map(|breach| BreachRow::new(breach, now)).collect(),
        is_closed,
        next,
    }))
}

/// One case.
async fn one(
    Shared(console): Shared<Console>,
    Path(breach): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id: BreachId = breach.parse().map_err(|_| Fault::NotFound.into_response())?;
    let gate = console.gate();
    let found = gate.breach_get(who.caller(), id).await;
    let (found, _) = found.map_err(|error| Fault::Gate(error).into_response())?;
    Ok(page(&BreachPage {
        frame: Frame::of(&who, "A breach"),
        row: BreachRow::new(&found, gate.present()),
        name: id.resource(),
        opened: format!("{}, by {}", words::of_time(found.opened.0), found.opened.1),
        found_by: found.found_by.iter().map(Place::new).collect(),
        late: found.late.map(words::of_time),
        steps: steps(&found),
        next: next_step(&found, &id.resource()),
    }))
}

/// What was done, the oldest first.
fn steps(breach: &Breach) -> Vec<Step> {
    let step = |what: String, said: &Said, more: Vec<String>| (said.at, Step::new(what, said, more));
    let mut steps: Vec<_> =
        breach.contained.iter().map(|said| step("Contained".to_owned(), said, Vec::new())).collect();
    for traced in &breach.traced {
        let list = |what: &str, of: &[String]| match of {
            [] => format!("{what}: none"),
            some => format!("{what}: {}", some.join(", ")),
        };
        let more = vec![
            format!("Looked through: {}", traced.scope),
            list("Fields", &traced.fields),
            list("Recipients", &traced.recipients),
        ];
        let people = if traced.people == 1 { "person" } else { "people" };
        steps.push(step(format!("Traced: {} {people} affected", traced.people), &traced.said, more));
    }
    if let Some(assessed) = &breach.assessed {
        let factor =
            |(factor, words): &(Factor, String)| format!("{}: {words}", words::of_name(factor.as_str()));
        let factors = assessed.factors.iter().map(factor).collect();
        let what = format!("Assessed: {}", words::of_name(assessed.finding.as_str()).to_lowercase());
        steps.push(step(what, &assessed.said, factors));
        if let Some(said) = &assessed.confirmed {
            steps.push(step("Confirmed by a second person".to_owned(), said, Vec::new()));
        }
    }
    for notified in &breach.notified {
        let what = match notified.told {
            BreachTold::Commissioner => "Told: the Privacy Commissioner",
            BreachTold::Individuals => "Told: everybody affected",
            BreachTold::PublicNotice => "Told: the public",
            BreachTold::Exception => "Not told: an exception",
        };
        let more = vec![format!("{}: {}", words::of_time(notified.at), notified.detail)];
        steps.push(step(what.to_owned(), &notified.said, more));
    }
    if let Some(said) = &breach.closed {
        steps.push(step("Closed".to_owned(), said, Vec::new()));
    }
    steps.sort_by_key(|(at, _)| *at);
    steps.into_iter().map(|(_, step)| step).collect()
}

/// The command that goes on from here; none for a closed case.
fn next_step(breach: &Breach, name: &str) -> Option<String> {
    let is_told = |whom: &[BreachTold]| whom.iter().any(|one| breach.is_told(*one));
    let is_notifiable = breach.assessed.as_ref().is_some_and(|it| it.finding == BreachFinding::Notifiable);
    let step = match &breach.assessed {
        _ if breach.closed.is_some() => return None,
        None if breach.contained.is_empty() => "contain",
        None if breach.traced.is_empty() => "affected",
        None => "assess",
        Some(assessed) if !is_notifiable && assessed.confirmed.is_none() => "confirm",
        Some(_) if is_notifiable && !is_told(&[BreachTold::Commissioner]) => "notification",
        Some(_) if is_notifiable && !is_told(&TOLD_PEOPLE) => "notified",
        Some(_) => "close",
    };
    Some(format!("onebit breach {step} {name}"))
}

/// Where a breach was found: an entry has a page.
struct Place {
    words: String,
    address: Option<String>,
}

impl Place {
    fn new(words: &String) -> Self {
        let alert = words.strip_prefix("alert ").map(|id| format!("/log/alerts/{id}"));
        let is_entry = |(_, index): &(&str, &str)| index.parse::<u64>().is_ok();
        let entry = words.rsplit_once('/').filter(is_entry).map(|_| format!("/log/entries/{words}"));
        Self { words: words.clone(), address: alert.or(entry) }
    }
}

/// Something that was done.
struct Step {
    what: String,
    when: String,
    words: String,
    more: Vec<String>,
}

impl Step {
    fn new(what: String, said: &Said, more: Vec<String>) -> Self {
        let when = format!("{}, by {}", words::of_time(said.at), said.by);
        Self { what, when, words: said.words.clone(), more }
    }
}

/// A case in a row.
struct BreachRow {
    address: String,
    kind: String,
    what: String,
    aware: String,
    due: String,
    clock: String,
    state: &'static str,
    colour: &'static str,
}

impl BreachRow {
    fn new(breach: &Breach, now: Timestamp) -> Self {
        let (state, colour) = match breach {
            it if it.closed.is_some() => ("Closed", "govuk-tag--grey"),
            it if it.is_told(BreachTold::Commissioner) => ("Told", "govuk-tag--green"),
            it if !it.is_running() => ("Settled", "govuk-tag--green"),
            it if it.due <= now => ("Late", "govuk-tag--red"),
            _ => ("Open", "govuk-tag--blue"),
        };
        let clock = if breach.is_running() { words::of_clock(now, breach.due) } else { "Stopped".to_owned() };
        Self {
            address: format!("{BREACHES}/{}", breach.id),
            kind: words::of_name(breach.kind.as_str()),
            what: breach.what.clone(),
            aware: words::of_time(breach.aware),
            due: words::of_time(breach.due),
            clock,
            state,
            colour,
        }
    }
}

#[derive(Template)]
#[template(path = "console/breaches.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<BreachRow>,
    is_closed: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "console/breach.html")]
struct BreachPage {
    frame: Frame,
    row: BreachRow,
    name: String,
    opened: String,
    found_by: Vec<Place>,
    late: Option<String>,
    steps: Vec<Step>,
    next: Option<String>,
}

/// Where the list is.
pub(super) const BREACHES: &str = "/breaches";
const PAGE_BREACHES: u32 = 50;
const TOLD_PEOPLE: [BreachTold; 3] =
    [BreachTold::Individuals, BreachTold::PublicNotice, BreachTold::Exception];
