//! `onebit enrol`: templates and records from files into a collection, chunk by chunk, resumable.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use self::batch::BatchFile;
use self::chunks::{Chunk, Place};
use self::progress::Progress;
use self::rejects::Rejects;
use super::fault::CliError;
use super::formats::Reject;
use super::print::OutputOption;
use super::wire;
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::enrolment as pb;

mod batch;
mod chunks;
mod input;
mod people;
mod progress;
mod rejects;

/// Enrols people from files into a collection
///
/// Templates come from a NumPy array with a manifest, from JSON Lines, or from a Kaldi binary archive; the fields
/// of records from JSON Lines. Templates and records belong together by the source system's id, of which only a
/// keyed pseudonym is kept. Enrolling an id again replaces its templates in the collection and the fields given.
///
/// Rows of one id that stand together become one person with several templates. Keep them together: rows of the
/// same id further down would replace the earlier ones.
///
/// Rows that can't be read, and people whom the server does not take, go to the rejects file with line and
/// reason; nothing of them is kept. Where somebody's record can't be read, that person is not enrolled either.
///
/// If it breaks off, run the same command again: the batch file remembers the batch, and it goes on after the
/// last row that was answered.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct EnrolArgs {
    /// The collection to enrol into
    #[arg(long, value_name = "NAME")]
    pub collection: String,
    /// The official who answers for the batch
    #[arg(long, value_name = "NAME")]
    pub official: String,
    /// The templates: a NumPy array, float32 or float64, one row a template
    #[arg(long, value_name = "FILE", requires = "manifest", group = "source", required_unless_present_any = ["templates", "ark"])]
    pub npy: Option<PathBuf>,
    /// What the rows of `--npy` are: JSON Lines, `{"source_id": "…", "quality": 80, "restrictions": ["…"]}`
    #[arg(long, value_name = "FILE", requires = "npy")]
    pub manifest: Option<PathBuf>,
    /// The templates: JSON Lines, `{"source_id": "…", "embedding": […], "quality": 80}`
    #[arg(long, value_name = "FILE.jsonl", group = "source", conflicts_with = "npy")]
    pub templates: Option<PathBuf>,
    /// The templates: a Kaldi binary archive of vectors, whose keys are source ids
    #[arg(long, value_name = "FILE", group = "source", conflicts_with_all = ["npy", "templates"])]
    pub ark: Option<PathBuf>,
    /// Keep only what stands before this character in a source id, as in `speaker-utterance`
    #[arg(long, value_name = "CHARACTER")]
    pub source_id_separator: Option<char>,
    /// The records: JSON Lines, `{"source_id": "…", "fields": {"family-name": {"value": "…", …}}}`
    ///
    /// All of it is read into memory first, about a kilobyte a person. `onebit synth` makes an example.
    #[arg(long, value_name = "FILE.jsonl")]
    pub records: Option<PathBuf>,
    /// The file that remembers the batch; by default beside the templates, with `.batch.json` at the end
    #[arg(long, value_name = "FILE")]
    pub batch_file: Option<PathBuf>,
    /// The file for rejected rows; by default beside the templates, with `.rejects.jsonl` at the end
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// How many people go in one message
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub chunk: u16,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}

/// Enrols.
///
/// # Errors
/// [`CliError`] when a file is damaged, the server refuses the batch, or the connection breaks.
pub fn run(args: &EnrolArgs) -> Result<(), CliError> {
    wire::calling(enrol(args))
}

async fn enrol(args: &EnrolArgs) -> Result<(), CliError> {
    let batch = BatchFile::open(args)?;
    let client = Client::connect(&args.client).await?;
    let call = client.request(pb::StartBatchRequest {
        request_id: batch.request_id().to_owned(),
        collection: wire::resource("collections", &args.collection),
        official: args.official.clone(),
    });
    let started = client.answer("the batch", client.enrolment().start_batch(call)).await?;
    let done_before = started.rows_done;
    let opened = input::open(args)?;
    let progress = Progress::new(opened.bytes, done_before);
    let (to_here, mut from_reader) = mpsc::channel(READ_AHEAD_CHUNKS);
    let chunk_people = usize::from(args.chunk);
    let reader = tokio::task::spawn_blocking(move || {
        let position = opened.position;
        chunks::read(opened.people, &position, done_before, chunk_people, &to_here);
    });
    let mut run = Run {
        client: &client,
        batch: started.batch.clone(),
        rejects: Rejects::open(args, done_before)?,
        progress,
        tally: Tally { rows_done: done_before, ..Tally::default() },
    };
    let ended = run.stream(&mut from_reader).await;
    // The reader ends when nobody takes its chunks any more.
    drop(from_reader);
    let panicked = reader.await.is_err();
    let Run { rejects, progress, tally, .. } = run;
    progress.end();
    let rejects_path = rejects.finish()?;
    ended.map_err(|error| {
        let doing = format!(
            "the batch broke off with {} people answered; run the same command again to go on",
            tally.rows_done
        );
        CliError::because(doing, error)
    })?;
    if panicked {
        return Err(CliError::Found(
            "the input could not be read to its end; run the same command again".to_owned(),
        ));
    }
    let told = Told { batch: &batch, name: &started.batch, done_before, rejects: rejects_path.as_deref() };
    args.output.show(|| told.text(&tally), &told.json(&tally))
}

/// What is told in the end.
struct Told<'a> {
    batch: &'a BatchFile,
    name: &'a str,
    done_before: u64,
    rejects: Option<&'a Path>,
}

impl Told<'_> {
    fn text(&self, tally: &Tally) -> String {
        let Tally { accepted, refused, unread, .. } = tally;
        let before = match self.done_before {
            0 => String::new(),
            done => format!(", after {done} of an earlier run"),
        };
        let rejected = match self.rejects {
            Some(path) if *refused > 0 || *unread > 0 => {
                format!("{refused} people and {unread} rows, in {}", path.display())
            }
            _ => "none".to_owned(),
        };
        let kept = self.batch.path().display();
        format!(
            "enrolled  {accepted} people{before}\nrejected  {rejected}\nbatch     {}, kept in {kept}",
            self.name
        )
    }

    fn json(&self, tally: &Tally) -> Value {
        json!({
            "batch": self.name, "batch_file": self.batch.path(), "done_before": self.done_before,
            "rows_done": tally.rows_done, "accepted": tally.accepted, "rejected_people": tally.refused,
            "rejected_rows": tally.unread, "rejects": self.rejects,
        })
    }
}

/// What came of the run so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// People of the batch that are answered, those of earlier runs too.
    rows_done: u64,
    /// People that the server took.
    accepted: u64,
    /// People that the server did not take.
    refused: u64,
    /// Rows that could not be read or belong to no whole person.
    unread: u64,
}

/// A stream under way.
struct Run<'a> {
    client: &'a Client,
    batch: String,
    rejects: Rejects,
    progress: Progress,
    tally: Tally,
}

impl Run<'_> {
    /// Sends chunks, a bounded number of them unanswered, until there are no more.
    async fn stream(
        &mut self,
        from_reader: &mut mpsc::Receiver<Result<Chunk, CliError>>,
    ) -> Result<(), CliError> {
        let (to_wire, from_here) = mpsc::channel(UNDER_WAY_MAX);
        let mut service = self.client.enrolment();
        let call = service.enrol_subjects(ReceiverStream::new(from_here));
        let mut answers = self.client.answer("the stream of chunks", call).await?;
        let (mut to_wire, mut under_way) = (Some(to_wire), VecDeque::new());
        let mut broken = None;
        loop {
            while let (Some(sender), true) = (&to_wire, under_way.len() < UNDER_WAY_MAX) {
                match from_reader.recv().await {
                    Some(Ok(chunk)) => {
                        let Some((message, sent)) = self.prepare(chunk)? else { continue };
                        if sender.send(message).await.is_err() {
                            to_wire = None;
                        }
                        under_way.push_back(sent);
                    }
                    // What was sent is still answered, then the damage is told.
                    Some(Err(error)) => (to_wire, broken) = (None, Some(error)),
                    None => to_wire = None,
                }
            }
            let Some(sent) = under_way.pop_front() else { break };
            self.answered(&mut answers, &sent).await?;
        }
        broken.map_or(Ok(()), Err)
    }

    /// Writes the rejects of a chunk; its message, unless nobody is left in it.
    fn prepare(&mut self, chunk: Chunk) -> Result<Option<(pb::EnrolSubjectsRequest, Sent)>, CliError> {
        for reject in &chunk.rejects {
            self.rejects.write(reject)?;
            self.tally.unread = self.tally.unread.saturating_add(1);
        }
        if chunk.subjects.is_empty() {
            return Ok(None);
        }
        let sent = Sent { first_row: chunk.first_row, places: chunk.places, read_bytes: chunk.read_bytes };
        let message = pb::EnrolSubjectsRequest {
            batch: self.batch.clone(),
            first_row: chunk.first_row,
            subjects: chunk.subjects,
        };
        Ok(Some((message, sent)))
    }

    async fn answered(
        &mut self,
        answers: &mut Streaming<pb::EnrolSubjectsResponse>,
        sent: &Sent,
    ) -> Result<(), CliError> {
        let answer = self.client.next("the answer to a chunk", answers).await?;
        let answer =
            answer.ok_or_else(|| CliError::Found("the server ended the stream too early".to_owned()))?;
        let count = u64::try_from(sent.places.len()).unwrap_or(u64::MAX);
        let rejected = u64::try_from(answer.rejected.len()).unwrap_or(u64::MAX);
        let whole = u64::from(answer.rows_accepted).saturating_add(rejected) == count;
        if !whole || answer.rows_done < sent.first_row.saturating_add(count) {
            return Err(CliError::incomplete("count of the chunk's people"));
        }
        for row in &answer.rejected {
            self.rejects.write(&sent.reject(row)?)?;
        }
        self.tally.rows_done = sent.first_row.saturating_add(count);
        self.tally.accepted = self.tally.accepted.saturating_add(answer.rows_accepted.into());
        self.tally.refused = self.tally.refused.saturating_add(rejected);
        self.progress.show(sent.read_bytes, &self.tally);
        Ok(())
    }
}

/// A chunk that waits for its answer.
struct Sent {
    first_row: u64,
    places: Vec<Place>,
    read_bytes: u64,
}

impl Sent {
    /// A rejected row of the chunk, with the line that the person began at.
    fn reject(&self, row: &pb::RejectedRow) -> Result<Reject, CliError> {
        let at = row.row.checked_sub(self.first_row).and_then(|at| usize::try_from(at).ok());
        let place = at
            .and_then(|at| self.places.get(at))
            .ok_or_else(|| CliError::incomplete("place of a rejected row"))?;
        Ok(Reject { line: place.line, source_id: Some(place.source_id.clone()), reason: row.reason.clone() })
    }
}

/// Enough to keep the server busy while an answer travels.
const UNDER_WAY_MAX: usize = 4;
/// Read while others are sent.
const READ_AHEAD_CHUNKS: usize = 2;
const EXAMPLES: &str = "\
Examples:
  onebit synth --people 1000 --out people
  onebit enrol --collection watch-face --official registrar --npy people/gallery.npy \\
      --manifest people/gallery.manifest.jsonl --records people/records.jsonl
  onebit enrol --collection watch-voice --official registrar --ark xvectors.ark --source-id-separator -";
