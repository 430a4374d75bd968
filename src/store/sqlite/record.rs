//! Fields of a record, and other small things that are sealed or kept whole, as bytes.

use crate::audit::codec::{RecordReader, RecordWriter};
use crate::ids::{FieldName, SubjectId};
use crate::keys::Place;
use crate::secret::SecretBytes;
use crate::store::StoreError;
use crate::store::enrolment::FieldNew;

/// A field as it was sealed.
pub(super) struct FieldStored {
    pub(super) value: zeroize::Zeroizing<String>,
    pub(super) classification: String,
    pub(super) source: String,
    pub(super) permitted_uses: Vec<String>,
}

/// The bytes of a field that are sealed.
pub(super) fn field_encode(new: &FieldNew) -> SecretBytes {
    let bytes = RecordWriter::new(FIELD_DOMAIN)
        .text(1, &new.value)
        .text(2, &new.classification)
        .text(3, &new.source)
        .text(4, &new.permitted_uses.join("\n"))
        .finish();
    // INVARIANT: the tags above ascend, so the record is always well formed.
    SecretBytes::new(bytes.unwrap_or_default())
}

/// A field from the bytes that were sealed.
pub(super) fn field_decode(bytes: &[u8]) -> Result<FieldStored, StoreError> {
    let damaged = || StoreError::Damaged { what: "a field of a record" };
    let mut record = RecordReader::parse(FIELD_DOMAIN, bytes).map_err(|_| damaged())?;
    let mut text =
        |tag| record.text(tag).map_err(|_| damaged()).map(|text| text.unwrap_or_default().to_owned());
    let field = FieldStored {
        value: zeroize::Zeroizing::new(text(1)?),
        classification: text(2)?,
        source: text(3)?,
        permitted_uses: text(4)?.lines().map(str::to_owned).collect(),
    };
    record.finish().map_err(|_| damaged())?;
    Ok(field)
}

/// The row of a field, as its value is bound to it.
pub(super) fn record_row(subject: &SubjectId, field: &FieldName) -> Vec<u8> {
    [subject.as_bytes().as_slice(), field.as_str().as_bytes()].concat()
}

/// The place of a field's value.
pub(super) const fn record_place(row: &[u8]) -> Place<'_> {
    Place { table: "records", row, column: "value", version: 1 }
}

/// Rejected rows as bytes: number, length of the reason, reason.
pub(super) fn rows_encode(rows: &[(u64, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (row, reason) in rows {
        out.extend_from_slice(&row.to_be_bytes());
        out.extend_from_slice(&u32::try_from(reason.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    }
    out
}

/// Rejected rows from their bytes.
pub(super) fn rows_decode(mut bytes: &[u8]) -> Result<Vec<(u64, String)>, StoreError> {
    let damaged = || StoreError::Damaged { what: "the answer to a chunk" };
    let mut rows = Vec::new();
    while let Some((row, rest)) = bytes.split_first_chunk::<8>() {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (reason, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let reason = std::str::from_utf8(reason).map_err(|_| damaged())?;
        rows.push((u64::from_be_bytes(*row), reason.to_owned()));
        bytes = rest;
    }
    if bytes.is_empty() { Ok(rows) } else { Err(damaged()) }
}

const FIELD_DOMAIN: &str = "onebit/record-field/v1";
