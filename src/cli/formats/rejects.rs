//! The rejects file: one JSON object a line, with line, source id where it is known, and reason.

use std::io::{self, Write};

use serde::Serialize;

use super::Reject;

/// Writes rejected rows.
pub struct RejectsWriter<W> {
    output: W,
    count: u64,
}

/// A reject as it stands in the file.
#[derive(Serialize)]
struct Written<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<&'a str>,
    reason: &'a str,
}

impl<W: Write> RejectsWriter<W> {
    /// Writes to `output`, which should be buffered.
    pub const fn new(output: W) -> Self {
        Self { output, count: 0 }
    }

    /// Appends one row.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, reject: &Reject) -> io::Result<()> {
        let Reject { line, source_id, reason } = reject;
        let written = Written { line: *line, source_id: source_id.as_deref(), reason };
        serde_json::to_writer(&mut self.output, &written)?;
        self.output.write_all(b"\n")?;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many rows were written.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Hands the output back, with everything written out.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_are_json_lines() {
        let mut writer = RejectsWriter::new(Vec::new());
        writer.write(&Reject::new(3, Some("a \"b\"".to_owned()), "too wide")).unwrap();
        writer.write(&Reject::new(9, None, "not JSON")).unwrap();
        assert_eq!(writer.count(), 2);
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        let expected = "{\"line\":3,\"source_id\":\"a \\\"b\\\"\",\"reason\":\"too wide\"}\n{\"line\":9,\"reason\":\"not JSON\"}\n";
        assert_eq!(text, expected);
    }
}
