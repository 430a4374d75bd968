//! Subjects, their templates, records and restrictions, and what changes of them in the live gallery.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::StoreError;
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, BatchId, CollectionName, Digest, FieldName, RequestId, RestrictionName, SchemeName, SubjectId,
};
use crate::keys::Pseudonym;
use crate::secret::Secret;
use crate::template::Protected;

use super::AuditReceipt;

/// A collection in one generation of its keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionGeneration {
    /// The collection.
    pub collection: CollectionName,
    /// Counted from one: how often the collection was renewed, and once.
    pub number: u32,
}

impl fmt::Display for CollectionGeneration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.collection, self.number)
    }
}

/// A collection as the store has it.
pub struct CollectionFound {
    /// The generations that there are templates of, or will be, the oldest first, with the secrets of their transforms.
    /// Two while the collection is renewed: the second is the one that new templates get.
    pub generations: Vec<(CollectionGeneration, Secret<32>)>,
}

/// A collection of the active rules.
pub struct CollectionNew {
    /// Its name.
    pub name: CollectionName,
    /// The scheme of its templates.
    pub scheme: SchemeName,
    /// The number of components of a template.
    pub dimension: u16,
}

/// A batch to start.
pub struct BatchNew {
    /// The caller's id of the request.
    pub request: RequestId,
    /// The collection to enrol into.
    pub collection: CollectionName,
    /// The official who answers for it.
    pub official: String,
    /// When it was started.
    pub created: Timestamp,
}

/// What came of starting a batch.
pub enum BatchStarted {
    /// It is new or goes on.
    Batch(Batch),
    /// The request id belongs to a batch of another collection or official.
    OtherContent,
}

/// A run of enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// The collection it enrols into.
    pub collection: CollectionName,
    /// How many rows were answered.
    pub rows_done: u64,
    /// How many of them were accepted.
    pub rows_accepted: u64,
    /// When it was started.
    pub created: Timestamp,
}

/// A chunk of a batch, checked and protected.
pub struct Chunk {
    /// The batch.
    pub batch: BatchId,
    /// What its templates were protected for.
    pub generation: CollectionGeneration,
    /// The number of rows of the batch before this chunk.
    pub first_row: u64,
    /// The number of rows that were sent, accepted or not.
    pub rows: u32,
    /// Keyed hash of the chunk: tells a repetition from a mistake.
    pub content: Digest,
    /// The rows that were accepted.
    pub subjects: Vec<SubjectNew>,
    /// The rows that were rejected, with the reason.
    pub rejected: Vec<(u64, String)>,
}

/// A subject to enrol, or to enrol again.
pub struct SubjectNew {
    /// The keyed pseudonym of the source system's id.
    pub source: Pseudonym,
    /// The templates; none leaves those that are there.
    pub templates: Vec<Protected>,
    /// The fields of the record; none leaves those that are there.
    pub fields: Vec<FieldNew>,
    /// Restrictions to add.
    pub restrictions: Vec<RestrictionName>,
}

/// A field of a record.
pub struct FieldNew {
    /// Which.
    pub field: FieldName,
    /// Its value.
    pub value: String,
    /// Its classification.
    pub classification: String,
    /// Where it came from.
    pub source: String,
    /// What it may be used for.
    pub permitted_uses: Vec<String>,
}

/// What came of chunks that were enrolled together.
pub struct ChunksDone {
    /// The receipt of the entry of the last one that was enrolled; `None` when none was.
    pub receipt: Option<AuditReceipt>,
    /// What came of each, in order.
    pub done: Vec<ChunkDone>,
    /// What changes in the live gallery by all of them.
    pub change: GalleryChange,
}

/// The place of chunks among everything that changes people. It is taken when they are planned, so that the next ones are
/// planned while these are written, and kept until what changed is published.
pub struct Line {
    order: Arc<Mutex<()>>,
    planned: oneshot::Sender<()>,
}

/// The order of changes, held.
pub type InOrder = OwnedMutexGuard<()>;

impl Line {
    /// A place in this order; and word of when it is taken, from when on the next may line up. Nobody who is told
    /// otherwise has taken it.
    #[must_use]
    pub fn new(order: Arc<Mutex<()>>) -> (Self, oneshot::Receiver<()>) {
        let (planned, told) = oneshot::channel();
        (Self { order, planned }, told)
    }

    /// Waits for the place.
    pub(super) async fn take(self) -> InOrder {
        let held = self.order.lock_owned().await;
        // Nobody may want to know.
        let _ = self.planned.send(());
        held
    }
}

/// What came of a chunk.
pub enum ChunkDone {
    /// It is durable, with an entry of its own.
    Enrolled {
        /// The batch after it.
        batch: Batch,
    },
    /// It was answered before: the same answer again.
    Repeated {
        /// The batch as it is.
        batch: Batch,
        /// The rows that were rejected then.
        rejected: Vec<(u64, String)>,
    },
    /// The batch is not this caller's, or does not exist.
    NoBatch,
    /// The chunk does not follow on what was answered, or repeats it with other content.
    OutOfOrder {
        /// The number of rows that were answered.
        rows_done: u64,
    },
}

/// What changes in a live gallery.
#[derive(Default)]
pub struct GalleryChange {
    /// The templates that are no longer searched, by slot.
    pub removed: Vec<(CollectionGeneration, u64)>,
    /// The templates that are searched from now on.
    pub added: Vec<Loaded>,
    /// The slots that moved to another set of restrictions.
    pub relabelled: Vec<(CollectionGeneration, u64, u64)>,
    /// Whether a subject was there at all.
    pub subject_known: bool,
}

/// A subject that is erased: its rows are gone, and the entry stands.
pub struct Erased {
    /// What changes in the live galleries.
    pub change: GalleryChange,
    /// Whether its keys and bytes are gone as well; the next start finishes what failed.
    pub bytes_gone: Result<(), StoreError>,
}

/// A template for a gallery.
pub struct Loaded {
    /// The collection, in the generation of the template.
    pub generation: CollectionGeneration,
    /// The slot.
    pub slot: u64,
    /// The label of the subject's set of restrictions.
    pub restriction_set: u64,
    /// The template.
    pub template: Protected,
}

/// A set of restrictions and its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestrictionSet {
    /// The label; 0 is the empty set.
    pub id: u64,
    /// The restrictions, sorted.
    pub names: Vec<RestrictionName>,
}

/// A restriction to add.
pub struct RestrictionNew {
    /// The keyed pseudonym of the source system's id.
    pub source: Pseudonym,
    /// The restriction.
    pub restriction: RestrictionName,
    /// Why.
    pub why: String,
}

/// What is held of a subject, without values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectFacts {
    /// Its id.
    pub subject: SubjectId,
    /// Others that two people found to be the same person.
    pub same_person: Vec<SubjectId>,
    /// How many templates.
    pub templates: u32,
    /// Which fields.
    pub fields: Vec<FieldName>,
    /// Which restrictions.
    pub restrictions: Vec<RestrictionName>,
    /// Who enrolled the subject first.
    pub enrolled_by: ActorName,
}
