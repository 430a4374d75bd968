//! Bulk queries: one stream of questions over mutual TLS to the real server, each answered with its receipt and not before
//! its time. Beside it, in the same run, the engine alone with as many templates and batches of probes.
#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that can't go on should stop"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use onebit::cli::synth::People;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use onebit::grpc::pb::partner::{AskQueriesRequest, Question, ask_queries_response::Result as Outcome};
use onebit::template::Threshold;
use statrs::distribution::{ContinuousCDF, Normal};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::enrol::{DIMENSION, FPIR, WIDE, enrol, wide_collection};
use crate::holder::{Holder, HolderOptions, who};
use crate::processor::{LOG_THREADS, Processor};
use crate::search::{filled, templates as protected};
use crate::story::question;

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let count = std::env::var("ONEBIT_BENCH_TEMPLATES").ok().and_then(|text| text.parse().ok());
    let count: u64 = count.unwrap_or(100_000);
    // What was just enrolled would be written into snapshots beside the first questions, and then no more.
    let options = HolderOptions::default().config("server", "answer_after_ms", 40).config(
        "jobs",
        "snapshots_every_s",
        3_600,
    );
    let holder = runtime.block_on(Holder::start(options));
    wide_collection(&holder);
    let (templates, took) = runtime.block_on(enrol(&holder, count));
    println!("stream: {templates} templates enrolled in {took:?}");
    let mut group = criterion.benchmark_group(format!("stream, {count} templates, d = {DIMENSION}"));
    // Two seconds a sample, so that the time until the first answer may leave counts for little.
    group.sample_size(10).sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Elements(1));
    let channel = runtime.block_on(holder.channel(who::AU));
    let processes = [holder.process(), std::process::id()];
    for streams in [1_u64, 2] {
        let before = processes.map(Processor::read);
        let mut answers = 0;
        group.bench_function(BenchmarkId::new("answers, streams", streams), |bench| {
            bench.iter_custom(|rounds| {
                answers += rounds.div_ceil(streams) * streams;
                runtime.block_on(ask_all(&channel, streams, rounds))
            });
        });
        let [server, client] = processes.map(Processor::read);
        let [server, client] = [server.since(&before[0]), client.since(&before[1])];
        if answers > 0 {
            tell(&server, client.micros(), answers as f64);
        }
    }
    drop(holder);
    for batch in [64, 256] {
        let gallery = filled(protected(usize::try_from(templates).unwrap(), 512, 3), 512);
        let probes = protected(batch, 512, 4);
        let threshold = threshold(templates);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new("peer: the engine alone, batches of", batch), |bench| {
            bench.iter(|| gallery.search(&probes, threshold).unwrap());
        });
    }
    group.finish();
}

/// What the server decides by among so many templates: the FPIR of the agreement, shared by all of them, and the scheme's
/// calibration, Q(16 t).
fn threshold(templates: u64) -> Threshold {
    let rate = Normal::standard().inverse_cdf(FPIR / templates as f64);
    Threshold::new(-rate / 16.0).unwrap()
}

/// Where the processors' time goes: client and server share the machine here, and nowhere else.
fn tell(server: &Processor, client: f64, answers: f64) {
    let search: Vec<String> = (0..SEARCH_THREADS).map(|number| format!("search-{number}")).collect();
    let search = server.micros_of(&search.iter().map(String::as_str).collect::<Vec<_>>());
    let log = server.micros_of(&LOG_THREADS);
    let [search, log, all, client] = [search, log, server.micros(), client].map(|micros| micros / answers);
    println!(
        "processor time an answer, µs: the server {all:.0} (search {search:.0}, log {log:.0}, the rest {:.0}); \
         the client, which makes its questions too, {client:.0}",
        all - search - log
    );
}

async fn ask_all(channel: &Channel, streams: u64, rounds: u64) -> Duration {
    let each = rounds.div_ceil(streams);
    let people = People::new(1, DIMENSION);
    let samples: Vec<_> = (0..SAMPLES).map(|person| people.sample_of(person, 0.8, 0)).collect();
    // Made before the clock runs.
    let questions: Vec<Vec<Question>> = (0..streams)
        .map(|_| {
            let samples = samples.iter().cycle().take(each as usize);
            samples
                .map(|one| Question { collection: WIDE.to_owned(), ..question(vec![one.clone()]) })
                .collect()
        })
        .collect();
    let start = Instant::now();
    let tasks: Vec<_> =
        questions.into_iter().map(|questions| tokio::spawn(ask(channel.clone(), questions))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    // What was rounded up is not counted against the rounds asked for.
    start.elapsed().mul_f64(rounds as f64 / (each * streams) as f64)
}

async fn ask(channel: Channel, questions: Vec<Question>) {
    let (sender, asked) = mpsc::channel(64);
    let due = questions.len();
    let sending = tokio::spawn(async move {
        for question in questions {
            sender.send(AskQueriesRequest { question: Some(question) }).await.unwrap();
        }
    });
    let mut service = QueryServiceClient::new(channel);
    let mut answers = service.ask_queries(ReceiverStream::new(asked)).await.unwrap().into_inner();
    let mut answered = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(matches!(answer.result, Some(Outcome::Answered(_))), "every question should be answered");
        answered += 1;
    }
    sending.await.unwrap();
    assert_eq!(answered, due);
}

/// People who are asked about, each once before any is asked about again.
const SAMPLES: u64 = 1_024;
/// More than machines have that this runs on.
const SEARCH_THREADS: usize = 256;
