//! Backups: one sealed file each, and a note about it that the log's key signed.

use std::path::PathBuf;

use crate::audit::backup::{BackupNote, BackupNoteError};
use crate::ids::CollectionName;

use super::{AuditReceipt, StoreError};

/// A backup that lies in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupMade {
    /// The name of its folder.
    pub name: String,
    /// What it says of itself.
    pub note: BackupNote,
    /// Older ones that were destroyed for it.
    pub destroyed: Vec<String>,
}

/// A backup was begun: its entry is durable.
pub struct BackupBegun {
    pub(super) name: String,
    pub(super) id: crate::audit::backup::BackupId,
    pub(super) receipt: AuditReceipt,
}

impl BackupBegun {
    /// The name that its folder will have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The receipt of its entry.
    pub const fn receipt(&self) -> &AuditReceipt {
        &self.receipt
    }
}

/// Where backups go, and how many stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlace {
    /// The folder of all backups and of the copy of the key store.
    pub folder: PathBuf,
    /// The newest so many stay.
    pub keep: usize,
}

/// A backup that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file of it can't be read.
    #[error("cannot read `{path}`; check that this is the folder of a backup")]
    Read {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The note about it.
    #[error("the note beside the backup can't be trusted")]
    Note(#[from] BackupNoteError),
    /// Other bytes than the note is about.
    #[error("the backup is damaged: it is not what its note says; use another one")]
    Damaged,
    /// Its key is nowhere.
    #[error(
        "the key of this backup is not in the copy of the key store; use the newest copy of `keys.sqlite`, and a \
         backup that was not destroyed"
    )]
    NoKey,
    /// The keys that its templates lie under were destroyed.
    #[error(
        "the backup was made before the collection `{0}` was renewed, and the keys of its templates are destroyed; use \
         a later backup"
    )]
    Renewed(CollectionName),
    /// No copy of the key store.
    #[error("there is no copy of the key store at `{0}`; name the newest one with `--keys`")]
    NoKeyStore(String),
    /// Something lies where it would go.
    #[error("`{0}` holds a store; move it away first, nothing is overwritten")]
    Occupied(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
