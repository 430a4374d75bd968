//! Chunks that are planned and not written yet, as far as the plan behind them has to know.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{ActorName, BatchId};

/// What the database will hold when the plan ahead is written. If it never is, whatever was planned behind it is stale.
#[derive(Clone, Default)]
pub(in super::super) struct Foreseen(Option<Arc<Facts>>);

#[derive(Default)]
pub(super) struct Facts {
    /// The number of the next template.
    pub(super) next_slot: u64,
    /// The rows of each batch that are answered then.
    pub(super) rows_done: HashMap<(ActorName, BatchId), u64>,
    /// Whom it is about, by source: whether they are known, and by which id, is not in the database yet.
    pub(super) people: HashSet<[u8; 32]>,
}

impl Foreseen {
    pub(super) fn of(facts: Facts) -> Self {
        Self(Some(Arc::new(facts)))
    }

    /// The number of the next template, when it is this one in the database.
    pub(super) fn next_slot(&self, in_database: u64) -> u64 {
        self.0.as_ref().map_or(in_database, |ahead| ahead.next_slot.max(in_database))
    }

    /// The rows of a batch that are answered, when it is so many in the database.
    pub(super) fn rows_done(&self, owner: &ActorName, batch: BatchId, in_database: u64) -> u64 {
        let ahead = self.0.as_ref().and_then(|ahead| ahead.rows_done.get(&(owner.clone(), batch)));
        ahead.map_or(in_database, |rows| in_database.max(*rows))
    }

    /// Whether one of these people is on the way.
    pub(super) fn meets<'a>(&self, mut sources: impl Iterator<Item = &'a [u8; 32]>) -> bool {
        self.0.as_ref().is_some_and(|ahead| sources.any(|source| ahead.people.contains(source)))
    }
}

/// The plan that is being written; there is never more than one.
#[derive(Default)]
pub(in super::super) struct Ahead(Mutex<Foreseen>);

impl Ahead {
    /// What is on the way.
    pub(in super::super) fn foreseen(&self) -> Foreseen {
        self.held().clone()
    }

    /// This plan is to be written, until what is returned is dropped.
    pub(in super::super) fn go(&self, foreseen: Foreseen) -> Going<'_> {
        *self.held() = foreseen;
        Going(self)
    }

    fn held(&self) -> MutexGuard<'_, Foreseen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plan on its way into the database.
#[must_use = "it is on its way as long as this is kept"]
pub(in super::super) struct Going<'a>(&'a Ahead);

impl Drop for Going<'_> {
    fn drop(&mut self) {
        // INVARIANT: after its commit, so that whoever asks the database from here on finds it there.
        *self.0.held() = Foreseen::default();
    }
}
