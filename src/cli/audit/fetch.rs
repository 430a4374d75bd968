//! Fetching a journal into a folder: only what is new, verified as a whole before the folder says that it is there.
//!
//! What comes is kept beside the folder (`DIR.fetching`) until all of it is verified; then it moves in, the
//! checkpoint last, and what the larger journal no longer has is taken away. So the folder always holds a journal
//! that was verified, and whatever ends a fetch half-way, the next one goes on from there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::task::JoinSet;

use super::FetchArgs;
use super::offline::Folder;
use super::site::Site;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::journal::{
    CHECKPOINT_PATH, ExportFiles, Fault, KEY_PATH, Report, verify_export, verify_growth,
};
use crate::audit::note::VerifierKey;
use crate::audit::tiles::{Resource, bundles_of, tiles_of};
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::cli::receipt::parse_key;

/// Fetches a journal.
pub(super) async fn fetch(args: &FetchArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let since = args.since.as_deref().map(|path| checkpoint_in(path, &key)).transpose()?;
    let place = Place::open(&args.folder)?;
    let older = place.checkpoint(&key)?;
    let site = Site::open(&args.url, &args.credential).await?;
    let note = site.get(CHECKPOINT_PATH).await?;
    let note = String::from_utf8(note)
        .map_err(|error| CliError::because("REFUSED: the checkpoint is not text", error))?;
    let newest = Checkpoint::open(&note, &key)
        .map_err(|error| CliError::because("REFUSED: the checkpoint does not hold", error))?;
    place.make()?;
    for kept in older.iter().chain(&since) {
        check_newer(kept, &newest).map_err(|error| place.refuse(&note, error))?;
    }
    let fetched = place.collect(&site, newest.size).await?;
    let (staged, folder) = (Folder::open(&place.staged)?, Folder::open(&place.folder)?);
    let verified = Fetched { note: &note, staged, folder }.verify(&key, older.iter().chain(&since));
    let report = verified.map_err(|fault| match fault {
        // The disk's fault, so that nothing is said about the journal.
        Fault::Unreadable { .. } => CliError::because("what was fetched can't be read again", fault),
        fault => place.refuse(&note, CliError::because("REFUSED: the journal does not hold", fault)),
    })?;
    place.take_over(&note, &key, report.size)?;
    let older = older.map(|older| older.size);
    args.output.show(
        || {
            let grown = older.map_or_else(String::new, |size| {
                format!("\nits first {size} entries are those that the folder held before")
            });
            format!(
                "{fetched} files were fetched into {}\nthe journal is whole: {} entries, root {}{grown}",
                args.folder.display(),
                report.size,
                report.root
            )
        },
        &json!({
            "folder": args.folder, "origin": report.origin, "size": report.size,
            "root": report.root.to_string(), "fetched": fetched, "held": older,
            "since": since.map(|since| since.size),
        }),
    )
}

/// Compares what can be compared before anything is fetched.
fn check_newer(kept: &Checkpoint, newest: &Checkpoint) -> Result<(), CliError> {
    if kept.size > newest.size {
        return Err(CliError::Found(format!(
            "REFUSED: the journal had {} entries when the checkpoint that you keep was signed, and has {} now",
            kept.size, newest.size
        )));
    }
    if kept.size == newest.size && kept.root != newest.root {
        return Err(CliError::Found(format!(
            "REFUSED: two checkpoints over {} entries were signed, and they contradict each other",
            kept.size
        )));
    }
    Ok(())
}

/// Where a journal is fetched to.
struct Place {
    folder: PathBuf,
    /// What came and is not verified yet.
    staged: PathBuf,
    /// A checkpoint that was refused: it is signed, and so it is evidence.
    refused: PathBuf,
}

impl Place {
    fn open(folder: &Path) -> Result<Self, CliError> {
        let unfit = |what: &str| CliError::Usage(format!("`{}` {what}", folder.display()));
        let name = folder.file_name().ok_or_else(|| unfit("is not the name of a folder; give one"))?;
        let beside = |ending: &str| {
            let mut name = name.to_owned();
            name.push(ending);
            folder.with_file_name(name)
        };
        let (staged, refused) = (beside(".fetching"), beside(".refused-checkpoint"));
        if folder.join(OPENINGS).exists() {
            return Err(unfit(
                "is an export with openings, which are not fetched; fetch into another folder",
            ));
        }
        let is_empty = fs::read_dir(folder).map_or(true, |mut inside| inside.next().is_none());
        if !is_empty && !folder.join(CHECKPOINT_PATH).exists() && !staged.exists() {
            return Err(unfit("holds something else than a journal; give a new folder"));
        }
        Ok(Self { folder: folder.to_owned(), staged, refused })
    }

    /// Makes the folders, once there is something to put into them.
    fn make(&self) -> Result<(), CliError> {
        files::folder(&self.folder)?;
        files::folder(&self.staged)
    }

    /// The checkpoint of what the folder holds, if it holds a journal.
    fn checkpoint(&self, key: &VerifierKey) -> Result<Option<Checkpoint>, CliError> {
        let path = self.folder.join(CHECKPOINT_PATH);
        if path.exists() { checkpoint_in(&path, key).map(Some) } else { Ok(None) }
    }

    /// Fetches every file that a journal of `size` entries has and that is not there yet; gives their number.
    async fn collect(&self, site: &Site, size: u64) -> Result<u64, CliError> {
        let tiles = tiles_of(size).map(|tile| tile.path());
        let mut due = tiles
            .chain(bundles_of(size).map(|bundle| bundle.path()))
            .filter(|path| !self.folder.join(path).exists() && !self.staged.join(path).exists());
        let (mut under_way, mut fetched) = (JoinSet::new(), 0_u64);
        loop {
            while under_way.len() < AT_A_TIME
                && let Some(path) = due.next()
            {
                let site = site.clone();
                under_way.spawn(async move { site.get(&path).await.map(|content| (path, content)) });
            }
            let Some(got) = under_way.join_next().await else { return Ok(fetched) };
            let (path, content) =
                got.map_err(|error| CliError::because("a file could not be fetched", error))??;
            let path = self.staged.join(path);
            files::folder(path.parent().unwrap_or(&self.staged))?;
            files::replace_private(&path, &content)?;
            fetched = fetched.saturating_add(1);
        }
    }

    /// Moves what was verified into the folder, the checkpoint last, and takes away what the journal no longer has.
    fn take_over(&self, note: &str, key: &VerifierKey, size: u64) -> Result<(), CliError> {
        for path in paths_in(&self.staged)? {
            let (from, to) = (self.staged.join(&path), self.folder.join(&path));
            if belongs(&path, size) {
                files::folder(to.parent().unwrap_or(&self.folder))?;
                fs::rename(&from, &to).map_err(|source| CliError::write(&to, source))?;
            }
        }
        files::replace_private(&self.folder.join(CHECKPOINT_PATH), note.as_bytes())?;
        files::replace_private(&self.folder.join(KEY_PATH), format!("{key}\n").as_bytes())?;
        for path in paths_in(&self.folder)? {
            if Resource::parse(&path).is_ok() && !belongs(&path, size) {
                let path = self.folder.join(path);
                fs::remove_file(&path).map_err(|source| CliError::write(&path, source))?;
                // Only a folder of partial files that is empty now.
                let _not_empty = path.parent().map(fs::remove_dir);
            }
        }
        fs::remove_dir_all(&self.staged).map_err(|source| CliError::write(&self.staged, source))
    }

    /// Refuses what came: the folder stays as it is, and the signed checkpoint is kept as evidence.
    fn refuse(&self, note: &str, error: CliError) -> CliError {
        let kept = files::replace_private(&self.refused, note.as_bytes()).and_then(|()| {
            fs::remove_dir_all(&self.staged).map_err(|source| CliError::write(&self.staged, source))
        });
        match kept {
            Ok(()) => {
                let (folder, refused) = (self.folder.display(), self.refused.display());
                CliError::because(
                    format!(
                        "`{folder}` stays as it was; the checkpoint that came is kept in `{refused}`, report it"
                    ),
                    error,
                )
            }
            Err(unkept) => unkept,
        }
    }
}

/// The journal as it would be in the folder: what came, and what was there.
struct Fetched<'a> {
    note: &'a str,
    staged: Folder,
    folder: Folder,
}

impl Fetched<'_> {
    fn verify<'k>(
        &self,
        key: &VerifierKey,
        kept: impl Iterator<Item = &'k Checkpoint>,
    ) -> Result<Report, Fault<io::Error>> {
        let report = verify_export(self, key, &mut |_, _| {}, &mut |_, _, _| {})?;
        for older in kept {
            verify_growth(self, &report, older)?;
        }
        Ok(report)
    }
}

impl ExportFiles for Fetched<'_> {
    type Error = io::Error;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, io::Error> {
        match path {
            CHECKPOINT_PATH => return Ok(Some(self.note.as_bytes().to_vec())),
            // Written anew: it is the one that was given.
            KEY_PATH => return Ok(None),
            _ => {}
        }
        match self.staged.read(path)? {
            Some(content) => Ok(Some(content)),
            None => self.folder.read(path),
        }
    }

    /// None: what does not belong is taken away afterwards.
    fn paths(&self, _visit: &mut dyn FnMut(&str)) -> Result<(), io::Error> {
        Ok(())
    }
}

fn checkpoint_in(path: &Path, key: &VerifierKey) -> Result<Checkpoint, CliError> {
    Checkpoint::open(&files::read_text(path)?, key)
        .map_err(|error| CliError::because(format!("`{}` does not hold", path.display()), error))
}

fn belongs(path: &str, size: u64) -> bool {
    Resource::parse(path).is_ok_and(|resource| resource.belongs_to(size))
}

fn paths_in(folder: &Path) -> Result<Vec<String>, CliError> {
    let mut paths = Vec::new();
    let listed = Folder::open(folder)?.paths(&mut |path| paths.push(path.to_owned()));
    listed.map_err(|source| CliError::read(folder, source))?;
    Ok(paths)
}

/// Requests under way: as many as the server takes on one connection.
const AT_A_TIME: usize = 8;
const OPENINGS: &str = "openings";
