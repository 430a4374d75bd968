//! Connections that came in by the door, each served to its end, and the requests on them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use hyper::body::Body;
use hyper::service::service_fn;
use hyper::{Method, Request, body::Incoming as Sent};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use super::path::{self, File};
use super::reply::{self, Refused, Reply};
use crate::authz::{Reason, Standing};
use crate::door::limits::{
    CONNECTION_AGE, CONNECTION_WINDOW_BYTES, FRAME_MAX_BYTES, HANDSHAKE, HEADER_LIST_MAX_BYTES,
    KEEP_ALIVE_ANSWER, KEEP_ALIVE_EVERY, LOCAL_RESETS_PER_CONNECTION, PENDING_RESETS_PER_CONNECTION,
    RPC_DEADLINE, STREAM_WINDOW_BYTES,
};
use crate::door::{Connection, Incoming, Peer, Protocol, RpcSlots};
use crate::gate::{Caller, Credential, Gate};
use crate::store::Journal;
use crate::telemetry;

/// The log over HTTPS.
pub struct Tiles {
    gate: Arc<Gate>,
    slots: RpcSlots,
}

impl Tiles {
    /// The log behind this gate.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate, slots: RpcSlots::new(READS, READS_PER_DOMAIN) }
    }

    /// Serves what comes in until `closed` comes, and then until the last connection has ended. The door has to
    /// be closed at the same time; who does not end is the caller's to cut off.
    pub async fn serve(self, mut incoming: Incoming, closed: impl Future<Output = ()> + Send) {
        let tiles = Arc::new(self);
        let (open, told) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut closed = pin!(closed);
        loop {
            tokio::select! {
                next = incoming.next() => match next {
                    Some(Ok(connection)) => {
                        connections.spawn(Arc::clone(&tiles).serve_one(connection, told.clone()));
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                Some(_ended) = connections.join_next() => {}
                () = &mut closed => break,
            }
        }
        drop(open);
        while connections.join_next().await.is_some() {}
    }

    async fn serve_one(self: Arc<Self>, connection: Connection, mut told: watch::Receiver<()>) {
        let peer = connection.peer().clone();
        let http = http(connection.protocol());
        let service = service_fn(move |request| {
            let (tiles, peer) = (Arc::clone(&self), peer.clone());
            async move { Ok::<_, Infallible>(tiles.answer(&peer, &request).await) }
        });
        let mut serving = pin!(http.serve_connection(TokioIo::new(connection), service));
        tokio::select! {
            // A connection that broke is its peer's affair; one that the door ended was counted there.
            _ended = serving.as_mut() => return,
            () = sleep(CONNECTION_AGE) => {}
            // The sender is gone; nothing is ever sent.
            _closed = told.changed() => {}
        }
        serving.as_mut().graceful_shutdown();
        // The door cuts it off when it does not end.
        let _ended = serving.await;
    }

    async fn answer(&self, peer: &Peer, request: &Request<Sent>) -> Reply {
        let found = match timeout(RPC_DEADLINE, self.read(peer, request)).await {
            Ok(found) => found,
            Err(_) => Err(Refused::Late),
        };
        let reply = match found {
            Ok((file, content)) => reply::file(file, content),
            Err(refused) => {
                if let Refused::Failed(error) = &refused {
                    tracing::error!(error = %telemetry::chain(error), "a read of the log failed");
                }
                refused.reply()
            }
        };
        metrics::counter!(telemetry::TILE_READS, "code" => code(&reply)).increment(1);
        reply::to(request.method(), reply)
    }

    async fn read(&self, peer: &Peer, request: &Request<Sent>) -> Result<(File, Vec<u8>), Refused> {
        let _slot = self.slots.take(peer.identity().spiffe().trust_domain())?;
        // At every request, so that whoever was suspended is refused from then on.
        let caller = self.caller(peer)?;
        let (journal, file) = asked(request).map_err(|refused| match suspended(&caller) {
            Some(reason) => Refused::Suspended(reason),
            None => refused,
        })?;
        let content = match file {
            File::Checkpoint => self.gate.journal_checkpoint(&caller, journal).await?.into_bytes(),
            File::Tile(tile) => self.gate.journal_tile(&caller, journal, tile).await?,
            File::Bundle(bundle) => self.gate.journal_bundle(&caller, journal, bundle).await?,
        };
        Ok((file, content))
    }

    fn caller(&self, peer: &Peer) -> Result<Caller, Refused> {
        let spiffe_id = peer.identity().spiffe().to_string();
        let credential = Credential { spiffe_id: &spiffe_id, key_fingerprint: peer.identity().fingerprint() };
        Ok(self.gate.caller(credential)?)
    }
}

/// What a request names, if it is one that can be answered at all.
fn asked(request: &Request<Sent>) -> Result<(Journal, File), Refused> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Method);
    }
    if !request.body().is_end_stream() {
        return Err(Refused::Body);
    }
    if request.uri().query().is_some() {
        return Err(Refused::NotFound);
    }
    path::read(request.uri().path()).ok_or(Refused::NotFound)
}

/// Why somebody may read nothing at all. Where a file is named it is the rules that say so, and the log notes it.
fn suspended(caller: &Caller) -> Option<Reason> {
    let actor = caller.actor();
    match (actor.standing, &actor.partner) {
        (Standing::Active, _) => None,
        (Standing::Suspended, Some(_)) => Some(Reason::PartnerSuspended),
        (Standing::Suspended, None) => Some(Reason::PersonSuspended),
    }
}

/// How a connection is served: what it agreed to speak and nothing else, within the limits of the door.
fn http(protocol: Protocol) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_MAX_BYTES)
        .max_header_list_size(HEADER_LIST_MAX_BYTES)
        .max_local_error_reset_streams(Some(LOCAL_RESETS_PER_CONNECTION))
        .max_pending_accept_reset_streams(Some(PENDING_RESETS_PER_CONNECTION))
        .keep_alive_interval(Some(KEEP_ALIVE_EVERY))
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    match protocol {
        Protocol::Http1 => http.http1_only(),
        Protocol::Http2 => http.http2_only(),
    }
}

/// The status as a word for metrics; there are no others.
fn code(reply: &Reply) -> &'static str {
    match reply.status().as_u16() {
        200 => "200",
        403 => "403",
        404 => "404",
        405 => "405",
        413 => "413",
        429 => "429",
        _ => "503",
    }
}

/// Reads under way, everybody together. A read is a millisecond of one of the store's few readers, which questions
/// wait for as well: sixteen deep they wait a few milliseconds.
const READS: usize = 64;
/// A quarter for one trust domain: as many as two connections of HTTP/2 bring.
const READS_PER_DOMAIN: usize = 16;
/// Requests at a time on one connection of HTTP/2: enough to fill a link to the other side of the world with
/// bundles of 17 KiB at some megabytes a second.
const STREAMS: u32 = 8;
/// An honest request has under ten.
const HEADERS_MAX: usize = 32;
/// The head of a request over HTTP/1.1, as much as over HTTP/2.
const HEAD_MAX_BYTES: usize = 16 * 1_024;
/// One whole bundle, 256 entries of 65 bytes with two of length each, is 17,152 bytes.
const SEND_BUFFER_BYTES: usize = 32 * 1_024;
