//! Random numbers of a measurement: from a seed, so that a report can be made again.

use super::super::calibration::approximate;
use crate::ids::Digest;
use crate::secret::Secret;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): good enough to
/// choose what is resampled, and nothing secret depends on it.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(STREAM))
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above zero; the bias is below `end` / 2^64.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        let scaled = u128::from(self.next()).wrapping_mul(u128::from(end)) >> 64;
        usize::try_from(scaled).unwrap_or_default()
    }

    /// How often each of `count` comes up in as many draws with replacement.
    pub(super) fn weights(&mut self, count: usize) -> Vec<u32> {
        let mut weights = vec![0_u32; count];
        for _ in 0..count {
            let drawn = self.below(count);
            if let Some(weight) = weights.get_mut(drawn) {
                *weight = weight.saturating_add(1);
            }
        }
        weights
    }

    /// The numbers below `count` in random order (Fisher–Yates).
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = self.below(last.saturating_add(1));
            order.swap(last, other);
        }
        order
    }
}

/// The secret of a collection that exists for this measurement only.
pub(super) fn secret(seed: u64, purpose: &str, number: usize) -> Secret<32> {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    let parts = [purpose.as_bytes(), &[0], &seed.to_le_bytes(), &number.to_le_bytes()].concat();
    let mut bytes = *Digest::sha256(&parts).as_bytes();
    Secret::take(&mut bytes)
}

pub(super) fn float(count: usize) -> f64 {
    approximate(u64::try_from(count).unwrap_or(u64::MAX))
}

const STREAM: u64 = 0xd6e8_feb8_6659_fd93;
