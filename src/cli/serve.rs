//! `onebit serve`: the server.

use std::path::PathBuf;

use super::fault::CliError;
use super::init::unusable;
use super::print;
use crate::config::Config;
use crate::server::{self, Listening, memory, signals};
use crate::telemetry;

/// Serves: partners ask, people decide, and every step is an entry of the log
///
/// When it listens it says so in one line on standard output. Log lines go to standard error. SIGTERM and SIGINT
/// let what is under way finish, for 20 seconds at most; a second one ends it at once. SIGHUP makes it read
/// certificate, key and revocation lists again; what can't be used leaves the last good set in place.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The configuration; onebit.sample.toml shows every key
    #[arg(long, value_name = "FILE", env = "ONEBIT_CONFIG")]
    pub config: PathBuf,
}

/// Serves until told to stop.
///
/// # Errors
/// [`CliError`] when the server does not start or ends by itself.
pub fn run(args: &ServeArgs) -> Result<(), CliError> {
    let config = Config::read(&args.config).map_err(unusable)?;
    telemetry::init(&config.log).map_err(|error| CliError::because("logs can't be written", error))?;
    memory::lock_and_tell();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::because("the server can't be started", error))?;
    let served = runtime.block_on(async {
        let told = signals::of_the_process()
            .map_err(|error| CliError::because("signals can't be listened to", error))?;
        let mut told_ready = Ok(());
        let served = server::serve(config, told, |Listening { calls, tiles, console }| {
            let of_the_log =
                tiles.map_or(Ok(()), |at| print::line(&format!("serving the log at https://{at}")));
            let of_the_console =
                console.map_or(Ok(()), |at| print::line(&format!("serving the console at https://{at}")));
            // Last: who waits for it finds all doors open.
            told_ready =
                of_the_log.and(of_the_console).and_then(|()| print::line(&format!("listening on {calls}")));
        });
        served.await.map_err(|error| CliError::because("the server does not run", error))?;
        told_ready
    });
    // Work that nobody waits for any more, such as a search for a caller who was cut off.
    runtime.shutdown_background();
    served
}
