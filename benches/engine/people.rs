//! Made-up people from a seed: independent directions, or clusters as those of real faces.

use std::num::NonZeroUsize;
use std::ops::Range;

use onebit::ids::SchemeName;
use onebit::index::{Compartment, FirstStage, Gallery, Slot, pool};
use onebit::secret::Secret;
use onebit::template::{
    Calibration, Comparison, Dimension, Extractor, Form, MinimumQuality, Modality, Normalisation, Protected,
    Quality, Sample, Scheme, Threshold, Transform, protect,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How people lie to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathering {
    /// Independent directions.
    Isotropic,
    /// In 2,000 clusters; two of one cluster have a mean cosine of 0.175.
    Clustered,
}

/// People, each known by a number.
pub(crate) struct People {
    pub(crate) len: usize,
    pub(crate) gathering: Gathering,
    centres: Vec<Vec<f32>>,
    scheme: Scheme,
    transform: Transform,
}

impl People {
    pub(crate) fn new(len: usize, gathering: Gathering) -> Self {
        let centres = match gathering {
            Gathering::Isotropic => Vec::new(),
            Gathering::Clustered => (0..CENTRES).map(|nth| unit(&mut rng(1, nth))).collect(),
        };
        let dimension = Dimension::new(DIMENSION as u64).unwrap();
        let scheme = Scheme {
            name: SchemeName::parse("synthetic").unwrap(),
            modality: Modality::Face,
            extractor: Extractor::parse("synthetic", "1").unwrap(),
            form: Form::Embedding,
            dimension,
            normalisation: Normalisation::Any,
            comparison: Comparison::Cosine,
            calibration: Calibration::fixed(Threshold::new(0.5).unwrap()),
            minimum_quality: MinimumQuality::None,
        };
        let transform = Transform::derive(&Secret::take(&mut [1; 32]), dimension);
        Self { len, gathering, centres, scheme, transform }
    }

    /// The template of a person; numbers from `len` on are strangers.
    pub(crate) fn template(&self, person: usize) -> Protected {
        self.protected(self.embedding(person))
    }

    /// Another sample of a person, at this cosine. What differs lies as another person's of the same cluster.
    pub(crate) fn mate(&self, person: usize, cosine: f64, nth: usize) -> Protected {
        let own = self.embedding(person);
        let mut rng = rng(3, person as u64 ^ ((nth as u64 + 1) << 40));
        let other = self.near_centre(&mut rng, person);
        let along: f32 = own.iter().zip(&other).map(|(a, b)| a * b).sum();
        let across: Vec<f32> = own.iter().zip(&other).map(|(own, other)| other - along * own).collect();
        let across = scaled(across);
        let sine = (1.0 - cosine * cosine).sqrt() as f32;
        self.protected(
            own.iter().zip(across).map(|(own, across)| own * cosine as f32 + across * sine).collect(),
        )
    }

    /// These templates as rows at unit length, one after the other.
    pub(crate) fn rows(&self, people: Range<usize>) -> Vec<f32> {
        let mut rows = vec![0.0; people.len() * DIMENSION];
        rows.par_chunks_mut(DIMENSION).zip(people).for_each(|(row, person)| {
            for (to, from) in row.iter_mut().zip(self.template(person).unit_components()) {
                *to = from;
            }
        });
        rows
    }

    /// A gallery of all, searched by two threads, filled as at a start of the service.
    pub(crate) fn gallery(&self, first: &FirstStage) -> Gallery {
        let threads = pool(NonZeroUsize::new(THREADS).unwrap()).unwrap();
        let gallery = Gallery::staged(self.scheme.dimension, threads, first).unwrap();
        for start in (0..self.len).step_by(LOAD) {
            let batch = (start..self.len.min(start + LOAD)).into_par_iter();
            let batch = batch.map(|person| (Slot(person as u64 + 1), Compartment(0), self.template(person)));
            gallery.insert(batch.collect()).unwrap();
        }
        gallery
    }

    fn embedding(&self, person: usize) -> Vec<f32> {
        self.near_centre(&mut rng(2, person as u64), person)
    }

    fn near_centre(&self, rng: &mut ChaCha8Rng, person: usize) -> Vec<f32> {
        let own = unit(rng);
        match self.gathering {
            Gathering::Isotropic => own,
            Gathering::Clustered => {
                let centre = &self.centres[person % self.centres.len()];
                let (near, far) = (CLUSTER_COSINE.sqrt(), (1.0 - CLUSTER_COSINE).sqrt());
                scaled(own.iter().zip(centre).map(|(own, centre)| own * far + centre * near).collect())
            }
        }
    }

    fn protected(&self, values: Vec<f32>) -> Protected {
        protect(Sample::embedding(values, Quality::Unknown), &self.scheme, &self.transform).unwrap()
    }
}

pub(crate) fn rows_of(templates: &[Protected]) -> Vec<f32> {
    templates.iter().flat_map(Protected::unit_components).collect()
}

/// Independent components of mean 0, each the sum of four even draws, at unit length.
fn unit(rng: &mut ChaCha8Rng) -> Vec<f32> {
    scaled(
        (0..DIMENSION)
            .map(|_| {
                let draws: u64 = rng.random();
                (0..4).map(|nth| (draws >> (16 * nth) & 0xffff) as f32 - 32_767.5).sum()
            })
            .collect(),
    )
}

fn scaled(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}

fn rng(stream: u64, nth: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(stream << 60 ^ nth)
}

pub(crate) const DIMENSION: usize = 512;
pub(crate) const THREADS: usize = 2;
const CENTRES: u64 = 2_000;
const CLUSTER_COSINE: f32 = 0.175;
const LOAD: usize = 8_192;
