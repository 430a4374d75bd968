//! The folder of a witness: its key, and for each log the checkpoint that it cosigned last.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key::{KeyError, SigningKey};
use crate::ids::Digest;

/// A folder that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder that does not let itself be used.
    #[error("`{path}` can't be used; check that it is there and whose it is")]
    Use {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The key of a witness that is there already.
    #[error("there is a witness in `{0}` already; a new one needs a folder of its own")]
    Taken(PathBuf),
    /// A key that others may read.
    #[error("`{0}` is open to other users of this machine; take that away with `chmod 600`")]
    Open(PathBuf),
    /// The key.
    #[error("`{path}` holds no key")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Another witness on the same folder.
    #[error("another witness runs on `{0}`; stop it first, one folder has one witness")]
    InUse(PathBuf),
}

/// The folder of a witness, which is this process's alone.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a folder for a new witness.
    ///
    /// # Errors
    /// [`FolderError::Taken`] when there is a witness, [`FolderError::Use`] when it can't be written.
    pub fn create(path: &Path, key: &SigningKey) -> Result<(), FolderError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path.join(LOGS));
        made.map_err(using(path))?;
        let file = path.join(KEY);
        let written = OpenOptions::new().write(true).create_new(true).mode(KEY_MODE).open(&file);
        let mut written = written.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => FolderError::Taken(path.to_owned()),
            _ => FolderError::Use { path: file.clone(), source },
        })?;
        let done = written.write_all(key.to_text().as_bytes()).and_then(|()| written.sync_all());
        done.and_then(|()| sync_folder(path)).map_err(using(&file))
    }

    /// Takes hold of a folder and reads its key.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<(Self, SigningKey), FolderError> {
        let file = path.join(KEY);
        let mode = fs::metadata(&file).map_err(using(&file))?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(FolderError::Open(file));
        }
        let text = Zeroizing::new(fs::read_to_string(&file).map_err(using(&file))?);
        let key = SigningKey::parse(&text).map_err(|source| FolderError::Key { path: file, source })?;
        // A key whose records are gone could cosign what contradicts them.
        let logs = path.join(LOGS);
        fs::metadata(&logs).map_err(using(&logs))?;
        let lock = File::create(path.join(LOCK)).map_err(using(path))?;
        match lock.try_lock() {
            Ok(()) => Ok((Self { path: path.to_owned(), _lock: lock }, key)),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(FolderError::Use { path: path.to_owned(), source }),
        }
    }

    /// What was recorded of a log last; `None` for one that was never seen.
    ///
    /// # Errors
    /// [`FolderError::Use`].
    pub fn record_read(&self, origin: &str) -> Result<Option<String>, FolderError> {
        let path = self.record(origin);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Use { path, source }),
        }
    }

    /// Replaces what is recorded of a log. It is durable when this returns, and never half written.
    ///
    /// # Errors
    /// [`FolderError::Use`]; nobody knows then which of the two the disk holds.
    pub fn record_write(&self, origin: &str, note: &str) -> Result<(), FolderError> {
        self.write(&self.record(origin), note)
    }

    /// Keeps the first checkpoint of a log that contradicts what was recorded, beside the record.
    ///
    /// # Errors
    /// [`FolderError::Use`].
    pub fn fork_keep(&self, origin: &str, note: &str) -> Result<(), FolderError> {
        let path = self.record(origin).with_extension(FORK);
        if path.exists() { Ok(()) } else { self.write(&path, note) }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), FolderError> {
        let fresh = path.with_extension(NEW);
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&fresh);
        let written = written.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, path)?;
            sync_folder(&self.path.join(LOGS))
        });
        written.map_err(using(path))
    }

    /// An origin may hold anything, so files are named after its hash.
    fn record(&self, origin: &str) -> PathBuf {
        let name = Digest::sha256(origin.as_bytes()).to_string();
        self.path.join(LOGS).join(name).with_extension(CHECKPOINT)
    }
}

/// A name in a folder lasts only after the folder itself was synchronised.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn using(path: &Path) -> impl Fn(io::Error) -> FolderError + '_ {
    |source| FolderError::Use { path: path.to_owned(), source }
}

const KEY: &str = "key";
const LOGS: &str = "logs";
const LOCK: &str = "lock";
const CHECKPOINT: &str = "checkpoint";
const NEW: &str = "new";
const FORK: &str = "fork";
const KEY_MODE: u32 = 0o600;
const FILE_MODE: u32 = 0o644;
/// Reading, writing and running by anybody but the owner.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    fn made(path: &Path) -> SigningKey {
        let key = SigningKey::new("w", &SystemEntropy::new()).unwrap();
        Folder::create(path, &key).unwrap();
        key
    }

    #[test]
    fn a_folder_has_one_key_that_nobody_else_reads_and_one_witness() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        let key = made(&path);
        let file = path.join("key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Folder::create(&path, &key), Err(FolderError::Taken(_))));
        let (folder, again) = Folder::open(&path).unwrap();
        assert_eq!(again.public(), key.public());
        assert!(matches!(Folder::open(&path), Err(FolderError::InUse(_))));
        drop(folder);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Folder::open(&path), Err(FolderError::Open(_))));
    }

    #[test]
    fn records_are_replaced_whole_and_the_first_fork_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let _key = made(dir.path());
        let (folder, _) = Folder::open(dir.path()).unwrap();
        let origin = "../../etc/passwd";
        assert_eq!(folder.record_read(origin).unwrap(), None);
        for text in ["one", "two"] {
            folder.record_write(origin, text).unwrap();
            folder.fork_keep(origin, text).unwrap();
        }
        assert_eq!(folder.record_read(origin).unwrap().as_deref(), Some("two"));
        let kept = fs::read_to_string(folder.record(origin).with_extension("fork")).unwrap();
        assert_eq!(kept, "one");
        assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 2, "nothing else may be left");
    }

    #[test]
    fn a_key_without_its_records_does_not_start() {
        let dir = tempfile::tempdir().unwrap();
        let _key = made(dir.path());
        fs::remove_dir(dir.path().join("logs")).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(FolderError::Use { .. })));
    }
}
