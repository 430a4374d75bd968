//! Entries as lists show them.

use crate::audit::event::{Event, Fact};
use crate::console::pages::words;
use crate::store::FoundEntry;

/// One line of a list.
pub(super) struct FoundRow {
    pub(super) address: String,
    pub(super) place: String,
    pub(super) journal: String,
    pub(super) index: u64,
    pub(super) at: String,
    pub(super) what: String,
    pub(super) kind: &'static str,
    pub(super) actor: String,
    pub(super) about: String,
}

impl FoundRow {
    pub(super) fn new(found: &FoundEntry) -> Self {
        let place = format!("{}/{}", found.journal, found.index);
        Self {
            address: address(&place),
            at: words::of_time(found.at),
            what: of_kind(&found.event),
            kind: found.event.kind.name(),
            actor: actor(&found.event),
            about: about(&found.event),
            journal: found.journal.to_string(),
            index: found.index,
            place,
        }
    }
}

/// The address of an entry's page.
pub(super) fn address(place: &str) -> String {
    format!("/log/entries/{place}")
}

/// What happened, without the full stop.
pub(super) fn of_kind(event: &Event) -> String {
    event.kind.says().trim_end_matches('.').to_owned()
}

/// Who did it.
pub(super) fn actor(event: &Event) -> String {
    if event.actor == SYSTEM { "Onebit itself".to_owned() } else { event.actor.clone() }
}

/// The outcome in a few words; empty where there is none.
pub(super) fn outcome(event: &Event) -> String {
    let word = |fact| event.text_of(fact).map(words::of_name);
    match (event.fact(Fact::Outcome), word(Fact::State).or_else(|| word(Fact::Decision))) {
        (Some([1]), _) => "Hit".to_owned(),
        (Some(_), _) => "No hit".to_owned(),
        (None, Some(state)) => state,
        (None, None) => String::new(),
    }
}

/// What it is about, in one line.
fn about(event: &Event) -> String {
    let text = |fact, what: &str| event.text_of(fact).map(|value| format!("{what}{value}"));
    let outcome = Some(outcome(event)).filter(|outcome| !outcome.is_empty());
    let parts = [
        outcome,
        event.text_of(Fact::Purpose).map(words::of_name),
        text(Fact::Case, "case "),
        text(Fact::Fields, "fields "),
        text(Fact::Field, "field "),
        text(Fact::Person, "person "),
        text(Fact::Attribute, "by "),
        text(Fact::Reason, "reason: "),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What acts by the clock.
const SYSTEM: &str = "onebit";
