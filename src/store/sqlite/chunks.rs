//! Chunks of enrolment: looked up, numbered and sealed beside the writer, which then has rows to write and nothing else
//! to do. Chunks that wait together are written together, and the next ones are planned meanwhile.

mod ahead;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, params};

use crate::approval::CorrectionKind;
use crate::audit::event::{Fact, Kind};
use crate::authz::Permit;
use crate::ids::{ActorName, CollectionName, FieldName, SubjectId};
use crate::keys::{CollectionKey, DataKey, Domain, Pseudonym};
use crate::secret::{Entropy, random_bytes};
use crate::store::StoreError;
use crate::store::enrolment::{
    Batch, Chunk, ChunkDone, CollectionGeneration, FieldNew, GalleryChange, Loaded, SubjectNew,
};

use super::correction::Made;
use super::enrolment::{
    Known, batch_get, chunk_again, chunk_keep, next_slot, restrictions_put, slots_of, template_place,
};
use super::sources::{self, Asked};
use super::tx::Tx;
use super::{Context, correction, count, database, record, sealed};

use ahead::Facts;
pub(super) use ahead::{Ahead, Foreseen};

/// What came of planned chunks.
pub(super) enum Written {
    /// Each was answered; what changes in the live gallery by all of them.
    Done(Vec<ChunkDone>, GalleryChange),
    /// What the plan was made of is not so any more, and nothing was written: plan them again.
    Stale(Vec<(Permit, Chunk)>),
}

/// What planning chunks came to.
pub(super) enum Planned {
    /// They can be written.
    Ready(Plan),
    /// They are about people who are on the way into the database: to be planned when those are there.
    Meets(Vec<(Permit, Chunk)>),
}

/// Chunks of one batch that are ready to be written.
pub(super) struct Plan {
    chunks: Vec<PlannedChunk>,
    /// The number of the first template.
    first_slot: u64,
}

struct PlannedChunk {
    permit: Permit,
    /// Its subjects are in the plan.
    chunk: Chunk,
    turn: Turn,
    subjects: Vec<PlannedSubject>,
}

struct PlannedSubject {
    new: SubjectNew,
    id: SubjectId,
    met: Met,
    templates: Vec<Vec<u8>>,
    fields: Vec<Vec<u8>>,
}

/// How a chunk stands to what was answered and to the chunks before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is the next.
    Follows,
    /// It was the last one, and is answered again.
    Repeated,
    /// Neither, or it stands behind one of which that is so.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// Nobody of this source is there.
    New,
    /// Somebody is.
    Known,
    /// An earlier row of the same plan is about the same person.
    Again,
}

impl Planned {
    /// Plans chunks as the database will be when what is ahead is there. Keys of people who are new are durable when it
    /// returns; one whose subject is then never written opens nothing and harms nobody.
    pub(super) fn make(
        context: &Context,
        sql: &Connection,
        asked: Vec<(Permit, Chunk)>,
        ahead: &Foreseen,
    ) -> Result<Self, StoreError> {
        let mut people = asked.iter().flat_map(|(_, chunk)| &chunk.subjects);
        if ahead.meets(people.by_ref().map(|subject| subject.source.as_bytes())) {
            return Ok(Self::Meets(asked));
        }
        Plan::make(context, sql, asked, ahead).map(Self::Ready)
    }

    /// The plan of chunks that nothing is ahead of.
    pub(super) fn alone(self) -> Result<Plan, StoreError> {
        match self {
            Self::Ready(plan) => Ok(plan),
            Self::Meets(_) => Err(StoreError::Overloaded),
        }
    }
}

impl Plan {
    fn make(
        context: &Context,
        sql: &Connection,
        asked: Vec<(Permit, Chunk)>,
        ahead: &Foreseen,
    ) -> Result<Self, StoreError> {
        let turns = turns(sql, asked.iter().map(|(permit, chunk)| (permit, chunk)), ahead)?;
        let sources = asked.iter().flat_map(|(_, chunk)| &chunk.subjects).map(|subject| &subject.source);
        let mut people = People::new(context.entropy.as_ref(), Asked::read(sql, sources)?)?;
        let mut chunks = Vec::with_capacity(asked.len());
        for ((permit, mut chunk), turn) in asked.into_iter().zip(turns) {
            // What is not enrolled stays as it is.
            let subjects =
                if turn == Turn::Follows { std::mem::take(&mut chunk.subjects) } else { Vec::new() };
            let subjects = subjects.into_iter().map(|new| people.plan(sql, new)).collect::<Result<_, _>>()?;
            chunks.push(PlannedChunk { permit, chunk, turn, subjects });
        }
        let mut plan = Self { chunks, first_slot: ahead.next_slot(next_slot(sql)?) };
        plan.seal(context)?;
        Ok(plan)
    }

    /// Seals everything, on some threads, and keeps the keys of those who are new.
    fn seal(&mut self, context: &Context) -> Result<(), StoreError> {
        let mut slot = self.first_slot;
        let mut due = Vec::new();
        for planned in &mut self.chunks {
            let collection = context.keys.collection_key_of(&planned.chunk.generation)?;
            for subject in &mut planned.subjects {
                let own = slot;
                slot = slot.saturating_add(subject.new.templates.len().try_into().unwrap_or(u64::MAX));
                due.push((own, Arc::clone(&collection), subject));
            }
        }
        let (again, mut first): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, _, subject)| subject.met == Met::Again);
        let share = first.len().div_ceil(threads()).max(SHARE_MIN);
        let made = std::thread::scope(|scope| {
            let working: Vec<_> = first
                .chunks_mut(share)
                .map(|share| {
                    scope.spawn(move || share.iter_mut().map(|one| sealed_first(context, one)).collect())
                })
                .collect();
            let made = working.into_iter().map(|one| one.join().map_err(|_| StoreError::Closed));
            made.collect::<Result<Vec<Result<Vec<KeyMade>, StoreError>>, _>>()
        })?;
        let (mut keys, mut wrapped) = (HashMap::new(), Vec::new());
        for made in made.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            wrapped.extend(made.wrapped.map(|wrapped| (made.id, wrapped)));
            if !again.is_empty() {
                keys.insert(made.id, made.key);
            }
        }
        context.keys.subject_keys_keep(&wrapped)?;
        for (slot, collection, subject) in again {
            let key =
                keys.get(&subject.id).ok_or(StoreError::Damaged { what: "a subject without its key" })?;
            subject.seal(context, (key, &collection), slot)?;
        }
        Ok(())
    }

    /// What the database will hold when it is written.
    pub(super) fn after(&self) -> Foreseen {
        let mut facts = Facts { next_slot: self.first_slot, ..Facts::default() };
        for planned in self.chunks.iter().filter(|planned| planned.turn == Turn::Follows) {
            let (owner, chunk) = (&planned.permit.actor().name, &planned.chunk);
            let rows_done = chunk.first_row.saturating_add(u64::from(chunk.rows));
            facts.rows_done.insert((owner.clone(), chunk.batch), rows_done);
            for subject in &planned.subjects {
                let templates = subject.new.templates.len().try_into().unwrap_or(u64::MAX);
                facts.next_slot = facts.next_slot.saturating_add(templates);
                facts.people.insert(*subject.new.source.as_bytes());
            }
        }
        Foreseen::of(facts)
    }

    /// Writes the chunks, all that follow or none.
    pub(super) fn write(self, tx: &mut Tx<'_>) -> Result<Written, StoreError> {
        if !self.is_current(tx.sql)? {
            return Ok(Written::Stale(self.unplanned()));
        }
        sources::enter(tx.sql, &self.people_new())?;
        let mut change = GalleryChange { subject_known: true, ..GalleryChange::default() };
        let (mut done, mut slot) = (Vec::with_capacity(self.chunks.len()), self.first_slot);
        let last = self.chunks.iter().rposition(|planned| planned.turn == Turn::Follows);
        for (nth, planned) in self.chunks.into_iter().enumerate() {
            let owner = planned.permit.actor().name.clone();
            let Some(batch) = batch_get(tx.sql, &owner, planned.chunk.batch)? else {
                done.push(ChunkDone::NoBatch);
                continue;
            };
            match planned.turn {
                Turn::Follows => {}
                Turn::Repeated => {
                    done.push(chunk_again(tx.sql, &planned.chunk, batch)?);
                    continue;
                }
                Turn::Refused => {
                    done.push(ChunkDone::OutOfOrder { rows_done: batch.rows_done });
                    continue;
                }
            }
            let accepted = planned.subjects.len().try_into().unwrap_or(u64::MAX);
            let after = Batch {
                rows_done: batch.rows_done.saturating_add(u64::from(planned.chunk.rows)),
                rows_accepted: batch.rows_accepted.saturating_add(accepted),
                ..batch
            };
            let corrected = subjects_write(
                tx,
                &owner,
                &planned.chunk.generation,
                planned.subjects,
                &mut slot,
                &mut change,
            )?;
            // Before the chunk's own entry, of which its receipt is.
            for (subject, fields) in corrected {
                let made = Made { kind: CorrectionKind::Changed, statement: "", by: &owner };
                correction::make(tx, &planned.permit, subject, &fields, &made, None)?;
            }
            // Only the newest answer of a batch is kept.
            chunk_keep(tx, &planned.chunk, &after, last == Some(nth))?;
            chunk_enter(tx, &planned.permit, &planned.chunk, &after, accepted)?;
            done.push(ChunkDone::Enrolled { batch: after });
        }
        Ok(Written::Done(done, change))
    }

    /// Whether everything is still as it was planned.
    fn is_current(&self, sql: &Connection) -> Result<bool, StoreError> {
        let chunks = self.chunks.iter().map(|planned| (&planned.permit, &planned.chunk));
        let found = turns(sql, chunks, &Foreseen::default())?;
        if found.iter().zip(&self.chunks).any(|(found, planned)| *found != planned.turn)
            || next_slot(sql)? != self.first_slot
        {
            return Ok(false);
        }
        // INVARIANT: what was ahead is about others and nobody else enrols meanwhile, so that who was new is new; who was
        // known may be erased by now.
        let known = self.chunks.iter().flat_map(|planned| &planned.subjects);
        for subject in known.filter(|subject| subject.met == Met::Known) {
            if sources::known(sql, subject.id, &subject.new.source)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn people_new(&self) -> Vec<(Pseudonym, SubjectId)> {
        let people = self.chunks.iter().flat_map(|planned| &planned.subjects);
        let new = people.filter(|subject| subject.met == Met::New);
        new.map(|subject| (subject.new.source, subject.id)).collect()
    }

    fn unplanned(self) -> Vec<(Permit, Chunk)> {
        let unplanned = |planned: PlannedChunk| {
            let PlannedChunk { permit, mut chunk, turn, subjects } = planned;
            if turn == Turn::Follows {
                chunk.subjects = subjects.into_iter().map(|subject| subject.new).collect();
            }
            (permit, chunk)
        };
        self.chunks.into_iter().map(unplanned).collect()
    }
}

/// How each chunk stands to what was answered and to the chunks before it.
fn turns<'a>(
    sql: &Connection,
    chunks: impl Iterator<Item = (&'a Permit, &'a Chunk)>,
    ahead: &Foreseen,
) -> Result<Vec<Turn>, StoreError> {
    let mut batches: HashMap<_, Option<Batch>> = HashMap::new();
    let mut turns = Vec::new();
    for (permit, chunk) in chunks {
        let (owner, id) = (&permit.actor().name, chunk.batch);
        let batch = match batches.entry((owner, id)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(batch_get(sql, owner, id)?.map(|batch| {
                let rows_done = ahead.rows_done(owner, id, batch.rows_done);
                Batch { rows_done, ..batch }
            })),
        };
        turns.push(match (turns.last(), batch.as_mut()) {
            // Behind one that is refused nothing is enrolled.
            (Some(Turn::Refused), _) | (_, None) => Turn::Refused,
            (_, Some(batch)) if chunk.first_row == batch.rows_done => {
                batch.rows_done = batch.rows_done.saturating_add(u64::from(chunk.rows));
                Turn::Follows
            }
            (_, Some(batch)) => match chunk_again(sql, chunk, batch.clone())? {
                ChunkDone::Repeated { .. } => Turn::Repeated,
                _ => Turn::Refused,
            },
        });
    }
    Ok(turns)
}

/// Who is planned so far.
struct People<'a> {
    entropy: &'a dyn Entropy,
    asked: Asked,
    met: HashMap<[u8; 32], SubjectId>,
    /// The first bytes of the ids of those who are new. Random ids all over the tree would have a page of each of its
    /// tables written anew for every person; people of one chunk lie beside one another.
    together: [u8; ID_TOGETHER_BYTES],
}

impl<'a> People<'a> {
    fn new(entropy: &'a dyn Entropy, asked: Asked) -> Result<Self, StoreError> {
        Ok(Self { entropy, asked, met: HashMap::new(), together: random_bytes(entropy)? })
    }

    fn plan(&mut self, sql: &Connection, new: SubjectNew) -> Result<PlannedSubject, StoreError> {
        let source = *new.source.as_bytes();
        let (id, met) = match self.met.get(&source) {
            Some(id) => (*id, Met::Again),
            None => match self.asked.find(sql, &new.source)? {
                Some(known) => (known.id, Met::Known),
                None => (self.id()?, Met::New),
            },
        };
        self.met.insert(source, id);
        Ok(PlannedSubject { new, id, met, templates: Vec::new(), fields: Vec::new() })
    }

    fn id(&self) -> Result<SubjectId, StoreError> {
        let mut id: [u8; 16] = random_bytes(self.entropy)?;
        for (byte, same) in id.iter_mut().zip(self.together) {
            *byte = same;
        }
        Ok(SubjectId::from_bytes(id))
    }
}

/// The key that somebody's data was sealed under.
struct KeyMade {
    id: SubjectId,
    key: DataKey,
    /// To be kept, when it is new.
    wrapped: Option<Vec<u8>>,
}

fn sealed_first(
    context: &Context,
    (slot, collection, subject): &mut (u64, Arc<CollectionKey>, &mut PlannedSubject),
) -> Result<KeyMade, StoreError> {
    let id = subject.id;
    let (key, wrapped) = if subject.met == Met::New {
        let (key, wrapped) = context.keys.subject_key_make(&id, context.entropy.as_ref())?;
        (key, Some(wrapped))
    } else {
        let damaged = StoreError::Damaged { what: "a subject without its key" };
        (context.keys.subject_key(&id)?.ok_or(damaged)?, None)
    };
    subject.seal(context, (&key, collection), *slot)?;
    Ok(KeyMade { id, key, wrapped })
}

impl PlannedSubject {
    fn seal(
        &mut self,
        context: &Context,
        (key, collection): (&DataKey, &CollectionKey),
        first_slot: u64,
    ) -> Result<(), StoreError> {
        let entropy = context.entropy.as_ref();
        let template_key = collection.template_key(key);
        for (template, slot) in self.new.templates.iter().zip(first_slot..) {
            let (bytes, row) = (template.to_bytes(), slot.to_be_bytes());
            let value = template_key.seal(template_place(&row), bytes.expose(), entropy);
            self.templates.push(sealed("sealing a template", value)?);
        }
        for new in &self.new.fields {
            let (row, plain) = (record::record_row(&self.id, &new.field), record::field_encode(new));
            let value = key.sealing().seal(record::record_place(&row), plain.expose(), entropy);
            self.fields.push(sealed("sealing a field", value)?);
        }
        Ok(())
    }
}

fn subjects_write(
    tx: &Tx<'_>,
    owner: &ActorName,
    generation: &CollectionGeneration,
    subjects: Vec<PlannedSubject>,
    slot: &mut u64,
    change: &mut GalleryChange,
) -> Result<Vec<(SubjectId, Vec<FieldName>)>, StoreError> {
    let mut corrected = Vec::new();
    let mut subject_insert = prepared(
        tx.sql,
        "INSERT INTO subjects (id, source, restriction_set, enrolled_by) VALUES (?1, ?2, 0, ?3)",
    )?;
    let mut template_insert = prepared(
        tx.sql,
        "INSERT INTO templates (slot, subject, collection, generation, enrolled_ms, enrolled_by, template)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for subject in subjects {
        let PlannedSubject { new, id, met, templates, fields } = subject;
        let mut known = match met {
            Met::New => {
                let values = params![id.as_bytes(), new.source.as_bytes(), owner.as_str()];
                database("writing a subject", subject_insert.execute(values))?;
                Known { id, restriction_set: 0 }
            }
            Met::Known | Met::Again => sources::known(tx.sql, id, &new.source)?
                .ok_or(StoreError::Damaged { what: "a subject that was planned" })?,
        };
        restrictions_put(tx, &mut known, &new.restrictions, change)?;
        if met != Met::New && !new.fields.is_empty() {
            let changed = correction::changed(tx, id, &new.fields)?;
            if !changed.is_empty() {
                corrected.push((id, changed));
            }
        }
        fields_write(tx.sql, id, &new.fields, &fields)?;
        if met != Met::New && !templates.is_empty() {
            templates_remove(tx.sql, id, &generation.collection, change)?;
        }
        for (template, value) in new.templates.into_iter().zip(templates) {
            let CollectionGeneration { collection, number } = generation;
            let by = (tx.now.as_millis(), owner.as_str());
            let values = params![*slot, id.as_bytes(), collection.as_str(), number, by.0, by.1, value];
            database("writing a template", template_insert.execute(values))?;
            let (generation, restriction_set) = (generation.clone(), known.restriction_set);
            change.added.push(Loaded { generation, slot: *slot, restriction_set, template });
            *slot = slot.saturating_add(1);
        }
    }
    Ok(corrected)
}

fn fields_write(
    sql: &Connection,
    subject: SubjectId,
    fields: &[FieldNew],
    sealed: &[Vec<u8>],
) -> Result<(), StoreError> {
    let mut insert = prepared(
        sql,
        "INSERT INTO records (subject, field, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (subject, field) DO UPDATE SET value = excluded.value",
    )?;
    for (new, value) in fields.iter().zip(sealed) {
        let values = params![subject.as_bytes(), new.field.as_str(), value];
        database("writing a field", insert.execute(values))?;
    }
    Ok(())
}

fn prepared<'a>(sql: &'a Connection, statement: &str) -> Result<CachedStatement<'a>, StoreError> {
    database("preparing to write people", sql.prepare_cached(statement))
}

fn templates_remove(
    sql: &Connection,
    subject: SubjectId,
    collection: &CollectionName,
    change: &mut GalleryChange,
) -> Result<(), StoreError> {
    for slot in slots_of(sql, subject, Some(collection))? {
        // A subject may stand twice in what is written together: the later row counts.
        match change.added.iter().rposition(|added| added.slot == slot.1) {
            Some(nth) => drop(change.added.remove(nth)),
            None => change.removed.push(slot),
        }
    }
    let removed = sql
        .prepare_cached("DELETE FROM templates WHERE subject = ?1 AND collection = ?2")
        .and_then(|mut statement| statement.execute(params![subject.as_bytes(), collection.as_str()]));
    database("replacing templates", removed).map(count)
}

fn chunk_enter(
    tx: &mut Tx<'_>,
    permit: &Permit,
    chunk: &Chunk,
    after: &Batch,
    accepted: u64,
) -> Result<(), StoreError> {
    let event = tx
        .event(Kind::EnrolmentChunk, permit)
        .with(Fact::Batch, after.id.as_bytes())
        .text(Fact::Collection, after.collection.as_str())
        .number(Fact::FirstRow, chunk.first_row)
        .number(Fact::RowsAccepted, accepted)
        .number(Fact::RowsRejected, chunk.rejected.len().try_into().unwrap_or(u64::MAX))
        .with(Fact::ContentDigest, chunk.content.as_bytes());
    let tag = tx.context.keys.ring.tags().tag(Domain::Batch, after.id.as_bytes());
    tx.enter_private(&event, &[tag]).map(|_| ())
}

/// As many as the machine runs at once.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// People whose sealing takes longer than starting a thread for them, ten times.
const SHARE_MIN: usize = 128;
/// Of an id's 16: what is left, 80 bits, is as random as it takes for nobody to guess an id.
const ID_TOGETHER_BYTES: usize = 6;

#[cfg(test)]
mod tests;
