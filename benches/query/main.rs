//! Whole queries: partners' clients over mutual TLS, the real server, the durable log, the answer's fixed time off.
//! How long they take, what each step takes of it, and whether time tells hits from others.
//!
//! ```sh
//! make bench-query                                                          # N = 10,000
//! ONEBIT_BENCH_TEMPLATES=1000000 ONEBIT_BENCH_PAIRS=20000 make bench-query  # half an hour
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "a bench that can't go on should stop, and prints what it measured"
)]

// The harness of the tests: a holder with the real server.
#[path = "../../tests/it/holder.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "written for the tests, which need more of it"
)]
mod holder;
#[path = "../processor.rs"]
mod processor;
mod shares;
#[path = "../../tests/it/story.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "written for the tests, which need more of it"
)]
mod story;
#[path = "../../tests/it/times.rs"]
mod times;

use std::env;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use onebit::cli::synth::People;
use onebit::grpc::pb::enrolment::{Embedding, SubjectInput, TemplateInput, template_input};
use onebit::grpc::pb::partner::Question;
use tempfile::TempDir;
use tonic::transport::Channel;

use holder::{Holder, HolderOptions, copy, free_address, repository, who};
use processor::{LOG_THREADS, Processor};
use shares::Shares;
use story::{SURE, ask, question};
use times::{Compared, asked_often, times};

#[tokio::main]
async fn main() {
    let number = |name, otherwise| env::var(name).map_or(otherwise, |text| text.parse::<u64>().unwrap());
    let (templates, pairs) = (number("ONEBIT_BENCH_TEMPLATES", 10_000), number("ONEBIT_BENCH_PAIRS", 500));
    println!("N = {templates}, d = {DIMENSION}\n");
    let metrics = free_address();
    let options = asked_often(HolderOptions::default()).config("metrics", "listen", metrics.clone());
    let holder = Holder::start(options.clone()).await;
    collection_add(&holder, &options);
    let begun = Instant::now();
    enrol(&holder, templates).await;
    let rate = templates as f64 / begun.elapsed().as_secs_f64();
    println!("enrolled over the wire: {rate:.0} templates a second\n");

    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(holder.channel(who::AU).await);
    }
    let asked = Arc::new(AtomicU64::new(0));
    println!("| clients | p50, p99 | queries a second |\n| --- | --- | --- |");
    let (mut shares, mut log_shares) = (Vec::new(), Vec::new());
    for clients in CLIENTS {
        rounds(&connections, &asked, templates, clients, WARM_UP).await;
        let (before, processor) = (Shares::read(&metrics), Processor::read(holder.process()));
        let begun = Instant::now();
        let mut took = rounds(&connections, &asked, templates, clients, MEASURED).await;
        let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        let spent = Processor::read(holder.process()).since(&processor);
        log_shares.push(spent.micros_of(&LOG_THREADS) / spent.micros());
        shares.push((clients, Shares::read(&metrics).since(&before), mean));
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[(took.len() as f64 * share) as usize] * 1e3;
        println!("| {clients} | {:.1}, {:.1} ms | {rate:.0} |", at(0.5), at(0.99));
    }
    let begun = Instant::now();
    for _ in 0..HEALTH_CALLS {
        holder.health().await.unwrap();
    }
    let health = begun.elapsed().as_secs_f64() * 1e3 / f64::from(HEALTH_CALLS);
    println!("\nbeside it: connecting and the health call of the same server, {health:.1} ms\n");
    shares::print(&shares);
    let log_shares: Vec<String> = log_shares.iter().map(|share| format!("{:.1} %", share * 100.0)).collect();
    println!("\nthe log's threads take of the server's processor time: {}", log_shares.join(", "));
    compare(&connections[0], templates, pairs).await;
}

/// Hits and strangers in turn, in random order, and what tells them apart.
async fn compare(channel: &Channel, templates: u64, pairs: u64) {
    let (hit, stranger) =
        (move |turn: u64| about(turn % templates, turn), |turn| about(STRANGER + turn, turn));
    let kinds: [(&Channel, &dyn Fn(u64) -> Question); 2] = [(channel, &hit), (channel, &stranger)];
    let [hits, strangers] = times(kinds, pairs).await;
    let compared = Compared::of(&hits, &strangers);
    let verdict = if compared.differ() { "told apart" } else { "not told apart" };
    println!("\n{pairs} pairs of a hit and a stranger, {verdict}: {compared}");
}

/// How long each question took, in seconds, of so many clients who ask one after the other for some time.
async fn rounds(
    connections: &[Channel],
    asked: &Arc<AtomicU64>,
    templates: u64,
    clients: usize,
    span: Duration,
) -> Vec<f64> {
    let until = Instant::now() + span;
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (channel, asked) = (connections[client % connections.len()].clone(), Arc::clone(asked));
            tokio::spawn(async move {
                let mut took = Vec::new();
                while Instant::now() < until {
                    let turn = asked.fetch_add(1, Ordering::Relaxed);
                    // Enrolled people and strangers in turn.
                    let person = if turn.is_multiple_of(2) { turn % templates } else { STRANGER + turn };
                    let question = about(person, turn);
                    let begun = Instant::now();
                    ask(&channel, question).await.unwrap();
                    took.push(begun.elapsed().as_secs_f64());
                }
                took
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.append(&mut task.await.unwrap());
    }
    all
}

fn people() -> People {
    People::new(1, DIMENSION)
}

fn about(person: u64, sample: u64) -> Question {
    Question { collection: COLLECTION.to_owned(), ..question(vec![people().sample_of(person, SURE, sample)]) }
}

/// Adds a collection of this bench's dimension to what the partner may search.
fn collection_add(holder: &Holder, options: &HolderOptions) {
    let folder = TempDir::new().unwrap();
    copy(&repository().join("policy"), folder.path());
    fs::write(folder.path().join("schemes/bench.toml"), scheme()).unwrap();
    fs::write(
        folder.path().join("collections/bench.toml"),
        "name = 'bench'\ntitle = 'Bench'\nscheme = 'bench'\n",
    )
    .unwrap();
    let edits = options.policy.iter().copied();
    for (file, text, instead) in edits.chain([(AGREEMENT, "[\"watch-face\"]", "[\"watch-face\", \"bench\"]")])
    {
        let path = folder.path().join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, before.replacen(text, instead, 1)).unwrap();
    }
    holder.change(who::ADMIN, who::PRIVACY, &["policy", folder.path().to_str().unwrap()]);
}

/// Searched at a threshold of 0.45 where N × FPIR is what the agreement has for a million people.
fn scheme() -> String {
    let vector: Vec<u8> = [(DIMENSION as f32).sqrt().recip(); DIMENSION].map(f32::to_le_bytes).concat();
    format!(
        "name = 'bench'
title = 'Bench, {DIMENSION} components'
modality = 'face'
extractor = 'bench'
extractor_version = '1'
form = 'embedding'
dimension = {DIMENSION}
normalisation = 'unit-length'
comparison = 'cosine'
calibration = [
  {{ threshold = 0.35, false_match_rate = 1e-6 }},
  {{ threshold = 0.45, false_match_rate = 1e-12 }},
]
[[test_vectors]]
name = 'bench'
media_sha256 = '{}'
minimum_cosine = 0.9999
embedding = '{}'
",
        "0".repeat(64),
        BASE64.encode(&vector)
    )
}

async fn enrol(holder: &Holder, templates: u64) {
    for first in (0..templates).step_by(ENROLLED_AT_ONCE) {
        let last = templates.min(first + ENROLLED_AT_ONCE as u64);
        let subjects = (first..last).map(|person| {
            let values = people().embedding(person);
            let form = Some(template_input::Form::Embedding(Embedding { values }));
            let templates = vec![TemplateInput { form, quality: Some(80) }];
            SubjectInput { source_id: people().source_id(person), templates, ..SubjectInput::default() }
        });
        holder.enrol_subjects_into(COLLECTION, subjects.collect()).await;
    }
}

const DIMENSION: usize = 512;
const COLLECTION: &str = "collections/bench";
const AGREEMENT: &str = "agreements/au-border-identity.toml";
/// Nobody who is enrolled.
const STRANGER: u64 = 1_000_000_000;
const CLIENTS: [usize; 3] = [1, 16, 64];
const CONNECTIONS: usize = 4;
const ENROLLED_AT_ONCE: usize = 20_000;
const HEALTH_CALLS: u32 = 50;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);
