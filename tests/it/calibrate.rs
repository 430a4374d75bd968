//! `onebit calibrate`: the error counts that others found on published scores, and the table that a scheme takes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use onebit::authz::{Bundle, Rules};
use onebit::cli::formats::ark;
use onebit::grpc::pb::partner::Answer;
use onebit::template::Rate;
use tempfile::TempDir;
use tonic::Code;

use crate::holder::{Holder, HolderOptions, ONEBIT, copy, repository, who};
use crate::story::{answer_about, ask, question_about, refusal};
use crate::voice;

/// People of NIST's Biometric Scores Set 1 whose scores are there.
const PEOPLE: u64 = 517;

#[test]
fn errors_on_published_scores_are_those_that_others_counted() {
    let Some(data) = data_set("scores-bssr1") else { return };
    let expected = fs::read_to_string(data.join("expected_counts.csv")).unwrap();
    let mut by_matcher: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in expected.lines().skip(1) {
        let (matcher, counts) = line.split_once(',').unwrap();
        by_matcher.entry(matcher).or_default().push(counts);
    }
    assert_eq!(by_matcher.keys().copied().collect::<Vec<_>>(), ["face-G", "finger-left"]);
    for (matcher, wanted) in by_matcher {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("out");
        let matrix = data.join(format!("{matcher}.csv"));
        let mut args = vec!["--matrix", text(&matrix), "--out", text(&out)];
        for counts in &wanted {
            args.extend(["--at", counts.split(',').next().unwrap()]);
        }
        let ran = calibrate(&args);
        assert!(ran.status.success(), "{}", said(&ran));
        let counts = fs::read_to_string(out.join("counts.csv")).unwrap();
        assert_eq!(counts.lines().skip(1).collect::<Vec<_>>(), wanted, "{matcher}");
        // What is drawn holds every score, and the first point of the DET accepts them all.
        let histogram = columns(&out.join("histogram.csv"));
        let sum = |at: usize| histogram.iter().map(|row| row[at].parse::<u64>().unwrap()).sum::<u64>();
        assert_eq!((sum(2), sum(3)), (PEOPLE, PEOPLE * (PEOPLE - 1)), "{matcher}");
        let det = columns(&out.join("det.csv"));
        assert_eq!(det[0][1..], ["0", "517", "266772", "266772"], "{matcher}");
        assert_eq!(det[det.len() - 1][1..], ["517", "517", "0", "266772"], "{matcher}");
        // The rule of three: 3 / 266,772, rounded up.
        let table = columns(&out.join("table.csv"));
        assert_eq!(
            (table[table.len() - 1][0].as_str(), table[table.len() - 1][2].as_str()),
            ("1.125e-5", "0")
        );
        assert!(!out.join("calibration.toml").exists(), "these scores are no cosines");
        assert!(said(&ran).contains("not cosines"), "{}", said(&ran));
        for drawing in ["det.svg", "histogram.svg"] {
            let svg = fs::read_to_string(out.join(drawing)).unwrap();
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        }
    }
}

#[test]
fn published_zeros_may_stand_for_no_score_and_change_no_count_above_zero() {
    let Some(data) = data_set("scores-bssr1") else { return };
    let expected = fs::read_to_string(data.join("expected_counts.csv")).unwrap();
    let wanted: Vec<&str> = expected.lines().filter_map(|line| line.strip_prefix("finger-left,")).collect();
    let folder = TempDir::new().unwrap();
    let (out, matrix) = (folder.path().join("out"), data.join("finger-left.csv"));
    let mut args = vec!["--matrix", text(&matrix), "--out", text(&out), "--no-score", "0"];
    for counts in &wanted {
        args.extend(["--at", counts.split(',').next().unwrap()]);
    }
    let ran = calibrate(&args);
    assert!(ran.status.success(), "{}", said(&ran));
    assert!(said(&ran).contains("impostor      266772 comparisons, 462 without a score"), "{}", said(&ran));
    let counts = fs::read_to_string(out.join("counts.csv")).unwrap();
    assert_eq!(counts.lines().skip(1).collect::<Vec<_>>(), wanted, "they stay in the denominators");
}

#[test]
fn comparisons_without_a_score_are_counted_and_told_apart() {
    let folder = TempDir::new().unwrap();
    let matrix = folder.path().join("matrix.csv");
    fs::write(&matrix, ",a,b,c\na,9,2,-1\nb,3,-1,5\nc,1,4,8\n").unwrap();
    let out = folder.path().join("out");
    let ran = calibrate(&["--matrix", text(&matrix), "--out", text(&out), "--at", "-2", "--at", "4"]);
    assert!(ran.status.success(), "{}", said(&ran));
    let counts = fs::read_to_string(out.join("counts.csv")).unwrap();
    assert_eq!(counts.lines().skip(1).collect::<Vec<_>>(), ["-2,1,3,5,6", "4,1,3,2,6"]);
    assert!(said(&ran).contains("genuine       3 comparisons, 1 without a score"), "{}", said(&ran));
    assert!(said(&ran).contains("impostor      6 comparisons, 1 without a score"), "{}", said(&ran));
    assert!(said(&ran).contains("support no table; bring at least 31"), "{}", said(&ran));
}

#[test]
fn scores_that_cannot_be_read_are_refused_with_file_and_line_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let good = write("good", "0.5\n0.6\n");
    let out = folder.path().join("out");
    for (content, says) in [
        ("0.1\n0.2\nsecret\n", "line 3: a field that is not a finite number"),
        ("0.1\nNaN\n", "line 2: a field that is not a finite number"),
        ("0.1,0.2\n", "line 1: several fields; name the one with --column"),
        ("", "there is no impostor score"),
    ] {
        let bad = write("bad", content);
        let ran = calibrate(&["--genuine", text(&good), "--impostor", text(&bad), "--out", text(&out)]);
        assert_eq!(ran.status.code(), Some(1), "`{content}`: {}", said(&ran));
        assert!(said(&ran).contains(says) && !said(&ran).contains("secret"), "`{content}`: {}", said(&ran));
        assert!(!out.exists(), "`{content}` left something behind");
    }
    let ran = calibrate(&["--genuine", text(&good), "--out", text(&out)]);
    assert_eq!(ran.status.code(), Some(2), "genuine scores alone measure nothing: {}", said(&ran));
}

#[test]
fn what_was_written_before_stays_and_nothing_is_written_beside_it() {
    let folder = TempDir::new().unwrap();
    let [genuine, impostor, out] =
        ["genuine.txt", "impostor.txt", "out"].map(|name| folder.path().join(name));
    fs::write(&genuine, "0.8\n0.9\n").unwrap();
    fs::write(&impostor, "0.1\n0.2\n").unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("histogram.svg"), "mine").unwrap();
    let ran = calibrate(&["--genuine", text(&genuine), "--impostor", text(&impostor), "--out", text(&out)]);
    assert!(!ran.status.success());
    assert!(said(&ran).contains("histogram.svg` is there already"), "{}", said(&ran));
    let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["histogram.svg"]);
    assert_eq!(fs::read_to_string(out.join("histogram.svg")).unwrap(), "mine");
}

#[test]
fn a_scheme_takes_the_table_that_was_measured_on_people_who_are_known() {
    let folder = TempDir::new().unwrap();
    let people = folder.path().join("people");
    let made = Command::new(ONEBIT)
        .args(["synth", "--people", "300", "--probes", "2", "--seed", "5", "--out", text(&people)])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    // Two people of the data set stand for one, so that there are genuine pairs; they are as unlike as strangers.
    let manifest = fs::read_to_string(people.join("gallery.manifest.jsonl")).unwrap();
    let ids: Vec<serde_json::Value> =
        manifest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let labels: String = (0..300)
        .map(|row: usize| format!("{},person-{}\n", ids[row]["source_id"].as_str().unwrap(), row / 2))
        .collect();
    let labels_file = folder.path().join("labels.csv");
    fs::write(&labels_file, labels).unwrap();
    let (npy, manifest) = (people.join("gallery.npy"), people.join("gallery.manifest.jsonl"));
    let (out, policy) = (folder.path().join("out"), repository().join("policy"));
    let args = ["--npy", text(&npy), "--manifest", text(&manifest), "--labels", text(&labels_file)];
    let more = ["--policy", text(&policy), "--scheme", "demo-face-256", "--out", text(&out)];
    let ran = calibrate(&[&args[..], &more[..]].concat());
    assert!(ran.status.success(), "{}", said(&ran));
    assert!(said(&ran).contains("genuine       150 comparisons"), "{}", said(&ran));
    assert!(said(&ran).contains("impostor      44700 comparisons"), "{}", said(&ran));

    let scheme_file = "schemes/demo-face-256.toml";
    let other = folder.path().join("policy");
    copy(&policy, &other);
    let text_of = fs::read_to_string(other.join(scheme_file)).unwrap();
    let start = text_of.find("calibration = [").unwrap();
    let end = text_of.find("]\n\n# With these").unwrap() + 2;
    let table = fs::read_to_string(out.join("calibration.toml")).unwrap();
    let replaced = format!("{}{table}{}", &text_of[..start], &text_of[end..]);
    fs::write(other.join(scheme_file), replaced).unwrap();
    // 44,700 comparisons support 6.7e-5 a comparison, and the agreements allow 1e-6 a query.
    let ran = Command::new(ONEBIT).args(["policy", "check", text(&other)]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));
    assert!(said(&ran).contains("supports no gallery of `watch-face`"), "{}", said(&ran));
    for name in ["au-border-identity", "ca-border-identity"] {
        let file = other.join(format!("agreements/{name}.toml"));
        let agreement = fs::read_to_string(&file).unwrap();
        let agreement = agreement.replace("fpir = 1e-6", "fpir = 1e-2");
        let hits = agreement.lines().find(|line| line.starts_with("false_hits_per_year = ")).unwrap();
        let agreement = agreement.replace(hits, "false_hits_per_year = 10_000.0");
        fs::write(&file, agreement).unwrap();
    }
    let ran = Command::new(ONEBIT).args(["policy", "check", text(&other)]).output().unwrap();
    assert!(ran.status.success(), "{}", said(&ran));
    assert!(
        said(&ran).contains("`ca-border-identity` on `watch-face`: for 1 to 149 templates"),
        "{}",
        said(&ran)
    );

    let rules = Rules::load(Bundle::read_folder(&other).unwrap()).ok().unwrap();
    let scheme = &rules.scheme(&"demo-face-256".parse().unwrap()).unwrap().scheme;
    let threshold = |rate| scheme.calibration.threshold_for(Rate::new(rate).unwrap());
    // Independent directions in 256 dimensions: Q(16 t), as in the scheme that is shipped.
    for (rate, deviations) in [(1e-2, 2.326), (1e-3, 3.090)] {
        let found = threshold(rate).unwrap().get();
        assert!((found - deviations / 16.0).abs() < 0.02, "`{rate}` came out at the threshold {found}");
    }
    assert!(threshold(6e-5).is_err(), "a rate below 3 in 44,700 must be refused");
}

#[test]
fn pairs_of_real_voices_are_those_that_are_counted_one_by_one() {
    let Some(data) = data_set("voice-ami") else { return };
    let folder = TempDir::new().unwrap();
    let speakers: BTreeMap<String, String> = voice::labels(&data).into_iter().collect();
    let (archive, out) = (data.join("ES2005a.ark"), folder.path().join("out"));
    let labelled = voice::labelled_arguments(&data, folder.path());
    let args: Vec<&str> = labelled.iter().map(String::as_str).collect();
    let more = ["--out", text(&out), "--at", "0.5", "--at", "0.7", "--at", "0.9"];
    let ran = calibrate(&[&args[..], &more[..]].concat());
    assert!(ran.status.success(), "{}", said(&ran));
    assert!(
        said(&ran).contains("left out      448 samples"),
        "1,025 segments, 577 of one speaker: {}",
        said(&ran)
    );

    let mut samples: Vec<(String, Vec<f64>)> = Vec::new();
    for row in ark::templates(BufReader::new(File::open(&archive).unwrap())) {
        let row = row.unwrap().ok().unwrap();
        if let Some(speaker) = speakers.get(&row.source_id) {
            let norm = row.embedding.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            samples.push((speaker.clone(), row.embedding.iter().map(|x| f64::from(*x) / norm).collect()));
        }
    }
    let mut cosines: Vec<(usize, f64)> = Vec::new();
    for (at, (speaker, a)) in samples.iter().enumerate() {
        for (other, b) in &samples[at + 1..] {
            let mut cosine = 0.0;
            for component in 0..a.len() {
                cosine += a[component] * b[component];
            }
            cosines.push((usize::from(speaker != other), cosine));
        }
    }
    for row in columns(&out.join("counts.csv")) {
        let threshold: f64 = row[0].parse().unwrap();
        let (mut counts, mut near) = ([0_u64; 4], [0_u64; 2]);
        for (kind, cosine) in &cosines {
            let wrong = (*cosine >= threshold) == (*kind == 1);
            counts[2 * kind] += u64::from(wrong);
            counts[2 * kind + 1] += 1;
            near[*kind] += u64::from((cosine - threshold).abs() < ROUNDING);
        }
        let told: Vec<u64> = row[1..].iter().map(|field| field.parse().unwrap()).collect();
        assert_eq!((told[1], told[3]), (counts[1], counts[3]), "all pairs, each once");
        for kind in [0, 1] {
            let apart = told[2 * kind].abs_diff(counts[2 * kind]);
            assert!(apart <= near[kind], "at {threshold}: {told:?}, counted one by one {counts:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_threshold_follows_the_gallery_and_says_so_until_the_calibration_ends() {
    let scheme = fs::read_to_string(repository().join("policy/schemes/demo-face-256.toml")).unwrap();
    let start = scheme.find("  { threshold = 0.362997").unwrap();
    let tail: &'static str = scheme[start..scheme.find("]\n\n# With these").unwrap()].to_owned().leak();
    // 1e-6 a query and 1e-8 a comparison: 100 templates.
    let options = HolderOptions::people(20).policy("schemes/demo-face-256.toml", tail, "");
    let mut holder = Holder::start(options).await;
    let channel = holder.channel(who::AU).await;
    let said = |holder: &Holder| {
        let output = holder.log_output();
        output.lines().filter(|line| line.contains("threshold follows the gallery")).count()
    };
    for asked in 0..3 {
        assert_eq!(answer_about(&channel, 0).await, Answer::Hit, "question {asked}");
    }
    assert_eq!(said(&holder), 1, "once, and not again while nothing moves:\n{}", holder.log_output());
    holder.enrol(20..90).await;
    assert_eq!(answer_about(&channel, 0).await, Answer::Hit);
    assert_eq!(said(&holder), 2, "the gallery grew:\n{}", holder.log_output());
    assert!(holder.log_output().contains("raised"), "{}", holder.log_output());
    holder.enrol(90..120).await;
    let (code, reason) = refusal(ask(&channel, question_about(0)).await);
    assert_eq!(
        (code, reason.as_str()),
        (Code::Unavailable, "UNAVAILABLE"),
        "never an answer without support"
    );
    holder.stop().await;
}

/// What protection may move a cosine by: 16 bits a component.
const ROUNDING: f64 = 1e-4;

/// A data set that lies beside the project, or a line that says which one is missing.
fn data_set(name: &str) -> Option<PathBuf> {
    let data = repository().join("../shared/data").join(name);
    if data.is_dir() {
        return Some(data);
    }
    println!("skipped: the data set `{name}` is not beside the project; see docs/calibration.md");
    None
}

fn calibrate(args: &[&str]) -> Output {
    Command::new(ONEBIT).arg("calibrate").args(args).output().unwrap()
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr[..]].concat()).into_owned()
}

/// The fields of a CSV file, without its header.
fn columns(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
