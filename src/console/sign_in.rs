//! Signing in and out.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};

use super::form::SignedForm;
use super::session::{SESSION_COOKIE, SIGN_IN, cookie_end, led_to, next_page};
use super::{Console, Fault, Fields, SignedIn, page};

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route(SIGN_IN, get(sign_in)).route("/sign-out", post(sign_out))
}

/// The first page.
pub(super) async fn home(who: SignedIn) -> Response {
    let actor = who.caller().actor();
    page(&HomePage {
        name: actor.name.as_str().to_owned(),
        role: actor.role.as_str(),
        token: who.token().as_str().to_owned(),
    })
}

async fn sign_in(uri: Uri) -> Response {
    let fields = Fields::parse(uri.query().unwrap_or_default());
    page(&SignInPage { next: next_page(fields.get("next")).to_owned() })
}

async fn sign_out(State(console): State<Console>, form: SignedForm) -> Result<Response, Fault> {
    console.gate().session_end(form.who.secret()).await?;
    let mut reply = led_to(SIGN_IN);
    cookie_end(&mut reply, SESSION_COOKIE);
    Ok(reply)
}

#[derive(Template)]
#[template(path = "console/home.html")]
struct HomePage {
    name: String,
    role: &'static str,
    token: String,
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    next: String,
}
