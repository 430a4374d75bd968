//! The files of a report, written together, and the signature over them.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;

use super::fault::CliError;
use super::files;
use crate::ids::Digest;
use crate::keys::{PublicKey, SignatureDomain, SigningKey};

/// Who signs a report, and where it is written.
#[derive(Debug, clap::Args)]
pub struct Signing {
    /// Your private key, PKCS#8 PEM: ECDSA P-256 or Ed25519
    #[arg(long, value_name = "FILE", env = "ONEBIT_KEY")]
    pub signing_key: PathBuf,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// A key that was read, and a folder in which none of the files is.
pub(super) struct Ready<'a> {
    kind: &'static Kind,
    folder: &'a Path,
    key: SigningKey,
}

impl Signing {
    /// Looks before the work that the report takes whether it can be written.
    pub(super) fn ready(&self, kind: &'static Kind) -> Result<Ready<'_>, CliError> {
        Ready::of(kind, &self.signing_key, &self.out)
    }
}

impl<'a> Ready<'a> {
    /// Refuses a key that can't sign, and a folder in which one of the files is already.
    pub(super) fn of(kind: &'static Kind, key: &Path, folder: &'a Path) -> Result<Self, CliError> {
        let key = SigningKey::from_pkcs8_pem(&files::read_secret(key)?)
            .map_err(|error| CliError::because(format!("`{}` can't sign", key.display()), error))?;
        check_absent(kind, folder)?;
        Ok(Self { kind, folder, key })
    }

    /// Writes the files and the signature over them, all or none; gives the fingerprint of the key.
    pub(super) fn write(&self, contents: &[(&str, String)]) -> Result<Digest, CliError> {
        write(self.kind, self.folder, contents, &self.key)?;
        Ok(self.key.public_key().fingerprint())
    }
}

/// A kind of report: what signs it, and its files in their order.
pub(super) struct Kind {
    pub(super) domain: SignatureDomain,
    pub(super) files: &'static [&'static str],
    /// Whether only whoever made it may read it; otherwise it is for the public.
    pub(super) is_private: bool,
}

/// What was found to be as it was signed.
pub(super) struct Verified {
    pub(super) files: Vec<(String, Digest)>,
    /// The fingerprint of the key.
    pub(super) signer: Digest,
}

impl Kind {
    /// Every file, the signature last.
    fn all(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().copied().chain([SIGNATURE])
    }
}

/// Refuses a folder in which one of the files is already.
fn check_absent(kind: &Kind, folder: &Path) -> Result<(), CliError> {
    match kind.all().find(|name| folder.join(name).exists()) {
        None => Ok(()),
        Some(name) => Err(CliError::Found(format!(
            "`{}` is there already; nothing was written; give another folder with --out",
            folder.join(name).display()
        ))),
    }
}

fn write(kind: &Kind, folder: &Path, contents: &[(&str, String)], key: &SigningKey) -> Result<(), CliError> {
    let digests: Vec<(String, Digest)> = contents
        .iter()
        .map(|(name, content)| ((*name).to_owned(), Digest::sha256(content.as_bytes())))
        .collect();
    let signed = statement(kind, &digests);
    let signature = key.sign(kind.domain, &Digest::sha256(signed.as_bytes()));
    let signature = signature.map_err(|error| CliError::because("the report can't be signed", error))?;
    let seal = sealed(&signed, &key.public_key(), &signature);
    files::folder(folder)?;
    check_absent(kind, folder)?;
    let all = contents.iter().map(|(name, content)| (*name, content.as_str()));
    for (name, content) in all.chain([(SIGNATURE, seal.as_str())]) {
        let path = folder.join(name);
        let written = if kind.is_private {
            files::write_private(&path, content.as_bytes())
        } else {
            files::write_new(&path, content.as_bytes())
        };
        if let Err(error) = written {
            for name in kind.all() {
                // None of them was there before; what can't be removed either is told by the error.
                let _may_not_be_there = fs::remove_file(folder.join(name));
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Verifies a folder with a document and the page that follows from it: `draw` draws it anew, and gives `None` for a form
/// that it does not know.
pub(super) fn verify_drawn<D: serde::de::DeserializeOwned>(
    kind: &Kind,
    (folder, signer): (&Path, &Path),
    what: &str,
    draw: impl FnOnce(&D) -> Option<String>,
) -> Result<Verified, CliError> {
    let verified = verify(kind, folder, signer)?;
    let document: D = serde_json::from_str(&files::read_text(&folder.join(REPORT))?)
        .map_err(|error| CliError::because(format!("`{REPORT}` is no such {what}"), error))?;
    if draw(&document) != Some(files::read_text(&folder.join(PAGE))?) {
        return Err(CliError::Found(format!(
            "REFUSED: the page does not say what `{REPORT}` says, or another version made it; ask for the {what} again"
        )));
    }
    Ok(verified)
}

/// Checks the files of a folder against its signature, and that against the key that is expected.
pub(super) fn verify(kind: &Kind, folder: &Path, signer: &Path) -> Result<Verified, CliError> {
    let expected = PublicKey::from_pem(&files::read_text(signer)?)
        .map_err(|error| CliError::because(format!("`{}` names no key", signer.display()), error))?;
    let path = folder.join(SIGNATURE);
    let seal = files::read_text(&path)?;
    let malformed = || {
        CliError::Found(format!("`{}` is not a report's signature; ask for the report again", path.display()))
    };
    let (signed, rest) = seal.split_once(KEY_LINE).ok_or_else(malformed)?;
    let (key, signature) = rest.split_once(SIGNATURE_LINE).ok_or_else(malformed)?;
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| malformed());
    let (key, signature) = (decoded(key)?, decoded(signature.trim_end_matches('\n'))?);
    let key = PublicKey::from_spki_der(&key).map_err(|_| malformed())?;
    if key != expected {
        return Err(CliError::Found(format!(
            "the report is signed by the key {}, and `{}` names the key {}; ask who made it",
            key.fingerprint(),
            signer.display(),
            expected.fingerprint()
        )));
    }
    expected.verify(kind.domain, &Digest::sha256(signed.as_bytes()), &signature).map_err(|_| {
        CliError::Found(
            "the signature of the report does not hold; it was changed or forged, so don't use it".to_owned(),
        )
    })?;
    let digests: Vec<(String, Digest)> = kind
        .files
        .iter()
        .map(|name| {
            files::read(&folder.join(name)).map(|content| ((*name).to_owned(), Digest::sha256(&content)))
        })
        .collect::<Result<_, _>>()?;
    if statement(kind, &digests) != signed {
        let changed = digests.iter().find(|(name, digest)| !signed.contains(&line(name, digest)));
        let name = changed.map_or(SIGNATURE, |(name, _)| name.as_str());
        return Err(CliError::Found(format!(
            "`{}` is not as it was signed; ask for the report again",
            folder.join(name).display()
        )));
    }
    // One report has one signature file, so that nothing can be added to it unseen.
    if sealed(signed, &key, &signature) != seal {
        return Err(malformed());
    }
    Ok(Verified { files: digests, signer: expected.fingerprint() })
}

/// What is signed: the kind of report and the digests of its files.
fn statement(kind: &Kind, files: &[(String, Digest)]) -> String {
    let lines = files.iter().map(|(name, digest)| line(name, digest));
    format!("{}\n{}", kind.domain.as_str(), lines.collect::<String>())
}

fn line(name: &str, digest: &Digest) -> String {
    format!("{name} sha256 {digest}\n")
}

fn sealed(signed: &str, key: &PublicKey, signature: &[u8]) -> String {
    let (key, signature) = (BASE64.encode(key.spki_der()), BASE64.encode(signature));
    format!("{signed}{KEY_LINE}{key}{SIGNATURE_LINE}{signature}\n")
}

/// The page.
pub(super) const PAGE: &str = "report.html";
/// The figures.
pub(super) const REPORT: &str = "report.json";
const SIGNATURE: &str = "report.sig";
const KEY_LINE: &str = "key ";
const SIGNATURE_LINE: &str = "\nsignature ";
