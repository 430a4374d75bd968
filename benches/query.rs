//! A whole query: a partner's client over mutual TLS, the real server, the durable log, the answer's fixed time
//! off. Beside it, in the same run, the health call of the same server, which is TLS and HTTP/2 alone.
#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "a bench that can't go on should stop")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{ask, question_about};

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let agreement = "agreements/au-border-identity.toml";
    let options = HolderOptions::people(PEOPLE)
        .policy(agreement, "per_day = 2_000", "per_day = 50_000_000")
        .policy(agreement, "per_year = 400_000", "per_year = 50_000_000")
        .policy(agreement, "false_hits_per_year = 1.0", "false_hits_per_year = 1e6");
    let holder = runtime.block_on(Holder::start(options));
    let channel = runtime.block_on(holder.channel(who::AU));
    let mut group = criterion.benchmark_group(format!("whole query over TLS, {PEOPLE} people"));
    group.sample_size(10).measurement_time(Duration::from_secs(5)).throughput(Throughput::Elements(1));
    for clients in [1_u64, 16] {
        group.bench_function(BenchmarkId::new("clients", clients), |bench| {
            bench.iter_custom(|rounds| runtime.block_on(ask_all(&channel, clients, rounds)));
        });
    }
    group.bench_function("peer: the health call of the same server", |bench| {
        bench.iter(|| runtime.block_on(holder.health()).unwrap());
    });
    group.finish();
}

async fn ask_all(channel: &Channel, clients: u64, rounds: u64) -> Duration {
    let each = rounds.div_ceil(clients);
    // Enrolled people and strangers in turn, made before the clock runs.
    let person = |nth: u64| if nth.is_multiple_of(2) { nth % PEOPLE } else { PEOPLE + nth };
    let questions: Vec<Vec<_>> = (0..clients)
        .map(|client| (0..each).map(|nth| question_about(person(client * each + nth))).collect())
        .collect();
    let start = Instant::now();
    let tasks: Vec<_> = questions
        .into_iter()
        .map(|questions| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for question in questions {
                    ask(&channel, question).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // What was rounded up is not counted against the rounds asked for.
    start.elapsed().mul_f64(rounds as f64 / (each * clients) as f64)
}

const PEOPLE: u64 = 10_000;
