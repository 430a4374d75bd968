//! Judging alerts, for privacy officers.

use std::sync::Arc;

use crate::authz::{About, Action};
use crate::store::alert::{Judged, JudgementNew, Stop};
use crate::telemetry;

use super::{Caller, Gate, GateError, text};

impl Gate {
    /// Keeps what came of looking at an alert, and stops whom it says, in one transaction.
    ///
    /// # Errors
    /// [`GateError::NotFound`] for somebody to stop who is not there, [`GateError::NotNow`] for an alert about the caller, and
    /// the others.
    pub async fn alert_judge(
        self: &Arc<Self>,
        caller: &Caller,
        new: JudgementNew,
    ) -> Result<String, GateError> {
        let why = text("reason", new.why, 1, REASON_MAX_CHARS)?;
        let detector = text("detector", new.detector, 1, NAME_MAX_CHARS)?;
        let whom = text("whom", new.whom, 1, NAME_MAX_CHARS)?;
        if new.entries.is_empty() || new.entries.len() > ENTRIES_MAX {
            let what =
                format!("there are {}; name 1 to {ENTRIES_MAX} of the alert's entries", new.entries.len());
            return Err(GateError::Invalid { field: "entries", what });
        }
        let entry = |one: String| text("entries", one.replace('\n', " "), 1, ENTRY_MAX_CHARS);
        let entries = new.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
        let stop = match new.stop {
            Some(Stop::Official(partner, official)) => {
                Some(Stop::Official(partner, text("official.official", official, 1, OFFICIAL_MAX_CHARS)?))
            }
            stop => stop,
        };
        let content = self.content(new.alert.as_bytes());
        let permit = self.permit(&caller.actor, Action::JudgeAlert, About::Service, content).await?;
        // The rules say who may stop whom, whatever it is done with.
        if let Some(stop) = &stop {
            let _may = self.permit(&caller.actor, action(stop), About::Service, content).await?;
        }
        if whom == caller.actor.name.as_str() {
            return Err(GateError::NotNow(
                "the alert is about you; another privacy officer judges it".to_owned(),
            ));
        }
        if let Some(Stop::Agreement(agreement)) = &stop
            && self.live.load().rules.agreement(agreement).is_none()
        {
            return Err(GateError::NotFound("agreement"));
        }
        let new = JudgementNew { why, detector, whom, entries, stop, ..new };
        let gate = Arc::clone(self);
        let done = self.to_its_end(async move {
            let (judged, receipt) = gate.parts.store.alert_judge(permit, new).await?.open()?;
            match judged {
                Judged::Kept => {
                    gate.reload_in_order().await?;
                    Ok(receipt.to_text())
                }
                Judged::NobodyToStop => Err(GateError::NotFound("partner or person to suspend")),
            }
        });
        let receipt = done.await?;
        // Whoever lists the alerts next sees it. It stands in the log whatever comes of this.
        if let Err(error) = self.alerts_tend().await {
            tracing::warn!(error = %telemetry::chain(&error), "the log could not be followed; it will be tried again");
        }
        Ok(receipt)
    }
}

const fn action(stop: &Stop) -> Action {
    match stop {
        Stop::Partner(_) => Action::SuspendPartner,
        Stop::Official(..) => Action::SuspendOfficial,
        Stop::Agreement(_) => Action::SuspendAgreement,
        Stop::Person(_) => Action::SuspendPerson,
    }
}

const REASON_MAX_CHARS: usize = 512;
const NAME_MAX_CHARS: usize = 256;
/// As many as a detector shows.
const ENTRIES_MAX: usize = 50;
const ENTRY_MAX_CHARS: usize = 100;
const OFFICIAL_MAX_CHARS: usize = 128;
