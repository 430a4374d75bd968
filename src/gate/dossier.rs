//! A case with what stands around it, for the page that shows one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authz::Agreement;
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, PurposeName};

use super::case::CaseDetail;
use super::{Caller, Gate, GateError};

/// A case with the agreement that it is under.
pub struct Dossier {
    /// The case.
    pub detail: CaseDetail,
    /// The partner's title; its name where the registry has none.
    pub partner_title: String,
    /// The agreement, as long as it is among the active rules.
    pub agreement: Option<Arc<Agreement>>,
}

impl Gate {
    /// One case with what stands around it.
    ///
    /// # Errors
    /// Those of [`Gate::case_get`].
    pub async fn case_dossier(&self, caller: &Caller, id: DisclosureId) -> Result<Dossier, GateError> {
        let detail = self.case_get(caller, id).await?;
        let live = self.live.load();
        let request = detail.case.disclosure.request();
        let partner = live.registry.partner(request.partner());
        let partner_title =
            partner.map_or_else(|| request.partner().to_string(), |partner| partner.title.clone());
        let agreement = live.rules.agreement(request.agreement()).cloned();
        Ok(Dossier { detail, partner_title, agreement })
    }

    /// What only a page of this officer about this case carries, so that what comes back with it is known to be theirs
    /// also when their session has ended in between.
    #[must_use]
    pub fn draft_mark(&self, officer: &ActorName, id: DisclosureId) -> Digest {
        self.content(&[DRAFT_MARK, id.as_bytes().as_slice(), officer.as_str().as_bytes()].concat())
    }

    /// Every purpose that an agreement among the active rules names.
    #[must_use]
    pub fn purposes(&self) -> BTreeSet<PurposeName> {
        let rules = Arc::clone(&self.live.load().rules);
        rules.agreements().flat_map(|agreement| agreement.purposes.keys().cloned()).collect()
    }

    /// The present time, for pages that show how long something takes.
    #[must_use]
    pub fn present(&self) -> Timestamp {
        self.now()
    }
}

const DRAFT_MARK: &[u8] = b"console-draft\0";
