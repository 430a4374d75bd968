//! People who may be held twice, for privacy officers.

use std::sync::Arc;

use crate::authz::{About, Action};
use crate::ids::{CollectionName, SubjectId};
use crate::matching;
use crate::store::duplicates::DuplicatesNew;

use super::{Caller, Gate, GateError, text};

/// Pairs of subjects that may be one person.
pub struct Suspected {
    /// The pairs.
    pub pairs: Vec<[SubjectId; 2]>,
    /// How many templates were compared with all others.
    pub compared: u64,
    /// Behind which slot to go on; `None` when all were compared.
    pub next: Option<u64>,
    /// How many pairs of strangers to expect among them, if nobody is held twice.
    pub strangers_expected: f64,
    /// The receipt of the entry in the holder's journal.
    pub receipt: String,
}

impl Gate {
    /// Compares templates of a collection, those behind a slot, with all others, at the lowest rate of false hits that an
    /// agreement names for the collection.
    ///
    /// # Errors
    /// [`GateError::NotFound`] without such a collection, [`GateError::NotNow`] while it is renewed, and the others.
    pub async fn duplicates_find(
        &self,
        caller: &Caller,
        name: CollectionName,
        after: u64,
        why: String,
    ) -> Result<Suspected, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::FindDuplicates, About::Service, content).await?;
        let live = self.live.load_full();
        let collection = live.collections.get(&name).map(Arc::clone);
        let collection = collection.ok_or(GateError::NotFound("collection"))?;
        let rate = super::subject_report::rate(&live, &name)?;
        let [generation] = collection.generations() else {
            return Err(GateError::NotNow(RENEWING.to_owned()));
        };
        let store = self.parts.store.as_ref();
        let templates = store.duplicates_page(generation.of.clone(), after, TEMPLATES).await?;
        let compared = u64::try_from(templates.len()).unwrap_or(u64::MAX);
        let last = templates.last().map(|one| one.slot);
        let next = last.filter(|_| compared == u64::from(TEMPLATES));
        let pairs = matching::duplicates(store, &permit, &collection, &templates, rate);
        let pairs = pairs.await.map_err(GateError::Matching)?;
        let new = DuplicatesNew { collection: name, after, compared, pairs, why };
        let (pairs, receipt) = store.duplicates_note(permit, new).await?.open()?;
        // At most [`TEMPLATES`].
        let strangers_expected = f64::from(u32::try_from(compared).unwrap_or(TEMPLATES)) * rate;
        Ok(Suspected { pairs, compared, next, strangers_expected, receipt: receipt.to_text() })
    }
}

const REASON_MAX_CHARS: usize = 512;
/// Compared for one question: a second's work at a million templates.
const TEMPLATES: u32 = 2_048;
const RENEWING: &str =
    "the collection is being renewed; ask again when `onebit keys status` says that it is done";
