//! `onebit suspend`: stops somebody, at once. Letting them act again takes two people (`onebit change`).

use serde_json::json;

use super::fault::CliError;
use super::print::OutputOption;
use super::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::administration as pb;

/// Suspends a partner, a person or a system, at once
///
/// They are refused at their next call, and their open connections are closed. Letting them act again takes
/// two people: `onebit change propose restore-partner` or `restore-person`.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    /// Whom.
    #[command(subcommand)]
    pub command: SuspendCommand,
}

/// Who can be suspended.
#[derive(Debug, clap::Subcommand)]
pub enum SuspendCommand {
    /// Suspends a partner with all its systems
    Partner(Whom),
    /// Suspends a person or a system
    Person(Whom),
}

/// Whom, and why.
#[derive(Debug, clap::Args)]
pub struct Whom {
    /// The name in the registry
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Suspends.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &SuspendArgs) -> Result<(), CliError> {
    wire::calling(async {
        let (name, whom, receipt) = match &args.command {
            SuspendCommand::Partner(whom) => {
                let client = Client::connect(&whom.client).await?;
                let partner = wire::resource("partners", &whom.name);
                let message =
                    pb::SuspendPartnerRequest { partner: partner.clone(), reason: whom.reason.clone() };
                let call = client.request(message);
                let done =
                    client.answer("the suspension", client.administration().suspend_partner(call)).await?;
                (partner, whom, done.receipt)
            }
            SuspendCommand::Person(whom) => {
                let client = Client::connect(&whom.client).await?;
                let person = wire::resource("people", &whom.name);
                let message =
                    pb::SuspendPersonRequest { person: person.clone(), reason: whom.reason.clone() };
                let call = client.request(message);
                let done =
                    client.answer("the suspension", client.administration().suspend_person(call)).await?;
                (person, whom, done.receipt)
            }
        };
        whom.output.show(
            || format!("{name} is suspended"),
            &json!({ "name": name, "standing": "suspended", "receipt": receipt }),
        )
    })
}
