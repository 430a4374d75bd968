//! The disclosure state machine, pure: who may decide, when it is enough, and the [`Approval`] that a release
//! demands (promise 8).
//!
//! ```text
//! pending <──> needs-information
//!    │  ^─────────────┐ (an approval is set aside)
//!    v                │
//! partially-approved ─┴> approved ──> released ──> acknowledged, lapsed, revoked, locked
//!
//! any of the first four ──> denied, withdrawn, expired, locked
//! ```
//!
//! Nothing leaves a final state; notes may be added to a case that has ended, unless it is locked, and a review that is
//! owed is closed in any state. Whatever became of a release, what was released may be corrected, which changes no state.
//! The rules, each
//! held by the model in this room's tests:
//!
//! - a release needs every factor (a role, a number, units, a comparison) of the agreement at once, by distinct people;
//! - a person decides once, in one role, so that nobody counts for two factors;
//! - neither the requesting system nor the official behind the request decides;
//! - every decision carries the digest of exactly this request, with every question and answer since: an approval from
//!   before a question counts no longer;
//! - who has stepped back does nothing more, and what they granted counts no longer;
//! - one denial ends the request, also after it was approved and before it is released;
//! - the fields that leave are those that every approval grants;
//! - an urgent release owes a review, and no other does; a privacy officer who decided nothing in the case closes it, once.
//!
//! What this room relies on: the caller has verified the signatures and says truthfully who is eligible at this
//! moment. Nothing here reads a clock, a key or a disk.

mod canonical;
mod confirmation;
mod correction;
mod decision;
mod deed;
mod disclosure;
mod factors;
#[cfg(test)]
mod model;
mod proof;
mod refused;
mod request;
mod review;
mod state;
mod step;

pub use confirmation::{Confirmation, ConfirmationWord, SALT_BYTES, sample_digest};
pub use correction::{
    Correction, CorrectionAnswer, CorrectionAsk, CorrectionAskKind, CorrectionAsked, CorrectionKind,
    CorrectionNew, SignedCorrectionAsk, Told,
};
pub use decision::{Choice, Decision, DecisionParts, DecisionSignature, PasskeySignature, SignedDecision};
pub use deed::{Answer, Deed, DeedKind, DeedParts, Question, SignedAnswer};
pub use disclosure::{Disclosure, Transition};
pub use factors::{DeciderRole, Factor, Factors};
pub use proof::{Approval, Decider};
pub use refused::{Missing, Refused, ReplayError};
pub use request::{AskParts, Fields, PartnerAsk, Request, RequestParts};
pub use review::Review;
pub use state::{DeciderStanding, Denial, Eligible, State};
pub use step::{Decided, Event, Step};

/// A part of a request or a decision that is not in its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A text that is too short, too long or holds control characters.
    #[error(
        "the {what} is not plain text of {min} to {max} characters; shorten or complete it and leave out control characters"
    )]
    Text {
        /// Which text.
        what: &'static str,
        /// The fewest characters it may have, white space around it not counted.
        min: usize,
        /// The most characters it may have.
        max: usize,
    },
    /// No field, or more than a request may name.
    #[error("{given} fields are named; name at least one and at most {max}")]
    FieldCount {
        /// How many were named.
        given: usize,
        /// The most that may be named.
        max: usize,
    },
    /// The same field twice.
    #[error("the field `{0}` is named twice; name it once")]
    FieldTwice(crate::ids::FieldName),
    /// No factor at all, which would be an approval by nobody.
    #[error("no approval factor is given; name at least one role and number")]
    NoFactor,
    /// The same role in two factors.
    #[error("the role `{0}` stands in two approval factors; write one factor with the sum")]
    FactorTwice(DeciderRole),
    /// A factor that asks for more units than people.
    #[error("the factor of `{0}` asks for more units than people; lower the units or raise the number")]
    Units(DeciderRole),
    /// Words where none belong.
    #[error("`{0}` is said without words; leave them out, or leave a note")]
    Words(DeedKind),
    /// A decision in one's own seat that names it as delegated.
    #[error("an officer's own seat is not delegated to them; decide in it without naming it")]
    OwnSeat,
    /// A role that does not decide about disclosures.
    #[error(
        "`{0}` does not decide about disclosures; use `approving-officer`, `examiner` or `privacy-officer`"
    )]
    Role(String),
    /// A word that is not a state.
    #[error("`{0}` is not a state of a disclosure; was it written by a newer version?")]
    State(String),
    /// A time to decide that ends before it begins.
    #[error("the request is to be decided before it was received; check the agreement's clock")]
    DecideBy,
    /// Bytes that are not the canonical record of what they should be.
    #[error("the bytes are not a canonical record of {0}; send the record as it was made")]
    Record(&'static str),
}
