//! Invitations and passkeys in SQLite.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::audit::event::{Fact, Kind};
use crate::authz::{Permit, Role};
use crate::clock::Timestamp;
use crate::ids::{ActorName, ChangeId, Digest};
use crate::keys::Domain;
use crate::store::StoreError;
use crate::store::change::Found;
use crate::store::change::{Change, ChangeRecord, ChangeState, Invitation, digest};
use crate::store::session::{
    Passkey, PasskeyEnd, PasskeyNew, PasskeyRegistered, PasskeySigned, PasskeyState,
};

use super::tx::Tx;
use super::{change, count, database, name};

/// The person whom a secret invites, as long as it does.
pub(super) fn invited(
    sql: &Connection,
    secret: Digest,
    now: Timestamp,
) -> Result<Option<ActorName>, StoreError> {
    let read = "SELECT person FROM invitations WHERE secret = ?1 AND ends_ms > ?2";
    let person = sql
        .query_row(read, params![secret.as_bytes(), now.as_millis()], |row| row.get::<_, String>(0))
        .optional();
    database("reading an invitation", person)?.map(|person| name(&person)).transpose()
}

/// Puts an invitation into effect; returns how many rows changed. A person who is there keeps everything.
pub(super) fn invite(tx: &Tx<'_>, invitation: &Invitation) -> Result<usize, StoreError> {
    let who = invitation.person.as_str();
    let role = tx
        .sql
        .query_row("SELECT role FROM people WHERE name = ?1", params![who], |row| row.get::<_, String>(0))
        .optional();
    match database("reading people", role)? {
        Some(role) if name::<Role>(&role)? != invitation.role => return Ok(0),
        Some(_) => {}
        None => {
            let added = tx.sql.execute(
                "INSERT INTO people (name, role, standing) VALUES (?1, ?2, 'active')",
                params![who, invitation.role.as_str()],
            );
            database("adding a person", added)?;
        }
    }
    let over = tx.sql.execute("DELETE FROM invitations WHERE ends_ms <= ?1", params![tx.now.as_millis()]);
    database("ending invitations", over)?;
    let kept = tx.sql.execute(
        "INSERT INTO invitations (secret, person, ends_ms) VALUES (?1, ?2, ?3) ON CONFLICT (secret) DO NOTHING",
        params![invitation.secret.as_bytes(), who, invitation.ends.as_millis()],
    );
    database("keeping an invitation", kept)
}

/// Keeps a passkey of an invited person, which uses the invitation up, and proposes it.
pub(super) fn register(
    tx: &mut Tx<'_>,
    permit: &Permit,
    new: PasskeyNew,
) -> Result<PasskeyRegistered, StoreError> {
    let person = permit.actor().name.clone();
    let event = tx
        .event(Kind::PasskeyRegistered, permit)
        .text(Fact::Person, person.as_str())
        .with(Fact::PublicKey, Digest::sha256(&new.public_key).as_bytes());
    let known = tx.sql.query_row(
        "SELECT EXISTS (SELECT 1 FROM passkeys WHERE credential = ?1 OR public_key = ?2)",
        params![new.credential, new.public_key],
        |row| row.get::<_, bool>(0),
    );
    let known = database("reading passkeys", known)?;
    let used = tx.sql.execute(
        "DELETE FROM invitations WHERE secret = ?1 AND person = ?2 AND ends_ms > ?3",
        params![new.invitation.as_bytes(), person.as_str(), tx.now.as_millis()],
    );
    if known || database("using an invitation up", used)? == 0 {
        tx.enter_private(&event.text(Fact::Detail, "REFUSED"), &[])?;
        return Ok(PasskeyRegistered::Refused);
    }
    let kept = tx.sql.execute(
        "INSERT INTO passkeys (credential, person, public_key, sign_count, state, title, made_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            new.credential,
            person.as_str(),
            new.public_key,
            new.sign_count,
            PasskeyState::Registered.as_str(),
            new.title,
            tx.now.as_millis()
        ],
    );
    database("keeping a passkey", kept)?;
    let put =
        Change::PutPasskey { person: person.clone(), credential: new.credential, public_key: new.public_key };
    let record = proposal(tx, new.change, put, person);
    change::insert(tx, &record, None)?;
    let tag = tx.context.keys.ring.tags().tag(Domain::Change, record.id.as_bytes());
    let event = event
        .with(Fact::Change, record.id.as_bytes())
        .with(Fact::ChangeDigest, record.digest.as_bytes())
        .text(Fact::ChangeKind, record.change.kind());
    tx.enter_private(&event, &[tag])?;
    Ok(PasskeyRegistered::Proposed(record.id))
}

fn proposal(tx: &Tx<'_>, id: ChangeId, put: Change, proposer: ActorName) -> ChangeRecord {
    let reason = "the invited person has registered this passkey".to_owned();
    ChangeRecord {
        id,
        digest: digest(id, &put, &reason),
        change: put,
        reason,
        state: ChangeState::Proposed,
        proposer,
        decider: None,
        created: tx.now,
    }
}

/// Has a registered passkey stand for its person; returns how many rows changed.
pub(super) fn confirm(tx: &Tx<'_>, person: &ActorName, credential: &[u8]) -> Result<usize, StoreError> {
    let confirmed = tx.sql.execute(
        "UPDATE passkeys SET state = 'confirmed' WHERE credential = ?1 AND person = ?2 AND state = 'registered'",
        params![credential, person.as_str()],
    );
    database("confirming a passkey", confirmed)
}

/// Ends every passkey of a person: a suspension may be for one that was lost. Those that nobody confirmed go.
pub(super) fn end_all_of(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let who = params![person.as_str()];
    let ended =
        tx.sql.execute("UPDATE passkeys SET state = 'ended' WHERE person = ?1 AND state = 'confirmed'", who);
    database("ending passkeys", ended)?;
    let gone = tx.sql.execute("DELETE FROM passkeys WHERE person = ?1 AND state = 'registered'", who);
    database("forgetting passkeys", gone)?;
    let over = tx.sql.execute("DELETE FROM invitations WHERE person = ?1", who);
    database("ending invitations", over).map(count)
}

/// Ends one passkey and the sessions that it opened. Decisions that it signed stand, and are still verified by it.
pub(super) fn end(tx: &mut Tx<'_>, permit: &Permit, ask: &PasskeyEnd) -> Result<Found, StoreError> {
    let standing = of_person(tx.sql, &ask.person)?.into_iter().filter(Passkey::stands);
    let passkey = { standing }.find(|passkey| passkey.fingerprint() == ask.fingerprint);
    let event = tx
        .event(Kind::PasskeyEnded, permit)
        .text(Fact::Person, ask.person.as_str())
        .with(Fact::PublicKey, ask.fingerprint.as_bytes())
        .text(Fact::Reason, &ask.why);
    let Some(passkey) = passkey else {
        tx.enter_private(&event.text(Fact::Detail, "NOT_FOUND"), &[])?;
        return Ok(Found::No);
    };
    let which = params![passkey.credential];
    let ended = tx.sql.execute("UPDATE passkeys SET state = 'ended' WHERE credential = ?1", which);
    database("ending a passkey", ended)?;
    let over = tx.sql.execute("DELETE FROM sessions WHERE credential = ?1", which);
    database("ending sessions", over)?;
    tx.enter_private(&event, &[])?;
    Ok(Found::Yes)
}

/// Forgets a passkey that nobody confirmed.
pub(super) fn forget(tx: &Tx<'_>, credential: &[u8]) -> Result<(), StoreError> {
    let gone = tx
        .sql
        .execute("DELETE FROM passkeys WHERE credential = ?1 AND state = 'registered'", params![credential]);
    database("forgetting a passkey", gone).map(count)
}

/// Notes that a confirmed passkey signed. Not so when its count has gone on meanwhile: then there are two of it.
pub(super) fn signed(tx: &Tx<'_>, person: &ActorName, signed: &PasskeySigned) -> Result<bool, StoreError> {
    let noted = tx.sql.execute(
        "UPDATE passkeys SET sign_count = ?3, used_ms = ?4 WHERE credential = ?1 AND person = ?2 AND state = 'confirmed'
           AND (?3 > sign_count OR (?3 = 0 AND sign_count = 0))",
        params![signed.credential, person.as_str(), signed.sign_count, tx.now.as_millis()],
    );
    Ok(database("noting a passkey", noted)? > 0)
}

/// The passkey of this name.
pub(super) fn get(sql: &Connection, credential: &[u8]) -> Result<Option<Passkey>, StoreError> {
    let read = format!("SELECT {COLUMNS} FROM passkeys WHERE credential = ?1");
    let found = sql.query_row(&read, params![credential], columns).optional();
    database("reading a passkey", found)?.map(passkey).transpose()
}

/// The passkeys of a person, also those that wait and those that ended, in the order in which they came.
pub(super) fn of_person(sql: &Connection, person: &ActorName) -> Result<Vec<Passkey>, StoreError> {
    let rows = sql
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM passkeys WHERE person = ?1 ORDER BY made_ms, credential"
        ))
        .and_then(|mut statement| {
            statement.query_map(params![person.as_str()], columns)?.collect::<Result<Vec<_>, _>>()
        });
    database("reading passkeys", rows)?.into_iter().map(passkey).collect()
}

const COLUMNS: &str = "credential, person, public_key, sign_count, state, title, made_ms, used_ms";

type Columns = ((Vec<u8>, String, Vec<u8>, u32), (String, String, i64, Option<i64>));

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok((key, (row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?)))
}

fn passkey((key, life): Columns) -> Result<Passkey, StoreError> {
    let (credential, person, public_key, sign_count) = key;
    let (state, title, made, used) = life;
    Ok(Passkey {
        credential,
        person: name(&person)?,
        public_key,
        sign_count,
        state: PasskeyState::parse(&state).ok_or(StoreError::Damaged { what: "a passkey" })?,
        title,
        made: Timestamp::from_millis(made),
        used: used.map(Timestamp::from_millis),
    })
}
