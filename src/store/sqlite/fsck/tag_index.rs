//! The index of tags: what follows from the tags of the entries, and no more.

use std::collections::BTreeSet;

use rusqlite::params;

use super::super::database;
use super::super::tag_index::{Pair, bounds, pairs_of, place};
use super::report::{FaultPlace, FsckReport};
use super::view::View;
use crate::clock::Timestamp;
use crate::store::StoreError;

/// Compares every run of the index with the entries that it is of.
pub(super) fn compare(view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
    let counted = view.sql.query_row("SELECT count(*), coalesce(max(id), 0) FROM entries", [], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
    });
    let (count, newest) = database("counting entries", counted)?;
    if count != newest {
        let what = format!("{count} entries are numbered up to {newest}");
        report.fault(of_row("entries", "as a whole".to_owned()), what);
    }
    let runs = view.sql.prepare("SELECT run, first_ms, last_ms FROM tag_runs ORDER BY run").and_then(
        |mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<Vec<(u64, i64, i64)>, _>>()
        },
    );
    for (due, (run, first_ms, last_ms)) in (0_u64..).zip(database("reading the index of tags", runs)?) {
        let row = of_row("tag_runs", format!("no. {run}"));
        if run != due || bounds(run).1 > newest {
            report.fault(row.clone(), "it is not the next one, or its entries are not all there");
        }
        let found = of_run(view, run)?;
        if found.times != (Some(first_ms), Some(last_ms)) {
            report.fault(row.clone(), "its times are not those of its entries");
        }
        blocks(view, run, &found, report)?;
    }
    let strangers = "SELECT count(*) FROM tag_blocks WHERE run NOT IN (SELECT run FROM tag_runs)";
    let strangers = view.sql.query_row(strangers, [], |row| row.get::<_, u64>(0));
    if database("counting blocks of the index", strangers)? > 0 {
        report.fault(of_row("tag_blocks", "as a whole".to_owned()), "there are blocks of no run");
    }
    Ok(())
}

/// What the entries of a run say of the index.
struct OfRun {
    times: (Option<i64>, Option<i64>),
    /// What must be there.
    due: BTreeSet<Pair>,
    /// What may be there, as long as a disposal that takes it is not finished.
    going: BTreeSet<Pair>,
}

fn of_run(view: &View, run: u64) -> Result<OfRun, StoreError> {
    let (after, to) = bounds(run);
    let mut found = OfRun { times: (None, None), due: BTreeSet::new(), going: BTreeSet::new() };
    let mut statement = database(
        READING,
        view.sql.prepare_cached("SELECT id, at_ms, class, tags FROM entries WHERE id > ?1 AND id <= ?2"),
    )?;
    let mut rows = database(READING, statement.query(params![after, to]))?;
    while let Some(row) = database(READING, rows.next())? {
        let (id, at) = (database(READING, row.get(0))?, database(READING, row.get::<_, i64>(1))?);
        let class = database(READING, row.get::<_, i64>(2))?;
        let tags = database(READING, row.get::<_, Option<Vec<u8>>>(3))?.unwrap_or_default();
        let (first, last) = found.times;
        found.times =
            (Some(first.map_or(at, |first| first.min(at))), Some(last.map_or(at, |last| last.max(at))));
        let day = Timestamp::from_millis(at).day();
        let is_going = view.disposals.covers_day(u8::try_from(class).unwrap_or(u8::MAX), day);
        let set = if is_going { &mut found.going } else { &mut found.due };
        set.extend(place(id, after).into_iter().flat_map(|place| Pair::of(&tags, place)));
    }
    Ok(found)
}

/// Compares the blocks of a run with what its entries say.
fn blocks(view: &View, run: u64, of_run: &OfRun, report: &mut FsckReport) -> Result<(), StoreError> {
    let mut statement = database(
        READING,
        view.sql.prepare_cached("SELECT first, part, pairs FROM tag_blocks WHERE run = ?1 ORDER BY part"),
    )?;
    let mut rows = database(READING, statement.query(params![run]))?;
    let (mut last, mut due) = (None, of_run.due.iter().peekable());
    while let Some(row) = database(READING, rows.next())? {
        let (first, part) =
            (database(READING, row.get::<_, i64>(0))?, database(READING, row.get::<_, i64>(1))?);
        let block = database(READING, row.get::<_, Vec<u8>>(2))?;
        let place = of_row("tag_blocks", format!("no. {part} of run {run}"));
        if pairs_of(&block).next().map(|pair| i64::from(pair.first())) != Some(first) {
            report.fault(place.clone(), "its first tag is not the one that it is found by");
        }
        for pair in pairs_of(&block) {
            if last.is_some_and(|last| last >= pair) {
                report.fault(place.clone(), "its tags are not in their order");
            }
            last = Some(pair);
            if due.next_if_eq(&&pair).is_none() && !of_run.going.contains(&pair) {
                report.fault(place.clone(), "it has a tag that its entry has not, or lacks one before it");
                return Ok(());
            }
        }
    }
    if due.next().is_some() {
        report.fault(of_row("tag_runs", format!("no. {run}")), "it lacks tags of its entries");
    }
    Ok(())
}

fn of_row(table: &'static str, row: String) -> FaultPlace {
    FaultPlace::Row { table, row }
}

const READING: &str = "reading the index of tags";
