//! `onebit report disposals`: the register of what was disposed of, by which authority and by whom, with its evidence.

use std::path::PathBuf;

use serde_json::json;

use self::document::{Gathered, Register};
use super::super::audit::{Folder, receipts, verify_folder};
use super::super::receipt::parse_key;
use super::{as_json, rules_of, wrong};
use crate::audit::entry::Side;
use crate::audit::note::VerifierKey;
use crate::audit::receipt::Receipt;
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::cli::print::OutputOption;
use crate::cli::signed::{self, Kind, Signing};
use crate::clock::{Clock, SystemClock};
use crate::keys::SignatureDomain;

mod document;
mod page;

/// A register to make.
#[derive(Debug, clap::Args)]
pub struct DisposalsArgs {
    /// The folder of an export of the holder's journal
    #[arg(long, value_name = "DIR")]
    pub journal: PathBuf,
    /// The journal's verifier key, or a file that holds it
    #[arg(id = "journal_key", long = "key", value_name = "KEY|FILE")]
    pub key: String,
    /// The policy folder in force, for what is kept of people who were erased
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub policy: PathBuf,
    /// The signature.
    #[command(flatten)]
    pub signing: Signing,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// A register to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyDisposalsArgs {
    /// The folder with the register
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Whom you expect to have signed: a certificate or a public key, PEM
    #[arg(long, value_name = "FILE")]
    pub signer: PathBuf,
    /// The verifier key of the holder's journal, or a file that holds it: each receipt is verified by it
    #[arg(id = "journal_key", long = "key", value_name = "KEY|FILE")]
    pub key: String,
    /// The folder of an export of the holder's journal, to see that nothing is left out
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

pub(super) fn make(args: &DisposalsArgs) -> Result<(), CliError> {
    let ready = args.signing.ready(&KIND)?;
    let key = parse_key(&args.key)?;
    let (rules, gathered) = (rules_of(&args.policy)?, gather(&args.journal, &key)?);
    let receipts = receipts(&Folder::open(&args.journal)?, gathered.size(), &gathered.indices())?;
    let register = gathered.register(&rules, SystemClock.now(), &receipts);
    let contents =
        [(PAGE, page::draw(&register)), (REGISTER, as_json(&register)?), (TABLE, page::csv(&register)?)];
    let (signer, out) = (ready.write(&contents)?, &args.signing.out);
    let (disposals, erased) = (register.disposals.len(), register.erased());
    args.output.show(
        || {
            format!(
                "{disposals} disposals; {erased} people were erased\nsigned by     {signer}\nwritten       {}",
                out.display()
            )
        },
        &json!({ "disposals": disposals, "erased": erased, "signer": signer.to_string(), "folder": out }),
    )
}

pub(super) fn verify(args: &VerifyDisposalsArgs) -> Result<(), CliError> {
    let verified = signed::verify(&KIND, &args.folder, &args.signer)?;
    let text = files::read_text(&args.folder.join(REGISTER))?;
    let register: Register = serde_json::from_str(&text)
        .map_err(|error| CliError::because(format!("`{REGISTER}` is no register of disposals"), error))?;
    if files::read_text(&args.folder.join(PAGE))? != page::draw(&register)
        || files::read_text(&args.folder.join(TABLE))? != page::csv(&register)?
    {
        return Err(wrong("the page or the table does not say what the register says"));
    }
    let key = parse_key(&args.key)?;
    let mut checked = vec!["the signature".to_owned(), "its page and its table".to_owned()];
    let mut proven: usize = 0;
    for disposal in &register.disposals {
        for evidence in &disposal.evidence {
            let receipt = Receipt::parse(&evidence.receipt).and_then(|receipt| receipt.verify(&key));
            let receipt = receipt.map_err(|error| {
                CliError::because(format!("the receipt of entry {}", evidence.index), error)
            })?;
            let event = receipt.event.filter(|_| receipt.index == evidence.index);
            if !event.is_some_and(|event| disposal.is_said_by(&event)) {
                return Err(wrong(&format!(
                    "entry {} says something else of `{}`",
                    evidence.index, disposal.change
                )));
            }
            proven = proven.saturating_add(1);
        }
    }
    checked.push(format!("{proven} receipts, and that their entries say what stands here"));
    if let Some(journal) = &args.journal {
        let again = gather(journal, &key)?;
        register.is_whole(&again).map_err(|what| wrong(&what))?;
        checked.push("that nothing of the journal is left out".to_owned());
    }
    args.output.show(
        || {
            let checked: String = checked.iter().map(|what| format!("\n  {what}")).collect();
            format!("the register holds; checked were{checked}\nsigned by {}", verified.signer)
        },
        &json!({ "verified": true, "checked": checked, "signer": verified.signer.to_string() }),
    )
}

/// What an export of the holder's journal says of disposals and erasures.
fn gather(journal: &std::path::Path, key: &VerifierKey) -> Result<Gathered, CliError> {
    if key.name().rsplit('/').next() != Some(super::HOLDER) {
        return Err(CliError::Usage(format!(
            "`{}` is not the holder's journal, which is the one that says what was disposed of",
            key.name()
        )));
    }
    let mut gathered = Gathered::default();
    let report = verify_folder(journal, key, &mut |index, side, event| {
        if side == Side::Holder {
            gathered.take(index, event);
        }
    })?;
    gathered.is_of(report.origin, report.size);
    Ok(gathered)
}

const PAGE: &str = signed::PAGE;
const REGISTER: &str = signed::REPORT;
const TABLE: &str = "report.csv";
/// Reasons are people's own words: it is not for the public as it is.
const KIND: Kind =
    Kind { domain: SignatureDomain::DisposalRegister, files: &[PAGE, REGISTER, TABLE], is_private: true };
