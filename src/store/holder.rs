//! The holder and its founding.

use crate::authz::Bundle;
use crate::ids::Digest;

use super::{Partner, Person};

/// What the first start is given: promise 9 asks for two administrators and a privacy officer at least.
pub struct Founding {
    /// The host that journals' origins begin with, for example `immigration.example`.
    pub host: String,
    /// The trust domain of the holder's own certificates.
    pub trust_domain: String,
    /// The certificates of the holder's own authorities, DER.
    pub authorities: Vec<Vec<u8>>,
    /// The first people and systems.
    pub people: Vec<Person>,
    /// The first partners.
    pub partners: Vec<Partner>,
    /// The first rules.
    pub bundle: Bundle,
}

/// What the store says of its holder.
#[derive(Debug, Clone)]
pub struct HolderFacts {
    /// The host that journals' origins begin with.
    pub host: String,
    /// The trust domain of the holder's own certificates.
    pub trust_domain: String,
    /// The certificates of the holder's own authorities, DER.
    pub authorities: Vec<Vec<u8>>,
    /// The digest of the active rules.
    pub policy: Digest,
    /// The Ed25519 key that checkpoints are signed with.
    pub log_key: [u8; 32],
}
