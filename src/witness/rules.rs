//! What a witness cosigns and what it refuses, in the order of C2SP tlog-witness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::folder::{Folder, FolderError};
use super::key::SigningKey;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::cosignature::WitnessKey;
use crate::audit::note::{NoteError, VerifierKey, claimed_origin, open_note_of};
use crate::audit::proof::verify_consistency;
use crate::audit::submission::Submission;
use crate::audit::tree::{Hash, empty_root};
use crate::clock::Clock;
use crate::telemetry;

/// A witness that does not start.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Its folder.
    #[error("the folder of the witness can't be used")]
    Folder(#[from] FolderError),
    /// A record that the witness did not write.
    #[error(
        "the record of `{0}` is not as this witness wrote it; a witness that lost its records must not go on with its key"
    )]
    Record(String),
}

/// What a witness answers, each with the status that the specification gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: the line with the cosignature.
    Cosigned(String),
    /// 400: not in its form, with what is wrong.
    Malformed(String),
    /// 403: none of the log's known keys signed it.
    NotSigned,
    /// 404: a log that this witness does not know.
    UnknownOrigin,
    /// 409: the witness saw this size last, or another root of it.
    Conflict(u64),
    /// 422: the checkpoint did not grow out of the one before, as far as the proof shows.
    Inconsistent,
    /// 500: what was seen could not be recorded, so nothing was cosigned.
    Failed,
}

/// A witness of some logs.
pub struct Witness {
    folder: Folder,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    logs: BTreeMap<String, Log>,
}

struct Log {
    keys: Vec<VerifierKey>,
    /// Held from the comparison until the new record is on the disk: one submission at a time.
    last: Mutex<Last>,
}

/// What was cosigned last.
#[derive(Clone, Copy)]
struct Last {
    size: u64,
    root: Hash,
    record: Record,
}

/// Whether the record on the disk is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Record {
    Known,
    /// Writing it failed; nothing is cosigned until a start afresh reads it.
    Unknown,
}

impl Witness {
    /// A witness of the logs with these keys; several keys of one name are one log's.
    ///
    /// # Errors
    /// [`WitnessError`] when the folder can't be used or a record in it is not this witness's.
    pub fn open(
        folder: Folder,
        key: SigningKey,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        let mut known: BTreeMap<String, Log> = BTreeMap::new();
        for log in logs {
            let origin = log.name().to_owned();
            if let Some(log_known) = known.get_mut(&origin) {
                log_known.keys.push(log);
                continue;
            }
            let last = match folder.record_read(&origin)? {
                None => Last { size: 0, root: empty_root(), record: Record::Known },
                Some(note) => recorded(&note, &origin, key.public())
                    .ok_or_else(|| WitnessError::Record(origin.clone()))?,
            };
            known.insert(origin, Log { keys: vec![log], last: Mutex::new(last) });
        }
        Ok(Self { folder, key, clock, logs: known })
    }

    /// The witness's own key.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        self.key.public()
    }

    /// Answers `add-checkpoint`. Reads and writes the disk, so it must not run where others wait.
    #[must_use]
    pub fn checkpoint_add(&self, body: &str) -> Answer {
        let submission = match Submission::parse(body) {
            Ok(submission) => submission,
            Err(error) => return Answer::Malformed(error.to_string()),
        };
        let origin = match claimed_origin(&submission.checkpoint) {
            Ok(origin) => origin,
            Err(error) => return Answer::Malformed(error.to_string()),
        };
        let Some(log) = self.logs.get(origin) else { return Answer::UnknownOrigin };
        let (text, signed) = match open_note_of(&submission.checkpoint, &log.keys) {
            Ok(opened) => opened,
            Err(NoteError::Unsigned(_) | NoteError::OtherKey { .. } | NoteError::Signature(_)) => {
                return Answer::NotSigned;
            }
            Err(error) => return Answer::Malformed(error.to_string()),
        };
        let checkpoint = match Checkpoint::parse_any(text) {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Answer::Malformed(error.to_string()),
        };
        if submission.old_size > checkpoint.size {
            return Answer::Malformed("the old size is larger than that of the checkpoint".to_owned());
        }
        let mut last = lock(&log.last);
        if last.record == Record::Unknown {
            return Answer::Failed;
        }
        if submission.old_size != last.size {
            return Answer::Conflict(last.size);
        }
        let note = format!("{text}\n{signed}");
        if checkpoint.size == last.size && last.size > 0 && checkpoint.root != last.root {
            self.fork_found(&checkpoint.origin, &note);
            return Answer::Conflict(last.size);
        }
        let Checkpoint { origin, size, root } = checkpoint;
        if verify_consistency(last.size, size, &submission.proof, &last.root, &root).is_err() {
            tracing::warn!(
                size,
                "a checkpoint came that did not grow out of the last one; it is not cosigned"
            );
            return Answer::Inconsistent;
        }
        let line = self.key.cosign(text, self.seconds());
        // INVARIANT: the record is durable before the cosignature leaves this function.
        if let Err(error) = self.folder.record_write(&origin, &format!("{note}{line}")) {
            last.record = Record::Unknown;
            tracing::error!(error = %telemetry::chain(&error), "nothing is cosigned for this log until the next start");
            return Answer::Failed;
        }
        *last = Last { size, root, record: Record::Known };
        Answer::Cosigned(line)
    }

    /// Two checkpoints of one size with two roots, both signed: the proof that the log has two faces.
    fn fork_found(&self, origin: &str, note: &str) {
        tracing::error!("a log signed two trees of one size; both checkpoints are kept in the folder");
        if let Err(error) = self.folder.fork_keep(origin, note) {
            tracing::error!(error = %telemetry::chain(&error), "the second checkpoint could not be kept");
        }
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(0) / MILLIS
    }
}

/// What a record says, if this witness wrote it.
fn recorded(note: &str, origin: &str, key: &WitnessKey) -> Option<Last> {
    key.on(note).ok()??;
    let (text, _) = note.rsplit_once("\n\n")?;
    let checkpoint = Checkpoint::parse_any(&format!("{text}\n")).ok()?;
    let Checkpoint { origin: found, size, root } = checkpoint;
    (found == origin).then_some(Last { size, root, record: Record::Known })
}

/// A thread that panicked while it held the lock changed nothing: the new state is set last.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const MILLIS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::audit::cosignature::cosigners;
    use crate::audit::note::{Ed25519Signer, NoteSigner, sign_note};
    use crate::audit::tree::{leaf_hash, node_hash};
    use crate::clock::{ManualClock, Timestamp};
    use crate::secret::SystemEntropy;

    const ORIGIN: &str = "immigration.example/onebit/holder";

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn log_key(seed: u8) -> VerifierKey {
        VerifierKey::new(ORIGIN, signer(seed).public_key()).unwrap()
    }

    fn witness(path: &Path) -> Witness {
        let (folder, key) = Folder::open(path).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_999)));
        Witness::open(folder, key, vec![log_key(1), log_key(2)], clock).unwrap()
    }

    fn new_folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        Folder::create(dir.path(), &SigningKey::new("w", &SystemEntropy::new()).unwrap()).unwrap();
        dir
    }

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&[number])).collect()
    }

    fn root(count: u8) -> Hash {
        match leaves(count).as_slice() {
            [] => empty_root(),
            [a] => *a,
            [a, b] => node_hash(a, b),
            [a, b, c] => node_hash(&node_hash(a, b), c),
            _ => panic!("three leaves are enough here"),
        }
    }

    fn note(size: u8, root: Hash) -> String {
        Checkpoint { origin: ORIGIN.to_owned(), size: size.into(), root }.sign(&signer(1))
    }

    fn body(old: u64, proof: &[Hash], note: String) -> String {
        Submission { old_size: old, proof: proof.to_vec(), checkpoint: note }.to_text()
    }

    fn cosigned(answer: &Answer) -> &str {
        match answer {
            Answer::Cosigned(line) => line,
            other => panic!("it should have been cosigned and not {other:?}"),
        }
    }

    #[test]
    fn what_grew_is_cosigned_and_remembered_across_a_restart() {
        let dir = new_folder();
        let first = witness(dir.path());
        let one = note(1, root(1));
        let line = cosigned(&first.checkpoint_add(&body(0, &[], one.clone()))).to_owned();
        let key = first.key().clone();
        let found = key.on(&(one.clone() + &line)).unwrap().unwrap();
        assert_eq!(found.seconds, 1_700_000_000);
        drop(first);
        let again = witness(dir.path());
        assert_eq!(again.checkpoint_add(&body(0, &[], one.clone())), Answer::Conflict(1));
        let three = note(3, root(3));
        let proof = [leaves(3)[1], leaves(3)[2]];
        let line = cosigned(&again.checkpoint_add(&body(1, &proof, three.clone()))).to_owned();
        assert_eq!(cosigners(&(three.clone() + &line), &[key]), Ok(vec!["w"]));
        assert_eq!(again.checkpoint_add(&body(1, &[], one)), Answer::Conflict(3), "it never goes back");
        let _repeated = cosigned(&again.checkpoint_add(&body(3, &[], three)));
    }

    #[test]
    fn each_refusal_of_the_specification_comes_in_its_order() {
        let dir = new_folder();
        let witness = witness(dir.path());
        let _first = cosigned(&witness.checkpoint_add(&body(0, &[], note(2, root(2)))));
        let malformed = |body: &str| matches!(witness.checkpoint_add(body), Answer::Malformed(_));
        assert!(malformed("") && malformed("old 2\n") && malformed(&body(2, &[], "x".to_owned())));
        assert!(malformed(&body(3, &[], note(2, root(2)))), "the old size is above the checkpoint's");
        assert!(malformed(&body(0, &[], sign_note(ORIGIN, &format!("{ORIGIN}\nx\n"), &signer(1)))));
        let unknown = Checkpoint { origin: "other".to_owned(), size: 1, root: root(1) }.sign(&signer(1));
        assert_eq!(witness.checkpoint_add(&body(9, &[], unknown)), Answer::UnknownOrigin);
        let stranger = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: root(3) }.sign(&signer(9));
        assert_eq!(witness.checkpoint_add(&body(2, &[], stranger)), Answer::NotSigned);
        let forged = note(2, root(2)).replacen("\n2\n", "\n3\n", 1);
        assert_eq!(witness.checkpoint_add(&body(2, &[], forged)), Answer::NotSigned);
        assert_eq!(witness.checkpoint_add(&body(0, &[], note(3, root(3)))), Answer::Conflict(2));
        assert_eq!(witness.checkpoint_add(&body(1, &[], note(3, root(3)))), Answer::Conflict(2));
        assert_eq!(witness.checkpoint_add(&body(2, &[], note(2, root(1)))), Answer::Conflict(2));
        let wrong = [leaves(3)[1]];
        assert_eq!(witness.checkpoint_add(&body(2, &wrong, note(3, root(3)))), Answer::Inconsistent);
        assert_eq!(witness.checkpoint_add(&body(2, &[], note(3, root(3)))), Answer::Inconsistent);
        let right = [leaves(3)[2]];
        assert_eq!(witness.checkpoint_add(&body(2, &right, note(3, root(1)))), Answer::Inconsistent);
        let _last = cosigned(&witness.checkpoint_add(&body(2, &right, note(3, root(3)))));
        let forks = fs::read_dir(dir.path().join("logs")).unwrap();
        let forks = forks.filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "fork").count();
        assert_eq!(forks, 1, "two signed roots of one size are kept as evidence");
    }

    #[test]
    fn an_empty_log_has_one_root_and_needs_no_proof() {
        let dir = new_folder();
        let witness = witness(dir.path());
        assert_eq!(witness.checkpoint_add(&body(0, &[], note(0, root(1)))), Answer::Inconsistent);
        let _empty = cosigned(&witness.checkpoint_add(&body(0, &[], note(0, root(0)))));
        assert_eq!(witness.checkpoint_add(&body(0, &[root(1)], note(1, root(1)))), Answer::Inconsistent);
        let _first = cosigned(&witness.checkpoint_add(&body(0, &[], note(1, root(1)))));
    }

    #[test]
    fn several_keys_of_one_log_and_extension_lines_are_taken() {
        let dir = new_folder();
        let witness = witness(dir.path());
        let text = format!("{ORIGIN}\n1\n{}\nan extension\n", root(1));
        let renewed = sign_note(ORIGIN, &text, &signer(2));
        let line = cosigned(&witness.checkpoint_add(&body(0, &[], renewed.clone()))).to_owned();
        assert!(
            witness.key().on(&(renewed + &line)).unwrap().is_some(),
            "extension lines are cosigned as well"
        );
        drop(witness);
        let again = self::witness(dir.path());
        assert_eq!(again.checkpoint_add(&body(0, &[], note(1, root(1)))), Answer::Conflict(1));
    }

    #[test]
    fn a_record_that_was_changed_keeps_the_witness_from_starting() {
        let dir = new_folder();
        let first = witness(dir.path());
        let _first = cosigned(&first.checkpoint_add(&body(0, &[], note(1, root(1)))));
        drop(first);
        let record = fs::read_dir(dir.path().join("logs")).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&record).unwrap();
        for changed in [text.replacen("\n1\n", "\n0\n", 1), note(1, root(1)), String::new()] {
            fs::write(&record, changed).unwrap();
            let (folder, key) = Folder::open(dir.path()).unwrap();
            let clock = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
            let opened = Witness::open(folder, key, vec![log_key(1)], clock);
            assert!(matches!(opened, Err(WitnessError::Record(_))));
        }
    }

    #[test]
    fn a_record_that_cant_be_written_is_not_cosigned_over() {
        let dir = new_folder();
        let witness = witness(dir.path());
        fs::remove_dir(dir.path().join("logs")).unwrap();
        let submitted = body(0, &[], note(1, root(1)));
        assert_eq!(witness.checkpoint_add(&submitted), Answer::Failed);
        fs::create_dir(dir.path().join("logs")).unwrap();
        assert_eq!(witness.checkpoint_add(&submitted), Answer::Failed, "nothing more until a start afresh");
    }

    #[test]
    fn of_two_submissions_at_once_one_is_cosigned() {
        let dir = new_folder();
        let witness = witness(dir.path());
        let two = [body(0, &[], note(1, root(1))), body(0, &[], note(1, leaf_hash(b"fork")))];
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                two.iter().map(|body| scope.spawn(|| witness.checkpoint_add(body))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let cosigned = answers.iter().filter(|answer| matches!(answer, Answer::Cosigned(_))).count();
        assert_eq!(cosigned, 1, "{answers:?}");
        assert!(answers.contains(&Answer::Conflict(1)), "{answers:?}");
    }
}
