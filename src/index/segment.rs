//! A part of a gallery that is scanned in one piece and replaced as a whole.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::gallery::{Compartment, Slot};
use super::kernel::{LINE_BITS, LINE_BYTES, Line, Part, Sketches};
use super::lines::Lines;
use super::stage::{Stage, Staged};
use crate::template::{Compact, Dimension};

/// A template on its way into a segment.
pub(super) struct Entry {
    pub(super) slot: Slot,
    pub(super) source: Source,
}

/// Where the components of a template lie now.
pub(super) enum Source {
    New(Compact),
    Kept(Arc<Segment>, u32),
}

impl Entry {
    fn components(&self) -> (&[Line], &[i8], u32) {
        match &self.source {
            Source::New(template) => (&[], template.components(), template.squares()),
            Source::Kept(segment, position) => {
                (segment.row(*position), &[], segment.squares(*position).unwrap_or_default())
            }
        }
    }
}

/// Templates of one compartment: 8-bit rows, and the sketches that are made of their signs. It never changes: a
/// change makes another one, and this one's bytes are wiped with its last reader.
pub(super) struct Segment {
    compartment: Compartment,
    dimension: Dimension,
    // INVARIANT: in ascending order, at least one and at most 2^32 - 1; rows, sums of squares and sketches have
    // the same order.
    slots: Zeroizing<Vec<u64>>,
    squares: Zeroizing<Vec<u32>>,
    /// First the sketches in planes: one for each component, of one line for every 512 templates, and one of zeros
    /// behind. Then the same in blocks of 64 templates, byte by byte. Then rows, each filled up with zeros to whole
    /// lines.
    lines: Lines,
    /// The first line of the blocks.
    blocks: usize,
    /// The first line of the rows.
    rows: usize,
    /// What chooses in the place of the sketches, where that is configured.
    staged: Option<Box<dyn Staged>>,
}

impl Segment {
    /// The segment of these templates, all of this dimension and at least one. Every buffer is reserved at once,
    /// so that growing leaves no copy behind.
    pub(super) fn build(compartment: Compartment, dimension: Dimension, mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by_key(|entry| entry.slot);
        let stride = stride(dimension);
        let mut slots = Zeroizing::new(Vec::with_capacity(entries.len()));
        let mut squares = Zeroizing::new(Vec::with_capacity(entries.len()));
        let columns = entries.len().div_ceil(LINE_BITS);
        let blocks_from = dimension.len().saturating_add(1).saturating_mul(columns);
        let blocks = entries.len().div_ceil(LINE_BYTES).saturating_mul(sketch_bytes(dimension));
        let rows_from = blocks_from.saturating_add(blocks);
        let mut lines = Lines::zeroed(entries.len().saturating_mul(stride).saturating_add(rows_from));
        let (sketches, rows) = lines.as_mut_slice().split_at_mut(rows_from);
        for (entry, row) in entries.iter().zip(rows.chunks_exact_mut(stride.max(1))) {
            let (lines, components, sum) = entry.components();
            slots.push(entry.slot.0);
            squares.push(sum);
            for (to, from) in row.iter_mut().zip(lines) {
                *to = *from;
            }
            for (line, components) in row.iter_mut().zip(components.chunks(LINE_BYTES)) {
                for (byte, component) in line.0.iter_mut().zip(components) {
                    *byte = component.cast_unsigned();
                }
            }
        }
        let (planes, blocks) = sketches.split_at_mut(blocks_from);
        turn(rows, planes, dimension);
        gather(rows, blocks, dimension);
        Self {
            compartment,
            dimension,
            slots,
            squares,
            lines,
            blocks: blocks_from,
            rows: rows_from,
            staged: None,
        }
    }

    /// The same with an index of this first stage, if it can be made.
    pub(super) fn indexed(mut self, stage: Option<&dyn Stage>) -> Self {
        self.staged = stage.and_then(|stage| stage.index(&self));
        self
    }

    /// What chooses in the place of the sketches.
    pub(super) fn staged(&self) -> Option<&dyn Staged> {
        self.staged.as_deref()
    }

    pub(super) const fn compartment(&self) -> Compartment {
        self.compartment
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of the template at a position.
    pub(super) fn slot(&self, position: u32) -> Option<Slot> {
        self.slots.get(usize::try_from(position).ok()?).copied().map(Slot)
    }

    /// Where the template of a slot lies, if it is here.
    pub(super) fn position(&self, slot: Slot) -> Option<u32> {
        // Most segments are passed over by their ends alone: slots are given in ascending order.
        let within = self.slots.first()? <= &slot.0 && &slot.0 <= self.slots.last()?;
        let found = within.then(|| self.slots.binary_search(&slot.0).ok()).flatten()?;
        u32::try_from(found).ok()
    }

    /// Whether a slot from the first to the last of these could be here.
    pub(super) fn meets(&self, first: Slot, last: Slot) -> bool {
        let ends = self.slots.first().zip(self.slots.last());
        ends.is_some_and(|(own_first, own_last)| *own_first <= last.0 && first.0 <= *own_last)
    }

    /// The templates with their positions, in the order of their slots.
    pub(super) fn positions(&self) -> impl Iterator<Item = (u32, Slot)> {
        (0_u32..).zip(self.slots.iter().copied().map(Slot))
    }

    /// The sum of squares of the template at a position.
    pub(super) fn squares(&self, position: u32) -> Option<u32> {
        self.squares.get(usize::try_from(position).ok()?).copied()
    }

    /// Lines of a plane: columns of 512 templates.
    pub(super) fn columns(&self) -> usize {
        self.slots.len().div_ceil(LINE_BITS)
    }

    /// Some columns of all planes; the segment's first template is called `base`.
    pub(super) fn part(&self, from: usize, count: usize, base: u32) -> Option<Part<'_>> {
        let columns = self.columns();
        let count = count.min(columns.checked_sub(from)?);
        let end = base.checked_add(u32::try_from(self.slots.len()).ok()?)?;
        let planes = self.lines.as_slice().get(..self.blocks)?;
        Some(Part { planes, columns, from, count, first: base, end })
    }

    /// The sketches of some blocks, `count` at most; the segment's first template is called `base`.
    pub(super) fn sketches(&self, first: usize, count: usize, base: u32) -> Option<Sketches<'_>> {
        let bytes = sketch_bytes(self.dimension);
        let blocks = self.lines.as_slice().get(self.blocks..self.rows)?;
        let last = first.saturating_add(count).min(self.slots.len().div_ceil(LINE_BYTES));
        let lines = blocks.get(first.checked_mul(bytes)?..last.checked_mul(bytes)?)?;
        let start = first.checked_mul(LINE_BYTES)?;
        let end = last.checked_mul(LINE_BYTES)?.min(self.slots.len());
        Some(Sketches {
            lines,
            bytes,
            templates: u32::try_from(end.checked_sub(start)?).ok()?,
            first: base.checked_add(u32::try_from(start).ok()?)?,
        })
    }

    /// The components of the template at a position, and zeros behind them.
    pub(super) fn components(&self, position: u32) -> impl Iterator<Item = i8> {
        self.row(position).iter().flat_map(|line| line.0).map(u8::cast_signed)
    }

    /// The row of the template at a position.
    pub(super) fn row(&self, position: u32) -> &[Line] {
        let stride = stride(self.dimension);
        let start = usize::try_from(position).unwrap_or(usize::MAX).saturating_mul(stride);
        let start = start.saturating_add(self.rows);
        self.lines.as_slice().get(start..start.saturating_add(stride)).unwrap_or_default()
    }
}

/// The lines of a row of this dimension.
pub(super) fn stride(dimension: Dimension) -> usize {
    dimension.len().div_ceil(LINE_BYTES)
}

/// The bytes of a sketch of this dimension.
pub(super) fn sketch_bytes(dimension: Dimension) -> usize {
    dimension.len().div_ceil(8)
}

/// The signs of all rows in blocks: bit `i` of byte `j` is set where component `8 j + i` is below zero.
fn gather(rows: &[Line], blocks: &mut [Line], dimension: Dimension) {
    let stride = stride(dimension).max(1);
    let rows = rows.chunks(stride.saturating_mul(LINE_BYTES));
    for (rows, lines) in rows.zip(blocks.chunks_mut(sketch_bytes(dimension).max(1))) {
        for (template, row) in rows.chunks(stride).enumerate() {
            let eights = row.iter().flat_map(|line| line.0.as_chunks::<8>().0);
            for (eight, line) in eights.zip(lines.iter_mut()) {
                if let Some(byte) = line.0.get_mut(template) {
                    *byte = signs(*eight);
                }
            }
        }
    }
}

/// The signs of all rows, turned: bit `i` of byte `j` of a line is the sign of template `8 j + i` of its column, set
/// where the component is below zero. The last plane stays as it is.
fn turn(rows: &[Line], planes: &mut [Line], dimension: Dimension) {
    let stride = stride(dimension).max(1);
    let columns = (rows.len() / stride).div_ceil(LINE_BITS);
    for (nth, rows) in rows.chunks(stride.saturating_mul(8)).enumerate() {
        let (column, byte) = (nth / LINE_BYTES, nth % LINE_BYTES);
        // The same eight components of eight templates at a time.
        let planes = planes.get_mut(column..).unwrap_or_default();
        let mut lines = planes.iter_mut().step_by(columns.max(1)).take(dimension.len());
        for eight in 0..dimension.len().div_ceil(8) {
            let (line, at) = (eight / 8, eight % 8);
            let mut turned = [0; 8];
            for (row, signs_of_row) in rows.chunks(stride).zip(&mut turned) {
                let eight = row.get(line).and_then(|line| line.0.as_chunks::<8>().0.get(at));
                *signs_of_row = eight.map_or(0, |eight| signs(*eight));
            }
            for signs in transposed(turned) {
                if let Some(byte) = lines.next().and_then(|line| line.0.get_mut(byte)) {
                    *byte = signs;
                }
            }
        }
    }
}

/// Bit `i` of byte `j` to bit `j` of byte `i` (Warren, "Hacker's Delight", section 7-3).
fn transposed(bytes: [u8; 8]) -> [u8; 8] {
    let mut bits = u64::from_le_bytes(bytes);
    for (shift, mask) in
        [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)]
    {
        let swapped = (bits ^ (bits >> shift)) & mask;
        bits ^= swapped ^ (swapped << shift);
    }
    bits.to_le_bytes()
}

/// The top bits of eight bytes, the first one's lowest.
fn signs(bytes: [u8; 8]) -> u8 {
    let tops = (u64::from_le_bytes(bytes) >> 7) & 0x0101_0101_0101_0101;
    // Brings bit 8 i to bit 56 + i; no two products meet in one bit, so that nothing carries.
    let [.., gathered] = tops.wrapping_mul(0x0102_0408_1020_4080).to_le_bytes();
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::synthetic;

    #[test]
    fn signs_are_gathered_in_order() {
        for pattern in 0..=u8::MAX {
            let bytes = std::array::from_fn(|i| if pattern >> i & 1 == 1 { 0x81 } else { 0x7f });
            assert_eq!(signs(bytes), pattern);
        }
    }

    #[test]
    fn a_square_of_bits_is_turned() {
        for (row, bit) in (0..8).flat_map(|row| (0..8).map(move |bit| (row, bit))) {
            let mut one = [0; 8];
            one[row] = 1 << bit;
            let mut turned = [0; 8];
            turned[bit] = 1 << row;
            assert_eq!(transposed(one), turned);
        }
    }

    #[test]
    fn a_segment_keeps_every_template_in_the_order_of_slots_also_when_it_is_built_again() {
        let transform = synthetic::transform(100, 1);
        let mut rng = synthetic::rng(3);
        let templates: Vec<Compact> = (0..1_100)
            .map(|_| Compact::of(&synthetic::protected(&synthetic::unit(&mut rng, 100), &transform)))
            .collect();
        let components: Vec<Vec<i8>> = templates.iter().map(|one| one.components().to_vec()).collect();
        let slots = (0..1_100_u64).map(|number| Slot(number * 7 % 1_100));
        let entries = slots.clone().zip(templates);
        let entries = entries.map(|(slot, template)| Entry { slot, source: Source::New(template) }).collect();
        let first = Arc::new(Segment::build(Compartment(1), transform.dimension(), entries));
        // Every second one, into another segment.
        let kept = first.positions().filter(|(_, slot)| slot.0.is_multiple_of(2));
        let kept =
            kept.map(|(position, slot)| Entry { slot, source: Source::Kept(Arc::clone(&first), position) });
        let second = Segment::build(Compartment(1), transform.dimension(), kept.collect());
        assert_eq!((first.len(), second.len(), second.columns()), (1_100, 550, 2));
        for (slot, components) in slots.zip(&components) {
            for segment in [&*first, &second] {
                let Some(position) = segment.position(slot) else {
                    assert!(!slot.0.is_multiple_of(2), "slot {} is gone", slot.0);
                    continue;
                };
                assert_eq!(segment.slot(position), Some(slot));
                let row: Vec<i8> = segment.components(position).collect();
                assert_eq!((&row[..100], &row[100..]), (&components[..], &[0; 28][..]));
                let squares: u32 = components.iter().map(|&one| u32::from(one.unsigned_abs()).pow(2)).sum();
                assert_eq!(segment.squares(position), Some(squares));
                let part = segment.part(0, 9, 0).unwrap();
                let position = usize::try_from(position).unwrap();
                let (column, byte, bit) = (position / 512, position % 512 / 8, position % 8);
                let sketches = segment.sketches(0, 99, 0).unwrap();
                let (block, lane) = (position / 64, position % 64);
                let sketch = (0..13).map(|byte| sketches.lines[block * 13 + byte].0[lane]);
                let negative =
                    |byte: usize, bit: usize| components.get(byte * 8 + bit).is_some_and(|&one| one < 0);
                for (byte, bits) in sketch.enumerate() {
                    assert!((0..8).all(|bit| (bits >> bit & 1 == 1) == negative(byte, bit)), "byte {byte}");
                }
                for (plane, component) in components.iter().chain([&0]).enumerate() {
                    let line = part.planes[plane * part.columns + column];
                    assert_eq!(line.0[byte] >> bit & 1 == 1, *component < 0, "component {plane}");
                }
            }
        }
        assert!(first.position(Slot(1_100)).is_none());
    }
}
