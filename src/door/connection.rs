//! A connection that came in: a TLS stream that ends when it is told to, when it is too old, when its peer is
//! silent at the start, or when the peer floods it.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::frames::{Flood, FrameWatch};
use super::identity::PeerIdentity;
use super::limits::DoorLimits;
use super::live::{ConnectionHandle, LiveEntry};
use super::settings::Protocol;
use crate::telemetry;

/// Who is at the other end. Every request carries it in its extensions.
///
/// It says who calls and not what the caller may do: standing is checked at every RPC.
#[derive(Clone)]
pub struct Peer {
    identity: Arc<PeerIdentity>,
    connection: ConnectionHandle,
    address: SocketAddr,
}

impl Peer {
    /// The verified identity.
    #[must_use]
    pub const fn identity(&self) -> &Arc<PeerIdentity> {
        &self.identity
    }

    /// The connection that the request came in by.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionHandle {
        &self.connection
    }

    /// The address that the connection came from. Nothing logs it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for Peer {
    /// The name without the address.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Peer({})", self.identity.spiffe())
    }
}

/// Why the door ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its peer's standing, its certificate's or the server's.
    #[error("the connection was dropped by the server")]
    Dropped,
    /// It has lived as long as a connection may.
    #[error("the connection is too old; open another")]
    Old,
    /// Its peer did not begin to speak HTTP.
    #[error("the client did not begin to speak HTTP")]
    Silent,
    /// Its peer sent too many control frames.
    #[error("the client sent too many control frames")]
    ControlFlood,
    /// Its peer took back too many requests.
    #[error("the client reset too many streams")]
    ResetFlood,
}

impl Ended {
    /// One fixed word for logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Old => "old",
            Self::Silent => "silent",
            Self::ControlFlood => "control_flood",
            Self::ResetFlood => "reset_flood",
        }
    }
}

/// A connection that came in, to be served.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    protocol: Protocol,
    watch: Watch,
    told: oneshot::Receiver<()>,
    timer: Pin<Box<Sleep>>,
    life_end: Instant,
    ended: Option<Ended>,
    _entry: LiveEntry,
    _slot: OwnedSemaphorePermit,
}

/// What is looked at on the way in.
enum Watch {
    /// HTTP/2: every frame.
    Frames(FrameWatch),
    /// HTTP/1.1: whether anything came at all. A request there costs its peer as many bytes as it costs us work.
    Bytes { began: bool },
}

/// What the listener knows about a connection that came in.
pub(super) struct Arrival {
    pub(super) identity: Arc<PeerIdentity>,
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) entry: LiveEntry,
    pub(super) told: oneshot::Receiver<()>,
    pub(super) slot: OwnedSemaphorePermit,
    /// The end of its certificate or of its age, whichever comes first.
    pub(super) life_end: Instant,
}

impl Connection {
    pub(super) fn new(stream: TlsStream<TcpStream>, arrival: Arrival, limits: &DoorLimits) -> Self {
        let now = Instant::now();
        let Arrival { identity, protocol, address, entry, told, slot, life_end } = arrival;
        Self {
            stream,
            peer: Peer { identity, connection: entry.handle(), address },
            protocol,
            watch: match protocol {
                Protocol::Http1 => Watch::Bytes { began: false },
                Protocol::Http2 => Watch::Frames(FrameWatch::new(limits.frames, now)),
            },
            told,
            timer: Box::pin(sleep_until(life_end.min(now + limits.handshake))),
            life_end,
            ended: None,
            _entry: entry,
            _slot: slot,
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What was agreed on to speak. Nothing else may be served: the other protocol would pass its limits by.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Fails when the connection has to end, and else has the task woken when it has to.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(ended) = self.ended {
            return Err(error(ended));
        }
        if Pin::new(&mut self.told).poll(cx).is_ready() {
            return Err(self.end(Ended::Dropped));
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.life_end {
                return Err(self.end(Ended::Old));
            }
            if !self.watch.has_begun() {
                return Err(self.end(Ended::Silent));
            }
            self.timer.as_mut().reset(self.life_end);
        }
        Ok(())
    }

    fn end(&mut self, ended: Ended) -> io::Error {
        self.ended = Some(ended);
        telemetry::connection_ended(ended.reason());
        tracing::info!(reason = ended.reason(), "connection ended by the door");
        error(ended)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let news = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.watch.read(news).map_err(|flood| match flood {
            Flood::Control => this.end(Ended::ControlFlood),
            Flood::Resets => this.end(Ended::ResetFlood),
        }))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.watch.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(cx, bufs))?;
        this.watch.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Not held back by the end of the connection: it is how it ends.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Watch {
    fn read(&mut self, news: &[u8]) -> Result<(), Flood> {
        match self {
            Self::Frames(watch) => watch.read(news, Instant::now()),
            Self::Bytes { began } => {
                *began |= !news.is_empty();
                Ok(())
            }
        }
    }

    fn wrote(&mut self, bytes: usize) {
        if let Self::Frames(watch) = self {
            watch.wrote(bytes, Instant::now());
        }
    }

    const fn has_begun(&self) -> bool {
        match self {
            Self::Frames(watch) => watch.has_begun(),
            Self::Bytes { began } => *began,
        }
    }
}

fn error(ended: Ended) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, ended)
}
