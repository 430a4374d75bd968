//! Time as an argument: the server reads the system's clock, tests hold one in their hand.

mod working_days;

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use working_days::{Within, is_working_day};

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant so many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The day (UTC) that the instant lies in, counted from 1970-01-01.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// The first moment (UTC) of a day that is counted from 1970-01-01.
    #[must_use]
    pub const fn at_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY_MS))
    }

    /// The year (UTC) that the instant lies in.
    #[must_use]
    pub fn year(self) -> i16 {
        self.civil().year()
    }

    /// This instant and so much later; stops at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant and so much earlier; stops at the beginning of time.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }

    fn civil(self) -> jiff::civil::Date {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        instant.to_zoned(jiff::tz::TimeZone::UTC).date()
    }
}

impl Timestamp {
    /// The moment in this text: RFC 3339, or a date for the beginning of that day in UTC. `None` when it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(date) = text.parse::<jiff::civil::Date>()
            && text.len() == DATE_CHARS
        {
            return Some(Self::at_day(day_of(date)));
        }
        text.parse::<jiff::Timestamp>().ok().map(|at| Self::from_millis(at.as_millisecond()))
    }
}

/// Days from 1970-01-01 to a date.
#[must_use]
pub fn day_of(date: jiff::civil::Date) -> i64 {
    i64::from((date - EPOCH).get_days())
}

/// The date of a day that is counted from 1970-01-01; the first or last date there is for one beyond.
#[must_use]
pub fn date_of(day: i64) -> jiff::civil::Date {
    let day = day.clamp(-DAYS_MAX, DAYS_MAX);
    EPOCH.saturating_add(jiff::SignedDuration::from_hours(day.saturating_mul(24)))
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the millisecond.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => write!(out, "{instant:.3}"),
            Err(_) => write!(out, "{} ms after 1970", self.0),
        }
    }
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.store(self.now().after(by).0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Beyond the last date that there is, on either side.
const DAYS_MAX: i64 = 10_000_000;
/// `2026-07-01`; anything longer says more than a day.
const DATE_CHARS: usize = 10;
const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(1970, 1, 1);
const DAY_MS: i64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_and_back() {
        for (day, date) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (20_453, "2025-12-31"), (20_512, "2026-02-28")]
        {
            assert_eq!(date_of(day).to_string(), date);
            assert_eq!(day_of(date_of(day)), day);
            assert_eq!(Timestamp::at_day(day).day(), day);
        }
    }

    #[test]
    fn days_and_years_follow_utc() {
        let instant = Timestamp::from_millis(1_767_225_599_999);
        assert_eq!(instant.to_string(), "2025-12-31T23:59:59.999Z");
        assert_eq!((instant.year(), instant.day()), (2025, 20_453));
        assert_eq!(
            (instant.after(Duration::from_millis(1)).year(), Timestamp::from_millis(-1).day()),
            (2026, -1)
        );
    }

    #[test]
    fn a_day_beyond_all_dates_is_the_last_one() {
        assert_eq!(date_of(0), EPOCH);
        assert_eq!((date_of(i64::MAX), date_of(i64::MIN)), (jiff::civil::Date::MAX, jiff::civil::Date::MIN));
    }
}
