//! One call from its arrival to its reply: who calls, whether there is room, and what is counted.
//!
//! The caller is looked up at every call and for every item of a stream, so that whoever was suspended is
//! refused at the next one, on connections that are open already as well.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use super::refused::code_name;
use super::status::CallError;
use crate::authz::Action;
use crate::door::{Peer, PeerIdentity, RpcSlot, RpcSlots, SlotsError};
use crate::gate::{Caller, Credential, Gate};
use crate::telemetry;

/// What a service replies with.
pub(super) type Reply<T> = Result<Response<T>, Status>;

/// What every service works with.
#[derive(Clone)]
pub(super) struct Desk {
    gate: Arc<Gate>,
    slots: Arc<RpcSlots>,
}

impl Desk {
    /// A desk at this gate, with room for so many calls.
    pub(super) const fn new(gate: Arc<Gate>, slots: Arc<RpcSlots>) -> Self {
        Self { gate, slots }
    }

    /// The gate.
    pub(super) const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Opens a call. Its time runs from here.
    pub(super) fn call<T>(&self, action: Action, request: &Request<T>) -> Call {
        let peer = request.extensions().get::<Peer>().map(|peer| Arc::clone(peer.identity()));
        self.call_of(action, peer)
    }

    /// Opens the work on one item of a stream, as a call of its own.
    pub(super) fn item(&self, stream: &OpenStream) -> Call {
        self.call_of(stream.action, stream.peer.clone())
    }

    /// Waits for room for an item of a stream, which is to be kept until its answer is taken.
    pub(super) async fn room(&self, stream: &OpenStream) -> Option<RpcSlot> {
        let peer = stream.peer.as_ref()?;
        self.slots.wait(peer.spiffe().trust_domain()).await.ok()
    }

    /// Opens the work on one item of a stream that has its room already.
    pub(super) fn item_in_room(&self, stream: &OpenStream) -> Call {
        let slot = stream.peer.as_ref().map(|_| Ok(None));
        self.call_with(stream.action, stream.peer.clone(), slot)
    }

    fn call_of(&self, action: Action, peer: Option<Arc<PeerIdentity>>) -> Call {
        let slot = peer.as_ref().map(|peer| self.slots.take(peer.spiffe().trust_domain()).map(Some));
        self.call_with(action, peer, slot)
    }

    fn call_with(&self, action: Action, peer: Option<Arc<PeerIdentity>>, slot: Slot) -> Call {
        let arrival = Instant::now();
        metrics::gauge!(telemetry::RPCS_OPEN).increment(1);
        Call { action, arrival, peer, slot, gate: Arc::clone(&self.gate) }
    }
}

/// `None` for a caller whom nobody knows; no slot of its own for an item that has its room.
type Slot = Option<Result<Option<RpcSlot>, SlotsError>>;

/// A call under way; it keeps its slot until it is dropped.
pub(super) struct Call {
    action: Action,
    arrival: Instant,
    peer: Option<Arc<PeerIdentity>>,
    slot: Slot,
    gate: Arc<Gate>,
}

/// A stream that was opened. It has no slot of its own: each of its items has one.
pub(super) struct OpenStream {
    action: Action,
    peer: Option<Arc<PeerIdentity>>,
}

impl Call {
    /// The stream that this call opens.
    pub(super) fn stream(&self) -> OpenStream {
        OpenStream { action: self.action, peer: self.peer.clone() }
    }

    /// The trust domain of whoever calls.
    pub(super) fn trust_domain(&self) -> Option<String> {
        self.peer.as_ref().map(|peer| peer.spiffe().trust_domain().to_string())
    }

    /// When it arrived.
    pub(super) const fn arrival(&self) -> Instant {
        self.arrival
    }

    /// Who calls, as of this moment.
    ///
    /// # Errors
    /// [`CallError`] when there is no room, or the certificate is nobody's.
    pub(super) fn caller(&self) -> Result<Caller, CallError> {
        let peer = self.peer.as_ref().ok_or(CallError::NoPeer)?;
        match &self.slot {
            Some(Ok(_)) => {}
            Some(Err(full)) => return Err((*full).into()),
            None => return Err(CallError::NoPeer),
        }
        let spiffe_id = peer.spiffe().to_string();
        Ok(self.gate.caller(Credential { spiffe_id: &spiffe_id, key_fingerprint: peer.fingerprint() })?)
    }

    /// Does the work and makes the reply of it.
    pub(super) async fn reply<T>(&self, work: impl Future<Output = Result<T, CallError>>) -> Reply<T> {
        self.done(work).await.map(Response::new).map_err(|error| error.status())
    }

    /// Does the work, counts it, and logs what went wrong on our side.
    pub(super) async fn done<T>(
        &self,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let rpc = self.action.id();
        let result = work.instrument(tracing::debug_span!("rpc", rpc)).await;
        let code = match &result {
            Ok(_) => code_name(tonic::Code::Ok),
            Err(error) => {
                error.log(self.action);
                error.code()
            }
        };
        metrics::counter!(telemetry::RPCS, "rpc" => rpc, "code" => code).increment(1);
        metrics::histogram!(telemetry::RPC_SECONDS, "rpc" => rpc)
            .record(self.arrival.elapsed().as_secs_f64());
        result
    }
}

impl Drop for Call {
    /// Calls that were taken back end here as well.
    fn drop(&mut self) {
        metrics::gauge!(telemetry::RPCS_OPEN).decrement(1);
    }
}
