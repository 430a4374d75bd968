//! What is sealed of people and runs of enrolment: it opens in its place, and counters are those of the entries.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rusqlite::{OptionalExtension, params};

use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{BatchId, FieldName, SubjectId};
use crate::keys::{CollectionKey, DataKey, Pseudonym};
use crate::store::StoreError;
use crate::store::enrolment::CollectionGeneration;
use crate::template::Protected;

use super::super::database;
use super::super::enrolment::{official_place, template_place};
use super::super::record;
use super::super::sources::{self, Asked};
use super::history::{BatchSaid, History};
use super::report::{FaultPlace, FsckReport};
use super::view::{Sealed, View, connect};

/// A subject with its key and all that is sealed under it.
struct Subject {
    number: u64,
    id: SubjectId,
    stored_id: Vec<u8>,
    /// Its pseudonym leads to it, and to nobody else.
    is_found: bool,
    key: Option<DataKey>,
    templates: Vec<(Slot, Vec<u8>)>,
    fields: Vec<(String, Vec<u8>)>,
}

/// Where a template lies, and what it should be of.
struct Slot {
    number: i64,
    generation: Option<CollectionGeneration>,
    dimension: i64,
}

/// Opens every template and every field of a record.
pub(super) fn compare(
    view: &View,
    data: &std::path::Path,
    progress: &mut dyn FnMut(u64),
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let mut after: Vec<u8> = Vec::new();
    let mut number = 0;
    let collections = &view.collection_keys;
    loop {
        let subjects = read(view, &after, number)?;
        let Some(last) = subjects.last() else { break };
        // As it stands there: an id that is cut off must not have the reading begin again.
        after.clone_from(&last.stored_id);
        number = last.number;
        for subject in &subjects {
            let (templates, fields) = (subject.templates.len(), subject.fields.len());
            report.counts.templates += u64::try_from(templates).unwrap_or_default();
            report.counts.fields += u64::try_from(fields).unwrap_or_default();
            if !subject.is_found {
                report.fault(row("subjects", subject.number), "its source does not lead to it");
            }
        }
        let faults = subjects.par_iter().flat_map_iter(|subject| faults_of(subject, collections));
        let faults: Vec<(FaultPlace, String)> = faults.collect();
        for (place, what) in faults {
            report.fault(place, what);
        }
        for subject in subjects.iter().filter(|subject| subject.key.is_none()) {
            // A subject that was erased since the view was taken has no key any more, and no row either.
            if is_there_now(data, &subject.id)? {
                report.fault(row("subjects", subject.number), "its data key is not there or does not open");
            }
        }
        progress(number);
    }
    let (entries, faults) = sources::faults(&view.sql)?;
    let whole = || FaultPlace::Row { table: "sources", row: "as a whole".to_owned() };
    for what in faults {
        report.fault(whole(), what);
    }
    if entries != number {
        report.fault(whole(), format!("it has {entries} entries for {number} subjects"));
    }
    strays(view, report)
}

fn read(view: &View, after: &[u8], number: u64) -> Result<Vec<Subject>, StoreError> {
    let read = "SELECT id, source FROM subjects WHERE id > ?1 ORDER BY id LIMIT ?2";
    let ids = view.sql.prepare_cached(read).and_then(|mut statement| {
        statement
            .query_map(params![after, SUBJECTS_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(Vec<u8>, Vec<u8>)>, _>>()
    });
    let ids: Vec<(Vec<u8>, Pseudonym)> = database("reading subjects", ids)?
        .into_iter()
        .map(|(id, source)| (id, Pseudonym::from_bytes(source.try_into().unwrap_or_default())))
        .collect();
    let asked = Asked::read(&view.sql, ids.iter().map(|(_, source)| source))?;
    ids.into_iter()
        .zip(number.saturating_add(1)..)
        .map(|((stored_id, source), number)| {
            let id = SubjectId::from_bytes(stored_id.as_slice().try_into().unwrap_or_default());
            let templates = view
                .sql
                .prepare_cached(
                    "SELECT t.slot, t.template, coalesce(c.dimension, 0), t.collection, t.generation
                     FROM templates t LEFT JOIN collections c ON c.name = t.collection WHERE t.subject = ?1",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map(params![id.as_bytes()], |row| {
                            let (collection, number) = (row.get::<_, String>(3)?, row.get::<_, u32>(4)?);
                            let collection = collection.parse().ok();
                            let generation =
                                collection.map(|collection| CollectionGeneration { collection, number });
                            let (number, dimension) = (row.get(0)?, row.get(2)?);
                            Ok((Slot { number, generation, dimension }, row.get(1)?))
                        })?
                        .collect::<Result<Vec<_>, _>>()
                });
            let fields = view
                .sql
                .prepare_cached("SELECT field, value FROM records WHERE subject = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_map(params![id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
                        .collect::<Result<Vec<_>, _>>()
                });
            Ok(Subject {
                number,
                id,
                stored_id,
                is_found: asked.find(&view.sql, &source)?.is_some_and(|found| found.id == id),
                key: view.subject_key(&id)?,
                templates: database("reading templates", templates)?,
                fields: database("reading records", fields)?,
            })
        })
        .collect()
}

fn faults_of(
    subject: &Subject,
    collections: &BTreeMap<CollectionGeneration, CollectionKey>,
) -> Vec<(FaultPlace, String)> {
    let Some(key) = &subject.key else { return Vec::new() };
    let mut faults = Vec::new();
    for (slot, sealed) in &subject.templates {
        let slot_bytes = u64::try_from(slot.number).unwrap_or_default().to_be_bytes();
        let place = || FaultPlace::Row { table: "templates", row: format!("slot {}", slot.number) };
        let Some(collection) = slot.generation.as_ref().and_then(|of| collections.get(of)) else {
            faults.push((place(), "the key of its collection is not there or does not open".to_owned()));
            continue;
        };
        let plain = collection.template_key(key).open(template_place(&slot_bytes), sealed);
        match plain.map(|plain| Protected::from_bytes(plain.expose())) {
            Err(error) => faults.push((place(), format!("it does not open in its place: {error}"))),
            Ok(Err(error)) => faults.push((place(), format!("it is none: {error}"))),
            Ok(Ok(template)) if i64::from(template.dimension().get()) != slot.dimension => {
                faults.push((place(), "it is not of the dimension of its collection".to_owned()));
            }
            Ok(Ok(_)) => {}
        }
    }
    for (field, sealed) in &subject.fields {
        let opens = FieldName::parse(field).ok().is_some_and(|name| {
            let row = record::record_row(&subject.id, &name);
            let plain = key.sealing().open(record::record_place(&row), sealed).ok();
            plain.is_some_and(|plain| record::field_decode(plain.expose()).is_ok())
        });
        if !opens {
            let what = format!("the field `{field}` does not open in its place, or is none");
            faults.push((row("records of subjects", subject.number), what));
        }
    }
    faults
}

fn is_there_now(data: &std::path::Path, id: &SubjectId) -> Result<bool, StoreError> {
    let asked = "SELECT 1 FROM subjects WHERE id = ?1";
    let found = connect(data)?.query_row(asked, params![id.as_bytes()], |_| Ok(())).optional();
    database("looking for a subject", found).map(|found| found.is_some())
}

/// Rows of subjects that are not there.
fn strays(view: &View, report: &mut FsckReport) -> Result<(), StoreError> {
    for table in ["templates", "records"] {
        let asked = format!("SELECT count(*) FROM {table} WHERE subject NOT IN (SELECT id FROM subjects)");
        let strays = view.sql.query_row(&asked, [], |row| row.get::<_, u64>(0));
        match database("looking for rows without a subject", strays)? {
            0 => {}
            count => {
                let place = FaultPlace::Row { table: "subjects", row: format!("{count} rows of {table}") };
                report.fault(place, "their subject is not there");
            }
        }
    }
    Ok(())
}

/// Runs of enrolment against their entries.
pub(super) fn batches(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT b.id, b.owner, b.collection, b.official, b.rows_done, b.rows_accepted,
                c.first_row, c.rows, c.content, c.rejected, b.created_ms
                FROM batches b LEFT JOIN batch_chunks c ON c.batch = b.id";
    let mut statement = database("reading batches", view.sql.prepare(read))?;
    let mut rows = database("reading batches", statement.query([]))?;
    let mut seen = BTreeMap::new();
    while let Some(row) = database("reading batches", rows.next())? {
        let read = || -> Result<_, rusqlite::Error> {
            let named: (Vec<u8>, String, String, Vec<u8>) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let done: (i64, i64) = (row.get(4)?, row.get(5)?);
            let chunk: (Option<i64>, Option<i64>) = (row.get(6)?, row.get(7)?);
            let answer: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(8)?, row.get(9)?);
            Ok((named, done, chunk, answer, Timestamp::from_millis(row.get(10)?)))
        };
        let ((id, owner, collection, official), done, chunk, (content, rejected), created) =
            database("reading batches", read())?;
        let id = BatchId::from_bytes(id.try_into().unwrap_or_default());
        let place = || FaultPlace::Row { table: "batches", row: id.resource() };
        let twice = seen.insert(id, ()).is_some();
        let official = match view.open_sealed(PayloadClass::Enrolment, official_place(&id), &official) {
            Sealed::Opened(day, plain) => Some((day, plain.expose().to_vec())),
            Sealed::Going => None,
            Sealed::Closed(what) => {
                report.fault(place(), format!("its official is not readable: {what}"));
                None
            }
        };
        let Some(said) = history.batches.get(&id).filter(|said| said.begun.is_some()) else {
            // Its entries go before it, and it goes with the first of them.
            let covered = view.disposals.covers(PayloadClass::Enrolment, created);
            if !covered || view.disposals.is_done(PayloadClass::Enrolment.number(), created.day()) {
                report.fault(place(), "no entry says that it began");
            }
            continue;
        };
        if official.is_some_and(|official| official != (created.day(), said.official.clone())) {
            report.fault(place(), "its official, or the day of its key, is not that of its entry");
        }
        if (owner.as_str(), collection.as_str()) != (said.owner.as_str(), said.collection.as_str()) {
            report.fault(place(), "its owner or its collection is not that of its entry");
        }
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if done != (number(said.rows_done), number(said.rows_accepted)) {
            report.fault(place(), "its counters are not those of its entries");
        }
        let newest = said.newest.as_ref();
        let kept = rejected.and_then(|bytes| record::rows_decode(&bytes).ok()).map(|rows| rows.len());
        let same = chunk
            == newest.map_or((None, None), |(first, rows, ..)| (Some(number(*first)), Some(number(*rows))))
            && content == newest.map(|(.., content)| content.clone())
            && kept == newest.and_then(|(_, _, rejected, _)| usize::try_from(*rejected).ok());
        if !same || twice {
            report.fault(place(), "the answer to its newest chunk is not that of its entry");
        }
    }
    let gone = |said: &BatchSaid| {
        said.begun.is_none_or(|begun| view.disposals.covers(PayloadClass::Enrolment, begun))
            && view.disposals.any(PayloadClass::Enrolment)
    };
    let missing = history.batches.iter().filter(|(id, said)| !seen.contains_key(id) && !gone(said));
    for (id, _) in missing {
        let place = FaultPlace::Row { table: "batches", row: id.resource() };
        report.fault(place, "entries tell of it, and it is not there");
    }
    Ok(())
}

fn row(table: &'static str, number: u64) -> FaultPlace {
    FaultPlace::Row { table, row: format!("no. {number} in their order") }
}

/// A few megabytes of templates.
const SUBJECTS_AT_ONCE: u32 = 2_048;
