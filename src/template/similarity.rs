//! How alike two protected templates are, for comparisons only.

use super::calibration::Threshold;

/// How alike two templates are: a cosine that can be held against a threshold and against another one, and
/// that shows itself to nobody. A score that left would let its reader climb to the template.
///
/// It is exact up to four roundings in a fixed order, so that anyone with 64-bit integers and IEEE 754 gets
/// the same bits from the two rows of components `a` and `b`, in NumPy:
///
/// ```text
/// dot  = np.float64(np.dot(a.astype(np.int64), b.astype(np.int64)))
/// norm = lambda v: np.sqrt(np.float64(np.dot(v.astype(np.int64), v.astype(np.int64))))
/// cosine = dot / (norm(a) * norm(b))
/// passes = cosine >= threshold
/// ```
///
/// Of a probe and a template of a gallery, `a` is the probe's row of 16 bits and `b` the template's rounded to 8
/// ([`Compact`](super::Compact)). The sums are integers below 2^53 and exact; the two roots, their product and the quotient are rounded
/// once each. `passes` and `exceeds` compare this one number, so the most alike template passes a threshold
/// exactly when any does.
#[derive(Clone, Copy)]
pub struct Similarity(f64);

impl Similarity {
    /// `dot` is the inner product of the components, `norm_a` and `norm_b` the roots of their sums of squares.
    pub(super) fn new(dot: i64, norm_a: f64, norm_b: f64) -> Self {
        Self(exact(dot) / (norm_a * norm_b))
    }

    /// Whether the two templates count as the same person's.
    #[must_use]
    pub fn passes(self, threshold: Threshold) -> bool {
        self.0 >= threshold.get()
    }

    /// Whether these two templates are more alike than the two of `other`.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        self.0 > other.0
    }

    /// The number itself, for samples that whoever calibrates has anyway; it stays in this room.
    pub(super) const fn for_calibration(self) -> f64 {
        self.0
    }
}

/// The number as a float.
#[expect(clippy::as_conversions, reason = "sums over 4,096 products of 16-bit numbers are below 2^53")]
pub(super) fn exact(sum: i64) -> f64 {
    sum as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similarity_at_the_threshold_passes() {
        let half = Threshold::new(0.5).unwrap();
        assert!(Similarity::new(2, 2.0, 2.0).passes(half));
        assert!(!Similarity::new(1, 2.0, 2.0).passes(half));
        assert!(!Similarity::new(-2, 2.0, 2.0).passes(half));
    }

    #[test]
    fn only_the_greater_exceeds() {
        let (less, more) = (Similarity::new(1, 2.0, 2.0), Similarity::new(2, 2.0, 2.0));
        assert!(more.exceeds(less));
        assert!(!less.exceeds(more));
        assert!(!more.exceeds(more));
    }
}
