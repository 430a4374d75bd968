//! Delegated seats in SQLite.

use rusqlite::{Connection, params};

use crate::approval::{Decider, Eligible};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::ids::{ActorName, ChangeId};
use crate::store::StoreError;
use crate::store::change::{Delegating, Found};
use crate::store::registry::Delegation;

use super::tx::Tx;
use super::{count, database, name};

/// Keeps a delegation; returns how many rows changed. Both hold one role, may act, and sit in different units: a seat in
/// one's own unit would give nothing.
pub(super) fn put(tx: &Tx<'_>, change: ChangeId, new: &Delegating) -> Result<usize, StoreError> {
    let kept = tx.sql.execute(
        "INSERT INTO delegations (change, delegator, delegate, since_ms, until_ms, state)
         SELECT ?1, whose.name, who.name, ?4, ?5, 'standing' FROM people AS whose, people AS who
         WHERE whose.name = ?2 AND who.name = ?3 AND whose.role = who.role AND whose.standing = 'active'
           AND who.standing = 'active' AND whose.unit NOT IN ('', who.unit) AND ?5 > ?6",
        params![
            change.as_bytes(),
            new.delegator.as_str(),
            new.delegate.as_str(),
            new.since.as_millis(),
            new.until.as_millis(),
            tx.now.as_millis()
        ],
    );
    database("keeping a delegation", kept)
}

/// What the entry of a delegation says of it.
pub(super) fn told(event: Event, what: &Delegating) -> Event {
    event
        .text(Fact::Person, what.delegate.as_str())
        .text(Fact::OnBehalfOf, what.delegator.as_str())
        .text(Fact::Since, &what.since.to_string())
        .text(Fact::Until, &what.until.to_string())
}

/// Ends a delegation that stands.
pub(super) fn end(
    tx: &mut Tx<'_>,
    permit: &Permit,
    change: ChangeId,
    why: &str,
) -> Result<Found, StoreError> {
    let standing = all(tx.sql)?.into_iter().find(|one| one.change == change && !one.ended);
    let event =
        tx.event(Kind::DelegationEnded, permit).with(Fact::Change, change.as_bytes()).text(Fact::Reason, why);
    let Some(delegation) = standing else {
        tx.enter_private(&event.text(Fact::Detail, "NOT_FOUND"), &[])?;
        return Ok(Found::No);
    };
    let ended = tx
        .sql
        .execute("UPDATE delegations SET state = 'ended' WHERE change = ?1", params![change.as_bytes()]);
    database("ending a delegation", ended)?;
    tx.enter_private(&told(event, &delegation.what), &[])?;
    Ok(Found::Yes)
}

/// Ends every delegation by and to a person.
pub(super) fn end_all_of(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let ended = tx.sql.execute(
        "UPDATE delegations SET state = 'ended' WHERE (delegator = ?1 OR delegate = ?1) AND until_ms > ?2",
        params![person.as_str(), tx.now.as_millis()],
    );
    database("ending delegations", ended).map(count)
}

/// Those who may decide, without the seats whose delegation is over by now: it may have ended since they were found.
pub(super) fn still_held(tx: &Tx<'_>, eligible: &[Eligible]) -> Result<Vec<Eligible>, StoreError> {
    let mut held = Vec::with_capacity(eligible.len());
    for one in eligible {
        let seat = one.on_behalf.as_ref();
        if seat.map_or(Ok(true), |seat| holds(tx, seat, &one.officer))? {
            held.push(one.clone());
        }
    }
    Ok(held)
}

/// Whether every delegated seat of an approval is delegated at this moment.
pub(super) fn stand_for(tx: &Tx<'_>, deciders: &[Decider]) -> Result<bool, StoreError> {
    for one in deciders {
        if let Some(seat) = &one.on_behalf
            && !holds(tx, seat, &one.officer)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(tx: &Tx<'_>, delegator: &ActorName, delegate: &ActorName) -> Result<bool, StoreError> {
    let read = "SELECT EXISTS (SELECT 1 FROM delegations WHERE delegator = ?1 AND delegate = ?2
                AND state = 'standing' AND since_ms <= ?3 AND until_ms > ?3)";
    let which = params![delegator.as_str(), delegate.as_str(), tx.now.as_millis()];
    database("reading delegations", tx.sql.query_row(read, which, |row| row.get(0)))
}

/// Every delegation, in the order in which they begin.
pub(super) fn all(sql: &Connection) -> Result<Vec<Delegation>, StoreError> {
    let read = "SELECT change, delegator, delegate, since_ms, until_ms, state FROM delegations
                ORDER BY since_ms, change";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let columns = |row: &rusqlite::Row<'_>| {
            let people = (row.get::<_, String>(1)?, row.get::<_, String>(2)?);
            Ok((row.get::<_, [u8; 16]>(0)?, people, (row.get(3)?, row.get(4)?), row.get::<_, String>(5)?))
        };
        statement.query_map([], columns)?.collect::<Result<Vec<_>, _>>()
    });
    let delegation =
        |(change, (delegator, delegate), (since, until), state): (_, (String, String), _, String)| {
            Ok(Delegation {
                change: ChangeId::from_bytes(change),
                what: Delegating {
                    delegator: name(&delegator)?,
                    delegate: name(&delegate)?,
                    since: Timestamp::from_millis(since),
                    until: Timestamp::from_millis(until),
                },
                ended: state == "ended",
            })
        };
    database("reading delegations", rows)?.into_iter().map(delegation).collect()
}
