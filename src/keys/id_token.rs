//! What an ID token has to say before it signs anybody in (OpenID Connect Core 1.0, section 3.1.3.7).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Number;

use crate::clock::Timestamp;

/// What this sign-in asked for.
#[derive(Debug, Clone, Copy)]
pub struct IdTokenWanted<'a> {
    /// Who has to have issued it.
    pub issuer: &'a str,
    /// Whom it has to be for.
    pub client_id: &'a str,
    /// The random text of this very sign-in.
    pub nonce: &'a str,
    /// Accepted ways of recognising somebody (`acr`); any where there are none.
    pub acr: &'a [String],
    /// All of these have to have been used (`amr`).
    pub amr: &'a [String],
    /// How long ago the provider may have recognised the person.
    pub max_age: Duration,
    /// Our time.
    pub now: Timestamp,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// The provider's own name for the person.
    pub subject: String,
    /// How the provider recognised the person, where it says so.
    pub acr: Option<String>,
}

/// Why it signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// A claim is missing or not in its form.
    #[error("what the provider says is not in its form")]
    Form,
    /// Of another issuer.
    #[error("it was issued by somebody else")]
    Issuer,
    /// For somebody else.
    #[error("it is for another service")]
    Audience,
    /// Of another sign-in.
    #[error("it belongs to another sign-in")]
    Nonce,
    /// Over, or not issued for this sign-in.
    #[error("it is over, or from another time; compare the clocks of the provider and of this service")]
    Time,
    /// Recognised too long ago.
    #[error("the provider recognised you too long ago; sign out there, and sign in again")]
    Age,
    /// Not recognised well enough.
    #[error(
        "the provider did not recognise you as strongly as this service asks for; sign in there with your second factor"
    )]
    Strength,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Number,
    iat: Number,
    nbf: Option<Number>,
    auth_time: Option<Number>,
    nonce: Option<String>,
    acr: Option<String>,
    amr: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl IdToken {
    /// Holds the payload of a token, whose signature was verified, to what was asked for.
    ///
    /// # Errors
    /// [`IdTokenError`].
    pub fn check(payload: &[u8], wanted: &IdTokenWanted<'_>) -> Result<Self, IdTokenError> {
        let claims: Claims = serde_json::from_slice(payload).map_err(|_| IdTokenError::Form)?;
        if claims.iss != wanted.issuer {
            return Err(IdTokenError::Issuer);
        }
        // Nobody else is trusted with a token of ours, so that there is one audience and no more.
        let is_ours = match &claims.aud {
            Audience::One(one) => one == wanted.client_id,
            Audience::Many(all) => matches!(all.as_slice(), [one] if one == wanted.client_id),
        };
        if !is_ours || claims.azp.is_some_and(|party| party != wanted.client_id) {
            return Err(IdTokenError::Audience);
        }
        if claims.nonce.as_deref() != Some(wanted.nonce) {
            return Err(IdTokenError::Nonce);
        }
        let [soon, before] = [wanted.now.after(SKEW), wanted.now.before(SKEW)];
        let (expires, issued) = (moment(&claims.exp)?, moment(&claims.iat)?);
        let begins = claims.nbf.as_ref().map(moment).transpose()?;
        if expires <= before
            || issued > soon
            || issued < wanted.now.before(ISSUED_LONGEST)
            || begins.is_some_and(|begins| begins > soon)
        {
            return Err(IdTokenError::Time);
        }
        let recognised = claims.auth_time.as_ref().map(moment).transpose()?.ok_or(IdTokenError::Age)?;
        if recognised > soon || recognised < before.before(wanted.max_age) {
            return Err(IdTokenError::Age);
        }
        let acr = claims.acr.as_ref();
        let is_strong = wanted.acr.is_empty() || acr.is_some_and(|acr| wanted.acr.contains(acr));
        let used = claims.amr.unwrap_or_default();
        if !is_strong || !wanted.amr.iter().all(|way| used.contains(way)) {
            return Err(IdTokenError::Strength);
        }
        let subject = claims.sub;
        // At most 255 ASCII characters (section 2); what can't be seen would name somebody else than it shows.
        let is_name = (1..=SUBJECT_MAX_BYTES).contains(&subject.len())
            && subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !is_name {
            return Err(IdTokenError::Form);
        }
        Ok(Self { subject, acr: claims.acr })
    }
}

/// Seconds since 1970, which may have a fraction (RFC 7519, section 2).
fn moment(seconds: &Number) -> Result<Timestamp, IdTokenError> {
    let whole = seconds.as_i64().or_else(|| {
        let seconds = seconds.as_f64().filter(|seconds| seconds.is_finite())?;
        format!("{:.0}", seconds.trunc()).parse().ok()
    });
    let millis = whole.and_then(|seconds| seconds.checked_mul(1_000)).ok_or(IdTokenError::Form)?;
    Ok(Timestamp::from_millis(millis))
}

/// Two clocks that are both kept by NTP differ by less.
const SKEW: Duration = Duration::from_secs(60);
/// It comes straight from the provider, in answer to a code; no code lives longer (RFC 6749, section 4.1.2).
const ISSUED_LONGEST: Duration = Duration::from_secs(10 * 60);
/// OpenID Connect Core 1.0, section 2.
pub const SUBJECT_MAX_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW_S: i64 = 1_767_225_600;

    fn claims() -> Value {
        json!({
            "iss": "https://login.example", "sub": "7f3a", "aud": "onebit", "nonce": "n", "acr": "two",
            "amr": ["pwd", "hwk"], "exp": NOW_S + 300, "iat": NOW_S, "auth_time": NOW_S - 30,
        })
    }

    fn checked(claims: &Value) -> Result<IdToken, IdTokenError> {
        let (acr, amr) = (["two".to_owned()], ["hwk".to_owned()]);
        let wanted = IdTokenWanted {
            issuer: "https://login.example",
            client_id: "onebit",
            nonce: "n",
            acr: &acr,
            amr: &amr,
            max_age: Duration::from_secs(3_600),
            now: Timestamp::from_millis(NOW_S * 1_000),
        };
        IdToken::check(claims.to_string().as_bytes(), &wanted)
    }

    #[test]
    fn a_token_of_this_sign_in_names_its_subject() {
        let said = checked(&claims()).unwrap();
        assert_eq!((said.subject.as_str(), said.acr.as_deref()), ("7f3a", Some("two")));
        let mut other = claims();
        other["aud"] = json!(["onebit"]);
        other["azp"] = json!("onebit");
        other["exp"] = json!(1_767_225_900.75);
        assert!(checked(&other).is_ok());
    }

    #[test]
    fn whatever_is_wrong_with_a_claim_signs_nobody_in() {
        use IdTokenError::{Age, Audience, Form, Issuer, Nonce, Strength, Time};
        for (claim, value, refused) in [
            ("iss", json!("https://login.example/"), Issuer),
            ("aud", json!("other"), Audience),
            ("aud", json!(["onebit", "other"]), Audience),
            ("aud", json!([]), Audience),
            ("azp", json!("other"), Audience),
            ("nonce", json!("m"), Nonce),
            ("nonce", Value::Null, Nonce),
            ("exp", json!(NOW_S - 61), Time),
            ("iat", json!(NOW_S + 62), Time),
            ("iat", json!(NOW_S - 601), Time),
            ("nbf", json!(NOW_S + 62), Time),
            ("auth_time", Value::Null, Age),
            ("auth_time", json!(NOW_S - 3_661), Age),
            ("auth_time", json!(NOW_S + 62), Age),
            ("acr", json!("one"), Strength),
            ("acr", Value::Null, Strength),
            ("amr", json!(["pwd"]), Strength),
            ("amr", Value::Null, Strength),
            ("sub", json!(""), Form),
            ("sub", json!("a\u{202e}b"), Form),
            ("sub", json!("a".repeat(256)), Form),
            ("exp", json!("soon"), Form),
            ("exp", json!(1e300), Form),
            ("aud", json!(3), Form),
        ] {
            let mut claims = claims();
            claims[claim] = value.clone();
            assert_eq!(checked(&claims), Err(refused), "{claim} = {value}");
        }
        let twice = claims().to_string().replacen('{', "{\"sub\":\"other\",", 1);
        let wanted = IdTokenWanted {
            issuer: "https://login.example",
            client_id: "onebit",
            nonce: "n",
            acr: &[],
            amr: &[],
            max_age: Duration::ZERO,
            now: Timestamp::from_millis(NOW_S * 1_000),
        };
        assert_eq!(IdToken::check(twice.as_bytes(), &wanted), Err(Form), "a claim that is there twice");
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_times_do_more_than_be_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), time in any::<i64>(), fraction in any::<f64>(),
        ) {
            let wanted = IdTokenWanted {
                issuer: "i", client_id: "c", nonce: "n", acr: &[], amr: &[], max_age: Duration::ZERO,
                now: Timestamp::from_millis(NOW_S * 1_000),
            };
            prop_assert!(IdToken::check(&bytes, &wanted).is_err());
            for claim in ["exp", "iat", "auth_time"] {
                let mut claims = claims();
                claims[claim] = json!(time);
                let near = (time - NOW_S).checked_abs().is_some_and(|apart| apart < 10_000);
                prop_assert!(near || claim == "exp" && time > NOW_S || checked(&claims).is_err());
                claims[claim] = json!(fraction);
                let _whatever = checked(&claims);
            }
        }
    }
}
