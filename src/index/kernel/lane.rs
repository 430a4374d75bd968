//! Lines of signs as a processor's registers hold them, and the sums that are made of them.
//!
//! Sums are kept the other way round: line `k` of a column holds bit `k` of the sum of each of its 512 templates. So
//! a full adder over three lines, two to five instructions, adds three signs of 512 templates.

#![expect(
    clippy::indexing_slicing,
    reason = "arrays of constant length, and planes and columns that a segment has for every plan of its dimension"
)]

use super::plan::{Plan, STEP_PLANES, Step};
use super::{LINE_BYTES, Line, Sink};

/// A part of a line, as large as a register. Values of it come from a proof that the processor has its
/// instructions, so that whoever has one may use them.
pub(super) trait Lane: Copy {
    /// Shows that the processor has the instructions.
    type Proof: Copy;
    /// How many make a line.
    const PARTS: usize;

    /// The `part`th of a line.
    fn load(proof: Self::Proof, line: &Line, part: usize) -> Self;
    /// Puts this into the `part`th of a line.
    fn store(self, line: &mut Line, part: usize);
    /// The same 64 bits all over.
    fn splat(proof: Self::Proof, bits: u64) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// The bits of the sum of three: the low one and the high one.
    fn add(self, two: Self, three: Self) -> [Self; 2];
    /// Asks for a line that is read soon, where there is an instruction for it.
    fn fetch(_: &Line) {}
}

/// A part of a segment: the planes of all its templates, and which of their columns are meant.
#[derive(Clone, Copy)]
pub(in crate::index) struct Part<'a> {
    /// Plane after plane, one for each component and one of zeros, each as many lines as the segment has columns.
    pub(in crate::index) planes: &'a [Line],
    /// The columns of the segment, each 512 templates.
    pub(in crate::index) columns: usize,
    /// The first column that is meant.
    pub(in crate::index) from: usize,
    /// How many are meant, [`COLUMNS`] at most.
    pub(in crate::index) count: usize,
    /// What the first template of the segment is called in a sink.
    pub(in crate::index) first: u32,
    /// What the one behind the last would be called: the last column holds zeros from there.
    pub(in crate::index) end: u32,
}

/// Scores every template of the part by each plan and keeps in the plan's sink those that score its bound or less.
/// Of the part that comes next what the only plan reads is asked for meanwhile, line by line: all lines of a column
/// asked for at once would wait for one another.
#[inline(always)]
pub(super) fn scan<L: Lane>(
    proof: L::Proof,
    part: Part<'_>,
    coming: Option<Part<'_>>,
    plans: &[&Plan],
    sinks: &mut [Sink],
) {
    let coming = coming.filter(|_| plans.len() == 1);
    for (plan, sink) in plans.iter().zip(sinks) {
        // As many slices as registers hold beside what is being added, where they are enough.
        if plan.slices <= FEW_SLICES {
            scan_one::<L, FEW_SLICES>(proof, part, coming, plan, sink);
        } else {
            scan_one::<L, SLICES>(proof, part, coming, plan, sink);
        }
    }
}

#[inline(always)]
fn scan_one<L: Lane, const K: usize>(
    proof: L::Proof,
    part: Part<'_>,
    coming: Option<Part<'_>>,
    plan: &Plan,
    sink: &mut Sink,
) {
    for column in 0..part.count {
        let lines = part.column(column);
        let coming = coming.and_then(|coming| (column < coming.count).then(|| coming.column(column)));
        for at in 0..L::PARTS {
            let mut sums = [L::splat(proof, 0); K];
            for step in &plan.twos {
                add::<L, 1, K>(proof, lines, coming, step, at, &mut sums);
            }
            for step in &plan.ones {
                add::<L, 0, K>(proof, lines, coming, step, at, &mut sums);
            }
            keep::<L, K>(proof, part, column, at, &sums, sink);
        }
    }
}

/// Adds the planes of a step to the sums, and asks for the same of the column that comes.
///
/// No operation on lanes stands in a closure: closures don't take on the instructions of the function around them.
#[inline(always)]
fn add<L: Lane, const LEVEL: usize, const K: usize>(
    proof: L::Proof,
    lines: Column<'_>,
    coming: Option<Column<'_>>,
    step: &Step,
    at: usize,
    sums: &mut [L; K],
) {
    let mut low = [sums[LEVEL], sums[LEVEL + 1], sums[LEVEL + 2]];
    let mut eights = [low[0]; 2];
    for (half, carry) in eights.iter_mut().enumerate() {
        let mut lanes = [low[0]; STEP_PLANES / 2];
        for (nth, lane) in lanes.iter_mut().enumerate() {
            let nth = half * (STEP_PLANES / 2) + nth;
            let plane = usize::from(step.planes[nth]);
            if let Some(coming) = coming.filter(|_| at == 0) {
                L::fetch(coming.line(plane));
            }
            *lane = L::load(proof, lines.line(plane), at).xor(L::splat(proof, step.flips[nth]));
        }
        *carry = add_eight(&mut low, lanes);
    }
    [sums[LEVEL], sums[LEVEL + 1], sums[LEVEL + 2]] = low;
    let [high, mut carry] = sums[LEVEL + 3].add(eights[0], eights[1]);
    sums[LEVEL + 3] = high;
    for sum in &mut sums[LEVEL + 4..] {
        let old = *sum;
        *sum = old.xor(carry);
        carry = old.and(carry);
    }
}

/// Adds eight to the three low bits of a sum, and gives what is carried (Harley and Seal; Warren, "Hacker's
/// Delight", section 5-1).
#[inline(always)]
fn add_eight<L: Lane>(sum: &mut [L; 3], lanes: [L; 8]) -> L {
    let [one, two, four] = sum;
    let [a, b, c, d, e, f, g, h] = lanes;
    let [low, carry] = one.add(a, b);
    let [low, other] = low.add(c, d);
    let [middle, first] = two.add(carry, other);
    let [low, carry] = low.add(e, f);
    let [low, other] = low.add(g, h);
    let [middle, second] = middle.add(carry, other);
    let [high, carry] = four.add(first, second);
    *sum = [low, middle, high];
    carry
}

/// Keeps what scores the bound or less.
#[inline(always)]
fn keep<L: Lane, const K: usize>(
    proof: L::Proof,
    part: Part<'_>,
    column: usize,
    at: usize,
    sums: &[L; K],
    sink: &mut Sink,
) {
    // Whether a sum is greater than the bound, from the lowest bit on.
    let mut greater = L::splat(proof, 0);
    for (bit, sum) in sums.iter().enumerate() {
        greater = if sink.bound >> bit & 1 == 1 { greater.and(*sum) } else { greater.or(*sum) };
    }
    if sink.bound >> K != 0 {
        greater = L::splat(proof, 0);
    }
    let mut above = Line([u8::MAX; LINE_BYTES]);
    greater.store(&mut above, at);
    let (words, _) = above.0.as_chunks::<8>();
    if words.iter().all(|word| *word == [u8::MAX; 8]) {
        return;
    }
    let mut slices = [Line::default(); K];
    for (sum, slice) in sums.iter().zip(&mut slices) {
        sum.store(slice, at);
    }
    for (nth, above) in words.iter().enumerate() {
        let mut within = !u64::from_le_bytes(*above);
        if within == 0 {
            continue;
        }
        let mut words = [0; K];
        for (word, slice) in words.iter_mut().zip(&slices) {
            *word = u64::from_le_bytes(slice.0.as_chunks::<8>().0[nth]);
        }
        while within != 0 {
            let bit = within.trailing_zeros();
            within &= within.wrapping_sub(1);
            let mut score = 0;
            for (power, word) in words.iter().enumerate() {
                score |= (word.wrapping_shr(bit) & 1) << power;
            }
            sink.keep(score, part.name(column, nth, bit), part.end);
        }
    }
}

/// The same 512 templates in all planes.
#[derive(Clone, Copy)]
struct Column<'a> {
    /// From the line of the first plane on.
    lines: &'a [Line],
    /// Lines from one plane to the next.
    stride: usize,
}

impl<'a> Column<'a> {
    #[inline(always)]
    fn line(self, plane: usize) -> &'a Line {
        &self.lines[plane.wrapping_mul(self.stride)]
    }
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn column(&self, nth: usize) -> Column<'a> {
        Column { lines: &self.planes[self.from + nth..], stride: self.columns }
    }

    /// What the template of a bit is called.
    #[inline(always)]
    fn name(&self, column: usize, word: usize, bit: u32) -> u32 {
        let words = (self.from + column) * (LINE_BYTES / 8) + word;
        // INVARIANT: a segment has fewer than 2^32 templates.
        self.first.wrapping_add(u32::try_from(words * 64).unwrap_or(u32::MAX)).wrapping_add(bit)
    }
}

/// Columns that are scanned at a time: those of a full segment.
pub(in crate::index) const COLUMNS: usize = 16;
/// Bits of a sum: 4,096 components weigh 1.3 each, 5,376 in all.
const SLICES: usize = 13;
/// Those of up to 768 components.
const FEW_SLICES: usize = 10;
