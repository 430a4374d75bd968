//! The console: a real server over TLS, and a visitor that keeps cookies and sends forms as browsers do.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use onebit::approval::State;
use onebit::clock::SystemClock;
use onebit::config::Config;
use onebit::config::material::process_environment;
use onebit::gate::{
    Caller, Credential, DecisionDraft, DecisionToSign, Gate, GateError, GateParts, PasskeyProof,
};
use onebit::grpc::pb::officer::CaseState;
use onebit::ids::DisclosureId;
use onebit::keys::PublicKey;
use onebit::keys::webauthn::{Assertion, RelyingParty, WebAuthnError};
use onebit::secret::SystemEntropy;
use onebit::store::sqlite::SqliteStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::authenticator::Authenticator;
use crate::holder::{Holder, HolderOptions, Who, who};
use crate::story::{Choice, FIELDS, fact, invite, of_kind};

/// A holder with a console, and the console's origin.
pub(crate) async fn with_console(options: HolderOptions) -> (Holder, String) {
    let (options, origin) = options.console();
    (Holder::start(options).await, origin)
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in_and_every_reply_has_its_headers() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let home = visitor.get("/").await;
    assert_eq!((home.status, home.header("location")), (303, "/sign-in"));
    let asked = visitor.get("/?a=b&c").await;
    assert_eq!(asked.header("location"), "/sign-in?next=/%3Fa%3Db%26c");
    let missing = visitor.get("/no-such-page").await;
    assert_eq!(missing.status, 404);
    let page = visitor.get("/sign-in?next=/cases/1").await;
    assert_eq!((page.status, page.field("next")), (200, "/cases/1".to_owned()));
    assert_eq!(visitor.get("/sign-in?next=//evil.example").await.field("next"), "/");
    for reply in [&home, &asked, &missing, &page] {
        let policy = reply.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), value);
        }
        assert!(reply.header("strict-transport-security").starts_with("max-age=63072000"));
    }
    assert!(page.header("content-security-policy").contains("connect-src 'self'"));
    assert!(!home.header("content-security-policy").contains("connect-src"));
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-onebit-visit="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
    let health = visitor.get("/health").await;
    assert_eq!((health.status, health.body.as_str()), (200, "serving\n"));
}

#[tokio::test]
async fn a_form_from_another_page_or_visit_and_a_name_of_another_host_are_refused() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let page = visitor.get("/sign-in").await;
    let form = [("token", page.field("token"))];
    for sent_from in [Some("https://evil.example"), Some("null"), None] {
        let sent = visitor.send(Method::POST, "/sign-in", sent_from, &form).await;
        assert_eq!(sent.status, 403, "a form of {sent_from:?}");
    }
    let other = Visitor::new(&holder, &origin).get("/sign-in").await;
    let sent = visitor.post("/sign-in", &[("token", other.field("token"))]).await;
    assert_eq!(sent.status, 403, "a form with the token of another visit");
    assert_eq!(visitor.post("/sign-in", &[]).await.status, 403, "a form without a token");
    let origin = visitor.origin.clone();
    let long = visitor.sent(Method::POST, "/sign-in", Some(&origin), &[("token", "x".repeat(70_000))]).await;
    // The server may end the connection before all of it was sent.
    assert!(long.is_none_or(|shown| shown.status == 400), "a form that is too long");
    visitor.host = "evil.example".to_owned();
    assert_eq!(visitor.get("/sign-in").await.status, 421);
    assert_eq!(visitor.send(Method::DELETE, "/sign-in", None, &[]).await.status, 421);
}

#[tokio::test]
async fn browsers_come_in_by_tls_1_3_and_1_2_without_a_certificate() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    for version in [&TLS13, &TLS12] {
        let mut visitor = Visitor::new(&holder, &origin);
        visitor.version = version;
        assert_eq!(visitor.get("/health").await.status, 200, "{:?}", version.version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_officer_registers_a_passkey_and_signs_in_once_a_privacy_officer_confirmed_it() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let passkey = Authenticator::new(&origin);
    let (change, code) = invite(&holder, &origin, "wiremu", "approving-officer");
    assert!(
        visitor.invited(&code).await.body.contains("not confirmed yet"),
        "one administrator alone invited"
    );
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();

    let page = visitor.invited(&code).await;
    assert!(page.body.contains("wiremu (approving-officer)"), "{}", page.body);
    let fields = passkey.registers(&page.data("party"), &page.data("challenge"));
    let done = visitor.post_with("/register/passkey", &page, fields).await;
    let change = done.body.split("changes/").nth(1).expect("the page names the change");
    let change = format!("changes/{}", &change[..32]);
    assert!(visitor.invited(&code).await.body.contains("was used already"), "an invitation is for one use");
    let early = visitor.sign_in(&passkey).await;
    assert!(early.body.contains("waits for a privacy officer"), "{}", early.body);

    for administrator in [who::ADMIN, who::OTHER_ADMIN] {
        let refused = holder.onebit(administrator, &["change", "confirm", &change]).failed();
        assert!(refused.contains("privacy officer"), "{refused}");
    }
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    let begun = visitor.sign_in(&passkey).await;
    assert_eq!((begun.status, begun.header("location")), (303, "/"), "{}", begun.body);
    let home = visitor.get("/").await;
    assert!(home.body.contains("signed in as wiremu (approving-officer)"), "{}", home.body);

    let entries = holder.entries("holder").await;
    for (kind, count) in
        [("person.invited", 1), ("passkey.registered", 1), ("passkey.confirmed", 1), ("person.signed-in", 1)]
    {
        let found = of_kind(&entries, kind);
        assert_eq!(found.len(), count, "entries of {kind}");
        assert_eq!(fact(found[0], "person"), "wiremu");
    }
    let people = holder.onebit(who::ADMIN, &["registry", "people"]).ok();
    assert!(people.lines().any(|line| line.contains("wiremu") && line.contains("active")), "{people}");
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_signing_out_by_suspension_and_by_another_sign_in() {
    let (mut holder, origin) = with_console(HolderOptions::default()).await;
    let passkey = passkey_of(&holder, &origin, who::OFFICER).await;
    let mut visitor = Visitor::new(&holder, &origin);
    visitor.sign_in(&passkey).await;
    let before = visitor.cookies.clone();
    visitor.sign_in(&passkey).await;
    assert_eq!(visitor.get("/").await.status, 200);
    let mut old = Visitor { cookies: before, ..Visitor::new(&holder, &origin) };
    assert_eq!(old.get("/").await.status, 303, "another sign-in takes the session's place");

    let home = visitor.get("/").await;
    assert_eq!(visitor.post("/sign-out", &[("token", "x".to_owned())]).await.status, 403);
    let kept = visitor.cookies.clone();
    assert_eq!(
        visitor.post("/sign-out", &[("token", home.field("token"))]).await.header("location"),
        "/sign-in"
    );
    assert!(!visitor.cookies.contains_key("__Host-onebit"), "the cookie is taken back");
    visitor.cookies = kept;
    assert_eq!(visitor.get("/").await.status, 303, "a session that was signed out is over, cookie or not");

    visitor.sign_in(&passkey).await;
    holder.restart().await;
    assert_eq!(visitor.get("/").await.status, 200, "a session outlives a restart");
    holder.onebit(who::ADMIN, &["suspend", "person", who::OFFICER.name(), "--reason", "for a test"]).ok();
    assert_eq!(visitor.get("/").await.status, 303);
    let refused = visitor.sign_in(&passkey).await;
    assert!(refused.status == 200 && refused.body.contains("suspended"), "{}", refused.body);
    let invited = invite(&holder, &origin, who::OFFICER.name(), "approving-officer");
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &invited.0]).ok();
    assert!(
        visitor.invited(&invited.1).await.body.contains("Ask an administrator"),
        "an invitation while suspended"
    );
    holder.change(who::ADMIN, who::PRIVACY, &["restore-person", who::OFFICER.name()]);
    assert_eq!(visitor.get("/").await.status, 303, "a session does not come back");
    let ended = visitor.sign_in(&passkey).await;
    assert!(ended.status == 200 && ended.body.contains("was ended, or you were suspended"), "{}", ended.body);
    let another = passkey_of(&holder, &origin, who::OFFICER).await;
    assert_eq!(visitor.sign_in(&another).await.status, 303);
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_a_passkey_of_their_own_is_signed_out_where_it_signed_them_in_and_nowhere_else() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let [one, other] =
        [passkey_of(&holder, &origin, who::OFFICER).await, passkey_of(&holder, &origin, who::OFFICER).await];
    let [mut visitor, mut elsewhere] = [Visitor::new(&holder, &origin), Visitor::new(&holder, &origin)];
    visitor.sign_in(&one).await;
    elsewhere.sign_in(&other).await;
    let page = visitor.get("/passkeys").await;
    assert_eq!(page.body.matches("In use").count(), 2, "{}", page.body);
    let row =
        page.body.split("<tr").find(|row| row.contains("(this session)")).expect("one of them is this one");
    let path = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    let asked = visitor.get(&path).await;
    assert!(asked.body.contains("You will be signed out"), "{}", asked.body);
    let silent = visitor.post_with(&path, &asked, vec![("reason", " ".to_owned())]).await;
    assert!(silent.status == 200 && silent.body.contains("There is a problem"), "{}", silent.body);
    let token = vec![("reason", "lost".to_owned())];
    assert_eq!(visitor.post(&path, &token).await.status, 403, "a form without the session's token");
    assert_eq!(elsewhere.get(&path).await.status, 200, "nothing was done yet");
    let mut stranger = Visitor::new(&holder, &origin);
    stranger.sign_in(&passkey_of(&holder, &origin, who::OTHER_OFFICER).await).await;
    assert_eq!(stranger.get(&path).await.status, 404, "somebody else's passkey");

    let ended = visitor.post_with(&path, &asked, vec![("reason", "I lost the telephone".to_owned())]).await;
    assert_eq!((ended.status, ended.header("location")), (303, "/passkeys"));
    assert_eq!(visitor.get("/passkeys").await.status, 303, "the session that it opened is over");
    let refused = visitor.sign_in(&one).await;
    assert!(refused.status == 200 && refused.body.contains("was ended"), "{}", refused.body);
    let page = elsewhere.get("/passkeys").await;
    assert_eq!((page.status, page.body.matches(">Ended<").count()), (200, 1), "{}", page.body);
    assert_eq!(elsewhere.get(&path).await.status, 404, "it is over for good");

    let entries = holder.entries("holder").await;
    let ended = of_kind(&entries, "passkey.ended");
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (fact(ended[0], "person"), fact(ended[0], "reason")),
        (who::OFFICER.name(), "I lost the telephone")
    );
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_passkey_of_somebody_is_ended_by_one_administrator_or_privacy_officer() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    for ender in [who::ADMIN, who::PRIVACY] {
        let passkey = passkey_of(&holder, &origin, who::OFFICER).await;
        let mut visitor = Visitor::new(&holder, &origin);
        visitor.sign_in(&passkey).await;
        let list = ["passkey", "list", who::OFFICER.name(), "--output", "json"];
        let listed =
            |by| -> Vec<serde_json::Value> { serde_json::from_str(&holder.onebit(by, &list).ok()).unwrap() };
        let of_state =
            |state: &str| listed(ender).into_iter().filter(|it| it["state"] == state).collect::<Vec<_>>();
        let [standing] = &of_state("confirmed")[..] else { panic!("one passkey should stand") };
        assert!(standing["lastUsed"].is_string(), "{standing}");
        let key = standing["fingerprint"].as_str().unwrap();
        let end = |whose: &'static str, key: &str| {
            let args = ["passkey", "end", whose, "--fingerprint", key, "--reason", "the device was stolen"];
            holder.onebit(ender, &args)
        };
        let refused = end(who::OTHER_OFFICER.name(), key).failed();
        assert!(refused.contains("NOT_FOUND"), "{refused}");
        assert_eq!(visitor.get("/passkeys").await.status, 200);
        end(who::OFFICER.name(), key).ok();
        assert_eq!(visitor.get("/passkeys").await.status, 303, "the session that it opened is over");
        assert!(visitor.sign_in(&passkey).await.body.contains("was ended"));
        assert!(of_state("confirmed").is_empty());
        end(who::OFFICER.name(), key).failed();
    }
    let args = ["passkey", "list", who::OTHER_OFFICER.name()];
    let refused = holder.onebit(who::OFFICER, &args).failed();
    assert!(refused.contains("PERMISSION_DENIED") || refused.contains("rules"), "{refused}");
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_passkey_says_wrong_signs_nobody_in() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    let passkey = passkey_of(&holder, &origin, who::OTHER_OFFICER).await;
    let mut visitor = Visitor::new(&holder, &origin);
    let page = visitor.get("/sign-in").await;
    let (party, challenge) = (page.data("party"), page.data("challenge"));
    let refused = async |visitor: &mut Visitor, fields: Vec<(&'static str, String)>, says: &str| {
        let page = visitor.get("/sign-in").await;
        let sent = visitor.post_with("/sign-in", &page, fields).await;
        assert!(sent.status == 200 && sent.body.contains(says), "{says}: {}", sent.body);
        assert!(!visitor.cookies.contains_key("__Host-onebit"), "{says}: somebody is signed in");
    };
    refused(&mut visitor, passkey.signs(&party, &challenge), "another question").await;
    refused(&mut visitor, Vec::new(), "field is missing").await;
    let stranger = Authenticator::new(&origin);
    for (says, signed) in [("does not fit", &stranger), ("seems to have been copied", &passkey)] {
        if std::ptr::eq(signed, &passkey) {
            assert_eq!(visitor.sign_in(&passkey).await.status, 303);
            visitor.cookies.clear();
            passkey.count_is(0);
        }
        let page = visitor.get("/sign-in").await;
        let fields = signed.signs(&page.data("party"), &page.data("challenge"));
        let sent = visitor.post_with("/sign-in", &page, fields).await;
        assert!(sent.status == 200 && sent.body.contains(says), "{says}: {}", sent.body);
    }
    passkey.count_is(100);
    let page = visitor.get("/sign-in").await;
    let fields = passkey.signs_with(&page.data("party"), &page.data("challenge"), 0x01);
    let sent = visitor.post_with("/sign-in", &page, fields).await;
    assert!(sent.body.contains("did not check who uses it"), "{}", sent.body);
    let elsewhere = passkey.elsewhere("https://evil.example");
    let sent = visitor.sign_in(&elsewhere).await;
    assert!(sent.body.contains("on another page"), "{}", sent.body);
    assert!(!visitor.cookies.contains_key("__Host-onebit"));
}

#[tokio::test]
async fn only_people_of_the_console_are_invited_and_by_two() {
    let (holder, origin) = with_console(HolderOptions::default()).await;
    for role in ["administrator", "partner-system", "enrolment-system"] {
        let args = ["change", "propose", "invite", "--name", "nobody", "--role", role, "--console", &origin];
        let args = [&args[..], &["--reason", "for a test"]].concat();
        assert!(holder.onebit(who::ADMIN, &args).failed().contains("sign in at the console"), "{role}");
    }
    let taken = ["change", "propose", "invite", "--name", who::OFFICER.name(), "--role", "examiner"];
    let taken = [&taken[..], &["--console", &origin, "--reason", "for a test"]].concat();
    assert!(holder.onebit(who::ADMIN, &taken).failed().contains("nobody has two roles"));
    let (change, _) = invite(&holder, &origin, "wiremu", "examiner");
    let own = holder.onebit(who::ADMIN, &["change", "confirm", &change]).failed();
    assert!(own.contains("own"), "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_signed_by_passkeys_once_each_and_the_check_of_the_store_verifies_them_again() {
    let (mut holder, origin) = with_console(HolderOptions::people(1)).await;
    let mine = passkey_of(&holder, &origin, who::OFFICER).await;
    let theirs = passkey_of(&holder, &origin, who::OTHER_OFFICER).await;
    let _key = holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.stop().await;
    {
        // The pages are others' business; what they call is the gate.
        let gate = gate(&holder).await;
        let id = DisclosureId::parse_resource(&disclosure).unwrap();
        let party = RelyingParty { id: "localhost".to_owned(), origin: origin.clone() };
        let [officer, other] = [who::OFFICER, who::OTHER_OFFICER].map(|who| caller(&gate, &holder, who));
        let request = gate.case_get(&officer, id).await.unwrap().case.disclosure.digest();
        let draft = |fields: &[&str]| DecisionDraft {
            disclosure: id,
            request,
            granted: Some(fields.iter().map(|field| field.parse().unwrap()).collect()),
            reason: "the case is well founded".to_owned(),
            comparison: None,
            on_behalf: None,
        };
        let asked = gate.decision_to_sign(&officer, draft(&FIELDS)).await.unwrap();
        let proof = |asked: &DecisionToSign, passkey: &Authenticator| {
            let fields = passkey.signs("localhost", &BASE64URL_NOPAD.encode(asked.challenge.as_bytes()));
            let [credential, client_data, authenticator_data, signature] =
                [0, 1, 2, 3].map(|field| BASE64URL_NOPAD.decode(fields[field].1.as_bytes()).unwrap());
            let assertion = Assertion { client_data, authenticator_data, signature };
            PasskeyProof { party: party.clone(), credential, nonce: asked.nonce, assertion }
        };
        let refused = async |caller: &Caller, asked: &DecisionToSign, proof: PasskeyProof| {
            let decided = gate.case_decide_by_passkey(caller, asked.clone(), proof).await;
            match decided.err().expect("it should have been refused") {
                GateError::Passkey(error) => error,
                other => panic!("{other}"),
            }
        };
        let less = DecisionToSign { draft: draft(&FIELDS[..1]), ..asked.clone() };
        assert_eq!(refused(&officer, &less, proof(&asked, &mine)).await, WebAuthnError::Challenge);
        let later = DecisionToSign { nonce: [0; 32], ..asked.clone() };
        let again = PasskeyProof { nonce: [0; 32], ..proof(&asked, &mine) };
        assert_eq!(refused(&officer, &later, again).await, WebAuthnError::Challenge);
        assert_eq!(refused(&officer, &asked, proof(&asked, &theirs)).await, WebAuthnError::Signature);

        let signed = proof(&asked, &mine);
        let repeated = PasskeyProof { assertion: signed.assertion.clone(), ..proof(&asked, &mine) };
        let (case, _) = gate.case_decide_by_passkey(&officer, asked.clone(), signed).await.unwrap();
        assert_eq!(case.disclosure.state(), State::PartiallyApproved);
        assert_eq!(refused(&officer, &asked, repeated).await, WebAuthnError::Counter);
        // What a passkey signed before its end counts on.
        let asked = gate.decision_to_sign(&officer, draft(&FIELDS)).await.unwrap();
        let late = proof(&asked, &mine);
        let fingerprint = gate.passkeys_own(&officer).await.unwrap()[0].fingerprint();
        gate.passkey_end_own(&officer, fingerprint, "it was lost".to_owned()).await.unwrap();
        assert_eq!(refused(&officer, &asked, late).await, WebAuthnError::Signature);
        let asked = gate.decision_to_sign(&other, draft(&FIELDS)).await.unwrap();
        let signed = proof(&asked, &theirs);
        let (case, _) = gate.case_decide_by_passkey(&other, asked, signed).await.unwrap();
        assert_eq!(case.disclosure.state(), State::Released);
    }
    holder.serve().await;
    whole(holder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_wants_passkeys_takes_no_certificates_signature() {
    let wants = "decisions_signed_by = [\"passkey\"]";
    let options = HolderOptions::people(1).policy(AGREEMENT, "# decisions_signed_by = [\"passkey\"]", wants);
    let (holder, _) = with_console(options).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let refused = holder.decide(who::OFFICER, &disclosure, Choice::Grant(&FIELDS)).await.unwrap_err();
    assert!(refused.message().contains("not signed by a certificate"), "{}", refused.message());
    assert_eq!(holder.case_state(&disclosure).await, CaseState::Pending);
}

/// The gate on the store of a holder whose server is stopped.
async fn gate(holder: &Holder) -> Arc<Gate> {
    let config = Config::read(&holder.config()).unwrap();
    let root = config.root_key.open(&process_environment).unwrap();
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let (folder, heads) = (&config.store_folder, &config.heads_folder);
    let store = SqliteStore::open(folder, heads, root, clock.clone(), entropy.clone()).unwrap();
    let keys = store.keys();
    let pool = onebit::index::pool(config.search.threads).unwrap();
    let first_stage = config.search.index.clone();
    let parts = GateParts {
        store: Arc::new(store),
        keys,
        clock,
        entropy,
        pool,
        first_stage,
        canaries: std::collections::BTreeSet::new(),
    };
    Arc::new(Gate::open(parts).await.unwrap())
}

fn caller(gate: &Gate, holder: &Holder, who: Who) -> Caller {
    let [certificate, _] = holder.credential(who);
    let key_fingerprint = PublicKey::from_pem(&certificate).unwrap().fingerprint();
    gate.caller(Credential { spiffe_id: who.spiffe_id(), key_fingerprint }).unwrap()
}

/// A confirmed passkey of an approving officer whom the ceremony named.
pub(crate) async fn passkey_of(holder: &Holder, origin: &str, who: Who) -> Authenticator {
    passkey_as(holder, origin, who.name(), "approving-officer").await
}

/// A confirmed passkey of somebody in this role.
pub(crate) async fn passkey_as(holder: &Holder, origin: &str, name: &str, role: &str) -> Authenticator {
    let (change, code) = invite(holder, origin, name, role);
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
    let passkey = Authenticator::new(origin);
    let mut visitor = Visitor::new(holder, origin);
    let page = visitor.invited(&code).await;
    let fields = passkey.registers(&page.data("party"), &page.data("challenge"));
    let done = visitor.post_with("/register/passkey", &page, fields).await;
    let change = done.body.split("changes/").nth(1).expect("the page names the change");
    holder.onebit(who::PRIVACY, &["change", "confirm", &format!("changes/{}", &change[..32])]).ok();
    passkey
}

pub(crate) async fn whole(mut holder: Holder) {
    holder.stop().await;
    let words = holder.onebit(who::ADMIN, &["audit", "fsck", "--config", "onebit.toml"]).ok();
    assert!(words.contains("The store is whole."), "{words}");
}

const AGREEMENT: &str = "agreements/au-border-identity.toml";

/// Somebody at a browser.
pub(crate) struct Visitor {
    port: u16,
    origin: String,
    host: String,
    roots: RootCertStore,
    version: &'static SupportedProtocolVersion,
    pub(crate) cookies: BTreeMap<String, String>,
}

/// What came back.
pub(crate) struct Shown {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Visitor {
    pub(crate) fn new(holder: &Holder, origin: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = std::fs::read(holder.path("ca.pem")).unwrap();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let host = origin.strip_prefix("https://").unwrap().to_owned();
        let port = host.rsplit_once(':').unwrap().1.parse().unwrap();
        Self { port, origin: origin.to_owned(), host, roots, version: &TLS13, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Shown {
        self.send(Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, String)]) -> Shown {
        let origin = self.origin.clone();
        self.send(Method::POST, path, Some(&origin), fields).await
    }

    /// Sends the form of a page with these fields besides.
    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        page: &Shown,
        fields: Vec<(&'static str, String)>,
    ) -> Shown {
        let all: Vec<(&str, String)> = fields.into_iter().chain([("token", page.field("token"))]).collect();
        self.post(path, &all).await
    }

    /// Signs in with a passkey.
    pub(crate) async fn sign_in(&mut self, passkey: &Authenticator) -> Shown {
        let page = self.get("/sign-in").await;
        let fields = passkey.signs(&page.data("party"), &page.data("challenge"));
        self.post_with("/sign-in", &page, fields).await
    }

    /// Gives the code of an invitation.
    async fn invited(&mut self, code: &str) -> Shown {
        let page = self.get("/register").await;
        self.post_with("/register", &page, vec![("code", code.to_owned())]).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        from: Option<&str>,
        fields: &[(&str, String)],
    ) -> Shown {
        self.sent(method, path, from, fields).await.expect("the server should answer")
    }

    /// What came back; nothing when the connection ended before.
    async fn sent(
        &mut self,
        method: Method,
        path: &str,
        from: Option<&str>,
        fields: &[(&str, String)],
    ) -> Option<Shown> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        // As browsers do.
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method.clone()).uri(path).header("host", &self.host);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(from) = from {
            request = request.header("origin", from);
        }
        let body = if method == Method::POST {
            request = request.header("content-type", "application/x-www-form-urlencoded");
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            pairs.join("&")
        } else {
            String::new()
        };
        let reply = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.ok()?;
        let (parts, body) = reply.into_parts();
        for set in parts.headers.get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap().to_owned();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value);
            }
        }
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Some(Shown { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Shown {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        self.between(&format!("name=\"{name}\" value=\""))
    }

    /// What the page tells the script.
    pub(crate) fn data(&self, name: &str) -> String {
        self.between(&format!("data-{name}=\""))
    }

    fn between(&self, before: &str) -> String {
        let found = self.body.split_once(before);
        let (_, rest) = found.unwrap_or_else(|| panic!("no `{before}` on the page:\n{}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
