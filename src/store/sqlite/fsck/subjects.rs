//! What stands of people who asked: their requests and statements against the entries, and when templates came.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};

use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{SubjectId, SubjectRequestId};
use crate::store::StoreError;

use super::super::{database, statement, subject_request};
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::{Sealed, View};

/// A row of a request.
struct Row {
    id: SubjectRequestId,
    state: String,
    opened: i64,
    due: i64,
    late: i64,
    body: Vec<u8>,
}

/// Holds requests against their entries.
pub(super) fn requests(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT id, state, opened_ms, due_ms, late, body FROM subject_requests ORDER BY sequence";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Row {
                id: SubjectRequestId::from_bytes(row.get(0)?),
                state: row.get(1)?,
                opened: row.get(2)?,
                due: row.get(3)?,
                late: row.get(4)?,
                body: row.get(5)?,
            })
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    let mut seen = BTreeSet::new();
    for row in database("reading requests", rows)? {
        let place = FaultPlace::Row { table: "subject_requests", row: row.id.resource() };
        if let Err(what) = request(view, history, &row) {
            report.fault(place, what);
        }
        seen.insert(row.id);
    }
    for (id, events) in &history.subject_requests {
        // It goes with the day of its last entry.
        let is_gone =
            events.last().is_some_and(|last| view.disposals.covers(PayloadClass::Enrolment, last.at));
        if !seen.contains(id) && !is_gone {
            let place = FaultPlace::Row { table: "subject_requests", row: id.resource() };
            report.fault(place, "entries tell of it, and it is not there");
        }
    }
    Ok(())
}

fn request(view: &View, history: &History, row: &Row) -> Result<(), String> {
    let place = subject_request::place(row.id.as_bytes());
    let (day, plain) = match view.open_sealed(PayloadClass::Enrolment, place, &row.body) {
        Sealed::Opened(day, plain) => (day, plain),
        Sealed::Going => return Ok(()),
        Sealed::Closed(why) => return Err(why),
    };
    let said = subject_request::decode(plain.expose()).map_err(|error| error.to_string())?;
    let entries = history.subject_requests.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    // Its first entries may be disposed of, and it goes on.
    if entries.is_empty() || !said.ends_with(entries) {
        return Err("it is not what its entries say".to_owned());
    }
    let is_whole = said.len() == entries.len();
    let first_gone =
        said.first().is_some_and(|first| view.disposals.covers(PayloadClass::Enrolment, first.at));
    if !is_whole && !first_gone {
        return Err("it says more than its entries".to_owned());
    }
    let request = subject_request::fold(&said).map_err(|error| error.to_string())?;
    let due = (row.id, row.state.as_str(), row.opened, row.due, row.late);
    let opened = request.opened.0.as_millis();
    let follows = (
        request.id,
        subject_request::state(&request),
        opened,
        request.due.as_millis(),
        i64::from(request.late.is_some()),
    );
    if due != follows {
        return Err("its columns are not what follows from its entries".to_owned());
    }
    match said.last() {
        Some(last) if last.at.day() != day => {
            Err("it does not lie under the key of the day of its last entry".to_owned())
        }
        _ => Ok(()),
    }
}

/// Holds statements against the entries that tell of them.
pub(super) fn statements(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT id, subject, field, body FROM statements ORDER BY id";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 16]>(1)?, row.get(2)?, row.get(3)?))
        };
        statement.query_map([], row)?.collect::<Result<Vec<(_, _, String, Vec<u8>)>, _>>()
    });
    let mut seen = BTreeSet::new();
    for ((id, subject, field, body), number) in database("reading statements", rows)?.into_iter().zip(1_u64..)
    {
        let place =
            || FaultPlace::Row { table: "statements", row: format!("no. {number} in the order of ids") };
        let Some(key) = view.subject_key(&SubjectId::from_bytes(subject))? else {
            report.fault(place(), "the data key of its subject is not there");
            continue;
        };
        let plain = match key.sealing().open(statement::place(&id), &body) {
            Ok(plain) => plain,
            Err(error) => {
                report.fault(place(), format!("it does not open in its place: {error}"));
                continue;
            }
        };
        let Ok((_, at)) = statement::decode(plain.expose()) else {
            report.fault(place(), "it is none");
            continue;
        };
        let digest = statement::digest(&id, plain.expose()).as_bytes().to_vec();
        let said = (subject.to_vec(), field, digest);
        if !history.statements.contains_key(&said) && !view.disposals.covers(PayloadClass::Enrolment, at) {
            report.fault(place(), "no entry says that it was attached");
        }
        seen.insert(said);
    }
    for (said, place) in history.statements.iter().filter(|(said, _)| !seen.contains(*said)) {
        // It goes with its subject.
        let is_there = "SELECT 1 FROM subjects WHERE id = ?1";
        let is_there = view.sql.query_row(is_there, params![said.0], |_| Ok(())).optional();
        if database("looking for a subject", is_there)?.is_some() {
            let row = format!("that {place} tells of");
            report.fault(FaultPlace::Row { table: "statements", row }, "it is not there");
        }
    }
    Ok(())
}

/// Holds when templates were enrolled, and by whom, against the chunks.
pub(super) fn enrolled(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT enrolled_ms, enrolled_by, min(slot) FROM templates GROUP BY enrolled_ms, enrolled_by";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
        statement.query_map([], row)?.collect::<Result<Vec<((i64, String), i64)>, _>>()
    });
    for (by, slot) in database("reading templates", rows)? {
        let at = Timestamp::from_millis(by.0);
        if !history.chunks.contains(&by) && !view.disposals.covers(PayloadClass::Enrolment, at) {
            let place = FaultPlace::Row { table: "templates", row: format!("slot {slot}") };
            report.fault(place, "no entry says that somebody enrolled it then");
        }
    }
    Ok(())
}
