//! One subject at the holder: what is held, hiding, erasing.

use std::sync::Arc;

use crate::authz::{About, Action, PayloadClass, RetentionClass};
use crate::ids::RestrictionName;
use crate::store::SubjectFacts;
use crate::store::enrolment::RestrictionNew;

use super::{Caller, Gate, GateError, text};

/// That a subject is erased, or was not there.
pub struct SubjectErased {
    /// The receipt of the entry in the holder's journal.
    pub receipt: String,
    /// What the log goes on saying of whoever is erased, and the class that it is kept by; the same for everybody.
    pub kept: [(PayloadClass, RetentionClass); 3],
}

impl Gate {
    /// What is held of a subject, without values.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn subject_get(&self, caller: &Caller, source_id: &str) -> Result<SubjectFacts, GateError> {
        let content = self.content(source_id.as_bytes());
        let _permit = self.permit(&caller.actor, Action::GetSubject, About::Service, content).await?;
        let facts = self.parts.store.subject_get(self.parts.keys.pseudonym(source_id)).await?;
        facts.ok_or(GateError::NotFound("subject"))
    }

    /// Hides a subject; the next query answers like for a stranger. An unknown source id makes the same entry
    /// and answers alike.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn restriction_add(
        self: &Arc<Self>,
        caller: &Caller,
        source_id: &str,
        restriction: RestrictionName,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(source_id.as_bytes());
        let permit = self.permit(&caller.actor, Action::AddRestriction, About::Service, content).await?;
        let new = RestrictionNew { source: self.parts.keys.pseudonym(source_id), restriction, why };
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let (change, receipt) = gate.parts.store.restriction_add(permit, new).await?.open()?;
            gate.gallery_apply(change).await?;
            Ok(receipt.to_text())
        })
        .await
    }

    /// Erases a subject; the next query does not find it. An unknown source id makes the same entry and answers
    /// alike.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn subject_erase(
        self: &Arc<Self>,
        caller: &Caller,
        source_id: &str,
        why: String,
    ) -> Result<SubjectErased, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(source_id.as_bytes());
        let permit = self.permit(&caller.actor, Action::EraseSubject, About::Service, content).await?;
        let source = self.parts.keys.pseudonym(source_id);
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let (erased, receipt) = gate.parts.store.subject_erase(permit, source, why).await?.open()?;
            // Nobody finds them any more, also when their bytes are not gone yet: that is finished at the next start.
            gate.gallery_apply(erased.change).await?;
            erased.bytes_gone?;
            let kept = gate.live.load().rules.kept_of_people();
            Ok(SubjectErased { receipt: receipt.to_text(), kept })
        })
        .await
    }
}

const REASON_MAX_CHARS: usize = 512;
