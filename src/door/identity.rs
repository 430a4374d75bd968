//! Who the peer is: one SPIFFE ID and one public key, read strictly from its certificate.
//!
//! Forms: SPIFFE-ID, sections 2 and 2.3; X509-SVID, sections 2 to 4 (both of the SPIFFE project).

use std::fmt;
use std::str::FromStr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::clock::Timestamp;
use crate::ids::Digest;

/// A text that is not a SPIFFE ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeError {
    /// Longer than 2,048 bytes.
    #[error("a SPIFFE ID of {0} bytes is too long; use at most 2048")]
    Length(usize),
    /// It does not start with `spiffe://`.
    #[error("`{0}` is not a SPIFFE ID; use the form `spiffe://trust-domain/path`")]
    Scheme(String),
    /// The trust domain has another form.
    #[error(
        "`{0}` is not a trust domain; use 1 to 255 characters from a-z, 0-9, `.`, `-` and `_`, without a port"
    )]
    TrustDomain(String),
    /// The path is missing or has another form.
    #[error(
        "`{0}` is not the path of a SPIFFE ID; use segments from a-z, A-Z, 0-9, `.`, `-` and `_`, none of them empty, `.` or `..`"
    )]
    Path(String),
}

/// A certificate from which no identity can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not one X.509 certificate in DER.
    #[error("the certificate is not well-formed DER; have it issued again")]
    Encoding,
    /// An extension that cannot be read, or stands there twice.
    #[error("the certificate's {0} can't be read or stands there twice; have it issued again")]
    Extension(&'static str),
    /// No URI among the subject alternative names.
    #[error(
        "the certificate names nobody; have it issued with one SPIFFE ID as a URI among its subject alternative names"
    )]
    Nameless,
    /// Two or more URIs among the subject alternative names.
    #[error(
        "the certificate has {0} URIs among its subject alternative names; have it issued with exactly one"
    )]
    ManyNames(usize),
    /// The URI is not a SPIFFE ID.
    #[error("the URI among the certificate's subject alternative names is not a SPIFFE ID")]
    Name(#[source] SpiffeError),
    /// A certificate that may sign other certificates or lists.
    #[error("the certificate is an authority's; present one that was issued to the system itself")]
    Authority,
    /// A key usage that does not allow signatures, or none at all.
    #[error(
        "the certificate's key usage does not allow digital signatures; have it issued with `digitalSignature`"
    )]
    KeyUsage,
    /// No extended key usage for clients.
    #[error("the certificate is not for clients; have it issued with the extended key usage `clientAuth`")]
    Purpose,
    /// A key that Onebit does not verify signatures of.
    #[error("the certificate's key is neither ECDSA P-256 nor Ed25519; have it issued for such a key")]
    Key,
}

impl IdentityError {
    /// One fixed word for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Encoding => "malformed",
            Self::Extension(_) => "extension",
            Self::Nameless => "nameless",
            Self::ManyNames(_) => "many_names",
            Self::Name(_) => "name",
            Self::Authority => "authority",
            Self::KeyUsage | Self::Purpose => "usage",
            Self::Key => "key",
        }
    }
}

/// The name of a trust domain: 1 to 255 characters from `a-z`, `0-9`, `.`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomainName(String);

impl TrustDomainName {
    /// Parses the name of a trust domain, without scheme and path.
    ///
    /// # Errors
    /// [`SpiffeError::TrustDomain`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        let fits = (1..=TRUST_DOMAIN_MAX_BYTES).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
        if fits { Ok(Self(text.to_owned())) } else { Err(SpiffeError::TrustDomain(shortened(text))) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomainName {
    type Err = SpiffeError;
    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        Self::parse(text)
    }
}

impl fmt::Display for TrustDomainName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A SPIFFE ID: `spiffe://trust-domain/path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomainName,
    path: String,
}

impl SpiffeId {
    /// Parses a SPIFFE ID. Nothing is normalised: what differs in one byte is another ID or none.
    ///
    /// The path may not be empty, since a bare trust domain names an authority and no peer.
    ///
    /// # Errors
    /// [`SpiffeError`] when the text has another form: query, fragment, port, user, percent-encoding and
    /// capital letters in scheme or trust domain included.
    pub fn parse(text: &str) -> Result<Self, SpiffeError> {
        if text.len() > SPIFFE_ID_MAX_BYTES {
            return Err(SpiffeError::Length(text.len()));
        }
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| SpiffeError::Scheme(shortened(text)))?;
        let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
        let trust_domain = TrustDomainName::parse(domain)?;
        if path.split('/').all(is_segment) {
            Ok(Self { trust_domain, path: path.to_owned() })
        } else {
            Err(SpiffeError::Path(shortened(path)))
        }
    }

    /// The trust domain, whose authority vouches for the path.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomainName {
        &self.trust_domain
    }

    /// The path without its leading `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;
    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        Self::parse(text)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}/{}", self.trust_domain, self.path)
    }
}

/// The kinds of key whose signatures Onebit verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA on P-256 (FIPS 186-5), public key as an uncompressed point of 65 bytes.
    EcdsaP256,
    /// Ed25519 (RFC 8032), public key of 32 bytes.
    Ed25519,
}

impl KeyType {
    /// The kind's name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// What a peer's certificate says about it.
///
/// It proves nothing by itself: only [`Trust`](super::Trust) says whether the trust domain's authority issued
/// the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    spiffe: SpiffeId,
    fingerprint: Digest,
    spki_der: Vec<u8>,
    public_key: Vec<u8>,
    key_type: KeyType,
    not_after: Timestamp,
}

impl PeerIdentity {
    /// Reads the identity from an end-entity certificate, DER.
    ///
    /// # Errors
    /// [`IdentityError`] when the certificate is not a client's, or does not name exactly one peer.
    pub fn from_certificate(der: &[u8]) -> Result<Self, IdentityError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Encoding)?;
        if !rest.is_empty() {
            return Err(IdentityError::Encoding);
        }
        check_is_client(&certificate)?;
        let spiffe = one_name(&certificate)?;
        let key = certificate.public_key();
        let key_type = key_type(key).ok_or(IdentityError::Key)?;
        Ok(Self {
            spiffe,
            fingerprint: Digest::sha256(key.raw),
            spki_der: key.raw.to_vec(),
            public_key: key.subject_public_key.data.to_vec(),
            key_type,
            not_after: Timestamp::from_millis(
                certificate.validity().not_after.timestamp().saturating_mul(1_000),
            ),
        })
    }

    /// The peer's name.
    #[must_use]
    pub const fn spiffe(&self) -> &SpiffeId {
        &self.spiffe
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the same as long as the key is, through renewals of the certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// The SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The public key's own bytes, in the form that [`KeyType`] names and that ring verifies with.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The kind of the key.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The last instant at which the certificate is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// The kind of a public key; nothing for a kind that Onebit does not verify.
#[must_use]
pub fn key_type(key: &SubjectPublicKeyInfo<'_>) -> Option<KeyType> {
    let algorithm = &key.algorithm.algorithm;
    let length = key.subject_public_key.data.len();
    if *algorithm == OID_SIG_ED25519 {
        return (length == ED25519_KEY_BYTES).then_some(KeyType::Ed25519);
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    (*algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == OID_EC_P256 && length == P256_POINT_BYTES)
        .then_some(KeyType::EcdsaP256)
}

/// webpki takes a certificate without extended key usage for any purpose; here it has to be named.
fn check_is_client(certificate: &X509Certificate<'_>) -> Result<(), IdentityError> {
    let constraints =
        certificate.basic_constraints().map_err(|_| IdentityError::Extension("basic constraints"))?;
    let usage = certificate.key_usage().map_err(|_| IdentityError::Extension("key usage"))?;
    let purposes =
        certificate.extended_key_usage().map_err(|_| IdentityError::Extension("extended key usage"))?;
    let usage = usage.map(|extension| extension.value).ok_or(IdentityError::KeyUsage)?;
    let signs_others = usage.key_cert_sign() || usage.crl_sign();
    if signs_others || constraints.is_some_and(|extension| extension.value.ca) {
        return Err(IdentityError::Authority);
    }
    if !usage.digital_signature() {
        return Err(IdentityError::KeyUsage);
    }
    if purposes.is_some_and(|extension| extension.value.client_auth) {
        Ok(())
    } else {
        Err(IdentityError::Purpose)
    }
}

/// Names of other types may stand beside the URI and mean nothing here.
fn one_name(certificate: &X509Certificate<'_>) -> Result<SpiffeId, IdentityError> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Extension("subject alternative name"))?
        .ok_or(IdentityError::Nameless)?;
    let mut uris = Vec::new();
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // It may have been meant as a URI, so it may not be passed over.
            GeneralName::Invalid(..) => return Err(IdentityError::Extension("subject alternative name")),
            _ => {}
        }
    }
    match uris.as_slice() {
        [] => Err(IdentityError::Nameless),
        [uri] => SpiffeId::parse(uri).map_err(IdentityError::Name),
        many => Err(IdentityError::ManyNames(many.len())),
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// What an error may repeat of its input: enough to find it, not enough to flood a log.
fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_MAX_CHARS).collect()
}

const SCHEME: &str = "spiffe://";
/// SPIFFE-ID, section 2.3.
const SPIFFE_ID_MAX_BYTES: usize = 2_048;
/// SPIFFE-ID, section 2.3: as long as a host name may be (RFC 3986, section 3.2.2).
const TRUST_DOMAIN_MAX_BYTES: usize = 255;
const SHOWN_MAX_CHARS: usize = 80;
/// 0x04 and two coordinates of 32 bytes (SEC 1, section 2.3.3).
const P256_POINT_BYTES: usize = 65;
const ED25519_KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spiffe_ids_have_one_form() {
        let id = SpiffeId::parse("spiffe://border.au.example/onebit/query-1").unwrap();
        assert_eq!((id.trust_domain().as_str(), id.path()), ("border.au.example", "onebit/query-1"));
        for bad in [
            "",
            "spiffe://",
            "spiffe:///a",
            "spiffe://au.example",
            "spiffe://au.example/",
            "spiffe://au.example/a/",
            "spiffe://au.example//a",
            "spiffe://au.example/a/../b",
            "spiffe://au.example/./a",
            "spiffe://Au.example/a",
            "SPIFFE://au.example/a",
            "https://au.example/a",
            "spiffe://user@au.example/a",
            "spiffe://au.example:443/a",
            "spiffe://au.example/a?b",
            "spiffe://au.example/a#b",
            "spiffe://au.example/a%2Fb",
            "spiffe://au.example/ä",
            "spiffe://au.exämple/a",
            " spiffe://au.example/a",
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn spiffe_ids_have_limits() {
        let longest = format!("spiffe://a/{}", "b".repeat(SPIFFE_ID_MAX_BYTES - 11));
        assert!(SpiffeId::parse(&longest).is_ok());
        assert_eq!(SpiffeId::parse(&format!("{longest}b")), Err(SpiffeError::Length(2_049)));
        assert!(TrustDomainName::parse(&"a".repeat(255)).is_ok());
        assert!(TrustDomainName::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(PeerIdentity::from_certificate(b"").unwrap_err(), IdentityError::Encoding);
        assert_eq!(
            PeerIdentity::from_certificate(&[0x30, 0x03, 1, 1, 1]).unwrap_err(),
            IdentityError::Encoding
        );
    }

    proptest! {
        #[test]
        fn whatever_is_parsed_is_written_the_same(text in "(spiffe://)?[a-zA-Z0-9./_:@?#%-]{0,40}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = PeerIdentity::from_certificate(&bytes);
        }
    }
}
