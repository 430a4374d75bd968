//! What the rules permitted before: a question that is the same in everything they read has the same answer, and is not
//! evaluated again.
//!
//! INVARIANT: rules read nothing but what stands in [`Asked`] and the policy folder, and a change of the folder makes
//! other [`super::Rules`]. A standing that changed, another day and a count that went up are other questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::action::Action;
use super::actor::{Actor, Standing};
use super::agreement::Agreement;
use super::permit::{About, Usage};
use crate::ids::{AgreementName, CollectionName, PurposeName};

/// All that rules read of a question about a person.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Asked {
    actor: Actor,
    action: Action,
    agreement: Option<AgreementName>,
    collection: CollectionName,
    purpose: PurposeName,
    samples: u32,
    usage: Usage,
    today: i64,
}

impl Asked {
    /// `None` for calls that are too rare to be kept, and while something is suspended that they may be about.
    pub(super) fn of(actor: &Actor, action: Action, about: &About<'_>, today: i64) -> Option<Self> {
        let About::Query { agreement, collection, purpose, samples, usage, standings } = *about else {
            return None;
        };
        // Which agreement applies is not known yet; a suspension is rare, and nothing is kept while there is one.
        if !standings.suspended.is_empty() || standings.official != Standing::Active {
            return None;
        }
        Some(Self {
            actor: actor.clone(),
            action,
            agreement: agreement.cloned(),
            collection: collection.clone(),
            purpose: purpose.clone(),
            samples,
            usage,
            today,
        })
    }
}

/// A permission, whatever it is for.
#[derive(Clone)]
pub(super) struct Permitted {
    pub(super) agreement: Option<Arc<Agreement>>,
    /// The rules that permitted it.
    pub(super) rule: String,
}

/// What was permitted of late. Refusals are not kept: whoever is refused waits.
#[derive(Default)]
pub(super) struct Told(Mutex<Generations>);

/// What is asked again moves from the older to the younger; what is not goes with the older.
#[derive(Default)]
struct Generations {
    young: HashMap<Asked, Permitted>,
    old: HashMap<Asked, Permitted>,
}

impl Told {
    /// What was permitted, if it was.
    pub(super) fn find(&self, asked: &Asked) -> Option<Permitted> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permitted) = told.young.get(asked) {
            return Some(permitted.clone());
        }
        let (asked, permitted) = told.old.remove_entry(asked)?;
        told.keep(asked, permitted.clone());
        Some(permitted)
    }

    /// Keeps what was permitted.
    pub(super) fn keep(&self, asked: Asked, permitted: Permitted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(asked, permitted);
    }
}

impl Generations {
    fn keep(&mut self, asked: Asked, permitted: Permitted) {
        if self.young.len() >= GENERATION_QUESTIONS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(asked, permitted);
    }
}

/// Of half a KiB at most, so that both generations are a MiB: every system of every partner, each with the counts of many
/// groups of questions that were looked up together.
const GENERATION_QUESTIONS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::actor::Role;
    use super::super::permit::Standings;
    use super::*;

    fn asked(today: i64) -> Asked {
        let actor = Actor {
            name: "a-system".parse().unwrap(),
            role: Role::PartnerSystem,
            partner: Some("a-partner".parse().unwrap()),
            standing: Standing::Active,
        };
        let (collection, purpose) = ("faces".parse().unwrap(), "a-purpose".parse().unwrap());
        let usage = Usage::Repeated;
        let about = About::Query {
            agreement: None,
            collection: &collection,
            purpose: &purpose,
            samples: 1,
            usage,
            standings: Standings::all_active(),
        };
        Asked::of(&actor, Action::AskQuery, &about, today).unwrap()
    }

    #[test]
    fn what_is_asked_often_is_kept_and_the_rest_makes_room() {
        let told = Told::default();
        let permitted = || Permitted { agreement: None, rule: "a-rule".to_owned() };
        for day in 0..20_000 {
            told.keep(asked(day), permitted());
            assert!(told.find(&asked(0)).is_some(), "it was asked just now");
        }
        assert!(told.find(&asked(1)).is_none(), "nobody asked again");
        let told = told.0.into_inner().unwrap();
        assert!(told.young.len() + told.old.len() <= 2 * GENERATION_QUESTIONS);
    }
}
