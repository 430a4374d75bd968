//! Embeddings in NumPy arrays (`.npy`, NEP 1): one in an array of one dimension, one a row in an array of two.

use std::io::{self, Read, Seek};

use npyz::{NpyFile, NpyReader, Order};
use zeroize::Zeroizing;

use super::Dimension;

/// Why no embedding could be read; each completes a sentence that begins with the array's name.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    /// It is no array, or ends too early.
    #[error("can't be read as a NumPy array")]
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

/// The embedding in a row of an array of float32 or float64, little- or big-endian; rows count from 0. Whether it is one of a
/// scheme is not looked at.
///
/// # Errors
/// [`ArrayError`].
pub fn array_embedding(array: impl Read + Seek, row: u64) -> Result<Vec<f32>, ArrayError> {
    let array = NpyFile::new(array).map_err(ArrayError::Unreadable)?;
    let (rows, columns) = match *array.shape() {
        [columns] => (1, columns),
        [rows, columns] => (rows, columns),
        _ => return Err(ArrayError::Form("does not have one dimension or two")),
    };
    if array.order() == Order::Fortran && rows > 1 && columns > 1 {
        return Err(ArrayError::Form("is in Fortran order"));
    }
    if row >= rows {
        return Err(ArrayError::NoRow { rows, row });
    }
    // Before there is room made for them.
    Dimension::new(columns).map_err(|_| ArrayError::Form("does not have 2 to 4,096 components a row"))?;
    let first = row.checked_mul(columns).ok_or(ArrayError::Form("has too many rows"))?;
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

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
    }

    /// An array that says it has more than anybody has room for.
    #[test]
    fn a_header_that_promises_too_much_is_refused_before_room_is_made() {
        let mut bytes = array(&[2, 1_000], [0.0_f32; 2_000]);
        let at = bytes.windows(9).position(|part| part == b"(2, 1000)").unwrap();
        for shape in [b"(1, 9e99)", b"(9,99999)", b"(99999,9)"] {
            bytes[at..at + 9].copy_from_slice(shape);
            assert!(read(&bytes, 0).is_err() || shape == b"(99999,9)");
            assert!(read(&bytes, 99_998).is_err());
        }
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
