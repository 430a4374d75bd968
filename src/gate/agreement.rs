//! What a partner may ask: its standing, its agreements, its schemes and its own journal.

use std::sync::Arc;

use crate::authz::{About, Action, Agreement, SchemeFile, Standing};
use crate::ids::{AgreementName, CollectionName, PartnerName};
use crate::store::{Bundled, Journal, LoggedEntry};

use super::{Caller, Gate, GateError};

/// A partner's own standing.
pub struct StandingView {
    /// The partner.
    pub partner: PartnerName,
    /// Whether it may ask.
    pub standing: Standing,
    /// What is left, by agreement.
    pub remaining: Vec<Remaining>,
    /// The confirmed release key.
    pub release_key: Option<[u8; 32]>,
}

/// What is left of an agreement's volumes.
pub struct Remaining {
    /// The agreement.
    pub agreement: AgreementName,
    /// Queries left today (UTC).
    pub today: u64,
    /// Queries left this year (UTC).
    pub this_year: u64,
}

/// An agreement as its partner sees it.
pub type AgreementView = Arc<Agreement>;

/// A scheme with the partner's collections of it.
pub struct SchemeView {
    /// The scheme.
    pub file: SchemeFile,
    /// The collections that the partner's agreements open.
    pub collections: Vec<CollectionName>,
}

impl Gate {
    /// The caller's standing and what is left of its volumes.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn standing_get(&self, caller: &Caller) -> Result<StandingView, GateError> {
        let partner = self.own(caller, Action::GetStanding).await?;
        let live = self.live.load_full();
        let known = live.registry.partner(&partner).ok_or(GateError::Unknown)?;
        let mut remaining = Vec::new();
        for agreement in live.rules.agreements_of(&partner) {
            let used =
                self.parts.store.query_usage(partner.clone(), agreement.name.clone(), self.now()).await?;
            remaining.push(Remaining {
                agreement: agreement.name.clone(),
                today: u64::from(agreement.volumes.per_day).saturating_sub(used.today),
                this_year: u64::from(agreement.volumes.per_year).saturating_sub(used.this_year),
            });
        }
        let (standing, release_key) = (known.standing, known.release_key);
        Ok(StandingView { partner, standing, remaining, release_key })
    }

    /// The caller's agreements.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn agreement_list(&self, caller: &Caller) -> Result<Vec<AgreementView>, GateError> {
        let partner = self.own(caller, Action::ListAgreements).await?;
        Ok(self.live.load().rules.agreements_of(&partner).cloned().collect())
    }

    /// The schemes of the collections that the caller's agreements open.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn scheme_list(&self, caller: &Caller) -> Result<Vec<SchemeView>, GateError> {
        let partner = self.own(caller, Action::ListSchemes).await?;
        let live = self.live.load();
        let rules = &live.rules;
        let opened: std::collections::BTreeSet<&CollectionName> =
            rules.agreements_of(&partner).flat_map(|agreement| &agreement.collections).collect();
        Ok(rules
            .schemes()
            .filter_map(|file| {
                let of_scheme = |name: &&&CollectionName| {
                    rules.collection(name).is_some_and(|collection| collection.scheme == file.scheme.name)
                };
                let collections: Vec<_> =
                    opened.iter().filter(of_scheme).map(|name| (*name).clone()).collect();
                (!collections.is_empty()).then(|| SchemeView { file: file.clone(), collections })
            })
            .collect())
    }

    /// The newest checkpoint of the caller's own journal.
    ///
    /// # Errors
    /// [`GateError::NotFound`] before its first entry, and the others.
    pub async fn own_checkpoint(&self, caller: &Caller) -> Result<Bundled, GateError> {
        let partner = self.own(caller, Action::GetOwnCheckpoint).await?;
        let checkpoint = self.parts.store.checkpoint_get(Journal::Partner(partner)).await?;
        checkpoint.ok_or(GateError::NotFound("checkpoint"))
    }

    /// Entries of the caller's own journal with what opens its side.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn own_entries(
        &self,
        caller: &Caller,
        from: u64,
        limit: u32,
    ) -> Result<Vec<LoggedEntry>, GateError> {
        let partner = self.own(caller, Action::ListOwnEntries).await?;
        Ok(self.parts.store.journal_read(partner, from, limit).await?)
    }

    pub(super) async fn own(&self, caller: &Caller, action: Action) -> Result<PartnerName, GateError> {
        let partner = self.partner_of(caller, action).await?;
        let about = About::Partner { partner: &partner };
        let _permit = self.permit(&caller.actor, action, about, self.content(b"")).await?;
        Ok(partner)
    }
}
