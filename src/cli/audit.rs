//! `onebit audit`: reads, exports and verifies the log.

use std::path::PathBuf;

use super::fault::CliError;
use super::print::OutputOption;
use super::way::Way;
use super::wire;
use crate::clock::Timestamp;
use crate::grpc::client::{ClientOptions, CredentialOptions};

mod alerts;
mod evidence;
mod fetch;
mod fsck;
mod judge;
mod kept;
mod officer;
mod offline;
mod own;
mod search;
mod site;
mod told;
mod witnessed;

pub(super) use evidence::receipts;
pub(super) use offline::{Folder, verify_folder};

/// Reads, exports and verifies the log
///
/// There is one journal for each partner and one for the holder (`holder`). A journal is a Merkle tree whose
/// head is signed; nobody can take an entry out of it, change one or put one in between unseen.
///
/// `verify` needs nothing but files and the log's verifier key: no server, no network; so does `onebit receipt verify`.
/// The small program `onebit-verify` does the same, for those who want to read all of the code that they trust.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with the log.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// Verifies an exported journal, offline: every entry, every opening, the tree and its signature
    Verify(VerifyArgs),
    /// Shows what does not look like honest traffic, for privacy officers
    ///
    /// The server follows its log and tells what its detectors found; asking is logged. With `--journal` exports are looked
    /// through here instead, without the server, whose answer they check.
    Alerts(AlertsArgs),
    /// Judges an alert: what came of looking at it, and who is stopped at once
    ///
    /// The judgement is an entry of the holder's journal, and `onebit audit alerts` shows it beside the alert; for exports it takes
    /// one of the holder's journal too. A later judgement takes its place. Going on takes two people (`onebit change propose restore-…`).
    Judge(JudgeArgs),
    /// Fetches a journal over HTTPS into a folder, only what is new, and verifies all of it
    Fetch(FetchArgs),
    /// Verifies all of your own journal, as a partner: nothing invented, nothing dropped
    Own(OwnArgs),
    /// Verifies that witnesses saw the journal that you know as yours, as a partner
    Witnessed(Box<WitnessedArgs>),
    /// Lists the journals, for privacy officers; the read is logged
    Journals(JournalsArgs),
    /// Shows the entries of a journal, opened, for privacy officers; the read is logged
    List(ListArgs),
    /// Shows one entry with the proof that it is in the journal, for privacy officers; the read is logged
    Entry(EntryArgs),
    /// Searches all journals by one value, for privacy officers; the search is logged
    ///
    /// The newest entries come first. Only whole values are found: `C-2026-17` doesn't find `C-2026-170`. What was disposed
    /// of at the end of its retention is not found any more.
    Search(SearchArgs),
    /// Shows the newest checkpoint of a journal, for privacy officers
    Checkpoint(CheckpointArgs),
    /// Writes a journal to a folder that `onebit audit verify` verifies, for privacy officers; it is logged
    Export(ExportArgs),
    /// Checks a whole store against its own log, on the server's machine, also while the server runs
    ///
    /// Everything that follows from the entries is derived from them again and compared with what the store holds:
    /// tiles, roots, checkpoints, receipts, queries, disclosures with the signatures of their officers, changes,
    /// registry. Nothing is written. It tells every fault that it finds, by name and place. The exit code is 0
    /// when the store is whole, 1 when something is wrong, 2 when the check could not run.
    Fsck(FsckArgs),
}

/// Journals to look through.
#[derive(Debug, clap::Args)]
pub struct AlertsArgs {
    /// Why you look; kept in the log. Without `--journal` the server is asked
    #[arg(long, value_name = "TEXT", conflicts_with = "journal")]
    pub reason: Option<String>,
    /// The folder of an export of a journal, to look through it here; give it once for each partner
    #[arg(long, value_name = "DIR", requires = "alerts_log_key")]
    pub journal: Vec<PathBuf>,
    /// The verifier key of the journal that was given in the same place, or a file that holds it
    #[arg(id = "alerts_log_key", long = "log-key", value_name = "KEY|FILE", requires = "journal")]
    pub key: Vec<String>,
    /// The subject of a template that no honest sample matches, `subjects/…`; may be given several times. The server has its
    /// own in its configuration
    #[arg(long, value_name = "SUBJECT", requires = "journal")]
    pub canary: Vec<String>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A judgement.
#[derive(Debug, clap::Args)]
pub struct JudgeArgs {
    /// The alert: its id, or as much of it as no other has
    #[arg(value_name = "ALERT")]
    pub alert: String,
    /// What `onebit audit alerts --output json` printed; the server is asked without
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// What came of looking: `explained`, `wrong` or `misuse`
    #[arg(long, value_name = "FINDING")]
    pub finding: String,
    /// Why; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Stops this partner; with `--suspend-official`, whose official it is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["suspend_agreement", "suspend_person"])]
    pub suspend_partner: Option<String>,
    /// Stops one official of `--suspend-partner`, and not the partner
    #[arg(long, value_name = "PSEUDONYM", requires = "suspend_partner")]
    pub suspend_official: Option<String>,
    /// Stops this agreement
    #[arg(long, value_name = "NAME", conflicts_with = "suspend_person")]
    pub suspend_agreement: Option<String>,
    /// Stops this person or system of the holder
    #[arg(long, value_name = "NAME")]
    pub suspend_person: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

impl JudgeArgs {
    /// Whether it stops somebody.
    const fn stops(&self) -> bool {
        self.suspend_partner.is_some() || self.suspend_agreement.is_some() || self.suspend_person.is_some()
    }
}

/// A store to check.
#[derive(Debug, clap::Args)]
pub struct FsckArgs {
    /// The configuration of the server whose store it is
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// An export to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder of the export
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The journal's verifier key, or a file that holds it; take it from the holder on another way than the export
    #[arg(long, value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// A checkpoint that you kept; the journal must begin with what it was signed over
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// Show what opened entries say
    #[arg(long)]
    pub show: bool,
    /// Trust no other key, even if a hand-over in the export leads to it: for when the key you hold was stolen
    #[arg(long)]
    pub no_handover: bool,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// A journal to fetch.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// The journal's address, for example `https://immigration.example:7444/au-border`
    #[arg(value_name = "URL")]
    pub url: String,
    /// The folder: a new one, or one that an earlier fetch wrote
    ///
    /// What it holds stays until the newer journal is found to begin with it. `onebit-verify journal` takes it.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The journal's verifier key, or a file that holds it; take it from the holder on another way than this connection
    #[arg(id = "fetch_log_key", long = "log-key", value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// A checkpoint that you kept elsewhere; the journal must begin with what it was signed over
    ///
    /// The checkpoint in the folder is compared in any case.
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub credential: CredentialOptions,
}

/// A partner's own journal.
#[derive(Debug, clap::Args)]
pub struct OwnArgs {
    /// The journal's verifier key, or a file that holds it; take it from the holder on another way than this connection
    #[arg(id = "own_log_key", long = "log-key", value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// The file that keeps the newest checkpoint from one time to the next
    ///
    /// What it holds is compared first: the journal must begin with what was signed then. Afterwards it holds the
    /// newest checkpoint. Keep it where the holder can't reach it.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// The receipts that you kept: a file, or a folder of them; give it again for several
    ///
    /// Each has to hold, its entry has to stand in the journal at its place, and the journal has to begin with what
    /// its checkpoint was signed over: nothing dropped. And each answered query and each requested disclosure in the
    /// journal has to be one of which there is a receipt: nothing invented. A file holds a receipt, or what `onebit
    /// query` prints with `--output json`.
    #[arg(long, value_name = "DIR|FILE")]
    pub receipts: Vec<PathBuf>,
    /// Show what the entries say
    #[arg(long)]
    pub show: bool,
    /// Trust no other key, even if a hand-over leads to it: for when the key you hold was stolen
    #[arg(long)]
    pub no_handover: bool,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// What witnesses saw of a partner's own journal.
#[derive(Debug, clap::Args)]
pub struct WitnessedArgs {
    /// Your journal's verifier key, or a file that holds it; take it from the holder on another way than this connection
    #[arg(id = "own_log_key", long = "log-key", value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// The verifier key of the holder's journal, or a file that holds it
    #[arg(long, value_name = "KEY|FILE")]
    pub holder_key: String,
    /// The verifier key of a witness, or a file that holds it; may be given several times
    ///
    /// Take it from the witness, not from the holder: the witness is there in case the holder is not to be believed.
    #[arg(long, value_name = "KEY|FILE", required = true)]
    pub witness: Vec<String>,
    /// How many of these witnesses must have seen it; all of them without this
    #[arg(long, value_name = "K")]
    pub quorum: Option<usize>,
    /// A checkpoint of your journal that you kept, to compare with; the newest one without this
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Where to keep the receipt, so that `onebit-verify receipt --witness` verifies it again
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// A list of journals.
#[derive(Debug, clap::Args)]
pub struct JournalsArgs {
    /// Why you read; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Entries of a journal.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The journal: a partner's name, or `holder`
    #[arg(long, value_name = "NAME")]
    pub journal: String,
    /// Why you read; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How many at most, from the first on; all by default
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// One entry.
#[derive(Debug, clap::Args)]
pub struct EntryArgs {
    /// The journal: a partner's name, or `holder`
    #[arg(long, value_name = "NAME")]
    pub journal: String,
    /// The index, from 0
    #[arg(long, value_name = "NUMBER")]
    pub index: u64,
    /// Why you read; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Where to keep the proof; a new file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// A search of the log.
#[derive(Debug, clap::Args)]
pub struct SearchArgs {
    /// What to search by
    #[arg(long, value_enum, value_name = "ATTRIBUTE")]
    pub by: SearchBy,
    /// The value, the whole of it
    #[arg(long, value_name = "TEXT")]
    pub value: String,
    /// From which moment on, such as `2026-07-01` or `2026-07-01T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = search::moment)]
    pub since: Option<Timestamp>,
    /// Before which moment
    #[arg(long, value_name = "TIME", value_parser = search::moment)]
    pub until: Option<Timestamp>,
    /// Why you search; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How many at most, the newest first; all by default
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// What can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SearchBy {
    /// A partner's case reference
    Case,
    /// A partner's pseudonymous person
    Official,
    /// The name of a person or system that acted, or that was acted upon
    Officer,
    /// A partner's name
    Partner,
    /// An agreement's name
    Agreement,
    /// A purpose
    Purpose,
    /// A query, by its id
    Query,
    /// A disclosure, by its id: all that happened to it
    Disclosure,
    /// A partner's own name for its request, a UUID
    Request,
    /// A kind of entry, such as `query.answered`
    Kind,
    /// The place of one entry, such as `au-border/41`
    Index,
}

/// A checkpoint.
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    /// The journal: a partner's name, or `holder`
    #[arg(long, value_name = "NAME", default_value = "holder")]
    pub journal: String,
    /// Where to keep it; a new file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// An export.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The journal: a partner's name, or `holder`
    #[arg(long, value_name = "NAME")]
    pub journal: String,
    /// Why you export; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The folder to write; a new one
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Proves what the log says of an answer or a release
///
/// A receipt came with each of them. It needs no server: the log's verifier key is enough.
#[derive(Debug, clap::Args)]
pub struct ReceiptArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReceiptCommand,
}

/// What can be done with a receipt.
#[derive(Debug, clap::Subcommand)]
pub enum ReceiptCommand {
    /// Verifies a receipt, offline, and shows what its entry says
    Verify(ReceiptVerifyArgs),
}

/// A receipt to verify.
#[derive(Debug, clap::Args)]
pub struct ReceiptVerifyArgs {
    /// The receipt
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The journal's verifier key, or a file that holds it; take it from the holder on another way than the receipt
    #[arg(long, value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// A hand-over from or to that key (`handover/0` of an export); the receipt may then be of either
    #[arg(long, value_name = "FILE")]
    pub handover: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the receipt proves nothing.
pub fn run_receipt(args: &ReceiptArgs) -> Result<(), CliError> {
    match &args.command {
        ReceiptCommand::Verify(args) => offline::receipt(args),
    }
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when something does not hold, or the server refuses.
pub fn run(args: &AuditArgs) -> Result<(), CliError> {
    match &args.command {
        AuditCommand::Verify(args) => offline::verify(args),
        AuditCommand::Alerts(args) => wire::calling(alerts::run(args)),
        AuditCommand::Judge(args) => wire::calling(judge::run(args)),
        AuditCommand::Fetch(args) => wire::calling(fetch::fetch(args)),
        AuditCommand::Own(args) => wire::calling(own::verify(args)),
        AuditCommand::Witnessed(args) => wire::calling(witnessed::verify(args)),
        AuditCommand::Journals(args) => wire::calling(officer::journals(args)),
        AuditCommand::List(args) => wire::calling(officer::list(args)),
        AuditCommand::Entry(args) => wire::calling(officer::entry(args)),
        AuditCommand::Search(args) => wire::calling(search::search(args)),
        AuditCommand::Checkpoint(args) => wire::calling(officer::checkpoint(args)),
        AuditCommand::Export(args) => wire::calling(officer::export(args)),
        AuditCommand::Fsck(args) => fsck::check(args),
    }
}
