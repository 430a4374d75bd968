//! How a command reaches the server, and how it shows what came of it.

use super::print::OutputOption;
use crate::grpc::client::ClientOptions;

/// What every command takes that asks the server.
#[derive(Debug, Clone, clap::Args)]
pub struct Way {
    /// The form of the output.
    #[command(flatten)]
    pub output: OutputOption,
    /// The connection.
    #[command(flatten)]
    pub client: ClientOptions,
}
