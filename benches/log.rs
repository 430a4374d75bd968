//! The log: queries recorded through the writer, durable, with their receipts, from one and from many clients; and
//! what SQLite alone does with the same durability beside it.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that can't go on should stop"
)]

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;

use onebit::authz::{
    About, Action, Actor, Ask, Bundle, Permit, Reason, Role, Rules, Standing, Standings, Usage,
};
use onebit::clock::{Clock, SystemClock};
use onebit::ids::{CollectionName, Digest, PurposeName, QueryId, RequestId};
use onebit::keys::RootKey;
use onebit::secret::{Secret, SystemEntropy, random_bytes};
use onebit::store::search::Search;
use onebit::store::sqlite::SqliteStore;
use onebit::store::{Answer, Founding, Partner, QueryNew, QueryRecorded, Store, Verdict, Withheld};

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Arc::new(runtime.block_on(Bench::open(folder.path())));
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).throughput(Throughput::Elements(1));
    for what in [What::Refusal, What::Query] {
        for clients in CLIENTS {
            let waits = RefCell::new(Vec::new());
            group.bench_function(BenchmarkId::new(what.title(), clients), |timer| {
                timer.iter_custom(|rounds| {
                    let (took, mut waited) = runtime.block_on(record_all(&bench, what, clients, rounds));
                    waits.borrow_mut().append(&mut waited);
                    took
                });
            });
            say_waits(what, clients, waits.into_inner());
        }
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

/// How many write at once.
const CLIENTS: [u32; 4] = [1, 16, 64, 256];

/// What is recorded.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// One entry and nothing else: the log itself.
    Refusal,
    /// A query with its outcome, its counters and its entry.
    Query,
}

impl What {
    const fn title(self) -> &'static str {
        match self {
            Self::Refusal => "entry, clients",
            Self::Query => "query recorded, clients",
        }
    }
}

fn say_waits(what: What, clients: u32, mut waits: Vec<Duration>) {
    waits.sort_unstable();
    let at = |share: f64| waits.get((waits.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("log/{}/{clients}: p50 {:?}, p99 {:?}", what.title(), at(0.5), at(0.99));
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
        let heads = folder.join("heads");
        let store =
            SqliteStore::open(folder, &heads, root(), Arc::new(SystemClock), entropy).expect("a store");
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
        let about = About::Query {
            agreement: None,
            collection: &collection,
            purpose: &purpose,
            samples: 1,
            usage,
            standings: Standings::all_active(),
        };
        let ask = Ask { action: Action::AskQuery, about, content, now: SystemClock.now() };
        self.rules.permit(&self.actor, &ask).expect("the rules permit a query")
    }

    /// Searches as a privacy officer; gives how many entries were found.
    pub(crate) async fn search(&self, search: Search) -> usize {
        let reader = Actor { role: Role::PrivacyOfficer, partner: None, ..self.actor.clone() };
        let (content, now) = (Digest::sha256(b"a search"), SystemClock.now());
        let ask = Ask { action: Action::SearchEntries, about: About::Service, content, now };
        let permit = self.rules.permit(&reader, &ask).expect("the rules permit a search");
        let searched = self.store.log_search(permit, search).await.expect("a search");
        searched.open().expect("its own receipt").0.found.len()
    }

    /// Indexes what is not indexed yet.
    pub(crate) async fn tags_index(&self) {
        self.store.tags_index().await.expect("an index");
    }

    async fn refuse(&self) {
        let (reason, rule) = (Reason::PurposeNotInAgreement, "purpose".to_owned());
        let refused = self.store.refusal_record(self.actor.clone(), Action::AskQuery, reason, rule).await;
        let _receipt = refused.expect("an entry");
    }

    /// A question's id, and what permits it.
    fn question(&self) -> ([u8; 16], Permit) {
        let id = random_bytes(&SystemEntropy::new()).expect("randomness");
        (id, self.permit(Digest::sha256(&id)))
    }

    async fn record(&self, id: [u8; 16], permit: Permit) {
        let (collection, purpose) = names();
        let now = SystemClock.now();
        let content = Digest::sha256(&id);
        let new = QueryNew {
            id: QueryId::from_bytes(id),
            request: RequestId::from_bytes(id),
            content,
            collection,
            purpose,
            case: format!("case-{}", u16::from_be_bytes([id[0], id[1]])),
            official: format!("official-{}", id[2]),
            legal_basis: "an act".to_owned(),
            urgency: "routine",
            qualities: vec![onebit::template::Quality::Unknown],
            received: now,
            window_start: now.before(Duration::from_secs(60)),
        };
        let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
        match self.store.query_record(permit, new, verdict).await.expect("a record") {
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

/// Lets so many clients record so often in all; gives the time it took, and how long each record waited.
pub(crate) async fn record_all(
    bench: &Arc<Bench>,
    what: What,
    clients: u32,
    rounds: u64,
) -> (Duration, Vec<Duration>) {
    let each = rounds.div_ceil(u64::from(clients));
    // Permits are the rules' work and made before the clock runs.
    let permits = |_| match what {
        What::Refusal => Vec::new(),
        What::Query => (0..each).map(|_| bench.question()).collect(),
    };
    let permits: Vec<Vec<([u8; 16], Permit)>> = (0..clients).map(permits).collect();
    let start = Instant::now();
    let tasks: Vec<_> = permits
        .into_iter()
        .map(|mut permits| {
            let bench = Arc::clone(bench);
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..each {
                    let permit = permits.pop();
                    let begun = Instant::now();
                    match permit {
                        Some((id, permit)) => bench.record(id, permit).await,
                        None => bench.refuse().await,
                    }
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.append(&mut task.await.expect("a client"));
    }
    // What was rounded up is not counted against the rounds asked for.
    let done = each * u64::from(clients);
    (start.elapsed().mul_f64(rounds as f64 / done as f64), waits)
}

fn names() -> (CollectionName, PurposeName) {
    ("watch-face".parse().expect("a name"), "border-identity".parse().expect("a name"))
}
