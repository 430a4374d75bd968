//! The loops in plain Rust: what the others must equal.

use super::{LINE_BYTES, Sink, Sketches, Tables};

pub(in crate::index::kernel) fn scan(sketches: Sketches<'_>, probes: &[&Tables], sinks: &mut [Sink]) {
    let end = sketches.first.saturating_add(sketches.templates);
    for (tables, sink) in probes.iter().zip(sinks) {
        let mut template = sketches.first;
        for block in sketches.lines.chunks_exact(sketches.bytes.max(1)) {
            let mut scores = [0_u16; LINE_BYTES];
            let (pairs, _) = tables.nibbles.as_chunks::<2>();
            for (line, [low, high]) in block.iter().zip(pairs) {
                for (score, byte) in scores.iter_mut().zip(line.0) {
                    let sum = |table: &[u8; 16], nibble: u8| {
                        table.get(usize::from(nibble)).map_or(0, |&sum| u16::from(sum))
                    };
                    // INVARIANT: at most 255 for every six bytes, which is below 2^16 at 512 bytes.
                    *score = score.wrapping_add(sum(low, byte & 15)).wrapping_add(sum(high, byte >> 4));
                }
            }
            for score in scores {
                if score <= sink.bound {
                    sink.keep(u64::from(score), template, end);
                }
                template = template.wrapping_add(1);
            }
        }
    }
}
