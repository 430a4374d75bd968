//! Alerts: what detectors find in exported journals.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::AlertsArgs;
use super::offline::verify_folder;
use crate::audit::entry::Side;
use crate::audit::event::{Event, Fact, Kind};
use crate::cli::fault::CliError;
use crate::cli::receipt::parse_key;
use crate::ids::{Digest, SubjectId};
use crate::oversight::{Alert, Detector, Place, Seen, Watch};

/// Verifies the exports, and shows what does not look like honest traffic.
pub(super) fn run(args: &AlertsArgs) -> Result<(), CliError> {
    if args.journal.len() != args.key.len() {
        return Err(CliError::Usage(format!(
            "{} journals and {} keys were given; give each `--journal` its `--key`, in the same order",
            args.journal.len(),
            args.key.len()
        )));
    }
    let canaries = args.canary.iter().map(|text| canary(text)).collect::<Result<BTreeSet<_>, _>>()?;
    let (mut seen, mut judged) = (Vec::new(), BTreeMap::new());
    for (folder, key) in args.journal.iter().zip(&args.key) {
        let key = parse_key(key)?;
        let journal = key.name().rsplit('/').next().unwrap_or_default().to_owned();
        verify_folder(folder, &key, &mut |index, side, event| {
            if side != Side::Holder {
                return;
            }
            seen.extend(Seen::of(&journal, index, event));
            if let Some((alert, judgement)) = judgement(event) {
                judged.insert(alert, judgement);
            }
        })?;
    }
    // The entries of one journal have an order of their own; those of several are compared by time.
    seen.sort_by_key(|seen| seen.at);
    let mut watch = Watch::new(canaries);
    for one in &seen {
        watch.take(one);
    }
    let (alerts, looked_at) = (watch.done(), seen.len());
    let alerts: Vec<(Alert, Option<Judgement>)> = alerts
        .into_iter()
        .map(|alert| {
            let judgement = judged.get(&alert.id()).cloned();
            (alert, judgement)
        })
        .collect();
    let told = json!({ "entries": looked_at, "alerts": alerts.iter().map(as_json).collect::<Vec<_>>() });
    args.output.show(|| as_text(&alerts, looked_at), &told)
}

/// What somebody said of an alert.
#[derive(Clone)]
struct Judgement {
    finding: String,
    by: String,
    at: String,
    why: String,
}

/// A judgement stands in the holder's journal; the last one of an alert counts.
fn judgement(event: &Event) -> Option<(Digest, Judgement)> {
    let alert: [u8; 32] =
        event.fact(Fact::Alert).filter(|_| event.kind == Kind::AlertJudged)?.try_into().ok()?;
    let text = |fact| event.text_of(fact).unwrap_or_default().to_owned();
    let judgement = Judgement {
        finding: text(Fact::Finding),
        by: event.actor.clone(),
        at: event.at.to_string(),
        why: text(Fact::Reason),
    };
    Some((Digest::from_bytes(alert), judgement))
}

fn canary(text: &str) -> Result<SubjectId, CliError> {
    SubjectId::parse_resource(text)
        .map_err(|error| CliError::because(format!("`{text}` is not the name of a subject"), error))
}

fn as_text(alerts: &[(Alert, Option<Judgement>)], looked_at: usize) -> String {
    let mut page = format!("{looked_at} entries were looked at, by {} detectors", Detector::ALL.len());
    if alerts.is_empty() {
        page.push_str(
            "\nnothing in them looks unlike honest traffic; that proves nothing of what was not looked for",
        );
    }
    for (alert, judgement) in alerts {
        let judged = judgement.as_ref().map_or_else(
            || "not judged".to_owned(),
            |it| format!("judged {} by {} at {}: {}", it.finding, it.by, it.at, it.why),
        );
        let odds = alert.odds.map_or_else(
            || "a rule, without a chance".to_owned(),
            |odds| format!("honest traffic looks like this {odds:.1e} of the times"),
        );
        let shown: Vec<String> = alert.entries.iter().take(SHOWN).map(place).collect();
        let more = alert.entries_total.saturating_sub(shown.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        page.push_str(&format!(
            "\n\n{}  {}  {}\n  {}: {}\n  {odds}\n  entries {}{more}\n  alert {}  {judged}",
            alert.from,
            alert.detector,
            alert.whom,
            alert.detector.sentence(),
            alert.says,
            shown.join(", "),
            alert.id()
        ));
    }
    page
}

fn as_json((alert, judgement): &(Alert, Option<Judgement>)) -> Value {
    let judged = judgement
        .as_ref()
        .map(|it| json!({ "finding": it.finding, "by": it.by, "at": it.at, "reason": it.why }));
    json!({
        "alert": alert.id().to_string(), "judged": judged,
        "detector": alert.detector.as_str(), "whom": alert.whom, "says": alert.says, "odds": alert.odds,
        "from": alert.from.to_string(), "until": alert.until.to_string(), "entries_total": alert.entries_total,
        "entries": alert.entries.iter().map(|it| json!({ "journal": it.journal, "index": it.index })).collect::<Vec<_>>(),
    })
}

fn place(place: &Place) -> String {
    format!("{} of {}", place.index, place.journal)
}

/// More would hide the next alert.
const SHOWN: usize = 5;
