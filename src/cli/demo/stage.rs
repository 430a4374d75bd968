//! Those who act, and the processes in which they do: each command is run as it is printed.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::page;
use crate::cli::fault::CliError;
use crate::cli::{files, print};
use crate::grpc::client::{ClientOptions, CredentialOptions};

/// Somebody who acts, with a certificate and a key of their own.
#[derive(Clone)]
pub(super) struct Actor {
    /// The name before the prompt, and of the file that a shell reads to act as them.
    pub(super) name: &'static str,
    /// What they are, in a word or two.
    pub(super) title: &'static str,
    /// The folder with `certificate.pem` and `key.pem`.
    pub(super) credentials: PathBuf,
    /// The key by which the receipts that they get are verified.
    pub(super) log_key: PathBuf,
}

/// Where the actors act.
pub(super) struct Stage {
    /// This executable.
    exe: PathBuf,
    server: String,
    ca: PathBuf,
    release_key: PathBuf,
}

impl Stage {
    /// A stage with this executable as the only prop.
    ///
    /// # Errors
    /// [`CliError`] when the system does not tell where this executable is.
    pub(super) fn new(server: String, ca: PathBuf, release_key: PathBuf) -> Result<Self, CliError> {
        Ok(Self { exe: own_exe()?, server, ca, release_key })
    }

    /// Runs a command as somebody, prints both and expects it to succeed.
    ///
    /// # Errors
    /// [`CliError`] when it can't be run, or fails.
    pub(super) fn play(&self, actor: &Actor, words: &[&str]) -> Result<Played, CliError> {
        run(self.command(actor, words), &actor.prompt(), words, Shown::All)?.succeeded()
    }

    /// The same, printing of its output only lines that begin with one of these; left-out ones are marked.
    ///
    /// # Errors
    /// As [`Stage::play`].
    pub(super) fn play_in_part(
        &self,
        actor: &Actor,
        words: &[&str],
        lines: &[&str],
    ) -> Result<Played, CliError> {
        run(self.command(actor, words), &actor.prompt(), words, Shown::Lines(lines))?.succeeded()
    }

    /// The same for a command that tells how far it has come while it runs.
    ///
    /// # Errors
    /// As [`Stage::play`].
    pub(super) fn play_watched(&self, actor: &Actor, words: &[&str]) -> Result<Played, CliError> {
        run(self.command(actor, words), &actor.prompt(), words, Shown::Watched)?.succeeded()
    }

    /// How somebody is connected, for calls that are timed in this process.
    pub(super) fn connection(&self, actor: &Actor) -> ClientOptions {
        ClientOptions {
            server: Some(self.server.clone()),
            credential: CredentialOptions {
                ca: Some(self.ca.clone()),
                cert: Some(actor.certificate()),
                key: Some(actor.key()),
                timeout: TIMEOUT_S,
                ..CredentialOptions::default()
            },
        }
    }

    /// Writes what a shell needs to act as somebody.
    ///
    /// # Errors
    /// [`CliError`] when it can't be written, or a path is not text.
    pub(super) fn write_acting(&self, folder: &Path, actor: &Actor) -> Result<PathBuf, CliError> {
        let mut text = format!("# Read by a shell (`. FILE`), this lets you act as {}.\n", actor.name);
        for (name, value) in self.variables(actor) {
            let path = std::path::absolute(&value).ok().filter(|_| name != SERVER);
            let value = path.map_or(value, PathBuf::into_os_string);
            text.push_str(&format!("export {name}={}\n", page::quoted(as_text(&value)?)));
        }
        let programs = self.exe.parent().unwrap_or(Path::new(".")).as_os_str();
        text.push_str(&format!("export PATH={}:\"$PATH\"\n", page::quoted(as_text(programs)?)));
        let path = folder.join(actor.name);
        files::write_private(&path, text.as_bytes())?;
        Ok(path)
    }

    fn command(&self, actor: &Actor, words: &[&str]) -> Command {
        let mut command = own_command(&self.exe, words);
        command.envs(self.variables(actor));
        command
    }

    fn variables(&self, actor: &Actor) -> [(&'static str, OsString); 6] {
        [
            (SERVER, OsString::from(&self.server)),
            ("ONEBIT_CA", self.ca.clone().into()),
            ("ONEBIT_CERT", actor.certificate().into()),
            ("ONEBIT_KEY", actor.key().into()),
            ("ONEBIT_LOG_KEY", actor.log_key.clone().into()),
            ("ONEBIT_RELEASE_KEY", self.release_key.clone().into()),
        ]
    }
}

impl Actor {
    /// Who they are, before the prompt.
    pub(super) fn prompt(&self) -> String {
        format!("{} ({})", self.name, self.title)
    }

    fn certificate(&self) -> PathBuf {
        self.credentials.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.credentials.join("key.pem")
    }
}

/// A command that was run.
pub(super) struct Played {
    command: String,
    /// What it said, on its output and beside it, in the order in which it was said.
    text: String,
    /// How long it took, from its start to its end.
    pub(super) took: Duration,
    status: ExitStatus,
}

impl Played {
    /// What stands behind a word at the beginning of a line, as in `query    queries/…`.
    ///
    /// # Errors
    /// [`CliError::Found`] when there is no such line.
    pub(super) fn value(&self, name: &str) -> Result<&str, CliError> {
        let behind = |line: &'_ str| -> Option<usize> {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(' ').then(|| line.len() - rest.trim_start().len())
        };
        self.text
            .lines()
            .find_map(|line| behind(line).and_then(|at| line.get(at..)))
            .map(str::trim_end)
            .ok_or_else(|| CliError::Found(format!("`{}` did not tell its `{name}`", self.command)))
    }

    /// Expects these words in what was said.
    ///
    /// # Errors
    /// [`CliError::Found`] when they are not there.
    pub(super) fn expect(&self, words: &str) -> Result<(), CliError> {
        if self.text.contains(words) {
            Ok(())
        } else {
            Err(CliError::Found(format!("`{}` should have said `{words}`", self.command)))
        }
    }

    /// Expects this line alone.
    ///
    /// # Errors
    /// [`CliError::Found`] when it is not there.
    pub(super) fn expect_line(&self, line: &str) -> Result<(), CliError> {
        if self.text.lines().any(|said| said == line) {
            Ok(())
        } else {
            Err(CliError::Found(format!("`{}` should have answered {line}", self.command)))
        }
    }

    /// Expects that it refused, with exit code 1.
    ///
    /// # Errors
    /// [`CliError::Found`] when it did anything else.
    pub(super) fn refused(self) -> Result<Self, CliError> {
        match self.status.code() {
            Some(REFUSED) => Ok(self),
            _ => Err(CliError::Found(format!(
                "`{}` should have refused, and ended with {}",
                self.command, self.status
            ))),
        }
    }

    /// Expects that it succeeded.
    ///
    /// # Errors
    /// [`CliError::Found`] when it did not.
    pub(super) fn succeeded(self) -> Result<Self, CliError> {
        if self.status.success() {
            Ok(self)
        } else {
            Err(CliError::Found(format!(
                "`{}` failed with {}; what it said stands above",
                self.command, self.status
            )))
        }
    }
}

/// Runs a command of this executable that needs no connection, and prints both.
///
/// # Errors
/// [`CliError`] when it can't be run.
pub(super) fn play_offline(words: &[&str]) -> Result<Played, CliError> {
    run(own_command(&own_exe()?, words), "", words, Shown::All)
}

/// The same, printing of its output only paragraphs that begin with one of these; left-out ones are marked.
///
/// # Errors
/// [`CliError`] when it can't be run.
pub(super) fn play_offline_in_part(words: &[&str], paragraphs: &[&str]) -> Result<Played, CliError> {
    run(own_command(&own_exe()?, words), "", words, Shown::Paragraphs(paragraphs))
}

/// Runs another program that stands beside this one, and prints both; its first word is its name.
///
/// # Errors
/// [`CliError`] when it can't be run.
pub(super) fn play_other(program: &Path, words: &[&str]) -> Result<Played, CliError> {
    let mut command = Command::new(program);
    command.args(words.iter().skip(1));
    run(command, "", words, Shown::All)
}

/// The program of this name beside this executable, if there is one.
pub(super) fn beside(name: &str) -> Option<PathBuf> {
    let path = own_exe().ok()?.with_file_name(name);
    path.is_file().then_some(path)
}

/// This executable.
///
/// # Errors
/// [`CliError`] when the system does not tell.
pub(super) fn own_exe() -> Result<PathBuf, CliError> {
    env::current_exe()
        .map_err(|error| CliError::because("the system does not tell where this executable is", error))
}

/// A command of this executable, in an environment that holds nothing of ours.
pub(super) fn own_command(exe: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(exe);
    command.args(words.iter().skip(1));
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(OURS) {
            command.env_remove(name);
        }
    }
    command
}

/// The text of a path.
///
/// # Errors
/// [`CliError::Usage`] when it is not UTF-8.
pub(super) fn as_text(path: &OsStr) -> Result<&str, CliError> {
    path.to_str()
        .ok_or_else(|| CliError::Usage(format!("`{}` is not UTF-8; name another folder", path.display())))
}

/// How much of what a command says is printed.
#[derive(Clone, Copy)]
enum Shown<'a> {
    /// All of it.
    All,
    /// All of it, and its progress where somebody watches.
    Watched,
    /// Lines that begin with one of these.
    Lines(&'a [&'a str]),
    /// Paragraphs that begin with one of these, each line as far as there is room.
    Paragraphs(&'a [&'a str]),
}

/// Runs a command, and prints it and what it says while it says it.
fn run(mut command: Command, who: &str, words: &[&str], shown: Shown<'_>) -> Result<Played, CliError> {
    let failed = |error| CliError::because(format!("`{}` can't be run", named(words)), error);
    page::command(who, words)?;
    let (said, says) = io::pipe().map_err(failed)?;
    let beside = match shown {
        // The bar draws itself on the terminal.
        Shown::Watched if print::is_watched() => Stdio::inherit(),
        _ => says.try_clone().map_err(failed)?.into(),
    };
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(says).stderr(beside).spawn().map_err(failed)?;
    // The command holds the writing ends, without which the reading one would never end.
    drop(command);
    let mut text = String::new();
    for line in BufReader::new(said).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
        if matches!(shown, Shown::All | Shown::Watched) {
            page::output_line(&line)?;
        }
        text.push_str(&line);
        text.push('\n');
    }
    let status = child.wait().map_err(failed)?;
    let took = start.elapsed();
    match shown {
        Shown::All | Shown::Watched => {}
        // Who wants to know why it failed wants to see all of it.
        _ if !status.success() => page::output(&text)?,
        Shown::Lines(starts) => page::output(&in_part(text.lines(), "\n", starts))?,
        Shown::Paragraphs(starts) => page::output_cut(&in_part(text.split("\n\n"), "\n\n", starts))?,
    }
    Ok(Played { command: named(words), text, took, status })
}

/// The pieces that begin with one of these, and an ellipsis where others stood.
fn in_part<'t>(pieces: impl Iterator<Item = &'t str>, between: &str, starts: &[&str]) -> String {
    let mut out: Vec<&str> = Vec::new();
    for piece in pieces {
        if starts.iter().any(|start| piece.starts_with(start)) {
            out.push(piece);
        } else if out.last() != Some(&LEFT_OUT) {
            out.push(LEFT_OUT);
        }
    }
    out.join(between)
}

fn named(words: &[&str]) -> String {
    words.iter().take_while(|word| !word.starts_with("--")).copied().collect::<Vec<_>>().join(" ")
}

const LEFT_OUT: &str = "…";
const SERVER: &str = "ONEBIT_SERVER";
const OURS: &[u8] = b"ONEBIT_";
const REFUSED: i32 = 1;
/// Longer than any call of the story takes on a slow machine.
const TIMEOUT_S: u64 = 30;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn played(text: &str, code: i32) -> Played {
        Played {
            command: "onebit query".to_owned(),
            text: text.to_owned(),
            took: Duration::ZERO,
            status: ExitStatus::from_raw(code << 8),
        }
    }

    #[test]
    fn values_are_taken_from_the_line_that_names_them() {
        let played = played("HIT\n\nquery    queries/ab\nquery-log  x\nreceipt  holds: entry 7\n", 0);
        assert_eq!(played.value("query").unwrap(), "queries/ab");
        assert_eq!(played.value("receipt").unwrap(), "holds: entry 7");
        assert!(played.value("request").is_err());
        assert!(played.expect_line("HIT").is_ok() && played.expect_line("NO HIT").is_err());
    }

    #[test]
    fn a_refusal_is_one_only_with_its_exit_code() {
        assert!(played("", 1).refused().is_ok() && played("", 0).succeeded().is_ok());
        for code in [0, 2] {
            assert!(played("", code).refused().is_err(), "exit code {code} is no refusal");
        }
        assert!(played("", 1).succeeded().is_err());
    }

    #[test]
    fn lines_that_are_left_out_are_marked() {
        let text = "0  now  query.answered\n  case  C\n  purpose  p\n  official  o\n  outcome  HIT\n";
        assert_eq!(in_part(text.lines(), "\n", &["  case", "  outcome"]), "…\n  case  C\n…\n  outcome  HIT");
    }
}
