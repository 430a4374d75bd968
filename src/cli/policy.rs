//! `onebit policy`: what a policy folder says, checked offline.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::audit::verify_folder;
use super::fault::CliError;
use super::print::{self, OutputOption};
use super::receipt::parse_key;
use crate::audit::entry::Side;
use crate::authz::{
    Bearing, BeforeRelease, Bundle, Rules, Support, TwoFaces, rule_changes, who_may_call_what,
};
use crate::clock::{Timestamp, day_of};
use crate::oversight::{Differently, Replay, Replayed};
use crate::template::Supported;

/// Checks a policy folder, and shows who may do what
///
/// A policy folder holds the rules, agreements, collections, schemes and retention that everything is decided
/// by; `docs/policy.md` tells what lies where. Its digest is its name: propose it with
/// `onebit change propose policy FOLDER`.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What can be done with a folder.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Tells every fault with file and line, or the digest and what is in it
    Check(FolderArgs),
    /// Shows who may make which call, and under which conditions, as Markdown
    Table(FolderArgs),
    /// Tells what a newer folder changes, in plain words and for whom; what it opens comes first
    Diff(DiffArgs),
    /// Decides the questions and disclosures of a period again under a newer folder, and lists what would be otherwise
    ///
    /// It reads an export of a partner's journal (`onebit audit export`), verifies it first, and needs no server. Scores
    /// are kept nowhere, so that another threshold or other visible restrictions can't be replayed; those are counted.
    Replay(ReplayArgs),
}

/// A folder, and what is to be decided again.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The policy folder that is to be proposed
    #[arg(value_name = "NEWER")]
    pub newer: PathBuf,
    /// The first day (UTC) of the period, for example `2026-07-01`
    #[arg(long, value_name = "DATE")]
    pub since: jiff::civil::Date,
    /// The folder of an export of the partner's journal
    #[arg(long, value_name = "DIR")]
    pub journal: PathBuf,
    /// The journal's verifier key, or a file that holds it
    #[arg(long, value_name = "KEY|FILE", env = "ONEBIT_LOG_KEY")]
    pub key: String,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Two folders.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The policy folder that is in force
    #[arg(value_name = "OLDER")]
    pub older: PathBuf,
    /// The policy folder that is to be proposed
    #[arg(value_name = "NEWER")]
    pub newer: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// A folder.
#[derive(Debug, clap::Args)]
pub struct FolderArgs {
    /// The policy folder
    #[arg(value_name = "FOLDER", default_value = "policy")]
    pub folder: PathBuf,
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
}

/// Does what the subcommand says.
///
/// # Errors
/// [`CliError`] when the folder can't be read or has faults.
pub fn run(args: &PolicyArgs) -> Result<(), CliError> {
    match &args.command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Table(args) => table(args),
        PolicyCommand::Diff(args) => diff(args),
        PolicyCommand::Replay(args) => replay(args),
    }
}

fn check(args: &FolderArgs) -> Result<(), CliError> {
    let rules = match load(&args.folder)? {
        Ok(rules) => rules,
        Err(faults) => {
            let told = faults.iter().map(|fault| {
                let file = args.folder.join(&fault.file).display().to_string();
                json!({ "file": file, "line": fault.line, "column": fault.column, "message": fault.message })
            });
            let told: Vec<_> = told.collect();
            let text = || {
                let lines = faults.iter().map(|it| {
                    format!(
                        "{}:{}:{}: {}",
                        args.folder.join(&it.file).display(),
                        it.line,
                        it.column,
                        it.message
                    )
                });
                lines.collect::<Vec<_>>().join("\n")
            };
            args.output.show(text, &json!({ "faults": told }))?;
            return Err(CliError::Found(format!("{} faults in `{}`", faults.len(), args.folder.display())));
        }
    };
    let agreements: Vec<&str> = rules.agreements().map(|it| it.name.as_str()).collect();
    let collections: Vec<&str> = rules.collections().map(|it| it.name.as_str()).collect();
    let schemes: Vec<&str> = rules.schemes().map(|it| it.scheme.name.as_str()).collect();
    let witnesses = rules.witnesses();
    let names: Vec<&str> = witnesses.all.iter().map(|it| it.name.as_str()).collect();
    let retention: Vec<&str> = rules.retentions().map(|it| it.name.as_str()).collect();
    let supports: Vec<Support<'_>> = rules.supports().collect();
    let digest = rules.digest().to_string();
    args.output.show(
        || {
            format!(
                "fine\ndigest       {digest}\nagreements   {}\ncollections  {}\nschemes      {}\nretention    {}\nwitnesses    {}\n             {}\nsupported    {}",
                agreements.join(", "),
                collections.join(", "),
                schemes.join(", "),
                retention.join(", "),
                if names.is_empty() { "none".to_owned() } else { names.join(", ") },
                witnesses.claim(),
                supports.iter().map(supported).collect::<Vec<_>>().join("\n             ")
            )
        },
        &json!({
            "digest": digest, "agreements": agreements, "collections": collections, "schemes": schemes,
            "retention": retention,
            "supported": supports.iter().map(supported_json).collect::<Vec<_>>(),
            "witnesses": {
                "names": names, "needed": witnesses.needed, "assumed_dishonest": witnesses.assumed_dishonest,
                "before_release": witnesses.before_release == BeforeRelease::Required,
                "two_faces_noticed": witnesses.two_faces() == TwoFaces::Noticed,
                "claim": witnesses.claim(),
            },
        }),
    )
}

/// For which galleries the calibration supports what was agreed; queries of others are refused.
fn supported(support: &Support<'_>) -> String {
    let Support { agreement, collection, galleries } = support;
    let (name, fpir) = (&agreement.name, agreement.accuracy.fpir);
    let told = match galleries {
        Supported::Between(from, to) => format!("for {from} to {to} templates, then refused"),
        Supported::Unmeasured => "by one fixed threshold, which nothing was measured for".to_owned(),
        Supported::Never => "for no gallery".to_owned(),
    };
    format!("FPIR {fpir:e} of `{name}` on `{collection}`: {told}")
}

fn supported_json(support: &Support<'_>) -> serde_json::Value {
    let templates = match support.galleries {
        Supported::Between(from, to) => json!({ "least": from, "most": to }),
        Supported::Unmeasured | Supported::Never => serde_json::Value::Null,
    };
    json!({
        "agreement": support.agreement.name.as_str(), "collection": support.collection.as_str(),
        "fpir": support.agreement.accuracy.fpir, "templates": templates,
        "measured": support.galleries != Supported::Unmeasured,
    })
}

fn diff(args: &DiffArgs) -> Result<(), CliError> {
    let (older, newer) = (sound(&args.older)?, sound(&args.newer)?);
    let changes = rule_changes(&older, &newer);
    let text = || {
        let mut page = format!("from {}\nto   {}", older.digest(), newer.digest());
        let mut above = None;
        for change in &changes {
            if above != Some(change.bearing) {
                above = Some(change.bearing);
                page.push_str(&format!("\n\n{}", heading(change.bearing)));
            }
            page.push_str(&format!("\n  {}: {}\n    {}", change.whom, change.says, change.file));
        }
        if changes.is_empty() {
            page.push_str("\n\nthe two folders are the same");
        }
        page
    };
    let told = changes.iter().map(|it| {
        json!({ "bearing": it.bearing.as_str(), "whom": it.whom.to_string(), "file": it.file, "says": it.says })
    });
    let told: Vec<_> = told.collect();
    let digests = (older.digest().to_string(), newer.digest().to_string());
    args.output.show(text, &json!({ "from": digests.0, "to": digests.1, "changes": told }))
}

fn replay(args: &ReplayArgs) -> Result<(), CliError> {
    let rules = sound(&args.newer)?;
    let mut replay = Replay::new(&rules, Timestamp::at_day(day_of(args.since)));
    let mut opened = 0_u64;
    let report = verify_folder(&args.journal, &parse_key(&args.key)?, &mut |index, side, event| {
        if side == Side::Holder {
            opened = opened.saturating_add(1);
            replay.take(index, event);
        }
    })?;
    let found = replay.done();
    let closed = report.size.saturating_sub(opened);
    if opened == 0 && closed > 0 {
        return Err(CliError::Found(format!(
            "nothing in `{}` can be opened by the holder's side; export it with the holder's openings",
            args.journal.display()
        )));
    }
    args.output.show(|| replayed_text(&found, closed, args), &replayed_json(&found, closed))
}

fn replayed_text(found: &Replayed, closed: u64, args: &ReplayArgs) -> String {
    let Replayed { questions, requests, approvals, differently, refused, hidden, unreadable } = found;
    let mut page = format!(
        "decided again since {}: {questions} questions, {requests} requests for disclosure, {approvals} approvals\n\
         otherwise: {}",
        args.since,
        differently.len()
    );
    for Differently { index, at, was, would } in differently {
        page.push_str(&format!("\n  entry {index}, {at}: was {was}; would be {would}"));
    }
    page.push_str(&format!(
        "\nnot decided again: {refused} refused questions (the log does not keep what they were about), {closed} \
         entries that were disposed of, {unreadable} that are not in their form"
    ));
    page.push_str(&format!(
        "\nto {hidden} of the questions a hidden person would have matched; whether other visible restrictions or another \
         threshold change an answer can't be told, since scores are kept nowhere"
    ));
    page
}

fn replayed_json(found: &Replayed, closed: u64) -> serde_json::Value {
    let Replayed { questions, requests, approvals, differently, refused, hidden, unreadable } = found;
    let told = differently
        .iter()
        .map(|it| json!({ "entry": it.index, "time": it.at.to_string(), "was": it.was, "would": it.would }));
    json!({
        "questions": questions, "requests": requests, "approvals": approvals,
        "differently": told.collect::<Vec<_>>(),
        "not_decided_again": { "refused": refused, "disposed": closed, "unreadable": unreadable },
        "hidden_matches": hidden,
    })
}

const fn heading(bearing: Bearing) -> &'static str {
    match bearing {
        Bearing::Opens => "OPENS: more may be asked, seen, done or kept, or fewer have to agree",
        Bearing::Changes => "CHANGES: otherwise, and neither more nor less by itself",
        Bearing::Closes => "CLOSES: less may be asked, seen, done or kept, or more have to agree",
        Bearing::Words => "WORDS: nothing that anybody is decided by",
    }
}

/// The rules of a folder without faults.
fn sound(folder: &Path) -> Result<Rules, CliError> {
    load(folder)?.map_err(|faults| {
        let count = faults.len();
        CliError::Found(format!(
            "{count} faults in `{0}`; `onebit policy check {0}` tells them",
            folder.display()
        ))
    })
}

fn table(args: &FolderArgs) -> Result<(), CliError> {
    let rules = sound(&args.folder)?;
    let table = who_may_call_what(&rules);
    match args.output.output {
        print::Output::Text => print::line(table.to_markdown().trim_end()),
        print::Output::Json => {
            let rows: Vec<_> = table
                .rows()
                .iter()
                .map(|row| {
                    let cells = crate::authz::Role::ALL.iter().zip(&row.cells);
                    let cells = cells.map(|(role, may)| (role.as_str().to_owned(), may_json(may)));
                    json!({ "call": row.action.id(), "roles": cells.collect::<serde_json::Map<_, _>>() })
                })
                .collect();
            args.output.show(String::new, &rows)
        }
    }
}

fn may_json(may: &crate::authz::May) -> serde_json::Value {
    match may {
        crate::authz::May::No => json!("no"),
        crate::authz::May::Yes => json!("yes"),
        crate::authz::May::If(conditions) => json!({ "if": conditions }),
    }
}

fn load(folder: &Path) -> Result<Result<Rules, Vec<crate::authz::PolicyFault>>, CliError> {
    let unreadable =
        |error| CliError::because(format!("`{}` is not a policy folder", folder.display()), error);
    Ok(Rules::load(Bundle::read_folder(folder).map_err(unreadable)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> FolderArgs {
        FolderArgs { folder: path.to_owned(), output: OutputOption::default() }
    }

    #[test]
    fn the_example_folder_is_fine() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        check(&folder(&example)).unwrap();
        table(&folder(&example)).unwrap();
    }

    #[test]
    fn faults_fail_the_check() {
        let empty = tempfile::tempdir().unwrap();
        let error = check(&folder(empty.path())).unwrap_err();
        assert!(error.to_string().contains("faults in"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}
