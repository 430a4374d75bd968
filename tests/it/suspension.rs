//! One official, or one agreement, is stopped by one decision, and goes on by two people's.

use onebit::grpc::pb::officer::CaseState;
use onebit::grpc::pb::partner::ask_queries_response::Result as Outcome;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{Answer, DisclosureState, Question};

use crate::holder::{Holder, HolderOptions, who};
use crate::query::{left_today, stream};
use crate::story::{
    Choice, FIELDS, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, bytes_of, fact, of_kind,
    question_about, reason, signed, wanted,
};

const OFFICIAL: &str = "officer-7f3a";
const WHY: &str = "asked for 200 people at night";

fn suspend_official(holder: &Holder) {
    let args = ["suspend", "official", OFFICIAL, "--partner", "au-border", "--reason", WHY];
    holder.onebit(who::PRIVACY, &args).ok();
}

fn suspend_agreement(holder: &Holder) {
    let args = ["suspend", "agreement", "au-border-identity", "--reason", WHY];
    holder.onebit(who::PRIVACY, &args).ok();
}

#[tokio::test]
async fn an_official_is_stopped_by_one_and_let_go_on_by_two() {
    let mut holder = Holder::start(HolderOptions::people(14)).await;
    let au = holder.channel(who::AU).await;
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);
    let left = left_today(&au).await;
    suspend_official(&holder);

    // Refused whoever is asked about, in the same words, and counted nowhere.
    let told = async |person| bytes_of(&ask(&au, question_about(person)).await.refused());
    let first = told(0).await;
    for person in [HIDDEN, STRANGER] {
        assert_eq!(told(person).await, first, "person {person}");
    }
    let refused = ask(&au, question_about(0)).await.refused();
    assert_eq!(reason(&refused), "OFFICIAL_SUSPENDED");
    let other = |person| Question { official: "officer-other".to_owned(), ..question_about(person) };
    assert_eq!(ask(&au, other(0)).await.unwrap().answer(), Answer::Hit, "another official goes on");
    let streamed = stream(&au, vec![question_about(0), other(1)]).await;
    let Outcome::Refused(status) = &streamed[0].1 else { panic!("the first of the stream was answered") };
    assert_eq!(status.reason, "OFFICIAL_SUSPENDED");
    assert!(matches!(streamed[1].1, Outcome::Answered(_)));
    assert_eq!(left - left_today(&au).await, 2, "what is refused counts nothing");

    holder.restart().await;
    let au = holder.channel(who::AU).await;
    assert_eq!(reason(&ask(&au, question_about(0)).await.refused()), "OFFICIAL_SUSPENDED", "after a start");

    let propose = ["change", "propose", "restore-official", OFFICIAL, "--partner", "au-border"];
    let proposed = holder.onebit(who::PRIVACY, &[&propose[..], &["--reason", "explained"]].concat());
    assert!(proposed.ok().contains("changes/"));
    assert_eq!(
        reason(&ask(&au, question_about(0)).await.refused()),
        "OFFICIAL_SUSPENDED",
        "one is not enough"
    );
    holder.change(who::ADMIN, who::PRIVACY, &propose[2..]);
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);

    let entries = holder.entries("holder").await;
    let [suspended] = &of_kind(&entries, "official.suspended")[..] else { panic!("one entry") };
    assert_eq!((fact(suspended, "official"), fact(suspended, "reason")), (OFFICIAL, WHY));
    assert_eq!(of_kind(&entries, "official.restored").len(), 1);
    holder.whole();
}

#[tokio::test]
async fn nothing_approved_leaves_while_its_agreement_or_official_is_suspended() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    holder.release_key();
    for (suspend, restore) in [
        (suspend_official as fn(&Holder), vec!["restore-official", OFFICIAL, "--partner", "au-border"]),
        (suspend_agreement as fn(&Holder), vec!["restore-agreement", "au-border-identity"]),
    ] {
        let hit = holder.hit(0).await;
        let name = holder.request(&hit, &FIELDS).await;
        holder.decide(who::OFFICER, &name, Choice::Grant(&FIELDS)).await.unwrap();
        suspend(&holder);
        let refused = holder.decide(who::OTHER_OFFICER, &name, Choice::Grant(&FIELDS)).await.refused();
        assert!(reason(&refused).ends_with("_SUSPENDED"), "{refused}");
        assert_eq!(holder.state(&name).await, DisclosureState::Pending);
        let message = signed(wanted(&hit, &FIELDS), &holder.signing_key(who::AU));
        let mut service = DisclosureServiceClient::new(holder.channel(who::AU).await);
        let told = service.request_disclosure(message).await.map(drop).refused();
        assert!(reason(&told).ends_with("_SUSPENDED"), "{told}");

        holder.change(who::ADMIN, who::PRIVACY, &restore);
        let released = holder.decide(who::OTHER_OFFICER, &name, Choice::Grant(&FIELDS)).await.unwrap();
        assert_eq!(released, CaseState::Released, "it goes on after two people let it");
    }
    // Released before: it is not fetched while the agreement is suspended, and is there afterwards.
    let name = holder.request(&holder.hit(1).await, &FIELDS).await;
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        holder.decide(officer, &name, Choice::Grant(&FIELDS)).await.unwrap();
    }
    suspend_agreement(&holder);
    let fetch = ["request", "fetch", &name, "--out", "release.bin"];
    assert!(holder.onebit(who::AU, &fetch).failed().contains("AGREEMENT_SUSPENDED"));
    let au = holder.channel(who::AU).await;
    assert_eq!(reason(&ask(&au, question_about(0)).await.refused()), "AGREEMENT_SUSPENDED");
    // A refusal is always possible.
    let open = holder.state(&name).await;
    assert_eq!(open, DisclosureState::Released);
    holder.change(who::ADMIN, who::PRIVACY, &["restore-agreement", "au-border-identity"]);
    holder.onebit(who::AU, &fetch).ok();
    holder.whole();
}

#[tokio::test]
async fn what_is_not_there_is_not_suspended() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    for (args, due) in [
        (vec!["official", "x", "--partner", "no-such"], "NOT_FOUND"),
        (vec!["agreement", "no-such"], "NOT_FOUND"),
        (vec!["official", "", "--partner", "au-border"], "official"),
    ] {
        let args = [&["suspend"][..], &args, &["--reason", "x"]].concat();
        let told = holder.onebit(who::PRIVACY, &args).failed();
        assert!(told.contains(due), "{args:?}: {told}");
    }
    let args = ["suspend", "agreement", "au-border-identity", "--reason", "x"];
    for other in [who::OFFICER, who::AU] {
        assert!(holder.onebit(other, &args).failed().contains("PERMISSION_DENIED"));
    }
    holder.whole();
}
