//! Officials of partners and agreements that are suspended. A row stands for a suspension and goes with it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use crate::approval::{Decider, Request};
use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{Permit, Standing};
use crate::ids::{AgreementName, PartnerName};
use crate::keys::{Domain, Tag};
use crate::store::StoreError;
use crate::store::change::Found;
use crate::store::registry::Suspended;

use super::tx::Tx;
use super::{database, name};

/// Suspends an official of a partner, whether or not anything was asked for the official yet.
pub(super) fn official_suspend(
    tx: &mut Tx<'_>,
    permit: &Permit,
    (partner, official): (&PartnerName, &str),
    why: &str,
) -> Result<Found, StoreError> {
    let event = official_event(tx, Kind::OfficialSuspended, permit, (partner, official));
    let event = event.text(Fact::Reason, why);
    let known = "SELECT EXISTS (SELECT 1 FROM partners WHERE name = ?1)";
    let known = tx.sql.query_row(known, params![partner.as_str()], |row| row.get::<_, bool>(0));
    if !database("looking for a partner", known)? {
        tx.enter_private(&event.text(Fact::Detail, "NOT_FOUND"), &[])?;
        return Ok(Found::No);
    }
    let kept = tx.sql.execute(
        "INSERT INTO suspended_officials (partner, tag) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![partner.as_str(), official_tag(tx, official).as_bytes()],
    );
    database("suspending an official", kept)?;
    tx.enter_private(&event, &[])?;
    Ok(Found::Yes)
}

/// Suspends an agreement.
pub(super) fn agreement_suspend(
    tx: &mut Tx<'_>,
    permit: &Permit,
    agreement: &AgreementName,
    why: &str,
) -> Result<(), StoreError> {
    let kept = tx.sql.execute(
        "INSERT INTO suspended_agreements (name) VALUES (?1) ON CONFLICT DO NOTHING",
        params![agreement.as_str()],
    );
    database("suspending an agreement", kept)?;
    let event = tx
        .event(Kind::AgreementSuspended, permit)
        .text(Fact::Agreement, agreement.as_str())
        .text(Fact::Reason, why);
    tx.enter_private(&event, &[]).map(|_| ())
}

/// Lets an official be asked for again; the entry, and how many rows changed.
pub(super) fn official_restore(
    tx: &Tx<'_>,
    permit: &Permit,
    (partner, official): (&PartnerName, &str),
) -> Result<(Event, usize), StoreError> {
    let lifted = tx.sql.execute(
        "DELETE FROM suspended_officials WHERE partner = ?1 AND tag = ?2",
        params![partner.as_str(), official_tag(tx, official).as_bytes()],
    );
    let event = official_event(tx, Kind::OfficialRestored, permit, (partner, official));
    Ok((event, database("lifting the suspension of an official", lifted)?))
}

/// Lets an agreement be used again; the entry, and how many rows changed.
pub(super) fn agreement_restore(
    tx: &Tx<'_>,
    permit: &Permit,
    agreement: &AgreementName,
) -> Result<(Event, usize), StoreError> {
    let lifted =
        tx.sql.execute("DELETE FROM suspended_agreements WHERE name = ?1", params![agreement.as_str()]);
    let event = tx.event(Kind::AgreementRestored, permit).text(Fact::Agreement, agreement.as_str());
    Ok((event, database("lifting the suspension of an agreement", lifted)?))
}

/// Whether partner, agreement and official of a request stand at this moment: any of them may have been suspended since
/// the gate asked.
pub(super) fn stand(tx: &Tx<'_>, request: &Request) -> Result<bool, StoreError> {
    let read = "SELECT EXISTS (SELECT 1 FROM partners WHERE name = ?1 AND standing = ?4)
                AND NOT EXISTS (SELECT 1 FROM suspended_agreements WHERE name = ?2)
                AND NOT EXISTS (SELECT 1 FROM suspended_officials WHERE partner = ?1 AND tag = ?3)";
    let (partner, agreement) = (request.partner().as_str(), request.agreement().as_str());
    let tag = official_tag(tx, request.ask().official());
    let which = params![partner, agreement, tag.as_bytes(), Standing::Active.as_str()];
    database("reading suspensions", tx.sql.query_row(read, which, |row| row.get(0)))
}

/// Whether everybody who approved still has the role of then and stands at this moment.
pub(super) fn deciders_stand(tx: &Tx<'_>, deciders: &[Decider]) -> Result<bool, StoreError> {
    let read = "SELECT EXISTS (SELECT 1 FROM people WHERE name = ?1 AND role = ?2 AND standing = ?3)";
    for one in deciders {
        let which = params![one.officer.as_str(), one.role.as_str(), Standing::Active.as_str()];
        let stands = tx.sql.query_row(read, which, |row| row.get::<_, bool>(0));
        if !database("reading the standing of deciders", stands)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Everything that is suspended beside partners and people.
pub(super) fn all(sql: &Connection) -> Result<Suspended, StoreError> {
    let agreements = sql.prepare_cached("SELECT name FROM suspended_agreements").and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    });
    let agreements = database("reading suspensions", agreements)?;
    let read = "SELECT partner, tag FROM suspended_officials";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?));
        statement.query_map([], columns)?.collect::<Result<Vec<_>, _>>()
    });
    let mut officials: BTreeMap<PartnerName, BTreeSet<[u8; 16]>> = BTreeMap::new();
    for (partner, tag) in database("reading suspensions", rows)? {
        officials.entry(name(&partner)?).or_default().insert(tag);
    }
    let agreements = agreements.iter().map(|agreement| name(agreement)).collect::<Result<_, _>>()?;
    Ok(Suspended { agreements, officials })
}

fn official_event(
    tx: &Tx<'_>,
    kind: Kind,
    permit: &Permit,
    (partner, official): (&PartnerName, &str),
) -> Event {
    tx.event(kind, permit).text(Fact::Partner, partner.as_str()).text(Fact::Official, official)
}

fn official_tag(tx: &Tx<'_>, official: &str) -> Tag {
    tx.context.keys.ring.tags().tag(Domain::Official, official.as_bytes())
}
