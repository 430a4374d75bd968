//! The tags that an entry must have, and the index of them.
//!
//! The index is read once, in its own order. For each entry a sum over keyed hashes of its tags is kept from the
//! entries (the key is drawn anew for each check), and what the index holds is summed up against it: 17 bytes an
//! entry, whatever the number of tags.

use std::hash::{BuildHasher, RandomState};

use rusqlite::Connection;

use crate::audit::event::{Event, Fact, Kind};
use crate::keys::{Domain, Tag, TagKey};
use crate::store::StoreError;

use super::super::database;
use super::report::{FaultPlace, FsckReport};

/// The tags that follow from an event alone; `None` for events of a disclosure, whose tags follow from its request.
pub(super) fn of_event(key: &TagKey, event: &Event) -> Option<Vec<Tag>> {
    let fact = |domain, fact| event.fact(fact).map(|value| key.tag(domain, value));
    let of_kind = kind_tag(key, event.kind);
    let of_what = match event.kind {
        Kind::DisclosureFetched => vec![fact(Domain::Disclosure, Fact::Disclosure)],
        kind if is_of_request(kind) => return None,
        Kind::FieldViewed if event.fact(Fact::Subject).is_some() => return None,
        Kind::QueryAnswered => vec![
            fact(Domain::Query, Fact::Query),
            fact(Domain::Case, Fact::Case),
            fact(Domain::Official, Fact::Official),
        ],
        Kind::EnrolmentBatch | Kind::EnrolmentChunk => vec![fact(Domain::Batch, Fact::Batch)],
        Kind::SubjectRestricted | Kind::SubjectUnrestricted | Kind::SubjectErased => {
            let somebody = event.fact(Fact::Subject).is_some_and(|subject| subject.iter().any(|b| *b != 0));
            vec![fact(Domain::Subject, Fact::Subject).filter(|_| somebody)]
        }
        Kind::ChangeProposed if event.text_of(Fact::Detail).is_some() => Vec::new(),
        Kind::ChangeProposed
        | Kind::ChangeConfirmed
        | Kind::ChangeRejected
        | Kind::ReleaseKeyProven
        | Kind::PayloadsDisposed
        | Kind::LogKeyChanged => {
            vec![fact(Domain::Change, Fact::Change)]
        }
        _ => Vec::new(),
    };
    Some(of_what.into_iter().flatten().chain([of_kind]).collect())
}

/// The tags of an event of a disclosure, by what was requested.
pub(super) fn of_request(key: &TagKey, event: &Event, requested: &Event) -> Vec<Tag> {
    let parts = [
        (Domain::Disclosure, Fact::Disclosure),
        (Domain::Query, Fact::Query),
        (Domain::Official, Fact::Official),
        (Domain::Subject, Fact::Subject),
    ];
    let of_request = parts.iter().filter_map(|(domain, fact)| Some(key.tag(*domain, requested.fact(*fact)?)));
    of_request.chain([kind_tag(key, event.kind)]).collect()
}

/// The tag of a kind of entry.
pub(super) fn kind_tag(key: &TagKey, kind: Kind) -> Tag {
    key.tag(Domain::Kind, kind.name().as_bytes())
}

const fn is_of_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::DisclosureRequested
            | Kind::DisclosureDecided
            | Kind::DisclosureApproved
            | Kind::DisclosureReleased
            | Kind::DisclosureAcknowledged
            | Kind::DisclosureDenied
            | Kind::DisclosureWithdrawn
            | Kind::DisclosureExpired
    )
}

/// What the tags of one journal's entries come to.
#[derive(Default)]
pub(super) struct TagSums {
    pub(super) journal: i64,
    pub(super) name: String,
    /// Entries that the journal has; what stands beyond them is a fault by itself and not followed further, so
    /// that one damaged index can't ask for more memory than there is.
    size: u64,
    /// By index; nothing where an entry did not open.
    due: Vec<Option<u64>>,
    found: Vec<u64>,
}

impl TagSums {
    /// Nothing is known of a journal yet.
    pub(super) fn new(journal: i64, name: &str, size: u64) -> Self {
        Self { journal, name: name.to_owned(), size, ..Self::default() }
    }

    /// Keeps what the tags of an entry come to.
    pub(super) fn keep(&mut self, index: u64, due: Option<u64>) {
        let Some(at) = usize::try_from(index).ok().filter(|_| index < self.size) else { return };
        if at >= self.due.len() {
            self.due.resize(at.saturating_add(1), None);
        }
        if let Some(place) = self.due.get_mut(at) {
            *place = due;
        }
    }

    /// Whether an entry opened.
    pub(super) fn is_known(&self, index: u64) -> bool {
        usize::try_from(index)
            .ok()
            .and_then(|at| self.due.get(at))
            .is_some_and(|due| due.is_some_and(|due| due != 0))
    }

    /// Whether there is such an entry.
    pub(super) fn holds(&self, index: i64) -> bool {
        usize::try_from(index).is_ok_and(|at| at < self.due.len())
    }
}

/// Reads the whole index of tags and compares it with what the entries demand.
pub(super) fn compare(
    sql: &Connection,
    sums: &RandomState,
    journals: &mut [TagSums],
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    for journal in &mut *journals {
        journal.found = vec![0; journal.due.len()];
    }
    let read = "SELECT tag, journal, idx FROM entry_tags";
    let mut statement = database("reading tags", sql.prepare(read))?;
    let mut rows = database("reading tags", statement.query([]))?;
    while let Some(row) = database("reading tags", rows.next())? {
        let place = row.get::<_, i64>(1).and_then(|journal| Ok((journal, row.get::<_, i64>(2)?)));
        let (journal, index) = database("reading tags", place)?;
        let tag = database("reading tags", row.get_ref(0))?;
        report.counts.tags = report.counts.tags.saturating_add(1);
        // A tag of another length than 16 bytes sums up to something else.
        let tag: &[u8] = tag.as_blob().unwrap_or_default();
        let hash = match <&[u8; 16]>::try_from(tag) {
            Ok(tag) => sums.hash_one(tag),
            Err(_) => sums.hash_one(tag),
        };
        let found = journals
            .iter_mut()
            .find(|known| known.journal == journal)
            .and_then(|known| known.found.get_mut(usize::try_from(index).ok()?));
        match found {
            Some(found) => *found = found.wrapping_add(hash),
            None => {
                let row = format!("a row of journal no. {journal}, entry {index}");
                report.fault(FaultPlace::Row { table: "entry_tags", row }, "there is no such entry");
            }
        }
    }
    for journal in journals {
        for ((index, due), found) in (0..).zip(&journal.due).zip(&journal.found) {
            if due.is_some_and(|due| due != *found) {
                let place = FaultPlace::Entry { journal: journal.name.clone(), index };
                report.fault(place, "its tags in the index are not those that it must have");
            }
        }
        journal.found = Vec::new();
    }
    Ok(())
}
