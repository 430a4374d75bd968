//! Requests for fields, from the partner's side.

use tonic::Request;

use super::call::{Desk, Reply};
use super::change_form::FormFault;
use super::page::{self, PageSizes};
use super::parse;
use super::pb::partner as pb;
use super::pb::partner::answer_question_request::Signature as AnswerSignature;
use super::pb::partner::disclosure_service_server::DisclosureService;
use super::pb::partner::request_disclosure_request::Signature;
use super::timestamp::timestamp_to_pb;
use crate::approval::{Answer, Disclosure, Question, State};
use crate::authz::Action;
use crate::gate::DisclosureAsk;
use crate::ids::DisclosureId;
use crate::store::Case;

/// Takes requests for fields and hands out releases.
#[derive(Clone)]
pub(super) struct Disclosures {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl DisclosureService for Disclosures {
    async fn request_disclosure(
        &self,
        request: Request<pb::RequestDisclosureRequest>,
    ) -> Reply<pb::RequestDisclosureResponse> {
        let call = self.desk.call(Action::RequestDisclosure, &request);
        call.reply(async {
            let caller = call.caller()?;
            let done = self.desk.gate().disclosure_request(&caller, ask(request.into_inner())?).await?;
            Ok(pb::RequestDisclosureResponse {
                disclosure: Some(disclosure(&done.case)),
                receipt: done.receipt,
            })
        })
        .await
    }

    async fn get_disclosure(
        &self,
        request: Request<pb::GetDisclosureRequest>,
    ) -> Reply<pb::GetDisclosureResponse> {
        let call = self.desk.call(Action::GetDisclosure, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let case = self.desk.gate().disclosure_get(&caller, id).await?;
            Ok(pb::GetDisclosureResponse { disclosure: Some(disclosure(&case)) })
        })
        .await
    }

    async fn list_disclosures(
        &self,
        request: Request<pb::ListDisclosuresRequest>,
    ) -> Reply<pb::ListDisclosuresResponse> {
        let call = self.desk.call(Action::ListDisclosures, &request);
        call.reply(async {
            let caller = call.caller()?;
            let size = page::size(request.get_ref().page_size, PAGE)?;
            let after = page::last_id(&request.get_ref().page_token)?.map(DisclosureId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let mut cases = self.desk.gate().disclosure_list(&caller, after, limit).await?;
            let next_page_token = page::cut(&mut cases, size, id_bytes);
            Ok(pb::ListDisclosuresResponse {
                disclosures: cases.iter().map(disclosure).collect(),
                next_page_token,
            })
        })
        .await
    }

    async fn fetch_release(
        &self,
        request: Request<pb::FetchReleaseRequest>,
    ) -> Reply<pb::FetchReleaseResponse> {
        let call = self.desk.call(Action::FetchRelease, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let release = self.desk.gate().release_fetch(&caller, id).await?;
            let (ciphertext, info, receipt) = (release.ciphertext, release.info, release.receipt);
            Ok(pb::FetchReleaseResponse { ciphertext, info, receipt })
        })
        .await
    }

    async fn acknowledge_release(
        &self,
        request: Request<pb::AcknowledgeReleaseRequest>,
    ) -> Reply<pb::AcknowledgeReleaseResponse> {
        let call = self.desk.call(Action::AcknowledgeRelease, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let ciphertext = parse::digest("ciphertext_sha256", &request.get_ref().ciphertext_sha256)?;
            let done = self.desk.gate().release_acknowledge(&caller, id, ciphertext).await?;
            Ok(pb::AcknowledgeReleaseResponse {
                disclosure: Some(disclosure(&done.case)),
                receipt: done.receipt,
            })
        })
        .await
    }

    async fn answer_question(
        &self,
        request: Request<pb::AnswerQuestionRequest>,
    ) -> Reply<pb::AnswerQuestionResponse> {
        let call = self.desk.call(Action::AnswerQuestion, &request);
        call.reply(async {
            let caller = call.caller()?;
            let (answer, signature) = answer(request.into_inner())?;
            let done = self.desk.gate().disclosure_answer(&caller, answer, signature).await?;
            Ok(pb::AnswerQuestionResponse { disclosure: Some(disclosure(&done.case)), receipt: done.receipt })
        })
        .await
    }

    async fn withdraw_disclosure(
        &self,
        request: Request<pb::WithdrawDisclosureRequest>,
    ) -> Reply<pb::WithdrawDisclosureResponse> {
        let call = self.desk.call(Action::WithdrawDisclosure, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let done = self.desk.gate().disclosure_withdraw(&caller, id).await?;
            Ok(pb::WithdrawDisclosureResponse {
                disclosure: Some(disclosure(&done.case)),
                receipt: done.receipt,
            })
        })
        .await
    }
}

fn ask(sent: pb::RequestDisclosureRequest) -> Result<DisclosureAsk, FormFault> {
    let Signature::CertificateSignature(signature) = parse::held(SIGNATURE, sent.signature)?;
    Ok(DisclosureAsk {
        request_id: parse::request_id("request_id", &sent.request_id)?,
        query: parse::query("query", &sent.query)?,
        fields: parse::names("fields", &sent.fields)?,
        purpose: parse::name("purpose", &sent.purpose)?,
        sent: parse::moment("send_time", sent.send_time.as_ref())?,
        signature: parse::signature(SIGNATURE, signature)?,
        legal_basis: sent.legal_basis,
        justification: sent.justification,
        official: sent.official,
        urgent: sent.urgent_reason,
    })
}

fn answer(sent: pb::AnswerQuestionRequest) -> Result<(Answer, Vec<u8>), FormFault> {
    let AnswerSignature::CertificateSignature(signature) = parse::held(SIGNATURE, sent.signature)?;
    let disclosure = parse::disclosure("name", &sent.name)?;
    let question = parse::digest("question_digest", &sent.question_digest)?;
    let signature = parse::signature(SIGNATURE, signature)?;
    let answer = Answer::new(disclosure, question, sent.answer, sent.official);
    Ok((answer.map_err(|error| FormFault::new("answer", format!("can't be used: {error}")))?, signature))
}

/// A disclosure as its partner sees it.
fn disclosure(case: &Case) -> pb::Disclosure {
    let request = case.disclosure.request();
    pb::Disclosure {
        name: request.disclosure().resource(),
        query: request.ask().query().resource(),
        fields: request.ask().fields().iter().map(ToString::to_string).collect(),
        state: state(&case.disclosure).into(),
        create_time: Some(timestamp_to_pb(request.received())),
        expire_time: Some(timestamp_to_pb(case.ends)),
        questions: case.disclosure.questions().iter().map(question).collect(),
    }
}

/// A question as its partner sees it: not who asked.
fn question(question: &Question) -> pb::Inquiry {
    let answer = question.answer.as_ref().map(|signed| signed.answer.text().to_owned());
    pb::Inquiry {
        text: question.text.clone(),
        ask_time: Some(timestamp_to_pb(question.at)),
        digest: question.digest.as_bytes().to_vec(),
        answer: answer.unwrap_or_default(),
        answer_time: question.answered.map(timestamp_to_pb),
    }
}

/// How far people of the holder are with a request is nothing that the partner sees, nor which of them ended it and
/// how: who is locked out sees a refusal, or a release that was taken back.
const fn state(disclosure: &Disclosure) -> pb::DisclosureState {
    match disclosure.state() {
        State::NeedsInformation => pb::DisclosureState::NeedsInformation,
        State::Lapsed => pb::DisclosureState::Lapsed,
        State::Revoked => pb::DisclosureState::Revoked,
        State::Locked if disclosure.fetch_by().is_some() => pb::DisclosureState::Revoked,
        State::Locked => pb::DisclosureState::Denied,
        State::Pending | State::PartiallyApproved | State::Approved => pb::DisclosureState::Pending,
        State::Released => pb::DisclosureState::Released,
        State::Acknowledged => pb::DisclosureState::Acknowledged,
        State::Denied => pb::DisclosureState::Denied,
        State::Withdrawn => pb::DisclosureState::Withdrawn,
        State::Expired => pb::DisclosureState::Expired,
    }
}

fn id_bytes(case: &Case) -> [u8; 16] {
    *case.disclosure.request().disclosure().as_bytes()
}

const SIGNATURE: &str = "certificate_signature";
/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 50, most: 200 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_its_signature_is_refused() {
        let fault = ask(pb::RequestDisclosureRequest::default()).err().map(|fault| fault.field);
        assert_eq!(fault.as_deref(), Some(SIGNATURE));
        let empty = Some(Signature::CertificateSignature(Vec::new()));
        let sent = pb::RequestDisclosureRequest {
            signature: empty,
            request_id: "0b7c8a52-6e1f-4b0e-9a44-0a1c2d3e4f50".to_owned(),
            query: "queries/0b7c8a526e1f4b0e9a440a1c2d3e4f50".to_owned(),
            fields: vec!["family-name".to_owned()],
            purpose: "border-identity".to_owned(),
            send_time: Some(prost_types::Timestamp::default()),
            ..pb::RequestDisclosureRequest::default()
        };
        assert_eq!(ask(sent).err().map(|fault| fault.field).as_deref(), Some(SIGNATURE));
    }
}
