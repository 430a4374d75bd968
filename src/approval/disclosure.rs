//! A disclosure from its request to its end. Every operation returns the new value and leaves the old one as it
//! was, so that what is recorded and what is kept are made of the same step.

mod afterwards;
mod life;
#[cfg(test)]
mod tests;

use super::correction::{Correction, CorrectionAsked};
use super::decision::SignedDecision;
use super::deed::{Deed, Question, SignedAnswer};
use super::proof::{Approval, Decider};
use super::refused::{Missing, Refused, ReplayError};
use super::request::{Fields, Request};
use super::review::Review;
use super::state::{Denial, Eligible, Seat, State};
use super::step::{Decided, Event, Step};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest};

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

/// A request, what people did with it, and its state.
#[derive(Clone, PartialEq, Eq)]
pub struct Disclosure {
    request: Request,
    /// Of what is decided about: the request, and every question and answer since.
    digest: Digest,
    state: State,
    denial: Option<Denial>,
    /// Those about what is open now.
    decisions: Vec<Decided>,
    /// Those that a question set aside.
    set_aside: Vec<Decided>,
    questions: Vec<Question>,
    claims: Vec<(ActorName, Timestamp)>,
    recused: Vec<ActorName>,
    notes: Vec<(Deed, Timestamp)>,
    ended_by: Option<Deed>,
    fetch_by: Option<Timestamp>,
    review: Option<Review>,
    corrections: Vec<Correction>,
    corrections_asked: Vec<CorrectionAsked>,
    /// How often what counts has changed.
    turns: usize,
}

impl Disclosure {
    /// A new disclosure: pending.
    #[must_use]
    pub fn new(request: Request) -> Self {
        let digest = request.digest();
        Self {
            request,
            digest,
            state: State::Pending,
            denial: None,
            decisions: Vec::new(),
            set_aside: Vec::new(),
            questions: Vec::new(),
            claims: Vec::new(),
            recused: Vec::new(),
            notes: Vec::new(),
            ended_by: None,
            fetch_by: None,
            review: None,
            corrections: Vec::new(),
            corrections_asked: Vec::new(),
            turns: 0,
        }
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
        let seat = Seat::of(&signed.decision);
        if !seat.may_decide(eligible) {
            return Err(match seat.on_behalf {
                Some(delegator) => Refused::NotDelegated(delegator.clone()),
                None => Refused::NotEligible { officer: seat.officer.clone(), role: seat.role },
            });
        }
        let unit = seat.unit(eligible);
        self.take(Step { at: now, event: Event::Decided(Decided { signed, unit }) })
    }

    /// An officer does something else with it. Where only deciders may, `eligible` is what the registry says of them
    /// at this moment; who may do the rest, the caller has asked the rules.
    ///
    /// # Errors
    /// [`Refused`] with the rule that stands against it.
    pub fn tend(
        &self,
        deed: Deed,
        eligible: &[Eligible],
        now: Timestamp,
    ) -> Result<(Self, Transition), Refused> {
        let (officer, role) = (deed.officer(), deed.role());
        let own = Seat { officer, role, on_behalf: None };
        if deed.kind().is_for_deciders() && !own.may_decide(eligible) {
            return Err(Refused::NotEligible { officer: officer.clone(), role });
        }
        self.take(Step { at: now, event: Event::Done(deed) })
    }

    /// The partner answers the open question.
    ///
    /// # Errors
    /// [`Refused::Ended`], [`Refused::NotNow`], [`Refused::OtherQuestion`], [`Refused::TooLate`].
    pub fn answer(&self, answer: SignedAnswer, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::Answered(answer) })
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
    /// ciphertext is deleted unless it was acknowledged before, and `review_by` when the review is due that an urgent
    /// release owes.
    ///
    /// # Errors
    /// [`Refused::OtherRequest`] and [`Refused::StaleApproval`] for an approval of something else or of an
    /// earlier state, [`Refused::Ended`], [`Refused::NotNow`], [`Refused::FetchBy`],
    /// [`Refused::ReviewBy`].
    #[expect(clippy::needless_pass_by_value, reason = "an approval is used once")]
    pub fn release(
        &self,
        approval: Approval,
        fetch_by: Timestamp,
        review_by: Option<Timestamp>,
    ) -> Result<(Self, Transition), Refused> {
        if approval.request != self.digest {
            return Err(Refused::OtherRequest);
        }
        let after = self.take(Step { at: approval.at, event: Event::Released { fetch_by, review_by } })?;
        if approval.turns != self.turns {
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

    /// Notes that the review that it owes was not closed in time; once.
    ///
    /// # Errors
    /// [`Refused::NoReview`], [`Refused::TooEarly`].
    pub fn review_late(&self, now: Timestamp) -> Result<(Self, Transition), Refused> {
        self.take(Step { at: now, event: Event::ReviewLate })
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
        let counting = || self.counting().filter(|decision| Seat::of(decision).may_decide(eligible));
        let of = counting().map(|decision| (decision.role(), Seat::of(decision).unit(eligible)));
        if let Some(missing) = self.shortfall(of) {
            return Err(missing);
        }
        let deciders = counting().map(|decision| Decider {
            officer: decision.officer().clone(),
            role: decision.role(),
            on_behalf: decision.on_behalf().cloned(),
            decision: decision.digest(),
        });
        Ok(Approval {
            disclosure: self.request.disclosure(),
            request: self.digest,
            fields,
            deciders: deciders.collect(),
            turns: self.turns,
            at: now,
        })
    }

    /// What was asked.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The digest that every decision carries: that of the request, and after each answer one of the digest before, of
    /// the question and of the answer.
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

    /// The decisions about what is open now, in the order they came.
    pub fn decisions(&self) -> impl DoubleEndedIterator<Item = &SignedDecision> + ExactSizeIterator {
        self.decisions.iter().map(|decided| &decided.signed)
    }

    /// The decisions that count no longer, because the partner was asked something after them.
    pub fn set_aside(&self) -> impl Iterator<Item = &SignedDecision> {
        self.set_aside.iter().map(|decided| &decided.signed)
    }

    /// What the partner was asked, and answered.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The question that the partner has not answered.
    #[must_use]
    pub fn open_question(&self) -> Option<&Question> {
        self.questions.last().filter(|question| question.answer.is_none())
    }

    /// Who works on it, and since when.
    #[must_use]
    pub fn claims(&self) -> &[(ActorName, Timestamp)] {
        &self.claims
    }

    /// Who has stepped back.
    #[must_use]
    pub fn recused(&self) -> &[ActorName] {
        &self.recused
    }

    /// Notes of the holder's own people, and why they stepped back.
    #[must_use]
    pub fn notes(&self) -> &[(Deed, Timestamp)] {
        &self.notes
    }

    /// What an officer did, beside deciding, that ended it.
    #[must_use]
    pub const fn ended_by(&self) -> Option<&Deed> {
        self.ended_by.as_ref()
    }

    /// The roles that approval still takes, one for each person who is missing.
    #[must_use]
    pub fn missing(&self) -> Vec<super::DeciderRole> {
        let have = |role| self.counting().filter(|decision| decision.role() == role).count();
        let left = |factor: super::Factor| usize::from(factor.number.get()).saturating_sub(have(factor.role));
        let roles = self.request.factors().iter();
        roles.flat_map(|factor| std::iter::repeat_n(factor.role, left(factor))).collect()
    }

    /// The review that an urgent release owes, once it was released.
    #[must_use]
    pub const fn review(&self) -> Option<&Review> {
        self.review.as_ref()
    }

    /// When the ciphertext is deleted, once there is one.
    #[must_use]
    pub const fn fetch_by(&self) -> Option<Timestamp> {
        self.fetch_by
    }

    /// The fields that every approval so far grants; none before the first and when they have none in common. Whoever
    /// stepped back since still withholds what they withheld: the fields never grow because somebody left.
    #[must_use]
    pub fn granted(&self) -> Option<Fields> {
        let mut grants = self.grants().map(|(_, fields)| fields);
        let first = grants.next()?.clone();
        grants.try_fold(first, |common, fields| common.common(fields))
    }
}
