//! A disclosure as its rows hold it: request and steps, sealed under the key of a day.

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::{Disclosure, Request, Review, Step, Transition};
use crate::authz::PayloadClass;
use crate::ids::{Digest, DisclosureId, RequestId, SubjectId};
use crate::keys::{Domain, Place};
use crate::store::StoreError;
use crate::store::disclosure::Case;
use crate::store::notice::NoticeKind;

use super::day_key::DayKey;
use super::disclosure_list::CaseTags;
use super::tx::Tx;
use super::{Context, correction, count, database, notice, one_person, release};

/// A disclosure with the subject it is about, which stays inside the store.
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) subject: SubjectId,
    /// What all of it is sealed under.
    pub(super) key: DayKey,
}

/// One disclosure, rebuilt from its request and its steps; `None` also when a disposal has taken it.
pub(super) fn get(context: &Context, sql: &Connection, id: DisclosureId) -> Result<Option<Row>, StoreError> {
    let body = sql.prepare_cached("SELECT body FROM disclosures WHERE id = ?1").and_then(|mut statement| {
        statement.query_row(params![id.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
    });
    let Some(body) = database("reading a disclosure", body)? else { return Ok(None) };
    let Some(key) = DayKey::of_value(context, sql, PayloadClass::Disclosure, &body)? else { return Ok(None) };
    let body = key.open("opening a case", body_place(&id), &body)?;
    let damaged = || StoreError::Damaged { what: "a disclosure" };
    let (subject, request) = body.expose().split_first_chunk::<16>().ok_or_else(damaged)?;
    let request = Request::from_bytes(request).map_err(|_| damaged())?;
    let steps = steps(sql, id, &key)?;
    let disclosure = Disclosure::replay(request, &steps).map_err(|_| damaged())?;
    let subject = SubjectId::from_bytes(*subject);
    Ok(Some(Row { case: case(sql, disclosure, subject)?, subject, key }))
}

fn steps(sql: &Connection, id: DisclosureId, key: &DayKey) -> Result<Vec<Step>, StoreError> {
    steps_sealed(sql, id)?
        .into_iter()
        .map(|(sequence, bytes)| {
            let row = step_row(id, sequence);
            let step = key.open("opening a step", step_place(&row), &bytes)?;
            Step::from_bytes(step.expose())
                .map_err(|_| StoreError::Damaged { what: "a step of a disclosure" })
        })
        .collect()
}

fn steps_sealed(sql: &Connection, id: DisclosureId) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let rows = sql
        .prepare_cached("SELECT sequence, step FROM disclosure_steps WHERE disclosure = ?1 ORDER BY sequence")
        .and_then(|mut statement| {
            statement
                .query_map(params![id.as_bytes()], |row| {
                    Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading a case", rows)
}

/// Seals all of a disclosure under the key of today: an entry about it is made.
pub(super) fn seal_today(tx: &Tx<'_>, row: &mut Row) -> Result<(), StoreError> {
    let id = row.case.disclosure.request().disclosure();
    let Some(later) = row.key.later(tx.context, tx.now.day())? else { return Ok(()) };
    let read = "SELECT body FROM disclosures WHERE id = ?1";
    let body = tx.sql.query_row(read, params![id.as_bytes()], |row| row.get::<_, Vec<u8>>(0));
    let body = database("reading a disclosure", body)?;
    let body = row.key.seal_again(tx.context, &later, body_place(&id), &body)?;
    let kept = tx.sql.execute("UPDATE disclosures SET body = ?2 WHERE id = ?1", params![id.as_bytes(), body]);
    database("writing a disclosure", kept)?;
    for (sequence, step) in steps_sealed(tx.sql, id)? {
        let step = row.key.seal_again(tx.context, &later, step_place(&step_row(id, sequence)), &step)?;
        let kept = tx.sql.execute(
            "UPDATE disclosure_steps SET step = ?3 WHERE disclosure = ?1 AND sequence = ?2",
            params![id.as_bytes(), sequence, step],
        );
        database("writing a step", kept)?;
    }
    release::seal_again(tx, id, &row.key, &later)?;
    row.key = later;
    Ok(())
}

/// A disclosure with what stands elsewhere about it.
pub(super) fn case(sql: &Connection, disclosure: Disclosure, subject: SubjectId) -> Result<Case, StoreError> {
    let ends = disclosure.fetch_by().unwrap_or_else(|| disclosure.request().decide_by());
    Ok(Case { enrolled_by: one_person::enrolled(sql, subject)?, ends, disclosure })
}

/// Writes a step and the state it came to.
pub(super) fn step_keep(
    tx: &Tx<'_>,
    row: &mut Row,
    after: Disclosure,
    transition: &Transition,
) -> Result<Case, StoreError> {
    let id = after.request().disclosure();
    seal_today(tx, row)?;
    let next = tx.sql.query_row(
        "SELECT coalesce(max(sequence), 0) + 1 FROM disclosure_steps WHERE disclosure = ?1",
        params![id.as_bytes()],
        |row| row.get::<_, u64>(0),
    );
    let sequence = database("numbering a step", next)?;
    let place_row = step_row(id, sequence);
    let step = transition.step.to_bytes();
    let bytes = row.key.seal(tx.context, "sealing a step", step_place(&place_row), &step)?;
    let (review_ms, review_late) = review(&after);
    let case = case(tx.sql, after, row.subject)?;
    let written = tx
        .sql
        .execute(
            "INSERT INTO disclosure_steps (disclosure, sequence, step) VALUES (?1, ?2, ?3)",
            params![id.as_bytes(), sequence, bytes],
        )
        .and_then(|_| {
            tx.sql.execute(
                "UPDATE disclosures SET state = ?2, ends_ms = ?3, review_ms = ?4, review_late = ?5 WHERE id = ?1",
                params![id.as_bytes(), transition.to.as_str(), case.ends.as_millis(), review_ms, review_late],
            )
        });
    database("writing a step", written)?;
    notice::of_step(tx, id, transition.from, transition.to)?;
    correction::open_keep(tx, &case.disclosure)?;
    tx.context.changed.note(id);
    Ok(case)
}

/// Writes a new disclosure.
pub(super) fn insert(
    tx: &Tx<'_>,
    row: &Row,
    request_id: RequestId,
    content: Digest,
    index: u64,
) -> Result<(), StoreError> {
    let disclosure = &row.case.disclosure;
    let (id, request) = (disclosure.request().disclosure(), disclosure.request());
    let plain = [row.subject.as_bytes().as_slice(), &request.to_bytes()].concat();
    let body = row.key.seal(tx.context, "sealing a case", body_place(&id), &plain)?;
    let tags = tx.context.keys.ring.tags();
    let tag = tags.tag(Domain::RequestId, request_id.as_bytes());
    let found_by = CaseTags::of(tags, request, row.subject);
    let inserted = tx.sql.execute(
        "INSERT INTO disclosures
           (id, sequence, partner, request_tag, content, state, body, created_ms, ends_ms, idx, turn, journal,
            purpose_tag, basis_tag, subject_tag, official_tag)
         VALUES (?1, (SELECT coalesce(max(sequence), 0) + 1 FROM disclosures), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
                 (SELECT journal FROM partners WHERE name = ?2), ?11, ?12, ?13, ?14)",
        params![
            id.as_bytes(),
            request.partner().as_str(),
            tag.as_bytes(),
            content.as_bytes(),
            disclosure.state().as_str(),
            body,
            request.received().as_millis(),
            row.case.ends.as_millis(),
            index,
            turn(disclosure),
            found_by.purpose.as_bytes(),
            found_by.basis.as_bytes(),
            found_by.subject.as_bytes(),
            found_by.official.as_bytes()
        ],
    );
    database("writing a disclosure", inserted).map(count)?;
    notice::keep(tx, NoticeKind::New, id)
}

/// The place of a case in the queue: urgent ones come first.
pub(super) fn turn(disclosure: &Disclosure) -> i64 {
    i64::from(disclosure.request().ask().urgent().is_none())
}

/// When the review is due that is owed, and whether it was noted as late.
pub(super) fn review(disclosure: &Disclosure) -> (Option<i64>, i64) {
    let review = disclosure.review();
    let due = review.filter(|review| review.is_owed()).map(|review| review.due().as_millis());
    (due, i64::from(review.is_some_and(Review::is_late)))
}

pub(super) const fn body_place(id: &DisclosureId) -> Place<'_> {
    Place { table: "disclosures", row: id.as_bytes(), column: "body", version: 1 }
}

pub(super) fn step_row(id: DisclosureId, sequence: u64) -> Vec<u8> {
    [id.as_bytes().as_slice(), &sequence.to_be_bytes()].concat()
}

pub(super) const fn step_place(row: &[u8]) -> Place<'_> {
    Place { table: "disclosure_steps", row, column: "step", version: 1 }
}
