//! `onebit audit judge`: what came of looking at an alert.

use data_encoding::HEXLOWER;
use serde_json::json;

use super::told::{AlertTold, Listed};
use super::{JudgeArgs, alerts};
use crate::cli::fault::CliError;
use crate::cli::{files, wire};
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;
use crate::grpc::pb::oversight::judge_alert_request::Stop;

/// Takes the alert from what `onebit audit alerts` wrote, or else from the server, and sends the judgement.
pub(super) async fn run(args: &JudgeArgs) -> Result<(), CliError> {
    let alert = alert(args).await?;
    let entries = alert.entries.iter().map(|one| format!("{}/{}", one.journal, one.index));
    let client = Client::connect(&args.way.client).await?;
    let call = client.request(pb::JudgeAlertRequest {
        alert_sha256: HEXLOWER.decode(alert.alert.as_bytes()).map_err(|_| unreadable())?,
        detector: alert.detector.clone(),
        whom: alert.whom.clone(),
        entries: entries.collect(),
        finding: args.finding.clone(),
        reason: args.reason.clone(),
        stop: stop(args),
    });
    let judged = client.answer("the judgement", client.log().judge_alert(call)).await?;
    let stopped = if args.stops() { "; whom you named is suspended" } else { "" };
    args.way.output.show(
        || format!("judged: {}{stopped}", args.finding),
        &json!({ "alert": alert.alert, "finding": args.finding, "receipt": judged.receipt }),
    )
}

/// The one alert whose id begins like this.
async fn alert(args: &JudgeArgs) -> Result<AlertTold, CliError> {
    let (listed, place) = match &args.alerts {
        Some(file) => {
            let unreadable = |error| {
                let what =
                    format!("`{}` is not what `onebit audit alerts --output json` prints", file.display());
                CliError::because(what, error)
            };
            let listed: Listed = serde_json::from_str(&files::read_text(file)?).map_err(unreadable)?;
            (listed, format!("`{}`", file.display()))
        }
        None => (alerts::of_server(&args.way.client, &args.reason).await?, "the server".to_owned()),
    };
    let mut meant = listed.alerts.into_iter().filter(|one| one.alert.starts_with(&args.alert));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(CliError::Usage(format!(
            "{place} has no alert whose id begins with `{}`; look with `onebit audit alerts`",
            args.alert
        ))),
        (Some(_), Some(_)) => {
            Err(CliError::Usage(format!("several alerts begin with `{}`; give more of the id", args.alert)))
        }
    }
}

fn unreadable() -> CliError {
    CliError::Usage("the alert's id is not 64 hexadecimal digits; take the file as it was printed".to_owned())
}

fn stop(args: &JudgeArgs) -> Option<Stop> {
    let partner = args.suspend_partner.as_ref().map(|name| wire::resource("partners", name));
    let official = args.suspend_official.clone();
    match (official, partner) {
        (Some(official), partner) => {
            Some(Stop::Official(pb::StoppedOfficial { partner: partner.unwrap_or_default(), official }))
        }
        (None, Some(partner)) => Some(Stop::Partner(partner)),
        (None, None) => {
            let agreement = args.suspend_agreement.as_ref();
            let agreement = agreement.map(|name| Stop::Agreement(wire::resource("agreements", name)));
            let person = args.suspend_person.as_ref();
            agreement.or_else(|| person.map(|name| Stop::Person(wire::resource("people", name))))
        }
    }
}
