//! `onebit retention`: what of the log's payloads may be disposed of.

use serde_json::json;

use super::fault::CliError;
use super::print::{self, OutputOption};
use super::wire;
use crate::authz::PayloadClass;
use crate::grpc::change_form::payload_class_from_pb;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::administration as pb;

/// Shows how long the log's payloads are kept and what of them may go, for privacy officers
///
/// Each class of payloads is kept by a class of `policy/retention.toml`, or by a longer one that an agreement
/// names. What is older may be disposed of: `onebit change propose dispose`, which another person of another role
/// confirms. Keys and payloads are destroyed then; commitments and exact totals stay in the log.
#[derive(Debug, clap::Args)]
pub struct RetentionArgs {
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Shows it.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &RetentionArgs) -> Result<(), CliError> {
    wire::calling(async {
        let client = Client::connect(&args.client).await?;
        let call = client.request(pb::ListRetentionRequest {});
        let found = client.answer("the retention", client.administration().list_retention(call)).await?;
        let rows: Vec<_> = found.retentions.iter().map(row).collect();
        let told: Vec<_> = found.retentions.iter().map(as_json).collect();
        let head =
            ["payloads", "kept by", "days", "oldest", "may go before", "days past", "entries", "remark"];
        let authorities = || {
            let lines = found.retentions.iter().map(|it| format!("{}: {}", it.retention_class, it.authority));
            let once: std::collections::BTreeSet<String> = lines.collect();
            once.into_iter().collect::<Vec<_>>().join("\n")
        };
        args.output.show(|| format!("{}\n\n{}", print::table(head, &rows), authorities()), &told)
    })
}

fn row(it: &pb::Retention) -> [String; 8] {
    let oldest = if it.oldest.is_empty() { "–" } else { it.oldest.as_str() };
    [
        class(it).to_owned(),
        it.retention_class.clone(),
        it.days.to_string(),
        oldest.to_owned(),
        it.disposable_before.clone(),
        it.disposable_days.to_string(),
        it.disposable_entries.to_string(),
        remark(it),
    ]
}

fn as_json(it: &pb::Retention) -> serde_json::Value {
    json!({
        "payloads": class(it), "retention_class": it.retention_class, "days": it.days, "authority": it.authority,
        "oldest": it.oldest, "disposable_before": it.disposable_before, "disposable_days": it.disposable_days,
        "disposable_entries": it.disposable_entries, "needed": it.needed,
        "finished": it.progress() == pb::DisposalProgress::Finished,
    })
}

fn class(it: &pb::Retention) -> &'static str {
    payload_class_from_pb(it.payload_class()).map_or("unknown", PayloadClass::as_str)
}

fn remark(it: &pb::Retention) -> String {
    match it.progress() {
        pb::DisposalProgress::Finished => it.needed.clone(),
        _ => "a disposal is in effect and not finished yet".to_owned(),
    }
}
