//! Reconstruction of a sample from what a gallery holds of it: 16 bits a component, 8, or the sign alone.

use super::super::calibration::Threshold;
use super::super::compact::Compact;
use super::super::transform::Transform;
use super::linkage::dot;
use super::numbers::secret;
use super::population::Population;

/// What a stolen form gave, of so many templates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reconstructed {
    /// How many bits a component has in the form: 16, 8 or 1.
    pub bits: u8,
    /// Whether the collection's key was stolen as well.
    pub with_key: bool,
    /// How many templates were tried.
    pub tried: usize,
    /// The median cosine of the reconstruction and the raw sample.
    pub median_cosine: f64,
    /// How many reconstructions pass the threshold against the raw sample.
    pub pass: usize,
}

/// Reconstructs each person's sample from each form, with the key and without.
///
/// With the key the form is turned back. The map is orthogonal, so the cosine of what comes of it and the raw sample
/// is that of the form and the turned sample, which is what is computed. Without the key there is nothing better to
/// do than to take the form for the sample.
#[must_use]
pub fn reconstruct(population: &Population, threshold: Threshold, seed: u64) -> Vec<Reconstructed> {
    let transform = Transform::derive(&secret(seed, STOLEN, 0), population.dimension());
    let mut cosines: Vec<((u8, bool), Vec<f64>)> =
        FORMS.iter().flat_map(|bits| [true, false].map(|with_key| ((*bits, with_key), Vec::new()))).collect();
    for capture in population.nth_samples(0).iter().take(TRIED_MAX) {
        let template = capture.protect(&transform);
        let turned = transform.apply(zeroize::Zeroizing::new(capture.values.to_vec()));
        let compact = Compact::of(&template);
        for ((bits, with_key), found) in &mut cosines {
            let form: Vec<f32> = match bits {
                16 => template.unit_components().collect(),
                8 => compact.components().iter().copied().map(f32::from).collect(),
                _ => compact.components().iter().map(|it| if *it < 0 { -1.0 } else { 1.0 }).collect(),
            };
            found.push(cosine(&form, if *with_key { &turned } else { capture.values }));
        }
    }
    let told = |((bits, with_key), mut found): ((u8, bool), Vec<f64>)| {
        found.sort_unstable_by(f64::total_cmp);
        let pass = found.iter().filter(|cosine| **cosine >= threshold.get()).count();
        let median_cosine = found.get(found.len() / 2).copied().unwrap_or_default();
        Reconstructed { bits, with_key, tried: found.len(), median_cosine, pass }
    };
    cosines.into_iter().map(told).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

const STOLEN: &str = "onebit/protection-report/sketches";
const FORMS: [u8; 3] = [16, 8, 1];
const TRIED_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Dimension, synthetic};

    #[test]
    fn signs_give_the_root_of_two_over_pi_with_the_key_and_nothing_without() {
        let mut rng = synthetic::rng(31);
        let mut population = Population::new(Dimension::new(256).unwrap());
        (0..200).for_each(|person| population.add_synthetic(person, synthetic::unit(&mut rng, 256)));
        let threshold = Threshold::new(0.5).unwrap();
        for it in reconstruct(&population, threshold, 6) {
            let wanted = match (it.bits, it.with_key) {
                (1, true) => std::f64::consts::FRAC_2_PI.sqrt(),
                (_, true) => 1.0,
                (_, false) => 0.0,
            };
            assert!((it.median_cosine - wanted).abs() < 0.02, "{it:?}");
            assert_eq!(it.pass, if it.with_key { 200 } else { 0 }, "{it:?}");
        }
    }
}
