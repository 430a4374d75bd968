//! Pairwise names: two partners who lay side by side all that they were told about the same person find nothing by
//! which the one's can be joined with the other's.

use std::collections::BTreeSet;

use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{Answer, Question};

use crate::holder::{Holder, HolderOptions, Who, who};
use crate::story::{Choice, FIELDS, ask, question_about, signed, wanted};

#[tokio::test]
async fn two_partners_can_join_nothing_that_they_see_about_the_same_person() {
    let holder = Holder::start(HolderOptions::people(5)).await;
    let seen = [(who::AU, "au-border", "border-identity"), (who::CA, "ca-border", "visa-identity")];
    let mut told = Vec::new();
    for (partner, journal, purpose) in seen {
        let asked = Question { purpose: purpose.to_owned(), ..question_about(3) };
        let hit = ask(&holder.channel(partner).await, asked).await.unwrap();
        assert_eq!(hit.answer(), Answer::Hit);
        let mut parts = wanted(&hit.query, &FIELDS);
        parts.purpose = purpose.parse().unwrap();
        let mut service = DisclosureServiceClient::new(holder.channel(partner).await);
        let request = signed(parts, &holder.signing_key(partner));
        let requested = service.request_disclosure(request).await.unwrap().into_inner();
        let disclosure = requested.disclosure.unwrap().name;
        for officer in [who::OFFICER, who::OTHER_OFFICER] {
            holder.decide(officer, &disclosure, Choice::Deny).await.ok();
        }
        let mut text = format!("{} {} {disclosure} {}", hit.query, hit.receipt, requested.receipt);
        text.push_str(&own_journal(&holder, partner, journal));
        told.push(text);
    }
    for text in &told {
        for person in [who::OFFICER, who::OTHER_OFFICER, who::PRIVACY] {
            assert!(!text.contains(person.name()), "a partner is told the name of {}", person.name());
        }
    }
    let [one, other] = [&told[0], &told[1]].map(String::as_str).map(identifiers);
    assert!(one.len() > 15 && other.len() > 15, "too little was compared: {one:?}");
    let mut joined: BTreeSet<&str> = one.intersection(&other).copied().collect();
    // What is the holder's alone, and the same for everybody: the rules in force and the key of the log.
    let key = holder.log_key("au-border");
    joined.retain(|same| !key.ends_with(same) && !is_policy(&holder, same));
    assert_eq!(joined, BTreeSet::new(), "two partners can join these");
}

/// The partner's own journal with all that its side opens.
fn own_journal(holder: &Holder, partner: Who, journal: &str) -> String {
    let key = holder.log_key(journal);
    let args = ["audit", "own", "--log-key", &key, "--show", "--output", "json"];
    let text = holder.onebit(partner, &args).ok();
    assert!(text.contains("disclosure.requested"), "the journal should be shown with what it says: {text}");
    text
}

/// Whatever could be the name of something: eight characters or more, with a digit or in mixed case.
fn identifiers(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '='));
    parts
        .flat_map(|part| part.split("\\n"))
        .filter(|part| part.len() >= 8)
        .filter(|part| part.bytes().any(|byte| byte.is_ascii_digit()))
        .collect()
}

fn is_policy(holder: &Holder, digest: &str) -> bool {
    let policy = holder.onebit(who::ADMIN, &["registry", "policy", "--output", "json"]).json();
    policy.to_string().contains(digest)
}
