//! The folder of the demonstration: everything in it may be thrown away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::fault::CliError;
use crate::cli::files;

/// The folder, with the places in it.
#[derive(Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Takes a folder that is not there, is empty, or was left by an earlier demonstration, and empties it.
    ///
    /// # Errors
    /// [`CliError`] when it holds anything else, or the server of an earlier demonstration still runs from it.
    pub(super) fn fresh(path: &Path) -> Result<Self, CliError> {
        let folder = Self(path.to_owned());
        let marker = path.join(MARKER);
        match fs::read_dir(path).map(Iterator::count) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CliError::read(path, error)),
            Ok(0) => {}
            Ok(_) if is_file(&marker) => {
                folder.check_no_server()?;
                fs::remove_dir_all(path).map_err(|source| CliError::write(path, source))?;
            }
            Ok(_) => {
                return Err(CliError::Found(format!(
                    "`{}` holds something else than a demonstration and is left alone; name another one by `--folder`",
                    path.display()
                )));
            }
        }
        files::folder(path)?;
        files::write_new(&marker, MARKER_TEXT.as_bytes())?;
        for inner in [folder.partner(), folder.acting()] {
            files::folder(&inner)?;
        }
        Ok(folder)
    }

    /// The folder itself.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What the holder keeps: configuration, store, keys, and the certificates of everybody who acts.
    pub(super) fn holder(&self) -> PathBuf {
        self.0.join("holder")
    }

    /// The configuration of the server.
    pub(super) fn config(&self) -> PathBuf {
        self.holder().join("onebit.toml")
    }

    /// The people who don't exist.
    pub(super) fn people(&self) -> PathBuf {
        self.0.join("people")
    }

    /// What the partner keeps: its key, samples, receipts and releases.
    pub(super) fn partner(&self) -> PathBuf {
        self.0.join("partner")
    }

    /// The secret key that opens what is released to the partner.
    pub(super) fn release_key(&self) -> PathBuf {
        self.partner().join("release.key")
    }

    /// What a shell needs to act as somebody.
    pub(super) fn acting(&self) -> PathBuf {
        self.0.join("as")
    }

    /// What the server says.
    pub(super) fn server_log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// The process id of the server while it runs.
    pub(super) fn server_pid(&self) -> PathBuf {
        self.0.join("server.pid")
    }

    /// Who deletes the store under a running server gets errors that nobody understands.
    fn check_no_server(&self) -> Result<(), CliError> {
        let Ok(pid) = fs::read_to_string(self.server_pid()) else { return Ok(()) };
        let pid = pid.trim();
        // Linux alone tells what a process was started with; elsewhere the folder is taken as it is.
        let started_with = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let config = self.config();
        let is_ours =
            started_with.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_encoded_bytes());
        if pid.bytes().all(|byte| byte.is_ascii_digit()) && is_ours {
            return Err(CliError::Found(format!(
                "the server of an earlier demonstration still runs from `{}`; stop it with `kill {pid}`",
                self.0.display()
            )));
        }
        Ok(())
    }
}

/// Whether there is a file, and no link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

const MARKER: &str = ".onebit-demo";
const MARKER_TEXT: &str =
    "`onebit demo` made this folder, and deletes it with all that is in it when it runs again.\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_folder_is_emptied_and_no_other_is_touched() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("demo");
        let folder = Folder::fresh(&path).unwrap();
        fs::write(folder.partner().join("old"), "x").unwrap();
        let folder = Folder::fresh(&path).unwrap();
        assert!(folder.partner().is_dir() && !folder.partner().join("old").exists());

        let theirs = outer.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("thesis.txt"), "x").unwrap();
        let error = Folder::fresh(&theirs).err().unwrap().to_string();
        assert!(error.contains("is left alone"), "{error}");
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1, "nothing may be written to a folder of others");
        fs::create_dir(theirs.join(MARKER)).unwrap();
        assert!(Folder::fresh(&theirs).is_err(), "a folder by the marker's name is no marker");
    }

    #[test]
    fn a_process_that_is_not_the_server_stops_nothing() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("demo");
        let folder = Folder::fresh(&path).unwrap();
        fs::write(folder.server_pid(), std::process::id().to_string()).unwrap();
        assert!(
            Folder::fresh(&path).is_ok(),
            "this process has no configuration of the demonstration in its arguments"
        );
    }
}
