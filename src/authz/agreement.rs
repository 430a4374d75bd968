//! Agreements: the legal instrument between holder and partner, as a file that the rules read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;

use super::actor::Role;
use super::fault::PolicyFault;
use super::reader::{Mention, Mentioned, Section, read_document};
use super::webhook::{Webhook, webhook};
use crate::clock::Within;
use crate::ids::{AgreementName, CollectionName, FieldName, PartnerName, PurposeName, RestrictionName};
use crate::template::Rate;

/// What holder and partner agreed on: a file of `policy/agreements/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// Its name, and that of its file.
    pub name: AgreementName,
    /// The partner.
    pub partner: PartnerName,
    /// The SPIFFE trust domain of the partner's certificates, where the instrument names it.
    pub trust_domain: Option<String>,
    /// The legal instrument.
    pub instrument: Instrument,
    /// When it holds.
    pub term: Term,
    /// What may be asked for, by name; one at least.
    pub purposes: BTreeMap<PurposeName, Purpose>,
    /// Where may be searched; one at least.
    pub collections: BTreeSet<CollectionName>,
    /// Subjects hidden by any other restriction are answered as if they were not there.
    pub visible_restrictions: BTreeSet<RestrictionName>,
    /// How much may be asked.
    pub volumes: Volumes,
    /// How often a stranger may be taken for somebody.
    pub accuracy: Accuracy,
    /// Who must approve a disclosure: all of these, by distinct people, two at least.
    pub approval: Vec<Factor>,
    /// What decisions may be signed by; without the key, by either.
    pub decisions_signed_by: BTreeSet<SignedBy>,
    /// Where the partner's own system is told of its disclosures; nowhere without.
    pub webhook: Option<Webhook>,
    /// How long things may take.
    pub clocks: Clocks,
    /// What holds instead where the partner asks for the urgent path; without it there is none.
    pub urgent: Option<Urgent>,
    /// How long things are kept.
    pub retention: Retention,
    /// Whether a fresh sample must confirm the hit before officers decide.
    pub hit_confirmation: HitConfirmation,
    /// On what condition the partner may pass on what it received.
    pub onward_transfer: String,
    /// What the holder relies on to disclose, and to disclose abroad.
    pub privacy: Privacy,
    /// The holder's finding that all this is proportionate.
    pub proportionality: Proportionality,
}

/// The legal instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Its title.
    pub title: String,
    /// The number under which it can be found.
    pub reference: String,
    /// The part of it that allows these checks.
    pub article: String,
}

/// When an agreement holds; all days in UTC and all of them included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub until: Date,
    /// The last day before a review is overdue.
    pub review_by: Date,
}

/// Whether an agreement holds on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It does.
    InForce,
    /// Its first day has not come.
    NotBegun,
    /// Its last day has passed.
    Ended,
    /// Its review is overdue: nobody may use it until it was reviewed.
    ReviewOverdue,
}

/// A purpose of an agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// The legal basis.
    pub basis: String,
    /// The offence or the gravity below which nobody may ask.
    pub gravity: String,
    /// The fields that people may approve for it.
    pub discloses: BTreeSet<FieldName>,
}

/// How much may be asked; a query counts once however many samples it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volumes {
    /// Queries a day (UTC).
    pub per_day: u32,
    /// Queries a calendar year (UTC).
    pub per_year: u32,
    /// Samples of the one person in a query.
    pub samples_per_query: u32,
}

/// How often a stranger may be taken for somebody.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// False positive identification rate (ISO/IEC 19795-1): false hits a query of a stranger, over a
    /// whole collection.
    pub fpir: f64,
    /// The false hits a year that both sides accept, if the whole volume were strangers.
    pub false_hits_per_year: f64,
}

/// Some people of a role who must approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// Their role.
    pub role: Role,
    /// How many of them.
    pub number: u32,
    /// From how many units of the holder at least.
    pub units: u32,
    /// Whether each of them names the reference of a comparison that was made outside.
    pub comparison: bool,
}

/// What a decision is signed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignedBy {
    /// A passkey of the officer's, at the console.
    Passkey,
    /// The key of the officer's certificate.
    Certificate,
}

impl SignedBy {
    /// Every way, in the order of the documents.
    pub const ALL: [Self; 2] = [Self::Passkey, Self::Certificate];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for SignedBy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for SignedBy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|by| by.as_str() == text)
            .ok_or_else(|| format!("`{text}` signs no decision; write `passkey` or `certificate`"))
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// An undecided disclosure expires after it.
    pub decide_within: Within,
    /// An undecided disclosure is shown as late after it; none is before its end.
    pub escalate_after: Option<Within>,
    /// A release that nobody acknowledged is deleted after it.
    pub release_kept: Duration,
    /// A partner acknowledges a correction of what it received within it.
    pub correct_within: Duration,
    /// A repeated request gets the first answer within it, and is refused after it.
    pub request_id_window: Duration,
}

/// The urgent path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urgent {
    /// Who must approve; as ever two people at least.
    pub approval: Vec<Factor>,
    /// An undecided disclosure expires after it: sooner than by the ordinary clock.
    pub decide_within: Duration,
    /// An undecided disclosure is shown as late after it.
    pub escalate_after: Option<Duration>,
    /// After a release, its review is late after it.
    pub review_within: Within,
}

/// Classes of `policy/retention.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// For queries and their outcomes.
    pub queries: String,
    /// For disclosures and their decisions.
    pub disclosures: String,
}

/// Whether a fresh sample is to confirm the hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HitConfirmation {
    /// The hit is enough.
    Off,
    /// A fresh sample comes with each request, and is compared with the matched subject alone.
    Required(ConfirmationRates),
}

/// False match rates (FMR) of the two similarities between which a comparison is inconclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfirmationRates {
    /// As alike as so few pairs of different people are, or more: it confirms.
    pub confirms: Rate,
    /// Less alike than so many pairs of different people are: it contradicts.
    pub contradicts: Rate,
}

/// What the holder relies on under the Privacy Act 2020 and its codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// The exception to principle (or rule) 11, limits on disclosure: `11(1)(e)(i)`.
    pub rule_11_exception: String,
    /// Why it applies.
    pub rule_11_reason: String,
    /// The gateway of principle (or rule) 12, disclosure outside New Zealand: `12(1)(f)`.
    pub rule_12_gateway: String,
    /// Why it applies.
    pub rule_12_reason: String,
}

/// The holder's finding that the checks are proportionate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proportionality {
    /// When it was found.
    pub date: Date,
    /// How well the checks do what they are for.
    pub effectiveness: String,
    /// What else was considered.
    pub alternatives: String,
    /// What lowers the risk.
    pub safeguards: String,
    /// What it means for Māori.
    pub impact_on_maori: String,
}

impl Agreement {
    /// Whether the agreement holds on `today` (UTC).
    #[must_use]
    pub fn force(&self, today: Date) -> Force {
        if today < self.term.from {
            Force::NotBegun
        } else if today > self.term.until {
            Force::Ended
        } else if today > self.term.review_by {
            Force::ReviewOverdue
        } else {
            Force::InForce
        }
    }

    /// Whether the agreement names the purpose and, where one is given, the collection.
    #[must_use]
    pub fn covers(&self, collection: Option<&CollectionName>, purpose: &PurposeName) -> bool {
        self.purposes.contains_key(purpose) && collection.is_none_or(|name| self.collections.contains(name))
    }

    /// Reads a file of `agreements/`; the mentions are to be checked against the other files.
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Self, Vec<Mention>), Vec<PolicyFault>> {
        read_document(file, bytes, agreement)
    }
}

fn agreement(top: &Section<'_>) -> Option<Agreement> {
    let name = top.parsed("name");
    let partner = top.parsed("partner");
    let trust_domain = trust_domain(top);
    let instrument = top.inside("instrument", instrument);
    let term = top.inside("term", term);
    let purposes = purposes(top);
    let scope = top.inside("scope", |scope| {
        let collections = scope.mentioned_names("collections", 1, Mentioned::Collection);
        let visible_restrictions = scope.names("visible_restrictions", 0);
        collections.zip(visible_restrictions)
    });
    let volumes = top.inside("volumes", volumes);
    let accuracy = top.inside("accuracy", |part| accuracy(part, volumes));
    let approval = approval(top);
    let decisions_signed_by = if top.has("decisions_signed_by") {
        top.names("decisions_signed_by", 1)
    } else {
        Some(SignedBy::ALL.into_iter().collect())
    };
    let webhook = if top.has("webhook") { top.inside("webhook", webhook).map(Some) } else { Some(None) };
    let clocks = top.inside("clocks", clocks);
    let urgent = match top.has("urgent") {
        true => top.inside("urgent", |part| urgent(part, approval.as_deref(), clocks)).map(Some),
        false => Some(None),
    };
    let retention = top.inside("retention", |part| {
        let queries = part.mentioned::<String>("queries", Mentioned::Retention);
        let disclosures = part.mentioned::<String>("disclosures", Mentioned::Retention);
        Some(Retention { queries: queries?, disclosures: disclosures? })
    });
    let hit_confirmation = top.inside("hit", hit_confirmation);
    let onward_transfer = top.inside("onward_transfer", |part| part.text("condition"));
    let privacy = top.inside("privacy", privacy);
    let proportionality = top.inside("proportionality", proportionality);
    let (collections, visible_restrictions) = scope?;
    Some(Agreement {
        name: name?,
        partner: partner?,
        trust_domain: trust_domain?,
        instrument: instrument?,
        term: term?,
        purposes: purposes?,
        collections,
        visible_restrictions,
        volumes: volumes?,
        accuracy: accuracy?,
        approval: approval?,
        decisions_signed_by: decisions_signed_by?,
        webhook: webhook?,
        clocks: clocks?,
        urgent: urgent?,
        retention: retention?,
        hit_confirmation: hit_confirmation?,
        onward_transfer: onward_transfer?,
        privacy: privacy?,
        proportionality: proportionality?,
    })
}

fn trust_domain(top: &Section<'_>) -> Option<Option<String>> {
    let given = top.optional_text("trust_domain")?;
    // SPIFFE ID, section 2.1.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    match given {
        Some(domain) if !domain.chars().all(plain) => top.fault_at(
            "trust_domain",
            format!("`{domain}` is not a trust domain; use lowercase letters, digits, `.`, `-` and `_`"),
        ),
        given => Some(given),
    }
}

fn instrument(part: &Section<'_>) -> Option<Instrument> {
    let title = part.text("title");
    let reference = part.text("reference");
    let article = part.text("article");
    Some(Instrument { title: title?, reference: reference?, article: article? })
}

fn term(part: &Section<'_>) -> Option<Term> {
    let from = part.date("from");
    let until = part.date("until");
    let review_by = part.date("review_by");
    let term = Term { from: from?, until: until?, review_by: review_by? };
    if term.until < term.from {
        return part.fault_at("until", "`until` lies before `from`; write the last day of the agreement");
    }
    if term.review_by < term.from || term.review_by > term.until {
        return part.fault_at("review_by", "`review_by` lies outside the term; write a day of the term");
    }
    Some(term)
}

fn purposes(top: &Section<'_>) -> Option<BTreeMap<PurposeName, Purpose>> {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let purposes = top.each("purposes", |part| {
        let name: Option<PurposeName> = part.parsed("name");
        let basis = part.text("basis");
        let gravity = part.text("gravity");
        let discloses = part.names("discloses", 0);
        let name = name?;
        if !seen.borrow_mut().insert(name.clone()) {
            return part.fault_at("name", format!("the purpose `{name}` stands twice; keep one"));
        }
        Some((name, Purpose { basis: basis?, gravity: gravity?, discloses: discloses? }))
    })?;
    Some(purposes.into_iter().collect())
}

fn volumes(part: &Section<'_>) -> Option<Volumes> {
    let per_day = part.number("per_day", 1..=VOLUME_MAX);
    let per_year = part.number("per_year", 1..=VOLUME_MAX);
    let samples_per_query = part.number("samples_per_query", 1..=SAMPLES_MAX);
    let volumes = Volumes { per_day: per_day?, per_year: per_year?, samples_per_query: samples_per_query? };
    if volumes.per_day > volumes.per_year {
        return part.fault_at("per_day", "`per_day` is more than `per_year`; lower it");
    }
    Some(volumes)
}

fn accuracy(part: &Section<'_>, volumes: Option<Volumes>) -> Option<Accuracy> {
    let fpir = part.real("fpir", FPIR_MIN..=FPIR_MAX);
    let limit = part.real("false_hits_per_year", 0.0..=FALSE_HITS_MAX);
    let accuracy = Accuracy { fpir: fpir?, false_hits_per_year: limit? };
    let expected = f64::from(volumes?.per_year) * accuracy.fpir;
    if expected > accuracy.false_hits_per_year * ROUNDING {
        return part.fault_at(
            "fpir",
            format!(
                "`per_year` × `fpir` expects {expected} false hits a year, more than `false_hits_per_year` {} allows; lower the volume or the rate",
                accuracy.false_hits_per_year
            ),
        );
    }
    Some(accuracy)
}

fn approval(top: &Section<'_>) -> Option<Vec<Factor>> {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let factors = top.each("approval", |part| {
        let role = part.mentioned("role", Mentioned::Decider);
        let number = part.number("number", 1..=PEOPLE_MAX);
        let units = part.number_or("units", 1, 1..=PEOPLE_MAX);
        let comparison = part.word_or("comparison", "off", &["off", "required"]);
        let comparison = comparison? == "required";
        let factor = Factor { role: role?, number: number?, units: units?, comparison };
        if factor.units > factor.number {
            return part.fault_at("units", "`units` is more than `number`; nobody is of two units, lower it");
        }
        if !seen.borrow_mut().insert(factor.role) {
            return part
                .fault_at("role", format!("the role `{}` stands twice; add the numbers", factor.role));
        }
        Some(factor)
    })?;
    if factors.iter().map(|factor| factor.number).sum::<u32>() < PEOPLE_MIN {
        return top
            .fault_at("approval", "`approval` needs two people at least; raise a number or add a role");
    }
    Some(factors)
}

fn clocks(part: &Section<'_>) -> Option<Clocks> {
    let decide = within(part, "decide_within_hours", "decide_within_working_days");
    let escalate = within(part, "escalate_after_hours", "escalate_after_working_days");
    let kept = part.number("release_kept_hours", 1..=HOURS_MAX);
    let correct = part.optional_number("correct_within_hours", 1..=HOURS_MAX);
    let window = part.number("request_id_window_hours", 1..=HOURS_MAX);
    let hours = |hours: u32| Duration::from_secs(u64::from(hours) * SECONDS_PER_HOUR);
    let (decide_within, escalate_after) = (decide?.unwrap_or(DECIDE_WITHIN), escalate?);
    // Days of work may lie days apart: of two kinds of terms neither is sure to come first.
    let alike = |one: Within| std::mem::discriminant(&one) == std::mem::discriminant(&decide_within);
    if escalate_after.is_some_and(|late| !alike(late) || late.at_least() >= decide_within.at_least()) {
        let key = match decide_within {
            Within::Time(_) => "escalate_after_hours",
            Within::WorkingDays(_) => "escalate_after_working_days",
        };
        return part.fault_at(
            "clocks",
            format!("a case must be late before it is over; write `{key}`, smaller than the time to decide"),
        );
    }
    Some(Clocks {
        decide_within,
        escalate_after,
        release_kept: hours(kept?),
        correct_within: correct?.map_or(CORRECT_WITHIN, hours),
        request_id_window: hours(window?),
    })
}

/// The urgent path; whom it does not name approve as they do otherwise.
fn urgent(part: &Section<'_>, ordinary: Option<&[Factor]>, clocks: Option<Clocks>) -> Option<Urgent> {
    let approval = if part.has("approval") { approval(part) } else { ordinary.map(<[Factor]>::to_vec) };
    let decide = part.number("decide_within_hours", 1..=HOURS_MAX);
    let escalate = part.optional_number("escalate_after_hours", 1..=HOURS_MAX);
    let review = within(part, "review_within_hours", "review_within_working_days");
    let hours = |hours: u32| Duration::from_secs(u64::from(hours) * SECONDS_PER_HOUR);
    let (decide_within, escalate_after) = (hours(decide?), escalate?.map(hours));
    if decide_within >= clocks?.decide_within.at_least() {
        return part.fault_at(
            "decide_within_hours",
            "the urgent path is no shorter than the ordinary one; lower `decide_within_hours`, or leave `[urgent]` out",
        );
    }
    if escalate_after.is_some_and(|late| late >= decide_within) {
        return part.fault_at(
            "escalate_after_hours",
            "a case must be late before it is over; write fewer hours than there are to decide",
        );
    }
    let Some(review_within) = review? else {
        return part.fault_at(
            "urgent",
            "an urgent release is reviewed afterwards; write `review_within_hours` or `review_within_working_days`",
        );
    };
    Some(Urgent { approval: approval?, decide_within, escalate_after, review_within })
}

/// A term in hours or in working days, not in both.
fn within(part: &Section<'_>, hours: &'static str, days: &'static str) -> Option<Option<Within>> {
    let given = part.optional_number(hours, 1..=HOURS_MAX);
    let working = part.optional_number(days, 1..=WORKING_DAYS_MAX);
    match (given?, working?) {
        (None, None) => Some(None),
        (Some(given), None) => {
            Some(Some(Within::Time(Duration::from_secs(u64::from(given) * SECONDS_PER_HOUR))))
        }
        (None, Some(working)) => Some(u16::try_from(working).ok().map(Within::WorkingDays)),
        (Some(_), Some(_)) => part.fault_at(days, format!("`{hours}` and `{days}` are both there; keep one")),
    }
}

fn hit_confirmation(part: &Section<'_>) -> Option<HitConfirmation> {
    if part.word("confirmation", &["off", "required"])? == "off" {
        return Some(HitConfirmation::Off);
    }
    let confirms = part.real("confirms_fmr", CONFIRMATION_FMR);
    let contradicts = part.real("contradicts_fmr", CONFIRMATION_FMR);
    let rates = ConfirmationRates {
        confirms: Rate::new(confirms?).ok()?,
        contradicts: Rate::new(contradicts?).ok()?,
    };
    if rates.contradicts <= rates.confirms {
        return part.fault_at(
            "contradicts_fmr",
            "`contradicts_fmr` is no greater than `confirms_fmr`; raise it, so that what lies between is inconclusive",
        );
    }
    Some(HitConfirmation::Required(rates))
}

fn privacy(part: &Section<'_>) -> Option<Privacy> {
    let rule_11_exception = reference(part, "rule_11_exception", "11(");
    let rule_11_reason = part.text("rule_11_reason");
    let rule_12_gateway = reference(part, "rule_12_gateway", "12(");
    let rule_12_reason = part.text("rule_12_reason");
    Some(Privacy {
        rule_11_exception: rule_11_exception?,
        rule_11_reason: rule_11_reason?,
        rule_12_gateway: rule_12_gateway?,
        rule_12_reason: rule_12_reason?,
    })
}

fn reference(part: &Section<'_>, key: &'static str, start: &str) -> Option<String> {
    let text = part.text(key)?;
    if text.starts_with(start) {
        return Some(text);
    }
    part.fault_at(key, format!("`{key}` is `{text}`; name the paragraph, `{start}1)…`"))
}

fn proportionality(part: &Section<'_>) -> Option<Proportionality> {
    let date = part.date("date");
    let effectiveness = part.text("effectiveness");
    let alternatives = part.text("alternatives");
    let safeguards = part.text("safeguards");
    let impact_on_maori = part.text("impact_on_maori");
    Some(Proportionality {
        date: date?,
        effectiveness: effectiveness?,
        alternatives: alternatives?,
        safeguards: safeguards?,
        impact_on_maori: impact_on_maori?,
    })
}

/// More than one query a second, all year: bulk exchange is another instrument.
const VOLUME_MAX: u32 = 50_000_000;
/// A visit to a counter yields a handful of images; more would be a walk through the space.
const SAMPLES_MAX: u32 = 10;
/// One in 10^12 queries: beyond what any calibration can show.
const FPIR_MIN: f64 = 1e-12;
/// One in a hundred queries: beyond it an answer says too little.
const FPIR_MAX: f64 = 1e-2;
const FALSE_HITS_MAX: f64 = 1e6;
/// One pair of different people in ten is as alike: beyond it a word would say nothing.
const CONFIRMATION_FMR: RangeInclusive<f64> = FPIR_MIN..=1e-1;
/// A product of decimals in binary may come out a hair too large.
const ROUNDING: f64 = 1.0 + 1e-9;
/// Nobody decides alone.
const PEOPLE_MIN: u32 = 2;
const PEOPLE_MAX: u32 = 10;
/// Three days: long enough for a weekend, short enough that nobody acts for long on what is wrong.
const CORRECT_WITHIN: Duration = Duration::from_secs(72 * SECONDS_PER_HOUR);
const DECIDE_WITHIN: Within = Within::Time(Duration::from_secs(48 * SECONDS_PER_HOUR));
/// Ninety days.
const HOURS_MAX: u32 = 2_160;
/// A quarter of a year.
const WORKING_DAYS_MAX: u32 = 65;
const SECONDS_PER_HOUR: u64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../policy/agreements/au-border-identity.toml");

    fn parse(text: &str) -> Result<Agreement, Vec<String>> {
        Agreement::parse("agreements/a.toml", text.as_bytes())
            .map(|(agreement, _)| agreement)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// The example with `from` replaced by `to`, and the line on which it stands.
    fn with(from: &str, to: &str) -> (String, usize) {
        assert_eq!(GOOD.matches(from).count(), 1, "`{from}` should stand once in the example");
        let line = GOOD.split(from).next().unwrap().matches('\n').count() + 1;
        (GOOD.replace(from, to), line)
    }

    #[test]
    fn example_is_read() {
        let agreement = parse(GOOD).unwrap();
        assert_eq!(agreement.name.as_str(), "au-border-identity");
        assert_eq!(agreement.volumes.per_year, 400_000);
        assert_eq!(
            agreement.approval,
            [Factor { role: Role::ApprovingOfficer, number: 2, units: 1, comparison: false }]
        );
        let purpose = PurposeName::parse("border-identity").unwrap();
        assert!(agreement.covers(None, &purpose));
        assert!(!agreement.covers(Some(&CollectionName::parse("elsewhere").unwrap()), &purpose));
    }

    #[test]
    fn faults_stand_where_they_are() {
        let cases = [
            ("partner = \"au-border\"", "partner = \"AU border\"", "is not a name"),
            ("per_day = 2_000", "perday = 2_000", "`perday` is not a key here"),
            ("per_day = 2_000", "per_day = 500_000", "more than `per_year`"),
            ("fpir = 1e-6", "fpir = 1e-5", "false hits a year"),
            ("until = 2030-12-31", "until = 2025-12-31", "before `from`"),
            ("review_by = 2029-12-31", "review_by = 2031-01-01", "outside the term"),
            ("confirmation = \"off\"", "confirmation = \"maybe\"", "write `off` or `required`"),
            ("number = 2", "number = 0", "from 1 to 10"),
            ("role = \"approving-officer\"", "role = \"boss\"", "is not a role"),
            ("rule_12_gateway = \"12(1)(f)\"", "rule_12_gateway = \"adequate\"", "name the paragraph"),
            ("impact_on_maori = \"", "impact_on_maori = \" \" # ", "is empty"),
            ("name = \"serious-crime\"", "name = \"border-identity\"", "stands twice"),
            ("border.au.example", "Border AU", "is not a trust domain"),
        ];
        for (from, to, message) in cases {
            let (text, line) = with(from, to);
            let faults = parse(&text).expect_err(&format!("`{to}` should have been refused"));
            assert!(
                faults.iter().any(|fault| {
                    fault.starts_with(&format!("policy/agreements/a.toml:{line}:")) && fault.contains(message)
                }),
                "no fault on line {line} says `{message}`: {faults:#?}"
            );
        }
    }

    #[test]
    fn a_confirmation_names_the_rates_between_which_it_is_inconclusive() {
        let required = |rates: &str| {
            parse(&with("confirmation = \"off\"", &format!("confirmation = \"required\"\n{rates}")).0)
        };
        let agreement = required("confirms_fmr = 1e-4\ncontradicts_fmr = 1e-2").unwrap();
        let HitConfirmation::Required(rates) = agreement.hit_confirmation else { panic!("it is off") };
        assert_eq!((rates.confirms.get(), rates.contradicts.get()), (1e-4, 1e-2));
        for (rates, says) in [
            ("confirms_fmr = 1e-2\ncontradicts_fmr = 1e-4", "raise it"),
            ("confirms_fmr = 1e-4\ncontradicts_fmr = 1e-4", "raise it"),
            ("confirms_fmr = 1e-4\ncontradicts_fmr = 0.5", "write a number from"),
            ("confirms_fmr = 1e-4", "`contradicts_fmr`"),
        ] {
            let faults = required(rates).unwrap_err();
            assert!(faults[0].contains(says), "{rates}: {faults:#?}");
        }
    }

    #[test]
    fn one_person_is_not_enough() {
        let (text, _) = with("number = 2", "number = 1");
        let faults = parse(&text).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains("two people at least"), "{faults:#?}");
    }

    #[test]
    fn a_factor_may_ask_for_units_and_for_a_comparison_outside() {
        let (text, _) = with("number = 2", "number = 2\nunits = 2\ncomparison = \"required\"");
        let factor = parse(&text).unwrap().approval[0];
        assert!(factor.units == 2 && factor.comparison);
        let (text, _) = with("number = 2", "number = 2\nunits = 3");
        assert!(parse(&text).unwrap_err()[0].contains("nobody is of two units"));
        let (text, _) = with("number = 2", "number = 2\ncomparison = \"maybe\"");
        assert!(parse(&text).unwrap_err()[0].contains("write `off` or `required`"));
    }

    #[test]
    fn the_urgent_path_is_shorter_takes_two_people_and_is_reviewed() {
        let of = |urgent: &str| {
            let (text, _) = with("[retention]", &format!("[urgent]\n{urgent}\n\n[retention]"));
            parse(&text).map(|agreement| agreement.urgent.unwrap()).map_err(|faults| faults.join("\n"))
        };
        assert_eq!(parse(GOOD).unwrap().urgent, None);
        let urgent = of("decide_within_hours = 4\nreview_within_working_days = 3").unwrap();
        assert_eq!(
            urgent.approval,
            parse(GOOD).unwrap().approval,
            "whom it does not name approve as otherwise"
        );
        assert_eq!(urgent.review_within, Within::WorkingDays(3));
        let night = "decide_within_hours = 4\nescalate_after_hours = 1\nreview_within_hours = 72\n\n\
                     [[urgent.approval]]\nrole = \"approving-officer\"\nnumber = ";
        assert_eq!(of(&format!("{night}3")).unwrap().approval[0].number, 3);
        for (text, message) in [
            (format!("{night}1"), "two people at least"),
            ("decide_within_hours = 48\nreview_within_hours = 72".to_owned(), "no shorter than the ordinary"),
            ("decide_within_hours = 4".to_owned(), "is reviewed afterwards"),
            (
                "decide_within_hours = 4\nescalate_after_hours = 4\nreview_within_hours = 9".to_owned(),
                "late before",
            ),
        ] {
            let fault = of(&text).expect_err(&format!("`{text}` should have been refused"));
            assert!(fault.contains(message), "{fault}");
        }
    }

    #[test]
    fn a_webhook_is_https_and_brings_its_authority() {
        let faults =
            |lines: &str| parse(&with("[retention]\n", &format!("{lines}\n[retention]\n")).0).unwrap_err();
        let plain = faults("[webhook]\nurl = 'http://hooks.example/'\nauthority = 'x'\n");
        assert!(plain[0].contains("write it as `https://"), "{plain:#?}");
        assert!(plain.iter().any(|fault| fault.contains("no certificates in PEM")), "{plain:#?}");
        assert_eq!(parse(GOOD).unwrap().webhook, None);
    }

    #[test]
    fn several_faults_come_together() {
        let text = GOOD.replace("per_day = 2_000", "per_day = 0").replace("fpir = 1e-6", "fpir = 1.0");
        assert_eq!(parse(&text).unwrap_err().len(), 2);
    }

    #[test]
    fn every_key_is_needed() {
        let optional = ["trust_domain", "decide_within_hours"];
        for (number, line) in GOOD.lines().enumerate() {
            let Some((key, _)) = line.split_once(" = ") else { continue };
            if line.starts_with('#') {
                continue;
            }
            let without: Vec<&str> = GOOD
                .lines()
                .enumerate()
                .filter(|(other, _)| *other != number)
                .map(|(_, line)| line)
                .collect();
            let parsed = parse(&without.join("\n"));
            assert_eq!(parsed.is_ok(), optional.contains(&key), "without line {}: {parsed:?}", number + 1);
        }
    }

    #[test]
    fn decisions_take_48_hours_unless_said_otherwise() {
        let (text, _) = with("decide_within_hours = 48\n", "");
        assert_eq!(parse(&text).unwrap().clocks.decide_within, DECIDE_WITHIN);
    }

    #[test]
    fn a_term_is_in_hours_or_in_working_days_and_late_comes_before_over() {
        let clocks = |lines: &str| parse(&with("decide_within_hours = 48", lines).0);
        let days = clocks("decide_within_working_days = 3\nescalate_after_working_days = 2").unwrap().clocks;
        assert_eq!(days.decide_within, Within::WorkingDays(3));
        assert_eq!(days.escalate_after, Some(Within::WorkingDays(2)));
        for (lines, message) in [
            ("decide_within_hours = 48\ndecide_within_working_days = 3", "keep one"),
            ("decide_within_hours = 48\nescalate_after_hours = 48", "write `escalate_after_hours`"),
            ("decide_within_working_days = 3\nescalate_after_hours = 4", "`escalate_after_working_days`"),
            ("decide_within_working_days = 66", "from 1 to 65"),
        ] {
            let faults = clocks(lines).unwrap_err();
            assert!(faults.iter().any(|fault| fault.contains(message)), "{lines}: {faults:#?}");
        }
    }

    #[test]
    fn force_follows_the_calendar() {
        let agreement = parse(GOOD).unwrap();
        let day = |text: &str| text.parse::<Date>().unwrap();
        for (today, force) in [
            ("2025-12-31", Force::NotBegun),
            ("2026-01-01", Force::InForce),
            ("2029-12-31", Force::InForce),
            ("2030-01-01", Force::ReviewOverdue),
            ("2030-12-31", Force::ReviewOverdue),
            ("2031-01-01", Force::Ended),
        ] {
            assert_eq!(agreement.force(day(today)), force, "on {today}");
        }
    }
}
