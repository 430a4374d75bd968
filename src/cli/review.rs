//! `onebit review`: the cases that officers decide, each decision signed by the officer's own key.

mod corrections;
mod page;
mod tend;

use std::time::Duration;

use page::{case_json, case_text, row, state, summary_json};
use serde_json::json;

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::wire;
use crate::approval::{Choice, DeciderRole, Decision, DecisionParts, Fields};
use crate::clock::{Clock, SystemClock};
use crate::grpc::change_form::person_resource;
use crate::grpc::client::Client;
use crate::grpc::pb::officer as pb;
use crate::grpc::pb::officer::decide_case_request::Signature;
use crate::grpc::timestamp::timestamp_to_pb;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName};
use crate::keys::SignatureDomain;

/// Shows the cases that wait for officers, and decides them
///
/// A case is a partner's request for named fields of one person after a hit. Nothing leaves before all the
/// people whom the agreement asks for have approved, each for himself; one denial ends it. What you decide is
/// signed with the key of your certificate, over the digest of exactly that request, and stands in the log
/// under your name.
///
/// Looking at a value is an entry of the log too.
#[derive(Debug, clap::Args)]
pub struct ReviewArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ReviewCommand,
}

/// What can be done with cases.
#[derive(Debug, clap::Subcommand)]
pub enum ReviewCommand {
    /// Lists cases, urgent ones first, then those that end soonest
    List {
        /// Only cases in this state; by default those that can be decided
        #[arg(long, value_enum, value_name = "STATE")]
        state: Option<StateFilter>,
        /// Only cases that owe a review, in whatever state, oldest first
        #[arg(long)]
        reviews_owed: bool,
        /// The rest.
        #[command(flatten)]
        filter: Box<ListFilter>,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Shows a case: who asks, for what, why, and what approval still takes
    Show {
        /// The disclosure, `disclosures/…`
        #[arg(value_name = "DISCLOSURE")]
        disclosure: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Shows the value of one field; that you saw it is logged first
    ViewField {
        /// The disclosure, `disclosures/…`
        #[arg(value_name = "DISCLOSURE")]
        disclosure: String,
        /// The field
        #[arg(long, value_name = "NAME")]
        field: String,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
    /// Grants fields of a case
    Approve {
        /// A field to grant; give it again for more
        #[arg(long = "field", value_name = "NAME", required_unless_present = "all_fields")]
        fields: Vec<String>,
        /// Grant every field that is asked for
        #[arg(long, conflicts_with = "fields")]
        all_fields: bool,
        /// The rest.
        #[command(flatten)]
        decide: Box<DecideArgs>,
    },
    /// Grants nothing; the case ends
    Deny {
        /// The rest.
        #[command(flatten)]
        decide: Box<DecideArgs>,
    },
    /// Asks the partner for information; approvals so far count no longer, and nobody decides until it has answered
    Ask {
        /// What to ask, 1 to 2,000 characters; the partner reads it
        #[arg(long, value_name = "TEXT")]
        question: String,
        /// The rest.
        #[command(flatten)]
        case: CaseArgs,
    },
    /// Says that you work on a case; others see it, and may decide all the same
    Claim(CaseArgs),
    /// Takes your claim back
    PutBack(CaseArgs),
    /// Steps back from a case for good; what you granted counts no longer
    Recuse(WhyArgs),
    /// Leaves a note for the holder's own people
    Note {
        /// The note, 1 to 2,000 characters
        #[arg(long, value_name = "TEXT")]
        text: String,
        /// The rest.
        #[command(flatten)]
        case: CaseArgs,
    },
    /// Finds that the hit is not that person; the case ends as denied
    HitErroneous(WhyArgs),
    /// Takes a release back that was not acknowledged, and deletes it; who fetched it before has it
    Revoke(WhyArgs),
    /// Ends a case that has not ended, for good; nothing is added any more, not even a note
    Lock(WhyArgs),
    /// Closes the review that an urgent release owes; for a privacy officer who decided nothing in the case
    Close {
        /// Whether the urgent path was rightly asked for and decided
        #[arg(long, value_enum, value_name = "FINDING")]
        finding: FindingChoice,
        /// Why you find so, 1 to 2,000 characters
        #[arg(long, value_name = "TEXT")]
        words: String,
        /// The rest.
        #[command(flatten)]
        case: CaseArgs,
    },
    /// Answers what the partner asked for after the release
    AnswerCorrection(corrections::AnswerArgs),
    /// Puts a statement of correction beside what was released, here and wherever else the same fields were received
    StateCorrection(corrections::StateArgs),
    /// Lists corrections that their recipients have not acknowledged, the most overdue first
    Corrections {
        /// Only those that are overdue
        #[arg(long)]
        overdue: bool,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// What a review found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FindingChoice {
    /// It was
    Justified,
    /// It was not
    NotJustified,
}

/// Which cases to list.
#[derive(Debug, clap::Args)]
pub struct ListFilter {
    /// Only cases of this partner
    #[arg(long, value_name = "NAME")]
    pub partner: Option<String>,
    /// Only cases for this purpose
    #[arg(long, value_name = "NAME")]
    pub purpose: Option<String>,
    /// Only cases on this legal basis, word for word as the partner wrote it
    #[arg(long, value_name = "TEXT")]
    pub legal_basis: Option<String>,
    /// Only cases asked for within so many hours
    #[arg(long, value_name = "HOURS")]
    pub younger_than: Option<u32>,
    /// Only cases asked for so many hours ago or earlier
    #[arg(long, value_name = "HOURS")]
    pub older_than: Option<u32>,
}

impl ListFilter {
    fn request(&self, state: pb::CaseState, page_token: String) -> pb::ListCasesRequest {
        let now = SystemClock.now();
        let ago = |hours: Option<u32>| {
            let hours = hours.map(|hours| Duration::from_secs(u64::from(hours) * 3_600));
            hours.map(|ago| timestamp_to_pb(now.before(ago)))
        };
        let partner = self.partner.as_ref().map(|partner| wire::resource(PARTNERS, partner));
        pb::ListCasesRequest {
            reviews_owed: false,
            page_size: PAGE_SIZE,
            page_token,
            state: state.into(),
            partner: partner.unwrap_or_default(),
            purpose: self.purpose.clone().unwrap_or_default(),
            legal_basis: self.legal_basis.clone().unwrap_or_default(),
            asked_since: ago(self.younger_than),
            asked_before: ago(self.older_than),
        }
    }
}

/// A case.
#[derive(Debug, clap::Args)]
pub struct CaseArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub disclosure: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A case, and why.
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    /// Why, 1 to 2,000 characters
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The rest.
    #[command(flatten)]
    pub case: CaseArgs,
}

/// A decision.
#[derive(Debug, clap::Args)]
pub struct DecideArgs {
    /// The disclosure, `disclosures/…`
    #[arg(value_name = "DISCLOSURE")]
    pub disclosure: String,
    /// Why, 1 to 2,000 characters
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The reference of the comparison outside that you rest on
    #[arg(long, value_name = "TEXT")]
    pub comparison: Option<String>,
    /// In which role you decide
    #[arg(long, value_enum, default_value_t = RoleChoice::ApprovingOfficer, value_name = "ROLE")]
    pub role: RoleChoice,
    /// In whose seat you decide, where another officer's is delegated to you; by default in your own
    #[arg(long, value_name = "NAME")]
    pub seat_of: Option<String>,
    /// Your name in the registry; by default the last part of the id in your certificate
    #[arg(long, value_name = "NAME")]
    pub officer: Option<String>,
    /// The digest that `review show` gave you; the decision is refused if the case is another by now
    #[arg(long, value_name = "DIGEST")]
    pub request_digest: Option<Digest>,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// A role that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleChoice {
    /// Whether the fields may leave
    ApprovingOfficer,
    /// Whether the hit is that person
    Examiner,
    /// Whether the law is kept
    PrivacyOfficer,
}

impl RoleChoice {
    const fn to_pb(self) -> pb::DecidingRole {
        match self {
            Self::ApprovingOfficer => pb::DecidingRole::ApprovingOfficer,
            Self::Examiner => pb::DecidingRole::Examiner,
            Self::PrivacyOfficer => pb::DecidingRole::PrivacyOfficer,
        }
    }

    const fn decider(self) -> DeciderRole {
        match self {
            Self::ApprovingOfficer => DeciderRole::ApprovingOfficer,
            Self::Examiner => DeciderRole::Examiner,
            Self::PrivacyOfficer => DeciderRole::PrivacyOfficer,
        }
    }
}

/// A state to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StateFilter {
    /// Nobody has decided yet
    Pending,
    /// Approved by some
    PartiallyApproved,
    /// Approved by all
    Approved,
    /// Ready to be fetched
    Released,
    /// Opened by the partner
    Acknowledged,
    /// Refused
    Denied,
    /// Taken back
    Withdrawn,
    /// Not decided in time
    Expired,
    /// The partner was asked for information
    NeedsInformation,
    /// Released, and not acknowledged in time
    Lapsed,
    /// Released, and taken back
    Revoked,
    /// Ended and closed to everything
    Locked,
}

impl StateFilter {
    const fn to_pb(self) -> pb::CaseState {
        match self {
            Self::Pending => pb::CaseState::Pending,
            Self::PartiallyApproved => pb::CaseState::PartiallyApproved,
            Self::Approved => pb::CaseState::Approved,
            Self::Released => pb::CaseState::Released,
            Self::Acknowledged => pb::CaseState::Acknowledged,
            Self::Denied => pb::CaseState::Denied,
            Self::Withdrawn => pb::CaseState::Withdrawn,
            Self::Expired => pb::CaseState::Expired,
            Self::NeedsInformation => pb::CaseState::NeedsInformation,
            Self::Lapsed => pb::CaseState::Lapsed,
            Self::Revoked => pb::CaseState::Revoked,
            Self::Locked => pb::CaseState::Locked,
        }
    }
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &ReviewArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            ReviewCommand::List { state, reviews_owed, filter, way } => {
                list(*state, *reviews_owed, filter, way).await
            }
            ReviewCommand::Show { disclosure, way } => show(disclosure, way).await,
            ReviewCommand::ViewField { disclosure, field, way } => view_field(disclosure, field, way).await,
            ReviewCommand::Approve { fields, decide, .. } => self::decide(decide, Some(fields)).await,
            ReviewCommand::Deny { decide } => self::decide(decide, None).await,
            other => tend::tend(other).await,
        }
    })
}

async fn list(
    state: Option<StateFilter>,
    reviews_owed: bool,
    filter: &ListFilter,
    way: &Way,
) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let (mut cases, mut page_token) = (Vec::new(), String::new());
    loop {
        let state = state.map_or(pb::CaseState::Unspecified, StateFilter::to_pb);
        let call = client.request(pb::ListCasesRequest { reviews_owed, ..filter.request(state, page_token) });
        let page = client.answer("the list", client.case().list_cases(call)).await?;
        cases.extend(page.cases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let rows: Vec<_> = cases.iter().map(row).collect();
    way.output.show(
        || match rows.is_empty() {
            true => "no case waits".to_owned(),
            false => print::table(["disclosure", "state", "partner", "purpose", "asked", "decide by"], &rows),
        },
        &cases.iter().map(summary_json).collect::<Vec<_>>(),
    )
}

async fn show(disclosure: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let case = case_get(&client, disclosure).await?;
    let summary = case.summary.clone().ok_or_else(|| CliError::incomplete("case"))?;
    way.output.show(|| case_text(&summary, &case), &case_json(&summary, &case))
}

async fn view_field(disclosure: &str, field: &str, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ViewFieldRequest {
        disclosure: wire::resource(DisclosureId::COLLECTION, disclosure),
        field: field.to_owned(),
    });
    let seen = client.answer("the field", client.case().view_field(call)).await?;
    let statements = seen.statements.iter().map(|words| format!("\nstated by the person: {words}"));
    way.output.show(
        || format!("{field}: {}{}", seen.value, statements.collect::<String>()),
        &json!({ "field": field, "value": seen.value, "statements": seen.statements }),
    )
}

/// Decides: grants these fields (all that are asked for where none is named), or denies.
async fn decide(args: &DecideArgs, grant: Option<&[String]>) -> Result<(), CliError> {
    let key = args.way.client.signing_key()?;
    let officer = officer(args)?;
    let client = Client::connect(&args.way.client).await?;
    let case = case_get(&client, &args.disclosure).await?;
    if case.passkey_only {
        let place = match case.decide_at.as_str() {
            "" => "ask the holder's operators where its console is".to_owned(),
            address => format!("decide at {address}"),
        };
        return Err(CliError::Found(format!(
            "nothing was decided: the agreement wants decisions that are signed with a passkey; {place}"
        )));
    }
    let request = wire::digest("request digest", &case.request_digest)?;
    if args.request_digest.is_some_and(|seen| seen != request) {
        return Err(CliError::Found(format!(
            "the case is not the one that you saw: its request has the digest {request}; look at it again"
        )));
    }
    let decision = Decision::new(DecisionParts {
        disclosure: DisclosureId::parse_resource(&wire::resource(DisclosureId::COLLECTION, &args.disclosure))
            .map_err(|error| CliError::Usage(error.to_string()))?,
        request,
        officer,
        role: args.role.decider(),
        choice: choice(grant, &case)?,
        reason: args.reason.clone(),
        at: SystemClock.now(),
        comparison: args.comparison.clone(),
        on_behalf: args.seat_of.as_deref().map(|name| person("--seat-of", name)).transpose()?,
    })
    .map_err(|error| CliError::Usage(format!("--reason: {error}")))?;
    let signature = key
        .sign(SignatureDomain::Decision, &decision.digest())
        .map_err(|error| CliError::because("the decision can't be signed", error))?;
    let call = client.request(message(&decision, args.role, signature));
    let done = client.answer("the decision", client.case().decide_case(call)).await?;
    let summary = done.summary.ok_or_else(|| CliError::incomplete("case"))?;
    args.way.output.show(
        || {
            format!(
                "decided; the case is {} now\ndecision  {}\nentry     {} of the partner's journal",
                state(summary.state()),
                decision.digest(),
                done.entry_index
            )
        },
        &json!({
            "disclosure": summary.disclosure, "state": state(summary.state()),
            "decision_digest": decision.digest().to_string(), "entry_index": done.entry_index,
        }),
    )
}

fn message(decision: &Decision, role: RoleChoice, signature: Vec<u8>) -> pb::DecideCaseRequest {
    let (choice, fields) = match decision.choice() {
        Choice::Grant(fields) => (pb::Choice::Grant, names(fields)),
        Choice::Deny => (pb::Choice::Deny, Vec::new()),
    };
    pb::DecideCaseRequest {
        disclosure: decision.disclosure().resource(),
        request_digest: decision.request().as_bytes().to_vec(),
        role: role.to_pb().into(),
        choice: choice.into(),
        fields,
        reason: decision.reason().to_owned(),
        decide_time: Some(timestamp_to_pb(decision.at())),
        comparison: decision.comparison().unwrap_or_default().to_owned(),
        on_behalf_of: decision.on_behalf().map(person_resource).unwrap_or_default(),
        signature: Some(Signature::CertificateSignature(signature)),
    }
}

/// What is granted or denied; only fields that the case asks for can be granted.
fn choice(grant: Option<&[String]>, case: &pb::GetCaseResponse) -> Result<Choice, CliError> {
    let Some(named) = grant else { return Ok(Choice::Deny) };
    let asked: Vec<&str> = case.fields.iter().map(|field| field.field.as_str()).collect();
    if let Some(other) = named.iter().find(|name| !asked.contains(&name.as_str())) {
        return Err(CliError::Usage(format!(
            "`{other}` is not asked for; the case asks for {}",
            asked.join(", ")
        )));
    }
    let granted = if named.is_empty() { asked } else { named.iter().map(String::as_str).collect() };
    let fields = granted.into_iter().map(str::parse::<FieldName>).collect::<Result<Vec<_>, _>>();
    let fields = fields.map_err(|error| CliError::Usage(format!("--field: {error}")))?;
    Fields::new(fields).map(Choice::Grant).map_err(|error| CliError::Usage(format!("--field: {error}")))
}

fn officer(args: &DecideArgs) -> Result<ActorName, CliError> {
    let name = match &args.officer {
        Some(name) => wire::last_part(name).to_owned(),
        None => wire::last_part(args.way.client.spiffe_id()?.path()).to_owned(),
    };
    person("--officer", &name)
}

fn person(option: &str, name: &str) -> Result<ActorName, CliError> {
    wire::last_part(name).parse().map_err(|error| CliError::Usage(format!("{option}: {error}")))
}

async fn case_get(client: &Client, disclosure: &str) -> Result<pb::GetCaseResponse, CliError> {
    let disclosure = wire::resource(DisclosureId::COLLECTION, disclosure);
    let call = client.request(pb::GetCaseRequest { disclosure });
    Ok(client.answer("the case", client.case().get_case(call)).await?)
}

fn names(fields: &Fields) -> Vec<String> {
    fields.iter().map(|field| field.as_str().to_owned()).collect()
}

const PARTNERS: &str = "partners";
/// What the server gives at most.
const PAGE_SIZE: i32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> pb::GetCaseResponse {
        let field =
            |name: &str| pb::RequestedField { field: name.to_owned(), ..pb::RequestedField::default() };
        pb::GetCaseResponse {
            fields: vec![field("family-name"), field("case-number")],
            justification: "line one\n\u{1b}[31mline two".to_owned(),
            ..pb::GetCaseResponse::default()
        }
    }

    #[test]
    fn only_what_is_asked_for_is_granted() {
        let granted = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|&name| name.to_owned()).collect();
            choice(Some(&named), &case()).map(|choice| match choice {
                Choice::Grant(fields) => names(&fields),
                Choice::Deny => Vec::new(),
            })
        };
        assert_eq!(granted(&[]).unwrap(), ["case-number", "family-name"]);
        assert_eq!(granted(&["case-number"]).unwrap(), ["case-number"]);
        assert!(granted(&["photograph"]).is_err());
        assert!(granted(&["case-number", "case-number"]).is_err());
        assert!(matches!(choice(None, &case()), Ok(Choice::Deny)));
    }

    #[test]
    fn the_message_carries_what_was_signed() {
        let decision = Decision::new(DecisionParts {
            disclosure: DisclosureId::from_bytes([1; 16]),
            request: Digest::from_bytes([2; 32]),
            officer: "mere".parse().unwrap(),
            role: DeciderRole::Examiner,
            choice: choice(Some(&[]), &case()).unwrap(),
            reason: "same person".to_owned(),
            at: SystemClock.now(),
            comparison: Some("FR-2026/113".to_owned()),
            on_behalf: Some("tama".parse().unwrap()),
        })
        .unwrap();
        assert_eq!(SignatureDomain::Decision.message(&decision.digest()), decision.signed_bytes());
        let sent = message(&decision, RoleChoice::Examiner, vec![1]);
        assert_eq!(sent.fields, ["case-number", "family-name"]);
        assert_eq!(sent.role(), pb::DecidingRole::Examiner);
        assert_eq!((sent.comparison.as_str(), sent.on_behalf_of.as_str()), ("FR-2026/113", "people/tama"));
        let at = crate::grpc::timestamp::timestamp_from_pb(&sent.decide_time.unwrap());
        assert_eq!(at, Some(decision.at()), "the server signs over the time that is sent");
    }

    #[test]
    fn a_case_is_shown_whole() {
        let text = case_text(&pb::CaseSummary::default(), &case());
        for part in ["family-name (not in the record)", "  line one", "still needed\n  nothing"] {
            assert!(text.contains(part), "`{part}` is missing in:\n{text}");
        }
    }
}
