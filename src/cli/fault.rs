//! Why a subcommand did not do what it was asked, and the exit code that says so.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::grpc::client::ClientError;
use crate::secret::EntropyError;

/// Why a subcommand did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Options that don't fit together, or a value that is not in its form.
    #[error("{0}")]
    Usage(String),
    /// A call to the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file that can't be read.
    #[error("`{path}` can't be read; check that it is there and readable")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that can't be written.
    #[error("`{path}` can't be written; nothing is ever overwritten unless its option says so")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Output that can't be written.
    #[error("the output can't be written")]
    Output(#[source] io::Error),
    /// No randomness.
    #[error("nothing can be drawn at random")]
    Entropy(#[from] EntropyError),
    /// Something else went wrong, with what was being done.
    #[error("{doing}")]
    Because {
        /// What was being done, or what is wrong.
        doing: String,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A check that could not begin, so that nothing is known.
    #[error("the check could not run")]
    CouldNotRun(#[source] Box<dyn Error + Send + Sync>),
    /// Something was found to be wrong, and this says it all.
    #[error("{0}")]
    Found(String),
}

impl CliError {
    /// An error with its cause.
    #[must_use]
    pub fn because(doing: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Because { doing: doing.into(), source: source.into() }
    }

    /// An answer of the server that lacks something.
    #[must_use]
    pub const fn incomplete(what: &'static str) -> Self {
        Self::Client(ClientError::Incomplete(what))
    }

    /// A file that can't be read.
    #[must_use]
    pub fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    /// A file that can't be written.
    #[must_use]
    pub fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }

    /// The exit code: 2 for what the caller typed and for a check that could not begin, 1 for everything else.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::CouldNotRun(_)
            | Self::Client(ClientError::Missing { .. } | ClientError::Address(_)) => EXIT_USAGE,
            _ => EXIT_FAILED,
        }
    }

    /// The message and those of all its causes, joined with colons.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let next = error.to_string();
            // Some libraries repeat their source in their own words.
            if !text.ends_with(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        text
    }
}

const EXIT_FAILED: u8 = 1;
/// What clap exits with.
const EXIT_USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_all_its_causes_once() {
        let error = CliError::read(Path::new("a.pem"), io::Error::other("disk on fire"));
        assert_eq!(error.chain(), "`a.pem` can't be read; check that it is there and readable: disk on fire");
        assert_eq!(CliError::because("open the release", EntropyError).exit_code(), 1);
        assert_eq!(CliError::Usage("give one of the two".to_owned()).exit_code(), 2);
    }
}
