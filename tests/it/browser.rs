//! The console in a real browser: Debian's Chromium, with a passkey of its own for each of two officers and a privacy officer. The story is in
//! `tests/browser/console.mjs`; its pictures of every page lie in the target folder afterwards.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::chromium::{Story, chromium};
use crate::confirm::{asked_with, at_cosine, confirming};
use crate::console::with_console;
use crate::enrolment::npy;
use crate::holder::{Holder, who};
use crate::story::{FIELDS, STRANGER, fact, invite, of_kind, people, sample_of};
use onebit::grpc::pb::officer::CaseState;

const PERSON: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn two_officers_release_fields_by_keyboard_and_every_page_holds_at_every_width_in_both_colours() {
    let (holder, origin) = with_console(confirming(8)).await;
    holder.release_key();
    let mut disclosures = Vec::new();
    // With fresh samples that confirm the hit, leave it open, and contradict it.
    for (person, cosine) in [(PERSON, 0.9), (4, 0.19), (5, 0.02)] {
        let query = holder.hit(person).await;
        disclosures.push(asked_with(&holder, &query, &at_cosine(person, cosine)).await);
    }
    let officers = ["hana", "nikau"].map(|name| {
        let (change, code) = invite(&holder, &origin, name, "approving-officer");
        holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
        json!({ "name": name, "code": code })
    });
    let (change, code) = invite(&holder, &origin, "wiremu", "privacy-officer");
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
    let watcher = json!({ "name": "wiremu", "code": code });
    let record = people().record(PERSON);
    let requests = requests(&holder);
    let cases: Vec<&str> = disclosures.iter().map(|name| name.split_once('/').unwrap().1).collect();
    let story = json!({
        "origin": origin,
        "certificate": holder.path("server/certificate.pem"),
        "chromium": chromium(),
        "pictures": Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-pages"),
        "officers": officers,
        "watcher": watcher,
        "cases": cases,
        "requests": requests,
        "breach": breach(&holder),
        "report": report(&holder),
        "person": people().source_id(PERSON),
        "samples": samples(&holder),
        "fields": FIELDS,
        "values": FIELDS.map(|field| record[field].value.clone()),
    });
    let mut played = Story::start("console.mjs", &story);
    let mut last = Value::Null;
    while let Some(said) = played.next(&holder) {
        if said["examiner"].as_bool().unwrap_or(false) {
            played.answer(&examiner(&holder, &origin).await);
        }
        last = said;
    }
    played.ended();
    assert!(last["pages"].as_u64().unwrap() > 20, "{last}");
    assert_eq!(holder.case_state(&disclosures[0]).await, CaseState::Released);
    assert_eq!(holder.case_state(&disclosures[1]).await, CaseState::Denied);
    assert_eq!(holder.case_state(&disclosures[2]).await, CaseState::NeedsInformation);
    let entries = holder.entries("holder").await;
    let viewed = of_kind(&entries, "field.viewed");
    assert_eq!(viewed.len(), 1, "each value that was shown is an entry");
    assert_eq!(fact(viewed[0], "field"), FIELDS[0]);
    let read = |kind| of_kind(&entries, kind).into_iter().filter(|entry| entry.actor == "wiremu").count();
    let looks = of_kind(&entries, "subject.reported").into_iter();
    let looks = looks.filter(|entry| fact(entry, "reason") == "R-LATE, passport seen");
    assert_eq!(
        looks.count(),
        4,
        "each look at what is held of somebody is an entry, and so is one at nobody"
    );
    assert!(read("log.searched") >= 4 && read("log.read") >= 1, "each page of the log is an entry");
}

/// Somebody of Wellington is away, and an officer of the story fills their seat.
fn delegation(holder: &Holder) {
    let uri = "spiffe://immigration.example/person/hemi";
    let issue = ["cert", "issue", "--authority", "authorities/holder", "--uri", uri, "--out", "hemi"];
    holder.onebit(who::ADMIN, &issue).ok();
    let person =
        ["person", "--name", "hemi", "--role", "approving-officer", "--certificate", "hemi/hemi.pem"];
    holder.change(who::ADMIN, who::PRIVACY, &[&person[..], &["--unit", "wellington"]].concat());
    let now = jiff::Timestamp::now();
    let [since, until] = [now, now + jiff::SignedDuration::from_hours(24)].map(|at| at.to_string());
    let seat = ["delegation", "--seat-of", "hemi", "--to", "nikau", "--since", &since, "--until", &until];
    holder.change(who::ADMIN, who::PRIVACY, &seat);
}

/// Files to find a person by: a fresh sample of them, a stranger's, and one that is no array.
fn samples(holder: &Holder) -> Value {
    let saved = |name: &str, content: &[u8]| {
        let path = holder.path(name);
        fs::write(&path, content).unwrap();
        path
    };
    json!({
        "mate": saved("mate.npy", &npy(&[sample_of(PERSON, 9)])),
        "stranger": saved("stranger.npy", &npy(&[sample_of(STRANGER, 9)])),
        "none": saved("none.npy", b"no array"),
    })
}

/// One request of a person that is closed, and one that is late.
fn requests(holder: &Holder) -> Vec<String> {
    let run = |args: &[&str]| {
        let ran =
            holder.onebit(who::PRIVACY, &[&["subject", "request"], args, &["--output", "json"]].concat());
        ran.json()["request"].as_str().unwrap().split_once('/').unwrap().1.to_owned()
    };
    let open =
        |reference| run(&["open", "--kind", "access", "--reference", reference, "--received", "2026-01-12"]);
    let closed = open("R-CLOSED");
    let close = ["close", &closed, "--outcome", "refused", "--ground", "53(c)"];
    run(&[&close[..], &["--reason", "An investigation is under way."]].concat());
    vec![closed, open("R-LATE")]
}

/// A breach that is assessed, of which the Commissioner was not told yet.
fn breach(holder: &Holder) -> String {
    let run = |args: &[&str]| {
        holder.onebit(who::PRIVACY, &[&["breach"], args, &["--output", "json"]].concat()).json()
    };
    let aware = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30)).to_string();
    let opened = run(&[
        "open",
        "--kind",
        "disclosure",
        "--what",
        "A list went to the wrong address.",
        "--aware",
        &aware,
    ]);
    let name = opened["breach"].as_str().unwrap().to_owned();
    run(&["contain", &name, "--what", "It was called back."]);
    run(&["affected", &name, "--entry", "au-border/3", "--reason", "whom does it affect?"]);
    let factors = ["action", "sensitivity", "harm", "recipient", "security", "other"];
    let factors: Vec<String> = factors.iter().map(|factor| format!("{factor}:considered")).collect();
    let factors: Vec<&str> = factors.iter().flat_map(|factor| ["--factor", factor.as_str()]).collect();
    run(&[&["assess", &name, "--finding", "notifiable", "--reason", "likely to harm"], &factors[..]].concat());
    name.split_once('/').unwrap().1.to_owned()
}

/// What a person is given, as the browser finds it on a disk.
fn report(holder: &Holder) -> String {
    let [_, key] = who::PRIVACY.credential();
    let (key, out) = (holder.path(key.to_str().unwrap()), holder.path("given"));
    let withhold = "restrictions:53(c):An investigation is under way.";
    let args = ["subject", "report", "--source-id", &people().source_id(PERSON), "--withhold", withhold];
    let more = ["--reason", "R-LATE", "--signing-key", key.to_str().unwrap(), "--out", out.to_str().unwrap()];
    holder.onebit(who::PRIVACY, &[&args[..], &more].concat()).ok();
    format!("file://{}", out.join("report.html").display())
}

/// From now on the agreement asks for an examiner too, who names a comparison; one is invited, and a case asked for.
async fn examiner(holder: &Holder, origin: &str) -> Value {
    let asked = "role = \"approving-officer\"\nnumber = 2\n";
    let more = format!("{asked}\n[[approval]]\nrole = \"examiner\"\nnumber = 1\ncomparison = \"required\"\n");
    holder.policy_activate(&[("agreements/au-border-identity.toml", asked, &more)]);
    let disclosure = holder.request(&holder.hit(6).await, &FIELDS).await;
    delegation(holder);
    let (change, code) = invite(holder, origin, "moana", "examiner");
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
    json!({ "case": disclosure.split_once('/').unwrap().1, "name": "moana", "code": code })
}
