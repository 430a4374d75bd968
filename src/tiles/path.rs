//! What a request names: a journal, and a file of it.

use crate::audit::tiles::{BundleId, Resource, TileId};
use crate::store::Journal;

/// A file of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// The newest checkpoint.
    Checkpoint,
    /// A tile of the tree.
    Tile(TileId),
    /// An entry bundle.
    Bundle(BundleId),
}

/// Reads the path of a request; nothing for a path that names no file of any journal. Each file has one spelling.
pub(super) fn read(path: &str) -> Option<(Journal, File)> {
    let (journal, file) = path.strip_prefix('/')?.split_once('/')?;
    let journal = Journal::parse(journal).ok()?;
    if file == CHECKPOINT {
        return Some((journal, File::Checkpoint));
    }
    match Resource::parse(file).ok()? {
        Resource::Tile(tile) => Some((journal, File::Tile(tile))),
        Resource::Bundle(bundle) => Some((journal, File::Bundle(bundle))),
        // They are in exports, whose reading is an entry.
        Resource::Openings(_) => None,
    }
}

const CHECKPOINT: &str = "checkpoint";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_journal_and_a_file_of_it() {
        let of = |name: &str| Journal::Partner(name.parse().unwrap());
        let tile = File::Tile(TileId::new(0, 1_234, 5).unwrap());
        let bundle = File::Bundle(BundleId::new(2, 256).unwrap());
        assert_eq!(read("/holder/checkpoint"), Some((Journal::Holder, File::Checkpoint)));
        assert_eq!(read("/au-border/tile/0/x001/234.p/5"), Some((of("au-border"), tile)));
        assert_eq!(read("/au-border/tile/entries/002"), Some((of("au-border"), bundle)));
    }

    #[test]
    fn other_paths_name_nothing() {
        for path in [
            "",
            "/",
            "*",
            "/holder",
            "/holder/",
            "//checkpoint",
            "holder/checkpoint",
            "/holder//checkpoint",
            "/holder/checkpoint/",
            "/holder/Checkpoint",
            "/Holder/checkpoint",
            "/holder%2Fcheckpoint",
            "/./holder/checkpoint",
            "/au-border/../holder/checkpoint",
            "/holder/key",
            "/holder/openings/000",
            "/holder/openings/000.p/1",
            "/holder/tile/0/0",
            "/holder/tile/8/000",
            "/holder/tile/0/000.p/256",
            "/holder/tile/entries/../0/000",
        ] {
            assert_eq!(read(path), None, "`{path}` should name nothing");
        }
    }
}
