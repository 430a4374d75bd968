//! Latency of one probe and throughput of batches, ours and the peers' in turn, beside the memory's bandwidth.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use faiss::Index;
use memmap2::{Advice, MmapMut};
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
    let memory = Memory::taken();
    let mut reading = Times::default();
    // In turn, so that whatever else the machine does meets all of them.
    for round in 0..ROUNDS {
        memory.read();
        reading.add(|| memory.read());
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
    let speed = Memory::speed(&reading);
    let bytes = (people.len * DIMENSION / 8) as f64;
    println!(
        "memory read on {THREADS} threads: {:.1} GB/s (median), all signs, {} MB, in {:.2} ms\n",
        speed / 1e9,
        bytes / 1e6,
        bytes / speed * 1e3,
    );
    println!("| | one probe: median, p99 ms | batches of {BATCH}: probes/s, median, best |");
    println!("| --- | --- | --- |");
    for ((name, single), (_, batch)) in singles.iter().zip(&batches) {
        println!(
            "| {name} | {:.2}, {:.2} | {:.0}, {:.0} |",
            single.quantile(0.5) * 1e3,
            single.quantile(0.99) * 1e3,
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

/// One gigabyte on large pages, as sketches lie.
pub(crate) struct Memory(MmapMut);

impl Memory {
    pub(crate) fn taken() -> Self {
        let mut map = MmapMut::map_anon(READ_BYTES).unwrap();
        map.advise(Advice::HugePage).unwrap();
        map.fill(1);
        Self(map)
    }

    /// Bytes a second, the median.
    pub(crate) fn speed(reading: &Times) -> f64 {
        READ_BYTES as f64 / reading.quantile(0.5)
    }

    /// Reads all of it on two threads, by a plain sum.
    pub(crate) fn read(&self) {
        let (numbers, _) = self.0.as_chunks::<8>();
        thread::scope(|scope| {
            for share in numbers.chunks(numbers.len().div_ceil(THREADS)) {
                let sum = |sum: u64, number: &[u8; 8]| sum.wrapping_add(u64::from_le_bytes(*number));
                scope.spawn(move || black_box(share.iter().fold(0, sum)));
            }
        });
    }
}

const BATCH: usize = 256;
const ROUNDS: usize = 5;
const SINGLES_EVERY: usize = 8;
const READ_BYTES: usize = 1 << 30;
