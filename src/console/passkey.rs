//! What pages tell the script about a passkey, and what the script puts into their forms.
//!
//! The script does nothing but hand the page's data to the browser and the browser's answer to the form; the form is then
//! sent like any other.

use data_encoding::BASE64URL_NOPAD;

use super::{Console, Fault, Fields};
use crate::keys::webauthn::{Assertion, Registration, RelyingParty};

/// What a page tells the script, each in base64url.
#[derive(Debug, Clone)]
pub struct PasskeyData {
    /// The id of the relying party, as it is.
    pub party: String,
    /// The challenge.
    pub challenge: String,
    /// The passkeys that may answer, separated by spaces; empty for any.
    pub credentials: String,
}

impl PasskeyData {
    /// For this challenge and these passkeys.
    #[must_use]
    pub fn new(console: &Console, challenge: &[u8], credentials: &[Vec<u8>]) -> Self {
        let credentials: Vec<String> = credentials.iter().map(|id| BASE64URL_NOPAD.encode(id)).collect();
        Self {
            party: console.settings().origin.host().to_owned(),
            challenge: BASE64URL_NOPAD.encode(challenge),
            credentials: credentials.join(" "),
        }
    }
}

/// Whose passkeys count here.
pub(super) fn party(console: &Console) -> RelyingParty {
    let origin = &console.settings().origin;
    RelyingParty { id: origin.host().to_owned(), origin: origin.as_str().to_owned() }
}

/// The passkey that signed, and what it said.
pub(super) fn assertion(fields: &Fields) -> Result<(Vec<u8>, Assertion), Fault> {
    let assertion = Assertion {
        client_data: bytes(fields, "client-data")?,
        authenticator_data: bytes(fields, "authenticator-data")?,
        signature: bytes(fields, "signature")?,
    };
    Ok((bytes(fields, "credential")?, assertion))
}

/// What a new passkey said.
pub(super) fn registration(fields: &Fields) -> Result<Registration, Fault> {
    Ok(Registration {
        client_data: bytes(fields, "client-data")?,
        attestation: bytes(fields, "attestation")?,
    })
}

/// A field in base64url; one that is empty was never filled in by the script.
pub(super) fn bytes(fields: &Fields, name: &'static str) -> Result<Vec<u8>, Fault> {
    let text = fields.required(name)?;
    if text.is_empty() {
        return Err(Fault::Form(
            "the passkey was not used; switch scripts on for this page, and use a browser that has passkeys",
        ));
    }
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| Fault::Form("what the passkey said is not in its form"))
}
