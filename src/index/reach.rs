//! How many templates the first stage keeps: from the threshold, the dimension and the number of templates.
//!
//! A sketch holds signs; its score against a probe is a sum over components. By the normal approximation, in
//! units of the spread of strangers' scores and counted towards the alike (with √(2/π) = 0.80 for the mean
//! magnitude of a normal number, and the spread that is left when the cosine is fixed, √(1 - 2/π) = 0.60):
//!
//! ```text
//! stranger                 mean 0                     spread 1
//! mate at the cosine t     mean 0.80 t √d             spread 0.60
//! ```
//!
//! A mate at the threshold t is lost by the first stage once in a million where everyone who scores at or above
//! `b = 0.80 t √d - 4.75 · 0.60` is kept. Of independent strangers that is the share Q(b), the normal tail. People
//! are not independent: galleries have clusters, and the tail of their scores is that of a spread of 1.25 (the
//! clustered galleries of the bench; `docs/performance.md`). So `N Q(b / 1.25)` are kept, and never fewer than
//! [`FEWEST`]. Who lies beyond the threshold is farther from it in scores too, so that nobody is lost more often
//! than a mate at the threshold.

use crate::template::{Dimension, Threshold};

/// How many of so many templates are compared a second time; all of them where the first stage could not tell
/// enough of them apart to be worth its while.
pub(super) fn kept(threshold: Threshold, dimension: Dimension, templates: usize) -> usize {
    kept_by(SKETCHES, threshold, dimension, templates)
}

/// The same by another first stage, whose scores and cosines have this correlation among strangers: 0.80 above, and the
/// spread that is left √(1 - 0.80²), are those of signs.
pub(super) fn kept_by(fineness: f64, threshold: Threshold, dimension: Dimension, templates: usize) -> usize {
    let mean = fineness * threshold.get() * f64::from(dimension.get()).sqrt();
    let mate_spread = (1.0 - fineness * fineness).max(0.0).sqrt();
    let bound = (mean - MISSED_SPREADS * mate_spread) / CLUSTERED_SPREAD;
    let share = if bound > 0.0 { tail(bound) } else { 1.0 };
    let kept = whole(share * float(templates)).max(FEWEST);
    if kept > templates / WORTH_WHILE { templates } else { kept }
}

/// How many spreads above the mean of independent strangers' scores a share of them lies.
pub(super) fn spreads(share: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    if share >= 0.5 {
        return low;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > share { low = middle } else { high = middle }
    }
    low
}

/// The share of a standard normal distribution above `x >= 0`, within 1 % (Börjesson and Sundberg 1979,
/// "Simple Approximations of the Error Function Q(x)", with a = 0.339 and b = 5.510).
fn tail(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    density / (0.661 * x + 0.339 * (x * x + 5.510).sqrt())
}

#[expect(clippy::as_conversions, reason = "a count of templates is far below 2^53")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::as_conversions,
    reason = "a positive number is meant, rounded up, and what is too large becomes the largest"
)]
fn whole(count: f64) -> usize {
    count.ceil() as usize
}

/// √(2/π).
const SKETCHES: f64 = 0.797_884_560_802_865_4;
/// Where the normal tail is one in a million.
const MISSED_SPREADS: f64 = 4.753;
/// The tail of strangers' scores in clustered galleries, as the spread of a normal one.
const CLUSTERED_SPREAD: f64 = 1.25;
/// Comparing so many takes some 10 µs: little beside any scan, and room for families and doubles.
const FEWEST: usize = 256;
/// A second comparison costs about as much as eight first ones: where more than this part is kept, comparing
/// all at once is no slower.
const WORTH_WHILE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(threshold: f64, dimension: u64, templates: usize) -> usize {
        kept(Threshold::new(threshold).unwrap(), Dimension::new(dimension).unwrap(), templates)
    }

    #[test]
    fn the_tail_is_that_of_tables() {
        for (x, expected) in
            [(0.0, 0.5), (1.0, 0.158_655), (2.0, 0.022_750), (3.0, 1.349_9e-3), (4.753, 1e-6)]
        {
            let error = (tail(x) / expected - 1.0).abs();
            assert!(error < 0.01, "{x}: off by {error}");
        }
        for share in [0.4, 0.01, 1e-5, 1e-9] {
            assert!((tail(spreads(share)) / share - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_lower_threshold_a_larger_gallery_and_fewer_dimensions_keep_more() {
        assert_eq!(at(0.45, 512, 1_000_000), FEWEST);
        let kept = at(0.35, 512, 1_000_000);
        assert!((1_500..4_000).contains(&kept), "about 2,800 should be kept, not {kept}");
        assert!(at(0.30, 512, 1_000_000) > kept);
        assert!(at(0.35, 512, 10_000_000) > 9 * kept);
        assert!(at(0.35, 256, 1_000_000) > kept);
    }

    #[test]
    fn where_the_first_stage_can_tell_too_little_everyone_is_compared() {
        assert_eq!(at(0.1, 512, 100_000), 100_000);
        assert_eq!(at(-0.5, 512, 100_000), 100_000);
        assert_eq!(at(0.5, 8, 100_000), 100_000);
        assert_eq!(at(0.5, 512, 2_000), 2_000);
        assert_eq!(at(0.5, 512, 0), 0);
    }
}
