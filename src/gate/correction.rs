//! What comes after a release: a disclosure watched, what a partner asks to be corrected, and corrections to whoever
//! received a field.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::approval::{CorrectionAsk, SignedCorrectionAsk};
use crate::authz::{About, Action};
use crate::ids::DisclosureId;
use crate::keys::SignatureDomain;
use crate::store::{Case, CorrectionFilter, CorrectionTerms, CorrectionsAsk};
use crate::telemetry;

use super::disclosure::stepped_to;
use super::{Caller, DisclosureDone, Gate, GateError};

impl Gate {
    /// Waits from now on for one disclosure to change.
    ///
    /// # Errors
    /// As [`Gate::disclosure_get`].
    pub async fn disclosure_watch(
        &self,
        caller: &Caller,
        id: DisclosureId,
    ) -> Result<watch::Receiver<u64>, GateError> {
        // INVARIANT: before the first look, so that nothing changes unseen between the two.
        let changes = self.parts.store.disclosure_changes(id);
        self.disclosure_look(caller, id).await?;
        Ok(changes)
    }

    /// Where a watched disclosure stands. The rules are asked each time.
    ///
    /// # Errors
    /// As [`Gate::disclosure_get`].
    pub async fn disclosure_look(&self, caller: &Caller, id: DisclosureId) -> Result<Case, GateError> {
        let (case, _permit) = self.disclosure_own(caller, Action::WatchDisclosure, id).await?;
        Ok(case)
    }

    /// Keeps what a partner asks for after a release.
    ///
    /// # Errors
    /// [`GateError::Signature`], [`GateError::NotNow`] before a release and while another request waits.
    pub async fn correction_ask(
        &self,
        caller: &Caller,
        ask: CorrectionAsk,
        signature: Vec<u8>,
    ) -> Result<DisclosureDone, GateError> {
        let (_case, permit) =
            self.disclosure_own(caller, Action::RequestCorrection, ask.disclosure()).await?;
        caller.check_signature(SignatureDomain::DisclosureCorrection, &ask.digest(), &signature)?;
        let signed = SignedCorrectionAsk { ask, signature, by: caller.actor.name.clone() };
        let (stepped, receipt) = self.parts.store.correction_ask(permit, signed).await?.open()?;
        stepped_to(stepped, receipt.to_text())
    }

    /// Keeps that the partner acted on a correction.
    ///
    /// # Errors
    /// [`GateError::NotNow`] when there is none of this number that waits.
    pub async fn correction_acknowledge(
        &self,
        caller: &Caller,
        id: DisclosureId,
        number: u32,
    ) -> Result<DisclosureDone, GateError> {
        let (_case, permit) = self.disclosure_own(caller, Action::AcknowledgeCorrection, id).await?;
        let (stepped, receipt) = self.parts.store.correction_acknowledge(permit, id, number).await?.open()?;
        stepped_to(stepped, receipt.to_text())
    }

    /// The caller's disclosures with corrections that it has not acknowledged.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn correction_list(
        &self,
        caller: &Caller,
        after: Option<DisclosureId>,
        limit: u32,
    ) -> Result<Vec<Case>, GateError> {
        let partner = self.partner_of(caller, Action::ListCorrections).await?;
        let about = About::Partner { partner: &partner };
        let _permit = self.permit(&caller.actor, Action::ListCorrections, about, self.content(b"")).await?;
        let filter = CorrectionFilter::Of(partner);
        Ok(self.parts.store.correction_list(CorrectionsAsk { filter, after, limit }).await?)
    }

    /// Cases with corrections that their partner has not acknowledged, the most overdue first.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn correction_list_open(
        &self,
        caller: &Caller,
        after: Option<DisclosureId>,
        limit: u32,
    ) -> Result<Vec<Case>, GateError> {
        let content = self.content(b"");
        let _permit =
            self.permit(&caller.actor, Action::ListOpenCorrections, About::Service, content).await?;
        let filter = CorrectionFilter::Open;
        Ok(self.parts.store.correction_list(CorrectionsAsk { filter, after, limit }).await?)
    }

    /// Told when somebody may be to be told of a correction.
    #[must_use]
    pub fn corrections_due(&self) -> Arc<Notify> {
        Arc::clone(&self.corrections_due)
    }

    /// Tells recipients of the corrections that they may hear of, and notes those that were not acknowledged in time.
    /// What waits because the person is hidden is looked at again the next time. Returns how many steps that were.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn corrections_tend(&self) -> Result<u32, GateError> {
        let mut steps: u32 = 0;
        let mut after = None;
        loop {
            let ask = CorrectionsAsk { filter: CorrectionFilter::Untold, after, limit: TEND_CORRECTIONS };
            let cases = self.parts.store.correction_list(ask).await?;
            let Some(last) = cases.last() else { break };
            after = Some(last.disclosure.request().disclosure());
            for case in &cases {
                steps = steps.saturating_add(self.correction_tell(case).await?);
            }
        }
        let mut after = None;
        loop {
            let filter = CorrectionFilter::OverdueBefore(self.now());
            let ask = CorrectionsAsk { filter, after, limit: TEND_CORRECTIONS };
            let cases = self.parts.store.correction_list(ask).await?;
            let Some(last) = cases.last() else { break };
            after = Some(last.disclosure.request().disclosure());
            for case in &cases {
                let noted = self.parts.store.correction_overdue(case.disclosure.request().disclosure());
                let noted = noted.await?;
                metrics::counter!(telemetry::CORRECTIONS_OVERDUE).increment(noted.into());
                steps = steps.saturating_add(noted);
            }
        }
        Ok(steps)
    }

    async fn correction_tell(&self, case: &Case) -> Result<u32, GateError> {
        let live = self.live.load_full();
        let request = case.disclosure.request();
        // Without the agreement nobody can say what the partner may see: it waits.
        let Some(agreement) = live.rules.agreement(request.agreement()) else { return Ok(0) };
        let terms = CorrectionTerms {
            visible: agreement.visible_restrictions.iter().cloned().collect(),
            acknowledge_within: agreement.clocks.correct_within,
            policy: live.rules.digest(),
        };
        Ok(self.parts.store.correction_tell(request.disclosure(), terms).await?)
    }
}

/// A page of a round; a round goes through all of them.
const TEND_CORRECTIONS: u32 = 256;
