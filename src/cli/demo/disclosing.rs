//! From a hit to a name: a request, two officers, a sealed release, and its opening.

use serde_json::Value;

use super::asking::{Asked, LEGAL_BASIS, OFFICIAL, PURPOSE};
use super::cast::Cast;
use super::folder::Folder;
use super::page;
use super::stage::{Actor, Played, Stage, as_text};
use crate::cli::fault::CliError;

/// The disclosure.
pub(super) fn disclosure(stage: &Stage, cast: &Cast, folder: &Folder, asked: &Asked) -> Result<(), CliError> {
    page::chapter(7, "A name, if people agree")?;
    page::say(
        "After a HIT the border agency may ask for named fields of that one record, and says why. Its system signs \
         the request. Without a HIT of its own it could not even ask.",
    )?;
    let made = request(stage, cast, asked)?;
    let disclosure = made.value("disclosure")?.to_owned();
    let disclosure = disclosure.as_str();

    page::say(
        "At the holder, officers see the case. They see who asks, for what and why; values only one by one, and each look is logged before the value is shown.",
    )?;
    stage.play(&cast.officer, &["onebit", "review", "show", disclosure])?;
    let seen = stage
        .play(&cast.officer, &["onebit", "review", "view-field", disclosure, "--field", "family-name"])?;
    check_released(&seen, &asked.record, &["family-name"])?;

    page::say(
        "The agreement with Australia wants two officers. The first approves, with a signature over exactly this request. To the border agency nothing has changed:",
    )?;
    let first =
        approve(stage, &cast.officer, disclosure, "Same person as in our file; the fields are needed")?;
    first.expect("partially-approved")?;
    let waiting =
        stage.play_in_part(&cast.gateway, &["onebit", "request", "show", disclosure], &["state"])?;
    check_state(&waiting, "pending")?;

    page::say(
        "The second officer, another person with a key of their own, approves as well. Now the fields are opened, sealed to the border agency's key, and ready to be fetched.",
    )?;
    let second = approve(stage, &cast.second_officer, disclosure, "Agreed")?;
    second.expect("released")?;

    page::say(
        "The border agency fetches what was released. It travels and lies sealed; only the agency's secret key opens it.",
    )?;
    let release = folder.partner().join("release.json");
    let release = as_text(release.as_os_str())?;
    let key = folder.release_key();
    let key = as_text(key.as_os_str())?;
    stage.play(&cast.gateway, &["onebit", "request", "fetch", disclosure, "--out", release])?;
    let opened =
        stage.play(&cast.gateway, &["onebit", "open", release, "--release-key", key, "--acknowledge"])?;
    check_released(&opened, &asked.record, &FIELDS)?;
    page::found(
        "These are the fields that were asked for and approved, as they were enrolled, and nothing else. The holder \
         was told that they arrived and has deleted the sealed copy.",
    )
}

fn request(stage: &Stage, cast: &Cast, asked: &Asked) -> Result<Played, CliError> {
    let mut words = vec!["onebit", "request", "new", "--query", asked.query.as_str()];
    for field in FIELDS {
        words.extend(["--field", field]);
    }
    words.extend(["--purpose", PURPOSE, "--legal-basis", LEGAL_BASIS, "--official", OFFICIAL]);
    words.extend(["--justification", JUSTIFICATION]);
    let made = stage.play(&cast.gateway, &words)?;
    check_state(&made, "pending")?;
    Ok(made)
}

fn approve(stage: &Stage, officer: &Actor, disclosure: &str, reason: &str) -> Result<Played, CliError> {
    stage.play(officer, &["onebit", "review", "approve", disclosure, "--all-fields", "--reason", reason])
}

fn check_state(played: &Played, state: &str) -> Result<(), CliError> {
    match played.value("state")? {
        found if found == state => Ok(()),
        found => Err(CliError::Found(format!("the disclosure is `{found}` where it should be `{state}`"))),
    }
}

/// Compares what was shown with the record that was enrolled.
fn check_released(played: &Played, record: &Value, fields: &[&str]) -> Result<(), CliError> {
    for field in fields {
        let enrolled = record.pointer(&format!("/{field}/value")).and_then(Value::as_str).unwrap_or_default();
        played.expect_line(&format!("{field}: {enrolled}"))?;
    }
    Ok(())
}

const FIELDS: [&str; 3] = ["family-name", "given-names", "date-of-birth"];
const JUSTIFICATION: &str =
    "The passport was reported stolen in May. We need to know under which name this traveller is on record.";
