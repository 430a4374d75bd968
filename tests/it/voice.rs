//! Real input: speaker embeddings of a recorded meeting, that no one here made. What the server answers is compared,
//! probe by probe, with what NumPy computes on the templates as they are served.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use onebit::cli::formats::ark;
use onebit::cli::synth::People;
use onebit::grpc::pb::enrolment;
use onebit::grpc::pb::partner::Answer;
use onebit::ids::CollectionName;
use onebit::store::Store;
use onebit::template::{Protected, Quality, QualityScore, Sample, protect};

use crate::holder::{Holder, HolderOptions, copy, repository, who};
use crate::opened::{open_store, protection};
use crate::python::run_python;
use crate::story::{ask, question};

/// Between the speakers' own and other people's segments, so that both answers come up often.
const THRESHOLD: f64 = 0.45;
/// What rounding may decide otherwise than exact search of the samples as they came.
const MARGIN: f64 = 0.002;
const STRANGERS: u64 = 20_000;
const STRANGER_PROBES: u64 = 100;
const QUALITY: u32 = 80;
const COLLECTION: &str = "watch-face";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_on_real_voices_is_what_numpy_computes_on_the_served_templates() {
    let data = repository().join("../shared/data/voice-ami");
    if !data.is_dir() {
        println!("skipped: the data set `voice-ami` is not beside the project; see docs/performance.md");
        return;
    }
    let (enrolled, probes) = halves(&data);
    assert_eq!(enrolled.len(), 4, "four speakers were recorded");
    let strangers = People::new(77, 256);
    let mut probes: Vec<Vec<f32>> = probes.into_values().flatten().collect();
    let of_speakers = probes.len();
    // People who are enrolled among the strangers, seen again from near to far, and people who are not.
    for person in 0..STRANGER_PROBES {
        let cosine = 0.30 + 0.003 * f64::from(u32::try_from(person).unwrap());
        probes.push(strangers.sample_of(person, cosine, 1));
        probes.push(strangers.embedding(STRANGERS + person));
    }

    let mut holder = Holder::start(HolderOptions::default()).await;
    let scheme = fs::read_to_string(repository().join("policy/schemes/demo-face-256.toml")).unwrap();
    let table =
        &scheme[scheme.find("calibration = [").unwrap()..scheme.find("]\n\n# With these").unwrap() + 2];
    let file = "schemes/demo-face-256.toml";
    holder.policy_activate(&[
        (file, "modality = \"face\"", "modality = \"voice\""),
        (file, "normalisation = \"unit-length\"", "normalisation = \"any\""),
        (file, table, &format!("fixed_threshold = {THRESHOLD}\n")),
    ]);
    let mut rows: Vec<_> = enrolled.iter().map(|(speaker, segments)| row(speaker, segments)).collect();
    rows.extend(
        (0..STRANGERS).map(|person| row(&format!("stranger-{person}"), &[strangers.embedding(person)])),
    );
    let answers = holder.enrol_subjects(rows).await;
    assert!(answers.iter().all(|answer| answer.rejected.is_empty()), "every row should be accepted");

    let channel = holder.channel(who::AU).await;
    let mut served = Vec::new();
    for probe in &probes {
        let answered = ask(&channel, question(vec![probe.clone()])).await.unwrap();
        served.push(answered.answer() == Answer::Hit);
    }
    holder.stop().await;

    let folder = tempfile::tempdir().unwrap();
    dump(&holder, folder.path(), &probes).await;
    let gallery: Vec<Vec<f32>> = enrolled.into_values().flatten().collect();
    let all = gallery.into_iter().chain((0..STRANGERS).map(|person| strangers.embedding(person)));
    write_npy(&folder.path().join("gallery.f32.npy"), "<f4", all.map(|values| le_f32(&values)));
    write_npy(&folder.path().join("probes.f32.npy"), "<f4", probes.iter().map(|values| le_f32(values)));
    let script = repository().join("tests/python/voice_reference.py");
    let args = [script.to_str().unwrap(), folder.path().to_str().unwrap(), &THRESHOLD.to_string()];
    let reference: serde_json::Value = serde_json::from_str(&run_python(&args, folder.path())).unwrap();

    let of = |which: &str| -> Vec<bool> { serde_json::from_value(reference[which].clone()).unwrap() };
    let hits = served.iter().filter(|hit| **hit).count();
    let plain = of("plain");
    let flipped = plain.iter().zip(&served).filter(|(plain, served)| plain != served).count();
    let best: Vec<f64> = serde_json::from_value(reference["plain_best"].clone()).unwrap();
    let far = |at: &usize| (best[*at] - THRESHOLD).abs() > MARGIN;
    let changed = (0..served.len()).filter(far).filter(|at| plain[*at] != served[*at]).count();
    println!(
        "{} probes ({of_speakers} of speakers), {hits} hits; {flipped} decided otherwise by plain 32-bit cosines; the \
         largest difference in similarity is {}, the probe nearest to the threshold lies {} from it",
        served.len(),
        reference["largest_difference"],
        reference["nearest_to_threshold"],
    );
    assert_eq!(changed, 0, "protection changed a decision further than {MARGIN} from the threshold");
    assert_eq!(served, of("served"), "an answer differs from NumPy's on the served templates");
    assert!(hits > 100 && served.len() - hits > 100, "both answers should come up often: {hits} hits");
}

type BySpeaker = BTreeMap<String, Vec<Vec<f32>>>;

/// The labelled segments of each speaker, mean-centred: every second one to enrol, the others to ask with.
fn halves(data: &Path) -> (BySpeaker, BySpeaker) {
    let archive = BufReader::new(File::open(data.join("ES2005a.ark")).unwrap());
    let mut embeddings: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for row in ark::templates(archive) {
        let mut row = row.unwrap().map_err(|reject| reject.reason).unwrap();
        embeddings.insert(row.source_id.clone(), std::mem::take(&mut *row.embedding));
    }
    let count = f64::from(u32::try_from(embeddings.len()).unwrap());
    let mut mean = vec![0.0; 256];
    for (at, value) in embeddings.values().flat_map(|values| values.iter().enumerate()) {
        mean[at] += f64::from(*value) / count;
    }
    let (mut enrolled, mut probes, mut seen) = (BySpeaker::new(), BySpeaker::new(), BTreeMap::new());
    for (key, speaker) in labels(data) {
        let values = embeddings[&key].iter().zip(&mean);
        #[expect(clippy::as_conversions, reason = "the nearest 32-bit float is meant")]
        let centred: Vec<f32> = values.map(|(value, mean)| (f64::from(*value) - mean) as f32).collect();
        let nth: &mut u32 = seen.entry(speaker.clone()).or_default();
        let half = if nth.is_multiple_of(2) { &mut enrolled } else { &mut probes };
        half.entry(speaker).or_default().push(centred);
        *nth += 1;
    }
    (enrolled, probes)
}

/// A segment is a speaker's where that speaker covers at least 90 % of it and nobody else overlaps.
pub(crate) fn labels(data: &Path) -> Vec<(String, String)> {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let turns: Vec<(f64, f64, String)> = fs::read_to_string(data.join("reference.rttm"))
        .unwrap()
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let start = number(fields[3]);
            (start, start + number(fields[4]), fields[7].to_owned())
        })
        .collect();
    let mut labelled = Vec::new();
    for line in fs::read_to_string(data.join("ES2005a.seg")).unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = (number(fields[2]), number(fields[3]));
        let mut covered: BTreeMap<&str, f64> = BTreeMap::new();
        for (from, to, speaker) in &turns {
            let overlap = to.min(end) - from.max(start);
            if overlap > 0.0 {
                *covered.entry(speaker).or_default() += overlap;
            }
        }
        if let [(speaker, covers)] = covered.into_iter().collect::<Vec<_>>()[..]
            && covers >= 0.9 * (end - start)
        {
            labelled.push((fields[0].to_owned(), speaker.to_owned()));
        }
    }
    assert_eq!(labelled.len(), 577, "the labelled segments of the data set");
    labelled
}

/// The options by which a command reads the labelled segments, with labels and a policy folder that are written to
/// `folder`.
pub(crate) fn labelled_arguments(data: &Path, folder: &Path) -> Vec<String> {
    let labels: String = labels(data).iter().map(|(key, speaker)| format!("{key},{speaker}\n")).collect();
    let (labels_file, policy) = (folder.join("labels.csv"), folder.join("policy"));
    fs::write(&labels_file, labels).unwrap();
    copy(&repository().join("policy"), &policy);
    let scheme_file = policy.join("schemes/demo-face-256.toml");
    let scheme = fs::read_to_string(&scheme_file).unwrap();
    let scheme = scheme.replace("normalisation = \"unit-length\"", "normalisation = \"any\"");
    fs::write(&scheme_file, scheme.replace("minimum_quality = 40\n", "")).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    [
        ["--ark".to_owned(), path(&data.join("ES2005a.ark"))],
        ["--labels".to_owned(), path(&labels_file)],
        ["--policy".to_owned(), path(&policy)],
        ["--scheme".to_owned(), "demo-face-256".to_owned()],
    ]
    .concat()
}

fn row(source_id: &str, embeddings: &[Vec<f32>]) -> enrolment::SubjectInput {
    let template = |values: &Vec<f32>| enrolment::TemplateInput {
        form: Some(enrolment::template_input::Form::Embedding(enrolment::Embedding {
            values: values.clone(),
        })),
        quality: Some(QUALITY),
    };
    enrolment::SubjectInput {
        source_id: source_id.to_owned(),
        templates: embeddings.iter().map(template).collect(),
        ..enrolment::SubjectInput::default()
    }
}

/// Writes the templates as they are stored, which NumPy rounds as the gallery does, and the probes, for NumPy.
async fn dump(holder: &Holder, folder: &Path, probes: &[Vec<f32>]) {
    let store = open_store(holder);
    let collection: CollectionName = COLLECTION.parse().unwrap();
    let (mut gallery, mut after) = (Vec::new(), 0);
    loop {
        let page = store.gallery_load(collection.clone(), after, 8_192).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.slot;
        gallery.extend(page.iter().map(|loaded| components(&loaded.template)));
    }
    write_npy(&folder.join("gallery.i16.npy"), "<i2", gallery.into_iter());
    let (scheme, transform) = protection(&store, &collection).await;
    let protected = probes.iter().map(|values| {
        let quality = Quality::Score(QualityScore::new(QUALITY).unwrap());
        components(&protect(Sample::embedding(values.clone(), quality), &scheme, &transform).unwrap())
    });
    write_npy(&folder.join("probes.i16.npy"), "<i2", protected);
}

/// The components of a template, little-endian, behind its header of three bytes.
fn components(template: &Protected) -> Vec<u8> {
    template.to_bytes().expose()[3..].to_vec()
}

fn le_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An array of rows of 256 components (NEP 1, version 1.0).
fn write_npy(path: &Path, form: &str, rows: impl Iterator<Item = Vec<u8>>) {
    let rows: Vec<Vec<u8>> = rows.collect();
    let shape = format!("{{'descr': '{form}', 'fortran_order': False, 'shape': ({}, 256), }}", rows.len());
    let header = format!("{shape:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(rows.concat());
    fs::write(path, bytes).unwrap();
}
