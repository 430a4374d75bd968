//! `onebit calibrate`: from measured scores to the table of a scheme, and what is to be seen of it.

use std::path::{Path, PathBuf};

use serde_json::json;

use self::input::Measured;
use super::fault::CliError;
use super::files;
use super::print::{self, OutputOption};
use crate::template::{Accuracy, AccuracyError, ErrorCounts, TableRow};

mod chart;
mod det;
mod histogram;
mod input;
pub(super) mod scores;
mod tables;

/// Measures how often a scheme errs, and writes the table of its thresholds
///
/// Takes scores of genuine and impostor comparisons, a matrix of scores, or labelled templates, which are compared
/// as their scheme compares them: every sample with every other one. A comparison is accepted from the threshold on
/// (`score >= threshold`). Works offline.
///
/// Writes to the folder: `calibration.toml`, the table for a file of `schemes/`, where the scores are cosines;
/// `table.csv`, `det.csv` and `histogram.csv`; `det.svg` and `histogram.svg`; with `--at`, `counts.csv`. Files that
/// are there are not replaced.
///
/// No row of the table lies below 3 in all impostor comparisons (the rule of three), so that a rate which the data
/// can't support is refused later on. `docs/calibration.md` says what the numbers mean.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CalibrateArgs {
    /// The scores of genuine comparisons: one a line, or a column of CSV
    #[arg(long, value_name = "FILE", requires = "impostor", required_unless_present_any = ["matrix", "templates", "npy", "ark"])]
    pub genuine: Option<PathBuf>,
    /// The scores of impostor comparisons: one a line, or a column of CSV
    #[arg(long, value_name = "FILE", requires = "genuine")]
    pub impostor: Option<PathBuf>,
    /// The column of scores in `--genuine` and `--impostor`, which are CSV with a header then
    #[arg(long, value_name = "NAME", requires = "genuine")]
    pub column: Option<String>,
    /// A square matrix of scores, CSV, people in the same order in rows and columns: genuine on the diagonal,
    /// impostor elsewhere; with the people's ids in the first row and column, or without
    #[arg(long, value_name = "FILE.csv", conflicts_with = "genuine")]
    pub matrix: Option<PathBuf>,
    /// Templates: JSON Lines, `{"source_id": "…", "embedding": […], "quality": 80}`
    #[arg(long, value_name = "FILE.jsonl", requires = "scheme", conflicts_with_all = ["genuine", "matrix"])]
    pub templates: Option<PathBuf>,
    /// Templates: a NumPy array, float32 or float64, one row a template
    #[arg(long, value_name = "FILE", requires = "scheme", requires = "manifest", conflicts_with_all = ["genuine", "matrix", "templates"])]
    pub npy: Option<PathBuf>,
    /// What the rows of `--npy` are: JSON Lines, `{"source_id": "…", "quality": 80}`
    #[arg(long, value_name = "FILE", requires = "npy")]
    pub manifest: Option<PathBuf>,
    /// Templates: a Kaldi binary archive of vectors, whose keys are source ids
    #[arg(long, value_name = "FILE", requires = "scheme", conflicts_with_all = ["genuine", "matrix", "templates", "npy"])]
    pub ark: Option<PathBuf>,
    /// Whose the templates are: CSV without a header, `source id,person`; without it a source id is its person
    #[arg(long, value_name = "FILE.csv", requires = "scheme", conflicts_with = "source_id_separator")]
    pub labels: Option<PathBuf>,
    /// The person is what stands before this character in a source id, as in `speaker-utterance`
    #[arg(long, value_name = "CHARACTER", requires = "scheme")]
    pub source_id_separator: Option<char>,
    /// The scheme of the templates; its present calibration is not used
    #[arg(long, value_name = "NAME", conflicts_with_all = ["genuine", "matrix"])]
    pub scheme: Option<String>,
    /// The policy folder that has the scheme
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub policy: PathBuf,
    /// The number that stands for `no score` in score files and matrices, or `none`
    #[arg(long, value_name = "NUMBER", default_value = "-1", allow_hyphen_values = true)]
    pub no_score: scores::NoScore,
    /// Count the errors at this threshold as well; may be repeated
    #[arg(long, value_name = "THRESHOLD", allow_hyphen_values = true)]
    pub at: Vec<f64>,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Measures and writes.
///
/// # Errors
/// [`CliError`] when a row can't be read, with its file and line, when there is no genuine or no impostor score, or
/// when a file can't be written.
pub fn run(args: &CalibrateArgs) -> Result<(), CliError> {
    if let Some(bad) = args.at.iter().find(|at| !at.is_finite()) {
        return Err(CliError::Usage(format!("`{bad}` is not a threshold; give a finite number")));
    }
    let Measured { accuracy, left_out } = input::measure(args)?;
    let counts: Vec<ErrorCounts> = args.at.iter().map(|at| accuracy.errors_at(*at)).collect();
    let written = write(&args.out, &accuracy, &counts)?;
    let equal = accuracy.equal_errors();
    let (genuine, impostor) = (accuracy.genuine(), accuracy.impostor());
    let at = counts.iter().map(counts_json).collect::<Vec<_>>();
    let value = json!({
        "genuine": { "compared": genuine.compared(), "no_score": genuine.missing() },
        "impostor": { "compared": impostor.compared(), "no_score": impostor.missing() },
        "left_out": left_out,
        "least_false_match_rate": accuracy.least_rate(),
        "nearest_to_equal_errors": counts_json(&equal),
        "at": at, "files": written.files, "scheme_table": written.why_no_scheme.is_none(),
    });
    args.output.show(|| told(&accuracy, left_out, &equal, &counts, &written), &value)
}

/// What was written, and why a scheme has no table of it.
struct Written {
    files: Vec<&'static str>,
    why_no_scheme: Option<String>,
}

fn write(out: &Path, accuracy: &Accuracy, counts: &[ErrorCounts]) -> Result<Written, CliError> {
    let det = accuracy.det();
    let bins = accuracy.histogram(BINS_MAX);
    let mut parts: Vec<(&'static str, String)> = vec![
        (DET_CSV, tables::errors(&det)),
        (HISTOGRAM_CSV, tables::histogram(&bins)),
        (DET_SVG, det::draw(&det, accuracy)),
        (HISTOGRAM_SVG, histogram::draw(&bins, accuracy)),
    ];
    if !counts.is_empty() {
        parts.push((COUNTS_CSV, tables::errors(counts)));
    }
    let why_no_scheme = match accuracy.table() {
        Ok(rows) => {
            parts.push((TABLE_CSV, tables::table(&rows)));
            let cosines: Vec<TableRow> = rows.iter().copied().filter(is_cosine).collect();
            if has_cosines(accuracy) && cosines.len() > 1 {
                parts.push((SCHEME_TOML, tables::scheme(&cosines, accuracy)));
                None
            } else {
                Some(NOT_COSINES.to_owned())
            }
        }
        Err(few @ AccuracyError::TooFew(_)) => Some(few.to_string()),
        Err(error) => return Err(CliError::because("no table can be made", error)),
    };
    files::folder(out)?;
    if let Some((name, _)) = parts.iter().find(|(name, _)| out.join(name).exists()) {
        let there = format!("`{}` is there already; nothing was written", out.join(name).display());
        return Err(CliError::Found(format!("{there}; give another folder with --out")));
    }
    for (name, content) in &parts {
        files::write_new(&out.join(name), content.as_bytes())?;
    }
    Ok(Written { files: parts.into_iter().map(|(name, _)| name).collect(), why_no_scheme })
}

fn is_cosine(row: &TableRow) -> bool {
    row.threshold > -1.0 && row.threshold < 1.0
}

/// A cosine may come out a rounding beyond its bounds.
fn has_cosines(accuracy: &Accuracy) -> bool {
    let above =
        [accuracy.genuine(), accuracy.impostor()].map(|scores| scores.at_least(1.0 + COSINE_ROUNDING));
    let within =
        [accuracy.genuine(), accuracy.impostor()].map(|scores| scores.at_least(-1.0 - COSINE_ROUNDING));
    above == [0, 0] && within == [accuracy.genuine().compared(), accuracy.impostor().compared()]
}

fn counts_json(errors: &ErrorCounts) -> serde_json::Value {
    json!({
        "threshold": errors.threshold,
        "false_non_matches": errors.false_non_matches, "genuine": errors.genuine,
        "false_matches": errors.false_matches, "impostor": errors.impostor,
    })
}

fn told(
    accuracy: &Accuracy,
    left_out: u64,
    equal: &ErrorCounts,
    counts: &[ErrorCounts],
    written: &Written,
) -> String {
    let (genuine, impostor) = (accuracy.genuine(), accuracy.impostor());
    let mut lines = vec![
        format!("genuine       {} comparisons, {} without a score", genuine.trials(), genuine.missing()),
        format!("impostor      {} comparisons, {} without a score", impostor.trials(), impostor.missing()),
        format!(
            "equal errors  near threshold {}: FMR {:.4}, FNMR {:.4}",
            equal.threshold,
            equal.fmr(),
            equal.fnmr()
        ),
        format!("least rate    {:e}, the rule of three: 3 in all impostor scores", accuracy.least_rate()),
    ];
    if left_out > 0 {
        lines.push(format!("left out      {left_out} samples without a label or below the scheme's quality"));
    }
    if !counts.is_empty() {
        let head = ["threshold", "false non-matches", "genuine", "false matches", "impostor"];
        let rows: Vec<[String; 5]> = counts
            .iter()
            .map(|it| {
                [
                    it.threshold.to_string(),
                    it.false_non_matches.to_string(),
                    it.genuine.to_string(),
                    it.false_matches.to_string(),
                    it.impostor.to_string(),
                ]
            })
            .collect();
        lines.push(print::table(head, &rows));
    }
    lines.push(format!("written       {}", written.files.join(", ")));
    if let Some(why) = &written.why_no_scheme {
        lines.push(format!("no {SCHEME_TOML}: {why}"));
    }
    lines.join("\n")
}

const EXAMPLES: &str = "\
Examples:
  onebit calibrate --genuine genuine.txt --impostor impostor.txt --out calibration
  onebit calibrate --matrix similarity.csv --at 0.4 --at 0.5 --out calibration
  onebit calibrate --ark segments.ark --labels speakers.csv --scheme voice-256 --out calibration";
/// Enough to show a shape, few enough to be read.
const BINS_MAX: u32 = 100;
const COSINE_ROUNDING: f64 = 1e-6;
const SCHEME_TOML: &str = "calibration.toml";
const TABLE_CSV: &str = "table.csv";
const COUNTS_CSV: &str = "counts.csv";
const DET_CSV: &str = "det.csv";
const HISTOGRAM_CSV: &str = "histogram.csv";
const DET_SVG: &str = "det.svg";
const HISTOGRAM_SVG: &str = "histogram.svg";
const NOT_COSINES: &str = "the scores are not cosines between -1 and 1, which the thresholds of a scheme are";
