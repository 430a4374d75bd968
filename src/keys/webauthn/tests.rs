//! An authenticator made of ring, and everything that may be wrong with what one says.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

use super::*;

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn both() -> [Self; 2] {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, p256.as_ref(), &random).unwrap();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        [Self::P256(p256), Self::Ed25519(Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap())]
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The COSE key (RFC 9053), written by hand.
    fn cose(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
                [&head[..], &point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat()
            }
            Self::Ed25519(pair) => {
                let head = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];
                [&head[..], pair.public_key().as_ref()].concat()
            }
        }
    }
}

fn party() -> RelyingParty {
    RelyingParty { id: "console.example".to_owned(), origin: "https://console.example:8443".to_owned() }
}

fn client_data(kind: &str, challenge: &[u8], rest: &str) -> Vec<u8> {
    let challenge = BASE64URL_NOPAD.encode(challenge);
    let origin = party().origin;
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{rest}}}"#).into_bytes()
}

fn authenticator_data(host: &str, flags: u8, count: u32, rest: &[u8]) -> Vec<u8> {
    [Digest::sha256(host.as_bytes()).as_bytes(), &[flags][..], &count.to_be_bytes(), rest].concat()
}

/// An attestation object with a statement, `{"fmt": …, "attStmt": …, "authData": …}`.
fn object(format: &[u8], statement: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [
        &[0xa3, 0x63],
        &b"fmt"[..],
        format,
        &[0x67],
        b"attStmt",
        statement,
        &[0x68],
        b"authData",
        &[0x59],
        &length,
        data,
    ]
    .concat()
}

const NONE: &[u8] = &[0x64, b'n', b'o', b'n', b'e'];
const PACKED: &[u8] = &[0x66, b'p', b'a', b'c', b'k', b'e', b'd'];
const CREDENTIAL: [u8; 20] = [9; 20];

fn attested(pair: &Pair) -> Vec<u8> {
    [&[0; 16][..], &[0, 20], &CREDENTIAL, &pair.cose()].concat()
}

fn registration(pair: &Pair) -> Registration {
    let data = authenticator_data("console.example", PRESENT | VERIFIED | ATTESTED, 3, &attested(pair));
    Registration {
        client_data: client_data(CREATE, b"challenge", ""),
        attestation: object(NONE, &[0xa0], &data),
    }
}

fn asserted(pair: &Pair, data: Vec<u8>, client: Vec<u8>) -> Assertion {
    let signature = pair.sign(&[&data[..], Digest::sha256(&client).as_bytes()].concat());
    Assertion { client_data: client, authenticator_data: data, signature }
}

fn assertion(pair: &Pair) -> Assertion {
    let data = authenticator_data("console.example", PRESENT | VERIFIED, 7, &[]);
    asserted(pair, data, client_data(GET, b"challenge", r#","crossOrigin":false,"other":[1]"#))
}

fn key(pair: &Pair) -> PublicKey {
    registration(pair).verify(&party(), b"challenge").unwrap().public_key
}

#[test]
fn a_passkey_is_registered_and_signs_afterwards() {
    for pair in Pair::both() {
        let registered = registration(&pair).verify(&party(), b"challenge").unwrap();
        assert_eq!((registered.credential, registered.sign_count), (CREDENTIAL.to_vec(), 3));
        let assertion = assertion(&pair);
        assert_eq!(assertion.verify(&party(), b"challenge", &registered.public_key, 3), Ok(7));
        assert_eq!(assertion.verify_again(b"challenge", &registered.public_key), Ok(party()));
        assert_eq!(assertion.sign_count(), Ok(7));
        let [_, other] = Pair::both();
        assert_eq!(assertion.verify(&party(), b"challenge", &key(&other), 3), Err(WebAuthnError::Signature));
    }
}

#[test]
fn a_signature_of_its_own_is_held_to_the_new_key_and_other_attestations_are_refused() {
    for pair in Pair::both() {
        let Registration { client_data, .. } = registration(&pair);
        let data = authenticator_data("console.example", PRESENT | VERIFIED | ATTESTED, 0, &attested(&pair));
        let statement = |signature: &[u8]| {
            let algorithm = if matches!(pair, Pair::P256(_)) { 0x26 } else { 0x27 };
            let length = u8::try_from(signature.len()).unwrap();
            [&[0xa2, 0x63], &b"alg"[..], &[algorithm, 0x63], b"sig", &[0x58, length], signature].concat()
        };
        let verified = |format: &[u8], statement: &[u8]| {
            let attestation = object(format, statement, &data);
            Registration { client_data: client_data.clone(), attestation }
                .verify(&party(), b"challenge")
                .map(drop)
        };
        let own = pair.sign(&signed_message(&data, &client_data));
        assert_eq!(verified(PACKED, &statement(&own)), Ok(()));
        let strange = pair.sign(b"something else");
        assert_eq!(verified(PACKED, &statement(&strange)), Err(WebAuthnError::Signature));
        assert_eq!(verified(NONE, &statement(&own)), Err(WebAuthnError::Attestation));
        assert_eq!(verified(PACKED, &[0xa0]), Err(WebAuthnError::Attestation));
        assert_eq!(verified(&[0x63, b't', b'p', b'm'], &[0xa0]), Err(WebAuthnError::Attestation));
    }
}

#[test]
fn each_step_of_the_procedure_refuses_by_itself() {
    let [pair, _] = Pair::both();
    let key = key(&pair);
    let verified = |data: Vec<u8>, client: Vec<u8>| {
        asserted(&pair, data, client).verify(&party(), b"challenge", &key, 6)
    };
    let data = || authenticator_data("console.example", PRESENT | VERIFIED, 7, &[]);
    let client = |kind| client_data(kind, b"challenge", "");
    assert_eq!(verified(data(), client(GET)), Ok(7));
    assert_eq!(verified(data(), client(CREATE)), Err(WebAuthnError::Kind));
    assert_eq!(verified(data(), client_data(GET, b"challenges", "")), Err(WebAuthnError::Challenge));
    assert_eq!(
        verified(data(), client_data(GET, b"challenge", r#","crossOrigin":true"#)),
        Err(WebAuthnError::Origin)
    );
    let twice = client_data(GET, b"challenge", r#","origin":"https://evil.example""#);
    assert_eq!(verified(data(), twice), Err(WebAuthnError::ClientData));
    assert_eq!(verified(data(), b"[]".to_vec()), Err(WebAuthnError::ClientData));
    for (data, error) in [
        (authenticator_data("example", PRESENT | VERIFIED, 7, &[]), WebAuthnError::Party),
        (authenticator_data("console.example", PRESENT, 7, &[]), WebAuthnError::Unverified),
        (authenticator_data("console.example", VERIFIED, 7, &[]), WebAuthnError::Unverified),
        (authenticator_data("console.example", PRESENT | VERIFIED, 6, &[]), WebAuthnError::Counter),
        (authenticator_data("console.example", PRESENT | VERIFIED, 0, &[]), WebAuthnError::Counter),
        (
            authenticator_data("console.example", PRESENT | VERIFIED, 7, &[0]),
            WebAuthnError::AuthenticatorData,
        ),
        (
            authenticator_data("console.example", PRESENT | VERIFIED | ATTESTED, 7, &attested(&pair)),
            WebAuthnError::AuthenticatorData,
        ),
        (vec![0; 36], WebAuthnError::AuthenticatorData),
    ] {
        assert_eq!(verified(data, client(GET)), Err(error));
    }
    let extended =
        authenticator_data("console.example", PRESENT | VERIFIED | EXTENDED, 7, &[0xa1, 0x61, b'x', 0xf5]);
    assert_eq!(verified(extended, client(GET)), Ok(7));
    let elsewhere = RelyingParty { origin: "https://console.example".to_owned(), ..party() };
    assert_eq!(assertion(&pair).verify(&elsewhere, b"challenge", &key, 6), Err(WebAuthnError::Origin));
}

#[test]
fn an_authenticator_that_never_counts_is_taken() {
    let [pair, _] = Pair::both();
    let data = authenticator_data("console.example", PRESENT | VERIFIED, 0, &[]);
    let said = asserted(&pair, data, client_data(GET, b"challenge", ""));
    assert_eq!(said.verify(&party(), b"challenge", &key(&pair), 0), Ok(0));
}

#[test]
fn keys_of_other_kinds_are_refused() {
    // RS256; ES256 over P-384; a coordinate that is too short.
    for cose in ["a301030339010020430102 03", "a5010203262002215820", "a401010326200621410a"] {
        let cose = data_encoding::HEXLOWER.decode(cose.replace(' ', "").as_bytes()).unwrap();
        let rest = [&[0; 16][..], &[0, 20], &CREDENTIAL, &cose].concat();
        let data = authenticator_data("console.example", PRESENT | VERIFIED | ATTESTED, 0, &rest);
        let client_data = client_data(CREATE, b"challenge", "");
        let refused = Registration { client_data, attestation: object(NONE, &[0xa0], &data) };
        let refused = refused.verify(&party(), b"challenge").err().unwrap();
        assert!(matches!(refused, WebAuthnError::Algorithm | WebAuthnError::AuthenticatorData), "{refused}");
    }
}

/// The value was computed with the layout of the doc comment and Python's hashlib.
#[test]
fn a_decisions_challenge_is_that_of_an_independent_computation() {
    let challenge = decision_challenge(&Digest::from_bytes([1; 32]), &[2; 32]);
    assert_eq!(
        challenge.to_string(),
        CHALLENGE,
        "kept decisions would not verify any more; raise the version instead"
    );
}

const CHALLENGE: &str = "fd6581701078b197771ace7011c83f392ba73f3d7b90e36293145c6c52900685";

proptest! {
    #[test]
    fn no_byte_of_an_assertion_can_be_changed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let [pair, _] = Pair::both();
        let key = key(&pair);
        let mut said = assertion(&pair);
        let (data, client) = (said.authenticator_data.len(), said.client_data.len());
        let at = at.index(data + client + said.signature.len());
        let byte = if at < data {
            &mut said.authenticator_data[at]
        } else if at < data + client {
            &mut said.client_data[at - data]
        } else {
            &mut said.signature[at - data - client]
        };
        *byte ^= 1 << bit;
        prop_assert!(said.verify(&party(), b"challenge", &key, 3).is_err(), "byte {at} was changed and nobody noticed");
    }

    #[test]
    fn nothing_that_is_sent_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let [pair, _] = Pair::both();
        let data = authenticator_data("console.example", PRESENT | VERIFIED | ATTESTED | EXTENDED, 0, &bytes);
        for attestation in [bytes.clone(), object(NONE, &[0xa0], &data)] {
            let client_data = client_data(CREATE, b"challenge", "");
            let _refused = Registration { client_data, attestation }.verify(&party(), b"challenge");
        }
        prop_assert!(asserted(&pair, bytes.clone(), bytes).verify(&party(), b"challenge", &key(&pair), 0).is_err());
    }
}

#[test]
fn what_python_and_openssl_made_is_taken() {
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    for [key, attestation, data, signature] in VECTORS {
        let registration =
            Registration { client_data: REGISTERING.as_bytes().to_vec(), attestation: hex(attestation) };
        let challenge = *Digest::sha256(b"register").as_bytes();
        let registered = registration.verify(&party(), &challenge).unwrap();
        assert_eq!(registered.public_key.spki_der(), hex(key));
        let assertion = Assertion {
            client_data: ASSERTING.as_bytes().to_vec(),
            authenticator_data: hex(data),
            signature: hex(signature),
        };
        let challenge = *Digest::sha256(b"assert").as_bytes();
        assert_eq!(assertion.verify(&party(), &challenge, &registered.public_key, 0), Ok(0));
        assert_eq!(registration.verify(&party(), &challenge), Err(WebAuthnError::Challenge));
    }
}

/// Registrations and assertions that Python put together and OpenSSL signed; the keys are forgotten. In hexadecimal: the key
/// (SubjectPublicKeyInfo), the attestation object, the data and the signature of the assertion.
const VECTORS: [[&str; 4]; 2] = [
    [
        "3059301306072a8648ce3d020106082a8648ce3d03010703420004a5142252ec935aff2a428325bc0f1e916ff2380c0e8bd8e31048b12e5cd23207a1531f189983d0f8c881983f1bdb1febccaf1875bd32459e5331d18d9f166beb",
        "a363666d74646e6f6e656761747453746d74a068617574684461746158a4453ffbeaf6f740ba6614a888b747b71ad3e3e67cf553a9df087008fab91557085d00000000000000000000000000000000000000000020d27185cdbe110dd74a7ceed3b6a91d60123059d42e13d37a1d9a1fb63f0611bda5010203262001215820a5142252ec935aff2a428325bc0f1e916ff2380c0e8bd8e31048b12e5cd23207225820a1531f189983d0f8c881983f1bdb1febccaf1875bd32459e5331d18d9f166beb",
        "453ffbeaf6f740ba6614a888b747b71ad3e3e67cf553a9df087008fab91557081d00000000",
        "3045022100c669c0c7c809d212080dd99b5540c133b39b5b6db62907484d6d6f54d521648c0220762bdb23f8282c02f41e9504a26090b3892fa784d58cb0afa355e6490273b024",
    ],
    [
        "302a300506032b6570032100f26110f880c77cc179e45f3d55c790c86ad047632cbfb5f265d140bcc5729ab1",
        "a363666d74646e6f6e656761747453746d74a06861757468446174615881453ffbeaf6f740ba6614a888b747b71ad3e3e67cf553a9df087008fab91557085d00000000000000000000000000000000000000000020852a5ae9afef3da68a8cb2519e89bb4e1278f26ca0a72f3bedb84de1795fbd86a4010103272006215820f26110f880c77cc179e45f3d55c790c86ad047632cbfb5f265d140bcc5729ab1",
        "453ffbeaf6f740ba6614a888b747b71ad3e3e67cf553a9df087008fab91557081d00000000",
        "5d36a59d4e21e8c8aed60cefeb731d979d825565a2b9501a84116c4d49e55cc7b62b9333badda6853d57f00178b8a65584df20eea9b905cd35611f674aff2907",
    ],
];
const REGISTERING: &str = r#"{"type": "webauthn.create", "challenge": "h3gPpd5oTofLkrJ58LwHsU9XKFHnO4lDoJfBdwpfOOY", "origin": "https://console.example:8443", "crossOrigin": false}"#;
const ASSERTING: &str = r#"{"type": "webauthn.get", "challenge": "JUUGib3UTQFAILI4AhsxNDHLH3qG8k4pzsvR5ELtrgo", "origin": "https://console.example:8443", "crossOrigin": false}"#;
