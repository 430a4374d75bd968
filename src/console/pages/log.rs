//! The privacy officers' pages: searching the log, one entry with its proof, what became of one disclosure, and alerts.
//!
//! Every page with something of the log on it is a read, and so an entry with the reader's reason. The reason is asked for
//! once a session and shown on each page. Addresses name entries, queries and disclosures by number or random id, never a
//! case or a person: what was searched for stands in the entry about the search, and the address has its number alone.

mod alerts;
mod entry;
mod found;
mod reason;
mod search;
mod timeline;

use axum::Router;
use axum::routing::get;

use crate::console::Console;

pub(super) use alerts::found_at;
pub(in crate::console) use reason::Reasons;

/// The pages of this room.
pub(super) fn routes() -> Router<Console> {
    Router::new()
        .merge(alerts::routes())
        .route(SEARCH, get(search::form).post(search::searched))
        .route("/log/reason", get(reason::change).post(reason::given))
        .route("/log/searches/{search}", get(search::results))
        .route("/log/entries/{journal}/{index}", get(entry::entry))
        .route("/log/disclosures/{disclosure}", get(timeline::timeline))
}

/// Where privacy officers begin.
pub(super) const SEARCH: &str = "/log";
