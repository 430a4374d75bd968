//! Corrections in SQLite: who received a field, found by keyed tags; what is to be told of it, told and acknowledged.
//!
//! A correction is made in the transaction of the change that it comes from. Whether a partner may be told of it at this
//! moment is for the rules and the restrictions of the person, so it is told by a transaction of its own.

use rusqlite::{Connection, params};

use crate::approval::{
    Correction, CorrectionKind, CorrectionNew, Disclosure, Event as Happened, Fields, SignedCorrectionAsk,
    State, Transition,
};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName, PartnerName, SubjectId};
use crate::keys::{Domain, Tag};
use crate::store::correction::{CorrectionFilter, CorrectionTerms, CorrectionsAsk};
use crate::store::disclosure::{Case, Stepped};
use crate::store::enrolment::FieldNew;
use crate::store::{Journal, StoreError};

use super::disclosure::{own, stepped, tags};
use super::disclosure_row::{Row, get, step_keep};
use super::release::field_open;
use super::tx::Tx;
use super::{Context, count, database, enrolment};

/// The tag under which whoever received a field of somebody is found.
pub(super) fn field_tag(context: &Context, subject: SubjectId, field: &FieldName) -> Tag {
    let parts = [subject.as_bytes().as_slice(), field.as_str().as_bytes()];
    context.keys.ring.tags().tag_of(Domain::Subject, &parts)
}

/// Notes which fields a release was granted, and which of them it holds.
pub(super) fn released(
    tx: &Tx<'_>,
    id: DisclosureId,
    subject: SubjectId,
    (granted, held): (&Fields, &[FieldName]),
) -> Result<(), StoreError> {
    let new = "INSERT INTO recipients (disclosure, fetched, untold) VALUES (?1, 0, 0)";
    let inserted = tx.sql.execute(new, params![id.as_bytes()]);
    database("writing a recipient", inserted)?;
    for field in granted.iter() {
        let is_held = held.contains(field);
        let inserted = tx.sql.execute(
            "INSERT INTO released_fields (tag, disclosure, held) VALUES (?1, ?2, ?3)",
            params![field_tag(tx.context, subject, field).as_bytes(), id.as_bytes(), is_held],
        );
        database("writing a recipient", inserted)?;
    }
    Ok(())
}

/// Notes that a release was fetched.
pub(super) fn fetched(sql: &Connection, id: DisclosureId) -> Result<(), StoreError> {
    let noted = sql
        .prepare_cached("UPDATE recipients SET fetched = 1 WHERE disclosure = ?1")
        .and_then(|mut statement| statement.execute(params![id.as_bytes()]));
    database("noting a recipient", noted).map(count)
}

/// What a row says of the corrections of a disclosure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Whether the partner is not told of one.
    pub(super) untold: bool,
    /// By when the partner is to acknowledge the first that it was told of.
    pub(super) due: Option<i64>,
    /// The same, of those that nobody has noted as late.
    pub(super) alert: Option<i64>,
}

impl Open {
    pub(super) fn of(disclosure: &Disclosure) -> Self {
        let told = disclosure.corrections().iter().filter_map(|one| one.told.as_ref());
        let open = told.filter(|told| told.acknowledged.is_none());
        let by = |told: &crate::approval::Told| told.acknowledge_by.as_millis();
        Self {
            untold: disclosure.corrections().iter().any(|one| one.told.is_none()),
            due: open.clone().map(by).min(),
            alert: open.filter(|told| !told.is_overdue).map(by).min(),
        }
    }
}

/// Keeps what the steps of a disclosure say of its corrections.
pub(super) fn open_keep(tx: &Tx<'_>, disclosure: &Disclosure) -> Result<(), StoreError> {
    if disclosure.fetch_by().is_none() {
        return Ok(());
    }
    let Open { untold, due, alert } = Open::of(disclosure);
    let (id, is_received) = (disclosure.request().disclosure(), disclosure.state() == State::Acknowledged);
    let kept = tx.sql.execute(
        "UPDATE recipients SET fetched = max(fetched, ?2), untold = ?3, due_ms = ?4, alert_ms = ?5
         WHERE disclosure = ?1",
        params![id.as_bytes(), is_received, untold, due, alert],
    );
    database("noting a recipient", kept).map(count)
}

/// The fields among these whose value or permitted uses change, and that somebody received.
pub(super) fn changed(
    tx: &Tx<'_>,
    subject: SubjectId,
    new: &[FieldNew],
) -> Result<Vec<FieldName>, StoreError> {
    let mut changed = Vec::new();
    for field in new {
        if recipients(tx, subject, &field.field)?.is_empty() {
            continue;
        }
        let Some(key) = tx.context.keys.subject_key(&subject)? else { break };
        let Some(stored) = field_open(tx.sql, &key, subject, &field.field)? else { continue };
        if *stored.value != *field.value || stored.permitted_uses != field.permitted_uses {
            changed.push(field.field.clone());
        }
    }
    Ok(changed)
}

/// The disclosures by which somebody received a field, or still may.
fn recipients(tx: &Tx<'_>, subject: SubjectId, field: &FieldName) -> Result<Vec<DisclosureId>, StoreError> {
    let tag = field_tag(tx.context, subject, field);
    let rows = tx
        .sql
        .prepare_cached(
            "SELECT disclosure FROM released_fields
               JOIN recipients USING (disclosure)
               JOIN disclosures ON disclosures.id = disclosure
             WHERE tag = ?1 AND held = 1 AND (fetched = 1 OR state = 'released') ORDER BY disclosure",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![tag.as_bytes()], |row| row.get::<_, [u8; 16]>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
    let rows = database("looking for recipients", rows)?;
    Ok(rows.into_iter().map(DisclosureId::from_bytes).collect())
}

/// What is corrected, and by whom.
pub(super) struct Made<'a> {
    pub(super) kind: CorrectionKind,
    pub(super) statement: &'a str,
    pub(super) by: &'a ActorName,
}

/// Corrects these fields of somebody wherever they were received; `but` has been corrected already.
pub(super) fn make(
    tx: &mut Tx<'_>,
    permit: &Permit,
    subject: SubjectId,
    fields: &[FieldName],
    made: &Made<'_>,
    but: Option<DisclosureId>,
) -> Result<(), StoreError> {
    let mut received: std::collections::BTreeMap<[u8; 16], Vec<FieldName>> = Default::default();
    for field in fields {
        for id in recipients(tx, subject, field)? {
            received.entry(*id.as_bytes()).or_default().push(field.clone());
        }
    }
    for (id, fields) in received {
        let id = DisclosureId::from_bytes(id);
        if but == Some(id) {
            continue;
        }
        // What a disposal is about to take is not corrected any more.
        let Some(mut row) = get(tx.context, tx.sql, id)? else { continue };
        let fields = Fields::new(fields).map_err(|_| DAMAGED)?;
        if made.kind == CorrectionKind::Changed && waits(&row.case.disclosure, &fields) {
            continue;
        }
        let (statement, by) = (made.statement.to_owned(), made.by.clone());
        let new = CorrectionNew { kind: made.kind, fields, statement, by };
        let (after, transition) = row.case.disclosure.correct(new, tx.now).map_err(|_| DAMAGED)?;
        made_enter(tx, permit, &after, &transition, row.subject)?;
        step_keep(tx, &mut row, after, &transition)?;
    }
    Ok(())
}

/// Whether the same is waiting to be told: it says no more when it has happened twice.
fn waits(disclosure: &Disclosure, fields: &Fields) -> bool {
    disclosure.corrections().iter().any(|one| {
        one.told.is_none()
            && one.new.kind == CorrectionKind::Changed
            && fields.iter().all(|field| one.new.fields.contains(field))
    })
}

fn made_enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    after: &Disclosure,
    transition: &Transition,
    subject: SubjectId,
) -> Result<(), StoreError> {
    let Happened::CorrectionMade(new) = &transition.step.event else { return Err(DAMAGED) };
    let event = tx
        .event(Kind::CorrectionMade, permit)
        .with(Fact::Disclosure, after.request().disclosure().as_bytes())
        .text(Fact::Fields, &joined(&new.fields))
        .text(Fact::Reason, new.kind.as_str())
        .with(Fact::Subject, subject.as_bytes())
        .with(Fact::ContentDigest, Digest::sha256(&transition.step.to_bytes()).as_bytes());
    let tags = tags(tx.context, after, Some(subject));
    tx.enter_private(&event, &tags).map(|_| ())
}

/// A statement that officers made about one release stands beside the same fields wherever they were received.
pub(super) fn stated(
    tx: &mut Tx<'_>,
    permit: &Permit,
    after: &Disclosure,
    subject: SubjectId,
) -> Result<(), StoreError> {
    let Some(new) = after.corrections().last().map(|one| one.new.clone()) else { return Ok(()) };
    let fields: Vec<FieldName> = new.fields.iter().cloned().collect();
    let made = Made { kind: new.kind, statement: &new.statement, by: &new.by };
    make(tx, permit, subject, &fields, &made, Some(after.request().disclosure()))
}

/// Tells a partner of what it may be told of one disclosure; gives how many corrections that were.
pub(super) fn tell(tx: &mut Tx<'_>, id: DisclosureId, terms: &CorrectionTerms) -> Result<u32, StoreError> {
    let Some(mut row) = get(tx.context, tx.sql, id)? else { return Ok(0) };
    if !is_received(tx.sql, &row)? {
        return Ok(0);
    }
    let restrictions = enrolment::restrictions_of(tx.sql, row.subject)?;
    let is_visible = restrictions.is_some_and(|names| names.iter().all(|name| terms.visible.contains(name)));
    let waiting: Vec<u32> = (0..)
        .zip(row.case.disclosure.corrections())
        .filter(|(_, one)| one.told.is_none() && (is_visible || !one.new.kind.is_of_record()))
        .map(|(place, _)| place)
        .collect();
    let acknowledge_by = tx.now.after(terms.acknowledge_within);
    for place in &waiting {
        let told = row.case.disclosure.correction_tell(*place, acknowledge_by, tx.now);
        let (after, transition) = told.map_err(|_| DAMAGED)?;
        let place = usize::try_from(*place).unwrap_or(usize::MAX);
        let told = after.corrections().get(place).ok_or(DAMAGED)?;
        let shared = told_event(tx.system_event(Kind::CorrectionTold, terms.policy), id, told);
        let holder = shared.clone().with(Fact::Subject, row.subject.as_bytes());
        let tags = tags(tx.context, &after, Some(row.subject));
        tx.enter(Journal::Partner(after.request().partner().clone()), &shared, &holder, &tags)?;
        row.case = step_keep(tx, &mut row, after, &transition)?;
    }
    Ok(waiting.len().try_into().unwrap_or(u32::MAX))
}

/// What the entry says of a correction that a partner is told; of its statement the digest.
pub(super) fn told_event(event: Event, id: DisclosureId, told: &Correction) -> Event {
    event
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Fields, &joined(&told.new.fields))
        .text(Fact::Reason, told.new.kind.as_str())
        .with(Fact::ContentDigest, Digest::sha256(told.new.statement.as_bytes()).as_bytes())
        .text(Fact::Detail, &told.told.as_ref().map(|told| told.number.to_string()).unwrap_or_default())
}

/// Whether the partner has the release, or may still fetch it.
fn is_received(sql: &Connection, row: &Row) -> Result<bool, StoreError> {
    let id = row.case.disclosure.request().disclosure();
    let read = "SELECT fetched FROM recipients WHERE disclosure = ?1";
    let fetched = sql.query_row(read, params![id.as_bytes()], |row| row.get::<_, bool>(0));
    Ok(database("reading a recipient", fetched)? || row.case.disclosure.state() == State::Released)
}

/// Keeps that a partner acknowledged a correction.
pub(super) fn acknowledge(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: DisclosureId,
    number: u32,
) -> Result<Stepped, StoreError> {
    let Some((_, mut row)) = own(tx, permit, id)? else { return Ok(Stepped::NoCase) };
    let event = tx
        .event(Kind::CorrectionAcknowledged, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .text(Fact::Detail, &number.to_string());
    let taken = row.case.disclosure.correction_acknowledge(number, permit.actor().name.clone(), tx.now);
    stepped(tx, permit, &mut row, taken, &event)
}

/// Keeps what a partner asks for after the release.
pub(super) fn ask(tx: &mut Tx<'_>, permit: &Permit, ask: SignedCorrectionAsk) -> Result<Stepped, StoreError> {
    let id = ask.ask.disclosure();
    let Some((_, mut row)) = own(tx, permit, id)? else { return Ok(Stepped::NoCase) };
    let event = tx
        .event(Kind::CorrectionAsked, permit)
        .with(Fact::Disclosure, id.as_bytes())
        .with(Fact::ContentDigest, ask.ask.digest().as_bytes())
        .text(Fact::Official, ask.ask.official())
        .with(Fact::RequestSignature, &ask.signature);
    let taken = row.case.disclosure.correction_ask(ask, tx.now);
    stepped(tx, permit, &mut row, taken, &event)
}

/// Notes the corrections of one disclosure that were not acknowledged in time, once each; gives how many.
pub(super) fn overdue(tx: &mut Tx<'_>, id: DisclosureId, policy: Digest) -> Result<u32, StoreError> {
    let Some(mut row) = get(tx.context, tx.sql, id)? else { return Ok(0) };
    let told = row.case.disclosure.corrections().iter().filter_map(|one| one.told.as_ref());
    let late =
        told.filter(|told| told.acknowledged.is_none() && !told.is_overdue && told.acknowledge_by <= tx.now);
    let late: Vec<u32> = late.map(|told| told.number).collect();
    for number in &late {
        let taken = row.case.disclosure.correction_overdue(*number, tx.now);
        let (after, transition) = taken.map_err(|_| DAMAGED)?;
        let event = tx
            .system_event(Kind::CorrectionOverdue, policy)
            .with(Fact::Disclosure, id.as_bytes())
            .with(Fact::Subject, row.subject.as_bytes())
            .text(Fact::Detail, &number.to_string());
        let tags = tags(tx.context, &after, Some(row.subject));
        tx.enter_private(&event, &tags)?;
        row.case = step_keep(tx, &mut row, after, &transition)?;
    }
    Ok(late.len().try_into().unwrap_or(u32::MAX))
}

/// Disclosures with corrections that a filter lets through.
pub(super) fn list(
    context: &Context,
    sql: &Connection,
    ask: &CorrectionsAsk,
) -> Result<Vec<Case>, StoreError> {
    let (condition, order) = match &ask.filter {
        CorrectionFilter::Untold => {
            ("untold = 1 AND (fetched = 1 OR state = 'released') AND coalesce(disclosure > ?3, 1)", BY_ID)
        }
        CorrectionFilter::Of(_) => {
            ("due_ms IS NOT NULL AND partner = ?1 AND coalesce(disclosure > ?3, 1)", BY_ID)
        }
        CorrectionFilter::Open => (
            "due_ms IS NOT NULL AND (?3 IS NULL OR
               (due_ms, disclosure) > (SELECT due_ms, disclosure FROM recipients WHERE disclosure = ?3))",
            "due_ms, disclosure",
        ),
        CorrectionFilter::OverdueBefore(_) => ("alert_ms <= ?2 AND coalesce(disclosure > ?3, 1)", BY_ID),
    };
    let partner = match &ask.filter {
        CorrectionFilter::Of(partner) => Some(PartnerName::as_str(partner)),
        _ => None,
    };
    let before = match &ask.filter {
        CorrectionFilter::OverdueBefore(before) => Some(Timestamp::as_millis(*before)),
        _ => None,
    };
    let statement = format!(
        "SELECT disclosure FROM recipients JOIN disclosures ON disclosures.id = disclosure
         WHERE {condition} AND ?1 IS ?1 AND ?2 IS ?2 ORDER BY {order} LIMIT ?4"
    );
    let rows = sql.prepare_cached(&statement).and_then(|mut statement| {
        let after = ask.after.map(|id| *id.as_bytes());
        statement
            .query_map(params![partner, before, after, ask.limit], |row| row.get::<_, [u8; 16]>(0))?
            .collect::<Result<Vec<_>, _>>()
    });
    let ids = database("listing corrections", rows)?.into_iter().map(DisclosureId::from_bytes);
    ids.filter_map(|id| get(context, sql, id).transpose()).map(|row| row.map(|row| row.case)).collect()
}

pub(super) fn joined(fields: &Fields) -> String {
    fields.iter().map(FieldName::as_str).collect::<Vec<_>>().join(",")
}

const BY_ID: &str = "disclosure";
const DAMAGED: StoreError = StoreError::Damaged { what: "a release that is corrected" };
