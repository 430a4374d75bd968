//! Templates that are compared with one another, and the entry of it.

use rusqlite::{Connection, params};

use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::ids::{CollectionName, SubjectId};
use crate::store::StoreError;
use crate::store::duplicates::{DuplicatesNew, ToCompare};
use crate::store::enrolment::CollectionGeneration;

use super::enrolment::{restrictions_of, slots_of, template_open, template_place};
use super::tx::Tx;
use super::{Context, database, one_person, opened};

/// Templates of a collection in one generation after a slot, in slot order.
pub(super) fn page(
    context: &Context,
    sql: &Connection,
    generation: &CollectionGeneration,
    after: u64,
    limit: u32,
) -> Result<Vec<ToCompare>, StoreError> {
    let read = "SELECT slot, subject, template FROM templates
                WHERE collection = ?1 AND generation = ?2 AND slot > ?3 ORDER BY slot LIMIT ?4";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let of = params![generation.collection.as_str(), generation.number, after, limit];
        let row = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, Vec<u8>>(2)?))
        };
        statement.query_map(of, row)?.collect::<Result<Vec<_>, _>>()
    });
    let collection_key = context.keys.collection_key_of(generation)?;
    let compared = |(slot, subject, sealed): (u64, [u8; 16], Vec<u8>)| {
        let subject = SubjectId::from_bytes(subject);
        let key = context.keys.subject_key(&subject)?;
        let key = key.ok_or(StoreError::Damaged { what: "a template whose data key is missing" })?;
        let bytes = collection_key.template_key(&key).open(template_place(&slot.to_be_bytes()), &sealed);
        let template = template_open(opened("opening a template", bytes)?.expose())?;
        Ok(ToCompare { slot, subject, own: own(sql, subject, &generation.collection)?, template })
    };
    database("reading templates", rows)?.into_iter().map(compared).collect()
}

fn own(sql: &Connection, subject: SubjectId, collection: &CollectionName) -> Result<Vec<u64>, StoreError> {
    Ok(slots_of(sql, subject, Some(collection))?.into_iter().map(|(_, slot)| slot).collect())
}

/// Enters that templates were compared, and gives the pairs of subjects that are there and not one person yet.
pub(super) fn note(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &DuplicatesNew,
) -> Result<Vec<[SubjectId; 2]>, StoreError> {
    let mut pairs = Vec::new();
    for [one, other] in new.pairs.inside() {
        let is_there = restrictions_of(tx.sql, *one)?.is_some() && restrictions_of(tx.sql, *other)?.is_some();
        if is_there && !one_person::all_of(tx.sql, *one)?.contains(other) {
            pairs.push([*one, *other]);
        }
    }
    let event = tx
        .event(Kind::DuplicatesSought, permit)
        .text(Fact::Collection, new.collection.as_str())
        .with(Fact::RangeStart, &new.after.to_be_bytes())
        .with(Fact::RangeCount, &new.compared.to_be_bytes())
        .text(Fact::Detail, &format!("{} pairs", pairs.len()))
        .text(Fact::Reason, &new.why);
    tx.enter_private(&event, &[])?;
    Ok(pairs)
}
