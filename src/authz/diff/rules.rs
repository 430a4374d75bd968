//! The rules of two folders: who may call what, what each rule says, what is kept how long, and who witnesses.

use std::collections::{BTreeMap, BTreeSet};

use super::super::action::Action;
use super::super::actor::Role;
use super::super::retention::{Hold, PayloadClass, RetentionClass};
use super::super::rulebook::{May, Rule, SCHEMA_FILE};
use super::super::rules::{RETENTION_FILE, Rules, WITNESSES_FILE};
use super::super::witness::{BeforeRelease, WitnessFile, Witnesses};
use super::{Bearing, Comparison, Concerned, Told, listed, pairs};

/// Tells what is otherwise in rules, schema, retention and witnesses.
pub(super) fn tell(told: &mut Told, older: &Rules, newer: &Rules) {
    of_calls(told, older, newer);
    of_each_rule(told, older, newer);
    of_schema(told, older, newer);
    of_retention(told, older, newer);
    of_witnesses(told, older.witnesses(), newer.witnesses());
}

/// A role makes a call that it did not make, or no more.
fn of_calls(told: &mut Told, older: &Rules, newer: &Rules) {
    for role in Role::ALL {
        for action in Action::ALL {
            let (old, new) = (older.may(role, *action), newer.may(role, *action));
            let whom = Concerned::Role(role);
            match (old, new) {
                (May::No, May::No) => {}
                (May::No, may) => {
                    told.say(
                        RULES,
                        &whom,
                        Bearing::Opens,
                        format!("it may call {action}{}", only_if(newer, may)),
                    );
                }
                (_, May::No) => {
                    told.say(RULES, &whom, Bearing::Closes, format!("it may not call {action} any more"));
                }
                (old, new) => of_conditions(told, (role, *action), (older, old), (newer, new)),
            }
        }
    }
}

fn of_conditions(told: &mut Told, who: (Role, Action), older: (&Rules, &May), newer: (&Rules, &May)) {
    let ids = |may: &May| -> BTreeSet<String> {
        match may {
            May::If(ids) => ids.iter().cloned().collect(),
            May::No | May::Yes => BTreeSet::new(),
        }
    };
    let ((role, action), (old, new)) = (who, (ids(older.1), ids(newer.1)));
    for id in new.difference(&old) {
        let says = says(newer.0, id);
        told.say(
            RULES,
            &Concerned::Role(role),
            Bearing::Closes,
            format!("for {action} it must also be so: {says}"),
        );
    }
    for id in old.difference(&new) {
        let says = says(older.0, id);
        let says = format!("for {action} it need not be so any more: {says}");
        told.say(RULES, &Concerned::Role(role), Bearing::Opens, says);
    }
}

fn only_if(rules: &Rules, may: &May) -> String {
    match may {
        May::If(ids) => {
            format!(", if: {}", ids.iter().map(|id| says(rules, id)).collect::<Vec<_>>().join("; and: "))
        }
        May::No | May::Yes => String::new(),
    }
}

/// What a rule says, or its id where there is none of that id.
fn says(rules: &Rules, id: &str) -> String {
    rules.book.rules().find(|rule| rule.id == id).map_or_else(|| id.to_owned(), |rule| rule.says.clone())
}

fn of_each_rule(told: &mut Told, older: &Rules, newer: &Rules) {
    let by_id = |rules: &Rules| -> BTreeMap<String, Rule> {
        rules.book.rules().map(|rule| (rule.id.clone(), rule.clone())).collect()
    };
    let (old, new) = (by_id(older), by_id(newer));
    for (id, old, new) in pairs(&old, &new) {
        let (bearing, what, rule) = match (old, new) {
            (Some(old), Some(new)) if old.is_like(new) => continue,
            (Some(_), Some(new)) => (Bearing::Changes, "reads otherwise", new),
            (None, Some(new)) => (bearing_of(new), "is new", new),
            (Some(old), None) => (bearing_of(old).reversed(), "is gone", old),
            (None, None) => continue,
        };
        let whom = rule.role().map_or(Concerned::Everybody, Concerned::Role);
        told.say(&rule.file, &whom, bearing, format!("the rule `{id}` {what}: {}", rule.says));
    }
}

/// What a new rule does.
const fn bearing_of(rule: &Rule) -> Bearing {
    if rule.reason.is_some() { Bearing::Closes } else { Bearing::Opens }
}

fn of_schema(told: &mut Told, older: &Rules, newer: &Rules) {
    if older.bundle().file(SCHEMA_FILE) != newer.bundle().file(SCHEMA_FILE) {
        let says = "the words that rules are written in differ; read the file itself".to_owned();
        told.say(SCHEMA_FILE, &Concerned::Everybody, Bearing::Changes, says);
    }
}

fn of_retention(told: &mut Told, older: &Rules, newer: &Rules) {
    let (old, new) = (older.retention_file(), newer.retention_file());
    let mut to = Comparison { told, file: RETENTION_FILE.to_owned(), whom: Concerned::Subjects };
    for (name, old, new) in pairs(&old.classes, &new.classes) {
        match (old, new) {
            (Some(old), Some(new)) => {
                let RetentionClass { name: _, days, authority } = old;
                to.measure(&format!("days that `{name}` is kept"), (*days, new.days), Bearing::Opens);
                let mut holder = to.for_whom(Concerned::Holder);
                holder.text(&format!("disposal authority of `{name}`"), authority, &new.authority);
            }
            (None, Some(new)) => {
                to.say(Bearing::Changes, format!("there is a class `{name}`, kept for {} days", new.days));
            }
            (_, None) => to.say(Bearing::Changes, format!("there is no class `{name}` any more")),
        }
    }
    let class = |classes: &BTreeMap<PayloadClass, String>, payload| {
        classes.get(&payload).cloned().unwrap_or_default()
    };
    for payload in PayloadClass::ALL {
        let (old, new) = (class(&old.payloads, payload), class(&new.payloads, payload));
        to.text(&format!("retention class of {payload} payloads"), &old, &new);
    }
    let hold = |hold: &Hold| {
        let Hold { payloads, from, reason } = hold;
        let payloads = listed(payloads.iter()).unwrap_or_default();
        format!("{payloads} from {from} on: {reason}")
    };
    for one in new.holds.iter().filter(|one| !old.holds.contains(one)) {
        to.say(Bearing::Opens, format!("a hold keeps, however old they are, {}", hold(one)));
    }
    for one in old.holds.iter().filter(|one| !new.holds.contains(one)) {
        to.say(Bearing::Closes, format!("no hold keeps any more {}", hold(one)));
    }
}

fn of_witnesses(told: &mut Told, old: &Witnesses, new: &Witnesses) {
    let Witnesses { all, needed, assumed_dishonest, before_release } = old;
    let mut to = Comparison { told, file: WITNESSES_FILE.to_owned(), whom: Concerned::Holder };
    to.measure("witnesses that must cosign", (*needed, new.needed), Bearing::Closes);
    let dishonest = (*assumed_dishonest, new.assumed_dishonest);
    to.measure("witnesses that are assumed to be dishonest", dishonest, Bearing::Changes);
    match (before_release, new.before_release) {
        (BeforeRelease::NotRequired, BeforeRelease::Required) => {
            to.say(Bearing::Closes, "a release waits for the witnesses".to_owned());
        }
        (BeforeRelease::Required, BeforeRelease::NotRequired) => {
            to.say(Bearing::Opens, "a release does not wait for the witnesses any more".to_owned());
        }
        _ => {}
    }
    let by_name = |all: &[WitnessFile]| -> BTreeMap<_, WitnessFile> {
        all.iter().map(|one| (one.name.clone(), one.clone())).collect()
    };
    for (name, old, new) in pairs(&by_name(all), &by_name(&new.all)) {
        match (old, new) {
            (Some(old), Some(new)) if old == new => {}
            (Some(old), Some(new)) if old.key == new.key => {
                to.say(
                    Bearing::Changes,
                    format!("the witness `{name}` is reached in another way, by the same key"),
                );
            }
            (Some(_), Some(_)) => {
                to.say(Bearing::Changes, format!("the witness `{name}` signs with another key"));
            }
            (None, _) => to.say(Bearing::Closes, format!("`{name}` is a witness")),
            (_, None) => to.say(Bearing::Opens, format!("`{name}` is no witness any more")),
        }
    }
}

/// Where several rules together say something.
const RULES: &str = "rules/";
