//! How long the log's payloads are kept: classes with their authority, which kind of payload has which, and holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;

use super::fault::PolicyFault;
use super::reader::{Mention, Mentioned, Section, read_document};
use super::rules::Rules;
use crate::clock::{Timestamp, date_of, day_of};

/// What the openings of an entry are kept under, so that each can be destroyed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadClass {
    /// Queries, their outcomes, and refused calls.
    Query,
    /// Disclosures, their steps, and fields that were looked at.
    Disclosure,
    /// Enrolment, restrictions and erasures.
    Enrolment,
    /// People, partners, rules, keys and starts.
    Administration,
    /// Readings of the log, and heads of journals.
    Access,
}

impl PayloadClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Query, Self::Disclosure, Self::Enrolment, Self::Administration, Self::Access];

    /// The word in the policy folder, the log and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Disclosure => "disclosure",
            Self::Enrolment => "enrolment",
            Self::Administration => "administration",
            Self::Access => "access",
        }
    }
}

impl fmt::Display for PayloadClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for PayloadClass {
    type Err = UnknownPayload;

    fn from_str(text: &str) -> Result<Self, UnknownPayload> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or(UnknownPayload)
    }
}

/// A text that is no kind of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no such payloads; write `query`, `disclosure`, `enrolment`, `administration` or `access`")]
pub struct UnknownPayload;

/// A class of `policy/retention.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionClass {
    /// Its name.
    pub name: String,
    /// Days from the event to disposal.
    pub days: u32,
    /// The disposal authority that says so.
    pub authority: String,
}

/// A legal hold: what is kept however old it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Which payloads.
    pub payloads: BTreeSet<PayloadClass>,
    /// From which day on.
    pub from: Date,
    /// Why.
    pub reason: String,
}

/// `policy/retention.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RetentionFile {
    pub(super) classes: BTreeMap<String, RetentionClass>,
    pub(super) payloads: BTreeMap<PayloadClass, String>,
    pub(super) holds: Vec<Hold>,
}

impl RetentionFile {
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Self, Vec<Mention>), Vec<PolicyFault>> {
        read_document(file, bytes, |top| {
            let classes = classes(top);
            let payloads = top.inside("payloads", |part| {
                let named = PayloadClass::ALL
                    .map(|class| (class, part.mentioned(class.as_str(), Mentioned::Retention)));
                named
                    .into_iter()
                    .map(|(class, name)| Some((class, name?)))
                    .collect::<Option<BTreeMap<_, _>>>()
            });
            let holds = if top.has("holds") { top.each("holds", hold) } else { Some(Vec::new()) };
            Some(Self { classes: classes?, payloads: payloads?, holds: holds? })
        })
    }
}

fn classes(top: &Section<'_>) -> Option<BTreeMap<String, RetentionClass>> {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let classes = top.each("classes", |part| {
        let name = part.text("name");
        let days = part.number("days", 1..=RETENTION_MAX_DAYS);
        let authority = part.text("authority");
        let (name, authority) = (name?, authority?);
        if !seen.borrow_mut().insert(name.clone()) {
            return part.fault_at("name", format!("the class `{name}` stands twice; keep one"));
        }
        if authority.len() > AUTHORITY_MAX_BYTES {
            let what = format!("the authority is longer than {AUTHORITY_MAX_BYTES} bytes; name it shorter");
            return part.fault_at("authority", what);
        }
        Some(RetentionClass { name, days: days?, authority })
    })?;
    Some(classes.into_iter().map(|class| (class.name.clone(), class)).collect())
}

fn hold(part: &Section<'_>) -> Option<Hold> {
    let payloads = part.names("payloads", 1);
    let from = part.date("from");
    let reason = part.text("reason");
    Some(Hold { payloads: payloads?, from: from?, reason: reason? })
}

/// Leave to dispose of the payloads of a class that are older than a day.
///
/// Only [`Rules::disposable`] makes one.
#[derive(Debug)]
#[must_use = "it is to be handed to the transaction that disposes"]
pub struct Disposable {
    class: PayloadClass,
    before: Date,
    retention: RetentionClass,
}

impl Disposable {
    /// Which payloads.
    #[must_use]
    pub const fn class(&self) -> PayloadClass {
        self.class
    }

    /// What is of earlier days than this one may go.
    #[must_use]
    pub const fn before(&self) -> Date {
        self.before
    }

    /// The class that it was kept by.
    #[must_use]
    pub const fn retention(&self) -> &RetentionClass {
        &self.retention
    }
}

/// Why payloads may not be disposed of yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDisposable {
    /// A day is younger than its class says.
    #[error(
        "payloads of `{class}` are kept for {days} days (`{retention}`), so those from before {before} may go from \
         {from} on; name an earlier date"
    )]
    TooYoung {
        /// Which payloads.
        class: PayloadClass,
        /// The class that they are kept by.
        retention: String,
        /// Its days.
        days: u32,
        /// The day that was named.
        before: Date,
        /// The first day on which it may be done.
        from: Date,
    },
    /// A hold keeps them.
    #[error(
        "payloads of `{class}` from {from} on are held (`{reason}`); name an earlier date, or take the hold out of the rules"
    )]
    Held {
        /// Which payloads.
        class: PayloadClass,
        /// From which day on.
        from: Date,
        /// Why.
        reason: String,
    },
    /// A request id may still come again.
    #[error(
        "an agreement answers request ids again for {hours} hours, and those of `{class}` from before {before} are younger; \
         name an earlier date"
    )]
    WindowOpen {
        /// Which payloads.
        class: PayloadClass,
        /// The longest window.
        hours: u64,
        /// The day that was named.
        before: Date,
    },
}

impl Rules {
    /// The class that payloads are kept by: the longest of the one in `[payloads]` and those that agreements name.
    #[must_use]
    pub fn payload_retention(&self, class: PayloadClass) -> RetentionClass {
        let own = self.retention_file().payloads.get(&class);
        let agreed = self.agreements().filter_map(|agreement| match class {
            PayloadClass::Query => Some(&agreement.retention.queries),
            PayloadClass::Disclosure => Some(&agreement.retention.disclosures),
            PayloadClass::Enrolment | PayloadClass::Administration | PayloadClass::Access => None,
        });
        let named = own.into_iter().chain(agreed).filter_map(|name| self.retention(name));
        // INVARIANT: every name was held to the classes when the folder was loaded; without one, nothing may go.
        named.max_by_key(|class| class.days).cloned().unwrap_or(RetentionClass {
            name: String::new(),
            days: RETENTION_MAX_DAYS,
            authority: String::new(),
        })
    }

    /// What the log says of people in the gallery, also after they were erased, and the class that it is kept by.
    #[must_use]
    pub fn kept_of_people(&self) -> [(PayloadClass, RetentionClass); 3] {
        [PayloadClass::Query, PayloadClass::Disclosure, PayloadClass::Enrolment]
            .map(|class| (class, self.payload_retention(class)))
    }

    /// The legal holds.
    #[must_use]
    pub fn holds(&self) -> &[Hold] {
        &self.retention_file().holds
    }

    /// Leave to dispose of what is older than `before`, if the rules give it at `now`.
    ///
    /// # Errors
    /// [`NotDisposable`] says what stands against it.
    pub fn disposable(
        &self,
        class: PayloadClass,
        before: Date,
        now: Timestamp,
    ) -> Result<Disposable, NotDisposable> {
        let retention = self.payload_retention(class);
        // The youngest of them is of the day before and ends when `before` begins.
        let from = day_of(before).saturating_add(i64::from(retention.days));
        if now.day() < from {
            return Err(NotDisposable::TooYoung {
                class,
                retention: retention.name,
                days: retention.days,
                before,
                from: date_of(from),
            });
        }
        if let Some(hold) =
            self.holds().iter().find(|hold| hold.payloads.contains(&class) && hold.from < before)
        {
            return Err(NotDisposable::Held { class, from: hold.from, reason: hold.reason.clone() });
        }
        let window = self.longest_window(class);
        if now.before(window) < Timestamp::at_day(day_of(before)) {
            return Err(NotDisposable::WindowOpen { class, hours: window.as_secs() / 3_600, before });
        }
        Ok(Disposable { class, before, retention })
    }

    /// The latest date that [`Rules::disposable`] gives leave for at `now`.
    #[must_use]
    pub fn disposable_before(&self, class: PayloadClass, now: Timestamp) -> Date {
        let aged = now.day().saturating_sub(i64::from(self.payload_retention(class).days));
        let answered = now.before(self.longest_window(class)).day();
        let held = self.holds().iter().filter(|hold| hold.payloads.contains(&class)).map(|hold| hold.from);
        held.fold(date_of(aged.min(answered)), Date::min)
    }

    fn longest_window(&self, class: PayloadClass) -> Duration {
        match class {
            PayloadClass::Query | PayloadClass::Disclosure => self
                .agreements()
                .map(|agreement| agreement.clocks.request_id_window)
                .max()
                .unwrap_or_default(),
            PayloadClass::Enrolment | PayloadClass::Administration | PayloadClass::Access => Duration::ZERO,
        }
    }
}

/// A century: longer is not a period but a wish.
const RETENTION_MAX_DAYS: u32 = 36_525;
/// It stands in an entry of the log, whose facts have 8,192 bytes at most.
const AUTHORITY_MAX_BYTES: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Bundle;

    const FILE: &str = include_str!("../../policy/retention.toml");

    fn rules(retention: &str) -> Result<Rules, Vec<PolicyFault>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        let bundle = Bundle::read_folder(&folder).unwrap();
        let files = bundle.files().map(|(path, content)| {
            let content = if path == "retention.toml" { retention.as_bytes() } else { content };
            (path.to_owned(), content.to_vec())
        });
        Rules::load(Bundle::from_files(files).unwrap())
    }

    fn faults(retention: &str) -> Vec<String> {
        rules(retention).err().unwrap().iter().map(ToString::to_string).collect()
    }

    fn noon(date: Date) -> Timestamp {
        Timestamp::at_day(day_of(date)).after(Duration::from_secs(12 * 3_600))
    }

    #[test]
    fn classes_are_named_once() {
        assert_eq!(RetentionFile::parse("retention.toml", FILE.as_bytes()).unwrap().0.classes.len(), 5);
        let twice = FILE.replacen("name = \"disclosure-log\"", "name = \"query-log\"", 1);
        let found = faults(&twice);
        assert!(found.iter().any(|fault| fault.contains("stands twice")), "{found:#?}");
    }

    #[test]
    fn every_payload_has_a_class_that_is_there() {
        for class in PayloadClass::ALL {
            let line = FILE.lines().find(|line| line.starts_with(&format!("{class} = "))).unwrap();
            let found = faults(&FILE.replace(line, ""));
            assert!(found.iter().any(|fault| fault.contains(class.as_str())), "without {class}: {found:#?}");
            let found = faults(&FILE.replace(line, &format!("{class} = \"forever\"")));
            assert!(found.iter().any(|fault| fault.contains("no retention class")), "{class}: {found:#?}");
        }
        let (whole, _) = FILE.split_once("[payloads]").unwrap();
        assert!(faults(whole).iter().any(|fault| fault.contains("payloads")));
    }

    #[test]
    fn the_longest_class_that_applies_decides() {
        let shorter = FILE.replace("query = \"query-log\"", "query = \"short\"")
            + "\n[[classes]]\nname = \"short\"\ndays = 1\nauthority = \"A\"\n";
        let rules = rules(&shorter).unwrap();
        assert_eq!(rules.payload_retention(PayloadClass::Query).name, "query-log", "as the agreements say");
    }

    #[test]
    fn a_day_may_go_when_its_last_moment_is_old_enough() {
        let rules = rules(&FILE.replace("days = 2557", "days = 30")).unwrap();
        let before = Date::constant(2026, 3, 1);
        // What happened in the last moment of February is 30 days old when the 31st of March begins.
        let first = Date::constant(2026, 3, 31);
        let early = rules.disposable(PayloadClass::Access, before, noon(Date::constant(2026, 3, 30)));
        assert!(matches!(early, Err(NotDisposable::TooYoung { from, days: 30, .. }) if from == first));
        let leave = rules.disposable(PayloadClass::Access, before, Timestamp::at_day(day_of(first))).unwrap();
        assert_eq!(
            (leave.class(), leave.before(), leave.retention().days),
            (PayloadClass::Access, before, 30)
        );
        assert_eq!(rules.disposable_before(PayloadClass::Access, noon(first)), before);
    }

    #[test]
    fn a_hold_and_an_open_window_keep_what_is_old_enough() {
        let held = FILE.replace("days = 2557", "days = 1")
            + "\n[[holds]]\npayloads = [\"access\"]\nfrom = 2026-02-01\nreason = \"an inquiry\"\n";
        let rules = rules(&held).unwrap();
        let now = noon(Date::constant(2027, 1, 1));
        let (until, beyond) = (Date::constant(2026, 2, 1), Date::constant(2026, 2, 2));
        assert!(rules.disposable(PayloadClass::Access, until, now).is_ok());
        let refused = rules.disposable(PayloadClass::Access, beyond, now);
        assert!(matches!(refused, Err(NotDisposable::Held { from, .. }) if from == until));
        assert_eq!(rules.disposable_before(PayloadClass::Access, now), until);
        // One day is over, but an agreement answers request ids again for 24 hours: at noon, half of them.
        let yesterday = Date::constant(2026, 12, 31);
        assert!(rules.disposable(PayloadClass::Query, yesterday, now).is_ok());
        let window = FILE.replace("days = 2557", "days = 1");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        let bundle = Bundle::read_folder(&folder).unwrap();
        let files = bundle.files().map(|(path, content)| {
            let text = String::from_utf8_lossy(content).into_owned();
            let text = match path {
                "retention.toml" => window.clone(),
                _ => text.replace("request_id_window_hours = 24", "request_id_window_hours = 72"),
            };
            (path.to_owned(), text.into_bytes())
        });
        let longer = Rules::load(Bundle::from_files(files).unwrap()).unwrap();
        let refused = longer.disposable(PayloadClass::Query, yesterday, now);
        assert!(matches!(refused, Err(NotDisposable::WindowOpen { hours: 72, .. })), "{refused:?}");
        assert_eq!(longer.disposable_before(PayloadClass::Query, now), Date::constant(2026, 12, 29));
    }
}
