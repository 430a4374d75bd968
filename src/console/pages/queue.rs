//! The queue: cases that can be decided, urgent ones first, then those that end soonest.

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::frame::Frame;
use super::{QUEUE, words};
use crate::approval::State;
use crate::clock::Timestamp;
use crate::console::{Console, Fault, Fields, SignedIn, page};
use crate::gate::CaseAsk;
use crate::ids::{DisclosureId, PartnerName};
use crate::store::Case;

/// The page.
pub(super) async fn queue(
    Shared(console): Shared<Console>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let filter = Filter::read(uri.query().unwrap_or_default()).map_err(IntoResponse::into_response)?;
    let ask = CaseAsk {
        state: filter.state,
        partner: filter.partner.clone(),
        reviews_owed: false,
        after: filter.after,
        limit: PAGE_CASES.saturating_add(1),
    };
    let mut cases = console
        .gate()
        .case_list(who.caller(), ask)
        .await
        .map_err(|error| Fault::Gate(error).into_response())?;
    let size = usize::try_from(PAGE_CASES).unwrap_or(usize::MAX);
    let has_more = cases.len() > size;
    cases.truncate(size);
    let last = cases.last().map(|case| case.disclosure.request().disclosure());
    let next = last.filter(|_| has_more).map(|last| filter.address(Some(last)));
    let first = filter.after.map(|_| filter.address(None));
    let now = console.gate().present();
    let partners = console.gate().registry().partners.into_iter().map(|partner| {
        let is_chosen = filter.partner.as_ref() == Some(&partner.name);
        Choice { value: partner.name.to_string(), words: partner.title, is_chosen }
    });
    Ok(page(&QueuePage {
        frame: Frame::of(&who, "Cases to decide"),
        rows: cases.iter().map(|case| QueueRow::new(case, now)).collect(),
        states: filter.state_choices(),
        partners: partners.collect(),
        is_filtered: filter.state.is_some() || filter.partner.is_some(),
        next,
        first,
    }))
}

/// What the address asks for.
struct Filter {
    state: Option<State>,
    partner: Option<PartnerName>,
    after: Option<DisclosureId>,
}

impl Filter {
    /// An empty value is that of a choice that was left open.
    fn read(query: &str) -> Result<Self, Fault> {
        let fields = Fields::parse(query);
        let given = |name| fields.get(name).filter(|value| !value.is_empty());
        let strange = Fault::Form("the address of the queue is not in its form; choose again on the page");
        let Ok(state) = given("state").map(str::parse::<State>).transpose() else { return Err(strange) };
        let Ok(partner) = given("partner").map(str::parse::<PartnerName>).transpose() else {
            return Err(strange);
        };
        let after = given("after").map(super::case::id_read);
        match after {
            Some(None) => Err(strange),
            after => Ok(Self { state, partner, after: after.flatten() }),
        }
    }

    /// The address of the page behind a case, or of the first one.
    fn address(&self, after: Option<DisclosureId>) -> String {
        let mut pairs = Vec::new();
        pairs.extend(self.state.map(|state| format!("state={state}")));
        pairs.extend(self.partner.as_ref().map(|partner| format!("partner={partner}")));
        pairs.extend(after.map(|id| format!("after={}", super::case::id_text(id))));
        if pairs.is_empty() { QUEUE.to_owned() } else { format!("{QUEUE}?{}", pairs.join("&")) }
    }

    fn state_choices(&self) -> Vec<Choice> {
        STATES
            .iter()
            .filter_map(|name| name.parse::<State>().ok())
            .map(|state| Choice {
                value: state.to_string(),
                words: words::of_state(state).0,
                is_chosen: self.state == Some(state),
            })
            .collect()
    }
}

struct Choice {
    value: String,
    words: String,
    is_chosen: bool,
}

struct QueueRow {
    address: String,
    is_urgent: bool,
    age: String,
    asked: String,
    partner: String,
    purpose: String,
    legal_basis: String,
    clock: String,
    decide_by: String,
    state: String,
    colour: &'static str,
}

impl QueueRow {
    fn new(case: &Case, now: Timestamp) -> Self {
        let request = case.disclosure.request();
        let (state, colour) = words::of_state(case.disclosure.state());
        let clock =
            if case.disclosure.state().is_final() { String::new() } else { words::of_clock(now, case.ends) };
        Self {
            address: super::case::address(request.disclosure()),
            is_urgent: request.ask().urgent().is_some(),
            age: words::of_span(request.received(), now),
            asked: words::of_time(request.received()),
            partner: request.partner().to_string(),
            purpose: words::of_name(request.ask().purpose().as_str()),
            legal_basis: request.ask().legal_basis().to_owned(),
            clock,
            decide_by: words::of_time(request.decide_by()),
            state,
            colour,
        }
    }
}

#[derive(Template)]
#[template(path = "console/queue.html")]
struct QueuePage {
    frame: Frame,
    rows: Vec<QueueRow>,
    states: Vec<Choice>,
    partners: Vec<Choice>,
    is_filtered: bool,
    next: Option<String>,
    first: Option<String>,
}

/// Two screens of rows; the store reads each of them whole.
const PAGE_CASES: u32 = 25;
/// In the order of a case's life. What a state machine does not know is left out.
const STATES: [&str; 12] = [
    "pending",
    "needs-information",
    "partially-approved",
    "approved",
    "released",
    "acknowledged",
    "denied",
    "withdrawn",
    "expired",
    "lapsed",
    "revoked",
    "locked",
];
