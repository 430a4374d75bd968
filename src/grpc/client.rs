//! The client's side of the wire, for the command line: one connection over mutual TLS 1.3, every call with a
//! deadline, every refusal in words.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{IntoRequest, Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use super::pb::{administration, enrolment, officer, oversight, partner};
use super::refused::Refused;
use crate::door::{IdentityError, PeerIdentity, SpiffeId};
use crate::keys::{SignatureError, SigningKey};

/// Where the server is, and who calls.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ClientOptions {
    /// The server, for example `https://immigration.example:8443`
    #[arg(long, env = "ONEBIT_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Who calls, and whom they believe.
    #[command(flatten)]
    pub credential: CredentialOptions,
}

/// Who calls, and whom they believe.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct CredentialOptions {
    /// The name that the server's certificate must have, if it is not the host in its address
    #[arg(long, env = "ONEBIT_SERVER_NAME", value_name = "NAME")]
    pub server_name: Option<String>,
    /// The certificates of the authority that issued the server's certificate, PEM
    #[arg(long, env = "ONEBIT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Your certificate, PEM; it says who you are
    #[arg(long, env = "ONEBIT_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The private key of your certificate, PKCS#8 PEM; it also signs what has to be signed
    #[arg(long, env = "ONEBIT_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How many seconds to wait for an answer
    #[arg(long, env = "ONEBIT_TIMEOUT", value_name = "SECONDS", default_value_t = TIMEOUT_S,
          value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MAX_S))]
    pub timeout: u64,
}

impl CredentialOptions {
    /// The key of the certificate, for signatures.
    ///
    /// # Errors
    /// [`ClientError`] when no key is named, it cannot be read or is of another kind.
    pub fn signing_key(&self) -> Result<SigningKey, ClientError> {
        let path = given(self.key.as_deref(), "--key", "ONEBIT_KEY")?;
        let text = Zeroizing::new(read(path)?);
        let text = std::str::from_utf8(&text).map_err(|_| ClientError::Pem { path: path.to_owned() })?;
        SigningKey::from_pkcs8_pem(text)
            .map_err(|source| ClientError::SigningKey { path: path.to_owned(), source })
    }

    /// Who the certificate says that the caller is.
    ///
    /// # Errors
    /// [`ClientError`] when no certificate is named, or it is none that a server would take.
    pub fn spiffe_id(&self) -> Result<SpiffeId, ClientError> {
        let path = given(self.cert.as_deref(), "--cert", "ONEBIT_CERT")?;
        let der = CertificateDer::from_pem_slice(&read(path)?)
            .map_err(|_| ClientError::Pem { path: path.to_owned() })?;
        PeerIdentity::from_certificate(&der)
            .map(|peer| peer.spiffe().clone())
            .map_err(|source| ClientError::Identity { path: path.to_owned(), source })
    }

    /// TLS 1.3 with the caller's certificate, speaking HTTP/2, and the name that the server at `host` has to have.
    ///
    /// # Errors
    /// [`ClientError`] for options that are missing or wrong.
    pub fn tls(&self, host: &str) -> Result<(TlsConnector, ServerName<'static>), ClientError> {
        let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
        let name = ServerName::try_from(name.clone()).map_err(|_| ClientError::ServerName(name))?;
        Ok((TlsConnector::from(Arc::new(tls_config(self)?)), name))
    }

    /// How long to wait for an answer.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }
}

impl ClientOptions {
    /// The key of the certificate, for signatures.
    ///
    /// # Errors
    /// As [`CredentialOptions::signing_key`].
    pub fn signing_key(&self) -> Result<SigningKey, ClientError> {
        self.credential.signing_key()
    }

    /// Who the certificate says that the caller is.
    ///
    /// # Errors
    /// As [`CredentialOptions::spiffe_id`].
    pub fn spiffe_id(&self) -> Result<SpiffeId, ClientError> {
        self.credential.spiffe_id()
    }
}

/// A call that did not succeed, or a connection that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An option that the call needs.
    #[error("`{option}` is missing; give it, or set {variable}")]
    Missing {
        /// The option.
        option: &'static str,
        /// The variable of the environment that stands for it.
        variable: &'static str,
    },
    /// An address that is none.
    #[error("`{0}` is not the address of a server; write it as `https://host:port`")]
    Address(String),
    /// A server's name that no certificate can have.
    #[error(
        "`{0}` is not a name that a certificate can have; give a host name or an address by `--server-name`"
    )]
    ServerName(String),
    /// A file that can't be read.
    #[error("`{path}` can't be read; check that it is there and readable")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file without what should be in it.
    #[error("`{path}` does not hold what it should, in PEM; check that you gave the right file")]
    Pem {
        /// The file.
        path: PathBuf,
    },
    /// A private key that can't sign.
    #[error("`{path}` can't be used for signatures")]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// A certificate that no server would let in.
    #[error("`{path}` is not a certificate that Onebit takes")]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// Certificate and key that TLS can't use.
    #[error("certificate and key can't be used together; check that `--cert` and `--key` belong together")]
    Credential(#[source] rustls::Error),
    /// No connection came about.
    #[error("no connection to `{server}`; check the address, and that the server runs")]
    Connect {
        /// The server.
        server: String,
        /// What the parts below say.
        source: tonic::transport::Error,
    },
    /// The connection broke, or the server closed it.
    #[error(
        "the connection broke while waiting for {what}; if it breaks at once, the server does not take your certificate"
    )]
    Broken {
        /// What was waited for.
        what: &'static str,
        /// What the parts below say.
        source: Box<Status>,
    },
    /// The server refused.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// No answer in time.
    #[error("no answer to {what} within {seconds} s; ask again, with the same request id where there is one")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// An answer without something that it must have.
    #[error("the server's answer has no {0}; it speaks another version of the interface")]
    Incomplete(&'static str),
}

impl ClientError {
    /// Whether asking the same again, with the same request id, can lead to an answer.
    #[must_use]
    pub fn is_worth_repeating(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::Refused(refused) => refused.retry_after.is_some(),
            _ => false,
        }
    }

    /// What the server said, if it said anything.
    #[must_use]
    pub const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

/// A connection to a server.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    wait: Duration,
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident: $package:ident $module:ident $service:ident;)*) => {
        impl Client {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> $package::$module::$service<Channel> {
                $package::$module::$service::new(self.channel.clone())
                    .max_decoding_message_size(ANSWER_MAX_BYTES)
                    .max_encoding_message_size(ASK_MAX_BYTES)
            })*
        }
    };
}

services! {
    /// Questions.
    query: partner query_service_client QueryServiceClient;
    /// Requests for fields.
    disclosure: partner disclosure_service_client DisclosureServiceClient;
    /// The caller's own standing, agreements, schemes and release key.
    agreement: partner agreement_service_client AgreementServiceClient;
    /// The caller's own journal.
    journal: partner journal_service_client JournalServiceClient;
    /// Cases that officers decide.
    case: officer case_service_client CaseServiceClient;
    /// The log, for privacy officers.
    log: oversight log_service_client LogServiceClient;
    /// People who ask what is held of them, for privacy officers.
    subject: oversight subject_service_client SubjectServiceClient;
    /// Breaches of privacy, for privacy officers.
    breach: oversight breach_service_client BreachServiceClient;
    /// Enrolment.
    enrolment: enrolment enrolment_service_client EnrolmentServiceClient;
    /// People, partners and rules.
    administration: administration administration_service_client AdministrationServiceClient;
}

impl Client {
    /// Connects: TLS 1.3, the caller's certificate, HTTP/2.
    ///
    /// # Errors
    /// [`ClientError`] for options that are missing or wrong, and when no connection comes about.
    pub async fn connect(options: &ClientOptions) -> Result<Self, ClientError> {
        let server = given(options.server.as_deref(), "--server", "ONEBIT_SERVER")?;
        let (uri, host, port) = address(server)?;
        let (tls, name) = options.credential.tls(&host)?;
        let connector = tower::service_fn(move |_: Uri| {
            let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
            async move {
                let tcp = TcpStream::connect((host.as_str(), port)).await?;
                tcp.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
            }
        });
        let wait = options.credential.wait();
        let channel = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .connect_with_connector(connector)
            .await
            .map_err(|source| ClientError::Connect { server: server.to_owned(), source })?;
        Ok(Self { channel, wait })
    }

    /// The request with its deadline; the server is told it as well.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = message.into_request();
        request.set_timeout(self.wait);
        request
    }

    /// Waits for the answer to a call; `what` names it in errors.
    ///
    /// # Errors
    /// [`ClientError`] when it was refused, took too long, or the connection broke.
    pub async fn answer<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        match timeout(self.wait, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(failure(what, status)),
            Err(_) => Err(self.timed_out(what)),
        }
    }

    /// Waits for the next message of a stream, `None` at its end; the deadline is that of each message.
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub async fn next<T>(
        &self,
        what: &'static str,
        stream: &mut Streaming<T>,
    ) -> Result<Option<T>, ClientError> {
        match timeout(self.wait, stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(failure(what, status)),
            Err(_) => Err(self.timed_out(what)),
        }
    }

    const fn timed_out(&self, what: &'static str) -> ClientError {
        ClientError::TimedOut { what, seconds: self.wait.as_secs() }
    }
}

/// A status that came from the server, or one that the transport made up.
fn failure(what: &'static str, status: Status) -> ClientError {
    if status.source().is_some() {
        ClientError::Broken { what, source: Box::new(status) }
    } else {
        ClientError::Refused(Box::new(Refused::from_status(&status)))
    }
}

/// The address in its parts: for HTTP/2, and for the socket.
fn address(server: &str) -> Result<(Uri, String, u16), ClientError> {
    let refused = || ClientError::Address(server.chars().take(SHOWN_CHARS).collect());
    let uri: Uri = server.parse().map_err(|_| refused())?;
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some("https"), Some(host), port) if plain => {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Ok((uri, host, port.unwrap_or(HTTPS_PORT)))
        }
        _ => Err(refused()),
    }
}

fn tls_config(options: &CredentialOptions) -> Result<ClientConfig, ClientError> {
    let ca = given(options.ca.as_deref(), "--ca", "ONEBIT_CA")?;
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|_| ClientError::Pem { path: ca.to_owned() })?;
    }
    let cert = given(options.cert.as_deref(), "--cert", "ONEBIT_CERT")?;
    let key_path = given(options.key.as_deref(), "--key", "ONEBIT_KEY")?;
    let key_pem = Zeroizing::new(read(key_path)?);
    let key = PrivateKeyDer::from_pem_slice(&key_pem)
        .map_err(|_| ClientError::Pem { path: key_path.to_owned() })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ClientError::Credential)?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(cert)?, key)
        .map_err(ClientError::Credential)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // The server gives no tickets; a resumed session would skip its look at revocations.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = read(path)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ClientError::Pem { path: path.to_owned() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    fs::read(path).map_err(|source| ClientError::Read { path: path.to_owned(), source })
}

fn given<'a, T: ?Sized>(
    value: Option<&'a T>,
    option: &'static str,
    variable: &'static str,
) -> Result<&'a T, ClientError> {
    value.ok_or(ClientError::Missing { option, variable })
}

/// Longer than the fixed time after which queries are answered, and than a group commit on a busy disk.
const TIMEOUT_S: u64 = 30;
const TIMEOUT_MAX_S: u64 = 3_600;
/// A TCP handshake and a TLS handshake to the other side of the world, several times over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A dead connection is noticed within two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A policy folder (4 MiB at most), or a page of 1,000 entries of 8 KiB, with room to spare.
const ANSWER_MAX_BYTES: usize = 32 * 1_024 * 1_024;
/// A chunk of enrolment or a policy folder, with room to spare; the server has limits of its own.
const ASK_MAX_BYTES: usize = 32 * 1_024 * 1_024;
const HTTPS_PORT: u16 = 443;
const SHOWN_CHARS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_with_a_host_and_nothing_more() {
        let parts = |text: &str| address(text).map(|(_, host, port)| (host, port));
        assert_eq!(
            parts("https://immigration.example:8443").unwrap(),
            ("immigration.example".to_owned(), 8_443)
        );
        assert_eq!(parts("https://immigration.example/").unwrap().1, 443);
        assert_eq!(parts("https://[::1]:8443").unwrap().0, "::1");
        for bad in ["immigration.example:8443", "http://a:1", "https://a/b", "https://a/?q", "", "https://"] {
            assert!(parts(bad).is_err(), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_variable() {
        let error = ClientOptions::default().signing_key().err().unwrap();
        assert_eq!(error.to_string(), "`--key` is missing; give it, or set ONEBIT_KEY");
    }

    #[test]
    fn a_refusal_by_the_server_and_a_broken_connection_are_told_apart() {
        assert!(failure("a query", Status::not_found("none")).refused().is_some());
        let mut broken = Status::unknown("transport error");
        broken.set_source(Arc::new(std::io::Error::other("reset")));
        let broken = failure("a query", broken);
        assert!(matches!(broken, ClientError::Broken { .. }) && broken.is_worth_repeating());
        assert!(!failure("a query", Status::not_found("none")).is_worth_repeating());
    }
}
