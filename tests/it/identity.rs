//! Who may call at all: certificates, ids, keys, standing, and the two people it takes to change them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use onebit::cli::certs::{Authority, CertificateRequest, Issued, Usage, Validity};
use onebit::clock::{Clock, SystemClock};
use onebit::door::TrustDomainName;
use onebit::grpc::pb::enrolment::GetSubjectRequest;
use onebit::grpc::pb::enrolment::enrolment_service_client::EnrolmentServiceClient;
use onebit::grpc::pb::officer::ListCasesRequest;
use onebit::grpc::pb::officer::case_service_client::CaseServiceClient;
use onebit::grpc::pb::partner::agreement_service_client::AgreementServiceClient;
use onebit::grpc::pb::partner::{Answer, GetStandingRequest};
use onebit::secret::SystemEntropy;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::holder::{Holder, HolderOptions, until, who};
use crate::story::{OrRefused as _, answer_about, ask, bytes_of, question_about, reason, refusal};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_suspended_partner_is_refused_at_its_next_call_although_its_connection_is_open() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let (au, ca) = (holder.channel(who::AU).await, holder.channel(who::CA).await);
    assert_eq!(answer_about(&au, 0).await, Answer::Hit);
    standing(&ca).await.unwrap();

    holder.onebit(who::ADMIN, &["suspend", "partner", "au-border", "--reason", "key may be stolen"]).ok();
    // Its connection may be cut before it hears why; nothing is answered either way.
    ask(&au, question_about(0)).await.refused_or("a suspended partner was answered on its open connection");
    until("the partner is told that it is suspended", || async {
        let status = ask(&au, question_about(0)).await.refused_or("a suspended partner was answered");
        (status.code(), reason(&status).as_str()) == (Code::PermissionDenied, "PARTNER_SUSPENDED")
    })
    .await;
    assert_eq!(refusal(standing(&au).await).1, "PARTNER_SUSPENDED");
    standing(&ca).await.expect("the suspension of one partner is none of another");
}

#[tokio::test]
async fn two_people_of_different_roles_lift_a_suspension_and_nobody_does_alone() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    holder.onebit(who::PRIVACY, &["suspend", "partner", "au-border", "--reason", "under investigation"]).ok();

    let restore = &["restore-partner", "au-border"];
    let change = holder.propose(who::ADMIN, restore);
    let alone = holder.onebit(who::ADMIN, &["change", "confirm", &change]).failed();
    assert!(alone.contains("CHANGE_IS_YOUR_OWN"), "{alone}");
    let same_role = holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).failed();
    assert!(same_role.contains("CHANGE_NEEDS_ANOTHER_ROLE"), "{same_role}");
    let officer = holder.onebit(who::OFFICER, &["change", "confirm", &change]).failed();
    assert!(officer.contains("ROLE_NOT_ALLOWED"), "{officer}");
    let still = refusal(ask(&holder.channel(who::AU).await, question_about(0)).await);
    assert_eq!(
        still,
        (Code::PermissionDenied, "PARTNER_SUSPENDED".to_owned()),
        "nobody lifts a suspension alone"
    );

    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    assert_eq!(answer_about(&holder.channel(who::AU).await, 0).await, Answer::Hit);
    let twice = holder.onebit(who::PRIVACY, &["change", "confirm", &change]).failed();
    assert!(twice.contains("NOT_NOW"), "a change has effect once: {twice}");
}

#[tokio::test]
async fn a_suspended_person_is_refused_until_two_people_say_otherwise() {
    let holder = Holder::start(HolderOptions::default()).await;
    let cases = async || {
        let channel = holder.channel(who::OFFICER).await;
        CaseServiceClient::new(channel).list_cases(ListCasesRequest::default()).await
    };
    cases().await.unwrap();
    holder.onebit(who::ADMIN, &["suspend", "person", who::OFFICER.name(), "--reason", "on leave"]).ok();
    assert_eq!(refusal(cases().await), (Code::PermissionDenied, "PERSON_SUSPENDED".to_owned()));
    holder.change(who::ADMIN, who::PRIVACY, &["restore-person", who::OFFICER.name()]);
    cases().await.unwrap();
}

#[tokio::test]
async fn a_registered_id_with_another_key_and_an_unknown_id_are_nobodys_alike() {
    let holder = Holder::start(HolderOptions::default()).await;
    let authority = authority_of(&holder, "au-border");
    let other_key = issued(&authority, &CertificateRequest::client(who::AU.spiffe_id(), valid()));
    let unknown =
        issued(&authority, &CertificateRequest::client("spiffe://border.au.example/system/other", valid()));
    let mut told = Vec::new();
    for certificate in [other_key, unknown] {
        let status = standing(&with(&holder, &certificate).await).await.refused();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CREDENTIAL_UNKNOWN"));
        told.push(bytes_of(&status));
    }
    assert_eq!(told[0], told[1], "nobody must learn which ids are registered");
    standing(&holder.channel(who::AU).await).await.unwrap();
}

#[tokio::test]
async fn a_new_key_takes_two_people_and_the_old_one_ends_with_it() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let renewed = issued(
        &authority_of(&holder, "holder"),
        &CertificateRequest::client(who::ENROLLER.spiffe_id(), valid()),
    );
    let file = holder.path("renewed.pem");
    fs::write(&file, &renewed.certificate_pem).unwrap();
    let (old, new) = (holder.channel(who::ENROLLER).await, with(&holder, &renewed).await);
    subject(&old).await.unwrap();
    assert_eq!(refusal(subject(&new).await).0, Code::Unauthenticated);

    let put = [
        "person",
        "--name",
        who::ENROLLER.name(),
        "--role",
        "enrolment-system",
        "--certificate",
        path(&file),
    ];
    let change = holder.propose(who::ADMIN, &put);
    assert_eq!(
        refusal(subject(&new).await).0,
        Code::Unauthenticated,
        "one person alone gave somebody a new key"
    );
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    subject(&with(&holder, &renewed).await).await.unwrap();
    let old = holder.channel(who::ENROLLER).await;
    assert_eq!(refusal(subject(&old).await), (Code::Unauthenticated, "CREDENTIAL_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn certificates_that_are_not_in_order_are_refused_at_the_handshake() {
    let holder = Holder::start(HolderOptions::default()).await;
    let au = authority_of(&holder, "au-border");
    let ca = authority_of(&holder, "ca-border");
    let domain = TrustDomainName::parse("border.au.example").unwrap();
    let pretender = Authority::new(&domain, valid(), &SystemEntropy::new()).unwrap();
    let base = || CertificateRequest::client(who::AU.spiffe_id(), valid());
    let now = SystemClock.now();
    let past = Validity { not_before: now.before(DAY * 2), not_after: now.before(DAY) };
    let two = vec![who::AU.spiffe_id().to_owned(), "spiffe://border.au.example/system/other".to_owned()];
    let cases = [
        ("another authority under the same name", issued(&pretender, &base())),
        ("the authority of another partner", issued(&ca, &base())),
        ("two URIs", issued(&au, &CertificateRequest { uris: two, ..base() })),
        (
            "no URI",
            issued(
                &au,
                &CertificateRequest { uris: Vec::new(), dns: vec!["border.au.example".to_owned()], ..base() },
            ),
        ),
        ("an expired certificate", issued(&au, &CertificateRequest { validity: past, ..base() })),
        (
            "a server's certificate",
            issued(&au, &CertificateRequest { usages: vec![Usage::Server], ..base() }),
        ),
    ];
    for (what, certificate) in cases {
        let Ok(channel) = holder.channel_with(&certificate.certificate_pem, &certificate.key_pem).await
        else {
            continue;
        };
        let status = standing(&channel).await.refused_or(what);
        let refused_by_transport = std::error::Error::source(&status).is_some();
        assert!(refused_by_transport, "{what} came as far as the service, which said: {status}");
    }
    // The log is written beside the handshake.
    for word in ["issuer", "many_names", "nameless", "expired", "usage"] {
        until(&format!("the log says `{word}` to the operator"), || async {
            holder.log_output().contains(&format!("\"reason\":\"{word}\""))
        })
        .await;
    }
    let server = au
        .issue_server(&["localhost"], &[Ipv4Addr::LOCALHOST.into()], valid(), &SystemEntropy::new())
        .unwrap();
    fs::write(holder.path("other-ca.pem"), au.certificate_pem()).unwrap();
    let mistaken = holder
        .command(who::AU)
        .env("ONEBIT_CA", holder.path("other-ca.pem"))
        .args(["agreement", "standing"])
        .output();
    assert!(
        !mistaken.unwrap().status.success(),
        "a client must refuse a server that its authority did not issue"
    );
    drop(server);
}

async fn standing(channel: &Channel) -> Result<(), Status> {
    AgreementServiceClient::new(channel.clone()).get_standing(GetStandingRequest {}).await.map(drop)
}

async fn subject(channel: &Channel) -> Result<(), Status> {
    let asked = GetSubjectRequest { source_id: "syn-000000".to_owned() };
    EnrolmentServiceClient::new(channel.clone()).get_subject(asked).await.map(drop)
}

async fn with(holder: &Holder, issued: &Issued) -> Channel {
    holder.channel_with(&issued.certificate_pem, &issued.key_pem).await.unwrap()
}

/// The development authority of a trust domain.
pub(crate) fn authority_of(holder: &Holder, whose: &str) -> Authority {
    let folder = holder.path("authorities").join(whose);
    let [certificate, key] =
        ["authority.pem", "authority.key"].map(|file| fs::read_to_string(folder.join(file)).unwrap());
    Authority::from_pem(&certificate, &key).unwrap()
}

fn issued(authority: &Authority, request: &CertificateRequest) -> Issued {
    authority.issue(request, &SystemEntropy::new()).unwrap()
}

fn valid() -> Validity {
    Validity::starting(SystemClock.now(), DAY)
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}
