//! `onebit query`: asks whether a person is in a collection, and shows the one bit.

use std::path::PathBuf;

use serde_json::json;

use super::bulk;
use super::fault::CliError;
use super::print::{self, OutputOption};
use super::receipt::LogKeyOption;
use super::{files, sample, wire};
use crate::audit::event::{Fact, Kind};
use crate::clock::{Clock, SystemClock};
use crate::grpc::client::{Client, ClientError, ClientOptions};
use crate::grpc::pb::partner as pb;
use crate::grpc::timestamp::timestamp_to_pb;
use crate::ids::QueryId;

/// Asks whether a person is in a collection, and shows the one bit: HIT or NO HIT
///
/// A question is about one person and belongs to a case, an official and a legal basis of yours. The answer
/// comes with a receipt: an entry of the log with the proof that it stands there. Keep it; with `--log-key` it
/// is checked at once, without the server.
///
/// Each question has a request id. If no answer came, ask again with the same id and the same samples: you get
/// the first answer, and it counts once.
///
/// Samples are vectors of the collection's extractor. `onebit agreement schemes` tells which extractor that is
/// and gives test vectors by which you can prove that yours is the same.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct QueryArgs {
    /// What the questions have in common.
    #[command(flatten)]
    pub about: About,
    /// A sample, from a NumPy array; rows count from 0. Give it again for several samples of one person
    #[arg(long, value_name = "FILE.npy[:ROW]", group = "input", required_unless_present_any = ["json", "jsonl"])]
    pub embedding: Vec<String>,
    /// The quality of each `--embedding`, 0 to 100, in the same order
    #[arg(long, value_name = "0-100", requires = "embedding", value_parser = clap::value_parser!(u8).range(..=100))]
    pub quality: Vec<u8>,
    /// The samples, from a JSON file: `{"embedding": […], "quality": 80}` or `{"samples": [{…}, …]}`
    #[arg(long, value_name = "FILE", group = "input", conflicts_with = "embedding")]
    pub json: Option<PathBuf>,
    /// Many questions over one stream, one a line in the form of `--json`
    ///
    /// A line may have its own `request_id`, `case` and `official`. `probe` names it in the output, and with
    /// `expected` (`HIT` or `NO_HIT`) the answers are counted that differ. One line comes out for each.
    #[arg(long, value_name = "FILE", group = "input", conflicts_with_all = ["embedding", "json"])]
    pub jsonl: Option<PathBuf>,
    /// The request id, a UUID; a new one by default
    #[arg(long, value_name = "UUID", conflicts_with = "jsonl")]
    pub request_id: Option<String>,
    /// Where to keep the receipt; a new file
    #[arg(long, value_name = "FILE", conflicts_with = "jsonl")]
    pub receipt_out: Option<PathBuf>,
    /// The key of the log.
    #[command(flatten)]
    pub log_key: LogKeyOption,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// What questions are about and for.
#[derive(Debug, clap::Args)]
pub struct About {
    /// The collection to search
    #[arg(long, value_name = "NAME")]
    pub collection: String,
    /// What for, as your agreement names it
    #[arg(long, value_name = "NAME")]
    pub purpose: String,
    /// Your reference of the case
    #[arg(long, value_name = "REFERENCE")]
    pub case: String,
    /// Your pseudonym of the official behind the question
    #[arg(long, value_name = "PSEUDONYM")]
    pub official: String,
    /// Your legal basis, such as an Act and its section
    #[arg(long, value_name = "TEXT")]
    pub legal_basis: String,
    /// The agreement to ask under; by default the one that covers purpose and collection
    #[arg(long, value_name = "NAME")]
    pub agreement: Option<String>,
    /// Somebody is waiting; kept in the log, no influence on the answer
    #[arg(long)]
    pub urgent: bool,
}

impl About {
    /// A question about the samples, as of now.
    pub(super) fn question(&self, request_id: String, samples: Vec<pb::Sample>) -> pb::Question {
        let urgency = if self.urgent { pb::Urgency::Urgent } else { pb::Urgency::Routine };
        pb::Question {
            request_id,
            collection: wire::resource("collections", &self.collection),
            agreement: self
                .agreement
                .as_deref()
                .map(|name| wire::resource("agreements", name))
                .unwrap_or_default(),
            purpose: self.purpose.clone(),
            case_reference: self.case.clone(),
            official: self.official.clone(),
            legal_basis: self.legal_basis.clone(),
            urgency: urgency.into(),
            samples,
            send_time: Some(timestamp_to_pb(SystemClock.now())),
        }
    }
}

/// Asks, and shows the answer.
///
/// # Errors
/// [`CliError`] when nothing was answered, or the receipt does not hold.
pub fn run(args: &QueryArgs) -> Result<(), CliError> {
    match &args.jsonl {
        Some(path) => wire::calling(bulk::ask(args, path)),
        None => wire::calling(ask(args)),
    }
}

async fn ask(args: &QueryArgs) -> Result<(), CliError> {
    let samples = samples(args)?;
    let request_id = wire::request_id(args.request_id.as_deref())?;
    let client = Client::connect(&args.client).await?;
    let question = args.about.question(request_id.clone(), samples);
    let request = client.request(pb::AskQueryRequest { question: Some(question) });
    let answered = client.answer("the query", client.query().ask_query(request)).await;
    if answered.as_ref().is_err_and(ClientError::is_worth_repeating) {
        print::note(&format!("to ask the same again, add --request-id {request_id}"));
    }
    let answered = answered?;
    // Kept before it is looked at: a receipt that does not hold is evidence.
    if let Some(path) = &args.receipt_out {
        files::write_new(path, answered.receipt.as_bytes())?;
    }
    let answer = Bit::of(&answered)?;
    let checked = check(&args.log_key, &answered, answer)?;
    let kept =
        args.receipt_out.as_ref().map_or_else(String::new, |path| format!(", kept in {}", path.display()));
    args.output.show(
        || {
            format!(
                "{}\n\nquery    {}\nrequest  {request_id}\nreceipt  {}{kept}",
                answer.words(),
                answered.query,
                checked.text()
            )
        },
        &json!({
            "answer": answer.word(), "query": answered.query, "request_id": request_id,
            "receipt": answered.receipt, "receipt_checked": checked.json(),
        }),
    )
}

/// The one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bit {
    Hit,
    NoHit,
}

impl Bit {
    /// The bit of an answer.
    pub(super) fn of(answered: &pb::AskQueryResponse) -> Result<Self, CliError> {
        match answered.answer() {
            pb::Answer::Hit => Ok(Self::Hit),
            pb::Answer::NoHit => Ok(Self::NoHit),
            // Neither yes nor no must ever be read as no.
            pb::Answer::Unspecified => Err(CliError::incomplete("answer")),
        }
    }

    /// The word for programs.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::NoHit => "NO_HIT",
        }
    }

    /// The words for people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::NoHit => "NO HIT",
        }
    }
}

/// Checks that the receipt holds and says what the answer says.
pub(super) fn check(
    key: &LogKeyOption,
    answered: &pb::AskQueryResponse,
    answer: Bit,
) -> Result<super::receipt::Checked, CliError> {
    let query = QueryId::parse_resource(&answered.query).map_err(|_| CliError::incomplete("query"))?;
    let outcome: &[u8] = match answer {
        Bit::Hit => &[1],
        Bit::NoHit => &[0],
    };
    key.check(
        &answered.receipt,
        Kind::QueryAnswered,
        &[(Fact::Query, query.as_bytes()), (Fact::Outcome, outcome)],
    )
}

fn samples(args: &QueryArgs) -> Result<Vec<pb::Sample>, CliError> {
    if let Some(path) = &args.json {
        let mut question = sample::read_json(path)?;
        return question
            .take_samples()
            .map_err(|what| CliError::Found(format!("`{}`: {what}", path.display())));
    }
    if !args.quality.is_empty() && args.quality.len() != args.embedding.len() {
        return Err(CliError::Usage("give one --quality for each --embedding, or none at all".to_owned()));
    }
    let qualities = args.quality.iter().copied().map(Some).chain(std::iter::repeat(None));
    let read = |(text, quality): (&String, _)| Ok(sample::sample(sample::read_embedding(text)?, quality));
    args.embedding.iter().zip(qualities).map(read).collect()
}

const EXAMPLES: &str = "\
Examples:
  onebit query --collection watch-face --purpose border-identity --case C-2026-17 \\
      --official officer-7f3a --legal-basis 'Example Act, s 10' --embedding probe.npy --receipt-out c17.receipt
  onebit query --collection watch-face --purpose border-identity --case nightly \\
      --official batch --legal-basis 'Example Act, s 10' --jsonl probes.jsonl --output json";
