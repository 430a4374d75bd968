//! The Merkle tree of a journal: RFC 6962, section 2.1, over SHA-256, and its right edge kept in memory.
//!
//! A node at height `h` with index `i` is the hash over the leaves `i * 2^h` up to `(i + 1) * 2^h`. Nodes at
//! the heights 0, 8, 16 … stand in tiles (C2SP tlog-tiles); those between are hashed again from them.

use std::fmt;

use data_encoding::BASE64;
use ring::digest::{Context, SHA256};

/// A hash of the tree: of a leaf, of a node, or the root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl Hash {
    /// Parses a hash as checkpoints and receipts write it: base64 (RFC 4648, section 4) of 32 bytes.
    ///
    /// # Errors
    /// [`TreeError::Hash`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| TreeError::Hash)?;
        Self::from_slice(&bytes).ok_or(TreeError::Hash)
    }

    /// The hash with these bytes; nothing unless there are 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Hash({self})")
    }
}

/// What can't be done with a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A hash in another form than base64 of 32 bytes.
    #[error("a hash of the tree is 44 characters of base64; copy it again from where it came")]
    Hash,
    /// A tile that a journal of this size must have is not there, or not as wide as it must be.
    #[error("tile {index} of level {level} holds {found} hashes where {wanted} are due; restore the journal")]
    Tile {
        /// Level of the tile, 0 for leaves.
        level: u8,
        /// Index of the tile within its level.
        index: u64,
        /// Hashes that the tile has at the journal's size.
        wanted: usize,
        /// Hashes that were found; 0 when there was no tile.
        found: usize,
    },
    /// A mark of appends that are settled already, or of appends that were undone.
    #[error("the mark at {marked} entries is not between {settled} settled and {size} present entries")]
    Mark {
        /// Entries when the mark was taken.
        marked: u64,
        /// Entries that are settled.
        settled: u64,
        /// Entries at present.
        size: u64,
    },
}

/// The hash of a leaf: SHA-256 of a zero byte and the entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    digest(&[&[LEAF_PREFIX], entry])
}

/// The hash of a node: SHA-256 of a one byte and the hashes of its children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[NODE_PREFIX], &left.0, &right.0])
}

/// The root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    digest(&[])
}

/// A tile as the store keeps it: up to 256 hashes of one level, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTile {
    /// 0 for leaves; a hash of level `n` is over `256^n` leaves.
    pub level: u8,
    /// Index of the tile within its level.
    pub index: u64,
    /// 1 to 256 hashes.
    pub hashes: Vec<Hash>,
}

/// A moment to return to with [`Edge::rewind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a mark that is not kept can't be returned to"]
pub struct Mark(u64);

/// The right edge of a journal's tree: all that appending, the root and proofs for new leaves need.
///
/// Leaves are appended in batches. [`Edge::changed`] gives the tiles to store with the batch, and once they
/// are durable [`Edge::settle`] begins the next one. An append costs two hashes on average.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    settled: u64,
    /// Row `h` holds nodes of height `h`.
    // INVARIANT: a row ends with the last whole node of its height, and starts at the first one of the tile at
    // the right edge when the batch began (heights 0, 8, 16 …) or at that node of then which had no sibling yet
    // (other heights). Those, and what the batch made, are the only siblings on the paths of the batch's leaves.
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Default)]
struct Row {
    /// Index, within the height, of the first hash held.
    start: u64,
    hashes: Vec<Hash>,
}

impl Edge {
    /// The edge of an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of a tree of `size` leaves, settled, from its partial tiles: `tiles` is asked once for each of
    /// them by level and index. The caller compares the root with the signed one.
    ///
    /// # Errors
    /// [`TreeError::Tile`] when a tile is missing or has another number of hashes than the size demands.
    pub fn restore(
        size: u64,
        tiles: &mut dyn FnMut(u8, u64) -> Option<Vec<Hash>>,
    ) -> Result<Self, TreeError> {
        let mut rows = Vec::new();
        for level in 0..TILE_LEVELS {
            let count = size >> (u32::from(level) * TILE_HEIGHT);
            if count == 0 {
                break;
            }
            let index = count / TILE_HASHES;
            let wanted = usize::try_from(count % TILE_HASHES).unwrap_or_default();
            let hashes = if wanted == 0 { Vec::new() } else { tiles(level, index).unwrap_or_default() };
            if hashes.len() != wanted {
                return Err(TreeError::Tile { level, index, wanted, found: hashes.len() });
            }
            let mut layer = parents(&hashes);
            rows.push(Row { start: kept_from(0, count), hashes });
            for above in 1..TILE_HEIGHT {
                let single = if layer.len() % 2 == 1 { layer.last().copied() } else { None };
                rows.push(Row {
                    start: kept_from(above, count >> above),
                    hashes: single.into_iter().collect(),
                });
                layer = parents(&layer);
            }
        }
        Ok(Self { size, settled: size, rows })
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf at index [`Edge::size`].
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for height in 0.. {
            if self.rows.len() == height {
                self.rows.push(Row::default());
            }
            let Some(row) = self.rows.get_mut(height) else {
                break;
            };
            let sibling = row.hashes.last().copied();
            row.hashes.push(node);
            match sibling {
                Some(left) if self.size >> height & 1 == 1 => node = node_hash(&left, &node),
                _ => break,
            }
        }
        self.size += 1;
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.rest(self.rows.len()).unwrap_or_else(empty_root)
    }

    /// The tiles that changed since the last [`Edge::settle`], whole ones and those at the right edge.
    #[must_use]
    pub fn changed(&self) -> Vec<StoredTile> {
        let mut changed = Vec::new();
        for (level, row) in (0..TILE_LEVELS).zip(self.rows.iter().step_by(TILE_HEIGHT_ROWS)) {
            let height = u32::from(level) * TILE_HEIGHT;
            let before = self.settled >> height;
            if self.size >> height == before {
                break;
            }
            let tiles = row.hashes.chunks(TILE_WIDTH).zip(before / TILE_HASHES..);
            changed.extend(tiles.map(|(hashes, index)| StoredTile { level, index, hashes: hashes.to_vec() }));
        }
        changed
    }

    /// The changed tiles are stored: forgets what only the batch needed.
    pub fn settle(&mut self) {
        self.settled = self.size;
        for (height, row) in (0..).zip(&mut self.rows) {
            let start = kept_from(height, self.size >> height);
            let gone = usize::try_from(start - row.start).unwrap_or(usize::MAX);
            row.hashes.drain(..gone.min(row.hashes.len()));
            row.hashes.shrink_to(KEPT_CAPACITY);
            row.start = start;
        }
    }

    /// The present moment, for [`Edge::rewind`].
    pub const fn mark(&self) -> Mark {
        Mark(self.size)
    }

    /// Undoes the appends since `mark`.
    ///
    /// # Errors
    /// [`TreeError::Mark`] when they are settled or were undone before; nothing changes then.
    pub fn rewind(&mut self, mark: Mark) -> Result<(), TreeError> {
        let Mark(marked) = mark;
        if marked < self.settled || marked > self.size {
            return Err(TreeError::Mark { marked, settled: self.settled, size: self.size });
        }
        for (height, row) in self.rows.iter_mut().enumerate() {
            let left = usize::try_from((marked >> height) - row.start).unwrap_or(usize::MAX);
            row.hashes.truncate(left);
        }
        self.size = marked;
        Ok(())
    }

    /// The inclusion proof (RFC 6962, section 2.1.1), at the present size, of a leaf appended since the last
    /// [`Edge::settle`]; nothing for any other index.
    #[must_use]
    pub fn prove(&self, index: u64) -> Option<Vec<Hash>> {
        if index < self.settled || index >= self.size {
            return None;
        }
        let mut proof = Vec::with_capacity(self.rows.len());
        for (height, row) in self.rows.iter().enumerate() {
            let whole = self.size >> height;
            let sibling = index >> height ^ 1;
            if sibling < whole {
                proof.push(*row.get(sibling)?);
            } else if sibling == whole {
                proof.extend(self.rest(height));
            }
        }
        Some(proof)
    }

    /// The hash over the leaves to the right of the last whole node of `height`, if there are any.
    fn rest(&self, height: usize) -> Option<Hash> {
        let mut rest = None;
        for (below, row) in self.rows.iter().enumerate().take(height) {
            if self.size >> below & 1 == 1 {
                let peak = row.hashes.last()?;
                rest = Some(rest.map_or(*peak, |right| node_hash(peak, &right)));
            }
        }
        rest
    }
}

impl Row {
    fn get(&self, index: u64) -> Option<&Hash> {
        self.hashes.get(usize::try_from(index.checked_sub(self.start)?).ok()?)
    }
}

/// The layer above `layer`; a hash without a sibling has no parent yet.
pub(super) fn parents(layer: &[Hash]) -> Vec<Hash> {
    layer.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect()
}

/// The first node of `height` that a settled edge holds when there are `count` whole ones.
const fn kept_from(height: u32, count: u64) -> u64 {
    if height.is_multiple_of(TILE_HEIGHT) { count - count % TILE_HASHES } else { count - count % 2 }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let digest = context.finish();
    let mut bytes = [0; HASH_BYTES];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Hash(bytes)
}

/// Bytes of a hash of the tree.
pub const HASH_BYTES: usize = 32;
/// Heights that a tile spans (C2SP tlog-tiles).
pub const TILE_HEIGHT: u32 = 8;
/// Hashes in a whole tile, entries in a whole bundle: `2^TILE_HEIGHT`.
pub const TILE_WIDTH: usize = 256;
/// Levels of tiles that a tree of fewer than `2^64` leaves can have.
pub const TILE_LEVELS: u8 = 8;
/// [`TILE_WIDTH`] for counting nodes.
pub(super) const TILE_HASHES: u64 = 256;
const TILE_HEIGHT_ROWS: usize = 8;
const LEAF_PREFIX: u8 = 0;
const NODE_PREFIX: u8 = 1;
/// Hashes for which a row keeps memory between batches: two tiles, so that usual batches allocate nothing.
const KEPT_CAPACITY: usize = 512;

/// RFC 6962, section 2.1, word for word: slow, and independent of all the above but the hash itself.
#[cfg(test)]
pub(super) mod naive {
    use super::{Hash, digest};

    pub(in crate::audit) fn root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => digest(&[]),
            [leaf] => digest(&[&[0], leaf]),
            _ => {
                let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
                digest(&[&[1], &root(left).0, &root(right).0])
            }
        }
    }

    pub(in crate::audit) fn path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let split = largest_power_below(leaves.len());
        let (left, right) = leaves.split_at(split);
        let (mut path, last) = if index < split {
            (path(index, left), root(right))
        } else {
            (path(index - split, right), root(left))
        };
        path.push(last);
        path
    }

    pub(in crate::audit) fn consistency(old: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        subproof(old, leaves, true)
    }

    fn subproof(old: usize, leaves: &[Vec<u8>], known: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if known { Vec::new() } else { vec![root(leaves)] };
        }
        let split = largest_power_below(leaves.len());
        let (left, right) = leaves.split_at(split);
        let (mut proof, last) = if old <= split {
            (subproof(old, left, known), root(right))
        } else {
            (subproof(old - split, right, false), root(left))
        };
        proof.push(last);
        proof
    }

    fn largest_power_below(count: usize) -> usize {
        count.next_power_of_two() / 2
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|number| format!("leaf {number}").into_bytes()).collect()
    }

    #[test]
    fn roots_are_those_of_the_published_test_tree() {
        // The eight leaves and roots of the reference tests of Certificate Transparency.
        let published = [
            ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
            ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            (
                "606162636465666768696a6b6c6d6e6f",
                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
            ),
        ];
        let mut edge = Edge::new();
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(HEXLOWER.encode(&edge.root().0), nothing);
        for (leaf, root) in published {
            edge.append(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()));
            assert_eq!(HEXLOWER.encode(&edge.root().0), root, "the root of {} leaves", edge.size());
        }
    }

    #[test]
    fn hashes_are_read_back_as_they_are_written() {
        let hash = leaf_hash(b"entry");
        assert_eq!(Hash::parse(&hash.to_string()), Ok(hash));
        for bad in ["", "AAAA", hash.to_string().trim_end_matches('='), &format!("{hash}\n")] {
            assert_eq!(Hash::parse(bad), Err(TreeError::Hash), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn a_settled_batch_is_neither_proven_nor_undone() {
        let mut edge = Edge::new();
        let mark = edge.mark();
        edge.append(leaf_hash(b"0"));
        edge.settle();
        edge.append(leaf_hash(b"1"));
        assert_eq!((edge.prove(0), edge.prove(2)), (None, None));
        assert_eq!(edge.rewind(mark), Err(TreeError::Mark { marked: 0, settled: 1, size: 2 }));
        let later = edge.mark();
        edge.append(leaf_hash(b"2"));
        edge.rewind(later).unwrap();
        assert_eq!(edge.size(), 2);
        assert_eq!(edge.rewind(Mark(3)), Err(TreeError::Mark { marked: 3, settled: 1, size: 2 }));
    }

    #[test]
    fn a_missing_or_short_tile_stops_the_restoring() {
        let mut edge = Edge::new();
        for leaf in leaves(300) {
            edge.append(leaf_hash(&leaf));
        }
        let tiles = edge.changed();
        let missing = Edge::restore(300, &mut |_, _| None).unwrap_err();
        assert_eq!(missing, TreeError::Tile { level: 0, index: 1, wanted: 44, found: 0 });
        let other = Edge::restore(301, &mut |level, index| {
            tiles
                .iter()
                .find(|tile| (tile.level, tile.index) == (level, index))
                .map(|tile| tile.hashes.clone())
        });
        assert_eq!(other.unwrap_err(), TreeError::Tile { level: 0, index: 1, wanted: 45, found: 44 });
    }

    #[test]
    fn memory_does_not_grow_with_the_journal() {
        let mut edge = Edge::new();
        for number in 0_u32..70_000 {
            edge.append(leaf_hash(&number.to_be_bytes()));
            if number % 7_000 == 0 {
                edge.settle();
            }
        }
        edge.settle();
        let held: usize = edge.rows.iter().map(|row| row.hashes.len()).sum();
        let reserved: usize = edge.rows.iter().map(|row| row.hashes.capacity()).sum();
        assert!(held < 112 + 17 + 1 + 20, "{held} hashes are held for three partial tiles; forget the rest");
        assert!(reserved <= edge.rows.len() * KEPT_CAPACITY, "memory for {reserved} hashes is kept");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        Undo(usize),
        Settle,
        Restore,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let append = prop_oneof![1_usize..4, 200_usize..300, 700_usize..800].prop_map(Step::Append);
        let step = prop_oneof![
            4 => append,
            1 => (1_usize..300).prop_map(Step::Undo),
            2 => Just(Step::Settle),
            1 => Just(Step::Restore),
        ];
        prop::collection::vec(step, 1..12)
    }

    /// Every tile of a tree of these leaves, made from scratch.
    fn all_tiles(leaves: &[Vec<u8>]) -> BTreeMap<(u8, u64), Vec<Hash>> {
        let mut tiles = BTreeMap::new();
        let mut layer: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        let mut span = 1;
        for level in 0.. {
            for (index, hashes) in (0..).zip(layer.chunks(256)) {
                tiles.insert((level, index), hashes.to_vec());
            }
            span *= 256;
            layer = leaves.chunks_exact(span).map(naive::root).collect();
            if layer.is_empty() {
                return tiles;
            }
        }
        tiles
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn the_edge_is_the_edge_of_the_tree(steps in steps()) {
            let mut held: Vec<Vec<u8>> = Vec::new();
            let mut stored: BTreeMap<(u8, u64), Vec<Hash>> = BTreeMap::new();
            let (mut edge, mut settled, mut number) = (Edge::new(), 0, 0_u64);
            for step in steps {
                let add = match step {
                    Step::Append(count) | Step::Undo(count) => count,
                    Step::Settle | Step::Restore => 0,
                };
                let (mark, before) = (edge.mark(), held.len());
                for _ in 0..add {
                    number += 1;
                    held.push(number.to_be_bytes().to_vec());
                    edge.append(leaf_hash(&number.to_be_bytes()));
                }
                prop_assert_eq!(edge.root(), naive::root(&held));
                for index in [settled, (settled + held.len()) / 2, held.len().saturating_sub(1)] {
                    let due = (settled..held.len()).contains(&index).then(|| naive::path(index, &held));
                    prop_assert_eq!(edge.prove(u64::try_from(index).unwrap()), due);
                }
                match step {
                    Step::Append(_) => {}
                    Step::Undo(_) => {
                        edge.rewind(mark).unwrap();
                        held.truncate(before);
                    }
                    Step::Settle | Step::Restore => {
                        for tile in edge.changed() {
                            stored.insert((tile.level, tile.index), tile.hashes);
                        }
                        prop_assert_eq!(&stored, &all_tiles(&held));
                        edge.settle();
                        settled = held.len();
                        prop_assert!(edge.changed().is_empty());
                    }
                }
                if matches!(step, Step::Restore) {
                    edge = Edge::restore(edge.size(), &mut |level, index| stored.get(&(level, index)).cloned()).unwrap();
                }
                prop_assert_eq!(edge.root(), naive::root(&held));
            }
        }
    }
}
