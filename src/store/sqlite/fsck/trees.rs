//! What entries state of whole trees: one that goes on where another was left behind, and checkpoints that witnesses
//! cosigned. Held against the trees, checkpoints and cosignatures that are there.

use rusqlite::{OptionalExtension, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::proof;
use crate::store::StoreError;

use super::super::database;
use super::super::log::SqlTiles;
use super::report::{FaultPlace, FsckReport};
use super::view::View;
use super::{HOLDER, JournalRow, owner, size_of};

/// The first entry of a tree, or one that states something of a tree.
pub(super) struct Said {
    /// The row of the tree in which it stands.
    tree: i64,
    index: u64,
    event: Event,
    place: FaultPlace,
}

impl Said {
    /// An entry, where it is one of these.
    pub(super) fn of(journal: &JournalRow, index: u64, event: &Event) -> Option<Self> {
        let states = matches!(event.kind, Kind::JournalContinued | Kind::JournalWitnessed);
        let place = FaultPlace::Entry { journal: journal.name.clone(), index };
        (states || index == 0).then(|| Self { tree: journal.id, index, event: event.clone(), place })
    }
}

/// Holds all of them against what is there.
pub(super) fn compare(
    view: &View,
    journals: &[JournalRow],
    said: &[Said],
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    for one in said {
        let Some(tree) = journals.iter().find(|journal| journal.id == one.tree) else { continue };
        match one.event.kind {
            Kind::JournalContinued => continued(view, journals, tree, one, report)?,
            Kind::JournalWitnessed => witnessed(view, tree, one, report)?,
            _ => {
                let before = journals.iter().any(|other| is_before(other, tree) && other.begun.is_some());
                if before {
                    let what = "its tree goes on where another was left behind, and it does not say so";
                    report.fault(one.place.clone(), what);
                }
            }
        }
    }
    Ok(())
}

/// Whether a tree is an earlier one of the same journal.
fn is_before(other: &JournalRow, tree: &JournalRow) -> bool {
    other.id < tree.id && owner(&other.name) == owner(&tree.name)
}

/// The journal, the tree that was left behind, and how far that was signed.
fn continued(
    view: &View,
    journals: &[JournalRow],
    tree: &JournalRow,
    said: &Said,
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    let event = &said.event;
    let mut fault = |what: String| report.fault(said.place.clone(), what);
    if said.index != 0 {
        fault("it says that its journal goes on here, and is not the first entry of its tree".to_owned());
    }
    if event.text_of(Fact::Journal) != Some(owner(&tree.name)) {
        fault("it states another journal than the one in which it stands".to_owned());
    }
    let origin = event.text_of(Fact::Origin).unwrap_or_default();
    let left = journals.iter().find(|other| other.origin == origin);
    let Some(left) = left.filter(|left| is_before(left, tree) && left.retired) else {
        fault(format!("it says that `{origin}` was left behind, and there is no such tree before its own"));
        return Ok(());
    };
    let between = |other: &&JournalRow| is_before(left, other) && is_before(other, tree);
    if let Some(other) = journals.iter().filter(between).find(|other| other.begun.is_some()) {
        fault(format!("it says that `{origin}` was left behind, and `{}` came after that", other.origin));
    }
    let (size, root) = (event.number_of(Fact::TreeSize), event.fact(Fact::Root));
    match (size, root) {
        (None, None) => {}
        (Some(size), Some(root)) => {
            // Of entries that are not here nobody can tell; a tree that has all of them was not behind.
            let here = size <= size_of(&view.sql, left.id)?;
            let tiles = SqlTiles { sql: &view.sql, row: left.id };
            if here && proof::root(&tiles, size).is_ok_and(|own| own.as_bytes() == root) {
                fault(format!("it says that `{origin}` fell behind {size} entries, and they are all there"));
            }
        }
        _ => fault("it states a size without its root, or a root without its size".to_owned()),
    }
    Ok(())
}

/// The checkpoint, and that something is kept of each witness.
fn witnessed(view: &View, tree: &JournalRow, said: &Said, report: &mut FsckReport) -> Result<(), StoreError> {
    let event = &said.event;
    let mut fault = |what: String| report.fault(said.place.clone(), what);
    if event.text_of(Fact::Journal) != Some(HOLDER) || owner(&tree.name) != HOLDER {
        fault("it states another journal than the holder's, which alone is cosigned".to_owned());
        return Ok(());
    }
    let size = event.number_of(Fact::TreeSize).and_then(|size| i64::try_from(size).ok()).unwrap_or(-1);
    if i64::try_from(said.index).is_ok_and(|index| size > index) {
        fault(format!("it states a checkpoint over {size} entries, and stands before the last of them"));
    }
    match super::heads::note(view, tree.id, size)? {
        None => fault(format!("it states a checkpoint over {size} entries, and there is none")),
        Some(note) => {
            let text = note.split_once("\n\n").map(|(text, _)| format!("{text}\n"));
            let checkpoint = text.and_then(|text| Checkpoint::parse_any(&text).ok());
            // One that can't be read is told by itself.
            let differs = |own: Checkpoint| event.fact(Fact::Root) != Some(own.root.as_bytes().as_slice());
            if checkpoint.is_some_and(differs) {
                fault(format!("it states another root than the checkpoint over {size} entries"));
            }
        }
    }
    let names = event.text_of(Fact::Witnesses).unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    for name in names.split(',') {
        if !seen.insert(name) {
            fault(format!("it names the witness `{name}` twice"));
        }
        // What a witness cosigned last is always kept.
        let read = "SELECT 1 FROM cosignatures
                    WHERE journal = ?1 AND size >= ?2 AND substr(witness, 1, length(?3) + 1) = ?3 || '+'";
        let kept = view.sql.prepare_cached(read).and_then(|mut statement| {
            statement.query_row(params![tree.id, size, name], |_| Ok(())).optional()
        });
        if database("reading cosignatures", kept)?.is_none() {
            fault(format!("it names the witness `{name}`, and no cosignature of it since then is kept"));
        }
    }
    Ok(())
}
