//! Retention, from the outermost door: what may go is told, what is too young is refused, and two people decide.
//!
//! A class is kept for a day at least and the server has the machine's clock, so what is destroyed and what stays is
//! shown where a test holds the clock: `src/store/sqlite/disposal/tests.rs`.

use std::fs;

use onebit::clock::{Clock, SystemClock, date_of};

use crate::holder::{Holder, HolderOptions, copy, repository, until, who};
use crate::story::answer_about;

#[tokio::test]
async fn what_is_too_young_is_refused_with_the_day_on_which_it_may_go() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let au = holder.channel(who::AU).await;
    let _ = answer_about(&au, 0).await;
    let today = SystemClock.now().day();
    let dispose = |class: &str, before: i64| {
        let before = date_of(before).to_string();
        let args =
            ["change", "propose", "dispose", "--class", class, "--before", &before, "--reason", "a try"];
        holder.onebit(who::PRIVACY, &args).failed()
    };
    let tomorrow = dispose("query", today + 1);
    let from = date_of(today + 1 + 2_557).to_string();
    for said in ["NOT_NOW", "query-log", "2557 days", &from] {
        assert!(tomorrow.contains(said), "`{said}` is not in: {tomorrow}");
    }
    let nothing = dispose("query", today - 3_000);
    assert!(nothing.contains("NOT_NOW") && nothing.contains("nothing of `query` is kept"), "{nothing}");
    for (class, before) in [("queries", "2026-01-01"), ("query", "yesterday"), ("query", "2026-02-30")] {
        let args =
            ["change", "propose", "dispose", "--class", class, "--before", before, "--reason", "a try"];
        assert_eq!(holder.onebit(who::PRIVACY, &args).code(), Some(2), "{class} before {before}");
    }
    let changes = holder.onebit(who::PRIVACY, &["change", "list"]).ok();
    assert!(!changes.contains("destroy"), "what was refused must not wait for a second person:\n{changes}");
}

#[tokio::test]
async fn a_privacy_officer_sees_what_may_go_and_nobody_outside_does() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let _ = answer_about(&holder.channel(who::AU).await, 0).await;
    let shown = holder.onebit(who::PRIVACY, &["retention", "--output", "json"]).json();
    let shown = shown.as_array().unwrap();
    let payloads: Vec<&str> = shown.iter().map(|one| one["payloads"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["query", "disclosure", "enrolment", "administration", "access"]);
    let today = date_of(SystemClock.now().day()).to_string();
    let query = &shown[0];
    assert_eq!((query["days"].as_u64(), query["retention_class"].as_str()), (Some(2_557), Some("query-log")));
    // The day may have turned while the question was answered.
    assert!(query["oldest"].as_str().is_some_and(|day| day <= today.as_str() && !day.is_empty()));
    assert_eq!((query["disposable_days"].as_u64(), query["disposable_entries"].as_u64()), (Some(0), Some(0)));
    assert_eq!(shown[1]["oldest"], "", "nobody asked for a disclosure");
    let table = holder.onebit(who::ADMIN, &["retention"]).ok();
    assert!(table.contains("administration-log") && table.contains("disposal authority"), "{table}");
    for outsider in [who::OFFICER, who::EXAMINER, who::ENROLLER, who::AU] {
        let told = holder.onebit(outsider, &["retention"]).failed();
        assert!(told.contains("ROLE_NOT_ALLOWED"), "{outsider:?}: {told}");
    }
}

#[tokio::test]
async fn rules_without_a_class_for_each_payload_are_refused() {
    let holder = Holder::start(HolderOptions::default()).await;
    let folder = holder.path("rules");
    copy(&repository().join("policy"), &folder);
    let file = folder.join("retention.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("access = \"access-log\"\n", "")).unwrap();
    let checked = holder.onebit(who::PRIVACY, &["policy", "check", "rules"]);
    let told = checked.out();
    checked.failed();
    assert!(told.contains("rules/retention.toml:") && told.contains("`access`"), "{told}");
}

/// The job runs at the start: it finds nothing to say, and says that in numbers.
#[tokio::test]
async fn operators_are_told_in_numbers_how_much_is_past_its_class() {
    let address = crate::holder::free_address();
    let holder = Holder::start(HolderOptions::default().config("metrics", "listen", address.clone())).await;
    until("the job has looked", || async {
        let page = crate::operating::scrape(&address);
        ["query", "disclosure", "enrolment", "administration", "access"]
            .iter()
            .all(|kind| page.contains(&format!("onebit_payload_days_past_retention{{kind=\"{kind}\"}} 0")))
    })
    .await;
    assert!(!holder.log_output().contains("past their retention"));
}
