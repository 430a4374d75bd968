//! Signing in by an agency's OpenID provider: a real server, and a provider made by hand that says over TLS whatever a
//! test wants it to say.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use onebit::clock::{Clock, SystemClock};
use onebit::ids::Digest;
use onebit::keys::{ClientKey, JwkSet, PublicKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::console::{Shown, Visitor, passkey_of, whole};
use crate::holder::{Holder, HolderOptions, free_address, until, who};
use crate::story::{fact, of_kind};

const BACK: &str = "/sign-in/provider/back";
const SUBJECT: &str = "7f3a-9c";

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_signs_in_by_the_provider_once_two_people_bound_the_account() {
    let (mut holder, provider, origin) = with_provider(&[]).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let page = visitor.get("/sign-in?next=/cases").await;
    assert!(page.body.contains("Sign in by Agency"), "{}", page.body);
    assert!(page.body.contains("href=\"/sign-in/provider?next=/cases\""), "{}", page.body);
    let stranger = provider.recognised(&mut visitor, "/cases").await;
    assert_eq!(stranger.status, 403);
    assert!(stranger.body.contains(SUBJECT) && stranger.body.contains(&provider.issuer), "{}", stranger.body);
    assert!(!visitor.cookies.contains_key("__Host-onebit"));

    let change = propose(&holder, &provider, who::OFFICER.name());
    let refused = holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).failed();
    assert!(refused.contains("another role"), "{refused}");
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 403, "one administrator alone bound it");
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    let taken = propose(&holder, &provider, who::OTHER_OFFICER.name());
    let refused = holder.onebit(who::PRIVACY, &["change", "confirm", &taken]).failed();
    assert!(refused.contains("stands against it"), "an account is one person's: {refused}");

    let shown = provider.recognised(&mut visitor, "/cases?a=b").await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.contains("href=\"/cases?a=b\""), "{}", shown.body);
    assert!(!visitor.cookies.contains_key("__Host-onebit-provider"), "its cookie is for one use");
    let home = visitor.get("/").await;
    let name = who::OFFICER.name();
    assert!(home.body.contains(&format!("signed in as {name} (approving-officer)")), "{}", home.body);
    assert!(home.body.contains("Decisions are signed by a passkey"), "{}", home.body);

    let entries = holder.entries("holder").await;
    let bound = of_kind(&entries, "account.bound").into_iter().find(|entry| fact(entry, "person") == name);
    let signed = of_kind(&entries, "person.signed-in");
    assert_eq!(signed.len(), 1);
    let digest = Digest::sha256(format!("{}\0{SUBJECT}", provider.issuer).as_bytes()).to_string();
    for entry in [bound.unwrap(), signed[0]] {
        assert_eq!(
            [fact(entry, "person"), fact(entry, "issuer"), fact(entry, "account")],
            [name, &provider.issuer, &digest]
        );
    }
    assert_eq!(fact(signed[0], "assurance"), "two-factor");

    let out = visitor.post("/sign-out", &[("token", home.field("token"))]).await;
    assert!(
        out.body.contains(&format!("{}/end?client_id=onebit&#38;post_logout_redirect_uri=", provider.issuer)),
        "{}",
        out.body
    );
    assert_eq!(visitor.get("/").await.status, 303, "the session is over");

    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
    holder.onebit(who::ADMIN, &["suspend", "person", name, "--reason", "for a test"]).ok();
    assert_eq!(visitor.get("/").await.status, 303, "a suspension ends the session");
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 403);
    holder.change(who::ADMIN, who::PRIVACY, &["restore-person", name]);
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 403, "the account is bound no more");
    assert_eq!(visitor.get("/").await.status, 303);
    holder.restart().await;
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_takes_the_place_of_the_first_and_ends_its_sessions() {
    let (holder, provider, origin) = with_provider(&[]).await;
    let mut visitor = Visitor::new(&holder, &origin);
    provider.bind(&holder, who::OFFICER.name());
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
    let old = visitor.cookies.clone();
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
    let young = std::mem::replace(&mut visitor.cookies, old);
    assert_eq!(visitor.get("/").await.status, 303, "another sign-in takes the session's place");
    visitor.cookies = young;
    assert_eq!(visitor.get("/").await.status, 200);
    let args =
        ["bind-account", "--name", who::OFFICER.name(), "--issuer", &provider.issuer, "--subject", "other"];
    holder.change(who::ADMIN, who::PRIVACY, &args);
    assert_eq!(visitor.get("/").await.status, 303, "the first account is nobody's any more");
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 403);
    for (name, says) in [(who::ADMIN.name(), "sign in at the console"), ("nobody", "invite them first")] {
        let args = ["change", "propose", "bind-account", "--name", name, "--issuer", &provider.issuer];
        let args = [&args[..], &["--subject", "x", "--reason", "for a test"]].concat();
        let told = holder.onebit(who::PRIVACY, &args).failed();
        assert!(told.contains(says), "{told}");
    }
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_provider_says_wrong_signs_nobody_in() {
    let (holder, provider, origin) = with_provider(&[]).await;
    provider.bind(&holder, who::OFFICER.name());
    let mut visitor = Visitor::new(&holder, &origin);
    let now = seconds();
    for (claim, value, says) in [
        ("nonce", json!("another"), "belongs to another sign-in"),
        ("nonce", Value::Null, "belongs to another sign-in"),
        ("aud", json!("another"), "for another service"),
        ("aud", json!(["onebit", "another"]), "for another service"),
        ("azp", json!("another"), "for another service"),
        ("iss", json!("https://localhost"), "issued by somebody else"),
        ("exp", json!(now - 120), "It is over"),
        ("iat", json!(now - 3_600), "from another time"),
        ("iat", json!(now + 3_600), "from another time"),
        ("auth_time", json!(now - 7_200), "recognised you too long ago"),
        ("auth_time", Value::Null, "recognised you too long ago"),
        ("acr", json!("password"), "second factor"),
        ("acr", Value::Null, "second factor"),
        ("amr", json!(["pwd"]), "second factor"),
        ("sub", json!(""), "not in its form"),
    ] {
        provider.lies(move |claims| claims[claim] = value.clone());
        let shown = provider.recognised(&mut visitor, "/").await;
        assert!(shown.body.contains(says), "{claim}: {}", shown.body);
        nobody(&visitor, claim);
    }
    for (forgery, says) in [
        (Forgery::None, "not signed with ES256"),
        (Forgery::Hmac, "not signed with ES256"),
        (Forgery::Stranger, "signature of the token does not fit"),
        (Forgery::Changed, "signature of the token does not fit"),
        (Forgery::Nothing, "not in its form"),
    ] {
        provider.forges(Some(forgery));
        let shown = provider.recognised(&mut visitor, "/").await;
        assert!(
            shown.body.contains("not believed") || shown.body.contains(says),
            "{forgery:?}: {}",
            shown.body
        );
        nobody(&visitor, "a forgery");
        let log = holder.log_output();
        let reason = match forgery {
            Forgery::None | Forgery::Hmac => "provider-algorithm",
            Forgery::Stranger | Forgery::Changed => "provider-signature",
            Forgery::Nothing => "provider-form",
        };
        assert!(log.contains(reason), "{forgery:?} is not told as {reason}");
    }
    provider.forges(None);

    let sent = provider.sent(&mut visitor, "/").await;
    let strange = visitor.get(&format!("{BACK}?code={}&state=another&iss={}", sent.code, sent.issuer)).await;
    assert!(strange.body.contains("belongs to another sign-in"), "{}", strange.body);
    let late = visitor.get(&sent.back()).await;
    assert!(late.body.contains("is over or was not begun"), "a state is for one use: {}", late.body);
    let sent = provider.sent(&mut visitor, "/").await;
    let mut other = Visitor::new(&holder, &origin);
    let elsewhere = other.get(&sent.back()).await;
    assert!(elsewhere.body.contains("not begun in this browser"), "{}", elsewhere.body);
    for issuer in ["https%3A%2F%2Fevil.example", ""] {
        let sent = provider.sent(&mut visitor, "/").await;
        let issuer = if issuer.is_empty() { String::new() } else { format!("&iss={issuer}") };
        let mixed = visitor.get(&format!("{BACK}?code={}&state={}{issuer}", sent.code, sent.state)).await;
        assert!(mixed.body.contains("of another provider"), "{}", mixed.body);
    }
    let sent = provider.sent(&mut visitor, "/").await;
    let denied = visitor.get(&format!("{BACK}?error=access_denied&state={}", sent.state)).await;
    assert!(denied.body.contains("Agency did not sign you in"), "{}", denied.body);
    let used = provider.sent(&mut visitor, "/").await;
    assert_eq!(visitor.get(&used.back()).await.status, 200);
    visitor.cookies.clear();
    let again = provider.sent(&mut visitor, "/").await;
    let replayed = visitor.get(&Sent { code: used.code, ..again }.back()).await;
    assert!(replayed.body.contains("did not take the code (`invalid_grant`)"), "{}", replayed.body);
    nobody(&visitor, "a code that was used");
    let swapped = provider.sent(&mut visitor, "/").await;
    let mine = provider.sent(&mut visitor, "/").await;
    let shown = visitor.get(&Sent { code: swapped.code, ..mine }.back()).await;
    assert!(shown.body.contains("invalid_grant"), "a code of another sign-in has another verifier");
    nobody(&visitor, "a code of another sign-in");

    let entries = holder.entries("holder").await;
    assert_eq!(of_kind(&entries, "person.signed-in").len(), 1, "but once nobody was signed in");
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_its_keys_is_asked_for_them_and_not_too_often() {
    let (holder, provider, origin) = with_provider(&[]).await;
    provider.bind(&holder, who::OFFICER.name());
    let mut visitor = Visitor::new(&holder, &origin);
    for changed in 0..3 {
        if changed > 0 {
            provider.changes_key(&format!("key-{changed}"), true);
        }
        for _ in 0..2 {
            assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
        }
        assert_eq!(provider.asked("/jwks"), changed + 1, "once for each key");
    }
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
    provider.changes_key("hidden", false);
    for _ in 0..3 {
        let shown = provider.recognised(&mut visitor, "/").await;
        assert!(shown.body.contains("is not believed"), "{}", shown.body);
    }
    assert_eq!(provider.asked("/jwks"), 4, "an unknown key is looked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_is_down_the_page_says_so_and_passkeys_sign_in() {
    let (mut holder, mut provider, origin) = with_provider(&[]).await;
    provider.bind(&holder, who::OFFICER.name());
    let passkey = passkey_of(&holder, &origin, who::OFFICER).await;
    provider.stop();
    holder.restart().await;
    let mut visitor = Visitor::new(&holder, &origin);
    let down = visitor.get("/sign-in/provider").await;
    assert_eq!(down.status, 503);
    assert!(
        down.body.contains("Agency can&#39;t be asked at the moment. Sign in with your passkey"),
        "{}",
        down.body
    );
    assert_eq!(visitor.sign_in(&passkey).await.status, 303);
    assert_eq!(visitor.get("/").await.status, 200);
    provider.start(&holder).await;
    let origin = &origin;
    let holder = &holder;
    until("the provider is found again", || async move {
        Visitor::new(holder, origin).get("/sign-in/provider").await.status == 303
    })
    .await;
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_passkeys_sign_nobody_in_the_provider_alone_does() {
    let (holder, provider, origin) = with_provider(&[("passkeys", false.into())]).await;
    provider.bind(&holder, who::OFFICER.name());
    let passkey = passkey_of(&holder, &origin, who::OFFICER).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let page = visitor.get("/sign-in").await;
    assert!(!page.body.contains("data-passkey"), "{}", page.body);
    // A form that the page does not have; the cookie of the visit and its token are real.
    let register = visitor.get("/register").await;
    let fields = passkey.signs("localhost", "AAAA");
    let sent = visitor.post_with("/sign-in", &register, fields).await;
    assert!(sent.body.contains("Nobody signs in by passkey here"), "{}", sent.body);
    assert_eq!(provider.recognised(&mut visitor, "/").await.status, 200);
}

#[tokio::test]
async fn a_configuration_with_a_fault_in_it_is_named_and_does_not_start() {
    let holder = prepared(&free_address(), &[]).0;
    let good = holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]).ok();
    assert!(good.contains("sign-in by a provider"), "{good}");
    fs::set_permissions(holder.path("client.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]).failed();
    assert!(open.contains("the private key for the provider") && open.contains("chmod"), "{open}");
    assert!(holder.start_refused().contains("[console.oidc]"));
    fs::set_permissions(holder.path("client.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(holder.path("client.pem"), "no key").unwrap();
    assert!(holder.start_refused().contains("client.pem"));
}

fn nobody(visitor: &Visitor, why: &str) {
    assert!(!visitor.cookies.contains_key("__Host-onebit"), "{why}: somebody is signed in");
}

fn propose(holder: &Holder, provider: &Provider, name: &str) -> String {
    let args = ["bind-account", "--name", name, "--issuer", &provider.issuer, "--subject", SUBJECT];
    holder.propose(who::ADMIN, &args)
}

fn seconds() -> i64 {
    SystemClock.now().as_millis() / 1_000
}

/// A holder with a console that is configured for a provider at this address; not started.
fn prepared(address: &str, more: &[(&str, toml::Value)]) -> (Holder, String) {
    let console = free_address();
    let origin = format!("https://localhost:{}", console.rsplit_once(':').unwrap().1);
    let mut oidc = toml::Table::new();
    let issuer = format!("https://localhost:{}", address.rsplit_once(':').unwrap().1);
    for (key, value) in [
        ("issuer", issuer.as_str()),
        ("client_id", "onebit"),
        ("key_file", "client.pem"),
        ("key_id", "ours"),
        ("authority", "ca.pem"),
        ("title", "Agency"),
    ] {
        oidc.insert(key.to_owned(), value.into());
    }
    oidc.insert("acr".to_owned(), vec!["two-factor", "hardware"].into());
    oidc.insert("amr".to_owned(), vec!["otp"].into());
    oidc.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let options = HolderOptions::default()
        .config("console", "listen", console)
        .config("console", "origin", origin.clone())
        .config("console", "certificate", "server/certificate.pem")
        .config("console", "key", "server/key.pem")
        .config("console", "oidc", oidc);
    let holder = Holder::prepared(&options);
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    fs::write(holder.path("client.pem"), pair.serialize_pem()).unwrap();
    fs::write(holder.path("client-public.pem"), pair.public_key_pem()).unwrap();
    fs::set_permissions(holder.path("client.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    (holder, origin)
}

/// A holder whose console has a provider, the provider, and the console's origin.
async fn with_provider(more: &[(&str, toml::Value)]) -> (Holder, Provider, String) {
    let address = free_address();
    let (mut holder, origin) = prepared(&address, more);
    let mut provider = Provider::new(&holder, &address, &origin);
    provider.start(&holder).await;
    holder.serve().await;
    (holder, provider, origin)
}

/// How a token is forged.
#[derive(Debug, Clone, Copy)]
enum Forgery {
    /// No signature, and `alg` says so.
    None,
    /// A keyed hash, keyed with what the provider publishes.
    Hmac,
    /// Another key under the name of the real one.
    Stranger,
    /// Another payload under the real signature.
    Changed,
    /// No token at all.
    Nothing,
}

/// A provider that does what a test wants.
struct Provider {
    issuer: String,
    address: String,
    said: Arc<Mutex<Script>>,
    task: Option<JoinHandle<()>>,
}

type Lie = Box<dyn Fn(&mut Value) + Send>;

struct Script {
    issuer: String,
    redirect: String,
    client: JwkSet,
    key: ClientKey,
    published: Vec<Value>,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    asked: BTreeMap<String, usize>,
    lie: Lie,
    forgery: Option<Forgery>,
}

/// Somebody who was sent to the provider, and what they would come back with.
struct Sent {
    code: String,
    state: String,
    issuer: String,
}

impl Sent {
    fn back(&self) -> String {
        format!("{BACK}?code={}&state={}&iss={}", self.code, self.state, self.issuer)
    }
}

impl Provider {
    fn new(holder: &Holder, address: &str, origin: &str) -> Self {
        let issuer = format!("https://localhost:{}", address.rsplit_once(':').unwrap().1);
        let public =
            PublicKey::from_pem(&fs::read_to_string(holder.path("client-public.pem")).unwrap()).unwrap();
        let x = BASE64URL_NOPAD.encode(&public.spki_der()[12..]);
        let client = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "ours", "x": x }] });
        let (key, jwk) = key("key-0");
        let script = Script {
            issuer: issuer.clone(),
            redirect: format!("{origin}{BACK}"),
            client: JwkSet::parse(client.to_string().as_bytes()).unwrap(),
            key,
            published: vec![jwk],
            codes: BTreeMap::new(),
            asked: BTreeMap::new(),
            lie: Box::new(|_| ()),
            forgery: None,
        };
        Self { issuer, address: address.to_owned(), said: Arc::new(Mutex::new(script)), task: None }
    }

    async fn start(&mut self, holder: &Holder) {
        let read = |file| fs::read(holder.path(file)).unwrap();
        let certificates = CertificateDer::pem_slice_iter(&read("server/certificate.pem"))
            .collect::<Result<_, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("server/key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let said = Arc::clone(&self.said);
        self.task = Some(tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, said) = (acceptor.clone(), Arc::clone(&said));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let service = service_fn(move |request| answer(Arc::clone(&said), request));
                    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }));
    }

    fn stop(&mut self) {
        self.task.take().unwrap().abort();
    }

    fn lies(&self, lie: impl Fn(&mut Value) + Send + 'static) {
        self.said.lock().unwrap().lie = Box::new(lie);
    }

    fn forges(&self, forgery: Option<Forgery>) {
        let mut said = self.said.lock().unwrap();
        said.lie = Box::new(|_| ());
        said.forgery = forgery;
    }

    fn changes_key(&self, id: &str, is_published: bool) {
        let (key, jwk) = key(id);
        let mut said = self.said.lock().unwrap();
        said.key = key;
        if is_published {
            said.published = vec![jwk];
        }
    }

    fn asked(&self, path: &str) -> usize {
        self.said.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }

    fn bind(&self, holder: &Holder, name: &str) {
        let args = ["bind-account", "--name", name, "--issuer", &self.issuer, "--subject", SUBJECT];
        holder.change(who::ADMIN, who::PRIVACY, &args);
    }

    /// Has a visitor sent here; the provider recognises them at once.
    async fn sent(&self, visitor: &mut Visitor, next: &str) -> Sent {
        let next: String = next.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let begun = visitor.get(&format!("/sign-in/provider?next={next}")).await;
        assert_eq!(begun.status, 303, "{}", begun.body);
        let cookie = begun.header("set-cookie");
        assert!(cookie.starts_with("__Host-onebit-provider="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
        let address = begun.header("location").to_owned();
        let asked =
            address.strip_prefix(&format!("{}/authorize?", self.issuer)).expect("it leads to the provider");
        let fields = fields(asked);
        let field = |name: &str| fields[name].as_str();
        assert_eq!(
            [field("response_type"), field("scope"), field("client_id"), field("code_challenge_method")],
            ["code", "openid", "onebit", "S256"]
        );
        assert_eq!([field("acr_values"), field("max_age")], ["two-factor hardware", "3600"]);
        let state = field("state").to_owned();
        let mut said = self.said.lock().unwrap();
        assert_eq!(field("redirect_uri"), said.redirect);
        let code = format!("code-{}", said.codes.len());
        said.codes.insert(code.clone(), fields);
        let issuer = self.issuer.replace(':', "%3A").replace('/', "%2F");
        Sent { code, state, issuer }
    }

    /// A visitor goes to the provider and comes back from it, as from another site: without strict cookies.
    async fn recognised(&self, visitor: &mut Visitor, next: &str) -> Shown {
        let sent = self.sent(visitor, next).await;
        visitor.cookies.retain(|name, _| name == "__Host-onebit-provider");
        visitor.get(&sent.back()).await
    }
}

fn key(id: &str) -> (ClientKey, Value) {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let public = PublicKey::from_pem(&pair.public_key_pem()).unwrap();
    let [x, y] = [27..59, 59..91].map(|part| BASE64URL_NOPAD.encode(&public.spki_der()[part]));
    let jwk = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y });
    (ClientKey::from_pkcs8_pem(pair.serialize_pem().as_bytes(), Some(id.to_owned())).unwrap(), jwk)
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let fields = onebit::console::Fields::parse(text);
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, _)| (name.to_owned(), fields.get(name).unwrap().to_owned()))
        .collect()
}

async fn answer(
    said: Arc<Mutex<Script>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut said = said.lock().unwrap();
    *said.asked.entry(path.clone()).or_default() += 1;
    let (status, body) = match path.as_str() {
        "/.well-known/openid-configuration" => (200, metadata(&said.issuer)),
        "/jwks" => (200, json!({ "keys": said.published })),
        "/token" => match said.token(&fields(std::str::from_utf8(&body).unwrap())) {
            Some(token) => (200, json!({ "access_token": "a", "token_type": "Bearer", "id_token": token })),
            None => (400, json!({ "error": "invalid_grant", "error_description": "<b>no</b>" })),
        },
        _ => (404, json!({})),
    };
    let body = Full::new(Bytes::from(body.to_string()));
    Ok(Response::builder().status(status).header("content-type", "application/json").body(body).unwrap())
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/end"),
        "response_types_supported": ["code"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "authorization_response_iss_parameter_supported": true,
    })
}

impl Script {
    /// The token for a code, if everything is as the standards have it; a code is for one use.
    fn token(&mut self, fields: &BTreeMap<String, String>) -> Option<Value> {
        let asked = self.codes.remove(&fields["code"]);
        // Its place stays taken, so that no code is given twice.
        self.codes.insert(fields["code"].clone(), BTreeMap::new());
        let asked = asked.filter(|asked| !asked.is_empty())?;
        let verifier = Digest::sha256(fields["code_verifier"].as_bytes());
        let proven = BASE64URL_NOPAD.encode(verifier.as_bytes()) == asked["code_challenge"];
        assert_eq!(fields["redirect_uri"], self.redirect);
        assert_eq!(fields["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let shown = self.client.verify(&fields["client_assertion"]).expect("the client shows who it is");
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!([&shown["iss"], &shown["sub"]], ["onebit", "onebit"]);
        assert_eq!(shown["aud"], format!("{}/token", self.issuer));
        if !proven {
            return None;
        }
        let now = seconds();
        let mut claims = json!({
            "iss": self.issuer, "sub": SUBJECT, "aud": "onebit", "nonce": asked["nonce"], "exp": now + 300,
            "iat": now, "auth_time": now - 5, "acr": "two-factor", "amr": ["pwd", "otp"],
        });
        (self.lie)(&mut claims);
        Some(self.signed(&claims))
    }

    fn signed(&self, claims: &Value) -> Value {
        let token = self.key.sign(claims).unwrap();
        let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let (_, signature) = token.rsplit_once('.').unwrap();
        match self.forgery {
            None => token.into(),
            Some(Forgery::None) => format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims)).into(),
            Some(Forgery::Hmac) => {
                let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "key-0" })), part(claims));
                let published = self.published[0].to_string();
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, published.as_bytes());
                let tag = ring::hmac::sign(&key, signed.as_bytes());
                format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref())).into()
            }
            Some(Forgery::Stranger) => key("key-0").0.sign(claims).unwrap().into(),
            Some(Forgery::Changed) => {
                let mut other = claims.clone();
                other["sub"] = json!("somebody-else");
                let header = token.split('.').next().unwrap();
                format!("{header}.{}.{signature}", part(&other)).into()
            }
            Some(Forgery::Nothing) => Value::Null,
        }
    }
}
