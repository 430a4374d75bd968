use super::*;
use crate::ids::Digest;

fn event(kind: Kind, hour: i64) -> Event {
    Event::new(kind, at(hour), "somebody", Digest::from_bytes([1; 32])).with(Fact::Disclosure, &[7; 16])
}

fn question(hour: i64, is_hit: bool, hidden: u8) -> Event {
    event(Kind::QueryAnswered, hour)
        .with(Fact::Outcome, &[u8::from(is_hit)])
        .with(Fact::HiddenSubject, &[hidden; 16])
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_millis(1_782_864_000_000 + hour * 3_600_000)
}

/// The figures of ten days from 2026-07-01.
fn figures(events: &[Event]) -> Figures {
    let mut tally = Tally::new(at(0), at(240));
    tally.partner("au-border");
    for event in events {
        tally.take("au-border", event);
        tally.take_of_holder(event);
    }
    tally.done().remove("au-border").unwrap()
}

#[test]
fn questions_are_counted_by_month_and_hidden_people_apart() {
    let events = [
        question(-1, true, 0),
        question(1, true, 0),
        question(2, false, 0),
        question(3, false, 5),
        question(4, true, 5),
        event(Kind::QueryRefused, 5),
        question(240, true, 0),
    ];
    let found = figures(&events);
    assert_eq!((found.questions, found.hits, found.hidden_hits, found.questions_refused), (4, 2, 1, 1));
    assert_eq!(found.months, BTreeMap::from([("2026-07".to_owned(), Month { questions: 4, hits: 2 })]));
}

#[test]
fn a_request_of_the_period_is_followed_to_its_end_beyond_it() {
    let request = event(Kind::DisclosureRequested, 230).with(Fact::Query, &[3; 16]);
    let events = [
        request,
        event(Kind::DisclosureQuestioned, 231),
        event(Kind::DisclosureAnswered, 234),
        event(Kind::DisclosureReleased, 250).text(Fact::Fields, "family-name,date-of-birth"),
        event(Kind::DisclosureAcknowledged, 252),
    ];
    let found = figures(&events);
    assert_eq!((found.requests, found.hits_followed, found.released), (1, 1, 1));
    assert_eq!(
        found.fields,
        BTreeMap::from([("family-name".to_owned(), 1), ("date-of-birth".to_owned(), 1)])
    );
    let hours = |hours: u64| vec![Duration::from_secs(hours * 3_600)];
    assert_eq!((found.to_decide, found.to_answer, found.to_acknowledge), (hours(20), hours(3), hours(2)));
}

#[test]
fn what_came_of_questions_is_told_by_the_collection_that_was_searched() {
    let hit = |hour: i64, query: u8, collection: &str| {
        question(hour, true, 0).with(Fact::Query, &[query; 16]).text(Fact::Collection, collection)
    };
    let request = |hour: i64, query: u8, disclosure: u8| {
        Event::new(Kind::DisclosureRequested, at(hour), "somebody", Digest::from_bytes([1; 32]))
            .with(Fact::Disclosure, &[disclosure; 16])
            .with(Fact::Query, &[query; 16])
    };
    let release = |hour: i64, disclosure: u8| {
        Event::new(Kind::DisclosureReleased, at(hour), "somebody", Digest::from_bytes([1; 32]))
            .with(Fact::Disclosure, &[disclosure; 16])
            .text(Fact::Fields, "family-name")
    };
    let events = [
        hit(-2, 1, "face"),
        hit(1, 2, "face"),
        hit(2, 3, "finger"),
        question(3, false, 0).text(Fact::Collection, "finger"),
        // Two requests after one hit, both released; one after a hit from before the period, which nobody decided.
        request(4, 3, 11),
        request(5, 3, 12),
        request(6, 1, 13),
        release(7, 11),
        release(8, 12),
    ];
    let searched = |questions, hits, followed, released| Searched {
        questions,
        hits,
        followed,
        released,
        ..Searched::default()
    };
    assert_eq!(
        figures(&events).collections,
        BTreeMap::from([
            ("face".to_owned(), searched(1, 1, 1, 0)),
            ("finger".to_owned(), searched(2, 1, 1, 1)),
        ])
    );
}

#[test]
fn a_hit_of_another_person_is_counted_once_whenever_it_is_found() {
    let of = |kind: Kind, hour: i64, disclosure: u8| {
        Event::new(kind, at(hour), "somebody", Digest::from_bytes([1; 32]))
            .with(Fact::Disclosure, &[disclosure; 16])
    };
    let hit = |query: u8| question(1, true, 0).with(Fact::Query, &[query; 16]).text(Fact::Collection, "face");
    let asked = |query: u8, disclosure: u8| {
        of(Kind::DisclosureRequested, 2, disclosure).with(Fact::Query, &[query; 16])
    };
    let ended = |kind: Kind, disclosure: u8, reason: &str| of(kind, 3, disclosure).text(Fact::Reason, reason);
    let told =
        |disclosure: u8, reason: &str| of(Kind::CorrectionTold, 4, disclosure).text(Fact::Reason, reason);
    let found = figures(&[
        hit(1),
        hit(2),
        hit(3),
        hit(4),
        // Found before a release, of two requests after the same hit.
        asked(1, 11),
        asked(1, 12),
        ended(Kind::DisclosureDenied, 11, "hit-erroneous"),
        ended(Kind::DisclosureDenied, 12, "hit-erroneous"),
        // Found after it.
        asked(2, 13),
        ended(Kind::DisclosureReleased, 13, ""),
        told(13, "withdrawn"),
        // Released and corrected, and only refused: neither was of another person.
        asked(3, 14),
        ended(Kind::DisclosureReleased, 14, ""),
        told(14, "changed"),
        asked(4, 15),
        ended(Kind::DisclosureDenied, 15, "by decision"),
    ]);
    assert_eq!((found.erroneous_hits, found.refused, found.released), (2, 3, 2));
    let face =
        Searched { questions: 4, hits: 4, followed: 4, released: 2, erroneous: 2, erroneous_released: 1 };
    assert_eq!(found.collections, BTreeMap::from([("face".to_owned(), face)]));
}

#[test]
fn refused_questions_are_told_by_their_reason() {
    let refused = |hour: i64, reason: &str| event(Kind::QueryRefused, hour).text(Fact::Reason, reason);
    let found =
        figures(&[refused(1, "VOLUME_EXHAUSTED"), refused(2, "VOLUME_EXHAUSTED"), refused(3, "EXPIRED")]);
    assert_eq!(found.questions_refused, 3);
    assert_eq!(
        found.refusals,
        BTreeMap::from([("EXPIRED".to_owned(), 1), ("VOLUME_EXHAUSTED".to_owned(), 2)])
    );
}

#[test]
fn a_request_from_before_the_period_is_not_counted_in_it() {
    let events = [
        event(Kind::DisclosureRequested, -1),
        event(Kind::DisclosureReleased, 1).text(Fact::Fields, "family-name"),
    ];
    assert_eq!(figures(&events), Figures::default());
}

#[test]
fn ends_are_told_apart_but_not_why_somebody_was_refused() {
    let ended = |kind: Kind, before: Option<Kind>, reason: &str| {
        let start = event(Kind::DisclosureRequested, 1).with(Fact::Query, &[3; 16]);
        let before = before.map(|kind| event(kind, 2));
        let events: Vec<Event> = [Some(start), before, Some(event(kind, 3).text(Fact::Reason, reason))]
            .into_iter()
            .flatten()
            .collect();
        figures(&events)
    };
    assert_eq!(ended(Kind::DisclosureDenied, None, "by decision").refused, 1);
    assert_eq!(ended(Kind::DisclosureDenied, None, "withheld").refused, 1);
    assert_eq!(ended(Kind::DisclosureDenied, None, "hit-erroneous").erroneous_hits, 1);
    assert_eq!(ended(Kind::DisclosureExpired, None, "").expired, 1);
    let lapsed = ended(Kind::DisclosureExpired, Some(Kind::DisclosureReleased), "");
    assert_eq!((lapsed.expired, lapsed.lapsed), (0, 1));
}

#[test]
fn suspensions_are_those_of_the_holders_journal_that_came_about() {
    let of = |kind, hour, fact, name: &str| event(kind, hour).text(fact, name);
    let mut tally = Tally::new(at(0), at(240));
    tally.partner("au-border");
    tally.agreement("au-identity", "au-border");
    for entry in [
        of(Kind::PartnerSuspended, 3, Fact::Partner, "au-border"),
        of(Kind::OfficialSuspended, 4, Fact::Partner, "au-border"),
        of(Kind::AgreementSuspended, 5, Fact::Agreement, "au-identity"),
        // Before the period, of nobody who is there, and of others.
        of(Kind::PartnerSuspended, -1, Fact::Partner, "au-border"),
        of(Kind::OfficialSuspended, 6, Fact::Partner, "au-border").text(Fact::Detail, "NOT_FOUND"),
        of(Kind::PartnerSuspended, 6, Fact::Partner, "no-such").text(Fact::Detail, "NOT_FOUND"),
        of(Kind::AgreementSuspended, 7, Fact::Agreement, "uk-identity"),
        of(Kind::PartnerSuspended, 8, Fact::Partner, "uk-border"),
    ] {
        tally.take_of_holder(&entry);
    }
    let found = tally.done();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["au-border"], "a partner is reported by its journal");
    assert_eq!(found["au-border"].suspensions, 3);
}

#[test]
fn quartiles_are_of_the_nearest_rank() {
    let hours =
        |hours: &[u64]| -> Vec<Duration> { hours.iter().map(|hour| Duration::from_secs(*hour)).collect() };
    assert_eq!(quartiles(&[]), None);
    let of = |list: &[u64]| quartiles(&hours(list)).unwrap().map(|it| it.as_secs());
    assert_eq!(of(&[5]), [5, 5, 5]);
    assert_eq!(of(&[1, 2, 3, 4]), [1, 2, 3]);
    assert_eq!(of(&[1, 2, 3, 4, 5]), [2, 3, 4]);
}

#[test]
fn a_spread_counts_each_time_once_and_a_limit_with_what_is_below_it() {
    let seconds = |list: &[u64]| -> Vec<Duration> { list.iter().copied().map(Duration::from_secs).collect() };
    assert_eq!(spread(&seconds(&[1, 2, 2, 5, 9]), &seconds(&[2, 4, 6])), [3, 0, 1, 1]);
    assert_eq!(spread(&[], &seconds(&[2])), [0, 0]);
}
