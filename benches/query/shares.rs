//! What each step takes of a query, from the server's own metrics and the clients' clocks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use onebit::telemetry::Step;

/// Sums of seconds and counts, by name.
pub(crate) struct Shares(BTreeMap<String, f64>);

impl Shares {
    /// Reads them where the server serves them.
    pub(crate) fn read(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let lines =
            page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// What came since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let was = |name: &String| before.0.get(name).copied().unwrap_or(0.0);
        Self(self.0.iter().map(|(name, now)| (name.clone(), now - was(name))).collect())
    }

    fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_else(|| panic!("the server should tell `{name}`"))
    }
}

/// Processor time that a process has taken, in the system's ticks.
pub(crate) struct Processor {
    all: u64,
    /// Of the threads that write the log.
    log: u64,
}

impl Processor {
    /// Reads it of a process.
    pub(crate) fn read(process: u32) -> Self {
        let folder = PathBuf::from(format!("/proc/{process}"));
        let threads = fs::read_dir(folder.join("task")).unwrap().map(|thread| thread.unwrap().path());
        let of_log = threads.filter(|thread| {
            let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            LOG_THREADS.contains(&name.trim())
        });
        Self { all: ticks(&folder), log: of_log.map(|thread| ticks(&thread)).sum() }
    }

    /// The share of the log since then.
    pub(crate) fn log_share_since(&self, before: &Self) -> f64 {
        (self.log - before.log) as f64 / (self.all - before.all) as f64
    }
}

/// User and system time (proc(5), fields 14 and 15).
fn ticks(folder: &Path) -> u64 {
    let line = fs::read_to_string(folder.join("stat")).unwrap();
    // A name may hold spaces and brackets; two fields come before it.
    let (_, fields) = line.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Prints a table: milliseconds a query, by step and number of clients.
pub(crate) fn print(measured: &[(usize, Shares, f64)]) {
    let row = |name: &str, of: &dyn Fn(&(usize, Shares, f64)) -> f64| {
        let cells: Vec<String> = measured.iter().map(|one| format!("{:.2}", of(one) * 1e3)).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    let heads: Vec<String> = measured.iter().map(|(clients, ..)| clients.to_string()).collect();
    println!(
        "Mean milliseconds of a query, by clients:\n\n| step | {} |\n| --- |{}",
        heads.join(" | "),
        " --- |".repeat(heads.len())
    );
    let queries = |shares: &Shares| shares.of(&format!("onebit_rpc_seconds_count{{rpc=\"{ASK_QUERY}\"}}"));
    let served = |shares: &Shares| {
        shares.of(&format!("onebit_rpc_seconds_sum{{rpc=\"{ASK_QUERY}\"}}")) / queries(shares)
    };
    let took = |shares: &Shares, step: Step| {
        shares.of(&format!("onebit_step_seconds_sum{{step=\"{}\"}}", step.as_str())) / queries(shares)
    };
    for step in Step::ALL {
        row(step.as_str(), &|(_, shares, _)| took(shares, step));
    }
    row("the rest of the server", &|(_, shares, _)| {
        served(shares) - Step::ALL.iter().map(|step| took(shares, *step)).sum::<f64>()
    });
    row("TLS, HTTP/2 and the client", &|(_, shares, mean)| mean - served(shares));
    row("all", &|(.., mean)| *mean);
}

/// Those that write, answer, and move pages into the database.
const LOG_THREADS: [&str; 3] = ["onebit-writer", "onebit-answers", "onebit-pages"];
const ASK_QUERY: &str = "partner.QueryService/AskQuery";
