//! The partner's side of a disclosure: watching it, asking for a correction, and hearing of the holder's own.

use std::time::Duration;

use onebit::grpc::pb::enrolment;
use onebit::grpc::pb::enrolment::enrolment_service_client::EnrolmentServiceClient;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{
    AcknowledgeCorrectionRequest, AcknowledgeReleaseRequest, CorrectionKind, Disclosure, DisclosureState,
    FetchReleaseRequest, GetDisclosureRequest, ListCorrectionsRequest, WatchDisclosureRequest,
    WatchDisclosureResponse,
};
use onebit::ids::Digest;
use prost::Message as _;
use tonic::{Code, IntoRequest as _, Status, Streaming};

use crate::holder::{Holder, HolderOptions, PATIENCE, Who, until, who};
use crate::story::{Choice, FIELDS, OrRefused as _, bytes_of, fact, of_kind, refusal, subject};

const GRANT: Choice<'static> = Choice::Grant(&FIELDS);

#[tokio::test]
async fn a_watch_tells_what_get_tells_at_each_change_until_the_end() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let name = holder.request(&holder.hit(0).await, &FIELDS).await;
    let mut watch = watched(&holder, who::AU, &name, Vec::new(), false).await.unwrap();
    let first = next(&mut watch).await;
    assert!(first.disclosure.as_ref() == Some(&own(&holder, &name).await));
    holder.decide(who::OFFICER, &name, GRANT).await.unwrap();
    holder.decide(who::OTHER_OFFICER, &name, GRANT).await.unwrap();
    // That somebody decided is nothing that it tells.
    let released = next(&mut watch).await;
    assert!(released.disclosure.as_ref() == Some(&own(&holder, &name).await));
    assert_eq!(released.disclosure.unwrap().state(), DisclosureState::Released);

    let mut resumed = watched(&holder, who::AU, &name, released.version.clone(), false).await.unwrap();
    let mut missed = watched(&holder, who::AU, &name, first.version, false).await.unwrap();
    assert_eq!(next(&mut missed).await.version, released.version, "what was missed comes at once");
    acknowledge(&holder, &name).await;
    for watch in [&mut watch, &mut resumed, &mut missed] {
        let last = next(watch).await;
        assert_eq!(last.disclosure.unwrap().state(), DisclosureState::Acknowledged);
        assert!(watch.message().await.unwrap().is_none(), "it ends with a final state");
    }
    let mut late = watched(&holder, who::AU, &name, Vec::new(), false).await.unwrap();
    assert_eq!(next(&mut late).await.disclosure.unwrap().state(), DisclosureState::Acknowledged);
    assert!(late.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watch_is_refused_like_a_get_and_ends_by_its_deadline_and_by_suspension() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let name = holder.request(&holder.hit(0).await, &FIELDS).await;
    let mut told = Vec::new();
    let nobodys = "disclosures/00000000000000000000000000000001";
    for (who, name) in [(who::CA, name.as_str()), (who::AU, nobodys)] {
        let watch = bytes_of(&watched(&holder, who, name, Vec::new(), false).await.err().unwrap());
        let get = GetDisclosureRequest { name: name.to_owned() };
        let mut service = DisclosureServiceClient::new(holder.channel(who).await);
        told.extend([watch, bytes_of(&service.get_disclosure(get).await.refused())]);
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");

    let mut request = WatchDisclosureRequest { name: name.clone(), ..Default::default() }.into_request();
    request.set_timeout(Duration::from_millis(400));
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let mut short = service.watch_disclosure(request).await.unwrap().into_inner();
    next(&mut short).await;
    let over = short.message().await.err().unwrap();
    assert!(matches!(over.code(), Code::DeadlineExceeded | Code::Cancelled), "{over:?}");

    let mut watch = watched(&holder, who::AU, &name, Vec::new(), true).await.unwrap();
    next(&mut watch).await;
    holder.onebit(who::ADMIN, &["suspend", "partner", "au-border", "--reason", "a leak"]).ok();
    let cut = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap();
    assert!(cut.is_err(), "who is suspended watches nothing");
}

/// One is refused by people and one is hidden: the same messages, of the same size.
#[tokio::test]
async fn a_hidden_persons_refusal_is_watched_like_one_by_people() {
    let options = HolderOptions::people(2).config("jobs", "tending_every_s", 1);
    let holder = Holder::start(options).await;
    holder.release_key();
    let (mut watches, mut names) = (Vec::new(), Vec::new());
    for person in [0, 1] {
        let name = holder.request(&holder.hit(person).await, &FIELDS).await;
        let mut watch = watched(&holder, who::AU, &name, Vec::new(), false).await.unwrap();
        next(&mut watch).await;
        watches.push(watch);
        names.push(name);
    }
    restrict(&holder, 1).await;
    holder.decide(who::OFFICER, &names[0], Choice::Deny).await.unwrap();
    holder.decide(who::OFFICER, &names[1], GRANT).await.unwrap();
    let mut told = Vec::new();
    for watch in &mut watches {
        let message = next(watch).await;
        assert_eq!(message.disclosure.as_ref().unwrap().state(), DisclosureState::Denied);
        assert!(watch.message().await.unwrap().is_none());
        let mut same = message.disclosure.unwrap();
        (same.name, same.query) = (String::new(), String::new());
        (same.create_time, same.expire_time) = (None, None);
        told.push(same);
    }
    assert!(told[0] == told[1], "nothing but its name tells them apart");
}

#[tokio::test]
async fn a_corrected_field_reaches_whoever_received_it_and_holds_no_value() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    holder.release_key();
    // Received; received without the field; not fetched and taken back; of somebody else.
    let received = released(&holder, 0, &FIELDS).await;
    let without = released(&holder, 0, &FIELDS[1..]).await;
    let revoked = released(&holder, 0, &FIELDS).await;
    let other = released(&holder, 1, &FIELDS).await;
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    review(who::OFFICER, &["revoke", &revoked, "--reason", "another person"]).ok();
    for name in [&received, &without, &other] {
        acknowledge(&holder, name).await;
    }
    let mut watch = watched(&holder, who::AU, &received, Vec::new(), true).await.unwrap();
    next(&mut watch).await;
    holder.enrol_subjects(vec![subject(0)]).await;
    change(&holder, 0, "Corrected-Name").await;
    let told = next(&mut watch).await.disclosure.unwrap();
    assert!(told == own(&holder, &received).await);
    let [correction] = &told.corrections[..] else {
        panic!("one correction, not {}", told.corrections.len())
    };
    assert_eq!((correction.number, correction.kind()), (1, CorrectionKind::Changed));
    assert_eq!(correction.fields, ["family-name"], "and a row that says the same corrects nothing");
    let within = correction.acknowledge_by.unwrap().seconds - correction.tell_time.unwrap().seconds;
    assert_eq!(within, 72 * 3_600);
    assert_eq!(told.state(), DisclosureState::Acknowledged, "a final state stays final");
    let bytes = told.encode_to_vec();
    assert!(!bytes.windows(9).any(|part| part == b"Corrected"), "a value leaves by a release only");
    for quiet in [&without, &revoked, &other] {
        assert!(own(&holder, quiet).await.corrections.is_empty(), "it never received the field");
    }
    let entries = holder.entries("au-border").await;
    let [told] = &of_kind(&entries, "disclosure.correction-told")[..] else { panic!("one is told") };
    assert_eq!((fact(told, "fields"), fact(told, "reason")), ("family-name", "changed"));
    let entries = holder.entries("holder").await;
    assert_eq!(of_kind(&entries, "disclosure.correction-made").len(), 1);

    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let waiting = service.list_corrections(ListCorrectionsRequest::default()).await.unwrap().into_inner();
    assert_eq!(waiting.disclosures.iter().map(|it| &it.name).collect::<Vec<_>>(), [&received]);
    let foreign = DisclosureServiceClient::new(holder.channel(who::CA).await)
        .list_corrections(ListCorrectionsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(foreign.disclosures.is_empty());
    let acknowledged = AcknowledgeCorrectionRequest { name: received.clone(), number: 1 };
    service.acknowledge_correction(acknowledged.clone()).await.unwrap();
    assert_eq!(refusal(service.acknowledge_correction(acknowledged).await).1, "NOT_NOW", "once");
    let waiting = service.list_corrections(ListCorrectionsRequest::default()).await.unwrap().into_inner();
    assert!(waiting.disclosures.is_empty());
    holder.whole();
}

/// Whoever may not see a person hears nothing of them either, and afterwards of what happened meanwhile.
#[tokio::test]
async fn a_correction_waits_while_its_person_is_hidden_and_nothing_follows_an_erasure() {
    let options = HolderOptions::people(2).config("jobs", "tending_every_s", 1);
    let holder = Holder::start(options).await;
    holder.release_key();
    let (hidden, erased) = (released(&holder, 0, &FIELDS).await, released(&holder, 1, &FIELDS).await);
    for name in [&hidden, &erased] {
        acknowledge(&holder, name).await;
    }
    let before = holder.entries("au-border").await.len();
    restrict(&holder, 0).await;
    change(&holder, 0, "Corrected-Name").await;
    let erasure = ["subject", "erase", "--reason", "asked for", "--source-id", &subject(1).source_id];
    holder.onebit(who::ENROLLER, &erasure).ok();
    let made = async || of_kind(&holder.entries("holder").await, "disclosure.correction-made").len() == 1;
    until("the correction to be made", made).await;
    let case = holder.case(who::OFFICER, &hidden).await;
    assert!(case.corrections[0].tell_time.is_none(), "the holder's people see that it waits");
    for name in [&hidden, &erased] {
        assert!(own(&holder, name).await.corrections.is_empty());
    }
    assert_eq!(holder.entries("au-border").await.len(), before, "nothing is told");
    let lift = ["lift-restriction", "--source-id", &subject(0).source_id, "--restriction", RESTRICTION];
    holder.change(who::ADMIN, who::PRIVACY, &lift);
    until("the correction to be told", async || own(&holder, &hidden).await.corrections.len() == 1).await;
    holder.whole();
}

/// The whole way after a release, each step a process of its own.
#[tokio::test]
async fn requests_answers_statements_and_corrections_by_the_command_line() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let log_key = holder.log_key("au-border");
    let (name, other) = (released(&holder, 0, &FIELDS).await, released(&holder, 0, &FIELDS).await);
    let request = |args: &[&str]| holder.onebit(who::AU, &[&["request"], args].concat());
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    let json = ["--output", "json"];
    let watched = request(&[&["watch", &name, "--changes", "1"], &json[..]].concat()).json();
    assert_eq!(watched["state"], "released");
    acknowledge(&holder, &name).await;
    acknowledge(&holder, &other).await;
    let words = ["--text", "It is spelt with one l.", "--official", "o-1", "--log-key", &log_key];
    let unreleased = request(&[&["correct", &name, "--field", "nationality"], &words[..]].concat()).failed();
    assert!(unreleased.contains("NOT_NOW") && unreleased.contains("nationality"), "{unreleased}");
    let correct = [&["correct", &name, "--field", "family-name"], &words[..]].concat();
    assert!(request(&correct).ok().contains("not answered"));
    assert!(request(&correct).failed().contains("NOT_NOW"), "one at a time");

    let case = review(who::OFFICER, &["show", &name]).ok();
    assert!(case.contains("asked to correct") && case.contains("one l."), "{case}");
    let answer = ["answer-correction", &name, "--refuse", "--answer", "The register has two."];
    assert!(review(who::EXAMINER, &answer).failed().contains("ROLE_NOT_ALLOWED"));
    review(who::OFFICER, &answer).ok();
    let shown = request(&["show", &name]).ok();
    assert!(shown.contains("refused") && shown.contains("The register has two."), "{shown}");
    assert!(!shown.contains(who::OFFICER.name()), "who answered is nothing that the partner sees: {shown}");

    // What is said beside one release reaches everybody who received the same.
    review(who::PRIVACY, &["state-correction", &name, "--statement", "The spelling is disputed."]).ok();
    until("both to be told", async || {
        own(&holder, &name).await.corrections.len() + own(&holder, &other).await.corrections.len() == 2
    })
    .await;
    review(who::OFFICER, &["hit-erroneous", &other, "--reason", "another ear"]).ok();
    until("the withdrawal to be told", async || own(&holder, &other).await.corrections.len() == 2).await;
    let told = own(&holder, &other).await;
    assert_eq!(told.corrections[1].kind(), CorrectionKind::Withdrawn);
    assert!(told.corrections[1].statement.is_empty(), "why is the holder's own");
    let field = &subject(0).fields[0];
    let correct = [
        "subject",
        "correct",
        "--source-id",
        &subject(0).source_id,
        "--field",
        &field.field,
        "--value",
        "Aroha-Corrected",
        "--classification",
        &field.classification,
        "--source",
        &field.source,
        "--permitted-use",
        &field.permitted_uses[0],
        "--collection",
        "watch-face",
        "--official",
        "registrar",
    ];
    holder.onebit(who::ENROLLER, &correct).ok();
    let is_field_received = FIELDS.contains(&field.field.as_str());
    let due = if is_field_received { 2 } else { 1 };
    until("the change to be told", async || {
        own(&holder, &name).await.corrections.len() == due
            && own(&holder, &other).await.corrections.len() == due + 1
    })
    .await;

    let listed = request(&[&["corrections"], &json[..]].concat()).json();
    assert_eq!(listed.as_array().unwrap().len(), 2 * due + 1, "{listed}");
    let open = review(who::PRIVACY, &[&["corrections"], &json[..]].concat()).json();
    assert_eq!(open.as_array().unwrap().len(), 2, "{open}");
    let late = review(who::PRIVACY, &["corrections", "--overdue"]).ok();
    assert!(late.contains("no correction waits"), "{late}");
    let acknowledged = ["acknowledge-correction", &name, "--number", "1", "--log-key", &log_key];
    assert!(request(&acknowledged).ok().contains("acknowledged"));
    let withdrawn = [&["correct", &name, "--withdraw"], &words[..]].concat();
    assert!(request(&withdrawn).ok().contains("your need is withdrawn"));
    holder.onebit(who::AU, &["audit", "own", "--log-key", &log_key]).ok();
    holder.whole();
}

const RESTRICTION: &str = "protected-identity";

/// A release of these fields about somebody, fetched by nobody.
async fn released(holder: &Holder, person: u64, fields: &[&str]) -> String {
    let name = holder.request(&holder.hit(person).await, fields).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &name, Choice::Grant(fields)).await.unwrap();
    }
    name
}

pub(crate) async fn acknowledge(holder: &Holder, name: &str) {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let fetch = FetchReleaseRequest { name: name.to_owned() };
    let release = service.fetch_release(fetch).await.unwrap().into_inner();
    let ciphertext_sha256 = Digest::sha256(&release.ciphertext).as_bytes().to_vec();
    let message = AcknowledgeReleaseRequest { name: name.to_owned(), ciphertext_sha256 };
    service.acknowledge_release(message).await.unwrap();
}

/// Enrols somebody again with another family name.
async fn change(holder: &Holder, person: u64, family_name: &str) {
    let mut row = subject(person);
    row.restrictions.clear();
    row.templates.clear();
    row.fields.retain(|field| field.field == "family-name");
    row.fields[0].value = family_name.to_owned();
    let answers = holder.enrol_subjects(vec![row]).await;
    assert_eq!(answers[0].rows_accepted, 1);
}

async fn restrict(holder: &Holder, person: u64) {
    let message = enrolment::AddRestrictionRequest {
        source_id: subject(person).source_id,
        restriction: RESTRICTION.to_owned(),
        reason: "a threat".to_owned(),
    };
    EnrolmentServiceClient::new(holder.channel(who::ENROLLER).await).add_restriction(message).await.unwrap();
}

async fn watched(
    holder: &Holder,
    who: Who,
    name: &str,
    seen_version: Vec<u8>,
    stay: bool,
) -> Result<Streaming<WatchDisclosureResponse>, Status> {
    let message = WatchDisclosureRequest { name: name.to_owned(), seen_version, stay };
    let mut service = DisclosureServiceClient::new(holder.channel(who).await);
    service.watch_disclosure(message).await.map(tonic::Response::into_inner)
}

async fn next(watch: &mut Streaming<WatchDisclosureResponse>) -> WatchDisclosureResponse {
    let message = tokio::time::timeout(PATIENCE, watch.message()).await;
    message.expect("the watch should tell of the change").unwrap().expect("the watch should not end yet")
}

pub(crate) async fn own(holder: &Holder, name: &str) -> Disclosure {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let asked = GetDisclosureRequest { name: name.to_owned() };
    service.get_disclosure(asked).await.unwrap().into_inner().disclosure.unwrap()
}
