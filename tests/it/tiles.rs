//! The log over HTTPS: a real server over TLS, clients of HTTP/1.1 and HTTP/2, the guide's Python, and
//! `onebit audit fetch`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use onebit::audit::checkpoint::Checkpoint;
use onebit::audit::note::VerifierKey;
use onebit::grpc::pb::partner::Question;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::holder::{Holder, HolderOptions, Ran, Who, copy, free_address, repository, until, who};
use crate::operating::scrape;
use crate::python::run_python;
use crate::story::{answer_about, ask, fact, question_about};

/// A holder that serves the log, with one person enrolled.
async fn serving() -> Holder {
    Holder::start(HolderOptions::people(1).config("tiles", "listen", "127.0.0.1:0")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_fetches_its_journal_with_pythons_own_library_and_the_verifier_takes_it() {
    let holder = serving().await;
    let au = holder.channel(who::AU).await;
    for _ in 0..3 {
        answer_about(&au, 0).await;
    }
    let page = fs::read_to_string(repository().join("docs/integrators-guide.md")).unwrap();
    let mut blocks = page.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let fetching = blocks.find(|block| block.contains("def fetch_journal")).expect("the guide shows it");
    let [certificate, key] = who::AU.credential().map(|file| holder.path(file.to_str().unwrap()));
    let program = format!("import sys\n{fetching}\nfetch_journal(*sys.argv[1:])\n");
    let args = [
        "-c",
        &program,
        &url(&holder, "au-border"),
        "fetched",
        &text(&holder.path("ca.pem")),
        &text(&certificate),
        &text(&key),
    ];
    run_python(&args, &holder.path(""));
    let words = verified(&holder, "fetched", "au-border");
    assert!(words.starts_with("the journal is whole: 3 entries"), "{words}");
}

#[tokio::test]
async fn both_versions_of_http_give_the_same_files_and_say_how_long_they_may_be_kept() {
    let holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let mut one = Browser::open(&holder, who::AU, Version::Http1).await;
    let mut two = Browser::open(&holder, who::AU, Version::Http2).await;
    for (path, kind, kept) in [
        ("/au-border/checkpoint", "text/plain; charset=utf-8", "no-store"),
        ("/au-border/tile/0/000.p/1", "application/octet-stream", "private, max-age=31536000, immutable"),
        (
            "/au-border/tile/entries/000.p/1",
            "application/octet-stream",
            "private, max-age=31536000, immutable",
        ),
    ] {
        let got = one.get(path).await.unwrap();
        assert_eq!((got.status, got.header("content-type"), got.header("cache-control")), (200, kind, kept));
        assert_eq!(got.header("content-length"), got.body.len().to_string());
        assert_eq!(got.told(), two.get(path).await.unwrap().told(), "{path}");
        for browser in [&mut one, &mut two] {
            let head = browser.send(Method::HEAD, path, "").await.unwrap();
            assert_eq!(head.header("content-length"), got.body.len().to_string(), "HEAD {path}");
            assert_eq!((head.status, head.header("content-type"), head.body.len()), (200, kind, 0));
        }
    }
    let note = one.get("/au-border/checkpoint").await.unwrap().body;
    let key: VerifierKey = holder.log_key("au-border").parse().unwrap();
    assert_eq!(Checkpoint::open(std::str::from_utf8(&note).unwrap(), &key).unwrap().size, 1);
}

#[tokio::test]
async fn what_is_not_yours_and_what_is_not_there_are_told_alike() {
    let holder = serving().await;
    for who in [who::AU, who::CA] {
        let purpose = if who == who::AU { "border-identity" } else { "visa-identity" };
        let question = Question { purpose: purpose.to_owned(), ..question_about(0) };
        ask(&holder.channel(who).await, question).await.unwrap();
    }
    let nobodys = "/nobody-at-all/checkpoint";
    for version in [Version::Http1, Version::Http2] {
        let missing = Browser::open(&holder, who::AU, version).await.get(nobodys).await.unwrap();
        assert_eq!((missing.status, missing.header("cache-control")), (404, "no-store"));
        let theirs: &[(Who, &[&str])] = &[
            (
                who::AU,
                &[
                    "/ca-border/checkpoint",
                    "/ca-border/tile/0/000.p/1",
                    "/ca-border/tile/entries/000.p/1",
                    "/holder/checkpoint",
                    "/holder/tile/0/000.p/1",
                    "/au-border/tile/0/001.p/1",
                    "/au-border/tile/0/000.p/255",
                    "/au-border/tile/0/000",
                    "/au-border/tile/1/000.p/1",
                    "/au-border/tile/entries/000",
                    "/au-border/openings/000.p/1",
                    "/au-border/tile/0/0",
                    "/au-border/key",
                    "/au-border",
                    "/",
                    "/au-border/checkpoint?again",
                    "/au-border/../au-border/checkpoint",
                ],
            ),
            (who::WITNESS, &["/au-border/checkpoint", "/ca-border/tile/entries/000.p/1", nobodys]),
            (who::PRIVACY, &[nobodys, "/holder/openings/000.p/1"]),
            (who::ENROLLER, &["/holder/checkpoint", "/au-border/checkpoint"]),
            (who::OFFICER, &["/holder/checkpoint", nobodys]),
            (who::EXAMINER, &["/holder/tile/0/000.p/1"]),
            (who::ADMIN, &["/holder/checkpoint", "/au-border/tile/entries/000.p/1"]),
        ];
        for (who, paths) in theirs {
            let mut browser = Browser::open(&holder, *who, version).await;
            for path in *paths {
                let got = browser.get(path).await.unwrap();
                assert_eq!(got.told(), missing.told(), "{} reads {path}", who.name());
            }
        }
    }
}

#[tokio::test]
async fn privacy_officers_read_every_journal_and_a_witness_the_holders() {
    let holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let mut officer = Browser::open(&holder, who::PRIVACY, Version::Http2).await;
    let mut witness = Browser::open(&holder, who::WITNESS, Version::Http1).await;
    for file in ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"] {
        for journal in ["au-border", "holder"] {
            assert_eq!(
                officer.get(&format!("/{journal}/{file}")).await.unwrap().status,
                200,
                "{journal} {file}"
            );
        }
        assert_eq!(witness.get(&format!("/holder/{file}")).await.unwrap().status, 200, "{file}");
        assert_eq!(witness.get(&format!("/au-border/{file}")).await.unwrap().status, 404, "{file}");
    }
}

#[tokio::test]
async fn a_witness_reads_from_the_moment_that_two_people_registered_it() {
    let holder = serving().await;
    let issue = [
        "cert",
        "issue",
        "--authority",
        "authorities/holder",
        "--uri",
        "spiffe://immigration.example/systems/ombudsman",
        "--out",
        "ombudsman",
    ];
    holder.onebit(who::ADMIN, &issue).ok();
    let [certificate, key] = ["pem", "key"]
        .map(|ending| fs::read_to_string(holder.path("ombudsman/ombudsman").with_extension(ending)).unwrap());
    let status = async || {
        let mut browser = Browser::open_with(&holder, &certificate, &key, Version::Http1).await.unwrap();
        browser.get("/holder/checkpoint").await.unwrap().status
    };
    assert_eq!(status().await, 403, "a certificate that nobody registered");
    let put =
        ["person", "--name", "ombudsman", "--role", "witness", "--certificate", "ombudsman/ombudsman.pem"];
    let change = holder.propose(who::ADMIN, &put);
    assert_eq!(status().await, 403, "one person alone registered a witness");
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    assert_eq!(status().await, 200);
    let people = holder.onebit(who::ADMIN, &["registry", "people"]).ok();
    assert!(people.lines().any(|line| line.contains("ombudsman") && line.contains("witness")), "{people}");
}

#[tokio::test]
async fn who_is_suspended_is_refused_at_once_on_open_connections_too() {
    let holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let mut open = Vec::new();
    for version in [Version::Http1, Version::Http2] {
        let mut browser = Browser::open(&holder, who::AU, version).await;
        assert_eq!(browser.get("/au-border/checkpoint").await.unwrap().status, 200);
        open.push(browser);
    }
    holder.onebit(who::PRIVACY, &["suspend", "partner", "au-border", "--reason", "for a test"]).ok();
    for mut browser in open {
        // Cut off, or refused when the request came before the cut.
        if let Ok(got) = browser.get("/au-border/checkpoint").await {
            assert_eq!(got.status, 403, "{got:?}");
        }
        until("the connection is cut", async || browser.is_closed()).await;
    }
    let mut again = Browser::open(&holder, who::AU, Version::Http1).await;
    let refused = again.get("/au-border/checkpoint").await.unwrap();
    let said = std::str::from_utf8(&refused.body).unwrap();
    assert_eq!(
        (refused.status, said),
        (403, "your agency or this system is suspended; ask your contact at the holder\n")
    );
    for path in ["/ca-border/checkpoint", "/nobody-at-all/checkpoint", "/no/such/path"] {
        let mut again = Browser::open(&holder, who::AU, Version::Http2).await;
        assert_eq!(again.get(path).await.unwrap().told(), refused.told(), "{path}");
    }
    holder.onebit(who::PRIVACY, &["suspend", "person", who::WITNESS.name(), "--reason", "for a test"]).ok();
    assert_eq!(read_status(&holder, who::WITNESS, "/holder/checkpoint").await, 403);
}

#[tokio::test]
async fn only_reading_is_done_here() {
    let holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let path = "/au-border/checkpoint";
    for version in [Version::Http1, Version::Http2] {
        for (method, body, status) in [
            (Method::POST, "", 405),
            (Method::PUT, "x", 405),
            (Method::DELETE, "", 405),
            (Method::OPTIONS, "", 405),
            (Method::GET, "x", 413),
        ] {
            let mut browser = Browser::open(&holder, who::AU, version).await;
            let got = browser.send(method.clone(), path, body).await.unwrap();
            assert_eq!(got.status, status, "{version:?} {method} with {} bytes", body.len());
            if status == 405 {
                assert_eq!(got.header("allow"), "GET, HEAD");
            }
        }
        let mut browser = Browser::open(&holder, who::AU, version).await;
        let long = format!("/au-border/{}", "x".repeat(32 * 1_024));
        match browser.get(&long).await {
            Ok(got) => assert!([404, 414, 431].contains(&got.status), "{}", got.status),
            // Cut off.
            Err(_) => assert!(matches!(version, Version::Http2), "HTTP/1.1 has a status for it"),
        }
    }
    assert_eq!(read_status(&holder, who::AU, path).await, 200, "the server goes on");
}

#[tokio::test]
async fn who_has_no_certificate_does_not_come_in() {
    let holder = serving().await;
    let [certificate, key] = holder.credential(who::AU);
    let mut config = holder.tls_config(&certificate, &key);
    config.client_auth_cert_resolver = std::sync::Arc::new(NoCertificate);
    let tcp = TcpStream::connect(("127.0.0.1", holder.tiles_port())).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let came_in = match TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await {
        Err(_) => false,
        // The server's verdict comes after the client's side of the handshake.
        Ok(mut tls) => {
            let _may_be_cut = tls.write_all(b"GET /holder/checkpoint HTTP/1.1\r\nhost: x\r\n\r\n").await;
            tls.read(&mut [0; 1]).await.is_ok_and(|read| read > 0)
        }
    };
    assert!(!came_in);
    until("the operator is told", async || holder.log_output().contains("\"reason\":\"no_certificate\""))
        .await;
}

#[tokio::test]
async fn a_read_leaves_no_entry_and_a_refused_one_does() {
    // Heads of partners' journals come into the holder's by the clock: here not before the end.
    let options = HolderOptions::people(1).config("tiles", "listen", "127.0.0.1:0").config(
        "jobs",
        "heads_every_s",
        3_600,
    );
    let holder = Holder::start(options).await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let mut officer = Browser::open(&holder, who::PRIVACY, Version::Http1).await;
    let mut partner = Browser::open(&holder, who::AU, Version::Http1).await;
    let mut sizes = async |holder: &Holder| {
        let mut sizes = Vec::new();
        for journal in ["au-border", "holder"] {
            let note = officer.get(&format!("/{journal}/checkpoint")).await.unwrap().body;
            let key: VerifierKey = holder.log_key(journal).parse().unwrap();
            sizes.push(Checkpoint::open(std::str::from_utf8(&note).unwrap(), &key).unwrap().size);
        }
        sizes
    };
    let before = sizes(&holder).await;
    for file in ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"] {
        assert_eq!(partner.get(&format!("/au-border/{file}")).await.unwrap().status, 200);
    }
    assert_eq!(partner.get("/no/such/path").await.unwrap().status, 404);
    assert_eq!(sizes(&holder).await, before, "reading left an entry");
    assert_eq!(partner.get("/ca-border/checkpoint").await.unwrap().status, 404);
    let entries = [holder.entries("au-border").await, holder.entries("holder").await].concat();
    let refused = entries.iter().filter(|entry| fact(entry, "action") == "tiles.Journal/ReadCheckpoint");
    assert_eq!(refused.map(|entry| fact(entry, "reason")).collect::<Vec<_>>(), ["NOT_YOURS"]);
}

#[tokio::test]
async fn reads_are_counted_without_names() {
    let address = free_address();
    let options = HolderOptions::people(1).config("tiles", "listen", "127.0.0.1:0").config(
        "metrics",
        "listen",
        address.clone(),
    );
    let holder = Holder::start(options).await;
    for (who, path, status) in [
        (who::WITNESS, "/holder/checkpoint", 200),
        (who::PRIVACY, "/holder/tile/0/000.p/1", 200),
        (who::WITNESS, "/au-border/checkpoint", 404),
    ] {
        assert_eq!(read_status(&holder, who, path).await, status);
    }
    let page = scrape(&address);
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("onebit_tile_reads_total")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for due in ["onebit_tile_reads_total{code=\"200\"} 2", "onebit_tile_reads_total{code=\"404\"} 1"] {
        assert!(lines.contains(&due), "{lines:?}");
    }
}

#[tokio::test]
async fn without_its_section_the_log_is_not_served() {
    let holder = Holder::start(HolderOptions::default()).await;
    assert!(!holder.log_output().contains("the log is served over HTTPS"));
}

#[tokio::test]
async fn an_end_in_order_waits_for_no_reader() {
    let mut holder = serving().await;
    let mut idle = Vec::new();
    for version in [Version::Http1, Version::Http2] {
        let mut browser = Browser::open(&holder, who::WITNESS, version).await;
        assert_eq!(browser.get("/holder/checkpoint").await.unwrap().status, 200);
        idle.push(browser);
    }
    holder.stop().await;
    for browser in idle {
        until("the connection has ended", async || browser.is_closed()).await;
    }
    assert!(!holder.log_output().contains("were cut off"), "connections without requests end by themselves");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_fetched_and_a_fetch_that_broke_off_goes_on() {
    let holder = serving().await;
    let au = holder.channel(who::AU).await;
    answer_about(&au, 0).await;
    let first = fetched(&holder, "au-border", "mine");
    assert_eq!((&first["size"], &first["fetched"], &first["held"]), (&json!(1), &json!(2), &Value::Null));
    verified(&holder, "mine", "au-border");
    fs::copy(holder.path("mine/checkpoint"), holder.path("kept")).unwrap();
    let same = fetched(&holder, "au-border", "mine");
    assert_eq!((&same["fetched"], &same["held"]), (&json!(0), &json!(1)), "nothing is new");

    for _ in 0..260 {
        answer_about(&au, 0).await;
    }
    let grown = fetched(&holder, "au-border", "mine");
    // Two whole files, two partial ones, and the tile above.
    assert_eq!((&grown["size"], &grown["fetched"], &grown["held"]), (&json!(261), &json!(5), &json!(1)));
    verified(&holder, "mine", "au-border");
    assert!(!holder.path("mine/tile/0/000.p").exists(), "what the journal no longer has is taken away");
    answer_about(&au, 0).await;
    let more = fetched(&holder, "au-border", "mine");
    assert_eq!(
        (&more["size"], &more["fetched"]),
        (&json!(262), &json!(2)),
        "whole files are not fetched again"
    );
    verified(&holder, "mine", "au-border");

    // Broken off: one file of five came, and one half.
    fs::create_dir_all(holder.path("late.fetching/tile/entries")).unwrap();
    fs::copy(holder.path("mine/tile/entries/000"), holder.path("late.fetching/tile/entries/000")).unwrap();
    fs::write(holder.path("late.fetching/tile/entries/001.new"), "half").unwrap();
    let late = fetched(&holder, "au-border", "late");
    assert_eq!((&late["size"], &late["fetched"]), (&json!(262), &json!(4)));
    verified(&holder, "late", "au-border");
    assert!(!holder.path("late.fetching").exists());

    // What came was damaged: refused, and fetched anew the next time.
    fs::create_dir_all(holder.path("hurt.fetching/tile/entries")).unwrap();
    let mut bundle = fs::read(holder.path("mine/tile/entries/000")).unwrap();
    bundle[40] ^= 1;
    fs::write(holder.path("hurt.fetching/tile/entries/000"), bundle).unwrap();
    let refusal = fetch(&holder, who::AU, "au-border", "hurt", &[]).failed();
    assert!(refusal.contains("REFUSED") && refusal.contains("entry 0"), "{refusal}");
    assert!(!holder.path("hurt/checkpoint").exists(), "what was refused must not look like a journal");
    assert_eq!(fetched(&holder, "au-border", "hurt")["fetched"], json!(5));
    verified(&holder, "hurt", "au-border");

    let since =
        fetch(&holder, who::AU, "au-border", "since", &["--since", "kept", "--output", "json"]).json();
    assert_eq!(since["since"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_rewritten_is_refused_and_the_folder_stays() {
    let mut holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    holder.stop().await;
    // Both places are rolled back, or the server would not start.
    let places = [holder.store_folder(), holder.heads_folder()];
    for place in &places {
        copy(place, &place.with_extension("backup"));
    }
    holder.serve().await;
    let au = holder.channel(who::AU).await;
    for _ in 0..3 {
        answer_about(&au, 0).await;
    }
    fetched(&holder, "au-border", "mine");
    let before = tree(&holder.path("mine"));
    holder.stop().await;
    for place in &places {
        fs::remove_dir_all(place).unwrap();
        copy(&place.with_extension("backup"), place);
    }
    holder.serve().await;

    let au = holder.channel(who::AU).await;
    for (asked, says) in [(0, "had 4 entries"), (3, "contradict"), (1, "was rewritten")] {
        for _ in 0..asked {
            answer_about(&au, 0).await;
        }
        let refusal = fetch(&holder, who::AU, "au-border", "mine", &[]).failed();
        assert!(refusal.contains("REFUSED") && refusal.contains(says), "{refusal}");
        assert!(tree(&holder.path("mine")) == before, "the folder must stay as it was");
        let evidence = fs::read_to_string(holder.path("mine.refused-checkpoint")).unwrap();
        Checkpoint::open(&evidence, &holder.log_key("au-border").parse().unwrap()).unwrap();
        assert!(!holder.path("mine.fetching").exists());
    }
    verified(&holder, "mine", "au-border");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_says_what_is_wrong_and_leaves_other_folders_alone() {
    let holder = serving().await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let refusal = fetch(&holder, who::AU, "ca-border", "other", &[]);
    assert_eq!(refusal.code(), Some(1));
    let refusal = refusal.failed();
    assert!(refusal.contains("(404)") && refusal.contains("check the name of the journal"), "{refusal}");
    assert!(!holder.path("other").exists() && !holder.path("other.fetching").exists());

    let wrong = holder.log_key("ca-border");
    let args = ["audit", "fetch", &url(&holder, "au-border"), "mine", "--log-key", &wrong];
    assert!(holder.onebit(who::AU, &args).failed().contains("REFUSED: the checkpoint does not hold"));

    fs::create_dir(holder.path("notes")).unwrap();
    fs::write(holder.path("notes/letter"), "x").unwrap();
    let refusal = fetch(&holder, who::AU, "au-border", "notes", &[]);
    assert_eq!(refusal.code(), Some(2));
    assert!(refusal.failed().contains("holds something else than a journal"));
    assert_eq!(tree(&holder.path("notes")).len(), 1);

    let export = ["audit", "export", "--journal", "au-border", "--reason", "a test", "--out", "export"];
    holder.onebit(who::PRIVACY, &export).ok();
    let refusal = fetch(&holder, who::PRIVACY, "au-border", "export", &[]).failed();
    assert!(refusal.contains("is an export with openings"), "{refusal}");

    let args = ["audit", "fetch", "https://localhost/", "mine", "--log-key", &wrong];
    assert_eq!(holder.onebit(who::AU, &args).code(), Some(2), "an address without a journal");
    holder.onebit(who::PRIVACY, &["suspend", "partner", "au-border", "--reason", "for a test"]).ok();
    let refusal = fetch(&holder, who::AU, "au-border", "mine", &[]).failed();
    assert!(refusal.contains("(403)") && refusal.contains("suspended"), "{refusal}");
}

fn url(holder: &Holder, journal: &str) -> String {
    format!("https://localhost:{}/{journal}", holder.tiles_port())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn fetch(holder: &Holder, who: Who, journal: &str, folder: &str, more: &[&str]) -> Ran {
    let (url, key) = (url(holder, journal), holder.log_key(journal));
    holder.onebit(who, &[&["audit", "fetch", &url, folder, "--log-key", &key], more].concat())
}

/// What a partner's fetch of a journal says.
fn fetched(holder: &Holder, journal: &str, folder: &str) -> Value {
    fetch(holder, who::AU, journal, folder, &["--output", "json"]).json()
}

/// What the small verifier says of a folder, which must hold.
fn verified(holder: &Holder, folder: &str, journal: &str) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_onebit-verify"))
        .arg("journal")
        .arg(holder.path(folder))
        .args(["--key", &holder.log_key(journal)])
        .output()
        .unwrap();
    let words = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "`{folder}` should hold: {words}");
    words
}

/// Every file below a folder with what is in it.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// A client that presents nothing.
#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The status of a read by one of [`crate::holder::who`].
pub(crate) async fn read_status(holder: &Holder, who: Who, path: &str) -> u16 {
    Browser::open(holder, who, Version::Http1).await.get(path).await.unwrap().status
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

/// One connection.
enum Browser {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All that it tells, but for the time of day.
    fn told(&self) -> (u16, BTreeMap<String, String>, &[u8]) {
        let headers = self.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        (self.status, headers.collect(), &self.body)
    }
}

impl Browser {
    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    async fn open(holder: &Holder, who: Who, version: Version) -> Self {
        let [certificate, key] = holder.credential(who);
        Self::open_with(holder, &certificate, &key, version).await.unwrap()
    }

    async fn open_with(
        holder: &Holder,
        certificate: &str,
        key: &str,
        version: Version,
    ) -> std::io::Result<Self> {
        let mut config = holder.tls_config(certificate, key);
        config.alpn_protocols = match version {
            Version::Http1 => vec![b"http/1.1".to_vec()],
            Version::Http2 => vec![b"h2".to_vec()],
        };
        let tcp = TcpStream::connect(("127.0.0.1", holder.tiles_port())).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(std::sync::Arc::new(config)).connect(name, tcp).await?;
        let io = TokioIo::new(tls);
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        })
    }

    async fn get(&mut self, path: &str) -> Result<Got, hyper::Error> {
        self.send(Method::GET, path, "").await
    }

    async fn send(&mut self, method: Method, path: &str, body: &str) -> Result<Got, hyper::Error> {
        let uri = format!("https://localhost{path}");
        let request = Request::builder().method(method).uri(match self {
            Self::Http1(_) => path,
            Self::Http2(_) => &uri,
        });
        let request = request.header("host", "localhost").body(Full::from(body.to_owned())).unwrap();
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, body: response.into_body().collect().await?.to_bytes() })
    }
}
