//! From a permit and samples to a verdict: the only place where a similarity is compared with a threshold.
//!
//! The same work is done for everyone: every compartment is searched, those that the agreement hides from the
//! partner as well, and both the best visible and the best hidden subject are looked up. What comes out is a
//! verdict that is withheld until its entry is durable; the score ends here.

mod duplicates;
mod threshold;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use crate::approval::ConfirmationWord;
use crate::authz::{Agreement, ConfirmationRates, Permit};
use crate::ids::{QueryId, SubjectId};
use crate::index::{Compartment, Finding, Findings, Gallery, IndexError, Slot};
use crate::store::enrolment::{CollectionGeneration, RestrictionSet};
use crate::store::{Answer, Store, StoreError, Verdict, Withheld};
use crate::template::{
    CalibrationError, Protected, Rate, Sample, Scheme, TemplateError, Threshold, Transform, Turn, fmr_for,
    protect,
};

pub use duplicates::duplicates;
pub use threshold::Thresholds;

/// A collection as it is searched now.
pub struct Collection {
    /// How its templates are made and compared.
    pub scheme: Scheme,
    /// Its generations, the oldest first: one, or two while the collection is renewed. Every template is in one of them.
    generations: Vec<Generation>,
    /// Which thresholds were said in the log.
    pub thresholds: Arc<Thresholds>,
}

/// A collection in one generation.
#[derive(Clone)]
pub struct Generation {
    /// Which.
    pub of: CollectionGeneration,
    /// The keyed transform of its templates.
    pub transform: Arc<Transform>,
    /// Its live gallery.
    pub gallery: Arc<Gallery>,
}

impl Collection {
    /// A collection of these generations, the oldest first; `None` without one.
    #[must_use]
    pub fn new(scheme: Scheme, generations: Vec<Generation>, thresholds: Arc<Thresholds>) -> Option<Self> {
        (!generations.is_empty()).then_some(Self { scheme, generations, thresholds })
    }

    /// Its generations, the oldest first.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The generation that new templates get.
    #[must_use]
    pub fn newest(&self) -> &Generation {
        #[expect(clippy::expect_used, reason = "`Collection::new` wants one")]
        self.generations.last().expect("a collection has a generation")
    }

    /// The number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.gallery.len()).sum()
    }

    /// Whether there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Protects a sample to be kept in this collection; the sample is wiped.
    ///
    /// # Errors
    /// [`TemplateError`] when the sample is not one of the scheme's.
    pub fn protect(&self, sample: Sample) -> Result<Protected, TemplateError> {
        protect(sample, &self.scheme, &self.newest().transform)
    }

    /// Protects a sample to be searched for in this collection, in each of its generations; the sample is wiped.
    ///
    /// # Errors
    /// [`TemplateError`] when the sample is not one of the scheme's.
    pub fn probe(&self, sample: Sample) -> Result<Probe, TemplateError> {
        let newest = self.protect(sample)?;
        let older = self.generations.iter().rev().skip(1);
        let mut forms = older
            .map(|older| {
                let back = (Arc::clone(&self.newest().transform), Arc::clone(&older.transform));
                Turn::new(back.0, back.1)?.apply(&newest)
            })
            .collect::<Result<Vec<_>, _>>()?;
        forms.reverse();
        forms.push(newest);
        Ok(Probe(forms))
    }
}

/// A sample of a question, protected for each generation of a collection, the oldest first.
pub struct Probe(Vec<Protected>);

/// A question whose samples are protected.
pub struct Question<'a> {
    /// The collection to search.
    pub collection: Arc<Collection>,
    /// The samples of the one person, one at least, protected for this collection.
    pub probes: Vec<Probe>,
    /// The sets of restrictions that compartments stand for.
    pub sets: &'a BTreeMap<u64, RestrictionSet>,
    /// Held by whoever changes rows and galleries, from the commit until both are the same again.
    pub changing: &'a tokio::sync::Mutex<()>,
}

/// A fresh sample that is to be compared with whom a query matched.
pub struct Confirming<'a> {
    /// The collection that the query searched.
    pub collection: &'a Collection,
    /// The sample, protected for this collection.
    pub probe: &'a Probe,
    /// The query.
    pub query: QueryId,
    /// Held by whoever changes rows and galleries, from the commit until both are the same again.
    pub changing: &'a tokio::sync::Mutex<()>,
}

/// Searches the whole collection and decides.
///
/// # Errors
/// [`MatchingError`]; a search that failed is never a `NO_HIT` (promise 3).
pub async fn decide(
    store: &dyn Store,
    permit: &Permit,
    question: Question<'_>,
) -> Result<Withheld<Verdict>, MatchingError> {
    let agreement = permit.agreement().ok_or(MatchingError::NoAgreement)?;
    let threshold = threshold(&question, agreement)?;
    for attempt in 0..SEARCHES {
        if attempt > 0 {
            // Whoever was enrolled again or erased is so in the gallery, too, when the change under way is over.
            drop(question.changing.lock().await);
        }
        let findings = search(&question.collection, &question.probes, threshold).await?;
        let best = best(&findings, question.sets, agreement);
        if let Some(verdict) = verdict(store, &best, threshold).await? {
            return Ok(Withheld::new(verdict));
        }
    }
    Err(MatchingError::Moving)
}

/// Searches the holder's own collection for one person, at a rate of false hits. Whoever it finds is withheld until the
/// entry about it is durable, hidden people included: the permit is the holder's.
///
/// # Errors
/// [`MatchingError`].
pub async fn identify(
    store: &dyn Store,
    _permit: &Permit,
    question: Question<'_>,
    fpir: f64,
) -> Result<Withheld<Option<SubjectId>>, MatchingError> {
    let threshold = threshold_at(&question, fpir)?;
    for attempt in 0..SEARCHES {
        if attempt > 0 {
            drop(question.changing.lock().await);
        }
        let findings = search(&question.collection, &question.probes, threshold).await?;
        let passing = findings.iter().flat_map(Findings::rows).filter(|one| one.similarity.passes(threshold));
        let best = passing.fold(None, |best: Option<Finding>, one| match best {
            Some(best) if !one.similarity.exceeds(best.similarity) => Some(best),
            _ => Some(*one),
        });
        let Some(best) = best else { return Ok(Withheld::new(None)) };
        let subjects = store.slot_subject(vec![best.slot.0]).await.map_err(MatchingError::Store)?;
        if let Some(Some(subject)) = subjects.first() {
            return Ok(Withheld::new(Some(*subject)));
        }
    }
    Err(MatchingError::Moving)
}

/// Compares a fresh sample with the one subject that a query of the caller's own matched. What comes out is a word, withheld
/// until the entry about it is durable; the score ends here. Nothing shows whether there was somebody to compare with.
///
/// # Errors
/// [`MatchingError`].
pub async fn confirm(
    store: &dyn Store,
    permit: &Permit,
    question: Confirming<'_>,
    rates: ConfirmationRates,
) -> Result<Withheld<ConfirmationWord>, MatchingError> {
    let Confirming { collection, probe, query, changing } = question;
    let calibration = &collection.scheme.calibration;
    let confirms = calibration.threshold_for(rates.confirms).map_err(MatchingError::Calibration)?;
    let contradicts = calibration.threshold_for(rates.contradicts).map_err(MatchingError::Calibration)?;
    for attempt in 0..SEARCHES {
        if attempt > 0 {
            drop(changing.lock().await);
        }
        let templates = store.hit_templates(permit, query).await.map_err(MatchingError::Store)?;
        let compared = templates.iter().map(|(of, template)| {
            let nth = collection.generations().iter().position(|generation| generation.of == *of)?;
            probe.0.get(nth)?.similarity(template).ok()
        });
        // A template that a renewal has moved since is looked for again.
        let Some(similarities) = compared.collect::<Option<Vec<_>>>() else { continue };
        let best = similarities.into_iter().reduce(|best, one| if one.exceeds(best) { one } else { best });
        return Ok(Withheld::new(match best {
            Some(best) if best.passes(confirms) => ConfirmationWord::Confirms,
            Some(best) if !best.passes(contradicts) => ConfirmationWord::Contradicts,
            Some(_) | None => ConfirmationWord::Inconclusive,
        }));
    }
    Err(MatchingError::Moving)
}

/// Searches the whole collection for a canary, at a threshold at which both stages of a search have work to do. What
/// is found does not matter, only that the search ends.
///
/// # Errors
/// [`MatchingError::Index`] when the gallery can't be searched.
pub async fn try_search(collection: &Collection, canary: Probe) -> Result<(), MatchingError> {
    let threshold = Threshold::new(CANARY_THRESHOLD).map_err(MatchingError::Calibration)?;
    search(collection, &[canary], threshold).await.map(|_| ())
}

/// What went wrong; none of it tells who is enrolled.
#[derive(Debug, thiserror::Error)]
pub enum MatchingError {
    /// The permit names no agreement.
    #[error("a search was asked for without an agreement")]
    NoAgreement,
    /// The calibration does not support the agreement's FPIR at this gallery size.
    #[error(
        "the scheme's calibration does not support the agreement's FPIR at this gallery size; extend the calibration"
    )]
    Calibration(#[source] CalibrationError),
    /// The index failed.
    #[error("the gallery could not be searched")]
    Index(#[source] IndexError),
    /// The gallery changed under every search.
    #[error("the gallery changed while it was searched; ask again")]
    Moving,
    /// The store failed.
    #[error("the store failed while looking behind a slot")]
    Store(#[source] StoreError),
}

/// The threshold that keeps to the agreement's FPIR: it follows the number of templates searched and the number
/// of samples, each of which gets its share of the rate.
fn threshold(question: &Question<'_>, agreement: &Agreement) -> Result<Threshold, MatchingError> {
    let threshold = threshold_at(question, agreement.accuracy.fpir)?;
    let (gallery, samples) = sizes(question);
    question.collection.thresholds.note(&agreement.name, samples, gallery.get(), threshold);
    Ok(threshold)
}

fn threshold_at(question: &Question<'_>, fpir: f64) -> Result<Threshold, MatchingError> {
    let (gallery, samples) = sizes(question);
    let fpir = Rate::new(fpir).map_err(MatchingError::Calibration)?;
    let fmr = fmr_for(fpir, gallery, samples).map_err(MatchingError::Calibration)?;
    question.collection.scheme.calibration.threshold_for(fmr).map_err(MatchingError::Calibration)
}

/// The number of templates searched, and that of samples; none count as one.
fn sizes(question: &Question<'_>) -> (NonZeroU64, NonZeroU32) {
    let gallery = u64::try_from(question.collection.len()).unwrap_or(u64::MAX);
    let samples = u32::try_from(question.probes.len()).unwrap_or(u32::MAX);
    (NonZeroU64::new(gallery).unwrap_or(NonZeroU64::MIN), NonZeroU32::new(samples).unwrap_or(NonZeroU32::MIN))
}

/// Searches every generation, one after the other.
///
/// INVARIANT: the older one first. A template that moves is in the newer one before it leaves the older one, so whoever is
/// not found here any more is found there.
async fn search(
    collection: &Collection,
    probes: &[Probe],
    threshold: Threshold,
) -> Result<Vec<Findings>, MatchingError> {
    let mut findings = Vec::new();
    for (nth, generation) in collection.generations.iter().enumerate() {
        let forms = probes.iter().map(|Probe(forms)| forms.get(nth).ok_or(IndexError::Search));
        let forms = forms.collect::<Result<Vec<_>, _>>().map_err(MatchingError::Index)?;
        let (asked, turn) = generation.gallery.ask(&forms, threshold).map_err(MatchingError::Index)?;
        if let Some(turn) = turn {
            // Not waited for: it goes on as long as others ask, and what is asked here may be found before.
            drop(tokio::task::spawn_blocking(move || turn.run()));
        }
        findings.append(&mut asked.await.map_err(MatchingError::Index)?);
    }
    Ok(findings)
}

/// The best finding on each side of what the partner may see.
struct Best {
    visible: Option<Finding>,
    hidden: Option<Finding>,
}

fn best(findings: &[Findings], sets: &BTreeMap<u64, RestrictionSet>, agreement: &Agreement) -> Best {
    let mut best = Best { visible: None, hidden: None };
    for finding in findings.iter().flat_map(Findings::rows) {
        let side = if is_visible(finding.compartment, sets, agreement) {
            &mut best.visible
        } else {
            &mut best.hidden
        };
        if side.is_none_or(|known| finding.similarity.exceeds(known.similarity)) {
            *side = Some(*finding);
        }
    }
    best
}

/// A set that is not known is hidden: no means no.
fn is_visible(compartment: Compartment, sets: &BTreeMap<u64, RestrictionSet>, agreement: &Agreement) -> bool {
    sets.get(&compartment.0)
        .is_some_and(|set| set.names.iter().all(|name| agreement.visible_restrictions.contains(name)))
}

/// The verdict; `None` when a template that passes is gone by now, so that the search must be done again.
async fn verdict(
    store: &dyn Store,
    best: &Best,
    threshold: Threshold,
) -> Result<Option<Verdict>, MatchingError> {
    let sides = [best.visible, best.hidden];
    // Both sides are looked up, whether they pass or not: a hit costs what a stranger costs.
    let slots = sides.iter().map(|side| side.map_or(NO_SLOT, |finding| finding.slot).0).collect();
    let subjects = store.slot_subject(slots).await.map_err(MatchingError::Store)?;
    let mut found = [None, None];
    for ((side, subject), found) in sides.iter().zip(subjects).zip(&mut found) {
        if side.is_some_and(|finding| finding.similarity.passes(threshold)) {
            let Some(subject) = subject else { return Ok(None) };
            *found = Some(subject);
        }
    }
    let [subject, hidden] = found;
    let answer = if subject.is_some() { Answer::Hit } else { Answer::NoHit };
    Ok(Some(Verdict { answer, subject, hidden }))
}

/// A template is erased or enrolled anew between search and look-up less than once in many thousand queries;
/// three in a row means that something else is wrong.
const SEARCHES: usize = 3;
/// At which the second stage has not much to do.
const CANARY_THRESHOLD: f64 = 0.5;
/// No template ever has it: slots begin at one.
const NO_SLOT: Slot = Slot(0);
