//! Tiles and entry bundles: their names, their bytes, and which of them a journal has (C2SP tlog-tiles).

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use super::tree::{HASH_BYTES, Hash, TILE_HASHES, TILE_HEIGHT, TILE_LEVELS};

/// A name or bytes that are not those of a tile or of an entry bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A level above 7 or a width that is not 1 to 256.
    #[error("a tile has a level from 0 to 7 and a width from 1 to 256")]
    Shape,
    /// A path that names no tile and no bundle.
    #[error("`{0}` names no tile; write `tile/0/x001/234` or `tile/entries/x001/234.p/5`")]
    Path(String),
    /// Tile bytes of another length than the width demands.
    #[error("a tile of this width has {wanted} bytes, not {found}; fetch it again")]
    Length {
        /// Bytes that the width demands.
        wanted: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// A bundle whose bytes end inside an entry, go on after the last one, or hold too few.
    #[error("the bundle does not hold exactly {wanted} entries; fetch it again")]
    Bundle {
        /// Entries that the width demands.
        wanted: u16,
    },
    /// An entry that a bundle can't hold.
    #[error("an entry of {0} bytes does not fit a bundle, which holds up to 65535 for each")]
    Entry(usize),
}

/// A tile of a journal: up to 256 consecutive hashes of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile `index` of `level` with `width` hashes, of which a whole tile has 256.
    ///
    /// # Errors
    /// [`TileError::Shape`] when the level is above 7 or the width is not 1 to 256.
    pub const fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level < TILE_LEVELS && is_width(width) {
            Ok(Self { level, index, width })
        } else {
            Err(TileError::Shape)
        }
    }

    /// 0 for leaves; a hash of level `n` is over `256^n` leaves.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Index of the tile within its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes in the tile, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The path, such as `tile/0/x001/234.p/5`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, tail(self.index, self.width))
    }
}

/// An entry bundle of a journal: the entries under one tile of level 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    index: u64,
    width: u16,
}

impl BundleId {
    /// The bundle `index` with `width` entries, of which a whole bundle has 256.
    ///
    /// # Errors
    /// [`TileError::Shape`] when the width is not 1 to 256.
    pub const fn new(index: u64, width: u16) -> Result<Self, TileError> {
        if is_width(width) { Ok(Self { index, width }) } else { Err(TileError::Shape) }
    }

    /// Index of the bundle; its first entry has 256 times that index.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Entries in the bundle, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Index of the bundle's first entry.
    #[must_use]
    pub const fn first_entry(&self) -> u64 {
        self.index.saturating_mul(TILE_HASHES)
    }

    /// Indices of the bundle's entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = u64> + use<> {
        (self.first_entry()..).take(self.width.into())
    }

    /// The path of the entries, such as `tile/entries/x001/234.p/5`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/entries/{}", tail(self.index, self.width))
    }

    /// The path of the entries' openings in an export, such as `openings/x001/234.p/5`.
    #[must_use]
    pub fn openings_path(&self) -> String {
        format!("openings/{}", tail(self.index, self.width))
    }
}

/// What a path of a journal's directory names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A tile of the tree.
    Tile(TileId),
    /// An entry bundle.
    Bundle(BundleId),
    /// The openings of a bundle's entries; only exports have them.
    Openings(BundleId),
}

impl Resource {
    /// Reads a path as [`TileId::path`], [`BundleId::path`] and [`BundleId::openings_path`] write it, in no
    /// other spelling.
    ///
    /// # Errors
    /// [`TileError::Path`] for any other text.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let refused = || TileError::Path(path.chars().take(SHOWN_CHARS).collect());
        let found = Self::read(path).ok_or_else(refused)?;
        // One spelling only, so that a name can't be given twice.
        if found.to_string() == path { Ok(found) } else { Err(refused()) }
    }

    /// Whether a journal of `size` entries has this file.
    #[must_use]
    pub fn belongs_to(&self, size: u64) -> bool {
        let (level, index, width) = self.shape();
        width_at(level, index, size) == Some(width)
    }

    /// Whether a journal of `size` entries has this file, or had it when it was smaller: the hashes and entries
    /// that are there never change, so a partial file is good for ever.
    #[must_use]
    pub fn is_within(&self, size: u64) -> bool {
        let (level, index, width) = self.shape();
        width_at(level, index, size).is_some_and(|there| width <= there)
    }

    const fn shape(&self) -> (u8, u64, u16) {
        match self {
            Self::Tile(tile) => (tile.level, tile.index, tile.width),
            Self::Bundle(bundle) | Self::Openings(bundle) => (0, bundle.index, bundle.width),
        }
    }

    fn read(path: &str) -> Option<Self> {
        let bundle = |tail| {
            let (index, width) = read_tail(tail)?;
            BundleId::new(index, width).ok()
        };
        if let Some(tail) = path.strip_prefix("openings/") {
            return bundle(tail).map(Self::Openings);
        }
        match path.strip_prefix("tile/")?.split_once('/')? {
            ("entries", tail) => bundle(tail).map(Self::Bundle),
            (level, tail) => {
                let (index, width) = read_tail(tail)?;
                TileId::new(level.parse().ok()?, index, width).ok().map(Self::Tile)
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&match self {
            Self::Tile(tile) => tile.path(),
            Self::Bundle(bundle) => bundle.path(),
            Self::Openings(bundle) => bundle.openings_path(),
        })
    }
}

/// Where tiles are read from: a store, a directory, memory.
pub trait TileReader {
    /// Why a tile could not be read.
    type Error;

    /// The first `width` hashes of the tile `index` of `level`. A reader that holds a wider tile cuts it.
    ///
    /// # Errors
    /// When the tile is not there, narrower, or can't be read.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Self::Error>;
}

/// Every tile of a journal of `size` entries: from leaves up, from left to right, the partial ones last in
/// their level.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TileId> {
    (0..TILE_LEVELS).flat_map(move |level| {
        let tiles = (size >> (u32::from(level) * TILE_HEIGHT)).div_ceil(TILE_HASHES);
        (0..tiles).filter_map(move |index| tile_of(level, index, size))
    })
}

/// Every entry bundle of a journal of `size` entries, from left to right.
pub fn bundles_of(size: u64) -> impl Iterator<Item = BundleId> {
    (0..size.div_ceil(TILE_HASHES))
        .filter_map(move |index| Some(BundleId { index, width: width_at(0, index, size)? }))
}

/// The tile `index` of `level` as a journal of `size` entries has it, if it does.
#[must_use]
pub fn tile_of(level: u8, index: u64, size: u64) -> Option<TileId> {
    Some(TileId { level, index, width: width_at(level, index, size)? })
}

/// The bytes of a tile: its hashes, one after the other.
#[must_use]
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Reads the bytes of a tile of `width` hashes.
///
/// # Errors
/// [`TileError::Length`] when there are more or fewer bytes.
pub fn parse_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let wanted = usize::from(width) * HASH_BYTES;
    if bytes.len() != wanted {
        return Err(TileError::Length { wanted, found: bytes.len() });
    }
    Ok(bytes.as_chunks().0.iter().copied().map(Hash).collect())
}

/// The bytes of an entry bundle: each entry after its length (u16, big-endian).
///
/// # Errors
/// [`TileError::Entry`] when an entry is longer than 65,535 bytes.
pub fn encode_bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, TileError> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| TileError::Entry(entry.len()))?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Reads the bytes of a bundle of `width` entries.
///
/// # Errors
/// [`TileError::Bundle`] when there are more or fewer entries, or bytes that belong to none.
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let refused = TileError::Bundle { wanted: width };
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    for _ in 0..width {
        let Some((length, after)) = rest.split_first_chunk() else {
            return Err(refused);
        };
        let Some((entry, after)) = after.split_at_checked(u16::from_be_bytes(*length).into()) else {
            return Err(refused);
        };
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(refused) }
}

/// The hashes that the tile `index` of `level` has in a journal of `size` entries; nothing when there is no
/// such tile.
fn width_at(level: u8, index: u64, size: u64) -> Option<u16> {
    let count = size.checked_shr(u32::from(level) * TILE_HEIGHT)?;
    match index.cmp(&(count / TILE_HASHES)) {
        Ordering::Less => Some(WHOLE),
        Ordering::Equal => u16::try_from(count % TILE_HASHES).ok().filter(|width| *width > 0),
        Ordering::Greater => None,
    }
}

const fn is_width(width: u16) -> bool {
    width >= 1 && width <= WHOLE
}

/// `x001/234` for a whole tile, `x001/234.p/5` for a partial one.
fn tail(index: u64, width: u16) -> String {
    let mut groups = vec![index % GROUP];
    let mut rest = index / GROUP;
    while rest > 0 {
        groups.push(rest % GROUP);
        rest /= GROUP;
    }
    let mut tail = String::new();
    for (left, group) in (0..groups.len()).zip(&groups).rev() {
        let _ = if left == 0 { write!(tail, "{group:03}") } else { write!(tail, "x{group:03}/") };
    }
    if width < WHOLE {
        let _ = write!(tail, ".p/{width}");
    }
    tail
}

/// What [`tail`] writes, and other spellings that [`Resource::parse`] refuses by writing it again.
fn read_tail(tail: &str) -> Option<(u64, u16)> {
    let (index, width) = match tail.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok()?),
        None => (tail, WHOLE),
    };
    let mut value: u64 = 0;
    for group in index.split('/') {
        let digits: u64 = group.trim_start_matches('x').parse().ok()?;
        value = value.checked_mul(GROUP)?.checked_add(digits)?;
    }
    Some((value, width))
}

/// Hashes in a whole tile, entries in a whole bundle.
const WHOLE: u16 = 256;
/// Path elements have three decimal digits.
const GROUP: u64 = 1000;
/// What an error repeats of a path: the longest one that is right has 40.
const SHOWN_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_journal_has_the_tiles_of_the_specification() {
        let paths = |size| tiles_of(size).map(|tile| tile.path()).collect::<Vec<_>>();
        assert_eq!(paths(0), [""; 0]);
        assert_eq!(paths(1), ["tile/0/000.p/1"]);
        assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
        // The example of tlog-tiles.
        let tiles: Vec<TileId> = tiles_of(70_000).collect();
        let whole = |level| tiles.iter().filter(|tile| tile.level() == level && tile.width() == 256).count();
        assert_eq!((whole(0), whole(1), whole(2), tiles.len()), (273, 1, 0, 277));
        let partial: Vec<String> = tiles.iter().filter(|tile| tile.width() < 256).map(TileId::path).collect();
        assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        let bundles: Vec<BundleId> = bundles_of(70_000).collect();
        assert_eq!((bundles.len(), bundles[1].first_entry()), (274, 256));
        assert!(bundles[273].entries().eq(69_888..70_000));
        assert_eq!(bundles[273].path(), "tile/entries/273.p/112");
        assert_eq!(bundles[272].openings_path(), "openings/272");
    }

    #[test]
    fn a_path_has_one_spelling() {
        assert_eq!(TileId::new(0, 1_234_067, 256).unwrap().path(), "tile/0/x001/x234/067");
        assert_eq!(BundleId::new(1_234, 5).unwrap().path(), "tile/entries/x001/234.p/5");
        for bad in [
            "",
            "checkpoint",
            "tile/0",
            "tile/0/",
            "tile/0/1",
            "tile/0/0001",
            "tile/00/001",
            "tile/8/000",
            "tile/0/x001",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001/x002",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/05",
            "tile/0/001.p/+5",
            "tile/0/001.p",
            "tile/0/001/",
            "tile/entries/../000",
            "tile/0/../000",
            "/tile/0/000",
            "openings/0/000",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(Resource::parse(bad).is_err(), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn shapes_that_no_tile_has_are_refused() {
        for (level, width) in [(8, 1), (0, 0), (0, 257)] {
            assert_eq!(TileId::new(level, 0, width), Err(TileError::Shape));
        }
        assert_eq!(BundleId::new(0, 0), Err(TileError::Shape));
    }

    #[test]
    fn bytes_that_do_not_fill_a_bundle_exactly_are_refused() {
        let bundle = encode_bundle([b"ab".as_slice(), b"", b"c"]).unwrap();
        assert_eq!(bundle, [0, 2, b'a', b'b', 0, 0, 0, 1, b'c']);
        assert_eq!(parse_bundle(&bundle, 3).unwrap(), [b"ab".as_slice(), b"", b"c"]);
        for (bytes, width) in [(&bundle[..], 2), (&bundle[..], 4), (&bundle[..8], 3), (&bundle[..7], 3)] {
            assert_eq!(parse_bundle(bytes, width), Err(TileError::Bundle { wanted: width }));
        }
        assert_eq!(encode_bundle([vec![0; 65_536].as_slice()]), Err(TileError::Entry(65_536)));
        assert_eq!(parse_tile(&[0; 63], 2), Err(TileError::Length { wanted: 64, found: 63 }));
        assert_eq!(parse_tile(&[7; 64], 2), Ok(vec![Hash([7; 32]); 2]));
    }

    fn sizes() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..3_000, 65_000_u64..140_000]
    }

    proptest! {
        #[test]
        fn paths_are_read_as_they_are_written(level in 0_u8..8, index in any::<u64>(), shift in 0_u32..64, width in 1_u16..=256) {
            let tile = Resource::Tile(TileId::new(level, index >> shift, width).unwrap());
            let bundle = BundleId::new(index >> shift, width).unwrap();
            for resource in [tile, Resource::Bundle(bundle), Resource::Openings(bundle)] {
                prop_assert_eq!(Resource::parse(&resource.to_string()), Ok(resource));
            }
        }

        #[test]
        fn a_file_that_belonged_once_stays_within(size in 0_u64..70_000, later in 0_u64..70_000, level in 0_u8..3, index in 0_u64..300, width in 1_u16..=256) {
            let tile = Resource::Tile(TileId::new(level, index, width).unwrap());
            if tile.belongs_to(size) {
                prop_assert!(tile.is_within(size) && tile.is_within(size.saturating_add(later)));
            }
            if tile.is_within(size) {
                let due = index * 256 + u64::from(width);
                prop_assert!(tile.belongs_to(due << (8 * u32::from(level))), "no size ever had it");
            }
        }

        #[test]
        fn no_text_breaks_the_reading_of_paths(text in "(tile/|openings/)?[0-9x/.p+a]{0,30}") {
            if let Ok(found) = Resource::parse(&text) {
                prop_assert_eq!(found.to_string(), text);
            }
        }

        #[test]
        fn tiles_hold_every_whole_node_once(size in sizes()) {
            for level in 0..8 {
                let hashes: u64 = tiles_of(size).filter(|tile| tile.level() == level).map(|tile| u64::from(tile.width())).sum();
                prop_assert_eq!(hashes, size >> (8 * level));
            }
            prop_assert_eq!(bundles_of(size).map(|bundle| u64::from(bundle.width())).sum::<u64>(), size);
            prop_assert!(tiles_of(size).all(|tile| Resource::Tile(tile).belongs_to(size)));
            prop_assert!(bundles_of(size).all(|bundle| Resource::Openings(bundle).belongs_to(size)));
        }

        #[test]
        fn only_the_files_of_its_size_belong_to_a_journal(size in sizes(), level in 0_u8..3, index in 0_u64..600, width in 1_u16..=256) {
            let tile = TileId::new(level, index, width).unwrap();
            prop_assert_eq!(Resource::Tile(tile).belongs_to(size), tiles_of(size).any(|due| due == tile));
        }

        #[test]
        fn bundles_are_read_as_they_are_written(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
            let bytes = encode_bundle(entries.iter().map(Vec::as_slice)).unwrap();
            let width = u16::try_from(entries.len()).unwrap();
            prop_assert_eq!(parse_bundle(&bytes, width).unwrap(), entries);
        }
    }
}
