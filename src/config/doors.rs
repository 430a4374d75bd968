//! The sections `[server]`, `[tiles]`, `[console]`, `[metrics]`, `[tls]` and `[limits]`: where connections come in, and how many.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::oidc::{self, OidcConfig};
use super::{Range, number};
use crate::console::{ConsoleSettings, Origin};
use crate::door::{DoorLimits, TrustDomainName, limits};
use crate::gate::SessionTimes;
use crate::grpc::{AnswerTime, Reflection};
use crate::ids::WitnessName;

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

pub(super) fn server(document: &mut Document<'_>, folder: &Path) -> Option<ServerConfig> {
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

pub(super) fn tiles(document: &mut Document<'_>) -> Option<Option<SocketAddr>> {
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

pub(super) fn console(document: &mut Document<'_>, folder: &Path) -> Option<Option<ConsoleConfig>> {
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

pub(super) fn limits_of(document: &mut Document<'_>) -> Option<LimitsConfig> {
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
struct MetricsKeys {
    listen: Option<Spanned<String>>,
}

pub(super) fn metrics(document: &mut Document<'_>) -> Option<Option<SocketAddr>> {
    let (place, keys): (Place, MetricsKeys) = document.section("metrics");
    match keys.listen {
        None => Some(None),
        Some(listen) => address(document, &place, &listen).map(Some),
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsKeys {
    revocation_lists: BTreeMap<Spanned<String>, Vec<PathBuf>>,
}

pub(super) fn tls(
    document: &mut Document<'_>,
    folder: &Path,
) -> Option<BTreeMap<TrustDomainName, Vec<PathBuf>>> {
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

fn address(document: &mut Document<'_>, place: &Place, listen: &Spanned<String>) -> Option<SocketAddr> {
    match listen.get_ref().parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let message = format!("`{}` is not an address with a port; write `{LISTEN}`", listen.get_ref());
            document.fault(place, "listen", listen, message)
        }
    }
}

/// NIST SP 800-63B-4, section 2.3.3: inactivity of 15 minutes at most and 12 hours in all, at its highest level.
const IDLE_M: u64 = 15;
const IDLE_MAX_M: u64 = 60;
const LONGEST_H: u64 = 8;
const LONGEST_MAX_H: u64 = 12;
const LISTEN: &str = "127.0.0.1:7443";
/// Above the 99.9th percentile of a query on a million templates with a commit to a disk that takes 10 ms.
const ANSWER_AFTER: Duration = Duration::from_millis(40);
