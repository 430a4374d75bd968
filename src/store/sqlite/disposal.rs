//! Disposal in SQLite. The confirmed change, its totals and a row of `disposals` are one transaction; what follows
//! it, first the keys, then tags in the index, then openings with their tags, then rows, goes step by step, and is done again until it is finished.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{Disposable, PayloadClass, Permit};
use crate::clock::{Timestamp, day_of};
use crate::ids::{BreachId, ChangeId, DisclosureId, PartnerName, QueryId, SubjectRequestId};
use crate::keys::Domain;
use crate::store::change::ChangeRecord;
use crate::store::disposal::{PayloadFacts, Unfinished};
use crate::store::{Journal, StoreError};

use super::day_key::{mark, split};
use super::tx::{SYSTEM_ACTOR, Tx};
use super::{Context, SqliteStore, connect, count, database, tag_index, totals};

/// What is to go: everything of a class from before a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) class: PayloadClass,
    pub(super) before: i64,
}

impl Span {
    /// Everything of it is earlier than this.
    pub(super) fn end_ms(self) -> i64 {
        Timestamp::at_day(self.before).as_millis()
    }
}

/// A disposal that is in effect and not finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    change: [u8; 16],
    span: Span,
}

/// Whether anything was there to dispose of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Something,
    Nothing,
}

/// What is kept of a class, and how much of it is from before a day.
pub(super) fn facts(context: &Context, sql: &Connection, span: Span) -> Result<PayloadFacts, StoreError> {
    let (oldest, days) = context.keys.payload_days(span.class.number(), span.before)?;
    let unfinished = if due(sql)?.iter().any(|due| due.span.class == span.class) {
        Unfinished::Yes
    } else {
        Unfinished::No
    };
    Ok(PayloadFacts {
        oldest,
        days,
        entries: entries(sql, span)?,
        needed: needed(context, sql, span)?,
        unfinished,
    })
}

fn entries(sql: &Connection, span: Span) -> Result<u64, StoreError> {
    let found = sql
        .prepare_cached(
            "SELECT count(*) FROM entries WHERE class = ?1 AND at_ms < ?2 AND holder_opening IS NOT NULL",
        )
        .and_then(|mut statement| {
            statement.query_row(params![span.class.number(), span.end_ms()], |row| row.get(0))
        });
    database("counting entries", found)
}

/// What still needs something of a span, in words for whoever would dispose of it.
pub(super) fn needed(context: &Context, sql: &Connection, span: Span) -> Result<Option<String>, StoreError> {
    match span.class {
        PayloadClass::Query => query_needed(context, sql, span),
        PayloadClass::Disclosure => {
            let owed = "SELECT id FROM disclosures WHERE created_ms < ?1 AND review_ms IS NOT NULL
                        ORDER BY sequence LIMIT 1";
            if let Some(id) = first_id(sql, owed, span)?.map(DisclosureId::from_bytes) {
                return Ok(Some(format!("`{}` owes a review; wait until it is closed", id.resource())));
            }
            let open = "SELECT id FROM disclosures WHERE created_ms < ?1 AND state NOT IN
                          ('acknowledged', 'denied', 'withdrawn', 'expired', 'lapsed', 'revoked', 'locked') ORDER BY sequence LIMIT 1";
            let id = first_id(sql, open, span)?.map(DisclosureId::from_bytes);
            Ok(id.map(|id| format!("`{}` has not ended; wait until it has", id.resource())))
        }
        PayloadClass::Administration => {
            let open = "SELECT id FROM changes WHERE created_ms < ?1 AND state = 'proposed'
                        ORDER BY sequence LIMIT 1";
            let id = first_id(sql, open, span)?.map(ChangeId::from_bytes);
            if let Some(id) = id {
                return Ok(Some(format!(
                    "`{}` waits for a second person; confirm or reject it",
                    id.resource()
                )));
            }
            let open = "SELECT id FROM breaches WHERE opened_ms < ?1 AND state = 'open'
                        ORDER BY sequence LIMIT 1";
            let id = first_id(sql, open, span)?.map(BreachId::from_bytes);
            Ok(id.map(|id| format!("`{}` is open; close it", id.resource())))
        }
        PayloadClass::Enrolment => {
            let open = "SELECT id FROM subject_requests WHERE opened_ms < ?1 AND state = 'open'
                        ORDER BY sequence LIMIT 1";
            let id = first_id(sql, open, span)?.map(SubjectRequestId::from_bytes);
            Ok(id.map(|id| format!("`{}` is open; close it", id.resource())))
        }
        PayloadClass::Access => Ok(None),
    }
}

/// A query is needed as long as a disclosure that follows on it has not ended.
fn query_needed(context: &Context, sql: &Connection, span: Span) -> Result<Option<String>, StoreError> {
    let open = sql
        .prepare_cached(
            "SELECT id FROM disclosures WHERE state NOT IN ('acknowledged', 'denied', 'withdrawn', 'expired', 'lapsed', 'revoked', 'locked')",
        )
        .and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
        });
    for id in database("looking for open disclosures", open)? {
        let id = DisclosureId::from_bytes(id);
        let row = super::disclosure_row::get(context, sql, id)?;
        let row = row.ok_or(StoreError::Damaged { what: "a disclosure" })?;
        let query: QueryId = row.case.disclosure.request().ask().query();
        let received =
            sql.prepare_cached("SELECT received_ms FROM queries WHERE id = ?1").and_then(|mut statement| {
                statement.query_row(params![query.as_bytes()], |row| row.get::<_, i64>(0)).optional()
            });
        if database("looking for a query", received)?.is_some_and(|received| received < span.end_ms()) {
            let (query, disclosure) = (query.resource(), id.resource());
            return Ok(Some(format!("`{query}` is what `{disclosure}` follows on, which has not ended")));
        }
    }
    Ok(None)
}

fn first_id(sql: &Connection, statement: &str, span: Span) -> Result<Option<[u8; 16]>, StoreError> {
    let found = sql
        .prepare_cached(statement)
        .and_then(|mut statement| statement.query_row(params![span.end_ms()], |row| row.get(0)).optional());
    database("looking for what needs payloads", found)
}

/// The day before which payloads of a class were disposed of.
pub(super) fn disposed_before(sql: &Connection, class: u8) -> Result<i64, StoreError> {
    let day = sql
        .prepare_cached("SELECT coalesce(max(before_day), ?2) FROM disposals WHERE class = ?1")
        .and_then(|mut statement| statement.query_row(params![class, i64::MIN], |row| row.get(0)));
    database("looking for a disposal", day)
}

/// Puts a disposal into effect: its totals in the log, and what is to be destroyed after the commit.
pub(super) fn take(
    tx: &mut Tx<'_>,
    permit: &Permit,
    record: &ChangeRecord,
    leave: &Disposable,
) -> Result<Taken, StoreError> {
    let span = Span { class: leave.class(), before: day_of(leave.before()) };
    let (_, days) = tx.context.keys.payload_days(span.class.number(), span.before)?;
    let mut whole = totals::Totals::default();
    let journals = totals::count(tx.context, tx.sql, span)?;
    if days == 0 && journals.is_empty() {
        return Ok(Taken::Nothing);
    }
    for (journal, own) in journals {
        whole.add(&own);
        if let Journal::Partner(partner) = &journal {
            partner_enter(tx, permit, record, leave, partner, &own)?;
        }
    }
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    for (facts, part) in stated(leave, &whole) {
        let event = tx
            .event(Kind::PayloadsDisposed, permit)
            .text(Fact::Reason, &record.reason)
            .with(Fact::Change, record.id.as_bytes());
        tx.enter_private(
            &facts.iter().fold(event, |event, fact| fact.onto(event)).text(Fact::Detail, &part),
            &[tag],
        )?;
    }
    let kept = tx.sql.execute(
        "INSERT INTO disposals (change, class, before_day, entries, disposed_ms, state)
         VALUES (?1, ?2, ?3, ?4, ?5, 'due')",
        params![record.id.as_bytes(), span.class.number(), span.before, whole.entries(), tx.now.as_millis()],
    );
    database("keeping a disposal", kept)?;
    Ok(Taken::Something)
}

/// A partner reads in its own journal what of its own is gone, and nothing of anybody else's.
fn partner_enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    record: &ChangeRecord,
    leave: &Disposable,
    partner: &PartnerName,
    own: &totals::Totals,
) -> Result<(), StoreError> {
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    for (facts, part) in stated(leave, own) {
        let stating =
            |event: Event| facts.iter().fold(event, |event, fact| fact.onto(event)).text(Fact::Detail, &part);
        let shared = stating(Event::new(Kind::PayloadsDisposed, tx.now, SYSTEM_ACTOR, permit.policy()));
        let holder = stating(tx.event(Kind::PayloadsDisposed, permit))
            .text(Fact::Reason, &record.reason)
            .text(Fact::Partner, partner.as_str())
            .with(Fact::Change, record.id.as_bytes());
        tx.enter(Journal::Partner(partner.clone()), &shared, &holder, &[tag])?;
    }
    Ok(())
}

/// A fact of a disposal.
enum Stated {
    Text(Fact, String),
    Number(Fact, u64),
}

impl Stated {
    fn onto(&self, event: Event) -> Event {
        match self {
            Self::Text(fact, value) => event.text(*fact, value),
            Self::Number(fact, value) => event.number(*fact, *value),
        }
    }
}

/// The facts of each entry that a disposal takes, with its detail: several when the totals are long.
fn stated(leave: &Disposable, totals: &totals::Totals) -> Vec<(Vec<Stated>, String)> {
    let retention = leave.retention();
    let parts = totals.parts();
    let last = parts.len();
    let numbered = parts.into_iter().zip(1_usize..);
    numbered
        .map(|(lines, number)| {
            let facts = vec![
                Stated::Text(Fact::Class, leave.class().to_string()),
                Stated::Text(Fact::Before, leave.before().to_string()),
                Stated::Number(Fact::Entries, totals.entries()),
                Stated::Text(Fact::Totals, lines),
            ];
            let (class, days, authority) = (&retention.name, retention.days, &retention.authority);
            (facts, format!("part {number} of {last}; {class}, {days} days: {authority}"))
        })
        .collect()
}

/// Disposals that are in effect and not finished.
fn due(sql: &Connection) -> Result<Vec<Due>, StoreError> {
    let rows = sql
        .prepare_cached("SELECT change, class, before_day FROM disposals WHERE state = 'due'")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, u8>(1)?, row.get(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    database("looking for disposals", rows)?
        .into_iter()
        .map(|(change, class, before)| {
            let class = PayloadClass::ALL.into_iter().find(|known| known.number() == class);
            let class = class.ok_or(StoreError::Damaged { what: "a disposal" })?;
            Ok(Due { change, span: Span { class, before } })
        })
        .collect()
}

/// Where the destruction of a span stands.
#[derive(Debug, Clone)]
enum Stage {
    /// In the index, behind this run.
    Tags {
        after: Option<u64>,
    },
    Openings,
    Rows {
        after: [u8; 16],
    },
    Gone,
}

/// Does one bounded step, and says what comes next.
fn step(sql: &Connection, span: Span, stage: &Stage) -> Result<Stage, StoreError> {
    match stage {
        Stage::Tags { after } => {
            let next = tag_index::forget(sql, span, *after)?;
            Ok(next.map_or(Stage::Openings, |run| Stage::Tags { after: Some(run) }))
        }
        Stage::Openings => {
            let left = openings_delete(sql, span)?;
            Ok(if left { Stage::Openings } else { Stage::Rows { after: [0; 16] } })
        }
        Stage::Rows { after } => {
            let next = rows_delete(sql, span, *after)?;
            Ok(next.map_or(Stage::Gone, |after| Stage::Rows { after }))
        }
        Stage::Gone => Ok(Stage::Gone),
    }
}

/// Overwrites and then drops the openings and tags of some entries; whether more may be there.
fn openings_delete(sql: &Connection, span: Span) -> Result<bool, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT journal, idx FROM entries WHERE class = ?1 AND at_ms < ?2 AND holder_opening IS NOT NULL
             LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![span.class.number(), span.end_ms(), STEP_ROWS], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    let rows = database("looking for openings", rows)?;
    // Zeros of the same length first: they are written where the bytes lie, before any page is put in order anew.
    for statement in [
        "UPDATE entries SET tags = zeroblob(length(tags)), partner_opening = zeroblob(length(partner_opening)),
           holder_opening = zeroblob(length(holder_opening)) WHERE journal = ?1 AND idx = ?2",
        "UPDATE entries SET tags = NULL, partner_opening = NULL, holder_opening = NULL
           WHERE journal = ?1 AND idx = ?2",
    ] {
        for (journal, index) in &rows {
            let done = sql
                .prepare_cached(statement)
                .and_then(|mut statement| statement.execute(params![journal, index]));
            database("disposing of an opening", done).map(count)?;
        }
    }
    Ok(!rows.is_empty())
}

/// Deletes some of the rows that hold what a class is about; where to go on, or `None` at the end. They are those that
/// lie under the keys which go: a disclosure or a change that was touched since lies under a later one.
fn rows_delete(sql: &Connection, span: Span, after: [u8; 16]) -> Result<Option<[u8; 16]>, StoreError> {
    let statement = match span.class {
        PayloadClass::Query => {
            "SELECT id FROM queries WHERE id > ?1 AND received_ms < ?2 ORDER BY id LIMIT ?4"
        }
        PayloadClass::Enrolment => {
            "SELECT id FROM (SELECT id FROM batches WHERE substr(official, 1, 8) < ?3
                             UNION SELECT id FROM subject_requests WHERE substr(body, 1, 8) < ?3)
             WHERE id > ?1 AND ?2 IS ?2 ORDER BY id LIMIT ?4"
        }
        PayloadClass::Disclosure => {
            "SELECT id FROM disclosures WHERE id > ?1 AND substr(body, 1, 8) < ?3 ORDER BY id LIMIT ?4"
        }
        PayloadClass::Administration => {
            "SELECT id FROM (SELECT id FROM changes WHERE substr(body, 1, 8) < ?3
                             UNION SELECT id FROM breaches WHERE substr(body, 1, 8) < ?3)
             WHERE id > ?1 AND ?2 IS ?2 ORDER BY id LIMIT ?4"
        }
        PayloadClass::Access => return Ok(None),
    };
    let ids = ids(sql, statement, params![after, span.end_ms(), mark(span.before), STEP_ROWS])?;
    for id in &ids {
        for statement in deletions(span.class) {
            let deleted =
                sql.prepare_cached(statement).and_then(|mut statement| statement.execute(params![id]));
            database("disposing of a row", deleted).map(count)?;
        }
    }
    Ok(ids.last().copied())
}

/// Sealed columns are overwritten before their row is deleted, for the same reason as openings are.
const fn deletions(class: PayloadClass) -> &'static [&'static str] {
    match class {
        PayloadClass::Query => &[
            "UPDATE queries SET outcome = zeroblob(length(outcome)) WHERE id = ?1",
            "DELETE FROM queries WHERE id = ?1",
        ],
        PayloadClass::Disclosure => &[
            "UPDATE releases SET ciphertext = zeroblob(length(ciphertext)) WHERE disclosure = ?1",
            "DELETE FROM releases WHERE disclosure = ?1",
            "DELETE FROM recipients WHERE disclosure = ?1",
            "UPDATE disclosure_steps SET step = zeroblob(length(step)) WHERE disclosure = ?1",
            "DELETE FROM disclosure_steps WHERE disclosure = ?1",
            "UPDATE disclosures SET body = zeroblob(length(body)) WHERE id = ?1",
            "DELETE FROM disclosures WHERE id = ?1",
        ],
        PayloadClass::Enrolment => &[
            "UPDATE batches SET official = zeroblob(length(official)) WHERE id = ?1",
            "DELETE FROM batches WHERE id = ?1",
            "UPDATE subject_requests SET body = zeroblob(length(body)) WHERE id = ?1",
            "DELETE FROM subject_requests WHERE id = ?1",
        ],
        PayloadClass::Administration => &[
            "UPDATE changes SET body = zeroblob(length(body)) WHERE id = ?1",
            "DELETE FROM changes WHERE id = ?1",
            "UPDATE breaches SET body = zeroblob(length(body)) WHERE id = ?1",
            "DELETE FROM breaches WHERE id = ?1",
        ],
        PayloadClass::Access => &[],
    }
}

fn ids(
    sql: &Connection,
    statement: &str,
    bounds: &[&dyn rusqlite::ToSql],
) -> Result<Vec<[u8; 16]>, StoreError> {
    let rows = sql.prepare_cached(statement).and_then(|mut statement| {
        statement.query_map(bounds, |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
    });
    database("looking for rows to dispose of", rows)
}

/// Disclosures that are disposed of with a span: all that lie under its keys. What an earlier disposal has taken, and
/// what lies under a key that is not there, can't be read.
pub(super) fn disclosures_of(
    context: &Context,
    sql: &Connection,
    span: Span,
) -> Result<Vec<DisclosureId>, StoreError> {
    let class = span.class.number();
    let disposed = disposed_before(sql, class)?;
    let rows = sql
        .prepare_cached(
            "SELECT id, substr(body, 1, 8) FROM disclosures
             WHERE substr(body, 1, 8) >= ?1 AND substr(body, 1, 8) < ?2",
        )
        .and_then(|mut statement| {
            let bounds = params![mark(disposed), mark(span.before)];
            statement
                .query_map(bounds, |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    let mut found = Vec::new();
    for (id, mark) in database("looking for disclosures", rows)? {
        let day = split(&mark).map(|(day, _)| day);
        if let Some(day) = day
            && context.keys.payload_key_find(class, day)?.is_some()
        {
            found.push(DisclosureId::from_bytes(id));
        }
    }
    Ok(found)
}

/// Finishes disposals that a crash cut short, at the start, when nobody else uses the database.
pub(super) fn finish(context: &Context, sql: &Connection) -> Result<(), StoreError> {
    for due in due(sql)? {
        context.keys.payload_keys_destroy(due.span.class.number(), due.span.before)?;
        let mut stage = Stage::Tags { after: None };
        while !matches!(stage, Stage::Gone) {
            let transaction = database("disposing of payloads", sql.unchecked_transaction())?;
            stage = step(&transaction, due.span, &stage)?;
            database("disposing of payloads", transaction.commit())?;
        }
        if emptied(sql)? {
            done(sql, due)?;
        }
    }
    Ok(())
}

fn done(sql: &Connection, due: Due) -> Result<(), StoreError> {
    let updated = sql.execute("UPDATE disposals SET state = 'done' WHERE change = ?1", params![due.change]);
    database("finishing a disposal", updated).map(count)
}

/// Empties the write-ahead log, in which earlier forms of pages stand; whether nobody was reading from it.
fn emptied(sql: &Connection) -> Result<bool, StoreError> {
    let busy = sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    database("emptying the write-ahead log", busy).map(|busy| busy == 0)
}

impl SqliteStore {
    /// Destroys what disposals that are in effect have left; gives the number of those that are finished now.
    pub(super) async fn disposals_end(&self) -> Result<u32, StoreError> {
        let mut finished = 0;
        for due in self.readers.read(due).await? {
            let context = Arc::clone(&self.context);
            let keys = move || context.keys.payload_keys_destroy(due.span.class.number(), due.span.before);
            tokio::task::spawn_blocking(keys).await.map_err(|_| StoreError::Closed)??;
            let mut stage = Stage::Tags { after: None };
            while !matches!(stage, Stage::Gone) {
                let done = move |tx: &mut Tx<'_>| step(tx.sql, due.span, &stage);
                stage = self.writer.unlogged(done).await?;
            }
            let path = self.path.clone();
            let emptying = tokio::task::spawn_blocking(move || emptied(&connect(&path)?));
            if emptying.await.map_err(|_| StoreError::Closed)?? {
                self.writer.unlogged(move |tx| done(tx.sql, due)).await?;
                finished += 1;
            }
        }
        Ok(finished)
    }
}

/// A step takes a few milliseconds, so that what else is written hardly waits.
const STEP_ROWS: u32 = 64;

#[cfg(test)]
mod tests;
