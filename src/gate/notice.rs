//! Notices: to whom each goes, and taking them there.
//!
//! What is told follows from what is durable in both places: it is read as everything is that is shown. A partner is told
//! of its own disclosures alone, and of what it could read of them at this moment.

use std::time::Duration;

use crate::authz::{Force, Standing, Webhook};
use crate::clock::Timestamp;
use crate::ids::{ActorName, AgreementName};
use crate::outbox::{Mail, NoticeSettings, PersonSettings, Receiver, WebhookMessage, webhook_send};
use crate::secret::random_bytes;
use crate::store::{Addressed, Case, Delivery, DeliveryEnd, Notice, NoticeKind};
use crate::telemetry;

use super::case::today;
use super::{Gate, GateError};

/// What came of a round of deliveries to a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It answered, whatever it said.
    Something,
    /// Nothing was heard from it, so that others at the same place need not be tried.
    Nothing,
}

/// A delivery that failed: why, whether anything was heard, and whether it is worth another try.
struct Failed {
    why: &'static str,
    heard: Heard,
    is_final: bool,
}

impl Gate {
    /// Makes the key that webhooks are signed with, where there are any and it is not there yet; and says so when people
    /// are configured whom the registry does not have.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn notices_prepare(&self, settings: &NoticeSettings) -> Result<(), GateError> {
        if settings.to_partners || !settings.systems.is_empty() {
            self.parts.store.notice_signer().await?;
        }
        let count = settings.people.keys().filter(|name| !self.person_is_active(name)).count();
        if count > 0 {
            tracing::warn!(
                count,
                "people of `[notices]` are not active in the registry; nobody tells them anything"
            );
        }
        Ok(())
    }

    /// Finds out to whom each new notice goes, and makes those of disclosures that are late by now. Gives their number.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn notices_address(&self, settings: &NoticeSettings) -> Result<u32, GateError> {
        let store = &self.parts.store;
        store.notices_remind(self.now()).await?;
        let notices = store.notice_list(NOTICES_AT_ONCE).await?;
        let count = u32::try_from(notices.len()).unwrap_or(u32::MAX);
        let mut addressed = Vec::with_capacity(notices.len());
        for notice in notices {
            // What was disposed of in between is told to nobody.
            let case = store.disclosure_get(notice.disclosure).await?;
            addressed.push(match case {
                Some(case) => self.notice_addressed(settings, &notice, &case),
                None => Addressed { sequence: notice.sequence, receivers: Vec::new(), remind: None },
            });
        }
        if !addressed.is_empty() {
            store.notices_address(addressed).await?;
        }
        telemetry::notices_waiting(store.deliveries_waiting().await?);
        Ok(count)
    }

    fn notice_addressed(&self, settings: &NoticeSettings, notice: &Notice, case: &Case) -> Addressed {
        let now = self.now();
        let request = case.disclosure.request();
        let people = settings.people.iter().filter(|(_, person)| person.kinds.contains(&notice.kind));
        let people = people.filter(|(name, _)| self.person_is_active(name));
        let mut receivers: Vec<(String, Timestamp)> = people
            .map(|(name, person)| (Receiver::Person(name.clone()).to_string(), settings.told_at(person, now)))
            .collect();
        let systems = settings.systems.iter().filter(|(_, system)| system.kinds.contains(&notice.kind));
        receivers.extend(systems.map(|(name, _)| (Receiver::System(name.clone()).to_string(), now)));
        let is_theirs = NoticeKind::OF_PARTNERS.contains(&notice.kind);
        if is_theirs && self.partner_webhook(settings, request.agreement()).is_some() {
            receivers.push((Receiver::Agreement(request.agreement().clone()).to_string(), now));
        }
        let is_reminded = notice.kind == NoticeKind::New && case.disclosure.state().is_open();
        let remind = is_reminded.then(|| (notice.disclosure, self.notice_late(case)));
        Addressed { sequence: notice.sequence, receivers, remind }
    }

    /// When officers are reminded of a case: when its agreement calls it late, or in the last quarter of its time.
    fn notice_late(&self, case: &Case) -> Timestamp {
        let request = case.disclosure.request();
        let (begun, ends) = (request.received(), request.decide_by());
        let whole = u64::try_from(ends.as_millis().saturating_sub(begun.as_millis())).unwrap_or_default();
        let near = ends.before(Duration::from_millis(whole / 4));
        self.case_escalates(case).map_or(near, |late| late.min(near))
    }

    /// Who has deliveries due.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn notices_due(&self) -> Result<Vec<Receiver>, GateError> {
        let names = self.parts.store.receivers_due(self.now()).await?;
        Ok(names.iter().filter_map(|name| Receiver::parse(name)).collect())
    }

    /// Takes what is due to a receiver. What it does not take is tried again later, or given up in the end. When
    /// nothing is heard from it, the rest waits as well.
    ///
    /// # Errors
    /// [`GateError`] when what came of it could not be kept; then it is tried again, and may arrive twice.
    pub async fn notices_send(
        &self,
        settings: &NoticeSettings,
        receiver: &Receiver,
    ) -> Result<Heard, GateError> {
        let store = &self.parts.store;
        let due = store.deliveries_due(receiver.to_string(), self.now(), DELIVERIES_AT_ONCE).await?;
        let together = match receiver {
            Receiver::Person(name) => {
                let daily = settings.people.get(name).is_some_and(|person| person.digest);
                // A partner that asks for much at once fills nobody's mailbox.
                if daily || due.len() > MAILS_AT_ONCE { due.len() } else { 1 }
            }
            Receiver::System(_) | Receiver::Agreement(_) => 1,
        };
        let mut silent = None;
        for group in due.chunks(together.max(1)) {
            let failed = match silent {
                Some(why) => Err(Failed { why, heard: Heard::Nothing, is_final: false }),
                None => self.notice_send(settings, receiver, group).await,
            };
            if let Err(Failed { why, heard: Heard::Nothing, .. }) = &failed {
                silent = Some(*why);
            }
            let mut tried = Vec::with_capacity(group.len());
            for delivery in group {
                let end = match &failed {
                    Ok(()) => DeliveryEnd::Done,
                    Err(Failed { why, is_final: true, .. }) => DeliveryEnd::GivenUp(why),
                    Err(Failed { why, .. }) => {
                        let random = u32::from_be_bytes(random_bytes(self.parts.entropy.as_ref())?);
                        settings.after_failure(delivery, self.now(), why, random)
                    }
                };
                tell(receiver, delivery, &end);
                tried.push((delivery.notice.sequence, end));
            }
            store.deliveries_end(receiver.to_string(), tried).await?;
        }
        Ok(if silent.is_some() { Heard::Nothing } else { Heard::Something })
    }

    /// Sends to one receiver. Whoever is not to be told any more is told nothing, and that is no failure.
    async fn notice_send(
        &self,
        settings: &NoticeSettings,
        receiver: &Receiver,
        group: &[Delivery],
    ) -> Result<(), Failed> {
        let notices: Vec<Notice> = group.iter().map(|delivery| delivery.notice).collect();
        let webhook = match receiver {
            Receiver::Person(name) => {
                return match settings.people.get(name).filter(|_| self.person_is_active(name)) {
                    Some(person) => self.mail_send(settings, person, receiver, &notices).await,
                    None => Ok(()),
                };
            }
            Receiver::System(name) => settings.systems.get(name).map(|system| system.webhook.clone()),
            Receiver::Agreement(name) => self.partner_webhook(settings, name),
        };
        let (Some(webhook), Some(notice)) = (webhook, notices.first()) else { return Ok(()) };
        let unsigned = |_| Failed { why: "no-key", heard: Heard::Nothing, is_final: false };
        let signer = self.parts.store.notice_signer().await.map_err(unsigned)?;
        let (reach, message) = (settings.reach(&webhook.url.host), WebhookMessage::of(notice));
        webhook_send(&webhook, reach, &message, &signer, self.now()).await.map_err(|error| {
            let heard = if error.is_silent() { Heard::Nothing } else { Heard::Something };
            Failed { why: error.reason(), heard, is_final: error.is_final() }
        })
    }

    async fn mail_send(
        &self,
        settings: &NoticeSettings,
        person: &PersonSettings,
        receiver: &Receiver,
        notices: &[Notice],
    ) -> Result<(), Failed> {
        let Some(mailer) = &settings.mailer else { return Ok(()) };
        let mail = Mail::of(notices, &receiver.to_string(), settings.console.as_deref());
        mailer.send(&mail, &person.address, self.now()).await.map_err(|error| {
            let heard = if error.is_silent() { Heard::Nothing } else { Heard::Something };
            Failed { why: error.reason(), heard, is_final: false }
        })
    }

    fn person_is_active(&self, name: &ActorName) -> bool {
        let live = self.live.load();
        live.registry.people.iter().any(|person| person.name == *name && person.standing == Standing::Active)
    }

    /// The webhook of an agreement whose partner could ask for its disclosures at this moment.
    fn partner_webhook(&self, settings: &NoticeSettings, agreement: &AgreementName) -> Option<Webhook> {
        let live = self.live.load();
        let agreement = live.rules.agreement(agreement).filter(|_| settings.to_partners)?;
        let is_active = live
            .registry
            .partner(&agreement.partner)
            .is_some_and(|partner| partner.standing == Standing::Active);
        let is_told = is_active && agreement.force(today(self.now())) == Force::InForce;
        agreement.webhook.clone().filter(|_| is_told)
    }
}

/// Counts what came of a delivery, and says it where it failed. Who it was for is no matter of the log's lines.
fn tell(receiver: &Receiver, delivery: &Delivery, end: &DeliveryEnd) {
    let attempt = delivery.tries.saturating_add(1);
    let outcome = match end {
        DeliveryEnd::Done => "delivered",
        DeliveryEnd::Again(_, reason) => {
            tracing::warn!(
                kind = receiver.channel(),
                attempt,
                reason,
                "a notice was not delivered; it is tried again"
            );
            "failed"
        }
        DeliveryEnd::GivenUp(reason) => {
            tracing::error!(
                kind = receiver.channel(),
                attempt,
                reason,
                "a notice was not delivered and is given up; `onebit notices status` says to whom"
            );
            "given-up"
        }
    };
    telemetry::notice(receiver.channel(), outcome);
}

/// A round of the job looks at so many; the next takes the rest.
const NOTICES_AT_ONCE: u32 = 256;
/// More that are due at once come in one mail.
const MAILS_AT_ONCE: usize = 5;
/// In one mail, and in one round to a system.
const DELIVERIES_AT_ONCE: u32 = 100;
