//! The privacy officer's pages over the whole year, in a real browser. The story is in `tests/browser/year.mjs`.

use std::path::Path;

use serde_json::{Value, json};

use crate::chromium::{Story, chromium};
use crate::holder::{Holder, who};
use crate::story::invite;
use crate::year::{FISHER, FISHING_OF, PARTNERS, What, Year};

/// Lets the fisher's questions through again, with which the year goes on.
fn restore(holder: &Holder) {
    let official = ["restore-official", FISHER, "--partner", PARTNERS[FISHING_OF].name];
    holder.change(who::PRIVACY, who::ADMIN, &official);
}

/// A privacy officer judges an alert and stops whom it is about, finds what the fisher asked, reads an entry, and what became of a disclosure.
pub(crate) fn pages_hold(holder: &Holder, origin: &str, year: &Year) {
    let (change, code) = invite(holder, origin, "wiremu", "privacy-officer");
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).ok();
    let search = ["audit", "search", "--by", "kind", "--value", "disclosure.released", "--limit", "1"];
    let search = [&search[..], &["--reason", "a look at the year", "--output", "json"]].concat();
    let released = holder.onebit(who::PRIVACY, &search).json();
    let disclosure = released["facts"]["disclosure"].as_str().unwrap().trim_start_matches("disclosures/");
    let is_fished = |case: usize| year.cases[case].official == FISHER;
    let questions =
        year.steps.iter().filter(|step| matches!(step.what, What::Asked { case } if is_fished(case))).count();
    let story = json!({
        "origin": origin,
        "certificate": holder.path("server/certificate.pem"),
        "chromium": chromium(),
        "pictures": Path::new(env!("CARGO_TARGET_TMPDIR")).join("year-pages"),
        "watcher": json!({ "name": "wiremu", "code": code }),
        "official": json!({ "name": FISHER, "partner": PARTNERS[FISHING_OF].name, "questions": questions }),
        "disclosure": disclosure,
    });
    let mut played = Story::start("year.mjs", &story);
    let mut last = Value::Null;
    while let Some(said) = played.next(holder) {
        last = said;
    }
    played.ended();
    assert_eq!(last["pages"].as_u64(), Some(9), "{last}");
    let suspended = ["audit", "search", "--by", "kind", "--value", "official.suspended", "--output", "json"];
    let suspended = holder.onebit(who::PRIVACY, &[&suspended[..], &["--reason", "the end"]].concat()).json();
    assert_eq!(
        (suspended["facts"]["official"].as_str(), suspended["actor"].as_str()),
        (Some(FISHER), Some("wiremu"))
    );
    restore(holder);
}
