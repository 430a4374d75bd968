//! `onebit notices`: what waits for whom, whether they can be reached, and the key that webhooks are verified by.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fault::CliError;
use super::init::unusable;
use super::print::{self, OutputOption};
use super::wire;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::config::material::process_environment;
use crate::keys::NoticeSigner;
use crate::outbox::{Mail, NoticeSettings, Receiver, WebhookMessage, webhook_send};
use crate::secret::{SystemEntropy, random_bytes};
use crate::store::sqlite::{self, NoticesStatus, ReceiverStatus};
use crate::telemetry;

/// Shows what notices wait, and tries whether they arrive
///
/// People of the holder are told by mail, its systems and partners by webhook, as `[notices]` of the configuration and
/// the agreements say. A notice tells kind, time and ids, and nothing of a person.
#[derive(Debug, clap::Args)]
pub struct NoticesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NoticesCommand,
}

/// What can be done about notices.
#[derive(Debug, clap::Subcommand)]
pub enum NoticesCommand {
    /// Shows what waits for each receiver, and what was given up in the last 30 days
    ///
    /// It needs neither the root key nor a server. The exit code is 1 when something was given up.
    Status(StatusArgs),
    /// Sends a message that tells nothing to everybody who is configured, or to one of them
    ///
    /// The exit code is 1 when somebody did not take it. Partners are not written to; their system is tried with the
    /// first notice.
    Test(TestArgs),
    /// Prints the public key that webhooks are verified by
    Key(KeyArgs),
}

/// Of which store.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Whom to try.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
    /// Only this one, as `onebit notices status` names it: `person/NAME`, `system/NAME`
    #[arg(long, value_name = "NAME")]
    pub receiver: Option<String>,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Of which store.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when it can't be done, or somebody can't be told.
pub fn run(args: &NoticesArgs) -> Result<(), CliError> {
    match &args.command {
        NoticesCommand::Status(args) => status(args),
        NoticesCommand::Test(args) => wire::calling(test(args)),
        NoticesCommand::Key(args) => {
            let config = Config::read(&args.config).map_err(unusable)?;
            print::line(&signer(&config)?.public_text())
        }
    }
}

fn status(args: &StatusArgs) -> Result<(), CliError> {
    let config = Config::read(&args.config).map_err(unusable)?;
    let status = sqlite::notices_status(&config.store_folder)
        .map_err(|error| CliError::because("the notices can't be looked at", error))?;
    args.output.show(|| text(&status), &as_json(&status))?;
    let given_up: u64 = status.receivers.values().map(|receiver| receiver.given_up).sum();
    if given_up > 0 {
        return Err(CliError::Found(format!(
            "{given_up} notices were given up; mend what stands under `why`, and look at the cases themselves"
        )));
    }
    Ok(())
}

fn text(status: &NoticesStatus) -> String {
    if status.receivers.is_empty() {
        return format!("Nothing waits for anybody; {} to be addressed.", status.unaddressed);
    }
    let at = |time: Option<crate::clock::Timestamp>| time.map_or_else(String::new, |time| time.to_string());
    let rows: Vec<[String; 7]> = status
        .receivers
        .iter()
        .map(|(name, one)| {
            let ReceiverStatus { waiting, failing, given_up, oldest, next, reason } = one;
            [
                name.clone(),
                waiting.to_string(),
                failing.to_string(),
                given_up.to_string(),
                at(*oldest),
                at(*next),
                reason.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let table =
        print::table(["receiver", "waiting", "failed once", "given up", "since", "next", "why"], &rows);
    format!("{table}\n{} to be addressed.", status.unaddressed)
}

fn as_json(status: &NoticesStatus) -> Value {
    let receivers = status.receivers.iter().map(|(name, one)| {
        json!({
            "receiver": name,
            "waiting": one.waiting,
            "failing": one.failing,
            "given_up": one.given_up,
            "oldest": one.oldest.map(|at| at.to_string()),
            "next": one.next.map(|at| at.to_string()),
            "reason": one.reason,
        })
    });
    json!({ "unaddressed": status.unaddressed, "receivers": receivers.collect::<Vec<_>>() })
}

/// The key is the store's; a store that never sent a webhook has none yet.
fn signer(config: &Config) -> Result<NoticeSigner, CliError> {
    let root = config
        .root_key
        .open(&process_environment)
        .map_err(|error| CliError::because("the root key can't be opened", error))?;
    let found = sqlite::notice_signer(&config.store_folder, &root)
        .map_err(|error| CliError::because("the key can't be read", error))?;
    found.ok_or_else(|| {
        CliError::Found(
            "there is no key yet; the server makes it when it starts with a webhook in `[notices]`, or with `to_partners`"
                .to_owned(),
        )
    })
}

async fn test(args: &TestArgs) -> Result<(), CliError> {
    let config = Config::read(&args.config).map_err(unusable)?;
    let settings = config
        .notices_open()
        .map_err(|error| CliError::because("notices can't be sent as they are configured", error))?;
    let people = settings.people.keys().cloned().map(Receiver::Person);
    let all: Vec<Receiver> = people.chain(settings.systems.keys().cloned().map(Receiver::System)).collect();
    let wanted: Vec<&Receiver> =
        all.iter().filter(|one| args.receiver.as_ref().is_none_or(|name| one.to_string() == *name)).collect();
    if wanted.is_empty() {
        let named: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
        return Err(CliError::Usage(format!(
            "nobody of that name is told; those who are: {}",
            named.join(", ")
        )));
    }
    let signer = match wanted.iter().any(|one| matches!(one, Receiver::System(_))) {
        true => Some(signer(&config)?),
        false => None,
    };
    let mut tried = Vec::new();
    for receiver in wanted {
        tried.push((receiver.to_string(), attempt(&settings, receiver, signer.as_ref()).await?));
    }
    let shown = |why: &Option<String>| why.clone().unwrap_or_else(|| "delivered".to_owned());
    let text = || {
        let lines: Vec<String> = tried.iter().map(|(name, why)| format!("{name}: {}", shown(why))).collect();
        lines.join("\n")
    };
    let json: Vec<Value> = tried
        .iter()
        .map(|(name, why)| json!({ "receiver": name, "delivered": why.is_none(), "error": why }))
        .collect();
    args.output.show(text, &json)?;
    let failed = tried.iter().filter(|(_, why)| why.is_some()).count();
    if failed == 0 {
        Ok(())
    } else {
        Err(CliError::Found(format!("{failed} of {} could not be told", tried.len())))
    }
}

/// Tries one; gives why it failed, if it did. What a mail server says may hold an address, and is blotted out.
async fn attempt(
    settings: &NoticeSettings,
    receiver: &Receiver,
    signer: Option<&NoticeSigner>,
) -> Result<Option<String>, CliError> {
    let id: [u8; 16] = random_bytes(&SystemEntropy::new())
        .map_err(|error| CliError::because("the system gives no randomness", error))?;
    let now = SystemClock.now();
    let failed = match (receiver, &settings.mailer, signer) {
        (Receiver::Person(name), Some(mailer), _) => match settings.people.get(name) {
            Some(person) => {
                let sent = mailer.send(&Mail::test(&id), &person.address, now).await;
                sent.err().map(|error| format!("{} ({error})", error.reason()))
            }
            None => None,
        },
        (Receiver::System(name), _, Some(signer)) => match settings.systems.get(name) {
            Some(system) => {
                let (webhook, message) = (&system.webhook, WebhookMessage::test(&id, now));
                let reach = settings.reach(&webhook.url.host);
                let sent = webhook_send(webhook, reach, &message, signer, now).await;
                sent.err().map(|error| format!("{} ({})", error.reason(), telemetry::chain(&error)))
            }
            None => None,
        },
        _ => Some("nothing to tell it by is configured".to_owned()),
    };
    Ok(failed)
}
