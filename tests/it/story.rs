//! The steps that several stories share: enrolling, asking, requesting, deciding, reading the log. Each goes over
//! the wire, with the messages that a client of anybody's own making would send.

use std::ops::Range;

use onebit::approval::{AskParts, DeciderRole, Decision, DecisionParts, Fields, PartnerAsk};
use onebit::cli::synth::People;
use onebit::clock::{Clock, SystemClock, Timestamp};
use onebit::grpc::pb::enrolment::enrolment_service_client::EnrolmentServiceClient;
use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use onebit::grpc::pb::oversight::log_service_client::LogServiceClient;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::query_service_client::QueryServiceClient;
use onebit::grpc::pb::{enrolment, officer, oversight, partner};
use onebit::grpc::timestamp::timestamp_to_pb;
use onebit::ids::{ActorName, Digest, DisclosureId, FieldName, QueryId, RequestId};
use onebit::keys::{SignatureDomain, SigningKey};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::holder::{Holder, Who, who};

/// The collection of the example policy.
pub(crate) const COLLECTION: &str = "collections/watch-face";
/// How many components its samples have.
pub(crate) const DIMENSION: usize = 256;
/// A cosine at which nobody doubts that two samples are of one person.
pub(crate) const SURE: f64 = 0.8;
/// The first of the synthetic people who is hidden, as a minor.
pub(crate) const HIDDEN: u64 = 13;
/// Somebody who is never enrolled here.
pub(crate) const STRANGER: u64 = 900_000;
/// What is asked for in most stories.
pub(crate) const FIELDS: [&str; 2] = ["family-name", "date-of-birth"];

/// The people who do not exist.
pub(crate) fn people() -> People {
    People::new(1, DIMENSION)
}

/// A sample of a person, another one for each number.
pub(crate) fn sample_of(person: u64, number: u64) -> Vec<f32> {
    people().sample_of(person, SURE, number)
}

/// A new UUID.
pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The present time, as it is sent.
pub(crate) fn now() -> Option<prost_types::Timestamp> {
    Some(timestamp_to_pb(present()))
}

fn present() -> Timestamp {
    // What is sent has milliseconds, and signatures are over them.
    SystemClock.now()
}

/// A question about one person, which `au-border` may ask.
pub(crate) fn question(samples: Vec<Vec<f32>>) -> partner::Question {
    let sample = |values| partner::Sample {
        form: Some(partner::sample::Form::Embedding(partner::Embedding { values })),
        quality: Some(80),
    };
    partner::Question {
        request_id: request_id(),
        collection: COLLECTION.to_owned(),
        agreement: String::new(),
        purpose: "border-identity".to_owned(),
        case_reference: "C-2026-0017".to_owned(),
        official: "officer-7f3a".to_owned(),
        legal_basis: "Example Act, s 10".to_owned(),
        urgency: partner::Urgency::Routine.into(),
        samples: samples.into_iter().map(sample).collect(),
        send_time: now(),
    }
}

/// A question about a person with one sample.
pub(crate) fn question_about(person: u64) -> partner::Question {
    question(vec![sample_of(person, 0)])
}

/// Asks.
pub(crate) async fn ask(
    channel: &Channel,
    question: partner::Question,
) -> Result<partner::AskQueryResponse, Status> {
    let request = partner::AskQueryRequest { question: Some(question) };
    QueryServiceClient::new(channel.clone()).ask_query(request).await.map(tonic::Response::into_inner)
}

/// Asks about a person, and gives the one bit.
pub(crate) async fn answer_about(channel: &Channel, person: u64) -> partner::Answer {
    ask(channel, question_about(person)).await.unwrap().answer()
}

/// The stable reason of a refusal; empty for one that the transport made.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T>(answer: Result<T, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}

/// What came of a call that should have been refused.
pub(crate) trait OrRefused {
    /// The status, if it was refused.
    fn refused(self) -> Status;
    /// The same; otherwise the test fails with these words.
    fn refused_or(self, words: &str) -> Status;
}

impl<T> OrRefused for Result<T, Status> {
    #[track_caller]
    fn refused(self) -> Status {
        self.refused_or("what should have been refused was answered")
    }

    #[track_caller]
    fn refused_or(self, words: &str) -> Status {
        match self {
            Ok(_) => panic!("{words}"),
            Err(status) => status,
        }
    }
}

/// Everything of a status that crosses the wire, but for what the transport adds to every answer.
pub(crate) fn bytes_of(status: &Status) -> (Code, String, Vec<u8>, Vec<String>) {
    let mut metadata: Vec<String> = status.metadata().keys().map(|key| format!("{key:?}")).collect();
    metadata.sort();
    (status.code(), status.message().to_owned(), status.details().to_vec(), metadata)
}

/// A row of enrolment: a synthetic person with template, record and restriction.
pub(crate) fn subject(person: u64) -> enrolment::SubjectInput {
    let people = people();
    let form = Some(enrolment::template_input::Form::Embedding(enrolment::Embedding {
        values: people.embedding(person),
    }));
    let field = |(name, field): (&str, onebit::cli::synth::SynthField)| enrolment::FieldInput {
        field: name.to_owned(),
        value: field.value,
        classification: field.classification.to_owned(),
        source: field.source.to_owned(),
        permitted_uses: field.permitted_uses.iter().map(|&one| one.to_owned()).collect(),
    };
    enrolment::SubjectInput {
        source_id: people.source_id(person),
        templates: vec![enrolment::TemplateInput { form, quality: Some(people.quality(person).into()) }],
        fields: people.record(person).into_iter().map(field).collect(),
        restrictions: people.restriction(person).map(str::to_owned).into_iter().collect(),
    }
}

/// Asks for fields, in the partner's own words and not signed yet.
pub(crate) fn wanted(query: &str, fields: &[&str]) -> AskParts {
    AskParts {
        request_id: RequestId::parse_uuid(&request_id()).unwrap(),
        query: QueryId::parse_resource(query).unwrap(),
        purpose: "border-identity".parse().unwrap(),
        fields: Fields::new(fields.iter().map(|field| field.parse::<FieldName>().unwrap())).unwrap(),
        justification: "Two identities with one face; which of them is on record?".to_owned(),
        legal_basis: "Example Act, s 10".to_owned(),
        official: "officer-7f3a".to_owned(),
        urgent: None,
        sample: None,
    }
}

/// The request, signed by a key.
pub(crate) fn signed(parts: AskParts, key: &SigningKey) -> partner::RequestDisclosureRequest {
    let ask = PartnerAsk::new(parts).unwrap();
    let signature = key.sign(SignatureDomain::DisclosureRequest, &ask.digest()).unwrap();
    partner::RequestDisclosureRequest {
        request_id: uuid::Uuid::from_bytes(*ask.request_id().as_bytes()).to_string(),
        query: ask.query().resource(),
        fields: ask.fields().iter().map(ToString::to_string).collect(),
        purpose: ask.purpose().to_string(),
        legal_basis: ask.legal_basis().to_owned(),
        justification: ask.justification().to_owned(),
        official: ask.official().to_owned(),
        send_time: now(),
        urgent_reason: ask.urgent().map(str::to_owned),
        fresh_sample: None,
        signature: Some(partner::request_disclosure_request::Signature::CertificateSignature(signature)),
    }
}

/// What an officer chooses.
#[derive(Clone, Copy)]
pub(crate) enum Choice<'a> {
    /// These fields.
    Grant(&'a [&'a str]),
    /// Nothing.
    Deny,
}

impl Holder {
    /// Enrols these synthetic people in one batch.
    pub(crate) async fn enrol(&self, people: Range<u64>) {
        let count = people.end - people.start;
        let answers = self.enrol_subjects(people.map(subject).collect()).await;
        let accepted: u64 = answers.iter().map(|answer| u64::from(answer.rows_accepted)).sum();
        assert_eq!(accepted, count, "every synthetic person should be accepted: {:?}", rejected(&answers));
    }

    /// Enrols rows in one batch, chunk by chunk.
    pub(crate) async fn enrol_subjects(
        &self,
        subjects: Vec<enrolment::SubjectInput>,
    ) -> Vec<enrolment::EnrolSubjectsResponse> {
        self.enrol_subjects_into(COLLECTION, subjects).await
    }

    /// Enrols rows into a collection, in one batch, chunk by chunk.
    pub(crate) async fn enrol_subjects_into(
        &self,
        collection: &str,
        subjects: Vec<enrolment::SubjectInput>,
    ) -> Vec<enrolment::EnrolSubjectsResponse> {
        let mut service = EnrolmentServiceClient::new(self.channel(who::ENROLLER).await);
        let start = enrolment::StartBatchRequest { collection: collection.to_owned(), ..batch_start() };
        let batch = service.start_batch(start).await.unwrap().into_inner().batch;
        let mut first_row = 0;
        let chunks: Vec<_> = subjects
            .chunks(CHUNK_ROWS)
            .map(|chunk| {
                let subjects = chunk.to_vec();
                let message = enrolment::EnrolSubjectsRequest { batch: batch.clone(), first_row, subjects };
                first_row += u64::try_from(chunk.len()).unwrap();
                message
            })
            .collect();
        let mut stream = service.enrol_subjects(tokio_stream::iter(chunks)).await.unwrap().into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await.unwrap() {
            answers.push(answer);
        }
        answers
    }

    /// The key of one of [`who`].
    pub(crate) fn signing_key(&self, who: Who) -> SigningKey {
        let [_, key] = self.credential(who);
        SigningKey::from_pkcs8_pem(&key).unwrap()
    }

    /// A query of `au-border` that was answered HIT.
    pub(crate) async fn hit(&self, person: u64) -> String {
        let answered = ask(&self.channel(who::AU).await, question_about(person)).await.unwrap();
        assert_eq!(answered.answer(), partner::Answer::Hit, "person {person} should be a hit");
        answered.query
    }

    /// Asks for fields as `au-border` after a hit, and gives the disclosure.
    pub(crate) async fn request(&self, query: &str, fields: &[&str]) -> String {
        let message = signed(wanted(query, fields), &self.signing_key(who::AU));
        let mut service = DisclosureServiceClient::new(self.channel(who::AU).await);
        service.request_disclosure(message).await.unwrap().into_inner().disclosure.unwrap().name
    }

    /// Where a disclosure stands, as `au-border` sees it.
    pub(crate) async fn state(&self, disclosure: &str) -> partner::DisclosureState {
        let mut service = DisclosureServiceClient::new(self.channel(who::AU).await);
        let asked = partner::GetDisclosureRequest { name: disclosure.to_owned() };
        service.get_disclosure(asked).await.unwrap().into_inner().disclosure.unwrap().state()
    }

    /// The case, as an officer sees it.
    pub(crate) async fn case(&self, officer: Who, disclosure: &str) -> officer::GetCaseResponse {
        let asked = officer::GetCaseRequest { disclosure: disclosure.to_owned() };
        CaseServiceClient::new(self.channel(officer).await).get_case(asked).await.unwrap().into_inner()
    }

    /// Where the case stands, as an officer sees it.
    pub(crate) async fn case_state(&self, disclosure: &str) -> officer::CaseState {
        self.case(who::OFFICER, disclosure).await.summary.unwrap().state()
    }

    /// An officer's decision about the request with this digest, signed.
    pub(crate) fn decision(
        &self,
        officer: Who,
        disclosure: &str,
        request_digest: &[u8],
        choice: Choice<'_>,
    ) -> officer::DecideCaseRequest {
        let (chosen, fields) = match choice {
            Choice::Grant(fields) => {
                let names = fields.iter().map(|field| field.parse::<FieldName>().unwrap());
                (onebit::approval::Choice::Grant(Fields::new(names).unwrap()), fields)
            }
            Choice::Deny => (onebit::approval::Choice::Deny, &[][..]),
        };
        let decision = Decision::new(DecisionParts {
            disclosure: DisclosureId::parse_resource(disclosure).unwrap(),
            request: Digest::from_bytes(request_digest.try_into().unwrap()),
            officer: officer.name().parse::<ActorName>().unwrap(),
            role: DeciderRole::ApprovingOfficer,
            choice: chosen,
            reason: "the case is well founded".to_owned(),
            at: present(),
            comparison: None,
            on_behalf: None,
        })
        .unwrap();
        let signature =
            self.signing_key(officer).sign(SignatureDomain::Decision, &decision.digest()).unwrap();
        let choice = match choice {
            Choice::Grant(_) => officer::Choice::Grant,
            Choice::Deny => officer::Choice::Deny,
        };
        officer::DecideCaseRequest {
            disclosure: disclosure.to_owned(),
            request_digest: request_digest.to_vec(),
            role: officer::DecidingRole::ApprovingOfficer.into(),
            choice: choice.into(),
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
            reason: decision.reason().to_owned(),
            decide_time: Some(timestamp_to_pb(decision.at())),
            comparison: String::new(),
            on_behalf_of: String::new(),
            signature: Some(officer::decide_case_request::Signature::CertificateSignature(signature)),
        }
    }

    /// An officer looks at the case and decides it.
    pub(crate) async fn decide(
        &self,
        officer: Who,
        disclosure: &str,
        choice: Choice<'_>,
    ) -> Result<officer::CaseState, Status> {
        let digest = self.case(officer, disclosure).await.request_digest;
        let decision = self.decision(officer, disclosure, &digest, choice);
        let decided = CaseServiceClient::new(self.channel(officer).await).decide_case(decision).await?;
        Ok(decided.into_inner().summary.unwrap().state())
    }

    /// Makes a release key for `au-border`, proves it, and has two people confirm it. Gives the secret's file.
    pub(crate) fn release_key(&self) -> String {
        let file = self.path(&format!("release-{}.key", request_id())).to_str().unwrap().to_owned();
        self.onebit(who::AU, &["release-key", "new", "--out", &file]).ok();
        let args = ["release-key", "register", "--release-key", &file, "--output", "json"];
        let change = self.onebit(who::AU, &args).json()["change"].as_str().unwrap().to_owned();
        for confirmer in [who::ADMIN, who::PRIVACY] {
            self.onebit(confirmer, &["change", "confirm", &change]).ok();
        }
        file
    }

    /// All entries of a journal, as a privacy officer sees them. Looking makes an entry of its own.
    pub(crate) async fn entries(&self, journal: &str) -> Vec<oversight::Entry> {
        let mut service =
            LogServiceClient::new(self.channel(who::PRIVACY).await).max_decoding_message_size(usize::MAX);
        let (mut entries, mut page_token) = (Vec::new(), String::new());
        loop {
            let asked = oversight::ListEntriesRequest {
                journal: format!("journals/{journal}"),
                reason: "a test looks what was written".to_owned(),
                page_size: 1_000,
                page_token,
            };
            let page = service.list_entries(asked).await.unwrap().into_inner();
            entries.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return entries;
            }
        }
    }
}

/// Proposes an invitation; gives the change and the code in the link.
pub(crate) fn invite(holder: &Holder, origin: &str, name: &str, role: &str) -> (String, String) {
    let args = ["change", "propose", "invite", "--name", name, "--role", role, "--console", origin];
    let args = [&args[..], &["--reason", "for a test", "--output", "json"]].concat();
    let output = holder.command(who::ADMIN).args(args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let change: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = told.split_once("/register#").expect("the link is shown").1.trim().to_owned();
    (change["change"].as_str().unwrap().to_owned(), code)
}

/// The start of a batch.
pub(crate) fn batch_start() -> enrolment::StartBatchRequest {
    enrolment::StartBatchRequest {
        request_id: request_id(),
        collection: COLLECTION.to_owned(),
        official: "registrar-1".to_owned(),
    }
}

/// The value of a fact, empty when the entry does not state it.
pub(crate) fn fact<'a>(entry: &'a oversight::Entry, name: &str) -> &'a str {
    entry.facts.iter().find(|fact| fact.name == name).map_or("", |fact| fact.value.as_str())
}

/// The entries of a kind.
pub(crate) fn of_kind<'a>(entries: &'a [oversight::Entry], kind: &str) -> Vec<&'a oversight::Entry> {
    entries.iter().filter(|entry| entry.kind == kind).collect()
}

fn rejected(answers: &[enrolment::EnrolSubjectsResponse]) -> Vec<String> {
    answers
        .iter()
        .flat_map(|answer| &answer.rejected)
        .map(|row| format!("row {}: {}", row.row, row.reason))
        .collect()
}

/// Small enough that a gallery of a few hundred takes several.
const CHUNK_ROWS: usize = 128;
