//! The console's own origin: what browsers show, what passkeys are bound to, and what forms may come from.

use std::fmt;
use std::str::FromStr;

/// Text that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the address of pages; write `https://`, a host's name in lower case, and a port where it is not 443"
)]
pub struct OriginError(String);

/// `https://`, a host's name, and a port unless it is 443 (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
}

impl Origin {
    /// The host's name alone: the id of the relying party that passkeys are bound to (WebAuthn Level 2, section 5.1.2).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port, as browsers name them in the header `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.strip_prefix(SCHEME).unwrap_or_default()
    }

    /// The whole origin.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Origin {
    type Err = OriginError;
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = || OriginError(text.chars().take(QUOTED_MAX_CHARS).collect());
        let authority = text.strip_prefix(SCHEME).ok_or_else(refused)?;
        let (host, port) = match authority.split_once(':') {
            None => (authority, None),
            Some((host, port)) => (host, Some(port)),
        };
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        // Addresses are no relying parties: WebAuthn takes domains alone.
        let is_address = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if host.len() > HOST_MAX_BYTES || is_address || !host.split('.').all(label) {
            return Err(refused());
        }
        if let Some(port) = port {
            let number: u16 = port.parse().map_err(|_| refused())?;
            // Browsers leave the default port out, and write others in one way.
            if number == 0 || number == HTTPS_PORT || number.to_string() != port {
                return Err(refused());
            }
        }
        Ok(Self { text: text.to_owned(), host: host.to_owned() })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

const SCHEME: &str = "https://";
const HTTPS_PORT: u16 = 443;
/// RFC 1035, section 2.3.4.
const HOST_MAX_BYTES: usize = 253;
const QUOTED_MAX_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        let origin: Origin = "https://console.immigration.example:8443".parse().unwrap();
        assert_eq!(
            (origin.host(), origin.authority()),
            ("console.immigration.example", "console.immigration.example:8443")
        );
        assert!("https://localhost".parse::<Origin>().is_ok());
        for text in [
            "http://localhost",
            "https://",
            "https://localhost/",
            "https://localhost:443",
            "https://localhost:08443",
            "https://localhost:0",
            "https://Console.example",
            "https://192.0.2.1",
            "https://a..b",
            "https://a b",
            "https://user@host",
            "https://host?x",
        ] {
            assert!(text.parse::<Origin>().is_err(), "`{text}` is no origin as browsers write it");
        }
    }
}
