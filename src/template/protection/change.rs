//! What protection changes of scores and decisions: the same pairs, raw and protected.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::accuracy::{Accuracy, AccuracyError, Scores};
use super::super::calibration::Threshold;
use super::super::compact::{Compact, Length};
use super::super::protect::Protected;
use super::super::similarity::Similarity;
use super::super::transform::Transform;
use super::linkage::dot;
use super::numbers::secret;
use super::population::{Capture, Population};

/// In which form two samples are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they came: 32-bit floats, compared in 64 bits.
    Raw,
    /// Protected, both at 16 bits a component, as they are sealed.
    Sealed,
    /// Protected, the first at 16 bits and the second at 8, as a gallery is searched.
    Searched,
}

/// The scores of all pairs in one form.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSet {
    /// The form.
    pub form: Form,
    /// Of two samples of one person.
    pub genuine: Vec<f64>,
    /// Of samples of two people.
    pub impostor: Vec<f64>,
}

/// The same pairs in every form.
#[derive(Debug, Clone, PartialEq)]
pub struct PairChange {
    sets: [ScoreSet; 3],
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Sealed, Self::Searched];

    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Sealed => "16-bit",
            Self::Searched => "8-bit",
        }
    }
}

impl ScoreSet {
    /// What the scores tell.
    ///
    /// # Errors
    /// [`AccuracyError`] where there are none of a kind.
    pub fn accuracy(&self) -> Result<Accuracy, AccuracyError> {
        Accuracy::new(Scores::new(self.genuine.clone(), 0)?, Scores::new(self.impostor.clone(), 0)?)
    }

    fn all(&self) -> impl Iterator<Item = f64> {
        self.genuine.iter().chain(&self.impostor).copied()
    }
}

impl PairChange {
    /// Compares every sample with every other one, of many samples some, in every form.
    #[must_use]
    pub fn measure(population: &Population, seed: u64) -> Self {
        let transform = Transform::derive(&secret(seed, COLLECTION, 0), population.dimension());
        let captures = population.captures(SAMPLES_MAX);
        let protect = |capture: &Capture<'_>| {
            let template = capture.protect(&transform);
            let compact = Compact::of(&template);
            (template, compact)
        };
        let templates: Vec<(Protected, Compact)> = captures.iter().map(protect).collect();
        let row = |at: usize| -> Vec<(bool, [f64; 3])> {
            let (Some(own), Some(kept)) = (captures.get(at), templates.get(at)) else { return Vec::new() };
            let later = captures.iter().zip(&templates).skip(at.saturating_add(1));
            later
                .map(|(other, their)| (own.person == other.person, compared(own, kept, other, their)))
                .collect()
        };
        let rows: Vec<Vec<(bool, [f64; 3])>> = (0..captures.len()).into_par_iter().map(row).collect();
        let mut sets = Form::ALL.map(|form| ScoreSet { form, genuine: Vec::new(), impostor: Vec::new() });
        for (is_genuine, scores) in rows.into_iter().flatten() {
            for (set, score) in sets.iter_mut().zip(scores) {
                let kind = if is_genuine { &mut set.genuine } else { &mut set.impostor };
                kind.push(score);
            }
        }
        Self { sets }
    }

    /// The scores, form by form, in the order of [`Form::ALL`].
    #[must_use]
    pub const fn sets(&self) -> &[ScoreSet; 3] {
        &self.sets
    }

    /// The largest difference between a raw score and one in this form.
    #[must_use]
    pub fn largest_difference(&self, form: Form) -> f64 {
        self.pairs(form).map(|(raw, other)| (raw - other).abs()).fold(0.0, f64::max)
    }

    /// How many pairs are decided otherwise in this form, of those whose raw score lies more than `beyond` from the
    /// threshold, and how many these are.
    #[must_use]
    pub fn flips(&self, form: Form, threshold: Threshold, beyond: f64) -> (u64, u64) {
        let threshold = threshold.get();
        let far = self.pairs(form).filter(|(raw, _)| (raw - threshold).abs() > beyond);
        far.fold((0, 0), |(flips, pairs), (raw, other)| {
            (flips + u64::from((raw >= threshold) != (other >= threshold)), pairs + 1)
        })
    }

    fn pairs(&self, form: Form) -> impl Iterator<Item = (f64, f64)> {
        let [raw, sealed, searched] = &self.sets;
        let other = match form {
            Form::Raw => raw,
            Form::Sealed => sealed,
            Form::Searched => searched,
        };
        raw.all().zip(other.all())
    }
}

fn compared(
    own: &Capture<'_>,
    (template, _): &(Protected, Compact),
    other: &Capture<'_>,
    (their, compact): &(Protected, Compact),
) -> [f64; 3] {
    let raw = dot(own.values, other.values);
    // Of one population, so of one dimension.
    let sealed = template.similarity(their).map_or(f64::NAN, Similarity::for_calibration);
    let products = template.components().iter().zip(compact.components());
    let product: i64 = products.map(|(a, b)| i64::from(i32::from(*a).wrapping_mul(i32::from(*b)))).sum();
    let searched = Length::of(template).similarity(product, compact.squares()).for_calibration();
    [raw, sealed, searched]
}

const COLLECTION: &str = "onebit/protection-report/collection";
/// Their two million pairs take seconds.
const SAMPLES_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Dimension, synthetic};

    #[test]
    fn protection_moves_scores_by_what_is_documented_and_flips_nothing_far_from_the_threshold() {
        let mut rng = synthetic::rng(37);
        let mut population = Population::new(Dimension::new(512).unwrap());
        for person in 0..100 {
            let first = synthetic::unit(&mut rng, 512);
            let second = synthetic::mate(&mut rng, &first, 0.2 + 0.002 * f64::from(person));
            let person = usize::try_from(person).unwrap();
            [first, second].into_iter().for_each(|values| population.add_synthetic(person, values));
        }
        let change = PairChange::measure(&population, 2);
        let [raw, ..] = change.sets();
        assert_eq!((raw.genuine.len(), raw.impostor.len()), (100, 100 * 199 - 100));
        assert!(
            change.largest_difference(Form::Sealed) < 5e-5,
            "{}",
            change.largest_difference(Form::Sealed)
        );
        let searched = change.largest_difference(Form::Searched);
        assert!((1e-4..0.002).contains(&searched), "{searched}");
        let threshold = Threshold::new(0.3).unwrap();
        for form in [Form::Sealed, Form::Searched] {
            let (flips, pairs) = change.flips(form, threshold, 0.002);
            assert!(flips == 0 && pairs > 19_000, "{flips} of {pairs}");
        }
    }
}
