//! Subjects that two people found to be one person, and parted again.
//!
//! Nothing moves: each keeps its source, its templates and its record, so that a mistake can be undone. What is shared is what
//! protects: a restriction of one restricts all of them, and whoever enrolled one of them decides about none.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::ids::{ActorName, ChangeId, RestrictionName, SubjectId};
use crate::store::{GalleryChange, StoreError};

use super::enrolment::{
    Known, enrolled_by, restriction_names, restriction_set, restriction_set_put, restrictions_of,
    subject_tags,
};
use super::tx::Tx;
use super::{count, database};

/// All who are one person with somebody, that one included and first.
pub(super) fn all_of(sql: &Connection, subject: SubjectId) -> Result<Vec<SubjectId>, StoreError> {
    let read = "SELECT other.subject FROM one_person this JOIN one_person other USING (person)
                WHERE this.subject = ?1 AND other.subject != ?1 ORDER BY other.subject";
    let others = sql.prepare_cached(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| row.get::<_, [u8; 16]>(0);
        statement.query_map(params![subject.as_bytes()], row)?.collect::<Result<Vec<_>, _>>()
    });
    let others = database(LOOKING, others)?.into_iter().map(SubjectId::from_bytes);
    Ok(std::iter::once(subject).chain(others).collect())
}

/// Who enrolled any of those who are one person with somebody.
pub(super) fn enrolled(sql: &Connection, subject: SubjectId) -> Result<Vec<ActorName>, StoreError> {
    let names = all_of(sql, subject)?.into_iter().map(|one| enrolled_by(sql, one));
    Ok(names.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Makes two subjects one person, with all who are one with either. `None`: one of them is not there, or they are already.
pub(super) fn merge(
    tx: &mut Tx<'_>,
    permit: &Permit,
    change: ChangeId,
    [one, other]: [SubjectId; 2],
) -> Result<Option<GalleryChange>, StoreError> {
    let first = all_of(tx.sql, one)?;
    if first.contains(&other) {
        return Ok(None);
    }
    let all: Vec<SubjectId> = first.into_iter().chain(all_of(tx.sql, other)?).collect();
    let mut names = BTreeSet::new();
    for subject in &all {
        let Some(found) = restrictions_of(tx.sql, *subject)? else { return Ok(None) };
        names.extend(found);
    }
    let join = "INSERT INTO one_person (subject, person, own_set, joined_ms)
                SELECT id, ?2, restriction_set, ?3 FROM subjects WHERE id = ?1
                ON CONFLICT (subject) DO UPDATE SET person = excluded.person";
    for subject in &all {
        let values = params![subject.as_bytes(), change.as_bytes(), tx.now.as_millis()];
        database("making one person", tx.sql.execute(join, values)).map(count)?;
    }
    let mut gallery = GalleryChange::default();
    for subject in &all {
        restricted_to(tx, *subject, &names, &mut gallery)?;
    }
    let event = tx
        .event(Kind::SubjectsMerged, permit)
        .with(Fact::Subject, one.as_bytes())
        .with(Fact::OtherSubject, other.as_bytes())
        .with(Fact::Change, change.as_bytes());
    let tags = [subject_tags(tx.context, Some(one)), subject_tags(tx.context, Some(other))].concat();
    tx.enter_private(&event, &tags)?;
    Ok(Some(gallery))
}

/// Parts a subject from the person it was made one with. `None`: it is not there, or by itself.
pub(super) fn split(
    tx: &mut Tx<'_>,
    permit: &Permit,
    change: ChangeId,
    subject: SubjectId,
) -> Result<Option<GalleryChange>, StoreError> {
    let all = all_of(tx.sql, subject)?;
    let [_, others @ ..] = all.as_slice() else { return Ok(None) };
    if others.is_empty() {
        return Ok(None);
    }
    let mut gallery = GalleryChange::default();
    let own = own_restrictions(tx.sql, subject)?;
    leave(tx.sql, subject)?;
    restricted_to(tx, subject, &own, &mut gallery)?;
    let mut left = BTreeSet::new();
    for other in others {
        left.extend(own_restrictions(tx.sql, *other)?);
    }
    for other in others {
        restricted_to(tx, *other, &left, &mut gallery)?;
    }
    if let [last] = others {
        leave(tx.sql, *last)?;
    }
    let event = tx
        .event(Kind::SubjectSplit, permit)
        .with(Fact::Subject, subject.as_bytes())
        .with(Fact::Change, change.as_bytes());
    let tags = subject_tags(tx.context, Some(subject));
    tx.enter_private(&event, &tags)?;
    Ok(Some(gallery))
}

/// A subject was given restrictions: all who are one with it get them, and it keeps them if they are parted.
pub(super) fn restricted(
    tx: &Tx<'_>,
    subject: SubjectId,
    add: &[RestrictionName],
    gallery: &mut GalleryChange,
) -> Result<(), StoreError> {
    let all = all_of(tx.sql, subject)?;
    let [_, others @ ..] = all.as_slice() else { return Ok(()) };
    if others.is_empty() {
        return Ok(());
    }
    own_change(tx.sql, subject, |names| names.extend(add.iter().cloned()))?;
    for other in others {
        let mut names = restrictions_of(tx.sql, *other)?.unwrap_or_default();
        names.extend(add.iter().cloned());
        restricted_to(tx, *other, &names, gallery)?;
    }
    Ok(())
}

/// A restriction of a subject was lifted: of all who are one with it, whichever it came from.
pub(super) fn unrestricted(
    tx: &Tx<'_>,
    subject: SubjectId,
    restriction: &RestrictionName,
    gallery: &mut GalleryChange,
) -> Result<(), StoreError> {
    let all = all_of(tx.sql, subject)?;
    if all.len() < 2 {
        return Ok(());
    }
    for one in all {
        own_change(tx.sql, one, |names| names.retain(|name| name != restriction))?;
        let mut names = restrictions_of(tx.sql, one)?.unwrap_or_default();
        names.remove(restriction);
        restricted_to(tx, one, &names, gallery)?;
    }
    Ok(())
}

/// A subject is about to be erased. What it was restricted by stays with those who are one with it: an erasure shows nobody.
pub(super) fn erased(sql: &Connection, subject: SubjectId) -> Result<(), StoreError> {
    let all = all_of(sql, subject)?;
    let [_, others @ ..] = all.as_slice() else { return Ok(()) };
    if others.is_empty() {
        return Ok(());
    }
    let own = own_restrictions(sql, subject)?;
    leave(sql, subject)?;
    for other in others {
        own_change(sql, *other, |names| names.extend(own.iter().cloned()))?;
    }
    // By itself from now on, with what it has been restricted by as one of two.
    if let [last] = others { leave(sql, *last) } else { Ok(()) }
}

/// What a subject that is one with others is restricted by on its own account.
fn own_restrictions(sql: &Connection, subject: SubjectId) -> Result<BTreeSet<RestrictionName>, StoreError> {
    let read = "SELECT own_set FROM one_person WHERE subject = ?1";
    let set = sql.query_row(read, params![subject.as_bytes()], |row| row.get(0)).optional();
    match database(LOOKING, set)? {
        Some(set) => restriction_names(sql, set),
        None => Ok(restrictions_of(sql, subject)?.unwrap_or_default()),
    }
}

fn own_change(
    sql: &Connection,
    subject: SubjectId,
    change: impl FnOnce(&mut BTreeSet<RestrictionName>),
) -> Result<(), StoreError> {
    let mut names = own_restrictions(sql, subject)?;
    change(&mut names);
    let set = restriction_set(sql, &names)?;
    let put = "UPDATE one_person SET own_set = ?2 WHERE subject = ?1";
    database("restricting a subject", sql.execute(put, params![subject.as_bytes(), set])).map(count)
}

fn restricted_to(
    tx: &Tx<'_>,
    subject: SubjectId,
    names: &BTreeSet<RestrictionName>,
    gallery: &mut GalleryChange,
) -> Result<(), StoreError> {
    let read = "SELECT restriction_set FROM subjects WHERE id = ?1";
    let set = tx.sql.query_row(read, params![subject.as_bytes()], |row| row.get(0));
    let mut known = Known { id: subject, restriction_set: database(LOOKING, set)? };
    restriction_set_put(tx, &mut known, names, gallery)
}

fn leave(sql: &Connection, subject: SubjectId) -> Result<(), StoreError> {
    let left = sql.execute("DELETE FROM one_person WHERE subject = ?1", params![subject.as_bytes()]);
    database("parting subjects", left).map(count)
}

const LOOKING: &str = "looking for who is one person";
