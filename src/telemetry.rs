//! What the operator sees: log lines on standard error and metrics for Prometheus, without personal data by
//! construction.
//!
//! # Log lines
//!
//! An event is `tracing::info!(reason = "revoked", "connection refused")`: a message that is one literal without
//! anything in braces, and fields whose names stand in [`ALLOWED_FIELDS`]. A test reads the sources and holds every
//! call to that. Whatever gets past the test does not get out either: a field with another name is dropped when
//! the line is written, text is cut to [`TEXT_MAX_CHARS`] printable characters, and what stands between
//! backticks, where our errors put their input, is blotted out. Of other crates' events only level, target and
//! place in the source are written, neither message nor fields.
//!
//! Log an error as `error = %telemetry::chain(&error)`, once, where it stops.
//!
//! # Metrics
//!
//! Names are constants here. Labels are RPC names and fixed words, never outcomes, partners' counts of hits, or
//! anything that depends on who is enrolled.
//!
//! What is not protected: a value that is personal although its field's name is allowed. Give such fields fixed
//! words, numbers and digests only.

mod step;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

pub use step::Step;

/// Telemetry that can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A format that does not exist.
    #[error("`{0}` is not a log format; use `json` or `text`")]
    Format(String),
    /// A filter that can't be read.
    #[error("`{0}` is not a log filter; use a level, or `target=level` separated by commas")]
    Filter(String),
    /// Something else has taken hold of logging.
    #[error("logging is set up already; set it up once, at the start")]
    LogsTaken,
    /// No runtime for the listener.
    #[error("the metrics listener needs a tokio runtime; set metrics up within it")]
    NoRuntime,
    /// The metrics listener or the recorder could not be set up.
    #[error("metrics can't be set up; check that the address is free and that they are set up once")]
    Metrics(#[source] BuildError),
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// One line for people.
    Text,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;
    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(TelemetryError::Format(shortened(text))),
        }
    }
}

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// A level for our own events, or levels by target: `info`, `debug,h2=info`. Other crates are heard from
    /// `warn` up unless named, and those that handle requests' bytes never below `info`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

/// Starts logging to standard error, for the whole process.
///
/// # Errors
/// [`TelemetryError::Filter`] for a filter that can't be read, [`TelemetryError::LogsTaken`] the second time.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let layer = log_layer(settings, io::stderr())?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::LogsTaken)
}

/// The layer that writes log lines to `out`, for [`init`] and for tests.
///
/// # Errors
/// [`TelemetryError::Filter`] for a filter that can't be read.
pub fn log_layer<S, W>(settings: &LogSettings, out: W) -> Result<impl Layer<S>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: io::Write + Send + 'static,
{
    let filter = Filter::parse(&settings.filter)?;
    Ok(LogLayer { format: settings.format, filter, out: Mutex::new(out) })
}

/// An error and its causes as one text, what they repeat of their input blotted out.
///
/// Our errors put input between backticks, so everything from the first to the last backtick of each is left out.
pub fn chain(error: &(dyn Error + 'static)) -> impl fmt::Display {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&blotted(&error.to_string()));
        next = error.source();
    }
    text
}

/// The names of fields that come out in a log line.
///
/// The list grows only with names whose values are fixed words, numbers, digests or the names of agencies and of
/// things that people configure; never with persons, cases, officials, subjects, queries, scores or outcomes.
pub const ALLOWED_FIELDS: &[&str] = &[
    "agreement",  // an agreement's name
    "attempt",    // which try, from 1
    "backup",     // a backup's name: when it was made, and some of its random id
    "bytes",      // a size
    "code",       // a gRPC status code
    "collection", // a collection's name
    "count",      // how many
    "digest",     // SHA-256 of something public, in hexadecimal
    "domain",     // a trust domain
    "error",      // a chain of errors, input blotted out
    "index",      // an entry's index in its journal
    "job",        // a background job's name
    "journal",    // a journal's name
    "kind",       // a fixed word
    "micros",     // a duration in microseconds
    "millis",     // a duration in milliseconds
    "needed",     // how many are needed
    "partner",    // a partner's name
    "port",       // a port that the server listens on
    "reason",     // a fixed word
    "rpc",        // an RPC's name
    "samples",    // how many samples a query has
    "scheme",     // a scheme's name
    "size",       // a tree's size
    "step",       // a step of a call
    "threshold",  // what a collection's scores are held against
    "version",    // a version of software, schema or file
    "witness",    // a witness's name
];

/// Handshakes and connections that were refused, by `reason`.
pub const HANDSHAKES_REFUSED: &str = "onebit_handshakes_refused_total";
/// Connections that the door ended, by `reason`.
pub const CONNECTIONS_ENDED: &str = "onebit_connections_ended_total";
/// Connections that are open.
pub const CONNECTIONS_OPEN: &str = "onebit_connections_open";
/// Times at which no connection could be accepted.
pub const ACCEPTS_FAILED: &str = "onebit_accepts_failed_total";
/// RPCs that were answered, by `rpc` and `code`.
pub const RPCS: &str = "onebit_rpcs_total";
/// Seconds from an RPC's arrival to its answer, by `rpc`.
pub const RPC_SECONDS: &str = "onebit_rpc_seconds";
/// RPCs under way.
pub const RPCS_OPEN: &str = "onebit_rpcs_open";
/// Requests for files of the log that were answered, by the HTTP status `code`.
pub const TILE_READS: &str = "onebit_tile_reads_total";
/// Sign-ins at the console that were refused, by `reason`.
pub const SIGN_INS_REFUSED: &str = "onebit_sign_ins_refused_total";
/// Seconds that steps of calls take, by `step`.
pub const STEP_SECONDS: &str = "onebit_step_seconds";
/// Seconds that a commit takes, all its transactions together.
pub const COMMIT_SECONDS: &str = "onebit_commit_seconds";
/// Transactions in a commit.
pub const COMMIT_TRANSACTIONS: &str = "onebit_commit_transactions";
/// Runs of background jobs, by `job` and `reason`, which is `done` when they succeed.
pub const JOBS: &str = "onebit_jobs_total";
/// Urgent releases whose review is owed, by `reason`, which is `late` or `in-time`; no more than 256 are counted.
pub const REVIEWS_OWED: &str = "onebit_reviews_owed";
/// Requests of people that were not decided in time, each counted once.
pub const SUBJECT_REQUESTS_LATE: &str = "onebit_subject_requests_late_total";
/// Breaches of which the Commissioner was not told in time, each counted once.
pub const BREACHES_LATE: &str = "onebit_breaches_late_total";
/// Alerts of detectors that nobody judged yet.
pub const ALERTS_OPEN: &str = "onebit_alerts_open";
/// Corrections that a recipient did not acknowledge in time, each counted once.
pub const CORRECTIONS_OVERDUE: &str = "onebit_corrections_overdue_total";
/// Days of payloads that are past their retention, by `kind`.
pub const PAYLOAD_DAYS_PAST: &str = "onebit_payload_days_past_retention";
/// The share of all templates that the start took from search snapshots, from 0 to 1.
pub const SNAPSHOTS_SHARE: &str = "onebit_snapshots_share";
/// The share of a collection's templates that the renewal under way has renewed, from 0 to 1, by `collection`.
pub const RENEWAL_SHARE: &str = "onebit_renewal_share";
/// Search snapshots that were written.
pub const SNAPSHOTS_WRITTEN: &str = "onebit_snapshots_written_total";
/// Search snapshots that were not used, by `reason`.
pub const SNAPSHOTS_UNFIT: &str = "onebit_snapshots_unfit_total";

/// The size of the holder's journal that a witness cosigned last, by `witness`.
pub const WITNESS_SIZE: &str = "onebit_witness_size";
/// The size of the holder's journal that a quorum of witnesses cosigned last.
pub const WITNESSED_SIZE: &str = "onebit_witnessed_size";
/// Times at which a witness gave no cosignature, by `witness` and `reason`.
pub const WITNESS_FAILURES: &str = "onebit_witness_failures_total";
/// Tries to deliver a notice, by `kind` (`mail`, `system`, `partner`) and `reason` (`delivered`, `failed`, `given-up`).
pub const NOTICES: &str = "onebit_notices_total";
/// Notices that wait for their receivers.
pub const NOTICES_WAITING: &str = "onebit_notices_waiting";

/// Metrics that are set up.
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// The metrics in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

/// Sets up metrics for the whole process, and serves them over HTTP at `listen` if there is one.
///
/// The listener answers anybody who reaches it: give it an address of the operator's own network.
///
/// # Errors
/// [`TelemetryError::NoRuntime`] outside a tokio runtime when there is a listener, [`TelemetryError::Metrics`] when the address is
/// taken or metrics are set up already.
pub fn metrics_init(listen: Option<SocketAddr>) -> Result<Metrics, TelemetryError> {
    let builder = metrics_builder().map_err(TelemetryError::Metrics)?;
    let handle = match listen {
        None => builder.install_recorder().map_err(TelemetryError::Metrics)?,
        Some(address) => {
            let runtime = tokio::runtime::Handle::try_current().map_err(|_| TelemetryError::NoRuntime)?;
            let (recorder, listener) =
                builder.with_http_listener(address).build().map_err(TelemetryError::Metrics)?;
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).map_err(|error| TelemetryError::Metrics(error.into()))?;
            runtime.spawn(listener);
            handle
        }
    };
    metrics_describe();
    Ok(Metrics { handle })
}

/// Counts a handshake that was refused; `reason` is a fixed word.
pub fn handshake_refused(reason: &'static str) {
    metrics::counter!(HANDSHAKES_REFUSED, "reason" => reason).increment(1);
}

/// Counts a connection that the door ended; `reason` is a fixed word.
pub fn connection_ended(reason: &'static str) {
    metrics::counter!(CONNECTIONS_ENDED, "reason" => reason).increment(1);
}

/// Sets the number of open connections.
pub fn connections_open(count: usize) {
    metrics::gauge!(CONNECTIONS_OPEN).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// Counts an accept that failed for want of resources.
pub fn accept_failed() {
    metrics::counter!(ACCEPTS_FAILED).increment(1);
}

/// Sets the size that a witness cosigned last.
pub fn witness_size(witness: &str, size: u64) {
    metrics::gauge!(WITNESS_SIZE, "witness" => witness.to_owned()).set(number(size));
}

/// Sets the size that a quorum of witnesses cosigned last.
pub fn witnessed_size(size: u64) {
    metrics::gauge!(WITNESSED_SIZE).set(number(size));
}

/// Counts a search snapshot that is not used; `reason` is a fixed word.
pub fn snapshot_unfit(reason: &'static str) {
    metrics::counter!(SNAPSHOTS_UNFIT, "reason" => reason).increment(1);
}

/// Counts a search snapshot that was written.
pub fn snapshot_written() {
    metrics::counter!(SNAPSHOTS_WRITTEN).increment(1);
}

/// Sets which share of a collection's templates is renewed.
pub fn renewal_share(collection: &str, renewed: u64, left: u64) {
    let all = number(renewed.saturating_add(left));
    let share = if left > 0 { number(renewed) / all } else { 1.0 };
    metrics::gauge!(RENEWAL_SHARE, "collection" => collection.to_owned()).set(share);
}

/// Sets which share of all templates came from search snapshots; how many there are is nobody's business here.
pub fn snapshots_share(from_snapshots: u64, from_rows: u64) {
    let all = number(from_snapshots.saturating_add(from_rows));
    metrics::gauge!(SNAPSHOTS_SHARE).set(if all > 0.0 { number(from_snapshots) / all } else { 1.0 });
}

/// Counts a witness that gave no cosignature; `reason` is a fixed word.
pub fn witness_failed(witness: &str, reason: &'static str) {
    metrics::counter!(WITNESS_FAILURES, "witness" => witness.to_owned(), "reason" => reason).increment(1);
}

/// Counts what came of a notice, by the kind of its receiver; both are fixed words.
pub fn notice(kind: &'static str, reason: &'static str) {
    metrics::counter!(NOTICES, "kind" => kind, "reason" => reason).increment(1);
}

/// Sets how many notices wait for their receivers.
pub fn notices_waiting(count: u64) {
    metrics::gauge!(NOTICES_WAITING).set(number(count));
}

/// Sizes past four thousand million are shown as that.
fn number(size: u64) -> f64 {
    f64::from(u32::try_from(size).unwrap_or(u32::MAX))
}

fn metrics_builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(COMMIT_TRANSACTIONS.to_owned()), &COUNT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
}

fn metrics_describe() {
    describe_counter!(HANDSHAKES_REFUSED, Unit::Count, "handshakes and connections that were refused");
    describe_counter!(CONNECTIONS_ENDED, Unit::Count, "connections that the door ended");
    describe_gauge!(CONNECTIONS_OPEN, Unit::Count, "connections that are open");
    describe_counter!(ACCEPTS_FAILED, Unit::Count, "times at which no connection could be accepted");
    describe_counter!(RPCS, Unit::Count, "RPCs that were answered");
    describe_histogram!(RPC_SECONDS, Unit::Seconds, "time from an RPC's arrival to its answer");
    describe_gauge!(RPCS_OPEN, Unit::Count, "RPCs under way");
    describe_counter!(TILE_READS, Unit::Count, "requests for files of the log that were answered");
    describe_counter!(SIGN_INS_REFUSED, Unit::Count, "sign-ins at the console that were refused");
    describe_histogram!(
        STEP_SECONDS,
        Unit::Seconds,
        "time that a step of a call takes, whatever comes of it"
    );
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "time that a commit takes");
    describe_histogram!(COMMIT_TRANSACTIONS, Unit::Count, "transactions in a commit");
    describe_counter!(JOBS, Unit::Count, "runs of background jobs");
    describe_counter!(SUBJECT_REQUESTS_LATE, Unit::Count, "requests of people that were not decided in time");
    describe_counter!(BREACHES_LATE, Unit::Count, "breaches of which the Commissioner was not told in time");
    describe_counter!(CORRECTIONS_OVERDUE, Unit::Count, "corrections that were not acknowledged in time");
    describe_gauge!(ALERTS_OPEN, "alerts of detectors that nobody judged yet");
    describe_gauge!(SNAPSHOTS_SHARE, "share of all templates that the start took from search snapshots");
    describe_gauge!(
        RENEWAL_SHARE,
        "share of a collection's templates that the renewal under way has renewed"
    );
    describe_counter!(SNAPSHOTS_WRITTEN, Unit::Count, "search snapshots that were written");
    describe_counter!(SNAPSHOTS_UNFIT, Unit::Count, "search snapshots that were not used");
    describe_gauge!(WITNESS_SIZE, Unit::Count, "size of the holder's journal that a witness cosigned last");
    describe_gauge!(WITNESSED_SIZE, Unit::Count, "size of the holder's journal that a quorum cosigned last");
    describe_counter!(NOTICES, Unit::Count, "tries to deliver a notice");
    describe_gauge!(NOTICES_WAITING, Unit::Count, "notices that wait for their receivers");
    describe_counter!(WITNESS_FAILURES, Unit::Count, "times at which a witness gave no cosignature");
    describe_gauge!(PAYLOAD_DAYS_PAST, Unit::Count, "days of payloads that are past their retention");
}

/// Which events are heard.
struct Filter(Targets);

impl Filter {
    fn parse(text: &str) -> Result<Self, TelemetryError> {
        let refused = || TelemetryError::Filter(shortened(text));
        // A bare word would else be taken for a target from which everything is wanted.
        if text
            .split(',')
            .any(|part| part.is_empty() || (!part.contains('=') && part.parse::<LevelFilter>().is_err()))
        {
            return Err(refused());
        }
        let asked: Targets = text.parse().map_err(|_| refused())?;
        // A level without a target is meant for us; it makes other crates quieter and never louder.
        let ours = asked.default_level().unwrap_or(LevelFilter::INFO);
        let targets = Targets::new()
            .with_default(ours.min(LevelFilter::WARN))
            .with_target(our_target(), ours)
            .with_targets(asked.iter());
        Ok(Self(targets))
    }

    fn hears(&self, metadata: &Metadata<'_>) -> bool {
        let handles_bytes = TALKATIVE.iter().any(|name| is_within(metadata.target(), name));
        (!handles_bytes || *metadata.level() <= Level::INFO)
            && self.0.would_enable(metadata.target(), metadata.level())
    }
}

struct LogLayer<W> {
    format: LogFormat,
    filter: Filter,
    out: Mutex<W>,
}

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: io::Write + Send + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        self.filter.hears(metadata)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::of(span.metadata());
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::of(event.metadata());
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().iter().rev() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.values.extend(outer.values.clone());
            }
        }
        event.record(&mut fields);
        let line = match self.format {
            LogFormat::Json => fields.json(event.metadata()),
            LogFormat::Text => fields.text(event.metadata()),
        };
        // A log that can't be written must not stop the service; what has to be durable is an entry.
        let _lost = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

/// What may come out of a span or an event.
struct Fields {
    ours: bool,
    message: String,
    values: BTreeMap<&'static str, Value>,
}

impl Fields {
    fn of(metadata: &Metadata<'_>) -> Self {
        Self {
            ours: is_within(metadata.target(), our_target()),
            message: String::new(),
            values: BTreeMap::new(),
        }
    }

    fn put(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        if self.ours && ALLOWED_FIELDS.contains(&field.name()) {
            self.values.insert(field.name(), value());
        }
    }

    fn json(self, metadata: &Metadata<'_>) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), now().into());
        line.insert("level".to_owned(), metadata.level().as_str().to_ascii_lowercase().into());
        line.insert("target".to_owned(), metadata.target().into());
        if self.ours {
            line.insert("message".to_owned(), self.message.into());
        } else {
            line.insert("line".to_owned(), metadata.line().unwrap_or(0).into());
        }
        line.extend(self.values.into_iter().map(|(name, value)| (name.to_owned(), value)));
        format!("{}\n", Value::Object(line))
    }

    fn text(self, metadata: &Metadata<'_>) -> String {
        let mut line = format!("{} {:5} {}", now(), metadata.level().as_str(), metadata.target());
        if self.ours {
            // Writing to a string never fails.
            let _ = write!(line, ": {}", self.message);
        } else {
            let _ = write!(line, ": line {}", metadata.line().unwrap_or(0));
        }
        for (name, value) in self.values {
            let _ = write!(line, " {name}={value}");
        }
        line.push('\n');
        line
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, || value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, || value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, || value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, || printable(value).into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, || printable(&chain(value).to_string()).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.ours && field.name() == "message" {
            self.message = printable(&format!("{value:?}"));
        } else {
            self.put(field, || printable(&format!("{value:?}")).into());
        }
    }
}

/// Text as it may come out: input blotted out, one line, printable, not long.
fn printable(text: &str) -> String {
    blotted(text).chars().filter(|c| !c.is_control()).take(TEXT_MAX_CHARS).collect()
}

/// The text without what stands from its first backtick to its last: between them input may hide backticks of
/// its own, so that pairs mean nothing.
fn blotted(text: &str) -> String {
    match (text.split_once('`'), text.rsplit_once('`')) {
        (Some((before, _)), Some((_, after))) => format!("{before}…{after}"),
        _ => text.to_owned(),
    }
}

/// Whether `target` is the module path `root` or lies in it.
fn is_within(target: &str, root: &str) -> bool {
    target.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Our own events' target: everything in this package.
fn our_target() -> &'static str {
    module_path!().split("::").next().unwrap_or_default()
}

/// The host's time; a log line is no evidence, so it needs no better one.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX_CHARS).collect()
}

/// Crates that hold requests' bytes in their hands and log them at `debug` and `trace`.
const TALKATIVE: [&str; 10] = [
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tokio_util",
    "tonic",
    "tower",
    "tower_http",
    "webpki",
];
/// A message of ours and its error with three causes; shorter than any template.
pub const TEXT_MAX_CHARS: usize = 400;
/// Factors of two and more from the shortest log write to an RPC's deadline: too coarse to tell one search from
/// another, which take the same time anyway.
const SECONDS_BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0];
/// Up to the largest group commit.
const COUNT_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[cfg(test)]
mod tests;
