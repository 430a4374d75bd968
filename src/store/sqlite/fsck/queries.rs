//! Queries: each row has its entry and each entry its row, the outcome is that of the entry, the counters count.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use crate::audit::event::{Event, Fact};
use crate::clock::Timestamp;
use crate::ids::QueryId;
use crate::keys::{Domain, KeyRing};
use crate::store::StoreError;

use super::super::database;
use super::super::query::outcome_place;
use super::entries::Opener;
use super::report::{FaultPlace, FsckReport};
use super::view::{PayloadKeys, View};
use crate::authz::PayloadClass;

/// What is compared over all journals.
#[derive(Default)]
pub(super) struct Queries {
    /// Queries by partner, agreement and day, as entries say.
    usage: BTreeMap<(String, String, i64), u64>,
    /// Days of a partner on which entries are disposed of, so that nobody can count them again.
    disposed: std::collections::BTreeSet<(String, i64)>,
    /// Rows that were met beside the entry that they name.
    met: u64,
}

/// What became of the query whose row names an entry.
pub(super) enum OfQuery {
    /// No row names the entry.
    None,
    /// One does, and the entry does not open.
    Unknown,
    /// The query is the entry's own; all in which they differ.
    Own(Vec<String>),
    /// The entry does not say that this query was answered.
    Other(QueryId),
}

impl OfQuery {
    /// Holds a row against the entry that it names.
    pub(super) fn compare(opener: &Opener<'_>, row: &Row, index: i64, event: &Event) -> Self {
        if event.fact(Fact::Query) != Some(row.id.as_slice()) {
            return Self::Other(row.query());
        }
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        Self::Own(differences(
            (opener.ring, opener.payload),
            row,
            (opener.owner, opener.journal),
            index,
            event,
        ))
    }
}

/// A query as it is stored.
pub(super) struct Row {
    id: Vec<u8>,
    partner: String,
    request_tag: Vec<u8>,
    content: Vec<u8>,
    agreement: String,
    collection: String,
    received: i64,
    outcome: Option<Vec<u8>>,
    index: i64,
    journal: i64,
}

impl Row {
    /// The query in the columns from `first` on; `None` when they are all nothing.
    pub(super) fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let at = |column: usize| first.saturating_add(column);
        let Some(id) = row.get(at(0))? else { return Ok(None) };
        Ok(Some(Self {
            id,
            partner: row.get(at(1))?,
            request_tag: row.get(at(2))?,
            content: row.get(at(3))?,
            agreement: row.get(at(4))?,
            collection: row.get(at(5))?,
            received: row.get(at(6))?,
            outcome: row.get(at(7))?,
            index: row.get(at(8))?,
            journal: row.get(at(9))?,
        }))
    }

    fn query(&self) -> QueryId {
        QueryId::from_bytes(self.id.as_slice().try_into().unwrap_or_default())
    }
}

impl Queries {
    /// The query whose row names an entry.
    pub(super) fn meet(&mut self, name: &str, index: u64, query: &OfQuery, report: &mut FsckReport) {
        if !matches!(query, OfQuery::None) {
            self.met = self.met.saturating_add(1);
        }
        if let OfQuery::Other(id) = query {
            let what = format!("entry {index} of journal {name} does not say that it was answered");
            report.fault(FaultPlace::Query(*id), what);
        }
    }

    /// An entry that says that a query was answered.
    pub(super) fn take(
        &mut self,
        view: &View,
        journal: (i64, &str, &str),
        index: u64,
        (event, query): (&Event, OfQuery),
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let (row_of_journal, name, partner) = journal;
        let agreement = event.text_of(Fact::Agreement).unwrap_or_default().to_owned();
        let counted = self.usage.entry((partner.to_owned(), agreement, event.at.day())).or_default();
        *counted = counted.saturating_add(1);
        report.counts.queries = report.counts.queries.saturating_add(1);
        let place = FaultPlace::Entry { journal: name.to_owned(), index };
        let Some(id) = event.fact(Fact::Query).and_then(|id| id.try_into().ok()) else {
            report.fault(place, "it names no query");
            return Ok(());
        };
        let id = QueryId::from_bytes(id);
        let found = match query {
            OfQuery::Own(found) => found,
            // Its row names another entry, if there is one.
            OfQuery::None | OfQuery::Unknown | OfQuery::Other(_) => match find(view, id)? {
                Some(row) => {
                    differences((&view.ring, &view.payload), &row, (partner, row_of_journal), index, event)
                }
                None => {
                    // It goes by the day on which it was received, and its entry by its own.
                    let received = event.at.before(Duration::from_millis(RECEIVED_APART_MS));
                    if !view.disposals.covers(PayloadClass::Query, received) {
                        let what = format!(
                            "it says that {} was answered, and there is no such query",
                            id.resource()
                        );
                        report.fault(place, what);
                    }
                    return Ok(());
                }
            },
        };
        for what in found {
            report.fault(FaultPlace::Query(id), what);
        }
        Ok(())
    }

    /// An entry of the class of queries whose openings are gone.
    pub(super) fn take_disposed(&mut self, partner: &str, at: Timestamp) {
        self.disposed.insert((partner.to_owned(), at.day()));
    }

    /// All journals were read: counters, and rows that name no entry.
    pub(super) fn end(&self, view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
        self.counters(view, report)?;
        let all = view.sql.query_row("SELECT count(*) FROM queries", [], |row| row.get::<_, u64>(0));
        if database("counting queries", all)? == self.met {
            return Ok(());
        }
        let strays = view.sql.prepare(
            "SELECT id, idx FROM queries q
             WHERE NOT EXISTS (SELECT 1 FROM entries e WHERE e.journal = q.journal AND e.idx = q.idx)",
        );
        let strays = strays.and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
        for (id, index) in database("reading queries", strays)? {
            let id = QueryId::from_bytes(id.try_into().unwrap_or_default());
            report
                .fault(FaultPlace::Query(id), format!("there is no entry {index} in its partner's journal"));
        }
        Ok(())
    }

    fn counters(&self, view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
        let mut due = self.usage.clone();
        let mut statement = database(
            "reading counters",
            view.sql.prepare("SELECT partner, agreement, day, queries FROM query_usage"),
        )?;
        let mut rows = database("reading counters", statement.query([]))?;
        while let Some(row) = database("reading counters", rows.next())? {
            let read = row
                .get::<_, String>(0)
                .and_then(|partner| Ok((partner, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)));
            let (partner, agreement, day, queries): (String, String, i64, i64) =
                database("reading counters", read)?;
            let entries = due.remove(&(partner.clone(), agreement.clone(), day)).unwrap_or_default();
            let entries = i64::try_from(entries).unwrap_or(i64::MAX);
            let disposed = self.disposed.contains(&(partner.clone(), day));
            if queries < entries || (queries > entries && !disposed) {
                let place = FaultPlace::Usage { partner, agreement, day };
                report.fault(place, format!("it counts {queries} queries, and {entries} have an entry"));
            }
        }
        for ((partner, agreement, day), entries) in due {
            let place = FaultPlace::Usage { partner, agreement, day };
            report.fault(place, format!("it is missing, and {entries} queries have an entry"));
        }
        Ok(())
    }
}

fn find(view: &View, id: QueryId) -> Result<Option<Row>, StoreError> {
    let row = view
        .sql
        .prepare_cached(
            "SELECT id, partner, request_tag, content, agreement, collection, received_ms, outcome, idx, journal
             FROM queries WHERE id = ?1",
        )
        .and_then(|mut statement| statement.query_row(params![id.as_bytes()], |row| Row::read(row, 0)).optional());
    database("looking for a query", row).map(Option::flatten)
}

/// All in which a row is not what its entry says.
fn differences(
    (ring, payload): (&KeyRing, &PayloadKeys),
    row: &Row,
    (partner, journal): (&str, i64),
    index: u64,
    event: &Event,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |same: bool, what: &str| {
        if !same {
            found.push(what.to_owned());
        }
    };
    let tag = event.fact(Fact::RequestId).map(|id| ring.tags().tag(Domain::RequestId, id));
    say(row.partner == partner, "its partner is not the one in whose journal its entry stands");
    say(row.journal == journal, "it names another tree than the one in which its entry stands");
    say(
        i64::try_from(index) == Ok(row.index),
        &format!("it names another entry than {index}, which is its own"),
    );
    say(
        tag.is_some_and(|tag| tag.as_bytes() == row.request_tag.as_slice()),
        "the tag of its request id is not that of its entry",
    );
    say(
        event.fact(Fact::RequestDigest) == Some(&row.content),
        "the digest of its content is not that of its entry",
    );
    say(event.text_of(Fact::Agreement) == Some(&row.agreement), "its agreement is not that of its entry");
    say(event.text_of(Fact::Collection) == Some(&row.collection), "its collection is not that of its entry");
    let received = Timestamp::from_millis(row.received);
    let apart = event.at.as_millis().abs_diff(row.received);
    say(apart <= RECEIVED_APART_MS, "the time at which it was received is not about that of its entry");
    let key = payload.find(PayloadClass::Query.number(), received.day());
    match (key, &row.outcome) {
        (Some(key), Some(outcome)) => {
            let plain = key.sealing().open(outcome_place(&row.id), outcome);
            let due = [Fact::Outcome, Fact::Subject, Fact::HiddenSubject]
                .map(|fact| event.fact(fact).unwrap_or_default());
            match plain {
                Err(error) => say(false, &format!("its outcome does not open in its place: {error}")),
                Ok(plain) => say(plain.expose() == due.concat(), "its outcome is not that of its entry"),
            }
        }
        (Some(_), None) => say(false, "its outcome is gone, and the key of its day is there"),
        // Asked before midnight and entered after it, or received at another time, which is told above.
        (None, Some(_)) if received.day() == event.at.day() => {
            say(false, "its outcome is there, and the key of its day is not");
        }
        (None, _) => {}
    }
    found
}

/// A search and a wait in the queue lie between receipt and entry, ten seconds at most; the rest is for a clock
/// that was set meanwhile.
const RECEIVED_APART_MS: u64 = 5 * 60 * 1_000;

/// The subject that a query matched, as its outcome says; `None` without such a query, or when it was disposed of.
pub(super) fn subject(view: &View, id: QueryId) -> Result<Option<[u8; 16]>, StoreError> {
    let Some(Row { received, outcome: Some(outcome), .. }) = find(view, id)? else { return Ok(None) };
    let day = Timestamp::from_millis(received).day();
    let Some(key) = view.payload.find(PayloadClass::Query.number(), day) else { return Ok(None) };
    let plain = key.sealing().open(outcome_place(id.as_bytes()), &outcome).ok();
    Ok(plain.and_then(|plain| plain.expose().get(1..17)?.try_into().ok()))
}
