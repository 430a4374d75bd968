//! `onebit keys rotate` and `onebit keys retire`.

use std::fs::File;
use std::path::Path;

use super::{Named, Stopped};
use crate::cli::fault::CliError;
use crate::cli::init::unusable;
use crate::cli::{files, print, wire};
use crate::config::Config;
use crate::config::material::process_environment;
use crate::keys::{Purpose, RootKey};
use crate::secret::SystemEntropy;
use crate::store::sqlite::{self, GenerationMade};

/// Rotates the root or a class.
pub(super) fn run(key: &str, config: &Path, to: Option<&Path>, because: &str) -> Result<(), CliError> {
    match (Named::parse(key)?, to) {
        (Named::Root(None), Some(to)) => root(config, to, because),
        (Named::Root(None), None) => Err(CliError::Usage(
            "say where the other root key is to lie: `--to FILE`, a copy of the configuration with another `[root_key]`"
                .to_owned(),
        )),
        (Named::Class(purpose, None), None) => class(purpose, config, because),
        (Named::Class(..), Some(_)) => {
            Err(CliError::Usage("`--to` is for `root`; a class stays where it is".to_owned()))
        }
        (Named::Root(Some(_)) | Named::Class(_, Some(_)), _) => {
            Err(CliError::Usage("name the class alone; the newest key of it is the one that is rotated".to_owned()))
        }
    }
}

fn root(config: &Path, to: &Path, because: &str) -> Result<(), CliError> {
    let next = Config::read(to).map_err(unusable)?;
    let stopped = Stopped::open(config)?;
    let now = &stopped.config;
    if next.store_folder != now.store_folder || next.heads_folder != now.heads_folder {
        return Err(CliError::Usage(format!(
            "`{}` is of another store; copy `{}` and change `[root_key]` alone",
            to.display(),
            config.display()
        )));
    }
    if next.root_key.file == now.root_key.file {
        return Err(CliError::Usage(format!(
            "both configurations name `{}`; the other root key gets a file of its own, so that one of them opens the store at every moment",
            now.root_key.file.display()
        )));
    }
    let new = new_root(&next)?;
    let operation = stopped.operation(because)?;
    let rotated = wire::calling(async {
        let done = sqlite::root_rotate(&operation, &stopped.root, &new).await;
        done.map_err(|error| CliError::because("the root was not rotated", error))
    });
    rotated?;
    print::line(&format!(
        "Root {new} opens the store, and so does {old} until it is retired.\n\
         1. Put `{to}` in place of `{config}`, and start the server with it.\n\
         2. Copy the new root file, or the token's key, as you did the old one; replace the backup of keys.sqlite.\n\
         3. Stop the server, and take from the old root what it opens:\n   \
            onebit keys retire root:{old} --config FILE --because \"…\"\n\
         4. Destroy {file} and what opened it, with every copy.",
        new = new.id(),
        old = stopped.root.id(),
        to = to.display(),
        config = config.display(),
        file = now.root_key.file.display(),
    ))
}

/// The root key of the other configuration: what an earlier try has written, or a new one. It is read back from the
/// disk before anything relies on it.
fn new_root(next: &Config) -> Result<RootKey, CliError> {
    let refused = |error| CliError::because("the other root key can't be made", error);
    let file = &next.root_key.file;
    if !file.exists() {
        let (_, text) =
            next.root_key.create(None, &process_environment, &SystemEntropy::new()).map_err(refused)?;
        // Whole or not at all: what a crash left half would keep the same command from going on.
        files::replace_private(file, text.as_bytes())?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let durable = File::open(folder).and_then(|folder| folder.sync_all());
        durable.map_err(|error| CliError::write(file, error))?;
    }
    next.root_key.open(&process_environment).map_err(refused)
}

fn class(purpose: Purpose, config: &Path, because: &str) -> Result<(), CliError> {
    let stopped = Stopped::open(config)?;
    let operation = stopped.operation(because)?;
    let mut told = 0;
    let mut progress = |done: u64| {
        if done >= told + TELL_EVERY {
            told = done;
            print::note(&format!("{done} sealed anew"));
        }
    };
    let rotated = wire::calling(async {
        let done = sqlite::class_rotate(&operation, &stopped.root, purpose, &mut progress).await;
        done.map_err(|error| {
            CliError::because(format!("`{}` was not rotated to its end", purpose.name()), error)
        })
    })?;
    let name = purpose.name();
    let begin = match rotated.generation {
        GenerationMade::Now => format!("`{name}:{}` seals from here on", rotated.newest),
        GenerationMade::Before => {
            format!("An earlier rotation was finished, and `{name}:{}` seals as it did", rotated.newest)
        }
    };
    print::line(&format!(
        "{begin}; {} were sealed anew under it, and nothing lies under older ones.\n\
         Replace the backup of keys.sqlite, then destroy the older ones: onebit keys status, onebit keys retire {name}:…",
        values(rotated.resealed)
    ))
}

/// Retires a root or a generation.
pub(super) fn retire(key: &str, config: &Path, because: &str) -> Result<(), CliError> {
    let named = Named::parse(key)?;
    let whole = || CliError::Usage(format!("say which: `{key}:…`, as `onebit keys status` names it"));
    let stopped = Stopped::open(config)?;
    let operation = stopped.operation(because)?;
    let kept = |error| CliError::because(format!("`{key}` was not retired"), error);
    wire::calling(async {
        match named {
            Named::Root(id) => {
                let id = id.ok_or_else(whole)?;
                sqlite::root_retire(&operation, &stopped.root, id).await.map_err(kept)
            }
            Named::Class(purpose, generation) => {
                let generation = generation.ok_or_else(whole)?;
                sqlite::class_retire(&operation, &stopped.root, purpose, generation).await.map_err(kept)
            }
        }
    })?;
    print::line(&format!(
        "`{key}` is gone from keys.sqlite. Whoever keeps an older copy of that file still has it: replace the backup."
    ))
}

fn values(count: u64) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}

/// A line every few seconds.
const TELL_EVERY: u64 = 100_000;
