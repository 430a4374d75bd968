//! `onebit breach`: a breach of privacy, from the moment the holder knows of it to its end.

mod document;
mod notification;
mod page;
mod show;

use serde_json::{Value, json};

use super::fault::CliError;
use super::way::Way;
use super::wire;
use crate::clock::Timestamp;
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;
use crate::grpc::timestamp::timestamp_to_pb;
use show::{list, people_as_json, people_as_text, shown};

/// Keeps a case about a breach of privacy: whom it affects, how it was assessed, who was told, and by when
///
/// The Privacy Commissioner is to be told within 72 hours after you came to know of a breach that is likely to cause serious
/// harm (Privacy Act 2020, Part 6).
#[derive(Debug, clap::Args)]
pub struct BreachArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BreachCommand,
}

/// What can be done with a breach.
#[derive(Debug, clap::Subcommand)]
pub enum BreachCommand {
    /// Opens a case; its clock begins when you came to know of the breach
    Open {
        /// What kind: `access`, `disclosure`, `alteration`, `loss` or `unavailable`
        #[arg(long, value_name = "KIND")]
        kind: String,
        /// What happened, without anybody's name
        #[arg(long, value_name = "TEXT")]
        what: String,
        /// When you came to know of it, such as `2026-07-01T08:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = moment)]
        aware: Timestamp,
        /// Where it was found: an alert, or an entry of the log as `JOURNAL/INDEX`. Give it again for more
        #[arg(long = "found-by", value_name = "ALERT|ENTRY")]
        found_by: Vec<String>,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Keeps what was done to contain it
    Contain {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// What was done
        #[arg(long, value_name = "TEXT")]
        what: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Looks through the log for whom it affects and who received something; that you did is an entry with your reason
    ///
    /// People are named by random ids, and fields by name: never a value.
    Affected(Box<AffectedArgs>),
    /// Keeps the assessment: each of the six factors of section 113, and what came of it
    Assess {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// A factor and what is to be said of it, such as `sensitivity:names and dates of birth`. Give each once: `action`,
        /// `sensitivity`, `harm`, `recipient`, `security`, `other`
        #[arg(long = "factor", value_name = "FACTOR:TEXT", value_parser = factor, required = true)]
        factors: Vec<Considered>,
        /// What came of it: `notifiable` or `not-notifiable`, which takes a second person of another role
        #[arg(long, value_name = "FINDING")]
        finding: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Confirms, as a second person of another role, that a breach is not notifiable
    Confirm {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Keeps who was told, or why affected people are not
    Notified {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// Who: `commissioner`, `individuals`, `public-notice`; or `exception`
        #[arg(long, value_name = "WHO")]
        to: String,
        /// When, such as `2026-07-02T08:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = moment)]
        at: Timestamp,
        /// The Commissioner's reference, how people were told, or the section of the exception, such as `116(4)`
        #[arg(long, value_name = "TEXT")]
        detail: String,
        /// Why this way
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Writes the notification as a document: a page, JSON, and your signature
    Notification(Box<notification::NotificationArgs>),
    /// Verifies such a document: the signature, and that the page says what the JSON says
    VerifyNotification(notification::VerifyArgs),
    /// Closes a case: of a notifiable breach only after the Commissioner was told
    Close {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Lists cases: open ones, those that are due soonest first
    List {
        /// Those that were closed, the newest first
        #[arg(long)]
        closed: bool,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Shows a case
    Show {
        /// The case
        #[arg(value_name = "CASE")]
        name: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// What is looked through.
#[derive(Debug, clap::Args)]
pub struct AffectedArgs {
    /// The case
    #[arg(value_name = "CASE")]
    pub name: String,
    /// An entry of the log. Give it again for more
    #[arg(long = "entry", value_name = "JOURNAL/INDEX")]
    pub entries: Vec<String>,
    /// Everything that a partner asked and received
    #[arg(long, value_name = "NAME")]
    pub partner: Option<String>,
    /// Everything behind which an official of a partner stands
    #[arg(long, value_name = "PSEUDONYM")]
    pub official: Option<String>,
    /// Everything that a person of yours did
    #[arg(long, value_name = "NAME")]
    pub officer: Option<String>,
    /// From this moment on
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Before this moment; with `--since` and nothing else, everything between them
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Why; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A factor, and what is to be said of it.
#[derive(Debug, Clone)]
pub struct Considered {
    factor: String,
    words: String,
}

impl Considered {
    fn to_pb(&self) -> pb::BreachFactor {
        pb::BreachFactor { factor: self.factor.clone(), words: self.words.clone() }
    }
}

fn factor(text: &str) -> Result<Considered, String> {
    match text.split_once(':').map(|(factor, words)| (factor.trim(), words.trim())) {
        Some((factor, words)) if !words.is_empty() => {
            Ok(Considered { factor: factor.to_owned(), words: words.to_owned() })
        }
        _ => Err("write the factor and what is to be said of it, such as `harm:none is likely`".to_owned()),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .ok_or_else(|| format!("`{text}` is no time; write a moment such as 2026-07-01T08:00:00Z"))
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &BreachArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            BreachCommand::Affected(args) => affected(args).await,
            BreachCommand::Notification(args) => notification::make(args).await,
            BreachCommand::VerifyNotification(args) => notification::verify(args),
            BreachCommand::List { closed, way } => list(*closed, way).await,
            BreachCommand::Show { name, way } => {
                let client = Client::connect(&way.client).await?;
                let (found, _) = get(&client, name).await?;
                shown(way, &found)
            }
            BreachCommand::Open { kind, what, aware, found_by, way } => {
                let request = pb::OpenBreachRequest {
                    kind: kind.clone(),
                    description: what.clone(),
                    aware_time: Some(timestamp_to_pb(*aware)),
                    found_by: found_by.clone(),
                };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(way, client.answer("the case", client.breach().open_breach(call)).await?.breach)
            }
            BreachCommand::Contain { name, what, way } => {
                let name = wire::resource(BREACHES, name);
                let request = pb::ContainBreachRequest { name, description: what.clone() };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(way, client.answer("the case", client.breach().contain_breach(call)).await?.breach)
            }
            BreachCommand::Assess { name, factors, finding, reason, way } => {
                let request = pb::AssessBreachRequest {
                    name: wire::resource(BREACHES, name),
                    factors: factors.iter().map(Considered::to_pb).collect(),
                    finding: finding.clone(),
                    reason: reason.clone(),
                };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(way, client.answer("the assessment", client.breach().assess_breach(call)).await?.breach)
            }
            BreachCommand::Confirm { name, reason, way } => {
                let name = wire::resource(BREACHES, name);
                let request = pb::ConfirmBreachRequest { name, reason: reason.clone() };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(
                    way,
                    client.answer("the confirmation", client.breach().confirm_breach(call)).await?.breach,
                )
            }
            BreachCommand::Notified { name, to, at, detail, reason, way } => {
                let request = pb::NotifyBreachRequest {
                    name: wire::resource(BREACHES, name),
                    told: to.clone(),
                    tell_time: Some(timestamp_to_pb(*at)),
                    detail: detail.clone(),
                    reason: reason.clone(),
                };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(
                    way,
                    client.answer("the notification", client.breach().notify_breach(call)).await?.breach,
                )
            }
            BreachCommand::Close { name, reason, way } => {
                let name = wire::resource(BREACHES, name);
                let request = pb::CloseBreachRequest { name, reason: reason.clone() };
                let client = Client::connect(&way.client).await?;
                let call = client.request(request);
                after(way, client.answer("the end", client.breach().close_breach(call)).await?.breach)
            }
        }
    })
}

async fn affected(args: &AffectedArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let call = client.request(pb::TraceBreachRequest {
        name: wire::resource(BREACHES, &args.name),
        entries: args.entries.clone(),
        partner: args.partner.clone().unwrap_or_default(),
        official: args.official.clone().unwrap_or_default(),
        officer: args.officer.clone().unwrap_or_default(),
        since_time: args.since.map(timestamp_to_pb),
        until_time: args.until.map(timestamp_to_pb),
        reason: args.reason.clone(),
    });
    let traced = client.answer("whom it affects", client.breach().trace_breach(call)).await?;
    let breach = traced.breach.as_ref().ok_or_else(|| CliError::incomplete("case"))?;
    let trace = breach.traces.last().ok_or_else(|| CliError::incomplete("trace"))?;
    let people: Vec<Value> = traced.people.iter().map(people_as_json).collect();
    args.way.output.show(
        || people_as_text(trace, &traced.people),
        &json!({
            "breach": breach.name,
            "scope": trace.scope,
            "affected": trace.people,
            "fields": trace.fields,
            "recipients": trace.recipients,
            "digest": trace.digest,
            "people": people,
            "receipt": traced.receipt,
        }),
    )
}

/// A case, and the holder's host.
async fn get(client: &Client, name: &str) -> Result<(pb::Breach, String), CliError> {
    let call = client.request(pb::GetBreachRequest { name: wire::resource(BREACHES, name) });
    let found = client.answer("the case", client.breach().get_breach(call)).await?;
    Ok((found.breach.ok_or_else(|| CliError::incomplete("case"))?, found.holder))
}

fn after(way: &Way, breach: Option<pb::Breach>) -> Result<(), CliError> {
    shown(way, &breach.ok_or_else(|| CliError::incomplete("case"))?)
}

/// The collection of cases in resource names.
const BREACHES: &str = "breaches";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_named_with_words() {
        let read = factor("harm: letters: two").unwrap();
        assert_eq!((read.factor.as_str(), read.words.as_str()), ("harm", "letters: two"));
        for bad in ["harm", "harm:", "harm: "] {
            assert!(factor(bad).is_err(), "`{bad}`");
        }
    }
}
