//! `onebit-verify`: checks an exported journal or a receipt offline, with nothing but the verifier key.
//!
//! Built from the log's formats alone, so that whoever doubts the holder needs little code of his.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use onebit::audit::cosignature::{WitnessKey, cosigners};
use onebit::audit::entry::Side;
use onebit::audit::event::Event;
use onebit::audit::handover::{HandOver, HandOverError, KeyChain};
use onebit::audit::journal::{ExportFiles, Fault, verify_export, verify_growth};
use onebit::audit::note::{NOTE_MAX_BYTES, NoteError, VerifierKey};
use onebit::audit::receipt::{RECEIPT_MAX_BYTES, Receipt};

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let end = Task::parse(std::env::args_os().skip(1)).and_then(|task| run(&task, &mut out));
    // Who closed the output early doesn't want to read more; the verdict stays in the exit code.
    let (_, code) = match end {
        Ok(()) => (Ok(()), OK),
        Err(Stop::Refused(why)) => (writeln!(out, "REFUSED: {}", shown(&why)), REFUSED),
        Err(Stop::Usage(why)) => (writeln!(io::stderr(), "onebit-verify: {why}\n\n{USAGE}"), UNUSABLE),
        Err(Stop::Unreadable(why)) => (writeln!(io::stderr(), "onebit-verify: {}", shown(&why)), UNUSABLE),
    };
    let _ = out.flush();
    ExitCode::from(code)
}

/// Why there is no good end.
enum Stop {
    /// What was to be verified is not what it should be.
    Refused(String),
    /// The arguments make no sense.
    Usage(String),
    /// Something could not be read, so that nothing can be said about it.
    Unreadable(String),
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Journal { folder: PathBuf, key: String, since: Option<PathBuf>, others: Others, show: Show },
    Receipt { file: PathBuf, key: String, handover: Option<PathBuf>, quorum: Quorum, show: Show },
    HandOver { file: PathBuf, key: String },
    Help,
    Version,
}

/// Whose cosignatures a checkpoint must have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Quorum {
    witnesses: Vec<String>,
    /// How many of them; all without.
    needed: Option<usize>,
}

/// Whether keys that hand-overs lead to are trusted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Others {
    #[default]
    Followed,
    Refused,
}

/// Whether the events are shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Show {
    Events,
    #[default]
    Verdict,
}

impl Task {
    fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, Stop> {
        let mut args = args.map(|arg| {
            arg.into_string().map_err(|arg| Stop::Usage(format!("`{}` is not text", arg.to_string_lossy())))
        });
        let command = args.next().transpose()?;
        let command = match command.as_deref() {
            Some("-h" | "--help" | "help") => return Ok(Self::Help),
            Some("-V" | "--version") => return Ok(Self::Version),
            Some(command @ ("journal" | "receipt" | "handover")) => command,
            Some(other) => {
                return Err(usage(&format!(
                    "`{other}` is no command; use `journal`, `receipt` or `handover`"
                )));
            }
            None => return Err(usage("say what to verify: `journal`, `receipt` or `handover`")),
        };
        let mut given = Given::default();
        while let Some(arg) = args.next().transpose()? {
            let (option, joined) = match arg.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            let mut value = || {
                let next = joined.clone().map_or_else(|| args.next().transpose(), |value| Ok(Some(value)));
                next?.ok_or_else(|| usage(&format!("`{option}` needs a value")))
            };
            let slot = match option {
                "-h" | "--help" => return Ok(Self::Help),
                "--show" if joined.is_none() && command != "handover" => {
                    given.show = Show::Events;
                    continue;
                }
                "--no-handover" if joined.is_none() && command == "journal" => {
                    given.others = Others::Refused;
                    continue;
                }
                "--key" => (&mut given.key, value()?),
                "--since" if command == "journal" => (&mut given.since, value()?),
                "--handover" if command == "receipt" => (&mut given.handover, value()?),
                "--witness" if command == "receipt" => {
                    given.witnesses.push(value()?);
                    continue;
                }
                "--quorum" if command == "receipt" => (&mut given.needed, value()?),
                option if option.starts_with('-') => {
                    return Err(usage(&format!("`{arg}` is no option of `{command}`")));
                }
                _ => (&mut given.path, arg.clone()),
            };
            if slot.0.replace(slot.1).is_some() {
                return Err(usage(&format!("`{arg}` is one too many; give each thing once")));
            }
        }
        given.task(command)
    }
}

/// What the arguments gave.
#[derive(Default)]
struct Given {
    path: Option<String>,
    key: Option<String>,
    since: Option<String>,
    handover: Option<String>,
    witnesses: Vec<String>,
    needed: Option<String>,
    others: Others,
    show: Show,
}

impl Given {
    fn task(self, command: &str) -> Result<Task, Stop> {
        let Self { path, key, since, handover, witnesses, needed, others, show } = self;
        let key = key.ok_or_else(|| {
            usage("`--key` is missing; nothing in an export or a receipt is trusted without it")
        })?;
        match (command, path) {
            ("journal", Some(folder)) => {
                Ok(Task::Journal { folder: folder.into(), key, since: since.map(Into::into), others, show })
            }
            ("handover", Some(file)) => Ok(Task::HandOver { file: file.into(), key }),
            (_, Some(file)) => {
                let quorum = Quorum::parse(witnesses, needed.as_deref())?;
                let handover = handover.map(Into::into);
                Ok(Task::Receipt { file: file.into(), key, handover, quorum, show })
            }
            ("journal", None) => Err(usage("say which folder holds the export")),
            ("handover", None) => Err(usage("say which file holds the hand-over")),
            (_, None) => Err(usage("say which file holds the receipt")),
        }
    }
}

impl Quorum {
    fn parse(witnesses: Vec<String>, needed: Option<&str>) -> Result<Self, Stop> {
        let needed = needed.map(|number| {
            let number = number.parse().ok().filter(|number| (1..=witnesses.len()).contains(number));
            number.ok_or_else(|| usage("`--quorum` is a number from 1 to that of the witnesses given"))
        });
        Ok(Self { needed: needed.transpose()?, witnesses })
    }

    /// Checks a note that holds, and says who cosigned it.
    fn check(&self, note: &str, out: &mut dyn Write) -> Result<(), Stop> {
        if self.witnesses.is_empty() {
            return Ok(());
        }
        let keys = self.witnesses.iter().map(|text| read_key::<WitnessKey>("--witness", text));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let names = cosigners(note, &keys).map_err(|error| Stop::Refused(chain(&error)))?;
        let needed = self.needed.unwrap_or(keys.len());
        if names.len() < needed {
            return Err(Stop::Refused(format!(
                "{} of the witnesses that you named cosigned its checkpoint, and {needed} are needed",
                names.len()
            )));
        }
        say(out, &format!("its checkpoint is cosigned by {}", names.join(", ")));
        Ok(())
    }
}

fn run(task: &Task, out: &mut dyn Write) -> Result<(), Stop> {
    match task {
        Task::Help => say(out, &format!("{ABOUT}\n\n{USAGE}")),
        Task::Version => say(out, concat!("onebit-verify ", env!("CARGO_PKG_VERSION"))),
        Task::Journal { folder, key, since, others, show } => {
            let older = since.as_deref().map(read_checkpoint).transpose()?;
            return journal(folder, &read_key("--key", key)?, older.as_deref(), (*others, *show), out);
        }
        Task::Receipt { file, key, handover, quorum, show } => {
            let keys = chain_of(&read_key("--key", key)?, handover.as_deref())?;
            return receipt(file, &keys, quorum, *show, out);
        }
        Task::HandOver { file, key } => {
            return handover(&chain_of(&read_key("--key", key)?, Some(file))?, out);
        }
    }
    Ok(())
}

fn journal(
    folder: &Path,
    key: &VerifierKey,
    older: Option<&str>,
    (others, show): (Others, Show),
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let files = Folder::open(folder)?;
    let mut progress = Progress::new();
    let mut seen = |index: u64, side: Side, event: &Event| {
        if show == Show::Events {
            show_event(out, &format!("entry {index}, {}", side_name(side)), event);
        }
    };
    let verified = verify_export(&files, key, &mut |done, total| progress.show(done, total), &mut seen);
    progress.clear();
    let report = verified.map_err(|fault| stop(&fault, show))?;
    if let (Others::Refused, Some(change)) = (others, report.keys.followed().first()) {
        return Err(Stop::Refused(format!(
            "the log's key changed at entry {}, and with `--no-handover` no other than the one you gave is trusted",
            change.index
        )));
    }
    let older = older.map(|note| report.keys.open(note)).transpose();
    let older = older.map_err(|error| Stop::Refused(format!("the older checkpoint: {}", chain(&error))))?;
    let growth = older.as_ref().map(|older| verify_growth(&files, &report, older)).transpose();
    growth.map_err(|fault| stop(&fault, Show::Verdict))?;
    say(out, &format!("the journal is whole: {} entries, root {}", grouped(report.size), report.root));
    say(out, &format!("it is `{}`; {} of its entries were opened", report.origin, grouped(report.opened)));
    say_followed(&report.keys, out);
    if let Some(older) = older {
        say(out, &format!("its first {} entries are those of the older checkpoint", grouped(older.size)));
    }
    Ok(())
}

fn receipt(
    file: &Path,
    keys: &KeyChain,
    quorum: &Quorum,
    show: Show,
    out: &mut dyn Write,
) -> Result<(), Stop> {
    let text = text(file, read_limited(file, RECEIPT_MAX_BYTES)?)?;
    let receipt = Receipt::parse(&text).map_err(|error| Stop::Refused(chain(&error)))?;
    let verified = keys.verify(&receipt).map_err(|error| Stop::Refused(chain(&error)))?;
    quorum.check(&receipt.checkpoint, out)?;
    let key = keys.newest();
    let (index, size) = (grouped(verified.index), grouped(verified.size));
    say(out, &format!("the receipt holds: entry {index} of {size} in `{}`", key.name()));
    match (&verified.event, show) {
        (Some(event), Show::Events) => show_event(out, &format!("entry {index}"), event),
        (Some(event), Show::Verdict) => {
            say(out, &format!("it says `{}`; see the rest with `--show`", event.kind));
        }
        (None, _) => say(out, "it does not say what the entry states"),
    }
    Ok(())
}

fn handover(keys: &KeyChain, out: &mut dyn Write) -> Result<(), Stop> {
    match keys.followed() {
        [] => say(out, "the hand-over holds, and the key that you gave is its new one"),
        _ => say_followed(keys, out),
    }
    Ok(())
}

/// The keys that are trusted on the word of a hand-over: what the reader has to know.
fn say_followed(keys: &KeyChain, out: &mut dyn Write) {
    for change in keys.followed() {
        let (index, size) = (grouped(change.index), grouped(change.size));
        say(
            out,
            &format!("the log's key changed at entry {index}: both keys signed the head of {size} entries"),
        );
        say(out, &format!("from there on it is signed by {}", change.new));
        say(out, "compare that key with what the holder tells you on another way");
    }
}

/// The keys that a hand-over leads to; without one, the key that was given.
fn chain_of(key: &VerifierKey, file: Option<&Path>) -> Result<KeyChain, Stop> {
    let refused = |error: HandOverError| Stop::Refused(format!("the hand-over: {}", chain(&error)));
    let change = match file {
        Some(file) => {
            let text = text(file, read_limited(file, RECEIPT_MAX_BYTES)?)?;
            Some(HandOver::parse(&text, key.name()).map_err(refused)?)
        }
        None => None,
    };
    KeyChain::new(key, change.into_iter().collect()).map_err(refused)
}

/// A key, given as its text or as a file that holds it.
fn read_key<K: FromStr<Err = NoteError>>(option: &str, key: &str) -> Result<K, Stop> {
    if let Ok(key) = key.parse() {
        return Ok(key);
    }
    let file = Path::new(key);
    let bytes = read_limited(file, NOTE_MAX_BYTES).map_err(|stop| match stop {
        Stop::Unreadable(why) => {
            Stop::Unreadable(format!("`{option}` is neither a verifier key nor a file with one: {why}"))
        }
        stop => stop,
    })?;
    let text = String::from_utf8_lossy(&bytes);
    text.trim().parse().map_err(|error| Stop::Unreadable(format!("`{key}`: {}", chain(&error))))
}

fn read_checkpoint(file: &Path) -> Result<String, Stop> {
    text(file, read_limited(file, NOTE_MAX_BYTES)?)
}

fn text(file: &Path, bytes: Vec<u8>) -> Result<String, Stop> {
    String::from_utf8(bytes).map_err(|_| Stop::Refused(format!("`{}` is not text", file.display())))
}

fn read_limited(file: &Path, max_bytes: usize) -> Result<Vec<u8>, Stop> {
    let unreadable =
        |error: FolderError| Stop::Unreadable(format!("read `{}`: {}", file.display(), chain(&error)));
    read_file(file, max_bytes).map_err(unreadable)
}

/// Why a file of an export could not be read.
#[derive(Debug, thiserror::Error)]
enum FolderError {
    #[error("it leads out of the folder; replace links by what they lead to")]
    Outside,
    #[error("it is no file")]
    Kind,
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    #[error("the system refused it")]
    System(#[from] io::Error),
}

/// An export in a folder. Nothing outside is read, whatever names and links say.
struct Folder {
    root: PathBuf,
}

impl Folder {
    fn open(folder: &Path) -> Result<Self, Stop> {
        let unreadable =
            |error: &dyn Error| Stop::Unreadable(format!("read `{}`: {error}", folder.display()));
        let root = folder.canonicalize().map_err(|error| unreadable(&error))?;
        if root.is_dir() {
            Ok(Self { root })
        } else {
            Err(unreadable(&io::Error::from(ErrorKind::NotADirectory)))
        }
    }
}

impl ExportFiles for Folder {
    type Error = FolderError;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FolderError> {
        let is_plain =
            |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
        if !path.split('/').all(is_plain) {
            return Err(FolderError::Outside);
        }
        let file = match self.root.join(path).canonicalize() {
            Ok(file) if file.starts_with(&self.root) => file,
            Ok(_) => return Err(FolderError::Outside),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        read_file(&file, FILE_MAX_BYTES).map(Some)
    }

    fn paths(&self, visit: &mut dyn FnMut(&str)) -> Result<(), FolderError> {
        let mut folders = vec![(self.root.clone(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
                // A link to a folder counts as a file, which then doesn't belong to the export.
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), format!("{path}/")));
                } else {
                    visit(&path);
                }
            }
        }
        Ok(())
    }
}

fn read_file(file: &Path, max_bytes: usize) -> Result<Vec<u8>, FolderError> {
    // Asked before it is opened, because opening a pipe waits.
    if !fs::metadata(file)?.is_file() {
        return Err(FolderError::Kind);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes { Err(FolderError::TooLong(max_bytes)) } else { Ok(bytes) }
}

/// How far it is, on a terminal only.
struct Progress {
    terminal: bool,
    percent: Option<u64>,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), percent: None }
    }

    fn show(&mut self, done: u64, total: u64) {
        let percent = Some(done.saturating_mul(100) / total.max(1));
        if self.terminal && percent != self.percent {
            self.percent = percent;
            let _ = write!(io::stderr(), "\rverified {} of {} entries", grouped(done), grouped(total));
        }
    }

    fn clear(&mut self) {
        if self.percent.take().is_some() {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn show_event(out: &mut dyn Write, title: &str, event: &Event) {
    let head =
        [("kind", event.kind.to_string()), ("at", event.at.to_string()), ("actor", event.actor.clone())];
    say(out, title);
    for (name, value) in head.into_iter().chain(event.render()) {
        say(out, &format!("  {name:<18} {}", shown(&value)));
    }
}

fn stop<E: Error + 'static>(fault: &Fault<E>, show: Show) -> Stop {
    match (fault, show) {
        (Fault::Unreadable { .. }, _) => Stop::Unreadable(chain(fault)),
        (_, Show::Verdict) => Stop::Refused(chain(fault)),
        (_, Show::Events) => Stop::Refused(chain(fault) + "; don't rely on what was shown above"),
    }
}

/// An error with everything that led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Text in which nothing can pass for another line or turn the direction of reading.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (digit, left) in digits.chars().zip((0..digits.len()).rev()) {
        grouped.push(digit);
        if left > 0 && left % 3 == 0 {
            grouped.push(',');
        }
    }
    grouped
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Partner => "partner's side",
        Side::Holder => "holder's side",
    }
}

fn say(out: &mut dyn Write, line: &str) {
    // A closed output must not keep the verdict from the exit code.
    let _ = writeln!(out, "{line}");
}

fn usage(why: &str) -> Stop {
    Stop::Usage(why.to_owned())
}

const OK: u8 = 0;
const REFUSED: u8 = 1;
const UNUSABLE: u8 = 2;
/// 256 entries with two openings of the largest payload have 32 MiB and a little; twice that.
const FILE_MAX_BYTES: usize = 64 * 1_024 * 1_024;
const ABOUT: &str =
    "Checks a journal of Onebit or a receipt offline. docs/audit-log.md says what is checked.";
const USAGE: &str = "\
usage: onebit-verify journal DIR --key KEY [--since CHECKPOINT] [--no-handover] [--show]
       onebit-verify receipt FILE --key KEY [--handover FILE]
                     [--witness KEY ... [--quorum K]] [--show]
       onebit-verify handover FILE --key KEY

  --key KEY           the verifier key of the journal, or a file that holds it; get it from
                      the holder on another way than the export or the receipt
  --since CHECKPOINT  a checkpoint that you kept: its entries must be the journal's first ones
  --no-handover       trust no other key, even if a hand-over in the export leads to it: for
                      when the key you hold was stolen
  --handover FILE     a hand-over (`handover/0` of an export) from or to the key you hold
  --witness KEY       the verifier key of a witness, or a file that holds it; may be given
                      several times. K of them (all without --quorum) must have cosigned
                      the receipt's checkpoint
  --show              print what opened entries say
  --help, --version

exit code: 0 it holds, 1 it is refused, 2 the arguments are wrong or something can't be read";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Task, String> {
        Task::parse(args.iter().map(OsString::from)).map_err(|stop| match stop {
            Stop::Usage(why) => why,
            Stop::Refused(_) | Stop::Unreadable(_) => "not a matter of usage".to_owned(),
        })
    }

    #[test]
    fn arguments_are_understood_in_any_order() {
        let journal = Task::Journal {
            folder: "d".into(),
            key: "k".to_owned(),
            since: Some("c".into()),
            others: Others::Followed,
            show: Show::Events,
        };
        assert_eq!(parse(&["journal", "d", "--key", "k", "--since", "c", "--show"]).unwrap(), journal);
        assert_eq!(parse(&["journal", "--show", "--since=c", "--key=k", "d"]).unwrap(), journal);
        let receipt = |handover: Option<&str>, quorum| Task::Receipt {
            file: "r".into(),
            key: "a=b".to_owned(),
            handover: handover.map(Into::into),
            quorum,
            show: Show::Verdict,
        };
        assert_eq!(parse(&["receipt", "r", "--key=a=b"]).unwrap(), receipt(None, Quorum::default()));
        let two = || Quorum { witnesses: vec!["v".to_owned(), "w".to_owned()], needed: Some(1) };
        let args = ["receipt", "--witness", "v", "r", "--quorum=1", "--key=a=b", "--witness=w"];
        assert_eq!(parse(&args).unwrap(), receipt(None, two()));
        let args = [&args[..], &["--handover", "h"]].concat();
        assert_eq!(parse(&args).unwrap(), receipt(Some("h"), two()));
        let strict = parse(&["journal", "d", "--key=k", "--no-handover"]).unwrap();
        assert!(matches!(strict, Task::Journal { others: Others::Refused, .. }));
        let learned = Task::HandOver { file: "h".into(), key: "k".to_owned() };
        assert_eq!(parse(&["handover", "h", "--key", "k"]).unwrap(), learned);
        assert_eq!(parse(&["--help"]).unwrap(), Task::Help);
        assert_eq!(parse(&["journal", "--help"]).unwrap(), Task::Help);
        assert_eq!(parse(&["--version"]).unwrap(), Task::Version);
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused_with_a_reason() {
        for (args, why) in [
            (&[][..], "say what to verify"),
            (&["verify"], "`verify` is no command"),
            (&["journal", "--key", "k"], "say which folder"),
            (&["receipt", "--key", "k"], "say which file"),
            (&["journal", "d"], "`--key` is missing"),
            (&["journal", "d", "--key"], "`--key` needs a value"),
            (&["journal", "d", "--key", "k", "--key", "k"], "`--key` is one too many"),
            (&["journal", "d", "e", "--key", "k"], "`e` is one too many"),
            (&["journal", "d", "--kee", "k"], "`--kee` is no option of `journal`"),
            (&["receipt", "r", "--key", "k", "--since", "c"], "`--since` is no option of `receipt`"),
            (&["receipt", "r", "--key", "k", "--quorum", "1"], "`--quorum` is a number from 1"),
            (
                &["receipt", "r", "--key", "k", "--witness", "w", "--quorum", "2"],
                "`--quorum` is a number from 1",
            ),
            (&["journal", "d", "--key", "k", "--witness", "w"], "`--witness` is no option of `journal`"),
            (&["receipt", "r", "--key", "k", "--no-handover"], "`--no-handover` is no option of `receipt`"),
            (&["handover", "h", "--key", "k", "--show"], "`--show` is no option of `handover`"),
            (&["handover", "--key", "k"], "say which file holds the hand-over"),
            (&["handover", "h", "--key", "k", "--witness", "w"], "`--witness` is no option of `handover`"),
            (&["journal", "d", "--key", "k", "--handover", "h"], "`--handover` is no option of `journal`"),
            (&["receipt", "r", "--key", "k", "--show=no"], "`--show=no` is no option of `receipt`"),
        ] {
            let refusal = parse(args).unwrap_err();
            assert!(refusal.starts_with(why), "{args:?} was refused with: {refusal}");
        }
    }

    #[test]
    fn numbers_and_texts_are_shown_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(shown("é a\n\u{202e}b\u{1b}"), "é a\\u{a}\\u{202e}b\\u{1b}");
    }

    #[test]
    fn a_folder_gives_nothing_from_outside() {
        let folder = Folder { root: std::env::temp_dir().canonicalize().unwrap() };
        for path in ["../x", "a/../x", "/etc/passwd", "a//b", "./a", "a\\b", "", "c:x"] {
            assert!(matches!(folder.read(path), Err(FolderError::Outside)), "`{path}` was followed");
        }
        assert!(folder.read("no-such-file-of-onebit").unwrap().is_none());
    }
}
