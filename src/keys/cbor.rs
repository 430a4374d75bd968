//! As much of CBOR (RFC 8949) as authenticators write: definite lengths, no floats, no tags, a few levels deep
//! (CTAP 2.1, section 8).

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cbor<'a> {
    /// A whole number.
    Number(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// A list.
    Array(Vec<Cbor<'a>>),
    /// Pairs in the order in which they were written; no key twice.
    Map(Vec<(Cbor<'a>, Cbor<'a>)>),
    /// `false`, `true` or null, which nobody here asks for.
    Simple(u8),
}

impl<'a> Cbor<'a> {
    /// Reads one value from the beginning; gives it with what stands behind it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        read(bytes, DEPTH_MAX)
    }

    /// Reads one value with nothing behind it.
    pub(super) fn read_whole(bytes: &'a [u8]) -> Option<Self> {
        Self::read(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }

    /// The value of a key that is a number.
    pub(super) fn at(&self, key: i64) -> Option<&Self> {
        self.find(&Self::Number(key))
    }

    /// The value of a key that is text.
    pub(super) fn of(&self, key: &str) -> Option<&Self> {
        self.find(&Cbor::Text(key))
    }

    fn find(&self, key: &Cbor<'_>) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub(super) const fn as_number(&self) -> Option<i64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) const fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(super) const fn as_text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

fn read(bytes: &[u8], depth: usize) -> Option<(Cbor<'_>, &[u8])> {
    let depth = depth.checked_sub(1)?;
    let (first, rest) = bytes.split_first()?;
    let (kind, short) = (first >> 5, first & 31);
    if kind == 7 {
        return matches!(short, 20..=22).then_some((Cbor::Simple(short), rest));
    }
    let (number, mut rest) = match short {
        0..=23 => (u64::from(short), rest),
        24 => rest.split_first().map(|(byte, rest)| (u64::from(*byte), rest))?,
        25 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from(u16::from_be_bytes(*bytes)), rest))?,
        26 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from(u32::from_be_bytes(*bytes)), rest))?,
        27 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from_be_bytes(*bytes), rest))?,
        _ => return None,
    };
    let signed = i64::try_from(number).ok()?;
    let length = usize::try_from(number).ok()?;
    let value = match kind {
        0 => Cbor::Number(signed),
        // Minus one minus the number (section 3.1), which never leaves the range.
        1 => Cbor::Number(!signed),
        2 | 3 => {
            let (bytes, behind) = rest.split_at_checked(length)?;
            rest = behind;
            if kind == 2 { Cbor::Bytes(bytes) } else { Cbor::Text(std::str::from_utf8(bytes).ok()?) }
        }
        4 => {
            let mut values = Vec::new();
            for _ in 0..length {
                let (value, behind) = read(rest, depth)?;
                rest = behind;
                values.push(value);
            }
            Cbor::Array(values)
        }
        5 => {
            let mut pairs: Vec<(Cbor<'_>, Cbor<'_>)> = Vec::new();
            for _ in 0..length {
                let (key, behind) = read(rest, depth)?;
                let (value, behind) = read(behind, depth)?;
                rest = behind;
                if pairs.len() >= PAIRS_MAX || pairs.iter().any(|(other, _)| *other == key) {
                    return None;
                }
                pairs.push((key, value));
            }
            Cbor::Map(pairs)
        }
        _ => return None,
    };
    Some((value, rest))
}

/// More than any authenticator writes in one map.
const PAIRS_MAX: usize = 64;
/// An attestation object is a map with a map in which there is a list of certificates; one more.
const DEPTH_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 8949, appendix A.
    #[test]
    fn the_examples_of_the_standard_are_read() {
        for (text, number) in [
            ("00", 0),
            ("17", 23),
            ("1818", 24),
            ("1903e8", 1_000),
            ("1a000f4240", 1_000_000),
            ("20", -1),
            ("3863", -100),
            ("3903e7", -1_000),
            ("1b000000e8d4a51000", 1_000_000_000_000),
        ] {
            assert_eq!(Cbor::read_whole(&hex(text)), Some(Cbor::Number(number)), "{text}");
        }
        let map = hex("a26161016162820203");
        let map = Cbor::read_whole(&map).unwrap();
        assert_eq!(map.of("a").and_then(Cbor::as_number), Some(1));
        assert_eq!(map.of("b"), Some(&Cbor::Array(vec![Cbor::Number(2), Cbor::Number(3)])));
        let bytes = hex("4401020304");
        assert_eq!(Cbor::read_whole(&bytes).unwrap().as_bytes(), Some(&[1, 2, 3, 4][..]));
        assert_eq!(Cbor::read_whole(&hex("62c3bc")), Some(Cbor::Text("ü")));
    }

    #[test]
    fn what_authenticators_never_write_is_refused() {
        // Without end, half, tagged, cut off, a float, a key twice, too deep, more items than bytes, and something behind.
        for text in [
            "5f42010243030405ff",
            "f93c00",
            "c074",
            "4401",
            "fb3ff199999999999a",
            "a201010102",
            "818181818101",
            "9bffffffffffffffff",
            "0000",
            "bb7fffffffffffffff",
        ] {
            assert_eq!(Cbor::read_whole(&hex(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _read = Cbor::read(&bytes);
        }
    }
}
