//! What a gallery serves, read from disk: from snapshots as far as they go, and from the rows.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use tokio::sync::mpsc::Sender;

use crate::ids::SubjectId;
use crate::keys::CollectionKey;
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;
use crate::store::snapshot::{GalleryRead, Served};
use crate::template::{Compact, Dimension};

use super::enrolment::{template_open, template_place};
use super::snapshot::{SnapshotFolder, SnapshotPlace, dimension, range_of, told};
use super::{Context, database, opened};

/// What a reading found out.
pub(super) struct Reading {
    pub(super) read: GalleryRead,
    /// Snapshots that can't be used, or hold what is not in the store any more.
    pub(super) unfit: BTreeSet<SnapshotPlace>,
}

/// Reads a generation of a collection in one view of the database.
///
/// The slots and the restrictions come from the rows, whatever a snapshot says. What it holds of a slot that is
/// there is what the row holds: rows never change, and no slot is given twice.
pub(super) fn read(
    context: &Context,
    snapshots: &SnapshotFolder,
    sql: &Connection,
    generation: &CollectionGeneration,
    pages: &Sender<Vec<Served>>,
) -> Result<Reading, StoreError> {
    let mut reading = Reading { read: GalleryRead::default(), unfit: BTreeSet::new() };
    let Some(dimension) = dimension(sql, &generation.collection)? else { return Ok(reading) };
    let restricted = restricted(sql, generation)?;
    reading.read.totals = totals(sql, generation, &restricted)?;
    let mut unseen: BTreeSet<u64> = snapshots.counts(generation).into_keys().collect();
    let mut statement = database(
        "listing templates",
        sql.prepare("SELECT slot FROM templates WHERE collection = ?1 AND generation = ?2 ORDER BY slot"),
    )?;
    let of = params![generation.collection.as_str(), generation.number];
    let rows = statement.query_map(of, |row| row.get::<_, u64>(0));
    let mut rows = database("listing templates", rows)?.peekable();
    let mut slots = Vec::new();
    while let Some(slot) = rows.next() {
        let slot = database("listing templates", slot)?;
        slots.push(slot);
        let range = range_of(slot);
        if rows.peek().is_some_and(|next| next.as_ref().is_ok_and(|next| range_of(*next) == range)) {
            continue;
        }
        unseen.remove(&range);
        let place = (generation.clone(), range);
        let page = page(context, snapshots, sql, (&place, dimension, &slots), &mut reading)?;
        slots.clear();
        let served = |(slot, template)| Served { slot, restriction_set: set_of(&restricted, slot), template };
        let page = page.into_iter().map(served).collect();
        // Nobody takes pages any more: whoever asked has failed and says so.
        pages.blocking_send(page).map_err(|_| StoreError::Closed)?;
    }
    // Of these ranges nothing is left.
    reading.unfit.extend(unseen.into_iter().map(|range| (generation.clone(), range)));
    Ok(reading)
}

/// The templates in these slots, which are all of one range, in their order.
fn page(
    context: &Context,
    snapshots: &SnapshotFolder,
    sql: &Connection,
    (place, dimension, slots): (&SnapshotPlace, Dimension, &[u64]),
    reading: &mut Reading,
) -> Result<Vec<(u64, Compact)>, StoreError> {
    let kept = snapshots.read(context, sql, place, dimension).unwrap_or_else(|unfit| {
        told(Some(&place.0.collection), &unfit);
        reading.unfit.insert(place.clone());
        None
    });
    let mut kept = kept.unwrap_or_default().into_iter().peekable();
    let collection_key = context.keys.collection_key_of(&place.0)?;
    let mut page = Vec::with_capacity(slots.len());
    let (mut held, mut gone) = (0_u64, false);
    for &slot in slots {
        while kept.next_if(|(other, _)| *other < slot).is_some() {
            gone = true;
        }
        match kept.next_if(|(other, _)| *other == slot) {
            Some(template) => {
                held = held.saturating_add(1);
                page.push(template);
            }
            None => page.push((slot, row(context, sql, slot, (&collection_key, dimension))?)),
        }
    }
    if gone || kept.next().is_some() {
        // An erasure that a crash cut short, or a snapshot that was put back.
        reading.unfit.insert(place.clone());
    }
    let all = u64::try_from(page.len()).unwrap_or(u64::MAX);
    reading.read.from_snapshots = reading.read.from_snapshots.saturating_add(held);
    reading.read.from_rows = reading.read.from_rows.saturating_add(all.saturating_sub(held));
    Ok(page)
}

/// The template of a row, opened under its subject's key and its collection's.
fn row(
    context: &Context,
    sql: &Connection,
    slot: u64,
    (collection_key, dimension): (&CollectionKey, Dimension),
) -> Result<Compact, StoreError> {
    let row = sql.prepare_cached("SELECT subject, template FROM templates WHERE slot = ?1").and_then(
        |mut statement| {
            statement.query_row(params![slot], |row| {
                Ok((SubjectId::from_bytes(row.get(0)?), row.get::<_, Vec<u8>>(1)?))
            })
        },
    );
    let (subject, sealed) = database("reading a template", row)?;
    let key = context.keys.subject_key(&subject)?;
    let key = key.ok_or(StoreError::Damaged { what: "a template whose data key is missing" })?;
    let place = slot.to_be_bytes();
    let bytes = collection_key.template_key(&key).open(template_place(&place), &sealed);
    let bytes = opened("opening a template", bytes)?;
    let template = template_open(bytes.expose())?;
    if template.dimension() != dimension {
        return Err(StoreError::Damaged { what: "a template of another dimension than its collection's" });
    }
    Ok(Compact::of(&template))
}

/// The slots of restricted subjects, in order, each with the label of its set.
fn restricted(sql: &Connection, of: &CollectionGeneration) -> Result<Vec<(u64, u64)>, StoreError> {
    // Subjects first, by the index of those who are restricted: the join never looks at all templates.
    let rows = sql
        .prepare(
            "SELECT t.slot, s.restriction_set
             FROM subjects s CROSS JOIN templates t
               ON t.subject = s.id AND t.collection = ?1 AND t.generation = ?2
             WHERE s.restriction_set != 0",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![of.collection.as_str(), of.number], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(u64, u64)>, _>>()
        });
    let mut rows = database("listing restrictions", rows)?;
    rows.sort_unstable();
    Ok(rows)
}

fn set_of(restricted: &[(u64, u64)], slot: u64) -> u64 {
    let found = restricted.binary_search_by_key(&slot, |(slot, _)| *slot).ok();
    found.and_then(|found| restricted.get(found)).map_or(NO_RESTRICTION, |(_, set)| *set)
}

/// How many templates each set has, counted apart from what is read.
fn totals(
    sql: &Connection,
    of: &CollectionGeneration,
    restricted: &[(u64, u64)],
) -> Result<BTreeMap<u64, u64>, StoreError> {
    let all = sql.query_row(
        "SELECT count(*) FROM templates WHERE collection = ?1 AND generation = ?2",
        params![of.collection.as_str(), of.number],
        |row| row.get::<_, u64>(0),
    );
    let all = database("counting templates", all)?;
    let mut totals: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, set) in restricted {
        let sum = totals.entry(*set).or_default();
        *sum = sum.saturating_add(1);
    }
    let hidden = u64::try_from(restricted.len()).unwrap_or(u64::MAX);
    totals.insert(NO_RESTRICTION, all.saturating_sub(hidden));
    totals.retain(|_, count| *count > 0);
    Ok(totals)
}

/// The label of the empty set.
const NO_RESTRICTION: u64 = 0;
