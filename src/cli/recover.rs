//! `onebit recover`: the way on when the database is older than what was signed.

use std::path::PathBuf;
use std::sync::Arc;

use super::fault::CliError;
use super::init::unusable;
use super::print;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::config::material::process_environment;
use crate::secret::SystemEntropy;
use crate::server;
use crate::store::sqlite::{self, JournalContinued};

/// Says which journals are behind what was signed, and lets them go on under a new origin
///
/// Use it after a backup was restored, when the server refuses to sign. The newest database is always better: put it
/// back if it exists anywhere. Otherwise each journal that is behind goes on as a new tree with a key name of its own,
/// so that nothing ever contradicts what was signed; its first entry says so to both sides, and where the old tree
/// stood. What was lost stays lost: partners hold receipts of it.
///
/// The server must be stopped. Without `--because` nothing is changed.
#[derive(Debug, clap::Args)]
pub struct RecoverArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
    /// Goes on, and keeps this reason in the log for everybody to read
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
}

/// Says what is behind, or lets it go on.
///
/// # Errors
/// [`CliError`] when the store can't be opened, or a server uses it.
pub fn run(args: &RecoverArgs) -> Result<(), CliError> {
    let config = Config::read(&args.config).map_err(unusable)?;
    let refused = |error| CliError::because("the store can't be recovered", error);
    let _lock = server::store_lock(&config.store_folder)
        .map_err(|error| CliError::because("the store can't be recovered", error))?;
    let root = config
        .root_key
        .open(&process_environment)
        .map_err(|error| CliError::because("the root key can't be opened", error))?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let (store, heads) = (&config.store_folder, &config.heads_folder);
    let Some(why) = &args.because else {
        let behind = sqlite::journals_behind(store, heads, root, clock, entropy).map_err(refused)?;
        return print::line(&would_go_on(&behind));
    };
    let continued = sqlite::journals_continue(store, heads, root, clock, entropy, why).map_err(refused)?;
    print::line(&went_on(&continued))
}

fn would_go_on(behind: &[JournalContinued]) -> String {
    if behind.is_empty() {
        return "No journal is behind what was signed; start the server.".to_owned();
    }
    let mut text = String::from("Behind what was signed:\n");
    for one in behind {
        text.push_str(&format!("  {}\n", standing(one)));
    }
    text.push_str(
        "Put the newest database back if it exists anywhere. Otherwise let these journals go on under new origins:\n  \
         onebit recover --config FILE --because \"what happened\"",
    );
    text
}

fn went_on(continued: &[JournalContinued]) -> String {
    if continued.is_empty() {
        return "No journal was behind what was signed; nothing was changed.".to_owned();
    }
    let mut text = String::from("These journals go on under new origins:\n");
    for one in continued {
        text.push_str(&format!("  {}\n", standing(one)));
        if let Some(key) = &one.verifier_key {
            text.push_str(&format!("    {key}\n"));
        }
    }
    text.push_str(
        "Tell everybody who verifies a journal what happened, and give them its new key on another way than this \
         connection.",
    );
    text
}

fn standing(one: &JournalContinued) -> String {
    let JournalContinued { journal, origin, stored, .. } = one;
    match one.signed {
        Some(signed) => format!("{journal}: signed over {signed} entries as `{origin}`, {stored} are here"),
        None => format!(
            "{journal}: {stored} entries of `{origin}` are here, and no head says how many were signed"
        ),
    }
}
