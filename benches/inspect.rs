//! Searches of the log: the first page of what is found among as many entries as `ONEBIT_BENCH_ENTRIES` says, each
//! written by the transaction that records a query. Every search is measured whole, with its own durable entry.
#![expect(
    clippy::expect_used,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that can't go on should stop"
)]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use onebit::store::search::{Attribute, Search, Sought};
use tokio::runtime::Runtime;

use crate::log::{Bench, What, record_all};

/// Runs the bench of this file.
pub(crate) fn benches(_criterion: &mut Criterion) {
    // Criterion passes its filter by the command line and would fill the log for every other bench as well.
    if !env::args().skip(1).all(|given| given.starts_with('-') || "inspect".contains(given.as_str())) {
        return;
    }
    let entries: u64 =
        env::var("ONEBIT_BENCH_ENTRIES").map_or(100_000, |text| text.parse().expect("a number"));
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let bench = Arc::new(Bench::open(folder.path()).await);
        let begun = Instant::now();
        let (mut left, mut indexing) = (entries, Duration::ZERO);
        while left > 0 {
            let part = left.min(FILLED_AT_ONCE);
            record_all(&bench, What::Query, CLIENTS, part).await;
            let index = Instant::now();
            bench.tags_index().await;
            indexing += index.elapsed();
            left -= part;
        }
        let bytes = folder.path().join("onebit.sqlite").metadata().map_or(0, |file| file.len());
        println!(
            "inspect: {entries} entries written in {:.0} s, their tags indexed in {:.1} s of it; {} MiB",
            begun.elapsed().as_secs_f64(),
            indexing.as_secs_f64(),
            bytes >> 20
        );
        println!("inspect: searched by                           found  first    p50      p99");
        for (what, sought) in searches() {
            report(&bench, what, &sought).await;
        }
    });
}

async fn report(bench: &Bench, what: &str, sought: &Sought) {
    let mut took = Vec::new();
    let mut found = 0;
    for _ in 0..RUNS {
        let search = Search { sought: sought.clone(), before: None, limit: PAGE, why: "a bench".to_owned() };
        let begun = Instant::now();
        found = bench.search(search).await;
        took.push(begun.elapsed());
    }
    let first = took.first().copied().unwrap_or_default();
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!("inspect: {what:<45} {found:>5}  {:<8.1?} {:<8.1?} {:<8.1?}", first, at(0.5), at(0.99));
}

/// Values that many entries have, that few have, and that none has: whoever finds nothing has looked everywhere.
fn searches() -> Vec<(&'static str, Sought)> {
    let by = |attribute, value: &str| Sought::new(attribute, value, None, None).expect("a value");
    vec![
        ("partner, that of every entry", by(Attribute::Partner, "au-border")),
        ("kind, that of every entry", by(Attribute::Kind, "query.answered")),
        ("case, one of 65,536", by(Attribute::Case, "case-4711")),
        ("official, one of 256", by(Attribute::Official, "official-17")),
        ("case that there is not", by(Attribute::Case, "case-none")),
        ("query that there is not", by(Attribute::Query, "00000000000000000000000000000000")),
        ("kind, of the first entry alone", by(Attribute::Kind, "founding")),
    ]
}

const FILLED_AT_ONCE: u64 = 50_000;
/// As many as make full batches.
const CLIENTS: u32 = 256;
const RUNS: u32 = 200;
/// As many as a page of the console has.
const PAGE: u32 = 25;
