//! The loops with AVX2: nearly every other 64-bit processor since 2015.
#![expect(unsafe_code, reason = "instructions that only some processors have, each use with its reason")]

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_load_si128, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi8, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi16,
    _mm256_cvtepi8_epi16, _mm256_load_si256, _mm256_madd_epi16, _mm256_min_epu16, _mm256_movemask_epi8,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi16,
    _mm256_srli_epi16, _mm256_store_si256, _mm256_sub_epi16,
};

use super::{LINE_BYTES, Line, Sink, Sketches, Tables, Wide};

/// Shows that the processor has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::index) struct Proof(());

impl Proof {
    pub(super) fn find() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

pub(super) fn scan(_: Proof, sketches: Sketches<'_>, probes: &[&Tables], sinks: &mut [Sink]) {
    for (tables, sink) in probes.iter().zip(sinks) {
        // SAFETY: the proof says that the processor has the instructions.
        unsafe { scan_one(sketches, tables, sink) }
    }
}

pub(super) fn dots(_: Proof, rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    // SAFETY: the proof says that the processor has the instructions.
    unsafe { dots_all(rows, probe, dots) }
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
            if score <= sink.bound && template < end {
                sink.keep(score, template);
            }
            template = template.wrapping_add(1);
        }
    }
}

#[target_feature(enable = "avx2")]
fn dots_all(rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
    let fetch = |row: &[Line]| {
        for line in row {
            _mm_prefetch::<_MM_HINT_T0>((&raw const *line).cast());
        }
    };
    rows.iter().take(ROWS_AHEAD).for_each(|row| fetch(row));
    for (nth, row) in rows.iter().enumerate() {
        if let Some(ahead) = rows.get(nth.wrapping_add(ROWS_AHEAD)) {
            fetch(ahead);
        }
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
struct Numbers([u16; LINE_BYTES / 4]);
#[repr(C, align(32))]
struct Lanes([i32; LINE_BYTES / 8]);

/// Templates of a block.
const BLOCK: u32 = 64;
/// Bytes whose look-ups are added as bytes.
const RUN_BYTES: usize = 6;
/// Rows that are fetched before they are needed.
const ROWS_AHEAD: usize = 8;
