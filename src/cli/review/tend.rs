//! What officers do with a case beside deciding it.

use serde_json::json;

use super::super::fault::CliError;
use super::super::wire;
use super::corrections;
use super::page::{state, summary_json};
use super::{CaseArgs, FindingChoice, ReviewCommand, WhyArgs};
use crate::grpc::client::Client;
use crate::grpc::pb::officer as pb;
use crate::ids::DisclosureId;

/// Does it, and shows where the case stands afterwards.
pub(super) async fn tend(command: &ReviewCommand) -> Result<(), CliError> {
    match command {
        ReviewCommand::Ask { question, case } => ask(case, question).await,
        ReviewCommand::Claim(case) => claim(case).await,
        ReviewCommand::PutBack(case) => put_back(case).await,
        ReviewCommand::Recuse(why) => recuse(why).await,
        ReviewCommand::Note { text, case } => note(case, text).await,
        ReviewCommand::HitErroneous(why) => hit_erroneous(why).await,
        ReviewCommand::Revoke(why) => revoke(why).await,
        ReviewCommand::Lock(why) => lock(why).await,
        ReviewCommand::Close { finding, words, case } => close(case, *finding, words).await,
        ReviewCommand::AnswerCorrection(args) => corrections::answer(args).await,
        ReviewCommand::StateCorrection(args) => corrections::state(args).await,
        ReviewCommand::Corrections { overdue, way } => corrections::list(*overdue, way).await,
        ReviewCommand::List { .. }
        | ReviewCommand::Show { .. }
        | ReviewCommand::ViewField { .. }
        | ReviewCommand::Approve { .. }
        | ReviewCommand::Deny { .. } => Ok(()),
    }
}

async fn ask(case: &CaseArgs, question: &str) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let message = pb::AskInformationRequest { disclosure: name(case), question: question.to_owned() };
    let call = client.request(message);
    told(case, client.answer("the question", client.case().ask_information(call)).await?.summary)
}

async fn claim(case: &CaseArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let call = client.request(pb::ClaimCaseRequest { disclosure: name(case) });
    told(case, client.answer("the claim", client.case().claim_case(call)).await?.summary)
}

async fn put_back(case: &CaseArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let call = client.request(pb::PutBackCaseRequest { disclosure: name(case) });
    told(case, client.answer("the claim", client.case().put_back_case(call)).await?.summary)
}

async fn recuse(WhyArgs { reason, case }: &WhyArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let message = pb::RecuseFromCaseRequest { disclosure: name(case), reason: reason.clone() };
    let call = client.request(message);
    told(case, client.answer("the recusal", client.case().recuse_from_case(call)).await?.summary)
}

async fn note(case: &CaseArgs, text: &str) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let call = client.request(pb::AddNoteRequest { disclosure: name(case), note: text.to_owned() });
    told(case, client.answer("the note", client.case().add_note(call)).await?.summary)
}

async fn hit_erroneous(WhyArgs { reason, case }: &WhyArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let message = pb::MarkHitErroneousRequest { disclosure: name(case), reason: reason.clone() };
    let call = client.request(message);
    told(case, client.answer("the finding", client.case().mark_hit_erroneous(call)).await?.summary)
}

async fn revoke(WhyArgs { reason, case }: &WhyArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let message = pb::RevokeReleaseRequest { disclosure: name(case), reason: reason.clone() };
    let call = client.request(message);
    told(case, client.answer("the revocation", client.case().revoke_release(call)).await?.summary)
}

async fn lock(WhyArgs { reason, case }: &WhyArgs) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let call = client.request(pb::LockCaseRequest { disclosure: name(case), reason: reason.clone() });
    told(case, client.answer("the lock", client.case().lock_case(call)).await?.summary)
}

async fn close(case: &CaseArgs, finding: FindingChoice, words: &str) -> Result<(), CliError> {
    let client = Client::connect(&case.way.client).await?;
    let finding = match finding {
        FindingChoice::Justified => pb::Finding::Justified,
        FindingChoice::NotJustified => pb::Finding::NotJustified,
    };
    let (finding, words) = (finding.into(), words.to_owned());
    let call = client.request(pb::ReviewReleaseRequest { disclosure: name(case), finding, words });
    told(case, client.answer("the review", client.case().review_release(call)).await?.summary)
}

pub(super) fn name(case: &CaseArgs) -> String {
    wire::resource(DisclosureId::COLLECTION, &case.disclosure)
}

pub(super) fn told(case: &CaseArgs, summary: Option<pb::CaseSummary>) -> Result<(), CliError> {
    let summary = summary.ok_or_else(|| CliError::incomplete("case"))?;
    let line = || match summary.claimed_by.is_empty() {
        true => format!("done; the case is {} now", state(summary.state())),
        false => {
            let claimed = summary.claimed_by.join(", ");
            format!("done; the case is {} now\nclaimed by  {claimed}", state(summary.state()))
        }
    };
    case.way.output.show(line, &json!({ "summary": summary_json(&summary) }))
}
