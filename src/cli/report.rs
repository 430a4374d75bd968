//! `onebit report`: what happened in a period, for the public; and whether a report says what the log says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde_json::json;

use self::document::{Journal, Opening, Report};
use super::audit::verify_folder;
use super::fault::CliError;
use super::files;
use super::print::OutputOption;
use super::receipt::parse_key;
use super::signed::{self, Kind, Signing};
use crate::audit::entry::Side;
use crate::authz::{Bundle, Rules};
use crate::clock::{Clock, SystemClock, Timestamp, day_of};
use crate::keys::SignatureDomain;
use crate::oversight::{Figures, Secrets, Tally};
use crate::secret::{SystemEntropy, random_bytes};

mod disposals;
mod document;
mod page;

/// Makes and verifies transparency reports
///
/// A report tells the public, by partner, what was asked in a period, answered, disclosed and refused. It is counted from
/// exports of the journals (`onebit audit export`), which are verified first. How many hidden people would have matched is
/// published with noise only; what is exact is committed to, and opened to the commissioner by a file of its own.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReportCommand,
}

/// What can be done with a report.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// Makes the report of a period: a page, figures as JSON and CSV, and a signature
    Make(MakeArgs),
    /// Verifies a report: its signature, its sums, and, with the journals or the opening, each of its numbers
    Verify(VerifyArgs),
    /// Makes the register of disposals: what was destroyed, by which authority and by whom, with a receipt for each
    Disposals(disposals::DisposalsArgs),
    /// Verifies a register of disposals: its signature, its receipts, and, with the journal, that nothing is left out
    VerifyDisposals(disposals::VerifyDisposalsArgs),
}

/// A report to make.
#[derive(Debug, clap::Args)]
pub struct MakeArgs {
    /// The journals.
    #[command(flatten)]
    pub journals: JournalOptions,
    /// The first day (UTC) of the period
    #[arg(long, value_name = "DATE")]
    pub from: Date,
    /// The last day (UTC) of the period
    #[arg(long, value_name = "DATE")]
    pub until: Date,
    /// The signature.
    #[command(flatten)]
    pub signing: Signing,
    /// Where to write what opens the exact counts of hidden people, for the commissioner only; a new file, outside of `--out`
    #[arg(long, value_name = "FILE")]
    pub opening: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Exports that a report is counted from.
#[derive(Debug, clap::Args)]
pub struct JournalOptions {
    /// The folder of an export of a journal: one for each partner, and that of the holder's for suspensions
    #[arg(long, value_name = "DIR")]
    pub journal: Vec<PathBuf>,
    /// The verifier key of the journal that was given in the same place, or a file that holds it
    #[arg(id = "journal_key", long = "key", value_name = "KEY|FILE")]
    pub key: Vec<String>,
    /// The policy folder of the period, for the rates of its agreements and what its collections hold; give it again for
    /// what an earlier folder of the period had and a later one does not
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub policy: Vec<PathBuf>,
}

/// A report to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder with the report
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Whom you expect to have signed: a certificate or a public key, PEM
    #[arg(long, value_name = "FILE")]
    pub signer: PathBuf,
    /// The journals, to count each number again.
    #[command(flatten)]
    pub journals: JournalOptions,
    /// What opens the exact counts of hidden people
    #[arg(long, value_name = "FILE")]
    pub opening: Option<PathBuf>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when a journal does not hold, a file can't be read or written, or a report does not say what the log says.
pub fn run(args: &ReportArgs) -> Result<(), CliError> {
    match &args.command {
        ReportCommand::Make(args) => make(args),
        ReportCommand::Verify(args) => verify(args),
        ReportCommand::Disposals(args) => disposals::make(args),
        ReportCommand::VerifyDisposals(args) => disposals::verify(args),
    }
}

fn make(args: &MakeArgs) -> Result<(), CliError> {
    if args.until < args.from {
        return Err(CliError::Usage(
            "`--until` lies before `--from`; give the last day of the period".to_owned(),
        ));
    }
    if args.journals.journal.is_empty() {
        return Err(CliError::Usage(
            "no journal was given; give `--journal` and `--key` for each partner".to_owned(),
        ));
    }
    let ready = args.signing.ready(&KIND)?;
    let out = &args.signing.out;
    if args.opening.starts_with(out) {
        return Err(CliError::Usage(
            "the opening is not to be published; write it outside of `--out`".to_owned(),
        ));
    }
    let period = (args.from, args.until);
    let counted = count(&args.journals, period, &BTreeMap::new())?;
    let entropy = SystemEntropy::new();
    let unseeded = |error| CliError::because("no random bytes are to be had", error);
    let secrets = Secrets {
        seed: random_bytes(&entropy).map_err(unseeded)?,
        salt: random_bytes(&entropy).map_err(unseeded)?,
    };
    let report = Report::of(period, SystemClock.now(), &counted, &secrets);
    let opening = as_json(&Opening::of(&secrets, &counted.figures))?;
    let files = [(PAGE, page::draw(&report)), (FIGURES, as_json(&report)?), (TABLE, page::csv(&report))];
    files::write_private(&args.opening, opening.as_bytes())?;
    let fingerprint = ready.write(&files)?;
    args.output.show(
        || {
            format!(
                "{}\nsigned by     {fingerprint}\nwritten       {}\nopening       {}: for the commissioner only",
                report.told(),
                out.display(),
                args.opening.display()
            )
        },
        &json!({
            "partners": report.partners.len(), "signer": fingerprint.to_string(), "folder": out, "opening": args.opening,
        }),
    )
}

fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let verified = signed::verify(&KIND, &args.folder, &args.signer)?;
    let text = files::read_text(&args.folder.join(FIGURES))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| CliError::because(format!("`{FIGURES}` is no transparency report"), error))?;
    let mut checked = vec!["the signature".to_owned()];
    if files::read_text(&args.folder.join(PAGE))? != page::draw(&report)
        || files::read_text(&args.folder.join(TABLE))? != page::csv(&report)
    {
        return Err(wrong("the page or the table does not say what the figures say"));
    }
    report.sums_hold().map_err(|what| wrong(&what))?;
    checked.push("its page, its table and its sums".to_owned());
    let opening: Option<Opening> = match &args.opening {
        None => None,
        Some(path) => Some(
            serde_json::from_str(&files::read_text(path)?)
                .map_err(|error| CliError::because(format!("`{}` opens no report", path.display()), error))?,
        ),
    };
    if let Some(opening) = &opening {
        report.opened_by(opening).map_err(|what| wrong(&what))?;
        checked.push("the counts of hidden people against their opening".to_owned());
    }
    if !args.journals.journal.is_empty() {
        let sizes = report.journals.iter().map(|it| (it.journal.clone(), it.size)).collect();
        let counted = count(&args.journals, (report.from, report.until), &sizes)?;
        report.says(&counted, opening.as_ref()).map_err(|what| wrong(&what))?;
        checked.push("every number against the journals".to_owned());
    }
    args.output.show(
        || {
            let checked: String = checked.iter().map(|what| format!("\n  {what}")).collect();
            format!("the report holds; checked were{checked}\nsigned by {}", verified.signer)
        },
        &json!({ "verified": true, "checked": checked, "signer": verified.signer.to_string() }),
    )
}

fn wrong(what: &str) -> CliError {
    CliError::Found(format!("REFUSED: {what}; ask for the report again, and report it if it stays so"))
}

/// What was counted from journals.
struct Counted {
    figures: BTreeMap<String, Figures>,
    journals: Vec<Journal>,
    known: Known,
}

/// What the policy of a period says of what was counted.
struct Known {
    /// Rates of false hits by agreement.
    rates: BTreeMap<String, f64>,
    /// What samples show, by collection: `face`.
    modalities: BTreeMap<String, String>,
    /// Partners by agreement.
    parties: BTreeMap<String, String>,
}

/// Counts journals; of those that are named in `sizes` only so many entries.
fn count(
    options: &JournalOptions,
    period: (Date, Date),
    sizes: &BTreeMap<String, u64>,
) -> Result<Counted, CliError> {
    if options.journal.len() != options.key.len() {
        return Err(CliError::Usage(format!(
            "{} journals and {} keys were given; give each `--journal` its `--key`, in the same order",
            options.journal.len(),
            options.key.len()
        )));
    }
    let until = Timestamp::at_day(day_of(period.1).saturating_add(1));
    let mut tally = Tally::new(Timestamp::at_day(day_of(period.0)), until);
    let known = known(&options.policy)?;
    for (agreement, partner) in &known.parties {
        tally.agreement(agreement, partner);
    }
    let mut journals = Vec::new();
    for (folder, key) in options.journal.iter().zip(&options.key) {
        let key = parse_key(key)?;
        let journal = key.name().rsplit('/').next().unwrap_or_default().to_owned();
        let size = sizes.get(&journal).copied();
        if journal != HOLDER {
            tally.partner(&journal);
        }
        let (mut opened, mut taken) = (0_u64, 0_u64);
        let report = verify_folder(folder, &key, &mut |index, side, event| {
            if side != Side::Holder || size.is_some_and(|size| index >= size) {
                return;
            }
            opened = opened.saturating_add(1);
            taken = taken.max(index.saturating_add(1));
            if journal == HOLDER {
                tally.take_of_holder(event);
            } else {
                tally.take(&journal, event);
            }
        })?;
        let counted = size.unwrap_or(report.size);
        if report.size < counted {
            return Err(wrong(&format!(
                "the export of `{journal}` is shorter than the one that was counted"
            )));
        }
        let closed = counted.saturating_sub(opened);
        journals.push(Journal { journal, origin: report.origin, size: counted, disposed: closed });
    }
    journals.sort_by(|one, other| one.journal.cmp(&other.journal));
    let figures = tally.done();
    known.covers(&figures)?;
    Ok(Counted { figures, journals, known })
}

fn known(folders: &[PathBuf]) -> Result<Known, CliError> {
    let (mut rates, mut modalities, mut parties) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    // The first folder that has a name says what it means.
    for folder in folders {
        let rules = rules_of(folder)?;
        for it in rules.agreements() {
            rates.entry(it.name.as_str().to_owned()).or_insert(it.accuracy.fpir);
            parties.entry(it.name.as_str().to_owned()).or_insert_with(|| it.partner.as_str().to_owned());
        }
        for it in rules.collections() {
            let modality = rules.scheme(&it.scheme).map(|scheme| scheme.scheme.modality.to_string());
            modalities.entry(it.name.as_str().to_owned()).or_insert(modality.unwrap_or_default());
        }
    }
    Ok(Known { rates, modalities, parties })
}

impl Known {
    /// Whether the policy has everything that was asked under and searched.
    fn covers(&self, figures: &BTreeMap<String, Figures>) -> Result<(), CliError> {
        let missing = |kind: &str, name: &str| {
            CliError::Usage(format!(
                "the journals name the {kind} `{name}`, which the policy does not have; give with `--policy` the folders \
                 that were in force in the period"
            ))
        };
        for it in figures.values() {
            if let Some(name) = it.agreements.keys().find(|name| !self.rates.contains_key(*name)) {
                return Err(missing("agreement", name));
            }
            if let Some(name) = it.collections.keys().find(|name| !self.modalities.contains_key(*name)) {
                return Err(missing("collection", name));
            }
        }
        Ok(())
    }
}

fn rules_of(folder: &Path) -> Result<Rules, CliError> {
    let unreadable =
        |error| CliError::because(format!("`{}` is not a policy folder", folder.display()), error);
    let bundle = Bundle::read_folder(folder).map_err(unreadable)?;
    Rules::load(bundle).map_err(|faults| {
        CliError::Found(format!(
            "{} faults in `{1}`; `onebit policy check {1}` tells them",
            faults.len(),
            folder.display()
        ))
    })
}

fn as_json<T: serde::Serialize>(value: &T) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::because("the report can't be put into words", error))?;
    Ok(format!("{text}\n"))
}

const PAGE: &str = signed::PAGE;
const FIGURES: &str = signed::REPORT;
const TABLE: &str = "report.csv";
const KIND: Kind =
    Kind { domain: SignatureDomain::TransparencyReport, files: &[PAGE, FIGURES, TABLE], is_private: false };
/// The name of the holder's own journal.
const HOLDER: &str = "holder";
