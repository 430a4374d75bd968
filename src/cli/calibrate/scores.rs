//! Files of scores: lists, columns and matrices.

use std::path::Path;
use std::str::FromStr;

use csv::{Position, ReaderBuilder, StringRecord, Trim};

use super::super::fault::CliError;
use super::super::files;

/// Which number stands for `no score`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoScore {
    /// This one.
    Is(f64),
    /// None: every number is a score.
    Never,
}

/// Scores as they were read, and how many comparisons had none.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub(super) values: Vec<f64>,
    pub(super) missing: u64,
}

impl FromStr for NoScore {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<f64>() {
            _ if text == "none" => Ok(Self::Never),
            Ok(value) if value.is_finite() => Ok(Self::Is(value)),
            _ => Err("give a number, or `none`".to_owned()),
        }
    }
}

impl Read {
    fn take(&mut self, score: f64, no_score: NoScore) {
        if no_score == NoScore::Is(score) {
            self.missing = self.missing.saturating_add(1);
        } else {
            self.values.push(score);
        }
    }
}

/// Reads one score a line, or those of a column of CSV with a header. Blank lines are passed over.
pub(super) fn list(path: &Path, column: Option<&str>, no_score: NoScore) -> Result<Read, CliError> {
    let rows = rows(path)?;
    let mut rows = rows.iter();
    let place = match column {
        None => None,
        Some(name) => {
            let place = rows.next().and_then(|(_, head)| head.iter().position(|field| field == name));
            let missing = format!("there is no column `{name}` in the header; name one that is there");
            Some(place.ok_or_else(|| unreadable(path, 1, &missing))?)
        }
    };
    let mut read = Read::default();
    for (line, row) in rows {
        let field = match place {
            None if row.len() > 1 => {
                return Err(unreadable(path, *line, "several fields; name the one with --column"));
            }
            place => row.get(place.unwrap_or_default()),
        };
        let field =
            field.ok_or_else(|| unreadable(path, *line, "the column is missing; complete the row"))?;
        read.take(number(path, *line, field)?, no_score);
    }
    Ok(read)
}

/// Reads a square matrix: genuine scores from its diagonal, impostor scores from elsewhere.
pub(super) fn matrix(path: &Path, no_score: NoScore) -> Result<(Read, Read), CliError> {
    let rows = rows(path)?;
    let (_, first) = rows.first().ok_or_else(|| unreadable(path, 1, "the file is empty"))?;
    let named = first.get(0).is_some_and(|corner| corner.parse::<f64>().is_err());
    let names = usize::from(named);
    let width = first.len().saturating_sub(names);
    let (mut genuine, mut impostor, mut height) = (Read::default(), Read::default(), 0);
    for (line, row) in rows.iter().skip(names) {
        if named && row.get(0) != first.get(height + 1) {
            let wrong =
                "the row is not that of the column in its place; bring rows and columns into the same order";
            return Err(unreadable(path, *line, wrong));
        }
        let scores = row.len().saturating_sub(names);
        if scores != width {
            let wrong = format!("{scores} scores where the matrix has {width} columns; make it square");
            return Err(unreadable(path, *line, &wrong));
        }
        for (column, field) in row.iter().skip(names).enumerate() {
            let kind = if column == height { &mut genuine } else { &mut impostor };
            kind.take(number(path, *line, field)?, no_score);
        }
        height = height.saturating_add(1);
    }
    if height != width {
        let wrong = format!("the file ends after {height} rows of {width}; make the matrix square");
        return Err(unreadable(path, rows.last().map_or(1, |(line, _)| *line), &wrong));
    }
    Ok((genuine, impostor))
}

/// Reads rows of two fields.
pub(in crate::cli) fn pairs(path: &Path) -> Result<Vec<(usize, String, String)>, CliError> {
    let rows = rows(path)?.into_iter();
    let pairs = rows.map(|(line, row)| match row.iter().collect::<Vec<_>>()[..] {
        [first, second] if !first.is_empty() && !second.is_empty() => {
            Ok((line, first.to_owned(), second.to_owned()))
        }
        _ => Err(unreadable(path, line, "not two fields; write `source id,person`")),
    });
    pairs.collect()
}

/// A row that can't be read; its content is not repeated.
pub(in crate::cli) fn unreadable(path: &Path, line: usize, reason: &str) -> CliError {
    CliError::Found(format!("`{}` line {line}: {reason}", path.display()))
}

fn number(path: &Path, line: usize, field: &str) -> Result<f64, CliError> {
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(unreadable(
            path,
            line,
            "a field that is not a finite number; write a score, or the number for `no score`",
        )),
    }
}

/// The rows of a file of CSV (RFC 4180) that are not blank, with their lines from 1 and without the space around
/// their fields.
fn rows(path: &Path) -> Result<Vec<(usize, StringRecord)>, CliError> {
    let text = files::read_text(path)?;
    let mut reader = ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|_| unreadable(path, 1, "not CSV; write fields with commas between them"))?;
        if row.iter().any(|field| !field.is_empty()) {
            let line = row.position().map_or(1, |position| line(&text, position));
            rows.push((line, row));
        }
    }
    Ok(rows)
}

/// The line of a row, whose position is before the blank lines above it.
fn line(text: &str, position: &Position) -> usize {
    let [start, lines] =
        [position.byte(), position.line()].map(|it| usize::try_from(it).unwrap_or(usize::MAX));
    let before = text.get(start..).unwrap_or_default().chars().take_while(|it| it.is_whitespace());
    before.filter(|it| *it == '\n').count().saturating_add(lines)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NIST: NoScore = NoScore::Is(-1.0);

    fn file(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.csv");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn scores_are_read_from_lines_and_columns() {
        let (_folder, path) = file("0.5\n\n-1\r\n 1e-3 \n");
        assert_eq!(list(&path, None, NIST).unwrap(), Read { values: vec![0.5, 1e-3], missing: 1 });
        assert_eq!(list(&path, None, NoScore::Never).unwrap().values, [0.5, -1.0, 1e-3]);
        let (_folder, path) = file("\u{feff}id,\"the score\"\n\"a, b\",0.5\nc,-1.0\n");
        let read = list(&path, Some("the score"), NIST).unwrap();
        assert_eq!(read, Read { values: vec![0.5], missing: 1 });
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        let cases: [(&str, Option<&str>, &str); 8] = [
            ("0.5\nabc\n", None, "line 2"),
            ("0.5\r\n\r\n \r\nabc", None, "line 4"),
            ("id,score\na,0.5\n\"b,0.5\n", Some("score"), "line 3"),
            ("0.5\n\nNaN\n", None, "line 3"),
            ("0.5\ninf\n", None, "line 2"),
            ("0.5,0.6\n", None, "--column"),
            ("id,score\na,0.5\nb\n", Some("score"), "line 3"),
            ("id,score\na,0.5\n", Some("points"), "no column `points`"),
        ];
        for (content, column, message) in cases {
            let (_folder, path) = file(content);
            let error = list(&path, column, NIST).unwrap_err().to_string();
            assert!(error.contains(message) && !error.contains("abc"), "`{content}`: {error}");
        }
    }

    #[test]
    fn a_matrix_has_genuine_scores_on_its_diagonal() {
        for content in [",a,b\na,9,-1\nb,3,-1\n", "9,-1\n3,-1\n"] {
            let (_folder, path) = file(content);
            let (genuine, impostor) = matrix(&path, NIST).unwrap();
            assert_eq!(genuine, Read { values: vec![9.0], missing: 1 }, "{content}");
            assert_eq!(impostor, Read { values: vec![3.0], missing: 1 }, "{content}");
        }
    }

    #[test]
    fn matrices_that_are_not_square_or_not_in_order_are_refused() {
        let cases = [
            (",a,b\nb,1,2\na,3,4\n", "line 2"),
            (",a,b\na,1,2\nb,3\n", "line 3"),
            (",a,b\na,1,2\n", "ends after 1 rows of 2"),
            (",a,b\na,1,2\nb,3,4\nc,5,6\n", "line 4"),
            (",a,b\na,1,x\nb,3,4\n", "line 2"),
            ("1,2\n3,4\n5,6\n", "after 3 rows of 2"),
            ("", "empty"),
        ];
        for (content, message) in cases {
            let (_folder, path) = file(content);
            let error = matrix(&path, NIST).unwrap_err().to_string();
            assert!(error.contains(message), "`{content}`: {error}");
        }
    }
}
