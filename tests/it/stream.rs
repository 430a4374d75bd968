//! Thousands of questions over one stream: the same answers as one by one, held back where they are not taken, and
//! each counted once whatever becomes of the stream.

use std::collections::BTreeSet;

use onebit::door::limits::STREAM_ITEMS_PER_DOMAIN;
use onebit::grpc::pb::partner::ask_queries_response::Result as Outcome;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use onebit::grpc::pb::partner::{Answer, AskQueriesRequest, AskQueriesResponse, Question};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::holder::{Holder, HolderOptions, who};
use crate::query::{left_today, stream};
use crate::story::{OrRefused as _, STRANGER, ask, fact, of_kind, people, question_about, reason, sample_of};

#[tokio::test]
async fn thousands_over_one_stream_are_answered_as_each_alone() {
    let holder = Holder::start(unbounded(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let asked: Vec<u64> = (0..3_000_u64)
        .map(|number| if number % 3 == 0 { STRANGER + number } else { number % PEOPLE })
        .collect();
    let questions: Vec<Question> = asked.iter().map(|&person| question_about(person)).collect();
    let ids: Vec<String> = questions.iter().map(|question| question.request_id.clone()).collect();
    let answers = stream(&au, questions.clone()).await;
    assert!(answers.iter().map(|(id, _)| id).eq(&ids), "answers come in the order of questions");
    let mut bits = BTreeSet::new();
    for (nth, (person, (_, outcome))) in asked.iter().zip(&answers).enumerate() {
        let bit = answered(outcome);
        let seen = *person < PEOPLE && people().restriction(*person).is_none();
        assert_eq!(bit == Answer::Hit, seen, "person {person}");
        bits.insert((bit as i32, people().restriction(*person).is_some() && *person < PEOPLE));
        // Asked again by themselves, with the same ids: the very same answers.
        if nth % 100 == 0 {
            let alone = ask(&au, questions[nth].clone()).await.unwrap();
            let Outcome::Answered(streamed) = outcome else { panic!("question {nth} was refused") };
            assert_eq!(alone.encode_to_vec(), streamed.encode_to_vec(), "question {nth}");
        }
    }
    assert_eq!(bits.len(), 3, "there should be hits, strangers and hidden people among them");
    let entries = holder.entries("au-border").await;
    assert_eq!(of_kind(&entries, "query.answered").len(), 3_000, "each has one entry");
}

#[tokio::test]
async fn who_takes_no_answers_is_held_back_and_calls_beside_it_are_answered() {
    const QUESTIONS: usize = 2_500;
    let holder = Holder::start(unbounded(2)).await;
    let (au, narrow) = (holder.channel(who::AU).await, holder.channel_narrow(who::AU).await);
    let before = left_today(&au).await;
    let (mut answers, sending) = opened(narrow, (0..QUESTIONS).map(|_| question_about(0)).collect()).await;
    let used = async || before - left_today(&au).await;
    while used().await < u64::try_from(STREAM_ITEMS_PER_DOMAIN).unwrap() / 2 {
        tokio::task::yield_now().await;
    }
    // Nobody takes an answer, and meanwhile the same partner asks one by one.
    let alone = 300_u64;
    for _ in 0..alone {
        ask(&au, question_about(0)).await.unwrap();
    }
    let streamed = used().await - alone;
    assert!(
        streamed <= STREAMED_UNTAKEN_MAX,
        "{streamed} questions of the stream were answered although nobody takes the answers"
    );
    assert!(!sending.is_finished(), "whoever sends is held back");
    let mut taken = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answered(&answer.result.unwrap()), Answer::Hit);
        taken += 1;
    }
    assert_eq!(taken, QUESTIONS, "nothing is lost by waiting");
}

#[tokio::test]
async fn a_stream_that_is_left_in_the_middle_leaves_every_question_counted_once_or_not_at_all() {
    let holder = Holder::start(unbounded(2)).await;
    let au = holder.channel(who::AU).await;
    let questions: Vec<Question> = (0..600).map(|nth| question_about(nth % 2)).collect();
    let before = left_today(&au).await;
    let (mut answers, sending) = opened(holder.channel(who::AU).await, questions.clone()).await;
    for _ in 0..50 {
        answers.message().await.unwrap().unwrap();
    }
    drop(answers);
    sending.abort();
    // Each can be asked again, in another stream: those that have an entry get it, the others one of their own.
    let again = stream(&au, questions.clone()).await;
    assert!(again.iter().all(|(_, outcome)| answered(outcome) == Answer::Hit));
    assert_eq!(before - left_today(&au).await, 600, "no question is counted twice");
    let entries = holder.entries("au-border").await;
    let entries = of_kind(&entries, "query.answered");
    let queries: BTreeSet<&str> = entries.iter().map(|entry| fact(entry, "query")).collect();
    assert_eq!((entries.len(), queries.len()), (600, 600), "no question has two entries");
}

#[tokio::test]
async fn a_volume_that_ends_in_the_middle_refuses_the_rest_one_by_one() {
    let agreement = "agreements/au-border-identity.toml";
    let options = HolderOptions::people(1).policy(agreement, "per_day = 2_000", "per_day = 100");
    let holder = Holder::start(options).await;
    let au = holder.channel(who::AU).await;
    let answers = stream(&au, (0..300).map(|_| question_about(0)).collect()).await;
    let (mut counted, mut refused) = (0, 0);
    for (_, outcome) in &answers {
        match outcome {
            Outcome::Answered(_) => counted += 1,
            Outcome::Refused(why) => {
                assert_eq!((why.code, why.reason.as_str()), (8, "VOLUME_DAY_EXHAUSTED"));
                refused += 1;
            }
        }
    }
    assert_eq!((counted, refused), (100, 200), "the volume holds for questions that come at once");
}

#[tokio::test]
async fn a_question_that_stands_twice_in_a_stream_is_one() {
    let holder = Holder::start(unbounded(2)).await;
    let au = holder.channel(who::AU).await;
    let first = question_about(0);
    let other = Question { samples: question_about(1).samples, ..first.clone() };
    let before = left_today(&au).await;
    let answers = stream(&au, [vec![first.clone(); 40], vec![other], vec![first; 2]].concat()).await;
    let mut told = BTreeSet::new();
    for (nth, (_, outcome)) in answers.iter().enumerate() {
        match outcome {
            Outcome::Answered(answered) => drop(told.insert(answered.encode_to_vec())),
            Outcome::Refused(why) => assert_eq!((nth, why.reason.as_str()), (40, "REQUEST_ID_USED")),
        }
    }
    assert_eq!(told.len(), 1, "the same question has one answer, byte for byte");
    assert_eq!(before - left_today(&au).await, 1);
}

#[tokio::test]
async fn a_suspension_ends_the_stream() {
    let holder = Holder::start(unbounded(1)).await;
    let (sender, asked) = mpsc::channel(1);
    let mut service = QueryServiceClient::new(holder.channel(who::AU).await);
    let mut answers = service.ask_queries(ReceiverStream::new(asked)).await.unwrap().into_inner();
    let message = || AskQueriesRequest { question: Some(question_about(0)) };
    sender.send(message()).await.unwrap();
    assert_eq!(answered(&answers.message().await.unwrap().unwrap().result.unwrap()), Answer::Hit);
    holder.onebit(who::ADMIN, &["suspend", "partner", "au-border", "--reason", "for a test"]).ok();
    // Nobody may be there any more to take it.
    let _ended_already = sender.send(message()).await;
    let status = answers.message().await.refused_or("a suspended partner was answered over its open stream");
    // The connection may be cut before the question is heard.
    let told = (status.code(), reason(&status));
    let words = (Code::PermissionDenied, "PARTNER_SUSPENDED".to_owned());
    assert!(told == words || told.1.is_empty(), "{told:?}");
}

#[tokio::test]
async fn a_question_without_a_form_is_refused_alone() {
    let holder = Holder::start(unbounded(1)).await;
    let au = holder.channel(who::AU).await;
    let empty = Question { samples: Vec::new(), ..question_about(0) };
    let short = Question {
        samples: crate::story::question(vec![sample_of(0, 0)[1..].to_vec()]).samples,
        ..question_about(0)
    };
    let answers = stream(&au, vec![empty, question_about(0), short, question_about(STRANGER)]).await;
    let told: Vec<String> = answers.iter().map(|(_, outcome)| words(outcome)).collect();
    assert_eq!(told, ["FIELD_INVALID", "HIT", "FIELD_INVALID", "NO_HIT"]);
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(answered) if answered.answer() == Answer::Hit => "HIT".to_owned(),
        Outcome::Answered(_) => "NO_HIT".to_owned(),
        Outcome::Refused(refused) => refused.reason.clone(),
    }
}

#[track_caller]
fn answered(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Answered(answered) => answered.answer(),
        Outcome::Refused(refused) => panic!("refused: {} {}", refused.reason, refused.message),
    }
}

/// Opens a stream and sends these questions as fast as they are taken.
async fn opened(
    channel: Channel,
    questions: Vec<Question>,
) -> (Streaming<AskQueriesResponse>, tokio::task::JoinHandle<()>) {
    let (sender, asked) = mpsc::channel(1);
    let mut service = QueryServiceClient::new(channel);
    let answers: Result<_, Status> = service.ask_queries(ReceiverStream::new(asked)).await;
    let sending = tokio::spawn(async move {
        for question in questions {
            if sender.send(AskQueriesRequest { question: Some(question) }).await.is_err() {
                return;
            }
        }
    });
    (answers.unwrap().into_inner(), sending)
}

/// With volumes that end no stream.
fn unbounded(people: u64) -> HolderOptions {
    let agreement = "agreements/au-border-identity.toml";
    HolderOptions::people(people).policy(agreement, "per_day = 2_000", "per_day = 400_000").policy(
        agreement,
        "per_year = 400_000",
        "per_year = 900_000",
    )
}

const PEOPLE: u64 = 60;
/// Those under way, and the answers that lie in the buffers of the connection: 64 KiB at the client, 400 KiB at the
/// server, of more than a KiB each.
const STREAMED_UNTAKEN_MAX: u64 = STREAM_ITEMS_PER_DOMAIN as u64 + 464;
