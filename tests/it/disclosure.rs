//! From a hit to an opened release: requests, decisions by people, the release that follows, and every way in
//! which nothing is disclosed.

use std::fs;

use onebit::approval::AskParts;
use onebit::grpc::pb::officer::CaseState;
use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{
    AcknowledgeReleaseRequest, DisclosureState, FetchReleaseRequest, FetchReleaseResponse,
    GetDisclosureRequest, RequestDisclosureRequest, RequestDisclosureResponse, WithdrawDisclosureRequest,
};
use onebit::ids::Digest;
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, Who, until, who};
use crate::story::{
    Choice, FIELDS, OrRefused as _, STRANGER, ask, bytes_of, people, question_about, reason, refusal, signed,
    wanted,
};

const GRANT: Choice<'static> = Choice::Grant(&FIELDS);

/// The whole way, each step a process of its own.
#[tokio::test]
async fn from_a_hit_to_the_opened_release_by_the_command_line() {
    let holder = Holder::start(HolderOptions::people(5)).await;
    let key = holder.release_key();
    let log_key = holder.log_key("au-border");
    let au = |args: &[&str]| holder.onebit(who::AU, args);
    fs::write(
        holder.path("probe.json"),
        serde_json::json!({ "embedding": crate::story::sample_of(2, 0), "quality": 80 }).to_string(),
    )
    .unwrap();
    let hit = au(&[
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
        "--log-key",
        &log_key,
        "--output",
        "json",
    ])
    .json();
    let query = hit["query"].as_str().unwrap();
    let asked = au(&[
        "request",
        "new",
        "--query",
        query,
        "--field",
        "family-name",
        "--field",
        "date-of-birth",
        "--purpose",
        "border-identity",
        "--legal-basis",
        "Example Act, s 10",
        "--justification",
        "Two identities with one face; which of them is on record?",
        "--official",
        "o-1",
        "--log-key",
        &log_key,
        "--receipt-out",
        "request.receipt",
        "--output",
        "json",
    ])
    .json();
    let disclosure = asked["disclosure"].as_str().unwrap();
    assert_eq!(asked["state"], "pending");
    au(&["receipt", "verify", "request.receipt", "--key", &log_key]).ok();
    au(&["request", "fetch", disclosure, "--out", "early.release"]).failed();

    let listed = holder.onebit(who::OFFICER, &["review", "list"]).ok();
    assert!(listed.contains(disclosure) && listed.contains("au-border"), "{listed}");
    let shown = holder.onebit(who::OFFICER, &["review", "show", disclosure]).ok();
    assert!(shown.contains("Two identities with one face"), "{shown}");
    let name = &people().record(2)["family-name"].value;
    assert!(
        !shown.contains(name.as_str()),
        "a case must not show values before somebody asks to see one:\n{shown}"
    );
    let viewed =
        holder.onebit(who::OFFICER, &["review", "view-field", disclosure, "--field", "family-name"]).ok();
    assert!(viewed.contains(name.as_str()), "{viewed}");

    let approve = |officer, args: &[&str]| {
        let args = [&["review", "approve", disclosure, "--reason", "well founded"], args].concat();
        holder.onebit(officer, &args).ok()
    };
    assert!(approve(who::OFFICER, &["--all-fields"]).contains("partially-approved"));
    assert!(
        au(&["request", "show", disclosure]).ok().contains("pending"),
        "how far people are is theirs to know"
    );
    assert!(approve(who::OTHER_OFFICER, &["--all-fields"]).contains("released"));

    au(&["request", "fetch", disclosure, "--out", "release.json", "--log-key", &log_key]).ok();
    let sealed = fs::read_to_string(holder.path("release.json")).unwrap();
    assert!(!sealed.contains(name.as_str()));
    let open = ["open", "release.json", "--release-key", &key, "--log-key", &log_key, "--output", "json"];
    let opened = au(&open).json();
    let fields = opened["fields"].as_array().unwrap();
    assert_eq!(fields.len(), 2, "only what was granted: {opened}");
    for field in fields {
        let due = &people().record(2)[field["field"].as_str().unwrap()];
        assert_eq!(field["value"], due.value);
        assert_eq!(
            (&field["classification"], &field["source"]),
            (&due.classification.into(), &due.source.into())
        );
    }
    let other_key = holder.path("other.key").to_str().unwrap().to_owned();
    au(&["release-key", "new", "--out", &other_key]).ok();
    au(&["open", "release.json", "--release-key", &other_key]).failed();

    let acknowledged =
        au(&["request", "acknowledge", disclosure, "--release", "release.json", "--log-key", &log_key]).ok();
    assert!(acknowledged.contains("acknowledged"), "{acknowledged}");
    let gone = au(&["request", "fetch", disclosure, "--out", "again.json"]).failed();
    assert!(gone.contains("NOT_NOW"), "an acknowledged release is deleted: {gone}");
    au(&["audit", "own", "--log-key", &log_key]).ok();
}

#[tokio::test]
async fn anothers_disclosure_and_none_are_told_in_the_same_bytes() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let none = "disclosures/00000000000000000000000000000001".to_owned();
    let mut service = DisclosureServiceClient::new(holder.channel(who::CA).await);
    let mut told: Vec<Vec<_>> = Vec::new();
    for name in [&disclosure, &none] {
        let name = name.clone();
        let of_this = [
            service.get_disclosure(GetDisclosureRequest { name: name.clone() }).await.refused(),
            service.fetch_release(FetchReleaseRequest { name: name.clone() }).await.refused(),
            service.withdraw_disclosure(WithdrawDisclosureRequest { name: name.clone() }).await.refused(),
            service
                .acknowledge_release(AcknowledgeReleaseRequest { name, ciphertext_sha256: vec![1; 32] })
                .await
                .refused(),
        ];
        for status in &of_this {
            assert_eq!((status.code(), reason(status).as_str()), (Code::NotFound, "NOT_FOUND"));
        }
        told.push(of_this.iter().map(bytes_of).collect());
    }
    assert_eq!(told[0], told[1], "another's disclosure and one that does not exist must answer alike");
    assert_eq!(holder.state(&disclosure).await, DisclosureState::Pending);
}

#[tokio::test]
async fn without_a_hit_of_its_own_a_partner_asks_for_nothing() {
    let holder = Holder::start(HolderOptions::people(20)).await;
    let au = holder.channel(who::AU).await;
    let no_hit = ask(&au, question_about(STRANGER)).await.unwrap().query;
    let hidden = ask(&au, question_about(crate::story::HIDDEN)).await.unwrap().query;
    let hit = holder.hit(0).await;
    let none = "queries/00000000000000000000000000000001";
    let mut told = Vec::new();
    for query in [no_hit.as_str(), &hidden] {
        let status =
            request(&holder, signed(wanted(query, &FIELDS), &holder.signing_key(who::AU))).await.refused();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "NO_HIT_OF_YOUR_OWN")
        );
        told.push(bytes_of(&status));
    }
    assert_eq!(told[0], told[1], "a hidden person's query must be refused as a stranger's is");
    let mut service = DisclosureServiceClient::new(holder.channel(who::CA).await);
    let mut told = Vec::new();
    for query in [hit.as_str(), none] {
        let parts = AskParts { purpose: "visa-identity".parse().unwrap(), ..wanted(query, &FIELDS) };
        let status = service.request_disclosure(signed(parts, &holder.signing_key(who::CA))).await.refused();
        told.push(bytes_of(&status));
    }
    assert_eq!(told[0], told[1], "another's hit and no query at all must be refused alike");
}

#[tokio::test]
async fn a_request_must_be_signed_and_within_the_agreement() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let query = holder.hit(0).await;
    let au = holder.signing_key(who::AU);
    let of = |fields: &[&str]| signed(wanted(&query, fields), &au);
    let invalid = (Code::InvalidArgument, "SIGNATURE_INVALID".to_owned());
    let by_another = signed(wanted(&query, &FIELDS), &holder.signing_key(who::CA));
    assert_eq!(refusal(request(&holder, by_another).await), invalid, "another's signature");
    let swapped = RequestDisclosureRequest { fields: vec!["document-number".to_owned()], ..of(&FIELDS) };
    assert_eq!(refusal(request(&holder, swapped).await), invalid, "other fields than were signed");
    let unsigned = RequestDisclosureRequest { signature: None, ..of(&FIELDS) };
    assert_eq!(
        refusal(request(&holder, unsigned).await),
        (Code::InvalidArgument, "FIELD_INVALID".to_owned())
    );

    let outside = (Code::PermissionDenied, "FIELD_NOT_DISCLOSABLE".to_owned());
    assert_eq!(refusal(request(&holder, of(&["case-number"])).await), outside, "not for this purpose");
    assert_eq!(
        refusal(request(&holder, of(&["family-name", "photograph"])).await),
        outside,
        "for no purpose"
    );
    let crime = AskParts { purpose: "no-such-purpose".parse().unwrap(), ..wanted(&query, &FIELDS) };
    assert_eq!(refusal(request(&holder, signed(crime, &au)).await).0, Code::PermissionDenied);
    let early = RequestDisclosureRequest {
        send_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        ..of(&FIELDS)
    };
    assert_eq!(refusal(request(&holder, early).await), (Code::InvalidArgument, "CLOCK_SKEW".to_owned()));
    let short = RequestDisclosureRequest { justification: "because".to_owned(), ..of(&FIELDS) };
    assert_eq!(refusal(request(&holder, short).await), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
}

#[tokio::test]
async fn the_same_request_again_is_the_same_disclosure_and_another_is_refused() {
    let mut holder = Holder::start(HolderOptions::people(2)).await;
    let query = holder.hit(0).await;
    let au = holder.signing_key(who::AU);
    let first = signed(wanted(&query, &FIELDS), &au);
    let made = request(&holder, first.clone()).await.unwrap();
    let again = request(&holder, first.clone()).await.unwrap();
    assert_eq!(prost::Message::encode_to_vec(&again), prost::Message::encode_to_vec(&made));
    holder.restart().await;
    let later = request(&holder, first.clone()).await.unwrap();
    assert_eq!(prost::Message::encode_to_vec(&later), prost::Message::encode_to_vec(&made));
    let id = onebit::ids::RequestId::parse_uuid(&first.request_id).unwrap();
    let other = signed(AskParts { request_id: id, ..wanted(&query, &["family-name"]) }, &au);
    assert_eq!(refusal(request(&holder, other).await), (Code::AlreadyExists, "REQUEST_ID_USED".to_owned()));
}

#[tokio::test]
async fn one_officer_counts_once_and_signs_what_was_shown() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let digest = holder.case(who::OFFICER, &disclosure).await.request_digest;
    let other_request = holder.decision(who::OFFICER, &disclosure, &[7; 32], GRANT);
    assert_eq!(
        refusal(decide(&holder, who::OFFICER, other_request).await),
        (Code::FailedPrecondition, "NOT_NOW".to_owned())
    );
    let by_another = holder.decision(who::OTHER_OFFICER, &disclosure, &digest, GRANT);
    assert_eq!(refusal(decide(&holder, who::OFFICER, by_another).await).1, "SIGNATURE_INVALID");
    let mut swapped = holder.decision(who::OFFICER, &disclosure, &digest, Choice::Grant(&["family-name"]));
    swapped.fields = FIELDS.map(str::to_owned).to_vec();
    assert_eq!(refusal(decide(&holder, who::OFFICER, swapped).await).1, "SIGNATURE_INVALID");
    let not_asked = holder.decision(who::OFFICER, &disclosure, &digest, Choice::Grant(&["document-number"]));
    assert_eq!(refusal(decide(&holder, who::OFFICER, not_asked).await).1, "NOT_NOW");

    assert_eq!(holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap(), CaseState::PartiallyApproved);
    let twice = holder.decide(who::OFFICER, &disclosure, GRANT).await.refused();
    assert_eq!((twice.code(), reason(&twice).as_str()), (Code::FailedPrecondition, "NOT_NOW"));
    for role in [who::EXAMINER, who::PRIVACY, who::ADMIN, who::ENROLLER, who::AU] {
        let decision = holder.decision(role, &disclosure, &digest, GRANT);
        let refused = decide(&holder, role, decision).await.refused_or("only officers decide");
        assert!(refused.code() == Code::PermissionDenied, "{role:?} must not decide: {refused}");
    }
    assert_eq!(holder.case_state(&disclosure).await, CaseState::PartiallyApproved);
    assert_eq!(holder.state(&disclosure).await, DisclosureState::Pending);
}

#[tokio::test]
async fn a_denial_ends_the_case_and_nothing_leaves() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
    assert_eq!(
        holder.decide(who::OTHER_OFFICER, &disclosure, Choice::Deny).await.unwrap(),
        CaseState::Denied
    );
    assert_eq!(holder.state(&disclosure).await, DisclosureState::Denied);
    assert_eq!(refusal(fetch(&holder, &disclosure).await), (Code::FailedPrecondition, "NOT_NOW".to_owned()));
    let late = holder.decide(who::OTHER_OFFICER, &disclosure, GRANT).await.refused();
    assert_eq!(reason(&late), "NOT_NOW", "nobody brings a denied case back");
}

#[tokio::test]
async fn a_request_can_be_taken_back_until_it_is_released() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    holder.release_key();
    let withdrawn = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &withdrawn, GRANT).await.unwrap();
    withdraw(&holder, &withdrawn).await.unwrap();
    assert_eq!(holder.state(&withdrawn).await, DisclosureState::Withdrawn);
    assert_eq!(reason(&holder.decide(who::OTHER_OFFICER, &withdrawn, GRANT).await.refused()), "NOT_NOW");
    assert_eq!(refusal(fetch(&holder, &withdrawn).await).1, "NOT_NOW");

    let released = holder.request(&holder.hit(1).await, &FIELDS).await;
    approve(&holder, &released).await;
    assert_eq!(refusal(withdraw(&holder, &released).await), (Code::FailedPrecondition, "NOT_NOW".to_owned()));
}

#[tokio::test]
async fn without_a_confirmed_release_key_an_approval_waits_for_one() {
    let holder = Holder::start(HolderOptions::people(1).config("jobs", "tending_every_s", 1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
    let approved = holder.decide(who::OTHER_OFFICER, &disclosure, GRANT).await.unwrap();
    assert_eq!(approved, CaseState::Approved, "without a release key nothing can be sealed");
    assert_eq!(holder.state(&disclosure).await, DisclosureState::Pending);
    assert_eq!(refusal(fetch(&holder, &disclosure).await).1, "NOT_NOW");
    holder.release_key();
    until("what was approved is released to the confirmed key", || async {
        holder.case_state(&disclosure).await == CaseState::Released
    })
    .await;
    fetch(&holder, &disclosure).await.unwrap();
}

#[tokio::test]
async fn a_release_is_one_ciphertext_until_it_is_acknowledged() {
    let mut holder = Holder::start(HolderOptions::people(1)).await;
    let key = holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.restart().await;
    holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
    holder.restart().await;
    assert_eq!(
        holder.case_state(&disclosure).await,
        CaseState::PartiallyApproved,
        "a restart must lose no decision"
    );
    assert_eq!(
        holder.decide(who::OTHER_OFFICER, &disclosure, Choice::Grant(&["family-name"])).await.unwrap(),
        CaseState::Released
    );
    let first = fetch(&holder, &disclosure).await.unwrap();
    holder.kill();
    holder.serve().await;
    let again = fetch(&holder, &disclosure).await.unwrap();
    assert_eq!(
        (&again.ciphertext, &again.info, &again.receipt),
        (&first.ciphertext, &first.info, &first.receipt)
    );

    holder.onebit(who::AU, &["request", "fetch", &disclosure, "--out", "one.json"]).ok();
    let opened =
        holder.onebit(who::AU, &["open", "one.json", "--release-key", &key, "--output", "json"]).json();
    let fields = opened["fields"].as_array().unwrap();
    assert!(
        fields.len() == 1 && fields[0]["field"] == "family-name",
        "only what all granted leaves: {opened}"
    );

    let wrong = acknowledge(&holder, &disclosure, &[9; 32]).await;
    assert_eq!(refusal(wrong), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    fetch(&holder, &disclosure).await.unwrap();
    let digest = Digest::sha256(&first.ciphertext);
    acknowledge(&holder, &disclosure, digest.as_bytes()).await.unwrap();
    assert_eq!(holder.state(&disclosure).await, DisclosureState::Acknowledged);
    assert_eq!(refusal(fetch(&holder, &disclosure).await), (Code::FailedPrecondition, "NOT_NOW".to_owned()));
    assert_eq!(refusal(acknowledge(&holder, &disclosure, digest.as_bytes()).await).1, "NOT_NOW");
}

/// Promise 8: what was checked is checked again at the moment of release.
#[tokio::test]
async fn whoever_is_hidden_or_erased_since_the_hit_is_not_disclosed() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    holder.release_key();
    let mut cases = Vec::new();
    for person in [0, 1, 2] {
        cases.push(holder.request(&holder.hit(person).await, &FIELDS).await);
    }
    let restrict = [
        "subject",
        "restrict",
        "--source-id",
        "syn-000000",
        "--restriction",
        "witness",
        "--reason",
        "a trial",
    ];
    holder.onebit(who::ENROLLER, &restrict).ok();
    holder
        .onebit(who::ENROLLER, &["subject", "erase", "--source-id", "syn-000001", "--reason", "asked for it"])
        .ok();
    holder.decide(who::OFFICER, &cases[2], Choice::Deny).await.unwrap();
    // The only refusal there was ended with its first decision: so do these.
    for case in &cases[..2] {
        holder.decide(who::OFFICER, case, GRANT).await.unwrap();
    }
    let mut told = Vec::new();
    for case in &cases {
        assert_eq!(
            holder.state(case).await,
            DisclosureState::Denied,
            "it must end as a refusal by people does"
        );
        told.push(bytes_of(&fetch(&holder, case).await.refused()));
    }
    assert!(told.iter().all(|one| *one == told[0]), "the refusals must not tell why: {told:?}");
}

#[tokio::test]
async fn a_suspended_partner_gets_no_release_and_a_suspended_officer_decides_nothing() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    holder.release_key();
    let first = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &first, GRANT).await.unwrap();
    holder
        .onebit(who::ADMIN, &["suspend", "person", who::OFFICER.name(), "--reason", "under investigation"])
        .ok();
    let second = holder.decide(who::OTHER_OFFICER, &first, GRANT).await.unwrap();
    assert_ne!(
        second,
        CaseState::Released,
        "an approval by somebody who may not decide any more must not count"
    );
    assert_eq!(holder.state(&first).await, DisclosureState::Pending);

    holder.onebit(who::ADMIN, &["suspend", "partner", "au-border", "--reason", "under investigation"]).ok();
    let case = holder.decide(who::OTHER_OFFICER, &first, GRANT).await.refused();
    assert!(matches!(reason(&case).as_str(), "REQUESTER_SUSPENDED" | "NOT_NOW"), "{case}");
}

async fn approve(holder: &Holder, disclosure: &str) {
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, disclosure, GRANT).await.unwrap();
    }
}

async fn request(
    holder: &Holder,
    message: RequestDisclosureRequest,
) -> Result<RequestDisclosureResponse, Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    service.request_disclosure(message).await.map(tonic::Response::into_inner)
}

async fn decide(
    holder: &Holder,
    officer: Who,
    decision: onebit::grpc::pb::officer::DecideCaseRequest,
) -> Result<(), Status> {
    CaseServiceClient::new(holder.channel(officer).await).decide_case(decision).await.map(drop)
}

async fn fetch(holder: &Holder, disclosure: &str) -> Result<FetchReleaseResponse, Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let asked = FetchReleaseRequest { name: disclosure.to_owned() };
    service.fetch_release(asked).await.map(tonic::Response::into_inner)
}

async fn withdraw(holder: &Holder, disclosure: &str) -> Result<(), Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    service.withdraw_disclosure(WithdrawDisclosureRequest { name: disclosure.to_owned() }).await.map(drop)
}

async fn acknowledge(holder: &Holder, disclosure: &str, digest: &[u8]) -> Result<(), Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let asked = AcknowledgeReleaseRequest { name: disclosure.to_owned(), ciphertext_sha256: digest.to_vec() };
    service.acknowledge_release(asked).await.map(drop)
}
