//! Releases in SQLite: the fields that leave, sealed once to the partner and once more at rest.

use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::Fields;
use crate::authz::PayloadClass;
use crate::ids::{DisclosureId, FieldName, PartnerName, SubjectId};
use crate::keys::{DataKey, Place, ReleaseInfo, ReleasePublicKey, seal_release};
use crate::secret::SecretBytes;
use crate::store::StoreError;

use super::day_key::DayKey;
use super::record::{self, FieldStored};
use super::statement;
use super::tx::Tx;
use super::{Context, count, database, opened};

/// A release as it is kept.
pub(super) struct Kept {
    pub(super) ciphertext: Vec<u8>,
    pub(super) info: Vec<u8>,
    pub(super) journal: i64,
    pub(super) index: u64,
}

/// The confirmed release key of a partner.
pub(super) fn release_key(sql: &Connection, partner: &PartnerName) -> Result<Option<[u8; 32]>, StoreError> {
    let key = sql
        .query_row("SELECT release_key FROM partners WHERE name = ?1", params![partner.as_str()], |row| {
            row.get::<_, Option<[u8; 32]>>(0)
        })
        .optional();
    Ok(database("reading a release key", key)?.flatten())
}

/// One field of a subject; `None` where the record has none.
pub(super) fn field_open(
    sql: &Connection,
    key: &DataKey,
    subject: SubjectId,
    field: &FieldName,
) -> Result<Option<FieldStored>, StoreError> {
    let value = sql
        .query_row(
            "SELECT value FROM records WHERE subject = ?1 AND field = ?2",
            params![subject.as_bytes(), field.as_str()],
            |row| row.get::<_, Vec<u8>>(0),
        )
        .optional();
    let Some(value) = database("reading a field", value)? else { return Ok(None) };
    let row = record::record_row(&subject, field);
    let plain = opened("opening a field", key.sealing().open(record::record_place(&row), &value))?;
    record::field_decode(plain.expose()).map(Some)
}

/// The plaintext of a release: a JSON object, field by field, with what may be done with each; and the fields in it.
pub(super) fn fields_open(
    tx: &Tx<'_>,
    subject: SubjectId,
    fields: &Fields,
) -> Result<(SecretBytes, Vec<FieldName>), StoreError> {
    let key = tx.context.keys.subject_key(&subject)?;
    let key = key.ok_or(StoreError::Damaged { what: "a subject without its key" })?;
    let mut released = Vec::new();
    for field in fields.iter() {
        // A field that the record does not have is left out: the partner sees that it was not there.
        if let Some(stored) = field_open(tx.sql, &key, subject, field)? {
            let statements = statement::of_field(tx.sql, &key, subject, field)?;
            released.push((field, stored, statements));
        }
    }
    let body = ReleaseBody {
        fields: released
            .iter()
            .map(|(field, stored, statements)| ReleasedField {
                field: field.as_str(),
                statements,
                value: &stored.value,
                classification: &stored.classification,
                source: &stored.source,
                permitted_uses: &stored.permitted_uses,
            })
            .collect(),
    };
    let bytes = serde_json::to_vec(&body).map_err(|_| StoreError::Damaged { what: "a field of a record" })?;
    let held = released.iter().map(|(field, ..)| FieldName::clone(field)).collect();
    Ok((SecretBytes::new(bytes), held))
}

/// Seals a release to the partner's key, with the `info` that binds it.
pub(super) fn seal(
    key: &ReleasePublicKey,
    info: &ReleaseInfo<'_>,
    plain: &SecretBytes,
    context: &Context,
) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let failed = |source| StoreError::Key { doing: "sealing a release", source: Box::new(source) };
    let ciphertext = seal_release(key, info, plain.expose(), context.entropy.as_ref()).map_err(failed)?;
    Ok((ciphertext, info.to_bytes().map_err(failed)?))
}

/// Keeps the one ciphertext of a disclosure.
pub(super) fn keep(
    tx: &Tx<'_>,
    id: DisclosureId,
    ciphertext: &[u8],
    info: &[u8],
    index: u64,
    key: &DayKey,
) -> Result<(), StoreError> {
    let at_rest = key.seal(tx.context, "sealing a release", place(&id), ciphertext)?;
    let inserted = tx.sql.execute(
        "INSERT INTO releases (disclosure, ciphertext, info, idx, journal)
         VALUES (?1, ?2, ?3, ?4, (SELECT partners.journal FROM partners
           JOIN disclosures ON disclosures.partner = partners.name WHERE disclosures.id = ?1))",
        params![id.as_bytes(), at_rest, info, index],
    );
    database("writing a release", inserted).map(count)
}

/// Seals the ciphertext of a disclosure, if there is one, under a later key.
pub(super) fn seal_again(
    tx: &Tx<'_>,
    id: DisclosureId,
    key: &DayKey,
    later: &DayKey,
) -> Result<(), StoreError> {
    let read = "SELECT ciphertext FROM releases WHERE disclosure = ?1";
    let at_rest = tx.sql.query_row(read, params![id.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).optional();
    let Some(at_rest) = database("reading a release", at_rest)? else { return Ok(()) };
    let at_rest = key.seal_again(tx.context, later, place(&id), &at_rest)?;
    let kept = tx.sql.execute(
        "UPDATE releases SET ciphertext = ?2 WHERE disclosure = ?1",
        params![id.as_bytes(), at_rest],
    );
    database("writing a release", kept).map(count)
}

/// The release of a disclosure; `None` before it and after it was deleted.
pub(super) fn get(context: &Context, sql: &Connection, id: DisclosureId) -> Result<Option<Kept>, StoreError> {
    let row = sql
        .query_row(
            "SELECT ciphertext, info, journal, idx FROM releases WHERE disclosure = ?1",
            params![id.as_bytes()],
            |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional();
    let Some((at_rest, info, journal, index)) = database("reading a release", row)? else { return Ok(None) };
    let Some(key) = DayKey::of_value(context, sql, PayloadClass::Disclosure, &at_rest)? else {
        return Ok(None);
    };
    let ciphertext = key.open("opening a release", place(&id), &at_rest)?;
    Ok(Some(Kept { ciphertext: ciphertext.expose().to_vec(), info, journal, index }))
}

/// Deletes a ciphertext that was acknowledged or whose time is over.
pub(super) fn delete(sql: &Connection, id: DisclosureId) -> Result<(), StoreError> {
    let deleted = sql.execute("DELETE FROM releases WHERE disclosure = ?1", params![id.as_bytes()]);
    database("deleting a release", deleted).map(count)
}

#[derive(serde::Serialize)]
struct ReleaseBody<'a> {
    fields: Vec<ReleasedField<'a>>,
}

#[derive(serde::Serialize)]
struct ReleasedField<'a> {
    field: &'a str,
    value: &'a str,
    classification: &'a str,
    source: &'a str,
    permitted_uses: &'a [String],
    /// What the person says of the field; left out where they said nothing.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    statements: &'a [String],
}

pub(super) const fn place(id: &DisclosureId) -> Place<'_> {
    Place { table: "releases", row: id.as_bytes(), column: "ciphertext", version: 1 }
}
