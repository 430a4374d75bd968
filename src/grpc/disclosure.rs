//! Requests for fields, from the partner's side.

use tonic::Request;
use zeroize::Zeroizing;

use super::call::{Desk, Reply};
use super::change_form::FormFault;
use super::page::{self, PageSizes};
use super::parse;
use super::pb::partner as pb;
use super::pb::partner::answer_question_request::Signature as AnswerSignature;
use super::pb::partner::disclosure_service_server::DisclosureService;
use super::pb::partner::request_correction_request::Signature as CorrectionSignature;
use super::pb::partner::request_disclosure_request::Signature;
use super::pb::partner::sample::Form;
use super::timestamp::timestamp_to_pb;
use super::watch;
use crate::approval::{Answer, CorrectionAsk, CorrectionAsked, CorrectionKind, Disclosure, Question, State};
use crate::authz::Action;
use crate::gate::DisclosureAsk;
use crate::ids::DisclosureId;
use crate::store::Case;
use crate::template::Sample;

/// Takes requests for fields and hands out releases.
#[derive(Clone)]
pub(super) struct Disclosures {
    pub(super) desk: Desk,
    /// The watches that are open.
    pub(super) watching: watch::Watching,
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

    type WatchDisclosureStream = watch::Watched;

    async fn watch_disclosure(
        &self,
        request: Request<pb::WatchDisclosureRequest>,
    ) -> Reply<Self::WatchDisclosureStream> {
        watch::disclosure_watch(self, request).await
    }

    async fn request_correction(
        &self,
        request: Request<pb::RequestCorrectionRequest>,
    ) -> Reply<pb::RequestCorrectionResponse> {
        let call = self.desk.call(Action::RequestCorrection, &request);
        call.reply(async {
            let caller = call.caller()?;
            let (ask, signature) = correction_ask(request.into_inner())?;
            let done = self.desk.gate().correction_ask(&caller, ask, signature).await?;
            Ok(pb::RequestCorrectionResponse {
                disclosure: Some(disclosure(&done.case)),
                receipt: done.receipt,
            })
        })
        .await
    }

    async fn list_corrections(
        &self,
        request: Request<pb::ListCorrectionsRequest>,
    ) -> Reply<pb::ListCorrectionsResponse> {
        let call = self.desk.call(Action::ListCorrections, &request);
        call.reply(async {
            let caller = call.caller()?;
            let size = page::size(request.get_ref().page_size, PAGE)?;
            let after = page::last_id(&request.get_ref().page_token)?.map(DisclosureId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let mut cases = self.desk.gate().correction_list(&caller, after, limit).await?;
            let next_page_token = page::cut(&mut cases, size, id_bytes);
            Ok(pb::ListCorrectionsResponse {
                disclosures: cases.iter().map(disclosure).collect(),
                next_page_token,
            })
        })
        .await
    }

    async fn acknowledge_correction(
        &self,
        request: Request<pb::AcknowledgeCorrectionRequest>,
    ) -> Reply<pb::AcknowledgeCorrectionResponse> {
        let call = self.desk.call(Action::AcknowledgeCorrection, &request);
        call.reply(async {
            let caller = call.caller()?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let number = request.get_ref().number;
            let done = self.desk.gate().correction_acknowledge(&caller, id, number).await?;
            Ok(pb::AcknowledgeCorrectionResponse {
                disclosure: Some(disclosure(&done.case)),
                receipt: done.receipt,
            })
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

fn ask(mut sent: pb::RequestDisclosureRequest) -> Result<DisclosureAsk, FormFault> {
    // Read first: the sample is in a buffer that wipes itself from here on, whatever comes of the call.
    let sample = sent.fresh_sample.take().map(fresh_sample).transpose();
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
        sample: sample?,
    })
}

fn fresh_sample(sent: pb::Sample) -> Result<Sample, FormFault> {
    let values = sent.form.map(|Form::Embedding(embedding)| Zeroizing::new(embedding.values));
    parse::sample("fresh_sample.quality", parse::held("fresh_sample.form", values)?, sent.quality)
}

fn answer(sent: pb::AnswerQuestionRequest) -> Result<(Answer, Vec<u8>), FormFault> {
    let AnswerSignature::CertificateSignature(signature) = parse::held(SIGNATURE, sent.signature)?;
    let disclosure = parse::disclosure("name", &sent.name)?;
    let question = parse::digest("question_digest", &sent.question_digest)?;
    let signature = parse::signature(SIGNATURE, signature)?;
    let answer = Answer::new(disclosure, question, sent.answer, sent.official);
    Ok((answer.map_err(|error| FormFault::new("answer", format!("can't be used: {error}")))?, signature))
}

fn correction_ask(sent: pb::RequestCorrectionRequest) -> Result<(CorrectionAsk, Vec<u8>), FormFault> {
    let CorrectionSignature::CertificateSignature(signature) = parse::held(SIGNATURE, sent.signature)?;
    let disclosure = parse::disclosure("name", &sent.name)?;
    let field = match sent.field.as_str() {
        "" => None,
        field => Some(parse::name("field", field)?),
    };
    let signature = parse::signature(SIGNATURE, signature)?;
    let ask = CorrectionAsk::new(disclosure, field, sent.text, sent.official);
    Ok((ask.map_err(|error| FormFault::new("text", format!("can't be used: {error}")))?, signature))
}

/// A disclosure as its partner sees it.
pub(super) fn disclosure(case: &Case) -> pb::Disclosure {
    let request = case.disclosure.request();
    pb::Disclosure {
        name: request.disclosure().resource(),
        query: request.ask().query().resource(),
        fields: request.ask().fields().iter().map(ToString::to_string).collect(),
        state: state(&case.disclosure).into(),
        create_time: Some(timestamp_to_pb(request.received())),
        expire_time: Some(timestamp_to_pb(case.ends)),
        questions: case.disclosure.questions().iter().map(question).collect(),
        corrections: corrections(&case.disclosure),
        correction_requests: case.disclosure.corrections_asked().iter().map(correction_inquiry).collect(),
    }
}

/// Corrections as their partner sees them: those that it was told, in that order; nothing of what waits.
fn corrections(disclosure: &Disclosure) -> Vec<pb::Correction> {
    let all = disclosure.corrections().iter();
    let mut told: Vec<_> = all.filter_map(|one| Some((one, one.told.as_ref()?))).collect();
    told.sort_by_key(|(_, told)| told.number);
    told.into_iter()
        .map(|(one, told)| pb::Correction {
            number: told.number,
            kind: correction_kind(one.new.kind).into(),
            fields: one.new.fields.iter().map(ToString::to_string).collect(),
            statement: one.new.statement.clone(),
            tell_time: Some(timestamp_to_pb(told.at)),
            acknowledge_by: Some(timestamp_to_pb(told.acknowledge_by)),
            acknowledge_time: told.acknowledged.map(timestamp_to_pb),
        })
        .collect()
}

const fn correction_kind(kind: CorrectionKind) -> pb::CorrectionKind {
    match kind {
        CorrectionKind::Changed => pb::CorrectionKind::Changed,
        CorrectionKind::Withdrawn => pb::CorrectionKind::Withdrawn,
        CorrectionKind::Statement => pb::CorrectionKind::Statement,
    }
}

/// What the partner asked for after the release, as it sees it: not who answered.
fn correction_inquiry(asked: &CorrectionAsked) -> pb::CorrectionInquiry {
    let answer = asked.answer.as_ref();
    let outcome = answer.map_or(pb::CorrectionOutcome::Unspecified, |answer| match answer.accepted {
        true => pb::CorrectionOutcome::Accepted,
        false => pb::CorrectionOutcome::Refused,
    });
    pb::CorrectionInquiry {
        field: asked.signed.ask.field().map(ToString::to_string).unwrap_or_default(),
        text: asked.signed.ask.text().to_owned(),
        ask_time: Some(timestamp_to_pb(asked.at)),
        outcome: outcome.into(),
        answer: answer.map(|answer| answer.text.clone()).unwrap_or_default(),
        answer_time: answer.map(|answer| timestamp_to_pb(answer.at)),
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
