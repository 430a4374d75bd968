//! Questions and their one bit.
//!
//! Every answer and every refusal leaves at a fixed time after its question. The buffers in which HTTP/2 and protobuf
//! hold a request until it is a message are wiped by the executable's allocator when they are freed.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use super::answer_time::AnswerTime;
use super::call::{Call, Desk, OpenStream, Reply};
use super::change_form::FormFault;
use super::in_order::{self, Answers};
use super::parse;
use super::pb::partner as pb;
use super::pb::partner::ask_queries_response::Result as Outcome;
use super::pb::partner::query_service_server::QueryService;
use super::pb::partner::sample::Form;
use super::status::CallError;
use crate::authz::Action;
use crate::door::limits::STREAM_ITEMS_PER_DOMAIN;
use crate::gate::{Answered, QuestionAsk};
use crate::store::Answer;
use crate::template::Sample;

/// Answers questions.
#[derive(Clone)]
pub(super) struct Queries {
    pub(super) desk: Desk,
    pub(super) answer_time: AnswerTime,
}

#[tonic::async_trait]
impl QueryService for Queries {
    async fn ask_query(&self, request: Request<pb::AskQueryRequest>) -> Reply<pb::AskQueryResponse> {
        let call = self.desk.call(Action::AskQuery, &request);
        let reply = call.reply(self.ask(&call, request.into_inner().question)).await;
        self.answer_time.wait(call.arrival()).await;
        reply
    }

    type AskQueriesStream = Answers<pb::AskQueriesResponse>;

    async fn ask_queries(
        &self,
        request: Request<Streaming<pb::AskQueriesRequest>>,
    ) -> Reply<Self::AskQueriesStream> {
        let call = self.desk.call(Action::AskQueries, &request);
        let opened =
            call.done(async { Ok(self.desk.gate().query_stream_open(&call.caller()?).await?) }).await;
        self.answer_time.wait(call.arrival()).await;
        opened.map_err(Status::from)?;
        let (queries, stream) = (self.clone(), Arc::new(call.stream()));
        let room = {
            let (desk, stream) = (self.desk.clone(), Arc::clone(&stream));
            move || {
                let (desk, stream) = (desk.clone(), Arc::clone(&stream));
                async move { desk.room(&stream).await }
            }
        };
        let begin = move |message: pb::AskQueriesRequest| {
            let (queries, stream) = (queries.clone(), Arc::clone(&stream));
            let request_id = request_id(&message);
            let failed = item(request_id.clone(), Err(CallError::Worker));
            (failed, async move { queries.item(&stream, request_id, message).await })
        };
        Ok(Response::new(in_order::answered(request.into_inner(), UNDER_WAY, room, begin)))
    }
}

impl Queries {
    async fn ask(
        &self,
        call: &Call,
        question: Option<pb::Question>,
    ) -> Result<pb::AskQueryResponse, CallError> {
        // Read first: the samples are in buffers that wipe themselves from here on, whatever comes of the call.
        let ask = question_ask(question);
        let caller = call.caller()?;
        Ok(answered(self.desk.gate().query_ask(&caller, ask?).await?))
    }

    async fn item(
        &self,
        stream: &OpenStream,
        request_id: String,
        message: pb::AskQueriesRequest,
    ) -> Result<pb::AskQueriesResponse, Status> {
        let call = self.desk.item_in_room(stream);
        let result = call.done(self.ask(&call, message.question)).await;
        self.answer_time.wait(call.arrival()).await;
        match result {
            Err(error) if error.is_about_the_caller() => Err(error.into()),
            result => Ok(item(request_id, result)),
        }
    }
}

fn request_id(message: &pb::AskQueriesRequest) -> String {
    message.question.as_ref().map(|question| question.request_id.clone()).unwrap_or_default()
}

fn item(request_id: String, result: Result<pb::AskQueryResponse, CallError>) -> pb::AskQueriesResponse {
    let result = match result {
        Ok(answered) => Outcome::Answered(answered),
        Err(error) => Outcome::Refused(error.refusal()),
    };
    pb::AskQueriesResponse { request_id, result: Some(result) }
}

fn question_ask(question: Option<pb::Question>) -> Result<QuestionAsk, FormFault> {
    let mut question = parse::held("question", question)?;
    let samples = samples(std::mem::take(&mut question.samples))?;
    Ok(QuestionAsk {
        request: parse::request_id("question.request_id", &question.request_id)?,
        collection: parse::collection("question.collection", &question.collection)?,
        agreement: parse::agreement("question.agreement", &question.agreement)?,
        purpose: parse::name("question.purpose", &question.purpose)?,
        urgency: parse::choice("question.urgency", question.urgency, urgency)?,
        sent: parse::moment("question.send_time", question.send_time.as_ref())?,
        case: question.case_reference,
        official: question.official,
        legal_basis: question.legal_basis,
        samples,
    })
}

/// Takes the components out of every sample before it looks at any, so that a refusal leaves none behind.
fn samples(sent: Vec<pb::Sample>) -> Result<Vec<Sample>, FormFault> {
    let taken: Vec<_> = sent
        .into_iter()
        .map(|sample| {
            let values = sample.form.map(|Form::Embedding(embedding)| Zeroizing::new(embedding.values));
            (values, sample.quality)
        })
        .collect();
    taken
        .into_iter()
        .enumerate()
        .map(|(place, (values, quality))| {
            let values = parse::held(&format!("question.samples[{place}].form"), values)?;
            parse::sample(&format!("question.samples[{place}].quality"), values, quality)
        })
        .collect()
}

fn answered(answered: Answered) -> pb::AskQueryResponse {
    let answer = match answered.answer {
        Answer::Hit => pb::Answer::Hit,
        Answer::NoHit => pb::Answer::NoHit,
    };
    pb::AskQueryResponse {
        query: answered.query.resource(),
        answer: answer.into(),
        receipt: answered.receipt,
    }
}

/// The words that the log keeps.
const fn urgency(sent: pb::Urgency) -> Option<&'static str> {
    match sent {
        pb::Urgency::Unspecified => None,
        pb::Urgency::Routine => Some("routine"),
        pb::Urgency::Urgent => Some("urgent"),
    }
}

/// All that one trust domain may have under way: one stream alone reaches what the search gives, several share it.
const UNDER_WAY: usize = STREAM_ITEMS_PER_DOMAIN;

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> pb::Question {
        pb::Question {
            request_id: "0b7c8a52-6e1f-4b0e-9a44-0a1c2d3e4f50".to_owned(),
            collection: "collections/watch-face".to_owned(),
            agreement: String::new(),
            purpose: "border-identity".to_owned(),
            case_reference: "C-1".to_owned(),
            official: "o-1".to_owned(),
            legal_basis: "Example Act, s 10".to_owned(),
            urgency: pb::Urgency::Routine.into(),
            samples: vec![sample(None)],
            send_time: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 }),
        }
    }

    fn sample(quality: Option<u32>) -> pb::Sample {
        pb::Sample { form: Some(Form::Embedding(pb::Embedding { values: vec![1.0, 0.0] })), quality }
    }

    /// Makes one field of a question wrong.
    type Spoil = fn(&mut pb::Question);

    fn field(question: pb::Question) -> Option<String> {
        question_ask(Some(question)).err().map(|fault| fault.field)
    }

    #[test]
    fn a_whole_question_is_read() {
        let ask = question_ask(Some(question())).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!((ask.urgency, ask.samples.len(), ask.agreement), ("routine", 1, None));
    }

    #[test]
    fn faults_name_their_field() {
        assert_eq!(question_ask(None).err().map(|fault| fault.field).as_deref(), Some("question"));
        let wrong: [(&str, Spoil); 8] = [
            ("question.request_id", |it| it.request_id = "7".to_owned()),
            ("question.collection", |it| it.collection = "watch-face".to_owned()),
            ("question.agreement", |it| it.agreement = "x".to_owned()),
            ("question.purpose", |it| it.purpose.clear()),
            ("question.urgency", |it| it.urgency = 0),
            ("question.urgency", |it| it.urgency = 9),
            ("question.send_time", |it| it.send_time = None),
            ("question.samples[1].quality", |it| it.samples.push(sample(Some(101)))),
        ];
        for (expected, spoil) in wrong {
            let mut question = question();
            spoil(&mut question);
            assert_eq!(field(question).as_deref(), Some(expected));
        }
        let mut formless = question();
        formless.samples.push(pb::Sample { form: None, quality: None });
        assert_eq!(field(formless).as_deref(), Some("question.samples[1].form"));
    }
}
