//! What the door speaks: TLS 1.3 with this server's certificate and the trust of the moment, both replaceable
//! while connections are open.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{Error as TlsError, ServerConfig};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroize;

use super::live::LiveConnections;
use super::trust::{ClientVerifier, Trust, TrustDomain, TrustError, unix_time};
use crate::clock::{Clock, Timestamp};
use crate::secret::SecretBytes;

/// Material that the door can't be opened with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not a sequence of PEM certificates.
    #[error("the server's certificate can't be read; give PEM blocks of type `CERTIFICATE`, its own first")]
    CertificatePem(#[source] rustls::pki_types::pem::Error),
    /// No certificate, or one that is not X.509.
    #[error(
        "the server's certificate is missing or malformed; give PEM blocks of type `CERTIFICATE`, its own first"
    )]
    Certificate,
    /// A server certificate that clients would refuse.
    #[error("the server's certificate is valid from {from} to {to} only; have it renewed")]
    Expired {
        /// The first instant of its validity.
        from: Timestamp,
        /// The last instant of its validity.
        to: Timestamp,
    },
    /// A certificate for another purpose.
    #[error(
        "the server's certificate is not for servers; have it issued with the extended key usage `serverAuth`"
    )]
    Purpose,
    /// Not a PEM private key.
    #[error("the server's private key can't be read; give one PEM block of type `PRIVATE KEY`")]
    KeyPem(#[source] rustls::pki_types::pem::Error),
    /// A key that TLS can't use, or that belongs to another certificate.
    #[error("the server's private key does not serve; give the key that its certificate was issued for")]
    Key(#[source] TlsError),
    /// TLS could not be set up.
    #[error("TLS can't be set up with these settings")]
    Tls(#[source] TlsError),
    /// The trust domains don't make a trust.
    #[error("the trust domains can't be used")]
    Trust(#[from] TrustError),
}

/// What the door is opened with; the caller has read the files.
pub struct TlsMaterial {
    /// The server's certificate and its intermediates, PEM.
    pub certificate_pem: Vec<u8>,
    /// Its private key, PEM (PKCS#8, SEC1 or PKCS#1).
    pub key_pem: SecretBytes,
    /// Whose clients may connect.
    pub domains: Vec<TrustDomain>,
}

/// What a door lets its clients speak once TLS stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/2 alone, as gRPC does.
    Http2,
    /// HTTP/2 or HTTP/1.1, whichever the client offers; one that offers nothing speaks HTTP/1.1.
    Http2OrHttp1,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Speaks {
    /// What was agreed on in a handshake by ALPN (RFC 7301); nothing when the door does not speak it.
    pub(super) fn agreed(self, alpn: Option<&[u8]>) -> Option<Protocol> {
        match (self, alpn) {
            (_, Some(ALPN_H2)) => Some(Protocol::Http2),
            (Self::Http2OrHttp1, Some(ALPN_HTTP1) | None) => Some(Protocol::Http1),
            _ => None,
        }
    }
}

/// A good set of settings.
pub struct TlsSettings {
    http2: Arc<ServerConfig>,
    http2_or_http1: Arc<ServerConfig>,
    trust: Arc<Trust>,
}

impl TlsSettings {
    /// Builds the settings: TLS 1.3 only, client certificates required, and nothing that would let a client
    /// come back without being verified again (no tickets, no session store, no early data).
    ///
    /// # Errors
    /// [`SettingsError`] names the file to look at.
    pub fn build(material: TlsMaterial, clock: &Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let TlsMaterial { certificate_pem, key_pem, domains } = material;
        let certified = certified_key(&certificate_pem, &key_pem, clock.now())?;
        let trust = Arc::new(Trust::build(domains)?);
        let provider = Arc::new(ring::default_provider());
        let time = Arc::new(DoorTime(Arc::clone(clock)));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(SettingsError::Tls)?
            .with_client_cert_verifier(Arc::new(ClientVerifier(Arc::clone(&trust))))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        // Resumption would skip the verification of the certificate and with it the revocation lists.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        let mut either = config.clone();
        either.alpn_protocols.push(ALPN_HTTP1.to_vec());
        Ok(Self { http2: Arc::new(config), http2_or_http1: Arc::new(either), trust })
    }

    /// The configuration for rustls, of a door that speaks so.
    #[must_use]
    pub const fn config(&self, speaks: Speaks) -> &Arc<ServerConfig> {
        match speaks {
            Speaks::Http2 => &self.http2,
            Speaks::Http2OrHttp1 => &self.http2_or_http1,
        }
    }

    /// Whom these settings believe.
    #[must_use]
    pub const fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }
}

/// The settings of the moment. A handshake keeps those that it began with.
pub struct TlsHandle {
    current: ArcSwap<TlsSettings>,
    live: LiveConnections,
    clock: Arc<dyn Clock>,
}

impl TlsHandle {
    /// Opens with the first good set.
    ///
    /// # Errors
    /// [`SettingsError`] when the material is not good.
    pub fn new(material: TlsMaterial, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let settings = TlsSettings::build(material, &clock)?;
        Ok(Self { current: ArcSwap::from_pointee(settings), live: LiveConnections::default(), clock })
    }

    /// Replaces certificate, trust and revocation lists, and drops the live connections of peers that would not
    /// be let in any more; gives their number.
    ///
    /// # Errors
    /// [`SettingsError`] when the material is not good; the last good set stays then.
    pub fn replace(&self, material: TlsMaterial) -> Result<usize, SettingsError> {
        let settings = Arc::new(TlsSettings::build(material, &self.clock)?);
        self.current.store(Arc::clone(&settings));
        Ok(self.live.recheck(&settings.trust, self.clock.now()))
    }

    /// The settings of the moment.
    #[must_use]
    pub fn current(&self) -> Arc<TlsSettings> {
        self.current.load_full()
    }

    /// The connections that came in by this handle and are still open.
    #[must_use]
    pub const fn live(&self) -> &LiveConnections {
        &self.live
    }

    /// The clock by which certificates are judged.
    pub(super) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// Our clock, as rustls asks for it.
pub(super) struct DoorTime(pub(super) Arc<dyn Clock>);

impl fmt::Debug for DoorTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DoorTime")
    }
}

impl TimeProvider for DoorTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

/// The certificate with its key, once both are fit for a server.
pub(super) fn certified_key(
    certificate_pem: &[u8],
    key_pem: &SecretBytes,
    now: Timestamp,
) -> Result<CertifiedKey, SettingsError> {
    let chain = CertificateDer::pem_slice_iter(certificate_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(SettingsError::CertificatePem)?;
    check_is_server(chain.first().ok_or(SettingsError::Certificate)?, now)?;
    let mut key = PrivateKeyDer::from_pem_slice(key_pem.expose()).map_err(SettingsError::KeyPem)?;
    let signer = ring::sign::any_supported_type(&key);
    key.zeroize();
    let certified = CertifiedKey::new(chain, signer.map_err(SettingsError::Key)?);
    certified.keys_match().map_err(SettingsError::Key)?;
    Ok(certified)
}

/// A set that every client would refuse is not a good set.
fn check_is_server(der: &CertificateDer<'_>, now: Timestamp) -> Result<(), SettingsError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| SettingsError::Certificate)?;
    let seconds = |time: i64| Timestamp::from_millis(time.saturating_mul(1_000));
    let from = seconds(certificate.validity().not_before.timestamp());
    let to = seconds(certificate.validity().not_after.timestamp());
    if now < from || to < now {
        return Err(SettingsError::Expired { from, to });
    }
    let purposes = certificate.extended_key_usage().map_err(|_| SettingsError::Certificate)?;
    if purposes.is_some_and(|extension| extension.value.server_auth) {
        Ok(())
    } else {
        Err(SettingsError::Purpose)
    }
}

/// RFC 9113, section 3.1.
const ALPN_H2: &[u8] = b"h2";
/// RFC 7301, section 6.
pub(super) const ALPN_HTTP1: &[u8] = b"http/1.1";
