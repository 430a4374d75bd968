//! Pages for the holder's people: they sign in by passkey or by their agency's OpenID provider, and what they see and do goes through the gate as every
//! call does.
//!
//! Behind a door of its own, over TLS without client certificates. A request passes, in this order: a place among those
//! under way, its time, the host that it names, the origin of whoever sends it ([`guard`]), the size of its body, its
//! session ([`session`]), and, where it changes something, the session's token ([`form`]). Every reply, refusals too,
//! gets the same headers ([`headers`]).

pub mod assets;
mod decision;
mod form;
mod guard;
mod headers;
mod origin;
mod page;
mod pages;
mod passkey;
mod passkeys;
mod pending;
mod provider;
mod register;
mod serving;
mod session;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{Semaphore, watch};

use crate::gate::{Gate, SessionTimes};
use crate::outbox::Provider;

use pending::Pending;

pub use decision::{DecisionAsked, DecisionSigned, decision_ask, decision_sign};
pub use form::{Fields, SignedForm, SignedUpload};
pub use headers::PasskeyPage;
pub use origin::{Origin, OriginError};
pub use page::{Fault, page};
pub use passkey::PasskeyData;
pub use session::{SignedIn, led_to};

/// What the console is told by the configuration.
#[derive(Debug, Clone)]
pub struct ConsoleSettings {
    /// Where browsers find it: scheme, host and port.
    pub origin: Origin,
    /// How long sessions last.
    pub sessions: SessionTimes,
}

/// The console.
#[derive(Clone)]
pub struct Console(Arc<Parts>);

struct Parts {
    gate: Arc<Gate>,
    settings: ConsoleSettings,
    /// The agency's OpenID provider, where there is one.
    provider: Option<Arc<Provider>>,
    /// Whether the server serves, as its health says.
    serving: watch::Receiver<bool>,
    room: Arc<Semaphore>,
    pending: Pending,
    kept: pages::Kept,
    reasons: pages::Reasons,
}

impl Console {
    /// The console before this gate.
    #[must_use]
    pub fn new(
        gate: Arc<Gate>,
        settings: ConsoleSettings,
        provider: Option<Arc<Provider>>,
        serving: watch::Receiver<bool>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(REQUESTS));
        Self(Arc::new(Parts {
            gate,
            settings,
            provider,
            serving,
            room,
            pending: Pending::default(),
            kept: pages::Kept::default(),
            reasons: pages::Reasons::default(),
        }))
    }

    /// The gate that everything goes through.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.0.gate
    }

    /// What the configuration says.
    #[must_use]
    pub fn settings(&self) -> &ConsoleSettings {
        &self.0.settings
    }

    /// The agency's OpenID provider, where there is one.
    fn provider(&self) -> Option<&Arc<Provider>> {
        self.0.provider.as_ref()
    }

    /// What passkeys were asked for.
    fn pending(&self) -> &Pending {
        &self.0.pending
    }

    /// What is kept between pages.
    fn kept(&self) -> &pages::Kept {
        &self.0.kept
    }

    /// Why sessions read the log.
    fn reasons(&self) -> &pages::Reasons {
        &self.0.reasons
    }

    /// Every page, with all that stands before it.
    fn router(&self) -> Router {
        Router::new()
            .merge(assets::routes())
            .merge(pages::routes())
            .merge(sign_in::routes())
            .merge(provider::routes())
            .merge(register::routes())
            .merge(passkeys::routes())
            .route("/", get(sign_in::home))
            .route("/health", get(health))
            .fallback(missing)
            .method_not_allowed_fallback(no_such_method)
            .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
            .layer(middleware::from_fn_with_state(self.clone(), guard::check))
            .layer(middleware::map_response(headers::put))
            .with_state(self.clone())
    }
}

/// For balancers: whether the server serves.
async fn health(axum::extract::State(console): axum::extract::State<Console>) -> Response {
    let serves = *console.0.serving.borrow();
    if serves {
        "serving\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving\n").into_response()
    }
}

async fn missing() -> Fault {
    Fault::NotFound
}

async fn no_such_method() -> Fault {
    Fault::Method
}

/// Requests under way: a few dozen officers, each with a page and its two or three files.
const REQUESTS: usize = 64;
/// The largest form: reasons of 2,000 characters at 12 bytes each when encoded, and a passkey's answer of a few KiB.
const BODY_MAX_BYTES: usize = 64 * 1_024;
