//! Faiss, in the forms that one would take in our place.
#![expect(unsafe_code, reason = "the threads of its libraries have no safe wrapper")]

use std::env;
use std::ffi::c_int;

use faiss::index::autotune::ParameterSpace;
use faiss::index::{BinaryIndexImpl, IndexImpl, index_binary_factory};
use faiss::{Index, MetricType, index_factory};

use crate::people::{DIMENSION, People};

#[link(name = "gomp")]
unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}

#[link(name = "openblas")]
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
}

/// Keeps OpenBLAS from starting threads beside those of OpenMP, which made flat batches three times slower.
pub(crate) fn keep_blas_on_one_thread() {
    // SAFETY: takes a number; OpenBLAS guards the change with its own lock.
    unsafe { openblas_set_num_threads(1) }
    // SAFETY: takes a number and sets a variable of this thread (OpenMP 5.0, section 3.2.1).
    unsafe { omp_set_num_threads(2) }
}

/// One form of Faiss.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    index: IndexImpl,
    /// What its vectors are multiplied by.
    scale: f32,
}

pub(crate) struct Peers {
    /// Exact, 32-bit: what decides who is right.
    pub(crate) flat: Peer,
    pub(crate) others: Vec<Peer>,
    /// Hamming distances alone: a first stage without a second.
    pub(crate) binary: BinaryIndexImpl,
}

impl Peers {
    pub(crate) fn build(people: &People) -> Self {
        let rows = people.rows();
        let flat = Peer::build("Faiss flat, 32-bit", "Flat", 1.0, &rows);
        let mut others = vec![
            Peer::build("Faiss SQ8 direct signed", "SQ8_direct_signed", 720.0, &rows),
            Peer::build("Faiss PQ64x4fs, 100 refined by SQ8", "PQ64x4fs,Refine(SQ8)", 1.0, &rows)
                .set("k_factor_rf", 100.0),
            Peer::build("Faiss PQ64x4fs, 1,000 refined by SQ8", "PQ64x4fs,Refine(SQ8)", 1.0, &rows)
                .set("k_factor_rf", 1_000.0),
            Peer::build("Faiss PQ128x4fs, 100 refined by SQ8", "PQ128x4fs,Refine(SQ8)", 1.0, &rows)
                .set("k_factor_rf", 100.0),
        ];
        if env::var_os("ONEBIT_BENCH_GRAPH").is_some() {
            others.push(Peer::build("Faiss HNSW32, ef 512", "HNSW32", 1.0, &rows).set("efSearch", 512.0));
        }
        let mut binary = index_binary_factory(DIMENSION as u32, "BFlat").unwrap();
        binary.add(&signs(&rows)).unwrap();
        Self { flat, others, binary }
    }
}

impl Peer {
    fn build(name: &'static str, factory: &str, scale: f32, rows: &[f32]) -> Self {
        let mut index = index_factory(DIMENSION as u32, factory, MetricType::InnerProduct).unwrap();
        let few = &rows[..rows.len().min(TRAINING * DIMENSION)];
        let scaled = |rows: &[f32]| rows.iter().map(|value| value * scale).collect::<Vec<f32>>();
        if !index.is_trained() {
            index.train(&scaled(few)).unwrap();
        }
        for rows in rows.chunks(TRAINING * DIMENSION) {
            index.add(&scaled(rows)).unwrap();
        }
        Self { name, index, scale }
    }

    fn set(self, parameter: &str, value: f64) -> Self {
        ParameterSpace::new().unwrap().set_index_parameter(&self.index, parameter, value).unwrap();
        self
    }

    /// The best cosine of each probe, as this peer sees it, and whose it is.
    pub(crate) fn best(&mut self, probes: &[f32]) -> Vec<(f64, Option<u64>)> {
        let scaled: Vec<f32> = probes.iter().map(|value| value * self.scale).collect();
        let found = self.index.search(&scaled, 1).unwrap();
        let scale = f64::from(self.scale) * f64::from(self.scale);
        found
            .distances
            .iter()
            .zip(&found.labels)
            .map(|(d, label)| (f64::from(*d) / scale, label.get()))
            .collect()
    }
}

/// One bit a component.
pub(crate) fn signs(rows: &[f32]) -> Vec<u8> {
    let byte = |eight: &[f32]| {
        eight.iter().enumerate().fold(0, |byte, (bit, value)| byte | u8::from(*value < 0.0) << bit)
    };
    rows.chunks(8).map(byte).collect()
}

/// Rows that a quantiser is trained on, and that are added at a time.
const TRAINING: usize = 65_536;
