//! Canonical records: one value has one encoding, so that its hash or its signature means the value.
//!
//! A record is an ASCII domain, a zero byte, and fields in strictly ascending order of their tags: one byte
//! of tag, four bytes of length (big-endian), then that many bytes. A field that is absent is not there.
//! Numbers are eight bytes, big-endian; text is UTF-8. Anything else is refused, so that whatever parses
//! encodes to the very bytes it was parsed from.

use std::collections::BTreeMap;

/// Bytes that are no canonical record, or fields that make none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A domain that is empty or holds more than visible ASCII.
    #[error("`{0}` can't be the domain of a record; use visible ASCII characters")]
    DomainForm(&'static str),
    /// The record is of another domain, or is no record.
    #[error("this is not a record of `{0}`; check that the right file or field was given")]
    OtherDomain(&'static str),
    /// A tag that is not above the one before it.
    #[error("field {tag} does not stand in ascending order; write each field once and in order")]
    Order {
        /// The tag that came too late.
        tag: u8,
    },
    /// A value whose length does not fit in four bytes.
    #[error("field {tag} is 4 GiB or longer; shorten it")]
    TooLong {
        /// The tag of the field.
        tag: u8,
    },
    /// The record ends within a field.
    #[error("the record is cut off within a field; ask for it again")]
    CutOff,
    /// A field that its reader needs and that is not there.
    #[error("field {tag} is missing; ask whoever wrote the record for a complete one")]
    Missing {
        /// The tag of the field.
        tag: u8,
    },
    /// A value that is not of its field's type.
    #[error("field {tag} is not {wanted}; ask whoever wrote the record for a correct one")]
    Form {
        /// The tag of the field.
        tag: u8,
        /// What the field should hold.
        wanted: &'static str,
    },
    /// A field that its reader does not know.
    #[error("field {tag} is not known here; use the version that wrote the record, or a newer one")]
    Unknown {
        /// The tag of the field.
        tag: u8,
    },
}

/// Writes a record, field by field in ascending order of tags.
///
/// A field out of order makes [`RecordWriter::finish`] fail, so that calls can be chained.
#[derive(Debug, Clone)]
#[must_use = "a record is made by `finish`"]
pub struct RecordWriter {
    bytes: Vec<u8>,
    last_tag: Option<u8>,
    fault: Option<CodecError>,
}

impl RecordWriter {
    /// Begins a record of `domain`, which is visible ASCII such as `onebit/event/v1`.
    pub fn new(domain: &'static str) -> Self {
        let mut bytes = domain.as_bytes().to_vec();
        bytes.push(DOMAIN_END);
        Self { bytes, last_tag: None, fault: (!is_domain(domain)).then_some(CodecError::DomainForm(domain)) }
    }

    /// Adds a field of bytes.
    pub fn bytes(mut self, tag: u8, value: &[u8]) -> Self {
        if self.last_tag.is_some_and(|last| tag <= last) {
            self.fault.get_or_insert(CodecError::Order { tag });
        }
        match u32::try_from(value.len()) {
            Ok(length) => {
                self.bytes.push(tag);
                self.bytes.extend_from_slice(&length.to_be_bytes());
                self.bytes.extend_from_slice(value);
            }
            Err(_) => {
                self.fault.get_or_insert(CodecError::TooLong { tag });
            }
        }
        self.last_tag = Some(tag);
        self
    }

    /// Adds a field of text.
    pub fn text(self, tag: u8, value: &str) -> Self {
        self.bytes(tag, value.as_bytes())
    }

    /// Adds a number.
    pub fn u64(self, tag: u8, value: u64) -> Self {
        self.bytes(tag, &value.to_be_bytes())
    }

    /// Adds a number that may be negative, as two's complement.
    pub fn i64(self, tag: u8, value: i64) -> Self {
        self.bytes(tag, &value.to_be_bytes())
    }

    /// The finished record.
    ///
    /// # Errors
    /// [`CodecError`] for a domain that is none, a field out of order, or one of 4 GiB and more.
    pub fn finish(self) -> Result<Vec<u8>, CodecError> {
        match self.fault {
            None => Ok(self.bytes),
            Some(fault) => Err(fault),
        }
    }
}

/// Reads a record: each field is taken out once, and [`RecordReader::finish`] refuses what is left.
#[derive(Debug, Clone)]
#[must_use = "fields that nobody read are only refused by `finish`"]
pub struct RecordReader<'a> {
    fields: BTreeMap<u8, &'a [u8]>,
}

impl<'a> RecordReader<'a> {
    /// Takes a record of `domain` apart; nothing is copied.
    ///
    /// # Errors
    /// [`CodecError`] when `record` is of another domain, is cut off, or has fields out of order.
    pub fn parse(domain: &'static str, record: &'a [u8]) -> Result<Self, CodecError> {
        if !is_domain(domain) {
            return Err(CodecError::DomainForm(domain));
        }
        let mut rest = record
            .strip_prefix(domain.as_bytes())
            .and_then(|rest| rest.strip_prefix(&[DOMAIN_END]))
            .ok_or(CodecError::OtherDomain(domain))?;
        let mut fields: BTreeMap<u8, &'a [u8]> = BTreeMap::new();
        while !rest.is_empty() {
            let (tag, value, after) = field(rest).ok_or(CodecError::CutOff)?;
            if fields.last_key_value().is_some_and(|(last, _)| tag <= *last) {
                return Err(CodecError::Order { tag });
            }
            fields.insert(tag, value);
            rest = after;
        }
        Ok(Self { fields })
    }

    /// Takes the bytes of a field; `None` when it is absent or was taken before.
    pub fn bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.fields.remove(&tag)
    }

    /// Takes a field of exactly `N` bytes; `None` when it is absent.
    ///
    /// # Errors
    /// [`CodecError::Form`] when it has another length.
    pub fn array<const N: usize>(&mut self, tag: u8) -> Result<Option<[u8; N]>, CodecError> {
        let form = CodecError::Form { tag, wanted: "of the length that its type has" };
        self.bytes(tag).map(|bytes| bytes.try_into().map_err(|_| form)).transpose()
    }

    /// Takes a field of text; `None` when it is absent.
    ///
    /// # Errors
    /// [`CodecError::Form`] when it is not UTF-8.
    pub fn text(&mut self, tag: u8) -> Result<Option<&'a str>, CodecError> {
        let form = CodecError::Form { tag, wanted: "UTF-8 text" };
        self.bytes(tag).map(|bytes| std::str::from_utf8(bytes).map_err(|_| form)).transpose()
    }

    /// Takes a number; `None` when it is absent.
    ///
    /// # Errors
    /// [`CodecError::Form`] when it is not eight bytes.
    pub fn u64(&mut self, tag: u8) -> Result<Option<u64>, CodecError> {
        let form = CodecError::Form { tag, wanted: "a number of eight bytes" };
        self.bytes(tag).map(|bytes| bytes.try_into().map(u64::from_be_bytes).map_err(|_| form)).transpose()
    }

    /// Takes a number that may be negative; `None` when it is absent.
    ///
    /// # Errors
    /// [`CodecError::Form`] when it is not eight bytes.
    pub fn i64(&mut self, tag: u8) -> Result<Option<i64>, CodecError> {
        let form = CodecError::Form { tag, wanted: "a number of eight bytes" };
        self.bytes(tag).map(|bytes| bytes.try_into().map(i64::from_be_bytes).map_err(|_| form)).transpose()
    }

    /// Ends the reading: every field must have been taken.
    ///
    /// # Errors
    /// [`CodecError::Unknown`] with the first field that nobody took.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.fields.first_key_value() {
            None => Ok(()),
            Some((tag, _)) => Err(CodecError::Unknown { tag: *tag }),
        }
    }
}

/// Splits the first field off: its tag, its value, and what follows.
fn field(record: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = record.split_first()?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

/// INVARIANT: a domain holds no zero byte, so no domain with its end is the beginning of another.
fn is_domain(domain: &str) -> bool {
    !domain.is_empty() && domain.bytes().all(|byte| byte.is_ascii_graphic())
}

const DOMAIN_END: u8 = 0;
const LENGTH_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    const DOMAIN: &str = "onebit/test/v1";

    fn write(fields: &BTreeMap<u8, Vec<u8>>) -> Vec<u8> {
        let writer = RecordWriter::new(DOMAIN);
        fields.iter().fold(writer, |writer, (tag, value)| writer.bytes(*tag, value)).finish().unwrap()
    }

    /// All fields of a record, whatever their tags.
    fn read(record: &[u8]) -> Result<BTreeMap<u8, Vec<u8>>, CodecError> {
        let mut reader = RecordReader::parse(DOMAIN, record)?;
        let all =
            (0..=u8::MAX).filter_map(|tag| reader.bytes(tag).map(|value| (tag, value.to_vec()))).collect();
        reader.finish()?;
        Ok(all)
    }

    #[test]
    fn a_record_has_the_bytes_that_the_format_says() {
        let record =
            RecordWriter::new("d").bytes(1, b"ab").u64(2, 258).i64(3, -1).text(255, "é").finish().unwrap();
        let wanted = [
            b"d\0".as_slice(),
            &[1, 0, 0, 0, 2, b'a', b'b'],
            &[2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2],
            &[3, 0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255],
            &[255, 0, 0, 0, 2, 0xc3, 0xa9],
        ]
        .concat();
        assert_eq!(record, wanted, "the format is fixed: hashes and signatures of old records depend on it");
    }

    #[test]
    fn fields_are_read_by_their_types() {
        let record =
            RecordWriter::new("d").u64(1, 7).i64(2, -7).text(3, "x").bytes(4, &[9; 4]).finish().unwrap();
        let mut reader = RecordReader::parse("d", &record).unwrap();
        assert_eq!(reader.u64(1), Ok(Some(7)));
        assert_eq!(reader.i64(2), Ok(Some(-7)));
        assert_eq!(reader.text(3), Ok(Some("x")));
        assert_eq!(reader.array::<4>(4), Ok(Some([9; 4])));
        assert_eq!((reader.u64(5), reader.text(6), reader.bytes(1)), (Ok(None), Ok(None), None));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn fields_of_another_type_are_refused() {
        let record = RecordWriter::new("d").bytes(1, &[0xff]).finish().unwrap();
        let fresh = || RecordReader::parse("d", &record).unwrap();
        assert!(fresh().u64(1).is_err(), "one byte is not a number");
        assert!(fresh().i64(1).is_err(), "one byte is not a number");
        assert!(fresh().text(1).is_err(), "0xff is not UTF-8");
        assert!(fresh().array::<2>(1).is_err(), "one byte is not two");
        assert_eq!(fresh().finish(), Err(CodecError::Unknown { tag: 1 }));
    }

    #[test]
    fn fields_out_of_order_make_no_record() {
        for tags in [[2, 1], [1, 1]] {
            let writer = tags.iter().fold(RecordWriter::new("d"), |writer, tag| writer.u64(*tag, 0));
            assert_eq!(writer.finish(), Err(CodecError::Order { tag: 1 }));
        }
        let swapped = [b"d\0".as_slice(), &[2, 0, 0, 0, 0], &[1, 0, 0, 0, 0]].concat();
        assert_eq!(RecordReader::parse("d", &swapped).unwrap_err(), CodecError::Order { tag: 1 });
        let twice = [b"d\0".as_slice(), &[1, 0, 0, 0, 0], &[1, 0, 0, 0, 0]].concat();
        assert_eq!(RecordReader::parse("d", &twice).unwrap_err(), CodecError::Order { tag: 1 });
    }

    #[test]
    fn a_record_belongs_to_one_domain() {
        let record = RecordWriter::new("onebit/a").u64(1, 1).finish().unwrap();
        assert!(RecordReader::parse("onebit/b", &record).is_err());
        assert!(RecordReader::parse("onebit/", &record).is_err());
        assert!(RecordReader::parse("onebit/a", b"onebit/a").is_err(), "the domain must be ended");
        for bad in ["", "a b", "a\0b", "é"] {
            assert_eq!(RecordWriter::new(bad).finish(), Err(CodecError::DomainForm(bad)));
            assert!(RecordReader::parse(bad, b"a\0").is_err());
        }
    }

    fn fields() -> impl Strategy<Value = BTreeMap<u8, Vec<u8>>> {
        btree_map(any::<u8>(), vec(any::<u8>(), 0..40), 0..8)
    }

    /// Field-like bytes, so that many of them parse.
    fn near_records() -> impl Strategy<Value = Vec<u8>> {
        vec((any::<u8>(), 0..3u8, vec(any::<u8>(), 0..3)), 0..5).prop_map(|parts| {
            let mut bytes = [DOMAIN.as_bytes(), &[0]].concat();
            for (tag, length, value) in parts {
                bytes.extend_from_slice(&[tag, 0, 0, 0, length]);
                bytes.extend_from_slice(&value);
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fields in fields()) {
            prop_assert_eq!(read(&write(&fields)), Ok(fields));
        }

        #[test]
        fn whatever_parses_is_written_alike(bytes in near_records()) {
            if let Ok(fields) = read(&bytes) {
                prop_assert_eq!(write(&fields), bytes);
            }
        }

        #[test]
        fn a_changed_record_never_reads_as_the_same_value(
            fields in fields(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX, extra in vec(any::<u8>(), 1..9)
        ) {
            let record = write(&fields);
            let at = at.index(record.len());
            let mut flipped = record.clone();
            flipped[at] ^= flip;
            let mut shorter = record.clone();
            shorter.remove(at);
            let appended = [record.as_slice(), &extra].concat();
            for changed in [flipped, shorter, appended, record[..at].to_vec()] {
                let value = read(&changed);
                prop_assert_ne!(value.as_ref(), Ok(&fields));
            }
        }
    }
}
