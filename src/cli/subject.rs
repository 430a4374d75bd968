//! `onebit subject`: what is held of a person, what the person asks for, hiding and erasing.

mod document;
mod duplicates;
mod page;
mod report;
mod request;

use serde_json::json;

use super::fault::CliError;
use super::print::OutputOption;
use super::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::{enrolment as pb, oversight};

/// Shows what is held of a person, answers what the person asks, hides or erases the person
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
    /// Corrects a field of a person's record; who received it is told that it changed, and not what it is now
    Correct {
        /// The field
        #[arg(long, value_name = "NAME")]
        field: String,
        /// Its value
        #[arg(long, value_name = "TEXT")]
        value: String,
        /// Its classification, such as `IN-CONFIDENCE`
        #[arg(long, value_name = "TEXT")]
        classification: String,
        /// Where the value came from
        #[arg(long, value_name = "TEXT")]
        source: String,
        /// What it may be used for; give it again for more
        #[arg(long = "permitted-use", value_name = "NAME", required = true)]
        permitted_uses: Vec<String>,
        /// A collection that you enrol into
        #[arg(long, value_name = "NAME")]
        collection: String,
        /// The official who answers for it
        #[arg(long, value_name = "PSEUDONYM")]
        official: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Puts together what is held of a person, for the person: a page, JSON, and your signature
    ///
    /// Who asked about them, what was disclosed to whom, and the record with its values. That it was made is an entry with
    /// your reason, and with what you withheld by which section of the Privacy Act 2020.
    Report(Box<report::ReportArgs>),
    /// Verifies such a report: the signature, and that the page says what the JSON says
    VerifyReport(report::VerifyArgs),
    /// Compares every template of a collection with the others there: who may be held twice
    ///
    /// Two people then say who is one person (`onebit change propose merge-subjects`), after `onebit subject report
    /// --subject` of both. Partners see nothing of it.
    Duplicates(duplicates::DuplicatesArgs),
    /// Keeps what people ask for: access and corrections, by when they are due, and what came of them
    #[command(subcommand)]
    Request(Box<request::RequestCommand>),
    /// Attaches a person's statement to a field; whoever received the field is told, and gets it with the field
    State {
        /// The field
        #[arg(long, value_name = "NAME")]
        field: String,
        /// What the person says
        #[arg(long, value_name = "TEXT")]
        statement: String,
        /// The request that it answers
        #[arg(long, value_name = "REQUEST")]
        request: Option<String>,
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
            SubjectCommand::Correct { .. } => correct(&args.command).await,
            SubjectCommand::Report(args) => report::make(args).await,
            SubjectCommand::Duplicates(args) => duplicates::run(args).await,
            SubjectCommand::VerifyReport(args) => report::verify(args),
            SubjectCommand::Request(command) => request::run(command).await,
            SubjectCommand::State { field, statement, request, way } => {
                state(field, statement, request.as_deref(), way).await
            }
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
                "subject       {}\nsame person   {}\ntemplates     {}\nfields        {}\nrestrictions  {}",
                held.subject,
                listed(&held.same_person),
                held.templates,
                listed(&held.fields),
                listed(&held.restrictions)
            )
        },
        &json!({
            "subject": held.subject, "same_person": held.same_person, "templates": held.templates,
            "fields": held.fields, "restrictions": held.restrictions,
        }),
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
    let kept = |it: &pb::KeptPayloads| format!("\n  {} for {} days: {}", it.payloads, it.days, it.authority);
    let kept_json = |it: &pb::KeptPayloads| {
        json!({
            "payloads": it.payloads, "retention_class": it.retention_class, "days": it.days, "authority": it.authority,
        })
    };
    way.output.show(
        || {
            let kept: String = done.kept.iter().map(kept).collect();
            format!(
                "nothing is held of this person any more; what the log says of anybody, by a random number, is kept as records:{kept}"
            )
        },
        &json!({ "receipt": done.receipt, "kept": done.kept.iter().map(kept_json).collect::<Vec<_>>() }),
    )
}

async fn state(field: &str, statement: &str, request: Option<&str>, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(oversight::AttachStatementRequest {
        source_id: way.source_id.clone(),
        field: field.to_owned(),
        statement: statement.to_owned(),
        request: request.map(|name| wire::resource(request::REQUESTS, name)).unwrap_or_default(),
    });
    let done = client.answer("the statement", client.subject().attach_statement(call)).await?;
    way.output.show(
        || "attached; whoever received the field is told of it".to_owned(),
        &json!({ "receipt": done.receipt }),
    )
}

/// A row of enrolment for somebody who is there, with one field and no template.
async fn correct(command: &SubjectCommand) -> Result<(), CliError> {
    let SubjectCommand::Correct {
        field,
        value,
        classification,
        source,
        permitted_uses,
        collection,
        official,
        way,
    } = command
    else {
        return Ok(());
    };
    let client = Client::connect(&way.client).await?;
    let source_id = way.source_id.clone();
    // A correction enrols nobody: who is not there is refused.
    let call = client.request(pb::GetSubjectRequest { source_id: source_id.clone() });
    let held = client.answer("the subject", client.enrolment().get_subject(call)).await?;
    if !held.fields.contains(field) {
        return Err(CliError::Found(format!("the record has no field `{field}`; enrol it instead")));
    }
    let call = client.request(pb::StartBatchRequest {
        request_id: wire::request_id(None)?,
        collection: wire::resource(COLLECTIONS, collection),
        official: official.clone(),
    });
    let batch = client.answer("the batch", client.enrolment().start_batch(call)).await?.batch;
    let field = pb::FieldInput {
        field: field.clone(),
        value: value.clone(),
        classification: classification.clone(),
        source: source.clone(),
        permitted_uses: permitted_uses.clone(),
    };
    let subject =
        pb::SubjectInput { source_id, templates: Vec::new(), fields: vec![field], restrictions: Vec::new() };
    let row = pb::EnrolSubjectsRequest { batch, first_row: 0, subjects: vec![subject] };
    let call = client.request(()).map(|()| tokio_stream::once(row));
    let mut answers = client.answer("the correction", client.enrolment().enrol_subjects(call)).await?;
    let done = client.next("the correction", &mut answers).await?;
    let done = done.ok_or_else(|| CliError::incomplete("correction"))?;
    if let Some(rejected) = done.rejected.first() {
        return Err(CliError::Found(format!("the correction was rejected: {}", rejected.reason)));
    }
    way.output.show(
        || "corrected; who received the field is told that it changed".to_owned(),
        &json!({ "corrected": true }),
    )
}

const COLLECTIONS: &str = "collections";
