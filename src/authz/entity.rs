//! Questions in the words of the Cedar schema.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};

use super::action::Action;
use super::actor::{Actor, Role, Standing};
use super::agreement::Agreement;
use super::permit::{About, Usage};
use super::rulebook::RuleBook;
use super::rules::Rules;
use crate::clock::day_of as day;
use crate::ids::{AgreementName, CollectionName, FieldName, PartnerName};

/// The words, and the agreements as entities, prepared once for a folder.
pub(super) struct Words {
    actor: EntityTypeName,
    role: EntityTypeName,
    standing: EntityTypeName,
    partner: EntityTypeName,
    journal: EntityTypeName,
    collection: EntityTypeName,
    agreement: EntityTypeName,
    service: EntityUid,
    agreements: BTreeMap<AgreementName, Entity>,
}

/// A question that rules can answer.
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) entities: Entities,
}

impl Words {
    /// Prepares the words; the agreements are held to the schema here, once.
    ///
    /// # Errors
    /// What does not fit the schema, as a text.
    pub(super) fn prepare<'a>(
        book: &RuleBook,
        agreements: impl Iterator<Item = &'a Arc<Agreement>>,
    ) -> Result<Self, String> {
        let word = |text: &str| text.parse::<EntityTypeName>().map_err(|error| error.to_string());
        let service = EntityUid::from_type_name_and_id(word("Service")?, EntityId::new("onebit"));
        let mut words = Self {
            actor: word("Actor")?,
            role: word("Role")?,
            standing: word("Standing")?,
            partner: word("Partner")?,
            journal: word("Journal")?,
            collection: word("Collection")?,
            agreement: word("Agreement")?,
            service,
            agreements: BTreeMap::new(),
        };
        for agreement in agreements {
            let entity = words.agreement_entity(agreement)?;
            words.agreements.insert(agreement.name.clone(), entity);
        }
        Entities::from_entities(words.agreements.values().cloned(), Some(&book.schema))
            .map_err(|error| format!("the schema does not describe agreements as they are: {error}"))?;
        Ok(words)
    }

    fn agreement_entity(&self, agreement: &Agreement) -> Result<Entity, String> {
        let purposes = agreement.purposes.keys().map(|purpose| text(purpose.as_str()));
        let collections = agreement
            .collections
            .iter()
            .map(|name| RestrictedExpression::new_entity_uid(self.collection(name)));
        let urgent = agreement.urgent.iter().flat_map(|urgent| &urgent.approval);
        let deciders: std::collections::BTreeSet<&str> =
            agreement.approval.iter().chain(urgent).map(|factor| factor.role.as_str()).collect();
        let deciders = deciders.into_iter().map(text);
        let attributes = [
            ("partner", RestrictedExpression::new_entity_uid(self.partner(&agreement.partner))),
            ("deciders", RestrictedExpression::new_set(deciders)),
            ("first_day", whole(day(agreement.term.from))),
            ("last_day", whole(day(agreement.term.until))),
            ("review_day", whole(day(agreement.term.review_by))),
            ("purposes", RestrictedExpression::new_set(purposes)),
            ("collections", RestrictedExpression::new_set(collections)),
            ("per_day", whole(i64::from(agreement.volumes.per_day))),
            ("per_year", whole(i64::from(agreement.volumes.per_year))),
            ("samples_per_query", whole(i64::from(agreement.volumes.samples_per_query))),
        ];
        let tags = agreement
            .purposes
            .iter()
            .map(|(name, purpose)| (name.as_str().to_owned(), fields(&purpose.discloses)));
        Entity::new_with_tags(
            uid(&self.agreement, agreement.name.as_str()),
            attributes.map(|(key, value)| (key.to_owned(), value)),
            [],
            tags,
        )
        .map_err(|error| error.to_string())
    }

    fn actor_entity(&self, actor: &Actor) -> Option<Entity> {
        let mut attributes = vec![("standing".to_owned(), self.standing(actor.standing))];
        if let Some(partner) = &actor.partner {
            attributes
                .push(("partner".to_owned(), RestrictedExpression::new_entity_uid(self.partner(partner))));
        }
        let attributes = attributes.into_iter().collect();
        let parents = HashSet::from([self.role(actor.role)]);
        Entity::new(uid(&self.actor, actor.name.as_str()), attributes, parents).ok()
    }

    /// Partners' journals are named after their partners; the holder's is the only one that is nobody's.
    fn journal(&self, partner: Option<&PartnerName>) -> EntityUid {
        uid(&self.journal, partner.map_or("", PartnerName::as_str))
    }

    fn journal_entity(&self, partner: Option<&PartnerName>) -> Option<Entity> {
        let owner = |name| ("partner".to_owned(), RestrictedExpression::new_entity_uid(self.partner(name)));
        Entity::new(self.journal(partner), partner.map(owner).into_iter().collect(), HashSet::new()).ok()
    }

    fn partner(&self, name: &PartnerName) -> EntityUid {
        uid(&self.partner, name.as_str())
    }

    fn collection(&self, name: &CollectionName) -> EntityUid {
        uid(&self.collection, name.as_str())
    }

    fn role(&self, role: Role) -> EntityUid {
        uid(&self.role, role.as_str())
    }

    fn standing(&self, standing: Standing) -> RestrictedExpression {
        RestrictedExpression::new_entity_uid(uid(&self.standing, standing.as_str()))
    }
}

impl Rules {
    /// The question in the schema's words, or `None` when it does not fit them: then there is no permission.
    pub(super) fn question(
        &self,
        actor: &Actor,
        action: Action,
        about: &About<'_>,
        agreement: Option<&Arc<Agreement>>,
        today: i64,
    ) -> Option<Question> {
        let words = &self.words;
        let principal = words.actor_entity(actor)?;
        let action = self.book.actions.get(&action)?.clone();
        let (resource, mut facts) = self.facts(about, today);
        let mut entities = vec![principal.clone(), action.clone()];
        if let About::Journal { partner } = about {
            entities.push(words.journal_entity(*partner)?);
        }
        if let Some(entity) = agreement.and_then(|agreement| words.agreements.get(&agreement.name)) {
            facts.push(("agreement", RestrictedExpression::new_entity_uid(entity.uid())));
            entities.push(entity.clone());
        }
        if let Some(standings) = about.standings() {
            let of = |agreement: &Arc<Agreement>| standings.agreement(&agreement.name);
            let standing = agreement.map_or(Standing::Active, of);
            facts.push(("agreement_standing", words.standing(standing)));
            facts.push(("official_standing", words.standing(standings.official)));
        }
        let context =
            Context::from_pairs(facts.into_iter().map(|(key, value)| (key.to_owned(), value))).ok()?;
        let request =
            Request::new(principal.uid(), action.uid(), resource, context, Some(&self.book.schema)).ok()?;
        let entities = Entities::from_entities(entities, None).ok()?;
        Some(Question { request, entities })
    }

    fn facts(&self, about: &About<'_>, today: i64) -> (EntityUid, Vec<(&'static str, RestrictedExpression)>) {
        let words = &self.words;
        match about {
            About::Service => (words.service.clone(), Vec::new()),
            About::Partner { partner } => (words.partner(partner), Vec::new()),
            About::Journal { partner } => (words.journal(*partner), Vec::new()),
            About::Query { collection, purpose, samples, usage, .. } => {
                let (repeated, used_today, used_this_year) = match usage {
                    Usage::Repeated => (true, 0, 0),
                    Usage::Counted { today, this_year } => (false, *today, *this_year),
                };
                let facts = vec![
                    ("today", whole(today)),
                    ("purpose", text(purpose.as_str())),
                    ("samples", whole(i64::from(*samples))),
                    ("repeated", RestrictedExpression::new_bool(repeated)),
                    ("used_today", whole(i64::from(used_today))),
                    ("used_this_year", whole(i64::from(used_this_year))),
                ];
                (words.collection(collection), facts)
            }
            About::NewDisclosure { purpose, fields: named, .. } => {
                let facts = vec![
                    ("today", whole(today)),
                    ("purpose", text(purpose.as_str())),
                    ("fields", fields(*named)),
                ];
                (words.service.clone(), facts)
            }
            About::Disclosure { partner, .. } => (words.partner(partner), vec![("today", whole(today))]),
            About::Case { partner, standing, purpose, fields: named, .. } => {
                let facts = vec![
                    ("today", whole(today)),
                    ("purpose", text(purpose.as_str())),
                    ("fields", fields(*named)),
                    ("requester", words.standing(*standing)),
                ];
                (words.partner(partner), facts)
            }
            About::Collection { collection } => {
                let known = self.collection(collection).is_some();
                (words.collection(collection), vec![("known", RestrictedExpression::new_bool(known))])
            }
            About::Change { kind, proposed_by, proposer_role } => {
                let proposer = uid(&words.actor, proposed_by.as_str());
                let facts = vec![
                    ("kind", text(kind)),
                    ("proposed_by", RestrictedExpression::new_entity_uid(proposer)),
                    ("proposer_role", RestrictedExpression::new_entity_uid(words.role(*proposer_role))),
                ];
                (words.service.clone(), facts)
            }
        }
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn fields<'a>(names: impl IntoIterator<Item = &'a FieldName>) -> RestrictedExpression {
    RestrictedExpression::new_set(names.into_iter().map(|name| text(name.as_str())))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn whole(value: i64) -> RestrictedExpression {
    RestrictedExpression::new_long(value)
}
