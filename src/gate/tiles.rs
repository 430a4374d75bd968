//! The log as files over HTTPS: signed heads, hashes and blind entries, for whoever checks a journal from outside.
//!
//! Nothing here opens an entry, so showing it is no entry of the log; a refusal is one, as everywhere.

use crate::audit::tiles::{BundleId, TileId};
use crate::authz::{About, Action};
use crate::store::Journal;

use super::{Caller, Gate, GateError};

impl Gate {
    /// The newest checkpoint of a journal, a signed note.
    ///
    /// # Errors
    /// [`GateError::NotFound`] for an unknown journal and before its first entry, and the others.
    pub async fn journal_checkpoint(&self, caller: &Caller, journal: Journal) -> Result<String, GateError> {
        self.journal_permit(caller, Action::ReadCheckpoint, &journal).await?;
        let found = self.parts.store.checkpoint_get(journal).await?;
        found.map(|bundled| bundled.checkpoint).ok_or(NO_FILE)
    }

    /// A tile of a journal, as far as its newest checkpoint covers it.
    ///
    /// # Errors
    /// [`GateError::NotFound`] for an unknown journal and a tile that is not covered, and the others.
    pub async fn journal_tile(
        &self,
        caller: &Caller,
        journal: Journal,
        tile: TileId,
    ) -> Result<Vec<u8>, GateError> {
        self.journal_permit(caller, Action::ReadTile, &journal).await?;
        self.parts.store.tile_get(journal, tile).await?.ok_or(NO_FILE)
    }

    /// An entry bundle of a journal, as far as its newest checkpoint covers it.
    ///
    /// # Errors
    /// As [`Gate::journal_tile`].
    pub async fn journal_bundle(
        &self,
        caller: &Caller,
        journal: Journal,
        bundle: BundleId,
    ) -> Result<Vec<u8>, GateError> {
        self.journal_permit(caller, Action::ReadBundle, &journal).await?;
        self.parts.store.bundle_get(journal, bundle).await?.ok_or(NO_FILE)
    }

    /// Asks the rules before anything is looked for, so that a journal that is not the caller's and one that does
    /// not exist are refused alike (promise 4).
    async fn journal_permit(
        &self,
        caller: &Caller,
        action: Action,
        journal: &Journal,
    ) -> Result<(), GateError> {
        let partner = match journal {
            Journal::Holder => None,
            Journal::Partner(partner) => Some(partner),
        };
        let content = self.content(journal.name().as_bytes());
        let _permit = self.permit(&caller.actor, action, About::Journal { partner }, content).await?;
        Ok(())
    }
}

const NO_FILE: GateError = GateError::NotFound("file");
