use std::path::Path;

use rusqlite::Connection;

use super::super::keystore::KeyStore;
use super::super::ring_keys::Founded;
use super::sealed::{hash_file, open_file, seal_file};
use super::*;
use crate::ids::Digest;
use crate::keys::{DataKey, RootKey};
use crate::secret::{Secret, SystemEntropy};
use crate::store::BackupError;

const ID: BackupId = [7; 16];

/// A file of two parts and a half, sealed.
fn sealed_file(folder: &Path) -> (DataKey, u64, Digest) {
    let plain: Vec<u8> = (0..5_u32 << 19).map(|byte| byte.to_le_bytes()[1]).collect();
    std::fs::write(folder.join("plain"), plain).unwrap();
    let key = DataKey::random(&SystemEntropy::new()).unwrap();
    let (from, to) = (folder.join("plain"), folder.join("sealed"));
    let (bytes, digest) = seal_file(&from, &to, (&ID, &key), &SystemEntropy::new()).unwrap();
    (key, bytes, digest)
}

#[test]
fn a_sealed_file_opens_as_it_was_and_is_counted_and_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let (key, bytes, digest) = sealed_file(folder.path());
    let sealed = folder.path().join("sealed");
    assert_eq!(hash_file(&sealed).unwrap(), (bytes, digest));
    let opened = folder.path().join("opened");
    open_file(&sealed, &opened, (&ID, &key), bytes).unwrap();
    let files = ["plain", "opened"].map(|file| std::fs::read(folder.path().join(file)).unwrap());
    assert!(files[0] == files[1], "the opened file is another one");
}

#[test]
fn no_part_is_missing_doubled_moved_or_another_backups() {
    let folder = tempfile::tempdir().unwrap();
    let (key, bytes, _) = sealed_file(folder.path());
    let whole = std::fs::read(folder.path().join("sealed")).unwrap();
    let (head, parts) = whole.split_at(32);
    let parts: Vec<&[u8]> = parts.chunks((1 << 20) + crate::keys::SEAL_OVERHEAD_BYTES).collect();
    assert_eq!(parts.len(), 3, "two parts and a rest");
    let of = |order: &[usize]| {
        let parts = order.iter().flat_map(|part| parts[*part].iter());
        head.iter().chain(parts).copied().collect::<Vec<u8>>()
    };
    let opens = |content: Vec<u8>, id: &BackupId| {
        let [changed, opened] = ["changed", "opened"].map(|name| folder.path().join(name));
        let bytes = u64::try_from(content.len()).unwrap();
        std::fs::write(&changed, content).unwrap();
        let result = open_file(&changed, &opened, (id, &key), bytes);
        let _may_not_be_there = std::fs::remove_file(&opened);
        result
    };
    opens(of(&[0, 1, 2]), &ID).unwrap();
    let orders: [&[usize]; 6] = [&[0, 1], &[0, 2], &[1, 0, 2], &[0, 0, 2], &[0, 1, 1, 2], &[2]];
    for order in orders {
        assert!(matches!(opens(of(order), &ID), Err(BackupError::Damaged)), "parts {order:?} were taken");
    }
    assert!(
        matches!(opens(whole.clone(), &[8; 16]), Err(BackupError::Damaged)),
        "another's parts were taken"
    );
    for at in [0, 16, 40, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(opens(changed, &ID).is_err(), "byte {at} may be anything");
    }
    let short =
        open_file(&folder.path().join("sealed"), &folder.path().join("opened"), (&ID, &key), bytes + 1);
    assert!(matches!(short, Err(BackupError::Damaged)), "the note says another length");
}

#[test]
fn a_copy_is_of_one_moment_and_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sqlite");
    let mut reader = connect(&path).unwrap();
    let writer = connect(&path).unwrap();
    writer.execute_batch("CREATE TABLE rows (value BLOB)").unwrap();
    let insert = || {
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
                    INSERT INTO rows SELECT randomblob(1000) FROM n";
        writer.execute(many, []).unwrap()
    };
    insert();
    let to = folder.path().join("copy");
    assert!(copy(&mut reader, &to, || true, |_| Ok(())).unwrap().is_none());
    std::fs::remove_file(&to).unwrap();
    // Somebody writes after the first pages.
    let wrote = std::cell::Cell::new(0_usize);
    let stop = || {
        if wrote.get() == 0 {
            wrote.set(insert());
        }
        false
    };
    let count =
        |sql: &Connection| sql.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, usize>(0));
    let seen = copy(&mut reader, &to, stop, |sql| database("counting", count(sql))).unwrap();
    assert_eq!((seen, wrote.get()), (Some(30_000), 30_000), "it should have taken more than one step");
    assert_eq!(count(&Connection::open(&to).unwrap()).unwrap(), 30_000);
    assert_eq!(count(&writer).unwrap(), 60_000);
}

#[test]
fn the_copy_of_the_key_store_follows_what_is_destroyed_and_catches_up_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["keys.sqlite", "copy.sqlite"].map(|name| folder.path().join(name));
    let (entropy, now) = (SystemEntropy::new(), Timestamp::from_millis(1_790_000_000_000));
    let open = |founded, copy| {
        let root = RootKey::new(Secret::take(&mut [1; 32]));
        KeyStore::open((&path, copy), &root, founded, now, &entropy).unwrap()
    };
    let subjects = [1, 2, 3].map(|byte| crate::ids::SubjectId::from_bytes([byte; 16]));
    let wrapped = |keys: &KeyStore| {
        subjects.map(|subject| (subject, keys.subject_key_make(&subject, &entropy).unwrap().1)).to_vec()
    };
    let held = |path: &Path| {
        let sql = Connection::open(path).unwrap();
        let mut statement = sql.prepare("SELECT subject FROM subject_keys ORDER BY subject").unwrap();
        let rows = statement.query_map([], |row| Ok(row.get::<_, [u8; 16]>(0)?[0])).unwrap();
        rows.collect::<Result<Vec<u8>, _>>().unwrap()
    };
    let keys = open(Founded::Now, Some(&*copy));
    keys.subject_keys_keep(&wrapped(&keys)).unwrap();
    assert_eq!(held(&copy), Vec::<u8>::new(), "between backups nothing is added");
    keys.copy().unwrap().bring_up_to_date().unwrap();
    assert_eq!(held(&copy), [1, 2, 3]);
    keys.subject_key_destroy(&subjects[1]).unwrap();
    assert_eq!((held(&path), held(&copy)), (vec![1, 3], vec![1, 3]));
    drop(keys);
    // Destroyed while nobody kept the copy.
    let keys = open(Founded::Before, None);
    keys.subject_key_destroy(&subjects[0]).unwrap();
    drop(keys);
    let keys = open(Founded::Before, Some(&*copy));
    keys.copy().unwrap().bring_up_to_date().unwrap();
    assert_eq!(held(&copy), [3]);
    let bytes = std::fs::read(&copy).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [1; 16] || window == [2; 16]), "secure deletion");
}
