//! Notices to systems: one signed POST by the Standard Webhooks specification, and nothing believed of the answer but
//! its status.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::tls::connector;
use crate::authz::{Webhook, WebhookUrl};
use crate::clock::Timestamp;
use crate::keys::NoticeSigner;
use crate::store::Notice;

/// A notice that a system did not take.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No answer in time.
    #[error("no answer came within {} s", WAIT_LONGEST.as_secs())]
    TimedOut,
    /// No address for the name.
    #[error("its name has no address")]
    Name(#[source] io::Error),
    /// An address that is not of the open network.
    #[error("its name leads into a private network; add the host to `notices.private_hosts` if it should")]
    Private,
    /// No connection.
    #[error("it can't be reached")]
    Connect(#[source] io::Error),
    /// Its certificate, or the authority that was named for it.
    #[error("no TLS comes about; check its certificate and the authority that is named for it")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The exchange broke.
    #[error("the exchange broke off")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused, or sent elsewhere, where nobody goes.
    #[error("it answered with status {0}; it should answer 2xx itself")]
    Status(u16),
    /// 410: it wants no more.
    #[error("it answered that it is gone (410)")]
    Gone,
}

impl WebhookError {
    /// A fixed word for metrics, log lines and the status.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Name(_) => "no-address",
            Self::Private => "private-address",
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Http(_) => "broken",
            Self::Status(_) => "refused",
            Self::Gone => "gone",
        }
    }

    /// Whether it is not worth another try.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Gone)
    }

    /// Whether the next message would find it no better: nothing was heard from it.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        !matches!(self, Self::Status(_) | Self::Gone)
    }
}

/// Whether a system may be in a private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The operator named its host.
    Private,
    /// Only an address of the open network is connected to.
    Public,
}

/// A message to a system.
pub struct WebhookMessage {
    id: String,
    body: Vec<u8>,
}

impl WebhookMessage {
    /// What a system is told: kind and time, and two ids.
    #[must_use]
    pub fn of(notice: &Notice) -> Self {
        let body = json!({
            "type": format!("disclosure.{}", notice.kind),
            "timestamp": notice.at.to_string(),
            "data": { "disclosure": notice.disclosure.resource() },
        });
        Self { id: message_id(&notice.id), body: body.to_string().into_bytes() }
    }

    /// A message that tells nothing, for trying.
    #[must_use]
    pub fn test(id: &[u8; 16], at: Timestamp) -> Self {
        let body = json!({ "type": "test", "timestamp": at.to_string(), "data": {} });
        Self { id: message_id(id), body: body.to_string().into_bytes() }
    }
}

fn message_id(id: &[u8; 16]) -> String {
    format!("msg_{}", HEXLOWER.encode(id))
}

/// Sends a message, dated now, to a system. No redirect is followed; a proxy is never used.
///
/// # Errors
/// [`WebhookError`] when it did not take it.
pub async fn webhook_send(
    webhook: &Webhook,
    reach: Reach,
    message: &WebhookMessage,
    signer: &NoticeSigner,
    now: Timestamp,
) -> Result<(), WebhookError> {
    let seconds = now.as_millis().div_euclid(1_000);
    let signature = signer.header(&message.id, seconds, &message.body);
    let request = Request::post(&webhook.url.path)
        .header(header::HOST, webhook.url.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "onebit")
        .header(header::CONNECTION, "close")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(message.body.clone())))
        .map_err(|error| WebhookError::Http(error.into()))?;
    let exchanged = timeout(WAIT_LONGEST, exchange(webhook, reach, request));
    match exchanged.await.map_err(|_| WebhookError::TimedOut)?? {
        status if status.is_success() => Ok(()),
        StatusCode::GONE => Err(WebhookError::Gone),
        status => Err(WebhookError::Status(status.as_u16())),
    }
}

async fn exchange(
    webhook: &Webhook,
    reach: Reach,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode, WebhookError> {
    let tcp = connect(&webhook.url, reach).await?;
    let connector = connector(&webhook.authority).map_err(WebhookError::Tls)?;
    let name =
        ServerName::try_from(webhook.url.host.clone()).map_err(|error| WebhookError::Tls(error.into()))?;
    let stream = connector.connect(name, tcp).await.map_err(|error| WebhookError::Tls(error.into()))?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(ANSWER_HEAD_MAX_BYTES);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| WebhookError::Http(error.into()))?;
    // The exchange may be given up: then the connection ends with it.
    let _connection = AbortOnDrop(tokio::spawn(connection));
    let response = sender.send_request(request).await.map_err(|error| WebhookError::Http(error.into()))?;
    // What it says beside is not read.
    Ok(response.status())
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects to the very addresses that were looked at: a name that is asked for twice may lead elsewhere.
async fn connect(url: &WebhookUrl, reach: Reach) -> Result<TcpStream, WebhookError> {
    let found = lookup_host((url.host.as_str(), url.port)).await.map_err(WebhookError::Name)?;
    let addresses: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    if reach == Reach::Public && !addresses.iter().all(|address| is_public(address.ip())) {
        return Err(WebhookError::Private);
    }
    TcpStream::connect(addresses.as_slice()).await.map_err(WebhookError::Connect)
}

/// Whether an address is one of the open network (IANA's special-purpose registries; RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [a, b, ..] = address.segments();
    // Global unicast alone, without documentation, tunnels and what carries an address of IPv4 inside.
    let global = (0x2000..=0x3fff).contains(&a);
    let special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    global && !special
}

/// For name, connection, handshake and answer together: longer than a system should take that only keeps a message.
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// hyper's least; a status and its headers are hundreds of bytes.
const ANSWER_HEAD_MAX_BYTES: usize = 16 * 1_024;
/// A name with more addresses is tried at the first of them.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DisclosureId;
    use crate::store::NoticeKind;

    #[test]
    fn addresses_inside_are_not_public() {
        let inside = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "::10.0.0.1",
        ];
        for text in inside {
            assert!(!is_public(text.parse().unwrap()), "`{text}` is not of the open network");
        }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1", "::ffff:1.1.1.1"] {
            assert!(is_public(text.parse().unwrap()), "`{text}` is of the open network");
        }
    }

    #[test]
    fn a_message_tells_kind_time_and_ids_alone() {
        let notice = Notice {
            sequence: 7,
            id: [0xab; 16],
            kind: NoticeKind::Decided,
            disclosure: DisclosureId::from_bytes([1; 16]),
            at: Timestamp::from_millis(1_767_225_600_000),
        };
        let message = WebhookMessage::of(&notice);
        let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(message.id, format!("msg_{}", "ab".repeat(16)));
        assert_eq!(
            body,
            json!({
                "type": "disclosure.decided", "timestamp": notice.at.to_string(),
                "data": { "disclosure": notice.disclosure.resource() },
            })
        );
    }
}
