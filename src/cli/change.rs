//! `onebit change`: what takes two people of different roles, both with a signature (promise 9).

use serde_json::{Value, json};

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::wire;
use crate::grpc::change_form::{change_from_pb, change_to_pb};
use crate::grpc::client::Client;
use crate::grpc::pb::administration as pb;
use crate::grpc::pb::administration::{confirm_change_request, propose_change_request};
use crate::ids::{ChangeId, Digest, RequestId};
use crate::keys::SignatureDomain;
use crate::store::change::{Change, digest};

mod proposal;

pub use proposal::Proposal;

/// Proposes, confirms and rejects what takes two people
///
/// Adding or re-keying people and partners, confirming a partner's release key, activating a policy folder,
/// lifting a restriction or a suspension: one person proposes, another of another role confirms. Both sign the
/// digest of the same change with the keys of their certificates. `confirm` computes that digest itself from
/// what it shows you, and signs nothing that the server only says it is.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ChangeCommand,
}

/// What can be done with changes.
#[derive(Debug, clap::Subcommand)]
pub enum ChangeCommand {
    /// Proposes a change, signed
    Propose(Box<ProposeArgs>),
    /// Lists changes, newest first
    List {
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Shows a change, with the digest that signatures are over
    Show {
        /// The change, `changes/…`
        #[arg(value_name = "CHANGE")]
        name: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Confirms a change that another person of another role proposed, signed; it takes effect at once
    Confirm {
        /// The change, `changes/…`
        #[arg(value_name = "CHANGE")]
        name: String,
        /// The digest that `change show` gave you; nothing is signed if the change has another
        #[arg(long, value_name = "DIGEST")]
        digest: Option<Digest>,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Rejects a change; it is over
    Reject {
        /// The change, `changes/…`
        #[arg(value_name = "CHANGE")]
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// A proposal.
#[derive(Debug, clap::Args)]
pub struct ProposeArgs {
    /// What is to change.
    #[command(subcommand)]
    pub proposal: Proposal,
}

/// What every proposal says beside the change itself.
#[derive(Debug, Clone, clap::Args)]
pub struct Proposing {
    /// Why, 1 to 512 characters; signed with the change
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The request id, a UUID; part of what is signed. A new one by default
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the server refuses, or shows a change that is not what its digest says.
pub fn run(args: &ChangeArgs) -> Result<(), CliError> {
    match &args.command {
        ChangeCommand::Propose(args) => {
            // Read and checked before anything is sent.
            let change = args.proposal.change()?;
            wire::calling(propose(&change, args.proposal.proposing()))
        }
        ChangeCommand::List { limit, way } => wire::calling(list(*limit, way)),
        ChangeCommand::Show { name, way } => wire::calling(show(name, way)),
        ChangeCommand::Confirm { name, digest, way } => wire::calling(confirm(name, *digest, way)),
        ChangeCommand::Reject { name, reason, way } => wire::calling(reject(name, reason, way)),
    }
}

async fn propose(change: &Change, args: &Proposing) -> Result<(), CliError> {
    let request_id = wire::request_id(args.request_id.as_deref())?;
    let id = RequestId::parse_uuid(&request_id).map_err(|error| CliError::Usage(error.to_string()))?;
    let digest = digest(ChangeId::from_bytes(*id.as_bytes()), change, &args.reason);
    let signature = sign(&args.way, &digest)?;
    let message = pb::ProposeChangeRequest {
        change: Some(change_to_pb(change)),
        reason: args.reason.clone(),
        request_id,
        signature: Some(propose_change_request::Signature::CertificateSignature(signature)),
    };
    let client = Client::connect(&args.way.client).await?;
    let call = client.request(message);
    let done = client.answer("the proposal", client.administration().propose_change(call)).await?;
    let record = done.change.ok_or_else(|| CliError::incomplete("change"))?;
    if record.digest != digest.as_bytes() {
        return Err(CliError::Found(format!(
            "the server keeps `{}` under another digest than the one that was signed, {digest}; reject it",
            record.name
        )));
    }
    told(&args.way, &record)
}

async fn list(limit: u32, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut changes = Vec::new();
    let mut pages = Pages::new(&client);
    while let Some(page) = pages.next().await? {
        changes.extend(page);
        if changes.len() >= limit {
            break;
        }
    }
    changes.truncate(limit);
    let row = |change: &pb::ChangeRecord| {
        let when = wire::moment(change.create_time.as_ref());
        [
            change.name.clone(),
            state(change.state()).to_owned(),
            when,
            change.proposer.clone(),
            change.summary.clone(),
        ]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    way.output.show(
        || match rows.is_empty() {
            true => "there is no change".to_owned(),
            false => print::table(["change", "state", "proposed", "by", "what"], &rows),
        },
        &changes.iter().map(as_json).collect::<Vec<_>>(),
    )
}

async fn show(name: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let record = find(&client, name).await?;
    let (_, change) = checked(&record)?;
    way.output.show(|| format!("{}\n{}", as_text(&record), proposal::details(&change)), &as_json(&record))
}

async fn confirm(name: &str, seen: Option<Digest>, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let record = find(&client, name).await?;
    let (digest, change) = checked(&record)?;
    if seen.is_some_and(|seen| seen != digest) {
        return Err(CliError::Found(format!(
            "`{}` has the digest {digest}, not the one that you saw; nothing was signed",
            record.name
        )));
    }
    print::note(&format!("confirming: {}", change.summary()));
    let signature = sign(way, &digest)?;
    let call = client.request(pb::ConfirmChangeRequest {
        name: record.name.clone(),
        signature: Some(confirm_change_request::Signature::CertificateSignature(signature)),
    });
    let done = client.answer("the confirmation", client.administration().confirm_change(call)).await?;
    told(way, &done.change.ok_or_else(|| CliError::incomplete("change"))?)
}

async fn reject(name: &str, reason: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::RejectChangeRequest {
        name: wire::resource(ChangeId::COLLECTION, name),
        reason: reason.to_owned(),
    });
    let done = client.answer("the rejection", client.administration().reject_change(call)).await?;
    told(way, &done.change.ok_or_else(|| CliError::incomplete("change"))?)
}

/// Pages of changes, newest first.
struct Pages<'a> {
    client: &'a Client,
    token: Option<String>,
}

impl<'a> Pages<'a> {
    const fn new(client: &'a Client) -> Self {
        Self { client, token: Some(String::new()) }
    }

    async fn next(&mut self) -> Result<Option<Vec<pb::ChangeRecord>>, CliError> {
        let Some(page_token) = self.token.take() else { return Ok(None) };
        let call = self.client.request(pb::ListChangesRequest { page_size: PAGE_SIZE, page_token });
        let page = self.client.answer("the list", self.client.administration().list_changes(call)).await?;
        self.token = Some(page.next_page_token).filter(|token| !token.is_empty());
        Ok(Some(page.changes))
    }
}

async fn find(client: &Client, name: &str) -> Result<pb::ChangeRecord, CliError> {
    let name = wire::resource(ChangeId::COLLECTION, name);
    let mut pages = Pages::new(client);
    while let Some(page) = pages.next().await? {
        if let Some(record) = page.into_iter().find(|record| record.name == name) {
            return Ok(record);
        }
    }
    Err(CliError::Found(format!("there is no `{name}`; `onebit change list` shows those that there are")))
}

/// The digest of the change, computed from the change itself, and the change. Nothing that the server only says
/// about it is believed.
fn checked(record: &pb::ChangeRecord) -> Result<(Digest, Change), CliError> {
    let id = ChangeId::parse_resource(&record.name).map_err(|_| CliError::incomplete("change name"))?;
    let sent = record.change.clone().ok_or_else(|| CliError::incomplete("change"))?;
    let change = change_from_pb(sent)
        .map_err(|fault| CliError::because(format!("`{}` can't be read", record.name), fault))?;
    let digest = digest(id, &change, &record.reason);
    if record.digest == digest.as_bytes() {
        Ok((digest, change))
    } else {
        Err(CliError::Found(format!(
            "`{}` is not what its digest says: {digest} by what is shown, {} by the server; sign nothing, and \
             tell the privacy officer",
            record.name,
            wire::hex(&record.digest)
        )))
    }
}

fn sign(way: &Way, digest: &Digest) -> Result<Vec<u8>, CliError> {
    way.client
        .signing_key()?
        .sign(SignatureDomain::Change, digest)
        .map_err(|error| CliError::because("the change can't be signed", error))
}

fn told(way: &Way, record: &pb::ChangeRecord) -> Result<(), CliError> {
    way.output.show(|| as_text(record), &as_json(record))
}

fn as_text(record: &pb::ChangeRecord) -> String {
    let decider = if record.decider.is_empty() { "nobody yet" } else { record.decider.as_str() };
    format!(
        "change    {}\nstate     {}\nwhat      {}\nwhy       {}\n\
         proposed  {} by {}\ndecided   by {decider}\ndigest    {}",
        record.name,
        state(record.state()),
        record.summary,
        record.reason,
        wire::moment(record.create_time.as_ref()),
        record.proposer,
        wire::hex(&record.digest)
    )
}

fn as_json(record: &pb::ChangeRecord) -> Value {
    json!({
        "change": record.name, "state": state(record.state()), "summary": record.summary, "reason": record.reason,
        "create_time": wire::moment(record.create_time.as_ref()), "proposer": record.proposer,
        "decider": record.decider, "digest": wire::hex(&record.digest),
    })
}

const fn state(state: pb::ChangeState) -> &'static str {
    match state {
        pb::ChangeState::Unspecified => "unknown",
        pb::ChangeState::Proposed => "proposed",
        pb::ChangeState::Confirmed => "confirmed",
        pb::ChangeState::Rejected => "rejected",
    }
}

/// Policy folders travel in changes, so pages are kept small.
const PAGE_SIZE: i32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(change: &Change, reason: &str) -> pb::ChangeRecord {
        let id = ChangeId::from_bytes([5; 16]);
        pb::ChangeRecord {
            name: id.resource(),
            summary: change.summary(),
            digest: digest(id, change, reason).as_bytes().to_vec(),
            change: Some(change_to_pb(change)),
            reason: reason.to_owned(),
            ..pb::ChangeRecord::default()
        }
    }

    #[test]
    fn a_change_that_is_not_what_its_digest_says_is_never_signed() {
        let restore = Change::RestorePerson("mere".parse().unwrap());
        let honest = record(&restore, "back from leave");
        assert!(checked(&honest).is_ok());
        let other = Change::RestorePerson("mallory".parse().unwrap());
        let swapped = pb::ChangeRecord { change: Some(change_to_pb(&other)), ..honest.clone() };
        let excused = pb::ChangeRecord { reason: "because".to_owned(), ..honest.clone() };
        let renamed = pb::ChangeRecord { name: ChangeId::from_bytes([6; 16]).resource(), ..honest };
        for (what, lie) in [("change", swapped), ("reason", excused), ("name", renamed)] {
            assert!(checked(&lie).is_err(), "another {what} under the same digest must be found out");
        }
    }
}
