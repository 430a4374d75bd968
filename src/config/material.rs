//! Reading what a configuration names: passphrase, root key, certificate, key and revocation lists.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{Config, RootGuard, RootKeyConfig, SecretSource, terminal};
use crate::door::{SpiffeError, TlsMaterial, TrustDomain, TrustDomainName, TrustError};
use crate::keys::{KeyId, RootError, RootFile, RootKey, TokenRootFile, TokenSession, Tries};
use crate::secret::{Entropy, SecretBytes};
use crate::store::{HolderFacts, Registry};

/// A file or a variable that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A file that can't be read.
    #[error("{what} `{path}` can't be read; check that it is there, and who may read it")]
    Read {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A secret that everybody on the machine can get at.
    #[error("{what} `{path}` is open to every user of this machine; take that away with `chmod o-rwx`")]
    Open {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A variable of the environment that is not set.
    #[error("the variable `{name}` with {what} is not set; set it where the server is started")]
    Variable {
        /// What is in it.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Not started by systemd.
    #[error(
        "there is no folder of credentials for {what}; start by systemd with `LoadCredential={name}:…`, or name a file in place of the credential"
    )]
    Credentials {
        /// What is in it.
        what: &'static str,
        /// The credential.
        name: String,
    },
    /// Nobody to ask.
    #[error(
        "{what} is to be typed, and there is no terminal; start it from one, or name a file or a credential"
    )]
    Terminal {
        /// What was to be typed.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Two different answers.
    #[error("{0} was typed in two ways; begin again")]
    Twice(&'static str),
    /// A root file that does not open.
    #[error("the root key `{path}` can't be used")]
    Root {
        /// The root file.
        path: PathBuf,
        /// What is wrong.
        source: RootError,
    },
    /// A trust domain's name in the store that is none.
    #[error("a trust domain in the store can't be used; restore the store from its backup")]
    Domain(#[source] SpiffeError),
    /// Revocation lists that can't be read.
    #[error("revocation lists can't be used")]
    Lists(#[source] TrustError),
}

/// The variables of the environment; a test brings its own.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// The variables of this process.
#[must_use]
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl SecretSource {
    /// Reads the secret; `what` says what it is.
    ///
    /// # Errors
    /// [`MaterialError`] when it is not there, or others may read it.
    pub fn read(
        &self,
        what: &'static str,
        environment: Environment<'_>,
    ) -> Result<SecretBytes, MaterialError> {
        match self {
            Self::File(path) => read_secret(what, path),
            Self::Variable(name) => {
                let value =
                    environment(name).ok_or_else(|| MaterialError::Variable { what, name: name.clone() })?;
                Ok(SecretBytes::new(value.into_encoded_bytes()))
            }
            Self::Credential(name) => {
                let folder = environment(CREDENTIALS)
                    .ok_or_else(|| MaterialError::Credentials { what, name: name.clone() })?;
                read_secret(what, &Path::new(&folder).join(name))
            }
            Self::Asked => terminal::ask(what).map_err(|source| MaterialError::Terminal { what, source }),
        }
    }

    /// Reads a secret that something is about to be wrapped by: one that is typed, twice.
    ///
    /// # Errors
    /// As [`SecretSource::read`], and [`MaterialError::Twice`].
    pub fn read_new(
        &self,
        what: &'static str,
        environment: Environment<'_>,
    ) -> Result<SecretBytes, MaterialError> {
        let secret = self.read(what, environment)?;
        if *self == Self::Asked {
            let again =
                terminal::ask("once more").map_err(|source| MaterialError::Terminal { what, source })?;
            if again.expose() != secret.expose() {
                return Err(MaterialError::Twice(what));
            }
        }
        Ok(secret)
    }
}

impl RootKeyConfig {
    /// Opens the root key: by its passphrase, which takes about a fifth of a second and 64 MiB on purpose, or by its
    /// token. A PIN that was wrong the last time is not tried.
    ///
    /// # Errors
    /// [`MaterialError`] when file or secret are not there, are open to others, or don't belong together.
    pub fn open(&self, environment: Environment<'_>) -> Result<RootKey, MaterialError> {
        let text = self.text()?;
        let root = match &self.guard {
            RootGuard::Passphrase(source) => RootFile::open(&text, &source.read(PASSPHRASE, environment)?),
            RootGuard::Token(..) => {
                // The file first: no try of the PIN is worth a file that can't be opened.
                TokenRootFile::parse(&text)
                    .map_err(|source| self.unusable(source))
                    .and_then(|_| self.token(environment, Tries::Spared))
                    .map(|token| TokenRootFile::open(&text, &token))?
            }
        };
        root.map_err(|source| self.unusable(source))
    }

    /// Draws a root key and wraps it as the configuration says; gives the key and the text of its file, which is not
    /// written here. `passphrase` stands for the one that the configuration names.
    ///
    /// # Errors
    /// As [`RootKeyConfig::open`].
    pub fn create(
        &self,
        passphrase: Option<&SecretBytes>,
        environment: Environment<'_>,
        entropy: &dyn Entropy,
    ) -> Result<(RootKey, String), MaterialError> {
        let made = match (&self.guard, passphrase) {
            (RootGuard::Passphrase(_), Some(passphrase)) => RootFile::create(passphrase, entropy),
            (RootGuard::Passphrase(source), None) => {
                RootFile::create(&source.read_new(PASSPHRASE, environment)?, entropy)
            }
            (RootGuard::Token(..), _) => {
                TokenRootFile::create(&self.token(environment, Tries::Spared)?, entropy)
            }
        };
        made.map_err(|source| self.unusable(source))
    }

    /// Logs in to the token; with a root file that needs none it is [`RootError::ByPassphrase`].
    ///
    /// # Errors
    /// As [`RootKeyConfig::open`].
    pub fn token(&self, environment: Environment<'_>, tries: Tries) -> Result<TokenSession, MaterialError> {
        let RootGuard::Token(token, pin) = &self.guard else {
            return Err(self.unusable(RootError::ByPassphrase));
        };
        let pin = pin.read(PIN, environment)?;
        token.log_in(&pin, tries).map_err(|source| self.unusable(source.into()))
    }

    /// The name of the root key in the file, which is not opened for it.
    ///
    /// # Errors
    /// As [`RootKeyConfig::open`].
    pub fn key_id(&self) -> Result<KeyId, MaterialError> {
        let text = self.text()?;
        let id = match &self.guard {
            RootGuard::Passphrase(_) => RootFile::parse(&text).map(|file| file.key_id()),
            RootGuard::Token(..) => TokenRootFile::parse(&text).map(|file| file.key_id()),
        };
        id.map_err(|source| self.unusable(source))
    }

    fn text(&self) -> Result<Zeroizing<String>, MaterialError> {
        let text = read_secret("the root key", &self.file)?;
        Ok(Zeroizing::new(String::from_utf8_lossy(text.expose()).into_owned()))
    }

    fn unusable(&self, source: RootError) -> MaterialError {
        MaterialError::Root { path: self.file.clone(), source }
    }
}

impl RootGuard {
    /// What opens the root file, in words.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Passphrase(SecretSource::Credential(_)) => {
                "a passphrase, handed over by systemd".to_owned()
            }
            Self::Passphrase(SecretSource::File(_)) => "a passphrase in a file".to_owned(),
            Self::Passphrase(SecretSource::Variable(_)) => "a passphrase in the environment".to_owned(),
            Self::Passphrase(SecretSource::Asked) => "a passphrase that is typed".to_owned(),
            Self::Token(token, _) => format!("the key `{}` of the token `{}`", token.key, token.label),
        }
    }
}

/// What TLS needs of the disk, as it was last read.
pub struct TlsFiles {
    certificate_pem: Vec<u8>,
    key_pem: SecretBytes,
    lists: BTreeMap<TrustDomainName, Vec<u8>>,
    console: Option<(Vec<u8>, SecretBytes)>,
}

impl TlsFiles {
    /// Reads certificate, key and revocation lists.
    ///
    /// # Errors
    /// [`MaterialError`] for the first file that can't be read, or for a key that is open to others.
    pub fn read(config: &Config) -> Result<Self, MaterialError> {
        let mut lists = BTreeMap::new();
        for (domain, files) in &config.revocation_lists {
            let mut pem = Vec::new();
            for file in files {
                pem.extend(read("the revocation list", file)?);
                // PEM blocks begin on a line of their own.
                pem.push(b'\n');
            }
            lists.insert(domain.clone(), pem);
        }
        let console = config.console.as_ref().map(|console| {
            let certificate = read("the console's certificate", &console.certificate)?;
            Ok((certificate, read_secret("the console's private key", &console.key)?))
        });
        Ok(Self {
            certificate_pem: read("the server's certificate", &config.server.certificate)?,
            key_pem: read_secret("the server's private key", &config.server.key)?,
            lists,
            console: console.transpose()?,
        })
    }

    /// The console's certificate with its intermediates and its private key, both PEM, where there is a console.
    #[must_use]
    pub fn console(&self) -> Option<(&[u8], &SecretBytes)> {
        self.console.as_ref().map(|(certificate, key)| (certificate.as_slice(), key))
    }

    /// With these files, a server for the holder's own people and systems and every partner's.
    ///
    /// # Errors
    /// [`MaterialError::Domain`] and [`MaterialError::Lists`].
    pub fn material(&self, holder: &HolderFacts, registry: &Registry) -> Result<TlsMaterial, MaterialError> {
        let mut domains = vec![self.domain(&holder.trust_domain, &holder.authorities)?];
        for partner in &registry.partners {
            domains.push(self.domain(&partner.trust_domain, &partner.authorities)?);
        }
        Ok(self.material_for(domains))
    }

    /// With these files, a server for whoever these trust domains vouch for.
    #[must_use]
    pub fn material_for(&self, domains: Vec<TrustDomain>) -> TlsMaterial {
        TlsMaterial {
            certificate_pem: self.certificate_pem.clone(),
            key_pem: SecretBytes::new(self.key_pem.expose().to_vec()),
            domains,
        }
    }

    /// Trust domains that have revocation lists although nobody of them may connect.
    #[must_use]
    pub fn strangers(&self, holder: &HolderFacts, registry: &Registry) -> Vec<TrustDomainName> {
        let known = |name: &str| {
            holder.trust_domain == name
                || registry.partners.iter().any(|partner| partner.trust_domain == name)
        };
        self.lists.keys().filter(|name| !known(name.as_str())).cloned().collect()
    }

    /// The server's certificate with its intermediates, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }

    /// The revocation lists of each trust domain, read.
    ///
    /// # Errors
    /// [`MaterialError::Lists`].
    pub fn revocation_lists(&self) -> Result<Vec<TrustDomain>, MaterialError> {
        let read = |(name, pem): (&TrustDomainName, &Vec<u8>)| TrustDomain::from_pem(name.clone(), b"", pem);
        self.lists.iter().map(read).collect::<Result<_, _>>().map_err(MaterialError::Lists)
    }

    fn domain(&self, name: &str, authorities: &[Vec<u8>]) -> Result<TrustDomain, MaterialError> {
        let name = TrustDomainName::parse(name).map_err(MaterialError::Domain)?;
        let lists = self.lists.get(&name).map(Vec::as_slice).unwrap_or_default();
        let mut domain = TrustDomain::from_pem(name, b"", lists).map_err(MaterialError::Lists)?;
        domain.roots = authorities.iter().cloned().map(CertificateDer::from).collect();
        Ok(domain)
    }
}

pub(super) fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MaterialError> {
    fs::read(path).map_err(|source| MaterialError::Read { what, path: path.to_owned(), source })
}

/// Reads a file that the other users of the machine may neither read nor write.
pub(super) fn read_secret(what: &'static str, path: &Path) -> Result<SecretBytes, MaterialError> {
    let unreadable = |source| MaterialError::Read { what, path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(MaterialError::Open { what, path: path.to_owned() });
    }
    read(what, path).map(SecretBytes::new)
}

/// What a secret is called when it can't be read.
pub const PASSPHRASE: &str = "the passphrase";
const PIN: &str = "the token's PIN";
/// systemd.exec(5): where credentials are handed over.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Reading, writing and running by anybody but owner and group.
const OTHERS: u32 = 0o007;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SystemEntropy;

    fn nothing(_name: &str) -> Option<OsString> {
        None
    }

    fn write(path: &Path, content: &str, mode: u32) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_passphrase_comes_from_the_one_place_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        write(&path, "otter lantern mosaic", 0o640);
        let here = folder.path().as_os_str().to_owned();
        let environment = move |name: &str| match name {
            "PASSPHRASE" => Some(OsString::from("gravel")),
            "CREDENTIALS_DIRECTORY" => Some(here.clone()),
            _ => None,
        };
        let read = |source: SecretSource| {
            source.read(PASSPHRASE, &environment).map(|secret| secret.expose().to_vec())
        };
        assert_eq!(read(SecretSource::File(path.clone())).unwrap(), b"otter lantern mosaic");
        assert_eq!(read(SecretSource::Variable("PASSPHRASE".to_owned())).unwrap(), b"gravel");
        assert_eq!(read(SecretSource::Credential("passphrase".to_owned())).unwrap(), b"otter lantern mosaic");
        let refused = [
            SecretSource::File(folder.path().join("other")),
            SecretSource::Variable("OTHER".to_owned()),
            SecretSource::Credential("other".to_owned()),
        ];
        for source in refused {
            assert!(read(source.clone()).is_err(), "{source:?} is not there and should have been refused");
        }
        let unstarted = SecretSource::Credential("x".to_owned()).read(PASSPHRASE, &nothing).err().unwrap();
        assert!(unstarted.to_string().contains("LoadCredential=x:"), "{unstarted}");
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        for mode in [0o604, 0o602, 0o644] {
            write(&path, "otter lantern mosaic", mode);
            let refused = SecretSource::File(path.clone()).read(PASSPHRASE, &nothing).err();
            assert!(
                matches!(refused, Some(MaterialError::Open { .. })),
                "mode {mode:o} should have been refused"
            );
        }
    }

    #[test]
    fn a_root_key_opens_with_its_passphrase_only() {
        let folder = tempfile::tempdir().unwrap();
        let (file, passphrase) = (folder.path().join("root-key.toml"), folder.path().join("passphrase"));
        let words = SecretBytes::new(b"otter lantern mosaic".to_vec());
        let (root, text) = RootFile::create(&words, &SystemEntropy::new()).unwrap();
        write(&file, &text, 0o600);
        write(&passphrase, "otter lantern mosaic\n", 0o600);
        let config =
            RootKeyConfig { file, guard: RootGuard::Passphrase(SecretSource::File(passphrase.clone())) };
        assert!(config.open(&nothing).unwrap().id() == root.id(), "another key came back");
        write(&passphrase, "otter lantern mosaics\n", 0o600);
        let refused = config.open(&nothing).err();
        assert!(matches!(refused, Some(MaterialError::Root { source: RootError::Passphrase(_), .. })));
    }
}
