//! How the story looks: numbered chapters, wrapped paragraphs, commands and what they said.

use std::time::Duration;

use crate::cli::fault::CliError;
use crate::cli::print::{self, Tone};

/// Prints the heading of the whole story.
pub(super) fn title(text: &str) -> Result<(), CliError> {
    print::toned(&[(Tone::Strong, text)])
}

/// Prints the heading of a chapter.
pub(super) fn chapter(number: u8, title: &str) -> Result<(), CliError> {
    print::line("")?;
    print::toned(&[(Tone::Strong, &format!("{number:>2}  {title}"))])
}

/// Prints a paragraph in plain words.
pub(super) fn say(text: &str) -> Result<(), CliError> {
    print::line("")?;
    paragraph(text)
}

/// Prints a line that tells what was found, and whether it is as it should be.
pub(super) fn found(text: &str) -> Result<(), CliError> {
    print::line("")?;
    for line in wrapped(text, WIDTH - TEXT_INDENT.len()) {
        print::toned(&[(Tone::Plain, TEXT_INDENT), (Tone::Good, &line)])?;
    }
    Ok(())
}

/// Prints a command as it is run, with whoever runs it before the prompt.
pub(super) fn command(who: &str, words: &[&str]) -> Result<(), CliError> {
    print::line("")?;
    let prompt = if who.is_empty() { "$ ".to_owned() } else { format!("{who} $ ") };
    let lines = shell_lines(words, WIDTH - TEXT_INDENT.len(), prompt.chars().count());
    for (number, line) in lines.iter().enumerate() {
        let lead = if number == 0 { prompt.as_str() } else { "    " };
        print::toned(&[(Tone::Plain, TEXT_INDENT), (Tone::Faint, lead), (Tone::Faint, line)])?;
    }
    Ok(())
}

/// Prints a command for others to run, in lines that a shell reads as one.
pub(super) fn to_copy(words: &[&str]) -> Result<(), CliError> {
    let lines = shell_lines(words, WIDTH - OUTPUT_INDENT.len(), 0);
    lines.iter().enumerate().try_for_each(|(number, line)| {
        let indent = if number == 0 { "" } else { "    " };
        print::line(&format!("{OUTPUT_INDENT}{indent}{line}"))
    })
}

/// Prints what a command said, unchanged but for its indentation.
pub(super) fn output(text: &str) -> Result<(), CliError> {
    text.trim_end().lines().try_for_each(output_line)
}

/// Prints what a command said, each line as far as there is room; what is cut off is marked.
pub(super) fn output_cut(text: &str) -> Result<(), CliError> {
    text.trim_end().lines().try_for_each(|line| output_line(&cut(line, WIDTH - OUTPUT_INDENT.len())))
}

/// Prints one line of what a command said; a long one goes on below itself, further in.
pub(super) fn output_line(line: &str) -> Result<(), CliError> {
    let tone = match line {
        "HIT" | "NO HIT" => Tone::Strong,
        _ if line.contains("REFUSED") => Tone::Bad,
        _ => Tone::Plain,
    };
    let lines = folded(line, WIDTH - OUTPUT_INDENT.len());
    lines.iter().try_for_each(|line| match line.as_str() {
        "" => print::line(""),
        line => print::toned(&[(Tone::Plain, OUTPUT_INDENT), (tone, line)]),
    })
}

/// Prints lines as they are, at the depth of a command's output.
pub(super) fn figures(lines: &[String]) -> Result<(), CliError> {
    print::line("")?;
    lines.iter().try_for_each(|line| print::line(format!("{OUTPUT_INDENT}{line}").trim_end()))
}

/// Prints how long a command took.
pub(super) fn took(took: Duration) -> Result<(), CliError> {
    print::toned(&[(Tone::Faint, &format!("{OUTPUT_INDENT}({})", seconds(took)))])
}

/// A duration that was measured, in the unit in which people would say it.
pub(super) fn seconds(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else if took < Duration::from_secs(100) {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}

/// A number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A word as a shell reads it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,@%+-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn paragraph(text: &str) -> Result<(), CliError> {
    wrapped(text, WIDTH - TEXT_INDENT.len())
        .iter()
        .try_for_each(|line| print::line(&format!("{TEXT_INDENT}{line}")))
}

/// Text in lines of at most `width` characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line in lines of at most `width` characters, where it can be broken: at single spaces, because several in a row
/// part columns, and before words that fit on the next line. What follows stands below the last column.
fn folded(line: &str, width: usize) -> Vec<String> {
    let column = last_column(line);
    let (mut lines, mut now) = (Vec::new(), String::new());
    for (place, word) in line.split_inclusive(' ').enumerate() {
        let length = word.trim_end().chars().count();
        let can_break = place > 0 && !now.ends_with("  ") && !now.trim().is_empty();
        if can_break && length > 0 && now.chars().count() + length > width && column + length <= width {
            lines.push(now.trim_end().to_owned());
            now = " ".repeat(column);
        }
        now.push_str(word);
    }
    lines.push(now.trim_end().to_owned());
    lines
}

/// Where the last column of a line begins.
fn last_column(line: &str) -> usize {
    let end = line.trim_end();
    end.rfind("  ").map_or(0, |at| end.chars().take(at).count() + 2)
}

/// A line of at most `width` characters.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

/// A command in lines that a shell reads as one; an option stays beside its value.
fn shell_lines(words: &[&str], width: usize, first_indent: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut after_option = false;
    for word in words {
        let option = word.starts_with("--");
        match parts.last_mut() {
            Some(part) if after_option && !option => {
                part.push(' ');
                part.push_str(&quoted(word));
            }
            _ => parts.push(quoted(word)),
        }
        after_option = option;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut indent = first_indent;
    for part in parts {
        match lines.last_mut() {
            // Two characters are kept for the backslash that may follow.
            Some(line) if indent + line.chars().count() + 1 + part.chars().count() + 2 <= width => {
                line.push(' ');
                line.push_str(&part);
            }
            Some(line) => {
                line.push_str(" \\");
                lines.push(part);
                indent = CONTINUED_INDENT;
            }
            None => lines.push(part),
        }
    }
    lines
}

/// What fits on the narrowest terminal and on a printed page.
const WIDTH: usize = 80;
const TEXT_INDENT: &str = "    ";
const OUTPUT_INDENT: &str = "      ";
const CONTINUED_INDENT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped_at_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible a", 5), ["incomprehensible", "a"]);
    }

    #[test]
    fn long_lines_are_folded_and_columns_kept() {
        assert_eq!(folded("  a  b", 10), ["  a  b"]);
        assert_eq!(folded("receipt  holds: entry 7", 16), ["receipt  holds:", "         entry 7"]);
        assert_eq!(folded("name  role  incomprehensible", 12), ["name  role  incomprehensible"]);
        assert_eq!(folded("all of it on lines", 10), ["all of it", "on lines"]);
        assert_eq!(folded("", 8), [""]);
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".into(), "ab\u{2026}".into()));
    }

    #[test]
    fn a_command_can_be_copied_to_a_shell() {
        let words = ["onebit", "query", "--case", "C 1", "--reason", "it's"];
        assert_eq!(shell_lines(&words, 80, 2), [r"onebit query --case 'C 1' --reason 'it'\''s'"]);
        assert_eq!(shell_lines(&words, 24, 2), ["onebit query \\", "--case 'C 1' \\", r"--reason 'it'\''s'"]);
    }

    #[test]
    fn figures_are_written_as_people_read_them() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(100_000)),
            ("0".into(), "999".into(), "100,000".into())
        );
        assert_eq!(seconds(Duration::from_millis(412)), "412 ms");
        assert_eq!(seconds(Duration::from_millis(2_449)), "2.4 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }
}
