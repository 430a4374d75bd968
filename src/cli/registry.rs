//! `onebit registry`: who may act, and by which rules, as the server has it.

use std::path::PathBuf;

use serde_json::json;

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::{files, wire};
use crate::authz::Bundle;
use crate::grpc::change_form::role_from_pb;
use crate::grpc::client::Client;
use crate::grpc::pb::administration as pb;

/// Shows people, partners and the active rules, for administrators
#[derive(Debug, clap::Args)]
pub struct RegistryArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: RegistryCommand,
}

/// What can be shown.
#[derive(Debug, clap::Subcommand)]
pub enum RegistryCommand {
    /// Shows people and systems, with their roles, keys and standing
    People(Way),
    /// Shows partners, with their standing
    Partners(Way),
    /// Shows the digest of the active policy folder, and writes it to a folder
    Policy {
        /// Write the files to this folder; a new one
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// Shows it.
///
/// # Errors
/// [`CliError`] when the server refuses, or sends rules that are not what their digest says.
pub fn run(args: &RegistryArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            RegistryCommand::People(way) => people(way).await,
            RegistryCommand::Partners(way) => partners(way).await,
            RegistryCommand::Policy { out, way } => policy(out.as_ref(), way).await,
        }
    })
}

async fn people(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListPeopleRequest {});
    let found = client.answer("the people", client.administration().list_people(call)).await?.people;
    let role = |it: &pb::Person| role_from_pb(it.role()).map_or("unknown", crate::authz::Role::as_str);
    let row = |it: &pb::Person| {
        let partner = wire::last_part(&it.partner).to_owned();
        let name = it.person.clone();
        [
            name,
            role(it).to_owned(),
            standing(it.standing()).to_owned(),
            partner,
            it.spiffe_id.clone(),
            wire::hex(&it.key_fingerprint),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    let told = rows.iter().map(|[name, role, standing, partner, id, key]| {
        json!({
            "person": name, "role": role, "standing": standing, "partner": partner, "spiffe_id": id,
            "key_fingerprint": key,
        })
    });
    let head = ["person", "role", "standing", "partner", "id", "key"];
    way.output.show(|| print::table(head, &rows), &told.collect::<Vec<_>>())
}

async fn partners(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListPartnersRequest {});
    let found = client.answer("the partners", client.administration().list_partners(call)).await?.partners;
    let key = |it: &pb::Partner| match it.release_key() {
        pb::ReleaseKeyState::Unspecified => "unknown",
        pb::ReleaseKeyState::Missing => "missing",
        pb::ReleaseKeyState::Confirmed => "confirmed",
    };
    let row = |it: &pb::Partner| {
        let standing = standing(it.standing()).to_owned();
        [it.partner.clone(), standing, key(it).to_owned(), it.trust_domain.clone(), it.title.clone()]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    let told = rows.iter().map(|[name, standing, key, domain, title]| {
        json!({ "partner": name, "standing": standing, "release_key": key, "trust_domain": domain, "title": title })
    });
    let head = ["partner", "standing", "release key", "trust domain", "title"];
    way.output.show(|| print::table(head, &rows), &told.collect::<Vec<_>>())
}

async fn policy(out: Option<&PathBuf>, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::GetPolicyRequest {});
    let found = client.answer("the rules", client.administration().get_policy(call)).await?;
    let bundle = Bundle::from_files(found.files.into_iter().map(|file| (file.path, file.content)))
        .map_err(|error| CliError::because("the server's rules are not a policy folder", error))?;
    let digest = bundle.digest();
    if found.digest != digest.as_bytes() {
        return Err(CliError::Found(format!(
            "the server's rules have the digest {digest}, and it says {}; tell the privacy officer",
            wire::hex(&found.digest)
        )));
    }
    if let Some(folder) = out {
        std::fs::create_dir(folder).map_err(|source| CliError::write(folder, source))?;
        for (path, content) in bundle.files() {
            // INVARIANT: a bundle's paths lead nowhere else; `Bundle::from_files` refuses others.
            let path = folder.join(path);
            if let Some(above) = path.parent() {
                files::folder(above)?;
            }
            files::write_new(&path, content)?;
        }
    }
    let paths: Vec<&str> = bundle.files().map(|(path, _)| path).collect();
    way.output.show(
        || format!("digest  {digest}\n{}", print::indented(&paths.join("\n"))),
        &json!({ "digest": digest.to_string(), "files": paths }),
    )
}

const fn standing(standing: pb::Standing) -> &'static str {
    match standing {
        pb::Standing::Unspecified => "unknown",
        pb::Standing::Active => "active",
        pb::Standing::Suspended => "suspended",
    }
}
