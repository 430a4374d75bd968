//! The files that people are enrolled from.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::EnrolArgs;
use super::people::{People, Records};
use crate::cli::fault::CliError;
use crate::cli::formats::{FormatError, Row, TemplateRow, ark, jsonl, npy};

/// Rows of templates, whatever their format.
pub(super) type Rows = Box<dyn Iterator<Item = Row<TemplateRow>> + Send>;

/// The input, opened.
pub(super) struct Opened {
    /// The people in it.
    pub people: People<Rows>,
    /// The size of the file of templates.
    pub bytes: u64,
    /// How much of it was read.
    pub position: Arc<AtomicU64>,
}

/// Opens the templates, and reads all records.
pub(super) fn open(args: &EnrolArgs) -> Result<Opened, CliError> {
    let records = match &args.records {
        Some(path) => {
            let rows = jsonl::records(BufReader::new(open_file(path)?));
            Records::read(rows).map_err(|error| damaged(path, error))?
        }
        None => Records::default(),
    };
    let position = Arc::new(AtomicU64::new(0));
    let counted = |path: &Path| -> Result<(Counted<File>, u64), CliError> {
        let file = open_file(path)?;
        let bytes = file.metadata().map_err(|source| CliError::read(path, source))?.len();
        Ok((Counted { file, position: Arc::clone(&position) }, bytes))
    };
    let (rows, bytes): (Rows, u64) = match (&args.npy, &args.manifest, &args.templates, &args.ark) {
        (Some(path), Some(manifest), ..) => {
            let (file, bytes) = counted(path)?;
            let manifest = BufReader::new(open_file(manifest)?);
            let rows = npy::templates(file, manifest).map_err(|error| damaged(path, error))?;
            (Box::new(rows), bytes)
        }
        (_, _, Some(path), _) => {
            let (file, bytes) = counted(path)?;
            (Box::new(jsonl::templates(BufReader::new(file))), bytes)
        }
        (.., Some(path)) => {
            let (file, bytes) = counted(path)?;
            (Box::new(ark::templates(BufReader::new(file))), bytes)
        }
        _ => return Err(CliError::Usage("give --npy with --manifest, --templates or --ark".to_owned())),
    };
    Ok(Opened { people: People::new(rows, records, args.source_id_separator), bytes, position })
}

fn open_file(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|source| CliError::read(path, source))
}

fn damaged(path: &Path, error: FormatError) -> CliError {
    CliError::because(format!("`{}` can't be read", path.display()), error)
}

/// A file that counts what was read of it.
struct Counted<R> {
    file: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}
