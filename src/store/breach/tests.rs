use proptest::prelude::*;

use super::*;

const ROLES: [(&str, Role); 3] =
    [("mere", Role::PrivacyOfficer), ("hana", Role::PrivacyOfficer), ("tane", Role::Administrator)];

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(hours * 3_600_000)
}

fn event(kind: Kind, hours: i64, who: usize) -> Event {
    let (name, role) = ROLES[who];
    Event::new(kind, at(hours), name, Digest::sha256(b"rules")).text(Fact::Role, role.as_str())
}

fn opened() -> Event {
    let new = BreachNew {
        id: BreachId::from_bytes([7; 16]),
        kind: BreachKind::Disclosure,
        what: "fields went to the wrong agency".to_owned(),
        aware: at(0),
        found_by: vec!["au-border/41".to_owned(), "alert 9".to_owned()],
    };
    new.stated(event(Kind::BreachOpened, 1, 0))
}

fn factors() -> Vec<(Factor, String)> {
    Factor::ALL.iter().map(|factor| (*factor, format!("of {factor}:\nnothing"))).collect()
}

fn assess(finding: BreachFinding) -> BreachStep {
    BreachStep::Assess { factors: factors(), finding, why: "a test".to_owned() }
}

fn notify(told: BreachTold, hours: i64) -> BreachStep {
    let detail = if told == BreachTold::Exception { "116(1)(b)" } else { "NPB-17" };
    BreachStep::Notify { told, at: at(hours), detail: detail.to_owned(), why: "a test".to_owned() }
}

fn close() -> BreachStep {
    BreachStep::Close { why: "done".to_owned() }
}

fn steps() -> impl Strategy<Value = BreachStep> {
    prop_oneof![
        Just(BreachStep::Contain { what: "access ended".to_owned() }),
        prop::sample::select(BreachFinding::ALL).prop_map(assess),
        Just(BreachStep::Assess {
            factors: factors().into_iter().skip(1).collect(),
            finding: BreachFinding::NotNotifiable,
            why: "in haste".to_owned()
        }),
        Just(BreachStep::Confirm { why: "a second look".to_owned() }),
        (prop::sample::select(BreachTold::ALL), -2_i64..12).prop_map(|(told, hours)| notify(told, hours)),
        Just(close()),
    ]
}

proptest! {
    /// Whatever is tried, in whatever order: the entries rebuild the case, and what must come first came first.
    #[test]
    fn entries_rebuild_a_case_and_nothing_is_closed_before_its_time(
        tried in prop::collection::vec((steps(), 0_usize..3), 0..24),
    ) {
        let mut events = vec![opened()];
        let mut breach = Breach::fold(&events).unwrap();
        for ((step, who), hours) in tried.into_iter().zip(2_i64..) {
            let (name, role) = ROLES[who];
            let name: ActorName = name.parse().unwrap();
            let was_closed = breach.closed.is_some();
            let taken = breach.takes(&step, &name, role, at(hours));
            if was_closed {
                prop_assert_eq!(taken, Err(BreachRefused::Closed));
            }
            let stated = step.stated(event(step.kind(), hours, who)).with(Fact::Breach, breach.id.as_bytes());
            if was_closed {
                let beyond = [events.as_slice(), std::slice::from_ref(&stated)].concat();
                prop_assert_eq!(Breach::fold(&beyond), None, "nothing follows an end");
            }
            if taken.is_ok() {
                let kept = Event::decode(&stated.encode().unwrap()).unwrap();
                events.push(kept);
                breach = Breach::fold(&events).unwrap();
                prop_assert_eq!(Breach::fold(&events), Some(breach.clone()), "reading it again changes nothing");
            }
        }
        if breach.closed.is_some() {
            let assessed = breach.assessed.as_ref().unwrap();
            match assessed.finding {
                BreachFinding::Notifiable => {
                    prop_assert!(breach.is_told(BreachTold::Commissioner));
                    prop_assert!(breach.notified.iter().any(|one| one.told != BreachTold::Commissioner));
                }
                BreachFinding::NotNotifiable => {
                    let confirmed = assessed.confirmed.as_ref().unwrap();
                    let role = ROLES.iter().find(|(name, _)| *name == confirmed.by.as_str()).unwrap().1;
                    prop_assert!(confirmed.by != assessed.said.by && role != assessed.role);
                }
            }
        }
        if let Some(assessed) = &breach.assessed {
            prop_assert_eq!(assessed.factors.len(), Factor::ALL.len());
        }
        prop_assert!(breach.notified.iter().all(|one| one.at >= breach.aware && one.at <= one.said.at));
    }

    /// The clock runs for 72 hours, in hours and not in working days, until the Commissioner is told.
    #[test]
    fn the_clock_runs_until_the_commissioner_is_told(told in 0_i64..100) {
        let mut events = vec![opened()];
        let breach = Breach::fold(&events).unwrap();
        prop_assert_eq!(breach.due, at(72));
        prop_assert!(breach.is_running());
        for step in [assess(BreachFinding::Notifiable), notify(BreachTold::Commissioner, told)] {
            prop_assert!(Breach::fold(&events).unwrap().is_running());
            events.push(step.stated(event(step.kind(), 100, 0)).with(Fact::Breach, breach.id.as_bytes()));
        }
        prop_assert!(!Breach::fold(&events).unwrap().is_running());
    }
}

#[test]
fn a_finding_that_nobody_need_be_told_stops_the_clock_when_somebody_of_another_role_confirms_it() {
    let mut events = vec![opened()];
    let step = assess(BreachFinding::NotNotifiable);
    events.push(step.stated(event(step.kind(), 3, 0)).with(Fact::Breach, &[7; 16]));
    let breach = Breach::fold(&events).unwrap();
    let confirm = BreachStep::Confirm { why: "a second look".to_owned() };
    let by = |who: usize| breach.takes(&confirm, &ROLES[who].0.parse().unwrap(), ROLES[who].1, at(4));
    assert!(breach.is_running(), "one person alone does not stop it");
    assert_eq!([by(0), by(1)], [Err(BreachRefused::SamePerson); 2]);
    assert_eq!(by(2), Ok(()));
    assert_eq!(
        breach.takes(&close(), &"mere".parse().unwrap(), Role::PrivacyOfficer, at(4)),
        Err(BreachRefused::NotConfirmed)
    );
    events.push(confirm.stated(event(confirm.kind(), 5, 2)).with(Fact::Breach, &[7; 16]));
    assert!(!Breach::fold(&events).unwrap().is_running());
}

#[test]
fn an_exception_names_its_section() {
    let mut events = vec![opened()];
    let step = assess(BreachFinding::Notifiable);
    events.push(step.stated(event(step.kind(), 3, 0)).with(Fact::Breach, &[7; 16]));
    let breach = Breach::fold(&events).unwrap();
    let exception = |detail: &str| {
        let step = BreachStep::Notify {
            told: BreachTold::Exception,
            at: at(3),
            detail: detail.to_owned(),
            why: String::new(),
        };
        breach.takes(&step, &"mere".parse().unwrap(), Role::PrivacyOfficer, at(4))
    };
    assert_eq!(exception("116(4)"), Ok(()));
    assert_eq!(exception("117"), Err(BreachRefused::Section));
}

#[test]
fn whom_a_breach_affects_follows_from_entries_and_hidden_people_do_not_count() {
    let subject = |byte: u8| crate::ids::SubjectId::from_bytes([byte; 16]);
    let hit = |byte: u8, hidden: u8| {
        let event = event(Kind::QueryAnswered, 2, 0).text(Fact::Partner, "au-border");
        event.with(Fact::Subject, &[byte; 16]).with(Fact::HiddenSubject, &[hidden; 16])
    };
    let viewed =
        event(Kind::FieldViewed, 3, 1).with(Fact::Subject, &[1; 16]).text(Fact::Field, "family-name");
    let mut affected = Affected::default();
    for event in [hit(1, 0), hit(1, 0), hit(2, 0), hit(0, 3), viewed, event(Kind::LogRead, 4, 0)] {
        affected.take(&event);
    }
    let before = affected.digest();
    affected.disclosed(subject(2), std::iter::once("birth-date".to_owned()), "au-border");
    assert_ne!(affected.digest(), before, "the digest is of all that the list says");
    assert_eq!(affected.count(), 2);
    assert!(!affected.people.contains_key(&subject(3)), "the partner was told of nobody");
    assert_eq!(affected.people[&subject(1)].hits, 2);
    assert_eq!(affected.fields().into_iter().collect::<Vec<_>>(), ["birth-date", "family-name"]);
    assert_eq!(affected.recipients().into_iter().collect::<Vec<_>>(), ["partner au-border", "person hana"]);
}
