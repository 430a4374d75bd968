//! One subject at the holder: what is held, hiding, erasing.

use crate::authz::{About, Action};
use crate::ids::RestrictionName;
use crate::store::SubjectFacts;
use crate::store::enrolment::RestrictionNew;

use super::{Caller, Gate, GateError, text};

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
        &self,
        caller: &Caller,
        source_id: &str,
        restriction: RestrictionName,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(source_id.as_bytes());
        let permit = self.permit(&caller.actor, Action::AddRestriction, About::Service, content).await?;
        let new = RestrictionNew { source: self.parts.keys.pseudonym(source_id), restriction, why };
        let _order = self.publish.lock().await;
        let (change, receipt) = self.parts.store.restriction_add(permit, new).await?.open()?;
        self.gallery_apply(change).await?;
        Ok(receipt.to_text())
    }

    /// Erases a subject; the next query does not find it. An unknown source id makes the same entry and answers
    /// alike.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn subject_erase(
        &self,
        caller: &Caller,
        source_id: &str,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(source_id.as_bytes());
        let permit = self.permit(&caller.actor, Action::EraseSubject, About::Service, content).await?;
        let source = self.parts.keys.pseudonym(source_id);
        let _order = self.publish.lock().await;
        let (change, receipt) = self.parts.store.subject_erase(permit, source, why).await?.open()?;
        self.gallery_apply(change).await?;
        Ok(receipt.to_text())
    }
}

const REASON_MAX_CHARS: usize = 512;
