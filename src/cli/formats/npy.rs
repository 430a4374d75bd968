//! NumPy arrays (`.npy`, NEP 1) of templates, one a row, with a manifest beside them: JSON Lines, one object a row,
//! `{"source_id": "…", "quality": 80, "restrictions": ["minor"]}`, the last two optional.

use std::io::{self, BufRead, BufReader, Read, Seek};

use npyz::{DType, NpyHeader, Order};

use super::jsonl::manifest_line;
use super::lines::{Line, Lines};
use super::{About, DIMENSION_MAX, FormatError, Reject, Row, TemplateRow, narrowed};
use crate::template::{ArrayError, ArrayHeader};

/// Templates of an array and its manifest.
pub struct NpyTemplates<A, M> {
    array: BufReader<A>,
    manifest: Lines<M>,
    component: Component,
    rows: u64,
    row: u64,
    byte: u64,
    bytes: Vec<u8>,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Going,
    Done,
}

/// How a component is written.
#[derive(Clone, Copy)]
enum Component {
    SingleLittle,
    SingleBig,
    DoubleLittle,
    DoubleBig,
}

/// Opens an array of float32 or float64 rows, little- or big-endian, in C order, and its manifest. The manifest
/// is counted first: an array whose rows belong to other people must not be enrolled by halves.
///
/// # Errors
/// [`FormatError`] when the array is of another kind, or the manifest has another number of rows.
pub fn templates<A: Read, M: BufRead + Seek>(
    array: A,
    manifest: M,
) -> Result<NpyTemplates<A, M>, FormatError> {
    let mut array = BufReader::new(array);
    let header = header_of(&mut array)?;
    let (component, rows, columns) = layout(&header.parsed)?;
    let mut manifest = Lines::new(manifest);
    let lines = manifest.count()?;
    if lines != rows {
        return Err(FormatError::Count { rows, lines });
    }
    let bytes = vec![0; columns.saturating_mul(component.bytes())];
    Ok(NpyTemplates {
        array,
        manifest,
        component,
        rows,
        row: 0,
        byte: header.bytes,
        bytes,
        state: Reading::Going,
    })
}

impl<A, M> NpyTemplates<A, M> {
    /// How many rows the array has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}

impl<A: Read, M: BufRead> Iterator for NpyTemplates<A, M> {
    type Item = Row<TemplateRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == Reading::Done {
            return None;
        }
        let row = if self.row == self.rows { self.end() } else { self.entry().map(Some) }.transpose();
        if !matches!(row, Some(Ok(_))) {
            self.state = Reading::Done;
        }
        row
    }
}

impl<A: Read, M: BufRead> NpyTemplates<A, M> {
    fn entry(&mut self) -> Result<Result<TemplateRow, Reject>, FormatError> {
        self.row = self.row.saturating_add(1);
        let (row, byte) = (self.row, self.byte);
        self.array.read_exact(&mut self.bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => FormatError::Cut { row, byte },
            _ => FormatError::Read { row, source },
        })?;
        self.byte = byte.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX));
        let about = match self.manifest.next()? {
            Some(Line::Text(_, text)) => manifest_line(row, text),
            Some(Line::TooLong(_)) => {
                Err(Reject::new(row, None, "the manifest's line is too long; shorten it"))
            }
            // The manifest was counted; it has been shortened while it was read.
            None => {
                return Err(FormatError::Count { rows: self.rows, lines: row.saturating_sub(1) });
            }
        };
        Ok(about.and_then(|about| self.template(about)))
    }

    fn template(&self, about: About) -> Result<TemplateRow, Reject> {
        match self.component.read(&self.bytes) {
            Ok(embedding) => Ok(about.with(self.row, embedding)),
            Err(reason) => Err(Reject::new(self.row, Some(about.source_id), reason)),
        }
    }

    fn end(&mut self) -> Result<Option<Result<TemplateRow, Reject>>, FormatError> {
        match self.array.fill_buf() {
            Ok([]) => Ok(None),
            Ok(_) => Err(FormatError::Longer { row: self.row, byte: self.byte }),
            Err(source) => Err(FormatError::Read { row: self.row, source }),
        }
    }
}

impl Component {
    const fn bytes(self) -> usize {
        match self {
            Self::SingleLittle | Self::SingleBig => size_of::<f32>(),
            Self::DoubleLittle | Self::DoubleBig => size_of::<f64>(),
        }
    }

    fn read(self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        match self {
            Self::SingleLittle => Ok(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect()),
            Self::SingleBig => Ok(bytes.as_chunks().0.iter().copied().map(f32::from_be_bytes).collect()),
            Self::DoubleLittle => narrowed(bytes.as_chunks().0.iter().copied().map(f64::from_le_bytes)),
            Self::DoubleBig => narrowed(bytes.as_chunks().0.iter().copied().map(f64::from_be_bytes)),
        }
    }
}

/// The header, in this format's words.
fn header_of(array: &mut impl Read) -> Result<ArrayHeader, FormatError> {
    ArrayHeader::read(array).map_err(|error| match error {
        ArrayError::Refused(reason) => FormatError::Header { reason },
        ArrayError::Unreadable(source) => FormatError::Read { row: 1, source },
        error => FormatError::Header { reason: error.to_string() },
    })
}

fn layout(header: &NpyHeader) -> Result<(Component, u64, usize), FormatError> {
    let refused = |found: String| FormatError::Array { found };
    let component = match header.dtype() {
        DType::Plain(kind) => match kind.to_string().as_str() {
            "<f4" => Component::SingleLittle,
            ">f4" => Component::SingleBig,
            "<f8" => Component::DoubleLittle,
            ">f8" => Component::DoubleBig,
            other => return Err(refused(format!("components of type `{other}`"))),
        },
        DType::Array(..) | DType::Record(_) => return Err(refused("structured components".to_owned())),
    };
    let [rows, columns] = header.shape() else {
        return Err(refused(format!("{} dimensions", header.shape().len())));
    };
    // An array of one row or one column is the same in both orders, and NumPy marks some of them as Fortran's.
    if header.order() == Order::Fortran && *rows > 1 && *columns > 1 {
        return Err(refused("Fortran order".to_owned()));
    }
    match usize::try_from(*columns) {
        Ok(width) if (1..=DIMENSION_MAX).contains(&width) => Ok((component, *rows, width)),
        _ => Err(refused(format!("{columns} columns"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const MAGIC: &[u8] = b"\x93NUMPY";

    fn array(header: &str, data: &[u8]) -> Vec<u8> {
        let mut text = header.as_bytes().to_vec();
        while !(text.len() + 11).is_multiple_of(64) {
            text.push(b' ');
        }
        text.push(b'\n');
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, &text, data].concat()
    }

    fn described(kind: &str, shape: &str) -> String {
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}")
    }

    fn read(array: &[u8], manifest: &str) -> Result<Vec<Row<TemplateRow>>, FormatError> {
        Ok(templates(array, Cursor::new(manifest.to_owned()))?.collect())
    }

    const MANIFEST: &str =
        "{\"source_id\": \"a\", \"quality\": 80}\n{\"source_id\": \"b\", \"restrictions\": [\"minor\"]}\n";

    #[test]
    fn all_four_kinds_of_components_are_read() {
        let values = [1.5_f32, -2.0, 0.25, 3.0];
        let kinds: [(&str, Vec<u8>); 4] = [
            ("<f4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            (">f4", values.iter().flat_map(|value| value.to_be_bytes()).collect()),
            ("<f8", values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect()),
            (">f8", values.iter().flat_map(|value| f64::from(*value).to_be_bytes()).collect()),
        ];
        for (kind, data) in kinds {
            let rows = read(&array(&described(kind, "(2, 2)"), &data), MANIFEST).unwrap();
            let rows: Vec<TemplateRow> = rows.into_iter().map(|row| row.unwrap().ok().unwrap()).collect();
            assert_eq!(rows[0].embedding.as_slice(), &values[..2], "{kind}");
            assert_eq!(rows[1].embedding.as_slice(), &values[2..], "{kind}");
            assert_eq!((rows[0].quality, rows[1].restrictions[0].as_str()), (Some(80), "minor"));
        }
    }

    #[test]
    fn a_bad_line_of_the_manifest_rejects_its_row_and_no_other() {
        let data: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let manifest = "{\"source_id\": \"a\", \"quality\": 101}\n\n{\"source_id\": \"b\"}\n";
        let rows = read(&array(&described("<f4", "(2, 1)"), &data), manifest).unwrap();
        let mut rows = rows.into_iter().map(Result::unwrap);
        let reject = rows.next().unwrap().err().unwrap();
        assert_eq!((reject.line, reject.source_id.as_deref()), (1, Some("a")));
        let row = rows.next().unwrap().ok().unwrap();
        assert_eq!((row.source_id.as_str(), row.embedding[0]), ("b", 2.0));
    }

    #[test]
    fn array_and_manifest_of_different_lengths_give_no_row() {
        let whole = array(&described("<f4", "(3, 1)"), &[0; 12]);
        assert!(matches!(read(&whole, MANIFEST), Err(FormatError::Count { rows: 3, lines: 2 })));
    }

    #[test]
    fn arrays_of_another_kind_are_refused() {
        let refused = [
            described("<i4", "(2, 2)"),
            described("<f2", "(2, 2)"),
            described("<f4", "(4,)"),
            described("<f4", "(2, 2, 1)"),
            described("<f4", "(2, 0)"),
            described("<f4", "(2, 16385)"),
            described("<f4", "(2, 2)").replace("False", "True"),
            described("<f4", "(2, 2)").replace("'<f4'", "[('a', '<f4')]"),
        ];
        for header in refused {
            assert!(
                matches!(read(&array(&header, &[0; 16]), MANIFEST), Err(FormatError::Array { .. })),
                "{header}"
            );
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let refused = [
            described("<f4", "(4294967296, 4294967296, 4294967296)"),
            described("<f4", "(0xffffffffffffffff, 0xff)"),
            "(".repeat(3_000),
            "not a dictionary".to_owned(),
        ];
        for header in refused {
            let error = read(&array(&header, &[]), MANIFEST).err();
            assert!(matches!(error, Some(FormatError::Header { .. })), "{header:.60}");
        }
        let endless = [MAGIC, &[2, 0], &u32::MAX.to_le_bytes()].concat();
        assert!(matches!(read(&endless, MANIFEST), Err(FormatError::Header { .. })));
        assert!(matches!(read(b"PK\x03\x04 an archive", MANIFEST), Err(FormatError::Header { .. })));
    }

    #[test]
    fn arrays_that_are_cut_or_go_on_say_where() {
        let cut = read(&array(&described("<f4", "(2, 1)"), &[0; 7]), MANIFEST).unwrap();
        assert!(matches!(cut.last(), Some(Err(FormatError::Cut { row: 2, byte: 132 }))) && cut.len() == 2);
        let longer = read(&array(&described("<f4", "(2, 1)"), &[0; 9]), MANIFEST).unwrap();
        assert!(
            matches!(longer.last(), Some(Err(FormatError::Longer { row: 2, byte: 136 })))
                && longer.len() == 3
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(text in "[-{}()\\[\\]'\"a-z<>0-9:, _.+xj]{0,120}", data in 0..20_usize) {
            let text = if data % 2 == 0 { text } else { described("<f4", &text) };
            let _ = read(&array(&text, &vec![0; data]), MANIFEST).map(|rows| rows.len());
        }
    }
}
