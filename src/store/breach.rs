//! A breach of privacy: what happened, whom it affects, how it was assessed and who was told. Part 6 of the Privacy Act 2020.
//!
//! A case is what its entries come to, in their order ([`Breach::fold`]); what a step states is written by the step itself
//! ([`BreachStep::stated`]), and whether it may be taken is asked of the case ([`Breach::takes`]).

mod affected;

use std::time::Duration;

use crate::audit::event::{Event, Fact, Kind};
use crate::authz::Role;
use crate::clock::Timestamp;
use crate::ids::{ActorName, BreachId, Digest};

use super::subject::words;

pub use affected::{Affected, AffectedOne};

words! {
    /// A kind of breach (Privacy Act 2020, section 112).
    BreachKind: "kind of breach",
    Access "access": "Somebody saw or used information without authority, or by accident.";
    Disclosure "disclosure": "Information was disclosed without authority, or by accident.";
    Alteration "alteration": "Information was changed without authority, or by accident.";
    Loss "loss": "Information was lost or destroyed.";
    Unavailable "unavailable": "The holder can't reach information, for a time or for good.";
}

words! {
    /// What is considered when a breach is assessed (Privacy Act 2020, section 113).
    Factor: "factor",
    Action "action": "What was done to reduce the risk of harm.";
    Sensitivity "sensitivity": "Whether the information is sensitive.";
    Harm "harm": "The nature of the harm that may be caused.";
    Recipient "recipient": "Who has obtained the information, or may.";
    Security "security": "Whether the information is protected by a security measure.";
    Other "other": "Any other relevant matter.";
}

words! {
    /// What an assessment found.
    BreachFinding: "finding",
    Notifiable "notifiable": "It has caused serious harm, or is likely to: it is to be notified.";
    NotNotifiable "not-notifiable": "It is not likely to cause serious harm: nobody need be told.";
}

words! {
    /// Who was told of a breach, or why nobody is.
    BreachTold: "addressee",
    Commissioner "commissioner": "The Privacy Commissioner (section 114).";
    Individuals "individuals": "Every affected person (section 115(1)).";
    PublicNotice "public-notice": "The public, because telling each person is not reasonably practicable (section 115(2)).";
    Exception "exception": "Not everybody affected, by an exception or a delay (section 116).";
}

words! {
    /// By which part of section 116 of the Privacy Act 2020 affected people are not told, or told later.
    BreachException: "exception",
    Security "116(1)(a)": "It would prejudice the security or defence of New Zealand, or international relations.";
    Law "116(1)(b)": "It would prejudice the maintenance of the law.";
    Safety "116(1)(c)": "It would endanger somebody's safety.";
    TradeSecret "116(1)(d)": "It would reveal a trade secret.";
    Young "116(2)(a)": "The person is under 16, and it would be contrary to their interests.";
    Health "116(2)(b)": "It would be likely to prejudice the person's health, after consulting their health practitioner.";
    Delay "116(4)": "It is delayed: it would put personal information at risk, and that outweighs telling now.";
}

/// A case to open.
pub struct BreachNew {
    /// Its id.
    pub id: BreachId,
    /// What kind of breach.
    pub kind: BreachKind,
    /// What happened, in words.
    pub what: String,
    /// When the holder came to know of it.
    pub aware: Timestamp,
    /// Where it was found: an alert, or entries as `JOURNAL/INDEX`.
    pub found_by: Vec<String>,
}

impl BreachNew {
    /// States it.
    #[must_use]
    pub fn stated(&self, event: Event) -> Event {
        event
            .with(Fact::Breach, self.id.as_bytes())
            .text(Fact::BreachKind, self.kind.as_str())
            .text(Fact::Reason, &self.what)
            .text(Fact::Aware, &self.aware.to_string())
            .text(Fact::FoundBy, &self.found_by.join("\n"))
    }
}

/// What is done with a case that is open.
#[derive(Debug, Clone)]
pub enum BreachStep {
    /// Something was done to contain it.
    Contain {
        /// What.
        what: String,
    },
    /// It is assessed.
    Assess {
        /// What was considered: each factor with words.
        factors: Vec<(Factor, String)>,
        /// What came of it.
        finding: BreachFinding,
        /// Why.
        why: String,
    },
    /// A second person confirms that it need not be notified.
    Confirm {
        /// Why.
        why: String,
    },
    /// Somebody was told.
    Notify {
        /// Who.
        told: BreachTold,
        /// When.
        at: Timestamp,
        /// The Commissioner's reference, the section of an exception, or how people were told.
        detail: String,
        /// Why this way, or what else is to be said.
        why: String,
    },
    /// It is closed.
    Close {
        /// Why.
        why: String,
    },
}

impl BreachStep {
    /// The kind of its entry.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Contain { .. } => Kind::BreachContained,
            Self::Assess { .. } => Kind::BreachAssessed,
            Self::Confirm { .. } => Kind::BreachConfirmed,
            Self::Notify { .. } => Kind::BreachNotified,
            Self::Close { .. } => Kind::BreachClosed,
        }
    }

    /// States it.
    #[must_use]
    pub fn stated(&self, event: Event) -> Event {
        match self {
            Self::Contain { what: why } | Self::Confirm { why } | Self::Close { why } => {
                event.text(Fact::Reason, why)
            }
            Self::Assess { factors, finding, why } => {
                let line =
                    |(factor, words): &(Factor, String)| format!("{factor}: {}", words.replace('\n', " "));
                let lines: Vec<String> = factors.iter().map(line).collect();
                event
                    .text(Fact::Factors, &lines.join("\n"))
                    .text(Fact::Decision, finding.as_str())
                    .text(Fact::Reason, why)
            }
            Self::Notify { told, at, detail, why } => event
                .text(Fact::Told, told.as_str())
                .text(Fact::ToldAt, &at.to_string())
                .text(Fact::Detail, detail)
                .text(Fact::Reason, why),
        }
    }
}

/// A case about a breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Its id.
    pub id: BreachId,
    /// What kind of breach.
    pub kind: BreachKind,
    /// What happened, in words.
    pub what: String,
    /// When the holder came to know of it.
    pub aware: Timestamp,
    /// Where it was found.
    pub found_by: Vec<String>,
    /// When it was opened, and by whom.
    pub opened: (Timestamp, ActorName),
    /// When the Commissioner is to be told: 72 hours after the holder came to know of it.
    pub due: Timestamp,
    /// What was done to contain it.
    pub contained: Vec<Said>,
    /// What the log was looked through for.
    pub traced: Vec<Traced>,
    /// How it was assessed the last time.
    pub assessed: Option<Assessed>,
    /// Who was told.
    pub notified: Vec<Notified>,
    /// When it was noted that the Commissioner was not told in time.
    pub late: Option<Timestamp>,
    /// How it was closed.
    pub closed: Option<Said>,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: ActorName,
    /// What.
    pub words: String,
}

/// A look through the log for whom a breach affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// When and by whom, and why.
    pub said: Said,
    /// What was looked through.
    pub scope: String,
    /// How many people.
    pub people: u64,
    /// Fields that were viewed or disclosed.
    pub fields: Vec<String>,
    /// Who received something.
    pub recipients: Vec<String>,
    /// The SHA-256 of the list.
    pub digest: Digest,
}

/// An assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessed {
    /// When and by whom, and why.
    pub said: Said,
    /// In which role.
    pub role: Role,
    /// What was considered.
    pub factors: Vec<(Factor, String)>,
    /// What came of it.
    pub finding: BreachFinding,
    /// Who confirmed that it need not be notified.
    pub confirmed: Option<Said>,
}

/// Somebody who was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// When it was kept and by whom, and why.
    pub said: Said,
    /// Who.
    pub told: BreachTold,
    /// When.
    pub at: Timestamp,
    /// The Commissioner's reference, the section of an exception, or how people were told.
    pub detail: String,
}

/// Why a step of a case is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BreachRefused {
    /// It is closed.
    #[error("the case is closed; open another one")]
    Closed,
    /// A factor was not considered.
    #[error(
        "section 113 names six factors; say something of each with --factor, also of those that don't matter"
    )]
    Factors,
    /// It is not assessed.
    #[error("the breach is not assessed; `onebit breach assess` first")]
    NotAssessed,
    /// There is nothing to confirm.
    #[error("only a finding that the breach is not notifiable is confirmed, and once")]
    NothingToConfirm,
    /// The same person, or the same role.
    #[error("a second person of another role confirms it; ask an administrator")]
    SamePerson,
    /// The finding is not confirmed.
    #[error(
        "a finding that nobody need be told takes a second person; have an administrator run `onebit breach confirm`"
    )]
    NotConfirmed,
    /// It was found to be nothing to tell.
    #[error("the breach was found not to be notifiable; assess it again before you keep who was told")]
    NotNotifiable,
    /// The Commissioner was not told.
    #[error("the breach is notifiable and the Commissioner was not told; `onebit breach notified` first")]
    CommissionerNotTold,
    /// Affected people were not told.
    #[error(
        "affected people were not told; keep how with `onebit breach notified --to individuals`, `public-notice` or `exception`"
    )]
    PeopleNotTold,
    /// A moment that can't be.
    #[error(
        "somebody is told after the holder came to know of the breach, and not later than now; correct --at"
    )]
    Moment,
    /// An exception without its section.
    #[error(
        "an exception names its section with --detail: `116(1)(a)` to `116(1)(d)`, `116(2)(a)`, `116(2)(b)` or `116(4)`"
    )]
    Section,
}

impl Breach {
    /// What the entries of a case come to, in their order; `None` where they are no case.
    #[must_use]
    pub fn fold(events: &[Event]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let mut breach = Self::opened(first)?;
        for event in rest {
            breach.taken(event)?;
        }
        Some(breach)
    }

    fn opened(event: &Event) -> Option<Self> {
        let aware = Timestamp::parse(event.text_of(Fact::Aware)?)?;
        Some(Self {
            id: BreachId::from_bytes(event.fact(Fact::Breach)?.try_into().ok()?),
            kind: event.text_of(Fact::BreachKind)?.parse().ok()?,
            what: event.text_of(Fact::Reason)?.to_owned(),
            aware,
            found_by: event.text_of(Fact::FoundBy)?.lines().map(str::to_owned).collect(),
            opened: (event.at, event.actor.parse().ok()?),
            due: aware.after(CLOCK),
            contained: Vec::new(),
            traced: Vec::new(),
            assessed: None,
            notified: Vec::new(),
            late: None,
            closed: None,
        })
        .filter(|_| event.kind == Kind::BreachOpened)
    }

    fn taken(&mut self, event: &Event) -> Option<()> {
        if event.fact(Fact::Breach)? != self.id.as_bytes() || self.closed.is_some() {
            return None;
        }
        let said = || {
            let (by, words) = (event.actor.parse().ok()?, event.text_of(Fact::Reason)?.to_owned());
            Some(Said { at: event.at, by, words })
        };
        match event.kind {
            Kind::BreachContained => self.contained.push(said()?),
            Kind::BreachTraced => self.traced.push(traced(event, said()?)?),
            Kind::BreachAssessed => self.assessed = Some(assessed(event, said()?)?),
            Kind::BreachConfirmed => self.assessed.as_mut()?.confirmed = Some(said()?),
            Kind::BreachNotified => self.notified.push(Notified {
                said: said()?,
                told: event.text_of(Fact::Told)?.parse().ok()?,
                at: Timestamp::parse(event.text_of(Fact::ToldAt)?)?,
                detail: event.text_of(Fact::Detail)?.to_owned(),
            }),
            Kind::BreachOverdue => self.late = Some(event.at),
            Kind::BreachClosed => self.closed = Some(said()?),
            _ => return None,
        }
        Some(())
    }

    /// Whether a step can be taken now, by this person in this role.
    ///
    /// # Errors
    /// [`BreachRefused`].
    pub fn takes(
        &self,
        step: &BreachStep,
        by: &ActorName,
        role: Role,
        now: Timestamp,
    ) -> Result<(), BreachRefused> {
        if self.closed.is_some() {
            return Err(BreachRefused::Closed);
        }
        match step {
            BreachStep::Contain { .. } => Ok(()),
            BreachStep::Assess { factors, .. } => {
                let named = |factor: &Factor| factors.iter().filter(|(one, _)| one == factor).count();
                if Factor::ALL.iter().all(|factor| named(factor) == 1) {
                    Ok(())
                } else {
                    Err(BreachRefused::Factors)
                }
            }
            BreachStep::Confirm { .. } => self.takes_confirmation(by, role),
            BreachStep::Notify { told, at, detail, .. } => self.takes_notification(*told, *at, detail, now),
            BreachStep::Close { .. } => self.takes_end(),
        }
    }

    fn takes_confirmation(&self, by: &ActorName, role: Role) -> Result<(), BreachRefused> {
        let assessed = self.assessed.as_ref().ok_or(BreachRefused::NotAssessed)?;
        if assessed.finding != BreachFinding::NotNotifiable || assessed.confirmed.is_some() {
            return Err(BreachRefused::NothingToConfirm);
        }
        if assessed.said.by == *by || assessed.role == role {
            return Err(BreachRefused::SamePerson);
        }
        Ok(())
    }

    fn takes_notification(
        &self,
        told: BreachTold,
        at: Timestamp,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), BreachRefused> {
        let assessed = self.assessed.as_ref().ok_or(BreachRefused::NotAssessed)?;
        if assessed.finding != BreachFinding::Notifiable {
            return Err(BreachRefused::NotNotifiable);
        }
        if at < self.aware || at > now {
            return Err(BreachRefused::Moment);
        }
        if told == BreachTold::Exception && detail.parse::<BreachException>().is_err() {
            return Err(BreachRefused::Section);
        }
        Ok(())
    }

    fn takes_end(&self) -> Result<(), BreachRefused> {
        let assessed = self.assessed.as_ref().ok_or(BreachRefused::NotAssessed)?;
        match assessed.finding {
            BreachFinding::NotNotifiable if assessed.confirmed.is_none() => Err(BreachRefused::NotConfirmed),
            BreachFinding::NotNotifiable => Ok(()),
            BreachFinding::Notifiable if !self.is_told(BreachTold::Commissioner) => {
                Err(BreachRefused::CommissionerNotTold)
            }
            BreachFinding::Notifiable => {
                let ways = [BreachTold::Individuals, BreachTold::PublicNotice, BreachTold::Exception];
                let is_settled = ways.into_iter().any(|way| self.is_told(way));
                if is_settled { Ok(()) } else { Err(BreachRefused::PeopleNotTold) }
            }
        }
    }

    /// Whether somebody was told, or a reason given.
    #[must_use]
    pub fn is_told(&self, told: BreachTold) -> bool {
        self.notified.iter().any(|one| one.told == told)
    }

    /// Whether the clock still runs: it is open, the Commissioner was not told, and nobody confirmed that nobody need be.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let is_settled = self.assessed.as_ref().is_some_and(|assessed| {
            assessed.finding == BreachFinding::NotNotifiable && assessed.confirmed.is_some()
        });
        self.closed.is_none() && !self.is_told(BreachTold::Commissioner) && !is_settled
    }
}

fn traced(event: &Event, said: Said) -> Option<Traced> {
    let listed = |fact| {
        let text = event.text_of(fact)?;
        Some(text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect())
    };
    Some(Traced {
        said,
        scope: event.text_of(Fact::Scope)?.to_owned(),
        people: event.number_of(Fact::Affected)?,
        fields: listed(Fact::Fields)?,
        recipients: listed(Fact::Recipients)?,
        digest: Digest::from_bytes(event.fact(Fact::ContentDigest)?.try_into().ok()?),
    })
}

fn assessed(event: &Event, said: Said) -> Option<Assessed> {
    let factor = |line: &str| {
        let (factor, words) = line.split_once(": ")?;
        Some((factor.parse().ok()?, words.to_owned()))
    };
    let role = event.text_of(Fact::Role)?;
    Some(Assessed {
        said,
        role: Role::ALL.into_iter().find(|one| one.as_str() == role)?,
        factors: event.text_of(Fact::Factors)?.lines().map(factor).collect::<Option<_>>()?,
        finding: event.text_of(Fact::Decision)?.parse().ok()?,
        confirmed: None,
    })
}

/// What came of a step.
pub enum BreachStepped {
    /// It is kept.
    Done(Box<Breach>),
    /// It can't be done, and what to do.
    Refused(BreachRefused),
    /// There is no such case.
    NoBreach,
}

/// What the log is looked through for.
#[derive(Debug, Clone)]
pub struct TraceNew {
    /// The searches; what any of them finds counts once.
    pub sought: Vec<super::search::Sought>,
    /// Why.
    pub why: String,
}

impl TraceNew {
    /// What is looked through, in one line.
    #[must_use]
    pub fn scope(&self) -> String {
        let one = |sought: &super::search::Sought| {
            let mut text = format!("{} {}", sought.attribute(), sought.value());
            for (word, at) in [("from", sought.since()), ("until", sought.until())] {
                if let Some(at) = at {
                    text.push_str(&format!(" {word} {at}"));
                }
            }
            text
        };
        let all: Vec<String> = self.sought.iter().map(one).collect();
        all.join("; ")
    }
}

/// What came of looking through the log.
pub enum BreachTraced {
    /// Whom it affects, and the case.
    Done(Box<Breach>, Affected),
    /// The case is closed.
    Refused(BreachRefused),
    /// There is no such case.
    NoBreach,
}

/// A page of cases.
#[derive(Debug, Clone, Default)]
pub struct BreachFilter {
    /// Those that are closed, the newest first; otherwise open ones, those that are due soonest first.
    pub closed: bool,
    /// Only open ones whose clock ran out by this time and is not noted.
    pub due_at: Option<Timestamp>,
    /// The last of the page before.
    pub after: Option<BreachId>,
    /// How many at most.
    pub limit: u32,
}

/// The Privacy Commissioner expects to be told within 72 hours after the holder came to know of a notifiable breach.
pub const CLOCK: Duration = Duration::from_hours(72);

#[cfg(test)]
mod tests;
