//! From a configuration to a server that listens, and from there to its end: config → parts → serve → drain.
//!
//! What is fatal at the start is not fatal later: a running server keeps its last good certificate and trust,
//! tries its jobs again, and says through its health that it does not serve.

mod health;
pub mod memory;
pub mod signals;
mod trust;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tonic::transport::Server;

use crate::clock::SystemClock;
use crate::config::material::{MaterialError, process_environment};
use crate::config::{Config, ConfigError, LimitsConfig, NoticesError, OidcError};
use crate::console::assets::{NO_STYLE, is_built};
use crate::console::{Console, ConsoleSettings};
use crate::door::{Door, GuestDoor, RpcSlots, SettingsError, Speaks, TlsHandle};
use crate::gate::{Gate, GateError, GateParts, OpenError, WitnessRefusal};
use crate::grpc::{self, AnswerTime, Reflection, ReflectionError, ServiceSettings, Services};
use crate::index::{self, IndexError};
use crate::jobs::Jobs;
use crate::outbox::{ExchangeError, NoticeSettings, Provider};
use crate::secret::SystemEntropy;
use crate::store::StoreError;
use crate::store::sqlite::{self, SqliteStore};
use crate::telemetry::{self, TelemetryError};
use crate::tiles::Tiles;

use health::Health;
use signals::Told;
use trust::TrustKeeper;

/// Why a server did not start, or ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The processor or the search threads.
    #[error("the search can't be started")]
    Search(#[from] IndexError),
    /// Passphrase, root key, certificate, key or revocation lists.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// No store where the configuration says.
    #[error(
        "there is no store in `{0}`; hold the first-start ceremony with `onebit init`, or correct `store.folder`"
    )]
    NoStore(PathBuf),
    /// Another server on the same store.
    #[error("another server uses the store in `{0}`; stop it first, one store has one server")]
    InUse(PathBuf),
    /// The store's folder does not let itself be used.
    #[error("the store's folder `{path}` can't be used; check who owns it")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store.
    #[error("the store can't be opened")]
    Store(#[from] StoreError),
    /// The gate.
    #[error("the rules, people and galleries can't be loaded")]
    Open(#[from] OpenError),
    /// TLS.
    #[error("the door can't be opened with this certificate and trust")]
    Tls(#[from] SettingsError),
    /// TLS of the console.
    #[error(
        "the console can't be opened with its certificate and key; see the section `[console]` of the configuration"
    )]
    ConsoleTls(#[source] SettingsError),
    /// A console without its style.
    #[error("{NO_STYLE}")]
    ConsoleStyle,
    /// The address.
    #[error("`{address}` can't be listened at; check that it is this machine's and free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// What notices are sent with.
    #[error("notices can't be sent as they are configured")]
    Notices(#[source] NoticesError),
    /// What the OpenID provider is spoken to with.
    #[error("people can't sign in by the OpenID provider as it is configured; see `[console.oidc]`")]
    Oidc(#[from] OidcError),
    /// The authority of the OpenID provider.
    #[error("the OpenID provider's authority can't be used; see `oidc.authority` in `[console]`")]
    OidcTls(#[source] ExchangeError),
    /// Metrics.
    #[error("metrics can't be served")]
    Metrics(#[from] TelemetryError),
    /// A witness saw what is not in the database.
    #[error("the journal is not the one that witnesses saw, so nothing is signed")]
    Witnessed(#[from] WitnessRefusal),
    /// The entry that says that the server was started.
    #[error("the start could not be written into the log, so nothing is answered")]
    Started(#[source] GateError),
    /// The canary.
    #[error("the server is not ready: the canary question failed")]
    NotReady(#[source] GateError),
    /// The services can't be set up.
    #[error("the services can't be set up")]
    Services(#[from] ReflectionError),
    /// The server ended by itself.
    #[error("the server ended although nobody told it to; start it again")]
    Ended(#[source] Option<tonic::transport::Error>),
}

/// Serves until told to stop: then no connection is accepted any more, what is under way is finished within 20
/// seconds, and the rest is cut off. Told a second time, it ends at once.
///
/// `ready` is called once, with the addresses that the server listens at.
///
/// # Errors
/// [`ServerError`]; an orderly end is none.
pub async fn serve(
    config: Config,
    mut told: mpsc::Receiver<Told>,
    ready: impl FnOnce(Listening),
) -> Result<(), ServerError> {
    let started = tokio::select! {
        opened = Opened::open(&config) => opened?.start(&config).await?,
        () = stop(&mut told) => return Ok(()),
    };
    let Listening { calls, tiles, console } = started.listening;
    tracing::info!(port = calls.port(), version = env!("CARGO_PKG_VERSION"), "listening");
    if let Some(tiles) = tiles {
        tracing::info!(port = tiles.port(), "the log is served over HTTPS");
    }
    if let Some(console) = console {
        tracing::info!(port = console.port(), "the console is open");
    }
    ready(started.listening);
    started.run(told).await
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    /// For calls.
    pub calls: SocketAddr,
    /// For reads of the log over HTTPS, where it is served.
    pub tiles: Option<SocketAddr>,
    /// For browsers, where there is a console.
    pub console: Option<SocketAddr>,
}

/// Everything that a server is made of, before its doors open.
struct Opened {
    gate: Arc<Gate>,
    trust: TrustKeeper,
    calls: TcpListener,
    tiles: Option<TcpListener>,
    console: Option<(TcpListener, ConsoleSettings, Option<Arc<Provider>>)>,
    notices: NoticeSettings,
    listening: Listening,
    _lock: File,
}

impl Opened {
    async fn open(config: &Config) -> Result<Self, ServerError> {
        let (calls, at) = listen(config.server.listen).await?;
        let mut listening = Listening { calls: at, tiles: None, console: None };
        let mut tiles = None;
        if let Some(address) = config.tiles_listen {
            let (listener, at) = listen(address).await?;
            (tiles, listening.tiles) = (Some(listener), Some(at));
        }
        let mut console = None;
        if let Some(of_console) = &config.console {
            if !is_built() {
                return Err(ServerError::ConsoleStyle);
            }
            let (listener, at) = listen(of_console.listen).await?;
            let provider = provider(config)?;
            console = Some((listener, of_console.settings.clone(), provider));
            listening.console = Some(at);
        }
        if let Some(listen) = config.metrics_listen {
            telemetry::metrics_init(Some(listen))?;
        }
        let notices = config.notices_open().map_err(ServerError::Notices)?;
        let lock = store_lock(&config.store_folder)?;
        let store = store_open(config.clone()).await?;
        let keys = store.keys();
        let parts = GateParts {
            store: Arc::new(store),
            keys,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
            pool: index::pool(config.search.threads)?,
            first_stage: config.search.index.clone(),
            canaries: config.canaries.clone(),
        };
        let gate = Arc::new(Gate::open(parts).await?);
        let trust = TrustKeeper::open(&gate, config)?;
        Ok(Self { gate, trust, calls, tiles, console, notices, listening, _lock: lock })
    }

    /// Notes the start, asks the canary, and opens the doors.
    async fn start(self, config: &Config) -> Result<Started, ServerError> {
        let Self { gate, trust, calls, tiles, console, notices, listening, _lock } = self;
        gate.witnesses_claim();
        gate.witnesses_compare(&config.server.disbelieved_witnesses).await?;
        let _receipt = gate.server_started().await.map_err(ServerError::Started)?;
        health::canary(&gate).await.map_err(ServerError::NotReady)?;

        let Services { routes, health } = grpc::services(&gate, &settings(config))?;
        let health = Arc::new(Health::new(health));
        let tls = Arc::clone(trust.tls());
        let (open, closed) = watch::channel(());
        let mut serving = JoinSet::new();
        let incoming =
            Door::new(calls, Arc::clone(&tls), Speaks::Http2, config.limits.door).open(gone(closed.clone()));
        let router = grpc::limits::apply(Server::builder()).add_routes(routes);
        serving.spawn(router.serve_with_incoming_shutdown(incoming, gone(closed.clone())));
        if let Some(tiles) = tiles {
            let incoming = Door::new(tiles, Arc::clone(&tls), Speaks::Http2OrHttp1, config.limits.door)
                .open(gone(closed.clone()));
            let (tiles, closed) = (Tiles::new(Arc::clone(&gate)), closed.clone());
            serving.spawn(async move {
                tiles.serve(incoming, gone(closed)).await;
                Ok(())
            });
        }
        if let (Some((listener, settings, provider)), Some(tls)) = (console, trust.console()) {
            if let Some(provider) = &provider {
                tokio::spawn(discover(Arc::clone(provider)));
            }
            let door = GuestDoor::new(listener, Arc::clone(tls), config.limits.door);
            let incoming = door.open(gone(closed.clone()));
            let console = Console::new(Arc::clone(&gate), settings, provider, health.serving());
            serving.spawn(async move {
                console.serve(incoming, gone(closed)).await;
                Ok(())
            });
        }

        let (reload, told_to_reload) = mpsc::channel(1);
        let file = config.file.clone();
        let keeping = tokio::spawn(async move { trust.keep(&file, told_to_reload).await });
        let watching = tokio::spawn(Arc::clone(&health).watch(Arc::clone(&gate)));
        gate.notices_prepare(&notices).await.map_err(ServerError::NotReady)?;
        let mut jobs = Jobs::start(&gate, config.jobs);
        jobs.start_notices(&gate, notices, config.jobs.notices);
        if let Some(backup) = &config.backup {
            jobs.start_backups(&gate, backup.every);
        }
        Ok(Started { listening, tls, health, open, reload, serving, keeping, watching, jobs, _lock })
    }
}

/// A server whose doors are open.
struct Started {
    listening: Listening,
    tls: Arc<TlsHandle>,
    health: Arc<Health>,
    /// Dropping it closes the doors.
    open: watch::Sender<()>,
    reload: mpsc::Sender<()>,
    /// What stands behind each door. None of it ends by itself.
    serving: JoinSet<Result<(), tonic::transport::Error>>,
    keeping: JoinHandle<()>,
    watching: JoinHandle<()>,
    jobs: Jobs,
    _lock: File,
}

impl Started {
    async fn run(mut self, mut told: mpsc::Receiver<Told>) -> Result<(), ServerError> {
        loop {
            tokio::select! {
                ended = self.serving.join_next() => {
                    let error = ended.and_then(Result::ok).and_then(Result::err);
                    return Err(ServerError::Ended(error));
                }
                what = told.recv() => match what {
                    // One that waits already will read what is there when its turn comes.
                    Some(Told::Reload) => drop(self.reload.try_send(())),
                    Some(Told::Stop) | None => break,
                },
            }
        }
        self.drain(told).await;
        Ok(())
    }

    /// Stops accepting, lets what is under way finish, and cuts off what does not.
    async fn drain(self, mut told: mpsc::Receiver<Told>) {
        tracing::info!(count = self.tls.live().count(), "draining: no connection is accepted any more");
        self.watching.abort();
        // Its last word must not come after ours.
        let _aborted = self.watching.await;
        self.health.close().await;
        drop(self.open);
        drop(self.reload);
        let jobs = tokio::spawn(self.jobs.stop(DRAIN_LONGEST));
        let mut serving = self.serving;
        let drained = tokio::select! {
            () = all_ended(&mut serving) => true,
            () = tokio::time::sleep(DRAIN_LONGEST) => false,
            () = stop(&mut told) => false,
        };
        if !drained {
            let cut = self.tls.live().drop_all();
            tracing::warn!(count = cut, "connections that did not end were cut off");
            let _late = timeout(CUT_LONGEST, all_ended(&mut serving)).await;
        }
        let _ended = self.keeping.await;
        if drained {
            let _ended = jobs.await;
        } else {
            jobs.abort();
        }
        tracing::info!("stopped");
    }
}

fn provider(config: &Config) -> Result<Option<Arc<Provider>>, ServerError> {
    let Some(settings) = config.oidc_open()? else { return Ok(None) };
    let provider = Provider::new(settings, Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    Ok(Some(Arc::new(provider.map_err(ServerError::OidcTls)?)))
}

/// Whether it can be asked is known from the start; the server starts without it all the same.
async fn discover(provider: Arc<Provider>) {
    match provider.discover().await {
        Ok(()) => tracing::info!("the OpenID provider was found"),
        Err(error) => {
            tracing::warn!(error = %telemetry::chain(&error), "the OpenID provider can't be asked yet; it is asked again when somebody signs in");
        }
    }
}

fn settings(config: &Config) -> ServiceSettings {
    if config.server.answer_time == AnswerTime::AtOnce {
        tracing::warn!(
            "answers leave as soon as they are ready, so that their time tells about the gallery; set an answer time"
        );
    }
    if config.server.reflection == Reflection::On {
        tracing::warn!("anybody who connects may read the schemas; switch reflection off in production");
    }
    let LimitsConfig { requests, requests_per_domain, .. } = config.limits;
    ServiceSettings {
        answer_time: config.server.answer_time,
        reflection: config.server.reflection,
        slots: Arc::new(RpcSlots::new(requests, requests_per_domain)),
        console: config.console.as_ref().map(|console| console.settings.origin.to_string()),
    }
}

/// Opens the root key and the store, which hash a passphrase and read a disk.
async fn store_open(config: Config) -> Result<SqliteStore, ServerError> {
    let opening = tokio::task::spawn_blocking(move || {
        let root = config.root_key.open(&process_environment)?;
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
        let place = config.backup.as_ref().map(|backup| &backup.place);
        let (store, heads) = (&config.store_folder, &config.heads_folder);
        Ok(SqliteStore::open_with_backups(store, heads, place, root, clock, entropy)?)
    });
    opening.await.map_err(|_| ServerError::Store(StoreError::Closed))?
}

/// One store has one server: two would each believe that the journals end where they wrote last.
///
/// The lock ends with the process, however it ends.
///
/// # Errors
/// [`ServerError::NoStore`], [`ServerError::InUse`], or [`ServerError::Folder`].
pub fn store_lock(folder: &Path) -> Result<File, ServerError> {
    let [database, _] = sqlite::files(folder);
    if !database.exists() {
        return Err(ServerError::NoStore(folder.to_owned()));
    }
    let unusable = |source| ServerError::Folder { path: folder.to_owned(), source };
    let lock = File::create(folder.join(LOCK_FILE)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(ServerError::InUse(folder.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(unusable(source)),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let unusable = |source| ServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let at = listener.local_addr().map_err(unusable)?;
    Ok((listener, at))
}

async fn all_ended<T: 'static>(tasks: &mut JoinSet<T>) {
    while tasks.join_next().await.is_some() {}
}

/// Waits until the sender is gone; nothing is ever sent.
async fn gone(mut closed: watch::Receiver<()>) {
    let _sender_is_gone = closed.changed().await;
}

/// Waits until told to stop; what else comes is passed over.
async fn stop(told: &mut mpsc::Receiver<Told>) {
    loop {
        match told.recv().await {
            Some(Told::Reload) => {}
            Some(Told::Stop) => return,
            // Nobody can tell any more, so nobody will.
            None => std::future::pending().await,
        }
    }
}

const LOCK_FILE: &str = "lock";
/// Twice an RPC's deadline; service managers wait 90 seconds and more before they kill.
const DRAIN_LONGEST: Duration = Duration::from_secs(20);
/// Connections that were cut off end as soon as their task runs.
const CUT_LONGEST: Duration = Duration::from_secs(2);
