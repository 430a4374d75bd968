//! The officers' pages: the queue, one case, its decision; and the privacy officers' pages: the log, alerts, requests of people and
//! breaches. What they show and do goes through the gate; nothing is decided here.
//!
//! Every form works without a script, but for the last one, whose passkey only a script can ask for.

mod breach_new;
mod breaches;
mod case;
mod corrections;
mod decide;
mod deed;
pub(super) mod frame;
mod held;
mod kept;
mod life;
mod log;
mod problem;
mod queue;
mod requests;
mod samples;
mod sign;
mod urgent;
pub(super) mod words;

use axum::Router;
use axum::routing::{get, post};

use super::Console;

pub(super) use kept::Kept;
pub(super) use log::Reasons;

/// The pages of this room.
pub(super) fn routes() -> Router<Console> {
    Router::new()
        .merge(log::routes())
        .merge(requests::routes())
        .merge(held::routes())
        .merge(breaches::routes())
        .merge(breach_new::routes())
        .route("/cases", get(queue::queue))
        .route("/cases/{case}", get(case::case))
        .route("/cases/{case}/value", post(case::value))
        .route("/cases/{case}/decide", get(decide::decide).post(decide::decided))
        .route("/cases/{case}/check", get(sign::check).post(sign::signed))
        .route("/cases/{case}/done", get(sign::done))
        .route("/cases/{case}/deeds/{deed}", get(deed::form).post(deed::sent))
        .route("/cases/{case}/deeds/{deed}/check", get(deed::check).post(deed::confirmed))
}

/// Where officers begin.
pub(super) const QUEUE: &str = "/cases";
