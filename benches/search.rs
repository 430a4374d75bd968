//! Protection, search and enrolment at small sizes; the search beside its peers is `benches/engine`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that can't go on should stop")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use onebit::ids::SchemeName;
use onebit::index::{Compartment, Gallery, Slot, pool};
use onebit::secret::Secret;
use onebit::template::{
    Calibration, Comparison, Dimension, Extractor, Form, MinimumQuality, Modality, Normalisation, Protected,
    Quality, Sample, Scheme, Threshold, Transform, protect,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// All benches of this file; about a minute.
pub(crate) fn benches(c: &mut Criterion) {
    protection(c);
    search(c);
    enrolment(c);
}

/// From a sample to its template (checks, transform, rounding), and the derivation of a transform.
pub(crate) fn protection(c: &mut Criterion) {
    let mut group = c.benchmark_group("template");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for dimension in [256, 512] {
        let (scheme, transform) = (scheme(dimension), transform(dimension));
        let values = sample(&mut ChaCha8Rng::seed_from_u64(1), dimension);
        group.bench_function(BenchmarkId::new("protect", dimension), |b| {
            b.iter_batched(
                || Sample::embedding(values.clone(), Quality::Unknown),
                |sample| protect(sample, &scheme, &transform).unwrap(),
                BatchSize::SmallInput,
            );
        });
        let secret = Secret::take(&mut [7; 32]);
        group.bench_function(BenchmarkId::new("derive", dimension), |b| {
            b.iter(|| Transform::derive(&secret, scheme.dimension));
        });
    }
    group.finish();
}

/// 10,000 templates in batches of 256 into an empty gallery.
pub(crate) fn enrolment(c: &mut Criterion) {
    let mut group = c.benchmark_group("enrolment");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let people: Vec<Vec<u8>> =
        templates(10_000, 512, 2).iter().map(|template| template.to_bytes().expose().to_vec()).collect();
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("insert/10000", |b| {
        b.iter_batched(
            || people.iter().map(|bytes| Protected::from_bytes(bytes).unwrap()).collect::<Vec<_>>(),
            |people| filled(people, 512),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// One probe and 32 probes over 10,000 and 100,000 templates of 512 components.
pub(crate) fn search(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let probes = templates(32, 512, 4);
    let threshold = Threshold::new(0.45).unwrap();
    let galleries = [10_000, 100_000].map(|people| (people, templates(people, 512, 3)));
    for (people, templates) in galleries {
        let gallery = filled(templates, 512);
        for count in [1, 32] {
            group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
            group.bench_function(BenchmarkId::new(format!("onebit/{people}"), count), |b| {
                b.iter(|| gallery.search(black_box(&probes[..count]), threshold).unwrap());
            });
        }
    }
    group.finish();
}

/// A gallery on all cores, enrolled in batches of 256.
pub(crate) fn filled(people: Vec<Protected>, dimension: u16) -> Gallery {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let gallery = Gallery::new(Dimension::new(dimension.into()).unwrap(), pool(threads).unwrap());
    let mut people =
        people.into_iter().zip(0..).map(|(template, slot)| (Slot(slot), Compartment(0), template));
    loop {
        let batch: Vec<_> = people.by_ref().take(256).collect();
        if batch.is_empty() {
            return gallery;
        }
        gallery.insert(batch).unwrap();
    }
}

/// Protected templates of so many people.
pub(crate) fn templates(count: usize, dimension: u16, seed: u64) -> Vec<Protected> {
    let (scheme, transform) = (scheme(dimension), transform(dimension));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut person = || Sample::embedding(sample(&mut rng, dimension), Quality::Unknown);
    (0..count).map(|_| protect(person(), &scheme, &transform).unwrap()).collect()
}

/// A person's embedding: independent components of mean 0, each the sum of four even draws.
fn sample(rng: &mut ChaCha8Rng, dimension: u16) -> Vec<f32> {
    (0..dimension).map(|_| (0..4).map(|_| rng.random::<f32>() - 0.5).sum()).collect()
}

fn transform(dimension: u16) -> Transform {
    Transform::derive(&Secret::take(&mut [1; 32]), Dimension::new(dimension.into()).unwrap())
}

fn scheme(dimension: u16) -> Scheme {
    Scheme {
        name: SchemeName::parse("synthetic").unwrap(),
        modality: Modality::Face,
        extractor: Extractor::parse("synthetic", "1").unwrap(),
        form: Form::Embedding,
        dimension: Dimension::new(dimension.into()).unwrap(),
        normalisation: Normalisation::Any,
        comparison: Comparison::Cosine,
        calibration: Calibration::fixed(Threshold::new(0.5).unwrap()),
        minimum_quality: MinimumQuality::None,
    }
}
