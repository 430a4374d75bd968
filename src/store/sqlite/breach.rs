//! Cases about breaches in SQLite. A row holds what its entries say, sealed, in their order; all else of it follows from
//! them, here and when the store is checked.

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::Fields;
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{PayloadClass, Permit};
use crate::clock::Timestamp;
use crate::ids::{BreachId, Digest, DisclosureId};
use crate::keys::Place;
use crate::store::breach::{
    Affected, Breach, BreachFilter, BreachNew, BreachRefused, BreachStep, BreachStepped, BreachTraced,
    TraceNew,
};
use crate::store::search::{FoundEntry, Search, Sought};
use crate::store::{Journal, StoreError};

use super::day_key::DayKey;
use super::subject_request::{decode, encode};
use super::tx::Tx;
use super::{Context, count, database, disclosure_row, search};

/// Opens a case.
pub(super) fn open(tx: &mut Tx<'_>, permit: &Permit, new: &BreachNew) -> Result<Breach, StoreError> {
    let event = new.stated(tx.event(Kind::BreachOpened, permit));
    tx.enter_private(&event, &[])?;
    let events = vec![event];
    let breach = fold(&events)?;
    let body = seal(tx, new.id, &events)?;
    let inserted = tx.sql.execute(
        "INSERT INTO breaches (id, sequence, state, running, opened_ms, due_ms, late, body)
         VALUES (?1, (SELECT coalesce(max(sequence), 0) + 1 FROM breaches), ?2, ?3, ?4, ?5, 0, ?6)",
        params![
            new.id.as_bytes(),
            state(&breach),
            breach.is_running(),
            breach.opened.0.as_millis(),
            breach.due.as_millis(),
            body
        ],
    );
    database("writing a case about a breach", inserted).map(count)?;
    Ok(breach)
}

/// Takes a step of a case.
pub(super) fn step(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: BreachId,
    step: &BreachStep,
) -> Result<BreachStepped, StoreError> {
    let Some((breach, events)) = find(tx.context, tx.sql, id)? else {
        absent(tx, permit)?;
        return Ok(BreachStepped::NoBreach);
    };
    let actor = permit.actor();
    if let Err(refused) = breach.takes(step, &actor.name, actor.role, tx.now) {
        refuse(tx, permit, id, refused)?;
        return Ok(BreachStepped::Refused(refused));
    }
    let event = step.stated(tx.event(step.kind(), permit)).text(Fact::Role, actor.role.as_str());
    Ok(BreachStepped::Done(Box::new(keep(tx, id, events, event)?)))
}

/// Looks through the log for whom a breach affects, beside the writer.
pub(super) fn read(context: &Context, sql: &Connection, new: &TraceNew) -> Result<Affected, StoreError> {
    let mut affected = Affected::default();
    let mut seen = std::collections::BTreeSet::new();
    for sought in &new.sought {
        let mut before = None;
        loop {
            let asked =
                Search { sought: Sought::clone(sought), before, limit: PAGE_ENTRIES, why: String::new() };
            let page = search::find(context, sql, &asked)?;
            for found in &page {
                if seen.insert(found.place) {
                    take(context, sql, &mut affected, found)?;
                }
            }
            match page.last() {
                Some(last) if u32::try_from(page.len()) == Ok(PAGE_ENTRIES) => before = Some(last.place),
                _ => break,
            }
        }
    }
    Ok(affected)
}

fn take(
    context: &Context,
    sql: &Connection,
    affected: &mut Affected,
    found: &FoundEntry,
) -> Result<(), StoreError> {
    let event = &found.event;
    if !matches!(event.kind, Kind::DisclosureReleased | Kind::DisclosureFetched) {
        affected.take(event);
        return Ok(());
    }
    let id = event.fact(Fact::Disclosure).and_then(|id| id.try_into().ok()).map(DisclosureId::from_bytes);
    let Some(id) = id else { return Ok(()) };
    // What is disposed of opens no more.
    let Some(row) = disclosure_row::get(context, sql, id)? else { return Ok(()) };
    let Journal::Partner(partner) = &found.journal else { return Ok(()) };
    let granted = row.case.disclosure.granted();
    let fields = granted.iter().flat_map(Fields::iter).map(ToString::to_string);
    affected.disclosed(row.subject, fields, partner.as_str());
    Ok(())
}

/// Enters that the log was looked through, before anything is shown, and keeps it with the case.
pub(super) fn trace(
    tx: &mut Tx<'_>,
    permit: &Permit,
    id: BreachId,
    new: &TraceNew,
    affected: Affected,
) -> Result<BreachTraced, StoreError> {
    let Some((breach, events)) = find(tx.context, tx.sql, id)? else {
        absent(tx, permit)?;
        return Ok(BreachTraced::NoBreach);
    };
    if breach.closed.is_some() {
        refuse(tx, permit, id, BreachRefused::Closed)?;
        return Ok(BreachTraced::Refused(BreachRefused::Closed));
    }
    let event = tx
        .event(Kind::BreachTraced, permit)
        .text(Fact::Scope, &new.scope())
        .number(Fact::Affected, affected.count())
        .text(Fact::Fields, &listed(affected.fields()))
        .text(Fact::Recipients, &listed(affected.recipients()))
        .with(Fact::ContentDigest, affected.digest().as_bytes())
        .text(Fact::Reason, &new.why);
    let after = keep(tx, id, events, event)?;
    Ok(BreachTraced::Done(Box::new(after), affected))
}

/// Notes that the Commissioner was not told in time, if that is so and nobody has noted it.
pub(super) fn late(tx: &mut Tx<'_>, id: BreachId, policy: Digest) -> Result<bool, StoreError> {
    let Some((breach, events)) = find(tx.context, tx.sql, id)? else { return Ok(false) };
    if !breach.is_running() || breach.late.is_some() || breach.due > tx.now {
        return Ok(false);
    }
    let event = tx.system_event(Kind::BreachOverdue, policy).text(Fact::Due, &breach.due.to_string());
    keep(tx, id, events, event)?;
    Ok(true)
}

fn absent(tx: &mut Tx<'_>, permit: &Permit) -> Result<(), StoreError> {
    let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NOT_FOUND");
    tx.enter_private(&event, &[]).map(|_| ())
}

fn refuse(tx: &mut Tx<'_>, permit: &Permit, id: BreachId, why: BreachRefused) -> Result<(), StoreError> {
    let event = tx
        .event(Kind::RequestRefused, permit)
        .with(Fact::Breach, id.as_bytes())
        .text(Fact::Reason, &why.to_string());
    tx.enter_private(&event, &[]).map(|_| ())
}

/// Enters what happened to a case, and keeps what follows.
fn keep(tx: &mut Tx<'_>, id: BreachId, mut events: Vec<Event>, event: Event) -> Result<Breach, StoreError> {
    let event = event.with(Fact::Breach, id.as_bytes());
    tx.enter_private(&event, &[])?;
    events.push(event);
    let after = fold(&events)?;
    let body = seal(tx, id, &events)?;
    let kept = tx.sql.execute(
        "UPDATE breaches SET state = ?2, running = ?3, late = ?4, body = ?5 WHERE id = ?1",
        params![id.as_bytes(), state(&after), after.is_running(), after.late.is_some(), body],
    );
    database("writing a case about a breach", kept).map(count)?;
    Ok(after)
}

/// One case.
pub(super) fn get(context: &Context, sql: &Connection, id: BreachId) -> Result<Option<Breach>, StoreError> {
    Ok(find(context, sql, id)?.map(|(breach, _)| breach))
}

fn find(
    context: &Context,
    sql: &Connection,
    id: BreachId,
) -> Result<Option<(Breach, Vec<Event>)>, StoreError> {
    let body = sql
        .prepare_cached("SELECT body FROM breaches WHERE id = ?1")
        .and_then(|mut statement| statement.query_row(params![id.as_bytes()], |row| row.get(0)).optional());
    let Some(body): Option<Vec<u8>> = database("reading a case about a breach", body)? else {
        return Ok(None);
    };
    let Some(key) = DayKey::of_value(context, sql, PayloadClass::Administration, &body)? else {
        return Ok(None);
    };
    let plain = key.open("opening a case about a breach", place(id.as_bytes()), &body)?;
    let events = decode(plain.expose())?;
    Ok(Some((fold(&events)?, events)))
}

/// Cases that a filter lets through.
pub(super) fn list(
    context: &Context,
    sql: &Connection,
    filter: &BreachFilter,
) -> Result<Vec<Breach>, StoreError> {
    let statement = match (filter.closed, filter.due_at) {
        (true, _) => {
            "SELECT id FROM breaches WHERE state = 'closed' AND ?2 IS ?2
               AND (?1 IS NULL OR sequence < (SELECT sequence FROM breaches WHERE id = ?1))
             ORDER BY sequence DESC LIMIT ?3"
        }
        (false, Some(_)) => {
            "SELECT id FROM breaches WHERE state = 'open' AND running = 1 AND late = 0 AND due_ms <= ?2 AND ?1 IS NULL
             ORDER BY due_ms, sequence LIMIT ?3"
        }
        (false, None) => {
            "SELECT id FROM breaches WHERE state = 'open' AND ?2 IS ?2
               AND (?1 IS NULL OR (due_ms, sequence) > (SELECT due_ms, sequence FROM breaches WHERE id = ?1))
             ORDER BY due_ms, sequence LIMIT ?3"
        }
    };
    let rows = sql.prepare_cached(statement).and_then(|mut statement| {
        let after = filter.after.map(|id| *id.as_bytes());
        let bounds = params![after, filter.due_at.map(Timestamp::as_millis), filter.limit];
        statement.query_map(bounds, |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
    });
    let ids = database("listing cases about breaches", rows)?.into_iter().map(BreachId::from_bytes);
    ids.filter_map(|id| get(context, sql, id).transpose()).collect()
}

/// What the entries of a case come to, in their order.
pub(super) fn fold(events: &[Event]) -> Result<Breach, StoreError> {
    Breach::fold(events).ok_or(StoreError::Damaged { what: "a case about a breach" })
}

/// What the column says of where a case stands.
pub(super) const fn state(breach: &Breach) -> &'static str {
    if breach.closed.is_some() { "closed" } else { "open" }
}

/// Seals what the entries say under the key of today, since one of them is of today.
fn seal(tx: &Tx<'_>, id: BreachId, events: &[Event]) -> Result<Vec<u8>, StoreError> {
    let key = DayKey::of_day(tx.context, PayloadClass::Administration, tx.now.day())?;
    key.seal(tx.context, "sealing a case about a breach", place(id.as_bytes()), &encode(events)?)
}

/// The place of a case's body.
pub(super) const fn place(id: &[u8]) -> Place<'_> {
    Place { table: "breaches", row: id, column: "body", version: 1 }
}

/// Names, separated by commas; as many as an entry has room for, and how many more.
fn listed(names: std::collections::BTreeSet<&str>) -> String {
    let mut text = String::new();
    let mut left = names.len();
    for name in names {
        let comma = if text.is_empty() { "" } else { "," };
        if text.len().saturating_add(name.len()) > LISTED_MAX_BYTES {
            text.push_str(&format!("{comma}and {left} more"));
            break;
        }
        text.push_str(comma);
        text.push_str(name);
        left = left.saturating_sub(1);
    }
    text
}

/// A fact has 8,192 bytes; the rest is room for how many more there are.
const LISTED_MAX_BYTES: usize = 8_000;
/// How many entries are opened at a time.
const PAGE_ENTRIES: u32 = 4_096;
