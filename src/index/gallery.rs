//! The live search structure of one collection.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;

use super::IndexError;
use super::change::{Change, Piece};
use super::findings::{Finding, Findings};
use super::kernel::Kernel;
use super::pool::Pool;
use super::reach::{Effort, Reach};
use super::scan::{Probe, Scan};
use super::segment::{Entry, Segment, Source};
use super::stage::{FirstStage, Stage};
use super::together::{Answers, SCAN_PROBES, Together, Turn};
use crate::template::{Compact, Dimension, Length, Protected, Threshold};

/// Where a template lies. The caller gives it and alone knows whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// A label of templates: a search reports the best of each compartment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Compartment(pub u64);

/// The live search structure of one collection.
///
/// Searches see the gallery as it was at one moment and never wait for changes; those that are asked for at the same
/// time ([`Gallery::ask`]) are answered by one scan. Changes wait for one another. A change is seen whole or not at all, and has
/// happened when its call returns. A removed template's bytes are wiped when the last search that saw it ends.
pub struct Gallery {
    dimension: Dimension,
    reach: Reach,
    kernel: Kernel,
    /// What chooses in the place of the sketches, where that is configured.
    stage: Option<Arc<dyn Stage>>,
    pool: Pool,
    pub(super) segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Held by whoever changes the segments.
    writer: Mutex<()>,
    searches: Arc<Together<Probe, Findings>>,
}

/// What a search finds for each of its probes, in their order, when it is awaited. It needs no thread meanwhile.
pub struct Asked(Answers<Findings>);

/// The turn to search, for those who asked and for whoever asks meanwhile. Nobody is answered before it is run; dropped, it
/// fails those who wait.
#[must_use = "nobody is answered unless it is run"]
pub struct SearchTurn {
    gallery: Arc<Gallery>,
    turn: Turn<Probe, Findings>,
}

impl Future for Asked {
    type Output = Result<Vec<Findings>, IndexError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl SearchTurn {
    /// Searches on this thread and those of the pool until nobody waits: for threads that may block.
    pub fn run(self) {
        self.turn.run(|probes| self.gallery.scan(probes));
    }
}

impl Gallery {
    /// An empty gallery for templates of this dimension, searched by these threads.
    #[must_use]
    pub fn new(dimension: Dimension, pool: Pool) -> Self {
        Self::with_kernel(dimension, pool, Kernel::best(), None)
    }

    /// An empty gallery whose searches begin with this stage.
    ///
    /// # Errors
    /// [`IndexError::Stage`] where this build, this processor or this dimension can't have it.
    pub fn staged(dimension: Dimension, pool: Pool, first: &FirstStage) -> Result<Self, IndexError> {
        let stage = first.open(dimension).map_err(IndexError::Stage)?;
        Ok(Self::with_kernel(dimension, pool, Kernel::best(), stage))
    }

    pub(super) fn with_kernel(
        dimension: Dimension,
        pool: Pool,
        kernel: Kernel,
        stage: Option<Arc<dyn Stage>>,
    ) -> Self {
        Self {
            dimension,
            reach: Reach::new(dimension),
            kernel,
            stage,
            pool,
            segments: ArcSwap::default(),
            writer: Mutex::new(()),
            searches: Arc::new(Together::new()),
        }
    }

    /// The dimension of the gallery's templates.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.load().iter().map(|segment| segment.len()).sum()
    }

    /// Whether there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.load().is_empty()
    }

    /// How many templates a search at this threshold compares a second time, as it is now.
    #[must_use]
    pub fn kept(&self, threshold: Threshold) -> usize {
        self.effort(threshold).kept
    }

    /// How many signs of every template a search at this threshold scores first, as it is now; none where it
    /// compares all templates at once.
    #[must_use]
    pub fn signs(&self, threshold: Threshold) -> usize {
        self.effort(threshold).signs
    }

    fn effort(&self, threshold: Threshold) -> Effort {
        match &self.stage {
            None => self.reach.effort(threshold, self.len()),
            Some(stage) => self.reach.effort_by(stage.fineness(), threshold, self.len()),
        }
    }

    /// Puts templates into their slots, all or none. What is served is their rounded form, [`Compact`].
    ///
    /// # Errors
    /// [`IndexError::SlotTaken`] and [`IndexError::Dimension`]; nothing has changed then.
    pub fn insert(&self, templates: Vec<(Slot, Compartment, Protected)>) -> Result<(), IndexError> {
        let rounded =
            |(slot, compartment, template): (_, _, Protected)| (slot, compartment, Compact::of(&template));
        self.insert_rounded(templates.into_iter().map(rounded).collect())
    }

    /// The same with templates that are rounded already.
    ///
    /// # Errors
    /// [`IndexError::SlotTaken`] and [`IndexError::Dimension`]; nothing has changed then.
    pub fn insert_rounded(&self, templates: Vec<(Slot, Compartment, Compact)>) -> Result<(), IndexError> {
        let _writer = self.writer();
        let segments = self.segments.load_full();
        let slots = || templates.iter().map(|(slot, ..)| *slot);
        let Some((first, last)) = slots().min().zip(slots().max()) else { return Ok(()) };
        // New slots are mostly above all others: then there is nothing to look through.
        let met: Vec<_> = segments.iter().filter(|segment| segment.meets(first, last)).collect();
        let mut new = HashSet::with_capacity(templates.len());
        for (slot, _, template) in &templates {
            let is_taken = met.iter().any(|segment| segment.position(*slot).is_some());
            if is_taken || !new.insert(*slot) {
                return Err(IndexError::SlotTaken(*slot));
            }
            if template.dimension() != self.dimension {
                return Err(IndexError::Dimension { expected: self.dimension, given: template.dimension() });
            }
        }
        let mut change = Change::of(&segments);
        for (slot, compartment, template) in templates {
            change.insert(compartment, Entry { slot, source: Source::New(template) });
        }
        self.publish(change);
        Ok(())
    }

    /// Takes the templates out of these slots; slots without one are passed over. Gives the number of
    /// templates taken out.
    pub fn remove(&self, slots: &[Slot]) -> usize {
        let _writer = self.writer();
        let mut change = Change::of(&self.segments.load_full());
        let taken = change.take(slots).len();
        if taken > 0 {
            self.publish(change);
        }
        taken
    }

    /// Takes every template out.
    pub fn clear(&self) {
        let _writer = self.writer();
        self.segments.store(Arc::default());
    }

    /// Moves the template of a slot to another compartment. No search misses it meanwhile.
    ///
    /// # Errors
    /// [`IndexError::SlotUnknown`]; nothing has changed then.
    pub fn relabel(&self, slot: Slot, compartment: Compartment) -> Result<(), IndexError> {
        let _writer = self.writer();
        let mut change = Change::of(&self.segments.load_full());
        let (taken, from) = change.take(&[slot]).pop().ok_or(IndexError::SlotUnknown(slot))?;
        if from != compartment {
            change.insert(compartment, taken);
            self.publish(change);
        }
        Ok(())
    }

    /// Finds the most similar templates for each probe, in the probes' order: every template is scanned for
    /// every probe, on the pool's threads, and as many as the threshold needs are compared. A template that
    /// passes the threshold is found; of those that don't, the nearest.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] and [`IndexError::Search`]: nothing is known about any of the probes then.
    pub fn search(&self, probes: &[Protected], threshold: Threshold) -> Result<Vec<Findings>, IndexError> {
        probes.iter().try_for_each(|probe| self.check(probe))?;
        let mut findings = Vec::with_capacity(probes.len());
        for probes in probes.chunks(SCAN_PROBES) {
            findings.extend(self.scan(probes.iter().map(|probe| Probe::of(probe, threshold)).collect())?);
        }
        Ok(findings)
    }

    /// The same, together with the searches of others. Whoever gets the turn with it has to have it run.
    ///
    /// # Errors
    /// [`IndexError::Dimension`]; then nothing was asked. What is awaited fails with [`IndexError::Search`], and nothing
    /// is known about any of the probes then.
    pub fn ask(
        self: &Arc<Self>,
        probes: &[&Protected],
        threshold: Threshold,
    ) -> Result<(Asked, Option<SearchTurn>), IndexError> {
        probes.iter().try_for_each(|probe| self.check(probe))?;
        Ok(self.asked(probes.iter().map(|probe| Probe::of(probe, threshold)).collect()))
    }

    /// The same for templates that are in the gallery themselves: each is compared with all besides those that are named
    /// with it. A compartment that holds no other has no row.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_besides(
        self: &Arc<Self>,
        probes: &[(&Protected, Vec<Slot>)],
        threshold: Threshold,
    ) -> Result<(Asked, Option<SearchTurn>), IndexError> {
        probes.iter().try_for_each(|(probe, _)| self.check(probe))?;
        let probe = |(probe, own): &(&Protected, Vec<Slot>)| Probe::of(probe, threshold).besides(own.clone());
        Ok(self.asked(probes.iter().map(probe).collect()))
    }

    fn asked(self: &Arc<Self>, probes: Vec<Probe>) -> (Asked, Option<SearchTurn>) {
        let (answers, turn) = self.searches.ask(probes);
        (Asked(answers), turn.map(|turn| SearchTurn { gallery: Arc::clone(self), turn }))
    }

    fn scan(&self, probes: Vec<Probe>) -> Result<Vec<Findings>, IndexError> {
        let segments = self.segments.load_full();
        Scan::new(segments, probes, &self.reach, self.kernel, self.stage.as_deref())?.run(&self.pool)
    }

    /// What a search would find that compared every template with every probe, by the plainest means, one
    /// after the other. For checks; it takes many times longer.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] for a probe of another dimension.
    pub fn exact(&self, probes: &[Protected]) -> Result<Vec<Findings>, IndexError> {
        let segments = self.segments.load_full();
        let find = |probe: &Protected| {
            self.check(probe)?;
            let length = Length::of(probe);
            let mut findings = Findings::default();
            for segment in segments.iter() {
                for (position, slot) in segment.positions() {
                    let products = probe.components().iter().zip(segment.components(position));
                    let products = products.map(|(&a, b)| i64::from(a).wrapping_mul(i64::from(b)));
                    let dot = products.fold(0, i64::wrapping_add);
                    let squares = segment.squares(position).ok_or(IndexError::Search)?;
                    let similarity = length.similarity(dot, squares);
                    findings.add(Finding { compartment: segment.compartment(), slot, similarity });
                }
            }
            Ok(findings)
        };
        probes.iter().map(find).collect()
    }

    fn check(&self, probe: &Protected) -> Result<(), IndexError> {
        let (expected, given) = (self.dimension, probe.dimension());
        if expected == given { Ok(()) } else { Err(IndexError::Dimension { expected, given }) }
    }

    /// Builds what changed, then lets searches see it.
    fn publish(&self, change: Change) {
        let mut segments = Vec::new();
        for (compartment, pieces) in change.settled() {
            segments.extend(pieces.into_iter().map(|piece| match piece {
                Piece::Kept(segment) => segment,
                Piece::Changed(entries) => {
                    let built = Segment::build(compartment, self.dimension, entries);
                    Arc::new(built.indexed(self.stage.as_deref()))
                }
            }));
        }
        self.segments.store(Arc::new(segments));
    }

    fn writer(&self) -> MutexGuard<'_, ()> {
        // A panic before `publish` replaces anything leaves the gallery as it was.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
