//! The sections `[store]` and `[backup]`: where the database, its heads and its backups lie, apart from each other.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::{Range, number};
use crate::store::BackupPlace;

/// Where backups go and when they are made.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// Their place.
    pub place: BackupPlace,
    /// A backup is made when the newest is older; only when somebody asks for one without.
    pub every: Option<Duration>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct StoreKeys {
    folder: Option<Spanned<PathBuf>>,
    heads_folder: Option<Spanned<PathBuf>>,
}

pub(super) fn store(document: &mut Document<'_>, folder: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let (place, keys): (Place, StoreKeys) = document.section("store");
    let store = document.required(&place, "folder", keys.folder).map(|path| folder.join(path.get_ref()));
    let heads = document.required(&place, "heads_folder", keys.heads_folder).and_then(|heads| {
        let path = folder.join(heads.get_ref());
        let is_beside = store.as_deref().is_some_and(|store| lies_in(&path, store) || lies_in(store, &path));
        if is_beside {
            let message =
                "the heads lie with the database, and would be rolled back with it; name a folder apart";
            return document.fault(&place, "heads_folder", &heads, message);
        }
        Some(path)
    });
    (store, heads)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct BackupKeys {
    folder: Option<Spanned<PathBuf>>,
    keep: Option<Spanned<u64>>,
    every_hours: Option<Spanned<u64>>,
}

pub(super) fn backup(
    document: &mut Document<'_>,
    folder: &Path,
    store: Option<&Path>,
    heads: Option<&Path>,
) -> Option<Option<BackupConfig>> {
    let (place, keys): (Place, BackupKeys) = document.section("backup");
    let Some(path) = keys.folder else {
        return match keys.keep.or(keys.every_hours) {
            None => Some(None),
            Some(_) => document.fault_of(&place, "no folder for backups is named; add `folder`"),
        };
    };
    let backups = folder.join(path.get_ref());
    let apart = [store, heads].into_iter().flatten();
    for other in apart {
        if lies_in(&backups, other) || lies_in(other, &backups) {
            let message = "backups lie with the store or with the heads, and would be lost with them; name a folder apart";
            return document.fault(&place, "folder", &path, message);
        }
    }
    let range = Range { key: "keep", least: 1, most: BACKUPS_MAX, default: BACKUPS_KEPT };
    let keep = number(document, &place, keys.keep.as_ref(), &range)?;
    let range = Range { key: "every_hours", least: 1, most: BACKUP_EVERY_MAX_H, default: 0 };
    let every = number(document, &place, keys.every_hours.as_ref(), &range)?;
    let every = (every > 0).then(|| Duration::from_secs(every.saturating_mul(3_600)));
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    Some(Some(BackupConfig { place: BackupPlace { folder: backups, keep }, every }))
}

/// Whether a path lies in a folder, links followed as far as they exist.
pub(super) fn lies_in(path: &Path, folder: &Path) -> bool {
    resolved(path).starts_with(resolved(folder))
}

fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut real = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            real.pop();
            continue;
        }
        real.push(part);
        // A link's own `..` leads from where the link points to, so each part is followed before the next.
        if let Ok(followed) = real.canonicalize() {
            real = followed;
        }
    }
    real
}

/// A week of days.
const BACKUPS_KEPT: u64 = 7;
/// Keys of so many lie in the key store; more belong into an archive.
const BACKUPS_MAX: u64 = 10_000;
/// A month.
const BACKUP_EVERY_MAX_H: u64 = 31 * 24;
