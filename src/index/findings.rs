//! What a search found for one probe.

use super::gallery::{Compartment, Slot};
use crate::template::Similarity;

/// The template of one compartment that is most like a probe.
#[derive(Clone, Copy)]
pub struct Finding {
    /// Where it was found.
    pub compartment: Compartment,
    /// Its slot; of equally similar templates, the lowest.
    pub slot: Slot,
    /// How similar it is.
    pub similarity: Similarity,
}

/// What a search found for one probe: for every compartment that holds templates exactly one row, whatever
/// the probe.
#[derive(Clone, Default)]
pub struct Findings {
    // INVARIANT: in ascending order of compartments, one row each.
    rows: Vec<Finding>,
}

impl Findings {
    /// One row for every compartment, in ascending order.
    #[must_use]
    pub fn rows(&self) -> &[Finding] {
        &self.rows
    }

    /// The row of one compartment; none when the compartment holds no template.
    #[must_use]
    pub fn of(&self, compartment: Compartment) -> Option<&Finding> {
        let found = self.rows.binary_search_by_key(&compartment, |row| row.compartment);
        found.ok().and_then(|position| self.rows.get(position))
    }

    /// Takes in what another part of the gallery gave.
    pub(super) fn add(&mut self, finding: Finding) {
        match self.rows.binary_search_by_key(&finding.compartment, |row| row.compartment) {
            Ok(position) => {
                if let Some(row) = self.rows.get_mut(position)
                    && finding.precedes(row)
                {
                    *row = finding;
                }
            }
            Err(position) => self.rows.insert(position, finding),
        }
    }
}

impl Finding {
    /// Whether this is the better answer: more alike, or as alike with a lower slot, so that the answer does
    /// not depend on how the gallery is cut into segments.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.similarity.exceeds(other.similarity)
            || (!other.similarity.exceeds(self.similarity) && self.slot < other.slot)
    }
}
