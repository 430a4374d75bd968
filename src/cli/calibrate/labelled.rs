//! Labelled templates, in the formats that people are enrolled from.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::super::fault::CliError;
use super::super::formats::{Reject, Row, TemplateRow, ark, jsonl, npy};
use super::{CalibrateArgs, scores};
use crate::authz::{Bundle, Rules};
use crate::template::{
    LabelledSet, PairScores, Quality, QualityScore, Sample, SampleError, Scheme, TemplateError,
};

/// All pairs, compared.
pub(super) struct Compared {
    pub(super) scores: PairScores,
    /// Samples without a label, and those whose quality the scheme refuses: nobody could enrol or ask with them.
    pub(super) left_out: u64,
}

/// Reads the templates and compares every one with every other.
pub(super) fn compare(args: &CalibrateArgs) -> Result<Compared, CliError> {
    let (path, rows) = open(args)?;
    let scheme = scheme(args)?;
    let labels = args.labels.as_deref().map(labels).transpose()?;
    let mut people: BTreeMap<String, usize> = BTreeMap::new();
    let (mut set, mut left_out) = (LabelledSet::new(scheme), 0_u64);
    for row in rows {
        let row =
            row.map_err(|error| CliError::because(format!("`{}` can't be read", path.display()), error))?;
        let row = row.map_err(|Reject { line, reason, .. }| refused(path, line, &reason))?;
        let person = match &labels {
            None => Some(person_of(&row, args.source_id_separator)),
            Some(labels) => labels.get(&row.source_id).cloned(),
        };
        let Some(person) = person else {
            left_out = left_out.saturating_add(1);
            continue;
        };
        let number = people.len();
        let number = *people.entry(person).or_insert(number);
        let line = row.line;
        match set.add(number, sample(row)) {
            Ok(()) => {}
            Err(TemplateError::Sample(
                SampleError::QualityLow { .. } | SampleError::QualityUnknown { .. },
            )) => {
                left_out = left_out.saturating_add(1);
            }
            Err(error) => return Err(refused(path, line, &error.to_string())),
        }
        if set.len() > SAMPLES_MAX {
            return Err(CliError::Usage(format!(
                "more than {SAMPLES_MAX} samples in `{}`; calibrate on some of them",
                path.display()
            )));
        }
    }
    let scores = set.compare_pairs();
    let scores = scores.map_err(|error| CliError::because("the samples can't be compared", error))?;
    Ok(Compared { scores, left_out })
}

type Rows = Box<dyn Iterator<Item = Row<TemplateRow>>>;

fn open(args: &CalibrateArgs) -> Result<(&Path, Rows), CliError> {
    let open = |path: &Path| File::open(path).map_err(|source| CliError::read(path, source));
    match (&args.npy, &args.manifest, &args.templates, &args.ark) {
        (Some(path), Some(manifest), ..) => {
            let rows = npy::templates(open(path)?, BufReader::new(open(manifest)?));
            let damaged = |error| CliError::because(format!("`{}` can't be read", path.display()), error);
            Ok((path, Box::new(rows.map_err(damaged)?)))
        }
        (_, _, Some(path), _) => Ok((path, Box::new(jsonl::templates(BufReader::new(open(path)?))))),
        (.., Some(path)) => Ok((path, Box::new(ark::templates(BufReader::new(open(path)?))))),
        _ => Err(CliError::Usage(
            "give --genuine with --impostor, --matrix, --templates, --npy with --manifest, or --ark"
                .to_owned(),
        )),
    }
}

fn scheme(args: &CalibrateArgs) -> Result<Scheme, CliError> {
    let folder = args.policy.display();
    let name = args.scheme.as_deref().unwrap_or_default();
    let bundle = Bundle::read_folder(&args.policy)
        .map_err(|error| CliError::because(format!("`{folder}` is not a policy folder"), error))?;
    let rules = Rules::load(bundle).map_err(|faults| {
        CliError::Found(format!(
            "{} faults in `{folder}`; `onebit policy check {folder}` tells them",
            faults.len()
        ))
    })?;
    let scheme = rules.schemes().find(|file| file.scheme.name.as_str() == name);
    let scheme = scheme.map(|file| file.scheme.clone());
    scheme.ok_or_else(|| {
        CliError::Usage(format!("there is no scheme `{name}` in `{folder}`; name one of its schemes"))
    })
}

/// Who is behind a source id.
fn labels(path: &Path) -> Result<HashMap<String, String>, CliError> {
    let mut labels = HashMap::new();
    for (line, source_id, person) in scores::pairs(path)? {
        if labels.insert(source_id, person).is_some() {
            return Err(scores::unreadable(path, line, "this source id has another label above; keep one"));
        }
    }
    Ok(labels)
}

fn person_of(row: &TemplateRow, separator: Option<char>) -> String {
    let before =
        separator.and_then(|separator| row.source_id.split_once(separator)).map(|(before, _)| before);
    before.unwrap_or(&row.source_id).to_owned()
}

fn sample(mut row: TemplateRow) -> Sample {
    let quality = row.quality.map_or(Quality::Unknown, |score| {
        QualityScore::new(score.into()).map_or(Quality::Unknown, Quality::Score)
    });
    Sample::embedding(std::mem::take(&mut *row.embedding), quality)
}

fn refused(path: &Path, line: u64, reason: &str) -> CliError {
    scores::unreadable(path, usize::try_from(line).unwrap_or(usize::MAX), reason)
}

/// Their 200 million pairs take 1.6 GB.
const SAMPLES_MAX: usize = 20_000;
