//! The sealed file of a backup, byte by byte.
//!
//! | part | bytes |
//! | --- | --- |
//! | form | 16, in the clear |
//! | id | 16, in the clear: which key opens the rest |
//! | parts, sealed | a mebibyte of the database each, the last one the rest |
//!
//! Each part is bound to the backup, to its number and to whether it is the last, so that none is missing, doubled
//! or another backup's.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::digest::{Context as Hashing, SHA256};
use zeroize::Zeroizing;

use crate::audit::backup::BackupId;
use crate::ids::Digest;
use crate::keys::{DataKey, Place, SEAL_OVERHEAD_BYTES};
use crate::secret::Entropy;
use crate::store::{BackupError, StoreError};

use super::super::{sealed, shown};

/// Seals a file; gives the bytes of the sealed one and their SHA-256. Durable when it returns, but for its name.
pub(super) fn seal_file(
    from: &Path,
    to: &Path,
    (id, key): (&BackupId, &DataKey),
    entropy: &dyn Entropy,
) -> Result<(u64, Digest), StoreError> {
    let failed = |path: &Path| {
        let path = shown(path);
        move |source| StoreError::File { path: path.clone(), source }
    };
    let mut plain = File::open(from).map_err(failed(from))?;
    let length = plain.metadata().map_err(failed(from))?.len();
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed(to))?;
    let mut out = Hashed { out: BufWriter::new(out), hash: Hashing::new(&SHA256), bytes: 0 };
    out.write(&FORM).and_then(|()| out.write(id)).map_err(failed(to))?;
    let mut buffer = Zeroizing::new(vec![0; PART_BYTES]);
    let mut left = length;
    for number in 0_u64.. {
        let part = usize::try_from(left).map_or(PART_BYTES, |left| left.min(PART_BYTES));
        let Some(buffer) = buffer.get_mut(..part) else { break };
        plain.read_exact(buffer).map_err(failed(from))?;
        left = left.saturating_sub(u64::try_from(part).unwrap_or(u64::MAX));
        let row = part_row(id, number, left == 0);
        let bytes = sealed("sealing a backup", key.sealing().seal(part_place(&row), buffer, entropy))?;
        out.write(&bytes).map_err(failed(to))?;
        if left == 0 {
            break;
        }
    }
    out.finish().map_err(failed(to))
}

/// Opens a sealed file that has these bytes; the opened one is durable when it returns, but for its name.
///
/// # Errors
/// [`BackupError::Damaged`] when it is not the file that was written.
pub(super) fn open_file(
    from: &Path,
    to: &Path,
    (id, key): (&BackupId, &DataKey),
    bytes: u64,
) -> Result<(), BackupError> {
    let unread = |source| BackupError::Read { path: shown(from), source };
    let unwritten = |source| StoreError::File { path: shown(to), source };
    let mut file = File::open(from).map_err(unread)?;
    let found = file.metadata().map_err(unread)?.len();
    let mut head = [0; FORM.len() + size_of::<BackupId>()];
    if found != bytes || file.read_exact(&mut head).is_err() || head != *[FORM, *id].as_flattened() {
        return Err(BackupError::Damaged);
    }
    let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(unwritten)?;
    let mut out = BufWriter::new(out);
    let mut left = bytes.saturating_sub(u64::try_from(head.len()).unwrap_or(u64::MAX));
    let mut buffer = vec![0; SEALED_PART_BYTES];
    for number in 0_u64.. {
        let part = usize::try_from(left).map_or(SEALED_PART_BYTES, |left| left.min(SEALED_PART_BYTES));
        let Some(buffer) = buffer.get_mut(..part) else { break };
        file.read_exact(buffer).map_err(unread)?;
        left = left.saturating_sub(u64::try_from(part).unwrap_or(u64::MAX));
        let row = part_row(id, number, left == 0);
        let plain = key.sealing().open(part_place(&row), buffer).map_err(|_| BackupError::Damaged)?;
        out.write_all(plain.expose()).map_err(unwritten)?;
        if left == 0 {
            break;
        }
    }
    let out = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
    Ok(out.sync_all().map_err(unwritten)?)
}

/// The bytes of a file and their SHA-256.
pub(super) fn hash_file(path: &Path) -> io::Result<(u64, Digest)> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer, mut bytes) = (Hashing::new(&SHA256), vec![0; PART_BYTES], 0_u64);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok((bytes, digest(hash)));
        };
        hash.update(part);
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// What is written, counted and hashed.
struct Hashed {
    out: BufWriter<File>,
    hash: Hashing,
    bytes: u64,
}

impl Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.out.write_all(bytes)
    }

    fn finish(self) -> io::Result<(u64, Digest)> {
        self.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((self.bytes, digest(self.hash)))
    }
}

fn digest(hash: Hashing) -> Digest {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    Digest::from_bytes(out)
}

fn part_row(id: &BackupId, number: u64, is_last: bool) -> [u8; 25] {
    let mut row = [u8::from(is_last); 25];
    for (to, from) in row.iter_mut().zip(id.iter().chain(&number.to_be_bytes())) {
        *to = *from;
    }
    row
}

const fn part_place(row: &[u8; 25]) -> Place<'_> {
    Place { table: "backup", row, column: "part", version: 1 }
}

const FORM: [u8; 16] = *b"onebit-backup/1\n";
/// Large enough that sealing is as fast as it gets, small enough for any machine.
const PART_BYTES: usize = 1 << 20;
const SEALED_PART_BYTES: usize = PART_BYTES + SEAL_OVERHEAD_BYTES;
