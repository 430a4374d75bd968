//! Which entries have a tag: an index that is written when the entries are there.
//!
//! Tags are random. An index that took each entry at once would write a page for nearly every tag of it, many times what the
//! entry takes itself. So entries are indexed a run at a time: their tags are put in order and written one behind the other.
//! Who looks for a tag looks into each run, from the newest on, and before that through the entries that are newer.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::keys::Tag;
use crate::store::StoreError;

use super::disposal::{Span, disposed_before};
use super::tags::TAG_BYTES;
use super::tx::Tx;
use super::{SqliteStore, count, database};

/// The first bytes of a tag, and the place of an entry in its run. Which of the entries found by them have the tag, their own
/// rows tell: one too many leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    head: [u8; HEAD_BYTES],
    place: u16,
}

impl Pair {
    /// One for each tag of an entry at this place.
    pub(super) fn of(tags: &[u8], place: u16) -> impl Iterator<Item = Self> {
        tags.chunks_exact(TAG_BYTES).filter_map(move |tag| Some(Self { head: *tag.first_chunk()?, place }))
    }

    fn read(bytes: &[u8; PAIR_BYTES]) -> Self {
        let [a, b, c, d, high, low] = *bytes;
        Self { head: [a, b, c, d], place: u16::from_be_bytes([high, low]) }
    }

    fn bytes(self) -> [u8; PAIR_BYTES] {
        let ([a, b, c, d], [high, low]) = (self.head, self.place.to_be_bytes());
        [a, b, c, d, high, low]
    }

    /// The place of the entry in its run.
    #[cfg(test)]
    pub(super) fn place(self) -> u16 {
        self.place
    }

    /// As a column holds the head.
    pub(super) fn first(self) -> u32 {
        u32::from_be_bytes(self.head)
    }
}

/// The pairs of a block, in their order.
pub(super) fn pairs_of(block: &[u8]) -> impl Iterator<Item = Pair> {
    block.as_chunks::<PAIR_BYTES>().0.iter().map(Pair::read)
}

/// A run that can be written.
pub(super) struct Ready {
    run: u64,
    first_ms: i64,
    last_ms: i64,
    pairs: Vec<Pair>,
    /// How many disposals were in effect when it was read.
    disposals: u64,
}

/// The run that is next, when all of its entries are there.
pub(super) fn prepare(sql: &Connection) -> Result<Option<Ready>, StoreError> {
    let run = runs(sql)?;
    let newest = sql.query_row("SELECT coalesce(max(id), 0) FROM entries", [], |row| row.get::<_, u64>(0));
    let (after, to) = bounds(run);
    if database("looking for entries", newest)? < to {
        return Ok(None);
    }
    let mut disposed = BTreeMap::new();
    for class in PayloadClass::ALL {
        disposed.insert(class.number(), disposed_before(sql, class.number())?);
    }
    let mut statement = database(
        "preparing to index entries",
        sql.prepare_cached(
            "SELECT id, at_ms, class, tags FROM entries WHERE id > ?1 AND id <= ?2 AND tags IS NOT NULL ORDER BY id",
        ),
    )?;
    let mut rows = database("reading tags", statement.query(params![after, to]))?;
    let mut pairs = Vec::new();
    while let Some(row) = database("reading tags", rows.next())? {
        let (id, at, class) = (row.get::<_, u64>(0), row.get::<_, i64>(1), row.get::<_, u8>(2));
        let (id, at, class) = (database(READING, id)?, database(READING, at)?, database(READING, class)?);
        let is_disposed =
            disposed.get(&class).is_some_and(|before| Timestamp::from_millis(at).day() < *before);
        let tags = database(READING, row.get_ref(3))?.as_blob().unwrap_or_default();
        if let (false, Some(place)) = (is_disposed, place(id, after)) {
            pairs.extend(Pair::of(tags, place));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    let times =
        sql.prepare_cached("SELECT min(at_ms), max(at_ms) FROM entries WHERE id > ?1 AND id <= ?2").and_then(
            |mut statement| statement.query_row(params![after, to], |row| Ok((row.get(0)?, row.get(1)?))),
        );
    let (first_ms, last_ms) = database("reading entries", times)?;
    Ok(Some(Ready { run, first_ms, last_ms, pairs, disposals: disposals(sql)? }))
}

/// Writes a run, unless somebody else did or something was disposed of since it was read; whether it was written.
pub(super) fn keep(sql: &Connection, ready: &Ready) -> Result<bool, StoreError> {
    if runs(sql)? != ready.run || disposals(sql)? != ready.disposals {
        return Ok(false);
    }
    let kept = sql.execute(
        "INSERT INTO tag_runs (run, first_ms, last_ms) VALUES (?1, ?2, ?3)",
        params![ready.run, ready.first_ms, ready.last_ms],
    );
    database("indexing entries", kept).map(count)?;
    let mut insert = database(
        "preparing to index entries",
        sql.prepare_cached("INSERT INTO tag_blocks (run, first, part, pairs) VALUES (?1, ?2, ?3, ?4)"),
    )?;
    for (part, block) in (0_u32..).zip(ready.pairs.chunks(BLOCK_PAIRS)) {
        let first = block.first().map_or(0, |pair| pair.first());
        let bytes: Vec<u8> = block.iter().flat_map(|pair| pair.bytes()).collect();
        database("indexing entries", insert.execute(params![ready.run, first, part, bytes]).map(count))?;
    }
    Ok(true)
}

/// How many runs there are; the next has this number.
pub(super) fn runs(sql: &Connection) -> Result<u64, StoreError> {
    let next = sql
        .prepare_cached("SELECT coalesce(max(run) + 1, 0) FROM tag_runs")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
    database("looking for runs of the index", next)
}

fn disposals(sql: &Connection) -> Result<u64, StoreError> {
    let counted = sql.query_row("SELECT count(*) FROM disposals", [], |row| row.get(0));
    database("counting disposals", counted)
}

/// The entries of a run: those behind the first id, up to the second.
pub(super) const fn bounds(run: u64) -> (u64, u64) {
    let after = run.saturating_mul(RUN_ENTRIES);
    (after, after.saturating_add(RUN_ENTRIES))
}

/// The place of an entry in the run that begins behind this id.
pub(super) fn place(id: u64, after: u64) -> Option<u16> {
    id.checked_sub(after)?.checked_sub(1)?.try_into().ok()
}

/// The ids of the entries of a run that may have a tag, the newest first.
pub(super) fn look(sql: &Connection, run: u64, tag: Tag) -> Result<Vec<u64>, StoreError> {
    let Some(sought) = Pair::of(tag.as_bytes(), 0).next() else { return Ok(Vec::new()) };
    let (after, _) = bounds(run);
    let mut statement = database("preparing to look for a tag", sql.prepare_cached(LOOK))?;
    let mut rows = database("looking for a tag", statement.query(params![run, sought.first()]))?;
    let mut found = Vec::new();
    while let Some(row) = database("looking for a tag", rows.next())? {
        let block = database("looking for a tag", row.get_ref(0))?.as_blob().unwrap_or_default();
        let of_tag = pairs_of(block).filter(|pair| pair.head == sought.head);
        found.extend(of_tag.map(|pair| after.saturating_add(u64::from(pair.place)).saturating_add(1)));
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

/// Takes the entries of a span out of the next run behind `after` that may have some; gives that run, or `None` when there is
/// none left.
pub(super) fn forget(sql: &Connection, span: Span, after: Option<u64>) -> Result<Option<u64>, StoreError> {
    let next = sql
        .prepare_cached(
            "SELECT run, first_ms, last_ms FROM tag_runs WHERE run >= ?1 AND first_ms < ?2 ORDER BY run LIMIT 1",
        )
        .and_then(|mut statement| {
            let from = after.map_or(0, |run| run.saturating_add(1));
            statement
                .query_row(params![from, span.end_ms()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()
        });
    let next: Option<(u64, i64, i64)> = database("looking for runs of the index", next)?;
    let Some((run, first_ms, last_ms)) = next else { return Ok(None) };
    let (from, to) = bounds(run);
    let last_ms = last_ms.min(span.end_ms().saturating_sub(1));
    let gone = sql.prepare_cached(GONE).and_then(|mut statement| {
        let values = params![span.class.number(), first_ms, last_ms, from, to];
        statement.query_map(values, |row| row.get::<_, u64>(0))?.collect::<Result<Vec<_>, _>>()
    });
    let mut places: Vec<u16> =
        database("looking for openings", gone)?.into_iter().filter_map(|id| place(id, from)).collect();
    places.sort_unstable();
    if !places.is_empty() {
        take_out(sql, run, &places)?;
    }
    Ok(Some(run))
}

fn take_out(sql: &Connection, run: u64, places: &[u16]) -> Result<(), StoreError> {
    let blocks = sql.prepare_cached("SELECT first, part, pairs FROM tag_blocks WHERE run = ?1").and_then(
        |mut statement| {
            statement
                .query_map(params![run], |row| {
                    Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, Vec<u8>>(2)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        },
    );
    for (first, part, block) in database("reading the index", blocks)? {
        let left: Vec<Pair> =
            pairs_of(&block).filter(|pair| places.binary_search(&pair.place).is_err()).collect();
        if left.len().saturating_mul(PAIR_BYTES) == block.len() {
            continue;
        }
        let place = params![run, first, part];
        // Zeros of the same length first, as with openings.
        for statement in [
            "UPDATE tag_blocks SET pairs = zeroblob(length(pairs)) WHERE run = ?1 AND first = ?2 AND part = ?3",
            "DELETE FROM tag_blocks WHERE run = ?1 AND first = ?2 AND part = ?3",
        ] {
            let done = sql.prepare_cached(statement).and_then(|mut statement| statement.execute(place));
            database("disposing of tags", done).map(count)?;
        }
        if let Some(new_first) = left.first().map(|pair| pair.first()) {
            let bytes: Vec<u8> = left.iter().flat_map(|pair| pair.bytes()).collect();
            let kept = sql
                .prepare_cached("INSERT INTO tag_blocks (run, first, part, pairs) VALUES (?1, ?2, ?3, ?4)")
                .and_then(|mut statement| statement.execute(params![run, new_first, part, bytes]));
            database("disposing of tags", kept).map(count)?;
        }
    }
    Ok(())
}

impl SqliteStore {
    /// Indexes the entries of every run that is whole; gives how many runs.
    pub(super) async fn tags_index_all(&self) -> Result<u32, StoreError> {
        let mut written = 0_u32;
        while let Some(ready) = self.readers.read(prepare).await? {
            if self.writer.unlogged(move |tx: &mut Tx<'_>| keep(tx.sql, &ready)).await? {
                written = written.saturating_add(1);
            }
        }
        Ok(written)
    }
}

/// The blocks of a run in which pairs of a head may stand. One block may begin before it and end with it.
pub(super) const LOOK: &str = "SELECT pairs FROM tag_blocks WHERE run = ?1 AND first <= ?2
   AND first >= coalesce((SELECT max(first) FROM tag_blocks WHERE run = ?1 AND first < ?2), ?2)";
/// Entries of a run that are to be disposed of.
pub(super) const GONE: &str = "SELECT id FROM entries WHERE class = ?1 AND at_ms >= ?2 AND at_ms <= ?3
   AND holder_opening IS NOT NULL AND id > ?4 AND id <= ?5";
/// Entries of a run. Looking through those that are newer than the last takes no longer than looking into some hundred runs.
pub(super) const RUN_ENTRIES: u64 = if cfg!(test) { 32 } else { 16_384 };
/// Four stand on a page.
const BLOCK_PAIRS: usize = if cfg!(test) { 10 } else { 160 };
const HEAD_BYTES: usize = 4;
const PAIR_BYTES: usize = 6;
const READING: &str = "reading tags";
