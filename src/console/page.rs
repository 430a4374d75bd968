//! Pages as replies, and the page that says why there is none.

use askama::Template;
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::pages::frame::Frame;
use crate::gate::GateError;
use crate::telemetry;

/// A template as a reply.
pub fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(error = %telemetry::chain(&error), "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No such page.
    #[error("There is no such page. Check the address, or start from the first page.")]
    NotFound,
    /// Another method.
    #[error("This page can't be used like that. Go back and use its own buttons.")]
    Method,
    /// Another host's name.
    #[error("These pages have another address: {0}")]
    Host(String),
    /// A form from somewhere else.
    #[error(
        "This form did not come from one of these pages, so nothing was done. Open the page here and send it again."
    )]
    Origin,
    /// A form without the session's token.
    #[error(
        "This form belongs to another session, so nothing was done. Go back, load the page again and send it again."
    )]
    Token,
    /// A form that is none.
    #[error("The form could not be read, so nothing was done: {0}")]
    Form(&'static str),
    /// No room.
    #[error("Too much is under way. Try again in a moment.")]
    Busy,
    /// Too slow.
    #[error("Nothing was done in time. Try again.")]
    Late,
    /// The gate said no.
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl Fault {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::Gate(GateError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin | Self::Token | Self::Gate(GateError::Refused(_) | GateError::Unknown) => {
                StatusCode::FORBIDDEN
            }
            Self::Form(_) | Self::Gate(GateError::Invalid { .. }) => StatusCode::BAD_REQUEST,
            Self::Gate(
                GateError::ClockSkew { .. }
                | GateError::RequestIdUsed
                | GateError::RequestIdOver
                | GateError::Signature
                | GateError::Passkey(_)
                | GateError::NotNow(_)
                | GateError::Unwitnessed
                | GateError::NoHit
                | GateError::SameRole,
            ) => StatusCode::CONFLICT,
            Self::Busy | Self::Late | Self::Gate(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.status();
        if let (Self::Gate(error), true) = (&self, status.is_server_error()) {
            tracing::error!(error = %telemetry::chain(error), "a page could not be answered");
        }
        let mut reply = page(&FaultPage {
            frame: Frame::guest("Something is not right"),
            status: status.as_u16(),
            words: self.to_string(),
        });
        *reply.status_mut() = status;
        match self {
            Self::Method => {
                reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
            }
            Self::Busy | Self::Late => {
                reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        reply
    }
}

#[derive(Template)]
#[template(path = "console/fault.html")]
struct FaultPage {
    frame: Frame,
    status: u16,
    words: String,
}
