//! Requests for one person's fields that come again after refusals.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::seen::{Place, Seen};
use super::{Alert, Detector, Finding, Whom};
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, SubjectId};

/// What is known of requests.
#[derive(Default)]
pub(super) struct Requests {
    open: BTreeMap<DisclosureId, (String, SubjectId)>,
    /// By partner and person.
    of_person: BTreeMap<(String, SubjectId), Asked>,
}

#[derive(Default)]
struct Asked {
    entries: Vec<(Place, Timestamp)>,
    refusals: u32,
}

impl Requests {
    pub(super) fn requested(
        &mut self,
        seen: &Seen,
        disclosure: DisclosureId,
        subject: SubjectId,
        alerts: &mut Vec<Alert>,
    ) {
        let key = (seen.place.journal.clone(), subject);
        self.open.insert(disclosure, key.clone());
        let asked = self.of_person.entry(key).or_default();
        if asked.entries.last().is_some_and(|(_, at)| at.after(FORGOTTEN_AFTER) < seen.at) {
            *asked = Asked::default();
        }
        asked.entries.push((seen.place.clone(), seen.at));
        if asked.refusals < REFUSALS_MIN {
            return;
        }
        let finding = Finding {
            detector: Detector::AskedAgain,
            whom: Whom::Partner(seen.place.journal.clone()),
            says: format!("fields of one person are asked for again after {} refusals", asked.refusals),
            odds: None,
            entries: &asked.entries,
        };
        alerts.extend(finding.alert());
    }

    /// People of whom nobody asked for so long that the next request is a first one.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.of_person
            .retain(|_, asked| asked.entries.last().is_some_and(|(_, at)| at.after(FORGOTTEN_AFTER) >= now));
        let known = &self.of_person;
        self.open.retain(|_, key| known.contains_key(key));
    }

    pub(super) fn refused(&mut self, disclosure: DisclosureId) {
        if let Some(asked) = self.open.remove(&disclosure).and_then(|key| self.of_person.get_mut(&key)) {
            asked.refusals = asked.refusals.saturating_add(1);
        }
    }
}

/// Whoever was refused once may have learnt what to write; twice is an answer.
const REFUSALS_MIN: u32 = 2;
/// Half a year.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(183 * 86_400);
