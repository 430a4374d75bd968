//! Backups: asked for by an administrator, or by the clock.

use std::sync::Arc;
use std::time::Duration;

use crate::authz::{About, Action};
use crate::store::{BackupBegun, BackupMade};

use super::{Caller, Gate, GateError, text};

impl Gate {
    /// Enters that a backup is made. Make it with [`Gate::backup_make`].
    ///
    /// # Errors
    /// [`GateError::NotNow`] where no place for backups is configured.
    pub async fn backup_begin(&self, caller: &Caller, why: String) -> Result<BackupBegun, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::MakeBackup, About::Service, content).await?;
        let begun = self.parts.store.backup_begin(Some(permit), why).await?;
        begun.ok_or_else(|| GateError::NotNow(NO_PLACE.to_owned()))
    }

    /// Makes a backup that was begun, to its end, also when whoever asked for it goes away.
    ///
    /// # Errors
    /// [`GateError::Store`]; then there is none, and the log says that there was to be one.
    pub async fn backup_make(self: &Arc<Self>, begun: BackupBegun) -> Result<BackupMade, GateError> {
        let gate = Arc::clone(self);
        let made = tokio::spawn(async move { gate.parts.store.backup_make(begun).await });
        let made = made.await.map_err(|_| GateError::Internal { doing: "making a backup" })??;
        tracing::info!(backup = made.name, bytes = made.note.bytes, "a backup was made");
        for name in &made.destroyed {
            tracing::info!(backup = name, "a backup was destroyed: there are newer ones");
        }
        Ok(made)
    }

    /// Makes a backup when the newest is older than this, or there is none; otherwise brings the copy of the key store
    /// up to date. Gives the number of backups that were made.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn backups_tend(self: &Arc<Self>, every: Option<Duration>) -> Result<u32, GateError> {
        let newest = self.parts.store.backup_newest().await?;
        let is_due = every.is_some_and(|every| newest.is_none_or(|newest| newest.after(every) <= self.now()));
        if is_due && let Some(begun) = self.parts.store.backup_begin(None, BY_THE_CLOCK.to_owned()).await? {
            self.backup_make(begun).await?;
            return Ok(1);
        }
        self.parts.store.backup_keys_copy().await?;
        Ok(0)
    }
}

const NO_PLACE: &str = "no place for backups is configured; ask an operator to set `backup.folder`";
const BY_THE_CLOCK: &str = "by the clock";
const REASON_MAX_CHARS: usize = 512;
