//! Judgements of alerts: an entry, and with it in one transaction what it stops. Nothing else is kept of them.

use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::store::StoreError;
use crate::store::alert::{Judged, JudgementNew, Stop};
use crate::store::change::Found;

use super::tx::Tx;
use super::{change, suspension};

/// Keeps a judgement.
pub(super) fn judge(tx: &mut Tx<'_>, permit: &Permit, new: &JudgementNew) -> Result<Judged, StoreError> {
    let why = format!("alert {}: {}", new.alert, new.why);
    let found = match &new.stop {
        None => Found::Yes,
        Some(Stop::Partner(partner)) => change::partner_suspend(tx, permit, partner, &why)?,
        Some(Stop::Person(person)) => change::person_suspend(tx, permit, person, &why)?,
        Some(Stop::Official(partner, official)) => {
            suspension::official_suspend(tx, permit, (partner, official), &why)?
        }
        Some(Stop::Agreement(agreement)) => {
            suspension::agreement_suspend(tx, permit, agreement, &why)?;
            Found::Yes
        }
    };
    if found == Found::No {
        return Ok(Judged::NobodyToStop);
    }
    let event = tx
        .event(Kind::AlertJudged, permit)
        .with(Fact::Alert, new.alert.as_bytes())
        .text(Fact::Detector, &new.detector)
        .text(Fact::About, &new.whom)
        .text(Fact::Evidence, &new.entries.join("\n"))
        .text(Fact::Finding, new.finding.as_str())
        .text(Fact::Reason, &new.why);
    tx.enter_private(&event, &[])?;
    Ok(Judged::Kept)
}
