//! No fork: a database that is older than what was signed signs nothing, says why, and goes on only as a new tree.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::holder::{Holder, HolderOptions, copy, who};
use crate::story::{answer_about, ask, question_about};

#[tokio::test]
async fn a_restored_backup_signs_nothing_and_goes_on_only_under_a_new_origin() {
    let mut holder = Holder::start(HolderOptions::people(20)).await;
    let au = holder.channel(who::AU).await;
    let before = question_about(3);
    let answered = ask(&au, before.clone()).await.unwrap();
    holder.stop().await;
    let backup = tempfile::tempdir().unwrap();
    copy(&holder.store_folder(), backup.path());

    holder.serve().await;
    let au = holder.channel(who::AU).await;
    let lost = ask(&au, question_about(5)).await.unwrap().receipt;
    holder.stop().await;
    fs::remove_dir_all(holder.store_folder()).unwrap();
    copy(backup.path(), &holder.store_folder());

    let refused = holder.start_refused();
    assert!(refused.contains("immigration.example/onebit/"), "{refused}");
    assert!(refused.contains("Nothing is signed"), "the server should say what it did not do: {refused}");
    let told = recover(&holder, &[]);
    assert!(told.contains("au-border: signed over"), "{told}");
    assert!(holder.start_refused().contains("Nothing is signed"), "looking should have changed nothing");

    let went_on = recover(&holder, &["--because", "the disk of Friday was lost"]);
    assert!(went_on.contains("immigration.example/onebit/au-border/2+"), "{went_on}");
    holder.serve().await;
    let au = holder.channel(who::AU).await;
    let again = ask(&au, before).await.unwrap();
    assert!(again == answered, "what was answered before the backup should be answered the same");
    let after = ask(&au, question_about(5)).await.unwrap().receipt;

    let key = went_on.lines().find(|line| line.contains("au-border/2+")).unwrap().trim();
    for (receipt, key) in [(&after, key), (&lost, &*holder.log_key("au-border"))] {
        let file = holder.path("receipt");
        fs::write(&file, receipt).unwrap();
        holder.onebit(who::AU, &["receipt", "verify", "receipt", "--key", key]).ok();
    }
    holder
        .onebit(who::PRIVACY, &["audit", "export", "--journal", "au-border", "--reason", "r", "--out", "new"])
        .ok();
    let shown = holder.onebit(who::PRIVACY, &["audit", "verify", "new", "--key", key, "--show"]).ok();
    assert!(shown.contains("journal.continued"), "the first entry should say what happened: {shown}");
    assert!(shown.contains("the disk of Friday was lost"), "{shown}");
    holder.restart().await;
    assert!(recover_while_serving(&holder).contains("another server uses the store"));
}

#[tokio::test]
async fn a_start_without_heads_signs_nothing() {
    let mut holder = Holder::start(HolderOptions::people(3)).await;
    answer_about(&holder.channel(who::AU).await, 1).await;
    holder.stop().await;
    fs::remove_dir_all(holder.heads_folder()).unwrap();
    assert!(holder.start_refused().contains("there are no heads in"));
    let went_on = recover(&holder, &["--because", "the heads were lost"]);
    assert!(went_on.contains("holder/2+") && went_on.contains("au-border/2+"), "{went_on}");
    holder.serve().await;
    answer_about(&holder.channel(who::AU).await, 1).await;
}

#[tokio::test]
async fn heads_that_are_older_than_the_database_are_no_reason_to_refuse() {
    let mut holder = Holder::start(HolderOptions::people(3)).await;
    let older = fs::read(holder.heads_folder().join("heads")).unwrap();
    answer_about(&holder.channel(who::AU).await, 1).await;
    holder.kill();
    fs::write(holder.heads_folder().join("heads"), older).unwrap();
    holder.serve().await;
    assert!(recover_said_nothing(&mut holder).await.contains("No journal is behind"));
}

#[tokio::test]
async fn another_log_of_the_same_name_is_told_apart() {
    let mut ours = Holder::start(HolderOptions::people(3)).await;
    let mut other = Holder::start(HolderOptions::people(3)).await;
    for holder in [&mut ours, &mut other] {
        let au = holder.channel(who::AU).await;
        for person in 0..3 {
            answer_about(&au, person).await;
        }
        holder.stop().await;
    }
    fs::copy(other.heads_folder().join("heads"), ours.heads_folder().join("heads")).unwrap();
    let refused = ours.start_refused();
    assert!(refused.contains("is not the one whose checkpoint"), "{refused}");
}

async fn recover_said_nothing(holder: &mut Holder) -> String {
    holder.stop().await;
    recover(holder, &[])
}

fn recover_while_serving(holder: &Holder) -> String {
    let ran = command(holder, &["--because", "no reason"]).output().unwrap();
    assert!(!ran.status.success(), "a server that runs should have been left alone");
    String::from_utf8(ran.stderr).unwrap()
}

fn recover(holder: &Holder, args: &[&str]) -> String {
    let ran = command(holder, args).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn command(holder: &Holder, args: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_onebit")));
    command.args(["recover", "--config"]).arg(holder.config()).args(args);
    command
}
