//! Entries that state something else of a tree than the store holds: forged with the holder's own keys, as only the
//! holder could.

use std::path::Path;
use std::sync::Arc;

use super::story::{DAY, NOW, root};
use super::{FaultPlace, FsckReport, checked, copy};
use crate::audit::event::{Event, Fact, Kind};
use crate::clock::ManualClock;
use crate::secret::SystemEntropy;
use crate::store::Journal;
use crate::store::sqlite::tx::{SYSTEM_ACTOR, Tx};
use crate::store::sqlite::{Parts, holder};

/// What the first entry of a tree states of the one that was left behind.
#[derive(Clone)]
struct Continued {
    journal: &'static str,
    origin: String,
    size: Option<u64>,
    root: Option<Vec<u8>>,
    /// Whether it is the first entry of its tree.
    first: bool,
    /// Whether it is there at all.
    said: bool,
}

/// Enters something, after a partner's journal went on as a new tree where that is asked for.
fn entered(folder: &Path, anew: Option<&Journal>, enter: impl FnOnce(&mut Tx<'_>, Event)) {
    let now = NOW.after(DAY * 30);
    let clock = Arc::new(ManualClock::at(now));
    let mut parts = Parts::open(folder, root(), None, clock, Arc::new(SystemEntropy::new())).unwrap();
    let Parts { context, sql, journals, .. } = &mut parts;
    let step = sql.transaction().unwrap();
    if let Some(journal) = anew {
        let row = journals.continue_anew(&step, journal, "holder.example").unwrap();
        let moved = "UPDATE partners SET journal = ?2 WHERE name = ?1";
        assert_eq!(step.execute(moved, rusqlite::params![journal.name(), row]).unwrap(), 1);
    }
    let policy = holder::policy_active(&step).unwrap();
    let mut tx = Tx::new(context, &step, journals, now);
    enter(&mut tx, Event::new(Kind::JournalContinued, now, SYSTEM_ACTOR, policy));
    journals.write_heads(context, &step).unwrap();
    step.commit().unwrap();
}

fn au() -> Journal {
    Journal::Partner("au-border".parse().unwrap())
}

fn found<'a>(report: &'a FsckReport, name: &str) -> &'a super::super::JournalFound {
    report.journals.iter().find(|journal| journal.name == name).unwrap()
}

/// The report over a store whose partner's journal went on with an entry that states what `forge` makes of the truth.
fn after_continuing(forge: impl FnOnce(&FsckReport, &mut Continued)) -> FsckReport {
    let folder = copy();
    let whole = checked(folder.path()).unwrap();
    let mut stated = Continued {
        journal: "au-border",
        origin: "holder.example/onebit/au-border".to_owned(),
        size: Some(found(&whole, "au-border").size + 3),
        root: Some(vec![7; 32]),
        first: true,
        said: true,
    };
    forge(&whole, &mut stated);
    entered(folder.path(), Some(&au()), |tx, event| {
        let other = Event::new(Kind::RequestRefused, event.at, SYSTEM_ACTOR, event.policy);
        let mut event = event.text(Fact::Journal, stated.journal).text(Fact::Reason, "a test");
        event = event.text(Fact::Origin, &stated.origin);
        if let Some(size) = stated.size {
            event = event.number(Fact::TreeSize, size);
        }
        if let Some(root) = &stated.root {
            event = event.with(Fact::Root, root);
        }
        if !stated.first || !stated.said {
            tx.enter(au(), &other, &other, &[]).unwrap();
        }
        if stated.said {
            tx.enter(au(), &event, &event, &[]).unwrap();
        }
    });
    checked(folder.path()).unwrap()
}

#[test]
fn a_tree_that_states_the_truth_of_the_one_before_is_whole() {
    let whole = after_continuing(|_, _| ());
    assert_eq!(whole.faults, []);
    let unknown = after_continuing(|_, stated| (stated.size, stated.root) = (None, None));
    assert_eq!(unknown.faults, [], "where the heads are lost, nobody knows how far it was signed");
    let forked = after_continuing(|whole, stated| stated.size = Some(found(whole, "au-border").size));
    assert_eq!(forked.faults, [], "another root was signed over as many entries");
}

#[test]
fn a_tree_that_states_something_else_of_the_one_before_is_told() {
    type Forge = fn(&FsckReport, &mut Continued);
    let forged: [(Forge, u64, &str); 8] = [
        (|_, stated| stated.journal = "ca-border", 0, "another journal"),
        (|_, stated| stated.origin = "holder.example/onebit/au-border/7".to_owned(), 0, "no such tree"),
        (|_, stated| stated.origin = "holder.example/onebit/ca-border".to_owned(), 0, "no such tree"),
        (|_, stated| stated.origin = "holder.example/onebit/au-border/2".to_owned(), 0, "no such tree"),
        (|_, stated| stated.root = None, 0, "without its root"),
        (|_, stated| stated.first = false, 1, "not the first entry"),
        (|_, stated| stated.said = false, 0, "does not say so"),
        (
            |whole, stated| {
                let before = found(whole, "au-border");
                (stated.size, stated.root) = (Some(before.size), Some(before.root.as_bytes().to_vec()));
            },
            0,
            "they are all there",
        ),
    ];
    for (forge, index, told) in forged {
        let faults = after_continuing(forge).faults;
        let place = FaultPlace::Entry { journal: "au-border".to_owned(), index };
        let named = faults.iter().any(|fault| fault.place == place && fault.what.contains(told));
        assert!(named, "`{told}` was not told of entry {index}: {faults:#?}");
    }
}

/// What an entry states that witnesses cosigned.
#[derive(Clone)]
struct Witnessed {
    journal: &'static str,
    size: u64,
    root: Vec<u8>,
    witnesses: &'static str,
}

/// The report over a store in which such an entry states what `forge` makes of the truth, and its index.
fn after_witnessing(forge: impl FnOnce(&mut Witnessed)) -> (FsckReport, u64) {
    let folder = copy();
    let sql = rusqlite::Connection::open(&crate::store::sqlite::files(folder.path())[0]).unwrap();
    let read = "SELECT size, note FROM checkpoints JOIN cosignatures USING (journal, size) LIMIT 1";
    let (size, note) = sql.query_row(read, [], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    drop(sql);
    let root = data_encoding::BASE64.decode(note.lines().nth(2).unwrap().as_bytes()).unwrap();
    let mut stated = Witnessed { journal: "holder", size, root, witnesses: "one.example,two.example" };
    forge(&mut stated);
    let index = found(&checked(folder.path()).unwrap(), "holder").size;
    entered(folder.path(), None, |tx, event| {
        let event = Event::new(Kind::JournalWitnessed, event.at, SYSTEM_ACTOR, event.policy)
            .text(Fact::Journal, stated.journal)
            .number(Fact::TreeSize, stated.size)
            .with(Fact::Root, &stated.root)
            .text(Fact::Witnesses, stated.witnesses);
        assert_eq!(tx.enter_private(&event, &[]).unwrap(), index);
    });
    (checked(folder.path()).unwrap(), index)
}

#[test]
fn a_checkpoint_that_witnesses_did_not_cosign_so_is_told() {
    let (whole, _) = after_witnessing(|_| ());
    assert_eq!(whole.faults, [], "the truth is no fault");
    type Forge = fn(&mut Witnessed);
    let forged: [(Forge, &str); 7] = [
        (|stated| stated.journal = "au-border", "another journal"),
        (|stated| stated.size = 1_000_000, "stands before the last of them"),
        (|stated| stated.size = u64::MAX, "there is none"),
        (|stated| stated.size = 0, "there is none"),
        (|stated| stated.root = vec![7; 32], "another root"),
        (|stated| stated.witnesses = "one.example,three.example", "`three.example`"),
        (|stated| stated.witnesses = "one.example,one.example", "twice"),
    ];
    for (forge, told) in forged {
        let (report, index) = after_witnessing(forge);
        let place = FaultPlace::Entry { journal: "holder".to_owned(), index };
        let named = report.faults.iter().any(|fault| fault.place == place && fault.what.contains(told));
        assert!(named, "`{told}` was not told of entry {index}: {:#?}", report.faults);
    }
}
