//! Proofs of RFC 6962: made from tiles, and checked with nothing but the hashes at hand.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;

use super::tiles::{TileReader, tile_of};
use super::tree::{Hash, TILE_HASHES, TILE_HEIGHT, TILE_LEVELS, empty_root, node_hash, parents};

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry's index is not below the size of the tree.
    #[error("entry {index} is not in a tree of {size} entries; ask for a proof of a newer checkpoint")]
    Index {
        /// Index of the entry.
        index: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of {old} entries can't have grown into one of {new}; give the older checkpoint first")]
    Shrunk {
        /// Entries in the earlier tree.
        old: u64,
        /// Entries in the later tree.
        new: u64,
    },
    /// The proof has too few or too many hashes for this place in a tree of this size.
    #[error("the proof has {0} hashes, which is not right for this place in the tree; ask for it again")]
    Length(usize),
    /// The hashes lead to another root.
    #[error("the proof leads to another root than that of the checkpoint; keep both and report it")]
    Root,
    /// The hashes lead to another root of the earlier tree.
    #[error("the proof leads to another root than that of the older checkpoint; keep both and report it")]
    OldRoot,
}

/// A proof that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError<E: Error + 'static> {
    /// No tree has such a proof.
    #[error("make a proof")]
    Proof(#[source] ProofError),
    /// A tile could not be read.
    #[error("read tile {index} of level {level}")]
    Tile {
        /// Level of the tile.
        level: u8,
        /// Index of the tile within its level.
        index: u64,
        /// What the reader says.
        source: E,
    },
    /// The reader gave fewer hashes than were asked for.
    #[error("tile {index} of level {level} has too few hashes; restore the journal's tiles")]
    Narrow {
        /// Level of the tile.
        level: u8,
        /// Index of the tile within its level.
        index: u64,
    },
}

/// The root of the first `size` entries, from their tiles.
///
/// # Errors
/// [`MakeError`] when a tile can't be read.
pub fn root<R: TileReader>(reader: &R, size: u64) -> Result<Hash, MakeError<R::Error>>
where
    R::Error: Error + 'static,
{
    Tiles::new(reader, size).range(0, size)
}

/// The inclusion proof (RFC 6962, section 2.1.1) of the entry `index` among the first `size`, from the leaf's
/// sibling up to the root's child.
///
/// # Errors
/// [`MakeError`] when there is no such entry or a tile can't be read.
pub fn inclusion_proof<R: TileReader>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, MakeError<R::Error>>
where
    R::Error: Error + 'static,
{
    if index >= size {
        return Err(MakeError::Proof(ProofError::Index { index, size }));
    }
    let mut tiles = Tiles::new(reader, size);
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(tiles.range(middle, to)?);
            to = middle;
        } else {
            proof.push(tiles.range(from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof (RFC 6962, section 2.1.2) between the trees of the first `old` and the first `new`
/// entries; empty when the sizes are equal or the older tree has no entries.
///
/// # Errors
/// [`MakeError`] when the older tree is the larger one or a tile can't be read.
pub fn consistency_proof<R: TileReader>(
    reader: &R,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, MakeError<R::Error>>
where
    R::Error: Error + 'static,
{
    if old > new {
        return Err(MakeError::Proof(ProofError::Shrunk { old, new }));
    }
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let mut tiles = Tiles::new(reader, new);
    let (mut from, mut to) = (0, new);
    while old < to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(tiles.range(middle, to)?);
            to = middle;
        } else {
            proof.push(tiles.range(from, middle)?);
            from = middle;
        }
    }
    // The older tree's own root is known to whoever checks; a part of it is not.
    if from > 0 {
        proof.push(tiles.range(from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` is the entry `index` of the tree with this size and root (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`ProofError`] when it is not, or the proof doesn't show it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let mut climb = Climb { node: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match climb.step() {
            Some(Side::Left) => node_hash(sibling, &hash),
            Some(Side::Right) => node_hash(&hash, sibling),
            None => return Err(ProofError::Length(proof.len())),
        };
    }
    if climb.last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `old_size` entries is the beginning of the tree of `new_size` entries (RFC 9162,
/// section 2.1.4.2). A tree without entries is the beginning of any.
///
/// # Errors
/// [`ProofError`] when it is not, or the proof doesn't show it.
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::Shrunk { old: old_size, new: new_size });
    }
    let length = ProofError::Length(proof.len());
    if old_size == 0 || old_size == new_size {
        let due = if old_size == 0 { &empty_root() } else { new_root };
        let empty_is_empty = new_size > 0 || *new_root == empty_root();
        return match (proof, old_root == due, empty_is_empty) {
            ([], true, true) => Ok(()),
            ([], false, _) => Err(ProofError::OldRoot),
            ([], true, false) => Err(ProofError::Root),
            _ => Err(length),
        };
    }
    // A whole older tree is a node of the newer one, and so its root begins the proof.
    let (first, rest) = match (old_size.is_power_of_two(), proof.split_first()) {
        (true, _) => (old_root, proof),
        (false, Some(parts)) => parts,
        (false, None) => return Err(length),
    };
    let mut climb = Climb { node: old_size - 1, last: new_size - 1 };
    climb.rise(climb.node.trailing_ones());
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        match climb.step() {
            Some(Side::Left) => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Some(Side::Right) => new_hash = node_hash(&new_hash, sibling),
            None => return Err(length),
        }
    }
    match (climb.last == 0, old_hash == *old_root, new_hash == *new_root) {
        (true, true, true) => Ok(()),
        (false, ..) => Err(length),
        (_, false, _) => Err(ProofError::OldRoot),
        (.., false) => Err(ProofError::Root),
    }
}

/// On which side of a node its next sibling stands.
enum Side {
    Left,
    Right,
}

/// The way from a node up to the root: `fn` and `sn` of RFC 9162.
struct Climb {
    node: u64,
    /// The last node of the same height.
    last: u64,
}

impl Climb {
    /// The side of the next sibling; the climb goes on above it. Nothing at the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node & 1 == 1 || self.node == self.last { Side::Left } else { Side::Right };
        // A last node without a sibling is carried up until it has one.
        if matches!(side, Side::Left) && self.node & 1 == 0 {
            self.rise(self.node.trailing_zeros());
        }
        self.rise(1);
        Some(side)
    }

    fn rise(&mut self, heights: u32) {
        self.node = self.node.checked_shr(heights).unwrap_or(0);
        self.last = self.last.checked_shr(heights).unwrap_or(0);
    }
}

/// The tiles of one proof; each is read once.
struct Tiles<'a, R: TileReader> {
    reader: &'a R,
    size: u64,
    read: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl<'a, R: TileReader> Tiles<'a, R>
where
    R::Error: Error + 'static,
{
    const fn new(reader: &'a R, size: u64) -> Self {
        Self { reader, size, read: BTreeMap::new() }
    }

    /// The hash over the leaves `from` up to `to`.
    // INVARIANT: `from` is a multiple of each power of two in `to - from`, as RFC 6962 splits trees, so that
    // the parts are nodes.
    fn range(&mut self, from: u64, to: u64) -> Result<Hash, MakeError<R::Error>> {
        let mut end = to;
        let mut hash: Option<Hash> = None;
        while end > from {
            let height = (end - from).trailing_zeros();
            end -= 1 << height;
            let left = self.node(height, end >> height)?;
            hash = Some(hash.map_or(left, |right| node_hash(&left, &right)));
        }
        Ok(hash.unwrap_or_else(empty_root))
    }

    /// The whole node `index` of `height`.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, MakeError<R::Error>> {
        let level = u8::try_from(height / TILE_HEIGHT).unwrap_or(TILE_LEVELS);
        let within = height % TILE_HEIGHT;
        let first = index << within;
        let tile = first / TILE_HASHES;
        let narrow = || MakeError::Narrow { level, index: tile };
        let offset = usize::try_from(first % TILE_HASHES).unwrap_or(usize::MAX);
        let hashes = self.tile(level, tile)?.get(offset..).and_then(|rest| rest.get(..1 << within));
        let mut layer = hashes.ok_or_else(narrow)?.to_vec();
        while layer.len() > 1 {
            layer = parents(&layer);
        }
        layer.first().copied().ok_or_else(narrow)
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], MakeError<R::Error>> {
        match self.read.entry((level, index)) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(place) => {
                let id = tile_of(level, index, self.size).ok_or(MakeError::Narrow { level, index })?;
                let read = self.reader.tile(level, index, id.width());
                Ok(place.insert(read.map_err(|source| MakeError::Tile { level, index, source })?))
            }
        }
    }
}

/// Leaves left of the split of a tree of `count` leaves: the largest power of two below `count`.
// INVARIANT: `count` is at least 2.
const fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::tree::{Edge, leaf_hash, naive};

    /// The tiles of a journal, as wide as they are at its end.
    struct Held(BTreeMap<(u8, u64), Vec<Hash>>, RefCell<Vec<(u8, u64)>>);

    impl TileReader for Held {
        type Error = Infallible;
        fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, Infallible> {
            self.1.borrow_mut().push((level, index));
            Ok(self.0[&(level, index)][..usize::from(width)].to_vec())
        }
    }

    fn journal(size: usize) -> (Vec<Vec<u8>>, Held) {
        let leaves: Vec<Vec<u8>> = (0..size).map(|number| number.to_be_bytes().to_vec()).collect();
        let mut edge = Edge::new();
        for leaf in &leaves {
            edge.append(leaf_hash(leaf));
        }
        let tiles = edge.changed().into_iter().map(|tile| ((tile.level, tile.index), tile.hashes));
        (leaves, Held(tiles.collect(), RefCell::default()))
    }

    fn wide(number: usize) -> u64 {
        u64::try_from(number).unwrap()
    }

    #[test]
    fn every_proof_of_small_trees_is_that_of_the_definition() {
        let (leaves, held) = journal(40);
        for size in 1..=40 {
            let tree = &leaves[..size];
            let head = root(&held, wide(size)).unwrap();
            assert_eq!(head, naive::root(tree));
            for index in 0..size {
                let proof = inclusion_proof(&held, wide(index), wide(size)).unwrap();
                assert_eq!(proof, naive::path(index, tree), "inclusion of {index} in {size}");
                let leaf = leaf_hash(&tree[index]);
                assert_eq!(verify_inclusion(&leaf, wide(index), wide(size), &proof, &head), Ok(()));
            }
            for old in 1..=size {
                let proof = consistency_proof(&held, wide(old), wide(size)).unwrap();
                assert_eq!(proof, naive::consistency(old, tree), "consistency of {old} and {size}");
                let old_head = naive::root(&leaves[..old]);
                assert_eq!(verify_consistency(wide(old), wide(size), &proof, &old_head, &head), Ok(()));
            }
        }
    }

    #[test]
    fn an_empty_tree_is_the_beginning_of_any() {
        let (leaves, held) = journal(3);
        let (empty, head) = (empty_root(), naive::root(&leaves));
        assert_eq!(root(&held, 0).unwrap(), empty);
        assert_eq!(consistency_proof(&held, 0, 3).unwrap(), []);
        assert_eq!(verify_consistency(0, 3, &[], &empty, &head), Ok(()));
        assert_eq!(verify_consistency(0, 0, &[], &empty, &empty), Ok(()));
        assert_eq!(verify_consistency(0, 3, &[], &head, &head), Err(ProofError::OldRoot));
        assert_eq!(verify_consistency(0, 0, &[], &empty, &head), Err(ProofError::Root));
        assert_eq!(verify_consistency(0, 3, &[head], &empty, &head), Err(ProofError::Length(1)));
    }

    #[test]
    fn proofs_that_no_tree_has_are_refused() {
        let (leaves, held) = journal(3);
        let head = naive::root(&leaves);
        let index = ProofError::Index { index: 3, size: 3 };
        assert_eq!(verify_inclusion(&head, 3, 3, &[], &head), Err(index));
        assert_eq!(verify_inclusion(&head, 0, 0, &[], &head), Err(ProofError::Index { index: 0, size: 0 }));
        assert!(matches!(inclusion_proof(&held, 3, 3), Err(MakeError::Proof(error)) if error == index));
        let shrunk = ProofError::Shrunk { old: 3, new: 2 };
        assert_eq!(verify_consistency(3, 2, &[], &head, &head), Err(shrunk));
        assert!(matches!(consistency_proof(&held, 3, 2), Err(MakeError::Proof(error)) if error == shrunk));
        assert_eq!(verify_consistency(3, 3, &[], &head, &empty_root()), Err(ProofError::OldRoot));
    }

    #[test]
    fn a_reader_that_gives_too_few_hashes_is_noticed() {
        struct Short;
        impl TileReader for Short {
            type Error = Infallible;
            fn tile(&self, _: u8, _: u64, width: u16) -> Result<Vec<Hash>, Infallible> {
                Ok(vec![Hash([0; 32]); usize::from(width) - 1])
            }
        }
        assert!(matches!(root(&Short, 300), Err(MakeError::Narrow { .. })));
    }

    #[test]
    fn the_largest_sizes_overflow_nothing() {
        let hash = Hash([1; 32]);
        for (small, large) in [(1, u64::MAX), (1 << 63, u64::MAX), (u64::MAX - 1, u64::MAX)] {
            for hashes in [0, 1, 63, 64, 65, 200] {
                let proof = vec![hash; hashes];
                assert!(verify_inclusion(&hash, small, large, &proof, &hash).is_err());
                assert!(verify_consistency(small, large, &proof, &hash, &hash).is_err());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn proofs_of_trees_of_many_tiles_are_those_of_the_definition(
            size in prop_oneof![250_usize..600, 1_000_usize..2_000, 65_500_usize..66_100], a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(),
        ) {
            let (leaves, held) = journal(size + 300);
            let (index, old, tree) = (a.index(size), b.index(size) + 1, &leaves[..size]);
            let head = naive::root(tree);
            prop_assert_eq!(root(&held, wide(size)).unwrap(), head);
            held.1.borrow_mut().clear();
            let inclusion = inclusion_proof(&held, wide(index), wide(size)).unwrap();
            let mut read = held.1.take();
            let reads = read.len();
            read.sort_unstable();
            read.dedup();
            prop_assert_eq!(reads, read.len(), "a tile was read twice for one proof");
            prop_assert_eq!(&inclusion, &naive::path(index, tree));
            let consistency = consistency_proof(&held, wide(old), wide(size)).unwrap();
            prop_assert_eq!(&consistency, &naive::consistency(old, tree));
            prop_assert_eq!(verify_inclusion(&leaf_hash(&tree[index]), wide(index), wide(size), &inclusion, &head), Ok(()));
            prop_assert_eq!(verify_consistency(wide(old), wide(size), &consistency, &naive::root(&leaves[..old]), &head), Ok(()));
        }

        #[test]
        fn a_changed_proof_proves_nothing(
            size in 2_usize..200, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let (leaves, held) = journal(size);
            let head = naive::root(&leaves);
            let (index, old) = (a.index(size), b.index(size - 1) + 1);
            let (leaf, old_head) = (leaf_hash(&leaves[index]), naive::root(&leaves[..old]));
            let inclusion = inclusion_proof(&held, wide(index), wide(size)).unwrap();
            let consistency = consistency_proof(&held, wide(old), wide(size)).unwrap();
            let included = |index, size, proof: &[Hash]| verify_inclusion(&leaf, wide(index), wide(size), proof, &head);
            let consistent = |old, new, proof: &[Hash]| verify_consistency(wide(old), wide(new), proof, &old_head, &head);
            type Check<'a> = &'a dyn Fn(&[Hash]) -> Result<(), ProofError>;
            let checks: [(&Vec<Hash>, Check<'_>); 2] = [
                (&inclusion, &|proof| included(index, size, proof)),
                (&consistency, &|proof| consistent(old, size, proof)),
            ];
            for (proof, check) in checks {
                prop_assert_eq!(check(proof), Ok(()));
                let place = at.index(proof.len());
                let mut flipped = proof.clone();
                flipped[place].0[at.index(32)] ^= 1 << bit;
                let mut swapped = proof.clone();
                swapped.rotate_left(1);
                let mut dropped = proof.clone();
                dropped.remove(place);
                let mut added = proof.clone();
                added.insert(place, head);
                for changed in [flipped, swapped, dropped, added] {
                    prop_assert!(changed == *proof || check(&changed).is_err());
                }
            }
            for other in 0..size {
                prop_assert!(other == index || included(other, size, &inclusion).is_err());
            }
            prop_assert!(verify_inclusion(&old_head, wide(index), wide(size), &inclusion, &head).is_err() || old_head == leaf);
            prop_assert!(verify_consistency(wide(old), wide(size), &consistency, &leaf, &head).is_err() || old_head == leaf);
        }
    }
}
