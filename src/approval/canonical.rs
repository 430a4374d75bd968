//! Canonical records: one value, one sequence of bytes, so that a digest of it means something.
//!
//! A record is an ASCII domain, a zero byte, then fields in strictly ascending order of their tags: tag (1 byte),
//! length (4 bytes, big-endian), value. What is absent is not there. Times are 8 bytes, big-endian, signed;
//! lists of names are joined with a line feed, which no name contains.

use super::FormError;
use crate::clock::Timestamp;

/// Writes one record.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Starts a record of this domain.
    pub(super) fn new(domain: &'static str) -> Self {
        let mut bytes = domain.as_bytes().to_vec();
        bytes.push(0);
        Self(bytes)
    }

    /// Appends a field. INVARIANT: callers write their tags in ascending order, each once; the readers below
    /// take them in the same order and every record that is read is written again and compared.
    pub(super) fn field(mut self, tag: u8, value: &[u8]) -> Self {
        // A value of 4 GiB never comes to be: messages end at 64 KiB.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.push(tag);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Appends a time in milliseconds.
    pub(super) fn time(self, tag: u8, value: Timestamp) -> Self {
        self.field(tag, &value.as_millis().to_be_bytes())
    }

    /// The finished record.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads one record, field by field in ascending order.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Opens a record of this domain; `what` names it in errors.
    pub(super) fn open(domain: &str, what: &'static str, bytes: &'a [u8]) -> Result<Self, FormError> {
        let rest = bytes.strip_prefix(domain.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        Ok(Self { rest: rest.ok_or(FormError::Record(what))?, what })
    }

    /// The next field, if it has this tag.
    pub(super) fn maybe(&mut self, tag: u8) -> Result<Option<&'a [u8]>, FormError> {
        match self.rest.split_first_chunk::<FIELD_HEAD_BYTES>() {
            Some(([found, length @ ..], rest)) if *found == tag => {
                let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| self.refused())?;
                let (value, rest) = rest.split_at_checked(length).ok_or_else(|| self.refused())?;
                self.rest = rest;
                Ok(Some(value))
            }
            _ => Ok(None),
        }
    }

    /// The next field, which must have this tag.
    pub(super) fn field(&mut self, tag: u8) -> Result<&'a [u8], FormError> {
        self.maybe(tag)?.ok_or_else(|| self.refused())
    }

    /// The next field as exactly `N` bytes.
    pub(super) fn array<const N: usize>(&mut self, tag: u8) -> Result<[u8; N], FormError> {
        self.field(tag)?.try_into().map_err(|_| self.refused())
    }

    /// The next field as exactly `N` bytes, if it has this tag.
    pub(super) fn maybe_array<const N: usize>(&mut self, tag: u8) -> Result<Option<[u8; N]>, FormError> {
        let value = self.maybe(tag)?;
        value.map(|value| value.try_into().map_err(|_| self.refused())).transpose()
    }

    /// The next field as text.
    pub(super) fn text(&mut self, tag: u8) -> Result<&'a str, FormError> {
        std::str::from_utf8(self.field(tag)?).map_err(|_| self.refused())
    }

    /// The next field as text, if it has this tag.
    pub(super) fn maybe_text(&mut self, tag: u8) -> Result<Option<&'a str>, FormError> {
        let value = self.maybe(tag)?;
        value.map(std::str::from_utf8).transpose().map_err(|_| self.refused())
    }

    /// The next field as a name or another value with one text form.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, tag: u8) -> Result<T, FormError> {
        self.text(tag)?.parse().map_err(|_| self.refused())
    }

    /// The next field as a time in milliseconds.
    pub(super) fn time(&mut self, tag: u8) -> Result<Timestamp, FormError> {
        Ok(Timestamp::from_millis(i64::from_be_bytes(self.array(tag)?)))
    }

    /// The next field as a time in milliseconds, if it has this tag.
    pub(super) fn maybe_time(&mut self, tag: u8) -> Result<Option<Timestamp>, FormError> {
        let Some(value) = self.maybe(tag)? else { return Ok(None) };
        let bytes = value.try_into().map_err(|_| self.refused())?;
        Ok(Some(Timestamp::from_millis(i64::from_be_bytes(bytes))))
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), FormError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.refused()) }
    }

    /// The error of this record.
    pub(super) const fn refused(&self) -> FormError {
        FormError::Record(self.what)
    }
}

/// Tag and length.
const FIELD_HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_domain_zero_then_tagged_fields() {
        let bytes = Writer::new("d").field(1, b"ab").time(3, Timestamp::from_millis(-1)).bytes();
        assert_eq!(bytes, b"d\0\x01\0\0\0\x02ab\x03\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff");
        let mut reader = Reader::open("d", "a test", &bytes).unwrap();
        assert_eq!(reader.text(1).unwrap(), "ab");
        assert_eq!(reader.maybe(2).unwrap(), None);
        assert_eq!(reader.time(3).unwrap(), Timestamp::from_millis(-1));
        reader.end().unwrap();
    }

    #[test]
    fn cut_lengthened_and_foreign_records_are_refused() {
        let bytes = Writer::new("d").field(1, b"ab").bytes();
        assert!(Reader::open("e", "a test", &bytes).is_err());
        let cut = bytes.split_last().unwrap().1;
        assert!(Reader::open("d", "a test", cut).unwrap().field(1).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        let mut reader = Reader::open("d", "a test", &longer).unwrap();
        reader.field(1).unwrap();
        assert!(reader.end().is_err());
    }
}
