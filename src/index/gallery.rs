//! The live search structure of one collection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rayon::prelude::*;

use super::IndexError;
use super::findings::{Finding, Findings};
use super::flat::Rows;
use super::pool::Pool;
use super::segment::{Entry, Segment, SegmentId};
use crate::template::{Dimension, Protected};

/// Where a template lies. The caller gives it and alone knows whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// A label of templates: a search reports the best of each compartment apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Compartment(pub u64);

/// The live search structure of one collection.
///
/// Searches see the gallery as it was at one moment and never wait; changes wait for one another. A change
/// is seen whole or not at all, and has happened when its call returns. A removed template's bytes are wiped
/// when the last search that saw it ends.
pub struct Gallery {
    dimension: Dimension,
    pool: Pool,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    writer: Mutex<Writer>,
}

/// What only changes need. INVARIANT: it describes the segments that searches see; both are replaced together,
/// by code that can't fail.
struct Writer {
    places: HashMap<Slot, SegmentId>,
    next: SegmentId,
}

impl Gallery {
    /// An empty gallery for templates of this dimension, searched by these threads.
    #[must_use]
    pub fn new(dimension: Dimension, pool: Pool) -> Self {
        let writer = Writer { places: HashMap::new(), next: SegmentId(0) };
        Self { dimension, pool, segments: ArcSwap::default(), writer: Mutex::new(writer) }
    }

    /// The dimension of the gallery's templates.
    #[must_use]
    pub const fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// The number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.load().iter().map(|segment| segment.entries().len()).sum()
    }

    /// Whether there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.load().is_empty()
    }

    /// Puts templates into their slots, all or none.
    ///
    /// # Errors
    /// [`IndexError::SlotTaken`], [`IndexError::Dimension`] and [`IndexError::Build`]; nothing has changed
    /// then.
    pub fn insert(&self, templates: Vec<(Slot, Compartment, Protected)>) -> Result<(), IndexError> {
        let mut writer = self.writer();
        let mut new = HashSet::with_capacity(templates.len());
        for (slot, _, template) in &templates {
            if writer.places.contains_key(slot) || !new.insert(*slot) {
                return Err(IndexError::SlotTaken(*slot));
            }
            if template.dimension() != self.dimension {
                return Err(IndexError::Dimension { expected: self.dimension, given: template.dimension() });
            }
        }
        let mut change = Change::of(&self.segments.load_full());
        for (slot, compartment, template) in templates {
            change.insert(slot, compartment, Arc::new(template));
        }
        self.publish(&mut writer, change, &[])
    }

    /// Takes the templates out of these slots, all or none; slots without one are passed over. Gives the
    /// number of templates taken out.
    ///
    /// # Errors
    /// [`IndexError::Build`]; nothing has changed then.
    pub fn remove(&self, slots: &[Slot]) -> Result<usize, IndexError> {
        let mut writer = self.writer();
        let before = writer.places.len();
        let mut change = Change::of(&self.segments.load_full());
        change.take(slots, &writer);
        self.publish(&mut writer, change, slots)?;
        Ok(before.saturating_sub(writer.places.len()))
    }

    /// Moves the template of a slot to another compartment. No search misses it meanwhile.
    ///
    /// # Errors
    /// [`IndexError::SlotUnknown`] and [`IndexError::Build`]; nothing has changed then.
    pub fn relabel(&self, slot: Slot, compartment: Compartment) -> Result<(), IndexError> {
        let mut writer = self.writer();
        let mut change = Change::of(&self.segments.load_full());
        let (taken, from) = change.take(&[slot], &writer).pop().ok_or(IndexError::SlotUnknown(slot))?;
        if from == compartment {
            return Ok(());
        }
        change.insert(slot, compartment, taken);
        self.publish(&mut writer, change, &[])
    }

    /// Finds the most similar template of every compartment for each probe, in the probes' order: every
    /// template is scanned for every probe, on the pool's threads.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] and [`IndexError::Search`]: nothing is known about any of the probes then.
    pub fn search(&self, probes: &[Protected]) -> Result<Vec<Findings>, IndexError> {
        let rows = Rows::of(self.dimension, probes.iter())?;
        let segments = self.segments.load_full();
        let tasks: Vec<(&Arc<Segment>, Range<usize>)> = segments
            .iter()
            .flat_map(|segment| calls(probes.len()).map(move |call| (segment, call)))
            .collect();
        let found: Vec<Vec<Finding>> = self.pool.run(|| {
            let best =
                tasks.par_iter().with_max_len(1).map(|(segment, call)| segment.best(probes, &rows, call));
            best.collect::<Result<_, IndexError>>()
        })?;
        let mut findings = vec![Findings::default(); probes.len()];
        for ((_, call), found) in tasks.iter().zip(found) {
            if call.len() != found.len() {
                return Err(IndexError::Search);
            }
            let of_call = findings.get_mut(call.clone()).ok_or(IndexError::Search)?;
            for (findings, finding) in of_call.iter_mut().zip(found) {
                findings.add(finding);
            }
        }
        Ok(findings)
    }

    /// What [`Gallery::search`] must find, by the plainest means: every template is compared with every
    /// probe, one after the other. For checks; it takes many times longer.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] for a probe of another dimension.
    pub fn exact(&self, probes: &[Protected]) -> Result<Vec<Findings>, IndexError> {
        let segments = self.segments.load_full();
        let find = |probe: &Protected| {
            if probe.dimension() != self.dimension {
                return Err(IndexError::Dimension { expected: self.dimension, given: probe.dimension() });
            }
            let mut findings = Findings::default();
            for segment in segments.iter() {
                findings.add(segment.exact(probe)?);
            }
            Ok(findings)
        };
        probes.iter().map(find).collect()
    }

    /// Builds what changed, then lets searches see it.
    fn publish(&self, writer: &mut Writer, change: Change, removed: &[Slot]) -> Result<(), IndexError> {
        let mut next = writer.next;
        let mut segments = Vec::new();
        let mut built = Vec::new();
        for (compartment, pieces) in change.settled() {
            for piece in pieces {
                match piece {
                    Piece::Kept(segment) => segments.push(segment),
                    Piece::Changed(entries) if entries.is_empty() => {}
                    Piece::Changed(entries) => {
                        let segment = Segment::build(next, compartment, self.dimension, entries)?;
                        next = SegmentId(next.0.wrapping_add(1));
                        built.push(Arc::new(segment));
                    }
                }
            }
        }
        // From here on nothing can fail.
        writer.next = next;
        for slot in removed {
            writer.places.remove(slot);
        }
        for segment in &built {
            writer.places.extend(segment.entries().iter().map(|(slot, _)| (*slot, segment.id())));
        }
        segments.extend(built);
        // The largest first, so that the threads of a search end together.
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.entries().len()));
        self.segments.store(Arc::new(segments));
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic before `publish` replaces anything leaves the writer as it was.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segments that a change will leave behind, before they are built.
struct Change {
    pieces: BTreeMap<Compartment, Vec<Piece>>,
}

/// A segment that stays, or the templates of one to be built.
enum Piece {
    Kept(Arc<Segment>),
    Changed(Vec<Entry>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Kept(segment) => segment.entries().len(),
            Self::Changed(entries) => entries.len(),
        }
    }

    fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Kept(segment) => segment.entries().to_vec(),
            Self::Changed(entries) => entries,
        }
    }
}

impl Change {
    fn of(segments: &[Arc<Segment>]) -> Self {
        let mut pieces: BTreeMap<Compartment, Vec<Piece>> = BTreeMap::new();
        for segment in segments {
            pieces.entry(segment.compartment()).or_default().push(Piece::Kept(Arc::clone(segment)));
        }
        Self { pieces }
    }

    /// Adds a template to the piece of this change that has room, or to a new one.
    fn insert(&mut self, slot: Slot, compartment: Compartment, template: Arc<Protected>) {
        let pieces = self.pieces.entry(compartment).or_default();
        match pieces.last_mut() {
            Some(Piece::Changed(entries)) if entries.len() < SEGMENT_TEMPLATES => {
                entries.push((slot, template));
            }
            _ => pieces.push(Piece::Changed(vec![(slot, template)])),
        }
    }

    /// Takes the templates of these slots out of their segments, which are then to be built again.
    fn take(&mut self, slots: &[Slot], writer: &Writer) -> Vec<(Arc<Protected>, Compartment)> {
        let slots: HashSet<Slot> = slots.iter().copied().collect();
        let segments: HashSet<SegmentId> =
            slots.iter().filter_map(|slot| writer.places.get(slot)).copied().collect();
        let mut taken = Vec::new();
        for (compartment, pieces) in &mut self.pieces {
            for piece in pieces {
                let Piece::Kept(segment) = &*piece else { continue };
                if segments.contains(&segment.id()) {
                    let (gone, left): (Vec<Entry>, Vec<Entry>) =
                        segment.entries().iter().cloned().partition(|(slot, _)| slots.contains(slot));
                    taken.extend(gone.into_iter().map(|(_, template)| (template, *compartment)));
                    *piece = Piece::Changed(left);
                }
            }
        }
        taken
    }

    /// The pieces, merged so that few are small: of neighbours in size, two are merged while the larger is
    /// less than twice the smaller and both fit into one segment. So a template is moved at most
    /// log₁.₅(16,384) = 24 times however it came in (about 6 times in batches of 256), and a compartment has
    /// at most 14 segments beside those that are at least half full.
    fn settled(self) -> impl Iterator<Item = (Compartment, Vec<Piece>)> {
        self.pieces.into_iter().map(|(compartment, pieces)| (compartment, settled(pieces)))
    }
}

fn settled(mut pieces: Vec<Piece>) -> Vec<Piece> {
    // Where nothing changed, nothing is to be merged either.
    if pieces.iter().all(|piece| matches!(piece, Piece::Kept(_))) {
        return pieces;
    }
    pieces.retain(|piece| piece.len() > 0);
    loop {
        pieces.sort_by_key(Piece::len);
        let fit = |pair: &[Piece]| match pair {
            [small, large] => {
                large.len() < small.len().saturating_mul(2)
                    && small.len().saturating_add(large.len()) <= SEGMENT_TEMPLATES
            }
            _ => false,
        };
        let Some(first) = pieces.windows(2).position(fit) else { return pieces };
        let mut entries = pieces.remove(first).into_entries();
        entries.extend(pieces.remove(first).into_entries());
        pieces.push(Piece::Changed(entries));
    }
}

/// The probes of each call into the search library.
fn calls(probes: usize) -> impl Iterator<Item = Range<usize>> {
    (0..probes).step_by(CALL_PROBES).map(move |start| start..start.saturating_add(CALL_PROBES).min(probes))
}

/// Templates in a full segment: 33 MB at d = 512, built in about 20 ms, which is what removing one template
/// costs; and 61 calls a probe at a million templates, which is little beside the scan.
const SEGMENT_TEMPLATES: usize = 16_384;
/// Probes in one call: enough for the matrix product that Faiss takes from 20 probes on to be worth it, few
/// enough that a large batch spreads over the threads.
const CALL_PROBES: usize = 64;

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use proptest::prelude::*;

    use super::super::pool::pool;
    use super::*;
    use crate::template::{Threshold, Transform, synthetic};

    fn gallery(dimension: u16) -> Gallery {
        let threads = pool(NonZeroUsize::new(2).unwrap()).unwrap();
        Gallery::new(Dimension::new(dimension.into()).unwrap(), threads)
    }

    /// The template of a person who is known by a number.
    fn person(number: u64, transform: &Transform) -> Protected {
        let values = synthetic::unit(&mut synthetic::rng(number), transform.dimension().get());
        synthetic::protected(&values, transform)
    }

    /// What a test may know of findings: compartments and slots.
    fn places(findings: &Findings) -> Vec<(u64, u64)> {
        findings.rows().iter().map(|row| (row.compartment.0, row.slot.0)).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Vec<(u64, u64, u64)>),
        Remove(Vec<u64>),
        Relabel(u64, u64),
        Search(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let template = (0..60_u64, 0..4_u64, 0..40_u64);
        prop_oneof![
            4 => prop::collection::vec(template, 0..12).prop_map(Step::Insert),
            2 => prop::collection::vec(0..60_u64, 0..8).prop_map(Step::Remove),
            2 => (0..60_u64, 0..4_u64).prop_map(|(slot, compartment)| Step::Relabel(slot, compartment)),
            3 => (0..40_u64).prop_map(Step::Search),
        ]
    }

    /// A gallery as simple as can be: slot to compartment and person.
    type Model = BTreeMap<u64, (u64, u64)>;

    /// The most similar slot of each compartment, the lowest of equals.
    fn expected(model: &Model, probe: &Protected, transform: &Transform) -> Vec<(u64, u64)> {
        let mut best: BTreeMap<u64, (u64, crate::template::Similarity)> = BTreeMap::new();
        for (&slot, &(compartment, number)) in model {
            let similarity = probe.similarity(&person(number, transform)).unwrap();
            if best.get(&compartment).is_none_or(|(_, best)| similarity.exceeds(*best)) {
                best.insert(compartment, (slot, similarity));
            }
        }
        best.into_iter().map(|(compartment, (slot, _))| (compartment, slot)).collect()
    }

    fn take_step(
        gallery: &Gallery,
        model: &mut Model,
        step: Step,
        transform: &Transform,
    ) -> Result<(), TestCaseError> {
        match step {
            Step::Insert(templates) => {
                let mut slots = HashSet::new();
                let free =
                    templates.iter().all(|(slot, ..)| !model.contains_key(slot) && slots.insert(*slot));
                let rows = templates.iter().map(|&(slot, compartment, number)| {
                    (Slot(slot), Compartment(compartment), person(number, transform))
                });
                prop_assert_eq!(gallery.insert(rows.collect()).is_ok(), free);
                if free {
                    model.extend(templates.iter().map(|&(slot, label, number)| (slot, (label, number))));
                }
            }
            Step::Remove(slots) => {
                let before = model.len();
                model.retain(|slot, _| !slots.contains(slot));
                let slots: Vec<Slot> = slots.into_iter().map(Slot).collect();
                prop_assert_eq!(gallery.remove(&slots).unwrap(), before - model.len());
            }
            Step::Relabel(slot, label) => {
                let known = model.get_mut(&slot).map(|place| place.0 = label).is_some();
                prop_assert_eq!(gallery.relabel(Slot(slot), Compartment(label)).is_ok(), known);
            }
            Step::Search(number) => {
                let probe = [person(number, transform)];
                let expected = expected(model, &probe[0], transform);
                prop_assert_eq!(places(&gallery.search(&probe).unwrap()[0]), expected.clone());
                prop_assert_eq!(places(&gallery.exact(&probe).unwrap()[0]), expected);
            }
        }
        prop_assert_eq!(gallery.len(), model.len());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_history_gives_what_a_plain_list_gives(
            dimension in 2_u16..40,
            steps in prop::collection::vec(step(), 1..25),
        ) {
            let gallery = gallery(dimension);
            let transform = synthetic::transform(dimension, 1);
            let mut model = Model::new();
            for step in steps {
                take_step(&gallery, &mut model, step, &transform)?;
            }
        }
    }

    #[test]
    fn decisions_equal_those_of_comparing_everyone() {
        let (gallery, transform) = (gallery(128), synthetic::transform(128, 1));
        let mut rng = synthetic::rng(77);
        let people: Vec<Vec<f32>> = (0..20_000).map(|_| synthetic::unit(&mut rng, 128)).collect();
        for (batch, start) in people.chunks(1_000).zip((0..).step_by(1_000)) {
            let rows = batch.iter().zip(start..);
            let rows = rows.map(|(values, slot)| {
                (Slot(slot), Compartment(slot % 3), synthetic::protected(values, &transform))
            });
            gallery.insert(rows.collect()).unwrap();
        }
        // Mates around the threshold, so that the last bit decides; more probes than one call takes.
        let probes: Vec<Protected> = (0..150)
            .map(|number| {
                let cosine = 0.45 + f64::from(number) / 1_500.0;
                let values = synthetic::mate(&mut rng, &people[usize::try_from(number).unwrap() * 7], cosine);
                synthetic::protected(&values, &transform)
            })
            .collect();
        let threshold = Threshold::new(0.5).unwrap();
        let (found, exact) = (gallery.search(&probes).unwrap(), gallery.exact(&probes).unwrap());
        let mut hits = 0;
        for (found, exact) in found.iter().zip(&exact) {
            assert_eq!(places(found), places(exact), "the search must find what comparing everyone finds");
            for (found, exact) in found.rows().iter().zip(exact.rows()) {
                assert_eq!(found.similarity.passes(threshold), exact.similarity.passes(threshold));
                hits += u32::from(found.similarity.passes(threshold));
            }
        }
        assert!((50..100).contains(&hits), "about half of the mates should pass, not {hits} of 150");
    }

    #[test]
    fn segments_stay_few_and_within_their_size() {
        let (gallery, transform) = (gallery(4), synthetic::transform(4, 1));
        let mut next = 0;
        for batch in [256_usize; 200].into_iter().chain([1; 100]).chain([5_000, 40_000, 3]) {
            let rows = (0..batch).map(|_| {
                next += 1;
                (Slot(next), Compartment(0), person(next % 50, &transform))
            });
            gallery.insert(rows.collect()).unwrap();
        }
        let sizes: Vec<usize> =
            gallery.segments.load().iter().map(|segment| segment.entries().len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 200 * 256 + 100 + 45_003);
        assert!(sizes.iter().all(|&size| size <= SEGMENT_TEMPLATES), "a segment grew too large: {sizes:?}");
        assert!(sizes.len() <= 14 + 2 * 96_303 / SEGMENT_TEMPLATES, "too many segments: {sizes:?}");
    }

    #[test]
    fn a_removed_template_is_gone_from_memory() {
        let (gallery, transform) = (gallery(32), synthetic::transform(32, 1));
        let rows = (0..100).map(|slot| (Slot(slot), Compartment(0), person(slot, &transform)));
        gallery.insert(rows.collect()).unwrap();
        let weak: Vec<_> = gallery.segments.load()[0]
            .entries()
            .iter()
            .filter(|(slot, _)| slot.0 == 42)
            .map(|(_, template)| Arc::downgrade(template))
            .collect();
        assert_eq!(gallery.remove(&[Slot(42), Slot(1_000)]).unwrap(), 1);
        assert!(weak[0].upgrade().is_none(), "someone still holds the removed template");
        assert_ne!(places(&gallery.search(&[person(42, &transform)]).unwrap()[0]), [(0, 42)]);
    }

    #[test]
    fn an_empty_gallery_finds_nothing_and_says_so() {
        let (gallery, transform) = (gallery(8), synthetic::transform(8, 1));
        assert!(gallery.is_empty());
        let found = gallery.search(&[person(1, &transform), person(2, &transform)]).unwrap();
        assert_eq!(found.iter().map(|findings| findings.rows().len()).collect::<Vec<_>>(), [0, 0]);
        assert!(found[0].of(Compartment(0)).is_none());
        assert!(gallery.search(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_wrong_dimension_is_an_error_and_never_an_empty_answer() {
        let gallery = gallery(8);
        let longer = synthetic::transform(16, 1);
        for search in [Gallery::search, Gallery::exact] {
            let answer = search(&gallery, &[person(1, &longer)]);
            assert!(
                matches!(answer, Err(IndexError::Dimension { .. })),
                "even where there is nobody to find"
            );
        }
        let inserted = gallery.insert(vec![(Slot(1), Compartment(0), person(1, &longer))]);
        assert!(matches!(inserted, Err(IndexError::Dimension { .. })));
        assert!(gallery.is_empty());
    }

    #[test]
    fn a_refused_insertion_changes_nothing() {
        let (gallery, transform) = (gallery(8), synthetic::transform(8, 1));
        gallery.insert(vec![(Slot(1), Compartment(0), person(1, &transform))]).unwrap();
        let rows = vec![
            (Slot(2), Compartment(0), person(2, &transform)),
            (Slot(1), Compartment(0), person(3, &transform)),
        ];
        assert!(matches!(gallery.insert(rows), Err(IndexError::SlotTaken(Slot(1)))));
        assert_eq!(gallery.len(), 1);
        assert!(matches!(gallery.relabel(Slot(2), Compartment(1)), Err(IndexError::SlotUnknown(Slot(2)))));
    }

    #[test]
    fn searches_during_changes_see_whole_states() {
        let (gallery, transform) = (gallery(32), synthetic::transform(32, 1));
        let rows = (0..2_000).map(|slot| (Slot(slot), Compartment(slot % 2), person(slot, &transform)));
        gallery.insert(rows.collect()).unwrap();
        let probe = [person(7, &transform)];
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let searchers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut searches = 0;
                        while !done.load(Ordering::Relaxed) || searches < 20 {
                            let found = places(&gallery.search(&probe).unwrap()[0]);
                            let homes: Vec<u64> =
                                found.iter().filter(|(_, slot)| *slot == 7).map(|(home, _)| *home).collect();
                            assert_eq!(homes.len(), 1, "slot 7 must be in one compartment at any moment");
                            searches += 1;
                        }
                    })
                })
                .collect();
            for round in 0..60 {
                gallery.relabel(Slot(7), Compartment(round % 3)).unwrap();
                let rows = (0..50).map(|slot| {
                    (
                        Slot(10_000 + round * 50 + slot),
                        Compartment(round % 2),
                        person(9_000 + slot, &transform),
                    )
                });
                gallery.insert(rows.collect()).unwrap();
                gallery.remove(&[Slot(10_000 + round * 50), Slot(100 + round)]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            for searcher in searchers {
                searcher.join().unwrap();
            }
        });
        assert_eq!(gallery.len(), 2_000 + 60 * 48);
    }
}
