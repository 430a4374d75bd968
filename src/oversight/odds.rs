//! How likely honest traffic would come to a number as large as the one that was seen.
//!
//! Each function gives the chance of the number or a larger one, at most 1. Where nothing is known, or too little, it is 1:
//! nothing is surprising then.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::ln_beta;

/// The chance of `seen` or more, when `before` were seen in earlier windows of the same kind.
///
/// Counts are compared by their square roots, of which the variance hardly depends on the mean (Bartlett 1936), by
/// Student's t for one more draw. The spread is never taken for less than that of a Poisson count, 1/2.
#[must_use]
pub(super) fn count(before: &[u32], seen: u32) -> f64 {
    if before.len() < WINDOWS_MIN {
        return 1.0;
    }
    let roots: Vec<f64> = before.iter().map(|count| f64::from(*count).sqrt()).collect();
    let windows = length(&roots);
    let mean = roots.iter().sum::<f64>() / windows;
    let variance = roots.iter().map(|root| (root - mean).powi(2)).sum::<f64>() / (windows - 1.0);
    let spread = variance.max(POISSON_VARIANCE) * (1.0 + 1.0 / windows);
    let t = (f64::from(seen).sqrt() - mean) / spread.sqrt();
    StudentsT::new(0.0, 1.0, windows - 1.0).map_or(1.0, |student| student.sf(t))
}

/// The chance that `hits` or more of `tries` succeed, when `hits_before` of `tries_before` did (beta-binomial, from the
/// uniform prior).
#[must_use]
pub(super) fn share(hits_before: u32, tries_before: u32, hits: u32, tries: u32) -> f64 {
    if tries_before == 0 || hits > tries || hits_before > tries_before {
        return 1.0;
    }
    let (a, b) = (f64::from(hits_before) + 1.0, f64::from(tries_before - hits_before) + 1.0);
    let whole = ln_beta(a, b);
    let chance = |hits: u32| {
        let misses = tries - hits;
        let ways = -f64::from(tries + 1).ln() - ln_beta(f64::from(misses) + 1.0, f64::from(hits) + 1.0);
        (ways + ln_beta(a + f64::from(hits), b + f64::from(misses)) - whole).exp()
    };
    (hits..=tries).map(chance).sum::<f64>().min(1.0)
}

/// The chance that something goes on for `length` or longer, when it has a mean length of `mean` and ends at each step with
/// the same chance.
#[must_use]
pub(super) fn run(mean: f64, length: u32) -> f64 {
    if mean < 1.0 {
        return 1.0;
    }
    (1.0 - 1.0 / mean).powf(f64::from(length.saturating_sub(1)))
}

/// A number of windows as a real number.
fn length(windows: &[f64]) -> f64 {
    f64::from(u32::try_from(windows.len()).unwrap_or(u32::MAX))
}

/// Two weeks of working days: with fewer, a spread says nothing.
pub(super) const WINDOWS_MIN: usize = 10;
/// Of the square root of a Poisson count.
const POISSON_VARIANCE: f64 = 0.25;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn too_little_history_makes_nothing_surprising() {
        assert!((count(&[5; 9], 1_000) - 1.0).abs() < f64::EPSILON);
        assert!((share(0, 0, 9, 9) - 1.0).abs() < f64::EPSILON);
        assert!((run(0.0, 100) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn shares_agree_with_a_sum_by_hand() {
        // Uniform prior, one hit of one: Beta(2, 1). Two of two: 2/4 = 1/2; one or more of two: 1 - B(2, 3)/B(2, 1) = 5/6.
        assert!((share(1, 1, 2, 2) - 0.5).abs() < 1e-12);
        assert!((share(1, 1, 1, 2) - 5.0 / 6.0).abs() < 1e-12);
    }

    /// Counts of honest days fall below the odds as often as the odds say, within what chance explains.
    #[test]
    fn the_odds_of_counts_hold_for_poisson_days() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut poisson = |mean: f64| {
            let (limit, mut product, mut count) = ((-mean).exp(), random.random::<f64>(), 0);
            while product > limit {
                product *= random.random::<f64>();
                count += 1;
            }
            count
        };
        for mean in [3.0, 20.0, 100.0] {
            let rare = (0..20_000).filter(|_| {
                let before: Vec<u32> = (0..30).map(|_| poisson(mean)).collect();
                count(&before, poisson(mean)) < 0.01
            });
            let rare = rare.count();
            assert!(rare < 300, "mean {mean}: {rare} of 20,000 honest days were called rarer than 1 in 100");
        }
    }

    proptest! {
        #[test]
        fn more_is_never_less_surprising(before in proptest::collection::vec(0_u32..500, 10..40), seen in 0_u32..2_000) {
            prop_assert!(count(&before, seen + 1) <= count(&before, seen));
        }

        #[test]
        fn shares_are_chances_and_fall(before in 0_u32..200, more in 0_u32..200, tries in 1_u32..100, hits in 0_u32..100) {
            let hits = hits.min(tries - 1);
            let (here, next) = (share(before, before + more + 1, hits, tries), share(before, before + more + 1, hits + 1, tries));
            prop_assert!((0.0..=1.0).contains(&here) && next <= here, "{} {}", here, next);
        }
    }
}
