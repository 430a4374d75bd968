//! Statements of correction: what somebody says of a field, sealed under their own key and kept beside the field.

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::CorrectionKind;
use crate::audit::codec::{RecordReader, RecordWriter};
use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::ids::{Digest, FieldName, SubjectId};
use crate::keys::{DataKey, Place};
use crate::secret::{SecretBytes, random_bytes};
use crate::store::StoreError;
use crate::store::subject::{Stated, StatementHeld, StatementNew};

use super::correction::{Made, make};
use super::enrolment::{subject_find, subject_tags};
use super::tx::Tx;
use super::{Context, count, database, name, opened, sealed};

/// Attaches a statement to a field, and tells whoever received the field.
pub(super) fn attach(tx: &mut Tx<'_>, permit: &Permit, new: &StatementNew) -> Result<Stated, StoreError> {
    let Some(known) = subject_find(tx.sql, &new.source)? else {
        let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NOT_FOUND");
        tx.enter_private(&event, &[])?;
        return Ok(Stated::NoSubject);
    };
    let subject = known.id;
    if !has_field(tx.sql, subject, &new.field)? {
        let event = tx.event(Kind::RequestRefused, permit).text(Fact::Reason, "NO_FIELD");
        tx.enter_private(&event, &[])?;
        return Ok(Stated::NoField);
    }
    let key = tx.context.keys.subject_key(&subject)?;
    let key = key.ok_or(StoreError::Damaged { what: "a subject without its key" })?;
    let id: [u8; 16] = random_bytes(tx.context.entropy.as_ref())?;
    let body = encode(&new.text, tx.now);
    let value = key.sealing().seal(place(&id), body.expose(), tx.context.entropy.as_ref());
    let inserted = tx.sql.execute(
        "INSERT INTO statements (id, subject, field, body) VALUES (?1, ?2, ?3, ?4)",
        params![id, subject.as_bytes(), new.field.as_str(), sealed("sealing a statement", value)?],
    );
    database("writing a statement", inserted).map(count)?;
    // The words stand sealed in the row; the entry holds them by their digest, with the id that nobody guesses.
    let event = tx
        .event(Kind::SubjectStated, permit)
        .with(Fact::Subject, subject.as_bytes())
        .text(Fact::Field, new.field.as_str())
        .with(Fact::ContentDigest, digest(&id, body.expose()).as_bytes());
    let event = match new.request {
        Some(request) => event.with(Fact::SubjectRequest, request.as_bytes()),
        None => event,
    };
    // Those who received it first: the receipt is that of the statement.
    let by = &permit.actor().name;
    let made = Made { kind: CorrectionKind::Statement, statement: &new.text, by };
    make(tx, permit, subject, std::slice::from_ref(&new.field), &made, None)?;
    tx.enter_private(&event, &subject_tags(tx.context, Some(subject)))?;
    Ok(Stated::Attached)
}

fn has_field(sql: &Connection, subject: SubjectId, field: &FieldName) -> Result<bool, StoreError> {
    let found = sql
        .query_row(
            "SELECT 1 FROM records WHERE subject = ?1 AND field = ?2",
            params![subject.as_bytes(), field.as_str()],
            |_| Ok(()),
        )
        .optional();
    database("looking for a field", found).map(|found| found.is_some())
}

/// The statements of a subject, the oldest first.
pub(super) fn of_subject(
    context: &Context,
    sql: &Connection,
    subject: SubjectId,
) -> Result<Vec<StatementHeld>, StoreError> {
    let read = "SELECT id, field, body FROM statements WHERE subject = ?1";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        statement.query_map(params![subject.as_bytes()], row)?.collect::<Result<Vec<Row>, _>>()
    });
    let rows = database("reading statements", rows)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let key = context.keys.subject_key(&subject)?;
    let key = key.ok_or(StoreError::Damaged { what: "a subject without its key" })?;
    let mut held = rows.into_iter().map(|row| open(&key, row)).collect::<Result<Vec<_>, _>>()?;
    held.sort_by(|one, other| (one.at, &one.field).cmp(&(other.at, &other.field)));
    Ok(held)
}

/// The statements beside a field, the oldest first: they go wherever the field goes.
pub(super) fn of_field(
    sql: &Connection,
    key: &DataKey,
    subject: SubjectId,
    field: &FieldName,
) -> Result<Vec<String>, StoreError> {
    let read = "SELECT id, field, body FROM statements WHERE subject = ?1 AND field = ?2";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let of = params![subject.as_bytes(), field.as_str()];
        statement.query_map(of, row)?.collect::<Result<Vec<Row>, _>>()
    });
    let rows = database("reading statements", rows)?;
    let mut held = rows.into_iter().map(|row| open(key, row)).collect::<Result<Vec<_>, _>>()?;
    held.sort_by_key(|one| one.at);
    Ok(held.into_iter().map(|one| one.text).collect())
}

/// Id, field and sealed body.
type Row = ([u8; 16], String, Vec<u8>);

fn open(key: &DataKey, (id, field, body): Row) -> Result<StatementHeld, StoreError> {
    let plain = opened("opening a statement", key.sealing().open(place(&id), &body))?;
    let (text, at) = decode(plain.expose())?;
    Ok(StatementHeld { field: name(&field)?, text, at })
}

fn encode(text: &str, at: Timestamp) -> SecretBytes {
    let bytes = RecordWriter::new(DOMAIN).text(1, text).i64(2, at.as_millis()).finish();
    // INVARIANT: the tags above ascend, so the record is always well formed.
    SecretBytes::new(bytes.unwrap_or_default())
}

/// Text and time of a statement.
pub(super) fn decode(bytes: &[u8]) -> Result<(String, Timestamp), StoreError> {
    let damaged = || StoreError::Damaged { what: "a statement" };
    let mut record = RecordReader::parse(DOMAIN, bytes).map_err(|_| damaged())?;
    let text = record.text(1).map_err(|_| damaged())?.ok_or_else(damaged)?.to_owned();
    let at = record.i64(2).map_err(|_| damaged())?.ok_or_else(damaged)?;
    record.finish().map_err(|_| damaged())?;
    Ok((text, Timestamp::from_millis(at)))
}

/// By what an entry knows a statement.
pub(super) fn digest(id: &[u8; 16], body: &[u8]) -> Digest {
    Digest::sha256(&[id.as_slice(), body].concat())
}

/// The place of a statement's body.
pub(super) const fn place(id: &[u8]) -> Place<'_> {
    Place { table: "statements", row: id, column: "body", version: 1 }
}

const DOMAIN: &str = "onebit/statement/v1";
