//! Subjects, templates, records and restrictions in SQLite.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Fact, Kind};
use crate::authz::{PayloadClass, Permit};
use crate::ids::{ActorName, BatchId, CollectionName, FieldName, RestrictionName, SubjectId};
use crate::keys::{Domain, Place, Pseudonym};
use crate::secret::random_bytes;
use crate::store::StoreError;
use crate::store::enrolment::{
    Batch, BatchNew, BatchStarted, Chunk, ChunkDone, CollectionGeneration, GalleryChange, Loaded,
    RestrictionNew, RestrictionSet, SubjectFacts,
};
use crate::template::Protected;

use super::day_key::DayKey;
use super::sources::{self, Asked};
use super::tx::Tx;
use super::{Context, count, database, name, one_person, opened, record};

/// Starts a batch, or finds the one of the same request id.
pub(super) fn batch_start(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &BatchNew,
) -> Result<BatchStarted, StoreError> {
    let owner = &permit.actor().name;
    let tags = tx.context.keys.ring.tags();
    let tag = tags.tag_of(Domain::RequestId, &[owner.as_str().as_bytes(), new.request.as_bytes()]);
    let found = tx
        .sql
        .query_row("SELECT id FROM batches WHERE request_tag = ?1", params![tag.as_bytes()], |row| {
            row.get::<_, [u8; 16]>(0)
        })
        .optional();
    if let Some(id) = database("looking for a batch", found)? {
        let found = batch_get(tx.sql, owner, BatchId::from_bytes(id))?;
        return Ok(match found {
            Some(batch) if batch.collection == new.collection => BatchStarted::Batch(batch),
            _ => BatchStarted::OtherContent,
        });
    }
    let id = BatchId::from_bytes(random_bytes(tx.context.entropy.as_ref())?);
    // It goes with the first of its entries, and so does who began it: no later entry has that again.
    let key = DayKey::of_day(tx.context, PayloadClass::Enrolment, new.created.day())?;
    let official = key.seal(tx.context, "sealing a batch", official_place(&id), new.official.as_bytes())?;
    let inserted = tx.sql.execute(
        "INSERT INTO batches (id, request_tag, owner, collection, official, rows_done, rows_accepted, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
        params![
            id.as_bytes(),
            tag.as_bytes(),
            owner.as_str(),
            new.collection.as_str(),
            official,
            new.created.as_millis()
        ],
    );
    database("writing a batch", inserted)?;
    let event = tx
        .event(Kind::EnrolmentBatch, permit)
        .with(Fact::Batch, id.as_bytes())
        .text(Fact::Collection, new.collection.as_str())
        .text(Fact::Official, &new.official);
    let tag = tx.context.keys.ring.tags().tag(Domain::Batch, id.as_bytes());
    tx.enter_private(&event, &[tag])?;
    Ok(BatchStarted::Batch(Batch {
        id,
        collection: new.collection.clone(),
        rows_done: 0,
        rows_accepted: 0,
        created: new.created,
    }))
}

/// A batch of this owner.
pub(super) fn batch_get(
    sql: &Connection,
    owner: &ActorName,
    id: BatchId,
) -> Result<Option<Batch>, StoreError> {
    let row = sql
        .prepare_cached(
            "SELECT collection, rows_done, rows_accepted, created_ms FROM batches WHERE id = ?1 AND owner = ?2",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![id.as_bytes(), owner.as_str()], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
        });
    database("reading a batch", row)?
        .map(|(collection, rows_done, rows_accepted, created)| {
            let created = crate::clock::Timestamp::from_millis(created);
            Ok(Batch { id, collection: name(&collection)?, rows_done, rows_accepted, created })
        })
        .transpose()
}

/// The answer to a chunk that does not follow: the first one again, or that it is out of order.
pub(super) fn chunk_again(sql: &Connection, chunk: &Chunk, batch: Batch) -> Result<ChunkDone, StoreError> {
    let kept = sql
        .query_row(
            "SELECT content, rejected FROM batch_chunks WHERE batch = ?1 AND first_row = ?2 AND rows = ?3",
            params![chunk.batch.as_bytes(), chunk.first_row, chunk.rows],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)),
        )
        .optional();
    match database("looking for a chunk", kept)? {
        Some((content, rejected)) if content == chunk.content.as_bytes() => {
            let rejected = record::rows_decode(&rejected)?;
            Ok(ChunkDone::Repeated { batch, rejected })
        }
        _ => Ok(ChunkDone::OutOfOrder { rows_done: batch.rows_done }),
    }
}

/// Keeps how far a batch came, and the answer to its newest chunk.
pub(super) fn chunk_keep(
    tx: &Tx<'_>,
    chunk: &Chunk,
    after: &Batch,
    is_newest: bool,
) -> Result<(), StoreError> {
    let updated = tx.sql.execute(
        "UPDATE batches SET rows_done = ?2, rows_accepted = ?3 WHERE id = ?1",
        params![after.id.as_bytes(), after.rows_done, after.rows_accepted],
    );
    database("keeping a chunk", updated)?;
    if !is_newest {
        return Ok(());
    }
    let steps = tx
        .sql
        .execute("DELETE FROM batch_chunks WHERE batch = ?1", params![chunk.batch.as_bytes()])
        .and_then(|_| {
            tx.sql.execute(
                "INSERT INTO batch_chunks (batch, first_row, rows, content, rejected) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    chunk.batch.as_bytes(),
                    chunk.first_row,
                    chunk.rows,
                    chunk.content.as_bytes(),
                    record::rows_encode(&chunk.rejected)
                ],
            )
        });
    database("keeping a chunk", steps).map(count)
}

/// A subject as it stands in the database.
pub(super) struct Known {
    pub(super) id: SubjectId,
    pub(super) restriction_set: u64,
}

/// The subject of a source, if there is one.
pub(super) fn subject_find(sql: &Connection, source: &Pseudonym) -> Result<Option<Known>, StoreError> {
    Asked::read(sql, std::iter::once(source))?.find(sql, source)
}

/// A slot is never used twice, so that nothing a search found can come to mean somebody else.
pub(super) fn next_slot(sql: &Connection) -> Result<u64, StoreError> {
    let newest = sql
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'templates'")
        .and_then(|mut statement| statement.query_row([], |row| row.get::<_, u64>(0)));
    Ok(database("numbering a template", newest)?.saturating_add(1))
}

/// Adds restrictions to a subject.
pub(super) fn restrictions_put(
    tx: &Tx<'_>,
    subject: &mut Known,
    add: &[RestrictionName],
    change: &mut GalleryChange,
) -> Result<(), StoreError> {
    if add.is_empty() {
        return Ok(());
    }
    let mut names: BTreeSet<RestrictionName> = restriction_names(tx.sql, subject.restriction_set)?;
    names.extend(add.iter().cloned());
    restriction_set_put(tx, subject, &names, change)?;
    one_person::restricted(tx, subject.id, add, change)
}

pub(super) fn restriction_set_put(
    tx: &Tx<'_>,
    subject: &mut Known,
    names: &BTreeSet<RestrictionName>,
    change: &mut GalleryChange,
) -> Result<(), StoreError> {
    let set = restriction_set(tx.sql, names)?;
    if set == subject.restriction_set {
        return Ok(());
    }
    let updated = tx.sql.execute(
        "UPDATE subjects SET restriction_set = ?2 WHERE id = ?1",
        params![subject.id.as_bytes(), set],
    );
    database("restricting a subject", updated)?;
    subject.restriction_set = set;
    for (generation, slot) in slots_of(tx.sql, subject.id, None)? {
        match change.added.iter_mut().find(|added| added.slot == slot) {
            Some(added) => added.restriction_set = set,
            None => change.relabelled.push((generation, slot, set)),
        }
    }
    Ok(())
}

pub(super) fn restriction_names(sql: &Connection, set: u64) -> Result<BTreeSet<RestrictionName>, StoreError> {
    let names = sql
        .prepare_cached("SELECT names FROM restriction_sets WHERE id = ?1")
        .and_then(|mut statement| statement.query_row(params![set], |row| row.get::<_, String>(0)));
    let names = database("reading restrictions", names)?;
    names.split(',').filter(|one| !one.is_empty()).map(name).collect()
}

pub(super) fn restriction_set(
    sql: &Connection,
    names: &BTreeSet<RestrictionName>,
) -> Result<u64, StoreError> {
    let text = names.iter().map(RestrictionName::as_str).collect::<Vec<_>>().join(",");
    let inserted = sql.execute(
        "INSERT INTO restriction_sets (names) VALUES (?1) ON CONFLICT (names) DO NOTHING",
        params![text],
    );
    database("writing restrictions", inserted)?;
    let id =
        sql.query_row("SELECT id FROM restriction_sets WHERE names = ?1", params![text], |row| row.get(0));
    database("reading restrictions", id)
}

/// The templates of a subject, of one collection or of all.
pub(super) fn slots_of(
    sql: &Connection,
    subject: SubjectId,
    collection: Option<&CollectionName>,
) -> Result<Vec<(CollectionGeneration, u64)>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT collection, generation, slot FROM templates
             WHERE subject = ?1 AND coalesce(?2, collection) = collection",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![subject.as_bytes(), collection.map(CollectionName::as_str)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, u64>(2)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    let placed = |(collection, number, slot): (String, u32, u64)| {
        Ok((CollectionGeneration { collection: name(&collection)?, number }, slot))
    };
    database("looking for templates", rows)?.into_iter().map(placed).collect()
}

/// Hides a subject for a reason. An unknown subject makes the same entry, with nobody in it.
pub(super) fn restriction_add(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &RestrictionNew,
) -> Result<GalleryChange, StoreError> {
    let mut change = GalleryChange::default();
    let found = subject_find(tx.sql, &new.source)?;
    let subject = found.as_ref().map(|known| known.id);
    if let Some(mut known) = found {
        change.subject_known = true;
        restrictions_put(tx, &mut known, std::slice::from_ref(&new.restriction), &mut change)?;
    }
    let event = tx
        .event(Kind::SubjectRestricted, permit)
        .with(Fact::Subject, &subject_fact(subject))
        .text(Fact::Restriction, new.restriction.as_str())
        .text(Fact::Reason, &new.why);
    tx.enter_private(&event, &subject_tags(tx.context, subject))?;
    Ok(change)
}

/// Lifts a restriction; the second of two people has confirmed it.
pub(super) fn restriction_lift(
    tx: &mut Tx<'_>,
    permit: &Permit,
    source: &Pseudonym,
    restriction: &RestrictionName,
) -> Result<GalleryChange, StoreError> {
    let mut change = GalleryChange::default();
    let found = subject_find(tx.sql, source)?;
    let subject = found.as_ref().map(|known| known.id);
    if let Some(mut known) = found {
        change.subject_known = true;
        let mut names = restriction_names(tx.sql, known.restriction_set)?;
        names.remove(restriction);
        restriction_set_put(tx, &mut known, &names, &mut change)?;
        one_person::unrestricted(tx, known.id, restriction, &mut change)?;
    }
    let event = tx
        .event(Kind::SubjectUnrestricted, permit)
        .with(Fact::Subject, &subject_fact(subject))
        .text(Fact::Restriction, restriction.as_str());
    tx.enter_private(&event, &subject_tags(tx.context, subject))?;
    Ok(change)
}

/// Erases a subject's rows; its data key is destroyed after the commit, or at the next start. An unknown
/// subject makes the same entry, with nobody in it.
pub(super) fn subject_erase(
    tx: &mut Tx<'_>,
    permit: &Permit,
    source: &Pseudonym,
    why: &str,
) -> Result<(GalleryChange, Option<SubjectId>), StoreError> {
    let mut change = GalleryChange::default();
    let subject = subject_find(tx.sql, source)?.map(|known| known.id);
    if let Some(id) = subject {
        change.subject_known = true;
        change.removed = slots_of(tx.sql, id, None)?;
        let due = tx.sql.execute("INSERT INTO erasures_due (subject) VALUES (?1)", params![id.as_bytes()]);
        database("erasing a subject", due)?;
        subject_remove(tx.sql, id)?;
    }
    let event = tx
        .event(Kind::SubjectErased, permit)
        .with(Fact::Subject, &subject_fact(subject))
        .text(Fact::Reason, why);
    tx.enter_private(&event, &subject_tags(tx.context, subject))?;
    Ok((change, subject))
}

/// Removes the rows of a subject.
pub(super) fn subject_remove(sql: &Connection, subject: SubjectId) -> Result<(), StoreError> {
    sources::forget(sql, subject)?;
    one_person::erased(sql, subject)?;
    let removed = sql.execute("DELETE FROM subjects WHERE id = ?1", params![subject.as_bytes()]);
    database("erasing a subject", removed).map(count)
}

/// Notes that a subject's data key is gone.
pub(super) fn erasure_done(tx: &Tx<'_>, subject: SubjectId) -> Result<(), StoreError> {
    let done = tx.sql.execute("DELETE FROM erasures_due WHERE subject = ?1", params![subject.as_bytes()]);
    database("finishing an erasure", done).map(count)
}

/// What is held of a subject, without values.
pub(super) fn subject_get(sql: &Connection, source: &Pseudonym) -> Result<Option<SubjectFacts>, StoreError> {
    let Some(known) = subject_find(sql, source)? else { return Ok(None) };
    let enrolled_by = enrolled_by(sql, known.id)?.ok_or(StoreError::Damaged { what: "a subject" })?;
    let fields =
        sql.prepare_cached("SELECT field FROM records WHERE subject = ?1").and_then(|mut statement| {
            statement
                .query_map(params![known.id.as_bytes()], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
    let fields = database("reading fields", fields)?;
    let templates = slots_of(sql, known.id, None)?.len().try_into().unwrap_or(u32::MAX);
    let same_person = one_person::all_of(sql, known.id)?.into_iter().filter(|one| *one != known.id);
    Ok(Some(SubjectFacts {
        subject: known.id,
        same_person: same_person.collect(),
        templates,
        fields: fields.iter().map(|field| name(field)).collect::<Result<Vec<FieldName>, _>>()?,
        restrictions: restriction_names(sql, known.restriction_set)?.into_iter().collect(),
        enrolled_by,
    }))
}

/// Who enrolled a subject first; `None` when it is erased.
pub(super) fn enrolled_by(sql: &Connection, subject: SubjectId) -> Result<Option<ActorName>, StoreError> {
    let owner = sql
        .query_row("SELECT enrolled_by FROM subjects WHERE id = ?1", params![subject.as_bytes()], |row| {
            row.get::<_, String>(0)
        })
        .optional();
    database("reading a subject", owner)?.map(|owner| name(&owner)).transpose()
}

/// The restrictions of a subject; `None` when it is erased.
pub(super) fn restrictions_of(
    sql: &Connection,
    subject: SubjectId,
) -> Result<Option<BTreeSet<RestrictionName>>, StoreError> {
    let set = sql
        .query_row("SELECT restriction_set FROM subjects WHERE id = ?1", params![subject.as_bytes()], |row| {
            row.get(0)
        })
        .optional();
    database("reading a subject", set)?.map(|set| restriction_names(sql, set)).transpose()
}

/// Templates of a collection after a slot, in slot order.
pub(super) fn gallery_load(
    context: &Context,
    sql: &Connection,
    collection: &CollectionName,
    after: u64,
    limit: u32,
) -> Result<Vec<Loaded>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT t.slot, t.subject, t.template, s.restriction_set, t.generation
             FROM templates t JOIN subjects s ON s.id = t.subject
             WHERE t.collection = ?1 AND t.slot > ?2 ORDER BY t.slot LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![collection.as_str(), after, limit], |row| {
                    let subject = SubjectId::from_bytes(row.get(1)?);
                    let (slot, template) = (row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(2)?);
                    Ok((slot, subject, template, row.get::<_, u64>(3)?, row.get::<_, u32>(4)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    let mut loaded = Vec::new();
    for (slot, subject, sealed_template, restriction_set, number) in database("reading templates", rows)? {
        let generation = CollectionGeneration { collection: collection.clone(), number };
        let key = context.keys.subject_key(&subject)?;
        let key = key.ok_or(StoreError::Damaged { what: "a template whose data key is missing" })?;
        let key = context.keys.collection_key_of(&generation)?.template_key(&key);
        let bytes = key.open(template_place(&slot.to_be_bytes()), &sealed_template);
        let template = template_open(opened("opening a template", bytes)?.expose())?;
        loaded.push(Loaded { generation, slot, restriction_set, template });
    }
    Ok(loaded)
}

/// The templates of a subject in a collection; none when it was erased.
pub(super) fn templates_of(
    context: &Context,
    sql: &Connection,
    subject: SubjectId,
    collection: &CollectionName,
) -> Result<Vec<(CollectionGeneration, Protected)>, StoreError> {
    let Some(key) = context.keys.subject_key(&subject)? else { return Ok(Vec::new()) };
    let slots = slots_of(sql, subject, Some(collection))?;
    let opened = slots.into_iter().map(|(generation, slot)| {
        let read = "SELECT template FROM templates WHERE slot = ?1";
        let sealed = sql
            .prepare_cached(read)
            .and_then(|mut statement| statement.query_row(params![slot], |row| row.get::<_, Vec<u8>>(0)));
        let sealed = database("reading a template", sealed)?;
        let key = context.keys.collection_key_of(&generation)?.template_key(&key);
        let bytes = key.open(template_place(&slot.to_be_bytes()), &sealed);
        Ok((generation, template_open(opened("opening a template", bytes)?.expose())?))
    });
    opened.collect()
}

/// Every set of restrictions that was ever used.
pub(super) fn restriction_sets(sql: &Connection) -> Result<Vec<RestrictionSet>, StoreError> {
    let rows =
        sql.prepare_cached("SELECT id, names FROM restriction_sets ORDER BY id").and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading restrictions", rows)?
        .into_iter()
        .map(|(id, names)| {
            let names = names.split(',').filter(|one| !one.is_empty()).map(name).collect::<Result<_, _>>()?;
            Ok(RestrictionSet { id, names })
        })
        .collect()
}

/// The subjects behind slots.
pub(super) fn slot_subjects(sql: &Connection, slots: &[u64]) -> Result<Vec<Option<SubjectId>>, StoreError> {
    slots
        .iter()
        .map(|slot| {
            let row = sql.prepare_cached("SELECT subject FROM templates WHERE slot = ?1").and_then(
                |mut statement| {
                    statement.query_row(params![slot], |row| row.get::<_, [u8; 16]>(0)).optional()
                },
            );
            Ok(database("looking behind a slot", row)?.map(SubjectId::from_bytes))
        })
        .collect()
}

pub(super) fn template_open(bytes: &[u8]) -> Result<Protected, StoreError> {
    Protected::from_bytes(bytes).map_err(|_| StoreError::Damaged { what: "a template" })
}

pub(super) const fn official_place(id: &BatchId) -> Place<'_> {
    Place { table: "batches", row: id.as_bytes(), column: "official", version: 1 }
}

pub(super) const fn template_place(row: &[u8]) -> Place<'_> {
    Place { table: "templates", row, column: "template", version: 1 }
}

/// Sixteen bytes always: zero means nobody.
pub(super) fn subject_fact(subject: Option<SubjectId>) -> [u8; 16] {
    subject.map_or([0; 16], |subject| *subject.as_bytes())
}

pub(super) fn subject_tags(context: &Context, subject: Option<SubjectId>) -> Vec<crate::keys::Tag> {
    subject
        .map(|subject| context.keys.ring.tags().tag(Domain::Subject, subject.as_bytes()))
        .into_iter()
        .collect()
}
