//! Development authorities and certificates, and what a certificate says: the library part of `onebit cert`, of
//! the ceremony and of the demonstration.
//!
//! What is not protected: these authorities keep their key in a file. In production a partner's authority is
//! the partner's own, in its own hardware, and only its certificate comes here.

use std::net::IpAddr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::door::identity::key_type;
use crate::door::{IdentityError, KeyType, PeerIdentity, SpiffeError, SpiffeId, TrustDomainName};
use crate::ids::Digest;
use crate::secret::{Entropy, EntropyError, random_bytes};

/// A certificate that can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A name that is not a SPIFFE ID or a trust domain.
    #[error("the name can't stand in a certificate")]
    Name(#[from] SpiffeError),
    /// A name with characters that certificates do not carry.
    #[error("`{0}` has characters that a certificate can't carry; use ASCII")]
    Ascii(String),
    /// A validity that ends before it begins.
    #[error("the validity ends before it begins; give an end after {from}")]
    Validity {
        /// When it begins.
        from: Timestamp,
    },
    /// An instant that certificates can't express.
    #[error("{0} is outside the years 1970 to 9999 that a certificate can express")]
    Time(Timestamp),
    /// No randomness for the serial number.
    #[error("no serial number can be drawn")]
    Entropy(#[from] EntropyError),
    /// The certificate library refused.
    #[error("the certificate can't be made")]
    Issue(#[source] rcgen::Error),
    /// An authority's key that can't be read.
    #[error(
        "the authority's key can't be read; give the PEM block of type `PRIVATE KEY` that was made with it"
    )]
    AuthorityKey(#[source] rcgen::Error),
    /// An authority's certificate that can't be read, or was not made here.
    #[error("the authority's certificate can't be used; give one that `onebit cert authority` made")]
    AuthorityCertificate,
    /// A key and a certificate that do not belong together.
    #[error(
        "the authority's key and certificate don't belong together; give the two that were made together"
    )]
    AuthorityPair,
    /// A file without one readable certificate.
    #[error("no certificate can be read; give a PEM block of type `CERTIFICATE`")]
    Pem,
}

/// From when to when a certificate is valid, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant; the part of a second is dropped.
    pub not_before: Timestamp,
    /// The last instant; the part of a second is dropped.
    pub not_after: Timestamp,
}

impl Validity {
    /// From five minutes before `now`, for clocks that are behind, to so much later.
    #[must_use]
    pub fn starting(now: Timestamp, length: Duration) -> Self {
        Self { not_before: now.before(CLOCK_SKEW), not_after: now.after(length) }
    }
}

/// What a certificate may be used for in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// By clients.
    Client,
    /// By servers.
    Server,
}

/// A certificate to be issued. Nothing in it is judged: tests ask for certificates that no door lets in.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// The subject's common name, for people only.
    pub common_name: String,
    /// URIs among the subject alternative names.
    pub uris: Vec<String>,
    /// DNS names among them.
    pub dns: Vec<String>,
    /// Addresses among them.
    pub addresses: Vec<IpAddr>,
    /// From when to when it is valid.
    pub validity: Validity,
    /// Extended key usages.
    pub usages: Vec<Usage>,
    /// The kind of key to make.
    pub key: KeyType,
}

impl CertificateRequest {
    /// A client's certificate for one SPIFFE ID, ECDSA P-256.
    #[must_use]
    pub fn client(uri: &str, validity: Validity) -> Self {
        Self {
            common_name: uri.rsplit('/').next().unwrap_or(uri).to_owned(),
            uris: vec![uri.to_owned()],
            dns: Vec::new(),
            addresses: Vec::new(),
            validity,
            usages: vec![Usage::Client],
            key: KeyType::EcdsaP256,
        }
    }

    /// A server's certificate for host names and addresses, ECDSA P-256.
    #[must_use]
    pub fn server(dns: &[&str], addresses: &[IpAddr], validity: Validity) -> Self {
        Self {
            common_name: dns.first().copied().unwrap_or("onebit").to_owned(),
            uris: Vec::new(),
            dns: dns.iter().map(|&name| name.to_owned()).collect(),
            addresses: addresses.to_vec(),
            validity,
            usages: vec![Usage::Server],
            key: KeyType::EcdsaP256,
        }
    }
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PKCS#8 in PEM; wiped when dropped.
    pub key_pem: Zeroizing<String>,
    /// Its serial number, for [`Authority::revocation_list`].
    pub serial: [u8; SERIAL_BYTES],
}

/// A development authority: signs certificates for one trust domain.
pub struct Authority {
    trust_domain: TrustDomainName,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with a new ECDSA P-256 key and a certificate signed by itself.
    ///
    /// # Errors
    /// [`CertError`] for a validity that can't be, or when there is no randomness.
    pub fn new(
        trust_domain: &TrustDomainName,
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<Self, CertError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CertError::Issue)?;
        let mut params = params(&format!("{COMMON_NAME_PREFIX}{trust_domain}"), validity, entropy)?.0;
        // Nothing but end-entity certificates below it (RFC 5280, section 4.2.1.9).
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(ascii(&format!("spiffe://{trust_domain}"))?)];
        let certificate = params.self_signed(&key).map_err(CertError::Issue)?;
        Ok(Self {
            trust_domain: trust_domain.clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Takes up an authority that [`Authority::new`] made.
    ///
    /// # Errors
    /// [`CertError::AuthorityKey`], [`CertError::AuthorityCertificate`] and [`CertError::AuthorityPair`] when the
    /// two are not readable, not made here or not a pair.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let key = KeyPair::from_pem_and_sign_algo(key_pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(CertError::AuthorityKey)?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| CertError::Pem)?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|_| CertError::AuthorityCertificate)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CertError::AuthorityPair);
        }
        let trust_domain = own_trust_domain(&certificate).ok_or(CertError::AuthorityCertificate)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("{COMMON_NAME_PREFIX}{trust_domain}"));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method =
            KeyIdMethod::PreSpecified(key_identifier(&certificate).ok_or(CertError::AuthorityCertificate)?);
        Ok(Self {
            trust_domain,
            certificate_pem: certificate_pem.to_owned(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The trust domain that it issues for.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomainName {
        &self.trust_domain
    }

    /// Its certificate, PEM: the root of the trust domain.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, PKCS#8 in PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.issuer.key().serialize_pem())
    }

    /// Issues a client's certificate for `path` in its trust domain.
    ///
    /// # Errors
    /// [`CertError::Name`] when `path` can't be the path of a SPIFFE ID, and those of [`Authority::issue`].
    pub fn issue_client(
        &self,
        path: &str,
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<Issued, CertError> {
        let uri = SpiffeId::parse(&format!("spiffe://{}/{path}", self.trust_domain))?.to_string();
        self.issue(&CertificateRequest::client(&uri, validity), entropy)
    }

    /// Issues a server's certificate for host names and addresses.
    ///
    /// # Errors
    /// Those of [`Authority::issue`].
    pub fn issue_server(
        &self,
        dns: &[&str],
        addresses: &[IpAddr],
        validity: Validity,
        entropy: &dyn Entropy,
    ) -> Result<Issued, CertError> {
        self.issue(&CertificateRequest::server(dns, addresses, validity), entropy)
    }

    /// Issues a certificate with a new key, as asked and without judging it.
    ///
    /// # Errors
    /// [`CertError`] for names or a validity that no certificate can carry, or when there is no randomness.
    pub fn issue(&self, request: &CertificateRequest, entropy: &dyn Entropy) -> Result<Issued, CertError> {
        let key = KeyPair::generate_for(match request.key {
            KeyType::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
            KeyType::Ed25519 => &PKCS_ED25519,
        })
        .map_err(CertError::Issue)?;
        let (mut params, serial) = params(&request.common_name, request.validity, entropy)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = request.usages.iter().map(|usage| purpose(*usage)).collect();
        for uri in &request.uris {
            params.subject_alt_names.push(SanType::URI(ascii(uri)?));
        }
        for name in &request.dns {
            params.subject_alt_names.push(SanType::DnsName(ascii(name)?));
        }
        params.subject_alt_names.extend(request.addresses.iter().copied().map(SanType::IpAddress));
        let certificate = params.signed_by(&key, &self.issuer).map_err(CertError::Issue)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        Ok(Issued { certificate_pem: certificate.pem(), key_pem, serial })
    }

    /// Signs a revocation list, PEM, of certificates with these serial numbers.
    ///
    /// # Errors
    /// [`CertError`] for a validity that can't be.
    pub fn revocation_list(
        &self,
        serials: &[[u8; SERIAL_BYTES]],
        number: u64,
        validity: Validity,
    ) -> Result<String, CertError> {
        let CertificateParams { not_before: this_update, not_after: next_update, .. } = dated(validity)?;
        let revoked = |serial: &[u8; SERIAL_BYTES]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: this_update,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(CertError::Issue)
    }
}

/// What a certificate says, for `onebit cert show`.
#[derive(Debug, Clone)]
pub struct CertificateFacts {
    /// URIs among the subject alternative names.
    pub uris: Vec<String>,
    /// DNS names among them.
    pub dns: Vec<String>,
    /// The trust domain of the one URI, if it is one SPIFFE ID.
    pub trust_domain: Option<TrustDomainName>,
    /// SHA-256 of the SubjectPublicKeyInfo, by which people confirm a key.
    pub fingerprint: Digest,
    /// From when to when it is valid.
    pub validity: Validity,
    /// The kind of key; nothing for one that Onebit does not verify.
    pub key_type: Option<KeyType>,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// The issuer's name.
    pub issuer: String,
    /// Whether it is a root of a trust domain and not a peer's.
    pub authority: bool,
    /// Who it is at the door, or why the door would not take it whoever issued it.
    pub peer: Result<SpiffeId, IdentityError>,
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// [`CertError::Pem`] when there is none.
pub fn describe(pem: &[u8]) -> Result<CertificateFacts, CertError> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertError::Pem)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| CertError::Pem)?;
    let (uris, dns) = names(&certificate);
    let peer = PeerIdentity::from_certificate(&der).map(|peer| peer.spiffe().clone());
    let seconds = |time: i64| Timestamp::from_millis(time.saturating_mul(1_000));
    Ok(CertificateFacts {
        trust_domain: match uris.as_slice() {
            [uri] => uri
                .strip_prefix("spiffe://")
                .and_then(|rest| rest.split('/').next())
                .and_then(|domain| TrustDomainName::parse(domain).ok()),
            _ => None,
        },
        uris,
        dns,
        fingerprint: Digest::sha256(certificate.public_key().raw),
        validity: Validity {
            not_before: seconds(certificate.validity().not_before.timestamp()),
            not_after: seconds(certificate.validity().not_after.timestamp()),
        },
        key_type: key_type(certificate.public_key()),
        serial: HEXLOWER.encode(certificate.raw_serial()),
        issuer: certificate.issuer().to_string(),
        authority: certificate.is_ca(),
        peer,
    })
}

fn params(
    name: &str,
    validity: Validity,
    entropy: &dyn Entropy,
) -> Result<(CertificateParams, [u8; SERIAL_BYTES]), CertError> {
    let mut params = dated(validity)?;
    let mut serial: [u8; SERIAL_BYTES] = random_bytes(entropy)?;
    // Positive, and of the same length always (RFC 5280, section 4.1.2.2).
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    params.distinguished_name = common_name(name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok((params, serial))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Parameters with this validity and nothing else.
fn dated(validity: Validity) -> Result<CertificateParams, CertError> {
    let Validity { not_before, not_after } = validity;
    if not_after <= not_before {
        return Err(CertError::Validity { from: not_before });
    }
    let since_1970 = |instant: Timestamp| match u64::try_from(instant.as_millis()) {
        Ok(millis) if millis <= LAST_MILLIS => Ok(Duration::from_secs(millis / 1_000)),
        _ => Err(CertError::Time(instant)),
    };
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + since_1970(not_before)?;
    params.not_after = epoch + since_1970(not_after)?;
    Ok(params)
}

fn purpose(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }
}

fn ascii(text: &str) -> Result<Ia5String, CertError> {
    Ia5String::try_from(text).map_err(|_| CertError::Ascii(text.chars().take(SHOWN_MAX_CHARS).collect()))
}

/// The trust domain in the name that [`Authority::new`] gives its certificates.
fn own_trust_domain(certificate: &X509Certificate<'_>) -> Option<TrustDomainName> {
    let mut attributes = certificate.subject().iter_attributes();
    let name = attributes.next()?.as_str().ok()?;
    let domain = TrustDomainName::parse(name.strip_prefix(COMMON_NAME_PREFIX)?).ok()?;
    (certificate.is_ca() && attributes.next().is_none()).then_some(domain)
}

fn key_identifier(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    })
}

fn names(certificate: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut uris, mut dns) = (Vec::new(), Vec::new());
    let extension = certificate.subject_alternative_name().ok().flatten();
    for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            _ => {}
        }
    }
    (uris, dns)
}

/// 126 random bits, of which a certificate's serial number needs 64 (CA/Browser Forum, section 7.1).
pub const SERIAL_BYTES: usize = 16;
const COMMON_NAME_PREFIX: &str = "Onebit development authority of ";
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// 9999-12-31T23:59:59Z, the last instant of GeneralizedTime (RFC 5280, section 4.1.2.5).
const LAST_MILLIS: u64 = 253_402_300_799_999;
const SHOWN_MAX_CHARS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000)
    }

    fn a_day() -> Validity {
        Validity::starting(now(), Duration::from_secs(86_400))
    }

    fn authority() -> Authority {
        let domain = TrustDomainName::parse("border.au.example").unwrap();
        Authority::new(&domain, a_day(), &SystemEntropy::new()).unwrap()
    }

    #[test]
    fn a_clients_certificate_says_who_it_is() {
        let issued = authority().issue_client("query/gate-1", a_day(), &SystemEntropy::new()).unwrap();
        let facts = describe(issued.certificate_pem.as_bytes()).unwrap();
        assert_eq!(facts.uris, ["spiffe://border.au.example/query/gate-1"]);
        assert_eq!(facts.peer.unwrap().path(), "query/gate-1");
        assert_eq!(facts.trust_domain.unwrap().as_str(), "border.au.example");
        assert_eq!(
            (facts.validity, facts.key_type, facts.authority),
            (a_day(), Some(KeyType::EcdsaP256), false)
        );
        assert_eq!(facts.serial, HEXLOWER.encode(&issued.serial));
        assert!(issued.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    }

    #[test]
    fn an_authority_is_described_and_not_taken_for_a_peer() {
        let facts = describe(authority().certificate_pem().as_bytes()).unwrap();
        assert_eq!((facts.authority, facts.peer), (true, Err(IdentityError::Authority)));
        assert_eq!(facts.trust_domain.unwrap().as_str(), "border.au.example");
    }

    #[test]
    fn an_authority_that_was_put_away_signs_as_before() {
        let first = authority();
        let again = Authority::from_pem(first.certificate_pem(), &first.key_pem()).unwrap();
        assert_eq!(again.trust_domain(), first.trust_domain());
        let chain = |issued: Issued| {
            let der = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            let authority_key = certificate.iter_extensions().find_map(|e| match e.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    id.key_identifier.as_ref().map(|id| id.0.to_vec())
                }
                _ => None,
            });
            (certificate.issuer().to_string(), authority_key.unwrap())
        };
        let entropy = SystemEntropy::new();
        assert_eq!(
            chain(first.issue_client("a", a_day(), &entropy).unwrap()),
            chain(again.issue_client("a", a_day(), &entropy).unwrap()),
        );
    }

    #[test]
    fn what_is_not_an_authority_is_not_taken_up() {
        let (one, other) = (authority(), authority());
        let issued = one.issue_client("a", a_day(), &SystemEntropy::new()).unwrap();
        let refused = |certificate: &str, key: &str| Authority::from_pem(certificate, key).err().unwrap();
        assert!(matches!(refused(one.certificate_pem(), &other.key_pem()), CertError::AuthorityPair));
        assert!(matches!(refused(&issued.certificate_pem, &issued.key_pem), CertError::AuthorityCertificate));
        assert!(matches!(refused("", &one.key_pem()), CertError::Pem));
        assert!(matches!(refused(one.certificate_pem(), "no key"), CertError::AuthorityKey(_)));
    }

    #[test]
    fn impossible_requests_are_refused() {
        let entropy = SystemEntropy::new();
        let backwards = Validity { not_before: now(), not_after: now() };
        let ancient = Validity { not_before: Timestamp::from_millis(-1), not_after: now() };
        let refused =
            |path: &str, validity| authority().issue_client(path, validity, &entropy).err().unwrap();
        assert!(matches!(refused("", a_day()), CertError::Name(SpiffeError::Path(_))));
        assert!(matches!(refused("a", backwards), CertError::Validity { .. }));
        assert!(matches!(refused("a", ancient), CertError::Time(_)));
    }

    #[test]
    fn serial_numbers_differ() {
        let authority = authority();
        let serial = || authority.issue_client("a", a_day(), &SystemEntropy::new()).unwrap().serial;
        assert_ne!(serial(), serial());
    }
}
