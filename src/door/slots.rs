//! How many RPCs may be under way: a number for all and one for each trust domain. What does not fit is shed at
//! once, since a queue would only make it late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::identity::TrustDomainName;
use super::limits;

/// There is no room for another RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// The caller has as many under way as it may.
    #[error("too many requests of yours are under way; send fewer at a time")]
    Domain,
    /// Everybody together has.
    #[error("too many requests are under way; try again later")]
    All,
}

/// The room for RPCs, and for items of streams beside them: a stream that is full leaves room for calls.
pub struct RpcSlots {
    calls: Room,
    items: Room,
}

impl RpcSlots {
    /// Room for `all` RPCs, of which `per_domain` in one trust domain, and for items of streams in proportion.
    #[must_use]
    pub fn new(all: usize, per_domain: usize) -> Self {
        let items = Room::new(
            all.saturating_mul(limits::STREAM_ITEMS_PER_RPC),
            per_domain.saturating_mul(limits::STREAM_ITEMS_PER_RPC_OF_DOMAIN),
        );
        Self { calls: Room::new(all, per_domain), items }
    }

    /// Takes a place, which is given back when the slot is dropped.
    ///
    /// # Errors
    /// [`SlotsError`] when there is none. The caller's own share is looked at first, so that a caller over its
    /// share hears nothing about the others.
    pub fn take(&self, domain: &TrustDomainName) -> Result<RpcSlot, SlotsError> {
        let own = self.calls.of(domain).try_acquire_owned().map_err(|_| SlotsError::Domain)?;
        let all = Arc::clone(&self.calls.all).try_acquire_owned().map_err(|_| SlotsError::All)?;
        Ok(RpcSlot { _own: own, _all: all })
    }

    /// Waits for a place for an item of a stream: whoever sends a stream is held back and not refused. Those who wait are
    /// served in the order in which they came; the caller's own share is waited for first, so that only those wait
    /// for others who have room of their own.
    ///
    /// # Errors
    /// None while the server runs.
    pub async fn wait(&self, domain: &TrustDomainName) -> Result<RpcSlot, SlotsError> {
        let own = self.items.of(domain).acquire_owned().await.map_err(|_| SlotsError::Domain)?;
        let all = Arc::clone(&self.items.all).acquire_owned().await.map_err(|_| SlotsError::All)?;
        Ok(RpcSlot { _own: own, _all: all })
    }
}

impl Default for RpcSlots {
    fn default() -> Self {
        Self::new(limits::RPCS, limits::RPCS_PER_DOMAIN)
    }
}

/// Places for all, and a share of them for each trust domain.
struct Room {
    all: Arc<Semaphore>,
    per_domain: usize,
    domains: Mutex<HashMap<TrustDomainName, Arc<Semaphore>>>,
}

impl Room {
    fn new(all: usize, per_domain: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_domain, domains: Mutex::default() }
    }

    fn of(&self, domain: &TrustDomainName) -> Arc<Semaphore> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        // Only trust domains that are configured get here, so the map stays small.
        let own = domains.entry(domain.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_domain)));
        Arc::clone(own)
    }
}

/// A place that is taken.
#[must_use = "the place is given back as soon as the slot is dropped"]
pub struct RpcSlot {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_partner_leaves_room_for_another() {
        let slots = RpcSlots::new(3, 2);
        let (au, nz) = (TrustDomainName::parse("au").unwrap(), TrustDomainName::parse("nz").unwrap());
        let held = [slots.take(&au).unwrap(), slots.take(&au).unwrap()];
        assert_eq!(slots.take(&au).err(), Some(SlotsError::Domain));
        let other = slots.take(&nz).unwrap();
        assert_eq!(slots.take(&nz).err(), Some(SlotsError::All));
        drop(held);
        assert!(slots.take(&au).is_ok(), "dropped slots should have been free again");
        drop(other);
    }

    #[tokio::test]
    async fn a_full_stream_waits_and_leaves_room_for_calls() {
        let slots = RpcSlots::default();
        let domain = TrustDomainName::parse("au").unwrap();
        let mut held = Vec::new();
        for _ in 0..limits::STREAM_ITEMS_PER_DOMAIN {
            held.push(slots.wait(&domain).await.unwrap());
        }
        assert!(slots.take(&domain).is_ok(), "calls have places of their own");
        let mut next = std::pin::pin!(slots.wait(&domain));
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(next.as_mut().poll(context).is_pending()))
                .await,
            "an item beyond the share should wait"
        );
        held.pop();
        assert!(next.await.is_ok());
    }
}
