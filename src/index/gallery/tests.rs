use std::collections::BTreeMap;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::change::SEGMENT_TEMPLATES;
use super::super::pool::pool;
use super::*;
use crate::template::{Compact, Similarity, Transform, synthetic};

fn gallery(dimension: u16) -> Gallery {
    gallery_with(dimension, Kernel::best())
}

fn gallery_with(dimension: u16, kernel: Kernel) -> Gallery {
    let threads = pool(NonZeroUsize::new(2).unwrap()).unwrap();
    Gallery::with_kernel(Dimension::new(dimension.into()).unwrap(), threads, kernel, None)
}

fn half() -> Threshold {
    Threshold::new(0.5).unwrap()
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
    let mut best: BTreeMap<u64, (u64, Similarity)> = BTreeMap::new();
    for (&slot, &(compartment, number)) in model {
        let template = Compact::of(&person(number, transform));
        let products = probe.components().iter().zip(template.components());
        let dot = products.map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
        let similarity = Length::of(probe).similarity(dot, template.squares());
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
            let free = templates.iter().all(|(slot, ..)| !model.contains_key(slot) && slots.insert(*slot));
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
            prop_assert_eq!(gallery.remove(&slots), before - model.len());
        }
        Step::Relabel(slot, label) => {
            let known = model.get_mut(&slot).map(|place| place.0 = label).is_some();
            prop_assert_eq!(gallery.relabel(Slot(slot), Compartment(label)).is_ok(), known);
        }
        Step::Search(number) => {
            let probe = [person(number, transform)];
            let expected = expected(model, &probe[0], transform);
            prop_assert_eq!(places(&gallery.search(&probe, half()).unwrap()[0]), expected.clone());
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
    let people: Vec<Vec<f32>> = (0..10_000).map(|_| synthetic::unit(&mut rng, 128)).collect();
    for (batch, start) in people.chunks(1_000).zip((0..).step_by(1_000)) {
        let rows = batch.iter().zip(start..);
        let rows = rows.map(|(values, slot)| {
            (Slot(slot), Compartment(slot % 3), synthetic::protected(values, &transform))
        });
        gallery.insert(rows.collect()).unwrap();
    }
    // A threshold at which all signs are scored, and one at which a probe's largest components are enough.
    for (value, signs) in [(0.6, 128..=128), (0.85, 1..=64)] {
        // Mates around the threshold, so that the last bit decides; more probes than one call takes.
        let probes: Vec<Protected> = (0..100)
            .map(|number| {
                let cosine = value - 0.05 + f64::from(number) / 1_000.0;
                let values = synthetic::mate(&mut rng, &people[usize::try_from(number).unwrap() * 7], cosine);
                synthetic::protected(&values, &transform)
            })
            .collect();
        let threshold = Threshold::new(value).unwrap();
        let (found, exact) = (gallery.search(&probes, threshold).unwrap(), gallery.exact(&probes).unwrap());
        assert!(gallery.kept(threshold) < gallery.len() / 2, "the first stage should have to choose");
        let read = gallery.signs(threshold);
        assert!(signs.contains(&read), "{read} signs are read at {value}");
        let mut hits = 0;
        for (found, exact) in found.iter().zip(&exact) {
            let passing = |findings: &Findings| -> Vec<(u64, u64)> {
                let passing = findings.rows().iter().filter(|row| row.similarity.passes(threshold));
                passing.map(|row| (row.compartment.0, row.slot.0)).collect()
            };
            assert_eq!(passing(found), passing(exact), "who passes must be found, and nobody else");
            hits += passing(found).len();
        }
        assert!((33..67).contains(&hits), "about half of the mates should pass, not {hits} of 100");
    }
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
    let sizes: Vec<usize> = gallery.segments.load().iter().map(|segment| segment.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 200 * 256 + 100 + 45_003);
    assert!(sizes.iter().all(|&size| size <= SEGMENT_TEMPLATES), "a segment grew too large: {sizes:?}");
    assert!(sizes.len() <= 13 + 2 * 96_303 / SEGMENT_TEMPLATES, "too many segments: {sizes:?}");
}

#[test]
fn a_removed_template_is_gone_from_memory() {
    let (gallery, transform) = (gallery(32), synthetic::transform(32, 1));
    let rows = (0..100).map(|slot| (Slot(slot), Compartment(0), person(slot, &transform)));
    gallery.insert(rows.collect()).unwrap();
    let weak = Arc::downgrade(&gallery.segments.load()[0]);
    assert_eq!(gallery.remove(&[Slot(42), Slot(1_000)]), 1);
    assert!(weak.upgrade().is_none(), "someone still holds the segment that the removed template was in");
    assert_ne!(places(&gallery.search(&[person(42, &transform)], half()).unwrap()[0]), [(0, 42)]);
}

#[test]
fn the_bytes_of_a_removed_template_are_nowhere_in_the_process() {
    // Of a dimension and a transform of its own, so that no other test has the same bytes.
    const DIMENSION: u16 = 300;
    let (gallery, transform) = (gallery(DIMENSION), synthetic::transform(DIMENSION, 77));
    let of = |slot| person(slot, &transform);
    gallery.insert((0..100).map(|slot| (Slot(slot), Compartment(0), of(slot))).collect()).unwrap();
    let [gone, stays] = [42, 43].map(|slot| Masked::of(&Compact::of(&of(slot))));
    assert!(gone.is_in_memory() && stays.is_in_memory(), "the search through memory has lost its way");
    gallery.remove(&[Slot(42)]);
    assert!(stays.is_in_memory(), "the others are still there");
    assert!(!gone.is_in_memory(), "the components of a removed template were freed and not wiped");
}

/// Components to look for in memory, masked, so that what is looked with is not found itself.
struct Masked(Vec<u8>);

impl Masked {
    fn of(template: &Compact) -> Self {
        Self(template.components().iter().map(|component| component.cast_unsigned() ^ MASK).collect())
    }

    /// Whether they stand anywhere in the memory that this process may write to.
    fn is_in_memory(&self) -> bool {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut bytes = Zeroizing::new(vec![0; 1 << 20]);
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let ranges = maps.lines().filter(|line| line.contains(" rw")).filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
        });
        let length = u64::try_from(self.0.len()).unwrap();
        for (start, end) in ranges {
            // What lies across two parts is found in the second.
            for at in (start..end).step_by(bytes.len() - self.0.len()) {
                let most = usize::try_from(end - at).unwrap().min(bytes.len());
                if end - at < length {
                    break;
                }
                // What was unmapped meanwhile holds nothing.
                let Ok(read) = memory.read_at(&mut bytes[..most], at) else { break };
                let found = self.is_in(&bytes[..read]);
                bytes[..read].fill(0);
                if found {
                    return true;
                }
            }
        }
        false
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let first = self.0[0] ^ MASK;
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
        starts.into_iter().any(|(at, _)| {
            let there = bytes.get(at..at + self.0.len());
            there.is_some_and(|there| there.iter().zip(&self.0).all(|(byte, masked)| byte ^ MASK == *masked))
        })
    }
}

const MASK: u8 = 0x5a;

#[test]
fn an_empty_gallery_finds_nothing_and_says_so() {
    let (gallery, transform) = (gallery(8), synthetic::transform(8, 1));
    assert!(gallery.is_empty());
    let found = gallery.search(&[person(1, &transform), person(2, &transform)], half()).unwrap();
    assert_eq!(found.iter().map(|findings| findings.rows().len()).collect::<Vec<_>>(), [0, 0]);
    assert!(found[0].of(Compartment(0)).is_none());
    assert!(gallery.search(&[], half()).unwrap().is_empty());
}

#[test]
fn a_wrong_dimension_is_an_error_and_never_an_empty_answer() {
    let gallery = gallery(8);
    let longer = synthetic::transform(16, 1);
    let probe = [person(1, &longer)];
    for answer in [gallery.search(&probe, half()), gallery.exact(&probe)] {
        assert!(matches!(answer, Err(IndexError::Dimension { .. })), "even where there is nobody to find");
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
                        let found = places(&gallery.search(&probe, half()).unwrap()[0]);
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
                (Slot(10_000 + round * 50 + slot), Compartment(round % 2), person(9_000 + slot, &transform))
            });
            gallery.insert(rows.collect()).unwrap();
            gallery.remove(&[Slot(10_000 + round * 50), Slot(100 + round)]);
        }
        done.store(true, Ordering::Relaxed);
        for searcher in searchers {
            searcher.join().unwrap();
        }
    });
    assert_eq!(gallery.len(), 2_000 + 60 * 48);
}

#[test]
fn findings_depend_neither_on_the_loops_nor_on_the_cut_into_segments() {
    let transform = synthetic::transform(64, 1);
    let threshold = Threshold::new(0.8).unwrap();
    // Few people and many templates: very many tie, within the edge of what is kept as well.
    let people: Vec<Vec<f32>> =
        (0..900).map(|number| synthetic::unit(&mut synthetic::rng(number % 90), 64)).collect();
    let template = |slot: u64| {
        let person = &people[usize::try_from(slot).unwrap() % people.len()];
        (Slot(slot), Compartment(slot % 5), synthetic::protected(person, &transform))
    };
    let mut rng = synthetic::rng(4);
    let probes: Vec<Protected> = people[..70]
        .iter()
        .map(|person| synthetic::protected(&synthetic::mate(&mut rng, person, 0.8), &transform))
        .collect();
    let mut expected: Option<Vec<Vec<(u64, u64)>>> = None;
    for kernel in Kernel::available() {
        for batch in [5_000, 700, 64] {
            let gallery = gallery_with(64, kernel);
            // Odd batches last first, so that slots lie in another order too.
            let mut slots: Vec<u64> = (0..5_000).collect();
            slots.rotate_left(batch / 2);
            for slots in slots.chunks(batch) {
                gallery.insert(slots.iter().map(|&slot| template(slot)).collect()).unwrap();
            }
            assert!(gallery.kept(threshold) < gallery.len() / 8, "both stages should be needed");
            let together = gallery.search(&probes, threshold).unwrap();
            let together: Vec<_> = together.iter().map(places).collect();
            let apart = probes.iter().map(std::slice::from_ref);
            let apart: Vec<_> =
                apart.map(|probe| places(&gallery.search(probe, threshold).unwrap()[0])).collect();
            assert_eq!(together, apart, "{kernel:?}: a batch must find what each probe finds alone");
            assert_eq!(*expected.get_or_insert(together.clone()), together, "{kernel:?}, batches of {batch}");
        }
    }
}

#[test]
fn a_gallery_far_from_the_model_is_scanned_again_and_finds_the_same() {
    // Everyone looks much the same: scores lie far from those of independent strangers, on either side.
    let transform = synthetic::transform(64, 1);
    let threshold = Threshold::new(0.8).unwrap();
    let mut rng = synthetic::rng(12);
    let centre = synthetic::unit(&mut rng, 64);
    let gallery = gallery(64);
    let crowd = (0..4_000).map(|slot| {
        let values = synthetic::mate(&mut rng, &centre, 0.7);
        (Slot(slot), Compartment(0), synthetic::protected(&values, &transform))
    });
    gallery.insert(crowd.collect()).unwrap();
    let away: Vec<f32> = centre.iter().map(|value| -value).collect();
    let probes = [centre, away].map(|values| synthetic::protected(&values, &transform));
    let (found, exact) = (gallery.search(&probes, threshold).unwrap(), gallery.exact(&probes).unwrap());
    for (found, exact) in found.iter().zip(&exact) {
        let found = found.rows().first().expect("the nearest are named, however far they are");
        let passes = exact.rows()[0].similarity.passes(threshold);
        assert_eq!(found.similarity.passes(threshold), passes);
    }
}

#[test]
fn searches_at_the_same_time_find_what_they_find_alone() {
    let (gallery, transform) = (Arc::new(gallery(64)), synthetic::transform(64, 1));
    let rows = (0..3_000).map(|slot| (Slot(slot), Compartment(slot % 2), person(slot, &transform)));
    gallery.insert(rows.collect()).unwrap();
    thread::scope(|scope| {
        let searchers: Vec<_> = (0..8_u64)
            .map(|first| {
                let (gallery, transform) = (&gallery, &transform);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    for number in (first * 100..).take(30) {
                        let probe = person(number, transform);
                        let (asked, turn) = gallery.ask(&[&probe], half()).unwrap();
                        if let Some(turn) = turn {
                            turn.run();
                        }
                        let found = runtime.block_on(asked).unwrap();
                        let own = found[0].of(Compartment(number % 2)).map(|row| row.slot);
                        assert_eq!(own, Some(Slot(number)), "an answer of another's question");
                    }
                })
            })
            .collect();
        for searcher in searchers {
            searcher.join().unwrap();
        }
    });
}
