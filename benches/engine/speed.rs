//! Latency of one probe and throughput of batches, ours and the peers' in turn, beside the memory's bandwidth.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use faiss::Index;
use onebit::index::Gallery;
use onebit::template::{Protected, Threshold};

use crate::peers::{Peers, signs};
use crate::people::{DIMENSION, People, THREADS, rows_of};

pub(crate) fn run(people: &People, gallery: &Gallery, peers: &mut Peers) {
    println!("## Speed, N = {}\n", people.len);
    let probes: Vec<Protected> =
        (0..BATCH)
            .map(|nth| {
                if nth % 2 == 0 { people.mate(nth * 31, 0.6, nth) } else { people.template(people.len + nth) }
            })
            .collect();
    let rows: Vec<Vec<f32>> = probes.iter().map(|probe| rows_of(std::slice::from_ref(probe))).collect();
    let all = rows.concat();
    let mut singles: Vec<(String, Times)> = Vec::new();
    let mut batches: Vec<(String, Times)> = Vec::new();
    let mut reading = Times::default();
    // In turn, so that whatever else the machine does meets all of them.
    for round in 0..ROUNDS {
        reading.add(|| read(people.len * DIMENSION / 8));
        for (nth, value) in [0.45, 0.35].into_iter().enumerate() {
            let threshold = Threshold::new(value).unwrap();
            let (signs, kept) = (gallery.signs(threshold), gallery.kept(threshold));
            let name = format!("**Onebit, threshold {value}, {signs} signs, K = {kept}**");
            let (single, batch) = row(&mut singles, &mut batches, nth, &name);
            for probe in probes.chunks(1).skip(round % 7).step_by(SINGLES_EVERY) {
                single.add(|| drop(black_box(gallery.search(probe, threshold).unwrap())));
            }
            batch.add(|| drop(black_box(gallery.search(&probes, threshold).unwrap())));
        }
        let mut nth = 2;
        for peer in peers.peers.clone() {
            let (single, batch) = row(&mut singles, &mut batches, nth, peer.name);
            for probe in rows.iter().skip(round % 7).step_by(SINGLES_EVERY) {
                single.add(|| drop(black_box(peers.best(peer, probe))));
            }
            batch.add(|| drop(black_box(peers.best(peer, &all))));
            nth += 1;
        }
        let (single, batch) =
            row(&mut singles, &mut batches, nth, "Faiss binary flat, 512 bits, first stage alone");
        for probe in rows.iter().skip(round % 7).step_by(SINGLES_EVERY) {
            let code = signs(probe);
            single.add(|| drop(black_box(peers.binary.search(&code, 100).unwrap())));
        }
        let codes = signs(&all);
        batch.add(|| drop(black_box(peers.binary.search(&codes, 100).unwrap())));
    }
    let read = reading.quantile(0.5);
    let bytes = (people.len * DIMENSION / 8) as f64;
    println!(
        "all signs: {} MB, read on {THREADS} threads in {:.2} ms, {:.1} GB/s (median)\n",
        bytes / 1e6,
        read * 1e3,
        bytes / read / 1e9
    );
    println!(
        "| | one probe: median, p99 ms | times the reading | batches of {BATCH}: probes/s, median, best |"
    );
    println!("| --- | --- | --- | --- |");
    for ((name, single), (_, batch)) in singles.iter().zip(&batches) {
        println!(
            "| {name} | {:.2}, {:.2} | {:.2} | {:.0}, {:.0} |",
            single.quantile(0.5) * 1e3,
            single.quantile(0.99) * 1e3,
            single.quantile(0.5) / read,
            BATCH as f64 / batch.quantile(0.5),
            BATCH as f64 / batch.quantile(0.0),
        );
    }
    println!();
}

type Rows = Vec<(String, Times)>;

fn row<'a>(
    singles: &'a mut Rows,
    batches: &'a mut Rows,
    nth: usize,
    name: &str,
) -> (&'a mut Times, &'a mut Times) {
    for rows in [&mut *singles, &mut *batches] {
        if rows.len() == nth {
            rows.push((name.to_owned(), Times::default()));
        }
    }
    (&mut singles[nth].1, &mut batches[nth].1)
}

/// What something took, each time, in seconds.
#[derive(Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn add(&mut self, work: impl FnOnce()) {
        let start = Instant::now();
        work();
        self.0.push(start.elapsed().as_secs_f64());
    }

    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part).round() as usize]
    }
}

/// Reads so many bytes, once, on two threads, by a plain sum over one gigabyte, of which the share is counted.
fn read(bytes: usize) {
    thread_local!(static BYTES: Vec<u64> = vec![1; READ_BYTES / 8]);
    BYTES.with(|numbers| {
        let numbers = &numbers[..bytes.min(READ_BYTES) / 8];
        thread::scope(|scope| {
            for share in numbers.chunks(numbers.len().div_ceil(THREADS)) {
                scope.spawn(move || {
                    black_box(share.iter().fold(0_u64, |sum, number| sum.wrapping_add(*number)))
                });
            }
        });
    });
}

const BATCH: usize = 256;
const ROUNDS: usize = 5;
const SINGLES_EVERY: usize = 8;
const READ_BYTES: usize = 1 << 30;
