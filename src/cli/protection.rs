//! `onebit protection`: what protection does and does not do, measured, signed and verified.

use std::path::{Path, PathBuf};

use serde_json::json;

use self::measure::Measurement;
use super::fault::CliError;
use super::print::OutputOption;
use super::signed::{self, Kind, Ready};
use crate::clock::SystemClock;
use crate::keys::SignatureDomain;

mod collection;
mod input;
mod measure;
mod page;
mod report;

/// Measures what protection does, and verifies such a report
#[derive(Debug, clap::Args)]
pub struct ProtectionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProtectionCommand,
}

/// What can be done with reports.
#[derive(Debug, clap::Subcommand)]
pub enum ProtectionCommand {
    /// Measures unlinkability and accuracy, runs the attacks, and writes a signed report
    ///
    /// Takes people who don't exist, or labelled templates, as `onebit calibrate` does, or the people of a collection.
    /// Makes keys of its own from the seed; the key of a collection only gives its samples back. Works offline.
    ///
    /// Writes to the folder: `report.json`, `report.html` and `report.sig`, all or none. Files that are there are not
    /// replaced. `docs/protection.md` says how to read them.
    Report(Box<ReportArgs>),
    /// Verifies that a report is as its signer signed it
    Verify(VerifyArgs),
}

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ReportArgs {
    /// So many people who don't exist, each with two samples
    #[arg(
        long, value_name = "PEOPLE", value_parser = clap::value_parser!(u64).range(4..=20_000),
        required_unless_present_any = ["templates", "npy", "ark", "collection"]
    )]
    pub synthetic: Option<u64>,
    /// How many components the embeddings of `--synthetic` have
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(2..=4_096), value_name = "COMPONENTS")]
    pub dimension: u16,
    /// Templates: JSON Lines, `{"source_id": "…", "embedding": […], "quality": 80}`
    #[arg(long, value_name = "FILE.jsonl", requires = "scheme", conflicts_with = "synthetic")]
    pub templates: Option<PathBuf>,
    /// Templates: a NumPy array, float32 or float64, one row a template
    #[arg(long, value_name = "FILE", requires = "scheme", requires = "manifest", conflicts_with_all = ["synthetic", "templates"])]
    pub npy: Option<PathBuf>,
    /// What the rows of `--npy` are: JSON Lines, `{"source_id": "…", "quality": 80}`
    #[arg(long, value_name = "FILE", requires = "npy")]
    pub manifest: Option<PathBuf>,
    /// Templates: a Kaldi binary archive of vectors, whose keys are source ids
    #[arg(long, value_name = "FILE", requires = "scheme", conflicts_with_all = ["synthetic", "templates", "npy"])]
    pub ark: Option<PathBuf>,
    /// Whose the templates are: CSV without a header, `source id,person`; without it a source id is its person
    #[arg(long, value_name = "FILE.csv", requires = "scheme", conflicts_with = "source_id_separator")]
    pub labels: Option<PathBuf>,
    /// The person is what stands before this character in a source id, as in `speaker-utterance`
    #[arg(long, value_name = "CHARACTER", requires = "scheme")]
    pub source_id_separator: Option<char>,
    /// The people of a collection of a store whose server is stopped; the log says that they were read
    #[arg(long, value_name = "NAME", requires = "config", requires = "because", conflicts_with_all = ["synthetic", "templates", "npy", "ark", "scheme"])]
    pub collection: Option<String>,
    /// How many of them, in the order of their enrolment
    #[arg(long, value_name = "PEOPLE", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(4..=20_000), requires = "collection")]
    pub people: u64,
    /// The configuration of the store of `--collection`
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Why the collection is measured, for the log
    #[arg(long, value_name = "REASON")]
    pub because: Option<String>,
    /// The scheme of the templates
    #[arg(long, value_name = "NAME", conflicts_with = "synthetic")]
    pub scheme: Option<String>,
    /// The policy folder that has the scheme
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub policy: PathBuf,
    /// How many pairs of keys each person is protected under; by default 100, or as many more as give 100,000 scores
    #[arg(long, value_name = "PAIRS", value_parser = clap::value_parser!(u64).range(2..=100_000))]
    pub key_pairs: Option<u64>,
    /// The cosine from which on attacks count as passing; by default that of 1 false match in 10,000 among these
    /// samples, or in as many as they support
    #[arg(long, value_name = "COSINE", allow_hyphen_values = true)]
    pub threshold: Option<f64>,
    /// The seed of keys, made-up people and resampling: the same one gives the same figures
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// The private key of whoever signs, PKCS#8 PEM: ECDSA P-256 or Ed25519, as for `onebit review`
    #[arg(long, value_name = "FILE", env = "ONEBIT_KEY")]
    pub key: PathBuf,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder with the report
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Whom you expect to have signed: a certificate or a public key, PEM
    #[arg(long, value_name = "FILE")]
    pub signer: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the input can't be read or is too small, a file can't be written, or a report is not as it was
/// signed.
pub fn run(args: &ProtectionArgs) -> Result<(), CliError> {
    match &args.command {
        ProtectionCommand::Report(args) => write_report(args),
        ProtectionCommand::Verify(args) => verify_report(args),
    }
}

fn write_report(args: &ReportArgs) -> Result<(), CliError> {
    // Whatever would keep the report from being written is found before minutes are spent on it.
    let ready = Ready::of(&KIND, &args.key, &args.out)?;
    let input = input::read(args)?;
    let report = Measurement::of(args, &input)?.report(&SystemClock)?;
    let page = page::draw(&report);
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| CliError::because("the report can't be put into words", error))?;
    let files = [(signed::PAGE, page), (signed::REPORT, format!("{text}\n"))];
    let fingerprint = ready.write(&files)?;
    args.output.show(
        || format!("{}\nsigned by     {fingerprint}\nwritten       {}", report.told(), args.out.display()),
        &json!({
            "verdict": report.verdict, "signer": fingerprint.to_string(), "folder": args.out.display().to_string(),
        }),
    )
}

fn verify_report(args: &VerifyArgs) -> Result<(), CliError> {
    let verified = signed::verify(&KIND, &args.folder, &args.signer)?;
    let text = || {
        let lines = verified.files.iter().map(|(name, digest)| format!("{name:<12}  {digest}"));
        format!("{}\nsigned by     {}", lines.collect::<Vec<_>>().join("\n"), verified.signer)
    };
    let files: serde_json::Map<_, _> =
        verified.files.iter().map(|(name, digest)| (name.clone(), digest.to_string().into())).collect();
    args.output
        .show(text, &json!({ "verified": true, "files": files, "signer": verified.signer.to_string() }))
}

/// The name of a file without its folders, which are nobody else's business.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

const KIND: Kind = Kind {
    domain: SignatureDomain::ProtectionReport,
    files: &[signed::PAGE, signed::REPORT],
    is_private: false,
};
const EXAMPLES: &str = "\
Examples:
  onebit protection report --synthetic 1000 --key privacy-officer.key.pem --out protection
  onebit protection report --ark segments.ark --labels speakers.csv --scheme voice-256 --key k.pem --out protection
  onebit protection report --collection watch-face --config onebit.toml --because \"yearly\" --key k.pem --out protection
  onebit protection verify protection --signer privacy-officer.pem";
