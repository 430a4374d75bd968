//! The queue: cases that can be decided, urgent ones first, then those that end soonest.

use std::time::Duration;

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::frame::Frame;
use super::{QUEUE, words};
use crate::approval::State;
use crate::clock::Timestamp;
use crate::console::session::encoded;
use crate::console::{Console, Fault, Fields, SignedIn, page};
use crate::gate::CaseAsk;
use crate::ids::{DisclosureId, PartnerName, PurposeName};
use crate::store::{Case, CaseCount};

/// The page.
pub(super) async fn queue(
    Shared(console): Shared<Console>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let filter = Filter::read(uri.query().unwrap_or_default()).map_err(IntoResponse::into_response)?;
    let gate = console.gate();
    let now = gate.present();
    let told = |error| Fault::Gate(error).into_response();
    let ask = |limit| filter.ask(now, limit);
    let mut cases = gate.case_list(who.caller(), ask(PAGE_CASES.saturating_add(1))).await.map_err(told)?;
    let count = gate.case_count(who.caller(), ask(COUNTED_CASES)).await.map_err(told)?;
    let size = usize::try_from(PAGE_CASES).unwrap_or(usize::MAX);
    let has_more = cases.len() > size;
    cases.truncate(size);
    let last = cases.last().map(|case| (case.disclosure.request().disclosure(), case.ends));
    let next = last.filter(|_| has_more).map(|last| filter.address(Some(last)));
    let first = filter.after.map(|_| filter.address(None));
    let partners = gate.registry().partners.into_iter().map(|partner| {
        let is_chosen = filter.partner.as_ref() == Some(&partner.name);
        Choice { value: partner.name.to_string(), words: partner.title, is_chosen }
    });
    let purposes = gate.purposes().into_iter().map(|purpose| {
        let is_chosen = filter.purpose.as_ref() == Some(&purpose);
        Choice { words: words::of_name(purpose.as_str()), value: purpose.to_string(), is_chosen }
    });
    Ok(page(&QueuePage {
        frame: Frame::of(&who, "Cases to decide"),
        rows: cases.iter().map(|case| QueueRow::new(case, now, &filter)).collect(),
        states: filter.state_choices(),
        partners: partners.collect(),
        purposes: purposes.collect(),
        ages: filter.age_choices(),
        legal_basis: filter.legal_basis.clone().unwrap_or_default(),
        is_filtered: filter.is_filtered(),
        count: count_words(count),
        next,
        first,
    }))
}

fn count_words(count: CaseCount) -> String {
    match (count.cases, count.is_more) {
        (cases, true) => format!("More than {cases} cases"),
        (1, false) => "1 case".to_owned(),
        (cases, false) => format!("{cases} cases"),
    }
}

/// What the address asks for.
#[derive(Clone, Default)]
struct Filter {
    state: Option<State>,
    /// Those that owe a review, in whatever state.
    reviews_owed: bool,
    partner: Option<PartnerName>,
    purpose: Option<PurposeName>,
    legal_basis: Option<String>,
    age: Option<Age>,
    /// The last case of the page before, and when it ended as that page showed it.
    after: Option<(DisclosureId, Timestamp)>,
}

/// How long ago something was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Age {
    name: &'static str,
    words: &'static str,
    hours: u64,
    is_older: bool,
}

impl Filter {
    /// An empty value is that of a choice that was left open.
    fn read(query: &str) -> Result<Self, Fault> {
        let fields = Fields::parse(query);
        let given = |name| fields.get(name).map(str::trim).filter(|value| !value.is_empty());
        let strange = || Fault::Form("the address of the queue is not in its form; choose again on the page");
        let age = given("age").map(|name| AGES.into_iter().find(|age| age.name == name).ok_or_else(strange));
        let state = given("state");
        let after = given("after").map(|text| after_read(text).ok_or_else(strange));
        Ok(Self {
            state: state
                .filter(|word| *word != REVIEWS_OWED)
                .map(str::parse)
                .transpose()
                .map_err(|_| strange())?,
            reviews_owed: state == Some(REVIEWS_OWED),
            partner: given("partner").map(str::parse).transpose().map_err(|_| strange())?,
            purpose: given("purpose").map(str::parse).transpose().map_err(|_| strange())?,
            legal_basis: given("legal-basis").map(str::to_owned),
            age: age.transpose()?,
            after: after.transpose()?,
        })
    }

    fn ask(&self, now: Timestamp, limit: u32) -> CaseAsk {
        let since = self.age.map(|age| (now.before(Duration::from_secs(age.hours * 3_600)), age.is_older));
        CaseAsk {
            reviews_owed: self.reviews_owed,
            state: self.state,
            partner: self.partner.clone(),
            purpose: self.purpose.clone(),
            legal_basis: self.legal_basis.clone(),
            asked_since: since.filter(|(_, is_older)| !is_older).map(|(since, _)| since),
            asked_before: since.filter(|(_, is_older)| *is_older).map(|(before, _)| before),
            after: self.after,
            limit,
        }
    }

    fn is_filtered(&self) -> bool {
        self.state.is_some()
            || self.reviews_owed
            || self.partner.is_some()
            || self.purpose.is_some()
            || self.legal_basis.is_some()
            || self.age.is_some()
    }

    /// The address of the page behind a case, or of the first one.
    fn address(&self, after: Option<(DisclosureId, Timestamp)>) -> String {
        let mut pairs = Vec::new();
        pairs.extend(self.state.map(|state| format!("state={state}")));
        pairs.extend(self.reviews_owed.then(|| format!("state={REVIEWS_OWED}")));
        pairs.extend(self.partner.as_ref().map(|partner| format!("partner={partner}")));
        pairs.extend(self.purpose.as_ref().map(|purpose| format!("purpose={purpose}")));
        pairs.extend(self.legal_basis.as_ref().map(|basis| format!("legal-basis={}", encoded(basis))));
        pairs.extend(self.age.map(|age| format!("age={}", age.name)));
        pairs.extend(
            after.map(|(id, ends)| format!("after={}.{}", super::case::id_text(id), ends.as_millis())),
        );
        if pairs.is_empty() { QUEUE.to_owned() } else { format!("{QUEUE}?{}", pairs.join("&")) }
    }

    fn state_choices(&self) -> Vec<Choice> {
        let choice = |state: State| Choice {
            value: state.to_string(),
            words: words::of_state(state).0,
            is_chosen: self.state == Some(state),
        };
        let owed = Choice {
            value: REVIEWS_OWED.to_owned(),
            words: "Review owed".to_owned(),
            is_chosen: self.reviews_owed,
        };
        std::iter::once(owed).chain(State::ALL.map(choice)).collect()
    }

    fn age_choices(&self) -> Vec<Choice> {
        let choice = |age: Age| Choice {
            value: age.name.to_owned(),
            words: age.words.to_owned(),
            is_chosen: self.age == Some(age),
        };
        AGES.map(choice).into()
    }
}

fn after_read(text: &str) -> Option<(DisclosureId, Timestamp)> {
    let (id, ends) = text.split_once('.')?;
    Some((super::case::id_read(id)?, Timestamp::from_millis(ends.parse().ok()?)))
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
    /// The queue with this legal basis alone; empty where it is that already.
    same_basis: String,
    clock: String,
    /// What has to be done until when; empty when nothing has.
    due: String,
    state: String,
    colour: &'static str,
}

impl QueueRow {
    fn new(case: &Case, now: Timestamp, filter: &Filter) -> Self {
        let request = case.disclosure.request();
        let (state, colour) = words::of_state(case.disclosure.state());
        let stands = case.disclosure.state();
        let clock = if stands.is_final() { String::new() } else { words::of_clock(now, case.ends) };
        let due = match stands {
            State::Released => format!("The partner collects it by {}", words::of_time(case.ends)),
            open if open.is_open() => format!("Decide by {}", words::of_time(request.decide_by())),
            _ => String::new(),
        };
        let basis = request.ask().legal_basis();
        let same = Filter { legal_basis: Some(basis.to_owned()), ..filter.clone() };
        let is_same = filter.legal_basis.as_deref() == Some(basis);
        Self {
            address: super::case::address(request.disclosure()),
            is_urgent: request.ask().urgent().is_some(),
            age: words::of_span(request.received(), now),
            asked: words::of_time(request.received()),
            partner: request.partner().to_string(),
            purpose: words::of_name(request.ask().purpose().as_str()),
            legal_basis: basis.to_owned(),
            same_basis: if is_same { String::new() } else { same.address(None) },
            clock,
            due,
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
    purposes: Vec<Choice>,
    ages: Vec<Choice>,
    legal_basis: String,
    is_filtered: bool,
    count: String,
    next: Option<String>,
    first: Option<String>,
}

/// In the place of a state: released by the urgent path, and not reviewed yet.
const REVIEWS_OWED: &str = "reviews-owed";
const AGES: [Age; 5] = [
    Age { name: "hours-4", words: "Asked in the last 4 hours", hours: 4, is_older: false },
    Age { name: "day-1", words: "Asked in the last day", hours: 24, is_older: false },
    Age { name: "days-7", words: "Asked in the last 7 days", hours: 7 * 24, is_older: false },
    Age { name: "over-day-1", words: "Asked more than a day ago", hours: 24, is_older: true },
    Age { name: "over-days-7", words: "Asked more than 7 days ago", hours: 7 * 24, is_older: true },
];
/// Two screens of rows; the store reads each of them whole.
const PAGE_CASES: u32 = 25;
/// More than anybody works off, and counted in a few milliseconds.
const COUNTED_CASES: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_holds_all_that_is_asked_for() {
        let text = "state=released&partner=au-border&purpose=border-identity&legal-basis=Migration%20Act%2C%20s%20257A&age=day-1";
        let filter = Filter::read(text).ok().unwrap();
        assert_eq!(filter.address(None), format!("/cases?{text}"));
        let place = (DisclosureId::from_bytes([7; 16]), Timestamp::from_millis(1_790_000_000_000));
        let next = filter.address(Some(place));
        let again = Filter::read(next.split_once('?').unwrap().1).ok().unwrap();
        assert_eq!(again.after, Some(place));
        assert!(again.is_filtered() && !Filter::read("state=&age=&after=").ok().unwrap().is_filtered());
        for bad in
            ["state=open", "age=week", "after=1", "after=0b7c8a526e1f4b0e9a440a1c2d3e4f50", "purpose=A"]
        {
            assert!(Filter::read(bad).is_err(), "`{bad}` should have been refused");
        }
    }
}
