//! A disclosure from its request to its end. Every operation returns the new value and leaves the old one as it
//! was, so that what is recorded and what is kept are made of the same step.

use std::time::Duration;

use super::decision::{Choice, Decision, SignedDecision};
use super::factors::{DeciderRole, Factor};
use super::refused::{Missing, Refused, ReplayError};
use super::request::{Fields, Request};
use super::state::{Denial, Eligible, State, may_decide};
use super::step::{Event, Step};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId};

/// A change of state, and the step that made it: what is recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after; may be the same, as with a further decision.
    pub to: State,
    /// What happened.
    pub step: Step,
}

/// A request, its decisions and its state.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    request: Request,
    digest: Digest,
    state: State,
    denial: Option<Denial>,
    decisions: Vec<SignedDecision>,
    fetch_by: Option<Timestamp>,
}

impl Disclosure {
    /// A new disclosure: pending.
    #[must_use]
    pub fn new(request: Request) -> Self {
        let digest = request.digest();
        Self { request, digest, state: State::Pending, denial: None, decisions: Vec::new(), fetch_by: None }
    }

    /// Rebuilds a disclosure from its request and its recorded steps (promise 10). What was true outside at that
    /// time (signatures, eligibility) was checked before the step was recorded and is not asked again.
    ///
    /// # Errors
    /// [`ReplayError`] with the first step that does not follow from those before.
    pub fn replay<'a>(
        request: Request,
        steps: impl IntoIterator<Item = &'a Step>,
    ) -> Result<Self, ReplayError> {
        let disclosure = request.disclosure();
        steps.into_iter().zip(1..).try_fold(Self::new(request), |before, (step, number)| {
            before.after(step).map_err(|refused| ReplayError { disclosure, number, refused })
        })
    }

    /// Counts one officer's decision. `eligible` is what the registry says at this moment; who does not stand in
    /// it, in the role of the decision and active, may not decide.
    ///
    /// # Errors
    /// [`Refused`] with the rule that stands against it.
    pub fn decide(
        &self,
        signed: SignedDecision,
        eligible: &[Eligible],
        now: Timestamp,
    ) -> Result<(Self, Transition), Refused> {
        let (officer, role) = (signed.decision.officer(), signed.decision.role());
        if !may_decide(officer, role, eligible) {
            return Err(Refused::NotEligible { officer: officer.clone(), role });
        }
        self.take(Step { at: now, event: Event::Decided(signed) })
    }

    /// The partner takes its request back, before anything was released.
    ///
    /// # Errors
    /// [`Refused::Ended`], [`Refused::NotNow`].
    pub fn withdraw(&self, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::Withdrawn })
    }

    /// Ends it as denied because the subject was hidden or erased after the hit.
    ///
    /// # Errors
    /// [`Refused::Ended`], [`Refused::NotNow`].
    pub fn withhold(&self, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::Withheld })
    }

    /// Ends it because its time to decide, or to fetch, is over.
    ///
    /// # Errors
    /// [`Refused::Ended`], [`Refused::TooEarly`].
    pub fn expire(&self, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::Expired })
    }

    /// Releases, once: the approval is used up. Its moment is the moment of the release; `fetch_by` is when the
    /// ciphertext is deleted unless it was acknowledged before.
    ///
    /// # Errors
    /// [`Refused::OtherRequest`] and [`Refused::StaleApproval`] for an approval of something else or of an
    /// earlier state, [`Refused::Ended`], [`Refused::NotNow`], [`Refused::FetchBy`].
    #[expect(clippy::needless_pass_by_value, reason = "an approval is used once")]
    pub fn release(&self, approval: Approval, fetch_by: Timestamp) -> Result<(Self, Transition), Refused> {
        if approval.request != self.digest {
            return Err(Refused::OtherRequest);
        }
        let after = self.take(Step { at: approval.at, event: Event::Released { fetch_by } })?;
        if approval.decisions != self.decisions.len() {
            return Err(Refused::StaleApproval);
        }
        Ok(after)
    }

    /// The partner says that it opened the release.
    ///
    /// # Errors
    /// [`Refused::Ended`], [`Refused::NotNow`].
    pub fn acknowledge(&self, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::Acknowledged })
    }

    /// Mints the proof that a release demands: every factor, by distinct people who may decide in their role at
    /// this very moment. An approval by somebody who no longer may does not count, yet what that person withheld
    /// stays withheld: the granted fields never grow because somebody left.
    ///
    /// # Errors
    /// [`Missing`] with what it lacks.
    pub fn approval(&self, eligible: &[Eligible], now: Timestamp) -> Result<Approval, Missing> {
        let (State::Approved, Some(fields)) = (self.state, self.granted()) else {
            return Err(Missing::State(self.state));
        };
        if now >= self.request.decide_by() {
            return Err(Missing::TooLate);
        }
        let deciders: Vec<Decider> = self
            .grants()
            .filter(|(decision, _)| may_decide(decision.officer(), decision.role(), eligible))
            .map(|(decision, _)| Decider {
                officer: decision.officer().clone(),
                role: decision.role(),
                decision: decision.digest(),
            })
            .collect();
        match self.shortfall(deciders.iter().map(|decider| decider.role)) {
            Some((factor, have)) => {
                Err(Missing::Factor { role: factor.role, have, need: usize::from(factor.number.get()) })
            }
            None => Ok(Approval {
                disclosure: self.request.disclosure(),
                request: self.digest,
                fields,
                deciders,
                decisions: self.decisions.len(),
                at: now,
            }),
        }
    }

    /// What was asked.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The digest that every decision carries.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it was denied, if it was.
    #[must_use]
    pub const fn denial(&self) -> Option<Denial> {
        self.denial
    }

    /// The decisions in the order they came.
    #[must_use]
    pub fn decisions(&self) -> &[SignedDecision] {
        &self.decisions
    }

    /// When the ciphertext is deleted, once there is one.
    #[must_use]
    pub const fn fetch_by(&self) -> Option<Timestamp> {
        self.fetch_by
    }

    /// The fields that every approval so far grants; none before the first and when they have none in common.
    #[must_use]
    pub fn granted(&self) -> Option<Fields> {
        let mut grants = self.grants().map(|(_, fields)| fields);
        let first = grants.next()?.clone();
        grants.try_fold(first, |common, fields| common.common(fields))
    }

    fn take(&self, step: Step) -> Result<(Self, Transition), Refused> {
        let after = self.after(&step)?;
        let transition = Transition { from: self.state, to: after.state, step };
        Ok((after, transition))
    }

    /// The one place where a state changes, for operations and replay alike.
    fn after(&self, step: &Step) -> Result<Self, Refused> {
        if self.state.is_final() {
            return Err(Refused::Ended(self.state));
        }
        let mut after = self.clone();
        match &step.event {
            Event::Decided(signed) => {
                self.check(&signed.decision, step.at)?;
                after.decisions.push(signed.clone());
                after.count();
            }
            Event::Withdrawn => {
                self.must(self.state.is_open(), "withdrawn")?;
                after.state = State::Withdrawn;
            }
            Event::Withheld => {
                self.must(self.state.is_open(), "withheld")?;
                after.state = State::Denied;
                after.denial = Some(Denial::Withheld);
            }
            Event::Expired => {
                if step.at < self.fetch_by.unwrap_or(self.request.decide_by()) {
                    return Err(Refused::TooEarly);
                }
                after.state = State::Expired;
            }
            Event::Released { fetch_by } => {
                self.must(self.state == State::Approved, "released")?;
                if step.at >= self.request.decide_by() {
                    return Err(Refused::TooLate);
                }
                if *fetch_by <= step.at {
                    return Err(Refused::FetchBy);
                }
                after.state = State::Released;
                after.fetch_by = Some(*fetch_by);
            }
            Event::Acknowledged => {
                self.must(self.state == State::Released, "acknowledged")?;
                after.state = State::Acknowledged;
            }
        }
        Ok(after)
    }

    /// The rules about one decision that this disclosure can hold by itself.
    fn check(&self, decision: &Decision, now: Timestamp) -> Result<(), Refused> {
        let officer = decision.officer();
        self.must(self.state.is_open(), "decided about")?;
        if decision.disclosure() != self.request.disclosure() || decision.request() != self.digest {
            return Err(Refused::OtherRequest);
        }
        if now >= self.request.decide_by() {
            return Err(Refused::TooLate);
        }
        if decision.at() < now.before(DECISION_CLOCK_SKEW) || decision.at() > now.after(DECISION_CLOCK_SKEW) {
            return Err(Refused::Clock);
        }
        if officer == self.request.requester() || officer.as_str() == self.request.ask().official() {
            return Err(Refused::Requester(officer.clone()));
        }
        if self.decisions.iter().any(|other| other.decision.officer() == officer) {
            return Err(Refused::DecidedAlready(officer.clone()));
        }
        if !self.request.factors().ask_for(decision.role()) {
            return Err(Refused::RoleNotAsked(decision.role()));
        }
        match decision.choice() {
            Choice::Deny => Ok(()),
            Choice::Grant(fields) => {
                match fields.iter().find(|name| !self.request.ask().fields().contains(name)) {
                    Some(name) => Err(Refused::FieldNotAsked(name.clone())),
                    None => Ok(()),
                }
            }
        }
    }

    /// The state that follows from the decisions.
    fn count(&mut self) {
        let denied = self.decisions.iter().any(|signed| matches!(signed.decision.choice(), Choice::Deny));
        (self.state, self.denial) = if denied {
            (State::Denied, Some(Denial::ByDecision))
        } else if self.granted().is_none() {
            (State::Denied, Some(Denial::NothingInCommon))
        } else if self.shortfall(self.grants().map(|(decision, _)| decision.role())).is_some() {
            (State::PartiallyApproved, None)
        } else {
            (State::Approved, None)
        };
    }

    fn grants(&self) -> impl Iterator<Item = (&Decision, &Fields)> {
        self.decisions.iter().filter_map(|signed| match signed.decision.choice() {
            Choice::Grant(fields) => Some((&signed.decision, fields)),
            Choice::Deny => None,
        })
    }

    /// The first factor that these approvals do not fill, and how many of it they are. INVARIANT: a person has
    /// decided once, in one role, so that counting by role counts distinct people, each for one factor.
    fn shortfall(&self, roles: impl Iterator<Item = DeciderRole>) -> Option<(Factor, usize)> {
        let roles: Vec<DeciderRole> = roles.collect();
        self.request.factors().iter().find_map(|factor| {
            let have = roles.iter().filter(|role| **role == factor.role).count();
            (have < usize::from(factor.number.get())).then_some((factor, have))
        })
    }

    const fn must(&self, allowed: bool, operation: &'static str) -> Result<(), Refused> {
        if allowed { Ok(()) } else { Err(Refused::NotNow { state: self.state, operation }) }
    }
}

/// One of the people whose approvals counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// Who.
    pub officer: ActorName,
    /// In which role.
    pub role: DeciderRole,
    /// The digest of the decision that was signed.
    pub decision: Digest,
}

/// Proof that all factors of one request have approved it, and still may at this moment. Only
/// [`Disclosure::approval`] makes one; [`Disclosure::release`] uses it up.
pub struct Approval {
    disclosure: DisclosureId,
    request: Digest,
    fields: Fields,
    deciders: Vec<Decider>,
    /// How many decisions there were, so that one made since is noticed.
    decisions: usize,
    at: Timestamp,
}

impl Approval {
    /// The disclosure that may be released.
    #[must_use]
    pub const fn disclosure(&self) -> DisclosureId {
        self.disclosure
    }

    /// The digest of the request that was approved.
    #[must_use]
    pub const fn request(&self) -> Digest {
        self.request
    }

    /// The fields that may leave.
    #[must_use]
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Whose approvals counted.
    #[must_use]
    pub fn deciders(&self) -> &[Decider] {
        &self.deciders
    }

    /// The moment at which it was checked.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// What Kerberos allows between two machines (RFC 4120, section 8.2).
const DECISION_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use crate::ids::FieldName;

    use super::super::model::{Office, grant};
    use super::super::state::DeciderStanding;
    use super::*;

    #[test]
    fn two_roles_approve_and_the_common_fields_are_released_once() {
        let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1), (DeciderRole::Examiner, 1)]);
        let new = office.disclosure();
        let (half, first) = new
            .decide(grant(&new, 0, DeciderRole::ApprovingOfficer, 0b011, 1), &office.all(), office.at(1))
            .unwrap();
        assert_eq!((first.from, first.to), (State::Pending, State::PartiallyApproved));
        assert_eq!(
            half.approval(&office.all(), office.at(2)).err(),
            Some(Missing::State(State::PartiallyApproved))
        );
        let (whole, _) = half
            .decide(grant(&half, 1, DeciderRole::Examiner, 0b110, 2), &office.all(), office.at(2))
            .unwrap();
        assert_eq!(whole.state(), State::Approved);
        let approval = whole.approval(&office.all(), office.at(3)).unwrap();
        let names: Vec<&str> = approval.fields().iter().map(FieldName::as_str).collect();
        assert_eq!(names, ["date-of-birth"], "what leaves is what both grant");
        assert_eq!(approval.deciders().len(), 2);
        let again = whole.approval(&office.all(), office.at(3)).unwrap();
        let (released, _) = whole.release(approval, office.at(90)).unwrap();
        assert_eq!(
            released.release(again, office.at(90)).err(),
            Some(Refused::NotNow { state: State::Released, operation: "released" })
        );
        let (done, _) = released.acknowledge(office.at(5)).unwrap();
        assert_eq!(done.withdraw(office.at(6)).err(), Some(Refused::Ended(State::Acknowledged)));
    }

    #[test]
    fn an_approval_by_somebody_suspended_since_does_not_count_at_release() {
        let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
        let new = office.disclosure();
        let (approved, _) = new
            .decide(grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 1), &office.all(), office.at(1))
            .unwrap();
        let missing = approved.approval(&office.all_but(0), office.at(2)).err();
        assert_eq!(missing, Some(Missing::Factor { role: DeciderRole::ApprovingOfficer, have: 0, need: 1 }));
        let wider = grant(&approved, 1, DeciderRole::ApprovingOfficer, 0b111, 2);
        let (again, _) = approved.decide(wider, &office.all(), office.at(2)).unwrap();
        let approval = again.approval(&office.all_but(0), office.at(3)).unwrap();
        assert_eq!(approval.fields().iter().count(), 1, "fields must not grow because somebody left");
        assert_eq!(approval.deciders().len(), 1);
    }

    #[test]
    fn an_approval_older_than_a_decision_or_of_another_request_releases_nothing() {
        let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
        let new = office.disclosure();
        let role = DeciderRole::ApprovingOfficer;
        let (one, _) = new.decide(grant(&new, 0, role, 0b111, 1), &office.all(), office.at(1)).unwrap();
        let old = one.approval(&office.all(), office.at(1)).unwrap();
        let (two, _) = one.decide(grant(&one, 1, role, 0b001, 2), &office.all(), office.at(2)).unwrap();
        assert_eq!(two.release(old, office.at(90)).err(), Some(Refused::StaleApproval));
        let other = Office::new(&[(role, 1), (DeciderRole::Examiner, 1)]).disclosure();
        let approval = two.approval(&office.all(), office.at(3)).unwrap();
        assert_eq!(other.release(approval, office.at(90)).err(), Some(Refused::OtherRequest));
    }

    #[test]
    fn approvals_with_nothing_in_common_end_as_denied() {
        let office = Office::new(&[(DeciderRole::ApprovingOfficer, 3)]);
        let new = office.disclosure();
        let role = DeciderRole::ApprovingOfficer;
        let (one, _) = new.decide(grant(&new, 0, role, 0b001, 1), &office.all(), office.at(1)).unwrap();
        let (two, _) = one.decide(grant(&one, 1, role, 0b110, 2), &office.all(), office.at(2)).unwrap();
        assert_eq!((two.state(), two.denial()), (State::Denied, Some(Denial::NothingInCommon)));
    }

    #[test]
    fn a_hidden_subject_ends_as_denied_and_a_late_one_as_expired() {
        let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
        let new = office.disclosure();
        let (hidden, _) = new.withhold(office.at(1)).unwrap();
        assert_eq!((hidden.state(), hidden.denial()), (State::Denied, Some(Denial::Withheld)));
        assert_eq!(new.expire(office.at(99)).err(), Some(Refused::TooEarly));
        let late = grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 100);
        assert_eq!(new.decide(late, &office.all(), office.at(100)).err(), Some(Refused::TooLate));
        assert_eq!(new.expire(office.at(100)).unwrap().0.state(), State::Expired);
        let in_time = grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 99);
        let (approved, _) = new.decide(in_time, &office.all(), office.at(99)).unwrap();
        assert_eq!(approved.approval(&office.all(), office.at(100)).err(), Some(Missing::TooLate));
        let approval = approved.approval(&office.all(), office.at(99)).unwrap();
        assert_eq!(approved.release(approval, office.at(99)).err(), Some(Refused::FetchBy));
    }

    #[test]
    fn the_requester_the_enroller_and_the_unasked_decide_nothing() {
        let role = DeciderRole::ApprovingOfficer;
        let office = Office::new(&[(role, 1)]);
        let new = office.disclosure();
        let try_it =
            |signed: SignedDecision, eligible: &[Eligible]| new.decide(signed, eligible, office.at(1)).err();
        let mine = grant(&new, 0, role, 0b001, 1);
        let enroller = Eligible { officer: Office::officer(0), role, standing: DeciderStanding::Enroller };
        let not = Some(Refused::NotEligible { officer: Office::officer(0), role });
        assert_eq!(try_it(mine.clone(), std::slice::from_ref(&enroller)), not);
        assert_eq!(try_it(mine.clone(), &[]), not);
        let active = Eligible { standing: DeciderStanding::Active, ..enroller.clone() };
        assert_eq!(try_it(mine, &[active, enroller]), not, "one entry against it is enough");
        let examiner = grant(&new, 0, DeciderRole::Examiner, 0b001, 1);
        assert_eq!(try_it(examiner, &office.all()), Some(Refused::RoleNotAsked(DeciderRole::Examiner)));
        for requester in ["au-border-gateway", "officer-7f3a"] {
            let officer: ActorName = requester.parse().unwrap();
            let signed = Office::signed(&new, &officer, role, Some(0b001), office.at(1));
            let eligible = Eligible { officer: officer.clone(), role, standing: DeciderStanding::Active };
            assert_eq!(try_it(signed, &[eligible]), Some(Refused::Requester(officer)));
        }
        let skewed = grant(&new, 0, role, 0b001, 7);
        assert_eq!(try_it(skewed, &office.all()), Some(Refused::Clock));
    }
}
