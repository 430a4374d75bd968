//! `onebit subject request`: what people ask for, by when it is due, and what came of it.

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::cli::fault::CliError;
use crate::cli::print::{indented, table};
use crate::cli::way::Way;
use crate::cli::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;

/// What can be done with a person's request.
#[derive(Debug, clap::Subcommand)]
pub enum RequestCommand {
    /// Opens a request: due 20 working days after the day on which it came
    Open {
        /// What the person asks for: `access` or `correction`
        #[arg(long, value_name = "KIND")]
        kind: String,
        /// Your own reference of it, without the person's name
        #[arg(long, value_name = "REFERENCE")]
        reference: String,
        /// The date on which it came, in New Zealand
        #[arg(long, value_name = "DATE")]
        received: Date,
        /// The source system's id of the person, where you know it
        #[arg(long, value_name = "ID")]
        source_id: Option<String>,
        /// The person disputes what is held: hide them from partners at once; lifting it takes two people
        #[arg(long, requires = "source_id")]
        disputed: bool,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Extends a request; the person is to be told within its time
    Extend {
        /// The request
        #[arg(value_name = "REQUEST")]
        name: String,
        /// The new last day, in New Zealand
        #[arg(long, value_name = "DATE")]
        until: Date,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Closes a request
    Close {
        /// The request
        #[arg(value_name = "REQUEST")]
        name: String,
        /// What came of it: of access `granted`, `granted-in-part`; of a correction `corrected`, `statement-attached`; of
        /// either `refused`, `transferred`, `withdrawn`
        #[arg(long, value_name = "OUTCOME")]
        outcome: String,
        /// The section of the Privacy Act 2020 by which access was refused: `49` to `52`, `53(a)` to `53(h)`. Give it again
        /// for more
        #[arg(long = "ground", value_name = "SECTION")]
        grounds: Vec<String>,
        /// Why, in your words
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Lists requests: open ones, those that are due soonest first
    List {
        /// Those that were closed, the newest first
        #[arg(long)]
        closed: bool,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Shows a request
    Show {
        /// The request
        #[arg(value_name = "REQUEST")]
        name: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// Does what the subcommand says.
pub(super) async fn run(command: &RequestCommand) -> Result<(), CliError> {
    match command {
        RequestCommand::Open { kind, reference, received, source_id, disputed, way } => {
            let client = Client::connect(&way.client).await?;
            let call = client.request(pb::OpenRequestRequest {
                kind: kind.clone(),
                source_id: source_id.clone().unwrap_or_default(),
                reference: reference.clone(),
                received_date: received.to_string(),
                disputed: *disputed,
            });
            let opened = client.answer("the request", client.subject().open_request(call)).await?;
            shown(way, opened.request.as_ref())
        }
        RequestCommand::Extend { name, until, reason, way } => {
            let client = Client::connect(&way.client).await?;
            let call = client.request(pb::ExtendRequestRequest {
                name: wire::resource(REQUESTS, name),
                until_date: until.to_string(),
                reason: reason.clone(),
            });
            let extended = client.answer("the extension", client.subject().extend_request(call)).await?;
            shown(way, extended.request.as_ref())
        }
        RequestCommand::Close { name, outcome, grounds, reason, way } => {
            let client = Client::connect(&way.client).await?;
            let call = client.request(pb::CloseRequestRequest {
                name: wire::resource(REQUESTS, name),
                outcome: outcome.clone(),
                grounds: grounds.clone(),
                reason: reason.clone(),
            });
            let closed = client.answer("the end", client.subject().close_request(call)).await?;
            shown(way, closed.request.as_ref())
        }
        RequestCommand::List { closed, way } => list(*closed, way).await,
        RequestCommand::Show { name, way } => {
            let client = Client::connect(&way.client).await?;
            let call = client.request(pb::GetRequestRequest { name: wire::resource(REQUESTS, name) });
            let found = client.answer("the request", client.subject().get_request(call)).await?;
            shown(way, found.request.as_ref())
        }
    }
}

async fn list(closed: bool, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let (mut requests, mut page_token) = (Vec::new(), String::new());
    loop {
        let call = client.request(pb::ListRequestsRequest { closed, page_size: 0, page_token });
        let page = client.answer("the requests", client.subject().list_requests(call)).await?;
        requests.extend(page.requests);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |one: &pb::SubjectRequest| {
        let state = if one.outcome.is_empty() { late(one) } else { one.outcome.as_str() };
        let due = wire::moment(one.due_time.as_ref());
        [
            one.name.clone(),
            one.kind.clone(),
            one.reference.clone(),
            one.received_date.clone(),
            due,
            state.to_owned(),
        ]
    };
    let json: Vec<Value> = requests.iter().map(as_json).collect();
    way.output.show(
        || {
            if requests.is_empty() {
                return "no requests".to_owned();
            }
            let rows: Vec<_> = requests.iter().map(row).collect();
            table(["request", "kind", "reference", "received", "due", "state"], &rows)
        },
        &json!({ "requests": json }),
    )
}

fn late(one: &pb::SubjectRequest) -> &'static str {
    if one.late_time.is_some() { "late" } else { "open" }
}

fn shown(way: &Way, request: Option<&pb::SubjectRequest>) -> Result<(), CliError> {
    let request = request.ok_or_else(|| CliError::incomplete("request"))?;
    way.output.show(|| as_text(request), &as_json(request))
}

fn as_text(one: &pb::SubjectRequest) -> String {
    let moment = |at: Option<&prost_types::Timestamp>| wire::moment(at);
    let mut text = format!(
        "request       {}\nkind          {}\nreference     {}\nreceived      {}\nopened        {}  by {}\ndue           {}\n\
         person        {}",
        one.name,
        one.kind,
        one.reference,
        one.received_date,
        moment(one.open_time.as_ref()),
        one.opened_by,
        moment(one.due_time.as_ref()),
        if one.known { "in the gallery" } else { "not named, or not in the gallery" }
    );
    for extension in &one.extensions {
        let (at, due) = (moment(extension.extend_time.as_ref()), moment(extension.due_time.as_ref()));
        text.push_str(&format!("\nextended      {at}  by {}, to {due}\n", extension.extended_by));
        text.push_str(&indented(&extension.reason));
    }
    if let Some(at) = &one.late_time {
        text.push_str(&format!(
            "\nlate          since {}, noted {}",
            moment(one.due_time.as_ref()),
            moment(Some(at))
        ));
    }
    if let Some(at) = &one.close_time {
        let grounds = if one.grounds.is_empty() { "none".to_owned() } else { one.grounds.join(", ") };
        let (at, by) = (moment(Some(at)), &one.closed_by);
        text.push_str(&format!(
            "\nclosed        {at}  by {by}\noutcome       {}\ngrounds       {grounds}\n",
            one.outcome
        ));
        text.push_str(&indented(&one.reason));
    }
    text
}

fn as_json(one: &pb::SubjectRequest) -> Value {
    let moment = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| wire::moment(Some(at)));
    let extensions = one.extensions.iter().map(|it| {
        json!({
            "at": moment(&it.extend_time), "by": it.extended_by, "due": moment(&it.due_time), "reason": it.reason,
        })
    });
    json!({
        "request": one.name,
        "kind": one.kind,
        "reference": one.reference,
        "received": one.received_date,
        "opened": moment(&one.open_time),
        "opened_by": one.opened_by,
        "due": moment(&one.due_time),
        "known": one.known,
        "extensions": extensions.collect::<Vec<_>>(),
        "late": moment(&one.late_time),
        "closed": moment(&one.close_time),
        "closed_by": one.closed_by,
        "outcome": one.outcome,
        "grounds": one.grounds,
        "reason": one.reason,
    })
}

/// The collection of requests in resource names.
pub(super) const REQUESTS: &str = "subject-requests";
