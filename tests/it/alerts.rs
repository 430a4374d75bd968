//! Detectors on what a real holder's journals say, from exports, without the server.

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{answer_about, fact, of_kind};

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
    let look = ["audit", "alerts", "--journal", out, "--key", &key];
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

    let refused = holder.onebit(who::PRIVACY, &[&look[..], &["--canary", "somebody"]].concat()).failed();
    assert!(refused.contains("`somebody` is not the name of a subject"), "{refused}");
    let refused = holder.onebit(who::PRIVACY, &[&look[..], &["--journal", out]].concat()).failed();
    assert!(refused.contains("2 journals and 1 keys"), "{refused}");
}
