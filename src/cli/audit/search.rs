//! Searching the log as a privacy officer. Every page is an entry of the log itself.

use serde_json::{Value, json};

use super::officer::{as_json, as_text};
use super::{SearchArgs, SearchBy};
use crate::cli::fault::CliError;
use crate::cli::wire;
use crate::clock::Timestamp;
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;
use crate::grpc::timestamp::timestamp_to_pb;

/// Shows what is found, page by page.
pub(super) async fn search(args: &SearchArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    let (mut page_token, mut left) = (String::new(), args.limit.unwrap_or(u64::MAX));
    loop {
        let call = client.request(pb::SearchEntriesRequest {
            attribute: attribute(args.by).into(),
            value: args.value.clone(),
            start_time: args.since.map(timestamp_to_pb),
            end_time: args.until.map(timestamp_to_pb),
            reason: args.reason.clone(),
            page_size: i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX),
            page_token,
        });
        let page = client.answer("the entries", client.log().search_entries(call)).await?;
        for found in &page.entries {
            let journal = wire::last_part(&found.journal);
            let entry = found.entry.as_ref().ok_or_else(|| CliError::incomplete("entry"))?;
            args.output.show(|| format!("{journal}/{}", as_text(entry)), &with_journal(journal, entry))?;
        }
        let shown = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
        left = left.saturating_sub(shown);
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            return Ok(());
        }
    }
}

fn with_journal(journal: &str, entry: &pb::Entry) -> Value {
    let mut told = as_json(entry);
    if let Value::Object(fields) = &mut told {
        fields.insert("journal".to_owned(), json!(journal));
    }
    told
}

const fn attribute(by: SearchBy) -> pb::Attribute {
    match by {
        SearchBy::Case => pb::Attribute::Case,
        SearchBy::Official => pb::Attribute::Official,
        SearchBy::Officer => pb::Attribute::Officer,
        SearchBy::Partner => pb::Attribute::Partner,
        SearchBy::Agreement => pb::Attribute::Agreement,
        SearchBy::Purpose => pb::Attribute::Purpose,
        SearchBy::Query => pb::Attribute::Query,
        SearchBy::Disclosure => pb::Attribute::Disclosure,
        SearchBy::Request => pb::Attribute::Request,
        SearchBy::Kind => pb::Attribute::Kind,
        SearchBy::Index => pb::Attribute::Index,
    }
}

/// A moment, or the beginning of a day in UTC.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| {
        format!(
            "`{text}` is no time; write a day such as 2026-07-01, or a moment such as 2026-07-01T08:00:00Z"
        )
    })
}

/// What the server gives at most.
const PAGE_MAX: u64 = 1_000;
