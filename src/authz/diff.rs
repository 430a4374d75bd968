//! What one policy folder changes against another, in plain words and for whom: read before two people let it in.

mod agreement;
mod rules;
mod scheme;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::actor::Role;
use super::rules::Rules;
use crate::ids::PartnerName;

/// One thing that is otherwise under the newer folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleChange {
    /// Whether it opens or closes something.
    pub bearing: Bearing,
    /// Whom it concerns.
    pub whom: Concerned,
    /// The file it stands in.
    pub file: String,
    /// What is otherwise, as a sentence.
    pub says: String,
}

/// Whether a change opens or closes something; what opens is to be read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bearing {
    /// More may be asked, seen, done or kept, by more people, or with fewer of them agreeing.
    Opens,
    /// It is otherwise, and neither more nor less by itself.
    Changes,
    /// Less may be asked, seen, done or kept, or more people have to agree.
    Closes,
    /// Nothing that anybody is decided by.
    Words,
}

impl Bearing {
    /// The word that people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opens => "opens",
            Self::Changes => "changes",
            Self::Closes => "closes",
            Self::Words => "words",
        }
    }

    /// What the same difference is the other way round.
    const fn reversed(self) -> Self {
        match self {
            Self::Opens => Self::Closes,
            Self::Closes => Self::Opens,
            Self::Changes | Self::Words => self,
        }
    }
}

impl fmt::Display for Bearing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Whom a change concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concerned {
    /// A partner, and the people it asks about.
    Partner(PartnerName),
    /// The people and systems of a role.
    Role(Role),
    /// The people of whom the holder keeps something.
    Subjects,
    /// The holder's own duties.
    Holder,
    /// Everybody who calls.
    Everybody,
}

impl fmt::Display for Concerned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partner(name) => write!(out, "the partner {name}"),
            Self::Role(role) => write!(out, "the role {role}"),
            Self::Subjects => out.write_str("people of whom something is kept"),
            Self::Holder => out.write_str("the holder"),
            Self::Everybody => out.write_str("everybody"),
        }
    }
}

/// Tells what is otherwise under `newer`, what opens something first. Empty only for folders with one digest: a file that
/// differs in nothing that decides is told as such.
#[must_use]
pub fn rule_changes(older: &Rules, newer: &Rules) -> Vec<RuleChange> {
    let mut told = Told::default();
    agreement::tell(&mut told, older, newer);
    rules::tell(&mut told, older, newer);
    scheme::tell(&mut told, older, newer);
    tell_of_words(&mut told, older, newer);
    let mut changes = told.changes;
    changes.sort();
    changes
}

/// What was told so far.
#[derive(Default)]
struct Told {
    changes: Vec<RuleChange>,
}

impl Told {
    fn say(&mut self, file: &str, whom: &Concerned, bearing: Bearing, says: String) {
        self.changes.push(RuleChange { bearing, whom: whom.clone(), file: file.to_owned(), says });
    }
}

/// One file and whom it concerns, while its two forms are compared.
struct Comparison<'a> {
    told: &'a mut Told,
    file: String,
    whom: Concerned,
}

impl Comparison<'_> {
    fn say(&mut self, bearing: Bearing, says: String) {
        self.told.say(&self.file, &self.whom, bearing, says);
    }

    /// The same file, for somebody else.
    fn for_whom(&mut self, whom: Concerned) -> Comparison<'_> {
        Comparison { told: self.told, file: self.file.clone(), whom }
    }

    /// A measure of which a larger one has this bearing.
    fn measure<T: PartialOrd + fmt::Display>(&mut self, what: &str, pair: (T, T), larger: Bearing) {
        let (old, new) = pair;
        let bearing = if new > old { larger } else { larger.reversed() };
        if new != old {
            self.say(bearing, format!("{what}: {new}, and not {old}"));
        }
    }

    /// A text that nothing follows from by itself.
    fn text<T: PartialEq + fmt::Display>(&mut self, what: &str, old: &T, new: &T) {
        if new != old {
            self.say(Bearing::Changes, format!("{what}: “{new}”, and not “{old}”"));
        }
    }

    /// A set of which a larger one has this bearing.
    fn set<T: Ord + fmt::Display>(
        &mut self,
        what: (&str, &str),
        old: &BTreeSet<T>,
        new: &BTreeSet<T>,
        larger: Bearing,
    ) {
        let (now, no_more) = what;
        if let Some(names) = listed(new.difference(old)) {
            self.say(larger, format!("{now} {names}"));
        }
        if let Some(names) = listed(old.difference(new)) {
            self.say(larger.reversed(), format!("{no_more} {names}"));
        }
    }
}

/// Values by their keys on both sides: only here, on both, only there.
fn pairs<'a, K: Ord, V>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    keys.into_iter().map(|key| (key, old.get(key), new.get(key)))
}

/// Names in a row; `None` when there is none.
fn listed<T: fmt::Display>(names: impl Iterator<Item = T>) -> Option<String> {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Files that differ, and of which nothing was told: comments, layout, notes for people.
fn tell_of_words(told: &mut Told, older: &Rules, newer: &Rules) {
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (older.bundle().files().collect(), newer.bundle().files().collect());
    for (path, old, new) in pairs(&old, &new) {
        if old == new || told.changes.iter().any(|change| change.file == *path) {
            continue;
        }
        let says = match (old, new) {
            (None, _) => "the file is new; nothing in it decides",
            (_, None) => "the file is gone; nothing in it decided",
            _ => "comments, order or layout differ, and nothing that decides",
        };
        told.say(path, &Concerned::Everybody, Bearing::Words, says.to_owned());
    }
}

#[cfg(test)]
mod tests;
