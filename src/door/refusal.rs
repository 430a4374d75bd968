//! Why a connection did not come in.
//!
//! The peer learns nothing from it but one TLS alert that is the same for every certificate
//! (`certificate_unknown`): a stranger must not find out which trust domains are known here.

use std::io;
use std::sync::Arc;

use rustls::{CertificateError, Error as TlsError, OtherError};

use super::identity::{IdentityError, TrustDomainName};

/// Why a connection did not come in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The client did not finish its handshake in time.
    #[error("the handshake took too long")]
    Slow,
    /// TLS failed before or without a verdict on the certificate.
    #[error("TLS could not be agreed")]
    Tls(#[source] Arc<io::Error>),
    /// The client offers no protocol that the door speaks.
    #[error("the client does not offer `h2`; let it negotiate HTTP/2 by ALPN")]
    Protocol,
    /// The client presented no certificate.
    #[error("the client presented no certificate")]
    NoCertificate,
    /// No identity can be read from the certificate.
    #[error("the client's certificate does not say who it is")]
    Identity(#[from] IdentityError),
    /// The certificate names a trust domain that is not configured.
    #[error("the trust domain `{0}` is not known; add its roots if it is a partner's")]
    UnknownDomain(TrustDomainName),
    /// The certificate does not verify against its trust domain's roots and lists.
    #[error("the certificate does not verify against the roots and revocation lists of its trust domain")]
    Chain(#[source] TlsError),
    /// There is no room for another connection, or none for this trust domain or address.
    #[error("there is no room for another connection")]
    Full,
}

impl Refusal {
    /// One fixed word for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Tls(_) => "tls",
            Self::Protocol => "protocol",
            Self::NoCertificate => "no_certificate",
            Self::Identity(error) => error.reason(),
            Self::UnknownDomain(_) => "unknown_domain",
            Self::Chain(error) => chain_reason(error),
            Self::Full => "full",
        }
    }

    /// What `error` of a handshake means.
    pub(super) fn from_handshake(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
        match tls {
            Some(TlsError::NoCertificatesPresented) => Self::NoCertificate,
            Some(TlsError::NoApplicationProtocol) => Self::Protocol,
            Some(TlsError::InvalidCertificate(CertificateError::Other(OtherError(ours)))) => {
                ours.downcast_ref::<Self>().cloned().unwrap_or_else(|| {
                    Self::Chain(TlsError::InvalidCertificate(CertificateError::Other(OtherError(
                        Arc::clone(ours),
                    ))))
                })
            }
            Some(TlsError::InvalidCertificate(other)) => {
                Self::Chain(TlsError::InvalidCertificate(other.clone()))
            }
            _ => Self::Tls(Arc::new(error)),
        }
    }
}

impl From<Refusal> for TlsError {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

fn chain_reason(error: &TlsError) -> &'static str {
    let TlsError::InvalidCertificate(error) = error else { return "chain" };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownRevocationStatus => "revocation_unknown",
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "revocation_list_expired"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "issuer",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "usage",
        _ => "chain",
    }
}
