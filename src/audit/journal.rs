//! Verification of a whole journal from an export, with nothing but the export and the verifier key.
//!
//! An export is the directory of a C2SP tlog-tiles log with what opens its entries beside it:
//! `docs/audit-log.md` specifies it. Everything is derived again from the entries and compared with what the
//! export says; memory holds one bundle and the right edge of the tree.

mod fault;
mod keys;
mod openings;

use std::collections::BTreeMap;
use std::error::Error;

pub use self::fault::Fault;
pub use self::keys::handover_path;
pub use self::openings::{OpeningsError, encode_openings, parse_openings};
use super::checkpoint::Checkpoint;
use super::entry::{Entry, Side};
use super::event::Event;
use super::handover::KeyChain;
use super::note::VerifierKey;
use super::proof::{MakeError, root};
use super::tiles::{BundleId, Resource, TileId, TileReader, bundles_of, parse_bundle, parse_tile, tile_of};
use super::tree::{Edge, Hash, StoredTile, TILE_HASHES, TILE_HEIGHT, TILE_WIDTH, parents};

/// The files of an export: a directory, an archive, memory.
pub trait ExportFiles {
    /// Why a file could not be read.
    type Error: Error + 'static;

    /// The bytes of the file at `path`, with `/` between its parts; nothing when there is no such file.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Shows `visit` the path of every file, so that those which don't belong to the export are noticed. Who
    /// can't list files shows none.
    ///
    /// # Errors
    /// When the files can't be listed.
    fn paths(&self, visit: &mut dyn FnMut(&str)) -> Result<(), Self::Error>;
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The journal's name, as its key and its checkpoint say it.
    pub origin: String,
    /// Entries in the journal.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Entries of which at least one side was opened.
    pub opened: u64,
    /// The keys that signed it, from the first on.
    pub keys: KeyChain,
}

/// Verifies an export against `key`, the only thing that is trusted: where the journal changed its key, what the
/// hand-overs in the export lead to is trusted on their word, and told in [`Report::keys`]. `progress` is told the number of entries
/// done and of all; `seen` gets every event that an opening shows. What it got holds only if the end is `Ok`.
///
/// Openings that are left out can't be noticed but by their number in the [`Report`]: an export holds them for
/// each bundle or for none.
///
/// # Errors
/// [`Fault`] with the first thing that is wrong.
pub fn verify_export<F: ExportFiles>(
    files: &F,
    key: &VerifierKey,
    progress: &mut dyn FnMut(u64, u64),
    seen: &mut dyn FnMut(u64, Side, &Event),
) -> Result<Report, Fault<F::Error>> {
    let chain = keys::read_chain(files, key)?;
    let Checkpoint { origin, size, root } = keys::read_checkpoint(files, &chain)?;
    check_paths(files, size, &chain)?;
    let tiles = ExportTiles { files, size };
    let mut run = Run {
        tiles,
        chain: &chain,
        root,
        edge: Edge::new(),
        partial: BTreeMap::new(),
        openings: Presence::Unknown,
        opened: 0,
    };
    for bundle in bundles_of(size) {
        run.bundle(bundle, seen)?;
        progress(run.edge.size(), size);
    }
    for tile in run.partial.values() {
        run.compare(tile)?;
    }
    let (derived, opened) = (run.edge.root(), run.opened);
    if derived != root {
        return Err(Fault::Root { derived, signed: root });
    }
    keys::check_roots(&ExportTiles { files, size }, &chain, size)?;
    Ok(Report { origin, size, root, opened, keys: chain })
}

/// Checks that a verified journal begins with what `older` was signed over: that nothing was rewritten since.
///
/// # Errors
/// [`Fault::Rewritten`] when it doesn't, [`Fault::NotOlder`] when the checkpoint is none of its own past.
pub fn verify_growth<F: ExportFiles>(
    files: &F,
    report: &Report,
    older: &Checkpoint,
) -> Result<(), Fault<F::Error>> {
    let Checkpoint { origin, size, root: signed } = older.clone();
    if origin != report.origin || size > report.size {
        return Err(Fault::NotOlder { origin, size });
    }
    let tiles = ExportTiles { files, size: report.size };
    match root(&tiles, size) {
        Ok(found) if found == signed => Ok(()),
        Ok(found) => Err(Fault::Rewritten { size, found, signed }),
        Err(MakeError::Tile { source, .. }) => Err(source),
        Err(MakeError::Narrow { .. } | MakeError::Proof(_)) => Err(Fault::NotOlder { origin, size }),
    }
}

/// The tiles of an export of a journal of `size` entries, for making proofs from it.
pub struct ExportTiles<'a, F> {
    files: &'a F,
    size: u64,
}

impl<'a, F: ExportFiles> ExportTiles<'a, F> {
    /// The tiles in `files`, an export of a journal of `size` entries.
    pub const fn new(files: &'a F, size: u64) -> Self {
        Self { files, size }
    }

    fn whole(&self, tile: TileId) -> Result<Vec<Hash>, Fault<F::Error>> {
        let path = tile.path();
        let bytes = read(self.files, &path)?;
        parse_tile(&bytes, tile.width()).map_err(|source| Fault::TileForm { path, source })
    }
}

impl<F: ExportFiles> TileReader for ExportTiles<'_, F> {
    type Error = Fault<F::Error>;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error> {
        let due = tile_of(level, index, self.size).or_else(|| TileId::new(level, index, width).ok());
        let Some(due) = due else { return Ok(Vec::new()) };
        let mut hashes = self.whole(due)?;
        hashes.truncate(width.into());
        Ok(hashes)
    }
}

/// Whether an export has openings: the first bundle decides for all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Unknown,
    All,
    None,
}

/// A verification on its way through the journal.
struct Run<'a, F> {
    tiles: ExportTiles<'a, F>,
    chain: &'a KeyChain,
    /// The signed root.
    root: Hash,
    edge: Edge,
    /// By level, the tile at the right edge while it is not whole.
    partial: BTreeMap<u8, StoredTile>,
    openings: Presence,
    opened: u64,
}

impl<F: ExportFiles> Run<'_, F> {
    fn bundle(
        &mut self,
        bundle: BundleId,
        seen: &mut dyn FnMut(u64, Side, &Event),
    ) -> Result<(), Fault<F::Error>> {
        let path = bundle.path();
        let bytes = read(self.tiles.files, &path)?;
        let encoded =
            parse_bundle(&bytes, bundle.width()).map_err(|source| Fault::Bundle { path, source })?;
        let mut entries = Vec::with_capacity(encoded.len());
        for (index, bytes) in bundle.entries().zip(encoded) {
            let entry = Entry::decode(bytes).map_err(|source| Fault::Entry { index, source })?;
            keys::check_entry::<F>(self.chain, index, &entry)?;
            self.edge.append(entry.leaf_hash());
            entries.push(entry);
        }
        for tile in self.edge.changed() {
            if tile.hashes.len() == TILE_WIDTH {
                self.partial.remove(&tile.level);
                self.compare(&tile)?;
            } else {
                self.partial.insert(tile.level, tile);
            }
        }
        self.edge.settle();
        // The last bundle's tile is compared before its openings, so that a changed entry is called by its name.
        if let Some(tile) = self.partial.get(&0) {
            self.compare(tile)?;
        }
        self.open(bundle, &entries, seen)
    }

    fn open(
        &mut self,
        bundle: BundleId,
        entries: &[Entry],
        seen: &mut dyn FnMut(u64, Side, &Event),
    ) -> Result<(), Fault<F::Error>> {
        let path = bundle.openings_path();
        let read = self.tiles.files.read(&path);
        let bytes = read.map_err(|source| Fault::Unreadable { path: path.clone(), source })?;
        let found = if bytes.is_some() { Presence::All } else { Presence::None };
        match (self.openings, bytes) {
            (Presence::All, None) => return Err(Fault::Missing { path }),
            (Presence::None, Some(_)) => return Err(Fault::Missing { path: first_openings_path(bundle) }),
            (_, None) => self.openings = found,
            (_, Some(bytes)) => {
                self.openings = found;
                let opened =
                    parse_openings(&bytes, bundle).map_err(|source| Fault::Openings { path, source })?;
                for ((index, entry), openings) in bundle.entries().zip(entries).zip(&opened) {
                    for opening in openings {
                        let side = opening.side();
                        let event =
                            entry.opens(opening).map_err(|source| Fault::Opening { index, side, source })?;
                        keys::check_event::<F>(self.chain, index, &event)?;
                        seen(index, side, &event);
                    }
                    self.opened += u64::from(!openings.is_empty());
                }
            }
        }
        Ok(())
    }

    /// Compares a tile that follows from the entries with the export's; where they differ, finds out which of
    /// the two leads to the signed root.
    fn compare(&self, derived: &StoredTile) -> Result<(), Fault<F::Error>> {
        let StoredTile { level, index, .. } = *derived;
        let Some(id) = tile_of(level, index, self.tiles.size) else { return Ok(()) };
        let given = self.tiles.whole(id)?;
        let Some(hash) = derived.hashes.iter().zip(&given).position(|(derived, given)| derived != given)
        else {
            return Ok(());
        };
        let path = id.path();
        let place = index * TILE_HASHES + u64::try_from(hash).unwrap_or_default();
        let span = 1 << (u32::from(level) * TILE_HEIGHT);
        let (first, last) = (place * span, place * span + (span - 1));
        if self.leads_to_root(derived) {
            Err(Fault::Tile { path, hash })
        } else if self.leads_to_root(&StoredTile { level, index, hashes: given }) {
            Err(Fault::Altered { first, last })
        } else {
            Err(Fault::Contradiction { first, last, path, hash })
        }
    }

    /// Whether the export's other tiles lead from this one to the signed root.
    fn leads_to_root(&self, tile: &StoredTile) -> bool {
        let mut tile = tile.clone();
        while tile.hashes.len() == TILE_WIDTH {
            let Some(head) = head(&tile.hashes) else { return false };
            let (level, index) = (tile.level + 1, tile.index / TILE_HASHES);
            let Some(Ok(hashes)) = tile_of(level, index, self.tiles.size).map(|id| self.tiles.whole(id))
            else {
                return false;
            };
            let place = usize::try_from(tile.index % TILE_HASHES).unwrap_or(usize::MAX);
            if hashes.get(place) != Some(&head) {
                return false;
            }
            tile = StoredTile { level, index, hashes };
        }
        let replaced = Replaced { tiles: &self.tiles, tile: &tile };
        root(&replaced, self.tiles.size).is_ok_and(|found| found == self.root)
    }
}

/// An export's tiles with another one in the place of one of them.
struct Replaced<'a, F> {
    tiles: &'a ExportTiles<'a, F>,
    tile: &'a StoredTile,
}

impl<F: ExportFiles> TileReader for Replaced<'_, F> {
    type Error = Fault<F::Error>;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error> {
        if (level, index) == (self.tile.level, self.tile.index) {
            return Ok(self.tile.hashes.iter().take(width.into()).copied().collect());
        }
        self.tiles.tile(level, index, width)
    }
}

fn check_paths<F: ExportFiles>(files: &F, size: u64, chain: &KeyChain) -> Result<(), Fault<F::Error>> {
    let mut stranger = None;
    let mut visit = |path: &str| {
        let belongs = [CHECKPOINT_PATH, KEY_PATH].contains(&path)
            || keys::is_handover(path, chain)
            || Resource::parse(path).is_ok_and(|resource| resource.belongs_to(size));
        if !belongs {
            stranger.get_or_insert_with(|| path.to_owned());
        }
    };
    files.paths(&mut visit).map_err(|source| Fault::Unreadable { path: ".".to_owned(), source })?;
    stranger.map_or(Ok(()), |path| Err(Fault::Stranger { path, size }))
}

fn read<F: ExportFiles>(files: &F, path: &str) -> Result<Vec<u8>, Fault<F::Error>> {
    let path = path.to_owned();
    match files.read(&path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Fault::Missing { path }),
        Err(source) => Err(Fault::Unreadable { path, source }),
    }
}

/// The openings of the first bundle of the journal that `bundle` is a later one of.
fn first_openings_path(bundle: BundleId) -> String {
    BundleId::new(0, WHOLE_BUNDLE).unwrap_or(bundle).openings_path()
}

/// The node over all hashes of a whole tile.
fn head(hashes: &[Hash]) -> Option<Hash> {
    let mut layer = hashes.to_vec();
    while layer.len() > 1 {
        layer = parents(&layer);
    }
    layer.pop()
}

/// The signed head of the journal in an export.
pub const CHECKPOINT_PATH: &str = "checkpoint";
/// The verifier key in an export, for convenience: a line of text. It is never trusted.
pub const KEY_PATH: &str = "key";
const WHOLE_BUNDLE: u16 = 256;

#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod specification;
#[cfg(test)]
mod tests;
