//! The witness over HTTP: `POST /add-checkpoint`, and nothing else.
//!
//! Whoever reaches it may ask; it authenticates checkpoints, not callers. So every connection, header and body
//! has its limit.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::rules::{Answer, Witness};
use crate::audit::submission::{SIZE_CONTENT_TYPE, SUBMISSION_MAX_BYTES, size_text};

/// Certificate or key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// PEM that is none.
    #[error("certificate or private key is not in PEM; check that the files are the right ones")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// Certificate and key that TLS can't use.
    #[error("certificate and private key can't be used together; check that they belong together")]
    Tls(#[source] rustls::Error),
}

/// The witness's own side of TLS; callers need no certificate.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// With this certificate chain and this private key, both PEM.
    ///
    /// # Errors
    /// [`ServeError`].
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, ServeError> {
        let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(ServeError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(ServeError::Pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(ServeError::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Serves until `told` to stop; submissions under way are answered first.
pub async fn serve(
    witness: Arc<Witness>,
    listener: TcpListener,
    tls: Option<Tls>,
    told: impl Future<Output = ()>,
) {
    let app = Router::new().route("/add-checkpoint", post(add_checkpoint)).with_state(witness);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (open, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut told = pin!(told);
    loop {
        // Who has ended is forgotten, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut told => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "no connection could be accepted");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let (app, tls, closed) = (app.clone(), tls.clone(), closed.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, app, closed).await,
                Some(Tls(acceptor)) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_LONGEST, acceptor.accept(stream)).await {
                        connection(stream, app, closed).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(open);
    let ended = timeout(DRAIN_LONGEST, async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        tracing::warn!(count = connections.len(), "connections that did not end were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // One that is gone already is found out when it is read.
    let _may_be_gone = stream.set_nodelay(true);
    Ok((stream, permit))
}

/// Serves one connection until it ends, is too old, or the witness stops.
async fn connection<S>(stream: S, app: Router, mut closed: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_LONGEST)
        .max_buf_size(HEADERS_MAX_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(READ_LONGEST)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST_MAX_BYTES)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    tokio::select! {
        _ended = serving.as_mut() => return,
        () = sleep(CONNECTION_LONGEST) => {}
        _sender_is_gone = closed.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ended = timeout(READ_LONGEST, serving).await;
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let body = match timeout(READ_LONGEST, to_bytes(request.into_body(), SUBMISSION_MAX_BYTES)).await {
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
        Ok(Err(_)) => {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or broke off\n")
                .into_response();
        }
        Ok(Ok(body)) => body,
    };
    let answered = tokio::task::spawn_blocking(move || answer(&witness, &body)).await;
    response(answered.unwrap_or(Answer::Failed))
}

fn answer(witness: &Witness, body: &Bytes) -> Answer {
    match std::str::from_utf8(body) {
        Ok(text) => witness.checkpoint_add(text),
        Err(_) => Answer::Malformed("the request is not UTF-8".to_owned()),
    }
}

fn response(answer: Answer) -> Response {
    tracing::debug!(kind = word(&answer), "a checkpoint was answered");
    let (status, text) = match answer {
        Answer::Cosigned(line) => (StatusCode::OK, line),
        Answer::Malformed(what) => (StatusCode::BAD_REQUEST, format!("{what}\n")),
        Answer::NotSigned => (StatusCode::FORBIDDEN, "no key known here for this log signed it\n".to_owned()),
        Answer::UnknownOrigin => (StatusCode::NOT_FOUND, "this log is not known here\n".to_owned()),
        Answer::Conflict(size) => {
            let kind = [(header::CONTENT_TYPE, SIZE_CONTENT_TYPE)];
            return (StatusCode::CONFLICT, kind, Body::from(size_text(size))).into_response();
        }
        Answer::Inconsistent => (StatusCode::UNPROCESSABLE_ENTITY, "the proof does not hold\n".to_owned()),
        Answer::Failed => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "nothing could be recorded, so nothing is cosigned\n".to_owned(),
        ),
    };
    (status, text).into_response()
}

const fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Cosigned(_) => "cosigned",
        Answer::Malformed(_) => "malformed",
        Answer::NotSigned => "not-signed",
        Answer::UnknownOrigin => "unknown-origin",
        Answer::Conflict(_) => "conflict",
        Answer::Inconsistent => "inconsistent",
        Answer::Failed => "failed",
    }
}

/// A witness serves a few logs, each of which asks once a minute over one connection.
const CONNECTIONS: usize = 256;
const STREAMS: u32 = 16;
const RESETS: usize = 20;
const HEADERS_MAX_BYTES: usize = 16 * 1_024;
const HEADER_LIST_MAX_BYTES: u32 = 16 * 1_024;
const HANDSHAKE_LONGEST: Duration = Duration::from_secs(10);
/// For the head of a request, and for its body.
const READ_LONGEST: Duration = Duration::from_secs(10);
const CONNECTION_LONGEST: Duration = Duration::from_secs(15 * 60);
const DRAIN_LONGEST: Duration = Duration::from_secs(12);
/// When the system has no room for another connection, asking it again at once helps nobody.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
