//! What of the log's payloads has reached the end of its retention, and leave to dispose of it.

use jiff::civil::Date;

use crate::authz::{About, Action, Disposable, PayloadClass, RetentionClass};
use crate::clock::day_of;
use crate::store::PayloadFacts;
use crate::store::change::Change;
use crate::telemetry;

use super::{Caller, Gate, GateError};

/// How a class of payloads is kept, and what of it may go.
pub struct RetentionView {
    /// Which payloads.
    pub class: PayloadClass,
    /// The class of the rules that they are kept by.
    pub retention: RetentionClass,
    /// What is from before this day may go, as far as the rules are concerned.
    pub before: Date,
    /// What there is of it.
    pub facts: PayloadFacts,
}

impl Gate {
    /// What of each class of payloads may be disposed of.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn retention_list(&self, caller: &Caller) -> Result<Vec<RetentionView>, GateError> {
        let content = self.content(b"");
        let _permit = self.permit(&caller.actor, Action::ListRetention, About::Service, content).await?;
        self.retention_views().await
    }

    /// Finishes disposals that are in effect, and tells operators how many days of payloads are past their class;
    /// gives that number.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn retention_watch(&self) -> Result<u32, GateError> {
        self.parts.store.disposals_finish().await?;
        let mut past = 0_u32;
        for view in self.retention_views().await? {
            let days = u32::try_from(view.facts.days).unwrap_or(u32::MAX);
            metrics::gauge!(telemetry::PAYLOAD_DAYS_PAST, "kind" => view.class.as_str()).set(f64::from(days));
            if days > 0 {
                tracing::warn!(
                    kind = view.class.as_str(),
                    count = days,
                    "days of payloads are past their retention; a privacy officer sees them with `onebit retention`"
                );
            }
            past = past.saturating_add(days);
        }
        Ok(past)
    }

    /// Leave for a change that disposes; nothing for any other.
    pub(super) async fn disposal_leave(&self, change: &Change) -> Result<Option<Disposable>, GateError> {
        let Change::Dispose { class, before } = change else { return Ok(None) };
        let leave = self.live.load().rules.disposable(*class, *before, self.now());
        let leave = leave.map_err(|refused| GateError::NotNow(refused.to_string()))?;
        let facts = self.parts.store.payloads_get(*class, day_of(*before)).await?;
        match facts.needed {
            Some(what) => Err(still_needed(&what)),
            None if (facts.days, facts.entries) == (0, 0) => Err(GateError::NotNow(format!(
                "nothing of `{class}` is kept from before {before}; see `onebit retention`"
            ))),
            None => Ok(Some(leave)),
        }
    }

    async fn retention_views(&self) -> Result<Vec<RetentionView>, GateError> {
        let (rules, now) = (self.live.load().rules.clone(), self.now());
        let mut views = Vec::new();
        for class in PayloadClass::ALL {
            let before = rules.disposable_before(class, now);
            let facts = self.parts.store.payloads_get(class, day_of(before)).await?;
            views.push(RetentionView { class, retention: rules.payload_retention(class), before, facts });
        }
        Ok(views)
    }
}

/// The refusal while something is needed.
pub(super) fn still_needed(what: &str) -> GateError {
    GateError::NotNow(format!("payloads of those days are still needed: {what}"))
}
