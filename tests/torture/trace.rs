//! Running the driver under `strace`, and reading what it wrote: the system calls that change a disk, in order.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::driver::{ACKS, Ack, Work};

/// What happened to the files of a folder, by names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A file of this name was opened to be made if it was not there; `Fresh` empties it.
    Made(String, Opened),
    /// A folder was made.
    Folder(String),
    Write(String, u64, Arc<[u8]>),
    Truncate(String, u64),
    Rename(String, String),
    Unlink(String),
    /// A synchronisation began; the number finds its end.
    SyncBegun(String, usize),
    /// It ended: what was written before its beginning is durable, or was not written after all.
    SyncEnded(String, usize, Synced),
    Acked(Ack),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    AsItIs,
    Fresh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synced {
    Durable,
    Failed,
}

/// Why nothing can be traced here; `None` when it can.
pub(crate) fn cannot_trace() -> Option<String> {
    match Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
    {
        Ok(status) if status.success() => None,
        Ok(_) => Some("ptrace is not permitted here".to_owned()),
        Err(error) => Some(format!("`strace` can't be run: {error}")),
    }
}

/// A fault that `strace` puts into a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The call.
    pub(crate) call: &'static str,
    /// `error=EIO`, or `signal=KILL`.
    pub(crate) what: &'static str,
    /// At which of a thread's calls.
    pub(crate) when: u32,
}

impl Fault {
    /// Whether it ends the driver, where the others fail a call.
    pub(crate) fn is_kill(&self) -> bool {
        self.what.starts_with("signal=")
    }
}

/// How much of what is written a trace keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strings {
    /// All: what a disk is rebuilt from.
    Whole,
    /// Names, and lines as short as an acknowledgement.
    Short,
}

impl Strings {
    const fn bytes(self) -> &'static str {
        match self {
            // More than the longest write: the file of heads is made by one of 2 MiB.
            Self::Whole => "4194304",
            Self::Short => "200",
        }
    }
}

/// What a driver under `strace` did.
pub(crate) struct Traced {
    /// The lines of the trace.
    pub(crate) text: String,
    pub(crate) exit: Option<i32>,
    /// What it said of its own end.
    pub(crate) said: String,
}

/// Runs the driver under `strace` to its end, or to a fault's.
pub(crate) fn record(work: &Work, fault: Option<&Fault>, strings: Strings) -> Traced {
    // Beside the folder, so that it is not taken for a part of it.
    let trace = work.folder.with_extension("trace");
    // A driver that hangs is ended, and its exit says so.
    let mut command = Command::new("timeout");
    command
        .args([PATIENCE_SECONDS, "strace", "-f", "-y", "-xx", "-s", strings.bytes(), "-e", TRACED, "-o"])
        .arg(&trace);
    if !fault.is_some_and(Fault::is_kill) {
        // Only calls that are traced stop the driver then. Signals are never delivered that way.
        command.arg("--seccomp-bpf");
    }
    if let Some(fault) = fault {
        command.arg("-e").arg(format!("inject={}:{}:when={}", fault.call, fault.what, fault.when));
        if fault.call == "write" {
            // The runtime and the acknowledgements are written to by this call, too; of the store's, only this.
            command.arg("-P").arg(work.folder.join(crate::driver::HEADS).join("heads.new"));
        }
    }
    command.arg(std::env::current_exe().expect("this executable")).args(work.args());
    let output = command.stdin(Stdio::null()).output().expect("strace runs");
    let text = fs::read_to_string(&trace).expect("a trace");
    fs::remove_file(&trace).expect("the trace can be removed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let exit = output.status.code();
    assert!(fault.is_some() || exit == Some(0), "a driver without any fault ended with {exit:?}: {said}");
    Traced { text, exit, said }
}

/// Reads a trace: what happened below `folder`.
///
/// Panics when something happened that the model of the disk knows nothing of.
pub(crate) fn read(text: &str, folder: &Path, strings: Strings) -> Vec<Event> {
    let mut reader = Reader { folder: folder.to_owned(), strings, places: HashMap::new() };
    let mut events: Vec<(usize, Event)> = Vec::new();
    // What a thread has begun: the line it began at, and its text so far.
    let mut begun: HashMap<&str, (usize, String)> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (at, start.to_owned()));
        } else if let Some((_, end)) =
            rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let Some((from, start)) = begun.remove(thread) else { continue };
            events.extend(reader.call(&format!("{start}{end}"), from, at));
        } else {
            events.extend(reader.call(rest, at, at));
        }
    }
    for (_, (at, start)) in begun {
        // A call that a kill cut short: it may have happened.
        let start = start.trim_end().trim_end_matches("= ?").trim_end().trim_end_matches(')');
        events.extend(reader.call(&format!("{start}) = ?"), at, at));
    }
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(_, event)| event).collect()
}

struct Reader {
    folder: PathBuf,
    strings: Strings,
    /// Where the next write of a file that is written in order goes.
    places: HashMap<String, u64>,
}

impl Reader {
    /// The events of a call that began and ended at these lines.
    fn call(&mut self, text: &str, from: usize, to: usize) -> Vec<(usize, Event)> {
        let Some((name, rest)) = text.split_once('(') else { return Vec::new() };
        // Names and bytes are in hex, so that nothing else looks like this.
        let Some((args, result)) = rest.rsplit_once(" = ") else { return Vec::new() };
        let Some(args) = args.trim_end().strip_suffix(')') else { return Vec::new() };
        let args: Vec<&str> = args.split(", ").collect();
        let has_failed = result.starts_with('-');
        match name {
            "fsync" | "fdatasync" => {
                let Some(file) = self.file_of(args[0]) else { return Vec::new() };
                let end = if has_failed { Synced::Failed } else { Synced::Durable };
                let mut events = vec![(from, Event::SyncBegun(file.clone(), from))];
                if !result.starts_with('?') {
                    events.push((to, Event::SyncEnded(file, from, end)));
                }
                events
            }
            _ if has_failed => Vec::new(),
            "mmap" => {
                self.refuse_shared(&args);
                Vec::new()
            }
            // Known by its name from its end on; what is written began before another may hear of it.
            "openat" | "creat" => {
                self.opened(name, &args, result).map(|event| (to, event)).into_iter().collect()
            }
            _ => self.changed(name, &args).map(|event| (from, event)).into_iter().collect(),
        }
    }

    fn opened(&mut self, name: &str, args: &[&str], result: &str) -> Option<Event> {
        let flags = if name == "creat" { "O_CREAT|O_TRUNC" } else { *args.get(2)? };
        let file = self.file_of(result)?;
        self.places.insert(result.split_once('>')?.0.to_owned(), 0);
        if !flags.contains("O_CREAT") {
            return None;
        }
        let how = if flags.contains("O_TRUNC") { Opened::Fresh } else { Opened::AsItIs };
        (file != ACKS).then_some(Event::Made(file, how))
    }

    fn changed(&mut self, name: &str, args: &[&str]) -> Option<Event> {
        match name {
            "write" => {
                let (file, bytes) = (self.file_of(args[0])?, self.bytes_of(args[1]));
                if file == ACKS {
                    return Ack::parse(&String::from_utf8(bytes).expect("a line")).map(Event::Acked);
                }
                let place = self.places.get_mut(args[0].trim_end_matches('>'));
                let place = place.unwrap_or_else(|| panic!("`{file}` is written to and was never opened"));
                let at = *place;
                *place += u64::try_from(bytes.len()).expect("a length");
                Some(Event::Write(file, at, bytes.into()))
            }
            "pwrite64" => {
                let file = self.file_of(args[0])?;
                Some(Event::Write(
                    file,
                    args[3].parse().unwrap_or_else(|_| panic!("no offset in {args:?}")),
                    self.bytes_of(args[1]).into(),
                ))
            }
            "ftruncate" => Some(Event::Truncate(self.file_of(args[0])?, args[1].parse().expect("a length"))),
            "rename" => Some(Event::Rename(self.name_of(args[0])?, self.name_of(args[1])?)),
            "unlink" => Some(Event::Unlink(self.name_of(args[0])?)),
            "mkdir" => Some(Event::Folder(self.name_of(args[0])?)),
            "close" => None,
            other => {
                let is_ours =
                    args.iter().any(|arg| self.file_of(arg).or_else(|| self.name_of(arg)).is_some());
                assert!(
                    !is_ours,
                    "the model of the disk does not know `{other}`; teach it, or it proves nothing"
                );
                None
            }
        }
    }

    /// What is written through memory leaves no trace. Only the index of the write-ahead log may be, which no
    /// start relies on.
    fn refuse_shared(&self, args: &[&str]) {
        let is_written = args.get(2).is_some_and(|access| access.contains("PROT_WRITE"))
            && args.get(3).is_some_and(|sharing| sharing.contains("MAP_SHARED"));
        if let Some(file) = args.get(4).and_then(|file| self.file_of(file)).filter(|_| is_written) {
            assert!(
                file.ends_with("-shm"),
                "`{file}` is written through memory, which a trace does not show"
            );
        }
    }

    /// `5</a/path>`, as a name below the folder; `None` for what is elsewhere or has no name any more.
    fn file_of(&self, descriptor: &str) -> Option<String> {
        let (_, path) = descriptor.split_once('<')?;
        let (path, deleted) = path.split_once('>')?;
        if deleted.starts_with("(deleted)") { None } else { self.below(path) }
    }

    fn name_of(&self, quoted: &str) -> Option<String> {
        self.below(quoted.strip_prefix('"')?.strip_suffix('"')?)
    }

    fn bytes_of(&self, quoted: &str) -> Vec<u8> {
        let is_whole = quoted.ends_with('"') || self.strings == Strings::Short;
        assert!(is_whole, "a write was cut short in the trace; raise the length of strings");
        unhex(quoted.trim_end_matches("...").trim_matches('"'))
    }

    fn below(&self, hex: &str) -> Option<String> {
        let path = PathBuf::from(String::from_utf8(unhex(hex)).ok()?);
        let name = path.strip_prefix(&self.folder).ok()?;
        Some(name.to_str()?.to_owned())
    }
}

/// `\x61\x62` as bytes.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |four: &[u8]| match four {
        [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(4).map(|four| byte(four).expect("`strace -xx` writes every byte in hex")).collect()
}

/// Every call that changes a file, a name or what is durable.
const TRACED: &str = "trace=openat,creat,close,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,\
                      fsync,fdatasync,sync_file_range,msync,rename,renameat,renameat2,unlink,unlinkat,mkdir,\
                      mkdirat,link,linkat,symlink,rmdir,copy_file_range,sendfile,mmap";
/// Ten times what the longest recording takes on a busy machine.
const PATIENCE_SECONDS: &str = "120";
