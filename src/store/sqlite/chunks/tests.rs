//! Plans that something came between.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::authz::{About, Action};
use crate::clock::Clock;
use crate::ids::{BatchId, RequestId};
use crate::store::Store;
use crate::store::conformance::{Bench, OFFICIAL, collection, first_generation};
use crate::store::enrolment::{BatchNew, BatchStarted, ChunksDone, Line};
use crate::store::receipt::Ticket;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::tests::founded_store;
use crate::template::synthetic;

async fn batch(bench: &Bench) -> BatchId {
    let name = collection();
    let permit = bench.permit("intake", Action::StartBatch, About::Collection { collection: &name }).await;
    let (created, official) = (bench.clock.now(), OFFICIAL.to_owned());
    let new = BatchNew { request: RequestId::from_bytes([5; 16]), collection: name, official, created };
    match bench.store.batch_start(permit, new).await.unwrap() {
        BatchStarted::Batch(batch) => batch.id,
        BatchStarted::OtherContent => panic!("it is a new batch"),
    }
}

async fn chunk(bench: &Bench, batch: BatchId, first_row: u64, people: &[&str]) -> (Permit, Chunk) {
    let name = collection();
    let permit = bench.permit("intake", Action::EnrolSubjects, About::Collection { collection: &name }).await;
    let template = || {
        let sample = synthetic::unit(&mut synthetic::rng(first_row), 256);
        synthetic::protected(&sample, &synthetic::transform(256, 7))
    };
    let subject = |person: &&str| SubjectNew {
        source: bench.keys.pseudonym(person),
        templates: vec![template(), template()],
        fields: Vec::new(),
        restrictions: Vec::new(),
    };
    let chunk = Chunk {
        batch,
        generation: first_generation(),
        first_row,
        rows: u32::try_from(people.len()).unwrap(),
        content: bench.keys.content_digest(format!("{first_row} {people:?}").as_bytes()),
        subjects: people.iter().map(subject).collect(),
        rejected: Vec::new(),
    };
    (permit, chunk)
}

async fn planned(store: &SqliteStore, chunks: Vec<(Permit, Chunk)>) -> Plan {
    let context = Arc::clone(&store.context);
    store.readers.read(move |sql| Plan::make(&context, sql, chunks, &Foreseen::default())).await.unwrap()
}

async fn written(store: &SqliteStore, plan: Plan) -> (Written, bool) {
    let (written, receipt) =
        store.writer.with_ticket(Ticket::next(), move |tx| plan.write(tx)).await.unwrap();
    (written, receipt.is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_something_came_between_writes_nothing_and_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let id = batch(&bench).await;
    let done = bench.chunks_enrol(vec![chunk(&bench, id, 0, &["a", "b"]).await]).await.unwrap();
    assert_eq!(done.change.added.len(), 4);

    // Somebody is erased meanwhile.
    let plan = planned(&store, vec![chunk(&bench, id, 2, &["a", "c"]).await]).await;
    let permit = bench.permit("intake", Action::EraseSubject, About::Service).await;
    let _erased =
        bench.store.subject_erase(permit, bench.keys.pseudonym("a"), "asked to".to_owned()).await.unwrap();
    let (Written::Stale(again), false) = written(&store, plan).await else {
        panic!("a plan must not be written for somebody who was erased")
    };
    assert_eq!(again.iter().map(|(_, chunk)| chunk.subjects.len()).collect::<Vec<_>>(), [2]);
    let rows = bench.store.batch_get("intake".parse().unwrap(), id).await.unwrap().unwrap().rows_done;
    assert_eq!(rows, 2, "nothing was written");

    // Another chunk is written meanwhile: rows and numbers are taken.
    let plan = planned(&store, again).await;
    let other = planned(&store, vec![chunk(&bench, id, 2, &["d"]).await]).await;
    assert!(matches!(written(&store, other).await, (Written::Done(..), true)));
    let (Written::Stale(again), false) = written(&store, plan).await else {
        panic!("a plan must not be written behind another one")
    };
    // Made anew it says what stands against it.
    let (Written::Done(done, change), false) = written(&store, planned(&store, again).await).await else {
        panic!("a plan that nothing came between is written")
    };
    assert!(matches!(done[..], [ChunkDone::OutOfOrder { rows_done: 3 }]) && change.added.is_empty());
}

async fn planned_behind(store: &SqliteStore, ahead: &Plan, chunks: Vec<(Permit, Chunk)>) -> Planned {
    store.chunks_plan(chunks, ahead.after()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_made_while_another_is_on_its_way_follows_on_it_and_on_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let id = batch(&bench).await;
    let first = planned(&store, vec![chunk(&bench, id, 0, &["a", "b"]).await]).await;
    let behind = vec![chunk(&bench, id, 2, &["c"]).await, chunk(&bench, id, 3, &["d", "e"]).await];
    let Planned::Ready(second) = planned_behind(&store, &first, behind).await else {
        panic!("they are about others")
    };
    assert_eq!(second.first_slot, first.first_slot + 4);
    let same = vec![chunk(&bench, id, 2, &["b"]).await];
    let Planned::Meets(same) = planned_behind(&store, &first, same).await else {
        panic!("nobody is new who is on the way already")
    };
    assert_eq!(same[0].1.subjects.len(), 1, "nothing is lost by it");

    // The first is never written, or not yet.
    let (Written::Stale(second), false) = written(&store, second).await else {
        panic!("nothing is written with a gap before it")
    };
    let Planned::Ready(second) = planned_behind(&store, &first, second).await else {
        panic!("they are about others still")
    };
    assert!(matches!(written(&store, first).await, (Written::Done(..), true)));
    let (Written::Done(done, change), true) = written(&store, second).await else {
        panic!("it follows on what is written now")
    };
    assert!(matches!(done[..], [ChunkDone::Enrolled { .. }, ChunkDone::Enrolled { .. }]));
    assert_eq!(change.added.iter().map(|one| one.slot).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chunks_in_line_are_written_in_their_order_also_about_the_same_people() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let (id, order, store) = (batch(&bench).await, Arc::default(), Arc::new(store));
    let (mut told, mut enrolling) = (Vec::new(), Vec::new());
    for nth in 0..30_u64 {
        // Every third is about somebody of the one before.
        let person = nth - u64::from(nth % 3 == 2);
        let chunks = vec![chunk(&bench, id, nth, &[&format!("p-{person}")]).await];
        let (line, lined_up) = Line::new(Arc::clone(&order));
        let store = Arc::clone(&store);
        // The place is given back as soon as it is written.
        enrolling.push(tokio::spawn(async move { store.chunks_enrol(chunks, line).await.unwrap().0 }));
        lined_up.await.unwrap();
    }
    for (nth, one) in (0..).zip(enrolling) {
        let ChunksDone { done, change, receipt } = one.await.unwrap();
        let [ChunkDone::Enrolled { batch }] = &done[..] else { panic!("chunk {nth} follows") };
        assert_eq!(batch.rows_done, nth + 1);
        let replaced = if nth % 3 == 2 { 2 } else { 0 };
        assert_eq!((change.added.len(), change.removed.len(), receipt.is_some()), (2, replaced, true));
        told.extend(change.added.iter().map(|one| one.slot));
    }
    assert!(told.is_sorted() && told.len() == 60, "templates are numbered as they are committed");
    let loaded = bench.store.gallery_load(collection(), 0, 100).await.unwrap();
    assert_eq!(loaded.len(), 40, "twenty people, with two templates each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_people_enrolled_together_begin_alike_and_are_otherwise_random() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let id = batch(&bench).await;
    let mut beginnings = HashSet::new();
    let mut rest = HashSet::new();
    for (first_row, people) in [(0, ["a", "b", "c"]), (3, ["d", "e", "f"])] {
        let plan = planned(&store, vec![chunk(&bench, id, first_row, &people).await]).await;
        for subject in &plan.chunks[0].subjects {
            let (beginning, own) = subject.id.as_bytes().split_at(ID_TOGETHER_BYTES);
            beginnings.insert(beginning.to_vec());
            rest.insert(own.to_vec());
        }
        assert!(matches!(written(&store, plan).await, (Written::Done(..), true)));
    }
    assert_eq!((beginnings.len(), rest.len()), (2, 6));
}
