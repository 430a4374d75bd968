//! Queries: each row has its entry and each entry its row, the outcome is that of the entry, the counters count.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use crate::audit::event::{Event, Fact};
use crate::clock::Timestamp;
use crate::ids::QueryId;
use crate::keys::Domain;
use crate::store::StoreError;

use super::super::database;
use super::super::query::outcome_place;
use super::report::{FaultPlace, FsckReport};
use super::tags::TagSums;
use super::view::View;
use crate::authz::PayloadClass;

/// What is compared over all journals.
#[derive(Default)]
pub(super) struct Queries {
    /// Queries by partner, agreement and day, as entries say.
    usage: BTreeMap<(String, String, i64), u64>,
    /// Days of a partner on which entries are disposed of, so that nobody can count them again.
    disposed: std::collections::BTreeSet<(String, i64)>,
    /// Sums over the ids of queries whose entry and row were compared, by journal.
    matched: BTreeMap<i64, u64>,
}

/// Takes a row: the query, its entry, the row of the journal, and what is known of that.
type Take<'a> = dyn FnMut(QueryId, i64, i64, Option<&TagSums>) + 'a;

/// A query as it is stored.
struct Row {
    partner: String,
    request_tag: Vec<u8>,
    content: Vec<u8>,
    agreement: String,
    collection: String,
    received: i64,
    outcome: Option<Vec<u8>>,
    index: i64,
    journal: Option<i64>,
}

impl Queries {
    /// An entry that says that a query was answered.
    pub(super) fn take(
        &mut self,
        view: &View,
        sums: &RandomState,
        journal: (i64, &str, &str),
        index: u64,
        event: &Event,
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
        let Some(row) = find(view, id)? else {
            // It goes by the day on which it was received, and its entry by its own.
            let received = event.at.before(Duration::from_millis(RECEIVED_APART_MS));
            if view.disposals.covers(PayloadClass::Query, received) {
                return Ok(());
            }
            report.fault(
                place,
                format!("it says that {} was answered, and there is no such query", id.resource()),
            );
            return Ok(());
        };
        let matched = self.matched.entry(row_of_journal).or_default();
        *matched = matched.wrapping_add(sums.hash_one((id.as_bytes(), row.index)));
        for what in differences(view, id, &row, (partner, row_of_journal), index, event) {
            report.fault(FaultPlace::Query(id), what);
        }
        Ok(())
    }

    /// An entry of the class of queries whose openings are gone.
    pub(super) fn take_disposed(&mut self, partner: &str, at: Timestamp) {
        self.disposed.insert((partner.to_owned(), at.day()));
    }

    /// All journals were read: counters, and rows that no entry stands for.
    pub(super) fn end(
        &self,
        view: &View,
        sums: &RandomState,
        journals: &[TagSums],
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        self.counters(view, report)?;
        let mut found: BTreeMap<i64, u64> = BTreeMap::new();
        let read = |take: &mut Take<'_>| -> Result<(), StoreError> {
            let mut statement =
                database("reading queries", view.sql.prepare("SELECT id, journal, idx FROM queries"))?;
            let mut rows = database("reading queries", statement.query([]))?;
            while let Some(row) = database("reading queries", rows.next())? {
                let row = row
                    .get::<_, Vec<u8>>(0)
                    .and_then(|id| Ok((id, row.get::<_, Option<i64>>(1)?, row.get(2)?)));
                let (id, tree, index): (Vec<u8>, Option<i64>, i64) = database("reading queries", row)?;
                let id = QueryId::from_bytes(id.try_into().unwrap_or_default());
                let journal = journals.iter().find(|known| Some(known.journal) == tree && known.holds(index));
                take(id, index, journal.map_or(0, |known| known.journal), journal);
            }
            Ok(())
        };
        let opened =
            |index: i64, known: &TagSums| u64::try_from(index).is_ok_and(|index| known.is_known(index));
        read(&mut |id, index, journal, known| {
            if known.is_none_or(|known| opened(index, known)) {
                let sum = found.entry(journal).or_default();
                *sum = sum.wrapping_add(sums.hash_one((id.as_bytes(), index)));
            }
        })?;
        if found == self.matched {
            return Ok(());
        }
        let mut strays = Vec::new();
        read(&mut |id, index, _, known| {
            if known.is_none_or(|known| opened(index, known)) {
                strays.push((id, index, known.map(|known| (known.journal, known.name.clone()))));
            }
        })?;
        for (id, index, journal) in strays {
            let says = match &journal {
                Some((journal, _)) => super::entry_says(view, *journal, index)?,
                None => None,
            };
            if says.as_ref().and_then(|event| event.fact(Fact::Query)) != Some(id.as_bytes().as_slice()) {
                let what = match journal {
                    Some((_, name)) => {
                        format!("entry {index} of journal {name} does not say that it was answered")
                    }
                    None => format!("there is no entry {index} in its partner's journal"),
                };
                report.fault(FaultPlace::Query(id), what);
            }
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
            "SELECT partner, request_tag, content, agreement, collection, received_ms, outcome, idx, journal
             FROM queries WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![id.as_bytes()], |row| {
                    Ok(Row {
                        partner: row.get(0)?,
                        request_tag: row.get(1)?,
                        content: row.get(2)?,
                        agreement: row.get(3)?,
                        collection: row.get(4)?,
                        received: row.get(5)?,
                        outcome: row.get(6)?,
                        index: row.get(7)?,
                        journal: row.get(8)?,
                    })
                })
                .optional()
        });
    database("looking for a query", row)
}

/// All in which a row is not what its entry says.
fn differences(
    view: &View,
    id: QueryId,
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
    let tag = event.fact(Fact::RequestId).map(|id| view.ring.tags().tag(Domain::RequestId, id));
    say(row.partner == partner, "its partner is not the one in whose journal its entry stands");
    say(row.journal == Some(journal), "it names another tree than the one in which its entry stands");
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
    let key = view.payload.find(PayloadClass::Query.number(), received.day());
    match (key, &row.outcome) {
        (Some(key), Some(outcome)) => {
            let plain = key.sealing().open(outcome_place(id.as_bytes()), outcome);
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
