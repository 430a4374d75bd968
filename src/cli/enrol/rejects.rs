//! The rejects file of a batch, over all its runs.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::Deserialize;

use super::EnrolArgs;
use super::batch::beside;
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::cli::formats::Reject;
use crate::cli::formats::rejects::RejectsWriter;

/// The rejects file. It is made with the first reject; a run that goes on appends what is not in it yet.
pub(super) struct Rejects {
    path: PathBuf,
    /// Lines and reasons that stand in it.
    known: HashSet<(u64, String)>,
    writer: Option<RejectsWriter<BufWriter<File>>>,
    fresh: bool,
}

#[derive(Deserialize)]
struct Known {
    line: u64,
    reason: String,
}

impl Rejects {
    /// Takes up the file, or none; a new batch replaces it.
    pub(super) fn open(args: &EnrolArgs, done_before: u64) -> Result<Self, CliError> {
        let path = match &args.rejects {
            Some(path) => path.clone(),
            None => beside(args, ".rejects.jsonl")?,
        };
        let fresh = done_before == 0;
        let known = if fresh || !path.exists() {
            HashSet::new()
        } else {
            let text = files::read_text(&path)?;
            let known = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            known.map(|Known { line, reason }| (line, reason)).collect()
        };
        Ok(Self { path, known, writer: None, fresh })
    }

    /// Appends a reject, unless it stands there already.
    pub(super) fn write(&mut self, reject: &Reject) -> Result<(), CliError> {
        if self.known.remove(&(reject.line, reject.reason.clone())) {
            return Ok(());
        }
        let failed = |source| CliError::write(&self.path, source);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                // Source ids stand in it: it is nobody else's to read.
                let mut options = OpenOptions::new();
                options.create(true).write(true).truncate(self.fresh).append(!self.fresh).mode(0o600);
                let file = options.open(&self.path).map_err(failed)?;
                self.writer.insert(RejectsWriter::new(BufWriter::new(file)))
            }
        };
        writer.write(reject).map_err(failed)
    }

    /// Writes all out; the path, if anything stands in it.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, CliError> {
        match self.writer {
            Some(writer) => {
                writer.finish().map_err(|source| CliError::write(&self.path, source))?;
                Ok(Some(self.path))
            }
            None if self.path.exists() && !self.fresh => Ok(Some(self.path)),
            None => Ok(None),
        }
    }
}
