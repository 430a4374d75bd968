//! The connections that are open, by identity, so that they can be dropped when a peer's standing ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;

use super::identity::PeerIdentity;
use super::refusal::Refusal;
use super::trust::Trust;
use crate::clock::Timestamp;
use crate::telemetry;

/// The connections that are open. Clones share them.
#[derive(Clone, Default)]
pub struct LiveConnections(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    next: u64,
    entries: HashMap<u64, Entry>,
}

struct Entry {
    identity: Arc<PeerIdentity>,
    chain: Vec<CertificateDer<'static>>,
    /// Dropping it tells the connection to end.
    _cut: oneshot::Sender<()>,
}

impl LiveConnections {
    /// Drops every connection whose peer fits, at once and in the middle of whatever it does; gives their number.
    ///
    /// A peer may connect again: that its standing has ended is checked at every RPC, not here.
    pub fn drop_where(&self, fits: impl Fn(&PeerIdentity) -> bool) -> usize {
        self.drop_entries(|entry| fits(&entry.identity))
    }

    /// Drops every connection, for a shutdown whose grace is over; gives their number.
    pub fn drop_all(&self) -> usize {
        self.drop_entries(|_| true)
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().entries.len()
    }

    /// Drops every connection whose peer `trust` would not let in at `now`; gives their number.
    pub(super) fn recheck(&self, trust: &Trust, now: Timestamp) -> usize {
        self.drop_entries(|entry| trust.identify(&entry.chain, now).is_err())
    }

    /// Takes note of a connection that came in.
    pub(super) fn admit(
        &self,
        identity: Arc<PeerIdentity>,
        chain: Vec<CertificateDer<'static>>,
        per_domain: usize,
    ) -> Result<(LiveEntry, oneshot::Receiver<()>), Refusal> {
        let (cut, told) = oneshot::channel();
        let mut registry = self.lock();
        let domain = identity.spiffe().trust_domain();
        let open = registry.entries.values().filter(|e| e.identity.spiffe().trust_domain() == domain).count();
        if open >= per_domain {
            return Err(Refusal::Full);
        }
        let id = registry.next;
        registry.next = id.wrapping_add(1);
        registry.entries.insert(id, Entry { identity, chain, _cut: cut });
        telemetry::connections_open(registry.entries.len());
        drop(registry);
        Ok((LiveEntry { id, live: self.clone() }, told))
    }

    fn drop_entries(&self, fits: impl Fn(&Entry) -> bool) -> usize {
        let mut registry = self.lock();
        let before = registry.entries.len();
        registry.entries.retain(|_, entry| !fits(entry));
        telemetry::connections_open(registry.entries.len());
        before.saturating_sub(registry.entries.len())
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection among the live ones, as a request carries it.
#[derive(Clone)]
pub struct ConnectionHandle {
    id: u64,
    live: LiveConnections,
}

impl ConnectionHandle {
    /// Drops the connection.
    pub fn drop_connection(&self) {
        let removed = self.live.lock().entries.remove(&self.id);
        drop(removed);
    }

    /// Whether the connection is still among the live ones.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.live.lock().entries.contains_key(&self.id)
    }
}

/// A connection's own place, given up when the connection ends.
pub(super) struct LiveEntry {
    id: u64,
    live: LiveConnections,
}

impl LiveEntry {
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle { id: self.id, live: self.live.clone() }
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        let mut registry = self.live.lock();
        registry.entries.remove(&self.id);
        telemetry::connections_open(registry.entries.len());
    }
}
