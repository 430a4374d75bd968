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

/// The room for RPCs.
pub struct RpcSlots {
    all: Arc<Semaphore>,
    per_domain: usize,
    domains: Mutex<HashMap<TrustDomainName, Arc<Semaphore>>>,
}

impl RpcSlots {
    /// Room for `all` RPCs, of which `per_domain` in one trust domain.
    #[must_use]
    pub fn new(all: usize, per_domain: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), per_domain, domains: Mutex::default() }
    }

    /// Takes a place, which is given back when the slot is dropped.
    ///
    /// # Errors
    /// [`SlotsError`] when there is none. The caller's own share is looked at first, so that a caller over its
    /// share hears nothing about the others.
    pub fn take(&self, domain: &TrustDomainName) -> Result<RpcSlot, SlotsError> {
        let own = Arc::clone(
            self.domains
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(domain.clone())
                // Only trust domains that are configured get here, so the map stays small.
                .or_insert_with(|| Arc::new(Semaphore::new(self.per_domain))),
        );
        let own = own.try_acquire_owned().map_err(|_| SlotsError::Domain)?;
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| SlotsError::All)?;
        Ok(RpcSlot { _own: own, _all: all })
    }
}

impl Default for RpcSlots {
    fn default() -> Self {
        Self::new(limits::RPCS, limits::RPCS_PER_DOMAIN)
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
}
