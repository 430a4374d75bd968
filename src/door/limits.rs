//! What one connection, one partner and all of them together may cost: every limit of the wire.

use std::time::Duration;

use super::frames::FrameBudget;

/// Limits of the door that a configuration may tighten and tests make small.
#[derive(Debug, Clone, Copy)]
pub struct DoorLimits {
    /// How long a client may take for its handshake, and then again for the preface of HTTP/2.
    pub handshake: Duration,
    /// How many handshakes may be under way.
    pub handshakes: usize,
    /// How many of them from one address (IPv4) or one /64 (IPv6).
    pub handshakes_per_address: usize,
    /// How many connections may be open.
    pub connections: usize,
    /// How many of them in one trust domain.
    pub connections_per_domain: usize,
    /// After how long a connection is cut, whatever it is doing.
    pub connection_life: Duration,
    /// What a connection may send beside requests.
    pub frames: FrameBudget,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            handshake: HANDSHAKE,
            handshakes: HANDSHAKES,
            handshakes_per_address: HANDSHAKES_PER_ADDRESS,
            connections: CONNECTIONS,
            connections_per_domain: CONNECTIONS_PER_DOMAIN,
            connection_life: CONNECTION_AGE + CONNECTION_GRACE,
            frames: FrameBudget::default(),
        }
    }
}

/// A handshake over the slowest link between agencies takes under 2 s: 4 round trips of a satellite's 600 ms
/// with one packet lost; five times that.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// 1 ms of one core each: a quarter of a second of work when all of them come to their end at once.
pub const HANDSHAKES: usize = 256;
/// An eighth, so that one address that is slow on purpose leaves room for the others.
pub const HANDSHAKES_PER_ADDRESS: usize = 32;
/// [`CONNECTION_WINDOW_BYTES`] of each is 128 MiB at most, with 50 KiB of buffers for TLS 153 MiB.
pub const CONNECTIONS: usize = 512;
/// An eighth: a partner's systems keep a handful of connections each.
pub const CONNECTIONS_PER_DOMAIN: usize = 64;
/// Long enough that handshakes are rare, short enough that a certificate's end or a list's end is felt.
pub const CONNECTION_AGE: Duration = Duration::from_secs(15 * 60);
/// Three deadlines of an RPC, for those that were under way when the GOAWAY went out.
pub const CONNECTION_GRACE: Duration = Duration::from_secs(30);
/// The longest that any RPC may take; a client's shorter `grpc-timeout` holds.
pub const RPC_DEADLINE: Duration = Duration::from_secs(10);
/// Ping an idle peer this often, to find dead ones before their connection's age does.
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(30);
/// And take it for dead when it has not answered for so long.
pub const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// More under way than one partner's whole rate times the answer's fixed time; hyper sets no limit by itself
/// under tonic.
pub const STREAMS_PER_CONNECTION: u32 = 64;
/// The same number, for what has been read off the wire.
pub const REQUESTS_PER_CONNECTION: usize = 64;
/// Twice the streams: an honest client's slips in one burst. Refused streams count as well in h2 0.4.20.
pub const LOCAL_RESETS_PER_CONNECTION: usize = 128;
/// h2's own default, written down since hyper passes on whatever tonic says (CVE-2023-44487).
pub const PENDING_RESETS_PER_CONNECTION: usize = 20;
/// hyper's own default, written down: an honest request has under 1 KiB of headers.
pub const HEADER_LIST_MAX_BYTES: u32 = 16 * 1_024;
/// The smallest that HTTP/2 allows (RFC 9113, section 6.5.2): a frame is buffered whole.
pub const FRAME_MAX_BYTES: u32 = 16 * 1_024;
/// One whole request, [`REQUEST_MAX_BYTES`], without waiting for a window update.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1_024;
/// Four whole requests; times [`CONNECTIONS`] it is 128 MiB that peers can make us hold.
pub const CONNECTION_WINDOW_BYTES: u32 = 256 * 1_024;
/// A decoded request: sixteen samples of 512 components of 32 bits are 32 KiB; twice that.
pub const REQUEST_MAX_BYTES: usize = 64 * 1_024;
/// A decoded request of bulk enrolment: 1,024 subjects with a template of 2 KiB and as much of record.
pub const ENROLMENT_REQUEST_MAX_BYTES: usize = 4 * 1_024 * 1_024;
/// RPCs under way, all partners together: 16 cores, each with 32 waiting for their answer's fixed time.
pub const RPCS: usize = 512;
/// An eighth for one trust domain, so that one partner's burst leaves room for the others.
pub const RPCS_PER_DOMAIN: usize = 64;
/// Items of streams under way, from being read to being taken, for each of [`RPCS`]: four partners at their share. At
/// [`REQUEST_MAX_BYTES`] each they are 128 MiB, and 5 MiB with one sample of 512 components each.
pub const STREAM_ITEMS_PER_RPC: usize = 4;
/// The same of one trust domain, for each of [`RPCS_PER_DOMAIN`].
pub const STREAM_ITEMS_PER_RPC_OF_DOMAIN: usize = 8;
/// Eight scans of 64 probes: one under way, some that wait, and the rest whose answers are logged or wait for their time.
/// Half as many were all waiting where work took longer than the answer's fixed time, and left at twice that.
pub const STREAM_ITEMS_PER_DOMAIN: usize = STREAM_ITEMS_PER_RPC_OF_DOMAIN * RPCS_PER_DOMAIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_partner_leaves_room_for_others() {
        let shares = [
            (CONNECTIONS_PER_DOMAIN, CONNECTIONS),
            (HANDSHAKES_PER_ADDRESS, HANDSHAKES),
            (RPCS_PER_DOMAIN, RPCS),
            (STREAM_ITEMS_PER_DOMAIN, STREAM_ITEMS_PER_RPC * RPCS),
        ];
        for (share, all) in shares {
            assert!(share * 4 <= all, "{share} of {all} is too much for one; lower the share");
        }
    }

    #[test]
    fn what_peers_can_make_us_hold_is_bounded() {
        let held = u64::from(CONNECTION_WINDOW_BYTES) * u64::try_from(CONNECTIONS).unwrap();
        assert!(
            held <= 128 << 20,
            "peers could make the server hold {held} bytes; lower the window or CONNECTIONS"
        );
    }
}
