//! The living gallery: how long a start from disk takes without and with search snapshots, and how long questions
//! wait while people are enrolled, enrolled again, restricted and erased, and while snapshots are written.
//!
//! `make bench-gallery`; `ONEBIT_BENCH_TEMPLATES=1000000` for more than 100,000 templates of 512 components.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "a bench that can't go on should stop, and says what it found"
)]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use onebit::authz::{Bundle, Role, Standing};
use onebit::clock::{Clock, SystemClock};
use onebit::gate::{Caller, ChangeAsk, ChunkAsk, Credential, Gate, GateParts, QuestionAsk, SubjectAsk};
use onebit::ids::{BatchId, ChangeId, Digest, RequestId};
use onebit::index::{FirstStage, pool};
use onebit::keys::{RootKey, SignatureDomain, SigningKey};
use onebit::secret::{Secret, SystemEntropy, random_bytes};
use onebit::store::change::Change;
use onebit::store::sqlite::SqliteStore;
use onebit::store::{Founding, Partner, Person, Store};
use onebit::telemetry::{self, LogFormat, LogSettings};
use onebit::template::{Quality, QualityScore, Sample};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

fn main() {
    let templates = std::env::var("ONEBIT_BENCH_TEMPLATES");
    let templates = templates.map_or(100_000, |text| text.parse().expect("a number of templates"));
    let warnings = LogSettings { format: LogFormat::Text, filter: "warn".to_owned() };
    telemetry::init(&warnings).expect("a log");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(run(folder.path(), templates));
}

async fn run(folder: &Path, templates: u64) {
    let store = store(folder);
    let _receipt = store.holder_found(founding(templates)).await.expect("a founding");
    let gate = gate(store).await;
    let begun = Instant::now();
    enrol_all(&gate, templates).await;
    println!("{templates} templates enrolled in {:.1?}", begun.elapsed());
    drop(gate);

    let gate = started(folder, "without snapshots").await;
    let quiet = async || tokio::time::sleep(QUIET).await;
    waits(&gate, "nothing changes", quiet).await;
    let begun = Instant::now();
    let written = waits(&gate, "snapshots are written", async || write_all(&gate).await).await;
    println!("{written} snapshots written in {:.1?}", begun.elapsed());
    drop(gate);

    let gate = started(folder, "with snapshots").await;
    change(&gate, templates).await;
    drop(gate);
    let gate = started(folder, "with snapshots, after these changes").await;
    waits(&gate, "nothing changes", quiet).await;
}

/// Opens store and galleries and says how long it took.
async fn started(folder: &Path, how: &str) -> Arc<Gate> {
    let begun = Instant::now();
    let store = store(folder);
    let opened = begun.elapsed();
    let gate = gate(store).await;
    let sizes = gate.gallery_sizes();
    let count: usize = sizes.iter().map(|(_, size)| size).sum();
    println!("start {how}: {count} templates ready in {:.2?}, of it the store {opened:.2?}", begun.elapsed());
    gate
}

async fn change(gate: &Arc<Gate>, templates: u64) {
    let intake = caller(gate, "intake");
    let batch = batch(gate, &intake).await;
    waits(gate, "256 people a chunk are enrolled", async || {
        enrol(gate, batch, 0, templates..templates + CHANGED).await;
    })
    .await;
    waits(gate, "256 people a chunk are enrolled again", async || {
        enrol(gate, batch, CHANGED, 0..CHANGED).await;
    })
    .await;
    let step = (templates / ALONE).max(1);
    let some = || (0..templates).step_by(step as usize).take(ALONE as usize);
    waits(gate, "people are restricted, one by one", async || {
        for person in some() {
            let restriction = "protected-identity".parse().expect("a name");
            let source = source_id(person);
            let done = gate.restriction_add(&intake, &source, restriction, "a test".to_owned());
            let _receipt = done.await.expect("a restriction");
        }
    })
    .await;
    waits(gate, "people are erased, one by one", async || {
        for person in some() {
            let source = source_id(person);
            let done = gate.subject_erase(&intake, &source, "a test".to_owned());
            let _receipt = done.await.expect("an erasure");
        }
    })
    .await;
    let written = waits(gate, "their snapshots are written again", async || write_all(gate).await).await;
    println!("{written} snapshots written again");
    renew(gate).await;
}

/// Moves every template to another key and transform, as the job does.
async fn renew(gate: &Arc<Gate>) {
    let change = Change::RenewCollection("watch-face".parse().expect("a name"));
    let (id, reason) =
        (ChangeId::from_bytes(random_bytes(&SystemEntropy::new()).expect("randomness")), "a bench");
    let digest = onebit::store::change::digest(id, &change, reason);
    let signed = |who: &str| key_of(who).sign(SignatureDomain::Change, &digest).expect("a signature");
    let ask = ChangeAsk { id, change, reason: reason.to_owned(), signature: signed(ADMINISTRATOR) };
    gate.change_propose(&caller(gate, ADMINISTRATOR), ask).await.expect("a proposal");
    gate.change_confirm(&caller(gate, PRIVACY_OFFICER), id, signed(PRIVACY_OFFICER))
        .await
        .expect("a change in effect");
    waits(
        gate,
        "the collection is renewed",
        async || while gate.renewals_tend().await.expect("steps") > 0 {},
    )
    .await;
}

/// Asks all the time while something is done, and says how long the answers took.
async fn waits<T>(gate: &Arc<Gate>, what: &str, work: impl AsyncFnOnce() -> T) -> T {
    let over = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..ASKERS)
        .map(|seed| {
            let (gate, over) = (Arc::clone(gate), Arc::clone(&over));
            tokio::spawn(async move {
                let mut strangers = ChaCha8Rng::seed_from_u64(STRANGERS + seed);
                // The same as in the first run of enrolment: every other question is about one of the first people.
                let mut enrolled = ChaCha8Rng::seed_from_u64(0);
                let border = caller(&gate, "border");
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) || took.len() < LEAST_ASKED {
                    let about = if took.len() % 2 == 0 { &mut strangers } else { &mut enrolled };
                    let question = question(about);
                    let begun = Instant::now();
                    let _answer = gate.query_ask(&border, question).await.expect("an answer");
                    took.push(begun.elapsed());
                }
                took
            })
        })
        .collect();
    let begun = Instant::now();
    let done = work().await;
    let lasted = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for asker in askers {
        took.append(&mut asker.await.expect("an asker"));
    }
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    let longest = took.last().copied().unwrap_or_default();
    println!(
        "while {what} ({lasted:.1?}): {} answers, p50 {:.1?}, p99 {:.1?}, longest {longest:.1?}",
        took.len(),
        at(0.5),
        at(0.99)
    );
    done
}

async fn write_all(gate: &Gate) -> u32 {
    let mut all = 0;
    loop {
        match gate.snapshots_write().await.expect("snapshots") {
            0 => return all,
            written => all += written,
        }
    }
}

async fn enrol_all(gate: &Arc<Gate>, templates: u64) {
    let batch = batch(gate, &caller(gate, "intake")).await;
    enrol(gate, batch, 0, 0..templates).await;
}

async fn batch(gate: &Gate, intake: &Caller) -> BatchId {
    let collection = "watch-face".parse().expect("a name");
    let started = gate.batch_start(intake, request(), collection, "registrar".to_owned());
    started.await.expect("a batch").id
}

/// Enrols people whose first stands in this row of the batch.
async fn enrol(gate: &Gate, batch: BatchId, first_row: u64, people: std::ops::Range<u64>) {
    let intake = caller(gate, "intake");
    let mut rng = ChaCha8Rng::seed_from_u64(first_row);
    let mut person = people.start;
    while person < people.end {
        let chunk = person..people.end.min(person + CHUNK);
        let rows = chunk.clone().map(|person| {
            Ok(SubjectAsk {
                source_id: source_id(person),
                templates: vec![sample(&mut rng)],
                fields: Vec::new(),
                restrictions: Vec::new(),
            })
        });
        let ask = ChunkAsk {
            batch,
            first_row: first_row + (person - people.start),
            rows: rows.collect(),
            content: Zeroizing::new(format!("{first_row}/{person}").into_bytes()),
        };
        let ready = gate.chunk_prepare(&intake, ask).await.expect("a chunk");
        for done in gate.chunks_enrol(vec![ready], gate.line().0).await {
            assert_eq!(done.expect("a chunk").rejected, Vec::new(), "every row should be taken");
        }
        person = chunk.end;
    }
}

fn question(rng: &mut ChaCha8Rng) -> QuestionAsk {
    QuestionAsk {
        request: request(),
        collection: "watch-face".parse().expect("a name"),
        agreement: None,
        purpose: "border-identity".parse().expect("a name"),
        case: "case-1".to_owned(),
        official: "official-1".to_owned(),
        legal_basis: "an act".to_owned(),
        urgency: "routine",
        samples: vec![sample(rng)],
        sent: SystemClock.now(),
    }
}

fn sample(rng: &mut ChaCha8Rng) -> Sample {
    let values: Vec<f32> = (0..DIMENSION).map(|_| rng.random_range(-1.0..1.0_f32)).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let score = QualityScore::new(90).expect("a score");
    Sample::embedding(values.iter().map(|value| value / length).collect(), Quality::Score(score))
}

fn source_id(person: u64) -> String {
    format!("P-{person:09}")
}

fn request() -> RequestId {
    RequestId::from_bytes(random_bytes(&SystemEntropy::new()).expect("randomness"))
}

fn caller(gate: &Gate, name: &str) -> Caller {
    let key_fingerprint = Digest::sha256(&public_key(name));
    gate.caller(Credential { spiffe_id: &spiffe_id(name), key_fingerprint }).expect("a caller")
}

/// Of those who sign, a key; of the others, bytes that nobody signs with.
fn public_key(name: &str) -> Vec<u8> {
    match name {
        ADMINISTRATOR | PRIVACY_OFFICER => key_of(name).public_key().spki_der().to_vec(),
        _ => name.as_bytes().to_vec(),
    }
}

fn key_of(name: &str) -> &'static SigningKey {
    static KEYS: LazyLock<[SigningKey; 2]> = LazyLock::new(|| {
        [(); 2].map(|()| {
            let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
            SigningKey::from_pkcs8_der(pair.as_ref()).expect("a key")
        })
    });
    let [administrator, privacy_officer] = &*KEYS;
    if name == ADMINISTRATOR { administrator } else { privacy_officer }
}

fn spiffe_id(name: &str) -> String {
    format!("spiffe://holder.example/{name}")
}

fn store(folder: &Path) -> SqliteStore {
    let root = RootKey::new(Secret::take(&mut [7; 32]));
    let entropy = Arc::new(SystemEntropy::new());
    SqliteStore::open(folder, &folder.join("heads"), root, Arc::new(SystemClock), entropy).expect("a store")
}

async fn gate(store: SqliteStore) -> Arc<Gate> {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let parts = GateParts {
        keys: store.keys(),
        store: Arc::new(store),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
        pool: pool(threads).expect("threads"),
        first_stage: FirstStage::default(),
        canaries: std::collections::BTreeSet::new(),
    };
    Arc::new(Gate::open(parts).await.expect("a gate"))
}

fn founding(templates: u64) -> Founding {
    let partner = Partner {
        name: "au-border".parse().expect("a name"),
        title: "A partner".to_owned(),
        trust_domain: "border.au.example".to_owned(),
        authorities: Vec::new(),
        standing: Standing::Active,
        release_key: None,
        contact: None,
    };
    let person = |name: &str, role, partner: Option<&Partner>| Person {
        name: name.parse().expect("a name"),
        role,
        spiffe_id: spiffe_id(name),
        public_key: public_key(name),
        partner: partner.map(|partner| partner.name.clone()),
        standing: Standing::Active,
        contact: None,
        unit: None,
    };
    Founding {
        host: "holder.example".to_owned(),
        trust_domain: "holder.example".to_owned(),
        authorities: Vec::new(),
        people: vec![
            person("intake", Role::EnrolmentSystem, None),
            person("border", Role::PartnerSystem, Some(&partner)),
            person(ADMINISTRATOR, Role::Administrator, None),
            person(PRIVACY_OFFICER, Role::PrivacyOfficer, None),
        ],
        partners: vec![partner],
        bundle: bundle(templates),
    }
}

/// The example policy with 512 components, and volumes that are not what is measured. Where there are more templates than
/// the calibration of its scheme carries at its rate of false hits, that rate is higher.
fn bundle(templates: u64) -> Bundle {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
    let fpir = FPIR * templates.saturating_add(2 * CHANGED).div_ceil(CARRIED) as f64;
    let files = Bundle::read_folder(&policy).expect("the policy folder");
    let files = files.files().map(|(path, content)| {
        let text = String::from_utf8_lossy(content);
        // The test vectors at a scheme's end have 256; one of 512 stands for them.
        let (text, vectors) = text.split_once("[[test_vectors]]").unwrap_or((&text, ""));
        let vector = if vectors.is_empty() { String::new() } else { test_vector() };
        let text = format!("{text}{vector}")
            .replace("dimension = 256", "dimension = 512")
            .replace("per_day = 2_000", "per_day = 10_000_000")
            .replace("per_year = 400_000", "per_year = 10_000_000")
            .replace("fpir = 1e-6", &format!("fpir = {fpir:e}"))
            .replace("false_hits_per_year = 1.0", "false_hits_per_year = 10_000.0")
            .replace("false_hits_per_year = 0.5", "false_hits_per_year = 10_000.0");
        (path.to_owned(), text.into_bytes())
    });
    Bundle::from_files(files).expect("a policy folder")
}

fn test_vector() -> String {
    let mut values = vec![0_u8; usize::from(DIMENSION) * 4];
    values.splice(..4, 1.0_f32.to_le_bytes());
    let embedding = data_encoding::BASE64.encode(&values);
    let media = Digest::sha256(b"a medium");
    format!(
        "[[test_vectors]]\nname = \"vector\"\nmedia_sha256 = \"{media}\"\nminimum_cosine = 0.9999\n\
         embedding = \"{embedding}\"\n"
    )
}

const DIMENSION: u16 = 512;
const ADMINISTRATOR: &str = "ana";
const PRIVACY_OFFICER: &str = "mere";
/// What a chunk of the interface has at most.
const CHUNK: u64 = 256;
/// The example agreement's, and how many templates the calibration of its scheme carries at that.
const FPIR: f64 = 1e-6;
const CARRIED: u64 = 1_000_000;
/// How many are enrolled, and enrolled again, while questions are asked.
const CHANGED: u64 = 10_000;
/// How many are restricted, and erased, one by one.
const ALONE: u64 = 100;
/// Who asks without a pause: more would wait for one another on a small machine.
const ASKERS: u64 = 1;
/// Apart from the numbers that enrolment draws from.
const STRANGERS: u64 = 1 << 40;
const LEAST_ASKED: usize = 20;
const QUIET: Duration = Duration::from_secs(5);
