//! `onebit breach notification`: what the Commissioner or affected people are told, signed by the privacy officer.

use std::path::PathBuf;

use serde_json::json;

use super::document::Document;
use super::{get, page};
use crate::cli::fault::CliError;
use crate::cli::print::OutputOption;
use crate::cli::signed::{self, Kind, Signing};
use crate::grpc::client::{Client, ClientOptions};
use crate::keys::SignatureDomain;
use crate::store::breach::BreachFinding;

/// To whom a notification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Addressee {
    /// The Privacy Commissioner (section 114)
    Commissioner,
    /// Everybody affected: one text, in which nobody is named (section 115)
    Individuals,
}

impl Addressee {
    /// The word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Commissioner => "commissioner",
            Self::Individuals => "individuals",
        }
    }
}

/// A notification to write.
#[derive(Debug, clap::Args)]
pub struct NotificationArgs {
    /// The case
    #[arg(value_name = "CASE")]
    pub name: String,
    /// To whom it goes
    #[arg(long, value_name = "WHO", value_enum)]
    pub to: Addressee,
    /// Whom to ask about it, and how: a person or an office of yours
    #[arg(long, value_name = "TEXT")]
    pub contact: String,
    /// What happened, for this reader; otherwise as the case says it
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// What affected people can do to avoid harm. Give it again for more
    #[arg(long, value_name = "TEXT", required_if_eq("to", "individuals"))]
    pub advice: Vec<String>,
    /// Another agency that you told, and why; for the Commissioner. Give it again for more
    #[arg(long = "agency", value_name = "TEXT")]
    pub agencies: Vec<String>,
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

/// A notification to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder with the notification
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Whom you expect to have signed: a certificate or a public key, PEM
    #[arg(long, value_name = "FILE")]
    pub signer: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Puts a notification together, writes and signs it.
pub(super) async fn make(args: &NotificationArgs) -> Result<(), CliError> {
    let ready = args.signing.ready(&KIND)?;
    let client = Client::connect(&args.client).await?;
    let (breach, holder) = get(&client, &args.name).await?;
    let finding = breach.assessment.as_ref().map(|one| one.finding.as_str());
    if finding != Some(BreachFinding::Notifiable.as_str()) {
        return Err(CliError::Found(
            "the breach was not found to be notifiable; `onebit breach assess` first".to_owned(),
        ));
    }
    let document = Document::of(&breach, &holder, args);
    let figures = serde_json::to_string_pretty(&document)
        .map_err(|error| CliError::because("the notification can't be put into words", error))?;
    let contents = [(signed::PAGE, page::draw(&document)), (signed::REPORT, format!("{figures}\n"))];
    let signer = ready.write(&contents)?;
    let out = &args.signing.out;
    args.output.show(
        || format!("to            {}\nsigned by     {signer}\nwritten       {}", document.to, out.display()),
        &json!({ "breach": breach.name, "to": document.to, "signer": signer.to_string(), "folder": out }),
    )
}

/// Checks a notification as whoever was given it can.
pub(super) fn verify(args: &VerifyArgs) -> Result<(), CliError> {
    let draw = |document: &Document| document.is_known_form().then(|| page::draw(document));
    let verified = signed::verify_drawn(&KIND, (&args.folder, &args.signer), "notification", draw)?;
    args.output.show(
        || format!("the notification is as it was signed\nsigned by {}", verified.signer),
        &json!({ "verified": true, "signer": verified.signer.to_string() }),
    )
}

const KIND: Kind = Kind {
    domain: SignatureDomain::BreachNotification,
    files: &[signed::PAGE, signed::REPORT],
    is_private: true,
};
