//! Registering a passkey with the code of an invitation.

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use data_encoding::BASE64URL_NOPAD;

use super::form::fields;
use super::pages::frame::Frame;
use super::passkey::{self, PasskeyData};
use super::pending::{Asked, challenge};
use super::session::{VISIT_COOKIE, cookie_end, cookie_set};
use super::sign_in::{sentence, visit, visited};
use super::{Console, Fault, PasskeyPage, page};
use crate::gate::GateError;
use crate::secret::{Secret, SystemEntropy};

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/register", get(register).post(invited)).route("/register/passkey", post(registered))
}

/// Asks for the code, which the script takes from behind the `#` of the link.
async fn register() -> Result<Response, Fault> {
    code_asked("")
}

fn code_asked(trouble: &str) -> Result<Response, Fault> {
    let (visit, token) = visit()?;
    let mut reply = page(&CodePage {
        frame: Frame::guest("Register a passkey"),
        trouble: trouble.to_owned(),
        token: token.as_str().to_owned(),
    });
    cookie_set(&mut reply, VISIT_COOKIE, &visit);
    reply.extensions_mut().insert(PasskeyPage);
    Ok(reply)
}

/// Takes the code, says whom it invites, and asks for a passkey.
async fn invited(
    State(console): State<Console>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Fault> {
    let fields = fields(request, &console).await?;
    let token = visited(&headers, &fields)?;
    let code = BASE64URL_NOPAD.decode(fields.required("code")?.trim().as_bytes()).ok();
    let code: Option<[u8; 32]> = code.and_then(|code| code.try_into().ok());
    let Some(mut code) = code else {
        return code_asked("This is not an invitation code. Copy the whole of it from your invitation.");
    };
    let invitation = Secret::take(&mut code);
    let Some(invited) = console.gate().invitation_find(&invitation).await? else {
        return code_asked(OVER);
    };
    let challenge = challenge(&SystemEntropy::new()).map_err(GateError::from)?;
    console.pending().keep(&token, Asked::Register { invitation, challenge });
    let mut reply = page(&RegisterPage {
        frame: Frame::guest("Register a passkey"),
        name: invited.person.as_str().to_owned(),
        role: invited.role.as_str(),
        user: BASE64URL_NOPAD.encode(invited.user.as_bytes()),
        token: token.as_str().to_owned(),
        passkey: PasskeyData::new(&console, &challenge, &[]),
    });
    reply.extensions_mut().insert(PasskeyPage);
    Ok(reply)
}

/// Keeps the passkey.
async fn registered(
    State(console): State<Console>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Fault> {
    let fields = fields(request, &console).await?;
    let token = visited(&headers, &fields)?;
    let Some(Asked::Register { invitation, challenge }) = console.pending().take(&token) else {
        return code_asked("You took too long, so nothing was done. Give your invitation code again.");
    };
    let registration = match passkey::registration(&fields) {
        Ok(registration) => registration,
        Err(fault) => return code_asked(&fault.to_string()),
    };
    let party = passkey::party(&console);
    let title = fields.required("title")?.to_owned();
    match console.gate().passkey_register(&invitation, (&party, &challenge), &registration, title).await {
        Ok(change) => {
            let mut reply = page(&RegisteredPage {
                frame: Frame::guest("Passkey registered"),
                change: change.resource(),
            });
            cookie_end(&mut reply, VISIT_COOKIE);
            Ok(reply)
        }
        Err(GateError::Passkey(error)) => code_asked(&sentence(&error.to_string())),
        Err(GateError::Invalid { what, .. }) => code_asked(&format!("The name of the passkey {what}.")),
        Err(GateError::NotNow(_)) => code_asked(OVER),
        Err(error) => Err(error.into()),
    }
}

const OVER: &str =
    "This invitation is over, was used already, or is not confirmed yet. Ask an administrator.";

#[derive(Template)]
#[template(path = "console/code.html")]
struct CodePage {
    frame: Frame,
    trouble: String,
    token: String,
}

#[derive(Template)]
#[template(path = "console/register.html")]
struct RegisterPage {
    frame: Frame,
    name: String,
    role: &'static str,
    user: String,
    token: String,
    passkey: PasskeyData,
}

#[derive(Template)]
#[template(path = "console/registered.html")]
struct RegisteredPage {
    frame: Frame,
    change: String,
}
