//! One request to the provider, over TLS verified by the authority that was named for it, and a bounded answer.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::super::tls::connector;

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No answer in time.
    #[error("no answer came within {} s", WAIT_LONGEST.as_secs())]
    TimedOut,
    /// No connection.
    #[error("it can't be reached")]
    Connect(#[source] io::Error),
    /// Its certificate, or the authority that was named for it.
    #[error("no TLS comes about; check its certificate and the authority that is named for it")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The exchange broke.
    #[error("the exchange broke off")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An answer.
pub(super) struct Answer {
    /// Whether it is a success; a redirect is none, and nobody follows it.
    pub(super) is_good: bool,
    pub(super) body: Bytes,
}

/// What speaks to the provider.
pub(super) struct Exchange(TlsConnector);

impl Exchange {
    pub(super) fn new(authority: &str) -> Result<Self, ExchangeError> {
        connector(authority).map(Self).map_err(ExchangeError::Tls)
    }

    pub(super) async fn get(&self, address: &str) -> Result<Answer, ExchangeError> {
        self.send(address, Request::builder(), String::new()).await
    }

    pub(super) async fn post(
        &self,
        address: &str,
        form: &str,
        authorization: Option<&str>,
    ) -> Result<Answer, ExchangeError> {
        let mut request =
            Request::builder().method(Method::POST).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(text) = authorization {
            let mut value = HeaderValue::from_str(text).map_err(broken)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        self.send(address, request, form.to_owned()).await
    }

    async fn send(&self, address: &str, request: Builder, body: String) -> Result<Answer, ExchangeError> {
        let uri: Uri = address.parse().map_err(broken)?;
        let authority = uri.authority().ok_or_else(|| broken("there is no host in the address"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(HTTPS_PORT);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = request
            .uri(path)
            .header(HOST, authority.as_str())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "onebit")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(broken)?;
        timeout(WAIT_LONGEST, self.exchange(host, port, request))
            .await
            .map_err(|_| ExchangeError::TimedOut)?
    }

    async fn exchange(
        &self,
        host: String,
        port: u16,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, ExchangeError> {
        let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(ExchangeError::Connect)?;
        let name = ServerName::try_from(host).map_err(|error| ExchangeError::Tls(error.into()))?;
        let stream = self.0.connect(name, tcp).await.map_err(|error| ExchangeError::Tls(error.into()))?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(ANSWER_HEAD_MAX_BYTES);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The exchange may be given up: then the connection ends with it.
        let _connection = AbortOnDrop(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(broken)?;
        let is_good = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
        let body = body.map_err(ExchangeError::Http)?.to_bytes();
        Ok(Answer { is_good, body })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ExchangeError {
    ExchangeError::Http(error.into())
}

/// Three of them, the most that a sign-in takes, end before a page's time does.
const WAIT_LONGEST: Duration = Duration::from_secs(3);
const HTTPS_PORT: u16 = 443;
const ANSWER_HEAD_MAX_BYTES: usize = 16 * 1_024;
/// Documents and keys of large providers are some tens of KiB.
const ANSWER_MAX_BYTES: usize = 256 * 1_024;
