//! The log, for those who watch over it. Every read is an entry before it is answered (promise 13).

use crate::authz::{About, Action};
use crate::store::log::{Consistency, ExportFile, ExportPlan, Proofs, Read};
use crate::store::{Bundled, Journal, JournalHead, ProvenEntry};

use super::{Caller, Gate, GateError, text};

/// A read of the log as it arrived, in its form.
pub struct ReadAsk {
    /// The journal.
    pub journal: Journal,
    /// The first index.
    pub from: u64,
    /// How many entries at most.
    pub limit: u32,
    /// Why.
    pub why: String,
}

/// A page of the log.
pub struct LogPage {
    /// The entries.
    pub entries: Vec<ProvenEntry>,
}

impl Gate {
    /// The journals with their sizes.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn journal_list(&self, caller: &Caller, why: String) -> Result<Vec<JournalHead>, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::ListJournals, About::Service, content).await?;
        let read = Read { journal: Journal::Holder, from: 0, limit: 0, proofs: Proofs::Without, why };
        let (_entries, _receipt) = self.parts.store.log_read(permit, read).await?.open()?;
        Ok(self.parts.store.journal_list().await?)
    }

    /// The newest checkpoint of a journal. It is signed to be shown to anyone, so showing it is no entry.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn checkpoint_get(&self, caller: &Caller, journal: Journal) -> Result<Bundled, GateError> {
        let content = self.content(journal.name().as_bytes());
        let _permit = self.permit(&caller.actor, Action::GetCheckpoint, About::Service, content).await?;
        self.parts.store.checkpoint_get(journal).await?.ok_or(GateError::NotFound("journal"))
    }

    /// A page of entries, opened on the holder's side.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn entry_list(&self, caller: &Caller, ask: ReadAsk) -> Result<LogPage, GateError> {
        let entries = self.log_read(caller, Action::ListEntries, ask, Proofs::Without).await?;
        Ok(LogPage { entries })
    }

    /// One entry with its proof.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn entry_get(&self, caller: &Caller, ask: ReadAsk) -> Result<ProvenEntry, GateError> {
        let ask = ReadAsk { limit: 1, ..ask };
        let from = ask.from;
        let entries = self.log_read(caller, Action::GetEntry, ask, Proofs::Each).await?;
        entries.into_iter().find(|entry| entry.index == from).ok_or(GateError::NotFound("entry"))
    }

    async fn log_read(
        &self,
        caller: &Caller,
        action: Action,
        ask: ReadAsk,
        proofs: Proofs,
    ) -> Result<Vec<ProvenEntry>, GateError> {
        let why = text("reason", ask.why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, action, About::Service, content).await?;
        let read = Read { journal: ask.journal, from: ask.from, limit: ask.limit, proofs, why };
        let (entries, _receipt) = self.parts.store.log_read(permit, read).await?.open()?;
        Ok(entries)
    }

    /// The proof that a journal only grew from one size to another.
    ///
    /// # Errors
    /// [`GateError::NotFound`] for a journal or sizes that are not there.
    pub async fn consistency_proof(
        &self,
        caller: &Caller,
        journal: Journal,
        from: u64,
        to: Option<u64>,
    ) -> Result<Consistency, GateError> {
        let content = self.content(journal.name().as_bytes());
        let _permit =
            self.permit(&caller.actor, Action::GetConsistencyProof, About::Service, content).await?;
        let proof = self.parts.store.consistency_proof(journal, from, to).await?;
        proof.ok_or(GateError::NotFound("pair of sizes"))
    }

    /// Notes an export and says which files it has.
    ///
    /// # Errors
    /// [`GateError::NotFound`] for an empty or unknown journal.
    pub async fn export_plan(
        &self,
        caller: &Caller,
        journal: Journal,
        why: String,
    ) -> Result<ExportPlan, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::ExportJournal, About::Service, content).await?;
        let (plan, _receipt) = self.parts.store.log_export(permit, journal, why).await?.open()?;
        if plan.size == 0 { Err(GateError::NotFound("journal")) } else { Ok(plan) }
    }

    /// One file of an export that was planned, and so logged, before.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn export_file(&self, plan: &ExportPlan, file: &ExportFile) -> Result<Vec<u8>, GateError> {
        Ok(self.parts.store.export_file(plan.clone(), file.clone()).await?)
    }
}

pub(super) const REASON_MAX_CHARS: usize = 512;
