//! Officers: who never refuses, and who decides faster than a case can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::odds;
use super::super::seen::{Place, Seen};
use super::{Alert, Detector, Finding, ODDS_OF_A_WINDOW, Whom};
use crate::clock::Timestamp;
use crate::ids::DisclosureId;

/// What is known of the officers.
#[derive(Default)]
pub(super) struct Officers {
    requested: BTreeMap<DisclosureId, Timestamp>,
    of_each: BTreeMap<String, Officer>,
}

#[derive(Default)]
struct Officer {
    decisions: u32,
    refusals: u32,
    quick: u32,
    last: Option<Timestamp>,
    /// Grants since the last refusal.
    granted: Vec<(Place, Timestamp)>,
    /// Decisions since the last look at how quick they were, and which of them were quick.
    since_look: u32,
    quick_since_look: Vec<(Place, Timestamp)>,
}

impl Officers {
    pub(super) fn requested(&mut self, seen: &Seen, disclosure: DisclosureId) {
        self.requested.insert(disclosure, seen.at);
    }

    pub(super) fn decided(
        &mut self,
        seen: &Seen,
        disclosure: DisclosureId,
        decision: (&String, bool),
        alerts: &mut Vec<Alert>,
    ) {
        let (name, is_granted) = decision;
        let entry = (seen.place.clone(), seen.at);
        let requested = self.requested.get(&disclosure).copied();
        let officer = self.of_each.entry(name.clone()).or_default();
        let begun = officer.last.max(requested);
        let is_quick = begun.is_some_and(|begun| seen.at < begun.after(READ_AT_LEAST));
        officer.decisions = officer.decisions.saturating_add(1);
        officer.quick = officer.quick.saturating_add(u32::from(is_quick));
        officer.since_look = officer.since_look.saturating_add(1);
        officer.last = Some(seen.at);
        if is_quick {
            officer.quick_since_look.push(entry.clone());
        }
        if is_granted {
            officer.granted.push(entry);
        } else {
            officer.refusals = officer.refusals.saturating_add(1);
            officer.granted.clear();
        }
        alerts.extend(self.approves_all(name));
        alerts.extend(self.is_fast(name));
    }

    /// Requests so old that no decision on them can be a quick one.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.requested.retain(|_, at| at.after(FORGOTTEN_AFTER) >= now);
    }

    /// What the others did together: decisions, refusals, quick ones.
    fn others(&self, name: &str) -> (u32, u32, u32) {
        let others = self.of_each.iter().filter(|(other, _)| other.as_str() != name);
        others.fold((0, 0, 0), |(decisions, refusals, quick), (_, officer)| {
            (
                decisions.saturating_add(officer.decisions),
                refusals.saturating_add(officer.refusals),
                quick.saturating_add(officer.quick),
            )
        })
    }

    /// Looked at when a row of grants has reached 32, 64, 128 and so on, so that one long row is not looked at again with
    /// every decision.
    fn approves_all(&self, name: &str) -> Option<Alert> {
        let officer = self.of_each.get(name)?;
        let row = u32::try_from(officer.granted.len()).unwrap_or(u32::MAX);
        if row < ROW_MIN || !row.is_power_of_two() {
            return None;
        }
        let (decisions, refusals, _) = self.others(name);
        let odds = odds::share(decisions.saturating_sub(refusals), decisions, row, row);
        let says =
            format!("{row} decisions in a row were grants; the others refused {refusals} of {decisions}");
        let finding = Finding {
            detector: Detector::ApproveAll,
            whom: Whom::Officer(name.to_owned()),
            says,
            odds: Some(odds),
            entries: &officer.granted,
        };
        (odds < ODDS_OF_A_WINDOW).then(|| finding.alert()).flatten()
    }

    /// Looked at after every twenty decisions.
    fn is_fast(&mut self, name: &str) -> Option<Alert> {
        let (decisions, _, quick) = self.others(name);
        let officer = self.of_each.get_mut(name).filter(|officer| officer.since_look >= LOOK_EVERY)?;
        let (looked_at, entries) =
            (std::mem::take(&mut officer.since_look), std::mem::take(&mut officer.quick_since_look));
        let seen = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let odds = odds::share(quick, decisions, seen, looked_at);
        let seconds = READ_AT_LEAST.as_secs();
        let says = format!(
            "{seen} of {looked_at} decisions came within {seconds} seconds of the request or of the officer's decision before; \
             of the others' {quick} of {decisions} did"
        );
        let finding = Finding {
            detector: Detector::FastApprovals,
            whom: Whom::Officer(name.to_owned()),
            says,
            odds: Some(odds),
            entries: &entries,
        };
        (odds < ODDS_OF_A_WINDOW).then(|| finding.alert()).flatten()
    }
}

/// Nobody has read who asks, what and why in less.
const READ_AT_LEAST: Duration = Duration::from_secs(30);
/// A day.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);
/// A shorter row says little where few are refused.
const ROW_MIN: u32 = 32;
const LOOK_EVERY: u32 = 20;
