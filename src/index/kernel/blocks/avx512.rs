//! The loops with AVX-512 (F, BW, VBMI, VNNI): Intel from Ice Lake, AMD from Zen 4.
#![expect(unsafe_code, reason = "instructions that only some processors have, each use with its reason")]
#![expect(
    clippy::indexing_slicing,
    reason = "arrays of constant length that the compiler keeps in registers"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_add_epi16, _mm512_cmple_epu16_mask, _mm512_load_si512,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_setzero_si512, _mm512_slli_epi16,
    _mm512_srli_epi16, _mm512_store_si512, _mm512_sub_epi16, _mm512_ternarylogic_epi64,
};

use super::super::avx512::Proof;
use super::{LINE_BYTES, Line, Sink, Sketches, Tables};

pub(in crate::index::kernel) fn scan(
    _: Proof,
    sketches: Sketches<'_>,
    probes: &[&Tables],
    sinks: &mut [Sink],
) {
    // SAFETY: the proof says that the processor has the instructions.
    unsafe { scan_all(sketches, probes, sinks) }
}

/// A few probes at a time over all blocks: their tables stay in the first cache, the sketches come from the
/// second.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn scan_all(sketches: Sketches<'_>, probes: &[&Tables], sinks: &mut [Sink]) {
    let (tiles, rest) = probes.as_chunks::<TILE_PROBES>();
    let (sinks_of_tiles, sinks_of_rest) = sinks.as_chunks_mut::<TILE_PROBES>();
    for (tables, sinks) in tiles.iter().zip(sinks_of_tiles) {
        scan_some::<TILE_BLOCKS, TILE_PROBES>(sketches, tables, sinks);
    }
    for (tables, sink) in rest.iter().zip(sinks_of_rest) {
        scan_some::<LONE_BLOCKS, 1>(sketches, &[tables], std::array::from_mut(sink));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
fn scan_some<const B: usize, const P: usize>(
    sketches: Sketches<'_>,
    tables: &[&Tables; P],
    sinks: &mut [Sink; P],
) {
    let tables = tables.map(|tables| tables.sixes.as_slice());
    let end = sketches.first.saturating_add(sketches.templates);
    let bytes = sketches.bytes.max(1);
    let mut template = sketches.first;
    let tile = BLOCK.wrapping_mul(u32::try_from(B).unwrap_or_default());
    let mut rest = sketches.lines;
    while let Some((lines, behind)) = rest.split_at_checked(bytes * B) {
        let blocks: [&[Line]; B] = std::array::from_fn(|b| &lines[b * bytes..][..bytes]);
        keep(&scores::<B, P>(blocks, tables), template, end, sinks);
        template = template.wrapping_add(tile);
        rest = behind;
    }
    for block in rest.chunks_exact(bytes) {
        keep(&scores::<1, P>([block], tables), template, end, sinks);
        template = template.wrapping_add(BLOCK);
    }
}

/// Scores of one block: even templates, odd templates.
type Scores = [__m512i; 2];

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
#[inline]
fn scores<const B: usize, const P: usize>(blocks: [&[Line]; B], tables: [&[Line]; P]) -> [[Scores; P]; B] {
    let zero = _mm512_setzero_si512();
    // Sums of 16 bits: of whole pairs of bytes, which overflow and are put right at the end, and of the high ones.
    let mut sums = [[[zero; 2]; P]; B];
    let blocks = blocks.map(|block| block.as_chunks::<RUN_BYTES>());
    let tables = tables.map(|tables| tables.as_chunks::<RUN_LOOKUPS>());
    for run in 0..blocks[0].0.len() {
        let lines: [&[Line; RUN_BYTES]; B] = blocks.map(|(runs, _)| &runs[run]);
        let tables: [&[Line; RUN_LOOKUPS]; P] = tables.map(|(runs, _)| &runs[run]);
        let mut bytes = [[zero; P]; B];
        add_triple::<0, 0, B, P>(lines, tables, &mut bytes);
        add_triple::<3, 4, B, P>(lines, tables, &mut bytes);
        widen(&bytes, &mut sums);
    }
    if !blocks[0].1.is_empty() {
        // The one to five bytes behind the last run, as a run that ends in zeros, which find zeros.
        let mut lines = [[Line::default(); RUN_BYTES]; B];
        let mut lookups = [[Line::default(); RUN_LOOKUPS]; P];
        let rest = blocks[0].1.len();
        for b in 0..B {
            lines[b][..rest].copy_from_slice(blocks[b].1);
        }
        for p in 0..P {
            let rest = tables[p].1;
            // Of a triple that is not whole, the look-up of the high bits comes fourth all the same.
            let (whole, part) = rest.split_at(rest.len() / 4 * 4);
            lookups[p][..whole.len()].copy_from_slice(whole);
            if let [bytes @ .., last] = part {
                lookups[p][whole.len()..][..bytes.len()].copy_from_slice(bytes);
                lookups[p][whole.len() + 3] = *last;
            }
        }
        let mut bytes = [[zero; P]; B];
        add_triple::<0, 0, B, P>(lines.each_ref(), lookups.each_ref(), &mut bytes);
        if rest > 3 {
            add_triple::<3, 4, B, P>(lines.each_ref(), lookups.each_ref(), &mut bytes);
        }
        widen(&bytes, &mut sums);
    }
    for sums in &mut sums {
        for sums in sums {
            sums[0] = _mm512_sub_epi16(sums[0], _mm512_slli_epi16::<8>(sums[1]));
        }
    }
    sums
}

/// Three bytes of each template: four look-ups of six bits. A look-up passes over the two high bits of a byte;
/// the fourth is made of those.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
#[inline]
fn add_triple<const AT: usize, const TABLE: usize, const B: usize, const P: usize>(
    lines: [&[Line; RUN_BYTES]; B],
    tables: [&[Line; RUN_LOOKUPS]; P],
    sums: &mut [[__m512i; P]; B],
) {
    let (two, four) = (_mm512_set1_epi8(0x03), _mm512_set1_epi8(0x0f));
    let zero = _mm512_setzero_si512();
    let mut indices = [[zero; B]; 4];
    for b in 0..B {
        let (one, two_, three) = (load(&lines[b][AT]), load(&lines[b][AT + 1]), load(&lines[b][AT + 2]));
        let high = _mm512_ternarylogic_epi64::<SELECT>(
            two,
            _mm512_srli_epi16::<6>(one),
            _mm512_srli_epi16::<4>(two_),
        );
        let high = _mm512_ternarylogic_epi64::<SELECT>(four, high, _mm512_srli_epi16::<2>(three));
        indices[0][b] = one;
        indices[1][b] = two_;
        indices[2][b] = three;
        indices[3][b] = high;
    }
    for lookup in 0..4 {
        for p in 0..P {
            let table = load(&tables[p][TABLE + lookup]);
            for b in 0..B {
                sums[b][p] = _mm512_add_epi8(sums[b][p], _mm512_permutexvar_epi8(indices[lookup][b], table));
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
#[inline]
fn widen<const B: usize, const P: usize>(bytes: &[[__m512i; P]; B], sums: &mut [[[__m512i; 2]; P]; B]) {
    for b in 0..B {
        for p in 0..P {
            sums[b][p][0] = _mm512_add_epi16(sums[b][p][0], bytes[b][p]);
            sums[b][p][1] = _mm512_add_epi16(sums[b][p][1], _mm512_srli_epi16::<8>(bytes[b][p]));
        }
    }
}

/// Keeps what scores the bound or less: few, so that a branch over a whole block is seldom taken.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
#[inline]
fn keep<const B: usize, const P: usize>(
    scores: &[[Scores; P]; B],
    first: u32,
    end: u32,
    sinks: &mut [Sink; P],
) {
    let mut first = first;
    for scores in scores {
        for (scores, sink) in scores.iter().zip(sinks.iter_mut()) {
            let bound = _mm512_set1_epi16(sink.bound.cast_signed());
            let masks =
                [_mm512_cmple_epu16_mask(scores[0], bound), _mm512_cmple_epu16_mask(scores[1], bound)];
            if masks != [0, 0] {
                keep_some(scores, masks, first, end, sink);
            }
        }
        first = first.wrapping_add(BLOCK);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vnni")]
#[cold]
#[inline(never)]
fn keep_some(scores: &Scores, masks: [u32; 2], first: u32, end: u32, sink: &mut Sink) {
    for ((scores, mut mask), odd) in scores.iter().zip(masks).zip([0, 1]) {
        let mut line = Numbers([0; LINE_BYTES / 2]);
        // SAFETY: the array is 64 bytes long and aligned to as many.
        unsafe { _mm512_store_si512((&raw mut line).cast(), *scores) }
        while mask != 0 {
            let lane = mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
            let template = first.wrapping_add(lane.wrapping_mul(2)).wrapping_add(odd);
            if let Some(&score) = usize::try_from(lane).ok().and_then(|lane| line.0.get(lane)) {
                sink.keep(u64::from(score), template, end);
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes long and aligned to as many.
    unsafe { _mm512_load_si512((&raw const *line).cast()) }
}

#[repr(C, align(64))]
struct Numbers([u16; LINE_BYTES / 2]);

/// Templates of a block.
const BLOCK: u32 = 64;
/// Blocks and probes that are scored together: as many as the registers hold.
const TILE_BLOCKS: usize = 2;
const TILE_PROBES: usize = 4;
/// Of one probe, which waits for memory alone: read straight on, without asking ahead, it comes fastest.
const LONE_BLOCKS: usize = 1;
/// Bytes whose look-ups are added as bytes, and how many look-ups those are.
const RUN_BYTES: usize = 6;
const RUN_LOOKUPS: usize = 8;
/// For each bit of the first operand: set, the second's; clear, the third's.
const SELECT: i32 = 0xca;
