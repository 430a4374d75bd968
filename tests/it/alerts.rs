//! Detectors on what a real holder's journals say: from exports, without the server, and by the server's own watch.

use std::future::ready;

use serde_json::Value;

use crate::holder::{Holder, HolderOptions, until, who};
use crate::story::{OrRefused as _, answer_about, ask, fact, of_kind, question_about, reason};

#[tokio::test]
async fn a_canary_that_matched_is_found_in_an_export_and_honest_questions_are_not() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let channel = holder.channel(who::AU).await;
    for person in 0..2 {
        answer_about(&channel, person).await;
    }
    let entries = holder.entries("au-border").await;
    let answered = of_kind(&entries, "query.answered");
    let canary = format!("subjects/{}", fact(answered[1], "subject").trim_start_matches("subjects/"));
    let export = holder.path("export");
    let (out, key) = (export.to_str().unwrap(), holder.log_key("au-border"));
    holder
        .onebit(
            who::PRIVACY,
            &["audit", "export", "--journal", "au-border", "--reason", "weekly look", "--out", out],
        )
        .ok();
    let look = ["audit", "alerts", "--journal", out, "--log-key", &key];
    assert!(holder.onebit(who::PRIVACY, &look).ok().contains("nothing in them looks unlike honest traffic"));

    let found =
        holder.onebit(who::PRIVACY, &[&look[..], &["--canary", &canary, "--output", "json"]].concat()).json();
    let alerts = found["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{found}");
    assert_eq!(
        (alerts[0]["detector"].as_str(), alerts[0]["entries"][0]["journal"].as_str()),
        (Some("canary"), Some("au-border"))
    );
    let index = alerts[0]["entries"][0]["index"].as_u64().unwrap();
    assert_eq!(index, answered[1].index, "the alert names its entry");

    // One decision says what it was and stops the official; the alert is shown as judged from then on.
    assert!(alerts[0]["judged"].is_null(), "{found}");
    std::fs::write(holder.path("alerts.json"), found.to_string()).unwrap();
    let id = &alerts[0]["alert"].as_str().unwrap()[..12];
    let judge = |finding: &str, more: &[&str]| {
        let args =
            ["audit", "judge", id, "--alerts", "alerts.json", "--finding", finding, "--reason", "looked"];
        holder.onebit(who::PRIVACY, &[&args[..], more].concat())
    };
    assert!(judge("odd", &[]).failed().contains("explained"));
    let nobody = judge("misuse", &["--suspend-partner", "no-such", "--suspend-official", "x"]).failed();
    assert!(nobody.contains("NOT_FOUND"), "{nobody}");
    assert_eq!(of_kind(&holder.entries("holder").await, "alert.judged").len(), 0, "nothing is half done");
    judge("wrong", &[]).ok();
    judge("misuse", &["--suspend-partner", "au-border", "--suspend-official", "officer-7f3a"]).ok();
    let stopped = ask(&channel, question_about(0)).await.refused();
    assert_eq!(reason(&stopped), "OFFICIAL_SUSPENDED");
    let own = holder.path("own");
    let (own, own_key) = (own.to_str().unwrap(), holder.log_key("holder"));
    let export = ["audit", "export", "--journal", "holder", "--reason", "weekly look", "--out", own];
    holder.onebit(who::PRIVACY, &export).ok();
    let with_own = ["--journal", own, "--log-key", &own_key, "--canary", &canary];
    let told = holder.onebit(who::PRIVACY, &[&look[..], &with_own].concat()).ok();
    assert!(told.contains(&format!("judged misuse by {}", who::PRIVACY.name())), "{told}");
    let entries = holder.entries("holder").await;
    let [first, last] = &of_kind(&entries, "alert.judged")[..] else { panic!("two judgements") };
    assert_eq!((fact(first, "finding"), fact(last, "finding")), ("wrong", "misuse"));
    let [missed, suspended] = &of_kind(&entries, "official.suspended")[..] else { panic!("two attempts") };
    assert_eq!(fact(missed, "detail"), "NOT_FOUND");
    assert!(fact(suspended, "reason").contains(id) && fact(last, "evidence").contains("au-border/"));
    let other = ["audit", "judge", id, "--alerts", "alerts.json", "--finding", "wrong", "--reason", "x"];
    assert!(holder.onebit(who::OFFICER, &other).failed().contains("PERMISSION_DENIED"));
    assert!(judge_unknown(&holder).contains("has no alert whose id begins with"));
    let mut about_the_judge = found.clone();
    about_the_judge["alerts"][0]["whom"] = who::PRIVACY.name().into();
    std::fs::write(holder.path("alerts.json"), about_the_judge.to_string()).unwrap();
    assert!(judge("explained", &[]).failed().contains("another privacy officer judges it"));
    holder.whole();

    let refused = holder.onebit(who::PRIVACY, &[&look[..], &["--canary", "somebody"]].concat()).failed();
    assert!(refused.contains("`somebody` is not the name of a subject"), "{refused}");
    let refused = holder.onebit(who::PRIVACY, &[&look[..], &["--journal", out]].concat()).failed();
    assert!(refused.contains("2 journals and 1 keys"), "{refused}");
}

/// What the server's own watch found.
fn watched(holder: &Holder) -> Value {
    let look = ["audit", "alerts", "--reason", "weekly look", "--output", "json"];
    holder.onebit(who::PRIVACY, &look).json()
}

#[tokio::test]
async fn the_server_watches_its_own_log_and_shows_what_came_of_it() {
    let mut holder = Holder::start(HolderOptions::people(2).config("jobs", "tending_every_s", 1)).await;
    let channel = holder.channel(who::AU).await;
    answer_about(&channel, 1).await;
    let asked = fact(of_kind(&holder.entries("au-border").await, "query.answered")[0], "subject").to_owned();
    let canary = format!("subjects/{}", asked.trim_start_matches("subjects/"));
    assert_eq!(watched(&holder)["alerts"].as_array().unwrap().len(), 0);
    holder.stop().await;
    holder.configure(
        "alerts",
        "canaries",
        Value::from(vec![canary]).to_string().parse::<toml::Value>().unwrap(),
    );
    holder.serve().await;

    // What was written before the start is found, and what is written from now on.
    let found = |count| ready(watched(&holder)["alerts"].as_array().unwrap().len() == count);
    until("the question before the start is an alert", || found(1)).await;
    let channel = holder.channel(who::AU).await;
    answer_about(&channel, 0).await;
    answer_about(&channel, 1).await;
    until("so is one after it", || found(2)).await;
    let list = watched(&holder);
    let places: Vec<_> = list["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["entries"][0]["index"].as_u64().unwrap())
        .collect();
    let answered = holder.entries("au-border").await;
    let answered = of_kind(&answered, "query.answered");
    assert_eq!(places, [answered[2].index, answered[0].index], "the newest stands first");
    assert_eq!(list["current"], true);

    // It is judged by its id alone, is shown as judged at once, and after a restart.
    let id = &list["alerts"][0]["alert"].as_str().unwrap()[..12];
    let judge = ["audit", "judge", id, "--finding", "explained", "--reason", "a test of the canary"];
    holder.onebit(who::PRIVACY, &judge).ok();
    let is_judged = |list: &Value| list["alerts"][0]["judged"]["by"] == who::PRIVACY.name();
    assert!(is_judged(&watched(&holder)), "{}", watched(&holder));
    holder.restart().await;
    until("it is judged after a restart", || ready(is_judged(&watched(&holder)))).await;
    assert!(watched(&holder)["alerts"][1]["judged"].is_null());

    // Asking is a read of the log; nobody else may, and nobody without a reason.
    let refused = holder.onebit(who::OFFICER, &["audit", "alerts", "--reason", "x"]).failed();
    assert!(refused.contains("PERMISSION_DENIED"), "{refused}");
    let refused = holder.onebit(who::PRIVACY, &["audit", "alerts"]).failed();
    assert!(refused.contains("--reason") && refused.contains("--journal"), "{refused}");
    let none = ["audit", "judge", "ffff", "--finding", "wrong", "--reason", "x"];
    let refused = holder.onebit(who::PRIVACY, &none).failed();
    assert!(refused.contains("the server has no alert whose id begins with `ffff`"), "{refused}");
    let entries = holder.entries("holder").await;
    let reads = of_kind(&entries, "log.read");
    assert!(reads.iter().any(|read| fact(read, "action").ends_with("LogService/ListAlerts")));
    holder.whole();
}

fn judge_unknown(holder: &Holder) -> String {
    let args = ["audit", "judge", "ffff", "--alerts", "alerts.json", "--finding", "wrong", "--reason", "x"];
    holder.onebit(who::PRIVACY, &args).failed()
}
