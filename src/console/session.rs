//! Sessions in the browser: a cookie that no script reads, and the token of its forms.

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;

use super::{Console, Fault};
use crate::clock::Timestamp;
use crate::gate::Caller;
use crate::secret::{Secret, is_same};

/// Somebody who is signed in: one of the holder's people, whose session holds at this moment.
pub struct SignedIn {
    caller: Caller,
    ends: Timestamp,
    token: Token,
    secret: Secret<32>,
    credential: Vec<u8>,
    by_provider: bool,
}

impl SignedIn {
    /// The caller, for the gate.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When the session ends if nothing more is done, or at the latest.
    #[must_use]
    pub const fn ends(&self) -> Timestamp {
        self.ends
    }

    /// The token that every form of this session carries, in a hidden field `token`.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The passkey that opened the session; empty where the agency's provider did.
    pub(super) fn credential(&self) -> &[u8] {
        &self.credential
    }

    /// Whether the agency's provider opened the session.
    pub(super) const fn is_by_provider(&self) -> bool {
        self.by_provider
    }

    /// The session's own secret.
    pub(super) const fn secret(&self) -> &Secret<32> {
        &self.secret
    }

    /// Finds the session of a request; whoever has none is led to sign in, and back afterwards.
    pub(super) async fn find(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let Some(secret) = cookie(&parts.headers, SESSION_COOKIE) else { return Err(led_to_sign_in(parts)) };
        let times = console.settings().sessions;
        match console.gate().session_find(&secret, times).await {
            Ok(Some(session)) => {
                let token = Token::of(&secret);
                let (caller, ends, credential) = (session.caller, session.ends, session.credential);
                let by_provider = session.by_provider;
                Ok(Self { caller, ends, token, secret, credential, by_provider })
            }
            Ok(None) => Err(led_to_sign_in(parts)),
            Err(error) => Err(Fault::Gate(error).into_response()),
        }
    }
}

impl FromRequestParts<Console> for SignedIn {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        Self::find(parts, console).await
    }
}

/// What a form has to repeat: HMAC-SHA-256 of a fixed text under the secret of the cookie, so that it can't be known
/// without it and nothing has to be kept.
pub struct Token(String);

impl Token {
    /// The token of the session or the visit with this secret.
    pub(super) fn of(secret: &Secret<32>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        Self(BASE64URL_NOPAD.encode(hmac::sign(&key, TOKEN_TEXT).as_ref()))
    }

    /// The text for the hidden field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a form repeated it; takes as long whatever was sent.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        is_same(&self.0, given)
    }
}

/// The secret in a cookie of ours.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret<32>> {
    let all = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut of_name = all
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name);
    let (_, value) = of_name.next()?;
    let mut bytes: [u8; 32] = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?.try_into().ok()?;
    Some(Secret::take(&mut bytes))
}

/// Puts a cookie into a reply: it goes when the browser does, is sent to us alone, and no script reads it (RFC 6265bis).
pub(super) fn cookie_set(reply: &mut Response, name: &str, secret: &Secret<32>) {
    let value = BASE64URL_NOPAD.encode(secret.expose());
    cookie_put(reply, &format!("{name}={value}; {COOKIE_ATTRIBUTES}"));
}

/// Puts a cookie into a reply that browsers send along when a link of another site leads here, and in no other case.
pub(super) fn cookie_set_lax(reply: &mut Response, name: &str, secret: &Secret<32>) {
    let value = BASE64URL_NOPAD.encode(secret.expose());
    cookie_put(reply, &format!("{name}={value}; {LAX_ATTRIBUTES}"));
}

/// Takes a cookie back.
pub(super) fn cookie_end(reply: &mut Response, name: &str) {
    cookie_put(reply, &format!("{name}=; {COOKIE_ATTRIBUTES}; Max-Age=0"));
}

fn cookie_put(reply: &mut Response, text: &str) {
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        reply.headers_mut().append(SET_COOKIE, value);
    }
}

/// A reply that leads to another page of ours, by `GET`.
#[must_use]
pub fn led_to(path: &str) -> Response {
    let mut reply = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    reply.headers_mut().insert(LOCATION, location);
    reply
}

/// To the page for signing in, and from there back: to the page that was asked for, or to the first one after a form.
fn led_to_sign_in(parts: &Parts) -> Response {
    let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    if !matches!(parts.method, Method::GET | Method::HEAD) || asked == "/" {
        return led_to(SIGN_IN);
    }
    led_to(&format!("{SIGN_IN}?next={}", encoded(asked)))
}

/// A text as a value in an address; slashes stand there as they are (RFC 3986, section 3.4).
pub(in crate::console) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, BUT_PLAIN).to_string()
}

/// The page that somebody may be led to after signing in: one of ours and nothing else.
pub(super) fn next_page(asked: Option<&str>) -> &str {
    let ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= NEXT_MAX_BYTES
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    asked.filter(ours).unwrap_or("/")
}

/// `__Host-`: sent to this very host alone, over TLS, whatever another page of the domain sets.
pub(super) const SESSION_COOKIE: &str = "__Host-onebit";
/// Of somebody who is not signed in, for the forms by which they do.
pub(super) const VISIT_COOKIE: &str = "__Host-onebit-visit";
/// Of somebody who is at the agency's provider; it goes after minutes.
pub(super) const PROVIDER_COOKIE: &str = "__Host-onebit-provider";
const LAX_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600";
const COOKIE_ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
const TOKEN_TEXT: &[u8] = b"onebit/form-token/v1";
/// Where people sign in.
pub(super) const SIGN_IN: &str = "/sign-in";
const NEXT_MAX_BYTES: usize = 1_024;
/// What no address minds stands as it is (RFC 3986, section 2.3), and slashes do.
const BUT_PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_somebody_elses_page_after_signing_in() {
        assert_eq!(next_page(Some("/cases/1?field=a%20b")), "/cases/1?field=a%20b");
        for other in
            ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\nb", "/a b"]
        {
            assert_eq!(next_page(Some(other)), "/", "`{other}` must not be followed");
        }
    }

    #[test]
    fn a_token_is_that_of_its_session_alone() {
        let [one, other] = [1, 2].map(|byte| Token::of(&Secret::take(&mut [byte; 32])));
        assert!(one.is(one.as_str()) && !one.is(other.as_str()) && !one.is("") && !one.is("x"));
    }

    #[test]
    fn a_cookie_is_read_whatever_stands_beside_it() {
        let mut reply = StatusCode::OK.into_response();
        let secret = Secret::take(&mut [7; 32]);
        cookie_set(&mut reply, SESSION_COOKIE, &secret);
        let set = reply.headers()[SET_COOKIE].to_str().unwrap();
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
        let mut headers = HeaderMap::new();
        let sent = format!("a=b; {}; c", set.split(';').next().unwrap());
        headers.insert(COOKIE, sent.parse().unwrap());
        assert_eq!(cookie(&headers, SESSION_COOKIE).unwrap().expose(), &[7; 32]);
        assert!(cookie(&headers, "__Host-onebi").is_none());
    }
}
