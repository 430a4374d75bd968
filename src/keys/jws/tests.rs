use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

use super::*;
use crate::keys::PublicKey;

fn client(algorithm: &'static rcgen::SignatureAlgorithm, id: &str) -> (ClientKey, Value) {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let key = ClientKey::from_pkcs8_pem(pair.serialize_pem().as_bytes(), Some(id.to_owned())).unwrap();
    let public = PublicKey::from_pem(&pair.public_key_pem()).unwrap();
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let jwk = match key.pair {
        ClientPair::P256(..) => {
            let point = &public.spki_der()[27..];
            json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": text(&point[..32]), "y": text(&point[32..]) })
        }
        ClientPair::Ed25519(_) => {
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": text(&public.spki_der()[12..]) })
        }
    };
    (key, jwk)
}

fn set(keys: &[&Value]) -> JwkSet {
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", BASE64URL_NOPAD.encode(header.to_string().as_bytes()))
}

/// RFC 7515, appendix A.2.
const RFC_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RFC_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

#[test]
fn the_standards_own_token_of_rsa_is_verified() {
    let jwk = json!({ "kty": "RSA", "n": RFC_N, "e": "AQAB" });
    let payload = set(&[&jwk]).verify(RFC_TOKEN).unwrap();
    assert!(payload.starts_with(b"{\"iss\":\"joe\""));
    let changed = RFC_TOKEN.replace(".cC4h", ".cC4i");
    assert_eq!(set(&[&jwk]).verify(&changed), Err(JwsError::Signature));
}

#[test]
fn a_token_is_verified_by_the_key_that_it_names_alone() {
    let (elliptic, first) = client(&PKCS_ECDSA_P256_SHA256, "a");
    let (edwards, second) = client(&PKCS_ED25519, "b");
    let (stranger, _) = client(&PKCS_ECDSA_P256_SHA256, "a");
    let keys = set(&[&first, &second]);
    for key in [&elliptic, &edwards] {
        let token = key.sign(&json!({ "sub": "x" })).unwrap();
        assert_eq!(keys.verify(&token).unwrap(), br#"{"sub":"x"}"#);
    }
    let token = elliptic.sign(&json!({})).unwrap();
    assert_eq!(set(&[&second]).verify(&token), Err(JwsError::UnknownKey), "it may have been changed");
    assert_eq!(keys.verify(&stranger.sign(&json!({})).unwrap()), Err(JwsError::Signature));
}

#[test]
fn no_other_algorithm_is_ever_looked_at() {
    let (key, jwk) = client(&PKCS_ECDSA_P256_SHA256, "a");
    let keys = set(&[&jwk]);
    let token = key.sign(&json!({})).unwrap();
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS512", "PS256", "ES384", "es256"] {
        for token in [&token, &format!("{}.", token.rsplit_once('.').unwrap().0)] {
            let other = with_header(token, &json!({ "alg": algorithm, "kid": "a" }));
            assert_eq!(keys.verify(&other), Err(JwsError::Algorithm), "{algorithm}");
        }
    }
    let swapped = with_header(&token, &json!({ "alg": "RS256", "kid": "a" }));
    assert_eq!(keys.verify(&swapped), Err(JwsError::UnknownKey), "a key has one algorithm");
    let asks = with_header(&token, &json!({ "alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false }));
    assert_eq!(keys.verify(&asks), Err(JwsError::Critical));
    // A key that the token brings along is nobody's.
    let (own, _) = client(&PKCS_ECDSA_P256_SHA256, "own");
    let brought =
        with_header(&own.sign(&json!({})).unwrap(), &json!({ "alg": "ES256", "jwk": jwk, "kid": "own" }));
    assert_eq!(keys.verify(&brought), Err(JwsError::UnknownKey));
}

#[test]
fn keys_for_other_uses_are_passed_over() {
    let (key, jwk) = client(&PKCS_ECDSA_P256_SHA256, "a");
    let token = key.sign(&json!({})).unwrap();
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("kty", json!("oct")),
        ("crv", json!("P-384")),
        ("x", json!("AA")),
        ("key_ops", json!(["sign"])),
    ] {
        let mut other = jwk.clone();
        other[name] = value;
        assert!(set(&[&other]).is_empty(), "{name}");
        assert_eq!(set(&[&other]).verify(&token), Err(JwsError::UnknownKey));
    }
    assert!(JwkSet::parse(b"{}").is_none() && JwkSet::parse(b"[]").is_none());
}

#[test]
fn a_key_of_another_form_signs_nothing() {
    assert!(ClientKey::from_pkcs8_pem(b"", None).is_err());
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    assert!(ClientKey::from_pkcs8_pem(other.as_bytes(), None).is_err());
}

proptest! {
    #[test]
    fn no_text_does_more_than_be_refused(text in ".{0,300}", parts in "[A-Za-z0-9_-]{0,60}(\\.[A-Za-z0-9_-]{0,60}){0,4}") {
        let (_, jwk) = client(&PKCS_ED25519, "a");
        let keys = set(&[&jwk]);
        prop_assert!(keys.verify(&text).is_err() && keys.verify(&parts).is_err());
        let _whatever = JwkSet::parse(text.as_bytes());
    }

    #[test]
    fn a_token_with_one_letter_changed_is_refused(at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]") {
        let (key, jwk) = client(&PKCS_ED25519, "a");
        let token = key.sign(&json!({ "sub": "somebody" })).unwrap();
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &letter);
        prop_assert_eq!(set(&[&jwk]).verify(&changed).is_ok(), changed == token);
    }
}
