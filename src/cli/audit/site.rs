//! A journal behind a URL, C2SP tlog-tiles: one connection over mutual TLS, HTTP/2, one file a request.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cli::fault::CliError;
use crate::grpc::client::CredentialOptions;

/// A journal behind a URL. Clones share the connection.
#[derive(Clone)]
pub(super) struct Site {
    sender: SendRequest<Empty<Bytes>>,
    url: String,
    wait: Duration,
}

impl Site {
    /// Connects to where the URL points.
    pub(super) async fn open(url: &str, credential: &CredentialOptions) -> Result<Self, CliError> {
        let (url, host, port) = parts(url)?;
        let (tls, name) = credential.tls(&host)?;
        let wait = credential.wait();
        let unreachable = |error: std::io::Error| {
            let doing = format!(
                "no connection to `{host}:{port}`; check the address, and that the log is served there"
            );
            CliError::because(doing, error)
        };
        let connecting = async {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            tls.connect(name, tcp).await
        };
        let connected = timeout(wait, connecting).await;
        let stream =
            connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| CliError::because(format!("`{host}:{port}` does not speak HTTP/2"), error))?;
        // What goes wrong with it is told by the request that waits.
        tokio::spawn(connection);
        Ok(Self { sender, url, wait })
    }

    /// Fetches a file of the journal.
    ///
    /// # Errors
    /// [`CliError`] when it is not there, is longer than any file of a journal, or nothing comes in time. A server
    /// that is busy is asked again.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, CliError> {
        let mut tries = TRIES;
        loop {
            tries = tries.saturating_sub(1);
            let got = timeout(self.wait, self.get_once(path)).await;
            let (status, content) = got.unwrap_or_else(|_| {
                Err(CliError::Found(format!(
                    "no answer for `{}` in time; fetch again, what came is kept",
                    self.at(path)
                )))
            })?;
            match status {
                StatusCode::OK => return Ok(content),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if tries > 0 => {
                    sleep(PAUSE).await;
                }
                _ => return Err(self.refused(path, status, &content)),
            }
        }
    }

    async fn get_once(&self, path: &str) -> Result<(StatusCode, Vec<u8>), CliError> {
        let broken = |error: hyper::Error| {
            let doing =
                "the connection broke; if it breaks at once, the server does not take your certificate";
            CliError::because(doing, error)
        };
        let request = Request::get(self.at(path))
            .body(Empty::new())
            .map_err(|error| CliError::because(format!("`{}` can't be asked for", self.at(path)), error))?;
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), FILE_MAX_BYTES).collect().await.map_err(|error| {
            let what = if error.is::<LengthLimitError>() {
                "is longer than any file of a journal"
            } else {
                "broke off"
            };
            CliError::because(format!("`{}` {what}", self.at(path)), error)
        })?;
        Ok((status, body.to_bytes().to_vec()))
    }

    fn refused(&self, path: &str, status: StatusCode, content: &[u8]) -> CliError {
        let said: String = String::from_utf8_lossy(content)
            .chars()
            .take_while(|c| *c != '\n')
            .filter(|c| !c.is_control())
            .take(SHOWN_CHARS)
            .collect();
        CliError::Found(format!("`{}` was refused ({}): {said}", self.at(path), status.as_u16()))
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

/// The URL without a slash at its end, its host and its port.
fn parts(url: &str) -> Result<(String, String, u16), CliError> {
    let refused = || {
        let shown: String = url.chars().take(SHOWN_CHARS).collect();
        CliError::Usage(format!(
            "`{shown}` is not the address of a journal; write it as `https://host:port/journal`"
        ))
    };
    let trimmed = url.trim_end_matches('/');
    let uri: Uri = trimmed.parse().map_err(|_| refused())?;
    let names_journal = uri.path().len() > 1 && uri.query().is_none() && !trimmed.contains('#');
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(host)) if names_journal && !trimmed.contains('@') => {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Ok((trimmed.to_owned(), host, uri.port_u16().unwrap_or(HTTPS_PORT)))
        }
        _ => Err(refused()),
    }
}

/// A whole bundle has 17,152 bytes; a checkpoint with as many signatures as a note may have, less.
const FILE_MAX_BYTES: usize = 64 * 1_024;
/// A server that is busy says so for a second at a time.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
const HTTPS_PORT: u16 = 443;
const SHOWN_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_has_an_address() {
        let at = |url: &str| parts(url).unwrap();
        let host = "log.example".to_owned();
        assert_eq!(
            at("https://log.example:7444/holder/"),
            ("https://log.example:7444/holder".to_owned(), host.clone(), 7_444)
        );
        assert_eq!(at("https://log.example/logs/au-border").1, host);
        assert_eq!(at("https://[::1]:7444/holder").1, "::1");
        for bad in [
            "",
            "log.example/holder",
            "http://log.example/holder",
            "https://log.example",
            "https://log.example/",
            "https://log.example/holder?x",
            "https://log.example/holder#x",
            "https://somebody@log.example/holder",
        ] {
            assert!(parts(bad).is_err(), "`{bad}` should have been refused");
        }
    }
}
