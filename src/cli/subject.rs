//! `onebit subject`: what is held of a person, hiding and erasing.

use serde_json::json;

use super::fault::CliError;
use super::print::OutputOption;
use super::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::enrolment as pb;

/// Shows what is held of a person, hides or erases the person
///
/// People are named by the source system's own id, which is kept only as a keyed pseudonym.
#[derive(Debug, clap::Args)]
pub struct SubjectArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SubjectCommand,
}

/// What can be done with a subject.
#[derive(Debug, clap::Subcommand)]
pub enum SubjectCommand {
    /// Shows what is held of a person, without values
    Show {
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Hides a person from partners, at once; lifting it takes two people (`onebit change`)
    Restrict {
        /// The restriction, such as `protected-identity`
        #[arg(long, value_name = "NAME")]
        restriction: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Erases a person: not found from now on, data unreadable everywhere, backups included; for good
    Erase {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// What all of them take.
#[derive(Debug, Clone, clap::Args)]
pub struct Way {
    /// The source system's id of the person
    #[arg(long, value_name = "ID")]
    pub source_id: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &SubjectArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            SubjectCommand::Show { way } => show(way).await,
            SubjectCommand::Restrict { restriction, reason, way } => restrict(restriction, reason, way).await,
            SubjectCommand::Erase { reason, way } => erase(reason, way).await,
        }
    })
}

async fn show(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::GetSubjectRequest { source_id: way.source_id.clone() });
    let held = client.answer("the subject", client.enrolment().get_subject(call)).await?;
    let listed = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    way.output.show(
        || {
            format!(
                "templates     {}\nfields        {}\nrestrictions  {}",
                held.templates,
                listed(&held.fields),
                listed(&held.restrictions)
            )
        },
        &json!({ "templates": held.templates, "fields": held.fields, "restrictions": held.restrictions }),
    )
}

async fn restrict(restriction: &str, reason: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::AddRestrictionRequest {
        source_id: way.source_id.clone(),
        restriction: restriction.to_owned(),
        reason: reason.to_owned(),
    });
    let done = client.answer("the restriction", client.enrolment().add_restriction(call)).await?;
    way.output.show(|| format!("hidden: {restriction}"), &json!({ "receipt": done.receipt }))
}

async fn erase(reason: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client
        .request(pb::EraseSubjectRequest { source_id: way.source_id.clone(), reason: reason.to_owned() });
    let done = client.answer("the erasure", client.enrolment().erase_subject(call)).await?;
    // Promise 4 in the small: the answer does not say whether the person was there.
    way.output
        .show(|| "nothing is held of this person any more".to_owned(), &json!({ "receipt": done.receipt }))
}
