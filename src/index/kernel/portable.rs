//! The loops in plain Rust: what the others must equal.

use super::lane::{self, Lane, Part};
use super::plan::Plan;
use super::{LINE_BYTES, Line, Sink, Wide};

pub(super) fn scan(part: Part<'_>, coming: Option<Part<'_>>, plans: &[&Plan], sinks: &mut [Sink]) {
    lane::scan::<Words>((), part, coming, plans, sinks);
}

/// A whole line.
#[derive(Clone, Copy)]
struct Words([u64; LINE_BYTES / 8]);

impl Words {
    #[inline(always)]
    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        words.iter_mut().zip(other.0).for_each(|(word, other)| *word = combine(*word, other));
        Self(words)
    }
}

impl Lane for Words {
    type Proof = ();
    const PARTS: usize = 1;

    #[inline(always)]
    fn load((): (), line: &Line, _: usize) -> Self {
        let mut words = [0; LINE_BYTES / 8];
        for (word, bytes) in words.iter_mut().zip(line.0.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    #[inline(always)]
    fn store(self, line: &mut Line, _: usize) {
        for (bytes, word) in line.0.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
    }

    #[inline(always)]
    fn splat((): (), bits: u64) -> Self {
        Self([bits; LINE_BYTES / 8])
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self.with(other, |a, b| a & b)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.with(other, |a, b| a | b)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self.with(other, |a, b| a ^ b)
    }

    #[inline(always)]
    fn add(self, two: Self, three: Self) -> [Self; 2] {
        let differ = self.xor(two);
        [differ.xor(three), self.and(two).or(differ.and(three))]
    }
}

pub(super) fn dots(rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    for row in rows {
        let mut sum = 0_i64;
        for (line, wide) in row.iter().zip(probe) {
            for (byte, wide) in line.0.iter().zip(wide.0) {
                let product = i32::from(byte.cast_signed()).wrapping_mul(i32::from(wide));
                sum = sum.wrapping_add(i64::from(product));
            }
        }
        dots.push(sum);
    }
}
