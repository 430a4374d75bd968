//! Three questions, and what their answers do not tell.

use std::path::{Path, PathBuf};

use super::cast::Cast;
use super::folder::Folder;
use super::opening::People;
use super::page::{self, grouped};
use super::stage::{Played, Stage, as_text};
use super::stopwatch::{Measured, Probe, Span, measure};
use crate::cli::fault::CliError;
use crate::cli::query::{About, Bit};

/// What was asked, as far as the rest of the story needs it.
pub(super) struct Asked {
    /// The query that was answered HIT.
    pub(super) query: String,
    /// The index of its entry in the partner's journal.
    pub(super) index: u64,
    /// The entries about the stranger and about the hidden person.
    misses: [u64; 2],
    samples: [PathBuf; 3],
    /// What is known of the enrolled person, to compare with what is released.
    pub(super) record: serde_json::Value,
}

/// An enrolled person, a stranger and a hidden person.
pub(super) fn three_questions(
    stage: &Stage,
    cast: &Cast,
    folder: &Folder,
    people: &People,
) -> Result<Asked, CliError> {
    page::chapter(5, "Three questions")?;
    page::say(
        "At an airport in Australia an officer doubts a passport. The border agency's system asks the holder, with \
         a new picture of the traveller. It has never seen the one that is enrolled.",
    )?;
    let hit = ask(stage, cast, folder, &people.traveller_sample, "C-2026-17")?;
    hit.expect_line("HIT")?;
    page::found(
        "One bit: known. No name, no number, no likeness. The receipt proves that the question and its answer stand \
         in the log; the agency keeps it and can check it at any time, without the holder.",
    )?;
    page::say("The next traveller is a stranger.")?;
    let stranger = ask(stage, cast, folder, &people.stranger_sample, "C-2026-18")?;
    stranger.expect_line("NO HIT")?;
    let (source_id, why) = &people.hidden;
    page::say(&format!(
        "The third is in the gallery: `{source_id}`, hidden for the reason `{why}`. No partner may learn that."
    ))?;
    let hidden = ask(stage, cast, folder, &people.hidden_sample, "C-2026-19")?;
    hidden.expect_line("NO HIT")?;
    page::found(
        "The answer is the stranger's. That this person is there is known on the holder's side alone.",
    )?;
    Ok(Asked {
        query: hit.value("query")?.to_owned(),
        index: entry(&hit)?,
        misses: [entry(&stranger)?, entry(&hidden)?],
        samples: [&people.traveller_sample, &people.stranger_sample, &people.hidden_sample]
            .map(PathBuf::clone),
        record: people.traveller.1.clone(),
    })
}

/// That an answer tells nothing but its bit.
pub(super) fn alike(stage: &Stage, cast: &Cast, asked: &Asked) -> Result<(), CliError> {
    page::chapter(6, "What an answer does not tell")?;
    page::say(&format!(
        "Could somebody tell the hidden person from the stranger by the size of the answer, or by its time? Each of \
         the three is asked about {ROUNDS} times more, in turns, over one connection, and every answer is measured \
         as it arrives.",
    ))?;
    let [traveller, stranger, hidden] = asked.samples.clone();
    let probes = [
        Probe { who: "an enrolled person", sample: traveller },
        Probe { who: "a stranger", sample: stranger },
        Probe { who: "a hidden person", sample: hidden },
    ];
    let measured = measure(&stage.connection(&cast.gateway), &about("C-2026-20"), &probes, ROUNDS)?;
    let mut lines = vec![row(["asked about", "answer", "size", "half came within", "all within"])];
    lines.extend(measured.iter().map(|it| {
        row([it.who, it.bit.words(), &sizes(it.bytes), &millis(it.half_within()), &millis(it.all_within())])
    }));
    page::figures(&lines)?;
    check_alike(&measured)?;
    let proof =
        measured.iter().map(|it| it.proof_bytes).reduce(Span::with).unwrap_or(Span { least: 0, most: 0 });
    page::found(&format!(
        "To the byte the same size, whatever was found. Beside it each answer carries the proof of its place in the \
         log, here {} bytes, which depends on that place alone. And answers leave on a fixed beat after \
         their question, whatever was found; one that a busy machine delays leaves on the next beat.",
        sizes(proof).trim_end_matches(" bytes")
    ))?;
    page::say(
        "What the holder's side knows is sealed in the same entries. The privacy officer may open them, and that \
         too is logged. First the stranger's, then the hidden person's:",
    )?;
    for index in asked.misses {
        entry_shown(stage, cast, index)?;
    }
    Ok(())
}

/// A question in words, but for its sample.
pub(super) fn query_words(case: &str) -> Vec<&str> {
    let about = [
        "--collection",
        COLLECTION,
        "--purpose",
        PURPOSE,
        "--case",
        case,
        "--official",
        OFFICIAL,
        "--legal-basis",
        LEGAL_BASIS,
    ];
    ["onebit", "query"].into_iter().chain(about).collect()
}

/// What every question of the story says.
fn about(case: &str) -> About {
    About {
        collection: COLLECTION.to_owned(),
        purpose: PURPOSE.to_owned(),
        case: case.to_owned(),
        official: OFFICIAL.to_owned(),
        legal_basis: LEGAL_BASIS.to_owned(),
        agreement: None,
        urgent: false,
    }
}

fn ask(stage: &Stage, cast: &Cast, folder: &Folder, sample: &Path, case: &str) -> Result<Played, CliError> {
    let about = about(case);
    let receipt = folder.partner().join(format!("{case}.receipt"));
    let words = [
        "onebit",
        "query",
        "--collection",
        &about.collection,
        "--purpose",
        &about.purpose,
        "--case",
        &about.case,
        "--official",
        &about.official,
        "--legal-basis",
        &about.legal_basis,
        "--json",
        as_text(sample.as_os_str())?,
        "--receipt-out",
        as_text(receipt.as_os_str())?,
    ];
    let played = stage.play(&cast.gateway, &words)?;
    page::took(played.took)?;
    Ok(played)
}

/// The index in `holds: entry 7 of 8 in the journal …`.
fn entry(played: &Played) -> Result<u64, CliError> {
    let receipt = played.value("receipt")?;
    let index = receipt.strip_prefix("holds: entry ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    index.ok_or_else(|| CliError::Found("the receipt of a query was not checked".to_owned()))
}

fn entry_shown(stage: &Stage, cast: &Cast, index: u64) -> Result<(), CliError> {
    let words = [
        "onebit",
        "audit",
        "entry",
        "--journal",
        "au-border",
        "--index",
        &index.to_string(),
        "--reason",
        "demonstration",
    ];
    let shown = [&format!("{index}  "), "  case", "  outcome", "  subject", "  hidden-subject"];
    stage.play_in_part(&cast.privacy, &words, &shown).map(drop)
}

fn check_alike(measured: &[Measured]) -> Result<(), CliError> {
    let bits: Vec<Bit> = measured.iter().map(|it| it.bit).collect();
    if bits != [Bit::Hit, Bit::NoHit, Bit::NoHit] {
        return Err(CliError::Found("a question was answered in another way than before".to_owned()));
    }
    let all = measured.iter().map(|it| it.bytes).reduce(Span::with);
    match all {
        Some(Span { least, most }) if least == most => Ok(()),
        _ => Err(CliError::Found("answers differ in size by what was found".to_owned())),
    }
}

fn row([who, answer, size, half, all]: [&str; 5]) -> String {
    format!("{who:<22}{answer:<9}{size:<14}{half:<19}{all}")
}

fn sizes(span: Span<usize>) -> String {
    let text = |bytes: usize| grouped(u64::try_from(bytes).unwrap_or(u64::MAX));
    if span.least == span.most {
        format!("{} bytes", text(span.least))
    } else {
        format!("{} to {} bytes", text(span.least), text(span.most))
    }
}

fn millis(took: std::time::Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

/// Enough to see the spread, few enough not to be waited for.
const ROUNDS: u32 = 12;
const COLLECTION: &str = "watch-face";
pub(super) const PURPOSE: &str = "border-identity";
pub(super) const OFFICIAL: &str = "officer-7f3a";
pub(super) const LEGAL_BASIS: &str = "Example Migration Act, section 10";
