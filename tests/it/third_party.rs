//! The log read by code that is not ours: Go's `golang.org/x/mod/sumdb`, the package aics-tlog, and a verifier that was
//! written from `docs/audit-log.md` alone. On what the real server exported they have to agree with `onebit-verify`,
//! whatever was done to it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER};
use onebit::grpc::pb::partner::AskQueriesRequest;
use onebit::grpc::pb::partner::ask_queries_response::Result as Outcome;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use serde_json::json;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::holder::{Holder, HolderOptions, copy, repository, who};
use crate::python::{python, run_python};
use crate::story::{STRANGER, question_about};

const PEOPLE: u64 = 20;
const AGREEMENT: &str = "agreements/au-border-identity.toml";
/// Streams at once, each on a connection of its own: as many as what one partner may have under way allows.
const STREAMS: u64 = 3;
/// One answer of so many has its receipt checked by everybody.
const RECEIPT_EVERY: u64 = 997;
/// By which random proofs are picked.
const SEED: &str = "20260302";

#[tokio::test(flavor = "multi_thread")]
async fn a_great_journal_holds_for_code_that_is_not_ours() {
    let entries: u64 = std::env::var("ONEBIT_TEST_ENTRIES").map_or(50_000, |text| text.parse().unwrap());
    println!("{entries} questions; ONEBIT_TEST_ENTRIES changes how many");
    let holder = Holder::start(HolderOptions::people(PEOPLE).policy(
        AGREEMENT,
        "per_day = 2_000",
        "per_day = 400_000",
    ))
    .await;
    let asked = Instant::now();
    let mut streams = tokio::task::JoinSet::new();
    fs::create_dir(holder.path("receipts")).unwrap();
    for stream in 0..STREAMS {
        let file = holder.path(&format!("receipts/{stream}.jsonl"));
        let numbers = (0..entries).filter(move |number| number % STREAMS == stream);
        streams.spawn(keep_receipts(holder.channel(who::AU).await, numbers, file));
    }
    let receipts: Vec<String> = streams.join_all().await.concat();
    let of_these = entries.div_ceil(RECEIPT_EVERY);
    assert_eq!(u64::try_from(receipts.len()).unwrap(), of_these, "every question should be answered");
    took(&format!("asking over {STREAMS} streams"), asked.elapsed());

    let case = Case::of(&holder, "au-border", &receipts);
    let readers = readers();
    for reader in &readers {
        let (verdict, time) = reader.reads(&case);
        took(reader.name, time);
        verdict.unwrap_or_else(|words| panic!("{} refused a whole journal: {words}", reader.name));
    }
    let ours = Instant::now();
    for file in &case.receipts {
        assert!(onebit_verify("receipt", file, &case.key).status.success(), "{}", file.display());
    }
    took(&format!("{of_these} receipts with onebit-verify, a process each"), ours.elapsed());
    let own = Instant::now();
    let args = ["audit", "own", "--log-key", &case.key, "--receipts", "receipts"];
    let told = holder.onebit(who::AU, &args).ok();
    assert!(told.contains(&format!("the entries of your {entries} receipts stand in it")), "{told}");
    took(&format!("`onebit audit own` with all {entries} receipts"), own.elapsed());
    for tampering in tamperings().iter().filter(|it| it.on_great_journals) {
        case.holds_no_more(tampering, &readers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_to_an_export_every_reader_refuses_it() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let receipts = keep_receipts(au, 0..700, holder.path("all.jsonl")).await;
    let readers = readers();
    for journal in ["au-border", "holder"] {
        let case = Case::of(&holder, journal, if journal == "holder" { &[] } else { &receipts });
        for reader in &readers {
            let (verdict, _) = reader.reads(&case);
            verdict.unwrap_or_else(|words| panic!("{} refused `{journal}`, whole: {words}", reader.name));
        }
        let other = holder.log_key(if journal == "holder" { "au-border" } else { "holder" });
        let other = Case { key: other, folder: TempDir::new().unwrap(), ..case.again() };
        copy(case.folder.path(), other.folder.path());
        for reader in &readers {
            assert!(reader.reads(&other).0.is_err(), "{} took another journal's key", reader.name);
        }
        if journal == "au-border" {
            tamperings().iter().for_each(|tampering| case.holds_no_more(tampering, &readers));
            refuse_changed_receipts(&case, &readers);
        }
    }
}

/// Everybody who takes receipts refuses one that was changed.
fn refuse_changed_receipts(case: &Case, readers: &[Reader]) {
    let text = fs::read_to_string(&case.receipts[0]).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let entry = lines[1].replacen("extra A", "extra Q", 1);
    let index =
        format!("index {}\n", lines[2].trim().strip_prefix("index ").unwrap().parse::<u64>().unwrap() ^ 1);
    for changed in [
        [&lines[..1], &[entry.as_str()], &lines[2..]].concat(),
        [&lines[..2], &[index.as_str()], &lines[3..]].concat(),
        [&lines[..3], &lines[4..]].concat(),
        [&lines[..3], &[lines[4], lines[3]], &lines[5..]].concat(),
        lines[..lines.len() - 1].to_vec(),
    ] {
        let file = case.beside.path().join("changed.receipt");
        fs::write(&file, changed.concat()).unwrap();
        assert_eq!(onebit_verify("receipt", &file, &case.key).status.code(), Some(1), "{changed:?}");
        let other = Case { receipts: vec![file], ..case.again() };
        copy(case.folder.path(), other.folder.path());
        for reader in readers.iter().filter(|reader| reader.takes_receipts) {
            assert!(reader.reads(&other).0.is_err(), "{} took a changed receipt: {changed:?}", reader.name);
        }
    }
}

#[test]
fn the_pages_example_follows_from_the_page_alone() {
    let page = repository().join("docs/audit-log.md");
    let script = repository().join("tests/python/verify_log.py");
    let args = [script.to_str().unwrap(), "page", page.to_str().unwrap()];
    assert!(run_python(&args, repository()).contains("holds: 11 values"));
    let folder = TempDir::new().unwrap();
    let changed = folder.path().join("page.md");
    let text = fs::read_to_string(&page).unwrap();
    // The last digit of the partner's salt.
    fs::write(&changed, text.replacen("a2a2  partner's", "a2a3  partner's", 1)).unwrap();
    let refused = Command::new(python()).args(["-B", args[0], "page"]).arg(&changed).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "another salt can't give the same commitment");
}

#[test]
fn the_pages_example_is_an_export_that_everybody_reads() {
    let page = fs::read_to_string(repository().join("docs/audit-log.md")).unwrap();
    let block = |name: &str| {
        let (_, rest) = page.split_once(&format!("```text example-{name}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    // What stands after two spaces is for people.
    let octets = block("bundle").lines().map(|line| line.split("  ").next().unwrap().replace(' ', ""));
    let hashes = block("tile").lines().flat_map(|line| BASE64.decode(line.as_bytes()).unwrap());
    let (folder, beside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (path, bytes) in [
        ("checkpoint", block("checkpoint").as_bytes().to_vec()),
        ("key", block("key").as_bytes().to_vec()),
        ("tile/entries/000.p/3", HEXLOWER.decode(octets.collect::<String>().as_bytes()).unwrap()),
        ("tile/0/000.p/3", hashes.collect()),
    ] {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    let receipt = beside.path().join("1.receipt");
    fs::write(&receipt, block("receipt")).unwrap();
    let key = block("key").trim().to_owned();
    assert!(onebit_verify("receipt", &receipt, &key).status.success());
    let case = Case { folder, key, receipts: vec![receipt], beside: beside.into() };
    for reader in readers() {
        let (verdict, _) = reader.reads(&case);
        verdict.unwrap_or_else(|words| panic!("{} refused the page's example: {words}", reader.name));
    }
}

/// Asks over one stream, writes every receipt to a file as `onebit query --output json` prints them, and gives some.
async fn keep_receipts(
    channel: Channel,
    numbers: impl Iterator<Item = u64> + Clone + Send + 'static,
    file: PathBuf,
) -> Vec<String> {
    let questions = numbers.clone().map(|number| {
        let person = if number.is_multiple_of(3) { STRANGER + number % 64 } else { number % PEOPLE };
        AskQueriesRequest { question: Some(question_about(person)) }
    });
    let answers = QueryServiceClient::new(channel).ask_queries(tokio_stream::iter(questions)).await;
    let mut answers = answers.unwrap().into_inner();
    let (mut kept, mut file) = (Vec::new(), std::io::BufWriter::new(fs::File::create(file).unwrap()));
    for number in numbers {
        let answer = answers.message().await.unwrap().expect("every question should be answered");
        let answered = match answer.result {
            Some(Outcome::Answered(answered)) => answered,
            Some(Outcome::Refused(refused)) => panic!("question {number} was refused: {}", refused.message),
            None => panic!("question {number} was neither answered nor refused"),
        };
        writeln!(file, "{}", json!({ "receipt": answered.receipt })).unwrap();
        if number.is_multiple_of(RECEIPT_EVERY) {
            kept.push(answered.receipt);
        }
    }
    file.flush().unwrap();
    kept
}

/// An export with receipts of its journal.
struct Case {
    folder: TempDir,
    key: String,
    receipts: Vec<PathBuf>,
    /// Holds the receipts.
    beside: std::sync::Arc<TempDir>,
}

impl Case {
    /// A journal as a privacy officer exports it.
    fn of(holder: &Holder, journal: &str, receipts: &[String]) -> Self {
        let (folder, beside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let out = beside.path().join("export");
        let args = ["audit", "export", "--journal", journal, "--reason", "an inspection", "--out"];
        holder.onebit(who::PRIVACY, &[&args[..], &[out.to_str().unwrap()]].concat()).ok();
        copy(&out, folder.path());
        let keep = |(number, receipt): (usize, &String)| {
            let path = beside.path().join(format!("{number}.receipt"));
            fs::write(&path, receipt).unwrap();
            path
        };
        let receipts = receipts.iter().enumerate().map(keep).collect();
        Self { folder, key: holder.log_key(journal), receipts, beside: beside.into() }
    }

    fn again(&self) -> Self {
        let (key, receipts) = (self.key.clone(), self.receipts.clone());
        Self { folder: TempDir::new().unwrap(), key, receipts, beside: self.beside.clone() }
    }

    /// Tampers, lets everybody look, and undoes it.
    fn holds_no_more(&self, tampering: &Tampering, readers: &[Reader]) {
        let path = self.folder.path().join((tampering.file)(self.folder.path()));
        let whole = fs::read(&path).ok();
        match (tampering.change)(whole.as_deref().unwrap_or_default()) {
            Some(changed) => {
                assert_ne!(Some(&changed), whole.as_ref(), "{} should change something", tampering.what);
                fs::write(&path, changed).unwrap();
            }
            None => fs::remove_file(&path).unwrap(),
        }
        for reader in readers {
            if !reader.knows_openings && tampering.of_onebit_alone {
                continue;
            }
            let words = reader.reads(self).0.err();
            let words = words.unwrap_or_else(|| panic!("{} did not notice: {}", reader.name, tampering.what));
            println!("{}, {}: {}", tampering.what, reader.name, words.trim());
        }
        match whole {
            Some(whole) => fs::write(&path, whole).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}

/// What was done to a file of an export.
struct Tampering {
    what: &'static str,
    /// The file, by what lies in the folder.
    file: fn(&Path) -> String,
    /// The bytes instead; nothing where the file goes away.
    change: fn(&[u8]) -> Option<Vec<u8>>,
    /// Whether it is in what C2SP logs don't have.
    of_onebit_alone: bool,
    on_great_journals: bool,
}

fn tamperings() -> Vec<Tampering> {
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        // Inside a commitment, a hash or a salt.
        let place = bytes.len() / 2 + 11;
        bytes[place] ^= 1;
        Some(bytes)
    };
    let of = |what, file: fn(&Path) -> String, change: fn(&[u8]) -> Option<Vec<u8>>| Tampering {
        what,
        file,
        change,
        of_onebit_alone: false,
        on_great_journals: false,
    };
    let bundle: fn(&Path) -> String = |_| "tile/entries/001".to_owned();
    vec![
        Tampering { on_great_journals: true, ..of("a bit of an entry was turned", bundle, flip) },
        Tampering {
            on_great_journals: true,
            ..of("a bit of a tile was turned", |_| "tile/0/000".to_owned(), flip)
        },
        of("a bit of a partial tile was turned", |folder| partial(folder, "tile/0"), flip),
        of("a bit of an upper tile was turned", |folder| partial(folder, "tile/1"), flip),
        Tampering {
            on_great_journals: true,
            ..of(
                "a bit of the checkpoint's root was turned",
                |_| "checkpoint".to_owned(),
                |bytes| Some(line(bytes, 2, |root| root[5] = if root[5] == b'A' { b'B' } else { b'A' })),
            )
        },
        of(
            "the checkpoint says another size",
            |_| "checkpoint".to_owned(),
            |bytes| Some(line(bytes, 1, |size| *size.last_mut().unwrap() ^= 1)),
        ),
        of(
            "the checkpoint's signature was changed",
            |_| "checkpoint".to_owned(),
            |bytes| {
                Some(line(bytes, 4, |signature| {
                    let place = signature.len() - 20;
                    signature[place] = if signature[place] == b'A' { b'B' } else { b'A' };
                }))
            },
        ),
        of(
            "the checkpoint lost its signature",
            |_| "checkpoint".to_owned(),
            |bytes| Some(lines(bytes)[..4].concat()),
        ),
        of("a bundle was cut short", bundle, |bytes| Some(bytes[..bytes.len() - 67].to_vec())),
        of("a bundle was cut inside an entry", bundle, |bytes| Some(bytes[..bytes.len() - 1].to_vec())),
        of(
            "a tile was cut short",
            |_| "tile/0/001".to_owned(),
            |bytes| Some(bytes[..bytes.len() - 32].to_vec()),
        ),
        of("two entries changed places", bundle, |bytes| {
            Some([&bytes[67..134], &bytes[..67], &bytes[134..]].concat())
        }),
        of("an entry was dropped and the rest moved up", bundle, |bytes| {
            Some([&bytes[67..], &bytes[..67]].concat())
        }),
        of("an entry stands there twice instead of the next", bundle, |bytes| {
            Some([&bytes[..67], &bytes[..67], &bytes[134..]].concat())
        }),
        of("an entry was put in beside the others", bundle, |bytes| Some([&bytes[..67], bytes].concat())),
        of("a bundle went away", bundle, |_| None),
        of("a tile went away", |_| "tile/0/001".to_owned(), |_| None),
        Tampering {
            of_onebit_alone: true,
            on_great_journals: true,
            ..of("a bit of an opening was turned", |_| "openings/001".to_owned(), flip)
        },
        Tampering {
            of_onebit_alone: true,
            ..of(
                "the openings were cut short",
                |_| "openings/000".to_owned(),
                |bytes| Some(bytes[..bytes.len() - 1].to_vec()),
            )
        },
        Tampering {
            of_onebit_alone: true,
            ..of("the openings of a bundle went away", |_| "openings/001".to_owned(), |_| None)
        },
        Tampering {
            of_onebit_alone: true,
            ..of(
                "two openings changed places",
                |_| "openings/001".to_owned(),
                |bytes| {
                    // Both entries are answers, with openings of one length.
                    let one = bytes.len() / 256;
                    Some([&bytes[one..2 * one], &bytes[..one], &bytes[2 * one..]].concat())
                },
            )
        },
        Tampering {
            of_onebit_alone: true,
            ..of("a file came along", |_| "tile/0/009".to_owned(), |_| Some(b"x".to_vec()))
        },
    ]
}

/// The one partial piece in a folder of the export.
fn partial(export: &Path, folder: &str) -> String {
    let found = fs::read_dir(export.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let piece = found.filter(|path| path.extension().is_some_and(|it| it == "p")).collect::<Vec<_>>();
    assert_eq!(piece.len(), 1, "`{folder}` should have one partial piece: {piece:?}");
    let file = fs::read_dir(&piece[0]).unwrap().next().unwrap().unwrap().path();
    file.strip_prefix(export).unwrap().to_str().unwrap().to_owned()
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The bytes with one of their lines changed before its end.
fn line(bytes: &[u8], number: usize, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut lines = lines(bytes);
    lines[number].pop();
    change(&mut lines[number]);
    lines[number].push(b'\n');
    lines.concat()
}

/// Whoever reads exports.
struct Reader {
    name: &'static str,
    command: fn(&Case) -> Command,
    /// Whether it looks at openings and at files too many, which are not of the C2SP formats.
    knows_openings: bool,
    /// Whether it looks at receipts in the same run.
    takes_receipts: bool,
}

impl Reader {
    /// Reads an export and its receipts: what it says when it refuses, and how long it took.
    fn reads(&self, case: &Case) -> (Result<(), String>, Duration) {
        let since = Instant::now();
        let output = (self.command)(case).output().unwrap();
        let time = since.elapsed();
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = match output.status.code() {
            Some(0) => Ok(()),
            Some(1) if words.starts_with("REFUSED: ") => Err(words),
            _ => panic!("{} broke: {output:?}", self.name),
        };
        (verdict, time)
    }
}

/// Everybody who is there; who isn't is named.
fn readers() -> Vec<Reader> {
    let mut readers = vec![
        Reader {
            name: "onebit-verify",
            command: |case| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_onebit-verify"));
                command.arg("journal").arg(case.folder.path()).args(["--key", &case.key]);
                command
            },
            knows_openings: true,
            takes_receipts: false,
        },
        Reader {
            name: "Python, from the page alone",
            command: |case| {
                let mut command = Command::new(python());
                command.arg("-B").arg(repository().join("tests/python/verify_log.py")).arg("journal");
                command.arg(case.folder.path()).args(["--key", &case.key]);
                command.arg("--receipts").args(&case.receipts);
                command
            },
            knows_openings: true,
            takes_receipts: true,
        },
        Reader {
            name: "Go, golang.org/x/mod/sumdb",
            command: |case| {
                let mut command = Command::new(go_verifier());
                command.arg(&case.key).arg(case.folder.path()).arg(SEED).args(&case.receipts);
                command
            },
            knows_openings: true,
            takes_receipts: true,
        },
    ];
    match tlog_python() {
        Ok(_) => readers.push(Reader {
            name: "aics-tlog",
            command: |case| {
                let mut command = Command::new(tlog_python().unwrap());
                command.arg("-B").arg(repository().join("tests/python/verify_tlog.py"));
                command.arg(&case.key).arg(case.folder.path()).arg(SEED).args(&case.receipts);
                command
            },
            knows_openings: false,
            takes_receipts: true,
        }),
        Err(reason) => println!("left out: {reason}"),
    }
    readers
}

fn onebit_verify(what: &str, file: &Path, key: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onebit-verify"));
    command.arg(what).arg(file).args(["--key", key]).output().unwrap()
}

/// The Python that has aics-tlog, or why there is none here.
fn tlog_python() -> Result<PathBuf, String> {
    let folder = cache().join("venv-tlog");
    match fs::read_to_string(folder.join("left-out")) {
        Ok(reason) => Err(reason.trim().to_owned()),
        Err(_) => {
            let python = folder.join("bin/python");
            assert!(python.exists(), "`{}` is missing; run `make test`, which sets it up", python.display());
            Ok(python)
        }
    }
}

/// Our few lines around x/mod, built with what Debian has of both and nothing from the network.
fn go_verifier() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("verify");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&path).arg("./tests/go/verify").current_dir(repository());
        build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOPROXY", "off");
        build.env("GOFLAGS", "").env("CGO_ENABLED", "0").env("GOCACHE", cache().join("go"));
        let built =
            build.output().unwrap_or_else(|error| panic!("`go`: {error}; run `make test`, which sets it up"));
        let words = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{words}; run `make test`, which installs what is missing");
        (folder, path)
    });
    path
}

/// Where setting up puts what outlives a checkout.
fn cache() -> PathBuf {
    std::env::var_os("ONEBIT_CACHE").map_or_else(
        || Path::new(&python()).ancestors().nth(3).expect("the environment lies in the cache").to_owned(),
        PathBuf::from,
    )
}

fn took(what: &str, time: Duration) {
    println!("{what}: {:.1} s", time.as_secs_f64());
}
