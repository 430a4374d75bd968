//! `onebit witness`: a witness for the logs of others.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;

use super::fault::CliError;
use super::files;
use super::print::{self, OutputOption};
use super::receipt::parse_key;
use crate::audit::note::VerifierKey;
use crate::clock::SystemClock;
use crate::secret::SystemEntropy;
use crate::server::signals::{self, Told};
use crate::telemetry::{self, LogFormat, LogSettings};
use crate::witness::{self, Folder, SigningKey, Tls, Witness};

/// Makes and runs a witness, which cosigns checkpoints of logs that only grow
///
/// A witness keeps what it saw last of each log, and cosigns a checkpoint only when it grew out of that: so a
/// log cannot show one history to some and another to others. It reads nothing of what a log says. It should be
/// run by somebody whom the log's holder does not command, on a machine of its own.
#[derive(Debug, clap::Args)]
pub struct WitnessArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WitnessCommand,
}

/// What can be done with a witness.
#[derive(Debug, clap::Subcommand)]
pub enum WitnessCommand {
    /// Makes a folder with a new key, and shows the verifier key to hand over
    New(NewArgs),
    /// Serves `POST /add-checkpoint` (c2sp.org/tlog-witness)
    Serve(Box<ServeArgs>),
}

/// A new witness.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// The folder to make; back it up never, and retire the key when it is lost
    #[arg(long, value_name = "DIR")]
    pub folder: PathBuf,
    /// The name to cosign under, for example `witness.example/w1`
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// A witness that serves.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The folder that `onebit witness new` made
    #[arg(long, value_name = "DIR")]
    pub folder: PathBuf,
    /// Where to listen, for example `0.0.0.0:7380`
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The verifier key of a log, or a file that holds it; may be given several times
    #[arg(long, value_name = "KEY|FILE", required = true)]
    pub log: Vec<String>,
    /// A certificate with its intermediates, PEM, to serve https
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`].
pub fn run(args: &WitnessArgs) -> Result<(), CliError> {
    match &args.command {
        WitnessCommand::New(args) => new(args),
        WitnessCommand::Serve(args) => serve(args),
    }
}

fn new(args: &NewArgs) -> Result<(), CliError> {
    let failed = |error| CliError::because("no witness was made", error);
    let key = SigningKey::new(&args.name, &SystemEntropy::new()).map_err(failed)?;
    Folder::create(&args.folder, &key).map_err(|error| CliError::because("no witness was made", error))?;
    let public = key.public().to_string();
    args.output.show(|| public.clone(), &json!({ "name": args.name, "verifier_key": public }))
}

fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let settings = LogSettings { format: LogFormat::Text, ..LogSettings::default() };
    telemetry::init(&settings).map_err(|error| CliError::because("logs can't be written", error))?;
    let logs = args.log.iter().map(|log| parse_key(log)).collect::<Result<Vec<VerifierKey>, _>>()?;
    let tls = match (&args.certificate, &args.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (files::read(certificate)?, files::read_secret(key)?);
            let tls = Tls::new(&certificate, key.as_bytes());
            Some(tls.map_err(|error| CliError::because("https can't be served", error))?)
        }
        _ => None,
    };
    let failed = |error| CliError::because("the witness does not start", error);
    let (folder, key) =
        Folder::open(&args.folder).map_err(|error| CliError::because("the witness does not start", error))?;
    let witness = Witness::open(folder, key, logs, Arc::new(SystemClock)).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::because("the witness can't be started", error))?;
    runtime.block_on(listen(args.listen, Arc::new(witness), tls))
}

async fn listen(address: SocketAddr, witness: Arc<Witness>, tls: Option<Tls>) -> Result<(), CliError> {
    let mut told = signals::of_the_process()
        .map_err(|error| CliError::because("signals can't be listened to", error))?;
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.map_err(|error| CliError::because(format!("`{address}` can't be listened at"), error))?;
    let bound = listener.local_addr().map_err(CliError::Output)?;
    print::line(&format!("witness `{}` listening on {bound}", witness.key()))?;
    let stop = async move { while told.recv().await.is_some_and(|what| what != Told::Stop) {} };
    witness::serve(witness, listener, tls, stop).await;
    Ok(())
}
