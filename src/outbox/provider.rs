//! An agency's OpenID provider: where people are sent to be recognised, and what it then says of them (OpenID Connect
//! Core 1.0, authorisation code flow; PKCE, RFC 7636).
//!
//! What the provider publishes of itself is read at the start and again when it is old; its keys when a token names one
//! that is not known, at most so often. A provider that is down is asked seldom, and told as down meanwhile.

mod exchange;

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::ids::Digest;
use crate::keys::{ClientKey, IdToken, IdTokenError, IdTokenWanted, JWS_ALGORITHMS, JwkSet, JwsError};
use crate::secret::{Entropy, EntropyError, SecretBytes, is_same, random_bytes};

pub use exchange::ExchangeError;
use exchange::{Answer, Exchange};

/// What the configuration says of the provider.
pub struct ProviderSettings {
    /// Its name for itself: an https address without `?`, `#` and `@`.
    pub issuer: String,
    /// Our name at it.
    pub client_id: String,
    /// How we show it who we are.
    pub authentication: ClientAuthentication,
    /// The certificates of the authority that its certificate is issued by, PEM.
    pub authority: String,
    /// Accepted ways of recognising somebody; any where there are none.
    pub acr: Vec<String>,
    /// All of these have to have been used.
    pub amr: Vec<String>,
    /// How long ago it may have recognised the person.
    pub max_age: Duration,
    /// The console's own origin.
    pub origin: String,
    /// What people know the provider by.
    pub title: String,
    /// Whether people may sign in by passkey as well.
    pub passkeys: bool,
}

/// How we show the provider who we are (OpenID Connect Core 1.0, section 9).
pub enum ClientAuthentication {
    /// By a secret that both know.
    Secret(SecretBytes),
    /// By a key whose public half the provider knows.
    Key(Box<ClientKey>),
}

/// Why the provider signs nobody in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It can't be asked.
    #[error("the provider can't be reached")]
    Exchange(#[from] ExchangeError),
    /// It could not be asked a moment ago.
    #[error("the provider could not be reached a moment ago")]
    Down,
    /// What it publishes of itself.
    #[error("what the provider publishes of itself can't be used: {0}")]
    Metadata(&'static str),
    /// Its answer to the code.
    #[error("the provider did not take the code (`{0}`)")]
    Code(String),
    /// Its answer is of somebody else.
    #[error("the answer is of another provider")]
    Issuer,
    /// The token's signature.
    #[error("the provider's token is not believed")]
    Token(#[from] JwsError),
    /// What the token says.
    #[error(transparent)]
    Claims(#[from] IdTokenError),
    /// No assertion of our own.
    #[error("nothing could be signed for the provider; check that /dev/urandom can be read")]
    Signing,
}

impl From<EntropyError> for ProviderError {
    fn from(_: EntropyError) -> Self {
        Self::Signing
    }
}

impl ProviderError {
    /// A fixed word for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Exchange(_) | Self::Down => "provider-down",
            Self::Metadata(_) => "provider-metadata",
            Self::Code(_) => "provider-code",
            Self::Issuer | Self::Claims(IdTokenError::Issuer) => "provider-issuer",
            Self::Token(JwsError::Signature) => "provider-signature",
            Self::Token(JwsError::UnknownKey) => "provider-key",
            Self::Token(JwsError::Algorithm) => "provider-algorithm",
            Self::Token(JwsError::Form | JwsError::Critical) | Self::Claims(IdTokenError::Form) => {
                "provider-form"
            }
            Self::Claims(IdTokenError::Audience) => "provider-audience",
            Self::Claims(IdTokenError::Nonce) => "provider-nonce",
            Self::Claims(IdTokenError::Time) => "provider-time",
            Self::Claims(IdTokenError::Age) => "provider-age",
            Self::Claims(IdTokenError::Strength) => "provider-strength",
            Self::Signing => "provider-signing",
        }
    }

    /// Whether it is down, so that another way or another moment may do.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self, Self::Exchange(_) | Self::Down | Self::Metadata(_))
    }
}

/// A sign-in that somebody was sent to the provider for; kept until they are back.
pub struct ProviderAsked {
    state: String,
    nonce: String,
    verifier: String,
}

impl ProviderAsked {
    /// Whether an answer repeats our `state`; takes as long whatever was sent.
    #[must_use]
    pub fn is(&self, state: &str) -> bool {
        is_same(&self.state, state)
    }
}

/// What came back with the browser.
pub struct ProviderAnswer<'a> {
    /// The code.
    pub code: &'a str,
    /// Whose answer it is, where it says so (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// The provider.
pub struct Provider {
    settings: ProviderSettings,
    exchange: Exchange,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<Arc<JwkSet>>,
    /// When a token named a key that the provider did not publish then.
    keys_missed: Option<Instant>,
    failed: Option<Instant>,
}

/// What a provider publishes of itself (OpenID Connect Discovery 1.0, section 3), as far as it is used.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct TokenRefused {
    error: String,
}

impl Provider {
    /// A provider by its settings; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`ExchangeError::Tls`] when the authority's certificates can't be used.
    pub fn new(
        settings: ProviderSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ExchangeError> {
        let exchange = Exchange::new(&settings.authority)?;
        Ok(Self { settings, exchange, clock, entropy, known: Mutex::default() })
    }

    /// What the configuration says.
    #[must_use]
    pub const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Reads what it publishes of itself, so that the first sign-in finds it known.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn discover(&self) -> Result<(), ProviderError> {
        let found = self.metadata().await.map(drop);
        // Nobody waits for this one: whoever signs in first asks for themselves.
        self.known.lock().await.failed = None;
        found
    }

    /// Begins a sign-in: what has to be kept, and the address that the browser is sent to.
    ///
    /// # Errors
    /// [`ProviderError`] when it is down or can't be used.
    pub async fn begin(&self) -> Result<(ProviderAsked, String), ProviderError> {
        let metadata = self.metadata().await?;
        let draw = || -> Result<String, EntropyError> {
            Ok(BASE64URL_NOPAD.encode(&random_bytes::<32>(self.entropy.as_ref())?))
        };
        let asked = ProviderAsked { state: draw()?, nonce: draw()?, verifier: draw()? };
        let challenge = BASE64URL_NOPAD.encode(Digest::sha256(asked.verifier.as_bytes()).as_bytes());
        let settings = &self.settings;
        let max_age = settings.max_age.as_secs().to_string();
        let redirect = self.redirect();
        let acr = settings.acr.join(" ");
        let mut fields = vec![
            ("response_type", "code"),
            ("scope", "openid"),
            ("client_id", &settings.client_id),
            ("redirect_uri", &redirect),
            ("state", &asked.state),
            ("nonce", &asked.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("max_age", &max_age),
        ];
        if !acr.is_empty() {
            fields.push(("acr_values", &acr));
        }
        let address = with_fields(&metadata.authorization_endpoint, &fields);
        Ok((asked, address))
    }

    /// Redeems the code that the browser came back with; says whom the provider recognised.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn redeem(
        &self,
        asked: &ProviderAsked,
        answer: &ProviderAnswer<'_>,
    ) -> Result<IdToken, ProviderError> {
        let metadata = self.metadata().await?;
        match answer.issuer {
            Some(issuer) if issuer != self.settings.issuer => return Err(ProviderError::Issuer),
            None if metadata.authorization_response_iss_parameter_supported => {
                return Err(ProviderError::Issuer);
            }
            _ => {}
        }
        let token = self.token(&metadata, asked, answer.code).await?;
        let payload = self.verified(&metadata, &token).await?;
        let wanted = IdTokenWanted {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &asked.nonce,
            acr: &self.settings.acr,
            amr: &self.settings.amr,
            max_age: self.settings.max_age,
            now: self.clock.now(),
        };
        Ok(IdToken::check(&payload, &wanted)?)
    }

    /// Where somebody ends their session at the provider too, where it has such a page (RP-Initiated Logout 1.0).
    pub async fn sign_out_address(&self) -> Option<String> {
        let metadata = self.metadata().await.ok()?;
        let end = metadata.end_session_endpoint.as_ref()?;
        let back = format!("{}{SIGNED_OUT_PATH}", self.settings.origin);
        let fields = [("client_id", self.settings.client_id.as_str()), ("post_logout_redirect_uri", &back)];
        Some(with_fields(end, &fields))
    }

    fn redirect(&self) -> String {
        format!("{}{BACK_PATH}", self.settings.origin)
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut known = self.known.lock().await;
        if let Some((since, metadata)) = &known.metadata
            && since.elapsed() < METADATA_KEPT
        {
            return Ok(Arc::clone(metadata));
        }
        let failed_now = known.failed.is_some_and(|failed| failed.elapsed() < FAILED_REST);
        let read = if failed_now { Err(ProviderError::Down) } else { self.metadata_read().await };
        match (read, &known.metadata) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                known.failed = None;
                Ok(metadata)
            }
            (Err(error), kept) => {
                let kept = kept.as_ref().map(|(_, metadata)| Arc::clone(metadata));
                if !failed_now {
                    known.failed = Some(Instant::now());
                }
                // What was true an hour ago mostly still is; if not, the next step says so.
                kept.ok_or(error)
            }
        }
    }

    async fn metadata_read(&self) -> Result<Metadata, ProviderError> {
        let issuer = &self.settings.issuer;
        let address = format!("{}{WELL_KNOWN}", issuer.strip_suffix('/').unwrap_or(issuer));
        let Answer { is_good, body } = self.exchange.get(&address).await?;
        if !is_good {
            return Err(ProviderError::Metadata(
                "there is no document at `.well-known/openid-configuration`",
            ));
        }
        let metadata: Metadata =
            serde_json::from_slice(&body).map_err(|_| ProviderError::Metadata("a key is missing"))?;
        metadata.check(&self.settings).map(|()| metadata).map_err(ProviderError::Metadata)
    }

    /// Hands in the code, with the verifier and who we are.
    async fn token(
        &self,
        metadata: &Metadata,
        asked: &ProviderAsked,
        code: &str,
    ) -> Result<String, ProviderError> {
        let redirect = self.redirect();
        let client_id = self.settings.client_id.as_str();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect),
            ("code_verifier", &asked.verifier),
        ];
        let (secret, assertion, basic);
        let mut authorization = None;
        match &self.settings.authentication {
            ClientAuthentication::Secret(bytes) => {
                secret = zeroize::Zeroizing::new(String::from_utf8_lossy(bytes.expose()).into_owned());
                if metadata.takes_method("client_secret_basic") {
                    // Both parts are encoded as in forms first (RFC 6749, section 2.3.1).
                    basic = format!("{}:{}", encoded(client_id), encoded(&secret));
                    authorization = Some(format!("Basic {}", BASE64.encode(basic.as_bytes())));
                } else {
                    fields.extend([("client_id", client_id), ("client_secret", &secret)]);
                }
            }
            ClientAuthentication::Key(key) => {
                assertion = self.assertion(key, &metadata.token_endpoint)?;
                fields.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", &assertion)]);
            }
        }
        let body = form(&fields);
        let answer = self.exchange.post(&metadata.token_endpoint, &body, authorization.as_deref()).await?;
        if !answer.is_good {
            let refused: Option<TokenRefused> = serde_json::from_slice(&answer.body).ok();
            let said = refused.map(|refused| refused.error).filter(|error| is_word(error));
            return Err(ProviderError::Code(said.unwrap_or_else(|| "no reason".to_owned())));
        }
        let said: Option<TokenAnswer> = serde_json::from_slice(&answer.body).ok();
        said.and_then(|said| said.id_token).ok_or(ProviderError::Token(JwsError::Form))
    }

    fn assertion(&self, key: &ClientKey, token_endpoint: &str) -> Result<String, ProviderError> {
        let id = HEXLOWER.encode(&random_bytes::<16>(self.entropy.as_ref())?);
        let now = self.clock.now().as_millis().div_euclid(1_000);
        let client = &self.settings.client_id;
        let claims = json!({
            "iss": client, "sub": client, "aud": token_endpoint, "jti": id, "iat": now,
            "exp": now.saturating_add(ASSERTION_LASTS_S),
        });
        key.sign(&claims).map_err(|_| ProviderError::Signing)
    }

    /// Verifies a token with the keys that are known; with those that it publishes now, where it names another.
    async fn verified(&self, metadata: &Metadata, token: &str) -> Result<Vec<u8>, ProviderError> {
        let keys = self.known.lock().await.keys.clone();
        match keys.map(|keys| keys.verify(token)) {
            Some(Err(JwsError::UnknownKey)) | None => {}
            Some(verified) => return Ok(verified?),
        }
        let mut known = self.known.lock().await;
        if known.keys_missed.is_some_and(|missed| missed.elapsed() < KEYS_REST) {
            return Err(ProviderError::Token(JwsError::UnknownKey));
        }
        let Answer { is_good, body } = self.exchange.get(&metadata.jwks_uri).await?;
        let read = JwkSet::parse(&body).filter(|set| is_good && !set.is_empty());
        let keys = Arc::new(read.ok_or(ProviderError::Metadata("there are no usable keys"))?);
        let verified = keys.verify(token);
        known.keys_missed = (verified == Err(JwsError::UnknownKey)).then(Instant::now);
        known.keys = Some(keys);
        Ok(verified?)
    }
}

impl Metadata {
    fn check(&self, settings: &ProviderSettings) -> Result<(), &'static str> {
        let lists = |list: &Option<Vec<String>>, wanted: &[&str]| {
            list.as_ref().is_none_or(|all| all.iter().any(|one| wanted.contains(&one.as_str())))
        };
        if self.issuer != settings.issuer {
            return Err("its issuer is not the one that is configured, letter by letter");
        }
        let addresses = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        if !addresses.into_iter().chain(&self.end_session_endpoint).all(|address| is_https(address)) {
            return Err("an address does not begin with `https://`");
        }
        if !lists(&self.response_types_supported, &["code"]) {
            return Err("it has no authorisation code flow");
        }
        if !lists(&self.id_token_signing_alg_values_supported, &JWS_ALGORITHMS) {
            return Err("it signs with none of ES256, RS256 and EdDSA");
        }
        if !lists(&self.code_challenge_methods_supported, &["S256"]) {
            return Err("it has no PKCE with S256");
        }
        let method = match settings.authentication {
            ClientAuthentication::Key(_) => self.takes_method("private_key_jwt"),
            ClientAuthentication::Secret(_) => {
                self.takes_method("client_secret_basic") || self.takes_method("client_secret_post")
            }
        };
        if method { Ok(()) } else { Err("it does not take the way in which we show who we are") }
    }

    /// Without a list it is a secret in the header (Discovery, section 3).
    fn takes_method(&self, method: &str) -> bool {
        match &self.token_endpoint_auth_methods_supported {
            Some(all) => all.iter().any(|one| one == method),
            None => method == "client_secret_basic",
        }
    }
}

/// Whether a text is an https address with a host, without a name before it or a part behind `#`.
#[must_use]
pub fn is_https(address: &str) -> bool {
    address.len() <= ADDRESS_MAX_BYTES
        && !address.contains(['#', '@', '\\'])
        && address.starts_with("https://")
        && address.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

fn with_fields(address: &str, fields: &[(&str, &str)]) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    format!("{address}{joint}{}", form(fields))
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, BUT_PLAIN).to_string()
}

/// An error code of OAuth (RFC 6749, section 5.2): safe to repeat, and short.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The page of ours that browsers come back to.
pub const BACK_PATH: &str = "/sign-in/provider/back";
/// The page that they come back to after signing out there.
const SIGNED_OUT_PATH: &str = "/sign-in";
/// OpenID Connect Discovery 1.0, section 4.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// It is used at once.
const ASSERTION_LASTS_S: i64 = 60;
/// Providers change addresses and methods in days, with both in use.
const METADATA_KEPT: Duration = Duration::from_secs(60 * 60);
/// A provider that did not answer is not asked for so long.
const FAILED_REST: Duration = Duration::from_secs(5);
/// After a token that named a key which was not published, no other is looked for so long.
const KEYS_REST: Duration = Duration::from_secs(30);
const ADDRESS_MAX_BYTES: usize = 1_024;
/// What no address minds stands as it is (RFC 3986, section 2.3).
const BUT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_with_a_host_and_nothing_hidden() {
        for address in ["https://login.example", "https://login.example:8443/a/b?c=d"] {
            assert!(is_https(address), "{address}");
        }
        for address in [
            "http://login.example",
            "https://",
            "https://a@b.example",
            "https://a.example/#x",
            "login",
            "https:///x",
        ] {
            assert!(!is_https(address), "`{address}` should have been refused");
        }
    }

    #[test]
    fn fields_are_added_to_what_an_address_has() {
        let fields = [("a", "b c&d"), ("e", "ā")];
        assert_eq!(with_fields("https://x/y", &fields), "https://x/y?a=b%20c%26d&e=%C4%81");
        assert_eq!(with_fields("https://x/y?z=1", &fields[..1]), "https://x/y?z=1&a=b%20c%26d");
    }

    #[test]
    fn an_error_of_the_provider_is_repeated_as_a_word_or_not_at_all() {
        assert!(is_word("invalid_grant"));
        assert!(!is_word("") && !is_word("<b>") && !is_word(&"a".repeat(65)) && !is_word("invalid grant"));
    }
}
