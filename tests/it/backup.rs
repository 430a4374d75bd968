//! Backups: made while questions are answered, checked without the root key, restored with today's keys, in that order
//! as an operator drills it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use onebit::grpc::pb::partner::Answer;
use rusqlite::Connection;

use crate::holder::{Holder, HolderOptions, ONEBIT, until, who};
use crate::story::{answer_about, ask, fact, of_kind, people, question_about};

/// Who is enrolled, backed up and then erased.
const ERASED: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restores_the_store_and_whoever_was_erased_since_stays_erased() {
    let mut holder = Holder::start(with_backups(20)).await;
    let au = holder.channel(who::AU).await;
    let before = question_about(5);
    let answered = ask(&au, before.clone()).await.unwrap();
    assert_eq!(answer_about(&au, ERASED).await, Answer::Hit);

    // Questions go on meanwhile.
    let asking = tokio::spawn(async move {
        for number in 0..40 {
            ask(&au, question_about(number % 20)).await.unwrap();
        }
    });
    let name = make(&holder);
    asking.await.unwrap();
    let backup = holder.path("backups").join(&name);
    let told = verify(&holder, &backup);
    assert!(told.status.success(), "{}", words(&told));
    assert!(words(&told).contains("immigration.example/onebit/au-border"), "{}", words(&told));

    let key = wrapped_key(&holder, ERASED).await;
    assert!(!files_with(&holder, &key).is_empty(), "the key should lie where it is looked for");
    let person = people().source_id(ERASED);
    let erase = ["subject", "erase", "--source-id", &person, "--reason", "asked to", "--output", "json"];
    let erased = holder.onebit(who::PRIVACY, &erase).json();
    fs::write(holder.path("erased"), erased["receipt"].as_str().unwrap()).unwrap();
    deletion_is_proven(&holder);
    assert_eq!(files_with(&holder, &key), Vec::<PathBuf>::new(), "the key is still in these files");
    assert_eq!(subject_keys(&holder.path("backups/keys.sqlite")), 19);

    holder.kill();
    fs::remove_dir_all(holder.store_folder()).unwrap();
    let refused = restore(&holder, &name, &[]);
    assert!(!refused.status.success() && !holder.store_folder().exists());
    for wanted in ["older than what was signed", "holder:", "au-border:", "--behind"] {
        assert!(words(&refused).contains(wanted), "`{wanted}` is not in: {}", words(&refused));
    }
    let restored = restore(&holder, &name, &["--behind"]);
    assert!(restored.status.success(), "{}", words(&restored));
    assert!(holder.start_refused().contains("Nothing is signed"));
    let mut recover = Command::new(ONEBIT);
    recover.args(["recover", "--because", "the disk of Friday was lost", "--config"]).arg(holder.config());
    assert!(recover.output().unwrap().status.success());

    holder.serve().await;
    let au = holder.channel(who::AU).await;
    assert!(ask(&au, before).await.unwrap() == answered, "an answer from before the backup is given again");
    assert_eq!(answer_about(&au, ERASED).await, Answer::NoHit, "somebody who was erased is found again");
    assert_eq!(answer_about(&au, 4).await, Answer::Hit);
    let unknown = holder.onebit(who::PRIVACY, &["subject", "show", "--source-id", &person]).failed();
    assert!(unknown.contains("NOT_FOUND"), "{unknown}");
    let whole =
        Command::new(ONEBIT).args(["audit", "fsck", "--config"]).arg(holder.config()).output().unwrap();
    assert!(whole.status.success(), "{}", words(&whole));
    let entries = holder.entries("holder").await;
    let anew = of_kind(&entries, "subject.erased");
    assert_eq!(anew.len(), 1, "the new tree says once more who is erased");
    assert!(fact(anew[0], "reason").contains("after the backup"), "{}", fact(anew[0], "reason"));
}

#[tokio::test]
async fn a_backup_that_is_as_new_as_what_was_signed_is_put_in_place_at_once() {
    let mut holder = Holder::start(with_backups(5)).await;
    let name = make(&holder);
    let entries = holder.entries("holder").await;
    let made = of_kind(&entries, "backup.made");
    assert_eq!(made.len(), 1);
    assert_eq!((fact(made[0], "reason"), fact(made[0], "detail")), ("before the move", name.as_str()));
    // Reading the log made an entry, so that this one is older.
    let name = make(&holder);
    holder.stop().await;
    let occupied = restore(&holder, &name, &[]);
    assert!(words(&occupied).contains("move it away first"), "{}", words(&occupied));
    fs::rename(holder.store_folder(), holder.path("moved")).unwrap();

    let elsewhere = holder.path("keys.elsewhere");
    let no_keys = restore(&holder, &name, &["--keys", elsewhere.to_str().unwrap()]);
    assert!(words(&no_keys).contains("name the newest one with `--keys`"), "{}", words(&no_keys));
    let restored = restore(&holder, &name, &[]);
    assert!(restored.status.success(), "{}", words(&restored));
    assert!(words(&restored).contains("as new as what was signed"), "{}", words(&restored));
    holder.serve().await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 4).await, Answer::Hit);
}

#[tokio::test]
async fn whatever_happened_to_a_backup_is_told_and_nothing_is_put_in_place() {
    let mut holder = Holder::start(with_backups(2)).await;
    let name = make(&holder);
    let backup = holder.path("backups").join(&name);
    holder.stop().await;
    fs::remove_dir_all(holder.store_folder()).unwrap();
    let whole = [fs::read(backup.join("sealed")).unwrap(), fs::read(backup.join("note")).unwrap()];
    let last = whole[0].len() - 1;
    let flipped = |at: usize| [&whole[0][..at], &[whole[0][at] ^ 1], &whole[0][at + 1..]].concat();
    let changes = [
        ("sealed", flipped(last)),
        ("sealed", flipped(100)),
        ("sealed", whole[0][..last].to_vec()),
        ("note", whole[1].to_ascii_uppercase()),
    ];
    for (file, changed) in changes {
        fs::write(backup.join(file), changed).unwrap();
        for told in [verify(&holder, &backup), restore(&holder, &name, &["--behind"])] {
            assert!(!told.status.success(), "a change of `{file}` was not noticed");
            assert!(!holder.store_folder().exists(), "something was put in place");
        }
        fs::write(backup.join("sealed"), &whole[0]).unwrap();
        fs::write(backup.join("note"), &whole[1]).unwrap();
    }
    // Its key destroyed in the copy of the key store.
    let keys = Connection::open(holder.path("backups/keys.sqlite")).unwrap();
    keys.execute("DELETE FROM backup_keys", []).unwrap();
    drop(keys);
    let told = restore(&holder, &name, &["--behind"]);
    assert!(words(&told).contains("the key of this backup is not in the copy"), "{}", words(&told));
    assert!(verify(&holder, &backup).status.success(), "it is whole all the same");
}

#[tokio::test]
async fn the_clock_makes_backups_and_older_ones_are_destroyed() {
    let options = with_backups(1).config("backup", "every_hours", 1).config("backup", "keep", 2);
    let mut holder = Holder::start(options).await;
    until("the first backup is there", || async { backups(&holder).len() == 1 }).await;
    let by_the_clock = backups(&holder).remove(0);
    let second = make(&holder);
    let third = make(&holder);
    assert_eq!(backups(&holder), [second.clone(), third], "the oldest should be gone, and no other");
    let keys = Connection::open(holder.path("backups/keys.sqlite")).unwrap();
    let kept: u64 = keys.query_row("SELECT count(*) FROM backup_keys", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2, "the key of the oldest is destroyed");
    drop(keys);
    let entries = holder.entries("holder").await;
    let made = of_kind(&entries, "backup.made");
    let first = made.iter().find(|entry| fact(entry, "detail") == by_the_clock).unwrap();
    assert_eq!((first.actor.as_str(), fact(first, "reason")), ("onebit", "by the clock"));

    // What a crash leaves in the middle of one.
    holder.kill();
    fs::create_dir(holder.path("backups/2026-01-01T000000Z-00000000.unfinished")).unwrap();
    fs::write(holder.store_folder().join("backup.copy"), b"half").unwrap();
    holder.serve().await;
    assert_eq!(backups(&holder).len(), 2, "the newest is not an hour old");
    assert!(!holder.path("backups/2026-01-01T000000Z-00000000.unfinished").exists());
    assert!(!holder.store_folder().join("backup.copy").exists());
    assert!(backups(&holder).contains(&second));
}

#[tokio::test]
async fn only_an_administrator_makes_a_backup_and_only_where_there_is_a_place() {
    let holder = Holder::start(with_backups(0)).await;
    for other in [who::AU, who::OFFICER, who::PRIVACY, who::ENROLLER] {
        holder.onebit(other, &["backup", "make", "--reason", "to have it"]).failed();
    }
    assert_eq!(backups(&holder), Vec::<String>::new());
    let nowhere = Holder::start(HolderOptions::default()).await;
    let told = nowhere.onebit(who::ADMIN, &["backup", "make", "--reason", "before the move"]).failed();
    assert!(told.contains("set `backup.folder`"), "{told}");
}

pub(crate) fn with_backups(people: u64) -> HolderOptions {
    HolderOptions::people(people).config("backup", "folder", "backups").config("jobs", "heads_every_s", 3_600)
}

/// Makes a backup and gives its name.
pub(crate) fn make(holder: &Holder) -> String {
    let args = ["backup", "make", "--reason", "before the move", "--output", "json"];
    let made = holder.onebit(who::ADMIN, &args).json();
    assert!(made["receipt"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1"), "{made:#}");
    made["backup"].as_str().unwrap().to_owned()
}

pub(crate) fn backups(holder: &Holder) -> Vec<String> {
    let entries = fs::read_dir(holder.path("backups")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".unfinished"))
        .collect();
    names.sort();
    names
}

/// As somebody does who has the backup and the log's public key alone.
fn verify(holder: &Holder, backup: &Path) -> Output {
    let mut command = Command::new(ONEBIT);
    command.args(["backup", "verify"]).arg(backup).args(["--key", &holder.log_key("holder")]);
    command.output().unwrap()
}

pub(crate) fn restore(holder: &Holder, name: &str, more: &[&str]) -> Output {
    let mut command = Command::new(ONEBIT);
    command.args(["backup", "restore"]).arg(holder.path("backups").join(name)).args(more);
    command.arg("--config").arg(holder.config()).output().unwrap()
}

pub(crate) fn words(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

/// The receipt holds and shows nothing; a privacy officer gets the same proof with what the entry says, to hand out.
fn deletion_is_proven(holder: &Holder) {
    let key = holder.log_key("holder");
    let verify = |file| ["receipt", "verify", file, "--key", &key, "--output", "json"].map(str::to_owned);
    let verified = |file| holder.onebit(who::PRIVACY, &verify(file).each_ref().map(String::as_str)).json();
    let blind = verified("erased");
    assert!(!blind.to_string().contains("asked to"), "{blind:#}");
    let index = blind["index"].to_string();
    let read = ["audit", "entry", "--journal", "holder", "--index", &index, "--reason", "for the person"];
    holder.onebit(who::PRIVACY, &[&read[..], &["--out", "deletion"]].concat()).ok();
    let opened = verified("deletion");
    assert_eq!(opened["index"], blind["index"]);
    for wanted in ["subject.erased", "asked to", who::PRIVACY.name()] {
        assert!(opened.to_string().contains(wanted), "`{wanted}` is not in {opened:#}");
    }
}

/// The wrapped data key of a person.
async fn wrapped_key(holder: &Holder, person: u64) -> Vec<u8> {
    let hit = holder.hit(person).await;
    assert!(!hit.is_empty());
    let data = Connection::open(holder.store_folder().join("onebit.sqlite")).unwrap();
    let keys = Connection::open(holder.store_folder().join("keys.sqlite")).unwrap();
    // People are enrolled in the order of their numbers.
    let subject: Vec<u8> = data
        .query_row("SELECT subject FROM templates ORDER BY slot LIMIT 1 OFFSET ?1", [person], |row| {
            row.get(0)
        })
        .unwrap();
    keys.query_row("SELECT wrapped FROM subject_keys WHERE subject = ?1", [subject], |row| row.get(0))
        .unwrap()
}

fn subject_keys(path: &Path) -> u64 {
    let keys = Connection::open(path).unwrap();
    keys.query_row("SELECT count(*) FROM subject_keys", [], |row| row.get(0)).unwrap()
}

/// The files of the store and of the backups that hold these bytes.
pub(crate) fn files_with(holder: &Holder, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![holder.store_folder(), holder.path("backups"), holder.heads_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}
