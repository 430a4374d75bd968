//! `onebit subject report`: what is held of a person, for the person, signed by the privacy officer.

use std::path::PathBuf;

use serde_json::json;

use super::document::Document;
use super::page;
use crate::cli::fault::CliError;
use crate::cli::print::OutputOption;
use crate::cli::sample::{read_embedding, sample};
use crate::cli::signed::{self, Kind, Signing};
use crate::cli::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::oversight as pb;
use crate::grpc::pb::oversight::report_subject_request::Who;
use crate::keys::SignatureDomain;

/// A report to make.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The source system's id of the person
    #[arg(long, value_name = "ID", required_unless_present_any = ["embedding", "subject"], conflicts_with_all = ["embedding", "subject"])]
    pub source_id: Option<String>,
    /// The id of the person here, as `onebit subject duplicates` and `onebit subject show` name it
    #[arg(long, value_name = "SUBJECT", conflicts_with = "embedding")]
    pub subject: Option<String>,
    /// A fresh sample of the person, from a NumPy array; rows count from 0. Give it again for several of one person
    #[arg(long, value_name = "FILE.npy[:ROW]", requires = "collection")]
    pub embedding: Vec<String>,
    /// The quality of each `--embedding`, 0 to 100, in the same order
    #[arg(long, value_name = "0-100", requires = "embedding", value_parser = clap::value_parser!(u8).range(..=100))]
    pub quality: Vec<u8>,
    /// The collection in which the sample is looked for
    #[arg(long, value_name = "NAME", requires = "embedding")]
    pub collection: Option<String>,
    /// Why it is made; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The request that it answers
    #[arg(long, value_name = "REQUEST")]
    pub request: Option<String>,
    /// What the person is not given, the section of the Privacy Act 2020, and why: `queries:53(c):an investigation is under
    /// way`. WHAT is `templates`, `record`, `statements`, `restrictions`, `queries`, `hidden-queries` or `disclosures`, or
    /// one thing, such as `queries/ID`, `hidden-queries/ID` or `disclosures/ID`. Give it again for more
    #[arg(long, value_name = "WHAT:SECTION:REASON", value_parser = withholding)]
    pub withhold: Vec<Withheld>,
    /// The signature.
    #[command(flatten)]
    pub signing: Signing,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// What is withheld, by which section, and why.
#[derive(Debug, Clone)]
pub struct Withheld {
    part: String,
    item: String,
    ground: String,
    reason: String,
}

/// A report to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder with the report
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Whom you expect to have signed: a certificate or a public key, PEM
    #[arg(long, value_name = "FILE")]
    pub signer: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

fn withholding(text: &str) -> Result<Withheld, String> {
    let mut parts = text.splitn(3, ':').map(str::trim);
    let (Some(what), Some(ground), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(
            "write what is withheld, the section and why, such as `queries:53(c):a reason`".to_owned()
        );
    };
    if reason.is_empty() {
        return Err("say why it is withheld, behind the section".to_owned());
    }
    let (part, item) = match what.split_once('/') {
        None => (what, String::new()),
        Some((part @ "hidden-queries", id)) => (part, format!("queries/{id}")),
        Some((part, _)) => (part, what.to_owned()),
    };
    Ok(Withheld { part: part.to_owned(), item, ground: ground.to_owned(), reason: reason.to_owned() })
}

/// Asks for a report, writes and signs it.
pub(super) async fn make(args: &ReportArgs) -> Result<(), CliError> {
    // What is asked for is an entry: nothing is asked that could not be written.
    let ready = args.signing.ready(&KIND)?;
    let who = who(args)?;
    let client = Client::connect(&args.client).await?;
    let withheld = args.withhold.iter().map(|one| pb::Withholding {
        part: one.part.clone(),
        item: one.item.clone(),
        ground: one.ground.clone(),
        reason: one.reason.clone(),
    });
    let request = args.request.as_deref().map(|name| wire::resource(super::request::REQUESTS, name));
    let call = client.request(pb::ReportSubjectRequest {
        who: Some(who),
        withheld: withheld.collect(),
        request: request.unwrap_or_default(),
        reason: args.reason.clone(),
    });
    let report = client.answer("the report", client.subject().report_subject(call)).await?;
    let document = Document::of(&report);
    let figures = serde_json::to_string_pretty(&document)
        .map_err(|error| CliError::because("the report can't be put into words", error))?;
    let contents = [(signed::PAGE, page::draw(&document)), (signed::REPORT, format!("{figures}\n"))];
    let (signer, out) = (ready.write(&contents)?, &args.signing.out);
    args.output.show(
        || {
            let found =
                if document.known { document.told() } else { "nothing is held of this person".to_owned() };
            format!("{found}\nsigned by     {signer}\nwritten       {}", out.display())
        },
        &json!({
            "known": document.known, "signer": signer.to_string(), "folder": out, "receipt": report.receipt,
        }),
    )
}

fn who(args: &ReportArgs) -> Result<Who, CliError> {
    if let Some(source_id) = &args.source_id {
        return Ok(Who::SourceId(source_id.clone()));
    }
    if let Some(subject) = &args.subject {
        return Ok(Who::Subject(wire::resource("subjects", subject)));
    }
    if !args.quality.is_empty() && args.quality.len() != args.embedding.len() {
        return Err(CliError::Usage("give each --embedding its --quality, or none of them".to_owned()));
    }
    let qualities = args.quality.iter().copied().map(Some).chain(std::iter::repeat(None));
    let samples = args.embedding.iter().zip(qualities);
    let samples = samples.map(|(file, quality)| Ok(sample(read_embedding(file)?, quality)));
    Ok(Who::Samples(pb::SubjectSamples {
        collection: wire::resource("collections", args.collection.as_deref().unwrap_or_default()),
        samples: samples.collect::<Result<_, CliError>>()?,
    }))
}

/// Checks a report as whoever was given it can.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let draw = |document: &Document| document.is_known_form().then(|| page::draw(document));
    let verified = signed::verify_drawn(&KIND, (&args.folder, &args.signer), "report", draw)?;
    args.output.show(
        || format!("the report is as it was signed\nsigned by {}", verified.signer),
        &json!({ "verified": true, "signer": verified.signer.to_string() }),
    )
}

const KIND: Kind =
    Kind { domain: SignatureDomain::SubjectReport, files: &[signed::PAGE, signed::REPORT], is_private: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_a_part_or_one_thing_of_it() {
        let read = |text: &str| withholding(text).map(|it| [it.part, it.item, it.ground, it.reason]);
        assert_eq!(read("queries:53(c):a: b").unwrap(), ["queries", "", "53(c)", "a: b"]);
        assert_eq!(read("hidden-queries/07:49:c").unwrap(), ["hidden-queries", "queries/07", "49", "c"]);
        assert_eq!(read("disclosures/07:50:c").unwrap()[1], "disclosures/07");
        for bad in ["queries", "queries:49", "queries:49: "] {
            assert!(read(bad).is_err(), "`{bad}`");
        }
    }
}
