//! Accounts at the agency's OpenID provider, bound to people, in SQLite.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::event::{Event, Fact};
use crate::ids::ActorName;
use crate::store::StoreError;
use crate::store::session::ProviderAccount;

use super::tx::Tx;
use super::{count, database, name, session};

/// The person whom an account signs in.
pub(super) fn person_of(
    sql: &Connection,
    account: &ProviderAccount,
) -> Result<Option<ActorName>, StoreError> {
    let read = "SELECT person FROM provider_accounts WHERE issuer = ?1 AND subject = ?2";
    let person = sql
        .query_row(read, params![account.issuer, account.subject], |row| row.get::<_, String>(0))
        .optional();
    database("reading an account", person)?.map(|person| name(&person)).transpose()
}

/// Binds an account to a person in place of any other at that provider; returns how many rows changed. One that is bound to
/// somebody stays theirs. Sessions that an account opened end.
pub(super) fn bind(tx: &Tx<'_>, person: &ActorName, account: &ProviderAccount) -> Result<usize, StoreError> {
    let who = person.as_str();
    let known = tx.sql.query_row(
        "SELECT EXISTS (SELECT 1 FROM people WHERE name = ?1 AND standing = 'active')",
        params![who],
        |row| row.get::<_, bool>(0),
    );
    if !database("reading people", known)? || person_of(tx.sql, account)?.is_some() {
        return Ok(0);
    }
    let bound = tx.sql.execute(
        "INSERT INTO provider_accounts (issuer, subject, person) VALUES (?1, ?2, ?3)
         ON CONFLICT (person, issuer) DO UPDATE SET subject = excluded.subject",
        params![account.issuer, account.subject, who],
    );
    let bound = database("binding an account", bound)?;
    session::end_by_provider(tx, person)?;
    Ok(bound)
}

/// Unbinds every account of a person: a suspension may be for one that somebody else got into.
pub(super) fn unbind_all_of(tx: &Tx<'_>, person: &ActorName) -> Result<(), StoreError> {
    let gone = tx.sql.execute("DELETE FROM provider_accounts WHERE person = ?1", params![person.as_str()]);
    database("unbinding accounts", gone).map(count)
}

/// What an entry says of an account: its provider, and a digest of both names.
pub(super) fn named(event: Event, account: &ProviderAccount) -> Event {
    event.text(Fact::Issuer, &account.issuer).with(Fact::Account, account.digest().as_bytes())
}
