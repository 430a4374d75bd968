//! Witnesses of the holder's journal: real ones, each a process of its own, that a real server asks.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use onebit::audit::checkpoint::Checkpoint;
use onebit::audit::cosignature::{WitnessKey, cosigners};
use onebit::audit::note::{Ed25519Signer, NoteSigner, VerifierKey};
use onebit::audit::submission::Submission;
use onebit::audit::tree::{Hash, leaf_hash, node_hash};
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{FetchReleaseRequest, FetchReleaseResponse};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::holder::{Holder, HolderOptions, ONEBIT, copy, free_address, repository, until, who};
use crate::operating::scrape;
use crate::story::{Choice, FIELDS, OrRefused as _, STRANGER, answer_about, fact, of_kind, reason, refusal};

/// The log of the tests that have no holder.
const ORIGIN: &str = "log.example/one";

#[tokio::test]
async fn each_answer_of_the_specification_comes_with_its_status() {
    let mut witness = Witness::new("witness.example/w1", &log_key(1).to_string());
    witness.start();
    let one = body(0, &[], &checkpoint(ORIGIN, 2, root(2), 1));
    let told = witness.post(&one).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let note = checkpoint(ORIGIN, 2, root(2), 1) + &told.text;
    assert_eq!(cosigners(&note, &[witness.key()]).unwrap(), ["witness.example/w1"]);
    let right = [leaf_hash(&[2])];
    for (status, text, why) in [
        (400, String::new(), "no submission"),
        (400, body(2, &[], "no note\n"), "no note"),
        (400, body(3, &[], &checkpoint(ORIGIN, 2, root(2), 1)), "an old size above the checkpoint's"),
        (403, body(2, &right, &checkpoint(ORIGIN, 3, root(3), 9)), "signed by nobody known"),
        (404, body(0, &[], &checkpoint("log.example/two", 1, root(1), 1)), "a log that is not known"),
        (409, body(1, &[], &checkpoint(ORIGIN, 3, root(3), 1)), "another old size"),
        (409, body(2, &[], &checkpoint(ORIGIN, 2, root(1), 1)), "another root of the same size"),
        (413, "x".repeat(300 * 1_024), "too much"),
        (422, body(2, &[root(1)], &checkpoint(ORIGIN, 3, root(3), 1)), "a proof that does not hold"),
        (422, body(2, &right, &checkpoint(ORIGIN, 3, root(1), 1)), "a tree that did not grow out of it"),
        (200, body(2, &right, &checkpoint(ORIGIN, 3, root(3), 1)), "one that did"),
    ] {
        let told = witness.post(&text).await;
        assert_eq!(told.status, status, "{why}: {}", told.text);
        if status == 409 {
            assert_eq!((told.kind.as_str(), told.text.as_str()), ("text/x.tlog.size", "2\n"), "{why}");
        }
    }
    let after = witness.post_http2(&one).await;
    assert_eq!((after.status, after.text.as_str()), (409, "3\n"), "HTTP/2 is spoken as well");

    witness.kill();
    witness.start();
    let again = witness.post(&one).await;
    assert_eq!((again.status, again.text.as_str()), (409, "3\n"), "what was seen outlives the process");
    let record = fs::read_dir(witness.folder.path().join("w/logs")).unwrap();
    for file in record {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    fs::remove_dir(witness.folder.path().join("w/logs")).unwrap();
    witness.kill();
    let refused = witness.command().output().unwrap();
    assert!(!refused.status.success(), "a witness without its records must not start");
}

#[tokio::test]
async fn a_release_waits_until_two_of_three_witnesses_have_seen_it() {
    let metrics = free_address();
    let options = eager(HolderOptions::default()).config("metrics", "listen", metrics.clone());
    let mut holder = Holder::prepared(&options);
    let log = holder.log_key("holder");
    let mut witnesses = ["w1", "w2", "w3"].map(|name| Witness::new(name, &log));
    witnesses[1].tls = Some(server_certificate(&holder));
    for witness in &mut witnesses {
        witness.start();
    }
    witnesses[1].kill();
    witnesses[2].kill();
    holder.serve().await;
    holder.policy_activate_with("witnesses.toml", &policy(&holder, &witnesses, 2, "required"));
    holder.enrol(0..2).await;
    let key = holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    assert_eq!(refusal(fetch(&holder, &disclosure).await), (Code::FailedPrecondition, "NOT_NOW".to_owned()));
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    }
    let early = fetch(&holder, &disclosure).await.refused_or("one witness is not enough");
    assert_eq!((early.code(), reason(&early).as_str()), (Code::Unavailable, "UNWITNESSED"));
    let wait = early.get_details_retry_info().and_then(|retry| retry.retry_delay);
    assert_eq!(wait.map(|wait| wait.as_secs()), Some(30), "it says when to ask again");
    until("one witness has cosigned", || async {
        scrape(&metrics).contains("onebit_witness_size{witness=\"w1\"}")
    })
    .await;
    let still = fetch(&holder, &disclosure).await.refused_or("one witness of two is not enough");
    assert_eq!(reason(&still), "UNWITNESSED");
    let own = ["audit", "witnessed", "--log-key", &holder.log_key("au-border"), "--holder-key", &log];
    let keys: Vec<String> = witnesses.iter().map(|witness| witness.key().to_string()).collect();
    let of = |keys: &[&String], more: &[&str]| -> Vec<String> {
        let keys = keys.iter().flat_map(|key| ["--witness".to_owned(), (*key).clone()]);
        own.iter()
            .map(|&arg| arg.to_owned())
            .chain(keys)
            .chain(more.iter().map(|&arg| arg.to_owned()))
            .collect()
    };
    let au = |args: &[String]| holder.onebit(who::AU, &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(au(&of(&[&keys[0]], &[])).failed().contains("UNWITNESSED"));

    witnesses[1].start();
    until("two witnesses have seen the release", || async { fetch(&holder, &disclosure).await.is_ok() })
        .await;
    au(&["request", "fetch", &disclosure, "--out", "release.json"].map(str::to_owned)).ok();
    au(&["open", "release.json", "--release-key", &key].map(str::to_owned)).ok();
    assert!(scrape(&metrics).contains("onebit_witnessed_size"));

    let two = [&keys[0], &keys[1], &keys[2]];
    let seen = au(&of(&two, &["--quorum", "2", "--out", "head.receipt", "--output", "json"])).json();
    assert_eq!(seen["witnesses"], serde_json::json!(["w1", "w2"]));
    assert!(au(&of(&two, &[])).failed().contains("2 of your witnesses cosigned it, and 3 are needed"));
    let stranger = WitnessKey::new("w1", signer(9).public_key()).unwrap().to_string();
    assert!(au(&of(&[&stranger, &keys[1]], &[])).failed().contains("REFUSED"));
    let verified = Command::new(env!("CARGO_BIN_EXE_onebit-verify"))
        .arg("receipt")
        .arg(holder.path("head.receipt"))
        .args(["--key", &log, "--witness", &keys[0], "--witness", &keys[1], "--witness", &keys[2]])
        .args(["--quorum", "2", "--show"])
        .output()
        .unwrap();
    let words = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success() && words.contains("cosigned by w1, w2"), "{words}");
    assert!(words.contains("journal.head") && words.contains("au-border"), "{words}");
    let entries = holder.entries("holder").await;
    let witnessed = of_kind(&entries, "journal.witnessed");
    assert!(witnessed.iter().any(|entry| fact(entry, "witnesses") == "w1,w2"));

    let before = seen["size"].as_u64().unwrap();
    witnesses[0].kill();
    holder.restart().await;
    answer_about(&holder.channel(who::AU).await, STRANGER).await;
    witnesses[2].start();
    until("two others have seen what came since", || async {
        let args = of(&two, &["--quorum", "2", "--output", "json"]);
        let seen = au_json(&holder, &args);
        seen.is_some_and(|seen| {
            seen["size"].as_u64().unwrap() > before && seen["witnesses"] == serde_json::json!(["w2", "w3"])
        })
    })
    .await;
}

#[tokio::test]
async fn a_database_that_fell_behind_what_a_witness_saw_is_not_started() {
    let mut holder = Holder::prepared(&eager(HolderOptions::default()));
    let mut witness = Witness::new("w1", &holder.log_key("holder"));
    witness.start();
    holder.serve().await;
    holder.policy_activate_with(
        "witnesses.toml",
        &policy(&holder, std::slice::from_ref(&witness), 1, "not-required"),
    );
    holder.stop().await;
    // Both places are rolled back, so that only witnesses can know better.
    let places = [holder.store_folder(), holder.heads_folder()];
    let put_aside = |name: &str| {
        for place in &places {
            fs::rename(place, place.with_extension(name)).unwrap();
        }
    };
    let bring_back = |name: &str| {
        for place in &places {
            fs::rename(place.with_extension(name), place).unwrap();
        }
    };
    for place in &places {
        copy(place, &place.with_extension("backup"));
    }
    holder.serve().await;
    let saw = witness.size_seen(&holder).await;
    answer_about(&holder.channel(who::AU).await, STRANGER).await;
    until("the witness has seen more", || async { witness.size_seen(&holder).await > saw }).await;
    holder.stop().await;
    put_aside("newer");
    bring_back("backup");
    let words = holder.start_refused();
    assert!(words.contains("the witness `w1` saw") && words.contains("fell behind"), "{words}");
    witness.kill();
    holder.serve().await;
    assert!(holder.log_output().contains("a witness gave no cosignature"), "one that is away is told of");
    answer_about(&holder.channel(who::AU).await, STRANGER).await;
    holder.stop().await;
    witness.start();
    let words = holder.start_refused();
    assert!(words.contains("the witness `w1` saw"), "what went on beside it is not started either: {words}");
    holder.configure("server", "disbelieved_witnesses", toml::Value::Array(vec!["w1".into()]));
    holder.serve().await;
    assert!(holder.log_output().contains("is disbelieved, as configured"));
    holder.stop().await;

    put_aside("older");
    bring_back("newer");
    holder.configure("server", "disbelieved_witnesses", toml::Value::Array(Vec::new()));
    holder.serve().await;
}

#[tokio::test]
async fn a_journal_with_two_faces_is_refused_the_second() {
    let options = eager(HolderOptions::default());
    let mut one = Holder::prepared(&options);
    let mut witness = Witness::new("w1", &one.log_key("holder"));
    witness.start();
    let rules = policy(&one, std::slice::from_ref(&witness), 1, "not-required");
    one.serve().await;
    one.policy_activate_with("witnesses.toml", &rules);
    until("the witness has seen one face", || async { witness.records() > 0 }).await;
    one.stop().await;
    let other_metrics = free_address();
    // The same ceremony, so the same key and origin, and another history.
    let mut other = Holder::prepared(&options.config("metrics", "listen", other_metrics.clone()));
    other.serve().await;
    for _ in 0..20 {
        other.onebit(who::PRIVACY, &["audit", "journals", "--reason", "to have more entries"]).ok();
    }
    other.policy_activate_with("witnesses.toml", &rules);
    until("the witness has refused the other face", || async {
        let page = scrape(&other_metrics);
        page.contains("onebit_witness_failures_total{witness=\"w1\",reason=\"forked\"}")
    })
    .await;
    other.stop().await;
    let words = other.start_refused();
    assert!(words.contains("saw another journal"), "{words}");
    one.serve().await;
}

#[test]
fn the_policy_check_says_what_witnesses_protect_against() {
    let folder = TempDir::new().unwrap();
    copy(&repository().join("policy"), folder.path());
    let check = || {
        let output = Command::new(ONEBIT).args(["policy", "check"]).arg(folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(check().contains("no witnesses: no protection against two faces"), "{}", check());
    let each = |seed: u8| {
        let key = WitnessKey::new(&format!("w{seed}"), signer(seed).public_key()).unwrap();
        format!("[[witnesses]]\nname = \"w{seed}\"\nurl = \"http://127.0.0.1:{seed}\"\nkey = \"{key}\"\n")
    };
    for (needed, claim) in [
        (2, "protected against two faces of the journal: any two quorums of 2 of 3 have 1 in common"),
        (1, "no protection against two faces of the journal is claimed: two quorums of 1 of 3"),
        (4, "`needed` is 4, and there are 3 witnesses"),
    ] {
        let head = format!("needed = {needed}\nassumed_dishonest = 0\nbefore_release = \"required\"\n");
        fs::write(folder.path().join("witnesses.toml"), head + &each(1) + &each(2) + &each(3)).unwrap();
        assert!(check().contains(claim), "`{claim}` should be in:\n{}", check());
    }
}

/// A witness, which is a process while it runs.
struct Witness {
    folder: TempDir,
    key: String,
    log: String,
    /// Certificate, key and authority, for https.
    tls: Option<[PathBuf; 3]>,
    port: u16,
    child: Option<Child>,
}

impl Witness {
    fn new(name: &str, log: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let made = Command::new(ONEBIT)
            .args(["witness", "new", "--name", name, "--folder"])
            .arg(folder.path().join("w"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        Self { folder, key, log: log.to_owned(), tls: None, port: 0, child: None }
    }

    fn key(&self) -> WitnessKey {
        self.key.parse().unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(ONEBIT);
        command.args([
            "witness",
            "serve",
            "--listen",
            &format!("127.0.0.1:{}", self.port),
            "--log",
            &self.log,
        ]);
        command.arg("--folder").arg(self.folder.path().join("w"));
        if let Some([certificate, key, _]) = &self.tls {
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        command
    }

    /// Starts it, on the port that it had before, and waits until it listens.
    fn start(&mut self) {
        let errors = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut child = self.command().stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        self.child = Some(child);
        self.port = port.unwrap_or_else(|| {
            panic!(
                "the witness did not start: {}",
                fs::read_to_string(self.folder.path().join("log")).unwrap()
            )
        });
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    async fn post(&self, body: &str) -> Told {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("/add-checkpoint").header("host", "witness");
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        Told::of(sender.send_request(request).await.unwrap()).await
    }

    async fn post_http2(&self, body: &str) -> Told {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://127.0.0.1:{}/add-checkpoint", self.port));
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        Told::of(sender.send_request(request).await.unwrap()).await
    }

    /// How many logs it has a record of.
    fn records(&self) -> usize {
        fs::read_dir(self.folder.path().join("w/logs")).unwrap().count()
    }

    /// The size of the holder's journal that it saw last: it tells it to whoever hands in a signed checkpoint with
    /// another old size.
    async fn size_seen(&self, holder: &Holder) -> u64 {
        let note = holder.onebit(who::PRIVACY, &["audit", "checkpoint", "--output", "json"]).json();
        let note = note["checkpoint"].as_str().unwrap().to_owned();
        let told = self.post(&body(0, &[], &note)).await;
        if told.status == 409 { told.text.trim().parse().unwrap() } else { 0 }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Told {
    status: u16,
    kind: String,
    text: String,
}

impl Told {
    async fn of(response: hyper::Response<hyper::body::Incoming>) -> Self {
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = response.into_body().collect().await.unwrap().to_bytes();
        Self { status, kind: kind.unwrap_or_default(), text: String::from_utf8(text.to_vec()).unwrap() }
    }
}

/// With jobs that don't rest for long.
fn eager(options: HolderOptions) -> HolderOptions {
    options.config("jobs", "heads_every_s", 1).config("jobs", "witnesses_every_s", 1)
}

/// The file that names these witnesses.
fn policy(holder: &Holder, witnesses: &[Witness], needed: usize, before_release: &str) -> String {
    let each = witnesses.iter().map(|witness| {
        let Witness { key, port, .. } = witness;
        let name = witness.key().name().to_owned();
        match &witness.tls {
            None => format!(
                "[[witnesses]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}\"\nkey = \"{key}\"\n"
            ),
            Some([_, _, authority]) => format!(
                "[[witnesses]]\nname = \"{name}\"\nurl = \"https://localhost:{port}\"\nkey = \"{key}\"\nauthority = \"\"\"\n{}\"\"\"\n",
                fs::read_to_string(holder.path("").join(authority)).unwrap()
            ),
        }
    });
    format!("needed = {needed}\nassumed_dishonest = 0\nbefore_release = \"{before_release}\"\n")
        + &each.collect::<String>()
}

/// Certificate, key and authority of the holder's server, which a witness on this machine can use as well.
fn server_certificate(holder: &Holder) -> [PathBuf; 3] {
    let config: toml::Table = fs::read_to_string(holder.config()).unwrap().parse().unwrap();
    let file = |key: &str| holder.path(config["server"][key].as_str().unwrap());
    [file("certificate"), file("key"), holder.path("ca.pem")]
}

async fn fetch(holder: &Holder, disclosure: &str) -> Result<FetchReleaseResponse, Status> {
    let asked = FetchReleaseRequest { name: disclosure.to_owned() };
    let fetched = DisclosureServiceClient::new(holder.channel(who::AU).await).fetch_release(asked).await;
    fetched.map(tonic::Response::into_inner)
}

fn au_json(holder: &Holder, args: &[String]) -> Option<serde_json::Value> {
    let ran = holder.onebit(who::AU, &args.iter().map(String::as_str).collect::<Vec<_>>());
    if ran.code() == Some(0) { serde_json::from_str(&ran.out()).ok() } else { None }
}

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed(&[seed; 32])
}

fn log_key(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, signer(seed).public_key()).unwrap()
}

fn checkpoint(origin: &str, size: u64, root: Hash, seed: u8) -> String {
    Checkpoint { origin: origin.to_owned(), size, root }.sign(&signer(seed))
}

fn body(old_size: u64, proof: &[Hash], checkpoint: &str) -> String {
    Submission { old_size, proof: proof.to_vec(), checkpoint: checkpoint.to_owned() }.to_text()
}

/// The root of a tree of the leaves 0, 1, 2.
fn root(leaves: u8) -> Hash {
    let leaf = |number: u8| leaf_hash(&[number]);
    match leaves {
        1 => leaf(0),
        2 => node_hash(&leaf(0), &leaf(1)),
        _ => node_hash(&root(2), &leaf(2)),
    }
}
