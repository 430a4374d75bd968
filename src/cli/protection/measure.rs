//! The measurements of a report, one after the other.

use std::num::NonZeroUsize;

use super::super::fault::CliError;
use super::ReportArgs;
use super::input::{Input, MATE_COSINE, Origin};
use super::report::{
    About, FormAccuracy, KnownPairs, Limit, Linkability, Linked, Point, Rates, Report, Search, Stolen,
    Verdict,
};
use crate::clock::Clock;
use crate::index::{Compartment, Gallery, Slot, pool};
use crate::template::protection::{
    Form, Keys, LocalPoint, PairChange, Resampling, Trial, exchange, link_collections, linkage_scores,
    reconstruct, recover, unlinkability,
};
use crate::template::{Accuracy, Threshold};

/// A measurement that is set up.
pub(super) struct Measurement<'a> {
    input: &'a Input,
    pairs: usize,
    seed: u64,
    change: PairChange,
    threshold: Threshold,
    origin: String,
}

/// What of unlinkability was measured.
struct Unlinked {
    rows: Vec<Linkability>,
    curve: Vec<Point>,
    null_curve: Vec<Point>,
}

impl<'a> Measurement<'a> {
    /// Sets up what all parts need: the scores, and the threshold that follows from them.
    pub(super) fn of(args: &ReportArgs, input: &'a Input) -> Result<Self, CliError> {
        let people = input.population.people();
        let enough = SCORES.div_ceil(people).max(KEY_PAIRS);
        let pairs = args.key_pairs.map_or(enough, |pairs| usize::try_from(pairs).unwrap_or(enough));
        let change = PairChange::measure(&input.population, args.seed);
        let (threshold, origin) = match args.threshold {
            Some(cosine) => (cosine, "given".to_owned()),
            None => chosen(&accuracy(&change, Form::Raw)?)?,
        };
        let threshold = Threshold::new(threshold).map_err(|error| CliError::Usage(error.to_string()))?;
        Ok(Self { input, pairs, seed: args.seed, change, threshold, origin })
    }

    /// Measures, runs the attacks, and puts it all together.
    pub(super) fn report(&self, clock: &dyn Clock) -> Result<Report, CliError> {
        let population = &self.input.population;
        let Unlinked { rows, curve, null_curve } = self.unlinkability();
        let search = self.search()?;
        let dimension = population.dimension().len();
        let pairs: Vec<usize> = PAIRS_64THS.map(|part| dimension.saturating_mul(part).div_ceil(64)).to_vec();
        let known_pairs =
            recover(population, &pairs, self.threshold, self.seed).into_iter().map(|it| KnownPairs {
                pairs: it.pairs,
                attacked: it.attacked,
                median_cosine: it.median_cosine,
                pass: it.pass,
            });
        let reconstruction =
            reconstruct(population, self.threshold, self.seed).into_iter().map(|it| Stolen {
                bits: it.bits,
                with_key: it.with_key,
                tried: it.tried,
                median_cosine: it.median_cosine,
                pass: it.pass,
            });
        let collections = link_collections(population, self.seed).into_iter().map(|it| Linked {
            overlap: it.overlap.name(),
            attack: it.attack.name(),
            templates: it.templates,
            tried: it.tried,
            linked: it.linked,
            chance: it.chance(),
        });
        let kept = u128::try_from(search.alike).unwrap_or_default() * 10_000;
        let verdict = Verdict {
            unlinkable: rows.iter().all(|row| !row.above_null && !row.above_chance),
            decisions_kept: kept >= u128::try_from(search.beyond_margin).unwrap_or_default() * 9_999,
        };
        Ok(Report {
            schema: SCHEMA,
            program: format!("onebit {}", env!("CARGO_PKG_VERSION")),
            time: clock.now().to_string(),
            input: self.about(),
            threshold: Limit { cosine: self.threshold.get(), origin: self.origin.clone() },
            verdict,
            unlinkability: rows,
            curve,
            null_curve,
            accuracy: self.accuracy()?,
            search,
            known_pairs: known_pairs.collect(),
            reconstruction: reconstruction.collect(),
            collections: collections.collect(),
        })
    }

    fn about(&self) -> About {
        let population = &self.input.population;
        let (people, samples) = (population.people(), population.samples());
        let dimension = population.dimension().len();
        let (kind, description, sha256, left_out) = match &self.input.origin {
            Origin::Synthetic(_) => (
                "synthetic",
                format!(
                    "{people} people who don't exist, in independent directions of {dimension} components, two samples \
                     each at a cosine of {MATE_COSINE}"
                ),
                None,
                0,
            ),
            Origin::Samples { name, digest, scheme, left_out } => (
                "samples",
                format!(
                    "{samples} samples of {people} people from `{name}`, scheme `{scheme}`, {dimension} components"
                ),
                Some(digest.to_string()),
                *left_out,
            ),
            Origin::Collection { name, scheme, made_up_mates } => (
                "collection",
                format!(
                    "{samples} samples of {people} people of the collection `{name}`, scheme `{scheme}`, {dimension} \
                     components, as their templates give them back{}",
                    if *made_up_mates {
                        format!(
                            "; nobody has two, so that everybody has a second one at a cosine of {MATE_COSINE}, made up"
                        )
                    } else {
                        String::new()
                    }
                ),
                None,
                0,
            ),
        };
        About {
            kind,
            description,
            sha256,
            people,
            samples,
            left_out,
            dimension,
            key_pairs: self.pairs,
            seed: self.seed,
            resamplings: RESAMPLINGS,
            exchanges: EXCHANGES,
        }
    }

    fn unlinkability(&self) -> Unlinked {
        let population = &self.input.population;
        let resampling = Resampling { rounds: RESAMPLINGS, seed: self.seed };
        let scores = linkage_scores(population, self.pairs, Keys::Distinct, self.seed);
        let enough = self.pairs.min(SHARED_SCORES.div_ceil(population.people()));
        let shared = linkage_scores(population, enough, Keys::Shared, self.seed);
        let once = Resampling { rounds: 0, ..resampling };
        let mut unlinked = Unlinked { rows: Vec::new(), curve: Vec::new(), null_curve: Vec::new() };
        for (scores, shared) in scores.iter().zip(&shared) {
            let measured = unlinkability(&scores.mated, &scores.non_mated, resampling);
            let null = unlinkability(&scores.null, &scores.non_mated, resampling);
            if unlinked.rows.is_empty() {
                unlinked.curve = measured.curve.iter().map(point).collect();
                unlinked.null_curve = null.curve.iter().map(point).collect();
            }
            let exchanges = Resampling { rounds: EXCHANGES, ..resampling };
            let chance = exchange(&scores.mated, &scores.non_mated, exchanges);
            unlinked.rows.push(Linkability {
                function: scores.function.name(),
                mated_scores: scores.mated.len(),
                d_sys: measured.d_sys,
                interval: [measured.interval.low, measured.interval.high],
                null_d_sys: null.d_sys,
                null_interval: [null.interval.low, null.interval.high],
                chance: chance.share,
                chance_interval: [chance.interval.low, chance.interval.high],
                above_null: measured.d_sys > null.interval.high,
                above_chance: chance.is_rarest,
                shared_key_d_sys: unlinkability(&shared.mated, &shared.non_mated, once).d_sys,
            });
        }
        unlinked
    }

    fn accuracy(&self) -> Result<Vec<FormAccuracy>, CliError> {
        let measured = Form::ALL.into_iter().zip(self.change.sets());
        measured
            .map(|(form, set)| {
                let accuracy = accuracy(&self.change, form)?;
                let equal = accuracy.equal_errors();
                let (flips, pairs) = self.change.flips(form, self.threshold, NOWHERE);
                let (flips_beyond_margin, pairs_beyond_margin) =
                    self.change.flips(form, self.threshold, MARGIN);
                let rows = accuracy.table().unwrap_or_default().into_iter();
                let rates = rows.map(|row| Rates {
                    fmr: row.false_match_rate,
                    threshold: row.threshold,
                    fnmr: accuracy.errors_at(row.threshold).fnmr(),
                });
                Ok(FormAccuracy {
                    form: form.name(),
                    genuine: set.genuine.len(),
                    impostor: set.impostor.len(),
                    equal_fmr: equal.fmr(),
                    equal_fnmr: equal.fnmr(),
                    rates: rates.collect(),
                    largest_difference: self.change.largest_difference(form),
                    flips,
                    pairs,
                    flips_beyond_margin,
                    pairs_beyond_margin,
                })
            })
            .collect()
    }

    /// Searches as the service does: sketches first, then 8 bits against the probe's 16.
    fn search(&self) -> Result<Search, CliError> {
        let failed = |error| CliError::because("the search of the report failed", error);
        let (gallery, probes) = self.input.search(self.threshold);
        let mut trial = Trial::new(&gallery, &probes, self.seed);
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let index = Gallery::new(gallery.dimension(), pool(threads).map_err(failed)?);
        let templates = std::mem::take(&mut trial.gallery);
        let rows = templates.into_iter().zip(0_u64..);
        index
            .insert(rows.map(|(template, at)| (Slot(at), Compartment(0), template)).collect())
            .map_err(failed)?;
        let mut hits = Vec::with_capacity(trial.probes.len());
        for probes in trial.probes.chunks(PROBES_AT_ONCE) {
            let found = index.search(probes, self.threshold).map_err(failed)?;
            hits.extend(found.iter().map(|findings| {
                findings.rows().iter().any(|finding| finding.similarity.passes(self.threshold))
            }));
        }
        let decided = trial.decided(&hits, self.threshold, MARGIN);
        Ok(Search {
            templates: index.len(),
            probes: hits.len(),
            margin: MARGIN,
            beyond_margin: decided.far,
            hits: decided.hits,
            alike: decided.alike,
            within_margin: decided.near,
            alike_within: decided.near_alike,
        })
    }
}

fn accuracy(change: &PairChange, form: Form) -> Result<Accuracy, CliError> {
    let set = change.sets().iter().find(|set| set.form == form);
    let accuracy = set.map(crate::template::protection::ScoreSet::accuracy).transpose();
    let accuracy = accuracy.map_err(|error| CliError::because("nothing was measured", error))?;
    accuracy.ok_or_else(|| CliError::Found("nothing was measured; give other samples".to_owned()))
}

/// The threshold of the least rate that the samples support, and of 1 in 10,000 where they support less.
fn chosen(accuracy: &Accuracy) -> Result<(f64, String), CliError> {
    let rows = accuracy.table().map_err(|error| {
        CliError::because("no threshold can be measured on these samples; give one with --threshold", error)
    })?;
    let row = rows.iter().rfind(|row| row.false_match_rate >= RATE).or(rows.first());
    let row = row.ok_or_else(|| CliError::Found("no threshold can be measured; give one".to_owned()))?;
    let origin = format!("a false match rate of {:e} among the raw samples", row.false_match_rate);
    Ok((row.threshold, origin))
}

fn point(point: &LocalPoint) -> Point {
    let LocalPoint { from, to, mated, non_mated, local } = *point;
    Point { from, to, mated, non_mated, local }
}

const SCHEMA: &str = "onebit/protection-report/v1";
/// What the goal asks for: 1,000 people under 100 pairs of keys.
const SCORES: usize = 100_000;
const KEY_PAIRS: usize = 100;
/// The same comparison over and over, whatever the pair: as many as fill the bins.
const SHARED_SCORES: usize = 10_000;
const RESAMPLINGS: usize = 400;
/// Where nothing can be linked, one of four comparisons is the rarest of so many once in 250 reports.
const EXCHANGES: usize = 999;
/// Parts of the dimension, in sixty-fourths, up to twice of it.
const PAIRS_64THS: [usize; 12] = [1, 2, 4, 8, 16, 24, 32, 48, 60, 64, 80, 128];
/// What the goal of the search leaves to rounding.
const MARGIN: f64 = 0.002;
const NOWHERE: f64 = -1.0;
const RATE: f64 = 1e-4;
/// As many as a search answers at a time without growing its tables.
const PROBES_AT_ONCE: usize = 64;
