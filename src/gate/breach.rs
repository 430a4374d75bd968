//! Breaches of privacy: opened, contained, traced, assessed, told and closed; and noted when the Commissioner is told late.

use crate::authz::{About, Action};
use crate::clock::Timestamp;
use crate::ids::BreachId;
use crate::secret::random_bytes;
use crate::store::breach::{
    Affected, Breach, BreachFilter, BreachFinding, BreachKind, BreachNew, BreachStep, BreachStepped,
    BreachTold, BreachTraced, Factor, TraceNew,
};
use crate::store::search::{Attribute, Sought, SoughtError};
use crate::telemetry;

use super::{Caller, Gate, GateError, text};

/// A case as it is opened, in its form.
pub struct BreachAsk {
    /// What kind of breach.
    pub kind: BreachKind,
    /// What happened.
    pub what: String,
    /// When the holder came to know of it.
    pub aware: Timestamp,
    /// Where it was found.
    pub found_by: Vec<String>,
}

/// What is done with a case, in its form.
pub enum BreachDeed {
    /// It is contained; the words say how.
    Contain,
    /// It is assessed.
    Assess(Vec<(Factor, String)>, BreachFinding),
    /// A second person confirms that it need not be notified.
    Confirm,
    /// Somebody was told: who, when, and the detail of it.
    Notify(BreachTold, Timestamp, String),
    /// It is closed.
    Close,
}

/// What the log is looked through for, in its form.
pub struct TraceAsk {
    /// Entries as `JOURNAL/INDEX`.
    pub entries: Vec<String>,
    /// A partner, an official, a person of the holder.
    pub of: Vec<(Attribute, String)>,
    /// From which moment on.
    pub since: Option<Timestamp>,
    /// Before which moment.
    pub until: Option<Timestamp>,
    /// Why.
    pub why: String,
}

impl Gate {
    /// Opens a case about a breach.
    ///
    /// # Errors
    /// [`GateError::Invalid`].
    pub async fn breach_open(&self, caller: &Caller, ask: BreachAsk) -> Result<(Breach, String), GateError> {
        let what = text("description", ask.what, 1, WORDS_MAX_CHARS)?;
        if ask.found_by.len() > FOUND_BY_MAX {
            let what = format!("there are {}; name {FOUND_BY_MAX} at most", ask.found_by.len());
            return Err(GateError::Invalid { field: "found_by", what });
        }
        let one = |words: String| text("found_by", words.replace('\n', " "), 1, FOUND_BY_MAX_CHARS);
        let found_by = ask.found_by.into_iter().map(one).collect::<Result<_, _>>()?;
        if ask.aware > self.now() {
            let what = "it lies ahead; name the moment at which you came to know of the breach".to_owned();
            return Err(GateError::Invalid { field: "aware_time", what });
        }
        let content = self.content(what.as_bytes());
        let permit = self.permit(&caller.actor, Action::OpenBreach, About::Service, content).await?;
        let id = BreachId::from_bytes(random_bytes(self.parts.entropy.as_ref())?);
        let new = BreachNew { id, kind: ask.kind, what, aware: ask.aware, found_by };
        let (breach, receipt) = self.parts.store.breach_open(permit, new).await?.open()?;
        Ok((breach, receipt.to_text()))
    }

    /// Takes a step of a case.
    ///
    /// # Errors
    /// [`GateError::NotNow`] with what stands against it, [`GateError::NotFound`].
    pub async fn breach_step(
        &self,
        caller: &Caller,
        id: BreachId,
        deed: BreachDeed,
        why: String,
    ) -> Result<Breach, GateError> {
        let why = text("reason", why, 1, WORDS_MAX_CHARS)?;
        let (action, step) = match deed {
            BreachDeed::Contain => (Action::ContainBreach, BreachStep::Contain { what: why }),
            BreachDeed::Assess(factors, finding) => {
                let one = |(factor, words)| Ok((factor, text("factors", words, 1, FACTOR_MAX_CHARS)?));
                let factors = factors.into_iter().map(one).collect::<Result<_, GateError>>()?;
                (Action::AssessBreach, BreachStep::Assess { factors, finding, why })
            }
            BreachDeed::Confirm => (Action::ConfirmBreach, BreachStep::Confirm { why }),
            BreachDeed::Notify(told, at, detail) => {
                let detail = text("detail", detail, 1, DETAIL_MAX_CHARS)?;
                (Action::NotifyBreach, BreachStep::Notify { told, at, detail, why })
            }
            BreachDeed::Close => (Action::CloseBreach, BreachStep::Close { why }),
        };
        let permit = self.permit(&caller.actor, action, About::Service, self.content(id.as_bytes())).await?;
        let (stepped, _receipt) = self.parts.store.breach_step(permit, id, step).await?.open()?;
        match stepped {
            BreachStepped::Done(breach) => Ok(*breach),
            BreachStepped::Refused(refused) => Err(GateError::NotNow(refused.to_string())),
            BreachStepped::NoBreach => Err(GateError::NotFound("breach")),
        }
    }

    /// Looks through the log for whom a breach affects. The reason is an entry before anything is shown.
    ///
    /// # Errors
    /// [`GateError::Invalid`] when nothing is named, [`GateError::NotNow`], [`GateError::NotFound`].
    pub async fn breach_trace(
        &self,
        caller: &Caller,
        id: BreachId,
        ask: TraceAsk,
    ) -> Result<(Breach, Affected, String), GateError> {
        let why = text("reason", ask.why.clone(), 1, REASON_MAX_CHARS)?;
        let sought = sought(&ask)?;
        let content = self.content(why.as_bytes());
        // INVARIANT: whoever may not is refused before anything is looked for.
        let permit = self.permit(&caller.actor, Action::TraceBreach, About::Service, content).await?;
        let new = TraceNew { sought, why };
        let (traced, receipt) = self.parts.store.breach_trace(permit, id, new).await?.open()?;
        match traced {
            BreachTraced::Done(breach, affected) => Ok((*breach, affected, receipt.to_text())),
            BreachTraced::Refused(refused) => Err(GateError::NotNow(refused.to_string())),
            BreachTraced::NoBreach => Err(GateError::NotFound("breach")),
        }
    }

    /// A case, and the holder's host.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn breach_get(&self, caller: &Caller, id: BreachId) -> Result<(Breach, String), GateError> {
        let content = self.content(id.as_bytes());
        let _permit = self.permit(&caller.actor, Action::GetBreach, About::Service, content).await?;
        let found = self.parts.store.breach_get(id).await?.ok_or(GateError::NotFound("breach"))?;
        Ok((found, self.live.load().holder.host.clone()))
    }

    /// Cases: open ones, those that are due soonest first; or those that are closed, the newest first.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn breach_list(
        &self,
        caller: &Caller,
        closed: bool,
        after: Option<BreachId>,
        limit: u32,
    ) -> Result<Vec<Breach>, GateError> {
        let content = self.content(b"");
        let _permit = self.permit(&caller.actor, Action::ListBreaches, About::Service, content).await?;
        let filter = BreachFilter { closed, due_at: None, after, limit };
        Ok(self.parts.store.breach_list(filter).await?)
    }

    /// Notes breaches of which the Commissioner was not told in time, once each; gives how many.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn breaches_tend(&self) -> Result<u32, GateError> {
        let mut noted: u32 = 0;
        loop {
            let due_at = Some(self.now());
            let filter = BreachFilter { due_at, limit: TEND_BREACHES, ..Default::default() };
            let mut moved = false;
            for breach in self.parts.store.breach_list(filter).await? {
                if self.parts.store.breach_late(breach.id).await? {
                    tracing::warn!(
                        "the Commissioner was not told of a breach within 72 hours; see `onebit breach list`"
                    );
                    metrics::counter!(telemetry::BREACHES_LATE).increment(1);
                    (noted, moved) = (noted.saturating_add(1), true);
                }
            }
            if !moved {
                return Ok(noted);
            }
        }
    }
}

/// What is searched for: each entry, and each name within the period; the period alone where nothing else is named.
fn sought(ask: &TraceAsk) -> Result<Vec<Sought>, GateError> {
    if ask.entries.len() > ENTRIES_MAX {
        let what = format!("there are {}; name {ENTRIES_MAX} at most, or a period", ask.entries.len());
        return Err(GateError::Invalid { field: "entries", what });
    }
    let wrong = |field| move |error: SoughtError| GateError::Invalid { field, what: error.to_string() };
    let entries = ask
        .entries
        .iter()
        .map(|entry| Sought::new(Attribute::Index, entry, None, None).map_err(wrong("entries")));
    let names = ask.of.iter().map(|(attribute, value)| {
        Sought::new(*attribute, value, ask.since, ask.until).map_err(wrong(attribute.name()))
    });
    let mut sought = entries.chain(names).collect::<Result<Vec<_>, _>>()?;
    if sought.is_empty() {
        if ask.since.is_none() || ask.until.is_none() {
            let what = "nothing is named; name entries, a partner, an official, an officer, or both ends of a period";
            return Err(GateError::Invalid { field: "until_time", what: what.to_owned() });
        }
        for kind in Affected::KINDS {
            let one = Sought::new(Attribute::Kind, kind.name(), ask.since, ask.until);
            sought.push(one.map_err(wrong("until_time"))?);
        }
    }
    Ok(sought)
}

/// Each is at most four bytes, and a fact of an entry has 8,192.
const WORDS_MAX_CHARS: usize = 2_000;
/// Six of them stand in one fact.
const FACTOR_MAX_CHARS: usize = 300;
const DETAIL_MAX_CHARS: usize = 256;
const REASON_MAX_CHARS: usize = 512;
/// They stand in one fact.
const FOUND_BY_MAX: usize = 16;
const FOUND_BY_MAX_CHARS: usize = 100;
/// Their names, of up to 90 bytes, stand in one fact.
const ENTRIES_MAX: usize = 64;
const TEND_BREACHES: u32 = 64;
