//! Searching the log, by command and by call: what is found, who may, and that the search is an entry itself.

use onebit::grpc::pb::oversight::log_service_client::LogServiceClient;
use onebit::grpc::pb::oversight::{Attribute, FoundEntry, SearchEntriesRequest, SearchEntriesResponse};
use onebit::grpc::pb::partner::Question;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::holder::{Holder, HolderOptions, Who, who};
use crate::story::{FIELDS, OrRefused as _, ask, fact, of_kind, question_about};

/// What the command prints, a line each.
fn searched(holder: &Holder, by: &str, value: &str, more: &[&str]) -> Vec<Value> {
    let args =
        ["audit", "search", "--by", by, "--value", value, "--reason", "complaint 17", "--output", "json"];
    let told = holder.onebit(who::PRIVACY, &[&args[..], more].concat()).ok();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn search(
    holder: &Holder,
    who: Who,
    attribute: Attribute,
    value: &str,
    page: (i32, &str),
) -> Result<SearchEntriesResponse, Status> {
    let request = SearchEntriesRequest {
        attribute: attribute.into(),
        value: value.to_owned(),
        reason: "complaint 17".to_owned(),
        page_size: page.0,
        page_token: page.1.to_owned(),
        ..SearchEntriesRequest::default()
    };
    LogServiceClient::new(holder.channel(who).await)
        .search_entries(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn entries_are_found_by_one_value_and_the_search_is_an_entry() {
    let holder = Holder::start(HolderOptions::people(5)).await;
    let au = holder.channel(who::AU).await;
    for (person, case) in [(0, "C-7"), (1, "C-8"), (2, "C-7"), (3, "C-70")] {
        ask(&au, Question { case_reference: case.to_owned(), ..question_about(person) }).await.unwrap();
    }
    let query = holder.hit(4).await;
    let disclosure = holder.request(&query, &FIELDS).await;

    let found = searched(&holder, "case", "C-7", &[]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let times: Vec<&str> = found.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
    assert!(times[0] >= times[1], "the newest comes first: {times:?}");
    for entry in &found {
        assert_eq!((&entry["journal"], &entry["facts"]["case"]), (&"au-border".into(), &"C-7".into()));
    }
    assert_eq!(searched(&holder, "case", "C-7", &["--limit", "1"]), found[..1]);
    assert_eq!(searched(&holder, "case", "C-7", &["--until", "2020-01-01"]), Vec::<Value>::new());
    assert_eq!(searched(&holder, "case", "C-7", &["--since", "2020-01-01"]), found);
    assert_eq!(searched(&holder, "case", "C", &[]), Vec::<Value>::new(), "a part is not the whole");
    let of_disclosure = searched(&holder, "disclosure", &disclosure, &[]);
    assert_eq!(of_disclosure.len(), 1);
    assert_eq!(
        searched(&holder, "query", &query, &[]).len(),
        2,
        "the query, and what was asked for after it"
    );
    let place = format!("au-border/{}", found[0]["index"]);
    assert_eq!(searched(&holder, "index", &place, &[]), found[..1]);
    let text = ["audit", "search", "--by", "case", "--value", "C-7", "--reason", "complaint 17"];
    let text = holder.onebit(who::PRIVACY, &text).ok();
    assert!(text.contains(&format!("{place}  ")) && text.contains("query.answered"), "{text}");

    let entries = holder.entries("holder").await;
    let noted = of_kind(&entries, "log.searched");
    let said = |entry, name| fact(entry, name).to_owned();
    assert_eq!(said(noted[0], "attribute"), "case");
    assert_eq!(said(noted[0], "value"), "C-7");
    assert_eq!(said(noted[0], "reason"), "complaint 17");
    assert_eq!(noted[0].actor, who::PRIVACY.name());
    assert!(noted.iter().any(|entry| said(entry, "until") == "2020-01-01T00:00:00.000Z"));
}

#[tokio::test]
async fn pages_of_a_search_go_on_where_they_ended_whatever_was_written_since() {
    let holder = Holder::start(HolderOptions::people(6)).await;
    let au = holder.channel(who::AU).await;
    for person in 0..5 {
        ask(&au, question_about(person)).await.unwrap();
    }
    let whole = search(&holder, who::PRIVACY, Attribute::Kind, "query.answered", (100, "")).await.unwrap();
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page =
            search(&holder, who::PRIVACY, Attribute::Kind, "query.answered", (2, &token)).await.unwrap();
        paged.extend(page.entries);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        ask(&au, question_about(5)).await.unwrap();
    }
    assert_eq!(whole.entries.len(), 5);
    let places = |entries: &[FoundEntry]| -> Vec<(String, u64)> {
        entries.iter().map(|found| (found.journal.clone(), found.entry.as_ref().unwrap().index)).collect()
    };
    assert_eq!(places(&paged), places(&whole.entries));
}

#[tokio::test]
async fn nobody_else_searches_and_whatever_they_ask_for_is_refused_alike() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    let au = holder.channel(who::AU).await;
    ask(&au, Question { case_reference: "C-7".to_owned(), ..question_about(0) }).await.unwrap();
    for who in [who::AU, who::OFFICER, who::ADMIN, who::ENROLLER] {
        let mut told = Vec::new();
        for value in ["C-7", "C-8"] {
            let refused = search(&holder, who, Attribute::Case, value, (1, "")).await.refused();
            assert_eq!(refused.code(), Code::PermissionDenied, "{}", who.name());
            told.push((refused.message().to_owned(), refused.details().to_vec()));
        }
        assert_eq!(told[0].0, told[1].0, "{} is told something", who.name());
    }
    let holders = holder.entries("holder").await;
    assert_eq!(of_kind(&holders, "log.searched").len(), 0);
    assert!(of_kind(&holders, "request.refused").len() >= 6, "a refusal is an entry");
}

#[tokio::test]
async fn a_value_that_no_entry_can_have_is_refused_with_what_to_send() {
    let holder = Holder::start(HolderOptions::default()).await;
    for (attribute, value, says) in [
        (Attribute::Unspecified, "C-7", "attribute"),
        (Attribute::Partner, "AU!", "is not a name"),
        (Attribute::Query, "17", "is not an identifier"),
        (Attribute::Kind, "queries", "no kind of entry"),
        (Attribute::Index, "41", "no place of an entry"),
        (Attribute::Case, "", "0 characters"),
    ] {
        let refused = search(&holder, who::PRIVACY, attribute, value, (1, "")).await.refused();
        assert_eq!(refused.code(), Code::InvalidArgument, "{attribute:?} `{value}`");
        let told = refused.get_details_bad_request().and_then(|bad| bad.field_violations.into_iter().next());
        let told = told.map(|told| format!("{} {}", told.field, told.description)).unwrap_or_default();
        assert!(told.contains(says), "{attribute:?} `{value}`: {told}");
    }
}
