//! Which planes are added for a probe, and how often.
//!
//! A probe's large components tell most about a stranger from a mate. So only the planes of its largest are read:
//! half of them hold 93 % of its squares. Of *all* its components, the largest sixteenth weigh three, the others of
//! the largest quarter two, the rest of what is read one, close to their mean magnitudes (1.125 and 1.875 times
//! their spread divide a normal number's so). Weights follow from the rank alone, and so every probe takes the
//! same steps, with other planes.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The components of a probe from the largest magnitude to the smallest, of equals the first. Wiped when dropped.
pub(in crate::index) struct Ranking(Zeroizing<Vec<Ranked>>);

/// A component: its number, and whether it is below zero.
#[derive(Clone, Copy, Default, Zeroize)]
struct Ranked {
    plane: u16,
    is_negative: bool,
}

impl Ranking {
    pub(in crate::index) fn of(components: &[i16]) -> Self {
        // Magnitude above, number below, so that one sort of numbers does it.
        let mut keys: Zeroizing<Vec<u64>> = Zeroizing::new(Vec::with_capacity(components.len()));
        keys.extend((0..).zip(components).map(|(nth, component): (u64, &i16)| {
            let magnitude = u64::from(component.unsigned_abs());
            ((MAGNITUDES - magnitude) << 33) | (nth << 1) | u64::from(*component < 0)
        }));
        keys.sort_unstable();
        let ranked = |key: &u64| Ranked {
            // INVARIANT: a dimension is 4,096 at most.
            plane: u16::try_from((key & ((1 << 33) - 1)) >> 1).unwrap_or(u16::MAX),
            is_negative: key & 1 == 1,
        };
        Self(Zeroizing::new(keys.iter().map(ranked).collect()))
    }

    /// The score of a template with these components, by the plainest means.
    #[cfg(test)]
    pub(in crate::index) fn score(&self, components: &[i16], planes: usize) -> u16 {
        let weights = Weights::of(self.0.len(), planes);
        let read = (0..).zip(self.0.iter()).take(planes);
        let differing = read.filter(|(_, one)| (components[usize::from(one.plane)] < 0) != one.is_negative);
        let counts = |rank| u16::from(rank < weights.threes) + u16::from(rank < weights.twos) + 1;
        differing.map(|(rank, _)| counts(rank)).sum()
    }
}

/// The steps in which the planes of a probe are added. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub(in crate::index) struct Plan {
    /// What is added once.
    pub(super) ones: Vec<Step>,
    /// What is added twice.
    pub(super) twos: Vec<Step>,
    /// Bits of the greatest sum.
    pub(super) slices: usize,
    /// Mean and spread of the scores of strangers whose signs are independent of the probe's.
    #[zeroize(skip)]
    mean: f64,
    #[zeroize(skip)]
    spread: f64,
}

/// Planes that are added in one go.
#[derive(Zeroize)]
pub(super) struct Step {
    pub(super) planes: [u16; STEP_PLANES],
    /// All bits set for the planes where the probe's component is below zero: what counts is a sign that differs.
    pub(super) flips: [u64; STEP_PLANES],
}

impl Plan {
    /// The plan that adds the planes of so many of the largest components, a quarter of all or more.
    pub(in crate::index) fn of(ranking: &Ranking, planes: usize) -> Self {
        let all = &ranking.0;
        let weights = Weights::of(all.len(), planes);
        let read = all.get(..planes).unwrap_or(all);
        let (twice, once) = read.split_at(weights.twos.min(read.len()));
        let thrice = twice.get(..weights.threes).unwrap_or(twice);
        // What fills up the last step is the plane of zeros behind all others.
        let zeros = u16::try_from(all.len()).unwrap_or(u16::MAX);
        let most = weights.ones.saturating_add(weights.twos).saturating_add(weights.threes);
        Self {
            ones: steps(&[once, thrice], zeros),
            twos: steps(&[twice], zeros),
            slices: usize::try_from(usize::BITS.saturating_sub(most.leading_zeros())).unwrap_or_default(),
            mean: weights.sum() / 2.0,
            spread: weights.squares().sqrt() / 2.0,
        }
    }

    /// The score that lies so many spreads towards the alike from the mean of strangers.
    #[expect(clippy::as_conversions, reason = "a whole number of 16 bits is meant; below it is zero")]
    pub(in crate::index) fn score_above(&self, spreads: f64) -> u16 {
        (self.mean - spreads * self.spread).floor() as u16
    }
}

/// The steps that add these, in the order in which they lie in memory.
fn steps(added: &[&[Ranked]], zeros: u16) -> Vec<Step> {
    let mut all: Zeroizing<Vec<Ranked>> =
        Zeroizing::new(Vec::with_capacity(added.iter().map(|some| some.len()).sum()));
    added.iter().for_each(|some| all.extend_from_slice(some));
    all.sort_unstable_by_key(|one| one.plane);
    // Room for all at once, so that growing leaves no copy behind.
    let mut steps = Vec::with_capacity(all.len().div_ceil(STEP_PLANES));
    for some in all.chunks(STEP_PLANES) {
        let mut step = Step { planes: [zeros; STEP_PLANES], flips: [0; STEP_PLANES] };
        for ((plane, flip), one) in step.planes.iter_mut().zip(&mut step.flips).zip(some) {
            *plane = one.plane;
            *flip = if one.is_negative { u64::MAX } else { 0 };
        }
        steps.push(step);
    }
    steps
}

/// How many components weigh at least one, two and three.
#[derive(Clone, Copy)]
struct Weights {
    ones: usize,
    twos: usize,
    threes: usize,
}

impl Weights {
    fn of(dimension: usize, planes: usize) -> Self {
        Self { ones: planes, twos: dimension / TWOS, threes: dimension / THREES }
    }

    fn sum(self) -> f64 {
        float(self.ones) + float(self.twos) + float(self.threes)
    }

    fn squares(self) -> f64 {
        float(self.ones) + 3.0 * float(self.twos) + 5.0 * float(self.threes)
    }
}

#[expect(clippy::as_conversions, reason = "a count of components is far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

/// Planes that are added in one go.
pub(in crate::index) const STEP_PLANES: usize = 16;
/// One of so many components weighs at least two, and one of so many three.
pub(in crate::index) const TWOS: usize = 4;
pub(in crate::index) const THREES: usize = 16;
/// The greatest magnitude of 16 bits.
const MAGNITUDES: u64 = 32_768;
