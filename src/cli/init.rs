//! `onebit init`: the first-start ceremony.

mod ceremony;
mod development;
mod found;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::fault::CliError;
use super::files;
use super::print::{self, OutputOption};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError};
use crate::ids::Digest;
use crate::secret::SystemEntropy;
use crate::store::{Founding, Journal, Person};

use ceremony::Ceremony;
use found::{Founded, LogKeys, Passphrase, PassphraseMade};

/// Founds a holder: its first people, partners and rules, its root key, its store and its log
///
/// The ceremony is held once. Its file names at least two administrators and a privacy officer, each with the
/// certificate of a key that is theirs alone; from then on people, partners and rules change only when two of
/// them, of different roles, agree. Everything is checked first, and either all of it is founded or nothing.
///
/// Read what it prints aloud: whoever is named confirms the fingerprint of their own key. Hand the verifier keys
/// of the journals to everybody who will ever check the log.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct InitArgs {
    /// The configuration of the server
    #[arg(long, value_name = "FILE", required_unless_present = "development", requires = "ceremony")]
    pub config: Option<PathBuf>,
    /// The ceremony's file; docs/operating.md explains it
    #[arg(long, value_name = "FILE", required_unless_present = "development", requires = "config")]
    pub ceremony: Option<PathBuf>,
    /// The policy folder to begin with, in place of the one that the ceremony's file names
    #[arg(long, value_name = "FOLDER")]
    pub policy: Option<PathBuf>,
    /// Makes a passphrase when the file that the configuration names is not there
    #[arg(long)]
    pub generate_passphrase: bool,
    /// Where to write the verifier key of the holder's journal as well; a partner's comes into `NAME-PARTNER.txt`
    #[arg(long, value_name = "FILE")]
    pub log_key_out: Option<PathBuf>,
    /// Makes a holder for development in this new folder, certificates, configuration and all
    ///
    /// The policy folder is `policy` unless `--policy` says otherwise; each partner with an agreement in it gets
    /// an authority and a system. Every key lies in the folder: never for anything but development.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "ceremony", "generate_passphrase", "log_key_out"])]
    pub development: Option<PathBuf>,
    /// Where the development holder's server listens; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", requires = "development", default_value = LISTEN)]
    pub listen: SocketAddr,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Holds the ceremony.
///
/// # Errors
/// [`CliError`] with everything that is wrong with the file or the place; nothing was founded then.
pub fn run(args: &InitArgs) -> Result<(), CliError> {
    match (&args.development, &args.config, &args.ceremony) {
        (Some(dir), ..) => found_development(dir, args.policy.as_deref(), args.listen, args.output),
        (None, Some(config), Some(ceremony)) => {
            let passphrase =
                if args.generate_passphrase { Passphrase::Generate } else { Passphrase::MustBeThere };
            let log_keys = args.log_key_out.clone().map_or(LogKeys::Shown, LogKeys::File);
            let held = hold(config, ceremony, args.policy.as_deref(), passphrase, &log_keys)?;
            args.output.show(|| held.text(), &held.json())
        }
        _ => Err(CliError::Usage("give `--config` and `--ceremony`, or `--development`".to_owned())),
    }
}

/// Makes a holder for development in a new folder and founds it.
///
/// # Errors
/// As [`run`].
pub fn found_development(
    dir: &Path,
    policy: Option<&Path>,
    listen: SocketAddr,
    output: OutputOption,
) -> Result<(), CliError> {
    let policy = policy.unwrap_or(Path::new("policy"));
    development::new_folder(dir)?;
    let held = make_development(dir, policy, listen).inspect_err(|_| {
        // It was made here; what can't be taken away is found by whoever tries again.
        let _left = std::fs::remove_dir_all(dir);
    })?;
    output.show(|| format!("{}\n\n{}", held.text(), development_text(dir)), &held.json())
}

fn make_development(dir: &Path, policy: &Path, listen: SocketAddr) -> Result<Held, CliError> {
    development::write(dir, policy, listen, SystemClock.now(), &SystemEntropy::new())?;
    let (config, ceremony) = (dir.join(development::CONFIG_FILE), dir.join(development::CEREMONY_FILE));
    let held = hold(&config, &ceremony, None, Passphrase::Generate, &LogKeys::Shown)?;
    for (journal, key) in &held.founded.log_keys {
        let folder = match journal {
            Journal::Holder => dir.to_owned(),
            Journal::Partner(partner) => dir.join(development::partner_folder(partner.as_str())),
        };
        files::write_new(&folder.join(development::LOG_KEY_FILE), format!("{key}\n").as_bytes())?;
    }
    Ok(held)
}

/// A ceremony that was held.
struct Held {
    config: Config,
    host: String,
    policy: Digest,
    people: Vec<Person>,
    partners: Vec<(String, String)>,
    founded: Founded,
}

fn hold(
    config: &Path,
    file: &Path,
    policy: Option<&Path>,
    passphrase: Passphrase,
    log_keys: &LogKeys,
) -> Result<Held, CliError> {
    let config = Config::read(config).map_err(unusable)?;
    // Before the file is looked at: a second ceremony fails for what it is.
    found::check_new(&config)?;
    let Ceremony { founding } = ceremony::read(file, policy, SystemClock.now())?;
    let Founding { host, people, partners, bundle, .. } = &founding;
    let (host, policy, people) = (host.clone(), bundle.digest(), people.clone());
    let partners =
        partners.iter().map(|partner| (partner.name.to_string(), partner.trust_domain.clone())).collect();
    let founded = found::found(&config, founding, passphrase, log_keys)?;
    Ok(Held { config, host, policy, people, partners, founded })
}

/// The faults of a configuration tell everything by themselves.
pub(super) fn unusable(error: ConfigError) -> CliError {
    match error {
        ConfigError::Faults(faults) => CliError::Found(faults.to_string()),
        ConfigError::Read { path, source } => CliError::read(&path, source),
    }
}

impl Held {
    fn text(&self) -> String {
        let people: Vec<[String; 4]> = self
            .people
            .iter()
            .map(|person| {
                let key = Digest::sha256(&person.public_key).to_string();
                [person.name.to_string(), person.role.to_string(), person.spiffe_id.clone(), key]
            })
            .collect();
        let partners: Vec<[String; 2]> =
            self.partners.iter().map(|(name, domain)| [name.clone(), domain.clone()]).collect();
        let journals: Vec<[String; 2]> = self
            .founded
            .log_keys
            .iter()
            .map(|(journal, key)| [journal.to_string(), key.to_string()])
            .collect();
        let passphrase = match self.founded.passphrase {
            PassphraseMade::Here => {
                "Its passphrase was made now, into the file that the configuration names."
            }
            PassphraseMade::Before => "Its passphrase was there before and was not changed.",
            PassphraseMade::Token => "It is wrapped by the token that the configuration names.",
        };
        format!(
            "Founded: the holder {host}\n\n\
             Rules (digest of the policy folder)\n  {policy}\n\n\
             People and systems, with the fingerprint of each key (SHA-256 of the SubjectPublicKeyInfo)\n{people}\n\n\
             Partners\n{partners}\n\n\
             Journals and the keys that verify them\n{journals}\n\n\
             Root key {root_key} in {file}. {passphrase}\n\
             Without root key and passphrase, or token, nothing in {store} can ever be read again:\n\
             keep a copy of each, apart from one another and from every backup of the store.",
            host = self.host,
            policy = self.policy,
            people = print::indented(&print::table(["name", "role", "id", "key"], &people)),
            partners = print::indented(&print::table(["name", "trust domain"], &partners)),
            journals = print::indented(&print::table(["journal", "verifier key"], &journals)),
            root_key = self.founded.root_key,
            file = self.config.root_key.file.display(),
            store = self.config.store_folder.display(),
        )
    }

    fn json(&self) -> Value {
        let people: Vec<Value> = self
            .people
            .iter()
            .map(|person| {
                json!({
                    "name": person.name.as_str(),
                    "role": person.role.as_str(),
                    "spiffe_id": person.spiffe_id,
                    "key_fingerprint": Digest::sha256(&person.public_key).to_string(),
                })
            })
            .collect();
        let partners: Vec<Value> = self
            .partners
            .iter()
            .map(|(name, domain)| json!({ "name": name, "trust_domain": domain }))
            .collect();
        let log_keys: Vec<Value> = self
            .founded
            .log_keys
            .iter()
            .map(|(journal, key)| json!({ "journal": journal.name(), "verifier_key": key.to_string() }))
            .collect();
        json!({
            "holder": self.host,
            "policy": self.policy.to_string(),
            "people": people,
            "partners": partners,
            "log_keys": log_keys,
            "root_key": HEXLOWER.encode(self.founded.root_key.as_bytes()),
        })
    }
}

fn development_text(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "This holder is for development: every key, the authorities' as well, lies in {dir}.\n\
         Its people do not exist; be any of them with people/NAME/certificate.pem and key.pem.\n\n\
         Start it:\n  onebit serve --config {dir}/{config}",
        config = development::CONFIG_FILE,
    )
}

/// As in `onebit.sample.toml`.
const LISTEN: &str = "127.0.0.1:7443";
const EXAMPLES: &str = "\
Examples:
  onebit init --config /etc/onebit/onebit.toml --ceremony ceremony.toml --log-key-out log-key.txt
  onebit init --development demo";

/// Everything of a development holder but its root key and its store, for tests.
#[cfg(test)]
pub(super) fn prepare_development(dir: &Path, policy: &Path) -> Result<(), CliError> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    development::write(dir, policy, listen, SystemClock.now(), &SystemEntropy::new())
}

#[cfg(test)]
mod tests;
