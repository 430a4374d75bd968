//! The one script, for passkeys.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// Sends it. It is small and may change with the version, so it is asked for again each time.
pub(super) async fn script() -> Response {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (headers, SCRIPT).into_response()
}

const SCRIPT: &str = include_str!("../../templates/console/passkey.js");
