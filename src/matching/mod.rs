//! From a permit and samples to a verdict: the only place where a similarity is compared with a threshold.
//!
//! The same work is done for everyone: every compartment is searched, those that the agreement hides from the
//! partner as well, and both the best visible and the best hidden subject are looked up. What comes out is a
//! verdict that is withheld until its entry is durable; the score ends here.

mod threshold;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use crate::authz::{Agreement, Permit};
use crate::index::{Compartment, Finding, Findings, Gallery, IndexError, Slot};
use crate::store::enrolment::RestrictionSet;
use crate::store::{Answer, Store, StoreError, Verdict, Withheld};
use crate::template::{
    CalibrationError, Protected, Rate, Sample, Scheme, TemplateError, Threshold, Transform, fmr_for, protect,
};

pub use threshold::Thresholds;

/// A collection as it is searched now.
pub struct Collection {
    /// How its templates are made and compared.
    pub scheme: Scheme,
    /// The keyed transform of its templates.
    pub transform: Arc<Transform>,
    /// Its live gallery.
    pub gallery: Arc<Gallery>,
    /// Which thresholds were said in the log.
    pub thresholds: Arc<Thresholds>,
}

impl Collection {
    /// Protects a sample for this collection; the sample is wiped.
    ///
    /// # Errors
    /// [`TemplateError`] when the sample is not one of the scheme's.
    pub fn protect(&self, sample: Sample) -> Result<Protected, TemplateError> {
        protect(sample, &self.scheme, &self.transform)
    }
}

/// A question whose samples are protected.
pub struct Question<'a> {
    /// The collection to search.
    pub collection: Arc<Collection>,
    /// The samples of the one person, one at least.
    pub probes: Vec<Protected>,
    /// The sets of restrictions that compartments stand for.
    pub sets: &'a BTreeMap<u64, RestrictionSet>,
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
        let findings = search(&question.collection.gallery, &question.probes, threshold).await?;
        let best = best(&findings, question.sets, agreement);
        if let Some(verdict) = verdict(store, &best, threshold).await? {
            return Ok(Withheld::new(verdict));
        }
    }
    Err(MatchingError::Moving)
}

/// Searches the whole collection for a canary, at a threshold at which both stages of a search have work to do. What
/// is found does not matter, only that the search ends.
///
/// # Errors
/// [`MatchingError::Index`] when the gallery can't be searched.
pub async fn try_search(collection: &Collection, canary: Protected) -> Result<(), MatchingError> {
    let threshold = Threshold::new(CANARY_THRESHOLD).map_err(MatchingError::Calibration)?;
    search(&collection.gallery, &[canary], threshold).await.map(|_| ())
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
    let gallery = u64::try_from(question.collection.gallery.len()).unwrap_or(u64::MAX);
    let gallery = NonZeroU64::new(gallery).unwrap_or(NonZeroU64::MIN);
    let samples = u32::try_from(question.probes.len()).unwrap_or(u32::MAX);
    let samples = NonZeroU32::new(samples).unwrap_or(NonZeroU32::MIN);
    let fpir = Rate::new(agreement.accuracy.fpir).map_err(MatchingError::Calibration)?;
    let fmr = fmr_for(fpir, gallery, samples).map_err(MatchingError::Calibration)?;
    let threshold =
        question.collection.scheme.calibration.threshold_for(fmr).map_err(MatchingError::Calibration)?;
    question.collection.thresholds.note(&agreement.name, samples, gallery.get(), threshold);
    Ok(threshold)
}

async fn search(
    gallery: &Arc<Gallery>,
    probes: &[Protected],
    threshold: Threshold,
) -> Result<Vec<Findings>, MatchingError> {
    let (asked, turn) = gallery.ask(probes, threshold).map_err(MatchingError::Index)?;
    if let Some(turn) = turn {
        // Not waited for: it goes on as long as others ask, and what is asked here may be found before.
        drop(tokio::task::spawn_blocking(move || turn.run()));
    }
    asked.await.map_err(MatchingError::Index)
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
