//! Searching the log: entries that have a tag, the newest first.

use rusqlite::{Connection, Row, params};

use crate::audit::entry::Entry;
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::keys::Tag;
use crate::store::search::{Attribute, Followed, FoundEntry, Search, Sought};
use crate::store::{Journal, StoreError};

use super::log::{Column, Stored, entries_read, journal_find};
use super::tx::Tx;
use super::{Context, database, tag_index, tags};

/// Enters a search, before anything of what it found is shown.
pub(super) fn enter(tx: &mut Tx<'_>, permit: &Permit, search: &Search) -> Result<u64, StoreError> {
    let sought = &search.sought;
    let event = tx
        .event(Kind::LogSearched, permit)
        .text(Fact::Attribute, sought.attribute().name())
        .text(Fact::Value, sought.value())
        .number(Fact::RangeCount, u64::from(search.limit))
        .text(Fact::Reason, &search.why);
    let dated = |event: Event, fact, at: Option<Timestamp>| match at {
        Some(at) => event.text(fact, &at.to_string()),
        None => event,
    };
    let event = dated(dated(event, Fact::Since, sought.since()), Fact::Until, sought.until());
    tx.enter_private(&event, &[])
}

/// What a search was for that is an entry of the holder's journal; `None` when there is no such one.
pub(super) fn recall(context: &Context, sql: &Connection, index: u64) -> Result<Option<Sought>, StoreError> {
    let Some((row, _)) = journal_find(sql, &Journal::Holder)? else { return Ok(None) };
    let stored = entries_read(sql, row, index, 1)?.pop().filter(|stored| stored.index == index);
    let Some(stored) = stored else { return Ok(None) };
    let Some(opening) = stored.open(context, sql, row, Column::Holder)? else { return Ok(None) };
    let event = opening.event().map_err(|_| StoreError::Damaged { what: "an entry's opening" })?;
    if event.kind != Kind::LogSearched {
        return Ok(None);
    }
    let damaged = || StoreError::Damaged { what: "an entry about a search" };
    let moment = |fact| match event.text_of(fact) {
        None => Ok(None),
        Some(text) => Timestamp::parse(text).map(Some).ok_or_else(damaged),
    };
    let attribute = event.text_of(Fact::Attribute).and_then(Attribute::from_name).ok_or_else(damaged)?;
    let value = event.text_of(Fact::Value).ok_or_else(damaged)?;
    let sought = Sought::new(attribute, value, moment(Fact::Since)?, moment(Fact::Until)?);
    sought.map(Some).map_err(|_| damaged())
}

/// Looks for entries; those that were written when it began.
pub(super) fn find(
    context: &Context,
    sql: &Connection,
    search: &Search,
) -> Result<Vec<FoundEntry>, StoreError> {
    if search.limit == 0 {
        return Ok(Vec::new());
    }
    let mut found = Finding {
        context,
        sql,
        sought: Some(&search.sought),
        before: search.before,
        limit: search.limit,
        found: Vec::new(),
    };
    match search.sought.tag(context.keys.ring.tags()) {
        Some(tag) => found.by_tag(tag)?,
        None => {
            if let Some((journal, index)) = search.sought.place() {
                found.by_index(&journal, index)?;
            }
        }
    }
    Ok(found.found)
}

/// Every entry that has a tag, the newest first.
pub(super) fn of_tag(context: &Context, sql: &Connection, tag: Tag) -> Result<Vec<FoundEntry>, StoreError> {
    let mut found = Finding { context, sql, sought: None, before: None, limit: u32::MAX, found: Vec::new() };
    found.by_tag(tag)?;
    Ok(found.found)
}

/// What was written after a place, from so many entries at the most.
pub(super) fn follow(
    context: &Context,
    sql: &Connection,
    after: u64,
    limit: u32,
) -> Result<Followed, StoreError> {
    let mut found = Finding { context, sql, sought: None, before: None, limit, found: Vec::new() };
    let mut last = None;
    let mut statement = database("preparing to follow the log", sql.prepare_cached(FOLLOWING))?;
    let mut rows = database(LOOKING, statement.query(params![after, limit]))?;
    while let Some(row) = database(LOOKING, rows.next())? {
        last = Some(database(LOOKING, row.get(9))?);
        found.take_row(row)?;
    }
    Ok(Followed { entries: found.found, last })
}

/// A search on its way.
struct Finding<'a> {
    context: &'a Context,
    sql: &'a Connection,
    /// The range of time; none for all of it.
    sought: Option<&'a Sought>,
    before: Option<u64>,
    limit: u32,
    found: Vec<FoundEntry>,
}

impl Finding<'_> {
    fn is_full(&self) -> bool {
        u32::try_from(self.found.len()).is_ok_and(|length| length >= self.limit)
    }

    fn is_due(&self, at: i64) -> bool {
        self.sought.is_none_or(|sought| sought.covers(Timestamp::from_millis(at)))
    }

    /// The newest entries one by one, and the others by the index.
    fn by_tag(&mut self, tag: Tag) -> Result<(), StoreError> {
        let before = self.before.unwrap_or(MOST);
        let runs = tag_index::runs(self.sql)?;
        let (indexed, _) = tag_index::bounds(runs);
        self.newest(tag, indexed, before)?;
        for run in self.runs(before)? {
            if self.is_full() {
                break;
            }
            for id in tag_index::look(self.sql, run, tag)?.into_iter().filter(|id| *id < before) {
                if self.is_full() {
                    break;
                }
                self.take(id, tag)?;
            }
        }
        Ok(())
    }

    /// Of those that are not indexed yet.
    fn newest(&mut self, tag: Tag, indexed: u64, before: u64) -> Result<(), StoreError> {
        let sql = self.sql;
        let mut statement = database("preparing to look for a tag", sql.prepare_cached(NEWEST))?;
        let mut rows = database(LOOKING, statement.query(params![indexed, before]))?;
        while !self.is_full()
            && let Some(row) = database(LOOKING, rows.next())?
        {
            let at = database(LOOKING, row.get(1))?;
            let has = tags::has(database(LOOKING, row.get_ref(2))?.as_blob().unwrap_or_default(), tag);
            if has && self.is_due(at) {
                self.take(database(LOOKING, row.get(0))?, tag)?;
            }
        }
        Ok(())
    }

    /// The runs in which there may be some, the newest first.
    fn runs(&self, before: u64) -> Result<Vec<u64>, StoreError> {
        let since = self.sought.and_then(Sought::since).map_or(i64::MIN, Timestamp::as_millis);
        let until = self.sought.and_then(Sought::until).map_or(i64::MAX, Timestamp::as_millis);
        let rows = self.sql.prepare_cached(RUNS).and_then(|mut statement| {
            let values = params![before.saturating_sub(1) / tag_index::RUN_ENTRIES, since, until];
            statement.query_map(values, |row| row.get(0))?.collect::<Result<Vec<_>, _>>()
        });
        database("looking for runs of the index", rows)
    }

    /// Opens an entry that may have the tag, and takes it if it has.
    fn take(&mut self, id: u64, tag: Tag) -> Result<(), StoreError> {
        let sql = self.sql;
        let mut statement = database("preparing to read an entry", sql.prepare_cached(ONE))?;
        let mut rows = database(LOOKING, statement.query(params![id]))?;
        let Some(row) = database(LOOKING, rows.next())? else { return Ok(()) };
        let at = database(LOOKING, row.get(2))?;
        let has = tags::has(database(LOOKING, row.get_ref(4))?.as_blob().unwrap_or_default(), tag);
        if has && self.is_due(at) { self.take_row(row) } else { Ok(()) }
    }

    /// Opens the entry in a row.
    fn take_row(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let entry = database(LOOKING, row.get::<_, Vec<u8>>(1))?;
        let stored = Stored {
            index: database(LOOKING, row.get(0))?,
            entry: Entry::decode(&entry).map_err(|_| StoreError::Damaged { what: "an entry" })?,
            at: Timestamp::from_millis(database(LOOKING, row.get(2))?),
            class: database(LOOKING, row.get(3))?,
            partner_opening: database(LOOKING, row.get(5))?,
            holder_opening: database(LOOKING, row.get(6))?,
        };
        let (journal, name) = (database(LOOKING, row.get(7))?, database(LOOKING, row.get::<_, String>(8))?);
        self.open(database(LOOKING, row.get(9))?, &name, journal, &stored)
    }

    fn open(&mut self, id: u64, journal: &str, row: i64, stored: &Stored) -> Result<(), StoreError> {
        // What a disposal in effect has taken is not found any more.
        let Some(opening) = stored.open(self.context, self.sql, row, Column::Holder)? else { return Ok(()) };
        let event = opening.event().map_err(|_| StoreError::Damaged { what: "an entry's opening" })?;
        let journal =
            Journal::parse(journal).map_err(|_| StoreError::Damaged { what: "a journal's name" })?;
        self.found.push(FoundEntry { place: id, journal, index: stored.index, at: stored.at, event });
        Ok(())
    }

    /// The one entry of a journal.
    fn by_index(&mut self, journal: &Journal, index: u64) -> Result<(), StoreError> {
        let Some((row, _)) = journal_find(self.sql, journal)? else { return Ok(()) };
        let id = self.sql.query_row(
            "SELECT coalesce(max(id), 0) FROM entries WHERE journal = ?1 AND idx = ?2",
            params![row, index],
            |row| row.get::<_, u64>(0),
        );
        let id = database(LOOKING, id)?;
        let stored = entries_read(self.sql, row, index, 1)?.pop().filter(|stored| stored.index == index);
        match stored {
            Some(stored)
                if self.is_due(stored.at.as_millis()) && self.before.is_none_or(|before| id < before) =>
            {
                self.open(id, journal.name(), row, &stored)
            }
            _ => Ok(()),
        }
    }
}

/// Entries that are not in the index yet. Of wide rows only what stands in front is read.
pub(super) const NEWEST: &str =
    "SELECT id, at_ms, tags FROM entries WHERE id > ?1 AND id < ?2 ORDER BY id DESC";
/// Runs that reach into a range of time.
pub(super) const RUNS: &str =
    "SELECT run FROM tag_runs WHERE run <= ?1 AND last_ms >= ?2 AND first_ms < ?3 ORDER BY run DESC";
/// One entry of a journal that is not left behind.
pub(super) const ONE: &str =
    "SELECT e.idx, e.entry, e.at_ms, e.class, e.tags, e.partner_opening, e.holder_opening,
     e.journal, j.name, e.id
   FROM entries e JOIN journals j ON j.id = e.journal AND j.retired = 0 WHERE e.id = ?1";
/// Entries in the order in which they were written.
pub(super) const FOLLOWING: &str =
    "SELECT e.idx, e.entry, e.at_ms, e.class, e.tags, e.partner_opening, e.holder_opening,
     e.journal, j.name, e.id
   FROM entries e JOIN journals j ON j.id = e.journal AND j.retired = 0 WHERE e.id > ?1 ORDER BY e.id LIMIT ?2";
const LOOKING: &str = "looking for entries";
/// Above every id.
const MOST: u64 = 1 << 62;

#[cfg(test)]
mod tests;
