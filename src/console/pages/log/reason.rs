//! Why somebody reads: asked for once a session, kept in memory, stated by every entry about a read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::SEARCH;
use crate::authz::Role;
use crate::console::pages::frame::Frame;
use crate::console::session::{Token, next_page};
use crate::console::{Console, Fields, SignedForm, SignedIn, led_to, page};

/// The reasons of all sessions, by their tokens.
#[derive(Default)]
pub(in crate::console) struct Reasons(Mutex<HashMap<String, (Instant, String)>>);

impl Reasons {
    /// Why the session reads, if it has said so.
    pub(super) fn of(&self, token: &Token) -> Option<String> {
        let all = self.lock();
        all.get(token.as_str()).filter(|(since, _)| since.elapsed() < KEPT).map(|(_, reason)| reason.clone())
    }

    /// Keeps why the session reads from now on.
    pub(super) fn keep(&self, token: &Token, reason: &str) {
        let mut all = self.lock();
        let now = Instant::now();
        all.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        if all.len() >= REASONS_MAX {
            // Whoever is pushed out is asked again.
            let oldest = all.iter().min_by_key(|(_, (since, _))| *since).map(|(token, _)| token.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(token.as_str().to_owned(), (now, reason.to_owned()));
    }

    /// Nothing here is left half changed by whoever panics.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why somebody reads the page at this address.
///
/// # Errors
/// The page that asks them why, which leads back to it.
pub(super) fn reason(console: &Console, who: &SignedIn, uri: &Uri) -> Result<String, Response> {
    match console.reasons().of(who.token()) {
        Some(reason) => Ok(reason),
        // The rules refuse everybody else, and that is an entry: nobody has to be asked for it.
        None if who.caller().actor().role != Role::PrivacyOfficer => Ok(NO_READER.to_owned()),
        None => Err(asked(who, uri.path_and_query().map_or(SEARCH, |asked| asked.as_str()), "", None)),
    }
}

/// The page to change the reason.
pub(super) async fn change(Shared(console): Shared<Console>, who: SignedIn, uri: Uri) -> Response {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let next = next_of(fields.get("next"));
    let before = console.reasons().of(who.token()).unwrap_or_default();
    asked(&who, next, &before, None)
}

/// Keeps the reason, and leads on.
pub(super) async fn given(Shared(console): Shared<Console>, form: SignedForm) -> Response {
    let next = next_of(form.fields.get("next"));
    match checked(form.fields.get("reason").unwrap_or_default()) {
        Ok(reason) => {
            console.reasons().keep(form.who.token(), &reason);
            led_to(next)
        }
        Err(problem) => asked(&form.who, next, form.fields.get("reason").unwrap_or_default(), Some(problem)),
    }
}

/// A reason as it is kept, or what is wrong with it.
pub(super) fn checked(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("Say why you read the log"),
        1..=REASON_MAX_CHARS => Ok(text.to_owned()),
        _ => Err("Say it in 512 characters or fewer"),
    }
}

/// One of the pages of this room and nothing else.
fn next_of(asked: Option<&str>) -> &str {
    let next = next_page(asked);
    if next.starts_with("/log/") { next } else { SEARCH }
}

fn asked(who: &SignedIn, next: &str, reason: &str, problem: Option<&'static str>) -> Response {
    let title = "Why do you read the log?";
    let titled = if problem.is_some() { format!("Error: {title}") } else { title.to_owned() };
    page(&ReasonPage {
        frame: Frame::of(who, &titled),
        next: next.to_owned(),
        reason: reason.to_owned(),
        problem,
    })
    .into_response()
}

#[derive(Template)]
#[template(path = "console/log/reason.html")]
struct ReasonPage {
    frame: Frame,
    next: String,
    reason: String,
    problem: Option<&'static str>,
}

/// What the gate takes.
const REASON_MAX_CHARS: usize = 512;
/// No session lasts longer than a working day.
const KEPT: Duration = Duration::from_secs(12 * 60 * 60);
/// More than there are privacy officers; at half a kilobyte each this is half a megabyte.
const REASONS_MAX: usize = 1_024;
const NO_READER: &str = "asked at the console by somebody who does not read the log";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_reason_is_that_of_its_session_alone() {
        let [one, other] = [1, 2].map(|byte| Token::of(&Secret::take(&mut [byte; 32])));
        let reasons = Reasons::default();
        reasons.keep(&one, "weekly review");
        reasons.keep(&one, "complaint 17");
        assert_eq!(reasons.of(&one).as_deref(), Some("complaint 17"));
        assert_eq!(reasons.of(&other), None);
    }

    #[test]
    fn a_reason_leads_to_pages_of_the_log_alone() {
        assert_eq!(next_of(Some("/log/entries/au-border/3")), "/log/entries/au-border/3");
        for other in ["/cases", "//evil.example/log/", "/logs", "https://evil.example"] {
            assert_eq!(next_of(Some(other)), SEARCH, "`{other}`");
        }
    }

    #[test]
    fn a_reason_says_something() {
        assert_eq!(checked("  weekly "), Ok("weekly".to_owned()));
        assert!(checked(" ").is_err() && checked(&"a".repeat(513)).is_err());
        assert!(checked(&"ā".repeat(512)).is_ok());
    }
}
