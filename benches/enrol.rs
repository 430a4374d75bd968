//! Enrolment: one stream of full chunks over mutual TLS to the real server, each answered when it is durable, logged and
//! searchable. Beside it, in the same run, what SQLite alone does with rows of the same size.
#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that can't go on should stop"
)]

use std::fs;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use onebit::cli::synth::People;
use onebit::grpc::pb::enrolment;
use onebit::grpc::pb::enrolment::enrolment_service_client::EnrolmentServiceClient;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::holder::{Holder, HolderOptions, repository, who};
use crate::story::request_id;

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group(format!("enrol, d = {DIMENSION}"));
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    group.throughput(Throughput::Elements(CHUNK_ROWS * CHUNKS)).sampling_mode(SamplingMode::Flat);
    for streams in [1_u64, 2] {
        let holder = runtime.block_on(Holder::start(HolderOptions::default()));
        wide_collection(&holder);
        let channel = runtime.block_on(holder.channel(who::ENROLLER));
        let people = People::new(1, DIMENSION);
        let mut enrolled = Enrolled::default();
        group.bench_function(
            BenchmarkId::new(format!("{CHUNKS} chunks of {CHUNK_ROWS}, streams"), streams),
            |bench| {
                bench.iter_custom(|rounds| {
                    runtime.block_on(enrolled.enrol(&channel, &people, streams, rounds * CHUNKS))
                });
            },
        );
        println!("enrol/{streams}: {} templates are in the gallery at the end", enrolled.people);
    }
    println!("enrol: the disk takes {:.0} MB a second, 8 MiB at a time", disk_speed() / 1e6);
    group.bench_function("peer: as many rows a commit in SQLite, synchronous=FULL", |bench| {
        let folder = tempfile::tempdir().unwrap();
        let sql = rusqlite::Connection::open(folder.path().join("peer.sqlite")).unwrap();
        sql.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE templates (slot INTEGER PRIMARY KEY, template BLOB);",
        )
        .unwrap();
        bench.iter(|| {
            let step = sql.unchecked_transaction().unwrap();
            for _ in 0..CHUNK_ROWS * CHUNKS {
                let mut insert =
                    step.prepare_cached("INSERT INTO templates (template) VALUES (zeroblob(1056))").unwrap();
                insert.execute([]).unwrap();
            }
            step.commit().unwrap();
        });
    });
    group.finish();
}

/// Gives a holder a collection of templates with [`DIMENSION`] components, from a copy of the example's scheme, about
/// which `au-border` may ask without an end.
pub(crate) fn wide_collection(holder: &Holder) {
    let scheme = fs::read_to_string(repository().join("policy/schemes/demo-face-256.toml")).unwrap();
    let (scheme, _vectors_of_another_dimension) = scheme.split_once("[[test_vectors]]").unwrap();
    let scheme = scheme
        .replace("dimension = 256", &format!("dimension = {DIMENSION}"))
        .replace("demo-face-256", "wide-face")
        + &test_vector();
    let collection = "name = \"wide-face\"\ntitle = \"Wide\"\nscheme = \"wide-face\"\n";
    let agreement = fs::read_to_string(repository().join("policy").join(AGREEMENT)).unwrap();
    let agreement = agreement
        .replace("[\"watch-face\"]", "[\"watch-face\", \"wide-face\"]")
        .replace("per_day = 2_000", "per_day = 50_000_000")
        .replace("per_year = 400_000", "per_year = 50_000_000")
        // The calibration carries this rate for two million templates.
        .replace("fpir = 1e-6", &format!("fpir = {FPIR:e}"))
        .replace("false_hits_per_year = 1.0", "false_hits_per_year = 1e6");
    holder.policy_activate_files(&[
        (AGREEMENT, &agreement),
        ("schemes/wide-face.toml", &scheme),
        ("collections/wide-face.toml", collection),
    ]);
}

/// A scheme must have one.
fn test_vector() -> String {
    let values: Vec<u8> =
        People::new(1, DIMENSION).embedding(0).iter().flat_map(|one| one.to_le_bytes()).collect();
    let (media, embedding) = ("00".repeat(32), data_encoding::BASE64.encode(&values));
    format!(
        "[[test_vectors]]\nname = \"v\"\nmedia_sha256 = \"{media}\"\nminimum_cosine = 0.9\nembedding = \"{embedding}\"\n"
    )
}

/// Enrols so many people over one stream, in full chunks, and tells how it goes as they become more, and what is written for
/// each; gives how many are enrolled, and the time it took.
pub(crate) async fn enrol(holder: &Holder, people: u64) -> (u64, Duration) {
    let (channel, synthetic) = (holder.channel(who::ENROLLER).await, People::new(1, DIMENSION));
    let (mut enrolled, mut took) = (Enrolled::default(), Duration::ZERO);
    let step = (people / CHUNK_ROWS / STEPS).max(1);
    while enrolled.people < people {
        let (before, written) = (enrolled.people, bytes_written(holder));
        let left = (people - before).div_ceil(CHUNK_ROWS);
        let took_now = enrolled.enrol(&channel, &synthetic, 1, step.min(left)).await;
        let more = enrolled.people - before;
        println!(
            "enrol: up to {}: {:.0} templates a second, {} bytes written for each",
            enrolled.people,
            more as f64 / took_now.as_secs_f64(),
            (bytes_written(holder) - written) / more,
        );
        took += took_now;
    }
    (enrolled.people, took)
}

/// What the server has had written to disks.
fn bytes_written(holder: &Holder) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", holder.process())).unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// What the disk does with as many bytes and nothing else: written one behind the other over a file that is there, made
/// durable every [`DISK_STEP_BYTES`]; in bytes a second.
fn disk_speed() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut file = fs::File::create(folder.path().join("disk")).unwrap();
    let step = vec![0x5a; DISK_STEP_BYTES];
    let mut round = || {
        file.rewind().unwrap();
        let start = Instant::now();
        for _ in 0..DISK_STEPS {
            file.write_all(&step).unwrap();
            file.sync_data().unwrap();
        }
        (DISK_STEPS * DISK_STEP_BYTES) as f64 / start.elapsed().as_secs_f64()
    };
    // The first makes the file.
    round();
    round()
}

/// A person without a name or a restriction, with one template of their own.
fn subject(people: &People, person: u64) -> enrolment::SubjectInput {
    let values = people.embedding(person);
    let form = Some(enrolment::template_input::Form::Embedding(enrolment::Embedding { values }));
    enrolment::SubjectInput {
        source_id: format!("person-{person:012}"),
        templates: vec![enrolment::TemplateInput { form, quality: Some(80) }],
        fields: Vec::new(),
        restrictions: Vec::new(),
    }
}

/// How far enrolment came.
#[derive(Default)]
struct Enrolled {
    people: u64,
}

impl Enrolled {
    /// Enrols so many full chunks over so many streams; gives the time from the first chunk sent to the last answered, for
    /// as many chunks as were asked for.
    async fn enrol(&mut self, channel: &Channel, people: &People, streams: u64, rounds: u64) -> Duration {
        let each = rounds.div_ceil(streams);
        let mut begun = Vec::new();
        for _ in 0..streams {
            begun.push(Batch::start(channel, people, self.people, each).await);
            self.people += each * CHUNK_ROWS;
        }
        let start = Instant::now();
        let tasks: Vec<_> = begun.into_iter().map(|batch| tokio::spawn(batch.run())).collect();
        for task in tasks {
            task.await.unwrap();
        }
        // What was rounded up is not counted against the rounds asked for.
        start.elapsed().mul_f64(rounds as f64 / (each * streams) as f64)
    }
}

struct Batch {
    service: EnrolmentServiceClient<Channel>,
    chunks: Vec<enrolment::EnrolSubjectsRequest>,
}

impl Batch {
    /// Starts a batch and makes its messages, before the clock runs.
    async fn start(channel: &Channel, people: &People, first_person: u64, chunks: u64) -> Self {
        let mut service = EnrolmentServiceClient::new(channel.clone());
        let start = enrolment::StartBatchRequest {
            request_id: request_id(),
            collection: WIDE.to_owned(),
            official: "registrar-1".to_owned(),
        };
        let batch = service.start_batch(start).await.unwrap().into_inner().batch;
        let chunk = |chunk: u64| {
            let first_row = chunk * CHUNK_ROWS;
            let persons = first_person + first_row..first_person + first_row + CHUNK_ROWS;
            let subjects = persons.into_par_iter().map(|person| subject(people, person)).collect();
            enrolment::EnrolSubjectsRequest { batch: batch.clone(), first_row, subjects }
        };
        Self { service, chunks: (0..chunks).map(chunk).collect() }
    }

    async fn run(mut self) {
        let (sender, messages) = mpsc::channel(2);
        let due = self.chunks.len() as u64 * CHUNK_ROWS;
        let chunks = self.chunks;
        let sending = tokio::spawn(async move {
            for chunk in chunks {
                sender.send(chunk).await.unwrap();
            }
        });
        let mut answers =
            self.service.enrol_subjects(ReceiverStream::new(messages)).await.unwrap().into_inner();
        let mut accepted = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            accepted += u64::from(answer.rows_accepted);
        }
        sending.await.unwrap();
        assert_eq!(accepted, due, "every row should be accepted");
    }
}

const AGREEMENT: &str = "agreements/au-border-identity.toml";
/// What the agreement asks of the wide collection.
pub(crate) const FPIR: f64 = 2e-6;
/// The collection with [`DIMENSION`] components.
pub(crate) const WIDE: &str = "collections/wide-face";
/// Components of a template.
pub(crate) const DIMENSION: usize = 512;
/// The most that a chunk may have.
const CHUNK_ROWS: u64 = 512;
/// Enough that the beginning and the end of a stream don't count.
const CHUNKS: u64 = 32;
/// How often it is told how enrolment goes.
const STEPS: u64 = 10;
/// About what a transaction of some thousand templates writes.
const DISK_STEP_BYTES: usize = 8 << 20;
const DISK_STEPS: usize = 32;
