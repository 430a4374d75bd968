//! Confirming a hit: a fresh sample comes with the request, is compared with whoever matched, and leaves a word for
//! officers. The partner learns nothing by it.

use onebit::approval::sample_digest;
use onebit::grpc::pb::officer::ConfirmationWord;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use onebit::grpc::pb::partner::{
    DisclosureState, Embedding, RequestDisclosureRequest, RequestDisclosureResponse, Sample as SampleSent,
    sample,
};
use onebit::template::{Quality, QualityScore, Sample};
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{
    Choice, FIELDS, OrRefused as _, STRANGER, answer_about, ask, bytes_of, fact, of_kind, people, question,
    refusal, sample_of, signed, wanted,
};

const GRANT: Choice<'static> = Choice::Grant(&FIELDS);
const QUALITY: u8 = 77;

pub(crate) fn confirming(people: u64) -> HolderOptions {
    HolderOptions::people(people).policy(
        "agreements/au-border-identity.toml",
        "confirmation = \"off\"",
        "confirmation = \"required\"\nconfirms_fmr = 1e-4\ncontradicts_fmr = 1e-2",
    )
}

/// A request with a fresh sample; what is signed may be of another one.
fn request(holder: &Holder, query: &str, sent: &[f32], signs: &[f32]) -> RequestDisclosureRequest {
    let quality = Quality::Score(QualityScore::new(QUALITY.into()).unwrap());
    let mut parts = wanted(query, &FIELDS);
    parts.sample = Some(sample_digest(parts.request_id, &Sample::embedding(signs.to_vec(), quality)));
    let form = Some(sample::Form::Embedding(Embedding { values: sent.to_vec() }));
    RequestDisclosureRequest {
        fresh_sample: Some(SampleSent { form, quality: Some(QUALITY.into()) }),
        ..signed(parts, &holder.signing_key(who::AU))
    }
}

/// What a refusal says of the field that is wrong.
fn words(refused: &Status) -> String {
    String::from_utf8_lossy(refused.details()).into_owned()
}

async fn made(
    holder: &Holder,
    message: RequestDisclosureRequest,
) -> Result<RequestDisclosureResponse, Status> {
    let mut client = DisclosureServiceClient::new(holder.channel(who::AU).await);
    client.request_disclosure(message).await.map(tonic::Response::into_inner)
}

pub(crate) async fn asked_with(holder: &Holder, query: &str, sample: &[f32]) -> String {
    made(holder, request(holder, query, sample, sample)).await.unwrap().disclosure.unwrap().name
}

/// At this cosine to a person's template.
pub(crate) fn at_cosine(person: u64, cosine: f32) -> Vec<f32> {
    let (mate, other) = (people().embedding(person), people().embedding(STRANGER));
    let dot: f32 = mate.iter().zip(&other).map(|(a, b)| a * b).sum();
    let across: Vec<f32> = other.iter().zip(&mate).map(|(other, mate)| other - dot * mate).collect();
    let norm = across.iter().map(|value| value * value).sum::<f32>().sqrt();
    let rest = (1.0 - cosine * cosine).sqrt() / norm;
    mate.iter().zip(&across).map(|(mate, across)| cosine * mate + rest * across).collect()
}

#[tokio::test]
async fn officers_see_one_of_three_words_and_the_quality_and_the_partner_neither() {
    let holder = Holder::start(confirming(2)).await;
    let agreement = holder.onebit(who::AU, &["agreement", "list", "--output", "json"]).json();
    assert_eq!(agreement[0]["fresh_sample"], true, "{agreement}");
    let mut told = Vec::new();
    for (sample, word) in [
        (sample_of(0, 9), ConfirmationWord::Confirms),
        (at_cosine(0, 0.19), ConfirmationWord::Inconclusive),
        (at_cosine(0, 0.02), ConfirmationWord::Contradicts),
    ] {
        let disclosure = asked_with(&holder, &holder.hit(0).await, &sample).await;
        let case = holder.case(who::OFFICER, &disclosure).await;
        let confirmation = case.confirmation.unwrap();
        assert_eq!(confirmation.word(), word);
        assert_eq!(confirmation.quality.unwrap().score, Some(QUALITY.into()));
        assert!(!case.qualities.is_empty() && case.qualities.iter().all(|one| one.score.is_some()));
        let shown = holder.onebit(who::OFFICER, &["review", "show", &disclosure]).ok();
        let name = word.as_str_name().trim_start_matches("CONFIRMATION_WORD_").to_lowercase();
        assert!(shown.contains(&format!("{name} (quality {QUALITY})")), "{shown}");
        let own = holder.onebit(who::AU, &["request", "show", &disclosure, "--output", "json"]).json();
        told.push(own.as_object().unwrap().keys().cloned().collect::<Vec<_>>());
    }
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    let entries = holder.entries("au-border").await;
    let words: Vec<_> = of_kind(&entries, "disclosure.requested")
        .iter()
        .map(|entry| fact(entry, "confirmation").to_owned())
        .collect();
    assert_eq!(
        words,
        ["confirms", "inconclusive", "contradicts"],
        "the holder's side of the log has the word"
    );
    let log_key = holder.log_key("au-border");
    let journal =
        holder.onebit(who::AU, &["audit", "own", "--log-key", &log_key, "--show", "--output", "json"]).ok();
    assert!(journal.contains("disclosure.requested"), "{journal}");
    for word in ["confirms", "inconclusive", "contradicts", "confirmation"] {
        assert!(!journal.contains(word), "the partner's side has no such word: {journal}");
    }
}

#[tokio::test]
async fn without_a_hit_of_its_own_a_stranger_and_a_hidden_person_are_refused_alike() {
    let mut hidden = (0..50).filter(|person| people().restriction(*person).is_some());
    let hidden = hidden.next().expect("some people are hidden");
    let holder = Holder::start(confirming(hidden + 1)).await;
    let channel = holder.channel(who::AU).await;
    let mut told = Vec::new();
    for person in [STRANGER, hidden] {
        let query = ask(&channel, question(vec![sample_of(person, 3)])).await.unwrap().query;
        let fresh = sample_of(person, 9);
        let refused = made(&holder, request(&holder, &query, &fresh, &fresh)).await.refused();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        told.push(bytes_of(&refused));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn a_sample_that_is_missing_foreign_or_not_the_one_signed_is_refused() {
    let holder = Holder::start(confirming(1)).await;
    let query = holder.hit(0).await;
    let missing = signed(wanted(&query, &FIELDS), &holder.signing_key(who::AU));
    let refused = made(&holder, missing).await.refused();
    assert_eq!(refusal::<()>(Err(refused.clone())), (Code::InvalidArgument, "FIELD_INVALID".to_owned()));
    assert!(words(&refused).contains("wants a fresh sample"), "{refused}");

    let swapped = request(&holder, &query, &sample_of(0, 9), &sample_of(0, 8));
    assert_eq!(refusal(made(&holder, swapped).await).1, "SIGNATURE_INVALID");

    let short = request(&holder, &query, &[0.6, 0.8], &[0.6, 0.8]);
    let refused = made(&holder, short).await.refused();
    assert!(words(&refused).contains("components"), "{refused}");
    assert!(
        holder.onebit(who::OFFICER, &["review", "list"]).ok().contains("no case waits"),
        "nothing is half done"
    );

    let plain = Holder::start(HolderOptions::people(1)).await;
    let fresh = sample_of(0, 9);
    let refused = made(&plain, request(&plain, &plain.hit(0).await, &fresh, &fresh)).await.refused();
    assert!(words(&refused).contains("takes no fresh sample"), "{refused}");
}

/// Whoever was hidden or erased since the hit is asked about, confirmed and refused as everybody is.
#[tokio::test]
async fn hidden_or_erased_since_the_hit_shows_in_nothing() {
    let holder = Holder::start(confirming(3)).await;
    holder.release_key();
    let mut queries = Vec::new();
    for person in 0..3 {
        queries.push(holder.hit(person).await);
    }
    let to = |who, args: &[&str]| holder.onebit(who, &[args, &["--reason", "a trial"]].concat()).ok();
    to(who::ENROLLER, &["subject", "restrict", "--source-id", "syn-000000", "--restriction", "witness"]);
    to(who::ENROLLER, &["subject", "erase", "--source-id", "syn-000001"]);
    let mut words = Vec::new();
    for (person, query) in (0..).zip(&queries) {
        let disclosure = asked_with(&holder, query, &sample_of(person, 9)).await;
        words.push(holder.case(who::OFFICER, &disclosure).await.confirmation.unwrap().word());
        let choice = if person == 2 { Choice::Deny } else { GRANT };
        holder.decide(who::OFFICER, &disclosure, choice).await.unwrap();
        assert_eq!(
            holder.state(&disclosure).await,
            DisclosureState::Denied,
            "it ends as a refusal by people does"
        );
    }
    use ConfirmationWord::{Confirms, Inconclusive};
    assert_eq!(words, [Confirms, Inconclusive, Confirms], "officers compare what is there to compare");
    let entries = holder.entries("au-border").await;
    let decided = of_kind(&entries, "disclosure.decided");
    let denied = of_kind(&entries, "disclosure.denied");
    assert_eq!((decided.len(), denied.len()), (3, 3), "one decision each");
    for (decided, denied) in decided.iter().zip(&denied) {
        assert_eq!(decided.index + 1, denied.index, "what follows a decision is its own end");
        assert_eq!(decided.time, denied.time, "and comes with it");
    }
}

/// The command line takes the fresh sample from the files that questions come from.
#[tokio::test]
async fn the_command_line_sends_and_signs_a_fresh_sample() {
    let holder = Holder::start(confirming(1)).await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let query = holder.hit(0).await;
    let file = holder.path("fresh.json");
    std::fs::write(&file, serde_json::json!({ "embedding": sample_of(0, 9), "quality": 66 }).to_string())
        .unwrap();
    let base = [
        "request",
        "new",
        "--query",
        &query,
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
        "--log-key",
        &holder.log_key("au-border"),
        "--output",
        "json",
    ];
    let refused = holder.onebit(who::AU, &base).failed();
    assert!(refused.contains("wants a fresh sample"), "{refused}");
    let made = holder.onebit(who::AU, &[&base[..], &["--json", file.to_str().unwrap()]].concat()).json();
    let disclosure = made["disclosure"].as_str().unwrap();
    let shown = holder.onebit(who::OFFICER, &["review", "show", disclosure, "--output", "json"]).json();
    assert_eq!(shown["confirmation"], serde_json::json!({ "word": "confirms", "quality": 66 }), "{shown}");
}
