//! Samples to ask about: from NumPy arrays, JSON, and JSON Lines.
//!
//! What is not protected here: the probe lies in the clear where it came from, and the message that carries it
//! is not wiped. The service keeps promise 6; this is the partner's own machine.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::fault::CliError;
use super::formats::jsonl::Expected;
use crate::grpc::pb::partner as pb;
use crate::template::{ArrayError, Quality, QualityScore, Sample, array_embedding};

/// A question as it stands in a file: its samples, and in a bulk what differs from the options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestionInput {
    /// One sample; instead of `samples`.
    embedding: Option<Vec<f32>>,
    /// The quality of `embedding`, 0 to 100.
    quality: Option<u8>,
    /// Several samples of one person.
    #[serde(default)]
    samples: Vec<SampleInput>,
    /// The request id of this question.
    pub request_id: Option<String>,
    /// The case of this question.
    pub case: Option<String>,
    /// The official behind this question.
    pub official: Option<String>,
    /// What the caller calls it.
    pub probe: Option<String>,
    /// What it should be answered, in a data set for tests.
    pub expected: Option<Expected>,
    /// Whose sample it is, in a data set for tests; not sent.
    #[serde(rename = "mate_of")]
    _mate_of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleInput {
    embedding: Vec<f32>,
    quality: Option<u8>,
}

impl QuestionInput {
    /// The samples.
    ///
    /// # Errors
    /// What is wrong, in words, when there are none or they are given in both ways.
    pub fn take_samples(&mut self) -> Result<Vec<pb::Sample>, String> {
        let several = std::mem::take(&mut self.samples);
        match (self.embedding.take(), several.is_empty()) {
            (Some(embedding), true) => Ok(vec![sample(embedding, self.quality)]),
            (None, false) if self.quality.is_none() => {
                Ok(several.into_iter().map(|it| sample(it.embedding, it.quality)).collect())
            }
            _ => Err("give either `embedding`, with `quality` if it is known, or `samples`".to_owned()),
        }
    }
}

/// A sample as it is sent.
#[must_use]
pub fn sample(values: Vec<f32>, quality: Option<u8>) -> pb::Sample {
    pb::Sample {
        quality: quality.map(u32::from),
        form: Some(pb::sample::Form::Embedding(pb::Embedding { values })),
    }
}

/// A sample as the service receives it; nothing for one without a form, or with a quality that is none.
#[must_use]
pub fn as_received(sent: &pb::Sample) -> Option<Sample> {
    let Some(pb::sample::Form::Embedding(embedding)) = &sent.form else { return None };
    let quality = match sent.quality {
        None => Quality::Unknown,
        Some(score) => Quality::Score(QualityScore::new(score).ok()?),
    };
    Some(Sample::embedding(embedding.values.clone(), quality))
}

/// The embedding that `FILE.npy` or `FILE.npy:ROW` names; rows count from 0. A file of one dimension holds one.
///
/// # Errors
/// [`CliError`] when the file can't be read, is no such array, or has no such row.
pub fn read_embedding(text: &str) -> Result<Vec<f32>, CliError> {
    let (path, row) = split_row(text);
    let path = Path::new(path);
    let file = File::open(path).map_err(|source| CliError::read(path, source))?;
    array_embedding(BufReader::new(file), row).map_err(|error| {
        let said = format!("`{}` {error}", path.display());
        match error {
            ArrayError::Unreadable(source) => CliError::because(said, source),
            ArrayError::Refused(_) | ArrayError::Form(_) => CliError::Found(said),
            ArrayError::NoRow { .. } => CliError::Usage(said),
        }
    })
}

/// The question in a JSON file.
///
/// # Errors
/// [`CliError`] when it can't be read or is not in its form.
pub fn read_json(path: &Path) -> Result<QuestionInput, CliError> {
    let text = super::files::read(path)?;
    serde_json::from_slice(&text)
        .map_err(|error| CliError::because(format!("`{}` is not a question", path.display()), error))
}

/// The questions of a JSON Lines file, each with its line from 1.
///
/// # Errors
/// [`CliError::Read`] when the file can't be opened.
pub fn read_json_lines(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(u64, QuestionInput), CliError>>, CliError> {
    let file = File::open(path).map_err(|source| CliError::read(path, source))?;
    let path = path.to_owned();
    let lines = BufReader::new(file).lines().zip(1_u64..);
    Ok(lines.filter(|(text, _)| !text.as_ref().is_ok_and(|text| text.trim().is_empty())).map(
        move |(text, line)| {
            let text = text.map_err(|source| CliError::read(&path, source))?;
            let question = serde_json::from_str(&text).map_err(|error| {
                CliError::because(format!("line {line} of `{}` is not a question", path.display()), error)
            })?;
            Ok((line, question))
        },
    ))
}

/// A file name with a colon and a row behind it, unless a file has that whole name.
fn split_row(text: &str) -> (&str, u64) {
    match text.rsplit_once(':').and_then(|(path, row)| Some((path, row.parse().ok()?))) {
        Some(parts) if !Path::new(text).exists() => parts,
        _ => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;

    use super::*;

    #[test]
    fn a_row_of_a_file_is_named_behind_a_colon_and_a_file_that_is_so_named_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probes.npy");
        let save = |path: &Path, values: &[f32]| {
            let mut bytes = Vec::new();
            let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 2]);
            let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
            writer.extend(values).unwrap();
            writer.finish().unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        save(&path, &[0.0, 1.0, 2.0, 3.0]);
        let name = path.to_str().unwrap();
        assert_eq!(read_embedding(name).unwrap(), [0.0, 1.0]);
        assert_eq!(read_embedding(&format!("{name}:1")).unwrap(), [2.0, 3.0]);
        assert!(matches!(read_embedding(&format!("{name}:2")), Err(CliError::Usage(_))));
        save(&folder.path().join("probes.npy:1"), &[8.0, 9.0, 0.0, 0.0]);
        assert_eq!(read_embedding(&format!("{name}:1")).unwrap(), [8.0, 9.0]);
    }

    #[test]
    fn questions_have_one_form_or_the_other() {
        let samples = |text: &str| {
            serde_json::from_str::<QuestionInput>(text).unwrap().take_samples().map(|samples| samples.len())
        };
        assert_eq!(samples(r#"{"embedding": [1, 0], "quality": 80}"#), Ok(1));
        assert_eq!(samples(r#"{"samples": [{"embedding": [1]}, {"embedding": [2], "quality": 3}]}"#), Ok(2));
        assert!(samples(r#"{"embedding": [1], "samples": [{"embedding": [1]}]}"#).is_err());
        assert!(samples(r#"{"probe": "p"}"#).is_err());
        assert!(serde_json::from_str::<QuestionInput>(r#"{"embeding": [1]}"#).is_err());
    }
}
