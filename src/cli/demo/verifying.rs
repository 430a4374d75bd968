//! The log, verified without the server: whole, and with one bit changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::asking::Asked;
use super::cast::Cast;
use super::folder::Folder;
use super::page;
use super::stage::{Stage, as_text, beside, play_offline, play_other};
use crate::cli::fault::CliError;
use crate::cli::files;

/// Exports the partner's journal and verifies it.
pub(super) fn whole(stage: &Stage, cast: &Cast, folder: &Folder) -> Result<PathBuf, CliError> {
    page::chapter(8, "The log")?;
    page::say(
        "Everything that concerned this partner stands in one journal; the rest stands in the holder's own. A \
         journal is a sequence of entries under one signature: none can be changed, left out or slipped in without \
         breaking it. The privacy officer takes a copy of the partner's.",
    )?;
    let export = folder.path().join("export");
    let out = as_text(export.as_os_str())?;
    stage.play(
        &cast.privacy,
        &["onebit", "audit", "export", "--journal", "au-border", "--reason", "yearly audit", "--out", out],
    )?;
    page::say(
        "Anybody can check the copy, with nothing but these files and the holder's public key: no server, no network, no trust in whoever made it.",
    )?;
    let key = as_text(cast.gateway.log_key.as_os_str())?;
    let verified = play_offline(&["onebit", "audit", "verify", out, "--key", key])?.succeeded()?;
    verified.expect("the journal is whole")?;
    page::took(verified.took)?;
    if let Some(verifier) = beside(VERIFIER) {
        page::say(
            "The same by a second program. It knows the log's formats and nothing else, for those who want to read all \
             of the code that they trust:",
        )?;
        let verified = play_other(&verifier, &[VERIFIER, "journal", out, "--key", key])?.succeeded()?;
        verified.expect("the journal is whole")?;
    }
    Ok(export)
}

/// Changes one bit of the entry of the hit in a copy, and verifies that.
pub(super) fn changed(cast: &Cast, folder: &Folder, export: &Path, asked: &Asked) -> Result<(), CliError> {
    page::chapter(9, "One bit is changed")?;
    let copy = folder.path().join("export-changed");
    copied(export, &copy)?;
    let (file, byte, before, after) = flip(&copy, asked.index)?;
    page::say(&format!(
        "Suppose somebody wanted the HIT never to have been. In a second copy of the journal, one bit of entry {} is \
         changed: byte {byte} of `{}` was {before:08b} and is now {after:08b}.",
        asked.index,
        file.display()
    ))?;
    let key = as_text(cast.gateway.log_key.as_os_str())?;
    let words = ["onebit", "audit", "verify", as_text(copy.as_os_str())?, "--key", key];
    let refused = play_offline(&words)?.refused()?;
    refused.expect(&format!("entry {}", asked.index))?;
    page::found(
        "Refused, and it names the entry. To hide the change somebody would need the holder's signing key, and \
         every receipt and every copy of the log that anybody has ever kept.",
    )
}

/// Changes the lowest bit of the last byte of an entry; where it stands, and the byte before and after.
fn flip(export: &Path, index: u64) -> Result<(PathBuf, usize, u8, u8), CliError> {
    let missing = || CliError::Found(format!("entry {index} is not where an export has it"));
    let bundles =
        fs::read_dir(export.join("tile/entries")).map_err(|source| CliError::read(export, source))?;
    // A journal of fewer than 256 entries has one bundle, whole or in a folder by the number of its entries.
    let mut found = bundles.filter_map(Result::ok).map(|entry| entry.path()).collect::<Vec<_>>();
    found.sort();
    let first = found.into_iter().next().ok_or_else(missing)?;
    let file = match fs::read_dir(&first) {
        Ok(mut inner) => inner.next().and_then(Result::ok).ok_or_else(missing)?.path(),
        Err(_) => first,
    };
    let at = usize::try_from(index + 1).ok().and_then(|entries| (entries * ENTRY_BYTES).checked_sub(1));
    let mut bytes = files::read(&file)?;
    let byte = at.and_then(|at| bytes.get_mut(at)).ok_or_else(missing)?;
    let before = *byte;
    *byte ^= 1;
    let after = *byte;
    fs::write(&file, bytes).map_err(|source| CliError::write(&file, source))?;
    Ok((file, at.unwrap_or_default(), before, after))
}

fn copied(from: &Path, to: &Path) -> Result<(), CliError> {
    files::folder(to)?;
    let failed = |source| CliError::read(from, source);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copied(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(|source| CliError::write(&target, source))?;
        }
    }
    Ok(())
}

const VERIFIER: &str = "onebit-verify";
/// In a bundle each entry of 65 bytes stands behind two of its length (`docs/audit-log.md`).
const ENTRY_BYTES: usize = 67;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_of_one_entry_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let export = folder.path().join("export");
        let bundle = export.join("tile/entries/000.p");
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("3"), [7_u8; 3 * ENTRY_BYTES]).unwrap();
        let copy = folder.path().join("copy");
        copied(&export, &copy).unwrap();
        let (file, at, before, after) = flip(&copy, 1).unwrap();
        assert_eq!((at, before, after), (2 * ENTRY_BYTES - 1, 7, 6));
        assert_eq!(
            fs::read(bundle.join("3")).unwrap(),
            [7; 3 * ENTRY_BYTES],
            "the export itself must stay as it is"
        );
        let changed = fs::read(file).unwrap();
        assert_eq!(changed.iter().filter(|byte| **byte != 7).count(), 1);
        assert!(flip(&copy, 3).is_err());
    }
}
