//! The transparency report of a real holder: made from exports, published, and verified by whoever has what.

use std::path::{Path, PathBuf};

use onebit::grpc::pb::partner::Question;
use serde_json::Value;

use crate::holder::{Holder, HolderOptions, until, who};
use crate::partner_side::{acknowledge, own};
use crate::story::{Choice, FIELDS, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, question_about};

/// A year of a holder with a hit, a stranger, a hidden person, a release and a refusal, and its journals' exports.
struct Year {
    holder: Holder,
    journals: Vec<String>,
}

impl Year {
    async fn lived() -> Self {
        let holder = Holder::start(HolderOptions::people(14)).await;
        holder.release_key();
        let channel = holder.channel(who::AU).await;
        for person in [0, STRANGER, HIDDEN] {
            answer_about(&channel, person).await;
        }
        ask(&channel, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();
        let released = holder.request(&holder.hit(0).await, &FIELDS).await;
        for officer in [who::OFFICER, who::OTHER_OFFICER] {
            holder.decide(officer, &released, Choice::Grant(&FIELDS)).await.unwrap();
        }
        // The release was of another person, as its recipient is told.
        acknowledge(&holder, &released).await;
        let why = ["review", "hit-erroneous", &released, "--reason", "another ear"];
        holder.onebit(who::OFFICER, &why).ok();
        until("the withdrawal to be told", async || own(&holder, &released).await.corrections.len() == 1)
            .await;
        let refused = holder.request(&holder.hit(1).await, &FIELDS).await;
        holder.decide(who::OFFICER, &refused, Choice::Deny).await.unwrap();
        let stop = ["suspend", "official", "official-x", "--partner", "au-border", "--reason", "a test"];
        holder.onebit(who::PRIVACY, &stop).ok();
        holder.onebit(who::PRIVACY, &["suspend", "partner", "no-such", "--reason", "a slip"]).failed();
        let mut year = Self { holder, journals: Vec::new() };
        for journal in ["au-border", "holder"] {
            let (folder, key) =
                (year.holder.path(&format!("export-{journal}")), year.holder.log_key(journal));
            let out = folder.to_str().unwrap();
            let export = ["audit", "export", "--journal", journal, "--reason", "yearly report", "--out", out];
            year.holder.onebit(who::PRIVACY, &export).ok();
            year.journals.extend(["--journal".to_owned(), out.to_owned(), "--key".to_owned(), key]);
        }
        year
    }

    fn make(&self) -> (PathBuf, PathBuf) {
        let (out, opening) = (self.holder.path("report"), self.holder.path("opening.json"));
        let [_, key] = who::PRIVACY.credential();
        let (key, text) =
            (self.holder.path(key.to_str().unwrap()), |path: &Path| path.to_str().unwrap().to_owned());
        let args = [
            vec!["report".to_owned(), "make".to_owned(), "--from".to_owned(), "2026-01-01".to_owned()],
            vec!["--until".to_owned(), "2099-12-31".to_owned(), "--signing-key".to_owned(), text(&key)],
            vec!["--out".to_owned(), text(&out), "--opening".to_owned(), text(&opening)],
            vec!["--policy".to_owned(), crate::holder::repository().join("policy").display().to_string()],
            self.journals.clone(),
        ]
        .concat();
        self.run(&args).ok();
        (out, opening)
    }

    fn verify(&self, report: &Path, more: &[String]) -> crate::holder::Ran {
        self.verify_by(&crate::holder::repository().join("policy"), report, more)
    }

    fn verify_by(&self, policy: &Path, report: &Path, more: &[String]) -> crate::holder::Ran {
        let [certificate, _] = who::PRIVACY.credential();
        let signer = self.holder.path(certificate.to_str().unwrap());
        let args = ["report".to_owned(), "verify".to_owned(), report.display().to_string()];
        let policy = policy.display().to_string();
        let who = ["--signer".to_owned(), signer.display().to_string(), "--policy".to_owned(), policy];
        self.run(&[&args[..], &who[..], more].concat())
    }

    fn run(&self, args: &[String]) -> crate::holder::Ran {
        self.holder.onebit(who::PRIVACY, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn a_report_says_what_the_journals_say_and_nothing_exact_of_hidden_people() {
    let year = Year::lived().await;
    let (report, opening) = year.make();
    let figures = read(&report.join("report.json"));
    let au = &figures["partners"][0];
    for (figure, due) in [
        ("questions", 5),
        ("hits", 3),
        ("requests", 2),
        ("released", 1),
        ("refused", 1),
        ("hits_followed", 2),
        ("erroneous_hits", 1),
        ("suspensions", 1),
    ] {
        assert_eq!(au[figure].as_u64(), Some(due), "{figure} of {au}");
    }
    assert_eq!(figures["partners"].as_array().unwrap().len(), 1, "nobody who is not there is reported");
    let searched = &au["collections"][0];
    assert_eq!(
        (searched["collection"].as_str(), searched["modality"].as_str()),
        (Some("watch-face"), Some("face"))
    );
    for (figure, due) in [
        ("questions", 5),
        ("hits", 3),
        ("followed", 2),
        ("released", 1),
        ("erroneous", 1),
        ("erroneous_released", 1),
    ] {
        assert_eq!(searched[figure].as_u64(), Some(due), "{figure} of {searched}");
    }
    assert_eq!(
        (au["questions_refused"].as_u64(), au["refusals"]["PURPOSE_NOT_IN_AGREEMENT"].as_u64()),
        (Some(1), Some(1)),
        "{au}"
    );
    assert_eq!(
        au["decided_within"][0].as_u64(),
        Some(2),
        "a release and a refusal, both within the hour: {au}"
    );
    assert_eq!(au["fields"]["family-name"].as_u64(), Some(1));
    assert!(au.get("hidden_hits").is_none(), "nothing exact: {au}");
    let exact = read(&opening);
    assert_eq!(exact["exact"][0][1].as_u64(), Some(1), "{exact}");
    for file in ["report.json", "report.csv", "report.html"] {
        let text = std::fs::read_to_string(report.join(file)).unwrap();
        assert!(!text.contains(exact["seed"].as_str().unwrap()), "{file} has the seed");
    }
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    let (_, table) = page.split_once("Questions and hits by category").unwrap();
    let cells: Vec<&str> = table.split("<td").skip(1).take(8).collect();
    let due = ["face", "watch-face", "5", "3", "2", "0", "1", "1"];
    for (cell, due) in cells.iter().zip(due) {
        assert!(cell.contains(&format!(">{due}<")), "{due} in {cells:?}");
    }

    let all = [year.journals.clone(), vec!["--opening".to_owned(), opening.display().to_string()]].concat();
    for (more, due) in
        [(Vec::new(), "its page, its table and its sums"), (all, "every number against the journals")]
    {
        let told = year.verify(&report, &more).ok();
        assert!(told.contains("the report holds") && told.contains(due), "{told}");
    }
}

#[tokio::test]
async fn a_report_that_was_changed_or_opened_by_another_is_refused() {
    let year = Year::lived().await;
    let (report, opening) = year.make();
    let changed = std::fs::read_to_string(&opening).unwrap().replacen(
        "hidden-hits\",\n      1",
        "hidden-hits\",\n      2",
        1,
    );
    let other = year.holder.path("other.json");
    std::fs::write(&other, changed).unwrap();
    let refused = year.verify(&report, &["--opening".to_owned(), other.display().to_string()]).failed();
    assert!(refused.contains("not the one that the report commits to"), "{refused}");

    let bare = year.holder.path("bare");
    let agreements = bare.join("agreements");
    crate::holder::copy(&crate::holder::repository().join("policy"), &bare);
    let text = std::fs::read_to_string(agreements.join("au-border-identity.toml")).unwrap();
    std::fs::remove_file(agreements.join("au-border-identity.toml")).unwrap();
    std::fs::write(
        agreements.join("au-border-other.toml"),
        text.replacen("name = \"au-border-identity\"", "name = \"au-border-other\"", 1),
    )
    .unwrap();
    let unknown = year.verify_by(&bare, &report, &year.journals).failed();
    assert!(unknown.contains("name the agreement `au-border-identity`"), "{unknown}");

    let of_one = &year.journals[..4];
    assert!(year.verify(&report, of_one).failed().contains("the journals are not those that were counted"));

    let figures = report.join("report.json");
    let text = std::fs::read_to_string(&figures).unwrap().replacen("\"questions\": 5", "\"questions\": 6", 1);
    std::fs::write(&figures, text).unwrap();
    assert!(year.verify(&report, &[]).failed().contains("is not as it was signed"));
}

#[tokio::test]
async fn what_can_not_be_reported_is_said_before_anything_is_written() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let [_, key] = who::PRIVACY.credential();
    let key = holder.path(key.to_str().unwrap()).display().to_string();
    let base = ["report", "make", "--signing-key", &key, "--out", "r"];
    for (args, due) in [
        (vec!["--from", "2026-02-01", "--until", "2026-01-01", "--opening", "o.json"], "lies before"),
        (
            vec!["--from", "2026-01-01", "--until", "2026-02-01", "--opening", "o.json"],
            "no journal was given",
        ),
        (
            vec![
                "--from",
                "2026-01-01",
                "--until",
                "2026-02-01",
                "--opening",
                "r/o.json",
                "--journal",
                "x",
                "--key",
                "y",
            ],
            "outside of `--out`",
        ),
    ] {
        let refused = holder.onebit(who::PRIVACY, &[&base[..], &args].concat()).failed();
        assert!(refused.contains(due), "{due}: {refused}");
    }
    assert!(!holder.path("r").exists() && !holder.path("o.json").exists());
}
