//! `onebit keys status`.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::fault::CliError;
use crate::cli::init::unusable;
use crate::cli::print::{self, OutputOption};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::Config;
use crate::store::sqlite::{self, KeysStatus, Rank, Standing};

/// Shows the keys.
pub(super) fn run(config: &Path, output: OutputOption) -> Result<(), CliError> {
    let config = Config::read(config).map_err(unusable)?;
    let status = sqlite::keys_status(&config.store_folder)
        .map_err(|error| CliError::because("the keys can't be looked at", error))?;
    let root = Root::of(&config, &status);
    let now = SystemClock.now();
    output.show(|| text(&root, &status, now), &as_json(&root, &status, now))
}

/// The root file that the configuration names.
struct Root {
    file: String,
    guard: String,
    /// Its name, or why it can't be read.
    id: Result<String, String>,
    opens: bool,
}

impl Root {
    fn of(config: &Config, status: &KeysStatus) -> Self {
        let id = config.root_key.key_id();
        let opens = id.as_ref().is_ok_and(|id| status.roots.iter().any(|(known, _)| known == id));
        Self {
            file: config.root_key.file.display().to_string(),
            guard: config.root_key.guard.shown(),
            id: id
                .map(|id| format!("root:{id}"))
                .map_err(|error| CliError::because("it can't be read", error).chain()),
            opens,
        }
    }

    fn text(&self) -> String {
        let Self { file, guard, .. } = self;
        match &self.id {
            Ok(id) if self.opens => format!("{id} in {file}, opened by {guard}"),
            Ok(id) => format!("{id} in {file}, which opens nothing of this store: correct `root_key.file`"),
            Err(why) => format!("{file}: {why}"),
        }
    }
}

fn text(root: &Root, status: &KeysStatus, now: Timestamp) -> String {
    let rows: Vec<[String; 6]> = all(status)
        .map(|one| {
            [
                one.key.clone(),
                one.since.map_or_else(|| UNKNOWN.to_owned(), day),
                one.since.map_or_else(|| UNKNOWN.to_owned(), |since| age(since, now)),
                one.beneath.map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string()),
                rotation(one, now),
                one.purpose.clone(),
            ]
        })
        .collect();
    let table = print::table(["key", "since", "age", "beneath", "rotate by", "what for"], &rows);
    let unlogged = match status.unlogged {
        0 => String::new(),
        count => {
            format!("\n\nNot in the log yet: {count} operations; the next start of the server enters them.")
        }
    };
    format!("Root file\n  {}\n\nKeys\n{}{unlogged}", root.text(), print::indented(&table))
}

fn rotation(one: &Standing, now: Timestamp) -> String {
    match (one.rank, one.due) {
        (Rank::Older, _) if one.beneath == Some(0) => "retire it".to_owned(),
        (Rank::Older, _) => "older".to_owned(),
        (Rank::InUse, Some(due)) if due <= now => format!("{}, overdue", day(due)),
        (Rank::InUse, Some(due)) => day(due),
        (Rank::InUse, None) => UNKNOWN.to_owned(),
    }
}

fn all(status: &KeysStatus) -> impl Iterator<Item = &Standing> {
    status.roots.iter().map(|(_, standing)| standing).chain(&status.keys)
}

fn as_json(root: &Root, status: &KeysStatus, now: Timestamp) -> Value {
    let keys: Vec<Value> = all(status)
        .map(|one| {
            json!({
                "key": one.key,
                "purpose": one.purpose,
                "since": one.since.map(|since| since.to_string()),
                "age_days": one.since.map(|since| days(since, now)),
                "beneath": one.beneath,
                "in_use": one.rank == Rank::InUse,
                "rotate_by": one.due.map(|due| due.to_string()),
                "overdue": one.due.is_some_and(|due| due <= now),
            })
        })
        .collect();
    json!({
        "root": {
            "file": root.file,
            "opened_by": root.guard,
            "key": root.id.as_ref().ok(),
            "fault": root.id.as_ref().err(),
            "opens_this_store": root.opens,
        },
        "keys": keys,
        "unlogged": status.unlogged,
    })
}

fn day(at: Timestamp) -> String {
    at.to_string().chars().take(DATE_CHARS).collect()
}

fn days(since: Timestamp, now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(since.as_millis()).max(0) / DAY_MS
}

fn age(since: Timestamp, now: Timestamp) -> String {
    match days(since, now) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

const UNKNOWN: &str = "–";
const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// `2026-01-02` of an RFC 3339 text.
const DATE_CHARS: usize = 10;
