//! Who may do what: actor, action and what it is about go in, a [`Permit`] comes out, or a [`Refusal`].
//!
//! The rules stand in a policy folder ([`Bundle`], laid out as docs/policy.md says): Cedar decides,
//! agreements are data for it. Whatever is unset, unknown, expired or cannot be evaluated is refused
//! (promise 3), and a refusal tells about the caller only (promise 4).
//!
//! Not protected here: whether an actor is who they say. That is for whoever makes the [`Actor`].

mod action;
mod actor;
mod agreement;
mod bundle;
mod diff;
mod entity;
mod fault;
mod permit;
mod reader;
mod reason;
mod retention;
mod rulebook;
mod rules;
mod scheme;
mod specimen;
mod support;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod webhook;
mod witness;

pub use action::Action;
pub use actor::{Actor, ActorError, Role, Standing};
pub use agreement::{
    Accuracy, Agreement, Clocks, ConfirmationRates, Factor, Force, HitConfirmation, Instrument, Privacy,
    Proportionality, Purpose, Retention, SignedBy, Term, Volumes,
};
pub use bundle::{Bundle, BundleError};
pub use diff::{Bearing, Concerned, RuleChange, rule_changes};
pub use fault::PolicyFault;
pub use permit::{About, Ask, Permit, Refusal, Standings, Usage};
pub use reason::{Reason, UnknownReason};
pub use retention::{Disposable, Hold, NotDisposable, PayloadClass, RetentionClass, UnknownPayload};
pub use rulebook::May;
pub use rules::Rules;
pub use scheme::{CollectionFile, SchemeFile, TestVector};
pub use support::Support;
pub use table::{Condition, Row, Table, who_may_call_what};
pub use webhook::{Webhook, WebhookUrl, is_certificates};
pub use witness::{
    BeforeRelease, TwoFaces, WitnessFile, WitnessKeyError, WitnessKeyText, WitnessScheme, WitnessUrl,
    Witnesses,
};
