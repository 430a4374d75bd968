//! What people asked for: the privacy officers' list with its clocks, and one request. What is done with a request is done
//! at the command line.

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
use crate::ids::SubjectRequestId;
use crate::store::subject::SubjectRequest;

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(REQUESTS, get(list)).route("/requests/{request}", get(one))
}

/// The list: open ones, those that are due soonest first; or closed ones, the newest first.
async fn list(Shared(console): Shared<Console>, who: SignedIn, uri: Uri) -> Result<Response, Response> {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let is_closed = fields.get("closed").is_some();
    let after = fields.get("after").map(str::parse::<SubjectRequestId>).transpose();
    let after = after.map_err(|_| Fault::NotFound.into_response())?;
    let gate = console.gate();
    let now = gate.present();
    let limit = PAGE_REQUESTS.saturating_add(1);
    let found = gate.subject_request_list(who.caller(), is_closed, after, limit).await;
    let mut found = found.map_err(|error| Fault::Gate(error).into_response())?;
    let size = usize::try_from(PAGE_REQUESTS).unwrap_or(usize::MAX);
    let has_more = found.len() > size;
    found.truncate(size);
    let which = if is_closed { "closed=1&" } else { "" };
    let next = found.last().filter(|_| has_more).map(|last| format!("{REQUESTS}?{which}after={}", last.id));
    Ok(page(&ListPage {
        frame: Frame::of(&who, "Requests of people"),
        rows: found.iter().map(|request| RequestRow::new(request, now)).collect(),
        is_closed,
        next,
    }))
}

/// One request.
async fn one(
    Shared(console): Shared<Console>,
    Path(request): Path<String>,
    who: SignedIn,
) -> Result<Response, Response> {
    let id: SubjectRequestId = request.parse().map_err(|_| Fault::NotFound.into_response())?;
    let gate = console.gate();
    let found = gate.subject_request_get(who.caller(), id).await;
    let found = found.map_err(|error| Fault::Gate(error).into_response())?;
    let now = gate.present();
    Ok(page(&RequestPage {
        frame: Frame::of(&who, "A person’s request"),
        row: RequestRow::new(&found, now),
        name: id.resource(),
        opened: words::of_time(found.opened.0),
        opened_by: found.opened.1.to_string(),
        is_known: found.subject.is_some(),
        extensions: found
            .extensions
            .iter()
            .map(|it| {
                let what = format!("To {}, on {}, by {}", before(it.due), words::of_time(it.at), it.by);
                (what, it.why.clone())
            })
            .collect(),
        late: found.late.map(words::of_time),
        closed: found.closed.as_ref().map(|it| ClosedShown {
            at: format!("{}, by {}", words::of_time(it.at), it.by),
            outcome: it.outcome.says(),
            grounds: it.grounds.iter().map(|one| format!("Section {one}: {}", one.says())).collect(),
            why: it.why.clone(),
        }),
    }))
}

/// Where a request is.
pub(super) fn address(request: SubjectRequestId) -> String {
    format!("{REQUESTS}/{request}")
}

/// The last day before a moment at which a day ends.
fn before(due: Timestamp) -> String {
    let last = words::of_time(due.before(std::time::Duration::from_secs(1)));
    last.split_once(',').map_or_else(|| last.clone(), |(day, _)| day.to_owned())
}

#[derive(Template)]
#[template(path = "console/requests.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<RequestRow>,
    is_closed: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "console/request.html")]
struct RequestPage {
    frame: Frame,
    row: RequestRow,
    name: String,
    opened: String,
    opened_by: String,
    is_known: bool,
    extensions: Vec<(String, String)>,
    late: Option<String>,
    closed: Option<ClosedShown>,
}

struct ClosedShown {
    at: String,
    outcome: &'static str,
    grounds: Vec<String>,
    why: String,
}

/// A request in a row.
struct RequestRow {
    address: String,
    kind: String,
    reference: String,
    received: String,
    due: String,
    clock: String,
    state: String,
    colour: &'static str,
}

impl RequestRow {
    fn new(request: &SubjectRequest, now: Timestamp) -> Self {
        let (state, colour) = match &request.closed {
            Some(closed) => (words::of_name(closed.outcome.as_str()), "govuk-tag--grey"),
            None if request.due <= now => ("Late".to_owned(), "govuk-tag--red"),
            None => ("Open".to_owned(), "govuk-tag--blue"),
        };
        let clock = match &request.closed {
            Some(_) => "Closed".to_owned(),
            None => words::of_clock(now, request.due),
        };
        Self {
            address: address(request.id),
            kind: words::of_name(request.kind.as_str()),
            reference: request.reference.clone(),
            received: words::of_day(&request.received),
            due: before(request.due),
            clock,
            state,
            colour,
        }
    }
}

/// Where the list is.
const REQUESTS: &str = "/requests";
const PAGE_REQUESTS: u32 = 50;
