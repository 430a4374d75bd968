//! The numbers of a period that are published, counted from the holder's side of the journals.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::audit::event::{Event, Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, QueryId};

/// What a partner did and got in a period. Disclosures belong to the period in which they were asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Questions that were answered.
    pub questions: u64,
    /// Questions that were refused.
    pub questions_refused: u64,
    /// The same by the reason that the partner was given, a word of the status codes.
    pub refusals: BTreeMap<String, u64>,
    /// Answers HIT.
    pub hits: u64,
    /// Answers NO_HIT to which a hidden person would have matched. Exact: for the holder and the commissioner only.
    pub hidden_hits: u64,
    /// Hits after which fields were asked for.
    pub hits_followed: u64,
    /// Requests for disclosure.
    pub requests: u64,
    /// Requests after which fields were released.
    pub released: u64,
    /// Requests that were refused. Refusals by people and those for a person who was hidden or erased since are one number:
    /// apart they would tell of people who are hidden.
    pub refused: u64,
    /// Requests that the partner took back.
    pub withdrawn: u64,
    /// Requests that nobody decided in time.
    pub expired: u64,
    /// Releases that were never acknowledged.
    pub lapsed: u64,
    /// Releases that were taken back.
    pub revoked: u64,
    /// Hits that an officer found to be of another person, before a release or after one whose recipient was told.
    pub erroneous_hits: u64,
    /// How often each field was released.
    pub fields: BTreeMap<String, u64>,
    /// From the request to its release or refusal, shortest first.
    pub to_decide: Vec<Duration>,
    /// From an officer's question to the partner's answer, shortest first.
    pub to_answer: Vec<Duration>,
    /// From a release to its acknowledgement, shortest first.
    pub to_acknowledge: Vec<Duration>,
    /// Questions by agreement: what to expect of false hits follows from its rate.
    pub agreements: BTreeMap<String, u64>,
    /// Times that the partner, one of its officials or one of its agreements was suspended.
    pub suspensions: u64,
    /// Questions and hits by month, `2026-07`.
    pub months: BTreeMap<String, Month>,
    /// What came of questions by the collection that was searched.
    pub collections: BTreeMap<String, Searched>,
}

/// A collection, as one partner searched it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Searched {
    /// Questions that were answered.
    pub questions: u64,
    /// Answers HIT.
    pub hits: u64,
    /// Hits after which fields were asked for in the period.
    pub followed: u64,
    /// Of those, hits after which fields were released.
    pub released: u64,
    /// Of those followed, hits that were found to be of another person.
    pub erroneous: u64,
    /// Of those, hits after which fields were released.
    pub erroneous_released: u64,
}

/// A month of a partner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Month {
    /// Questions that were answered.
    pub questions: u64,
    /// Answers HIT.
    pub hits: u64,
}

/// Counts journals, each in its own order.
pub struct Tally {
    from: Timestamp,
    until: Timestamp,
    partners: BTreeMap<String, Figures>,
    cases: BTreeMap<DisclosureId, Case>,
    /// Collections of hits, those before the period too: a request of the period may follow one.
    hits: BTreeMap<QueryId, String>,
    followed: BTreeSet<QueryId>,
    served: BTreeSet<QueryId>,
    /// Hits found to be of another person, with the partner that followed them.
    erroneous: BTreeMap<QueryId, String>,
    /// Partners by agreement.
    parties: BTreeMap<String, String>,
    /// By partner, whether or not its journal is among those that are counted.
    suspensions: BTreeMap<String, u64>,
}

/// A disclosure that was asked for in the period.
struct Case {
    partner: String,
    query: Option<QueryId>,
    requested: Timestamp,
    asked: Option<Timestamp>,
    released: Option<Timestamp>,
}

impl Tally {
    /// A tally of what lies at or after `from` and before `until`.
    #[must_use]
    pub const fn new(from: Timestamp, until: Timestamp) -> Self {
        Self {
            from,
            until,
            partners: BTreeMap::new(),
            cases: BTreeMap::new(),
            hits: BTreeMap::new(),
            followed: BTreeSet::new(),
            served: BTreeSet::new(),
            erroneous: BTreeMap::new(),
            parties: BTreeMap::new(),
            suspensions: BTreeMap::new(),
        }
    }

    /// Names a partner, so that one of whom nothing is told has its zeros.
    pub fn partner(&mut self, partner: &str) {
        self.partners.entry(partner.to_owned()).or_default();
    }

    /// Says whose an agreement is, before it is named by an entry of the holder's journal.
    pub fn agreement(&mut self, agreement: &str, partner: &str) {
        self.parties.insert(agreement.to_owned(), partner.to_owned());
    }

    /// Takes the holder's side of an entry of a partner's journal.
    pub fn take(&mut self, partner: &str, event: &Event) {
        let is_within = self.from <= event.at && event.at < self.until;
        if is_within {
            self.counted(partner, event);
        }
        if event.kind == Kind::QueryAnswered
            && is_hit(event)
            && let Some(query) = query(event)
        {
            self.hits.insert(query, collection(event));
        }
        if event.kind == Kind::DisclosureRequested && is_within {
            self.requested(partner, event);
        } else {
            self.followed_up(event);
        }
    }

    /// Takes the holder's side of an entry of the holder's journal.
    pub fn take_of_holder(&mut self, event: &Event) {
        let is_within = self.from <= event.at && event.at < self.until;
        // An attempt that changed nothing says why.
        if !is_within || event.fact(Fact::Detail).is_some() {
            return;
        }
        let partner = match event.kind {
            Kind::PartnerSuspended | Kind::OfficialSuspended => event.text_of(Fact::Partner),
            Kind::AgreementSuspended => {
                event.text_of(Fact::Agreement).and_then(|name| self.parties.get(name)).map(String::as_str)
            }
            _ => None,
        };
        if let Some(partner) = partner {
            let times = self.suspensions.entry(partner.to_owned()).or_default();
            *times = times.saturating_add(1);
        }
    }

    /// The figures by partner.
    #[must_use]
    pub fn done(mut self) -> BTreeMap<String, Figures> {
        for (query, partner) in &self.erroneous {
            let figures = self.partners.entry(partner.clone()).or_default();
            figures.erroneous_hits = figures.erroneous_hits.saturating_add(1);
            if let Some(collection) = self.hits.get(query) {
                let searched = figures.collections.entry(collection.clone()).or_default();
                let is_released = u64::from(self.served.contains(query));
                searched.erroneous = searched.erroneous.saturating_add(1);
                searched.erroneous_released = searched.erroneous_released.saturating_add(is_released);
            }
        }
        for (partner, figures) in &mut self.partners {
            figures.suspensions = self.suspensions.get(partner).copied().unwrap_or_default();
            figures.to_decide.sort();
            figures.to_answer.sort();
            figures.to_acknowledge.sort();
        }
        self.partners
    }

    fn counted(&mut self, partner: &str, event: &Event) {
        let figures = self.partners.entry(partner.to_owned()).or_default();
        match event.kind {
            Kind::QueryRefused => {
                figures.questions_refused = figures.questions_refused.saturating_add(1);
                let reason = event.text_of(Fact::Reason).unwrap_or_default().to_owned();
                let times = figures.refusals.entry(reason).or_default();
                *times = times.saturating_add(1);
            }
            Kind::QueryAnswered => {
                let is_hit = is_hit(event);
                let is_hidden =
                    event.fact(Fact::HiddenSubject).is_some_and(|id| id.iter().any(|byte| *byte != 0));
                figures.questions = figures.questions.saturating_add(1);
                figures.hits = figures.hits.saturating_add(u64::from(is_hit));
                figures.hidden_hits = figures.hidden_hits.saturating_add(u64::from(is_hidden && !is_hit));
                let agreement = event.text_of(Fact::Agreement).unwrap_or_default().to_owned();
                let asked = figures.agreements.entry(agreement).or_default();
                *asked = asked.saturating_add(1);
                let month = figures.months.entry(month_of(event.at)).or_default();
                month.questions = month.questions.saturating_add(1);
                month.hits = month.hits.saturating_add(u64::from(is_hit));
                let searched = figures.collections.entry(collection(event)).or_default();
                searched.questions = searched.questions.saturating_add(1);
                searched.hits = searched.hits.saturating_add(u64::from(is_hit));
            }
            _ => {}
        }
    }

    fn requested(&mut self, partner: &str, event: &Event) {
        let figures = self.partners.entry(partner.to_owned()).or_default();
        figures.requests = figures.requests.saturating_add(1);
        let query = query(event);
        // Several requests may follow one hit.
        if query.is_some_and(|query| self.followed.insert(query)) {
            figures.hits_followed = figures.hits_followed.saturating_add(1);
            if let Some(collection) = query.and_then(|query| self.hits.get(&query)) {
                let searched = figures.collections.entry(collection.clone()).or_default();
                searched.followed = searched.followed.saturating_add(1);
            }
        }
        if let Some(id) = disclosure(event) {
            let (partner, requested) = (partner.to_owned(), event.at);
            self.cases.insert(id, Case { partner, query, requested, asked: None, released: None });
        }
    }

    fn followed_up(&mut self, event: &Event) {
        let Some(case) = disclosure(event).and_then(|id| self.cases.get_mut(&id)) else { return };
        let figures = self.partners.entry(case.partner.clone()).or_default();
        let count = match event.kind {
            Kind::DisclosureReleased => {
                case.released = Some(event.at);
                if let Some(query) = case.query.filter(|query| self.served.insert(*query))
                    && let Some(collection) = self.hits.get(&query)
                {
                    let searched = figures.collections.entry(collection.clone()).or_default();
                    searched.released = searched.released.saturating_add(1);
                }
                figures.to_decide.push(between(case.requested, event.at));
                for field in
                    event.text_of(Fact::Fields).unwrap_or_default().split(',').filter(|it| !it.is_empty())
                {
                    let times = figures.fields.entry(field.to_owned()).or_default();
                    *times = times.saturating_add(1);
                }
                &mut figures.released
            }
            Kind::DisclosureDenied => {
                figures.to_decide.push(between(case.requested, event.at));
                if event.text_of(Fact::Reason) == Some(ERRONEOUS) {
                    self.erroneous.extend(case.query.map(|query| (query, case.partner.clone())));
                }
                &mut figures.refused
            }
            Kind::CorrectionTold => {
                let query = case.query.filter(|_| event.text_of(Fact::Reason) == Some(WITHDRAWN));
                self.erroneous.extend(query.map(|query| (query, case.partner.clone())));
                return;
            }
            Kind::DisclosureWithdrawn => &mut figures.withdrawn,
            // The same kind ends a request that nobody decided and a release that nobody acknowledged.
            Kind::DisclosureExpired if case.released.is_some() => &mut figures.lapsed,
            Kind::DisclosureExpired => &mut figures.expired,
            Kind::DisclosureRevoked => &mut figures.revoked,
            Kind::DisclosureQuestioned => {
                case.asked = Some(event.at);
                return;
            }
            Kind::DisclosureAnswered => {
                figures.to_answer.extend(case.asked.take().map(|asked| between(asked, event.at)));
                return;
            }
            Kind::DisclosureAcknowledged => {
                figures.to_acknowledge.extend(case.released.map(|released| between(released, event.at)));
                return;
            }
            _ => return,
        };
        *count = count.saturating_add(1);
    }
}

/// The lower quartile, the median and the upper quartile of sorted times (the nearest rank of each); `None` without a time.
#[must_use]
pub fn quartiles(sorted: &[Duration]) -> Option<[Duration; 3]> {
    let rank = |quarter: usize| sorted.get((sorted.len() * quarter).div_ceil(4).max(1) - 1).copied();
    Some([rank(1)?, rank(2)?, rank(3)?])
}

/// How many of these times lie above the limit before and at or below each of these limits, and how many above all of them.
#[must_use]
pub fn spread(sorted: &[Duration], limits: &[Duration]) -> Vec<u64> {
    let below = |limit: &Duration| sorted.partition_point(|time| time <= limit);
    let ends: Vec<usize> = limits.iter().map(below).chain([sorted.len()]).collect();
    let starts = [0].into_iter().chain(ends.iter().copied());
    let counts = starts.zip(&ends).map(|(start, end)| end.saturating_sub(start));
    counts.map(|count| u64::try_from(count).unwrap_or(u64::MAX)).collect()
}

fn is_hit(event: &Event) -> bool {
    event.fact(Fact::Outcome) == Some(&[HIT])
}

fn query(event: &Event) -> Option<QueryId> {
    event.fact(Fact::Query)?.try_into().ok().map(QueryId::from_bytes)
}

fn collection(event: &Event) -> String {
    event.text_of(Fact::Collection).unwrap_or_default().to_owned()
}

fn disclosure(event: &Event) -> Option<DisclosureId> {
    event.fact(Fact::Disclosure)?.try_into().ok().map(DisclosureId::from_bytes)
}

fn between(from: Timestamp, until: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(until.as_millis().saturating_sub(from.as_millis())).unwrap_or(0))
}

fn month_of(at: Timestamp) -> String {
    at.to_string().chars().take("2026-07".len()).collect()
}

/// The outcome in the log of a query that was answered HIT.
const HIT: u8 = 1;
/// The reason in the log of a refusal because the hit is of another person.
const ERRONEOUS: &str = "hit-erroneous";
/// The reason in the log of a correction because the hit was of another person.
const WITHDRAWN: &str = "withdrawn";

#[cfg(test)]
mod tests;
