//! Files that subcommands read and write.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::fault::CliError;

/// Reads a file.
///
/// # Errors
/// [`CliError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::read(path, source))
}

/// Reads a file of text.
///
/// # Errors
/// [`CliError::Read`], also when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|source| CliError::read(path, source))
}

/// Reads a file of secret text, which is wiped when dropped.
///
/// # Errors
/// As [`read_text`].
pub fn read_secret(path: &Path) -> Result<Zeroizing<String>, CliError> {
    read_text(path).map(Zeroizing::new)
}

/// Writes a new file that others may read.
///
/// # Errors
/// [`CliError::Write`], also when there is a file already.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), CliError> {
    create(path, content, PUBLIC_MODE).map_err(|source| CliError::write(path, source))
}

/// Writes a new file that nobody but its owner may read.
///
/// # Errors
/// [`CliError::Write`], also when there is a file already.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    create(path, content, PRIVATE_MODE).map_err(|source| CliError::write(path, source))
}

/// Writes a file that only its owner may read, in place of the one that may be there; whoever reads meanwhile
/// sees the one or the other, whole.
///
/// # Errors
/// [`CliError::Write`].
pub fn replace_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = Path::new(&name);
    let written = match fs::remove_file(fresh) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(source),
        _ => create(fresh, content, PRIVATE_MODE).and_then(|()| fs::rename(fresh, path)),
    };
    written.map_err(|source| CliError::write(path, source))
}

/// Makes a folder, with those above it, unless it is there.
///
/// # Errors
/// [`CliError::Write`].
pub fn folder(path: &Path) -> Result<(), CliError> {
    fs::create_dir_all(path).map_err(|source| CliError::write(path, source))
}

fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

const PUBLIC_MODE: u32 = 0o644;
const PRIVATE_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn private_files_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        write_private(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_private(&path, b"two"), Err(CliError::Write { .. })));
        assert!(matches!(write_new(&path, b"two"), Err(CliError::Write { .. })));
        assert_eq!(read(&path).unwrap(), b"one", "the first key must still be there");
        replace_private(&path, b"three").unwrap();
        replace_private(&path, b"four").unwrap();
        assert_eq!(read(&path).unwrap(), b"four");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing may be left beside the file");
    }
}
