//! The holder, its people, partners and rules in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{Bundle, Role, Standing};
use crate::ids::{Digest, PartnerName, UnitName};
use crate::keys::{Place, Purpose};
use crate::store::change::{authorities_decode, authorities_encode};
use crate::store::holder::{Founding, HolderFacts};
use crate::store::{Journal, Partner, Person, Registry, StoreError};

use super::tx::{SYSTEM_ACTOR, Tx};
use super::{Context, database, delegation, name, opened, sealed, suspension};

/// Founds the holder, once.
pub(super) fn found(tx: &mut Tx<'_>, founding: &Founding) -> Result<(), StoreError> {
    if text_find(tx.sql, "host")?.is_some() {
        return Err(StoreError::AlreadyFounded);
    }
    value_put(tx.sql, "host", founding.host.as_bytes())?;
    value_put(tx.sql, "trust-domain", founding.trust_domain.as_bytes())?;
    value_put(tx.sql, "authorities", &authorities_encode(&founding.authorities))?;
    tx.journal_open(&Journal::Holder, &founding.host)?;
    for partner in &founding.partners {
        let journal = tx.journal_open(&Journal::Partner(partner.name.clone()), &founding.host)?;
        partner_put(tx, partner, journal)?;
    }
    for person in &founding.people {
        person_put(tx, person)?;
    }
    policy_activate(tx.sql, &founding.bundle)?;
    let digest = founding.bundle.digest();
    let event = Event::new(Kind::Founding, tx.now, SYSTEM_ACTOR, digest)
        .text(Fact::Host, &founding.host)
        .number(Fact::People, u64::try_from(founding.people.len()).unwrap_or(u64::MAX))
        .with(Fact::ContentDigest, digest.as_bytes());
    tx.enter_private(&event, &[])?;
    for person in &founding.people {
        let event = Event::new(Kind::PersonAdded, tx.now, SYSTEM_ACTOR, digest)
            .text(Fact::Role, person.role.as_str())
            .text(Fact::Person, person.name.as_str())
            .with(Fact::PublicKey, Digest::sha256(&person.public_key).as_bytes());
        tx.enter_private(&event, &[])?;
    }
    for partner in &founding.partners {
        let event = Event::new(Kind::PartnerAdded, tx.now, SYSTEM_ACTOR, digest)
            .text(Fact::Partner, partner.name.as_str());
        tx.enter_private(&event, &[])?;
    }
    Ok(())
}

/// What the store says of its holder.
pub(super) fn get(context: &Context, sql: &Connection) -> Result<Option<HolderFacts>, StoreError> {
    let Some(host) = text_find(sql, "host")? else { return Ok(None) };
    Ok(Some(HolderFacts {
        host,
        trust_domain: text(sql, "trust-domain")?,
        authorities: authorities_decode(&value(sql, "authorities")?)?,
        policy: policy_active(sql)?,
        log_key: context.signers.public_key(),
    }))
}

/// The digest of the active rules.
pub(super) fn policy_active(sql: &Connection) -> Result<Digest, StoreError> {
    let digest: [u8; 32] =
        value(sql, "policy")?.try_into().map_err(|_| StoreError::Damaged { what: "the holder" })?;
    Ok(Digest::from_bytes(digest))
}

/// Keeps a policy folder and makes it the active one; returns how many rows changed.
pub(super) fn policy_activate(sql: &Connection, bundle: &Bundle) -> Result<usize, StoreError> {
    let digest = bundle.digest();
    let kept = sql.execute(
        "INSERT INTO policies (digest, bundle) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING",
        params![digest.as_bytes(), bundle.to_bytes()],
    );
    database("keeping rules", kept)?;
    value_put(sql, "policy", digest.as_bytes())
}

/// The policy folder of a digest.
pub(super) fn policy_get(sql: &Connection, digest: Digest) -> Result<Option<Bundle>, StoreError> {
    let bundle = sql
        .query_row("SELECT bundle FROM policies WHERE digest = ?1", params![digest.as_bytes()], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional();
    database("reading rules", bundle)?
        .map(|bundle| Bundle::from_bytes(&bundle).map_err(|_| StoreError::Damaged { what: "rules" }))
        .transpose()
}

/// Adds a person or a system, or gives one a new key; returns how many rows changed. A role never changes:
/// that would be another person of the log under an old name.
pub(super) fn person_put(tx: &Tx<'_>, person: &Person) -> Result<usize, StoreError> {
    let contact = contact_seal(tx.context, "people", person.name.as_str(), person.contact.as_deref())?;
    let put = tx.sql.execute(
        "INSERT INTO people (name, role, spiffe_id, public_key, partner, standing, contact, unit)
         VALUES (?1, ?2, nullif(?3, ''), nullif(?4, x''), ?5, 'active', ?6, ?7)
         ON CONFLICT (name) DO UPDATE SET
           spiffe_id = excluded.spiffe_id, public_key = excluded.public_key, contact = excluded.contact,
           unit = excluded.unit
         WHERE role = excluded.role AND partner IS excluded.partner",
        params![
            person.name.as_str(),
            person.role.as_str(),
            person.spiffe_id,
            person.public_key,
            person.partner.as_ref().map(PartnerName::as_str),
            contact,
            person.unit.as_ref().map_or("", UnitName::as_str)
        ],
    );
    match put {
        Err(rusqlite::Error::SqliteFailure(failure, _)) if is_constraint(failure) => Ok(0),
        put => database("adding a person", put),
    }
}

/// Adds a partner, or changes its authorities; returns how many rows changed.
pub(super) fn partner_put(tx: &Tx<'_>, partner: &Partner, journal: i64) -> Result<usize, StoreError> {
    let contact = contact_seal(tx.context, "partners", partner.name.as_str(), partner.contact.as_deref())?;
    let put = tx.sql.execute(
        "INSERT INTO partners (name, title, trust_domain, authorities, standing, release_key, journal, contact)
         VALUES (?1, ?2, ?3, ?4, 'active', ?5, ?6, ?7)
         ON CONFLICT (name) DO UPDATE SET
           title = excluded.title, trust_domain = excluded.trust_domain, authorities = excluded.authorities,
           contact = excluded.contact",
        params![
            partner.name.as_str(),
            partner.title,
            partner.trust_domain,
            authorities_encode(&partner.authorities),
            partner.release_key,
            journal,
            contact
        ],
    );
    match put {
        Err(rusqlite::Error::SqliteFailure(failure, _)) if is_constraint(failure) => Ok(0),
        put => database("adding a partner", put),
    }
}

/// Another row holds what must be unique, or names a partner that is not there: nothing to change.
fn is_constraint(failure: rusqlite::ffi::Error) -> bool {
    failure.code == rusqlite::ErrorCode::ConstraintViolation
}

/// Everybody who may act.
pub(super) fn registry(context: &Context, sql: &Connection) -> Result<Registry, StoreError> {
    Ok(Registry {
        people: people(context, sql)?,
        partners: partners(context, sql)?,
        delegations: delegation::all(sql)?,
        suspended: suspension::all(sql)?,
    })
}

fn people(context: &Context, sql: &Connection) -> Result<Vec<Person>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT name, role, spiffe_id, public_key, partner, standing, contact, unit
             FROM people ORDER BY name",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                        row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default(),
                        row.get::<_, Option<String>>(4)?,
                        row.get::<_, String>(5)?,
                        (row.get::<_, Option<Vec<u8>>>(6)?, row.get::<_, String>(7)?),
                    ))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading people", rows)?
        .into_iter()
        .map(|(person, role, spiffe_id, public_key, partner, standing, (contact, unit))| {
            Ok(Person {
                name: name(&person)?,
                role: name::<Role>(&role)?,
                spiffe_id,
                public_key,
                partner: partner.map(|partner| name(&partner)).transpose()?,
                standing: name::<Standing>(&standing)?,
                contact: contact_open(context, "people", &person, contact)?,
                unit: if unit.is_empty() { None } else { Some(name(&unit)?) },
            })
        })
        .collect()
}

fn partners(context: &Context, sql: &Connection) -> Result<Vec<Partner>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT name, title, trust_domain, authorities, standing, release_key, contact
             FROM partners ORDER BY name",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get::<_, Vec<u8>>(3)?,
                        row.get::<_, String>(4)?,
                        row.get(5)?,
                        row.get::<_, Option<Vec<u8>>>(6)?,
                    ))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading partners", rows)?
        .into_iter()
        .map(|(partner, title, trust_domain, authorities, standing, release_key, contact)| {
            Ok(Partner {
                name: name(&partner)?,
                title,
                trust_domain,
                authorities: authorities_decode(&authorities)?,
                standing: name::<Standing>(&standing)?,
                release_key,
                contact: contact_open(context, "partners", &partner, contact)?,
            })
        })
        .collect()
}

/// The place of a contact of a person or a partner.
pub(super) const fn contact_place<'a>(table: &'static str, row: &'a str) -> Place<'a> {
    Place { table, row: row.as_bytes(), column: "contact", version: 1 }
}

fn contact_seal(
    context: &Context,
    table: &'static str,
    row: &str,
    contact: Option<&str>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let key = context.keys.ring.sealing(Purpose::Registry);
    let place = contact_place(table, row);
    contact
        .map(|contact| {
            sealed("sealing a contact", key.seal(place, contact.as_bytes(), context.entropy.as_ref()))
        })
        .transpose()
}

fn contact_open(
    context: &Context,
    table: &'static str,
    row: &str,
    contact: Option<Vec<u8>>,
) -> Result<Option<String>, StoreError> {
    let Some(bytes) = contact else { return Ok(None) };
    let key = context.keys.ring.sealing(Purpose::Registry);
    let place = contact_place(table, row);
    let plain = opened("opening a contact", key.open(place, &bytes))?;
    let text = std::str::from_utf8(plain.expose()).map_err(|_| StoreError::Damaged { what: "a contact" })?;
    Ok(Some(text.to_owned()))
}

/// A text that the founding wrote.
pub(super) fn text(sql: &Connection, key: &str) -> Result<String, StoreError> {
    text_find(sql, key)?.ok_or(StoreError::Damaged { what: "the holder" })
}

pub(super) fn text_find(sql: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    value_find(sql, key)?
        .map(|value| String::from_utf8(value).map_err(|_| StoreError::Damaged { what: "the holder" }))
        .transpose()
}

fn value(sql: &Connection, key: &str) -> Result<Vec<u8>, StoreError> {
    value_find(sql, key)?.ok_or(StoreError::Damaged { what: "the holder" })
}

fn value_find(sql: &Connection, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let value = sql
        .prepare_cached("SELECT value FROM holder WHERE name = ?1")
        .and_then(|mut statement| statement.query_row(params![key], |row| row.get(0)).optional());
    database("reading the holder", value)
}

fn value_put(sql: &Connection, key: &str, value: &[u8]) -> Result<usize, StoreError> {
    let put = sql.execute(
        "INSERT INTO holder (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![key, value],
    );
    database("writing the holder", put)
}
