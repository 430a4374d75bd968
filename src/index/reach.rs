//! How much of the sketches the first stage reads and how many templates it keeps: from the threshold, the dimension
//! and the number of templates.
//!
//! A sketch holds signs; its score against a probe is a sum over the probe's largest components (`kernel/plan.rs`).
//! By the normal approximation, in units of the spread of strangers' scores and counted towards the alike (with
//! √(2/π) = 0.80 for the mean magnitude of a normal number):
//!
//! ```text
//! stranger                 mean 0                     spread 1
//! mate at the cosine t     mean 0.80 t √(e d)         spread √(1 - 0.64 e)
//! ```
//!
//! where e, at most 1, is what the weights `w` and the part that is read leave of the probe `p`:
//! e = (Σ w |p|)² / (Σ w² Σ p²). With the density φ of a normal number and the magnitude `m(s)` that a share `s` of its
//! components exceeds, Σ w |p| is 2 (φ(m(s)) + φ(m(1/4)) + φ(m(1/16))) a component, Σ w² is s + 3/4 + 5/16, and so
//!
//! ```text
//! share s read   1/4    5/16   3/8    1/2    5/8    3/4
//! e              .708   .774   .828   .904   .942   .948
//! ```
//!
//! A mate at the threshold t is lost by the first stage once in a million where everyone who scores at or above
//! `b = 0.80 t √(e d) - 4.75 √(1 - 0.64 e)` is kept. Of independent strangers that is the share Q(b), the normal tail.
//! People are not independent: galleries have clusters, and where all is read the tail of their scores is that of a
//! spread of 1.25 (the clustered galleries of the bench; `docs/performance.md`). It is their cosines that are spread
//! wider, which make the part e of a score; the rest is chance and stays as it is: √(1 + 0.5625 e). So
//! `N Q(b / √(1 + 0.5625 e))` are kept, and never fewer than [`FEWEST`]. Who lies beyond the threshold is farther from
//! it in scores too, so that nobody is lost more often than a mate at the threshold. Drawn at random, mates score closer together than this says, by a sixth at t = 0.45
//! and s = 1/4, which is on the safe side (`mates_score_as_the_model_says_or_better`).
//!
//! Reading less means keeping more. Where all signs are read, they are read in blocks, with finer weights, so that e
//! is 1. What is read is what makes both stages together cheapest, by costs that are constants ([`LOOKED_UP`],
//! [`COMPARED`]): the choice follows from the threshold, the dimension and the number of templates alone, and is the
//! same on every machine, for every probe, alone or in a batch.

use super::kernel::{STEP_PLANES, THREES, TWOS};
use crate::template::{Dimension, Threshold};

/// What the first stage can do at one dimension.
pub(super) struct Reach {
    dimension: Dimension,
    choices: Vec<Choice>,
}

/// So many planes read, and what they leave of a probe.
struct Choice {
    planes: usize,
    left: f64,
}

/// What the first stage does at one threshold and number of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) way: Way,
    /// How many signs of each template are scored; none where all templates are compared.
    pub(super) signs: usize,
    /// How many templates are compared a second time.
    pub(super) kept: usize,
}

/// Which form of the sketches is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The planes of the probe's largest components.
    Planes,
    /// Blocks with all signs.
    Blocks,
    /// None: another first stage chooses.
    Stage,
    /// None: every template is compared.
    Everyone,
}

impl Reach {
    pub(super) fn new(dimension: Dimension) -> Self {
        let all = dimension.len();
        let fewest = (all / TWOS).next_multiple_of(STEP_PLANES).max(STEP_PLANES);
        let choices = (fewest..=all).step_by(STEP_PLANES);
        let choices =
            choices.map(|planes| Choice { planes, left: left(float(planes) / float(all)) }).collect();
        Self { dimension, choices }
    }

    pub(super) const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// What is done to lose no mate at the threshold among so many templates; all are compared where the first
    /// stage could not tell enough of them apart to be worth its while.
    pub(super) fn effort(&self, threshold: Threshold, templates: usize) -> Effort {
        let planes = self.choices.iter().map(|choice| {
            let kept = self.kept(choice.left, threshold, templates);
            (Effort { way: Way::Planes, signs: choice.planes, kept }, float(choice.planes))
        });
        let signs = self.dimension.len();
        let kept = self.kept(1.0, threshold, templates);
        let blocks = (Effort { way: Way::Blocks, signs, kept }, float(signs) * LOOKED_UP);
        let cost = |(effort, read): &(Effort, f64)| read * float(templates) + COMPARED * float(effort.kept);
        let cheapest = planes.chain([blocks]).min_by(|one, other| cost(one).total_cmp(&cost(other)));
        match cheapest {
            Some((effort, _)) if effort.kept <= templates / WORTH_WHILE => effort,
            _ => Effort { way: Way::Everyone, signs: 0, kept: templates },
        }
    }

    /// The same where another first stage chooses, whose scores and cosines have this correlation among strangers; of
    /// sketches it is 0.80.
    pub(super) fn effort_by(&self, fineness: f64, threshold: Threshold, templates: usize) -> Effort {
        let kept = self.kept_by(fineness, (1.0 + CLUSTERED_MORE).sqrt(), threshold, templates);
        if kept <= templates / WORTH_WHILE {
            Effort { way: Way::Stage, signs: 0, kept }
        } else {
            Effort { way: Way::Everyone, signs: 0, kept: templates }
        }
    }

    fn kept(&self, left: f64, threshold: Threshold, templates: usize) -> usize {
        let clustered = (1.0 + CLUSTERED_MORE * left).sqrt();
        self.kept_by(MEAN_MAGNITUDE * left.sqrt(), clustered, threshold, templates)
    }

    fn kept_by(&self, fineness: f64, clustered: f64, threshold: Threshold, templates: usize) -> usize {
        let mean = fineness * threshold.get() * float(self.dimension.len()).sqrt();
        let spread = (1.0 - fineness * fineness).max(0.0).sqrt();
        let bound = (mean - MISSED_SPREADS * spread) / clustered;
        let share = if bound > 0.0 { tail(bound) } else { 1.0 };
        whole(share * float(templates)).max(FEWEST)
    }
}

/// What is left of a probe of which this share of the components is read.
fn left(share: f64) -> f64 {
    let (twos, threes) = (1.0 / float(TWOS), 1.0 / float(THREES));
    // The magnitude that a share of all exceed is the normal quantile of half of it: both signs do.
    let sum = [share, twos, threes].map(|share| 2.0 * density(spreads(share / 2.0))).iter().sum::<f64>();
    sum * sum / (share + 3.0 * twos + 5.0 * threes)
}

/// How many spreads above the mean of independent strangers' scores a share of them lies.
pub(super) fn spreads(share: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    if share >= 0.5 {
        return low;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(middle) > share { low = middle } else { high = middle }
    }
    low
}

/// The density of a standard normal distribution.
fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// The share of a standard normal distribution above `x >= 0`, within 1 % (Börjesson and Sundberg 1979,
/// "Simple Approximations of the Error Function Q(x)", with a = 0.339 and b = 5.510).
fn tail(x: f64) -> f64 {
    density(x) / (0.661 * x + 0.339 * (x * x + 5.510).sqrt())
}

#[expect(clippy::as_conversions, reason = "a count of templates is far below 2^53")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::as_conversions,
    reason = "a positive number is meant, rounded up, and what is too large becomes the largest"
)]
fn whole(count: f64) -> usize {
    count.ceil() as usize
}

/// √(2/π).
const MEAN_MAGNITUDE: f64 = 0.797_884_560_802_865_4;
/// Where the normal tail is one in a million.
const MISSED_SPREADS: f64 = 4.753;
/// What clusters add to the square of the spread of strangers' scores where all signs are read: 1.25² - 1.
const CLUSTERED_MORE: f64 = 0.562_5;
/// Comparing so many takes some 10 µs: little beside any scan, and room for families and doubles.
const FEWEST: usize = 256;
/// What a sign in a block costs, in signs of a plane: blocks are read from end to end, and six signs are looked up at
/// once, planes are read here and there and added one by one. As measured, alone and in batches.
const LOOKED_UP: f64 = 0.6;
/// What a second comparison costs, in signs of a plane, as measured: 15,000 for a probe alone, which waits for memory
/// in both stages, and 40,000 in batches, where signs come from the cache and rows from memory all the same.
const COMPARED: f64 = 40_000.0;
/// Where more than this part is kept, comparing all at once is no slower: rows come in order then.
const WORTH_WHILE: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::kernel::{Plan, Ranking};
    use super::*;
    use crate::template::{Protected, synthetic};

    fn at(threshold: f64, dimension: u64, templates: usize) -> Effort {
        let reach = Reach::new(Dimension::new(dimension).unwrap());
        reach.effort(Threshold::new(threshold).unwrap(), templates)
    }

    #[test]
    fn the_tail_is_that_of_tables() {
        for (x, expected) in
            [(0.0, 0.5), (1.0, 0.158_655), (2.0, 0.022_750), (3.0, 1.349_9e-3), (4.753, 1e-6)]
        {
            let error = (tail(x) / expected - 1.0).abs();
            assert!(error < 0.01, "{x}: off by {error}");
        }
        for share in [0.4, 0.01, 1e-5, 1e-9] {
            assert!((tail(spreads(share)) / share - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_left_of_a_probe_is_as_documented() {
        for (share, expected) in
            [(0.25, 0.708), (0.3125, 0.774), (0.375, 0.828), (0.5, 0.904), (0.625, 0.942), (0.75, 0.948)]
        {
            let left = left(share);
            assert!((left - expected).abs() < 0.002, "{share}: {left}");
        }
    }

    #[test]
    fn a_lower_threshold_a_larger_gallery_and_fewer_dimensions_cost_more() {
        let effort = at(0.45, 512, 1_000_000);
        assert!((128..=192).contains(&effort.signs) && effort.kept < 4_000, "{effort:?}");
        assert_eq!(effort.way, Way::Planes);
        let lower = at(0.35, 512, 1_000_000);
        assert_eq!((lower.way, lower.signs), (Way::Blocks, 512), "{lower:?}");
        assert!((1_500..4_000).contains(&lower.kept), "about 2,800 should be kept: {lower:?}");
        assert!(lower.signs > effort.signs && lower.kept > effort.kept, "{lower:?}");
        assert!(at(0.35, 512, 10_000_000).kept > 9 * lower.kept);
        assert!(at(0.35, 256, 1_000_000).kept > lower.kept);
        assert_eq!(at(0.6, 512, 1_000_000), Effort { way: Way::Planes, signs: 128, kept: FEWEST });
    }

    #[test]
    fn where_the_first_stage_can_tell_too_little_everyone_is_compared() {
        for (threshold, dimension, templates) in
            [(0.1, 512, 100_000), (-0.5, 512, 100_000), (0.5, 8, 100_000), (0.5, 512, 2_000), (0.5, 512, 0)]
        {
            let effort = at(threshold, dimension, templates);
            assert_eq!(effort, Effort { way: Way::Everyone, signs: 0, kept: templates });
        }
    }

    /// Mates at a cosine, scored by the plans that probes make: none may score worse than the model has it for the
    /// share of mates that were drawn, and their mean and spread must be near those of the model.
    #[test]
    fn mates_score_as_the_model_says_or_better() {
        let (dimension, mates) = (256_u16, 1_500_u32);
        let transform = synthetic::transform(dimension, 1);
        let mut rng = synthetic::rng(21);
        for (threshold, planes) in [(0.35, 64), (0.45, 64), (0.35, 128), (0.45, 96)] {
            let left = left(float(planes) / f64::from(dimension));
            let mean = MEAN_MAGNITUDE * threshold * (f64::from(dimension) * left).sqrt();
            let spread = (1.0 - MEAN_MAGNITUDE * MEAN_MAGNITUDE * left).sqrt();
            let scores: Vec<f64> = (0..mates)
                .map(|_| {
                    let person = synthetic::unit(&mut rng, dimension);
                    let mate = synthetic::mate(&mut rng, &person, threshold);
                    let [probe, template] = [mate, person].map(|one| synthetic::protected(&one, &transform));
                    in_spreads(&probe, &template, planes)
                })
                .collect();
            let found = scores.iter().sum::<f64>() / f64::from(mates);
            let squares = scores.iter().map(|score| (score - found).powi(2)).sum::<f64>();
            let found_spread = (squares / f64::from(mates)).sqrt();
            assert!((found / mean - 1.0).abs() < 0.06, "{threshold}, {planes}: mean {found} for {mean}");
            assert!(
                (0.75..1.03).contains(&(found_spread / spread)),
                "{threshold}: {found_spread} for {spread}"
            );
            let bound = mean - MISSED_SPREADS * spread;
            let safe = found - MISSED_SPREADS * found_spread;
            assert!(
                safe > bound - 0.05,
                "{threshold}, {planes}: mates reach down to {safe}, kept from {bound}"
            );
        }
    }

    /// How many spreads of strangers towards the alike a template scores, by the plan's own bounds.
    fn in_spreads(probe: &Protected, template: &Protected, planes: usize) -> f64 {
        let ranking = Ranking::of(probe.components());
        let score = ranking.score(template.components(), planes);
        let plan = Plan::of(&ranking, planes);
        let (mean, two) = (plan.score_above(0.0), plan.score_above(2.0));
        2.0 * (f64::from(mean) - f64::from(score)) / (f64::from(mean) - f64::from(two))
    }
}
