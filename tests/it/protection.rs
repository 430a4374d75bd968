//! `onebit protection`: the report, what it says of people who don't exist and of real voices, and its signature.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::holder::{Holder, HolderOptions, ONEBIT, Who, repository, who};
use crate::story::{fact, of_kind};
use crate::voice;

#[test]
fn a_report_verifies_and_any_changed_byte_of_it_fails() {
    let made = Made::on(&["--synthetic", "40", "--dimension", "48", "--key-pairs", "10"]);
    let said = made.verify(who::PRIVACY);
    assert!(said.status.success() && words(&said).contains("report.html"), "{}", words(&said));

    let other = made.verify(who::OFFICER);
    assert!(!other.status.success() && words(&other).contains("names the key"), "{}", words(&other));
    for (name, step) in [("report.sig", 1), ("report.json", 601), ("report.html", 2_003)] {
        let path = made.out.join(name);
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let said = made.verify(who::PRIVACY);
            assert!(!said.status.success(), "byte {at} of `{name}` was changed: {}", words(&said));
        }
        for changed in [[bytes.as_slice(), b"\n"].concat(), bytes[..bytes.len() - 1].to_vec()] {
            fs::write(&path, &changed).unwrap();
            assert!(!made.verify(who::PRIVACY).status.success(), "the length of `{name}` was changed");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(made.verify(who::PRIVACY).status.success(), "it is as it was");
    fs::remove_file(made.out.join("report.json")).unwrap();
    assert!(!made.verify(who::PRIVACY).status.success(), "a file is missing");
}

#[test]
fn a_report_on_people_who_do_not_exist_says_what_theory_says() {
    let made = Made::on(&["--synthetic", "200", "--dimension", "64", "--key-pairs", "50", "--seed", "3"]);
    let report = made.report();
    assert_eq!(report["schema"], "onebit/protection-report/v1");
    assert_eq!(report["verdict"]["unlinkable"], true, "{}", report["unlinkability"]);
    assert_eq!(report["verdict"]["decisions_kept"], true, "{}", report["search"]);
    let number = |value: &Value| value.as_f64().unwrap();
    for row in report["unlinkability"].as_array().unwrap() {
        assert!(number(&row["d_sys"]) <= number(&row["null_interval"][1]), "{row}");
        assert!(number(&row["shared_key_d_sys"]) > 0.9, "one key for both must be noticed: {row}");
        assert_eq!(row["mated_scores"], 200 * 50);
    }
    let search = &report["search"];
    assert_eq!((&search["probes"], &search["templates"]), (&10_000.into(), &200.into()));
    assert!(number(&search["hits"]) > 1_000.0, "both decisions should come up often: {search}");
    for row in report["accuracy"].as_array().unwrap() {
        assert_eq!(row["flips_beyond_margin"], 0, "{row}");
    }
    for row in report["known_pairs"].as_array().unwrap() {
        let wanted = (number(&row["pairs"]) / 64.0).min(1.0).sqrt();
        assert!((number(&row["median_cosine"]) - wanted).abs() < 0.08, "{row} where {wanted} is due");
    }
    let signs = |row: &&Value| row["bits"] == 1 && row["with_key"] == true;
    let signs = report["reconstruction"].as_array().unwrap().iter().find(signs).unwrap();
    assert!((number(&signs["median_cosine"]) - 0.798).abs() < 0.02, "{signs}");
    let whole = |row: &&Value| row["overlap"] == "same-samples" && row["attack"] == "neighbours";
    let whole = report["collections"].as_array().unwrap().iter().find(whole).unwrap();
    assert_eq!(
        whole["linked"], whole["tried"],
        "angles within a collection are kept, and the report must say so"
    );

    let again = Made::on(&["--synthetic", "200", "--dimension", "64", "--key-pairs", "50", "--seed", "3"]);
    let without_time = |mut report: Value| {
        report["time"].take();
        report
    };
    assert_eq!(without_time(again.report()), without_time(report), "one seed gives the same figures");
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_every_plot_has_its_table() {
    let made = Made::on(&["--synthetic", "40", "--dimension", "48", "--key-pairs", "10"]);
    let page = fs::read_to_string(made.out.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"), "{}", &page[..60]);
    for absent in ["<script", "http:", "https:", "url(", "src=", "href=", "@import", "NaN", "inf"] {
        assert!(!page.contains(absent), "`{absent}` has no place in the page");
    }
    let count = |text: &str| page.matches(text).count();
    assert_eq!((count("<svg "), count("<figure>"), count("role=\"img\"")), (4, 4, 4));
    for figure in page.split("<figure>").skip(1) {
        let figure = figure.split("</figure>").next().unwrap();
        assert_eq!((figure.matches("<svg ").count(), figure.matches("<table>").count()), (1, 1));
        assert!(figure.contains("<title id=") && figure.contains("<desc id="));
    }
    assert_eq!(count("<table>"), count("<caption>"));
    assert_eq!(count("<th "), count("<th scope="), "every heading says what it heads");
}

#[test]
fn real_voices_keep_their_decisions_and_their_attacks_are_told() {
    let data = repository().join("../shared/data/voice-ami");
    if !data.is_dir() {
        println!("skipped: the data set `voice-ami` is not beside the project; see docs/calibration.md");
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut args = voice::labelled_arguments(&data, folder.path());
    args.extend(["--key-pairs".to_owned(), "500".to_owned()]);
    let made = Made::on(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let report = made.report();
    assert_eq!((&report["input"]["people"], &report["input"]["samples"]), (&4.into(), &577.into()));
    assert_eq!(report["input"]["left_out"], 448, "segments of no one speaker");
    assert_eq!(report["verdict"]["decisions_kept"], true, "{}", report["search"]);
    for row in report["accuracy"].as_array().unwrap() {
        assert_eq!(row["flips_beyond_margin"], 0, "{row}");
    }
    println!("{}", words(&made.said));
    let page = fs::read_to_string(made.out.join("report.html")).unwrap();
    assert!(page.contains("These are few people"), "four speakers are no population");
}

#[test]
fn what_cannot_be_measured_or_signed_is_refused_and_nothing_is_written() {
    let holder = Holder::prepared(&HolderOptions::default());
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let [certificate, key] = who::PRIVACY.credential().map(|file| holder.path(file.to_str().unwrap()));
    let lines = |people: u8| -> String {
        let line = |person| {
            format!("{{\"source_id\": \"p{person}\", \"embedding\": [1, {person}, 2], \"quality\": 80}}\n")
        };
        (0..people).map(line).collect()
    };
    let write = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let short = write("short.jsonl", &lines(9));
    let unknown = write("unknown.jsonl", &lines(9).replace(", \"quality\": 80", ""));
    let scheme = ["--scheme", "demo-face-256", "--templates"];
    let missing = folder.path().join("missing.jsonl").to_str().unwrap().to_owned();
    let policy = repository().join("policy");
    for (args, key, says) in [
        (vec!["--synthetic", "3"], &key, "3 is not in 4..=20000"),
        (vec!["--synthetic", "9"], &certificate, "can't sign"),
        (vec!["--synthetic", "9", "--threshold", "1.5"], &key, "not a threshold"),
        (vec![], &key, "--synthetic"),
        ([&scheme[..], &[&short]].concat(), &key, "line 1: the sample has `3` components"),
        (
            [&scheme[..], &[&unknown]].concat(),
            &key,
            "9 samples without a label or below the scheme's quality",
        ),
        ([&scheme[..], &[&missing]].concat(), &key, "can't be read"),
        ([&scheme[..], &[&short, "--synthetic", "9"]].concat(), &key, "cannot be used with"),
    ] {
        let ran = Command::new(ONEBIT)
            .args([
                "protection",
                "report",
                "--dimension",
                "16",
                "--policy",
                policy.to_str().unwrap(),
                "--key",
            ])
            .arg(key)
            .arg("--out")
            .arg(&out)
            .args(&args)
            .output()
            .unwrap();
        assert!(!ran.status.success() && words(&ran).contains(says), "{args:?}: {}", words(&ran));
        assert!(!out.exists(), "nothing may be written: {args:?}");
    }
    fs::create_dir(&out).unwrap();
    fs::write(out.join("report.html"), "mine").unwrap();
    let ran = report(&holder, &out, &["--synthetic", "9", "--dimension", "16"]);
    assert!(!ran.status.success() && words(&ran).contains("is there already"), "{}", words(&ran));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

/// A report, and who signed it.
struct Made {
    holder: Holder,
    _folder: TempDir,
    out: std::path::PathBuf,
    said: Output,
}

#[tokio::test]
async fn a_collection_is_measured_while_its_server_is_stopped_and_the_log_says_so() {
    let mut holder = Holder::start(HolderOptions::people(40)).await;
    let (folder, config) = (TempDir::new().unwrap(), holder.config());
    let of = ["--collection", "watch-face", "--people", "30", "--key-pairs", "20", "--config"];
    let of = [&of[..], &[config.to_str().unwrap()]].concat();
    let run = |holder: &Holder, more: &[&str]| {
        report(holder, &folder.path().join("out"), &[&of[..], more].concat())
    };
    let because = ["--because", "yearly"];
    assert!(words(&run(&holder, &because)).contains("while the server is stopped"));
    holder.stop().await;
    assert!(words(&run(&holder, &[])).contains("--because"));
    let said = run(&holder, &because);
    assert!(said.status.success(), "{}", words(&said));
    let made = fs::read(folder.path().join("out/report.json")).unwrap();
    let made: Value = serde_json::from_slice(&made).unwrap();
    let input = &made["input"];
    assert_eq!((&input["kind"], &input["people"]), (&"collection".into(), &30.into()), "{input}");
    assert!(input["description"].as_str().unwrap().contains("made up"), "{input}");
    for row in made["unlinkability"].as_array().unwrap() {
        assert_eq!(row["mated_scores"], 30 * 20, "{row}");
        // Noise makes some of it with so few people, one key for both far more.
        assert!(row["shared_key_d_sys"].as_f64().unwrap() > 0.6, "{row}");
    }
    // A template gives its sample back: nothing of the decisions differs from the made-up mates' own.
    assert_eq!(made["verdict"]["decisions_kept"], true, "{}", made["search"]);
    holder.serve().await;
    let entries = holder.entries("holder").await;
    let [measured] = of_kind(&entries, "collection.measured")[..] else { panic!("one entry") };
    assert_eq!((fact(measured, "collection"), fact(measured, "reason")), ("watch-face", "yearly"));
}

impl Made {
    fn on(args: &[&str]) -> Self {
        let (holder, folder) = (Holder::prepared(&HolderOptions::default()), TempDir::new().unwrap());
        let out = folder.path().join("out");
        let said = report(&holder, &out, args);
        assert!(said.status.success(), "{}", words(&said));
        Self { holder, _folder: folder, out, said }
    }

    fn verify(&self, signer: Who) -> Output {
        let [certificate, _] = signer.credential().map(|file| self.holder.path(file.to_str().unwrap()));
        let mut command = Command::new(ONEBIT);
        command.args(["protection", "verify"]).arg(&self.out).arg("--signer").arg(certificate);
        command.output().unwrap()
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.out.join("report.json")).unwrap()).unwrap()
    }
}

fn report(holder: &Holder, out: &Path, args: &[&str]) -> Output {
    let [_, key] = who::PRIVACY.credential().map(|file| holder.path(file.to_str().unwrap()));
    let mut command = Command::new(ONEBIT);
    command.args(["protection", "report", "--key"]).arg(key).arg("--out").arg(out).args(args);
    command.output().unwrap()
}

fn words(ran: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}
