//! Real handshakes and real HTTP/2 over loopback, with certificates made for the occasion.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't be set up has to stop"
)]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint, Server};

use onebit::cli::certs::{self, Authority, CertificateRequest, Issued, Usage, Validity};
use onebit::clock::{Clock, ManualClock, Timestamp};
use onebit::door::{
    Connection, Door, DoorLimits, Ended, FrameBudget, Incoming, KeyType, Peer, Protocol, SettingsError,
    Speaks, TlsHandle, TlsMaterial, Trust, TrustDomain, TrustDomainName,
};
use onebit::secret::{SecretBytes, SystemEntropy};

const HOUR: Duration = Duration::from_secs(3_600);
/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

fn valid() -> Validity {
    Validity { not_before: now().before(HOUR), not_after: now().after(HOUR * 24) }
}

fn authority(domain: &str) -> Authority {
    Authority::new(&TrustDomainName::parse(domain).unwrap(), valid(), &SystemEntropy::new()).unwrap()
}

fn der(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()
}

/// A holder and two partners.
struct World {
    holder: Authority,
    au: Authority,
    nz: Authority,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        Self {
            holder: authority("holder.example"),
            au: authority("au.example"),
            nz: authority("nz.example"),
            clock: Arc::new(ManualClock::at(now())),
        }
    }

    fn trust(&self) -> Vec<TrustDomain> {
        [&self.au, &self.nz]
            .map(|authority| {
                let name = authority.trust_domain().clone();
                TrustDomain::from_pem(name, authority.certificate_pem().as_bytes(), b"").unwrap()
            })
            .into()
    }

    fn material(&self, domains: Vec<TrustDomain>) -> TlsMaterial {
        let server = self
            .holder
            .issue_server(&["localhost"], &[Ipv4Addr::LOCALHOST.into()], valid(), &SystemEntropy::new())
            .unwrap();
        TlsMaterial {
            certificate_pem: server.certificate_pem.into_bytes(),
            key_pem: SecretBytes::new(server.key_pem.as_bytes().to_vec()),
            domains,
        }
    }

    fn handle(&self, domains: Vec<TrustDomain>) -> Arc<TlsHandle> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Arc::new(TlsHandle::new(self.material(domains), clock).unwrap())
    }

    /// A client that presents this certificate, or none.
    fn client(&self, certificate: Option<&Issued>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.holder.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(FixedTime);
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => builder
                .with_client_auth_cert(
                    vec![der(issued)],
                    PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    fn au_client(&self, path: &str) -> ClientConfig {
        self.client(Some(&self.au.issue_client(path, valid(), &SystemEntropy::new()).unwrap()))
    }
}

#[derive(Debug)]
struct FixedTime;

impl rustls::time_provider::TimeProvider for FixedTime {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let millis = u64::try_from(now().as_millis()).unwrap();
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

/// An open door whose connections the test takes in by hand.
struct Opened {
    address: SocketAddr,
    incoming: Incoming,
}

async fn open(handle: &Arc<TlsHandle>, limits: DoorLimits) -> Opened {
    open_speaking(handle, Speaks::Http2, limits).await
}

async fn open_speaking(handle: &Arc<TlsHandle>, speaks: Speaks, limits: DoorLimits) -> Opened {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    Opened {
        address,
        incoming: Door::new(listener, Arc::clone(handle), speaks, limits).open(std::future::pending()),
    }
}

impl Opened {
    async fn next(&mut self) -> Connection {
        let next = timeout(PATIENCE, self.incoming.next()).await;
        next.expect("no connection came in; see why the door refused it").unwrap().unwrap()
    }
}

async fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// In TLS 1.3 the client has finished before the server has judged it: the refusal comes with the first read.
async fn refusal(address: SocketAddr, config: ClientConfig) -> Option<io::Error> {
    let attempt = async {
        let mut stream = match connect(address, config).await {
            Ok(stream) => stream,
            Err(error) => return Some(error),
        };
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.err();
        match stream.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() => {
                Some(error)
            }
            other => other.err(),
        }
    };
    timeout(PATIENCE, attempt).await.expect("the client was neither let in nor refused")
}

/// A served door with tonic and its health service behind it.
struct Served {
    address: SocketAddr,
    handle: Arc<TlsHandle>,
    flooder: ClientConfig,
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

async fn serve(world: &World, limits: DoorLimits) -> Served {
    let handle = world.handle(world.trust());
    let flooder = world.au_client("query/flood");
    let Opened { address, incoming } = open(&handle, limits).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (_, health) = tonic_health::server::health_reporter();
    // Every request has to carry its peer.
    let health =
        tonic::service::interceptor::InterceptedService::new(health, |request: tonic::Request<()>| {
            match request.extensions().get::<Peer>() {
                Some(peer) if peer.identity().spiffe().trust_domain().as_str() == "au.example" => Ok(request),
                _ => Err(tonic::Status::internal("no peer")),
            }
        });
    let task = tokio::spawn(async move {
        onebit::grpc::limits::apply(Server::builder())
            .add_service(health)
            .serve_with_incoming_shutdown(incoming, async {
                let _ = stopped.await;
            })
            .await
    });
    Served { address, handle, flooder, stop, task }
}

async fn channel(address: SocketAddr, config: ClientConfig) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| {
        let config = config.clone();
        async move { connect(address, config).await.map(hyper_util::rt::TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}

async fn check(channel: &Channel) -> Result<(), tonic::Status> {
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let mut client = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    timeout(PATIENCE, client.check(request)).await.expect("an RPC was never answered").map(|_| ())
}

/// Waits until it is so; fails after [`PATIENCE`].
async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test]
async fn the_right_client_is_let_in_and_known() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let mut door = open(&handle, DoorLimits::default()).await;
    let issued = world.au.issue_client("query/gate-1", valid(), &SystemEntropy::new()).unwrap();
    let client = connect(door.address, world.client(Some(&issued))).await.unwrap();
    let connection = door.next().await;
    let identity = connection.peer().identity();
    let facts = certs::describe(issued.certificate_pem.as_bytes()).unwrap();
    assert_eq!(identity.spiffe().to_string(), "spiffe://au.example/query/gate-1");
    assert_eq!(identity.fingerprint(), facts.fingerprint);
    assert_eq!((identity.key_type(), identity.public_key().len()), (KeyType::EcdsaP256, 65));
    assert_eq!(identity.not_after(), facts.validity.not_after);
    assert!(!format!("{:?}", connection.peer()).contains("127.0.0.1"), "an address must not get into a log");
    let (_, session) = client.get_ref();
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(handle.live().count(), 1);
    drop(connection);
    assert_eq!(handle.live().count(), 0);
}

#[tokio::test]
async fn an_ed25519_client_with_a_dns_name_beside_its_uri_is_let_in() {
    let world = World::new();
    let mut door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    let mut request = CertificateRequest::client("spiffe://nz.example/query", valid());
    request.dns.push("query.nz.example".to_owned());
    request.key = KeyType::Ed25519;
    let issued = world.nz.issue(&request, &SystemEntropy::new()).unwrap();
    let _client = connect(door.address, world.client(Some(&issued))).await.unwrap();
    let connection = door.next().await;
    assert_eq!(connection.peer().identity().key_type(), KeyType::Ed25519);
    assert_eq!(connection.peer().identity().public_key().len(), 32);
}

#[tokio::test]
async fn wrong_certificates_are_refused_and_all_in_the_same_way() {
    let world = World::new();
    let mut door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    let base = || CertificateRequest::client("spiffe://au.example/query", valid());
    let past = Validity { not_before: now().before(HOUR * 2), not_after: now().before(HOUR) };
    let future = Validity { not_before: now().after(HOUR), not_after: now().after(HOUR * 2) };
    let two = "spiffe://au.example/other".to_owned();
    let dns = "au.example".to_owned();
    let stranger = authority("au.example");
    let unknown = authority("elsewhere.example");
    let two_uris = vec![base().uris[0].clone(), two.clone()];
    let uris = |uri: &str| vec![uri.to_owned()];
    let elsewhere = CertificateRequest::client("spiffe://elsewhere.example/query", valid());
    let cases: Vec<(&str, &Authority, CertificateRequest)> = vec![
        ("issuer", &world.nz, base()),
        ("issuer", &stranger, base()),
        ("unknown_domain", &unknown, elsewhere.clone()),
        ("unknown_domain", &world.au, elsewhere),
        ("many_names", &world.au, CertificateRequest { uris: two_uris, ..base() }),
        ("many_names", &world.au, CertificateRequest { uris: vec![two.clone(), two], ..base() }),
        ("nameless", &world.au, CertificateRequest { uris: vec![], ..base() }),
        ("nameless", &world.au, CertificateRequest { uris: vec![], dns: vec![dns], ..base() }),
        ("name", &world.au, CertificateRequest { uris: uris("https://au.example/query"), ..base() }),
        ("name", &world.au, CertificateRequest { uris: uris("spiffe://au.example"), ..base() }),
        ("expired", &world.au, CertificateRequest { validity: past, ..base() }),
        ("not_yet_valid", &world.au, CertificateRequest { validity: future, ..base() }),
        ("usage", &world.au, CertificateRequest { usages: vec![Usage::Server], ..base() }),
        ("usage", &world.au, CertificateRequest { usages: vec![], ..base() }),
    ];
    let trust = Trust::build(world.trust()).unwrap();
    let mut alerts = Vec::new();
    for (reason, authority, request) in cases {
        let issued = authority.issue(&request, &SystemEntropy::new()).unwrap();
        assert_eq!(trust.identify(&[der(&issued)], now()).unwrap_err().reason(), reason, "{request:?}");
        let error = refusal(door.address, world.client(Some(&issued))).await;
        let error = error.unwrap_or_else(|| panic!("a certificate was let in: {request:?}"));
        alerts.push((reason, error.to_string()));
    }
    let (_, first) = alerts[0].clone();
    assert!(first.contains("CertificateUnknown"), "{first}");
    for (reason, alert) in alerts {
        assert_eq!(alert, first, "the alert tells that the reason is `{reason}`");
    }
    let none = timeout(Duration::from_millis(50), door.incoming.next()).await;
    assert!(none.is_err(), "a refused client came in");
}

#[tokio::test]
async fn nobody_and_authorities_themselves_are_refused() {
    let world = World::new();
    let door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    assert!(
        refusal(door.address, world.client(None)).await.is_some(),
        "a client without certificate was let in"
    );
    for own in [&world.au, &authority("au.example")] {
        let issued = Issued {
            certificate_pem: own.certificate_pem().to_owned(),
            key_pem: own.key_pem(),
            serial: [0; 16],
        };
        let refused = refusal(door.address, world.client(Some(&issued))).await;
        assert!(refused.is_some(), "a self-signed certificate was let in");
    }
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_h2_is_refused() {
    let world = World::new();
    let door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut config = world.au_client("query");
        config.alpn_protocols = protocols;
        assert!(refusal(door.address, config).await.is_some(), "a client without `h2` was let in");
    }
}

#[tokio::test]
async fn revoked_certificates_and_expired_lists_are_refused() {
    let world = World::new();
    let entropy = SystemEntropy::new();
    let good = world.au.issue_client("query/good", valid(), &entropy).unwrap();
    let bad = world.au.issue_client("query/bad", valid(), &entropy).unwrap();
    let listed = |until: Timestamp| {
        let validity = Validity { not_before: now().before(HOUR * 3), not_after: until };
        let list = world.au.revocation_list(&[bad.serial], 1, validity).unwrap();
        let roots = world.au.certificate_pem().as_bytes();
        vec![TrustDomain::from_pem(world.au.trust_domain().clone(), roots, list.as_bytes()).unwrap()]
    };
    let handle = world.handle(listed(now().after(HOUR)));
    let mut door = open(&handle, DoorLimits::default()).await;
    assert!(
        refusal(door.address, world.client(Some(&bad))).await.is_some(),
        "a revoked certificate was let in"
    );
    let _client = connect(door.address, world.client(Some(&good))).await.unwrap();
    let connection = door.next().await;

    let trust = Trust::build(listed(now().after(HOUR))).unwrap();
    let judged = |issued: &Issued, at| trust.identify(&[der(issued)], at).map_err(|refusal| refusal.reason());
    assert_eq!(judged(&bad, now()).unwrap_err(), "revoked");
    assert_eq!(judged(&good, now().after(HOUR * 2)).unwrap_err(), "revocation_list_expired");
    assert!(judged(&good, now()).is_ok());

    // The list grows old: nobody of that domain comes in any more, and who is in goes at the next reload.
    world.clock.advance(HOUR * 2);
    assert!(refusal(door.address, world.client(Some(&good))).await.is_some(), "an expired list was believed");
    assert_eq!(handle.replace(world.material(listed(now().after(HOUR)))).unwrap(), 1);
    assert!(!connection.peer().connection().is_open());
    assert_eq!(handle.replace(world.material(listed(now().after(HOUR * 5)))).unwrap(), 0);
    let _client = connect(door.address, world.client(Some(&good))).await.unwrap();
    door.next().await;
}

#[tokio::test]
async fn a_list_of_another_authority_covers_nobody() {
    let world = World::new();
    let list = world.nz.revocation_list(&[], 1, valid()).unwrap();
    let roots = world.au.certificate_pem().as_bytes();
    let domain = TrustDomain::from_pem(world.au.trust_domain().clone(), roots, list.as_bytes()).unwrap();
    let door = open(&world.handle(vec![domain]), DoorLimits::default()).await;
    assert!(
        refusal(door.address, world.au_client("query")).await.is_some(),
        "revocation was not known, yet let in"
    );
}

#[tokio::test]
async fn sessions_are_not_resumed() {
    let world = World::new();
    let mut door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    let config = world.au_client("query");
    for _ in 0..2 {
        let client = connect(door.address, config.clone()).await.unwrap();
        let mut connection = door.next().await;
        connection.write_all(b"x").await.unwrap();
        connection.flush().await.unwrap();
        let (mut tcp, mut session) = client.into_inner();
        let mut more = [0; 4_096];
        let read = timeout(PATIENCE, tcp.read(&mut more)).await.unwrap().unwrap();
        session.read_tls(&mut &more[..read]).unwrap();
        session.process_new_packets().unwrap();
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0, "the server gave out a ticket");
    }
}

#[tokio::test]
async fn a_bad_reload_keeps_the_last_good_set() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let mut door = open(&handle, DoorLimits::default()).await;
    let _client = connect(door.address, world.au_client("query")).await.unwrap();
    let _connection = door.next().await;

    let mut no_root = world.trust();
    no_root[1].roots.clear();
    let mut twice = world.trust();
    twice.push(twice[0].clone());
    let mut shared = world.trust();
    shared[1].roots = shared[0].roots.clone();
    let mut broken_list = world.trust();
    broken_list[0].revocation_lists.push(vec![0x30, 0].into());
    let mut not_authority = world.trust();
    let leaf = world.au.issue_client("query", valid(), &SystemEntropy::new()).unwrap();
    not_authority[0].roots.push(der(&leaf));
    for domains in [vec![], no_root, twice, shared, broken_list, not_authority] {
        assert!(handle.replace(world.material(domains)).is_err(), "a bad set was taken");
    }
    let mut other_key = world.material(world.trust());
    other_key.key_pem = world.material(world.trust()).key_pem;
    assert!(matches!(handle.replace(other_key), Err(SettingsError::Key(_))));
    let mut client_certificate = world.material(world.trust());
    client_certificate.certificate_pem = leaf.certificate_pem.into_bytes();
    assert!(matches!(handle.replace(client_certificate), Err(SettingsError::Purpose)));
    let mut nothing = world.material(world.trust());
    nothing.certificate_pem.clear();
    assert!(matches!(handle.replace(nothing), Err(SettingsError::Certificate)));

    assert_eq!(handle.live().count(), 1, "a bad set dropped a connection");
    let _second = connect(door.address, world.au_client("query")).await.unwrap();
    door.next().await;
}

#[tokio::test]
async fn an_expired_server_certificate_is_not_a_good_set() {
    let world = World::new();
    let handle = world.handle(world.trust());
    world.clock.advance(HOUR * 48);
    assert!(matches!(handle.replace(world.material(world.trust())), Err(SettingsError::Expired { .. })));
}

#[tokio::test]
async fn who_is_no_longer_trusted_is_dropped_with_the_new_set() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let mut door = open(&handle, DoorLimits::default()).await;
    let mut client = connect(door.address, world.au_client("query")).await.unwrap();
    let mut connection = door.next().await;
    let only_nz = world.trust().split_off(1);
    assert_eq!(handle.replace(world.material(only_nz)).unwrap(), 1);
    client.write_all(b"x").await.unwrap();
    let error = timeout(PATIENCE, connection.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), Ended::Dropped.to_string());
    assert!(refusal(door.address, world.au_client("query")).await.is_some());
}

#[tokio::test]
async fn a_connection_is_dropped_when_asked_and_others_stay() {
    let world = World::new();
    let served = serve(&world, DoorLimits::default()).await;
    let one = channel(served.address, world.au_client("query/one")).await.unwrap();
    let other = channel(served.address, world.au_client("query/other")).await.unwrap();
    check(&one).await.unwrap();
    check(&other).await.unwrap();
    let live = served.handle.live();
    assert_eq!(live.count(), 2);
    assert_eq!(live.drop_where(|identity| identity.spiffe().path() == "query/one"), 1);
    assert_eq!(live.count(), 1);
    check(&other).await.unwrap();
    // The channel connects again by itself; what it holds was cut.
    let back = async { while check(&one).await.is_err() {} };
    timeout(PATIENCE, back).await.expect("the dropped client could not come back");
    assert_eq!(live.count(), 2);
    drop((one, other));
    served.stop.send(()).unwrap();
    timeout(PATIENCE, served.task).await.expect("the server did not stop").unwrap().unwrap();
}

#[tokio::test]
async fn a_drop_wakes_a_connection_that_waits() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let mut door = open(&handle, DoorLimits::default()).await;
    let _client = connect(door.address, world.au_client("query")).await.unwrap();
    let mut connection = door.next().await;
    let waiting = tokio::spawn(async move { connection.read_u8().await.unwrap_err().to_string() });
    tokio::task::yield_now().await;
    assert_eq!(handle.live().drop_all(), 1);
    let error = timeout(PATIENCE, waiting).await.expect("the waiting connection was not woken").unwrap();
    assert_eq!(error, Ended::Dropped.to_string());
}

#[tokio::test]
async fn a_door_that_speaks_both_takes_what_the_client_offers() {
    let world = World::new();
    let mut door =
        open_speaking(&world.handle(world.trust()), Speaks::Http2OrHttp1, DoorLimits::default()).await;
    let offer = |protocols: &[&str]| {
        let mut config = world.au_client("monitor");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    };
    for (offered, agreed) in [
        (&["h2"][..], Protocol::Http2),
        (&["http/1.1", "h2"], Protocol::Http2),
        (&["http/1.1"], Protocol::Http1),
        (&[], Protocol::Http1),
    ] {
        let _client = connect(door.address, offer(offered)).await.unwrap();
        assert_eq!(door.next().await.protocol(), agreed, "{offered:?}");
    }
    assert!(refusal(door.address, offer(&["h3"])).await.is_some());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off_whatever_it_agreed_to_speak() {
    let world = World::new();
    let limits = DoorLimits { handshake: Duration::from_millis(300), ..DoorLimits::default() };
    let mut door = open_speaking(&world.handle(world.trust()), Speaks::Http2OrHttp1, limits).await;
    for protocol in ["http/1.1", "h2"] {
        let mut config = world.au_client("monitor");
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let _client = connect(door.address, config).await.unwrap();
        let mut connection = door.next().await;
        let read = timeout(PATIENCE, connection.read_u8()).await.expect("a silent client was waited for");
        assert_eq!(read.unwrap_err().to_string(), Ended::Silent.to_string(), "{protocol}");
    }
}

#[tokio::test]
async fn one_domain_has_its_share_of_connections_at_all_doors_together() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let limits = DoorLimits { connections_per_domain: 1, ..DoorLimits::default() };
    let mut calls = open(&handle, limits).await;
    let tiles = open_speaking(&handle, Speaks::Http2OrHttp1, limits).await;
    let _first = connect(calls.address, world.au_client("query")).await.unwrap();
    let held = calls.next().await;
    assert!(refusal(tiles.address, world.au_client("monitor")).await.is_some());
    drop(held);
}

#[tokio::test]
async fn slow_handshakes_stop_neither_others_nor_themselves_for_long() {
    let world = World::new();
    let limits = DoorLimits { handshake: Duration::from_millis(300), ..DoorLimits::default() };
    let mut door = open(&world.handle(world.trust()), limits).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        slow.push(TcpStream::connect(door.address).await.unwrap());
    }
    let _client = connect(door.address, world.au_client("query")).await.unwrap();
    door.next().await;
    for mut tcp in slow {
        let read = timeout(PATIENCE, tcp.read(&mut [0; 8])).await.expect("a slow handshake was not given up");
        assert!(matches!(read, Ok(0) | Err(_)), "a slow handshake was answered");
    }
}

#[tokio::test]
async fn one_address_does_not_take_every_handshake() {
    let world = World::new();
    let limits = DoorLimits { handshakes_per_address: 1, ..DoorLimits::default() };
    let door = open(&world.handle(world.trust()), limits).await;
    let _slow = TcpStream::connect(door.address).await.unwrap();
    let mut second = TcpStream::connect(door.address).await.unwrap();
    let read = timeout(PATIENCE, second.read(&mut [0; 8])).await.expect("a second handshake was begun");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn one_domain_does_not_take_every_connection() {
    let world = World::new();
    let limits = DoorLimits { connections_per_domain: 1, ..DoorLimits::default() };
    let mut door = open(&world.handle(world.trust()), limits).await;
    let _first = connect(door.address, world.au_client("query/1")).await.unwrap();
    let held = door.next().await;
    assert!(refusal(door.address, world.au_client("query/2")).await.is_some());
    let nz = world.nz.issue_client("query", valid(), &SystemEntropy::new()).unwrap();
    let _other = connect(door.address, world.client(Some(&nz))).await.unwrap();
    door.next().await;
    drop(held);
    let _again = connect(door.address, world.au_client("query/3")).await.unwrap();
    door.next().await;
}

#[tokio::test]
async fn when_there_is_no_room_connections_are_turned_away_and_later_let_in() {
    let world = World::new();
    let limits = DoorLimits { connections: 1, ..DoorLimits::default() };
    let mut door = open(&world.handle(world.trust()), limits).await;
    let _first = connect(door.address, world.au_client("query")).await.unwrap();
    let held = door.next().await;
    assert!(connect(door.address, world.au_client("query")).await.is_err());
    drop(held);
    let _again = connect(door.address, world.au_client("query")).await.unwrap();
    door.next().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_and_one_that_stays_too_long_are_cut() {
    let world = World::new();
    let limits = DoorLimits {
        handshake: Duration::from_secs(2),
        connection_life: Duration::from_secs(3),
        ..DoorLimits::default()
    };
    let handle = world.handle(world.trust());
    let mut door = open(&handle, limits).await;
    let _silent = connect(door.address, world.au_client("query")).await.unwrap();
    let error = timeout(PATIENCE, door.next().await.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), Ended::Silent.to_string());

    let mut talking = connect(door.address, world.au_client("query")).await.unwrap();
    let mut connection = door.next().await;
    talking.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut bytes = Vec::new();
    let error = timeout(PATIENCE, connection.read_to_end(&mut bytes)).await.unwrap().unwrap_err();
    assert_eq!((error.to_string(), bytes.len()), (Ended::Old.to_string(), 33));
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_certificate() {
    let world = World::new();
    let handle = world.handle(world.trust());
    let mut door = open(&handle, DoorLimits::default()).await;
    let short = Validity { not_before: now().before(HOUR), not_after: now().after(Duration::from_secs(1)) };
    let issued = world.au.issue_client("query", short, &SystemEntropy::new()).unwrap();
    let _client = connect(door.address, world.client(Some(&issued))).await.unwrap();
    let error = timeout(PATIENCE, door.next().await.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), Ended::Old.to_string());
}

/// Sends so many PINGs and says whether the connection was cut meanwhile.
async fn flood(served: &Served, pings: usize) -> bool {
    let flooder = connect(served.address, served.flooder.clone()).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(flooder);
    let answers = pings * 17;
    let drain = tokio::spawn(async move {
        let (mut read, mut buffer) = (0, [0; 4_096]);
        while read < answers {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return true,
                Ok(bytes) => read += bytes,
            }
        }
        false
    });
    writer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let ping = b"\0\0\x08\x06\0\0\0\0\0onebit!!";
    for _ in 0..pings {
        if writer.write_all(ping).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    timeout(PATIENCE, drain).await.expect("the flood was neither answered nor cut").unwrap()
}

#[tokio::test]
async fn a_ping_flood_is_cut_and_an_honest_client_beside_it_is_not() {
    let world = World::new();
    let served = serve(&world, DoorLimits::default()).await;
    let honest = channel(served.address, world.au_client("query/honest")).await.unwrap();
    check(&honest).await.unwrap();
    assert!(flood(&served, 5_000).await, "5,000 pings went through; is the budget looked at?");
    until("the flooded connection is gone", || served.handle.live().count() == 1).await;
    check(&honest).await.unwrap();
}

/// The control: nothing else cuts a flood, so the budget has to stay.
#[tokio::test]
async fn without_the_budget_a_ping_flood_goes_through() {
    let world = World::new();
    let frames = FrameBudget { control: u64::MAX, ..FrameBudget::default() };
    let served = serve(&world, DoorLimits { frames, ..DoorLimits::default() }).await;
    assert!(!flood(&served, 5_000).await, "hyper limits pings by itself now; is the budget still needed?");
}

#[tokio::test]
async fn many_honest_requests_are_not_cut() {
    let world = World::new();
    let served = serve(&world, DoorLimits::default()).await;
    let client = channel(served.address, world.au_client("query")).await.unwrap();
    for _ in 0..1_500 {
        check(&client).await.unwrap();
    }
    assert_eq!(served.handle.live().count(), 1);
}

#[tokio::test]
async fn a_door_that_closes_lets_go_of_its_address() {
    let world = World::new();
    let door = open(&world.handle(world.trust()), DoorLimits::default()).await;
    let address = door.address;
    drop(door.incoming);
    let bind = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, bind).await.expect("the closed door still listens");
}
