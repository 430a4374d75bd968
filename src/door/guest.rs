//! How browsers come in: TLS 1.3 or 1.2 without a certificate of their own. Who is at the other end is for the
//! console to find out; a connection says nothing of it.
//!
//! HTTP/1.1 alone is spoken here: a few people read a few pages, and there are no streams to flood with.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::limits::DoorLimits;
use super::listener::{ACCEPTED_WAITING, AddressCounts, accept_loop};
use super::refusal::Refusal;
use super::settings::{ALPN_HTTP1, DoorTime, SettingsError, certified_key};
use crate::clock::Clock;
use crate::secret::SecretBytes;
use crate::telemetry;

/// The settings of the moment. A handshake keeps those that it began with.
pub struct GuestTls {
    current: ArcSwap<ServerConfig>,
    clock: Arc<dyn Clock>,
}

impl GuestTls {
    /// Opens with a certificate, its intermediates after it, and its private key, both PEM.
    ///
    /// # Errors
    /// [`SettingsError`] when they are not good.
    pub fn new(
        certificate_pem: &[u8],
        key_pem: &SecretBytes,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let config = config(certificate_pem, key_pem, &clock)?;
        Ok(Self { current: ArcSwap::from_pointee(config), clock })
    }

    /// Replaces certificate and key.
    ///
    /// # Errors
    /// [`SettingsError`] when they are not good; the last good ones stay then.
    pub fn replace(&self, certificate_pem: &[u8], key_pem: &SecretBytes) -> Result<(), SettingsError> {
        self.current.store(Arc::new(config(certificate_pem, key_pem, &self.clock)?));
        Ok(())
    }
}

fn config(
    certificate_pem: &[u8],
    key_pem: &SecretBytes,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, SettingsError> {
    let certified = certified_key(certificate_pem, key_pem, clock.now())?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(DoorTime(Arc::clone(clock))))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(SettingsError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    // Nothing of a handshake outlives its connection, so that a stolen ticket key opens nothing.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    // RFC 7627: without it, two sessions of TLS 1.2 could be made to share their keys.
    config.require_ems = true;
    Ok(config)
}

/// The browsers' door before it opens.
pub struct GuestDoor {
    listener: TcpListener,
    tls: Arc<GuestTls>,
    limits: DoorLimits,
}

impl GuestDoor {
    /// A door at `listener` with the certificate that `tls` has at each handshake.
    #[must_use]
    pub const fn new(listener: TcpListener, tls: Arc<GuestTls>, limits: DoorLimits) -> Self {
        Self { listener, tls, limits }
    }

    /// Opens the door until `shutdown` comes or the receiver is dropped.
    ///
    /// Must be called within a tokio runtime.
    pub fn open<F>(self, shutdown: F) -> mpsc::Receiver<Guest>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (accepted, ready) = mpsc::channel(ACCEPTED_WAITING);
        let handshakes = Arc::new(Semaphore::new(self.limits.handshakes));
        let welcome = Arc::new(Welcome {
            connections: Arc::new(Semaphore::new(self.limits.connections)),
            addresses: Arc::default(),
            tls: self.tls,
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
        ready
    }
}

struct Welcome {
    connections: Arc<Semaphore>,
    addresses: Arc<AddressCounts>,
    tls: Arc<GuestTls>,
    limits: DoorLimits,
    accepted: mpsc::Sender<Guest>,
}

async fn welcome_one(welcome: Arc<Welcome>, tcp: TcpStream, address: SocketAddr, turn: OwnedSemaphorePermit) {
    match shake_hands(&welcome, tcp, address).await {
        Ok(guest) => {
            drop(turn);
            // Fails only when the door has closed meanwhile.
            let _closed = welcome.accepted.send(guest).await;
        }
        Err(refusal) => {
            telemetry::handshake_refused(refusal.reason());
            tracing::info!(reason = refusal.reason(), "connection to the console refused");
        }
    }
}

async fn shake_hands(welcome: &Welcome, tcp: TcpStream, address: SocketAddr) -> Result<Guest, Refusal> {
    let limits = &welcome.limits;
    let slot = Arc::clone(&welcome.connections).try_acquire_owned().map_err(|_| Refusal::Full)?;
    let _turn = AddressCounts::take(&welcome.addresses, address.ip(), limits.handshakes_per_address)?;
    tcp.set_nodelay(true).map_err(|error| Refusal::Tls(Arc::new(error)))?;
    let acceptor = TlsAcceptor::from(welcome.tls.current.load_full());
    let stream = timeout(limits.handshake, acceptor.accept(tcp))
        .await
        .map_err(|_| Refusal::Slow)?
        .map_err(Refusal::from_handshake)?;
    Ok(Guest { stream, _slot: slot })
}

/// A connection of a browser.
pub struct Guest {
    stream: TlsStream<TcpStream>,
    _slot: OwnedSemaphorePermit,
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
