//! Signing in by the agency's OpenID provider: there by a link, and back with a code.
//!
//! Whoever comes back comes from another site, so that browsers keep our strict cookies to themselves: a cookie of its own
//! carries the visit over, once. The page that answers leads on by a link of ours, after which they are sent again.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::HeaderMap;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use super::pages::frame::Frame;
use super::pending::Asked;
use super::session::{
    PROVIDER_COOKIE, SESSION_COOKIE, Token, cookie, cookie_end, cookie_set, cookie_set_lax, led_to, next_page,
};
use super::sign_in::{asked, sentence, visit};
use super::{Console, Fault, Fields, page};
use crate::gate::{GateError, ProviderSignIn};
use crate::outbox::{BACK_PATH, Provider, ProviderAnswer, ProviderAsked, ProviderError};
use crate::secret::Secret;
use crate::store::ProviderAccount;
use crate::telemetry;

/// A sign-in that somebody is at the provider for.
pub(super) struct ProviderVisit {
    asked: ProviderAsked,
    next: String,
    /// The session in whose place the new one begins; its cookie does not come back from there.
    before: Option<Secret<32>>,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(BEGIN, get(begin)).route(BACK_PATH, get(back))
}

/// Sends the browser to the provider.
async fn begin(State(console): State<Console>, headers: HeaderMap, uri: Uri) -> Result<Response, Fault> {
    let provider = provider(&console)?;
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let next = next_page(fields.get("next")).to_owned();
    let (asked, address) = match provider.begin().await {
        Ok(begun) => begun,
        Err(error) => return refused(&console, &provider, &next, &error),
    };
    let (secret, token) = visit()?;
    let visit = ProviderVisit { asked, next, before: cookie(&headers, SESSION_COOKIE) };
    console.pending().keep(&token, Asked::Provider(Box::new(visit)));
    let mut reply = led_to(&address);
    cookie_set_lax(&mut reply, PROVIDER_COOKIE, &secret);
    Ok(reply)
}

/// Takes the browser back, and asks the provider whom it recognised.
async fn back(State(console): State<Console>, headers: HeaderMap, uri: Uri) -> Result<Response, Fault> {
    let provider = provider(&console)?;
    let mut reply = taken_back(&console, &provider, &headers, &uri).await?;
    cookie_end(&mut reply, PROVIDER_COOKIE);
    Ok(reply)
}

async fn taken_back(
    console: &Console,
    provider: &Provider,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Fault> {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    let visit =
        cookie(headers, PROVIDER_COOKIE).and_then(|secret| console.pending().take(&Token::of(&secret)));
    let Some(Asked::Provider(visit)) = visit else {
        count("provider-visit");
        return asked(console, "/", "This sign-in is over or was not begun in this browser. Sign in again.");
    };
    let ProviderVisit { asked: begun, next, before } = *visit;
    if !fields.get("state").is_some_and(|state| begun.is(state)) {
        count("provider-state");
        return asked(
            console,
            &next,
            "The answer belongs to another sign-in, so nothing was done. Sign in again.",
        );
    }
    let Some(code) = fields.get("code").filter(|_| fields.get("error").is_none()) else {
        count("provider-refused");
        let says = format!("{} did not sign you in. Try again, or ask there.", provider.settings().title);
        return asked(console, &next, &says);
    };
    let answer = ProviderAnswer { code, issuer: fields.get("iss") };
    let said = match provider.redeem(&begun, &answer).await {
        Ok(said) => said,
        Err(error) => return refused(console, provider, &next, &error),
    };
    let account =
        ProviderAccount { issuer: provider.settings().issuer.clone(), subject: said.subject.clone() };
    let ask = ProviderSignIn { account: account.clone(), acr: said.acr, before };
    match console.gate().sign_in_by_provider(ask, console.settings().sessions).await {
        Ok(Some(secret)) => {
            let mut reply = page(&LedOnPage { frame: Frame::guest("You are signed in"), next });
            cookie_set(&mut reply, SESSION_COOKIE, &secret);
            Ok(reply)
        }
        Ok(None) => {
            count("provider-account");
            let mut reply = page(&StrangerPage {
                frame: Frame::guest("Your account is not known here"),
                title: provider.settings().title.clone(),
                account,
            });
            *reply.status_mut() = StatusCode::FORBIDDEN;
            Ok(reply)
        }
        Err(GateError::Refused(reason)) => asked(console, &next, &sentence(reason.sentence())),
        Err(error) => Err(error.into()),
    }
}

/// The page for signing in, with what the provider would not do.
fn refused(
    console: &Console,
    provider: &Provider,
    next: &str,
    error: &ProviderError,
) -> Result<Response, Fault> {
    count(error.reason());
    let title = &provider.settings().title;
    if !error.is_down() {
        tracing::info!(kind = error.reason(), "somebody could not sign in by the provider");
        return asked(console, next, &sentence(&error.to_string()));
    }
    tracing::warn!(error = %telemetry::chain(error), "the OpenID provider can't be asked");
    let other = if provider.settings().passkeys { "Sign in with your passkey, or try" } else { "Try" };
    let says = format!("{title} can't be asked at the moment. {other} again in a few minutes.");
    let mut reply = asked(console, next, &says)?;
    *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(reply)
}

fn provider(console: &Console) -> Result<Arc<Provider>, Fault> {
    console.provider().cloned().ok_or(Fault::NotFound)
}

fn count(reason: &'static str) {
    metrics::counter!(telemetry::SIGN_INS_REFUSED, "reason" => reason).increment(1);
}

/// Where a link begins it.
pub(super) const BEGIN: &str = "/sign-in/provider";

#[derive(Template)]
#[template(path = "console/led_on.html")]
struct LedOnPage {
    frame: Frame,
    next: String,
}

#[derive(Template)]
#[template(path = "console/stranger.html")]
struct StrangerPage {
    frame: Frame,
    title: String,
    account: ProviderAccount,
}
