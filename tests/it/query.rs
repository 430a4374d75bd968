//! Asking, and the one bit: who is a hit and who is not, the receipt, repetition, volumes, streams, and that
//! nothing but the bit differs.

use std::fs;
use std::process::Command;

use onebit::grpc::pb::partner::agreement_service_client::AgreementServiceClient;
use onebit::grpc::pb::partner::ask_queries_response::Result as Outcome;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use onebit::grpc::pb::partner::{
    Answer, AskQueriesRequest, AskQueriesResponse, AskQueryRequest, GetStandingRequest, Question,
};
use prost::Message;
use tonic::Code;
use tonic::transport::Channel;

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{
    HIDDEN, OrRefused as _, STRANGER, answer_about, ask, people, question, question_about, reason, refusal,
    sample_of,
};

const PEOPLE: u64 = 60;

#[tokio::test]
async fn an_enrolled_person_is_a_hit_and_a_stranger_and_a_hidden_person_are_not() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    for person in (0..PEOPLE).chain([STRANGER, STRANGER + 1]) {
        let enrolled = person < PEOPLE && people().restriction(person).is_none();
        let due = if enrolled { Answer::Hit } else { Answer::NoHit };
        assert_eq!(answer_about(&au, person).await, due, "person {person}");
    }
    assert!(people().restriction(HIDDEN).is_some(), "one of those asked about must be hidden");
    let ca = holder.channel(who::CA).await;
    let visa = Question { purpose: "visa-identity".to_owned(), ..question_about(0) };
    assert_eq!(ask(&ca, visa).await.unwrap().answer(), Answer::Hit, "each partner asks for its own purposes");
}

#[tokio::test]
async fn the_receipt_of_an_answer_holds_without_the_server() {
    let mut holder = Holder::start(HolderOptions::people(1)).await;
    let probe = holder.path("probe.json");
    fs::write(&probe, serde_json::json!({ "embedding": sample_of(0, 0), "quality": 80 }).to_string())
        .unwrap();
    let key = holder.log_key("au-border");
    let args = [
        "query",
        "--collection",
        "watch-face",
        "--purpose",
        "border-identity",
        "--case",
        "C-17",
        "--official",
        "o-1",
        "--legal-basis",
        "Example Act, s 10",
        "--json",
        "probe.json",
        "--receipt-out",
        "hit.receipt",
        "--log-key",
        &key,
        "--output",
        "json",
    ];
    let answered = holder.onebit(who::AU, &args).json();
    assert_eq!(answered["answer"], "HIT");
    holder.stop().await;

    let shown = holder.onebit(who::AU, &["receipt", "verify", "hit.receipt", "--key", &key]).ok();
    for said in ["query.answered", "HIT", "C-17", "border-identity"] {
        assert!(shown.contains(said), "the receipt should say `{said}`:\n{shown}");
    }
    assert!(!shown.contains("syn-"), "a receipt names nobody");
    let receipt = holder.path("hit.receipt");
    let verify = || {
        Command::new(env!("CARGO_BIN_EXE_onebit-verify"))
            .arg("receipt")
            .arg(&receipt)
            .args(["--key", &key])
            .output()
    };
    assert!(verify().unwrap().status.success(), "the small verifier must agree");
    let text = fs::read_to_string(&receipt).unwrap();
    fs::write(&receipt, text.replacen("extra A", "extra B", 1)).unwrap();
    assert!(!verify().unwrap().status.success(), "a changed receipt must be refused");
    holder.onebit(who::AU, &["receipt", "verify", "hit.receipt", "--key", &key]).failed();
}

#[tokio::test]
async fn the_same_question_again_gets_the_same_bytes_and_costs_nothing() {
    let mut holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let mut first = Vec::new();
    for person in [0, HIDDEN, STRANGER] {
        let question = question_about(person);
        let answered = ask(&au, question.clone()).await.unwrap();
        first.push((question, answered.encode_to_vec()));
    }
    let left = left_today(&au).await;
    // Others ask in between, and the person is erased: the first answer stays what it was.
    holder
        .onebit(who::ENROLLER, &["subject", "erase", "--source-id", "syn-000000", "--reason", "asked for it"])
        .ok();
    answer_about(&au, 1).await;
    for (question, bytes) in &first {
        let again = ask(&au, question.clone()).await.unwrap().encode_to_vec();
        assert_eq!(&again, bytes, "a repeated question must get the first answer byte for byte");
    }
    assert_eq!(left_today(&au).await, left - 1, "only the question in between counts");
    holder.restart().await;
    let au = holder.channel(who::AU).await;
    for (question, bytes) in &first {
        let later = Question { send_time: crate::story::now(), ..question.clone() };
        assert_eq!(
            &ask(&au, later).await.unwrap().encode_to_vec(),
            bytes,
            "a restart must not change an answer"
        );
    }
}

#[tokio::test]
async fn a_request_id_is_for_one_question_of_one_partner() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let (au, ca) = (holder.channel(who::AU).await, holder.channel(who::CA).await);
    let first = question_about(0);
    ask(&au, first.clone()).await.unwrap();
    let others = [
        Question { samples: question_about(1).samples, ..first.clone() },
        Question { case_reference: "C-18".to_owned(), ..first.clone() },
        Question { official: "officer-2".to_owned(), ..first.clone() },
        Question { purpose: "serious-crime".to_owned(), ..first.clone() },
        Question { urgency: 2, ..first.clone() },
    ];
    for other in others {
        let refused = refusal(ask(&au, other).await);
        assert_eq!(refused, (Code::AlreadyExists, "REQUEST_ID_USED".to_owned()));
    }
    let another_partner = Question { purpose: "visa-identity".to_owned(), ..first };
    ask(&ca, another_partner).await.expect("another partner's ids are its own");
}

#[tokio::test]
async fn several_samples_are_of_one_person_and_any_of_them_may_match() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let strange = |number| sample_of(STRANGER, number);
    let one_matches = question(vec![strange(0), sample_of(3, 0), strange(1)]);
    assert_eq!(ask(&au, one_matches).await.unwrap().answer(), Answer::Hit);
    let hidden_one = question(vec![strange(0), sample_of(HIDDEN, 0), strange(1)]);
    assert_eq!(ask(&au, hidden_one).await.unwrap().answer(), Answer::NoHit);
    let none_matches = question((0..3).map(strange).collect());
    assert_eq!(ask(&au, none_matches).await.unwrap().answer(), Answer::NoHit);
    let too_many = question((0..4).map(strange).collect());
    assert_eq!(
        refusal(ask(&au, too_many).await),
        (Code::PermissionDenied, "SAMPLES_OUTSIDE_AGREEMENT".to_owned())
    );
    let far_too_many = question((0..5).map(strange).collect());
    assert_eq!(refusal(ask(&au, far_too_many).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    assert_eq!(
        refusal(ask(&au, question(Vec::new())).await),
        (Code::InvalidArgument, "FIELD_INVALID".to_owned())
    );
}

#[tokio::test]
async fn the_volume_of_a_day_ends_new_questions_and_no_repetition() {
    let volume = ("agreements/au-border-identity.toml", "per_day = 2_000", "per_day = 3");
    let options = HolderOptions::people(1).policy(volume.0, volume.1, volume.2);
    let holder = Holder::start(options).await;
    let au = holder.channel(who::AU).await;
    assert_eq!(left_today(&au).await, 3);
    let first = question_about(0);
    let answered = ask(&au, first.clone()).await.unwrap();
    // What is refused counts nothing.
    ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();
    for person in [STRANGER, STRANGER + 1] {
        ask(&au, question_about(person)).await.unwrap();
    }
    assert_eq!(left_today(&au).await, 0);
    for person in [0, STRANGER] {
        let status = ask(&au, question_about(person)).await.refused();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::ResourceExhausted, "VOLUME_DAY_EXHAUSTED")
        );
    }
    let again = ask(&au, first).await.unwrap();
    assert_eq!(again.encode_to_vec(), answered.encode_to_vec(), "what was answered is answered again");
    let Outcome::Refused(refused) = &stream(&au, vec![question_about(0)]).await[0].1 else {
        panic!("a stream must not be a way around the volume");
    };
    assert_eq!(refused.reason, "VOLUME_DAY_EXHAUSTED");
    assert_eq!(ask(&holder.channel(who::CA).await, visa(0)).await.unwrap().answer(), Answer::Hit);
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_a_refusal() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let questions: Vec<Question> = (0..600_u64)
        .map(|number| match number % 100 {
            17 => Question { purpose: "none".to_owned(), ..question_about(number % PEOPLE) },
            42 => question(vec![vec![0.5; 3]]),
            _ if number % 3 == 0 => question_about(STRANGER + number),
            _ => question_about(number % PEOPLE),
        })
        .collect();
    let due: Vec<String> = questions.iter().map(|question| question.request_id.clone()).collect();
    let answers = stream(&au, questions).await;
    assert_eq!(
        answers.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
        due,
        "answers come in the order of questions"
    );
    for (number, (_, outcome)) in (0_u64..).zip(&answers) {
        let enrolled = number % 3 != 0 && people().restriction(number % PEOPLE).is_none();
        match (number % 100, outcome) {
            (17, Outcome::Refused(refused)) => {
                assert_eq!((refused.code, refused.reason.as_str()), (7, "PURPOSE_NOT_IN_AGREEMENT"));
            }
            (42, Outcome::Refused(refused)) => {
                assert_eq!((refused.code, refused.reason.as_str()), (3, "FIELD_INVALID"));
            }
            (17 | 42, Outcome::Answered(_)) => panic!("question {number} should have been refused"),
            (_, Outcome::Answered(answered)) => {
                assert_eq!(answered.answer() == Answer::Hit, enrolled, "question {number}");
            }
            (_, Outcome::Refused(refused)) => panic!("question {number} was refused: {}", refused.message),
        }
    }
}

/// Promise 1: no size tells. Two holders with the same people are asked the same number of questions, one about
/// people who hit where the other is asked about strangers and hidden ones; place by place the bytes are as many.
#[tokio::test]
async fn hits_and_others_have_the_same_size_in_the_same_place_of_the_journal() {
    let mut sizes = Vec::new();
    for order in [[0, HIDDEN, STRANGER, 1], [STRANGER, 2, HIDDEN, STRANGER], [HIDDEN, STRANGER, 3, HIDDEN]] {
        let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
        let au = holder.channel(who::AU).await;
        let mut of_this = Vec::new();
        for person in order {
            let question = AskQueryRequest { question: Some(question_about(person)) };
            let answered = QueryServiceClient::new(au.clone()).ask_query(question).await.unwrap();
            let mut names: Vec<String> = answered.metadata().keys().map(|key| format!("{key:?}")).collect();
            names.sort();
            of_this.push((answered.get_ref().encoded_len(), names));
        }
        sizes.push(of_this);
    }
    assert_eq!(
        sizes[0], sizes[1],
        "the size of an answer, or what stands beside it, tells whether it is a hit"
    );
    assert_eq!(sizes[0], sizes[2], "the size of an answer, or what stands beside it, tells who is hidden");
}

#[tokio::test]
async fn nothing_but_the_bit_differs_between_a_hidden_person_and_a_stranger() {
    let holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let au = holder.channel(who::AU).await;
    let mut journal = Vec::new();
    for person in [HIDDEN, STRANGER] {
        ask(&au, question_about(person)).await.unwrap();
    }
    let shown =
        holder.onebit(who::AU, &["audit", "own", "--log-key", &holder.log_key("au-border"), "--show"]).ok();
    for line in shown.lines().filter(|line| line.contains("outcome")) {
        journal.push(line.trim().to_owned());
    }
    assert_eq!(journal.len(), 2, "the partner's own journal shows both answers:\n{shown}");
    assert_eq!(journal[0], journal[1]);
    assert!(!shown.contains("hidden"), "a partner's side must not speak of hidden people:\n{shown}");
    let holders = holder.entries("au-border").await;
    let hidden: Vec<&str> = holders
        .iter()
        .map(|entry| crate::story::fact(entry, "hidden-subject"))
        .filter(|it| !it.is_empty())
        .collect();
    assert!(
        hidden.len() == 2 && hidden[0] != "nobody" && hidden[1] == "nobody",
        "the holder's side says who was hidden: {hidden:?}"
    );
}

#[tokio::test]
async fn a_restriction_hides_at_the_next_query_and_two_people_lift_it() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let au = holder.channel(who::AU).await;
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);
    let restrict = [
        "subject",
        "restrict",
        "--source-id",
        "syn-000000",
        "--restriction",
        "protected-identity",
        "--reason",
        "a new name",
    ];
    holder.onebit(who::ENROLLER, &restrict).ok();
    assert_eq!(answer_about(&au, 0).await, Answer::NoHit, "a hidden person must be hidden at the next query");
    assert_eq!(answer_about(&au, 1).await, Answer::Hit);

    let lift = ["lift-restriction", "--source-id", "syn-000000", "--restriction", "protected-identity"];
    let change = holder.propose(who::PRIVACY, &lift);
    assert_eq!(answer_about(&au, 0).await, Answer::NoHit, "a proposal alone must show nobody");
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).failed();
    assert_eq!(answer_about(&au, 0).await, Answer::NoHit, "one person alone must show nobody");
    holder.onebit(who::ADMIN, &["change", "confirm", &change]).ok();
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);
}

#[tokio::test]
async fn an_erased_person_is_not_found_from_the_next_query_on() {
    let mut holder = Holder::start(HolderOptions::people(3)).await;
    let au = holder.channel(who::AU).await;
    assert_eq!(answer_about(&au, 1).await, Answer::Hit);
    holder
        .onebit(who::ENROLLER, &["subject", "erase", "--source-id", "syn-000001", "--reason", "asked for it"])
        .ok();
    assert_eq!(answer_about(&au, 1).await, Answer::NoHit);
    assert_eq!((answer_about(&au, 0).await, answer_about(&au, 2).await), (Answer::Hit, Answer::Hit));
    let gone = holder.onebit(who::ENROLLER, &["subject", "show", "--source-id", "syn-000001"]).failed();
    assert!(gone.contains("NOT_FOUND"), "{gone}");
    holder.restart().await;
    assert_eq!(
        answer_about(&holder.channel(who::AU).await, 1).await,
        Answer::NoHit,
        "a restart must bring nobody back"
    );
    holder.enrol(1..2).await;
    assert_eq!(
        answer_about(&holder.channel(who::AU).await, 1).await,
        Answer::Hit,
        "somebody erased may be enrolled anew"
    );
}

pub(crate) async fn stream(channel: &Channel, questions: Vec<Question>) -> Vec<(String, Outcome)> {
    let asked = questions.into_iter().map(|question| AskQueriesRequest { question: Some(question) });
    let asked: Vec<_> = asked.collect();
    let answers = QueryServiceClient::new(channel.clone()).ask_queries(tokio_stream::iter(asked)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut found = Vec::new();
    while let Some(AskQueriesResponse { request_id, result }) = answers.message().await.unwrap() {
        found.push((request_id, result.unwrap()));
    }
    found
}

fn visa(person: u64) -> Question {
    Question { purpose: "visa-identity".to_owned(), ..question_about(person) }
}

pub(crate) async fn left_today(channel: &Channel) -> u64 {
    let standing =
        AgreementServiceClient::new(channel.clone()).get_standing(GetStandingRequest {}).await.unwrap();
    standing.into_inner().remaining[0].today
}
