//! What became of one disclosure, from the request to its end.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::found::FoundRow;
use super::reason::reason;
use crate::console::pages::case::id_of;
use crate::console::pages::frame::Frame;
use crate::console::pages::words;
use crate::console::{Console, Fault, SignedIn, page};
use crate::gate::SearchAsk;
use crate::store::search::{Attribute, Sought};

/// The page.
pub(super) async fn timeline(
    Shared(console): Shared<Console>,
    Path(disclosure): Path<String>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let id = id_of(&disclosure)?;
    let why = reason(&console, &who, &uri)?;
    let sought = Sought::new(Attribute::Disclosure, &id.to_string(), None, None)
        .map_err(|_| Fault::NotFound.into_response())?;
    let ask = SearchAsk { sought, before: None, limit: STEPS_MAX, why: why.clone() };
    let searched = console.gate().entry_search(who.caller(), ask).await;
    let mut found = searched.map_err(|error| Fault::Gate(error).into_response())?.found;
    found.reverse();
    let span = found.first().zip(found.last()).filter(|_| found.len() > 1);
    Ok(page(&TimelinePage {
        frame: Frame::of(&who, "What became of a disclosure"),
        name: id.resource(),
        here: format!("/log/disclosures/{id}"),
        took: span.map(|(first, last)| words::of_span(first.at, last.at)),
        is_cut: u32::try_from(found.len()).is_ok_and(|length| length >= STEPS_MAX),
        rows: found.iter().map(FoundRow::new).collect(),
        reason: why,
    }))
}

#[derive(Template)]
#[template(path = "console/log/timeline.html")]
struct TimelinePage {
    frame: Frame,
    name: String,
    rows: Vec<FoundRow>,
    took: Option<String>,
    is_cut: bool,
    here: String,
    reason: String,
}

/// A case has a few dozen steps, and a look at each field by each officer.
const STEPS_MAX: u32 = 500;
