//! Keeping search snapshots: which are due, and the templates for them out of the live galleries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::Slot;
use crate::matching::Generation;
use crate::store::snapshot::{SNAPSHOT_SLOTS, SnapshotNew};
use crate::telemetry;

use super::{Gate, GateError};

impl Gate {
    /// Writes the search snapshots that are due, some at a time, and gives their number. Neither queries nor changes
    /// wait for it, but for the moment in which the templates of one snapshot are copied; an erasure waits until the
    /// snapshot that it concerns is done with.
    ///
    /// # Errors
    /// [`GateError`] when the store can't write one; those before it are written.
    pub async fn snapshots_write(&self) -> Result<u32, GateError> {
        let mut written = 0_u32;
        let live = self.live.load_full();
        // Of a generation that is being left, nothing is written any more.
        for generation in live.collections.values().map(|collection| collection.newest()) {
            let gallery = Arc::clone(&generation.gallery);
            let there = blocking(move || gallery.counts(SNAPSHOT_SLOTS)).await?;
            let kept = self.parts.store.snapshot_counts(generation.of.clone()).await?;
            for range in due(&there, &kept) {
                if written >= RUN_SNAPSHOTS {
                    return Ok(written);
                }
                let Some(new) = self.snapshot_new(generation, range).await? else { continue };
                self.parts.store.snapshot_write(new).await?;
                telemetry::snapshot_written();
                written = written.saturating_add(1);
            }
        }
        if written > 0 {
            tracing::info!(count = written, "search snapshots written; all are there");
        }
        Ok(written)
    }

    /// Copies the templates of a range, with the leave to write them.
    async fn snapshot_new(
        &self,
        generation: &Generation,
        range: u64,
    ) -> Result<Option<SnapshotNew>, GateError> {
        // INVARIANT: nothing is committed between the leave and the copies without being in the gallery yet, so that
        // no copy is taken of what an erasure is about: those that come later are told of the leave.
        let _order = self.publish.lock().await;
        let Some(begun) = self.parts.store.snapshot_begin(generation.of.clone(), range).await? else {
            return Ok(None);
        };
        let first = range.saturating_mul(SNAPSHOT_SLOTS.get());
        let last = first.saturating_add(SNAPSHOT_SLOTS.get()).saturating_sub(1);
        let gallery = Arc::clone(&generation.gallery);
        let copies = blocking(move || gallery.copies(Slot(first)..=Slot(last))).await?;
        let templates = copies.into_iter().map(|(slot, template)| (slot.0, template)).collect();
        Ok(Some(SnapshotNew { templates, begun }))
    }
}

/// The ranges whose snapshot lacks templates. The newest range is being filled: where it has a snapshot, some may be
/// lacking, so that it is not written again for every few.
fn due(there: &BTreeMap<u64, u64>, kept: &BTreeMap<u64, u64>) -> Vec<u64> {
    let newest = there.keys().next_back();
    let is_due = |(range, count): &(&u64, &u64)| {
        let Some(held) = kept.get(range) else { return true };
        let lacking = count.saturating_sub(*held);
        if Some(*range) == newest { lacking >= LACKING_MOST } else { lacking > 0 }
    };
    there.iter().filter(is_due).map(|(range, _)| *range).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, GateError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| GateError::Internal { doing: "reading a gallery" })
}

/// Some seconds of work, so that a server that is told to stop need not wait for more.
const RUN_SNAPSHOTS: u32 = 64;
/// Opening so many rows takes a start some hundredths of a second.
const LACKING_MOST: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_that_lack_templates_are_due_and_the_newest_only_when_it_lacks_many() {
        let there = BTreeMap::from([(0, 10), (1, 16_384), (3, 5), (7, 2_000)]);
        let due_with = |kept: &[(u64, u64)]| due(&there, &kept.iter().copied().collect());
        assert_eq!(due_with(&[]), [0, 1, 3, 7]);
        assert_eq!(due_with(&[(0, 10), (1, 16_384), (3, 5), (7, 2_000)]), [0_u64; 0]);
        assert_eq!(due_with(&[(0, 9), (1, 16_384), (3, 5), (7, 977)]), [0]);
        assert_eq!(due_with(&[(0, 10), (1, 16_384), (3, 5), (7, 976)]), [7]);
    }
}
