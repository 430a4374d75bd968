//! The command line: one file a subcommand, each with its arguments and its `run`.
//!
//! The partner's, the officers' and the holder's people work through these, over the same interface that
//! everybody else uses; only what is offline (`calibrate`, `protection`, `policy`, `report`, `cert`, `open`,
//! `audit verify`, `receipt verify`, `synth`, `completions`, `man`) touches no server, and `witness` is one of its own. Nothing here decides anything.

use clap::{Parser, Subcommand};

pub mod agreement;
pub mod audit;
pub mod backup;
pub mod breach;
mod bulk;
pub mod calibrate;
pub mod cert;
pub mod certs;
pub mod change;
pub mod config;
pub mod delegation;
pub mod demo;
pub mod enrol;
pub mod fault;
pub mod files;
pub mod formats;
pub mod init;
pub mod keys;
mod labelled;
pub mod notices;
pub mod open;
pub mod passkey;
pub mod policy;
pub mod print;
pub mod protection;
pub mod query;
pub mod receipt;
pub mod recover;
pub mod registry;
pub mod release_key;
pub mod report;
pub mod request;
pub mod retention;
pub mod review;
pub mod sample;
pub mod serve;
mod sheet;
pub mod shell;
mod signed;
pub mod subject;
pub mod suspend;
pub mod synth;
pub mod way;
pub mod wire;
pub mod witness;

/// Hit/no-hit biometric matching between agencies
///
/// A partner asks whether a person is in the holder's gallery, and gets one bit. Anything more leaves only after
/// people at the holder approved that one request; and every step stands in a log that nobody can rewrite unseen.
///
/// Commands that call a server take it from the options under `Connection`, or from the environment:
/// ONEBIT_SERVER, ONEBIT_CA, ONEBIT_CERT and ONEBIT_KEY; the log's key from ONEBIT_LOG_KEY.
///
/// Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
#[derive(Parser)]
#[command(name = "onebit", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every subcommand, by who uses it.
#[derive(Subcommand)]
#[expect(
    missing_docs,
    reason = "what a subcommand does is said once, at its arguments, where clap takes it from"
)]
pub enum Command {
    // A partner.
    Query(Box<query::QueryArgs>),
    Request(request::RequestArgs),
    Open(Box<open::OpenArgs>),
    Receipt(audit::ReceiptArgs),
    ReleaseKey(release_key::ReleaseKeyArgs),
    Agreement(agreement::AgreementArgs),
    // The holder's officers.
    Review(review::ReviewArgs),
    // Whoever enrols.
    Enrol(Box<enrol::EnrolArgs>),
    Subject(subject::SubjectArgs),
    // Administrators and privacy officers.
    Change(change::ChangeArgs),
    Suspend(suspend::SuspendArgs),
    Passkey(passkey::PasskeyArgs),
    Delegation(delegation::DelegationArgs),
    Registry(registry::RegistryArgs),
    Audit(audit::AuditArgs),
    Breach(breach::BreachArgs),
    Retention(retention::RetentionArgs),
    Policy(policy::PolicyArgs),
    Calibrate(Box<calibrate::CalibrateArgs>),
    Protection(protection::ProtectionArgs),
    Report(report::ReportArgs),
    // Operators.
    Init(Box<init::InitArgs>),
    Serve(serve::ServeArgs),
    Config(config::ConfigArgs),
    Backup(backup::BackupArgs),
    Recover(recover::RecoverArgs),
    Keys(keys::KeysArgs),
    Notices(notices::NoticesArgs),
    // Whoever watches over a log of others.
    Witness(witness::WitnessArgs),
    // Whoever builds and tries.
    Demo(demo::DemoArgs),
    Cert(cert::CertArgs),
    Synth(synth::SynthArgs),
    // Shells and manuals.
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    /// Clap looks at this itself only where debug assertions are on; elsewhere one of two arguments of a name wins.
    #[test]
    fn no_two_arguments_of_a_command_have_one_name() {
        Cli::command().debug_assert();
        let mut commands = vec![(String::new(), Cli::command())];
        while let Some((path, command)) = commands.pop() {
            let path = format!("{path} {}", command.get_name()).trim().to_owned();
            let (mut ids, mut options) = (BTreeSet::new(), BTreeSet::new());
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(ids.insert(id.to_owned()), "`{path}` has two arguments with the id `{id}`");
                if let Some(option) = argument.get_long() {
                    assert!(options.insert(option.to_owned()), "`{path}` has two options `--{option}`");
                }
            }
            commands.extend(command.get_subcommands().map(|inner| (path.clone(), inner.clone())));
        }
    }

    #[test]
    fn every_subcommand_and_option_says_what_it_is_for() {
        let mut silent = Vec::new();
        let mut commands = vec![(String::new(), Cli::command())];
        while let Some((path, command)) = commands.pop() {
            let path = format!("{path} {}", command.get_name()).trim().to_owned();
            if command.get_about().is_none() {
                silent.push(path.clone());
            }
            for argument in command.get_arguments().filter(|it| it.get_help().is_none()) {
                silent.push(format!("{path} {}", argument.get_id()));
            }
            commands.extend(command.get_subcommands().map(|inner| (path.clone(), inner.clone())));
        }
        assert!(silent.is_empty(), "write a doc comment for each of: {silent:#?}");
    }

    #[test]
    fn a_query_needs_one_way_to_say_its_samples() {
        let line = "onebit query --collection c1 --purpose p1 --case 1 --official o --legal-basis l";
        let parsed = |more: &str| Cli::try_parse_from(line.split(' ').chain(more.split_whitespace())).is_ok();
        assert!(parsed("--embedding a.npy") && parsed("--embedding a.npy --embedding b.npy:3"));
        assert!(parsed("--json a.json") && parsed("--jsonl a.jsonl"));
        for bad in
            ["", "--json a --jsonl b", "--embedding a --json b", "--jsonl b --request-id x", "--quality 3"]
        {
            assert!(!parsed(bad), "`{bad}` should have been refused");
        }
    }

    #[test]
    fn an_enrolment_needs_one_kind_of_input() {
        let line = "onebit enrol --collection c1 --official o";
        let parsed = |more: &str| Cli::try_parse_from(line.split(' ').chain(more.split_whitespace())).is_ok();
        assert!(
            parsed("--npy a.npy --manifest a.jsonl")
                && parsed("--templates a.jsonl")
                && parsed("--ark a.ark")
        );
        for bad in ["", "--npy a.npy", "--manifest a", "--ark a --templates b", "--templates a --chunk 0"] {
            assert!(!parsed(bad), "`{bad}` should have been refused");
        }
    }
}
