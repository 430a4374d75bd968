//! Lines of a file, one at a time, in bounded memory.

use std::io::{self, BufRead, Seek};

use super::FormatError;

/// Reads lines and counts them; blank ones are counted and passed over.
pub(super) struct Lines<R> {
    input: R,
    line: u64,
    text: Vec<u8>,
    state: Reading,
}

/// One line that is not blank.
pub(super) enum Line<'a> {
    /// Its number from 1, and its bytes without the end of the line.
    Text(u64, &'a [u8]),
    /// Its number from 1; it is longer than any row may be.
    TooLong(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Going,
    Done,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, line: 0, text: Vec::new(), state: Reading::Going }
    }

    /// The next line that is not blank. After an error, and after the last line, there is none.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, FormatError> {
        while self.state == Reading::Going {
            self.text.clear();
            let line = self.line.saturating_add(1);
            let read = read_line(&mut self.input, &mut self.text).map_err(|source| {
                self.state = Reading::Done;
                FormatError::Read { row: line, source }
            })?;
            match read {
                Length::Nothing => self.state = Reading::Done,
                Length::Whole | Length::TooLong => self.line = line,
            }
            if read == Length::TooLong {
                return Ok(Some(Line::TooLong(line)));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some(Line::Text(line, &self.text)));
            }
        }
        Ok(None)
    }
}

impl<R: BufRead + Seek> Lines<R> {
    /// Counts the lines that are not blank and goes back to the first.
    pub(super) fn count(&mut self) -> Result<u64, FormatError> {
        let mut count = 0_u64;
        while self.next()?.is_some() {
            count = count.saturating_add(1);
        }
        self.input.rewind().map_err(|source| FormatError::Read { row: 1, source })?;
        self.line = 0;
        self.state = Reading::Going;
        Ok(count)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Nothing,
    Whole,
    TooLong,
}

/// Reads to the end of the line, keeping at most `LINE_MAX_BYTES` of it.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<Length> {
    let mut read = Length::Nothing;
    loop {
        let ready = match input.fill_buf() {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if ready.is_empty() {
            return Ok(read);
        }
        let (part, used, last) = match ready.iter().position(|byte| *byte == b'\n') {
            Some(end) => (ready.get(..end).unwrap_or_default(), end.saturating_add(1), true),
            None => (ready, ready.len(), false),
        };
        if read != Length::TooLong && text.len().saturating_add(part.len()) <= LINE_MAX_BYTES {
            text.extend_from_slice(part);
            read = Length::Whole;
        } else {
            text.clear();
            read = Length::TooLong;
        }
        input.consume(used);
        if last {
            return Ok(read);
        }
    }
}

/// The widest template at 32 characters a component is 512 KiB, the largest record 64 × 4,096 characters at up
/// to 4 bytes is 1 MiB; twice the larger.
const LINE_MAX_BYTES: usize = 2 * 1_048_576;

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use super::*;

    fn all(input: impl BufRead) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Line::Text(line, text) => (line, Some(text.to_vec())),
                Line::TooLong(line) => (line, None),
            });
        }
        all
    }

    #[test]
    fn blank_lines_are_counted_and_passed_over() {
        let lines = all(&b"a\n\n \r\nb\r\nc"[..]);
        assert_eq!(lines, [(1, Some(b"a".to_vec())), (4, Some(b"b\r".to_vec())), (5, Some(b"c".to_vec()))]);
    }

    #[test]
    fn an_endless_line_is_one_line_that_is_too_long() {
        let mut input = vec![b'x'; LINE_MAX_BYTES + 1];
        input.extend(b"\nnext\n");
        input.extend(vec![b'y'; LINE_MAX_BYTES]);
        let lines = all(BufReader::with_capacity(1_000, Cursor::new(input)));
        assert_eq!(lines.len(), 3);
        assert!(lines[0] == (1, None) && lines[1] == (2, Some(b"next".to_vec())) && lines[2].1.is_some());
    }

    #[test]
    fn counting_goes_back_to_the_first_line() {
        let mut lines = Lines::new(Cursor::new(b"a\n\nb"));
        assert_eq!(lines.count().unwrap(), 2);
        assert!(matches!(lines.next().unwrap(), Some(Line::Text(1, b"a"))));
    }
}
