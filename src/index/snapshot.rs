//! What a gallery holds, read out again: copies of its rounded templates by slot, and counts to compare by.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use super::gallery::{Compartment, Gallery, Slot};
use crate::template::Compact;

impl Gallery {
    /// Copies of the templates in a range of slots, in the order of their slots.
    ///
    /// What is removed afterwards is still in these copies: whoever holds them sees to that.
    #[must_use]
    pub fn copies(&self, slots: RangeInclusive<Slot>) -> Vec<(Slot, Compact)> {
        let segments = self.segments.load_full();
        let met: Vec<_> = segments.iter().filter(|one| one.meets(*slots.start(), *slots.end())).collect();
        let mut copies = Vec::new();
        for segment in met {
            let within = segment.positions().filter(|(_, slot)| slots.contains(slot));
            copies.extend(within.map(|(position, slot)| {
                (slot, Compact::of_components(segment.components(position), self.dimension()))
            }));
        }
        copies.sort_unstable_by_key(|(slot, _)| *slot);
        copies
    }

    /// How many templates lie in each range of `span` slots, by the number of the range: the first is 0 and begins
    /// with slot 0. Ranges without a template are left out.
    #[must_use]
    pub fn counts(&self, span: NonZeroU64) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for segment in self.segments.load_full().iter() {
            let mut slots = segment.positions().map(|(_, slot)| slot.0.wrapping_div(span.get())).peekable();
            while let Some(range) = slots.next() {
                let mut count = 1_u64;
                while slots.next_if_eq(&range).is_some() {
                    count = count.saturating_add(1);
                }
                let sum: &mut u64 = counts.entry(range).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        counts
    }

    /// How many templates each compartment has; compartments without one are left out.
    #[must_use]
    pub fn census(&self) -> BTreeMap<Compartment, u64> {
        let mut census = BTreeMap::new();
        for segment in self.segments.load_full().iter() {
            let sum: &mut u64 = census.entry(segment.compartment()).or_default();
            *sum = sum.saturating_add(u64::try_from(segment.len()).unwrap_or(u64::MAX));
        }
        census
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::pool::pool;
    use super::*;
    use crate::template::{Threshold, synthetic};

    #[test]
    fn copies_put_into_another_gallery_are_found_as_before() {
        let transform = synthetic::transform(48, 1);
        let mut rng = synthetic::rng(5);
        let people: Vec<Vec<f32>> = (0..300).map(|_| synthetic::unit(&mut rng, 48)).collect();
        let threads = pool(NonZeroUsize::new(2).unwrap()).unwrap();
        let [first, second] = [(), ()].map(|()| Gallery::new(transform.dimension(), threads.clone()));
        // In disorder, and in three compartments.
        let rows = (0..300_usize).map(|number| {
            let slot = u64::try_from(number * 7 % 300).unwrap();
            (Slot(slot), Compartment(slot % 3), synthetic::protected(&people[number], &transform))
        });
        let rows: Vec<_> = rows.collect();
        for row in rows.into_iter().enumerate().fold(vec![Vec::new(), Vec::new()], |mut halves, (n, row)| {
            halves[n % 2].push(row);
            halves
        }) {
            first.insert(row).unwrap();
        }
        assert_eq!(first.remove(&[Slot(100), Slot(101), Slot(299)]), 3);
        for range in [0..=99_u64, 100..=199, 200..=1_000] {
            let copies = first.copies(Slot(*range.start())..=Slot(*range.end()));
            let slots: Vec<u64> = copies.iter().map(|(slot, _)| slot.0).collect();
            let expected: Vec<u64> = range.filter(|slot| *slot < 299 && ![100, 101].contains(slot)).collect();
            assert_eq!(slots, expected);
            let copies = copies.into_iter().map(|(slot, copy)| (slot, Compartment(slot.0 % 3), copy));
            second.insert_rounded(copies.collect()).unwrap();
        }
        assert_eq!(first.census(), second.census());
        assert_eq!(second.census().values().sum::<u64>(), 297);
        let counts = first.counts(NonZeroU64::new(100).unwrap());
        assert_eq!(counts, BTreeMap::from([(0, 100), (1, 98), (2, 99)]));
        let probes: Vec<_> =
            people[..40].iter().map(|person| synthetic::protected(person, &transform)).collect();
        let threshold = Threshold::new(0.5).unwrap();
        let found = [&first, &second].map(|gallery| {
            let found = gallery.search(&probes, threshold).unwrap();
            let places = found.iter().flat_map(|one| one.rows().iter());
            places.map(|row| (row.compartment.0, row.slot.0)).collect::<Vec<_>>()
        });
        assert_eq!(found[0], found[1]);
        second.clear();
        assert!(second.is_empty() && second.census().is_empty());
    }
}
