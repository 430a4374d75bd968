//! All benches: `make bench`, or one group by `make bench BENCH=search`.

mod fsck;
mod log;
mod sealing;
mod search;

use criterion::{criterion_group, criterion_main};

criterion_group!(all, search::benches, sealing::benches, log::benches, fsck::benches);
criterion_main!(all);
