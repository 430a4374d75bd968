//! The check of a whole store against its own log, beside a running server or without one.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::FsckArgs;
use crate::cli::fault::CliError;
use crate::cli::print::{self, Output};
use crate::config::Config;
use crate::config::material::process_environment;
use crate::store::sqlite::{self, FsckReport};

/// Checks the store of a configuration.
///
/// # Errors
/// [`CliError::Found`] when something is wrong, [`CliError::CouldNotRun`] when the check could not begin.
pub(super) fn check(args: &FsckArgs) -> Result<(), CliError> {
    let could_not = |error: Box<dyn std::error::Error + Send + Sync>| CliError::CouldNotRun(error);
    let config = Config::read(&args.config).map_err(|error| could_not(error.into()))?;
    let root = config.root_key.open(&process_environment).map_err(|error| could_not(error.into()))?;
    let mut progress = Progress::default();
    let found =
        sqlite::fsck(&config.store_folder, root, &mut |what, done, all| progress.show(what, done, all));
    progress.end();
    let report = found.map_err(|error| could_not(error.into()))?;
    show(args, &report)?;
    if report.is_whole() {
        return Ok(());
    }
    let faults = report.faults_total;
    Err(CliError::Found(format!(
        "{faults} {} found; keep the store as it is and see `docs/operating.md`, on what to do then",
        if faults == 1 { "fault was" } else { "faults were" }
    )))
}

fn show(args: &FsckArgs, report: &FsckReport) -> Result<(), CliError> {
    if args.output.output == Output::Json {
        return args.output.show(String::new, &as_json(report));
    }
    for fault in &report.faults {
        print::line(&format!("FAULT {fault}"))?;
    }
    let told = u64::try_from(report.faults.len()).unwrap_or(u64::MAX);
    if report.faults_total > told {
        print::line(&format!("… and {} more", report.faults_total - told))?;
    }
    for unchecked in &report.unchecked {
        print::line(&format!("not checked: {unchecked}"))?;
    }
    for journal in &report.journals {
        print::line(&format!(
            "journal {}: {} entries, {} opened, {} disposed of, {} checkpoints, root {}",
            journal.name, journal.size, journal.opened, journal.disposed, journal.checkpoints, journal.root
        ))?;
    }
    let counts = &report.counts;
    print::line(&format!(
        "{} queries, {} receipts, {} disclosures, {} changes, {} signatures of people, {} heads, {} tags, {} templates, \
         {} fields",
        counts.queries,
        counts.receipts,
        counts.disclosures,
        counts.changes,
        counts.signatures,
        counts.heads,
        counts.tags,
        counts.templates,
        counts.fields
    ))?;
    if report.is_whole() { print::line("The store is whole.") } else { Ok(()) }
}

fn as_json(report: &FsckReport) -> serde_json::Value {
    let told = |faults: &[sqlite::Fault]| -> Vec<serde_json::Value> {
        faults.iter().map(|one| json!({ "place": one.place.to_string(), "what": one.what })).collect()
    };
    let journals: Vec<serde_json::Value> = report
        .journals
        .iter()
        .map(|journal| {
            json!({
                "name": journal.name, "size": journal.size, "root": journal.root.to_string(),
                "checkpoints": journal.checkpoints, "opened": journal.opened, "disposed": journal.disposed,
            })
        })
        .collect();
    let counts = &report.counts;
    json!({
        "whole": report.is_whole(), "faults_total": report.faults_total, "faults": told(&report.faults),
        "unchecked": told(&report.unchecked), "journals": journals, "queries": counts.queries,
        "receipts": counts.receipts, "disclosures": counts.disclosures, "changes": counts.changes,
        "signatures": counts.signatures, "heads": counts.heads, "tags": counts.tags,
        "templates": counts.templates, "fields": counts.fields,
    })
}

/// How far the check came: a bar on a terminal, plain lines elsewhere.
#[derive(Default)]
struct Progress {
    what: String,
    bar: Option<ProgressBar>,
    /// The tenth that was told last.
    told: u64,
}

impl Progress {
    fn show(&mut self, what: &str, done: u64, all: u64) {
        if self.what != what {
            self.end();
            what.clone_into(&mut self.what);
            self.told = 0;
            self.bar = print::is_watched().then(|| bar(all));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
            bar.set_position(done.min(all));
            return;
        }
        // A line for each tenth of what takes long; small things are not worth a line each.
        let tenth = done.saturating_mul(10).checked_div(all).unwrap_or(10);
        if all >= WORTH_LINES && tenth > self.told {
            self.told = tenth;
            print::note(&format!("{what}: {done} of {all}"));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(all: u64) -> ProgressBar {
    let bar = ProgressBar::new(all);
    // A template that indicatif does not know would be a fault of ours; its own style will do then.
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// About a second of work.
const WORTH_LINES: u64 = 50_000;
