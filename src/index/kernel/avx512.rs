//! The loops with AVX-512 (F, BW, VBMI, VNNI): Intel from Ice Lake, AMD from Zen 4.
#![expect(unsafe_code, reason = "instructions that only some processors have, each use with its reason")]

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_load_si256, _mm512_and_si512, _mm512_cvtepi8_epi16, _mm512_dpwssd_epi32,
    _mm512_load_si512, _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_store_si512,
    _mm512_ternarylogic_epi64, _mm512_xor_si512,
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
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni");
        there.then_some(Self(()))
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

#[target_feature(enable = "avx512f,avx512bw")]
fn scan_all(proof: Proof, part: Part<'_>, coming: Option<Part<'_>>, plans: &[&Plan], sinks: &mut [Sink]) {
    lane::scan::<Bits>(proof, part, coming, plans, sinks);
}

/// A whole line.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Bits(__m512i);

impl Lane for Bits {
    type Proof = Proof;
    const PARTS: usize = 1;

    #[inline(always)]
    fn load(_: Proof, line: &Line, _: usize) -> Self {
        // SAFETY: the proof, and a line is 64 bytes long and aligned to as many.
        Self(unsafe { _mm512_load_si512((&raw const *line).cast()) })
    }

    #[inline(always)]
    fn store(self, line: &mut Line, _: usize) {
        // SAFETY: a value was made with a proof, and a line is 64 bytes long and aligned to as many.
        unsafe { _mm512_store_si512((&raw mut *line).cast(), self.0) }
    }

    #[inline(always)]
    fn splat(_: Proof, bits: u64) -> Self {
        // SAFETY: the proof.
        Self(unsafe { _mm512_set1_epi64(bits.cast_signed()) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: a value was made with a proof.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, two: Self, three: Self) -> [Self; 2] {
        // SAFETY: a value was made with a proof.
        let low = unsafe { _mm512_ternarylogic_epi64::<ODD>(self.0, two.0, three.0) };
        // SAFETY: a value was made with a proof.
        let high = unsafe { _mm512_ternarylogic_epi64::<MOST>(self.0, two.0, three.0) };
        [Self(low), Self(high)]
    }

    #[inline(always)]
    fn fetch(line: &Line) {
        ahead::fetch_line(line);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dots_all(rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    for row in ahead(rows) {
        let mut sums = [_mm512_setzero_si512(); 2];
        for (line, wide) in row.iter().zip(probe) {
            let (halves, _) = line.0.as_chunks::<{ LINE_BYTES / 2 }>();
            let (wides, _) = wide.0.as_chunks::<{ LINE_BYTES / 2 }>();
            for ((half, wide), sum) in halves.iter().zip(wides).zip(&mut sums) {
                // SAFETY: 32 bytes at a multiple of 32 within a line that is aligned to 64.
                let half = unsafe { _mm256_load_si256((&raw const *half).cast::<__m256i>()) };
                // SAFETY: 32 numbers of 16 bits at a multiple of 64 bytes within an aligned array.
                let wide = unsafe { _mm512_load_si512((&raw const *wide).cast()) };
                // INVARIANT: a sum of 32 bits takes 2 products of 127 x 32,767 a line and half, 128 at most.
                *sum = _mm512_dpwssd_epi32(*sum, _mm512_cvtepi8_epi16(half), wide);
            }
        }
        let mut lanes = [Lanes([0; LINE_BYTES / 4]); 2];
        for (sum, lanes) in sums.iter().zip(&mut lanes) {
            // SAFETY: the array is 64 bytes long and aligned to as many.
            unsafe { _mm512_store_si512((&raw mut *lanes).cast(), *sum) }
        }
        dots.push(lanes.iter().flat_map(|lanes| lanes.0).map(i64::from).sum());
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Lanes([i32; LINE_BYTES / 4]);

/// Truth tables of three bits: an odd number of them is set; two or three are.
const ODD: i32 = 0x96;
const MOST: i32 = 0xe8;
