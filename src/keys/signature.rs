//! Signatures of people: over the hash of exactly what they asked for, decided or changed.

use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroize;

use crate::ids::Digest;

/// A key or a signature that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Bytes that are not one X.509 certificate.
    #[error("this is not an X.509 certificate; give one certificate, in DER or PEM")]
    Certificate,
    /// Bytes that are not one public key.
    #[error("this is not a public key; give a SubjectPublicKeyInfo, in DER or PEM")]
    PublicKey,
    /// A public key of another algorithm.
    #[error("keys of algorithm `{0}` are not accepted; use ECDSA P-256 (uncompressed) or Ed25519")]
    Algorithm(String),
    /// A private key in another form or of another algorithm.
    #[error(
        "this is not a usable private key; give an ECDSA P-256 or Ed25519 key as PKCS#8 PEM, without a passphrase"
    )]
    PrivateKey,
    /// Another key, another digest, another domain, or changed bytes; which of them cannot be told.
    #[error(
        "the signature does not fit; sign the digest you were shown, for this step, with the registered key"
    )]
    Mismatch,
    /// The signer gave no signature.
    #[error("no signature could be made; check that /dev/urandom can be read")]
    Sign,
}

/// What a signature says yes to. One made in one domain is worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureDomain {
    /// A partner asks for fields of a record.
    DisclosureRequest,
    /// A partner answers what officers asked about its request.
    DisclosureAnswer,
    /// A partner asks that something released is corrected, or withdraws its need.
    DisclosureCorrection,
    /// An officer decides about such a request.
    Decision,
    /// A person proposes or confirms a change of the rules or the people.
    Change,
    /// A partner names the key that releases are sealed to.
    ReleaseKey,
    /// A person of the holder stands behind a protection report.
    ProtectionReport,
    /// A person of the holder stands behind a transparency report.
    TransparencyReport,
    /// A privacy officer stands behind what a person is given of what is held of them.
    SubjectReport,
    /// A privacy officer stands behind the notification of a breach.
    BreachNotification,
    /// A person of the holder stands behind a register of disposals.
    DisposalRegister,
}

impl SignatureDomain {
    /// Every domain, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::DisclosureRequest,
        Self::DisclosureAnswer,
        Self::DisclosureCorrection,
        Self::Decision,
        Self::Change,
        Self::ReleaseKey,
        Self::ProtectionReport,
        Self::TransparencyReport,
        Self::SubjectReport,
        Self::BreachNotification,
        Self::DisposalRegister,
    ];

    /// The ASCII text of the domain.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DisclosureRequest => "onebit/disclosure-ask/v1",
            Self::DisclosureAnswer => "onebit/disclosure-answer/v1",
            Self::DisclosureCorrection => "onebit/disclosure-correction/v1",
            Self::Decision => "onebit/decision/v1",
            Self::Change => "onebit/change/v1",
            Self::ReleaseKey => "onebit/release-key/v1",
            Self::ProtectionReport => "onebit/protection-report/v1",
            Self::TransparencyReport => "onebit/transparency-report/v1",
            Self::SubjectReport => "onebit/subject-report/v1",
            Self::BreachNotification => "onebit/breach-notification/v1",
            Self::DisposalRegister => "onebit/disposal-register/v1",
        }
    }

    /// The bytes that are signed: the domain in ASCII, 0x00, the 32 bytes of the digest.
    #[must_use]
    pub fn message(self, digest: &Digest) -> Vec<u8> {
        [self.as_str().as_bytes(), &[0], digest.as_bytes()].concat()
    }
}

/// A signature algorithm that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5), signatures in ASN.1 DER.
    EcdsaP256,
    /// Ed25519 (RFC 8032), signatures of 64 bytes.
    Ed25519,
}

impl SignatureAlgorithm {
    const ALL: [Self; 2] = [Self::EcdsaP256, Self::Ed25519];

    /// The one accepted DER before the key's own bytes (RFC 5480, section 2; RFC 8410, section 4).
    const fn spki_prefix(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256 => &P256_SPKI_PREFIX,
            Self::Ed25519 => &ED25519_SPKI_PREFIX,
        }
    }

    /// Whether a key's own bytes have the one accepted form; whether they are a point is seen at verification.
    const fn has_form(self, key: &[u8]) -> bool {
        match self {
            Self::EcdsaP256 => key.len() == P256_POINT_BYTES && matches!(key, [UNCOMPRESSED_POINT, ..]),
            Self::Ed25519 => key.len() == ED25519_KEY_BYTES,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public signature key of a person or a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: SignatureAlgorithm,
    // INVARIANT: the algorithm's prefix and then the key's own bytes, so that a key has one encoding and thus
    // one fingerprint.
    spki: Vec<u8>,
}

impl PublicKey {
    /// The key of an X.509 certificate in DER. Nothing else of the certificate is looked at.
    ///
    /// # Errors
    /// [`SignatureError::Certificate`] for other bytes, [`SignatureError::Algorithm`] for other keys.
    pub fn from_certificate_der(der: &[u8]) -> Result<Self, SignatureError> {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Self::from_spki_der(certificate.public_key().raw),
            _ => Err(SignatureError::Certificate),
        }
    }

    /// The key of a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`SignatureError::PublicKey`] for other bytes, [`SignatureError::Algorithm`] for other keys.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, SignatureError> {
        for algorithm in SignatureAlgorithm::ALL {
            if der.strip_prefix(algorithm.spki_prefix()).is_some_and(|key| algorithm.has_form(key)) {
                return Ok(Self { algorithm, spki: der.to_vec() });
            }
        }
        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], info)) => Err(SignatureError::Algorithm(algorithm_name(&info))),
            _ => Err(SignatureError::PublicKey),
        }
    }

    /// The key of the first certificate or, without one, of the first public key in a PEM text.
    ///
    /// # Errors
    /// [`SignatureError::PublicKey`] when there is neither, otherwise as for the DER.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        if let Ok(certificate) = CertificateDer::from_pem_slice(text.as_bytes()) {
            return Self::from_certificate_der(&certificate);
        }
        let info = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| SignatureError::PublicKey)?;
        Self::from_spki_der(&info)
    }

    /// The algorithm that the key's signatures are made with.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The key as SubjectPublicKeyInfo in DER: 91 bytes for P-256, 44 for Ed25519.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo: the name of the key, whatever certificate carries it.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki)
    }

    /// Checks a signature over `digest` in `domain`.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] when it does not fit.
    pub fn verify(
        &self,
        domain: SignatureDomain,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        self.verify_message(&domain.message(digest), signature)
    }

    /// Checks a signature over a message whose form says what it is for.
    pub(super) fn verify_message(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let key = self.spki.strip_prefix(self.algorithm.spki_prefix()).unwrap_or_default();
        let verified = match self.algorithm {
            SignatureAlgorithm::EcdsaP256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature)
            }
            SignatureAlgorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.map_err(|_| SignatureError::Mismatch)
    }

    /// The key with these bytes of its own: an uncompressed point of P-256, or the 32 bytes of an Ed25519 key.
    pub(super) fn from_raw(algorithm: SignatureAlgorithm, key: &[u8]) -> Result<Self, SignatureError> {
        Self::from_spki_der(&[algorithm.spki_prefix(), key].concat())
    }
}

/// A private signature key of a person, for the command-line tools; the service never holds one.
pub struct SigningKey(KeyKind);

enum KeyKind {
    // ECDSA needs a nonce; ring takes it from its own generator, mixed with key and message.
    EcdsaP256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads the first private key of a PEM text in PKCS#8 form (RFC 5958), as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`] for other texts and other keys.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, SignatureError> {
        let mut der =
            PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| SignatureError::PrivateKey)?;
        let key = Self::from_pkcs8_der(der.secret_pkcs8_der());
        der.zeroize();
        key
    }

    /// Reads a private key in PKCS#8 DER.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`] for other bytes and other keys.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SignatureError> {
        // RFC 8410 keys come without their public half (OpenSSL) or with it (ring, rcgen).
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self(KeyKind::Ed25519(pair)));
        }
        let random = SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &random)
            .map(|pair| Self(KeyKind::EcdsaP256(pair, random)))
            .map_err(|_| SignatureError::PrivateKey)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let (algorithm, key) = match &self.0 {
            KeyKind::EcdsaP256(pair, _) => (SignatureAlgorithm::EcdsaP256, pair.public_key().as_ref()),
            KeyKind::Ed25519(pair) => (SignatureAlgorithm::Ed25519, pair.public_key().as_ref()),
        };
        PublicKey { algorithm, spki: [algorithm.spki_prefix(), key].concat() }
    }

    /// Signs `digest` in `domain`.
    ///
    /// # Errors
    /// [`SignatureError::Sign`] when the system gives no randomness (ECDSA only).
    pub fn sign(&self, domain: SignatureDomain, digest: &Digest) -> Result<Vec<u8>, SignatureError> {
        let message = domain.message(digest);
        match &self.0 {
            KeyKind::EcdsaP256(pair, random) => {
                let signature = pair.sign(random, &message).map_err(|_| SignatureError::Sign)?;
                Ok(signature.as_ref().to_vec())
            }
            KeyKind::Ed25519(pair) => Ok(pair.sign(&message).as_ref().to_vec()),
        }
    }
}

/// The object identifier of a key's algorithm, with its parameter when that is one too (the curve).
fn algorithm_name(info: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = info.algorithm.oid();
    match info.algorithm.parameters().and_then(|any| any.as_oid().ok()) {
        Some(curve) => format!("{algorithm} {curve}"),
        None => algorithm.to_string(),
    }
}

/// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING of 65 bytes }.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING of 32 bytes }.
const ED25519_SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const P256_POINT_BYTES: usize = 65;
/// SEC 1, section 2.3.3.
const UNCOMPRESSED_POINT: u8 = 0x04;
const ED25519_KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use rcgen::{
        CertificateParams, KeyPair as RcgenPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    use super::*;

    fn pairs() -> [(RcgenPair, SignatureAlgorithm); 2] {
        [
            (RcgenPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), SignatureAlgorithm::EcdsaP256),
            (RcgenPair::generate_for(&PKCS_ED25519).unwrap(), SignatureAlgorithm::Ed25519),
        ]
    }

    fn certificate(pair: &RcgenPair) -> rcgen::Certificate {
        CertificateParams::new(vec!["officer.example".to_owned()]).unwrap().self_signed(pair).unwrap()
    }

    #[test]
    fn generated_keys_sign_what_their_certificate_verifies() {
        let digest = Digest::sha256(b"request");
        for (pair, algorithm) in pairs() {
            let signing = SigningKey::from_pkcs8_pem(&pair.serialize_pem()).unwrap();
            let certificate = certificate(&pair);
            let public = PublicKey::from_certificate_der(certificate.der()).unwrap();
            assert_eq!(public, signing.public_key());
            assert_eq!(public, PublicKey::from_pem(&certificate.pem()).unwrap());
            assert_eq!(public, PublicKey::from_pem(&pair.public_key_pem()).unwrap());
            assert_eq!(public.algorithm(), algorithm);
            assert_eq!(public.fingerprint(), Digest::sha256(public.spki_der()));
            for domain in SignatureDomain::ALL {
                let signature = signing.sign(domain, &digest).unwrap();
                for other in SignatureDomain::ALL {
                    let verified = public.verify(other, &digest, &signature);
                    assert_eq!(
                        verified.is_ok(),
                        domain == other,
                        "signed as {domain:?}, verified as {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_else_verifies() {
        let digest = Digest::sha256(b"request");
        let domain = SignatureDomain::Decision;
        for (pair, _) in pairs() {
            let signing = SigningKey::from_pkcs8_pem(&pair.serialize_pem()).unwrap();
            let public = signing.public_key();
            let good = signing.sign(domain, &digest).unwrap();
            assert_eq!(
                public.verify(domain, &Digest::sha256(b"other"), &good),
                Err(SignatureError::Mismatch)
            );
            assert_eq!(public.verify(domain, &digest, &[]), Err(SignatureError::Mismatch));
            for index in 0..good.len() {
                let mut bad = good.clone();
                bad[index] ^= 1;
                assert_eq!(
                    public.verify(domain, &digest, &bad),
                    Err(SignatureError::Mismatch),
                    "byte {index}"
                );
                assert_eq!(public.verify(domain, &digest, &good[..index]), Err(SignatureError::Mismatch));
            }
            for (other, _) in pairs() {
                let other = PublicKey::from_pem(&other.public_key_pem()).unwrap();
                assert_eq!(other.verify(domain, &digest, &good), Err(SignatureError::Mismatch));
            }
        }
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        let p384 = RcgenPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let refused = PublicKey::from_certificate_der(certificate(&p384).der()).unwrap_err();
        assert_eq!(refused, SignatureError::Algorithm("1.2.840.10045.2.1 1.3.132.0.34".to_owned()));
        assert_eq!(SigningKey::from_pkcs8_pem(&p384.serialize_pem()).err(), Some(SignatureError::PrivateKey));
    }

    #[test]
    fn a_key_has_one_encoding() {
        for (pair, _) in pairs() {
            let der = SigningKey::from_pkcs8_pem(&pair.serialize_pem()).unwrap().public_key().spki;
            let longer = [der.as_slice(), &[0]].concat();
            assert_eq!(PublicKey::from_spki_der(&longer), Err(SignatureError::PublicKey));
            for length in 0..der.len() {
                assert_eq!(PublicKey::from_spki_der(&der[..length]), Err(SignatureError::PublicKey));
            }
            let longer = [certificate(&pair).der().as_ref(), &[0]].concat();
            assert_eq!(PublicKey::from_certificate_der(&longer), Err(SignatureError::Certificate));
        }
    }

    #[test]
    fn keys_without_their_public_half_are_read() {
        // RFC 8032, section 7.1, test 1, in the PKCS#8 form of OpenSSL (version 1, seed only).
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let der = HEXLOWER.decode(format!("302e020100300506032b657004220420{seed}").as_bytes()).unwrap();
        let key = SigningKey::from_pkcs8_der(&der).unwrap().public_key();
        assert_eq!(HEXLOWER.encode(&key.spki[12..]), public);
    }

    #[test]
    fn signed_bytes_can_be_made_by_anybody() {
        let message = SignatureDomain::Decision.message(&Digest::from_bytes([0xab; 32]));
        assert_eq!(message, [b"onebit/decision/v1\0".as_slice(), &[0xab; 32]].concat());
    }
}
