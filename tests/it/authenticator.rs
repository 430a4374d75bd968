//! An authenticator of our own, made of ring: it answers as Web Authentication Level 2 has authenticators and browsers
//! answer, and does what it is told.

use std::sync::atomic::{AtomicU32, Ordering};

use data_encoding::BASE64URL_NOPAD;
use onebit::ids::Digest;
use onebit::secret::{SystemEntropy, random_bytes};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// One passkey.
pub(crate) struct Authenticator {
    pair: EcdsaKeyPair,
    credential: [u8; 32],
    origin: String,
    count: AtomicU32,
}

impl Authenticator {
    /// A new passkey that a browser uses on pages of this origin.
    pub(crate) fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pair.as_ref(), &random).unwrap();
        let credential = random_bytes(&SystemEntropy::new()).unwrap();
        Self { pair, credential, origin: origin.to_owned(), count: AtomicU32::new(0) }
    }

    /// The same passkey on pages of another origin.
    pub(crate) fn elsewhere(mut self, origin: &str) -> Self {
        self.origin = origin.to_owned();
        self
    }

    /// Sets its counter, as that of a copy would stand.
    pub(crate) fn count_is(&self, count: u32) {
        self.count.store(count, Ordering::SeqCst);
    }

    /// The fields of a form that registers it.
    pub(crate) fn registers(&self, party: &str, challenge: &str) -> Vec<(&'static str, String)> {
        let point = self.pair.public_key().as_ref();
        let key = [
            &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20][..],
            &point[1..33],
            &[0x22, 0x58, 0x20],
            &point[33..],
        ]
        .concat();
        let attested = [&[0; 16][..], &[0, 32], &self.credential, &key].concat();
        let data = self.data(party, 0x45, &attested);
        let object = [
            &[0xa3, 0x63][..],
            b"fmt",
            &[0x64],
            b"none",
            &[0x67],
            b"attStmt",
            &[0xa0, 0x68],
            b"authData",
            &[0x58, u8::try_from(data.len()).unwrap()],
            &data,
        ]
        .concat();
        vec![
            ("client-data", encoded(&self.client_data("webauthn.create", challenge))),
            ("attestation", encoded(&object)),
            ("title", "Passkey".to_owned()),
        ]
    }

    /// The fields of a form that it signs, after it recognised whoever uses it.
    pub(crate) fn signs(&self, party: &str, challenge: &str) -> Vec<(&'static str, String)> {
        self.signs_with(party, challenge, 0x05)
    }

    /// The same with other flags.
    pub(crate) fn signs_with(&self, party: &str, challenge: &str, flags: u8) -> Vec<(&'static str, String)> {
        let (data, client) = (self.data(party, flags, &[]), self.client_data("webauthn.get", challenge));
        let message = [&data[..], Digest::sha256(&client).as_bytes()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        vec![
            ("credential", encoded(&self.credential)),
            ("client-data", encoded(&client)),
            ("authenticator-data", encoded(&data)),
            ("signature", encoded(signature.as_ref())),
            ("user", String::new()),
        ]
    }

    fn data(&self, party: &str, flags: u8, rest: &[u8]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        [Digest::sha256(party.as_bytes()).as_bytes(), &[flags][..], &count.to_be_bytes(), rest].concat()
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let origin = &self.origin;
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
            .into_bytes()
    }
}

fn encoded(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
