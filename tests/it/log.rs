//! The log from outside: exports and receipts that hold without the server, a partner's own journal, and that
//! watching is watched.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use onebit::audit::checkpoint::Checkpoint;
use onebit::audit::note::VerifierKey;
use onebit::grpc::pb::oversight::log_service_client::LogServiceClient;
use onebit::grpc::pb::oversight::{GetCheckpointRequest, GetConsistencyProofRequest};
use onebit::grpc::pb::partner::Question;

use crate::holder::{Holder, HolderOptions, until, who};
use crate::story::{
    Choice, FIELDS, HIDDEN, OrRefused as _, STRANGER, answer_about, ask, fact, of_kind, people,
    question_about, refusal,
};

#[tokio::test]
async fn an_export_holds_without_the_server_and_one_changed_byte_is_found() {
    let mut holder = Holder::start(HolderOptions::people(20)).await;
    let au = holder.channel(who::AU).await;
    for person in 0..40 {
        ask(&au, question_about(person)).await.unwrap();
    }
    ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await.refused();
    let keys: Vec<String> = ["au-border", "holder"].map(|journal| holder.log_key(journal)).into();
    for journal in ["au-border", "holder"] {
        let args =
            ["audit", "export", "--journal", journal, "--reason", "yearly inspection", "--out", journal];
        holder.onebit(who::PRIVACY, &args).ok();
    }
    holder
        .onebit(who::ADMIN, &["audit", "export", "--journal", "holder", "--reason", "curious", "--out", "no"])
        .failed();
    holder.stop().await;

    for (journal, key) in ["au-border", "holder"].into_iter().zip(&keys) {
        let ours = holder.onebit(who::PRIVACY, &["audit", "verify", journal, "--key", key]).ok();
        assert!(ours.contains("whole"), "{ours}");
        let small = verify(&holder.path(journal), key);
        assert!(small.status.success(), "{}", String::from_utf8_lossy(&small.stdout));
    }
    let shown =
        holder.onebit(who::PRIVACY, &["audit", "verify", "au-border", "--key", &keys[0], "--show"]).ok();
    for kind in ["query.answered", "query.refused"] {
        assert!(shown.contains(kind), "the export should show `{kind}`:\n{shown}");
    }
    holder.onebit(who::PRIVACY, &["audit", "verify", "au-border", "--key", &keys[1]]).failed();

    for file in files(&holder.path("au-border")) {
        let whole = fs::read(&file).unwrap();
        if file.ends_with("key") || whole.is_empty() {
            continue;
        }
        let mut changed = whole.clone();
        let place = whole.len() / 2;
        changed[place] ^= 1;
        fs::write(&file, &changed).unwrap();
        let what = format!("byte {place} of `{}` was changed", file.display());
        let small = verify(&holder.path("au-border"), &keys[0]);
        assert!(!small.status.success(), "{what}, and `onebit-verify` did not notice");
        let told = holder.onebit(who::PRIVACY, &["audit", "verify", "au-border", "--key", &keys[0]]);
        assert_eq!(told.code(), Some(1), "{what}");
        fs::write(&file, &whole).unwrap();
    }
    assert!(verify(&holder.path("au-border"), &keys[0]).status.success(), "the export is whole again");
}

#[tokio::test]
async fn a_partner_verifies_the_whole_of_its_own_journal_and_sees_only_its_own() {
    let mut holder = Holder::start(HolderOptions::people(20)).await;
    let key = holder.log_key("au-border");
    let own = |holder: &Holder| {
        holder.onebit(
            who::AU,
            &["audit", "own", "--log-key", &key, "--checkpoint", "kept", "--show", "--output", "json"],
        )
    };
    let (au, ca) = (holder.channel(who::AU).await, holder.channel(who::CA).await);
    answer_about(&au, 2).await;
    let before = journal_size(&holder, "au-border").await;
    for person in [0, HIDDEN, STRANGER] {
        answer_about(&au, person).await;
    }
    let after_own = journal_size(&holder, "au-border").await;
    for person in [0, 1, 2] {
        ask(&ca, Question { purpose: "visa-identity".to_owned(), ..question_about(person) }).await.unwrap();
    }
    own(&holder).ok();
    assert_eq!(after_own, before + 3, "one entry for each answer");
    assert_eq!(
        journal_size(&holder, "au-border").await,
        after_own,
        "another's questions must not move this journal"
    );
    holder.kill();
    holder.serve().await;
    answer_about(&holder.channel(who::AU).await, 1).await;
    own(&holder).ok();
    let kept = fs::read_to_string(holder.path("kept")).unwrap();
    fs::write(holder.path("kept"), kept.replacen(&format!("\n{}\n", after_own + 1), "\n1\n", 1)).unwrap();
    own(&holder).failed();
    holder.onebit(who::OFFICER, &["audit", "own", "--log-key", &key]).failed();
}

#[tokio::test]
async fn refusals_reads_and_looks_are_entries() {
    let holder = Holder::start(HolderOptions::people(2)).await;
    let au = holder.channel(who::AU).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    let refused = ask(&au, Question { purpose: "none".to_owned(), ..question_about(0) }).await;
    assert_eq!(refusal(refused).1, "PURPOSE_NOT_IN_AGREEMENT");
    holder.onebit(who::OFFICER, &["review", "view-field", &disclosure, "--field", "family-name"]).ok();
    holder.onebit(who::EXAMINER, &["review", "view-field", &disclosure, "--field", "family-name"]).failed();
    holder.onebit(who::OFFICER, &["audit", "list", "--journal", "holder", "--reason", "curious"]).failed();
    holder.onebit(who::PRIVACY, &["audit", "list", "--journal", "au-border", "--reason", "a complaint"]).ok();

    let of_partner = holder.entries("au-border").await;
    let query = of_kind(&of_partner, "query.refused");
    assert_eq!(query.len(), 1);
    assert_eq!(
        (fact(query[0], "reason"), fact(query[0], "action")),
        ("PURPOSE_NOT_IN_AGREEMENT", "partner.QueryService/AskQuery")
    );
    assert!(!fact(query[0], "rule").is_empty(), "an entry says which rule refused");
    let viewed = of_kind(&of_partner, "field.viewed");
    let everywhere = holder.entries("holder").await;
    let viewed_at_holder = of_kind(&everywhere, "field.viewed");
    let looks: Vec<_> = viewed.iter().chain(&viewed_at_holder).collect();
    assert_eq!(looks.len(), 1, "one look, one entry");
    assert_eq!((looks[0].actor.as_str(), fact(looks[0], "field")), (who::OFFICER.name(), "family-name"));
    let refused: Vec<(&str, &str)> = of_kind(&everywhere, "request.refused")
        .iter()
        .map(|entry| (entry.actor.as_str(), fact(entry, "reason")))
        .collect();
    for actor in [who::EXAMINER, who::OFFICER] {
        assert!(
            refused.contains(&(actor.name(), "ROLE_NOT_ALLOWED")),
            "{actor:?}'s refusal should be an entry: {refused:?}"
        );
    }
    let reads = of_kind(&everywhere, "log.read");
    assert!(
        reads
            .iter()
            .any(|read| fact(read, "journal") == "au-border" && fact(read, "reason") == "a complaint"),
        "the read should be an entry"
    );
    let last = everywhere.last().unwrap();
    assert_eq!(last.kind, "log.read", "a read is an entry before it is answered");
    let value = &people().record(0)["family-name"].value;
    let told: Vec<&str> = everywhere
        .iter()
        .chain(&of_partner)
        .flat_map(|entry| &entry.facts)
        .map(|fact| fact.value.as_str())
        .collect();
    assert!(!told.contains(&value.as_str()), "the log names fields, never their values");
}

#[tokio::test]
async fn a_decision_shows_the_partner_that_somebody_decided_and_no_more() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let disclosure = holder.request(&holder.hit(0).await, &FIELDS).await;
    holder.decide(who::OFFICER, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    let shown =
        holder.onebit(who::AU, &["audit", "own", "--log-key", &holder.log_key("au-border"), "--show"]).ok();
    assert!(shown.contains("disclosure.decided"), "{shown}");
    assert!(
        !shown.contains(who::OFFICER.name()) && !shown.contains("partially"),
        "who decided what is the holder's:\n{shown}"
    );
    let entries = holder.entries("au-border").await;
    let decided = of_kind(&entries, "disclosure.decided");
    assert_eq!(
        (decided[0].actor.as_str(), fact(decided[0], "role")),
        (who::OFFICER.name(), "approving-officer")
    );
}

#[tokio::test]
async fn the_heads_of_partners_journals_stand_in_the_holders() {
    let holder = Holder::start(HolderOptions::people(1).config("jobs", "heads_every_s", 1)).await;
    let au = holder.channel(who::AU).await;
    for person in [0, 0, STRANGER] {
        answer_about(&au, person).await;
    }
    let due = journal_size(&holder, "au-border").await.to_string();
    until("the head of `au-border` stands in the holder's journal", || async {
        let entries = holder.entries("holder").await;
        let heads = of_kind(&entries, "journal.head");
        heads.iter().any(|head| fact(head, "journal") == "au-border" && fact(head, "tree-size") == due)
    })
    .await;
}

#[tokio::test]
async fn an_entry_is_proven_alone_and_a_journal_only_grows() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let au = holder.channel(who::AU).await;
    answer_about(&au, 0).await;
    let key: VerifierKey = holder.log_key("au-border").parse().unwrap();
    let older = checkpoint(&holder, "au-border", &key).await;
    let last = (older.size - 1).to_string();
    let args = [
        "audit",
        "entry",
        "--journal",
        "au-border",
        "--index",
        &last,
        "--reason",
        "a complaint",
        "--out",
        "entry.proof",
    ];
    assert!(holder.onebit(who::PRIVACY, &args).ok().contains("query.answered"));
    let proven =
        holder.onebit(who::PRIVACY, &["receipt", "verify", "entry.proof", "--key", &key.to_string()]).ok();
    assert!(proven.contains("query.answered"), "{proven}");
    for person in [0, STRANGER, 0] {
        answer_about(&au, person).await;
    }
    let newer = checkpoint(&holder, "au-border", &key).await;
    let asked = GetConsistencyProofRequest {
        journal: "journals/au-border".to_owned(),
        from_size: older.size,
        to_size: newer.size,
    };
    let proof = LogServiceClient::new(holder.channel(who::PRIVACY).await)
        .get_consistency_proof(asked)
        .await
        .unwrap()
        .into_inner();
    let hashes: Vec<_> =
        proof.hashes.iter().map(|hash| onebit::audit::tree::Hash::from_slice(hash).unwrap()).collect();
    onebit::audit::proof::verify_consistency(older.size, newer.size, &hashes, &older.root, &newer.root)
        .unwrap();
}

async fn checkpoint(holder: &Holder, journal: &str, key: &VerifierKey) -> Checkpoint {
    let asked = GetCheckpointRequest { journal: format!("journals/{journal}") };
    let found =
        LogServiceClient::new(holder.channel(who::PRIVACY).await).get_checkpoint(asked).await.unwrap();
    Checkpoint::open(&found.into_inner().checkpoint, key).unwrap()
}

async fn journal_size(holder: &Holder, journal: &str) -> u64 {
    checkpoint(holder, journal, &holder.log_key(journal).parse().unwrap()).await.size
}

fn verify(folder: &Path, key: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onebit-verify"))
        .arg("journal")
        .arg(folder)
        .args(["--key", key])
        .output()
        .unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
