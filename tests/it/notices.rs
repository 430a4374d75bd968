//! Notices: a real mail server and a real system, both over TLS, that a real server tells what happened.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use onebit::grpc::pb::officer::AskInformationRequest;
use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use serde_json::{Value, json};

use crate::holder::{Holder, HolderOptions, Who, free_address, repository, until, who};
use crate::operating::scrape;
use crate::python::{python, run_python};
use crate::story::{Choice, FIELDS, fact, of_kind, people};

const USER: &str = "onebit";
const PASSWORD: &str = "correct horse";
const AGREEMENT: &str = "agreements/au-border-identity.toml";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_by_mail_and_webhook_and_nothing_of_a_person_is() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    let sink = Sink::start(&holder);
    sink.configure(&holder);
    // Both refuse at first.
    sink.control(&json!({ "mail": "451 later", "hooks": { "/desk": 503, "/partner": 503 } }));
    holder.serve().await;
    let webhook = sink.agreement(&holder, "/partner");
    holder.policy_activate(&[(AGREEMENT, "[retention]\n", &format!("{webhook}[retention]\n"))]);
    holder.enrol(0..2).await;
    let release_key = holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    until("mail and webhook were tried and refused", || async {
        sink.lines("tries.jsonl").len() > 1 && sink.lines("hooks.jsonl").len() > 1
    })
    .await;
    let status = notices(&holder, &["status", "--output", "json"]).json();
    let receivers: Vec<&str> =
        status["receivers"].as_array().unwrap().iter().map(|one| one["receiver"].as_str().unwrap()).collect();
    let officer = format!("person/{}", who::OFFICER.name());
    assert_eq!(receivers, [officer.as_str(), "system/desk"], "{status:#}");
    assert_eq!(status["receivers"][0]["reason"], "deferred", "{status:#}");
    assert_eq!(
        (&status["receivers"][1]["reason"], &status["receivers"][1]["waiting"]),
        (&json!("refused"), &json!(1))
    );
    assert!(sink.lines("mails.jsonl").is_empty());

    sink.control(&json!({}));
    ask_and_answer(&holder, &disclosure).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    }
    holder.onebit(who::AU, &["request", "fetch", &disclosure, "--out", "release.json"]).ok();
    holder.onebit(who::AU, &["open", "release.json", "--release-key", &release_key, "--acknowledge"]).ok();
    until("all of it is told", || async {
        sink.taken("/desk").len() >= 5
            && sink.taken("/partner").len() >= 2
            && sink.lines("mails.jsonl").len() >= 2
    })
    .await;
    until("nothing waits any more", || async {
        notices(&holder, &["status", "--output", "json"]).json()["receivers"] == json!([])
    })
    .await;

    let mut desk = sink.taken("/desk");
    desk.sort();
    assert_eq!(desk, ["answered", "collected", "decided", "needs-information", "new"], "each once");
    let mut partner = sink.taken("/partner");
    partner.sort();
    assert_eq!(
        partner,
        ["decided", "needs-information"],
        "a partner is told what it can ask for, and no more"
    );
    let mut subjects: Vec<String> = sink.mails().iter().map(|mail| header(mail, "Subject")).collect();
    subjects.sort();
    assert_eq!(subjects, ["A new request for disclosure", "A partner has answered"]);
    for mail in sink.mails() {
        assert!(header(&mail, "Message-ID").starts_with("<notice."), "{mail}");
        assert!(
            !header(&mail, "Date").is_empty() && header(&mail, "Auto-Submitted") == "auto-generated",
            "{mail}"
        );
        assert!(header(&mail, "To") == "officer@holder.example", "{mail}");
        let id = disclosure.split_once('/').unwrap().1;
        assert!(mail.contains(id), "the mail says which disclosure: {mail}");
    }
    for mail in sink.lines("mails.jsonl") {
        assert!(mail["tls"].as_str().unwrap().starts_with("TLSv1."), "{mail}");
    }
    nothing_else_is_told(&sink);
    verified_by_python(&holder, &sink);
    assert!(!holder.log_output().contains("officer@holder"), "addresses are in no log line");
    holder.whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_before_a_kill_is_told_after_the_next_start_and_in_one_mail_of_the_day() {
    let mut holder = Holder::prepared(&HolderOptions::default().config("log", "filter", "debug"));
    let sink = Sink::start(&holder);
    sink.configure(&holder);
    let mut config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    let other = who::OTHER_OFFICER.name();
    let people = config["notices"]["people"].as_table_mut().unwrap();
    let daily: toml::Table =
        "address = 'other@holder.example'\nkinds = ['new', 'withdrawn']\ndigest = true".parse().unwrap();
    people.insert(other.to_owned(), daily.into());
    fs::write(holder.config(), config.to_string()).unwrap();
    // The job looks at the start, and then not again within this test.
    holder.configure("jobs", "notices_every_s", 3_600);
    sink.control(&json!({}));
    holder.serve().await;
    holder.enrol(0..3).await;
    let mut disclosures = Vec::new();
    for person in 0..3 {
        disclosures.push(holder.request(&holder.hit(person).await, &FIELDS).await);
    }
    holder.kill();
    assert!(sink.lines("hooks.jsonl").is_empty() && sink.lines("mails.jsonl").is_empty());
    let status = notices(&holder, &["status", "--output", "json"]).json();
    assert_eq!(status["unaddressed"], 3, "{status:#}");

    holder.serve().await;
    until("all three are told", || async { sink.taken("/desk").len() >= 3 && sink.mails().len() >= 3 }).await;
    let told: Vec<Value> =
        sink.lines("hooks.jsonl").iter().map(|hook| sink_body(hook)["data"]["disclosure"].clone()).collect();
    for disclosure in &disclosures {
        assert!(told.contains(&json!(disclosure)), "{disclosure} should be among {told:?}");
    }
    until("the daily mail waits alone", || async {
        let status = notices(&holder, &["status", "--output", "json"]).json();
        let receivers = status["receivers"].as_array().unwrap().clone();
        receivers.len() == 1 && receivers[0]["waiting"] == 3 && receivers[0]["failing"] == 0
    })
    .await;
    holder.decide(who::OFFICER, &disclosures[0], Choice::Deny).await.unwrap();
    holder.stop().await;
    // The hour comes, and two of the three come near their end.
    let sql = rusqlite::Connection::open(holder.store_folder().join("onebit.sqlite")).unwrap();
    assert_eq!(sql.execute("UPDATE notice_deliveries SET next_ms = 0", []).unwrap(), 3);
    let last_quarter = "SELECT count(*) FROM notice_reminders r JOIN disclosures d ON d.id = r.disclosure
                        WHERE r.at_ms = d.created_ms + 36 * 3600 * 1000";
    assert_eq!(sql.query_row(last_quarter, [], |row| row.get::<_, u64>(0)).unwrap(), 2, "36 hours of 48");
    assert_eq!(sql.execute("UPDATE notice_reminders SET at_ms = 0", []).unwrap(), 2);
    drop(sql);
    holder.serve().await;
    until("the daily mail has come", || async { sink.mails().len() >= 4 }).await;
    let mail = sink.mails().into_iter().find(|mail| header(mail, "To") == "other@holder.example").unwrap();
    assert_eq!(header(&mail, "Subject"), "3 notices about disclosures");
    until("officers are reminded of what is still open", || async {
        sink.mails().iter().filter(|mail| header(mail, "Subject").ends_with("comes to its end")).count() >= 2
            && sink.taken("/desk").len() >= 6
    })
    .await;
    let desk = sink.taken("/desk");
    assert_eq!(desk.iter().filter(|kind| *kind == "expiring").count(), 2, "{desk:?}");
    assert_eq!(desk.iter().filter(|kind| *kind == "decided").count(), 1, "{desk:?}");
    for disclosure in &disclosures {
        assert!(mail.contains(disclosure.split_once('/').unwrap().1), "{mail}");
    }
    nothing_else_is_told(&sink);
    holder.whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_holds_up_nobody_and_one_that_is_gone_is_given_up_with_an_entry() {
    let metrics = free_address();
    let mut holder = Holder::prepared(&HolderOptions::default().config("metrics", "listen", metrics.clone()));
    let sink = Sink::start(&holder);
    sink.configure(&holder);
    let mut config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    let systems = config["notices"]["systems"].as_table_mut().unwrap();
    for (name, host) in
        [("slow", "localhost"), ("gone", "localhost"), ("moved", "localhost"), ("inside", "127.0.0.1")]
    {
        systems.insert(name.to_owned(), sink.system(&format!("https://{host}:{}/{name}", sink.https)).into());
    }
    fs::write(holder.config(), config.to_string()).unwrap();
    sink.control(&json!({ "slow": "/slow", "hooks": { "/gone": 410, "/moved": 302 } }));
    holder.serve().await;
    holder.enrol(0..1).await;
    holder.request(&holder.hit(0).await, &FIELDS).await;
    until("the slow one has been asked, and the others are told", || async {
        let slow = sink.lines("tries.jsonl").iter().any(|one| one["path"] == "/slow");
        slow && sink.taken("/desk").len() == 1 && sink.mails().len() == 1
    })
    .await;
    until("one is given up", || async { notices(&holder, &["status"]).code() == Some(1) }).await;
    until("the others are tried again", || async {
        let why = reasons(&holder);
        why.contains_key("system/moved")
            && why.contains_key("system/inside")
            && why.contains_key("system/slow")
    })
    .await;
    let why = reasons(&holder);
    for (name, reason) in
        [("gone", "gone"), ("moved", "refused"), ("inside", "private-address"), ("slow", "timed-out")]
    {
        assert_eq!(why[&format!("system/{name}")], reason, "{why:?}");
    }
    assert!(
        !sink.lines("hooks.jsonl").iter().any(|hook| hook["path"] == "/elsewhere"),
        "no redirect is followed"
    );
    let entries = holder.entries("holder").await;
    let given_up = of_kind(&entries, "notice.given-up");
    assert_eq!(given_up.len(), 1);
    assert!(fact(given_up[0], "detail").starts_with("system/gone ") && fact(given_up[0], "reason") == "gone");
    let page = scrape(&metrics);
    assert!(page.contains("onebit_notices_total{kind=\"system\",reason=\"given-up\"} 1"), "{page}");
    assert!(page.contains("onebit_notices_waiting"), "{page}");
    assert!(holder.log_output().contains("is given up"), "an operator reads of it");
    holder.whole();

    let tried = notices(&holder, &["test", "--output", "json"]);
    assert_eq!(tried.code(), Some(1), "some can't be told");
    let tried: Value = serde_json::from_str(&tried.out()).unwrap();
    let delivered = |name: &str| {
        tried.as_array().unwrap().iter().find(|one| one["receiver"] == name).unwrap()["delivered"].clone()
    };
    assert_eq!(
        (delivered("system/desk"), delivered("system/gone")),
        (json!(true), json!(false)),
        "{tried:#}"
    );
    let officer = format!("person/{}", who::OFFICER.name());
    notices(&holder, &["test", "--receiver", &officer]).ok();
    assert!(sink.mails().iter().any(|mail| header(mail, "Subject").contains("test")));
}

/// A partner can't tell why nothing is released to it, by its notices neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_person_and_a_denial_are_told_in_the_same_words() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    let sink = Sink::start(&holder);
    sink.configure(&holder);
    sink.control(&json!({}));
    holder.serve().await;
    let webhook = sink.agreement(&holder, "/partner");
    holder.policy_activate(&[(AGREEMENT, "[retention]\n", &format!("{webhook}[retention]\n"))]);
    holder.enrol(0..3).await;
    holder.release_key();
    let mut cases = Vec::new();
    for person in 0..3 {
        cases.push(holder.request(&holder.hit(person).await, &FIELDS).await);
    }
    let hide = [
        "subject",
        "restrict",
        "--source-id",
        "syn-000000",
        "--restriction",
        "witness",
        "--reason",
        "a trial",
    ];
    holder.onebit(who::ENROLLER, &hide).ok();
    holder.decide(who::OFFICER, &cases[1], Choice::Deny).await.unwrap();
    for (officer, case) in [(who::OFFICER, 0), (who::OFFICER, 2), (who::OTHER_OFFICER, 2)] {
        holder.decide(officer, &cases[case], Choice::Grant(&FIELDS)).await.unwrap();
    }
    until("each is told", || async { sink.taken("/partner").len() >= 3 }).await;
    assert_eq!(sink.taken("/partner"), ["decided"; 3], "hidden, denied and released");
    let hooks = sink.lines("hooks.jsonl");
    let shapes: Vec<String> = hooks
        .iter()
        .filter(|hook| hook["path"] == "/partner")
        .map(|hook| {
            let mut body = sink_body(hook);
            assert!(cases.iter().any(|case| body["data"]["disclosure"] == **case), "{body}");
            body["data"]["disclosure"] =
                json!("x".repeat(body["data"]["disclosure"].as_str().unwrap().len()));
            body["timestamp"] = json!("x".repeat(body["timestamp"].as_str().unwrap().len()));
            body.to_string()
        })
        .collect();
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
}

#[tokio::test]
async fn what_is_wrong_with_notices_is_named_by_the_check() {
    let holder = Holder::prepared(&HolderOptions::default());
    let sink = Sink::start(&holder);
    sink.configure(&holder);
    let check = || holder.onebit(who::ADMIN, &["config", "check", "onebit.toml"]);
    assert!(check().ok().contains("notices: 1 by mail, 1 by webhook, and partners"));
    fs::write(holder.path("ca-of-mail.pem"), "none").unwrap();
    let mut config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    config["notices"]["smtp"]["authority"] = "ca-of-mail.pem".into();
    fs::write(holder.config(), config.to_string()).unwrap();
    assert!(check().failed().contains("no certificates in PEM"));
    assert!(holder.start_refused().contains("no certificates in PEM"));
}

/// An officer asks, the partner answers.
async fn ask_and_answer(holder: &Holder, disclosure: &str) {
    let question = "Which KANARIENVOGEL passport?".to_owned();
    let ask = AskInformationRequest { disclosure: disclosure.to_owned(), question };
    CaseServiceClient::new(holder.channel(who::OFFICER).await).ask_information(ask).await.unwrap();
    let answer = [
        "request",
        "answer",
        disclosure,
        "--answer",
        "The KANARIENVOGEL one.",
        "--official",
        "o-KANARIENVOGEL",
    ];
    holder.onebit(who::AU, &answer).ok();
}

/// Nothing that people wrote, no value, no field and no case is in anything that left.
fn nothing_else_is_told(sink: &Sink) {
    let mut needles: Vec<String> = [
        "KANARIENVOGEL",
        "C-2026-0017",
        "officer-7f3a",
        "Example Act",
        "border-identity",
        "au-border",
        "family-name",
        "date-of-birth",
        "RELEASED",
        "DENIED",
        "released",
        "denied",
        "HIT",
    ]
    .map(str::to_owned)
    .to_vec();
    for person in 0..3 {
        needles.extend(people().record(person).values().map(|field| field.value.clone()));
    }
    let told = fs::read_to_string(sink.folder.path().join("hooks.jsonl")).unwrap()
        + &fs::read_to_string(sink.folder.path().join("mails.jsonl")).unwrap();
    for needle in needles.iter().filter(|needle| needle.len() > 3 || *needle == "HIT") {
        assert!(!told.contains(needle), "`{needle}` was told to somebody:\n{told}");
    }
}

fn verified_by_python(holder: &Holder, sink: &Sink) {
    let page = fs::read_to_string(repository().join("docs/integrators-guide.md")).unwrap();
    let blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.filter(|block| block.contains("def verify_notice")).collect::<String>();
    let program = sink.folder.path().join("verify.py");
    fs::write(&program, format!("{block}\n{}", include_str!("../python/notice_verify.py"))).unwrap();
    let key = notices(holder, &["key"]).ok();
    let messages = sink.lines("hooks.jsonl");
    let given = json!({ "key": key.trim(), "messages": messages }).to_string();
    let seen = run_python(&[program.to_str().unwrap(), &given], sink.folder.path());
    assert_eq!(seen.trim(), messages.len().to_string());
    let times = messages.iter().map(|hook| hook["headers"]["webhook-timestamp"].as_str().unwrap());
    assert!(times.count() > 6, "tries that were refused are signed as well");
}

fn notices(holder: &Holder, args: &[&str]) -> crate::holder::Ran {
    let who: Who = who::ADMIN;
    holder.onebit(who, &[&["notices"], &args[..1], &["--config", "onebit.toml"], &args[1..]].concat())
}

/// Why each receiver that something waits for did not take it.
fn reasons(holder: &Holder) -> std::collections::BTreeMap<String, String> {
    let status: Value =
        serde_json::from_str(&notices(holder, &["status", "--output", "json"]).out()).unwrap();
    let each = status["receivers"].as_array().unwrap().iter();
    each.filter_map(|one| Some((one["receiver"].as_str()?.to_owned(), one["reason"].as_str()?.to_owned())))
        .collect()
}

fn header(mail: &str, name: &str) -> String {
    let start = format!("{}: ", name.to_lowercase());
    let head = mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let found = head.lines().find(|line| line.to_lowercase().starts_with(&start));
    found.map(|line| line[start.len()..].trim().to_owned()).unwrap_or_default()
}

fn sink_body(hook: &Value) -> Value {
    serde_json::from_str(hook["body"].as_str().unwrap()).unwrap()
}

/// A mail server and a system, as a process of their own, with a certificate of the holder's authority.
struct Sink {
    folder: tempfile::TempDir,
    child: Child,
    smtp: u16,
    https: u16,
    authority: String,
}

impl Sink {
    fn start(holder: &Holder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
        let file = |key: &str| holder.path(config["server"][key].as_str().unwrap());
        let settings = json!({
            "certificate": file("certificate"), "key": file("key"), "folder": folder.path(),
            "user": USER, "password": PASSWORD,
        });
        fs::write(folder.path().join("control.json"), "{}").unwrap();
        let program = repository().join("tests/python/notice_sink.py");
        let mut child = Command::new(python())
            .arg(program)
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value =
            serde_json::from_str(&line).expect("the sink should start; what it said stands above");
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
        let authority = holder.path("ca.pem").to_str().unwrap().to_owned();
        Self { smtp: port("smtp"), https: port("https"), folder, child, authority }
    }

    /// An officer by mail, a system by webhook, and partners; what fails is tried again at once.
    fn configure(&self, holder: &Holder) {
        fs::write(holder.path("mail-password"), format!("{PASSWORD}\n")).unwrap();
        let chmod = Command::new("chmod").arg("600").arg(holder.path("mail-password")).status().unwrap();
        assert!(chmod.success());
        let Self { smtp, https, authority, .. } = self;
        let officer = who::OFFICER.name();
        let section: toml::Table = format!(
            "to_partners = true\nprivate_hosts = ['localhost']\nretry_after_s = 1\n\
             [smtp]\nhost = 'localhost'\nport = {smtp}\nauthority = '{authority}'\nfrom = 'onebit@holder.example'\n\
             user = '{USER}'\npassword_file = 'mail-password'\n\
             [people.'{officer}']\naddress = 'officer@holder.example'\n\
             [systems.desk]\nurl = 'https://localhost:{https}/desk'\nauthority = '{authority}'\n"
        )
        .parse()
        .unwrap();
        for (key, value) in section {
            holder.configure("notices", &key, value);
        }
        holder.configure("jobs", "notices_every_s", 1);
    }

    fn system(&self, url: &str) -> toml::Table {
        format!("url = '{url}'\nauthority = '{}'", self.authority).parse().unwrap()
    }

    /// The section of an agreement.
    fn agreement(&self, holder: &Holder, path: &str) -> String {
        let pem = fs::read_to_string(holder.path("ca.pem")).unwrap();
        let url = format!("https://localhost:{}{path}", self.https);
        format!("[webhook]\nurl = \"{url}\"\nauthority = \"\"\"\n{pem}\"\"\"\n\n")
    }

    fn control(&self, orders: &Value) {
        // In one step, since it is read at any moment.
        let (new, file) = (self.folder.path().join("control.new"), self.folder.path().join("control.json"));
        fs::write(&new, orders.to_string()).unwrap();
        fs::rename(new, file).unwrap();
    }

    fn lines(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The kinds that a path has taken, in their order, each message once.
    fn taken(&self, path: &str) -> Vec<String> {
        let mut seen = std::collections::BTreeSet::new();
        let lines = self.lines("hooks.jsonl");
        let taken = lines.iter().filter(|hook| hook["path"] == path && hook["status"] == 204);
        let first = taken.filter(|hook| seen.insert(hook["headers"]["webhook-id"].to_string()));
        let kind = |hook: &Value| {
            sink_body(hook)["type"].as_str().unwrap().strip_prefix("disclosure.").map(str::to_owned)
        };
        first.filter_map(kind).collect()
    }

    fn mails(&self) -> Vec<String> {
        self.lines("mails.jsonl").iter().map(|mail| mail["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _may_be_over = self.child.kill();
        let _ended = self.child.wait();
    }
}
