//! People and their samples, raw, as a measurement needs them.

use zeroize::Zeroizing;

use super::super::protect::{self, Protected, TemplateError};
use super::super::sample::Sample;
use super::super::scheme::{Dimension, Scheme};
use super::super::transform::Transform;

/// A population on which nothing can be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopulationError {
    /// Too few people.
    #[error("there are samples of {found} people; bring at least {PEOPLE_MIN}")]
    People {
        /// How many there are.
        found: usize,
    },
    /// Nobody with two samples, so that there is no genuine comparison.
    #[error(
        "nobody has two samples, so that no genuine comparison can be made; bring more of at least one person"
    )]
    Mates,
}

/// Samples of people, at unit length. They wipe themselves.
pub struct Population {
    dimension: Dimension,
    people: Vec<Vec<Zeroizing<Vec<f32>>>>,
}

/// One sample, and the number of the person.
#[derive(Clone, Copy)]
pub(super) struct Capture<'a> {
    pub(super) person: usize,
    pub(super) values: &'a [f32],
}

impl Population {
    /// A population without people.
    #[must_use]
    pub const fn new(dimension: Dimension) -> Self {
        Self { dimension, people: Vec::new() }
    }

    /// Adds a sample of the person with this number.
    ///
    /// # Errors
    /// [`TemplateError::Sample`] when it is not one of the scheme, [`TemplateError::Transform`] when the scheme has
    /// another dimension than the population.
    pub fn add(&mut self, person: usize, sample: Sample, scheme: &Scheme) -> Result<(), TemplateError> {
        if scheme.dimension != self.dimension {
            return Err(TemplateError::Transform { expected: self.dimension, given: scheme.dimension });
        }
        let norm = sample.checked_norm(scheme)?;
        self.put(person, protect::unit_length(sample.into_values(), norm));
        Ok(())
    }

    /// Adds what a template of the person with this number was made of, as near as 16 bits a component tell it: whoever
    /// has a collection's transform can turn its templates back.
    ///
    /// # Errors
    /// [`TemplateError::Transform`] when the transform has another dimension than the population, and
    /// [`TemplateError::Incomparable`] when the template has.
    pub fn add_protected(
        &mut self,
        person: usize,
        template: &Protected,
        transform: &Transform,
    ) -> Result<(), TemplateError> {
        if transform.dimension() != self.dimension {
            return Err(TemplateError::Transform { expected: self.dimension, given: transform.dimension() });
        }
        if template.dimension() != self.dimension {
            return Err(TemplateError::Incomparable(self.dimension, template.dimension()));
        }
        let turned = Zeroizing::new(template.unit_components().collect());
        self.put(person, transform.undo(turned));
        Ok(())
    }

    /// Whether somebody has two samples.
    #[must_use]
    pub fn has_mates(&self) -> bool {
        self.people.iter().any(|samples| samples.len() > 1)
    }

    /// Gives each person a second sample at this cosine to the first, otherwise in a made-up direction of the person's.
    pub fn add_mates(&mut self, cosine: f64, direction: impl Fn(usize) -> Vec<f32>) {
        for (person, samples) in self.people.iter_mut().enumerate() {
            let Some(first) = samples.first() else { continue };
            let mate = mate(first, Zeroizing::new(direction(person)), cosine);
            samples.push(mate);
        }
    }

    /// Adds a unit vector of the population's dimension, made up.
    pub fn add_synthetic(&mut self, person: usize, values: Vec<f32>) {
        self.put(person, Zeroizing::new(values));
    }

    /// The number of components.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// How many people there are.
    #[must_use]
    pub fn people(&self) -> usize {
        self.people.iter().filter(|samples| !samples.is_empty()).count()
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.people.iter().map(Vec::len).sum()
    }

    /// Whether it can be measured on.
    ///
    /// # Errors
    /// [`PopulationError`].
    pub fn check(&self) -> Result<(), PopulationError> {
        if self.people() < PEOPLE_MIN {
            return Err(PopulationError::People { found: self.people() });
        }
        if self.has_mates() { Ok(()) } else { Err(PopulationError::Mates) }
    }

    /// Every second sample of each person, and the others: what is enrolled and what is asked with.
    #[must_use]
    pub fn halves(&self) -> (Self, Self) {
        let (mut first, mut second) = (Self::new(self.dimension), Self::new(self.dimension));
        for (person, samples) in self.people.iter().enumerate() {
            for (at, values) in samples.iter().enumerate() {
                let half = if at.is_multiple_of(2) { &mut first } else { &mut second };
                half.put(person, values.clone());
            }
        }
        (first, second)
    }

    /// The sample of each person with this number, counted round.
    pub(super) fn nth_samples(&self, nth: usize) -> Vec<Capture<'_>> {
        let of = |(person, samples): (usize, &'_ Vec<Zeroizing<Vec<f32>>>)| {
            let at = nth.checked_rem(samples.len())?;
            samples.get(at).map(|_| (person, at))
        };
        let chosen: Vec<(usize, usize)> = self.people.iter().enumerate().filter_map(of).collect();
        chosen.into_iter().filter_map(|(person, at)| self.capture(person, at)).collect()
    }

    /// At most so many samples, evenly from all of them.
    pub(super) fn captures(&self, most: usize) -> Vec<Capture<'_>> {
        let all: Vec<Capture<'_>> = (0..self.people.len())
            .flat_map(|person| {
                let count = self.people.get(person).map_or(0, Vec::len);
                (0..count).filter_map(move |at| self.capture(person, at))
            })
            .collect();
        let count = all.len();
        if count <= most {
            return all;
        }
        (0..most).filter_map(|at| all.get(at.saturating_mul(count).checked_div(most)?).copied()).collect()
    }

    fn capture(&self, person: usize, at: usize) -> Option<Capture<'_>> {
        self.people.get(person)?.get(at).map(|values| Capture { person, values })
    }

    fn put(&mut self, person: usize, values: Zeroizing<Vec<f32>>) {
        while self.people.len() <= person {
            self.people.push(Vec::new());
        }
        if let Some(samples) = self.people.get_mut(person) {
            samples.push(values);
        }
    }
}

/// A unit vector at this cosine to another one, in the plane of that and a direction.
fn mate(first: &[f32], mut direction: Zeroizing<Vec<f32>>, cosine: f64) -> Zeroizing<Vec<f32>> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let along = dot(first, &direction);
    for (value, first) in direction.iter_mut().zip(first) {
        *value = narrow(f64::from(*value) - along * f64::from(*first));
    }
    let (length, sine) = (dot(&direction, &direction).sqrt(), (1.0 - cosine * cosine).sqrt());
    let mixed = first.iter().zip(direction.iter());
    let mixed =
        mixed.map(|(first, other)| narrow(cosine * f64::from(*first) + sine * f64::from(*other) / length));
    Zeroizing::new(mixed.collect())
}

#[expect(clippy::as_conversions, reason = "the nearest 32-bit float is meant")]
fn narrow(value: f64) -> f32 {
    value as f32
}

impl Capture<'_> {
    /// The template of this sample under a transform of the population's dimension.
    pub(super) fn protect(&self, transform: &Transform) -> Protected {
        protect::turned(Zeroizing::new(self.values.to_vec()), transform)
    }
}

/// A mated pair, and two other people for the two sets of non-mated ones.
const PEOPLE_MIN: usize = 4;
