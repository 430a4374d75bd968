//! The one configuration file, TOML: read whole, refused whole. `onebit.sample.toml` shows every key.
//!
//! Paths in it are relative to the file itself. An unknown key is a fault, and so is a value outside its range:
//! a wish that would not come true must not look like one that did.

pub mod document;
pub mod material;
mod notices;
mod oidc;
mod terminal;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::console::{ConsoleSettings, Origin};
use crate::door::{DoorLimits, TrustDomainName, limits};
use crate::gate::SessionTimes;
use crate::grpc::{AnswerTime, Reflection};
use crate::ids::{SubjectId, WitnessName};
use crate::index::FirstStage;
use crate::jobs::Cadence;
use crate::keys::Token;
use crate::store::{BackupPlace, StoreError};
use crate::telemetry::{LogFormat, LogSettings, log_layer};

use document::{Document, Faults, Place};
pub use notices::{NoticesConfig, NoticesError, PersonConfig, SmtpConfig, SystemConfig};
pub use oidc::{ClientProof, OidcConfig, OidcError};

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

/// Where backups go and when they are made.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// Their place.
    pub place: BackupPlace,
    /// A backup is made when the newest is older; only when somebody asks for one without.
    pub every: Option<Duration>,
}

/// Where the root key is and what opens it.
#[derive(Debug, Clone)]
pub struct RootKeyConfig {
    /// The root file.
    pub file: PathBuf,
    /// What opens it.
    pub guard: RootGuard,
}

/// What a root file is wrapped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootGuard {
    /// A passphrase.
    Passphrase(SecretSource),
    /// The key of a PKCS#11 token, with the token's PIN.
    Token(Token, SecretSource),
}

/// Where a passphrase or a PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that nobody else may read.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A credential that systemd hands over.
    Credential(String),
    /// Whoever starts the process types it.
    Asked,
}

/// How the server listens and answers.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate with intermediates, PEM.
    pub certificate: PathBuf,
    /// The private key of the certificate, PEM.
    pub key: PathBuf,
    /// Whether it tells its schema to whoever asks.
    pub reflection: Reflection,
    /// How long after their questions answers leave.
    pub answer_time: AnswerTime,
    /// Witnesses that may contradict the database at the start, because a person found them to be wrong.
    pub disbelieved_witnesses: Vec<WitnessName>,
}

/// How people reach the console.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate with intermediates, PEM: one that browsers trust.
    pub certificate: PathBuf,
    /// The private key of the certificate, PEM.
    pub key: PathBuf,
    /// Its address for browsers, and how long sessions last.
    pub settings: ConsoleSettings,
    /// The agency's OpenID provider; none without.
    pub oidc: Option<OidcConfig>,
}

/// How is searched.
#[derive(Debug, Clone)]
pub struct SearchConfig {
    /// How many threads search.
    pub threads: NonZeroUsize,
    /// What searches begin with.
    pub index: FirstStage,
}

/// What may be under way.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Connections and handshakes.
    pub door: DoorLimits,
    /// Requests, all trust domains together.
    pub requests: usize,
    /// Requests of one trust domain.
    pub requests_per_domain: usize,
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
    let (store_folder, heads_folder) = store(document, folder);
    let backup = backup(document, folder, store_folder.as_deref(), heads_folder.as_deref());
    let root_key = root_key(document, folder, store_folder.as_deref());
    let server = server(document, folder);
    let tiles_listen = tiles(document);
    let console = console(document, folder);
    let limits = limits_of(document);
    let search = search(document);
    let metrics_listen = metrics(document);
    let log = log(document);
    let revocation_lists = tls(document, folder);
    let jobs = jobs(document);
    let notices = notices::notices(document, folder);
    let canaries = alerts(document);
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

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct StoreKeys {
    folder: Option<Spanned<PathBuf>>,
    heads_folder: Option<Spanned<PathBuf>>,
}

fn store(document: &mut Document<'_>, folder: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (place, keys): (Place, StoreKeys) = document.section("store");
    let store = document.required(&place, "folder", keys.folder).map(|path| folder.join(path.get_ref()));
    let heads = document.required(&place, "heads_folder", keys.heads_folder).and_then(|heads| {
        let path = folder.join(heads.get_ref());
        let is_beside = store.as_deref().is_some_and(|store| lies_in(&path, store) || lies_in(store, &path));
        if is_beside {
            let message =
                "the heads lie with the database, and would be rolled back with it; name a folder apart";
            return document.fault(&place, "heads_folder", &heads, message);
        }
        Some(path)
    });
    (store, heads)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct BackupKeys {
    folder: Option<Spanned<PathBuf>>,
    keep: Option<Spanned<u64>>,
    every_hours: Option<Spanned<u64>>,
}

fn backup(
    document: &mut Document<'_>,
    folder: &Path,
    store: Option<&Path>,
    heads: Option<&Path>,
) -> Option<Option<BackupConfig>> {
    let (place, keys): (Place, BackupKeys) = document.section("backup");
    let Some(path) = keys.folder else {
        return match keys.keep.or(keys.every_hours) {
            None => Some(None),
            Some(_) => document.fault_of(&place, "no folder for backups is named; add `folder`"),
        };
    };
    let backups = folder.join(path.get_ref());
    let apart = [store, heads].into_iter().flatten();
    for other in apart {
        if lies_in(&backups, other) || lies_in(other, &backups) {
            let message = "backups lie with the store or with the heads, and would be lost with them; name a folder apart";
            return document.fault(&place, "folder", &path, message);
        }
    }
    let range = Range { key: "keep", least: 1, most: BACKUPS_MAX, default: BACKUPS_KEPT };
    let keep = number(document, &place, keys.keep.as_ref(), &range)?;
    let range = Range { key: "every_hours", least: 1, most: BACKUP_EVERY_MAX_H, default: 0 };
    let every = number(document, &place, keys.every_hours.as_ref(), &range)?;
    let every = (every > 0).then(|| Duration::from_secs(every.saturating_mul(3_600)));
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    Some(Some(BackupConfig { place: BackupPlace { folder: backups, keep }, every }))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RootKeyKeys {
    file: Option<Spanned<PathBuf>>,
    passphrase_file: Option<Spanned<PathBuf>>,
    passphrase_env: Option<Spanned<String>>,
    passphrase_credential: Option<Spanned<String>>,
    passphrase_asked: Option<Spanned<bool>>,
    token_module: Option<Spanned<PathBuf>>,
    token_label: Option<Spanned<String>>,
    token_key: Option<Spanned<String>>,
    token_pin_file: Option<Spanned<PathBuf>>,
    token_pin_env: Option<Spanned<String>>,
    token_pin_credential: Option<Spanned<String>>,
    token_pin_asked: Option<Spanned<bool>>,
}

fn root_key(document: &mut Document<'_>, folder: &Path, store: Option<&Path>) -> Option<RootKeyConfig> {
    let (place, keys): (Place, RootKeyKeys) = document.section("root_key");
    let file = document.required(&place, "file", keys.file);
    let file = file.and_then(|file| {
        let path = folder.join(file.get_ref());
        if store.is_some_and(|store| lies_in(&path, store)) {
            return document.fault(&place, "file", &file, StoreError::RootKeyBesideData.to_string());
        }
        Some(path)
    });
    let passphrase = Sources {
        secret: "passphrase",
        file: ("passphrase_file", keys.passphrase_file),
        variable: ("passphrase_env", keys.passphrase_env),
        credential: ("passphrase_credential", keys.passphrase_credential),
        asked: ("passphrase_asked", is_true(keys.passphrase_asked.as_ref())),
    };
    let pin = Sources {
        secret: "PIN",
        file: ("token_pin_file", keys.token_pin_file),
        variable: ("token_pin_env", keys.token_pin_env),
        credential: ("token_pin_credential", keys.token_pin_credential),
        asked: ("token_pin_asked", is_true(keys.token_pin_asked.as_ref())),
    };
    let Some(module) = keys.token_module else {
        let stray = [("token_label", &keys.token_label), ("token_key", &keys.token_key)];
        for (key, value) in stray {
            if let Some(value) = value {
                document.fault::<_, ()>(
                    &place,
                    key,
                    value,
                    "this belongs to a token, and none is named; add `token_module`",
                );
            }
        }
        if pin.is_named() {
            document.fault_of::<()>(&place, "a PIN is named and no token; add `token_module`");
        }
        let guard = source(document, &place, folder, store, passphrase).map(RootGuard::Passphrase);
        return Some(RootKeyConfig { file: file?, guard: guard? });
    };
    if passphrase.is_named() {
        document.fault_of::<()>(&place, "both a passphrase and a token are named; the root key is wrapped by one of them, so remove the other");
    }
    let label = document.required(&place, "token_label", keys.token_label);
    let pin = source(document, &place, folder, store, pin);
    // A module's name alone is looked for by the loader; a path is relative to this file like every other.
    let is_name = module.get_ref().components().count() == 1;
    let module = if is_name { module.into_inner() } else { folder.join(module.get_ref()) };
    let token = Token {
        module,
        label: label?.into_inner(),
        key: keys.token_key.map_or_else(|| TOKEN_KEY.to_owned(), Spanned::into_inner),
    };
    Some(RootKeyConfig { file: file?, guard: RootGuard::Token(token, pin?) })
}

/// The keys that say where a secret comes from, of which one is given.
struct Sources {
    secret: &'static str,
    file: (&'static str, Option<Spanned<PathBuf>>),
    variable: (&'static str, Option<Spanned<String>>),
    credential: (&'static str, Option<Spanned<String>>),
    asked: (&'static str, Option<()>),
}

/// A key that says nothing unless it is true.
fn is_true(value: Option<&Spanned<bool>>) -> Option<()> {
    value.filter(|value| *value.get_ref()).map(|_| ())
}

impl Sources {
    const fn is_named(&self) -> bool {
        self.file.1.is_some()
            || self.variable.1.is_some()
            || self.credential.1.is_some()
            || self.asked.1.is_some()
    }
}

fn source(
    document: &mut Document<'_>,
    place: &Place,
    folder: &Path,
    store: Option<&Path>,
    sources: Sources,
) -> Option<SecretSource> {
    let secret = sources.secret;
    let (file_key, variable_key) = (sources.file.0, sources.variable.0);
    let (credential_key, asked_key) = (sources.credential.0, sources.asked.0);
    match (sources.file.1, sources.variable.1, sources.credential.1, sources.asked.1) {
        (None, None, None, Some(())) => Some(SecretSource::Asked),
        (Some(file), None, None, None) => {
            let path = folder.join(file.get_ref());
            if store.is_some_and(|store| lies_in(&path, store)) {
                let message = format!("the {secret} lies in the database's folder; move it elsewhere");
                return document.fault(place, file_key, &file, message);
            }
            Some(SecretSource::File(path))
        }
        (None, Some(name), None, None) if is_variable(name.get_ref()) => {
            Some(SecretSource::Variable(name.into_inner()))
        }
        (None, Some(name), None, None) => {
            let message = "this is not the name of a variable; write it without `$` and `=`";
            document.fault(place, variable_key, &name, message)
        }
        (None, None, Some(name), None) if is_credential(name.get_ref()) => {
            Some(SecretSource::Credential(name.into_inner()))
        }
        (None, None, Some(name), None) => {
            let message = "this is not the name of a credential; write the name that `LoadCredential=` gives it";
            document.fault(place, credential_key, &name, message)
        }
        (None, None, None, None) => document.fault_of(
            place,
            format!("no {secret} is named; add `{file_key}`, `{variable_key}`, `{credential_key}` or `{asked_key}`"),
        ),
        _ => document.fault_of(
            place,
            format!("more than one {secret} is named; keep one of `{file_key}`, `{variable_key}`, `{credential_key}` and `{asked_key}`"),
        ),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ServerKeys {
    listen: Option<Spanned<String>>,
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
    reflection: Option<bool>,
    disbelieved_witnesses: Option<Vec<Spanned<String>>>,
    answer_after_ms: Option<Spanned<u64>>,
}

fn server(document: &mut Document<'_>, folder: &Path) -> Option<ServerConfig> {
    let (place, keys): (Place, ServerKeys) = document.section("server");
    let listen = match keys.listen {
        Some(listen) => address(document, &place, &listen),
        None => LISTEN.parse().ok(),
    };
    let certificate = document.required(&place, "certificate", keys.certificate);
    let key = document.required(&place, "key", keys.key);
    let reflection = if keys.reflection == Some(true) { Reflection::On } else { Reflection::Off };
    let answer_time = match keys.answer_after_ms {
        None => AnswerTime::after(ANSWER_AFTER).ok(),
        Some(millis) => AnswerTime::after(Duration::from_millis(*millis.get_ref()))
            .map_or_else(|error| document.fault(&place, "answer_after_ms", &millis, error.to_string()), Some),
    };
    let mut disbelieved_witnesses = Some(Vec::new());
    for name in keys.disbelieved_witnesses.unwrap_or_default() {
        match name.get_ref().parse::<WitnessName>() {
            Ok(name) => disbelieved_witnesses.iter_mut().for_each(|all| all.push(name.clone())),
            Err(error) => {
                disbelieved_witnesses =
                    document.fault(&place, "disbelieved_witnesses", &name, error.to_string());
            }
        }
    }
    Some(ServerConfig {
        listen: listen?,
        certificate: folder.join(certificate?.get_ref()),
        key: folder.join(key?.get_ref()),
        reflection,
        answer_time: answer_time?,
        disbelieved_witnesses: disbelieved_witnesses?,
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TilesKeys {
    listen: Option<Spanned<String>>,
}

fn tiles(document: &mut Document<'_>) -> Option<Option<SocketAddr>> {
    let (place, keys): (Place, TilesKeys) = document.section("tiles");
    match keys.listen {
        None => Some(None),
        Some(listen) => address(document, &place, &listen).map(Some),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ConsoleKeys {
    listen: Option<Spanned<String>>,
    origin: Option<Spanned<String>>,
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
    idle_minutes: Option<Spanned<u64>>,
    longest_hours: Option<Spanned<u64>>,
    oidc: Option<oidc::OidcKeys>,
}

fn console(document: &mut Document<'_>, folder: &Path) -> Option<Option<ConsoleConfig>> {
    let (place, keys): (Place, ConsoleKeys) = document.section("console");
    let Some(listen) = keys.listen else {
        let stray = keys.origin.is_some() || keys.certificate.is_some() || keys.key.is_some();
        let stray =
            stray || keys.idle_minutes.is_some() || keys.longest_hours.is_some() || keys.oidc.is_some();
        return if stray {
            document.fault_of(&place, "nothing is said of where the console listens; add `listen`")
        } else {
            Some(None)
        };
    };
    let listen = address(document, &place, &listen);
    let origin = document.required(&place, "origin", keys.origin).and_then(|origin| {
        match origin.get_ref().parse::<Origin>() {
            Ok(parsed) => Some(parsed),
            Err(error) => document.fault(&place, "origin", &origin, error.to_string()),
        }
    });
    let certificate = document.required(&place, "certificate", keys.certificate);
    let key = document.required(&place, "key", keys.key);
    let range = Range { key: "idle_minutes", least: 2, most: IDLE_MAX_M, default: IDLE_M };
    let idle = number(document, &place, keys.idle_minutes.as_ref(), &range);
    let range = Range { key: "longest_hours", least: 1, most: LONGEST_MAX_H, default: LONGEST_H };
    let longest = number(document, &place, keys.longest_hours.as_ref(), &range);
    let oidc = match keys.oidc {
        Some(keys) => oidc::oidc(document, &place, folder, keys).map(Some),
        None => Some(None),
    };
    let sessions = SessionTimes {
        idle: Duration::from_secs(idle?.saturating_mul(60)),
        longest: Duration::from_secs(longest?.saturating_mul(3_600)),
    };
    Some(Some(ConsoleConfig {
        listen: listen?,
        certificate: folder.join(certificate?.get_ref()),
        key: folder.join(key?.get_ref()),
        settings: ConsoleSettings { origin: origin?, sessions },
        oidc: oidc?,
    }))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LimitKeys {
    connections: Option<Spanned<u64>>,
    connections_per_domain: Option<Spanned<u64>>,
    handshakes: Option<Spanned<u64>>,
    handshakes_per_address: Option<Spanned<u64>>,
    requests: Option<Spanned<u64>>,
    requests_per_domain: Option<Spanned<u64>>,
}

fn limits_of(document: &mut Document<'_>) -> Option<LimitsConfig> {
    let (place, keys): (Place, LimitKeys) = document.section("limits");
    // A configuration may tighten a limit; loosening one takes its derivation beside the constant.
    let mut limit = |key, value: &Option<Spanned<u64>>, default: usize| {
        let default = u64::try_from(default).unwrap_or(u64::MAX);
        let kept = number(document, &place, value.as_ref(), &Range { key, least: 1, most: default, default });
        kept.and_then(|kept| usize::try_from(kept).ok())
    };
    let connections = limit("connections", &keys.connections, limits::CONNECTIONS);
    let connections_per_domain =
        limit("connections_per_domain", &keys.connections_per_domain, limits::CONNECTIONS_PER_DOMAIN);
    let handshakes = limit("handshakes", &keys.handshakes, limits::HANDSHAKES);
    let handshakes_per_address =
        limit("handshakes_per_address", &keys.handshakes_per_address, limits::HANDSHAKES_PER_ADDRESS);
    let requests = limit("requests", &keys.requests, limits::RPCS);
    let requests_per_domain =
        limit("requests_per_domain", &keys.requests_per_domain, limits::RPCS_PER_DOMAIN);
    let door = DoorLimits {
        connections: connections?,
        connections_per_domain: connections_per_domain?,
        handshakes: handshakes?,
        handshakes_per_address: handshakes_per_address?,
        ..DoorLimits::default()
    };
    Some(LimitsConfig { door, requests: requests?, requests_per_domain: requests_per_domain? })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SearchKeys {
    threads: Option<Spanned<u64>>,
    index: Option<Spanned<String>>,
}

fn search(document: &mut Document<'_>) -> Option<SearchConfig> {
    let (place, keys): (Place, SearchKeys) = document.section("search");
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let default = u64::try_from(cores.get()).unwrap_or(1).min(THREADS_MAX);
    let range = Range { key: "threads", least: 1, most: THREADS_MAX, default };
    let threads = number(document, &place, keys.threads.as_ref(), &range);
    let threads = threads.and_then(|threads| usize::try_from(threads).ok()).and_then(NonZeroUsize::new);
    let index = match keys.index {
        None => Some(FirstStage::default()),
        Some(index) => {
            let parsed = index.get_ref().parse::<FirstStage>();
            match parsed.and_then(|stage| stage.available().map(|()| stage)) {
                Ok(stage) => Some(stage),
                Err(error) => document.fault(&place, "index", &index, error.to_string()),
            }
        }
    };
    Some(SearchConfig { threads: threads?, index: index? })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MetricsKeys {
    listen: Option<Spanned<String>>,
}

fn metrics(document: &mut Document<'_>) -> Option<Option<SocketAddr>> {
    let (place, keys): (Place, MetricsKeys) = document.section("metrics");
    match keys.listen {
        None => Some(None),
        Some(listen) => address(document, &place, &listen).map(Some),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogKeys {
    format: Option<Spanned<String>>,
    filter: Option<Spanned<String>>,
}

fn log(document: &mut Document<'_>) -> Option<LogSettings> {
    let (place, keys): (Place, LogKeys) = document.section("log");
    let mut settings = LogSettings::default();
    let mut sound = Some(());
    if let Some(format) = keys.format {
        match format.get_ref().parse::<LogFormat>() {
            Ok(format) => settings.format = format,
            Err(error) => sound = document.fault(&place, "format", &format, error.to_string()),
        }
    }
    if let Some(filter) = keys.filter {
        settings.filter.clone_from(filter.get_ref());
        let layer = log_layer::<tracing_subscriber::Registry, _>(&settings, io::sink());
        if let Err(error) = layer.map(drop) {
            sound = document.fault(&place, "filter", &filter, error.to_string());
        }
    }
    sound.map(|()| settings)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsKeys {
    revocation_lists: BTreeMap<Spanned<String>, Vec<PathBuf>>,
}

fn tls(document: &mut Document<'_>, folder: &Path) -> Option<BTreeMap<TrustDomainName, Vec<PathBuf>>> {
    let (place, keys): (Place, TlsKeys) = document.section("tls");
    let mut lists = BTreeMap::new();
    let mut sound = Some(());
    for (domain, files) in keys.revocation_lists {
        match TrustDomainName::parse(domain.get_ref()) {
            Ok(name) => {
                lists.insert(name, files.iter().map(|file| folder.join(file)).collect());
            }
            Err(error) => sound = document.fault(&place, "revocation_lists", &domain, error.to_string()),
        }
    }
    sound.map(|()| lists)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct JobKeys {
    heads_every_s: Option<Spanned<u64>>,
    witnesses_every_s: Option<Spanned<u64>>,
    tending_every_s: Option<Spanned<u64>>,
    retention_every_s: Option<Spanned<u64>>,
    snapshots_every_s: Option<Spanned<u64>>,
    notices_every_s: Option<Spanned<u64>>,
}

fn jobs(document: &mut Document<'_>) -> Option<Cadence> {
    let (place, keys): (Place, JobKeys) = document.section("jobs");
    let default = Cadence::default();
    let mut every = |key, value: &Option<Spanned<u64>>, default: Duration| {
        let range = Range { key, least: 1, most: JOB_EVERY_MAX_S, default: default.as_secs() };
        number(document, &place, value.as_ref(), &range).map(Duration::from_secs)
    };
    let heads = every("heads_every_s", &keys.heads_every_s, default.heads);
    let witnesses = every("witnesses_every_s", &keys.witnesses_every_s, default.witnesses);
    let tending = every("tending_every_s", &keys.tending_every_s, default.tending);
    let retention = every("retention_every_s", &keys.retention_every_s, default.retention);
    let snapshots = every("snapshots_every_s", &keys.snapshots_every_s, default.snapshots);
    let notices = every("notices_every_s", &keys.notices_every_s, default.notices);
    Some(Cadence {
        notices: notices?,
        heads: heads?,
        witnesses: witnesses?,
        tending: tending?,
        retention: retention?,
        snapshots: snapshots?,
        ..default
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AlertKeys {
    canaries: Vec<Spanned<String>>,
}

fn alerts(document: &mut Document<'_>) -> Option<BTreeSet<SubjectId>> {
    let (place, keys): (Place, AlertKeys) = document.section("alerts");
    let mut canaries = Some(BTreeSet::new());
    for name in &keys.canaries {
        match SubjectId::parse_resource(name.get_ref()) {
            Ok(subject) => {
                canaries.as_mut().map(|all| all.insert(subject));
            }
            Err(error) => canaries = document.fault(&place, "canaries", name, error.to_string()),
        }
    }
    canaries
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

fn address(document: &mut Document<'_>, place: &Place, listen: &Spanned<String>) -> Option<SocketAddr> {
    match listen.get_ref().parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let message = format!("`{}` is not an address with a port; write `{LISTEN}`", listen.get_ref());
            document.fault(place, "listen", listen, message)
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// systemd.exec(5): a credential's name can be a file's name.
fn is_credential(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// Whether a path lies in a folder, links followed as far as they exist.
fn lies_in(path: &Path, folder: &Path) -> bool {
    resolved(path).starts_with(resolved(folder))
}

fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut real = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            real.pop();
            continue;
        }
        real.push(part);
        // A link's own `..` leads from where the link points to, so each part is followed before the next.
        if let Ok(followed) = real.canonicalize() {
            real = followed;
        }
    }
    real
}

/// A week of days.
const BACKUPS_KEPT: u64 = 7;
/// Keys of so many lie in the key store; more belong into an archive.
const BACKUPS_MAX: u64 = 10_000;
/// A month.
const BACKUP_EVERY_MAX_H: u64 = 31 * 24;
/// NIST SP 800-63B-4, section 2.3.3: inactivity of 15 minutes at most and 12 hours in all, at its highest level.
const IDLE_M: u64 = 15;
const IDLE_MAX_M: u64 = 60;
const LONGEST_H: u64 = 8;
const LONGEST_MAX_H: u64 = 12;
/// What the token's key is called unless the configuration says otherwise.
const TOKEN_KEY: &str = "onebit-root";
const LISTEN: &str = "127.0.0.1:7443";
/// Above the 99.9th percentile of a query on a million templates with a commit to a disk that takes 10 ms.
const ANSWER_AFTER: Duration = Duration::from_millis(40);
/// More than any machine of today has cores.
const THREADS_MAX: u64 = 1_024;
const JOB_EVERY_MAX_S: u64 = 3_600;

#[cfg(test)]
mod tests;
