//! Who may do what: the table that a privacy officer reads, held against the schemas and against a real server
//! that every role calls.

use std::collections::BTreeMap;
use std::fs;

use onebit::approval::{AskParts, DeciderRole, Decision, DecisionParts, Fields};
use onebit::authz::{Action, Bundle, May, Role, Rules, Table, who_may_call_what};
use onebit::clock::{Clock, SystemClock};
use onebit::grpc::change_form::change_to_pb;
use onebit::grpc::pb::{DESCRIPTORS, administration, enrolment, officer, oversight, partner};
use onebit::ids::{ChangeId, Digest, DisclosureId, RequestId};
use onebit::keys::SignatureDomain;
use onebit::store::change::{Change, digest};
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, Who, repository, who};
use crate::story::{FIELDS, batch_start, question_about, reason, request_id, signed, subject, wanted};
use crate::tiles::read_status;

/// The table for people. `ONEBIT_BLESS=1` writes it anew.
const TABLE: &str = "docs/who-may-do-what.md";

#[test]
fn the_table_for_people_is_what_the_rules_say() {
    let due = table().to_markdown();
    let path = repository().join(TABLE);
    if std::env::var_os("ONEBIT_BLESS").is_some() {
        fs::write(&path, &due).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == due,
        "`{TABLE}` is not what the rules say; look at what changed, then run this test with ONEBIT_BLESS=1"
    );
}

#[test]
fn every_call_of_the_schemas_has_its_row_and_every_row_its_call() {
    let mut calls: Vec<String> = Vec::new();
    for file in prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap().file {
        for service in &file.service {
            let methods = service.method.iter();
            calls.extend(
                methods.map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())),
            );
        }
    }
    calls.sort();
    let table = table();
    let paths = table.rows().iter().filter_map(|row| row.action.rpc_path());
    let mut rows: Vec<String> = paths.map(str::to_owned).collect();
    rows.sort();
    assert!(calls.len() >= 40, "the descriptors hold only {} calls; are they whole?", calls.len());
    assert_eq!(calls, rows, "a call without a row is a call that nobody decided about");
}

/// Every role calls everything with a sound request, and is refused for its role exactly where the table says no.
#[tokio::test]
async fn a_role_is_refused_exactly_where_the_table_says_no() {
    let options = HolderOptions::people(1).config("tiles", "listen", "127.0.0.1:0");
    let holder = Holder::start(options).await;
    let table = table();
    let known = Known {
        disclosure: holder.request(&holder.hit(0).await, &FIELDS).await,
        query: holder.hit(0).await,
        change: holder.propose(who::OTHER_ADMIN, &["restore-partner", "ca-border"]),
    };
    let mut wrong = Vec::new();
    let mut entries_due: BTreeMap<Who, usize> = BTreeMap::new();
    for (role, who) in ROLES {
        let channel = holder.channel(who).await;
        // Who signs in has shown a passkey by then, and nobody gets one without such a role: `console.rs` tests it.
        for action in Action::ALL.iter().filter(|action| action.package() != "console") {
            let refused = match message(*action, &holder, who, &known) {
                Request::Call(message) => match call(&channel, *action, message).await {
                    Err(status) => {
                        (status.code(), reason(&status))
                            == (Code::PermissionDenied, "ROLE_NOT_ALLOWED".to_owned())
                    }
                    Ok(()) => false,
                },
                Request::Read(path) => match read_status(&holder, who, path).await {
                    200 => false,
                    404 => true,
                    other => panic!("{role} reads {path} and gets {other}"),
                },
            };
            let due = *table.cell(role, *action) == May::No;
            if due {
                *entries_due.entry(who).or_default() += 1;
            }
            if refused != due {
                wrong.push(format!(
                    "{role} calls {action}: refused for the role: {refused}, the table says: {due}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "the server and `{TABLE}` disagree:\n{}", wrong.join("\n"));

    let mut entries = holder.entries("holder").await;
    entries.extend(holder.entries("au-border").await);
    for (who, due) in entries_due {
        let found = entries.iter().filter(|entry| {
            entry.actor == who.name() && crate::story::fact(entry, "reason") == "ROLE_NOT_ALLOWED"
        });
        assert_eq!(found.count(), due, "every refusal of {} should be an entry", who.name());
    }
}

const NO_BREACH: &str = "breaches/00000000000000000000000000000001";
const NO_REQUEST: &str = "subject-requests/00000000000000000000000000000001";

const ROLES: [(Role, Who); 7] = [
    (Role::PartnerSystem, who::AU),
    (Role::EnrolmentSystem, who::ENROLLER),
    (Role::Witness, who::WITNESS),
    (Role::ApprovingOfficer, who::OFFICER),
    (Role::Examiner, who::EXAMINER),
    (Role::PrivacyOfficer, who::PRIVACY),
    (Role::Administrator, who::ADMIN),
];

/// What is sent for an action: the message of a call, or the path of a file.
enum Request {
    Call(Vec<u8>),
    Read(&'static str),
}

/// What requests can be about.
struct Known {
    disclosure: String,
    query: String,
    change: String,
}

/// A sound request of each call. It is about things that are there where the call says nothing otherwise, and does
/// as little as it can where it is permitted.
fn message(action: Action, holder: &Holder, who: Who, known: &Known) -> Request {
    let journal = |partners, holders| Request::Read(if who == who::AU { partners } else { holders });
    match action {
        Action::ReadCheckpoint => journal("/au-border/checkpoint", "/holder/checkpoint"),
        Action::ReadTile => journal("/au-border/tile/0/000.p/1", "/holder/tile/0/000.p/1"),
        Action::ReadBundle => journal("/au-border/tile/entries/000.p/1", "/holder/tile/entries/000.p/1"),
        call => Request::Call(call_message(call, holder, who, known)),
    }
}

fn call_message(action: Action, holder: &Holder, who: Who, known: &Known) -> Vec<u8> {
    let name = known.disclosure.clone();
    let nobody = "nobody-at-all".to_owned();
    let reason = "a test".to_owned();
    match action {
        Action::AskQuery => partner::AskQueryRequest { question: Some(question_about(0)) }.encode_to_vec(),
        Action::AskQueries => {
            partner::AskQueriesRequest { question: Some(question_about(0)) }.encode_to_vec()
        }
        Action::RequestDisclosure => signed(disclosure_ask(known), &holder.signing_key(who)).encode_to_vec(),
        Action::GetDisclosure => partner::GetDisclosureRequest { name }.encode_to_vec(),
        Action::ListDisclosures => partner::ListDisclosuresRequest::default().encode_to_vec(),
        Action::FetchRelease => partner::FetchReleaseRequest { name }.encode_to_vec(),
        Action::AcknowledgeRelease => {
            partner::AcknowledgeReleaseRequest { name, ciphertext_sha256: vec![1; 32] }.encode_to_vec()
        }
        Action::WithdrawDisclosure => {
            let name = "disclosures/00000000000000000000000000000001".to_owned();
            partner::WithdrawDisclosureRequest { name }.encode_to_vec()
        }
        Action::WatchDisclosure => {
            let name = "disclosures/00000000000000000000000000000001".to_owned();
            partner::WatchDisclosureRequest { name, ..Default::default() }.encode_to_vec()
        }
        Action::RequestCorrection => partner::RequestCorrectionRequest {
            name,
            field: String::new(),
            text: "a test".to_owned(),
            official: "o-1".to_owned(),
            signature: Some(partner::request_correction_request::Signature::CertificateSignature(vec![
                1;
                64
            ])),
        }
        .encode_to_vec(),
        Action::ListCorrections => partner::ListCorrectionsRequest::default().encode_to_vec(),
        Action::AcknowledgeCorrection => {
            partner::AcknowledgeCorrectionRequest { name, number: 1 }.encode_to_vec()
        }
        Action::AnswerQuestion => partner::AnswerQuestionRequest {
            name,
            question_digest: vec![1; 32],
            answer: "a test".to_owned(),
            official: "o-1".to_owned(),
            signature: Some(partner::answer_question_request::Signature::CertificateSignature(vec![1; 64])),
        }
        .encode_to_vec(),
        Action::GetStanding => partner::GetStandingRequest {}.encode_to_vec(),
        Action::ListAgreements => partner::ListAgreementsRequest {}.encode_to_vec(),
        Action::ListSchemes => partner::ListSchemesRequest {}.encode_to_vec(),
        Action::StartReleaseKey => {
            partner::StartReleaseKeyRequest { public_key: X25519_BASE_POINT.to_vec() }.encode_to_vec()
        }
        Action::ProveReleaseKey => {
            let (public_key, challenge) = (X25519_BASE_POINT.to_vec(), vec![1; 32]);
            partner::ProveReleaseKeyRequest { public_key, challenge }.encode_to_vec()
        }
        Action::GetOwnCheckpoint => partner::GetCheckpointRequest {}.encode_to_vec(),
        Action::ListOwnEntries => partner::ListEntriesRequest::default().encode_to_vec(),
        Action::GetWitnessedHead => partner::GetWitnessedHeadRequest::default().encode_to_vec(),
        Action::ListCases => officer::ListCasesRequest::default().encode_to_vec(),
        Action::GetCase => officer::GetCaseRequest { disclosure: name }.encode_to_vec(),
        Action::ViewField => {
            officer::ViewFieldRequest { disclosure: name, field: FIELDS[0].to_owned() }.encode_to_vec()
        }
        Action::DecideCase => decision(holder, who, &known.disclosure).encode_to_vec(),
        Action::AskInformation
        | Action::ClaimCase
        | Action::PutBackCase
        | Action::RecuseFromCase
        | Action::AddNote
        | Action::MarkHitErroneous
        | Action::RevokeRelease
        | Action::LockCase
        | Action::ReviewRelease
        | Action::AnswerCorrection
        | Action::StateCorrection => tending(action, name),
        Action::ListOpenCorrections => officer::ListOpenCorrectionsRequest::default().encode_to_vec(),
        Action::ListJournals => oversight::ListJournalsRequest { reason }.encode_to_vec(),
        Action::GetCheckpoint => {
            oversight::GetCheckpointRequest { journal: JOURNAL.to_owned() }.encode_to_vec()
        }
        Action::ListEntries => oversight::ListEntriesRequest {
            journal: JOURNAL.to_owned(),
            reason,
            page_size: 1,
            page_token: String::new(),
        }
        .encode_to_vec(),
        Action::GetEntry => {
            oversight::GetEntryRequest { journal: JOURNAL.to_owned(), index: 0, reason }.encode_to_vec()
        }
        Action::SearchEntries => oversight::SearchEntriesRequest {
            attribute: oversight::Attribute::Case.into(),
            value: "C-2026-17".to_owned(),
            reason,
            ..Default::default()
        }
        .encode_to_vec(),
        Action::GetConsistencyProof => {
            oversight::GetConsistencyProofRequest { journal: JOURNAL.to_owned(), from_size: 1, to_size: 0 }
                .encode_to_vec()
        }
        Action::ExportJournal => {
            oversight::ExportJournalRequest { journal: JOURNAL.to_owned(), reason }.encode_to_vec()
        }
        Action::ListAlerts => oversight::ListAlertsRequest { reason }.encode_to_vec(),
        Action::JudgeAlert => oversight::JudgeAlertRequest {
            alert_sha256: vec![7; 32],
            detector: "volume".to_owned(),
            whom: nobody,
            entries: vec!["au-border/1".to_owned()],
            finding: "explained".to_owned(),
            reason,
            stop: None,
        }
        .encode_to_vec(),
        Action::ReportSubject => {
            let who = oversight::report_subject_request::Who::SourceId(nobody);
            oversight::ReportSubjectRequest { who: Some(who), reason, ..Default::default() }.encode_to_vec()
        }
        Action::FindDuplicates => {
            let collection = "collections/watch-face".to_owned();
            oversight::FindDuplicatesRequest { collection, reason, ..Default::default() }.encode_to_vec()
        }
        Action::OpenSubjectRequest => oversight::OpenRequestRequest {
            kind: "access".to_owned(),
            reference: "a test".to_owned(),
            received_date: "2026-03-02".to_owned(),
            ..Default::default()
        }
        .encode_to_vec(),
        Action::ExtendSubjectRequest => {
            let (name, until_date) = (NO_REQUEST.to_owned(), "2099-01-01".to_owned());
            oversight::ExtendRequestRequest { name, until_date, reason }.encode_to_vec()
        }
        Action::CloseSubjectRequest => oversight::CloseRequestRequest {
            name: NO_REQUEST.to_owned(),
            outcome: "withdrawn".to_owned(),
            grounds: Vec::new(),
            reason,
        }
        .encode_to_vec(),
        Action::GetSubjectRequest => {
            oversight::GetRequestRequest { name: NO_REQUEST.to_owned() }.encode_to_vec()
        }
        Action::ListSubjectRequests => oversight::ListRequestsRequest::default().encode_to_vec(),
        Action::OpenBreach => oversight::OpenBreachRequest {
            kind: "access".to_owned(),
            description: "a test".to_owned(),
            aware_time: Some(prost_types::Timestamp { seconds: 1_780_000_000, nanos: 0 }),
            ..Default::default()
        }
        .encode_to_vec(),
        Action::ContainBreach => {
            let (name, description) = (NO_BREACH.to_owned(), reason);
            oversight::ContainBreachRequest { name, description }.encode_to_vec()
        }
        Action::TraceBreach => {
            let (name, partner) = (NO_BREACH.to_owned(), "au-border".to_owned());
            oversight::TraceBreachRequest { name, partner, reason, ..Default::default() }.encode_to_vec()
        }
        Action::AssessBreach => {
            let (name, finding) = (NO_BREACH.to_owned(), "notifiable".to_owned());
            oversight::AssessBreachRequest { name, factors: Vec::new(), finding, reason }.encode_to_vec()
        }
        Action::ConfirmBreach => {
            oversight::ConfirmBreachRequest { name: NO_BREACH.to_owned(), reason }.encode_to_vec()
        }
        Action::NotifyBreach => oversight::NotifyBreachRequest {
            name: NO_BREACH.to_owned(),
            told: "commissioner".to_owned(),
            tell_time: Some(prost_types::Timestamp { seconds: 1_780_000_000, nanos: 0 }),
            detail: "NPB-1".to_owned(),
            reason,
        }
        .encode_to_vec(),
        Action::CloseBreach => {
            oversight::CloseBreachRequest { name: NO_BREACH.to_owned(), reason }.encode_to_vec()
        }
        Action::GetBreach => oversight::GetBreachRequest { name: NO_BREACH.to_owned() }.encode_to_vec(),
        Action::ListBreaches => oversight::ListBreachesRequest::default().encode_to_vec(),
        Action::AttachStatement => oversight::AttachStatementRequest {
            source_id: nobody,
            field: FIELDS[0].to_owned(),
            statement: reason,
            request: String::new(),
        }
        .encode_to_vec(),
        Action::StartBatch => batch_start().encode_to_vec(),
        Action::EnrolSubjects => {
            let batch = "batches/00000000000000000000000000000001".to_owned();
            enrolment::EnrolSubjectsRequest { batch, first_row: 0, subjects: vec![subject(0)] }
                .encode_to_vec()
        }
        Action::GetBatch => {
            enrolment::GetBatchRequest { batch: "batches/00000000000000000000000000000001".to_owned() }
                .encode_to_vec()
        }
        Action::GetSubject => enrolment::GetSubjectRequest { source_id: nobody }.encode_to_vec(),
        Action::AddRestriction => {
            let restriction = "witness".to_owned();
            enrolment::AddRestrictionRequest { source_id: nobody, restriction, reason }.encode_to_vec()
        }
        Action::EraseSubject => enrolment::EraseSubjectRequest { source_id: nobody, reason }.encode_to_vec(),
        Action::ProposeChange => proposal(holder, who).encode_to_vec(),
        Action::ConfirmChange => confirmation(holder, who, &known.change).encode_to_vec(),
        Action::RejectChange => {
            let name = ChangeId::from_bytes([1; 16]).resource();
            administration::RejectChangeRequest { name, reason }.encode_to_vec()
        }
        Action::ListChanges => administration::ListChangesRequest::default().encode_to_vec(),
        Action::SuspendPartner => {
            administration::SuspendPartnerRequest { partner: format!("partners/{nobody}"), reason }
                .encode_to_vec()
        }
        Action::SuspendOfficial => administration::SuspendOfficialRequest {
            partner: format!("partners/{nobody}"),
            official: nobody,
            reason,
        }
        .encode_to_vec(),
        Action::SuspendAgreement => {
            administration::SuspendAgreementRequest { agreement: format!("agreements/{nobody}"), reason }
                .encode_to_vec()
        }
        Action::SuspendPerson => {
            administration::SuspendPersonRequest { person: format!("people/{nobody}"), reason }
                .encode_to_vec()
        }
        Action::ListPeople => administration::ListPeopleRequest {}.encode_to_vec(),
        Action::ListPartners => administration::ListPartnersRequest {}.encode_to_vec(),
        Action::GetPolicy => administration::GetPolicyRequest {}.encode_to_vec(),
        Action::ReadCheckpoint
        | Action::ReadTile
        | Action::ReadBundle
        | Action::SignIn
        | Action::RegisterPasskey
        | Action::ListOwnPasskeys
        | Action::EndOwnPasskey => {
            panic!("{action} is no call")
        }
        Action::ListPasskeys => {
            administration::ListPasskeysRequest { person: format!("people/{nobody}") }.encode_to_vec()
        }
        Action::EndPasskey => administration::EndPasskeyRequest {
            person: format!("people/{nobody}"),
            key_fingerprint: vec![0; 32],
            reason,
        }
        .encode_to_vec(),
        Action::ListDelegations => administration::ListDelegationsRequest {}.encode_to_vec(),
        Action::EndDelegation => {
            let change = ChangeId::from_bytes([1; 16]).resource();
            administration::EndDelegationRequest { change, reason }.encode_to_vec()
        }
        Action::ListRetention => administration::ListRetentionRequest {}.encode_to_vec(),
        Action::MakeBackup => administration::MakeBackupRequest { reason }.encode_to_vec(),
    }
}

/// Without its words, where there are any, so that it is permitted and never taken.
fn tending(action: Action, disclosure: String) -> Vec<u8> {
    let (none, name) = (String::new(), disclosure);
    match action {
        Action::AskInformation => {
            officer::AskInformationRequest { disclosure: name, question: none }.encode_to_vec()
        }
        Action::ClaimCase => officer::ClaimCaseRequest { disclosure: name }.encode_to_vec(),
        Action::PutBackCase => officer::PutBackCaseRequest { disclosure: name }.encode_to_vec(),
        Action::RecuseFromCase => {
            officer::RecuseFromCaseRequest { disclosure: name, reason: none }.encode_to_vec()
        }
        Action::AddNote => officer::AddNoteRequest { disclosure: name, note: none }.encode_to_vec(),
        Action::MarkHitErroneous => {
            officer::MarkHitErroneousRequest { disclosure: name, reason: none }.encode_to_vec()
        }
        Action::RevokeRelease => {
            officer::RevokeReleaseRequest { disclosure: name, reason: none }.encode_to_vec()
        }
        Action::LockCase => officer::LockCaseRequest { disclosure: name, reason: none }.encode_to_vec(),
        Action::ReviewRelease => {
            let finding = officer::Finding::Justified.into();
            officer::ReviewReleaseRequest { disclosure: name, finding, words: none }.encode_to_vec()
        }
        Action::AnswerCorrection => {
            officer::AnswerCorrectionRequest { disclosure: name, accept: false, answer: none }.encode_to_vec()
        }
        Action::StateCorrection => {
            officer::StateCorrectionRequest { disclosure: name, statement: none }.encode_to_vec()
        }
        other => panic!("{other} does nothing with a case"),
    }
}

fn disclosure_ask(known: &Known) -> AskParts {
    wanted(&known.query, &FIELDS)
}

fn decision(holder: &Holder, who: Who, disclosure: &str) -> officer::DecideCaseRequest {
    let at = SystemClock.now();
    // Over another request, so that it is never taken.
    let decision = Decision::new(DecisionParts {
        disclosure: DisclosureId::parse_resource(disclosure).unwrap(),
        request: Digest::from_bytes([7; 32]),
        officer: who.name().parse().unwrap(),
        role: DeciderRole::ApprovingOfficer,
        choice: onebit::approval::Choice::Grant(Fields::new([FIELDS[0].parse().unwrap()]).unwrap()),
        reason: "a test".to_owned(),
        at,
        comparison: None,
        on_behalf: None,
    })
    .unwrap();
    let signature = holder.signing_key(who).sign(SignatureDomain::Decision, &decision.digest()).unwrap();
    officer::DecideCaseRequest {
        disclosure: disclosure.to_owned(),
        request_digest: vec![7; 32],
        role: officer::DecidingRole::ApprovingOfficer.into(),
        choice: officer::Choice::Grant.into(),
        fields: vec![FIELDS[0].to_owned()],
        reason: "a test".to_owned(),
        decide_time: Some(onebit::grpc::timestamp::timestamp_to_pb(at)),
        comparison: String::new(),
        on_behalf_of: String::new(),
        signature: Some(officer::decide_case_request::Signature::CertificateSignature(signature)),
    }
}

fn restore() -> Change {
    Change::RestorePartner("ca-border".parse().unwrap())
}

fn proposal(holder: &Holder, who: Who) -> administration::ProposeChangeRequest {
    let request_id = request_id();
    let id = ChangeId::from_bytes(*RequestId::parse_uuid(&request_id).unwrap().as_bytes());
    let signature =
        holder.signing_key(who).sign(SignatureDomain::Change, &digest(id, &restore(), "a test")).unwrap();
    administration::ProposeChangeRequest {
        change: Some(change_to_pb(&restore())),
        reason: "a test".to_owned(),
        request_id,
        signature: Some(administration::propose_change_request::Signature::CertificateSignature(signature)),
    }
}

fn confirmation(holder: &Holder, who: Who, change: &str) -> administration::ConfirmChangeRequest {
    let id = ChangeId::parse_resource(change).unwrap();
    let signature =
        holder.signing_key(who).sign(SignatureDomain::Change, &digest(id, &restore(), "for a test")).unwrap();
    administration::ConfirmChangeRequest {
        name: change.to_owned(),
        signature: Some(administration::confirm_change_request::Signature::CertificateSignature(signature)),
    }
}

/// Calls with the bytes of one message, and takes the first message of the answer. On the wire a call of one
/// message and a stream of one message are the same.
pub(crate) async fn call(channel: &Channel, action: Action, message: Vec<u8>) -> Result<(), Status> {
    let path = action.rpc_path().expect("only calls have messages");
    call_path(channel, path, message).await
}

/// The same for any path.
pub(crate) async fn call_path(channel: &Channel, path: &'static str, message: Vec<u8>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static(path);
    let answers = client.streaming(tonic::Request::new(tokio_stream::once(message)), path, Raw).await?;
    answers.into_inner().message().await.map(drop)
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

fn table() -> Table {
    let bundle = Bundle::read_folder(&repository().join("policy")).unwrap();
    let rules =
        Rules::load(bundle).unwrap_or_else(|faults| panic!("the policy folder has faults: {faults:?}"));
    who_may_call_what(&rules)
}

const JOURNAL: &str = "journals/au-border";
/// RFC 7748, section 4.1: some point that is a key.
const X25519_BASE_POINT: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};
