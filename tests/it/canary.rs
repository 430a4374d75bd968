//! Canaries: recognisable bytes are put into a template, a probe and a record, everything happens once with the log at
//! its most talkative, the server is made to crash, and then all that it left behind is searched for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use onebit::grpc::pb::enrolment::SubjectInput;
use onebit::grpc::pb::partner::{Answer, Question};
use onebit::ids::CollectionName;
use onebit::template::{Compact, Protected, Quality, QualityScore, Sample, protect};

use crate::holder::{Holder, HolderOptions, ONEBIT, free_address, until, who};
use crate::opened::{open_store, protection};
use crate::operating::scrape;
use crate::story::{Choice, FIELDS, ask, people, question, sample_of, subject};

/// Somebody whom nothing else is about.
const CANARY: u64 = 4_711;
/// In every text that people write.
const WORD: &str = "KANARIENVOGEL";
/// What the server is started from, or was handed to a client: not what it left behind.
const NOT_THE_SERVERS: [&str; 3] = ["ceremony.toml", "opened.json", "release.json"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_in_nothing_that_the_server_left_behind() {
    let address = free_address();
    let options = HolderOptions::people(20)
        .config("log", "filter", "trace")
        .config("metrics", "listen", address.clone())
        .config("backup", "folder", "backups")
        .config("jobs", "snapshots_every_s", 1);
    let mut holder = Holder::prepared(&HolderOptions { people: 0, ..options });
    // A core is allowed, in the folder that is searched.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", ONEBIT]).current_dir(holder.path(""));
    holder.serve_by(command).await;
    holder.enrol(0..20).await;
    let disclosure = everything_happens(&holder).await;
    until("a search snapshot is there", || async { snapshots(&holder) > 0 }).await;
    holder.onebit(who::ADMIN, &["backup", "make", "--reason", WORD]).ok();
    let page = scrape(&address);

    // It crashes while the canary is asked about.
    let au = holder.channel(who::AU).await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let au = au.clone();
            tokio::spawn(async move { ask(&au, about_the_canary()).await.map(drop) })
        })
        .collect();
    holder.crash();
    for one in asking {
        let _answered_or_cut_off = one.await.unwrap();
    }
    assert!(!disclosure.is_empty());

    let needles = needles(&holder).await;
    for (what, needle) in &needles {
        assert!(!contains(page.as_bytes(), needle), "{what} stands in the metrics");
    }
    let left = left_behind(&holder);
    for wanted in ["onebit.sqlite", "keys.sqlite", "heads", "sealed", "server.log"] {
        assert!(
            left.iter().any(|path| path.ends_with(wanted)),
            "`{wanted}` should have been searched: {left:?}"
        );
    }
    for path in left {
        let bytes = fs::read(&path).unwrap();
        for (what, needle) in &needles {
            assert!(!contains(&bytes, needle), "{what} lies in {}", path.display());
        }
    }
}

/// The canary is enrolled, asked about, disclosed, released, looked at, restricted and erased.
async fn everything_happens(holder: &Holder) -> String {
    let key = holder.release_key();
    let mut canary = subject(CANARY);
    for field in &mut canary.fields {
        field.value = format!("{WORD} {}", field.field);
        field.source = format!("{WORD} source");
    }
    let another = SubjectInput { source_id: format!("{WORD}-source"), ..canary.clone() };
    let answers = holder.enrol_subjects(vec![canary]).await;
    assert_eq!(answers.iter().map(|answer| answer.rows_accepted).sum::<u32>(), 1);
    let au = holder.channel(who::AU).await;
    let hit = ask(&au, about_the_canary()).await.unwrap();
    assert_eq!(hit.answer(), Answer::Hit);
    let disclosure = holder.request(&hit.query, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        let seen = holder.onebit(officer, &["review", "view-field", &disclosure, "--field", FIELDS[0]]).ok();
        assert!(seen.contains(WORD), "the officer sees the value: {seen}");
        holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    }
    holder.onebit(who::AU, &["request", "fetch", &disclosure, "--out", "release.json"]).ok();
    let opened =
        holder.onebit(who::AU, &["open", "release.json", "--release-key", &key, "--acknowledge"]).ok();
    assert!(opened.contains(WORD), "the partner sees the values: {opened}");
    holder.enrol_subjects(vec![another]).await;
    let source = format!("{WORD}-source");
    for what in [&["restrict", "--restriction", "witness"][..], &["erase"]] {
        let args = [&["subject"], what, &["--source-id", &source, "--reason", WORD]].concat();
        holder.onebit(who::PRIVACY, &args).ok();
    }
    holder.onebit(who::PRIVACY, &["audit", "list", "--journal", "au-border", "--reason", WORD]).ok();
    disclosure
}

fn about_the_canary() -> Question {
    Question {
        case_reference: format!("{WORD}-case"),
        official: format!("{WORD}-official"),
        legal_basis: format!("{WORD} Act"),
        ..question(vec![sample_of(CANARY, 0)])
    }
}

/// What must be nowhere: words, the numbers of template and probe in each form that they pass through.
async fn needles(holder: &Holder) -> Vec<(&'static str, Vec<u8>)> {
    let mut needles = vec![
        ("a word", WORD.as_bytes().to_vec()),
        ("a word in 16 bits", WORD.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a word in base64", data_encoding::BASE64.encode(&WORD.as_bytes()[..12]).into_bytes()),
    ];
    let store = open_store(holder);
    let collection: CollectionName = "watch-face".parse().unwrap();
    let (scheme, transform) = protection(&store, &collection).await;
    for (raw, turned, values) in [
        ("the enrolled sample", "the protected template", people().embedding(CANARY)),
        ("the probe", "the protected probe", sample_of(CANARY, 0)),
    ] {
        let quality = Quality::Score(QualityScore::new(80).unwrap());
        let protected = protect(Sample::embedding(values.clone(), quality), &scheme, &transform).unwrap();
        needles.extend(pieces(values.iter().flat_map(|value| value.to_le_bytes())).map(|piece| (raw, piece)));
        let double = values.iter().flat_map(|value| f64::from(*value).to_le_bytes());
        needles.extend(pieces(double).map(|piece| (raw, piece)));
        needles.extend(forms(&protected).into_iter().map(|piece| (turned, piece)));
    }
    needles
}

/// A protected template at 16 and at 8 bits, and as floating-point numbers of unit length.
fn forms(protected: &Protected) -> Vec<Vec<u8>> {
    let (sixteen, mut eight) = (protected.to_bytes(), Vec::new());
    Compact::of(protected).write(&mut eight);
    let unit = protected.unit_components().flat_map(f32::to_le_bytes);
    let sixteen = pieces(sixteen.expose()[3..].iter().copied());
    sixteen.chain(pieces(eight.into_iter())).chain(pieces(unit)).collect()
}

/// Some pieces of 24 bytes: long enough for nobody else to have one.
fn pieces(bytes: impl Iterator<Item = u8>) -> impl Iterator<Item = Vec<u8>> {
    let bytes: Vec<u8> = bytes.collect();
    let starts: Vec<usize> = (0..bytes.len() - 24).step_by(bytes.len() / 8).collect();
    starts.into_iter().map(move |start| bytes[start / 8 * 8..][..24].to_vec())
}

fn snapshots(holder: &Holder) -> usize {
    fs::read_dir(holder.store_folder().join("snapshots")).map_or(0, Iterator::count)
}

/// Every file below the holder's folder but what people wrote or a client was given.
fn left_behind(holder: &Holder) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![holder.path("")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_ours = |path: &Path| NOT_THE_SERVERS.iter().any(|name| path.ends_with(name));
            if path.is_dir() {
                folders.push(path);
            } else if !is_ours(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let starts = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.map(|(at, _)| &bytes[at + 1..]).any(|behind| behind.starts_with(rest))
}
