//! What the server's detectors found: the list, one alert, and what came of looking at it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::found::address as entry_address;
use super::reason::reason;
use crate::console::pages::frame::Frame;
use crate::console::pages::problem::Problem;
use crate::console::pages::words;
use crate::console::sign_in::sentence;
use crate::console::{Console, Fault, Fields, SignedForm, SignedIn, led_to, page};
use crate::gate::GateError;
use crate::ids::{AgreementName, Digest, PartnerName};
use crate::oversight::{Alert, Judgement, Place, Whom};
use crate::store::alert::{AlertFinding, JudgementNew, Stop};

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(ALERTS, get(list)).route("/log/alerts/{alert}", get(one).post(judged))
}

/// The list: those that nobody judged, and those that somebody did.
async fn list(Shared(console): Shared<Console>, who: SignedIn, uri: Uri) -> Result<Response, Response> {
    let why = reason(&console, &who, &uri)?;
    let watched = console.gate().alert_list(who.caller(), why.clone()).await.map_err(told)?;
    let rows = |judged: bool| -> Vec<AlertRow> {
        let of = watched.alerts.iter().filter(|(_, judgement)| judgement.is_some() == judged);
        of.take(ROWS).map(|(alert, judgement)| AlertRow::new(alert, judgement.as_ref())).collect()
    };
    Ok(page(&ListPage {
        frame: Frame::of(&who, "Alerts"),
        open: rows(false),
        judged: rows(true),
        looked_at: grouped(&watched.looked_at.to_string()),
        is_current: watched.is_current,
        here: ALERTS.to_owned(),
        reason: why,
    }))
}

/// One alert.
async fn one(
    Shared(console): Shared<Console>,
    Path(id): Path<String>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let why = reason(&console, &who, &uri)?;
    let (alert, judgement) = find(&console, &who, &id, &why).await?;
    let stopped = Fields::parse(uri.query().unwrap_or_default()).get("stopped").is_some();
    let notice = stopped.then_some("Whom you chose is stopped. It takes two people to let them go on.");
    let mut shown = AlertPage::new(&console, &who, (&alert, judgement.as_ref()), why);
    shown.notice = notice.map(str::to_owned);
    Ok(page(&shown))
}

/// Keeps what came of looking.
async fn judged(
    Shared(console): Shared<Console>,
    Path(id): Path<String>,
    form: SignedForm,
) -> Result<Response, Response> {
    let who = &form.who;
    // Whoever has not said yet why they read has come by no page of these.
    let why = console.reasons().of(who.token()).ok_or_else(|| led_to(&address(&id)))?;
    let (alert, judgement) = find(&console, who, &id, &why).await?;
    let typed = Typed::read(&form.fields);
    let stops = Choice::of(&alert, &agreements(&console, &alert));
    match typed.judgement(&alert, &stops) {
        Ok(new) => {
            let stopped = if new.stop.is_some() { "?stopped=1" } else { "" };
            let _receipt = console.gate().alert_judge(who.caller(), new).await.map_err(told)?;
            Ok(led_to(&format!("{}{stopped}", address(&id))))
        }
        Err(problems) => {
            let mut shown = AlertPage::new(&console, who, (&alert, judgement.as_ref()), why);
            shown.frame = Frame::of(who, &format!("Error: {}", shown.title));
            (shown.typed, shown.errors) = (typed, problems);
            Ok(page(&shown))
        }
    }
}

/// The alert of this id, as long as its entries are in the log.
async fn find(
    console: &Console,
    who: &SignedIn,
    id: &str,
    why: &str,
) -> Result<(Alert, Option<Judgement>), Response> {
    let missing = || Fault::NotFound.into_response();
    let id: Digest = id.parse().map_err(|_| missing())?;
    let watched = console.gate().alert_list(who.caller(), why.to_owned()).await.map_err(told)?;
    watched.alerts.into_iter().find(|(alert, _)| alert.id() == id).ok_or_else(missing)
}

/// Where the entries of an alert are, for whoever opens a breach about it.
pub(in crate::console::pages) async fn found_at(
    console: &Console,
    who: &SignedIn,
    id: &str,
) -> Result<Vec<String>, Response> {
    let (alert, _) = find(console, who, id, OPENS_A_BREACH).await?;
    let places = alert.entries.iter().map(|it| format!("{}/{}", it.journal, it.index));
    Ok(std::iter::once(format!("alert {id}")).chain(places).collect())
}

fn told(error: GateError) -> Response {
    Fault::Gate(error).into_response()
}

fn address(id: &str) -> String {
    format!("{ALERTS}/{id}")
}

fn agreements(console: &Console, alert: &Alert) -> Vec<AgreementName> {
    partner_of(alert).map(|partner| console.gate().agreements_with(&partner)).unwrap_or_default()
}

fn partner_of(alert: &Alert) -> Option<PartnerName> {
    match &alert.whom {
        Whom::Partner(partner) | Whom::Official { partner, .. } | Whom::Case { partner, .. } => {
            partner.parse().ok()
        }
        Whom::Officer(_) => None,
    }
}

/// Whom a judgement can stop at once.
#[derive(Clone)]
struct Choice {
    value: String,
    words: String,
    stop: Option<Stop>,
}

impl Choice {
    fn of(alert: &Alert, agreements: &[AgreementName]) -> Vec<Self> {
        let mut choices = vec![Self { value: "nobody".to_owned(), words: "Nobody".to_owned(), stop: None }];
        let mut add =
            |value: String, words: String, stop| choices.push(Self { value, words, stop: Some(stop) });
        let partner = partner_of(alert);
        if let (Some(partner), Whom::Official { official, .. }) = (&partner, &alert.whom) {
            let stop = Stop::Official(partner.clone(), official.clone());
            add("official".to_owned(), format!("The official {official} of {partner}"), stop);
        }
        if let Some(partner) = partner {
            for name in agreements {
                add(
                    format!("agreement-{name}"),
                    format!("The agreement {name}"),
                    Stop::Agreement(name.clone()),
                );
            }
            add("partner".to_owned(), format!("All of {partner}"), Stop::Partner(partner));
        }
        if let Whom::Officer(name) = &alert.whom
            && let Ok(person) = name.parse()
        {
            add("person".to_owned(), format!("The officer {name}"), Stop::Person(person));
        }
        choices
    }
}

/// What was typed.
struct Typed {
    finding: String,
    why: String,
    stop: String,
}

impl Default for Typed {
    fn default() -> Self {
        Self { finding: String::new(), why: String::new(), stop: "nobody".to_owned() }
    }
}

impl Typed {
    fn read(fields: &Fields) -> Self {
        let field = |name| fields.get(name).unwrap_or_default().replace("\r\n", "\n").trim().to_owned();
        Self { finding: field("finding"), why: field("why"), stop: field("stop") }
    }

    /// The judgement, or everything that is wrong with it.
    fn judgement(&self, alert: &Alert, stops: &[Choice]) -> Result<JudgementNew, Vec<Problem>> {
        let mut problems = Vec::new();
        let finding = self.finding.parse::<AlertFinding>();
        let finding =
            finding.map_err(|_| problems.push(Problem::new("finding", "Say what came of looking"))).ok();
        let stop = stops.iter().find(|choice| choice.value == self.stop);
        if stop.is_none() {
            problems.push(Problem::new("stop", "Choose whom to stop, or nobody"));
        }
        match self.why.chars().count() {
            0 => problems.push(Problem::new("why", "Say what you found")),
            1..=WHY_MAX_CHARS => {}
            _ => problems.push(Problem::new("why", "Say it in 512 characters or fewer")),
        }
        match (finding, stop) {
            (Some(finding), Some(choice)) if problems.is_empty() => Ok(JudgementNew {
                alert: alert.id(),
                detector: alert.detector.to_string(),
                whom: alert.whom.to_string(),
                entries: alert.entries.iter().map(|it| format!("{}/{}", it.journal, it.index)).collect(),
                finding,
                why: self.why.clone(),
                stop: choice.stop.clone(),
            }),
            _ => Err(problems),
        }
    }
}

/// An alert in a list.
struct AlertRow {
    address: String,
    sentence: String,
    whom: String,
    when: String,
    state: String,
    colour: &'static str,
}

impl AlertRow {
    fn new(alert: &Alert, judgement: Option<&Judgement>) -> Self {
        let (state, colour) = match judgement {
            None => ("Open".to_owned(), "govuk-tag--yellow"),
            Some(it) => (words::of_name(&it.finding), colour_of(&it.finding)),
        };
        Self {
            address: address(&alert.id().to_string()),
            sentence: title(alert),
            whom: alert.whom.to_string(),
            when: words::of_time(alert.until),
            state,
            colour,
        }
    }
}

/// What the detector looks for, without the full stop.
fn title(alert: &Alert) -> String {
    sentence(alert.detector.sentence()).trim_end_matches('.').to_owned()
}

fn colour_of(finding: &str) -> &'static str {
    match finding {
        "misuse" => "govuk-tag--red",
        "wrong" => "govuk-tag--orange",
        _ => "govuk-tag--grey",
    }
}

/// How seldom honest traffic looks like this, in words.
fn odds_words(odds: Option<f64>) -> String {
    match odds {
        None => {
            "This is a rule and has no chance: it says what happened, and an honest reason may be behind it."
                .to_owned()
        }
        Some(odds) if odds < ODDS_LEAST => {
            "Honest traffic looks like this less than once in a thousand million times that it is looked at."
                .to_owned()
        }
        Some(odds) => format!(
            "Honest traffic looks like this once in {} times that it is looked at.",
            rounded(1.0 / odds)
        ),
    }
}

/// A count rounded to two digits.
fn rounded(count: f64) -> String {
    let unit = 10_f64.powf((count.log10().floor() - 1.0).max(0.0));
    grouped(&format!("{:.0}", (count / unit).round() * unit))
}

/// Digits with spaces between thousands.
fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[derive(Template)]
#[template(path = "console/log/alerts.html")]
struct ListPage {
    frame: Frame,
    open: Vec<AlertRow>,
    judged: Vec<AlertRow>,
    looked_at: String,
    is_current: bool,
    here: String,
    reason: String,
}

#[derive(Template)]
#[template(path = "console/log/alert.html")]
struct AlertPage {
    frame: Frame,
    title: String,
    address: String,
    id: String,
    whom: String,
    says: String,
    odds: String,
    from: String,
    until: String,
    entries: Vec<(String, String)>,
    more: u64,
    total: u64,
    judgement: Option<JudgementShown>,
    findings: &'static [AlertFinding],
    stops: Vec<Choice>,
    typed: Typed,
    errors: Vec<Problem>,
    notice: Option<String>,
    here: String,
    reason: String,
}

struct JudgementShown {
    state: String,
    colour: &'static str,
    by: String,
    at: String,
    why: String,
}

impl AlertPage {
    fn new(console: &Console, who: &SignedIn, found: (&Alert, Option<&Judgement>), why: String) -> Self {
        let (alert, judgement) = found;
        let id = alert.id().to_string();
        let title = title(alert);
        let place = |it: &Place| {
            let place = format!("{}/{}", it.journal, it.index);
            (entry_address(&place), place)
        };
        let shown = u64::try_from(alert.entries.len()).unwrap_or(u64::MAX);
        let total = u64::try_from(alert.entries_total).unwrap_or(u64::MAX);
        Self {
            frame: Frame::of(who, &title),
            address: address(&id),
            whom: alert.whom.to_string(),
            says: sentence(&alert.says),
            odds: odds_words(alert.odds),
            from: words::of_time(alert.from),
            until: words::of_time(alert.until),
            entries: alert.entries.iter().map(place).collect(),
            more: total.saturating_sub(shown),
            total,
            judgement: judgement.map(|it| JudgementShown {
                state: words::of_name(&it.finding),
                colour: colour_of(&it.finding),
                by: it.by.clone(),
                at: words::of_time(it.at),
                why: it.why.clone(),
            }),
            findings: AlertFinding::ALL,
            stops: Choice::of(alert, &agreements(console, alert)),
            typed: Typed::default(),
            errors: Vec::new(),
            notice: None,
            here: address(&id),
            id,
            reason: why,
            title,
        }
    }

    /// What is wrong with a field; empty when nothing is.
    fn problem(&self, field: &str) -> &str {
        Problem::of(&self.errors, field)
    }
}

/// Where the list is.
pub(super) const ALERTS: &str = "/log/alerts";
/// More are found by `onebit audit alerts`; there are a few a year.
const ROWS: usize = 100;
const OPENS_A_BREACH: &str = "a breach is opened about this alert";
/// What the gate takes.
const WHY_MAX_CHARS: usize = 512;
const ODDS_LEAST: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_said_in_words() {
        assert!(odds_words(None).starts_with("This is a rule"));
        assert!(odds_words(Some(1e-12)).contains("less than once in a thousand million"));
        assert!(odds_words(Some(8.1e-5)).contains("once in 12\u{a0}000 times"));
        assert!(odds_words(Some(0.2)).contains("once in 5 times"));
    }
}
