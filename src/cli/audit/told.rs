//! An alert as it is printed, and read again to be judged.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::cli::fault::CliError;
use crate::cli::wire;
use crate::grpc::pb::oversight as pb;
use crate::grpc::timestamp::timestamp_from_pb;
use crate::oversight::{Alert, Detector, Judgement, Place};

/// What `onebit audit alerts --output json` prints.
#[derive(Serialize, Deserialize)]
pub(super) struct Listed {
    /// How many entries were looked at.
    pub(super) entries: u64,
    /// Whether everything that was written was.
    #[serde(default = "yes")]
    pub(super) current: bool,
    /// The alerts.
    pub(super) alerts: Vec<AlertTold>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct AlertTold {
    pub(super) alert: String,
    pub(super) judged: Option<JudgementTold>,
    pub(super) detector: String,
    pub(super) whom: String,
    pub(super) says: String,
    pub(super) odds: Option<f64>,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) entries_total: u64,
    pub(super) entries: Vec<PlaceTold>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlaceTold {
    pub(super) journal: String,
    pub(super) index: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct JudgementTold {
    finding: String,
    by: String,
    at: String,
    reason: String,
}

impl AlertTold {
    /// An alert that was found here.
    pub(super) fn found(alert: &Alert, judgement: Option<&Judgement>) -> Self {
        let judged = judgement.map(|it| JudgementTold {
            finding: it.finding.clone(),
            by: it.by.clone(),
            at: it.at.to_string(),
            reason: it.why.clone(),
        });
        let place = |it: &Place| PlaceTold { journal: it.journal.clone(), index: it.index };
        Self {
            alert: alert.id().to_string(),
            judged,
            detector: alert.detector.to_string(),
            whom: alert.whom.to_string(),
            says: alert.says.clone(),
            odds: alert.odds,
            from: alert.from.to_string(),
            until: alert.until.to_string(),
            entries_total: u64::try_from(alert.entries_total).unwrap_or(u64::MAX),
            entries: alert.entries.iter().map(place).collect(),
        }
    }

    /// An alert that the server found.
    pub(super) fn sent(alert: &pb::Alert) -> Result<Self, CliError> {
        let moment = |at: &Option<_>| {
            at.as_ref().and_then(timestamp_from_pb).map(|at| at.to_string()).unwrap_or_default()
        };
        let place = |text: &String| {
            let (journal, index) = text.rsplit_once('/')?;
            Some(PlaceTold { journal: journal.to_owned(), index: index.parse().ok()? })
        };
        let entries = alert.entries.iter().map(place).collect::<Option<_>>();
        Ok(Self {
            alert: HEXLOWER.encode(&alert.alert_sha256),
            judged: alert.judgement.as_ref().map(|it| JudgementTold {
                finding: it.finding.clone(),
                by: wire::last_part(&it.person).to_owned(),
                at: moment(&it.time),
                reason: it.reason.clone(),
            }),
            detector: alert.detector.clone(),
            whom: alert.whom.clone(),
            says: alert.says.clone(),
            odds: alert.odds,
            from: moment(&alert.start_time),
            until: moment(&alert.end_time),
            entries_total: alert.entries_total,
            entries: entries.ok_or_else(|| CliError::incomplete("place of an entry"))?,
        })
    }
}

impl Listed {
    /// For people.
    pub(super) fn as_text(&self) -> String {
        let mut page =
            format!("{} entries were looked at, by {} detectors", self.entries, Detector::ALL.len());
        if !self.current {
            page.push_str(
                "\nthe server started a while ago and has not looked at all of them yet; ask again",
            );
        }
        if self.alerts.is_empty() {
            page.push_str(
                "\nnothing in them looks unlike honest traffic; that proves nothing of what was not looked for",
            );
        }
        for alert in &self.alerts {
            page.push_str(&alert.as_text());
        }
        page
    }
}

impl AlertTold {
    fn as_text(&self) -> String {
        let judged = self.judged.as_ref().map_or_else(
            || "not judged".to_owned(),
            |it| format!("judged {} by {} at {}: {}", it.finding, it.by, it.at, it.reason),
        );
        let odds = self.odds.map_or_else(
            || "a rule, without a chance".to_owned(),
            |odds| format!("honest traffic looks like this {odds:.1e} of the times"),
        );
        let places = self.entries.iter().take(SHOWN).map(|it| format!("{} of {}", it.index, it.journal));
        let shown: Vec<String> = places.collect();
        let more = self.entries_total.saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let detector = Detector::ALL.iter().find(|it| it.as_str() == self.detector);
        format!(
            "\n\n{}  {}  {}\n  {}: {}\n  {odds}\n  entries {}{more}\n  alert {}  {judged}",
            self.from,
            self.detector,
            self.whom,
            detector.map_or("what a newer server looks for", |it| it.sentence()),
            self.says,
            shown.join(", "),
            self.alert
        )
    }
}

const fn yes() -> bool {
    true
}

/// More would hide the next alert.
const SHOWN: usize = 5;
