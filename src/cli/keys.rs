//! `onebit keys`: what keys there are, other ones, and the end of old ones.

mod rotate;
mod status;

use std::path::PathBuf;
use std::sync::Arc;

use super::fault::CliError;
use super::init::unusable;
use super::print::{self, OutputOption};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::material::process_environment;
use crate::keys::{KeyId, Purpose, RingClass, RootKey, Tries};
use crate::secret::SystemEntropy;
use crate::server;
use crate::store::sqlite::Operation;

/// Shows the holder's keys, rotates them and retires old ones
///
/// Keys are named by class and generation, or by what is derived from their public half; nothing of a key itself is
/// ever shown. `rotate` and `retire` need the server stopped, the root key, and a reason: each is an entry of the log.
/// docs/operating.md tells when to do it and what to copy afterwards.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What can be done with keys.
#[derive(Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// Shows every key: what it is for, since when, how much lies under it, and when to rotate it
    ///
    /// It needs neither the root key nor a stopped server, and makes no entry: names, times and numbers stand in the
    /// databases for whoever may read them.
    Status {
        /// The configuration
        #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
        config: PathBuf,
        /// The form of the output.
        #[command(flatten)]
        output: OutputOption,
    },
    /// Makes another root key, or another key of a class and seals everything anew under it
    ///
    /// A class can be cut short at any moment: everything opens, and the same command goes on. Another root lies where
    /// `--to` says, a configuration with another `[root_key]`: in another file, by another passphrase, or in a token.
    /// Both roots open the store until the old one is retired.
    Rotate {
        /// `root`, `subject-keys`, `payload-keys`, `named-keys`, `registry` or `snapshot-keys`
        #[arg(value_name = "KEY")]
        key: String,
        /// The configuration as it is now
        #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
        config: PathBuf,
        /// The configuration with the other root key, for `root`
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Destroys an old key, once nothing lies under it
    Retire {
        /// As `onebit keys status` names it: `root:1f2e…`, `subject-keys:1`
        #[arg(value_name = "KEY")]
        key: String,
        /// The configuration
        #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
        config: PathBuf,
        /// Why, for the log
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Makes and tries the key of a token
    #[command(subcommand)]
    Token(TokenCommand),
}

/// What can be done with a token.
#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Makes the key in the token that the configuration names: AES-256, not to be taken out
    New {
        /// The configuration
        #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
        config: PathBuf,
    },
    /// Logs in once, also when the PIN was wrong the last time, and looks at the key
    ///
    /// After a wrong PIN neither the server nor any other command logs in, so that restarts don't use up the tries.
    Try {
        /// The configuration
        #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
        config: PathBuf,
    },
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when it can't be done; what it says then is to be done first.
pub fn run(args: &KeysArgs) -> Result<(), CliError> {
    match &args.command {
        KeysCommand::Status { config, output } => status::run(config, *output),
        KeysCommand::Rotate { key, config, to, because } => rotate::run(key, config, to.as_deref(), because),
        KeysCommand::Retire { key, config, because } => rotate::retire(key, config, because),
        KeysCommand::Token(TokenCommand::New { config }) => {
            let config = Config::read(config).map_err(unusable)?;
            let refused = |error| CliError::because("the token's key was not made", error);
            let token = config.root_key.token(&process_environment, Tries::Spared).map_err(refused)?;
            token.key_make().map_err(|error| CliError::because("the token's key was not made", error))?;
            print::line(&format!(
                "Made: {}. It never leaves the token; back it up as the token's maker says, or the store is lost with it.",
                config.root_key.guard.shown()
            ))
        }
        KeysCommand::Token(TokenCommand::Try { config }) => {
            let config = Config::read(config).map_err(unusable)?;
            let refused = |error| CliError::because("the token can't be used", error);
            let token = config.root_key.token(&process_environment, Tries::Used).map_err(refused)?;
            token.key_check().map_err(|error| CliError::because("the token can't be used", error))?;
            print::line(&format!("The PIN is right, and {} is there.", config.root_key.guard.shown()))
        }
    }
}

/// A key that people name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The root, or one root.
    Root(Option<KeyId>),
    /// A class, or a generation of it.
    Class(Purpose, Option<u32>),
}

impl Named {
    fn parse(text: &str) -> Result<Self, CliError> {
        let (class, which) = match text.split_once(':') {
            Some((class, which)) => (class, Some(which)),
            None => (text, None),
        };
        let unknown = || {
            CliError::Usage(format!("`{text}` is no key; `onebit keys status` names those that there are"))
        };
        match (class, RingClass::from_name(class)) {
            ("root", _) => which.map(|id| id.parse().map_err(|_| unknown())).transpose().map(Self::Root),
            (_, Some(RingClass::Sealing(purpose))) => {
                let generation = which.map(|number| number.parse().map_err(|_| unknown())).transpose()?;
                Ok(Self::Class(purpose, generation))
            }
            (_, Some(_)) => Err(CliError::Usage(format!(
                "`{class}` is in every row that was ever made with it, and stays for the life of the store"
            ))),
            ("collection", _) => Err(CliError::Usage(
                "a collection's key takes two people: `onebit change propose renew-collection --collection NAME --reason \"…\"`, while the server runs"
                    .to_owned(),
            )),
            ("log" | "log-signing", _) => Err(CliError::Usage(
                "the log's key takes two people: `onebit change propose log-key --reason \"…\"`, while the server runs"
                    .to_owned(),
            )),
            ("release", _) => Err(CliError::Usage(
                "a release key is its partner's own: they offer another one with `onebit release-key`, and two of your people confirm it"
                    .to_owned(),
            )),
            _ => Err(unknown()),
        }
    }
}

/// A store that nobody serves meanwhile, with its root key open.
pub(super) struct Stopped {
    pub(super) config: Config,
    pub(super) root: RootKey,
    _lock: std::fs::File,
}

impl Stopped {
    pub(super) fn open(config: &std::path::Path) -> Result<Self, CliError> {
        let config = Config::read(config).map_err(unusable)?;
        let lock = server::store_lock(&config.store_folder)
            .map_err(|error| CliError::because("this is done while the server is stopped", error))?;
        let root = config
            .root_key
            .open(&process_environment)
            .map_err(|error| CliError::because("the root key can't be opened", error))?;
        Ok(Self { config, root, _lock: lock })
    }

    fn operation<'a>(&'a self, because: &'a str) -> Result<Operation<'a>, CliError> {
        if because.trim().is_empty() {
            return Err(CliError::Usage("give the reason in words: `--because \"…\"`".to_owned()));
        }
        Ok(Operation {
            folder: &self.config.store_folder,
            heads: &self.config.heads_folder,
            reason: because,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        })
    }
}

const EXAMPLES: &str = "\
Examples:
  onebit keys status --config /etc/onebit/onebit.toml
  onebit keys rotate subject-keys --config /etc/onebit/onebit.toml --because \"every second year\"
  onebit keys retire subject-keys:1 --config /etc/onebit/onebit.toml --because \"every second year\"
  onebit keys token new --config onebit-token.toml
  onebit keys rotate root --config onebit.toml --to onebit-token.toml --because \"into the token\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_as_the_status_names_them() {
        assert_eq!(Named::parse("root").unwrap(), Named::Root(None));
        let id = KeyId::from_bytes([0xab; 8]);
        assert_eq!(Named::parse(&format!("root:{id}")).unwrap(), Named::Root(Some(id)));
        assert_eq!(Named::parse("subject-keys:2").unwrap(), Named::Class(Purpose::SubjectKeys, Some(2)));
        for (text, hint) in [
            ("tags", "for the life of the store"),
            ("collection:watch-face:1", "onebit change propose renew-collection"),
            ("log:00", "onebit change propose log-key"),
            ("release:00", "onebit release-key"),
            ("keys", "onebit keys status"),
            ("root:xy", "onebit keys status"),
            ("registry:first", "onebit keys status"),
        ] {
            let refused = Named::parse(text).unwrap_err().to_string();
            assert!(refused.contains(hint), "`{text}`: {refused}");
        }
    }
}
