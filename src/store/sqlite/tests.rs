//! What belongs to this implementation: its files, its keys, its damage, and the suite that every store passes.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::{SqliteStore, files};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::ids::RequestId;
use crate::keys::{ReleaseSecretKey, RootKey};
use crate::secret::{Secret, SystemEntropy};
use crate::store::alert::Stop;
use crate::store::conformance::{self, Bench, SECRETS, collection_new};
use crate::store::{Answer, QueryRecorded, QuerySeen, Store, StoreError, Verdict, Withheld};

fn open(folder: &Path, root: u8) -> Result<SqliteStore, StoreError> {
    // A day inside the terms of the agreements in policy/.
    open_at(folder, root, Timestamp::from_millis(1_790_000_000_000))
}

pub(super) fn open_at(folder: &Path, root: u8, now: Timestamp) -> Result<SqliteStore, StoreError> {
    let clock = Arc::new(ManualClock::at(now));
    let root = RootKey::new(Secret::take(&mut [root; 32]));
    SqliteStore::open(folder, &folder.join("heads"), root, clock, Arc::new(SystemEntropy::new()))
}

pub(super) async fn founded(folder: &Path) -> Bench {
    founded_store(folder).await.0
}

/// The same with the store itself, for what is not a matter of the trait.
pub(super) async fn founded_store(folder: &Path) -> (Bench, Arc<SqliteStore>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let root = RootKey::new(Secret::take(&mut [1; 32]));
    let entropy = Arc::new(SystemEntropy::new());
    let shown: Arc<dyn Clock> = clock.clone();
    let store = SqliteStore::open(folder, &folder.join("heads"), root, shown, entropy).unwrap();
    let release_key = ReleaseSecretKey::random(&SystemEntropy::new()).unwrap();
    let _receipt = store.holder_found(Bench::founding(&release_key)).await.unwrap();
    store.collections_sync(vec![collection_new()]).await.unwrap();
    let keys = store.keys();
    let store = Arc::new(store);
    let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    (Bench { store: shared, keys, clock, rules: Bench::rules(), release_key }, store)
}

macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                conformance::$name(founded(folder.path()).await).await;
            }
        )+
    };
}

suite!(
    every_answer_has_an_entry_that_anyone_can_verify,
    outcomes_are_alike_in_size,
    a_verdict_opens_only_against_its_own_receipt,
    the_same_question_gets_the_same_answer,
    an_id_that_comes_twice_at_once_counts_once,
    a_release_takes_two_officers_and_is_one_ciphertext,
    no_hit_no_disclosure,
    hidden_or_erased_since_the_hit_ends_as_denied,
    hidden_between_approval_and_release_ends_as_denied,
    a_broken_off_batch_goes_on_where_it_was,
    enrolling_again_updates,
    chunks_that_come_together_are_enrolled_in_their_order,
    a_person_who_comes_twice_together_is_one,
    a_partner_reads_its_own_journal,
    files_of_a_journal_are_what_its_checkpoint_covers,
    a_change_takes_effect_once,
    a_change_is_told_in_its_own_transaction,
    every_notice_is_delivered_once_or_given_up_with_an_entry,
    what_is_late_is_told_once_and_only_while_it_is_open,
    a_quorum_is_of_one_checkpoint_and_each_witness_counts_once,
    a_release_is_seen_when_witnesses_saw_a_head_over_its_entry,
    a_witnessed_head_proves_itself_to_its_partner,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_between_approval_and_release_nothing_leaves() {
    let partner = || "au-border".parse().unwrap();
    for stop in [
        Stop::Partner(partner()),
        Stop::Official(partner(), conformance::OFFICIAL.to_owned()),
        Stop::Agreement("au-border-identity".parse().unwrap()),
        Stop::Person("sione".parse().unwrap()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bench = founded(folder.path()).await;
        conformance::stopped_between_approval_and_release_nothing_leaves(bench, stop).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_founded_once() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let again = bench.store.holder_found(Bench::founding(&bench.release_key)).await;
    assert!(matches!(again.err(), Some(StoreError::AlreadyFounded)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_root_key_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(founded(folder.path()).await);
    assert!(matches!(open(folder.path(), 2).err(), Some(StoreError::WrongRootKey)));
    assert!(open(folder.path(), 1).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused_at_the_start() {
    for file in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        drop(founded(folder.path()).await);
        let sql = Connection::open(&files(folder.path())[file]).unwrap();
        let newest = "(SELECT max(version) FROM refinery_schema_history)";
        sql.execute(
            &format!("UPDATE refinery_schema_history SET version = 999 WHERE version = {newest}"),
            [],
        )
        .unwrap();
        drop(sql);
        assert!(matches!(open(folder.path(), 1).err(), Some(StoreError::TooNew { found: 999, .. })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_bytes_in_another_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    conformance::enrolling_again_updates(bench).await;
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    let moved = sql.execute("UPDATE templates SET slot = slot + 100", []).unwrap();
    assert_eq!(moved, 1);
    drop(sql);
    let store = open(folder.path(), 1).unwrap();
    let loaded = store.gallery_load("watch-face".parse().unwrap(), 0, 10).await;
    assert!(matches!(loaded.err(), Some(StoreError::Sealed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_changed_is_refused_at_the_start() {
    let damages = [
        "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0",
        "DELETE FROM tiles WHERE level = 0",
        "UPDATE checkpoints SET note = replace(note, 'onebit', 'twobit')",
    ];
    for damage in damages {
        let folder = tempfile::tempdir().unwrap();
        let bench = founded(folder.path()).await;
        conformance::a_partner_reads_its_own_journal(bench).await;
        let sql = Connection::open(&files(folder.path())[0]).unwrap();
        assert!(sql.execute(damage, []).unwrap() > 0);
        drop(sql);
        assert!(open(folder.path(), 1).is_err(), "`{damage}` went unnoticed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_readable_lies_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    conformance::a_release_takes_two_officers_and_is_one_ciphertext(bench).await;
    let mut searched = 0;
    let listed = [folder.path().to_owned(), folder.path().join("heads")].map(std::fs::read_dir);
    for path in listed.into_iter().flat_map(Result::unwrap).map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        for secret in SECRETS {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "`{secret}` lies readable in `{}`", path.display());
        }
    }
    assert!(searched > 100_000, "only {searched} bytes were searched; where did the files go?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_subject_leaves_no_key_and_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    conformance::hidden_or_erased_since_the_hit_ends_as_denied(bench).await;
    let [data, keys] = files(folder.path());
    let count = |path: &Path, table: &str| -> i64 {
        let sql = Connection::open(path).unwrap();
        sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&data, "subjects"), 1, "the hidden one stays, the erased one is gone");
    assert_eq!(count(&data, "templates"), 1);
    assert_eq!(count(&data, "records"), 2);
    assert_eq!(count(&keys, "subject_keys"), 1);
    assert_eq!(count(&data, "erasures_due"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_crash_cut_short_is_finished_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    conformance::enrolling_again_updates(bench).await;
    let [data, keys] = files(folder.path());
    let sql = Connection::open(&data).unwrap();
    sql.execute_batch(
        "PRAGMA foreign_keys = ON;
         INSERT INTO erasures_due SELECT id FROM subjects;
         DELETE FROM subjects;",
    )
    .unwrap();
    drop(sql);
    drop(open(folder.path(), 1).unwrap());
    let left: i64 = Connection::open(&keys)
        .unwrap()
        .query_row("SELECT count(*) FROM subject_keys", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_for_whoever_holds_the_lock_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    // As while an erasure empties the write-ahead log, with questions coming.
    let other = Connection::open(&files(folder.path())[0]).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asking = conformance::every_answer_has_an_entry_that_anyone_can_verify(bench);
    tokio::pin!(asking);
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asking).await;
    assert!(early.is_err(), "nothing can be written while somebody else holds the lock");
    other.execute_batch("ROLLBACK").unwrap();
    asking.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_answer_is_given_again_only_when_it_is_durable_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let [asked, new] = [[1; 16], [2; 16]].map(RequestId::from_bytes);
    let question = bench.question(asked, b"a question");
    let (content, since) = (question.content, question.window_start);
    let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
    let recorded = store.query_record(bench.ask_permit().await, question, verdict).await.unwrap();
    assert!(matches!(recorded, QueryRecorded::New(..)));
    let settled = store.writer.settled();
    let number = settled.begin();
    let times = (since, bench.clock.now());
    let look_up = async |request| {
        let (partner, agreement) = ("au-border".parse().unwrap(), "au-border-identity".parse().unwrap());
        store.query_look_up(partner, agreement, request, content, times).await.unwrap().0
    };
    // What is new waits for nobody: its answer has an entry of its own behind all that was read.
    assert!(matches!(look_up(new).await, QuerySeen::New));
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), look_up(asked)).await;
    assert!(early.is_err(), "a batch is under way, and what is shown may be of it");
    settled.end(number);
    assert!(matches!(look_up(asked).await, QuerySeen::Answered(_)));
}
