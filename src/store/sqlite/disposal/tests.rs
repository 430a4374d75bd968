//! What is left of payloads on the disk, before and after: looked for in every file of the store's folder.

mod copies;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;

use super::*;
use crate::approval::State;
use crate::audit::journal::{Report, verify_export};
use crate::audit::receipt::Receipt;
use crate::authz::{About, Action, Role};
use crate::clock::{Clock, date_of};
use crate::ids::{ActorName, SubjectId};
use crate::store::change::{Change, ChangeNew, Ended};
use crate::store::conformance::Bench;
use crate::store::disclosure::{Decided, Released, Requested, Stepped};
use crate::store::log::{Proofs, Read};
use crate::store::query::{Answer, Verdict};
use crate::store::sqlite::files;
use crate::store::sqlite::tests::{founded, founded_store, open_at};
use crate::store::{ChangeEnd, ProvenEntry, Store};
use crate::template::synthetic;

const DAY: Duration = Duration::from_secs(86_400);

fn no_hit() -> Verdict {
    Verdict { answer: Answer::NoHit, subject: None, hidden: None }
}

fn hit(subject: SubjectId) -> Verdict {
    Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }
}

/// Two days of work: two hits, a stranger and a refusal of one partner, a question of another, one disclosure that
/// was released and one that was denied; and one question on the day after.
async fn two_days(bench: &Bench) -> Date {
    let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
    let (first, ..) = bench.ask(hit(subject)).await;
    let (second, ..) = bench.ask(hit(subject)).await;
    let _ = bench.ask(no_hit()).await;
    let _ = bench.ask_of("visa", "ca-border-identity", "visa-identity", no_hit()).await;
    refuse(bench, "border").await;
    let Requested::Kept(case) = bench.disclosure(first).await else { panic!("a hit is kept") };
    let Decided::Kept(case) = bench.decide(&case, "sione", true).await else { panic!("a first decides") };
    let Decided::Kept(case) = bench.decide(&case, "grace", true).await else { panic!("a second decides") };
    let Released::Sealed(case) = bench.release(&case).await else { panic!("it is released") };
    acknowledge(bench, &case).await;
    let Requested::Kept(case) = bench.disclosure(second).await else { panic!("a hit is kept") };
    let Decided::Kept(case) = bench.decide(&case, "sione", false).await else { panic!("one denies") };
    assert_eq!(case.disclosure.state(), State::Denied);
    bench.clock.advance(DAY);
    let _ = bench.ask(no_hit()).await;
    date_of(bench.clock.now().day())
}

async fn refuse(bench: &Bench, who: &str) {
    let registry = bench.store.registry_load().await.unwrap();
    let actor = registry.actor(registry.person(&who.parse().unwrap()).unwrap());
    let reason = crate::authz::Reason::PurposeNotInAgreement;
    let rule = "query-purpose".to_owned();
    let _receipt = bench.store.refusal_record(actor, Action::AskQuery, reason, rule).await.unwrap();
}

async fn acknowledge(bench: &Bench, case: &crate::store::Case) {
    let id = case.disclosure.request().disclosure();
    let permit = bench.own_permit(Action::FetchRelease, case).await;
    let (release, _) = bench.store.release_fetch(permit, id).await.unwrap().open().ok().unwrap();
    let digest = crate::ids::Digest::sha256(&release.unwrap().ciphertext);
    let permit = bench.own_permit(Action::AcknowledgeRelease, case).await;
    let (done, _) = bench.store.release_acknowledge(permit, id, digest).await.unwrap().open().ok().unwrap();
    assert!(matches!(done, Stepped::Done(_)));
}

/// As an administrator proposes it and a privacy officer confirms it.
async fn propose(bench: &Bench, class: PayloadClass, before: Date) -> ChangeId {
    let id = ChangeId::from_bytes(crate::secret::random_bytes(&crate::secret::SystemEntropy::new()).unwrap());
    let change = Change::Dispose { class, before };
    let new = ChangeNew { id, change, reason: "their time is over".to_owned(), signature: vec![1; 64] };
    let permit = bench.permit("ana", Action::ProposeChange, About::Service).await;
    let _ = bench.store.change_propose(permit, new).await.unwrap();
    id
}

async fn confirmation(bench: &Bench, id: ChangeId, class: PayloadClass, before: Date) -> (Permit, ChangeEnd) {
    let proposed_by: ActorName = "ana".parse().unwrap();
    let proposer_role = Role::Administrator;
    let about = About::Change { kind: "dispose", proposed_by: &proposed_by, proposer_role };
    let permit = bench.permit("mere", Action::ConfirmChange, about).await;
    let leave = bench.rules.disposable(class, before, bench.clock.now()).expect("its time is over");
    (permit, ChangeEnd::Confirm { id, signature: vec![2; 64], leave: Some(leave) })
}

async fn dispose(bench: &Bench, class: PayloadClass, before: Date) -> Ended {
    let id = propose(bench, class, before).await;
    let (permit, end) = confirmation(bench, id, class, before).await;
    bench.store.change_end(permit, end).await.unwrap().open().ok().unwrap().0
}

/// Pieces of what must not be left: wrapped keys, sealed openings, outcomes, bodies, steps, tags.
fn pieces(folder: &Path, class: PayloadClass, before: Date) -> HashSet<[u8; PIECE]> {
    let [data, keys] = files(folder).map(|path| Connection::open(path).unwrap());
    let (number, day) = (class.number(), day_of(before));
    let end = Timestamp::at_day(day).as_millis();
    let mut found = Vec::new();
    let mut take = |sql: &Connection, statement: &str, values: &[&dyn rusqlite::ToSql]| {
        let mut statement = sql.prepare(statement).unwrap();
        let rows = statement.query_map(values, |row| row.get::<_, Vec<u8>>(0)).unwrap();
        found.extend(rows.map(Result::unwrap));
    };
    take(&keys, "SELECT wrapped FROM payload_keys WHERE class = ?1 AND day < ?2", &[&number, &day]);
    for column in ["partner_opening", "holder_opening"] {
        let statement = format!("SELECT {column} FROM entries WHERE class = ?1 AND at_ms < ?2");
        take(&data, &statement, &[&number, &end]);
    }
    match class {
        PayloadClass::Query => take(&data, "SELECT outcome FROM queries WHERE received_ms < ?1", &[&end]),
        PayloadClass::Disclosure => {
            take(&data, "SELECT body FROM disclosures WHERE created_ms < ?1", &[&end]);
            take(&data, "SELECT step FROM disclosure_steps", &[]);
        }
        _ => {}
    }
    found.iter().flat_map(|bytes| bytes.as_chunks::<PIECE>().0.to_vec()).collect()
}

/// Those of the pieces that lie in any file of the folder.
fn lying(folder: &Path, pieces: &HashSet<[u8; PIECE]>) -> HashSet<[u8; PIECE]> {
    let mut found = HashSet::new();
    let listed = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in listed.filter(|path| path.is_file()) {
        let bytes = std::fs::read(path).unwrap();
        found.extend(bytes.array_windows::<PIECE>().filter(|window| pieces.contains(*window)));
    }
    found
}

/// Long enough that no two pieces of ciphertext are alike by chance.
const PIECE: usize = 24;

async fn entries(bench: &Bench, journal: Journal) -> Vec<ProvenEntry> {
    let permit = bench.permit("mere", Action::ListEntries, About::Service).await;
    let why = "a test looks".to_owned();
    let read = Read { journal, from: 0, limit: 1_000, proofs: Proofs::Each, why };
    bench.store.log_read(permit, read).await.unwrap().open().ok().unwrap().0
}

fn disposals(entries: &[ProvenEntry]) -> Vec<&Event> {
    let events = entries.iter().filter_map(|entry| entry.event.as_ref());
    events.filter(|event| event.kind == Kind::PayloadsDisposed).collect()
}

async fn verified(bench: &Bench, journal: Journal) -> Report {
    let key = bench.verifier(journal.clone()).await;
    let permit = bench.permit("mere", Action::ExportJournal, About::Service).await;
    let why = "a test exports".to_owned();
    let (plan, _) = bench.store.log_export(permit, journal, why).await.unwrap().open().ok().unwrap();
    let mut export = BTreeMap::new();
    for file in &plan.files {
        let bytes = bench.store.export_file(plan.clone(), file.clone()).await.unwrap();
        export.insert(file.path.clone(), bytes);
    }
    verify_export(&export, &key, &mut |_, _| (), &mut |_, _, _| ()).expect("the export should verify")
}

fn partner(name: &str) -> Journal {
    Journal::Partner(name.parse().unwrap())
}

/// The clock years later, when what is from before `before` may go.
fn years_later(bench: &Bench, class: PayloadClass, before: Date) {
    let days =
        day_of(before) + i64::from(bench.rules.payload_retention(class).days) - bench.clock.now().day();
    bench.clock.advance(DAY * u32::try_from(days).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disposed_queries_are_in_no_file_and_their_totals_stay() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let before = two_days(&bench).await;
    let class = PayloadClass::Query;
    let pieces = pieces(folder.path(), class, before);
    // Fifteen openings and outcomes of hundreds of bytes each; pieces that a page's end cuts are not whole.
    let there = lying(folder.path(), &pieces).len();
    assert!(pieces.len() > 100 && there * 100 >= pieces.len() * 90, "{there} of {} are there", pieces.len());
    years_later(&bench, class, before);
    let facts = bench.store.payloads_get(class, day_of(before)).await.unwrap();
    assert_eq!((facts.days, facts.entries, facts.needed), (1, 5, None));
    let heads = bench.store.journal_list().await.unwrap();

    assert!(matches!(dispose(&bench, class, before).await, Ended::Done(..)));

    let left = lying(folder.path(), &pieces);
    assert!(left.is_empty(), "{} of {} pieces are left on the disk", left.len(), pieces.len());
    let facts = bench.store.payloads_get(class, day_of(before)).await.unwrap();
    assert_eq!((facts.days, facts.entries, facts.unfinished), (0, 0, Unfinished::No));
    assert_eq!(facts.oldest, Some(day_of(before)), "the day after is kept");

    let au = entries(&bench, partner("au-border")).await;
    let own = disposals(&au);
    let lines = "2026-09 au-border - - query.refused 1\n\
                 2026-09 au-border au-border-identity border-identity hits 2\n\
                 2026-09 au-border au-border-identity border-identity query.answered 3\n";
    let [own] = own[..] else { panic!("one entry for the partner, not {}", own.len()) };
    assert_eq!((own.text_of(Fact::Totals), own.number_of(Fact::Entries)), (Some(lines), Some(4)));
    let holder = entries(&bench, Journal::Holder).await;
    let [whole] = disposals(&holder)[..] else { panic!("one entry for the holder") };
    let all = format!("{lines}2026-09 ca-border ca-border-identity visa-identity query.answered 1\n");
    assert_eq!((whole.text_of(Fact::Totals), whole.number_of(Fact::Entries)), (Some(all.as_str()), Some(5)));
    assert_eq!(
        (whole.text_of(Fact::Class), whole.text_of(Fact::Before), whole.text_of(Fact::Reason)),
        (Some("query"), Some("2026-09-22"), Some("their time is over"))
    );
    assert!(
        whole.text_of(Fact::Detail).unwrap().contains("query-log, 2557 days: Example disposal authority")
    );

    // The partner's own side says the partner's own numbers, and nothing of who confirmed or why.
    let journal = bench.store.journal_read("au-border".parse().unwrap(), 0, 100).await.unwrap();
    let shared = journal.last().unwrap().opening.as_ref().unwrap().event().unwrap();
    assert_eq!((shared.kind, shared.actor.as_str()), (Kind::PayloadsDisposed, SYSTEM_ACTOR));
    assert_eq!((shared.text_of(Fact::Totals), shared.fact(Fact::Reason)), (Some(lines), None));
    assert!(!format!("{:?}", shared.render()).contains("ca-border"));

    // Disposed, kept, and what was never of the class.
    let opened: Vec<bool> = journal.iter().map(|entry| entry.opening.is_some()).collect();
    assert_eq!(&opened[..4], [false; 4], "the first day's queries and refusal");
    assert!(
        opened[4..].iter().all(|opened| *opened),
        "disclosures, the next day's query and the totals: {opened:?}"
    );
    let disposed = &au[0];
    assert!(disposed.event.is_none() && disposed.at.day() == day_of(before) - 1);
    let receipt = Receipt::parse(disposed.proof.as_ref().unwrap()).unwrap();
    let proven = receipt.verify(&bench.verifier(partner("au-border")).await).unwrap();
    assert_eq!(
        (proven.index, proven.event),
        (0, None),
        "its place is proven though it says nothing any more"
    );
    for head in heads {
        let report = verified(&bench, head.journal.clone()).await;
        assert!(report.size >= head.size, "{}", head.journal);
        let gone = if head.journal == partner("au-border") { 4 } else { 0 };
        let gone = if head.journal == partner("ca-border") { 1 } else { gone };
        assert_eq!(report.opened, report.size - gone, "{}", head.journal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disposed_disclosures_are_in_no_file_and_are_counted_by_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let before = two_days(&bench).await;
    let class = PayloadClass::Disclosure;
    let pieces = pieces(folder.path(), class, before);
    let there = lying(folder.path(), &pieces).len();
    assert!(pieces.len() > 100 && there * 100 >= pieces.len() * 90, "{there} of {} are there", pieces.len());
    years_later(&bench, class, before);
    assert!(matches!(dispose(&bench, class, before).await, Ended::Done(..)));
    let left = lying(folder.path(), &pieces);
    assert!(left.is_empty(), "{} of {} pieces are left on the disk", left.len(), pieces.len());
    let holder = entries(&bench, Journal::Holder).await;
    let [whole] = disposals(&holder)[..] else { panic!("one entry for the holder") };
    let totals = whole.text_of(Fact::Totals).unwrap();
    for line in [
        "2026-09 au-border au-border-identity border-identity disclosure.requested 2\n",
        "2026-09 au-border au-border-identity border-identity ended-acknowledged 1\n",
        "2026-09 au-border au-border-identity border-identity ended-denied 1\n",
        "2026-09 au-border - - disclosure.decided 3\n",
    ] {
        assert!(totals.contains(line), "`{line}` is not in:\n{totals}");
    }
    assert!(
        bench
            .store
            .disclosure_list(crate::store::CaseFilter { limit: 10, ..Default::default() })
            .await
            .unwrap()
            .is_empty()
    );
    let report = verified(&bench, partner("au-border")).await;
    assert!(report.opened < report.size);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_of_disposed_entries_are_gone_and_those_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let before = two_days(&bench).await;
    let count = |class: PayloadClass| -> i64 {
        let sql = Connection::open(&files(folder.path())[0]).unwrap();
        let tags = "SELECT coalesce(sum(length(tags)), 0) FROM entries WHERE class = ?1 AND at_ms < ?2";
        let values = params![class.number(), Timestamp::at_day(day_of(before)).as_millis()];
        sql.query_row(tags, values, |row| row.get(0)).unwrap()
    };
    let others = count(PayloadClass::Disclosure);
    assert!(count(PayloadClass::Query) > 10 && others > 10);
    years_later(&bench, PayloadClass::Query, before);
    for _ in 0..40 {
        refuse(&bench, "border").await;
    }
    assert!(bench.store.tags_index().await.unwrap() > 0, "nothing is indexed");
    let (indexed, rest) = indexed_pairs(folder.path(), PayloadClass::Query, before);
    assert!(indexed > 10 && rest > 10, "{indexed}, {rest}");
    let _ = dispose(&bench, PayloadClass::Query, before).await;
    assert_eq!((count(PayloadClass::Query), count(PayloadClass::Disclosure)), (0, others));
    assert_eq!(indexed_pairs(folder.path(), PayloadClass::Query, before), (0, rest));
    let report = crate::store::sqlite::fsck(folder.path(), root(), &mut |_, _, _| {}).unwrap();
    assert_eq!(report.faults.iter().find(|fault| fault.what.contains("tag")), None);
}

fn root() -> crate::keys::RootKey {
    crate::keys::RootKey::new(crate::secret::Secret::take(&mut [1; 32]))
}

/// How many tags of a span's entries stand in the index, and how many of others.
fn indexed_pairs(folder: &Path, class: PayloadClass, before: Date) -> (usize, usize) {
    use crate::store::sqlite::tag_index::{bounds, pairs_of, place, runs};
    let sql = Connection::open(&files(folder)[0]).unwrap();
    let (mut of_span, mut others) = (0, 0);
    for run in 0..runs(&sql).unwrap() {
        let (after, to) = bounds(run);
        let read = "SELECT id FROM entries WHERE class = ?1 AND at_ms < ?2 AND id > ?3 AND id <= ?4";
        let mut statement = sql.prepare(read).unwrap();
        let end = Timestamp::at_day(day_of(before)).as_millis();
        let rows = statement.query_map(params![class.number(), end, after, to], |row| row.get(0)).unwrap();
        let places: HashSet<u16> = rows.map(|id| place(id.unwrap(), after).unwrap()).collect();
        let mut blocks = sql.prepare("SELECT pairs FROM tag_blocks WHERE run = ?1").unwrap();
        let blocks = blocks.query_map(params![run], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        for pair in blocks.flat_map(|block| pairs_of(&block.unwrap()).collect::<Vec<_>>()) {
            if places.contains(&pair.place()) { of_span += 1 } else { others += 1 }
        }
    }
    (of_span, others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_needed_is_not_disposed_of() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
    let (query, ..) = bench.ask(hit(subject)).await;
    let Requested::Kept(case) = bench.disclosure(query).await else { panic!("a hit is kept") };
    let id = case.disclosure.request().disclosure();
    bench.clock.advance(DAY);
    let before = date_of(bench.clock.now().day());
    years_later(&bench, PayloadClass::Disclosure, before);
    for class in [PayloadClass::Query, PayloadClass::Disclosure] {
        let facts = bench.store.payloads_get(class, day_of(before)).await.unwrap();
        assert!(facts.needed.unwrap().contains(&id.resource()), "{class}");
        let Ended::StillNeeded(what) = dispose(&bench, class, before).await else { panic!("{class} went") };
        assert!(what.contains("has not ended"), "{what}");
        assert!(bench.store.payloads_get(class, day_of(before)).await.unwrap().entries > 0);
    }
    let proposed = propose(&bench, PayloadClass::Access, before).await;
    bench.clock.advance(DAY * 36_525);
    let later = date_of(bench.clock.now().day() - 20_000);
    let facts = bench.store.payloads_get(PayloadClass::Administration, day_of(later)).await.unwrap();
    assert!(facts.needed.unwrap().contains("changes/"), "{} and others wait", proposed.resource());
    let _ = bench.store.disclosure_expire(id, bench.clock.now()).await.unwrap();
    for class in [PayloadClass::Query, PayloadClass::Disclosure] {
        assert_eq!(bench.store.payloads_get(class, day_of(before)).await.unwrap().needed, None);
    }
    // It began on a day that goes and ended on one that stays: its body goes with the day of its end.
    assert!(matches!(dispose(&bench, PayloadClass::Disclosure, before).await, Ended::Done(..)));
    assert!(bench.store.disclosure_get(id).await.unwrap().is_some());
    assert!(matches!(dispose(&bench, PayloadClass::Query, before).await, Ended::Done(..)));
    assert!(matches!(dispose(&bench, PayloadClass::Query, before).await, Ended::NothingToChange));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disposal_that_a_crash_cut_short_is_finished_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let before = two_days(&bench).await;
    let class = PayloadClass::Query;
    let pieces = pieces(folder.path(), class, before);
    years_later(&bench, class, before);
    let id = propose(&bench, class, before).await;
    let (permit, end) = confirmation(&bench, id, class, before).await;
    // The transaction alone, as if the process had ended with its commit.
    let ended =
        store.writer.logged(move |tx| crate::store::sqlite::change::end(tx, &permit, &end)).await.unwrap();
    assert!(matches!(ended.open().ok().unwrap().0, Ended::Done(..)));
    let now = bench.clock.now();
    let facts = bench.store.payloads_get(class, day_of(before)).await.unwrap();
    assert_eq!((facts.days, facts.unfinished), (1, Unfinished::Yes));
    drop((bench, store));
    assert!(!lying(folder.path(), &pieces).is_empty(), "nothing was destroyed yet");

    let store = open_at(folder.path(), 1, now).unwrap();
    assert!(lying(folder.path(), &pieces).is_empty(), "the start should have finished it");
    let facts = store.payloads_get(class, day_of(before)).await.unwrap();
    assert_eq!((facts.days, facts.entries, facts.unfinished), (0, 0, Unfinished::No));
    let read = store.journal_read("au-border".parse().unwrap(), 0, 100).await.unwrap();
    assert!(read[0].opening.is_none() && read.last().unwrap().opening.is_some());
    drop(store);

    // And once more from the middle: finished work is found finished.
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    assert_eq!(sql.execute("UPDATE disposals SET state = 'due'", []).unwrap(), 1);
    drop(sql);
    let store = open_at(folder.path(), 1, now).unwrap();
    assert_eq!(store.disposals_finish().await.unwrap(), 0, "nothing is due after the start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opening_that_is_gone_without_a_disposal_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let _ = two_days(&bench).await;
    let sql = Connection::open(&files(folder.path())[0]).unwrap();
    assert!(
        sql.execute(
            "UPDATE entries SET tags = NULL, partner_opening = NULL, holder_opening = NULL WHERE class = 1",
            []
        )
        .unwrap()
            > 0
    );
    drop(sql);
    let read = bench.store.journal_read("au-border".parse().unwrap(), 0, 100).await;
    assert!(matches!(read.err(), Some(StoreError::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_a_disposed_query_not_even_that_it_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
    let (query, ..) = bench.ask(hit(subject)).await;
    bench.clock.advance(DAY);
    let before = date_of(bench.clock.now().day());
    let partner: PartnerName = "au-border".parse().unwrap();
    assert!(bench.store.query_agreement(partner.clone(), query).await.unwrap().is_some());
    years_later(&bench, PayloadClass::Query, before);
    assert!(matches!(dispose(&bench, PayloadClass::Query, before).await, Ended::Done(..)));
    assert!(bench.store.query_agreement(partner, query).await.unwrap().is_none());
}
