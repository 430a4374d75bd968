//! `onebit`: the service and all its tools, a list of subcommands.

use std::alloc::System;
use std::process::ExitCode;

use clap::Parser;
use onebit::cli::fault::CliError;
use onebit::cli::{self, Cli, Command, print};
use onebit::server::memory;
use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory of the heap when it is freed or moved: also what other crates read a sample into, such as the
/// buffers of TLS, HTTP/2 and protobuf. Not wiped by it: stacks, registers, the heap of SQLite, and the kernel's
/// buffers; `docs/threat-model.md` lists what remains.
#[global_allocator]
static HEAP: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    // Before anything secret is read, by whichever command.
    let kept = memory::dumps_off().map_err(|error| CliError::because("nothing was done", error));
    match kept.and_then(|()| run(&Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Query(args) => cli::query::run(args),
        Command::Request(args) => cli::request::run(args),
        Command::Open(args) => cli::open::run(args),
        Command::ReleaseKey(args) => cli::release_key::run(args),
        Command::Agreement(args) => cli::agreement::run(args),
        Command::Review(args) => cli::review::run(args),
        Command::Enrol(args) => cli::enrol::run(args),
        Command::Subject(args) => cli::subject::run(args),
        Command::Change(args) => cli::change::run(args),
        Command::Suspend(args) => cli::suspend::run(args),
        Command::Passkey(args) => cli::passkey::run(args),
        Command::Delegation(args) => cli::delegation::run(args),
        Command::Registry(args) => cli::registry::run(args),
        Command::Retention(args) => cli::retention::run(args),
        Command::Breach(args) => cli::breach::run(args),
        Command::Audit(args) => cli::audit::run(args),
        Command::Receipt(args) => cli::audit::run_receipt(args),
        Command::Policy(args) => cli::policy::run(args),
        Command::Calibrate(args) => cli::calibrate::run(args),
        Command::Protection(args) => cli::protection::run(args),
        Command::Report(args) => cli::report::run(args),
        Command::Init(args) => cli::init::run(args),
        Command::Serve(args) => cli::serve::run(args),
        Command::Config(args) => cli::config::run(args),
        Command::Backup(args) => cli::backup::run(args),
        Command::Recover(args) => cli::recover::run(args),
        Command::Keys(args) => cli::keys::run(args),
        Command::Notices(args) => cli::notices::run(args),
        Command::Witness(args) => cli::witness::run(args),
        Command::Demo(args) => cli::demo::run(args),
        Command::Cert(args) => cli::cert::run(args),
        Command::Completions(args) => cli::shell::completions(args),
        Command::Man(args) => cli::shell::man(args),
        Command::Synth(args) => {
            cli::synth::run(args).map_err(|error| CliError::because("no data set was written", error))
        }
    }
}
