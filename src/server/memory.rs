//! Memory that reaches no disk: no core dump of this process, and no page of it in swap where the system allows that.
//!
//! Keys, probes and templates stand in memory while the server runs. What is locked here is every page of the
//! process, those to come included, each when it is first used, so that a start is no slower for it.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Memory of this process that could reach a disk.
#[derive(Debug, thiserror::Error)]
#[error(
    "core dumps of this process can't be switched off, and keys would stand in them; check what confines it"
)]
pub struct DumpError(#[source] io::Error);

/// Switches core dumps of this process off, for good, and keeps other processes of the same user from reading its
/// memory. Not against root.
///
/// # Errors
/// [`DumpError`] when the system refuses.
pub fn dumps_off() -> Result<(), DumpError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| DumpError(error.into()))?;
    // What the first does not cover: what starts from here, and a dump that is piped to a collector.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).map_err(|error| DumpError(error.into()))
}

/// Whether memory is kept from swap.
#[derive(Debug)]
pub enum Locked {
    /// All of it, now and later.
    All,
    /// None: a limit is set, and a server that reached it would end in the middle of its work.
    Limited {
        /// The limit, in bytes.
        bytes: u64,
    },
    /// None: the system refused.
    Refused(io::Error),
}

/// Locks every page of this process, now and later, each when it is first used.
///
/// Only without a limit (`LimitMEMLOCK=infinity`), or with the right to pass it: under a limit a later allocation would
/// fail, which ends the process.
#[must_use]
pub fn lock() -> Locked {
    if let Some(bytes) = limit()
        && !may_pass_limit()
    {
        return Locked::Limited { bytes };
    }
    match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
        Ok(()) => Locked::All,
        Err(error) => Locked::Refused(error.into()),
    }
}

/// Locks memory and says in the log what came of it.
pub fn lock_and_tell() {
    match lock() {
        Locked::All => tracing::info!("memory is locked: nothing of it is swapped out"),
        Locked::Limited { bytes } => tracing::warn!(
            count = bytes,
            "memory is not locked, for want of a limit that allows it: keys could be swapped out; set LimitMEMLOCK=infinity, or switch swap off"
        ),
        Locked::Refused(error) => {
            let error = crate::telemetry::chain(&error);
            tracing::warn!(
                %error,
                "memory is not locked, because the system refused: keys could be swapped out; set LimitMEMLOCK=infinity, or switch swap off"
            );
        }
    }
}

/// The limit on locked memory, raised as far as this process may raise it; `None` when there is none.
fn limit() -> Option<u64> {
    let limit = getrlimit(Resource::Memlock);
    if limit.current.is_some() && limit.current != limit.maximum {
        // What is refused stays as it was.
        let _raised = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Memlock).current
}

/// Whether the limit does not count for this process: `CAP_IPC_LOCK` among its effective capabilities.
fn may_pass_limit() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = capabilities.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & CAP_IPC_LOCK != 0)
}

/// capabilities(7): bit 14.
const CAP_IPC_LOCK: u64 = 1 << 14;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::dumpable_behavior;

    use super::*;

    /// In a process of its own: what is switched off stays off.
    #[test]
    fn dumps_are_off_for_good() {
        if std::env::var_os("ONEBIT_TEST_DUMPS").is_none() {
            let ran = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "server::memory::tests::dumps_are_off_for_good"])
                .env("ONEBIT_TEST_DUMPS", "1")
                .status();
            assert!(ran.unwrap().success());
            return;
        }
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable);
        dumps_off().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
