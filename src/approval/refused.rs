//! Why an operation on a disclosure was refused, and what an approval lacks.

use super::deed::DeedKind;
use super::factors::DeciderRole;
use super::state::State;
use crate::ids::{ActorName, DisclosureId, FieldName};

/// Why an operation was refused. The disclosure is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing leaves a final state.
    #[error("the disclosure has ended as {0}; ask anew")]
    Ended(State),
    /// The operation does not belong to this state.
    #[error("a disclosure that is {state} can't be {operation}; look at its state first")]
    NotNow {
        /// The state it is in.
        state: State,
        /// What was tried.
        operation: &'static str,
    },
    /// The decision or the approval is about another request.
    #[error(
        "this is about another request than the one that is open; fetch the case again and decide on what it shows"
    )]
    OtherRequest,
    /// The approval was minted before a later decision changed what may leave.
    #[error("the approval is older than the last decision; make a new one")]
    StaleApproval,
    /// The time to decide is over.
    #[error("the time to decide is over; the partner must ask anew")]
    TooLate,
    /// The time to decide, or to fetch, is not over yet.
    #[error("the disclosure's time is not over yet; wait for it")]
    TooEarly,
    /// The clock of the officer's client is off.
    #[error("the decision's time is more than 5 minutes off; set the clock of the officer's machine")]
    Clock,
    /// The requester would decide about its own request.
    #[error("`{0}` made this request and can't decide about it; another officer must")]
    Requester(ActorName),
    /// The person has decided already.
    #[error("`{0}` has decided already; another officer must decide")]
    DecidedAlready(ActorName),
    /// The seat is filled: by its owner or by somebody it was delegated to.
    #[error("a decision in the seat of `{0}` stands already; another officer must decide")]
    SeatFilled(ActorName),
    /// Nobody delegated this seat to the person, or not for this moment.
    #[error("the seat of `{0}` is not delegated to you now; decide in your own, or ask for a delegation")]
    NotDelegated(ActorName),
    /// The person has stepped back from it.
    #[error("`{0}` has stepped back from this case for good; another officer must")]
    Recused(ActorName),
    /// The same officer would do the same again.
    #[error("`{officer}` has done this already (`{deed}`); look at the case again")]
    DoneAlready {
        /// Who.
        officer: ActorName,
        /// What.
        deed: DeedKind,
    },
    /// A claim that is taken back and was not made.
    #[error("`{0}` has not claimed this case; claim it first")]
    NotClaimed(ActorName),
    /// An answer to another question than the open one.
    #[error("this answers another question than the open one; fetch the disclosure again and answer that")]
    OtherQuestion,
    /// The approval of this role rests on a comparison outside, and none is named.
    #[error("an approval as {0} names the reference of the comparison that it rests on; give it")]
    ComparisonMissing(DeciderRole),
    /// The person may not decide in this role, now.
    #[error("`{officer}` may not decide about this as {role} now; another officer must")]
    NotEligible {
        /// Who tried.
        officer: ActorName,
        /// In which role.
        role: DeciderRole,
    },
    /// No factor asks for the role.
    #[error("no approval factor of this request asks for the role `{0}`; decide in a role that it asks for")]
    RoleNotAsked(DeciderRole),
    /// A granted field was not asked for.
    #[error("the field `{0}` was not asked for; grant only fields of the request")]
    FieldNotAsked(FieldName),
    /// Somebody who may not review it.
    #[error("`{0}` may not review this release: a privacy officer must who decided nothing in this case")]
    Reviewer(ActorName),
    /// No review is open.
    #[error("no review is owed for this case, or it was closed; look at the case first")]
    NoReview,
    /// An urgent release without a review, or a review without an urgent release.
    #[error("an urgent release owes a review and no other does; check the agreement's urgent path")]
    ReviewBy,
    /// No such correction, or it is not to be told, acknowledged or answered any more.
    #[error("there is no such correction that waits; fetch the disclosure again and look at its corrections")]
    NoCorrection,
    /// The partner asked before, and waits for an answer.
    #[error("a request for a correction waits for its answer, or too many were made; wait for the answer")]
    AskedAlready,
    /// A release that could never be fetched.
    #[error("the release would have to be fetched before it is made; check the agreement's clock")]
    FetchBy,
}

/// What an approval lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The disclosure is not in the state `approved`.
    #[error("the disclosure is {0}, not approved; look at its state first")]
    State(State),
    /// The time to decide is over.
    #[error("the time to decide is over; the partner must ask anew")]
    TooLate,
    /// People who granted may no longer decide in their role.
    #[error("{have} of {need} approvals by {role} still count; another officer must decide")]
    Factor {
        /// The role that falls short.
        role: DeciderRole,
        /// How many of its approvals count at this moment.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// The people who granted are of too few units.
    #[error(
        "the approvals by {role} come from {have} of {need} units; an officer of another unit must decide"
    )]
    Units {
        /// The role that falls short.
        role: DeciderRole,
        /// From how many units its approvals come at this moment.
        have: usize,
        /// From how many they must.
        need: usize,
    },
}

/// Recorded steps that do not fit each other.
#[derive(Debug, thiserror::Error)]
#[error(
    "step {number} of disclosure `{disclosure}` doesn't follow from those before; verify the log and the store"
)]
pub struct ReplayError {
    /// The disclosure.
    pub disclosure: DisclosureId,
    /// Which step, counted from 1.
    pub number: usize,
    /// Why it was refused.
    #[source]
    pub refused: Refused,
}
