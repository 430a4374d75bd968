//! What officers typed and have not signed yet. It lies in memory alone, is shown to the officer who typed it and to
//! nobody else, and is gone when it was signed, after hours, or with the server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::approval::DeedKind;
use crate::clock::Timestamp;
use crate::ids::{ActorName, DisclosureId};

/// What one officer typed about one case.
#[derive(Clone, Default)]
pub(super) struct Draft {
    /// For each field: whether it may leave, and why not.
    pub(super) fields: Vec<FieldDraft>,
    /// Why.
    pub(super) reason: String,
    /// The reference of a comparison outside, where the agreement asks for one.
    pub(super) comparison: String,
    /// In whose delegated seat; empty for the officer's own.
    pub(super) seat: String,
    /// How many decisions there were when the officer began.
    pub(super) decisions_seen: String,
    /// Whether the session had ended when it was sent.
    pub(super) is_rescued: bool,
}

/// What an officer chose for a field.
#[derive(Clone, Default)]
pub(super) struct FieldDraft {
    pub(super) name: String,
    pub(super) choice: Option<FieldChoice>,
    pub(super) why: String,
}

/// Whether a field may leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldChoice {
    Release,
    Withhold,
}

/// A decision that was made, for the page that says so.
#[derive(Clone, Copy)]
pub(super) struct Done {
    /// The index of its entry.
    pub(super) entry: u64,
}

/// What an officer typed for something that they do beside deciding.
#[derive(Clone, Default)]
pub(super) struct DeedDraft {
    pub(super) words: String,
    /// Whether the session had ended when it was sent.
    pub(super) is_rescued: bool,
}

#[derive(Default)]
struct Place {
    at: Option<Timestamp>,
    draft: Option<Draft>,
    deeds: BTreeMap<DeedKind, DeedDraft>,
    told: Option<&'static str>,
    done: Option<Done>,
}

type Key = (ActorName, DisclosureId);

/// All that is kept between pages.
#[derive(Default)]
pub(in crate::console) struct Kept(Mutex<HashMap<Key, Place>>);

impl Kept {
    /// What the officer typed about the case.
    pub(super) fn draft(&self, officer: &ActorName, case: DisclosureId) -> Option<Draft> {
        self.lock().get(&(officer.clone(), case)).and_then(|place| place.draft.clone())
    }

    /// Keeps what the officer typed.
    pub(super) fn draft_keep(&self, officer: &ActorName, case: DisclosureId, draft: Draft, now: Timestamp) {
        self.change(officer, case, now, |place| place.draft = Some(draft));
    }

    /// Forgets what was typed, because it was signed.
    pub(super) fn done_keep(&self, officer: &ActorName, case: DisclosureId, done: Done, now: Timestamp) {
        self.change(officer, case, now, |place| {
            *place = Place { done: Some(done), ..Place::default() };
        });
    }

    /// What the officer typed for something that they do beside deciding.
    pub(super) fn deed(&self, officer: &ActorName, case: DisclosureId, kind: DeedKind) -> Option<DeedDraft> {
        self.lock().get(&(officer.clone(), case)).and_then(|place| place.deeds.get(&kind).cloned())
    }

    /// Keeps it.
    pub(super) fn deed_keep(
        &self,
        officer: &ActorName,
        case: DisclosureId,
        (kind, draft): (DeedKind, DeedDraft),
        now: Timestamp,
    ) {
        self.change(officer, case, now, |place| {
            place.deeds.insert(kind, draft);
        });
    }

    /// Forgets it, because it was done; the next page of the case says so.
    pub(super) fn deed_done(
        &self,
        officer: &ActorName,
        case: DisclosureId,
        (kind, told): (DeedKind, &'static str),
        now: Timestamp,
    ) {
        self.change(officer, case, now, |place| {
            place.deeds.remove(&kind);
            place.told = Some(told);
        });
    }

    /// What the page of the case has to say, once.
    pub(super) fn told_take(&self, officer: &ActorName, case: DisclosureId) -> Option<&'static str> {
        self.lock().get_mut(&(officer.clone(), case)).and_then(|place| place.told.take())
    }

    /// The decision that the officer made about the case just now.
    pub(super) fn done(&self, officer: &ActorName, case: DisclosureId) -> Option<Done> {
        self.lock().get(&(officer.clone(), case)).and_then(|place| place.done)
    }

    fn change(
        &self,
        officer: &ActorName,
        case: DisclosureId,
        now: Timestamp,
        change: impl FnOnce(&mut Place),
    ) {
        let mut places = self.lock();
        places.retain(|_, place| place.at.is_some_and(|at| at.after(KEPT_FOR) > now));
        let key = (officer.clone(), case);
        if places.len() >= PLACES_MAX && !places.contains_key(&key) {
            let oldest = places.iter().min_by_key(|(_, place)| place.at).map(|(key, _)| key.clone());
            oldest.map(|key| places.remove(&key));
        }
        let place = places.entry(key).or_default();
        change(place);
        place.at = Some(now);
    }

    /// Nothing here is left half changed by whoever panics.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A working day: longer than a session can last.
const KEPT_FOR: Duration = Duration::from_secs(12 * 3_600);
/// A few hundred cases under way; at 64 KiB for a form some 32 MiB at the most.
const PLACES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn officer(name: &str) -> ActorName {
        name.parse().unwrap()
    }

    #[test]
    fn a_draft_is_its_officers_alone_and_ends_after_a_working_day() {
        let (kept, case) = (Kept::default(), DisclosureId::from_bytes([1; 16]));
        let draft = Draft { reason: "because".to_owned(), ..Draft::default() };
        let begun = Timestamp::from_millis(0);
        kept.draft_keep(&officer("mere-t"), case, draft, begun);
        assert_eq!(kept.draft(&officer("mere-t"), case).unwrap().reason, "because");
        assert!(kept.draft(&officer("tama-w"), case).is_none(), "nobody else's words are shown");
        kept.done_keep(&officer("tama-w"), case, Done { entry: 1 }, begun.after(KEPT_FOR));
        assert!(kept.draft(&officer("mere-t"), case).is_none(), "what is old goes");
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let kept = Kept::default();
        for number in 0..=PLACES_MAX {
            let at = Timestamp::from_millis(i64::try_from(number).unwrap());
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            kept.draft_keep(&officer("mere-t"), DisclosureId::from_bytes(id), Draft::default(), at);
        }
        assert!(kept.draft(&officer("mere-t"), DisclosureId::from_bytes([0; 16])).is_none());
        assert_eq!(kept.lock().len(), PLACES_MAX);
    }
}
