//! The proof that a release demands.

use super::factors::DeciderRole;
use super::request::Fields;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId};

/// One of the people whose approvals counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// Who.
    pub officer: ActorName,
    /// In which role.
    pub role: DeciderRole,
    /// In whose seat, where another officer delegated it.
    pub on_behalf: Option<ActorName>,
    /// The digest of the decision that was signed.
    pub decision: Digest,
}

/// Proof that all factors of one request have approved it, and still may at this moment. Only
/// [`super::Disclosure::approval`] makes one; [`super::Disclosure::release`] uses it up.
pub struct Approval {
    pub(super) disclosure: DisclosureId,
    pub(super) request: Digest,
    pub(super) fields: Fields,
    pub(super) deciders: Vec<Decider>,
    /// How often what counts had changed, so that a change since is noticed.
    pub(super) turns: usize,
    pub(super) at: Timestamp,
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
