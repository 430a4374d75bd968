use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::super::ring_keys::Founded;
use super::super::tests::{founded_store, open_at};
use super::super::{SqliteStore, files, journals_continue};
use super::*;
use crate::authz::{About, Action};
use crate::clock::{ManualClock, Timestamp};
use crate::keys::{DataKey, RootKey};
use crate::secret::{Secret, SystemEntropy};
use crate::store::conformance::{self, Bench};
use crate::store::enrolment::RestrictionNew;
use crate::store::snapshot::{GalleryRead, Snapshots};
use crate::store::{Store, StoreError};
use crate::template::synthetic;

fn collection() -> CollectionName {
    "watch-face".parse().unwrap()
}

fn first() -> CollectionGeneration {
    CollectionGeneration { collection: collection(), number: 1 }
}

/// A founded store and what is asked of it here.
struct Site {
    folder: tempfile::TempDir,
    bench: Bench,
    store: Option<Arc<SqliteStore>>,
    people: u64,
}

/// What was read: components and restrictions by slot.
type Found = BTreeMap<u64, (Vec<u8>, u64)>;

impl Site {
    async fn with_people(people: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bench, store) = founded_store(folder.path()).await;
        let mut site = Self { folder, bench, store: Some(store), people: 0 };
        for _ in 0..people {
            site.enrol_next().await;
        }
        site
    }

    fn store(&self) -> &Arc<SqliteStore> {
        self.store.as_ref().unwrap()
    }

    async fn enrol_next(&mut self) {
        self.people += 1;
        self.enrol(self.people, self.people).await;
    }

    async fn enrol(&self, person: u64, seed: u64) {
        let mut rng = synthetic::rng(seed);
        let _subject = self.bench.enrol(&mut rng, &format!("P-{person}"), &[]).await;
    }

    async fn erase(&self, person: u64) {
        let permit = self.bench.permit("intake", Action::EraseSubject, About::Service).await;
        let source = self.bench.keys.pseudonym(&format!("P-{person}"));
        let _done = self.bench.store.subject_erase(permit, source, "asked to".to_owned()).await.unwrap();
    }

    async fn restrict(&self, person: u64) {
        let permit = self.bench.permit("intake", Action::AddRestriction, About::Service).await;
        let source = self.bench.keys.pseudonym(&format!("P-{person}"));
        let restriction = "protected-identity".parse().unwrap();
        let new = RestrictionNew { source, restriction, why: "court order".to_owned() };
        let _done = self.bench.store.restriction_add(permit, new).await.unwrap();
    }

    async fn read(&self) -> (GalleryRead, Found) {
        read(self.store(), Snapshots::Used).await
    }

    /// The same without snapshots; nothing is destroyed here.
    async fn read_rows(&self) -> Found {
        let empty = SnapshotFolder {
            folder: self.folder.path().join("none"),
            state: Mutex::default(),
            over: Condvar::new(),
        };
        let context = Arc::clone(&self.store().context);
        let (pages, found) = mpsc::channel(100);
        let reading = self.store().readers.read(move |sql| {
            super::super::gallery::read(&context, &empty, sql, &first(), &pages).map(|reading| reading.read)
        });
        assert_eq!(reading.await.unwrap().from_snapshots, 0);
        gathered(found).await
    }

    /// Writes the snapshot of the first range, with what the rows hold, as the gate does with the gallery's.
    async fn write(&self) {
        let begun = self.store().snapshot_begin(first(), 0).await.unwrap().unwrap();
        let new = SnapshotNew { templates: self.copies().await, begun };
        self.store().snapshot_write(new).await.unwrap();
    }

    async fn copies(&self) -> Vec<(u64, Compact)> {
        let loaded = self.store().gallery_load(collection(), 0, 1_000).await.unwrap();
        loaded.into_iter().map(|loaded| (loaded.slot, Compact::of(&loaded.template))).collect()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(SNAPSHOTS_FOLDER).join("watch-face.1.00000000.sealed")
    }

    fn keys(&self) -> usize {
        self.store().context.keys.snapshot_ids().unwrap().len()
    }

    /// Ends the store and changes what lies on the disk.
    fn closed(&mut self, change: impl FnOnce(&Self)) {
        let store = self.store.take().unwrap();
        let weak = Arc::downgrade(&store);
        drop(store);
        // The bench holds the other one.
        let empty = tempfile::tempdir().unwrap();
        self.bench.store = Arc::new(open_at(empty.path(), 9, NOW).unwrap());
        assert!(weak.upgrade().is_none(), "somebody still uses the store");
        change(self);
    }

    fn opened(&mut self) {
        let store = Arc::new(open_at(self.folder.path(), 1, NOW).unwrap());
        self.bench.store = Arc::<SqliteStore>::clone(&store);
        self.store = Some(store);
    }
}

async fn read(store: &SqliteStore, snapshots: Snapshots) -> (GalleryRead, Found) {
    let (pages, found) = mpsc::channel(100);
    let read = store.gallery_read(first(), snapshots, pages).await.unwrap();
    (read, gathered(found).await)
}

async fn gathered(mut pages: mpsc::Receiver<Vec<crate::store::snapshot::Served>>) -> Found {
    let mut found = Found::new();
    while let Some(page) = pages.recv().await {
        for served in page {
            let mut bytes = Vec::new();
            served.template.write(&mut bytes);
            found.insert(served.slot, (bytes, served.restriction_set));
        }
    }
    found
}

/// A day inside the terms of the agreements in policy/.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gallery_read_from_its_snapshot_is_the_one_of_the_rows() {
    let mut site = Site::with_people(5).await;
    let (read, rows) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (0, 5));
    site.write().await;
    assert_eq!(site.store().snapshot_counts(first()).await.unwrap(), BTreeMap::from([(0, 5)]));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(site.file().parent().unwrap()), mode(&site.file())), (0o700, 0o600));
    for _ in 0..2 {
        let (read, found) = site.read().await;
        assert_eq!((read.from_snapshots, read.from_rows), (5, 0));
        assert_eq!(found, rows);
        assert_eq!(read.totals, BTreeMap::from([(0, 5)]));
        site.closed(|_| ());
        site.opened();
    }
    // Who came since is read from the rows, and what is written again takes the place of what was there.
    site.enrol_next().await;
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows, found.len()), (5, 1, 6));
    site.write().await;
    let (read, again) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows, site.keys()), (6, 0, 1));
    assert_eq!(again, found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_searched_because_of_a_snapshot() {
    let site = Site::with_people(4).await;
    site.write().await;
    site.restrict(2).await;
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (4, 0), "a restriction leaves the snapshot as it is");
    let sets: Vec<u64> = found.values().map(|(_, set)| *set).collect();
    assert_eq!(sets.iter().filter(|set| **set != 0).count(), 1, "one is restricted since");
    assert_ne!(sets[1], 0, "the second is");
    assert_eq!(read.totals, BTreeMap::from([(0, 3), (sets[1], 1)]));
    assert_eq!(found, site.read_rows().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_template_is_on_no_disk_and_in_no_copy_when_the_receipt_is_given() {
    let mut site = Site::with_people(3).await;
    site.write().await;
    let copy = std::fs::read(site.file()).unwrap();
    let [_, keys] = files(site.folder.path());
    let id: [u8; 16] = copy[16..32].try_into().unwrap();
    let lies_in = |path: &Path| std::fs::read(path).unwrap().windows(16).any(|bytes| bytes == id);
    let log = keys.with_extension("sqlite-wal");
    assert!(lies_in(&keys) || lies_in(&log), "the key's row should be there before");
    site.erase(2).await;
    assert!(!site.file().exists());
    assert_eq!(site.keys(), 0);
    assert!(!lies_in(&keys) && !lies_in(&log), "the key should be overwritten and out of the log");
    // A copy that is put back opens no more, and goes.
    site.closed(|site| std::fs::write(site.file(), &copy).unwrap());
    site.opened();
    assert!(!site.file().exists());
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows, found.len()), (0, 2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_was_enrolled_again_is_in_no_snapshot() {
    let site = Site::with_people(3).await;
    site.write().await;
    let (_, before) = site.read().await;
    site.enrol(2, 77).await;
    site.store().snapshots_forget(vec![(first(), 99_999)]).await.unwrap();
    assert!(site.file().exists(), "that slot is not of this range");
    site.store().snapshots_forget(vec![(first(), 2)]).await.unwrap();
    assert!(!site.file().exists() && site.keys() == 0, "it held the template from before");
    let (read, found) = site.read().await;
    assert_eq!((read.from_rows, found.keys().copied().collect::<Vec<_>>()), (3, vec![1, 3, 4]));
    assert!(before.values().filter(|old| found.values().any(|new| new == *old)).count() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_crash_cut_short_is_finished_by_the_next_reading() {
    let mut site = Site::with_people(3).await;
    site.write().await;
    site.closed(|site| {
        let sql = Connection::open(&files(site.folder.path())[0]).unwrap();
        sql.execute_batch(
            "PRAGMA foreign_keys = ON;
             INSERT INTO erasures_due SELECT subject FROM templates WHERE slot = 2;
             DELETE FROM subjects WHERE id IN (SELECT subject FROM erasures_due);",
        )
        .unwrap();
    });
    site.opened();
    assert!(site.file().exists());
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, found.keys().copied().collect::<Vec<_>>()), (2, vec![1, 3]));
    assert!(!site.file().exists() && site.keys() == 0, "it held somebody who is erased");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_destroyed_when_nothing_of_it_is_left() {
    let mut site = Site::with_people(2).await;
    site.write().await;
    site.closed(|site| {
        let sql = Connection::open(&files(site.folder.path())[0]).unwrap();
        sql.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM subjects;").unwrap();
    });
    site.opened();
    let (read, found) = site.read().await;
    assert_eq!((read, found.len()), (GalleryRead::default(), 0));
    assert!(!site.file().exists() && site.keys() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_waits_for_a_snapshot_that_is_being_written_and_lets_it_go() {
    let site = Site::with_people(3).await;
    let begun = site.store().snapshot_begin(first(), 0).await.unwrap().unwrap();
    assert!(site.store().snapshot_begin(first(), 0).await.unwrap().is_none(), "one at a time");
    let new = SnapshotNew { templates: site.copies().await, begun };
    let erasing = site.erase(2);
    tokio::pin!(erasing);
    // It can't end: the copies are still there.
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut erasing).await;
    assert!(waits.is_err(), "the erasure should wait for the copies to be wiped");
    site.store().snapshot_write(new).await.unwrap();
    erasing.await;
    let left = std::fs::read_dir(site.file().parent().unwrap()).unwrap().count();
    assert_eq!((left, site.keys()), (0, 0), "neither the file nor the unfinished one may be left");
    // Another range is nobody's business.
    let other = site.store().snapshot_begin(first(), 1).await.unwrap().unwrap();
    site.erase(1).await;
    drop(other);
    assert!(site.store().snapshot_begin(first(), 1).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_of_a_snapshot_goes_at_the_next_start() {
    let mut site = Site::with_people(2).await;
    site.write().await;
    let whole = std::fs::read(site.file()).unwrap();
    let unfinished = site.file().with_extension("new");
    // Cut off while it was written: the new key is durable, the new file is half there under its other name.
    site.store().context.keys.snapshot_key_make(&[7; 16], &SystemEntropy::new()).unwrap();
    assert_eq!(site.keys(), 2);
    site.closed(|_| std::fs::write(&unfinished, &whole[..whole.len() / 2]).unwrap());
    site.opened();
    assert!(!unfinished.exists() && site.keys() == 1, "the unfinished file and its key should be gone");
    let (read, _) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (2, 0), "the one before is whole");
    // And a store that goes on writes it again.
    site.write().await;
    assert_eq!((site.read().await.0.from_snapshots, site.keys()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_noticed_and_the_rows_are_read() {
    let mut site = Site::with_people(3).await;
    let (_, rows) = site.read().await;
    // In the form, the id, the length, the head, the templates, and at the end.
    for place in [3, 20, 33, 60, 400, usize::MAX] {
        site.write().await;
        site.closed(|site| {
            let mut bytes = std::fs::read(site.file()).unwrap();
            let place = place.min(bytes.len() - 1);
            bytes[place] ^= 1;
            std::fs::write(site.file(), bytes).unwrap();
        });
        site.opened();
        let (read, found) = site.read().await;
        assert_eq!((read.from_snapshots, read.from_rows), (0, 3), "byte {place}");
        assert_eq!(found, rows);
        assert!(!site.file().exists() && site.keys() == 0, "byte {place}: it should be gone with its key");
    }
    // One that is damaged, or gone, while the store is open.
    site.write().await;
    std::fs::write(site.file(), b"something else").unwrap();
    assert_eq!(site.read().await.1, rows);
    site.write().await;
    std::fs::remove_file(site.file()).unwrap();
    assert_eq!(site.read().await.1, rows);
    assert_eq!(site.keys(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_another_store_or_range_is_not_read() {
    let mut site = Site::with_people(2).await;
    site.write().await;
    let other = Site::with_people(2).await;
    other.write().await;
    let (_, rows) = site.read().await;
    site.closed(|site| {
        std::fs::copy(other.file(), site.file()).unwrap();
    });
    site.opened();
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (0, 2));
    assert_eq!(found, rows);
    site.write().await;
    site.closed(|site| {
        std::fs::rename(site.file(), site.file().with_file_name("watch-face.1.00000001.sealed")).unwrap();
    });
    site.opened();
    assert_eq!(site.keys(), 0, "under another name it is nobody's");
    assert_eq!(site.read().await.1, rows);
    // And of a collection that is no longer searched.
    site.write().await;
    site.store().snapshots_keep(vec![first()]).await.unwrap();
    assert!(site.file().exists());
    site.store().snapshots_keep(vec![CollectionGeneration { number: 2, ..first() }]).await.unwrap();
    assert!(!site.file().exists() && site.keys() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_snapshot_serves_a_newer_store_and_a_newer_one_never_an_older_store() {
    let mut site = Site::with_people(2).await;
    let backup = site.folder.path().join("backup.sqlite");
    let [data, _] = files(site.folder.path());
    site.write().await;
    let mut older = Vec::new();
    site.closed(|site| {
        std::fs::copy(&data, &backup).unwrap();
        older = std::fs::read(site.file()).unwrap();
    });
    site.opened();
    site.enrol(3, 3).await;
    let (read, _) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (2, 1));
    site.write().await;
    // The database from before, with the newer snapshot and the keys of today.
    site.closed(|site| {
        std::fs::copy(&backup, &data).unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let root = RootKey::new(Secret::take(&mut [1; 32]));
        let (folder, heads) = (site.folder.path(), site.folder.path().join("heads"));
        let entropy = Arc::new(SystemEntropy::new());
        let continued = journals_continue(folder, &heads, root, clock, entropy, "a test").unwrap();
        assert!(!continued.is_empty(), "the store should be behind");
    });
    site.opened();
    // The third slot is given again, to somebody else: the snapshot must not say who is there.
    site.enrol(4, 4).await;
    let (read, found) = site.read().await;
    assert_eq!((read.from_snapshots, read.from_rows), (0, 3), "it was written where this store never was");
    assert_eq!(found, site.read_rows().await);
    assert!(!site.file().exists() && site.keys() == 0);
    // What is written from here on is of the tree that goes on.
    site.write().await;
    assert_eq!(site.read().await.0.from_snapshots, 3);
    site.closed(|site| std::fs::write(site.file(), &older).unwrap());
    site.opened();
    assert_eq!(site.read().await.0.from_snapshots, 0, "one whose key was destroyed opens no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_not_read_as_one_of_another_generation() {
    let mut site = Site::with_people(2).await;
    site.write().await;
    let renamed = site.file().with_file_name("watch-face.2.00000000.sealed");
    site.closed(|site| std::fs::rename(site.file(), &renamed).unwrap());
    site.opened();
    let next = CollectionGeneration { number: 2, ..first() };
    assert!(site.store().snapshot_counts(next).await.unwrap().is_empty());
    assert!(!renamed.exists() && site.keys() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_without_snapshots_destroys_them() {
    let site = Site::with_people(2).await;
    site.write().await;
    let (read, found) = read(site.store(), Snapshots::Destroyed).await;
    assert_eq!((read.from_rows, found.len(), site.keys()), (2, 2, 0));
    assert!(!site.file().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_gone_ends_the_reading() {
    let site = Site::with_people(1).await;
    let (pages, found) = mpsc::channel(1);
    drop(found);
    let read = site.store().gallery_read(first(), Snapshots::Used, pages).await;
    assert!(matches!(read.err(), Some(StoreError::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_readable_lies_in_a_snapshot() {
    let site = Site::with_people(3).await;
    site.write().await;
    let bytes = std::fs::read(site.file()).unwrap();
    let mut plain = Vec::new();
    for (_, copy) in site.copies().await {
        plain.clear();
        copy.write(&mut plain);
        for part in plain.chunks(8) {
            assert!(!bytes.windows(part.len()).any(|window| window == part), "a template lies in the clear");
        }
    }
    for word in ["watch-face", "holder.example"].into_iter().chain(conformance::SECRETS) {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "`{word}` is readable");
    }
}

/// A file of its own, with its key store.
/// A key store that was just founded.
fn key_store(folder: &Path) -> KeyStore {
    let root = RootKey::new(Secret::take(&mut [1; 32]));
    let path = folder.join("keys.sqlite");
    KeyStore::open((&path, None), &root, Founded::Now, NOW, &SystemEntropy::new()).unwrap()
}

struct Written {
    folder: tempfile::TempDir,
    keys: KeyStore,
    bytes: Vec<u8>,
}

impl Written {
    fn new(count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = key_store(folder.path());
        let transform = synthetic::transform(8, 1);
        let mut rng = synthetic::rng(1);
        let templates: Vec<_> = (0..count)
            .map(|number| {
                let values = synthetic::unit(&mut rng, 8);
                let template = Compact::of(&synthetic::protected(&values, &transform));
                (SNAPSHOT_SLOTS.get() + number * 3, template)
            })
            .collect();
        let position = Position { origin: "a/b".to_owned(), size: 7, note: Digest::sha256(b"note") };
        let dimension = transform.dimension();
        let head = Head { generation: first(), dimension, range: 1, count, position };
        let (entropy, id) = (SystemEntropy::new(), [5; 16]);
        let key = keys.snapshot_key_make(&id, &entropy).unwrap();
        let path = folder.path().join("a.sealed");
        file::write(&path, (&id, &key), &head, &templates, &entropy).unwrap();
        let written = Self { bytes: std::fs::read(&path).unwrap(), folder, keys };
        assert_eq!(
            written.read(&written.bytes).ok().map(|found| found.len().try_into().unwrap()),
            Some(count)
        );
        written
    }

    fn read(&self, bytes: &[u8]) -> Result<Vec<(u64, Compact)>, Unfit> {
        let path = self.folder.path().join("b.sealed");
        std::fs::write(&path, bytes).unwrap();
        Opened::open(&path, &self.keys)?.templates()
    }

    fn word(&self, bytes: &[u8]) -> &'static str {
        self.read(bytes).err().expect("this was accepted; look at what file.rs binds").word()
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_is_refused() {
    let written = Written::new(3);
    for place in 0..written.bytes.len() {
        let mut bytes = written.bytes.clone();
        bytes[place] ^= 0x10;
        let expected = match place {
            0..16 => "form",
            16..32 => "no-key",
            _ => "damaged",
        };
        assert_eq!(written.word(&bytes), expected, "byte {place}");
        assert_eq!(written.word(&written.bytes[..place]), "damaged", "{place} bytes of it");
    }
    assert_eq!(written.word(&[written.bytes.as_slice(), &[0]].concat()), "damaged");
}

#[test]
fn chunks_in_another_order_or_another_files_are_refused() {
    let count = file::CHUNK_TEMPLATES * 2 + 5;
    let written = Written::new(count.try_into().unwrap());
    let chunk = file::CHUNK_TEMPLATES * 16 + 29;
    let last = 5 * 16 + 29;
    let first = written.bytes.len() - last - 2 * chunk;
    let mut swapped = written.bytes.clone();
    swapped[first..first + 2 * chunk].rotate_left(chunk);
    assert_eq!(written.word(&swapped), "damaged");
    let mut twice = written.bytes.clone();
    twice.copy_within(first..first + chunk, first + chunk);
    assert_eq!(written.word(&twice), "damaged");
    let shorter = [&written.bytes[..first], &written.bytes[first + chunk..]].concat();
    assert_eq!(written.word(&shorter), "damaged");
    // The same templates under the same id in another store.
    let other = Written::new(count.try_into().unwrap());
    assert_eq!(written.word(&other.bytes), "damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_lies_there_is_refused_in_order(bytes: Vec<u8>, keep in 0_usize..40) {
        let written = Written::new(1);
        let bytes = [&written.bytes[..keep], &bytes].concat();
        prop_assume!(bytes != written.bytes);
        prop_assert!(written.read(&bytes).is_err());
    }
}

#[test]
fn a_key_is_made_for_one_file_and_found_until_it_is_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = key_store(folder.path());
    let entropy = SystemEntropy::new();
    let made: DataKey = keys.snapshot_key_make(&[1; 16], &entropy).unwrap();
    let place = crate::keys::Place { table: "t", row: b"r", column: "c", version: 1 };
    let sealed = made.sealing().seal(place, b"x", &entropy).unwrap();
    let found = keys.snapshot_key(&[1; 16]).unwrap().expect("it was made");
    assert_eq!(found.sealing().open(place, sealed.as_bytes()).unwrap().expose(), b"x");
    assert!(keys.snapshot_key_make(&[1; 16], &entropy).is_err(), "an id is given once");
    keys.snapshot_keys_destroy(&[[1; 16], [2; 16]]).unwrap();
    assert!(keys.snapshot_key(&[1; 16]).unwrap().is_none());
}
