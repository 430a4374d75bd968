//! A holder for a test: the real executable, listening on loopback, with a store of its own in a folder that
//! goes away with the test.
//!
//! The ceremony is held once; every test gets a copy of what it made. Nothing here waits for a while: it waits
//! for a line, an answer or the end of a process, and fails when that takes longer than [`PATIENCE`].

use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody whom the ceremony named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    role: &'static str,
    partner: &'static str,
    nth: usize,
}

/// The people and systems of the ceremony, by role.
pub(crate) mod who {
    use super::Who;

    /// The system of the partner `au-border`.
    pub(crate) const AU: Who = Who { role: "partner-system", partner: "au-border", nth: 0 };
    /// The system of the partner `ca-border`.
    pub(crate) const CA: Who = Who { role: "partner-system", partner: "ca-border", nth: 0 };
    /// The system that enrols.
    pub(crate) const ENROLLER: Who = at_the_holder("enrolment-system", 0);
    /// An approving officer.
    pub(crate) const OFFICER: Who = at_the_holder("approving-officer", 0);
    /// Another approving officer.
    pub(crate) const OTHER_OFFICER: Who = at_the_holder("approving-officer", 1);
    /// An examiner.
    pub(crate) const EXAMINER: Who = at_the_holder("examiner", 0);
    /// The system of a witness.
    pub(crate) const WITNESS: Who = at_the_holder("witness", 0);
    /// A privacy officer.
    pub(crate) const PRIVACY: Who = at_the_holder("privacy-officer", 0);
    /// An administrator.
    pub(crate) const ADMIN: Who = at_the_holder("administrator", 0);
    /// Another administrator.
    pub(crate) const OTHER_ADMIN: Who = at_the_holder("administrator", 1);

    const fn at_the_holder(role: &'static str, nth: usize) -> Who {
        Who { role, partner: "", nth }
    }
}

impl Who {
    /// The name in the registry and the log.
    pub(crate) fn name(self) -> &'static str {
        &self.named().name
    }

    /// The id in the certificate.
    pub(crate) fn spiffe_id(self) -> &'static str {
        &self.named().spiffe_id
    }

    /// The files with certificate and key, relative to the holder's folder.
    pub(crate) fn credential(self) -> [PathBuf; 2] {
        let certificate = &self.named().certificate;
        [certificate.clone(), certificate.with_file_name("key.pem")]
    }

    fn named(self) -> &'static Named {
        let of_role = |named: &&Named| named.role == self.role && named.partner == self.partner;
        ceremony()
            .iter()
            .filter(of_role)
            .nth(self.nth)
            .unwrap_or_else(|| panic!("the ceremony named nobody as {self:?}"))
    }
}

/// Somebody, as the ceremony's file has it.
#[derive(serde::Deserialize)]
struct Named {
    name: String,
    role: String,
    #[serde(default)]
    partner: String,
    spiffe_id: String,
    certificate: PathBuf,
}

/// What a test wants otherwise than the ceremony made it.
#[derive(Default, Clone)]
pub(crate) struct HolderOptions {
    /// Keys of the configuration: section, key, value.
    pub(crate) config: Vec<(&'static str, &'static str, toml::Value)>,
    /// What to replace in files of the policy folder: file, text, the text instead.
    pub(crate) policy: Vec<(&'static str, &'static str, &'static str)>,
    /// How many synthetic people are enrolled, from the first on.
    pub(crate) people: u64,
}

impl HolderOptions {
    /// With so many people, and otherwise as the ceremony made it.
    pub(crate) fn people(people: u64) -> Self {
        Self { people, ..Self::default() }
    }

    /// With a key of the configuration.
    pub(crate) fn config(
        mut self,
        section: &'static str,
        key: &'static str,
        value: impl Into<toml::Value>,
    ) -> Self {
        self.config.push((section, key, value.into()));
        self
    }

    /// With a console at an address of its own; and its origin.
    pub(crate) fn console(self) -> (Self, String) {
        let address = free_address();
        let origin = format!("https://localhost:{}", address.rsplit_once(':').unwrap().1);
        let options = self
            .config("console", "listen", address)
            .config("console", "origin", origin.clone())
            .config("console", "certificate", "server/certificate.pem")
            .config("console", "key", "server/key.pem");
        (options, origin)
    }

    /// With a text of the policy folder replaced, which must be there exactly once.
    pub(crate) fn policy(mut self, file: &'static str, text: &'static str, instead: &'static str) -> Self {
        self.policy.push((file, text, instead));
        self
    }
}

/// A holder with its server.
pub(crate) struct Holder {
    folder: TempDir,
    server: Option<Server>,
}

struct Server {
    child: Child,
    port: u16,
    tiles: Option<u16>,
}

impl Holder {
    /// Starts a holder; its policy is the active one and its people are enrolled when this returns.
    pub(crate) async fn start(options: HolderOptions) -> Self {
        let mut holder = Self::prepared(&options);
        holder.serve().await;
        if !options.policy.is_empty() {
            holder.policy_activate(&options.policy);
        }
        if options.people > 0 {
            holder.enrol(0..options.people).await;
        }
        holder
    }

    /// A holder whose server is not started yet.
    pub(crate) fn prepared(options: &HolderOptions) -> Self {
        let folder = TempDir::new().unwrap();
        copy(template(), folder.path());
        let holder = Self { folder, server: None };
        holder.configure("server", "listen", "127.0.0.1:0");
        holder.configure("server", "answer_after_ms", 0);
        holder.configure("log", "format", "json");
        for (section, key, value) in &options.config {
            holder.configure(section, key, value.clone());
        }
        holder
    }

    /// Sets a key of the configuration; it holds from the next start on.
    pub(crate) fn configure(&self, section: &str, key: &str, value: impl Into<toml::Value>) {
        let text = fs::read_to_string(self.config()).unwrap();
        let mut document: toml::Table = text.parse().unwrap();
        let section = document.entry(section).or_insert_with(|| toml::Table::new().into());
        section.as_table_mut().unwrap().insert(key.to_owned(), value.into());
        fs::write(self.config(), document.to_string()).unwrap();
    }

    /// Starts the server and waits until it serves.
    pub(crate) async fn serve(&mut self) {
        self.serve_by(Command::new(ONEBIT)).await;
    }

    /// Starts the server by a command that ends in the executable, and waits until it serves.
    pub(crate) async fn serve_by(&mut self, command: Command) {
        self.launch(command);
        let serving = || async { self.health().await == Some(ServingStatus::Serving) };
        until("the server says that it serves", serving).await;
    }

    /// Starts the server and waits for nothing but its port.
    pub(crate) fn launch(&mut self, mut command: Command) {
        assert!(self.server.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        command.args(["serve", "--config"]).arg(self.config());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (told, line) = mpsc::channel();
        let port_of = |address: &str| address.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Goes on reading, so that the server never waits for somebody to read.
        std::thread::spawn(move || {
            let mut tiles = None;
            for line in lines.map_while(Result::ok) {
                if let Some((_, at)) = line.rsplit_once("serving the log at ") {
                    tiles = port_of(at);
                } else if let Some((_, at)) = line.rsplit_once("listening on ") {
                    let _receiver_may_be_gone = told.send((port_of(at), tiles));
                }
            }
        });
        match line.recv_timeout(PATIENCE) {
            Ok((port, tiles)) => self.server = Some(Server { child, port: port.unwrap(), tiles }),
            Err(_) => {
                let _may_be_over = child.kill();
                panic!("the server did not say where it listens; its log:\n{}", self.log_output());
            }
        }
    }

    /// What the server says that refuses to start.
    pub(crate) fn start_refused(&self) -> String {
        let patience = PATIENCE.as_secs().to_string();
        let mut command = Command::new("timeout");
        let ran = command.args([&patience, ONEBIT, "serve", "--config"]).arg(self.config()).output().unwrap();
        let words = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "the server should not have started:\n{words}");
        words
    }

    /// Asks the server to end, and waits until it has done so in order.
    pub(crate) async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "the server ended with {status}; its log:\n{}", self.log_output());
    }

    /// Asks the server to end.
    pub(crate) fn terminate(&self) {
        let server = self.server.as_ref().expect("the server should run");
        let sent =
            Command::new("sh").args(["-c", &format!("kill -TERM {}", server.child.id())]).status().unwrap();
        assert!(sent.success(), "no signal could be sent");
    }

    /// Waits until the server has ended. Open connections of this process go on meanwhile, so that they can hear
    /// that the server wants to end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("the server should run");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = server.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > until {
                let _may_be_over = server.child.kill();
                panic!("the server does not end; its log:\n{}", self.log_output());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Kills the server, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("the server should run");
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    }

    /// Makes the server crash, as a fault of its own would, and waits until it is gone.
    pub(crate) fn crash(&mut self) {
        let mut server = self.server.take().expect("the server should run");
        let sent = Command::new("sh").args(["-c", &format!("kill -ABRT {}", server.child.id())]).status();
        assert!(sent.unwrap().success(), "no signal could be sent");
        let status = server.child.wait().unwrap();
        assert!(!status.success(), "the server should have crashed, and ended with {status}");
    }

    /// Ends the server in order and starts it again.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.serve().await;
    }

    /// The number of the server's process.
    pub(crate) fn process(&self) -> u32 {
        self.server.as_ref().expect("the server should run").child.id()
    }

    /// The port that the server listens on.
    pub(crate) fn port(&self) -> u16 {
        self.server.as_ref().expect("the server should run").port
    }

    /// The port that the server serves the log on.
    pub(crate) fn tiles_port(&self) -> u16 {
        let server = self.server.as_ref().expect("the server should run");
        server.tiles.expect("the test should have configured `tiles.listen`")
    }

    /// A file of the holder.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("onebit.toml")
    }

    /// The folder of the newest signed checkpoints.
    pub(crate) fn heads_folder(&self) -> PathBuf {
        let document: toml::Table = fs::read_to_string(self.config()).unwrap().parse().unwrap();
        self.path(document["store"]["heads_folder"].as_str().unwrap())
    }

    /// The folder of the store.
    pub(crate) fn store_folder(&self) -> PathBuf {
        let document: toml::Table = fs::read_to_string(self.config()).unwrap().parse().unwrap();
        self.path(document["store"]["folder"].as_str().unwrap())
    }

    /// The key that verifies a journal, as the ceremony handed it over.
    pub(crate) fn log_key(&self, journal: &str) -> String {
        let folder = if journal == "holder" { self.path("") } else { self.path("partners").join(journal) };
        fs::read_to_string(folder.join("log-key.txt")).unwrap().trim().to_owned()
    }

    /// What the server logged so far, all its runs together.
    pub(crate) fn log_output(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// Runs the executable as one of [`who`], to its end.
    pub(crate) fn onebit(&self, who: Who, args: &[&str]) -> Ran {
        Self::ran(who, &mut self.command(who), args)
    }

    /// Runs a command of one of [`who`] with these arguments, to its end.
    pub(crate) fn ran(who: Who, command: &mut Command, args: &[&str]) -> Ran {
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        Ran { what: format!("onebit {} as {}", args.join(" "), who.name()), output }
    }

    /// The executable with the environment of one of [`who`].
    pub(crate) fn command(&self, who: Who) -> Command {
        let [certificate, key] = who.credential();
        let mut command = Command::new(ONEBIT);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ONEBIT_")) {
            command.env_remove(name);
        }
        if let Some(server) = &self.server {
            command.env("ONEBIT_SERVER", format!("https://localhost:{}", server.port));
        }
        command
            .env("ONEBIT_CA", self.path("ca.pem"))
            .env("ONEBIT_CERT", self.folder.path().join(certificate))
            .env("ONEBIT_KEY", self.folder.path().join(key))
            .current_dir(self.folder.path());
        command
    }

    /// A connection of one of [`who`].
    pub(crate) async fn channel(&self, who: Who) -> Channel {
        let [certificate, key] = self.credential(who);
        self.channel_with(&certificate, &key).await.unwrap()
    }

    /// Certificate and key of one of [`who`], PEM.
    pub(crate) fn credential(&self, who: Who) -> [String; 2] {
        who.credential().map(|file| fs::read_to_string(self.folder.path().join(file)).unwrap())
    }

    /// A connection with a certificate and its key, PEM. A server that does not take the certificate says so
    /// only after the client's side of the handshake is done: the first call then fails.
    pub(crate) async fn channel_with(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<Channel, tonic::transport::Error> {
        self.channel_by(Endpoint::from_static("https://localhost"), certificate, key).await
    }

    /// A connection of one of [`who`] that takes no more than 64 KiB before somebody reads it.
    pub(crate) async fn channel_narrow(&self, who: Who) -> Channel {
        const WINDOW: u32 = 65_535;
        let [certificate, key] = self.credential(who);
        let endpoint = Endpoint::from_static("https://localhost")
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        self.channel_by(endpoint, &certificate, &key).await.unwrap()
    }

    async fn channel_by(
        &self,
        endpoint: Endpoint,
        certificate: &str,
        key: &str,
    ) -> Result<Channel, tonic::transport::Error> {
        let tls = TlsConnector::from(Arc::new(self.tls_config(certificate, key)));
        let port = self.port();
        let connector = tower::service_fn(move |_| {
            let tls = tls.clone();
            async move {
                let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from("localhost").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, tcp).await?))
            }
        });
        endpoint.connect_with_connector(connector).await
    }

    pub(crate) fn tls_config(&self, certificate: &str, key: &str) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = fs::read(self.path("ca.pem")).unwrap();
        roots.add(CertificateDer::from_pem_slice(&ca).unwrap()).unwrap();
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    /// What the server says of its health; nothing when it does not answer.
    pub(crate) async fn health(&self) -> Option<ServingStatus> {
        let [certificate, key] = self.credential(who::ADMIN);
        let channel = self.channel_with(&certificate, &key).await.ok()?;
        let asked = HealthCheckRequest { service: String::new() };
        let answered = HealthClient::new(channel).check(asked).await.ok()?;
        Some(answered.into_inner().status())
    }

    /// Makes an edited copy of the policy folder the active one: an administrator proposes, a privacy officer
    /// confirms.
    pub(crate) fn policy_activate(&self, edits: &[(&str, &str, &str)]) {
        let folder = TempDir::new_in(self.folder.path()).unwrap();
        copy(&repository().join("policy"), folder.path());
        for (file, text, instead) in edits {
            let path = folder.path().join(file);
            let before = fs::read_to_string(&path).unwrap();
            assert_eq!(before.matches(text).count(), 1, "`{text}` must be in `{file}` exactly once");
            fs::write(&path, before.replace(text, instead)).unwrap();
        }
        self.policy_activate_folder(folder.path());
    }

    /// Makes the policy folder with one more file the active one.
    pub(crate) fn policy_activate_with(&self, file: &str, content: &str) {
        self.policy_activate_files(&[(file, content)]);
    }

    /// Makes the policy folder with these files, new or instead of its own, the active one.
    pub(crate) fn policy_activate_files(&self, files: &[(&str, &str)]) {
        let folder = TempDir::new_in(self.folder.path()).unwrap();
        copy(&repository().join("policy"), folder.path());
        for (file, content) in files {
            fs::write(folder.path().join(file), content).unwrap();
        }
        self.policy_activate_folder(folder.path());
    }

    fn policy_activate_folder(&self, folder: &Path) {
        self.change(who::ADMIN, who::PRIVACY, &["policy", folder.to_str().unwrap()]);
    }

    /// One person proposes a change and another confirms it.
    pub(crate) fn change(&self, proposer: Who, confirmer: Who, change: &[&str]) {
        let name = self.propose(proposer, change);
        self.onebit(confirmer, &["change", "confirm", &name]).ok();
    }

    /// Whether nothing in the store contradicts the log.
    pub(crate) fn whole(&self) {
        let fsck = ["audit", "fsck", "--config", "onebit.toml", "--output", "json"];
        let found = self.onebit(who::ADMIN, &fsck).json();
        assert_eq!(found["whole"], true, "{found:#}");
    }

    /// Proposes a change and gives its name.
    pub(crate) fn propose(&self, proposer: Who, change: &[&str]) -> String {
        let args = [&["change", "propose"], change, &["--reason", "for a test", "--output", "json"]].concat();
        let proposed = self.onebit(proposer, &args).json();
        proposed["change"].as_str().unwrap().to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _may_be_over = server.child.kill();
            let _may_be_over = server.child.wait();
        }
        if std::thread::panicking() {
            // The harness shows it with the failure.
            println!("the server's log ends with:\n{}", tail(&self.log_output(), LOG_LINES_SHOWN));
        }
    }
}

/// What came of running the executable.
pub(crate) struct Ran {
    what: String,
    output: Output,
}

impl Ran {
    /// What it printed, if it succeeded.
    pub(crate) fn ok(self) -> String {
        assert!(self.output.status.success(), "{} should have succeeded, but:\n{}", self.what, self.told());
        self.out()
    }

    /// What it printed as JSON, if it succeeded.
    pub(crate) fn json(self) -> serde_json::Value {
        let what = self.what.clone();
        let text = self.ok();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{what} printed no JSON ({error}):\n{text}"))
    }

    /// What it said on standard error, if it failed.
    pub(crate) fn failed(self) -> String {
        assert!(!self.output.status.success(), "{} should have failed, but:\n{}", self.what, self.told());
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The exit code, if it was not ended by a signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Standard output.
    pub(crate) fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn told(&self) -> String {
        format!("{}\n{}{}", self.output.status, self.out(), String::from_utf8_lossy(&self.output.stderr))
    }
}

/// Waits until it is so; fails after [`PATIENCE`].
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// An address on loopback that nothing listens on.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The folder of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a folder with all that is in it; permissions stay.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Everybody whom the ceremony named.
fn ceremony() -> &'static [Named] {
    #[derive(serde::Deserialize)]
    struct Ceremony {
        people: Vec<Named>,
        systems: Vec<Named>,
    }
    static CEREMONY: OnceLock<Vec<Named>> = OnceLock::new();
    CEREMONY.get_or_init(|| {
        let text = fs::read_to_string(template().join("ceremony.toml")).unwrap();
        let Ceremony { people, systems } = toml::from_str(&text).unwrap();
        people.into_iter().chain(systems).collect()
    })
}

/// A development folder as the ceremony makes it, before any server ran.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, holder) = TEMPLATE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let holder = folder.path().join("holder");
        let made = Command::new(ONEBIT)
            .args(["init", "--development"])
            .arg(&holder)
            .current_dir(repository())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "the ceremony failed:\n{}", String::from_utf8_lossy(&made.stderr));
        (folder, holder)
    });
    holder
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The executable under test.
pub(crate) const ONEBIT: &str = env!("CARGO_BIN_EXE_onebit");
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOG_LINES_SHOWN: usize = 40;
