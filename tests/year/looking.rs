//! What is found in a year that was written: by a check of the whole store, by alerts, by a report and by searches.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use crate::holder::{Holder, Ran, who};
use crate::year::{
    self, BIG_CASE, FIELDS, FISHER, FISHING_OF, MANY_PEOPLE_OF, OFFICERS, PARTNERS, STAMP, Year,
};

/// Exports of all journals, each with its key.
pub(crate) struct Exports {
    partners: Vec<String>,
    holder: Vec<String>,
}

impl Exports {
    /// Exports every journal, as a privacy officer does.
    pub(crate) fn of(holder: &Holder) -> Self {
        let export = |journal: &str| -> Vec<String> {
            let folder = holder.path(&format!("export-{journal}"));
            let out = folder.to_str().unwrap();
            let reason = "a look at the year";
            let export = ["audit", "export", "--journal", journal, "--reason", reason, "--out", out];
            holder.onebit(who::PRIVACY, &export).ok();
            ["--journal", out, "--key", &holder.log_key(journal)].map(str::to_owned).to_vec()
        };
        let partners = PARTNERS.iter().flat_map(|partner| export(partner.name)).collect();
        Self { partners, holder: export("holder") }
    }
}

/// An alert, as far as it is looked at here.
#[derive(Debug)]
pub(crate) struct Alert {
    id: String,
    detector: String,
    whom: String,
    from: String,
    until: String,
    says: String,
    total: u64,
}

/// What the detectors say of exported journals.
pub(crate) fn alerts(holder: &Holder, exports: &Exports) -> Vec<Alert> {
    let of_command = |word: &String| if word == "--key" { "--log-key".to_owned() } else { word.clone() };
    let exports: Vec<String> = exports.partners.iter().map(of_command).collect();
    read(&run(holder, &[&["audit", "alerts", "--output", "json"]], &exports).json())
}

/// The server's own watch finds what is found in exports, each alert with the same id.
pub(crate) fn server_found(holder: &Holder, alerts: &[Alert]) {
    let look = ["audit", "alerts", "--reason", "a look at the year", "--output", "json"];
    let found = loop {
        let found = holder.onebit(who::PRIVACY, &look).json();
        if found["current"] == true {
            break read(&found);
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    let ids =
        |alerts: &[Alert]| -> BTreeSet<String> { alerts.iter().map(|alert| alert.id.clone()).collect() };
    assert_eq!(ids(&found), ids(alerts), "{found:#?} instead of {alerts:#?}");
}

fn read(found: &Value) -> Vec<Alert> {
    let text = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
    let alerts = found["alerts"].as_array().unwrap().iter().map(|alert| Alert {
        id: text(alert, "alert"),
        detector: text(alert, "detector"),
        whom: text(alert, "whom"),
        from: text(alert, "from"),
        until: text(alert, "until"),
        says: text(alert, "says"),
        total: alert["entries_total"].as_u64().unwrap(),
    });
    alerts.collect()
}

/// Each misuse is named by the detectors that are made for it; what is said of others is a false alarm, and of those there
/// are no more than chance explains.
pub(crate) fn misuses_are_named(alerts: &[Alert]) {
    let fishing = PARTNERS[FISHING_OF].name;
    let fisher = format!("{FISHER} of {fishing}");
    let big_case = format!("case {BIG_CASE} of {}", PARTNERS[MANY_PEOPLE_OF].name);
    // A night begins and ends on one day of UTC, or on two.
    let is_of_misuse = |alert: &&Alert| {
        let (detector, whom) = (alert.detector.as_str(), alert.whom.as_str());
        match detector {
            "fishing" => whom == fisher,
            "hours" | "volume" => whom == fishing && NIGHTS.iter().any(|night| alert.from.starts_with(night)),
            "many-people" => whom == big_case,
            "approve-all" | "fast-approvals" => {
                whom == OFFICERS[STAMP] && alert.until.as_str() >= STAMPED_FROM
            }
            _ => false,
        }
    };
    let (found, others): (Vec<&Alert>, Vec<&Alert>) = alerts.iter().partition(is_of_misuse);
    for (detector, whom, least) in [
        ("fishing", fisher.as_str(), 5),
        ("hours", fishing, 1),
        ("many-people", big_case.as_str(), 1),
        ("approve-all", OFFICERS[STAMP], 1),
        ("fast-approvals", OFFICERS[STAMP], 3),
    ] {
        let of: Vec<&&Alert> = found.iter().filter(|it| it.detector == detector && it.whom == whom).collect();
        assert!(of.len() >= least, "`{detector}` should name {whom} {least} times: {alerts:#?}");
        assert!(of.iter().all(|it| it.total > 0 && !it.says.is_empty()));
    }
    println!("{} alerts of three misuses, {} of nobody's", found.len(), others.len());
    assert!(others.len() <= FALSE_ALARMS_MAX, "more false alarms than chance explains: {others:#?}");
}

/// The report says what the year came to, and holds against the journals.
pub(crate) fn report_agrees(holder: &Holder, exports: &Exports, year: &Year) {
    let [certificate, key] = who::PRIVACY.credential().map(|file| holder.path(file.to_str().unwrap()));
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (policy, out) = (text(holder.path("policy-of-year")), text(holder.path("report")));
    let (opening, certificate, key) = (text(holder.path("opening.json")), text(certificate), text(key));
    let journals = [&exports.partners[..], &exports.holder].concat();
    let (from, until) = (year::FROM.to_string(), year::UNTIL.to_string());
    let make = ["report", "make", "--from", &from, "--until", &until, "--signing-key", &key, "--out", &out];
    run(holder, &[&make, &["--opening", &opening, "--policy", &policy]], &journals).ok();
    let verify = ["report", "verify", &out, "--signer", &certificate, "--policy", &policy];
    let told = run(holder, &[&verify, &["--opening", &opening]], &journals).ok();
    assert!(told.contains("every number against the journals"), "{told}");

    let read = |path: String| -> Value { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
    let (report, opened) = (read(format!("{out}/report.json")), read(opening));
    let exact = opened["exact"].to_string();
    for (partner, totals) in PARTNERS.iter().zip(&year.totals) {
        let reported = report["partners"].as_array().unwrap();
        let told = reported.iter().find(|told| told["partner"] == partner.name).unwrap();
        for (figure, counted) in [
            ("questions", totals.questions),
            ("questions_refused", totals.questions_refused),
            ("hits", totals.hits),
            ("hits_followed", totals.requests),
            ("requests", totals.requests),
            ("released", totals.released),
            ("refused", totals.refused),
            ("withdrawn", totals.withdrawn),
            ("expired", totals.expired),
            ("lapsed", 0),
            ("suspensions", 0),
        ] {
            assert_eq!(told[figure].as_u64(), Some(counted), "{figure} of {}: {told}", partner.name);
        }
        for field in FIELDS {
            assert_eq!(told["fields"][field].as_u64(), Some(totals.released), "{field} of {}", partner.name);
        }
        let months = told["months"].as_array().unwrap();
        let sum = months.iter().map(|month| month["questions"].as_u64().unwrap()).sum::<u64>();
        assert_eq!((months.len(), sum), (12, totals.questions), "{told}");
        let hidden = format!("[\"{}/hidden-hits\",{}]", partner.name, totals.hidden_hits);
        assert!(exact.contains(&hidden), "{hidden} of {exact}");
    }
}

/// Searches find what was put there, and all of it.
pub(crate) fn searches_answer(holder: &Holder, year: &Year) {
    let of = |attribute: &str| -> usize {
        let by = |case: &year::Case| match attribute {
            "official" => case.official == FISHER,
            _ => case.reference == BIG_CASE,
        };
        let asked = year.steps.iter().filter(|step| match step.what {
            year::What::Asked { case } => by(&year.cases[case]),
            _ => false,
        });
        asked.count()
    };
    for (attribute, value) in [("official", FISHER), ("case", BIG_CASE)] {
        let args = ["audit", "search", "--by", attribute, "--value", value, "--reason", "an alert"];
        let begun = Instant::now();
        let told =
            holder.onebit(who::PRIVACY, &[&args[..], &["--limit", "10", "--output", "json"]].concat()).ok();
        println!("search by {attribute}: the command and its first page in {:.0?}", begun.elapsed());
        assert_eq!(told.lines().count(), 10);
        let all = holder.onebit(who::PRIVACY, &[&args[..], &["--output", "json"]].concat()).ok();
        assert_eq!(all.lines().count(), of(attribute), "{attribute} {value}");
    }
}

/// The check of the whole store finds nothing wrong and so many queries.
pub(crate) fn store_is_whole(holder: &Holder, questions: u64) {
    let config = holder.config();
    let args = ["audit", "fsck", "--config", config.to_str().unwrap(), "--output", "json"];
    let begun = Instant::now();
    let found = holder.onebit(who::ADMIN, &args).json();
    println!("checked whole in {:.1?}", begun.elapsed());
    assert_eq!(found["whole"], true, "{found:#}");
    assert_eq!(found["queries"].as_u64(), Some(questions), "{found:#}");
    assert_eq!(found["unchecked"], Value::Array(Vec::new()), "{found:#}");
}

/// The bytes of the files of a folder.
pub(crate) fn bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

fn run(holder: &Holder, args: &[&[&str]], more: &[String]) -> Ran {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    holder.onebit(who::PRIVACY, &[&args.concat()[..], &more].concat())
}

/// The nights of the fisher, by the days of UTC on which they lie.
const NIGHTS: [&str; 5] = ["2026-02-10", "2026-02-12", "2026-02-17", "2026-02-19", "2026-02-25"];
const STAMPED_FROM: &str = "2025-10-01";
/// Four windows a day of each partner, at one in ten thousand, are 0.73 a year; 600,000 cases at one in a million are 0.6
/// more, and windows of officers 0.2. More than 6 would come by chance once in 500 years of a million questions.
const FALSE_ALARMS_MAX: usize = 6;
