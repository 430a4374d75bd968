//! One thread writes. It drains what is queued, runs it in one database transaction, signs one checkpoint for
//! each journal that grew, and commits: group commit without a timer. A second thread makes the signed heads durable
//! in their second place and only then answers, while the first one writes the next batch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as threads;
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Timestamp;
use crate::store::receipt::Ticket;
use crate::store::{AuditReceipt, Committed, Journal, StoreError, Withheld};
use crate::telemetry;

use super::heads::{Head, Heads};
use super::journals::{GrownTree, Journals};
use super::pages::Pages;
use super::settled::Settled;
use super::tx::{EntryRef, Tx};
use super::{Context, database, spawned};

/// The way to the writer thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    settled: Settled,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on its own connection.
    pub(super) fn start(
        context: Arc<Context>,
        (sql, path): (Connection, &Path),
        journals: Journals,
        heads: Heads,
    ) -> Result<Self, StoreError> {
        let (queue, inbox) = mpsc::channel(QUEUE_TASKS);
        let settled = Settled::new();
        let (ended, batches) = threads::sync_channel(BATCHES_UNANSWERED);
        let (pages, moving) = Pages::start(path, settled.clone())?;
        let unanswered = Unanswered::Nothing;
        let telling = Arc::clone(&context);
        let worker = Worker { context, sql, journals, pages, ended, unanswered, settled: settled.clone() };
        let tell = Box::new(move |changed: &BTreeSet<_>| telling.changed.tell(changed));
        let mut answerer = Answerer { heads, queue: queue.downgrade(), settled: settled.clone(), tell };
        let answering =
            spawned("onebit-answers", move || batches.into_iter().for_each(|batch| answerer.end(batch)))?;
        let writing = spawned("onebit-writer", move || worker.run(inbox))?;
        Ok(Self { queue, settled, threads: vec![writing, answering, moving] })
    }

    /// What those who read beside it wait for.
    pub(super) fn settled(&self) -> Settled {
        self.settled.clone()
    }

    /// Runs `work` in the next batch. What it returns comes back with the number of entries it made.
    async fn submit<T: Send + 'static>(
        &self,
        ticket: Ticket,
        undo: Undo,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Option<AuditReceipt>), StoreError> {
        if self.settled.is_stopped() {
            return Err(StoreError::Stopped);
        }
        let (reply, answer) = oneshot::channel();
        let task =
            Box::new(Job { work: Some(work), value: None, entry: None, ticket, undo, reply: Some(reply) });
        self.queue.try_send(Message::Task(task)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs a transaction that makes at least one entry.
    pub(super) async fn logged<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<Committed<T>, StoreError> {
        let ticket = Ticket::next();
        match self.submit(ticket, Undo::Step, work).await? {
            (value, Some(receipt)) => Ok(Committed { value: Withheld::with_ticket(value, ticket), receipt }),
            (_, None) => Err(UNLOGGED),
        }
    }

    /// Runs a transaction whose receipt, when it made an entry, opens what the ticket belongs to.
    pub(super) async fn with_ticket<T: Send + 'static>(
        &self,
        ticket: Ticket,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Option<AuditReceipt>), StoreError> {
        self.submit(ticket, Undo::Step, work).await
    }

    /// Runs a transaction that refuses before it writes anything, or not at all. Its receipt, when it made an
    /// entry, opens what the ticket belongs to. For what comes in great numbers: it costs no savepoint.
    pub(super) async fn checked_first<T: Send + 'static>(
        &self,
        ticket: Ticket,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, Option<AuditReceipt>), StoreError> {
        self.submit(ticket, Undo::Never, work).await
    }

    /// Runs a transaction whose result need not wait for an entry of its own.
    pub(super) async fn unlogged<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.submit(Ticket::next(), Undo::Step, work).await.map(|(value, _)| value)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        self.queue = closed;
        for thread in self.threads.drain(..) {
            // One that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

/// What becomes of the writes of a transaction that fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// They are undone, and the rest of the batch goes on.
    Step,
    /// There are none: it fails before it writes. One that breaks this stops the store.
    Never,
}

/// What comes to the writer.
enum Message {
    /// Somebody's transaction.
    Task(Box<dyn Task>),
    /// The batch before is answered.
    Answered,
}

/// What the other thread has not answered yet.
enum Unanswered {
    Batch,
    Nothing,
}

impl Unanswered {
    /// The next task of the batch under way; `None` when it is to be committed. Who is just being answered will ask
    /// again at once, and its task belongs into this batch: a commit costs the same for all.
    fn next(&mut self, inbox: &mut mpsc::Receiver<Message>) -> Option<Box<dyn Task>> {
        loop {
            let message = match self {
                Self::Batch => inbox.blocking_recv(),
                Self::Nothing => inbox.try_recv().ok(),
            };
            match message? {
                Message::Task(task) => return Some(task),
                Message::Answered => *self = Self::Nothing,
            }
        }
    }
}

/// A transaction without its types.
trait Task: Send {
    /// What becomes of its writes when it fails.
    fn undo(&self) -> Undo;
    /// Runs it.
    fn run(&mut self, tx: &mut Tx<'_>) -> Kept;
    /// Answers after the commit, or after it failed.
    fn answer(self: Box<Self>, end: Result<&BatchEnd, StoreError>);
}

#[derive(PartialEq, Eq)]
enum Kept {
    Yes,
    No,
}

struct Job<T, F> {
    work: Option<F>,
    value: Option<Result<T, StoreError>>,
    entry: Option<EntryRef>,
    ticket: Ticket,
    undo: Undo,
    reply: Option<oneshot::Sender<Reply<T>>>,
}

type Reply<T> = Result<(T, Option<AuditReceipt>), StoreError>;

impl<T, F> Task for Job<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn undo(&self) -> Undo {
        self.undo
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Kept {
        let Some(work) = self.work.take() else { return Kept::No };
        let outcome = work(tx);
        let kept = if outcome.is_ok() { Kept::Yes } else { Kept::No };
        self.entry = if kept == Kept::Yes { tx.take_entry() } else { None };
        self.value = Some(outcome);
        kept
    }

    fn answer(mut self: Box<Self>, end: Result<&BatchEnd, StoreError>) {
        let reply = match (end, self.value.take()) {
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(StoreError::Closed),
            (Ok(_), Some(Err(error))) => Err(error),
            (Ok(batch), Some(Ok(value))) => match self.entry.take() {
                None => Ok((value, None)),
                Some(entry) => batch.receipt(entry, self.ticket).map(|receipt| (value, Some(receipt))),
            },
        };
        if let Some(sender) = self.reply.take() {
            // Whoever asked may have gone; the entry stands all the same.
            let _ = sender.send(reply);
        }
    }
}

struct Worker {
    context: Arc<Context>,
    sql: Connection,
    journals: Journals,
    pages: Pages,
    /// The way to the thread that answers.
    ended: threads::SyncSender<Batch>,
    unanswered: Unanswered,
    settled: Settled,
}

impl Worker {
    fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        while let Some(message) = inbox.blocking_recv() {
            match message {
                Message::Task(first) => self.run_batch(first, &mut inbox),
                Message::Answered => self.unanswered = Unanswered::Nothing,
            }
        }
    }

    fn run_batch(&mut self, first: Box<dyn Task>, inbox: &mut mpsc::Receiver<Message>) {
        let mut batch = vec![first];
        if self.settled.is_stopped() {
            return answer_all(batch, || StoreError::Stopped);
        }
        match self.commit(&mut batch, inbox) {
            Ok(end) => {
                self.unanswered = Unanswered::Batch;
                if let Err(threads::SendError(unanswered)) = self.ended.send(Batch { tasks: batch, end }) {
                    // The other thread panicked, and whether the second place holds these heads is not known.
                    self.unanswered = Unanswered::Nothing;
                    self.settled.stop();
                    answer_all(unanswered.tasks, || StoreError::Stopped);
                }
            }
            Err(error) => {
                // INVARIANT: after a failed commit nobody knows what the disk holds, so nothing is tried again
                // and nothing is answered; a start afresh reads what is there.
                self.settled.fail(&error);
                answer_all(batch, || StoreError::Stopped);
            }
        }
    }

    /// Runs the first task of a batch and all that come meanwhile, and commits.
    fn commit(
        &mut self,
        batch: &mut Vec<Box<dyn Task>>,
        inbox: &mut mpsc::Receiver<Message>,
    ) -> Result<BatchEnd, StoreError> {
        // One time for the whole batch: a task that came a moment later was caused by nothing in it.
        let (begun, now) = (Instant::now(), self.context.clock.now());
        let written = self.sql.total_changes();
        // INVARIANT: with the lock from the beginning. A transaction that only reads at first can't wait for whoever
        // empties the write-ahead log after an erasure: its first change would fail, and the store stop.
        let begun_writing = self.sql.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut sql = database("beginning to write", begun_writing)?;
        let mut done = 0;
        while let Some(task) = batch.get_mut(done) {
            match task.undo() {
                Undo::Step => {
                    run_in_savepoint(&self.context, &mut sql, &mut self.journals, now, task.as_mut())
                }
                Undo::Never => run_checked(&self.context, &sql, &mut self.journals, now, task.as_mut()),
            }?;
            done += 1;
            if batch.len() < BATCH_TASKS {
                batch.extend(self.unanswered.next(inbox));
            }
        }
        if self.settled.is_stopped() {
            return Err(StoreError::Stopped);
        }
        let notes = self.journals.write_heads(&self.context, &sql)?;
        let number = self.settled.begin();
        database("committing", sql.commit())?;
        self.pages.committed(self.sql.total_changes().saturating_sub(written));
        self.journals.committed();
        self.context.signers.committed(&self.sql)?;
        let heads = self.journals.grown(&notes).collect();
        let changed = self.context.changed.take();
        let end = BatchEnd { number, heads, trees: self.journals.grown_trees(notes), changed };
        self.journals.settle();
        let transactions = f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        metrics::histogram!(telemetry::COMMIT_TRANSACTIONS).record(transactions);
        metrics::histogram!(telemetry::COMMIT_SECONDS).record(begun.elapsed().as_secs_f64());
        Ok(end)
    }
}

fn run_checked(
    context: &Context,
    sql: &Connection,
    journals: &mut Journals,
    now: Timestamp,
    task: &mut dyn Task,
) -> Result<(), StoreError> {
    let (written, entered) = (sql.total_changes(), journals.entries());
    let kept = task.run(&mut Tx::new(context, sql, journals, now));
    // INVARIANT: half a transaction is never committed.
    if kept == Kept::No && (sql.total_changes() != written || journals.entries() != entered) {
        return Err(StoreError::Damaged { what: "a transaction that failed halfway" });
    }
    Ok(())
}

fn run_in_savepoint(
    context: &Context,
    sql: &mut rusqlite::Transaction<'_>,
    journals: &mut Journals,
    now: Timestamp,
    task: &mut dyn Task,
) -> Result<(), StoreError> {
    let mark = journals.mark();
    let mut savepoint = database("beginning a step", sql.savepoint())?;
    let mut tx = Tx::new(context, &savepoint, journals, now);
    if task.run(&mut tx) == Kept::Yes {
        return database("ending a step", savepoint.commit());
    }
    database("undoing a step", savepoint.rollback())?;
    database("undoing a step", savepoint.commit())?;
    journals.rewind(&mark)
}

/// What a committed batch knows: its heads, and enough to prove each of its entries.
struct BatchEnd {
    number: u64,
    heads: Vec<(String, Head)>,
    trees: BTreeMap<Journal, GrownTree>,
    /// The disclosures that it changed.
    changed: BTreeSet<[u8; 16]>,
}

impl BatchEnd {
    fn receipt(&self, entry: EntryRef, ticket: Ticket) -> Result<AuditReceipt, StoreError> {
        let tree = self.trees.get(&entry.journal).ok_or(StoreError::Tree { doing: "signing" })?;
        let proof = tree.prove(&entry.draft.entry.leaf_hash(), entry.index)?;
        Ok(AuditReceipt {
            journal: entry.journal,
            index: entry.index,
            entry: entry.draft.entry,
            partner: entry.draft.partner,
            proof,
            checkpoint: tree.note().to_owned(),
            covers: ticket,
        })
    }
}

/// A batch that is committed and not yet answered.
struct Batch {
    tasks: Vec<Box<dyn Task>>,
    end: BatchEnd,
}

/// Told of the disclosures that a batch changed.
type TellChanged = Box<dyn Fn(&BTreeSet<[u8; 16]>) + Send>;

/// The thread that keeps the second place, and answers.
struct Answerer {
    heads: Heads,
    /// To tell the writer; it must not keep the queue open.
    queue: mpsc::WeakSender<Message>,
    settled: Settled,
    /// Tells those who wait for the disclosures that a batch changed.
    tell: TellChanged,
}

impl Answerer {
    fn end(&mut self, mut batch: Batch) {
        let _told = Tell(&self.queue);
        let heads = std::mem::take(&mut batch.end.heads);
        // INVARIANT: after the commit, so that no head is ever newer than the database, and before any answer. What
        // failed once is not tried again.
        if !self.settled.is_stopped() {
            match self.heads.put(heads) {
                Ok(()) => self.settled.end(batch.end.number),
                Err(error) => self.settled.fail(&error),
            }
        }
        if self.settled.is_stopped() {
            return answer_all(batch.tasks, || StoreError::Stopped);
        }
        (self.tell)(&batch.end.changed);
        for task in batch.tasks {
            task.answer(Ok(&batch.end));
        }
    }
}

/// Tells the writer that the batch is answered, also when that panics.
struct Tell<'a>(&'a mpsc::WeakSender<Message>);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0.upgrade() {
            // The writer takes from the queue whatever else it does; when it is gone nobody waits.
            let _ = queue.blocking_send(Message::Answered);
        }
    }
}

fn answer_all(batch: Vec<Box<dyn Task>>, error: impl Fn() -> StoreError) {
    for task in batch {
        task.answer(Err(error()));
    }
}

/// A transaction that must make an entry made none.
pub(super) const UNLOGGED: StoreError =
    StoreError::Damaged { what: "a transaction that must be logged made no entry" };
/// Batches beyond this only lengthen the wait of their first task: at 256 the cost of the fsync is already
/// spread so thin that it no longer shows.
const BATCH_TASKS: usize = 256;
/// Heads are made durable, proofs made and callers woken while the next batch is written; more than one batch ahead
/// would only let them wait elsewhere.
const BATCHES_UNANSWERED: usize = 1;
/// Sixteen batches: what is queued is written within a second on a slow disk; more is refused at once.
const QUEUE_TASKS: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;

    const ORIGIN: &str = "holder.example/onebit/holder";

    /// Notes how it was answered, and the size of the head that the second place held then.
    struct Asked {
        heads: PathBuf,
        noted: Arc<Mutex<Option<Noted>>>,
    }

    /// Whether it was an answer, and the size of the head.
    type Noted = (bool, Option<u64>);

    impl Task for Asked {
        fn undo(&self) -> Undo {
            Undo::Never
        }

        fn run(&mut self, _: &mut Tx<'_>) -> Kept {
            Kept::Yes
        }

        fn answer(self: Box<Self>, end: Result<&BatchEnd, StoreError>) {
            let heads = Heads::open(&self.heads).unwrap();
            let held = heads.and_then(|heads| {
                heads.newest().find(|(origin, _)| *origin == ORIGIN).map(|(_, head)| head.size)
            });
            *self.noted.lock().unwrap() = Some((end.is_ok(), held));
        }
    }

    /// How a batch with a head of seven entries is answered, with these heads.
    fn answered(heads: Heads, folder: &Path) -> Noted {
        let (queue, _inbox) = mpsc::channel(QUEUE_TASKS);
        let settled = Settled::new();
        let number = settled.begin();
        let tell = Box::new(|_: &BTreeSet<_>| {});
        let mut answerer = Answerer { heads, queue: queue.downgrade(), settled: settled.clone(), tell };
        let noted = Arc::default();
        let task = Asked { heads: folder.to_owned(), noted: Arc::clone(&noted) };
        let head = Head { size: 7, note: "a note".to_owned() };
        let end = BatchEnd {
            number,
            heads: vec![(ORIGIN.to_owned(), head)],
            trees: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        std::thread::scope(|scope| {
            let batch = Batch { tasks: vec![Box::new(task)], end };
            scope.spawn(|| answerer.end(batch));
        });
        let (is_answered, held) = noted.lock().unwrap().take().unwrap();
        assert_eq!(settled.is_stopped(), !is_answered);
        (is_answered, held)
    }

    #[test]
    fn nobody_is_answered_before_the_second_place_holds_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let heads = Heads::create(folder.path()).unwrap();
        assert_eq!(answered(heads, folder.path()), (true, Some(7)));
    }

    #[test]
    fn nobody_is_answered_when_the_second_place_is_full() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(answered(Heads::on_a_full_disk(), folder.path()), (false, None));
    }
}
