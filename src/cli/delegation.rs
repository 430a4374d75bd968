//! `onebit delegation`: seats of officers that others fill for a time, and the end of one before its time.

use serde_json::json;

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::administration as pb;

/// Shows whose seat is delegated to whom, and ends a delegation, for administrators and privacy officers
///
/// Two people make one: `onebit change propose delegation`.
#[derive(Debug, clap::Args)]
pub struct DelegationArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DelegationCommand,
}

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum DelegationCommand {
    /// Shows delegations, also those that are over
    List {
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Ends a delegation before its time
    ///
    /// What was decided in the seat stays in the log, and counts no longer for a release that was not made.
    End {
        /// The change that made it, `changes/…`
        #[arg(value_name = "CHANGE")]
        change: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// Does it.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &DelegationArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            DelegationCommand::List { way } => list(way).await,
            DelegationCommand::End { change, reason, way } => end(change, reason, way).await,
        }
    })
}

async fn list(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListDelegationsRequest {});
    let found = client.answer("the delegations", client.administration().list_delegations(call)).await?;
    let row = |it: &pb::Delegation| {
        let until = wire::moment(it.until_time.as_ref());
        [
            wire::last_part(&it.delegator).to_owned(),
            wire::last_part(&it.delegate).to_owned(),
            wire::moment(it.since_time.as_ref()),
            until,
            if it.ended { "ended" } else { "as made" }.to_owned(),
            it.change.clone(),
        ]
    };
    let rows: Vec<_> = found.delegations.iter().map(row).collect();
    let told = rows.iter().map(|[seat, to, since, until, state, change]| {
        json!({
            "seatOf": seat, "to": to, "since": since, "until": until, "ended": state == "ended", "change": change,
        })
    });
    way.output.show(
        || print::table(["SEAT OF", "TO", "SINCE", "UNTIL", "STATE", "CHANGE"], &rows),
        &told.collect::<Vec<_>>(),
    )
}

async fn end(change: &str, reason: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let change = wire::resource("changes", change);
    let call = client.request(pb::EndDelegationRequest { change: change.clone(), reason: reason.to_owned() });
    let done =
        client.answer("the end of the delegation", client.administration().end_delegation(call)).await?;
    way.output.show(
        || format!("the delegation of {change} has ended"),
        &json!({ "change": change, "ended": true, "receipt": done.receipt }),
    )
}
