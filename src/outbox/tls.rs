//! TLS to whoever the holder speaks to: the authorities that were named for that one, and no others.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why no TLS comes about.
pub(super) type TlsError = Box<dyn std::error::Error + Send + Sync>;

/// What connects to somebody whose certificate an authority of these issued, PEM.
pub(super) fn connector(authority: &str) -> Result<TlsConnector, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}
