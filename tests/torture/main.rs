//! Torture: power cuts, kills, errors of the disk and full disks, each with controls that must fail.
//!
//! `make torture` runs the long form and prints what `docs/reliability.md` quotes; `make test` runs the short one.
//! A row that the machine does not permit is named as left out and counted as ignored.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that can't be set up, or finds something else than it says, has to stop"
)]

mod audit;
mod disk;
mod driver;
mod fault;
mod full;
// The harness of the tests: a holder with the real server.
#[path = "../it/holder.rs"]
#[allow(
    dead_code,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "written for the tests, which need more of it"
)]
mod holder;
mod kill;
mod power;
mod recording;
mod row;
mod server;
#[path = "../it/story.rs"]
#[allow(
    dead_code,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "written for the tests, which need more of it"
)]
mod story;
mod trace;

use std::process::ExitCode;
use std::time::Instant;

use row::{Form, Outcome, Row};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == driver::DRIVE => driver::main(rest),
        Some((first, rest)) if first == full::INSIDE => full::inside(rest),
        _ => rows(&args),
    }
}

type Run = fn(Form) -> Row;

/// What is tried, by name.
const ROWS: [(&str, Run); 7] = [
    ("power", power::run),
    ("power_founding", power::founding),
    ("power_after_failed_fsync", power::after_failed_fsync),
    ("kill", kill::run),
    ("kill_server", server::run),
    ("fault", fault::run),
    ("full", full::run),
];

fn rows(args: &[String]) -> ExitCode {
    let asked = Asked::parse(args);
    let chosen: Vec<_> = ROWS.iter().filter(|(name, _)| asked.wants(name)).collect();
    if asked.list {
        for (name, _) in chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let form = Form::from_environment();
    println!("\nrunning {} rows of torture ({form:?}, seed {})", chosen.len(), form.seed());
    let (begun, mut counts) = (Instant::now(), [0_usize; 3]);
    for (name, run) in &chosen {
        let begun = Instant::now();
        let row = run(form);
        println!("{name} ... {row} ({} s)", begun.elapsed().as_secs());
        let place = match row.outcome() {
            Outcome::Passed => 0,
            Outcome::Failed => 1,
            Outcome::LeftOut => 2,
        };
        counts[place] += 1;
    }
    let [passed, failed, left_out] = counts;
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; {left_out} ignored; 0 measured; {} filtered out; \
         finished in {} s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        ROWS.len() - chosen.len(),
        begun.elapsed().as_secs()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the arguments of a test runner ask for; what only matters to others is passed over.
struct Asked {
    names: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    ignored_only: bool,
}

impl Asked {
    fn parse(args: &[String]) -> Self {
        let mut asked =
            Self { names: Vec::new(), skip: Vec::new(), exact: false, list: false, ignored_only: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => asked.exact = true,
                "--list" => asked.list = true,
                "--ignored" => asked.ignored_only = true,
                "--skip" => asked.skip.extend(args.next().cloned()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" | "--shuffle-seed" => {
                    let _value = args.next();
                }
                flag if flag.starts_with('-') => {}
                name => asked.names.push(name.to_owned()),
            }
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        // Also by the name of the whole, so that `make test TEST=torture` means something.
        let full = format!("torture::{name}");
        let fits =
            |asked: &String| if self.exact { *asked == full || asked == name } else { full.contains(asked) };
        let is_named = self.names.is_empty() || self.names.iter().any(fits);
        is_named && !self.skip.iter().any(fits) && !self.ignored_only
    }
}
