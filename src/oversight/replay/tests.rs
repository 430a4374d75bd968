use std::path::Path;

use super::*;
use crate::authz::Bundle;

/// The shipped rules, with one text of the Australian agreement replaced.
fn rules(from: &str, to: &str) -> Rules {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
    let bundle = Bundle::read_folder(&folder).unwrap();
    let files = bundle.files().map(|(path, content)| {
        let text = std::str::from_utf8(content).unwrap();
        let text = if path == "agreements/au-border-identity.toml" {
            text.replacen(from, to, 1)
        } else {
            text.to_owned()
        };
        (path.to_owned(), text.into_bytes())
    });
    Rules::load(Bundle::from_files(files).unwrap()).unwrap()
}

fn event(kind: Kind, hour: i64, actor: &str) -> Event {
    Event::new(kind, Timestamp::from_millis(NOON + hour * HOUR), actor, Digest::from_bytes([1; 32]))
        .text(Fact::Partner, "au-border")
        .text(Fact::Agreement, "au-border-identity")
        .text(Fact::Purpose, "serious-crime")
        .with(Fact::Disclosure, &[7; 16])
}

fn question(hour: i64) -> Event {
    event(Kind::QueryAnswered, hour, "au-system")
        .text(Fact::Collection, "watch-face")
        .number(Fact::Samples, 2)
        .with(Fact::HiddenSubject, &[0; 16])
}

/// A case with a request, two approvals and the approval.
fn case() -> Vec<Event> {
    let decided = |hour, officer| {
        event(Kind::DisclosureDecided, hour, officer)
            .text(Fact::Role, "approving-officer")
            .text(Fact::State, "approved")
    };
    vec![
        event(Kind::DisclosureRequested, 0, "au-system").text(Fact::Fields, "family-name,case-number"),
        decided(1, "officer-a"),
        decided(2, "officer-b"),
        event(Kind::DisclosureApproved, 2, "onebit"),
    ]
}

fn replayed(rules: &Rules, since_hour: i64, events: &[Event]) -> Replayed {
    let mut replay = Replay::new(rules, Timestamp::from_millis(NOON + since_hour * HOUR));
    for (index, event) in events.iter().enumerate() {
        replay.take(u64::try_from(index).unwrap(), event);
    }
    replay.done()
}

/// What would be, of the only thing that would be otherwise.
fn only(rules: &Rules, events: &[Event]) -> String {
    let found = replayed(rules, -100, events);
    assert_eq!(found.differently.len(), 1, "{found:#?}");
    found.differently[0].would.clone()
}

#[test]
fn the_rules_that_decided_decide_the_same_again() {
    let events: Vec<Event> = [question(-1)].into_iter().chain(case()).collect();
    let found = replayed(&rules("", ""), -100, &events);
    let expected = Replayed { questions: 1, requests: 1, approvals: 1, ..Replayed::default() };
    assert_eq!(found, expected);
}

#[test]
fn questions_beyond_what_the_newer_rules_allow_are_listed_with_the_reason() {
    let fewer = rules("samples_per_query = 3", "samples_per_query = 1");
    assert!(only(&fewer, &[question(0)]).contains("SAMPLES_OUTSIDE_AGREEMENT"));
    let over = rules("review_by = 2029-12-31", "review_by = 2026-06-30");
    assert!(only(&over, &[question(0)]).contains("AGREEMENT_REVIEW_OVERDUE"));
}

#[test]
fn volume_is_counted_from_the_journal_itself_and_before_the_period_too() {
    let rules = rules("per_day = 2_000", "per_day = 2");
    let day = [question(-3), question(-2), question(-1), question(24)];
    let found = replayed(&rules, -1, &day);
    assert_eq!((found.questions, found.differently.len()), (2, 1), "{found:#?}");
    assert_eq!(found.differently[0].index, 2);
    assert!(found.differently[0].would.contains("VOLUME_DAY_EXHAUSTED"));
}

#[test]
fn approvals_that_other_factors_clocks_or_fields_would_not_have_come_to_are_listed() {
    let more = rules("number = 2", "number = 3");
    assert_eq!(only(&more, &case()), "not approved yet: it would wait for 1 more approving-officer");
    let quicker = rules("decide_within_hours = 48", "decide_within_hours = 2");
    assert!(only(&quicker, &case()).starts_with("expired"));
    let fields = rules("\"case-number\", \"warning\"", "\"warning\"");
    assert!(only(&fields, &case()).contains("FIELD_NOT_DISCLOSABLE"));
}

#[test]
fn an_approval_before_a_question_does_not_count() {
    let mut events = case();
    events.insert(2, event(Kind::DisclosureQuestioned, 1, "onebit"));
    let would = only(&rules("", ""), &events);
    assert!(would.contains("1 more approving-officer"), "{would}");
}

#[test]
fn what_expired_would_be_open_under_a_longer_clock() {
    let events = [case().remove(0), event(Kind::DisclosureExpired, 48, "onebit")];
    assert_eq!(replayed(&rules("", ""), -1, &events).differently, []);
    let longer = rules("decide_within_hours = 48", "decide_within_hours = 72");
    assert!(only(&longer, &events).starts_with("still open"));
}

#[test]
fn what_can_not_be_decided_again_is_counted() {
    let hidden = question(0).with(Fact::HiddenSubject, &[3; 16]);
    let refused = event(Kind::QueryRefused, 0, "au-system");
    let broken = question(0).text(Fact::Agreement, "No Name");
    let found = replayed(&rules("", ""), -1, &[hidden, refused, broken]);
    assert_eq!((found.hidden, found.refused, found.unreadable), (1, 1, 1));
}

/// 2026-07-01T12:00Z.
const NOON: i64 = 1_782_907_200_000;
const HOUR: i64 = 3_600_000;
