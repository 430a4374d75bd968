//! Lines asked for before their turn: most of a search is waiting for memory.
#![expect(unsafe_code, reason = "an instruction that has no safe name")]

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use super::Line;

/// Goes through the rows, and has those that come soon fetched.
#[inline(always)]
pub(super) fn ahead<'a>(rows: &'a [&'a [Line]]) -> impl Iterator<Item = &'a [Line]> {
    rows.iter().take(ROWS_AHEAD).for_each(|row| fetch(row));
    rows.iter().enumerate().map(|(nth, row)| {
        if let Some(coming) = rows.get(nth.wrapping_add(ROWS_AHEAD)) {
            fetch(coming);
        }
        *row
    })
}

#[inline(always)]
fn fetch(row: &[Line]) {
    for line in row {
        // SAFETY: every 64-bit processor of this kind has the instruction, and it changes nothing but the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>((&raw const *line).cast()) }
    }
}

/// Has a line fetched into the second cache.
#[inline(always)]
pub(super) fn fetch_line(line: &Line) {
    // SAFETY: every 64-bit processor of this kind has the instruction, and it changes nothing but the cache.
    unsafe { _mm_prefetch::<_MM_HINT_T1>((&raw const *line).cast()) }
}

/// Rows that are fetched before they are needed.
const ROWS_AHEAD: usize = 8;
