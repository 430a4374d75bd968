//! Disposals: what of the log and its rows is gone by design, and that the entries say so.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::audit::event::{Event, Fact};
use crate::authz::PayloadClass;
use crate::clock::{Timestamp, date_of};
use crate::ids::ChangeId;
use crate::store::StoreError;

use super::super::database;
use super::report::{FaultPlace, FsckReport};

/// The disposals as they are stored.
#[derive(Default)]
pub(super) struct Disposals {
    rows: BTreeMap<Vec<u8>, Row>,
    /// By class, the day before which a disposal is in effect, and the one before which it is finished.
    before: BTreeMap<u8, (i64, i64)>,
}

struct Row {
    class: i64,
    before: i64,
    entries: i64,
    at: i64,
}

/// An entry `payloads.disposed`.
pub(super) struct Said {
    place: FaultPlace,
    of_holder: bool,
    event: Event,
}

impl Disposals {
    /// Reads all of them.
    pub(super) fn read(sql: &Connection) -> Result<Self, StoreError> {
        let read = "SELECT change, class, before_day, entries, disposed_ms, state FROM disposals";
        let mut all = Self::default();
        let mut statement = database("reading disposals", sql.prepare(read))?;
        let mut rows = database("reading disposals", statement.query([]))?;
        while let Some(row) = database("reading disposals", rows.next())? {
            let read = || -> Result<(Vec<u8>, Row, String), rusqlite::Error> {
                let (class, before) = (row.get(1)?, row.get(2)?);
                let kept = Row { class, before, entries: row.get(3)?, at: row.get(4)? };
                Ok((row.get(0)?, kept, row.get(5)?))
            };
            let (change, row, state) = database("reading disposals", read())?;
            if let Ok(class) = u8::try_from(row.class) {
                let (due, done) = all.before.entry(class).or_insert((i64::MIN, i64::MIN));
                *due = row.before.max(*due);
                if state == "done" {
                    *done = row.before.max(*done);
                }
            }
            all.rows.insert(change, row);
        }
        Ok(all)
    }

    /// Whether a disposal is in effect for a class and a day: what is of it may be gone.
    pub(super) fn covers(&self, class: PayloadClass, at: Timestamp) -> bool {
        self.covers_day(class.number(), at.day())
    }

    /// The same by the number of the class and the day.
    pub(super) fn covers_day(&self, class: u8, day: i64) -> bool {
        self.before.get(&class).is_some_and(|(due, _)| day < *due)
    }

    /// Whether a disposal is finished for a class and a day: what is of it must be gone.
    pub(super) fn is_done(&self, class: u8, day: i64) -> bool {
        self.before.get(&class).is_some_and(|(_, done)| day < *done)
    }

    /// Whether anything of a class was disposed of.
    pub(super) fn any(&self, class: PayloadClass) -> bool {
        self.before.contains_key(&class.number())
    }

    /// Holds the rows against the entries, and against how many entries of the class and the days there are.
    pub(super) fn compare(&self, said: &[Said], taken: &BTreeMap<u8, u64>, report: &mut FsckReport) {
        for one in said {
            let id = one.event.fact(Fact::Change).unwrap_or_default();
            match self.rows.get(id) {
                Some(row) => row.follow(id, one, report),
                None => report.fault(one.place.clone(), "what it says was disposed of has no row"),
            }
        }
        let mut counted: BTreeMap<u8, u64> = BTreeMap::new();
        for (id, row) in &self.rows {
            let of_row = || said.iter().filter(|one| one.event.fact(Fact::Change) == Some(id));
            let parts = of_row().filter(|one| one.of_holder).count();
            let whole = of_row().filter(|one| one.of_holder).zip(1..).all(|(one, number)| {
                let part = format!("part {number} of {parts}; ");
                one.event.text_of(Fact::Detail).is_some_and(|detail| detail.starts_with(&part))
            });
            if parts == 0 || !whole {
                report.fault(place(id), "no entries say that it took effect, or not all parts of them");
            }
            let class = u8::try_from(row.class).unwrap_or_default();
            let entries = counted.entry(class).or_default();
            *entries = entries.saturating_add(u64::try_from(row.entries).unwrap_or(u64::MAX));
        }
        for (class, entries) in counted {
            let there = taken.get(&class).copied().unwrap_or_default();
            if there != entries {
                let place = FaultPlace::Row { table: "disposals", row: format!("class {class}") };
                let what =
                    format!("they took {entries} entries, and the journals have {there} of those days");
                report.fault(place, what);
            }
        }
    }
}

impl Said {
    /// An entry of a journal.
    pub(super) fn new(place: FaultPlace, of_holder: bool, event: &Event) -> Self {
        Self { place, of_holder, event: event.clone() }
    }
}

impl Row {
    fn follow(&self, id: &[u8], said: &Said, report: &mut FsckReport) {
        let class = PayloadClass::ALL.into_iter().find(|class| i64::from(class.number()) == self.class);
        let class = class.map(|class| class.to_string());
        let before = date_of(self.before).to_string();
        let entries = said.event.number_of(Fact::Entries).and_then(|entries| i64::try_from(entries).ok());
        let counts = match said.of_holder {
            true => entries == Some(self.entries),
            false => entries.is_some_and(|entries| entries <= self.entries),
        };
        let same = said.event.text_of(Fact::Class) == class.as_deref()
            && said.event.text_of(Fact::Before) == Some(before.as_str())
            && said.event.at.as_millis() == self.at
            && counts;
        if !same {
            report.fault(place(id), format!("it is not what {} says", said.place));
        }
    }
}

fn place(id: &[u8]) -> FaultPlace {
    let row =
        <[u8; 16]>::try_from(id).map_or_else(|_| "?".to_owned(), |id| ChangeId::from_bytes(id).resource());
    FaultPlace::Row { table: "disposals", row }
}
