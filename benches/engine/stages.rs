//! Onebit with other first stages, as `search.index` configures them: what they take to open, to fill and to search.

use std::env;
use std::hint::black_box;
use std::time::Instant;

use onebit::index::FirstStage;
use onebit::template::{Protected, Threshold};

use crate::people::{DIMENSION, Gathering, People};
use crate::speed::Times;

pub(crate) fn run(templates: usize, named: &str) {
    let people = People::new(templates, Gathering::Isotropic);
    let probes: Vec<Protected> =
        (0..BATCH)
            .map(|nth| {
                if nth % 2 == 0 { people.mate(nth * 31, MATE, nth) } else { people.template(templates + nth) }
            })
            .collect();
    let threshold = Threshold::new(THRESHOLD).unwrap();
    println!("## First stages, N = {templates}, threshold {THRESHOLD}\n");
    println!(
        "| `search.index` | filled in s | K | one probe: median, p99 ms | batches of {BATCH}: \
         probes/s, median, best | mates found |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in named.split_whitespace() {
        let first: FirstStage = name.parse().unwrap_or_else(|error| panic!("{error}"));
        let start = Instant::now();
        let gallery = people.gallery(&first);
        let filled = start.elapsed().as_secs_f64();
        let found = gallery.search(&probes, threshold).unwrap();
        let hits =
            found.iter().filter(|found| found.rows().iter().any(|row| row.similarity.passes(threshold)));
        let (hits, mut single, mut batch) = (hits.count(), Times::default(), Times::default());
        for round in 0..ROUNDS {
            for probe in probes.chunks(1).skip(round).step_by(SINGLES_EVERY) {
                single.add(|| drop(black_box(gallery.search(probe, threshold).unwrap())));
            }
            batch.add(|| drop(black_box(gallery.search(&probes, threshold).unwrap())));
        }
        println!(
            "| `{name}` | {filled:.1} | {} | {:.2}, {:.2} | {:.0}, {:.0} | {hits} of {} |",
            gallery.kept(threshold),
            single.quantile(0.5) * 1e3,
            single.quantile(0.99) * 1e3,
            BATCH as f64 / batch.quantile(0.5),
            BATCH as f64 / batch.quantile(0.0),
            BATCH / 2,
        );
    }
    println!("\n{DIMENSION} components; filling includes making and protecting the people.");
}

pub(crate) fn named() -> Option<String> {
    env::var("ONEBIT_BENCH_STAGES").ok()
}

const BATCH: usize = 256;
const ROUNDS: usize = 5;
const SINGLES_EVERY: usize = 8;
const THRESHOLD: f64 = 0.45;
const MATE: f64 = 0.5;
