//! Memory of the server reaches no disk: what the system says of the real process, and what a crash leaves.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::holder::{Holder, HolderOptions, ONEBIT, until};

fn said(file: &str, of: u32, line: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{of}/{file}")).unwrap();
    let found = text.lines().find_map(|text| text.strip_prefix(line));
    found.unwrap_or_else(|| panic!("no line `{line}` in:\n{text}")).trim().to_owned()
}

/// The executable with core dumps allowed as far as this process may allow them, below what `prlimit` says.
fn limited(limits: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg("--core=unlimited:unlimited").args(limits).arg(ONEBIT);
    command
}

#[tokio::test]
async fn memory_is_locked_where_that_is_allowed_and_a_crash_leaves_no_core() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    let here = holder.path("");
    let mut command = limited(&[]);
    command.current_dir(&here);
    holder.serve_by(command).await;
    let process = holder.process();
    assert_eq!(
        said("limits", process, "Max core file size").split_whitespace().collect::<Vec<_>>()[..2],
        ["0", "0"]
    );
    let locked: u64 = said("status", process, "VmLck:").trim_end_matches(" kB").trim().parse().unwrap();
    let resident: u64 = said("status", process, "VmRSS:").trim_end_matches(" kB").trim().parse().unwrap();
    let capabilities = u64::from_str_radix(&said("status", process, "CapEff:"), 16).unwrap();
    let limit = said("limits", process, "Max locked memory");
    let may = capabilities & (1 << 14) != 0 || limit.starts_with("unlimited");
    if may {
        assert!(locked >= resident, "only {locked} of {resident} KiB are locked");
        assert!(holder.log_output().contains("memory is locked"), "it does not say so");
    } else {
        assert_eq!(locked, 0);
        assert!(holder.log_output().contains("LimitMEMLOCK=infinity"), "it does not say what to do");
    }

    let sent = Command::new("sh").args(["-c", &format!("kill -ABRT {process}")]).status().unwrap();
    assert!(sent.success());
    let status = holder.ended().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
    let cores = fs::read_dir(&here).unwrap().map(|file| file.unwrap().file_name());
    let cores: Vec<_> = cores.filter(|name| name.to_string_lossy().starts_with("core")).collect();
    assert!(cores.is_empty(), "the crash left {cores:?}");
}

#[tokio::test]
async fn a_server_that_may_not_lock_its_memory_says_so_and_serves() {
    let mut holder = Holder::prepared(&HolderOptions::default());
    // Neither the right to pass the limit nor a limit that is enough.
    let mut command = Command::new("setpriv");
    let without =
        ["--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock", "prlimit", "--memlock=65536:65536"];
    command.args(without).arg(ONEBIT);
    holder.serve_by(command).await;
    assert_eq!(said("status", holder.process(), "VmLck:"), "0 kB");
    let told = || async { holder.log_output().contains("LimitMEMLOCK=infinity") };
    until("the log says what to do", told).await;
    holder.stop().await;
}
