//! Search snapshots: a server that starts again takes its galleries from them and answers as before; one that is
//! damaged is told and made again; nobody who is erased is left in one.

use std::fs;
use std::path::PathBuf;

use onebit::grpc::pb::partner::Answer;
use serde_json::Value;

use crate::holder::{Holder, HolderOptions, until, who};
use crate::story::answer_about;

#[tokio::test]
async fn a_server_starts_from_its_snapshots_and_answers_as_before() {
    // Nothing is written by the clock here but at the start.
    let options = HolderOptions::people(4).config("jobs", "snapshots_every_s", 3_600);
    let mut holder = Holder::start(options).await;
    holder.restart().await;
    assert_eq!(read_at_start(&holder), (0, 4), "what there is of the first run has no snapshot");
    snapshots_there(&holder, 1).await;
    restrict(&holder, 3);

    holder.restart().await;
    assert_eq!(read_at_start(&holder), (4, 0), "every template should be taken from the snapshot");
    answers_are(&holder, [Answer::Hit, Answer::Hit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;

    // One byte is another one.
    holder.stop().await;
    let file = file(&holder);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&file, bytes).unwrap();
    assert!(!holder.log_output().contains("is not used"), "no snapshot should be unfit before");
    holder.serve().await;
    let told: Vec<Value> =
        lines(&holder).into_iter().filter(|line| message(line).contains("is not used")).collect();
    assert_eq!(told.len(), 1, "the operator should be told once: {told:?}");
    assert_eq!((&told[0]["level"], &told[0]["reason"]), (&"warn".into(), &"damaged".into()), "{}", told[0]);
    assert_eq!(read_at_start(&holder), (0, 4));
    answers_are(&holder, [Answer::Hit, Answer::Hit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
    snapshots_there(&holder, 2).await;

    // It was written anew, and goes with whoever is erased, before the caller is told.
    assert!(file.exists());
    let erase = ["subject", "erase", "--source-id", "syn-000001", "--reason", "asked for it"];
    holder.onebit(who::ENROLLER, &erase).ok();
    assert!(!file.exists(), "the snapshot held somebody who is erased");
    answers_are(&holder, [Answer::Hit, Answer::NoHit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
    holder.restart().await;
    assert_eq!(read_at_start(&holder), (0, 3));
    answers_are(&holder, [Answer::Hit, Answer::NoHit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
    snapshots_there(&holder, 3).await;

    // Nor is a template left in one that somebody had before.
    assert!(file.exists());
    holder.enrol(0..1).await;
    assert!(!file.exists(), "the snapshot held a template that was replaced");
    holder.restart().await;
    assert_eq!(read_at_start(&holder), (0, 3));
    answers_are(&holder, [Answer::Hit, Answer::NoHit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
    snapshots_there(&holder, 4).await;

    // What comes afterwards is read from the rows, and the folder may be deleted at any time.
    holder.enrol(5..7).await;
    holder.restart().await;
    assert_eq!(read_at_start(&holder), (3, 2));
    holder.stop().await;
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    holder.serve().await;
    assert_eq!(read_at_start(&holder), (0, 5));
    answers_are(&holder, [Answer::Hit, Answer::NoHit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
    holder.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_starts_from_what_is_there() {
    let mut holder = Holder::start(HolderOptions::people(3).config("jobs", "snapshots_every_s", 1)).await;
    snapshots_there(&holder, 1).await;
    holder.kill();
    // Cut off in the middle of the next one.
    let bytes = fs::read(file(&holder)).unwrap();
    let unfinished = file(&holder).with_extension("new");
    fs::write(&unfinished, &bytes[..bytes.len() / 3]).unwrap();
    holder.serve().await;
    assert_eq!(read_at_start(&holder), (3, 0));
    assert!(!unfinished.exists());
    answers_are(&holder, [Answer::Hit, Answer::Hit, Answer::Hit, Answer::NoHit, Answer::NoHit]).await;
}

/// Where the templates of the last start came from: snapshots, rows.
fn read_at_start(holder: &Holder) -> (u64, u64) {
    let lines = lines(holder);
    let of_kind = |kind: &str| {
        let said = lines.iter().rev().find(|line| {
            message(line).contains("templates read into a gallery")
                && line["kind"] == kind
                && line["collection"] == "watch-face"
        });
        said.expect("the server should say what it read")["count"].as_u64().unwrap()
    };
    (of_kind("snapshot"), of_kind("row"))
}

/// Waits until the server has said so many times that its snapshots are written.
async fn snapshots_there(holder: &Holder, times: usize) {
    until("the snapshots are written", async || {
        lines(holder).iter().filter(|line| message(line).contains("search snapshots written")).count()
            >= times
    })
    .await;
}

async fn answers_are(holder: &Holder, expected: [Answer; 5]) {
    let channel = holder.channel(who::AU).await;
    for (person, expected) in (0..).zip(expected) {
        assert_eq!(answer_about(&channel, person).await, expected, "about person {person}");
    }
}

fn restrict(holder: &Holder, person: u64) {
    let source = format!("syn-{person:06}");
    let restriction = ["--restriction", "protected-identity", "--reason", "a court's order"];
    let args = ["subject", "restrict", "--source-id", &source];
    holder.onebit(who::ENROLLER, &[args.as_slice(), &restriction].concat()).ok();
}

fn lines(holder: &Holder) -> Vec<Value> {
    // The last line may be on its way.
    holder.log_output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

fn file(holder: &Holder) -> PathBuf {
    holder.store_folder().join("snapshots").join("watch-face.1.00000000.sealed")
}
