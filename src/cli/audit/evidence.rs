//! Receipts made of an export, without the server.

use std::collections::{BTreeMap, BTreeSet};

use super::offline::Folder;
use crate::audit::entry::{Entry, Side};
use crate::audit::journal::{CHECKPOINT_PATH, ExportFiles, ExportTiles, parse_openings};
use crate::audit::proof::inclusion_proof;
use crate::audit::receipt::Receipt;
use crate::audit::tiles::{bundles_of, parse_bundle};
use crate::cli::fault::CliError;

/// The receipts of these entries, each with what opens the holder's side, of an export of a journal of `size` entries that
/// was verified.
///
/// # Errors
/// [`CliError`] when a file can't be read, or was changed since.
pub(in crate::cli) fn receipts(
    files: &Folder,
    size: u64,
    wanted: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, String>, CliError> {
    let read = |path: &str| {
        let bytes =
            files.read(path).map_err(|error| CliError::because(format!("`{path}` can't be read"), error))?;
        bytes.ok_or_else(|| changed(path))
    };
    let checkpoint = String::from_utf8(read(CHECKPOINT_PATH)?).map_err(|_| changed(CHECKPOINT_PATH))?;
    let tiles = ExportTiles::new(files, size);
    let mut receipts = BTreeMap::new();
    for bundle in bundles_of(size) {
        let end = bundle.first_entry().saturating_add(bundle.width().into());
        let mut of_bundle = wanted.range(bundle.first_entry()..end).peekable();
        if of_bundle.peek().is_none() {
            continue;
        }
        let (path, openings_path) = (bundle.path(), bundle.openings_path());
        let bytes = read(&path)?;
        let entries = parse_bundle(&bytes, bundle.width()).map_err(|_| changed(&path))?;
        let openings = parse_openings(&read(&openings_path)?, bundle).map_err(|_| changed(&openings_path))?;
        for index in of_bundle {
            let at = usize::try_from(index.saturating_sub(bundle.first_entry())).unwrap_or(usize::MAX);
            let entry =
                entries.get(at).and_then(|bytes| Entry::decode(bytes).ok()).ok_or_else(|| changed(&path))?;
            let opening =
                openings.get(at).and_then(|sides| sides.iter().find(|one| one.side() == Side::Holder));
            let proof = inclusion_proof(&tiles, *index, size)
                .map_err(|error| CliError::because("an entry can't be proven", error))?;
            let receipt = Receipt {
                entry,
                opening: opening.cloned(),
                index: *index,
                proof,
                checkpoint: checkpoint.clone(),
            };
            receipts.insert(*index, receipt.to_text());
        }
    }
    Ok(receipts)
}

fn changed(path: &str) -> CliError {
    CliError::Found(format!("`{path}` of the export is not as it was verified; export the journal again"))
}
