//! Collections against the entries about their renewals, and templates against both.

use rusqlite::params;

use crate::store::StoreError;

use super::super::database;
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::View;

/// Compares the generation of each collection with the entries, and says where templates are in another.
pub(super) fn compare(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let rows = view.sql.prepare("SELECT name, generation, renews FROM collections ORDER BY name").and_then(
        |mut statement| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            statement.query_map([], row)?.collect::<Result<Vec<Row>, _>>()
        },
    );
    for (collection, generation, renews) in database("reading collections", rows)? {
        let place = || FaultPlace::Row { table: "collections", row: collection.clone() };
        let said = history.renewals.get(&collection).copied().unwrap_or_default();
        // Entries that are disposed of can have told of earlier renewals.
        let agrees = if history.forgotten {
            generation > said.begun
        } else {
            generation == said.begun + 1 && said.begun - said.ended == i64::from(renews.is_some())
        };
        if !agrees || renews.is_some_and(|renews| renews != generation - 1) {
            report.fault(place(), "its generation is not that of the entries about its renewals");
        }
        let strays = view.sql.query_row(
            "SELECT count(*) FROM templates WHERE collection = ?1 AND generation NOT IN (?2, coalesce(?3, ?2))",
            params![collection, generation, renews],
            |row| row.get::<_, u64>(0),
        );
        match database("looking for templates of other generations", strays)? {
            0 => {}
            strays => report.fault(place(), format!("{strays} templates are of another generation")),
        }
    }
    let known = history.renewals.keys().map(|collection| {
        let asked = "SELECT 1 FROM collections WHERE name = ?1";
        Ok((
            collection,
            database("looking for a collection", view.sql.prepare_cached(asked))?.exists([collection]),
        ))
    });
    for (collection, found) in known.collect::<Result<Vec<_>, StoreError>>()? {
        if !database("looking for a collection", found)? {
            let place = FaultPlace::Row { table: "collections", row: collection.clone() };
            report.fault(place, "entries tell of it, and it is not there");
        }
    }
    Ok(())
}

/// Name, generation, the one that is being left.
type Row = (String, i64, Option<i64>);
