//! Sealing: what one small value costs, and what AES-256-GCM by itself costs beside it.
#![expect(clippy::expect_used, reason = "a bench that can't go on should stop")]

use criterion::{BenchmarkId, Criterion, Throughput};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use onebit::keys::{Place, SealingKey};
use onebit::secret::{Secret, SystemEntropy};

/// Runs the benches of this file.
pub(crate) fn benches(criterion: &mut Criterion) {
    let entropy = SystemEntropy::new();
    let key = SealingKey::new(&Secret::random(&entropy).expect("randomness"));
    let place = Place { table: "templates", row: &[7; 8], column: "template", version: 1 };
    let mut group = criterion.benchmark_group("sealing");
    // An outcome of a query, and a template of 512 components at 16 bits.
    for size in [33_usize, 1_027] {
        let plain = vec![1_u8; size];
        let sealed = key.seal(place, &plain, &entropy).expect("sealing").into_bytes();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("seal", size), |bench| {
            bench.iter(|| key.seal(place, &plain, &entropy).expect("sealing"));
        });
        group.bench_function(BenchmarkId::new("open", size), |bench| {
            bench.iter(|| key.open(place, &sealed).expect("opening"));
        });
        let ring = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[3; 32]).expect("a key"));
        group.bench_function(BenchmarkId::new("peer: ring alone, no nonce drawn, no place", size), |bench| {
            bench.iter(|| {
                let mut bytes = plain.clone();
                let nonce = Nonce::assume_unique_for_key([5; 12]);
                ring.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes).expect("sealing");
                bytes
            });
        });
    }
    group.finish();
}
