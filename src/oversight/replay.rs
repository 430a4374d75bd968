//! The questions and disclosures of a period, decided again under other rules.
//!
//! What the log does not keep can't be decided again, and is counted instead: scores (another threshold), the reason for
//! which a person was hidden (other visible restrictions), what a refused question was about, and the units of those
//! who approved.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::{About, Action, Actor, Agreement, Ask, May, Role, Rules, Standing, Standings, Usage};
use crate::clock::Timestamp;
use crate::ids::{ActorName, AgreementName, Digest, FieldName, PartnerName};

/// A journal of a partner that is gone through under other rules.
pub struct Replay<'a> {
    rules: &'a Rules,
    since: Timestamp,
    used: BTreeMap<AgreementName, Used>,
    cases: BTreeMap<Vec<u8>, Case>,
    found: Replayed,
}

/// What came of a replay.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Questions of the period that were decided again.
    pub questions: u64,
    /// Requests for disclosure of the period that were decided again.
    pub requests: u64,
    /// Approvals of the period that were counted again.
    pub approvals: u64,
    /// What would have been decided otherwise, in the order of the journal.
    pub differently: Vec<Differently>,
    /// Refused questions of the period; the log does not keep what they were about.
    pub refused: u64,
    /// Answers NO_HIT of the period to which a hidden person would have matched.
    pub hidden: u64,
    /// Entries of the period that lack what every entry of their kind has; no version that is known here wrote them.
    pub unreadable: u64,
}

/// A decision that would have been another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differently {
    /// The entry in the partner's journal.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// What was decided then.
    pub was: &'static str,
    /// What would be decided under the other rules, and why.
    pub would: String,
}

/// How much of an agreement was used, as the log tells it.
#[derive(Default)]
struct Used {
    day: i64,
    year: i16,
    today: u32,
    this_year: u32,
}

impl Used {
    /// What was used before this moment, which is counted after it.
    fn count(&mut self, at: Timestamp) -> Usage {
        if self.day != at.day() {
            (self.day, self.today) = (at.day(), 0);
        }
        if self.year != at.year() {
            (self.year, self.this_year) = (at.year(), 0);
        }
        let usage = Usage::Counted { today: self.today, this_year: self.this_year };
        self.today = self.today.saturating_add(1);
        self.this_year = self.this_year.saturating_add(1);
        usage
    }
}

/// A disclosure as far as the log tells it.
struct Case {
    agreement: AgreementName,
    requested: Timestamp,
    urgent: bool,
    approved_by: BTreeMap<String, Role>,
}

impl<'a> Replay<'a> {
    /// A replay of a partner's journal from `since` on; what was asked before is only counted as used volume.
    #[must_use]
    pub fn new(rules: &'a Rules, since: Timestamp) -> Self {
        Self { rules, since, used: BTreeMap::new(), cases: BTreeMap::new(), found: Replayed::default() }
    }

    /// Takes the holder's side of an entry, in the order of the journal.
    pub fn take(&mut self, index: u64, event: &Event) {
        // An entry that lacks what every entry of its kind has was written by no version that is known here.
        let readable = match event.kind {
            Kind::QueryAnswered => self.question(index, event),
            Kind::QueryRefused => {
                self.found.refused = self.found.refused.saturating_add(u64::from(event.at >= self.since));
                Some(())
            }
            Kind::DisclosureRequested => self.request(index, event),
            Kind::DisclosureDecided => self.decided(event),
            Kind::DisclosureQuestioned => self.questioned(event),
            Kind::DisclosureApproved => self.approved(index, event),
            Kind::DisclosureExpired => self.expired(index, event),
            _ => Some(()),
        };
        if readable.is_none() && event.at >= self.since {
            self.found.unreadable = self.found.unreadable.saturating_add(1);
        }
    }

    /// What came of it.
    #[must_use]
    pub fn done(self) -> Replayed {
        self.found
    }

    fn question(&mut self, index: u64, event: &Event) -> Option<()> {
        let agreement: AgreementName = parsed(event, Fact::Agreement)?;
        let (purpose, collection) = (parsed(event, Fact::Purpose)?, parsed(event, Fact::Collection)?);
        let samples = u32::try_from(event.number_of(Fact::Samples)?).ok()?;
        let usage = self.used.entry(agreement.clone()).or_default().count(event.at);
        if event.at < self.since {
            return Some(());
        }
        self.found.questions = self.found.questions.saturating_add(1);
        let is_hidden = event.fact(Fact::HiddenSubject).is_some_and(|id| id.iter().any(|byte| *byte != 0));
        self.found.hidden = self.found.hidden.saturating_add(u64::from(is_hidden));
        let about = About::Query {
            agreement: Some(&agreement),
            collection: &collection,
            purpose: &purpose,
            samples,
            usage,
            standings: Standings::all_active(),
        };
        self.ask(index, event, Action::AskQuery, about, "answered")
    }

    fn request(&mut self, index: u64, event: &Event) -> Option<()> {
        let (agreement, purpose) = (parsed(event, Fact::Agreement)?, parsed(event, Fact::Purpose)?);
        let names = event.text_of(Fact::Fields)?.split(',');
        let fields: Vec<FieldName> = names.map(str::parse).collect::<Result<_, _>>().ok()?;
        let id = event.fact(Fact::Disclosure)?.to_vec();
        let about = About::NewDisclosure {
            agreement: Some(&agreement),
            purpose: &purpose,
            fields: &fields,
            standings: Standings::all_active(),
        };
        if event.at >= self.since {
            self.found.requests = self.found.requests.saturating_add(1);
            self.ask(index, event, Action::RequestDisclosure, about, "taken")?;
        }
        let urgent = event.text_of(Fact::Urgency).is_some();
        let has_path = self.rules.agreement(&agreement).is_none_or(|agreement| agreement.urgent.is_some());
        if urgent && !has_path && event.at >= self.since {
            let would = "refused: the agreement has no urgent path".to_owned();
            self.found.differently.push(Differently { index, at: event.at, was: "taken", would });
        }
        let case = Case { agreement, requested: event.at, urgent, approved_by: BTreeMap::new() };
        self.cases.insert(id, case);
        Some(())
    }

    fn ask(
        &mut self,
        index: u64,
        event: &Event,
        action: Action,
        about: About<'_>,
        was: &'static str,
    ) -> Option<()> {
        let name: ActorName = event.actor.parse().ok()?;
        let partner: Option<PartnerName> = Some(parsed(event, Fact::Partner)?);
        // Whoever was answered was in good standing: that is checked before everything else.
        let actor = Actor { name, role: Role::PartnerSystem, partner, standing: Standing::Active };
        let ask = Ask { action, about, content: Digest::from_bytes([0; 32]), now: event.at };
        if let Err(refusal) = self.rules.permit(&actor, &ask) {
            let would = format!("refused: {refusal} ({}, by {})", refusal.reason.as_str(), refusal.rule);
            self.found.differently.push(Differently { index, at: event.at, was, would });
        }
        Some(())
    }

    fn decided(&mut self, event: &Event) -> Option<()> {
        let role: Role = parsed(event, Fact::Role)?;
        let case = self.cases.get_mut(event.fact(Fact::Disclosure)?)?;
        if GRANTED.contains(&event.text_of(Fact::State)?) {
            case.approved_by.insert(event.actor.clone(), role);
        }
        Some(())
    }

    fn questioned(&mut self, event: &Event) -> Option<()> {
        self.cases.get_mut(event.fact(Fact::Disclosure)?)?.approved_by.clear();
        Some(())
    }

    fn approved(&mut self, index: u64, event: &Event) -> Option<()> {
        let case = self.cases.get(event.fact(Fact::Disclosure)?)?;
        if event.at < self.since {
            return Some(());
        }
        self.found.approvals = self.found.approvals.saturating_add(1);
        let was = "approved";
        let would = match self.rules.agreement(&case.agreement) {
            None => Some("never approved: the agreement is gone".to_owned()),
            Some(agreement) if end_of(agreement, case) <= event.at => {
                Some("expired: the time to decide would have been over".to_owned())
            }
            Some(agreement) => self.missing(agreement, case),
        };
        self.found.differently.extend(would.map(|would| Differently { index, at: event.at, was, would }));
        Some(())
    }

    fn expired(&mut self, index: u64, event: &Event) -> Option<()> {
        let case = self.cases.get(event.fact(Fact::Disclosure)?)?;
        if event.at < self.since {
            return Some(());
        }
        let later = self.rules.agreement(&case.agreement).filter(|it| end_of(it, case) > event.at);
        let would = later.map(|_| "still open: there would have been more time to decide".to_owned());
        let was = "expired";
        self.found.differently.extend(would.map(|would| Differently { index, at: event.at, was, would }));
        Some(())
    }

    /// Who of those that the other rules want did not approve; `None` when nobody is missing.
    fn missing(&self, agreement: &Agreement, case: &Case) -> Option<String> {
        let urgent = agreement.urgent.as_ref().filter(|_| case.urgent);
        let approval = urgent.map_or(&agreement.approval, |urgent| &urgent.approval);
        let wanting = approval.iter().filter_map(|factor| {
            let may = *self.rules.may(factor.role, Action::DecideCase) != May::No;
            let people: BTreeSet<&String> = case
                .approved_by
                .iter()
                .filter(|(_, role)| may && **role == factor.role)
                .map(|(name, _)| name)
                .collect();
            let there = u32::try_from(people.len()).unwrap_or(u32::MAX);
            (there < factor.number)
                .then(|| format!("{} more {}", factor.number.saturating_sub(there), factor.role))
        });
        let wanting: Vec<String> = wanting.collect();
        (!wanting.is_empty())
            .then(|| format!("not approved yet: it would wait for {}", wanting.join(" and ")))
    }
}

/// When the other rules would have ended it undecided.
fn end_of(agreement: &Agreement, case: &Case) -> Timestamp {
    match agreement.urgent.as_ref().filter(|_| case.urgent) {
        Some(urgent) => case.requested.after(urgent.decide_within),
        None => agreement.clocks.decide_within.after(case.requested),
    }
}

fn parsed<T: std::str::FromStr>(event: &Event, fact: Fact) -> Option<T> {
    event.text_of(fact)?.parse().ok()
}

/// The states that follow when somebody granted fields.
const GRANTED: [&str; 2] = ["partially-approved", "approved"];

#[cfg(test)]
mod tests;
