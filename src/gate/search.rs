//! Searches of the log. Each page is an entry, with what was searched for and why, before it is answered.

use crate::authz::{About, Action};
use crate::ids::Digest;
use crate::store::Searched;
use crate::store::search::{Search, Sought};

use super::log::REASON_MAX_CHARS;
use super::{Caller, Gate, GateError, text};

/// A page of a search as it was asked for, in its form.
pub struct SearchAsk {
    /// For what.
    pub sought: Sought,
    /// Only what stands before this place.
    pub before: Option<u64>,
    /// How many entries at most. None: the search is kept, and shows nothing.
    pub limit: u32,
    /// Why.
    pub why: String,
}

impl Gate {
    /// Searches the log.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn entry_search(&self, caller: &Caller, ask: SearchAsk) -> Result<Searched, GateError> {
        let why = text("reason", ask.why, 1, REASON_MAX_CHARS)?;
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::SearchEntries, About::Service, content).await?;
        let search = Search { sought: ask.sought, before: ask.before, limit: ask.limit, why };
        let (searched, _receipt) = self.parts.store.log_search(permit, search).await?.open()?;
        Ok(searched)
    }

    /// Does again what was searched for by the search that is this entry of the holder's journal; tells what that was.
    ///
    /// # Errors
    /// [`GateError::NotFound`] when it is no search.
    pub async fn entry_search_again(
        &self,
        caller: &Caller,
        entry: u64,
        page: (Option<u64>, u32),
        why: String,
    ) -> Result<(Sought, Searched), GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        // INVARIANT: whoever may not search is refused before anything is looked for.
        let content = self.content(why.as_bytes());
        let permit = self.permit(&caller.actor, Action::SearchEntries, About::Service, content).await?;
        let sought = self.parts.store.search_recall(entry).await?.ok_or(GateError::NotFound("search"))?;
        let (before, limit) = page;
        let search = Search { sought: sought.clone(), before, limit, why };
        let (searched, _receipt) = self.parts.store.log_search(permit, search).await?.open()?;
        Ok((sought, searched))
    }

    /// What a rule says in words, when the folder that it is of is the active one.
    #[must_use]
    pub fn rule_says(&self, policy: Digest, rule: &str) -> Option<String> {
        let live = self.live.load();
        (live.rules.digest() == policy).then(|| live.rules.rule_says(rule).map(str::to_owned)).flatten()
    }

    /// Indexes the tags of entries that became many; gives the number of runs that were written.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn tags_index(&self) -> Result<u32, GateError> {
        Ok(self.parts.store.tags_index().await?)
    }
}
