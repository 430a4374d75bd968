//! What people said of alerts.

use crate::audit::event::{Event, Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::Digest;

/// What somebody said of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What came of looking, as a word.
    pub finding: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl Judgement {
    /// Reads it from the holder's side of an entry, with the alert that it is about; `None` from any other entry. The last
    /// one of an alert counts.
    #[must_use]
    pub fn of(event: &Event) -> Option<(Digest, Self)> {
        let alert = event.fact(Fact::Alert).filter(|_| event.kind == Kind::AlertJudged)?;
        let alert: [u8; 32] = alert.try_into().ok()?;
        let text = |fact| event.text_of(fact).unwrap_or_default().to_owned();
        let (finding, why) = (text(Fact::Finding), text(Fact::Reason));
        Some((Digest::from_bytes(alert), Self { finding, by: event.actor.clone(), at: event.at, why }))
    }
}
