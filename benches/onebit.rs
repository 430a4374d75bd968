//! All benches: `make bench`, or one group by `make bench BENCH=search`.

mod enrol;
mod fsck;
// The harness of the tests: a holder with the real server.
#[path = "../tests/it/holder.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "written for the tests, which need more of it"
)]
mod holder;
mod inspect;
mod log;
mod processor;
mod sealing;
mod search;
#[path = "../tests/it/story.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "written for the tests, which need more of it"
)]
mod story;
mod stream;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    all,
    inspect::benches,
    search::benches,
    sealing::benches,
    log::benches,
    fsck::benches,
    enrol::benches,
    stream::benches
);
criterion_main!(all);
