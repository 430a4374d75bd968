//! The urgent path: asked for with a reason, two people still, and a review afterwards that no partner sees.

use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use onebit::grpc::pb::officer::{CaseState, Finding, ReviewReleaseRequest};
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{RequestDisclosureRequest, RequestDisclosureResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::console::{Visitor, passkey_as, with_console};
use crate::holder::{Holder, HolderOptions, Who, who};
use crate::story::{Choice, FIELDS, fact, of_kind, refusal, signed, wanted};

const GRANT: Choice<'static> = Choice::Grant(&FIELDS);
const WHY: &str = "The flight leaves within the hour.";
/// By day two officers and an examiner; at night two officers.
const NIGHT: &str = "number = 2\n\n[[approval]]\nrole = \"examiner\"\nnumber = 1\n\n[urgent]\n\
    decide_within_hours = 4\nescalate_after_hours = 1\nreview_within_working_days = 3\n\n\
    [[urgent.approval]]\nrole = \"approving-officer\"\nnumber = 2\n";

fn by_night() -> HolderOptions {
    HolderOptions::people(1).policy("agreements/au-border-identity.toml", "number = 2\n", NIGHT).config(
        "jobs",
        "tending_every_s",
        1,
    )
}

/// The whole way, each step a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_release_takes_two_people_and_is_reviewed_by_a_third() {
    let (holder, origin) = with_console(by_night()).await;
    holder.release_key();
    let log_key = holder.log_key("au-border");
    let agreement = holder.onebit(who::AU, &["agreement", "list"]).ok();
    assert!(agreement.contains("urgent path  decided within 4 hours"), "{agreement}");
    let ordinary = holder.request(&holder.hit(0).await, &FIELDS).await;
    let hit = holder.hit(0).await;
    let asked = [
        "request",
        "new",
        "--query",
        &hit,
        "--field",
        FIELDS[0],
        "--purpose",
        "border-identity",
        "--legal-basis",
        "Example Act, s 10",
        "--justification",
        "Two identities with one face; which is on record?",
        "--official",
        "officer-7f3a",
        "--urgent",
        WHY,
        "--log-key",
        &log_key,
        "--output",
        "json",
    ];
    let made = holder.onebit(who::AU, &asked).json();
    let urgent = made["disclosure"].as_str().unwrap().to_owned();
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());

    let listed = review(who::OFFICER, &["list", "--output", "json"]).json();
    let order: Vec<_> = [0, 1].map(|row| listed[row]["disclosure"].as_str().unwrap().to_owned()).into();
    assert_eq!(order, [urgent.clone(), ordinary], "the urgent one comes first");
    let marks = [0, 1].map(|row| listed[row]["urgent"].as_bool());
    assert_eq!(marks, [Some(true), Some(false)]);
    assert!(review(who::OFFICER, &["list"]).ok().contains("pending (urgent)"));
    assert!(review(who::OFFICER, &["show", &urgent]).ok().contains(WHY));
    let summary = holder.case(who::OFFICER, &urgent).await.summary.unwrap();
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    let begun = seconds(summary.create_time);
    assert_eq!(seconds(summary.decide_by) - begun, 4 * 3_600, "the shorter clock");
    assert_eq!(seconds(summary.escalate_time) - begun, 3_600);

    let approve = |who| review(who, &["approve", &urgent, "--all-fields", "--reason", "well founded"]);
    assert!(approve(who::OFFICER).ok().contains("partially-approved"), "one person is not enough");
    let early =
        review(who::PRIVACY, &["close", &urgent, "--finding", "justified", "--words", "too soon"]).failed();
    assert!(early.contains("no review is owed"), "{early}");
    assert!(approve(who::OTHER_OFFICER).ok().contains("released"));

    let owed = review(who::PRIVACY, &["list", "--reviews-owed"]).ok();
    assert!(owed.contains(&urgent) && owed.contains("review owed"), "{owed}");
    let passkey = passkey_as(&holder, &origin, "wiremu", "privacy-officer").await;
    let mut visitor = Visitor::new(&holder, &origin);
    visitor.sign_in(&passkey).await;
    let number = urgent.split_once('/').unwrap().1;
    let queue = visitor.get("/cases?state=reviews-owed").await;
    assert!(queue.body.contains(number) && queue.body.contains("1 case"), "{}", queue.body);
    let before =
        (holder.entries("au-border").await.len(), holder.onebit(who::AU, &["request", "show", &urgent]).ok());
    let close = |who, finding| {
        review(who, &["close", &urgent, "--finding", finding, "--words", "it could have waited"])
    };
    let refused = close(who::OFFICER, "justified").failed();
    assert!(refused.contains("ROLE_NOT_ALLOWED"), "who decides reviews nothing: {refused}");
    close(who::PRIVACY, "not-justified").ok();
    let again = close(who::PRIVACY, "justified").failed();
    assert!(again.contains("no review is owed"), "a review is closed once: {again}");
    assert!(review(who::PRIVACY, &["list", "--reviews-owed"]).ok().contains("no case waits"));
    let queue = visitor.get("/cases?state=reviews-owed").await;
    assert!(!queue.body.contains(number), "{}", queue.body);
    let shown = review(who::PRIVACY, &["show", &urgent]).ok();
    assert!(shown.contains("not-justified") && shown.contains("it could have waited"), "{shown}");

    let after =
        (holder.entries("au-border").await.len(), holder.onebit(who::AU, &["request", "show", &urgent]).ok());
    assert_eq!(before, after, "the partner sees nothing of the review");
    let entries = holder.entries("holder").await;
    assert_eq!(of_kind(&entries, "review.owed").len(), 1);
    let closed = of_kind(&entries, "review.closed");
    assert_eq!((closed.len(), fact(closed[0], "finding")), (1, "not-justified"));
    assert!(closed[0].facts.iter().all(|fact| !fact.value.contains("waited")), "the words are sealed");
    let requested = holder.entries("au-border").await;
    let requested = of_kind(&requested, "disclosure.requested");
    assert_eq!(fact(requested[1], "urgency"), "urgent");
    let fsck = ["audit", "fsck", "--config", "onebit.toml", "--output", "json"];
    let found = holder.onebit(who::ADMIN, &fsck).json();
    assert_eq!(found["whole"], true, "{found:#}");
}

#[tokio::test]
async fn without_an_urgent_path_it_is_refused_in_clear_words_and_the_reason_is_signed() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let query = holder.hit(0).await;
    let key = holder.signing_key(who::AU);
    let urgent = || {
        let mut parts = wanted(&query, &FIELDS);
        parts.urgent = Some(WHY.to_owned());
        signed(parts, &key)
    };
    let refused = ask(&holder, urgent()).await.err().unwrap();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let told = refused.get_details_bad_request().unwrap().field_violations.remove(0);
    assert!(told.field == "urgent_reason" && told.description.contains("no urgent path"), "{told:?}");
    let stranger = RequestDisclosureRequest { urgent_reason: None, ..urgent() };
    let unsigned = ask(&holder, stranger).await;
    assert_eq!(refusal(unsigned).1, "SIGNATURE_INVALID", "the reason is part of what is signed");
}

#[tokio::test]
async fn a_release_by_the_ordinary_path_owes_no_review() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
    assert_eq!(holder.decide(who::OTHER_OFFICER, &disclosure, GRANT).await.unwrap(), CaseState::Released);
    assert!(holder.case(who::PRIVACY, &disclosure).await.summary.unwrap().review.is_none());
    let closed = close(&holder, who::PRIVACY, &disclosure).await;
    assert_eq!(refusal(closed), (Code::FailedPrecondition, "NOT_NOW".to_owned()));
    assert!(of_kind(&holder.entries("holder").await, "review.owed").is_empty());
}

async fn ask(holder: &Holder, sent: RequestDisclosureRequest) -> Result<RequestDisclosureResponse, Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    service.request_disclosure(sent).await.map(tonic::Response::into_inner)
}

async fn close(holder: &Holder, officer: Who, disclosure: &str) -> Result<(), Status> {
    let (finding, words) = (Finding::Justified.into(), "as it should be".to_owned());
    let sent = ReviewReleaseRequest { disclosure: disclosure.to_owned(), finding, words };
    CaseServiceClient::new(holder.channel(officer).await).review_release(sent).await.map(drop)
}
