//! Searches held against looking at every entry, through runs of the index and behind them.

use rusqlite::Connection;

use super::*;
use crate::authz::{About, Action, Reason};
use crate::ids::QueryId;
use crate::store::Withheld;
use crate::store::conformance::Bench;
use crate::store::log::{Proofs, Read};
use crate::store::query::{Answer, QueryNew, QueryRecorded, Verdict};
use crate::store::sqlite::tests::founded;
use crate::store::sqlite::{Fault, FaultPlace, files, fsck};

/// More than two runs, by two partners, with cases and officials that come again.
async fn told(bench: &Bench) -> Vec<QueryId> {
    let mut ids = Vec::new();
    for number in 0..70_u64 {
        if number % 9 == 0 {
            let registry = bench.store.registry_load().await.unwrap();
            let actor = registry.actor(registry.person(&"visa".parse().unwrap()).unwrap());
            let (reason, rule) = (Reason::PurposeNotInAgreement, "query-purpose".to_owned());
            let _ = bench.store.refusal_record(actor, Action::AskQuery, reason, rule).await.unwrap();
        }
        let question =
            bench.question(crate::ids::RequestId::from_bytes(id_of(number)), &number.to_be_bytes());
        let new =
            QueryNew { case: format!("C-{}", number % 7), official: format!("o-{}", number % 3), ..question };
        ids.push(new.id);
        let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
        let recorded = bench.store.query_record(bench.ask_permit().await, new, verdict).await.unwrap();
        assert!(matches!(recorded, QueryRecorded::New(..)));
        bench.clock.advance(std::time::Duration::from_secs(60));
    }
    ids
}

fn id_of(number: u64) -> [u8; 16] {
    let mut bytes = [1; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn sought(attribute: Attribute, value: &str) -> Sought {
    Sought::new(attribute, value, None, None).unwrap()
}

async fn search(bench: &Bench, sought: Sought, before: Option<u64>, limit: u32) -> Vec<(Journal, u64, u64)> {
    let permit = bench.permit("mere", Action::SearchEntries, About::Service).await;
    let search = Search { sought, before, limit, why: "a test".to_owned() };
    let searched = bench.store.log_search(permit, search).await.unwrap().open().ok().unwrap().0;
    searched.found.into_iter().map(|found| (found.journal, found.index, found.place)).collect()
}

/// Every entry of a partner's journal, by its index.
async fn all(bench: &Bench, journal: &Journal) -> Vec<Event> {
    let permit = bench.permit("mere", Action::ListEntries, About::Service).await;
    let (journal, why) = (journal.clone(), "a test".to_owned());
    let read = Read { journal, from: 0, limit: 1_000, proofs: Proofs::Without, why };
    let (entries, _) = bench.store.log_read(permit, read).await.unwrap().open().ok().unwrap();
    entries.into_iter().map(|entry| entry.event.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_what_looking_at_every_entry_finds_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let queries = told(&bench).await;
    let au = Journal::Partner("au-border".parse().unwrap());
    let entries = all(&bench, &au).await;
    let middle = entries[40].at;
    for is_indexed in [false, true] {
        if is_indexed {
            assert!(bench.store.tags_index().await.unwrap() >= 2, "the story is shorter than two runs");
        }
        for (attribute, value, fact) in [
            (Attribute::Case, "C-3", Fact::Case),
            (Attribute::Official, "o-1", Fact::Official),
            (Attribute::Purpose, "border-identity", Fact::Purpose),
            (Attribute::Agreement, "au-border-identity", Fact::Agreement),
            (Attribute::Partner, "au-border", Fact::Partner),
        ] {
            let is_of = |event: &Event| event.text_of(fact) == Some(value);
            let mut due: Vec<u64> =
                (0_u64..).zip(&entries).filter(|(_, event)| is_of(event)).map(|(at, _)| at).collect();
            due.reverse();
            assert!(due.len() > 5, "{attribute}: the story says too little");
            let found = search(&bench, sought(attribute, value), None, 500).await;
            let indices: Vec<u64> =
                found.iter().filter(|(journal, ..)| *journal == au).map(|(_, index, _)| *index).collect();
            assert_eq!(indices, due, "{attribute}, indexed: {is_indexed}");
            for (since, until) in [(Some(middle), None), (None, Some(middle))] {
                let ranged = Sought::new(attribute, value, since, until).unwrap();
                let due = due.iter().filter(|at| ranged.covers(entries[usize::try_from(**at).unwrap()].at));
                let found = search(&bench, ranged.clone(), None, 500).await;
                let found = found.iter().filter(|(journal, ..)| *journal == au).map(|(_, index, _)| index);
                assert_eq!(found.collect::<Vec<_>>(), due.collect::<Vec<_>>(), "{attribute} in a range");
            }
        }
        let by_query = search(&bench, sought(Attribute::Query, &queries[3].resource()), None, 9).await;
        let by_request = "01010101-0101-0101-0000-000000000003";
        assert_eq!(by_query, search(&bench, sought(Attribute::Request, by_request), None, 9).await);
        assert_eq!(by_query.len(), 1);
        let place = format!("au-border/{}", by_query[0].1);
        assert_eq!(by_query, search(&bench, sought(Attribute::Index, &place), None, 9).await);
        let refused = search(&bench, sought(Attribute::Kind, "query.refused"), None, 100).await;
        assert_eq!(refused.len(), 8);
        let mut by_visa = search(&bench, sought(Attribute::Officer, "visa"), None, 100).await;
        let founded = by_visa.pop().map(|(journal, ..)| journal);
        assert_eq!(
            (by_visa, founded),
            (refused, Some(Journal::Holder)),
            "what it did, and that it was added"
        );
        for nobody in ["C-30", "c-3", "C"] {
            assert_eq!(search(&bench, sought(Attribute::Case, nobody), None, 9).await, []);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hold_while_more_is_written_and_indexed() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = told(&bench).await;
    let whole = search(&bench, sought(Attribute::Official, "o-2"), None, 500).await;
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = search(&bench, sought(Attribute::Official, "o-2"), before, 4).await;
        let Some((.., last)) = page.last() else { break };
        before = Some(*last);
        paged.extend(page);
        if paged.len() < 9 {
            let _ = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
            let _ = bench.store.tags_index().await.unwrap();
        }
    }
    assert_eq!(paged, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_the_log_sees_every_entry_once_in_the_order_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = told(&bench).await;
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    let wanted = "SELECT j.name, e.idx FROM entries e JOIN journals j ON j.id = e.journal ORDER BY e.id";
    let mut wanted = sql.prepare(wanted).unwrap();
    let wanted = wanted.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))).unwrap();
    let wanted: Vec<_> = wanted.map(Result::unwrap).collect();
    assert!(wanted.len() > 70);
    for limit in [1, 7, 1_000] {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let followed = bench.store.log_follow(after, limit).await.unwrap();
            found.extend(followed.entries.into_iter().map(|entry| (entry.journal.to_string(), entry.index)));
            match followed.last {
                Some(last) => after = last,
                None => break,
            }
        }
        assert_eq!(found, wanted, "{limit} at a time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_is_an_entry_by_which_it_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = told(&bench).await;
    let permit = bench.permit("mere", Action::SearchEntries, About::Service).await;
    let [since, until] = [10, 20_000].map(Timestamp::from_millis);
    let sought = Sought::new(Attribute::Case, "C-3", Some(since), Some(until)).unwrap();
    let search = Search { sought: sought.clone(), before: None, limit: 0, why: "complaint 17".to_owned() };
    let (searched, _) = bench.store.log_search(permit, search).await.unwrap().open().ok().unwrap();
    assert!(searched.found.is_empty(), "it was only to be kept");
    assert_eq!(bench.store.search_recall(searched.entry).await.unwrap(), Some(sought));
    for other in [0, searched.entry - 1, searched.entry + 1, u64::MAX >> 1] {
        assert_eq!(bench.store.search_recall(other).await.unwrap(), None, "entry {other} is no search");
    }
    let entry = &all(&bench, &Journal::Holder).await[usize::try_from(searched.entry).unwrap()];
    let said = |fact| entry.text_of(fact).unwrap().to_owned();
    assert_eq!((entry.kind, entry.actor.as_str()), (Kind::LogSearched, "mere"));
    assert_eq!(said(Fact::Value), "C-3");
    assert_eq!(said(Fact::Reason), "complaint 17");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lookup_of_a_search_goes_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = told(&bench).await;
    let _ = bench.store.tags_index().await.unwrap();
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    for (statement, steps) in [
        (
            tag_index::LOOK,
            &[
                "SEARCH tag_blocks USING PRIMARY KEY (run=? AND first>? AND first<?)",
                "SEARCH tag_blocks USING PRIMARY KEY (run=? AND first<?)",
            ][..],
        ),
        (NEWEST, &["SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"][..]),
        (RUNS, &["SEARCH tag_runs USING INTEGER PRIMARY KEY (rowid<?)"][..]),
        (
            FOLLOWING,
            &["SEARCH e USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)"]
                [..],
        ),
        (
            ONE,
            &["SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH j USING INTEGER PRIMARY KEY (rowid=?)"]
                [..],
        ),
        (tag_index::GONE, &["SEARCH entries USING INDEX entries_kept (class=? AND at_ms>? AND at_ms<?)"][..]),
    ] {
        let mut plan = sql.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let marks = plan.parameter_count();
        let values = rusqlite::params_from_iter(vec![1; marks]);
        let plan: Vec<String> =
            plan.query_map(values, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        for step in steps {
            assert!(plan.iter().any(|one| one == step), "`{statement}` should go by `{step}`: {plan:#?}");
        }
        let slow = |step: &&String| {
            step.starts_with("SCAN ") && !step.contains("CONSTANT") || step.contains("TEMP B-TREE")
        };
        assert_eq!(plan.iter().find(slow), None, "`{statement}` looks at more than it needs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_tags_are_indexed_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = told(&bench).await;
    assert!(bench.store.tags_index().await.unwrap() >= 2);
    assert_eq!(bench.store.tags_index().await.unwrap(), 0, "nothing is indexed twice");
    let root = crate::keys::RootKey::new(crate::secret::Secret::take(&mut [1; 32]));
    let report = fsck(folder.path(), root, &mut |_, _, _| {}).unwrap();
    // A question here has no digest of its content that follows from its entry.
    let of_tags =
        |fault: &&Fault| fault.what.contains("tag") || matches!(fault.place, FaultPlace::Row { .. });
    assert_eq!(report.faults.iter().find(of_tags), None);
    assert!(report.counts.tags > 300, "{:?}", report.counts);
}
