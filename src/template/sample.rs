//! A biometric sample as it was received, and whether it is one of its scheme.

use std::fmt;

use zeroize::Zeroizing;

use super::scheme::{Dimension, MinimumQuality, Normalisation, Scheme};

/// A sample that is not one of its scheme. The texts are for whoever sent the sample.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// Another number of components than the scheme has.
    #[error("the sample has `{given}` components where the scheme has `{expected}`; check the extractor")]
    Dimension {
        /// The scheme's number of components.
        expected: Dimension,
        /// The sample's number of components.
        given: usize,
    },
    /// A component that is infinite or not a number.
    #[error("component `{position}` of the sample is not a finite number; check the extractor")]
    NotFinite {
        /// The position of the first such component, from 0.
        position: usize,
    },
    /// All components are zero.
    #[error("every component of the sample is zero; capture the person again")]
    Zero,
    /// A length that unit vectors do not have.
    #[error("the sample has a length of `{norm:.6}` where the scheme has unit vectors; normalise it")]
    Norm {
        /// The Euclidean norm of the sample.
        norm: f64,
    },
    /// A quality below the scheme's minimum.
    #[error("the sample's quality is `{given}`, below the scheme's `{minimum}`; capture the person again")]
    QualityLow {
        /// The sample's quality score.
        given: u8,
        /// The scheme's minimum.
        minimum: u8,
    },
    /// No quality where the scheme has a minimum.
    #[error("the sample's quality is unknown where the scheme asks for `{minimum}`; send its quality score")]
    QualityUnknown {
        /// The scheme's minimum.
        minimum: u8,
    },
    /// A quality score outside its scale.
    #[error("`{0}` is not a quality score; use 0 to 100, or none")]
    QualityScore(u32),
}

/// A quality score after ISO/IEC 29794-1: 0, the worst, to 100, the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualityScore(u8);

impl QualityScore {
    /// The score with this value.
    ///
    /// # Errors
    /// [`SampleError::QualityScore`] above 100; the standard's 255, "failed", is not a score either.
    pub fn new(score: u32) -> Result<Self, SampleError> {
        match u8::try_from(score) {
            Ok(small) if small <= QUALITY_BEST => Ok(Self(small)),
            _ => Err(SampleError::QualityScore(score)),
        }
    }

    /// The score, 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What is known of a sample's quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Nobody measured it.
    Unknown,
    /// The extractor measured it.
    Score(QualityScore),
}

impl Quality {
    /// The byte that is kept: the score, or 255 for unknown.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Unknown => u8::MAX,
            Self::Score(score) => score.get(),
        }
    }

    /// What a kept byte means; nothing for bytes that [`Self::to_byte`] does not give.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            u8::MAX => Some(Self::Unknown),
            score => QualityScore::new(score.into()).ok().map(Self::Score),
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("unknown"),
            Self::Score(score) => write!(out, "{}", score.get()),
        }
    }
}

/// A biometric sample as it was received. It wipes itself, and protecting it consumes it.
pub struct Sample {
    values: Zeroizing<Vec<f32>>,
    quality: Quality,
}

impl Sample {
    /// Takes over an embedding; the buffer is not copied.
    #[must_use]
    pub fn embedding(values: Vec<f32>, quality: Quality) -> Self {
        Self { values: Zeroizing::new(values), quality }
    }

    /// What makes this sample this sample, for a keyed hash: the components as little-endian `f32`, then the
    /// quality (255 for unknown).
    #[must_use]
    pub fn content(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(self.values.len().saturating_mul(4).saturating_add(1)));
        for value in self.values.iter() {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.push(self.quality.to_byte());
        bytes
    }

    /// What is known of its quality.
    #[must_use]
    pub const fn quality(&self) -> Quality {
        self.quality
    }

    /// Whether the sample is one of `scheme`.
    ///
    /// # Errors
    /// [`SampleError`], which names the first thing that is wrong: quality, dimension, components, length.
    pub fn check(&self, scheme: &Scheme) -> Result<(), SampleError> {
        self.checked_norm(scheme).map(drop)
    }

    /// The Euclidean norm of a sample that is one of `scheme`: finite and above zero.
    pub(super) fn checked_norm(&self, scheme: &Scheme) -> Result<f64, SampleError> {
        self.check_quality(scheme.minimum_quality)?;
        if self.values.len() != scheme.dimension.len() {
            return Err(SampleError::Dimension { expected: scheme.dimension, given: self.values.len() });
        }
        if let Some(position) = self.values.iter().position(|value| !value.is_finite()) {
            return Err(SampleError::NotFinite { position });
        }
        // The square of any finite f32, and the sum of 4,096 of them, is finite and exact enough as an f64;
        // the square of the smallest one is above zero.
        let norm = self.values.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
        if norm <= 0.0 {
            return Err(SampleError::Zero);
        }
        match scheme.normalisation {
            Normalisation::UnitLength if (norm - 1.0).abs() > NORM_TOLERANCE => {
                Err(SampleError::Norm { norm })
            }
            Normalisation::UnitLength | Normalisation::Any => Ok(norm),
        }
    }

    pub(super) fn into_values(self) -> Zeroizing<Vec<f32>> {
        self.values
    }

    fn check_quality(&self, minimum: MinimumQuality) -> Result<(), SampleError> {
        match (minimum, self.quality) {
            (MinimumQuality::None, _) => Ok(()),
            (MinimumQuality::Score(minimum), Quality::Unknown) => {
                Err(SampleError::QualityUnknown { minimum: minimum.get() })
            }
            (MinimumQuality::Score(minimum), Quality::Score(given)) if given < minimum => {
                Err(SampleError::QualityLow { given: given.get(), minimum: minimum.get() })
            }
            (MinimumQuality::Score(_), Quality::Score(_)) => Ok(()),
        }
    }
}

/// ISO/IEC 29794-1: the best quality score.
const QUALITY_BEST: u8 = 100;
/// How far from 1 the norm of a unit vector may lie: twice what rounding every component to 16-bit floats
/// can do (half a unit in the last of 11 bits, 2^-11 of the norm).
const NORM_TOLERANCE: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::super::synthetic;
    use super::*;

    fn check(values: &[f32], quality: Quality, scheme: &Scheme) -> Result<(), SampleError> {
        Sample::embedding(values.to_vec(), quality).check(scheme)
    }

    fn score(value: u32) -> QualityScore {
        QualityScore::new(value).unwrap()
    }

    #[test]
    fn a_sample_of_its_scheme_is_taken() {
        assert_eq!(check(&[0.6, 0.8, 0.0], Quality::Unknown, &synthetic::scheme(3)), Ok(()));
    }

    #[test]
    fn each_fault_has_its_own_error() {
        let scheme = synthetic::scheme(3);
        let refused = |values: &[f32]| check(values, Quality::Unknown, &scheme).unwrap_err();
        assert_eq!(
            refused(&[0.6, 0.8]).to_string(),
            "the sample has `2` components where the scheme has `3`; check the extractor"
        );
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(refused(&[0.6, bad, 0.8]), SampleError::NotFinite { position: 1 });
        }
        assert_eq!(refused(&[0.0, -0.0, 0.0]), SampleError::Zero);
        assert_eq!(refused(&[2.0, 0.0, 0.0]), SampleError::Norm { norm: 2.0 });
        assert!(matches!(refused(&[0.998, 0.0, 0.0]), SampleError::Norm { .. }));
        assert_eq!(check(&[0.9995, 0.0, 0.0], Quality::Unknown, &scheme), Ok(()));
    }

    #[test]
    fn any_length_but_zero_is_taken_where_length_means_nothing() {
        let scheme = Scheme { normalisation: Normalisation::Any, ..synthetic::scheme(3) };
        for good in [[f32::MAX; 3], [1e-45, 0.0, 0.0], [-3.0, 2.0, 1.0]] {
            assert_eq!(check(&good, Quality::Unknown, &scheme), Ok(()), "{good:?} has a length");
        }
        assert_eq!(check(&[0.0; 3], Quality::Unknown, &scheme), Err(SampleError::Zero));
    }

    #[test]
    fn a_minimum_of_quality_refuses_low_and_unknown() {
        let scheme = Scheme { minimum_quality: MinimumQuality::Score(score(40)), ..synthetic::scheme(2) };
        let with = |quality| check(&[0.6, 0.8], quality, &scheme);
        assert_eq!(with(Quality::Score(score(40))), Ok(()));
        assert_eq!(with(Quality::Score(score(39))), Err(SampleError::QualityLow { given: 39, minimum: 40 }));
        assert_eq!(with(Quality::Unknown), Err(SampleError::QualityUnknown { minimum: 40 }));
    }

    #[test]
    fn quality_scores_end_at_100() {
        assert_eq!(QualityScore::new(100).map(QualityScore::get), Ok(100));
        for bad in [101, 254, 255, 256, u32::MAX] {
            assert_eq!(QualityScore::new(bad), Err(SampleError::QualityScore(bad)));
        }
    }
}
