//! Exact totals of what a disposal takes: what is left to report from when the payloads are gone.
//!
//! `docs/audit-log.md` specifies their text.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::audit::entry::Opening;
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::PayloadClass;
use crate::clock::{Timestamp, date_of};
use crate::store::{Journal, StoreError};

use super::disposal::{Span, disclosures_of};
use super::tx::{entry_place, entry_row};
use super::{Context, database};

/// What is counted: a line of the totals without its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    month: String,
    journal: String,
    agreement: String,
    purpose: String,
    what: String,
}

/// The totals of a journal, or of several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    entries: u64,
    lines: BTreeMap<Line, u64>,
}

impl Totals {
    /// The number of entries whose payloads go.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Takes another journal's in.
    pub(super) fn add(&mut self, other: &Self) {
        self.entries = self.entries.saturating_add(other.entries);
        for (line, number) in &other.lines {
            self.count(line.clone(), *number);
        }
    }

    /// The lines in their order, in parts that fit a fact of the log; one part at least.
    pub(super) fn parts(&self) -> Vec<String> {
        let mut parts = vec![String::new()];
        for (line, number) in &self.lines {
            let Line { month, journal, agreement, purpose, what } = line;
            let text = format!("{month} {journal} {agreement} {purpose} {what} {number}\n");
            match parts.last_mut().filter(|part| part.len().saturating_add(text.len()) <= PART_MAX_BYTES) {
                Some(part) => part.push_str(&text),
                None => parts.push(text),
            }
        }
        parts
    }

    fn count(&mut self, line: Line, number: u64) {
        let counted = self.lines.entry(line).or_default();
        *counted = counted.saturating_add(number);
    }
}

/// Counts what a disposal of a span takes, journal by journal.
pub(super) fn count(
    context: &Context,
    sql: &Connection,
    span: Span,
) -> Result<BTreeMap<Journal, Totals>, StoreError> {
    let names = names(sql)?;
    let mut journals: BTreeMap<Journal, Totals> = BTreeMap::new();
    let mut statement = database(
        "counting entries",
        sql.prepare_cached(
            "SELECT journal, idx, at_ms, holder_opening FROM entries
             WHERE class = ?1 AND at_ms < ?2 AND holder_opening IS NOT NULL",
        ),
    )?;
    let mut rows =
        database("counting entries", statement.query(params![span.class.number(), span.end_ms()]))?;
    while let Some(row) = database("counting entries", rows.next())? {
        let read =
            || Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?));
        let (journal, index, at, sealed) = database("counting entries", read())?;
        let at = Timestamp::from_millis(at);
        let event = event(context, span.class, (journal, index), at, &sealed)?;
        let journal = names.get(&journal).ok_or(StoreError::Damaged { what: "a journal" })?;
        let totals = journals.entry(journal.clone()).or_default();
        totals.entries = totals.entries.saturating_add(1);
        let line = |what: &str| line(at, journal, event.as_ref(), what);
        totals.count(line(event.as_ref().map_or(UNREADABLE, |event| event.kind.name())), 1);
        if event.as_ref().is_some_and(is_hit) {
            totals.count(line(HITS), 1);
        }
    }
    if span.class == PayloadClass::Disclosure {
        count_disclosures(context, sql, span, &mut journals)?;
    }
    Ok(journals)
}

/// Disclosures by the state in which they ended, in the month in which they were asked for.
fn count_disclosures(
    context: &Context,
    sql: &Connection,
    span: Span,
    journals: &mut BTreeMap<Journal, Totals>,
) -> Result<(), StoreError> {
    for id in disclosures_of(context, sql, span)? {
        let row = super::disclosure_row::get(context, sql, id)?;
        let row = row.ok_or(StoreError::Damaged { what: "a disclosure" })?;
        let request = row.case.disclosure.request();
        let journal = Journal::Partner(request.partner().clone());
        let line = Line {
            month: month(request.received()),
            journal: journal.name().to_owned(),
            agreement: request.agreement().as_str().to_owned(),
            purpose: request.ask().purpose().as_str().to_owned(),
            what: format!("{ENDED}{}", row.case.disclosure.state()),
        };
        journals.entry(journal).or_default().count(line, 1);
    }
    Ok(())
}

fn names(sql: &Connection) -> Result<BTreeMap<i64, Journal>, StoreError> {
    let rows = sql.prepare_cached("SELECT id, origin FROM journals").and_then(|mut statement| {
        statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
            .collect::<Result<Vec<_>, _>>()
    });
    // A tree that was left behind has no name of its own; its origin says whose it was.
    let named = database("reading the journals", rows)?.into_iter().map(|(row, origin)| {
        let name = origin.split_once("/onebit/").map_or("", |(_, name)| name);
        let journal = Journal::parse(name.split('/').next().unwrap_or_default())
            .map_err(|_| StoreError::Damaged { what: "a journal's name" })?;
        Ok((row, journal))
    });
    named.collect()
}

/// What the holder's side of an entry says; `None` when it can't be opened, which is counted as such.
fn event(
    context: &Context,
    class: PayloadClass,
    (journal, index): (i64, u64),
    at: Timestamp,
    sealed: &[u8],
) -> Result<Option<Event>, StoreError> {
    let Some(key) = context.keys.payload_key_find(class.number(), at.day())? else { return Ok(None) };
    let row = entry_row(journal, index);
    let plain = key.sealing().open(entry_place(&row, "holder_opening"), sealed);
    let opening = plain.ok().and_then(|plain| Opening::decode(plain.expose()).ok());
    Ok(opening.and_then(|opening| opening.event().ok()))
}

fn line(at: Timestamp, journal: &Journal, event: Option<&Event>, what: &str) -> Line {
    let stated = |fact| event.and_then(|event| event.text_of(fact)).unwrap_or(ABSENT).to_owned();
    Line {
        month: month(at),
        journal: journal.name().to_owned(),
        agreement: stated(Fact::Agreement),
        purpose: stated(Fact::Purpose),
        what: what.to_owned(),
    }
}

fn is_hit(event: &Event) -> bool {
    event.kind == Kind::QueryAnswered && event.fact(Fact::Outcome) == Some(&[1])
}

fn month(at: Timestamp) -> String {
    let date = date_of(at.day());
    format!("{:04}-{:02}", date.year(), date.month())
}

/// Below the 8,192 bytes that a fact may have.
const PART_MAX_BYTES: usize = 8_000;
const ABSENT: &str = "-";
const HITS: &str = "hits";
const ENDED: &str = "ended-";
const UNREADABLE: &str = "unreadable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_totals_are_split_between_lines() {
        let mut totals = Totals::default();
        for number in 0..1_000_u64 {
            let line = Line {
                month: "2026-02".to_owned(),
                journal: "au-border".to_owned(),
                agreement: format!("agreement-{number:04}"),
                purpose: "border-identity".to_owned(),
                what: "query.answered".to_owned(),
            };
            totals.count(line, number);
        }
        let parts = totals.parts();
        assert!(
            parts.len() > 1 && parts.iter().all(|part| part.len() <= crate::audit::event::FACT_MAX_BYTES)
        );
        let lines: Vec<&str> = parts.iter().flat_map(|part| part.lines()).collect();
        assert_eq!(lines.len(), 1_000, "no line is lost or cut");
        assert_eq!(lines[7], "2026-02 au-border agreement-0007 border-identity query.answered 7");
        assert_eq!(Totals::default().parts(), [""], "an empty one has one part");
    }
}
