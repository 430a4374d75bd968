//! A secret that a person types, at the terminal of this process, unseen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// Asks for one line; the line end is not part of it.
///
/// # Errors
/// Those of the system, when there is no terminal, or it is closed before the line ends.
pub(super) fn ask(what: &str) -> io::Result<SecretBytes> {
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL)?;
    let line = {
        // Before the question: whoever answers at once is not shown either.
        let _silent = Silent::new(&terminal)?;
        (&terminal).write_all(format!("{what}: ").as_bytes())?;
        line(&terminal)
    };
    (&terminal).write_all(b"\n")?;
    line
}

/// A terminal that does not show what is typed; as it was when dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed before the question is no answer.
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Whoever sits there sees that it failed.
        let _shown = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads up to a line end, into a buffer that is never moved.
fn line(mut from: &File) -> io::Result<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_MAX_BYTES));
    let mut byte = Zeroizing::new([0]);
    loop {
        if from.read(byte.as_mut_slice())? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let [read] = *byte;
        if read == b'\n' {
            return Ok(SecretBytes::new(std::mem::take(&mut *bytes)));
        }
        if bytes.len() == LINE_MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        bytes.push(read);
    }
}

const TERMINAL: &str = "/dev/tty";
/// What a terminal takes as one line, termios(3).
const LINE_MAX_BYTES: usize = 4_096;
