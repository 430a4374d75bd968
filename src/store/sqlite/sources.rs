//! Who a pseudonym is: an index of the subjects' sources, in two tiers.
//!
//! Pseudonyms are random. In one tree those who are enrolled together would lie on as many pages as they are people, and
//! a page for each would be written twice, more than all else of a person takes. So whoever is new waits in a run, beside
//! the runs before it; and part after part of those who wait is poured into the tree, where many then share a page.
//!
//! An entry is the first bytes of a pseudonym, and a subject. Whether it is that pseudonym's, the subject's row tells: an
//! entry too many leads to nobody.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ids::SubjectId;
use crate::keys::Pseudonym;
use crate::store::StoreError;

use super::enrolment::Known;
use super::{count, database};

/// Looks for people by their pseudonyms, with those read who wait: once for all that are asked about together.
pub(super) struct Asked {
    waiting: HashMap<Head, Vec<SubjectId>>,
}

impl Asked {
    /// Reads those who wait in the parts of these pseudonyms.
    pub(super) fn read<'a>(
        sql: &Connection,
        sources: impl Iterator<Item = &'a Pseudonym>,
    ) -> Result<Self, StoreError> {
        let mut heads: BTreeMap<u8, Vec<Head>> = BTreeMap::new();
        for head in sources.map(Head::of) {
            heads.entry(head.part()).or_default().push(head);
        }
        let mut waiting: HashMap<Head, Vec<SubjectId>> = HashMap::new();
        for (part, mut heads) in heads {
            heads.sort_unstable();
            for entries in runs(sql, part)?.into_values() {
                let found = entries_of(&entries).filter(|entry| heads.binary_search(&entry.head).is_ok());
                found.for_each(|entry| waiting.entry(entry.head).or_default().push(entry.subject));
            }
        }
        Ok(Self { waiting })
    }

    /// The subject of one of these pseudonyms, if there is one.
    pub(super) fn find(&self, sql: &Connection, source: &Pseudonym) -> Result<Option<Known>, StoreError> {
        let head = Head::of(source);
        let poured =
            sql.prepare_cached("SELECT subject FROM sources WHERE head = ?1").and_then(|mut statement| {
                statement
                    .query_map(params![head.0], |row| Ok(SubjectId::from_bytes(row.get(0)?)))?
                    .collect::<Result<Vec<_>, _>>()
            });
        let waiting = self.waiting.get(&head).into_iter().flatten().copied();
        for id in database("looking for a subject", poured)?.into_iter().chain(waiting) {
            if let Some(known) = known(sql, id, source)? {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }
}

/// A subject, if it is there and of this source.
pub(super) fn known(
    sql: &Connection,
    id: SubjectId,
    source: &Pseudonym,
) -> Result<Option<Known>, StoreError> {
    let row = sql
        .prepare_cached("SELECT restriction_set FROM subjects WHERE id = ?1 AND source = ?2")
        .and_then(|mut statement| {
            let values = params![id.as_bytes(), source.as_bytes()];
            statement.query_row(values, |row| Ok(Known { id, restriction_set: row.get(0)? })).optional()
        });
    database("looking for a subject", row)
}

/// Enters people who are new, and pours a part of those who wait when they are many.
pub(super) fn enter(sql: &Connection, new: &[(Pseudonym, SubjectId)]) -> Result<(), StoreError> {
    enter_within(sql, new, WAITING_MAX)
}

fn enter_within(
    sql: &Connection,
    new: &[(Pseudonym, SubjectId)],
    waiting_max: u64,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let mut parts: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for (source, subject) in new {
        let head = Head::of(source);
        let entries = parts.entry(head.part()).or_default();
        entries.extend_from_slice(&head.0.to_be_bytes());
        entries.extend_from_slice(subject.as_bytes());
    }
    let mut tally = Tally::read(sql)?;
    let mut insert = database(
        "preparing to enter people",
        sql.prepare_cached("INSERT INTO sources_waiting (part, run, entries) VALUES (?1, ?2, ?3)"),
    )?;
    for (part, entries) in &parts {
        for entries in entries.chunks(RUN_ENTRIES * ENTRY_BYTES) {
            tally.runs = tally.runs.saturating_add(1);
            database("entering people", insert.execute(params![part, tally.runs, entries]).map(count))?;
        }
    }
    tally.waiting = tally.waiting.saturating_add(new.len().try_into().unwrap_or(u64::MAX));
    for _ in 0..PARTS {
        if tally.waiting <= waiting_max {
            break;
        }
        tally.waiting = tally.waiting.saturating_sub(pour(sql, tally.next_part)?);
        tally.next_part = tally.next_part.wrapping_add(1) % PARTS;
    }
    tally.keep(sql)
}

/// Pours those of a part who wait into the tree, in its order; gives how many.
fn pour(sql: &Connection, part: u8) -> Result<u64, StoreError> {
    let runs = runs(sql, part)?;
    let mut entries: Vec<Entry> = runs.values().flat_map(|entries| entries_of(entries)).collect();
    entries.sort_unstable_by_key(|entry| entry.head);
    let mut insert = database(
        "preparing to pour people",
        sql.prepare_cached("INSERT INTO sources (head, subject) VALUES (?1, ?2) ON CONFLICT DO NOTHING"),
    )?;
    for Entry { head, subject } in &entries {
        database("pouring people", insert.execute(params![head.0, subject.as_bytes()]).map(count))?;
    }
    let poured = sql
        .prepare_cached("DELETE FROM sources_waiting WHERE part = ?1")
        .and_then(|mut statement| statement.execute(params![part]));
    database("pouring people", poured)?;
    Ok(entries.len().try_into().unwrap_or(u64::MAX))
}

/// Takes out the entry of a subject whose row goes.
pub(super) fn forget(sql: &Connection, subject: SubjectId) -> Result<(), StoreError> {
    let source = sql
        .query_row("SELECT source FROM subjects WHERE id = ?1", params![subject.as_bytes()], |row| row.get(0))
        .optional();
    let Some(source) = database("reading a subject", source)? else { return Ok(()) };
    let head = Head::of(&Pseudonym::from_bytes(source));
    let values = params![head.0, subject.as_bytes()];
    let poured = sql.execute("DELETE FROM sources WHERE head = ?1 AND subject = ?2", values);
    database("forgetting a subject", poured)?;
    let mut tally = Tally::read(sql)?;
    for (run, entries) in runs(sql, head.part())? {
        let is_other = |entry: &&[u8]| Entry::read(entry).is_none_or(|entry| entry.subject != subject);
        let left: Vec<u8> = entries.chunks(ENTRY_BYTES).filter(is_other).flatten().copied().collect();
        let gone = entries.len().saturating_sub(left.len()).div_ceil(ENTRY_BYTES);
        if gone == 0 {
            continue;
        }
        tally.waiting = tally.waiting.saturating_sub(gone.try_into().unwrap_or(u64::MAX));
        let changed = if left.is_empty() {
            let values = params![head.part(), run];
            sql.execute("DELETE FROM sources_waiting WHERE part = ?1 AND run = ?2", values)
        } else {
            let values = params![head.part(), run, left];
            sql.execute("UPDATE sources_waiting SET entries = ?3 WHERE part = ?1 AND run = ?2", values)
        };
        database("forgetting a subject", changed)?;
    }
    tally.keep(sql)
}

/// The runs of a part, by their numbers.
fn runs(sql: &Connection, part: u8) -> Result<BTreeMap<u64, Vec<u8>>, StoreError> {
    let rows = sql.prepare_cached("SELECT run, entries FROM sources_waiting WHERE part = ?1").and_then(
        |mut statement| {
            statement
                .query_map(params![part], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()
        },
    );
    database("reading who waits", rows)
}

/// What is wrong with the index by itself, and how many entries it has; whether each subject is found is told by
/// [`Asked::find`].
pub(super) fn faults(sql: &Connection) -> Result<(u64, Vec<&'static str>), StoreError> {
    let (mut faults, mut waiting, mut newest) = (Vec::new(), 0_u64, 0);
    for part in parts(sql)? {
        for (run, entries) in runs(sql, part)? {
            newest = run.max(newest);
            waiting = waiting.saturating_add(entries_of(&entries).count().try_into().unwrap_or(u64::MAX));
            if !entries.len().is_multiple_of(ENTRY_BYTES)
                || entries_of(&entries).any(|entry| entry.head.part() != part)
            {
                faults.push("a run of those who wait is damaged, or stands in another part");
            }
        }
    }
    let tally = Tally::read(sql)?;
    if tally.waiting != waiting || tally.runs < newest || tally.next_part >= PARTS {
        faults.push("those who wait are not as many as it says");
    }
    let poured = sql.query_row("SELECT count(*) FROM sources", [], |row| row.get::<_, u64>(0));
    Ok((waiting.saturating_add(database("counting sources", poured)?), faults))
}

fn parts(sql: &Connection) -> Result<Vec<u8>, StoreError> {
    let rows = sql
        .prepare_cached("SELECT DISTINCT part FROM sources_waiting")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>());
    database("reading who waits", rows)
}

/// How many wait, and who is poured next.
struct Tally {
    runs: u64,
    waiting: u64,
    next_part: u8,
}

impl Tally {
    fn read(sql: &Connection) -> Result<Self, StoreError> {
        let of_row =
            |row: &Row<'_>| Ok(Self { runs: row.get(0)?, waiting: row.get(1)?, next_part: row.get(2)? });
        let tally = sql
            .prepare_cached("SELECT runs, waiting, next_part FROM sources_tally")
            .and_then(|mut statement| statement.query_row([], of_row));
        database("reading who waits", tally)
    }

    fn keep(&self, sql: &Connection) -> Result<(), StoreError> {
        let kept = sql
            .prepare_cached("UPDATE sources_tally SET runs = ?1, waiting = ?2, next_part = ?3")
            .and_then(|mut statement| statement.execute(params![self.runs, self.waiting, self.next_part]));
        database("noting who waits", kept).map(count)
    }
}

/// The first bytes of a pseudonym: few enough for many on a page, and so many that hardly two ever share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Head(i64);

impl Head {
    fn of(source: &Pseudonym) -> Self {
        Self(source.as_bytes().first_chunk().copied().map_or(0, i64::from_be_bytes))
    }

    /// Which part of all pseudonyms it is of: they lie beside one another in the tree.
    fn part(self) -> u8 {
        let [first, ..] = self.0.to_be_bytes();
        first / PART_FIRST_BYTES
    }
}

struct Entry {
    head: Head,
    subject: SubjectId,
}

impl Entry {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, subject) = bytes.split_first_chunk()?;
        let subject = SubjectId::from_bytes(subject.try_into().ok()?);
        Some(Self { head: Head(i64::from_be_bytes(*head)), subject })
    }
}

fn entries_of(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.chunks_exact(ENTRY_BYTES).filter_map(Entry::read)
}

/// Runs are written at the end of each part: of fewer parts, a transaction writes fewer pages, and who asks for one person
/// reads more. With 128, these pages were a sixth of what some thousand people took.
const PARTS: u8 = 32;
/// The first bytes that one part has.
const PART_FIRST_BYTES: u8 = 8;
/// Eight bytes of the pseudonym and sixteen of the subject.
const ENTRY_BYTES: usize = 24;
/// More in one row would take a page of its own.
const RUN_ENTRIES: usize = 40;
/// The more wait, the more share a page when they are poured; who asks reads all of a part, a hundred kilobytes.
const WAITING_MAX: u64 = 131_072;

#[cfg(test)]
mod tests;
