//! The loops with AVX2: nearly every other 64-bit processor since 2015.
#![expect(unsafe_code, reason = "instructions that only some processors have, each use with its reason")]
#![expect(clippy::indexing_slicing, reason = "one of two halves, by a constant")]

use std::arch::x86_64::{
    __m256i, _mm_load_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi8_epi16, _mm256_load_si256,
    _mm256_madd_epi16, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_store_si256,
    _mm256_xor_si256,
};

use super::ahead::{self, ahead};
use super::lane::{self, Lane, Part};
use super::plan::Plan;
use super::{LINE_BYTES, Line, Sink, Wide};

/// Shows that the processor has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::index) struct Proof(());

impl Proof {
    pub(super) fn find() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

pub(super) fn scan(
    proof: Proof,
    part: Part<'_>,
    coming: Option<Part<'_>>,
    plans: &[&Plan],
    sinks: &mut [Sink],
) {
    // SAFETY: the proof says that the processor has the instructions.
    unsafe { scan_all(proof, part, coming, plans, sinks) }
}

pub(super) fn dots(_: Proof, rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    // SAFETY: the proof says that the processor has the instructions.
    unsafe { dots_all(rows, probe, dots) }
}

#[target_feature(enable = "avx2")]
fn scan_all(proof: Proof, part: Part<'_>, coming: Option<Part<'_>>, plans: &[&Plan], sinks: &mut [Sink]) {
    lane::scan::<Bits>(proof, part, coming, plans, sinks);
}

/// Half a line.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Bits(__m256i);

impl Lane for Bits {
    type Proof = Proof;
    const PARTS: usize = 2;

    #[inline(always)]
    fn load(_: Proof, line: &Line, part: usize) -> Self {
        let (halves, _) = line.0.as_chunks::<{ LINE_BYTES / 2 }>();
        // SAFETY: the proof, and 32 bytes at a multiple of 32 within a line that is aligned to 64.
        Self(unsafe { _mm256_load_si256((&raw const halves[part]).cast()) })
    }

    #[inline(always)]
    fn store(self, line: &mut Line, part: usize) {
        let (halves, _) = line.0.as_chunks_mut::<{ LINE_BYTES / 2 }>();
        // SAFETY: a value was made with a proof, and 32 bytes at a multiple of 32 within an aligned line.
        unsafe { _mm256_store_si256((&raw mut halves[part]).cast(), self.0) }
    }

    #[inline(always)]
    fn splat(_: Proof, bits: u64) -> Self {
        // SAFETY: the proof.
        Self(unsafe { _mm256_set1_epi64x(bits.cast_signed()) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, two: Self, three: Self) -> [Self; 2] {
        let differ = self.xor(two);
        [differ.xor(three), self.and(two).or(differ.and(three))]
    }

    #[inline(always)]
    fn fetch(line: &Line) {
        ahead::fetch_line(line);
    }
}

#[target_feature(enable = "avx2")]
fn dots_all(rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    for row in ahead(rows) {
        let mut sums = [_mm256_setzero_si256(); 4];
        for (line, wide) in row.iter().zip(probe) {
            let (quarters, _) = line.0.as_chunks::<{ LINE_BYTES / 4 }>();
            let (wides, _) = wide.0.as_chunks::<{ LINE_BYTES / 4 }>();
            for ((quarter, wide), sum) in quarters.iter().zip(wides).zip(&mut sums) {
                // SAFETY: 16 bytes at a multiple of 16 within a line that is aligned to 64.
                let quarter = unsafe { _mm_load_si128((&raw const *quarter).cast()) };
                // SAFETY: 16 numbers of 16 bits at a multiple of 32 bytes within an aligned array.
                let wide = unsafe { _mm256_load_si256((&raw const *wide).cast()) };
                // INVARIANT: a sum of 32 bits takes 2 products of 127 x 32,767 a line, 128 at most.
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(quarter), wide));
            }
        }
        let mut total = 0_i64;
        for sum in sums {
            let mut lanes = Lanes([0; LINE_BYTES / 8]);
            // SAFETY: the array is 32 bytes long and aligned to as many.
            unsafe { _mm256_store_si256((&raw mut lanes).cast(), sum) }
            total = total.wrapping_add(lanes.0.into_iter().map(i64::from).sum::<i64>());
        }
        dots.push(total);
    }
}

#[repr(C, align(32))]
struct Lanes([i32; LINE_BYTES / 8]);
