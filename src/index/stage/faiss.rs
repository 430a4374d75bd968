//! An index of Faiss as the first stage, behind checks of its own: Faiss cuts a probe of the wrong length without a
//! word and then finds nothing, which would be a false `NO_HIT`, so that every length, place and number that comes
//! back is looked at. Its error texts carry paths of the build and are never shown.
//!
//! Quantisers are trained on made-up people, random unit vectors from a fixed seed, and not on the gallery: the secret
//! transform turns templates into all directions alike, so that nothing is gained by real ones; a small segment is then
//! rounded as finely as a large one, scores of all segments compare, and nothing of anybody stays in a codebook.
//!
//! Not protected: what Faiss holds, templates in its own rounding, and the probes of a search, is freed without being
//! wiped.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

use faiss::index::{IndexImpl, TryClone};
use faiss::{Index, MetricType, index_factory};
use zeroize::Zeroizing;

use super::factory::Factory;
use super::{IndexError, Near, Segment, Stage, StageError, Staged};
use crate::template::Dimension;

/// An index without templates, of which every segment gets a copy.
pub(super) struct Faiss {
    empty: Mutex<IndexImpl>,
    frame: Frame,
    fineness: f64,
}

/// How vectors go in and scores come out.
#[derive(Clone, Copy)]
struct Frame {
    dimension: Dimension,
    scale: Option<(f32, f32)>,
    order: Order,
}

/// Which scores are of the more alike.
#[derive(Clone, Copy)]
enum Order {
    GreaterIsNearer,
    LessIsNearer,
}

/// The templates of one segment.
struct Templates {
    // Its searches change nothing, but the binding does not say so; a scan looks through a segment on one thread.
    index: Mutex<IndexImpl>,
    len: usize,
    frame: Frame,
}

impl Faiss {
    /// Makes the index, trains it and tries how fine it is.
    pub(super) fn open(factory: &Factory, dimension: Dimension) -> Result<Self, StageError> {
        let failed = || StageError::Native(factory.to_string());
        threads_one();
        let metric = if factory.is_by_signs() { MetricType::L2 } else { MetricType::InnerProduct };
        let order = if factory.is_by_signs() { Order::LessIsNearer } else { Order::GreaterIsNearer };
        let mut empty =
            index_factory(u32::from(dimension.get()), factory.text(), metric).map_err(|_| failed())?;
        let frame = Frame { dimension, scale: factory.scale(dimension), order };
        let mut strangers = Strangers::new();
        if !empty.is_trained() {
            let mut few = strangers.take(factory.training(), dimension);
            frame.scaled(&mut few);
            empty.train(&few).map_err(|_| failed())?;
        }
        if empty.ntotal() != 0 || empty.d() != u32::from(dimension.get()) || !empty.is_trained() {
            return Err(failed());
        }
        let mut stage = Self { empty: Mutex::new(empty), frame, fineness: 0.0 };
        stage.fineness = stage.tried(&mut strangers).ok_or_else(failed)?;
        // Which one, and for how many components, stands in the configuration and the rules.
        tracing::info!(
            "Faiss chooses what is compared; its memory holds templates and is not wiped when it is freed"
        );
        Ok(stage)
    }

    /// The correlation of its scores and the cosines of strangers, tried on some.
    fn tried(&self, strangers: &mut Strangers) -> Option<f64> {
        let rows = strangers.take(TRIED_TEMPLATES, self.frame.dimension);
        let probes = strangers.take(TRIED_PROBES, self.frame.dimension);
        let mut scaled = rows.clone();
        self.frame.scaled(&mut scaled);
        let templates = self.templates(&scaled, TRIED_TEMPLATES)?;
        let found = templates.found(&probes, TRIED_TEMPLATES).ok()?;
        let mut sums = Sums::default();
        let components = self.frame.dimension.len();
        for (probe, found) in probes.chunks(components).zip(found) {
            for (score, position) in found {
                let row = rows.chunks(components).nth(usize::try_from(position).ok()?)?;
                let products = probe.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b));
                sums.add(products.sum(), f64::from(score));
            }
        }
        let fineness = match self.frame.order {
            Order::GreaterIsNearer => sums.correlation(),
            Order::LessIsNearer => -sums.correlation(),
        };
        // What is worse than this hardly tells a mate from strangers, or does not do what we take it for.
        (FINENESS_LEAST..=1.0 + f64::EPSILON.sqrt()).contains(&fineness).then(|| fineness.min(1.0))
    }

    fn templates(&self, rows: &[f32], len: usize) -> Option<Templates> {
        threads_one();
        let mut index = lock(&self.empty).try_clone().ok()?;
        index.add(rows).ok()?;
        let is_whole = usize::try_from(index.ntotal()).is_ok_and(|total| total == len)
            && rows.len() == len.checked_mul(self.frame.dimension.len())?;
        is_whole.then(|| Templates { index: Mutex::new(index), len, frame: self.frame })
    }
}

impl Stage for Faiss {
    fn index(&self, segment: &Segment) -> Option<Box<dyn Staged>> {
        let components = self.frame.dimension.len();
        let mut rows = Zeroizing::new(Vec::with_capacity(segment.len().saturating_mul(components)));
        for (position, _) in segment.positions() {
            let length = f64::from(segment.squares(position)?).sqrt();
            let unit =
                segment.components(position).take(components).map(|one| narrow(f64::from(one) / length));
            rows.extend(unit);
        }
        self.frame.scaled(&mut rows);
        let made = self.templates(&rows, segment.len());
        if made.is_none() {
            tracing::error!(
                count = segment.len(),
                "Faiss could not index a segment; it is searched by Onebit's own first stage"
            );
        }
        let made: Box<dyn Staged> = Box::new(made?);
        Some(made)
    }

    fn fineness(&self) -> f64 {
        self.fineness
    }
}

impl Templates {
    /// The nearest of each probe, with the scores of Faiss.
    fn found(&self, probes: &[f32], count: usize) -> Result<Vec<Vec<(f32, u32)>>, IndexError> {
        let components = self.frame.dimension.len();
        let asked = probes.len() / components.max(1);
        if asked.saturating_mul(components) != probes.len() || count == 0 || count > self.len {
            return Err(IndexError::Search);
        }
        threads_one();
        let found = lock(&self.index).search(probes, count).map_err(|_| IndexError::Search)?;
        let (distances, labels) = (Zeroizing::new(found.distances), found.labels);
        let all = asked.checked_mul(count);
        if all != Some(distances.len()) || all != Some(labels.len()) {
            return Err(IndexError::Search);
        }
        let mut nearest = Vec::with_capacity(asked);
        for (distances, labels) in distances.chunks(count).zip(labels.chunks(count)) {
            let mut is_met = vec![false; self.len];
            let mut one = Vec::with_capacity(count);
            for (distance, label) in distances.iter().zip(labels) {
                // None stands for a template that was not found.
                let label =
                    label.get().and_then(|label| usize::try_from(label).ok()).ok_or(IndexError::Search)?;
                let met = is_met.get_mut(label).ok_or(IndexError::Search)?;
                if std::mem::replace(met, true) || !distance.is_finite() {
                    return Err(IndexError::Search);
                }
                one.push((*distance, u32::try_from(label).map_err(|_| IndexError::Search)?));
            }
            nearest.push(one);
        }
        Ok(nearest)
    }
}

impl Staged for Templates {
    fn nearest(&self, probes: &[f32], count: usize) -> Result<Vec<Vec<Near>>, IndexError> {
        let near = |(distance, position)| Near { score: self.frame.order.score(distance), position };
        let found = self.found(probes, count)?;
        Ok(found.into_iter().map(|one| one.into_iter().map(near).collect()).collect())
    }
}

impl Frame {
    fn scaled(&self, rows: &mut [f32]) {
        if let Some((scale, largest)) = self.scale {
            rows.iter_mut().for_each(|one| *one = (*one * scale).clamp(-largest, largest));
        }
    }
}

impl Order {
    /// A whole number that is the less, the more alike. IEEE 754 numbers above zero are in the order of their bits.
    fn score(self, distance: f32) -> u32 {
        let bits = distance.to_bits();
        let ascending = if distance.is_sign_negative() { !bits } else { bits | SIGN };
        match self {
            Self::GreaterIsNearer => !ascending,
            Self::LessIsNearer => ascending,
        }
    }
}

/// The sums that a correlation is made of.
#[derive(Default)]
struct Sums {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    fn correlation(&self) -> f64 {
        let spread = |squares: f64, sum: f64| (squares - sum * sum / self.count).sqrt();
        (self.xy - self.x * self.y / self.count) / (spread(self.xx, self.x) * spread(self.yy, self.y))
    }
}

/// People whom nobody knows: unit vectors of all directions, the same ones at every start. They are no secret.
struct Strangers(u64);

impl Strangers {
    const fn new() -> Self {
        Self(1)
    }

    /// The next ones, one after the other.
    fn take(&mut self, count: usize, dimension: Dimension) -> Vec<f32> {
        let mut rows = Vec::with_capacity(count.saturating_mul(dimension.len()));
        for _ in 0..count {
            let row: Vec<f64> = (0..dimension.len()).map(|_| self.normal()).collect();
            let length = row.iter().map(|one| one * one).sum::<f64>().sqrt();
            rows.extend(row.iter().map(|one| narrow(one / length)));
        }
        rows
    }

    /// A number of the standard normal distribution, as the sum of twelve even ones: its tails end at 6.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }

    /// A number from 0 to 1, by SplitMix64 (Steele, Lea and Flood 2014).
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [.., a, b, c, d] = (mixed ^ (mixed >> 31)).to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }
}

/// Keeps Faiss on the thread that calls it: threads of OpenMP and OpenBLAS beside those that search would fight with
/// them. OpenMP's number is one of each thread, and so is set before each call.
fn threads_one() {
    // SAFETY: takes a number and sets a variable of this thread (OpenMP 5.0, section 3.2.1).
    #[expect(unsafe_code, reason = "OpenMP has no safe wrapper")]
    unsafe {
        omp_set_num_threads(1);
    }
    // SAFETY: takes a number; OpenBLAS guards the change with its own lock.
    #[expect(unsafe_code, reason = "OpenBLAS has no safe wrapper")]
    unsafe {
        openblas_set_num_threads(1);
    }
}

#[link(name = "gomp")]
#[expect(unsafe_code, reason = "a function of another language")]
unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}

#[link(name = "openblas")]
#[expect(unsafe_code, reason = "a function of another language")]
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
}

fn lock(index: &Mutex<IndexImpl>) -> MutexGuard<'_, IndexImpl> {
    // What is done under the lock is one call that changes nothing.
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "rounding to 32 bits is what is meant"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// The bit of the sign.
const SIGN: u32 = 1 << 31;
/// Strangers that an index is tried on: the correlation of so many pairs is known within 0.002.
const TRIED_TEMPLATES: usize = 4_096;
const TRIED_PROBES: usize = 64;
/// At half a bit for each component a correlation is some 0.65, at a quarter 0.5.
const FINENESS_LEAST: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension() -> Dimension {
        Dimension::new(64).unwrap()
    }

    fn opened(text: &str) -> Faiss {
        Faiss::open(&text.parse().unwrap(), dimension()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_probe_of_another_length_is_an_error_and_not_nobody() {
        let rows = Strangers::new().take(100, dimension());
        for text in ["Flat", "SQ8", "LSH", "PQ16x4fs"] {
            let templates = opened(text).templates(&rows, 100).unwrap();
            let is_error =
                |probes: &[f32], count| matches!(templates.found(probes, count), Err(IndexError::Search));
            assert!(is_error(&rows[..63], 5) && is_error(&rows[..65], 5), "{text}");
            assert!(is_error(&rows[..64], 101) && is_error(&rows[..64], 0), "{text}");
            let found = templates.found(&rows[..128], 100).unwrap();
            assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100]);
            assert_eq!((found[0][0].1, found[1][0].1), (0, 1), "{text}: everybody is nearest to themselves");
            let order = templates.frame.order;
            assert!(found[1].windows(2).all(|two| order.score(two[0].0) <= order.score(two[1].0)), "{text}");
        }
    }

    #[test]
    fn probes_that_are_no_numbers_are_an_error() {
        let templates = opened("Flat").templates(&Strangers::new().take(10, dimension()), 10).unwrap();
        assert!(matches!(templates.found(&[f32::NAN; 64], 3), Err(IndexError::Search)));
        assert!(matches!(templates.found(&[f32::INFINITY; 64], 3), Err(IndexError::Search)));
    }

    #[test]
    fn rows_that_are_not_whole_are_no_index() {
        let (faiss, rows) = (opened("SQ8"), Strangers::new().take(10, dimension()));
        assert!(faiss.templates(&rows[..639], 10).is_none());
        assert!(faiss.templates(&rows, 9).is_none() && faiss.templates(&rows, 11).is_none());
    }

    #[test]
    fn scores_have_the_order_of_distances() {
        let distances = [f32::MIN, -2.0, -1.0, -0.5, -0.0, 0.0, f32::MIN_POSITIVE, 0.5, 1.0, 900.0, f32::MAX];
        let scores = |order: Order| distances.map(|distance| order.score(distance));
        assert!(scores(Order::LessIsNearer).is_sorted());
        assert!(scores(Order::GreaterIsNearer).iter().rev().is_sorted());
    }

    #[test]
    fn strangers_are_the_same_at_every_start_and_alike_to_nobody() {
        let rows = Strangers::new().take(200, dimension());
        assert_eq!(rows, Strangers::new().take(200, dimension()));
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let first = &rows[..64];
        let cosines: Vec<f64> = rows.chunks(64).map(|row| dot(first, row)).collect();
        assert!((cosines[0] - 1.0).abs() < 1e-5);
        let spread = cosines[1..].iter().map(|one| one * one).sum::<f64>() / 199.0;
        assert!((0.7..1.4).contains(&(spread * 64.0)), "{spread}");
    }
}
