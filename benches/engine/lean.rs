//! A process that holds a gallery and nothing else: its memory at the peak, its times, the mates that it finds.

use std::hint::black_box;
use std::{env, fs, process};

use onebit::index::{FirstStage, Gallery};
use onebit::template::{Protected, Threshold};

use crate::people::{Gathering, People, THREADS};
use crate::speed::{Memory, Times};

/// Runs this program again, to measure a process of its own.
pub(crate) fn spawn(templates: usize) {
    let status = process::Command::new(env::current_exe().unwrap())
        .env(CHILD, "1")
        .env("ONEBIT_BENCH_TEMPLATES", templates.to_string())
        .status()
        .unwrap();
    assert!(status.success(), "the process that measures its memory failed");
}

pub(crate) fn run(templates: usize) {
    let people = People::new(templates, Gathering::Clustered);
    // The threads and what else a process has before it has templates.
    drop(People::new(1, Gathering::Clustered).gallery(&FirstStage::OneBit));
    let before = peak_bytes();
    let gallery = people.gallery(&FirstStage::OneBit);
    let built = peak_bytes();
    println!("## A process with {templates} templates and nothing else\n");
    println!(
        "| threshold | signs | K | one probe: median, p99 ms | batches of 64: probes/s | mates found at .35 | .40 | .45 | .50 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for value in [0.45, 0.35] {
        let threshold = Threshold::new(value).unwrap();
        let probes = |cosine: f64| -> Vec<Protected> {
            (0..PROBES).map(|nth| people.mate(nth * 7_919 % people.len, cosine, nth)).collect()
        };
        let found: Vec<String> = [0.35, 0.40, 0.45, 0.50]
            .into_iter()
            .map(|cosine| {
                let found = gallery.search(&probes(cosine), threshold).unwrap();
                let own = |nth: usize| (nth * 7_919 % people.len) as u64 + 1;
                let own = found
                    .iter()
                    .enumerate()
                    .filter(|(nth, found)| found.rows().iter().any(|row| row.slot.0 == own(*nth)));
                format!("{} of {PROBES}", own.count())
            })
            .collect();
        let probes = probes(0.6);
        let (mut single, mut batch) = (Times::default(), Times::default());
        for probe in probes.chunks(1).take(200) {
            single.add(|| drop(black_box(gallery.search(probe, threshold).unwrap())));
        }
        for probes in probes.chunks_exact(64) {
            batch.add(|| drop(black_box(gallery.search(probes, threshold).unwrap())));
        }
        println!(
            "| {value} | {} | {} | {:.2}, {:.2} | {:.0} | {} |",
            gallery.signs(threshold),
            gallery.kept(threshold),
            single.quantile(0.5) * 1e3,
            single.quantile(0.99) * 1e3,
            64.0 / batch.quantile(0.5),
            found.join(" | "),
        );
    }
    let searched = peak_bytes();
    println!(
        "\npeak: {:.0} MB before, {:.0} MB with all templates, {:.0} MB after the searches: {:.0} bytes a template\n",
        before as f64 / 1e6,
        built as f64 / 1e6,
        searched as f64 / 1e6,
        (searched - before) as f64 / templates as f64,
    );
    print_allowance(&gallery, templates);
}

/// What one probe may take at most: 1.3 times what two threads take to read its first stage's bytes, and then its second stage.
fn print_allowance(gallery: &Gallery, templates: usize) {
    let (memory, mut reading) = (Memory::taken(), Times::default());
    for _ in 0..READINGS {
        reading.add(|| memory.read());
    }
    let speed = Memory::speed(&reading);
    println!("memory read on {THREADS} threads, of pages read before: {:.1} GB/s (median)\n", speed / 1e9);
    for value in [0.45, 0.35] {
        let signs = gallery.signs(Threshold::new(value).unwrap());
        let bytes = (templates * signs / 8) as f64;
        let read = bytes / speed * 1e3;
        println!(
            "- {value}: the first stage reads {:.0} MB, which takes {read:.2} ms; 1.3 times that is {:.2} ms",
            bytes / 1e6,
            read * 1.3,
        );
    }
    println!();
}

/// The most memory that this process ever had at once.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Set in the process that measures itself.
pub(crate) const CHILD: &str = "ONEBIT_BENCH_LEAN";
const PROBES: usize = 1_024;
const READINGS: usize = 9;
