//! A person asks: what the holder has of them, and that it is corrected; from the command line of a privacy officer to
//! the page in the person's hands.

use std::path::PathBuf;

use serde_json::Value;

use crate::enrolment::npy;
use crate::holder::{Holder, HolderOptions, Ran, until, who};
use crate::story::{
    Choice, FIELDS, HIDDEN, STRANGER, answer_about, ask, fact, of_kind, people, question_about, sample_of,
};
use onebit::grpc::pb::partner::Answer;

/// What a person is given.
struct Report {
    json: Value,
    page: String,
    folder: PathBuf,
}

fn report(holder: &Holder, name: &str, args: &[&str]) -> Report {
    let folder = holder.path(name);
    let [_, key] = who::PRIVACY.credential();
    let key = holder.path(key.to_str().unwrap());
    let fixed = ["subject", "report", "--reason", "request 2026-12", "--signing-key", key.to_str().unwrap()];
    let out = ["--out", folder.to_str().unwrap()];
    holder.onebit(who::PRIVACY, &[&fixed[..], &out, args].concat()).ok();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    Report { json: serde_json::from_str(&read("report.json")).unwrap(), page: read("report.html"), folder }
}

fn verify(holder: &Holder, report: &Report, signer: crate::holder::Who) -> Ran {
    let [certificate, _] = signer.credential();
    let signer = holder.path(certificate.to_str().unwrap());
    let args =
        ["subject", "verify-report", report.folder.to_str().unwrap(), "--signer", signer.to_str().unwrap()];
    holder.onebit(who::PRIVACY, &args)
}

fn list<'a>(report: &'a Report, part: &str) -> &'a Vec<Value> {
    report.json[part].as_array().unwrap()
}

fn source(person: u64) -> String {
    people().source_id(person)
}

#[tokio::test]
async fn a_report_tells_the_person_everything_and_nothing_that_compares_them() {
    let holder = Holder::start(HolderOptions::people(14)).await;
    holder.release_key();
    let channel = holder.channel(who::AU).await;
    let name = holder.request(&holder.hit(0).await, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &name, Choice::Grant(&FIELDS[..1])).await.unwrap();
    }
    holder.onebit(who::AU, &["request", "fetch", &name, "--out", "release.bin"]).ok();
    assert_eq!(answer_about(&channel, STRANGER).await, Answer::NoHit);
    answer_about(&channel, 1).await;

    let told = report(&holder, "one", &["--source-id", &source(0)]);
    assert_eq!(told.json["form"], "onebit/subject-report/1");
    assert_eq!(told.json["known"], true);
    let [template] = &list(&told, "templates")[..] else { panic!("one template: {}", told.json) };
    assert_eq!(template["collection"], "watch-face");
    assert_eq!(template["enrolled_by"], who::ENROLLER.name());
    assert!(template["enrolled"].as_str().unwrap().starts_with("20"));
    let record = people().record(0);
    assert_eq!(list(&told, "record").len(), record.len());
    for field in list(&told, "record") {
        assert_eq!(field["value"], record[field["field"].as_str().unwrap()].value.as_str());
        assert!(told.page.contains(field["value"].as_str().unwrap()));
    }
    let [query] = &list(&told, "queries")[..] else { panic!("one question: {}", told.json) };
    assert_eq!((&query["partner"], &query["purpose"]), (&"au-border".into(), &"border-identity".into()));
    assert!(list(&told, "hidden_queries").is_empty());
    let [disclosure] = &list(&told, "disclosures")[..] else { panic!("one disclosure: {}", told.json) };
    assert_eq!(disclosure["agreement"], "au-border-identity");
    assert_eq!(disclosure["fields_asked"].as_array().unwrap().len(), 2);
    assert_eq!(disclosure["fields_released"], serde_json::json!([FIELDS[0]]));
    assert!(!disclosure["rule"].as_str().unwrap().is_empty());
    assert!(disclosure["fetched"].is_string() && disclosure["acknowledged"].is_null());
    // Who at the partner, which case, and who decided, are of other people.
    let text = told.json.to_string();
    for others in ["officer-7f3a", "C-2026-0017", who::OFFICER.name()] {
        assert!(!text.contains(others) && !told.page.contains(others), "`{others}` is not the person's");
    }
    verify(&holder, &told, who::PRIVACY).ok();
    assert!(verify(&holder, &told, who::ADMIN).failed().contains("is signed by the key"));
    let page = told.folder.join("report.html");
    std::fs::set_permissions(&page, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&page, told.page.replace("au-border", "ca-border")).unwrap();
    assert!(verify(&holder, &told, who::PRIVACY).failed().contains("not as it was signed"));

    let entries = holder.entries("holder").await;
    let [entry] = &of_kind(&entries, "subject.reported")[..] else { panic!("one report is one entry") };
    assert_eq!((fact(entry, "reason"), fact(entry, "attribute")), ("request 2026-12", "source-id"));
    assert!(!holder.log_output().contains(&source(0)), "the holder's own id is in no log");
    holder.whole();
}

#[tokio::test]
async fn a_fresh_sample_finds_a_hidden_person_and_nobody_for_a_stranger() {
    let holder = Holder::start(HolderOptions::people(14)).await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, HIDDEN).await, Answer::NoHit);
    let sample = |person: u64, name: &str| {
        let path = holder.path(name);
        std::fs::write(&path, npy(&[sample_of(person, 7)])).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (hidden, stranger) = (sample(HIDDEN, "hidden.npy"), sample(STRANGER, "stranger.npy"));
    let args = |file: &str| {
        ["--embedding", file, "--quality", "80", "--collection", "watch-face"].map(str::to_owned)
    };
    let told = {
        let args = args(&hidden);
        report(&holder, "hidden", &args.each_ref().map(String::as_str))
    };
    assert_eq!(told.json["known"], true);
    assert_eq!(list(&told, "hidden_queries").len(), 1, "{}", told.json);
    assert!(list(&told, "queries").is_empty());
    let [restriction] = &list(&told, "restrictions")[..] else { panic!("one restriction: {}", told.json) };
    assert!(restriction["given"].is_null(), "it came with enrolment");
    let nobody = {
        let args = args(&stranger);
        report(&holder, "stranger", &args.each_ref().map(String::as_str))
    };
    assert_eq!(nobody.json["known"], false);
    assert!(nobody.page.contains("Nothing was found"));
    verify(&holder, &nobody, who::PRIVACY).ok();
    let entries = holder.entries("holder").await;
    let reported = of_kind(&entries, "subject.reported");
    assert_eq!(reported.iter().map(|it| fact(it, "attribute")).collect::<Vec<_>>(), ["sample", "sample"]);
    assert_eq!(fact(reported[1], "subject"), "nobody");
    holder.whole();
}

#[tokio::test]
async fn what_is_withheld_is_named_with_its_section_and_is_nowhere_in_the_file() {
    let holder = Holder::start(HolderOptions::people(14)).await;
    let channel = holder.channel(who::AU).await;
    let first = ask(&channel, question_about(0)).await.unwrap().query;
    let second = ask(&channel, question_about(0)).await.unwrap().query;
    let one = format!("{first}:53(c):an investigation is under way");
    let withhold = ["--withhold", &one, "--withhold", "record:49:a serious threat to somebody"];
    let told = report(&holder, "part", &[&["--source-id", &source(0)], &withhold[..]].concat());
    let [query] = &list(&told, "queries")[..] else { panic!("one is left: {}", told.json) };
    assert_eq!(query["query"], second.as_str());
    assert!(list(&told, "record").is_empty());
    let text = told.json.to_string();
    assert!(!text.contains(&first) && !told.page.contains(&first), "what is withheld is told after all");
    for value in people().record(0).values().map(|field| &field.value) {
        assert!(!text.contains(value.as_str()), "`{value}` is withheld");
    }
    for words in ["Section 53(c)", "an investigation is under way", "Section 49", "a serious threat"] {
        assert!(told.page.contains(words), "`{words}` is missing");
    }
    assert!(told.page.contains("Privacy Commissioner"));
    let entries = holder.entries("holder").await;
    let entry = of_kind(&entries, "subject.reported")[0];
    let kept = fact(entry, "withholding");
    assert!(kept.contains(&first) && kept.contains("53(c)") && kept.contains("record 49"), "{kept}");

    let out = holder.path("wrong");
    let fixed = [
        "subject",
        "report",
        "--reason",
        "a test",
        "--source-id",
        &source(0),
        "--out",
        out.to_str().unwrap(),
    ];
    let wrong = [&fixed[..], &["--withhold", "record:48:no such ground"]].concat();
    let refused = holder.onebit(who::PRIVACY, &wrong).failed();
    assert!(refused.contains("ground") && refused.contains("53(c)"), "{refused}");
    for other in [who::OFFICER, who::ADMIN, who::ENROLLER] {
        assert!(holder.onebit(other, &fixed).failed().contains("ROLE_NOT_ALLOWED"));
    }
    assert!(!out.exists(), "a refusal leaves no folder behind");
}

fn request(holder: &Holder, args: &[&str]) -> Ran {
    holder.onebit(who::PRIVACY, &[&["subject", "request"], args, &["--output", "json"]].concat())
}

#[tokio::test]
async fn a_request_runs_by_working_days_is_extended_in_time_and_closed_with_its_ground() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    // Yesterday's date, by whatever clock this runs.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let yesterday = today.yesterday().unwrap().to_string();
    let open = ["open", "--kind", "access", "--reference", "R-12", "--source-id", &source(0)];
    let opened = request(&holder, &[&open, &["--received", &yesterday][..]].concat()).json();
    assert_eq!((&opened["kind"], &opened["known"]), (&"access".into(), &true.into()));
    let name = opened["request"].as_str().unwrap();
    let due: jiff::Timestamp = opened["due"].as_str().unwrap().parse().unwrap();
    let days = (due.as_second() - jiff::Timestamp::now().as_second()) / 86_400;
    assert!((24..=45).contains(&days), "twenty working days are four weeks at least: {opened}");
    let ahead = today.tomorrow().unwrap().tomorrow().unwrap().to_string();
    let refused = request(&holder, &[&open, &["--received", &ahead][..]].concat()).failed();
    assert!(refused.contains("received"), "{refused}");

    let extend =
        |until: &str| request(&holder, &["extend", name, "--until", until, "--reason", "many questions"]);
    assert!(extend(&yesterday).failed().contains("later date"));
    let extended = extend("2099-01-05").json();
    assert!(extended["due"].as_str().unwrap().starts_with("2099-01-05"), "{extended}");
    let close = |more: &[&str]| {
        request(&holder, &[&["close", name, "--reason", "part is withheld", "--outcome"], more].concat())
    };
    assert!(close(&["granted-in-part"]).failed().contains("--ground"));
    assert!(close(&["granted", "--ground", "49"]).failed().contains("leave --ground out"));
    assert!(close(&["corrected"]).failed().contains("no outcome of this kind"));
    let closed = close(&["granted-in-part", "--ground", "53(c)", "--ground", "49"]).json();
    assert_eq!(closed["grounds"], serde_json::json!(["53(c)", "49"]));
    assert!(close(&["granted"]).failed().contains("closed"));
    assert_eq!(request(&holder, &["show", name]).json(), closed);
    assert_eq!(request(&holder, &["list"]).json()["requests"], serde_json::json!([]));
    assert_eq!(request(&holder, &["list", "--closed"]).json()["requests"][0]["request"], name);

    let entries = holder.entries("holder").await;
    let kinds: Vec<&str> = ["opened", "extended", "closed"].to_vec();
    for kind in kinds {
        let kind = format!("subject.request-{kind}");
        assert_eq!(of_kind(&entries, &kind).len(), 1, "{kind}");
    }
    assert_eq!(fact(of_kind(&entries, "subject.request-closed")[0], "grounds"), "53(c),49");
    assert!(!holder.log_output().contains("R-12"), "the reference stands in no log");
    holder.whole();
}

#[tokio::test]
async fn a_late_request_is_told_once_and_can_still_be_decided() {
    let holder = Holder::start(HolderOptions::default().config("jobs", "tending_every_s", 1)).await;
    let open = ["open", "--kind", "access", "--reference", "R-1", "--received", "2026-01-12"];
    let opened = request(&holder, &open).json();
    // New Zealand's Waitangi Day lies in between.
    assert_eq!(opened["due"], "2026-02-10T11:00:00.000Z", "{opened}");
    let name = opened["request"].as_str().unwrap();
    let late = async || of_kind(&holder.entries("holder").await, "subject.request-overdue").len();
    until("the request to be told late", async || late().await == 1).await;
    let shown = request(&holder, &["show", name]).json();
    assert!(shown["late"].is_string());
    let extend = ["extend", name, "--until", "2099-01-05", "--reason", "too late"];
    assert!(request(&holder, &extend).failed().contains("time of the request is over"));
    // Another job's round: what is noted is not noted again.
    let next = request(&holder, &[&open[..4], &["R-2", "--received", "2026-01-13"][..]].concat()).json();
    until("the next to be told late", async || late().await == 2).await;
    let closed = ["close", name, "--outcome", "withdrawn", "--reason", "the person says so"];
    request(&holder, &closed).ok();
    let listed = request(&holder, &["list"]).json();
    assert_eq!(listed["requests"].as_array().unwrap().len(), 1);
    assert_eq!(listed["requests"][0]["request"], next["request"]);
    assert_eq!(late().await, 2, "once each");
    holder.whole();
}

#[tokio::test]
async fn a_dispute_hides_at_once_and_a_statement_goes_wherever_the_field_goes() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let key = holder.release_key();
    let channel = holder.channel(who::AU).await;
    let release = async |number: u32| {
        let name = holder.request(&holder.hit(0).await, &FIELDS).await;
        for officer in [who::OFFICER, who::OTHER_OFFICER] {
            holder.decide(officer, &name, Choice::Grant(&FIELDS)).await.unwrap();
        }
        let file = format!("release-{number}.bin");
        holder.onebit(who::AU, &["request", "fetch", &name, "--out", &file]).ok();
        (name, file)
    };
    let (before, _) = release(1).await;

    let open =
        ["open", "--kind", "correction", "--reference", "R-3", "--source-id", &source(0), "--disputed"];
    let opened = request(&holder, &[&open, &["--received", "2026-03-02"][..]].concat()).json();
    assert_eq!(answer_about(&channel, 0).await, Answer::NoHit, "whoever disputes is hidden at once");
    let entries = holder.entries("holder").await;
    let [restricted] = &of_kind(&entries, "subject.restricted")[..] else { panic!("one restriction") };
    assert_eq!(fact(restricted, "restriction"), "disputed");
    assert!(fact(restricted, "reason").contains(opened["request"].as_str().unwrap()));
    let lift = ["lift-restriction", "--source-id", &source(0), "--restriction", "disputed"];
    holder.change(who::ADMIN, who::PRIVACY, &lift);
    assert_eq!(answer_about(&channel, 0).await, Answer::Hit, "two people have lifted it");

    let words = "It is spelt with one l; the register is wrong.";
    let state = |field: &str, person: u64| {
        let name = opened["request"].as_str().unwrap();
        let of = ["--source-id", &source(person), "--request", name].map(str::to_owned);
        let args = ["subject", "state", "--field", field, "--statement", words].map(str::to_owned);
        let all: Vec<String> = args.into_iter().chain(of).collect();
        holder.onebit(who::PRIVACY, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(state("no-such-field", 0).failed().contains("no such field"));
    assert!(state(FIELDS[0], 900).failed().contains("NOT_FOUND"));
    state(FIELDS[0], 0).ok();
    let told = async || {
        let shown = holder.onebit(who::AU, &["request", "show", &before, "--output", "json"]).json();
        shown["corrections"].as_array().unwrap().clone()
    };
    until("the recipient to be told", async || told().await.len() == 1).await;
    let correction = &told().await[0];
    assert_eq!(correction["kind"], "statement", "{correction}");
    assert_eq!(correction["statement"], words);

    let (_, file) = release(2).await;
    let seen = ["review", "view-field", &before, "--field", FIELDS[0], "--output", "json"];
    assert_eq!(holder.onebit(who::OFFICER, &seen).json()["statements"], serde_json::json!([words]));
    let opened_fields =
        holder.onebit(who::AU, &["open", &file, "--release-key", &key, "--output", "json"]).json();
    let fields = opened_fields["fields"].as_array().unwrap();
    let of = |name: &str| fields.iter().find(|field| field["field"] == name).unwrap();
    assert_eq!(of(FIELDS[0])["statements"], serde_json::json!([words]));
    assert!(of(FIELDS[1]).get("statements").is_none());

    let report = report(&holder, "stated", &["--source-id", &source(0)]);
    let [statement] = &list(&report, "statements")[..] else { panic!("one statement: {}", report.json) };
    assert_eq!((&statement["field"], &statement["statement"]), (&FIELDS[0].into(), &words.into()));
    assert_eq!(list(&report, "disclosures").len(), 2);
    assert_eq!(list(&report, "disclosures")[0]["corrections"][0]["kind"], "statement");
    holder.whole();

    // What is said of a person goes with the person.
    holder
        .onebit(who::PRIVACY, &["subject", "erase", "--source-id", &source(0), "--reason", "asked for"])
        .ok();
    holder.whole();
}
