//! What a running server is told: by the operating system, or by a test.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What a running server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Read certificate, key and revocation lists again.
    Reload,
    /// Finish what is under way and stop; the second time, stop at once.
    Stop,
}

/// What comes to this process as signals: SIGHUP is a reload, SIGTERM and SIGINT are a stop.
///
/// Must be called within a tokio runtime, and before anything else that takes time: until then a signal ends
/// the process.
///
/// # Errors
/// What the system says when it takes no handler.
pub fn of_the_process() -> io::Result<mpsc::Receiver<Told>> {
    let (tell, told) = mpsc::channel(SIGNALS_WAITING);
    for (kind, what) in [
        (SignalKind::hangup(), Told::Reload),
        (SignalKind::terminate(), Told::Stop),
        (SignalKind::interrupt(), Told::Stop),
    ] {
        let mut signals = signal(kind)?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if tell.send(what).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(told)
}

/// A server looks at what it was told at once; a few may come while it starts.
const SIGNALS_WAITING: usize = 16;
