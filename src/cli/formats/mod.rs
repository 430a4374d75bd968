//! Readers of enrolment input: one file a format, all over `impl Read`, one row at a time, in bounded memory.
//!
//! A bad row does not stop the rest: it comes out as a [`Reject`] with its line and the reason, which
//! [`rejects`] writes to a file. Only a container that is damaged itself ends the reading, as a
//! [`FormatError`] that says where. Numbers are taken as they are: whether they are a template of the
//! collection's scheme (dimension, finite, not zero, norm) is the server's to say.
//!
//! What is not protected here: the input lies in the clear where it came from, so buffers are not wiped; the
//! rows that leave this module wipe their vectors and values.

use std::io;

use zeroize::Zeroizing;

use crate::ids::{FieldName, PurposeName, RestrictionName, SOURCE_ID_MAX_CHARS};

pub mod ark;
pub mod jsonl;
mod lines;
pub mod npy;
pub mod rejects;

/// One row: read, rejected, or the end of a damaged container.
pub type Row<T> = Result<Result<T, Reject>, FormatError>;

/// A template to enrol. It carries biometrics: no `Debug`, and its vector is wiped.
pub struct TemplateRow {
    /// The line or row it came from, from 1.
    pub line: u64,
    /// The source system's id of the person, 1 to 256 characters.
    pub source_id: String,
    /// The components, 1 to 16,384, as they were written; possibly not finite.
    pub embedding: Zeroizing<Vec<f32>>,
    /// The quality of the sample, 0 to 100 (ISO/IEC 29794-1), where it is known.
    pub quality: Option<u8>,
    /// Restrictions to add.
    pub restrictions: Vec<RestrictionName>,
}

/// A record to enrol. It carries personal data: no `Debug`, and its values are wiped.
pub struct RecordRow {
    /// The line it came from, from 1.
    pub line: u64,
    /// The source system's id of the person, 1 to 256 characters.
    pub source_id: String,
    /// The fields, 1 to 64, each once.
    pub fields: Vec<FieldRow>,
    /// Restrictions to add.
    pub restrictions: Vec<RestrictionName>,
}

/// A field of a record.
pub struct FieldRow {
    /// The field.
    pub field: FieldName,
    /// The value, 1 to 4,096 characters.
    pub value: Zeroizing<String>,
    /// The classification, for example `IN-CONFIDENCE`.
    pub classification: String,
    /// Where the value came from.
    pub source: String,
    /// What it may be used for, at least one.
    pub permitted_uses: Vec<PurposeName>,
}

/// A row that was not taken, and why. It never repeats a value of the row, so that a rejects file can be sent
/// around; the source id is what its reader needs to find the row again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The line or row, from 1.
    pub line: u64,
    /// The source system's id of the person, where it could be read.
    pub source_id: Option<String>,
    /// Why, and what to do.
    pub reason: String,
}

/// A container that is damaged or of another kind: nothing after this place can be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The file could not be read on.
    #[error("reading failed at row {row}; check the file and its disk")]
    Read {
        /// The row or line, from 1.
        row: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file has no header of a NumPy array that can be read.
    #[error("this is not a NumPy array: {reason}; write it with `numpy.save`")]
    Header {
        /// What is wrong with it.
        reason: String,
    },
    /// A NumPy array of another kind.
    #[error("the array has {found}; save a two-dimensional float32 or float64 array in C order with at most {max} columns", max = DIMENSION_MAX)]
    Array {
        /// What it has.
        found: String,
    },
    /// An array and a manifest that do not belong together.
    #[error("the array has {rows} rows and its manifest {lines}; write one line a row, in the same order")]
    Count {
        /// Rows of the array.
        rows: u64,
        /// Lines of the manifest, blank ones not counted.
        lines: u64,
    },
    /// The file ends too early.
    #[error("the file ends within row {row}, after byte {byte}; copy it again")]
    Cut {
        /// The row, from 1.
        row: u64,
        /// Where the row begins, from 0.
        byte: u64,
    },
    /// The file goes on after its last row.
    #[error(
        "the file goes on after its last row, {row}, at byte {byte}; its header and its data do not belong together"
    )]
    Longer {
        /// The last row, from 1.
        row: u64,
        /// Where the surplus begins, from 0.
        byte: u64,
    },
    /// A Kaldi archive that can't be followed any further.
    #[error("the archive can't be read at row {row}, byte {byte}: {reason}")]
    Archive {
        /// The row, from 1.
        row: u64,
        /// Where the row begins, from 0.
        byte: u64,
        /// What stands there.
        reason: String,
    },
}

impl Reject {
    fn new(line: u64, source_id: Option<String>, reason: impl Into<String>) -> Self {
        Self { line, source_id, reason: reason.into() }
    }
}

/// What all template formats say of a row beside its vector.
struct About {
    source_id: String,
    quality: Option<u8>,
    restrictions: Vec<RestrictionName>,
}

impl About {
    fn new(source_id: String, quality: Option<u8>, restrictions: &[String]) -> Result<Self, String> {
        checked("source id", &source_id, SOURCE_ID_MAX_CHARS)?;
        if quality.is_some_and(|quality| quality > QUALITY_MAX) {
            return Err(format!(
                "the quality is more than {QUALITY_MAX}; write 0 to {QUALITY_MAX}, or leave it out"
            ));
        }
        Ok(Self { source_id, quality, restrictions: names(restrictions)? })
    }

    fn with(self, line: u64, embedding: Vec<f32>) -> TemplateRow {
        let Self { source_id, quality, restrictions } = self;
        TemplateRow { line, source_id, embedding: Zeroizing::new(embedding), quality, restrictions }
    }
}

/// Parses names, each of which must be there once.
fn names<T: std::str::FromStr<Err = crate::ids::IdError> + PartialEq>(
    texts: &[String],
) -> Result<Vec<T>, String> {
    let mut names = Vec::with_capacity(texts.len());
    for text in texts {
        let name = text.parse().map_err(|error: crate::ids::IdError| error.to_string())?;
        if names.contains(&name) {
            return Err(format!("`{text}` is named twice; name it once"));
        }
        names.push(name);
    }
    Ok(names)
}

/// Text that is there, not endless, and without control characters.
fn checked(what: &str, text: &str, max: usize) -> Result<(), String> {
    if text.trim().is_empty() || text.chars().count() > max || text.contains(char::is_control) {
        Err(format!(
            "the {what} is empty, longer than {max} characters or holds control characters; correct it at the source"
        ))
    } else {
        Ok(())
    }
}

/// Rounds to 32 bits. Infinities and NaN pass, for the server to refuse; a finite number must not become one.
fn narrowed(values: impl Iterator<Item = f64>) -> Result<Vec<f32>, String> {
    values
        .zip(1_u64..)
        .map(|(value, number)| {
            #[expect(
                clippy::as_conversions,
                reason = "rounds to nearest (IEEE 754); there is no other way in core"
            )]
            let narrow = value as f32;
            if value.is_finite() && narrow.is_infinite() {
                Err(format!("component {number} does not fit into 32 bits; write the template as float32"))
            } else {
                Ok(narrow)
            }
        })
        .collect()
}

const QUALITY_MAX: u8 = 100;
/// Four times the widest extractor in use (4,096); bounds what one row can take in memory (128 KiB as float64).
const DIMENSION_MAX: usize = 16_384;
