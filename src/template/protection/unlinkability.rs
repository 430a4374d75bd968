//! Unlinkability after Gomez-Barrero, Galbally, Rathgeb and Busch, "General Framework to Evaluate Unlinkability in
//! Biometric Template Protection Systems", IEEE TIFS 13(6), 2018 (ISO/IEC 30136 and 24745 have the terms).
//!
//! A *mated* score compares two templates of one person under two keys, a *non-mated* one templates of two people under
//! two keys. With the likelihood ratio `LR(s) = p(s | mated) / p(s | non-mated)` and equal priors (ω = 1), the local
//! measure is `D(s) = 2 LR / (1 + LR) − 1` where LR > 1 and 0 elsewhere, and the global one is
//! `D_sys = ∫ p(s | mated) D(s) ds`: 0 is unlinkable, 1 is linkable throughout.
//!
//! Densities are histograms of equal bins from the least to the greatest score, a tenth of the mated scores of them and
//! at most 100, as in the authors' own program. Noise counts as linkability, since only what lies above 0 is added
//! up: D_sys of finitely many scores of the same distribution is above 0. Hence the null run beside it.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::numbers::{Numbers, float};

/// Scores of people (rows) under pairs of keys (columns).
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTable {
    people: usize,
    pairs: usize,
    // INVARIANT: one score for each person and pair of keys, person by person.
    scores: Vec<f64>,
}

/// The linkability at a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalPoint {
    /// The lower edge of the bin.
    pub from: f64,
    /// The upper edge of the bin.
    pub to: f64,
    /// The share of mated scores in it.
    pub mated: f64,
    /// The share of non-mated scores in it.
    pub non_mated: f64,
    /// D, 0 to 1.
    pub local: f64,
}

/// From where to where 95 of 100 resamplings lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// 2.5 of 100 lie below it.
    pub low: f64,
    /// 2.5 of 100 lie above it.
    pub high: f64,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Unlinkability {
    /// The global measure, 0 to 1.
    pub d_sys: f64,
    /// Its bootstrap interval.
    pub interval: Interval,
    /// The local measure, bin by bin.
    pub curve: Vec<LocalPoint>,
}

/// What chance alone makes of D_sys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// The share of exchanges that give as much or more; the tables as they are count as one of them, so that it is
    /// never 0.
    pub share: f64,
    /// Where the D_sys of the exchanges lie.
    pub interval: Interval,
    /// Whether no exchange gave as much.
    pub is_rarest: bool,
}

/// How often is resampled, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// How often.
    pub rounds: usize,
    /// The seed.
    pub seed: u64,
}

impl ScoreTable {
    /// The table of these scores, person by person; what does not fill a person's row is left out.
    #[must_use]
    pub fn new(pairs: usize, mut scores: Vec<f64>) -> Self {
        let people = scores.len().checked_div(pairs).unwrap_or(0);
        scores.truncate(people.saturating_mul(pairs));
        Self { people, pairs, scores }
    }

    /// How many scores it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    fn binned(&self, bins: &Bins) -> Vec<u16> {
        self.scores.iter().map(|score| bins.of(*score)).collect()
    }
}

/// D_sys of two tables of one shape, its curve, and its bootstrap interval: people and pairs of keys are drawn again,
/// each with all that belongs to them, since scores of one person, or under one key, depend on each other (the
/// pigeonhole bootstrap of Owen, Annals of Applied Statistics 1(2), 2007).
#[must_use]
pub fn unlinkability(mated: &ScoreTable, non_mated: &ScoreTable, resampling: Resampling) -> Unlinkability {
    let bins = Bins::of_both(mated, non_mated);
    let (shape, binned) = ((mated.people, mated.pairs), [mated.binned(&bins), non_mated.binned(&bins)]);
    let ones = (vec![1; shape.0], vec![1; shape.1]);
    let histograms = binned.each_ref().map(|binned| histogram(binned, &ones, bins.count));
    let d_sys = global(&histograms);
    let mut drawn: Vec<f64> = (0..resampling.rounds)
        .into_par_iter()
        .map(|round| {
            let mut numbers = Numbers::new(resampling.seed, stream(round));
            let weights = (numbers.weights(shape.0), numbers.weights(shape.1));
            global(&binned.each_ref().map(|binned| histogram(binned, &weights, bins.count)))
        })
        .collect();
    let interval = Interval::of(&mut drawn).unwrap_or(Interval { low: d_sys, high: d_sys });
    Unlinkability { d_sys, interval, curve: bins.curve(&histograms) }
}

/// What chance alone makes of D_sys: random exchanges between the two tables, whole people or whole pairs of keys
/// (whatever there are more of), as if there were no difference between mated and non-mated.
#[must_use]
pub fn exchange(mated: &ScoreTable, non_mated: &ScoreTable, resampling: Resampling) -> Chance {
    let bins = Bins::of_both(mated, non_mated);
    let (people, pairs) = (mated.people, mated.pairs);
    let [ours, theirs] = [mated.binned(&bins), non_mated.binned(&bins)];
    let ones = (vec![1; people], vec![1; pairs]);
    let found = global(&[&ours, &theirs].map(|binned| histogram(binned, &ones, bins.count)));
    let mut exchanged: Vec<f64> = (0..resampling.rounds)
        .into_par_iter()
        .map(|round| {
            let mut numbers = Numbers::new(resampling.seed, stream(round) ^ EXCHANGES);
            let swapped: Vec<bool> = (0..people.max(pairs)).map(|_| numbers.next() >> 63 == 1).collect();
            let (mut first, mut second) = (vec![0.0; bins.count], vec![0.0; bins.count]);
            for (at, (our, their)) in ours.iter().zip(&theirs).enumerate() {
                let block = if people >= pairs { at.checked_div(pairs) } else { at.checked_rem(pairs) };
                let is_swapped = block.and_then(|block| swapped.get(block)).copied().unwrap_or_default();
                let (our, their) = if is_swapped { (their, our) } else { (our, their) };
                count_one(&mut first, *our, 1.0);
                count_one(&mut second, *their, 1.0);
            }
            global(&[first, second])
        })
        .collect();
    // Sums of the same numbers in another order may differ in their last bits.
    let as_large = exchanged.iter().filter(|d_sys| **d_sys >= found - ROUNDING).count();
    let share = (float(as_large) + 1.0) / (float(resampling.rounds) + 1.0);
    let interval = Interval::of(&mut exchanged).unwrap_or(Interval { low: found, high: found });
    Chance { share, interval, is_rarest: as_large == 0 }
}

impl Interval {
    fn of(drawn: &mut [f64]) -> Option<Self> {
        drawn.sort_unstable_by(f64::total_cmp);
        let last = drawn.len().checked_sub(1)?;
        let low = last.saturating_mul(25) / 1_000;
        let at = |rank: usize| drawn.get(rank).copied();
        Some(Self { low: at(low)?, high: at(last.saturating_sub(low))? })
    }
}

/// Equal bins over all scores.
struct Bins {
    least: f64,
    width: f64,
    count: usize,
}

impl Bins {
    fn of_both(mated: &ScoreTable, non_mated: &ScoreTable) -> Self {
        let all = || mated.scores.iter().chain(&non_mated.scores).copied();
        let (least, greatest) =
            (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let count = (mated.len() / MATED_A_BIN).clamp(1, BINS_MAX);
        let width = (greatest - least) / float(count);
        // Scores that are all one have one bin.
        if width > 0.0 { Self { least, width, count } } else { Self { least, width: 1.0, count: 1 } }
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number from 0 to 100, and whatever is not, becomes one of them"
    )]
    fn of(&self, score: f64) -> u16 {
        let last = u16::try_from(self.count.saturating_sub(1)).unwrap_or(u16::MAX);
        (((score - self.least) / self.width) as u16).min(last)
    }

    fn curve(&self, [mated, non_mated]: &[Vec<f64>; 2]) -> Vec<LocalPoint> {
        let totals = (mated.iter().sum::<f64>(), non_mated.iter().sum::<f64>());
        let point = |(at, (mated, non_mated)): (usize, (&f64, &f64))| {
            let (mated, non_mated) = (mated / totals.0, non_mated / totals.1);
            let from = self.least + float(at) * self.width;
            LocalPoint { from, to: from + self.width, mated, non_mated, local: local(mated, non_mated) }
        };
        mated.iter().zip(non_mated).enumerate().map(point).collect()
    }
}

/// `2 LR / (1 + LR) − 1 = (p − q) / (p + q)`, which needs no division by the non-mated share.
fn local(mated: f64, non_mated: f64) -> f64 {
    if mated > non_mated { (mated - non_mated) / (mated + non_mated) } else { 0.0 }
}

fn global([mated, non_mated]: &[Vec<f64>; 2]) -> f64 {
    let totals = (mated.iter().sum::<f64>(), non_mated.iter().sum::<f64>());
    if totals.0 <= 0.0 || totals.1 <= 0.0 {
        return 0.0;
    }
    let shares =
        mated.iter().zip(non_mated).map(|(mated, non_mated)| (mated / totals.0, non_mated / totals.1));
    shares.map(|(mated, non_mated)| mated * local(mated, non_mated)).sum()
}

fn histogram(binned: &[u16], weights: &(Vec<u32>, Vec<u32>), bins: usize) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    let rows = binned.chunks(weights.1.len().max(1));
    for (row, person) in rows.zip(&weights.0).filter(|(_, weight)| **weight > 0) {
        for (bin, pair) in row.iter().zip(&weights.1) {
            count_one(&mut counts, *bin, f64::from(person.saturating_mul(*pair)));
        }
    }
    counts
}

fn count_one(counts: &mut [f64], bin: u16, weight: f64) {
    if let Some(count) = counts.get_mut(usize::from(bin)) {
        *count += weight;
    }
}

fn stream(round: usize) -> u64 {
    u64::try_from(round).unwrap_or(u64::MAX)
}

/// As the authors' program has it.
const MATED_A_BIN: usize = 10;
const BINS_MAX: usize = 100;
/// Keeps the draws of exchanges apart from those of the bootstrap.
const EXCHANGES: u64 = 1 << 63;
const ROUNDING: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::super::super::synthetic;
    use super::*;
    use rand::RngExt;

    const RESAMPLING: Resampling = Resampling { rounds: 100, seed: 1 };

    fn normals(seed: u64, mean: f64) -> ScoreTable {
        let mut rng = synthetic::rng(seed);
        let mut normal = || {
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            mean + radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
        };
        ScoreTable::new(100, (0..100_000).map(|_| normal()).collect())
    }

    /// ∫ p D for two normals of spread 1 whose means are `apart`, by the trapezoidal rule.
    fn of_normals(apart: f64) -> f64 {
        let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let at = |step: u32| {
            let x = f64::from(step) * 1e-3 - 10.0;
            density(x - apart) * local(density(x - apart), density(x))
        };
        (0..20_000 + 3_000).map(at).sum::<f64>() * 1e-3
    }

    #[test]
    fn tables_without_a_common_score_are_linkable_throughout() {
        let measured = unlinkability(&normals(1, 0.0), &normals(2, 1_000.0), RESAMPLING);
        assert_eq!((measured.d_sys, measured.interval), (1.0, Interval { low: 1.0, high: 1.0 }));
        assert!(exchange(&normals(1, 0.0), &normals(2, 1_000.0), RESAMPLING).is_rarest);
    }

    #[test]
    fn one_and_the_same_table_is_unlinkable() {
        let table = normals(1, 0.0);
        let measured = unlinkability(&table, &table, RESAMPLING);
        assert_eq!((measured.d_sys, measured.interval), (0.0, Interval { low: 0.0, high: 0.0 }));
        let flat = ScoreTable::new(10, vec![0.5; 100]);
        assert_eq!(unlinkability(&flat, &flat, RESAMPLING).d_sys, 0.0, "all scores are one");
    }

    #[test]
    fn two_normals_are_as_linkable_as_their_integral_says() {
        for apart in [0.5, 1.0, 2.0, 4.0] {
            let (found, wanted) =
                (unlinkability(&normals(3, apart), &normals(4, 0.0), RESAMPLING).d_sys, of_normals(apart));
            assert!((found - wanted).abs() < 0.01, "{apart} apart: {found} where the integral is {wanted}");
        }
    }

    #[test]
    fn noise_is_small_and_within_what_chance_makes_of_it() {
        let (ours, theirs) = (normals(5, 0.0), normals(6, 0.0));
        let measured = unlinkability(&ours, &theirs, RESAMPLING);
        assert!((0.001..0.02).contains(&measured.d_sys), "got {}", measured.d_sys);
        let chance = exchange(&ours, &theirs, RESAMPLING);
        assert!(chance.share > 0.02 && chance.interval.low < measured.d_sys, "{chance:?}");
        let nearly = exchange(&normals(7, 0.05), &theirs, RESAMPLING);
        assert!(nearly.is_rarest, "a twentieth of a spread is noticed: {nearly:?}");
    }

    #[test]
    fn the_curve_adds_up_to_its_integral() {
        let measured = unlinkability(&normals(8, 1.0), &normals(9, 0.0), RESAMPLING);
        let sum = |of: fn(&LocalPoint) -> f64| measured.curve.iter().map(of).sum::<f64>();
        assert!(
            (sum(|point| point.mated) - 1.0).abs() < 1e-9
                && (sum(|point| point.non_mated) - 1.0).abs() < 1e-9
        );
        assert!((sum(|point| point.mated * point.local) - measured.d_sys).abs() < 1e-9);
        assert_eq!(measured.curve.len(), 100);
    }
}
