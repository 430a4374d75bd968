//! Connections that came in by the browsers' door, each served to its end.

use std::future::Future;
use std::pin::pin;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Console;
use crate::door::Guest;
use crate::door::limits::{CONNECTION_AGE, CONNECTION_GRACE, HANDSHAKE};

impl Console {
    /// Serves what comes in until `closed` comes, and then until the last connection has ended. The door has to
    /// be closed at the same time.
    pub async fn serve(self, mut incoming: mpsc::Receiver<Guest>, closed: impl Future<Output = ()> + Send) {
        let router = self.router();
        let (open, told) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut closed = pin!(closed);
        loop {
            tokio::select! {
                next = incoming.recv() => match next {
                    Some(guest) => {
                        connections.spawn(serve_one(router.clone(), guest, told.clone()));
                    }
                    None => break,
                },
                Some(_ended) = connections.join_next() => {}
                () = &mut closed => break,
            }
        }
        drop(open);
        while connections.join_next().await.is_some() {}
    }
}

async fn serve_one(router: Router, guest: Guest, mut told: watch::Receiver<()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES);
    let mut serving = pin!(http.serve_connection(TokioIo::new(guest), TowerToHyperService::new(router)));
    tokio::select! {
        // A connection that broke is its peer's affair.
        _ended = serving.as_mut() => return,
        () = sleep(CONNECTION_AGE) => {}
        // The sender is gone; nothing is ever sent.
        _closed = told.changed() => {}
    }
    serving.as_mut().graceful_shutdown();
    // What does not end by then is cut off.
    let _ended = timeout(CONNECTION_GRACE, serving).await;
}

/// Browsers send some twenty.
const HEADERS_MAX: usize = 64;
/// The head of a request; what is read of a body at a time.
const HEAD_MAX_BYTES: usize = 16 * 1_024;
