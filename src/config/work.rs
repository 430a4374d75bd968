//! The sections `[search]`, `[log]`, `[jobs]` and `[alerts]`: what the server does, how often, and what it says of it.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Place};
use super::{Range, number};
use crate::ids::SubjectId;
use crate::index::FirstStage;
use crate::jobs::Cadence;
use crate::telemetry::{LogFormat, LogSettings, log_layer};

/// How is searched.
#[derive(Debug, Clone)]
pub struct SearchConfig {
    /// How many threads search.
    pub threads: NonZeroUsize,
    /// What searches begin with.
    pub index: FirstStage,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SearchKeys {
    threads: Option<Spanned<u64>>,
    index: Option<Spanned<String>>,
}

pub(super) fn search(document: &mut Document<'_>) -> Option<SearchConfig> {
    let (place, keys): (Place, SearchKeys) = document.section("search");
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let default = u64::try_from(cores.get()).unwrap_or(1).min(THREADS_MAX);
    let range = Range { key: "threads", least: 1, most: THREADS_MAX, default };
    let threads = number(document, &place, keys.threads.as_ref(), &range);
    let threads = threads.and_then(|threads| usize::try_from(threads).ok()).and_then(NonZeroUsize::new);
    let index = match keys.index {
        None => Some(FirstStage::default()),
        Some(index) => {
            let parsed = index.get_ref().parse::<FirstStage>();
            match parsed.and_then(|stage| stage.available().map(|()| stage)) {
                Ok(stage) => Some(stage),
                Err(error) => document.fault(&place, "index", &index, error.to_string()),
            }
        }
    };
    Some(SearchConfig { threads: threads?, index: index? })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogKeys {
    format: Option<Spanned<String>>,
    filter: Option<Spanned<String>>,
}

pub(super) fn log(document: &mut Document<'_>) -> Option<LogSettings> {
    let (place, keys): (Place, LogKeys) = document.section("log");
    let mut settings = LogSettings::default();
    let mut sound = Some(());
    if let Some(format) = keys.format {
        match format.get_ref().parse::<LogFormat>() {
            Ok(format) => settings.format = format,
            Err(error) => sound = document.fault(&place, "format", &format, error.to_string()),
        }
    }
    if let Some(filter) = keys.filter {
        settings.filter.clone_from(filter.get_ref());
        let layer = log_layer::<tracing_subscriber::Registry, _>(&settings, io::sink());
        if let Err(error) = layer.map(drop) {
            sound = document.fault(&place, "filter", &filter, error.to_string());
        }
    }
    sound.map(|()| settings)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct JobKeys {
    heads_every_s: Option<Spanned<u64>>,
    witnesses_every_s: Option<Spanned<u64>>,
    tending_every_s: Option<Spanned<u64>>,
    retention_every_s: Option<Spanned<u64>>,
    snapshots_every_s: Option<Spanned<u64>>,
    notices_every_s: Option<Spanned<u64>>,
}

pub(super) fn jobs(document: &mut Document<'_>) -> Option<Cadence> {
    let (place, keys): (Place, JobKeys) = document.section("jobs");
    let default = Cadence::default();
    let mut every = |key, value: &Option<Spanned<u64>>, default: Duration| {
        let range = Range { key, least: 1, most: JOB_EVERY_MAX_S, default: default.as_secs() };
        number(document, &place, value.as_ref(), &range).map(Duration::from_secs)
    };
    let heads = every("heads_every_s", &keys.heads_every_s, default.heads);
    let witnesses = every("witnesses_every_s", &keys.witnesses_every_s, default.witnesses);
    let tending = every("tending_every_s", &keys.tending_every_s, default.tending);
    let retention = every("retention_every_s", &keys.retention_every_s, default.retention);
    let snapshots = every("snapshots_every_s", &keys.snapshots_every_s, default.snapshots);
    let notices = every("notices_every_s", &keys.notices_every_s, default.notices);
    Some(Cadence {
        notices: notices?,
        heads: heads?,
        witnesses: witnesses?,
        tending: tending?,
        retention: retention?,
        snapshots: snapshots?,
        ..default
    })
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AlertKeys {
    canaries: Vec<Spanned<String>>,
}

pub(super) fn alerts(document: &mut Document<'_>) -> Option<BTreeSet<SubjectId>> {
    let (place, keys): (Place, AlertKeys) = document.section("alerts");
    let mut canaries = Some(BTreeSet::new());
    for name in &keys.canaries {
        match SubjectId::parse_resource(name.get_ref()) {
            Ok(subject) => {
                canaries.as_mut().map(|all| all.insert(subject));
            }
            Err(error) => canaries = document.fault(&place, "canaries", name, error.to_string()),
        }
    }
    canaries
}

/// More than any machine of today has cores.
const THREADS_MAX: u64 = 1_024;
const JOB_EVERY_MAX_S: u64 = 3_600;
