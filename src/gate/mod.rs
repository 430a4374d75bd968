//! The only composer: each use case authenticates, authorises, runs, commits and releases, in that order.
//!
//! One file a noun. What comes in is typed, what goes out has its entry. Nothing here knows the wire.

mod agreement;
mod alert;
mod backup;
mod breach;
mod caller;
mod case;
mod change;
mod collections;
mod correction;
mod decision;
mod delegation;
mod disclosure;
mod dossier;
mod duplicates;
mod enrolment;
mod error;
mod log;
mod notice;
mod passkey;
mod query;
mod ready;
mod renewal;
mod retention;
mod search;
mod session;
mod snapshot;
mod subject;
mod subject_report;
mod subject_request;
mod tiles;
mod watching;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};

use crate::authz::{About, Action, Actor, Ask, Permit, Rules, Standings};
use crate::clock::{Clock, Timestamp};
use crate::ids::{CollectionName, Digest, PartnerName, SubjectId};
use crate::index::{FirstStage, Pool};
use crate::matching::Collection;
use crate::secret::Entropy;
use crate::store::enrolment::RestrictionSet;
use crate::store::{HolderFacts, Registry, Store, StoreKeys};

pub use agreement::{AgreementView, Remaining, SchemeView, StandingView};
pub use breach::{BreachAsk, BreachDeed, TraceAsk};
pub use caller::{Caller, Credential};
pub use case::{CaseAsk, CaseDetail, DecideAsk};
pub use change::{ChangeAsk, ReleaseKeyChallenge};
pub use collections::OpenError;
pub use decision::{DecisionDraft, DecisionProof, DecisionToSign, PasskeyProof};
pub use delegation::SeatHeld;
pub use disclosure::{DisclosureAsk, DisclosureDone};
pub use dossier::Dossier;
pub use enrolment::{ChunkAnswer, ChunkAsk, ChunkReady, FieldAsk, SubjectAsk};
pub use error::GateError;
pub use log::{LogPage, ReadAsk};
pub use notice::Heard;
pub use passkey::{Invited, SignInAsk};
pub use query::{Answered, QuestionAsk};
pub use retention::RetentionView;
pub use search::SearchAsk;
pub use session::{ProviderSignIn, SessionHeld, SessionTimes};
pub use subject_report::{ReportAsk, ReportMade, ReportWho};
pub use subject_request::{SubjectRequestAsk, SubjectRequestDeed};
pub use watching::Watched;
pub use witness::WitnessRefusal;

/// What the gate is made of.
pub struct GateParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What may be derived from the store's root.
    pub keys: StoreKeys,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// The threads that search.
    pub pool: Pool,
    /// What searches begin with.
    pub first_stage: FirstStage,
    /// Subjects whose templates no honest sample matches.
    pub canaries: BTreeSet<SubjectId>,
}

/// Every use case of the service.
pub struct Gate {
    parts: GateParts,
    /// Everything that is decided by, swapped as a whole.
    live: ArcSwap<Live>,
    /// Enrolment publishes to the live gallery in the order of its commits.
    publish: Arc<Mutex<()>>,
    changes: watch::Sender<u64>,
    /// Collections as they were before they changed, as long as somebody may still use them.
    leaving: std::sync::Mutex<Vec<Weak<Collection>>>,
    /// Told when a collection may be to be renewed.
    renewal_due: Arc<Notify>,
    /// Told when a recipient may be to be told of a correction.
    corrections_due: Arc<Notify>,
    /// What detectors found in the log.
    watching: watching::Watching,
}

/// What decisions are made by at this moment.
struct Live {
    holder: HolderFacts,
    rules: Arc<Rules>,
    registry: Arc<Registry>,
    collections: BTreeMap<CollectionName, Arc<Collection>>,
    sets: BTreeMap<u64, RestrictionSet>,
}

impl Gate {
    /// Opens the gate on a founded store: loads the rules, the registry and the galleries.
    ///
    /// # Errors
    /// [`OpenError`] when the store is not founded, its rules do not hold, or a gallery can't be filled.
    pub async fn open(parts: GateParts) -> Result<Self, OpenError> {
        let live = collections::load(&parts, None).await?;
        let (changes, _) = watch::channel(0);
        let (live, publish) = (ArcSwap::from_pointee(live), Arc::default());
        let (leaving, renewal_due) = (std::sync::Mutex::default(), Arc::default());
        let corrections_due = Arc::default();
        let watching = watching::Watching::new(parts.canaries.clone());
        Ok(Self { parts, live, publish, changes, leaving, renewal_due, corrections_due, watching })
    }

    /// Tells whenever people, partners or rules changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Everybody who may act at this moment.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry::clone(&self.live.load().registry)
    }

    /// The holder.
    #[must_use]
    pub fn holder(&self) -> HolderFacts {
        self.live.load().holder.clone()
    }

    /// How many templates each collection holds.
    #[must_use]
    pub fn gallery_sizes(&self) -> Vec<(CollectionName, usize)> {
        let live = self.live.load();
        live.collections.iter().map(|(name, collection)| (name.clone(), collection.len())).collect()
    }

    /// Commits something and brings it into effect, in its order and to its end, also when whoever asked for it goes
    /// away in between: what is in the log holds for the next query.
    async fn to_its_end<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl Future<Output = Result<T, GateError>> + Send + 'static,
    ) -> Result<T, GateError> {
        let gate = Arc::clone(self);
        let done = tokio::spawn(async move {
            let _order = gate.publish.lock().await;
            change.await
        });
        done.await.map_err(|_| GateError::Internal { doing: "bringing a change into effect" })?
    }

    /// Loads people, partners and rules again after one of them changed. The caller holds the order of publishing.
    async fn reload_in_order(&self) -> Result<(), GateError> {
        let before = self.live.load_full();
        let live = collections::load(&self.parts, Some(&before)).await.map_err(GateError::reload)?;
        self.leaving_note(&before, &live);
        self.live.store(Arc::new(live));
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
        Ok(())
    }

    /// Asks the rules. A refusal is an entry before it is an answer (promise 13).
    async fn permit(
        &self,
        actor: &Actor,
        action: Action,
        about: About<'_>,
        content: Digest,
    ) -> Result<Permit, GateError> {
        let asked = Ask { action, about, content, now: self.now() };
        let refusal = match self.live.load().rules.permit(actor, &asked) {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        let reason = refusal.reason;
        let _receipt = self.parts.store.refusal_record(actor.clone(), action, reason, refusal.rule).await?;
        Err(GateError::Refused(reason))
    }

    /// What is suspended at this moment that a call of a partner for an official may be about.
    fn standings<'a>(&self, live: &'a Live, partner: Option<&PartnerName>, official: &str) -> Standings<'a> {
        live.registry.suspended.standings(partner, self.parts.keys.official_tag(official))
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Refuses what was sent too long ago or is dated ahead.
    fn check_sent(&self, sent: Timestamp) -> Result<(), GateError> {
        let now = self.now();
        let near = sent >= now.before(CLOCK_SKEW) && sent <= now.after(CLOCK_SKEW);
        if near { Ok(()) } else { Err(GateError::ClockSkew { now }) }
    }

    /// The hash that a permit is bound to: keyed, so that it tells nothing of what it is over.
    fn content(&self, bytes: &[u8]) -> Digest {
        self.parts.keys.content_digest(bytes)
    }
}

/// Text that people wrote, in the length that the interface allows.
fn text(field: &'static str, text: String, min: usize, max: usize) -> Result<String, GateError> {
    let length = text.chars().count();
    if length < min || length > max {
        let what = format!("it has {length} characters; send {min} to {max}");
        return Err(GateError::Invalid { field, what });
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(GateError::Invalid {
            field,
            what: "it holds control characters; send plain text".to_owned(),
        });
    }
    Ok(text)
}

/// What Kerberos allows between two machines (RFC 4120, section 8.2).
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
