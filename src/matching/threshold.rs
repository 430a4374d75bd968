//! Says in the log when the threshold of an agreement moved with its gallery.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use crate::ids::{AgreementName, CollectionName};
use crate::template::Threshold;

/// The thresholds of a collection that were said last, by agreement and number of samples.
///
/// A gallery that grows moves the threshold by next to nothing with every template. A move is said once it has
/// come to a thousandth, so that whoever enrols a million people doesn't fill the log; the threshold itself is
/// that of the present gallery in every query.
pub struct Thresholds {
    collection: CollectionName,
    said: Mutex<BTreeMap<(AgreementName, NonZeroU32), f64>>,
}

/// How a threshold changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// It is the first one of this process.
    First,
    /// It rose: the gallery grew.
    Up,
    /// It fell: the gallery shrank.
    Down,
    /// Neither, or by too little to be said.
    Nowhere,
}

impl Thresholds {
    /// Nothing said yet.
    #[must_use]
    pub const fn new(collection: CollectionName) -> Self {
        Self { collection, said: Mutex::new(BTreeMap::new()) }
    }

    /// Says it when the threshold moved since it was last said. `templates` is the size of the gallery.
    pub(super) fn note(
        &self,
        agreement: &AgreementName,
        samples: NonZeroU32,
        templates: u64,
        threshold: Threshold,
    ) {
        let kind = match self.moved(agreement, samples, threshold) {
            Move::First => "first",
            Move::Up => "raised",
            Move::Down => "lowered",
            Move::Nowhere => return,
        };
        let (collection, agreement) = (self.collection.as_str(), agreement.as_str());
        let (samples, threshold) = (samples.get(), threshold.get());
        tracing::info!(
            collection,
            agreement,
            samples,
            count = templates,
            threshold,
            kind,
            "threshold follows the gallery"
        );
    }

    fn moved(&self, agreement: &AgreementName, samples: NonZeroU32, threshold: Threshold) -> Move {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = threshold.get();
        let moved = match said.get(&(agreement.clone(), samples)) {
            None => Move::First,
            Some(before) if now - before >= LEAST_MOVE => Move::Up,
            Some(before) if before - now >= LEAST_MOVE => Move::Down,
            Some(_) => Move::Nowhere,
        };
        if moved != Move::Nowhere {
            said.insert((agreement.clone(), samples), now);
        }
        moved
    }
}

/// A cosine less a hair, so that a move of just a thousandth is said in spite of binary fractions.
const LEAST_MOVE: f64 = 0.001 - 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_said_once_and_small_ones_when_they_add_up() {
        let thresholds = Thresholds::new("watch-face".parse().unwrap());
        let (au, ca) = ("au-border-identity".parse().unwrap(), "ca-border-identity".parse().unwrap());
        let (one, two) = (NonZeroU32::MIN, NonZeroU32::new(2).unwrap());
        let moved =
            |agreement, samples, value| thresholds.moved(agreement, samples, Threshold::new(value).unwrap());
        assert_eq!(moved(&au, one, 0.3), Move::First);
        assert_eq!(moved(&au, one, 0.3), Move::Nowhere);
        assert_eq!(moved(&ca, one, 0.4), Move::First, "each agreement has its own");
        assert_eq!(
            moved(&au, two, 0.31),
            Move::First,
            "several samples share the rate: no move of the gallery"
        );
        assert_eq!(moved(&au, one, 0.3006), Move::Nowhere);
        assert_eq!(moved(&au, one, 0.301), Move::Up);
        assert_eq!(moved(&au, one, 0.3), Move::Down);
    }
}
