//! What each step takes of a query, from the server's own metrics and the clients' clocks.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

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

const ASK_QUERY: &str = "partner.QueryService/AskQuery";
