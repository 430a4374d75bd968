//! What is wrong in a policy folder, and where.

/// A fault in a file of a policy folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("policy/{file}:{line}:{column}: {message}")]
pub struct PolicyFault {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl PolicyFault {
    /// A fault at a byte offset of a file's text.
    pub(super) fn at(file: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            file: file.to_owned(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: in_line.iter().filter(|byte| !is_continuation(**byte)).count() + 1,
            message: message.into(),
        }
    }

    /// A fault of a file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 1, column: 1, message: message.into() }
    }
}

/// UTF-8 (RFC 3629): bytes `10xxxxxx` continue a character.
const fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "a\nMāori x\n";
        let place = |offset| {
            let fault = PolicyFault::at("f", text, offset, "m");
            (fault.line, fault.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(2), (2, 1));
        assert_eq!(place(text.find('x').unwrap()), (2, 7));
        assert_eq!(place(usize::MAX), (3, 1));
        assert_eq!(PolicyFault::at("a/b.toml", text, 2, "is odd").to_string(), "policy/a/b.toml:2:1: is odd");
    }
}
