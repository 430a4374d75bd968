//! Asking the rules: the answer is a [`Permit`] that the guarded operation demands, or a refusal.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::{AuthorizationError, Authorizer, Decision, Diagnostics};

use super::action::Action;
use super::actor::{Actor, Role, Standing};
use super::agreement::Agreement;
use super::reason::Reason;
use super::rulebook::{May, Rule};
use super::rules::Rules;
use super::told::{Asked, Permitted};
use crate::clock::{Timestamp, day_of as day};
use crate::ids::{ActorName, AgreementName, CollectionName, Digest, FieldName, PartnerName, PurposeName};

/// A call that waits for permission.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The call.
    pub action: Action,
    /// What it is about, as far as rules care.
    pub about: About<'a>,
    /// The hash of this very request: the permit holds for no other.
    pub content: Digest,
    /// When it is asked.
    pub now: Timestamp,
}

/// What a call is about. Each action has one form; another form is refused.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// Nothing in particular: opening a stream of queries, listing cases, reading the log, batches and
    /// subjects, all of administration but confirming.
    Service,
    /// Something of a partner: its standing, agreements, schemes, release key, journal, list of disclosures.
    Partner {
        /// Whose it is.
        partner: &'a PartnerName,
    },
    /// A journal of the log as files over HTTPS: `ReadCheckpoint`, `ReadTile`, `ReadBundle`.
    Journal {
        /// Whose journal it is; `None` for the holder's.
        partner: Option<&'a PartnerName>,
    },
    /// A question about a person: `AskQuery`, and each question of a stream.
    Query {
        /// The agreement that the caller names; else the only one in force that covers the question.
        agreement: Option<&'a AgreementName>,
        /// Where to search.
        collection: &'a CollectionName,
        /// What for.
        purpose: &'a PurposeName,
        /// Samples of the person.
        samples: u32,
        /// How much the partner asked before under the agreement.
        usage: Usage,
        /// Which agreements are suspended, and whether the official is.
        standings: Standings<'a>,
    },
    /// Asking for fields after a hit: `RequestDisclosure`.
    NewDisclosure {
        /// The agreement of the query; else the only one in force that covers the purpose.
        agreement: Option<&'a AgreementName>,
        /// What for.
        purpose: &'a PurposeName,
        /// The fields; one at least.
        fields: &'a [FieldName],
        /// Which agreements are suspended, and whether the official is.
        standings: Standings<'a>,
    },
    /// A disclosure that exists: `GetDisclosure`, `FetchRelease`, `AcknowledgeRelease`, `WithdrawDisclosure`.
    Disclosure {
        /// Whose request it is.
        partner: &'a PartnerName,
        /// Under which agreement.
        agreement: &'a AgreementName,
        /// Which agreements are suspended, and whether the official is.
        standings: Standings<'a>,
    },
    /// The same seen by officers: `GetCase`, `ViewField`, `DecideCase`.
    Case {
        /// Whose request it is.
        partner: &'a PartnerName,
        /// That partner's standing.
        standing: Standing,
        /// Which agreements are suspended, and whether the official is.
        standings: Standings<'a>,
        /// Under which agreement.
        agreement: &'a AgreementName,
        /// What for.
        purpose: &'a PurposeName,
        /// `GetCase`: the fields asked for; `ViewField`: the one to see; `DecideCase`: the fields approved,
        /// none for a denial.
        fields: &'a [FieldName],
    },
    /// Enrolment into a collection: `StartBatch`, `EnrolSubjects`.
    Collection {
        /// Which.
        collection: &'a CollectionName,
    },
    /// A change that somebody proposed: `ConfirmChange`.
    Change {
        /// What kind of change it is.
        kind: &'a str,
        /// Who proposed it.
        proposed_by: &'a ActorName,
        /// In which role.
        proposer_role: Role,
    },
}

impl About<'_> {
    /// What may be suspended of a partner, where the call is about any of it.
    pub(super) const fn standings(&self) -> Option<Standings<'_>> {
        match self {
            Self::Query { standings, .. }
            | Self::NewDisclosure { standings, .. }
            | Self::Disclosure { standings, .. }
            | Self::Case { standings, .. } => Some(*standings),
            Self::Service
            | Self::Partner { .. }
            | Self::Journal { .. }
            | Self::Collection { .. }
            | Self::Change { .. } => None,
        }
    }
}

/// What is suspended beside partners and people: agreements, and the official behind a call.
#[derive(Debug, Clone, Copy)]
pub struct Standings<'a> {
    /// Agreements that are suspended, whoever their partner.
    pub suspended: &'a BTreeSet<AgreementName>,
    /// The standing of the official behind the call.
    pub official: Standing,
}

impl Standings<'static> {
    /// Nothing is suspended.
    #[must_use]
    pub const fn all_active() -> Self {
        Self { suspended: &NO_AGREEMENT, official: Standing::Active }
    }
}

impl Standings<'_> {
    /// The standing of an agreement.
    pub(super) fn agreement(&self, name: &AgreementName) -> Standing {
        if self.suspended.contains(name) { Standing::Suspended } else { Standing::Active }
    }
}

/// How much of an agreement's volume is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// A new question, after so many under the same agreement.
    Counted {
        /// Since midnight (UTC).
        today: u32,
        /// Since the first of January (UTC).
        this_year: u32,
    },
    /// The request was answered before and gets its first answer again: it costs nothing (promise 12).
    Repeated,
}

/// Permission for one request, given by the rules of one policy folder.
///
/// Only [`Rules::permit`] makes one, and nobody can copy it.
#[derive(Debug)]
#[must_use = "a permit is to be handed to the operation that it permits"]
pub struct Permit {
    actor: Actor,
    action: Action,
    content: Digest,
    agreement: Option<Arc<Agreement>>,
    policy: Digest,
    rule: String,
    given: Timestamp,
}

impl Permit {
    /// Who may.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What they may do.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The hash of the request for which it was given.
    #[must_use]
    pub const fn content(&self) -> Digest {
        self.content
    }

    /// The agreement that applies, where one does.
    #[must_use]
    pub const fn agreement(&self) -> Option<&Arc<Agreement>> {
        self.agreement.as_ref()
    }

    /// The digest of the policy folder that decided.
    #[must_use]
    pub const fn policy(&self) -> Digest {
        self.policy
    }

    /// The rules that permitted it, by id, in order, with commas between them.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// When it was given.
    #[must_use]
    pub const fn given(&self) -> Timestamp {
        self.given
    }
}

/// No permission. Its text is the reason's fixed sentence and tells about the caller only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.sentence())]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rules that refused it, by id, for the log; `default-deny` when none permitted it.
    pub rule: String,
}

impl Rules {
    /// Asks the rules.
    ///
    /// # Errors
    /// A [`Refusal`] unless a rule permits the call, none forbids it, and all could be evaluated.
    pub fn permit(&self, actor: &Actor, ask: &Ask<'_>) -> Result<Permit, Refusal> {
        let today = ask.now.day();
        let asked = Asked::of(actor, ask.action, &ask.about, today);
        let permitted = match asked.as_ref().and_then(|asked| self.told.find(asked)) {
            Some(permitted) => permitted,
            None => {
                let permitted = self.evaluated(actor, ask.action, &ask.about, today)?;
                if let Some(asked) = asked {
                    self.told.keep(asked, permitted.clone());
                }
                permitted
            }
        };
        Ok(Permit {
            actor: actor.clone(),
            action: ask.action,
            content: ask.content,
            agreement: permitted.agreement,
            policy: self.digest(),
            rule: permitted.rule,
            given: ask.now,
        })
    }

    fn evaluated(
        &self,
        actor: &Actor,
        action: Action,
        about: &About<'_>,
        today: i64,
    ) -> Result<Permitted, Refusal> {
        let agreement = self.agreement_for(actor, about, today);
        let (Some(question), Some(policies)) =
            (self.question(actor, action, about, agreement, today), self.book.policies_of(action))
        else {
            return Err(self.refused_by_default(actor.role, action));
        };
        let response = Authorizer::new().is_authorized(&question.request, policies, &question.entities);
        let diagnostics = response.diagnostics();
        if response.decision() == Decision::Deny {
            return Err(self.refused(actor.role, action, diagnostics));
        }
        // Cedar passes over a rule that it cannot evaluate; here that means no permission (promise 3).
        let failed = joined(
            diagnostics
                .errors()
                .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string()),
        );
        if !failed.is_empty() {
            return Err(Refusal { reason: Reason::NotPermitted, rule: failed });
        }
        let rule = joined(diagnostics.reason().map(ToString::to_string));
        Ok(Permitted { agreement: agreement.cloned(), rule })
    }

    #[cfg(test)]
    pub(super) fn evaluated_afresh(
        &self,
        actor: &Actor,
        ask: &Ask<'_>,
    ) -> Result<(Option<AgreementName>, String), Refusal> {
        let permitted = self.evaluated(actor, ask.action, &ask.about, ask.now.day())?;
        Ok((permitted.agreement.map(|agreement| agreement.name.clone()), permitted.rule))
    }

    /// The agreement that a question is about. Whether it may be used is for the rules to say; where several
    /// fit there is none, and the caller has to name one.
    fn agreement_for(&self, actor: &Actor, about: &About<'_>, today: i64) -> Option<&Arc<Agreement>> {
        match about {
            About::Query { agreement: Some(name), .. }
            | About::NewDisclosure { agreement: Some(name), .. } => self.agreement(name),
            About::Disclosure { agreement, .. } | About::Case { agreement, .. } => self.agreement(agreement),
            About::Query { collection, purpose, .. } => {
                self.only_agreement(actor.partner.as_ref()?, Some(collection), purpose, today)
            }
            About::NewDisclosure { purpose, .. } => {
                self.only_agreement(actor.partner.as_ref()?, None, purpose, today)
            }
            About::Service
            | About::Partner { .. }
            | About::Journal { .. }
            | About::Collection { .. }
            | About::Change { .. } => None,
        }
    }

    /// The partner's only agreement that is in force and covers the question; failing that the only one that
    /// covers it, and failing that the only one it has, so that the refusal can say what is amiss.
    fn only_agreement(
        &self,
        partner: &PartnerName,
        collection: Option<&CollectionName>,
        purpose: &PurposeName,
        today: i64,
    ) -> Option<&Arc<Agreement>> {
        let own: Vec<&Arc<Agreement>> =
            self.agreements().filter(|agreement| agreement.partner == *partner).collect();
        let covering: Vec<&Arc<Agreement>> =
            own.iter().copied().filter(|agreement| agreement.covers(collection, purpose)).collect();
        let in_force: Vec<&Arc<Agreement>> =
            covering.iter().copied().filter(|agreement| is_in_force(agreement, today)).collect();
        let candidates = [in_force, covering, own].into_iter().find(|candidates| !candidates.is_empty())?;
        match candidates.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    fn refused(&self, role: Role, action: Action, diagnostics: &Diagnostics) -> Refusal {
        let forbidding: Vec<(Reason, &Rule)> = diagnostics
            .reason()
            .filter_map(|id| self.book.rule(id))
            .filter_map(|rule| rule.reason.map(|reason| (reason, rule)))
            .collect();
        let default = self.refused_by_default(role, action);
        match forbidding.iter().map(|(reason, _)| *reason).min() {
            Some(reason) if default.reason == Reason::NotPermitted || reason < default.reason => {
                let of_reason = forbidding.iter().filter(|(own, _)| *own == reason);
                Refusal { reason, rule: joined(of_reason.map(|(_, rule)| rule.id.clone())) }
            }
            _ => default,
        }
    }

    fn refused_by_default(&self, role: Role, action: Action) -> Refusal {
        let reason = match self.book.may(role, action) {
            May::No => Reason::RoleNotAllowed,
            May::Yes | May::If(_) => Reason::NotPermitted,
        };
        Refusal { reason, rule: DEFAULT_DENY.to_owned() }
    }
}

fn is_in_force(agreement: &Agreement, today: i64) -> bool {
    let term = agreement.term;
    day(term.from) <= today && today <= day(term.until) && today <= day(term.review_by)
}

fn joined(ids: impl Iterator<Item = String>) -> String {
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids.join(",")
}

static NO_AGREEMENT: BTreeSet<AgreementName> = BTreeSet::new();
const DEFAULT_DENY: &str = "default-deny";
