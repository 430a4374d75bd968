//! Running it: configuration, health, metrics, logs without personal data, and an end in order.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use onebit::grpc::pb::partner::ask_queries_response::Result as Outcome;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use onebit::grpc::pb::partner::{Answer, AskQueriesRequest, Question};
use onebit::telemetry::Step;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::holder::{Holder, HolderOptions, ONEBIT, free_address, repository, until, who};
use crate::story::{
    Choice, FIELDS, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, people, question_about, sample_of,
    subject,
};

#[tokio::test]
async fn asked_to_end_it_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut holder = Holder::start(HolderOptions::people(2)).await;
    let au = holder.channel(who::AU).await;
    let (questions, asked) = mpsc::channel(8);
    let send = async |person| {
        questions.send(AskQueriesRequest { question: Some(question_about(person)) }).await.unwrap();
    };
    let mut answers =
        QueryServiceClient::new(au).ask_queries(ReceiverStream::new(asked)).await.unwrap().into_inner();
    send(0).await;
    assert!(matches!(answers.message().await.unwrap().unwrap().result, Some(Outcome::Answered(_))));
    let mut health = HealthClient::new(holder.channel(who::ADMIN).await);
    let mut watched = health.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    holder.terminate();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(watched);
    let [certificate, key] = holder.credential(who::AU);
    until("nobody new is let in", || async { holder.channel_with(&certificate, &key).await.is_err() }).await;
    for person in [0, STRANGER, 1] {
        send(person).await;
        let answer = answers.message().await.unwrap().expect("a stream under way should be finished");
        assert!(matches!(answer.result, Some(Outcome::Answered(_))));
    }
    drop(questions);
    assert!(answers.message().await.unwrap().is_none(), "the stream ends when its questions do");
    let status = holder.ended().await;
    assert!(status.success(), "the server ended with {status}");
    holder.serve().await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 0).await, Answer::Hit);
}

#[tokio::test]
async fn the_log_tells_how_long_each_step_of_a_question_took_and_nothing_else_of_it() {
    let holder = Holder::start(HolderOptions::people(20).config("log", "filter", "debug")).await;
    let au = holder.channel(who::AU).await;
    let steps_of = |from: usize| -> Vec<String> {
        let log = holder.log_output();
        let lines = log[from..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let done = lines.filter(|line| line["message"] == "step done" && line["rpc"] == ASK_QUERY);
        let steps = done.map(|line| {
            assert!(line["micros"].is_u64(), "{line}");
            let mut names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["level", "message", "micros", "rpc", "step", "target", "time"], "{line}");
            line["step"].as_str().unwrap().to_owned()
        });
        steps.collect()
    };
    for person in [0, HIDDEN, STRANGER] {
        let from = holder.log_output().len();
        ask(&au, question_about(person)).await.unwrap();
        let steps = ["permit", "look-up", "permit", "protect", "search", "record"];
        assert_eq!(steps_of(from), steps);
    }
}

#[tokio::test]
async fn metrics_count_calls_and_tell_nothing_about_people_or_outcomes() {
    let address = free_address();
    let holder = Holder::start(HolderOptions::people(20).config("metrics", "listen", address.clone())).await;
    let au = holder.channel(who::AU).await;
    for person in [0, HIDDEN, STRANGER] {
        ask(&au, question_about(person)).await.unwrap();
    }
    ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();
    let page = scrape(&address);
    assert!(
        page.contains("onebit_rpcs_total{rpc=\"partner.QueryService/AskQuery\",code=\"OK\"} 3"),
        "{page}"
    );
    for name in [
        "onebit_rpc_seconds",
        "onebit_commit_seconds",
        "onebit_step_seconds",
        "onebit_connections_open",
        "onebit_jobs_total",
    ] {
        assert!(page.contains(name), "`{name}` is missing:\n{page}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels =
            line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (name, value) = label.split_once('=').unwrap();
            assert!(
                ["rpc", "code", "reason", "job", "kind", "step", "le", "quantile"].contains(&name),
                "the label `{name}` may tell too much: {line}"
            );
            let is_step = Step::ALL.iter().any(|step| step.as_str() == value.trim_matches('"'));
            assert!(name != "step" || is_step, "`step` is for the steps that every question takes: {line}");
            assert!(
                name != "kind" || PAYLOADS.contains(&value.trim_matches('"')),
                "`kind` is for the fixed words of payload classes: {line}"
            );
            assert!(
                !["HIT", "NO_HIT", "au-border", "ca-border"].contains(&value.trim_matches('"')),
                "{line}"
            );
        }
    }
    let lower = page.to_lowercase();
    for word in ["no_hit", "outcome", "hidden", "score"] {
        assert!(!lower.contains(word), "metrics speak of `{word}`:\n{page}");
    }
    // A hit and a stranger move the same counters by the same.
    let counters = |page: &str| -> BTreeMap<String, f64> {
        let is_count = |line: &&str| line.contains("_total") || line.contains("_count");
        let lines = page.lines().filter(|line| !line.starts_with('#')).filter(is_count);
        lines
            .filter(|line| line.contains("AskQuery") || line.contains("step="))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    };
    for step in Step::ALL {
        let name = format!("onebit_step_seconds_count{{step=\"{}\"}}", step.as_str());
        assert!(counters(&page).contains_key(&name), "`{name}` is missing:\n{page}");
    }
    let mut moved = Vec::new();
    for person in [1, STRANGER, HIDDEN] {
        let before = counters(&scrape(&address));
        ask(&au, question_about(person)).await.unwrap();
        let after = counters(&scrape(&address));
        let by =
            |(name, after): (&String, &f64)| (name.clone(), after - before.get(name).copied().unwrap_or(0.0));
        moved.push(after.iter().map(by).collect::<Vec<_>>());
    }
    assert!(moved[0] == moved[1] && moved[1] == moved[2], "metrics tell hits from others: {moved:?}");
}

/// Everything happens once while the log is as talkative as it can be; then its lines are searched for what must
/// not be there.
#[tokio::test]
async fn the_most_talkative_log_holds_no_personal_data() {
    let mut holder = Holder::start(HolderOptions::people(20).config("log", "filter", "trace")).await;
    let key = holder.release_key();
    let au = holder.channel(who::AU).await;
    for person in [0, HIDDEN, STRANGER] {
        ask(&au, question_about(person)).await.unwrap();
    }
    let mut bad = question_about(0);
    bad.samples[0].quality = Some(500);
    ask(&au, bad).await.refused();
    ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();
    let mut unsound = subject(3);
    unsound.fields[0].classification = String::new();
    holder.enrol_subjects(vec![unsound, subject(4)]).await;
    let disclosure = holder.request(&holder.hit(1).await, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.onebit(officer, &["review", "view-field", &disclosure, "--field", "family-name"]).ok();
        holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    }
    holder.onebit(who::AU, &["request", "fetch", &disclosure, "--out", "release.json"]).ok();
    holder.onebit(who::AU, &["open", "release.json", "--release-key", &key, "--acknowledge"]).ok();
    let restrict = [
        "subject",
        "restrict",
        "--source-id",
        "syn-000002",
        "--restriction",
        "witness",
        "--reason",
        "a trial in May",
    ];
    holder.onebit(who::ENROLLER, &restrict).ok();
    holder
        .onebit(
            who::ENROLLER,
            &["subject", "erase", "--source-id", "syn-000005", "--reason", "asked for it in May"],
        )
        .ok();
    holder
        .onebit(who::PRIVACY, &["audit", "list", "--journal", "au-border", "--reason", "a complaint in May"])
        .ok();
    holder.stop().await;

    let log = holder.log_output();
    assert!(log.contains("call refused"), "at `trace` the log should say something:\n{log}");
    for line in log.lines() {
        let line: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("a log line is no JSON ({error}): {line}"));
        assert!(line.is_object(), "{line}");
    }
    let mut private: Vec<String> =
        ["C-2026-0017", "officer-7f3a", "registrar-1", "Example Act", "syn-0000", "Two identities", "in May"]
            .map(str::to_owned)
            .to_vec();
    let long_enough = |value: &String| value.chars().count() > 3;
    private.extend(
        (0..6).flat_map(|person| people().record(person)).map(|(_, field)| field.value).filter(long_enough),
    );
    for vector in [people().embedding(0), sample_of(0, 0), sample_of(STRANGER, 0)] {
        private.extend(
            vector
                .iter()
                .take(16)
                .map(|value| format!("{:.5}", value.abs()))
                .filter(|text| !text.contains("0.0000")),
        );
    }
    private.extend([who::OFFICER, who::PRIVACY].map(|person| format!("\"{}\"", person.name())));
    for value in private {
        assert!(!log.contains(&value), "the log holds `{value}`");
    }
}

#[tokio::test]
async fn the_health_service_says_that_it_serves() {
    let holder = Holder::start(HolderOptions::default()).await;
    assert_eq!(holder.health().await, Some(ServingStatus::Serving));
    let mut health = HealthClient::new(holder.channel(who::ADMIN).await);
    let unknown = health.check(HealthCheckRequest { service: "no.such.Service".to_owned() }).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::NotFound);
}

#[test]
fn a_configuration_is_checked_with_the_line_of_each_fault() {
    let holder = Holder::prepared(&HolderOptions::default());
    let check = || holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]);
    assert!(check().ok().contains("holds"), "the configuration of the ceremony should hold");
    let text = fs::read_to_string(holder.config()).unwrap();
    for (fault, what) in [
        ("\n[server2]\nx = 1\n", "server2"),
        ("\n[search]\nthread = 1\n", "thread"),
        ("\n[search]\nthreads = 0\n", "threads"),
    ] {
        fs::write(holder.config(), format!("{text}{fault}")).unwrap();
        let line = text.lines().count() + fault.lines().position(|it| it.contains(what)).unwrap() + 1;
        let told = check().failed();
        assert!(
            told.contains(&format!("onebit.toml:{line}:")) && told.contains(what),
            "`{what}` in line {line} should be told: {told}"
        );
        let served = Command::new(ONEBIT).args(["serve", "--config"]).arg(holder.config()).output().unwrap();
        assert!(
            !served.status.success() && served.stdout.is_empty(),
            "a server must not start with a wish that it does not know"
        );
    }
    fs::write(holder.config(), text).unwrap();
    fs::remove_file(holder.path("server/key.pem")).unwrap();
    assert!(check().failed().contains("key.pem"));
}

#[test]
fn the_sample_configuration_has_nothing_unknown_in_it() {
    let sample = repository().join("onebit.sample.toml");
    onebit::config::Config::read(&sample).unwrap();
}

#[tokio::test]
async fn one_store_has_one_server_and_its_own_root_key() {
    let mut holder = Holder::start(HolderOptions::default()).await;
    let serve = || {
        let output = Command::new(ONEBIT).args(["serve", "--config"]).arg(holder.config()).output().unwrap();
        assert!(!output.status.success(), "a server started where none should");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let second = serve();
    assert!(second.contains("another server"), "{second}");
    holder.stop().await;
    let document: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    let root = document["root_key"]["file"].as_str().unwrap();
    let kept = fs::read(holder.path(root)).unwrap();
    let passphrase = document["root_key"]["passphrase_file"].as_str().unwrap();
    fs::write(holder.path(passphrase), "not the passphrase\n").unwrap();
    let serve = || Command::new(ONEBIT).args(["serve", "--config"]).arg(holder.config()).output().unwrap();
    let wrong = serve();
    assert!(
        !wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("passphrase"),
        "{}",
        String::from_utf8_lossy(&wrong.stderr)
    );
    assert_eq!(fs::read(holder.path(root)).unwrap(), kept, "a failed start must change nothing");
}

const ASK_QUERY: &str = "partner.QueryService/AskQuery";
/// The only values of the label `kind`.
const PAYLOADS: [&str; 5] = ["query", "disclosure", "enrolment", "administration", "access"];

/// The metrics that are served at an address.
pub(crate) fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
