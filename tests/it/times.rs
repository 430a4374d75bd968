//! Times of answers as a client takes them, and whether two samples of them come from one distribution.

use std::time::{Duration, Instant};

use onebit::grpc::pb::partner::Question;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::Channel;

use crate::holder::HolderOptions;
use crate::story::ask;

/// How long each question took, in seconds: so many of each kind, all kinds in turn, each turn in another order.
pub(crate) async fn times<const KINDS: usize>(
    kinds: [(&Channel, &dyn Fn(u64) -> Question); KINDS],
    each: u64,
) -> [Vec<f64>; KINDS] {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut times = [(); KINDS].map(|()| Vec::new());
    let mut order: Vec<usize> = (0..KINDS).collect();
    for turn in 0..each + WARM_UP {
        order.shuffle(&mut rng);
        for &kind in &order {
            let (channel, of) = kinds[kind];
            let question = of(turn);
            // No two questions are equally far from what else the machine does in time with them.
            tokio::time::sleep(Duration::from_micros(rng.random_range(0..200))).await;
            let begun = Instant::now();
            ask(channel, question).await.unwrap();
            if turn >= WARM_UP {
                times[kind].push(begun.elapsed().as_secs_f64());
            }
        }
    }
    times
}

/// Two samples of times.
pub(crate) struct Compared {
    distance: f64,
    critical: f64,
    welch: f64,
    pub(crate) medians: [f64; 2],
}

impl Compared {
    pub(crate) fn of(one: &[f64], other: &[f64]) -> Self {
        let (one, other) = (sorted(one), sorted(other));
        let sizes = [one.len() as f64, other.len() as f64];
        // Smirnov's limit for two samples: see Stephens 1970, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and
        // related statistics without extensive tables".
        let critical = (-(LEVEL / 2.0).ln() / 2.0 * (sizes[0] + sizes[1]) / (sizes[0] * sizes[1])).sqrt();
        let below =
            |times: &[f64], at: f64| times.partition_point(|time| *time <= at) as f64 / times.len() as f64;
        let distance = one
            .iter()
            .chain(&other)
            .map(|at| (below(&one, *at) - below(&other, *at)).abs())
            .fold(0.0, f64::max);
        let ([mean_one, variance_one], [mean_other, variance_other]) = (moments(&one), moments(&other));
        let welch = (mean_one - mean_other) / (variance_one / sizes[0] + variance_other / sizes[1]).sqrt();
        Self { distance, critical, welch, medians: [one[one.len() / 2], other[other.len() / 2]] }
    }

    pub(crate) fn differ(&self) -> bool {
        self.distance > self.critical
    }
}

impl std::fmt::Display for Compared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [one, other] = self.medians.map(|seconds| seconds * 1e3);
        write!(
            out,
            "medians {one:.3} and {other:.3} ms, Kolmogorov–Smirnov D {:.3} (critical {:.3}), Welch t {:.2}",
            self.distance, self.critical, self.welch
        )
    }
}

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times
}

/// Mean and variance.
fn moments(times: &[f64]) -> [f64; 2] {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    [mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0)]
}

/// With volumes that these tests do not use up.
pub(crate) fn asked_often(options: HolderOptions) -> HolderOptions {
    let agreement = "agreements/au-border-identity.toml";
    options
        .policy(agreement, "per_day = 2_000", "per_day = 50_000_000")
        .policy(agreement, "per_year = 400_000", "per_year = 50_000_000")
        .policy(agreement, "false_hits_per_year = 1.0", "false_hits_per_year = 1e6")
}

/// How often equal times are called different, for each comparison.
const LEVEL: f64 = 1e-6;
/// Turns before the first that counts: connections, caches and statements are new in them.
const WARM_UP: u64 = 20;
