//! What a request has to be before anybody looks at what it asks for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::{Console, Fault};
use crate::door::limits::RPC_DEADLINE;

/// Takes a place, holds the request to its host and origin, and gives it its time.
pub(super) async fn check(State(console): State<Console>, request: Request, next: Next) -> Response {
    let Ok(_place) = Arc::clone(&console.0.room).try_acquire_owned() else {
        return Fault::Busy.into_response();
    };
    // Balancers ask by address, and learn nothing but whether the server serves.
    let is_health = request.uri().path() == "/health";
    if !is_health && let Err(fault) = comes_from_us(&console, request.method(), request.headers()) {
        return fault.into_response();
    }
    match timeout(RPC_DEADLINE, next.run(request)).await {
        Ok(reply) => reply,
        Err(_) => Fault::Late.into_response(),
    }
}

/// Another host's name is a page of somebody else's that leads here (DNS rebinding). Whatever changes something has to
/// come from a page of ours: browsers say so, and no page can make them say otherwise.
fn comes_from_us(console: &Console, method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
    let origin = &console.settings().origin;
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(&HOST) != Some(origin.authority()) {
        return Err(Fault::Host(origin.to_string()));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    // Our own policy `no-referrer` has browsers write `null` for the origin of a form (Fetch, section 3.2); where it came
    // from then stands in the metadata, which no page can write.
    let ours = match (text(&ORIGIN), text(&SEC_FETCH_SITE)) {
        (Some("null") | None, site) => site == Some("same-origin"),
        (Some(from), _) => from == origin.as_str(),
    };
    if ours { Ok(()) } else { Err(Fault::Origin) }
}

/// Fetch Metadata (W3C), section 2.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
