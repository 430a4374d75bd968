//! Signing in by a real OpenID provider in a real browser. Provider and story are in `tests/browser/provider.mjs`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::chromium::chromium;
use crate::console::whole;
use crate::holder::{Holder, HolderOptions, free_address, repository, who};
use crate::story::{FIELDS, fact, invite, of_kind};
use onebit::grpc::pb::officer::CaseState;

const SECRET: &str = "a secret that both of them know: %+&=";

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_signs_in_by_a_real_provider_registers_a_passkey_and_decides_by_keyboard() {
    let [console, address] = [free_address(), free_address()];
    let of = |address: &str| format!("https://localhost:{}", address.rsplit_once(':').unwrap().1);
    let (origin, issuer) = (of(&console), of(&address));
    let mut oidc = toml::Table::new();
    for (key, value) in [
        ("issuer", issuer.as_str()),
        ("client_id", "onebit"),
        ("secret_file", "client-secret"),
        ("authority", "ca.pem"),
        ("title", "Agency"),
    ] {
        oidc.insert(key.to_owned(), value.into());
    }
    oidc.insert("acr".to_owned(), vec!["two-factor"].into());
    oidc.insert("amr".to_owned(), vec!["otp"].into());
    let options = HolderOptions::default()
        .config("console", "listen", console)
        .config("console", "origin", origin.clone())
        .config("console", "certificate", "server/certificate.pem")
        .config("console", "key", "server/key.pem")
        .config("console", "oidc", oidc);
    let mut holder = Holder::prepared(&options);
    fs::write(holder.path("client-secret"), format!("{SECRET}\n")).unwrap();
    fs::set_permissions(holder.path("client-secret"), fs::Permissions::from_mode(0o600)).unwrap();
    holder.serve().await;
    holder.enrol(0..2).await;
    holder.release_key();
    let disclosure = holder.request(&holder.hit(1).await, &FIELDS).await;
    let (change, code) = invite(&holder, &origin, "hana", "approving-officer");
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
    let story = json!({
        "origin": origin,
        "issuer": issuer,
        "secret": SECRET,
        "certificate": holder.path("server/certificate.pem"),
        "key": holder.path("server/key.pem"),
        "chromium": chromium(),
        "pictures": Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-pages"),
        "case": disclosure.split_once('/').unwrap().1,
        "code": code,
        "fields": FIELDS,
    });
    let mut child = Command::new("node")
        .arg(repository().join("tests/browser/provider.mjs"))
        .arg(story.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`node` should start; run `.ci/setup lint`");
    let mut stdin = child.stdin.take().unwrap();
    let mut last = Value::Null;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(subject) = last["bind"].as_str() {
            let args = ["bind-account", "--name", "hana", "--issuer", &issuer, "--subject", subject];
            holder.change(who::ADMIN, who::PRIVACY, &args);
        }
        if let Some(change) = last["confirm"].as_str() {
            holder.onebit(who::PRIVACY, &["change", "confirm", change]).ok();
        }
        if last["decided"].as_bool().unwrap_or(false) {
            assert_eq!(holder.case_state(&disclosure).await, CaseState::PartiallyApproved);
        }
        if last["looked"].is_null() {
            writeln!(stdin, "{}", json!({})).unwrap();
        }
    }
    assert!(child.wait().unwrap().success(), "the story in the browser failed; what it said stands above");
    assert!(last["looked"].as_u64().unwrap() >= 5, "{last}");
    let entries = holder.entries("holder").await;
    let signed = of_kind(&entries, "person.signed-in");
    assert_eq!(signed.len(), 1, "of the two accounts and the password alone, one signed in");
    assert_eq!((fact(signed[0], "issuer"), fact(signed[0], "assurance")), (issuer.as_str(), "two-factor"));
    let log = holder.log_output();
    assert!(!log.contains(SECRET) && !log.contains("sub-of-hana"), "the log tells a secret or a subject");
    whole(holder).await;
}
