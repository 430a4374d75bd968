//! What comes after a release: corrections to whoever received a field.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{Digest, DisclosureId, PartnerName, RestrictionName};

/// The terms of telling a partner of a correction.
pub struct CorrectionTerms {
    /// The restrictions that the agreement lets the partner see.
    pub visible: Vec<RestrictionName>,
    /// How long the partner has to acknowledge it.
    pub acknowledge_within: Duration,
    /// The digest of the rules that it happens under.
    pub policy: Digest,
}

/// Which disclosures with corrections to list.
#[derive(Debug, Clone)]
pub enum CorrectionFilter {
    /// Those with corrections that their partner was not told yet.
    Untold,
    /// Those of this partner with corrections that it was told and did not acknowledge.
    Of(PartnerName),
    /// Those with corrections that any partner was told and did not acknowledge, late ones first.
    Open,
    /// Those with corrections that were to be acknowledged before this, which nobody has noted yet.
    OverdueBefore(Timestamp),
}

/// A page of such disclosures.
#[derive(Debug, Clone)]
pub struct CorrectionsAsk {
    /// Which.
    pub filter: CorrectionFilter,
    /// The last of the page before.
    pub after: Option<DisclosureId>,
    /// How many at most.
    pub limit: u32,
}
