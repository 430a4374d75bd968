//! Notices on their way: each of a disclosure that is there and could have brought it, and what was given up as an entry
//! says. A notice that is not there any more was delivered, or was for nobody: no entry tells which.

use crate::approval::State;
use crate::authz::PayloadClass;
use crate::ids::DisclosureId;
use crate::store::StoreError;
use crate::store::notice::NoticeKind;

use super::super::database;
use super::super::notice::given_up_detail;
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::View;

/// Holds the rows of notices against disclosures and entries.
pub(super) fn compare(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    told(view, report)?;
    given_up(view, history, report)?;
    let read = "SELECT lower(hex(r.disclosure)) FROM notice_reminders r LEFT JOIN disclosures d ON d.id = r.disclosure
                WHERE d.state IS NULL
                   OR d.state NOT IN ('pending', 'needs-information', 'partially-approved', 'approved', 'released')";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    });
    for disclosure in database("reading reminders", rows)? {
        // A disposal takes nothing that is open.
        let row = format!("disclosure {disclosure}");
        report.fault(FaultPlace::Row { table: "notice_reminders", row }, "its disclosure is not open");
    }
    Ok(())
}

fn told(view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT n.sequence, n.kind, n.disclosure, n.at_ms, d.state, d.created_ms
                FROM notices n LEFT JOIN disclosures d ON d.id = n.disclosure ORDER BY n.sequence";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            let known: Option<(String, i64)> = match row.get::<_, Option<String>>(4)? {
                Some(state) => Some((state, row.get(5)?)),
                None => None,
            };
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, i64>(3)?, known))
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    for (sequence, kind, disclosure, at, known) in database("reading notices", rows)? {
        let disclosure: [u8; 16] = disclosure;
        let mut fault = |what: String| {
            report.fault(FaultPlace::Row { table: "notices", row: sequence.to_string() }, what);
        };
        let Ok(kind) = kind.parse::<NoticeKind>() else {
            fault("its kind is none".to_owned());
            continue;
        };
        let Some((state, created)) = known else {
            if !view.disposals.any(PayloadClass::Disclosure) {
                let id = DisclosureId::from_bytes(disclosure).resource();
                fault(format!("it tells of {id}, and there is none"));
            }
            continue;
        };
        // A state that is none is told with the disclosure itself.
        if state.parse::<State>().is_ok_and(|state| !kind.fits(state)) {
            fault(format!("it tells that its disclosure is `{kind}`, and that is `{state}`"));
        }
        if at < created {
            fault("it is older than its disclosure".to_owned());
        }
    }
    let strays = "SELECT sequence FROM notices WHERE addressed = 1
                    AND NOT EXISTS (SELECT 1 FROM notice_deliveries WHERE notice = sequence)";
    let rows = view.sql.prepare(strays).and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()
    });
    for sequence in database("reading notices", rows)? {
        let place = FaultPlace::Row { table: "notices", row: sequence.to_string() };
        report.fault(place, "it goes to nobody any more, and is there");
    }
    Ok(())
}

fn given_up(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT d.receiver, n.id FROM notice_deliveries d JOIN notices n ON n.sequence = d.notice
                WHERE d.given_up_ms IS NOT NULL";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?));
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    for (receiver, id) in database("reading deliveries", rows)? {
        let said = given_up_detail(&receiver, &id);
        if !history.notices_given_up.contains(&said) && !history.forgotten {
            let place = FaultPlace::Row { table: "notice_deliveries", row: said };
            report.fault(place, "no entry says that it was given up");
        }
    }
    Ok(())
}
