//! Disposals that cut through what is sealed: what goes, what stays, and that a check finds the store whole after each.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use rusqlite::Connection;

use super::story::{DAY, NOW, Story, root};
use super::{FaultPlace, checked};
use crate::authz::PayloadClass;
use crate::clock::{Clock, ManualClock, date_of, day_of};
use crate::ids::{BatchId, ChangeId, DisclosureId, SubjectId};
use crate::secret::SystemEntropy;
use crate::store::sqlite::day_key::{DayKey, split};
use crate::store::sqlite::{Parts, SqliteStore, change, disclosure_row, enrolment, files, journals_continue};
use crate::store::{Answer, Case, Change, Store, StoreError, Verdict};

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
    // On the third day nothing but the disclosure was touched.
    let classes = [&CLASSES[..], &CLASSES[..], &CLASSES[..1]];
    for ((day, left), classes) in sealed.days.into_iter().zip(left).zip(classes) {
        for class in classes.iter().copied() {
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
async fn a_disclosure_that_was_only_looked_at_since_goes_with_the_day_of_the_look() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    let subject = story.enrol("P-1").await;
    let query = story.ask(hit(subject)).await;
    let asked = story.request(query).await;
    let denied = story.decide(&asked, "sione", false).await;
    story.clock.advance(DAY);
    let second = today(&story);
    story.view(&denied).await;
    story.clock.advance(DAY);
    let id = asked.disclosure.request().disclosure();
    for (day, left) in [(second, true), (today(&story), false)] {
        story.years_later(PayloadClass::Disclosure, day);
        story.dispose_of(PayloadClass::Disclosure, day).await;
        assert_whole(folder.path(), &format!("before {day}"));
        assert_eq!(case(&story.store, id).await.is_some(), left, "before {day}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disposal_that_was_cut_short_hides_what_it_took_and_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    let sealed = three_days(&story).await;
    let class = PayloadClass::Disclosure;
    let [_, _, last] = sealed.days;
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    let due = rusqlite::params![[9_u8; 16], class.number(), day_of(last)];
    let insert = "INSERT INTO disposals (change, class, before_day, entries, disposed_ms, state)
                  VALUES (?1, ?2, ?3, 0, 0, 'due')";
    assert_eq!(sql.execute(insert, due).unwrap(), 1);
    assert!(there(&story, &sealed).await == [false, true, true], "what was taken is not shown any more");
    let filter = crate::store::CaseFilter { limit: 10, ..Default::default() };
    assert!(story.store.disclosure_list(filter).await.unwrap().is_empty());
    let [_, keys] = files(folder.path());
    let keys = Connection::open(keys).unwrap();
    assert!(keys.execute("DELETE FROM payload_keys WHERE class = ?1", [class.number()]).unwrap() > 0);
    let told = checked(folder.path()).unwrap().faults;
    // The row that was put in has no entries; nothing else is wrong.
    assert!(told.iter().all(|fault| fault.place.to_string().starts_with("disposals")), "{told:#?}");
    assert_eq!(sql.execute("DELETE FROM disposals WHERE change = ?1", [[9_u8; 16]]).unwrap(), 1);
    let told = checked(folder.path()).unwrap().faults;
    let missing = format!("the key of class {}, day", class.number());
    let of_case = told.iter().filter(|fault| fault.place == FaultPlace::Disclosure(sealed.disclosure));
    assert!(of_case.clone().any(|fault| fault.what.contains("no entry says")), "{told:#?}");
    let of_entries = told.iter().filter(|fault| fault.what.contains(&missing));
    assert!(of_entries.count() > 3, "{told:#?}");
}

/// Faults at a place that say something.
fn told(folder: &Path, place: &FaultPlace, what: &str) -> bool {
    let report = checked(folder).unwrap();
    let told = report.faults.iter().any(|fault| fault.place == *place && fault.what.contains(what));
    if !told {
        println!("`{what}` is not told of {place}: {:#?}", report.faults);
    }
    told
}

/// Where the check says something of each class's row, and the column that tells the day of its key.
fn rows(sealed: &Sealed) -> [(PayloadClass, FaultPlace, &'static str); 3] {
    let batch = FaultPlace::Row { table: "batches", row: sealed.batch.resource() };
    [
        (PayloadClass::Disclosure, FaultPlace::Disclosure(sealed.disclosure), "SELECT body FROM disclosures"),
        (
            PayloadClass::Administration,
            FaultPlace::Change(sealed.change),
            "SELECT body FROM changes WHERE kind = 'restore-partner'",
        ),
        (PayloadClass::Enrolment, batch, "SELECT official FROM batches"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_key_of_what_is_sealed_is_told_as_that_of_an_entry_is() {
    for at in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let story = Story::found(folder.path(), NOW).await;
        let sealed = three_days(&story).await;
        drop(story);
        let (class, place, read) = rows(&sealed)[at].clone();
        let [data, keys] = files(folder.path()).map(|file| Connection::open(file).unwrap());
        let stored: Vec<u8> = data.query_row(read, [], |row| row.get(0)).unwrap();
        let day = split(&stored).unwrap().0;
        let delete = "DELETE FROM payload_keys WHERE class = ?1 AND day = ?2";
        assert_eq!(keys.execute(delete, (class.number(), day)).unwrap(), 1);
        let missing = format!("the key of class {}, day {day} is not in the key store", class.number());
        assert!(told(folder.path(), &place, &missing), "{class}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_under_the_key_of_an_earlier_day_is_told() {
    for at in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let story = Story::found(folder.path(), NOW).await;
        let sealed = three_days(&story).await;
        drop(story);
        let parts = Parts::open(
            folder.path(),
            root(),
            None,
            Arc::new(ManualClock::at(NOW.after(DAY * 4))),
            Arc::new(SystemEntropy::new()),
        )
        .unwrap();
        // The first three are of rows as a whole; the last is one step of a disclosure.
        let of_steps = at == 3;
        let (class, place, read) = rows(&sealed)[at % 3].clone();
        let step = disclosure_row::step_row(sealed.disclosure, 1);
        let (read, write, bound) = match (class, of_steps) {
            (PayloadClass::Disclosure, true) => (
                "SELECT step FROM disclosure_steps WHERE sequence = 1",
                "UPDATE disclosure_steps SET step = ?1 WHERE sequence = 1",
                disclosure_row::step_place(&step),
            ),
            (PayloadClass::Disclosure, false) => {
                (read, "UPDATE disclosures SET body = ?1", disclosure_row::body_place(&sealed.disclosure))
            }
            (PayloadClass::Administration, _) => (
                read,
                "UPDATE changes SET body = ?1 WHERE kind = 'restore-partner'",
                change::body_place(&sealed.change),
            ),
            _ => (read, "UPDATE batches SET official = ?1", enrolment::official_place(&sealed.batch)),
        };
        let stored: Vec<u8> = parts.sql.query_row(read, [], |row| row.get(0)).unwrap();
        let key = DayKey::of_value(&parts.context, &parts.sql, class, &stored).unwrap().unwrap();
        let plain = key.open("opening", bound, &stored).unwrap();
        let earlier = DayKey::of_day(&parts.context, class, NOW.day() - 1).unwrap();
        let stored = earlier.seal(&parts.context, "sealing", bound, plain.expose()).unwrap();
        assert_eq!(parts.sql.execute(write, [stored]).unwrap(), 1);
        drop(parts);
        let what = match (class, of_steps) {
            (PayloadClass::Enrolment, _) => "the day of its key",
            (_, true) => "under another key than the request",
            _ => "under the key of a day before its last entry",
        };
        assert!(told(folder.path(), &place, what), "{class}");
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
    let since = [PayloadClass::Query, PayloadClass::Disclosure, PayloadClass::Access];
    for (day, classes) in [(second, &PayloadClass::ALL[..]), (last, &since[..])] {
        for class in classes.iter().copied() {
            story.years_later(class, day);
            story.dispose_of(class, day).await;
            assert_whole(folder.path(), &format!("{class} before {day}"));
        }
    }
    assert!(story.store.disclosure_get(case.disclosure.request().disclosure()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_from_before_a_disposal_that_is_restored_is_disposed_of_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::found(folder.path(), NOW).await;
    let sealed = three_days(&story).await;
    let [_, _, day] = sealed.days;
    let [data, _] = files(folder.path());
    let backup = folder.path().join("backup");
    let story = story.reopened(folder.path(), |_| assert!(std::fs::copy(&data, &backup).unwrap() > 0));
    story.refuse().await;
    for class in CLASSES {
        story.years_later(class, day);
        story.dispose_of(class, day).await;
    }
    let story = story.reopened(folder.path(), |clock| {
        std::fs::copy(&backup, &data).unwrap();
        continued(folder.path(), clock);
    });
    for (class, place, _) in rows(&sealed) {
        let missing = format!("the key of class {}, day", class.number());
        assert!(told(folder.path(), &place, &missing), "{class}");
        let refused = match class {
            PayloadClass::Disclosure => story.store.disclosure_get(sealed.disclosure).await.err(),
            PayloadClass::Administration => story.store.change_get(sealed.change).await.err(),
            _ => continue,
        };
        assert!(
            matches!(refused, Some(StoreError::Damaged { .. })),
            "{class}: what is damaged is not hidden"
        );
    }
    for class in CLASSES {
        let facts = story.store.payloads_get(class, day_of(day)).await.unwrap();
        assert!(facts.days == 0 && facts.entries > 0, "{class}: the keys went, and their openings are back");
        story.dispose_of(class, day).await;
    }
    assert_whole(folder.path(), "after the disposals were done once more");
    assert_eq!(there(&story, &sealed).await, [false; 3]);
}

fn continued(folder: &Path, clock: Arc<dyn Clock>) {
    let entropy = Arc::new(SystemEntropy::new());
    let continued =
        journals_continue(folder, &folder.join("heads"), root(), clock, entropy, "a test").unwrap();
    let names: Vec<_> = continued.iter().map(|one| one.journal.name()).collect();
    assert!(names.contains(&"holder") && names.contains(&"au-border"), "{names:?}");
}
