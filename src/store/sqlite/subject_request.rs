//! Requests of people in SQLite. A row holds what its entries say, sealed, in their order; all else of it follows from
//! them, here and when the store is checked.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{PayloadClass, Permit};
use crate::clock::{Timestamp, date_of};
use crate::ids::{Digest, SubjectId, SubjectRequestId};
use crate::keys::Place;
use crate::store::enrolment::RestrictionNew;
use crate::store::subject::{
    Closed, Extension, SubjectRequest, SubjectRequestFilter, SubjectRequestNew, SubjectRequestStep,
    SubjectRequestStepped,
};
use crate::store::{GalleryChange, StoreError};

use super::day_key::DayKey;
use super::enrolment::{restriction_add, subject_fact, subject_find, subject_tags};
use super::tx::Tx;
use super::{Context, count, database};

/// Opens a request. Where the person disputes what is held they are hidden by the same transaction.
pub(super) fn open(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: &SubjectRequestNew,
) -> Result<(SubjectRequest, GalleryChange), StoreError> {
    let subject = match &new.source {
        Some(source) => subject_find(tx.sql, source)?.map(|known| known.id),
        None => None,
    };
    let mut change = GalleryChange::default();
    if let (Some(restriction), Some(source)) = (&new.disputed, &new.source) {
        let why = format!("disputed by the person: {}", new.id.resource());
        let disputed = RestrictionNew { source: *source, restriction: restriction.clone(), why };
        change = restriction_add(tx, permit, &disputed)?;
    }
    let event = tx
        .event(Kind::SubjectRequestOpened, permit)
        .with(Fact::SubjectRequest, new.id.as_bytes())
        .with(Fact::Subject, &subject_fact(subject))
        .text(Fact::RequestKind, new.kind.as_str())
        .text(Fact::Reference, &new.reference)
        .text(Fact::Received, &date_of(new.received.day()).to_string())
        .text(Fact::Due, &new.due.to_string());
    tx.enter_private(&event, &subject_tags(tx.context, subject))?;
    let events = vec![event];
    let request = fold(&events)?;
    let body = seal(tx, new.id, &events)?;
    let inserted = tx.sql.execute(
        "INSERT INTO subject_requests (id, sequence, state, opened_ms, due_ms, late, body)
         VALUES (?1, (SELECT coalesce(max(sequence), 0) + 1 FROM subject_requests), ?2, ?3, ?4, 0, ?5)",
        params![
            new.id.as_bytes(),
            state(&request),
            request.opened.0.as_millis(),
            request.due.as_millis(),
            body
        ],
    );
    database("writing a request", inserted).map(count)?;
    Ok((request, change))
}

/// Extends or closes a request.
pub(super) fn step(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: SubjectRequestId,
    step: &SubjectRequestStep,
) -> Result<SubjectRequestStepped, StoreError> {
    let Some((request, events)) = find(tx.context, tx.sql, id)? else {
        let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NOT_FOUND");
        tx.enter_private(&event, &[])?;
        return Ok(SubjectRequestStepped::NoRequest);
    };
    if let Err(refused) = request.takes(step, tx.now) {
        let event = tx
            .event(Kind::RequestRefused, permit)
            .with(Fact::SubjectRequest, id.as_bytes())
            .text(Fact::Reason, &refused.to_string());
        tx.enter_private(&event, &[])?;
        return Ok(SubjectRequestStepped::Refused(refused));
    }
    let event = match step {
        SubjectRequestStep::Extend { due, why } => tx
            .event(Kind::SubjectRequestExtended, permit)
            .text(Fact::Due, &due.to_string())
            .text(Fact::Reason, why),
        SubjectRequestStep::Close { outcome, grounds, why } => {
            let grounds: Vec<&str> = grounds.iter().map(|ground| ground.as_str()).collect();
            tx.event(Kind::SubjectRequestClosed, permit)
                .text(Fact::Decision, outcome.as_str())
                .text(Fact::Grounds, &grounds.join(","))
                .text(Fact::Reason, why)
        }
    };
    let after = keep(tx, &request, events, event)?;
    Ok(SubjectRequestStepped::Done(Box::new(after)))
}

/// Notes that a request was not decided in time, if that is so and nobody has noted it.
pub(super) fn late(tx: &mut Tx<'_>, id: SubjectRequestId, policy: Digest) -> Result<bool, StoreError> {
    let Some((request, events)) = find(tx.context, tx.sql, id)? else { return Ok(false) };
    if request.closed.is_some() || request.late.is_some() || request.due > tx.now {
        return Ok(false);
    }
    let event =
        tx.system_event(Kind::SubjectRequestOverdue, policy).text(Fact::Due, &request.due.to_string());
    keep(tx, &request, events, event)?;
    Ok(true)
}

/// Enters what happened to a request, and keeps what follows.
fn keep(
    tx: &mut Tx<'_>,
    request: &SubjectRequest,
    mut events: Vec<Event>,
    event: Event,
) -> Result<SubjectRequest, StoreError> {
    let event = event
        .with(Fact::SubjectRequest, request.id.as_bytes())
        .with(Fact::Subject, &subject_fact(request.subject));
    tx.enter_private(&event, &subject_tags(tx.context, request.subject))?;
    events.push(event);
    let after = fold(&events)?;
    let body = seal(tx, request.id, &events)?;
    let kept = tx.sql.execute(
        "UPDATE subject_requests SET state = ?2, due_ms = ?3, late = ?4, body = ?5 WHERE id = ?1",
        params![request.id.as_bytes(), state(&after), after.due.as_millis(), after.late.is_some(), body],
    );
    database("writing a request", kept).map(count)?;
    Ok(after)
}

/// One request.
pub(super) fn get(
    context: &Context,
    sql: &Connection,
    id: SubjectRequestId,
) -> Result<Option<SubjectRequest>, StoreError> {
    Ok(find(context, sql, id)?.map(|(request, _)| request))
}

fn find(
    context: &Context,
    sql: &Connection,
    id: SubjectRequestId,
) -> Result<Option<(SubjectRequest, Vec<Event>)>, StoreError> {
    let body =
        sql.prepare_cached("SELECT body FROM subject_requests WHERE id = ?1").and_then(|mut statement| {
            statement.query_row(params![id.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()
        });
    let Some(body) = database("reading a request", body)? else { return Ok(None) };
    let Some(key) = DayKey::of_value(context, sql, PayloadClass::Enrolment, &body)? else { return Ok(None) };
    let plain = key.open("opening a request", place(id.as_bytes()), &body)?;
    let events = decode(plain.expose())?;
    Ok(Some((fold(&events)?, events)))
}

/// Requests that a filter lets through.
pub(super) fn list(
    context: &Context,
    sql: &Connection,
    filter: &SubjectRequestFilter,
) -> Result<Vec<SubjectRequest>, StoreError> {
    let statement = match (filter.closed, filter.due_at) {
        (true, _) => {
            "SELECT id FROM subject_requests WHERE state = 'closed' AND ?2 IS ?2
               AND (?1 IS NULL OR sequence < (SELECT sequence FROM subject_requests WHERE id = ?1))
             ORDER BY sequence DESC LIMIT ?3"
        }
        (false, Some(_)) => {
            "SELECT id FROM subject_requests WHERE state = 'open' AND late = 0 AND due_ms <= ?2 AND ?1 IS NULL
             ORDER BY due_ms, sequence LIMIT ?3"
        }
        (false, None) => {
            "SELECT id FROM subject_requests WHERE state = 'open' AND ?2 IS ?2
               AND (?1 IS NULL OR (due_ms, sequence) > (SELECT due_ms, sequence FROM subject_requests WHERE id = ?1))
             ORDER BY due_ms, sequence LIMIT ?3"
        }
    };
    let rows = sql.prepare_cached(statement).and_then(|mut statement| {
        let after = filter.after.map(|id| *id.as_bytes());
        let bounds = params![after, filter.due_at.map(Timestamp::as_millis), filter.limit];
        statement.query_map(bounds, |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
    });
    let ids = database("listing requests", rows)?.into_iter().map(SubjectRequestId::from_bytes);
    ids.filter_map(|id| get(context, sql, id).transpose()).collect()
}

/// What the entries of a request come to, in their order.
pub(super) fn fold(events: &[Event]) -> Result<SubjectRequest, StoreError> {
    let (first, rest) = events.split_first().ok_or(DAMAGED)?;
    let mut request = opened(first).ok_or(DAMAGED)?;
    for event in rest {
        taken(&mut request, event).ok_or(DAMAGED)?;
    }
    Ok(request)
}

fn opened(event: &Event) -> Option<SubjectRequest> {
    let subject = SubjectId::from_bytes(event.fact(Fact::Subject)?.try_into().ok()?);
    Some(SubjectRequest {
        id: SubjectRequestId::from_bytes(event.fact(Fact::SubjectRequest)?.try_into().ok()?),
        kind: event.text_of(Fact::RequestKind)?.parse().ok()?,
        subject: Some(subject).filter(|subject| *subject.as_bytes() != [0; 16]),
        reference: event.text_of(Fact::Reference)?.to_owned(),
        received: event.text_of(Fact::Received)?.to_owned(),
        opened: (event.at, event.actor.parse().ok()?),
        due: Timestamp::parse(event.text_of(Fact::Due)?)?,
        extensions: Vec::new(),
        late: None,
        closed: None,
    })
    .filter(|_| event.kind == Kind::SubjectRequestOpened)
}

fn taken(request: &mut SubjectRequest, event: &Event) -> Option<()> {
    if event.fact(Fact::SubjectRequest)? != request.id.as_bytes() {
        return None;
    }
    let reason = || event.text_of(Fact::Reason).map(str::to_owned);
    match event.kind {
        Kind::SubjectRequestExtended => {
            let due = Timestamp::parse(event.text_of(Fact::Due)?)?;
            let (at, by) = (event.at, event.actor.parse().ok()?);
            request.extensions.push(Extension { at, by, due, why: reason()? });
            request.due = due;
        }
        Kind::SubjectRequestOverdue => request.late = Some(event.at),
        Kind::SubjectRequestClosed => {
            let grounds = event.text_of(Fact::Grounds)?;
            let grounds = grounds.split(',').filter(|one| !one.is_empty()).map(str::parse);
            request.closed = Some(Closed {
                at: event.at,
                by: event.actor.parse().ok()?,
                outcome: event.text_of(Fact::Decision)?.parse().ok()?,
                grounds: grounds.collect::<Result<_, _>>().ok()?,
                why: reason()?,
            });
        }
        _ => return None,
    }
    Some(())
}

/// What the column says of where a request stands.
pub(super) const fn state(request: &SubjectRequest) -> &'static str {
    if request.closed.is_some() { "closed" } else { "open" }
}

/// Seals what the entries say under the key of today, since one of them is of today.
fn seal(tx: &Tx<'_>, id: SubjectRequestId, events: &[Event]) -> Result<Vec<u8>, StoreError> {
    let key = DayKey::of_day(tx.context, PayloadClass::Enrolment, tx.now.day())?;
    key.seal(tx.context, "sealing a request", place(id.as_bytes()), &encode(events)?)
}

/// What entries say, as a row holds it: each event after its length.
pub(super) fn encode(events: &[Event]) -> Result<zeroize::Zeroizing<Vec<u8>>, StoreError> {
    let mut plain = zeroize::Zeroizing::new(Vec::new());
    for event in events {
        let bytes = event.encode().map_err(|_| DAMAGED)?;
        plain.extend_from_slice(&u32::try_from(bytes.len()).map_err(|_| DAMAGED)?.to_be_bytes());
        plain.extend_from_slice(&bytes);
    }
    Ok(plain)
}

/// What the entries of a row say.
pub(super) fn decode(mut bytes: &[u8]) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
        let (event, rest) = rest.split_at_checked(length).ok_or(DAMAGED)?;
        events.push(Event::decode(event).map_err(|_| DAMAGED)?);
        bytes = rest;
    }
    if bytes.is_empty() { Ok(events) } else { Err(DAMAGED) }
}

/// The place of a request's body.
pub(super) const fn place(id: &[u8]) -> Place<'_> {
    Place { table: "subject_requests", row: id, column: "body", version: 1 }
}

const DAMAGED: StoreError = StoreError::Damaged { what: "a person's request" };
