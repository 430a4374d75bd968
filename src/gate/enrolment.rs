//! Enrolling: chunks of a batch, row by row, each whole or not at all.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::authz::{About, Action, Permit};
use crate::ids::{BatchId, CollectionName, FieldName, RequestId, RestrictionName, SOURCE_ID_MAX_CHARS};
use crate::matching::Collection;
use crate::store::enrolment::{BatchStarted, FieldNew, Line, SubjectNew};
use crate::store::{Batch, BatchNew, Chunk, ChunkDone, ChunksDone, GalleryChange};
use crate::template::Sample;

use super::{Caller, Gate, GateError, text};

/// A chunk as it arrived. A row that is not in its form carries why.
pub struct ChunkAsk {
    /// The batch.
    pub batch: BatchId,
    /// The number of rows of the batch before this chunk.
    pub first_row: u64,
    /// The rows.
    pub rows: Vec<Result<SubjectAsk, String>>,
    /// The bytes of the chunk as they came: tells a repetition from a mistake.
    pub content: zeroize::Zeroizing<Vec<u8>>,
}

/// A row of a chunk.
pub struct SubjectAsk {
    /// The source system's id of the person.
    pub source_id: String,
    /// The templates, as the extractor gave them.
    pub templates: Vec<Sample>,
    /// The fields of the record.
    pub fields: Vec<FieldAsk>,
    /// Restrictions to add.
    pub restrictions: Vec<RestrictionName>,
}

/// A field of a row.
pub struct FieldAsk {
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

/// A chunk that is checked, protected and permitted, and not enrolled yet.
pub struct ChunkReady {
    permit: Permit,
    chunk: Chunk,
    accepted: u32,
    rejected: Vec<(u64, String)>,
    /// Held until the chunk is published: nothing is renewed before what was protected for it as it was is there.
    protected_for: Arc<Collection>,
}

impl ChunkReady {
    /// Whether it stands right behind another one, in the same batch.
    #[must_use]
    pub fn follows(&self, before: &Self) -> bool {
        let (chunk, before) = (&self.chunk, &before.chunk);
        chunk.batch == before.batch
            && chunk.first_row == before.first_row.saturating_add(u64::from(before.rows))
    }
}

/// What came of a chunk.
pub struct ChunkAnswer {
    /// The batch after it.
    pub batch: Batch,
    /// How many rows of the chunk were accepted.
    pub accepted: u32,
    /// The rows that were rejected, with the reason.
    pub rejected: Vec<(u64, String)>,
}

impl Gate {
    /// Starts a batch, or finds it again.
    ///
    /// # Errors
    /// [`GateError::RequestIdUsed`] when the id belongs to a batch of another collection, and the others.
    pub async fn batch_start(
        &self,
        caller: &Caller,
        request: RequestId,
        collection: CollectionName,
        official: String,
    ) -> Result<Batch, GateError> {
        let official = text("official", official, 1, OFFICIAL_MAX_CHARS)?;
        let content = self.content(request.as_bytes());
        let about = About::Collection { collection: &collection };
        let permit = self.permit(&caller.actor, Action::StartBatch, about, content).await?;
        let new = BatchNew { request, collection, official, created: self.now() };
        match self.parts.store.batch_start(permit, new).await? {
            BatchStarted::Batch(batch) => Ok(batch),
            BatchStarted::OtherContent => Err(GateError::RequestIdUsed),
        }
    }

    /// A batch of the caller's own.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn batch_get(&self, caller: &Caller, id: BatchId) -> Result<Batch, GateError> {
        let content = self.content(id.as_bytes());
        let _permit = self.permit(&caller.actor, Action::GetBatch, About::Service, content).await?;
        let batch = self.parts.store.batch_get(caller.actor.name.clone(), id).await?;
        batch.ok_or(GateError::NotFound("batch"))
    }

    /// Prepares a chunk: checks every row, and protects its templates. Nothing is written.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and that of the rules.
    pub async fn chunk_prepare(&self, caller: &Caller, ask: ChunkAsk) -> Result<ChunkReady, GateError> {
        let batch = self.parts.store.batch_get(caller.actor.name.clone(), ask.batch).await?;
        let Some(batch) = batch else {
            let content = self.content(ask.batch.as_bytes());
            let _permit = self.permit(&caller.actor, Action::GetBatch, About::Service, content).await?;
            return Err(GateError::NotFound("batch"));
        };
        let content = self.content(&ask.content);
        let about = About::Collection { collection: &batch.collection };
        let permit = self.permit(&caller.actor, Action::EnrolSubjects, about, content).await?;
        let live = self.live.load_full();
        let collection = live.collections.get(&batch.collection).cloned();
        let collection =
            collection.ok_or(GateError::Internal { doing: "finding a collection of the rules" })?;
        let rows = u32::try_from(ask.rows.len()).unwrap_or(u32::MAX);
        let (first_row, keys) = (ask.first_row, self.parts.keys.clone());
        let protected_for = Arc::clone(&collection);
        let prepared = tokio::task::spawn_blocking(move || prepare(&collection, &keys, first_row, ask.rows));
        let prepared = prepared.await.map_err(|_| GateError::Internal { doing: "preparing a chunk" })?;
        let (subjects, rejected) = prepared;
        let accepted = u32::try_from(subjects.len()).unwrap_or(u32::MAX);
        let (batch, generation) = (ask.batch, protected_for.newest().of.clone());
        let chunk =
            Chunk { batch, generation, first_row, rows, content, subjects, rejected: rejected.clone() };
        Ok(ChunkReady { permit, chunk, accepted, rejected, protected_for })
    }

    /// Enrols prepared chunks, one after the other: what is accepted of them is durable, logged and searchable before
    /// this returns. Each has its answer; behind one that failed nothing was enrolled.
    /// They have taken their place in the `line` when they are planned, and those who come behind are planned meanwhile.
    pub async fn chunks_enrol(
        &self,
        ready: Vec<ChunkReady>,
        line: Line,
    ) -> Vec<Result<ChunkAnswer, GateError>> {
        let mut told = Vec::with_capacity(ready.len());
        let mut chunks = Vec::with_capacity(ready.len());
        let mut held = Vec::with_capacity(ready.len());
        for ChunkReady { permit, chunk, accepted, rejected, protected_for } in ready {
            told.push((chunk.rows, accepted, rejected));
            chunks.push((permit, chunk));
            held.push(protected_for);
        }
        let done = match self.parts.store.chunks_enrol(chunks, line).await {
            Ok((ChunksDone { done, change, .. }, in_order)) => {
                let published = self.chunks_publish(change).await;
                self.corrections_due.notify_one();
                drop(in_order);
                published.map(|()| done)
            }
            Err(error) => Err(error.into()),
        };
        drop(held);
        match done {
            Ok(done) => done.into_iter().zip(told).map(|(done, told)| chunk_answer(done, told)).collect(),
            // One transaction: what failed, failed for all.
            Err(error) => vec![Err(error)],
        }
    }

    /// A place among all that changes people and galleries, and word of when it is taken: whoever comes after that comes
    /// behind.
    pub fn line(&self) -> (Line, oneshot::Receiver<()>) {
        Line::new(Arc::clone(&self.publish))
    }

    async fn chunks_publish(&self, change: GalleryChange) -> Result<(), GateError> {
        let gone = change.removed.clone();
        self.gallery_apply(change).await?;
        // Not before: questions about those who are enrolled again wait for the gallery.
        Ok(self.parts.store.snapshots_forget(gone).await?)
    }
}

fn chunk_answer(
    done: ChunkDone,
    (rows, accepted, rejected): (u32, u32, Vec<(u64, String)>),
) -> Result<ChunkAnswer, GateError> {
    match done {
        ChunkDone::Enrolled { batch } => Ok(ChunkAnswer { batch, accepted, rejected }),
        ChunkDone::Repeated { batch, rejected } => {
            let refused = u32::try_from(rejected.len()).unwrap_or(u32::MAX);
            Ok(ChunkAnswer { batch, accepted: rows.saturating_sub(refused), rejected })
        }
        ChunkDone::NoBatch => Err(GateError::NotFound("batch")),
        ChunkDone::OutOfOrder { rows_done } => Err(GateError::NotNow(format!(
            "{rows_done} rows of the batch are answered; go on with row {rows_done}"
        ))),
    }
}

type Prepared = (Vec<SubjectNew>, Vec<(u64, String)>);

fn prepare(
    collection: &Collection,
    keys: &crate::store::StoreKeys,
    first_row: u64,
    rows: Vec<Result<SubjectAsk, String>>,
) -> Prepared {
    let (mut subjects, mut rejected) = (Vec::with_capacity(rows.len()), Vec::new());
    for (row, number) in rows.into_iter().zip(first_row..) {
        match row.and_then(|row| subject(collection, keys, row)) {
            Ok(subject) => subjects.push(subject),
            Err(reason) => rejected.push((number, reason)),
        }
    }
    (subjects, rejected)
}

fn subject(
    collection: &Collection,
    keys: &crate::store::StoreKeys,
    row: SubjectAsk,
) -> Result<SubjectNew, String> {
    if row.source_id.is_empty() || row.source_id.chars().count() > SOURCE_ID_MAX_CHARS {
        return Err(format!("the source id is empty or longer than {SOURCE_ID_MAX_CHARS} characters"));
    }
    if row.templates.is_empty() && row.fields.is_empty() && row.restrictions.is_empty() {
        return Err(
            "the row has no template, no field and no restriction; send one of them at least".to_owned()
        );
    }
    if row.templates.len() > TEMPLATES_MAX {
        return Err(format!("the row has more than {TEMPLATES_MAX} templates; send fewer"));
    }
    let templates = row
        .templates
        .into_iter()
        .map(|sample| collection.protect(sample).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    let fields = row.fields.into_iter().map(field).collect::<Result<_, _>>()?;
    Ok(SubjectNew {
        source: keys.pseudonym(&row.source_id),
        templates,
        fields,
        restrictions: row.restrictions,
    })
}

fn field(ask: FieldAsk) -> Result<FieldNew, String> {
    let checked = |what: &str, text: &str, max: usize| {
        let length = text.chars().count();
        if length == 0 || length > max {
            return Err(format!(
                "the {what} of the field `{}` has {length} characters; send 1 to {max}",
                ask.field
            ));
        }
        Ok(())
    };
    checked("value", &ask.value, VALUE_MAX_CHARS)?;
    checked("classification", &ask.classification, LABEL_MAX_CHARS)?;
    checked("source", &ask.source, LABEL_MAX_CHARS)?;
    if ask.permitted_uses.is_empty() || ask.permitted_uses.len() > USES_MAX {
        return Err(format!("the field `{}` names no permitted use, or more than {USES_MAX}", ask.field));
    }
    for one in &ask.permitted_uses {
        checked("permitted use", one, LABEL_MAX_CHARS)?;
        if one.contains('\n') {
            return Err(format!(
                "a permitted use of the field `{}` holds a line break; send plain text",
                ask.field
            ));
        }
    }
    Ok(FieldNew {
        field: ask.field,
        value: ask.value,
        classification: ask.classification,
        source: ask.source,
        permitted_uses: ask.permitted_uses,
    })
}

const OFFICIAL_MAX_CHARS: usize = 128;
const TEMPLATES_MAX: usize = 512;
const VALUE_MAX_CHARS: usize = 4_096;
const LABEL_MAX_CHARS: usize = 128;
const USES_MAX: usize = 16;
