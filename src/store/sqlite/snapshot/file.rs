//! One file of search snapshots, byte by byte.
//!
//! | part | bytes |
//! | --- | --- |
//! | form | 16, in the clear |
//! | id | 16, in the clear: which key opens the rest |
//! | length of the head | 4, little-endian |
//! | head, sealed | what the file is bound to |
//! | chunks, sealed | 256 templates each, the last one the rest: slot as 64-bit little-endian, components |
//!
//! Everything is sealed under a key that seals this file alone, and each chunk is bound to its number, so that
//! nothing of one file is taken for another's. A chunk's length follows from the head; behind the last is nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::audit::codec::{RecordReader, RecordWriter};
use crate::ids::{CollectionName, Digest};
use crate::keys::{DataKey, Place, SEAL_OVERHEAD_BYTES};
use crate::secret::Entropy;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;
use crate::store::snapshot::SNAPSHOT_SLOTS;
use crate::template::{Compact, Dimension};

use super::super::keystore::{KeyStore, SnapshotId};
use super::super::sealed;

/// What a file is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The collection, and the generation of the transform that its templates were turned by.
    pub(super) generation: CollectionGeneration,
    /// The components of a template.
    pub(super) dimension: Dimension,
    /// The range of slots.
    pub(super) range: u64,
    /// The number of templates.
    pub(super) count: u64,
    /// Where the store stood: it has been there when the templates were in it.
    pub(super) position: Position,
}

/// A signed checkpoint of the holder's journal, which every enrolment makes grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::sqlite) struct Position {
    /// The journal's origin.
    pub(super) origin: String,
    /// The number of its entries.
    pub(super) size: u64,
    /// SHA-256 of the checkpoint.
    pub(super) note: Digest,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::sqlite) enum Unfit {
    /// The disk, or the right to read.
    #[error("it can't be read")]
    Unreadable(#[from] io::Error),
    /// Another form, or no snapshot at all.
    #[error("its form is not known")]
    Form,
    /// The key store has no key of that id.
    #[error("it has no key here: it is another store's, or was destroyed")]
    NoKey,
    /// It does not open, ends too early or too late, or holds what was never written.
    #[error("it is damaged")]
    Damaged,
    /// It lies under another file's name, or is of a collection as it is not any more.
    #[error("it is not what its name says")]
    Moved,
    /// The store never was where the file says.
    #[error("the store has not been where it was written")]
    Ahead,
    /// The key store failed.
    #[error("the key store failed")]
    Keys(#[source] Box<StoreError>),
}

impl Unfit {
    /// The fixed word for logs and metrics.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Form => "form",
            Self::NoKey => "no-key",
            Self::Damaged => "damaged",
            Self::Moved => "moved",
            Self::Ahead => "ahead",
            Self::Keys(_) => "keys",
        }
    }
}

/// Writes a file that did not exist, and makes its bytes durable. Its name is the caller's to make durable.
pub(super) fn write(
    path: &Path,
    (id, key): (&SnapshotId, &DataKey),
    head: &Head,
    templates: &[(u64, Compact)],
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: path.display().to_string(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut out = BufWriter::new(file);
    let bytes = head_encode(head)?;
    let sealed_head = key.sealing().seal(head_place(id), &bytes, entropy);
    let sealed_head = sealed("sealing a snapshot", sealed_head)?;
    let length = u32::try_from(sealed_head.len()).unwrap_or(u32::MAX).to_le_bytes();
    let parts = [FORM.as_slice(), id, &length, &sealed_head];
    parts.iter().try_for_each(|part| out.write_all(part)).map_err(failed)?;
    let row_bytes = row_bytes(head.dimension);
    let mut plain = Zeroizing::new(Vec::with_capacity(row_bytes.saturating_mul(CHUNK_TEMPLATES)));
    for (number, chunk) in (0_u64..).zip(templates.chunks(CHUNK_TEMPLATES)) {
        plain.clear();
        for (slot, template) in chunk {
            plain.extend_from_slice(&slot.to_le_bytes());
            template.write(&mut plain);
        }
        let row = chunk_row(id, number);
        let chunk = sealed("sealing a snapshot", key.sealing().seal(chunk_place(&row), &plain, entropy))?;
        out.write_all(&chunk).map_err(failed)?;
    }
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// A file whose head is known.
pub(super) struct Opened {
    file: BufReader<File>,
    key: DataKey,
    pub(super) id: SnapshotId,
    pub(super) head: Head,
}

impl Opened {
    /// Opens a file and reads what it is bound to.
    pub(super) fn open(path: &Path, keys: &KeyStore) -> Result<Self, Unfit> {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        let mut form = [0; FORM.len()];
        whole(file.read_exact(&mut form))?;
        if form != FORM {
            return Err(Unfit::Form);
        }
        let (mut id, mut length) = (SnapshotId::default(), [0; 4]);
        whole(file.read_exact(&mut id))?;
        whole(file.read_exact(&mut length))?;
        let key = match keys.snapshot_key(&id) {
            Ok(key) => key.ok_or(Unfit::NoKey)?,
            // A wrapped key that does not open is one that this store did not write.
            Err(StoreError::Sealed { .. }) => return Err(Unfit::NoKey),
            Err(error) => return Err(Unfit::Keys(Box::new(error))),
        };
        let length = u32::from_le_bytes(length);
        if length > HEAD_MAX_BYTES {
            return Err(Unfit::Damaged);
        }
        let mut sealed_head = vec![0; usize::try_from(length).map_err(|_| Unfit::Damaged)?];
        whole(file.read_exact(&mut sealed_head))?;
        let bytes = key.sealing().open(head_place(&id), &sealed_head).map_err(|_| Unfit::Damaged)?;
        let head = head_decode(bytes.expose()).ok_or(Unfit::Damaged)?;
        Ok(Self { file, key, id, head })
    }

    /// The templates with their slots, which ascend and are of the head's range.
    pub(super) fn templates(mut self) -> Result<Vec<(u64, Compact)>, Unfit> {
        let count = usize::try_from(self.head.count).map_err(|_| Unfit::Damaged)?;
        let row_bytes = row_bytes(self.head.dimension);
        let mut templates: Vec<(u64, Compact)> = Vec::with_capacity(count);
        let mut sealed = Vec::new();
        for number in 0_u64.. {
            let left = count.saturating_sub(templates.len());
            if left == 0 {
                break;
            }
            let bytes = left.min(CHUNK_TEMPLATES).saturating_mul(row_bytes);
            sealed.resize(bytes.saturating_add(SEAL_OVERHEAD_BYTES), 0);
            whole(self.file.read_exact(&mut sealed))?;
            let row = chunk_row(&self.id, number);
            let chunk = self.key.sealing().open(chunk_place(&row), &sealed).map_err(|_| Unfit::Damaged)?;
            if chunk.expose().len() != bytes {
                return Err(Unfit::Damaged);
            }
            for row in chunk.expose().chunks_exact(row_bytes) {
                let (slot, row) = row.split_first_chunk::<SLOT_BYTES>().ok_or(Unfit::Damaged)?;
                let slot = u64::from_le_bytes(*slot);
                let follows = templates.last().is_none_or(|(last, _)| *last < slot);
                if !follows || slot.wrapping_div(SNAPSHOT_SLOTS.get()) != self.head.range {
                    return Err(Unfit::Damaged);
                }
                let template = Compact::from_bytes(row, self.head.dimension).map_err(|_| Unfit::Damaged)?;
                templates.push((slot, template));
            }
        }
        if self.file.read(&mut [0])? != 0 {
            return Err(Unfit::Damaged);
        }
        Ok(templates)
    }
}

/// A file that ends too early is damaged, not unreadable.
fn whole(read: io::Result<()>) -> Result<(), Unfit> {
    read.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Unfit::Damaged,
        _ => Unfit::Unreadable(error),
    })
}

fn head_encode(head: &Head) -> Result<Vec<u8>, StoreError> {
    let record = RecordWriter::new(HEAD_DOMAIN)
        .text(1, head.generation.collection.as_str())
        .u64(2, u64::from(head.generation.number))
        .u64(3, u64::from(head.dimension.get()))
        .u64(4, head.range)
        .u64(5, head.count)
        .text(6, &head.position.origin)
        .u64(7, head.position.size)
        .bytes(8, head.position.note.as_bytes());
    record.finish().map_err(|_| StoreError::Damaged { what: "the head of a snapshot" })
}

fn head_decode(bytes: &[u8]) -> Option<Head> {
    let mut record = RecordReader::parse(HEAD_DOMAIN, bytes).ok()?;
    let head = Head {
        generation: CollectionGeneration {
            collection: CollectionName::parse(record.text(1).ok()??).ok()?,
            number: record.u64(2).ok()??.try_into().ok()?,
        },
        dimension: Dimension::new(record.u64(3).ok()??).ok()?,
        range: record.u64(4).ok()??,
        count: record.u64(5).ok()??,
        position: Position {
            origin: record.text(6).ok()??.to_owned(),
            size: record.u64(7).ok()??,
            note: Digest::from_bytes(record.array(8).ok()??),
        },
    };
    record.finish().ok()?;
    (1..=SNAPSHOT_SLOTS.get()).contains(&head.count).then_some(head)
}

const fn head_place(id: &SnapshotId) -> Place<'_> {
    Place { table: "snapshots", row: id, column: "head", version: 1 }
}

const fn chunk_place(row: &[u8]) -> Place<'_> {
    Place { table: "snapshots", row, column: "templates", version: 1 }
}

fn chunk_row(id: &SnapshotId, number: u64) -> Vec<u8> {
    [id.as_slice(), &number.to_be_bytes()].concat()
}

fn row_bytes(dimension: Dimension) -> usize {
    SLOT_BYTES.saturating_add(dimension.len())
}

/// Raise the number whenever what is sealed or how templates are rounded changes: older files are then not used.
pub(super) const FORM: [u8; 16] = *b"onebit-search-01";
const HEAD_DOMAIN: &str = "onebit/snapshot-head/v1";
/// Names, numbers and one digest.
const HEAD_MAX_BYTES: u32 = 4_096;
/// 133 kB at d = 512: what lies opened beside the templates that were made of it.
pub(super) const CHUNK_TEMPLATES: usize = 256;
const BUFFER_BYTES: usize = 256 * 1_024;
const SLOT_BYTES: usize = 8;
