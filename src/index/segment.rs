//! A part of a gallery that is searched by one call and replaced as a whole.

use std::ops::Range;
use std::sync::Arc;

use super::IndexError;
use super::findings::Finding;
use super::flat::{Candidate, Flat, Rows};
use super::gallery::{Compartment, Slot};
use crate::template::{Dimension, Protected, Similarity, Threshold};

/// A template in its slot; segments that replace one another share it.
pub(super) type Entry = (Slot, Arc<Protected>);

/// Names a segment within its gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SegmentId(pub(super) u64);

/// Templates of one compartment with the index over them. It never changes: a change makes another one, and
/// this one's bytes are wiped with its last reader.
pub(super) struct Segment {
    id: SegmentId,
    compartment: Compartment,
    // INVARIANT: as many as `flat` has rows, in the same order, and at least one.
    entries: Vec<Entry>,
    flat: Flat,
}

impl Segment {
    /// The segment of these templates, of which there is at least one.
    pub(super) fn build(
        id: SegmentId,
        compartment: Compartment,
        dimension: Dimension,
        entries: Vec<Entry>,
    ) -> Result<Self, IndexError> {
        let rows = Rows::of(dimension, entries.iter().map(|(_, template)| &**template))?;
        Ok(Self { id, compartment, flat: Flat::build(&rows)?, entries })
    }

    pub(super) const fn id(&self) -> SegmentId {
        self.id
    }

    pub(super) const fn compartment(&self) -> Compartment {
        self.compartment
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The best template for each of `probes` within the range; `rows` are the unit vectors of all probes.
    pub(super) fn best(
        &self,
        all: &[Protected],
        rows: &Rows,
        probes: &Range<usize>,
    ) -> Result<Vec<Finding>, IndexError> {
        let nearest = self.flat.nearest(rows, probes, CANDIDATES)?;
        let within = all.get(probes.clone()).ok_or(IndexError::Search)?;
        within.iter().zip(&nearest).map(|(probe, candidates)| self.decided(probe, candidates)).collect()
    }

    /// The best template for a probe, by comparing every one.
    pub(super) fn exact(&self, probe: &Protected) -> Result<Finding, IndexError> {
        self.most_alike(probe, self.entries.iter())
    }

    /// The best template, given the nearest by 32-bit cosine.
    fn decided(&self, probe: &Protected, candidates: &[Candidate]) -> Result<Finding, IndexError> {
        let entries: Option<Vec<&Entry>> =
            candidates.iter().map(|candidate| self.entries.get(candidate.position)).collect();
        let best = self.most_alike(probe, entries.ok_or(IndexError::Search)?.into_iter())?;
        if candidates.len() == self.entries.len() || self.is_beyond_doubt(best.similarity, candidates) {
            Ok(best)
        } else {
            self.exact(probe)
        }
    }

    /// Whether no template outside `candidates` can be as similar as `best`: theirs is at most the least
    /// candidate's 32-bit cosine and the error of that cosine.
    fn is_beyond_doubt(&self, best: Similarity, candidates: &[Candidate]) -> bool {
        let least = candidates.iter().map(|candidate| f64::from(candidate.cosine)).fold(1.0, f64::min);
        let bound = least + cosine_error(self.entries.first());
        // A bound of 1 or more is no threshold: then candidates are as similar as templates can be.
        Threshold::new(bound).is_ok_and(|bound| best.passes(bound))
    }

    fn most_alike<'a>(
        &self,
        probe: &Protected,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Result<Finding, IndexError> {
        let mut best: Option<Finding> = None;
        for (slot, template) in entries {
            let similarity = probe.similarity(template).map_err(|_| IndexError::Dimension {
                expected: template.dimension(),
                given: probe.dimension(),
            })?;
            let finding = Finding { compartment: self.compartment, slot: *slot, similarity };
            if best.as_ref().is_none_or(|best| finding.precedes(best)) {
                best = Some(finding);
            }
        }
        best.ok_or(IndexError::Search)
    }
}

/// How far a 32-bit cosine of two d-dimensional unit vectors can lie from the exact one: at most d rounding
/// errors of the sum in any order (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section
/// 3.1; Cauchy and Schwarz bound the sum of magnitudes by 1), four of the components, and four to spare for
/// terms of second order and the 64-bit side.
fn cosine_error(any: Option<&Entry>) -> f64 {
    let components = any.map_or(0, |(_, template)| template.dimension().get());
    (f64::from(components) + 8.0) * f64::from(f32::EPSILON) / 2.0
}

/// How many candidates of each segment and probe are compared exactly. One would do but for the error of
/// 32-bit cosines (3e-5 at d = 512): whoever may lie within it of the best must be compared too. In a segment
/// of 16,384 independent people the 33rd lies about 0.05 (d = 512) to 0.11 (d = 64) below the first, and 0.02
/// at least in 200 tries. Where even 32 don't suffice, because as many templates are all but the same, the
/// whole segment is compared.
const CANDIDATES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::synthetic;

    /// The last template has slot 0: where positions decide between equals, the highest slot wins.
    fn segment(values: &[Vec<f32>]) -> Segment {
        let dimension = u16::try_from(values[0].len()).unwrap();
        let transform = synthetic::transform(dimension, 1);
        let slots = (0..u64::try_from(values.len()).unwrap()).rev().map(Slot);
        let templates = values.iter().map(|values| Arc::new(synthetic::protected(values, &transform)));
        let entries = slots.zip(templates);
        Segment::build(SegmentId(0), Compartment(3), transform.dimension(), entries.collect()).unwrap()
    }

    fn found(segment: &Segment, probe: &[f32]) -> Finding {
        let dimension = u16::try_from(probe.len()).unwrap();
        let probe = [synthetic::protected(probe, &synthetic::transform(dimension, 1))];
        let rows = Rows::of(probe[0].dimension(), probe.iter()).unwrap();
        segment.best(&probe, &rows, &(0..1)).unwrap()[0]
    }

    #[test]
    fn more_copies_than_candidates_still_give_the_lowest_slot() {
        let mut rng = synthetic::rng(1);
        let person = synthetic::unit(&mut rng, 64);
        let finding = found(&segment(&vec![person.clone(); 100]), &person);
        assert_eq!((finding.slot, finding.compartment), (Slot(0), Compartment(3)));
    }

    #[test]
    fn a_crowd_within_the_error_of_the_search_is_compared_exactly() {
        let mut rng = synthetic::rng(2);
        let person = synthetic::unit(&mut rng, 4096);
        // At this dimension one step of one component moves a cosine by 3e-8, less than 32-bit sums can tell.
        let crowd: Vec<Vec<f32>> =
            (0..300).map(|_| synthetic::mate(&mut rng, &person, 1.0 - 1e-15)).collect();
        let segment = segment(&crowd);
        for _ in 0..20 {
            let probe = synthetic::mate(&mut rng, &person, 0.6);
            let protected = [synthetic::protected(&probe, &synthetic::transform(4096, 1))];
            let rows = Rows::of(protected[0].dimension(), protected.iter()).unwrap();
            let nearest = segment.flat.nearest(&rows, &(0..1), CANDIDATES).unwrap();
            let best = segment.exact(&protected[0]).unwrap();
            assert!(
                !segment.is_beyond_doubt(best.similarity, &nearest[0]),
                "when candidates are closer than the search can tell, the whole segment must be compared"
            );
            assert_eq!(found(&segment, &probe).slot, best.slot);
        }
    }

    #[test]
    fn one_mate_among_strangers_is_beyond_doubt() {
        let mut rng = synthetic::rng(3);
        let mut people: Vec<Vec<f32>> = (0..2_000).map(|_| synthetic::unit(&mut rng, 128)).collect();
        let probe = synthetic::unit(&mut rng, 128);
        people.push(synthetic::mate(&mut rng, &probe, 0.6));
        let segment = segment(&people);
        let protected = [synthetic::protected(&probe, &synthetic::transform(128, 1))];
        let rows = Rows::of(protected[0].dimension(), protected.iter()).unwrap();
        let nearest = segment.flat.nearest(&rows, &(0..1), CANDIDATES).unwrap();
        let best = segment.best(&protected, &rows, &(0..1)).unwrap()[0];
        assert_eq!(best.slot, Slot(0));
        assert!(
            segment.is_beyond_doubt(best.similarity, &nearest[0]),
            "in the common case no segment should be compared whole: the work would depend on the probe"
        );
    }
}
