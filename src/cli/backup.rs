//! `onebit backup`: making one while the server runs, checking one anywhere, and the way back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::json;

use super::fault::CliError;
use super::init::unusable;
use super::print::{self, OutputOption};
use super::receipt::parse_key;
use super::wire;
use crate::audit::backup::BackupNote;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::material::process_environment;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::administration as pb;
use crate::grpc::pb::administration::make_backup_response::Progress;
use crate::secret::SystemEntropy;
use crate::store::sqlite::{self, BackupRestored, Behind, JournalContinued};

/// Makes, checks and restores backups
///
/// A backup is a folder with the sealed database and a note about it that the log's key signed. It opens with the root
/// key and today's copy of the key store, which lies beside all backups: whoever was erased since stays erased.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BackupCommand,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Makes a backup while the server goes on, in the folder that its configuration names
    Make(MakeArgs),
    /// Checks that a backup is whole and the holder's own; needs neither the root key nor a server
    Verify(VerifyArgs),
    /// Puts a backup in place of a store that is lost; the server must be stopped
    Restore(RestoreArgs),
}

/// Why.
#[derive(Debug, Args)]
pub struct MakeArgs {
    /// Why; it stands in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Which.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The folder of the backup
    #[arg(value_name = "FOLDER")]
    pub backup: PathBuf,
    /// The verifier key of the holder's journal, or a file that holds it
    #[arg(long, value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Which, and where to.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The folder of the backup
    #[arg(value_name = "FOLDER")]
    pub backup: PathBuf,
    /// The configuration of the server that will use it
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
    /// The newest copy of the key store [default: `keys.sqlite` beside the backup]
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Restores also what is older than what was signed; go on with `onebit recover` then
    #[arg(long)]
    pub behind: bool,
}

/// Does what was asked for.
///
/// # Errors
/// [`CliError`] when it could not be done.
pub fn run(args: &BackupArgs) -> Result<(), CliError> {
    match &args.command {
        BackupCommand::Make(args) => wire::calling(make(args)),
        BackupCommand::Verify(args) => verify(args),
        BackupCommand::Restore(args) => restore(args),
    }
}

async fn make(args: &MakeArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    // No deadline: how long it takes is the size of the database.
    let message = pb::MakeBackupRequest { reason: args.reason.clone() };
    let mut told = client.answer("the backup", client.administration().make_backup(message)).await?;
    let (mut receipt, mut made) = (None, None);
    while let Some(next) = client.next("the backup", &mut told).await? {
        match next.progress {
            Some(Progress::Begun(begun)) => receipt = Some(begun.receipt),
            Some(Progress::Made(end)) => made = Some((next.backup, end)),
            None => {}
        }
    }
    let (name, made) = made.ok_or_else(|| CliError::incomplete("backup"))?;
    let digest = HEXLOWER.encode(&made.sealed_sha256);
    args.output.show(
        || format!("{name}: {} bytes, sealed", made.sealed_bytes),
        &json!({ "backup": name, "sealed_bytes": made.sealed_bytes, "sealed_sha256": digest, "receipt": receipt }),
    )
}

fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let note = sqlite::backup_check(&args.backup, &key)
        .map_err(|error| CliError::because("the backup does not hold", error))?;
    args.output.show(|| as_text(&note), &as_json(&note))
}

fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    let refused = |error| CliError::because("the backup can't be restored", error);
    let config = Config::read(&args.config).map_err(unusable)?;
    let root = config
        .root_key
        .open(&process_environment)
        .map_err(|error| CliError::because("the root key can't be opened", error))?;
    let beside = args.backup.parent().unwrap_or(Path::new("")).join("keys.sqlite");
    let keys = args.keys.as_ref().unwrap_or(&beside);
    let behind = if args.behind { Behind::Accepted } else { Behind::Refused };
    let (store, heads) = (&config.store_folder, &config.heads_folder);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let restored = sqlite::backup_restore((&args.backup, keys), (store, heads), behind, root, clock, entropy);
    let restored = restored.map_err(refused)?;
    let text = told(&restored);
    if restored.in_place { print::line(&text) } else { Err(CliError::Found(text)) }
}

fn told(restored: &BackupRestored) -> String {
    let BackupRestored { note, behind, unknown, in_place } = restored;
    let mut text = format!("the backup of {}", note.made);
    if behind.is_empty() && unknown.is_empty() {
        text.push_str(" is in place, and as new as what was signed; start the server");
        return text;
    }
    text.push_str(if *in_place { " is in place, and older" } else { " is older" });
    text.push_str(" than what was signed:\n");
    for JournalContinued { journal, signed, stored, .. } in behind {
        let signed = signed.map_or("an unknown number".to_owned(), |signed| signed.to_string());
        text.push_str(&format!("  {journal}: {stored} entries, {signed} signed\n"));
    }
    for origin in unknown {
        text.push_str(&format!("  {origin}: not in it\n"));
    }
    text.push_str(if *in_place {
        "No server signs with it before its journals went on under new origins: see `onebit recover`."
    } else {
        "Nothing was put in place. A newer database is always better; without one, restore with `--behind`, and then \
         let the journals go on with `onebit recover`."
    });
    text
}

fn as_text(note: &BackupNote) -> String {
    let mut text = format!("whole: {} bytes, made {} by {}", note.bytes, note.made, note.origin);
    for head in &note.heads {
        text.push_str(&format!("\n  {}: {} entries", head.origin, head.size));
    }
    text
}

fn as_json(note: &BackupNote) -> serde_json::Value {
    let heads: Vec<_> = note
        .heads
        .iter()
        .map(|head| json!({ "origin": head.origin, "size": head.size, "root": head.root.to_string() }))
        .collect();
    json!({
        "origin": note.origin,
        "made": note.made.to_string(),
        "sealed_bytes": note.bytes,
        "sealed_sha256": note.digest.to_string(),
        "journals": heads,
    })
}
