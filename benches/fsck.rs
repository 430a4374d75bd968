//! The check of a whole store: 100,000 queries with their entries, checked from the first to the last.
#![expect(clippy::expect_used, reason = "a bench that can't go on should stop")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use onebit::store::sqlite;
use tokio::runtime::Runtime;

use crate::log::{Bench, What, record_all, root};

/// Runs the bench of this file. A million entries take ten times as long: the check reads each once, in order.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    runtime.block_on(async {
        let bench = Arc::new(Bench::open(folder.path()).await);
        record_all(&bench, What::Query, CLIENTS, QUERIES).await;
    });
    let mut group = criterion.benchmark_group("fsck");
    group.sample_size(10).measurement_time(Duration::from_secs(20)).throughput(Throughput::Elements(QUERIES));
    group.bench_function("entries of answered queries", |timer| {
        timer.iter(|| {
            let report = sqlite::fsck(folder.path(), root(), &mut |_, _, _| {}).expect("a check");
            assert!(
                report.is_whole() && report.counts.queries >= QUERIES,
                "the store of the bench is not whole"
            );
        });
    });
    group.finish();
}

const QUERIES: u64 = 100_000;
/// As many as make full batches.
const CLIENTS: u32 = 256;
