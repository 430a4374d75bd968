//! Kaldi binary archives of vectors: key, space, `\0B`, `FV ` (32-bit) or `DV ` (64-bit), `\x04`, length as a
//! little-endian 32-bit number, components, and so on without end marks (Kaldi's `base/io-funcs.h`,
//! `matrix/kaldi-vector.cc`). The key is the source id.

use std::io::{self, BufRead, Read};

use super::{About, DIMENSION_MAX, FormatError, Reject, Row, TemplateRow, narrowed};
use crate::ids::SOURCE_ID_MAX_CHARS;

/// Templates of an archive, one key after another.
pub struct ArkTemplates<R> {
    input: R,
    row: u64,
    byte: u64,
    state: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Going,
    Done,
}

/// Reads the templates of an archive. Rows are counted from 1; the archive is damaged where a key is followed
/// by anything but a vector, since nothing says where the next key would begin.
pub const fn templates<R: BufRead>(input: R) -> ArkTemplates<R> {
    ArkTemplates { input, row: 0, byte: 0, state: Reading::Going }
}

impl<R: BufRead> Iterator for ArkTemplates<R> {
    type Item = Row<TemplateRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == Reading::Done {
            return None;
        }
        self.row = self.row.saturating_add(1);
        let row = self.entry().transpose();
        if !matches!(row, Some(Ok(_))) {
            self.state = Reading::Done;
        }
        row
    }
}

impl<R: BufRead> ArkTemplates<R> {
    fn entry(&mut self) -> Result<Option<Result<TemplateRow, Reject>>, FormatError> {
        let start = self.byte;
        let mut key = Vec::new();
        let read = self.input.by_ref().take(KEY_MAX_BYTES).read_until(b' ', &mut key);
        self.count(read.map_err(|source| self.failed(start, source))?);
        if key.is_empty() {
            return Ok(None);
        }
        if key.pop() != Some(b' ') {
            return Err(self.damaged(start, "no key that ends with a space"));
        }
        let [zero, binary, kind @ .., space] = self.array::<5>(start)?;
        let width = match (zero, binary, &kind, space) {
            (0, b'B', b"FV", b' ') => size_of::<f32>(),
            (0, b'B', b"DV", b' ') => size_of::<f64>(),
            (0, b'B', ..) => {
                return Err(self.damaged(start, "not a vector; write vectors, not matrices or numbers"));
            }
            _ => return Err(self.damaged(start, "not binary; write the archive with `ark:`, not `ark,t:`")),
        };
        let [mark, length @ ..] = self.array::<5>(start)?;
        let length = usize::try_from(i32::from_le_bytes(length)).ok();
        let Some(length) = length.filter(|length| mark == LENGTH_MARK && *length <= DIMENSION_MAX) else {
            return Err(
                self.damaged(start, "a length that no template has; was it written on another machine?")
            );
        };
        let mut bytes = vec![0; length.saturating_mul(width)];
        self.fill(start, &mut bytes)?;
        Ok(Some(self.template(key, &bytes, width)))
    }

    fn template(&self, key: Vec<u8>, bytes: &[u8], width: usize) -> Result<TemplateRow, Reject> {
        let reject = |source_id, reason: &str| Reject::new(self.row, source_id, reason);
        let key = String::from_utf8(key)
            .map_err(|_| reject(None, "the key is not UTF-8; rename it at the source"))?;
        let about = About::new(key.clone(), None, &[]).map_err(|reason| reject(None, &reason))?;
        let embedding = if width == size_of::<f32>() {
            Ok(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
        } else {
            narrowed(bytes.as_chunks().0.iter().copied().map(f64::from_le_bytes))
        };
        match embedding {
            Ok(embedding) if embedding.is_empty() => {
                Err(reject(Some(key), "the vector is empty; extract it again"))
            }
            Ok(embedding) => Ok(about.with(self.row, embedding)),
            Err(reason) => Err(reject(Some(key), &reason)),
        }
    }

    fn array<const N: usize>(&mut self, start: u64) -> Result<[u8; N], FormatError> {
        let mut bytes = [0; N];
        self.fill(start, &mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, start: u64, bytes: &mut [u8]) -> Result<(), FormatError> {
        self.input.read_exact(bytes).map_err(|source| self.failed(start, source))?;
        self.count(bytes.len());
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.byte = self.byte.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn failed(&self, start: u64, source: io::Error) -> FormatError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => FormatError::Cut { row: self.row, byte: start },
            _ => FormatError::Read { row: self.row, source },
        }
    }

    fn damaged(&self, start: u64, reason: &str) -> FormatError {
        FormatError::Archive { row: self.row, byte: start, reason: reason.to_owned() }
    }
}

/// Kaldi writes before each number how many bytes it has.
const LENGTH_MARK: u8 = 4;
/// The longest source id at 4 bytes a character, twice, so that a key that is only too long is a bad row; one
/// byte more for the space.
#[expect(clippy::as_conversions, reason = "a constant far below 2^63")]
const KEY_MAX_BYTES: u64 = 2 * 4 * SOURCE_ID_MAX_CHARS as u64 + 1;

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn entry(key: &str, kind: &str, length: i32, components: &[u8]) -> Vec<u8> {
        [key.as_bytes(), b" \0B", kind.as_bytes(), b" \x04", &length.to_le_bytes(), components].concat()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn vectors_of_both_widths_are_read_and_bad_rows_do_not_stop_the_rest() {
        let doubles: Vec<u8> = [0.1_f64, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let huge = 1e300_f64.to_le_bytes();
        let input = [
            entry("one", "FV", 2, &floats(&[1.0, f32::NAN])),
            entry("", "FV", 1, &floats(&[1.0])),
            entry("huge", "DV", 1, &huge),
            entry("none", "FV", 0, &[]),
            entry(&"k".repeat(257), "FV", 1, &floats(&[1.0])),
            entry("two", "DV", 2, &doubles),
        ]
        .concat();
        let mut rows = templates(&input[..]).map(Result::unwrap);
        let first = rows.next().unwrap().unwrap();
        assert_eq!((first.line, first.source_id.as_str(), first.embedding.len()), (1, "one", 2));
        assert!(first.embedding[1].is_nan(), "NaN is for the server to refuse, with its own words");
        let rejects: Vec<_> = rows.by_ref().take(4).map(|row| row.err().unwrap()).collect();
        assert_eq!(rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(rejects[1].source_id.as_deref(), Some("huge"));
        let last = rows.next().unwrap().unwrap();
        assert_eq!((last.line, last.embedding.as_slice()), (6, [0.1_f32, -2.0].as_slice()));
        assert!(rows.next().is_none());
    }

    #[test]
    fn a_damaged_archive_says_where_and_ends() {
        let good = entry("one", "FV", 1, &floats(&[1.0]));
        let start = u64::try_from(good.len()).unwrap();
        let damages: [Vec<u8>; 5] = [
            entry("two", "FM", 1, &floats(&[1.0])),
            b"two  [ 1.0 2.0 ]\n".to_vec(),
            entry("two", "FV", -1, &[]),
            entry("two", "FV", i32::MAX, &[]),
            vec![b'k'; 4_000],
        ];
        for damage in damages {
            let input = [good.clone(), damage].concat();
            let mut rows = templates(&input[..]);
            assert!(rows.next().unwrap().unwrap().is_ok());
            let error = rows.next().unwrap().err().unwrap();
            assert!(matches!(error, FormatError::Archive { row: 2, byte, .. } if byte == start), "{error}");
            assert!(rows.next().is_none(), "nothing follows a damaged place");
        }
        for cut in [1, 4] {
            let mut rows = templates(&good[..good.len() - cut]);
            assert!(matches!(rows.next(), Some(Err(FormatError::Cut { row: 1, byte: 0 }))));
        }
    }

    #[test]
    fn speaker_embeddings_of_a_recorded_meeting_are_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/voice-ami/ES2005a.ark");
        let Ok(file) = std::fs::File::open(&path) else {
            println!("skipped: the set `voice-ami` is missing; put it at ../shared/data/voice-ami");
            return;
        };
        let rows: Vec<TemplateRow> = templates(BufReader::new(file))
            .map(|row| row.unwrap().unwrap_or_else(|no| panic!("{no:?}")))
            .collect();
        assert_eq!(rows.len(), 1_025);
        assert!(
            rows.iter().all(|row| row.embedding.len() == 256 && row.embedding.iter().all(|x| x.is_finite()))
        );
        assert_eq!(rows[0].source_id, "ES2005a_0000-00000000-00000144");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_run_forever(
            mut bytes in prop::collection::vec(any::<u8>(), 0..40),
            head in 0..4_usize,
        ) {
            let start = [&b""[..], b"k ", b"k \0BFV ", b"k \0BDV \x04"][head];
            bytes.splice(0..0, start.iter().copied());
            prop_assert!(templates(&bytes[..]).count() <= bytes.len() + 1);
        }
    }
}
