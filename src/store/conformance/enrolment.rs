//! What every store must do with chunks that come together.

use super::*;

/// The rows of a chunk: each a person of this name, and one row that was rejected.
async fn chunk(bench: &Bench, batch: BatchId, first_row: u64, people: &[&str]) -> (Permit, Chunk) {
    let name = collection();
    let about = About::Collection { collection: &name };
    let permit = bench.permit("intake", Action::EnrolSubjects, about).await;
    let subject = |person: &&str| bench.subject(&mut synthetic::rng(first_row), person, &[]);
    let accepted = u32::try_from(people.len()).unwrap();
    let chunk = Chunk {
        batch,
        generation: first_generation(),
        first_row,
        rows: accepted + 1,
        content: bench.keys.content_digest(format!("{first_row} {people:?}").as_bytes()),
        subjects: people.iter().map(subject).collect(),
        rejected: vec![(first_row + u64::from(accepted), "not finite".to_owned())],
    };
    (permit, chunk)
}

async fn batch(bench: &Bench) -> BatchId {
    let name = collection();
    let permit = bench.permit("intake", Action::StartBatch, About::Collection { collection: &name }).await;
    let (created, official) = (bench.clock.now(), OFFICIAL.to_owned());
    let new = BatchNew { request: request_id(), collection: name, official, created };
    match bench.store.batch_start(permit, new).await.unwrap() {
        BatchStarted::Batch(batch) => batch.id,
        BatchStarted::OtherContent => panic!("it is a new batch"),
    }
}

async fn loaded(bench: &Bench) -> Vec<u64> {
    let loaded = bench.store.gallery_load(collection(), 0, 100).await.unwrap();
    loaded.into_iter().map(|one| one.slot).collect()
}

/// Chunks that come together are enrolled as one after the other; behind one that does not follow, nothing is.
pub(crate) async fn chunks_that_come_together_are_enrolled_in_their_order(bench: Bench) {
    let id = batch(&bench).await;
    let together = vec![chunk(&bench, id, 0, &["a", "b"]).await, chunk(&bench, id, 3, &["c"]).await];
    let ChunksDone { receipt, done, change } = bench.chunks_enrol(together).await.unwrap();
    assert!(receipt.is_some(), "what is enrolled has an entry");
    let rows: Vec<_> = done.iter().map(rows_done).collect();
    assert_eq!(rows, [Some((3, 2)), Some((5, 3))], "each is answered as if it came alone");
    assert_eq!((change.added.len(), change.removed.len()), (3, 0));
    assert_eq!(loaded(&bench).await, [1, 2, 3], "templates are numbered as they came");

    // The last one again, the next, one that leaves a gap, and one that would follow on the one before the gap.
    let together = vec![
        chunk(&bench, id, 3, &["c"]).await,
        chunk(&bench, id, 5, &["d"]).await,
        chunk(&bench, id, 9, &["e"]).await,
        chunk(&bench, id, 7, &["f"]).await,
    ];
    let ChunksDone { done, change, .. } = bench.chunks_enrol(together).await.unwrap();
    assert!(matches!(done[0], ChunkDone::Repeated { .. }));
    assert_eq!(rows_done(&done[1]), Some((7, 4)));
    for refused in &done[2..] {
        assert!(matches!(refused, ChunkDone::OutOfOrder { rows_done: 7 }));
    }
    assert_eq!((change.added.len(), loaded(&bench).await.len()), (1, 4));

    let nobodys = vec![chunk(&bench, BatchId::from_bytes([9; 16]), 0, &["g"]).await];
    let ChunksDone { receipt, done, change } = bench.chunks_enrol(nobodys).await.unwrap();
    assert!(matches!(done[..], [ChunkDone::NoBatch]));
    assert!(receipt.is_none() && change.added.is_empty(), "nothing was enrolled, so there is no entry");
}

/// A person who stands twice in what is written together is one person, with what the later row says.
pub(crate) async fn a_person_who_comes_twice_together_is_one(bench: Bench) {
    let id = batch(&bench).await;
    let together =
        vec![chunk(&bench, id, 0, &["a", "b", "a"]).await, chunk(&bench, id, 4, &["b", "c"]).await];
    let ChunksDone { done, change, .. } = bench.chunks_enrol(together).await.unwrap();
    assert_eq!(rows_done(&done[1]), Some((7, 5)));
    let added: Vec<_> = change.added.iter().map(|added| added.slot).collect();
    assert!(change.removed.is_empty(), "what was never searched is not taken out");
    assert_eq!(added, [3, 4, 5], "of each the later row counts");
    assert_eq!(loaded(&bench).await, added, "and the store holds what the gallery is told");
    for person in ["a", "b", "c"] {
        let facts = bench.store.subject_get(bench.keys.pseudonym(person)).await.unwrap().unwrap();
        assert_eq!(facts.templates, 1, "{person}");
    }

    // Enrolled again later: the template that is searched goes.
    let again = vec![chunk(&bench, id, 7, &["b", "b"]).await];
    let ChunksDone { change, .. } = bench.chunks_enrol(again).await.unwrap();
    let removed: Vec<_> = change.removed.iter().map(|(_, slot)| *slot).collect();
    assert_eq!((removed, change.added.len()), (vec![4], 1));
    assert_eq!(loaded(&bench).await, [3, 5, change.added[0].slot]);
}

fn rows_done(done: &ChunkDone) -> Option<(u64, u64)> {
    match done {
        ChunkDone::Enrolled { batch } => Some((batch.rows_done, batch.rows_accepted)),
        _ => None,
    }
}
