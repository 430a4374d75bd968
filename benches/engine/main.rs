//! The search beside its peers, all in one run: quality against exact 32-bit search, latency and throughput,
//! and the memory of a process that holds nothing but a gallery.
//!
//! ```sh
//! make bench-engine                                   # N = 100,000, a few minutes
//! ONEBIT_BENCH_TEMPLATES=1000000 make bench-engine    # some 8 GB, and half an hour
//! ONEBIT_BENCH_TEMPLATES=10000000 make bench-engine   # without those that hold 32-bit rows, 20 GB, and an hour
//! ```
//!
//! With `ONEBIT_BENCH_GRAPH=FOLDER` Faiss's HNSW32 and IVF1024 are beside them. The graph takes longer to build than all
//! the rest, so that it is kept in that folder, and read from there in the runs after.
//! `ONEBIT_BENCH_STAGES="onebit faiss:SQ8 faiss:PQ64x4fs"` measures what `search.index` can be, and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::as_conversions,
    reason = "a bench that can't go on should stop, and prints what it measured"
)]

mod lean;
mod peers;
mod people;
mod quality;
mod speed;
mod stages;

use std::env;

use onebit::index::FirstStage;
use people::{Gathering, People};

fn main() {
    let templates: usize = env::var("ONEBIT_BENCH_TEMPLATES").map_or(100_000, |text| text.parse().unwrap());
    if env::var_os(lean::CHILD).is_some() {
        lean::run(templates);
        return;
    }
    if let Some(named) = stages::named() {
        stages::run(templates, &named);
        return;
    }
    println!("N = {templates}, d = {}, two threads\n", people::DIMENSION);
    lean::spawn(templates);
    peers::keep_blas_on_one_thread();
    for gathering in [Gathering::Isotropic, Gathering::Clustered] {
        let people = People::new(templates, gathering);
        let mut peers = peers::Peers::build(&people);
        let gallery = people.gallery(&FirstStage::OneBit);
        if matches!(gathering, Gathering::Isotropic) {
            speed::run(&people, &gallery, &mut peers);
        }
        if !peers::Peers::has_exact(&people) {
            println!("without exact search beside it there is no table of quality");
            return;
        }
        quality::run(&people, &gallery, &mut peers);
    }
}
