//! A change of key in the store: what signs, what verifies, what is destroyed, and what a crash leaves.

use std::collections::BTreeMap;

use super::*;
use crate::audit::handover::{HandOver, KeyChain};
use crate::audit::journal::{Report, verify_export};
use crate::audit::receipt::Receipt;
use crate::authz::{About, Action, Role};
use crate::clock::Clock;
use crate::ids::{ActorName, ChangeId};
use crate::secret::{SystemEntropy, random_bytes};
use crate::store::change::{Change, ChangeNew, Ended};
use crate::store::conformance::Bench;
use crate::store::query::{Answer, Verdict};
use crate::store::sqlite::tests::{founded, founded_store, open_at};
use crate::store::sqlite::{change, files};
use crate::store::{ChangeEnd, Store};

async fn propose(bench: &Bench) -> (Permit, ChangeEnd) {
    let id = ChangeId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap());
    let reason = "the yearly change".to_owned();
    let new = ChangeNew { id, change: Change::ChangeLogKey, reason, signature: vec![1; 64] };
    let permit = bench.permit("ana", Action::ProposeChange, About::Service).await;
    let _ = bench.store.change_propose(permit, new).await.unwrap();
    let proposed_by: ActorName = "ana".parse().unwrap();
    let proposer_role = Role::Administrator;
    let about = About::Change { kind: "log-key-change", proposed_by: &proposed_by, proposer_role };
    let permit = bench.permit("mere", Action::ConfirmChange, about).await;
    (permit, ChangeEnd::Confirm { id, signature: vec![2; 64], leave: None })
}

async fn rotate(bench: &Bench) {
    let (permit, end) = propose(bench).await;
    let (ended, _) = bench.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
    assert!(matches!(ended, Ended::Done(..)));
}

async fn ask(bench: &Bench) -> String {
    let verdict = Verdict { answer: Answer::NoHit, subject: None, hidden: None };
    bench.ask(verdict).await.2.to_text()
}

fn au() -> Journal {
    Journal::Partner("au-border".parse().unwrap())
}

async fn keys(bench: &Bench, journal: Journal) -> Vec<LogKey> {
    bench.store.checkpoint_get(journal).await.unwrap().unwrap().keys
}

async fn chain(bench: &Bench, trusted: &VerifierKey) -> KeyChain {
    let told = keys(bench, au()).await.into_iter().filter_map(|key| key.handover);
    let changes = told.map(|(_, text)| HandOver::parse(&text, trusted.name()).unwrap());
    KeyChain::new(trusted, changes.collect()).unwrap()
}

async fn verified(bench: &Bench, journal: Journal, key: &VerifierKey) -> Report {
    let permit = bench.permit("mere", Action::ExportJournal, About::Service).await;
    let why = "a test exports".to_owned();
    let (plan, _) = bench.store.log_export(permit, journal, why).await.unwrap().open().ok().unwrap();
    let mut export = BTreeMap::new();
    for file in &plan.files {
        let bytes = bench.store.export_file(plan.clone(), file.clone()).await.unwrap();
        export.insert(file.path.clone(), bytes);
    }
    verify_export(&export, key, &mut |_, _| (), &mut |_, _, _| ()).expect("the export should verify")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_verify_with_the_key_of_their_time_and_every_journal_hands_over() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let first = ask(&bench).await;
    let old = bench.verifier(au()).await;
    let old_of_holder = bench.verifier(Journal::Holder).await;
    rotate(&bench).await;
    let second = ask(&bench).await;
    let new = bench.verifier(au()).await;
    assert_ne!(old, new);
    let (first, second) = (Receipt::parse(&first).unwrap(), Receipt::parse(&second).unwrap());
    assert!(first.verify(&old).is_ok() && first.verify(&new).is_err());
    assert!(second.verify(&new).is_ok() && second.verify(&old).is_err());
    let both = chain(&bench, &old).await;
    assert_eq!((both.newest(), both.followed().len()), (&new, 1));
    assert!(both.verify(&first).is_ok() && both.verify(&second).is_ok());
    for journal in bench.store.journal_list().await.unwrap() {
        let keys = keys(&bench, journal.journal.clone()).await;
        let [first, second] = &keys[..] else { panic!("{} has {} keys", journal.journal, keys.len()) };
        assert_eq!((first.from_size, first.handover.is_none()), (0, true));
        let (index, text) = second.handover.as_ref().unwrap();
        let handover = HandOver::parse(text, &journal.origin).unwrap();
        assert_eq!((handover.index, handover.size, &handover.new), (*index, second.from_size, &second.key));
    }
    for (journal, key) in [(au(), &old), (au(), &new), (Journal::Holder, &old_of_holder)] {
        let report = verified(&bench, journal, key).await;
        assert_eq!(report.keys.changes().len(), 1);
    }
    // And once more: whoever holds the first key follows over two.
    rotate(&bench).await;
    let third = Receipt::parse(&ask(&bench).await).unwrap();
    let all = chain(&bench, &old).await;
    assert_eq!((all.followed().len(), chain(&bench, &new).await.followed().len()), (2, 1));
    assert!([&first, &second, &third].iter().all(|receipt| all.verify(receipt).is_ok()));
    assert_eq!(verified(&bench, au(), &old).await.keys.followed().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_private_key_is_in_no_file_after_the_change() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let wrapped = || -> Vec<(String, Vec<u8>)> {
        let sql = Connection::open(&files(folder.path())[1]).unwrap();
        let mut statement = sql.prepare("SELECT name, wrapped FROM named_keys").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let lies = |bytes: &[u8]| {
        let files = std::fs::read_dir(folder.path()).unwrap();
        files
            .map(|file| file.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| std::fs::read(path).unwrap())
            .any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    };
    let before = wrapped();
    let [(_, old)] = &before[..] else { panic!("one key before, not {}", before.len()) };
    assert!(lies(old));
    rotate(&bench).await;
    let after = wrapped();
    assert_eq!(after.len(), 1, "one key after");
    assert!(!lies(old) && lies(&after[0].1), "the old one should be gone and the new one there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_key_signs_after_a_restart_and_a_crash_leaves_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let _ = ask(&bench).await;
    let old = bench.verifier(au()).await;
    let (permit, end) = propose(&bench).await;
    // The transaction alone, as if the process had ended with its commit: both seeds are there.
    let ended = store.writer.logged(move |tx| change::end(tx, &permit, &end)).await.unwrap();
    assert!(matches!(ended.open().ok().unwrap().0, Ended::Done(..)));
    let new = bench.verifier(au()).await;
    let now = bench.clock.now();
    drop((bench, store));
    let seeds = || -> i64 {
        let sql = Connection::open(&files(folder.path())[1]).unwrap();
        sql.query_row("SELECT count(*) FROM named_keys", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(seeds(), 2);
    let store = open_at(folder.path(), 1, now).unwrap();
    assert_eq!(seeds(), 1, "the start should have destroyed the old one");
    let facts = store.holder_get().await.unwrap().unwrap();
    assert!(old != new && facts.log_key == *new.public_key());
    assert!(store.heads_record().await.unwrap() > 0);
    let signed = store.checkpoint_get(Journal::Holder).await.unwrap().unwrap();
    let key: VerifierKey = signed.verifier_key.parse().unwrap();
    let head = Checkpoint::open(&signed.checkpoint, &key).unwrap();
    assert_eq!((head.origin.as_str(), key.public_key()), (key.name(), new.public_key()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_undone_leaves_the_key_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let old = bench.verifier(Journal::Holder).await;
    let (permit, end) = propose(&bench).await;
    let failing = store.writer.logged(move |tx| {
        let _ended = change::end(tx, &permit, &end)?;
        Err::<(), _>(StoreError::Damaged { what: "a step that fails after it made its entries" })
    });
    assert!(failing.await.is_err());
    let receipt = Receipt::parse(&ask(&bench).await).unwrap();
    assert!(receipt.verify(&bench.verifier(au()).await).is_ok());
    assert_eq!(bench.verifier(Journal::Holder).await, old);
    assert_eq!(keys(&bench, au()).await.len(), 1);
    rotate(&bench).await;
    assert_ne!(bench.verifier(Journal::Holder).await, old, "and it can be changed afterwards");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_came_later_begins_with_the_key_of_that_time() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    rotate(&bench).await;
    let uk = Journal::Partner("uk-border".parse().unwrap());
    let journal = uk.clone();
    store.writer.unlogged(move |tx| tx.journal_open(&journal, "holder.example")).await.unwrap();
    let read = |sql: &Connection, journal: &Journal| of_journal(&store.context, sql, journal).unwrap();
    let sql = super::super::connect(&files(folder.path())[0]).unwrap();
    let [only] = &read(&sql, &uk)[..] else { panic!("one key") };
    let second = read(&sql, &au())[1].key.public_key().to_owned();
    assert_eq!((only.from_size, only.key.public_key()), (0, &second));
    rotate(&bench).await;
    let now = read(&sql, &uk);
    assert_eq!((now.len(), now[0].key.public_key()), (2, &second), "its first key stays what it was");
    assert_eq!(read(&sql, &au()).len(), 3);
}
