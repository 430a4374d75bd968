//! The check of a whole store: beside the running server, after its end, after a power cut, and after damage.

use std::fs;
use std::path::Path;

use onebit::grpc::pb::partner::Question;
use rusqlite::Connection;
use serde_json::Value;

use crate::holder::{Holder, HolderOptions, Ran, until, who};
use crate::story::{
    Choice, FIELDS, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, of_kind, question_about,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_whole_beside_its_server_after_its_end_and_after_a_power_cut() {
    let mut holder = Holder::start(HolderOptions::people(20).config("jobs", "heads_every_s", 1)).await;
    everything_happens(&holder).await;

    // Beside the server, while it answers.
    let au = holder.channel(who::AU).await;
    let asking = tokio::spawn(async move {
        let mut answered = 0_u64;
        for number in 0..200 {
            ask(&au, question_about(number % 20)).await.unwrap();
            answered += 1;
        }
        answered
    });
    while !asking.is_finished() {
        let found = fsck(&holder).json();
        assert_eq!(found["whole"], true, "{found:#}");
    }
    assert_eq!(asking.await.unwrap(), 200);
    let found = fsck(&holder).json();
    assert_eq!(found["whole"], true, "{found:#}");
    assert!(found["queries"].as_u64().unwrap() >= 203, "all queries are compared: {found:#}");
    for counted in
        ["receipts", "disclosures", "changes", "signatures", "heads", "tags", "templates", "fields"]
    {
        assert!(found[counted].as_u64().unwrap() > 0, "`{counted}` were not looked at: {found:#}");
    }
    assert_eq!(found["unchecked"], Value::Array(Vec::new()), "nothing of this story is beyond a check");

    holder.kill();
    let before = databases(&holder.store_folder());
    assert!(fsck_in_words(&holder).ok().contains("The store is whole."), "after a power cut");
    assert_eq!(databases(&holder.store_folder()), before, "a check must not write");
    holder.serve().await;
    answer_about(&holder.channel(who::AU).await, 3).await;
    holder.stop().await;
    let before = databases(&holder.store_folder());
    assert!(fsck_in_words(&holder).ok().contains("The store is whole."), "after an end in order");
    assert_eq!(databases(&holder.store_folder()), before, "a check must not write");
    holder.serve().await;
    answer_about(&holder.channel(who::AU).await, 4).await;
}

#[tokio::test]
async fn damage_is_told_by_its_place_and_by_the_exit_code() {
    let mut holder = Holder::start(HolderOptions::people(5)).await;
    let au = holder.channel(who::AU).await;
    for person in [0, 1, STRANGER] {
        answer_about(&au, person).await;
    }
    drop(au);
    holder.stop().await;
    let sql = Connection::open(holder.store_folder().join("onebit.sqlite")).unwrap();
    let index: i64 = sql
        .query_row(
            "SELECT max(e.idx) FROM entries e JOIN journals j ON j.id = e.journal WHERE j.name = 'au-border'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let damaged = sql
        .execute(
            "UPDATE entries SET entry = zeroblob(65)
             WHERE idx = ?1 AND journal = (SELECT id FROM journals WHERE name = 'au-border')",
            [index],
        )
        .unwrap();
    assert_eq!(damaged, 1);
    drop(sql);
    let found = fsck(&holder);
    assert_eq!(found.code(), Some(1));
    let told: Value = serde_json::from_str(&found.out()).unwrap();
    assert_eq!(told["whole"], false);
    let places: Vec<&str> =
        told["faults"].as_array().unwrap().iter().map(|fault| fault["place"].as_str().unwrap()).collect();
    assert!(places.contains(&format!("journal au-border, entry {index}").as_str()), "{told:#}");
    let words = fsck_in_words(&holder);
    assert_eq!(words.code(), Some(1));
    assert!(words.out().contains(&format!("FAULT journal au-border, entry {index}: ")), "{}", words.out());

    let no_config = holder.onebit(who::ADMIN, &["audit", "fsck", "--config", "none.toml"]);
    assert_eq!(no_config.code(), Some(2));
    let keys = holder.store_folder().join("keys.sqlite");
    fs::rename(&keys, holder.path("elsewhere.sqlite")).unwrap();
    assert_eq!(fsck(&holder).code(), Some(2), "without the key store nothing is known");
    assert!(!keys.exists(), "a check must not make a key store");
}

/// Something of everything that leaves a trace in the store.
async fn everything_happens(holder: &Holder) {
    let release_key = holder.release_key();
    assert!(Path::new(&release_key).exists());
    let au = holder.channel(who::AU).await;
    for person in [0, HIDDEN, STRANGER] {
        answer_about(&au, person).await;
    }
    let ca = holder.channel(who::CA).await;
    ask(&ca, Question { purpose: "visa-identity".to_owned(), ..question_about(1) }).await.unwrap();
    ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();

    let mut released = Vec::new();
    for person in [0, 1] {
        let disclosure = holder.request(&holder.hit(person).await, &FIELDS).await;
        holder.onebit(who::OFFICER, &["review", "view-field", &disclosure, "--field", "family-name"]).ok();
        for officer in [who::OFFICER, who::OTHER_OFFICER] {
            holder.decide(officer, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
        }
        holder
            .onebit(who::AU, &["request", "fetch", &disclosure, "--out", &format!("{person}.release")])
            .ok();
        released.push(disclosure);
    }
    holder.onebit(who::AU, &["request", "acknowledge", &released[0], "--release", "0.release"]).ok();
    let denied = holder.request(&holder.hit(2).await, &FIELDS).await;
    holder.decide(who::OFFICER, &denied, Choice::Grant(&FIELDS)).await.unwrap();
    holder.decide(who::OTHER_OFFICER, &denied, Choice::Deny).await.unwrap();
    let withdrawn = holder.request(&holder.hit(3).await, &FIELDS).await;
    holder.onebit(who::AU, &["request", "withdraw", &withdrawn]).ok();
    let waiting = holder.request(&holder.hit(4).await, &FIELDS).await;
    holder.decide(who::OFFICER, &waiting, Choice::Grant(&FIELDS[..1])).await.unwrap();

    let suspended = who::EXAMINER.name();
    holder.onebit(who::ADMIN, &["suspend", "person", suspended, "--reason", "for a test"]).ok();
    holder.change(who::ADMIN, who::PRIVACY, &["restore-person", suspended]);
    holder.onebit(who::ADMIN, &["suspend", "partner", "ca-border", "--reason", "for a test"]).ok();
    let rejected = holder.propose(who::ADMIN, &["restore-partner", "ca-border"]);
    holder.onebit(who::PRIVACY, &["change", "reject", &rejected, "--reason", "not yet"]).ok();
    let _waiting = holder.propose(who::PRIVACY, &["restore-partner", "ca-border"]);
    let nobody = holder.propose(who::ADMIN, &["restore-person", "nobody-at-all"]);
    holder.onebit(who::PRIVACY, &["change", "confirm", &nobody]).failed();
    let agreement = ("agreements/au-border-identity.toml", "per_day = 2_000", "per_day = 3_000");
    holder.policy_activate(&[agreement]);
    until("the holder's journal states heads", || async {
        !of_kind(&holder.entries("holder").await, "journal.head").is_empty()
    })
    .await;
}

fn fsck(holder: &Holder) -> Ran {
    holder.onebit(who::ADMIN, &["audit", "fsck", "--config", "onebit.toml", "--output", "json"])
}

fn fsck_in_words(holder: &Holder) -> Ran {
    holder.onebit(who::ADMIN, &["audit", "fsck", "--config", "onebit.toml"])
}

/// The bytes of both databases and of what SQLite has not yet taken over into them.
fn databases(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["onebit.sqlite", "onebit.sqlite-wal", "keys.sqlite", "keys.sqlite-wal"];
    let bytes = |name: &str| (name.to_owned(), fs::read(folder.join(name)).unwrap_or_default());
    names.map(bytes).into()
}
