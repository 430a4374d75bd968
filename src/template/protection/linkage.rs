//! Whether two templates under two keys are of one person: what somebody without the keys can try.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::protect::Protected;
use super::super::transform::{self, Transform};
use super::numbers::{float, secret};
use super::population::{Capture, Population};
use super::unlinkability::ScoreTable;

/// A way to compare two templates of two collections; greater is more alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkageFunction {
    /// The plain cosine, as if the collections had one key.
    Cosine,
    /// The distance of the sorted magnitudes of the components: permutations and signs don't matter to it.
    SortedMagnitudes,
    /// The same after undoing the transform's last Hadamard step, which is public.
    LastStepUndone,
    /// The difference of the ratios of the largest component to their spread, which the stored scale shows.
    Peak,
}

/// Which keys the two collections have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Two, as Onebit derives them.
    Distinct,
    /// One for both: what protection must never do, to see that the measure notices.
    Shared,
}

/// The scores of one linkage function: as many of each kind as there are people times pairs of keys.
pub struct LinkageScores {
    /// Which function.
    pub function: LinkageFunction,
    /// One sample under two keys: the easiest case for whoever links.
    pub mated: ScoreTable,
    /// Samples of two people.
    pub non_mated: ScoreTable,
    /// The same with other second people, for the null run.
    pub null: ScoreTable,
}

impl LinkageFunction {
    /// Every function.
    pub const ALL: [Self; 4] = [Self::Cosine, Self::SortedMagnitudes, Self::LastStepUndone, Self::Peak];

    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::SortedMagnitudes => "sorted-magnitudes",
            Self::LastStepUndone => "last-step-undone",
            Self::Peak => "peak",
        }
    }
}

/// Compares each person's templates under so many pairs of keys.
#[must_use]
pub fn linkage_scores(population: &Population, pairs: usize, keys: Keys, seed: u64) -> Vec<LinkageScores> {
    let columns: Vec<Vec<[[f64; KINDS]; FUNCTIONS]>> =
        (0..pairs).into_par_iter().map(|pair| column(population, pair, keys, seed)).collect();
    let people = columns.first().map_or(0, Vec::len);
    let table = |function: usize, kind: usize| {
        let of = |person: usize| {
            columns.iter().filter_map(move |column| column.get(person)?.get(function)?.get(kind).copied())
        };
        ScoreTable::new(pairs, (0..people).flat_map(of).collect())
    };
    let scores = |(at, function)| LinkageScores {
        function,
        mated: table(at, 0),
        non_mated: table(at, 1),
        null: table(at, 2),
    };
    LinkageFunction::ALL.into_iter().enumerate().map(scores).collect()
}

/// Under one pair of keys: for each person and function, the mated and two non-mated scores.
fn column(population: &Population, pair: usize, keys: Keys, seed: u64) -> Vec<[[f64; KINDS]; FUNCTIONS]> {
    let captures = population.nth_samples(pair);
    let dimension = population.dimension();
    let first = Transform::derive(&secret(seed, FIRST, pair), dimension);
    let second = match keys {
        Keys::Distinct => Transform::derive(&secret(seed, SECOND, pair), dimension),
        Keys::Shared => Transform::derive(&secret(seed, FIRST, pair), dimension),
    };
    let ours: Vec<Features> = captures.iter().map(|capture| Features::of(&capture.protect(&first))).collect();
    let theirs: Vec<Features> =
        captures.iter().map(|capture| Features::of(&capture.protect(&second))).collect();
    let others = ours.len().saturating_sub(1).max(1);
    // The second person goes round with the pair, half a round further on for the null run.
    let other = |person: usize, further: usize| {
        let steps = pair.wrapping_add(further) % others;
        let at = person.saturating_add(1).saturating_add(steps).checked_rem(ours.len())?;
        theirs.get(at)
    };
    let scores = |(person, our): (usize, &Features)| {
        let compared = [theirs.get(person)?, other(person, 0)?, other(person, others / 2)?];
        Some(LinkageFunction::ALL.map(|function| compared.map(|their| our.score(their, function))))
    };
    ours.iter().enumerate().filter_map(scores).collect()
}

/// What the linkage functions look at.
pub(super) struct Features {
    unit: Vec<f32>,
    sorted: Vec<f32>,
    undone: Vec<f32>,
    peak: f64,
}

impl Features {
    pub(super) fn of(template: &Protected) -> Self {
        let unit: Vec<f32> = template.unit_components().collect();
        let mut undone = unit.clone();
        transform::undo_public_step(&mut undone);
        let largest = unit.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let peak = f64::from(largest) * float(unit.len()).sqrt();
        Self { sorted: sorted_magnitudes(&unit), undone: sorted_magnitudes(&undone), unit, peak }
    }

    pub(super) fn of_all(captures: &[Capture<'_>], transform: &Transform) -> Vec<Self> {
        captures.iter().map(|capture| Self::of(&capture.protect(transform))).collect()
    }

    pub(super) fn score(&self, other: &Self, function: LinkageFunction) -> f64 {
        match function {
            LinkageFunction::Cosine => dot(&self.unit, &other.unit),
            LinkageFunction::SortedMagnitudes => -distance(&self.sorted, &other.sorted),
            LinkageFunction::LastStepUndone => -distance(&self.undone, &other.undone),
            LinkageFunction::Peak => -(self.peak - other.peak).abs(),
        }
    }
}

fn sorted_magnitudes(values: &[f32]) -> Vec<f32> {
    let mut magnitudes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    magnitudes.sort_unstable_by(f32::total_cmp);
    magnitudes
}

/// In eight sums, so that the compiler may work on them side by side.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let ((eights_a, rest_a), (eights_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0_f64; 8];
    for (a, b) in eights_a.iter().zip(eights_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}

pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    let ((eights_a, rest_a), (eights_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0_f32; 8];
    for (a, b) in eights_a.iter().zip(eights_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}

const FIRST: &str = "onebit/protection-report/first";
const SECOND: &str = "onebit/protection-report/second";
/// Mated, non-mated, and non-mated for the null run.
const KINDS: usize = 3;
const FUNCTIONS: usize = LinkageFunction::ALL.len();

#[cfg(test)]
mod tests {
    use super::super::unlinkability::{Resampling, exchange, unlinkability};
    use super::*;
    use crate::template::{Dimension, synthetic};

    const RESAMPLING: Resampling = Resampling { rounds: 99, seed: 5 };

    fn population(people: usize, dimension: u16) -> Population {
        let mut rng = synthetic::rng(17);
        let mut population = Population::new(Dimension::new(dimension.into()).unwrap());
        (0..people).for_each(|person| population.add_synthetic(person, synthetic::unit(&mut rng, dimension)));
        population
    }

    #[test]
    fn two_keys_are_not_linked_by_more_than_chance_makes() {
        for dimension in [64, 100] {
            for scores in linkage_scores(&population(150, dimension), 40, Keys::Distinct, 3) {
                assert_eq!((scores.mated.len(), scores.null.len()), (6_000, 6_000));
                let measured = unlinkability(&scores.mated, &scores.non_mated, RESAMPLING);
                let null = unlinkability(&scores.null, &scores.non_mated, RESAMPLING);
                let (name, chance) =
                    (scores.function.name(), exchange(&scores.mated, &scores.non_mated, RESAMPLING).share);
                assert!(
                    measured.d_sys <= null.interval.high && chance > 0.01,
                    "{name} at d = {dimension}: {} where the null run has {:?}; chance {chance}",
                    measured.d_sys,
                    null.interval
                );
            }
        }
    }

    #[test]
    fn one_key_for_two_collections_is_linked_by_every_function() {
        for scores in linkage_scores(&population(150, 64), 10, Keys::Shared, 3) {
            let measured = unlinkability(&scores.mated, &scores.non_mated, RESAMPLING);
            assert!(measured.d_sys > 0.9, "{}: {}", scores.function.name(), measured.d_sys);
        }
    }
}
