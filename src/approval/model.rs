//! The state machine against a naive model: random operations, the same outcome, and the promises after each.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::request::tests::{fields, request};
use super::*;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, FieldName};

/// Five people and a clock that counts minutes from when the request was received; it is to be decided by
/// minute 100.
pub(super) struct Office {
    request: Request,
}

impl Office {
    pub(super) fn new(factors: &[(DeciderRole, u8)]) -> Self {
        let given = request(factors);
        let request = Request::new(RequestParts {
            disclosure: given.disclosure(),
            partner: given.partner().clone(),
            requester: given.requester().clone(),
            agreement: given.agreement().clone(),
            ask: given.ask().clone(),
            factors: given.factors().clone(),
            received: given.received(),
            decide_by: given.received().after(Duration::from_secs(60 * DECIDE_MINUTES)),
        })
        .unwrap();
        Self { request }
    }

    pub(super) fn disclosure(&self) -> Disclosure {
        Disclosure::new(self.request.clone())
    }

    pub(super) fn at(&self, minute: u64) -> Timestamp {
        minute_of(&self.request, minute)
    }

    pub(super) fn officer(number: usize) -> ActorName {
        format!("officer-{number}").parse().unwrap()
    }

    pub(super) fn all(&self) -> Vec<Eligible> {
        self.all_but(PEOPLE)
    }

    pub(super) fn all_but(&self, suspended: usize) -> Vec<Eligible> {
        eligible(&BTreeSet::from([suspended]))
    }

    pub(super) fn signed(
        about: &Disclosure,
        officer: &ActorName,
        role: DeciderRole,
        mask: Option<u8>,
        at: Timestamp,
    ) -> SignedDecision {
        let decision = Decision::new(DecisionParts {
            disclosure: about.request().disclosure(),
            request: about.digest(),
            officer: officer.clone(),
            role,
            choice: mask.map_or(Choice::Deny, |mask| Choice::Grant(masked(mask))),
            reason: "as the model says".to_owned(),
            at,
        });
        SignedDecision {
            decision: decision.unwrap(),
            signature: DecisionSignature::Certificate(vec![1, 2, 3]),
        }
    }
}

/// A grant of the fields in `mask` by one of the people.
pub(super) fn grant(
    about: &Disclosure,
    person: usize,
    role: DeciderRole,
    mask: u8,
    minute: u64,
) -> SignedDecision {
    let at = minute_of(about.request(), minute);
    Office::signed(about, &Office::officer(person), role, Some(mask), at)
}

fn minute_of(request: &Request, minute: u64) -> Timestamp {
    request.received().after(Duration::from_secs(60 * minute))
}

/// Bit 0: case-number, 1: date-of-birth, 2: family-name, 3: a field that was not asked for.
fn masked(mask: u8) -> Fields {
    let names = ["case-number", "date-of-birth", "family-name", "photograph"];
    let chosen: Vec<&str> = names
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, name)| name)
        .collect();
    fields(&chosen)
}

fn eligible(suspended: &BTreeSet<usize>) -> Vec<Eligible> {
    let mut all = Vec::new();
    for person in 0..PEOPLE {
        for role in ROLES {
            let standing =
                if suspended.contains(&person) { DeciderStanding::Inactive } else { DeciderStanding::Active };
            all.push(Eligible { officer: Office::officer(person), role, standing });
        }
    }
    all
}

#[derive(Debug, Clone)]
enum Op {
    Decide { person: usize, role: usize, mask: Option<u8>, other_request: bool },
    Suspend(usize),
    Restore(usize),
    Wait(u64),
    Withdraw,
    Withhold,
    Expire,
    Release,
    Acknowledge,
}

/// What a clerk with a notebook would keep.
struct Model {
    state: &'static str,
    need: [usize; 3],
    said: Vec<(usize, usize, Option<u8>)>,
    suspended: BTreeSet<usize>,
    minute: u64,
    fetch_by: u64,
}

impl Model {
    fn ended(&self) -> bool {
        ["denied", "withdrawn", "expired", "acknowledged"].contains(&self.state)
    }

    fn open(&self) -> bool {
        !self.ended() && self.state != "released"
    }

    fn granted(&self) -> u8 {
        self.said.iter().filter_map(|(_, _, mask)| *mask).fold(0b111, |all, mask| all & mask)
    }

    fn filled(&self, counts: impl Fn(usize) -> bool) -> bool {
        (0..3).all(|role| {
            let have = self
                .said
                .iter()
                .filter(|(person, as_role, mask)| *as_role == role && mask.is_some() && counts(*person));
            have.count() >= self.need[role]
        })
    }

    /// Does what the operation says if it is allowed; whether it was.
    fn run(&mut self, op: &Op) -> bool {
        match op {
            Op::Decide { person, role, mask, other_request } => {
                let allowed = self.open()
                    && self.minute < DECIDE_MINUTES
                    && !other_request
                    && !self.suspended.contains(person)
                    && self.need[*role] > 0
                    && self.said.iter().all(|(other, ..)| other != person)
                    && mask.is_none_or(|mask| mask & 0b1000 == 0);
                if allowed {
                    self.said.push((*person, *role, *mask));
                    self.state = if mask.is_none() || self.granted() == 0 {
                        "denied"
                    } else if self.filled(|_| true) {
                        "approved"
                    } else {
                        "partially-approved"
                    };
                }
                allowed
            }
            Op::Suspend(person) => self.suspended.insert(*person),
            Op::Restore(person) => self.suspended.remove(person),
            Op::Wait(minutes) => {
                self.minute += minutes;
                true
            }
            Op::Withdraw => self.end(self.open(), "withdrawn"),
            Op::Withhold => self.end(self.open(), "denied"),
            Op::Expire => {
                let until = if self.state == "released" { self.fetch_by } else { DECIDE_MINUTES };
                self.end(!self.ended() && self.minute >= until, "expired")
            }
            Op::Release => {
                let suspended = self.suspended.clone();
                let allowed = self.state == "approved"
                    && self.minute < DECIDE_MINUTES
                    && self.filled(|person| !suspended.contains(&person));
                self.fetch_by = if allowed { self.minute + FETCH_MINUTES } else { self.fetch_by };
                self.end(allowed, "released")
            }
            Op::Acknowledge => self.end(self.state == "released", "acknowledged"),
        }
    }

    fn end(&mut self, allowed: bool, state: &'static str) -> bool {
        if allowed {
            self.state = state;
        }
        allowed
    }
}

/// Runs the operation on the real thing; the step it took, if it was allowed.
fn run(real: &mut Disclosure, model: &Model, op: &Op) -> Option<Step> {
    let now = minute_of(real.request(), model.minute);
    let who = eligible(&model.suspended);
    let (after, transition) = match op {
        Op::Decide { person, role, mask, other_request } => {
            let officer = Office::officer(*person);
            let mut signed = Office::signed(real, &officer, ROLES[*role], *mask, now);
            if *other_request {
                let other = DecisionParts {
                    disclosure: signed.decision.disclosure(),
                    request: Digest::from_bytes([9; 32]),
                    officer,
                    role: ROLES[*role],
                    choice: signed.decision.choice().clone(),
                    reason: "another request".to_owned(),
                    at: now,
                };
                signed.decision = Decision::new(other).unwrap();
            }
            real.decide(signed, &who, now).ok()
        }
        Op::Withdraw => real.withdraw(now).ok(),
        Op::Withhold => real.withhold(now).ok(),
        Op::Expire => real.expire(now).ok(),
        Op::Release => real.approval(&who, now).ok().and_then(|approval| {
            assert_promises_of(&approval, real, &model.suspended);
            real.release(approval, minute_of(real.request(), model.minute + FETCH_MINUTES)).ok()
        }),
        Op::Acknowledge => real.acknowledge(now).ok(),
        Op::Suspend(_) | Op::Restore(_) | Op::Wait(_) => None,
    }?;
    assert!(!transition.from.is_final(), "something left the final state `{}`", transition.from);
    assert_eq!((transition.from, transition.to), (real.state(), after.state()));
    *real = after;
    Some(transition.step)
}

/// Promise 8, counted without the code under test: all factors, distinct people, this very request.
fn assert_promises_of(approval: &Approval, real: &Disclosure, suspended: &BTreeSet<usize>) {
    let people: BTreeSet<&str> = approval.deciders().iter().map(|decider| decider.officer.as_str()).collect();
    assert_eq!(people.len(), approval.deciders().len(), "somebody counted twice");
    assert!(suspended.iter().all(|person| !people.contains(Office::officer(*person).as_str())));
    assert_eq!(approval.request(), real.request().digest());
    for factor in real.request().factors().iter() {
        let have = approval.deciders().iter().filter(|decider| decider.role == factor.role).count();
        assert!(have >= usize::from(factor.number.get()), "a factor is not filled");
    }
    for decider in approval.deciders() {
        let theirs = real.decisions().iter().find(|signed| signed.decision.digest() == decider.decision);
        let decision = &theirs.expect("an approval names a decision that nobody made").decision;
        assert_eq!((decision.request(), decision.officer()), (real.digest(), &decider.officer));
        let Choice::Grant(granted) = decision.choice() else { panic!("a denial counted as an approval") };
        assert!(
            approval.fields().iter().all(|name| granted.contains(name)),
            "a field was not granted by all"
        );
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let mask = prop_oneof![1 => Just(None), 14 => (1_u8..=7).prop_map(Some), 8 => Just(Some(7)), 1 => Just(Some(15))];
    let decide = (0..PEOPLE, 0..3_usize, mask, prop::bool::weighted(0.05))
        .prop_map(|(person, role, mask, other_request)| Op::Decide { person, role, mask, other_request });
    let op = prop_oneof![
        12 => decide,
        1 => (0..PEOPLE).prop_map(Op::Suspend),
        1 => (0..PEOPLE).prop_map(Op::Restore),
        2 => (0..60_u64).prop_map(Op::Wait),
        1 => Just(Op::Expire),
        4 => Just(Op::Release),
        1 => Just(Op::Acknowledge),
        1 => prop_oneof![Just(Op::Withdraw), Just(Op::Withhold)],
    ];
    prop::collection::vec(op, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_sequence_ends_where_the_model_says_and_can_be_replayed(
        need in prop_oneof![
            Just([2, 0, 0]), Just([1, 1, 0]), Just([1, 0, 1]), Just([2, 1, 0]), Just([1, 1, 1]), Just([1, 0, 0])
        ],
        ops in ops(),
    ) {
        let factors: Vec<(DeciderRole, u8)> =
            ROLES.into_iter().zip(need).filter(|(_, number)| *number > 0).collect();
        let mut real = Office::new(&factors).disclosure();
        let mut model = Model {
            state: "pending",
            need: need.map(usize::from),
            said: Vec::new(),
            suspended: BTreeSet::new(),
            minute: 0,
            fetch_by: 0,
        };
        let mut steps = Vec::new();
        for op in &ops {
            let step = run(&mut real, &model, op);
            let allowed = model.run(op);
            if !matches!(op, Op::Suspend(_) | Op::Restore(_) | Op::Wait(_)) {
                prop_assert_eq!(step.is_some(), allowed, "the model and the code disagree about {:?}", op);
            }
            steps.extend(step);
            prop_assert_eq!(real.state().as_str(), model.state);
            prop_assert_eq!(real.state().is_final(), model.ended());
            prop_assert_eq!(real.denial().is_some(), real.state() == State::Denied);
            let granted: Vec<FieldName> = real.granted().iter().flat_map(Fields::iter).cloned().collect();
            let expected = if model.said.iter().all(|(.., mask)| mask.is_none()) || model.granted() == 0 {
                Vec::new()
            } else {
                masked(model.granted()).iter().cloned().collect()
            };
            prop_assert_eq!(granted, expected);
        }
        let recorded: Vec<Step> = steps.iter().map(|step| Step::from_bytes(&step.to_bytes()).unwrap()).collect();
        let rebuilt = Disclosure::replay(Request::from_bytes(&real.request().to_bytes()).unwrap(), &recorded);
        prop_assert!(rebuilt.is_ok_and(|rebuilt| rebuilt == real), "replaying the steps must rebuild the disclosure");
        if let Some((_, rest)) = recorded.split_first()
            && matches!(recorded.first(), Some(Step { event: Event::Decided(_), .. }))
            && rest.iter().any(|step| matches!(step.event, Event::Released { .. }))
            && real.decisions().len() == need.iter().map(|number| usize::from(*number)).sum::<usize>()
        {
            let short = Disclosure::replay(real.request().clone(), rest);
            prop_assert!(short.is_err(), "a release whose approvals are not all recorded must not replay");
        }
    }
}

const PEOPLE: usize = 5;
const ROLES: [DeciderRole; 3] =
    [DeciderRole::ApprovingOfficer, DeciderRole::Examiner, DeciderRole::PrivacyOfficer];
const DECIDE_MINUTES: u64 = 100;
const FETCH_MINUTES: u64 = 30;
