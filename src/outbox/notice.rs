//! Who is told, of what, and how often it is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::mail::{MailAddress, Mailer};
use super::webhook::Reach;
use crate::authz::Webhook;
use crate::clock::Timestamp;
use crate::ids::{ActorName, AgreementName};
use crate::store::{Delivery, DeliveryEnd, NoticeKind};

/// Everything that the operator configured about notices.
#[derive(Clone)]
pub struct NoticeSettings {
    /// What hands over mails; nobody is told by mail without.
    pub mailer: Option<Mailer>,
    /// People by their names in the registry.
    pub people: BTreeMap<ActorName, PersonSettings>,
    /// The holder's own systems, by names of the operator's choice.
    pub systems: BTreeMap<String, SystemSettings>,
    /// Whether partners are told whose agreement names a webhook.
    pub to_partners: bool,
    /// Hosts that may be in a private network.
    pub private_hosts: BTreeSet<String>,
    /// The hour (UTC) at which people get their one mail of the day who want it so.
    pub digest_hour: u8,
    /// How long after the first failure it is tried again; then twice as long, and so on.
    pub retry_after: Duration,
    /// After how long it is not tried any more.
    pub give_up_after: Duration,
    /// The console's address for links.
    pub console: Option<String>,
}

impl Default for NoticeSettings {
    fn default() -> Self {
        Self {
            mailer: None,
            people: BTreeMap::new(),
            systems: BTreeMap::new(),
            to_partners: false,
            private_hosts: BTreeSet::new(),
            digest_hour: 0,
            retry_after: Duration::from_secs(30),
            give_up_after: Duration::from_secs(72 * 3_600),
            console: None,
        }
    }
}

/// How a person is told.
#[derive(Debug, Clone)]
pub struct PersonSettings {
    /// Where.
    pub address: MailAddress,
    /// Of what.
    pub kinds: BTreeSet<NoticeKind>,
    /// Whether in one mail a day.
    pub digest: bool,
}

/// How a system of the holder is told.
#[derive(Debug, Clone)]
pub struct SystemSettings {
    /// Where.
    pub webhook: Webhook,
    /// Of what.
    pub kinds: BTreeSet<NoticeKind>,
}

/// Somebody who is told, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiver {
    /// A person of the holder, by mail.
    Person(ActorName),
    /// A system of the holder.
    System(String),
    /// The partner's system that an agreement names.
    Agreement(AgreementName),
}

impl fmt::Display for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) => write!(out, "{PERSON}/{name}"),
            Self::System(name) => write!(out, "{SYSTEM}/{name}"),
            Self::Agreement(name) => write!(out, "{AGREEMENT}/{name}"),
        }
    }
}

impl Receiver {
    /// Reads the name that the store keeps; `None` for one that no version wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once('/')?;
        match kind {
            PERSON => ActorName::parse(name).ok().map(Self::Person),
            SYSTEM => Some(Self::System(name.to_owned())),
            AGREEMENT => AgreementName::parse(name).ok().map(Self::Agreement),
            _ => None,
        }
    }

    /// A fixed word for metrics and log lines.
    #[must_use]
    pub const fn channel(&self) -> &'static str {
        match self {
            Self::Person(_) => "mail",
            Self::System(_) => "system",
            Self::Agreement(_) => "partner",
        }
    }

    /// What waits for one another: all mail goes through one server, each system is on its own.
    #[must_use]
    pub fn lane(&self) -> String {
        match self {
            Self::Person(_) => "mail".to_owned(),
            Self::System(_) | Self::Agreement(_) => self.to_string(),
        }
    }
}

impl NoticeSettings {
    /// Whether a system of this host may be in a private network.
    #[must_use]
    pub fn reach(&self, host: &str) -> Reach {
        if self.private_hosts.contains(host) { Reach::Private } else { Reach::Public }
    }

    /// When a person is told of what happens now.
    #[must_use]
    pub fn told_at(&self, person: &PersonSettings, now: Timestamp) -> Timestamp {
        if !person.digest {
            return now;
        }
        let hour = Duration::from_secs(u64::from(self.digest_hour).saturating_mul(3_600));
        let today = Timestamp::at_day(now.day()).after(hour);
        if today > now { today } else { Timestamp::at_day(now.day().saturating_add(1)).after(hour) }
    }

    /// What becomes of a delivery that failed just now. `random` spreads the tries of those that failed together.
    #[must_use]
    pub fn after_failure(
        &self,
        delivery: &Delivery,
        now: Timestamp,
        why: &'static str,
        random: u32,
    ) -> DeliveryEnd {
        let pause = self.pause(delivery.tries, random);
        let next = now.after(pause);
        if next > delivery.begun.after(self.give_up_after) {
            return DeliveryEnd::GivenUp(why);
        }
        DeliveryEnd::Again(next, why)
    }

    /// Between a half and the whole of the first pause, doubled with each try.
    fn pause(&self, tries: u32, random: u32) -> Duration {
        let whole = self.retry_after.saturating_mul(1 << tries.min(DOUBLED_MOST)).min(PAUSE_LONGEST);
        let half = whole / 2;
        half.saturating_add(half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
    }
}

const PERSON: &str = "person";
const SYSTEM: &str = "system";
const AGREEMENT: &str = "agreement";
const DOUBLED_MOST: u32 = 16;
/// Three hours: whoever repairs a receiver in the morning need not wait for the afternoon.
const PAUSE_LONGEST: Duration = Duration::from_secs(3 * 3_600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::DisclosureId;
    use crate::store::Notice;

    fn delivery(tries: u32) -> Delivery {
        let (disclosure, at) = (DisclosureId::from_bytes([1; 16]), Timestamp::from_millis(0));
        let notice = Notice { sequence: 1, id: [1; 16], kind: NoticeKind::New, disclosure, at };
        Delivery { notice, begun: at, tries }
    }

    #[test]
    fn the_daily_mail_is_due_at_the_next_hour_that_was_configured() {
        let settings = NoticeSettings { digest_hour: 7, ..NoticeSettings::default() };
        let mut person =
            PersonSettings { address: "a@b.example".parse().unwrap(), kinds: BTreeSet::new(), digest: true };
        let at = |day, hour: u64| Timestamp::at_day(day).after(Duration::from_secs(hour * 3_600));
        assert_eq!(settings.told_at(&person, at(3, 6)), at(3, 7));
        assert_eq!(
            settings.told_at(&person, at(3, 7)),
            at(4, 7),
            "what comes at the hour waits for the next day"
        );
        assert_eq!(settings.told_at(&person, at(3, 9)), at(4, 7));
        person.digest = false;
        assert_eq!(settings.told_at(&person, at(3, 9)), at(3, 9));
    }

    #[test]
    fn receivers_are_read_as_they_are_written() {
        for text in ["person/anna", "system/desk", "agreement/au-border-identity"] {
            assert_eq!(Receiver::parse(text).unwrap().to_string(), text);
        }
        assert_eq!((Receiver::parse("anna"), Receiver::parse("other/anna")), (None, None));
    }

    proptest! {
        #[test]
        fn pauses_grow_and_end_when_the_time_is_over(random in any::<u32>(), first in 1..3_600_u64, hours in 1..720_u64) {
            let settings = NoticeSettings {
                retry_after: Duration::from_secs(first),
                give_up_after: Duration::from_secs(hours * 3_600),
                ..NoticeSettings::default()
            };
            let (mut now, mut tries, mut before) = (Timestamp::from_millis(0), 0, Duration::ZERO);
            loop {
                match settings.after_failure(&delivery(tries), now, "refused", random) {
                    DeliveryEnd::Again(next, why) => {
                        let pause = settings.pause(tries, random);
                        prop_assert!(pause >= before && pause <= PAUSE_LONGEST.max(settings.retry_after), "{pause:?}");
                        prop_assert!(next > now && why == "refused");
                        (now, tries, before) = (next, tries + 1, pause);
                    }
                    DeliveryEnd::GivenUp(_) => break,
                    DeliveryEnd::Done => prop_assert!(false, "a failure is not done"),
                }
                prop_assert!(tries < 2_000, "it must end");
            }
            prop_assert!(now.as_millis() <= i64::try_from(settings.give_up_after.as_millis()).unwrap());
        }
    }
}
