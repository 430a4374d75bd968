//! The two stages of a search, over all segments, on this thread and those of the pool.
//!
//! First every sketch is scored against every probe, and of each probe the `kept` nearest templates stay, the
//! lower slot of equals. Then those are compared by the inner product of their 8-bit row and the 16-bit probe.
//! What stays is the same however the gallery is cut into segments and whichever thread scanned which part.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use super::IndexError;
use super::findings::{Finding, Findings};
use super::gallery::Slot;
use super::kernel::{Kernel, LINE_BYTES, Line, Sink, Tables, Wide};
use super::pool::Pool;
use super::reach;
use super::segment::{Segment, sketch_bytes};
use super::stage::{self, Asked, Stage};
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

/// Score and number of templates, as a [`Sink`] keeps them.
type Hits = Zeroizing<Vec<u64>>;

/// Probes, and the segments as they see them, each template with a number.
pub(super) struct Scan {
    probes: Vec<Probe>,
    /// How many templates of each probe are compared.
    kept: Vec<usize>,
    segments: Arc<Vec<Arc<Segment>>>,
    /// The number of the first template of each segment.
    bases: Vec<u32>,
    templates: usize,
    dimension: Dimension,
    kernel: Kernel,
    chooser: Chooser,
}

/// What chooses which templates are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chooser {
    Sketches,
    Stage,
}

/// Which part of a probe's candidates is compared by one task.
enum Part {
    /// These templates, in ascending order.
    Some(Vec<u32>),
    /// All of one segment.
    Whole(usize),
}

impl Scan {
    /// # Errors
    /// [`IndexError::Search`] when there are more templates than 32 bits can count.
    pub(super) fn new(
        segments: Arc<Vec<Arc<Segment>>>,
        probes: Vec<Probe>,
        dimension: Dimension,
        kernel: Kernel,
        stage: Option<&dyn Stage>,
    ) -> Result<Self, IndexError> {
        let mut bases = Vec::with_capacity(segments.len());
        let mut next = 0_u32;
        for segment in segments.iter() {
            bases.push(next);
            let len = u32::try_from(segment.len()).map_err(|_| IndexError::Search)?;
            next = next.checked_add(len).ok_or(IndexError::Search)?;
        }
        let templates = usize::try_from(next).map_err(|_| IndexError::Search)?;
        // The sketches are always there, for a segment that could not be indexed.
        let stage = stage.filter(|_| segments.iter().all(|segment| segment.staged().is_some()));
        let kept = |probe: &Probe| match stage {
            None => reach::kept(probe.threshold, dimension, templates),
            Some(stage) => reach::kept_by(stage.fineness(), probe.threshold, dimension, templates),
        };
        let kept = probes.iter().map(kept).collect();
        let chooser = stage.map_or(Chooser::Sketches, |_| Chooser::Stage);
        Ok(Self { probes, kept, segments, bases, templates, dimension, kernel, chooser })
    }

    /// What is found for each probe.
    ///
    /// # Errors
    /// [`IndexError::Search`] when anything is missing.
    pub(super) fn run(self, pool: &Pool) -> Result<Vec<Findings>, IndexError> {
        let scan = Arc::new(self);
        let sketched: Vec<usize> = (0..scan.probes.len())
            .filter(|&nth| scan.kept(nth).is_some_and(|kept| kept < scan.templates))
            .collect();
        let mut candidates: Vec<Option<Vec<u32>>> = vec![None; scan.probes.len()];
        for (nth, nearest) in sketched.iter().zip(scan.nearest(&sketched, pool)?) {
            *candidates.get_mut(*nth).ok_or(IndexError::Search)? = Some(nearest);
        }
        scan.compared(candidates, pool)
    }

    fn kept(&self, nth: usize) -> Option<usize> {
        self.kept.get(nth).copied()
    }

    /// The nearest templates of these probes by the first stage, in ascending order of their numbers.
    fn nearest(self: &Arc<Self>, probes: &[usize], pool: &Pool) -> Result<Vec<Vec<u32>>, IndexError> {
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let hits = match self.chooser {
            Chooser::Sketches => self.sketched(probes, pool)?,
            Chooser::Stage => stage::nearest(&self.segments, &self.bases, self.asked(probes)?, pool)?,
        };
        let (scan, probes) = (Arc::clone(self), probes.to_vec());
        let hits: Vec<Mutex<Hits>> = hits.into_iter().map(Mutex::new).collect();
        let chosen = pool.each(probes.len(), move |at| {
            let (hits, nth) = hits.get(at).zip(probes.get(at)).ok_or(IndexError::Search)?;
            let hits = std::mem::take(&mut *hits.lock().map_err(|_| IndexError::Search)?);
            scan.chosen(hits, scan.kept(*nth).ok_or(IndexError::Search)?)
        })?;
        chosen.into_iter().collect()
    }

    /// These probes, as another first stage takes them.
    fn asked(&self, probes: &[usize]) -> Result<Asked, IndexError> {
        let all = probes.len().saturating_mul(self.dimension.len());
        let mut asked = Asked { components: Zeroizing::new(Vec::with_capacity(all)), kept: Vec::new() };
        for &nth in probes {
            let (probe, kept) = self.probes.get(nth).zip(self.kept(nth)).ok_or(IndexError::Search)?;
            let components = probe.wide.iter().flat_map(|wide| wide.0).take(self.dimension.len());
            asked.components.extend(components.map(f32::from));
            asked.kept.push(kept);
        }
        Ok(asked)
    }

    /// At least the `kept` nearest templates of these probes by their sketches, with their scores.
    fn sketched(self: &Arc<Self>, probes: &[usize], pool: &Pool) -> Result<Vec<Hits>, IndexError> {
        let bounds = probes.iter().map(|&nth| {
            let (probe, kept) = self.probes.get(nth).zip(self.kept(nth)).ok_or(IndexError::Search)?;
            // Twice as many as are kept, if scores are spread as those of independent strangers.
            let share = reach::float(kept) * 2.0 / reach::float(self.templates);
            Ok((nth, probe.tables.score_above(reach::spreads(share))))
        });
        let mut hits = self.scored(bounds.collect::<Result<_, IndexError>>()?, pool)?;
        let is_short = |(hits, nth): &(&Hits, &usize)| self.kept(**nth).is_none_or(|kept| hits.len() < kept);
        let short: Vec<usize> = hits
            .iter()
            .zip(probes)
            .enumerate()
            .filter(|(_, pair)| is_short(pair))
            .map(|(at, _)| at)
            .collect();
        if !short.is_empty() {
            // A gallery whose scores are narrower, or lie elsewhere: begin with everyone.
            let again = short.iter().filter_map(|&at| probes.get(at)).map(|&nth| (nth, u16::MAX));
            for (at, found) in short.iter().zip(self.scored(again.collect(), pool)?) {
                *hits.get_mut(*at).ok_or(IndexError::Search)? = found;
            }
        }
        Ok(hits)
    }

    /// Scores every sketch, and gives for each of these probes at least its `kept` nearest templates of those
    /// that score its bound or less, with their scores.
    fn scored(self: &Arc<Self>, probes: Vec<(usize, u16)>, pool: &Pool) -> Result<Vec<Hits>, IndexError> {
        let blocks = CHUNK_BYTES / LINE_BYTES / sketch_bytes(self.dimension).max(1);
        let blocks = if probes.len() == 1 { blocks.saturating_mul(LONE_CHUNKS) } else { blocks }.max(1);
        let chunks: Vec<(usize, usize)> = (0..)
            .zip(self.segments.iter())
            .flat_map(|(nth, segment)| (0..segment.blocks()).step_by(blocks).map(move |block| (nth, block)))
            .collect();
        let next = AtomicUsize::new(0);
        let scan = Arc::clone(self);
        let shares = pool.shared(move || {
            let mut sinks: Vec<Sink> = probes.iter().map(|&(_, bound)| Sink::new(bound)).collect();
            let tables = probes.iter().map(|&(nth, _)| scan.probes.get(nth).map(|probe| &probe.tables));
            let tables = tables.collect::<Option<Vec<&Tables>>>().ok_or(IndexError::Search)?;
            while let Some(&(nth, block)) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let segment = scan.segments.get(nth).zip(scan.bases.get(nth));
                let (segment, base) = segment.ok_or(IndexError::Search)?;
                let sketches = segment.sketches(block, blocks, *base).ok_or(IndexError::Search)?;
                scan.kernel.scan(sketches, &tables, &mut sinks);
                for (sink, &(nth, _)) in sinks.iter_mut().zip(&probes) {
                    sink.cut(scan.kept(nth).ok_or(IndexError::Search)?);
                }
            }
            Ok(sinks.into_iter().map(|sink| sink.hits).collect())
        })?;
        let mut all: Vec<Hits> = Vec::new();
        for share in shares {
            let share: Vec<Hits> = share?;
            if all.is_empty() {
                all = share;
            } else {
                all.iter_mut().zip(share).for_each(|(all, share)| all.extend_from_slice(&share));
            }
        }
        Ok(all)
    }

    /// Exactly `kept` of these, the lowest scores, of equals the lowest slots; in ascending order.
    fn chosen(&self, mut hits: Hits, kept: usize) -> Result<Vec<u32>, IndexError> {
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
        self: Arc<Self>,
        candidates: Vec<Option<Vec<u32>>>,
        pool: &Pool,
    ) -> Result<Vec<Findings>, IndexError> {
        let mut findings = vec![Findings::default(); candidates.len()];
        let mut tasks: Vec<(usize, Part)> = Vec::new();
        for (nth, candidates) in candidates.into_iter().enumerate() {
            match candidates {
                Some(chosen) => {
                    tasks.extend(chosen.chunks(TASK_TEMPLATES).map(|part| (nth, Part::Some(part.to_vec()))));
                }
                None => tasks.extend((0..self.segments.len()).map(|segment| (nth, Part::Whole(segment)))),
            }
        }
        let found = pool.each(tasks.len(), move |task| {
            let (nth, part) = tasks.get(task).ok_or(IndexError::Search)?;
            let probe = self.probes.get(*nth).ok_or(IndexError::Search)?;
            Ok((*nth, self.best(probe, part)?))
        })?;
        for found in found {
            let (nth, found) = found?;
            let all = findings.get_mut(nth).ok_or(IndexError::Search)?;
            found.rows().iter().for_each(|finding| all.add(*finding));
        }
        Ok(findings)
    }

    /// The best template of every compartment among these.
    fn best(&self, probe: &Probe, part: &Part) -> Result<Findings, IndexError> {
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
                for &template in templates {
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
