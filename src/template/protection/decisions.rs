//! Whether a search decides as an exact search of the raw samples would.

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::super::calibration::Threshold;
use super::super::protect::Protected;
use super::super::transform::Transform;
use super::linkage::dot;
use super::numbers::secret;
use super::population::{Capture, Population};

/// Templates to search and probes to search with, of one key, and what the raw samples say.
pub struct Trial {
    /// The templates.
    pub gallery: Vec<Protected>,
    /// The probes.
    pub probes: Vec<Protected>,
    /// The greatest cosine of each probe and any template, of the samples as they came.
    raw: Vec<f64>,
}

/// How often a search decided as the raw samples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Probes whose greatest raw cosine lies further than the margin from the threshold.
    pub far: usize,
    /// Of these, how many were decided alike.
    pub alike: usize,
    /// Of these, how many are hits by the raw samples.
    pub hits: usize,
    /// Probes within the margin.
    pub near: usize,
    /// Of these, how many were decided alike.
    pub near_alike: usize,
}

impl Trial {
    /// Protects both and searches the raw samples exhaustively.
    #[must_use]
    pub fn new(gallery: &Population, probes: &Population, seed: u64) -> Self {
        let transform = Transform::derive(&secret(seed, SEARCHED, 0), gallery.dimension());
        let (kept, asked) = (gallery.captures(usize::MAX), probes.captures(usize::MAX));
        let greatest = |probe: &Capture<'_>| {
            kept.iter().map(|other| dot(probe.values, other.values)).fold(f64::NEG_INFINITY, f64::max)
        };
        let raw = asked.par_iter().map(greatest).collect();
        let protect = |captures: &[Capture<'_>]| captures.iter().map(|it| it.protect(&transform)).collect();
        Self { gallery: protect(&kept), probes: protect(&asked), raw }
    }

    /// Compares what a search found for each probe, in order.
    #[must_use]
    pub fn decided(&self, hits: &[bool], threshold: Threshold, margin: f64) -> Decided {
        let mut decided = Decided { far: 0, alike: 0, hits: 0, near: 0, near_alike: 0 };
        for (raw, hit) in self.raw.iter().zip(hits) {
            let wanted = *raw >= threshold.get();
            let (all, alike) = if (raw - threshold.get()).abs() > margin {
                decided.hits = decided.hits.saturating_add(usize::from(wanted));
                (&mut decided.far, &mut decided.alike)
            } else {
                (&mut decided.near, &mut decided.near_alike)
            };
            *all = all.saturating_add(1);
            *alike = alike.saturating_add(usize::from(wanted == *hit));
        }
        decided
    }
}

const SEARCHED: &str = "onebit/protection-report/searched";
