//! Alerts: what detectors found in the log, by the server's own watch or in exported journals.

use std::collections::{BTreeMap, BTreeSet};

use super::AlertsArgs;
use super::offline::verify_folder;
use super::told::{AlertTold, Listed};
use crate::audit::entry::Side;
use crate::cli::fault::CliError;
use crate::cli::receipt::parse_key;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::oversight as pb;
use crate::ids::SubjectId;
use crate::oversight::{Judgement, Seen, Watch};

/// Shows what does not look like honest traffic.
pub(super) async fn run(args: &AlertsArgs) -> Result<(), CliError> {
    let listed = match (&args.reason, args.journal.is_empty()) {
        (Some(reason), true) => of_server(&args.way.client, reason).await?,
        (None, true) => {
            return Err(CliError::Usage(
                "say `--reason` to ask the server, which is logged, or give exports by `--journal` and `--key`"
                    .to_owned(),
            ));
        }
        (_, false) => of_exports(args)?,
    };
    args.way.output.show(|| listed.as_text(), &listed)
}

/// What the server's watch found.
pub(super) async fn of_server(client: &ClientOptions, reason: &str) -> Result<Listed, CliError> {
    let client = Client::connect(client).await?;
    let call = client.request(pb::ListAlertsRequest { reason: reason.to_owned() });
    let found = client.answer("the alerts", client.log().list_alerts(call)).await?;
    let alerts = found.alerts.iter().map(AlertTold::sent).collect::<Result<_, _>>()?;
    Ok(Listed { entries: found.entries, current: found.current, alerts })
}

/// What is found in exports, which are verified before.
fn of_exports(args: &AlertsArgs) -> Result<Listed, CliError> {
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
            if side == Side::Holder {
                seen.extend(Seen::of(&journal, index, event));
                judged.extend(Judgement::of(event));
            }
        })?;
    }
    // The entries of one journal have an order of their own; those of several are compared by time.
    seen.sort_by_key(|seen| seen.at);
    let mut watch = Watch::new(canaries);
    for one in &seen {
        watch.take(one);
    }
    let told = |alert| AlertTold::found(&alert, judged.get(&alert.id()));
    let entries = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    Ok(Listed { entries, current: true, alerts: watch.done().into_iter().map(told).collect() })
}

fn canary(text: &str) -> Result<SubjectId, CliError> {
    SubjectId::parse_resource(text)
        .map_err(|error| CliError::because(format!("`{text}` is not the name of a subject"), error))
}
