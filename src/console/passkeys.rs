//! A person's own passkeys: which there are, and the end of one of them.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::form::SignedForm;
use super::pages::frame::Frame;
use super::pages::words;
use super::session::led_to;
use super::{Console, Fault, SignedIn, page};
use crate::gate::GateError;
use crate::ids::Digest;
use crate::store::Passkey;
use crate::store::session::PasskeyState;

/// The pages of this file.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/passkeys", get(list)).route("/passkeys/{passkey}", get(asked).post(ended))
}

async fn list(State(console): State<Console>, who: SignedIn) -> Result<Response, Fault> {
    let passkeys = console.gate().passkeys_own(who.caller()).await?;
    Ok(page(&ListPage {
        passkeys: passkeys.iter().map(|passkey| Row::of(passkey, &who)).collect(),
        frame: Frame::of(&who, "Your passkeys"),
    }))
}

async fn asked(
    State(console): State<Console>,
    Path(passkey): Path<String>,
    who: SignedIn,
) -> Result<Response, Fault> {
    let found = standing(&console, &who, &passkey).await?;
    Ok(page(&EndPage { frame: Frame::of(&who, END), passkey: found, reason: String::new(), problem: None }))
}

async fn ended(
    State(console): State<Console>,
    Path(passkey): Path<String>,
    form: SignedForm,
) -> Result<Response, Fault> {
    let found = standing(&console, &form.who, &passkey).await?;
    let reason = form.fields.required("reason")?.trim().to_owned();
    let fingerprint = fingerprint(&passkey)?;
    match console.gate().passkey_end_own(form.who.caller(), fingerprint, reason.clone()).await {
        Ok(()) => Ok(led_to(PASSKEYS)),
        Err(GateError::Invalid { .. }) => Ok(page(&EndPage {
            frame: Frame::of(&form.who, &format!("Error: {END}")),
            passkey: found,
            reason,
            problem: Some(WHY),
        })),
        Err(error) => Err(error.into()),
    }
}

/// The passkey of an address, while it is one of the caller's own that stands.
async fn standing(console: &Console, who: &SignedIn, address: &str) -> Result<Row, Fault> {
    let fingerprint = fingerprint(address)?;
    let passkeys = console.gate().passkeys_own(who.caller()).await?;
    let found = passkeys.iter().find(|passkey| passkey.fingerprint() == fingerprint && passkey.stands());
    found.map(|passkey| Row::of(passkey, who)).ok_or(Fault::NotFound)
}

fn fingerprint(address: &str) -> Result<Digest, Fault> {
    address.parse().map_err(|_| Fault::NotFound)
}

/// One passkey, as a page shows it.
struct Row {
    title: String,
    address: String,
    /// What tells two of one name apart.
    ending: String,
    made: String,
    used: String,
    state: &'static str,
    stands: bool,
    is_here: bool,
}

impl Row {
    fn of(passkey: &Passkey, who: &SignedIn) -> Self {
        let fingerprint = passkey.fingerprint().to_string();
        let (_, ending) =
            fingerprint.split_at_checked(fingerprint.len().saturating_sub(8)).unwrap_or_default();
        Self {
            title: passkey.title.clone(),
            address: format!("{PASSKEYS}/{fingerprint}"),
            ending: ending.to_owned(),
            made: words::of_time(passkey.made),
            used: passkey.used.map_or_else(|| "Never".to_owned(), words::of_time),
            state: match passkey.state {
                PasskeyState::Registered => "Waits for a privacy officer",
                PasskeyState::Confirmed => "In use",
                PasskeyState::Ended => "Ended",
            },
            stands: passkey.stands(),
            is_here: passkey.credential == who.credential(),
        }
    }
}

const PASSKEYS: &str = "/passkeys";
const END: &str = "End a passkey";
const WHY: &str = "Say why, in 1 to 512 characters";

#[derive(Template)]
#[template(path = "console/passkeys.html")]
struct ListPage {
    frame: Frame,
    passkeys: Vec<Row>,
}

#[derive(Template)]
#[template(path = "console/passkey_end.html")]
struct EndPage {
    frame: Frame,
    passkey: Row,
    reason: String,
    problem: Option<&'static str>,
}
