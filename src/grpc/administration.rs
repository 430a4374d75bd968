//! People, partners and rules: changes that take two people, and suspensions.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::call::{Desk, Reply};
use super::change_form::{
    FormFault, agreement_name, change_from_pb, change_to_pb, files_to_pb, partner_name, partner_resource,
    payload_class_to_pb, person_name, person_resource, role_to_pb, standing_to_pb, state_to_pb,
};
use super::in_order::Answers;
use super::page::{self, PageSizes};
use super::parse;
use super::pb::administration as pb;
use super::pb::administration::administration_service_server::AdministrationService;
use super::pb::administration::make_backup_response::Progress;
use super::pb::administration::{confirm_change_request, propose_change_request};
use super::status::CallError;
use super::timestamp::timestamp_to_pb;
use crate::authz::Action;
use crate::clock::date_of;
use crate::gate::{ChangeAsk, RetentionView};
use crate::ids::{ChangeId, Digest};
use crate::store::disposal::Unfinished;
use crate::store::registry::Delegation;
use crate::store::session::PasskeyState;
use crate::store::{BackupBegun, ChangeRecord, Partner, Passkey, PasskeyEnd, Person};

/// Administers people, partners and rules.
#[derive(Clone)]
pub(super) struct Administrations {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl AdministrationService for Administrations {
    async fn propose_change(
        &self,
        request: Request<pb::ProposeChangeRequest>,
    ) -> Reply<pb::ProposeChangeResponse> {
        let call = self.desk.call(Action::ProposeChange, &request);
        call.reply(async {
            let caller = call.caller()?;
            let proposed = self.desk.gate().change_propose(&caller, ask(request.into_inner())?).await?;
            Ok(pb::ProposeChangeResponse { change: Some(record(&proposed)) })
        })
        .await
    }

    async fn confirm_change(
        &self,
        request: Request<pb::ConfirmChangeRequest>,
    ) -> Reply<pb::ConfirmChangeResponse> {
        let call = self.desk.call(Action::ConfirmChange, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let id = parse::change("name", &sent.name)?;
            let confirm_change_request::Signature::CertificateSignature(signature) =
                parse::held(SIGNATURE, sent.signature)?;
            let signature = parse::signature(SIGNATURE, signature)?;
            let confirmed = self.desk.gate().change_confirm(&caller, id, signature).await?;
            Ok(pb::ConfirmChangeResponse { change: Some(record(&confirmed)) })
        })
        .await
    }

    async fn reject_change(
        &self,
        request: Request<pb::RejectChangeRequest>,
    ) -> Reply<pb::RejectChangeResponse> {
        let call = self.desk.call(Action::RejectChange, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let id = parse::change("name", &sent.name)?;
            let rejected = self.desk.gate().change_reject(&caller, id, sent.reason).await?;
            Ok(pb::RejectChangeResponse { change: Some(record(&rejected)) })
        })
        .await
    }

    async fn list_changes(&self, request: Request<pb::ListChangesRequest>) -> Reply<pb::ListChangesResponse> {
        let call = self.desk.call(Action::ListChanges, &request);
        call.reply(async {
            let caller = call.caller()?;
            let size = page::size(request.get_ref().page_size, PAGE)?;
            let after = page::last_id(&request.get_ref().page_token)?.map(ChangeId::from_bytes);
            let limit = page::with_one_to_spare(size);
            let mut changes = self.desk.gate().change_list(&caller, after, limit).await?;
            // Changes carry whole policy folders.
            let size = page::fitting(&changes.iter().map(record).collect::<Vec<_>>(), size);
            let next_page_token = page::cut(&mut changes, size, |change| *change.id.as_bytes());
            Ok(pb::ListChangesResponse { changes: changes.iter().map(record).collect(), next_page_token })
        })
        .await
    }

    async fn suspend_partner(
        &self,
        request: Request<pb::SuspendPartnerRequest>,
    ) -> Reply<pb::SuspendPartnerResponse> {
        let call = self.desk.call(Action::SuspendPartner, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let partner = partner_name("partner", &sent.partner)?;
            let receipt = self.desk.gate().partner_suspend(&caller, partner, sent.reason).await?;
            Ok(pb::SuspendPartnerResponse { receipt })
        })
        .await
    }

    async fn suspend_person(
        &self,
        request: Request<pb::SuspendPersonRequest>,
    ) -> Reply<pb::SuspendPersonResponse> {
        let call = self.desk.call(Action::SuspendPerson, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let person = person_name("person", &sent.person)?;
            let receipt = self.desk.gate().person_suspend(&caller, person, sent.reason).await?;
            Ok(pb::SuspendPersonResponse { receipt })
        })
        .await
    }

    async fn suspend_official(
        &self,
        request: Request<pb::SuspendOfficialRequest>,
    ) -> Reply<pb::SuspendOfficialResponse> {
        let call = self.desk.call(Action::SuspendOfficial, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let whom = (partner_name("partner", &sent.partner)?, sent.official);
            let receipt = self.desk.gate().official_suspend(&caller, whom, sent.reason).await?;
            Ok(pb::SuspendOfficialResponse { receipt })
        })
        .await
    }

    async fn suspend_agreement(
        &self,
        request: Request<pb::SuspendAgreementRequest>,
    ) -> Reply<pb::SuspendAgreementResponse> {
        let call = self.desk.call(Action::SuspendAgreement, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let agreement = agreement_name("agreement", &sent.agreement)?;
            let receipt = self.desk.gate().agreement_suspend(&caller, agreement, sent.reason).await?;
            Ok(pb::SuspendAgreementResponse { receipt })
        })
        .await
    }

    async fn list_passkeys(
        &self,
        request: Request<pb::ListPasskeysRequest>,
    ) -> Reply<pb::ListPasskeysResponse> {
        let call = self.desk.call(Action::ListPasskeys, &request);
        call.reply(async {
            let caller = call.caller()?;
            let person = person_name("person", &request.get_ref().person)?;
            let passkeys = self.desk.gate().passkeys_of(&caller, person).await?;
            Ok(pb::ListPasskeysResponse { passkeys: passkeys.iter().map(passkey).collect() })
        })
        .await
    }

    async fn end_passkey(&self, request: Request<pb::EndPasskeyRequest>) -> Reply<pb::EndPasskeyResponse> {
        let call = self.desk.call(Action::EndPasskey, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let person = person_name("person", &sent.person)?;
            let fingerprint = parse::digest("key_fingerprint", &sent.key_fingerprint)?;
            let ask = PasskeyEnd { person, fingerprint, why: sent.reason };
            Ok(pb::EndPasskeyResponse { receipt: self.desk.gate().passkey_end(&caller, ask).await? })
        })
        .await
    }

    async fn list_delegations(
        &self,
        request: Request<pb::ListDelegationsRequest>,
    ) -> Reply<pb::ListDelegationsResponse> {
        let call = self.desk.call(Action::ListDelegations, &request);
        call.reply(async {
            let delegations = self.desk.gate().delegations_list(&call.caller()?).await?;
            Ok(pb::ListDelegationsResponse { delegations: delegations.iter().map(delegation).collect() })
        })
        .await
    }

    async fn end_delegation(
        &self,
        request: Request<pb::EndDelegationRequest>,
    ) -> Reply<pb::EndDelegationResponse> {
        let call = self.desk.call(Action::EndDelegation, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let change = parse::change("change", &sent.change)?;
            let receipt = self.desk.gate().delegation_end(&caller, change, sent.reason).await?;
            Ok(pb::EndDelegationResponse { receipt })
        })
        .await
    }

    async fn list_people(&self, request: Request<pb::ListPeopleRequest>) -> Reply<pb::ListPeopleResponse> {
        let call = self.desk.call(Action::ListPeople, &request);
        call.reply(async {
            let people = self.desk.gate().people_list(&call.caller()?).await?;
            Ok(pb::ListPeopleResponse { people: people.iter().map(person).collect() })
        })
        .await
    }

    async fn list_partners(
        &self,
        request: Request<pb::ListPartnersRequest>,
    ) -> Reply<pb::ListPartnersResponse> {
        let call = self.desk.call(Action::ListPartners, &request);
        call.reply(async {
            let partners = self.desk.gate().partners_list(&call.caller()?).await?;
            Ok(pb::ListPartnersResponse { partners: partners.iter().map(partner).collect() })
        })
        .await
    }

    async fn get_policy(&self, request: Request<pb::GetPolicyRequest>) -> Reply<pb::GetPolicyResponse> {
        let call = self.desk.call(Action::GetPolicy, &request);
        call.reply(async {
            let (digest, bundle) = self.desk.gate().policy_get(&call.caller()?).await?;
            Ok(pb::GetPolicyResponse { digest: digest.as_bytes().to_vec(), files: files_to_pb(&bundle) })
        })
        .await
    }

    async fn list_retention(
        &self,
        request: Request<pb::ListRetentionRequest>,
    ) -> Reply<pb::ListRetentionResponse> {
        let call = self.desk.call(Action::ListRetention, &request);
        call.reply(async {
            let views = self.desk.gate().retention_list(&call.caller()?).await?;
            Ok(pb::ListRetentionResponse { retentions: views.into_iter().map(retention).collect() })
        })
        .await
    }

    type MakeBackupStream = Answers<pb::MakeBackupResponse>;

    async fn make_backup(&self, request: Request<pb::MakeBackupRequest>) -> Reply<Self::MakeBackupStream> {
        let call = self.desk.call(Action::MakeBackup, &request);
        let begun = call.done(async {
            let caller = call.caller()?;
            Ok(self.desk.gate().backup_begin(&caller, request.into_inner().reason).await?)
        });
        let begun = begun.await.map_err(Status::from)?;
        let (told, taken) = mpsc::channel(1);
        tokio::spawn(backup(self.desk.clone(), begun, told));
        Ok(Response::new(Box::pin(ReceiverStream::new(taken))))
    }
}

/// Tells how far a backup is, and makes it, whoever listens.
async fn backup(desk: Desk, begun: BackupBegun, told: mpsc::Sender<Result<pb::MakeBackupResponse, Status>>) {
    let name = begun.name().to_owned();
    let progress = Progress::Begun(pb::BackupBegun { receipt: begun.receipt().to_text() });
    let first = pb::MakeBackupResponse { backup: name.clone(), progress: Some(progress) };
    let _listener_is_gone = told.send(Ok(first)).await;
    let made = match desk.gate().backup_make(begun).await {
        Ok(made) => {
            let progress = Progress::Made(pb::BackupMade {
                make_time: Some(timestamp_to_pb(made.note.made)),
                sealed_bytes: made.note.bytes,
                sealed_sha256: made.note.digest.as_bytes().to_vec(),
            });
            Ok(pb::MakeBackupResponse { backup: name, progress: Some(progress) })
        }
        Err(error) => {
            let error = CallError::from(error);
            error.log(Action::MakeBackup);
            Err(error.status())
        }
    };
    let _listener_is_gone = told.send(made).await;
}

fn ask(sent: pb::ProposeChangeRequest) -> Result<ChangeAsk, FormFault> {
    let request = parse::request_id("request_id", &sent.request_id)?;
    let propose_change_request::Signature::CertificateSignature(signature) =
        parse::held(SIGNATURE, sent.signature)?;
    Ok(ChangeAsk {
        id: ChangeId::from_bytes(*request.as_bytes()),
        change: change_from_pb(parse::held("change", sent.change)?)?,
        signature: parse::signature(SIGNATURE, signature)?,
        reason: sent.reason,
    })
}

fn record(record: &ChangeRecord) -> pb::ChangeRecord {
    pb::ChangeRecord {
        name: record.id.resource(),
        summary: record.change.summary(),
        state: state_to_pb(record.state).into(),
        digest: record.digest.as_bytes().to_vec(),
        proposer: person_resource(&record.proposer),
        decider: record.decider.as_ref().map(person_resource).unwrap_or_default(),
        create_time: Some(timestamp_to_pb(record.created)),
        change: Some(change_to_pb(&record.change)),
        reason: record.reason.clone(),
    }
}

fn person(person: &Person) -> pb::Person {
    pb::Person {
        person: person_resource(&person.name),
        role: role_to_pb(person.role).into(),
        spiffe_id: person.spiffe_id.clone(),
        partner: person.partner.as_ref().map(partner_resource).unwrap_or_default(),
        standing: standing_to_pb(person.standing).into(),
        key_fingerprint: if person.has_certificate() {
            Digest::sha256(&person.public_key).as_bytes().to_vec()
        } else {
            Vec::new()
        },
        contact: person.contact.clone().unwrap_or_default(),
        unit: person.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn delegation(delegation: &Delegation) -> pb::Delegation {
    pb::Delegation {
        change: delegation.change.resource(),
        delegator: person_resource(&delegation.what.delegator),
        delegate: person_resource(&delegation.what.delegate),
        since_time: Some(timestamp_to_pb(delegation.what.since)),
        until_time: Some(timestamp_to_pb(delegation.what.until)),
        ended: delegation.ended,
    }
}

fn passkey(passkey: &Passkey) -> pb::Passkey {
    let state = match passkey.state {
        PasskeyState::Registered => pb::PasskeyState::Registered,
        PasskeyState::Confirmed => pb::PasskeyState::Confirmed,
        PasskeyState::Ended => pb::PasskeyState::Ended,
    };
    pb::Passkey {
        key_fingerprint: passkey.fingerprint().as_bytes().to_vec(),
        title: passkey.title.clone(),
        state: state.into(),
        make_time: Some(timestamp_to_pb(passkey.made)),
        use_time: passkey.used.map(timestamp_to_pb),
    }
}

fn retention(view: RetentionView) -> pb::Retention {
    let progress = match view.facts.unfinished {
        Unfinished::Yes => pb::DisposalProgress::Unfinished,
        Unfinished::No => pb::DisposalProgress::Finished,
    };
    pb::Retention {
        payload_class: payload_class_to_pb(view.class).into(),
        retention_class: view.retention.name,
        days: view.retention.days,
        authority: view.retention.authority,
        oldest: view.facts.oldest.map(|day| date_of(day).to_string()).unwrap_or_default(),
        disposable_before: view.before.to_string(),
        disposable_days: view.facts.days,
        disposable_entries: view.facts.entries,
        needed: view.facts.needed.unwrap_or_default(),
        progress: progress.into(),
    }
}

fn partner(partner: &Partner) -> pb::Partner {
    let release_key = match partner.release_key {
        Some(_) => pb::ReleaseKeyState::Confirmed,
        None => pb::ReleaseKeyState::Missing,
    };
    pb::Partner {
        partner: partner_resource(&partner.name),
        title: partner.title.clone(),
        trust_domain: partner.trust_domain.clone(),
        standing: standing_to_pb(partner.standing).into(),
        release_key: release_key.into(),
        contact: partner.contact.clone().unwrap_or_default(),
    }
}

const SIGNATURE: &str = "certificate_signature";
/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 50, most: 200 };
