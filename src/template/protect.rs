//! From a sample to the protected template that is kept and searched.

use zeroize::Zeroizing;

use super::sample::{Sample, SampleError};
use super::scheme::{Dimension, Scheme};
use super::similarity::{Similarity, exact};
use super::transform::Transform;
use crate::secret::SecretBytes;

/// What kept a sample from becoming a template, or bytes from being one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// The sample is not one of the scheme.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The transform was derived for another dimension than the scheme's.
    #[error("the transform takes `{given}` components where the scheme has `{expected}`; derive it again")]
    Transform {
        /// The scheme's dimension.
        expected: Dimension,
        /// The transform's dimension.
        given: Dimension,
    },
    /// Two templates of different dimensions.
    #[error("templates of `{0}` and `{1}` components can't be compared; check which collection they are of")]
    Incomparable(Dimension, Dimension),
    /// Stored bytes that are not those of a template.
    #[error("the stored template is damaged: {0}; restore it or enrol the person again")]
    Damaged(&'static str),
}

/// A protected template: the components of a turned sample, rounded to 16 bits on a scale of its own on which
/// the largest is 32,767 (a cosine does not depend on the scale). It wipes itself and does not show itself.
pub struct Protected {
    // INVARIANT: from -32,767 to 32,767 each, with one at an end; so no sum of two products leaves an i32,
    // and the norm is above zero.
    components: Zeroizing<Vec<i16>>,
    dimension: Dimension,
    /// The root of the sum of squares of the components.
    norm: f64,
}

/// Checks a sample against its scheme, brings it to unit length, turns it with the collection's transform and
/// rounds it to 16 bits a component, half away from zero. The sample is wiped, whatever the outcome.
///
/// # Errors
/// [`TemplateError::Sample`] when the sample is not one of the scheme, [`TemplateError::Transform`] when the
/// transform is for another dimension.
pub fn protect(sample: Sample, scheme: &Scheme, transform: &Transform) -> Result<Protected, TemplateError> {
    let norm = sample.checked_norm(scheme)?;
    if transform.dimension() != scheme.dimension {
        return Err(TemplateError::Transform { expected: scheme.dimension, given: transform.dimension() });
    }
    Ok(turned(unit_length(sample.into_values(), norm), transform))
}

/// A vector of this norm, above zero, at unit length.
pub(super) fn unit_length(mut values: Zeroizing<Vec<f32>>, norm: f64) -> Zeroizing<Vec<f32>> {
    for value in values.iter_mut() {
        *value = rounded(f64::from(*value) / norm);
    }
    values
}

/// Turns a unit vector of the transform's dimension and rounds it to 16 bits.
pub(super) fn turned(unit: Zeroizing<Vec<f32>>, transform: &Transform) -> Protected {
    let turned = transform.apply(unit);
    let largest = turned.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = f64::from(LARGEST) / f64::from(largest);
    let components = turned.iter().map(|&value| quantised(f64::from(value) * scale)).collect();
    Protected::new(Zeroizing::new(components), transform.dimension())
}

impl Protected {
    /// The number of components.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// How alike two templates of one collection are; [`Similarity`] has the arithmetic.
    ///
    /// # Errors
    /// [`TemplateError::Incomparable`] when they have different dimensions.
    pub fn similarity(&self, other: &Self) -> Result<Similarity, TemplateError> {
        if self.dimension == other.dimension {
            Ok(Similarity::new(dot(&self.components, &other.components), self.norm, other.norm))
        } else {
            Err(TemplateError::Incomparable(self.dimension, other.dimension))
        }
    }

    /// The components, from -32,767 to 32,767.
    pub(crate) fn components(&self) -> &[i16] {
        &self.components
    }

    /// The root of the sum of squares of the components.
    pub(super) const fn norm(&self) -> f64 {
        self.norm
    }

    /// The components at unit length, each within two roundings of 32 bits, for comparisons with other engines.
    pub fn unit_components(&self) -> impl ExactSizeIterator<Item = f32> {
        let scale = rounded(1.0 / self.norm);
        self.components.iter().map(move |&component| f32::from(component) * scale)
    }

    /// The bytes to seal: the version of this form (1), the dimension as a 16-bit and each component as a
    /// signed 16-bit number, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> SecretBytes {
        let mut bytes = Vec::with_capacity(encoded_bytes(self.dimension));
        bytes.push(FORM_VERSION);
        bytes.extend_from_slice(&self.dimension.get().to_le_bytes());
        for component in self.components.iter() {
            bytes.extend_from_slice(&component.to_le_bytes());
        }
        SecretBytes::new(bytes)
    }

    /// The template with these bytes, as [`Protected::to_bytes`] wrote them.
    ///
    /// # Errors
    /// [`TemplateError::Damaged`] for anything that `to_bytes` does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TemplateError> {
        let [version, low, high, rest @ ..] = bytes else {
            return Err(TemplateError::Damaged("it ends within its header"));
        };
        if *version != FORM_VERSION {
            return Err(TemplateError::Damaged("its version is unknown"));
        }
        let dimension = Dimension::new(u16::from_le_bytes([*low, *high]).into())
            .map_err(|_| TemplateError::Damaged("its dimension is not one"))?;
        if bytes.len() != encoded_bytes(dimension) {
            return Err(TemplateError::Damaged("its length is not that of its dimension"));
        }
        let (pairs, _) = rest.as_chunks::<2>();
        let components: Zeroizing<Vec<i16>> =
            Zeroizing::new(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect());
        if components.iter().map(|component| component.unsigned_abs()).max() != Some(LARGEST.unsigned_abs()) {
            return Err(TemplateError::Damaged("its components are not on their scale"));
        }
        Ok(Self::new(components, dimension))
    }

    fn new(components: Zeroizing<Vec<i16>>, dimension: Dimension) -> Self {
        let norm = exact(dot(&components, &components)).sqrt();
        Self { components, dimension, norm }
    }
}

/// The exact inner product. Written so that the compiler turns it into packed multiply-adds: two products
/// are added within 32 bits, then widened.
fn dot(a: &[i16], b: &[i16]) -> i64 {
    let product = |a: i16, b: i16| i32::from(a).wrapping_mul(i32::from(b));
    let ((pairs_a, odd_a), (pairs_b, odd_b)) = (a.as_chunks::<2>(), b.as_chunks::<2>());
    let mut sum = 0_i64;
    for (&[a, c], &[b, d]) in pairs_a.iter().zip(pairs_b) {
        // INVARIANT: |a|, |b|, |c|, |d| <= 32,767, so that the pair is at most 2,147,352,578 < 2^31, and
        // 2,048 of them stay below 2^42: nothing here wraps.
        sum = sum.wrapping_add(i64::from(product(a, b).wrapping_add(product(c, d))));
    }
    for (&a, &b) in odd_a.iter().zip(odd_b) {
        sum = sum.wrapping_add(i64::from(product(a, b)));
    }
    sum
}

fn encoded_bytes(dimension: Dimension) -> usize {
    HEADER_BYTES.saturating_add(dimension.len().saturating_mul(size_of::<i16>()))
}

#[expect(
    clippy::as_conversions,
    reason = "the nearest 16-bit number is meant, and the value is clamped to its range"
)]
fn quantised(value: f64) -> i16 {
    let value = value.clamp(-f64::from(LARGEST), f64::from(LARGEST));
    // `round`, without a call for each: halves away from zero. Half itself would bring what lies just below it up.
    (value + 0.5_f64.next_down().copysign(value)) as i16
}

#[expect(clippy::as_conversions, reason = "the nearest 32-bit float is meant")]
fn rounded(value: f64) -> f32 {
    value as f32
}

/// The largest magnitude of a component: symmetric, so that -32,768 never occurs.
const LARGEST: i16 = i16::MAX;
const FORM_VERSION: u8 = 1;
/// Version and dimension.
const HEADER_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calibration::Threshold;
    use super::super::sample::Quality;
    use super::super::scheme::Normalisation;
    use super::super::synthetic;
    use super::*;
    use crate::ids::Digest;

    fn protected(values: &[f32], secret: u8) -> Protected {
        let dimension = u16::try_from(values.len()).unwrap();
        let scheme = Scheme { normalisation: Normalisation::Any, ..synthetic::scheme(dimension) };
        let sample = Sample::embedding(values.to_vec(), Quality::Unknown);
        protect(sample, &scheme, &synthetic::transform(dimension, secret)).ok().unwrap()
    }

    fn encoded(template: &Protected) -> Vec<u8> {
        template.to_bytes().expose().to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn protection_keeps_the_cosine(seed: u64, dimension in 2_u16..700, mate in 0.0_f64..1.0) {
            let mut rng = synthetic::rng(seed);
            let a = synthetic::unit(&mut rng, dimension);
            let b = synthetic::mate(&mut rng, &a, mate);
            let plain: f64 = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let similarity = protected(&a, 9).similarity(&protected(&b, 9)).unwrap();
            let difference = (synthetic::cosine(similarity) - plain).abs();
            prop_assert!(difference < 5e-5, "16 bits a component must not move a cosine by {difference}");
        }

        #[test]
        fn the_scale_of_a_sample_means_nothing(seed: u64, exponent in -80_i32..80) {
            let values = synthetic::unit(&mut synthetic::rng(seed), 96);
            let scaled: Vec<f32> = values.iter().map(|value| value * 2.0_f32.powi(exponent)).collect();
            prop_assert_eq!(encoded(&protected(&values, 2)), encoded(&protected(&scaled, 2)));
        }

        #[test]
        fn bytes_go_there_and_back(seed: u64, dimension in 2_u16..300) {
            let template = protected(&synthetic::unit(&mut synthetic::rng(seed), dimension), 4);
            let again = Protected::from_bytes(&encoded(&template)).ok().unwrap();
            prop_assert_eq!(encoded(&template), encoded(&again));
            prop_assert_eq!(template.norm.to_bits(), again.norm.to_bits());
        }

        #[test]
        fn damaged_bytes_are_refused_or_still_a_template(bytes: Vec<u8>) {
            if let Ok(template) = Protected::from_bytes(&bytes) {
                prop_assert_eq!(encoded(&template), bytes, "one template has one encoding");
            }
        }

        #[test]
        fn the_inner_product_is_exact(pairs in prop::collection::vec((-LARGEST..=LARGEST, -LARGEST..=LARGEST), 2..400)) {
            let (a, b): (Vec<i16>, Vec<i16>) = pairs.into_iter().unzip();
            let expected: i64 = a.iter().zip(&b).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
            prop_assert_eq!(dot(&a, &b), expected);
        }
    }

    #[test]
    fn components_are_rounded_to_the_nearest_and_halves_away_from_zero() {
        let near = (-65_540..=65_540_i32).map(|halves| f64::from(halves) / 2.0);
        let beside = near.flat_map(|value| [value.next_down(), value, value.next_up()]);
        for value in beside.chain([0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300]) {
            let expected = value.round().clamp(-f64::from(LARGEST), f64::from(LARGEST));
            let expected = if expected.is_nan() { 0.0 } else { expected };
            assert_eq!(f64::from(quantised(value)), expected, "{value:?}");
        }
    }

    #[test]
    fn the_largest_inner_product_does_not_wrap() {
        let (up, down) = (vec![LARGEST; 4096], vec![-LARGEST; 4096]);
        assert_eq!(dot(&up, &up), 4096 * 32_767 * 32_767);
        assert_eq!(dot(&up, &down), -4096 * 32_767 * 32_767);
    }

    #[test]
    fn a_pass_is_what_the_documented_arithmetic_says() {
        // (3, 4) and (4, 3) on their scales.
        let (a, b) = ([24_575_i16, 32_767], [32_767_i16, 24_575]);
        let encode = |components: [i16; 2]| {
            let mut bytes = vec![FORM_VERSION, 2, 0];
            bytes.extend(components.iter().flat_map(|component| component.to_le_bytes()));
            Protected::from_bytes(&bytes).ok().unwrap()
        };
        let dot = 2.0 * 24_575.0 * 32_767.0_f64;
        let norm = (24_575.0 * 24_575.0 + 32_767.0 * 32_767.0_f64).sqrt();
        let expected = dot / (norm * norm);
        let similarity = encode(a).similarity(&encode(b)).unwrap();
        assert!(similarity.passes(Threshold::new(expected).unwrap()));
        assert!(!similarity.passes(Threshold::new(expected.next_up()).unwrap()));
    }

    #[test]
    fn one_sample_gives_the_same_template_everywhere() {
        let values: Vec<f32> = (0..192_u16).map(|i| f32::from(i * 37 % 101) - 50.0).collect();
        assert_eq!(
            Digest::sha256(&encoded(&protected(&values, 1))).to_string(),
            // From a second implementation, in Python on hmac and NumPy.
            "9ee223127c1b560cd60bd516c54e2b8033f21a1ab31420451e7b0d340e485bdd",
            "templates that are already stored would no longer match: give a changed form a new version"
        );
    }

    #[test]
    fn every_template_fills_its_scale() {
        let mut rng = synthetic::rng(11);
        for dimension in [2, 5, 192, 512] {
            let template = protected(&synthetic::unit(&mut rng, dimension), 6);
            let largest = template.components.iter().map(|component| component.unsigned_abs()).max();
            assert_eq!(largest, Some(32_767), "the rounding error is smallest on the full scale");
        }
    }

    #[test]
    fn unit_components_have_unit_length() {
        let template = protected(&synthetic::unit(&mut synthetic::rng(3), 512), 1);
        let norm: f64 = template.unit_components().map(|value| f64::from(value) * f64::from(value)).sum();
        assert!((norm - 1.0).abs() < 1e-6, "got a squared length of {norm}");
    }

    #[test]
    fn templates_of_two_secrets_do_not_match() {
        let values = synthetic::unit(&mut synthetic::rng(8), 512);
        let similarity = protected(&values, 1).similarity(&protected(&values, 2)).unwrap();
        assert!(!similarity.passes(Threshold::new(0.25).unwrap()), "a renewed template must be unlinkable");
    }

    #[test]
    fn a_bad_sample_makes_no_template() {
        let scheme = synthetic::scheme(4);
        let attempt = |values: &[f32], transform: &Transform| {
            let sample = Sample::embedding(values.to_vec(), Quality::Unknown);
            protect(sample, &scheme, transform).err().unwrap()
        };
        let transform = synthetic::transform(4, 1);
        assert_eq!(attempt(&[0.0; 4], &transform), TemplateError::Sample(SampleError::Zero));
        assert_eq!(
            attempt(&[0.5; 5], &transform),
            TemplateError::Sample(SampleError::Dimension { expected: scheme.dimension, given: 5 })
        );
        let other = synthetic::transform(8, 1);
        assert_eq!(
            attempt(&[0.5; 4], &other),
            TemplateError::Transform { expected: scheme.dimension, given: other.dimension() }
        );
    }

    #[test]
    fn templates_of_two_dimensions_are_not_compared() {
        let (a, b) = (protected(&[1.0, 2.0], 1), protected(&[1.0, 2.0, 3.0], 1));
        assert!(matches!(a.similarity(&b), Err(TemplateError::Incomparable(..))));
    }

    #[test]
    fn each_damage_is_named() {
        let good = protected(&[1.0, 2.0, 3.0], 1).to_bytes();
        let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.expose().to_vec();
            change(&mut bytes);
            match Protected::from_bytes(&bytes) {
                Err(TemplateError::Damaged(what)) => what,
                _ => panic!("a damaged template was taken"),
            }
        };
        assert_eq!(damaged(&|bytes| bytes.truncate(2)), "it ends within its header");
        assert_eq!(damaged(&|bytes| bytes[0] = 2), "its version is unknown");
        assert_eq!(damaged(&|bytes| bytes[1] = 1), "its dimension is not one");
        assert_eq!(damaged(&|bytes| bytes.push(0)), "its length is not that of its dimension");
        assert_eq!(damaged(&|bytes| bytes[3..].fill(1)), "its components are not on their scale");
        // -32,768 is on no scale.
        assert_eq!(
            damaged(&|bytes| bytes[3..5].copy_from_slice(&i16::MIN.to_le_bytes())),
            "its components are not on their scale"
        );
    }
}
