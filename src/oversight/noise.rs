//! Counts of hidden people, made public without telling of one of them: noise, a floor, and a commitment to what is exact.
//!
//! Two-sided geometric noise (Ghosh, Roughgarden and Sundararajan, 2009): with one hidden match more or less, no published
//! count becomes more than [`odds_ratio`] times as likely. The noise of a cell is a function of the report's secret seed and
//! the cell's name, so that a report made twice with one seed gives no second draw to average; sums of cells are sums of
//! what is published.

use ring::digest;

use crate::ids::Digest;

/// The secrets of a report: with them whoever is entitled checks that what is published follows from what is exact.
#[derive(Clone, Copy)]
pub struct Secrets {
    /// What the noise follows from.
    pub seed: [u8; SECRET_BYTES],
    /// Keeps the commitment from being guessed.
    pub salt: [u8; SECRET_BYTES],
}

/// What is published of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The count with its noise.
    About(u64),
    /// With its noise it is below [`FLOOR`].
    Fewer,
}

/// Makes the published form of an exact count of a cell, `au-border/hidden-hits`.
#[must_use]
pub fn published(secrets: &Secrets, cell: &str, exact: u64) -> Published {
    let noisy = i128::from(exact) + i128::from(noise(secrets, cell));
    match u64::try_from(noisy) {
        Ok(noisy) if noisy >= FLOOR => Published::About(noisy),
        _ => Published::Fewer,
    }
}

/// The commitment to the exact counts by cell and to the seed: SHA-256 of a domain, the salt, the seed, and each cell with
/// its count, every part with its length before it.
#[must_use]
pub fn commitment(secrets: &Secrets, exact: &[(String, u64)]) -> Digest {
    let mut hash = digest::Context::new(&digest::SHA256);
    part(&mut hash, COMMITMENT);
    part(&mut hash, &secrets.salt);
    part(&mut hash, &secrets.seed);
    for (cell, count) in exact {
        part(&mut hash, cell.as_bytes());
        part(&mut hash, &count.to_be_bytes());
    }
    finished(hash)
}

/// How many times as likely a published count may become by one hidden match: e to the power of epsilon.
#[must_use]
pub fn odds_ratio() -> f64 {
    EPSILON.exp()
}

/// The difference of two geometric variables.
fn noise(secrets: &Secrets, cell: &str) -> i64 {
    let draw = |which: u8| {
        let mut hash = digest::Context::new(&digest::SHA256);
        part(&mut hash, NOISE);
        part(&mut hash, &secrets.seed);
        part(&mut hash, cell.as_bytes());
        part(&mut hash, &[which]);
        let bytes = finished(hash);
        let uniform =
            bytes.as_bytes().iter().take(UNIFORM_BYTES).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        geometric(uniform >> 11)
    };
    draw(0) - draw(1)
}

/// A geometric variable of 53 uniform bits: the number of failures before a success of chance 1 − e^−epsilon.
fn geometric(bits: u64) -> i64 {
    // Both halves are exact: 21 and 32 bits.
    let high = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let uniform = (f64::from(high) * 4_294_967_296.0 + f64::from(low) + 1.0) / UNIFORM_VALUES;
    let failures = (-uniform.ln() / EPSILON).floor();
    // At most 53 ln 2 / epsilon: far within an i32.
    format!("{failures:.0}").parse().unwrap_or(0)
}

fn part(hash: &mut digest::Context, bytes: &[u8]) {
    hash.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(bytes);
}

fn finished(hash: digest::Context) -> Digest {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    Digest::from_bytes(bytes)
}

/// 128 bits.
pub const SECRET_BYTES: usize = 16;
/// A count that would be published as less than this is published as fewer.
pub const FLOOR: u64 = 10;
/// Of the noise: its standard deviation is about √2 / epsilon, 7.
pub const EPSILON: f64 = 0.2;
const UNIFORM_BYTES: usize = 8;
/// 2^53.
const UNIFORM_VALUES: f64 = 9_007_199_254_740_992.0;
const COMMITMENT: &[u8] = b"onebit/transparency-commitment/v1";
const NOISE: &[u8] = b"onebit/transparency-noise/v1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(seed: u64) -> Secrets {
        let mut bytes = [0; SECRET_BYTES];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Secrets { seed: bytes, salt: [9; SECRET_BYTES] }
    }

    #[test]
    fn noise_is_centred_and_as_wide_as_stated() {
        let all: Vec<f64> =
            (0..20_000).map(|seed| f64::from(i32::try_from(noise(&secrets(seed), "a")).unwrap())).collect();
        let mean = all.iter().sum::<f64>() / 20_000.0;
        let variance = all.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 20_000.0;
        let alpha = (-EPSILON).exp();
        let due = 2.0 * alpha / (1.0 - alpha).powi(2);
        assert!(
            mean.abs() < 0.25 && (variance / due - 1.0).abs() < 0.08,
            "mean {mean}, variance {variance} of {due}"
        );
    }

    /// The definition itself: a count with one match more is published as any value at most e^epsilon times as often.
    #[test]
    fn one_hidden_match_changes_no_published_count_by_more_than_stated() {
        let counted = |exact: u64| {
            let mut times = std::collections::BTreeMap::new();
            for seed in 0..40_000 {
                *times.entry(i64::try_from(exact).unwrap() + noise(&secrets(seed), "a")).or_insert(0.0) +=
                    1.0;
            }
            times
        };
        let (one, other) = (counted(50), counted(51));
        for (value, times) in one.iter().filter(|(_, times)| **times > 400.0) {
            let ratio: f64 = times / other.get(value).copied().unwrap_or(1.0);
            assert!((1.0 / 1.35..1.35).contains(&ratio), "{value}: {ratio} and not within {}", odds_ratio());
        }
    }

    #[test]
    fn a_report_made_again_with_its_seed_draws_nothing_new_and_cells_draw_apart() {
        assert_eq!(noise(&secrets(1), "a"), noise(&secrets(1), "a"));
        let apart =
            (0..100).filter(|seed| noise(&secrets(*seed), "a") != noise(&secrets(*seed), "b")).count();
        assert!(apart > 80, "{apart}");
    }

    #[test]
    fn small_counts_are_fewer() {
        let fewer = (0..1_000).filter(|seed| published(&secrets(*seed), "a", 0) == Published::Fewer).count();
        assert!(fewer > 900, "{fewer} of 1,000 empty cells were published as fewer");
    }

    proptest! {
        #[test]
        fn a_commitment_holds_for_nothing_else(count in 0_u64..1_000, other in 0_u64..1_000, seed in 0_u64..50) {
            let of = |count| vec![("a".to_owned(), count)];
            let first = commitment(&secrets(seed), &of(count));
            prop_assert_eq!(first == commitment(&secrets(seed), &of(other)), count == other);
            prop_assert_ne!(first, commitment(&secrets(seed + 1), &of(count)));
        }
    }
}
