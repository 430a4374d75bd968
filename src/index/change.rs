//! A change of a gallery: which segments stay, and which are built anew.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::gallery::{Compartment, Slot};
use super::segment::{Entry, Segment, Source};

/// The segments that a change will leave behind, before they are built.
pub(super) struct Change {
    pieces: BTreeMap<Compartment, Vec<Piece>>,
}

/// A segment that stays, or the templates of one to be built.
pub(super) enum Piece {
    Kept(Arc<Segment>),
    Changed(Vec<Entry>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Kept(segment) => segment.len(),
            Self::Changed(entries) => entries.len(),
        }
    }

    fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Kept(segment) => entries(&segment).collect(),
            Self::Changed(entries) => entries,
        }
    }
}

fn entries(segment: &Arc<Segment>) -> impl Iterator<Item = Entry> {
    segment
        .positions()
        .map(|(position, slot)| Entry { slot, source: Source::Kept(Arc::clone(segment), position) })
}

impl Change {
    pub(super) fn of(segments: &[Arc<Segment>]) -> Self {
        let mut pieces: BTreeMap<Compartment, Vec<Piece>> = BTreeMap::new();
        for segment in segments {
            pieces.entry(segment.compartment()).or_default().push(Piece::Kept(Arc::clone(segment)));
        }
        Self { pieces }
    }

    /// Adds a template to the piece of this change that has room, or to a new one.
    pub(super) fn insert(&mut self, compartment: Compartment, entry: Entry) {
        let pieces = self.pieces.entry(compartment).or_default();
        match pieces.last_mut() {
            Some(Piece::Changed(entries)) if entries.len() < SEGMENT_TEMPLATES => entries.push(entry),
            _ => pieces.push(Piece::Changed(vec![entry])),
        }
    }

    /// Takes the templates of these slots out of their segments, which are then to be built again.
    pub(super) fn take(&mut self, slots: &[Slot]) -> Vec<(Entry, Compartment)> {
        let slots: HashSet<Slot> = slots.iter().copied().collect();
        let mut taken = Vec::new();
        for (compartment, pieces) in &mut self.pieces {
            for piece in pieces {
                let Piece::Kept(segment) = &*piece else { continue };
                if slots.iter().any(|slot| segment.position(*slot).is_some()) {
                    let (gone, left): (Vec<Entry>, Vec<Entry>) =
                        entries(segment).partition(|entry| slots.contains(&entry.slot));
                    taken.extend(gone.into_iter().map(|entry| (entry, *compartment)));
                    *piece = Piece::Changed(left);
                }
            }
        }
        taken
    }

    /// The pieces, merged so that few are small: of neighbours in size, two are merged while the larger is
    /// less than twice the smaller and both fit into one segment. So a template is moved at most
    /// log₁.₅(8,192) = 22 times however it came in (about 5 times in batches of 256), and a compartment has
    /// at most 13 segments beside those that are at least half full.
    pub(super) fn settled(self) -> impl Iterator<Item = (Compartment, Vec<Piece>)> {
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

/// Templates in a full segment: 5 MB at d = 512, built in some 4 ms, which is what removing one template costs.
/// As many as are loaded at a time when a server starts, so that nothing is built twice then.
pub(super) const SEGMENT_TEMPLATES: usize = 8_192;
