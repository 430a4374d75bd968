//! What happens around the decisions about a disclosure: questions, claims, notes, people who step back, and the ends
//! that are none of a decision.

use onebit::approval::Answer;
use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use onebit::grpc::pb::officer::{self, CaseState};
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{
    AnswerQuestionRequest, Disclosure, DisclosureState, FetchReleaseRequest, GetDisclosureRequest,
    answer_question_request::Signature,
};
use onebit::ids::{Digest, DisclosureId};
use onebit::keys::SignatureDomain;
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, Who, until, who};
use crate::story::{Choice, FIELDS, OrRefused as _, bytes_of, fact, of_kind, reason, refusal};

const GRANT: Choice<'static> = Choice::Grant(&FIELDS);

/// The whole way with a question in it, each step a process of its own.
#[tokio::test]
async fn a_question_and_its_answer_by_the_command_line() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.release_key();
    let log_key = holder.log_key("au-border");
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    let approve = |who| review(who, &["approve", &disclosure, "--all-fields", "--reason", "well founded"]);
    assert!(review(who::OFFICER, &["claim", &disclosure]).ok().contains("claimed by  people/"));
    approve(who::OTHER_OFFICER).ok();
    let asked = ["ask", &disclosure, "--question", "Which of the two passports was shown?"];
    assert!(review(who::OFFICER, &asked).ok().contains("needs-information"));
    assert!(review(who::OFFICER, &["list", "--state", "needs-information"]).ok().contains(&disclosure));
    assert!(approve(who::OTHER_OFFICER).failed().contains("NOT_NOW"), "nobody decides while it is asked");

    let shown = holder.onebit(who::AU, &["request", "show", &disclosure]).ok();
    assert!(shown.contains("needs-information") && shown.contains("Which of the two passports"), "{shown}");
    assert!(!shown.contains(who::OFFICER.name()), "who asks is nothing that the partner sees: {shown}");
    let answered = holder
        .onebit(
            who::AU,
            &[
                "request",
                "answer",
                &disclosure,
                "--answer",
                "The one of 2019.",
                "--official",
                "o-1",
                "--log-key",
                &log_key,
            ],
        )
        .ok();
    assert!(answered.contains("pending"), "{answered}");

    let case = review(who::OFFICER, &["show", &disclosure, "--output", "json"]).json();
    assert_eq!(case["questions"][0]["answer"], "The one of 2019.");
    assert_eq!(
        (case["decisions"].as_array().unwrap().len(), case["set_aside"].as_array().unwrap().len()),
        (0, 1)
    );
    let shown = review(who::OFFICER, &["show", &disclosure]).ok();
    assert!(shown.contains("count no longer") && shown.contains("The one of 2019."), "{shown}");
    assert!(
        approve(who::OTHER_OFFICER).ok().contains("partially-approved"),
        "the first approval is set aside"
    );
    assert!(approve(who::OFFICER).ok().contains("released"));
    holder.onebit(who::AU, &["request", "fetch", &disclosure, "--out", "r.json", "--log-key", &log_key]).ok();
    holder.onebit(who::AU, &["audit", "own", "--log-key", &log_key]).ok();
    holder.whole();
}

#[tokio::test]
async fn an_answer_is_signed_and_names_the_open_question() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let early = answer(&holder, &disclosure, Digest::from_bytes([1; 32]), who::AU).await;
    assert_eq!(refusal(early), (Code::FailedPrecondition, "NOT_NOW".to_owned()), "nothing is asked");
    ask_information(&holder, who::OFFICER, &disclosure).await.unwrap();
    let question = own(&holder, &disclosure).await.questions.pop().unwrap();
    let digest = Digest::from_bytes(question.digest.try_into().unwrap());
    assert_eq!(refusal(answer(&holder, &disclosure, digest, who::CA).await).1, "SIGNATURE_INVALID");
    let other = answer(&holder, &disclosure, Digest::from_bytes([1; 32]), who::AU).await;
    assert_eq!(refusal(other).1, "NOT_NOW", "another question than the open one");
    answer(&holder, &disclosure, digest, who::AU).await.unwrap();
    let again = answer(&holder, &disclosure, digest, who::AU).await;
    assert_eq!(refusal(again).1, "NOT_NOW", "a question is answered once");
    let entries = holder.entries("au-border").await;
    let asked = of_kind(&entries, "disclosure.questioned");
    let told = of_kind(&entries, "disclosure.answered");
    assert_eq!((asked.len(), told.len()), (1, 1));
    assert_eq!(fact(asked[0], "content-digest"), digest.to_string());
}

#[tokio::test]
async fn claims_notes_and_recusals_are_the_holders_own() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
    let before = (holder.entries("au-border").await.len(), own(&holder, &disclosure).await);
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    review(who::OTHER_OFFICER, &["claim", &disclosure]).ok();
    assert!(review(who::OTHER_OFFICER, &["claim", &disclosure]).failed().contains("NOT_NOW"), "once");
    let listed = review(who::OFFICER, &["list", "--output", "json"]).json();
    assert!(listed[0]["claimed_by"][0].as_str().unwrap().contains(who::OTHER_OFFICER.name()), "{listed}");
    review(who::OTHER_OFFICER, &["put-back", &disclosure]).ok();
    for note in [who::EXAMINER, who::PRIVACY] {
        review(note, &["note", &disclosure, "--text", "seen it before"]).ok();
    }
    let recused = review(who::OFFICER, &["recuse", &disclosure, "--reason", "a neighbour of mine"]).ok();
    assert!(recused.contains("pending"), "what was granted counts no longer: {recused}");
    let again = holder.decide(who::OFFICER, &disclosure, GRANT).await.refused();
    assert_eq!(reason(&again), "NOT_NOW", "who stepped back decides nothing");
    let case = holder.case(who::OTHER_OFFICER, &disclosure).await;
    assert_eq!((case.notes.len(), case.recused.len(), case.missing.len()), (3, 1, 2));
    assert!(case.notes[2].recusal && case.notes[2].text == "a neighbour of mine");

    let after = (holder.entries("au-border").await.len(), own(&holder, &disclosure).await);
    assert!(before == after, "the partner sees nothing of it, in its journal neither");
    let entries = holder.entries("holder").await;
    for (kind, count) in [("claimed", 1), ("put-back", 1), ("noted", 2), ("recused", 1)] {
        let found = of_kind(&entries, &format!("disclosure.{kind}"));
        assert_eq!(found.len(), count, "{kind}");
        let mut facts = found.iter().flat_map(|entry| &entry.facts);
        assert!(facts.all(|fact| !fact.value.contains("neighbour")), "the words are sealed with the case");
    }
    holder.whole();
}

#[tokio::test]
async fn a_release_that_is_revoked_or_locked_is_gone() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    holder.release_key();
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    let mut released = Vec::new();
    for person in [0, 1] {
        let disclosure = holder.request(&holder.hit(person).await, &FIELDS).await;
        let early = review(who::OFFICER, &["revoke", &disclosure, "--reason", "too soon"]).failed();
        assert!(early.contains("NOT_NOW"), "{early}");
        holder.decide(who::OFFICER, &disclosure, GRANT).await.unwrap();
        holder.decide(who::OTHER_OFFICER, &disclosure, GRANT).await.unwrap();
        released.push(disclosure);
    }
    fetch(&holder, &released[0]).await.unwrap();
    let revoked = review(who::OTHER_OFFICER, &["revoke", &released[0], "--reason", "another person"]).ok();
    assert!(revoked.contains("revoked"), "{revoked}");
    let refused = review(who::OFFICER, &["lock", &released[1], "--reason", "misuse"]).failed();
    assert!(refused.contains("ROLE_NOT_ALLOWED"), "officers lock nothing: {refused}");
    review(who::PRIVACY, &["lock", &released[1], "--reason", "misuse"]).ok();
    let mut told = Vec::new();
    for disclosure in &released {
        assert_eq!(holder.state(disclosure).await, DisclosureState::Revoked);
        told.push(bytes_of(&fetch(&holder, disclosure).await.refused()));
    }
    assert_eq!(told[0], told[1], "a lock looks like a release that was taken back");
    assert_eq!(holder.case_state(&released[1]).await, CaseState::Locked);
    review(who::OFFICER, &["note", &released[0], "--text", "the partner was called"]).ok();
    let late = review(who::OFFICER, &["note", &released[1], "--text", "too late"]).failed();
    assert!(late.contains("NOT_NOW"), "nothing is added to a locked case: {late}");
    holder.whole();
}

#[tokio::test]
async fn an_erroneous_hit_and_a_locked_case_end_as_a_refusal_by_people_does() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    let mut cases = Vec::new();
    for person in [0, 1, 2] {
        cases.push(holder.request(&holder.hit(person).await, &FIELDS).await);
    }
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    review(who::EXAMINER, &["hit-erroneous", &cases[0], "--reason", "another ear"]).ok();
    review(who::PRIVACY, &["lock", &cases[1], "--reason", "misuse"]).ok();
    holder.decide(who::OFFICER, &cases[2], Choice::Deny).await.unwrap();
    let mut told = Vec::new();
    for case in &cases {
        let seen = own(&holder, case).await;
        assert_eq!((seen.state(), seen.questions.len()), (DisclosureState::Denied, 0));
        told.push(bytes_of(&fetch(&holder, case).await.refused()));
    }
    assert!(told.iter().all(|one| *one == told[0]), "the refusals must not tell why: {told:?}");
    let case = holder.case(who::OFFICER, &cases[0]).await;
    assert_eq!(case.ending.unwrap().deed, "hit-erroneous");
    let ask = ask_information(&holder, who::EXAMINER, &cases[2]).await;
    assert_eq!(
        refusal(ask),
        (Code::PermissionDenied, "NOT_PERMITTED".to_owned()),
        "no factor asks for examiners"
    );
    holder.whole();
}

/// The agreement asks for two officers of different units, and for an examiner who compared the images elsewhere.
#[tokio::test]
async fn units_and_a_comparison_outside_are_asked_for_where_the_agreement_says_so() {
    let factors =
        "number = 2\nunits = 2\n\n[[approval]]\nrole = \"examiner\"\nnumber = 1\ncomparison = \"required\"\n";
    let options = HolderOptions::people(1)
        .policy("agreements/au-border-identity.toml", "number = 2\n", factors)
        .config("jobs", "tending_every_s", 1);
    let holder = Holder::start(options).await;
    holder.release_key();
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let review = |who, args: &[&str]| holder.onebit(who, &[&["review"], args].concat());
    let compared = ["approve", &disclosure, "--all-fields", "--role", "examiner", "--reason", "the same ear"];
    let without = review(who::EXAMINER, &compared).failed();
    assert!(without.contains("NOT_NOW"), "{without}");
    let with = [&compared[..], &["--comparison", "FR-2026/113"]].concat();
    assert!(review(who::EXAMINER, &with).ok().contains("partially-approved"));
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        let state = holder.decide(officer, &disclosure, GRANT).await.unwrap();
        assert_eq!(state, CaseState::PartiallyApproved, "nobody's unit is known yet");
    }
    let case = holder.case(who::OFFICER, &disclosure).await;
    assert_eq!((case.factors[0].units, case.decisions[0].comparison.as_str()), (2, "FR-2026/113"));
    assert!(case.missing.is_empty(), "people are not missing, units are");
    for (officer, unit) in [(who::OFFICER, "auckland"), (who::OTHER_OFFICER, "wellington")] {
        let [certificate, _] = holder.credential(officer);
        std::fs::write(holder.path("unit.pem"), certificate).unwrap();
        let role = "approving-officer";
        let person =
            ["person", "--name", officer.name(), "--role", role, "--certificate", "unit.pem", "--unit", unit];
        holder.change(who::ADMIN, who::PRIVACY, &person);
    }
    let next = holder.request(&holder.hit(0).await, &FIELDS).await;
    let with = [&with[..1], &[next.as_str()], &with[2..]].concat();
    review(who::EXAMINER, &with).ok();
    holder.decide(who::OFFICER, &next, GRANT).await.unwrap();
    assert_eq!(holder.decide(who::OTHER_OFFICER, &next, GRANT).await.unwrap(), CaseState::Released);
    until("the journal says who approved", || async {
        !of_kind(&holder.entries("au-border").await, "disclosure.approved").is_empty()
    })
    .await;
    holder.whole();
}

#[tokio::test]
async fn a_case_is_late_when_its_agreement_says_so() {
    let late = "decide_within_hours = 48\nescalate_after_hours = 24";
    let options = HolderOptions::people(1).policy(
        "agreements/au-border-identity.toml",
        "decide_within_hours = 48",
        late,
    );
    let holder = Holder::start(options).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let summary = holder.case(who::OFFICER, &disclosure).await.summary.unwrap();
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    let asked = seconds(summary.create_time);
    assert_eq!(seconds(summary.escalate_time) - asked, 24 * 3_600);
    assert_eq!(seconds(summary.decide_by) - asked, 48 * 3_600);
    let listed = holder.onebit(who::OFFICER, &["review", "list", "--output", "json"]).json();
    assert_eq!(listed[0]["late"], false, "{listed}");
}

async fn own(holder: &Holder, disclosure: &str) -> Disclosure {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    let asked = GetDisclosureRequest { name: disclosure.to_owned() };
    service.get_disclosure(asked).await.unwrap().into_inner().disclosure.unwrap()
}

async fn ask_information(holder: &Holder, officer: Who, disclosure: &str) -> Result<(), Status> {
    let question = "Which of the two passports was shown?".to_owned();
    let asked = officer::AskInformationRequest { disclosure: disclosure.to_owned(), question };
    CaseServiceClient::new(holder.channel(officer).await).ask_information(asked).await.map(drop)
}

/// Answers as `au-border`, signed by somebody.
async fn answer(holder: &Holder, disclosure: &str, question: Digest, signer: Who) -> Result<(), Status> {
    let id = DisclosureId::parse_resource(disclosure).unwrap();
    let answer = Answer::new(id, question, "The one of 2019.".to_owned(), "o-1".to_owned()).unwrap();
    let key = holder.signing_key(signer);
    let signature = key.sign(SignatureDomain::DisclosureAnswer, &answer.digest()).unwrap();
    let message = AnswerQuestionRequest {
        name: disclosure.to_owned(),
        question_digest: question.as_bytes().to_vec(),
        answer: answer.text().to_owned(),
        official: answer.official().to_owned(),
        signature: Some(Signature::CertificateSignature(signature)),
    };
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    service.answer_question(message).await.map(drop)
}

async fn fetch(holder: &Holder, disclosure: &str) -> Result<(), Status> {
    let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    service.fetch_release(FetchReleaseRequest { name: disclosure.to_owned() }).await.map(drop)
}
