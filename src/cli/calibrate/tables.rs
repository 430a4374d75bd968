//! What was measured, as CSV and as TOML.

use crate::template::{Accuracy, Bin, ErrorCounts, TableRow};

/// Error counts by threshold: exact integers, no rates, so that nothing is rounded.
pub(super) fn errors(counts: &[ErrorCounts]) -> String {
    let mut text = "threshold,false_non_matches,genuine,false_matches,impostor\n".to_owned();
    for it in counts {
        text.push_str(&format!(
            "{},{},{},{},{}\n",
            it.threshold, it.false_non_matches, it.genuine, it.false_matches, it.impostor
        ));
    }
    text
}

/// The table, with the false matches that were seen at each threshold.
pub(super) fn table(rows: &[TableRow]) -> String {
    let mut text = "false_match_rate,threshold,false_matches\n".to_owned();
    for row in rows {
        text.push_str(&format!("{:e},{},{}\n", row.false_match_rate, row.threshold, row.false_matches));
    }
    text
}

/// Scores by bin; the lower edge belongs to it.
pub(super) fn histogram(bins: &[Bin]) -> String {
    let mut text = "from,to,genuine,impostor\n".to_owned();
    for bin in bins {
        text.push_str(&format!("{},{},{},{}\n", edge(bin.from), edge(bin.to), bin.genuine, bin.impostor));
    }
    text
}

/// The table as a file of `schemes/` has it.
pub(super) fn scheme(rows: &[TableRow], accuracy: &Accuracy) -> String {
    let (genuine, impostor) = (accuracy.genuine().trials(), accuracy.impostor());
    let mut text = format!(
        "# Measured on {genuine} genuine and {} impostor comparisons ({} of these without a score, left out here).\n\
         # No row lies below 3 in all impostor scores, the rule of three: rates below the last one are refused.\n\
         calibration = [\n",
        impostor.trials(),
        impostor.missing()
    );
    for row in rows {
        text.push_str(&format!(
            "  {{ threshold = {:?}, false_match_rate = {:e} }},\n",
            row.threshold, row.false_match_rate
        ));
    }
    text.push_str("]\n");
    text
}

/// An edge without the digits that binary fractions leave behind.
pub(super) fn edge(value: f64) -> String {
    let text = format!("{value:.9}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if value == 0.0 || short == "-0" {
        return "0".to_owned();
    }
    // Of tiny scales nothing would be left.
    if value.abs() < EDGE_LEAST { format!("{value:e}") } else { short.to_owned() }
}

const EDGE_LEAST: f64 = 1e-5;
