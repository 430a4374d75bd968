//! The collections in SQLite, and their renewal: templates move from one generation of their collection to the next, some
//! at a time, each step one transaction. What is left to be done stands in the rows, so that a crash costs one step.

use std::sync::Arc;

use rayon::prelude::*;
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Permit;
use crate::ids::{CollectionName, SubjectId};
use crate::keys::{CollectionKey, Domain};
use crate::store::StoreError;
use crate::store::change::ChangeRecord;
use crate::store::enrolment::{CollectionFound, CollectionGeneration, CollectionNew, GalleryChange, Loaded};
use crate::store::renewal::{Renewal, RenewalStep};
use crate::template::Turn;

use super::disposal::Taken;
use super::enrolment::{next_slot, template_open, template_place};
use super::tx::Tx;
use super::writer::UNLOGGED;
use super::{Context, SqliteStore, database, holder, name, opened, sealed};

/// Makes the collections of the active rules known, and says what there is of each.
pub(super) fn collections_sync(
    tx: &mut Tx<'_>,
    collections: &[CollectionNew],
) -> Result<Vec<CollectionFound>, StoreError> {
    let mut found = Vec::with_capacity(collections.len());
    for new in collections {
        let inserted = tx.sql.execute(
            "INSERT INTO collections (name, scheme, dimension, generation) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO NOTHING",
            params![new.name.as_str(), new.scheme.as_str(), new.dimension, FIRST],
        );
        if database("writing a collection", inserted)? > 0 {
            let first = CollectionGeneration { collection: new.name.clone(), number: FIRST };
            tx.context.keys.collection_key_make(&first, tx.now, tx.context.entropy.as_ref())?;
        }
        renewal_over(tx, &new.name)?;
        found.push(collection_found(tx.context, tx.sql, &new.name)?);
    }
    Ok(found)
}

/// Ends a renewal whose old key is gone with nothing left under it: the store was restored from the backup that is made
/// right before the end.
fn renewal_over(tx: &mut Tx<'_>, collection: &CollectionName) -> Result<(), StoreError> {
    let Some(Standing { renews: Some(renews), .. }) = Standing::read(tx.sql, collection)? else {
        return Ok(());
    };
    if tx.context.keys.collection_key(&renews)?.is_none() {
        // Where templates are left, it refuses, and the missing key is told.
        end(tx, collection)?;
    }
    Ok(())
}

fn collection_found(
    context: &Context,
    sql: &Connection,
    collection: &CollectionName,
) -> Result<CollectionFound, StoreError> {
    let unknown = StoreError::Damaged { what: "a collection without its row" };
    let standing = Standing::read(sql, collection)?.ok_or(unknown)?;
    let mut generations = Vec::with_capacity(2);
    for of in standing.renews.iter().chain([&standing.newest]) {
        match context.keys.collection_key(of)? {
            Some(key) => generations.push((of.clone(), key.transform_secret())),
            None => {
                let what = "the key of a collection is not in `keys.sqlite`; restore its newest backup";
                return Err(StoreError::Damaged { what });
            }
        }
    }
    Ok(CollectionFound { generations })
}

/// How a collection stands in the database.
struct Standing {
    newest: CollectionGeneration,
    /// The one that is being left.
    renews: Option<CollectionGeneration>,
}

impl Standing {
    fn read(sql: &Connection, collection: &CollectionName) -> Result<Option<Self>, StoreError> {
        let read = "SELECT generation, renews FROM collections WHERE name = ?1";
        let row = sql.query_row(read, params![collection.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
        let of = |number| CollectionGeneration { collection: collection.clone(), number };
        let standing =
            |(newest, renews): (u32, Option<u32>)| Self { newest: of(newest), renews: renews.map(of) };
        Ok(database("reading a collection", row.optional())?.map(standing))
    }
}

fn templates_left(sql: &Connection, of: &CollectionGeneration) -> Result<u64, StoreError> {
    let counted = sql.query_row(
        "SELECT count(*) FROM templates WHERE collection = ?1 AND generation = ?2",
        params![of.collection.as_str(), of.number],
        |row| row.get(0),
    );
    database("counting templates", counted)
}

/// Begins to renew a collection; nothing where it is not there, or is being renewed.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    permit: &Permit,
    record: &ChangeRecord,
    collection: &CollectionName,
) -> Result<Taken, StoreError> {
    let Some(Standing { newest, renews: None }) = Standing::read(tx.sql, collection)? else {
        return Ok(Taken::Nothing);
    };
    let number = newest.number.saturating_add(1);
    let next = CollectionGeneration { collection: collection.clone(), number };
    tx.context.keys.collection_key_make(&next, tx.now, tx.context.entropy.as_ref())?;
    let begun = tx.sql.execute(
        "UPDATE collections SET generation = ?2, renews = ?3 WHERE name = ?1",
        params![collection.as_str(), next.number, newest.number],
    );
    database("beginning to renew a collection", begun)?;
    let event = stating(tx.event(Kind::CollectionRenewing, permit), &newest, &next)
        .with(Fact::Change, record.id.as_bytes());
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    tx.enter_private(&event, &[tag])?;
    Ok(Taken::Something)
}

/// Ends a renewal of which nothing is left to be moved; `false` where something is, or nothing is renewed.
pub(super) fn end(tx: &mut Tx<'_>, collection: &CollectionName) -> Result<bool, StoreError> {
    let Some(Standing { newest, renews: Some(renews) }) = Standing::read(tx.sql, collection)? else {
        return Ok(false);
    };
    if templates_left(tx.sql, &renews)? > 0 {
        return Ok(false);
    }
    let ended =
        tx.sql.execute("UPDATE collections SET renews = NULL WHERE name = ?1", params![collection.as_str()]);
    database("ending a renewal", ended)?;
    let policy = holder::policy_active(tx.sql)?;
    let event = stating(tx.system_event(Kind::CollectionRenewed, policy), &renews, &newest);
    tx.enter_private(&event, &[])?;
    Ok(true)
}

fn stating(event: Event, old: &CollectionGeneration, new: &CollectionGeneration) -> Event {
    event
        .text(Fact::Collection, old.collection.as_str())
        .text(Fact::Key, &old.to_string())
        .text(Fact::NewKey, &new.to_string())
}

/// Templates that move, with what they are to be in the next generation.
pub(super) struct Move {
    from: CollectionGeneration,
    to: CollectionGeneration,
    first_slot: u64,
    moved: Vec<Moved>,
}

struct Moved {
    slot: u64,
    subject: SubjectId,
    restriction_set: u64,
    /// When, and by whom.
    enrolled: (i64, String),
    template: crate::template::Protected,
    sealed: Vec<u8>,
}

/// Opens the oldest templates of a generation, turns them and seals them for the next; `None` where none is left.
fn plan(context: &Context, sql: &Connection, step: &Renewal) -> Result<Option<Move>, StoreError> {
    let Renewal { from, to, turn, templates } = step;
    let rows = sql
        .prepare_cached(
            "SELECT t.slot, t.subject, t.template, s.restriction_set, t.enrolled_ms, t.enrolled_by
             FROM templates t JOIN subjects s ON s.id = t.subject
             WHERE t.collection = ?1 AND t.generation = ?2 ORDER BY t.slot LIMIT ?3",
        )
        .and_then(|mut statement| {
            let of = params![from.collection.as_str(), from.number, templates];
            statement
                .query_map(of, |row| {
                    let subject = SubjectId::from_bytes(row.get(1)?);
                    Ok((row.get(0)?, subject, row.get(2)?, row.get(3)?, (row.get(4)?, row.get(5)?)))
                })?
                .collect::<Result<Vec<Row>, _>>()
        });
    let rows = database("reading templates", rows)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let keys = (context.keys.collection_key_of(from)?, context.keys.collection_key_of(to)?);
    let first_slot = next_slot(sql)?;
    let numbered: Vec<(Row, u64)> = rows.into_iter().zip(first_slot..).collect();
    let moved = numbered.into_par_iter().map(|(row, slot)| moved(context, row, slot, &keys, turn));
    let moved = moved.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(Move { from: from.clone(), to: to.clone(), first_slot, moved }))
}

/// Slot, subject, sealed template, set of restrictions, and when it was enrolled by whom.
type Row = (u64, SubjectId, Vec<u8>, u64, (i64, String));

fn moved(
    context: &Context,
    (slot, subject, before, restriction_set, enrolled): Row,
    new_slot: u64,
    (old, new): &(Arc<CollectionKey>, Arc<CollectionKey>),
    turn: &Turn,
) -> Result<Moved, StoreError> {
    let key = context.keys.subject_key(&subject)?;
    let key = key.ok_or(StoreError::Damaged { what: "a template whose data key is missing" })?;
    let plain = old.template_key(&key).open(template_place(&slot.to_be_bytes()), &before);
    let template = template_open(opened("opening a template", plain)?.expose())?;
    let template = turn
        .apply(&template)
        .map_err(|_| StoreError::Damaged { what: "a template of another dimension than its collection's" })?;
    let place = new_slot.to_be_bytes();
    let value = new.template_key(&key).seal(
        template_place(&place),
        template.to_bytes().expose(),
        context.entropy.as_ref(),
    );
    let sealed = sealed("sealing a template", value)?;
    Ok(Moved { slot, subject, restriction_set, enrolled, template, sealed })
}

impl Move {
    /// Writes the templates under their new numbers and takes the old ones out; `None` where something changed since
    /// they were read.
    fn write(self, tx: &Tx<'_>) -> Result<Option<GalleryChange>, StoreError> {
        let Self { from, to, first_slot, moved } = self;
        if next_slot(tx.sql)? != first_slot {
            return Ok(None);
        }
        let doing = "moving a template to the next generation";
        let mut delete = database(
            doing,
            tx.sql.prepare_cached(
                "DELETE FROM templates WHERE slot = ?1 AND collection = ?2 AND generation = ?3",
            ),
        )?;
        let mut insert = database(
            doing,
            tx.sql.prepare_cached(
                "INSERT INTO templates (slot, subject, collection, generation, enrolled_ms, enrolled_by, template)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            ),
        )?;
        let mut change = GalleryChange::default();
        for (one, slot) in moved.into_iter().zip(first_slot..) {
            let Moved { slot: before, subject, restriction_set, enrolled: (at, by), template, sealed } = one;
            let gone = delete.execute(params![before, from.collection.as_str(), from.number]);
            if database(doing, gone)? != 1 {
                // The whole transaction goes back.
                return Err(StoreError::Damaged { what: "a template that moved while it was being moved" });
            }
            let values = params![slot, subject.as_bytes(), to.collection.as_str(), to.number, at, by, sealed];
            database(doing, insert.execute(values))?;
            change.removed.push((from.clone(), before));
            change.added.push(Loaded { generation: to.clone(), slot, restriction_set, template });
        }
        Ok(Some(change))
    }
}

impl SqliteStore {
    /// Enters that templates of a collection are read by whoever holds the store, to measure what protects them.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing may be read.
    pub async fn collection_measured(
        &self,
        collection: &CollectionName,
        because: &str,
    ) -> Result<(), StoreError> {
        self.key_notes_enter().await?;
        let (collection, because) = (collection.clone(), because.to_owned());
        let entered = self.writer.logged(move |tx| {
            let policy = holder::policy_active(tx.sql)?;
            let event = tx
                .system_event(Kind::CollectionMeasured, policy)
                .text(Fact::Collection, collection.as_str())
                .text(Fact::Reason, &because);
            tx.enter_private(&event, &[]).map(|_| ())
        });
        entered.await?.open().map(|_| ()).map_err(|_| UNLOGGED)
    }

    /// Moves some templates; see [`crate::store::Store::renewal_step`].
    pub(super) async fn renewal_move(&self, step: Renewal) -> Result<RenewalStep, StoreError> {
        let context = Arc::clone(&self.context);
        let planned = self.readers.read_before_entry(move |sql| plan(&context, sql, &step)).await?;
        let Some(planned) = planned else { return Ok(RenewalStep::NothingLeft) };
        let written = self.writer.unlogged(move |tx| planned.write(tx)).await?;
        Ok(written.map_or(RenewalStep::Stale, RenewalStep::Moved))
    }
}

/// Collections whose keys of older generations are to be destroyed, with the oldest one that is used.
pub(super) fn oldest_used(sql: &Connection) -> Result<Vec<(CollectionName, u32)>, StoreError> {
    let rows = sql.prepare("SELECT name, coalesce(renews, generation) FROM collections").and_then(
        |mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        },
    );
    let rows = database("reading collections", rows)?;
    rows.into_iter().map(|(collection, oldest)| Ok((name(&collection)?, oldest))).collect()
}

/// The first collection some of whose templates have no key any more: nothing opens them.
pub(super) fn keyless(
    context: &Context,
    sql: &Connection,
) -> Result<Option<CollectionGeneration>, StoreError> {
    let rows =
        sql.prepare("SELECT DISTINCT collection, generation FROM templates").and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    for (collection, number) in database("reading collections", rows)? {
        let of = CollectionGeneration { collection: name(&collection)?, number };
        if context.keys.collection_key(&of)?.is_none() {
            return Ok(Some(of));
        }
    }
    Ok(None)
}

const FIRST: u32 = 1;
