//! Linkage when two whole collections were stolen: for each template of one, the most alike of the other.

use rayon::iter::{IntoParallelIterator, IntoParallelRefIterator, ParallelIterator};

use super::super::transform::Transform;
use super::linkage::{Features, LinkageFunction, distance, dot};
use super::numbers::{Numbers, float, secret};
use super::population::{Capture, Population};

/// What is common to the two collections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The same samples of the same people: a collection and its renewal.
    SameSamples,
    /// Other samples of the same people.
    OtherSamples,
    /// Other samples, and half of the people only.
    HalfOfThePeople,
}

/// How somebody without the keys tries to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Template by template.
    Templates(LinkageFunction),
    /// By the sorted similarities of a template to all others of its collection. A transform keeps these, since the
    /// collection must be searched: nothing about keys can prevent it.
    Neighbours,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theft {
    /// What was common.
    pub overlap: Overlap,
    /// What was tried.
    pub attack: Attack,
    /// How many templates each collection had.
    pub templates: usize,
    /// How many templates had their person in the other collection.
    pub tried: usize,
    /// Of how many of these the most alike was that person's.
    pub linked: usize,
}

impl Overlap {
    /// Every case.
    pub const ALL: [Self; 3] = [Self::SameSamples, Self::OtherSamples, Self::HalfOfThePeople];

    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameSamples => "same-samples",
            Self::OtherSamples => "other-samples",
            Self::HalfOfThePeople => "half-of-the-people",
        }
    }
}

impl Attack {
    /// Its name in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Templates(function) => function.name(),
            Self::Neighbours => "neighbours",
        }
    }
}

impl Theft {
    /// The share that was linked.
    #[must_use]
    pub fn rank_1(&self) -> f64 {
        float(self.linked) / float(self.tried)
    }

    /// What guessing gives.
    #[must_use]
    pub fn chance(&self) -> f64 {
        1.0 / float(self.templates)
    }
}

/// Links two collections of the population's people, one template each, in each case and by each attack.
#[must_use]
pub fn link_collections(population: &Population, seed: u64) -> Vec<Theft> {
    let mut thefts = Vec::new();
    for overlap in Overlap::ALL {
        let (ours, theirs) = collections(population, overlap, seed);
        if ours.len() < TEMPLATES_MIN {
            continue;
        }
        let dimension = population.dimension();
        let transform = |side| Transform::derive(&secret(seed, STOLEN, side), dimension);
        let (first, second) = (templates(&ours, &transform(0)), templates(&theirs, &transform(1)));
        let by = LinkageFunction::ALL.map(Attack::Templates).into_iter().chain([Attack::Neighbours]);
        for attack in by {
            let linked = match attack {
                Attack::Templates(function) => {
                    let [our, their] = [&first, &second].map(|templates| &templates.features);
                    best(our, their, |our, their| our.score(their, function))
                }
                Attack::Neighbours => best(&first.neighbours, &second.neighbours, |a, b| -distance(a, b)),
            };
            let known = |person: usize| theirs.iter().any(|capture| capture.person == person);
            let tried = ours.iter().filter(|capture| known(capture.person)).count();
            let right = |(our, found): (&Capture<'_>, &Option<usize>)| {
                found.and_then(|found| theirs.get(found)).is_some_and(|their| their.person == our.person)
            };
            let linked = ours.iter().zip(&linked).filter(|(our, found)| right((our, found))).count();
            thefts.push(Theft { overlap, attack, templates: theirs.len(), tried, linked });
        }
    }
    thefts
}

/// The two collections, each in an order of its own.
fn collections(population: &Population, overlap: Overlap, seed: u64) -> (Vec<Capture<'_>>, Vec<Capture<'_>>) {
    let mut numbers = Numbers::new(seed, THEFTS);
    let (mut ours, mut theirs) = (population.nth_samples(0), population.nth_samples(1));
    ours.truncate(TEMPLATES_MAX);
    theirs.truncate(TEMPLATES_MAX);
    if overlap == Overlap::SameSamples {
        theirs.clone_from(&ours);
    } else {
        // Who has one sample only would be there with the same one.
        let other = |(our, their): &(Capture<'_>, Capture<'_>)| !std::ptr::eq(our.values, their.values);
        (ours, theirs) = ours.into_iter().zip(theirs).filter(other).unzip();
    }
    if overlap == Overlap::HalfOfThePeople {
        // Two thirds of the people in each, of whom half are in both.
        let third = ours.len() / 3;
        ours.truncate(third.saturating_mul(2));
        theirs = theirs.into_iter().skip(third).take(third.saturating_mul(2)).collect();
    }
    let order = numbers.order(theirs.len());
    let shuffled = order.into_iter().filter_map(|at| theirs.get(at).copied()).collect();
    (ours, shuffled)
}

struct Stolen {
    features: Vec<Features>,
    /// Of each template, its similarities to all others of its collection, ascending.
    neighbours: Vec<Vec<f32>>,
}

fn templates(captures: &[Capture<'_>], transform: &Transform) -> Stolen {
    let features = Features::of_all(captures, transform);
    let units: Vec<Vec<f32>> =
        captures.iter().map(|capture| capture.protect(transform).unit_components().collect()).collect();
    let neighbours = |at: usize| {
        let own = units.get(at).map(Vec::as_slice).unwrap_or_default();
        let others = units.iter().enumerate().filter(|(other, _)| *other != at);
        let mut row: Vec<f32> = others.map(|(_, other)| narrow(dot(own, other))).collect();
        row.sort_unstable_by(f32::total_cmp);
        row
    };
    let neighbours = (0..units.len()).into_par_iter().map(neighbours).collect();
    Stolen { features, neighbours }
}

/// For each of ours, the place of the most alike of theirs.
fn best<T: Sync>(ours: &[T], theirs: &[T], score: impl Fn(&T, &T) -> f64 + Sync) -> Vec<Option<usize>> {
    let most = |our: &T| {
        let scores = theirs.iter().map(|their| score(our, their)).enumerate();
        scores.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    };
    ours.par_iter().map(most).collect()
}

#[expect(clippy::as_conversions, reason = "the nearest 32-bit float is meant")]
fn narrow(value: f64) -> f32 {
    value as f32
}

const STOLEN: &str = "onebit/protection-report/stolen";
const THEFTS: u64 = 7;
/// All pairs of all pairs: 1,000 templates take seconds.
const TEMPLATES_MAX: usize = 1_000;
const TEMPLATES_MIN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Dimension, synthetic};

    #[test]
    fn templates_alone_give_chance_and_neighbours_give_everybody_whose_sample_is_in_both() {
        let mut rng = synthetic::rng(23);
        let mut population = Population::new(Dimension::new(64).unwrap());
        for person in 0..150 {
            let first = synthetic::unit(&mut rng, 64);
            let second = synthetic::mate(&mut rng, &first, 0.7);
            [first, second].into_iter().for_each(|values| population.add_synthetic(person, values));
        }
        let thefts = link_collections(&population, 9);
        assert_eq!(thefts.len(), 3 * 5);
        for theft in thefts {
            let is_whole = theft.overlap != Overlap::HalfOfThePeople;
            assert_eq!((theft.templates, theft.tried), if is_whole { (150, 150) } else { (100, 50) });
            match (theft.attack, theft.overlap) {
                (Attack::Neighbours, Overlap::SameSamples) => {
                    assert_eq!(theft.linked, 150, "angles are kept");
                }
                (Attack::Neighbours, _) => {}
                // Of 150 tries at 1 in 150, more than 7 come up once in 10,000 times.
                (Attack::Templates(_), _) => assert!(theft.linked < 8, "{theft:?}"),
            }
        }
    }
}
