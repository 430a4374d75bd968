//! Enrolment from files and over the stream: whole people or nobody, resumable, and updated when enrolled again.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use onebit::cli::synth::People;
use onebit::grpc::pb::enrolment::enrolment_service_client::EnrolmentServiceClient;
use onebit::grpc::pb::enrolment::template_input::Form;
use onebit::grpc::pb::enrolment::{
    AddRestrictionRequest, Embedding, EnrolSubjectsRequest, EnrolSubjectsResponse, GetBatchRequest,
    GetSubjectRequest, GetSubjectResponse, StartBatchRequest, SubjectInput, TemplateInput,
};
use onebit::grpc::pb::partner::Answer;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, until, who};
use crate::story::{
    DIMENSION, OrRefused as _, answer_about, ask, batch_start, fact, of_kind, people, question, reason,
    refusal, subject,
};

#[tokio::test]
async fn an_array_with_records_is_enrolled_and_bad_rows_are_told_with_their_reason() {
    let holder = Holder::start(HolderOptions::default()).await;
    let (nan, zero, unknown_field) = (3, 5, 8);
    let mut rows: Vec<Vec<f32>> = (0..12).map(|person| people().embedding(person)).collect();
    rows[nan][17] = f32::NAN;
    rows[zero] = vec![0.0; DIMENSION];
    fs::write(holder.path("gallery.npy"), npy(&rows)).unwrap();
    let (mut manifest, mut records) = (String::new(), String::new());
    for person in 0..12_u64 {
        let source_id = people().source_id(person);
        writeln!(manifest, "{}", json!({ "source_id": source_id, "quality": 80 })).unwrap();
        let mut record = json!({ "source_id": source_id, "fields": people().record(person) });
        if person == unknown_field {
            record["fields"]["family-name"]["classifcation"] = json!("a key that there is not");
        }
        writeln!(records, "{record}").unwrap();
    }
    fs::write(holder.path("gallery.jsonl"), manifest).unwrap();
    fs::write(holder.path("records.jsonl"), records).unwrap();

    let args = [
        "enrol",
        "--collection",
        "watch-face",
        "--official",
        "registrar-1",
        "--npy",
        "gallery.npy",
        "--manifest",
        "gallery.jsonl",
        "--records",
        "records.jsonl",
        "--rejects",
        "rejects.jsonl",
        "--output",
        "json",
    ];
    let enrolled = holder.onebit(who::ENROLLER, &args).json();
    assert_eq!(enrolled["accepted"], 9, "{enrolled}");
    let rejects = lines(&holder.path("rejects.jsonl"));
    let of = |person: u64| -> Vec<String> {
        let of_this = rejects.iter().filter(|it| it["source_id"] == people().source_id(person).as_str());
        of_this.map(|it| format!("{}: {}", it["line"], it["reason"].as_str().unwrap())).collect()
    };
    for (row, person) in (1_u64..).zip(0..12) {
        let told = of(person);
        if [nan, zero].map(|it| it as u64).contains(&person) || person == unknown_field {
            assert!(
                told.iter().any(|it| it.starts_with(&format!("{row}: "))),
                "row {row} should be told: {rejects:?}"
            );
        } else {
            assert!(told.is_empty(), "row {row} is sound: {told:?}");
        }
    }
    assert!(of(3).iter().any(|it| it.contains("finite") || it.contains("NaN")), "{:?}", of(3));
    assert!(of(5).iter().any(|it| it.contains("zero") || it.contains("length")), "{:?}", of(5));
    let enroller = holder.channel(who::ENROLLER).await;
    for person in 0..12 {
        match held(&enroller, person).await {
            Ok(found) => assert_whole(person, &found),
            Err(status) => {
                assert!(!of(person).is_empty(), "person {person} is neither enrolled nor rejected: {status}");
            }
        }
    }
    let au = holder.channel(who::AU).await;
    assert_eq!((answer_about(&au, 0).await, answer_about(&au, 3).await), (Answer::Hit, Answer::NoHit));
}

#[tokio::test]
async fn questions_about_somebody_who_is_enrolled_again_meanwhile_are_answered() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    let au = holder.channel(who::AU).await;
    let asking = async {
        for question in 0..90 {
            assert_eq!(answer_about(&au, 0).await, Answer::Hit, "question {question}");
        }
    };
    let enrolling = async {
        for _ in 0..30 {
            holder.enrol(0..1).await;
        }
    };
    tokio::join!(asking, enrolling);
}

#[tokio::test]
async fn templates_of_another_dimension_are_told_by_line() {
    let holder = Holder::start(HolderOptions::default()).await;
    let line = |person: u64, embedding: Vec<f32>| {
        json!({ "source_id": people().source_id(person), "embedding": embedding, "quality": 80 }).to_string()
    };
    let text = [
        line(0, people().embedding(0)),
        line(1, vec![0.1; DIMENSION - 1]),
        "{\"source_id\": \"syn-000002\", \"embedding\": [1, 2".to_owned(),
        line(3, people().embedding(3)),
    ];
    fs::write(holder.path("templates.jsonl"), text.join("\n")).unwrap();
    let args = [
        "enrol",
        "--collection",
        "watch-face",
        "--official",
        "registrar-1",
        "--templates",
        "templates.jsonl",
        "--output",
        "json",
    ];
    let enrolled = holder.onebit(who::ENROLLER, &args).json();
    assert_eq!(enrolled["accepted"], 2, "{enrolled}");
    let rejects =
        lines(Path::new(enrolled["rejects"].as_str().map(|file| holder.path(file)).as_ref().unwrap()));
    let told: Vec<(u64, &str)> =
        rejects.iter().map(|it| (it["line"].as_u64().unwrap(), it["reason"].as_str().unwrap())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|(line, reason)| *line == 2 && reason.contains("255") && reason.contains("256")),
        "{told:?}"
    );
    assert!(told.iter().any(|(line, _)| *line == 3), "{told:?}");
}

/// The row of the issue that matters most to whoever loads a gallery overnight.
#[tokio::test]
async fn a_server_killed_in_the_middle_goes_on_with_the_same_command_and_nobody_is_half_enrolled() {
    const COUNT: u64 = 3_000;
    let mut holder = Holder::start(HolderOptions::default()).await;
    let synth = [
        "synth",
        "--people",
        "3000",
        "--dimension",
        "256",
        "--seed",
        "1",
        "--probes",
        "0",
        "--out",
        "people",
    ];
    holder.onebit(who::ENROLLER, &synth).ok();
    let args = [
        "enrol",
        "--collection",
        "watch-face",
        "--official",
        "registrar-1",
        "--npy",
        "people/gallery.npy",
        "--manifest",
        "people/gallery.manifest.jsonl",
        "--records",
        "people/records.jsonl",
        "--batch-file",
        "batch.json",
        "--chunk",
        "16",
        "--output",
        "json",
    ];
    let mut under_way = holder
        .command(who::ENROLLER)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let batch_file = holder.path("batch.json");
    until("the batch file is there", || async { fs::read(&batch_file).is_ok_and(|it| it.ends_with(b"}")) })
        .await;
    let batch: Value = serde_json::from_slice(&fs::read(&batch_file).unwrap()).unwrap();
    let request =
        StartBatchRequest { request_id: batch["request_id"].as_str().unwrap().to_owned(), ..batch_start() };
    let enroller = holder.channel(who::ENROLLER).await;
    until("some of it is enrolled", || async { batch_rows(&enroller, &request).await > 200 }).await;
    holder.kill();
    let broken = under_way.wait().unwrap();
    assert!(
        !broken.success(),
        "the command should say that it broke off; is the batch too small for this test?"
    );

    holder.serve().await;
    let enroller = holder.channel(who::ENROLLER).await;
    let done = batch_rows(&enroller, &request).await;
    assert!(
        done > 200 && done < COUNT && done % 16 == 0,
        "{done} rows are done; chunks are whole or not there"
    );
    for person in 0..done {
        assert_whole(person, &held(&enroller, person).await.unwrap());
    }
    for person in done..(done + 64).min(COUNT) {
        assert_eq!(
            refusal(held(&enroller, person).await).0,
            Code::NotFound,
            "person {person} was not answered yet"
        );
    }
    let au = holder.channel(who::AU).await;
    assert_eq!(
        answer_about(&au, done - 2).await,
        Answer::Hit,
        "what was answered is searchable after the restart"
    );

    let resumed = holder.onebit(who::ENROLLER, &args).json();
    assert_eq!((&resumed["done_before"], &resumed["rows_done"]), (&json!(done), &json!(COUNT)), "{resumed}");
    assert_eq!(resumed["accepted"], COUNT - done);
    for person in 0..COUNT {
        assert_whole(person, &held(&enroller, person).await.unwrap());
    }
    for person in [0, done - 1, done, COUNT - 1] {
        let due = if people().restriction(person).is_none() { Answer::Hit } else { Answer::NoHit };
        assert_eq!(answer_about(&au, person).await, due, "person {person}");
    }
    let again = holder.onebit(who::ENROLLER, &args).json();
    assert_eq!(
        (&again["accepted"], &again["rows_done"]),
        (&json!(0), &json!(COUNT)),
        "a batch that is done is done"
    );
}

#[tokio::test]
async fn enrolling_somebody_again_replaces_templates_and_the_fields_given() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let au = holder.channel(who::AU).await;
    let other_face = People::new(2, DIMENSION);
    let old = || question(vec![people().embedding(0)]);
    let new = || question(vec![other_face.embedding(0)]);
    assert_eq!(ask(&au, old()).await.unwrap().answer(), Answer::Hit);
    assert_eq!(ask(&au, new()).await.unwrap().answer(), Answer::NoHit);

    let mut update = subject(0);
    update.templates = vec![template(other_face.embedding(0))];
    update.fields.retain(|field| field.field == "family-name");
    update.fields[0].value = "Changed".to_owned();
    let answers = holder.enrol_subjects(vec![update]).await;
    assert_eq!(answers[0].rows_accepted, 1);
    assert_eq!(ask(&au, old()).await.unwrap().answer(), Answer::NoHit, "the old template must be gone");
    assert_eq!(ask(&au, new()).await.unwrap().answer(), Answer::Hit);
    let enroller = holder.channel(who::ENROLLER).await;
    assert_whole(0, &held(&enroller, 0).await.unwrap());
    assert_eq!(answer_about(&au, 1).await, Answer::Hit, "nobody else changes");

    let query = ask(&au, new()).await.unwrap().query;
    let disclosure = holder.request(&query, &["family-name", "date-of-birth"]).await;
    let viewed =
        |field| holder.onebit(who::OFFICER, &["review", "view-field", &disclosure, "--field", field]).ok();
    assert!(viewed("family-name").contains("Changed"));
    assert!(
        viewed("date-of-birth").contains(&people().record(0)["date-of-birth"].value),
        "a field not given stays"
    );
}

#[tokio::test]
async fn a_row_is_taken_whole_or_not_at_all() {
    let holder = Holder::start(HolderOptions::default()).await;
    type Spoil = fn(&mut SubjectInput);
    let spoilt: [(&str, Spoil); 6] = [
        ("classification", |row| row.fields[1].classification = String::new()),
        ("value", |row| row.fields[0].value = "x".repeat(4_097)),
        ("restrictions", |row| row.restrictions.push("Not A Name".to_owned())),
        ("255", |row| row.templates.push(template(vec![0.1; 255]))),
        ("source id", |row| row.source_id = "x".repeat(257)),
        ("quality", |row| row.templates[0].quality = Some(101)),
    ];
    let mut rows: Vec<SubjectInput> = (0..7).map(subject).collect();
    for (row, (_, spoil)) in rows[1..].iter_mut().zip(&spoilt) {
        spoil(row);
    }
    let answer = &holder.enrol_subjects(rows.clone()).await[0];
    assert_eq!((answer.rows_accepted, answer.rows_done), (1, 7));
    let enroller = holder.channel(who::ENROLLER).await;
    for ((row, rejected), (word, _)) in rows[1..].iter().zip(&answer.rejected).zip(&spoilt) {
        assert!(
            rejected.reason.replace('_', " ").contains(word),
            "`{}` should speak of `{word}`",
            rejected.reason
        );
        if row.source_id.len() < 257 {
            let asked = GetSubjectRequest { source_id: row.source_id.clone() };
            let found = EnrolmentServiceClient::new(enroller.clone()).get_subject(asked).await;
            assert_eq!(refusal(found).0, Code::NotFound, "nothing of a rejected row may be kept");
        }
    }
    assert_whole(0, &held(&enroller, 0).await.unwrap());
}

#[tokio::test]
async fn chunks_follow_one_another_and_repeating_one_changes_nothing() {
    let holder = Holder::start(HolderOptions::default()).await;
    let channel = holder.channel(who::ENROLLER).await;
    let mut service = EnrolmentServiceClient::new(channel.clone());
    let start = batch_start();
    let batch = service.start_batch(start.clone()).await.unwrap().into_inner().batch;
    let chunk = |first_row: u64, people: std::ops::Range<u64>| EnrolSubjectsRequest {
        batch: batch.clone(),
        first_row,
        subjects: people.map(subject).collect(),
    };
    let first = enrol(&channel, chunk(0, 0..4)).await.unwrap();
    assert!(enrol(&channel, chunk(0, 0..4)).await.unwrap() == first, "an answered chunk is answered again");
    let gap = enrol(&channel, chunk(9, 9..10)).await.refused();
    assert_eq!((gap.code(), reason(&gap).as_str()), (Code::FailedPrecondition, "NOT_NOW"));
    let other = enrol(&channel, chunk(0, 5..9)).await.refused();
    assert_eq!(other.code(), Code::FailedPrecondition, "other rows in the place of answered ones");
    let again = service.start_batch(start.clone()).await.unwrap().into_inner();
    assert_eq!((&again.batch, again.rows_done), (&batch, 4), "the same request id finds the batch again");
    let told = service.get_batch(GetBatchRequest { batch: batch.clone() }).await.unwrap().into_inner();
    assert_eq!((told.rows_done, told.rows_accepted), (4, 4));
    assert_eq!(refusal(held(&channel, 9).await).0, Code::NotFound);
    let unknown = EnrolSubjectsRequest {
        batch: "batches/00000000000000000000000000000001".to_owned(),
        ..chunk(0, 0..1)
    };
    assert_eq!(refusal(enrol(&channel, unknown).await), (Code::NotFound, "NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn chunks_sent_ahead_are_enrolled_up_to_the_first_that_fails_and_the_batch_goes_on_from_there() {
    const CHUNKS: u64 = 40;
    const ROWS: u64 = 5;
    let holder = Holder::start(HolderOptions::default()).await;
    let mut service = EnrolmentServiceClient::new(holder.channel(who::ENROLLER).await);
    let batch = service.start_batch(batch_start()).await.unwrap().into_inner().batch;
    let chunk = |nth: u64| EnrolSubjectsRequest {
        batch: batch.clone(),
        first_row: nth * ROWS,
        subjects: (nth * ROWS..(nth + 1) * ROWS).map(subject).collect(),
    };
    // All are sent at once; the fourteenth is missing.
    let sent: Vec<_> = (0..CHUNKS).filter(|nth| *nth != 13).map(chunk).collect();
    let mut answers = service.enrol_subjects(tokio_stream::iter(sent)).await.unwrap().into_inner();
    for nth in 0..13 {
        let answer = answers.message().await.unwrap().expect("a chunk that follows is answered");
        assert_eq!((answer.rows_done, u64::from(answer.rows_accepted)), ((nth + 1) * ROWS, ROWS));
    }
    let status = answers.message().await.refused_or("a chunk that does not follow was answered");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NOT_NOW"));
    assert!(status.message().contains("go on with row 65"), "{}", status.message());

    let asked = GetBatchRequest { batch: batch.clone() };
    assert_eq!(service.get_batch(asked).await.unwrap().into_inner().rows_done, 13 * ROWS);
    let rest: Vec<_> = (13..CHUNKS).map(chunk).collect();
    let mut answers = service.enrol_subjects(tokio_stream::iter(rest)).await.unwrap().into_inner();
    let mut rows_done = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        rows_done = answer.rows_done;
    }
    assert_eq!(rows_done, CHUNKS * ROWS);
    let entries = holder.entries("holder").await;
    let first_rows: Vec<u64> = of_kind(&entries, "enrolment.chunk")
        .iter()
        .map(|entry| fact(entry, "first-row").parse().unwrap())
        .collect();
    let due: Vec<u64> = (0..CHUNKS).map(|nth| nth * ROWS).collect();
    assert_eq!(first_rows, due, "each chunk has one entry, in their order, however they were written");
    assert_eq!(answer_about(&holder.channel(who::AU).await, CHUNKS * ROWS - 1).await, Answer::Hit);
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_nothing_of_it_is_kept() {
    let holder = Holder::start(HolderOptions::default()).await;
    let channel = holder.channel(who::ENROLLER).await;
    let batch = EnrolmentServiceClient::new(channel.clone())
        .start_batch(batch_start())
        .await
        .unwrap()
        .into_inner()
        .batch;
    let too_many = EnrolSubjectsRequest {
        batch: batch.clone(),
        first_row: 0,
        subjects: (0..513).map(subject).collect(),
    };
    assert_eq!(refusal(enrol(&channel, too_many).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    let mut wide = subject(0);
    wide.templates = (0..4_200).map(|_| template(vec![0.1; DIMENSION])).collect();
    let too_long = EnrolSubjectsRequest { batch: batch.clone(), first_row: 0, subjects: vec![wide] };
    assert!(prost::Message::encoded_len(&too_long) > 4 * 1_024 * 1_024);
    assert_eq!(refusal(enrol(&channel, too_long).await).0, Code::OutOfRange);
    assert_eq!(refusal(held(&channel, 0).await).0, Code::NotFound);
    let sound = EnrolSubjectsRequest { batch, first_row: 0, subjects: vec![subject(0)] };
    assert_eq!(
        enrol(&channel, sound).await.unwrap().rows_accepted,
        1,
        "the batch goes on after what was refused"
    );
}

async fn enrol(channel: &Channel, chunk: EnrolSubjectsRequest) -> Result<EnrolSubjectsResponse, Status> {
    let mut service = EnrolmentServiceClient::new(channel.clone());
    let mut answers = service.enrol_subjects(tokio_stream::iter([chunk])).await?.into_inner();
    answers.message().await.map(|answer| answer.expect("a chunk should be answered"))
}

async fn held(channel: &Channel, person: u64) -> Result<GetSubjectResponse, Status> {
    let asked = GetSubjectRequest { source_id: people().source_id(person) };
    EnrolmentServiceClient::new(channel.clone()).get_subject(asked).await.map(tonic::Response::into_inner)
}

async fn batch_rows(channel: &Channel, request: &StartBatchRequest) -> u64 {
    let found = EnrolmentServiceClient::new(channel.clone()).start_batch(request.clone()).await;
    found.map_or(0, |found| found.into_inner().rows_done)
}

/// A person has the template, each field of the record and the restriction, or is not there.
fn assert_whole(person: u64, held: &GetSubjectResponse) {
    let mut fields = held.fields.clone();
    fields.sort();
    let due: Vec<&str> = people().record(person).into_keys().collect();
    assert_eq!(
        (held.templates, fields.iter().map(String::as_str).collect::<Vec<_>>()),
        (1, due),
        "person {person} is half enrolled"
    );
    assert_eq!(
        held.restrictions,
        people().restriction(person).into_iter().collect::<Vec<_>>(),
        "person {person}"
    );
}

fn template(values: Vec<f32>) -> TemplateInput {
    TemplateInput { form: Some(Form::Embedding(Embedding { values })), quality: Some(80) }
}

/// A NumPy array of 32-bit floats, version 1.0 of the format.
pub(crate) fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let head =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.len(), rows[0].len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // The head is padded so that the numbers begin at a multiple of 64.
    let padded = (bytes.len() + 2 + head.len() + 1).next_multiple_of(64) - bytes.len() - 2;
    bytes.extend(u16::try_from(padded).unwrap().to_le_bytes());
    bytes.extend(format!("{head:<width$}\n", width = padded - 1).into_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("`{}` should be there: {error}", file.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_restriction_whose_caller_went_away_hides_or_was_never_made() {
    let holder = Holder::start(HolderOptions::people(13)).await;
    let enroller = holder.channel(who::ENROLLER).await;
    let au = holder.channel(who::AU).await;
    let mut hidden = 0;
    for person in 0..13 {
        let wanted = AddRestrictionRequest {
            source_id: people().source_id(person),
            restriction: "protected-identity".to_owned(),
            reason: "asked to".to_owned(),
        };
        let mut service = EnrolmentServiceClient::new(enroller.clone());
        // Around the time that the commit takes.
        let patience = Duration::from_micros(400 + 250 * person);
        let _gone = tokio::time::timeout(patience, service.add_restriction(wanted)).await;
        // Whatever was begun is mostly over when another one is through.
        let other = AddRestrictionRequest {
            source_id: "nobody".to_owned(),
            restriction: "protected-identity".to_owned(),
            reason: "asked to".to_owned(),
        };
        service.add_restriction(other).await.unwrap();
        let hidden_now = async || !held(&enroller, person).await.unwrap().restrictions.is_empty();
        // On a busy machine the first one may still come after the other: then it is looked at again.
        let is_hidden = loop {
            let (before, answer) = (hidden_now().await, answer_about(&au, person).await);
            if hidden_now().await == before {
                let due = if before { Answer::NoHit } else { Answer::Hit };
                assert_eq!(answer, due, "person {person}, hidden: {before}");
                break before;
            }
        };
        hidden += u32::from(is_hidden);
    }
    println!("{hidden} of 13 were hidden");
}
