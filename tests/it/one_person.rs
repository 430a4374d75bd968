//! Somebody who is held twice: suspected by the holder alone, made one person by two people, and parted again.

use serde_json::{Value, json};

use onebit::grpc::pb::partner::Answer;

use crate::enrolment::npy;
use crate::holder::{Holder, HolderOptions, who};
use crate::story::{answer_about, fact, of_kind, people, sample_of};

const OTHER_ID: &str = "other-000000";

/// A holder with fourteen people, the first of whom is there a second time under another source id.
async fn held_twice() -> Holder {
    let holder = Holder::start(HolderOptions::people(14)).await;
    std::fs::write(holder.path("again.npy"), npy(&[sample_of(0, 9)])).unwrap();
    let row = json!({ "source_id": OTHER_ID, "quality": 80 });
    std::fs::write(holder.path("again.jsonl"), format!("{row}\n")).unwrap();
    let record = json!({ "source_id": OTHER_ID, "fields": people().record(1) });
    std::fs::write(holder.path("again-records.jsonl"), format!("{record}\n")).unwrap();
    let files = ["--npy", "again.npy", "--manifest", "again.jsonl", "--records", "again-records.jsonl"];
    let enrol = ["enrol", "--collection", "watch-face", "--official", "registrar-1"];
    holder.onebit(who::ENROLLER, &[&enrol[..], &files].concat()).ok();
    holder
}

fn duplicates(holder: &Holder) -> Value {
    let args = ["subject", "duplicates", "--collection", "watch-face", "--reason", "yearly look"];
    holder.onebit(who::PRIVACY, &[&args[..], &["--output", "json"]].concat()).json()
}

fn shown(holder: &Holder, source_id: &str) -> Value {
    holder.onebit(who::ENROLLER, &["subject", "show", "--source-id", source_id, "--output", "json"]).json()
}

fn id(shown: &Value) -> &str {
    shown["subject"].as_str().unwrap()
}

#[tokio::test]
async fn whoever_is_held_twice_is_suspected_by_the_holder_alone() {
    let holder = held_twice().await;
    let found = duplicates(&holder);
    let (one, other) = (shown(&holder, &people().source_id(0)), shown(&holder, OTHER_ID));
    let mut both = [id(&one), id(&other)];
    both.sort_unstable();
    assert_eq!(found["pairs"], json!([{ "subject": both[0], "other": both[1] }]), "{found}");
    assert_eq!(found["compared"], 15, "{found}");
    assert!(found["strangers_expected"].as_f64().unwrap() < 0.001, "{found}");
    let entries = holder.entries("holder").await;
    let [sought] = &of_kind(&entries, "subject.duplicates-sought")[..] else { panic!("one entry") };
    assert_eq!((fact(sought, "reason"), fact(sought, "detail")), ("yearly look", "1 pairs"));

    let args = ["subject", "duplicates", "--collection", "watch-face", "--reason", "x"];
    for other in [who::OFFICER, who::ENROLLER, who::AU] {
        assert!(holder.onebit(other, &args).failed().contains("PERMISSION_DENIED"));
    }
    let args = ["subject", "duplicates", "--collection", "no-such", "--reason", "x"];
    assert!(holder.onebit(who::PRIVACY, &args).failed().contains("NOT_FOUND"));
}

#[tokio::test]
async fn one_person_is_hidden_as_a_whole_and_shown_again_when_parted() {
    let mut holder = held_twice().await;
    let source = people().source_id(0);
    let (one, other) = (shown(&holder, &source), shown(&holder, OTHER_ID));
    let (one, other) = (id(&one), id(&other));
    let merge = ["merge-subjects", "--subject", one, "--same-as", other];
    holder.change(who::PRIVACY, who::ADMIN, &merge);
    assert_eq!(shown(&holder, &source)["same_person"], json!([other]));
    assert_eq!(duplicates(&holder)["pairs"], json!([]), "nobody is suspected of what is known");

    let asked = async |holder: &Holder| answer_about(&holder.channel(who::AU).await, 0).await;
    assert_eq!(asked(&holder).await, Answer::Hit);
    let hide = ["subject", "restrict", "--restriction", "protected-identity", "--reason", "moved"];
    holder.onebit(who::ENROLLER, &[&hide[..], &["--source-id", OTHER_ID]].concat()).ok();
    assert_eq!(asked(&holder).await, Answer::NoHit, "what hides one hides both");
    holder.restart().await;
    assert_eq!(asked(&holder).await, Answer::NoHit, "after a start as before");

    let folder = holder.path("report");
    let [_, key] = who::PRIVACY.credential();
    let report = ["subject", "report", "--subject", one, "--reason", "who is it", "--out", "report"];
    let key = holder.path(key.to_str().unwrap());
    holder.onebit(who::PRIVACY, &[&report[..], &["--signing-key", key.to_str().unwrap()]].concat()).ok();
    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["templates"].as_array().unwrap().len(), 2, "{report}");
    let restrictions = report["restrictions"].as_array().unwrap();
    assert_eq!((restrictions.len(), &restrictions[0]["reason"]), (1, &json!("moved")), "{report}");

    holder.change(who::PRIVACY, who::ADMIN, &["split-subject", "--subject", other]);
    assert_eq!(asked(&holder).await, Answer::Hit, "the restriction was of the other alone");
    assert_eq!(shown(&holder, OTHER_ID)["restrictions"], json!(["protected-identity"]));
    assert_eq!(shown(&holder, &source)["same_person"], json!([]));
    holder.whole();

    // Whoever is erased leaves nobody visible who was not.
    holder.change(who::PRIVACY, who::ADMIN, &merge);
    let erase = ["subject", "erase", "--source-id", OTHER_ID, "--reason", "asked for"];
    holder.onebit(who::ENROLLER, &erase).ok();
    assert_eq!(asked(&holder).await, Answer::NoHit);
    let lift = ["lift-restriction", "--source-id", &source, "--restriction", "protected-identity"];
    holder.change(who::ADMIN, who::PRIVACY, &lift);
    assert_eq!(asked(&holder).await, Answer::Hit);
    holder.whole();
}

#[tokio::test]
async fn a_merge_of_nobody_or_of_one_with_itself_changes_nothing() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let one = shown(&holder, &people().source_id(0));
    let one = id(&one);
    for change in [
        vec!["merge-subjects", "--subject", one, "--same-as", one],
        vec!["merge-subjects", "--subject", one, "--same-as", "subjects/00000000000000000000000000000000"],
        vec!["split-subject", "--subject", one],
    ] {
        let propose = [&["change", "propose"][..], &change, &["--reason", "x", "--output", "json"]].concat();
        let proposed = holder.onebit(who::PRIVACY, &propose).json();
        let confirm = ["change", "confirm", proposed["change"].as_str().unwrap()];
        assert!(
            holder.onebit(who::ADMIN, &confirm).failed().contains("is not there, or stands against it"),
            "{change:?}"
        );
    }
    let propose = ["change", "propose", "split-subject", "--subject", "Mere", "--reason", "x"];
    assert!(holder.onebit(who::PRIVACY, &propose).failed().contains("--subject"));
    holder.whole();
}
