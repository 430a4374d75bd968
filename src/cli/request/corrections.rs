//! What follows a request: watching it, and what comes after its release.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::IntoRequest as _;

use super::super::fault::CliError;
use super::super::{print, wire};
use super::{PAGE_SIZE, Way, as_json as disclosure_json, row, told};
use crate::approval::CorrectionAsk;
use crate::audit::event::Kind;
use crate::grpc::client::{Client, ClientError};
use crate::grpc::pb::partner as pb;
use crate::grpc::pb::partner::request_correction_request::Signature;
use crate::ids::{DisclosureId, FieldName};
use crate::keys::SignatureDomain;

/// A disclosure to watch.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// Go on after it has ended, for corrections
    #[arg(long)]
    pub stay: bool,
    /// Stop after so many changes
    #[arg(long, value_name = "NUMBER")]
    pub changes: Option<u64>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// What is to be corrected.
#[derive(Debug, clap::Args)]
pub struct CorrectArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The released field that is wrong
    #[arg(long, value_name = "NAME", required_unless_present = "withdraw")]
    pub field: Option<String>,
    /// Withdraw your need for all that was released
    #[arg(long, conflicts_with = "field")]
    pub withdraw: bool,
    /// What is wrong, or why, 1 to 4,000 characters; officers read it
    #[arg(long, value_name = "TEXT")]
    pub text: String,
    /// Your pseudonym of the official who asks
    #[arg(long, value_name = "PSEUDONYM")]
    pub official: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// Corrections to list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A correction to acknowledge.
#[derive(Debug, clap::Args)]
pub struct AcknowledgeArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The number of the correction
    #[arg(long, value_name = "NUMBER")]
    pub number: u32,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// Shows each change on a line of its own. A watch that breaks goes on from the version that was seen last.
pub(super) async fn watch(args: &WatchArgs) -> Result<(), CliError> {
    let name = wire::resource(DisclosureId::COLLECTION, &args.name);
    let (mut seen, mut left, mut broken) = (Vec::new(), args.changes.unwrap_or(u64::MAX), 0);
    let mut client = Client::connect(&args.way.client).await?;
    loop {
        let message =
            pb::WatchDisclosureRequest { name: name.clone(), seen_version: seen.clone(), stay: args.stay };
        // Without the deadline of a call: a watch lasts as long as its connection.
        let call = message.into_request();
        let opened = client.answer("the watch", client.disclosure().watch_disclosure(call)).await;
        let ended = match opened {
            Ok(mut messages) => loop {
                match client.next("the watch", &mut messages).await {
                    Ok(Some(message)) => {
                        (seen, broken) = (message.version, 0);
                        let disclosure =
                            message.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
                        let line = || row(&disclosure).join("  ");
                        args.way.output.show(line, &disclosure_json(&disclosure))?;
                        left = left.saturating_sub(1);
                        if left == 0 {
                            return Ok(());
                        }
                    }
                    Ok(None) => return Ok(()),
                    // Nothing has happened for a while.
                    Err(ClientError::TimedOut { .. }) => {}
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        broken += 1;
        if !matches!(ended, ClientError::Broken { .. }) && !is_over(&ended) || broken > TRIES {
            return Err(ended.into());
        }
        tokio::time::sleep(PAUSE).await;
        client = Client::connect(&args.way.client).await?;
    }
}

/// Whether the watch had its time, and may be opened again.
fn is_over(error: &ClientError) -> bool {
    error.refused().is_some_and(|refused| refused.code == "DEADLINE_EXCEEDED")
}

/// Asks for a correction, signed.
pub(super) async fn correct(args: &CorrectArgs) -> Result<(), CliError> {
    let key = args.way.client.signing_key()?;
    let name = wire::resource(DisclosureId::COLLECTION, &args.name);
    let usage = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    let id = DisclosureId::parse_resource(&name).map_err(|error| usage(&error))?;
    let field = args.field.as_deref().map(str::parse::<FieldName>).transpose();
    let field = field.map_err(|error| CliError::Usage(format!("--field: {error}")))?;
    let ask = CorrectionAsk::new(id, field, args.text.clone(), args.official.clone());
    let ask = ask.map_err(|error| usage(&error))?;
    let signature = key
        .sign(SignatureDomain::DisclosureCorrection, &ask.digest())
        .map_err(|error| CliError::because("the request can't be signed", error))?;
    let client = Client::connect(&args.way.client).await?;
    let call = client.request(pb::RequestCorrectionRequest {
        name,
        field: args.field.clone().unwrap_or_default(),
        text: args.text.clone(),
        official: args.official.clone(),
        signature: Some(Signature::CertificateSignature(signature)),
    });
    let done = client.answer("the request", client.disclosure().request_correction(call)).await?;
    let disclosure = done.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(&args.way, &disclosure, &done.receipt, Kind::CorrectionAsked)
}

/// Lists what waits to be acknowledged.
pub(super) async fn list(args: &ListArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let (mut disclosures, mut page_token) = (Vec::new(), String::new());
    loop {
        let call = client.request(pb::ListCorrectionsRequest { page_size: PAGE_SIZE, page_token });
        let page = client.answer("the list", client.disclosure().list_corrections(call)).await?;
        disclosures.extend(page.disclosures);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let waiting: Vec<(&pb::Disclosure, &pb::Correction)> = disclosures
        .iter()
        .flat_map(|it| it.corrections.iter().map(move |one| (it, one)))
        .filter(|(_, one)| one.acknowledge_time.is_none())
        .collect();
    let rows: Vec<_> = waiting
        .iter()
        .map(|(disclosure, one)| {
            let by = wire::moment(one.acknowledge_by.as_ref());
            [disclosure.name.clone(), one.number.to_string(), kind(one).to_owned(), by, one.fields.join(", ")]
        })
        .collect();
    let rows_json = waiting.iter().map(|(disclosure, one)| {
        let mut json = as_json(one);
        if let Value::Object(fields) = &mut json {
            fields.insert("disclosure".to_owned(), json!(disclosure.name));
        }
        json
    });
    args.way.output.show(
        || match rows.is_empty() {
            true => "no correction waits for you".to_owned(),
            false => print::table(["disclosure", "number", "kind", "acknowledge by", "fields"], &rows),
        },
        &rows_json.collect::<Vec<_>>(),
    )
}

/// Acknowledges a correction.
pub(super) async fn acknowledge(args: &AcknowledgeArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let name = wire::resource(DisclosureId::COLLECTION, &args.name);
    let call = client.request(pb::AcknowledgeCorrectionRequest { name, number: args.number });
    let done = client.answer("the acknowledgement", client.disclosure().acknowledge_correction(call)).await?;
    let disclosure = done.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(&args.way, &disclosure, &done.receipt, Kind::CorrectionAcknowledged)
}

pub(super) fn as_text(disclosure: &pb::Disclosure) -> String {
    let asked = disclosure.correction_requests.iter().map(|it| {
        let what = if it.field.is_empty() { "your need is withdrawn" } else { &it.field };
        let answer = match it.answer_time {
            None => "  not answered".to_owned(),
            Some(_) => format!("  {}\n{}", outcome(it), print::indented(&it.answer)),
        };
        let when = wire::moment(it.ask_time.as_ref());
        format!("\nyou asked   {when} {what}\n{}\n{answer}", print::indented(&it.text))
    });
    let corrections = disclosure.corrections.iter().map(|one| {
        let state = match &one.acknowledge_time {
            None => format!("acknowledge by {}", wire::moment(one.acknowledge_by.as_ref())),
            time => format!("acknowledged {}", wire::moment(time.as_ref())),
        };
        let statement = match one.statement.as_str() {
            "" => String::new(),
            statement => format!("\n{}", print::indented(statement)),
        };
        format!("\ncorrection  {} {}: {}; {state}{statement}", one.number, kind(one), one.fields.join(", "))
    });
    asked.chain(corrections).collect()
}

pub(super) fn as_json(one: &pb::Correction) -> Value {
    json!({
        "number": one.number,
        "kind": kind(one),
        "fields": one.fields,
        "statement": one.statement,
        "tell_time": wire::moment(one.tell_time.as_ref()),
        "acknowledge_by": wire::moment(one.acknowledge_by.as_ref()),
        "acknowledge_time": wire::moment(one.acknowledge_time.as_ref()),
    })
}

pub(super) fn inquiry_json(it: &pb::CorrectionInquiry) -> Value {
    json!({
        "field": it.field,
        "text": it.text,
        "ask_time": wire::moment(it.ask_time.as_ref()),
        "outcome": outcome(it),
        "answer": it.answer,
        "answer_time": wire::moment(it.answer_time.as_ref()),
    })
}

fn kind(one: &pb::Correction) -> &'static str {
    match one.kind() {
        pb::CorrectionKind::Unspecified => "unknown",
        pb::CorrectionKind::Changed => "changed",
        pb::CorrectionKind::Withdrawn => "withdrawn",
        pb::CorrectionKind::Statement => "statement",
    }
}

fn outcome(it: &pb::CorrectionInquiry) -> &'static str {
    match it.outcome() {
        pb::CorrectionOutcome::Unspecified => "",
        pb::CorrectionOutcome::Accepted => "accepted",
        pb::CorrectionOutcome::Refused => "refused",
    }
}

const PAUSE: Duration = Duration::from_secs(1);
/// A server that is started anew is there within a minute.
const TRIES: u32 = 60;
