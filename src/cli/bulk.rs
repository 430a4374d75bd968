//! Many questions over one stream, a bounded number of them under way.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::fault::CliError;
use super::formats::jsonl::Expected;
use super::print::{self, Output};
use super::query::{Bit, QueryArgs, check};
use super::sample::{self, QuestionInput};
use super::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::partner as pb;
use crate::grpc::pb::partner::ask_queries_response::Result as Outcome;
use crate::grpc::refused::Refused;

/// Asks the questions of a JSON Lines file and prints a line for each answer.
pub(super) async fn ask(args: &QueryArgs, path: &Path) -> Result<(), CliError> {
    let mut questions = sample::read_json_lines(path)?;
    let client = Client::connect(&args.client).await?;
    let (to_wire, from_here) = mpsc::channel(UNDER_WAY_MAX);
    let mut service = client.query();
    let call = service.ask_queries(ReceiverStream::new(from_here));
    // Nothing is asked before the stream stands, so a refusal of the stream itself counts nothing.
    let mut answers = client.answer("the stream of queries", call).await?;
    let (mut to_wire, mut under_way, mut tally) = (Some(to_wire), VecDeque::new(), Tally::default());
    let mut broken = None;
    loop {
        while let (Some(sender), true) = (&to_wire, under_way.len() < UNDER_WAY_MAX) {
            let Some(question) = questions.next() else {
                to_wire = None;
                break;
            };
            match question.and_then(|(line, input)| asked(args, path, line, input)) {
                Ok((asked, message)) => {
                    if sender.send(message).await.is_err() {
                        to_wire = None;
                    }
                    under_way.push_back(asked);
                }
                Err(error) => {
                    // What was asked is still answered, then the bad line is told.
                    (to_wire, broken) = (None, Some(error));
                }
            }
        }
        let Some(asked) = under_way.pop_front() else { break };
        let answer = client.next("an answer of the stream", &mut answers).await?;
        let answer = answer.ok_or_else(|| {
            CliError::Found(format!(
                "the stream ended with {} questions unanswered; ask those after line {} again",
                under_way.len().saturating_add(1),
                asked.line.saturating_sub(1)
            ))
        })?;
        show(args, &asked, answer, &mut tally)?;
    }
    match broken {
        Some(error) => Err(error),
        None => tally.end(),
    }
}

/// A question that was sent.
struct Asked {
    line: u64,
    request_id: String,
    probe: Option<String>,
    expected: Option<Expected>,
}

#[derive(Default)]
struct Tally {
    hits: u64,
    no_hits: u64,
    refused: u64,
    expected: u64,
    otherwise: u64,
}

impl Tally {
    fn answered(&mut self, bit: Bit, expected: Option<Expected>) {
        let count = match bit {
            Bit::Hit => &mut self.hits,
            Bit::NoHit => &mut self.no_hits,
        };
        *count = count.saturating_add(1);
        if let Some(expected) = expected {
            let same = matches!((bit, expected), (Bit::Hit, Expected::Hit) | (Bit::NoHit, Expected::NoHit));
            let count = if same { &mut self.expected } else { &mut self.otherwise };
            *count = count.saturating_add(1);
        }
    }

    fn end(&self) -> Result<(), CliError> {
        let Self { hits, no_hits, refused, expected, otherwise } = *self;
        let mut text = format!("{hits} HIT, {no_hits} NO HIT, {refused} refused");
        if expected > 0 || otherwise > 0 {
            text = format!("{text}; {expected} as expected, {otherwise} otherwise");
        }
        print::note(&text);
        match (refused, otherwise) {
            (0, 0) => Ok(()),
            (0, _) => Err(CliError::Found(format!("{otherwise} answers are not what the file expects"))),
            _ => Err(CliError::Found(format!("{refused} questions were refused; each line says why"))),
        }
    }
}

fn asked(
    args: &QueryArgs,
    path: &Path,
    line: u64,
    mut input: QuestionInput,
) -> Result<(Asked, pb::AskQueriesRequest), CliError> {
    let wrong = |what: String| CliError::Found(format!("line {line} of `{}`: {what}", path.display()));
    let request_id =
        wire::request_id(input.request_id.as_deref()).map_err(|error| wrong(error.to_string()))?;
    let samples = input.take_samples().map_err(wrong)?;
    let mut question = args.about.question(request_id.clone(), samples);
    if let Some(case) = input.case {
        question.case_reference = case;
    }
    if let Some(official) = input.official {
        question.official = official;
    }
    let asked = Asked { line, request_id, probe: input.probe, expected: input.expected };
    Ok((asked, pb::AskQueriesRequest { question: Some(question) }))
}

fn show(
    args: &QueryArgs,
    asked: &Asked,
    answer: pb::AskQueriesResponse,
    tally: &mut Tally,
) -> Result<(), CliError> {
    if answer.request_id != asked.request_id {
        return Err(CliError::Found(format!(
            "the server answered another question than that of line {}; ask those from there on again",
            asked.line
        )));
    }
    let called = asked.probe.clone().unwrap_or_else(|| format!("line {}", asked.line));
    let mut told = json!({ "line": asked.line, "probe": asked.probe, "request_id": asked.request_id });
    let text = match answer.result.ok_or_else(|| CliError::incomplete("answer"))? {
        Outcome::Answered(answered) => {
            let bit = Bit::of(&answered)?;
            let checked = check(&args.log_key, &answered, bit)?;
            tally.answered(bit, asked.expected);
            put(&mut told, "answer", json!(bit.word()));
            put(&mut told, "query", json!(answered.query));
            put(&mut told, "receipt", json!(answered.receipt));
            put(&mut told, "receipt_checked", checked.json());
            format!("{:<7}  {called}  {}", bit.words(), answered.query)
        }
        Outcome::Refused(refused) => {
            tally.refused = tally.refused.saturating_add(1);
            let refused = Refused::from_item(refused.code, &refused.reason, &refused.message);
            put(
                &mut told,
                "refused",
                json!({ "code": refused.code, "reason": refused.reason, "message": refused.message }),
            );
            format!("{:<7}  {called}  {refused}", "-")
        }
    };
    match args.output.output {
        Output::Text => print::line(&text),
        Output::Json => args.output.show(String::new, &told),
    }
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}

/// As many as the server works on at a time. Those that a broken stream leaves open can be asked again with their ids.
const UNDER_WAY_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unexpected_and_refused_answers_fail_the_run() {
        let mut tally = Tally::default();
        tally.answered(Bit::Hit, Some(Expected::Hit));
        tally.answered(Bit::NoHit, None);
        assert!(tally.end().is_ok());
        tally.answered(Bit::NoHit, Some(Expected::Hit));
        assert!(tally.end().unwrap_err().to_string().contains("1 answers are not"));
        tally.refused = 2;
        assert!(tally.end().unwrap_err().to_string().contains("2 questions were refused"));
    }
}
