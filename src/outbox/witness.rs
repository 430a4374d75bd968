//! The holder's side of C2SP tlog-witness: hands the newest checkpoint to a witness, and believes nothing of the
//! answer but a cosignature that holds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::audit::cosignature::Cosignature;
use crate::audit::note::NoteError;
use crate::audit::submission::{SIZE_CONTENT_TYPE, Submission, parse_size};
use crate::authz::{WitnessFile, WitnessScheme};
use crate::store::{Journal, Store, StoreError, Unwitnessed};

/// A witness that gave nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// No answer in time.
    #[error("the witness did not answer within {} s", WAIT_LONGEST.as_secs())]
    TimedOut,
    /// No connection.
    #[error("the witness can't be reached")]
    Connect(#[source] io::Error),
    /// Its certificate, or what the policy folder says of it.
    #[error(
        "no TLS with the witness comes about; check its certificate and the authority in the policy folder"
    )]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The exchange broke.
    #[error("the exchange with the witness broke off")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused, in a way that says nothing about the journal.
    #[error("the witness answered with status {0}; does it know this journal and its key?")]
    Status(u16),
    /// An answer that is none of the specification's.
    #[error("the answer of the witness is not in its form")]
    Answer,
    /// A cosignature that is missing or does not hold.
    #[error("the answer of the witness holds no cosignature of its key; check the key in the policy folder")]
    NoCosignature,
    /// A note that is not in its form.
    #[error("the witness's cosignature was refused")]
    Cosignature(#[source] NoteError),
    /// The store.
    #[error("the journal could not be read")]
    Store(#[from] StoreError),
}

impl OutboxError {
    /// A fixed word for metrics and log lines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Http(_) => "broken",
            Self::Status(_) => "refused",
            Self::Answer => "malformed",
            Self::NoCosignature | Self::Cosignature(_) => "bad-cosignature",
            Self::Store(_) => "store",
        }
    }
}

/// What came of asking a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It cosigned the checkpoint.
    Cosigned(Cosignature),
    /// It saw a larger journal than there is here.
    Ahead(u64),
    /// It saw another journal of this size, which the one here did not grow out of.
    Forked(u64),
}

/// What a witness answers to one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Cosigned(Cosignature),
    /// 409: the size that it saw last.
    Size(u64),
    /// 422.
    Inconsistent,
}

/// Asks a witness for its cosignature of the newest checkpoint, from the size that it is known to have cosigned. When
/// it tells another size, it is asked once more from there.
///
/// # Errors
/// [`OutboxError`] when it can't be asked, or its answer is of no use.
pub async fn witness_ask(
    store: &dyn Store,
    witness: &WitnessFile,
    newest: &Unwitnessed,
    known: u64,
) -> Result<Asked, OutboxError> {
    let mut old = known.min(newest.size);
    for _ in 0..TRIES {
        let submission = submission(store, newest, old).await?;
        match checkpoint_add(witness, &submission).await? {
            Told::Cosigned(cosignature) => return Ok(Asked::Cosigned(cosignature)),
            Told::Inconsistent => return Ok(Asked::Forked(old)),
            Told::Size(size) if size > newest.size => return Ok(Asked::Ahead(size)),
            Told::Size(size) if size == old && size == newest.size => return Ok(Asked::Forked(size)),
            Told::Size(size) => old = size,
        }
    }
    Err(OutboxError::Answer)
}

async fn submission(store: &dyn Store, newest: &Unwitnessed, old: u64) -> Result<Submission, OutboxError> {
    let proof = match old {
        0 => Vec::new(),
        old => {
            let proof = store.consistency_proof(Journal::Holder, old, Some(newest.size)).await?;
            proof.ok_or(StoreError::Tree { doing: "proving to a witness" })?.hashes
        }
    };
    Ok(Submission { old_size: old, proof, checkpoint: newest.note.clone() })
}

async fn checkpoint_add(witness: &WitnessFile, submission: &Submission) -> Result<Told, OutboxError> {
    let (status, kind, body) = checkpoint_hand_in(witness, submission).await?;
    match status {
        StatusCode::OK => cosignature(witness, submission, &body).map(Told::Cosigned),
        StatusCode::CONFLICT if kind == SIZE_CONTENT_TYPE => {
            parse_size(&body).map(Told::Size).ok_or(OutboxError::Answer)
        }
        StatusCode::UNPROCESSABLE_ENTITY => Ok(Told::Inconsistent),
        other => Err(OutboxError::Status(other.as_u16())),
    }
}

/// Takes the witness's own cosignature out of its answer; lines of other keys are passed over.
fn cosignature(
    witness: &WitnessFile,
    submission: &Submission,
    body: &str,
) -> Result<Cosignature, OutboxError> {
    // Anything else could move the place where the note's text ends.
    if !body.ends_with('\n') || !body.lines().all(|line| line.starts_with(SIGNATURE_START)) {
        return Err(OutboxError::Answer);
    }
    let note = format!("{}{body}", submission.checkpoint);
    witness.key.on(&note).map_err(OutboxError::Cosignature)?.ok_or(OutboxError::NoCosignature)
}

/// Hands a submission to a witness: the status, the content type and the text of its answer, whatever they are.
///
/// # Errors
/// [`OutboxError`] when no answer comes.
pub async fn checkpoint_hand_in(
    witness: &WitnessFile,
    submission: &Submission,
) -> Result<(StatusCode, String, String), OutboxError> {
    let exchange = async {
        let place = (witness.url.host.as_str(), witness.url.port);
        let tcp = TcpStream::connect(place).await.map_err(OutboxError::Connect)?;
        tcp.set_nodelay(true).map_err(OutboxError::Connect)?;
        match (witness.url.scheme, &witness.authority) {
            (WitnessScheme::Http, _) => exchange(tcp, witness, submission).await,
            (WitnessScheme::Https, authority) => {
                let connector = connector(authority.as_deref().unwrap_or_default())?;
                let name =
                    ServerName::try_from(witness.url.host.clone()).map_err(|error| tls(error.into()))?;
                let stream = connector.connect(name, tcp).await.map_err(|error| tls(error.into()))?;
                exchange(stream, witness, submission).await
            }
        }
    };
    timeout(WAIT_LONGEST, exchange).await.map_err(|_| OutboxError::TimedOut)?
}

async fn exchange<S>(
    stream: S,
    witness: &WitnessFile,
    submission: &Submission,
) -> Result<(StatusCode, String, String), OutboxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    // It ends when the sender is dropped, or with the exchange itself.
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("{}/add-checkpoint", witness.url.prefix))
        .header(header::HOST, witness.url.authority())
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Full::new(Bytes::from(submission.to_text())))
        .map_err(|error| broken(error.into()))?;
    let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    let body = body.map_err(broken)?.to_bytes();
    drop(sender);
    connection.abort();
    let text = String::from_utf8(body.to_vec()).map_err(|_| OutboxError::Answer)?;
    Ok((status, kind, text))
}

fn connector(authority: &str) -> Result<TlsConnector, OutboxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|error| tls(error.into()))?;
        roots.add(certificate).map_err(|error| tls(error.into()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| tls(error.into()))?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

fn tls(source: Box<dyn std::error::Error + Send + Sync>) -> OutboxError {
    OutboxError::Tls(source)
}

fn broken(source: Box<dyn std::error::Error + Send + Sync>) -> OutboxError {
    OutboxError::Http(source)
}

/// As the specification says, from the size that is known and from the one that is told.
const TRIES: usize = 2;
/// For connection, handshake and answer together: a witness writes one file, and the next run is a minute away.
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// A dozen cosignatures, of the longest kind.
const ANSWER_MAX_BYTES: usize = 64 * 1_024;
/// An em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";
