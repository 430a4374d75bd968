//! Embeddings in NumPy arrays (`.npy`, NEP 1): one in an array of one dimension, one a row in an array of two.

use std::io::{self, Cursor, Read, Seek};

use npyz::{NpyFile, NpyHeader, NpyReader, Order};
use zeroize::Zeroizing;

use super::Dimension;

/// Why no embedding could be read; each completes a sentence that begins with the array's name.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// It is no array; with what is wrong.
    #[error("is not a NumPy array: {0}")]
    Refused(String),
    /// It ends too early, or can't be read.
    #[error("can't be read to its end")]
    Unreadable(#[source] io::Error),
    /// It is another array than one of embeddings.
    #[error("{0}; save a float32 array of one row, or of one row a sample, in C order")]
    Form(&'static str),
    /// It has fewer rows.
    #[error("has {rows} rows, counted from 0; there is no row {row}")]
    NoRow {
        /// How many it has.
        rows: u64,
        /// Which was asked for.
        row: u64,
    },
}

/// The header of an array.
pub struct ArrayHeader {
    /// What it says.
    pub parsed: NpyHeader,
    /// How long it is.
    pub bytes: u64,
}

impl ArrayHeader {
    /// Reads magic, version, length and text of the header, and hands them to the parser once they are harmless:
    /// it allocates what the length says, multiplies what the shape says and descends as deep as brackets go.
    ///
    /// # Errors
    /// [`ArrayError::Refused`] and [`ArrayError::Unreadable`].
    pub fn read(array: &mut impl Read) -> Result<Self, ArrayError> {
        let refused = |reason: &str| ArrayError::Refused(reason.to_owned());
        let fill = |array: &mut dyn Read, bytes: &mut [u8]| {
            array.read_exact(bytes).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => refused("it ends within the header"),
                _ => ArrayError::Unreadable(source),
            })
        };
        let mut head = vec![0; MAGIC.len().saturating_add(2)];
        fill(array, &mut head)?;
        let Some([major, _]) = head.strip_prefix(MAGIC) else {
            return Err(refused("it does not begin like one"));
        };
        let mut length = vec![0; if *major == 1 { 2 } else { 4 }];
        fill(array, &mut length)?;
        let text_bytes = length
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| sum.saturating_mul(256).saturating_add(usize::from(*byte)));
        if text_bytes > HEADER_MAX_BYTES {
            return Err(refused("its header is longer than any that `numpy.save` writes"));
        }
        let mut text = vec![0; text_bytes];
        fill(array, &mut text)?;
        if !is_harmless(&text) {
            return Err(refused("its header describes no array of one dimension or two"));
        }
        let whole = [head, length, text].concat();
        let bytes = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        let parsed = NpyHeader::from_reader(Cursor::new(whole));
        Ok(Self { parsed: parsed.map_err(|error| ArrayError::Refused(error.to_string()))?, bytes })
    }
}

/// Numbers whose product stays below 10^18, few brackets, nothing in hexadecimal.
fn is_harmless(text: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    count(u8::is_ascii_digit) <= HEADER_MAX_DIGITS
        && count(|byte| b"([{".contains(byte)) <= HEADER_MAX_BRACKETS
        && !text.windows(2).any(|pair| pair.eq_ignore_ascii_case(b"0x"))
}

/// The embedding in a row of an array of float32 or float64, little- or big-endian; rows count from 0. Whether it is one of a
/// scheme is not looked at.
///
/// # Errors
/// [`ArrayError`].
pub fn array_embedding(mut array: impl Read + Seek, row: u64) -> Result<Vec<f32>, ArrayError> {
    let header = ArrayHeader::read(&mut array)?.parsed;
    let (rows, columns) = match *header.shape() {
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return Err(ArrayError::Form("does not have one dimension or two")),
    };
    if header.order() == Order::Fortran && rows > 1 && columns > 1 {
        return Err(ArrayError::Form("is in Fortran order"));
    }
    if row >= rows {
        return Err(ArrayError::NoRow { rows, row });
    }
    // Before there is room made for them.
    Dimension::new(columns).map_err(|_| ArrayError::Form("does not have 2 to 4,096 components a row"))?;
    // INVARIANT: fewer than there are components, which a harmless header keeps below 10^18.
    let first = row.saturating_mul(columns);
    let array = NpyFile::with_header(header, array);
    match array.try_data::<f32>() {
        Ok(data) => components(data, first, columns),
        Err(array) => match array.data::<f64>() {
            Ok(data) => Ok(narrowed(&Zeroizing::new(components(data, first, columns)?))),
            Err(_) => Err(ArrayError::Form("holds neither float32 nor float64")),
        },
    }
}

fn components<T: npyz::Deserialize>(
    mut data: NpyReader<T, impl Read + Seek>,
    first: u64,
    columns: u64,
) -> Result<Vec<T>, ArrayError> {
    data.seek_to(first).map_err(ArrayError::Unreadable)?;
    let columns = usize::try_from(columns).unwrap_or(usize::MAX);
    let mut all = Vec::with_capacity(columns);
    for component in data.take(columns) {
        all.push(component.map_err(ArrayError::Unreadable)?);
    }
    Ok(all)
}

fn narrowed(values: &[f64]) -> Vec<f32> {
    let narrow = |value: &f64| {
        #[expect(
            clippy::as_conversions,
            reason = "rounds to nearest (IEEE 754); there is no other way in core"
        )]
        let narrow = *value as f32;
        narrow
    };
    values.iter().map(narrow).collect()
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy pads the header of a plain array to 64 or 128 bytes.
const HEADER_MAX_BYTES: usize = 4_096;
/// 10^18 is less than 2^63.
const HEADER_MAX_DIGITS: usize = 18;
/// A plain array has a dictionary and a tuple.
const HEADER_MAX_BRACKETS: usize = 8;

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;
    use proptest::prelude::*;

    use super::*;

    fn array<T: npyz::AutoSerialize>(shape: &[u64], values: impl IntoIterator<Item = T>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer =
            npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn read(bytes: &[u8], row: u64) -> Result<Vec<f32>, ArrayError> {
        array_embedding(Cursor::new(bytes), row)
    }

    #[test]
    fn a_row_is_read() {
        let bytes = array(&[3, 2], [0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(read(&bytes, 0).unwrap(), [0.0, 1.0]);
        assert_eq!(read(&bytes, 2).unwrap(), [4.0, 5.0]);
        assert!(matches!(read(&bytes, 3), Err(ArrayError::NoRow { rows: 3, row: 3 })));
    }

    #[test]
    fn one_dimension_and_double_precision_are_read() {
        assert_eq!(read(&array(&[3], [0.5_f64, -1.0, 2.0]), 0).unwrap(), [0.5, -1.0, 2.0]);
    }

    #[test]
    fn what_is_no_array_of_embeddings_is_told() {
        for (bytes, said) in [
            (array(&[3], [1_i64, 2, 3]), "float64"),
            (array(&[1, 1, 2], [0.0_f32, 1.0]), "dimension"),
            (array(&[1], [0.0_f32]), "components"),
            (b"{\"embedding\": [1, 0]}".to_vec(), "NumPy"),
            (Vec::new(), "NumPy"),
        ] {
            let error = read(&bytes, 0).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let short = array(&[2, 4], [0.0_f32; 8]);
        assert!(matches!(read(&short[..short.len() - 4], 1), Err(ArrayError::Unreadable(_))));
        assert_eq!(read(&short[..short.len() - 4], 0).unwrap(), [0.0; 4]);
    }

    /// An array that says it has more than anybody has room for, or can count.
    #[test]
    fn a_header_that_promises_too_much_is_refused_before_room_is_made() {
        let of_shape = |shape: &str| {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
            let length = u16::try_from(text.len()).unwrap().to_le_bytes();
            [MAGIC, &[1, 0], &length, text.as_bytes(), &[0; 64]].concat()
        };
        assert_eq!(read(&of_shape("2, 8"), 1).unwrap(), [0.0; 8]);
        for shape in [
            "1, 4097",
            "999999999999999999,",
            "9999999999, 9999999999",
            "0xffffffff, 4",
            "-1, 8",
            "1, 1",
            "0, 8",
        ] {
            assert!(read(&of_shape(shape), 0).is_err(), "{shape}");
        }
        assert!(matches!(read(&of_shape("99999999999, 8"), 99_999_999_998), Err(ArrayError::Unreadable(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_embedding_or_an_error(tail in proptest::collection::vec(any::<u8>(), 0..200), row in any::<u64>()) {
            let mut bytes = array(&[2, 4], [0.0_f32; 8]);
            let kept = bytes.len().saturating_sub(tail.len());
            bytes.truncate(kept);
            bytes.extend(tail);
            if let Ok(embedding) = read(&bytes, row) {
                prop_assert!((2..=4_096).contains(&embedding.len()));
            }
        }
    }
}
