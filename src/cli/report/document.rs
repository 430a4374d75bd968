//! The report as a value: what `report.json` holds, and the page and the table show.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Counted, Known};
use crate::clock::Timestamp;
use crate::oversight::{
    EPSILON, FLOOR, Figures, Published, Searched, Secrets, commitment, published, quartiles, spread,
};

/// A transparency report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) schema: String,
    pub(super) program: String,
    pub(super) made: String,
    #[serde(with = "date")]
    pub(super) from: Date,
    #[serde(with = "date")]
    pub(super) until: Date,
    pub(super) noise: Noise,
    pub(super) partners: Vec<Partner>,
    pub(super) journals: Vec<Journal>,
}

/// How counts of hidden people are published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    pub(super) epsilon: f64,
    pub(super) floor: u64,
    pub(super) commitment: String,
}

/// A partner's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partner {
    pub(super) partner: String,
    pub(super) questions: u64,
    pub(super) questions_refused: u64,
    pub(super) refusals: BTreeMap<String, u64>,
    pub(super) hits: u64,
    /// With noise; absent when that is below the floor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) hidden_hits_about: Option<u64>,
    pub(super) hits_followed: u64,
    /// A whole number, so that whoever counts again finds the very same.
    pub(super) expected_false_hits_millionths: u64,
    pub(super) erroneous_hits: u64,
    pub(super) requests: u64,
    pub(super) released: u64,
    pub(super) refused: u64,
    pub(super) withdrawn: u64,
    pub(super) expired: u64,
    pub(super) lapsed: u64,
    pub(super) revoked: u64,
    pub(super) suspensions: u64,
    pub(super) fields: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) minutes_to_decide: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) minutes_to_answer: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) minutes_to_acknowledge: Option<Times>,
    /// Requests by the hours until they were decided: up to each of [`WITHIN_HOURS`], and longer.
    pub(super) decided_within: Vec<u64>,
    pub(super) months: Vec<Month>,
    pub(super) collections: Vec<Collection>,
}

/// A collection, as a partner searched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Collection {
    pub(super) collection: String,
    pub(super) modality: String,
    pub(super) questions: u64,
    pub(super) hits: u64,
    /// Hits after which fields were asked for.
    pub(super) followed: u64,
    /// Of those, hits after which fields were released.
    pub(super) released: u64,
    /// Of those followed, hits that were found to be of another person.
    pub(super) erroneous: u64,
    /// Of those, hits after which fields were released.
    pub(super) erroneous_released: u64,
}

impl Collection {
    /// Whether its figures can be of one collection.
    const fn fits(&self) -> bool {
        let distinct = self.released.saturating_add(self.erroneous).saturating_sub(self.erroneous_released);
        self.erroneous_released <= self.erroneous
            && self.erroneous_released <= self.released
            && distinct <= self.followed
    }

    /// Hits that were followed and not found to be of another person: with fields released, and with none.
    pub(super) const fn confirmed(&self) -> [u64; 2] {
        let exchanged = self.released.saturating_sub(self.erroneous_released);
        [exchanged, self.followed.saturating_sub(self.erroneous).saturating_sub(exchanged)]
    }
}

/// Quartiles of times, in whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Times {
    pub(super) lower: u64,
    pub(super) median: u64,
    pub(super) upper: u64,
    pub(super) of: u64,
}

/// A month of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Month {
    pub(super) month: String,
    pub(super) questions: u64,
    pub(super) hits: u64,
}

/// A journal that was counted, as far as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    pub(super) journal: String,
    pub(super) origin: String,
    pub(super) size: u64,
    /// Entries that can't be opened any more, and are in no number.
    pub(super) disposed: u64,
}

/// What opens the counts of hidden people. Not to be published.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    schema: String,
    seed: String,
    salt: String,
    /// Exact counts by cell, in the order in which they are committed to.
    exact: Vec<(String, u64)>,
}

impl Report {
    pub(super) fn of(period: (Date, Date), made: Timestamp, counted: &Counted, secrets: &Secrets) -> Self {
        let noise = Noise {
            epsilon: EPSILON,
            floor: FLOOR,
            commitment: commitment(secrets, &exact(&counted.figures)).to_string(),
        };
        let partners = counted.figures.iter().map(|(name, figures)| {
            let mut partner = Partner::of(name, figures, &counted.known);
            partner.hidden_hits_about = about(secrets, name, figures.hidden_hits);
            partner
        });
        Self {
            schema: SCHEMA.to_owned(),
            program: format!("onebit {}", env!("CARGO_PKG_VERSION")),
            made: made.to_string(),
            from: period.0,
            until: period.1,
            noise,
            partners: partners.collect(),
            journals: counted.journals.clone(),
        }
    }

    /// In a few lines.
    pub(super) fn told(&self) -> String {
        let mut lines = vec![format!("period        {} to {}", self.from, self.until)];
        for it in &self.partners {
            lines.push(format!(
                "{:<13} {} questions, {} hits, {} requests, {} released, {} refused",
                it.partner, it.questions, it.hits, it.requests, it.released, it.refused
            ));
        }
        lines.join("\n")
    }

    /// Whether numbers that belong together fit; the error says which don't.
    pub(super) fn sums_hold(&self) -> Result<(), String> {
        for it in &self.partners {
            let months = it.months.iter().fold((0_u64, 0_u64), |(questions, hits), month| {
                (questions.saturating_add(month.questions), hits.saturating_add(month.hits))
            });
            let searched = it.collections.iter().fold((0_u64, 0_u64), |(questions, hits), of| {
                (questions.saturating_add(of.questions), hits.saturating_add(of.hits))
            });
            let refusals = it.refusals.values().fold(0_u64, |all, times| all.saturating_add(*times));
            let decided = it.decided_within.iter().fold(0_u64, |all, times| all.saturating_add(*times));
            let followed =
                it.collections.iter().fold(0_u64, |followed, of| followed.saturating_add(of.followed));
            let ended = [it.released, it.refused, it.withdrawn, it.expired];
            let ended = ended.into_iter().fold(0_u64, u64::saturating_add);
            let fits = [
                ("its months do not add up", months == (it.questions, it.hits)),
                ("its collections do not add up", searched == (it.questions, it.hits)),
                (
                    "its times to decide do not add up",
                    decided == it.minutes_to_decide.map_or(0, |times| times.of),
                ),
                ("its refusals do not add up", refusals == it.questions_refused),
                ("more hits were followed in collections than all told", followed <= it.hits_followed),
                (
                    "more hits led to a release, or were of another person, than were followed",
                    it.collections.iter().all(Collection::fits),
                ),
                ("more hits than questions", it.hits <= it.questions),
                ("more hits were followed than there were", it.hits_followed <= it.requests),
                ("more requests ended than were made", ended <= it.requests),
                (
                    "more releases lapsed or were revoked than were made",
                    it.lapsed.saturating_add(it.revoked) <= it.released,
                ),
                ("more hits of another person than were followed", it.erroneous_hits <= it.hits_followed),
            ];
            if let Some((what, _)) = fits.into_iter().find(|(_, fits)| !fits) {
                return Err(format!("the figures of `{}` do not fit: {what}", it.partner));
            }
        }
        Ok(())
    }

    /// Whether an opening is the one that was committed to, and gives what is published.
    pub(super) fn opened_by(&self, opening: &Opening) -> Result<(), String> {
        let secrets = opening.secrets().ok_or("the opening is not in its form")?;
        if commitment(&secrets, &opening.exact).to_string() != self.noise.commitment {
            return Err("the opening is not the one that the report commits to".to_owned());
        }
        for it in &self.partners {
            let cell = cell(&it.partner);
            let exact = opening.exact.iter().find(|(name, _)| *name == cell).map(|(_, count)| *count);
            let exact = exact.ok_or_else(|| format!("the opening has no count of `{}`", it.partner))?;
            if about(&secrets, &it.partner, exact) != it.hidden_hits_about {
                return Err(format!("the hidden hits of `{}` do not follow from their opening", it.partner));
            }
        }
        Ok(())
    }

    /// Whether every number is the one that was counted again; hidden people only with the opening.
    pub(super) fn says(&self, counted: &Counted, opening: Option<&Opening>) -> Result<(), String> {
        if self.journals != counted.journals {
            return Err("the journals are not those that were counted: give each of them once, with its key"
                .to_owned());
        }
        if let Some(opening) = opening
            && opening.exact != exact(&counted.figures)
        {
            return Err("the exact counts of hidden people are not those of the journals".to_owned());
        }
        let again: Vec<Partner> = counted
            .figures
            .iter()
            .map(|(name, figures)| Partner::of(name, figures, &counted.known))
            .collect();
        if again.len() != self.partners.len() {
            return Err("the partners are not those of the journals".to_owned());
        }
        for (again, said) in again.into_iter().zip(&self.partners) {
            let again = Partner { hidden_hits_about: said.hidden_hits_about, ..again };
            if again != *said {
                return Err(format!("the figures of `{}` are not those of the journals", said.partner));
            }
        }
        Ok(())
    }
}

impl Partner {
    /// All but what is hidden.
    fn of(name: &str, figures: &Figures, known: &Known) -> Self {
        let Figures {
            questions,
            questions_refused,
            refusals,
            hits,
            hidden_hits: _,
            hits_followed,
            requests,
            released,
            refused,
            withdrawn,
            expired,
            lapsed,
            revoked,
            erroneous_hits,
            fields,
            to_decide,
            to_answer,
            to_acknowledge,
            agreements,
            suspensions,
            months,
            collections,
        } = figures.clone();
        let expected = agreements.iter().map(|(agreement, asked)| {
            // A count of questions is far below 2^32 in any period that is reported of.
            f64::from(u32::try_from(*asked).unwrap_or(u32::MAX))
                * known.rates.get(agreement).copied().unwrap_or(0.0)
        });
        let month = |(month, of): (String, crate::oversight::Month)| Month {
            month,
            questions: of.questions,
            hits: of.hits,
        };
        let collection = |(collection, of): (String, Searched)| Collection {
            modality: known.modalities.get(&collection).cloned().unwrap_or_default(),
            collection,
            questions: of.questions,
            hits: of.hits,
            followed: of.followed,
            released: of.released,
            erroneous: of.erroneous,
            erroneous_released: of.erroneous_released,
        };
        Self {
            partner: name.to_owned(),
            questions,
            questions_refused,
            refusals,
            hits,
            hidden_hits_about: None,
            hits_followed,
            expected_false_hits_millionths: millionths(expected.sum()),
            erroneous_hits,
            requests,
            released,
            refused,
            withdrawn,
            expired,
            lapsed,
            revoked,
            suspensions,
            fields,
            minutes_to_decide: times(&to_decide),
            minutes_to_answer: times(&to_answer),
            minutes_to_acknowledge: times(&to_acknowledge),
            decided_within: spread(
                &to_decide,
                &WITHIN_HOURS.map(|hours| Duration::from_secs(hours.saturating_mul(3_600))),
            ),
            months: months.into_iter().map(month).collect(),
            collections: collections.into_iter().map(collection).collect(),
        }
    }
}

impl Opening {
    pub(super) fn of(secrets: &Secrets, figures: &BTreeMap<String, Figures>) -> Self {
        let (seed, salt) = (HEXLOWER.encode(&secrets.seed), HEXLOWER.encode(&secrets.salt));
        Self { schema: OPENING_SCHEMA.to_owned(), seed, salt, exact: exact(figures) }
    }

    fn secrets(&self) -> Option<Secrets> {
        let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok();
        (self.schema == OPENING_SCHEMA)
            .then_some(())
            .and_then(|()| Some(Secrets { seed: bytes(&self.seed)?, salt: bytes(&self.salt)? }))
    }
}

fn exact(figures: &BTreeMap<String, Figures>) -> Vec<(String, u64)> {
    figures.iter().map(|(name, figures)| (cell(name), figures.hidden_hits)).collect()
}

fn about(secrets: &Secrets, partner: &str, exact: u64) -> Option<u64> {
    match published(secrets, &cell(partner), exact) {
        Published::About(count) => Some(count),
        Published::Fewer => None,
    }
}

fn cell(partner: &str) -> String {
    format!("{partner}/hidden-hits")
}

/// Rates have no more than twelve places, and periods no more than 2^53 millionths of a false hit.
fn millionths(hits: f64) -> u64 {
    format!("{:.0}", hits * 1e6).parse().unwrap_or(u64::MAX)
}

fn times(sorted: &[Duration]) -> Option<Times> {
    let minutes = |time: Duration| time.as_secs() / 60;
    let [lower, median, upper] = quartiles(sorted)?.map(minutes);
    Some(Times { lower, median, upper, of: u64::try_from(sorted.len()).unwrap_or(u64::MAX) })
}

/// Days as `2026-07-01`.
mod date {
    use jiff::civil::Date;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields by reference")]
    pub(super) fn serialize<S: Serializer>(date: &Date, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(date)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Limits of the hours to decide in, as they are told apart.
pub(super) const WITHIN_HOURS: [u64; 5] = [1, 4, 12, 24, 72];
const SCHEMA: &str = "onebit/transparency-report/v1";
const OPENING_SCHEMA: &str = "onebit/transparency-opening/v1";
