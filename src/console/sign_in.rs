//! Signing in and out.

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};

use super::form::{SignedForm, TOKEN_FIELD, fields};
use super::pages::frame::Frame;
use super::passkey::{self, PasskeyData};
use super::pending::{Asked, challenge};
use super::session::{
    SESSION_COOKIE, SIGN_IN, Token, VISIT_COOKIE, cookie, cookie_end, cookie_set, encoded, led_to, next_page,
};
use super::{Console, Fault, Fields, PasskeyPage, SignedIn, page};
use crate::gate::{GateError, SignInAsk};
use crate::keys::webauthn::WebAuthnError;
use crate::secret::{Secret, SystemEntropy};
use crate::telemetry;

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(SIGN_IN, get(sign_in).post(signed)).route("/sign-out", post(sign_out))
}

/// The first page.
pub(super) async fn home(who: SignedIn) -> Response {
    let actor = who.caller().actor();
    page(&HomePage {
        name: actor.name.as_str().to_owned(),
        role: actor.role.as_str(),
        by_provider: who.is_by_provider(),
        frame: Frame::of(&who, "Start"),
    })
}

async fn sign_in(State(console): State<Console>, uri: Uri) -> Result<Response, Fault> {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    asked(&console, next_page(fields.get("next")), "")
}

/// The page with a new challenge, for a new visit.
pub(super) fn asked(console: &Console, next: &str, trouble: &str) -> Result<Response, Fault> {
    let (visit, token) = visit()?;
    let challenge = challenge(&SystemEntropy::new()).map_err(GateError::from)?;
    console.pending().keep(&token, Asked::SignIn(challenge));
    let provider = console.provider().map(|provider| provider.settings());
    let mut reply = page(&SignInPage {
        frame: Frame::guest("Sign in"),
        provider: provider.map(|settings| settings.title.clone()),
        passkeys: provider.is_none_or(|settings| settings.passkeys),
        next_encoded: encoded(next),
        next: next.to_owned(),
        trouble: trouble.to_owned(),
        token: token.as_str().to_owned(),
        passkey: PasskeyData::new(console, &challenge, &[]),
    });
    cookie_set(&mut reply, VISIT_COOKIE, &visit);
    reply.extensions_mut().insert(PasskeyPage);
    Ok(reply)
}

async fn signed(
    State(console): State<Console>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Fault> {
    let fields = fields(request, &console).await?;
    let next = next_page(fields.get("next")).to_owned();
    let token = visited(&headers, &fields)?;
    if console.provider().is_some_and(|provider| !provider.settings().passkeys) {
        return asked(&console, &next, "Nobody signs in by passkey here. Sign in by your agency's provider.");
    }
    let Some(Asked::SignIn(challenge)) = console.pending().take(&token) else {
        return asked(&console, &next, "You took too long, so nothing was done. Sign in again.");
    };
    let (credential, assertion) = match passkey::assertion(&fields) {
        Ok(said) => said,
        Err(fault) => return asked(&console, &next, &fault.to_string()),
    };
    let user = match fields.get("user").unwrap_or_default() {
        "" => None,
        _ => Some(passkey::bytes(&fields, "user")?),
    };
    let before = cookie(&headers, SESSION_COOKIE);
    let ask = SignInAsk { credential, user, assertion, before };
    let party = passkey::party(&console);
    match console.gate().sign_in(ask, (&party, &challenge), console.settings().sessions).await {
        Ok(secret) => {
            let mut reply = led_to(&next);
            cookie_set(&mut reply, SESSION_COOKIE, &secret);
            cookie_end(&mut reply, VISIT_COOKIE);
            Ok(reply)
        }
        Err(GateError::Passkey(error)) => {
            tracing::info!(kind = word(error), "somebody could not sign in");
            metrics::counter!(telemetry::SIGN_INS_REFUSED, "reason" => word(error)).increment(1);
            asked(&console, &next, &sentence(&error.to_string()))
        }
        Err(GateError::NotNow(what)) => asked(&console, &next, &sentence(&what)),
        Err(GateError::Refused(reason)) => asked(&console, &next, &sentence(reason.sentence())),
        Err(error) => Err(error.into()),
    }
}

async fn sign_out(State(console): State<Console>, form: SignedForm) -> Result<Response, Fault> {
    console.gate().session_end(form.who.secret()).await?;
    let provider = console.provider().filter(|_| form.who.is_by_provider());
    let elsewhere = match provider {
        Some(provider) => provider.sign_out_address().await.map(|at| (at, provider.settings().title.clone())),
        None => None,
    };
    let mut reply = match elsewhere {
        Some((address, title)) => {
            page(&SignedOutPage { frame: Frame::guest("You are signed out"), address, title })
        }
        None => led_to(SIGN_IN),
    };
    cookie_end(&mut reply, SESSION_COOKIE);
    Ok(reply)
}

/// A visit of somebody who is not signed in: its secret, for a cookie, and the token of its forms.
pub(super) fn visit() -> Result<(Secret<32>, Token), Fault> {
    let secret = Secret::<32>::random(&SystemEntropy::new()).map_err(GateError::from)?;
    let token = Token::of(&secret);
    Ok((secret, token))
}

/// The visit that a form was sent in.
pub(super) fn visited(headers: &HeaderMap, fields: &Fields) -> Result<Token, Fault> {
    let secret = cookie(headers, VISIT_COOKIE).ok_or(Fault::Token)?;
    let token = Token::of(&secret);
    if token.is(fields.get(TOKEN_FIELD).unwrap_or_default()) { Ok(token) } else { Err(Fault::Token) }
}

/// A message of ours as a sentence on a page.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// One fixed word for logs and metrics.
const fn word(error: WebAuthnError) -> &'static str {
    match error {
        WebAuthnError::Signature => "signature",
        WebAuthnError::Counter => "counter",
        WebAuthnError::Unverified => "unverified",
        WebAuthnError::Origin | WebAuthnError::Party => "origin",
        WebAuthnError::Challenge => "challenge",
        WebAuthnError::ClientData
        | WebAuthnError::Kind
        | WebAuthnError::AuthenticatorData
        | WebAuthnError::Algorithm
        | WebAuthnError::Attestation => "form",
    }
}

#[derive(Template)]
#[template(path = "console/home.html")]
struct HomePage {
    frame: Frame,
    name: String,
    role: &'static str,
    by_provider: bool,
}

#[derive(Template)]
#[template(path = "console/signed_out.html")]
struct SignedOutPage {
    frame: Frame,
    address: String,
    title: String,
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    frame: Frame,
    provider: Option<String>,
    passkeys: bool,
    next: String,
    next_encoded: String,
    trouble: String,
    token: String,
    passkey: PasskeyData,
}
