//! `onebit request`: disclosures, from the partner's side.

mod corrections;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fault::CliError;
use super::print::{self, OutputOption};
use super::receipt::LogKeyOption;
use super::{files, sample, wire};
use crate::approval::{Answer, AskParts, Fields, PartnerAsk, sample_digest};
use crate::audit::event::{Fact, Kind};
use crate::clock::{Clock, SystemClock};
use crate::grpc::client::{Client, ClientError, ClientOptions};
use crate::grpc::pb::partner as pb;
use crate::grpc::pb::partner::answer_question_request::Signature as AnswerSignature;
use crate::grpc::pb::partner::request_disclosure_request::Signature;
use crate::grpc::timestamp::timestamp_to_pb;
use crate::ids::{Digest, DisclosureId, FieldName, QueryId, RequestId};
use crate::keys::SignatureDomain;

/// Asks for fields of a record after a hit, and receives what people release
///
/// After a HIT you may ask for named fields of that person's record. Officers of the holder decide; what they
/// release is sealed to your release key (`onebit release-key`). The way: `request new`, `request show` until
/// it is released, `request fetch`, `onebit open`, `request acknowledge`.
#[derive(Debug, clap::Args)]
pub struct RequestArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RequestCommand,
}

/// What can be done with disclosures.
#[derive(Debug, clap::Subcommand)]
pub enum RequestCommand {
    /// Asks for fields, signed with the key of your certificate
    New(Box<NewArgs>),
    /// Lists your disclosures, newest first
    List(ListArgs),
    /// Shows where a disclosure stands
    Show(NameArgs),
    /// Answers what the holder's officers ask, signed with the key of your certificate
    Answer(AnswerArgs),
    /// Takes a request back that was not decided
    Withdraw(NameArgs),
    /// Shows where a disclosure stands, and again whenever that changes, until it has ended
    Watch(corrections::WatchArgs),
    /// Asks the holder to correct a released field, or withdraws your need; signed with the key of your certificate
    Correct(corrections::CorrectArgs),
    /// Lists the corrections of what you received that you have not acknowledged
    Corrections(corrections::ListArgs),
    /// Says that you acted on a correction
    AcknowledgeCorrection(corrections::AcknowledgeArgs),
    /// Fetches a release, still sealed, into a file that `onebit open` opens
    Fetch(FetchArgs),
    /// Says that a release was opened; the holder then deletes it
    Acknowledge(AcknowledgeArgs),
}

/// A request for fields.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// Your query that was answered HIT
    #[arg(long, value_name = "NAME")]
    pub query: String,
    /// A field to ask for, such as `family-name`; give it again for more
    #[arg(long = "field", value_name = "NAME", required = true)]
    pub fields: Vec<String>,
    /// What for, as your agreement names it
    #[arg(long, value_name = "NAME")]
    pub purpose: String,
    /// Your legal basis, such as an Act and its section
    #[arg(long, value_name = "TEXT")]
    pub legal_basis: String,
    /// Why these fields are needed in this case, 20 to 4,000 characters; officers read it
    #[arg(long, value_name = "TEXT", required_unless_present = "justification_file")]
    pub justification: Option<String>,
    /// The same, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "justification")]
    pub justification_file: Option<PathBuf>,
    /// Your pseudonym of the official who asks
    #[arg(long, value_name = "PSEUDONYM")]
    pub official: String,
    /// Why it can't wait, 20 to 2,000 characters: asks for the urgent path, where your agreement has one
    #[arg(long, value_name = "REASON")]
    pub urgent: Option<String>,
    /// A fresh sample of the person, from a NumPy array; rows count from 0: where your agreement wants one
    #[arg(long, value_name = "FILE.npy[:ROW]")]
    pub embedding: Option<String>,
    /// The quality of `--embedding`, 0 to 100
    #[arg(long, value_name = "0-100", requires = "embedding", value_parser = clap::value_parser!(u8).range(..=100))]
    pub quality: Option<u8>,
    /// The fresh sample, from a JSON file: `{"embedding": […], "quality": 80}`
    #[arg(long, value_name = "FILE", conflicts_with = "embedding")]
    pub json: Option<PathBuf>,
    /// The request id, a UUID; a new one by default
    #[arg(long, value_name = "UUID")]
    pub request_id: Option<String>,
    /// Where to keep the receipt; a new file
    #[arg(long, value_name = "FILE")]
    pub receipt_out: Option<PathBuf>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// One disclosure.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// An answer.
#[derive(Debug, clap::Args)]
pub struct AnswerArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The answer to the open question, 1 to 4,000 characters; officers read it
    #[arg(long, value_name = "TEXT")]
    pub answer: String,
    /// Your pseudonym of the official who answers
    #[arg(long, value_name = "PSEUDONYM")]
    pub official: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A release to fetch.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The file to write, with the ciphertext, what binds it, and the receipt; a new file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A release that was opened.
#[derive(Debug, clap::Args)]
pub struct AcknowledgeArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub name: String,
    /// The file that `onebit request fetch` wrote
    #[arg(long, value_name = "FILE")]
    pub release: PathBuf,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// What all of them take.
#[derive(Debug, Clone, clap::Args)]
pub struct Way {
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

/// A fetched release in its file: sealed, so that it may lie anywhere.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseFile {
    /// The disclosure, `disclosures/…`.
    pub disclosure: String,
    /// The encapsulated key and the ciphertext, base64.
    pub ciphertext: String,
    /// What HPKE took as `info`, base64.
    pub info: String,
    /// The receipt of the release's entry.
    pub receipt: String,
}

impl ReleaseFile {
    /// Reads the file that `onebit request fetch` wrote.
    ///
    /// # Errors
    /// [`CliError`] when it can't be read or is another file.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        serde_json::from_str(&files::read_text(path)?).map_err(|error| {
            let what = format!("`{}` is not a file that `onebit request fetch` wrote", path.display());
            CliError::because(what, error)
        })
    }

    /// The encapsulated key and the ciphertext.
    ///
    /// # Errors
    /// [`CliError::Found`] when they are not base64.
    pub fn ciphertext(&self) -> Result<Vec<u8>, CliError> {
        wire::from_base64("the ciphertext of the release", &self.ciphertext)
    }

    /// What HPKE took as `info`.
    ///
    /// # Errors
    /// [`CliError::Found`] when it is not base64.
    pub fn info(&self) -> Result<Vec<u8>, CliError> {
        wire::from_base64("the info of the release", &self.info)
    }
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the server refuses, or a receipt does not hold.
pub fn run(args: &RequestArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            RequestCommand::New(args) => new(args).await,
            RequestCommand::List(args) => list(args).await,
            RequestCommand::Show(args) => show(args).await,
            RequestCommand::Answer(args) => answer(args).await,
            RequestCommand::Withdraw(args) => withdraw(args).await,
            RequestCommand::Watch(args) => corrections::watch(args).await,
            RequestCommand::Correct(args) => corrections::correct(args).await,
            RequestCommand::Corrections(args) => corrections::list(args).await,
            RequestCommand::AcknowledgeCorrection(args) => corrections::acknowledge(args).await,
            RequestCommand::Fetch(args) => fetch(args).await,
            RequestCommand::Acknowledge(args) => {
                let release = ReleaseFile::read(&args.release)?;
                let name = wire::resource(DisclosureId::COLLECTION, &args.name);
                if name != release.disclosure {
                    let other = format!("`{}` is of {}", args.release.display(), release.disclosure);
                    return Err(CliError::Usage(other));
                }
                acknowledge(&release, &args.way).await
            }
        }
    })
}

async fn new(args: &NewArgs) -> Result<(), CliError> {
    let fresh_sample = fresh_sample(args)?;
    let ask = ask(args, fresh_sample.as_ref())?;
    // INVARIANT: `PartnerAsk::signed_bytes` and the key's domain say the same; a test below holds them together.
    let signature = args.way.client.signing_key()?.sign(SignatureDomain::DisclosureRequest, &ask.digest());
    let signature = signature.map_err(|error| CliError::because("the request can't be signed", error))?;
    let request_id = uuid::Uuid::from_bytes(*ask.request_id().as_bytes()).to_string();
    let message = pb::RequestDisclosureRequest {
        request_id: request_id.clone(),
        query: ask.query().resource(),
        fields: ask.fields().iter().map(|field| field.as_str().to_owned()).collect(),
        purpose: ask.purpose().as_str().to_owned(),
        legal_basis: ask.legal_basis().to_owned(),
        justification: ask.justification().to_owned(),
        official: ask.official().to_owned(),
        send_time: Some(timestamp_to_pb(SystemClock.now())),
        urgent_reason: ask.urgent().map(str::to_owned),
        fresh_sample,
        signature: Some(Signature::CertificateSignature(signature)),
    };
    let client = Client::connect(&args.way.client).await?;
    let call = client.request(message);
    let made = client.answer("the request", client.disclosure().request_disclosure(call)).await;
    if made.as_ref().is_err_and(ClientError::is_worth_repeating) {
        print::note(&format!("to ask the same again, add --request-id {request_id}"));
    }
    let made = made?;
    if let Some(path) = &args.receipt_out {
        files::write_new(path, made.receipt.as_bytes())?;
    }
    let disclosure = made.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(&args.way, &disclosure, &made.receipt, Kind::DisclosureRequested)
}

async fn list(args: &ListArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let (mut disclosures, mut page_token) = (Vec::new(), String::new());
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    loop {
        let call = client.request(pb::ListDisclosuresRequest { page_size: PAGE_SIZE, page_token });
        let page = client.answer("the list", client.disclosure().list_disclosures(call)).await?;
        disclosures.extend(page.disclosures);
        page_token = page.next_page_token;
        if page_token.is_empty() || disclosures.len() >= limit {
            break;
        }
    }
    disclosures.truncate(limit);
    let rows: Vec<_> = disclosures.iter().map(row).collect();
    args.way.output.show(
        || match rows.is_empty() {
            true => "you have asked for no disclosure".to_owned(),
            false => print::table(["disclosure", "state", "asked", "ends", "fields"], &rows),
        },
        &disclosures.iter().map(as_json).collect::<Vec<_>>(),
    )
}

async fn get(client: &Client, name: &str) -> Result<pb::Disclosure, CliError> {
    let name = wire::resource(DisclosureId::COLLECTION, name);
    let call = client.request(pb::GetDisclosureRequest { name });
    let found = client.answer("the disclosure", client.disclosure().get_disclosure(call)).await?;
    found.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))
}

/// Answers the last question; what is signed names exactly that one.
async fn answer(args: &AnswerArgs) -> Result<(), CliError> {
    let key = args.way.client.signing_key()?;
    let client = Client::connect(&args.way.client).await?;
    let found = get(&client, &args.name).await?;
    let open = found.questions.last().filter(|question| question.answer_time.is_none());
    let open = open.ok_or_else(|| CliError::Found("nothing is asked about this disclosure".to_owned()))?;
    let question = wire::digest("question digest", &open.digest)?;
    let id = DisclosureId::parse_resource(&found.name).map_err(|error| CliError::Usage(error.to_string()))?;
    let answer = Answer::new(id, question, args.answer.clone(), args.official.clone())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let signature = key
        .sign(SignatureDomain::DisclosureAnswer, &answer.digest())
        .map_err(|error| CliError::because("the answer can't be signed", error))?;
    let call = client.request(pb::AnswerQuestionRequest {
        name: found.name,
        question_digest: question.as_bytes().to_vec(),
        answer: args.answer.clone(),
        official: args.official.clone(),
        signature: Some(AnswerSignature::CertificateSignature(signature)),
    });
    let done = client.answer("the answer", client.disclosure().answer_question(call)).await?;
    let disclosure = done.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(&args.way, &disclosure, &done.receipt, Kind::DisclosureAnswered)
}

async fn show(args: &NameArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let disclosure = get(&client, &args.name).await?;
    args.way.output.show(|| as_text(&disclosure), &as_json(&disclosure))
}

async fn withdraw(args: &NameArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let name = wire::resource(DisclosureId::COLLECTION, &args.name);
    let call = client.request(pb::WithdrawDisclosureRequest { name });
    let done = client.answer("the withdrawal", client.disclosure().withdraw_disclosure(call)).await?;
    let disclosure = done.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(&args.way, &disclosure, &done.receipt, Kind::DisclosureWithdrawn)
}

async fn fetch(args: &FetchArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let name = wire::resource(DisclosureId::COLLECTION, &args.name);
    let call = client.request(pb::FetchReleaseRequest { name: name.clone() });
    let release = client.answer("the release", client.disclosure().fetch_release(call)).await?;
    let digest = Digest::sha256(&release.ciphertext);
    let file = ReleaseFile {
        disclosure: name.clone(),
        ciphertext: wire::base64(&release.ciphertext),
        info: wire::base64(&release.info),
        receipt: release.receipt.clone(),
    };
    let content = serde_json::to_vec_pretty(&file).map_err(|error| CliError::Output(error.into()))?;
    files::write_private(&args.out, &content)?;
    let facts = [(Fact::CiphertextDigest, digest.as_bytes().as_slice())];
    let checked = args.way.log_key.check(&release.receipt, Kind::DisclosureReleased, &facts)?;
    args.way.output.show(
        || {
            format!(
                "fetched {name} into {}, still sealed\nsha-256  {digest}\nreceipt  {}\n\n\
                 open it with: onebit open {} --release-key FILE",
                args.out.display(),
                checked.text(),
                args.out.display()
            )
        },
        &json!({
            "disclosure": name, "file": args.out, "ciphertext_sha256": digest.to_string(),
            "receipt_checked": checked.json(),
        }),
    )
}

/// Says that the release in the file was opened, and shows where its disclosure stands now.
pub(super) async fn acknowledge(release: &ReleaseFile, way: &Way) -> Result<(), CliError> {
    let digest = Digest::sha256(&release.ciphertext()?);
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::AcknowledgeReleaseRequest {
        name: release.disclosure.clone(),
        ciphertext_sha256: digest.as_bytes().to_vec(),
    });
    let done = client.answer("the acknowledgement", client.disclosure().acknowledge_release(call)).await?;
    let disclosure = done.disclosure.ok_or_else(|| CliError::incomplete("disclosure"))?;
    told(way, &disclosure, &done.receipt, Kind::DisclosureAcknowledged)
}

/// Shows a disclosure with the receipt of what just happened to it.
fn told(way: &Way, disclosure: &pb::Disclosure, receipt: &str, kind: Kind) -> Result<(), CliError> {
    let id =
        DisclosureId::parse_resource(&disclosure.name).map_err(|_| CliError::incomplete("disclosure"))?;
    let checked = way.log_key.check(receipt, kind, &[(Fact::Disclosure, id.as_bytes())])?;
    let mut json = as_json(disclosure);
    if let Value::Object(fields) = &mut json {
        fields.insert("receipt".to_owned(), json!(receipt));
        fields.insert("receipt_checked".to_owned(), checked.json());
    }
    way.output.show(|| format!("{}\nreceipt     {}", as_text(disclosure), checked.text()), &json)
}

fn fresh_sample(args: &NewArgs) -> Result<Option<pb::Sample>, CliError> {
    if let Some(path) = &args.json {
        let samples = sample::read_json(path)?.take_samples();
        let one = samples.and_then(|samples| match <[pb::Sample; 1]>::try_from(samples) {
            Ok([one]) => Ok(one),
            Err(several) => Err(format!("{} samples are there; give one", several.len())),
        });
        return one.map(Some).map_err(|what| CliError::Found(format!("`{}`: {what}", path.display())));
    }
    let read = |file: &String| Ok(sample::sample(sample::read_embedding(file)?, args.quality));
    args.embedding.as_ref().map(read).transpose()
}

fn ask(args: &NewArgs, fresh_sample: Option<&pb::Sample>) -> Result<PartnerAsk, CliError> {
    let usage = |option: &str, error: &dyn std::fmt::Display| CliError::Usage(format!("{option}: {error}"));
    let request_id = wire::request_id(args.request_id.as_deref())?;
    let justification = match (&args.justification, &args.justification_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => files::read_text(path)?.trim_end().to_owned(),
        (None, None) => return Err(CliError::Usage("--justification is missing".to_owned())),
    };
    let fields = args.fields.iter().map(|name| name.parse::<FieldName>());
    let fields = fields.collect::<Result<Vec<_>, _>>().map_err(|error| usage("--field", &error))?;
    let request_id = RequestId::parse_uuid(&request_id).map_err(|error| usage("--request-id", &error))?;
    let digest_of = |sent: &pb::Sample| Some(sample_digest(request_id, &sample::as_received(sent)?));
    PartnerAsk::new(AskParts {
        request_id,
        query: QueryId::parse_resource(&wire::resource(QueryId::COLLECTION, &args.query))
            .map_err(|error| usage("--query", &error))?,
        purpose: args.purpose.parse().map_err(|error| usage("--purpose", &error))?,
        fields: Fields::new(fields).map_err(|error| usage("--field", &error))?,
        justification,
        legal_basis: args.legal_basis.clone(),
        official: args.official.clone(),
        urgent: args.urgent.clone(),
        sample: fresh_sample.and_then(digest_of),
    })
    .map_err(|error| CliError::Usage(error.to_string()))
}

fn row(disclosure: &pb::Disclosure) -> [String; 5] {
    [
        disclosure.name.clone(),
        state(disclosure.state()).to_owned(),
        wire::moment(disclosure.create_time.as_ref()),
        wire::moment(disclosure.expire_time.as_ref()),
        disclosure.fields.join(", "),
    ]
}

fn as_text(disclosure: &pb::Disclosure) -> String {
    let [name, state, asked, ends, fields] = row(disclosure);
    format!(
        "disclosure  {name}\nstate       {state}\nquery       {}\n\
         fields      {fields}\nasked       {asked}\nends        {ends}",
        disclosure.query
    ) + &disclosure.questions.iter().map(question_text).collect::<String>()
        + &corrections::as_text(disclosure)
}

fn question_text(question: &pb::Inquiry) -> String {
    let (asked, answered) =
        (wire::moment(question.ask_time.as_ref()), wire::moment(question.answer_time.as_ref()));
    let asked = format!("\nquestion    {asked}\n{}", print::indented(&question.text));
    match question.answer_time {
        None => format!("{asked}\nanswer it with `onebit request answer`"),
        Some(_) => format!("{asked}\nanswer      {answered}\n{}", print::indented(&question.answer)),
    }
}

fn as_json(disclosure: &pb::Disclosure) -> Value {
    json!({
        "disclosure": disclosure.name,
        "state": state(disclosure.state()),
        "query": disclosure.query,
        "fields": disclosure.fields,
        "create_time": wire::moment(disclosure.create_time.as_ref()),
        "expire_time": wire::moment(disclosure.expire_time.as_ref()),
        "questions": disclosure.questions.iter().map(question_json).collect::<Vec<_>>(),
        "corrections": disclosure.corrections.iter().map(corrections::as_json).collect::<Vec<_>>(),
        "correction_requests":
            disclosure.correction_requests.iter().map(corrections::inquiry_json).collect::<Vec<_>>(),
    })
}

fn question_json(question: &pb::Inquiry) -> Value {
    json!({
        "text": question.text,
        "ask_time": wire::moment(question.ask_time.as_ref()),
        "digest": wire::hex(&question.digest),
        "answer": question.answer,
        "answer_time": wire::moment(question.answer_time.as_ref()),
    })
}

const fn state(state: pb::DisclosureState) -> &'static str {
    match state {
        pb::DisclosureState::Unspecified => "unknown",
        pb::DisclosureState::Pending => "pending",
        pb::DisclosureState::Released => "released",
        pb::DisclosureState::Acknowledged => "acknowledged",
        pb::DisclosureState::Denied => "denied",
        pb::DisclosureState::Withdrawn => "withdrawn",
        pb::DisclosureState::Expired => "expired",
        pb::DisclosureState::NeedsInformation => "needs-information",
        pb::DisclosureState::Lapsed => "lapsed",
        pb::DisclosureState::Revoked => "revoked",
    }
}

/// What the server gives at most.
const PAGE_SIZE: i32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> NewArgs {
        NewArgs {
            query: "11111111111111111111111111111111".to_owned(),
            fields: vec!["family-name".to_owned(), "case-number".to_owned()],
            purpose: "border-identity".to_owned(),
            legal_basis: "Example Act, s 10".to_owned(),
            justification: Some("Two identities, one face; which is on record?".to_owned()),
            justification_file: None,
            official: "officer-7f3a".to_owned(),
            urgent: None,
            embedding: None,
            quality: None,
            json: None,
            request_id: None,
            receipt_out: None,
            way: Way {
                log_key: LogKeyOption::default(),
                output: OutputOption::default(),
                client: ClientOptions::default(),
            },
        }
    }

    #[test]
    fn what_is_signed_is_what_the_server_verifies() {
        let ask = ask(&args(), None).unwrap();
        assert_eq!(
            SignatureDomain::DisclosureRequest.message(&ask.digest()),
            ask.signed_bytes(),
            "the domain of the key and that of the request must be one text, or no request is ever accepted"
        );
    }

    #[test]
    fn bad_options_are_named() {
        let error = |change: fn(&mut NewArgs)| {
            let mut args = args();
            change(&mut args);
            ask(&args, None).err().unwrap().to_string()
        };
        assert!(error(|args| args.fields.push("Family Name".to_owned())).starts_with("--field: "));
        assert!(error(|args| args.query = "q".to_owned()).starts_with("--query: "));
        assert!(error(|args| args.justification = Some("short".to_owned())).contains("justification"));
        assert!(error(|args| args.request_id = Some("7".to_owned())).starts_with("--request-id: "));
    }
}
