//! `onebit passkey`: the passkeys of the holder's people, and how one of them ends.

use serde_json::json;

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::administration as pb;
use crate::ids::Digest;

/// Shows the passkeys of a person, and ends one that was lost, for administrators and privacy officers
///
/// A person invited with `onebit change propose invite` registers passkeys at the console, and ends their own there.
#[derive(Debug, clap::Args)]
pub struct PasskeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PasskeyCommand,
}

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum PasskeyCommand {
    /// Shows the passkeys of a person
    List {
        /// The name in the registry
        #[arg(value_name = "PERSON")]
        person: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Ends a passkey and the sessions that it opened, at once and for good
    ///
    /// What it signed stands and can still be verified. Another passkey takes an invitation.
    End {
        /// The name in the registry
        #[arg(value_name = "PERSON")]
        person: String,
        /// SHA-256 of its key, 64 hex digits, as `onebit passkey list` shows it
        #[arg(long, value_name = "HEX")]
        fingerprint: Digest,
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
pub fn run(args: &PasskeyArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            PasskeyCommand::List { person, way } => list(person, way).await,
            PasskeyCommand::End { person, fingerprint, reason, way } => {
                end(person, fingerprint, reason, way).await
            }
        }
    })
}

async fn list(person: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListPasskeysRequest { person: wire::resource("people", person) });
    let found = client.answer("the passkeys", client.administration().list_passkeys(call)).await?.passkeys;
    let row = |it: &pb::Passkey| {
        [
            it.title.clone(),
            state(it.state()).to_owned(),
            wire::moment(it.make_time.as_ref()),
            wire::moment(it.use_time.as_ref()),
            wire::hex(&it.key_fingerprint),
        ]
    };
    way.output.show(
        || {
            let rows: Vec<_> = found.iter().map(row).collect();
            print::table(["TITLE", "STATE", "REGISTERED", "LAST USED", "FINGERPRINT"], &rows)
        },
        &json!(
            found
                .iter()
                .map(|it| {
                    let [title, state, made, used, fingerprint] = row(it);
                    let used = it.use_time.as_ref().map(|_| used);
                    json!({ "title": title, "state": state, "registered": made, "lastUsed": used, "fingerprint": fingerprint })
                })
                .collect::<Vec<_>>()
        ),
    )
}

async fn end(person: &str, fingerprint: &Digest, reason: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let person = wire::resource("people", person);
    let call = client.request(pb::EndPasskeyRequest {
        person: person.clone(),
        key_fingerprint: fingerprint.as_bytes().to_vec(),
        reason: reason.to_owned(),
    });
    let done = client.answer("the end of the passkey", client.administration().end_passkey(call)).await?;
    way.output.show(
        || format!("the passkey of {person} has ended"),
        &json!({ "person": person, "fingerprint": fingerprint.to_string(), "state": "ended", "receipt": done.receipt }),
    )
}

const fn state(state: pb::PasskeyState) -> &'static str {
    match state {
        pb::PasskeyState::Registered => "registered",
        pb::PasskeyState::Confirmed => "confirmed",
        pb::PasskeyState::Ended => "ended",
        pb::PasskeyState::Unspecified => "unknown",
    }
}
