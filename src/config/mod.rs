//! The one configuration file, TOML: read whole, refused whole. `onebit.sample.toml` shows every key.
//!
//! Paths in it are relative to the file itself. An unknown key is a fault, and so is a value outside its range:
//! a wish that would not come true must not look like one that did.

pub mod document;
mod doors;
pub mod material;
mod notices;
mod oidc;
mod places;
mod root_key;
mod terminal;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::door::TrustDomainName;
use crate::ids::SubjectId;
use crate::jobs::Cadence;
use crate::telemetry::LogSettings;

use document::{Document, Faults, Place};
pub use doors::{ConsoleConfig, LimitsConfig, ServerConfig};
pub use notices::{NoticesConfig, NoticesError, PersonConfig, SmtpConfig, SystemConfig};
pub use oidc::{ClientProof, OidcConfig, OidcError};
pub use places::BackupConfig;
pub use root_key::{RootGuard, RootKeyConfig, SecretSource};
pub use work::SearchConfig;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration `{path}` can't be read; check that it is there, readable and UTF-8")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has faults.
    #[error("{0}")]
    Faults(Faults),
}

/// All that a server is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The folder of the store.
    pub store_folder: PathBuf,
    /// The folder of the newest signed checkpoints, outside the store and its backups.
    pub heads_folder: PathBuf,
    /// Where backups go and when they are made; nowhere without.
    pub backup: Option<BackupConfig>,
    /// The root key.
    pub root_key: RootKeyConfig,
    /// The door.
    pub server: ServerConfig,
    /// Where the log is served over HTTPS; nowhere without.
    pub tiles_listen: Option<SocketAddr>,
    /// The console; none without.
    pub console: Option<ConsoleConfig>,
    /// What may be under way.
    pub limits: LimitsConfig,
    /// How is searched.
    pub search: SearchConfig,
    /// Where metrics are served; nowhere without.
    pub metrics_listen: Option<SocketAddr>,
    /// What is logged and how.
    pub log: LogSettings,
    /// Files with revocation lists, PEM, by the trust domain that they are of.
    pub revocation_lists: BTreeMap<TrustDomainName, Vec<PathBuf>>,
    /// How often background jobs run.
    pub jobs: Cadence,
    /// Who is told what happened; nobody without.
    pub notices: Option<NoticesConfig>,
    /// Subjects whose templates no honest sample matches: whoever's question does is an alert.
    pub canaries: BTreeSet<SubjectId>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError::Read`], or all faults of the file at once.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(file).map_err(|source| ConfigError::Read { path: file.to_owned(), source })?;
        Self::parse(file, &text).map_err(ConfigError::Faults)
    }

    /// Takes the text of a configuration, whose paths are relative to the folder of `file`.
    ///
    /// # Errors
    /// All faults of the text.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        let mut document = Document::parse(file, text)?;
        let config = config(&mut document, file);
        document.finish(config)
    }
}

/// Everything is read before anything is missed, so that each part tells its faults.
fn config(document: &mut Document<'_>, file: &Path) -> Option<Config> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let (store_folder, heads_folder) = places::store(document, folder);
    let backup = places::backup(document, folder, store_folder.as_deref(), heads_folder.as_deref());
    let root_key = root_key::root_key(document, folder, store_folder.as_deref());
    let server = doors::server(document, folder);
    let tiles_listen = doors::tiles(document);
    let console = doors::console(document, folder);
    let limits = doors::limits_of(document);
    let search = work::search(document);
    let metrics_listen = doors::metrics(document);
    let log = work::log(document);
    let revocation_lists = doors::tls(document, folder);
    let jobs = work::jobs(document);
    let notices = notices::notices(document, folder);
    let canaries = work::alerts(document);
    Some(Config {
        file: file.to_owned(),
        store_folder: store_folder?,
        heads_folder: heads_folder?,
        backup: backup?,
        root_key: root_key?,
        server: server?,
        tiles_listen: tiles_listen?,
        console: console?,
        limits: limits?,
        search: search?,
        metrics_listen: metrics_listen?,
        log: log?,
        revocation_lists: revocation_lists?,
        jobs: jobs?,
        notices: notices?,
        canaries: canaries?,
    })
}

/// A whole number's key, the range that it may lie in, and what it is when nobody says.
struct Range {
    key: &'static str,
    least: u64,
    most: u64,
    default: u64,
}

fn number(
    document: &mut Document<'_>,
    place: &Place,
    value: Option<&Spanned<u64>>,
    range: &Range,
) -> Option<u64> {
    let Some(value) = value else { return Some(range.default) };
    let given = *value.get_ref();
    if (range.least..=range.most).contains(&given) {
        return Some(given);
    }
    let message = format!("`{given}` is outside what is allowed; write {} to {}", range.least, range.most);
    document.fault(place, range.key, value, message)
}

#[cfg(test)]
mod tests;
