//! The register as a value: what its file holds, and the page and the table show.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Rules;
use crate::clock::{Timestamp, date_of};
use crate::ids::ChangeId;

/// A register of disposals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    pub(super) schema: String,
    pub(super) program: String,
    pub(super) made: String,
    /// The holder's journal, and how many entries of it were read.
    pub(super) journal: String,
    pub(super) size: u64,
    pub(super) disposals: Vec<Disposal>,
    pub(super) erasures: Vec<Erasures>,
    pub(super) kept: Vec<Kept>,
}

/// Payloads of a class that were disposed of together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disposal {
    pub(super) change: String,
    pub(super) payloads: String,
    /// What was of earlier days than this one.
    pub(super) before: String,
    pub(super) entries: u64,
    /// The class of the rules, its days and its disposal authority, as they were then.
    pub(super) authority: String,
    pub(super) reason: String,
    /// Absent when what says so was disposed of itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) proposed_by: Option<String>,
    pub(super) confirmed_by: String,
    pub(super) at: String,
    /// What is left of it: month, journal, agreement, purpose, what, number.
    pub(super) totals: Vec<String>,
    pub(super) evidence: Vec<Evidence>,
}

/// An entry of the log with its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    pub(super) index: u64,
    /// C2SP tlog-proof, with what opens the holder's side.
    pub(super) receipt: String,
}

/// People who were erased in a month; nobody is named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Erasures {
    pub(super) month: String,
    pub(super) people: u64,
    /// Until when, at the latest, the log goes on saying what happened to them, by the payloads that say it.
    pub(super) kept_until: BTreeMap<String, String>,
}

/// What an authority wants kept although its people may be erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) payloads: String,
    pub(super) class: String,
    pub(super) days: u32,
    pub(super) authority: String,
}

impl Register {
    /// How many people were erased.
    pub(super) fn erased(&self) -> u64 {
        self.erasures.iter().map(|month| month.people).sum()
    }

    /// Whether it has everything that the journal says, as far as it was read for it.
    pub(super) fn is_whole(&self, again: &Gathered) -> Result<(), String> {
        if again.origin != self.journal || again.size < self.size {
            return Err("the export is of another journal, or shorter than the one that was read".to_owned());
        }
        let told: BTreeSet<u64> = self
            .disposals
            .iter()
            .flat_map(|disposal| disposal.evidence.iter().map(|one| one.index))
            .collect();
        let due = again.indices().into_iter().filter(|index| *index < self.size);
        if let Some(missing) = due.collect::<BTreeSet<_>>().symmetric_difference(&told).next() {
            return Err(format!(
                "entry {missing} is a disposal in one of register and journal, and not in the other"
            ));
        }
        let mut people: BTreeMap<String, u64> = BTreeMap::new();
        for at in again.erased.range(..self.size).map(|(_, at)| at) {
            let month = people.entry(month_of(*at)).or_default();
            *month = month.saturating_add(1);
        }
        let told = self.erasures.iter().map(|month| (month.month.clone(), month.people)).collect();
        if people == told { Ok(()) } else { Err("the erasures are not those of the journal".to_owned()) }
    }
}

impl Disposal {
    /// Whether an entry says this of it.
    pub(super) fn is_said_by(&self, event: &Event) -> bool {
        let text = |fact| event.text_of(fact).unwrap_or_default();
        let lines = text(Fact::Totals).lines();
        event.kind == Kind::PayloadsDisposed
            && change_of(event).map(|id| id.resource()).as_ref() == Some(&self.change)
            && (text(Fact::Class), text(Fact::Before)) == (self.payloads.as_str(), self.before.as_str())
            && event.number_of(Fact::Entries) == Some(self.entries)
            && authority(event) == self.authority
            && text(Fact::Reason) == self.reason
            && event.actor == self.confirmed_by
            && event.at.to_string() == self.at
            && lines.into_iter().all(|line| self.totals.iter().any(|told| told == line))
    }
}

/// What was read of a journal.
#[derive(Default)]
pub(super) struct Gathered {
    origin: String,
    size: u64,
    proposed: BTreeMap<ChangeId, String>,
    /// By change; each with its entries.
    disposed: BTreeMap<ChangeId, Vec<(u64, Event)>>,
    erased: BTreeMap<u64, Timestamp>,
}

impl Gathered {
    /// Takes what the holder's side of an entry says.
    pub(super) fn take(&mut self, index: u64, event: &Event) {
        match (event.kind, change_of(event)) {
            (Kind::ChangeProposed, Some(change)) => {
                self.proposed.insert(change, event.actor.clone());
            }
            (Kind::PayloadsDisposed, Some(change)) => {
                self.disposed.entry(change).or_default().push((index, event.clone()));
            }
            // An erasure of somebody who was not there erased nobody.
            (Kind::SubjectErased, _)
                if event.fact(Fact::Subject).is_some_and(|it| it.iter().any(|byte| *byte != 0)) =>
            {
                self.erased.insert(index, event.at);
            }
            _ => {}
        }
    }

    pub(super) fn is_of(&mut self, origin: String, size: u64) {
        (self.origin, self.size) = (origin, size);
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The entries that are the evidence.
    pub(super) fn indices(&self) -> BTreeSet<u64> {
        self.disposed.values().flatten().map(|(index, _)| *index).collect()
    }

    pub(super) fn register(
        &self,
        rules: &Rules,
        made: Timestamp,
        receipts: &BTreeMap<u64, String>,
    ) -> Register {
        let disposal = |(change, entries): (&ChangeId, &Vec<(u64, Event)>)| {
            let (_, event) = entries.first()?;
            let text = |fact| event.text_of(fact).unwrap_or_default().to_owned();
            let totals = entries.iter().filter_map(|(_, event)| event.text_of(Fact::Totals));
            let evidence = entries.iter().filter_map(|(index, _)| {
                Some(Evidence { index: *index, receipt: receipts.get(index)?.clone() })
            });
            Some(Disposal {
                change: change.resource(),
                payloads: text(Fact::Class),
                before: text(Fact::Before),
                entries: event.number_of(Fact::Entries).unwrap_or_default(),
                authority: authority(event),
                reason: text(Fact::Reason),
                proposed_by: self.proposed.get(change).cloned(),
                confirmed_by: event.actor.clone(),
                at: event.at.to_string(),
                totals: totals.flat_map(str::lines).map(str::to_owned).collect(),
                evidence: evidence.collect(),
            })
        };
        let mut disposals: Vec<Disposal> = self.disposed.iter().filter_map(disposal).collect();
        disposals.sort_by_key(|disposal| disposal.evidence.first().map(|one| one.index));
        let kept = rules.kept_of_people().map(|(payloads, class)| Kept {
            payloads: payloads.to_string(),
            class: class.name,
            days: class.days,
            authority: class.authority,
        });
        let mut months: BTreeMap<String, (u64, Timestamp)> = BTreeMap::new();
        for at in self.erased.values() {
            let (people, last) = months.entry(month_of(*at)).or_insert((0, *at));
            (*people, *last) = (people.saturating_add(1), (*last).max(*at));
        }
        let erasures = months.into_iter().map(|(month, (people, last))| {
            let until = |it: &Kept| {
                (it.payloads.clone(), date_of(last.day().saturating_add(i64::from(it.days))).to_string())
            };
            Erasures { month, people, kept_until: kept.iter().map(until).collect() }
        });
        Register {
            schema: SCHEMA.to_owned(),
            program: format!("onebit {}", env!("CARGO_PKG_VERSION")),
            made: made.to_string(),
            journal: self.origin.clone(),
            size: self.size,
            erasures: erasures.collect(),
            disposals,
            kept: kept.to_vec(),
        }
    }
}

fn change_of(event: &Event) -> Option<ChangeId> {
    event.fact(Fact::Change)?.try_into().ok().map(ChangeId::from_bytes)
}

/// Class, days and authority, behind the number of the entry's part.
fn authority(event: &Event) -> String {
    let detail = event.text_of(Fact::Detail).unwrap_or_default();
    detail.split_once("; ").map_or(detail, |(_, authority)| authority).to_owned()
}

fn month_of(at: Timestamp) -> String {
    let date: Date = date_of(at.day());
    format!("{:04}-{:02}", date.year(), date.month())
}

const SCHEMA: &str = "onebit/disposal-register/v1";
