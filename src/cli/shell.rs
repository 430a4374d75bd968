//! `onebit completions` and `onebit man`: what shells and readers of manuals want to know of the command line, made of
//! the same description that it is read by.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::fault::CliError;

/// Writes completions for a shell
///
/// For bash: `onebit completions bash > ~/.local/share/bash-completion/completions/onebit`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Writes manual pages, one for each subcommand
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder that they are written into; it is made if it is not there, and older pages in it are replaced
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Writes completions to the standard output.
///
/// # Errors
/// [`CliError::Output`].
pub fn completions(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    io::stdout().lock().write_all(&script).map_err(CliError::Output)
}

/// Writes a manual page for the command and for each subcommand, in section 1.
///
/// # Errors
/// [`CliError::Write`] with the file that can't be written.
pub fn man(args: &ManArgs) -> Result<(), CliError> {
    fs::create_dir_all(&args.folder).map_err(|source| CliError::write(&args.folder, source))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut waiting = vec![(NAME.to_owned(), command)];
    while let Some((name, command)) = waiting.pop() {
        write_page(&args.folder, &name, &command)?;
        let inner =
            command.get_subcommands().map(|inner| (format!("{name}-{}", inner.get_name()), inner.clone()));
        waiting.extend(inner);
    }
    Ok(())
}

fn write_page(folder: &Path, name: &str, command: &clap::Command) -> Result<(), CliError> {
    let mut page = Vec::new();
    let file = folder.join(format!("{name}.1"));
    let named = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(named)
        .title(name.to_uppercase())
        .render(&mut page)
        .map_err(|source| CliError::write(&file, source))?;
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true);
    open.open(&file).and_then(|mut out| out.write_all(&page)).map_err(|source| CliError::write(&file, source))
}

const NAME: &str = "onebit";

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// Every subcommand, by the words that lead to it.
    fn paths() -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let mut waiting = vec![(Vec::new(), Cli::command())];
        while let Some((path, command)) = waiting.pop() {
            for inner in command.get_subcommands() {
                let path = [path.as_slice(), &[inner.get_name().to_owned()]].concat();
                found.push(path.clone());
                waiting.push((path, inner.clone()));
            }
        }
        found
    }

    #[test]
    fn completions_of_every_shell_name_every_subcommand() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), NAME, &mut script);
            let script = String::from_utf8(script).unwrap();
            for path in paths() {
                let last = path.last().unwrap();
                assert!(script.contains(last.as_str()), "{shell} does not name `{}`", path.join(" "));
            }
        }
    }

    #[test]
    fn every_subcommand_has_a_manual_page_that_names_those_under_it() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { folder: folder.path().join("man1") };
        man(&args).unwrap();
        man(&args).unwrap();
        let read = |name: &str| fs::read_to_string(args.folder.join(format!("{name}.1"))).unwrap();
        let plain = |page: String| page.replace('\\', "");
        for path in paths() {
            let page = plain(read(&format!("onebit-{}", path.join("-"))));
            assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{}", path.join(" "));
            let above = path.split_last().unwrap().1;
            let above = std::iter::once(NAME).chain(above.iter().map(String::as_str));
            let above = plain(read(&above.collect::<Vec<_>>().join("-")));
            assert!(above.contains(path.last().unwrap().as_str()), "no way to `{}`", path.join(" "));
        }
    }
}
