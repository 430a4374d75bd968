//! All signs of a template, scored by look-ups.
//!
//! The signs come in blocks of 64 templates, byte by byte: a [`Line`] holds one byte of each of the 64, so that a
//! look-up in a table of the probe's sums serves 64 templates at once and nothing is added across a register.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use super::{LINE_BYTES, Line, Sink};

/// Sketches in blocks of 64 templates.
#[derive(Clone, Copy)]
pub(in crate::index) struct Sketches<'a> {
    /// For each block, as many lines as a sketch has bytes.
    pub(in crate::index) lines: &'a [Line],
    /// The bytes of one sketch.
    pub(in crate::index) bytes: usize,
    /// The templates; the last block may hold fewer than 64, and zeros.
    pub(in crate::index) templates: u32,
    /// What the first template is called in a sink.
    pub(in crate::index) first: u32,
}

/// A probe's weights, summed for every pattern of a few signs: what the loops look up. Wiped when dropped.
pub(in crate::index) struct Tables {
    /// For each byte of a sketch the sums of its low and of its high four bits, for every pattern of them.
    nibbles: Zeroizing<Vec<[u8; 16]>>,
    /// For every three bytes the sums of the low six bits of each, and of the two bits that all three have
    /// left; the last may be fewer than three.
    sixes: Zeroizing<Vec<Line>>,
    /// Mean and spread of the scores of strangers whose signs are independent of the probe's.
    mean: f64,
    spread: f64,
}

impl Tables {
    /// The tables of a probe: its components, from -32,767 to 32,767.
    pub(in crate::index) fn of(components: &[i16]) -> Self {
        let weights = weights(components);
        // One entry a bit, the last byte filled up with bits that weigh nothing.
        let bits = components.len().div_ceil(8).saturating_mul(8);
        let mut signed: Zeroizing<Vec<(u8, bool)>> = Zeroizing::new(Vec::with_capacity(bits));
        signed.extend(weights.iter().zip(components).map(|(&weight, &component)| (weight, component < 0)));
        signed.resize(bits, (0, false));
        let (nibbles, _) = signed.as_chunks::<4>();
        let nibbles = nibbles.iter().map(|bits| {
            let mut table = [0; 16];
            sums(bits.iter(), &mut table);
            table
        });
        let (bytes, _) = signed.as_chunks::<8>();
        let lookups = bytes.len().saturating_add(bytes.len().div_ceil(3));
        let mut sixes = Zeroizing::new(Vec::with_capacity(lookups));
        for triple in bytes.chunks(3) {
            for byte in triple {
                let mut line = Line::default();
                sums(byte.iter().take(6), &mut line.0);
                sixes.push(line);
            }
            let mut line = Line::default();
            sums(triple.iter().flat_map(|byte| byte.iter().skip(6)), &mut line.0);
            sixes.push(line);
        }
        let sum = |power| weights.iter().map(|&weight| f64::from(weight).powi(power)).sum::<f64>();
        let (mean, spread) = (sum(1) / 2.0, sum(2).sqrt() / 2.0);
        Self { nibbles: Zeroizing::new(nibbles.collect()), sixes, mean, spread }
    }

    /// The score that lies so many spreads towards the alike from the mean of strangers.
    #[expect(clippy::as_conversions, reason = "a whole number of 16 bits is meant; below it is zero")]
    pub(in crate::index) fn score_above(&self, spreads: f64) -> u16 {
        (self.mean - spreads * self.spread).floor() as u16
    }
}

/// The sums for every pattern of these bits, the first of which is the lowest: what weighs is a bit that differs
/// from the probe's.
fn sums<'a>(bits: impl Iterator<Item = &'a (u8, bool)>, table: &mut [u8]) {
    let mut patterns = 1;
    for &(weight, negative) in bits {
        let (low, rest) = table.split_at_mut(patterns);
        for (with, without) in rest.iter_mut().zip(low.iter_mut()) {
            *with = *without;
            let differing = if negative { without } else { with };
            *differing = differing.saturating_add(weight);
        }
        patterns = patterns.saturating_mul(2);
    }
    // Patterns of bits that are not there, which no sketch has, stay zero.
}

/// Magnitudes on a scale on which those of any 48 components that share six bytes add up to 255 at most, so
/// that loops may add them as bytes: half of a weight is the most that rounding adds to each.
fn weights(components: &[i16]) -> Zeroizing<Vec<u8>> {
    let sum = |run: &[i16]| run.iter().map(|component| u64::from(component.unsigned_abs())).sum::<u64>();
    let most = components.chunks(RUN_COMPONENTS).map(sum).max().unwrap_or(0).max(1);
    let weight = |component: &i16| {
        let scaled = u64::from(component.unsigned_abs()).saturating_mul(RUN_WEIGHT).saturating_add(most / 2);
        u8::try_from(scaled / most).unwrap_or(u8::MAX)
    };
    Zeroizing::new(components.iter().map(weight).collect())
}

/// Components whose weights are added as bytes.
const RUN_COMPONENTS: usize = 48;
/// What those add up to at most, before each is rounded by at most a half: 255 - 48 / 2.
const RUN_WEIGHT: u64 = 231;
