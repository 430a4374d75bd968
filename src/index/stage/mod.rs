//! The first stage of a search: how it is chosen which templates are compared.
//!
//! Onebit's own is always there. Where the configuration names an index of Faiss, that one chooses in its place, in a
//! build with the feature `faiss`; everything behind it stays as it is: slots, compartments, removal, and the
//! comparison that decides.

mod factory;
#[cfg(feature = "faiss")]
mod faiss;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::IndexError;
use super::pool::Pool;
use super::segment::Segment;
use crate::template::Dimension;

pub use factory::{Factory, FactoryError};

/// How a search chooses which templates it compares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FirstStage {
    /// By Onebit's own one-bit sketches.
    #[default]
    OneBit,
    /// By an exhaustive index of Faiss.
    Faiss(Factory),
}

impl FirstStage {
    /// What chooses for templates of this dimension; none for Onebit's own sketches.
    ///
    /// # Errors
    /// [`StageError`] where this build, this processor or this dimension can't have it.
    pub(super) fn open(&self, dimension: Dimension) -> Result<Option<Arc<dyn Stage>>, StageError> {
        match self {
            Self::OneBit => Ok(None),
            Self::Faiss(factory) => {
                self.available()?;
                factory.check_dimension(dimension)?;
                native(factory, dimension).map(Some)
            }
        }
    }

    /// Whether this build and this processor have it.
    ///
    /// # Errors
    /// [`StageError::NotBuilt`] and [`StageError::Processor`].
    pub fn available(&self) -> Result<(), StageError> {
        match self {
            Self::OneBit => Ok(()),
            Self::Faiss(_) if cfg!(not(feature = "faiss")) => Err(StageError::NotBuilt),
            Self::Faiss(_) => processor_check(),
        }
    }
}

/// Faiss is compiled for x86-64-v3 (`.cargo/config.toml`) and does not look what the processor has.
#[cfg(target_arch = "x86_64")]
fn processor_check() -> Result<(), StageError> {
    let has_all = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe");
    if has_all { Ok(()) } else { Err(StageError::Processor) }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_check() -> Result<(), StageError> {
    Ok(())
}

#[cfg(feature = "faiss")]
fn native(factory: &Factory, dimension: Dimension) -> Result<Arc<dyn Stage>, StageError> {
    Ok(Arc::new(faiss::Faiss::open(factory, dimension)?))
}

#[cfg(not(feature = "faiss"))]
fn native(_: &Factory, _: Dimension) -> Result<Arc<dyn Stage>, StageError> {
    Err(StageError::NotBuilt)
}

impl FromStr for FirstStage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        match text.split_once(':') {
            None if text == OWN => Ok(Self::OneBit),
            Some((FAISS, factory)) => Ok(Self::Faiss(factory.parse()?)),
            _ => Err(StageError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for FirstStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneBit => f.write_str(OWN),
            Self::Faiss(factory) => write!(f, "{FAISS}:{factory}"),
        }
    }
}

/// Why a search can't begin with a stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// No name of a first stage.
    #[error(
        "`{0}` is no first stage of a search; write `onebit`, or `faiss:` and an index such as `faiss:SQ8`"
    )]
    Unknown(String),
    /// Not an index that may stand here.
    #[error(transparent)]
    Factory(#[from] FactoryError),
    /// A build without Faiss.
    #[error(
        "this `onebit` was built without Faiss; build it with `cargo build --release --features faiss --bins`, or \
         write `onebit` to search by Onebit's own first stage"
    )]
    NotBuilt,
    /// A processor on which Faiss, as it was compiled, ends the process.
    #[error(
        "Faiss is compiled for processors with AVX2 and FMA (x86-64-v3), and this one is older; write `onebit` to \
         search by Onebit's own first stage"
    )]
    Processor,
    /// Faiss did not make, train or search its index.
    #[error("Faiss could not make the index `{0}`; see that there is memory for it, or choose another")]
    Native(String),
}

/// What chooses templates in the place of Onebit's own sketches.
pub(super) trait Stage: Send + Sync {
    /// An index of the templates of a segment, by their positions. None when it could not be made.
    fn index(&self, segment: &Segment) -> Option<Box<dyn Staged>>;

    /// How well its scores tell how alike two strangers are: the correlation of both, from 0 to 1. How many are to
    /// be compared follows from it ([`reach`](super::reach)).
    fn fineness(&self) -> f64;
}

/// An index of one segment.
pub(super) trait Staged: Send + Sync {
    /// For each of these probes, whose components stand one after the other, its `count` nearest templates with
    /// their scores: the less, the more alike; the scores of all segments compare.
    ///
    /// # Errors
    /// [`IndexError::Search`] when there are not exactly so many of them.
    fn nearest(&self, probes: &[f32], count: usize) -> Result<Vec<Vec<Near>>, IndexError>;
}

/// A template that is near a probe.
#[derive(Clone, Copy)]
pub(super) struct Near {
    pub(super) score: u32,
    pub(super) position: u32,
}

/// Probes for a [`Stage`], one after the other, and how many of the nearest templates of each are wanted.
pub(super) struct Asked {
    pub(super) components: Zeroizing<Vec<f32>>,
    pub(super) kept: Vec<usize>,
}

/// Score (above 32 bits) and number of the nearest templates of each probe: at least as many as are wanted of it, or
/// all. Of those that score the same as the last one wanted, some may be missing.
///
/// # Errors
/// [`IndexError::Search`] when anything is missing.
pub(super) fn nearest(
    segments: &Arc<Vec<Arc<Segment>>>,
    bases: &[u32],
    asked: Asked,
    pool: &Pool,
) -> Result<Vec<Zeroizing<Vec<u64>>>, IndexError> {
    let places: Vec<(Arc<Segment>, u32)> = segments.iter().cloned().zip(bases.iter().copied()).collect();
    if places.len() != segments.len() {
        return Err(IndexError::Search);
    }
    let (wanted, probes) = (asked.kept.clone(), asked.kept.len());
    let most = asked.kept.iter().copied().max().unwrap_or_default();
    let all: Vec<Mutex<Zeroizing<Vec<u64>>>> = (0..probes).map(|_| Mutex::default()).collect();
    let all = Arc::new(all);
    let (found, next) = (Arc::clone(&all), AtomicUsize::new(0));
    let shares = pool.shared(move || {
        while let Some((segment, base)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let staged = segment.staged().ok_or(IndexError::Search)?;
            let near = staged.nearest(&asked.components, most.min(segment.len()))?;
            if near.len() != probes {
                return Err(IndexError::Search);
            }
            for ((near, found), kept) in near.iter().zip(found.iter()).zip(&asked.kept) {
                let mut found = found.lock().map_err(|_| IndexError::Search)?;
                for one in near.iter().take(*kept) {
                    let template = base.checked_add(one.position).ok_or(IndexError::Search)?;
                    found.push((u64::from(one.score) << 32) | u64::from(template));
                }
                cut(&mut found, *kept);
            }
        }
        Ok(())
    })?;
    shares.into_iter().collect::<Result<(), IndexError>>()?;
    let all = all.iter().zip(wanted).map(|(found, kept)| {
        let found = std::mem::take(&mut *found.lock().map_err(|_| IndexError::Search)?);
        if found.len() < kept { Err(IndexError::Search) } else { Ok(found) }
    });
    all.collect()
}

/// Lets go of what can't be among the `kept` nearest any more, once there is much of it.
fn cut(hits: &mut Vec<u64>, kept: usize) {
    if let Some(last) = kept.checked_sub(1).filter(|_| hits.len() > kept.saturating_mul(4)) {
        hits.select_nth_unstable(last);
        hits.truncate(kept);
    }
}

/// The name of Onebit's own first stage.
const OWN: &str = "onebit";
/// What stands before the text of an index of Faiss.
const FAISS: &str = "faiss";

#[cfg(test)]
mod tests;
