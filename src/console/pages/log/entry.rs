//! One entry: who, what, when, why, what came of it, the rule that decided, and the proof, checked here.

use askama::Template;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};

use super::found::{actor, of_kind, outcome};
use super::reason::reason;
use crate::audit::event::{Event, Fact};
use crate::audit::receipt::Receipt;
use crate::console::pages::frame::Frame;
use crate::console::pages::words;
use crate::console::{Console, Fault, SignedIn, page};
use crate::gate::ReadAsk;
use crate::ids::{DisclosureId, QueryId};
use crate::store::{Bundled, Journal, ProvenEntry};

/// The page.
pub(super) async fn entry(
    Shared(console): Shared<Console>,
    Path((journal, index)): Path<(String, String)>,
    who: SignedIn,
    uri: Uri,
) -> Result<Response, Response> {
    let missing = || Fault::NotFound.into_response();
    let journal = Journal::parse(&journal).map_err(|_| missing())?;
    let index = index.parse::<u64>().map_err(|_| missing())?;
    let why = reason(&console, &who, &uri)?;
    let told = |error| Fault::Gate(error).into_response();
    let gate = console.gate();
    let ask = ReadAsk { journal: journal.clone(), from: index, limit: 1, why: why.clone() };
    let read = gate.entry_get(who.caller(), ask).await.map_err(told)?;
    let bundled = gate.checkpoint_get(who.caller(), journal.clone()).await.map_err(told)?;
    let said = read.event.as_ref().map(|event| Said::new(&console, event));
    let before = index.checked_sub(1).map(|before| format!("/log/entries/{journal}/{before}"));
    Ok(page(&EntryPage {
        frame: Frame::of(&who, &format!("Entry {index} of {journal}")),
        at: words::of_time(read.at),
        said,
        checks: checks(&read, &bundled),
        proof: read.proof.unwrap_or_default(),
        before,
        after: format!("/log/entries/{journal}/{}", index.saturating_add(1)),
        here: format!("/log/entries/{journal}/{index}"),
        journal: journal.to_string(),
        index,
        reason: why,
    }))
}

/// What an entry says.
struct Said {
    what: String,
    kind: &'static str,
    actor: String,
    why: String,
    outcome: String,
    rule: String,
    rule_says: String,
    policy: String,
    facts: Vec<(&'static str, String)>,
    disclosure: Option<String>,
    leads: Vec<Lead>,
}

/// A search that leads on from here; its value is posted, so that it stands in no address.
struct Lead {
    words: &'static str,
    attribute: &'static str,
    value: String,
}

impl Said {
    fn new(console: &Console, event: &Event) -> Self {
        let text = |fact| event.text_of(fact).unwrap_or_default().to_owned();
        let rule = text(Fact::Rule);
        let rule_says = console.gate().rule_says(event.policy, &rule).unwrap_or_default();
        let shown: Vec<_> = event.render();
        let own = ["policy", "rule", "reason", "outcome"];
        let id = |fact| event.fact(fact).and_then(|id| <[u8; 16]>::try_from(id).ok());
        let disclosure = id(Fact::Disclosure).map(DisclosureId::from_bytes);
        let query = id(Fact::Query).map(QueryId::from_bytes);
        let lead = |words, attribute, value: Option<String>| {
            value.filter(|value| !value.is_empty()).map(|value| Lead { words, attribute, value })
        };
        let leads = [
            lead("Everything about this case", "case", Some(text(Fact::Case))),
            lead("Everything by this official", "official", Some(text(Fact::Official))),
            lead("Everything about this query", "query", query.map(|query| query.to_string())),
            lead("Everything by this person or system", "officer", Some(event.actor.clone())),
        ];
        Self {
            what: of_kind(event),
            kind: event.kind.name(),
            actor: actor(event),
            why: text(Fact::Reason),
            outcome: outcome(event),
            rule,
            rule_says,
            policy: event.policy.to_string(),
            facts: shown.into_iter().filter(|(name, _)| !own.contains(name)).collect(),
            disclosure: disclosure.map(|id| format!("/log/disclosures/{id}")),
            leads: leads.into_iter().flatten().collect(),
        }
    }
}

/// What was checked of the proof, and whether it holds.
struct Check {
    words: String,
    holds: bool,
}

/// Checks the proof here, from its text and the journal's keys alone, and says each step in words.
fn checks(read: &ProvenEntry, bundled: &Bundled) -> Vec<Check> {
    let failed = |words: &str| vec![Check { words: words.to_owned(), holds: false }];
    let Some(receipt) = read.proof.as_deref().and_then(|proof| Receipt::parse(proof).ok()) else {
        return failed("The proof could not be read.");
    };
    let verified = bundled.keys.iter().find_map(|key| Some((key, receipt.verify(&key.key).ok()?)));
    let Some((key, verified)) = verified else {
        return failed("The proof does not lead to a head that a key of this journal signed.");
    };
    let says = match (&verified.event, &read.event) {
        (Some(proven), Some(shown)) => Check {
            words: "The entry is a commitment, and what stands on this page is what it commits to."
                .to_owned(),
            holds: proven == shown,
        },
        _ => Check {
            words: "What the entry said was disposed of; the commitment to it stands.".to_owned(),
            holds: read.event.is_none(),
        },
    };
    let hashes = receipt.proof.len();
    let (hash, plural) = (receipt.entry.leaf_hash(), if hashes == 1 { "hash" } else { "hashes" });
    vec![
        says,
        Check {
            words: format!(
                "The hash of the entry is {hash}. With {hashes} {plural} from beside it, place {} of a journal with {} \
                 entries leads to the root {}.",
                verified.index, verified.size, verified.root
            ),
            holds: verified.index == read.index,
        },
        Check { words: format!("That root is signed by the journal's key {}.", key.key), holds: true },
    ]
}

#[derive(Template)]
#[template(path = "console/log/entry.html")]
struct EntryPage {
    frame: Frame,
    journal: String,
    index: u64,
    at: String,
    said: Option<Said>,
    checks: Vec<Check>,
    proof: String,
    before: Option<String>,
    after: String,
    here: String,
    reason: String,
}

impl EntryPage {
    fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}
