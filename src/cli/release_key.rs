//! `onebit release-key`: the key that releases are sealed to.

use std::path::PathBuf;

use serde_json::json;

use super::fault::CliError;
use super::open::read_key;
use super::print::OutputOption;
use super::request::Way;
use super::{files, wire};
use crate::audit::event::Kind;
use crate::grpc::change_form::partner_name;
use crate::grpc::client::Client;
use crate::grpc::pb::partner as pb;
use crate::keys::{ReleaseSecretKey, open_challenge};
use crate::secret::SystemEntropy;

/// Makes and registers the key that releases are sealed to
///
/// The secret half never leaves you. Registering proves to the holder that you have it; two people of the
/// holder then confirm the key before anything is sealed to it. Tell them the fingerprint on another way.
#[derive(Debug, clap::Args)]
pub struct ReleaseKeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReleaseKeyCommand,
}

/// What can be done with a release key.
#[derive(Debug, clap::Subcommand)]
pub enum ReleaseKeyCommand {
    /// Makes a new secret key (X25519)
    New {
        /// The file to write; a new file that only you may read
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Shows the public half of a secret key, and its fingerprint
    Show {
        /// The secret key
        #[arg(value_name = "FILE", env = "ONEBIT_RELEASE_KEY")]
        release_key: PathBuf,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Offers the public half to the holder and proves that you have the secret one
    Register {
        /// The secret key
        #[arg(long, value_name = "FILE", env = "ONEBIT_RELEASE_KEY")]
        release_key: PathBuf,
        /// The rest.
        #[command(flatten)]
        way: Box<Way>,
    },
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when a file can't be read or written, or the holder refuses.
pub fn run(args: &ReleaseKeyArgs) -> Result<(), CliError> {
    match &args.command {
        ReleaseKeyCommand::New { out, output } => {
            let key = ReleaseSecretKey::random(&SystemEntropy::new())
                .map_err(|error| CliError::because("no key can be made", error))?;
            files::write_private(out, key.to_text().expose())?;
            show(&key, *output)
        }
        ReleaseKeyCommand::Show { release_key, output } => show(&read_key(release_key)?, *output),
        ReleaseKeyCommand::Register { release_key, way } => {
            wire::calling(register(&read_key(release_key)?, way))
        }
    }
}

fn show(key: &ReleaseSecretKey, output: OutputOption) -> Result<(), CliError> {
    let public = key.public_key();
    let (hex, fingerprint) = (wire::hex(public.as_bytes()), public.fingerprint());
    output.show(
        || format!("public key   {hex}\nfingerprint  {fingerprint}"),
        &json!({ "public_key": hex, "fingerprint": fingerprint.to_string() }),
    )
}

async fn register(key: &ReleaseSecretKey, way: &Way) -> Result<(), CliError> {
    let public = key.public_key();
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::GetStandingRequest {});
    let standing = client.answer("your standing", client.agreement().get_standing(call)).await?;
    let partner = partner_name("partner", &standing.partner).map_err(|_| CliError::incomplete("partner"))?;
    let public_key = public.as_bytes().to_vec();
    let call = client.request(pb::StartReleaseKeyRequest { public_key: public_key.clone() });
    let started = client.answer("the offer", client.agreement().start_release_key(call)).await?;
    let challenge = open_challenge(key, &partner, &started.sealed_challenge)
        .map_err(|error| CliError::because("the holder's challenge does not open with this key", error))?;
    let call =
        client.request(pb::ProveReleaseKeyRequest { public_key, challenge: challenge.expose().to_vec() });
    let proven = client.answer("the proof", client.agreement().prove_release_key(call)).await?;
    let checked = way.log_key.check(&proven.receipt, Kind::ReleaseKeyProven, &[])?;
    let fingerprint = public.fingerprint();
    way.output.show(
        || {
            format!(
                "proven; two people of the holder confirm it now\n\
                 change       {}\nfingerprint  {fingerprint}\nreceipt      {}",
                proven.change,
                checked.text()
            )
        },
        &json!({
            "change": proven.change, "fingerprint": fingerprint.to_string(),
            "receipt": proven.receipt, "receipt_checked": checked.json(),
        }),
    )
}
