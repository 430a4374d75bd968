//! Seats of officers that others fill for a time.
//!
//! A delegation gives a seat, not a role: delegate and delegator hold one role, and sit in different units, so that a
//! rule that asks for officers of two units can be kept while the only officer of one is away. The delegate decides as
//! themselves, once in a case, and says in the signed record whose seat it is; the seat is filled once. Nothing passes
//! on: a seat is its owner's, and a delegate's own seat is another.

use std::sync::Arc;
use std::time::Duration;

use crate::approval::{DeciderStanding, Eligible};
use crate::authz::{About, Action, Role, Standing};
use crate::clock::Timestamp;
use crate::ids::{ActorName, ChangeId, UnitName};
use crate::store::change::{Delegating, Found};
use crate::store::registry::Delegation;
use crate::store::{Case, Registry};

use super::disclosure::decider_role;
use super::{Caller, Gate, GateError, text};

/// A seat that somebody may fill at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatHeld {
    /// Whose.
    pub delegator: ActorName,
    /// The unit that it counts for.
    pub unit: Option<UnitName>,
    /// Until when.
    pub until: Timestamp,
}

impl Gate {
    /// Delegations, also those that are over.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn delegations_list(&self, caller: &Caller) -> Result<Vec<Delegation>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListDelegations, About::Service, self.content(b"")).await?;
        Ok(self.live.load().registry.delegations.clone())
    }

    /// Ends a delegation before its time: the seat is its owner's alone from then on, and what was decided in it counts no
    /// longer for a release that was not made. Gives the receipt.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn delegation_end(
        self: &Arc<Self>,
        caller: &Caller,
        change: ChangeId,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(change.as_bytes());
        let permit = self.permit(&caller.actor, Action::EndDelegation, About::Service, content).await?;
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let (found, receipt) = gate.parts.store.delegation_end(permit, change, why).await?.open()?;
            match found {
                Found::Yes => gate.reload_in_order().await?,
                Found::No => return Err(GateError::NotFound("delegation")),
            }
            Ok(receipt.to_text())
        })
        .await
    }

    /// The seats that are delegated to the caller at this moment.
    #[must_use]
    pub fn seats_held(&self, caller: &Caller) -> Vec<SeatHeld> {
        let (live, now) = (self.live.load(), self.now());
        let registry = &live.registry;
        let mine = registry.delegations.iter().filter(|one| one.what.delegate == caller.actor.name);
        mine.filter(|one| one.holds(now))
            .map(|one| SeatHeld {
                delegator: one.what.delegator.clone(),
                unit: registry.person(&one.what.delegator).and_then(|person| person.unit.clone()),
                until: one.what.until,
            })
            .collect()
    }

    /// Refuses a delegation that could be confirmed but never work.
    pub(super) fn check_delegation(&self, new: &Delegating) -> Result<(), GateError> {
        let invalid = |field, what: String| Err(GateError::Invalid { field, what });
        let live = self.live.load();
        let seat = |field, name: &ActorName| {
            live.registry.person(name).ok_or_else(|| GateError::Invalid {
                field,
                what: format!("there is nobody of the name `{name}`; see `onebit registry people`"),
            })
        };
        let delegator = seat("change.put_delegation.delegator", &new.delegator)?;
        let delegate = seat("change.put_delegation.delegate", &new.delegate)?;
        if new.delegator == new.delegate {
            let what = "nobody needs a delegation for their own seat; name another officer".to_owned();
            return invalid("change.put_delegation.delegate", what);
        }
        if !matches!(delegator.role, Role::ApprovingOfficer | Role::Examiner) {
            let what = format!(
                "`{}` is {}; only seats of approving officers and examiners are delegated",
                new.delegator, delegator.role
            );
            return invalid("change.put_delegation.delegator", what);
        }
        if delegate.role != delegator.role {
            let what = format!(
                "`{}` is {} and `{}` is {}; a delegation gives a seat and not a role",
                new.delegate, delegate.role, new.delegator, delegator.role
            );
            return invalid("change.put_delegation.delegate", what);
        }
        if delegator.unit.is_none() || delegator.unit == delegate.unit {
            let what =
                "both are of one unit, or the seat is of none, so that it would give nothing; the delegate \
                        decides in their own seat"
                    .to_owned();
            return invalid("change.put_delegation.delegate", what);
        }
        if [delegator, delegate].iter().any(|person| person.standing == Standing::Suspended) {
            let what = "one of the two is suspended; restore them first".to_owned();
            return invalid("change.put_delegation.delegate", what);
        }
        if new.since >= new.until || new.until <= self.now() || new.until > new.since.after(LONGEST) {
            let what = "it is over before it begins, or already, or lasts longer than 366 days".to_owned();
            return invalid("change.put_delegation.until_millis", what);
        }
        Ok(())
    }
}

/// Who may decide about a case at this moment, in their own seats and in delegated ones.
pub(super) fn eligible(registry: &Registry, case: &Case, now: Timestamp) -> Vec<Eligible> {
    let enrolled = |name: &ActorName| case.enrolled_by.contains(name);
    let standing = |enroller: bool, active: bool| match (enroller, active) {
        (true, _) => DeciderStanding::Enroller,
        (false, true) => DeciderStanding::Active,
        (false, false) => DeciderStanding::Inactive,
    };
    let own = registry.people.iter().filter_map(|person| {
        Some(Eligible {
            officer: person.name.clone(),
            role: decider_role(person.role)?,
            standing: standing(enrolled(&person.name), person.standing == Standing::Active),
            unit: person.unit.clone(),
            on_behalf: None,
        })
    });
    let delegated = registry.delegations.iter().filter(|one| one.holds(now)).filter_map(|one| {
        let [delegator, delegate] =
            [registry.person(&one.what.delegator)?, registry.person(&one.what.delegate)?];
        let both = [delegator, delegate];
        let active =
            both.iter().all(|person| person.standing == Standing::Active) && delegate.role == delegator.role;
        Some(Eligible {
            officer: delegate.name.clone(),
            role: decider_role(delegator.role)?,
            standing: standing(both.iter().any(|person| enrolled(&person.name)), active),
            unit: delegator.unit.clone(),
            on_behalf: Some(delegator.name.clone()),
        })
    });
    own.chain(delegated).collect()
}

const REASON_MAX_CHARS: usize = 512;
/// A year of leave.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);
