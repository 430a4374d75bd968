//! What a peer may send beside requests: a budget for HTTP/2 frames that cost us work and bring it nothing.
//!
//! hyper answers every PING and SETTINGS, however many. So the headers of the frames that were read off the
//! wire, 9 bytes each (RFC 9113, section 4.1), are looked at on their way to hyper, without copying or holding
//! back anything.

use std::time::Duration;

use tokio::time::Instant;

/// What a connection may send in one window of time beside requests and their data.
#[derive(Debug, Clone, Copy)]
pub struct FrameBudget {
    /// The window after which counting starts again.
    pub window: Duration,
    /// Control frames that are free: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, CONTINUATION, GOAWAY, empty or
    /// padded DATA, and kinds that HTTP/2 does not know.
    pub control: u64,
    /// One more control frame for so many bytes that we sent.
    pub bytes_a_frame: u64,
    /// RST_STREAM frames; nothing earns more of them.
    pub resets: u64,
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self { window: WINDOW, control: CONTROL_FRAMES, bytes_a_frame: BYTES_A_FRAME, resets: RESETS }
    }
}

/// Which part of the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// Too many control frames.
    Control,
    /// Too many RST_STREAM.
    Resets,
}

/// Follows one connection's frames.
#[derive(Debug)]
pub struct FrameWatch {
    budget: FrameBudget,
    place: Place,
    began: bool,
    window_start: Instant,
    spent: Spent,
}

impl FrameWatch {
    /// Begins before the client's preface.
    #[must_use]
    pub fn new(budget: FrameBudget, now: Instant) -> Self {
        Self {
            budget,
            place: Place::Preface { left: PREFACE_BYTES },
            began: false,
            window_start: now,
            spent: Spent::default(),
        }
    }

    /// Takes note of bytes that were read, in any pieces.
    ///
    /// # Errors
    /// [`Flood`] when the budget of this window is spent: the connection has to be cut.
    pub fn read(&mut self, bytes: &[u8], now: Instant) -> Result<(), Flood> {
        self.turn_window(now);
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.step(rest);
        }
        let earned = self.spent.written.checked_div(self.budget.bytes_a_frame).unwrap_or(0);
        if self.spent.resets > self.budget.resets {
            Err(Flood::Resets)
        } else if self.spent.control > self.budget.control.saturating_add(earned) {
            Err(Flood::Control)
        } else {
            Ok(())
        }
    }

    /// Takes note that so many bytes were written.
    pub fn wrote(&mut self, bytes: usize, now: Instant) {
        self.turn_window(now);
        self.spent.written = self.spent.written.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether the peer has sent its preface and the header of a frame.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.began
    }

    fn turn_window(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window_start) >= self.budget.window {
            self.window_start = now;
            self.spent = Spent::default();
        }
    }

    /// Consumes from `bytes` what belongs to one place and gives the rest.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.place {
            Place::Preface { left } | Place::Payload { left } => {
                let (rest, still_left) = skip(bytes, *left);
                self.place = if still_left == 0 {
                    Place::Header(Header::default())
                } else {
                    Place::Payload { left: still_left }
                };
                rest
            }
            Place::Header(header) => {
                let rest = header.take(bytes);
                if header.is_whole() {
                    let header = *header;
                    self.began = true;
                    self.spent.count(&header);
                    self.place = match header.length() {
                        0 => Place::Header(Header::default()),
                        left => Place::Payload { left },
                    };
                }
                rest
            }
        }
    }
}

#[derive(Debug)]
enum Place {
    Preface { left: u32 },
    Header(Header),
    Payload { left: u32 },
}

/// The 9 bytes before every frame: length (24 bits), type, flags, stream.
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES],
    have: usize,
}

impl Header {
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let missing = HEADER_BYTES.saturating_sub(self.have).min(bytes.len());
        let (head, rest) = bytes.split_at(missing);
        for (to, from) in self.bytes.iter_mut().skip(self.have).zip(head) {
            *to = *from;
        }
        self.have = self.have.saturating_add(missing);
        rest
    }

    const fn is_whole(&self) -> bool {
        self.have >= HEADER_BYTES
    }

    fn length(&self) -> u32 {
        let [high, middle, low, ..] = self.bytes;
        u32::from_be_bytes([0, high, middle, low])
    }

    fn kind(&self) -> Kind {
        let [_, _, _, kind, flags, ..] = self.bytes;
        match kind {
            TYPE_DATA => {
                let empty = self.length() == 0 && flags & FLAG_END_STREAM == 0;
                // Padding makes an empty frame look full; no gRPC client pads.
                if empty || flags & FLAG_PADDED != 0 { Kind::Control } else { Kind::Request }
            }
            TYPE_HEADERS => Kind::Request,
            TYPE_RST_STREAM => Kind::Reset,
            _ => Kind::Control,
        }
    }
}

enum Kind {
    /// Opens a request or carries it: limited by the number of streams, by windows and by sizes.
    Request,
    Reset,
    Control,
}

#[derive(Debug, Default)]
struct Spent {
    control: u64,
    resets: u64,
    written: u64,
}

impl Spent {
    fn count(&mut self, header: &Header) {
        match header.kind() {
            Kind::Request => {}
            Kind::Reset => self.resets = self.resets.saturating_add(1),
            Kind::Control => self.control = self.control.saturating_add(1),
        }
    }
}

fn skip(bytes: &[u8], left: u32) -> (&[u8], u32) {
    let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    let (_, rest) = bytes.split_at(take);
    (rest, left.saturating_sub(u32::try_from(take).unwrap_or(u32::MAX)))
}

/// As long as an RPC may take, so that what belongs to one request mostly falls into one window.
const WINDOW: Duration = Duration::from_secs(10);
/// Eight for each of the 64 streams that may be open: two window updates, a ping that measures the link, and as
/// many again for clients that do it clumsily, for requests that began in the window before.
const CONTROL_FRAMES: u64 = 64 * 8;
/// More than we send in answer to any control frame (17 bytes to a PING, 13 to a refused stream, 9 to SETTINGS),
/// so that a flood does not earn its own continuation; and less than the smallest answer to a request (45 bytes),
/// so that a client that pings once an answer, as those do that measure the link, never runs short.
const BYTES_A_FRAME: u64 = 32;
/// Four times the streams that may be open: an honest client gives up all of them at most once in an RPC's
/// deadline, and each costs us a search.
const RESETS: u64 = 64 * 4;

/// RFC 9113, section 3.4: `PRI * HTTP/2.0`, two line ends, `SM`, two line ends.
const PREFACE_BYTES: u32 = 24;
const HEADER_BYTES: usize = 9;
const TYPE_DATA: u8 = 0x0;
const TYPE_HEADERS: u8 = 0x1;
const TYPE_RST_STREAM: u8 = 0x3;
const FLAG_END_STREAM: u8 = 0x1;
const FLAG_PADDED: u8 = 0x8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload).unwrap().to_be_bytes();
        let mut bytes = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEADER_BYTES + payload, 0x06);
        bytes
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    fn unlimited() -> FrameBudget {
        FrameBudget { window: Duration::MAX, control: u64::MAX, bytes_a_frame: 32, resets: u64::MAX }
    }

    fn expected(kind: u8, flags: u8, payload: usize) -> (u64, u64) {
        match kind {
            0 if flags & 8 != 0 || (payload == 0 && flags & 1 == 0) => (1, 0),
            0 | 1 => (0, 0),
            3 => (0, 1),
            _ => (1, 0),
        }
    }

    proptest! {
        #[test]
        fn frames_are_counted_alike_however_they_are_split(
            frames in proptest::collection::vec((0_u8..12, any::<u8>(), 0_usize..70), 0..60),
            cuts in proptest::collection::vec(1_usize..40, 1..60),
        ) {
            let mut wire = preface();
            let (mut control, mut resets) = (0, 0);
            for (kind, flags, payload) in &frames {
                wire.extend(frame(*kind, *flags, *payload));
                let (more_control, more_resets) = expected(*kind, *flags, *payload);
                control += more_control;
                resets += more_resets;
            }
            let now = Instant::from_std(std::time::Instant::now());
            let mut watch = FrameWatch::new(unlimited(), now);
            let mut rest = wire.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                prop_assert_eq!(watch.read(piece, now), Ok(()));
                rest = after;
            }
            prop_assert_eq!((watch.spent.control, watch.spent.resets), (control, resets));
            prop_assert_eq!(watch.has_begun(), !frames.is_empty());
        }

        #[test]
        fn any_bytes_are_followed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let now = Instant::from_std(std::time::Instant::now());
            let _ = FrameWatch::new(FrameBudget::default(), now).read(&bytes, now);
        }
    }

    #[test]
    fn the_budget_is_spent_in_a_window_and_whole_again_in_the_next() {
        let start = Instant::from_std(std::time::Instant::now());
        let budget =
            FrameBudget { window: Duration::from_secs(10), control: 3, bytes_a_frame: 32, resets: 1 };
        let mut watch = FrameWatch::new(budget, start);
        watch.read(&preface(), start).unwrap();
        let (ping, reset) = (frame(6, 0, 8), frame(3, 0, 4));
        for _ in 0..3 {
            assert_eq!(watch.read(&ping, start), Ok(()));
        }
        watch.wrote(63, start);
        assert_eq!(watch.read(&ping, start), Ok(()), "63 bytes written should have paid for one frame");
        assert_eq!(watch.read(&ping, start), Err(Flood::Control));
        let later = start + Duration::from_secs(10);
        assert_eq!(watch.read(&reset, later), Ok(()));
        assert_eq!(watch.read(&reset, later), Err(Flood::Resets));
    }

    #[test]
    fn a_ping_flood_does_not_pay_for_itself() {
        let now = Instant::from_std(std::time::Instant::now());
        let mut watch = FrameWatch::new(FrameBudget::default(), now);
        watch.read(&preface(), now).unwrap();
        let ping = frame(6, 0, 8);
        let cut_after = (0..20_000).position(|_| {
            watch.wrote(17, now);
            watch.read(&ping, now).is_err()
        });
        assert!(cut_after.is_some_and(|pings| pings < 1_200), "the flood went on for {cut_after:?} pings");
    }

    #[test]
    fn an_honest_client_that_pings_once_an_answer_is_not_cut() {
        let now = Instant::from_std(std::time::Instant::now());
        let mut watch = FrameWatch::new(FrameBudget::default(), now);
        watch.read(&preface(), now).unwrap();
        for answer in 0..50_000 {
            let request = [frame(1, 4, 60), frame(0, 1, 90), frame(6, 0, 8)].concat();
            assert_eq!(watch.read(&request, now), Ok(()), "cut after {answer} answers");
            watch.wrote(45 + 17, now);
        }
    }
}
