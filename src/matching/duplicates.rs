//! Templates of a collection against the others there: whether somebody is held twice.

use std::collections::BTreeSet;

use super::{Collection, MatchingError};
use crate::authz::Permit;
use crate::ids::SubjectId;
use crate::index::{Findings, Slot};
use crate::store::duplicates::ToCompare;
use crate::store::{Store, Withheld};
use crate::template::{Rate, fmr_for};

/// Compares templates with all that are not of the same subject. Who is alike comes in pairs, each once, withheld until the
/// entry about it is durable; how alike ends here. The permit is the holder's: no partner is shown a pair.
///
/// # Errors
/// [`MatchingError::Moving`] when the collection is renewed meanwhile, and the others.
pub async fn duplicates(
    store: &dyn Store,
    _permit: &Permit,
    collection: &Collection,
    templates: &[ToCompare],
    fpir: f64,
) -> Result<Withheld<Vec<[SubjectId; 2]>>, MatchingError> {
    let [generation] = collection.generations() else { return Err(MatchingError::Moving) };
    let gallery = u64::try_from(collection.len()).unwrap_or(u64::MAX);
    let gallery = std::num::NonZeroU64::new(gallery).unwrap_or(std::num::NonZeroU64::MIN);
    let rate = Rate::new(fpir).map_err(MatchingError::Calibration)?;
    let fmr = fmr_for(rate, gallery, std::num::NonZeroU32::MIN).map_err(MatchingError::Calibration)?;
    let threshold = collection.scheme.calibration.threshold_for(fmr).map_err(MatchingError::Calibration)?;
    let mut pairs = BTreeSet::new();
    for some in templates.chunks(TOGETHER) {
        let probe = |one: &'_ ToCompare| one.own.iter().copied().map(Slot).collect::<Vec<_>>();
        let probes: Vec<_> = some.iter().map(|one| (&one.template, probe(one))).collect();
        let (asked, turn) =
            generation.gallery.ask_besides(&probes, threshold).map_err(MatchingError::Index)?;
        if let Some(turn) = turn {
            drop(tokio::task::spawn_blocking(move || turn.run()));
        }
        let found = asked.await.map_err(MatchingError::Index)?;
        for (one, findings) in some.iter().zip(&found) {
            for other in alike(store, findings, threshold).await? {
                if other != one.subject {
                    pairs.insert([one.subject.min(other), one.subject.max(other)]);
                }
            }
        }
    }
    Ok(Withheld::new(pairs.into_iter().collect()))
}

/// The subjects of what passes.
async fn alike(
    store: &dyn Store,
    findings: &Findings,
    threshold: crate::template::Threshold,
) -> Result<Vec<SubjectId>, MatchingError> {
    let passing = findings.rows().iter().filter(|one| one.similarity.passes(threshold));
    let slots: Vec<u64> = passing.map(|one| one.slot.0).collect();
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    let subjects = store.slot_subject(slots).await.map_err(MatchingError::Store)?;
    Ok(subjects.into_iter().flatten().collect())
}

/// Questions of partners wait no longer behind these than behind one another.
const TOGETHER: usize = 64;
