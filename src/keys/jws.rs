//! Signed tokens of an agency's OpenID provider (JWS compact form, RFC 7515), and those that we sign to it.
//!
//! Three algorithms are known, and each key has one of them: a token that names `none`, a keyed hash or anything else is
//! refused before a key is looked for, and no key of one algorithm ever verifies another.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::SignatureError;

/// A token that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts of base64url with JSON in the first.
    #[error("the token is not in its form")]
    Form,
    /// Another algorithm, or none.
    #[error("the token is not signed with ES256, RS256 or EdDSA; have the provider sign with one of them")]
    Algorithm,
    /// Extensions that have to be understood.
    #[error("the token asks for extensions that are not known here")]
    Critical,
    /// The provider does not publish the key.
    #[error("the token names a key that the provider does not publish")]
    UnknownKey,
    /// The signature.
    #[error("the signature of the token does not fit")]
    Signature,
}

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Es256,
    Rs256,
    EdDsa,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The names of the algorithms, as a provider lists them.
pub const JWS_ALGORITHMS: [&str; 4] = ["ES256", "RS256", "EdDSA", "Ed25519"];

/// The keys that a provider publishes (RFC 7517), as far as they can verify a token here.
#[derive(Debug, Clone, Default)]
pub struct JwkSet(Vec<Jwk>);

#[derive(Debug, Clone)]
struct Jwk {
    id: Option<String>,
    key: JwkKey,
}

#[derive(Debug, Clone)]
enum JwkKey {
    P256(Vec<u8>),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct JwkSetJson {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct JwkJson {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl JwkSet {
    /// Reads a set. Keys for another use, of other algorithms or in a form of their own are passed over (RFC 7517,
    /// section 5); `None` when it is no set.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let set: JwkSetJson = serde_json::from_slice(json).ok()?;
        let keys = set.keys.into_iter().filter_map(|key| Jwk::read(serde_json::from_value(key).ok()?));
        Some(Self(keys.take(KEYS_MAX).collect()))
    }

    /// Whether no key of it is of use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies a token's signature and gives its payload.
    ///
    /// # Errors
    /// [`JwsError`]; [`JwsError::UnknownKey`] when the keys may have been changed since.
    pub fn verify(&self, token: &str) -> Result<Vec<u8>, JwsError> {
        let Token { header, signed, payload, signature } = Token::parse(token)?;
        let algorithm = Algorithm::parse(&header.alg).ok_or(JwsError::Algorithm)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(JwsError::Critical);
        }
        let fits =
            |key: &&Jwk| key.key.algorithm() == algorithm && (header.kid.is_none() || key.id == header.kid);
        let mut fitting = self.0.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(JwsError::UnknownKey);
        }
        if fitting.any(|key| key.key.verify(signed.as_bytes(), &signature)) {
            Ok(payload)
        } else {
            Err(JwsError::Signature)
        }
    }
}

impl Jwk {
    fn read(json: JwkJson) -> Option<Self> {
        let bytes = |text: &Option<String>| {
            BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok().filter(|bytes| !bytes.is_empty())
        };
        let signs = json.used_for.as_deref().is_none_or(|used_for| used_for == "sig");
        let verifies = json.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        let key = match (json.kty.as_str(), json.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&json.x)?, bytes(&json.y)?);
                let sized = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
                JwkKey::P256([&[UNCOMPRESSED_POINT][..], &x, &y].concat()).when(sized)?
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&json.x)?;
                let sized = x.len() == COORDINATE_BYTES;
                JwkKey::Ed25519(x).when(sized)?
            }
            ("RSA", None) => JwkKey::Rsa { modulus: bytes(&json.n)?, exponent: bytes(&json.e)? },
            _ => return None,
        };
        let named = json.alg.as_deref().is_none_or(|alg| Algorithm::parse(alg) == Some(key.algorithm()));
        (signs && verifies && named).then_some(Self { id: json.kid, key })
    }
}

impl JwkKey {
    fn when(self, is_so: bool) -> Option<Self> {
        is_so.then_some(self)
    }

    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        }
        .is_ok()
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

struct Token<'a> {
    header: Header,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(JwsError::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwsError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Form)?;
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwsError::Form);
        Ok(Self {
            header: serde_json::from_slice(&decoded(header)?).map_err(|_| JwsError::Form)?,
            signed,
            payload: decoded(payload)?,
            signature: decoded(signature)?,
        })
    }
}

/// The private key by which we show a provider who we are (`private_key_jwt`, OpenID Connect Core, section 9).
pub struct ClientKey {
    pair: ClientPair,
    id: Option<String>,
}

enum ClientPair {
    P256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

impl ClientKey {
    /// Reads a private key in PKCS#8 PEM, ECDSA P-256 or Ed25519; `id` is what the provider knows its public half by.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`] for other texts and other keys.
    pub fn from_pkcs8_pem(pem: &[u8], id: Option<String>) -> Result<Self, SignatureError> {
        let mut der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SignatureError::PrivateKey)?;
        let pair = Self::pair(der.secret_pkcs8_der());
        der.zeroize();
        Ok(Self { pair: pair?, id })
    }

    fn pair(der: &[u8]) -> Result<ClientPair, SignatureError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(ClientPair::Ed25519(pair));
        }
        let random = SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map(|pair| ClientPair::P256(pair, random))
            .map_err(|_| SignatureError::PrivateKey)
    }

    /// The algorithm's name.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            ClientPair::P256(..) => "ES256",
            ClientPair::Ed25519(_) => "EdDSA",
        }
    }

    /// Signs claims as a token.
    ///
    /// # Errors
    /// [`SignatureError::Sign`] when the system gives no randomness.
    pub fn sign(&self, claims: &Value) -> Result<String, SignatureError> {
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let (Some(header), Some(id)) = (header.as_object_mut(), &self.id) {
            header.insert("kid".to_owned(), id.as_str().into());
        }
        let part = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = match &self.pair {
            ClientPair::P256(pair, random) => {
                let signature = pair.sign(random, signed.as_bytes()).map_err(|_| SignatureError::Sign)?;
                signature.as_ref().to_vec()
            }
            ClientPair::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

/// Twice what providers issue with dozens of claims.
const TOKEN_MAX_BYTES: usize = 16 * 1_024;
/// Providers publish two or three; those of large ones a dozen.
const KEYS_MAX: usize = 32;
const COORDINATE_BYTES: usize = 32;
/// SEC 1, section 2.3.3.
const UNCOMPRESSED_POINT: u8 = 0x04;

#[cfg(test)]
mod tests;
