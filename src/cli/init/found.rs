//! Founding on the disk: root key, store, log keys, all of them or none.
//!
//! The store is founded in a folder beside its place and moved there last of all, in one step. Whatever fails
//! before takes everything away again that was written.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::audit::note::VerifierKey;
use crate::cli::fault::CliError;
use crate::cli::{files, wire};
use crate::clock::SystemClock;
use crate::config::material::{PASSPHRASE, process_environment};
use crate::config::{Config, RootGuard, SecretSource};
use crate::keys::{KeyId, RootKey};
use crate::secret::{Entropy, Secret, SecretBytes, SystemEntropy};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{Founding, Journal, Store, StoreError};

/// What to do when the passphrase is not where the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passphrase {
    /// Refuse.
    MustBeThere,
    /// Make one.
    Generate,
}

/// Where the verifier keys of the journals go besides the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogKeys {
    /// Nowhere.
    Shown,
    /// The holder's into this file, each partner's into one beside it.
    File(PathBuf),
}

/// A holder that was founded.
pub(super) struct Founded {
    /// The name of the root key.
    pub(super) root_key: KeyId,
    /// The verifier key of each journal.
    pub(super) log_keys: Vec<(Journal, VerifierKey)>,
    /// Whether the passphrase was made here.
    pub(super) passphrase: PassphraseMade,
}

/// Whether a passphrase was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassphraseMade {
    /// It was, into the file that the configuration names.
    Here,
    /// It was there before.
    Before,
    /// There is none: a token wraps the root key.
    Token,
}

/// Refuses where something was founded already.
pub(super) fn check_new(config: &Config) -> Result<(), CliError> {
    let folder = &config.store_folder;
    if sqlite::files(folder).iter().any(|file| file.exists()) {
        return Err(CliError::because(
            format!("`{}` holds a store", folder.display()),
            StoreError::AlreadyFounded,
        ));
    }
    if fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_some()) {
        return Err(CliError::Found(format!(
            "`{}` is not empty; the store gets a folder to itself, so name another in `store.folder`",
            folder.display()
        )));
    }
    let heads = sqlite::heads_file(&config.heads_folder);
    if heads.exists() {
        return Err(CliError::Found(format!(
            "`{}` is there already and may be what another store signed last; nothing overwrites it, so name another folder in `store.heads_folder`",
            heads.display()
        )));
    }
    if config.root_key.file.exists() {
        return Err(CliError::Found(format!(
            "`{}` is there already and may be another store's root key; nothing overwrites it, so name another file in `root_key.file`",
            config.root_key.file.display()
        )));
    }
    Ok(())
}

/// Founds a holder.
pub(super) fn found(
    config: &Config,
    founding: Founding,
    passphrase: Passphrase,
    log_keys: &LogKeys,
) -> Result<Founded, CliError> {
    check_new(config)?;
    let entropy = SystemEntropy::new();
    let mut written = Written::default();
    let (secret, made) = take_passphrase(config, passphrase, &entropy, &mut written)?;
    let refused = |error| CliError::because("the root key can't be made", error);
    let (root, text) =
        config.root_key.create(secret.as_ref(), &process_environment, &entropy).map_err(refused)?;
    let root_key = root.id();
    private_folder_of(&config.root_key.file, &mut written)?;
    files::write_private(&config.root_key.file, text.as_bytes())?;
    written.file(&config.root_key.file);

    let staging = staging(&config.store_folder)?;
    written.folder(&staging);
    let heads = sqlite::heads_file(&config.heads_folder);
    private_folder_of(&heads, &mut written)?;
    written.file(&heads);
    let keys = wire::calling(found_store(&staging, &config.heads_folder, root, founding))?;
    if let LogKeys::File(path) = log_keys {
        for (journal, key) in &keys {
            let path = log_key_file(path, journal);
            files::write_new(&path, format!("{key}\n").as_bytes())?;
            written.file(&path);
        }
    }
    moved(&staging, &config.store_folder)?;
    written.keep();
    Ok(Founded { root_key, log_keys: keys, passphrase: made })
}

/// The file of a journal's verifier key: the one that was named for the holder's, `NAME-PARTNER.txt` for others.
fn log_key_file(path: &Path, journal: &Journal) -> PathBuf {
    match journal {
        Journal::Holder => path.to_owned(),
        Journal::Partner(partner) => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let extension =
                path.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
            path.with_file_name(format!("{stem}-{partner}{extension}"))
        }
    }
}

async fn found_store(
    folder: &Path,
    heads: &Path,
    root: RootKey,
    founding: Founding,
) -> Result<Vec<(Journal, VerifierKey)>, CliError> {
    let refused = |error| CliError::because("the store can't be founded", error);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let store = SqliteStore::open(folder, heads, root, clock, entropy).map_err(refused)?;
    let _receipt = store.holder_found(founding).await.map_err(refused)?;
    let holder = store.holder_get().await.map_err(refused)?;
    let log_key = holder.ok_or(StoreError::Damaged { what: "the holder" }).map_err(refused)?.log_key;
    let journals = store.journal_list().await.map_err(refused)?;
    journals
        .into_iter()
        .map(|head| {
            let key = VerifierKey::new(&head.origin, log_key);
            let unnamed = |error| CliError::because("the log's verifier key can't be written", error);
            key.map(|key| (head.journal, key)).map_err(unnamed)
        })
        .collect()
}

/// The passphrase from where the configuration says, made there when that is allowed and it is a file.
fn take_passphrase(
    config: &Config,
    passphrase: Passphrase,
    entropy: &dyn Entropy,
    written: &mut Written,
) -> Result<(Option<SecretBytes>, PassphraseMade), CliError> {
    let RootGuard::Passphrase(source) = &config.root_key.guard else {
        return Ok((None, PassphraseMade::Token));
    };
    if let (Passphrase::Generate, SecretSource::File(path)) = (passphrase, source)
        && !path.exists()
    {
        private_folder_of(path, written)?;
        let words = new_passphrase(entropy)?;
        files::write_private(path, words.as_bytes())?;
        written.file(path);
        return Ok((Some(SecretBytes::new(words.as_bytes().to_vec())), PassphraseMade::Here));
    }
    let read = source.read_new(PASSPHRASE, &process_environment);
    let read = read.map_err(|error| {
        let hint = match source {
            SecretSource::File(_) => "; `--generate-passphrase` makes one",
            SecretSource::Variable(_) | SecretSource::Credential(_) | SecretSource::Asked => "",
        };
        CliError::because(format!("there is no passphrase for the root key{hint}"), error)
    })?;
    Ok((Some(read), PassphraseMade::Before))
}

/// 32 letters and digits that are not taken for one another, in groups of four: 160 bits.
fn new_passphrase(entropy: &dyn Entropy) -> Result<Zeroizing<String>, CliError> {
    let secret = Secret::<PASSPHRASE_BYTES>::random(entropy)?;
    let text = Zeroizing::new(BASE32_NOPAD.encode(secret.expose()).to_ascii_lowercase());
    let mut words = Zeroizing::new(String::with_capacity(text.len() * 2));
    for (place, letter) in text.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            words.push('-');
        }
        words.push(letter);
    }
    words.push('\n');
    Ok(words)
}

/// Makes an empty folder beside the store's place.
fn staging(folder: &Path) -> Result<PathBuf, CliError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let staging = folder.with_file_name(format!("{name}.founding"));
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        files::folder(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE_FOLDER).create(&staging) {
        Ok(()) => Ok(staging),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CliError::Found(format!(
            "`{}` is left from a ceremony that was interrupted; remove it and begin again",
            staging.display()
        ))),
        Err(error) => Err(CliError::write(&staging, error)),
    }
}

/// Moves the founded store to its place, durably. An empty folder may stand there.
fn moved(staging: &Path, folder: &Path) -> Result<(), CliError> {
    let synced = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let done = synced(staging).and_then(|()| fs::rename(staging, folder)).and_then(|()| synced(parent));
    done.map_err(|error| CliError::write(folder, error))
}

/// Makes the folder that a secret lies in, for the owner alone, unless it is there.
fn private_folder_of(path: &Path, written: &mut Written) -> Result<(), CliError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder);
    made.map_err(|error| CliError::write(folder, error))?;
    written.folder(folder);
    Ok(())
}

/// What was written so far; dropped before the end, it takes everything away again, the last first.
#[derive(Default)]
struct Written(Vec<Trace>);

/// A file that was written, or a folder that was made, with all that is in it.
enum Trace {
    File(PathBuf),
    Folder(PathBuf),
}

impl Written {
    fn file(&mut self, path: &Path) {
        self.0.push(Trace::File(path.to_owned()));
    }

    fn folder(&mut self, path: &Path) {
        self.0.push(Trace::Folder(path.to_owned()));
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in self.0.drain(..).rev() {
            // What can't be taken away is no store either: only the last step makes one.
            let _left = match path {
                Trace::File(path) => fs::remove_file(path),
                Trace::Folder(path) => fs::remove_dir_all(path),
            };
        }
    }
}

/// Above the 128 bits that the root key's own cipher is good for against guessing.
const PASSPHRASE_BYTES: usize = 20;
/// For its owner alone.
const PRIVATE_FOLDER: u32 = 0o700;
