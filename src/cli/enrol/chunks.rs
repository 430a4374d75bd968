//! People in chunks: what goes in one message, read ahead of the wire.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::people::{People, Person};
use crate::cli::fault::CliError;
use crate::cli::formats::{Reject, Row, TemplateRow};
use crate::grpc::pb::enrolment as pb;

/// What goes in one message, and what was rejected on the way.
#[derive(Default)]
pub(super) struct Chunk {
    /// The number of people before it in the batch.
    pub first_row: u64,
    /// The people; possibly none.
    pub subjects: Vec<pb::SubjectInput>,
    /// Where each of them stands in the input.
    pub places: Vec<Place>,
    /// Rows that were rejected while it was read.
    pub rejects: Vec<Reject>,
    /// How much of the file of templates was read.
    pub read_bytes: u64,
}

/// Where somebody stands in the input.
pub(super) struct Place {
    /// The line or row, from 1.
    pub line: u64,
    /// The source system's id.
    pub source_id: String,
}

/// Reads people into chunks and sends them on, leaving out the first `done` ones; ends when nobody takes them.
pub(super) fn read<I: Iterator<Item = Row<TemplateRow>>>(
    people: People<I>,
    position: &AtomicU64,
    done: u64,
    chunk_people: usize,
    sender: &mpsc::Sender<Result<Chunk, CliError>>,
) {
    let mut chunk = Chunk { first_row: done, ..Chunk::default() };
    let (mut passed, mut chunk_bytes) = (0_u64, 0_usize);
    for person in people {
        match person {
            Ok(Ok(_)) if passed < done => passed = passed.saturating_add(1),
            Ok(Ok(person)) => {
                chunk_bytes = chunk_bytes.saturating_add(size(&person));
                let Person { line, subject } = person;
                chunk.places.push(Place { line, source_id: subject.source_id.clone() });
                chunk.subjects.push(subject);
            }
            Ok(Err(reject)) => chunk.rejects.push(reject),
            Err(error) => {
                // What was read before the damage is whole, and enrolled.
                chunk.read_bytes = position.load(Ordering::Relaxed);
                let damage = CliError::because("the input is damaged; what stands before is enrolled", error);
                let _ = sender.blocking_send(Ok(chunk)).and_then(|()| sender.blocking_send(Err(damage)));
                return;
            }
        }
        let full = chunk.subjects.len() >= chunk_people || chunk_bytes >= CHUNK_MAX_BYTES;
        if full || chunk.rejects.len() >= REJECTS_MAX {
            chunk.read_bytes = position.load(Ordering::Relaxed);
            let sent = u64::try_from(chunk.subjects.len()).unwrap_or(u64::MAX);
            let next = Chunk { first_row: chunk.first_row.saturating_add(sent), ..Chunk::default() };
            if sender.blocking_send(Ok(std::mem::replace(&mut chunk, next))).is_err() {
                return;
            }
            chunk_bytes = 0;
        }
    }
    let short = passed < done;
    chunk.read_bytes = position.load(Ordering::Relaxed);
    if sender.blocking_send(Ok(chunk)).is_ok() && short {
        let what =
            format!("the batch has {done} people answered, and the input only {passed}; it is another input");
        let _ = sender.blocking_send(Err(CliError::Found(what)));
    }
}

/// About the bytes that somebody takes in a message.
fn size(person: &Person) -> usize {
    let embedding = |template: &pb::TemplateInput| match &template.form {
        Some(pb::template_input::Form::Embedding(embedding)) => embedding.values.len().saturating_mul(4),
        None => 0,
    };
    let templates: usize = person.subject.templates.iter().map(embedding).sum();
    let fields: usize = person.subject.fields.iter().map(|field| field.value.len()).sum();
    templates.saturating_add(fields)
}

/// Half of the 4 MiB that gRPC takes in one message by default.
const CHUNK_MAX_BYTES: usize = 2 * 1_024 * 1_024;
/// Keeps a file without one good row from filling the memory.
const REJECTS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::enrol::people::Records;
    use crate::cli::formats::jsonl;

    /// The first row and the source ids of each chunk, and the rejects in it.
    fn chunks(input: &str, done: u64, chunk_people: usize) -> Vec<Result<(u64, String, usize), String>> {
        let people = People::new(jsonl::templates(input.as_bytes()), Records::default(), None);
        let (sender, mut receiver) = mpsc::channel(64);
        read(people, &AtomicU64::new(0), done, chunk_people, &sender);
        drop(sender);
        let mut found = Vec::new();
        while let Ok(chunk) = receiver.try_recv() {
            found.push(chunk.map_err(|error| error.to_string()).map(|chunk| {
                let ids: Vec<_> = chunk.places.iter().map(|place| place.source_id.as_str()).collect();
                (chunk.first_row, ids.join(" "), chunk.rejects.len())
            }));
        }
        found
    }

    fn input(count: u64) -> String {
        (0..count).map(|number| format!("{{\"source_id\": \"p{number}\", \"embedding\": [1]}}\n")).collect()
    }

    #[test]
    fn rows_are_counted_over_the_whole_batch() {
        let all = chunks(&input(5), 0, 2);
        let due = [(0, "p0 p1", 0), (2, "p2 p3", 0), (4, "p4", 0)];
        assert_eq!(all, due.map(|(row, ids, rejects)| Ok((row, ids.to_owned(), rejects))));
        let rest = chunks(&input(5), 3, 2);
        let due = [(3, "p3 p4", 0), (5, "", 0)];
        assert_eq!(rest, due.map(|(row, ids, rejects)| Ok((row, ids.to_owned(), rejects))));
    }

    #[test]
    fn rejects_count_no_rows() {
        let input = format!("bad\n{}bad\n", input(1));
        assert_eq!(chunks(&input, 0, 2), [Ok((0, "p0".to_owned(), 2))]);
    }

    #[test]
    fn a_shorter_input_is_noticed() {
        let found = chunks(&input(2), 3, 2);
        assert!(found[1].as_ref().unwrap_err().contains("another input"), "{found:?}");
    }
}
