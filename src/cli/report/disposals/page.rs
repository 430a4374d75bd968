//! The register as a page and as a table: both follow from it alone, so that whoever verifies makes them again.

use super::document::{Disposal, Register};
use crate::cli::fault::CliError;
use crate::cli::sheet::{self, escaped, table};

/// Draws the page.
pub(super) fn draw(register: &Register) -> String {
    let disposals = match register.disposals.is_empty() {
        true => "<p>Nothing was disposed of.</p>".to_owned(),
        false => in_short(register) + &register.disposals.iter().map(of_one).collect::<String>(),
    };
    let body = format!(
        "<p>What of the log's payloads was destroyed at the end of its time, by which authority, and who decided it; read from the \
         {} entries of <code>{}</code> by {}, {}. <code>report.json</code> holds the same, with a receipt for each entry \
         that says so; <code>report.sig</code> signs it. The log itself is whole: its entries are commitments, and what opened \
         them is what is gone.</p>\n{disposals}\n{}",
        register.size,
        escaped(&register.journal),
        escaped(&register.program),
        escaped(&register.made),
        erasures(register)
    );
    sheet::page("Register of disposals", &body)
}

/// The table: a line for each disposal.
pub(super) fn csv(register: &Register) -> Result<String, CliError> {
    let unwritten =
        |error: &dyn std::fmt::Display| CliError::Found(format!("the table can't be written: {error}"));
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(HEADS).map_err(|error| unwritten(&error))?;
    for it in &register.disposals {
        let index = it.evidence.first().map(|one| one.index.to_string()).unwrap_or_default();
        let entries = it.entries.to_string();
        let row = [
            it.at.as_str(),
            &it.payloads,
            &it.before,
            &entries,
            &it.authority,
            it.proposed_by.as_deref().unwrap_or_default(),
            &it.confirmed_by,
            &it.reason,
            &it.change,
            &index,
        ];
        out.write_record(row).map_err(|error| unwritten(&error))?;
    }
    let bytes = out.into_inner().map_err(|error| unwritten(&error))?;
    String::from_utf8(bytes).map_err(|error| unwritten(&error))
}

fn in_short(register: &Register) -> String {
    let heads = ["When", "Payloads", "From before", "Entries", "Proposed by", "Confirmed by"];
    let row = |it: &Disposal| {
        let proposed_by = it.proposed_by.as_deref().unwrap_or("disposed of");
        [&it.at, &it.payloads, &it.before, &it.entries.to_string(), proposed_by, &it.confirmed_by]
            .map(escaped)
            .to_vec()
    };
    let rows: Vec<Vec<String>> = register.disposals.iter().map(row).collect();
    format!("<section>\n<h2>In short</h2>\n{}\n</section>\n", table("All disposals", &heads, &rows))
}

fn of_one(it: &Disposal) -> String {
    let heads = ["Month", "Journal", "Agreement", "Purpose", "What", "Number"];
    let row = |line: &String| line.split(' ').map(escaped).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = it.totals.iter().map(row).collect();
    let left = match rows.is_empty() {
        true => "<p>It had nothing to be counted.</p>".to_owned(),
        false => table("What is left of it", &heads, &rows),
    };
    let entries: Vec<String> = it.evidence.iter().map(|one| one.index.to_string()).collect();
    format!(
        "<section>\n<h2>{}, from before {}</h2>\n<p>{}.</p>\n<p>Why: {}</p>\n<p>Entries {} of the journal, <code>{}</code>.</p>\n\
         {left}\n</section>\n",
        escaped(&it.payloads),
        escaped(&it.before),
        escaped(&it.authority),
        escaped(&it.reason),
        entries.join(", "),
        escaped(&it.change)
    )
}

/// Erasure takes a person's templates and record at once; what the log says of them stays as long as an authority wants it.
fn erasures(register: &Register) -> String {
    let kept: Vec<Vec<String>> = register
        .kept
        .iter()
        .map(|it| {
            [&it.payloads, &it.class, &it.days.to_string(), &it.authority].map(|text| escaped(text)).to_vec()
        })
        .collect();
    let kept =
        table("Kept although its people may be erased", &["Payloads", "Class", "Days", "Authority"], &kept);
    let heads: Vec<String> =
        register.kept.iter().map(|it| format!("{} until", escaped(&it.payloads))).collect();
    let heads: Vec<&str> =
        ["Month", "People erased"].into_iter().chain(heads.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = register
        .erasures
        .iter()
        .map(|month| {
            let until =
                register.kept.iter().map(|it| month.kept_until.get(&it.payloads).map_or("", String::as_str));
            [month.month.as_str(), &month.people.to_string()].into_iter().chain(until).map(escaped).collect()
        })
        .collect();
    let rows = match rows.is_empty() {
        true => "<p>Nobody was erased.</p>".to_owned(),
        false => table("People who were erased", &heads, &rows),
    };
    format!(
        "<section>\n<h2>Erased, and kept all the same</h2>\n<p>Who is erased is erased at once: templates, record and their \
         keys. What the log says of them, by a random number, is a public record and stays until its class ends. Here the \
         wish to be forgotten and the duty to keep part ways; the authority below decides.</p>\n{kept}\n{rows}\n</section>\n"
    )
}

const HEADS: [&str; 10] = [
    "when",
    "payloads",
    "before",
    "entries",
    "authority",
    "proposed_by",
    "confirmed_by",
    "reason",
    "change",
    "entry",
];
