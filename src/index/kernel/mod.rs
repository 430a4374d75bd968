//! The inner loops of a search, chosen once for the processor: AVX-512, AVX2, or portable code. All of them give
//! the same numbers, bit for bit, because all of them only add integers.
//!
//! A *sketch* is the signs of a template's components, one bit each. It is scored against a probe by adding the
//! probe's weights of those components whose signs differ: the less, the more alike. The bits come in blocks of
//! 64 templates, byte by byte: a [`Line`] holds one byte of each of the 64, so that a look-up in a table of the
//! probe's sums serves 64 templates at once and nothing is added across a register.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use zeroize::{DefaultIsZeroes, Zeroizing};

/// 64 bytes on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; LINE_BYTES]);

impl Default for Line {
    fn default() -> Self {
        Self([0; LINE_BYTES])
    }
}

impl DefaultIsZeroes for Line {}

/// Which loops are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Proof),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Proof),
}

impl Kernel {
    /// The fastest that this processor can run.
    pub(super) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// All that this processor can run, from the slowest to the fastest.
    pub(super) fn available() -> Vec<Self> {
        let all = [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            avx2::Proof::find().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::Proof::find().map(Self::Avx512),
        ];
        all.into_iter().flatten().collect()
    }

    /// Scores every template of `sketches` against every probe and keeps in each probe's sink the templates that
    /// score its bound or less.
    pub(super) fn scan(self, sketches: Sketches<'_>, probes: &[&Tables], sinks: &mut [Sink]) {
        match self {
            Self::Portable => portable::scan(sketches, probes, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::scan(proof, sketches, probes, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::scan(proof, sketches, probes, sinks),
        }
    }

    /// The inner product of each of these rows of 8-bit components with a probe of 16-bit ones.
    pub(super) fn dots(self, rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
        match self {
            Self::Portable => portable::dots(rows, probe, dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::dots(proof, rows, probe, dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::dots(proof, rows, probe, dots),
        }
    }
}

/// Sketches in blocks of 64 templates.
#[derive(Clone, Copy)]
pub(super) struct Sketches<'a> {
    /// For each block, as many lines as a sketch has bytes.
    pub(super) lines: &'a [Line],
    /// The bytes of one sketch.
    pub(super) bytes: usize,
    /// The templates; the last block may hold fewer than 64, and zeros.
    pub(super) templates: u32,
    /// What the first template is called in a sink.
    pub(super) first: u32,
}

/// 64 components of a probe, in two lines; the last are filled up with zeros.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Wide(pub(super) [i16; LINE_BYTES]);

impl Default for Wide {
    fn default() -> Self {
        Self([0; LINE_BYTES])
    }
}

impl DefaultIsZeroes for Wide {}

/// Where a scan keeps the templates that it finds near.
pub(super) struct Sink {
    /// The greatest score that is kept.
    bound: u16,
    /// Score (above 32 bits) and template (below) of each one kept.
    pub(super) hits: Zeroizing<Vec<u64>>,
    /// So many are cut back.
    full: usize,
}

impl Sink {
    pub(super) fn new(bound: u16) -> Self {
        Self { bound, hits: Zeroizing::default(), full: 0 }
    }

    /// Lets go of what can't be among the `kept` nearest any more, once there is much of it.
    pub(super) fn cut(&mut self, kept: usize) {
        if self.hits.len() <= self.full.max(kept.saturating_mul(4)) {
            return;
        }
        let (_, edge, _) = self.hits.select_nth_unstable(kept.saturating_sub(1));
        let edge = *edge >> 32;
        self.bound = u16::try_from(edge).unwrap_or(self.bound);
        self.hits.retain(|hit| hit >> 32 <= edge);
        // Where very many score the same, not all of them are looked through again each time.
        self.full = self.hits.len().saturating_mul(2);
    }

    #[inline]
    fn keep(&mut self, score: u16, template: u32) {
        self.hits.push((u64::from(score) << 32) | u64::from(template));
    }
}

/// A probe's weights, summed for every pattern of a few signs: what the loops look up. Wiped when dropped.
pub(super) struct Tables {
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
    pub(super) fn of(components: &[i16]) -> Self {
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
    pub(super) fn score_above(&self, spreads: f64) -> u16 {
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

/// Bytes of a line: the templates of a block.
pub(super) const LINE_BYTES: usize = 64;
/// Components whose weights are added as bytes.
const RUN_COMPONENTS: usize = 48;
/// What those add up to at most, before each is rounded by at most a half: 255 - 48 / 2.
const RUN_WEIGHT: u64 = 231;
