//! All that is printed goes through here.
//!
//! What a server, a partner or a file says is shown, never obeyed: control characters and marks that turn the
//! direction of text come out escaped, so that a justification can't draw a decision of its own on an officer's
//! screen.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::fault::CliError;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// In words, for people
    #[default]
    Text,
    /// As one JSON value a line, for programs
    Json,
}

/// The option that every command has which shows something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OutputOption {
    /// How to show the result
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,
}

impl OutputOption {
    /// Shows a result: its text, or its JSON on one line.
    ///
    /// # Errors
    /// [`CliError::Output`] when the output can't be written.
    pub fn show(self, text: impl FnOnce() -> String, json: &impl Serialize) -> Result<(), CliError> {
        match self.output {
            Output::Text => line(&text()),
            Output::Json => {
                let json = serde_json::to_string(json).map_err(|error| CliError::Output(error.into()))?;
                line(&json)
            }
        }
    }
}

/// Prints a line, or several, to the output.
///
/// # Errors
/// [`CliError::Output`] when it can't be written; a reader that has gone away is no error.
pub fn line(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{}", shown(text)).and_then(|()| out.flush()))
}

fn written(written: io::Result<()>) -> Result<(), CliError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// How a piece of a line stands out where colours are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As everything else.
    Plain,
    /// Bold: headings, and the one bit.
    Strong,
    /// Dim: what is there for completeness.
    Faint,
    /// Green: as it should be.
    Good,
    /// Red: refused.
    Bad,
}

/// Prints a line made of pieces, each in its tone; without colours unless the output is a terminal that has them
/// and nobody has set `NO_COLOR`.
///
/// # Errors
/// As [`line`].
pub fn toned(pieces: &[(Tone, &str)]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    let coloured = out.is_terminal() && takes_colours(&|name| env::var_os(name));
    let text: String = pieces.iter().map(|(tone, text)| tone.around(&shown(text), coloured)).collect();
    written(writeln!(out, "{text}").and_then(|()| out.flush()))
}

impl Tone {
    fn around(self, text: &str, coloured: bool) -> String {
        let start = match self {
            _ if !coloured || text.is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
        };
        format!("\u{1b}[{start}m{text}\u{1b}[0m")
    }
}

/// What the environment says about colours: <https://no-color.org>, and terminals that have none.
fn takes_colours(variable: &dyn Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_some_and(|term| term != "dumb")
}

/// Prints a line beside the output, for progress and for what people should know.
pub fn note(text: &str) {
    // Nobody can be told when this fails.
    let _ = writeln!(io::stderr().lock(), "{}", shown(text));
}

/// Prints why a subcommand failed.
pub fn error(error: &CliError) {
    note(&format!("onebit: {}", error.chain()));
}

/// Whether somebody watches progress on a terminal.
#[must_use]
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// The text with everything escaped that could move a cursor or hide what follows; line feeds stay.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() && c != '\n') || is_turning(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Marks that turn the direction of text (Unicode Standard Annex 9, section 2) and line separators.
const fn is_turning(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text indented by two spaces on every line.
#[must_use]
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// Rows under a head, each column as wide as its widest cell.
#[must_use]
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heads = head.map(str::to_owned);
    let lines = std::iter::once(&heads).chain(rows).map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Kb\r\u{202e}c\nd"), "a\\u{1b}[2Kb\\u{d}\\u{202e}c\nd");
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let with = |no_color: &'static str, term: &'static str| {
            takes_colours(&|name| Some(if name == "NO_COLOR" { no_color } else { term }.into()))
        };
        assert!(with("", "xterm") && !with("1", "xterm") && !with("", "dumb"));
        assert!(!takes_colours(&|_| None), "a terminal that does not say what it is gets no colours");
        assert_eq!(
            (Tone::Faint.around("a", true), Tone::Faint.around("a", false)),
            ("\u{1b}[2ma\u{1b}[0m".into(), "a".into())
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "Māori".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["x", "y"], &rows), "x     y\na     Māori\nlong");
    }
}
