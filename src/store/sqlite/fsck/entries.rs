//! Entries of a journal, read in order and opened on all cores.

use rayon::prelude::*;
use rusqlite::{Connection, params};

use crate::audit::entry::{Entry, EntryError, Opening};
use crate::audit::event::{Event, Kind};
use crate::audit::tree::Hash;
use crate::clock::Timestamp;
use crate::keys::KeyRing;
use crate::store::{Journal, StoreError};

use super::super::database;
use super::super::tx::{entry_place, entry_row, sealed_under};
use super::disposals::Disposals;
use super::queries::{self, OfQuery};
use super::tags;
use super::view::PayloadKeys;

/// An entry as it is stored.
pub(super) struct Stored {
    pub(super) index: i64,
    entry: Vec<u8>,
    at: i64,
    class: i64,
    tags: Option<Vec<u8>>,
    partner: Option<Vec<u8>>,
    holder: Option<Vec<u8>>,
    /// The query whose row names this entry.
    query: Option<queries::Row>,
}

/// An entry as it was opened.
pub(super) struct Opened {
    pub(super) index: i64,
    /// The leaf, when the bytes are those of an entry.
    pub(super) leaf: Option<Hash>,
    pub(super) at: Timestamp,
    pub(super) class: u8,
    pub(super) content: Content,
    /// Its tags, where they don't follow from the event alone and are still to be compared.
    pub(super) tags: Option<Vec<u8>>,
    /// How many tags were compared or are to be.
    pub(super) tag_count: usize,
    /// What became of the query whose row names this entry.
    pub(super) query: OfQuery,
    pub(super) faults: Vec<String>,
}

/// What an entry says.
pub(super) enum Content {
    /// What each side says.
    Said(Box<Said>),
    /// Its openings and their key are gone.
    Disposed,
    /// Its openings are gone and their key is there; a disposal may be under way.
    Gone,
    /// It did not open; that is told among the faults.
    Closed,
}

/// What each side of an entry says.
pub(super) struct Said {
    pub(super) partner: Event,
    pub(super) holder: Event,
}

/// What opens entries, on any thread.
pub(super) struct Opener<'a> {
    pub(super) ring: &'a KeyRing,
    pub(super) payload: &'a PayloadKeys,
    pub(super) disposals: &'a Disposals,
    /// The journal's row.
    pub(super) journal: i64,
    /// The journal by its name.
    pub(super) named: Journal,
    /// The partner whose journal it is, or `holder`.
    pub(super) owner: &'a str,
    /// Whether it is the holder's own.
    pub(super) of_holder: bool,
}

/// Reads a journal in the order of its indices.
pub(super) struct Reader<'a> {
    sql: &'a Connection,
    journal: i64,
    from: Option<i64>,
}

impl<'a> Reader<'a> {
    /// From the first entry on.
    pub(super) const fn new(sql: &'a Connection, journal: i64) -> Self {
        Self { sql, journal, from: Some(i64::MIN) }
    }

    /// From an index on.
    pub(super) const fn at(sql: &'a Connection, journal: i64, from: i64) -> Self {
        Self { sql, journal, from: Some(from) }
    }

    /// The next entries, at most so many; none at the end.
    pub(super) fn next(&mut self, limit: u32) -> Result<Vec<Stored>, StoreError> {
        let Some(from) = self.from else { return Ok(Vec::new()) };
        let rows = self
            .sql
            .prepare_cached(
                "SELECT e.idx, e.entry, e.at_ms, e.class, e.tags, e.partner_opening, e.holder_opening,
                   q.id, q.partner, q.request_tag, q.content, q.agreement, q.collection, q.received_ms, q.outcome,
                   q.idx, q.journal
                 FROM entries e LEFT JOIN queries q ON q.journal = e.journal AND q.idx = e.idx
                 WHERE e.journal = ?1 AND e.idx >= ?2 ORDER BY e.idx LIMIT ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_map(params![self.journal, from, limit], |row| {
                        Ok(Stored {
                            index: row.get(0)?,
                            entry: row.get(1)?,
                            at: row.get(2)?,
                            class: row.get(3)?,
                            tags: row.get(4)?,
                            partner: row.get(5)?,
                            holder: row.get(6)?,
                            query: queries::Row::read(row, 7)?,
                        })
                    })?
                    .collect::<Result<Vec<_>, _>>()
            });
        let rows = database("reading entries", rows)?;
        self.from = rows.last().and_then(|last| last.index.checked_add(1));
        Ok(rows)
    }
}

/// Opens entries on all cores.
pub(super) fn open_all(stored: &[Stored], opener: &Opener<'_>) -> Vec<Opened> {
    stored.par_iter().map(|stored| opener.open(stored)).collect()
}

impl Opener<'_> {
    /// Opens one entry and holds it against all that follows from itself.
    pub(super) fn open(&self, stored: &Stored) -> Opened {
        let at = Timestamp::from_millis(stored.at);
        let mut faults = Vec::new();
        let entry = match Entry::decode(&stored.entry) {
            Ok(entry) => Some(entry),
            Err(error) => {
                faults.push(format!("its bytes are none of an entry: {error}"));
                None
            }
        };
        let class = u8::try_from(stored.class).unwrap_or(u8::MAX);
        let content = self.content(stored, entry.as_ref(), at, class, &mut faults);
        let (mut tags, mut tag_count, mut query) = (None, 0, OfQuery::None);
        match &content {
            Content::Said(said) => {
                self.compare(said, at, class, &mut faults);
                let stored_tags = stored.tags.as_deref().unwrap_or_default();
                tag_count = stored_tags.len().div_ceil(TAG_BYTES);
                match tags::of_event(self.ring.tags(), &self.named, &said.holder) {
                    Some(due) if tags::are(stored_tags, &due) => {}
                    Some(_) => faults.push(OTHER_TAGS.to_owned()),
                    None => tags = Some(stored_tags.to_vec()),
                }
                if let Some(row) = &stored.query {
                    query = OfQuery::compare(self, row, stored.index, &said.holder);
                }
            }
            Content::Disposed if stored.tags.is_some() && self.disposals.is_done(class, at.day()) => {
                faults.push("it was disposed of, and its tags are there".to_owned());
            }
            Content::Disposed | Content::Gone | Content::Closed => {}
        }
        if matches!(query, OfQuery::None) && stored.query.is_some() {
            query = OfQuery::Unknown;
        }
        let leaf = entry.map(|entry| entry.leaf_hash());
        Opened { index: stored.index, leaf, at, class, content, tags, tag_count, query, faults }
    }

    fn content(
        &self,
        stored: &Stored,
        entry: Option<&Entry>,
        at: Timestamp,
        class: u8,
        faults: &mut Vec<String>,
    ) -> Content {
        let key = self.payload.find(class, at.day());
        let (key, partner, holder) = match (key, &stored.partner, &stored.holder) {
            (Some(key), Some(partner), Some(holder)) => (key, partner, holder),
            (None, None, None) => {
                if !self.disposals.covers_day(class, at.day()) {
                    faults.push("its openings and their key are gone, and no disposal took them".to_owned());
                }
                return Content::Disposed;
            }
            (Some(_), None, None) => {
                if !self.disposals.covers_day(class, at.day()) {
                    faults.push("its openings are gone, and no disposal took them".to_owned());
                }
                return Content::Gone;
            }
            // Keys go first, and openings after them.
            (None, Some(_), Some(_)) if self.is_going(class, at) => return Content::Disposed,
            (None, _, _) => {
                if !self.payload.is_broken(class, at.day()) {
                    faults.push(format!(
                        "it has an opening, and the key of class {class}, day {} is not in the key store",
                        at.day()
                    ));
                }
                return Content::Closed;
            }
            (Some(_), _, _) => {
                faults.push("the opening of one side is gone, and that of the other is there".to_owned());
                return Content::Closed;
            }
        };
        if self.disposals.is_done(class, at.day()) {
            faults.push("it was disposed of, and its openings and their key are there".to_owned());
        }
        let row = u64::try_from(stored.index).map_or([0; 16], |index| entry_row(self.journal, index));
        let mut open = |column, sealed: &[u8]| -> Option<Event> {
            let place = entry_place(&row, column);
            let told = |what: &str| format!("its {column} {what}");
            let plain = match key.sealing().open(place, sealed) {
                Ok(plain) => plain,
                Err(error) => {
                    faults.push(format!("{}: {error}", told("does not open in its place")));
                    return None;
                }
            };
            let side = opening_of(plain.expose(), column).and_then(|opening| match entry {
                Some(entry) => entry.opens(&opening),
                None => opening.event(),
            });
            side.map_err(|error| faults.push(format!("{}: {error}", told("is refused")))).ok()
        };
        match (open("partner_opening", partner), open("holder_opening", holder)) {
            (Some(partner), Some(holder)) => Content::Said(Box::new(Said { partner, holder })),
            _ => Content::Closed,
        }
    }

    fn is_going(&self, class: u8, at: Timestamp) -> bool {
        let day = at.day();
        self.disposals.covers_day(class, day)
            && !self.disposals.is_done(class, day)
            && !self.payload.is_broken(class, day)
    }

    /// Holds the two sides against each other, and against time and class beside them.
    fn compare(&self, said: &Said, at: Timestamp, class: u8, faults: &mut Vec<String>) {
        let Said { partner, holder } = said;
        if holder.at != at || partner.at != at {
            faults.push("the time beside it is not that of its event".to_owned());
        }
        if sealed_under(holder.kind) != class {
            faults.push(format!("the class beside it is not that of `{}`", holder.kind));
        }
        let alike = if self.of_holder {
            // Of the log's own key both sides say the same in every journal.
            let is_private = partner.kind == Kind::PrivateEntry && partner.facts().next().is_none();
            match holder.kind {
                Kind::LogKeyChanged => partner.kind == holder.kind && says_no_more(partner, holder),
                _ => is_private,
            }
        } else {
            partner.kind == holder.kind && (!is_of_a_case(holder.kind) || says_no_more(partner, holder))
        };
        if !alike || partner.policy != holder.policy {
            faults.push("its two sides contradict each other".to_owned());
        }
    }
}

fn opening_of(bytes: &[u8], column: &str) -> Result<Opening, EntryError> {
    use crate::audit::entry::Side;
    let opening = Opening::decode(bytes)?;
    let due = if column == "partner_opening" { Side::Partner } else { Side::Holder };
    if opening.side() == due { Ok(opening) } else { Err(EntryError::Opening) }
}

fn says_no_more(partner: &Event, holder: &Event) -> bool {
    partner.facts().all(|(fact, value)| holder.fact(fact) == Some(value))
}

const fn is_of_a_case(kind: Kind) -> bool {
    matches!(kind.number(), FIRST_QUERY_KIND..=LAST_DISCLOSURE_KIND)
}

const TAG_BYTES: usize = 16;
/// What is told of an entry whose tags are others.
pub(super) const OTHER_TAGS: &str = "its tags are not those that follow from what it says";
const FIRST_QUERY_KIND: u16 = Kind::QueryAnswered.number();
const LAST_DISCLOSURE_KIND: u16 = Kind::DisclosureRevoked.number();

impl Opener<'_> {
    /// An entry with what opens the partner's side of it; `None` when it does not open.
    pub(super) fn side(&self, sql: &Connection, index: u64) -> Result<Option<(Entry, Opening)>, StoreError> {
        let from = i64::try_from(index).unwrap_or(i64::MAX);
        let stored = Reader::at(sql, self.journal, from).next(1)?.pop();
        let Some(stored) = stored.filter(|stored| stored.index == from) else { return Ok(None) };
        let row = entry_row(self.journal, index);
        let day = Timestamp::from_millis(stored.at).day();
        let key = u8::try_from(stored.class).ok().and_then(|class| self.payload.find(class, day));
        let opening = key.zip(stored.partner.as_ref()).and_then(|(key, sealed)| {
            let plain = key.sealing().open(entry_place(&row, "partner_opening"), sealed).ok()?;
            Opening::decode(plain.expose()).ok()
        });
        Ok(Entry::decode(&stored.entry).ok().zip(opening))
    }
}
