//! The accept loop: handshakes run beside one another, a bounded number at a time, each within its time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::connection::{Arrival, Connection};
use super::identity::PeerIdentity;
use super::limits::DoorLimits;
use super::refusal::Refusal;
use super::settings::{Speaks, TlsHandle};
use crate::telemetry;

/// The door before it opens.
pub struct Door {
    listener: TcpListener,
    tls: Arc<TlsHandle>,
    speaks: Speaks,
    limits: DoorLimits,
}

impl Door {
    /// A door at `listener` with the certificate and the trust that `tls` has at each handshake.
    ///
    /// Doors of one handle share its live connections, and so what one trust domain may have open.
    #[must_use]
    pub const fn new(listener: TcpListener, tls: Arc<TlsHandle>, speaks: Speaks, limits: DoorLimits) -> Self {
        Self { listener, tls, speaks, limits }
    }

    /// Opens the door until `shutdown` comes or the stream is dropped, which tonic's
    /// `serve_with_incoming_shutdown` does at its own signal: no more connections are accepted then and
    /// handshakes under way are given up, while accepted connections live on.
    ///
    /// Must be called within a tokio runtime.
    pub fn open<F>(self, shutdown: F) -> Incoming
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (accepted, ready) = mpsc::channel(ACCEPTED_WAITING);
        let handshakes = Arc::new(Semaphore::new(self.limits.handshakes));
        let welcome = Arc::new(Welcome {
            connections: Arc::new(Semaphore::new(self.limits.connections)),
            addresses: Arc::default(),
            tls: self.tls,
            speaks: self.speaks,
            limits: self.limits,
            accepted,
        });
        let all_gone = Arc::clone(&welcome);
        let welcoming = move |tcp, address, turn| welcome_one(Arc::clone(&welcome), tcp, address, turn);
        let end = async move {
            tokio::select! {
                () = all_gone.accepted.closed() => {}
                () = shutdown => {}
            }
        };
        tokio::spawn(accept_loop(self.listener, handshakes, welcoming, end));
        Incoming { ready }
    }
}

/// The connections as they come in. Dropping it closes the door.
pub struct Incoming {
    ready: mpsc::Receiver<Connection>,
}

impl Stream for Incoming {
    /// Never an error: what fails concerns one client or passes by, and neither stops the server.
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

/// What every handshake needs.
struct Welcome {
    connections: Arc<Semaphore>,
    addresses: Arc<AddressCounts>,
    tls: Arc<TlsHandle>,
    speaks: Speaks,
    limits: DoorLimits,
    accepted: mpsc::Sender<Connection>,
}

/// Accepts until the end, and has each connection welcomed beside the others.
pub(super) async fn accept_loop<W, H, F>(
    listener: TcpListener,
    handshakes: Arc<Semaphore>,
    welcome: W,
    end: F,
) where
    W: Fn(TcpStream, SocketAddr, OwnedSemaphorePermit) -> H + Send,
    H: Future<Output = ()> + Send + 'static,
    F: Future<Output = ()> + Send,
{
    // INVARIANT: dropping the set gives up the handshakes under way.
    let mut under_way = JoinSet::new();
    let accepting = async {
        let mut wait = BACKOFF_FIRST;
        loop {
            // Closed only when this loop is over.
            let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
            while under_way.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((tcp, address)) => {
                    wait = BACKOFF_FIRST;
                    under_way.spawn(welcome(tcp, address, turn));
                }
                Err(error) if concerns_one_client(&error) => {}
                Err(_) => {
                    // Out of file descriptors or memory: it passes when connections end.
                    telemetry::accept_failed();
                    tracing::warn!("no connection can be accepted for the moment");
                    sleep(wait).await;
                    wait = wait.saturating_mul(2).min(BACKOFF_LONGEST);
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = end => {}
    }
}

async fn welcome_one(welcome: Arc<Welcome>, tcp: TcpStream, address: SocketAddr, turn: OwnedSemaphorePermit) {
    match shake_hands(&welcome, tcp, address).await {
        Ok(connection) => {
            drop(turn);
            // Fails only when the door has closed meanwhile.
            let _closed = welcome.accepted.send(connection).await;
        }
        Err(refusal) => {
            telemetry::handshake_refused(refusal.reason());
            tracing::info!(reason = refusal.reason(), "connection refused");
        }
    }
}

async fn shake_hands(welcome: &Welcome, tcp: TcpStream, address: SocketAddr) -> Result<Connection, Refusal> {
    let limits = &welcome.limits;
    let slot = Arc::clone(&welcome.connections).try_acquire_owned().map_err(|_| Refusal::Full)?;
    let _turn = AddressCounts::take(&welcome.addresses, address.ip(), limits.handshakes_per_address)?;
    tcp.set_nodelay(true).map_err(|error| Refusal::Tls(Arc::new(error)))?;
    let settings = welcome.tls.current();
    let acceptor = TlsAcceptor::from(Arc::clone(settings.config(welcome.speaks)));
    let stream = timeout(limits.handshake, acceptor.accept(tcp))
        .await
        .map_err(|_| Refusal::Slow)?
        .map_err(Refusal::from_handshake)?;
    let (_, session) = stream.get_ref();
    let protocol = welcome.speaks.agreed(session.alpn_protocol()).ok_or(Refusal::Protocol)?;
    let chain = session.peer_certificates().ok_or(Refusal::NoCertificate)?.to_vec();
    let end_entity = chain.first().ok_or(Refusal::NoCertificate)?;
    let identity = Arc::new(PeerIdentity::from_certificate(end_entity)?);
    let left = until(welcome.tls.clock().now().as_millis(), identity.not_after().as_millis());
    let life_end = Instant::now() + limits.connection_life.min(left);
    let (entry, told) =
        welcome.tls.live().admit(Arc::clone(&identity), chain, limits.connections_per_domain)?;
    let arrival = Arrival { identity, protocol, address, entry, told, slot, life_end };
    Ok(Connection::new(stream, arrival, limits))
}

/// From `now` to `then`, in milliseconds since 1970; nothing when it has passed.
fn until(now: i64, then: i64) -> Duration {
    Duration::from_millis(u64::try_from(then.saturating_sub(now)).unwrap_or(0))
}

/// The errors of accept(2) that tell about the connection and not about the listener.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
    )
}

/// Handshakes under way by address, so that one address can't keep all of them waiting.
#[derive(Default)]
pub(super) struct AddressCounts(Mutex<HashMap<IpAddr, usize>>);

impl AddressCounts {
    pub(super) fn take(counts: &Arc<Self>, address: IpAddr, most: usize) -> Result<AddressTurn, Refusal> {
        let address = network(address);
        let mut map = counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_insert(0);
        if *count >= most {
            return Err(Refusal::Full);
        }
        *count = count.saturating_add(1);
        Ok(AddressTurn { address, counts: Arc::clone(counts) })
    }
}

pub(super) struct AddressTurn {
    address: IpAddr,
    counts: Arc<AddressCounts>,
}

impl Drop for AddressTurn {
    fn drop(&mut self) {
        let mut map = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = map.get(&self.address).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            map.remove(&self.address);
        } else {
            map.insert(self.address, left);
        }
    }
}

/// What one client has to itself: an IPv4 address, or 64 bits of an IPv6 one (RFC 4291, section 2.5.1).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & NETWORK_MASK)),
    }
}

/// Handshakes that end while the server is busy wait here; more than that keep their task.
pub(super) const ACCEPTED_WAITING: usize = 16;
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// Short enough that the server is back within a second of the shortage's end.
const BACKOFF_LONGEST: Duration = Duration::from_secs(1);
const NETWORK_MASK: u128 = !0 << 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_of_handshakes() {
        let counts = Arc::new(AddressCounts::default());
        let take = |address: &str| AddressCounts::take(&counts, address.parse().unwrap(), 2);
        let held = (take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap());
        assert!(take("2001:db8::3").is_err(), "addresses of one /64 should share");
        assert!(take("2001:db8:0:1::1").is_ok() && take("192.0.2.1").is_ok());
        drop(held);
        assert!(take("2001:db8::3").is_ok());
        assert!(counts.0.lock().unwrap().is_empty(), "counts that are back at zero should be forgotten");
    }
}
