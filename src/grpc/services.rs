//! Every service of the interface, as one set of routes for the server to serve.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic_health::server::HealthReporter;

use super::administration::Administrations;
use super::agreement::Agreements;
use super::answer_time::AnswerTime;
use super::breach::Breaches;
use super::call::Desk;
use super::case::Cases;
use super::disclosure::Disclosures;
use super::enrolment::Enrolments;
use super::journal::Journals;
use super::log::Logs;
use super::pb;
use super::pb::administration::administration_service_server::AdministrationServiceServer;
use super::pb::enrolment::enrolment_service_server::EnrolmentServiceServer;
use super::pb::officer::case_service_server::CaseServiceServer;
use super::pb::oversight::breach_service_server::BreachServiceServer;
use super::pb::oversight::log_service_server::LogServiceServer;
use super::pb::oversight::subject_service_server::SubjectServiceServer;
use super::pb::partner::agreement_service_server::AgreementServiceServer;
use super::pb::partner::disclosure_service_server::DisclosureServiceServer;
use super::pb::partner::journal_service_server::JournalServiceServer;
use super::pb::partner::query_service_server::QueryServiceServer;
use super::query::Queries;
use super::subject::Subjects;
use super::watch::Watching;
use crate::authz::Role;
use crate::door::limits::{ENROLMENT_REQUEST_MAX_BYTES, REQUEST_MAX_BYTES};
use crate::door::{Peer, RpcSlots};
use crate::gate::{Credential, Gate};

/// How the services behave.
#[derive(Clone)]
pub struct ServiceSettings {
    /// How long after their questions answers leave.
    pub answer_time: AnswerTime,
    /// Whether anybody who connects may read the schemas.
    pub reflection: Reflection,
    /// The room for calls.
    pub slots: Arc<RpcSlots>,
    /// Where browsers find the console, if there is one.
    pub console: Option<String>,
}

impl Default for ServiceSettings {
    /// Answers at once, no reflection, room as documented at the door.
    fn default() -> Self {
        Self {
            answer_time: AnswerTime::AtOnce,
            reflection: Reflection::Off,
            slots: Arc::default(),
            console: None,
        }
    }
}

/// Whether gRPC server reflection is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reflection {
    /// It is not.
    #[default]
    Off,
    /// It is.
    On,
}

/// The services, and a hand on what they say of their health.
pub struct Services {
    /// Every service, for `tonic::transport::Server::add_routes`.
    pub routes: Routes,
    /// What grpc.health.v1 says; serving from the start.
    pub health: HealthReporter,
}

/// The descriptors of the schemas can't be served.
#[derive(Debug, thiserror::Error)]
#[error("the schemas can't be served by reflection; switch it off")]
pub struct ReflectionError(#[from] tonic_reflection::server::Error);

/// Puts every service before the gate.
///
/// Whoever comes through the door may ask for health, and for the schemas where reflection is on; everything
/// else is asked of the rules.
///
/// # Errors
/// [`ReflectionError`] when reflection is on and the descriptors can't be read.
pub fn services(gate: &Arc<Gate>, settings: &ServiceSettings) -> Result<Services, ReflectionError> {
    let desk = Desk::new(Arc::clone(gate), Arc::clone(&settings.slots));
    let (health, health_server) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes.add_service(health_server);
    if settings.reflection == Reflection::On {
        routes.add_service(
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
                .build_v1()?,
        );
    }
    add_services(&mut routes, &desk, settings, gate);
    Ok(Services { routes: routes.routes(), health })
}

/// No service accepts compressed messages: what a message holds would show in its size.
fn add_services(routes: &mut RoutesBuilder, desk: &Desk, settings: &ServiceSettings, gate: &Arc<Gate>) {
    let queries = Queries { desk: desk.clone(), answer_time: settings.answer_time };
    routes.add_service(QueryServiceServer::new(queries).max_decoding_message_size(REQUEST_MAX_BYTES));
    let disclosures =
        DisclosureServiceServer::new(Disclosures { desk: desk.clone(), watching: Watching::default() });
    routes.add_service(disclosures.max_decoding_message_size(REQUEST_MAX_BYTES));
    let agreements = AgreementServiceServer::new(Agreements { desk: desk.clone() });
    routes.add_service(agreements.max_decoding_message_size(REQUEST_MAX_BYTES));
    let journals = JournalServiceServer::new(Journals { desk: desk.clone() });
    routes.add_service(journals.max_decoding_message_size(REQUEST_MAX_BYTES));
    let cases = CaseServiceServer::new(Cases { desk: desk.clone(), console: settings.console.clone() });
    routes.add_service(cases.max_decoding_message_size(REQUEST_MAX_BYTES));
    let logs = LogServiceServer::new(Logs { desk: desk.clone() });
    routes.add_service(logs.max_decoding_message_size(REQUEST_MAX_BYTES));
    let subjects = SubjectServiceServer::new(Subjects { desk: desk.clone() });
    routes.add_service(subjects.max_decoding_message_size(REQUEST_MAX_BYTES));
    let breaches = BreachServiceServer::new(Breaches { desk: desk.clone() });
    routes.add_service(breaches.max_decoding_message_size(REQUEST_MAX_BYTES));

    let enrolments = EnrolmentServiceServer::new(Enrolments::new(desk.clone()));
    routes.add_service(ByCaller {
        gate: Arc::clone(gate),
        holders: enrolments.clone().max_decoding_message_size(ENROLMENT_REQUEST_MAX_BYTES),
        others: enrolments.max_decoding_message_size(REQUEST_MAX_BYTES),
    });
    // Changes carry whole policy folders.
    let administrations = AdministrationServiceServer::new(Administrations { desk: desk.clone() });
    routes.add_service(ByCaller {
        gate: Arc::clone(gate),
        holders: administrations.clone().max_decoding_message_size(ENROLMENT_REQUEST_MAX_BYTES),
        others: administrations.max_decoding_message_size(REQUEST_MAX_BYTES),
    });
}

/// A service that takes long messages from people and systems of the holder only. A message is buffered whole
/// before the rules are asked; partners and strangers must not make us hold megabytes that way. Below the
/// shorter limit they are heard, refused by the rules and logged like everybody else.
#[derive(Clone)]
struct ByCaller<S> {
    gate: Arc<Gate>,
    holders: S,
    others: S,
}

impl<S: NamedService> NamedService for ByCaller<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for ByCaller<S>
where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = Infallible,
            Future = BoxFuture<Response<Body>, Infallible>,
        >,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self.holders.poll_ready(context) {
            Poll::Ready(Ok(())) => self.others.poll_ready(context),
            waiting => waiting,
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        if peer.is_some_and(|peer| is_holders(&self.gate, peer)) {
            self.holders.call(request)
        } else {
            self.others.call(request)
        }
    }
}

fn is_holders(gate: &Gate, peer: &Peer) -> bool {
    let spiffe_id = peer.identity().spiffe().to_string();
    let credential = Credential { spiffe_id: &spiffe_id, key_fingerprint: peer.identity().fingerprint() };
    gate.caller(credential).is_ok_and(|caller| caller.actor().role != Role::PartnerSystem)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::authz::Action;

    fn described() -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        set.file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
            .flat_map(|(package, service)| {
                service
                    .method
                    .iter()
                    .map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
            })
            .collect()
    }

    #[test]
    fn every_call_of_the_schemas_is_one_action_and_every_action_a_call() {
        let described = described();
        for path in &described {
            assert!(
                Action::from_rpc_path(path).is_some(),
                "`{path}` is no action: add it to `authz::Action` and to the policy schema"
            );
        }
        let calls: Vec<&str> = Action::ALL.iter().filter_map(|action| action.rpc_path()).collect();
        for path in &calls {
            assert!(
                described.contains(*path),
                "`{path}` is no call of the schemas: add it to proto/, or remove the action"
            );
        }
        assert_eq!(described.len(), calls.len());
    }

    #[test]
    fn every_service_of_the_schemas_is_served() {
        let served: BTreeSet<&str> = [
            QueryServiceServer::<Queries>::NAME,
            DisclosureServiceServer::<Disclosures>::NAME,
            AgreementServiceServer::<Agreements>::NAME,
            JournalServiceServer::<Journals>::NAME,
            CaseServiceServer::<Cases>::NAME,
            LogServiceServer::<Logs>::NAME,
            SubjectServiceServer::<Subjects>::NAME,
            BreachServiceServer::<Breaches>::NAME,
            ByCaller::<EnrolmentServiceServer<Enrolments>>::NAME,
            ByCaller::<AdministrationServiceServer<Administrations>>::NAME,
        ]
        .into();
        let described = described();
        let services: BTreeSet<&str> =
            described.iter().filter_map(|path| path.trim_start_matches('/').split('/').next()).collect();
        assert_eq!(served, services, "add the service to `add_services`");
    }
}
