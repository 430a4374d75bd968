//! A partner's own journal, whole: every entry fetched, hashed, opened and compared with the signed head.

use std::collections::BTreeMap;

use serde_json::json;

use super::OwnArgs;
use super::kept::Kept;
use super::offline::{
    event_json, event_text, followed_json, followed_text, handovers_taken, parse_handover, refused_handover,
};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::{Entry, Opening};
use crate::audit::event::{Event, Kind};
use crate::audit::handover::{HandOver, KeyChain};
use crate::audit::note::VerifierKey;
use crate::audit::tree::Edge;
use crate::cli::fault::CliError;
use crate::cli::receipt::parse_key;
use crate::cli::{files, print};
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
    let (kept, since) = kept_by(args, &keys)?;
    let head = open(&newest.checkpoint, &keys, "the newest checkpoint")?;
    let mut whole = Whole::new(&head, &kept, keys.changes())?;
    read(args, &client, &mut whole).await?;
    let found = whole.end()?;
    found.unclaimed.end()?;
    if let Some(path) = &args.checkpoint {
        files::replace_private(path, newest.checkpoint.as_bytes())?;
    }
    let receipts = (!args.receipts.is_empty()).then(|| kept.entries());
    let Found { kinds, disposed, .. } = found;
    args.output.show(
        || {
            let kinds = kinds.iter().map(|(kind, count)| format!("\n  {count} {kind}")).collect::<String>();
            let since = since.map_or_else(String::new, |size| {
                format!("\nits first {size} entries are those of the checkpoint that you kept")
            });
            let receipts = receipts.map_or_else(String::new, |count| receipts_text(count, disposed));
            format!(
                "your journal is whole: {} entries, {}, root {}{since}{receipts}{}{kinds}",
                head.size,
                opened_text(disposed),
                head.root,
                followed_text(&keys)
            )
        },
        &json!({
            "origin": head.origin, "size": head.size, "root": head.root.to_string(),
            "since": since, "receipts": receipts, "kinds": kinds, "disposed": disposed,
            "key": keys.newest().to_string(), "key_changes": followed_json(&keys),
        }),
    )
}

/// What the caller kept, with the size of the checkpoint in it: each by the key of its time.
fn kept_by(args: &OwnArgs, keys: &KeyChain) -> Result<(Kept, Option<u64>), CliError> {
    let mut kept = Kept::default();
    let mut since = None;
    if let Some(path) = args.checkpoint.as_ref().filter(|path| path.exists()) {
        let from = format!("`{}`", path.display());
        let older = open(&files::read_text(path)?, keys, &format!("the checkpoint in {from}"))?;
        kept.head(older.size, older.root, &from)?;
        since = Some(older.size);
    }
    for path in &args.receipts {
        kept.receipts(path, keys)?;
    }
    Ok((kept, since))
}

fn open(note: &str, keys: &KeyChain, what: &str) -> Result<Checkpoint, CliError> {
    keys.open(note).map_err(|error| CliError::because(format!("REFUSED: {what} does not hold"), error))
}

/// Reads all entries, page by page, and shows them where that is wanted.
async fn read(args: &OwnArgs, client: &Client, whole: &mut Whole<'_>) -> Result<(), CliError> {
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
    Ok(())
}

/// Entries that say that the caller was answered, while it kept no receipt of them.
#[derive(Default)]
struct Unclaimed {
    count: u64,
    first: Vec<(u64, Event)>,
}

impl Unclaimed {
    fn add(&mut self, index: u64, event: &Event) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < UNCLAIMED_SHOWN {
            self.first.push((index, event.clone()));
        }
    }

    /// Refuses a journal that has such entries, and shows the first of them.
    fn end(&self) -> Result<(), CliError> {
        if self.count == 0 {
            return Ok(());
        }
        for (index, event) in &self.first {
            print::note(&format!("entry {index}, of which there is no receipt: {}", event_text(event)));
        }
        Err(CliError::Found(format!(
            "REFUSED: your journal says of {} entries that you caused them, and you kept no receipt of them; if you \
             did cause them, ask again with the same request id in time and you get it; otherwise report it",
            self.count
        )))
    }
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
    kept: &'a Kept,
    changes: &'a [HandOver],
    tree: Edge,
    found: Found,
}

/// What is in the journal.
#[derive(Default)]
struct Found {
    /// How many entries of each kind.
    kinds: BTreeMap<&'static str, u64>,
    /// Entries whose like is answered with a receipt, and of which none was kept.
    unclaimed: Unclaimed,
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

/// What is disposed of says no more whether it was an answer.
fn receipts_text(count: usize, disposed: u64) -> String {
    let among = if disposed == 0 { "" } else { "among those opened " };
    format!(
        "\nthe entries of your {count} receipts stand in it, and {among}no answer without a receipt of yours"
    )
}

impl<'a> Whole<'a> {
    fn new(head: &'a Checkpoint, kept: &'a Kept, changes: &'a [HandOver]) -> Result<Self, CliError> {
        kept.compare_size(head.size)?;
        Ok(Self { head, kept, changes, tree: Edge::new(), found: Found::default() })
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
            None
        } else {
            let opening = Opening::decode(&sent.opening).map_err(refused)?;
            Some(entry.opens(&opening).map_err(refused)?)
        };
        let claimed = self.kept.compare_entry(due, &entry)?;
        if let Some(event) = &event {
            if self.kept.has_all_receipts() && !claimed && WITH_RECEIPT.contains(&event.kind) {
                self.found.unclaimed.add(due, event);
            }
            let count = self.found.kinds.entry(event.kind.name()).or_default();
            *count = count.saturating_add(1);
        } else {
            self.found.disposed = self.found.disposed.saturating_add(1);
        }
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

    /// Compares with what was kept, and with hand-overs, when as many entries were taken as they were signed over.
    fn compare(&self) -> Result<(), CliError> {
        let here = self.changes.iter().find(|change| change.size == self.tree.size());
        if let Some(change) = here.filter(|change| change.root != self.tree.root()) {
            return Err(CliError::Found(format!(
                "REFUSED: the hand-over of entry {} to another key was signed over another journal; don't trust that key, \
                 keep both, and report it",
                change.index
            )));
        }
        self.kept.compare_head(self.tree.size(), || self.tree.root())
    }
}

/// Kinds that are answered with a receipt whenever the caller causes one: no such entry without its receipt.
const WITH_RECEIPT: [Kind; 2] = [Kind::QueryAnswered, Kind::DisclosureRequested];
/// Enough to see what they have in common.
const UNCLAIMED_SHOWN: usize = 20;
/// What the server gives at most, an answer of less than a megabyte.
const PAGE_SIZE: i32 = 1_000;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::entry::Draft;
    use crate::audit::note::{Ed25519Signer, NoteSigner};
    use crate::audit::receipt::Receipt;
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
        let mut kept = Kept::default();
        if let Some(older) = older {
            kept.head(older.size, older.root, "`kept`").unwrap();
        }
        let found = found(head, &kept, &[], entries)?;
        Ok(found.kinds.values().sum::<u64>() + found.disposed)
    }

    fn found(
        head: &Checkpoint,
        kept: &Kept,
        changes: &[HandOver],
        entries: &[pb::Entry],
    ) -> Result<Found, String> {
        let mut whole = Whole::new(head, kept, changes).map_err(|error| error.to_string())?;
        for entry in entries {
            whole.take(entry).map_err(|error| error.chain())?;
        }
        whole.end().map_err(|error| error.to_string())
    }

    fn key(signer: &Ed25519Signer) -> VerifierKey {
        VerifierKey::new("o", signer.public_key()).unwrap()
    }

    /// What was kept in a folder with the receipt of the newest of these entries, or with none.
    fn kept_of(entries: &[pb::Entry]) -> Kept {
        let signer = Ed25519Signer::from_seed(&[7; 32]);
        let folder = tempfile::tempdir().unwrap();
        if let Some(newest) = entries.last() {
            let mut tree = Edge::new();
            entries.iter().for_each(|entry| tree.append(Entry::decode(&entry.entry).unwrap().leaf_hash()));
            let receipt = Receipt {
                entry: Entry::decode(&newest.entry).unwrap(),
                opening: None,
                index: newest.index,
                proof: tree.prove(newest.index).unwrap(),
                checkpoint: head(entries).sign(&signer),
            };
            fs::write(folder.path().join("receipt"), receipt.to_text()).unwrap();
        }
        let mut kept = Kept::default();
        kept.receipts(folder.path(), &KeyChain::new(&key(&signer), Vec::new()).unwrap()).unwrap();
        kept
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
    fn an_answer_without_a_receipt_is_found_out_where_receipts_were_given() {
        let all = entries(30);
        assert_eq!(found(&head(&all), &Kept::default(), &[], &all).unwrap().unclaimed.count, 0);
        let unclaimed = found(&head(&all), &kept_of(&[]), &[], &all).unwrap().unclaimed;
        assert_eq!((unclaimed.count, unclaimed.first.len()), (30, UNCLAIMED_SHOWN));
        assert!(unclaimed.end().unwrap_err().to_string().contains("of 30 entries that you caused them"));
    }

    #[test]
    fn what_is_disposed_of_is_compared_with_receipts_by_its_bytes() {
        let (all, other) = (entries(5), entries(5));
        let kept = kept_of(&all[..2]);
        let mut disposed = all.clone();
        disposed[1].opening.clear();
        disposed[3].opening.clear();
        let found_of = found(&head(&all), &kept, &[], &disposed).unwrap();
        assert_eq!((found_of.disposed, found_of.unclaimed.count), (2, 3));
        disposed[1].entry = other[1].entry.clone();
        let changed = found(&head(&disposed), &kept, &[], &disposed).err().unwrap();
        assert!(changed.contains("entry 1 is not the one that the receipt"), "{changed}");
    }

    #[test]
    fn a_hand_over_of_another_journal_is_found_out() {
        let (all, other) = (entries(5), entries(5));
        let handover = |of: &[pb::Entry]| HandOver {
            index: 2,
            entry: Entry::decode(&of[2].entry).unwrap(),
            size: 3,
            root: head(&of[..3]).root,
            old: key(&Ed25519Signer::from_seed(&[7; 32])),
            new: key(&Ed25519Signer::from_seed(&[8; 32])),
        };
        let found_with = |of: &[pb::Entry]| found(&head(&all), &Kept::default(), &[handover(of)], &all);
        assert!(found_with(&all).is_ok());
        let told = found_with(&other).err().unwrap();
        assert!(told.contains("hand-over of entry 2") && told.contains("another journal"), "{told}");
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
