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
use super::kernel::{COLUMNS, Kernel, LINE_BITS, LINE_BYTES, Line, Plan, Ranking, Sink, Tables, Wide, edge};
use super::pool::Pool;
use super::reach::{self, Effort, Reach, Way};
use super::segment::{Segment, sketch_bytes};
use super::stage::{self, Stage};
use crate::template::{Dimension, Length, Protected, Threshold};

/// A probe. Wiped when dropped.
pub(super) struct Probe {
    components: Zeroizing<Vec<i16>>,
    wide: Zeroizing<Vec<Wide>>,
    length: Length,
    threshold: Threshold,
    /// Templates that are not looked for, in ascending order: the person's own.
    except: Vec<Slot>,
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
        let components = Zeroizing::new(components.to_vec());
        Self { components, wide, length: Length::of(probe), threshold, except: Vec::new() }
    }

    /// The same, for whoever is like it besides these.
    pub(super) fn besides(self, mut except: Vec<Slot>) -> Self {
        except.sort_unstable();
        Self { except, ..self }
    }
}

/// A probe in the form that the first stage reads.
enum Form {
    Planes(Plan),
    Blocks(Tables),
}

impl Form {
    fn of(probe: &Probe, effort: Effort) -> Self {
        match effort.way {
            Way::Planes => Self::Planes(Plan::of(&Ranking::of(&probe.components), effort.signs)),
            Way::Blocks | Way::Stage | Way::Everyone => Self::Blocks(Tables::of(&probe.components)),
        }
    }

    fn score_above(&self, spreads: f64) -> u16 {
        match self {
            Self::Planes(plan) => plan.score_above(spreads),
            Self::Blocks(tables) => tables.score_above(spreads),
        }
    }
}

/// What the first stage is asked for one probe.
#[derive(Clone, Copy)]
struct Asked {
    /// Which of the forms.
    form: usize,
    way: Way,
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

impl Scan {
    /// # Errors
    /// [`IndexError::Search`] when there are more templates than 32 bits can count.
    pub(super) fn new(
        segments: Arc<Vec<Arc<Segment>>>,
        probes: Vec<Probe>,
        reach: &Reach,
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
        let effort = |probe: &Probe| match stage {
            None => reach.effort(probe.threshold, templates),
            Some(stage) => reach.effort_by(stage.fineness(), probe.threshold, templates),
        };
        let efforts = probes.iter().map(effort).collect();
        let chooser = stage.map_or(Chooser::Sketches, |_| Chooser::Stage);
        let dimension = reach.dimension();
        Ok(Self { probes, efforts, segments, bases, templates, dimension, kernel, chooser })
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
            scan.chosen(&hits, scan.kept(*nth).ok_or(IndexError::Search)?)
        })?;
        chosen.into_iter().collect()
    }

    /// These probes, as another first stage takes them.
    fn asked(&self, probes: &[usize]) -> Result<stage::Asked, IndexError> {
        let all = probes.len().saturating_mul(self.dimension.len());
        let mut asked =
            stage::Asked { components: Zeroizing::new(Vec::with_capacity(all)), kept: Vec::new() };
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
        let (scan, numbers) = (Arc::clone(self), probes.to_vec());
        let forms = pool.each(probes.len(), move |at| {
            let nth = *numbers.get(at)?;
            Some(Form::of(scan.probes.get(nth)?, *scan.efforts.get(nth)?))
        })?;
        let forms: Arc<Vec<Form>> =
            Arc::new(forms.into_iter().collect::<Option<_>>().ok_or(IndexError::Search)?);
        let asked = probes.iter().zip(forms.iter()).enumerate().map(|(at, (&nth, form))| {
            // Half as many again as are kept, if scores are spread as those of independent strangers.
            let Effort { way, kept, .. } = *self.efforts.get(nth).ok_or(IndexError::Search)?;
            let share = reach::float(kept) * 1.5 / reach::float(self.templates);
            Ok(Asked { form: at, way, kept, bound: form.score_above(reach::spreads(share)) })
        });
        let mut asked: Vec<Asked> = asked.collect::<Result<_, IndexError>>()?;
        asked.sort_by_key(|asked| asked.way);
        let mut hits: Vec<Hits> = vec![Hits::default(); asked.len()];
        let mut missing = asked;
        while !missing.is_empty() {
            for (asked, found) in missing.iter().zip(self.scored(&forms, missing.clone(), pool)?) {
                *hits.get_mut(asked.form).ok_or(IndexError::Search)? = found;
            }
            let is_short = |asked: &Asked| {
                asked.bound < u16::MAX && hits.get(asked.form).is_none_or(|hits| hits.len() < asked.kept)
            };
            // A gallery whose scores are narrower, or lie elsewhere: begin with everyone.
            missing = missing
                .into_iter()
                .filter(is_short)
                .map(|asked| Asked { bound: u16::MAX, ..asked })
                .collect();
        }
        Ok(hits)
    }

    /// Scores every sketch, and gives for each form that is asked for, those of planes first, at least its `kept`
    /// nearest templates of those that score its bound or less, with their scores.
    fn scored(
        self: &Arc<Self>,
        forms: &Arc<Vec<Form>>,
        asked: Vec<Asked>,
        pool: &Pool,
    ) -> Result<Vec<Hits>, IndexError> {
        let chunks: Vec<(usize, usize)> = (0..)
            .zip(self.segments.iter())
            .flat_map(|(nth, segment)| (0..segment.columns()).step_by(COLUMNS).map(move |from| (nth, from)))
            .collect();
        let next = AtomicUsize::new(0);
        let (scan, forms) = (Arc::clone(self), Arc::clone(forms));
        let shares = pool.shared(move || {
            let mut sinks: Vec<Sink> = asked.iter().map(|asked| Sink::new(asked.bound, asked.kept)).collect();
            let (mut plans, mut tables) = (Vec::new(), Vec::new());
            for asked in &asked {
                match forms.get(asked.form).ok_or(IndexError::Search)? {
                    Form::Planes(plan) => plans.push(plan),
                    Form::Blocks(table) => tables.push(table),
                }
            }
            let take = || chunks.get(next.fetch_add(1, Ordering::Relaxed)).copied();
            let mut taken = take();
            while let Some(chunk) = taken {
                taken = take();
                let (of_planes, of_blocks) = sinks.split_at_mut(plans.len());
                scan.score_planes(chunk, taken, &plans, of_planes)?;
                scan.score_blocks(chunk, &tables, of_blocks)?;
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

    /// Scores the planes of a chunk; the one that comes next is asked for meanwhile.
    fn score_planes(
        &self,
        (nth, from): (usize, usize),
        coming: Option<(usize, usize)>,
        plans: &[&Plan],
        sinks: &mut [Sink],
    ) -> Result<(), IndexError> {
        if plans.is_empty() {
            return Ok(());
        }
        let part = |(nth, from): (usize, usize)| {
            let (segment, base) = self.segments.get(nth).zip(self.bases.get(nth))?;
            segment.part(from, COLUMNS, *base)
        };
        let chunk = part((nth, from)).ok_or(IndexError::Search)?;
        self.kernel.scan(chunk, coming.and_then(part), plans, sinks);
        Ok(())
    }

    /// Scores the blocks of a chunk, for several probes so many at a time that they stay in the second cache.
    fn score_blocks(
        &self,
        (nth, from): (usize, usize),
        tables: &[&Tables],
        sinks: &mut [Sink],
    ) -> Result<(), IndexError> {
        if tables.is_empty() {
            return Ok(());
        }
        let (segment, base) = self.segments.get(nth).zip(self.bases.get(nth)).ok_or(IndexError::Search)?;
        let first = from.saturating_mul(COLUMN_BLOCKS);
        let end = first.saturating_add(COLUMNS * COLUMN_BLOCKS).min(segment.len().div_ceil(LINE_BYTES));
        let blocks = CHUNK_BYTES / LINE_BYTES / sketch_bytes(self.dimension).max(1);
        let blocks = if tables.len() == 1 { COLUMNS * COLUMN_BLOCKS } else { blocks.max(1) };
        for first in (first..end).step_by(blocks) {
            let sketches = segment.sketches(first, blocks.min(end.saturating_sub(first)), *base);
            self.kernel.look_up(sketches.ok_or(IndexError::Search)?, tables, sinks);
        }
        Ok(())
    }

    /// Exactly `kept` of these, the lowest scores, of equals the lowest slots; in ascending order.
    fn chosen(&self, hits: &[u64], kept: usize) -> Result<Vec<u32>, IndexError> {
        let edge = edge(hits, kept).ok_or(IndexError::Search)?;
        let (mut chosen, mut even) = (Vec::with_capacity(kept), Vec::with_capacity(kept));
        for hit in hits {
            let template = u32::try_from(hit & u64::from(u32::MAX)).map_err(|_| IndexError::Search)?;
            match (hit >> 32).cmp(&edge) {
                std::cmp::Ordering::Less => chosen.push(template),
                std::cmp::Ordering::Equal => even.push(template),
                std::cmp::Ordering::Greater => {}
            }
        }
        let room = kept.saturating_sub(chosen.len());
        if room < even.len() {
            let mut ties: Vec<(Slot, u32)> = Vec::with_capacity(even.len());
            for (&(segment, position), template) in self.places(&even)?.iter().zip(&even) {
                ties.push((segment.slot(position).ok_or(IndexError::Search)?, *template));
            }
            // Where many have the same sketch, putting all of them in order would cost more than the scan.
            ties.select_nth_unstable(room);
            even = ties.into_iter().take(room).map(|(_, template)| template).collect();
        }
        chosen.append(&mut even);
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
        // All probes in one region before the next: rows that two of them want are read once, and where pages are
        // small the processor remembers those of a region.
        let most = self.efforts.iter().map(|effort| effort.kept).max().unwrap_or(0);
        let wanted = if candidates.len() == 1 { LONE_CANDIDATES } else { REGION_CANDIDATES };
        let size = self.templates.saturating_mul(wanted).checked_div(most).unwrap_or(0).max(REGION_TEMPLATES);
        let found = pool.each(self.templates.div_ceil(size), move |region| {
            let first = region.saturating_mul(size);
            let end = first.saturating_add(size).min(self.templates);
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
        let mut squares = Vec::with_capacity(places.len());
        for (segment, position) in &places {
            squares.push(segment.squares(*position).ok_or(IndexError::Search)?);
        }
        let mut dots = Vec::with_capacity(rows.len());
        self.kernel.dots(&rows, &probe.wide, &mut dots);
        if dots.len() != places.len() {
            return Err(IndexError::Search);
        }
        let mut best: Option<Finding> = None;
        for ((&(segment, position), dot), squares) in places.iter().zip(dots).zip(squares) {
            let similarity = probe.length.similarity(dot, squares);
            let compartment = segment.compartment();
            if !probe.except.is_empty() {
                let slot = segment.slot(position).ok_or(IndexError::Search)?;
                if probe.except.binary_search(&slot).is_ok() {
                    continue;
                }
            }
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

/// Templates whose rows are compared before the next, at least: 4 MB at d = 512.
const REGION_TEMPLATES: usize = 8_192;
/// Candidates of a probe in a region, about: enough that most of them are asked for ahead.
const REGION_CANDIDATES: usize = 96;
/// Those of a probe alone.
const LONE_CANDIDATES: usize = 384;
/// Sketches in blocks that are scored against all probes before the next: they stay in the second cache meanwhile.
const CHUNK_BYTES: usize = 128 << 10;
/// Blocks of a column of planes.
const COLUMN_BLOCKS: usize = LINE_BITS / LINE_BYTES;
