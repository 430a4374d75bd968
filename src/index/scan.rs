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
use super::kernel::{COLUMNS, Kernel, LINE_BYTES, Line, Plan, Ranking, Sink, Wide, edge};
use super::pool::Pool;
use super::reach::{self, Effort, Reach};
use super::segment::Segment;
use crate::template::{Length, Protected, Threshold};

/// A probe in the forms that the two stages read. Wiped when dropped.
pub(super) struct Probe {
    ranking: Ranking,
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
        Self { ranking: Ranking::of(components), wide, length: Length::of(probe), threshold }
    }
}

/// What the first stage is asked for one probe.
#[derive(Clone, Copy)]
struct Asked {
    /// Which of the plans.
    plan: usize,
    /// How many templates have to be found.
    kept: usize,
    /// The greatest score that is looked at.
    bound: u16,
}

/// Score and number of templates, as a [`Sink`] keeps them.
type Hits = Zeroizing<Vec<u64>>;

/// Probes, and the segments as they see them, each template with a number.
pub(super) struct Scan {
    probes: Vec<Probe>,
    /// How much of the sketches is read for each probe, and how many templates are compared.
    efforts: Vec<Effort>,
    segments: Arc<Vec<Arc<Segment>>>,
    /// The number of the first template of each segment.
    bases: Vec<u32>,
    templates: usize,
    kernel: Kernel,
}

impl Scan {
    /// # Errors
    /// [`IndexError::Search`] when there are more templates than 32 bits can count.
    pub(super) fn new(
        segments: Arc<Vec<Arc<Segment>>>,
        probes: Vec<Probe>,
        reach: &Reach,
        kernel: Kernel,
    ) -> Result<Self, IndexError> {
        let mut bases = Vec::with_capacity(segments.len());
        let mut next = 0_u32;
        for segment in segments.iter() {
            bases.push(next);
            let len = u32::try_from(segment.len()).map_err(|_| IndexError::Search)?;
            next = next.checked_add(len).ok_or(IndexError::Search)?;
        }
        let templates = usize::try_from(next).map_err(|_| IndexError::Search)?;
        let efforts = probes.iter().map(|probe| reach.effort(probe.threshold, templates)).collect();
        Ok(Self { probes, efforts, segments, bases, templates, kernel })
    }

    /// What is found for each probe.
    ///
    /// # Errors
    /// [`IndexError::Search`] when anything is missing.
    pub(super) fn run(self, pool: &Pool) -> Result<Vec<Findings>, IndexError> {
        let scan = Arc::new(self);
        let sketched: Vec<usize> = (0..scan.probes.len())
            .filter(|&nth| scan.efforts.get(nth).is_some_and(|effort| effort.kept < scan.templates))
            .collect();
        let mut candidates: Vec<Option<Vec<u32>>> = vec![None; scan.probes.len()];
        for (nth, nearest) in sketched.iter().zip(scan.nearest(&sketched, pool)?) {
            *candidates.get_mut(*nth).ok_or(IndexError::Search)? = Some(nearest);
        }
        scan.compared(candidates, pool)
    }

    fn kept(&self, nth: usize) -> Option<usize> {
        self.efforts.get(nth).map(|effort| effort.kept)
    }

    /// The nearest templates of these probes by their sketches, in ascending order of their numbers.
    fn nearest(self: &Arc<Self>, probes: &[usize], pool: &Pool) -> Result<Vec<Vec<u32>>, IndexError> {
        if probes.is_empty() {
            return Ok(Vec::new());
        }
        let plans = probes.iter().map(|&nth| {
            let (probe, effort) =
                self.probes.get(nth).zip(self.efforts.get(nth)).ok_or(IndexError::Search)?;
            Ok(Plan::of(&probe.ranking, effort.signs))
        });
        let plans: Arc<Vec<Plan>> = Arc::new(plans.collect::<Result<_, IndexError>>()?);
        let bounds = probes.iter().zip(plans.iter()).enumerate().map(|(at, (&nth, plan))| {
            // Half as many again as are kept, if scores are spread as those of independent strangers.
            let kept = self.kept(nth).ok_or(IndexError::Search)?;
            let share = reach::float(kept) * 1.5 / reach::float(self.templates);
            Ok(Asked { plan: at, kept, bound: plan.score_above(reach::spreads(share)) })
        });
        let asked: Vec<Asked> = bounds.collect::<Result<_, IndexError>>()?;
        let mut hits = self.scored(&plans, asked.clone(), pool)?;
        let short = hits.iter().zip(asked).filter(|(hits, asked)| hits.len() < asked.kept);
        // A gallery whose scores are narrower, or lie elsewhere: begin with everyone.
        let again: Vec<Asked> = short.map(|(_, asked)| Asked { bound: u16::MAX, ..asked }).collect();
        if !again.is_empty() {
            for (asked, found) in again.iter().zip(self.scored(&plans, again.clone(), pool)?) {
                *hits.get_mut(asked.plan).ok_or(IndexError::Search)? = found;
            }
        }
        let (scan, probes) = (Arc::clone(self), probes.to_vec());
        let hits: Vec<Mutex<Hits>> = hits.into_iter().map(Mutex::new).collect();
        let chosen = pool.each(probes.len(), move |at| {
            let (hits, nth) = hits.get(at).zip(probes.get(at)).ok_or(IndexError::Search)?;
            let hits = std::mem::take(&mut *hits.lock().map_err(|_| IndexError::Search)?);
            scan.chosen(&hits, scan.kept(*nth).ok_or(IndexError::Search)?)
        })?;
        chosen.into_iter().collect()
    }

    /// Scores every sketch, and gives for each plan that is asked for at least its `kept` nearest templates of those
    /// that score its bound or less, with their scores.
    fn scored(
        self: &Arc<Self>,
        plans: &Arc<Vec<Plan>>,
        asked: Vec<Asked>,
        pool: &Pool,
    ) -> Result<Vec<Hits>, IndexError> {
        let chunks: Vec<(usize, usize)> = (0..)
            .zip(self.segments.iter())
            .flat_map(|(nth, segment)| (0..segment.columns()).step_by(COLUMNS).map(move |from| (nth, from)))
            .collect();
        let next = AtomicUsize::new(0);
        let (scan, plans) = (Arc::clone(self), Arc::clone(plans));
        let shares = pool.shared(move || {
            let mut sinks: Vec<Sink> = asked.iter().map(|asked| Sink::new(asked.bound)).collect();
            let plans = asked.iter().map(|asked| plans.get(asked.plan));
            let plans = plans.collect::<Option<Vec<&Plan>>>().ok_or(IndexError::Search)?;
            let take = || match chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                Some(&(nth, from)) => {
                    let (segment, base) =
                        scan.segments.get(nth).zip(scan.bases.get(nth)).ok_or(IndexError::Search)?;
                    segment.part(from, COLUMNS, *base).ok_or(IndexError::Search).map(Some)
                }
                None => Ok(None),
            };
            let mut taken = take()?;
            while let Some(part) = taken {
                taken = take()?;
                scan.kernel.scan(part, taken, &plans, &mut sinks);
                for (sink, asked) in sinks.iter_mut().zip(&asked) {
                    sink.cut(asked.kept);
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
    fn chosen(&self, hits: &[u64], kept: usize) -> Result<Vec<u32>, IndexError> {
        let edge = edge(hits, kept).ok_or(IndexError::Search)?;
        let mut chosen = Vec::with_capacity(kept);
        let mut ties = Vec::new();
        for hit in hits {
            let template = u32::try_from(hit & u64::from(u32::MAX)).map_err(|_| IndexError::Search)?;
            match (hit >> 32).cmp(&edge) {
                std::cmp::Ordering::Less => chosen.push(template),
                std::cmp::Ordering::Equal => ties.push(template),
                std::cmp::Ordering::Greater => {}
            }
        }
        let places = self.places(&ties)?;
        let slots = places.iter().map(|(segment, position)| segment.slot(*position));
        let slots: Vec<Slot> = slots.collect::<Option<_>>().ok_or(IndexError::Search)?;
        let mut ties: Vec<(Slot, u32)> = slots.into_iter().zip(ties).collect();
        ties.sort_unstable();
        let room = kept.saturating_sub(chosen.len());
        chosen.extend(ties.into_iter().take(room).map(|(_, template)| template));
        // A few ascending runs, one of each thread, which this sort merges.
        chosen.sort();
        Ok(chosen)
    }

    /// The segments of these templates, and where they lie there. The templates come in runs of ascending order.
    fn places(&self, templates: &[u32]) -> Result<Vec<(&Segment, u32)>, IndexError> {
        let mut places = Vec::with_capacity(templates.len());
        let mut within: Option<(&Segment, std::ops::Range<u32>)> = None;
        for template in templates {
            let (segment, range) = match within {
                Some(known) if known.1.contains(template) => known,
                _ => {
                    let nth = self.bases.partition_point(|base| base <= template).checked_sub(1);
                    let nth = nth.ok_or(IndexError::Search)?;
                    let found = self.segments.get(nth).zip(self.bases.get(nth));
                    let (segment, base) = found.ok_or(IndexError::Search)?;
                    let end = self.bases.get(nth.saturating_add(1)).copied().unwrap_or(u32::MAX);
                    (&**segment, *base..end)
                }
            };
            places.push((segment, template.wrapping_sub(range.start)));
            within = Some((segment, range));
        }
        Ok(places)
    }

    /// Compares each probe with its candidates, or with everyone where it has none.
    fn compared(
        self: Arc<Self>,
        candidates: Vec<Option<Vec<u32>>>,
        pool: &Pool,
    ) -> Result<Vec<Findings>, IndexError> {
        let mut findings = vec![Findings::default(); candidates.len()];
        // All probes in one region before the next: finding the page of a row takes longer than reading the row, and
        // the processor remembers the pages of a region.
        let found = pool.each(self.templates.div_ceil(REGION_TEMPLATES), move |region| {
            let first = region.saturating_mul(REGION_TEMPLATES);
            let end = first.saturating_add(REGION_TEMPLATES).min(self.templates);
            let range = u32::try_from(first).ok().zip(u32::try_from(end).ok());
            let (first, end) = range.ok_or(IndexError::Search)?;
            let is_everyone = candidates.iter().any(Option::is_none);
            let everyone: Vec<u32> = if is_everyone { (first..end).collect() } else { Vec::new() };
            let best = candidates.iter().zip(&self.probes).map(|(candidates, probe)| {
                let candidates = match candidates {
                    Some(chosen) => within(chosen, first, end),
                    None => &everyone,
                };
                self.best(probe, candidates)
            });
            best.collect::<Result<Vec<Findings>, IndexError>>()
        })?;
        for found in found {
            for (all, found) in findings.iter_mut().zip(found?) {
                found.rows().iter().for_each(|finding| all.add(*finding));
            }
        }
        Ok(findings)
    }

    /// The best template of every compartment among these.
    fn best(&self, probe: &Probe, templates: &[u32]) -> Result<Findings, IndexError> {
        let mut findings = Findings::default();
        let places = self.places(templates)?;
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
        best.into_iter().for_each(|best| findings.add(best));
        Ok(findings)
    }
}

/// Those of ascending templates that are from the first to before the end.
fn within(templates: &[u32], first: u32, end: u32) -> &[u32] {
    let from = templates.partition_point(|&template| template < first);
    let to = templates.partition_point(|&template| template < end);
    templates.get(from..to).unwrap_or_default()
}

/// Templates whose rows are compared before the next: 4 MB at d = 512, a thousand pages, of which processors
/// remember some thousands.
const REGION_TEMPLATES: usize = 8_192;
