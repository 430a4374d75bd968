//! Roots and generations come and go, and everything opens at every moment that ought to.

use std::sync::Arc;

use rusqlite::Connection;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::ids::SubjectId;
use crate::secret::{Secret, SystemEntropy};
use crate::store::sqlite::tests::founded_store;
use crate::store::sqlite::{KeysStatus, Rank, Standing, fsck, keys_status};
use crate::store::{Journal, Store};
use crate::template::synthetic;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn root(byte: u8) -> RootKey {
    RootKey::new(Secret::take(&mut [byte; 32]))
}

/// A store that was founded under the root 1, with people in it.
struct Site {
    folder: tempfile::TempDir,
    people: Vec<SubjectId>,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bench, store) = founded_store(folder.path()).await;
        let mut rng = synthetic::rng(1);
        let mut people = Vec::new();
        for number in 0..3 {
            people.push(bench.enrol(&mut rng, &format!("P-{number}"), &[]).await);
        }
        drop((bench, store));
        Self { folder, people }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn operation(&self) -> Operation<'_> {
        Operation {
            folder: self.folder(),
            heads: Box::leak(self.folder().join("heads").into_boxed_path()),
            reason: "a test",
            clock: Arc::new(ManualClock::at(NOW)),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    fn store(&self, by: u8) -> Result<SqliteStore, StoreError> {
        let (clock, entropy) = (Arc::new(ManualClock::at(NOW)), Arc::new(SystemEntropy::new()));
        SqliteStore::open(self.folder(), &self.folder().join("heads"), root(by), clock, entropy)
    }

    /// Everything opens by this root: the store as the server opens it, each person's key, and what fsck looks at.
    fn whole_by(&self, by: u8) {
        let store = self.store(by).unwrap_or_else(|error| panic!("root {by} should open it: {error}"));
        for person in &self.people {
            assert!(store.context.keys.subject_key(person).unwrap().is_some(), "a person's key is gone");
        }
        drop(store);
        let report = fsck(self.folder(), root(by), &mut |_, _, _| {}).unwrap();
        assert!(report.faults.is_empty(), "by root {by}: {:?}", report.faults);
    }

    fn closed_to(&self, by: u8) {
        assert!(
            matches!(self.store(by).err(), Some(StoreError::WrongRootKey)),
            "root {by} should open nothing"
        );
    }

    fn keys(&self) -> Connection {
        Connection::open(&files(self.folder())[1]).unwrap()
    }

    fn status(&self) -> KeysStatus {
        keys_status(self.folder()).unwrap()
    }

    /// The keys of a class as the status shows them: name, how much lies beneath, rank.
    fn shown(&self, class: &str) -> Vec<(String, Option<u64>, Rank)> {
        let of_class = |one: &Standing| one.key.split(':').next() == Some(class);
        let keys = self.status().keys;
        keys.into_iter().filter(of_class).map(|one| (one.key, one.beneath, one.rank)).collect()
    }

    async fn entries(&self, by: u8) -> u64 {
        let heads = self.store(by).unwrap().journal_list().await.unwrap();
        heads.into_iter().find(|head| head.journal == Journal::Holder).unwrap().size
    }

    /// Whether these bytes lie in any file of the store.
    fn lies(&self, bytes: &[u8]) -> bool {
        let files = std::fs::read_dir(self.folder()).unwrap().map(|file| file.unwrap().path());
        let read = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
        read.into_iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    }
}

async fn refusal<T>(work: impl Future<Output = Result<T, StoreError>>) -> String {
    match work.await {
        Err(StoreError::KeysRefused(why)) => why,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("this should have been refused"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_root_opens_everything_and_the_old_one_too_until_it_is_retired() {
    let site = Site::new().await;
    let of = site.operation();
    let before = site.entries(1).await;
    root_rotate(&of, &root(1), &root(2)).await.unwrap();
    site.whole_by(1);
    site.whole_by(2);
    assert_eq!(site.entries(2).await, before + 1, "a rotation is one entry");
    root_rotate(&of, &root(1), &root(2)).await.unwrap();
    assert_eq!(site.entries(2).await, before + 1, "done again it changes nothing");
    let roots: Vec<Rank> = site.status().roots.into_iter().map(|(_, one)| one.rank).collect();
    assert_eq!(roots.len(), 2);

    let why = refusal(root_rotate(&of, &root(2), &root(3))).await;
    assert!(why.contains(&format!("onebit keys retire root:{}", root(1).id())), "{why}");
    let why = refusal(root_retire(&of, &root(2), root(2).id())).await;
    assert!(why.contains("the one that opens this store"), "{why}");
    let why = refusal(root_retire(&of, &root(2), root(9).id())).await;
    assert!(why.contains("no root"), "{why}");

    let wrapped: Vec<Vec<u8>> = {
        let sql = site.keys();
        let mut statement = sql.prepare("SELECT wrapped FROM ring_keys WHERE root = ?1").unwrap();
        let rows = statement.query_map([root(1).id().as_bytes()], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert!(wrapped.len() == RingClass::ALL.len() && wrapped.iter().all(|key| site.lies(key)));
    root_retire(&of, &root(2), root(1).id()).await.unwrap();
    site.closed_to(1);
    site.whole_by(2);
    assert!(!wrapped.iter().any(|key| site.lies(key)), "what the old root opened is still in a file");
    assert_eq!(site.entries(2).await, before + 2);
    root_rotate(&of, &root(2), &root(3)).await.unwrap();
    site.whole_by(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_does_not_open_every_key_keeps_the_old_one() {
    let site = Site::new().await;
    let of = site.operation();
    root_rotate(&of, &root(1), &root(2)).await.unwrap();
    // As a faulty version, or a hand in the file, might leave it.
    let gone = "DELETE FROM ring_keys WHERE root = ?1 AND class = 'snapshot-keys'";
    let entropy = SystemEntropy::new();
    let key = RingKey::draw(RingClass::Sealing(Purpose::SnapshotKeys), 2, &entropy).unwrap();
    ring_keys::put(&site.keys(), &root(1), &key, NOW, &entropy).unwrap();
    let why = refusal(root_retire(&of, &root(2), root(1).id())).await;
    assert!(why.starts_with("1 keys lie under root"), "{why}");
    site.keys().execute(gone, [root(2).id().as_bytes()]).unwrap();
    assert!(
        matches!(site.store(2).err(), Some(StoreError::Key { .. })),
        "a ring that is not whole opens nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_rotates_and_old_generations_go_when_nothing_lies_under_them() {
    let site = Site::new().await;
    let of = site.operation();
    for purpose in Purpose::ALL {
        let class = purpose.name();
        let [(first, Some(beneath), Rank::InUse)] = &site.shown(class)[..] else {
            panic!("one key at first")
        };
        assert_eq!(first, &format!("{class}:1"));
        let why = refusal(class_retire(&of, &root(1), purpose, 1)).await;
        assert!(why.contains("is the key that seals"), "{why}");
        let mut told = 0;
        let rotated = class_rotate(&of, &root(1), purpose, &mut |done| told = done).await.unwrap();
        assert_eq!((rotated.newest, rotated.generation), (2, GenerationMade::Now));
        // Of payloads, a day's first entry after the rotation may bring one more.
        assert!(rotated.resealed >= *beneath, "{class}: {} of {beneath}", rotated.resealed);
        assert!(
            purpose != Purpose::SubjectKeys || (told, rotated.resealed) == (3, 3),
            "progress was not told"
        );
        site.whole_by(1);
        let [(_, Some(0), Rank::Older), (second, Some(_), Rank::InUse)] = &site.shown(class)[..] else {
            panic!("{class}: {:?}", site.shown(class))
        };
        assert_eq!(second, &format!("{class}:2"));
        let why = refusal(class_retire(&of, &root(1), purpose, 3)).await;
        assert!(why.contains("there is no key"), "{why}");
        let wrapped: Vec<u8> = site
            .keys()
            .query_row("SELECT wrapped FROM ring_keys WHERE class = ?1 AND generation = 1", [class], |row| {
                row.get(0)
            })
            .unwrap();
        class_retire(&of, &root(1), purpose, 1).await.unwrap();
        assert!(!site.lies(&wrapped), "{class}: the old generation is still in a file");
        site.whole_by(1);
    }
    // The keys of the second generation move to another root like those of the first.
    root_rotate(&of, &root(1), &root(2)).await.unwrap();
    let why = refusal(class_rotate(&of, &root(2), Purpose::Registry, &mut |_| {})).await;
    assert!(why.contains("would not open the new key"), "{why}");
    root_retire(&of, &root(2), root(1).id()).await.unwrap();
    site.whole_by(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_was_cut_short_opens_everything_and_is_finished_by_the_same_command() {
    let site = Site::new().await;
    let of = site.operation();
    let old: (Vec<u8>, Vec<u8>) = site
        .keys()
        .query_row("SELECT subject, wrapped FROM subject_keys LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    class_rotate(&of, &root(1), Purpose::SubjectKeys, &mut |_| {}).await.unwrap();
    // As if the last step had not come.
    let back = "UPDATE subject_keys SET wrapped = ?2 WHERE subject = ?1";
    site.keys().execute(back, rusqlite::params![old.0, old.1]).unwrap();
    site.whole_by(1);
    let why = refusal(class_retire(&of, &root(1), Purpose::SubjectKeys, 1)).await;
    assert!(why.starts_with("1 values lie under `subject-keys:1`"), "{why}");
    let entries = site.entries(1).await;
    let rotated = class_rotate(&of, &root(1), Purpose::SubjectKeys, &mut |_| {}).await.unwrap();
    assert_eq!(rotated, ClassRotated { newest: 2, resealed: 1, generation: GenerationMade::Before });
    assert_eq!(site.entries(1).await, entries, "to finish what was entered is no other rotation");
    class_retire(&of, &root(1), Purpose::SubjectKeys, 1).await.unwrap();
    site.whole_by(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_entered_at_the_next_start_once() {
    let site = Site::new().await;
    // An operation whose process ended before its entry.
    let note = site.operation().note("rotated", "registry:1".to_owned(), Some("registry:2".to_owned()));
    let ring = ring_keys::ring(ring_keys::load(&site.keys(), &root(1)).unwrap()).unwrap();
    key_note::leave(&site.keys(), &ring, &note, &SystemEntropy::new()).unwrap();
    assert_eq!(site.status().unlogged, 1);
    assert!(!site.lies(b"registry:2"), "a note lies in the clear");
    let row: (Vec<u8>, Vec<u8>) = site
        .keys()
        .query_row("SELECT id, note FROM key_notes", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let before = site.entries(1).await;
    for restored in [false, true] {
        if restored {
            // The entry was durable and the note was not gone yet, or an older file was restored.
            let back = "INSERT INTO key_notes (id, note) VALUES (?1, ?2)";
            site.keys().execute(back, rusqlite::params![row.0, row.1]).unwrap();
        }
        let store = site.store(1).unwrap();
        let _receipt = store.server_started("a test").await.unwrap();
        drop(store);
        assert_eq!(site.status().unlogged, 0);
    }
    // Two starts and one operation.
    assert_eq!(site.entries(1).await, before + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_keys_are_not_made_anew() {
    let site = Site::new().await;
    std::fs::remove_file(&files(site.folder())[1]).unwrap();
    let refused = site.store(1).err().unwrap().to_string();
    assert!(refused.contains("restore its newest backup"), "{refused}");
}
