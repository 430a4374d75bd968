//! Whether decisions are those of exact 32-bit search: mates at every cosine, and strangers.

use onebit::index::Gallery;
use onebit::template::{Protected, Threshold};
use rayon::prelude::*;

use crate::peers::Peers;
use crate::people::{People, rows_of};

pub(crate) fn run(people: &People, gallery: &Gallery, peers: &mut Peers) {
    let probes: Vec<(Option<f64>, Protected)> = (0..PROBES)
        .into_par_iter()
        .map(|nth| match COSINES.get(nth % (COSINES.len() + 1)) {
            Some(&cosine) => (Some(cosine), people.mate(nth * 7_919 % people.len, cosine, nth)),
            None => (None, people.template(people.len + nth)),
        })
        .collect();
    let (kinds, probes): (Vec<Option<f64>>, Vec<Protected>) = probes.into_iter().unzip();
    let mut bests: Vec<(&str, Vec<f64>)> = Vec::new();
    for peer in peers.peers.clone() {
        let probes = probes[..PROBES.min(peer.probes)].chunks(256);
        bests.push((peer.name, probes.flat_map(|probes| peers.best(peer, &rows_of(probes))).collect()));
    }
    let (_, exact) = bests.remove(0);
    println!("## Quality, {:?}, N = {}: {PROBES} probes\n", people.gathering, people.len);
    for value in THRESHOLDS {
        let threshold = Threshold::new(value).unwrap();
        let found = gallery.search(&probes, threshold).unwrap();
        let ours: Vec<bool> = found
            .iter()
            .map(|found| found.rows().iter().any(|row| row.similarity.passes(threshold)))
            .collect();
        println!(
            "threshold {value}, {} of {} signs, K = {}\n",
            gallery.signs(threshold),
            crate::people::DIMENSION,
            gallery.kept(threshold)
        );
        println!(
            "| cosine of the mate | probes | pass exactly | decided alike beyond ±{BAND} | flipped within |"
        );
        println!("| --- | --- | --- | --- | --- |");
        let mut total = Tally::default();
        for kind in COSINES.iter().copied().map(Some).chain([None]) {
            let mut tally = Tally::default();
            for ((_, exact), ours) in kinds.iter().zip(&exact).zip(&ours).filter(|((of, _), _)| **of == kind)
            {
                tally.count(*exact, *ours, value);
            }
            let name = kind.map_or("none (stranger)".to_owned(), |cosine| cosine.to_string());
            println!("| {name} {tally}");
            total.add(&tally);
        }
        println!("| all {total}\n");
        println!("| beside it, all probes | | | decided alike beyond ±{BAND} | flipped within |");
        println!("| --- | --- | --- | --- | --- |");
        for (name, bests) in &bests {
            let mut tally = Tally::default();
            for (exact, best) in exact.iter().zip(bests) {
                tally.count(*exact, *best >= value, value);
            }
            println!("| {name} {tally}");
        }
        println!();
    }
}

#[derive(Default)]
struct Tally {
    probes: u32,
    passing: u32,
    beyond: u32,
    alike: u32,
    flipped: u32,
}

impl Tally {
    fn count(&mut self, exact: f64, decided: bool, threshold: f64) {
        let passes = exact >= threshold;
        self.probes += 1;
        self.passing += u32::from(passes);
        if (exact - threshold).abs() > BAND {
            self.beyond += 1;
            self.alike += u32::from(passes == decided);
        } else {
            self.flipped += u32::from(passes != decided);
        }
    }

    fn add(&mut self, other: &Self) {
        self.probes += other.probes;
        self.passing += other.passing;
        self.beyond += other.beyond;
        self.alike += other.alike;
        self.flipped += other.flipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let within = self.probes - self.beyond;
        let Self { probes, passing, beyond, alike, flipped } = self;
        write!(out, "| {probes} | {passing} | {alike} of {beyond} | {flipped} of {within} |")
    }
}

/// A stranger comes after the mates of every cosine; of each threshold one is within the band and one close above.
const COSINES: [f64; 16] =
    [0.25, 0.30, 0.34, 0.3505, 0.353, 0.36, 0.40, 0.44, 0.4505, 0.453, 0.46, 0.50, 0.55, 0.60, 0.70, 0.80];
const THRESHOLDS: [f64; 2] = [0.45, 0.35];
const PROBES: usize = 12_000;
/// Where 8 bits may decide otherwise than 32.
const BAND: f64 = 0.002;
