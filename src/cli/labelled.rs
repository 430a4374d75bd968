//! Labelled templates, in the formats that people are enrolled from.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::calibrate::scores;
use super::fault::CliError;
use super::formats::{Reject, Row, TemplateRow, ark, jsonl, npy};
use crate::authz::{Bundle, Rules};
use crate::template::{Quality, QualityScore, Sample, SampleError, Scheme, TemplateError};

/// Where labelled templates are, and whose they are.
pub(super) struct Labelled<'a> {
    /// JSON Lines.
    pub(super) templates: Option<&'a Path>,
    /// A NumPy array, and its manifest.
    pub(super) npy: Option<&'a Path>,
    pub(super) manifest: Option<&'a Path>,
    /// A Kaldi archive.
    pub(super) ark: Option<&'a Path>,
    /// `source id,person`.
    pub(super) labels: Option<&'a Path>,
    /// What stands between the person and the rest of a source id.
    pub(super) separator: Option<char>,
}

impl Labelled<'_> {
    /// Reads the templates and gives each, with the number of its person, to `add`, which gives how many there are.
    /// What comes back is how many were left out: samples without a label, and those whose quality the scheme refuses,
    /// so that nobody could enrol or ask with them.
    pub(super) fn read(
        &self,
        mut add: impl FnMut(usize, Sample) -> Result<usize, TemplateError>,
    ) -> Result<u64, CliError> {
        let (path, rows) = self.open()?;
        let labels = self.labels.map(labels).transpose()?;
        let mut people: BTreeMap<String, usize> = BTreeMap::new();
        let mut left_out = 0_u64;
        for row in rows {
            let row =
                row.map_err(|error| CliError::because(format!("`{}` can't be read", path.display()), error))?;
            let row = row.map_err(|Reject { line, reason, .. }| refused(path, line, &reason))?;
            let person = match &labels {
                None => Some(person_of(&row, self.separator)),
                Some(labels) => labels.get(&row.source_id).cloned(),
            };
            let Some(person) = person else {
                left_out = left_out.saturating_add(1);
                continue;
            };
            let number = people.len();
            let number = *people.entry(person).or_insert(number);
            let line = row.line;
            match add(number, sample(row)) {
                Ok(count) if count > SAMPLES_MAX => {
                    return Err(CliError::Usage(format!(
                        "more than {SAMPLES_MAX} samples in `{}`; give some of them",
                        path.display()
                    )));
                }
                Ok(_) => {}
                Err(TemplateError::Sample(
                    SampleError::QualityLow { .. } | SampleError::QualityUnknown { .. },
                )) => {
                    left_out = left_out.saturating_add(1);
                }
                Err(error) => return Err(refused(path, line, &error.to_string())),
            }
        }
        Ok(left_out)
    }

    fn open(&self) -> Result<(&Path, Rows), CliError> {
        let open = |path: &Path| File::open(path).map_err(|source| CliError::read(path, source));
        match (self.npy, self.manifest, self.templates, self.ark) {
            (Some(path), Some(manifest), ..) => {
                let rows = npy::templates(open(path)?, BufReader::new(open(manifest)?));
                let damaged = |error| CliError::because(format!("`{}` can't be read", path.display()), error);
                Ok((path, Box::new(rows.map_err(damaged)?)))
            }
            (_, _, Some(path), _) => Ok((path, Box::new(jsonl::templates(BufReader::new(open(path)?))))),
            (.., Some(path)) => Ok((path, Box::new(ark::templates(BufReader::new(open(path)?))))),
            _ => Err(CliError::Usage("give --templates, --npy with --manifest, or --ark".to_owned())),
        }
    }
}

type Rows = Box<dyn Iterator<Item = Row<TemplateRow>>>;

/// The scheme of this name in a policy folder.
pub(super) fn scheme(policy: &Path, name: &str) -> Result<Scheme, CliError> {
    let folder = policy.display();
    let bundle = Bundle::read_folder(policy)
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
