//! Samples of which it is known whose they are, compared with one another as a scheme compares them.

use super::protect::{Protected, TemplateError, protect};
use super::sample::Sample;
use super::scheme::Scheme;
use super::transform::Transform;
use crate::secret::Secret;

/// Labelled samples of one scheme, protected. Their scores may be read, unlike those of a gallery: whoever has the
/// samples could compute them.
pub struct LabelledSet {
    scheme: Scheme,
    transform: Transform,
    samples: Vec<(usize, Protected)>,
}

/// The scores of all pairs of a [`LabelledSet`], in no order that matters.
#[derive(Debug, Clone, PartialEq)]
pub struct PairScores {
    /// Of two samples of one person.
    pub genuine: Vec<f64>,
    /// Of samples of two people.
    pub impostor: Vec<f64>,
}

impl LabelledSet {
    /// A set without samples. Its transform belongs to no collection: every transform keeps angles, so the scores are
    /// those of any collection up to the rounding of 32-bit floats, and the same set gives the same scores.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        let transform = Transform::derive(&Secret::take(&mut [0; 32]), scheme.dimension);
        Self { scheme, transform, samples: Vec::new() }
    }

    /// Adds a sample of the person with this number; the sample is wiped.
    ///
    /// # Errors
    /// [`TemplateError`] when the sample is not one of the scheme's.
    pub fn add(&mut self, person: usize, sample: Sample) -> Result<(), TemplateError> {
        let template = protect(sample, &self.scheme, &self.transform)?;
        self.samples.push((person, template));
        Ok(())
    }

    /// How many samples it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Compares every sample with every other one, once.
    ///
    /// # Errors
    /// [`TemplateError::Incomparable`], which a set of one scheme does not give.
    pub fn compare_pairs(&self) -> Result<PairScores, TemplateError> {
        let mut scores = PairScores { genuine: Vec::new(), impostor: Vec::new() };
        let mut rest = self.samples.as_slice();
        while let Some(((person, template), others)) = rest.split_first() {
            for (other, compared) in others {
                let score = template.similarity(compared)?.for_calibration();
                let kind = if person == other { &mut scores.genuine } else { &mut scores.impostor };
                kind.push(score);
            }
            rest = others;
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Quality, SampleError};
    use super::super::synthetic;
    use super::*;

    #[test]
    fn every_pair_is_compared_once_and_no_sample_with_itself() {
        let mut rng = synthetic::rng(3);
        let mut set = LabelledSet::new(synthetic::scheme(64));
        for person in 0..5 {
            let first = synthetic::unit(&mut rng, 64);
            let second = synthetic::mate(&mut rng, &first, 0.8);
            for values in [first, second] {
                set.add(person, Sample::embedding(values, Quality::Unknown)).unwrap();
            }
        }
        let scores = set.compare_pairs().unwrap();
        assert_eq!((scores.genuine.len(), scores.impostor.len(), set.len()), (5, 40, 10));
        assert!(scores.genuine.iter().all(|score| (score - 0.8).abs() < 1e-3), "{:?}", scores.genuine);
    }

    #[test]
    fn a_sample_of_another_scheme_is_refused() {
        let mut set = LabelledSet::new(synthetic::scheme(64));
        let short = Sample::embedding(vec![1.0; 63], Quality::Unknown);
        assert!(matches!(set.add(0, short), Err(TemplateError::Sample(SampleError::Dimension { .. }))));
        assert!(set.is_empty());
    }
}
