//! A policy folder as one value: what is loaded, digested, kept in the store and activated.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::ids::Digest;

/// The files of a policy folder by their path in it, `agreements/au-border.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
}

/// A folder or an archive that is not a policy folder.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The folder or a file in it cannot be read.
    #[error("`{path}` cannot be read; check that it is there and readable")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A link, a device, a socket: anything but a file or a folder.
    #[error("`{0}` is neither a file nor a folder; put the file itself there")]
    Kind(PathBuf),
    /// A path with characters that paths here do not have.
    #[error(
        "`{0}` is not a path of a policy folder; use letters, digits, `-`, `_`, `.` and at most {MAX_DEPTH} folders"
    )]
    Path(String),
    /// The same path twice.
    #[error("`{0}` stands there twice; keep one")]
    Twice(String),
    /// A file beyond the limit.
    #[error("`{0}` is larger than {MAX_FILE_BYTES} bytes; split it")]
    FileSize(String),
    /// A folder beyond the limits.
    #[error(
        "the folder has more than {MAX_FILES} files or {MAX_BUNDLE_BYTES} bytes; remove what is no policy"
    )]
    Size,
    /// An archive that was not written by this module.
    #[error("this is not an archive of a policy folder; take it again from where it came")]
    Archive,
}

impl Bundle {
    /// Reads a folder and the folders in it; hidden files are passed over.
    ///
    /// # Errors
    /// [`BundleError`] when something cannot be read, is no plain file, or is beyond the limits.
    pub fn read_folder(folder: &Path) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        read_into(&mut files, folder, "", 0)?;
        Self::from_files(files)
    }

    /// Takes files by their path in the folder.
    ///
    /// # Errors
    /// [`BundleError`] when a path is not in its form or stands twice, or the limits are passed.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, BundleError> {
        let mut kept = BTreeMap::new();
        let mut total_bytes = 0_usize;
        for (path, content) in files {
            if !is_path(&path) {
                return Err(BundleError::Path(path));
            }
            if content.len() > MAX_FILE_BYTES {
                return Err(BundleError::FileSize(path));
            }
            total_bytes = total_bytes.saturating_add(content.len());
            if kept.len() >= MAX_FILES || total_bytes > MAX_BUNDLE_BYTES {
                return Err(BundleError::Size);
            }
            if kept.contains_key(&path) {
                return Err(BundleError::Twice(path));
            }
            kept.insert(path, content);
        }
        Ok(Self { files: kept })
    }

    /// The files in the order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// The content of a file, if it is there.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The one archive of these files.
    ///
    /// Magic, then for each file in the order of paths: length of the path, path, length of the content,
    /// content. Lengths are 32 bits, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut archive = MAGIC.to_vec();
        for (path, content) in &self.files {
            for part in [path.as_bytes(), content] {
                // INVARIANT: `from_files` keeps every path and file far below 2^32 bytes.
                archive.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
                archive.extend_from_slice(part);
            }
        }
        archive
    }

    /// Opens an archive; only bytes that [`Bundle::to_bytes`] would write are accepted.
    ///
    /// # Errors
    /// [`BundleError::Archive`] for anything else, other errors as [`Bundle::from_files`].
    pub fn from_bytes(archive: &[u8]) -> Result<Self, BundleError> {
        let mut rest = archive.strip_prefix(MAGIC).ok_or(BundleError::Archive)?;
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        while !rest.is_empty() {
            let path = take_part(&mut rest)?;
            let content = take_part(&mut rest)?;
            let path = String::from_utf8(path.to_vec()).map_err(|_| BundleError::Archive)?;
            if files.last().is_some_and(|(last, _)| *last >= path) || files.len() >= MAX_FILES {
                return Err(BundleError::Archive);
            }
            files.push((path, content.to_vec()));
        }
        Self::from_files(files)
    }

    /// BLAKE3 of the archive: the name of exactly these rules.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(*blake3::hash(&self.to_bytes()).as_bytes())
    }
}

fn read_into(
    files: &mut Vec<(String, Vec<u8>)>,
    folder: &Path,
    prefix: &str,
    depth: usize,
) -> Result<(), BundleError> {
    if depth > MAX_DEPTH {
        return Err(BundleError::Path(prefix.to_owned()));
    }
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Read { path, source }
    };
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(BundleError::Path(path.display().to_string()));
        };
        if name.starts_with('.') {
            continue;
        }
        let inside = format!("{prefix}{name}");
        // Of the entry itself: a link is a link here, whatever it points to.
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if kind.is_dir() {
            read_into(files, &path, &format!("{inside}/"), depth + 1)?;
        } else if kind.is_file() {
            if files.len() >= MAX_FILES {
                return Err(BundleError::Size);
            }
            let file = fs::File::open(&path).map_err(unreadable(&path))?;
            let mut content = Vec::new();
            file.take(READ_LIMIT_BYTES).read_to_end(&mut content).map_err(unreadable(&path))?;
            files.push((inside, content));
        } else {
            return Err(BundleError::Kind(path));
        }
    }
    Ok(())
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BundleError> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(BundleError::Archive)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BundleError::Archive)?;
    let (part, after) = after.split_at_checked(length).ok_or(BundleError::Archive)?;
    *rest = after;
    Ok(part)
}

/// Relative, without hidden parts, in characters that every file system keeps as they are.
fn is_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    path.len() <= MAX_PATH_BYTES
        && path.split('/').count() <= MAX_DEPTH + 1
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
}

const MAGIC: &[u8] = b"onebit policy 1\n";
/// An agreement is some 4 KiB, a scheme with a dozen test vectors some 50 KiB.
const MAX_FILE_BYTES: usize = 1 << 20;
/// One byte more than a file may have, so that a larger one is noticed.
const READ_LIMIT_BYTES: u64 = (1 << 20) + 1;
/// Some 200 partners with several agreements each.
const MAX_FILES: usize = 1_000;
/// What one row of the store holds without trouble.
const MAX_BUNDLE_BYTES: usize = 16 << 20;
const MAX_PATH_BYTES: usize = 255;
/// Folders within the folder.
const MAX_DEPTH: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle(files: &[(&str, &str)]) -> Bundle {
        Bundle::from_files(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
            .unwrap()
    }

    #[test]
    fn digest_depends_on_paths_and_contents_and_where_they_part() {
        let digest = |files: &[(&str, &str)]| bundle(files).digest();
        let one = digest(&[("a", "xy"), ("b", "")]);
        assert_eq!(one, digest(&[("b", ""), ("a", "xy")]), "order of reading must not matter");
        for other in [
            &[("a", "x"), ("b", "y")][..],
            &[("a", "xy"), ("c", "")],
            &[("a", "xy")],
            &[("ax", "y"), ("b", "")],
        ] {
            assert_ne!(one, digest(other), "{other:?} has the digest of other rules");
        }
    }

    #[test]
    fn folders_are_read_without_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("rules")).unwrap();
        fs::write(folder.path().join("rules/a.cedar"), "x").unwrap();
        fs::write(folder.path().join(".hidden"), "y").unwrap();
        let read = Bundle::read_folder(folder.path()).unwrap();
        assert_eq!(read, bundle(&[("rules/a.cedar", "x")]));
    }

    #[test]
    fn links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("a.toml")).unwrap();
        assert!(matches!(Bundle::read_folder(folder.path()), Err(BundleError::Kind(_))));
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("big.toml"), vec![b' '; MAX_FILE_BYTES + 1]).unwrap();
        assert!(matches!(Bundle::read_folder(folder.path()), Err(BundleError::FileSize(_))));

        let deep = folder.path().join("a/b/c/d");
        fs::remove_file(folder.path().join("big.toml")).unwrap();
        fs::create_dir_all(&deep).unwrap();
        assert!(matches!(Bundle::read_folder(folder.path()), Err(BundleError::Path(_))));

        let many = (0..=MAX_FILES).map(|n| (format!("{n}.toml"), Vec::new()));
        assert!(matches!(Bundle::from_files(many), Err(BundleError::Size)));
        let large = (0..17).map(|n| (format!("{n}.toml"), vec![0; MAX_FILE_BYTES]));
        assert!(matches!(Bundle::from_files(large), Err(BundleError::Size)));
        for path in ["", "/a", "a//b", "../a", "a/.b", "a b", "ā", "a/b/c/d/e"] {
            assert!(
                matches!(Bundle::from_files([(path.to_owned(), Vec::new())]), Err(BundleError::Path(_))),
                "`{path}` should have been refused"
            );
        }
    }

    proptest! {
        #[test]
        fn archives_go_there_and_back(
            files in proptest::collection::btree_map("[a-z]{1,8}(/[a-z]{1,8})?", proptest::collection::vec(any::<u8>(), 0..64), 0..8)
        ) {
            let bundle = Bundle::from_files(files).unwrap();
            let archive = bundle.to_bytes();
            prop_assert_eq!(Bundle::from_bytes(&archive).unwrap(), bundle);
        }

        #[test]
        fn only_canonical_archives_are_opened(tail in proptest::collection::vec(any::<u8>(), 0..64)) {
            let archive = [MAGIC, &tail].concat();
            if let Ok(bundle) = Bundle::from_bytes(&archive) {
                prop_assert_eq!(bundle.to_bytes(), archive);
            }
        }
    }
}
