//! Enrolment: batches, chunks and single subjects.

use std::sync::Arc;

use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use super::call::{Call, Desk, OpenStream, Reply};
use super::change_form::FormFault;
use super::in_order::Answers;
use super::parse::{self, COLLECTIONS};
use super::pb::enrolment as pb;
use super::pb::enrolment::enrolment_service_server::EnrolmentService;
use super::pb::enrolment::template_input::Form;
use super::status::CallError;
use super::timestamp::timestamp_to_pb;
use crate::authz::Action;
use crate::gate::{ChunkAnswer, ChunkAsk, ChunkReady, FieldAsk, SubjectAsk};
use crate::ids::SubjectId;
use crate::store::Batch;
use crate::store::enrolment::Line;
use crate::template::Sample;

/// Enrols subjects.
#[derive(Clone)]
pub(super) struct Enrolments {
    desk: Desk,
    /// For chunks under way, of all streams together.
    room: Arc<Semaphore>,
}

impl Enrolments {
    /// Enrols at this desk.
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk, room: Arc::new(Semaphore::new(CHUNKS)) }
    }
}

#[tonic::async_trait]
impl EnrolmentService for Enrolments {
    async fn start_batch(&self, request: Request<pb::StartBatchRequest>) -> Reply<pb::StartBatchResponse> {
        let call = self.desk.call(Action::StartBatch, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let request_id = parse::request_id("request_id", &sent.request_id)?;
            let collection = parse::collection("collection", &sent.collection)?;
            let batch = self.desk.gate().batch_start(&caller, request_id, collection, sent.official).await?;
            Ok(pb::StartBatchResponse { batch: batch.id.resource(), rows_done: batch.rows_done })
        })
        .await
    }

    type EnrolSubjectsStream = Answers<pb::EnrolSubjectsResponse>;

    async fn enrol_subjects(
        &self,
        request: Request<Streaming<pb::EnrolSubjectsRequest>>,
    ) -> Reply<Self::EnrolSubjectsStream> {
        let call = self.desk.call(Action::EnrolSubjects, &request);
        // Each chunk asks the rules by itself; opening the stream takes a known caller.
        call.done(async { call.caller() }).await.map_err(Status::from)?;
        let (answers, taken) = mpsc::channel(CHUNKS_AHEAD);
        let (preparing, prepared) = mpsc::channel(CHUNKS_AHEAD);
        let (desk, room, sent) = (self.desk.clone(), Arc::clone(&self.room), request.into_inner());
        tokio::spawn(chunks_read(desk.clone(), room, call.stream(), sent, (answers, preparing)));
        tokio::spawn(chunks_enrol(desk, prepared));
        Ok(Response::new(Box::pin(ReceiverStream::new(taken))))
    }

    async fn get_batch(&self, request: Request<pb::GetBatchRequest>) -> Reply<pb::GetBatchResponse> {
        let call = self.desk.call(Action::GetBatch, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::batch("batch", &request.get_ref().batch)?;
            Ok(batch(&self.desk.gate().batch_get(&caller, id).await?))
        })
        .await
    }

    async fn get_subject(&self, request: Request<pb::GetSubjectRequest>) -> Reply<pb::GetSubjectResponse> {
        let call = self.desk.call(Action::GetSubject, &request);
        call.reply(async {
            let caller = call.caller()?;
            let source_id = parse::source_id("source_id", &request.get_ref().source_id)?;
            let facts = self.desk.gate().subject_get(&caller, source_id).await?;
            Ok(pb::GetSubjectResponse {
                templates: facts.templates,
                fields: facts.fields.iter().map(ToString::to_string).collect(),
                restrictions: facts.restrictions.iter().map(ToString::to_string).collect(),
                subject: facts.subject.resource(),
                same_person: facts.same_person.iter().map(SubjectId::resource).collect(),
            })
        })
        .await
    }

    async fn add_restriction(
        &self,
        request: Request<pb::AddRestrictionRequest>,
    ) -> Reply<pb::AddRestrictionResponse> {
        let call = self.desk.call(Action::AddRestriction, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let source_id = parse::source_id("source_id", &sent.source_id)?;
            let restriction = parse::name("restriction", &sent.restriction)?;
            let receipt =
                self.desk.gate().restriction_add(&caller, source_id, restriction, sent.reason).await?;
            Ok(pb::AddRestrictionResponse { receipt })
        })
        .await
    }

    async fn erase_subject(
        &self,
        request: Request<pb::EraseSubjectRequest>,
    ) -> Reply<pb::EraseSubjectResponse> {
        let call = self.desk.call(Action::EraseSubject, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let source_id = parse::source_id("source_id", &sent.source_id)?;
            let erased = self.desk.gate().subject_erase(&caller, source_id, sent.reason).await?;
            let kept = erased.kept.into_iter().map(|(payloads, class)| pb::KeptPayloads {
                payloads: payloads.to_string(),
                retention_class: class.name,
                days: class.days,
                authority: class.authority,
            });
            Ok(pb::EraseSubjectResponse { receipt: erased.receipt, kept: kept.collect() })
        })
        .await
    }
}

/// Reads chunks as long as there is room for them, and prepares some at a time; they are enrolled in the order in which
/// they came.
///
/// A chunk is read when its answer has a place, so that a caller who does not take answers is held back by the stream's
/// own flow control; and it then gets to its end, whatever the caller does, and gives its room back to others.
async fn chunks_read(
    desk: Desk,
    room: Arc<Semaphore>,
    stream: OpenStream,
    mut sent: Streaming<pb::EnrolSubjectsRequest>,
    (answers, preparing): (mpsc::Sender<Answer>, mpsc::Sender<(Place, Preparing)>),
) {
    let stream = Arc::new(stream);
    while let Ok(place) = answers.clone().reserve_owned().await {
        let message = tokio::select! {
            () = answers.closed() => return,
            message = sent.message() => message,
        };
        let work = match message {
            Ok(Some(message)) => {
                let Ok(room) = Arc::clone(&room).acquire_owned().await else { return };
                let (desk, stream) = (desk.clone(), Arc::clone(&stream));
                tokio::spawn(async move { chunk_prepare(desk, &stream, room, message).await })
            }
            Ok(None) => return,
            Err(broken) => tokio::spawn(async move { Err(broken) }),
        };
        if preparing.send((place, work)).await.is_err() {
            return;
        }
    }
}

type Answer = Result<pb::EnrolSubjectsResponse, Status>;
type Place = mpsc::OwnedPermit<Answer>;
type Preparing = JoinHandle<Result<Prepared, Status>>;

/// A chunk on its way.
struct Prepared {
    call: Call,
    ready: ChunkReady,
    room: OwnedSemaphorePermit,
}

async fn chunk_prepare(
    desk: Desk,
    stream: &OpenStream,
    room: OwnedSemaphorePermit,
    message: pb::EnrolSubjectsRequest,
) -> Result<Prepared, Status> {
    let call = desk.item(stream);
    let prepared = async {
        // Read first: the samples are in buffers that wipe themselves from here on.
        let ask = chunk_ask(message);
        let caller = call.caller()?;
        Ok::<_, CallError>(desk.gate().chunk_prepare(&caller, ask?).await?)
    };
    match prepared.await {
        Ok(ready) => Ok(Prepared { call, ready, room }),
        // Counted and logged as every call.
        Err(error) => call.done(async { Err(error) }).await.map_err(Status::from),
    }
}

/// Enrols what is prepared: what has become ready meanwhile goes together, and is planned while what went before is
/// written. The first chunk that fails ends the stream: the chunks behind it would not follow on what was answered.
async fn chunks_enrol(desk: Desk, mut preparing: mpsc::Receiver<(Place, Preparing)>) {
    let (mut next, mut before) = (None, None);
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match preparing.recv().await {
                Some(begun) => prepared(begun).await,
                None => return,
            },
        };
        let (place, mut group) = match first {
            (place, Ok(first)) => (place, vec![first]),
            (place, Err(status)) => {
                if answered(before).await == Stream::GoesOn {
                    place.send(Err(status));
                }
                return;
            }
        };
        let mut places = vec![place];
        while group.len() < CHUNKS_TOGETHER
            && let Ok(begun) = preparing.try_recv()
        {
            match (prepared(begun).await, group.last()) {
                ((place, Ok(chunk)), Some(last)) if chunk.ready.follows(&last.ready) => {
                    places.push(place);
                    group.push(chunk);
                }
                (other, _) => {
                    next = Some(other);
                    break;
                }
            }
        }
        let (line, lined_up) = desk.gate().line();
        before = Some(tokio::spawn(enrol(desk.clone(), places, group, line, before.take())));
        // What fails before has no place; and the next would not follow on it.
        if (lined_up.await.is_err() || before.as_ref().is_some_and(JoinHandle::is_finished))
            && answered(before.take()).await == Stream::Ends
        {
            return;
        }
    }
}

/// Whether more may be enrolled.
#[derive(PartialEq, Eq)]
enum Stream {
    GoesOn,
    Ends,
}

async fn prepared((place, begun): (Place, Preparing)) -> (Place, Result<Prepared, Status>) {
    let prepared = begun.await.unwrap_or_else(|_| Err(CallError::Worker.into()));
    (place, prepared)
}

/// Enrols a group, and answers it behind those that went before.
async fn enrol(
    desk: Desk,
    places: Vec<Place>,
    group: Vec<Prepared>,
    line: Line,
    before: Option<JoinHandle<Stream>>,
) -> Stream {
    let (mut calls, mut ready) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    for (Prepared { call, ready: chunk, room }, place) in group.into_iter().zip(places) {
        calls.push((call, room, place));
        ready.push(chunk);
    }
    let done = desk.gate().chunks_enrol(ready, line).await;
    if answered(before).await == Stream::Ends {
        return Stream::Ends;
    }
    for ((call, _room, place), done) in calls.into_iter().zip(done) {
        let answer = call.done(async { Ok(done?) }).await;
        let ends = answer.is_err();
        place.send(answer.map(enrolled_to_pb).map_err(Status::from));
        if ends {
            return Stream::Ends;
        }
    }
    Stream::GoesOn
}

/// What became of those that went before.
async fn answered(before: Option<JoinHandle<Stream>>) -> Stream {
    match before {
        Some(before) => before.await.unwrap_or(Stream::Ends),
        None => Stream::GoesOn,
    }
}

fn chunk_ask(sent: pb::EnrolSubjectsRequest) -> Result<ChunkAsk, FormFault> {
    // The same message has the same bytes however the caller encoded it: fields in the order of their numbers.
    let content = Zeroizing::new(sent.encode_to_vec());
    let (count, batch, first_row) = (sent.subjects.len(), sent.batch, sent.first_row);
    let rows = sent.subjects.into_iter().map(subject_ask).collect();
    if !(1..=SUBJECTS_MAX).contains(&count) {
        return Err(FormFault::new("subjects", format!("are {count}; send 1 to {SUBJECTS_MAX}")));
    }
    Ok(ChunkAsk { batch: parse::batch("batch", &batch)?, first_row, rows, content })
}

/// A row in its form, or why it is not: then only the row is rejected.
fn subject_ask(mut sent: pb::SubjectInput) -> Result<SubjectAsk, String> {
    let templates = templates(std::mem::take(&mut sent.templates));
    let fields = sent.fields.into_iter().map(field_ask).collect::<Result<_, FormFault>>();
    let restrictions = parse::names("restrictions", &sent.restrictions);
    let told = |fault: FormFault| fault.to_string();
    Ok(SubjectAsk {
        source_id: sent.source_id,
        templates: templates.map_err(told)?,
        fields: fields.map_err(told)?,
        restrictions: restrictions.map_err(told)?,
    })
}

/// Takes the components out of every template before it looks at any, so that a refusal leaves none behind.
fn templates(sent: Vec<pb::TemplateInput>) -> Result<Vec<Sample>, FormFault> {
    let taken: Vec<_> = sent
        .into_iter()
        .map(|template| {
            let values = template.form.map(|Form::Embedding(embedding)| Zeroizing::new(embedding.values));
            (values, template.quality)
        })
        .collect();
    taken
        .into_iter()
        .enumerate()
        .map(|(place, (values, quality))| {
            let values = parse::held(&format!("templates[{place}].form"), values)?;
            parse::sample(&format!("templates[{place}].quality"), values, quality)
        })
        .collect()
}

fn field_ask(sent: pb::FieldInput) -> Result<FieldAsk, FormFault> {
    Ok(FieldAsk {
        field: parse::name("fields.field", &sent.field)?,
        value: sent.value,
        classification: sent.classification,
        source: sent.source,
        permitted_uses: sent.permitted_uses,
    })
}

fn enrolled_to_pb(answer: ChunkAnswer) -> pb::EnrolSubjectsResponse {
    pb::EnrolSubjectsResponse {
        rows_done: answer.batch.rows_done,
        rows_accepted: answer.accepted,
        rejected: answer.rejected.into_iter().map(|(row, reason)| pb::RejectedRow { row, reason }).collect(),
    }
}

fn batch(batch: &Batch) -> pb::GetBatchResponse {
    pb::GetBatchResponse {
        batch: batch.id.resource(),
        collection: format!("{COLLECTIONS}{}", batch.collection),
        rows_done: batch.rows_done,
        rows_accepted: batch.rows_accepted,
        create_time: Some(timestamp_to_pb(batch.created)),
    }
}

/// As the schema says.
const SUBJECTS_MAX: usize = 512;
/// What goes into one transaction: some thousand people, so that a commit, and pages that several of them share, are
/// written once for all.
const CHUNKS_TOGETHER: usize = 8;
/// Of a stream, its answers that nobody took included: as many are prepared, and as many planned, while as many are
/// written.
const CHUNKS_AHEAD: usize = 24;
/// Of all streams together: at 4 MiB each, with what is made of them, 192 MiB at most, and 48 MiB in ordinary use.
const CHUNKS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(source_id: &str, quality: Option<u32>) -> pb::SubjectInput {
        let form = Some(Form::Embedding(pb::Embedding { values: vec![1.0, 0.0] }));
        pb::SubjectInput {
            source_id: source_id.to_owned(),
            templates: vec![pb::TemplateInput { form, quality }],
            fields: Vec::new(),
            restrictions: Vec::new(),
        }
    }

    fn chunk(subjects: Vec<pb::SubjectInput>) -> pb::EnrolSubjectsRequest {
        pb::EnrolSubjectsRequest {
            batch: "batches/0b7c8a526e1f4b0e9a440a1c2d3e4f50".to_owned(),
            first_row: 0,
            subjects,
        }
    }

    #[test]
    fn a_bad_row_spoils_only_itself() {
        let mut restricted = subject("c", None);
        restricted.restrictions.push("Not A Name".to_owned());
        let mut formless = subject("d", None);
        formless.templates.push(pb::TemplateInput { form: None, quality: None });
        let rows = vec![subject("a", Some(80)), subject("b", Some(101)), restricted, formless];
        let ask = chunk_ask(chunk(rows)).unwrap_or_else(|fault| panic!("{fault}"));
        let faults: Vec<_> = ask.rows.into_iter().map(Result::err).collect();
        assert_eq!(faults[0], None);
        for (fault, field) in
            faults[1..].iter().zip(["templates[0].quality", "restrictions[0]", "templates[1].form"])
        {
            assert!(fault.as_ref().unwrap().contains(field), "{fault:?} should name `{field}`");
        }
    }

    #[test]
    fn chunks_have_1_to_512_rows_and_a_batch() {
        let field = |sent| chunk_ask(sent).err().map(|fault| fault.field);
        assert_eq!(field(chunk(Vec::new())).as_deref(), Some("subjects"));
        assert_eq!(field(chunk((0..513).map(|_| subject("a", None)).collect())).as_deref(), Some("subjects"));
        assert_eq!(field(chunk((0..512).map(|_| subject("a", None)).collect())), None);
        let nowhere = pb::EnrolSubjectsRequest { batch: String::new(), ..chunk(vec![subject("a", None)]) };
        assert_eq!(field(nowhere).as_deref(), Some("batch"));
    }

    #[test]
    fn what_is_another_chunk_has_other_content() {
        let content =
            |sent| chunk_ask(sent).map_or_else(|fault| panic!("{fault}"), |ask| ask.content.to_vec());
        let same = || chunk(vec![subject("a", Some(80))]);
        assert_eq!(content(same()), content(same()));
        for other in [
            chunk(vec![subject("b", Some(80))]),
            chunk(vec![subject("a", Some(81))]),
            chunk(vec![subject("a", None)]),
            pb::EnrolSubjectsRequest { first_row: 1, ..same() },
        ] {
            assert_ne!(content(same()), content(other));
        }
    }
}
