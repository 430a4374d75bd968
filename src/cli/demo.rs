//! `onebit demo`: the whole story on one machine, with people who don't exist.
//!
//! Nothing in it is played: each step is a process of this same executable, what it prints is what that process
//! said, and every figure is measured while it runs. A step that does not come out as it is told ends the story.

use std::env;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use self::cast::Cast;
use self::folder::Folder;
use self::server::Server;
use self::stage::{Actor, Stage, as_text};
use super::fault::CliError;

mod asking;
mod cast;
mod disclosing;
mod folder;
mod opening;
mod page;
mod server;
mod stage;
mod stopwatch;
mod verifying;

/// Shows the whole story with people who don't exist, on this machine alone
///
/// It holds the first-start ceremony, starts the server, enrols synthetic people, asks about an enrolled person,
/// a stranger and a hidden person, takes a disclosure through two officers to its opening, and verifies the log,
/// whole and with one bit changed. Each step is a process of its own and is printed as it is run.
///
/// At the end the server keeps running, with commands to try, until you press Enter. Without a terminal, or with
/// CI=true, it is stopped and the demonstration ends.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// How many people to enrol
    #[arg(long, env = "ONEBIT_DEMO_PEOPLE", value_name = "NUMBER", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(PEOPLE_MIN..=PEOPLE_MAX))]
    pub people: u64,
    /// The folder for all that comes of it; one of an earlier demonstration is emptied, no other is touched
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub folder: PathBuf,
    /// The policy folder to found the holder with
    #[arg(long, value_name = "FOLDER", default_value = "policy")]
    pub policy: PathBuf,
    /// Leave the server running in the background and end, terminal or not
    #[arg(long)]
    pub keep: bool,
}

/// Shows the story.
///
/// # Errors
/// [`CliError`] with the first step that did not come out as it should; the server is stopped.
pub fn run(args: &DemoArgs) -> Result<(), CliError> {
    let folder = Folder::fresh(&args.folder)?;
    page::title("Onebit: one bit between agencies, shown with people who do not exist")?;
    page::say(INTRODUCTION)?;
    page::say(HOW_TO_READ)?;
    let cast = Cast::of(&folder);

    opening::ceremony(&folder, &args.policy)?;
    let (server, address) = opening::server(&folder)?;
    let told = server.stop_on_signals().and_then(|()| {
        let stage =
            Stage::new(format!("https://{address}"), folder.holder().join("ca.pem"), folder.release_key())?;
        tell(&stage, &cast, &folder, args.people)?;
        next(&stage, &cast, &folder)
    });
    let ended = match (&told, Ending::of(args)) {
        (Ok(()), Ending::Background) => leave(&server),
        (Ok(()), Ending::Foreground) => wait_for_enter().and_then(|()| stop(&server)),
        (Ok(()), Ending::Stop) => stop(&server),
        // The story's own error is the one to tell.
        (Err(_), _) => server.stop().map(drop),
    };
    told.and(ended)
}

/// The story from the release key to the changed bit.
fn tell(stage: &Stage, cast: &Cast, folder: &Folder, people: u64) -> Result<(), CliError> {
    opening::release_key(stage, cast, folder)?;
    let people = opening::gallery(stage, cast, folder, people)?;
    let asked = asking::three_questions(stage, cast, folder, &people)?;
    asking::alike(stage, cast, &asked)?;
    disclosing::disclosure(stage, cast, folder, &asked)?;
    let export = verifying::whole(stage, cast, folder)?;
    verifying::changed(cast, folder, &export, &asked)
}

/// What to try next, where the files lie, and how to stop.
fn next(stage: &Stage, cast: &Cast, folder: &Folder) -> Result<(), CliError> {
    page::chapter(10, "What to try next")?;
    for actor in cast.everybody() {
        stage.write_acting(&folder.acting(), actor)?;
    }
    let path = as_text(folder.path().as_os_str())?;
    page::say(
        "While the server runs, copy these into another shell, in this folder. The first line of each lets the \
         shell act as somebody; `onebit COMMAND --help` tells more.",
    )?;
    let (stranger, probes) = (format!("{path}/partner/stranger.json"), format!("{path}/people/probes.jsonl"));
    let query = |option, file| {
        let mut words = asking::query_words("C-2026-21");
        words.extend([option, file]);
        page::to_copy(&words)
    };
    acting(path, &cast.gateway)?;
    page::to_copy(&["onebit", "agreement", "standing"])?;
    query("--json", stranger.as_str())?;
    query("--jsonl", probes.as_str())?;
    acting(path, &cast.officer)?;
    page::to_copy(&["onebit", "review", "list", "--state", "acknowledged"])?;
    acting(path, &cast.privacy)?;
    for journal in ["au-border", "holder"] {
        page::to_copy(&["onebit", "audit", "list", "--journal", journal, "--reason", "looking around"])?;
    }
    page::to_copy(&["onebit", "registry", "people"])?;
    page::say("Where things lie:")?;
    let row = |place: &str, what: &str| format!("{:<24}{what}", format!("{path}/{place}"));
    page::figures(&[
        row("holder/", "configuration, rules, store, keys and certificates"),
        row("people/", "the people who do not exist, and samples of them"),
        row("partner/", "the partner's own: key, samples, receipts, release"),
        row("export/", "the journal as it was exported"),
        row("as/", "what a shell reads to act as somebody"),
        row("server.log", "what the server says"),
    ])
}

/// The line by which a shell acts as somebody.
fn acting(path: &str, actor: &Actor) -> Result<(), CliError> {
    let file = page::quoted(&format!("{path}/as/{}", actor.name));
    page::figures(&[format!(". {file}   # {}", actor.prompt())])
}

/// What happens to the server when the story is told.
enum Ending {
    /// It is left behind.
    Background,
    /// It runs until somebody presses Enter.
    Foreground,
    /// It is stopped.
    Stop,
}

impl Ending {
    fn of(args: &DemoArgs) -> Self {
        let continuous_integration =
            env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let watched = io::stdin().is_terminal() && io::stdout().is_terminal();
        match (args.keep, watched && !continuous_integration) {
            (true, _) => Self::Background,
            (false, true) => Self::Foreground,
            (false, false) => Self::Stop,
        }
    }
}

fn leave(server: &Server) -> Result<(), CliError> {
    match server.leave() {
        Some(pid) => {
            page::say(&format!("The server keeps running in the background. To stop it: kill {pid}"))
        }
        None => Ok(()),
    }
}

fn wait_for_enter() -> Result<(), CliError> {
    page::say("The server keeps running. Press Enter here to stop it and to end.")?;
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map(drop)
        .map_err(|error| CliError::because("nothing can be read", error))
}

fn stop(server: &Server) -> Result<(), CliError> {
    match server.stop()? {
        Some(took) => page::say(&format!(
            "The server was asked to stop, finished what was under way and ended after {}. Run the demonstration again whenever you like; it begins afresh.",
            page::seconds(took)
        )),
        None => Ok(()),
    }
}

const INTRODUCTION: &str = "An agency keeps a gallery of faces: the holder. A partner, the border agency of \
    another country, may ask it one question about one person: do you know this face? The answer is one bit, HIT \
    or NO HIT. Anything more, a name or a date of birth, leaves only after people at the holder have approved it. \
    And every step stands in a log that neither side can rewrite without being found out.";
const HOW_TO_READ: &str = "All of this happens now, on this machine. Each command below is a process of its own; \
    what it said stands under it, and every figure is measured while you watch. The name before `$` says who acts: \
    each of them has a certificate, which says who they are, and a key, with which they sign.";
/// Enough for an enrolled person, a hidden one and a stranger of each kind.
const PEOPLE_MIN: u64 = 60;
/// The largest gallery that the generator of synthetic people makes.
const PEOPLE_MAX: u64 = 10_000_000;
