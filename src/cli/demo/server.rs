//! The server of the demonstration: a process of its own, stopped whatever happens to the story.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::folder::Folder;
use super::page;
use super::stage::{as_text, own_command, own_exe};
use crate::cli::fault::CliError;
use crate::cli::files;

/// A server that runs, or ran.
#[derive(Clone)]
pub(super) struct Server {
    child: Arc<Mutex<Option<Child>>>,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Server {
    /// Starts the server and waits until it says that it listens.
    ///
    /// # Errors
    /// [`CliError`] when it can't be started, ends, or does not listen in time.
    pub(super) fn start(folder: &Folder) -> Result<(Self, Started), CliError> {
        let config = folder.config();
        let words = ["onebit", "serve", "--config", as_text(config.as_os_str())?];
        page::command("", &words)?;
        let (log, pid_file) = (folder.server_log(), folder.server_pid());
        files::write_private(&log, b"")?;
        let open = || File::options().append(true).open(&log).map_err(|source| CliError::write(&log, source));
        let start = Instant::now();
        let child = own_command(&own_exe()?, &words)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            // A group of its own, so that Ctrl-C reaches it through us alone, and `--keep` can leave it behind.
            .process_group(0)
            .spawn()
            .map_err(|error| CliError::because("the server can't be started", error))?;
        let server = Self { child: Arc::new(Mutex::new(Some(child))), log, pid_file };
        match server.started(start) {
            Ok(started) => Ok((server, started)),
            Err(error) => {
                // The first error is the one that counts.
                let _ = server.stop();
                Err(error)
            }
        }
    }

    /// Asks the server to end, waits until it has, and tells how long that took; nothing when it has ended.
    ///
    /// # Errors
    /// [`CliError`] when it does not end, or says that it did not end well.
    pub(super) fn stop(&self) -> Result<Option<Duration>, CliError> {
        // Held to the end: whoever else wants to stop it waits until it is stopped.
        let mut slot = self.lock();
        let Some(mut child) = slot.take() else { return Ok(None) };
        let start = Instant::now();
        let status = terminate(child.id()).and_then(|()| ended(&mut child, STOP_MAX));
        if let Ok(None) | Err(_) = status {
            // Nothing is left to be polite about.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(&self.pid_file);
        match status.map_err(|error| CliError::because("the server can't be stopped", error))? {
            Some(status) if status.success() => Ok(Some(start.elapsed())),
            Some(status) => Err(self.wrong(&format!("the server ended with {status}"))),
            None => Err(self.wrong("the server did not end when it was asked to, and was killed")),
        }
    }

    /// Leaves the server running when this process ends.
    pub(super) fn leave(&self) -> Option<u32> {
        self.lock().take().map(|child| child.id())
    }

    /// Stops the server and ends this process when it is interrupted or told to end.
    ///
    /// # Errors
    /// [`CliError`] when signals can't be listened to.
    pub(super) fn stop_on_signals(&self) -> Result<(), CliError> {
        let server = self.clone();
        let failed = |error| CliError::because("signals can't be listened to", error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut signals = {
            let _inside = runtime.enter();
            let signals =
                [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
            signals.into_iter().collect::<io::Result<Vec<_>>>().map_err(failed)?
        };
        thread::spawn(move || {
            runtime.block_on(async {
                let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                first(waits.collect()).await;
            });
            // Whoever interrupts sees the server's own log, if he wants to.
            let _ = server.stop();
            std::process::exit(EXIT_INTERRUPTED);
        });
        Ok(())
    }

    fn started(&self, start: Instant) -> Result<Started, CliError> {
        let pid = self.lock().as_ref().map(Child::id).unwrap_or_default();
        files::replace_private(&self.pid_file, pid.to_string().as_bytes())?;
        loop {
            let said = fs::read_to_string(&self.log).map_err(|source| CliError::read(&self.log, source))?;
            if let Some(address) = listening(&said) {
                return Ok(Started { address, took: start.elapsed() });
            }
            let status = self.lock().as_mut().map(Child::try_wait);
            match status {
                Some(Ok(None)) if start.elapsed() < START_MAX => thread::sleep(LOOK_AGAIN),
                Some(Ok(None)) => return Err(self.wrong("the server does not listen")),
                Some(Ok(Some(status))) => return Err(self.wrong(&format!("the server ended with {status}"))),
                Some(Err(error)) => return Err(CliError::because("the server can't be watched", error)),
                None => return Err(self.wrong("the server was stopped")),
            }
        }
    }

    /// An error with the last lines that the server said.
    fn wrong(&self, what: &str) -> CliError {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines
            .iter()
            .skip(lines.len().saturating_sub(LAST_LINES))
            .copied()
            .collect::<Vec<_>>()
            .join("\n  ");
        CliError::Found(format!("{what}; the end of `{}`:\n  {last}", self.log.display()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the server started.
pub(super) struct Started {
    /// Where it listens.
    pub(super) address: String,
    /// How long that took.
    pub(super) took: Duration,
}

/// The address in a line `listening on ADDRESS`.
fn listening(said: &str) -> Option<String> {
    let (_, after) = said.split_once("listening on ")?;
    let (line, _) = after.split_once('\n')?;
    line.split_whitespace().next().map(str::to_owned)
}

/// Sends SIGTERM. There is no way to do so in the standard library, and every system has this one.
fn terminate(pid: u32) -> io::Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", "kill -TERM \"$1\"", "sh", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the system refuses to send it a signal")) }
}

fn ended(child: &mut Child, max: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        match child.try_wait()? {
            None if start.elapsed() < max => thread::sleep(LOOK_AGAIN),
            status => return Ok(status),
        }
    }
}

/// Waits for the first of some futures.
async fn first<F: Future + Unpin>(mut waits: Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        let mut ready = waits.iter_mut().map(|wait| std::pin::Pin::new(wait).poll(context));
        ready.find(std::task::Poll::is_ready).unwrap_or(std::task::Poll::Pending)
    })
    .await
}

/// The key of the store is stretched at each start, on purpose slowly; slow machines take their time.
const START_MAX: Duration = Duration::from_secs(60);
/// The server lets calls under way end first.
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LAST_LINES: usize = 12;
/// 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_from_a_whole_line() {
        assert_eq!(listening("x\nlistening on 127.0.0.1:8443\n"), Some("127.0.0.1:8443".to_owned()));
        assert_eq!(listening("listening on 127.0.0.1:84"), None, "the line may still be growing");
        assert_eq!(listening(""), None);
    }
}
