//! Reading what a configuration names: passphrase, root key, certificate, key and revocation lists.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use super::{Config, PassphraseSource, RootKeyConfig};
use crate::door::{SpiffeError, TlsMaterial, TrustDomain, TrustDomainName, TrustError};
use crate::keys::{RootError, RootFile, RootKey};
use crate::secret::SecretBytes;
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
    #[error("the variable `{0}` with the passphrase is not set; set it where the server is started")]
    Variable(String),
    /// Not started by systemd.
    #[error(
        "there is no folder of credentials; start by systemd with `LoadCredential={0}:…`, or use `passphrase_file`"
    )]
    Credentials(String),
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

impl PassphraseSource {
    /// Reads the passphrase.
    ///
    /// # Errors
    /// [`MaterialError`] when it is not there, or others may read it.
    pub fn read(&self, environment: Environment<'_>) -> Result<SecretBytes, MaterialError> {
        match self {
            Self::File(path) => read_secret("the passphrase", path),
            Self::Variable(name) => {
                let value = environment(name).ok_or_else(|| MaterialError::Variable(name.clone()))?;
                Ok(SecretBytes::new(value.into_encoded_bytes()))
            }
            Self::Credential(name) => {
                let folder =
                    environment(CREDENTIALS).ok_or_else(|| MaterialError::Credentials(name.clone()))?;
                read_secret("the passphrase", &Path::new(&folder).join(name))
            }
        }
    }
}

impl RootKeyConfig {
    /// Opens the root key. Takes about a fifth of a second and 64 MiB, on purpose.
    ///
    /// # Errors
    /// [`MaterialError`] when file or passphrase are not there, are open to others, or don't belong together.
    pub fn open(&self, environment: Environment<'_>) -> Result<RootKey, MaterialError> {
        let text = read_secret("the root key", &self.file)?;
        let text = String::from_utf8_lossy(text.expose());
        let passphrase = self.passphrase.read(environment)?;
        RootFile::open(&text, &passphrase)
            .map_err(|source| MaterialError::Root { path: self.file.clone(), source })
    }
}

/// What TLS needs of the disk, as it was last read.
pub struct TlsFiles {
    certificate_pem: Vec<u8>,
    key_pem: SecretBytes,
    lists: BTreeMap<TrustDomainName, Vec<u8>>,
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
        Ok(Self {
            certificate_pem: read("the server's certificate", &config.server.certificate)?,
            key_pem: read_secret("the server's private key", &config.server.key)?,
            lists,
        })
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

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MaterialError> {
    fs::read(path).map_err(|source| MaterialError::Read { what, path: path.to_owned(), source })
}

/// Reads a file that the other users of the machine may neither read nor write.
fn read_secret(what: &'static str, path: &Path) -> Result<SecretBytes, MaterialError> {
    let unreadable = |source| MaterialError::Read { what, path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(MaterialError::Open { what, path: path.to_owned() });
    }
    read(what, path).map(SecretBytes::new)
}

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
        let read =
            |source: PassphraseSource| source.read(&environment).map(|secret| secret.expose().to_vec());
        assert_eq!(read(PassphraseSource::File(path.clone())).unwrap(), b"otter lantern mosaic");
        assert_eq!(read(PassphraseSource::Variable("PASSPHRASE".to_owned())).unwrap(), b"gravel");
        assert_eq!(
            read(PassphraseSource::Credential("passphrase".to_owned())).unwrap(),
            b"otter lantern mosaic"
        );
        let refused = [
            PassphraseSource::File(folder.path().join("other")),
            PassphraseSource::Variable("OTHER".to_owned()),
            PassphraseSource::Credential("other".to_owned()),
        ];
        for source in refused {
            assert!(read(source.clone()).is_err(), "{source:?} is not there and should have been refused");
        }
        let unstarted = PassphraseSource::Credential("x".to_owned()).read(&nothing).err().unwrap();
        assert!(unstarted.to_string().contains("LoadCredential=x:"), "{unstarted}");
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        for mode in [0o604, 0o602, 0o644] {
            write(&path, "otter lantern mosaic", mode);
            let refused = PassphraseSource::File(path.clone()).read(&nothing).err();
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
        let config = RootKeyConfig { file, passphrase: PassphraseSource::File(passphrase.clone()) };
        assert!(config.open(&nothing).unwrap().id() == root.id(), "another key came back");
        write(&passphrase, "otter lantern mosaics\n", 0o600);
        let refused = config.open(&nothing).err();
        assert!(matches!(refused, Some(MaterialError::Root { source: RootError::Passphrase(_), .. })));
    }
}
