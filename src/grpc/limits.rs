//! Every limit of the door that tonic sets for us.

use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::door::limits::{
    CONNECTION_AGE, CONNECTION_WINDOW_BYTES, FRAME_MAX_BYTES, HEADER_LIST_MAX_BYTES, KEEP_ALIVE_ANSWER,
    KEEP_ALIVE_EVERY, LOCAL_RESETS_PER_CONNECTION, PENDING_RESETS_PER_CONNECTION, REQUESTS_PER_CONNECTION,
    RPC_DEADLINE, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION,
};
use crate::door::{Connection, Peer};

/// Gives a server every limit of HTTP/2 that tonic can set.
///
/// Three things tonic 0.14.9 can't, or does wrongly:
/// - With `max_connection_age_grace` it cuts the connection after age and grace without ever having sent a
///   GOAWAY. So only the age is set, which sends the GOAWAY, and the door cuts after the grace
///   ([`DoorLimits::connection_life`]).
/// - It has no setter for hyper's `max_send_buf_size`, the answer bytes buffered a stream (400 KiB by default):
///   keep answers small, or stream them.
/// - It limits neither PING nor SETTINGS nor other frames outside requests: see [`FrameBudget`].
///
/// What stays with each service: `max_decoding_message_size` with [`REQUEST_MAX_BYTES`] or
/// [`ENROLMENT_REQUEST_MAX_BYTES`], and no `accept_compressed`, so that compressed input is refused.
#[must_use]
pub fn apply<L>(server: Server<L>) -> Server<L> {
    server
        .timeout(RPC_DEADLINE)
        .concurrency_limit_per_connection(REQUESTS_PER_CONNECTION)
        .load_shed(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_MAX_BYTES)
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(HEADER_LIST_MAX_BYTES)
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_PER_CONNECTION))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_PER_CONNECTION))
        .http2_keepalive_interval(Some(KEEP_ALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .max_connection_age(CONNECTION_AGE)
        .accept_http1(false)
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer().clone()
    }
}
