//! `onebit suspend`: stops somebody, or an agreement, at once. Letting it go on takes two people (`onebit change`).

use serde_json::json;

use super::fault::CliError;
use super::print::OutputOption;
use super::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::administration as pb;

/// Suspends a partner, one of its officials, an agreement, a person or a system, at once
///
/// They are refused at their next call, and open connections of partners and people are closed. Lifting it takes two
/// people: `onebit change propose restore-partner`, `restore-official`, `restore-agreement` or `restore-person`.
#[derive(Debug, clap::Args)]
pub struct SuspendArgs {
    /// Whom.
    #[command(subcommand)]
    pub command: SuspendCommand,
}

/// Who or what can be suspended.
#[derive(Debug, clap::Subcommand)]
pub enum SuspendCommand {
    /// Suspends a partner with all its systems
    Partner(Whom),
    /// Suspends a person or a system
    Person(Whom),
    /// Suspends an official of a partner, by the partner's own pseudonym
    ///
    /// Nothing is asked for the official any more and nothing approved is released, whichever system of the partner
    /// sends it. Other officials of the partner go on.
    Official(WhichOfficial),
    /// Suspends an agreement
    ///
    /// Nothing is asked under it any more and nothing approved is released. Other agreements of the partner go on.
    Agreement(Whom),
}

/// Whom, and why.
#[derive(Debug, clap::Args)]
pub struct Whom {
    /// The name in the registry, or of the agreement
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Why, and how to print.
    #[command(flatten)]
    pub suspending: Suspending,
}

/// Which official, and why.
#[derive(Debug, clap::Args)]
pub struct WhichOfficial {
    /// The partner's pseudonym of the official, as its questions have it
    #[arg(value_name = "OFFICIAL")]
    pub official: String,
    /// The partner
    #[arg(long, value_name = "NAME")]
    pub partner: String,
    /// Why, and how to print.
    #[command(flatten)]
    pub suspending: Suspending,
}

/// What every suspension says.
#[derive(Debug, clap::Args)]
pub struct Suspending {
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

impl SuspendCommand {
    const fn suspending(&self) -> &Suspending {
        match self {
            Self::Partner(whom) | Self::Person(whom) | Self::Agreement(whom) => &whom.suspending,
            Self::Official(which) => &which.suspending,
        }
    }

    /// What is suspended, as people name it.
    fn name(&self) -> String {
        match self {
            Self::Partner(whom) => wire::resource("partners", &whom.name),
            Self::Person(whom) => wire::resource("people", &whom.name),
            Self::Agreement(whom) => wire::resource("agreements", &whom.name),
            Self::Official(which) => {
                format!("the official `{}` of {}", which.official, wire::resource("partners", &which.partner))
            }
        }
    }
}

/// Suspends.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &SuspendArgs) -> Result<(), CliError> {
    wire::calling(async {
        let (name, suspending) = (args.command.name(), args.command.suspending());
        let receipt = suspended(&args.command, &Client::connect(&suspending.client).await?).await?;
        suspending.output.show(
            || format!("{name} is suspended"),
            &json!({ "name": name, "standing": "suspended", "receipt": receipt }),
        )
    })
}

async fn suspended(command: &SuspendCommand, client: &Client) -> Result<String, CliError> {
    let (name, reason) = (command.name(), command.suspending().reason.clone());
    let mut administration = client.administration();
    Ok(match command {
        SuspendCommand::Partner(_) => {
            let call = client.request(pb::SuspendPartnerRequest { partner: name, reason });
            client.answer(SUSPENSION, administration.suspend_partner(call)).await?.receipt
        }
        SuspendCommand::Person(_) => {
            let call = client.request(pb::SuspendPersonRequest { person: name, reason });
            client.answer(SUSPENSION, administration.suspend_person(call)).await?.receipt
        }
        SuspendCommand::Agreement(_) => {
            let call = client.request(pb::SuspendAgreementRequest { agreement: name, reason });
            client.answer(SUSPENSION, administration.suspend_agreement(call)).await?.receipt
        }
        SuspendCommand::Official(which) => {
            let partner = wire::resource("partners", &which.partner);
            let official = which.official.clone();
            let call = client.request(pb::SuspendOfficialRequest { partner, official, reason });
            client.answer(SUSPENSION, administration.suspend_official(call)).await?.receipt
        }
    })
}

const SUSPENSION: &str = "the suspension";
