//! Cases about breaches, against the entries that tell of them.

use std::collections::BTreeSet;

use crate::authz::PayloadClass;
use crate::ids::BreachId;
use crate::store::StoreError;

use super::super::subject_request::decode;
use super::super::{breach, database};
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::{Sealed, View};

/// A row of a case.
struct Row {
    id: BreachId,
    state: String,
    /// `running`, `opened_ms`, `due_ms`, `late`.
    numbers: [i64; 4],
    body: Vec<u8>,
}

/// Holds cases against their entries.
pub(super) fn compare(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT id, state, running, opened_ms, due_ms, late, body FROM breaches ORDER BY sequence";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Row {
                id: BreachId::from_bytes(row.get(0)?),
                state: row.get(1)?,
                numbers: [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?],
                body: row.get(6)?,
            })
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    let mut seen = BTreeSet::new();
    for row in database("reading cases about breaches", rows)? {
        let place = FaultPlace::Row { table: "breaches", row: row.id.resource() };
        if let Err(what) = one(view, history, &row) {
            report.fault(place, what);
        }
        seen.insert(row.id);
    }
    for (id, events) in &history.breaches {
        // It goes with the day of its last entry.
        let is_gone =
            events.last().is_some_and(|last| view.disposals.covers(PayloadClass::Administration, last.at));
        if !seen.contains(id) && !is_gone {
            let place = FaultPlace::Row { table: "breaches", row: id.resource() };
            report.fault(place, "entries tell of it, and it is not there");
        }
    }
    Ok(())
}

fn one(view: &View, history: &History, row: &Row) -> Result<(), String> {
    let place = breach::place(row.id.as_bytes());
    let (day, plain) = match view.open_sealed(PayloadClass::Administration, place, &row.body) {
        Sealed::Opened(day, plain) => (day, plain),
        Sealed::Going => return Ok(()),
        Sealed::Closed(why) => return Err(why),
    };
    let said = decode(plain.expose()).map_err(|error| error.to_string())?;
    let entries = history.breaches.get(&row.id).map(Vec::as_slice).unwrap_or_default();
    // Its first entries may be disposed of, and it goes on.
    if entries.is_empty() || !said.ends_with(entries) {
        return Err("it is not what its entries say".to_owned());
    }
    let first_gone =
        said.first().is_some_and(|first| view.disposals.covers(PayloadClass::Administration, first.at));
    if said.len() != entries.len() && !first_gone {
        return Err("it says more than its entries".to_owned());
    }
    let case = breach::fold(&said).map_err(|error| error.to_string())?;
    let follows = [
        i64::from(case.is_running()),
        case.opened.0.as_millis(),
        case.due.as_millis(),
        i64::from(case.late.is_some()),
    ];
    if (case.id, breach::state(&case), follows) != (row.id, row.state.as_str(), row.numbers) {
        return Err("its columns are not what follows from its entries".to_owned());
    }
    match said.last() {
        Some(last) if last.at.day() != day => {
            Err("it does not lie under the key of the day of its last entry".to_owned())
        }
        _ => Ok(()),
    }
}
