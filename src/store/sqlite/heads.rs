//! The second place: the newest signed checkpoint of each journal, in a file outside the database and its backups.
//!
//! A database that was rolled back looks whole by itself. What was signed before says otherwise: each batch writes
//! its checkpoints here after the commit and before any answer, and a start compares both before it signs anything.
//!
//! The file has two halves of fixed size that are written in turn, so that a write never touches what the newest
//! heads rest on: whoever begins a half writes all heads there first. What a power cut tore is told by its digest,
//! and was never answered for.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use crate::store::StoreError;

/// The file of heads.
pub(super) struct Heads {
    file: File,
    path: PathBuf,
    /// The newest head of each origin.
    newest: BTreeMap<String, Head>,
    /// Where the next record goes.
    half: Half,
    end: usize,
}

/// A head as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    First,
    Second,
}

impl Half {
    const fn start(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => HALF_BYTES,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl Heads {
    /// Opens the heads in `folder`; `None` when there are none.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(HEADS_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => {
                let newest = parse(&bytes).ok_or(StoreError::Damaged { what: "the file of heads" })?;
                Self::write_new(folder, newest).map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path: super::shown(&path), source }),
        }
    }

    /// Makes a file of heads without any.
    pub(super) fn create(folder: &Path) -> Result<Self, StoreError> {
        super::private_folder(folder)?;
        Self::write_new(folder, BTreeMap::new())
    }

    /// Heads that can't be written.
    #[cfg(test)]
    pub(super) fn on_a_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        Self { file, path, newest: BTreeMap::new(), half: Half::First, end: 0 }
    }

    /// The newest heads, by origin.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&str, &Head)> {
        self.newest.iter().map(|(origin, head)| (origin.as_str(), head))
    }

    /// Keeps newer heads; they are durable when this returns.
    pub(super) fn put(&mut self, heads: impl IntoIterator<Item = (String, Head)>) -> Result<(), StoreError> {
        let heads: Vec<_> = heads.into_iter().collect();
        if heads.is_empty() {
            return Ok(());
        }
        let mut bytes = records(heads.iter().map(|(origin, head)| (origin, head)));
        self.newest.extend(heads);
        if self.end + bytes.len() > HALF_BYTES {
            bytes = records(&self.newest);
            (self.half, self.end) = (self.half.other(), 0);
            if bytes.len() > HALF_BYTES {
                return Err(StoreError::Damaged {
                    what: "the file of heads, which is too small for so many journals",
                });
            }
        }
        let place = u64::try_from(HEADER.len() + self.half.start() + self.end).unwrap_or(u64::MAX);
        let written = self.file.write_all_at(&bytes, place).and_then(|()| self.file.sync_data());
        written.map_err(|source| StoreError::File { path: super::shown(&self.path), source })?;
        self.end += bytes.len();
        Ok(())
    }

    /// Forgets an origin that is never signed again.
    pub(super) fn retire(&mut self, folder: &Path, origin: &str) -> Result<(), StoreError> {
        let mut newest = std::mem::take(&mut self.newest);
        newest.remove(origin);
        *self = Self::write_new(folder, newest)?;
        Ok(())
    }

    /// Puts a fresh file in the place of the old one, whole or not at all.
    fn write_new(folder: &Path, newest: BTreeMap<String, Head>) -> Result<Self, StoreError> {
        let path = folder.join(HEADS_FILE);
        let first = records(&newest);
        let written = write_durably(folder, &path, &first);
        let file = written.map_err(|source| StoreError::File { path: super::shown(&path), source })?;
        Ok(Self { file, path, newest, half: Half::First, end: first.len() })
    }
}

fn write_durably(folder: &Path, path: &Path, first: &[u8]) -> io::Result<File> {
    let fresh = folder.join(FRESH_FILE);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(first);
    // Zeros are written, not left out: later writes then change no metadata, and are quick to make durable.
    bytes.resize(HEADER.len() + 2 * HALF_BYTES, 0);
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn records<'a>(heads: impl IntoIterator<Item = (&'a String, &'a Head)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (origin, head) in heads {
        let mut body = head.size.to_be_bytes().to_vec();
        body.extend_from_slice(origin.as_bytes());
        body.push(b'\n');
        body.extend_from_slice(head.note.as_bytes());
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(digest(&SHA256, &body).as_ref());
        bytes.extend_from_slice(&body);
    }
    bytes
}

/// The newest heads of both halves; `None` for what is no file of heads.
fn parse(bytes: &[u8]) -> Option<BTreeMap<String, Head>> {
    let halves = bytes.strip_prefix(HEADER.as_slice())?;
    let mut newest: BTreeMap<String, Head> = BTreeMap::new();
    for half in halves.chunks(HALF_BYTES) {
        let mut rest = half;
        while let Some((origin, head, after)) = record(rest) {
            let is_newer = newest.get(&origin).is_none_or(|known| known.size < head.size);
            if is_newer {
                newest.insert(origin, head);
            }
            rest = after;
        }
    }
    Some(newest)
}

/// The first record, and what follows; `None` at the end and where a write was torn.
fn record(bytes: &[u8]) -> Option<(String, Head, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (told, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    let (body, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if digest(&SHA256, body).as_ref() != told {
        return None;
    }
    let (size, text) = body.split_first_chunk::<8>()?;
    let (origin, note) = std::str::from_utf8(text).ok()?.split_once('\n')?;
    let head = Head { size: u64::from_be_bytes(*size), note: note.to_owned() };
    Some((origin.to_owned(), head, after))
}

/// Where the file lies in its folder.
pub(super) const HEADS_FILE: &str = "heads";
const FRESH_FILE: &str = "heads.new";
const HEADER: [u8; 16] = *b"onebit/heads/v1\n";
const DIGEST_BYTES: usize = 32;
/// Some 3,000 batches before the other half's turn; a thousand journals fit with their heads of 300 bytes.
const HALF_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(size: u64) -> Head {
        Head { size, note: format!("note of {size}\n") }
    }

    fn sizes(heads: &Heads) -> Vec<(String, u64)> {
        heads.newest().map(|(origin, head)| (origin.to_owned(), head.size)).collect()
    }

    #[test]
    fn the_newest_heads_are_found_again_over_many_turns_of_the_halves() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Heads::open(folder.path()).unwrap().is_none());
        let mut heads = Heads::create(folder.path()).unwrap();
        heads.put([("quiet".to_owned(), head(1))]).unwrap();
        for size in 1..=60_000 {
            heads.put([("busy".to_owned(), head(size))]).unwrap();
        }
        let bytes = std::fs::metadata(folder.path().join(HEADS_FILE)).unwrap().len();
        assert_eq!(bytes, 16 + 2 * 1_048_576, "the file should have kept its size");
        let again = Heads::open(folder.path()).unwrap().unwrap();
        assert_eq!(sizes(&again), [("busy".to_owned(), 60_000), ("quiet".to_owned(), 1)]);
    }

    #[test]
    fn a_torn_record_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut heads = Heads::create(folder.path()).unwrap();
        heads.put([("a".to_owned(), head(1))]).unwrap();
        let whole = heads.end;
        heads.put([("a".to_owned(), head(2))]).unwrap();
        for torn in [whole + 1, whole + 10, heads.end - 1] {
            let path = folder.path().join(HEADS_FILE);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[HEADER.len() + torn] ^= 1;
            assert_eq!(parse(&bytes).unwrap().get("a"), Some(&head(1)));
        }
    }

    #[test]
    fn what_is_no_file_of_heads_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(HEADS_FILE), "something else").unwrap();
        assert!(matches!(Heads::open(folder.path()), Err(StoreError::Damaged { .. })));
    }
}
