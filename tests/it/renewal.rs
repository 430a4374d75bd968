//! Renewal: the templates of a collection move to other keys and another transform while questions are answered, through a
//! kill and beside enrolment, erasure and restriction; what was there before opens no more.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use onebit::grpc::pb::partner::Answer;
use rusqlite::Connection;
use serde_json::Value;

use crate::backup::{backups, files_with, make, restore, with_backups, words};
use crate::holder::{Holder, ONEBIT, until, who};
use crate::story::{answer_about, fact, of_kind, people};

/// So many that a renewal takes several steps of 512.
const PEOPLE: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_renewed_while_questions_are_answered_and_what_was_before_opens_no_more() {
    let mut holder = Holder::start(with_backups(PEOPLE)).await;
    let older = make(&holder);
    let key = collection_key(&holder, 1);
    assert!(!files_with(&holder, &key).is_empty(), "the key should lie where it is looked for");

    let asking = Asking::begin(&holder).await;
    renew(&holder);
    until("some templates have moved", async || left(&holder) < PEOPLE).await;
    // What else happens to people goes on, whichever generation they are in.
    holder.enrol(PEOPLE..PEOPLE + 3).await;
    holder.enrol(10..11).await;
    on_person(&holder, who::ENROLLER, &["subject", "erase", "--reason", "asked to"], 11);
    on_person(&holder, who::ENROLLER, &["subject", "erase", "--reason", "asked to"], PEOPLE - 1);
    for person in [12, PEOPLE - 2] {
        let restrict =
            ["subject", "restrict", "--restriction", "protected-identity", "--reason", "a court's order"];
        on_person(&holder, who::ENROLLER, &restrict, person);
    }
    until("the collection is renewed", async || {
        keys(&holder) == [("collection:watch-face:2".to_owned(), true)]
    })
    .await;
    assert!(asking.end().await > 0, "nobody asked while the collection was renewed");

    let entries = holder.entries("holder").await;
    let (begun, ended) = (of_kind(&entries, "collection.renewing"), of_kind(&entries, "collection.renewed"));
    assert_eq!((begun.len(), ended.len()), (1, 1));
    for entry in [begun[0], ended[0]] {
        assert_eq!((fact(entry, "key"), fact(entry, "new-key")), ("watch-face:1", "watch-face:2"));
    }
    assert_eq!(files_with(&holder, &key), Vec::<PathBuf>::new(), "the key is still in these files");
    everybody_is(&holder).await;
    holder.restart().await;
    everybody_is(&holder).await;
    holder.whole();

    // The backup from before gives nothing back; the one that the renewal made does.
    let newer = backups(&holder).into_iter().next_back().unwrap();
    assert_ne!(newer, older);
    holder.kill();
    fs::remove_dir_all(holder.store_folder()).unwrap();
    let refused = restore(&holder, &older, &["--behind"]);
    assert!(!refused.status.success() && !holder.store_folder().exists());
    assert!(
        words(&refused).contains("before the collection `watch-face` was renewed"),
        "{}",
        words(&refused)
    );
    let restored = restore(&holder, &newer, &["--behind"]);
    assert!(restored.status.success(), "{}", words(&restored));
    let mut recover = Command::new(ONEBIT);
    recover.args(["recover", "--because", "a drill", "--config"]).arg(holder.config());
    assert!(recover.output().unwrap().status.success());
    holder.serve().await;
    everybody_is(&holder).await;
    let ended = of_kind(&holder.entries("holder").await, "collection.renewed").len();
    assert_eq!(ended, 1, "the start should have ended what the backup was made before the end of");
    holder.whole();
    renew(&holder);
    until("it is renewed again", async || keys(&holder) == [("collection:watch-face:3".to_owned(), true)])
        .await;
    everybody_is(&holder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_is_killed_goes_on_where_it_was() {
    let mut holder = Holder::start(with_backups(PEOPLE)).await;
    let found = found(&holder).await;
    renew(&holder);
    let mut kills = 0;
    let mut before = PEOPLE;
    while before > 0 {
        until("it goes on", async || left(&holder) < before || keys(&holder).len() == 1).await;
        before = if keys(&holder).len() == 1 { 0 } else { left(&holder) };
        holder.kill();
        kills += 1;
        holder.serve().await;
        let au = holder.channel(who::AU).await;
        for &person in &found {
            assert_eq!(answer_about(&au, person).await, Answer::Hit, "about {person}, {before} are left");
        }
    }
    assert!(kills > 1, "it was over before it could be killed");
    until("its keys are destroyed", async || keys(&holder) == [("collection:watch-face:2".to_owned(), true)])
        .await;
    assert_eq!(of_kind(&holder.entries("holder").await, "collection.renewed").len(), 1);
    // Once more, and everybody is who they were.
    renew(&holder);
    until("it is renewed again", async || keys(&holder) == [("collection:watch-face:3".to_owned(), true)])
        .await;
    assert_eq!(answer_about(&holder.channel(who::AU).await, 5).await, Answer::Hit);
    holder.whole();
}

#[tokio::test]
async fn a_renewal_takes_two_people_and_a_collection_that_there_is() {
    let holder = Holder::start(with_backups(2)).await;
    let unknown = ["change", "propose", "renew-collection", "--collection", "fingers", "--reason", "a test"];
    let told = holder.onebit(who::ADMIN, &unknown).failed();
    assert!(told.contains("no collection `fingers`"), "{told}");
    let change = holder.propose(who::ADMIN, &["renew-collection", "--collection", "watch-face"]);
    holder.onebit(who::ADMIN, &["change", "confirm", &change]).failed();
    assert_eq!(keys(&holder), [("collection:watch-face:1".to_owned(), true)]);
}

/// Questions about people whom nothing happens to, and a stranger, without a pause.
struct Asking {
    over: Arc<AtomicU64>,
    asked: tokio::task::JoinHandle<u64>,
}

impl Asking {
    async fn begin(holder: &Holder) -> Self {
        let found = found(holder).await;
        let (au, over) = (holder.channel(who::AU).await, Arc::<AtomicU64>::default());
        let told = Arc::clone(&over);
        let asked = tokio::spawn(async move {
            let mut asked = 0;
            while told.load(Ordering::Relaxed) == 0 {
                let person = found[usize::try_from(asked).unwrap() % found.len()];
                assert_eq!(answer_about(&au, person).await, Answer::Hit, "about {person}");
                assert_eq!(answer_about(&au, PEOPLE + 500).await, Answer::NoHit, "about a stranger");
                asked += 1;
            }
            asked
        });
        Self { over, asked }
    }

    async fn end(self) -> u64 {
        self.over.store(1, Ordering::Relaxed);
        self.asked.await.unwrap()
    }
}

/// Some people all over the collection whose other sample is alike enough: a few of a hundred look too different.
async fn found(holder: &Holder) -> Vec<u64> {
    let au = holder.channel(who::AU).await;
    let asked: Vec<u64> = (20..PEOPLE - 20).step_by(61).collect();
    let mut found = Vec::new();
    for person in &asked {
        if answer_about(&au, *person).await == Answer::Hit {
            found.push(*person);
        }
    }
    assert!(found.len() * 10 > asked.len() * 9, "{} of {} are found", found.len(), asked.len());
    found
}

fn renew(holder: &Holder) {
    holder.change(who::ADMIN, who::PRIVACY, &["renew-collection", "--collection", "watch-face"]);
}

async fn everybody_is(holder: &Holder) {
    let au = holder.channel(who::AU).await;
    for person in [0, 10, 500, 2_000, PEOPLE - 3, PEOPLE, PEOPLE + 2] {
        assert_eq!(answer_about(&au, person).await, Answer::Hit, "about {person}");
    }
    for person in [11, PEOPLE - 1, 12, PEOPLE - 2, PEOPLE + 500] {
        assert_eq!(answer_about(&au, person).await, Answer::NoHit, "about {person}");
    }
}

fn on_person(holder: &Holder, who: crate::holder::Who, args: &[&str], person: u64) {
    holder.onebit(who, &[args, &["--source-id", &people().source_id(person)]].concat()).ok();
}

/// The keys of collections, and whether each is in use, as the operator reads them.
fn keys(holder: &Holder) -> Vec<(String, bool)> {
    of_collections(holder).iter().map(|key| (name(key).to_owned(), key["in_use"] == true)).collect()
}

/// How many templates are left in the older generation.
fn left(holder: &Holder) -> u64 {
    let older = |key: &&Value| key["in_use"] == false;
    of_collections(holder).iter().find(older).map_or(0, |key| key["beneath"].as_u64().unwrap())
}

fn of_collections(holder: &Holder) -> Vec<Value> {
    let mut status = Command::new(ONEBIT);
    status.args(["keys", "status", "--output", "json", "--config"]).arg(holder.config());
    let told = status.output().unwrap();
    assert!(told.status.success(), "{}", words(&told));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let keys = told["keys"].as_array().unwrap().iter();
    keys.filter(|key| name(key).starts_with("collection:watch-face:")).cloned().collect()
}

fn name(key: &Value) -> &str {
    key["key"].as_str().unwrap()
}

/// The bytes of a collection's wrapped key.
fn collection_key(holder: &Holder, generation: u32) -> Vec<u8> {
    let keys = Connection::open(holder.store_folder().join("keys.sqlite")).unwrap();
    let read = "SELECT wrapped FROM collection_keys WHERE collection = 'watch-face' AND generation = ?1";
    keys.query_row(read, [generation], |row| row.get(0)).unwrap()
}
