//! Agreements of two folders, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::agreement::{
    Accuracy, Agreement, Clocks, ConfirmationRates, Factor, HitConfirmation, Instrument, Privacy,
    Proportionality, Purpose, Retention, Term, Urgent, Volumes,
};
use super::super::rules::Rules;
use super::super::webhook::Webhook;
use super::{Bearing, Comparison, Concerned, Told, listed, pairs};
use crate::clock::Within;
use crate::ids::{AgreementName, Digest, PurposeName};

/// Tells what is otherwise in the agreements.
pub(super) fn tell(told: &mut Told, older: &Rules, newer: &Rules) {
    let by_name = |rules: &Rules| -> BTreeMap<AgreementName, Arc<Agreement>> {
        rules.agreements().map(|one| (one.name.clone(), Arc::clone(one))).collect()
    };
    let (old, new) = (by_name(older), by_name(newer));
    for (name, old, new) in pairs(&old, &new) {
        let file = format!("agreements/{name}.toml");
        match (old, new) {
            (Some(old), Some(new)) if old.partner == new.partner => {
                let whom = Concerned::Partner(new.partner.clone());
                of_one(&mut Comparison { told, file, whom }, old, new);
            }
            (old, new) => {
                if let Some(old) = old {
                    told.say(&file, &Concerned::Partner(old.partner.clone()), Bearing::Closes, ended(old));
                }
                if let Some(new) = new {
                    told.say(&file, &Concerned::Partner(new.partner.clone()), Bearing::Opens, begun(new));
                }
            }
        }
    }
}

fn begun(new: &Agreement) -> String {
    let purposes = listed(new.purposes.keys()).unwrap_or_default();
    let collections = listed(new.collections.iter()).unwrap_or_default();
    let (day, year) = (new.volumes.per_day, new.volumes.per_year);
    format!(
        "it may ask under `{}`: for {purposes}, in {collections}, {day} times a day and {year} a year, from {} to {}{}",
        new.name,
        new.term.from,
        new.term.until,
        new.webhook.as_ref().map(|webhook| format!("; told at `{}`", webhook.url)).unwrap_or_default()
    )
}

fn ended(old: &Agreement) -> String {
    format!("it may not ask under `{}` any more, and nothing more is released to it under that", old.name)
}

/// Every key is taken apart here, so that none can be added without a word for it.
fn of_one(to: &mut Comparison<'_>, old: &Agreement, new: &Agreement) {
    let Agreement {
        name: _,
        partner: _,
        trust_domain,
        instrument,
        term,
        purposes,
        collections,
        visible_restrictions,
        volumes,
        accuracy,
        approval,
        decisions_signed_by,
        webhook,
        clocks,
        urgent,
        retention,
        hit_confirmation,
        onward_transfer,
        privacy,
        proportionality,
    } = old;
    let any = || "any".to_owned();
    let domain = |domain: &Option<String>| domain.clone().unwrap_or_else(any);
    to.text("trust domain of its certificates", &domain(trust_domain), &domain(&new.trust_domain));
    of_instrument(to, instrument, &new.instrument);
    of_term(to, *term, new.term);
    of_purposes(to, purposes, &new.purposes);
    to.set(
        ("it may search in", "it may not search any more in"),
        collections,
        &new.collections,
        Bearing::Opens,
    );
    to.set(
        ("it gets a HIT for people who are hidden by", "people are hidden from it, and answered NO_HIT, by"),
        visible_restrictions,
        &new.visible_restrictions,
        Bearing::Opens,
    );
    of_volumes(to, *volumes, new.volumes);
    of_accuracy(to, (*accuracy, *volumes), (new.accuracy, new.volumes));
    of_approval(to, "", approval, &new.approval);
    to.set(
        (
            "decisions about its requests may be signed by",
            "decisions about its requests may not be signed any more by",
        ),
        decisions_signed_by,
        &new.decisions_signed_by,
        Bearing::Opens,
    );
    of_webhook(to, webhook.as_ref(), new.webhook.as_ref());
    of_clocks(to, *clocks, new.clocks);
    of_urgent(to, urgent.as_ref(), new.urgent.as_ref());
    of_retention(to, retention, &new.retention);
    of_confirmation(to, *hit_confirmation, new.hit_confirmation);
    to.text("condition for passing on what it received", onward_transfer, &new.onward_transfer);
    of_privacy(to, privacy, &new.privacy);
    of_proportionality(to, proportionality, &new.proportionality);
}

fn of_webhook(to: &mut Comparison<'_>, old: Option<&Webhook>, new: Option<&Webhook>) {
    match (old, new) {
        (Some(old), Some(new)) => {
            let Webhook { url, authority } = old;
            let known = |pem: &str| Digest::sha256(pem.as_bytes()).to_string();
            to.text(
                "address that what happens to its disclosures is told to",
                &url.to_string(),
                &new.url.to_string(),
            );
            to.text("authority of that address, by SHA-256", &known(authority), &known(&new.authority));
        }
        (None, Some(new)) => {
            to.say(
                Bearing::Opens,
                format!("what happens to its disclosures is told to `{}`, without content", new.url),
            );
        }
        (Some(old), None) => {
            to.say(Bearing::Closes, format!("nothing is told any more to `{}`", old.url));
        }
        (None, None) => {}
    }
}

fn of_instrument(to: &mut Comparison<'_>, old: &Instrument, new: &Instrument) {
    let Instrument { title, reference, article } = old;
    to.text("legal instrument", title, &new.title);
    to.text("number of the instrument", reference, &new.reference);
    to.text("article that allows these checks", article, &new.article);
}

fn of_term(to: &mut Comparison<'_>, old: Term, new: Term) {
    let Term { from, until, review_by } = old;
    to.measure("first day of the agreement", (from, new.from), Bearing::Closes);
    to.measure("last day of the agreement", (until, new.until), Bearing::Opens);
    to.measure("day by which it must have been reviewed", (review_by, new.review_by), Bearing::Opens);
}

fn of_purposes(
    to: &mut Comparison<'_>,
    old: &BTreeMap<PurposeName, Purpose>,
    new: &BTreeMap<PurposeName, Purpose>,
) {
    for (name, old, new) in pairs(old, new) {
        match (old, new) {
            (Some(old), Some(new)) => of_purpose(to, name, old, new),
            (None, Some(new)) => {
                let fields = listed(new.discloses.iter()).unwrap_or_else(|| "no field".to_owned());
                to.say(
                    Bearing::Opens,
                    format!("it may ask for the purpose `{name}`, and be disclosed {fields}"),
                );
            }
            (_, None) => {
                to.say(Bearing::Closes, format!("it may not ask any more for the purpose `{name}`"));
            }
        }
    }
}

fn of_purpose(to: &mut Comparison<'_>, name: &PurposeName, old: &Purpose, new: &Purpose) {
    let Purpose { basis, gravity, discloses } = old;
    to.text(&format!("legal basis of `{name}`"), basis, &new.basis);
    to.text(&format!("offence or gravity below which nobody may ask for `{name}`"), gravity, &new.gravity);
    let (more, less) = (
        format!("for `{name}` people may approve that it is told"),
        format!("for `{name}` nobody may approve any more that it is told"),
    );
    to.set((&more, &less), discloses, &new.discloses, Bearing::Opens);
}

fn of_volumes(to: &mut Comparison<'_>, old: Volumes, new: Volumes) {
    let Volumes { per_day, per_year, samples_per_query } = old;
    to.measure("questions a day", (per_day, new.per_day), Bearing::Opens);
    to.measure("questions a year", (per_year, new.per_year), Bearing::Opens);
    to.measure(
        "samples of a person in a question",
        (samples_per_query, new.samples_per_query),
        Bearing::Opens,
    );
}

fn of_accuracy(to: &mut Comparison<'_>, old: (Accuracy, Volumes), new: (Accuracy, Volumes)) {
    let Accuracy { fpir, false_hits_per_year } = old.0;
    let expected = |(accuracy, volumes): (Accuracy, Volumes)| f64::from(volumes.per_year) * accuracy.fpir;
    let expected = (expected(old), expected(new));
    let to = &mut to.for_whom(Concerned::Subjects);
    to.measure(
        "strangers of a million who are taken for somebody",
        (fpir * MILLION, new.0.fpir * MILLION),
        Bearing::Opens,
    );
    to.measure(
        "false hits a year that both sides accept",
        (false_hits_per_year, new.0.false_hits_per_year),
        Bearing::Opens,
    );
    to.measure(
        "false hits a year to expect, if all who are asked about were strangers",
        expected,
        Bearing::Opens,
    );
}

/// Who must approve; `how` says by which path.
fn of_approval(to: &mut Comparison<'_>, how: &str, old: &[Factor], new: &[Factor]) {
    let by_role = |factors: &[Factor]| -> BTreeMap<_, Factor> {
        factors.iter().map(|factor| (factor.role, *factor)).collect()
    };
    let (old, new) = (by_role(old), by_role(new));
    for (role, old, new) in pairs(&old, &new) {
        match (old, new) {
            (Some(old), Some(new)) => {
                let Factor { role: _, number, units, comparison } = *old;
                let what = format!("people of the role {role} who must approve what it is told{how}");
                to.measure(&what, (number, new.number), Bearing::Closes);
                to.measure(
                    &format!("units that they must come from{how} ({role})"),
                    (units, new.units),
                    Bearing::Closes,
                );
                match (comparison, new.comparison) {
                    (false, true) => {
                        to.say(Bearing::Closes, format!("each {role} names a comparison made outside{how}"));
                    }
                    (true, false) => {
                        to.say(
                            Bearing::Opens,
                            format!("no {role} names a comparison made outside{how} any more"),
                        );
                    }
                    _ => {}
                }
            }
            (None, Some(new)) => {
                let number = new.number;
                to.say(
                    Bearing::Closes,
                    format!("{number} of the role {role} must approve what it is told{how}, as well"),
                );
            }
            (_, None) => {
                to.say(
                    Bearing::Opens,
                    format!("nobody of the role {role} needs to approve what it is told{how} any more"),
                );
            }
        }
    }
}

fn of_clocks(to: &mut Comparison<'_>, old: Clocks, new: Clocks) {
    let Clocks { decide_within, escalate_after, release_kept, request_id_window, correct_within } = old;
    to.text("time to decide about its requests", &term(decide_within), &term(new.decide_within));
    let late = |term_of: Option<Within>| term_of.map_or_else(|| "never before its end".to_owned(), term);
    to.text("a request of its is shown as late after", &late(escalate_after), &late(new.escalate_after));
    let hours = |time: std::time::Duration| time.as_secs() / SECONDS_PER_HOUR;
    to.measure(
        "hours that a release waits for it",
        (hours(release_kept), hours(new.release_kept)),
        Bearing::Opens,
    );
    let acknowledged = (hours(correct_within), hours(new.correct_within));
    to.measure("hours in which it acknowledges a correction", acknowledged, Bearing::Opens);
    let windows = (hours(request_id_window), hours(new.request_id_window));
    to.measure("hours in which a repeated question gets its first answer", windows, Bearing::Changes);
}

fn of_urgent(to: &mut Comparison<'_>, old: Option<&Urgent>, new: Option<&Urgent>) {
    let hours = |time: std::time::Duration| time.as_secs() / SECONDS_PER_HOUR;
    match (old, new) {
        (Some(old), Some(new)) => {
            let Urgent { approval, decide_within, escalate_after, review_within } = old;
            of_approval(to, BY_URGENT_PATH, approval, &new.approval);
            let within = (hours(*decide_within), hours(new.decide_within));
            to.measure("hours to decide by the urgent path", within, Bearing::Changes);
            let late = |after: Option<std::time::Duration>| {
                after.map_or_else(
                    || "never before its end".to_owned(),
                    |after| format!("{} hours", hours(after)),
                )
            };
            let shown = "an urgent request of its is shown as late after";
            to.text(shown, &late(*escalate_after), &late(new.escalate_after));
            to.text("time to review an urgent release", &term(*review_within), &term(new.review_within));
        }
        (None, Some(new)) => {
            let factors = new.approval.iter().map(|it| format!("{} of the role {}", it.number, it.role));
            let factors = factors.collect::<Vec<_>>().join(" and ");
            let (within, review) = (hours(new.decide_within), term(new.review_within));
            to.say(
                Bearing::Opens,
                format!(
                    "it may ask by an urgent path: {factors} decide within {within} hours, and a review follows within {review}"
                ),
            );
        }
        (Some(_), None) => to.say(Bearing::Closes, "it may not ask by an urgent path any more".to_owned()),
        (None, None) => {}
    }
}

/// A term as people say it.
fn term(within: Within) -> String {
    match within {
        Within::Time(time) => format!("{} hours", time.as_secs() / SECONDS_PER_HOUR),
        Within::WorkingDays(days) => format!("{days} working days"),
    }
}

fn of_retention(to: &mut Comparison<'_>, old: &Retention, new: &Retention) {
    let Retention { queries, disclosures } = old;
    to.text("retention class of its questions", queries, &new.queries);
    to.text("retention class of its disclosures", disclosures, &new.disclosures);
}

fn of_confirmation(to: &mut Comparison<'_>, old: HitConfirmation, new: HitConfirmation) {
    let is_required = |one| matches!(one, HitConfirmation::Required(_));
    let word = |one| if is_required(one) { "yes" } else { "no" };
    match (old, new) {
        (HitConfirmation::Required(old), HitConfirmation::Required(new)) => {
            let ConfirmationRates { confirms, contradicts } = old;
            let to = &mut to.for_whom(Concerned::Subjects);
            to.measure(
                "pairs of different people of a million that are as alike as a fresh sample that confirms",
                (confirms.get() * MILLION, new.confirms.get() * MILLION),
                Bearing::Opens,
            );
            to.measure(
                "pairs of different people of a million that are more alike than a fresh sample that contradicts",
                (contradicts.get() * MILLION, new.contradicts.get() * MILLION),
                Bearing::Closes,
            );
        }
        _ if is_required(old) == is_required(new) => {}
        _ => to.text("whether a fresh sample comes with a request for fields", &word(old), &word(new)),
    }
}

fn of_privacy(to: &mut Comparison<'_>, old: &Privacy, new: &Privacy) {
    let Privacy { rule_11_exception, rule_11_reason, rule_12_gateway, rule_12_reason } = old;
    to.text("exception of rule 11 that is relied on", rule_11_exception, &new.rule_11_exception);
    to.text("why that exception applies", rule_11_reason, &new.rule_11_reason);
    to.text("gateway of rule 12 that is relied on", rule_12_gateway, &new.rule_12_gateway);
    to.text("why that gateway applies", rule_12_reason, &new.rule_12_reason);
}

fn of_proportionality(to: &mut Comparison<'_>, old: &Proportionality, new: &Proportionality) {
    let Proportionality { date, effectiveness, alternatives, safeguards, impact_on_maori } = old;
    to.text("day of the finding that the checks are proportionate", date, &new.date);
    to.text("finding on effectiveness", effectiveness, &new.effectiveness);
    to.text("finding on alternatives", alternatives, &new.alternatives);
    to.text("finding on safeguards", safeguards, &new.safeguards);
    to.text("finding on the impact on Māori", impact_on_maori, &new.impact_on_maori);
}

/// Rates are too small to be read as such.
const MILLION: f64 = 1e6;
const BY_URGENT_PATH: &str = " by the urgent path";
const SECONDS_PER_HOUR: u64 = 3_600;
