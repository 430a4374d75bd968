//! Recovery of a transform from known pairs: somebody has raw samples and their templates, and a stolen template of
//! somebody else, whose raw sample they want.
//!
//! With fewer pairs than dimensions the stolen template is written as a combination of the known ones as far as that
//! goes (least squares), and the same combination of the known samples is taken; an orthogonal map has no better linear
//! guess. With more pairs the whole map is fitted by least squares. What is known of the inner structure (permutations, signs,
//! Hadamard steps) is not used: an attack that uses it may need far fewer pairs.

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::super::calibration::Threshold;
use super::super::transform::Transform;
use super::linear::Factored;
use super::numbers::{Numbers, secret};
use super::population::{Capture, Population};

/// What so many known pairs gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovered {
    /// How many pairs of sample and template were known.
    pub pairs: usize,
    /// How many other templates were attacked.
    pub attacked: usize,
    /// The median cosine of what was recovered and the raw sample.
    pub median_cosine: f64,
    /// How many of what was recovered pass the threshold against the raw sample.
    pub pass: usize,
}

/// Attacks with each number of pairs for which there are samples enough.
#[must_use]
pub fn recover(population: &Population, pairs: &[usize], threshold: Threshold, seed: u64) -> Vec<Recovered> {
    let all = population.captures(usize::MAX);
    let order = Numbers::new(seed, PAIRS).order(all.len());
    let mixed: Vec<Capture<'_>> = order.into_iter().filter_map(|at| all.get(at).copied()).collect();
    let (attacked, rest) = mixed.split_at(ATTACKED_MAX.min(mixed.len() / 5));
    // Who is attacked has no known pair, unless there are too few people for that.
    let strangers: Vec<Capture<'_>> = {
        let is_stranger = |known: &&Capture<'_>| attacked.iter().all(|other| other.person != known.person);
        rest.iter().filter(is_stranger).copied().collect()
    };
    let known = if strangers.len() * 2 >= rest.len() { strangers } else { rest.to_vec() };
    let transform = Transform::derive(&secret(seed, ATTACKED, 0), population.dimension());
    let pair = |capture: &Capture<'_>| -> (Vec<f64>, Vec<f64>) {
        let raw = capture.values.iter().copied().map(f64::from).collect();
        (raw, capture.protect(&transform).unit_components().map(f64::from).collect())
    };
    let (known, attacked): (Vec<_>, Vec<_>) =
        (known.iter().map(pair).collect(), attacked.iter().map(pair).collect());
    let enough = pairs.iter().filter(|pairs| **pairs <= known.len());
    let dimension = population.dimension().len();
    let attempts = enough.filter_map(|pairs| attempt(known.get(..*pairs)?, &attacked, dimension, threshold));
    attempts.collect()
}

type Pair = (Vec<f64>, Vec<f64>);

fn attempt(known: &[Pair], attacked: &[Pair], dimension: usize, threshold: Threshold) -> Option<Recovered> {
    let guesses: Vec<Vec<f64>> = if known.len() < dimension {
        combined(known, attacked)?
    } else {
        mapped(known, attacked, dimension)?
    };
    let mut cosines: Vec<f64> =
        guesses.iter().zip(attacked).map(|(guess, (raw, _))| cosine(guess, raw)).collect();
    cosines.sort_unstable_by(f64::total_cmp);
    let pass = cosines.iter().filter(|cosine| **cosine >= threshold.get()).count();
    let median_cosine = cosines.get(cosines.len() / 2).copied()?;
    Some(Recovered { pairs: known.len(), attacked: attacked.len(), median_cosine, pass })
}

/// Fewer pairs than dimensions: each stolen template as a combination of known ones.
fn combined(known: &[Pair], attacked: &[Pair]) -> Option<Vec<Vec<f64>>> {
    let rows = (0..known.len()).into_par_iter().map(|at| {
        let own = known.get(at).map(|pair| pair.1.as_slice()).unwrap_or_default();
        let others = known.iter().take(at.saturating_add(1)).enumerate();
        others.map(|(other, pair)| dot(own, &pair.1) + if other == at { RIDGE } else { 0.0 }).collect()
    });
    let factored = Factored::of(rows.collect())?;
    let guess = |(_, stolen): &Pair| {
        let right: Vec<f64> = known.iter().map(|(_, template)| dot(template, stolen)).collect();
        let mut guess = vec![0.0; stolen.len()];
        for (share, (raw, _)) in factored.solve(&right).iter().zip(known) {
            guess.iter_mut().zip(raw).for_each(|(to, value)| *to += share * value);
        }
        guess
    };
    Some((0..attacked.len()).into_par_iter().filter_map(|at| attacked.get(at).map(guess)).collect())
}

/// As many pairs as dimensions or more: the map that fits all of them best.
fn mapped(known: &[Pair], attacked: &[Pair], dimension: usize) -> Option<Vec<Vec<f64>>> {
    // Column by column of the known pairs: what stands in component `at` of all of them.
    let columns = |of: fn(&Pair) -> &Vec<f64>| -> Vec<Vec<f64>> {
        (0..dimension).map(|at| known.iter().filter_map(|pair| of(pair).get(at).copied()).collect()).collect()
    };
    let (raw, templates) = (columns(|pair| &pair.0), columns(|pair| &pair.1));
    let rows = (0..dimension).into_par_iter().map(|at| {
        let own = templates.get(at).map(Vec::as_slice).unwrap_or_default();
        let others = templates.iter().take(at.saturating_add(1)).enumerate();
        others.map(|(other, column)| dot(own, column) + if other == at { RIDGE } else { 0.0 }).collect()
    });
    let factored = Factored::of(rows.collect())?;
    let fitted = |own: &Vec<f64>| {
        let right: Vec<f64> = templates.iter().map(|column| dot(own, column)).collect();
        factored.solve(&right)
    };
    let map: Vec<Vec<f64>> = raw.par_iter().map(fitted).collect();
    Some(attacked.iter().map(|(_, stolen)| map.iter().map(|row| dot(row, stolen)).collect()).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((fours_a, rest_a), (fours_b, rest_b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (a, b) in fours_a.iter().zip(fours_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

const ATTACKED: &str = "onebit/protection-report/attacked";
const PAIRS: u64 = 11;
const ATTACKED_MAX: usize = 200;
/// Below the rounding of 16 bits, squared; keeps samples that are combinations of others from ending the attack.
const RIDGE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::super::numbers::float;
    use super::*;
    use crate::template::{Dimension, synthetic};

    #[test]
    fn pairs_below_the_dimension_give_a_share_and_those_above_it_everything() {
        let mut rng = synthetic::rng(29);
        let mut population = Population::new(Dimension::new(96).unwrap());
        (0..500).for_each(|person| population.add_synthetic(person, synthetic::unit(&mut rng, 96)));
        let threshold = Threshold::new(0.9).unwrap();
        let recovered = recover(&population, &[6, 24, 48, 95, 96, 120, 192, 9_999], threshold, 4);
        assert_eq!(recovered.iter().map(|it| it.pairs).collect::<Vec<_>>(), [6, 24, 48, 95, 96, 120, 192]);
        for it in recovered {
            // A share of the dimensions of a random direction: its root in cosine.
            let wanted = (float(it.pairs) / 96.0).min(1.0).sqrt();
            assert!((it.median_cosine - wanted).abs() < 0.03, "{it:?} where {wanted} is due");
            match it.pairs {
                ..=48 => assert_eq!(it.pass, 0, "{it:?}"),
                96.. => assert_eq!(it.pass, it.attacked, "{it:?}"),
                _ => {}
            }
        }
    }
}
