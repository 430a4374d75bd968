//! The process under torture: this executable once more, with a real store that several tasks write to at once.
//!
//! After each answer of the store it writes one line to the file `acks`, by one call: what it was told is then on
//! record whatever happens to the process in the next moment.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use onebit::audit::receipt::Receipt;
use onebit::authz::{
    About, Action, Actor, Ask, Bundle, Permit, Reason, Role, Rules, Standing, Standings, Usage,
};
use onebit::clock::{Clock, SystemClock};
use onebit::ids::{CollectionName, Digest, PurposeName, QueryId, RequestId};
use onebit::keys::RootKey;
use onebit::secret::{Secret, SystemEntropy, random_bytes};
use onebit::store::sqlite::SqliteStore;
use onebit::store::{
    Answer, AuditReceipt, Founding, Partner, QueryNew, QueryRecorded, Store, StoreError, Verdict, Withheld,
};

/// What makes this executable the driver, as its first argument.
pub(crate) const DRIVE: &str = "drive";
/// The exit of a driver whose store refused something.
pub(crate) const REFUSED: u8 = 3;

/// What a driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    /// Where store, heads and acknowledgements lie.
    pub(crate) folder: PathBuf,
    /// How often the store is opened and closed.
    pub(crate) sessions: u32,
    /// How many tasks write at once.
    pub(crate) tasks: u32,
    /// How many entries each task writes in a session.
    pub(crate) entries: u32,
}

impl Work {
    /// The arguments of the process that does it.
    pub(crate) fn args(&self) -> Vec<String> {
        let numbers = [self.sessions, self.tasks, self.entries].map(|number| number.to_string());
        let folder = self.folder.to_str().expect("a folder with a plain name").to_owned();
        [DRIVE.to_owned(), folder].into_iter().chain(numbers).collect()
    }

    fn parse(args: &[String]) -> Self {
        let [folder, sessions, tasks, entries] = args else {
            panic!("a driver is told its folder, sessions, tasks and entries")
        };
        let number = |text: &String| text.parse().expect("a number");
        Self {
            folder: folder.into(),
            sessions: number(sessions),
            tasks: number(tasks),
            entries: number(entries),
        }
    }
}

/// An acknowledgement: this entry stands at this index of this journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) journal: String,
    pub(crate) index: u64,
    /// The hash of the entry as a leaf; none where only the number of entries was told.
    pub(crate) leaf: Option<String>,
}

impl Ack {
    /// Reads a line of the file `acks`; `None` for a line that acknowledges nothing.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (word, journal, number) = (words.next()?, words.next()?, words.next()?);
        match word {
            "ack" => Some(Self {
                journal: journal.to_owned(),
                index: number.parse().ok()?,
                leaf: Some(words.next()?.to_owned()),
            }),
            // `size JOURNAL N`: the entries below N were told of.
            "size" => {
                let index = number.parse::<u64>().ok()?.checked_sub(1)?;
                Some(Self { journal: journal.to_owned(), index, leaf: None })
            }
            _ => None,
        }
    }

    /// All of a file, but for a last line that was cut short.
    pub(crate) fn read(folder: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(folder.join(ACKS)).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(Self::parse).collect()
    }
}

/// Opens the store of a folder as every process of these tests does.
pub(crate) fn store_open(folder: &Path) -> Result<SqliteStore, StoreError> {
    let root = root_key();
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    SqliteStore::open(&folder.join(STORE), &folder.join(HEADS), root, clock, entropy)
}

/// The root key of all stores here.
pub(crate) fn root_key() -> RootKey {
    RootKey::new(Secret::take(&mut [7; 32]))
}

/// Founds the store of an empty folder.
pub(crate) async fn found(folder: &Path) -> Result<(), StoreError> {
    let store = store_open(folder)?;
    let partner = |name: &str| Partner {
        name: name.parse().expect("a name"),
        title: "A partner".to_owned(),
        trust_domain: format!("{name}.example"),
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
        partners: PARTNERS.map(partner).into(),
        bundle: bundle(folder),
    };
    let receipt = store.holder_found(founding).await?;
    Acks::open(folder).receipt(&receipt);
    Ok(())
}

/// Does what the arguments say, and ends without closing the store when it refused something.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let work = Work::parse(args);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(drive(&work))
}

async fn drive(work: &Work) -> ExitCode {
    if work.sessions == 0 {
        return match found(&work.folder).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refused(&work.folder, "founding", &error),
        };
    }
    let rules = Arc::new(Rules::load(bundle(&work.folder)).expect("rules that hold"));
    for _ in 0..work.sessions {
        let store = match store_open(&work.folder) {
            Ok(store) => Arc::new(store),
            Err(error) => return refused(&work.folder, "opening", &error),
        };
        let tasks: Vec<_> = (0..work.tasks)
            .map(|task| {
                let client = Client { store: Arc::clone(&store), rules: Arc::clone(&rules), task };
                tokio::spawn(client.write_all(work.folder.clone(), work.entries))
            })
            .collect();
        let mut all_written = true;
        for task in tasks {
            all_written &= task.await.expect("a task") == Written::All;
        }
        if !all_written {
            after_refusal(&store, &work.folder).await;
            // As a supervisor ends what has stopped: nothing is closed in order.
            std::process::exit(i32::from(REFUSED));
        }
        drop(store);
    }
    ExitCode::SUCCESS
}

fn refused(folder: &Path, doing: &str, error: &StoreError) -> ExitCode {
    Acks::open(folder).line(&format!("refused {doing}: {error}"));
    ExitCode::from(REFUSED)
}

/// A store that refused because it has stopped answers nothing any more, neither to who writes nor to who reads.
async fn after_refusal(store: &SqliteStore, folder: &Path) {
    let acks = Acks::open(folder);
    let said = |stopped: bool| if stopped { "stopped" } else { "answers" };
    let wrote =
        store.refusal_record(actor(None), Action::AskQuery, Reason::PartnerSuspended, RULE.to_owned());
    let wrote = matches!(wrote.await, Err(StoreError::Stopped));
    acks.line(&format!("then writing: {}", said(wrote)));
    let read = matches!(store.journal_list().await, Err(StoreError::Stopped));
    acks.line(&format!("then reading: {}", said(read)));
}

#[derive(Debug, PartialEq, Eq)]
enum Written {
    All,
    Refused,
}

struct Client {
    store: Arc<SqliteStore>,
    rules: Arc<Rules>,
    task: u32,
}

impl Client {
    async fn write_all(self, folder: PathBuf, entries: u32) -> Written {
        let acks = Acks::open(&folder);
        for number in 0..entries {
            if let Err(error) = self.write_one(&acks, number).await {
                acks.line(&format!("refused writing: {error}"));
                return Written::Refused;
            }
        }
        Written::All
    }

    /// The kinds of entries in turn, each task beginning at another.
    async fn write_one(&self, acks: &Acks, number: u32) -> Result<(), StoreError> {
        let turn = self.task + number;
        match turn % 8 {
            0..=3 => acks.receipt(&self.query().await?),
            4 => acks.receipt(&self.refusal(None).await?),
            5 | 6 => acks.receipt(&self.refusal(PARTNERS.get(usize::from(turn % 8 == 6)).copied()).await?),
            _ => {
                self.store.heads_record().await?;
                for head in self.store.journal_list().await? {
                    acks.line(&format!("size {} {}", head.journal, head.size));
                }
            }
        }
        Ok(())
    }

    async fn refusal(&self, partner: Option<&str>) -> Result<AuditReceipt, StoreError> {
        let actor = actor(partner);
        self.store.refusal_record(actor, Action::AskQuery, Reason::PartnerSuspended, RULE.to_owned()).await
    }

    async fn query(&self) -> Result<AuditReceipt, StoreError> {
        let entropy = SystemEntropy::new();
        let (collection, purpose) = names();
        let now = SystemClock.now();
        let id: [u8; 16] = random_bytes(&entropy)?;
        let new = QueryNew {
            id: QueryId::from_bytes(id),
            request: RequestId::from_bytes(id),
            content: Digest::sha256(&id),
            collection,
            purpose,
            case: "case-1".to_owned(),
            official: "official-1".to_owned(),
            legal_basis: "an act".to_owned(),
            urgency: "routine",
            qualities: vec![onebit::template::Quality::Unknown],
            received: now,
            window_start: now.before(Duration::from_secs(60)),
        };
        let permit = self.permit(new.content);
        let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
        match self.store.query_record(permit, new, verdict).await? {
            QueryRecorded::New(_, receipt, verdict) => {
                verdict.open(&receipt).expect("the receipt of its own entry opens it");
                Ok(receipt)
            }
            QueryRecorded::Seen(_) => panic!("a new id was taken for one that was seen"),
            QueryRecorded::DayExhausted | QueryRecorded::YearExhausted => panic!("the volume is too small"),
        }
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
        self.rules.permit(&actor(Some(PARTNERS[0])), &ask).expect("the rules permit a query")
    }
}

/// The file of acknowledgements.
struct Acks(File);

impl Acks {
    fn open(folder: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(ACKS));
        Self(file.expect("a file for the acknowledgements"))
    }

    fn receipt(&self, receipt: &AuditReceipt) {
        let parsed = Receipt::parse(&receipt.to_text()).expect("a receipt in its own form");
        let leaf = data_encoding::HEXLOWER.encode(parsed.entry.leaf_hash().as_bytes());
        self.line(&format!("ack {} {} {leaf}", receipt.journal(), receipt.index()));
    }

    fn line(&self, line: &str) {
        (&self.0).write_all(format!("{line}\n").as_bytes()).expect("the acknowledgements must be writable");
    }
}

fn actor(partner: Option<&str>) -> Actor {
    Actor {
        name: "gate".parse().expect("a name"),
        role: Role::PartnerSystem,
        partner: partner.map(|name| name.parse().expect("a name")),
        standing: Standing::Active,
    }
}

fn names() -> (CollectionName, PurposeName) {
    ("watch-face".parse().expect("a name"), "border-identity".parse().expect("a name"))
}

/// The policy of a folder.
fn bundle(folder: &Path) -> Bundle {
    Bundle::read_folder(&folder.join(POLICY)).expect("the policy folder")
}

/// Puts the example policy into a folder, without its volumes, which are not what is tried here. Long runs keep it,
/// whatever becomes of the example meanwhile.
pub(crate) fn policy_put(folder: &Path) {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
    let bundle = Bundle::read_folder(&policy).expect("the policy folder");
    for (path, content) in bundle.files() {
        let text = String::from_utf8_lossy(content)
            .replace("per_day = 2_000", "per_day = 50_000_000")
            .replace("per_year = 400_000", "per_year = 50_000_000")
            .replace("false_hits_per_year = 1.0", "false_hits_per_year = 1e6");
        let path = folder.join(POLICY).join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the policy");
        std::fs::write(path, text).expect("a file of the policy");
    }
}

/// Where things lie in the folder of a driver.
pub(crate) const STORE: &str = "store";
pub(crate) const HEADS: &str = "heads";
pub(crate) const ACKS: &str = "acks";
const POLICY: &str = "policy";
const PARTNERS: [&str; 2] = ["au-border", "ca-border"];
const RULE: &str = "torture";
