//! What may be derived from a store's root by those above it, without the root.

use std::sync::Arc;

use crate::ids::Digest;
use crate::keys::{Domain, KeyRing, Pseudonym, Tag};
use crate::secret::Secret;

/// The keyed functions that the gate needs: pseudonyms and content hashes.
#[derive(Clone)]
pub struct StoreKeys(Arc<KeyRing>);

impl StoreKeys {
    pub(super) const fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }

    /// The keyed pseudonym of a source system's id.
    #[must_use]
    pub fn pseudonym(&self, source_id: &str) -> Pseudonym {
        self.0.pseudonyms().pseudonym(SOURCE_SYSTEM, source_id.as_bytes())
    }

    /// The keyed hash of a request's content: tells a repetition from a reuse, and nothing else.
    #[must_use]
    pub fn content_digest(&self, content: &[u8]) -> Digest {
        self.0.tags().digest(Domain::Request, content)
    }

    /// The keyed tag of a partner's official, by which the registry knows whom it suspends.
    #[must_use]
    pub fn official_tag(&self, official: &str) -> Tag {
        self.0.tags().tag(Domain::Official, official.as_bytes())
    }

    /// The keyed hash of a session's secret, by which the store knows the session.
    #[must_use]
    pub fn session_digest(&self, secret: &Secret<32>) -> Digest {
        self.0.tags().digest(Domain::Session, secret.expose())
    }
}

/// One source system a holder; a second one would get a name of its own.
const SOURCE_SYSTEM: &str = "holder";
