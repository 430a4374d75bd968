//! The file that remembers a batch, so that the same command goes on where it broke off.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::EnrolArgs;
use crate::cli::fault::CliError;
use crate::cli::{files, wire};

/// A batch, as its file remembers it.
pub(super) struct BatchFile {
    path: PathBuf,
    remembered: Remembered,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    request_id: String,
    collection: String,
    official: String,
    source_id_separator: Option<char>,
    inputs: Vec<Input>,
}

/// An input file. Its content is not hashed, which would take as long as reading it: its size and its time of
/// change tell whether it is another one.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    path: PathBuf,
    bytes: u64,
    modified_ms: u128,
}

impl BatchFile {
    /// Takes up the batch in the file, or begins one.
    pub(super) fn open(args: &EnrolArgs) -> Result<Self, CliError> {
        let path = match &args.batch_file {
            Some(path) => path.clone(),
            None => beside(args, ".batch.json")?,
        };
        let fresh = Remembered {
            request_id: wire::request_id(None)?,
            collection: args.collection.clone(),
            official: args.official.clone(),
            source_id_separator: args.source_id_separator,
            inputs: sources(args).map(Input::of).collect::<Result<_, _>>()?,
        };
        if !path.exists() {
            let text = serde_json::to_vec_pretty(&fresh).map_err(|error| CliError::Output(error.into()))?;
            files::write_private(&path, &text)?;
            return Ok(Self { path, remembered: fresh });
        }
        let remembered: Remembered = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|error| CliError::because(format!("`{}` is not a batch file", path.display()), error))?;
        let same = Remembered { request_id: remembered.request_id.clone(), ..fresh } == remembered;
        if same {
            Ok(Self { path, remembered })
        } else {
            Err(CliError::Found(format!(
                "`{}` remembers a batch of other input, collection or official; to begin a new batch, give another \
                 --batch-file",
                path.display()
            )))
        }
    }

    pub(super) fn request_id(&self) -> &str {
        &self.remembered.request_id
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Input {
    fn of(path: &Path) -> Result<Self, CliError> {
        let unreadable = |source| CliError::read(path, source);
        let about = fs::metadata(path).map_err(unreadable)?;
        let modified = about.modified().map_err(unreadable)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { path: path.to_owned(), bytes: about.len(), modified_ms: modified.as_millis() })
    }
}

/// The main input's name with something at its end.
pub(super) fn beside(args: &EnrolArgs, end: &str) -> Result<PathBuf, CliError> {
    let main = args.npy.as_deref().or(args.templates.as_deref()).or(args.ark.as_deref());
    let main = main.ok_or_else(|| CliError::Usage("give --npy, --templates or --ark".to_owned()))?;
    let mut name = main.as_os_str().to_owned();
    name.push(end);
    Ok(name.into())
}

fn sources(args: &EnrolArgs) -> impl Iterator<Item = &Path> {
    [&args.npy, &args.manifest, &args.templates, &args.ark, &args.records]
        .into_iter()
        .filter_map(|it| it.as_deref())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: EnrolArgs,
    }

    fn args(input: &Path, official: &str) -> EnrolArgs {
        let input = input.to_str().unwrap();
        let line = ["enrol", "--collection", "c1", "--official", official, "--templates", input];
        Line::try_parse_from(line).unwrap().args
    }

    #[test]
    fn the_same_command_goes_on_and_another_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("t.jsonl");
        fs::write(&input, "{}\n").unwrap();
        let first = BatchFile::open(&args(&input, "mere")).unwrap();
        let again = BatchFile::open(&args(&input, "mere")).unwrap();
        assert_eq!(first.request_id(), again.request_id());
        assert_eq!(first.path(), folder.path().join("t.jsonl.batch.json"));
        assert!(BatchFile::open(&args(&input, "aroha")).is_err());
        fs::write(&input, "{}\n{}\n").unwrap();
        assert!(BatchFile::open(&args(&input, "mere")).is_err(), "rows would be counted in another file");
    }
}
