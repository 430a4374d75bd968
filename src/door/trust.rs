//! Whom the door believes: each trust domain its own roots and its own revocation lists, and no others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::identity::{PeerIdentity, TrustDomainName};
use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::ids::Digest;

/// Roots and lists that don't make a trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not a sequence of PEM certificates.
    #[error("the roots of `{domain}` can't be read; give PEM blocks of type `CERTIFICATE`")]
    RootsPem {
        /// Whose roots.
        domain: TrustDomainName,
        /// What is wrong with the file.
        source: rustls::pki_types::pem::Error,
    },
    /// Not a sequence of PEM revocation lists.
    #[error("a revocation list of `{domain}` can't be read; give PEM blocks of type `X509 CRL`")]
    ListsPem {
        /// Whose list.
        domain: TrustDomainName,
        /// What is wrong with the file.
        source: rustls::pki_types::pem::Error,
    },
    /// No trust domain at all.
    #[error("no trust domain is configured, so nobody could connect; configure at least one")]
    Empty,
    /// A trust domain that is there twice.
    #[error("the trust domain `{0}` is there twice; put all its roots in one place")]
    Twice(TrustDomainName),
    /// A trust domain without a root.
    #[error("the trust domain `{0}` has no root; give at least one certificate of its authority")]
    NoRoot(TrustDomainName),
    /// A root that is not an authority's certificate.
    #[error("a root of `{0}` is not an authority's certificate; give the certificate that issues the others")]
    NotAuthority(TrustDomainName),
    /// A root that webpki does not take as a trust anchor.
    #[error("a root of `{domain}` can't be used")]
    Root {
        /// Whose root.
        domain: TrustDomainName,
        /// Why not.
        source: TlsError,
    },
    /// One authority for two trust domains: each could then speak for the other.
    #[error("`{one}` and `{other}` share a root; give each trust domain an authority of its own")]
    Shared {
        /// One of them.
        one: TrustDomainName,
        /// The other.
        other: TrustDomainName,
    },
    /// The verifier could not be built, which a malformed revocation list causes.
    #[error("roots and revocation lists of `{domain}` don't fit together; check the lists")]
    Lists {
        /// Whose lists.
        domain: TrustDomainName,
        /// Why not.
        source: VerifierBuilderError,
    },
}

/// A trust domain as configured.
#[derive(Debug, Clone)]
pub struct TrustDomain {
    /// Its name, as it stands in the SPIFFE IDs that its authority issues.
    pub name: TrustDomainName,
    /// Its authority's certificates, at least one.
    pub roots: Vec<CertificateDer<'static>>,
    /// Its revocation lists. With none, revocation is not checked; with any, every certificate below a root has
    /// to be covered by a list that has not expired.
    pub revocation_lists: Vec<CertificateRevocationListDer<'static>>,
}

impl TrustDomain {
    /// Reads a trust domain from PEM: a bundle of roots, and a bundle of revocation lists that may be empty.
    ///
    /// # Errors
    /// [`TrustError::RootsPem`] and [`TrustError::ListsPem`].
    pub fn from_pem(
        name: TrustDomainName,
        roots: &[u8],
        revocation_lists: &[u8],
    ) -> Result<Self, TrustError> {
        let roots = CertificateDer::pem_slice_iter(roots)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TrustError::RootsPem { domain: name.clone(), source })?;
        let revocation_lists = CertificateRevocationListDer::pem_slice_iter(revocation_lists)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TrustError::ListsPem { domain: name.clone(), source })?;
        Ok(Self { name, roots, revocation_lists })
    }
}

/// Whom the door believes.
#[derive(Debug)]
pub struct Trust {
    domains: HashMap<TrustDomainName, Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Builds the verifiers, one a trust domain.
    ///
    /// The validity of a root itself is not checked, as RFC 5280, section 6.1.1 has it for trust anchors: take a
    /// root that must not count any more out of the configuration.
    ///
    /// # Errors
    /// [`TrustError`] when a domain is there twice, has no usable root, shares one with another domain, or has a
    /// revocation list that can't be read. One bad domain fails them all, so that the last good set stays.
    pub fn build(domains: Vec<TrustDomain>) -> Result<Self, TrustError> {
        if domains.is_empty() {
            return Err(TrustError::Empty);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut keys = HashMap::new();
        let mut verifiers = HashMap::new();
        for domain in domains {
            claim_roots(&mut keys, &domain)?;
            let name = domain.name.clone();
            let verifier = domain_verifier(domain, &provider)?;
            if verifiers.insert(name.clone(), verifier).is_some() {
                return Err(TrustError::Twice(name));
            }
        }
        Ok(Self { domains: verifiers, algorithms: provider.signature_verification_algorithms })
    }

    /// Says who presents this chain (end-entity certificate first, DER), if its trust domain's authority vouches
    /// for it at `now`.
    ///
    /// # Errors
    /// [`Refusal`] says why nobody is believed to be there.
    pub fn identify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<PeerIdentity, Refusal> {
        let (end_entity, intermediates) = chain.split_first().ok_or(Refusal::NoCertificate)?;
        self.verify(end_entity, intermediates, unix_time(now))
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, Refusal> {
        let identity = PeerIdentity::from_certificate(end_entity)?;
        let domain = identity.spiffe().trust_domain();
        let verifier = self.domains.get(domain).ok_or_else(|| Refusal::UnknownDomain(domain.clone()))?;
        verifier.verify_client_cert(end_entity, intermediates, now).map_err(Refusal::Chain)?;
        Ok(identity)
    }
}

/// Verifies a client in its handshake against the trust domain that it names.
#[derive(Debug)]
pub(super) struct ClientVerifier(pub(super) Arc<Trust>);

impl ClientCertVerifier for ClientVerifier {
    /// None: the list of names would tell every stranger who the partners are.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.0.verify(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.0.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.algorithms.supported_schemes()
    }
}

/// The instant as rustls counts it; before 1970 counts as 1970.
pub(super) fn unix_time(now: Timestamp) -> UnixTime {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(millis))
}

fn claim_roots(keys: &mut HashMap<Digest, TrustDomainName>, domain: &TrustDomain) -> Result<(), TrustError> {
    for root in &domain.roots {
        let not_authority = || TrustError::NotAuthority(domain.name.clone());
        let (_, certificate) = X509Certificate::from_der(root).map_err(|_| not_authority())?;
        if !certificate.is_ca() {
            return Err(not_authority());
        }
        match keys.entry(Digest::sha256(certificate.public_key().raw)) {
            Entry::Occupied(taken) if *taken.get() != domain.name => {
                return Err(TrustError::Shared { one: taken.get().clone(), other: domain.name.clone() });
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(domain.name.clone());
            }
        }
    }
    Ok(())
}

fn domain_verifier(
    domain: TrustDomain,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    let TrustDomain { name, roots, revocation_lists } = domain;
    if roots.is_empty() {
        return Err(TrustError::NoRoot(name));
    }
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root).map_err(|source| TrustError::Root { domain: name.clone(), source })?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .with_crls(revocation_lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|source| TrustError::Lists { domain: name, source })
}
