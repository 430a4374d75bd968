//! A period decided again under rules that are not in force yet, from an export that a privacy officer made.

use crate::holder::{Holder, HolderOptions, copy, repository, who};
use crate::story::{Choice, FIELDS, answer_about};

#[tokio::test]
async fn a_privacy_officer_sees_what_newer_rules_would_have_decided_otherwise() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let channel = holder.channel(who::AU).await;
    answer_about(&channel, 0).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    }
    let export = holder.path("export");
    let out = export.to_str().unwrap();
    let why = ["--reason", "before rules change", "--out", out];
    holder.onebit(who::PRIVACY, &[&["audit", "export", "--journal", "au-border"], &why[..]].concat()).ok();

    let newer = holder.path("newer");
    copy(&repository().join("policy"), &newer);
    let agreement = newer.join("agreements/au-border-identity.toml");
    let text = std::fs::read_to_string(&agreement).unwrap();
    let text = text.replace("number = 2", "number = 3").replace("per_day = 2_000", "per_day = 1");
    std::fs::write(&agreement, text).unwrap();

    let (older, newer) = (repository().join("policy"), newer.to_str().unwrap().to_owned());
    let told = holder.onebit(who::PRIVACY, &["policy", "diff", older.to_str().unwrap(), &newer]).ok();
    assert!(told.contains("CLOSES") && told.contains("questions a day: 1, and not 2000"), "{told}");

    let key = holder.log_key("au-border");
    let args = ["policy", "replay", &newer, "--since", "2026-01-01", "--journal", out, "--key", &key];
    let found = holder.onebit(who::PRIVACY, &[&args[..], &["--output", "json"]].concat()).json();
    assert_eq!((found["questions"].as_u64(), found["approvals"].as_u64()), (Some(2), Some(1)), "{found}");
    let would: Vec<&str> =
        found["differently"].as_array().unwrap().iter().map(|it| it["would"].as_str().unwrap()).collect();
    assert!(would.iter().any(|it| it.contains("VOLUME_DAY_EXHAUSTED")), "{would:?}");
    assert!(would.iter().any(|it| it.contains("1 more approving-officer")), "{would:?}");

    let checkpoint = std::fs::read_to_string(export.join("checkpoint")).unwrap();
    std::fs::write(export.join("checkpoint"), checkpoint.replacen("au-border", "ca-border", 1)).unwrap();
    assert!(
        holder.onebit(who::PRIVACY, &args).failed().contains("REFUSED"),
        "a spoilt export is not replayed"
    );
}
