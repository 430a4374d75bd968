//! Where a partner's own system is told that something happened to a disclosure.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::reader::Section;
use super::witness::{WitnessScheme, WitnessUrl};

/// A system that takes notices: the section `[webhook]` of an agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens.
    pub url: WebhookUrl,
    /// The certificates of the authority that its certificate is issued by, PEM.
    pub authority: String,
}

/// The address of a system that takes notices: always https.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, which begins with a slash.
    pub path: String,
}

/// An address that is none of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the address of a webhook; write it as `https://host:port/path`, without `?`, `#` and `@`"
)]
pub struct WebhookUrlError(String);

impl FromStr for WebhookUrl {
    type Err = WebhookUrlError;

    fn from_str(text: &str) -> Result<Self, WebhookUrlError> {
        let wrong = || WebhookUrlError(text.chars().take(SHOWN_CHARS).collect());
        let WitnessUrl { scheme, host, port, prefix } = text.parse().map_err(|_| wrong())?;
        if scheme != WitnessScheme::Https {
            return Err(wrong());
        }
        Ok(Self { host, port, path: if prefix.is_empty() { "/".to_owned() } else { prefix } })
    }
}

impl WebhookUrl {
    /// Host and port, as they stand in the address.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "https://{}{}", self.authority(), self.path)
    }
}

/// Whether a text holds certificates in PEM, one at least.
#[must_use]
pub fn is_certificates(pem: &str) -> bool {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.is_ok_and(|certificates| !certificates.is_empty())
}

pub(super) fn webhook(part: &Section<'_>) -> Option<Webhook> {
    let url = part.parsed("url");
    let authority = part.text("authority");
    let authority = authority.and_then(|pem| {
        if is_certificates(&pem) {
            return Some(pem);
        }
        part.fault_at("authority", "this holds no certificates in PEM; copy the authority's file as it is")
    });
    Some(Webhook { url: url?, authority: authority? })
}

const SHOWN_CHARS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_an_address_of_a_webhook() {
        let url: WebhookUrl = "https://hooks.border.example:8443/onebit/".parse().unwrap();
        assert_eq!((url.port, url.path.as_str()), (8443, "/onebit"));
        assert_eq!(url.to_string(), "https://hooks.border.example:8443/onebit");
        assert_eq!("https://[2001:db8::1]".parse::<WebhookUrl>().unwrap().authority(), "[2001:db8::1]:443");
        for bad in ["http://a.example/", "https://", "https://a@b/", "https://a/?q", "ftp://a", "a.example"] {
            assert!(bad.parse::<WebhookUrl>().is_err(), "`{bad}` should have been refused");
        }
    }
}
