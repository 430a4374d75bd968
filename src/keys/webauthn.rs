//! Passkeys: what an authenticator says when one is registered and when one signs, verified as Web Authentication
//! Level 2 (<https://www.w3.org/TR/webauthn-2/>) has it, sections 7.1 and 7.2.
//!
//! Of which make an authenticator is, is not asked: nobody's attestation is trusted, people confirm a passkey. What stays
//! with a page that shows one thing and has another signed is for `docs/threat-model.md`.

use serde::Deserialize;

use super::cbor::Cbor;
use super::signature::{PublicKey, SignatureAlgorithm};
use crate::ids::Digest;

/// What an authenticator said can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebAuthnError {
    /// The browser's own words are not in their form.
    #[error("the browser's data about the passkey is not in its form; use a present version of the browser")]
    ClientData,
    /// They are about something else.
    #[error("the passkey was used for something else; begin again")]
    Kind,
    /// Not the challenge that was asked about.
    #[error("the passkey answered another question than the one that was asked; begin again")]
    Challenge,
    /// From another page.
    #[error("the passkey was used on another page; open this one by its own address")]
    Origin,
    /// The authenticator's words are not in their form.
    #[error("what the passkey said is not in its form; use another passkey")]
    AuthenticatorData,
    /// It is bound to another host.
    #[error("the passkey is one of another host; use the one that you registered here")]
    Party,
    /// Nobody touched it, or nobody was recognised by it.
    #[error(
        "the passkey did not check who uses it; set a PIN, a fingerprint or a face for it and begin again"
    )]
    Unverified,
    /// A key of an algorithm that is not accepted.
    #[error("the passkey uses a kind of key that is not accepted; use one with ES256 or Ed25519")]
    Algorithm,
    /// An attestation where none was asked for.
    #[error("the passkey says more about itself than was asked; begin again and decline that")]
    Attestation,
    /// The signature is not of this key over this.
    #[error("the passkey's signature does not fit; use the passkey that you registered here")]
    Signature,
    /// The counter did not go on.
    #[error("this passkey seems to have been copied; don't use it any more, and tell an administrator")]
    Counter,
}

/// Whose passkeys they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// The id that passkeys are bound to: a host's name.
    pub id: String,
    /// The origin of the pages.
    pub origin: String,
}

/// What came back from `navigator.credentials.create()`.
pub struct Registration {
    /// The bytes of `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// The bytes of `attestationObject`.
    pub attestation: Vec<u8>,
}

/// A passkey as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The authenticator's name for it, 16 to 1,023 bytes.
    pub credential: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
    /// How often it had signed; authenticators that don't count say zero.
    pub sign_count: u32,
}

/// What came back from `navigator.credentials.get()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The bytes of `clientDataJSON`.
    pub client_data: Vec<u8>,
    /// The bytes of `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Registration {
    /// Verifies a registration (section 7.1) with user verification, for this challenge.
    ///
    /// # Errors
    /// [`WebAuthnError`].
    pub fn verify(&self, party: &RelyingParty, challenge: &[u8]) -> Result<Registered, WebAuthnError> {
        ClientData::check(&self.client_data, CREATE, party, challenge)?;
        let damaged = WebAuthnError::AuthenticatorData;
        let object = Cbor::read_whole(&self.attestation).ok_or(damaged)?;
        let data = object.of("authData").and_then(Cbor::as_bytes).ok_or(damaged)?;
        let said = AuthenticatorData::read(data)?;
        said.check(party)?;
        let (credential, public_key) = said.attested.ok_or(damaged)?;
        self.check_statement(&object, data, &public_key)?;
        Ok(Registered { credential: credential.to_vec(), public_key, sign_count: said.sign_count })
    }

    /// `none` says nothing; `packed` without certificates is the passkey's own signature (section 8.2, self attestation),
    /// which browsers let through.
    fn check_statement(&self, object: &Cbor<'_>, data: &[u8], key: &PublicKey) -> Result<(), WebAuthnError> {
        let refused = WebAuthnError::Attestation;
        let statement = object.of("attStmt").ok_or(refused)?;
        match object.of("fmt").and_then(Cbor::as_text) {
            Some("none") if *statement == Cbor::Map(Vec::new()) => Ok(()),
            Some("packed") if statement.of("x5c").is_none() => {
                let same =
                    statement.of("alg").and_then(Cbor::as_number) == Some(cose_algorithm(key.algorithm()));
                let signature =
                    statement.of("sig").and_then(Cbor::as_bytes).filter(|_| same).ok_or(refused)?;
                let message = signed_message(data, &self.client_data);
                key.verify_message(&message, signature).map_err(|_| WebAuthnError::Signature)
            }
            _ => Err(refused),
        }
    }
}

impl Assertion {
    /// Verifies an assertion (section 7.2) with user verification: of this key, for this challenge, on pages of this party,
    /// by an authenticator that had signed `signed_before` times. Gives how often it has signed now.
    ///
    /// # Errors
    /// [`WebAuthnError`].
    pub fn verify(
        &self,
        party: &RelyingParty,
        challenge: &[u8],
        key: &PublicKey,
        signed_before: u32,
    ) -> Result<u32, WebAuthnError> {
        ClientData::check(&self.client_data, GET, party, challenge)?;
        let said = AuthenticatorData::read(&self.authenticator_data)?;
        said.check(party)?;
        // Step 17 and on: an assertion carries no new credential.
        if said.attested.is_some() {
            return Err(WebAuthnError::AuthenticatorData);
        }
        let message = signed_message(&self.authenticator_data, &self.client_data);
        key.verify_message(&message, &self.signature).map_err(|_| WebAuthnError::Signature)?;
        counted(signed_before, said.sign_count)?;
        Ok(said.sign_count)
    }

    /// Verifies once more what was kept: without the counter of then, and for whatever party its own words name, as long as
    /// both of them name the same. Gives the party.
    ///
    /// # Errors
    /// [`WebAuthnError`].
    pub fn verify_again(&self, challenge: &[u8], key: &PublicKey) -> Result<RelyingParty, WebAuthnError> {
        let data = ClientData::read(&self.client_data)?;
        let host = data.origin.strip_prefix("https://").ok_or(WebAuthnError::Origin)?;
        let id = host.split(':').next().unwrap_or_default().to_owned();
        let party = RelyingParty { id, origin: data.origin };
        self.verify(&party, challenge, key, 0).map(|_| party)
    }

    /// How often the authenticator says that it has signed.
    ///
    /// # Errors
    /// [`WebAuthnError::AuthenticatorData`].
    pub fn sign_count(&self) -> Result<u32, WebAuthnError> {
        AuthenticatorData::read(&self.authenticator_data).map(|said| said.sign_count)
    }
}

/// The challenge of a decision: SHA-256 of `onebit/passkey-decision/v1`, a zero byte, the 32 bytes of the decision's digest
/// and the nonce. So the passkey signs this decision, once.
#[must_use]
pub fn decision_challenge(digest: &Digest, nonce: &[u8; NONCE_BYTES]) -> Digest {
    Digest::sha256(&[DECISION_CHALLENGE, &[0], digest.as_bytes(), nonce.as_slice()].concat())
}

/// Step 21: a counter that is used goes up.
fn counted(before: u32, now: u32) -> Result<(), WebAuthnError> {
    if (before, now) == (0, 0) || now > before { Ok(()) } else { Err(WebAuthnError::Counter) }
}

fn signed_message(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, Digest::sha256(client_data).as_bytes()].concat()
}

/// `CollectedClientData` (section 5.8.1); members that are not named here are left alone.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

impl ClientData {
    fn read(bytes: &[u8]) -> Result<Self, WebAuthnError> {
        if bytes.len() > CLIENT_DATA_MAX_BYTES {
            return Err(WebAuthnError::ClientData);
        }
        serde_json::from_slice(bytes).map_err(|_| WebAuthnError::ClientData)
    }

    fn check(bytes: &[u8], kind: &str, party: &RelyingParty, challenge: &[u8]) -> Result<(), WebAuthnError> {
        let data = Self::read(bytes)?;
        if data.kind != kind {
            return Err(WebAuthnError::Kind);
        }
        if data.challenge != data_encoding::BASE64URL_NOPAD.encode(challenge) {
            return Err(WebAuthnError::Challenge);
        }
        if data.origin != party.origin || data.cross_origin {
            return Err(WebAuthnError::Origin);
        }
        Ok(())
    }
}

/// Section 6.1.
struct AuthenticatorData<'a> {
    party: [u8; 32],
    flags: u8,
    sign_count: u32,
    attested: Option<(&'a [u8], PublicKey)>,
}

impl<'a> AuthenticatorData<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WebAuthnError> {
        let damaged = WebAuthnError::AuthenticatorData;
        let (party, rest) = bytes.split_first_chunk::<32>().ok_or(damaged)?;
        let (flags, rest) = rest.split_first().ok_or(damaged)?;
        let (count, mut rest) = rest.split_first_chunk::<4>().ok_or(damaged)?;
        let mut attested = None;
        if flags & ATTESTED != 0 {
            let (_aaguid, behind) = rest.split_first_chunk::<16>().ok_or(damaged)?;
            let (length, behind) = behind.split_first_chunk::<2>().ok_or(damaged)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (credential, behind) = behind.split_at_checked(length).ok_or(damaged)?;
            if !(CREDENTIAL_MIN_BYTES..=CREDENTIAL_MAX_BYTES).contains(&credential.len()) {
                return Err(damaged);
            }
            let (key, behind) = Cbor::read(behind).ok_or(damaged)?;
            attested = Some((credential, cose_key(&key)?));
            rest = behind;
        }
        if flags & EXTENDED != 0 {
            let (Cbor::Map(_), behind) = Cbor::read(rest).ok_or(damaged)? else { return Err(damaged) };
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(damaged);
        }
        Ok(Self { party: *party, flags: *flags, sign_count: u32::from_be_bytes(*count), attested })
    }

    fn check(&self, party: &RelyingParty) -> Result<(), WebAuthnError> {
        if self.party != *Digest::sha256(party.id.as_bytes()).as_bytes() {
            return Err(WebAuthnError::Party);
        }
        let both = PRESENT | VERIFIED;
        if self.flags & both == both { Ok(()) } else { Err(WebAuthnError::Unverified) }
    }
}

/// A COSE key (RFC 9053, sections 7.1 and 7.2) of an algorithm that is accepted.
fn cose_key(key: &Cbor<'_>) -> Result<PublicKey, WebAuthnError> {
    let number = |label| key.at(label).and_then(Cbor::as_number);
    let bytes = |label| {
        key.at(label).and_then(Cbor::as_bytes).filter(|bytes: &&[u8]| bytes.len() == COORDINATE_BYTES)
    };
    let (algorithm, key) = match (number(1), number(3), number(-1), bytes(-2), bytes(-3)) {
        (Some(2), Some(ES256), Some(1), Some(x), Some(y)) => {
            (SignatureAlgorithm::EcdsaP256, [[0x04].as_slice(), x, y].concat())
        }
        (Some(1), Some(EDDSA), Some(6), Some(x), None) => (SignatureAlgorithm::Ed25519, x.to_vec()),
        _ => return Err(WebAuthnError::Algorithm),
    };
    PublicKey::from_raw(algorithm, &key).map_err(|_| WebAuthnError::Algorithm)
}

const fn cose_algorithm(algorithm: SignatureAlgorithm) -> i64 {
    match algorithm {
        SignatureAlgorithm::EcdsaP256 => ES256,
        SignatureAlgorithm::Ed25519 => EDDSA,
    }
}

/// The random part of a decision's challenge, so that no two are alike.
pub const NONCE_BYTES: usize = 32;
const DECISION_CHALLENGE: &[u8] = b"onebit/passkey-decision/v1";
const CREATE: &str = "webauthn.create";
const GET: &str = "webauthn.get";
/// Flags of section 6.1: somebody touched it, it recognised them, it brings a credential, it brings extensions.
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const ATTESTED: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;
/// COSE algorithms (RFC 9053).
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const COORDINATE_BYTES: usize = 32;
/// Section 4, "Credential ID".
pub const CREDENTIAL_MIN_BYTES: usize = 16;
/// Section 4, "Credential ID".
pub const CREDENTIAL_MAX_BYTES: usize = 1_023;
/// Browsers write some 150 bytes.
const CLIENT_DATA_MAX_BYTES: usize = 4_096;

#[cfg(test)]
mod tests;
