//! Sessions in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest};
use crate::store::StoreError;
use crate::store::session::{Session, SessionNew, SignIn, SignedInBy};

use super::tx::Tx;
use super::{account, passkey};
use super::{count, database, name};

/// The session with this keyed hash.
pub(super) fn get(sql: &Connection, id: Digest) -> Result<Option<Session>, StoreError> {
    let read = "SELECT person, coalesce(credential, x''), started_ms, seen_ms, account IS NOT NULL
                FROM sessions WHERE id = ?1";
    let row = sql.prepare_cached(read).and_then(|mut statement| {
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get::<_, bool>(4)?))
        };
        statement.query_row(params![id.as_bytes()], read).optional()
    });
    let Some((person, credential, started, seen, by_provider)) = database("reading a session", row)? else {
        return Ok(None);
    };
    Ok(Some(Session {
        id,
        person: name(&person)?,
        credential,
        started: Timestamp::from_millis(started),
        seen: Timestamp::from_millis(seen),
        by_provider,
    }))
}

/// Begins a session; that somebody signed in, or could not, is an entry.
pub(super) fn start(tx: &mut Tx<'_>, permit: &Permit, new: &SessionNew) -> Result<SignIn, StoreError> {
    let person = permit.actor().name.clone();
    let mut event = tx
        .event(Kind::SignedIn, permit)
        .text(Fact::Person, person.as_str())
        .text(Fact::Role, permit.actor().role.as_str());
    let (stands, credential, account) = match &new.signed {
        SignedInBy::Passkey(signed) => {
            (passkey::signed(tx, &person, signed)?, Some(signed.credential.clone()), None)
        }
        SignedInBy::Provider { account, acr } => {
            event = account::named(event, account).text(Fact::Assurance, acr.as_deref().unwrap_or_default());
            let bound = account::person_of(tx.sql, account)?.as_ref() == Some(&person);
            (bound, None, Some(account.digest().as_bytes().to_vec()))
        }
    };
    if !stands {
        tx.enter_private(&event.text(Fact::Detail, "REFUSED"), &[])?;
        return Ok(SignIn::Refused);
    }
    if let Some(before) = new.before {
        end(tx, before)?;
    }
    let over = tx.sql.execute("DELETE FROM sessions WHERE started_ms < ?1", params![new.ended.as_millis()]);
    database("ending sessions", over)?;
    let begun = tx.sql.execute(
        "INSERT INTO sessions (id, person, credential, account, started_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![new.id.as_bytes(), person.as_str(), credential, account, tx.now.as_millis()],
    );
    database("beginning a session", begun)?;
    tx.enter_private(&event, &[])?;
    Ok(SignIn::Begun)
}

/// Notes that a session was used.
pub(super) fn seen(tx: &Tx<'_>, id: Digest, seen: Timestamp) -> Result<(), StoreError> {
    let noted = tx.sql.execute(
        "UPDATE sessions SET seen_ms = max(seen_ms, ?2) WHERE id = ?1",
        params![id.as_bytes(), seen.as_millis()],
    );
    database("noting a session", noted).map(count)
}

/// Ends a session.
pub(super) fn end(tx: &Tx<'_>, id: Digest) -> Result<(), StoreError> {
    let ended = tx.sql.execute("DELETE FROM sessions WHERE id = ?1", params![id.as_bytes()]);
    database("ending a session", ended).map(count)
}

/// Ends every session of a person that the agency's provider opened.
pub(super) fn end_by_provider(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let read = "DELETE FROM sessions WHERE person = ?1 AND account IS NOT NULL";
    database("ending sessions", tx.sql.execute(read, params![person.as_str()])).map(count)
}

/// Ends every session of a person.
pub(super) fn end_all_of(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let ended = tx.sql.execute("DELETE FROM sessions WHERE person = ?1", params![person.as_str()]);
    database("ending sessions", ended).map(count)
}
