//! Sessions of people who signed in at the console. Only the keyed hash of a session's secret is known here.

use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest};

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The keyed hash of its secret.
    pub id: Digest,
    /// Whose it is.
    pub person: ActorName,
    /// When it began.
    pub started: Timestamp,
    /// When it was used last, to the minute.
    pub seen: Timestamp,
}
