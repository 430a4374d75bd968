//! People, partners, keys and rules: what two people change, and when it takes effect.

use std::fs;

use onebit::cli::certs::{Authority, CertificateRequest, Validity};
use onebit::clock::{Clock, SystemClock};
use onebit::door::TrustDomainName;
use onebit::grpc::change_form::change_to_pb;
use onebit::grpc::pb::administration::administration_service_client::AdministrationServiceClient;
use onebit::grpc::pb::administration::propose_change_request::Signature;
use onebit::grpc::pb::administration::{
    GetPolicyRequest, ListPartnersRequest, ProposeChangeRequest, ReleaseKeyState,
};
use onebit::grpc::pb::partner::agreement_service_client::AgreementServiceClient;
use onebit::grpc::pb::partner::{Answer, GetStandingRequest, ListAgreementsRequest, Question};
use onebit::ids::{ChangeId, RequestId};
use onebit::keys::SignatureDomain;
use onebit::secret::SystemEntropy;
use onebit::store::change::{Change, digest};
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, copy, repository, until, who};
use crate::story::{OrRefused as _, answer_about, ask, question_about, reason, refusal, request_id};

#[tokio::test]
async fn other_rules_take_two_people_and_hold_from_the_next_question_on() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let au = holder.channel(who::AU).await;
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);
    let before = policy_digest(&holder).await;
    let folder = holder.path("rules");
    copy(&repository().join("policy"), &folder);
    let agreement = folder.join("agreements/au-border-identity.toml");
    let text = fs::read_to_string(&agreement).unwrap();
    fs::write(&agreement, text.replace("name = \"border-identity\"", "name = \"border-entry\"")).unwrap();

    let change = holder.propose(who::PRIVACY, &["policy", "rules"]);
    assert_eq!(policy_digest(&holder).await, before, "a proposal alone must change nothing");
    holder.onebit(who::ADMIN, &["change", "confirm", &change]).ok();
    assert_ne!(policy_digest(&holder).await, before);
    assert_eq!(refusal(ask(&au, question_about(0)).await).1, "PURPOSE_NOT_IN_AGREEMENT");
    let renamed = Question { purpose: "border-entry".to_owned(), ..question_about(0) };
    assert_eq!(ask(&au, renamed).await.unwrap().answer(), Answer::Hit);
}

#[tokio::test]
async fn rules_that_do_not_hold_are_refused_before_anybody_can_confirm_them() {
    let holder = Holder::start(HolderOptions::default()).await;
    let folder = holder.path("rules");
    copy(&repository().join("policy"), &folder);
    let file = folder.join("rules/query.cedar");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("@id(\"query-term\")", "@id(\"query-agreement\")", 1)).unwrap();
    let told =
        holder.onebit(who::ADMIN, &["change", "propose", "policy", "rules", "--reason", "a slip"]).failed();
    assert!(told.contains("query.cedar"), "the fault should be told with its file: {told}");
    let checked = holder.onebit(who::ADMIN, &["policy", "check", "rules"]);
    let place = checked.out();
    checked.failed();
    assert!(place.contains("rules/query.cedar:"), "{place}");
    // Somebody who skips the check of the command line is refused by the server.
    let bundle = onebit::authz::Bundle::read_folder(&folder).unwrap();
    let status = propose(&holder, &Change::ActivatePolicy(bundle), "a slip").await.refused();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
}

#[tokio::test]
async fn a_change_is_what_was_signed() {
    let holder = Holder::start(HolderOptions::default()).await;
    let restore = Change::RestorePartner("au-border".parse().unwrap());
    let message = |reason: &str, signed_reason: &str| {
        let request_id = request_id();
        let id = ChangeId::from_bytes(*RequestId::parse_uuid(&request_id).unwrap().as_bytes());
        let digest = digest(id, &restore, signed_reason);
        let signature = holder.signing_key(who::ADMIN).sign(SignatureDomain::Change, &digest).unwrap();
        ProposeChangeRequest {
            change: Some(change_to_pb(&restore)),
            reason: reason.to_owned(),
            request_id,
            signature: Some(Signature::CertificateSignature(signature)),
        }
    };
    let mut service = AdministrationServiceClient::new(holder.channel(who::ADMIN).await);
    let swapped = service.propose_change(message("because", "as agreed")).await;
    assert_eq!(refusal(swapped), (Code::InvalidArgument, "SIGNATURE_INVALID".to_owned()));
    let mut by_another = AdministrationServiceClient::new(holder.channel(who::OTHER_ADMIN).await);
    assert_eq!(
        refusal(by_another.propose_change(message("because", "because")).await).1,
        "SIGNATURE_INVALID"
    );
    let first = message("because", "because");
    let made = service.propose_change(first.clone()).await.unwrap().into_inner().change.unwrap();
    let again = service.propose_change(first).await.unwrap().into_inner().change.unwrap();
    assert_eq!(made.name, again.name, "the same request id finds the change again");
}

#[tokio::test]
async fn a_rejected_change_is_over() {
    let holder = Holder::start(HolderOptions::default()).await;
    let change = holder.propose(who::ADMIN, &["restore-partner", "au-border"]);
    holder.onebit(who::OFFICER, &["change", "reject", &change, "--reason", "not mine to say"]).failed();
    holder.onebit(who::OTHER_ADMIN, &["change", "reject", &change, "--reason", "not suspended"]).ok();
    let late = holder.onebit(who::PRIVACY, &["change", "confirm", &change]).failed();
    assert!(late.contains("NOT_NOW"), "{late}");
    assert!(holder.onebit(who::PRIVACY, &["change", "list"]).ok().contains("rejected"));
}

/// A whole partner comes in without a restart: its authority, its system, its agreement.
#[tokio::test]
async fn a_new_partner_connects_as_soon_as_two_people_have_said_so() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let domain = TrustDomainName::parse("border.uk.example").unwrap();
    let valid = Validity::starting(SystemClock.now(), std::time::Duration::from_secs(86_400));
    let authority = Authority::new(&domain, valid, &SystemEntropy::new()).unwrap();
    let request = CertificateRequest::client("spiffe://border.uk.example/system/gateway", valid);
    let system = authority.issue(&request, &SystemEntropy::new()).unwrap();
    fs::write(holder.path("uk.pem"), authority.certificate_pem()).unwrap();
    fs::write(holder.path("uk-gateway.pem"), &system.certificate_pem).unwrap();
    let connected = async || -> Result<(), Status> {
        let channel = holder.channel_with(&system.certificate_pem, &system.key_pem).await;
        let channel = channel.map_err(|_| Status::unavailable("no connection"))?;
        AgreementServiceClient::new(channel).get_standing(GetStandingRequest {}).await.map(drop)
    };
    connected().await.refused_or("an authority that nobody added was trusted");

    let partner = [
        "partner",
        "--name",
        "uk-border",
        "--title",
        "Border agency",
        "--trust-domain",
        "border.uk.example",
        "--authority",
        "uk.pem",
    ];
    holder.change(who::ADMIN, who::PRIVACY, &partner);
    until("the door takes certificates of the new authority", || async {
        refusal(connected().await).1 == "CREDENTIAL_UNKNOWN"
    })
    .await;
    let person = [
        "person",
        "--name",
        "uk-gateway",
        "--role",
        "partner-system",
        "--partner",
        "uk-border",
        "--certificate",
        "uk-gateway.pem",
    ];
    holder.change(who::PRIVACY, who::ADMIN, &person);
    connected().await.unwrap();
    let channel = holder.channel_with(&system.certificate_pem, &system.key_pem).await.unwrap();
    let agreements =
        AgreementServiceClient::new(channel.clone()).list_agreements(ListAgreementsRequest {}).await;
    assert!(
        agreements.unwrap().into_inner().agreements.is_empty(),
        "a partner has the agreements of the rules, no more"
    );
    assert_eq!(
        refusal(ask(&channel, question_about(0)).await),
        (Code::PermissionDenied, "AGREEMENT_UNKNOWN".to_owned())
    );
}

#[tokio::test]
async fn a_person_of_another_trust_domain_is_refused() {
    let holder = Holder::start(HolderOptions::default()).await;
    let au = crate::identity::authority_of(&holder, "au-border");
    let valid = Validity::starting(SystemClock.now(), std::time::Duration::from_secs(86_400));
    let request = CertificateRequest::client("spiffe://border.au.example/person/mole", valid);
    let mole = au.issue(&request, &SystemEntropy::new()).unwrap();
    fs::write(holder.path("mole.pem"), &mole.certificate_pem).unwrap();
    let put = [
        "change",
        "propose",
        "person",
        "--name",
        "mole",
        "--role",
        "approving-officer",
        "--certificate",
        "mole.pem",
        "--reason",
        "x",
    ];
    let told = holder.onebit(who::ADMIN, &put).failed();
    assert!(
        told.contains("FIELD_INVALID"),
        "a partner's authority must not make officers of the holder: {told}"
    );
}

#[tokio::test]
async fn a_release_key_is_confirmed_by_two_people_of_different_roles() {
    let holder = Holder::start(HolderOptions::default()).await;
    holder.onebit(who::AU, &["release-key", "new", "--out", "own.key"]).ok();
    let register = ["release-key", "register", "--release-key", "own.key", "--output", "json"];
    let change = holder.onebit(who::AU, &register).json()["change"].as_str().unwrap().to_owned();
    let confirmed = async || {
        let mut service = AdministrationServiceClient::new(holder.channel(who::ADMIN).await);
        let partners = service.list_partners(ListPartnersRequest {}).await.unwrap().into_inner().partners;
        partners.iter().find(|partner| partner.partner == "partners/au-border").unwrap().release_key()
    };
    let before = confirmed().await;
    holder.onebit(who::AU, &["change", "confirm", &change]).failed();
    holder.onebit(who::ADMIN, &["change", "confirm", &change]).ok();
    assert_eq!(confirmed().await, before, "one person alone confirmed a key");
    holder.onebit(who::ADMIN, &["change", "confirm", &change]).failed();
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).failed();
    assert_eq!(confirmed().await, before, "two people of one role confirmed a key");
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    assert_eq!(confirmed().await, ReleaseKeyState::Confirmed);
}

#[tokio::test]
async fn the_registry_shows_people_partners_and_their_standing() {
    let holder = Holder::start(HolderOptions::default()).await;
    let people = holder.onebit(who::ADMIN, &["registry", "people"]).ok();
    for role in
        ["partner-system", "enrolment-system", "approving-officer", "privacy-officer", "administrator"]
    {
        assert!(people.contains(role), "the ceremony should have named a {role}:\n{people}");
    }
    holder.onebit(who::PRIVACY, &["suspend", "partner", "ca-border", "--reason", "for a test"]).ok();
    let partners = holder.onebit(who::PRIVACY, &["registry", "partners"]).ok();
    assert!(partners.contains("ca-border") && partners.contains("suspended"), "{partners}");
}

async fn policy_digest(holder: &Holder) -> Vec<u8> {
    let mut service = AdministrationServiceClient::new(holder.channel(who::PRIVACY).await)
        .max_decoding_message_size(usize::MAX);
    service.get_policy(GetPolicyRequest {}).await.unwrap().into_inner().digest
}

async fn propose(holder: &Holder, change: &Change, why: &str) -> Result<(), Status> {
    let request_id = request_id();
    let id = ChangeId::from_bytes(*RequestId::parse_uuid(&request_id).unwrap().as_bytes());
    let signature =
        holder.signing_key(who::ADMIN).sign(SignatureDomain::Change, &digest(id, change, why)).unwrap();
    let message = ProposeChangeRequest {
        change: Some(change_to_pb(change)),
        reason: why.to_owned(),
        request_id,
        signature: Some(Signature::CertificateSignature(signature)),
    };
    AdministrationServiceClient::new(holder.channel(who::ADMIN).await).propose_change(message).await.map(drop)
}
