//! The section `[root_key]`: where the root key is, and what opens it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::places::lies_in;
use crate::keys::Token;
use crate::store::StoreError;

/// Where the root key is and what opens it.
#[derive(Debug, Clone)]
pub struct RootKeyConfig {
    /// The root file.
    pub file: PathBuf,
    /// What opens it.
    pub guard: RootGuard,
}

/// What a root file is wrapped by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootGuard {
    /// A passphrase.
    Passphrase(SecretSource),
    /// The key of a PKCS#11 token, with the token's PIN.
    Token(Token, SecretSource),
}

/// Where a passphrase or a PIN comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file that nobody else may read.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A credential that systemd hands over.
    Credential(String),
    /// Whoever starts the process types it.
    Asked,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RootKeyKeys {
    file: Option<Spanned<PathBuf>>,
    passphrase_file: Option<Spanned<PathBuf>>,
    passphrase_env: Option<Spanned<String>>,
    passphrase_credential: Option<Spanned<String>>,
    passphrase_asked: Option<Spanned<bool>>,
    token_module: Option<Spanned<PathBuf>>,
    token_label: Option<Spanned<String>>,
    token_key: Option<Spanned<String>>,
    token_pin_file: Option<Spanned<PathBuf>>,
    token_pin_env: Option<Spanned<String>>,
    token_pin_credential: Option<Spanned<String>>,
    token_pin_asked: Option<Spanned<bool>>,
}

pub(super) fn root_key(
    document: &mut Document<'_>,
    folder: &Path,
    store: Option<&Path>,
) -> Option<RootKeyConfig> {
    let (place, keys): (Place, RootKeyKeys) = document.section("root_key");
    let file = document.required(&place, "file", keys.file);
    let file = file.and_then(|file| {
        let path = folder.join(file.get_ref());
        if store.is_some_and(|store| lies_in(&path, store)) {
            return document.fault(&place, "file", &file, StoreError::RootKeyBesideData.to_string());
        }
        Some(path)
    });
    let passphrase = Sources {
        secret: "passphrase",
        file: ("passphrase_file", keys.passphrase_file),
        variable: ("passphrase_env", keys.passphrase_env),
        credential: ("passphrase_credential", keys.passphrase_credential),
        asked: ("passphrase_asked", is_true(keys.passphrase_asked.as_ref())),
    };
    let pin = Sources {
        secret: "PIN",
        file: ("token_pin_file", keys.token_pin_file),
        variable: ("token_pin_env", keys.token_pin_env),
        credential: ("token_pin_credential", keys.token_pin_credential),
        asked: ("token_pin_asked", is_true(keys.token_pin_asked.as_ref())),
    };
    let Some(module) = keys.token_module else {
        let stray = [("token_label", &keys.token_label), ("token_key", &keys.token_key)];
        for (key, value) in stray {
            if let Some(value) = value {
                document.fault::<_, ()>(
                    &place,
                    key,
                    value,
                    "this belongs to a token, and none is named; add `token_module`",
                );
            }
        }
        if pin.is_named() {
            document.fault_of::<()>(&place, "a PIN is named and no token; add `token_module`");
        }
        let guard = source(document, &place, folder, store, passphrase).map(RootGuard::Passphrase);
        return Some(RootKeyConfig { file: file?, guard: guard? });
    };
    if passphrase.is_named() {
        document.fault_of::<()>(&place, "both a passphrase and a token are named; the root key is wrapped by one of them, so remove the other");
    }
    let label = document.required(&place, "token_label", keys.token_label);
    let pin = source(document, &place, folder, store, pin);
    // A module's name alone is looked for by the loader; a path is relative to this file like every other.
    let is_name = module.get_ref().components().count() == 1;
    let module = if is_name { module.into_inner() } else { folder.join(module.get_ref()) };
    let token = Token {
        module,
        label: label?.into_inner(),
        key: keys.token_key.map_or_else(|| TOKEN_KEY.to_owned(), Spanned::into_inner),
    };
    Some(RootKeyConfig { file: file?, guard: RootGuard::Token(token, pin?) })
}

/// The keys that say where a secret comes from, of which one is given.
struct Sources {
    secret: &'static str,
    file: (&'static str, Option<Spanned<PathBuf>>),
    variable: (&'static str, Option<Spanned<String>>),
    credential: (&'static str, Option<Spanned<String>>),
    asked: (&'static str, Option<()>),
}

/// A key that says nothing unless it is true.
fn is_true(value: Option<&Spanned<bool>>) -> Option<()> {
    value.filter(|value| *value.get_ref()).map(|_| ())
}

impl Sources {
    const fn is_named(&self) -> bool {
        self.file.1.is_some()
            || self.variable.1.is_some()
            || self.credential.1.is_some()
            || self.asked.1.is_some()
    }
}

fn source(
    document: &mut Document<'_>,
    place: &Place,
    folder: &Path,
    store: Option<&Path>,
    sources: Sources,
) -> Option<SecretSource> {
    let secret = sources.secret;
    let (file_key, variable_key) = (sources.file.0, sources.variable.0);
    let (credential_key, asked_key) = (sources.credential.0, sources.asked.0);
    match (sources.file.1, sources.variable.1, sources.credential.1, sources.asked.1) {
        (None, None, None, Some(())) => Some(SecretSource::Asked),
        (Some(file), None, None, None) => {
            let path = folder.join(file.get_ref());
            if store.is_some_and(|store| lies_in(&path, store)) {
                let message = format!("the {secret} lies in the database's folder; move it elsewhere");
                return document.fault(place, file_key, &file, message);
            }
            Some(SecretSource::File(path))
        }
        (None, Some(name), None, None) if is_variable(name.get_ref()) => {
            Some(SecretSource::Variable(name.into_inner()))
        }
        (None, Some(name), None, None) => {
            let message = "this is not the name of a variable; write it without `$` and `=`";
            document.fault(place, variable_key, &name, message)
        }
        (None, None, Some(name), None) if is_credential(name.get_ref()) => {
            Some(SecretSource::Credential(name.into_inner()))
        }
        (None, None, Some(name), None) => {
            let message = "this is not the name of a credential; write the name that `LoadCredential=` gives it";
            document.fault(place, credential_key, &name, message)
        }
        (None, None, None, None) => document.fault_of(
            place,
            format!("no {secret} is named; add `{file_key}`, `{variable_key}`, `{credential_key}` or `{asked_key}`"),
        ),
        _ => document.fault_of(
            place,
            format!("more than one {secret} is named; keep one of `{file_key}`, `{variable_key}`, `{credential_key}` and `{asked_key}`"),
        ),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// systemd.exec(5): a credential's name can be a file's name.
fn is_credential(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// What the token's key is called unless the configuration says otherwise.
const TOKEN_KEY: &str = "onebit-root";
