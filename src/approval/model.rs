//! The state machine against a naive model: random operations, the same outcome, and the promises after each.

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::time::Duration;

use proptest::prelude::*;

use super::request::tests::{ask_urgent, fields, request_of};
use super::*;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, FieldName, UnitName};

/// Five people of two units, the last of none, and a clock that counts minutes from when the request was received; it
/// is to be decided by minute 100.
pub(super) struct Office {
    request: Request,
}

impl Office {
    pub(super) fn new(factors: &[(DeciderRole, u8)]) -> Self {
        Self::with(factors, 1, false, false)
    }

    /// Every factor asks for so many units.
    pub(super) fn of_units(factors: &[(DeciderRole, u8)], units: u8) -> Self {
        Self::with(factors, units, false, false)
    }

    /// Examiners rest on a comparison.
    pub(super) fn comparing(factors: &[(DeciderRole, u8)]) -> Self {
        Self::with(factors, 1, true, false)
    }

    /// By the urgent path.
    pub(super) fn urgent(factors: &[(DeciderRole, u8)]) -> Self {
        Self::with(factors, 1, false, true)
    }

    fn with(factors: &[(DeciderRole, u8)], units: u8, comparison: bool, urgent: bool) -> Self {
        let factor = |(role, number): &(DeciderRole, u8)| {
            let (number, units) = (NonZeroU8::new(*number).unwrap(), NonZeroU8::new(units).unwrap());
            let comparison = comparison && *role == DeciderRole::Examiner;
            Factor { role: *role, number, units: units.min(number), comparison }
        };
        let given = request_of(Factors::new(factors.iter().map(factor)).unwrap());
        let request = Request::new(RequestParts {
            disclosure: given.disclosure(),
            partner: given.partner().clone(),
            requester: given.requester().clone(),
            agreement: given.agreement().clone(),
            ask: if urgent { ask_urgent() } else { given.ask().clone() },
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

    /// Everybody, and one who fills another's seat.
    pub(super) fn all_and(&self, delegate: usize, delegator: usize) -> Vec<Eligible> {
        eligible(&BTreeSet::new(), &BTreeSet::new(), &BTreeSet::from([(delegate, delegator)]))
    }

    pub(super) fn all_but(&self, suspended: usize) -> Vec<Eligible> {
        eligible(&BTreeSet::from([suspended]), &BTreeSet::new(), &BTreeSet::new())
    }

    /// A grant of all by an officer who rests on a comparison.
    pub(super) fn compared(
        about: &Disclosure,
        person: usize,
        role: DeciderRole,
        minute: u64,
    ) -> SignedDecision {
        let at = minute_of(about.request(), minute);
        Self::decision(about, &Self::officer(person), role, (Some(0b111), true), at)
    }

    pub(super) fn signed(
        about: &Disclosure,
        officer: &ActorName,
        role: DeciderRole,
        mask: Option<u8>,
        at: Timestamp,
    ) -> SignedDecision {
        Self::decision(about, officer, role, (mask, false), at)
    }

    fn decision(
        about: &Disclosure,
        officer: &ActorName,
        role: DeciderRole,
        (mask, compared): (Option<u8>, bool),
        at: Timestamp,
    ) -> SignedDecision {
        Self::decision_for(about, (officer, None), role, (mask, compared), at)
    }

    /// A decision in a seat that is the officer's own, or another's.
    pub(super) fn decision_for(
        about: &Disclosure,
        (officer, on_behalf): (&ActorName, Option<ActorName>),
        role: DeciderRole,
        (mask, compared): (Option<u8>, bool),
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
            comparison: compared.then(|| "FR-2026/113".to_owned()),
            on_behalf,
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

/// What one of the people does beside deciding, as an approving officer.
pub(super) fn deed(kind: DeedKind, person: usize) -> Deed {
    deed_as(kind, person, DeciderRole::ApprovingOfficer)
}

fn deed_as(kind: DeedKind, person: usize, role: DeciderRole) -> Deed {
    let words = if kind.has_words() { "as the model says" } else { "" };
    Deed::new(DeedParts { kind, officer: Office::officer(person), role, words: words.to_owned() }).unwrap()
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

fn eligible(
    suspended: &BTreeSet<usize>,
    moved: &BTreeSet<usize>,
    delegated: &BTreeSet<(usize, usize)>,
) -> Vec<Eligible> {
    let mut all = Vec::new();
    let own = (0..PEOPLE).map(|person| (person, person));
    for (person, seat) in own.chain(delegated.iter().copied()) {
        for role in ROLES {
            let out = suspended.contains(&person) || suspended.contains(&seat);
            let standing = if out { DeciderStanding::Inactive } else { DeciderStanding::Active };
            let unit = unit_of(seat, moved).map(|unit| UnitName::parse(unit).unwrap());
            let on_behalf = (person != seat).then(|| Office::officer(seat));
            all.push(Eligible { officer: Office::officer(person), role, standing, unit, on_behalf });
        }
    }
    all
}

fn unit_of(person: usize, moved: &BTreeSet<usize>) -> Option<&'static str> {
    match person {
        _ if moved.contains(&person) => Some("auckland"),
        4 => None,
        even if even % 2 == 0 => Some("wellington"),
        _ => Some("auckland"),
    }
}

#[derive(Debug, Clone)]
enum Op {
    Decide {
        person: usize,
        seat: usize,
        role: usize,
        mask: Option<u8>,
        other_request: bool,
        compared: bool,
    },
    Tend {
        kind: DeedKind,
        person: usize,
        role: usize,
    },
    Answer {
        other_question: bool,
    },
    Suspend(usize),
    Restore(usize),
    Move(usize),
    /// Delegate and delegator.
    Delegate(usize, usize),
    EndDelegations(usize),
    Wait(u64),
    Withdraw,
    Withhold,
    Expire,
    ReviewLate,
    Release,
    Acknowledge,
    Correct,
    TellCorrection(u32),
    AcknowledgeCorrection(u32),
    OverdueCorrection(u32),
    AskCorrection,
}

impl Op {
    /// What happens in the world and not to the disclosure.
    fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Suspend(_)
                | Self::Restore(_)
                | Self::Move(_)
                | Self::Delegate(..)
                | Self::EndDelegations(_)
                | Self::Wait(_)
        )
    }
}

/// A decision in the notebook.
struct Said {
    person: usize,
    /// Whose seat: the person's own, or a delegated one.
    seat: usize,
    role: usize,
    mask: Option<u8>,
    unit: Option<&'static str>,
}

/// What a clerk with a notebook would keep.
#[expect(clippy::struct_excessive_bools, reason = "a model is written down as plainly as can be")]
struct Model {
    state: &'static str,
    need: [usize; 3],
    units: usize,
    comparison: bool,
    /// Since the last question.
    said: Vec<Said>,
    recused: BTreeSet<usize>,
    claims: BTreeSet<usize>,
    notes: usize,
    suspended: BTreeSet<usize>,
    moved: BTreeSet<usize>,
    delegated: BTreeSet<(usize, usize)>,
    minute: u64,
    fetch_by: u64,
    /// Who ever decided, also what a question set aside.
    decided: BTreeSet<usize>,
    urgent: bool,
    /// Once released: when it is due, whether it was noted as late, who closed it.
    review: Option<(u64, bool, Option<usize>)>,
    /// Corrections that were made, with the number under which the partner was told.
    corrections: Vec<Option<u32>>,
    /// Those that the partner was told, by number: by when, acknowledged, noted as late.
    told: Vec<(u64, bool, bool)>,
    asked: usize,
    ask_open: bool,
    withdrawn: bool,
}

impl Model {
    fn ended(&self) -> bool {
        ["denied", "withdrawn", "expired", "lapsed", "revoked", "locked", "acknowledged"]
            .contains(&self.state)
    }

    fn open(&self) -> bool {
        !self.ended() && self.state != "released"
    }

    fn granted(&self) -> u8 {
        self.said.iter().filter_map(|said| said.mask).fold(0b111, |all, mask| all & mask)
    }

    fn grants(&self) -> impl Iterator<Item = &Said> {
        self.said.iter().filter(|said| {
            said.mask.is_some() && !self.recused.contains(&said.person) && !self.recused.contains(&said.seat)
        })
    }

    fn filled(&self, unit: impl Fn(&Said) -> Option<&'static str>, counts: impl Fn(&Said) -> bool) -> bool {
        (0..3).all(|role| {
            let of_role: Vec<&Said> =
                self.grants().filter(|said| said.role == role && counts(said)).collect();
            let units: BTreeSet<&str> = of_role.iter().filter_map(|said| unit(said)).collect();
            let due = self.units.min(self.need[role]);
            of_role.len() >= self.need[role] && (due < 2 || units.len() >= due)
        })
    }

    fn count(&mut self) {
        self.state = if self.said.iter().any(|said| said.mask.is_none())
            || !self.said.is_empty() && self.granted() == 0
        {
            "denied"
        } else if self.grants().next().is_none() {
            "pending"
        } else if self.filled(|said| said.unit, |_| true) {
            "approved"
        } else {
            "partially-approved"
        };
    }

    /// Does what the operation says if it is allowed; whether it was.
    fn run(&mut self, op: &Op) -> bool {
        match op {
            Op::Decide { person, seat, role, mask, other_request, compared } => {
                let allowed = self.open()
                    && self.state != "needs-information"
                    && self.minute < DECIDE_MINUTES
                    && !other_request
                    && [person, seat].iter().all(|one| !self.suspended.contains(one))
                    && [person, seat].iter().all(|one| !self.recused.contains(one))
                    && (person == seat || self.delegated.contains(&(*person, *seat)))
                    && self.need[*role] > 0
                    && self.said.iter().all(|said| said.person != *person && said.seat != *seat)
                    && mask.is_none_or(|mask| mask & 0b1000 == 0)
                    && (mask.is_none() || *compared || !(self.comparison && *role == 1));
                if allowed {
                    let unit = unit_of(*seat, &self.moved);
                    self.said.push(Said { person: *person, seat: *seat, role: *role, mask: *mask, unit });
                    self.claims.remove(person);
                    self.decided.insert(*person);
                    self.count();
                }
                allowed
            }
            Op::Tend { kind, person, role } => self.tend(*kind, *person, *role),
            Op::Answer { other_question } => {
                let allowed = self.state == "needs-information" && !other_question;
                self.end(allowed && self.minute < DECIDE_MINUTES, "pending")
            }
            Op::Suspend(person) => self.suspended.insert(*person),
            Op::Restore(person) => self.suspended.remove(person),
            Op::Move(person) => self.moved.insert(*person),
            Op::Delegate(delegate, delegator) => {
                delegate != delegator && self.delegated.insert((*delegate, *delegator))
            }
            Op::EndDelegations(person) => {
                self.delegated.retain(|(delegate, _)| delegate != person);
                true
            }
            Op::Wait(minutes) => {
                self.minute += minutes;
                true
            }
            Op::Withdraw => self.end(self.open(), "withdrawn"),
            Op::Withhold => self.end(self.open(), "denied"),
            Op::Expire => {
                let (until, state) = match self.state {
                    "released" => (self.fetch_by, "lapsed"),
                    _ => (DECIDE_MINUTES, "expired"),
                };
                self.end(!self.ended() && self.minute >= until, state)
            }
            Op::Release => {
                let now = |said: &Said| unit_of(said.seat, &self.moved);
                let counts = |said: &Said| {
                    [said.person, said.seat].iter().all(|one| !self.suspended.contains(one))
                        && (said.person == said.seat || self.delegated.contains(&(said.person, said.seat)))
                };
                let allowed =
                    self.state == "approved" && self.minute < DECIDE_MINUTES && self.filled(now, counts);
                self.fetch_by = if allowed { self.minute + FETCH_MINUTES } else { self.fetch_by };
                if allowed && self.urgent {
                    self.review = Some((self.minute + REVIEW_MINUTES, false, None));
                }
                self.end(allowed, "released")
            }
            Op::Acknowledge => self.end(self.state == "released", "acknowledged"),
            Op::ReviewLate => match &mut self.review {
                Some((due, late @ false, None)) if self.minute >= *due => {
                    *late = true;
                    true
                }
                _ => false,
            },
            Op::Correct => {
                self.corrections.extend((self.fetch_by > 0).then_some(None));
                self.fetch_by > 0
            }
            Op::TellCorrection(place) => {
                let number = u32::try_from(self.told.len()).unwrap() + 1;
                let waiting =
                    self.corrections.get_mut(usize::try_from(*place).unwrap()).filter(|one| one.is_none());
                let Some(waiting) = waiting else { return false };
                *waiting = Some(number);
                self.told.push((self.minute + FETCH_MINUTES, false, false));
                true
            }
            Op::AcknowledgeCorrection(number) => {
                let told = self.told.get_mut(usize::try_from(*number).unwrap().wrapping_sub(1));
                told.is_some_and(|told| !std::mem::replace(&mut told.1, true))
            }
            Op::OverdueCorrection(number) => {
                let told = self.told.get_mut(usize::try_from(*number).unwrap().wrapping_sub(1));
                let late = told.filter(|told| !told.1 && self.minute >= told.0);
                late.is_some_and(|told| !std::mem::replace(&mut told.2, true))
            }
            Op::AskCorrection => {
                let allowed = self.fetch_by > 0 && !self.ask_open && self.asked < 16;
                self.asked += usize::from(allowed);
                self.ask_open |= allowed;
                allowed
            }
        }
    }

    /// Closed once, in any state, by a privacy officer who decided nothing.
    fn review(&mut self, person: usize, role: usize) -> bool {
        let may = ROLES[role] == DeciderRole::PrivacyOfficer && !self.decided.contains(&person);
        match &mut self.review {
            Some((_, _, closed @ None)) if may && !self.recused.contains(&person) => {
                *closed = Some(person);
                true
            }
            _ => false,
        }
    }

    fn tend(&mut self, kind: DeedKind, person: usize, role: usize) -> bool {
        let may = !self.suspended.contains(&person);
        if kind.finding().is_some() {
            return self.review(person, role);
        }
        if self.recused.contains(&person) {
            return false;
        }
        // What was released is corrected whatever became of it.
        match kind {
            DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => {
                return std::mem::take(&mut self.ask_open);
            }
            DeedKind::StateCorrection => {
                self.corrections.extend((self.fetch_by > 0).then_some(None));
                return self.fetch_by > 0;
            }
            DeedKind::HitErroneous if self.fetch_by > 0 => {
                let allowed = may && !self.withdrawn;
                self.corrections.extend(allowed.then_some(None));
                self.notes += usize::from(allowed);
                self.withdrawn |= allowed;
                return allowed;
            }
            _ if self.state == "locked" => return false,
            _ => {}
        }
        match kind {
            DeedKind::Question => {
                let allowed = self.open()
                    && self.state != "needs-information"
                    && may
                    && self.need[role] > 0
                    && self.minute < DECIDE_MINUTES;
                if allowed {
                    self.said.clear();
                }
                self.end(allowed, "needs-information")
            }
            DeedKind::Claim => self.open() && may && self.need[role] > 0 && self.claims.insert(person),
            DeedKind::PutBack => !self.ended() && self.claims.remove(&person),
            DeedKind::Recuse => {
                let allowed = self.open();
                if allowed {
                    self.recused.insert(person);
                    self.claims.remove(&person);
                    self.notes += 1;
                    if self.state != "needs-information" {
                        self.count();
                    }
                }
                allowed
            }
            DeedKind::Note => {
                self.notes += 1;
                true
            }
            DeedKind::HitErroneous => self.end(self.open() && may, "denied"),
            DeedKind::Revoke => self.end(self.state == "released", "revoked"),
            DeedKind::Lock => self.end(!self.ended(), "locked"),
            _ => false,
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
    let who = eligible(&model.suspended, &model.moved, &model.delegated);
    let (after, transition) = match op {
        Op::Decide { person, seat, role, mask, other_request, compared } => {
            let officer = Office::officer(*person);
            let on_behalf = (person != seat).then(|| Office::officer(*seat));
            let sat = (&officer, on_behalf.clone());
            let mut signed = Office::decision_for(real, sat, ROLES[*role], (*mask, *compared), now);
            if *other_request {
                let other = DecisionParts {
                    disclosure: signed.decision.disclosure(),
                    request: Digest::from_bytes([9; 32]),
                    officer,
                    role: ROLES[*role],
                    choice: signed.decision.choice().clone(),
                    reason: "another request".to_owned(),
                    at: now,
                    comparison: None,
                    on_behalf,
                };
                signed.decision = Decision::new(other).unwrap();
            }
            real.decide(signed, &who, now).ok()
        }
        Op::Tend { kind, person, role } => real.tend(deed_as(*kind, *person, ROLES[*role]), &who, now).ok(),
        Op::Answer { other_question } => real.answer(answer(real, *other_question), now).ok(),
        Op::Withdraw => real.withdraw(now).ok(),
        Op::Withhold => real.withhold(now).ok(),
        Op::Expire => real.expire(now).ok(),
        Op::Release => real.approval(&who, now).ok().and_then(|approval| {
            assert_promises_of(&approval, real, model);
            let fetch_by = minute_of(real.request(), model.minute + FETCH_MINUTES);
            let review_by = minute_of(real.request(), model.minute + REVIEW_MINUTES);
            let (due, other) = if model.urgent { (Some(review_by), None) } else { (None, Some(review_by)) };
            let again = real.approval(&who, now).unwrap();
            assert!(
                real.release(again, fetch_by, other).is_err(),
                "an urgent release owes a review, others none"
            );
            real.release(approval, fetch_by, due).ok()
        }),
        Op::ReviewLate => real.review_late(now).ok(),
        Op::Acknowledge => real.acknowledge(now).ok(),
        Op::Correct => real.correct(changed(real), now).ok(),
        Op::TellCorrection(place) => {
            let by = minute_of(real.request(), model.minute + FETCH_MINUTES);
            real.correction_tell(*place, by, now).ok()
        }
        Op::AcknowledgeCorrection(number) => {
            real.correction_acknowledge(*number, "au-border-gateway".parse().unwrap(), now).ok()
        }
        Op::OverdueCorrection(number) => real.correction_overdue(*number, now).ok(),
        Op::AskCorrection => real.correction_ask(correction_ask(real), now).ok(),
        Op::Suspend(_)
        | Op::Restore(_)
        | Op::Move(_)
        | Op::Delegate(..)
        | Op::EndDelegations(_)
        | Op::Wait(_) => None,
    }?;
    let note = is_addition(&transition.step);
    assert!(
        !transition.from.is_final() || note && transition.from == transition.to,
        "something left the final state `{}`",
        transition.from
    );
    assert_eq!((transition.from, transition.to), (real.state(), after.state()));
    *real = after;
    Some(transition.step)
}

/// What may be added to a case that has ended.
fn is_addition(step: &Step) -> bool {
    match &step.event {
        Event::CorrectionMade(_)
        | Event::CorrectionTold { .. }
        | Event::CorrectionAcknowledged { .. }
        | Event::CorrectionOverdue { .. }
        | Event::CorrectionAsked(_)
        | Event::ReviewLate => true,
        Event::Done(deed) => matches!(
            deed.kind(),
            DeedKind::Note
                | DeedKind::HitErroneous
                | DeedKind::AcceptCorrection
                | DeedKind::RefuseCorrection
                | DeedKind::StateCorrection
                | DeedKind::FindJustified
                | DeedKind::FindNotJustified
        ),
        _ => false,
    }
}

/// A change of all that was granted, or of what was asked for where nothing was.
fn changed(real: &Disclosure) -> CorrectionNew {
    let fields = real.granted().unwrap_or_else(|| real.request().ask().fields().clone());
    let (statement, by) = (String::new(), "intake".parse().unwrap());
    CorrectionNew { kind: CorrectionKind::Changed, fields, statement, by }
}

fn correction_ask(real: &Disclosure) -> SignedCorrectionAsk {
    let (text, official) = ("the year is wrong".to_owned(), "o-1".to_owned());
    let ask = CorrectionAsk::new(real.request().disclosure(), None, text, official).unwrap();
    SignedCorrectionAsk { ask, signature: vec![4, 5, 6], by: "au-border-gateway".parse().unwrap() }
}

fn answer(real: &Disclosure, other_question: bool) -> SignedAnswer {
    let open = real.open_question().map(|question| question.digest).filter(|_| !other_question);
    let question = open.unwrap_or(Digest::from_bytes([8; 32]));
    let id = real.request().disclosure();
    SignedAnswer {
        answer: Answer::new(id, question, "as asked".to_owned(), "o-1".to_owned()).unwrap(),
        signature: vec![4, 5, 6],
        by: "au-border-gateway".parse().unwrap(),
    }
}

/// Promise 8, counted without the code under test: all factors, distinct people, this very request.
fn assert_promises_of(approval: &Approval, real: &Disclosure, model: &Model) {
    let people: BTreeSet<&str> = approval.deciders().iter().map(|decider| decider.officer.as_str()).collect();
    assert_eq!(people.len(), approval.deciders().len(), "somebody counted twice");
    let seats: BTreeSet<&ActorName> =
        approval.deciders().iter().map(|one| one.on_behalf.as_ref().unwrap_or(&one.officer)).collect();
    assert_eq!(seats.len(), approval.deciders().len(), "a seat counted twice");
    let mut out = model.suspended.iter().chain(&model.recused);
    assert!(out.all(|person| !people.contains(Office::officer(*person).as_str())));
    assert_eq!(approval.request(), real.digest());
    assert_eq!(real.questions().is_empty(), real.digest() == real.request().digest());
    assert!(real.open_question().is_none(), "nothing leaves while the partner is asked");
    for factor in real.request().factors().iter() {
        let have = approval.deciders().iter().filter(|decider| decider.role == factor.role).count();
        assert!(have >= usize::from(factor.number.get()), "a factor is not filled");
    }
    for decider in approval.deciders() {
        let theirs = real.decisions().find(|signed| signed.decision.digest() == decider.decision);
        let decision = &theirs.expect("an approval names a decision that nobody made").decision;
        assert_eq!((decision.request(), decision.officer()), (real.digest(), &decider.officer));
        let Choice::Grant(granted) = decision.choice() else { panic!("a denial counted as an approval") };
        let asked = real.request().factors().ask_for_comparison(decider.role);
        assert!(!asked || decision.comparison().is_some(), "an approval rests on nothing");
        assert!(
            approval.fields().iter().all(|name| granted.contains(name)),
            "a field was not granted by all"
        );
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let mask = prop_oneof![1 => Just(None), 14 => (1_u8..=7).prop_map(Some), 8 => Just(Some(7)), 1 => Just(Some(15))];
    // Mostly in one's own seat.
    let sat = (0..PEOPLE, 0..4 * PEOPLE)
        .prop_map(|(person, seat)| (person, if seat < PEOPLE { seat } else { person }));
    let decide = (sat, 0..3_usize, mask, prop::bool::weighted(0.05), prop::bool::weighted(0.8)).prop_map(
        |((person, seat), role, mask, other_request, compared)| Op::Decide {
            person,
            seat,
            role,
            mask,
            other_request,
            compared,
        },
    );
    let kind = prop_oneof![
        2 => Just(DeedKind::Question),
        2 => prop_oneof![Just(DeedKind::Claim), Just(DeedKind::PutBack), Just(DeedKind::Note)],
        2 => Just(DeedKind::Recuse),
        1 => prop_oneof![Just(DeedKind::HitErroneous), Just(DeedKind::Revoke), Just(DeedKind::Lock)],
        3 => prop_oneof![Just(DeedKind::FindJustified), Just(DeedKind::FindNotJustified)],
        1 => prop_oneof![
            Just(DeedKind::AcceptCorrection),
            Just(DeedKind::RefuseCorrection),
            Just(DeedKind::StateCorrection)
        ],
    ];
    let tend = (kind, 0..PEOPLE, 0..3_usize).prop_map(|(kind, person, role)| Op::Tend { kind, person, role });
    let op = prop_oneof![
        18 => decide,
        4 => tend,
        3 => prop::bool::weighted(0.1).prop_map(|other_question| Op::Answer { other_question }),
        1 => (0..PEOPLE).prop_map(Op::Suspend),
        1 => (0..PEOPLE).prop_map(Op::Restore),
        1 => (0..PEOPLE).prop_map(Op::Move),
        3 => (0..PEOPLE, 0..PEOPLE).prop_map(|(delegate, delegator)| Op::Delegate(delegate, delegator)),
        1 => (0..PEOPLE).prop_map(Op::EndDelegations),
        2 => (0..60_u64).prop_map(Op::Wait),
        1 => Just(Op::Expire),
        5 => Just(Op::Release),
        1 => Just(Op::Acknowledge),
        1 => Just(Op::ReviewLate),
        4 => prop_oneof![
            Just(Op::Correct),
            (0..3_u32).prop_map(Op::TellCorrection),
            (0..3_u32).prop_map(Op::AcknowledgeCorrection),
            (0..3_u32).prop_map(Op::OverdueCorrection),
            Just(Op::AskCorrection),
        ],
        1 => prop_oneof![Just(Op::Withdraw), Just(Op::Withhold)],
    ];
    prop::collection::vec(op, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn every_sequence_ends_where_the_model_says_and_can_be_replayed(
        need in prop_oneof![
            Just([2, 0, 0]), Just([1, 1, 0]), Just([1, 0, 1]), Just([2, 1, 0]), Just([1, 1, 1]), Just([1, 0, 0])
        ],
        units in 1..=2_u8,
        comparison: bool,
        urgent: bool,
        ops in ops(),
    ) {
        let factors: Vec<(DeciderRole, u8)> =
            ROLES.into_iter().zip(need).filter(|(_, number)| *number > 0).collect();
        let mut real = Office::with(&factors, units, comparison, urgent).disclosure();
        let mut model = Model {
            state: "pending",
            need: need.map(usize::from),
            units: usize::from(units),
            comparison,
            said: Vec::new(),
            recused: BTreeSet::new(),
            claims: BTreeSet::new(),
            notes: 0,
            suspended: BTreeSet::new(),
            moved: BTreeSet::new(),
            delegated: BTreeSet::new(),
            minute: 0,
            fetch_by: 0,
            decided: BTreeSet::new(),
            urgent,
            review: None,
            corrections: Vec::new(),
            told: Vec::new(),
            asked: 0,
            ask_open: false,
            withdrawn: false,
        };
        let mut steps = Vec::new();
        for op in &ops {
            let step = run(&mut real, &model, op);
            let allowed = model.run(op);
            if !op.is_outside() {
                prop_assert_eq!(step.is_some(), allowed, "the model and the code disagree about {:?}", op);
            }
            steps.extend(step);
            prop_assert_eq!(real.state().as_str(), model.state);
            prop_assert_eq!(real.state().is_final(), model.ended());
            prop_assert_eq!(real.denial().is_some(), real.state() == State::Denied);
            prop_assert_eq!((real.claims().len(), real.notes().len()), (model.claims.len(), model.notes));
            assert_review(&real, &model);
            let numbers = real.corrections().iter().map(|one| one.told.as_ref().map(|told| told.number));
            prop_assert_eq!(numbers.collect::<Vec<_>>(), model.corrections.clone());
            prop_assert_eq!(real.correction_asked().is_some(), model.ask_open);
            let granted: Vec<FieldName> = real.granted().iter().flat_map(Fields::iter).cloned().collect();
            let expected = if model.said.iter().all(|said| said.mask.is_none()) || model.granted() == 0 {
                Vec::new()
            } else {
                masked(model.granted()).iter().cloned().collect()
            };
            prop_assert_eq!(granted, expected);
        }
        assert_log(&real, &steps, need);
    }
}

/// No urgent release without a review that is owed or was closed once, by nobody who decided.
fn assert_review(real: &Disclosure, model: &Model) {
    let closed_by = |review: &Review| review.closed().map(|(deed, _)| deed.officer().clone());
    let said = real.review().map(|review| (review.due(), review.is_late(), closed_by(review)));
    let due = model
        .review
        .map(|(due, late, closed)| (minute_of(real.request(), due), late, closed.map(Office::officer)));
    assert_eq!(said, due);
    assert_eq!(real.review().is_some(), model.urgent && real.fetch_by().is_some());
    let closed = real.review().and_then(closed_by);
    assert!(closed.is_none_or(|officer| {
        real.decisions().chain(real.set_aside()).all(|signed| *signed.decision.officer() != officer)
    }));
}

/// The recorded steps rebuild the disclosure; none of them can be taken twice, and none that a release needs left out.
fn assert_log(real: &Disclosure, steps: &[Step], need: [u8; 3]) {
    let recorded: Vec<Step> = steps.iter().map(|step| Step::from_bytes(&step.to_bytes()).unwrap()).collect();
    let request = || Request::from_bytes(&real.request().to_bytes()).unwrap();
    let rebuilt = Disclosure::replay(request(), &recorded);
    assert!(rebuilt.is_ok_and(|rebuilt| rebuilt == *real), "replaying the steps must rebuild the disclosure");
    let is_release = |step: &Step| matches!(step.event, Event::Released { .. });
    assert!(recorded.iter().filter(|step| is_release(step)).count() <= 1, "there are two ciphertexts");
    for (number, step) in recorded.iter().enumerate() {
        let again = |deed: &Deed| matches!(deed.kind(), DeedKind::Note | DeedKind::StateCorrection);
        if matches!(&step.event, Event::Done(deed) if again(deed))
            || matches!(step.event, Event::CorrectionMade(_))
        {
            continue;
        }
        let twice = recorded.iter().take(number + 1).chain([step]);
        assert!(Disclosure::replay(request(), twice).is_err(), "step {number} was taken twice");
    }
    if let Some((_, rest)) = recorded.split_first()
        && matches!(recorded.first(), Some(Step { event: Event::Decided(_), .. }))
        && rest.iter().any(is_release)
        && real.set_aside().count() == 0
        && real.decisions().len() == need.iter().map(|number| usize::from(*number)).sum::<usize>()
    {
        let short = Disclosure::replay(request(), rest);
        assert!(short.is_err(), "a release whose approvals are not all recorded must not replay");
    }
}

const PEOPLE: usize = 5;
const ROLES: [DeciderRole; 3] =
    [DeciderRole::ApprovingOfficer, DeciderRole::Examiner, DeciderRole::PrivacyOfficer];
const DECIDE_MINUTES: u64 = 100;
const FETCH_MINUTES: u64 = 30;
const REVIEW_MINUTES: u64 = 20;
