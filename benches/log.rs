//! The log: queries recorded through the writer, durable, with their receipts, from one and from many clients; and
//! what SQLite alone does with the same durability beside it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    reason = "a bench that can't go on should stop"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

use onebit::authz::{About, Action, Actor, Ask, Bundle, Permit, Role, Rules, Standing, Usage};
use onebit::clock::{Clock, SystemClock};
use onebit::ids::{CollectionName, Digest, PurposeName, QueryId, RequestId};
use onebit::keys::RootKey;
use onebit::secret::{Secret, SystemEntropy, random_bytes};
use onebit::store::sqlite::SqliteStore;
use onebit::store::{Answer, Founding, Partner, QueryNew, QueryRecorded, Store, Verdict, Withheld};

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Arc::new(runtime.block_on(Bench::open(folder.path())));
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for clients in [1_u32, 16, 64] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("query recorded, clients", clients), |timer| {
            timer.iter_custom(|rounds| runtime.block_on(record_all(&bench, clients, rounds)));
        });
    }
    group.bench_function("peer: one row a commit in SQLite, synchronous=FULL", |timer| {
        let peer = folder.path().join("peer.sqlite");
        let sql = rusqlite::Connection::open(peer).expect("a database");
        sql.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, entry BLOB);",
        )
        .expect("a table");
        timer.iter(|| sql.execute("INSERT INTO entries (entry) VALUES (zeroblob(1100))", []).expect("a row"));
    });
    group.finish();
}

/// A store with a partner who asks.
pub(crate) struct Bench {
    store: SqliteStore,
    rules: Rules,
    actor: Actor,
}

impl Bench {
    /// Founds a store in a folder.
    pub(crate) async fn open(folder: &Path) -> Self {
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        let bundle = without_volumes(&Bundle::read_folder(&policy).expect("the policy folder"));
        let entropy = Arc::new(SystemEntropy::new());
        let store = SqliteStore::open(folder, root(), Arc::new(SystemClock), entropy).expect("a store");
        let partner = Partner {
            name: "au-border".parse().expect("a name"),
            title: "A partner".to_owned(),
            trust_domain: "border.au.example".to_owned(),
            authorities: Vec::new(),
            standing: Standing::Active,
            release_key: None,
            contact: None,
        };
        let founding = Founding {
            host: "holder.example".to_owned(),
            trust_domain: "holder.example".to_owned(),
            authorities: Vec::new(),
            people: Vec::new(),
            partners: vec![partner.clone()],
            bundle: bundle.clone(),
        };
        let _receipt = store.holder_found(founding).await.expect("a founding");
        let actor = Actor {
            name: "gate".parse().expect("a name"),
            role: Role::PartnerSystem,
            partner: Some(partner.name),
            standing: Standing::Active,
        };
        Self { store, rules: Rules::load(bundle).expect("rules that hold"), actor }
    }

    fn permit(&self, content: Digest) -> Permit {
        let (collection, purpose) = names();
        let usage = Usage::Counted { today: 0, this_year: 0 };
        let about =
            About::Query { agreement: None, collection: &collection, purpose: &purpose, samples: 1, usage };
        let ask = Ask { action: Action::AskQuery, about, content, now: SystemClock.now() };
        self.rules.permit(&self.actor, &ask).expect("the rules permit a query")
    }

    async fn record(&self) {
        let entropy = SystemEntropy::new();
        let (collection, purpose) = names();
        let now = SystemClock.now();
        let id: [u8; 16] = random_bytes(&entropy).expect("randomness");
        let content = Digest::sha256(&id);
        let new = QueryNew {
            id: QueryId::from_bytes(id),
            request: RequestId::from_bytes(id),
            content,
            collection,
            purpose,
            case: "case-1".to_owned(),
            official: "official-1".to_owned(),
            legal_basis: "an act".to_owned(),
            urgency: "routine",
            samples: 1,
            received: now,
            window_start: now.before(Duration::from_secs(60)),
        };
        let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
        match self.store.query_record(self.permit(content), new, verdict).await.expect("a record") {
            QueryRecorded::New(..) => {}
            QueryRecorded::Seen(_) => panic!("a new id was taken for one that was seen"),
            QueryRecorded::DayExhausted | QueryRecorded::YearExhausted => {
                panic!("the volume must not end the bench")
            }
        }
    }
}

/// The example agreements without their volumes, which are not what is measured.
fn without_volumes(bundle: &Bundle) -> Bundle {
    let files = bundle.files().map(|(path, content)| {
        let text = String::from_utf8_lossy(content)
            .replace("per_day = 2_000", "per_day = 50_000_000")
            .replace("per_year = 400_000", "per_year = 50_000_000")
            .replace("false_hits_per_year = 1.0", "false_hits_per_year = 1e6");
        (path.to_owned(), text.into_bytes())
    });
    Bundle::from_files(files).expect("a policy folder")
}

/// The root key of every store here.
pub(crate) fn root() -> RootKey {
    RootKey::new(Secret::take(&mut [7; 32]))
}

/// Records so many queries from so many clients, and gives the time it took.
pub(crate) async fn record_all(bench: &Arc<Bench>, clients: u32, rounds: u64) -> Duration {
    let start = Instant::now();
    let each = rounds.div_ceil(u64::from(clients));
    let tasks: Vec<_> = (0..clients)
        .map(|_| {
            let bench = Arc::clone(bench);
            tokio::spawn(async move {
                for _ in 0..each {
                    bench.record().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a client");
    }
    // What was rounded up is not counted against the rounds asked for.
    let done = each * u64::from(clients);
    start.elapsed().mul_f64(rounds as f64 / done as f64)
}

fn names() -> (CollectionName, PurposeName) {
    ("watch-face".parse().expect("a name"), "border-identity".parse().expect("a name"))
}
