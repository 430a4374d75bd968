//! The rules: what a step makes of a disclosure, for operations and replay alike.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::decision::{Choice, Decision};
use super::super::deed::{Deed, DeedKind, Question, SignedAnswer, matter_after, question_digest};
use super::super::factors::DeciderRole;
use super::super::refused::{Missing, Refused};
use super::super::request::Fields;
use super::super::review::Review;
use super::super::state::{Denial, State};
use super::super::step::{Decided, Event, Step};
use super::{Disclosure, Transition};
use crate::clock::Timestamp;
use crate::ids::{ActorName, UnitName};

impl Disclosure {
    pub(super) fn take(&self, step: Step) -> Result<(Self, Transition), Refused> {
        let after = self.after(&step)?;
        let transition = Transition { from: self.state, to: after.state, step };
        Ok((after, transition))
    }

    /// The one place where a disclosure changes.
    pub(super) fn after(&self, step: &Step) -> Result<Self, Refused> {
        if let Some(review) = self.reviewed(step)? {
            return Ok(Self { review: Some(review), ..self.clone() });
        }
        if let Some(after) = self.afterwards(step) {
            return after;
        }
        let is_note = matches!(&step.event, Event::Done(deed) if deed.kind() == DeedKind::Note);
        if self.state == State::Locked || self.state.is_final() && !is_note {
            return Err(Refused::Ended(self.state));
        }
        let mut after = self.clone();
        match &step.event {
            Event::Decided(decided) => {
                self.check(&decided.signed.decision, step.at)?;
                let officer = decided.signed.decision.officer();
                after.claims.retain(|(other, _)| other != officer);
                after.decisions.push(decided.clone());
                after.count();
            }
            Event::Done(deed) => after.done(self, deed, step.at)?,
            Event::Answered(answer) => after.answered(answer, step.at)?,
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
                after.state = if self.state == State::Released { State::Lapsed } else { State::Expired };
            }
            Event::Released { fetch_by, review_by } => {
                self.must(self.state == State::Approved, "released")?;
                if step.at >= self.request.decide_by() {
                    return Err(Refused::TooLate);
                }
                if *fetch_by <= step.at {
                    return Err(Refused::FetchBy);
                }
                if review_by.is_some() != self.request.ask().urgent().is_some()
                    || review_by.is_some_and(|due| due <= step.at)
                {
                    return Err(Refused::ReviewBy);
                }
                after.state = State::Released;
                after.fetch_by = Some(*fetch_by);
                after.review = review_by.map(|due| Review { due, late: false, closed: None });
            }
            Event::Acknowledged => {
                self.must(self.state == State::Released, "acknowledged")?;
                after.state = State::Acknowledged;
            }
            // INVARIANT: `reviewed` above has taken it.
            Event::ReviewLate => return Err(Refused::NoReview),
            Event::CorrectionMade(_)
            | Event::CorrectionTold { .. }
            | Event::CorrectionAcknowledged { .. }
            | Event::CorrectionOverdue { .. }
            | Event::CorrectionAsked(_) => return Err(Refused::NoCorrection),
        }
        Ok(after)
    }

    /// The rules about one decision that this disclosure can hold by itself.
    fn check(&self, decision: &Decision, now: Timestamp) -> Result<(), Refused> {
        let officer = decision.officer();
        self.must(self.state.is_decidable(), "decided about")?;
        if decision.disclosure() != self.request.disclosure() || decision.request() != self.digest {
            return Err(Refused::OtherRequest);
        }
        if now >= self.request.decide_by() {
            return Err(Refused::TooLate);
        }
        if decision.at() < now.before(DECISION_CLOCK_SKEW) || decision.at() > now.after(DECISION_CLOCK_SKEW) {
            return Err(Refused::Clock);
        }
        self.check_person(officer)?;
        if self.decisions().any(|other| other.decision.officer() == officer) {
            return Err(Refused::DecidedAlready(officer.clone()));
        }
        // One seat is one approval, whoever sits in it; and whoever may not decide, nobody does in their place.
        if let Some(delegator) = decision.on_behalf() {
            self.check_person(delegator)?;
        }
        if self.decisions().any(|other| other.decision.seat() == decision.seat()) {
            return Err(Refused::SeatFilled(decision.seat().clone()));
        }
        self.check_role(decision.role())?;
        let Choice::Grant(fields) = decision.choice() else { return Ok(()) };
        if let Some(name) = fields.iter().find(|name| !self.request.ask().fields().contains(name)) {
            return Err(Refused::FieldNotAsked(name.clone()));
        }
        if self.request.factors().ask_for_comparison(decision.role()) && decision.comparison().is_none() {
            return Err(Refused::ComparisonMissing(decision.role()));
        }
        Ok(())
    }

    /// Neither who asked nor who stepped back does anything with it.
    pub(super) fn check_person(&self, officer: &ActorName) -> Result<(), Refused> {
        if officer == self.request.requester() || officer.as_str() == self.request.ask().official() {
            return Err(Refused::Requester(officer.clone()));
        }
        if self.recused.contains(officer) {
            return Err(Refused::Recused(officer.clone()));
        }
        Ok(())
    }

    fn check_role(&self, role: DeciderRole) -> Result<(), Refused> {
        if self.request.factors().ask_for(role) { Ok(()) } else { Err(Refused::RoleNotAsked(role)) }
    }

    /// What an officer did beside deciding.
    fn done(&mut self, before: &Self, deed: &Deed, at: Timestamp) -> Result<(), Refused> {
        let officer = deed.officer();
        before.check_person(officer)?;
        match deed.kind() {
            DeedKind::Question => {
                before.must(before.state.is_decidable(), "asked about")?;
                before.check_role(deed.role())?;
                if at >= before.request.decide_by() {
                    return Err(Refused::TooLate);
                }
                self.questioned(deed, at);
            }
            DeedKind::Claim => {
                before.must(before.state.is_open(), "claimed")?;
                before.check_role(deed.role())?;
                if before.claims.iter().any(|(other, _)| other == officer) {
                    return Err(Refused::DoneAlready { officer: officer.clone(), deed: deed.kind() });
                }
                self.claims.push((officer.clone(), at));
            }
            DeedKind::PutBack => {
                self.claims.retain(|(other, _)| other != officer);
                if self.claims.len() == before.claims.len() {
                    return Err(Refused::NotClaimed(officer.clone()));
                }
            }
            DeedKind::Recuse => {
                before.must(before.state.is_open(), "stepped back from")?;
                self.claims.retain(|(other, _)| other != officer);
                self.recused.push(officer.clone());
                self.notes.push((deed.clone(), at));
                self.count();
            }
            DeedKind::Note => self.notes.push((deed.clone(), at)),
            DeedKind::HitErroneous => {
                before.must(before.state.is_open(), "found erroneous")?;
                self.denial = Some(Denial::HitErroneous);
                self.end(State::Denied, deed);
            }
            DeedKind::Revoke => {
                before.must(before.state == State::Released, "revoked")?;
                self.end(State::Revoked, deed);
            }
            DeedKind::Lock => self.end(State::Locked, deed),
            // INVARIANT: `reviewed` has taken them.
            DeedKind::FindJustified | DeedKind::FindNotJustified => return Err(Refused::NoReview),
            DeedKind::AcceptCorrection | DeedKind::RefuseCorrection | DeedKind::StateCorrection => {
                return Err(Refused::NoCorrection);
            }
        }
        Ok(())
    }

    /// The review after a step that is about it; a lock does not do away with what is owed.
    fn reviewed(&self, step: &Step) -> Result<Option<Review>, Refused> {
        let owed = || self.review.clone().filter(Review::is_owed).ok_or(Refused::NoReview);
        match &step.event {
            Event::ReviewLate => {
                let review = owed()?;
                if review.late {
                    return Err(Refused::NoReview);
                }
                if step.at < review.due {
                    return Err(Refused::TooEarly);
                }
                Ok(Some(Review { late: true, ..review }))
            }
            Event::Done(deed) if deed.kind().finding().is_some() => {
                let (review, officer) = (owed()?, deed.officer());
                self.check_person(officer)?;
                let mut deciders = self.decisions().chain(self.set_aside());
                if deed.role() != DeciderRole::PrivacyOfficer
                    || deciders.any(|signed| signed.decision.officer() == officer)
                {
                    return Err(Refused::Reviewer(officer.clone()));
                }
                Ok(Some(Review { closed: Some((deed.clone(), step.at)), ..review }))
            }
            _ => Ok(None),
        }
    }

    fn end(&mut self, state: State, deed: &Deed) {
        self.state = state;
        self.ended_by = Some(deed.clone());
    }

    /// What was granted was granted without knowing the answer.
    fn questioned(&mut self, deed: &Deed, at: Timestamp) {
        self.questions.push(Question {
            officer: deed.officer().clone(),
            role: deed.role(),
            text: deed.words().to_owned(),
            at,
            digest: question_digest(self.digest, deed.words(), at),
            answer: None,
            answered: None,
        });
        self.set_aside.append(&mut self.decisions);
        self.state = State::NeedsInformation;
        self.turns = self.turns.saturating_add(1);
    }

    fn answered(&mut self, answer: &SignedAnswer, at: Timestamp) -> Result<(), Refused> {
        self.must(self.state == State::NeedsInformation, "answered")?;
        if at >= self.request.decide_by() {
            return Err(Refused::TooLate);
        }
        let disclosure = self.request.disclosure();
        let Some(question) = self.questions.last_mut() else { return Err(Refused::OtherQuestion) };
        if answer.answer.question() != question.digest || answer.answer.disclosure() != disclosure {
            return Err(Refused::OtherQuestion);
        }
        self.digest = matter_after(self.digest, question.digest, answer.answer.digest());
        question.answer = Some(answer.clone());
        question.answered = Some(at);
        self.state = State::Pending;
        self.turns = self.turns.saturating_add(1);
        Ok(())
    }

    /// The state that follows from the decisions; while the partner is asked there are none.
    fn count(&mut self) {
        self.turns = self.turns.saturating_add(1);
        if self.state == State::NeedsInformation {
            return;
        }
        let denied = self.decisions().any(|signed| matches!(signed.decision.choice(), Choice::Deny));
        (self.state, self.denial) = if denied {
            (State::Denied, Some(Denial::ByDecision))
        } else if self.grants().next().is_some() && self.granted().is_none() {
            (State::Denied, Some(Denial::NothingInCommon))
        } else if self.counting().next().is_none() {
            (State::Pending, None)
        } else if self.shortfall(self.recorded()).is_some() {
            (State::PartiallyApproved, None)
        } else {
            (State::Approved, None)
        };
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = (&Decided, &Fields)> {
        self.decisions.iter().filter_map(|decided| match decided.signed.decision.choice() {
            Choice::Grant(fields) => Some((decided, fields)),
            Choice::Deny => None,
        })
    }

    /// The approvals of those who have not stepped back.
    pub(super) fn counting(&self) -> impl Iterator<Item = &Decision> {
        let decisions = self.grants().map(|(decided, _)| &decided.signed.decision);
        decisions.filter(|decision| self.still_sits(decision))
    }

    /// Whether neither who decided nor whose seat it was has stepped back.
    fn still_sits(&self, decision: &Decision) -> bool {
        !self.recused.contains(decision.officer()) && !self.recused.contains(decision.seat())
    }

    /// Role and unit of the approvals that count, as they were when each was made.
    fn recorded(&self) -> impl Iterator<Item = (DeciderRole, Option<UnitName>)> {
        let made = self.grants().map(|(decided, _)| decided);
        let made = made.filter(|decided| self.still_sits(&decided.signed.decision));
        made.map(|decided| (decided.signed.decision.role(), decided.unit.clone()))
    }

    /// The first factor that these approvals do not fill. INVARIANT: a person has decided once, in one role, so that
    /// counting by role counts distinct people, each for one factor.
    pub(super) fn shortfall(
        &self,
        approvals: impl Iterator<Item = (DeciderRole, Option<UnitName>)>,
    ) -> Option<Missing> {
        let approvals: Vec<_> = approvals.collect();
        self.request.factors().iter().find_map(|factor| {
            let role = factor.role;
            let of_role = || approvals.iter().filter(|(other, _)| *other == role);
            let (have, need) = (of_role().count(), usize::from(factor.number.get()));
            if have < need {
                return Some(Missing::Factor { role, have, need });
            }
            let units: BTreeSet<&UnitName> = of_role().filter_map(|(_, unit)| unit.as_ref()).collect();
            let (have, need) = (units.len(), usize::from(factor.units.get()));
            (need > 1 && have < need).then_some(Missing::Units { role, have, need })
        })
    }

    pub(super) const fn must(&self, allowed: bool, operation: &'static str) -> Result<(), Refused> {
        if allowed { Ok(()) } else { Err(Refused::NotNow { state: self.state, operation }) }
    }
}

/// What Kerberos allows between two machines (RFC 4120, section 8.2).
const DECISION_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
