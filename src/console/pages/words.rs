//! Names, times and states in plain words.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::approval::State;
use crate::clock::Timestamp;

/// A name of the policy in words: `border-identity` is `Border identity`.
pub(super) fn of_name(name: &str) -> String {
    let plain = name.replace('-', " ");
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A moment in New Zealand's civil time, with the zone.
pub(in crate::console) fn of_time(at: Timestamp) -> String {
    let zone = TimeZone::posix(NEW_ZEALAND).unwrap_or(TimeZone::UTC);
    let at = jiff::Timestamp::from_millisecond(at.as_millis())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(zone);
    let half = if at.hour() < 12 { "am" } else { "pm" };
    strtime::format("%-d %B %Y, %-I:%M", &at)
        .and_then(|text| Ok(format!("{text} {half} {}", strtime::format("%Z", &at)?)))
        .unwrap_or_else(|_| at.to_string())
}

/// A day as it stands in the store, `2026-07-01`, as people read it.
pub(super) fn of_day(date: &str) -> String {
    let day = date.parse::<jiff::civil::Date>().ok();
    day.and_then(|day| strtime::format("%-d %B %Y", day).ok()).unwrap_or_else(|| date.to_owned())
}

/// The moment at which a day begins in New Zealand, so many days later than the one named.
pub(super) fn day_begun(date: jiff::civil::Date, later: i8) -> Option<Timestamp> {
    let zone = TimeZone::posix(NEW_ZEALAND).ok()?;
    let date = date.checked_add(jiff::Span::new().try_days(later).ok()?).ok()?;
    let begun = date.to_zoned(zone).ok()?;
    Some(Timestamp::from_millis(begun.timestamp().as_millisecond()))
}

/// A moment as people write it in New Zealand, `2026-07-01 14:30`.
pub(super) fn moment_of(text: &str) -> Option<Timestamp> {
    let zone = TimeZone::posix(NEW_ZEALAND).ok()?;
    let at = text.trim().parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone).ok()?;
    text.contains(':').then(|| Timestamp::from_millis(at.timestamp().as_millisecond()))
}

/// How long from one moment to a later one, in the unit that says enough.
pub(super) fn of_span(from: Timestamp, to: Timestamp) -> String {
    let minutes = to.as_millis().saturating_sub(from.as_millis()).max(0) / 60_000;
    let (count, unit) = match minutes {
        0 => return "less than a minute".to_owned(),
        1..=119 => (minutes, "minute"),
        120..=2_879 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{ending}")
}

/// The time that is left until a moment.
pub(super) fn of_clock(now: Timestamp, ends: Timestamp) -> String {
    if ends <= now { "time is over".to_owned() } else { format!("{} left", of_span(now, ends)) }
}

/// A state in words, with the colour of its tag.
pub(super) fn of_state(state: State) -> (String, &'static str) {
    let colour = match state.as_str() {
        "pending" => "govuk-tag--blue",
        "partially-approved" | "approved" | "released" => "govuk-tag--turquoise",
        "needs-information" => "govuk-tag--yellow",
        "acknowledged" => "govuk-tag--green",
        "denied" | "revoked" | "locked" => "govuk-tag--red",
        _ => "govuk-tag--grey",
    };
    (of_name(state.as_str()), colour)
}

/// NZST and NZDT as the Time Zone Regulations have them, so that no database of the machine is needed (POSIX `TZ`).
const NEW_ZEALAND: &str = "NZST-12NZDT,M9.5.0,M4.1.0/3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_new_zealands_with_the_zone_of_the_season() {
        let at =
            |text: &str| Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(of_time(at("2026-11-22T22:05:00Z")), "23 November 2026, 11:05 am NZDT");
        assert_eq!(of_time(at("2026-07-01T00:30:00Z")), "1 July 2026, 12:30 pm NZST");
        assert_eq!(of_time(at("2026-04-04T13:59:00Z")), "5 April 2026, 2:59 am NZDT");
        assert_eq!(of_time(at("2026-04-04T14:00:00Z")), "5 April 2026, 2:00 am NZST");
    }

    #[test]
    fn days_begin_in_new_zealand() {
        let begun = |date: &str, later| day_begun(date.parse().unwrap(), later).unwrap().to_string();
        assert_eq!(begun("2026-07-01", 0), "2026-06-30T12:00:00.000Z");
        assert_eq!(begun("2026-11-22", 1), "2026-11-22T11:00:00.000Z");
    }

    #[test]
    fn days_are_written_out() {
        assert_eq!([of_day("2026-07-01"), of_day("soon")], ["1 July 2026", "soon"]);
    }

    #[test]
    fn moments_are_new_zealands() {
        let moment = |text: &str| moment_of(text).map(|at| at.to_string());
        assert_eq!(moment(" 2026-07-01 14:30 ").as_deref(), Some("2026-07-01T02:30:00.000Z"));
        assert_eq!([moment("2026-07-01"), moment("half past two"), moment("")], [None, None, None]);
    }

    #[test]
    fn spans_are_in_the_unit_that_says_enough() {
        let span =
            |minutes: i64| of_span(Timestamp::from_millis(0), Timestamp::from_millis(minutes * 60_000));
        assert_eq!(
            [0, 1, 119, 120, 2_879, 2_880].map(span),
            ["less than a minute", "1 minute", "119 minutes", "2 hours", "47 hours", "2 days"]
        );
        assert_eq!(of_clock(Timestamp::from_millis(5), Timestamp::from_millis(5)), "time is over");
    }

    #[test]
    fn names_are_shown_as_words() {
        assert_eq!([of_name("border-identity"), of_name("ā-b"), of_name("")], ["Border identity", "Ā b", ""]);
    }
}
