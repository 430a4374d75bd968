//! The tree of a journal, derived again from its entries: every tile, every root, every checkpoint.

use std::collections::{BTreeMap, VecDeque};

use rayon::prelude::*;
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::tiles::tile_of;
use crate::audit::tree::{Edge, Hash, StoredTile, TILE_WIDTH, node_hash};
use crate::clock::Timestamp;
use crate::store::StoreError;

use super::super::database;
use super::log_keys::Keys;
use super::report::{FaultPlace, FsckReport, JournalFound, chain};

/// A head that the holder's journal states of another: at this size this root, and which entry says so.
pub(super) struct HeadStated {
    pub(super) journal: String,
    pub(super) at: Timestamp,
    pub(super) size: u64,
    pub(super) root: Vec<u8>,
    pub(super) place: FaultPlace,
}

/// The tree of one journal on its way.
pub(super) struct Tree<'a> {
    sql: &'a Connection,
    journal: i64,
    name: &'a str,
    edge: Edge,
    /// Entries that there must be: what the newest checkpoint that holds was signed over.
    size: u64,
    /// The leaves of the block at the right edge, with the time of each.
    block: Vec<(Option<Hash>, Option<Timestamp>)>,
    /// By level, the tile at the right edge while it is not whole.
    partial: BTreeMap<u8, StoredTile>,
    checkpoints: Checkpoints<'a>,
    heads: VecDeque<HeadStated>,
    before: Option<Timestamp>,
    /// Entries beyond the newest checkpoint.
    beyond: Option<(u64, u64)>,
}

impl<'a> Tree<'a> {
    /// The tree of a journal before its first entry.
    pub(super) fn new(
        sql: &'a Connection,
        journal: i64,
        name: &'a str,
        keys: &'a Keys,
        heads: Vec<HeadStated>,
    ) -> Result<Self, StoreError> {
        let checkpoints = Checkpoints::new(sql, journal, keys);
        let size = match checkpoints.newest()? {
            Some(size) => size,
            None => entries_held(sql, journal)?,
        };
        let mut heads = heads;
        heads.sort_by_key(|head| head.size);
        Ok(Self {
            sql,
            journal,
            name,
            edge: Edge::new(),
            size,
            block: Vec::with_capacity(TILE_WIDTH),
            partial: BTreeMap::new(),
            checkpoints,
            heads: heads.into(),
            before: None,
            beyond: None,
        })
    }

    /// Takes the next entry; indices ascend.
    pub(super) fn take(
        &mut self,
        index: u64,
        leaf: Option<Hash>,
        at: Timestamp,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        if index >= self.size {
            self.beyond = Some(self.beyond.map_or((index, index), |(first, _)| (first, index)));
            return Ok(());
        }
        while self.taken() < index {
            report.fault(self.entry(self.taken()), "it is missing");
            self.push(None, None, report)?;
        }
        self.push(leaf, Some(at), report)
    }

    /// All entries were taken.
    pub(super) fn end(mut self, report: &mut FsckReport) -> Result<JournalFound, StoreError> {
        while self.taken() < self.size {
            report.fault(self.entry(self.taken()), "it is missing");
            self.push(None, None, report)?;
        }
        self.finish_block(report)?;
        for (_, tile) in std::mem::take(&mut self.partial) {
            self.compare(&tile, report)?;
        }
        if let Some((first, last)) = self.beyond {
            let what = format!("entries {first} to {last} stand under no checkpoint that holds");
            report.fault(FaultPlace::Journal(self.name.to_owned()), what);
        }
        if self.before.is_some() && self.beyond.is_none() {
            let what = "its newest entries stand under no checkpoint";
            report.fault(FaultPlace::Journal(self.name.to_owned()), what);
        }
        for head in std::mem::take(&mut self.heads) {
            let what = format!(
                "it states a head of {} at {} entries, and no checkpoint is over so many",
                self.name, head.size
            );
            report.fault(head.place, what);
        }
        self.strange_tiles(report)?;
        while let Some((size, _)) = self.checkpoints.next()? {
            let what = "it is over more entries than the journal has";
            report.fault(self.checkpoint(size), what);
        }
        let (size, root) = (self.edge.size(), self.edge.root());
        let checkpoints = self.checkpoints.read;
        Ok(JournalFound { name: self.name.to_owned(), size, root, checkpoints, opened: 0, disposed: 0 })
    }

    fn taken(&self) -> u64 {
        self.edge.size().saturating_add(u64::try_from(self.block.len()).unwrap_or(u64::MAX))
    }

    fn push(
        &mut self,
        leaf: Option<Hash>,
        at: Option<Timestamp>,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        self.block.push((leaf, at));
        if self.block.len() == TILE_WIDTH { self.finish_block(report) } else { Ok(()) }
    }

    /// Appends the leaves of a block: those that the signed tree is made of, whichever of entry and tile says so.
    fn finish_block(&mut self, report: &mut FsckReport) -> Result<(), StoreError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let first = self.edge.size();
        let index = first / TILE_HASHES;
        let block = std::mem::take(&mut self.block);
        let stored = self.tile(0, index)?;
        let leaves = self.choose(first, &block, stored.as_deref(), report)?;
        for ((leaf, (_, at)), index) in leaves.iter().zip(&block).zip(first..) {
            if let (Some(before), Some(at)) = (self.before, *at)
                && before != at
            {
                let what = "it is missing: the entries before and after it are of two batches";
                report.fault(self.checkpoint(index), what);
            }
            self.edge.append(*leaf);
            self.before = *at;
            self.check_size(report)?;
        }
        for tile in self.edge.changed() {
            if tile.level == 0 {
                continue;
            }
            if tile.hashes.len() == TILE_WIDTH {
                self.partial.remove(&tile.level);
                self.compare(&tile, report)?;
            } else {
                self.partial.insert(tile.level, tile);
            }
        }
        self.edge.settle();
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// The checkpoint and the head of the present size, if there are any.
    fn check_size(&mut self, report: &mut FsckReport) -> Result<(), StoreError> {
        let size = self.edge.size();
        while self.checkpoints.due()?.is_some_and(|due| due <= size) {
            let Some((of, signed)) = self.checkpoints.next()? else { break };
            let place = self.checkpoint(of);
            match signed {
                Err(what) => report.fault(place, what),
                Ok(_) if of < size => report.fault(place, "no batch of entries ends there"),
                Ok(Some(signed)) if signed.root != self.edge.root() => {
                    let what = format!(
                        "the entries lead to root {}, and {} was signed",
                        self.edge.root(),
                        signed.root
                    );
                    report.fault(place, what);
                }
                Ok(_) => {}
            }
            self.before = None;
        }
        while self.heads.front().is_some_and(|head| head.size <= size) {
            let Some(head) = self.heads.pop_front() else { break };
            report.counts.heads = report.counts.heads.saturating_add(1);
            let place = head.place;
            if head.size < size {
                report.fault(place, format!("it states a head of {} that never was", self.name));
            } else if head.root != self.edge.root().as_bytes() {
                let what =
                    format!("the root that it states of {} is not that of its {size} entries", self.name);
                report.fault(place, what);
            }
        }
        Ok(())
    }

    /// Entries and tile of a block say the same leaves; where they don't, the tree above tells which is right.
    fn choose(
        &self,
        first: u64,
        block: &[(Option<Hash>, Option<Timestamp>)],
        stored: Option<&[Hash]>,
        report: &mut FsckReport,
    ) -> Result<Vec<Hash>, StoreError> {
        let index = first / TILE_HASHES;
        let Some(stored) = stored else {
            report.fault(self.tile_place(0, index), "it is missing, or not made of hashes");
            return Ok(block.iter().map(|(leaf, _)| leaf.unwrap_or(NO_LEAF)).collect());
        };
        if stored.len() != block.len() {
            let what = format!("it has {} hashes, and {} are due", stored.len(), block.len());
            report.fault(self.tile_place(0, index), what);
        }
        let by_entries: Vec<Hash> = block
            .iter()
            .enumerate()
            .map(|(at, (leaf, _))| leaf.or_else(|| stored.get(at).copied()).unwrap_or(NO_LEAF))
            .collect();
        let differ = |at: usize, leaf: &Hash| stored.get(at).is_some_and(|stored| stored != leaf);
        let Some((_, wrong)) =
            by_entries.iter().enumerate().map(|(at, leaf)| (leaf, at)).find(|(leaf, at)| differ(*at, leaf))
        else {
            return Ok(by_entries);
        };
        let by_tile: Vec<Hash> = by_entries
            .iter()
            .enumerate()
            .map(|(at, leaf)| stored.get(at).copied().unwrap_or(*leaf))
            .collect();
        if self.leads_on(first, &by_entries)? || !self.leads_on(first, &by_tile)? {
            let what = format!("hash {wrong} does not follow from the entries");
            report.fault(self.tile_place(0, index), what);
            return Ok(by_entries);
        }
        for (at, leaf) in by_entries.iter().enumerate().filter(|(at, leaf)| differ(*at, leaf)) {
            let _the_other = leaf;
            let index = first.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
            report.fault(self.entry(index), "its bytes are not those that the tree was signed over");
        }
        Ok(by_tile)
    }

    /// Whether these leaves lead to what stands above them: a hash of the next level, or the signed root.
    fn leads_on(&self, first: u64, leaves: &[Hash]) -> Result<bool, StoreError> {
        if leaves.len() == TILE_WIDTH {
            let index = first / TILE_HASHES;
            let above = self.tile(1, index / TILE_HASHES)?;
            let at = usize::try_from(index % TILE_HASHES).unwrap_or(usize::MAX);
            return Ok(above.and_then(|hashes| hashes.get(at).copied()) == head(leaves));
        }
        let mut edge = self.edge.clone();
        for leaf in leaves {
            edge.append(*leaf);
        }
        Ok(self.checkpoints.root_at(self.size)? == Some(edge.root()))
    }

    fn compare(&self, derived: &StoredTile, report: &mut FsckReport) -> Result<(), StoreError> {
        let place = self.tile_place(derived.level, derived.index);
        match self.tile(derived.level, derived.index)? {
            None => report.fault(place, "it is missing, or not made of hashes"),
            Some(stored) if stored == derived.hashes => {}
            Some(stored) if stored.len() != derived.hashes.len() => {
                let what = format!("it has {} hashes, and {} are due", stored.len(), derived.hashes.len());
                report.fault(place, what);
            }
            Some(stored) => {
                let wrong = stored.iter().zip(&derived.hashes).position(|(one, other)| one != other);
                let what = format!("hash {} does not follow from the entries", wrong.unwrap_or_default());
                report.fault(place, what);
            }
        }
        Ok(())
    }

    /// Rows of tiles that a journal of this size doesn't have.
    fn strange_tiles(&self, report: &mut FsckReport) -> Result<(), StoreError> {
        let read = "SELECT level, idx FROM tiles WHERE journal = ?1";
        let mut statement = database("reading tiles", self.sql.prepare_cached(read))?;
        let mut rows = database("reading tiles", statement.query(params![self.journal]))?;
        while let Some(row) = database("reading tiles", rows.next())? {
            let place = row.get::<_, i64>(0).and_then(|level| Ok((level, row.get::<_, i64>(1)?)));
            let (level, index) = database("reading tiles", place)?;
            let due = u8::try_from(level)
                .ok()
                .zip(u64::try_from(index).ok())
                .and_then(|(level, index)| tile_of(level, index, self.size));
            if due.is_none() {
                let place = FaultPlace::Tile {
                    journal: self.name.to_owned(),
                    path: format!("tile {index} of level {level}"),
                };
                report.fault(place, format!("a journal of {} entries has no such tile", self.size));
            }
        }
        Ok(())
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Hash>>, StoreError> {
        let bytes = self
            .sql
            .prepare_cached("SELECT hashes FROM tiles WHERE journal = ?1 AND level = ?2 AND idx = ?3")
            .and_then(|mut statement| {
                statement
                    .query_row(params![self.journal, level, index], |row| row.get::<_, Vec<u8>>(0))
                    .optional()
            });
        Ok(database("reading a tile", bytes)?.and_then(|bytes| {
            let (hashes, rest) = bytes.as_chunks::<32>();
            (rest.is_empty() && !hashes.is_empty()).then(|| hashes.iter().map(|hash| Hash(*hash)).collect())
        }))
    }

    fn entry(&self, index: u64) -> FaultPlace {
        FaultPlace::Entry { journal: self.name.to_owned(), index }
    }

    fn checkpoint(&self, size: u64) -> FaultPlace {
        FaultPlace::Checkpoint { journal: self.name.to_owned(), size }
    }

    fn tile_place(&self, level: u8, index: u64) -> FaultPlace {
        let path = tile_of(level, index, self.size)
            .map_or_else(|| format!("tile {index} of level {level}"), |tile| tile.path());
        FaultPlace::Tile { journal: self.name.to_owned(), path }
    }
}

/// The checkpoints of a journal in ascending order, verified on all cores.
struct Checkpoints<'a> {
    sql: &'a Connection,
    journal: i64,
    keys: &'a Keys,
    ahead: VecDeque<(u64, Signed)>,
    after: Option<i64>,
    /// The size of the last one that was read.
    before: u64,
    read: u64,
}

/// A checkpoint that a key signed, nothing where no key is at hand, or what is wrong with it.
type Signed = Result<Option<Checkpoint>, String>;

impl<'a> Checkpoints<'a> {
    const fn new(sql: &'a Connection, journal: i64, keys: &'a Keys) -> Self {
        Self { sql, journal, keys, ahead: VecDeque::new(), after: Some(i64::MIN), before: 0, read: 0 }
    }

    /// The size of the newest checkpoint that holds.
    fn newest(&self) -> Result<Option<u64>, StoreError> {
        let read = "SELECT size, note FROM checkpoints WHERE journal = ?1 ORDER BY size DESC";
        let mut statement = database("reading checkpoints", self.sql.prepare_cached(read))?;
        let mut rows = database("reading checkpoints", statement.query(params![self.journal]))?;
        while let Some(row) = database("reading checkpoints", rows.next())? {
            let both = row.get::<_, i64>(0).and_then(|size| Ok((size, row.get::<_, String>(1)?)));
            let (size, note) = database("reading checkpoints", both)?;
            if let Ok(Some(signed)) = verified(&note, (size_of(size), size), self.keys) {
                return Ok(Some(signed.size));
            }
        }
        Ok(None)
    }

    /// The root that was signed at a size.
    fn root_at(&self, size: u64) -> Result<Option<Hash>, StoreError> {
        let note = self
            .sql
            .prepare_cached("SELECT note FROM checkpoints WHERE journal = ?1 AND size = ?2")
            .and_then(|mut statement| {
                statement.query_row(params![self.journal, size], |row| row.get::<_, String>(0)).optional()
            });
        let note = database("reading a checkpoint", note)?;
        let signed =
            note.and_then(|note| verified(&note, (size, i64::try_from(size).ok()?), self.keys).ok()?);
        Ok(signed.map(|signed| signed.root))
    }

    /// The size of the next one.
    fn due(&mut self) -> Result<Option<u64>, StoreError> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(self.ahead.front().map(|(size, _)| *size))
    }

    /// The next one.
    fn next(&mut self) -> Result<Option<(u64, Signed)>, StoreError> {
        self.due()?;
        Ok(self.ahead.pop_front())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.after else { return Ok(()) };
        let rows = self
            .sql
            .prepare_cached(
                "SELECT size, note FROM checkpoints WHERE journal = ?1 AND size >= ?2 ORDER BY size LIMIT ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_map(params![self.journal, after, CHECKPOINTS_AHEAD], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
                    })?
                    .collect::<Result<Vec<_>, _>>()
            });
        let rows = database("reading checkpoints", rows)?;
        self.after = rows.last().and_then(|(size, _)| size.checked_add(1));
        self.read = self.read.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        let keys = self.keys;
        let sizes: Vec<u64> =
            std::iter::once(self.before).chain(rows.iter().map(|(size, _)| size_of(*size))).collect();
        self.before = sizes.last().copied().unwrap_or_default();
        let opened: Vec<(u64, Signed)> = rows
            .par_iter()
            .zip(&sizes)
            .map(|((size, note), before)| (size_of(*size), verified(note, (*before, *size), keys)))
            .collect();
        self.ahead.extend(opened);
        Ok(())
    }
}

/// A checkpoint that the key of its size signed, over as many entries as its row says. The first one after a change
/// of the key is signed by both.
fn verified(note: &str, (before, size): (u64, i64), keys: &Keys) -> Signed {
    let mut found = None;
    for (_, key) in keys.at(before, size_of(size)) {
        match Checkpoint::open(note, key) {
            Ok(signed) if i64::try_from(signed.size) == Ok(size) && size > 0 => found = Some(signed),
            Ok(signed) => return Err(format!("its note is signed over {} entries", signed.size)),
            Err(error) => return Err(format!("its note is refused: {}", chain(&error))),
        }
    }
    // Without a key that is told once, at the key.
    if found.is_none() && !keys.is_empty() {
        return Err("no key of the log is that of its size".to_owned());
    }
    Ok(found)
}

/// A size as its row says; none below zero.
fn size_of(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}

fn entries_held(sql: &Connection, journal: i64) -> Result<u64, StoreError> {
    let asked = "SELECT count(*) FROM entries WHERE journal = ?1 AND idx >= 0";
    let held = sql.query_row(asked, params![journal], |row| row.get(0));
    database("counting entries", held)
}

/// The node over all hashes of a whole tile.
fn head(hashes: &[Hash]) -> Option<Hash> {
    let mut layer = hashes.to_vec();
    while layer.len() > 1 {
        layer = layer.as_chunks().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    layer.pop()
}

/// Stands in for a leaf that nobody knows; nothing hashes to it.
const NO_LEAF: Hash = Hash([0; 32]);
const TILE_HASHES: u64 = 256;
/// About a second of signatures on one core at most, so that progress is seen.
const CHECKPOINTS_AHEAD: u32 = 4_096;
