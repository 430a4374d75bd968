//! A breach of privacy, from the moment the holder knows of it to its end: by the executable against a real server, with the
//! clock of 72 hours, whom it affects, the second person, and the documents that are signed.

use serde_json::{Value, json};

use crate::holder::{Holder, HolderOptions, Ran, until, who};
use crate::story::{Choice, FIELDS, HIDDEN, STRANGER, answer_about, fact, of_kind};

fn breach(holder: &Holder, who: crate::holder::Who, args: &[&str]) -> Ran {
    holder.onebit(who, &[&["breach"][..], args, &["--output", "json"]].concat())
}

fn by_officer(holder: &Holder, args: &[&str]) -> Ran {
    breach(holder, who::PRIVACY, args)
}

/// A moment so many hours ago.
fn hours_ago(hours: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string()
}

fn open(holder: &Holder, hours: i64) -> String {
    let aware = hours_ago(hours);
    let args =
        ["open", "--kind", "access", "--what", "An official looked people up without a case.", "--aware"];
    let opened = by_officer(holder, &[&args[..], &[&aware, "--found-by", "au-border/3"]].concat()).json();
    opened["breach"].as_str().unwrap().to_owned()
}

const FACTORS: [&str; 12] = [
    "--factor",
    "action:the official was suspended",
    "--factor",
    "sensitivity:names and dates of birth",
    "--factor",
    "harm:somebody may be sought out",
    "--factor",
    "recipient:one official of the partner",
    "--factor",
    "security:what was released is sealed to the partner",
    "--factor",
    "other:none",
];

fn assess(holder: &Holder, case: &str, finding: &str) -> Ran {
    let args = ["assess", case, "--finding", finding, "--reason", "considered"];
    by_officer(holder, &[&args[..], &FACTORS].concat())
}

#[tokio::test]
async fn a_breach_goes_from_its_discovery_to_its_end_and_each_step_is_an_entry() {
    let holder = Holder::start(HolderOptions::people(14)).await;
    holder.release_key();
    let au = holder.channel(who::AU).await;
    for person in [STRANGER, HIDDEN, 1] {
        answer_about(&au, person).await;
    }
    let name = holder.request(&holder.hit(0).await, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &name, Choice::Grant(&FIELDS[..1])).await.unwrap();
    }
    let case = open(&holder, 2);
    let early = by_officer(&holder, &["close", &case, "--reason", "done"]).failed();
    assert!(early.contains("is not assessed"), "{early}");
    by_officer(&holder, &["contain", &case, "--what", "The official was suspended."]).ok();

    // Whom it affects: those who hit, and nobody who was hidden from the partner or is not there.
    let traced = ["affected", &case, "--partner", "au-border", "--reason", "who is affected"];
    let traced = by_officer(&holder, &traced).json();
    assert_eq!(traced["affected"], 2, "{traced}");
    assert_eq!(
        (&traced["fields"], &traced["recipients"]),
        (&json!([FIELDS[0]]), &json!(["partner au-border"]))
    );
    let people = traced["people"].as_array().unwrap();
    assert!(people.iter().all(|one| one["subject"].as_str().unwrap().starts_with("subjects/")), "{traced}");
    let traced = ["affected", &case, "--official", "nobody-there", "--reason", "the other one"];
    assert_eq!(by_officer(&holder, &traced).json()["affected"], 0);

    let short = ["assess", &case, "--factor", "harm:none", "--finding", "notifiable", "--reason", "x"];
    assert!(by_officer(&holder, &short).failed().contains("six factors"));
    let told = ["notified", &case, "--detail", "OPC-1", "--reason", "the portal", "--at"];
    let now = hours_ago(0);
    let told = [&told[..], &[&now, "--to", "commissioner"]].concat();
    assert!(by_officer(&holder, &told).failed().contains("is not assessed"));
    assess(&holder, &case, "notifiable").ok();
    let close = ["close", &case, "--reason", "all is done"];
    assert!(by_officer(&holder, &close).failed().contains("the Commissioner was not told"));
    by_officer(&holder, &told).ok();
    assert!(by_officer(&holder, &close).failed().contains("affected people were not told"));
    let exception =
        ["notified", &case, "--to", "exception", "--reason", "an inquiry", "--at", &now, "--detail"];
    assert!(by_officer(&holder, &[&exception[..], &["116(9)"]].concat()).failed().contains("116(1)(a)"));
    by_officer(&holder, &[&exception[..], &["116(4)"]].concat()).ok();
    let tomorrow = hours_ago(-24);
    let ahead = [
        "notified",
        &case,
        "--to",
        "individuals",
        "--reason",
        "x",
        "--detail",
        "by letter",
        "--at",
        &tomorrow,
    ];
    assert!(by_officer(&holder, &ahead).failed().contains("not later than now"));
    let ahead = [&ahead[..9], &[&now]].concat();
    by_officer(&holder, &ahead).ok();
    let closed = by_officer(&holder, &close).json();
    assert_eq!((closed["state"].as_str(), closed["late"].is_null()), (Some("closed"), true), "{closed}");
    assert!(by_officer(&holder, &["contain", &case, "--what", "x"]).failed().contains("is closed"));

    let entries = holder.entries("holder").await;
    for (kind, times) in [
        ("breach.opened", 1),
        ("breach.contained", 1),
        ("breach.traced", 2),
        ("breach.assessed", 1),
        ("breach.notified", 3),
        ("breach.closed", 1),
    ] {
        assert_eq!(of_kind(&entries, kind).len(), times, "{kind}");
    }
    let [traced, _] = &of_kind(&entries, "breach.traced")[..] else { panic!("two entries") };
    assert_eq!(fact(traced, "reason"), "who is affected");
    let open = by_officer(&holder, &["list"]).json();
    assert_eq!(open["breaches"], json!([]), "{open}");
    assert_eq!(by_officer(&holder, &["list", "--closed"]).json()["breaches"][0]["breach"], case.as_str());
    holder.whole();
}

#[tokio::test]
async fn a_finding_that_nobody_need_be_told_takes_a_second_person_of_another_role() {
    let mut holder = Holder::start(HolderOptions::people(1)).await;
    let case = open(&holder, 1);
    assess(&holder, &case, "not-notifiable").ok();
    assert!(by_officer(&holder, &["close", &case, "--reason", "x"]).failed().contains("second person"));
    let confirm = ["confirm", &case, "--reason", "seen the entries"];
    assert!(by_officer(&holder, &confirm).failed().contains("PERMISSION_DENIED"));
    breach(&holder, who::ADMIN, &confirm).ok();
    holder.restart().await;
    let closed = by_officer(&holder, &["close", &case, "--reason", "not likely to harm"]).json();
    assert_eq!(closed["assessment"]["confirmation"]["by"], who::ADMIN.name(), "{closed}");
    holder.whole();
}

#[tokio::test]
async fn who_is_told_late_is_noted_once_and_who_may_not_sees_nothing() {
    let holder = Holder::start(HolderOptions::people(1).config("jobs", "tending_every_s", 1)).await;
    let late = open(&holder, 73);
    let soon = open(&holder, 1);
    let noted = async || of_kind(&holder.entries("holder").await, "breach.overdue").len();
    until("it is noted that the Commissioner was not told", async || noted().await > 0).await;
    let listed = by_officer(&holder, &["list"]).json();
    let listed: Vec<(&str, bool)> = listed["breaches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["breach"].as_str().unwrap(), one["late"].is_string()))
        .collect();
    assert_eq!(
        listed,
        [(late.as_str(), true), (soon.as_str(), false)],
        "those that are due first come first"
    );
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert_eq!(noted().await, 1, "once");

    for who in [who::OFFICER, who::ENROLLER, who::AU] {
        assert!(breach(&holder, who, &["show", &late]).failed().contains("PERMISSION_DENIED"));
    }
    let nobody = format!("breaches/{}", "0".repeat(32));
    assert!(by_officer(&holder, &["show", &nobody]).failed().contains("NOT_FOUND"));
    let aware = hours_ago(-2);
    for (args, due) in [
        (vec!["open", "--kind", "access", "--what", "x", "--aware", &aware], "lies ahead"),
        (vec!["open", "--kind", "theft", "--what", "x", "--aware", "2026-01-01T00:00:00Z"], "kind"),
        (vec!["open", "--kind", "access", "--what", "x", "--aware", "yesterday"], "is no time"),
        (vec!["affected", &soon, "--reason", "x"], "nothing is named"),
        (vec!["affected", &soon, "--reason", "x", "--entry", "au-border"], "entries"),
    ] {
        let told = by_officer(&holder, &args).failed();
        assert!(told.contains(due), "{args:?}: {told}");
    }
    holder.whole();
}

#[tokio::test]
async fn the_notification_says_what_the_act_asks_for_and_is_signed() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let case = open(&holder, 5);
    let [certificate, key] = who::PRIVACY.credential().map(|path| holder.path(path.to_str().unwrap()));
    let make = |to: &str, out: &str, more: &[&str]| {
        let args =
            ["notification", &case, "--to", to, "--out", out, "--contact", "privacy@immigration.example"];
        by_officer(&holder, &[&args[..], &["--signing-key", key.to_str().unwrap()], more].concat())
    };
    assert!(make("commissioner", "early", &[]).failed().contains("was not found to be notifiable"));
    by_officer(&holder, &["affected", &case, "--partner", "au-border", "--reason", "who"]).ok();
    assess(&holder, &case, "notifiable").ok();
    make("commissioner", "official", &["--agency", "The police, who look into it"]).ok();
    assert!(make("individuals", "people", &[]).failed().contains("--advice"));
    make("individuals", "people", &["--advice", "Ask for what is held of you."]).ok();

    let read = |folder: &str, file: &str| std::fs::read_to_string(holder.path(folder).join(file)).unwrap();
    let official: Value = serde_json::from_str(&read("official", "report.json")).unwrap();
    assert_eq!(
        (&official["official"]["affected"], official["official"]["case"].as_str()),
        (&json!(1), Some(&*case))
    );
    assert_eq!(official["official"]["factors"].as_array().unwrap().len(), 6);
    let page = read("official", "report.html");
    assert!(page.contains("au-border") && page.contains("The police, who look into it"), "{page}");
    let page = read("people", "report.html");
    assert!(page.contains("Ask for what is held of you.") && page.contains("privacy@immigration.example"));
    for of_others in ["au-border", "subjects/", "The police", &case] {
        assert!(!page.contains(of_others), "people are not told `{of_others}`");
    }

    let verify = |folder: &str| {
        let args = ["breach", "verify-notification", folder, "--signer", certificate.to_str().unwrap()];
        holder.onebit(who::PRIVACY, &args)
    };
    assert!(verify("official").ok().contains("as it was signed"));
    let changed = read("people", "report.html").replace("Ask for", "Forget");
    std::fs::write(holder.path("people").join("report.html"), changed).unwrap();
    assert!(verify("people").failed().contains("is not as it was signed"));
}
