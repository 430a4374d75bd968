//! Made-up people for tests: seeded, so that a failure can be looked at again.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Calibration, Comparison, Dimension, Extractor, Form, MinimumQuality, Modality, Normalisation, Protected,
    Quality, Sample, Scheme, Similarity, Threshold, Transform, protect,
};
use crate::ids::SchemeName;
use crate::secret::Secret;

/// A generator that gives the same numbers for the same seed.
pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A scheme of unit vectors without a minimum of quality and with a fixed threshold of 0.5.
pub(crate) fn scheme(dimension: u16) -> Scheme {
    Scheme {
        name: SchemeName::parse("synthetic").unwrap(),
        modality: Modality::Face,
        extractor: Extractor::parse("synthetic", "1").unwrap(),
        form: Form::Embedding,
        dimension: Dimension::new(dimension.into()).unwrap(),
        normalisation: Normalisation::UnitLength,
        comparison: Comparison::Cosine,
        calibration: Calibration::fixed(Threshold::new(0.5).unwrap()),
        minimum_quality: MinimumQuality::None,
    }
}

/// The secret of 32 equal bytes.
pub(crate) fn secret(byte: u8) -> Secret<32> {
    Secret::take(&mut [byte; 32])
}

/// The transform of the secret of 32 equal bytes.
pub(crate) fn transform(dimension: u16, byte: u8) -> Transform {
    Transform::derive(&secret(byte), Dimension::new(dimension.into()).unwrap())
}

/// A person's unit vector, in an independent direction.
pub(crate) fn unit(rng: &mut ChaCha8Rng, dimension: u16) -> Vec<f32> {
    normalised(&(0..dimension).map(|_| normal(rng)).collect::<Vec<_>>())
}

/// Another unit vector of the same person, at this cosine to `person`.
pub(crate) fn mate(rng: &mut ChaCha8Rng, person: &[f32], cosine: f64) -> Vec<f32> {
    let noise: Vec<f64> = person.iter().map(|_| normal(rng)).collect();
    let along: f64 = noise.iter().zip(person).map(|(noise, &person)| noise * f64::from(person)).sum();
    let across: Vec<f64> =
        noise.iter().zip(person).map(|(noise, &person)| noise - along * f64::from(person)).collect();
    let length = across.iter().map(|value| value * value).sum::<f64>().sqrt();
    let sine = (1.0 - cosine * cosine).sqrt();
    let turned = person.iter().zip(&across);
    let turned = turned.map(|(&person, across)| f64::from(person) * cosine + across / length * sine);
    normalised(&turned.collect::<Vec<_>>())
}

/// The protected template of a unit vector, in the space of the secret of 32 equal bytes.
pub(crate) fn protected(values: &[f32], transform: &Transform) -> Protected {
    let sample = Sample::embedding(values.to_vec(), Quality::Unknown);
    protect(sample, &scheme(transform.dimension().get()), transform).ok().unwrap()
}

/// The cosine as a caller could find it out: by bisecting thresholds.
pub(crate) fn cosine(similarity: Similarity) -> f64 {
    let (mut low, mut high) = (-1.0_f64, 1.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if similarity.passes(Threshold::new(middle).unwrap()) { low = middle } else { high = middle }
    }
    low
}

#[expect(clippy::as_conversions, reason = "the nearest 32-bit float is meant")]
fn normalised(values: &[f64]) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter().map(|value| (value / length) as f32).collect()
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
