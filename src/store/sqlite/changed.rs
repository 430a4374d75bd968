//! Who waits for a disclosure to change is told when it has: after the commit that changed it is durable in both places.
//! Nobody looks again and again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ids::DisclosureId;

/// The disclosures that are waited for.
#[derive(Default)]
pub(super) struct Changed {
    /// Changed by the batch that is being written.
    noted: Mutex<BTreeSet<[u8; 16]>>,
    waited_for: Mutex<HashMap<[u8; 16], watch::Sender<u64>>>,
}

impl Changed {
    /// A step of this batch changes a disclosure. When it is undone, whoever waits looks once for nothing.
    pub(super) fn note(&self, id: DisclosureId) {
        lock(&self.noted).insert(*id.as_bytes());
    }

    /// What the batch that is now committed has changed.
    pub(super) fn take(&self) -> BTreeSet<[u8; 16]> {
        std::mem::take(&mut *lock(&self.noted))
    }

    /// Tells those who wait; the batch is durable in both places.
    pub(super) fn tell(&self, changed: &BTreeSet<[u8; 16]>) {
        let mut waited_for = lock(&self.waited_for);
        if waited_for.is_empty() {
            return;
        }
        for id in changed {
            if let Some(told) = waited_for.get(id) {
                told.send_modify(|times| *times = times.wrapping_add(1));
            }
        }
        waited_for.retain(|_, told| told.receiver_count() > 0);
    }

    /// Waits for a disclosure from now on.
    pub(super) fn wait_for(&self, id: DisclosureId) -> watch::Receiver<u64> {
        let mut waited_for = lock(&self.waited_for);
        waited_for.retain(|_, told| told.receiver_count() > 0);
        waited_for.entry(*id.as_bytes()).or_insert_with(|| watch::channel(0).0).subscribe()
    }
}

/// INVARIANT: every change under these locks is one assignment, so that they hold something whole after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_of_its_own_and_forgotten_afterwards() {
        let (changed, mine, other) =
            (Changed::default(), DisclosureId::from_bytes([1; 16]), DisclosureId::from_bytes([2; 16]));
        let (waiting, quiet) = (changed.wait_for(mine), changed.wait_for(other));
        changed.note(mine);
        assert!(!waiting.has_changed().unwrap(), "nothing is committed yet");
        let batch = changed.take();
        assert!(!waiting.has_changed().unwrap(), "nothing is durable yet");
        changed.tell(&batch);
        assert!(waiting.has_changed().unwrap() && !quiet.has_changed().unwrap());
        drop((waiting, quiet));
        changed.tell(&batch);
        assert!(lock(&changed.waited_for).is_empty());
    }
}
