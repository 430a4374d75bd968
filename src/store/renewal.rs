//! Renewal: the templates of a collection under another secret, without a pause.

use super::GalleryChange;
use super::enrolment::CollectionGeneration;
use crate::template::Turn;

/// A step of a renewal.
pub struct Renewal {
    /// The generation that is left.
    pub from: CollectionGeneration,
    /// The one that follows it.
    pub to: CollectionGeneration,
    /// What makes templates of the one into templates of the other.
    pub turn: Turn,
    /// How many templates to move, at most.
    pub templates: u32,
}

/// What came of a step.
pub enum RenewalStep {
    /// These moved. Their old bytes open no more when the renewal has ended.
    Moved(GalleryChange),
    /// Somebody was enrolled in between, and nothing moved; try again.
    Stale,
    /// Every template is in the newer generation.
    NothingLeft,
}
