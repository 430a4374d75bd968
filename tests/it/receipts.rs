//! A partner's receipts against its journal: nothing dropped, nothing invented, nothing rewritten, whatever the
//! holder's server says of itself.

use std::fs;
use std::path::Path;

use onebit::grpc::pb::partner::Question;
use serde_json::json;

use crate::holder::{Holder, HolderOptions, copy, who};
use crate::story::{FIELDS, OrRefused as _, STRANGER, answer_about, ask, question_about, sample_of};

const QUERY: [&str; 11] = [
    "query",
    "--collection",
    "watch-face",
    "--purpose",
    "border-identity",
    "--case",
    "C-2026-17",
    "--official",
    "officer-7f3a",
    "--legal-basis",
    "Example Act, s 10",
];

#[tokio::test]
async fn a_partner_checks_its_whole_journal_against_the_receipts_it_kept() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    for number in 0..3 {
        ask_by_hand(&holder, number);
    }
    ask_many(&holder, &["0", "900001", "2"], "receipts/many.jsonl");
    let told = own(&holder, &["--checkpoint", "newest"]).ok();
    for words in ["the entries of your 6 receipts stand in it", "6 query.answered"] {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    // What was refused is in the journal too, and has no receipt.
    let refused = Question { purpose: "none".to_owned(), ..question_about(0) };
    ask(&holder.channel(who::AU).await, refused).await.refused();
    assert!(own(&holder, &[]).ok().contains("1 query.refused"));

    // Invented, as far as the partner can tell.
    answer_about(&holder.channel(who::AU).await, 1).await;
    let told = own(&holder, &["--checkpoint", "newest"]).failed();
    assert!(told.contains("says of 1 entries") && told.contains("C-2026-0017"), "{told}");
    holder.onebit(who::AU, &["audit", "own", "--log-key", &holder.log_key("au-border")]).ok();
}

#[tokio::test]
async fn a_receipt_is_verified_without_the_server() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    ask_by_hand(&holder, 1);
    let key = holder.log_key("au-border");
    let file = holder.path("receipts/1.receipt");
    let verify = || {
        let file = file.to_str().unwrap();
        holder.onebit(who::AU, &["receipt", "verify", file, "--key", &key])
    };
    let told = verify().ok();
    for words in ["the receipt holds: entry ", "query.answered", "C-2026-17"] {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    let receipt = fs::read_to_string(&file).unwrap();
    fs::write(&file, receipt.replacen("extra A", "extra B", 1)).unwrap();
    let refused = verify().failed();
    assert!(refused.contains("the receipt does not hold"), "{refused}");
}

#[tokio::test]
async fn a_receipt_that_is_gone_or_changed_is_told_by_its_place() {
    let holder = Holder::start(HolderOptions::people(3)).await;
    for number in 0..3 {
        ask_by_hand(&holder, number);
    }
    let file = holder.path("receipts/1.receipt");
    let receipt = fs::read_to_string(&file).unwrap();
    let index = receipt.lines().nth(2).unwrap().trim_start_matches("index ").to_owned();
    fs::remove_file(&file).unwrap();
    let told = own(&holder, &[]).failed();
    assert!(told.contains(&format!("entry {index}, of which there is no receipt")), "{told}");

    fs::write(&file, receipt.replacen("extra A", "extra B", 1)).unwrap();
    assert!(own(&holder, &[]).failed().contains("1.receipt"), "a changed receipt should be named");
    fs::write(&file, &receipt).unwrap();
    own(&holder, &[]).ok();

    let query = holder.hit(0).await;
    let disclosure = holder.request(&query, &FIELDS).await;
    let told = own(&holder, &[]).failed();
    assert!(told.contains("says of 2 entries"), "a query and a disclosure ({disclosure}): {told}");
}

#[tokio::test]
async fn a_journal_that_fell_back_and_grew_again_is_found_by_receipts_alone() {
    let mut holder = Holder::start(HolderOptions::people(3)).await;
    ask_by_hand(&holder, 0);
    holder.stop().await;
    // All that the holder has: no part of it remembers what comes.
    let backup = tempfile::TempDir::new().unwrap();
    copy(&holder.path(""), backup.path());
    holder.serve().await;
    for number in 1..4 {
        ask_by_hand(&holder, number);
    }
    own(&holder, &[]).ok();
    holder.stop().await;
    let receipts = tempfile::TempDir::new().unwrap();
    copy(&holder.path("receipts"), receipts.path());
    empty(&holder.path(""));
    copy(backup.path(), &holder.path(""));
    let receipts = receipts.path().to_str().unwrap();
    holder.serve().await;
    let shorter = own_by(&holder, receipts).failed();
    assert!(shorter.contains("the journal had"), "{shorter}");

    let au = holder.channel(who::AU).await;
    for person in [0, STRANGER, 1, 2, 0] {
        answer_about(&au, person).await;
    }
    let forked = own_by(&holder, receipts).failed();
    assert!(
        forked.contains("was rewritten") || forked.contains("is not the one that the receipt"),
        "{forked}"
    );
    holder.onebit(who::AU, &["audit", "own", "--log-key", &holder.log_key("au-border")]).ok();
}

/// One question by the command line, its receipt kept.
fn ask_by_hand(holder: &Holder, number: u64) {
    fs::create_dir_all(holder.path("receipts")).unwrap();
    let (sample, receipt) = (format!("sample-{number}.json"), format!("receipts/{number}.receipt"));
    fs::write(holder.path(&sample), json!({ "embedding": sample_of(number, 0), "quality": 80 }).to_string())
        .unwrap();
    holder.onebit(who::AU, &[&QUERY[..], &["--json", &sample, "--receipt-out", &receipt]].concat()).ok();
}

/// Many questions by the command line, what it printed kept.
fn ask_many(holder: &Holder, people: &[&str], kept: &str) {
    let line = |person: &&str| {
        json!({ "embedding": sample_of(person.parse().unwrap(), 1), "quality": 80 }).to_string()
    };
    fs::write(holder.path("probes.jsonl"), people.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let args = [&QUERY[..], &["--jsonl", "probes.jsonl", "--output", "json"]].concat();
    fs::write(holder.path(kept), holder.onebit(who::AU, &args).ok()).unwrap();
}

fn own(holder: &Holder, more: &[&str]) -> crate::holder::Ran {
    let key = holder.log_key("au-border");
    let args = ["audit", "own", "--log-key", &key, "--receipts", "receipts"];
    holder.onebit(who::AU, &[&args[..], more].concat())
}

fn own_by(holder: &Holder, receipts: &str) -> crate::holder::Ran {
    let key = holder.log_key("au-border");
    holder.onebit(who::AU, &["audit", "own", "--log-key", &key, "--receipts", receipts])
}

fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}
