//! The two stages of a search, over all segments, on all threads of the pool.
//!
//! First every sketch is scored against every probe, and of each probe the `kept` nearest templates stay, the
//! lower slot of equals. Then those are compared by the inner product of their 8-bit row and the 16-bit probe.
//! What stays is the same however the gallery is cut into segments and whichever thread scanned which part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::IndexError;
use super::findings::{Finding, Findings};
use super::gallery::Slot;
use super::kernel::{Kernel, LINE_BYTES, Line, Sink, Tables, Wide};
use super::pool::Pool;
use super::reach;
use super::segment::{Segment, sketch_bytes};
use crate::template::{Dimension, Length, Protected, Threshold};

/// A probe in the forms that the two stages read. Wiped when dropped.
pub(super) struct Probe {
    tables: Tables,
    wide: Zeroizing<Vec<Wide>>,
    length: Length,
    threshold: Threshold,
}

impl Probe {
    pub(super) fn of(probe: &Protected, threshold: Threshold) -> Self {
        let components = probe.components();
        let mut wide = Zeroizing::new(vec![Wide::default(); components.len().div_ceil(LINE_BYTES)]);
        for (wide, components) in wide.iter_mut().zip(components.chunks(LINE_BYTES)) {
            for (to, from) in wide.0.iter_mut().zip(components) {
                *to = *from;
            }
        }
        Self { tables: Tables::of(components), wide, length: Length::of(probe), threshold }
    }
}

/// The segments as a search sees them, each template with a number.
pub(super) struct Scan<'a> {
    segments: &'a [Arc<Segment>],
    /// The number of the first template of each segment.
    bases: Vec<u32>,
    templates: usize,
    dimension: Dimension,
    kernel: Kernel,
    pool: &'a Pool,
}

/// Which part of a probe's candidates is compared by one task.
enum Part<'a> {
    /// These templates, in ascending order.
    Some(&'a [u32]),
    /// All of one segment.
    Whole(usize),
}

impl<'a> Scan<'a> {
    /// # Errors
    /// [`IndexError::Search`] when there are more templates than 32 bits can count.
    pub(super) fn new(
        segments: &'a [Arc<Segment>],
        dimension: Dimension,
        kernel: Kernel,
        pool: &'a Pool,
    ) -> Result<Self, IndexError> {
        let mut bases = Vec::with_capacity(segments.len());
        let mut next = 0_u32;
        for segment in segments {
            bases.push(next);
            let len = u32::try_from(segment.len()).map_err(|_| IndexError::Search)?;
            next = next.checked_add(len).ok_or(IndexError::Search)?;
        }
        let templates = usize::try_from(next).map_err(|_| IndexError::Search)?;
        Ok(Self { segments, bases, templates, dimension, kernel, pool })
    }

    /// What is found for each probe.
    ///
    /// # Errors
    /// [`IndexError::Search`] when anything is missing.
    pub(super) fn run(&self, probes: &[Probe]) -> Result<Vec<Findings>, IndexError> {
        let kept: Vec<usize> =
            probes.iter().map(|probe| reach::kept(probe.threshold, self.dimension, self.templates)).collect();
        let sketched: Vec<(&Tables, usize)> = probes
            .iter()
            .zip(&kept)
            .filter(|(_, kept)| **kept < self.templates)
            .map(|(probe, kept)| (&probe.tables, *kept))
            .collect();
        let mut nearest = self.nearest(&sketched)?.into_iter();
        let nearest: Vec<Option<Vec<u32>>> = kept
            .iter()
            .map(|kept| (*kept < self.templates).then(|| nearest.next().unwrap_or_default()))
            .collect();
        self.compared(probes, &nearest)
    }

    /// The nearest templates of each probe by their sketches, in ascending order of their numbers.
    fn nearest(&self, probes: &[(&Tables, usize)]) -> Result<Vec<Vec<u32>>, IndexError> {
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let bounds = probes.iter().map(|(tables, kept)| {
            // Twice as many as are kept, if scores are spread as those of independent strangers.
            tables.score_above(reach::spreads(reach::float(*kept) * 2.0 / reach::float(self.templates)))
        });
        let mut hits = self.scored(probes, &bounds.collect::<Vec<u16>>())?;
        let short: Vec<usize> = (0..probes.len())
            .filter(|&nth| {
                hits.get(nth).zip(probes.get(nth)).is_none_or(|(hits, probe)| hits.len() < probe.1)
            })
            .collect();
        if !short.is_empty() {
            // A gallery whose scores are narrower, or lie elsewhere: begin with everyone.
            let again: Vec<(&Tables, usize)> =
                short.iter().filter_map(|&nth| probes.get(nth).copied()).collect();
            let found = self.scored(&again, &vec![u16::MAX; again.len()])?;
            for (nth, found) in short.into_iter().zip(found) {
                *hits.get_mut(nth).ok_or(IndexError::Search)? = found;
            }
        }
        let pairs: Vec<_> = hits.into_iter().zip(probes).collect();
        let chosen = pairs.into_par_iter().map(|(hits, (_, kept))| self.chosen(hits, *kept));
        self.pool.run(|| chosen.collect())
    }

    /// Scores every sketch, and gives for each probe at least its `kept` nearest templates of those that score
    /// its bound or less, with their scores.
    fn scored(
        &self,
        probes: &[(&Tables, usize)],
        bounds: &[u16],
    ) -> Result<Vec<Zeroizing<Vec<u64>>>, IndexError> {
        let tables: Vec<&Tables> = probes.iter().map(|(tables, _)| *tables).collect();
        let blocks = CHUNK_BYTES / LINE_BYTES / sketch_bytes(self.dimension).max(1);
        let blocks = if probes.len() == 1 { blocks.saturating_mul(LONE_CHUNKS) } else { blocks }.max(1);
        let chunks: Vec<(usize, usize)> = (0..)
            .zip(self.segments)
            .flat_map(|(nth, segment)| (0..segment.blocks()).step_by(blocks).map(move |block| (nth, block)))
            .collect();
        let next = AtomicUsize::new(0);
        let shares = self.pool.broadcast(|| {
            let mut sinks: Vec<Sink> = bounds.iter().map(|&bound| Sink::new(bound)).collect();
            while let Some(&(nth, block)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (segment, base) =
                    self.segments.get(nth).zip(self.bases.get(nth)).ok_or(IndexError::Search)?;
                let sketches = segment.sketches(block, blocks, *base).ok_or(IndexError::Search)?;
                self.kernel.scan(sketches, &tables, &mut sinks);
                for (sink, (_, kept)) in sinks.iter_mut().zip(probes) {
                    sink.cut(*kept);
                }
            }
            Ok(sinks)
        });
        let mut all: Vec<Zeroizing<Vec<u64>>> = Vec::new();
        for share in shares {
            let share: Vec<Sink> = share?;
            if all.is_empty() {
                all = share.into_iter().map(|sink| sink.hits).collect();
            } else {
                for (all, sink) in all.iter_mut().zip(share) {
                    all.extend_from_slice(&sink.hits);
                }
            }
        }
        Ok(all)
    }

    /// Exactly `kept` of these, the lowest scores, of equals the lowest slots; in ascending order.
    fn chosen(&self, mut hits: Zeroizing<Vec<u64>>, kept: usize) -> Result<Vec<u32>, IndexError> {
        let last = kept.checked_sub(1).filter(|last| *last < hits.len()).ok_or(IndexError::Search)?;
        let (_, edge, _) = hits.select_nth_unstable(last);
        let edge = *edge >> 32;
        let mut chosen = Vec::with_capacity(kept);
        let mut ties = Vec::new();
        for hit in hits.iter() {
            let template = u32::try_from(hit & u64::from(u32::MAX)).map_err(|_| IndexError::Search)?;
            match (hit >> 32).cmp(&edge) {
                std::cmp::Ordering::Less => chosen.push(template),
                std::cmp::Ordering::Equal => ties.push((self.place(template)?.1, template)),
                std::cmp::Ordering::Greater => {}
            }
        }
        ties.sort_unstable();
        let room = kept.saturating_sub(chosen.len());
        chosen.extend(ties.into_iter().take(room).map(|(_, template)| template));
        chosen.sort_unstable();
        Ok(chosen)
    }

    /// The segment of a template, and its slot.
    fn place(&self, template: u32) -> Result<(usize, Slot), IndexError> {
        let nth = self.bases.partition_point(|&base| base <= template).checked_sub(1);
        let nth = nth.ok_or(IndexError::Search)?;
        let (segment, base) = self.segments.get(nth).zip(self.bases.get(nth)).ok_or(IndexError::Search)?;
        let slot = segment.slot(template.wrapping_sub(*base)).ok_or(IndexError::Search)?;
        Ok((nth, slot))
    }

    /// Compares each probe with its candidates, or with everyone where it has none.
    fn compared(
        &self,
        probes: &[Probe],
        candidates: &[Option<Vec<u32>>],
    ) -> Result<Vec<Findings>, IndexError> {
        let tasks: Vec<(usize, &Probe, Part<'_>)> = (0..)
            .zip(probes.iter().zip(candidates))
            .flat_map(|(nth, (probe, candidates))| {
                let parts: Vec<Part<'_>> = match candidates {
                    Some(chosen) => chosen.chunks(TASK_TEMPLATES).map(Part::Some).collect(),
                    None => (0..self.segments.len()).map(Part::Whole).collect(),
                };
                parts.into_iter().map(move |part| (nth, probe, part))
            })
            .collect();
        let compared = |(nth, probe, part): &(usize, &Probe, Part<'_>)| {
            self.best(probe, part).map(|findings| (*nth, findings))
        };
        let found: Vec<(usize, Findings)> =
            self.pool.run(|| tasks.par_iter().map(compared).collect::<Result<_, IndexError>>())?;
        let mut findings = vec![Findings::default(); probes.len()];
        for (nth, found) in found {
            let all = findings.get_mut(nth).ok_or(IndexError::Search)?;
            found.rows().iter().for_each(|finding| all.add(*finding));
        }
        Ok(findings)
    }

    /// The best template of every compartment among these.
    fn best(&self, probe: &Probe, part: &Part<'_>) -> Result<Findings, IndexError> {
        let mut findings = Findings::default();
        match part {
            Part::Whole(nth) => {
                let segment = self.segments.get(*nth).ok_or(IndexError::Search)?;
                let all: Vec<_> = segment.positions().map(|(position, _)| (&**segment, position)).collect();
                self.best_of(probe, &all, &mut findings)?;
            }
            Part::Some(templates) => {
                let mut places = Vec::with_capacity(templates.len());
                let mut within: Option<(&Segment, u32, u32)> = None;
                for &template in *templates {
                    let (segment, base, end) = match within {
                        Some(known) if template < known.2 => known,
                        _ => {
                            let (nth, _) = self.place(template)?;
                            let end = self.bases.get(nth.saturating_add(1)).copied().unwrap_or(u32::MAX);
                            let found = self.segments.get(nth).zip(self.bases.get(nth));
                            let (segment, base) = found.ok_or(IndexError::Search)?;
                            (&**segment, *base, end)
                        }
                    };
                    within = Some((segment, base, end));
                    places.push((segment, template.wrapping_sub(base)));
                }
                self.best_of(probe, &places, &mut findings)?;
            }
        }
        Ok(findings)
    }

    fn best_of(
        &self,
        probe: &Probe,
        places: &[(&Segment, u32)],
        findings: &mut Findings,
    ) -> Result<(), IndexError> {
        let rows: Vec<&[Line]> = places.iter().map(|(segment, position)| segment.row(*position)).collect();
        let squares: Option<Vec<u32>> =
            places.iter().map(|(segment, position)| segment.squares(*position)).collect();
        let mut dots = Vec::with_capacity(rows.len());
        self.kernel.dots(&rows, &probe.wide, &mut dots);
        if dots.len() != places.len() {
            return Err(IndexError::Search);
        }
        let squares = squares.ok_or(IndexError::Search)?;
        let mut best: Option<Finding> = None;
        for ((&(segment, position), dot), squares) in places.iter().zip(dots).zip(squares) {
            let similarity = probe.length.similarity(dot, squares);
            let compartment = segment.compartment();
            if let Some(known) = best {
                if known.compartment != compartment {
                    findings.add(known);
                } else if known.similarity.exceeds(similarity) {
                    continue;
                }
            }
            let slot = segment.slot(position).ok_or(IndexError::Search)?;
            let finding = Finding { compartment, slot, similarity };
            if best.is_none_or(|known| known.compartment != compartment || finding.precedes(&known)) {
                best = Some(finding);
            }
        }
        findings.add(best.ok_or(IndexError::Search)?);
        Ok(())
    }
}

/// Sketches that are scored against all probes before the next: they stay in the second cache meanwhile.
const CHUNK_BYTES: usize = 128 << 10;
/// So many times as much for one probe alone, which reads everything once.
const LONE_CHUNKS: usize = 4;
/// Templates that one task compares.
const TASK_TEMPLATES: usize = 512;
