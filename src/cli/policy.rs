//! `onebit policy`: what a policy folder says, checked offline.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::fault::CliError;
use super::print::{self, OutputOption};
use crate::authz::{BeforeRelease, Bundle, Rules, Support, TwoFaces, who_may_call_what};
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

fn table(args: &FolderArgs) -> Result<(), CliError> {
    let rules = load(&args.folder)?.map_err(|faults| {
        let count = faults.len();
        CliError::Found(format!("{count} faults; `onebit policy check {}` tells them", args.folder.display()))
    })?;
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
