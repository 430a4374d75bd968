//! How far a batch came: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

use super::Tally;
use crate::cli::print;

/// Progress, measured in bytes of the file of templates.
pub(super) struct Progress {
    bytes: u64,
    bar: Option<ProgressBar>,
    /// The tenth that was told last.
    told: u64,
}

impl Progress {
    /// Progress through a file of so many bytes.
    pub(super) fn new(bytes: u64, done_before: u64) -> Self {
        let bar = print::is_watched().then(|| bar(bytes));
        if done_before > 0 {
            let text = format!("going on after {done_before} people");
            bar.as_ref().map_or_else(|| print::note(&text), |bar| bar.println(&text));
        }
        Self { bytes, bar, told: 0 }
    }

    /// Shows how far it came.
    pub(super) fn show(&mut self, read_bytes: u64, tally: &Tally) {
        let text = format!("{} people answered, {} rejected", tally.rows_done, tally.refused);
        if let Some(bar) = &self.bar {
            bar.set_position(read_bytes.min(self.bytes));
            bar.set_message(text);
            return;
        }
        let tenth = read_bytes.saturating_mul(10).checked_div(self.bytes).unwrap_or(10);
        if tenth > self.told {
            self.told = tenth;
            print::note(&format!("{} %: {text}", tenth.saturating_mul(10)));
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    // A template that indicatif does not know would be a fault of ours; its own style will do then.
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar
}
