//! The section `[console.oidc]`: the agency's OpenID provider, by which people may sign in at the console.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::material::{self, MaterialError};
use super::{Config, Range, number};
use crate::authz::is_certificates;
use crate::keys::{ClientKey, SignatureError};
use crate::outbox::{ClientAuthentication, ProviderSettings, is_https};
use crate::secret::SecretBytes;

/// The provider.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// Its name for itself.
    pub issuer: String,
    /// Our name at it.
    pub client_id: String,
    /// The file with what we show it.
    pub proof: ClientProof,
    /// The file with the certificates of its authority, PEM.
    pub authority: PathBuf,
    /// Accepted ways of recognising somebody.
    pub acr: Vec<String>,
    /// All of these have to have been used.
    pub amr: Vec<String>,
    /// How long ago it may have recognised the person.
    pub max_age: Duration,
    /// What people know it by.
    pub title: String,
    /// Whether people may sign in by passkey as well.
    pub passkeys: bool,
}

/// How we show the provider who we are.
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// The file with a secret.
    Secret(PathBuf),
    /// The file with a private key, and what the provider knows its public half by.
    Key(PathBuf, Option<String>),
}

/// What the provider is spoken to with can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// A file that the section names.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A file with something else than certificates.
    #[error("`{0}` holds no certificates in PEM; copy the authority's file as it is")]
    Authority(PathBuf),
    /// A file with no secret in it.
    #[error("`{0}` is empty; write the secret into it that the provider gave you")]
    Secret(PathBuf),
    /// A file with something else than a private key.
    #[error("`{path}` can't be used")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SignatureError,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OidcKeys {
    issuer: Option<Spanned<String>>,
    client_id: Option<Spanned<String>>,
    secret_file: Option<Spanned<PathBuf>>,
    key_file: Option<Spanned<PathBuf>>,
    key_id: Option<Spanned<String>>,
    authority: Option<PathBuf>,
    acr: Vec<Spanned<String>>,
    amr: Vec<Spanned<String>>,
    max_age_minutes: Option<Spanned<u64>>,
    title: Option<Spanned<String>>,
    passkeys: Option<bool>,
}

pub(super) fn oidc(
    document: &mut Document<'_>,
    place: &Place,
    folder: &Path,
    keys: OidcKeys,
) -> Option<OidcConfig> {
    let issuer = document.required(place, "oidc.issuer", keys.issuer).and_then(|issuer| {
        if is_https(issuer.get_ref()) && !issuer.get_ref().contains('?') {
            return Some(issuer.into_inner());
        }
        let message =
            "this is not an issuer; write it as the provider does, `https://host/path`, without `?`, `#` and `@`";
        document.fault(place, "oidc.issuer", &issuer, message)
    });
    let client_id = document.required(place, "oidc.client_id", keys.client_id);
    let client_id = client_id.and_then(|id| visible(document, place, "oidc.client_id", id));
    let proof = match (keys.secret_file, keys.key_file, keys.key_id) {
        (Some(file), None, None) => Some(ClientProof::Secret(folder.join(file.get_ref()))),
        (None, Some(file), id) => {
            let id = id.map(|id| visible(document, place, "oidc.key_id", id));
            let path = folder.join(file.get_ref());
            match id {
                Some(id) => id.map(|id| ClientProof::Key(path, Some(id))),
                None => Some(ClientProof::Key(path, None)),
            }
        }
        (Some(_), None, Some(id)) => {
            document.fault(place, "oidc.key_id", &id, "a secret has no id; take it out, or name `key_file`")
        }
        (Some(file), Some(_), _) => {
            let message = "there are a secret and a key; keep one of `oidc.secret_file` and `oidc.key_file`";
            document.fault(place, "oidc.secret_file", &file, message)
        }
        (None, None, _) => document.fault_of(
            place,
            "nothing shows the provider who asks; add `oidc.key_file`, or `oidc.secret_file`",
        ),
    };
    let authority = keys.authority.map(|file| folder.join(file)).or_else(|| {
        let message = "nothing says by which authority the provider is verified; add `oidc.authority`, on Debian `/etc/ssl/certs/ca-certificates.crt` for the public ones";
        document.fault_of(place, message)
    });
    let mut words = |key: &'static str, given: Vec<Spanned<String>>| -> Option<Vec<String>> {
        let read = given.into_iter().map(|word| {
            if word.get_ref().contains(' ') {
                return document.fault(place, key, &word, "this is several; write each as a text of its own");
            }
            visible(document, place, key, word)
        });
        // All of them, so that each tells its fault.
        read.collect::<Vec<_>>().into_iter().collect()
    };
    let (acr, amr) = (words("oidc.acr", keys.acr), words("oidc.amr", keys.amr));
    let range = Range { key: "oidc.max_age_minutes", least: 1, most: MAX_AGE_MAX_M, default: MAX_AGE_M };
    let max_age = number(document, place, keys.max_age_minutes.as_ref(), &range);
    let title = match keys.title {
        Some(title) if (1..=TITLE_MAX_CHARS).contains(&title.get_ref().chars().count()) => {
            Some(Some(title.into_inner()))
        }
        Some(title) => document.fault(place, "oidc.title", &title, "write 1 to 60 characters"),
        None => Some(None),
    };
    let issuer = issuer?;
    let host = issuer.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default().to_owned();
    Some(OidcConfig {
        issuer,
        client_id: client_id?,
        proof: proof?,
        authority: authority?,
        acr: acr?,
        amr: amr?,
        max_age: Duration::from_secs(max_age?.saturating_mul(60)),
        title: title?.unwrap_or(host),
        passkeys: keys.passkeys.unwrap_or(true),
    })
}

fn visible(
    document: &mut Document<'_>,
    place: &Place,
    key: &'static str,
    given: Spanned<String>,
) -> Option<String> {
    let text = given.get_ref();
    if !text.is_empty() && text.len() <= TEXT_MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(given.into_inner());
    }
    document.fault(place, key, &given, "write 1 to 255 visible ASCII characters without spaces")
}

impl Config {
    /// Reads what the provider is spoken to with; nothing where none is configured.
    ///
    /// # Errors
    /// [`OidcError`] when a file can't be used.
    pub fn oidc_open(&self) -> Result<Option<ProviderSettings>, OidcError> {
        let Some(console) = &self.console else { return Ok(None) };
        let Some(oidc) = &console.oidc else { return Ok(None) };
        let pem = material::read("the provider's authority", &oidc.authority)?;
        let pem = String::from_utf8(pem).ok().filter(|pem| is_certificates(pem));
        let authority = pem.ok_or_else(|| OidcError::Authority(oidc.authority.clone()))?;
        let authentication = match &oidc.proof {
            ClientProof::Secret(path) => {
                let read = material::read_secret("the secret for the provider", path)?;
                let text = read.expose().trim_ascii().to_vec();
                if text.is_empty() {
                    return Err(OidcError::Secret(path.clone()));
                }
                ClientAuthentication::Secret(SecretBytes::new(text))
            }
            ClientProof::Key(path, id) => {
                let pem = material::read_secret("the private key for the provider", path)?;
                let key = ClientKey::from_pkcs8_pem(pem.expose(), id.clone());
                let key = key.map_err(|source| OidcError::Key { path: path.clone(), source })?;
                ClientAuthentication::Key(Box::new(key))
            }
        };
        Ok(Some(ProviderSettings {
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            authentication,
            authority,
            acr: oidc.acr.clone(),
            amr: oidc.amr.clone(),
            max_age: oidc.max_age,
            origin: console.settings.origin.to_string(),
            title: oidc.title.clone(),
            passkeys: oidc.passkeys,
        }))
    }
}

/// Somebody who was recognised at the beginning of the day signs in at the console in the course of it, but a machine that
/// was left alone does not for long.
const MAX_AGE_M: u64 = 60;
/// A day.
const MAX_AGE_MAX_M: u64 = 24 * 60;
const TEXT_MAX_BYTES: usize = 255;
const TITLE_MAX_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const REST: &str = include_str!("../../onebit.sample.toml");

    fn parse(section: &str) -> Result<Config, String> {
        let console = "[console]\nlisten = '127.0.0.1:7445'\norigin = 'https://console.example'\n\
                       certificate = 'c.pem'\nkey = 'k.pem'\n";
        let text = REST.replacen("[console]\n", &format!("{console}\n{section}\n"), 1);
        Config::parse(Path::new("x"), &text).map_err(|faults| faults.to_string())
    }

    const GOOD: &str = "[console.oidc]\nissuer = 'https://login.example/agency'\nclient_id = 'onebit'\n\
                        key_file = 'client.pem'\nauthority = 'ca.pem'\n";

    #[test]
    fn the_provider_is_told_with_what_is_left_out_as_it_is_safe() {
        let config = parse(GOOD).unwrap();
        let oidc = config.console.unwrap().oidc.unwrap();
        assert_eq!(
            (oidc.title.as_str(), oidc.max_age.as_secs(), oidc.passkeys),
            ("login.example", 3_600, true)
        );
        assert!(matches!(oidc.proof, ClientProof::Key(path, None) if path.ends_with("client.pem")));
        assert!(parse("").unwrap().console.unwrap().oidc.is_none());
    }

    #[test]
    fn each_fault_of_the_section_is_named() {
        for (section, wanted) in [
            (GOOD.replace("https:", "http:"), "this is not an issuer"),
            (GOOD.replace("/agency", "/agency?x"), "this is not an issuer"),
            (GOOD.replace("client_id = 'onebit'\n", ""), "`console.oidc.client_id`"),
            (GOOD.replace("'onebit'", "'one bit'"), "visible ASCII"),
            (GOOD.replace("key_file = 'client.pem'\n", ""), "add `oidc.key_file`"),
            (format!("{GOOD}secret_file = 's'\n"), "keep one of"),
            (GOOD.replace("key_file", "key_id = 'a'\nsecret_file"), "a secret has no id"),
            (GOOD.replace("authority = 'ca.pem'\n", ""), "add `oidc.authority`"),
            (format!("{GOOD}acr = ['a b']\n"), "this is several"),
            (format!("{GOOD}amr = ['']\n"), "visible ASCII"),
            (format!("{GOOD}max_age_minutes = 0\n"), "1 to 1440"),
            (format!("{GOOD}title = ''\n"), "1 to 60 characters"),
            (format!("{GOOD}secret = 'x'\n"), "secret"),
        ] {
            let told = parse(&section).err().unwrap_or_else(|| panic!("{section} should have been refused"));
            assert!(told.contains(wanted), "{section} should say `{wanted}`, and says: {told}");
        }
        let alone = REST.replacen("[console]\n", &format!("[console]\n{GOOD}"), 1);
        let told = Config::parse(Path::new("x"), &alone).err().unwrap().to_string();
        assert!(told.contains("add `listen`"), "{told}");
    }
}
