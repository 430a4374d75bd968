//! A partner's own journal, whole: every entry fetched, hashed, opened and compared with the signed head.

use std::collections::BTreeMap;

use serde_json::json;

use super::OwnArgs;
use super::offline::{
    event_json, event_text, followed_json, followed_text, handovers_taken, parse_handover, refused_handover,
};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::{Entry, Opening};
use crate::audit::event::Event;
use crate::audit::handover::{HandOver, HandOverError, KeyChain};
use crate::audit::note::VerifierKey;
use crate::audit::tree::Edge;
use crate::cli::fault::CliError;
use crate::cli::files;
use crate::cli::receipt::parse_key;
use crate::grpc::client::Client;
use crate::grpc::pb::partner as pb;

/// Verifies the caller's journal.
pub(super) async fn verify(args: &OwnArgs) -> Result<(), CliError> {
    let key = parse_key(&args.key)?;
    let client = Client::connect(&args.client).await?;
    let call = client.request(pb::GetCheckpointRequest {});
    let newest = client.answer("the checkpoint", client.journal().get_checkpoint(call)).await?;
    let keys = keys_of(&newest, &key)?;
    handovers_taken(&keys, args.no_handover)?;
    let refused = |what: String| {
        move |error: HandOverError| CliError::because(format!("REFUSED: {what} does not hold"), error)
    };
    let older = match &args.checkpoint {
        Some(path) if path.exists() => {
            let what = format!("the checkpoint in `{}`", path.display());
            Some(keys.open(&files::read_text(path)?).map_err(refused(what))?)
        }
        _ => None,
    };
    let head = keys.open(&newest.checkpoint).map_err(refused("the newest checkpoint".to_owned()))?;
    let mut whole = Whole::new(&head, older.as_ref(), keys.changes())?;
    let mut page_token = String::new();
    while !whole.is_done() {
        let call = client.request(pb::ListEntriesRequest { page_size: PAGE_SIZE, page_token });
        let page = client.answer("the entries", client.journal().list_entries(call)).await?;
        for entry in &page.entries {
            // Entries made since the checkpoint belong to the next one.
            if whole.is_done() {
                break;
            }
            if let (Some(event), true) = (whole.take(entry)?, args.show) {
                let index = entry.index;
                args.output.show(
                    || format!("entry {index}: {}", event_text(&event)),
                    &json!({ "index": index, "event": event_json(&event) }),
                )?;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let Found { kinds, disposed } = whole.end()?;
    if let Some(path) = &args.checkpoint {
        files::replace_private(path, newest.checkpoint.as_bytes())?;
    }
    args.output.show(
        || {
            let kinds = kinds.iter().map(|(kind, count)| format!("\n  {count} {kind}")).collect::<String>();
            let since = older.as_ref().map_or_else(String::new, |older| {
                format!("\nits first {} entries are those of the checkpoint that you kept", older.size)
            });
            format!(
                "your journal is whole: {} entries, {}, root {}{since}{}{kinds}",
                head.size,
                opened_text(disposed),
                head.root,
                followed_text(&keys)
            )
        },
        &json!({
            "origin": head.origin, "size": head.size, "root": head.root.to_string(),
            "since": older.as_ref().map(|older| older.size), "kinds": kinds, "disposed": disposed,
            "key": keys.newest().to_string(), "key_changes": followed_json(&keys),
        }),
    )
}

/// The keys that the server's hand-overs lead to from the one that is trusted.
fn keys_of(newest: &pb::GetCheckpointResponse, key: &VerifierKey) -> Result<KeyChain, CliError> {
    let told = newest.keys.iter().filter(|told| !told.handover.is_empty());
    let changes = told.map(|told| parse_handover(&told.handover, key)).collect::<Result<_, _>>()?;
    KeyChain::new(key, changes).map_err(refused_handover)
}

/// The journal as far as it came.
struct Whole<'a> {
    head: &'a Checkpoint,
    older: Option<&'a Checkpoint>,
    changes: &'a [HandOver],
    tree: Edge,
    found: Found,
}

/// What the entries said.
#[derive(Default)]
struct Found {
    /// How many there are of each kind.
    kinds: BTreeMap<&'static str, u64>,
    /// How many can't be opened any more: the server says that they were disposed of.
    disposed: u64,
}

fn opened_text(disposed: u64) -> String {
    match disposed {
        0 => "all opened".to_owned(),
        _ => format!(
            "{disposed} of them disposed of at the end of their retention (the `payloads.disposed` entries say \
             which; if they don't, ask the holder), all others opened"
        ),
    }
}

impl<'a> Whole<'a> {
    fn new(
        head: &'a Checkpoint,
        older: Option<&'a Checkpoint>,
        changes: &'a [HandOver],
    ) -> Result<Self, CliError> {
        match older {
            Some(older) if older.size > head.size => Err(CliError::Found(format!(
                "REFUSED: the journal had {} entries when you kept its checkpoint, and has {} now; keep both and \
                 report it",
                older.size, head.size
            ))),
            _ => Ok(Self { head, older, changes, tree: Edge::new(), found: Found::default() }),
        }
    }

    const fn is_done(&self) -> bool {
        self.tree.size() >= self.head.size
    }

    /// Takes the next entry and opens the partner's side of it, unless it was disposed of.
    fn take(&mut self, sent: &pb::Entry) -> Result<Option<Event>, CliError> {
        let due = self.tree.size();
        if sent.index != due {
            return Err(CliError::Found(format!(
                "REFUSED: entry {due} is missing; the server sent {}",
                sent.index
            )));
        }
        self.compare()?;
        let refused = |error| CliError::because(format!("REFUSED: entry {due} does not hold"), error);
        let entry = Entry::decode(&sent.entry).map_err(refused)?;
        let event = if sent.opening.is_empty() {
            self.found.disposed = self.found.disposed.saturating_add(1);
            None
        } else {
            let opening = Opening::decode(&sent.opening).map_err(refused)?;
            let event = entry.opens(&opening).map_err(refused)?;
            let count = self.found.kinds.entry(event.kind.name()).or_default();
            *count = count.saturating_add(1);
            Some(event)
        };
        self.tree.append(entry.leaf_hash());
        // Nothing is proven from here, so the tiles that are whole need not be kept.
        self.tree.settle();
        Ok(event)
    }

    fn end(self) -> Result<Found, CliError> {
        self.compare()?;
        if self.tree.size() != self.head.size {
            return Err(CliError::Found(format!(
                "REFUSED: the checkpoint was signed over {} entries, and the server sent {}; keep it and report it",
                self.head.size,
                self.tree.size()
            )));
        }
        if self.tree.root() != self.head.root {
            return Err(CliError::Found(format!(
                "REFUSED: the entries lead to root {}, and {} was signed; keep the checkpoint and report it",
                self.tree.root(),
                self.head.root
            )));
        }
        Ok(self.found)
    }

    /// Compares with the older checkpoint, and with hand-overs, when as many entries were taken as they have.
    fn compare(&self) -> Result<(), CliError> {
        let here = self.changes.iter().find(|change| change.size == self.tree.size());
        if let Some(change) = here.filter(|change| change.root != self.tree.root()) {
            return Err(CliError::Found(format!(
                "REFUSED: the hand-over of entry {} to another key was signed over another journal; don't trust that key, \
                 keep both, and report it",
                change.index
            )));
        }
        match self.older {
            Some(older) if older.size == self.tree.size() && older.root != self.tree.root() => {
                Err(CliError::Found(format!(
                    "REFUSED: the journal was rewritten: its first {} entries are not those of the checkpoint that you \
                     kept; keep it and report it",
                    older.size
                )))
            }
            _ => Ok(()),
        }
    }
}

/// What the server gives at most, an answer of less than a megabyte.
const PAGE_SIZE: i32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::entry::Draft;
    use crate::audit::event::Kind;
    use crate::clock::Timestamp;
    use crate::ids::Digest;
    use crate::secret::SystemEntropy;

    fn entries(count: u64) -> Vec<pb::Entry> {
        let policy = Digest::sha256(b"policy");
        let entry = |index| {
            let event = Event::new(Kind::QueryAnswered, Timestamp::from_millis(0), "gateway", policy);
            let draft = Draft::blind(&event, &event, &SystemEntropy::new()).unwrap();
            pb::Entry { index, entry: draft.entry.encode().to_vec(), opening: draft.partner.encode() }
        };
        (0..count).map(entry).collect()
    }

    fn head(entries: &[pb::Entry]) -> Checkpoint {
        let mut tree = Edge::new();
        for entry in entries {
            tree.append(Entry::decode(&entry.entry).unwrap().leaf_hash());
        }
        Checkpoint { origin: "o".to_owned(), size: tree.size(), root: tree.root() }
    }

    fn verified(head: &Checkpoint, older: Option<&Checkpoint>, entries: &[pb::Entry]) -> Result<u64, String> {
        let mut whole = Whole::new(head, older, &[]).map_err(|error| error.to_string())?;
        for entry in entries {
            whole.take(entry).map_err(|error| error.chain())?;
        }
        whole
            .end()
            .map(|found| found.kinds.values().sum::<u64>().saturating_add(found.disposed))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_journal_is_verified_from_any_older_checkpoint() {
        let all = entries(300);
        for size in [0, 1, 2, 255, 256, 257, 300] {
            assert_eq!(verified(&head(&all), Some(&head(&all[..size])), &all), Ok(300), "older size {size}");
        }
        assert_eq!(verified(&head(&[]), None, &[]), Ok(0));
    }

    #[test]
    fn dropped_changed_and_rewritten_entries_are_found_out() {
        let all = entries(5);
        let head_of_all = head(&all);
        let dropped: Vec<_> = all.iter().filter(|entry| entry.index != 2).cloned().collect();
        assert!(verified(&head_of_all, None, &dropped).unwrap_err().contains("entry 2 is missing"));
        assert!(verified(&head_of_all, None, &all[..4]).unwrap_err().contains("the server sent 4"));
        let mut swapped = all.clone();
        swapped[1].opening = all[0].opening.clone();
        assert!(verified(&head_of_all, None, &swapped).unwrap_err().contains("entry 1 does not hold"));
        let mut disposed = all.clone();
        disposed[1].opening.clear();
        assert_eq!(verified(&head_of_all, None, &disposed), Ok(5), "what is disposed of is in the tree");
        let other = entries(5);
        assert!(verified(&head_of_all, None, &other).unwrap_err().contains("lead to root"));
        let rewritten = verified(&head(&other), Some(&head(&all[..3])), &other);
        assert!(rewritten.unwrap_err().contains("was rewritten"));
        assert!(
            verified(&head(&all[..3]), Some(&head_of_all), &all[..3]).unwrap_err().contains("had 5 entries")
        );
    }
}
