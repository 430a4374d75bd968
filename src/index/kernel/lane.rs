//! Lines of signs as a processor's registers hold them, and the sums that are made of them.
//!
//! Sums are kept the other way round: line `k` of a column holds bit `k` of the sum of each of its 512 templates. So
//! a full adder over three lines, two to five instructions, adds three signs of 512 templates.

#![expect(
    clippy::indexing_slicing,
    reason = "lengths that are cut alike before the loops, so that the compiler looks at them once"
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

/// Where sums are made, again for every part and plan. Wiped when dropped.
#[derive(zeroize::ZeroizeOnDrop)]
pub(in crate::index) struct Sums([[Line; COLUMNS]; SLICES]);

impl Sums {
    pub(in crate::index) fn new() -> Box<Self> {
        Box::new(Self([[Line::default(); COLUMNS]; SLICES]))
    }
}

/// Scores every template of the part by each plan and keeps in the plan's sink those that score its bound or less.
#[inline(always)]
pub(super) fn scan<L: Lane>(
    proof: L::Proof,
    part: Part<'_>,
    plans: &[&Plan],
    sinks: &mut [Sink],
    sums: &mut Sums,
) {
    let count = part.count.min(COLUMNS);
    for (plan, sink) in plans.iter().zip(sinks) {
        for slice in sums.0.iter_mut().take(plan.slices) {
            slice[..count].fill(Line::default());
        }
        for step in &plan.steps {
            add::<L>(proof, part, step, count, sums);
        }
        keep::<L>(proof, part, plan.slices, count, sums, sink);
    }
}

/// Adds the planes of a step to the sums.
///
/// No operation on lanes stands in a closure: closures don't take on the instructions of the function around them.
#[inline(always)]
fn add<L: Lane>(proof: L::Proof, part: Part<'_>, step: &Step, count: usize, sums: &mut Sums) {
    let mut planes: [&[Line]; STEP_PLANES] = [&[]; STEP_PLANES];
    for (lines, plane) in planes.iter_mut().zip(step.planes) {
        *lines = &part.planes[usize::from(plane) * part.columns + part.from..][..count];
    }
    let mut flips = [0; STEP_PLANES];
    for (nth, flip) in flips.iter_mut().enumerate() {
        *flip = 0_u64.wrapping_sub(u64::from(step.flips >> nth & 1));
    }
    let [one, two, four, eight, more @ ..] = &mut sums.0[step.level..] else { return };
    let [one, two, four, eight] = [one, two, four, eight].map(|slice| &mut slice[..count]);
    let more = &mut more[..step.carries];
    for column in 0..count {
        for at in 0..L::PARTS {
            let mut low = [
                L::load(proof, &one[column], at),
                L::load(proof, &two[column], at),
                L::load(proof, &four[column], at),
            ];
            let mut eights = [low[0]; 2];
            for (half, carry) in eights.iter_mut().enumerate() {
                let mut lanes = [low[0]; STEP_PLANES / 2];
                for (nth, lane) in lanes.iter_mut().enumerate() {
                    let nth = half * (STEP_PLANES / 2) + nth;
                    *lane = L::load(proof, &planes[nth][column], at).xor(L::splat(proof, flips[nth]));
                }
                *carry = add_eight(&mut low, lanes);
            }
            let [high, mut carry] = L::load(proof, &eight[column], at).add(eights[0], eights[1]);
            low[0].store(&mut one[column], at);
            low[1].store(&mut two[column], at);
            low[2].store(&mut four[column], at);
            high.store(&mut eight[column], at);
            for slice in &mut *more {
                let old = L::load(proof, &slice[column], at);
                old.xor(carry).store(&mut slice[column], at);
                carry = old.and(carry);
            }
        }
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
fn keep<L: Lane>(proof: L::Proof, part: Part<'_>, slices: usize, count: usize, sums: &Sums, sink: &mut Sink) {
    let slices = &sums.0[..slices.min(SLICES)];
    for column in 0..count {
        let mut above = Line::default();
        for at in 0..L::PARTS {
            // Whether a sum is greater than the bound, from the lowest bit on.
            let mut greater = L::splat(proof, 0);
            for (bit, slice) in slices.iter().enumerate() {
                let sum = L::load(proof, &slice[column], at);
                greater = if sink.bound >> bit & 1 == 1 { greater.and(sum) } else { greater.or(sum) };
            }
            greater.store(&mut above, at);
        }
        let is_bounded = sink.bound >> slices.len() == 0;
        for (word, above) in above.0.as_chunks::<8>().0.iter().enumerate() {
            let mut within = if is_bounded { !u64::from_le_bytes(*above) } else { u64::MAX };
            while within != 0 {
                let bit = within.trailing_zeros();
                within &= within - 1;
                let mut score = 0;
                for (power, slice) in slices.iter().enumerate() {
                    let sums = u64::from_le_bytes(slice[column].0.as_chunks::<8>().0[word]);
                    score |= (sums >> bit & 1) << power;
                }
                sink.keep(score, part.name(column, word, bit), part.end);
            }
        }
    }
}

impl Part<'_> {
    /// What the template of a bit is called.
    #[inline(always)]
    fn name(&self, column: usize, word: usize, bit: u32) -> u32 {
        let words = (self.from + column) * (LINE_BYTES / 8) + word;
        // INVARIANT: a segment has fewer than 2^32 templates.
        self.first.wrapping_add(u32::try_from(words * 64).unwrap_or(u32::MAX)).wrapping_add(bit)
    }
}

/// Columns that are scanned at a time: those of a full segment. All sums of them stay in the first cache.
pub(in crate::index) const COLUMNS: usize = 16;
/// Bits of a sum: 4,096 components weigh 1.3 each, 5,376 in all.
const SLICES: usize = 14;
