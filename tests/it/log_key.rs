//! The drill: two people change the log's key, and partners go on verifying; who forges is refused.

use std::fs;
use std::process::Command;

use onebit::audit::checkpoint::Checkpoint;
use onebit::audit::entry::Draft;
use onebit::audit::event::{Event, Fact, Kind};
use onebit::audit::note::{Ed25519Signer, NoteSigner, VerifierKey};
use onebit::audit::receipt::Receipt;
use onebit::clock::Timestamp;
use onebit::ids::Digest;
use onebit::secret::SystemEntropy;

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{ask, fact, of_kind, question_about};

const VERIFY: &str = env!("CARGO_BIN_EXE_onebit-verify");

/// Runs the small verifier; gives whether it held, and what it said.
fn verify(holder: &Holder, args: &[&str]) -> (bool, String) {
    let ran = Command::new(VERIFY).args(args).current_dir(holder.path("")).output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code().is_some_and(|code| code < 2), "{args:?}: {text}");
    (ran.status.success(), text)
}

async fn receipt(holder: &Holder, file: &str) {
    let answered = ask(&holder.channel(who::AU).await, question_about(0)).await.unwrap();
    fs::write(holder.path(file), answered.receipt).unwrap();
}

#[tokio::test]
async fn two_people_change_the_key_and_partners_go_on_verifying() {
    let mut holder = Holder::start(HolderOptions::people(1)).await;
    let old = holder.log_key("au-border");
    receipt(&holder, "first.receipt").await;
    let own = ["audit", "own", "--log-key", &old, "--checkpoint", "kept.checkpoint"];
    holder.onebit(who::AU, &own).ok();

    let change = holder.propose(who::ADMIN, &["log-key"]);
    holder.onebit(who::OTHER_ADMIN, &["change", "confirm", &change]).failed();
    receipt(&holder, "still.receipt").await;
    assert!(
        verify(&holder, &["receipt", "still.receipt", "--key", &old]).0,
        "one person alone changes nothing"
    );
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();
    receipt(&holder, "second.receipt").await;

    // The partner follows on its own connection, and is told; whoever wants no hand-over is refused.
    let told = holder.onebit(who::AU, &[&own[..], &["--output", "json"]].concat()).json();
    let new = told["key"].as_str().unwrap().to_owned();
    assert_eq!(
        (told["key_changes"][0]["key"].as_str(), told["disposed"].as_u64()),
        (Some(new.as_str()), Some(0))
    );
    assert_ne!(new, old);
    let strict = holder.onebit(who::AU, &["audit", "own", "--log-key", &old, "--no-handover"]).failed();
    assert!(strict.contains("REFUSED") && strict.contains("--no-handover"), "{strict}");
    holder.onebit(who::AU, &["audit", "own", "--log-key", &new, "--no-handover"]).ok();

    // Old receipts with the old key, new ones with the new, and either with the hand-over.
    let export = ["audit", "export", "--journal", "au-border", "--reason", "a drill", "--out", "export"];
    holder.onebit(who::PRIVACY, &export).ok();
    let handover = "export/handover/0";
    let by = |file: &str, key: &str, with: &[&str]| {
        verify(&holder, &[&["receipt", file, "--key", key], with].concat())
    };
    assert!(by("first.receipt", &old, &[]).0 && by("second.receipt", &new, &[]).0);
    let (held, why) = by("second.receipt", &old, &[]);
    assert!(!held && why.contains("the log's key may have changed"), "it says which key it needs: {why}");
    assert!(!by("first.receipt", &new, &[]).0);
    for key in [&old, &new] {
        for file in ["first.receipt", "second.receipt"] {
            let (held, why) = by(file, key, &["--handover", handover]);
            assert!(held, "{file} by {key}: {why}");
        }
    }
    let (held, said) = verify(&holder, &["handover", handover, "--key", &old]);
    assert!(held && said.contains(&new), "{said}");

    // The export, from the old key: clear words, and the checkpoint kept under the old key still counts.
    let (held, said) = verify(&holder, &["journal", "export", "--key", &old, "--since", "kept.checkpoint"]);
    assert!(held && said.contains("the log's key changed at entry") && said.contains(&new), "{said}");
    let (held, said) = verify(&holder, &["journal", "export", "--key", &old, "--no-handover"]);
    assert!(!held && said.contains("--no-handover"), "{said}");
    assert!(verify(&holder, &["journal", "export", "--key", &new, "--no-handover"]).0);
    holder.onebit(who::PRIVACY, &["audit", "verify", "export", "--key", &old]).ok();

    // Every journal says so, the holder's with who it was; and the key that signs now outlives a restart.
    for journal in ["holder", "au-border", "ca-border"] {
        let entries = holder.entries(journal).await;
        let [changed] = of_kind(&entries, "log-key.changed")[..] else { panic!("one entry in {journal}") };
        assert_eq!(changed.actor, who::PRIVACY.name());
        let key = holder.log_key(journal).parse::<VerifierKey>().unwrap();
        assert_eq!(fact(changed, "old-public-key"), Digest::from_bytes(*key.public_key()).to_string());
    }
    holder.restart().await;
    receipt(&holder, "third.receipt").await;
    assert!(verify(&holder, &["receipt", "third.receipt", "--key", &new]).0);
}

/// Who stole the old key makes a hand-over to a key of his own. It is whole in itself, and of no journal that anybody
/// keeps: the export refuses it, and so does a partner that wants none.
#[tokio::test]
async fn a_forged_hand_over_is_refused() {
    let holder = Holder::start(HolderOptions::people(1)).await;
    let old = holder.log_key("au-border");
    receipt(&holder, "first.receipt").await;
    holder.change(who::PRIVACY, who::ADMIN, &["log-key"]);
    receipt(&holder, "second.receipt").await;
    let export = ["audit", "export", "--journal", "au-border", "--reason", "a drill", "--out", "export"];
    holder.onebit(who::PRIVACY, &export).ok();

    // A thief without the old key: his own signature stands where the old key's should.
    let origin = old.split('+').next().unwrap().to_owned();
    let public = *old.parse::<VerifierKey>().unwrap().public_key();
    let thief = Ed25519Signer::from_seed(&[66; 32]);
    let event = Event::new(Kind::LogKeyChanged, Timestamp::from_millis(0), "onebit", Digest::sha256(b"p"))
        .with(Fact::OldPublicKey, &public)
        .with(Fact::NewPublicKey, &thief.public_key())
        .text(Fact::Origin, &origin);
    let draft = Draft::blind(&event, &event, &SystemEntropy::new()).unwrap();
    let head = Checkpoint { origin, size: 1, root: draft.entry.leaf_hash() };
    let forged = Receipt {
        entry: draft.entry,
        opening: Some(draft.partner),
        index: 0,
        proof: Vec::new(),
        checkpoint: head.sign_both(&thief, &thief),
    };
    fs::write(holder.path("forged"), forged.to_text()).unwrap();
    let (held, why) = verify(&holder, &["handover", "forged", "--key", &old]);
    assert!(!held && why.contains("REFUSED"), "{why}");
    fs::write(holder.path("export/handover/0"), forged.to_text()).unwrap();
    let (held, why) = verify(&holder, &["journal", "export", "--key", &old]);
    assert!(!held && why.contains("`handover/0` was refused"), "{why}");

    // One byte of the true one.
    let export = ["audit", "export", "--journal", "au-border", "--reason", "a drill", "--out", "again"];
    holder.onebit(who::PRIVACY, &export).ok();
    let path = holder.path("again/handover/0");
    let text = fs::read_to_string(&path).unwrap();
    let index = text.lines().find(|line| line.starts_with("index ")).unwrap().to_owned();
    fs::write(&path, text.replace(&index, "index 0")).unwrap();
    assert!(!verify(&holder, &["journal", "again", "--key", &old]).0);
    // And without it: the old key leads nowhere, and the export says what is missing.
    fs::remove_file(&path).unwrap();
    let (held, why) = verify(&holder, &["journal", "again", "--key", &old]);
    assert!(!held && why.contains("the log's key may have changed"), "{why}");
}
