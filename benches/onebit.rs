//! All benches: `make bench`, or one group by `make bench BENCH=search`.

mod log;
mod query;
mod sealing;
mod search;

use criterion::{Criterion, criterion_group, criterion_main};

// Search first: its peer must run before any pool of ours sets the threads of its linear algebra.
criterion_group!(all, search::benches, sealing::benches, log::benches, query::benches);
criterion_main!(all);
