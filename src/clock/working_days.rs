//! Working days of New Zealand: Monday to Friday without the public holidays that the whole country observes (Holidays
//! Act 2003, sections 44 to 45A), Mondayised where the Act says so, with Matariki by the table of its Act.
//!
//! Left out: the anniversary days of regions, holidays of one year only, and the summer weeks that some Acts leave out
//! for their own terms. A clock that must heed one of those is to be agreed in hours, or with a day more.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};
use jiff::tz::TimeZone;

use super::Timestamp;

/// How long something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// So long, day and night.
    Time(Duration),
    /// Until the end of so many working days after the day (in New Zealand) on which it began.
    WorkingDays(u16),
}

impl Within {
    /// When it is over for something that began at this moment.
    #[must_use]
    pub fn after(self, begun: Timestamp) -> Timestamp {
        match self {
            Self::Time(time) => begun.after(time),
            Self::WorkingDays(days) => end_of(days, begun).unwrap_or(Timestamp::from_millis(i64::MAX)),
        }
    }

    /// The shortest time that it can be, to compare two of them.
    #[must_use]
    pub fn at_least(self) -> Duration {
        match self {
            Self::Time(time) => time,
            Self::WorkingDays(days) => DAY.saturating_mul(u32::from(days)),
        }
    }
}

/// The first moment after so many working days; none beyond the end of the calendar.
fn end_of(days: u16, begun: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::posix(NEW_ZEALAND).ok()?;
    let instant = jiff::Timestamp::from_millisecond(begun.as_millis()).ok()?;
    let mut day = zone.to_datetime(instant).date();
    for _ in 0..days {
        day = day.tomorrow().ok()?;
        while !is_working_day(day) {
            day = day.tomorrow().ok()?;
        }
    }
    let midnight = day.tomorrow().ok()?.to_zoned(zone).ok()?;
    Some(Timestamp::from_millis(midnight.timestamp().as_millisecond()))
}

/// Whether people work on this day.
#[must_use]
pub fn is_working_day(day: Date) -> bool {
    !is_weekend(day) && !is_observed(day)
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// Whether a public holiday is observed on this weekday.
fn is_observed(day: Date) -> bool {
    let year = day.year();
    let pairs = [(1, 1), (12, 25)].map(|(month, first)| Date::new(year, month, first).ok());
    let pair =
        pairs.into_iter().flatten().any(|first| day == moved_past_two(first) || day == second_of(first));
    let single = [(2, 6), (4, 25)].map(|(month, of_month)| Date::new(year, month, of_month).ok());
    let single = single.into_iter().flatten().any(|fixed| day == mondayised(fixed));
    let easter = easter_sunday(year).is_some_and(|sunday| {
        Some(day) == sunday.checked_sub(2.days()).ok() || Some(day) == sunday.tomorrow().ok()
    });
    let monday = [(6, 1), (10, 4)].into_iter().any(|(month, nth)| {
        let first = Date::new(year, month, 1).ok();
        first.and_then(|first| first.nth_weekday_of_month(nth, Weekday::Monday).ok()) == Some(day)
    });
    pair || single || easter || monday || MATARIKI.contains(&day)
}

/// Christmas Day and New Year's Day: on a Saturday the Monday after, on a Sunday the Tuesday, because the day that
/// follows them has the Monday.
fn moved_past_two(first: Date) -> Date {
    match first.weekday() {
        Weekday::Saturday | Weekday::Sunday => first.saturating_add(2.days()),
        _ => first,
    }
}

/// Boxing Day and 2 January, by the day before them.
fn second_of(first: Date) -> Date {
    moved_past_two(first.saturating_add(1.day()))
}

/// Waitangi Day and Anzac Day: from a weekend to the Monday after.
fn mondayised(day: Date) -> Date {
    match day.weekday() {
        Weekday::Saturday => day.saturating_add(2.days()),
        Weekday::Sunday => day.saturating_add(1.day()),
        _ => day,
    }
}

/// Easter Sunday of the Gregorian calendar, by the method of Meeus, Jones and Butcher.
fn easter_sunday(year: i16) -> Option<Date> {
    let (golden, century, of_century) = (year % 19, year / 100, year % 100);
    let moved = (century + 8) / 25;
    let epact = (19 * golden + century - century / 4 - (century - moved + 1) / 3 + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - epact - of_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let from_march = epact + weekday - 7 * late + 114;
    let (month, day) = (i8::try_from(from_march / 31).ok()?, i8::try_from(from_march % 31 + 1).ok()?);
    Date::new(year, month, day).ok()
}

const DAY: Duration = Duration::from_secs(86_400);
/// New Zealand's time since 2007: summer from the last Sunday of September to the first Sunday of April.
const NEW_ZEALAND: &str = "NZST-12NZDT,M9.5.0,M4.1.0/3";
/// The days of Te Rā Aro ki a Matariki, Schedule 1 of Te Kāhui o Matariki Public Holiday Act 2022; Parliament has set
/// none after 2052.
const MATARIKI: [Date; 31] = [
    date(2022, 6, 24),
    date(2023, 7, 14),
    date(2024, 6, 28),
    date(2025, 6, 20),
    date(2026, 7, 10),
    date(2027, 6, 25),
    date(2028, 7, 14),
    date(2029, 7, 6),
    date(2030, 6, 21),
    date(2031, 7, 11),
    date(2032, 7, 2),
    date(2033, 6, 24),
    date(2034, 7, 7),
    date(2035, 6, 29),
    date(2036, 7, 18),
    date(2037, 7, 10),
    date(2038, 6, 25),
    date(2039, 7, 15),
    date(2040, 7, 6),
    date(2041, 7, 19),
    date(2042, 7, 11),
    date(2043, 7, 3),
    date(2044, 6, 24),
    date(2045, 7, 7),
    date(2046, 6, 29),
    date(2047, 7, 19),
    date(2048, 7, 3),
    date(2049, 6, 25),
    date(2050, 7, 15),
    date(2051, 6, 30),
    date(2052, 6, 21),
];

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = include_str!("../../fixtures/holidays/new-zealand.txt");

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// The list holds the national holidays of 2023 to 2052 that fall on a weekday, as the Python package `holidays`
    /// 0.109 gives them.
    #[test]
    fn holidays_are_those_of_an_independent_list() {
        let mut days = Vec::new();
        let mut day = date(2023, 1, 1);
        while day < date(2053, 1, 1) {
            if !is_weekend(day) && is_observed(day) {
                days.push(day.to_string());
            }
            day = day.tomorrow().unwrap();
        }
        assert_eq!(days.len(), 329);
        assert_eq!(days, LIST.lines().collect::<Vec<_>>());
    }

    #[test]
    fn working_days_end_at_midnight_in_new_zealand() {
        for (begun, days, over) in [
            // A Tuesday afternoon: the clock begins with Wednesday.
            ("2026-03-10T02:00:00Z", 2, "2026-03-12T11:00:00Z"),
            // Still Tuesday in Greenwich, and Wednesday in Wellington.
            ("2026-03-10T11:30:00Z", 2, "2026-03-13T11:00:00Z"),
            // The Thursday before Easter, over the holidays and the end of summer time.
            ("2026-04-01T20:00:00Z", 1, "2026-04-07T12:00:00Z"),
            // Christmas Eve: Christmas, Boxing Day on the Monday, New Year, 2 January.
            ("2026-12-23T20:00:00Z", 3, "2026-12-31T11:00:00Z"),
            ("2026-12-23T20:00:00Z", 4, "2027-01-05T11:00:00Z"),
            // Matariki, a Friday in July.
            ("2026-07-08T20:00:00Z", 1, "2026-07-13T12:00:00Z"),
        ] {
            assert_eq!(Within::WorkingDays(days).after(at(begun)), at(over), "{days} from {begun}");
        }
        let hours = Within::Time(Duration::from_secs(48 * 3_600));
        assert_eq!(hours.after(at("2026-04-01T20:00:00Z")), at("2026-04-03T20:00:00Z"));
        let never = Within::WorkingDays(1).after(Timestamp::from_millis(i64::MAX));
        assert_eq!(never.as_millis(), i64::MAX);
    }
}
