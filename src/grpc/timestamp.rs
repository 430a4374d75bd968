//! Times on the wire.

use crate::clock::Timestamp;

/// The instant as it is sent.
#[must_use]
pub fn timestamp_to_pb(instant: Timestamp) -> prost_types::Timestamp {
    let millis = instant.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(MILLIS_A_SECOND),
        // Below 10^9, which fits.
        nanos: i32::try_from(millis.rem_euclid(MILLIS_A_SECOND).saturating_mul(NANOS_A_MILLI)).unwrap_or(0),
    }
}

/// The instant that was sent, to the millisecond; `None` when its parts are out of their ranges.
#[must_use]
pub fn timestamp_from_pb(sent: &prost_types::Timestamp) -> Option<Timestamp> {
    let nanos = i64::from(sent.nanos);
    if !(0..NANOS_A_SECOND).contains(&nanos) {
        return None;
    }
    let millis = sent.seconds.checked_mul(MILLIS_A_SECOND)?.checked_add(nanos / NANOS_A_MILLI)?;
    Some(Timestamp::from_millis(millis))
}

const MILLIS_A_SECOND: i64 = 1_000;
const NANOS_A_MILLI: i64 = 1_000_000;
const NANOS_A_SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_go_there_and_back() {
        for millis in [0, 1, -1, 1_767_225_599_999, -62_135_596_800_000] {
            let instant = Timestamp::from_millis(millis);
            assert_eq!(timestamp_from_pb(&timestamp_to_pb(instant)), Some(instant));
        }
    }

    #[test]
    fn impossible_instants_are_none() {
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            let sent = prost_types::Timestamp { seconds, nanos };
            assert_eq!(timestamp_from_pb(&sent), None, "{seconds} s and {nanos} ns");
        }
    }
}
