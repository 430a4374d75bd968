//! Detectors: what in the log does not look like honest traffic, and how seldom honest traffic would look like it.
//!
//! A partner, an official and an officer are each compared with their own past and with their peers. Nothing is learnt of
//! anybody's origin, sex or age: no detector has such an input. An alert is a reason to look, and decides nothing.

mod day;
mod officers;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::seen::{Place, Seen, What};
use crate::clock::Timestamp;
use crate::ids::{Digest, SubjectId};

/// What a detector looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// More questions in a day than the partner's days of that kind explain.
    Volume,
    /// More cases in hours in which the partner seldom asks.
    Hours,
    /// A larger share of cases with a hit than before: somebody knows whom to ask about.
    HitRate,
    /// One official with more cases in a day than officials of that partner have.
    Fishing,
    /// One case with more questions than cases of that partner have.
    ManyPeople,
    /// An officer who only grants, where others also refuse.
    ApproveAll,
    /// An officer who decides faster than a case can be read, more often than others.
    FastApprovals,
    /// Fields of one person are asked for again after refusals.
    AskedAgain,
    /// A template matched that no honest sample matches.
    Canary,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 9] = [
        Self::Volume,
        Self::Hours,
        Self::HitRate,
        Self::Fishing,
        Self::ManyPeople,
        Self::ApproveAll,
        Self::FastApprovals,
        Self::AskedAgain,
        Self::Canary,
    ];

    /// The word that people and files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Hours => "hours",
            Self::HitRate => "hit-rate",
            Self::Fishing => "fishing",
            Self::ManyPeople => "many-people",
            Self::ApproveAll => "approve-all",
            Self::FastApprovals => "fast-approvals",
            Self::AskedAgain => "asked-again",
            Self::Canary => "canary",
        }
    }

    /// What it looks for, as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Volume => "a partner asks more in a day than its days of that kind explain",
            Self::Hours => "a partner asks in more cases than it does in hours in which it seldom asks",
            Self::HitRate => "more of a partner's cases have a hit than before",
            Self::Fishing => "one official has more cases in a day than officials of that partner have",
            Self::ManyPeople => "one case has more questions than cases of that partner have",
            Self::ApproveAll => "an officer only grants, where others also refuse",
            Self::FastApprovals => {
                "an officer decides faster than a case can be read, more often than others"
            }
            Self::AskedAgain => "fields of one person are asked for again after refusals",
            Self::Canary => "a template matched that no honest sample matches",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Whom an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// A partner.
    Partner(String),
    /// An official of a partner.
    Official {
        /// The partner.
        partner: String,
        /// The partner's pseudonym of the official.
        official: String,
    },
    /// A case of a partner.
    Case {
        /// The partner.
        partner: String,
        /// The partner's reference.
        case: String,
    },
    /// An officer of the holder.
    Officer(String),
}

impl fmt::Display for Whom {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partner(name) | Self::Officer(name) => out.write_str(name),
            Self::Official { partner, official } => write!(out, "{official} of {partner}"),
            Self::Case { partner, case } => write!(out, "case {case} of {partner}"),
        }
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// What found it.
    pub detector: Detector,
    /// Whom it is about.
    pub whom: Whom,
    /// When the first of its entries was made.
    pub from: Timestamp,
    /// When the last was.
    pub until: Timestamp,
    /// What was seen beside what was to be expected, as a sentence.
    pub says: String,
    /// How often honest traffic would look like this, for each time that it is looked at; `None` for a rule without a chance.
    pub odds: Option<f64>,
    /// Its entries, oldest first; the first [`ENTRIES_SHOWN`] of them.
    pub entries: Vec<Place>,
    /// The number of all its entries.
    pub entries_total: usize,
}

impl Alert {
    /// What stays when the same journals are looked through again: SHA-256 of what found it, whom it is about, its first
    /// entry and the number of all.
    #[must_use]
    pub fn id(&self) -> Digest {
        let first = self.entries.first().map(|one| format!("{}/{}", one.journal, one.index));
        let (whom, total) = (self.whom.to_string(), self.entries_total.to_string());
        let parts = [self.detector.as_str(), &whom, &first.unwrap_or_default(), &total];
        Digest::sha256([ALERT, &parts.join("\0")].concat().as_bytes())
    }
}

/// What an alert is made of.
struct Finding<'a> {
    detector: Detector,
    whom: Whom,
    says: String,
    odds: Option<f64>,
    entries: &'a [(Place, Timestamp)],
}

impl Finding<'_> {
    fn alert(self) -> Option<Alert> {
        let (first, last) = (self.entries.first()?, self.entries.last()?);
        Some(Alert {
            detector: self.detector,
            whom: self.whom,
            from: first.1,
            until: last.1,
            says: self.says,
            odds: self.odds,
            entries: self.entries.iter().take(ENTRIES_SHOWN).map(|(place, _)| place.clone()).collect(),
            entries_total: self.entries.len(),
        })
    }
}

/// Goes through what was seen, oldest first, and collects alerts.
#[derive(Default)]
pub struct Watch {
    canaries: BTreeSet<SubjectId>,
    partners: BTreeMap<String, day::Partner>,
    officers: officers::Officers,
    requests: requests::Requests,
    alerts: Vec<Alert>,
}

impl Watch {
    /// A watch that knows the subjects of templates that no honest sample matches.
    #[must_use]
    pub fn new(canaries: BTreeSet<SubjectId>) -> Self {
        Self { canaries, ..Self::default() }
    }

    /// Takes the next thing that was seen; of several journals in the order of time.
    pub fn take(&mut self, seen: &Seen) {
        match &seen.what {
            What::Asked { case, official, is_hit, matched } => {
                self.canary(seen, official, matched);
                let partner = self.partners.entry(seen.place.journal.clone()).or_default();
                partner.asked(seen, (case, official), *is_hit, &mut self.alerts);
            }
            What::Requested { disclosure, subject } => {
                self.officers.requested(seen, *disclosure);
                self.requests.requested(seen, *disclosure, *subject, &mut self.alerts);
            }
            What::Decided { disclosure, officer, is_granted } => {
                self.officers.decided(seen, *disclosure, (officer, *is_granted), &mut self.alerts);
                if !is_granted {
                    self.requests.refused(*disclosure);
                }
            }
        }
    }

    /// Looks at the days that were over at a moment, and forgets what no detector will look at again.
    pub fn turn(&mut self, now: Timestamp) {
        for partner in self.partners.values_mut() {
            partner.turn(now, &mut self.alerts);
        }
        self.officers.forget(now);
        self.requests.forget(now);
    }

    /// What was found by now, in the order in which it was found. A day that is not over is not looked at yet.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// The alerts in the order in which they began, the days that are not over too.
    #[must_use]
    pub fn done(mut self) -> Vec<Alert> {
        for partner in self.partners.values_mut() {
            partner.close(&mut self.alerts);
        }
        self.alerts.sort_by_key(|alert| (alert.from, alert.detector));
        self.alerts
    }

    fn canary(&mut self, seen: &Seen, official: &str, matched: &[SubjectId]) {
        if matched.iter().any(|subject| self.canaries.contains(subject)) {
            let finding = Finding {
                detector: Detector::Canary,
                whom: Whom::Official { partner: seen.place.journal.clone(), official: official.to_owned() },
                says: "a template that was made so that no person matches it was matched".to_owned(),
                odds: None,
                entries: &[(seen.place.clone(), seen.at)],
            };
            self.alerts.extend(finding.alert());
        }
    }
}

const ALERT: &str = "onebit/alert/v1\0";
/// Enough to see what happened; the rest is found by a search.
pub const ENTRIES_SHOWN: usize = 50;
/// A window (a day of a partner, twenty decisions of an officer) looks like this by chance once in ten thousand: with four
/// windows a day, less than once in six years for each partner.
pub const ODDS_OF_A_WINDOW: f64 = 1e-4;
/// A case looks like this by chance once in a million: a hundred a day are less than one in twenty-seven years.
pub const ODDS_OF_A_CASE: f64 = 1e-6;

#[cfg(test)]
mod tests;
