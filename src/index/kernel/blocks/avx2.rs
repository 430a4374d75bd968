//! The loops with AVX2: nearly every other 64-bit processor since 2015.
#![expect(unsafe_code, reason = "instructions that only some processors have, each use with its reason")]

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi8, _mm256_add_epi16, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_cmpeq_epi16, _mm256_load_si256, _mm256_min_epu16,
    _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_slli_epi16, _mm256_srli_epi16, _mm256_store_si256, _mm256_sub_epi16,
};

use super::super::avx2::Proof;
use super::{LINE_BYTES, Line, Sink, Sketches, Tables};

pub(in crate::index::kernel) fn scan(
    _: Proof,
    sketches: Sketches<'_>,
    probes: &[&Tables],
    sinks: &mut [Sink],
) {
    for (tables, sink) in probes.iter().zip(sinks) {
        // SAFETY: the proof says that the processor has the instructions.
        unsafe { scan_one(sketches, tables, sink) }
    }
}

#[target_feature(enable = "avx2")]
fn scan_one(sketches: Sketches<'_>, tables: &Tables, sink: &mut Sink) {
    let end = sketches.first.saturating_add(sketches.templates);
    let mut first = sketches.first;
    for block in sketches.lines.chunks_exact(sketches.bytes.max(1)) {
        let sums = sums(block, &tables.nibbles);
        let bound = _mm256_set1_epi16(sink.bound.cast_signed());
        // A score is within its bound where it is the lesser of the two.
        let within = sums.map(|scores| {
            scores.map(|scores| {
                _mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_min_epu16(scores, bound), scores))
            })
        });
        if within != [[0; 2]; 2] {
            keep_some(sums, first, end, sink);
        }
        first = first.wrapping_add(BLOCK);
    }
}

/// Scores of the templates of a block: for each half of a line, those of even and of odd templates.
#[target_feature(enable = "avx2")]
#[inline]
fn sums(block: &[Line], nibbles: &[[u8; 16]]) -> [[__m256i; 2]; 2] {
    let zero = _mm256_setzero_si256();
    let low_bits = _mm256_set1_epi8(0x0f);
    let mut sums = [[zero; 2]; 2];
    for (run, tables) in block.chunks(RUN_BYTES).zip(nibbles.chunks(2 * RUN_BYTES)) {
        let mut bytes = [zero; 2];
        let (tables, _) = tables.as_chunks::<2>();
        for (line, tables) in run.iter().zip(tables) {
            // SAFETY: reads 16 bytes of an array of 16, wherever it lies.
            let [low, high] = tables.each_ref().map(|table| unsafe {
                _mm256_broadcastsi128_si256(_mm_loadu_si128((&raw const *table).cast()))
            });
            let (halves, _) = line.0.as_chunks::<{ LINE_BYTES / 2 }>();
            for (half, sum) in halves.iter().zip(&mut bytes) {
                // SAFETY: 32 bytes at a multiple of 32 within a line that is aligned to 64.
                let bits = unsafe { _mm256_load_si256((&raw const *half).cast()) };
                let found = _mm256_shuffle_epi8(low, _mm256_and_si256(bits, low_bits));
                *sum = _mm256_add_epi8(*sum, found);
                let bits = _mm256_and_si256(_mm256_srli_epi16::<4>(bits), low_bits);
                *sum = _mm256_add_epi8(*sum, _mm256_shuffle_epi8(high, bits));
            }
        }
        for (bytes, [whole, high]) in bytes.iter().zip(&mut sums) {
            *whole = _mm256_add_epi16(*whole, *bytes);
            *high = _mm256_add_epi16(*high, _mm256_srli_epi16::<8>(*bytes));
        }
    }
    sums.map(|[whole, high]| [_mm256_sub_epi16(whole, _mm256_slli_epi16::<8>(high)), high])
}

#[target_feature(enable = "avx2")]
#[cold]
#[inline(never)]
fn keep_some(sums: [[__m256i; 2]; 2], first: u32, end: u32, sink: &mut Sink) {
    let mut template = first;
    for half in sums {
        let [even, odd] = half.map(|scores| {
            let mut numbers = Numbers([0; LINE_BYTES / 4]);
            // SAFETY: the array is 32 bytes long and aligned to as many.
            unsafe { _mm256_store_si256((&raw mut numbers).cast(), scores) }
            numbers.0
        });
        for score in even.into_iter().zip(odd).flat_map(|(even, odd)| [even, odd]) {
            if score <= sink.bound {
                sink.keep(u64::from(score), template, end);
            }
            template = template.wrapping_add(1);
        }
    }
}

#[repr(C, align(32))]
struct Numbers([u16; LINE_BYTES / 4]);

/// Templates of a block.
const BLOCK: u32 = 64;
/// Bytes whose look-ups are added as bytes.
const RUN_BYTES: usize = 6;
