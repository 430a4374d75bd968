//! Search snapshots: sealed copies of what a gallery serves, so that a start need not open every template.
//!
//! They are caches. A template never changes in its slot and no slot is given twice, so a snapshot says one thing
//! only: what a slot holds. Which slots there are, and under which restrictions, the store's rows say at each start;
//! nobody is searched because of a snapshot.

use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::template::Compact;

use super::enrolment::CollectionGeneration;

/// A template as a gallery serves it.
pub struct Served {
    /// The slot.
    pub slot: u64,
    /// The label of the subject's set of restrictions.
    pub restriction_set: u64,
    /// The template.
    pub template: Compact,
}

/// Whether a gallery is read with the help of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshots {
    /// Where a snapshot holds a template, it is taken from there.
    Used,
    /// Every template is opened, and the snapshots of the collection are destroyed.
    Destroyed,
}

/// What was read into a gallery.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct GalleryRead {
    /// How many templates came from snapshots.
    pub from_snapshots: u64,
    /// How many were opened from the store's rows.
    pub from_rows: u64,
    /// How many templates the store counts for each set of restrictions that has any.
    pub totals: BTreeMap<u64, u64>,
}

/// The leave to write one snapshot. Whoever holds it may hold copies of templates; an erasure that concerns them
/// waits until it is gone.
pub struct SnapshotBegun {
    /// The collection, in the generation of the templates.
    pub(super) generation: CollectionGeneration,
    /// The range of slots.
    pub(super) range: u64,
    /// The store's own mark; dropping it ends the leave.
    pub(super) _mark: Box<dyn Any + Send>,
}

/// A snapshot to be written.
pub struct SnapshotNew {
    // INVARIANT: first, so that they are wiped before the leave ends, whatever way this is dropped.
    /// The templates of the range, by slot.
    pub templates: Vec<(u64, Compact)>,
    /// The leave to write them.
    pub begun: SnapshotBegun,
}

/// Slots of one snapshot: its file has 8.5 MB at d = 512, written again in a few hundredths of a second after an
/// erasure; 10,000,000 templates are 611 files.
pub const SNAPSHOT_SLOTS: NonZeroU64 = NonZeroU64::new(16_384).unwrap();
