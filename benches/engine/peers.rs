//! Faiss, in the forms that one would take in our place.
#![expect(unsafe_code, reason = "the threads of its libraries have no safe wrapper")]

use std::borrow::Cow;
use std::env;
use std::ffi::c_int;
use std::ops::Range;
use std::path::Path;

use faiss::index::autotune::ParameterSpace;
use faiss::index::io::{read_index, write_index};
use faiss::index::{BinaryIndexImpl, IndexImpl, index_binary_factory};
use faiss::{Index, MetricType, index_factory};

use crate::people::{DIMENSION, Gathering, People};

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
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Probes that its quality is taken on; fewer where all would take very long.
    pub(crate) probes: usize,
    index: usize,
    setting: Option<(&'static str, f64)>,
    /// What its vectors are multiplied by.
    scale: f32,
}

pub(crate) struct Peers {
    /// The first is exact, 32-bit, where it fits: what decides who is right.
    pub(crate) peers: Vec<Peer>,
    indexes: Vec<IndexImpl>,
    /// Hamming distances alone: a first stage without a second.
    pub(crate) binary: BinaryIndexImpl,
}

impl Peers {
    /// Whether exact search is among them: beyond so many templates 32-bit rows don't fit beside the others.
    pub(crate) fn has_exact(people: &People) -> bool {
        people.len <= LARGEST_WITH_ROWS
    }

    pub(crate) fn build(people: &People) -> Self {
        let held = if Self::has_exact(people) { people.rows(0..people.len) } else { Vec::new() };
        let rows = |range: Range<usize>| match held.get(range.start * DIMENSION..range.end * DIMENSION) {
            Some(rows) => Cow::Borrowed(rows),
            None => Cow::Owned(people.rows(range)),
        };
        let build = |factory: &str, scale: f32| build(factory, scale, people.len, &rows);
        let (mut indexes, mut peers) = (Vec::new(), Vec::new());
        if Self::has_exact(people) {
            indexes.push(build("Flat", 1.0));
            peers.push(peer("Faiss flat, 32-bit", 0, None));
        } else {
            println!(
                "beyond {LARGEST_WITH_ROWS} templates Faiss flat and SQ8 are left out: their rows don't fit"
            );
        }
        // Those that can't take part in batches of thousands, or take an hour to build, are measured on one gallery only.
        if Self::has_exact(people) && matches!(people.gathering, Gathering::Isotropic) {
            peers.push(Peer {
                scale: DIRECT_SCALE,
                probes: 1_500,
                ..peer("Faiss SQ8 direct signed", indexes.len(), None)
            });
            indexes.push(build("SQ8_direct_signed", DIRECT_SCALE));
        }
        let refined = |number| Some(("k_factor_rf", number));
        peers.push(peer("Faiss PQ64x4fs, 100 refined by SQ8", indexes.len(), refined(100.0)));
        peers.push(peer("Faiss PQ64x4fs, 1,000 refined by SQ8", indexes.len(), refined(1_000.0)));
        indexes.push(build("PQ64x4fs,Refine(SQ8)", 1.0));
        peers.push(peer("Faiss PQ128x4fs, 100 refined by SQ8", indexes.len(), refined(100.0)));
        peers.push(peer("Faiss PQ128x4fs, 300 refined by SQ8", indexes.len(), refined(300.0)));
        peers.push(peer("Faiss PQ128x4fs, 1,000 refined by SQ8", indexes.len(), refined(1_000.0)));
        indexes.push(build("PQ128x4fs,Refine(SQ8)", 1.0));
        let is_first = matches!(people.gathering, Gathering::Isotropic);
        if let Some(folder) =
            env::var_os("ONEBIT_BENCH_GRAPH").filter(|_| is_first && Self::has_exact(people))
        {
            peers.push(peer("Faiss HNSW32, ef 512", indexes.len(), Some(("efSearch", 512.0))));
            indexes.push(kept(Path::new(&folder), people, || build("HNSW32", 1.0)));
            peers.push(peer("Faiss IVF1024, 64 of them looked at", indexes.len(), Some(("nprobe", 64.0))));
            indexes.push(build("IVF1024,Flat", 1.0));
        }
        let mut binary = index_binary_factory(DIMENSION as u32, "BFlat").unwrap();
        for range in ranges(people.len) {
            binary.add(&signs(&rows(range))).unwrap();
        }
        Self { peers, indexes, binary }
    }

    /// The best cosine of each probe, as this peer sees it.
    pub(crate) fn best(&mut self, peer: Peer, probes: &[f32]) -> Vec<f64> {
        let index = &mut self.indexes[peer.index];
        if let Some((name, value)) = peer.setting {
            ParameterSpace::new().unwrap().set_index_parameter(index, name, value).unwrap();
        }
        let scaled: Vec<f32> = probes.iter().map(|value| value * peer.scale).collect();
        let found = index.search(&scaled, 1).unwrap();
        let scale = f64::from(peer.scale) * f64::from(peer.scale);
        found.distances.iter().map(|distance| f64::from(*distance) / scale).collect()
    }
}

fn peer(name: &'static str, index: usize, setting: Option<(&'static str, f64)>) -> Peer {
    Peer { name, probes: usize::MAX, index, setting, scale: 1.0 }
}

fn build<'a>(
    factory: &str,
    scale: f32,
    len: usize,
    rows: &impl Fn(Range<usize>) -> Cow<'a, [f32]>,
) -> IndexImpl {
    let mut index = index_factory(DIMENSION as u32, factory, MetricType::InnerProduct).unwrap();
    let scaled = |range| rows(range).iter().map(|value| value * scale).collect::<Vec<f32>>();
    if !index.is_trained() {
        index.train(&scaled(0..len.min(TRAINING))).unwrap();
    }
    for range in ranges(len) {
        index.add(&scaled(range)).unwrap();
    }
    index
}

/// A graph takes an hour at a million: it is built once for these people, and read from then on.
fn kept(folder: &Path, people: &People, build: impl FnOnce() -> IndexImpl) -> IndexImpl {
    let file = folder.join(format!("hnsw32-{}.faiss", people.len));
    let file = file.to_str().unwrap();
    if !Path::new(file).exists() {
        let index = build();
        write_index(&index, file).unwrap();
        println!("the graph was built and is in {file}; run it again for figures that no build disturbs");
        return index;
    }
    read_index(file).unwrap()
}

/// So many templates, in parts.
fn ranges(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(TRAINING).map(move |start| start..len.min(start + TRAINING))
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
/// Brings unit vectors of 512 components to the scale of signed bytes.
const DIRECT_SCALE: f32 = 720.0;
/// 4 GB of 32-bit rows, in two copies.
const LARGEST_WITH_ROWS: usize = 2_000_000;
