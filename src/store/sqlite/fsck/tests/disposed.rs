//! Disposals that cut through what is sealed: what goes, what stays, and that a check finds the store whole after each.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;

use super::checked;
use super::story::{DAY, NOW, Story, root};
use crate::authz::PayloadClass;
use crate::clock::{Clock, date_of};
use crate::ids::{BatchId, ChangeId, DisclosureId, SubjectId};
use crate::secret::SystemEntropy;
use crate::store::sqlite::{SqliteStore, files, journals_continue};
use crate::store::{Answer, Case, Change, Store, Verdict};

const CLASSES: [PayloadClass; 3] =
    [PayloadClass::Disclosure, PayloadClass::Administration, PayloadClass::Enrolment];

fn hit(subject: SubjectId) -> Verdict {
    Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }
}

fn today(story: &Story) -> Date {
    date_of(story.clock.now().day())
}

fn assert_whole(folder: &Path, when: &str) {
    let report = checked(folder).unwrap();
    assert_eq!(report.faults, [], "{when}");
}

/// What is sealed over several days.
struct Sealed {
    disclosure: DisclosureId,
    change: ChangeId,
    batch: BatchId,
    /// The second, third and fourth day: before each of them a disposal may cut.
    days: [Date; 3],
}

/// A disclosure over three days, a change over two and a run of enrolment over two.
async fn three_days(story: &Story) -> Sealed {
    story.release_key().await;
    let batch = story.batch_start().await;
    let subject = story.chunk_enrol(batch, 0, "P-1").await;
    let query = story.ask(hit(subject)).await;
    let case = story.request(query).await;
    let half = story.decide(&case, "sione", true).await;
    let change = story.propose(Change::RestorePartner("ca-border".parse().unwrap())).await;
    story.clock.advance(DAY);
    let second = today(story);
    let _subject = story.chunk_enrol(batch, 2, "P-2").await;
    let whole = story.decide(&half, "grace", true).await;
    story.release(&whole).await;
    story.confirmed(change, None).await;
    story.clock.advance(DAY);
    let third = today(story);
    story.acknowledge(&whole).await;
    story.clock.advance(DAY);
    let disclosure = case.disclosure.request().disclosure();
    Sealed { disclosure, change, batch, days: [second, third, today(story)] }
}

async fn case(store: &SqliteStore, id: DisclosureId) -> Option<Case> {
    store.disclosure_get(id).await.unwrap()
}

/// Whether the disclosure, the change and the batch are there.
async fn there(story: &Story, sealed: &Sealed) -> [bool; 3] {
    let batch = story.store.batch_get("intake".parse().unwrap(), sealed.batch).await.unwrap();
    let change = story.store.change_get(sealed.change).await.unwrap();
    [case(&story.store, sealed.disclosure).await.is_some(), change.is_some(), batch.is_some()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_disposal_cuts_through_goes_with_the_day_of_its_last_entry() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    let sealed = three_days(&story).await;
    assert_whole(folder.path(), "before any disposal");
    let before = case(&story.store, sealed.disclosure).await.unwrap();
    // The batch has its official from its first entry alone, and goes with that.
    let left = [[true, true, false], [true, false, false], [false, false, false]];
    for (day, left) in sealed.days.into_iter().zip(left) {
        for class in CLASSES {
            story.years_later(class, day);
            story.dispose_of(class, day).await;
            assert_whole(folder.path(), &format!("{class} before {day}"));
        }
        assert_eq!(there(&story, &sealed).await, left, "disclosure, change and batch, before {day}");
        if left[0] {
            let after = case(&story.store, sealed.disclosure).await.unwrap();
            assert_eq!(after.disclosure.digest(), before.disclosure.digest(), "it is still the whole of it");
            assert_eq!(after.disclosure.state(), before.disclosure.state());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disposal_that_was_cut_short_hides_what_it_took_and_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    let sealed = three_days(&story).await;
    let class = PayloadClass::Disclosure;
    let [_, _, last] = sealed.days;
    let sql = rusqlite::Connection::open(&files(folder.path())[0]).unwrap();
    let due = rusqlite::params![[9_u8; 16], class.number(), crate::clock::day_of(last)];
    let insert = "INSERT INTO disposals (change, class, before_day, entries, disposed_ms, state)
                  VALUES (?1, ?2, ?3, 0, 0, 'due')";
    assert_eq!(sql.execute(insert, due).unwrap(), 1);
    assert!(there(&story, &sealed).await == [false, true, true], "what was taken is not shown any more");
    let filter = crate::store::CaseFilter { limit: 10, ..Default::default() };
    assert!(story.store.disclosure_list(filter).await.unwrap().is_empty());
    let [_, keys] = files(folder.path());
    let keys = rusqlite::Connection::open(keys).unwrap();
    assert!(keys.execute("DELETE FROM payload_keys WHERE class = ?1", [class.number()]).unwrap() > 0);
    let told = checked(folder.path()).unwrap().faults;
    // The row that was put in has no entries; nothing else is wrong.
    assert!(told.iter().all(|fault| fault.place.to_string().starts_with("disposals")), "{told:#?}");
    assert_eq!(sql.execute("DELETE FROM disposals WHERE change = ?1", [[9_u8; 16]]).unwrap(), 1);
    let told = checked(folder.path()).unwrap().faults;
    let missing = format!("the key of class {}, day", class.number());
    let of_case = told.iter().filter(|fault| fault.place == super::FaultPlace::Disclosure(sealed.disclosure));
    assert!(of_case.clone().any(|fault| fault.what.contains("no entry says")), "{told:#?}");
    let of_entries = told.iter().filter(|fault| fault.what.contains(&missing));
    assert!(of_entries.count() > 3, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_key_of_what_is_sealed_is_told_as_that_of_an_entry_is() {
    for (class, places) in
        [(PayloadClass::Administration, "changes/"), (PayloadClass::Enrolment, "batches, batches/")]
    {
        let folder = tempfile::tempdir().unwrap();
        let story = Story::found(folder.path(), NOW).await;
        let _sealed = three_days(&story).await;
        drop(story);
        let [_, keys] = files(folder.path());
        let keys = rusqlite::Connection::open(keys).unwrap();
        assert!(keys.execute("DELETE FROM payload_keys WHERE class = ?1", [class.number()]).unwrap() > 0);
        let told = checked(folder.path()).unwrap().faults;
        let of_rows = told.iter().filter(|fault| fault.place.to_string().starts_with(places));
        assert!(of_rows.count() > 0, "{class}: {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_was_left_behind_is_disposed_of_like_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    story.release_key().await;
    let subject = story.enrol("P-1").await;
    let query = story.ask(hit(subject)).await;
    let case = story.request(query).await;
    let half = story.decide(&case, "sione", true).await;
    assert!(story.store.heads_record().await.unwrap() > 0);
    story.witness().await;
    let [data, _] = files(folder.path());
    let backup = folder.path().join("backup");
    let story = story.reopened(folder.path(), |_| assert!(std::fs::copy(&data, &backup).unwrap() > 0));
    // What the backup lacks: an entry in the partner's journal, and one in the holder's.
    story.refuse().await;
    let _lost = story.propose(Change::RestorePartner("ca-border".parse().unwrap())).await;
    story.clock.advance(DAY);
    let second = today(&story);
    let story = story.reopened(folder.path(), |clock| {
        std::fs::copy(&backup, &data).unwrap();
        continued(folder.path(), clock);
    });
    assert_whole(folder.path(), "after both journals went on");
    let whole = story.decide(&half, "grace", true).await;
    story.release(&whole).await;
    assert!(story.store.heads_record().await.unwrap() > 0);
    story.witness().await;
    story.clock.advance(DAY);
    story.acknowledge(&whole).await;
    let _other = story.ask(hit(subject)).await;
    story.clock.advance(DAY);
    let last = today(&story);
    assert_whole(folder.path(), "in the new trees");
    for day in [second, last] {
        for class in PayloadClass::ALL {
            story.years_later(class, day);
            story.dispose_of(class, day).await;
            assert_whole(folder.path(), &format!("{class} before {day}"));
        }
    }
    assert!(story.store.disclosure_get(case.disclosure.request().disclosure()).await.unwrap().is_none());
}

fn continued(folder: &Path, clock: Arc<dyn Clock>) {
    let entropy = Arc::new(SystemEntropy::new());
    let continued =
        journals_continue(folder, &folder.join("heads"), root(), clock, entropy, "a test").unwrap();
    let names: Vec<_> = continued.iter().map(|one| one.journal.name()).collect();
    assert!(names.contains(&"holder") && names.contains(&"au-border"), "{names:?}");
}
