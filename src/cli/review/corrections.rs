//! What comes after a release, from the officers' side.

use serde_json::{Value, json};

use super::super::fault::CliError;
use super::super::{print, wire};
use super::page::summary_json;
use super::tend::{name, told};
use super::{CaseArgs, Way};
use crate::grpc::client::Client;
use crate::grpc::pb::officer as pb;

/// An answer.
#[derive(Debug, clap::Args)]
pub struct AnswerArgs {
    /// Take it up; what follows of it (a corrected record, a statement, a release taken back) is done by itself
    #[arg(long, conflicts_with = "refuse", required_unless_present = "refuse")]
    pub accept: bool,
    /// Refuse it
    #[arg(long)]
    pub refuse: bool,
    /// The answer, 1 to 2,000 characters; the partner reads it
    #[arg(long, value_name = "TEXT")]
    pub answer: String,
    /// The rest.
    #[command(flatten)]
    pub case: CaseArgs,
}

/// A statement of correction.
#[derive(Debug, clap::Args)]
pub struct StateArgs {
    /// The statement, 1 to 2,000 characters; every recipient of the same fields reads it
    #[arg(long, value_name = "TEXT")]
    pub statement: String,
    /// The rest.
    #[command(flatten)]
    pub case: CaseArgs,
}

pub(super) async fn answer(args: &AnswerArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.case.way.client).await?;
    let (disclosure, answer) = (name(&args.case), args.answer.clone());
    let message = pb::AnswerCorrectionRequest { disclosure, accept: args.accept, answer };
    let call = client.request(message);
    told(&args.case, client.answer("the answer", client.case().answer_correction(call)).await?.summary)
}

pub(super) async fn state(args: &StateArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.case.way.client).await?;
    let (disclosure, statement) = (name(&args.case), args.statement.clone());
    let call = client.request(pb::StateCorrectionRequest { disclosure, statement });
    told(&args.case, client.answer("the statement", client.case().state_correction(call)).await?.summary)
}

pub(super) async fn list(overdue: bool, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let (mut cases, mut page_token) = (Vec::new(), String::new());
    loop {
        let call = client.request(pb::ListOpenCorrectionsRequest { page_size: PAGE_SIZE, page_token });
        let page = client.answer("the list", client.case().list_open_corrections(call)).await?;
        cases.extend(page.cases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    for case in &mut cases {
        case.corrections.retain(|one| one.overdue || !overdue);
    }
    cases.retain(|case| !case.corrections.is_empty());
    let rows: Vec<[String; 5]> = cases
        .iter()
        .flat_map(|case| case.corrections.iter().map(move |one| (case.summary.as_ref(), one)))
        .map(|(summary, one)| {
            let of = |text: fn(&pb::CaseSummary) -> &String| summary.map(text).cloned().unwrap_or_default();
            let by = wire::moment(one.acknowledge_by.as_ref());
            let late = if one.overdue { " (overdue)" } else { "" };
            let (kind, fields) = (one.kind.clone(), one.fields.join(", "));
            [of(|it| &it.disclosure), of(|it| &it.partner), kind, format!("{by}{late}"), fields]
        })
        .collect();
    let json = cases.iter().map(|case| {
        let corrections: Vec<Value> = case.corrections.iter().map(as_json).collect();
        json!({ "summary": case.summary.as_ref().map(summary_json), "corrections": corrections })
    });
    way.output.show(
        || match rows.is_empty() {
            true => "no correction waits for its recipient".to_owned(),
            false => print::table(["disclosure", "partner", "kind", "acknowledge by", "fields"], &rows),
        },
        &json.collect::<Vec<_>>(),
    )
}

pub(super) fn as_text(one: &pb::CaseCorrection) -> String {
    let made = wire::moment(one.make_time.as_ref());
    let state = match (&one.tell_time, &one.acknowledge_time) {
        (None, _) => "the partner is not told yet".to_owned(),
        (Some(_), None) => {
            let late = if one.overdue { ", overdue" } else { "" };
            format!("to be acknowledged by {}{late}", wire::moment(one.acknowledge_by.as_ref()))
        }
        (Some(_), time) => format!("acknowledged {}", wire::moment(time.as_ref())),
    };
    let statement = match one.statement.as_str() {
        "" => String::new(),
        statement => format!("\n{}", print::indented(statement)),
    };
    format!("  {made} {} {}: {}; {state}{statement}", one.made_by, one.kind, one.fields.join(", "))
}

pub(super) fn as_json(one: &pb::CaseCorrection) -> Value {
    json!({
        "number": one.number,
        "kind": one.kind,
        "fields": one.fields,
        "statement": one.statement,
        "made_by": one.made_by,
        "make_time": wire::moment(one.make_time.as_ref()),
        "tell_time": wire::moment(one.tell_time.as_ref()),
        "acknowledge_by": wire::moment(one.acknowledge_by.as_ref()),
        "acknowledge_time": wire::moment(one.acknowledge_time.as_ref()),
        "overdue": one.overdue,
    })
}

/// What the server gives at most.
const PAGE_SIZE: i32 = 200;
